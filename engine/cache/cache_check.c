/*
 * cache_check.c: asserts that a cache is whole. Tests call it; nothing that serves does.
 *
 * It walks the index, the ages, the spans and the removed, each on its own, and compares what they
 * count.
 */
#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"

static void check_entry(const struct cache *cache, uint32_t bucket, uint32_t reference)
{
    const struct cache_entry *entry = cache_entry_at(cache, reference);
    ASSERT(entry->state == CACHE_ENTRY_LIVE);
    ASSERT(entry->bucket == bucket);
    uint32_t head = cache->pages[cache_page_of(cache, entry)].head;
    uint32_t size_class = cache->pages[head].size_class;
    uint64_t room = cache->size_classes[size_class].slot_bytes;
    uint64_t size = cache_entry_head_size(entry->kind) + entry->key_size + entry->body_size;
    if (room == 0) {
        room = (uint64_t)cache->pages[head].page_count << cache->page_shift;
    }
    ASSERT(size <= room);
    ASSERT(size_class == 0 || size > cache->size_classes[size_class - 1].slot_bytes);
}

static uint64_t check_index(const struct cache *cache)
{
    uint64_t entries = 0;
    for (uint32_t i = 0; i < cache->bucket_count; i++) {
        const struct cache_bucket *bucket = &cache->buckets[i];
        unsigned places = 0;
        ASSERT(atomic_load(&bucket->lock) == 0);
        for (unsigned place = 0; place < CACHE_BUCKET_PLACES; place++) {
            if (bucket->references[place] != 0) {
                const struct cache_entry *entry = cache_entry_at(cache, bucket->references[place]);
                check_entry(cache, i, bucket->references[place]);
                ASSERT(entry->next == 0);
                ASSERT(entry->tag == bucket->tags[place]);
                places++;
            }
        }
        ASSERT(bucket->overflow == 0 || places == CACHE_BUCKET_PLACES);
        uint32_t reference = bucket->overflow;
        while (reference != 0) {
            check_entry(cache, i, reference);
            places++;
            reference = cache_entry_at(cache, reference)->next;
        }
        entries += places;
    }
    return entries;
}

static uint64_t check_ages(const struct cache *cache)
{
    uint64_t entries = 0;
    for (uint32_t i = 0; i < cache->size_class_count; i++) {
        const struct cache_size_class *class = &cache->size_classes[i];
        uint32_t newer = 0;
        ASSERT((class->newest == 0) == (class->oldest == 0));
        ASSERT((cache->occupied >> i & 1) == (class->oldest != 0));
        for (uint32_t at = class->newest; at != 0; at = cache_entry_at(cache, at)->older) {
            const struct cache_entry *entry = cache_entry_at(cache, at);
            ASSERT(entry->state == CACHE_ENTRY_LIVE);
            ASSERT(entry->newer == newer);
            ASSERT(entry->older != 0 || class->oldest == at);
            ASSERT(entry->older != 0 || cache->oldest_stamps[i] == entry->stamp);
            newer = at;
            entries++;
        }
    }
    return entries;
}

static uint64_t check_span(const struct cache *cache, uint32_t head)
{
    const struct cache_page *span = &cache->pages[head];
    const struct cache_size_class *class = &cache->size_classes[span->size_class];
    uint64_t live = 0;
    unsigned used = 0;
    ASSERT(span->head == head);
    ASSERT(span->slots_used > 0 && span->slots_used <= span->slots_fresh);
    ASSERT(span->slots_fresh <= class->span_slots);
    ASSERT(span->listed == (span->slots_used < class->span_slots));
    for (uint32_t i = 0; i < span->slots_fresh; i++) {
        const struct cache_entry *entry = cache_entry_at(
            cache, (uint32_t)((cache->data_offset + ((uint64_t)head << cache->page_shift) +
                               (uint64_t)i * class->slot_bytes) /
                              CACHE_REFERENCE_BYTES));
        used += entry->state != CACHE_ENTRY_FREE;
        live += entry->state == CACHE_ENTRY_LIVE;
    }
    ASSERT(used == span->slots_used);
    return live;
}

static uint64_t check_pages(const struct cache *cache)
{
    uint64_t live = 0;
    uint32_t free = 0;
    uint32_t page = 0;
    while (page < cache->page_count) {
        if ((cache->pages_used[page / 64] >> (page % 64) & 1) == 0) {
            ASSERT(page >= cache->page_hint);
            free++;
            page++;
        } else {
            live += check_span(cache, page);
            page += cache->pages[page].page_count;
        }
    }
    ASSERT(page == cache->page_count);
    ASSERT(free == cache->pages_free);
    return live;
}

void cache_check(const struct cache *cache)
{
    if (cache->page_count == 0) {
        return;
    }
    uint64_t entries = atomic_load(&cache->entries);
    uint64_t bytes = atomic_load(&cache->bytes);
    ASSERT(check_index(cache) == entries);
    ASSERT(check_ages(cache) == entries);
    ASSERT(check_pages(cache) == entries);
    ASSERT(bytes <= cache->bytes_max);
    ASSERT(bytes == cache->data_offset +
                        ((uint64_t)(cache->page_count - cache->pages_free) << cache->page_shift));
    for (uint32_t at = cache->removed_first; at != 0; at = cache_entry_at(cache, at)->next) {
        ASSERT(cache_entry_at(cache, at)->state == CACHE_ENTRY_REMOVED);
    }
}
