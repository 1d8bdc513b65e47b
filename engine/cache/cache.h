/*
 * cache.h: one shard's part of the LRU/TTL cache, over memory taken once when it is created.
 *
 * An entry holds a finished body (JSON of a record, of a page), the sequence it shows and the time
 * it was made. A negative entry says that a record is absent.
 *
 * Owner:     one shard's thread puts, removes, evicts and expires. Any thread looks up: an entry is
 *            found and, when its body is small, copied under its stripe's lock (a stripe is one
 *            bucket of the index); a larger body is pinned and copied outside it.
 * Memory:    one mapping of bytes_max made by cache_create holds everything: index, headers, keys,
 *            bodies. A full cache evicts (the coldest first, approximately LRU), it never grows;
 *            what cannot fit is not cached: an entry may take a quarter of the memory. A pinned
 *            body's memory is not reused until it is unpinned. Untouched memory costs nothing.
 * Time:      the caller passes now_ns; this module never reads a clock.
 * Locks:     a foreign reader tries a stripe's lock a bounded number of times, then gets BUSY and
 *            goes by message. Recency is a mark on the entry, not a list move.
 * Invariant: a live entry is in the index and in the LRU list of its owner, once; after cache_put
 *            or cache_remove returns, no lookup that starts later returns what was there before.
 * Tests:     tests/unit/engine/cache/, tests/fuzz/fuzz_cache.c (against a naive model),
 *            tests/threads/cache.c (TSan).
 */
#ifndef FRESHET_ENGINE_CACHE_CACHE_H
#define FRESHET_ENGINE_CACHE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define CACHE_COPY_BYTES_MAX 4096
#define CACHE_KEY_BYTES_MAX  2048
#define CACHE_PINS_MAX       255 /* of one body at a time */
/* A cache of less is off; a part of one shard cannot be larger. */
#define CACHE_BYTES_MIN (8u << 10)
#define CACHE_BYTES_MAX (64ull << 30)

enum cache_class { CACHE_RECORD, CACHE_RECORD_POPULAR, CACHE_LIST, CACHE_INDEX };
#define CACHE_CLASS_COUNT 4
#define CACHE_FORM_MAX    15

struct cache_options {
    /* Under CACHE_BYTES_MIN: every lookup misses, every put does nothing and says BUSY. */
    uint64_t bytes_max;
    bool shared; /* false: one thread only, no locks are taken */
};

/* What an entry says about its body; kept and given back as it is, but that a popular record's
 * class and expires_at_ns say so, and that without popular_expires_at_ns there are no popular_hits.
 */
struct cache_meta {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t version;
    uint64_t made_at_ms; /* wall clock, for cache-timestamp and Age */
    /* The first instant at which it is not served; UINT64_MAX: never. */
    uint64_t expires_at_ns;
    /* Instead of the former once hits reached popular_hits; 0: no such class. */
    uint64_t popular_expires_at_ns;
    uint32_t popular_hits;
    /* As of this lookup, which counts; in cache_put where to begin, so that a new version may stay
     * popular. */
    uint32_t hits;
    enum cache_class class;
    bool absent;  /* a negative entry: there is no such record */
    uint8_t form; /* of the body: the caller's, at most CACHE_FORM_MAX */
};

struct cache_body {
    struct cache_meta meta;
    struct bytes body; /* into the caller's buffer when copied, into the cache when pinned */
    void *pin;         /* not NULL: give it back with cache_unpin, soon */
};

struct cache_statistics {
    uint64_t hits;
    uint64_t misses;
    uint64_t fills;
    uint64_t evictions;
    uint64_t expiries;
    uint64_t refused; /* bodies that could not fit */
    uint64_t entries;
    uint64_t
        bytes; /* all memory in use, the index and what is reserved in part-filled pages included */
    uint64_t bytes_max;
};

struct cache;

/* The hash by which all calls find an entry; computed once per request. A caller may use another
 * 64-bit hash for all its calls, if the six bytes in its middle are good. */
uint64_t cache_hash(struct bytes key);

/* TOO_LARGE: over CACHE_BYTES_MAX. NO_MEMORY: the kernel refuses the mapping. *out is NULL then. */
MUST_USE enum status cache_create(const struct cache_options *options, struct cache **out);
void cache_destroy(struct cache **cache); /* accepts NULL; sets *cache to NULL */

/* Any thread. Two passes over a batch before its cache_gets hide the memory's latency: the first
 * asks for the places of the index, the second, which needs them, for the entries. */
void cache_prefetch(const struct cache *cache, uint64_t hash);
void cache_prefetch_entry(const struct cache *cache, uint64_t hash);

/* Any thread. OK: a body of at most CACHE_COPY_BYTES_MAX is copied to copy_to (which holds as
 * much), a larger one pinned. NOT_FOUND: not there, or expired. BUSY: the stripe's lock was not to
 * be had, or the body is pinned CACHE_PINS_MAX times. */
MUST_USE enum status cache_get(struct cache *cache, uint64_t hash, struct bytes key,
                               uint64_t now_ns, uint8_t *copy_to, struct cache_body *out);
/* Owner. What is there now, in place: valid until the owner's next put, remove or expire. Counts no
 * hit. */
bool cache_peek(struct cache *cache, uint64_t hash, struct bytes key, uint64_t now_ns,
                struct cache_body *out);
void cache_unpin(struct cache *cache, struct cache_body *body); /* any thread */

/* Owner. Puts the entry in the place of any older one with this key, in one step for readers. The
 * body is the concatenation of the parts, which must not lie in the cache. BUSY: it does not fit,
 * neither into the memory nor a number of meta into the head of an entry (cache_internal.h says how
 * wide they are); then an older entry with this key is gone all the same. */
MUST_USE enum status cache_put(struct cache *cache, uint64_t hash, struct bytes key,
                               const struct cache_meta *meta, const struct bytes *parts,
                               size_t part_count);
void cache_remove(struct cache *cache, uint64_t hash, struct bytes key); /* owner */
/* Owner. True when there is an entry (expired or not), without counting a hit: "is it worth
 * replacing?" */
bool cache_contains(struct cache *cache, uint64_t hash, struct bytes key);
/* Owner. Looks at about count entries (a bucket is finished whole), going round; drops the expired,
 * returns how many. Call it now and then. */
size_t cache_expire(struct cache *cache, uint64_t now_ns, size_t count);
void cache_clear(struct cache *cache); /* owner */

void cache_statistics_read(const struct cache *cache,
                           struct cache_statistics *out); /* any thread */

#endif
