/*
 * members.h: the names of an object gathered in a table, to find one or to see one twice without a
 * quadratic search. Internal to protocol/document.
 *
 * A table is a stack of slices, one per open object, so that a walk through nested objects needs
 * only one.
 *
 * Owner:     the function that walks; it lives on its C stack.
 * Memory:    the first MEMBERS_LOCAL_MAX entries are in place; more take a block, bounded by
 *            MEMBERS_COUNT_MAX.
 * Invariant: names are told apart by hash first, then by their bytes; sorting costs n log n
 *            whatever the names are, so a flood of equal hashes gains nothing and no secret seed is
 *            needed.
 * Tests:     through document.h, json.h and merge_patch.h.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_MEMBERS_H
#define FRESHET_PROTOCOL_DOCUMENT_MEMBERS_H

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MEMBERS_LOCAL_MAX 64
/* Up to so many names are compared one by one; beyond, they are sorted. */
#define MEMBERS_LINEAR_MAX 16
/* A member takes two bytes of MessagePack at least; sorting takes as much again. */
#define MEMBERS_COUNT_MAX ((size_t)DOCUMENT_BYTES_MAX)

/* Offsets count from a base that the caller passes, so that the bytes may move. */
struct member {
    uint64_t order; /* equal names have equal orders */
    uint32_t name_offset;
    uint32_t name_size;
    uint32_t value_offset;
    uint32_t value_size;
};

struct members {
    struct member *items;
    size_t count;
    size_t capacity;
    struct member local[MEMBERS_LOCAL_MAX];
};

static inline void members_init(struct members *members)
{
    members->items = members->local;
    members->count = 0;
    members->capacity = MEMBERS_LOCAL_MAX;
}

void members_deinit(struct members *members);

/* Room for `more` entries behind the last; false when there is no memory. */
bool members_reserve(struct members *members, size_t more);

/* A new entry, whose fields the caller fills; NULL when there is no memory. */
static inline struct member *members_push(struct members *members)
{
    if (members->count == members->capacity && !members_reserve(members, 1)) {
        return NULL;
    }
    return &members->items[members->count++];
}

static inline struct bytes member_name(const struct member *member, const uint8_t *base)
{
    return bytes_of(base + member->name_offset, member->name_size);
}

static inline struct bytes member_value(const struct member *member, const uint8_t *base)
{
    return bytes_of(base + member->value_offset, member->value_size);
}

/* The order of a name where the caller has no better one: its hash. */
uint64_t member_order(struct bytes name);

/* Sorts the slice [from, count) by order, then by name. False when there is no memory. */
bool members_sort(struct members *members, size_t from, const uint8_t *base);

/*
 * Finds a name in the slice [from, from + count), which members_sort has sorted if it is over
 * MEMBERS_LINEAR_MAX.
 */
struct member *members_find(const struct members *members, size_t from, size_t count,
                            const uint8_t *base, struct bytes name, uint64_t order);

/*
 * Looks for a name that occurs twice in the slice [from, count), which may be reordered.
 * *duplicate_out is the later entry of such a pair, or NULL. Orders are taken as they are in a
 * small slice, and set to the hash in a large one.
 */
MUST_USE enum status members_find_duplicate(struct members *members, size_t from,
                                            const uint8_t *base,
                                            const struct member **duplicate_out);

#ifdef __cplusplus
}
#endif

#endif
