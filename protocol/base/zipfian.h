/*
 * zipfian.h: how popular records are, for the loads that ask for them: rank k, from 0, is asked for
 * in proportion to (k + 1)^-theta.
 *
 * Owner:     one thread, or several that only draw.
 * Memory:    none; set-up takes the same time whatever the count.
 * Invariant: a rank is under the count.
 * Tests:     tests/unit/protocol/base/test_zipfian.c
 */
#ifndef FRESHET_PROTOCOL_BASE_ZIPFIAN_H
#define FRESHET_PROTOCOL_BASE_ZIPFIAN_H

#include <stdint.h>

#define ZIPFIAN_THETA_DEFAULT 0.99

struct zipfian {
    uint64_t count;
    double theta;
    double low; /* what an area is drawn between */
    double high;
    double near; /* nearer than this to a rank, what was drawn is that rank's for certain */
};

/* 0 < theta < 1; count is at least 1. */
void zipfian_init(struct zipfian *zipfian, double theta, uint64_t count);
/* random: the state of dice.h. */
uint64_t zipfian_rank(const struct zipfian *zipfian, uint64_t *random);

#endif
