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
 * Entry: a head of 64 bytes, which is paid once per record, so numbers are as wide as they get in
 * the life of a server and not wider. What few entries have stands behind the head of those.
 *
 *     entry    | head, 64 bytes | rare, 14 bytes, or nothing | key | body |
 *
 * Data: pages are handed out in runs. A run is a span: either the slots of one size class, or one
 * large entry. Slots that were freed are chained in their span, spans with room are listed in their
 * class, an empty span gives its pages back.
 *
 *     span of class 416   | entry | entry | free | entry | fresh ... |
 *     span of one entry   | head, key, body ........................ | rest of the last page |
 *
 * Coldness: each class keeps its entries by age. A class without room takes its own oldest entry,
 * unless another class's oldest is clearly older: then the span of that one, and what is in it,
 * goes over to the class in need.
 *
 * Who writes what: everything belongs to the owner, who may read it without a lock. Under a
 * bucket's lock: its tags, references and chain, and `hits` and the raising of `pins` of its
 * entries, so that who looks at `pins` there may find it too high, never too low. Atomic without
 * it: `marked`, the lowering of `pins`, the lanes. What an entry says of its body is written before
 * it is in the index, and never again.
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
/* Slots of at most four pages from 128 bytes to 256 KiB: eight sizes per doubling from 256 bytes to
 * 4 KiB, where the records are, else four; and the class of large entries. */
#define CACHE_SIZE_CLASS_COUNT_MAX 62
/* Up to here the class of a size is looked up. Every size of a slot is so many references. */
#define CACHE_FINE_BYTES   4096u
#define CACHE_FINE_CLASSES (CACHE_FINE_BYTES / CACHE_REFERENCE_BYTES)
/* An entry may take at most this part of all pages. */
#define CACHE_ENTRY_PART 4

#define CACHE_PAGE_NONE UINT32_MAX

enum cache_entry_state { CACHE_ENTRY_FREE, CACHE_ENTRY_LIVE, CACHE_ENTRY_REMOVED };

/* The bits of a kind. */
#define CACHE_KIND_CLASS      0x03u /* an enum cache_class */
#define CACHE_KIND_ABSENT     0x04u
#define CACHE_KIND_RARE       0x08u /* a struct cache_rare follows the head */
#define CACHE_KIND_FORM_SHIFT 4

/* The first half is the owner's, for what a put or an eviction does to other entries; the second
 * is what the entry says of its body. The epoch has 32 bits (one is added by a start after a
 * crash), the sequence and the version 48 (nine years at a million writes a second) and made_at_ms
 * as many (until the year 10889): what is beyond is not cached. */
struct cache_entry {
    uint32_t next; /* in the chain of a bucket, of free slots, or of removed entries */
    uint32_t older;
    uint32_t newer;
    uint32_t stamp;  /* the cache's tick when it became its class's newest */
    uint32_t bucket; /* where it is in the index: all of its hash that is needed, with the tag */
    uint16_t tag;
    uint16_t key_size;
    _Atomic uint32_t hits;
    _Atomic uint8_t pins;
    _Atomic uint8_t marked; /* looked up since it became the newest */
    uint8_t state;
    uint8_t kind;

    uint64_t expires_at_ns;
    uint32_t body_size;
    uint32_t version_low; /* of one that is wider, the rare part has the rest */
    uint32_t epoch;
    uint32_t sequence_low;
    uint32_t made_at_ms_low;
    uint16_t sequence_high;
    uint16_t made_at_ms_high;
};

/* What an entry that may become popular says besides, or one whose version is wide. Packed, for one
 * byte too many costs 32 to 512. */
struct __attribute__((packed)) cache_rare {
    uint64_t popular_expires_at_ns;
    uint32_t popular_hits;
    uint16_t version_high;
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
    uint8_t fine_classes[CACHE_FINE_CLASSES]; /* by size in references, rounded up, less one */
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
static_assert(sizeof(struct cache_entry) == 64, "the head of an entry; it is paid once per record");
static_assert(offsetof(struct cache_entry, expires_at_ns) == CACHE_REFERENCE_BYTES,
              "the owner's half lies in one line, wherever the entry begins");
static_assert(sizeof(struct cache_rare) == 14, "nothing of it is padding");
static_assert(sizeof(struct cache_entry) + sizeof(struct cache_rare) < CACHE_SLOT_BYTES_MIN,
              "the smallest slot holds a head");
static_assert(CACHE_CLASS_COUNT - 1 <= CACHE_KIND_CLASS, "a class fits into a kind");
static_assert(CACHE_FORM_MAX << CACHE_KIND_FORM_SHIFT <= UINT8_MAX, "a form fits into a kind");
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

/* NULL: the entry has none. */
static inline struct cache_rare *cache_entry_rare(const struct cache_entry *entry)
{
    bool is_there = (entry->kind & CACHE_KIND_RARE) != 0;
    return is_there ? (struct cache_rare *)((uintptr_t)entry + sizeof(*entry)) : NULL;
}

static inline size_t cache_entry_head_size(uint8_t kind)
{
    return sizeof(struct cache_entry) +
           ((kind & CACHE_KIND_RARE) != 0 ? sizeof(struct cache_rare) : 0);
}

static inline uint8_t *cache_entry_key(const struct cache_entry *entry)
{
    return (uint8_t *)(uintptr_t)entry + cache_entry_head_size(entry->kind);
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
static inline uint32_t cache_bucket_index(const struct cache *cache, uint64_t hash)
{
    return (uint32_t)(((hash >> 24 & UINT32_MAX) * cache->bucket_count) >> 32);
}

static inline struct cache_bucket *cache_bucket_of(const struct cache *cache, uint64_t hash)
{
    return &cache->buckets[cache_bucket_index(cache, hash)];
}

static inline uint16_t cache_tag_of(uint64_t hash)
{
    /* The bits above choose the bucket, those below the shard. */
    return (uint16_t)(hash >> 8);
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
                                     uint16_t tag, struct bytes key);
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
