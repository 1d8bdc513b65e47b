/*
 * disk_ring.h: the journal's disk over a ring: submitted writes and syncs are io_uring operations,
 * all other calls plain system calls (see engine/journal/disk.h for who may call what).
 *
 * Owner:     the thread that owns the ring submits; open, close, read and the other blocking calls
 *            are for any thread.
 * Memory:    DISK_RING_IN_FLIGHT_MAX operations at a time are with the kernel, more wait in a queue
 *            through their own link.
 * Direct:    files are opened twice: with O_DIRECT for what is submitted, where the file system has
 *            it (tmpfs may not), and without for the blocking calls, whose data need not be
 *            aligned.
 * Windows:   a file is mapped as a whole by its first one, until it is closed; only on file systems
 *            that overwrite in place.
 * Invariant: done runs from ring_dispatch, exactly once per operation; a short write is continued,
 *            never reported as OK.
 * Tests:     tests/unit/net/ring/.
 */
#ifndef FRESHET_NET_RING_DISK_RING_H
#define FRESHET_NET_RING_DISK_RING_H

#include "engine/journal/disk.h"
#include "net/ring/ring.h"

#define DISK_RING_IN_FLIGHT_MAX 64

/* The folder must exist. ring may be NULL at first (disk_ring_attach) as long as nothing is
 * submitted. Destroyed through its vtable, when no operation is in flight, before the ring. */
MUST_USE enum status disk_ring_create(const char *folder, struct ring *ring, struct disk **out);
void disk_ring_attach(struct disk *disk, struct ring *ring);
/* Submitted and not yet done. */
uint32_t disk_ring_in_flight(const struct disk *disk);

#endif
