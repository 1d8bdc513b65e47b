#include "protocol/document/members.h"

#include <assert.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/base/assert.h"

/* Runs of this many entries are sorted by insertion before they are merged. */
#define SORT_RUN_COUNT 8
/* From so many entries on, they are dealt into as many buckets first. */
#define SORT_BUCKET_COUNT 4096
#define SORT_BUCKET_SHIFT 52

static_assert(UINT64_MAX >> SORT_BUCKET_SHIFT == SORT_BUCKET_COUNT - 1, "every order has a bucket");

void members_deinit(struct members *members)
{
    if (members->items != members->local) {
        free(members->items);
    }
    members->items = members->local;
    members->count = 0;
    members->capacity = MEMBERS_LOCAL_MAX;
}

bool members_reserve(struct members *members, size_t more)
{
    ASSERT(members->count <= members->capacity);
    if (more <= members->capacity - members->count) {
        return true;
    }
    if (more > MEMBERS_COUNT_MAX - members->count) {
        return false;
    }
    size_t capacity = members->capacity;
    while (capacity - members->count < more) {
        capacity *= 2;
    }
    struct member *items = malloc(capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    memcpy(items, members->items, members->count * sizeof(*items));
    if (members->items != members->local) {
        free(members->items);
    }
    members->items = items;
    members->capacity = capacity;
    return true;
}

uint64_t member_order(struct bytes name)
{
    return XXH3_64bits(name.data, name.size);
}

static int compare_name(const struct member *a, const struct member *b, const uint8_t *base)
{
    return bytes_compare(member_name(a, base), member_name(b, base));
}

static inline bool is_before(const struct member *a, const struct member *b, const uint8_t *base)
{
    if (a->order != b->order) {
        return a->order < b->order;
    }
    return compare_name(a, b, base) < 0;
}

static void sort_run(struct member *items, size_t count, const uint8_t *base)
{
    for (size_t next = 1; next < count; next++) {
        struct member moving = items[next];
        size_t at = next;
        while (at > 0 && is_before(&moving, &items[at - 1], base)) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = moving;
    }
}

/*
 * Two sorted neighbours, [0, middle) and [middle, count), into one; entries of the same name keep
 * their order.
 */
static void merge_runs(const struct member *from, size_t middle, size_t count, struct member *to,
                       const uint8_t *base)
{
    size_t left = 0;
    size_t right = middle;
    for (size_t at = 0; at < count; at++) {
        bool take_right =
            left == middle || (right < count && is_before(&from[right], &from[left], base));
        to[at] = take_right ? from[right++] : from[left++];
    }
}

/* Sorts items, with as many entries of room; the result may end up in either, and is returned. */
static struct member *merge_sort(struct member *items, struct member *room, size_t count,
                                 const uint8_t *base)
{
    struct member *source = items;
    struct member *target = room;
    for (size_t at = 0; at < count; at += SORT_RUN_COUNT) {
        size_t left = count - at;
        sort_run(source + at, left < SORT_RUN_COUNT ? left : SORT_RUN_COUNT, base);
    }
    for (size_t run = SORT_RUN_COUNT; run < count; run *= 2) {
        for (size_t at = 0; at < count; at += 2 * run) {
            size_t left = count - at;
            size_t pair = left < 2 * run ? left : 2 * run;
            merge_runs(source + at, pair < run ? pair : run, pair, target + at, base);
        }
        struct member *swap = source;
        source = target;
        target = swap;
    }
    return source;
}

/*
 * Many entries are dealt into buckets by the first bits of their orders, which for hashes leaves a
 * few in each; where they are no hashes it costs one pass more. Entries of the same order keep
 * their sequence. The result is in items.
 */
static void bucket_sort(struct member *items, struct member *room, size_t count,
                        const uint8_t *base)
{
    uint32_t ends[SORT_BUCKET_COUNT] = {0};
    for (size_t at = 0; at < count; at++) {
        ends[items[at].order >> SORT_BUCKET_SHIFT]++;
    }
    uint32_t sum = 0;
    for (size_t bucket = 0; bucket < SORT_BUCKET_COUNT; bucket++) {
        uint32_t size = ends[bucket];
        ends[bucket] = sum; /* where it begins, and once dealt where it ends */
        sum += size;
    }
    ASSERT(sum == count);
    for (size_t at = 0; at < count; at++) {
        room[ends[items[at].order >> SORT_BUCKET_SHIFT]++] = items[at];
    }
    size_t from = 0;
    for (size_t bucket = 0; bucket < SORT_BUCKET_COUNT; bucket++) {
        size_t size = ends[bucket] - from;
        struct member *sorted = merge_sort(room + from, items + from, size, base);
        if (sorted != items + from) {
            memcpy(items + from, sorted, size * sizeof(*items));
        }
        from = ends[bucket];
    }
}

bool members_sort(struct members *members, size_t from, const uint8_t *base)
{
    ASSERT(from <= members->count);
    size_t count = members->count - from;
    if (count <= MEMBERS_LINEAR_MAX) {
        sort_run(members->items + from, count, base);
        return true;
    }
    if (!members_reserve(members, count)) {
        return false;
    }
    struct member *items = members->items + from;
    if (count >= SORT_BUCKET_COUNT) {
        bucket_sort(items, items + count, count, base);
    } else {
        struct member *sorted = merge_sort(items, items + count, count, base);
        if (sorted != items) {
            memcpy(items, sorted, count * sizeof(*items));
        }
    }
    ASSERT(!is_before(&items[count - 1], &items[0], base));
    return true;
}

struct member *members_find(const struct members *members, size_t from, size_t count,
                            const uint8_t *base, struct bytes name, uint64_t order)
{
    ASSERT(from + count <= members->count);
    struct member *items = members->items + from;
    if (count <= MEMBERS_LINEAR_MAX) {
        for (size_t at = 0; at < count; at++) {
            if (items[at].order == order && bytes_equal(member_name(&items[at], base), name)) {
                return &items[at];
            }
        }
        return NULL;
    }
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct member *item = &items[middle];
        int way = item->order != order ? (item->order < order ? -1 : 1)
                                       : bytes_compare(member_name(item, base), name);
        if (way == 0) {
            return item;
        }
        if (way < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static const struct member *find_duplicate_pairwise(const struct member *items, size_t count,
                                                    const uint8_t *base)
{
    for (size_t later = 1; later < count; later++) {
        for (size_t earlier = 0; earlier < later; earlier++) {
            if (items[earlier].order == items[later].order &&
                compare_name(&items[earlier], &items[later], base) == 0) {
                return &items[later];
            }
        }
    }
    return NULL;
}

enum status members_find_duplicate(struct members *members, size_t from, const uint8_t *base,
                                   const struct member **duplicate_out)
{
    ASSERT(from <= members->count);
    size_t count = members->count - from;
    if (count <= MEMBERS_LINEAR_MAX) {
        *duplicate_out = find_duplicate_pairwise(members->items + from, count, base);
        return STATUS_OK;
    }
    *duplicate_out = NULL;
    for (size_t at = from; at < members->count; at++) {
        members->items[at].order = member_order(member_name(&members->items[at], base));
    }
    if (!members_sort(members, from, base)) {
        return STATUS_NO_MEMORY;
    }
    for (size_t at = from + 1; at < members->count; at++) {
        const struct member *before = &members->items[at - 1];
        const struct member *here = &members->items[at];
        if (before->order == here->order && compare_name(before, here, base) == 0) {
            *duplicate_out = here;
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}
