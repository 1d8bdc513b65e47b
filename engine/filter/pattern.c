#include "engine/filter/pattern.h"

#include <assert.h>

#include "engine/filter/pattern_internal.h"
#include "protocol/base/assert.h"

const struct node *pattern_child(const struct pattern *pattern, const struct node *node,
                                 struct bytes name)
{
    uint32_t low = node->child_at;
    uint32_t high = node->child_at + node->child_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct node *child = &pattern->nodes[middle];
        int order = child->name.size == name.size  ? bytes_compare(child->name, name)
                    : child->name.size < name.size ? -1
                                                   : 1;
        if (order == 0) {
            return child;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* ---- tests ---- */

static bool range_holds(const struct range *range, double number)
{
    bool is_above = range->low_open ? number > range->low : number >= range->low;
    bool is_below = range->high_open ? number < range->high : number <= range->high;
    return is_above && is_below;
}

static bool accepts_text(const struct test *test, struct bytes text)
{
    switch (test->kind) {
    case TEST_STRING:
        return bytes_equal(text, test->text);
    case TEST_PREFIX:
        return bytes_starts_with(text, test->text);
    case TEST_SUFFIX:
        return text.size >= test->text.size &&
               bytes_equal(bytes_slice(text, text.size - test->text.size, SIZE_MAX), test->text);
    case TEST_FOLDED:
        return fold_equals(text, test->text);
    case TEST_PREFIX_FOLDED:
        return fold_starts_with(text, test->text);
    case TEST_SUFFIX_FOLDED:
        return fold_ends_with(text, test->text);
    case TEST_WILDCARD:
        return wildcard_matches(test->text, text);
    case TEST_BLOCK: {
        struct address address;
        return address_parse(text, &address) && address_in_block(&test->block, &address);
    }
    case TEST_NULL:
    case TEST_FALSE:
    case TEST_TRUE:
    case TEST_NUMBER:
    case TEST_RANGE:
    case TEST_EXISTS:
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        break;
    }
    return false;
}

/* All but TEST_ANYTHING_BUT, whose parts are of these kinds. */
static bool accepts_plain(const struct test *test, const struct value *value)
{
    switch (test->kind) {
    case TEST_NULL:
        return value->kind == VALUE_NULL;
    case TEST_FALSE:
        return value->kind == VALUE_FALSE;
    case TEST_TRUE:
        return value->kind == VALUE_TRUE;
    case TEST_NUMBER:
        return value->kind == VALUE_NUMBER && number_equal(&test->number, &value->number);
    case TEST_RANGE:
        return value->kind == VALUE_NUMBER && range_holds(&test->range, value->number.nearest);
    case TEST_EXISTS:
        return true;
    case TEST_ANYTHING_BUT:
    case TEST_ABSENT:
        return false;
    case TEST_STRING:
    case TEST_PREFIX:
    case TEST_SUFFIX:
    case TEST_FOLDED:
    case TEST_PREFIX_FOLDED:
    case TEST_SUFFIX_FOLDED:
    case TEST_WILDCARD:
    case TEST_BLOCK:
        break;
    }
    return value->kind == VALUE_STRING && accepts_text(test, value->text);
}

bool test_accepts(const struct test *test, const struct test *parts, const struct value *value)
{
    if (test->kind != TEST_ANYTHING_BUT) {
        return accepts_plain(test, value);
    }
    for (uint32_t index = 0; index < test->part_count; index++) {
        if (accepts_plain(&parts[test->part_at + index], value)) {
            return false;
        }
    }
    return true;
}

static bool condition_accepts(const struct pattern *pattern, const struct condition *condition,
                              const struct value *value)
{
    for (uint32_t index = 0; index < condition->test_count; index++) {
        if (test_accepts(&pattern->tests[condition->test_at + index], pattern->parts, value)) {
            return true;
        }
    }
    return false;
}

/* ---- one alternative on one event ---- */

/*
 * What a value says about all conditions of the node it stands at, and below. Elements of an array
 * are consistent when all values that conditions pick lie in one of them; so an array answers for
 * the whole of its node, by one element. Arrays at different names are independent, since no
 * condition is below both. An absent field picks nothing: where no condition picks a value in an
 * array, none of its elements may have one.
 */
enum verdict {
    VERDICT_FAILS,
    VERDICT_ABSENT, /* all satisfied, by what is not there */
    VERDICT_PICKS   /* all satisfied, at least one by a value */
};

struct walk_frame {
    const struct node *node;
    uint32_t left;        /* members or elements not yet read */
    uint32_t needed_left; /* an object: conditions that still need a value */
    bool is_object;
    bool has_picked;
    bool has_failed; /* an array: one of its elements */
};

struct walk {
    const struct pattern *pattern;
    struct reader reader;
    uint32_t depth;
    struct walk_frame frames[EVENT_DEPTH_MAX];
};

static bool needs_value(const struct pattern *pattern, const struct node *node)
{
    return node->condition != NODE_NO_CONDITION &&
           !pattern->conditions[node->condition].accepts_absent;
}

static enum verdict judge_scalar(const struct walk *walk, const struct node *node,
                                 const struct token *token, size_t offset)
{
    const struct pattern *pattern = walk->pattern;
    struct value value;
    if (node->needed > (needs_value(pattern, node) ? 1u : 0u)) {
        return VERDICT_FAILS; /* something below needs a value */
    }
    if (node->condition == NODE_NO_CONDITION) {
        return VERDICT_ABSENT;
    }
    struct bytes bytes = bytes_of(walk->reader.data + offset, walk->reader.size - offset);
    bool is_accepted = value_of_token(token, bytes, &value) &&
                       condition_accepts(pattern, &pattern->conditions[node->condition], &value);
    return is_accepted ? VERDICT_PICKS : VERDICT_FAILS;
}

/* Passes over what is left of a container. */
static void skip_rest(struct walk *walk, const struct walk_frame *frame)
{
    uint64_t values = (uint64_t)frame->left << (frame->is_object ? 1 : 0);
    while (values > 0 && token_skip(&walk->reader)) {
        values--;
    }
}

/*
 * Hands a value's verdict to the containers around it, as far as it settles them. When none is left
 * open, *verdict is the event's.
 */
static void settle(struct walk *walk, enum verdict *verdict)
{
    while (walk->depth > 0) {
        struct walk_frame *frame = &walk->frames[walk->depth - 1];
        bool is_settled = *verdict == (frame->is_object ? VERDICT_FAILS : VERDICT_PICKS);
        frame->has_picked |= *verdict == VERDICT_PICKS;
        frame->has_failed |= *verdict == VERDICT_FAILS;
        if (!is_settled) {
            return;
        }
        skip_rest(walk, frame);
        walk->depth--;
    }
}

static enum verdict close_container(const struct walk_frame *frame)
{
    bool fails =
        frame->is_object ? frame->needed_left > 0 : frame->has_failed || frame->node->needed > 0;
    if (fails) {
        return VERDICT_FAILS;
    }
    return frame->has_picked ? VERDICT_PICKS : VERDICT_ABSENT;
}

/* False: the value is a container and is open now. */
static bool judge_value(struct walk *walk, const struct node *node, enum verdict *verdict_out)
{
    size_t offset = walk->reader.offset;
    struct token token;
    *verdict_out = VERDICT_FAILS;
    if (!token_next(&walk->reader, &token)) {
        return true;
    }
    if (!token_is_container(&token)) {
        *verdict_out = judge_scalar(walk, node, &token, offset);
        return true;
    }
    bool is_object = token.kind == TOKEN_OBJECT;
    if (walk->depth == EVENT_DEPTH_MAX || (is_object && needs_value(walk->pattern, node))) {
        walk->reader.offset = offset;
        (void)token_skip(&walk->reader);
        return true;
    }
    walk->frames[walk->depth++] = (struct walk_frame){
        .node = node, .left = token.count, .needed_left = node->needed, .is_object = is_object};
    return false;
}

/* The next wanted value of the container at the top; NULL: it has no more. */
static const struct node *next_wanted(struct walk *walk, struct walk_frame *frame)
{
    while (frame->left > 0 && !walk->reader.failed) {
        frame->left--;
        if (!frame->is_object) {
            return frame->node;
        }
        struct token name;
        if (!token_next(&walk->reader, &name) || name.kind != TOKEN_STRING) {
            walk->reader.failed = true;
            break;
        }
        const struct node *child = pattern_child(walk->pattern, frame->node, name.payload);
        if (child != NULL) {
            frame->needed_left -= child->needed;
            return child;
        }
        (void)token_skip(&walk->reader);
    }
    return NULL;
}

bool alternative_matches(const struct pattern *pattern, const struct alternative *alternative,
                         struct bytes event)
{
    struct walk walk;
    walk.pattern = pattern;
    walk.reader = reader_of(event);
    walk.depth = 0;
    enum verdict verdict;
    bool is_done = judge_value(&walk, &pattern->nodes[alternative->node_at], &verdict);
    while (walk.depth > 0) {
        struct walk_frame *frame = &walk.frames[walk.depth - 1];
        const struct node *wanted = next_wanted(&walk, frame);
        if (wanted == NULL) {
            verdict = walk.reader.failed ? VERDICT_FAILS : close_container(frame);
            walk.depth--;
            is_done = true;
        } else {
            is_done = judge_value(&walk, wanted, &verdict);
        }
        if (is_done) {
            settle(&walk, &verdict);
        }
    }
    return is_done && verdict != VERDICT_FAILS;
}

bool pattern_matches(const struct pattern *pattern, struct bytes event)
{
    ASSERT(pattern->alternative_count > 0);
    for (uint32_t index = 0; index < pattern->alternative_count; index++) {
        if (alternative_matches(pattern, &pattern->alternatives[index], event)) {
            return true;
        }
    }
    return false;
}

/* ---- why not ---- */

/* Each condition of an alternative judged alone. */
struct judgement {
    bool is_present[PATTERN_CONDITIONS_MAX];
    bool is_accepted[PATTERN_CONDITIONS_MAX];
    bool is_in_array[PATTERN_CONDITIONS_MAX];
};

static uint32_t member_of(const struct pattern *pattern, const struct alternative *alternative,
                          uint32_t condition)
{
    uint32_t member = 0;
    while (pattern->members[alternative->member_at + member] != condition) {
        member++;
        ASSERT(member < alternative->member_count);
    }
    return member;
}

static void judge_alone(const struct walk *walk, const struct alternative *alternative,
                        const struct node *node, size_t offset, bool is_in_array,
                        struct judgement *judgement)
{
    const struct pattern *pattern = walk->pattern;
    struct reader reader = walk->reader;
    struct token token;
    struct value value;
    if (node->condition == NODE_NO_CONDITION) {
        return;
    }
    uint32_t member = member_of(pattern, alternative, node->condition);
    reader.offset = offset;
    judgement->is_present[member] = true;
    judgement->is_in_array[member] |= is_in_array;
    judgement->is_accepted[member] |=
        token_next(&reader, &token) &&
        value_of_token(&token, bytes_of(reader.data + offset, reader.size - offset), &value) &&
        condition_accepts(pattern, &pattern->conditions[node->condition], &value);
}

static void judge_each(const struct pattern *pattern, const struct alternative *alternative,
                       struct bytes event, struct judgement *judgement)
{
    struct walk walk = {.pattern = pattern, .reader = reader_of(event)};
    const struct node *wanted = &pattern->nodes[alternative->node_at];
    uint32_t arrays = 0; /* that are open */
    memset(judgement, 0, sizeof(*judgement));
    do {
        size_t offset = walk.reader.offset;
        struct token token;
        if (!token_next(&walk.reader, &token)) {
            return;
        }
        if (!token_is_container(&token)) {
            judge_alone(&walk, alternative, wanted, offset, arrays > 0, judgement);
        } else if (walk.depth == EVENT_DEPTH_MAX) {
            return;
        } else {
            arrays += token.kind == TOKEN_ARRAY;
            walk.frames[walk.depth++] = (struct walk_frame){
                .node = wanted, .left = token.count, .is_object = token.kind == TOKEN_OBJECT};
        }
        wanted = NULL;
        while (walk.depth > 0 && wanted == NULL) {
            struct walk_frame *frame = &walk.frames[walk.depth - 1];
            wanted = next_wanted(&walk, frame);
            if (wanted == NULL) {
                arrays -= !frame->is_object;
                walk.depth--;
            }
        }
    } while (walk.depth > 0);
}

/* The member that fails first. */
static uint32_t first_failure(const struct pattern *pattern, const struct alternative *alternative,
                              const struct judgement *judgement)
{
    const uint32_t *members = &pattern->members[alternative->member_at];
    uint32_t suspect = 0;
    for (uint32_t member = alternative->member_count; member-- > 0;) {
        suspect = judgement->is_in_array[member] ? member : suspect;
    }
    for (uint32_t member = 0; member < alternative->member_count; member++) {
        bool is_absent = !judgement->is_present[member];
        if (is_absent ? !pattern->conditions[members[member]].accepts_absent
                      : !judgement->is_accepted[member]) {
            return member;
        }
    }
    return suspect; /* each holds alone, but not in one element of an array */
}

bool pattern_explain(const struct pattern *pattern, struct bytes event, struct writer *path_out)
{
    const struct condition *condition = NULL;
    uint32_t furthest = 0;
    if (pattern_matches(pattern, event)) {
        return false;
    }
    for (uint32_t index = 0; index < pattern->alternative_count; index++) {
        const struct alternative *alternative = &pattern->alternatives[index];
        struct judgement judgement;
        judge_each(pattern, alternative, event, &judgement);
        uint32_t member = first_failure(pattern, alternative, &judgement);
        if (condition == NULL || member > furthest) {
            furthest = member;
            condition = &pattern->conditions[pattern->members[alternative->member_at + member]];
        }
    }
    ASSERT(condition != NULL);
    condition_path_write(pattern, condition, path_out);
    return true;
}

/* ---- about a pattern ---- */

bool pattern_mentions(const struct pattern *pattern, struct bytes top_level_name)
{
    for (uint32_t index = 0; index < pattern->alternative_count; index++) {
        const struct node *root = &pattern->nodes[pattern->alternatives[index].node_at];
        if (pattern_child(pattern, root, top_level_name) != NULL) {
            return true;
        }
    }
    return false;
}

size_t pattern_bytes(const struct pattern *pattern)
{
    return sizeof(*pattern) + pattern->alternative_count * sizeof(*pattern->alternatives) +
           pattern->condition_count * sizeof(*pattern->conditions) +
           pattern->test_count * sizeof(*pattern->tests) +
           pattern->part_count * sizeof(*pattern->parts) +
           pattern->node_count * sizeof(*pattern->nodes) +
           pattern->name_count * sizeof(*pattern->names) +
           pattern->member_count * sizeof(*pattern->members) + pattern->text_bytes;
}
