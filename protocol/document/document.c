#include "protocol/document/document.h"

#include <assert.h>
#include <math.h>

#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/members.h"
#include "protocol/document/number.h"
#include "protocol/document/token.h"

/* ---- validation ---- */

struct validate_frame {
    uint64_t left;     /* names and values that must still come */
    uint32_t names_at; /* the object's first entry in the table of names */
    bool is_object;
};

struct validation {
    struct reader reader;
    struct members names;
    struct validate_frame frames[DOCUMENT_DEPTH_MAX];
    size_t depth;
};

static enum status validate_number(const struct token *token)
{
    if (token->kind == TOKEN_FLOAT) {
        return isfinite(token->floating) ? STATUS_OK : STATUS_INVALID;
    }
    if (token->kind == TOKEN_NUMBER_TEXT) {
        struct number_scan scan;
        return number_scan(token->payload, &scan) ? number_check(&scan) : STATUS_INVALID;
    }
    return STATUS_OK;
}

static bool is_at_name(const struct validation *validation)
{
    if (validation->depth == 0) {
        return false;
    }
    const struct validate_frame *frame = &validation->frames[validation->depth - 1];
    return frame->is_object && frame->left % 2 == 0;
}

static enum status validate_name(struct validation *validation, const struct token *token)
{
    if (token->kind != TOKEN_STRING) {
        return STATUS_INVALID;
    }
    struct member *name = members_push(&validation->names);
    if (name == NULL) {
        return STATUS_NO_MEMORY;
    }
    name->order = member_order(token->payload);
    name->name_offset = (uint32_t)(validation->reader.offset - token->payload.size);
    name->name_size = (uint32_t)token->payload.size;
    return STATUS_OK;
}

static enum status validate_open(struct validation *validation, const struct token *token)
{
    uint64_t children = token_children(token);
    if (validation->depth == DOCUMENT_DEPTH_MAX || children > reader_left(&validation->reader)) {
        return STATUS_INVALID;
    }
    validation->frames[validation->depth++] = (struct validate_frame){
        .left = children,
        .names_at = (uint32_t)validation->names.count,
        .is_object = token->kind == TOKEN_OBJECT,
    };
    return STATUS_OK;
}

/* Leaves every container that is complete. */
static enum status validate_close(struct validation *validation)
{
    while (validation->depth > 0 && validation->frames[validation->depth - 1].left == 0) {
        const struct validate_frame *frame = &validation->frames[validation->depth - 1];
        if (frame->is_object) {
            const struct member *duplicate;
            enum status status = members_find_duplicate(&validation->names, frame->names_at,
                                                        validation->reader.data, &duplicate);
            if (status != STATUS_OK || duplicate != NULL) {
                return status != STATUS_OK ? status : STATUS_INVALID;
            }
            validation->names.count = frame->names_at;
        }
        validation->depth--;
    }
    return STATUS_OK;
}

static enum status validate_step(struct validation *validation)
{
    struct token token;
    bool is_name = is_at_name(validation);
    if (!token_next(&validation->reader, &token)) {
        return STATUS_INVALID;
    }
    if (validation->depth > 0) {
        validation->frames[validation->depth - 1].left--;
    }
    if (token.kind == TOKEN_STRING && !utf8_is_valid(token.payload)) {
        return STATUS_INVALID;
    }
    if (is_name) {
        return validate_name(validation, &token);
    }
    enum status status =
        token_is_container(&token) ? validate_open(validation, &token) : validate_number(&token);
    return status != STATUS_OK ? status : validate_close(validation);
}

enum status document_validate(struct bytes document)
{
    if (document.size > UINT32_MAX) {
        return STATUS_INVALID;
    }
    struct validation validation;
    validation.reader = reader_of(document);
    validation.depth = 0;
    members_init(&validation.names);
    enum status status;
    do {
        status = validate_step(&validation);
    } while (status == STATUS_OK && validation.depth > 0);
    members_deinit(&validation.names);
    if (status == STATUS_OK && reader_left(&validation.reader) > 0) {
        return STATUS_INVALID;
    }
    return status;
}

/* ---- reading ---- */

static bool first_token(struct bytes value, struct token *token_out)
{
    struct reader reader = reader_of(value);
    return token_next(&reader, token_out);
}

enum document_type document_type_of(struct bytes value)
{
    struct token token;
    if (!first_token(value, &token)) {
        return DOCUMENT_NONE;
    }
    switch (token.kind) {
    case TOKEN_NULL:
        return DOCUMENT_NULL;
    case TOKEN_BOOL:
        return DOCUMENT_BOOL;
    case TOKEN_UNSIGNED:
    case TOKEN_NEGATIVE:
    case TOKEN_FLOAT:
    case TOKEN_NUMBER_TEXT:
        return DOCUMENT_NUMBER;
    case TOKEN_STRING:
        return DOCUMENT_STRING;
    case TOKEN_ARRAY:
        return DOCUMENT_ARRAY;
    case TOKEN_OBJECT:
        return DOCUMENT_OBJECT;
    }
    return DOCUMENT_NONE;
}

size_t document_value_size(struct bytes bytes)
{
    struct reader reader = reader_of(bytes);
    return token_skip(&reader) ? reader.offset : 0;
}

bool document_is_object(struct bytes document)
{
    struct token token;
    return first_token(document, &token) && token.kind == TOKEN_OBJECT;
}

uint32_t document_count(struct bytes value)
{
    struct token token;
    return first_token(value, &token) && token_is_container(&token) ? token.count : 0;
}

bool document_cursor_open(struct bytes value, struct document_cursor *cursor_out)
{
    struct token token;
    *cursor_out = (struct document_cursor){.reader = reader_of(value)};
    if (!token_next(&cursor_out->reader, &token) || !token_is_container(&token)) {
        return false;
    }
    cursor_out->left = token.count;
    cursor_out->is_object = token.kind == TOKEN_OBJECT;
    return true;
}

/* The value at the reader, whole. */
static bool take_value(struct reader *reader, struct bytes *value_out)
{
    size_t from = reader->offset;
    if (!token_skip(reader)) {
        return false;
    }
    *value_out = bytes_of(reader->data + from, reader->offset - from);
    return true;
}

bool document_next_member(struct document_cursor *cursor, struct bytes *name_out,
                          struct bytes *value_out)
{
    ASSERT(cursor->is_object || cursor->left == 0);
    struct token token;
    if (cursor->left == 0) {
        return false;
    }
    if (!token_next(&cursor->reader, &token) || token.kind != TOKEN_STRING ||
        !take_value(&cursor->reader, value_out)) {
        cursor->left = 0;
        return false;
    }
    *name_out = token.payload;
    cursor->left--;
    return true;
}

bool document_next_element(struct document_cursor *cursor, struct bytes *value_out)
{
    ASSERT(!cursor->is_object);
    if (cursor->left == 0 || !take_value(&cursor->reader, value_out)) {
        cursor->left = 0;
        return false;
    }
    cursor->left--;
    return true;
}

/*
 * From an object's head to its member's value: the values before it are passed over, the rest is
 * not looked at.
 */
static bool descend(struct reader *reader, struct bytes name)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_OBJECT) {
        return false;
    }
    for (uint32_t left = token.count; left > 0; left--) {
        if (!token_next(reader, &token) || token.kind != TOKEN_STRING) {
            return false;
        }
        if (bytes_equal(token.payload, name)) {
            return true;
        }
        if (!token_skip(reader)) {
            return false;
        }
    }
    return false;
}

bool document_find(struct bytes document, struct bytes name, struct bytes *value_out)
{
    return document_find_path(document, &name, 1, value_out);
}

bool document_find_path(struct bytes document, const struct bytes *names, size_t name_count,
                        struct bytes *value_out)
{
    struct reader reader = reader_of(document);
    for (size_t level = 0; level < name_count; level++) {
        if (!descend(&reader, names[level])) {
            return false;
        }
    }
    return take_value(&reader, value_out);
}

bool document_string(struct bytes value, struct bytes *utf8_out)
{
    struct token token;
    if (!first_token(value, &token) || token.kind != TOKEN_STRING) {
        return false;
    }
    *utf8_out = token.payload;
    return true;
}

bool document_bool(struct bytes value, bool *out)
{
    struct token token;
    if (!first_token(value, &token) || token.kind != TOKEN_BOOL) {
        return false;
    }
    *out = token.boolean;
    return true;
}

bool document_is_null(struct bytes value)
{
    struct token token;
    return first_token(value, &token) && token.kind == TOKEN_NULL;
}

bool document_u64(struct bytes value, uint64_t *out)
{
    struct token token;
    if (!first_token(value, &token) || token.kind != TOKEN_UNSIGNED) {
        return false;
    }
    *out = token.integer;
    return true;
}

bool document_i64(struct bytes value, int64_t *out)
{
    struct token token;
    if (!first_token(value, &token)) {
        return false;
    }
    bool fits = token.kind == TOKEN_NEGATIVE ||
                (token.kind == TOKEN_UNSIGNED && token.integer <= INT64_MAX);
    if (fits) {
        *out = (int64_t)token.integer;
    }
    return fits;
}

bool document_double(struct bytes value, double *out)
{
    struct token token;
    struct number_scan scan;
    if (!first_token(value, &token)) {
        return false;
    }
    if (token.kind == TOKEN_FLOAT) {
        *out = token.floating;
    } else if (token.kind == TOKEN_UNSIGNED) {
        *out = (double)token.integer;
    } else if (token.kind == TOKEN_NEGATIVE) {
        *out = (double)(int64_t)token.integer;
    } else if (token.kind == TOKEN_NUMBER_TEXT && number_scan(token.payload, &scan)) {
        *out = number_to_double(&scan);
    } else {
        return false;
    }
    return true;
}

bool token_number_text(const struct token *token, struct writer *out)
{
    char text[NUMBER_FLOAT_TEXT_MAX];
    switch (token->kind) {
    case TOKEN_NEGATIVE:
        writer_u8(out, '-');
        writer_decimal(out, UINT64_C(0) - token->integer);
        return true;
    case TOKEN_UNSIGNED:
        writer_decimal(out, token->integer);
        return true;
    case TOKEN_FLOAT:
        if (!isfinite(token->floating)) {
            return false;
        }
        writer_put(out, bytes_of(text, number_float_text(token->floating, text)));
        return true;
    case TOKEN_NUMBER_TEXT:
        writer_put(out, token->payload);
        return true;
    case TOKEN_NULL:
    case TOKEN_BOOL:
    case TOKEN_STRING:
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        return false;
    }
    return false;
}

bool document_number_text(struct bytes value, struct writer *out)
{
    struct token token;
    return first_token(value, &token) && token_number_text(&token, out) && !out->failed;
}

bool document_index_text(struct bytes value, struct writer *out)
{
    struct token token;
    if (!first_token(value, &token)) {
        return false;
    }
    if (token.kind == TOKEN_STRING) {
        writer_put(out, token.payload);
    } else if (token.kind == TOKEN_BOOL) {
        writer_text(out, token.boolean ? "true" : "false");
    } else if (!token_number_text(&token, out)) {
        return false;
    }
    return !out->failed;
}
