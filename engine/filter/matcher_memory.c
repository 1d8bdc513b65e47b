/* A matcher's memory: pools of numbered items, hash tables of chains, and how much there is. */
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

#define POOL_ITEMS_FIRST 16
#define BUCKETS_FIRST    64
#define HUGE_PAGE_BYTES  ((size_t)2 << 20)
#define LINE_BYTES       64

void *matcher_allocate(struct matcher *matcher, size_t size)
{
    void *memory = calloc(1, size);
    if (memory != NULL) {
        matcher->bytes += size;
    }
    return memory;
}

void matcher_free(struct matcher *matcher, void *memory, size_t size)
{
    if (memory != NULL) {
        ASSERT(matcher->bytes >= size);
        matcher->bytes -= size;
        free(memory);
    }
}

/*
 * Large arrays are read all over: huge pages save a fault of the address cache at each step. Items
 * are of a size that divides a line of the cache, or is some of them, and begin where one does.
 */
static void *allocate_aligned(size_t size)
{
    void *memory;
    size_t alignment = size >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : LINE_BYTES;
    if (posix_memalign(&memory, alignment, size) != 0) {
        return NULL;
    }
    if (size >= HUGE_PAGE_BYTES) {
        /* Where the kernel has none, it is slower, that is all. */
        (void)madvise(memory, size & ~(HUGE_PAGE_BYTES - 1), MADV_HUGEPAGE);
    }
    return memory;
}

bool matcher_reserve(struct matcher *matcher, void *array, uint32_t count, uint32_t *capacity,
                     size_t item_bytes)
{
    if (count <= *capacity) {
        return true;
    }
    uint64_t wanted = *capacity < POOL_ITEMS_FIRST / 2 ? POOL_ITEMS_FIRST : 2 * (uint64_t)*capacity;
    wanted = wanted < count ? count : wanted;
    void *old;
    memcpy(&old, array, sizeof(old));
    size_t size;
    uint8_t *grown = wanted < NONE && size_multiply((size_t)wanted, item_bytes, &size)
                         ? allocate_aligned(size)
                         : NULL;
    if (grown == NULL) {
        return false;
    }
    size_t size_before = *capacity * item_bytes;
    if (old != NULL) {
        memcpy(grown, old, size_before);
        free(old);
    }
    memset(grown + size_before, 0, size - size_before);
    matcher->bytes += size - size_before;
    memcpy(array, &grown, sizeof(grown));
    *capacity = (uint32_t)wanted;
    return true;
}

bool pool_take(struct matcher *matcher, struct pool *pool, uint32_t *id_out)
{
    if (pool->free_count > 0) {
        uint8_t *item = pool->items + pool->free_first * pool->item_bytes;
        *id_out = pool->free_first;
        memcpy(&pool->free_first, item, sizeof(pool->free_first));
        pool->free_count--;
        memset(item, 0, pool->item_bytes);
        return true;
    }
    if (!matcher_reserve(matcher, &pool->items, pool->count + 1, &pool->capacity,
                         pool->item_bytes)) {
        return false;
    }
    *id_out = pool->count++;
    memset(pool->items + *id_out * pool->item_bytes, 0, pool->item_bytes);
    return true;
}

void pool_give(struct pool *pool, uint32_t id)
{
    ASSERT(id < pool->count);
    ASSERT(pool->free_count < pool->count);
    uint8_t *item = pool->items + id * pool->item_bytes;
    memset(item, 0, pool->item_bytes);
    memcpy(item, &pool->free_first, sizeof(pool->free_first));
    pool->free_first = id;
    pool->free_count++;
}

/* Twice the heads when there are as many items: what one more costs is constant on the whole. */
bool buckets_reserve(struct matcher *matcher, struct buckets *buckets, bucket_link link)
{
    size_t head_count = buckets->heads == NULL ? 0 : (size_t)buckets->mask + 1;
    if (buckets->count < head_count) {
        return true;
    }
    size_t wanted = head_count == 0 ? BUCKETS_FIRST : 2 * head_count;
    struct bucket *heads = matcher_allocate(matcher, wanted * sizeof(*heads));
    if (heads == NULL) {
        return head_count > 0; /* longer chains */
    }
    for (size_t index = 0; index < wanted; index++) {
        heads[index].first = NONE;
    }
    for (size_t index = 0; index < head_count; index++) {
        uint32_t id = buckets->heads[index].first;
        while (id != NONE) {
            uint64_t hash;
            uint32_t *next = link(matcher, id, &hash);
            uint32_t following = *next;
            struct bucket *bucket = &heads[hash & (wanted - 1)];
            *next = bucket->first;
            bucket->first = id;
            bucket->present |= bucket_bit(hash);
            id = following;
        }
    }
    matcher_free(matcher, buckets->heads, head_count * sizeof(*heads));
    buckets->heads = heads;
    buckets->mask = (uint32_t)(wanted - 1);
    return true;
}
