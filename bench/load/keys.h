/*
 * keys.h: which record the next operation is about: uniform, zipfian (as in YCSB; rank 0 the most
 * popular), scrambled (zipfian ranks scattered over the range by a hash, so that neighbours are not
 * all popular) or sequential.
 *
 * Owner:     one thread; each has its own generator, seeded from the run's seed and its index.
 * Memory:    fixed; set-up is O(1) whatever the range (the zeta sum is an integral beyond its first
 *            terms).
 * Invariant: keys_next returns from <= key < from + count.
 */
#ifndef FRESHET_BENCH_LOAD_KEYS_H
#define FRESHET_BENCH_LOAD_KEYS_H

#include <stdint.h>

#define ZIPFIAN_THETA_DEFAULT 0.99

enum distribution {
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_ZIPFIAN,
    DISTRIBUTION_SCRAMBLED,
    DISTRIBUTION_SEQUENTIAL,
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
    double zeta;
    double alpha;
    double eta;
    double second; /* zeta of the first two terms */
};

void keys_init(struct keys *keys, const struct keys_options *options);
uint64_t keys_next(struct keys *keys);

/* 64 random bits from the same generator. */
uint64_t keys_random(struct keys *keys);

#endif
