/*
 * faulty_disk.h: a disk in memory that does what real ones do on bad days.
 *
 * Each file has what was written and what is on stable storage, block by block of 512 bytes. A
 * crash keeps, of the blocks that no completed sync covers, any subset; of the names that no sync
 * of the folder covers, any subset too. A failed sync drops what it was to cover, as Linux does: it
 * reads back, and no later sync brings it to the disk. Submitted operations complete late and out
 * of order, at the (virtual) time given to faulty_disk_step.
 *
 * Owner:   one thread.
 * Random:  all from the seed; the same calls give the same disk.
 */
#ifndef FRESHET_TESTS_SUPPORT_FAULTY_DISK_H
#define FRESHET_TESTS_SUPPORT_FAULTY_DISK_H

#include "engine/journal/disk.h"

struct faulty_disk_options {
    uint64_t seed;
    size_t write_alignment;  /* 0: 512 */
    uint64_t latency_ns_max; /* 0: complete in the next step */
    uint64_t capacity_bytes; /* 0: no limit */
    bool windows;            /* it has them; a window is the file's memory itself */
};

struct disk *faulty_disk_create(const struct faulty_disk_options *options);

/* Completes what is due; returns how many. */
size_t faulty_disk_step(struct disk *disk, uint64_t now_ns);
/* When the next operation is due; UINT64_MAX: none is in flight. */
uint64_t faulty_disk_due(const struct disk *disk);

/* The power goes: what was in flight never completes, handles are closed, and what is left is what
 * a start finds. */
void faulty_disk_crash(struct disk *disk);
/* The process goes, as with kill -9: handles are closed, and the disk keeps all that was written.
 * What was in flight is done, in part or not at all, and never completes. */
void faulty_disk_kill(struct disk *disk);
/* After this many more calls that change something, the disk takes nothing any more and everything
 * fails, until faulty_disk_crash. */
void faulty_disk_die_after(struct disk *disk, uint64_t operations);
bool faulty_disk_is_dead(const struct disk *disk);
/* Calls that changed something, since the creation. */
uint64_t faulty_disk_operations(const struct disk *disk);

/* The nth submitted write or sync from now (1: the next) fails with IO_ERROR; 0: none does. */
void faulty_disk_fail_write(struct disk *disk, uint64_t nth);
void faulty_disk_fail_sync(struct disk *disk, uint64_t nth);
void faulty_disk_capacity(struct disk *disk, uint64_t bytes);
/* Flips one bit for good. False when there is no such place. */
bool faulty_disk_flip(struct disk *disk, const char *name, uint64_t offset, uint32_t bit);
/* Random, from the disk's seed, for the test's own decisions. */
uint64_t faulty_disk_random(struct disk *disk, uint64_t below);

#endif
