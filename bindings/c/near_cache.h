/*
 * near_cache.h: a bounded map of records in the memory of the client: found in some tens of
 * nanoseconds, never older than what this client has read, written, or been told of.
 *
 * When it may be asked at all (the lease) is the business of core_near.c.
 *
 * An answer may be overtaken: by the time it fills, its record may have been invalidated. So every
 * invalidation, own write and eviction is an event with a number that only rises, kept by key hash
 * in a small table, and an answer says which event was the newest when its request was sent: an
 * event later than that, with a greater pair, forbids the fill. Where the table had to forget an
 * event, it forbids whatever was sent before it.
 *
 * Owner:     one core; no locks, no clock.
 * Memory:    all of it counts towards bytes_max: the table is taken at the start, an entry is one
 *            block. A full cache evicts those not found since the hand came by (CLOCK).
 * Keys:      one entry per 64-bit hash with a seed of this handle's own; a key that shares its hash
 *            with another takes its place, and is told apart by its bytes.
 * Invariant: an entry is in exactly one slot, and can be reached from its home slot without a gap.
 * Tests:     tests/unit/bindings/c/test_near_cache.c (with a naive model).
 */
#ifndef FRESHET_BINDINGS_C_NEAR_CACHE_H
#define FRESHET_BINDINGS_C_NEAR_CACHE_H

#include <stdbool.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

struct near_cache; /* opaque */

/* Which change made a state: a later one has a greater pair, the epoch compared first. */
struct near_pair {
    uint64_t epoch;
    uint64_t sequence;
};

/* Later than anything: what is known to have changed, but not by which change. */
#define NEAR_PAIR_UNKNOWN ((struct near_pair){UINT64_MAX, UINT64_MAX})

static inline bool near_pair_less(struct near_pair a, struct near_pair b)
{
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.sequence < b.sequence;
}

struct near_key {
    struct bytes collection;
    struct bytes id;
    uint64_t hash; /* by near_cache_hash */
};

/* A state of a record; one that is not there has no data. */
struct near_state {
    struct bytes data;
    struct near_pair pair;
    uint64_t version;
    bool is_there;
};

struct near_cache_counts {
    uint64_t invalidations;
    uint64_t dropped_fills;
    uint64_t evictions;
    uint64_t entries;
    uint64_t bytes;
};

/* On failure *out is NULL. */
MUST_USE enum status near_cache_create(size_t bytes_max, uint64_t seed, struct near_cache **out);
void near_cache_destroy(struct near_cache **cache); /* accepts NULL */

uint64_t near_cache_hash(const struct near_cache *cache, struct bytes collection, struct bytes id);

/* The view is valid until the next call that is not a find. */
bool near_cache_find(struct near_cache *cache, const struct near_key *key,
                     struct near_state *state_out);

/* The number of the newest event: what a request remembers when it is sent. */
uint64_t near_cache_event(const struct near_cache *cache);

/* An answer to a request that was sent when event_sent was the newest. */
void near_cache_fill(struct near_cache *cache, const struct near_key *key,
                     const struct near_state *state, uint64_t event_sent);

/* That state has been seen; what is cached of the record, if older, goes. */
void near_cache_outdate(struct near_cache *cache, uint64_t hash, struct near_pair pair);
/* The same, counted: the server tells that the record has changed by that pair. */
void near_cache_invalidate(struct near_cache *cache, uint64_t hash, struct near_pair pair);

/* Forgets everything; whatever was asked before this fills no more. */
void near_cache_restart(struct near_cache *cache);

struct near_cache_counts near_cache_counts(const struct near_cache *cache);

/* Every slot, for tests: entries are where they are found, and the counts are right. */
bool near_cache_is_sound(const struct near_cache *cache);

#endif
