/*
 * store_memory.h: what a simulator does to the store in memory, beyond store.h.
 *
 * Owner:     as in store.h; these calls belong to the owner, with no other call under way.
 * Time:      none; whether a read would block or an apply is refused comes from the seed alone.
 * Invariant: after a crash the store is what it was at one flush_begin whose flush came to its end,
 *            or nothing.
 * Tests:     tests/unit/engine/store/.
 */
#ifndef FRESHET_ENGINE_STORE_STORE_MEMORY_H
#define FRESHET_ENGINE_STORE_STORE_MEMORY_H

#include "engine/store/store.h"

#define STORE_MEMORY_ALWAYS 1000000u

/* Chances are parts per million; all zero, which is how a store begins, is a store that never
 * fails. */
struct store_memory_faults {
    uint64_t seed;
    uint32_t would_block; /* a get without I/O does not know the answer */
    uint32_t stall; /* an apply begins a stall: it and the ones after it are refused with BUSY */
    uint32_t stall_applies; /* so many in all */
    uint32_t read_damaged;  /* a blocking get, or an iterator's step, finds damage */
    uint32_t flush_busy;    /* flush_begin closes nothing: BUSY */
    /* flush_wait ends with IO_ERROR; so do later flushes and applies, until a crash */
    uint32_t flush_failed;
    /* a crash finds that what flush_begin closed has reached the disk just then */
    uint32_t crash_keeps_closed;
};

void store_memory_faults_set(struct store *store, const struct store_memory_faults *faults);

/* Loses all that was applied after the last flush. Iterators stay as they are; a stall ends. */
void store_memory_crash(struct store *store);

/* Rows of all kinds that a reader sees now. */
uint64_t store_memory_row_count(struct store *store);

#endif
