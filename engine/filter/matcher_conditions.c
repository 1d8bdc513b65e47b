/* Fields and conditions, each kept once for all patterns, and which condition brings a pattern
 * up. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* The whole of XXH3 here, so that a short text is hashed without a call. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

/* ---- fields ---- */

static uint64_t field_hash(uint32_t parent, struct bytes name)
{
    return XXH3_64bits_withSeed(name.data, name.size, parent);
}

static uint32_t *field_link(const struct matcher *matcher, uint32_t id, uint64_t *hash_out)
{
    struct field *field = field_at(matcher, id);
    *hash_out = field->hash;
    return &field->chain_next;
}

uint32_t field_find(const struct matcher *matcher, uint32_t parent, struct bytes name)
{
    if (matcher->field_buckets.heads == NULL) {
        return NONE;
    }
    uint64_t hash = field_hash(parent, name);
    uint32_t id = matcher->field_buckets.heads[hash & matcher->field_buckets.mask].first;
    while (id != NONE) {
        const struct field *field = field_at(matcher, id);
        if (field->hash == hash && field->parent == parent &&
            bytes_equal(bytes_of(field->name, field->name_size), name)) {
            break;
        }
        id = field->chain_next;
    }
    return id;
}

static uint32_t field_create(struct matcher *matcher, uint32_t parent, struct bytes name)
{
    uint32_t id;
    uint8_t *kept = matcher_allocate(matcher, name.size + 1);
    if (kept == NULL || !buckets_reserve(matcher, &matcher->field_buckets, field_link) ||
        !pool_take(matcher, &matcher->fields, &id)) {
        matcher_free(matcher, kept, name.size + 1);
        return NONE;
    }
    if (!matcher_reserve(matcher, &matcher->slots, matcher->fields.capacity,
                         &matcher->slot_capacity, sizeof(*matcher->slots))) {
        pool_give(&matcher->fields, id);
        matcher_free(matcher, kept, name.size + 1);
        return NONE;
    }
    if (name.size > 0) {
        memcpy(kept, name.data, name.size);
    }
    struct field *field = field_at(matcher, id);
    *field = (struct field){.parent = parent,
                            .hash = field_hash(parent, name),
                            .name = kept,
                            .name_size = (uint32_t)name.size};
    struct bucket *bucket =
        &matcher->field_buckets.heads[field->hash & matcher->field_buckets.mask];
    field->chain_next = bucket->first;
    bucket->first = id;
    bucket->present |= bucket_bit(field->hash);
    matcher->field_buckets.count++;
    if (parent != NONE) {
        field_at(matcher, parent)->references++;
        field_at(matcher, parent)->child_count++;
    }
    return id;
}

uint32_t field_acquire(struct matcher *matcher, uint32_t parent, struct bytes name)
{
    uint32_t id = field_find(matcher, parent, name);
    if (id == NONE) {
        id = field_create(matcher, parent, name);
    }
    if (id != NONE) {
        field_at(matcher, id)->references++;
    }
    return id;
}

void field_release(struct matcher *matcher, uint32_t id)
{
    while (id != NONE) {
        struct field *field = field_at(matcher, id);
        uint32_t parent = field->parent;
        ASSERT(field->references > 0);
        if (--field->references > 0) {
            return;
        }
        ASSERT(field->child_count == 0 && field->index == NULL);
        uint32_t *link =
            &matcher->field_buckets.heads[field->hash & matcher->field_buckets.mask].first;
        while (*link != id) {
            link = &field_at(matcher, *link)->chain_next;
        }
        *link = field->chain_next;
        matcher->field_buckets.count--;
        matcher_free(matcher, field->name, (size_t)field->name_size + 1);
        matcher_free(matcher, field->sketch, FIELD_VALUES_SKETCH * sizeof(*field->sketch));
        pool_give(&matcher->fields, id);
        if (parent != NONE) {
            field_at(matcher, parent)->child_count--;
        }
        id = parent;
    }
}

/* ---- equal conditions ---- */

static bool test_has_text(const struct test *test)
{
    switch (test->kind) {
    case TEST_STRING:
    case TEST_PREFIX:
    case TEST_SUFFIX:
    case TEST_FOLDED:
    case TEST_PREFIX_FOLDED:
    case TEST_SUFFIX_FOLDED:
    case TEST_WILDCARD:
        return true;
    case TEST_NULL:
    case TEST_FALSE:
    case TEST_TRUE:
    case TEST_NUMBER:
    case TEST_RANGE:
    case TEST_BLOCK:
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        break;
    }
    return false;
}

static uint64_t double_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

/* Of one test without its parts. */
static uint64_t plain_hash(const struct test *test)
{
    uint64_t hash = hash_mix(UINT64_C(0x94D049BB133111EB), test->kind);
    if (test_has_text(test)) {
        return hash_mix(hash, XXH3_64bits(test->text.data, test->text.size));
    }
    if (test->kind == TEST_NUMBER) {
        return hash_mix(hash_mix(hash, double_bits(test->number.nearest)), test->number.integer);
    }
    if (test->kind == TEST_RANGE) {
        return hash_mix(hash_mix(hash, double_bits(test->range.low)),
                        double_bits(test->range.high));
    }
    if (test->kind == TEST_BLOCK) {
        return hash_mix(hash, XXH3_64bits(test->block.bytes, sizeof(test->block.bytes)));
    }
    return hash_mix(hash, test->part_count);
}

static bool plain_equal(const struct test *a, const struct test *b)
{
    if (a->kind != b->kind || a->part_count != b->part_count) {
        return false;
    }
    if (test_has_text(a)) {
        return bytes_equal(a->text, b->text);
    }
    if (a->kind == TEST_NUMBER) {
        return number_equal(&a->number, &b->number);
    }
    if (a->kind == TEST_RANGE) {
        return a->range.low == b->range.low && a->range.high == b->range.high &&
               a->range.low_open == b->range.low_open && a->range.high_open == b->range.high_open;
    }
    if (a->kind == TEST_BLOCK) {
        return a->block.is_v6 == b->block.is_v6 && a->block.bits == b->block.bits &&
               memcmp(a->block.bytes, b->block.bytes, sizeof(a->block.bytes)) == 0;
    }
    return true;
}

/* The parts of consecutive tests are consecutive. */
struct tests {
    const struct test *tests;
    const struct test *parts;
    uint32_t test_count;
    uint32_t part_count;
};

static struct tests tests_of(const struct pattern *pattern, const struct condition *condition)
{
    struct tests tests = {.tests = pattern->tests + condition->test_at,
                          .test_count = condition->test_count};
    for (uint32_t index = 0; index < tests.test_count; index++) {
        if (tests.part_count == 0 && tests.tests[index].part_count > 0) {
            tests.parts = pattern->parts + tests.tests[index].part_at;
        }
        tests.part_count += tests.tests[index].part_count;
    }
    return tests;
}

static uint64_t tests_hash(uint32_t field, const struct tests *tests)
{
    uint64_t hash = hash_mix(field, tests->test_count);
    for (uint32_t index = 0; index < tests->test_count; index++) {
        hash = hash_mix(hash, plain_hash(&tests->tests[index]));
    }
    for (uint32_t index = 0; index < tests->part_count; index++) {
        hash = hash_mix(hash, plain_hash(&tests->parts[index]));
    }
    return hash;
}

static bool tests_equal(const struct shared_condition *condition, const struct tests *tests)
{
    if (condition->test_count != tests->test_count || condition->part_count != tests->part_count) {
        return false;
    }
    for (uint32_t index = 0; index < tests->test_count; index++) {
        if (!plain_equal(&condition->tests[index], &tests->tests[index])) {
            return false;
        }
    }
    for (uint32_t index = 0; index < tests->part_count; index++) {
        if (!plain_equal(&condition->parts[index], &tests->parts[index])) {
            return false;
        }
    }
    return true;
}

static size_t text_bytes(const struct test *tests, uint32_t count)
{
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) {
        size += test_has_text(&tests[index]) ? tests[index].text.size : 0;
    }
    return size;
}

static void copy_tests(struct test *to, const struct test *from, uint32_t count,
                       struct writer *text)
{
    for (uint32_t index = 0; index < count; index++) {
        to[index] = from[index];
        if (test_has_text(&from[index])) {
            struct bytes source = from[index].text;
            to[index].text = bytes_of(text->data + text->size, source.size);
            writer_put(text, source);
        }
    }
    ASSERT(!text->failed);
}

/* Its own copy: the pattern that brought a condition may go before others that share it. */
static bool keep_tests(struct matcher *matcher, struct shared_condition *condition,
                       const struct tests *tests)
{
    size_t count = (size_t)tests->test_count + tests->part_count;
    size_t texts =
        text_bytes(tests->tests, tests->test_count) + text_bytes(tests->parts, tests->part_count);
    size_t size = count * sizeof(struct test) + texts;
    uint8_t *block = matcher_allocate(matcher, size);
    if (block == NULL) {
        return false;
    }
    struct writer text = writer_of(block + count * sizeof(struct test), texts);
    condition->tests = (struct test *)(void *)block;
    condition->parts = condition->tests + tests->test_count;
    condition->test_count = tests->test_count;
    condition->part_count = tests->part_count;
    condition->block_bytes = size;
    copy_tests(condition->tests, tests->tests, tests->test_count, &text);
    copy_tests(condition->parts, tests->parts, tests->part_count, &text);
    uint32_t part_at = 0;
    for (uint32_t index = 0; index < tests->test_count; index++) {
        condition->tests[index].part_at = part_at;
        part_at += condition->tests[index].part_count;
        condition->accepts_absent |= condition->tests[index].kind == TEST_ABSENT;
    }
    return true;
}

static uint32_t *condition_link(const struct matcher *matcher, uint32_t id, uint64_t *hash_out)
{
    struct shared_condition *condition = condition_at(matcher, id);
    *hash_out = condition->hash;
    return &condition->chain_next;
}

static uint32_t condition_find(const struct matcher *matcher, uint32_t field, uint64_t hash,
                               const struct tests *tests)
{
    if (matcher->condition_buckets.heads == NULL) {
        return NONE;
    }
    uint32_t id = matcher->condition_buckets.heads[hash & matcher->condition_buckets.mask].first;
    while (id != NONE) {
        const struct shared_condition *condition = condition_at(matcher, id);
        if (condition->hash == hash && condition->field == field && tests_equal(condition, tests)) {
            break;
        }
        id = condition->chain_next;
    }
    return id;
}

/* The value that a test stands for, where it stands for one. */
static bool exact_value(const struct test *test, struct value *out)
{
    switch (test->kind) {
    case TEST_NULL:
        out->kind = VALUE_NULL;
        return true;
    case TEST_FALSE:
        out->kind = VALUE_FALSE;
        return true;
    case TEST_TRUE:
        out->kind = VALUE_TRUE;
        return true;
    case TEST_NUMBER:
        out->kind = VALUE_NUMBER;
        out->number = test->number;
        return true;
    case TEST_STRING:
    case TEST_FOLDED:
        out->kind = VALUE_STRING;
        out->text = test->text;
        return true;
    case TEST_PREFIX:
    case TEST_SUFFIX:
    case TEST_PREFIX_FOLDED:
    case TEST_SUFFIX_FOLDED:
    case TEST_WILDCARD:
    case TEST_RANGE:
    case TEST_BLOCK:
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        break;
    }
    return false;
}

/* Counts a condition's exact values in, or out. A full counter stays full. */
static void sketch_values(struct matcher *matcher, struct field *field,
                          const struct shared_condition *condition, bool is_new)
{
    for (uint32_t index = 0; index < condition->test_count; index++) {
        struct value value;
        if (!exact_value(&condition->tests[index], &value)) {
            continue;
        }
        if (field->sketch == NULL) {
            field->sketch = matcher_allocate(matcher, FIELD_VALUES_SKETCH * sizeof(*field->sketch));
        }
        if (field->sketch == NULL) {
            return; /* the estimate is worse, that is all */
        }
        uint16_t *counter = &field->sketch[value_hash(&value) % FIELD_VALUES_SKETCH];
        if (*counter == UINT16_MAX || (!is_new && *counter == 0)) {
            continue;
        }
        field->sketch_used += is_new && *counter == 0;
        *counter = (uint16_t)(is_new ? *counter + 1 : *counter - 1);
        field->sketch_used -= !is_new && *counter == 0;
    }
}

/* Linear counting: from how many counters are still zero. */
static double distinct_values(const struct field *field)
{
    double zeros = FIELD_VALUES_SKETCH - fmin(field->sketch_used, FIELD_VALUES_SKETCH - 1);
    return -FIELD_VALUES_SKETCH * log(zeros / FIELD_VALUES_SKETCH);
}

/* Whether values at the field are to be hashed for this condition's sake. */
static bool wants_hash(const struct shared_condition *condition)
{
    return condition->test_count == 1 && condition->tests[0].kind <= TEST_STRING;
}

static uint32_t condition_create(struct matcher *matcher, uint32_t field_id, uint64_t hash,
                                 const struct tests *tests)
{
    uint32_t id;
    if (!buckets_reserve(matcher, &matcher->condition_buckets, condition_link) ||
        !pool_take(matcher, &matcher->conditions, &id)) {
        return NONE;
    }
    struct shared_condition *condition = condition_at(matcher, id);
    condition->field = field_id;
    condition->hash = hash;
    condition->hook_first = NONE;
    if (!matcher_reserve(matcher, &matcher->fired, matcher->conditions.capacity,
                         &matcher->fired_capacity, sizeof(*matcher->fired)) ||
        !matcher_reserve(matcher, &matcher->fired_epoch, matcher->conditions.capacity,
                         &matcher->fired_epoch_capacity, sizeof(*matcher->fired_epoch)) ||
        !keep_tests(matcher, condition, tests)) {
        pool_give(&matcher->conditions, id);
        return NONE;
    }
    struct bucket *bucket =
        &matcher->condition_buckets.heads[hash & matcher->condition_buckets.mask];
    condition->chain_next = bucket->first;
    bucket->first = id;
    matcher->condition_buckets.count++;
    matcher->fired_epoch[id] = 0;
    struct field *field = field_at(matcher, field_id);
    field->references++;
    field->condition_count++;
    field->exact_conditions += wants_hash(condition);
    sketch_values(matcher, field, condition, true);
    return id;
}

uint32_t condition_acquire(struct matcher *matcher, const struct pattern *pattern,
                           const struct condition *condition)
{
    uint32_t field = matcher->root;
    field_at(matcher, field)->references++;
    for (uint32_t level = 0; level < condition->name_count; level++) {
        uint32_t child = field_acquire(matcher, field, pattern->names[condition->name_at + level]);
        field_release(matcher, field);
        if (child == NONE) {
            return NONE;
        }
        field = child;
    }
    struct tests tests = tests_of(pattern, condition);
    uint64_t hash = tests_hash(field, &tests);
    uint32_t id = condition_find(matcher, field, hash, &tests);
    if (id == NONE) {
        id = condition_create(matcher, field, hash, &tests);
    }
    if (id != NONE) {
        condition_at(matcher, id)->references++;
        field_at(matcher, field)->condition_uses++;
    }
    field_release(matcher, field);
    return id;
}

void condition_release(struct matcher *matcher, uint32_t id)
{
    struct shared_condition *condition = condition_at(matcher, id);
    struct field *field = field_at(matcher, condition->field);
    ASSERT(condition->references > 0);
    field->condition_uses--;
    if (--condition->references > 0) {
        return;
    }
    ASSERT(condition->postings.count == 0 && condition->hook_first == NONE);
    uint32_t *link =
        &matcher->condition_buckets.heads[condition->hash & matcher->condition_buckets.mask].first;
    while (*link != id) {
        link = &condition_at(matcher, *link)->chain_next;
    }
    *link = condition->chain_next;
    matcher->condition_buckets.count--;
    field->condition_count--;
    field->exact_conditions -= wants_hash(condition);
    sketch_values(matcher, field, condition, false);
    uint32_t field_id = condition->field;
    matcher_free(matcher, condition->tests, condition->block_bytes);
    pool_give(&matcher->conditions, id);
    field_release(matcher, field_id);
}

/* ---- how often will it be met? ---- */

/* Of pieces of text: a byte more makes it rarer, up to a point. */
static double text_chance(size_t size)
{
    static const double CHANCES[] = {1.0, 0.3, 0.1, 0.04, 0.02, 0.012};
    size_t last = sizeof(CHANCES) / sizeof(CHANCES[0]) - 1;
    return CHANCES[size < last ? size : last];
}

static double range_chance(const struct range *range)
{
    if (isinf(range->low) || isinf(range->high)) {
        return 0.5;
    }
    double width = (range->high - range->low) / (fabs(range->low) + fabs(range->high) + 1);
    return fmin(0.4, fmax(0.01, width / 2));
}

static double test_chance(double distinct, uint32_t condition_count, const struct test *test)
{
    double share = 1.0 / (2.0 + condition_count);
    switch (test->kind) {
    case TEST_NULL:
    case TEST_FALSE:
    case TEST_TRUE:
        return 0.4;
    case TEST_NUMBER:
    case TEST_STRING:
    case TEST_FOLDED:
        return 1.0 / (2.0 + distinct);
    case TEST_PREFIX:
    case TEST_SUFFIX:
    case TEST_PREFIX_FOLDED:
    case TEST_SUFFIX_FOLDED:
        return fmax(share, text_chance(test->text.size));
    case TEST_WILDCARD:
        return fmax(share, text_chance(test->text.size / 2));
    case TEST_RANGE:
        return range_chance(&test->range);
    case TEST_BLOCK:
        return test->block.bits >= 24 ? 0.02 : test->block.bits >= 12 ? 0.1 : 0.3;
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        break;
    }
    return 0.95;
}

/*
 * A guess, and wrong at times: what it costs then is candidates that are not confirmed. Of fields
 * with many different conditions each is met rarely; a condition that most patterns share is met
 * often, for else they would not have it.
 */
static double chance(const struct matcher *matcher, uint32_t id)
{
    const struct shared_condition *condition = condition_at(matcher, id);
    const struct field *field = field_at(matcher, condition->field);
    if (condition->accepts_absent) {
        return 2.0; /* after all others: it never brings a pattern up */
    }
    double distinct = distinct_values(field);
    double sum = 0;
    for (uint32_t index = 0; index < condition->test_count && sum < 1; index++) {
        sum += test_chance(distinct, field->condition_count, &condition->tests[index]);
    }
    double shared = (double)condition->references / (field->condition_uses + 8.0);
    double depth_bonus = field->parent == matcher->root ? 1.0 : 0.75;
    return fmin(1.0, fmax(sum, shared)) * depth_bonus;
}

void conditions_order(const struct matcher *matcher, uint32_t *conditions, uint32_t count)
{
    double chances[PATTERN_CONDITIONS_MAX];
    ASSERT(count <= PATTERN_CONDITIONS_MAX);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t id = conditions[index];
        double own = chance(matcher, id);
        uint32_t at = index;
        for (; at > 0 && chances[at - 1] > own; at--) {
            chances[at] = chances[at - 1];
            conditions[at] = conditions[at - 1];
        }
        chances[at] = own;
        conditions[at] = id;
    }
}

/* ---- guards ---- */

struct guard condition_guard(const struct matcher *matcher, uint32_t id)
{
    const struct shared_condition *condition = condition_at(matcher, id);
    const struct test *test = &condition->tests[0];
    struct guard guard = {.kind = GUARD_NONE, .field = condition->field & ((1u << 30) - 1)};
    if (condition->test_count != 1 || condition->accepts_absent) {
        return guard;
    }
    struct value value;
    if (test->kind == TEST_RANGE) {
        guard.kind = GUARD_RANGE;
        guard.low = float_below(test->range.low);
        guard.high = float_above(test->range.high);
    }
    if (test->kind > TEST_STRING || !exact_value(test, &value)) {
        return guard;
    }
    guard.kind = GUARD_HASH;
    guard.hash = (uint32_t)value_hash(&value);
    return guard;
}
