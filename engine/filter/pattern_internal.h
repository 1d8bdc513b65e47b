/*
 * pattern_internal.h: what pattern.c, its parser and the matcher share. Internal to engine/filter.
 *
 * A pattern is its alternatives; an alternative is a tree of field names, like the events it wants:
 *
 *     {"a": {"x": [1], "y": [2]}, "b": [3]}       root -+- a -+- x: condition 0
 *                                                       |     +- y: condition 1
 *                                                       +- b: condition 2
 *
 * A condition is an or of tests on one value. Alternatives that came from one $or share conditions.
 */
#ifndef FRESHET_ENGINE_FILTER_PATTERN_INTERNAL_H
#define FRESHET_ENGINE_FILTER_PATTERN_INTERNAL_H

#include "engine/filter/pattern.h"
#include "engine/filter/value.h"
#include "protocol/base/limits.h"

/* An image is one level below its event; deeper is no event. */
#define EVENT_DEPTH_MAX (DOCUMENT_DEPTH_MAX + 8)

enum test_kind {
    TEST_NULL,
    TEST_FALSE,
    TEST_TRUE,
    TEST_NUMBER,
    TEST_STRING,
    TEST_PREFIX,
    TEST_SUFFIX,
    TEST_FOLDED,
    TEST_PREFIX_FOLDED,
    TEST_SUFFIX_FOLDED,
    TEST_WILDCARD,
    TEST_RANGE,
    TEST_BLOCK, /* cidr */
    TEST_EXISTS,
    TEST_ANYTHING_BUT, /* none of its parts */
    TEST_ABSENT,       /* exists: false; no value satisfies it */
};

struct range {
    double low;
    double high;
    bool low_open; /* low itself is out */
    bool high_open;
};

struct test {
    enum test_kind kind;
    uint32_t part_at; /* TEST_ANYTHING_BUT: its parts in pattern->parts */
    uint32_t part_count;
    union {
        struct bytes text; /* strings; as compiled: folded, or a wildcard with WILDCARD_STAR */
        struct number number;
        struct range range;
        struct address block;
    };
};

struct condition {
    uint32_t name_at; /* its path in pattern->names */
    uint32_t name_count;
    uint32_t test_at;
    uint32_t test_count;
    uint64_t path_hash;
    bool accepts_absent; /* one of its tests is TEST_ABSENT */
};

#define NODE_NO_CONDITION UINT32_MAX

/* A name of the tree. The children of a node stand together, in order of size, then bytes. */
struct node {
    struct bytes name;
    uint32_t child_at;
    uint32_t child_count;
    uint32_t condition; /* on a value here; or NODE_NO_CONDITION */
    /* Conditions here and below that an absent value does not satisfy. */
    uint32_t needed;
};

struct alternative {
    uint32_t node_at; /* its root */
    uint32_t member_at;
    uint32_t member_count; /* its conditions in pattern->members, in the order of the pattern */
};

struct pattern {
    struct alternative *alternatives;
    struct condition *conditions;
    struct test *tests;
    struct test *parts;
    struct node *nodes;
    struct bytes *names;
    uint32_t *members;
    uint8_t *text; /* what all views of the pattern point into */
    uint32_t alternative_count;
    uint32_t condition_count;
    uint32_t test_count;
    uint32_t part_count;
    uint32_t node_count;
    uint32_t name_count;
    uint32_t member_count;
    size_t text_bytes;
};

/* The child of that name; NULL when no condition is there or below. */
const struct node *pattern_child(const struct pattern *pattern, const struct node *node,
                                 struct bytes name);
/* parts: of the pattern, or of whoever holds a copy of the test. */
bool test_accepts(const struct test *test, const struct test *parts, const struct value *value);
bool alternative_matches(const struct pattern *pattern, const struct alternative *alternative,
                         struct bytes event);
/* "newImage.price" */
void condition_path_write(const struct pattern *pattern, const struct condition *condition,
                          struct writer *out);

/* ---- the parser's parts ---- */

/* A pattern that is being parsed. The arrays of pattern grow; its text has all the room it will
 * ever need, so that views into it stay. */
struct builder {
    struct pattern *pattern;
    struct writer text;
    struct pattern_problem *problem;
    uint32_t test_capacity;
    uint32_t part_capacity;
    uint32_t condition_capacity;
    uint32_t name_capacity;
    uint32_t node_capacity;
    uint32_t member_capacity;
    struct bytes path[PATTERN_DEPTH_MAX];
    uint32_t path_size;
};

/* Room for one more; false when there is no memory. */
bool builder_room(void *array, uint32_t count, size_t item_bytes, uint32_t *capacity);
/* Puts the problem's text, behind the current path, and returns status. */
__attribute__((format(printf, 3, 4))) enum status
builder_refuse(struct builder *builder, enum status status, const char *format, ...);
/* Appends the test that value stands for. */
MUST_USE enum status builder_add_test(struct builder *builder, struct bytes value);

#endif
