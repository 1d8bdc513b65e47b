/*
 * inserts.h: the keys that a load adds: one counter for all its threads, and how far they are known
 * to be there.
 *
 * Owner:     shared by all workers; every function may be called by any thread at any time.
 * Memory:    a bit for each of the last INSERTS_WINDOW keys, taken at the start.
 * Invariant: no key is given out twice; inserts_end never falls, and every key under it was there
 *            before the load or has been acknowledged.
 * Tests:     tests/unit/bench/load/test_inserts.c
 */
#ifndef FRESHET_BENCH_LOAD_INSERTS_H
#define FRESHET_BENCH_LOAD_INSERTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "protocol/base/status.h"

/* As many keys may be acknowledged before one that was given out earlier. An answer that comes
 * later than 16 million others comes after every timeout; then inserts_end stays where it is. */
#define INSERTS_WINDOW (1u << 24)

struct inserts {
    atomic_uint_fast64_t next; /* the key that is given out next */
    atomic_uint_fast64_t end;
    atomic_uint_fast64_t *acknowledged; /* a bit a key, at its number modulo the window */
};

/* Keys from `from` on will be added. On failure nothing stays allocated. */
MUST_USE enum status inserts_init(struct inserts *inserts, uint64_t from);
void inserts_deinit(struct inserts *inserts);

uint64_t inserts_take(struct inserts *inserts);
void inserts_acknowledge(struct inserts *inserts, uint64_t key);
uint64_t inserts_end(struct inserts *inserts);
/* Behind the last key that was given out. */
uint64_t inserts_taken(struct inserts *inserts);

#endif
