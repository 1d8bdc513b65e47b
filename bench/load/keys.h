/*
 * keys.h: which record the next operation is about: uniform, zipfian (as in YCSB; rank 0 the most
 * popular), scrambled (zipfian ranks scattered over the range by a hash, so that neighbours are not
 * all popular), sequential or latest (YCSB's: the newest key is the most popular, the distance from
 * it zipfian).
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

#include "protocol/base/zipfian.h"

enum distribution {
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_ZIPFIAN,
    DISTRIBUTION_SCRAMBLED,
    DISTRIBUTION_SEQUENTIAL,
    DISTRIBUTION_LATEST,
    DISTRIBUTION_COUNT,
};

struct keys_options {
    enum distribution distribution;
    double theta; /* 0 < theta < 1 */
    uint64_t from;
    uint64_t count; /* at least 1 */
    uint64_t seed;
};

struct keys {
    struct keys_options options;
    uint64_t random_state;
    uint64_t next_sequential;
    uint64_t end; /* latest: behind the newest key */
    struct zipfian zipfian;
};

extern const char *const distribution_names[DISTRIBUTION_COUNT];

void keys_init(struct keys *keys, const struct keys_options *options);
uint64_t keys_next(struct keys *keys);
/* Of latest: keys were added; end is at least what it was. */
void keys_grow(struct keys *keys, uint64_t end);

/* 64 random bits from the same generator. */
uint64_t keys_random(struct keys *keys);
#endif
