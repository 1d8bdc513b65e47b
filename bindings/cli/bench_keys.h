/*
 * bench_keys.h: which record the next request of `freshet bench` is about: drawn as draw.h does,
 * from the records that are there.
 *
 * Owner:     one bench.
 * Memory:    fixed, however many records there are.
 * Invariant: a number is under the count of records that are there: what is being inserted is
 *            chosen when it, and all before it, has been answered.
 * Tests:     tests/unit/bindings/cli/test_bench_keys.c, tests/integration/test_cli_bench.py
 */
#ifndef FRESHET_BINDINGS_CLI_BENCH_KEYS_H
#define FRESHET_BINDINGS_CLI_BENCH_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/draw.h"

/* Inserts since the oldest that has no answer. */
#define BENCH_INSERTS_MAX (1u << 16)

struct bench_keys {
    struct draw draw;
    uint64_t records; /* that are there */
    uint64_t next;    /* the number that the next insert gets */
    bool answered[BENCH_INSERTS_MAX];
};

void bench_keys_init(struct bench_keys *keys, enum distribution distribution, double theta,
                     uint64_t records, uint64_t seed);

uint64_t bench_keys_random(struct bench_keys *keys);
uint64_t bench_keys_next(struct bench_keys *keys);

/* The number of a new record; false: too many wait behind one that has no answer. */
bool bench_keys_insert(struct bench_keys *keys, uint64_t *number_out);
void bench_keys_inserted(struct bench_keys *keys, uint64_t number);

#endif
