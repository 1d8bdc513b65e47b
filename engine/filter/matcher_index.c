/*
 * The index of a field: a hook for each test of each condition that has postings there, and the way
 * from a value to the hooks it may pass. What a hook is found by is a hash of a piece of the value:
 * a find is a guess until the condition is judged.
 */
#include <math.h>
#include <stdlib.h>

#include <xxhash.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

uint64_t value_hash(const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
    case VALUE_FALSE:
    case VALUE_TRUE:
        return hash_mix(UINT64_C(0x9FB21C651E98DF25), value->kind);
    case VALUE_NUMBER: {
        uint64_t bits = value->number.integer;
        if (!value->number.is_large) {
            memcpy(&bits, &value->number.nearest, sizeof(bits));
        }
        return hash_mix(UINT64_C(0xA0761D6478BD642F) + value->number.is_large, bits);
    }
    case VALUE_STRING:
        break;
    }
    return XXH3_64bits(value->text.data, value->text.size);
}

/* The place of a piece of a value in the one table of all hooks. */
static uint64_t hook_hash(uint32_t field, enum hook_class class, uint32_t size, uint64_t piece)
{
    uint64_t where = (uint64_t)field << 16 | (uint64_t) class << 8 | size;
    uint64_t hash = (piece ^ where * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
    return hash ^ hash >> 29;
}

/* Grows by a byte at a time, so that one pass gives the hash of each beginning. */
static inline uint64_t affix_step(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001B3) + 1;
}

static uint64_t affix_hash(struct bytes text, bool is_suffix)
{
    uint64_t hash = 0;
    for (size_t index = 0; index < text.size; index++) {
        hash = affix_step(hash, text.data[is_suffix ? text.size - 1 - index : index]);
    }
    return hash;
}

/* size: 1, 2, 4 or 8 */
static inline uint64_t gram_of(const uint8_t *at, size_t size)
{
    switch (size) {
    case 8:
        return get_u64(at);
    case 4:
        return get_u32(at);
    case 2:
        return get_u16(at);
    default: /* one byte */
        return at[0];
    }
}

static size_t gram_size(size_t piece_size)
{
    return piece_size >= 8 ? 8 : piece_size >= 4 ? 4 : piece_size >= 2 ? 2 : 1;
}

/* A block's bits beyond size are zero already. */
static uint64_t block_hash(const uint8_t bytes[16], uint32_t bits)
{
    uint8_t kept[16] = {0};
    memcpy(kept, bytes, bits / 8);
    if (bits % 8 != 0) {
        kept[bits / 8] = bytes[bits / 8] & (uint8_t)(0xFF00u >> bits % 8);
    }
    return hash_mix(get_u64(kept), get_u64(kept + 8));
}

/* ---- what a test is found by ---- */

struct hook_place {
    enum hook_class class;
    uint32_t size;
    uint64_t piece;
};

static struct hook_place affix_place(enum hook_class class, struct bytes text, bool is_suffix)
{
    size_t size = text.size < AFFIX_BYTES_MAX ? text.size : AFFIX_BYTES_MAX;
    struct bytes kept = bytes_slice(text, is_suffix ? text.size - size : 0, size);
    return (struct hook_place){class, (uint32_t)size, affix_hash(kept, is_suffix)};
}

static struct hook_place exact_place(const struct value *value)
{
    return (struct hook_place){HOOK_EXACT, 0, value_hash(value)};
}

static struct hook_place string_place(struct bytes text)
{
    struct value value = {.kind = VALUE_STRING, .text = text};
    return exact_place(&value);
}

/* The longest of its fixed beginning, its fixed end, and the pieces between. */
static struct hook_place wildcard_place(struct bytes wildcard)
{
    struct bytes longest = BYTES_EMPTY;
    size_t from = 0;
    size_t first_size = wildcard.size;
    size_t last_size = 0;
    for (size_t at = 0; at <= wildcard.size; at++) {
        if (at < wildcard.size && wildcard.data[at] != WILDCARD_STAR) {
            continue;
        }
        last_size = at - from;
        first_size = from == 0 ? last_size : first_size;
        if (last_size > longest.size) {
            longest = bytes_of(wildcard.data + from, last_size);
        }
        from = at + 1;
    }
    if (from == wildcard.size + 1 && first_size == wildcard.size) {
        return string_place(wildcard); /* no star at all */
    }
    size_t enough = longest.size < GRAM_BYTES_MAX ? longest.size : GRAM_BYTES_MAX;
    bool is_anchored = first_size >= enough || last_size >= enough;
    if (longest.size == 0) {
        return (struct hook_place){HOOK_ANY, 0, 0};
    }
    if (is_anchored && first_size >= last_size) {
        return affix_place(HOOK_PREFIX, bytes_slice(wildcard, 0, first_size), false);
    }
    if (is_anchored) {
        return affix_place(HOOK_SUFFIX, bytes_slice(wildcard, wildcard.size - last_size, last_size),
                           true);
    }
    size_t size = gram_size(longest.size);
    return (struct hook_place){HOOK_GRAM, (uint32_t)size, gram_of(longest.data, size)};
}

static struct hook_place place_of(const struct test *test)
{
    struct value value = {.kind = VALUE_NULL};
    switch (test->kind) {
    case TEST_NULL:
        break;
    case TEST_FALSE:
        value.kind = VALUE_FALSE;
        break;
    case TEST_TRUE:
        value.kind = VALUE_TRUE;
        break;
    case TEST_NUMBER:
        value.kind = VALUE_NUMBER;
        value.number = test->number;
        break;
    case TEST_STRING:
        return string_place(test->text);
    case TEST_FOLDED:
        return (struct hook_place){HOOK_FOLDED, 0, XXH3_64bits(test->text.data, test->text.size)};
    case TEST_PREFIX:
        return affix_place(HOOK_PREFIX, test->text, false);
    case TEST_SUFFIX:
        return affix_place(HOOK_SUFFIX, test->text, true);
    case TEST_PREFIX_FOLDED:
        return affix_place(HOOK_PREFIX_FOLDED, test->text, false);
    case TEST_SUFFIX_FOLDED:
        return affix_place(HOOK_SUFFIX_FOLDED, test->text, true);
    case TEST_WILDCARD:
        return wildcard_place(test->text);
    case TEST_BLOCK:
        return (struct hook_place){test->block.is_v6 ? HOOK_BLOCK_V6 : HOOK_BLOCK_V4,
                                   test->block.bits,
                                   block_hash(test->block.bytes, test->block.bits)};
    case TEST_RANGE:
        return (struct hook_place){HOOK_RANGE, 0, 0};
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        return (struct hook_place){HOOK_ANY, 0, 0};
    }
    return exact_place(&value);
}

/* ---- hooks ---- */

static uint32_t *hook_link(const struct matcher *matcher, uint32_t id, uint64_t *hash_out)
{
    struct hook *hook = hook_at(matcher, id);
    *hash_out = hook->hash;
    return &hook->chain_next;
}

/* Predecessors are set anew after the table has grown, which knows only of successors. */
static void relink(struct matcher *matcher)
{
    for (size_t index = 0; index <= matcher->hook_buckets.mask; index++) {
        uint32_t previous = NONE;
        for (uint32_t id = matcher->hook_buckets.heads[index].first; id != NONE;) {
            struct hook *hook = hook_at(matcher, id);
            hook->chain_previous = previous;
            previous = id;
            id = hook->chain_next;
        }
    }
}

static bool reserve_buckets(struct matcher *matcher)
{
    const struct bucket *heads = matcher->hook_buckets.heads;
    if (!buckets_reserve(matcher, &matcher->hook_buckets, hook_link)) {
        return false;
    }
    if (heads != matcher->hook_buckets.heads) {
        relink(matcher);
    }
    return true;
}

static uint32_t *chain_of(struct matcher *matcher, struct field_index *index,
                          const struct hook *hook)
{
    if (hook->class == HOOK_ANY) {
        return &index->any_first;
    }
    return &matcher->hook_buckets.heads[hook->hash & matcher->hook_buckets.mask].first;
}

static void link_hook(struct matcher *matcher, struct field_index *index, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    uint32_t *head = chain_of(matcher, index, hook);
    ASSERT(hook->class != HOOK_RANGE);
    hook->chain_next = *head;
    hook->chain_previous = NONE;
    if (*head != NONE) {
        hook_at(matcher, *head)->chain_previous = id;
    }
    *head = id;
    if (hook->class != HOOK_ANY) {
        matcher->hook_buckets.count++;
        matcher->hook_buckets.heads[hook->hash & matcher->hook_buckets.mask].present |=
            bucket_bit(hook->hash);
    }
}

/* Takes a hook out of its chain. The last one takes the chain's bits with it. */
static void unlink_chained(struct matcher *matcher, struct field_index *index, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    if (hook->chain_next != NONE) {
        hook_at(matcher, hook->chain_next)->chain_previous = hook->chain_previous;
    }
    if (hook->chain_previous == NONE) {
        *chain_of(matcher, index, hook) = hook->chain_next;
    } else {
        hook_at(matcher, hook->chain_previous)->chain_next = hook->chain_next;
    }
    if (hook->class != HOOK_ANY) {
        struct bucket *bucket =
            &matcher->hook_buckets.heads[hook->hash & matcher->hook_buckets.mask];
        bucket->present = bucket->first == NONE ? 0 : bucket->present;
        matcher->hook_buckets.count--;
    }
}

static void unlink_hook(struct matcher *matcher, struct field_index *index, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    ASSERT(index->counts[hook->class] > 0);
    ASSERT(index->sizes[hook->class][hook->size] > 0);
    if (hook->class == HOOK_RANGE) {
        ranges_remove(matcher, &index->range_root, id);
    } else {
        unlink_chained(matcher, index, id);
    }
    index->sizes[hook->class][hook->size]--;
    if (--index->counts[hook->class] == 0) {
        index->size_max[hook->class] = 0;
    }
}

static bool index_is_empty(const struct field_index *index)
{
    uint32_t sum = 0;
    for (size_t class = 0; class < HOOK_CLASS_COUNT; class ++) {
        sum += index->counts[class];
    }
    return sum == 0;
}

static bool add_hook(struct matcher *matcher, uint32_t condition_id, uint32_t test)
{
    struct shared_condition *condition = condition_at(matcher, condition_id);
    struct field *field = field_at(matcher, condition->field);
    struct hook_place place = place_of(&condition->tests[test]);
    uint32_t id;
    if (!reserve_buckets(matcher) || !pool_take(matcher, &matcher->hooks, &id)) {
        return false;
    }
    struct hook *hook = hook_at(matcher, id);
    hook->condition = condition_id;
    hook->class = (uint8_t)place.class;
    hook->size = (uint8_t)place.size;
    if (place.class != HOOK_RANGE) {
        hook->hash = hook_hash(condition->field, place.class, place.size, place.piece);
        link_hook(matcher, field->index, id);
    } else if (!ranges_insert(matcher, &field->index->range_root, id,
                              &condition->tests[test].range)) {
        pool_give(&matcher->hooks, id);
        return false;
    }
    hook->own_next = condition->hook_first;
    condition->hook_first = id;
    field->index->counts[place.class]++;
    field->index->sizes[place.class][place.size]++;
    if (place.size > field->index->size_max[place.class]) {
        field->index->size_max[place.class] = place.size;
    }
    return true;
}

void index_remove(struct matcher *matcher, uint32_t condition_id)
{
    struct shared_condition *condition = condition_at(matcher, condition_id);
    struct field *field = field_at(matcher, condition->field);
    ASSERT(field->index != NULL);
    while (condition->hook_first != NONE) {
        uint32_t id = condition->hook_first;
        condition->hook_first = hook_at(matcher, id)->own_next;
        unlink_hook(matcher, field->index, id);
        pool_give(&matcher->hooks, id);
    }
    if (index_is_empty(field->index)) {
        matcher_free(matcher, field->index, sizeof(*field->index));
        field->index = NULL;
    }
}

bool index_add(struct matcher *matcher, uint32_t condition_id)
{
    struct shared_condition *condition = condition_at(matcher, condition_id);
    struct field *field = field_at(matcher, condition->field);
    ASSERT(condition->hook_first == NONE);
    if (field->index == NULL) {
        field->index = matcher_allocate(matcher, sizeof(*field->index));
        if (field->index == NULL) {
            return false;
        }
        field->index->range_root = NONE;
        field->index->any_first = NONE;
    }
    for (uint32_t test = 0; test < condition->test_count; test++) {
        if (!add_hook(matcher, condition_id, test)) {
            index_remove(matcher, condition_id);
            return false;
        }
    }
    return true;
}

/* ---- probes ---- */

/* Fires the conditions of a chain that were hooked by this hash. */
static void fire_chain(struct matcher *matcher, uint32_t id, uint64_t hash)
{
    while (id != NONE) {
        const struct hook *hook = hook_at(matcher, id);
        if (hook->hash == hash) {
            matcher_fire(matcher, hook->condition);
        }
        id = hook->chain_next;
    }
}

void index_flush(struct matcher *matcher)
{
    uint32_t firsts[PROBES_MAX];
    uint32_t found = 0;
    for (uint32_t index = 0; index < matcher->probe_count; index++) {
        uint64_t hash = matcher->probes[index];
        const struct bucket *bucket =
            &matcher->hook_buckets.heads[hash & matcher->hook_buckets.mask];
        if ((bucket->present & bucket_bit(hash)) != 0) {
            matcher->probes[found] = hash;
            firsts[found++] = bucket->first;
            __builtin_prefetch(hook_at(matcher, bucket->first));
        }
    }
    for (uint32_t index = 0; index < found; index++) {
        fire_chain(matcher, firsts[index], matcher->probes[index]);
    }
    matcher->probe_count = 0;
}

static inline void probe_hash(struct matcher *matcher, uint64_t hash)
{
    if (matcher->probe_count == PROBES_MAX) {
        index_flush(matcher);
    }
    matcher->probes[matcher->probe_count++] = hash;
    __builtin_prefetch(&matcher->hook_buckets.heads[hash & matcher->hook_buckets.mask]);
}

static void probe_affixes(struct matcher *matcher, const struct field_index *index, uint32_t field,
                          enum hook_class class, struct bytes text)
{
    bool is_suffix = class == HOOK_SUFFIX || class == HOOK_SUFFIX_FOLDED;
    size_t size_max = index->size_max[class];
    uint64_t hash = 0;
    for (size_t size = 0;; size++) {
        if (index->sizes[class][size] > 0) {
            probe_hash(matcher, hook_hash(field, class, (uint32_t)size, hash));
        }
        if (size == size_max || size == text.size) {
            return;
        }
        hash = affix_step(hash, text.data[is_suffix ? text.size - 1 - size : size]);
    }
}

static void probe_grams(struct matcher *matcher, const struct field_index *index, uint32_t field,
                        const struct value *value)
{
    struct bytes text = value->text;
    for (size_t size = 1; size <= GRAM_BYTES_MAX; size *= 2) {
        if (index->sizes[HOOK_GRAM][size] == 0) {
            continue;
        }
        for (size_t at = 0; at + size <= text.size; at++) {
            probe_hash(matcher,
                       hook_hash(field, HOOK_GRAM, (uint32_t)size, gram_of(text.data + at, size)));
        }
    }
}

static void probe_blocks(struct matcher *matcher, const struct field_index *index, uint32_t field,
                         const struct value *value)
{
    struct address address;
    if (!address_parse(value->text, &address)) {
        return;
    }
    enum hook_class class = address.is_v6 ? HOOK_BLOCK_V6 : HOOK_BLOCK_V4;
    for (uint32_t bits = 0; bits <= address.bits && index->counts[class] > 0; bits++) {
        if (index->sizes[class][bits] > 0) {
            probe_hash(matcher, hook_hash(field, class, bits, block_hash(address.bytes, bits)));
        }
    }
}

/* A folded sequence has at least a third of its bytes, so what is left out could not matter. */
#define FOLD_HEAD_BYTES  (3 * (AFFIX_BYTES_MAX + 4))
#define FOLD_WHOLE_BYTES (4 * PATTERN_VALUE_BYTES_MAX + PATTERN_VALUE_BYTES_MAX)

static void probe_folded(struct matcher *matcher, const struct field_index *index, uint32_t field,
                         const struct value *value)
{
    struct bytes text = value->text;
    struct writer out = writer_of(matcher->folded, sizeof(matcher->folded));
    if (index->counts[HOOK_FOLDED] > 0 && text.size <= FOLD_WHOLE_BYTES) {
        fold_write(text, &out);
        uint64_t hash = XXH3_64bits(out.data, out.size);
        probe_hash(matcher, hook_hash(field, HOOK_FOLDED, 0, hash));
    }
    if (index->counts[HOOK_PREFIX_FOLDED] > 0) {
        out.size = 0;
        fold_write(bytes_slice(text, 0, FOLD_HEAD_BYTES), &out);
        probe_affixes(matcher, index, field, HOOK_PREFIX_FOLDED, writer_bytes(&out));
    }
    if (index->counts[HOOK_SUFFIX_FOLDED] > 0) {
        size_t from = text.size > FOLD_HEAD_BYTES ? text.size - FOLD_HEAD_BYTES : 0;
        out.size = 0;
        fold_write(bytes_slice(text, from, SIZE_MAX), &out);
        probe_affixes(matcher, index, field, HOOK_SUFFIX_FOLDED, writer_bytes(&out));
    }
}

static void probe_text(struct matcher *matcher, const struct field_index *index, uint32_t field,
                       const struct value *value)
{
    const uint32_t *counts = index->counts;
    if (counts[HOOK_PREFIX] > 0) {
        probe_affixes(matcher, index, field, HOOK_PREFIX, value->text);
    }
    if (counts[HOOK_SUFFIX] > 0) {
        probe_affixes(matcher, index, field, HOOK_SUFFIX, value->text);
    }
    if (counts[HOOK_FOLDED] + counts[HOOK_PREFIX_FOLDED] + counts[HOOK_SUFFIX_FOLDED] > 0) {
        probe_folded(matcher, index, field, value);
    }
    if (counts[HOOK_GRAM] > 0) {
        probe_grams(matcher, index, field, value);
    }
    if (counts[HOOK_BLOCK_V4] + counts[HOOK_BLOCK_V6] > 0) {
        probe_blocks(matcher, index, field, value);
    }
}

void index_probe(struct matcher *matcher, const struct field_index *index, uint32_t field,
                 const struct value *value, uint64_t hash)
{
    if (index->counts[HOOK_EXACT] > 0) {
        probe_hash(matcher, hook_hash(field, HOOK_EXACT, 0, hash));
    }
    if (value->kind == VALUE_STRING) {
        probe_text(matcher, index, field, value);
    } else if (value->kind == VALUE_NUMBER && index->counts[HOOK_RANGE] > 0) {
        ranges_probe(matcher, index->range_root, value->number.nearest);
    }
    for (uint32_t id = index->any_first; id != NONE; id = hook_at(matcher, id)->chain_next) {
        matcher_fire(matcher, hook_at(matcher, id)->condition);
    }
}
