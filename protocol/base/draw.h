/*
 * draw.h: which of some records is asked for next. `freshet bench` and the load generator of the
 * benchmarks choose alike.
 *
 * uniform, zipfian (0 the most popular, as in YCSB), scrambled (the same popularity, scattered over
 * all by a hash, so that neighbours are not all popular), latest (zipfian from the newest
 * backwards), sequential.
 *
 * Owner:     one thread.
 * Memory:    fixed, however many records there are.
 * Invariant: what is drawn is under the count.
 * Tests:     tests/unit/protocol/base/test_draw.c; the shares in tests/unit/bindings/cli and
 *            bench/load
 */
#ifndef FRESHET_PROTOCOL_BASE_DRAW_H
#define FRESHET_PROTOCOL_BASE_DRAW_H

#include <stdint.h>

#include "protocol/base/zipfian.h"

#define DISTRIBUTIONS(X)                                                                           \
    X(UNIFORM, "uniform")                                                                          \
    X(ZIPFIAN, "zipfian")                                                                          \
    X(SCRAMBLED, "scrambled")                                                                      \
    X(LATEST, "latest")                                                                            \
    X(SEQUENTIAL, "sequential")

enum distribution {
#define DISTRIBUTION_ID(id, name) DISTRIBUTION_##id,
    DISTRIBUTIONS(DISTRIBUTION_ID)
#undef DISTRIBUTION_ID
        DISTRIBUTION_COUNT
};

extern const char *const distribution_names[DISTRIBUTION_COUNT];

struct draw {
    enum distribution distribution;
    double theta;           /* of zipfian, scrambled and latest: 0 < theta < 1 */
    uint64_t random;        /* the state of dice.h */
    uint64_t sequential;    /* drawn so far */
    struct zipfian zipfian; /* of so many records as there were when a rank was drawn last */
};

void draw_init(struct draw *draw, enum distribution distribution, double theta, uint64_t seed);
/* count: of the records that are there, at least 1. */
uint64_t draw_next(struct draw *draw, uint64_t count);

#endif
