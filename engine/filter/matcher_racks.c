/*
 * The racks of a matcher: all hooks that are found by one hash, side by side. Each repeats a guard
 * of its condition, so that a value that many conditions name, a brand or a category, passes over
 * those that other values rule out without a look at them.
 *
 * Most racks have one hook, which is in the rack itself.
 */
#include <assert.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

#define RACK_HOOKS_FIRST 4
/* Of a rack so much is asked for at once; the processor sees the rest coming. */
#define LINE_BYTES      64
#define RACK_LINES_SEEN 8

static_assert(sizeof(struct rack) == 32, "two racks in a cache line");

/* ---- finding one ---- */

static uint32_t *rack_link(const struct matcher *matcher, uint32_t id, uint64_t *hash_out)
{
    struct rack *rack = rack_at(matcher, id);
    *hash_out = rack->hash;
    return &rack->chain_next;
}

static struct bucket *bucket_of(const struct matcher *matcher, uint32_t hash)
{
    return &matcher->rack_buckets.heads[hash & matcher->rack_buckets.mask];
}

/* From the first of a chain. */
static uint32_t rack_find(const struct matcher *matcher, uint32_t id, uint32_t hash)
{
    while (id != NONE && rack_at(matcher, id)->hash != hash) {
        id = rack_at(matcher, id)->chain_next;
    }
    return id;
}

static struct hooked *hooked_of(struct rack *rack)
{
    return rack->count <= 1 ? &rack->only : rack->many;
}

/* Behind what is looked at stand the hooks' numbers, which only adding and removing needs. */
static uint32_t *hooks_of(struct rack *rack)
{
    return rack->count <= 1 ? &rack->hook : (uint32_t *)(void *)(rack->many + rack->capacity);
}

static size_t many_bytes(uint32_t capacity)
{
    return capacity * (sizeof(struct hooked) + sizeof(uint32_t));
}

/* ---- adding, removing ---- */

static uint32_t rack_create(struct matcher *matcher, uint32_t hash)
{
    uint32_t id;
    if (!buckets_reserve(matcher, &matcher->rack_buckets, rack_link) ||
        !pool_take(matcher, &matcher->racks, &id)) {
        return NONE;
    }
    struct rack *rack = rack_at(matcher, id);
    struct bucket *bucket = bucket_of(matcher, hash);
    rack->hash = hash;
    rack->chain_next = bucket->first;
    bucket->first = id;
    bucket->present |= bucket_bit(hash);
    matcher->rack_buckets.count++;
    return id;
}

/* The last one of a chain takes the chain's bits with it. */
static void rack_destroy(struct matcher *matcher, uint32_t id)
{
    const struct rack *rack = rack_at(matcher, id);
    struct bucket *bucket = bucket_of(matcher, rack->hash);
    uint32_t *link = &bucket->first;
    ASSERT(rack->count == 0);
    while (*link != id) {
        link = &rack_at(matcher, *link)->chain_next;
    }
    *link = rack->chain_next;
    bucket->present = bucket->first == NONE ? 0 : bucket->present;
    ASSERT(matcher->rack_buckets.count > 0);
    matcher->rack_buckets.count--;
    pool_give(&matcher->racks, id);
}

/* What is in the rack moves into a block of its own, or into one of twice the room. */
static bool rack_grow(struct matcher *matcher, struct rack *rack)
{
    uint32_t capacity = rack->count == 1 ? RACK_HOOKS_FIRST : 2 * rack->capacity;
    struct hooked *many = matcher_allocate(matcher, many_bytes(capacity));
    if (many == NULL) {
        return false;
    }
    memcpy(many, hooked_of(rack), rack->count * sizeof(*many));
    memcpy(many + capacity, hooks_of(rack), rack->count * sizeof(uint32_t));
    if (rack->count > 1) {
        matcher_free(matcher, rack->many, many_bytes(rack->capacity));
    }
    rack->many = many;
    rack->capacity = capacity;
    return true;
}

bool racks_insert(struct matcher *matcher, uint32_t hash, uint32_t hook_id)
{
    uint32_t id = matcher->rack_buckets.heads == NULL
                      ? NONE
                      : rack_find(matcher, bucket_of(matcher, hash)->first, hash);
    id = id == NONE ? rack_create(matcher, hash) : id;
    if (id == NONE) {
        return false;
    }
    struct rack *rack = rack_at(matcher, id);
    struct hook *hook = hook_at(matcher, hook_id);
    ASSERT(hook->class != HOOK_RANGE);
    if ((rack->count == 1 || (rack->count > 1 && rack->count == rack->capacity)) &&
        !rack_grow(matcher, rack)) {
        return false;
    }
    hook->rack = id;
    hook->item = rack->count++;
    ASSERT(rack->count > 0);
    hooked_of(rack)[hook->item] = (struct hooked){.condition = hook->condition};
    hooks_of(rack)[hook->item] = hook_id;
    return true;
}

/* The last hook takes its place; the last but one moves back into the rack. */
void racks_remove(struct matcher *matcher, uint32_t hook_id)
{
    const struct hook *hook = hook_at(matcher, hook_id);
    struct rack *rack = rack_at(matcher, hook->rack);
    ASSERT(hook->item < rack->count);
    ASSERT(hooks_of(rack)[hook->item] == hook_id);
    uint32_t last = rack->count - 1;
    struct hooked *hooked = hooked_of(rack);
    uint32_t *hooks = hooks_of(rack);
    hooked[hook->item] = hooked[last];
    hooks[hook->item] = hooks[last];
    hook_at(matcher, hooks[last])->item = hook->item;
    rack->count--;
    if (rack->count == 1) {
        struct hooked kept = hooked[0];
        uint32_t kept_hook = hooks[0];
        matcher_free(matcher, rack->many, many_bytes(rack->capacity));
        rack->only = kept;
        rack->hook = kept_hook;
    } else if (rack->count == 0) {
        rack_destroy(matcher, hook->rack);
    }
}

struct guard *racks_guard(struct matcher *matcher, const struct hook *hook)
{
    struct rack *rack = rack_at(matcher, hook->rack);
    ASSERT(hook->item < rack->count);
    return &hooked_of(rack)[hook->item].guard;
}

/* ---- probes ---- */

static void fire_rack(struct matcher *matcher, struct rack *rack, bool is_whole)
{
    const struct hooked *hooked = hooked_of(rack);
    for (uint32_t item = 0; item < rack->count; item++) {
        if (!is_whole || guard_passes(matcher, &hooked[item].guard)) {
            matcher_fire(matcher, hooked[item].condition);
        }
    }
}

static void ask_for_rack(const struct rack *rack)
{
    if (rack->count > 1) {
        const uint8_t *from = (const uint8_t *)rack->many;
        size_t size = rack->count * sizeof(*rack->many);
        for (size_t at = 0; at < size && at < RACK_LINES_SEEN * LINE_BYTES; at += LINE_BYTES) {
            __builtin_prefetch(from + at);
        }
    }
}

/* In steps, each of which asks for what the next one needs, so that the misses of the cache
 * overlap. */
void racks_flush(struct matcher *matcher, bool is_whole)
{
    uint32_t ids[PROBES_MAX];
    uint32_t found = 0;
    for (uint32_t index = 0; index < matcher->probe_count; index++) {
        uint32_t hash = matcher->probes[index];
        const struct bucket *bucket = bucket_of(matcher, hash);
        if ((bucket->present & bucket_bit(hash)) != 0) {
            matcher->probes[found] = hash;
            ids[found++] = bucket->first;
            __builtin_prefetch(rack_at(matcher, bucket->first));
        }
    }
    uint32_t kept = 0;
    for (uint32_t index = 0; index < found; index++) {
        uint32_t id = rack_find(matcher, ids[index], matcher->probes[index]);
        if (id != NONE) {
            ids[kept++] = id;
            ask_for_rack(rack_at(matcher, id));
        }
    }
    for (uint32_t index = 0; index < kept; index++) {
        fire_rack(matcher, rack_at(matcher, ids[index]), is_whole);
    }
    matcher->probe_count = 0;
}
