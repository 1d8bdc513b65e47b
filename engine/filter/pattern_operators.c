/* The tests of a pattern, parsed: what may stand in a field's array. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/filter/pattern_internal.h"
#include "protocol/base/assert.h"

#define REFUSE(...) builder_refuse(builder, STATUS_INVALID, __VA_ARGS__)

static const char OPERATORS[] = "prefix, suffix, equals-ignore-case, wildcard, anything-but, "
                                "numeric, exists, cidr";

/* Tests and parts together are what the budget counts. */
static enum status push(struct builder *builder, const struct test *test, bool is_part)
{
    struct pattern *pattern = builder->pattern;
    if (pattern->test_count + pattern->part_count == PATTERN_TESTS_MAX) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE, "the pattern has more than %u values",
                              PATTERN_TESTS_MAX);
    }
    struct test **array = is_part ? &pattern->parts : &pattern->tests;
    uint32_t *count = is_part ? &pattern->part_count : &pattern->test_count;
    uint32_t *capacity = is_part ? &builder->part_capacity : &builder->test_capacity;
    if (!builder_room(array, *count, sizeof(**array), capacity)) {
        return STATUS_NO_MEMORY;
    }
    (*array)[(*count)++] = *test;
    ASSERT(*count <= *capacity);
    return STATUS_OK;
}

/* A string's compiled form for this kind of test, kept in the pattern. */
static enum status keep_text(struct builder *builder, enum test_kind kind, struct bytes source,
                             const char *word, struct bytes *text_out)
{
    if (source.size > PATTERN_VALUE_BYTES_MAX) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE, "a value is over %u bytes",
                              PATTERN_VALUE_BYTES_MAX);
    }
    struct writer *text = &builder->text;
    size_t from = text->size;
    if (kind == TEST_WILDCARD) {
        uint32_t stars;
        const char *reason;
        if (!wildcard_compile(source, text, &stars, &reason)) {
            return REFUSE("%s: %s", word, reason);
        }
        if (stars > PATTERN_WILDCARDS_MAX) {
            return builder_refuse(builder, STATUS_UNPROCESSABLE, "%s: more than %d stars", word,
                                  PATTERN_WILDCARDS_MAX);
        }
    } else if (kind == TEST_FOLDED || kind == TEST_PREFIX_FOLDED || kind == TEST_SUFFIX_FOLDED) {
        fold_write(source, text);
    } else {
        writer_put(text, source);
    }
    ASSERT(!text->failed);
    *text_out = bytes_of(text->data + from, text->size - from);
    return STATUS_OK;
}

static enum status add_text(struct builder *builder, enum test_kind kind, struct bytes value,
                            const char *word, bool is_part)
{
    struct test test = {.kind = kind};
    struct bytes source;
    if (!document_string(value, &source)) {
        return REFUSE("%s needs a string", word);
    }
    if (is_part && source.size == 0 && (kind == TEST_PREFIX || kind == TEST_SUFFIX)) {
        return REFUSE("%s: everything begins and ends with an empty string", word);
    }
    enum status status = keep_text(builder, kind, source, word, &test.text);
    return status == STATUS_OK ? push(builder, &test, is_part) : status;
}

static bool read_number(struct bytes bytes, struct number *out)
{
    struct reader reader = reader_of(bytes);
    struct token token;
    struct value value;
    if (!token_next(&reader, &token) || token_is_container(&token) ||
        !value_of_token(&token, bytes, &value) || value.kind != VALUE_NUMBER) {
        return false;
    }
    *out = value.number;
    return true;
}

/* A value that stands for itself. */
static enum status add_exact(struct builder *builder, struct bytes value, bool is_part)
{
    struct test test = {.kind = TEST_NULL};
    bool is_true;
    switch (document_type_of(value)) {
    case DOCUMENT_STRING:
        return add_text(builder, TEST_STRING, value, "", is_part);
    case DOCUMENT_NUMBER:
        test.kind = TEST_NUMBER;
        if (!read_number(value, &test.number)) {
            return REFUSE("a number cannot be read");
        }
        break;
    case DOCUMENT_BOOL:
        test.kind = document_bool(value, &is_true) && is_true ? TEST_TRUE : TEST_FALSE;
        break;
    case DOCUMENT_NULL:
        break;
    case DOCUMENT_NONE:
    case DOCUMENT_ARRAY:
    case DOCUMENT_OBJECT:
        return REFUSE("a value must be a string, a number, true, false, null, or an object with "
                      "an operator");
    }
    return push(builder, &test, is_part);
}

/* The one member of an operator's object. */
static enum status single_member(struct builder *builder, struct bytes object, const char *whose,
                                 struct bytes *name_out, struct bytes *value_out)
{
    struct document_cursor cursor;
    if (!document_cursor_open(object, &cursor) || !cursor.is_object || cursor.left != 1 ||
        !document_next_member(&cursor, name_out, value_out)) {
        return REFUSE("%s needs an object with exactly one operator", whose);
    }
    return STATUS_OK;
}

/* prefix and suffix: a string, or {"equals-ignore-case": a string}. */
static enum status add_affix(struct builder *builder, bool is_prefix, struct bytes value)
{
    const char *word = is_prefix ? "prefix" : "suffix";
    if (document_type_of(value) != DOCUMENT_OBJECT) {
        return add_text(builder, is_prefix ? TEST_PREFIX : TEST_SUFFIX, value, word, false);
    }
    struct bytes name;
    struct bytes inner;
    enum status status = single_member(builder, value, word, &name, &inner);
    if (status != STATUS_OK) {
        return status;
    }
    if (!bytes_equal(name, BYTES_LITERAL("equals-ignore-case"))) {
        return REFUSE("%s takes a string or {\"equals-ignore-case\": a string}", word);
    }
    return add_text(builder, is_prefix ? TEST_PREFIX_FOLDED : TEST_SUFFIX_FOLDED, inner,
                    "equals-ignore-case", false);
}

/* ---- anything-but ---- */

/* A list of parts, all of one type, or a single one. */
static enum status add_parts(struct builder *builder, enum test_kind kind, const char *word,
                             struct bytes value)
{
    if (document_type_of(value) != DOCUMENT_ARRAY) {
        return add_text(builder, kind, value, word, true);
    }
    struct document_cursor cursor;
    struct bytes element;
    bool is_open = document_cursor_open(value, &cursor);
    ASSERT(is_open);
    if (cursor.left == 0) {
        return REFUSE("%s has an empty list", word);
    }
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_element(&cursor, &element)) {
        status = add_text(builder, kind, element, word, true);
    }
    return status;
}

static enum status add_number_parts(struct builder *builder, struct bytes value)
{
    struct document_cursor cursor;
    struct bytes element;
    if (document_type_of(value) == DOCUMENT_NUMBER) {
        return add_exact(builder, value, true);
    }
    enum status status = STATUS_OK;
    bool is_open = document_cursor_open(value, &cursor);
    ASSERT(is_open);
    while (status == STATUS_OK && document_next_element(&cursor, &element)) {
        if (document_type_of(element) != DOCUMENT_NUMBER) {
            return REFUSE("anything-but takes a list of strings or a list of numbers, not a mixed "
                          "one");
        }
        status = add_exact(builder, element, true);
    }
    return status;
}

static enum status add_operator_parts(struct builder *builder, struct bytes value)
{
    static const struct {
        const char *name;
        enum test_kind kind;
    } INNER[] = {{"prefix", TEST_PREFIX},
                 {"suffix", TEST_SUFFIX},
                 {"equals-ignore-case", TEST_FOLDED},
                 {"wildcard", TEST_WILDCARD}};
    struct bytes name;
    struct bytes inner;
    enum status status = single_member(builder, value, "anything-but", &name, &inner);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t index = 0; index < sizeof(INNER) / sizeof(INNER[0]); index++) {
        if (bytes_equal(name, bytes_of_text(INNER[index].name))) {
            return add_parts(builder, INNER[index].kind, INNER[index].name, inner);
        }
    }
    return REFUSE("anything-but cannot hold \"%.*s\": it takes a value, a list, or one of prefix, "
                  "suffix, equals-ignore-case, wildcard",
                  (int)(name.size < 40 ? name.size : 40), (const char *)name.data);
}

static bool first_is_number(struct bytes list)
{
    struct document_cursor cursor;
    struct bytes first;
    return document_cursor_open(list, &cursor) && document_next_element(&cursor, &first) &&
           document_type_of(first) == DOCUMENT_NUMBER;
}

static enum status add_anything_but(struct builder *builder, struct bytes value)
{
    struct test test = {.kind = TEST_ANYTHING_BUT, .part_at = builder->pattern->part_count};
    enum status status = STATUS_OK;
    switch (document_type_of(value)) {
    case DOCUMENT_STRING:
        status = add_text(builder, TEST_STRING, value, "anything-but", true);
        break;
    case DOCUMENT_NUMBER:
        status = add_number_parts(builder, value);
        break;
    case DOCUMENT_ARRAY:
        status = first_is_number(value) ? add_number_parts(builder, value)
                                        : add_parts(builder, TEST_STRING, "anything-but", value);
        break;
    case DOCUMENT_OBJECT:
        status = add_operator_parts(builder, value);
        break;
    case DOCUMENT_NONE:
    case DOCUMENT_NULL:
    case DOCUMENT_BOOL:
        status = REFUSE("anything-but takes strings or numbers");
        break;
    }
    if (status != STATUS_OK) {
        return status;
    }
    test.part_count = builder->pattern->part_count - test.part_at;
    ASSERT(test.part_count > 0);
    return push(builder, &test, false);
}

/* ---- numeric, exists, cidr ---- */

/* One comparison of a numeric array narrows the range. */
static enum status take_bound(struct builder *builder, struct bytes word, double number,
                              uint32_t place, struct range *range, bool *is_equal_out)
{
    bool is_open = word.size == 1;
    bool is_less = word.size > 0 && word.data[0] == '<';
    bool is_more = word.size > 0 && word.data[0] == '>';
    *is_equal_out = bytes_equal(word, BYTES_LITERAL("="));
    bool is_known = *is_equal_out ||
                    ((is_less || is_more) && (is_open || (word.size == 2 && word.data[1] == '=')));
    if (!is_known) {
        return REFUSE("numeric: an operator must be one of =, <, <=, >, >=");
    }
    if (place == 1 && !is_less) {
        return REFUSE("numeric: a second comparison must be < or <= behind > or >=");
    }
    if (is_less) {
        range->high = number;
        range->high_open = is_open;
    } else if (is_more) {
        range->low = number;
        range->low_open = is_open;
    }
    return STATUS_OK;
}

static enum status add_numeric(struct builder *builder, struct bytes value)
{
    struct test test = {.kind = TEST_RANGE, .range = {.low = -INFINITY, .high = INFINITY}};
    struct document_cursor cursor;
    struct bytes element;
    if (!document_cursor_open(value, &cursor) || cursor.is_object ||
        (cursor.left != 2 && cursor.left != 4)) {
        return REFUSE("numeric needs an array like [\"<\", 5] or [\">\", 0, \"<=\", 5]");
    }
    uint32_t pairs = cursor.left / 2;
    for (uint32_t place = 0; place < pairs; place++) {
        struct bytes word = BYTES_EMPTY;
        struct number number;
        bool is_equal;
        if (!document_next_element(&cursor, &element) || !document_string(element, &word)) {
            return REFUSE("numeric: an operator must be one of =, <, <=, >, >=");
        }
        if (!document_next_element(&cursor, &element) || !read_number(element, &number)) {
            return REFUSE("numeric: an operator must be followed by a number");
        }
        enum status status =
            take_bound(builder, word, number.nearest, place, &test.range, &is_equal);
        if (status != STATUS_OK) {
            return status;
        }
        if (place == 0 && pairs == 2 && word.data[0] != '>') {
            return REFUSE("numeric: a range begins with > or >=, and ends with < or <=");
        }
        if (is_equal) {
            test.kind = TEST_NUMBER;
            test.number = number;
        }
    }
    if (test.kind == TEST_RANGE && test.range.low >= test.range.high) {
        return REFUSE("numeric: the lower bound must be less than the upper one");
    }
    return push(builder, &test, false);
}

static enum status add_exists(struct builder *builder, struct bytes value)
{
    struct test test = {.kind = TEST_EXISTS};
    bool exists;
    if (!document_bool(value, &exists)) {
        return REFUSE("exists needs true or false");
    }
    test.kind = exists ? TEST_EXISTS : TEST_ABSENT;
    return push(builder, &test, false);
}

static enum status add_block(struct builder *builder, struct bytes value)
{
    struct test test = {.kind = TEST_BLOCK};
    struct bytes text;
    const char *reason;
    if (!document_string(value, &text)) {
        return REFUSE("cidr needs a string like \"10.0.0.0/8\"");
    }
    if (!address_block_parse(text, &test.block, &reason)) {
        return REFUSE("cidr %s", reason);
    }
    return push(builder, &test, false);
}

/* ---- all of them ---- */

enum operator_name {
    OPERATOR_PREFIX,
    OPERATOR_SUFFIX,
    OPERATOR_FOLDED,
    OPERATOR_WILDCARD,
    OPERATOR_ANYTHING_BUT,
    OPERATOR_NUMERIC,
    OPERATOR_EXISTS,
    OPERATOR_CIDR,
    OPERATOR_COUNT
};

static enum operator_name operator_of(struct bytes name)
{
    static const char *const NAMES[OPERATOR_COUNT] = {
        "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric",
        "exists", "cidr"};
    for (size_t index = 0; index < OPERATOR_COUNT; index++) {
        if (bytes_equal(name, bytes_of_text(NAMES[index]))) {
            return (enum operator_name)index;
        }
    }
    return OPERATOR_COUNT;
}

static enum status add_operator(struct builder *builder, struct bytes object)
{
    struct bytes name;
    struct bytes value;
    enum status status = single_member(builder, object, "an object in the list", &name, &value);
    if (status != STATUS_OK) {
        return status;
    }
    switch (operator_of(name)) {
    case OPERATOR_PREFIX:
        return add_affix(builder, true, value);
    case OPERATOR_SUFFIX:
        return add_affix(builder, false, value);
    case OPERATOR_FOLDED:
        return add_text(builder, TEST_FOLDED, value, "equals-ignore-case", false);
    case OPERATOR_WILDCARD:
        return add_text(builder, TEST_WILDCARD, value, "wildcard", false);
    case OPERATOR_ANYTHING_BUT:
        return add_anything_but(builder, value);
    case OPERATOR_NUMERIC:
        return add_numeric(builder, value);
    case OPERATOR_EXISTS:
        return add_exists(builder, value);
    case OPERATOR_CIDR:
        return add_block(builder, value);
    case OPERATOR_COUNT:
        break;
    }
    return REFUSE("\"%.*s\" is no operator; there are %s", (int)(name.size < 40 ? name.size : 40),
                  (const char *)name.data, OPERATORS);
}

enum status builder_add_test(struct builder *builder, struct bytes value)
{
    ASSERT(builder->path_size > 0);
    ASSERT(builder->pattern->test_count <= PATTERN_TESTS_MAX);
    return document_type_of(value) == DOCUMENT_OBJECT ? add_operator(builder, value)
                                                      : add_exact(builder, value, false);
}
