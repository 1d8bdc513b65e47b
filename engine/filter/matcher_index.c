/*
 * The index of a field: a hook for each test of each condition that has postings there, and the way
 * from a value to the hooks it may pass. What a hook is found by is a hash of a piece of the value:
 * a find is a guess until the condition is judged. A wildcard has another piece besides, which the
 * event must have as well.
 */
#include <math.h>
#include <stdlib.h>

/* The whole of XXH3 here, so that a short text is hashed without a call. */
#define XXH_INLINE_ALL
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

/* The place of a piece of a value in the one table of all racks. */
static uint32_t hook_hash(uint32_t field, enum hook_class class, uint32_t size, uint64_t piece)
{
    uint64_t where = (uint64_t)field << 16 | (uint64_t) class << 8 | size;
    uint64_t hash = (piece ^ where * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(hash >> 32);
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
    enum hook_class other_class; /* another piece that is probed for; only if other_size > 0 */
    uint32_t other_size;
    uint64_t other_piece;
};

static struct hook_place affix_place(enum hook_class class, struct bytes text, bool is_suffix)
{
    size_t size = text.size < AFFIX_BYTES_MAX ? text.size : AFFIX_BYTES_MAX;
    struct bytes kept = bytes_slice(text, is_suffix ? text.size - size : 0, size);
    return (struct hook_place){
        .class = class, .size = (uint32_t)size, .piece = affix_hash(kept, is_suffix)};
}

static struct hook_place exact_place(const struct value *value)
{
    return (struct hook_place){.class = HOOK_EXACT, .piece = value_hash(value)};
}

static struct hook_place string_place(struct bytes text)
{
    struct value value = {.kind = VALUE_STRING, .text = text};
    return exact_place(&value);
}

/* What stands between the stars of a wildcard. */
struct pieces {
    struct bytes first; /* its fixed beginning, and its fixed end; perhaps empty */
    struct bytes last;
    struct bytes longest; /* of all */
    struct bytes second;  /* the longest of the others */
    bool has_star;
};

static struct pieces pieces_of(struct bytes wildcard)
{
    struct pieces pieces = {.has_star = false};
    size_t from = 0;
    for (size_t at = 0; at <= wildcard.size; at++) {
        if (at < wildcard.size && wildcard.data[at] != WILDCARD_STAR) {
            continue;
        }
        pieces.has_star |= at < wildcard.size;
        pieces.last = bytes_slice(wildcard, from, at - from);
        pieces.first = from == 0 ? pieces.last : pieces.first;
        if (pieces.last.size > pieces.longest.size) {
            pieces.second = pieces.longest;
            pieces.longest = pieces.last;
        } else if (pieces.last.size > pieces.second.size) {
            pieces.second = pieces.last;
        }
        from = at + 1;
    }
    return pieces;
}

/* Names the beginning or the end of the value as the other piece; a few sizes will do. */
static void add_other_affix(struct hook_place *place, enum hook_class class, struct bytes text)
{
    if (text.size > 0) {
        struct bytes kept = bytes_slice(text, 0, gram_size(text.size));
        if (class == HOOK_SUFFIX) {
            kept = bytes_slice(text, text.size - kept.size, kept.size);
        }
        struct hook_place other = affix_place(class, kept, class == HOOK_SUFFIX);
        place->other_class = other.class;
        place->other_size = other.size;
        place->other_piece = other.piece;
    }
}

/* The longest of its fixed beginning, its fixed end, and the pieces between. */
static struct hook_place wildcard_place(struct bytes wildcard)
{
    struct pieces pieces = pieces_of(wildcard);
    if (!pieces.has_star) {
        return string_place(wildcard);
    }
    if (pieces.longest.size == 0) {
        return (struct hook_place){.class = HOOK_ANY};
    }
    size_t enough = pieces.longest.size < GRAM_BYTES_MAX ? pieces.longest.size : GRAM_BYTES_MAX;
    bool is_anchored = pieces.first.size >= enough || pieces.last.size >= enough;
    struct hook_place place;
    if (is_anchored && pieces.first.size >= pieces.last.size) {
        place = affix_place(HOOK_PREFIX, pieces.first, false);
        add_other_affix(&place, HOOK_SUFFIX, pieces.last);
        return place;
    }
    if (is_anchored) {
        place = affix_place(HOOK_SUFFIX, pieces.last, true);
        add_other_affix(&place, HOOK_PREFIX, pieces.first);
        return place;
    }
    size_t size = gram_size(pieces.longest.size);
    place = (struct hook_place){
        .class = HOOK_GRAM, .size = (uint32_t)size, .piece = gram_of(pieces.longest.data, size)};
    if (pieces.second.size >= size) {
        place.other_class = HOOK_GRAM;
        place.other_size = place.size;
        place.other_piece = gram_of(pieces.second.data, size);
    } else if (pieces.first.size >= pieces.last.size) {
        add_other_affix(&place, HOOK_PREFIX, pieces.first);
    } else {
        add_other_affix(&place, HOOK_SUFFIX, pieces.last);
    }
    return place;
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
        return (struct hook_place){.class = HOOK_FOLDED,
                                   .piece = XXH3_64bits(test->text.data, test->text.size)};
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
        return (struct hook_place){.class = test->block.is_v6 ? HOOK_BLOCK_V6 : HOOK_BLOCK_V4,
                                   .size = test->block.bits,
                                   .piece = block_hash(test->block.bytes, test->block.bits)};
    case TEST_RANGE:
        return (struct hook_place){.class = HOOK_RANGE};
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        return (struct hook_place){.class = HOOK_ANY};
    }
    return exact_place(&value);
}

/* ---- hooks ---- */

static void count_in(struct field_index *index, uint32_t class, uint32_t size)
{
    index->counts[class]++;
    index->sizes[class][size]++;
    if (size > index->size_max[class]) {
        index->size_max[class] = size;
    }
}

static void count_out(struct field_index *index, uint32_t class, uint32_t size)
{
    ASSERT(index->counts[class] > 0);
    ASSERT(index->sizes[class][size] > 0);
    index->sizes[class][size]--;
    if (--index->counts[class] == 0) {
        index->size_max[class] = 0;
    }
}

static void unlink_hook(struct matcher *matcher, struct field_index *index, uint32_t id)
{
    const struct hook *hook = hook_at(matcher, id);
    if (hook->class == HOOK_RANGE) {
        ranges_remove(matcher, &index->range_root, id);
    } else {
        racks_remove(matcher, id);
    }
    count_out(index, hook->class, hook->size);
    if (hook->other_size > 0) {
        count_out(index, hook->other_class, hook->other_size);
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
    if (!pool_take(matcher, &matcher->hooks, &id)) {
        return false;
    }
    struct hook *hook = hook_at(matcher, id);
    hook->condition = condition_id;
    hook->class = (uint8_t)place.class;
    hook->size = (uint8_t)place.size;
    bool is_linked =
        place.class == HOOK_RANGE
            ? ranges_insert(matcher, &field->index->range_root, id, &condition->tests[test].range)
            : racks_insert(matcher,
                           hook_hash(condition->field, place.class, place.size, place.piece), id);
    if (!is_linked) {
        pool_give(&matcher->hooks, id);
        return false;
    }
    hook->own_next = condition->hook_first;
    condition->hook_first = id;
    count_in(field->index, place.class, place.size);
    if (place.other_size > 0) {
        hook->other_class = (uint8_t)place.other_class;
        hook->other_size = (uint8_t)place.other_size;
        hook->other_hash =
            hook_hash(condition->field, place.other_class, place.other_size, place.other_piece);
        count_in(field->index, place.other_class, place.other_size);
    }
    return true;
}

/* A hook that knows of another piece asks for that, for it says no more often. */
void index_guard(struct matcher *matcher, uint32_t condition_id)
{
    const struct shared_condition *condition = condition_at(matcher, condition_id);
    const struct postings *postings = &condition->postings;
    struct guard none = {.kind = GUARD_NONE};
    ASSERT(postings->count > 0);
    for (uint32_t id = condition->hook_first; id != NONE; id = hook_at(matcher, id)->own_next) {
        const struct hook *hook = hook_at(matcher, id);
        struct guard *guard =
            hook->class == HOOK_RANGE ? ranges_guard(matcher, hook) : racks_guard(matcher, hook);
        *guard = postings->count == 1 ? postings->first.guards[0] : none;
        if (hook->other_size > 0) {
            *guard = (struct guard){.kind = GUARD_PIECE, .hash = hook->other_hash};
        }
    }
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

void index_flush(struct matcher *matcher, bool is_whole)
{
    for (uint32_t index = 0; index < matcher->range_probe_count; index++) {
        const struct range_probe *probe = &matcher->range_probes[index];
        const struct field *field = field_at(matcher, probe->field);
        ranges_probe(matcher, field->index->range_root, probe->number, is_whole);
    }
    matcher->range_probe_count = 0;
    if (matcher->probe_count > 0) {
        racks_flush(matcher, is_whole);
    }
    ASSERT(matcher->probe_count == 0);
}

static inline void probe_hash(struct matcher *matcher, uint32_t hash)
{
    if (matcher->probe_count == PROBES_MAX) {
        index_flush(matcher, false);
    }
    matcher->probes[matcher->probe_count++] = hash;
    matcher->pieces[piece_word(hash)] |= UINT64_C(1) << piece_bit(hash);
    __builtin_prefetch(&matcher->rack_buckets.heads[hash & matcher->rack_buckets.mask]);
}

static void probe_range(struct matcher *matcher, uint32_t field, double number)
{
    if (matcher->range_probe_count == PROBES_MAX) {
        index_flush(matcher, false);
    }
    matcher->range_probes[matcher->range_probe_count++] =
        (struct range_probe){field, float_near(number)};
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
        probe_range(matcher, field, value->number.nearest);
    }
    if (index->counts[HOOK_ANY] > 0) {
        probe_hash(matcher, hook_hash(field, HOOK_ANY, 0, 0));
    }
}
