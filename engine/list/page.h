/*
 * page.h: one page of a list: slices of several shards merged in id order, and the form in which a
 * page is cached.
 *
 * A slice holds a shard's records, rendered, in id order. A page ends at its limit, at
 * LIST_BYTES_MAX, or where a slice that was cut short has no more to give; it then names the last
 * id in it, after which the next page begins.
 *
 * A cached page is valid only while every shard's generation is the one its slice was read at:
 *
 *     u32 count, count x u64 generation, u16 size of next, JSON, next
 *
 * Owner:  a slice belongs to whoever fills it (a store thread), then to who merges. Nothing is
 * shared. Memory: a slice grows up to LIST_BYTES_MAX and one record; the merged page is one block
 * of malloc's. Tests:  tests/unit/engine/list/.
 */
#ifndef FRESHET_ENGINE_LIST_PAGE_H
#define FRESHET_ENGINE_LIST_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"

struct page_slice {
    uint8_t *data; /* items: u16 id size, u32 JSON size, id, JSON */
    size_t size;
    size_t capacity;
    uint32_t count;
    bool cut; /* there are more records than the slice holds */
};

void page_slice_deinit(struct page_slice *slice);
/* Appends a record, rendered as JSON. NO_MEMORY; DAMAGED when the document is none. */
MUST_USE enum status page_slice_add(struct page_slice *slice, struct bytes id,
                                    struct bytes document);
static inline bool page_slice_is_full(const struct page_slice *slice, uint32_t limit)
{
    return slice->count >= limit || slice->size >= LIST_BYTES_MAX;
}

struct page {
    uint8_t *memory;   /* malloc's: JSON, then next */
    struct bytes json; /* an array of records */
    struct bytes next; /* the last id of the page when there is more, else empty */
};

MUST_USE enum status page_merge(const struct page_slice *slices, uint32_t slice_count,
                                uint32_t limit, struct page *out);

/* The head of a cached page; what follows it is page.memory as it is. */
#define PAGE_HEAD_BYTES_MAX (4 + 8 * SHARD_COUNT_MAX + 2)
void page_head_write(const uint64_t *generations, uint32_t count, struct bytes next,
                     struct writer *out);
/* Views into cached; false when it is no page of count generations. body_out is JSON and next
 * together. */
bool page_read(struct bytes cached, uint32_t count, const uint8_t **generations_out,
               struct bytes *body_out, size_t *next_size_out);

#endif
