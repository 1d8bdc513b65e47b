/* The part of document.h that compares. */
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/members.h"
#include "protocol/document/token.h"

/*
 * Same bytes are the quick answer, but not at every level: deep documents would be read once per
 * level.
 */
#define SAME_BYTES_DEPTH_MAX 4

/* Two containers of one kind and count, compared member by member or element by element. */
struct pair {
    struct document_cursor a;
    struct document_cursor b;
    uint32_t table_from; /* b's members in the table, once their order has turned out to differ */
    uint32_t table_count;
    bool has_table;
};

struct comparison {
    struct bytes whole_b;
    struct ends ends_a;
    struct ends ends_b;
    struct members members; /* of b; offsets count from its beginning */
    struct pair pairs[DOCUMENT_DEPTH_MAX];
    size_t depth;
};

static bool equal_number_text(const struct token *a, const struct token *b)
{
    /* Only an extension's text has no bound, and it is not copied. */
    uint8_t room[DOCUMENT_NUMBER_TEXT_MAX];
    struct writer writer = writer_of(room, sizeof(room));
    if (a->kind == TOKEN_NUMBER_TEXT && b->kind == TOKEN_NUMBER_TEXT) {
        return bytes_equal(a->payload, b->payload);
    }
    if (a->kind == TOKEN_NUMBER_TEXT) {
        return token_number_text(b, &writer) && bytes_equal(writer_bytes(&writer), a->payload);
    }
    return token_number_text(a, &writer) && bytes_equal(writer_bytes(&writer), b->payload);
}

static bool equal_scalar(const struct token *a, const struct token *b)
{
    if (a->kind != b->kind) {
        /* Integers and float64s never share a text; an extension may hold any number's. */
        bool is_text = a->kind == TOKEN_NUMBER_TEXT || b->kind == TOKEN_NUMBER_TEXT;
        return is_text && equal_number_text(a, b);
    }
    switch (a->kind) {
    case TOKEN_NULL:
        return true;
    case TOKEN_BOOL:
        return a->boolean == b->boolean;
    case TOKEN_UNSIGNED:
    case TOKEN_NEGATIVE:
        return a->integer == b->integer;
    case TOKEN_FLOAT:
        return memcmp(&a->floating, &b->floating, sizeof(a->floating)) == 0;
    case TOKEN_NUMBER_TEXT:
    case TOKEN_STRING:
        return bytes_equal(a->payload, b->payload);
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        break;
    }
    UNREACHABLE();
}

/*
 * Scalars are compared at once; containers are opened as a pair. False when they differ or are
 * nested too deep.
 */
static bool compare_values(struct comparison *comparison, struct bytes a, struct bytes b)
{
    if (comparison->depth < SAME_BYTES_DEPTH_MAX && bytes_equal(a, b)) {
        return true;
    }
    struct reader reader_a = reader_of(a);
    struct reader reader_b = reader_of(b);
    struct token token_a;
    struct token token_b;
    if (!token_next(&reader_a, &token_a) || !token_next(&reader_b, &token_b)) {
        return false;
    }
    if (!token_is_container(&token_a) || !token_is_container(&token_b)) {
        return !token_is_container(&token_a) && !token_is_container(&token_b) &&
               equal_scalar(&token_a, &token_b);
    }
    if (token_a.kind != token_b.kind || token_a.count != token_b.count ||
        comparison->depth == DOCUMENT_DEPTH_MAX) {
        return false;
    }
    bool is_object = token_a.kind == TOKEN_OBJECT;
    struct pair *pair = &comparison->pairs[comparison->depth++];
    pair->a = (struct document_cursor){reader_a, token_a.count, is_object};
    pair->b = (struct document_cursor){reader_b, token_b.count, is_object};
    pair->has_table = false;
    return true;
}

/* The rest of b's members, so that they can be found by name. */
static bool make_table(struct comparison *comparison, struct pair *pair)
{
    struct members *members = &comparison->members;
    const uint8_t *base = comparison->whole_b.data;
    struct bytes name;
    struct bytes value;
    pair->table_from = (uint32_t)members->count;
    while (ends_next_member(&comparison->ends_b, &pair->b, &name, &value)) {
        struct member *member = members_push(members);
        if (member == NULL) {
            return false;
        }
        *member = (struct member){
            .order = member_order(name),
            .name_offset = (uint32_t)(name.data - base),
            .name_size = (uint32_t)name.size,
            .value_offset = (uint32_t)(value.data - base),
            .value_size = (uint32_t)value.size,
        };
    }
    pair->table_count = (uint32_t)members->count - pair->table_from;
    pair->has_table = true;
    return pair->table_count <= MEMBERS_LINEAR_MAX || members_sort(members, pair->table_from, base);
}

/*
 * b's member of that name: the next one as long as both sides have the same order, else looked up.
 */
static bool find_in_b(struct comparison *comparison, struct pair *pair, struct bytes name,
                      struct bytes *value_out)
{
    if (!pair->has_table) {
        struct bytes name_b;
        struct document_cursor before = pair->b;
        if (!ends_next_member(&comparison->ends_b, &pair->b, &name_b, value_out)) {
            return false;
        }
        if (bytes_equal(name, name_b)) {
            return true;
        }
        pair->b = before;
        if (!make_table(comparison, pair)) {
            return false;
        }
    }
    const uint8_t *base = comparison->whole_b.data;
    const struct member *member = members_find(&comparison->members, pair->table_from,
                                               pair->table_count, base, name, member_order(name));
    if (member == NULL) {
        return false;
    }
    *value_out = member_value(member, base);
    return true;
}

/* One member or element of the innermost pair, or the end of it. */
static bool compare_step(struct comparison *comparison)
{
    struct pair *pair = &comparison->pairs[comparison->depth - 1];
    struct bytes name;
    struct bytes value_a;
    struct bytes value_b;
    if (pair->a.left == 0) {
        if (pair->has_table) {
            comparison->members.count = pair->table_from;
        }
        comparison->depth--;
        return true;
    }
    if (!pair->a.is_object) {
        return ends_next_element(&comparison->ends_a, &pair->a, &value_a) &&
               ends_next_element(&comparison->ends_b, &pair->b, &value_b) &&
               compare_values(comparison, value_a, value_b);
    }
    return ends_next_member(&comparison->ends_a, &pair->a, &name, &value_a) &&
           find_in_b(comparison, pair, name, &value_b) &&
           compare_values(comparison, value_a, value_b);
}

static bool compare_containers(struct comparison *comparison, struct bytes a, struct bytes b)
{
    if (ends_init(&comparison->ends_a, a) != STATUS_OK) {
        return false;
    }
    if (ends_init(&comparison->ends_b, b) != STATUS_OK) {
        ends_deinit(&comparison->ends_a);
        return false;
    }
    comparison->whole_b = b;
    comparison->depth = 0;
    members_init(&comparison->members);
    bool is_equal = compare_values(comparison, a, b);
    while (is_equal && comparison->depth > 0) {
        is_equal = compare_step(comparison);
    }
    members_deinit(&comparison->members);
    ends_deinit(&comparison->ends_b);
    ends_deinit(&comparison->ends_a);
    return is_equal;
}

bool document_equal(struct bytes a, struct bytes b)
{
    if (bytes_equal(a, b)) {
        return true;
    }
    struct reader reader_a = reader_of(a);
    struct reader reader_b = reader_of(b);
    struct token token_a;
    struct token token_b;
    if (!token_next(&reader_a, &token_a) || !token_next(&reader_b, &token_b)) {
        return false;
    }
    if (token_is_container(&token_a) && token_is_container(&token_b)) {
        /* Counts tell most different documents apart before anything is prepared. */
        struct comparison comparison;
        return token_a.kind == token_b.kind && token_a.count == token_b.count &&
               compare_containers(&comparison, a, b);
    }
    return !token_is_container(&token_a) && !token_is_container(&token_b) &&
           equal_scalar(&token_a, &token_b);
}

/* ---- what has changed ---- */

/*
 * A name of the old or of the new document in the order of bytes: its first eight of them, then the
 * rest.
 */
static uint64_t byte_order(struct bytes name)
{
    uint64_t order = 0;
    for (size_t at = 0; at < sizeof(order); at++) {
        order = order << 8 | (at < name.size ? name.data[at] : 0);
    }
    return order;
}

/* The members of an object, or of nothing, sorted by name. */
static enum status sorted_members(struct bytes document, struct members *members)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (document.size == 0) {
        return STATUS_OK;
    }
    if (document.size > UINT32_MAX || !document_cursor_open(document, &cursor) ||
        !cursor.is_object) {
        return STATUS_INVALID;
    }
    uint32_t count = cursor.left;
    while (document_next_member(&cursor, &name, &value)) {
        struct member *member = members_push(members);
        if (member == NULL) {
            return STATUS_NO_MEMORY;
        }
        *member = (struct member){
            .order = byte_order(name),
            .name_offset = (uint32_t)(name.data - document.data),
            .name_size = (uint32_t)name.size,
            .value_offset = (uint32_t)(value.data - document.data),
            .value_size = (uint32_t)value.size,
        };
    }
    if (members->count != count || reader_left(&cursor.reader) > 0) {
        return STATUS_INVALID;
    }
    return members_sort(members, 0, document.data) ? STATUS_OK : STATUS_NO_MEMORY;
}

/*
 * Walks both sorted lists at once and writes the names that differ, one behind the other; how many.
 */
static uint32_t list_changes(const struct members *old_members, const uint8_t *old_base,
                             const struct members *new_members, const uint8_t *new_base,
                             struct writer *names_out)
{
    uint32_t count = 0;
    size_t old_at = 0;
    size_t new_at = 0;
    while (old_at < old_members->count || new_at < new_members->count) {
        struct bytes old_name = BYTES_EMPTY;
        struct bytes new_name = BYTES_EMPTY;
        int way = 0;
        if (old_at < old_members->count) {
            old_name = member_name(&old_members->items[old_at], old_base);
            way = -1;
        }
        if (new_at < new_members->count) {
            new_name = member_name(&new_members->items[new_at], new_base);
            way = way < 0 ? bytes_compare(old_name, new_name) : 1;
        }
        bool is_changed =
            way != 0 || !document_equal(member_value(&old_members->items[old_at], old_base),
                                        member_value(&new_members->items[new_at], new_base));
        if (is_changed) {
            document_write_string(names_out, way <= 0 ? old_name : new_name);
            count++;
        }
        old_at += way <= 0;
        new_at += way >= 0;
    }
    return count;
}

/* So many changed names are sorted on the stack. */
#define CHANGED_IN_STEP_MAX 16

/*
 * Most writes keep the members of their record, in their order, so that the documents can be walked
 * in step and nothing is sorted but the names that changed. False: they are not such, or too many
 * names changed; nothing was written. Else *status_out is OK or TOO_LARGE.
 */
static bool changed_in_step(struct bytes old_document, struct bytes new_document,
                            struct writer *names_out, uint32_t *count_out, enum status *status_out)
{
    struct document_cursor olds;
    struct document_cursor news;
    if (!document_cursor_open(old_document, &olds) || !document_cursor_open(new_document, &news) ||
        !olds.is_object || !news.is_object || olds.left != news.left) {
        return false;
    }
    struct bytes changed[CHANGED_IN_STEP_MAX];
    uint32_t count = 0;
    for (uint32_t left = olds.left; left > 0; left--) {
        struct bytes old_name;
        struct bytes new_name;
        struct bytes old_value;
        struct bytes new_value;
        if (!document_next_member(&olds, &old_name, &old_value) ||
            !document_next_member(&news, &new_name, &new_value) ||
            !bytes_equal(old_name, new_name)) {
            return false;
        }
        if (document_equal(old_value, new_value)) {
            continue;
        }
        if (count == CHANGED_IN_STEP_MAX) {
            return false;
        }
        uint32_t at = count++;
        for (; at > 0 && bytes_compare(changed[at - 1], new_name) > 0; at--) {
            changed[at] = changed[at - 1];
        }
        changed[at] = new_name;
    }
    if (reader_left(&olds.reader) > 0 || reader_left(&news.reader) > 0) {
        return false;
    }
    document_write_array(names_out, count);
    for (uint32_t i = 0; i < count; i++) {
        document_write_string(names_out, changed[i]);
    }
    *count_out = names_out->failed ? 0 : count;
    *status_out = names_out->failed ? STATUS_TOO_LARGE : STATUS_OK;
    return true;
}

enum status document_changed(struct bytes old_document, struct bytes new_document,
                             struct writer *names_out, uint32_t *count_out)
{
    enum status quick;
    if (changed_in_step(old_document, new_document, names_out, count_out, &quick)) {
        return quick;
    }
    struct members old_members;
    struct members new_members;
    members_init(&old_members);
    members_init(&new_members);
    *count_out = 0;
    enum status status = sorted_members(old_document, &old_members);
    if (status == STATUS_OK) {
        status = sorted_members(new_document, &new_members);
    }
    if (status == STATUS_OK) {
        /*
         * The names are written first, as their count is not known, and make room for the head
         * afterwards.
         */
        size_t from = names_out->size;
        uint32_t count = list_changes(&old_members, old_document.data, &new_members,
                                      new_document.data, names_out);
        size_t names_size = names_out->size - from;
        document_write_array(names_out, count);
        size_t head_size = names_out->size - from - names_size;
        if (names_out->failed) {
            status = STATUS_TOO_LARGE;
        } else {
            uint8_t head[8];
            ASSERT(head_size <= sizeof(head));
            memcpy(head, names_out->data + from + names_size, head_size);
            memmove(names_out->data + from + head_size, names_out->data + from, names_size);
            memcpy(names_out->data + from, head, head_size);
            *count_out = count;
        }
    }
    members_deinit(&new_members);
    members_deinit(&old_members);
    return status;
}

bool document_names(struct bytes names, struct bytes name)
{
    struct document_cursor cursor;
    struct bytes value;
    struct bytes one;
    if (!document_cursor_open(names, &cursor)) {
        return false;
    }
    while (document_next_element(&cursor, &value)) {
        if (document_string(value, &one) && bytes_equal(one, name)) {
            return true;
        }
    }
    return false;
}
