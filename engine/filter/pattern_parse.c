/*
 * A pattern's document to alternatives: its fields, and $or multiplied out.
 *
 * The walk keeps a set of rows: the conditions that each alternative has so far. A field adds its
 * condition to every row. "$or" takes the rows as they are, lets each of its objects extend a copy
 * of them, and puts all of those copies in their place.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "engine/filter/pattern_internal.h"
#include "protocol/base/assert.h"

#define REFUSE(...) builder_refuse(builder, STATUS_INVALID, __VA_ARGS__)

/* Names of all alternatives together; keeps a pattern below about a megabyte. */
#define PATTERN_NODES_MAX 16384
/* One object, or "$or" and its object, a level. */
#define FRAMES_MAX (2 * PATTERN_DEPTH_MAX + 2)

static_assert(PATTERN_TESTS_MAX <= UINT16_MAX, "a condition's index fits a row's member");

struct row {
    uint32_t count;
    uint16_t members[PATTERN_CONDITIONS_MAX];
};

struct rows {
    uint32_t count;
    struct row items[PATTERN_ALTERNATIVES_MAX];
};

/* An object whose fields are read, or the list of a "$or" whose objects are. */
struct frame {
    struct document_cursor cursor;
    uint32_t path_size; /* when it was opened */
    bool is_or;
    bool is_within_or;
    struct rows *before; /* $or: what each of its objects extends */
    struct rows *after;  /* $or: what its objects have made so far */
};

struct parse {
    struct builder builder;
    struct rows *rows;
    struct frame frames[FRAMES_MAX];
    uint32_t frame_count;
};

/* ---- growing, refusing ---- */

bool builder_room(void *array, uint32_t count, size_t item_bytes, uint32_t *capacity)
{
    if (count < *capacity) {
        return true;
    }
    uint32_t more = *capacity == 0 ? 8 : 2 * *capacity;
    void *old;
    memcpy(&old, array, sizeof(old));
    void *grown = realloc(old, more * item_bytes);
    if (grown == NULL) {
        return false;
    }
    memcpy(array, &grown, sizeof(grown));
    *capacity = more;
    return true;
}

static void write_path(const struct bytes *names, uint32_t count, struct writer *out)
{
    for (uint32_t index = 0; index < count; index++) {
        if (index > 0) {
            writer_u8(out, '.');
        }
        writer_put(out, names[index]);
    }
}

void condition_path_write(const struct pattern *pattern, const struct condition *condition,
                          struct writer *out)
{
    write_path(pattern->names + condition->name_at, condition->name_count, out);
}

enum status builder_refuse(struct builder *builder, enum status status, const char *format, ...)
{
    char *text = builder->problem->text;
    size_t room = sizeof(builder->problem->text);
    char path[120];
    struct writer writer = writer_of(path, sizeof(path));
    write_path(builder->path, builder->path_size, &writer);
    int size = builder->path_size == 0 ? snprintf(text, room, "the pattern: ")
                                       : snprintf(text, room, "%.*s%s: ", (int)writer.size, path,
                                                  writer.failed ? "…" : "");
    ASSERT(size > 0 && (size_t)size < room);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + size, room - (size_t)size, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- conditions ---- */

static uint64_t path_hash(const struct bytes *names, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t index = 0; index < count; index++) {
        hash = XXH3_64bits_withSeed(names[index].data, names[index].size, hash);
    }
    return hash;
}

static bool same_path(const struct pattern *pattern, const struct condition *a,
                      const struct condition *b)
{
    if (a->path_hash != b->path_hash || a->name_count != b->name_count) {
        return false;
    }
    for (uint32_t index = 0; index < a->name_count; index++) {
        if (!bytes_equal(pattern->names[a->name_at + index], pattern->names[b->name_at + index])) {
            return false;
        }
    }
    return true;
}

/* Adds a condition to every row. */
static enum status join(struct parse *parse, uint32_t index)
{
    struct builder *builder = &parse->builder;
    const struct pattern *pattern = builder->pattern;
    for (uint32_t at = 0; at < parse->rows->count; at++) {
        struct row *row = &parse->rows->items[at];
        for (uint32_t member = 0; member < row->count; member++) {
            if (same_path(pattern, &pattern->conditions[row->members[member]],
                          &pattern->conditions[index])) {
                return REFUSE("the field is named twice, outside and inside of $or; put all of its "
                              "values into one list");
            }
        }
        if (row->count == PATTERN_CONDITIONS_MAX) {
            return builder_refuse(builder, STATUS_UNPROCESSABLE, "more than %d fields",
                                  PATTERN_CONDITIONS_MAX);
        }
        row->members[row->count++] = (uint16_t)index;
    }
    return STATUS_OK;
}

static enum status keep_path(struct builder *builder, struct condition *condition)
{
    struct pattern *pattern = builder->pattern;
    condition->name_at = pattern->name_count;
    condition->name_count = builder->path_size;
    condition->path_hash = path_hash(builder->path, builder->path_size);
    for (uint32_t index = 0; index < builder->path_size; index++) {
        if (!builder_room(&pattern->names, pattern->name_count, sizeof(*pattern->names),
                          &builder->name_capacity)) {
            return STATUS_NO_MEMORY;
        }
        pattern->names[pattern->name_count++] = builder->path[index];
    }
    return STATUS_OK;
}

/* The list of a field: an or of tests. */
static enum status add_condition(struct parse *parse, struct bytes list)
{
    struct builder *builder = &parse->builder;
    struct pattern *pattern = builder->pattern;
    struct condition condition = {.test_at = pattern->test_count};
    struct document_cursor cursor;
    struct bytes element;
    bool is_open = document_cursor_open(list, &cursor);
    ASSERT(is_open);
    if (cursor.left == 0) {
        return REFUSE("the list is empty, so nothing could match");
    }
    enum status status = keep_path(builder, &condition);
    while (status == STATUS_OK && document_next_element(&cursor, &element)) {
        status = builder_add_test(builder, element);
    }
    if (status != STATUS_OK) {
        return status;
    }
    condition.test_count = pattern->test_count - condition.test_at;
    for (uint32_t index = 0; index < condition.test_count; index++) {
        condition.accepts_absent |= pattern->tests[condition.test_at + index].kind == TEST_ABSENT;
    }
    if (!builder_room(&pattern->conditions, pattern->condition_count, sizeof(condition),
                      &builder->condition_capacity)) {
        return STATUS_NO_MEMORY;
    }
    pattern->conditions[pattern->condition_count++] = condition;
    return join(parse, pattern->condition_count - 1);
}

/* ---- $or ---- */

/* Words that make "$or" an ordinary field where an object of its list has them, and that are no
 * names of fields within it. */
static bool is_reserved(struct bytes name)
{
    static const char *const WORDS[] = {"exactly",
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
    for (size_t index = 0; index < sizeof(WORDS) / sizeof(WORDS[0]); index++) {
        if (bytes_equal(name, bytes_of_text(WORDS[index]))) {
            return true;
        }
    }
    return false;
}

static bool has_reserved_member(struct bytes object)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    bool is_open = document_cursor_open(object, &cursor);
    ASSERT(is_open);
    while (document_next_member(&cursor, &name, &value)) {
        if (is_reserved(name)) {
            return true;
        }
    }
    return false;
}

/* Two or more objects, none with a reserved word: else "$or" is a field like any other. */
static bool is_or_list(struct bytes value)
{
    struct document_cursor cursor;
    struct bytes element;
    if (!document_cursor_open(value, &cursor) || cursor.is_object || cursor.left < 2) {
        return false;
    }
    while (document_next_element(&cursor, &element)) {
        if (!document_is_object(element) || has_reserved_member(element)) {
            return false;
        }
    }
    return true;
}

static struct frame *push_frame(struct parse *parse, struct bytes value, bool is_within_or)
{
    ASSERT(parse->frame_count < FRAMES_MAX);
    struct frame *frame = &parse->frames[parse->frame_count++];
    *frame = (struct frame){.path_size = parse->builder.path_size, .is_within_or = is_within_or};
    bool is_open = document_cursor_open(value, &frame->cursor);
    ASSERT(is_open);
    return frame;
}

static enum status open_or(struct parse *parse, struct bytes list)
{
    struct frame *frame = push_frame(parse, list, true);
    frame->is_or = true;
    frame->before = malloc(sizeof(*frame->before));
    frame->after = malloc(sizeof(*frame->after));
    if (frame->before == NULL || frame->after == NULL) {
        return STATUS_NO_MEMORY;
    }
    *frame->before = *parse->rows;
    frame->after->count = 0;
    parse->rows->count = 0; /* until its first object is opened */
    return STATUS_OK;
}

/* What one object of the list has made of the rows joins what those before it have made. */
static enum status gather(struct parse *parse, struct frame *frame)
{
    struct builder *builder = &parse->builder;
    uint32_t more = parse->rows->count;
    if (more > PATTERN_ALTERNATIVES_MAX - frame->after->count) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE,
                              "$or makes more than %d alternatives when it is multiplied out",
                              PATTERN_ALTERNATIVES_MAX);
    }
    for (uint32_t index = 0; index < more; index++) {
        frame->after->items[frame->after->count++] = parse->rows->items[index];
    }
    parse->rows->count = 0;
    return STATUS_OK;
}

static void close_frame(struct parse *parse)
{
    ASSERT(parse->frame_count > 0);
    struct frame *frame = &parse->frames[--parse->frame_count];
    parse->builder.path_size = frame->path_size;
    free(frame->before);
    free(frame->after);
}

/* ---- fields ---- */

static enum status open_object(struct parse *parse, struct bytes object, bool is_within_or)
{
    struct builder *builder = &parse->builder;
    if (document_count(object) == 0) {
        return REFUSE("an empty object matches nothing in particular; name a field or leave it "
                      "out");
    }
    (void)push_frame(parse, object, is_within_or);
    return STATUS_OK;
}

static enum status push_name(struct builder *builder, struct bytes name)
{
    if (builder->path_size == PATTERN_DEPTH_MAX) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE, "deeper than %d levels",
                              PATTERN_DEPTH_MAX);
    }
    size_t from = builder->text.size;
    writer_put(&builder->text, name);
    ASSERT(!builder->text.failed);
    builder->path[builder->path_size++] = bytes_of(builder->text.data + from, name.size);
    return STATUS_OK;
}

static enum status step_object(struct parse *parse, struct frame *frame)
{
    struct builder *builder = &parse->builder;
    struct bytes name;
    struct bytes value;
    builder->path_size = frame->path_size;
    if (!document_next_member(&frame->cursor, &name, &value)) {
        close_frame(parse);
        return STATUS_OK;
    }
    if (parse->frame_count > FRAMES_MAX - 2) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE, "deeper than %d levels",
                              PATTERN_DEPTH_MAX);
    }
    if (bytes_equal(name, BYTES_LITERAL("$or")) && is_or_list(value)) {
        return open_or(parse, value);
    }
    enum status status = push_name(builder, name);
    if (status != STATUS_OK) {
        return status;
    }
    if (frame->is_within_or && is_reserved(name)) {
        return REFUSE("within $or this word is reserved and cannot be the name of a field");
    }
    switch (document_type_of(value)) {
    case DOCUMENT_OBJECT:
        status = open_object(parse, value, frame->is_within_or);
        break;
    case DOCUMENT_ARRAY:
        status = add_condition(parse, value);
        break;
    case DOCUMENT_NONE:
    case DOCUMENT_NULL:
    case DOCUMENT_BOOL:
    case DOCUMENT_NUMBER:
    case DOCUMENT_STRING:
        return REFUSE("must be a list of values, or an object of fields");
    }
    return status;
}

static enum status step_or(struct parse *parse, struct frame *frame)
{
    struct bytes object;
    parse->builder.path_size = frame->path_size;
    enum status status = gather(parse, frame);
    if (status != STATUS_OK) {
        return status;
    }
    if (!document_next_element(&frame->cursor, &object)) {
        *parse->rows = *frame->after;
        close_frame(parse);
        return STATUS_OK;
    }
    *parse->rows = *frame->before;
    return open_object(parse, object, true);
}

/* ---- the trees ---- */

static int compare_names(struct bytes a, struct bytes b)
{
    if (a.size != b.size) {
        return a.size < b.size ? -1 : 1;
    }
    return bytes_compare(a, b);
}

/* Conditions of one alternative, by their paths. */
static int compare_paths(const void *left, const void *right, void *context)
{
    const struct pattern *pattern = context;
    const struct condition *a = &pattern->conditions[*(const uint16_t *)left];
    const struct condition *b = &pattern->conditions[*(const uint16_t *)right];
    uint32_t shared = a->name_count < b->name_count ? a->name_count : b->name_count;
    for (uint32_t level = 0; level < shared; level++) {
        int order =
            compare_names(pattern->names[a->name_at + level], pattern->names[b->name_at + level]);
        if (order != 0) {
            return order;
        }
    }
    return (a->name_count > b->name_count) - (a->name_count < b->name_count);
}

static enum status add_node(struct builder *builder, struct bytes name)
{
    struct pattern *pattern = builder->pattern;
    if (pattern->node_count == PATTERN_NODES_MAX) {
        builder->path_size = 0;
        return builder_refuse(builder, STATUS_UNPROCESSABLE,
                              "names too many fields when $or is multiplied out");
    }
    if (!builder_room(&pattern->nodes, pattern->node_count, sizeof(*pattern->nodes),
                      &builder->node_capacity)) {
        return STATUS_NO_MEMORY;
    }
    pattern->nodes[pattern->node_count++] =
        (struct node){.name = name, .condition = NODE_NO_CONDITION};
    return STATUS_OK;
}

/* The sorted conditions [from, to) all lie at or below a node. */
struct slice {
    uint32_t from;
    uint32_t to;
};

/*
 * Gives a node its condition and its children, one for each name that follows in its slice. Nodes
 * are made level by level, so that children stand together; slices are the nodes' own, by index.
 */
static enum status expand(struct builder *builder, const struct row *sorted, uint32_t node_index,
                          uint32_t level, struct slice *slices, uint32_t first_node)
{
    struct pattern *pattern = builder->pattern;
    struct slice slice = slices[node_index - first_node];
    const struct condition *conditions = pattern->conditions;
    for (uint32_t at = slice.from; at < slice.to; at++) {
        pattern->nodes[node_index].needed += !conditions[sorted->members[at]].accepts_absent;
    }
    if (conditions[sorted->members[slice.from]].name_count == level) {
        pattern->nodes[node_index].condition = sorted->members[slice.from++];
    }
    pattern->nodes[node_index].child_at = pattern->node_count;
    while (slice.from < slice.to) {
        struct bytes name = pattern->names[conditions[sorted->members[slice.from]].name_at + level];
        uint32_t to = slice.from + 1;
        while (to < slice.to &&
               bytes_equal(pattern->names[conditions[sorted->members[to]].name_at + level], name)) {
            to++;
        }
        enum status status = add_node(builder, name);
        if (status != STATUS_OK) {
            return status;
        }
        slices[pattern->node_count - 1 - first_node] = (struct slice){slice.from, to};
        pattern->nodes[node_index].child_count++;
        slice.from = to;
    }
    return STATUS_OK;
}

/* The tree of one alternative. */
static enum status plant(struct builder *builder, const struct row *row, struct slice *slices)
{
    struct pattern *pattern = builder->pattern;
    struct row sorted = *row;
    uint32_t first_node = pattern->node_count;
    ASSERT(row->count > 0);
    qsort_r(sorted.members, sorted.count, sizeof(sorted.members[0]), compare_paths, pattern);
    enum status status = add_node(builder, BYTES_EMPTY);
    slices[0] = (struct slice){0, sorted.count};
    uint32_t node = first_node;
    for (uint32_t level = 0; status == STATUS_OK && node < pattern->node_count; level++) {
        uint32_t level_end = pattern->node_count;
        for (; status == STATUS_OK && node < level_end; node++) {
            status = expand(builder, &sorted, node, level, slices, first_node);
        }
    }
    return status;
}

static enum status plant_all(struct builder *builder, const struct rows *rows)
{
    struct pattern *pattern = builder->pattern;
    struct slice *slices = malloc((PATTERN_NODES_MAX + 1) * sizeof(*slices));
    pattern->alternatives = calloc(rows->count, sizeof(*pattern->alternatives));
    enum status status =
        slices == NULL || pattern->alternatives == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t index = 0; status == STATUS_OK && index < rows->count; index++) {
        const struct row *row = &rows->items[index];
        struct alternative *alternative = &pattern->alternatives[pattern->alternative_count++];
        alternative->node_at = pattern->node_count;
        alternative->member_at = pattern->member_count;
        alternative->member_count = row->count;
        for (uint32_t member = 0; member < row->count; member++) {
            if (!builder_room(&pattern->members, pattern->member_count, sizeof(*pattern->members),
                              &builder->member_capacity)) {
                free(slices);
                return STATUS_NO_MEMORY;
            }
            pattern->members[pattern->member_count++] = row->members[member];
        }
        status = plant(builder, row, slices);
    }
    free(slices);
    return status;
}

/* ---- all of it ---- */

static enum status run(struct parse *parse, struct bytes document)
{
    struct builder *builder = &parse->builder;
    if (!document_is_object(document)) {
        return REFUSE("must be an object");
    }
    if (document.size > PATTERN_JSON_BYTES_MAX) {
        return builder_refuse(builder, STATUS_UNPROCESSABLE, "over %u bytes",
                              PATTERN_JSON_BYTES_MAX);
    }
    parse->rows->count = 1;
    parse->rows->items[0].count = 0;
    enum status status = open_object(parse, document, false);
    while (status == STATUS_OK && parse->frame_count > 0) {
        struct frame *frame = &parse->frames[parse->frame_count - 1];
        status = frame->is_or ? step_or(parse, frame) : step_object(parse, frame);
    }
    if (status != STATUS_OK) {
        return status;
    }
    builder->path_size = 0;
    return plant_all(builder, parse->rows);
}

enum status pattern_parse(struct bytes document, struct pattern **out,
                          struct pattern_problem *problem_out)
{
    ASSERT(out != NULL);
    ASSERT(problem_out != NULL);
    *out = NULL;
    problem_out->text[0] = '\0';
    struct pattern *pattern = calloc(1, sizeof(*pattern));
    struct parse *parse = calloc(1, sizeof(*parse));
    /* Names once, values once and folded: a folded text is at most half as long again. */
    size_t text_bytes = document.size > PATTERN_JSON_BYTES_MAX ? 0 : 3 * document.size + 64;
    enum status status = STATUS_NO_MEMORY;
    if (pattern != NULL && parse != NULL) {
        pattern->text = malloc(text_bytes + 1);
        pattern->text_bytes = text_bytes;
        parse->rows = malloc(sizeof(*parse->rows));
        parse->builder.pattern = pattern;
        parse->builder.problem = problem_out;
        parse->builder.text = writer_of(pattern->text, text_bytes);
        status = pattern->text == NULL || parse->rows == NULL ? status : run(parse, document);
        while (parse->frame_count > 0) {
            close_frame(parse);
        }
        free(parse->rows);
    }
    free(parse);
    if (status != STATUS_OK) {
        pattern_destroy(&pattern);
        if (status == STATUS_NO_MEMORY) {
            (void)snprintf(problem_out->text, sizeof(problem_out->text), "out of memory");
        }
    }
    *out = pattern;
    return status;
}

void pattern_destroy(struct pattern **pattern)
{
    ASSERT(pattern != NULL);
    if (*pattern == NULL) {
        return;
    }
    free((*pattern)->alternatives);
    free((*pattern)->conditions);
    free((*pattern)->tests);
    free((*pattern)->parts);
    free((*pattern)->nodes);
    free((*pattern)->names);
    free((*pattern)->members);
    free((*pattern)->text);
    free(*pattern);
    *pattern = NULL;
    ASSERT(*pattern == NULL);
}
