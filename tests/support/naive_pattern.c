#include "tests/support/naive_pattern.h"

#include <arpa/inet.h>
#include <locale.h>
#include <stdlib.h>
#include <wctype.h>

#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"

#define LEAVES_MAX       512
#define PATH_BYTES_MAX   256
#define ARRAYS_MAX       12 /* one within the other */
#define DEPTH_MAX        24
#define ALTERNATIVES_MAX 64
#define FIELDS_MAX       32 /* of an alternative */
#define FIELDS_ALL_MAX   1024
#define STEPS_MAX        2000000
#define TEXT_POINTS_MAX  2048

/* Names, each behind its size. */
struct path {
    size_t size;
    uint8_t bytes[PATH_BYTES_MAX];
};

/* For each array on the way: which one, and which element of it. */
struct place {
    size_t count;
    uint32_t arrays[ARRAYS_MAX * FIELDS_MAX];
    uint32_t elements[ARRAYS_MAX * FIELDS_MAX];
};

struct leaf {
    struct path path;
    struct bytes value;
    size_t array_count;
    uint32_t arrays[ARRAYS_MAX];
    uint32_t elements[ARRAYS_MAX];
};

struct field {
    struct path path;
    struct bytes tests; /* the pattern's array */
};

struct alternative {
    size_t count;
    const struct field *fields[FIELDS_MAX];
};

struct alternatives {
    size_t count;
    struct alternative list[ALTERNATIVES_MAX];
};

struct naive {
    locale_t locale; /* for upper and lower case of all scripts */
    bool too_large;
    uint64_t steps;
    uint32_t arrays; /* seen so far in the event */
    size_t leaf_count;
    struct leaf leaves[LEAVES_MAX];
    size_t field_count;
    struct field fields[FIELDS_ALL_MAX];
    struct alternatives alternatives;
};

static bool path_push(struct path *path, struct bytes name)
{
    if (name.size + 4 > PATH_BYTES_MAX - path->size) {
        return false;
    }
    put_u32(path->bytes + path->size, (uint32_t)name.size);
    memcpy(path->bytes + path->size + 4, name.data, name.size);
    path->size += 4 + name.size;
    return true;
}

static bool path_equal(const struct path *a, const struct path *b)
{
    return bytes_equal(bytes_of(a->bytes, a->size), bytes_of(b->bytes, b->size));
}

/* ---- the event's leaves ---- */

static void flatten(struct naive *naive, struct bytes value, const struct leaf *so_far, int depth)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes inner;
    if (depth > DEPTH_MAX || naive->leaf_count == LEAVES_MAX) {
        naive->too_large = true;
        return;
    }
    if (!document_cursor_open(value, &cursor)) {
        naive->leaves[naive->leaf_count] = *so_far;
        naive->leaves[naive->leaf_count++].value = value;
        return;
    }
    struct leaf next = *so_far;
    if (cursor.is_object) {
        while (document_next_member(&cursor, &name, &inner)) {
            next.path = so_far->path;
            if (!path_push(&next.path, name)) {
                naive->too_large = true;
                return;
            }
            flatten(naive, inner, &next, depth + 1);
        }
        return;
    }
    if (next.array_count == ARRAYS_MAX) {
        naive->too_large = true;
        return;
    }
    next.arrays[next.array_count++] = naive->arrays++;
    for (uint32_t element = 0; document_next_element(&cursor, &inner); element++) {
        next.elements[next.array_count - 1] = element;
        flatten(naive, inner, &next, depth + 1);
    }
}

/* Adds where the leaf stands to where the others stand; false when they contradict each other. */
static bool place_add(struct place *place, const struct leaf *leaf)
{
    for (size_t index = 0; index < leaf->array_count; index++) {
        size_t at = 0;
        while (at < place->count && place->arrays[at] != leaf->arrays[index]) {
            at++;
        }
        if (at < place->count) {
            if (place->elements[at] != leaf->elements[index]) {
                return false;
            }
            continue;
        }
        place->arrays[at] = leaf->arrays[index];
        place->elements[at] = leaf->elements[index];
        place->count++;
    }
    return true;
}

/* ---- strings ---- */

/* Text as code points, without regard to case if so wanted. */
struct text {
    size_t count;
    uint32_t points[TEXT_POINTS_MAX];
};

/* Case folding by what upper and lower case have in common. The two letters i of Turkish are
 * letters of their own. */
static uint32_t fold(locale_t locale, uint32_t point)
{
    if (point == 0x130 || point == 0x131) {
        return point;
    }
    return (uint32_t)towlower_l(towupper_l((wint_t)point, locale), locale);
}

static bool text_read(struct naive *naive, struct bytes utf8, bool ignore_case, struct text *out)
{
    out->count = 0;
    for (size_t at = 0; at < utf8.size;) {
        size_t size = utf8_sequence_size(utf8.data + at, utf8.size - at);
        if (size == 0 || out->count == TEXT_POINTS_MAX) {
            naive->too_large = true;
            return false;
        }
        uint32_t point = size == 1 ? utf8.data[at] : utf8.data[at] & (0x7Fu >> size);
        for (size_t next = 1; next < size; next++) {
            point = point << 6 | (utf8.data[at + next] & 0x3Fu);
        }
        out->points[out->count++] = ignore_case ? fold(naive->locale, point) : point;
        at += size;
    }
    return true;
}

/* Whether `part` stands in the text from there on. */
static bool stands_at(const struct text *text, size_t from, const struct text *part)
{
    return memcmp(text->points + from, part->points, part->count * sizeof(part->points[0])) == 0;
}

static bool wildcard(struct bytes pattern, struct bytes text, uint64_t *steps)
{
    if ((*steps)++ > STEPS_MAX) {
        return false;
    }
    if (pattern.size == 0) {
        return text.size == 0;
    }
    struct bytes rest = bytes_slice(pattern, 1, pattern.size);
    if (pattern.data[0] == '*') {
        for (size_t skip = 0; skip <= text.size; skip++) {
            if (wildcard(rest, bytes_slice(text, skip, text.size), steps)) {
                return true;
            }
        }
        return false;
    }
    if (pattern.data[0] == '\\') {
        pattern = rest;
        rest = bytes_slice(pattern, 1, pattern.size);
    }
    return text.size > 0 && pattern.size > 0 && text.data[0] == pattern.data[0] &&
           wildcard(rest, bytes_slice(text, 1, text.size), steps);
}

/* An address as 4 or 16 bytes; 0: it is none. */
static size_t address(struct bytes text, uint8_t out[16])
{
    char copy[64] = "";
    if (text.size >= sizeof(copy) || memchr(text.data, 0, text.size) != NULL) {
        return 0;
    }
    memcpy(copy, text.data, text.size);
    return inet_pton(AF_INET, copy, out) == 1 ? 4 : inet_pton(AF_INET6, copy, out) == 1 ? 16 : 0;
}

static bool in_block(struct bytes block, struct bytes text)
{
    uint8_t network[16];
    uint8_t given[16];
    const uint8_t *slash = memchr(block.data, '/', block.size);
    if (slash == NULL) {
        return false;
    }
    size_t at = (size_t)(slash - block.data);
    size_t size = address(bytes_slice(block, 0, at), network);
    if (size == 0 || address(text, given) != size) {
        return false;
    }
    unsigned bits = 0;
    for (at++; at < block.size; at++) {
        bits = bits * 10 + (unsigned)(block.data[at] - '0');
    }
    for (unsigned bit = 0; bit < bits && bit < size * 8; bit++) {
        unsigned shift = 7 - bit % 8;
        if (((network[bit / 8] ^ given[bit / 8]) >> shift & 1) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- one test against one leaf ---- */

static bool named(struct bytes name, const char *text)
{
    return bytes_equal(name, bytes_of_text(text));
}

/* Text of an integer written as one that float64 cannot hold; empty: another number. */
static struct bytes large_integer(struct bytes number, uint8_t buffer[DOCUMENT_NUMBER_TEXT_MAX])
{
    uint64_t positive;
    int64_t negative;
    double nearest = 0;
    struct writer text = writer_of(buffer, DOCUMENT_NUMBER_TEXT_MAX);
    bool is_large = document_double(number, &nearest) &&
                    ((document_u64(number, &positive) && (__int128)nearest != (__int128)positive) ||
                     (document_i64(number, &negative) && (__int128)nearest != (__int128)negative));
    return is_large && document_number_text(number, &text) ? writer_bytes(&text) : BYTES_EMPTY;
}

/* float64 decides, but for integers that it cannot hold: they are equal to themselves alone. */
static bool same_number(struct bytes a, struct bytes b)
{
    uint8_t a_buffer[DOCUMENT_NUMBER_TEXT_MAX];
    uint8_t b_buffer[DOCUMENT_NUMBER_TEXT_MAX];
    struct bytes a_text = large_integer(a, a_buffer);
    struct bytes b_text = large_integer(b, b_buffer);
    double x;
    double y;
    if (a_text.size > 0 || b_text.size > 0) {
        return bytes_equal(a_text, b_text);
    }
    return document_double(a, &x) && document_double(b, &y) && x == y;
}

static bool exact(struct bytes value, struct bytes leaf)
{
    struct bytes a;
    struct bytes b;
    bool p;
    bool q;
    if (document_string(value, &a)) {
        return document_string(leaf, &b) && bytes_equal(a, b);
    }
    if (document_type_of(value) == DOCUMENT_NUMBER) {
        return document_type_of(leaf) == DOCUMENT_NUMBER && same_number(value, leaf);
    }
    if (document_bool(value, &p)) {
        return document_bool(leaf, &q) && p == q;
    }
    return document_is_null(value) && document_is_null(leaf);
}

static bool numeric(struct bytes operators, struct bytes leaf)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes operator;
    struct bytes value;
    double limit;
    double number;
    if (!document_double(leaf, &number) || !document_cursor_open(operators, &cursor)) {
        return false;
    }
    bool holds = true;
    while (document_next_element(&cursor, &operator) && document_next_element(&cursor, &value)) {
        if (!document_string(operator, & name) || !document_double(value, &limit)) {
            return false;
        }
        holds = holds &&
                ((named(name, "=") && same_number(value, leaf)) ||
                 (named(name, "<") && number < limit) || (named(name, "<=") && number <= limit) ||
                 (named(name, ">") && number > limit) || (named(name, ">=") && number >= limit));
    }
    return holds;
}

/* prefix, suffix, equals-ignore-case, wildcard of a string; within prefix and suffix also
 * equals-ignore-case. */
static bool text_test(struct naive *naive, struct bytes kind, struct bytes value, struct bytes leaf)
{
    struct bytes wanted;
    struct bytes given;
    struct text part;
    struct text text;
    bool ignore_case = document_find(value, BYTES_LITERAL("equals-ignore-case"), &value) ||
                       named(kind, "equals-ignore-case");
    if (!document_string(leaf, &given) || !document_string(value, &wanted)) {
        return false;
    }
    if (named(kind, "wildcard")) {
        return wildcard(wanted, given, &naive->steps);
    }
    if (!text_read(naive, wanted, ignore_case, &part) ||
        !text_read(naive, given, ignore_case, &text) || part.count > text.count) {
        return false;
    }
    if (named(kind, "prefix")) {
        return stands_at(&text, 0, &part);
    }
    if (named(kind, "suffix")) {
        return stands_at(&text, text.count - part.count, &part);
    }
    return named(kind, "equals-ignore-case") && part.count == text.count &&
           stands_at(&text, 0, &part);
}

static bool but_one(struct naive *naive, struct bytes kind, struct bytes one, struct bytes leaf)
{
    return kind.size == 0 ? exact(one, leaf) : text_test(naive, kind, one, leaf);
}

static bool anything_but(struct naive *naive, struct bytes but, struct bytes leaf)
{
    struct document_cursor cursor;
    struct bytes kind = BYTES_EMPTY; /* plain values */
    struct bytes one;
    if (document_is_object(but)) {
        (void)document_cursor_open(but, &cursor);
        (void)document_next_member(&cursor, &kind, &but);
    }
    if (document_type_of(but) != DOCUMENT_ARRAY) {
        return !but_one(naive, kind, but, leaf);
    }
    bool found = false;
    (void)document_cursor_open(but, &cursor);
    while (document_next_element(&cursor, &one)) {
        found = found || but_one(naive, kind, one, leaf);
    }
    return !found;
}

static bool test_passes(struct naive *naive, struct bytes test, struct bytes leaf)
{
    struct document_cursor cursor;
    struct bytes kind;
    struct bytes value;
    bool exists;
    struct bytes text;
    if (!document_is_object(test)) {
        return exact(test, leaf);
    }
    if (!document_cursor_open(test, &cursor) || !document_next_member(&cursor, &kind, &value)) {
        return false;
    }
    if (named(kind, "anything-but")) {
        return anything_but(naive, value, leaf);
    }
    if (named(kind, "numeric")) {
        return numeric(value, leaf);
    }
    if (named(kind, "exists")) {
        return document_bool(value, &exists) && exists;
    }
    if (named(kind, "cidr")) {
        return document_string(value, &value) && document_string(leaf, &text) &&
               in_block(value, text);
    }
    return text_test(naive, kind, value, leaf);
}

static bool field_passes(struct naive *naive, const struct field *field, const struct leaf *leaf)
{
    struct document_cursor cursor;
    struct bytes test;
    bool passes = false;
    (void)document_cursor_open(field->tests, &cursor);
    while (document_next_element(&cursor, &test)) {
        passes = passes || test_passes(naive, test, leaf->value);
    }
    return passes;
}

static bool field_may_be_absent(const struct field *field)
{
    struct document_cursor cursor;
    struct bytes test;
    struct bytes value;
    bool exists;
    bool may = false;
    (void)document_cursor_open(field->tests, &cursor);
    while (document_next_element(&cursor, &test)) {
        may = may || (document_find(test, BYTES_LITERAL("exists"), &value) &&
                      document_bool(value, &exists) && !exists);
    }
    return may;
}

/* ---- an alternative ---- */

/* No leaf is at the field's path, but in other elements than the chosen ones. */
static bool is_absent(const struct naive *naive, const struct field *field,
                      const struct place *place)
{
    for (size_t index = 0; index < naive->leaf_count; index++) {
        struct place copy = *place;
        if (path_equal(&naive->leaves[index].path, &field->path) &&
            place_add(&copy, &naive->leaves[index])) {
            return false;
        }
    }
    return true;
}

/* Fields from `index` on get a leaf each, or none where that is allowed (absent: a bit each). */
static bool choose(struct naive *naive, const struct alternative *alternative, size_t index,
                   const struct place *place, uint64_t absent)
{
    if (naive->steps++ > STEPS_MAX) {
        naive->too_large = true;
        return false;
    }
    if (index == alternative->count) {
        for (size_t field = 0; field < alternative->count; field++) {
            if ((absent >> field & 1) != 0 &&
                !is_absent(naive, alternative->fields[field], place)) {
                return false;
            }
        }
        return true;
    }
    const struct field *field = alternative->fields[index];
    for (size_t at = 0; at < naive->leaf_count; at++) {
        struct place next = *place;
        if (path_equal(&naive->leaves[at].path, &field->path) &&
            field_passes(naive, field, &naive->leaves[at]) &&
            place_add(&next, &naive->leaves[at]) &&
            choose(naive, alternative, index + 1, &next, absent)) {
            return true;
        }
    }
    return field_may_be_absent(field) &&
           choose(naive, alternative, index + 1, place, absent | UINT64_C(1) << index);
}

/* ---- the pattern's alternatives ---- */

static bool reserved(struct bytes name)
{
    static const char *const words[] = {"exactly",
                                        "equals-ignore-case",
                                        "prefix",
                                        "suffix",
                                        "anything-but",
                                        "exists",
                                        "wildcard",
                                        "numeric",
                                        "cidr",
                                        "=",
                                        "<",
                                        "<=",
                                        ">",
                                        ">=",
                                        "regex",
                                        "not-wildcard",
                                        "not-equals-ignore-case",
                                        "date-after",
                                        "date-on-or-after",
                                        "date-before",
                                        "date-on-or-before",
                                        "in-date-range",
                                        "ip-address-in-range",
                                        "ip-address-not-in-range"};
    bool found = false;
    for (size_t index = 0; index < sizeof(words) / sizeof(words[0]); index++) {
        found = found || named(name, words[index]);
    }
    return found;
}

static bool is_or(struct bytes name, struct bytes value)
{
    struct document_cursor cursor;
    struct document_cursor members;
    struct bytes branch;
    struct bytes key;
    struct bytes inner;
    if (!named(name, "$or") || document_type_of(value) != DOCUMENT_ARRAY ||
        document_count(value) < 2) {
        return false;
    }
    (void)document_cursor_open(value, &cursor);
    while (document_next_element(&cursor, &branch)) {
        if (!document_is_object(branch) || !document_cursor_open(branch, &members)) {
            return false;
        }
        while (document_next_member(&members, &key, &inner)) {
            if (reserved(key)) {
                return false;
            }
        }
    }
    return true;
}

static void field_add(struct naive *naive, struct alternatives *to, const struct path *path,
                      struct bytes tests)
{
    if (naive->field_count == FIELDS_ALL_MAX) {
        naive->too_large = true;
        return;
    }
    struct field *field = &naive->fields[naive->field_count++];
    *field = (struct field){.path = *path, .tests = tests};
    for (size_t index = 0; index < to->count; index++) {
        struct alternative *alternative = &to->list[index];
        if (alternative->count == FIELDS_MAX) {
            naive->too_large = true;
            return;
        }
        alternative->fields[alternative->count++] = field;
    }
}

static void expand(struct naive *naive, struct bytes object, const struct path *path, int depth,
                   struct alternatives *to);

/* Each alternative so far, with each branch. */
static void expand_or(struct naive *naive, struct bytes branches, const struct path *path,
                      int depth, struct alternatives *to)
{
    struct document_cursor cursor;
    struct bytes branch;
    struct alternatives *before = malloc(sizeof(*before));
    struct alternatives *with = malloc(sizeof(*with));
    ASSERT(before != NULL);
    ASSERT(with != NULL);
    *before = *to;
    to->count = 0;
    (void)document_cursor_open(branches, &cursor);
    while (!naive->too_large && document_next_element(&cursor, &branch)) {
        *with = *before;
        expand(naive, branch, path, depth, with);
        for (size_t index = 0; index < with->count; index++) {
            if (to->count == ALTERNATIVES_MAX) {
                naive->too_large = true;
                break;
            }
            to->list[to->count++] = with->list[index];
        }
    }
    free(before);
    free(with);
}

static void expand(struct naive *naive, struct bytes object, const struct path *path, int depth,
                   struct alternatives *to)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (depth > DEPTH_MAX || !document_is_object(object)) {
        naive->too_large = true;
        return;
    }
    (void)document_cursor_open(object, &cursor);
    while (!naive->too_large && document_next_member(&cursor, &name, &value)) {
        struct path next = *path;
        if (is_or(name, value)) {
            expand_or(naive, value, path, depth + 1, to);
        } else if (!path_push(&next, name)) {
            naive->too_large = true;
        } else if (document_is_object(value)) {
            expand(naive, value, &next, depth + 1, to);
        } else {
            field_add(naive, to, &next, value);
        }
    }
}

enum naive_verdict naive_pattern_matches(struct bytes pattern, struct bytes event)
{
    struct naive *naive = malloc(sizeof(*naive));
    ASSERT(naive != NULL);
    naive->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    ASSERT(naive->locale != (locale_t)0);
    naive->too_large = false;
    naive->steps = 0;
    naive->arrays = 0;
    naive->leaf_count = 0;
    naive->field_count = 0;
    naive->alternatives.count = 1;
    naive->alternatives.list[0].count = 0;
    const struct path root = {.size = 0};
    const struct leaf top = {.array_count = 0};
    expand(naive, pattern, &root, 0, &naive->alternatives);
    flatten(naive, event, &top, 0);
    bool matches = false;
    for (size_t index = 0; index < naive->alternatives.count && !naive->too_large; index++) {
        const struct place nowhere = {.count = 0};
        matches = matches || choose(naive, &naive->alternatives.list[index], 0, &nowhere, 0);
    }
    enum naive_verdict verdict = matches ? NAIVE_YES : NAIVE_NO;
    if (naive->too_large || naive->steps > STEPS_MAX) {
        verdict = NAIVE_UNJUDGED;
    }
    freelocale(naive->locale);
    free(naive);
    return verdict;
}
