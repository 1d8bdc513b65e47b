/*
 * backoff.h: when a call that failed is tried again, and what an answer means.
 *
 *     after attempt 1: retry.first; then those of Standard Webhooks' times that are longer:
 *     5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, and 24 h from there on
 *
 * Each plus up to a quarter of itself, by a random number, so that what failed together does not
 * come back together. Retry-After can only make it later.
 *
 * Owner:   the caller; nothing is kept.
 * Time:    passed in, and so is what is random.
 * Tests:   tests/unit/net/webhook/test_backoff.c.
 */
#ifndef FRESHET_NET_WEBHOOK_BACKOFF_H
#define FRESHET_NET_WEBHOOK_BACKOFF_H

#include <stdbool.h>

#include "protocol/base/bytes.h"

#define BACKOFF_RETRY_AFTER_NS_MAX (24ull * 3600 * 1000000000)

enum backoff_outcome {
    BACKOFF_DELIVERED, /* 2xx */
    BACKOFF_RETRY,     /* anything else, redirects too, and no answer at all (status 0) */
    BACKOFF_THROTTLE,  /* 429, 502, 504: retry, and slow the target down */
    BACKOFF_DISABLE,   /* 410: the receiver wants no more; the rule is disabled */
};

enum backoff_outcome backoff_outcome(uint32_t http_status);

/* How long to wait after `attempts` attempts, at least 1, have failed. random: any 64 bits. */
uint64_t backoff_delay_ns(uint32_t attempts, uint64_t first_ns, uint64_t random);

/* The value of Retry-After, seconds or an HTTP date (any of its three forms), as a time from now,
 * at most BACKOFF_RETRY_AFTER_NS_MAX; 0 for a date that has passed. False when it is neither. */
bool backoff_retry_after(struct bytes value, uint64_t wall_s, uint64_t *delay_ns_out);

#endif
