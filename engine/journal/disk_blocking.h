/*
 * disk_blocking.h: a disk over a real folder with plain pread, pwrite and fdatasync, for tools,
 * start-up and tests.
 *
 * submit does the work on the spot, so it blocks, against the rule of disk.h; its `done` runs from
 * disk_blocking_step, which the owner calls before journal_step.
 *
 * Owner:   one thread submits and steps; the blocking calls may come from any thread.
 * Memory:  one small object; no buffers.
 */
#ifndef FRESHET_ENGINE_JOURNAL_DISK_BLOCKING_H
#define FRESHET_ENGINE_JOURNAL_DISK_BLOCKING_H

#include "engine/journal/disk.h"

struct disk_blocking_options {
    const char *folder;
    bool create;    /* make the folder when it is not there (its parent must be) */
    bool read_only; /* writes, syncs and renames are IO_ERROR */
};

/* On failure *out is NULL. NOT_FOUND when the folder is not there. */
MUST_USE enum status disk_blocking_create(const struct disk_blocking_options *options,
                                          struct disk **out);
/* Runs the done of all that was submitted; returns how many. */
size_t disk_blocking_step(struct disk *disk);

#endif
