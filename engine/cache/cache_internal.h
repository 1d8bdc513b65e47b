/*
 * cache_internal.h: how a cache lies in its mapping; only engine/cache and its tests include this.
 *
 *     | struct cache | lanes | buckets | page descriptors | used bits | data pages ... |
 *
 * Index: a bucket is one cache line with its own lock (it is the stripe), tags and references of
 * eight entries; what does not fit hangs on a chain through the entries. A look-up reads the
 * bucket's line and the entry's.
 *
 *     bucket   | lock | overflow | 8 tags of 16 bits | 8 references |
 *                           \-> entry -> entry -> 0
 *
 * A reference is an offset in the mapping, in units of 32 bytes; 0 is none.
 *
 * Data: pages are handed out in runs. A run is a span: either the slots of one size class, or one
 * large entry. Slots that were freed are chained in their span, spans with room are listed in their
 * class, an empty span gives its pages back.
 *
 *     span of class 448   | entry | entry | free | entry | fresh ... |
 *     span of one entry   | entry, key, body ....................... | rest of the last page |
 *
 * Coldness: each class keeps its entries by age. A class without room takes its own oldest entry,
 * unless another class's oldest is clearly older: then the span of that one, and what is in it,
 * goes over to the class in need.
 *
 * Who writes what: everything belongs to the owner, who may read it without a lock. Under a
 * bucket's lock: its tags, references and chain, and `hits` and the raising of `pins` of its
 * entries. Atomic without it: `marked`, the lowering of `pins`, the lanes.
 */
#ifndef FRESHET_ENGINE_CACHE_CACHE_INTERNAL_H
#define FRESHET_ENGINE_CACHE_CACHE_INTERNAL_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cache/cache.h"
#include "protocol/base/limits.h"

#define CACHE_REFERENCE_BYTES 32
#define CACHE_PAGE_BYTES_MIN  1024u
#define CACHE_PAGE_BYTES_MAX  65536u
/* Pages of a 1/4096th keep the descriptors, and what a steal evicts, small against the whole. */
#define CACHE_PAGE_COUNT_AIM 4096
/* One bucket of 64 bytes per 2 KiB: entries of 300 to 700 bytes fill three to five of its eight
 * places. */
#define CACHE_BYTES_PER_BUCKET 2048
#define CACHE_BUCKET_PLACES    8
#define CACHE_LANE_COUNT_MAX   16
#define CACHE_SLOT_BYTES_MIN   128
#define CACHE_SPAN_PAGES_MAX   8
/* Slots of at most four pages, four sizes per doubling from 128 bytes to 256 KiB, and the class of
 * large entries. */
#define CACHE_SIZE_CLASS_COUNT_MAX 46
/* An entry may take at most this part of all pages. */
#define CACHE_ENTRY_PART 4

#define CACHE_PAGE_NONE UINT32_MAX

enum cache_entry_state { CACHE_ENTRY_FREE, CACHE_ENTRY_LIVE, CACHE_ENTRY_REMOVED };

/* Followed by the key, then the body. */
struct cache_entry {
    uint64_t hash;
    struct cache_meta meta; /* its member hits is the count that the entry began with */
    _Atomic uint32_t hits;
    _Atomic uint32_t pins;
    uint32_t next; /* in the chain of a bucket, of free slots, or of removed entries */
    uint32_t older;
    uint32_t newer;
    uint32_t stamp; /* the cache's tick when it became its class's newest */
    uint32_t body_size;
    uint16_t key_size;
    _Atomic uint8_t marked; /* looked up since it became the newest */
    uint8_t state;
};

struct cache_bucket {
    _Atomic uint32_t lock;
    uint32_t overflow;
    uint32_t unused[2];
    uint16_t tags[CACHE_BUCKET_PLACES];
    uint32_t references[CACHE_BUCKET_PLACES];
};

/* Describes a span in its first page; of the others only `head` counts. */
struct cache_page {
    uint32_t head;
    uint32_t page_count;
    uint32_t free; /* freed slots */
    uint32_t next; /* spans of the class with room */
    uint32_t previous;
    uint16_t slots_used;
    uint16_t slots_fresh; /* how many slots were ever used */
    uint8_t size_class;
    bool listed;
};

struct cache_size_class {
    uint32_t slot_bytes; /* 0: the class of large entries */
    uint32_t span_pages;
    uint32_t span_slots;
    uint32_t roomy; /* first span with room */
    uint32_t newest;
    uint32_t oldest;
};

/* Counters that any thread adds to, apart by CPU so that no line travels per look-up. */
struct cache_lane {
    _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    uint8_t padding[CACHE_LINE_BYTES - 2 * sizeof(uint64_t)];
};

struct cache {
    /* Fixed after creation. */
    uint8_t *base;
    struct cache_bucket *buckets;
    struct cache_page *pages;
    uint64_t *pages_used; /* a bit a page */
    struct cache_lane *lanes;
    uint64_t bytes_max;
    uint64_t mapping_bytes;
    uint64_t data_offset;
    uint32_t bucket_count;
    uint32_t page_count; /* 0: the cache is off */
    uint32_t page_shift;
    uint32_t lane_count;
    uint32_t size_class_count; /* with the class of large entries, the last */
    bool shared;

    /* The owner's. */
    uint32_t tick;
    uint32_t page_hint; /* no page below it is free */
    uint32_t pages_free;
    uint32_t removed_first; /* removed while pinned, oldest first */
    uint32_t removed_last;
    uint32_t expire_bucket;
    uint32_t replaced_count; /* only read where a bug is planted */
    uint64_t occupied;       /* a bit a size class that has entries */
    uint32_t oldest_stamps[CACHE_SIZE_CLASS_COUNT_MAX];
    struct cache_size_class size_classes[CACHE_SIZE_CLASS_COUNT_MAX];

    /* Written by the owner, read by any thread. */
    _Atomic uint64_t fills;
    _Atomic uint64_t evictions;
    _Atomic uint64_t expiries;
    _Atomic uint64_t refused;
    _Atomic uint64_t entries;
    _Atomic uint64_t bytes;
};

static_assert(sizeof(struct cache_bucket) == CACHE_LINE_BYTES, "a bucket is one cache line");
static_assert(sizeof(struct cache_lane) == CACHE_LINE_BYTES, "a lane is one cache line");
static_assert(sizeof(struct cache_entry) == 112,
              "the head of an entry; it is paid once per record");
static_assert(sizeof(struct cache_entry) < CACHE_SLOT_BYTES_MIN, "the smallest slot holds a head");
static_assert(CACHE_SIZE_CLASS_COUNT_MAX <= 64, "one bit a class");
static_assert(CACHE_SPAN_PAGES_MAX * CACHE_PAGE_BYTES_MAX / CACHE_SLOT_BYTES_MIN <= UINT16_MAX,
              "slots are counted in 16 bits");

static inline struct cache_entry *cache_entry_at(const struct cache *cache, uint32_t reference)
{
    return (struct cache_entry *)(void *)(cache->base +
                                          (uint64_t)reference * CACHE_REFERENCE_BYTES);
}

static inline uint32_t cache_reference_of(const struct cache *cache,
                                          const struct cache_entry *entry)
{
    return (uint32_t)((uint64_t)((const uint8_t *)entry - cache->base) / CACHE_REFERENCE_BYTES);
}

static inline uint8_t *cache_entry_key(const struct cache_entry *entry)
{
    return (uint8_t *)(uintptr_t)entry + sizeof(*entry);
}

static inline uint8_t *cache_entry_body(const struct cache_entry *entry)
{
    return cache_entry_key(entry) + entry->key_size;
}

static inline uint32_t cache_page_of(const struct cache *cache, const struct cache_entry *entry)
{
    uint64_t offset = (uint64_t)((const uint8_t *)entry - cache->base);
    return (uint32_t)((offset - cache->data_offset) >> cache->page_shift);
}

/* Neither the lowest nor the highest byte counts: the lowest chooses the shard, so that in one
 * shard it has few values, and the engine turns it up to the top. */
static inline struct cache_bucket *cache_bucket_of(const struct cache *cache, uint64_t hash)
{
    return &cache->buckets[((hash >> 24 & UINT32_MAX) * cache->bucket_count) >> 32];
}

/* The owner is the only writer, so an addition need not be atomic, only its parts. */
static inline void cache_count(_Atomic uint64_t *counter, int64_t difference)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)difference, memory_order_relaxed);
}

/* ---- cache_index.c ---- */

MUST_USE bool cache_bucket_try_lock(const struct cache *cache, struct cache_bucket *bucket);
void cache_bucket_unlock(const struct cache *cache, struct cache_bucket *bucket);
/* Under the lock, or by the owner. NULL: not there. */
struct cache_entry *cache_index_find(const struct cache *cache, struct cache_bucket *bucket,
                                     uint64_t hash, struct bytes key);
/* Owner. Links entry in the place of the one with its key, which it returns unlinked, or NULL. */
struct cache_entry *cache_index_put(struct cache *cache, struct cache_entry *entry);
void cache_index_unlink(struct cache *cache, struct cache_entry *entry); /* owner */

/* ---- cache_memory.c; the owner calls ---- */

void cache_memory_init(struct cache *cache);
/* Room for an entry of this many bytes, head included, after evicting if need be; NULL when there
 * is none to be had. */
struct cache_entry *cache_memory_allocate(struct cache *cache, uint64_t entry_bytes);
/* Makes entry its class's newest. */
void cache_memory_link(struct cache *cache, struct cache_entry *entry);
/* Takes an entry that is out of the index out of its class's ages and frees it, at once or when it
 * is unpinned. */
void cache_memory_release(struct cache *cache, struct cache_entry *entry);
/* Frees what was removed while pinned and is pinned no longer; looks at a bounded number. */
void cache_memory_reap(struct cache *cache);

/* ---- cache_check.c; for tests, with no other thread about ---- */

/* Asserts every invariant of the whole structure. */
void cache_check(const struct cache *cache);

#endif
