/*
 * cache_index.c: buckets of tags and references, and their locks. See cache_internal.h.
 */
#include <sched.h>
#include <string.h>

#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/relax.h"

/* A copy of 4 KiB under the lock takes about 100 ns; this many pauses are a few times that. */
#define LOCK_TRIES 64
/* The holder has lost its CPU, most likely: let it have ours. */
#define OWNER_TRIES_BEFORE_YIELD 256

static bool try_lock(struct cache_bucket *bucket, unsigned tries)
{
    for (unsigned i = 0; i < tries; i++) {
        if (atomic_load_explicit(&bucket->lock, memory_order_relaxed) == 0 &&
            atomic_exchange_explicit(&bucket->lock, 1, memory_order_acquire) == 0) {
            return true;
        }
        cpu_relax();
    }
    return false;
}

bool cache_bucket_try_lock(const struct cache *cache, struct cache_bucket *bucket)
{
    return !cache->shared || try_lock(bucket, LOCK_TRIES);
}

/* The owner has to get it: what it removes must be gone when it answers. Readers hold a lock for a
 * look-up only. */
static void owner_lock(const struct cache *cache, struct cache_bucket *bucket)
{
    while (cache->shared && !try_lock(bucket, OWNER_TRIES_BEFORE_YIELD)) {
        sched_yield();
    }
}

void cache_bucket_unlock(const struct cache *cache, struct cache_bucket *bucket)
{
    if (cache->shared) {
        atomic_store_explicit(&bucket->lock, 0, memory_order_release);
    }
}

static bool has_key(const struct cache_entry *entry, struct bytes key)
{
    return bytes_equal(bytes_of(cache_entry_key(entry), entry->key_size), key);
}

static_assert(CACHE_BUCKET_PLACES == 2 * 4, "tags are compared in two words of four");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first tag is in a word's low bits");

/* A bit for each place that may hold the key: bit 16 * n for place n, 16 * n + 1 for place n + 4. A
 * place too many does no harm: an empty one, whose tag is 0, or the one behind a place with the tag
 * when its own differs in the lowest bit only, from which the subtraction borrows. */
static uint64_t places_with_tag(const struct cache_bucket *bucket, uint16_t tag)
{
    static const uint64_t ones = 0x0001000100010001;
    uint64_t places = 0;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t tags;
        memcpy(&tags, &bucket->tags[4 * i], sizeof(tags));
        uint64_t differing = tags ^ (ones * tag);
        uint64_t equal = (differing - ones) & ~differing & (ones << 15);
        places |= equal >> (15 - i);
    }
    return places;
}

/* An entry's head, key and a small body lie in consecutive lines; asking for all at once pays for
 * one miss, not two. */
static void prefetch_entry(const struct cache_entry *entry)
{
    const uint8_t *at = (const uint8_t *)entry;
    for (unsigned i = 0; i < 7; i++) {
        __builtin_prefetch(at + (size_t)i * CACHE_LINE_BYTES);
    }
}

/* The reference that leads to the entry, in the bucket or in a chained entry; NULL: not there. */
static uint32_t *find_link(const struct cache *cache, struct cache_bucket *bucket, uint16_t tag,
                           struct bytes key)
{
    uint64_t places = places_with_tag(bucket, tag);
    while (places != 0) {
        unsigned bit = (unsigned)__builtin_ctzll(places);
        uint32_t *link = &bucket->references[bit / 16 + bit % 16 * 4];
        struct cache_entry *entry = cache_entry_at(cache, *link);
        prefetch_entry(entry);
        if (*link != 0 && has_key(entry, key)) {
            return link;
        }
        places &= places - 1;
    }
    /* Bounded by the entries of one bucket. */
    for (uint32_t *link = &bucket->overflow; *link != 0;
         link = &cache_entry_at(cache, *link)->next) {
        const struct cache_entry *entry = cache_entry_at(cache, *link);
        if (entry->tag == tag && has_key(entry, key)) {
            return link;
        }
    }
    return NULL;
}

struct cache_entry *cache_index_find(const struct cache *cache, struct cache_bucket *bucket,
                                     uint16_t tag, struct bytes key)
{
    const uint32_t *link = find_link(cache, bucket, tag, key);
    return link == NULL ? NULL : cache_entry_at(cache, *link);
}

/* cache_prefetch_entry reads places without the lock, so they are written atomically. */
static void place_set(struct cache_bucket *bucket, unsigned place, uint16_t tag, uint32_t reference)
{
    __atomic_store_n(&bucket->tags[place], tag, __ATOMIC_RELAXED);
    __atomic_store_n(&bucket->references[place], reference, __ATOMIC_RELAXED);
}

static unsigned place_of(const struct cache_bucket *bucket, uint32_t reference)
{
    unsigned place = 0;
    while (place < CACHE_BUCKET_PLACES && bucket->references[place] != reference) {
        place++;
    }
    return place;
}

struct cache_entry *cache_index_put(struct cache *cache, struct cache_entry *entry)
{
    uint32_t reference = cache_reference_of(cache, entry);
    struct cache_bucket *bucket = &cache->buckets[entry->bucket];
    struct bytes key = bytes_of(cache_entry_key(entry), entry->key_size);
    struct cache_entry *old = NULL;

    ASSERT(entry->state == CACHE_ENTRY_LIVE && entry->next == 0);
    uint32_t *link = find_link(cache, bucket, entry->tag, key);
    unsigned place = place_of(bucket, 0);
    owner_lock(cache, bucket);
    if (link != NULL) {
        old = cache_entry_at(cache, *link);
        entry->next = old->next;
        __atomic_store_n(link, reference, __ATOMIC_RELAXED);
    } else if (place < CACHE_BUCKET_PLACES) {
        place_set(bucket, place, entry->tag, reference);
    } else {
        entry->next = bucket->overflow;
        bucket->overflow = reference;
    }
    cache_bucket_unlock(cache, bucket);
    ASSERT(old != entry);
    return old;
}

void cache_index_unlink(struct cache *cache, struct cache_entry *entry)
{
    uint32_t reference = cache_reference_of(cache, entry);
    struct cache_bucket *bucket = &cache->buckets[entry->bucket];
    unsigned place = place_of(bucket, reference);

    ASSERT(entry->state == CACHE_ENTRY_LIVE);
    uint32_t *link = &bucket->overflow;
    while (place == CACHE_BUCKET_PLACES && *link != reference) {
        ASSERT(*link != 0);
        link = &cache_entry_at(cache, *link)->next;
    }
    owner_lock(cache, bucket);
    if (place == CACHE_BUCKET_PLACES) {
        *link = entry->next;
    } else if (bucket->overflow != 0) {
        struct cache_entry *first = cache_entry_at(cache, bucket->overflow);
        place_set(bucket, place, first->tag, bucket->overflow);
        bucket->overflow = first->next;
        first->next = 0;
    } else {
        place_set(bucket, place, 0, 0);
    }
    cache_bucket_unlock(cache, bucket);
}

void cache_prefetch(const struct cache *cache, uint64_t hash)
{
    if (cache->page_count != 0) {
        __builtin_prefetch(cache_bucket_of(cache, hash));
    }
}

void cache_prefetch_entry(const struct cache *cache, uint64_t hash)
{
    if (cache->page_count == 0) {
        return;
    }
    const struct cache_bucket *bucket = cache_bucket_of(cache, hash);
    for (unsigned i = 0; i < CACHE_BUCKET_PLACES; i++) {
        if (__atomic_load_n(&bucket->tags[i], __ATOMIC_RELAXED) == cache_tag_of(hash)) {
            /* It may be gone, or another's, by now: a prefetch of any address in the mapping harms
             * nobody. */
            uint32_t reference = __atomic_load_n(&bucket->references[i], __ATOMIC_RELAXED);
            prefetch_entry(cache_entry_at(cache, reference));
            return;
        }
    }
}
