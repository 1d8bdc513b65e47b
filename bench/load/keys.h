/*
 * keys.h: which record the next operation is about: drawn from a range as draw.h does, or for
 * `latest` from as many before the newest key.
 *
 * Owner:     one thread; each has its own generator, seeded from the run's seed and its index.
 * Memory:    fixed; set-up takes the same time whatever the range.
 * Invariant: keys_next returns from <= key < from + count; latest one of the last count keys under
 *            the end that it was told.
 * Tests:     tests/unit/bench/load/test_keys.c
 */
#ifndef FRESHET_BENCH_LOAD_KEYS_H
#define FRESHET_BENCH_LOAD_KEYS_H

#include <stdint.h>

#include "protocol/base/draw.h"

struct keys_options {
    enum distribution distribution;
    double theta; /* 0 < theta < 1 */
    uint64_t from;
    uint64_t count; /* at least 1 */
    uint64_t seed;
};

struct keys {
    struct keys_options options;
    struct draw draw;
    uint64_t end; /* latest: behind the newest key */
};

void keys_init(struct keys *keys, const struct keys_options *options);
uint64_t keys_next(struct keys *keys);
/* Of latest: keys were added; end is at least what it was. */
void keys_grow(struct keys *keys, uint64_t end);

/* 64 random bits from the same generator. */
uint64_t keys_random(struct keys *keys);
#endif
