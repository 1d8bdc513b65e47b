/*
 * operation.c: the arrays of data requests: what they ask for, as views into their bytes.
 */
#include <stdio.h>
#include <string.h>

#include "net/rest/target.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/token.h"

/* ---- faults ---- */

bool wire_fault_set(struct wire_fault *fault, uint16_t status, const char *detail)
{
    fault->problem = (struct problem){.status = status, .detail = bytes_of_text(detail)};
    return false;
}

bool wire_fault_status(struct wire_fault *fault, enum status status)
{
    fault->problem = problem_of(status, BYTES_EMPTY);
    return false;
}

bool wire_fault_singular(struct wire_fault *fault, uint16_t status,
                         const struct collection *collection, const char *words)
{
    struct writer text = writer_of(fault->text, sizeof(fault->text));
    writer_put(&text, collection->singular);
    writer_u8(&text, ' ');
    writer_text(&text, words);
    ASSERT(!text.failed);
    fault->problem = (struct problem){.status = status, .detail = writer_bytes(&text)};
    return false;
}

bool wire_fault_collection(struct wire_fault *fault, struct bytes name)
{
    struct bytes shown = bytes_slice(name, 0, COLLECTION_NAME_BYTES_MAX);
    if (shown.size == 0 || !utf8_is_valid(shown)) {
        return wire_fault_set(fault, 404, "There is no collection of that name");
    }
    struct writer text = writer_of(fault->text, sizeof(fault->text));
    writer_text(&text, "There is no collection '");
    writer_put(&text, shown);
    writer_u8(&text, '\'');
    ASSERT(!text.failed);
    fault->problem = (struct problem){.status = 404, .detail = writer_bytes(&text)};
    return false;
}

bool wire_fault_malformed(struct wire_fault *fault)
{
    return wire_fault_set(fault, 400,
                          "The body is not the MessagePack array that its opcode asks for");
}

/* ---- values ---- */

struct bytes wire_value_take(struct reader *reader)
{
    size_t from = reader->offset;
    if (!token_skip(reader)) {
        return BYTES_EMPTY;
    }
    return bytes_of(reader->data + from, reader->offset - from);
}

bool wire_array_take(struct reader *reader, uint32_t *count_out)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_ARRAY) {
        return false;
    }
    *count_out = token.count;
    return true;
}

bool wire_string_take(struct reader *reader, struct bytes *text_out)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_STRING) {
        return false;
    }
    *text_out = token.payload;
    return true;
}

bool wire_collection_take(const struct wire_server *server, struct reader *reader,
                          const struct collection *last, const struct collection **collection_out,
                          struct wire_fault *fault)
{
    struct bytes name;
    if (!wire_string_take(reader, &name)) {
        return wire_fault_malformed(fault);
    }
    bool again = last != NULL && bytes_equal(name, last->name);
    *collection_out = again ? last : collection_names_find(&server->collections, name);
    return *collection_out != NULL || wire_fault_collection(fault, name);
}

bool wire_id_take(struct reader *reader, struct bytes *id_out, struct wire_fault *fault)
{
    if (!wire_string_take(reader, id_out)) {
        return wire_fault_malformed(fault);
    }
    const char *reason = target_id_reason(*id_out);
    return reason == NULL || wire_fault_set(fault, 400, reason);
}

/* ---- options ---- */

#define OF(opcode) (1u << (opcode))

enum option_kind { OPTION_STRING, OPTION_BOOL, OPTION_LIMIT };

static const struct option {
    const char *name;
    enum option_kind kind;
    uint32_t opcodes; /* bits */
    size_t offset;    /* in struct wire_operation */
} options[] = {
    {"min", OPTION_STRING, OF(FRAME_GET) | OF(FRAME_LIST),
     offsetof(struct wire_operation, minimum)},
    {"fresh", OPTION_BOOL, OF(FRAME_GET), offsetof(struct wire_operation, fresh)},
    {"if_none_match", OPTION_STRING, OF(FRAME_GET) | OF(FRAME_PUT),
     offsetof(struct wire_operation, if_none_match)},
    {"if_match", OPTION_STRING, OF(FRAME_PUT) | OF(FRAME_PATCH) | OF(FRAME_DELETE),
     offsetof(struct wire_operation, if_match)},
    {"key", OPTION_STRING, OF(FRAME_CREATE), offsetof(struct wire_operation, key)},
    {"limit", OPTION_LIMIT, OF(FRAME_LIST), offsetof(struct wire_operation, limit)},
    {"cursor", OPTION_STRING, OF(FRAME_LIST), offsetof(struct wire_operation, cursor)},
    {"index", OPTION_STRING, OF(FRAME_LIST), offsetof(struct wire_operation, index)},
    {"value", OPTION_STRING, OF(FRAME_LIST), offsetof(struct wire_operation, value)},
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static bool option_refuse(struct wire_fault *fault, const char *format, struct bytes name)
{
    int shown = name.size > 64 ? 64 : (int)name.size;
    int size = snprintf(fault->text, sizeof(fault->text), format, shown, (const char *)name.data);
    ASSERT(size > 0 && (size_t)size < sizeof(fault->text));
    fault->problem = (struct problem){.status = 400, .detail = bytes_of(fault->text, (size_t)size)};
    return false;
}

static bool option_set(struct wire_operation *operation, const struct option *option,
                       const struct token *token)
{
    char *at = (char *)operation + option->offset;
    switch (option->kind) {
    case OPTION_STRING:
        if (token->kind == TOKEN_STRING) {
            memcpy(at, &token->payload, sizeof(token->payload));
        }
        return token->kind == TOKEN_STRING;
    case OPTION_BOOL:
        if (token->kind == TOKEN_BOOL) {
            memcpy(at, &token->boolean, sizeof(token->boolean));
        }
        return token->kind == TOKEN_BOOL;
    case OPTION_LIMIT:
        if (token->kind == TOKEN_UNSIGNED && token->integer > 0 &&
            token->integer <= LIST_RECORDS_MAX) {
            operation->limit = (uint32_t)token->integer;
            return true;
        }
        return false;
    }
    UNREACHABLE();
}

/* seen: bits of those that were there already. */
static bool option_read(struct reader *reader, struct wire_operation *operation,
                        uint32_t *seen_inout, struct wire_fault *fault)
{
    struct bytes name;
    if (!wire_string_take(reader, &name)) {
        return wire_fault_malformed(fault);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        if (!bytes_equal(name, bytes_of_text(option->name)) ||
            (option->opcodes & OF(operation->opcode)) == 0) {
            continue;
        }
        struct token token;
        if ((*seen_inout & 1u << i) != 0) {
            return option_refuse(fault, "The option %.*s is there twice", name);
        }
        *seen_inout |= 1u << i;
        if (!token_next(reader, &token)) {
            return wire_fault_malformed(fault);
        }
        /* nil is the same as not to say it. */
        if (token.kind == TOKEN_NULL || option_set(operation, option, &token)) {
            return true;
        }
        return option->kind == OPTION_LIMIT
                   ? wire_fault_set(fault, 400, "limit is a whole number from 1 to 1000")
                   : option_refuse(fault, "The option %.*s is of another type", name);
    }
    /* Passed over, a condition with a typing error would not be one. */
    return option_refuse(fault, "This request has no option %.*s", name);
}

static bool options_read(struct reader *reader, struct wire_operation *operation,
                         struct wire_fault *fault)
{
    struct token token;
    if (!token_next(reader, &token)) {
        return wire_fault_malformed(fault);
    }
    if (token.kind == TOKEN_NULL) {
        return true;
    }
    if (token.kind != TOKEN_OBJECT) {
        return wire_fault_set(fault, 400, "options is a map");
    }
    uint32_t seen = 0;
    operation->has_options = token.count > 0;
    for (uint32_t left = token.count; left > 0; left--) {
        if (!option_read(reader, operation, &seen, fault)) {
            return false;
        }
    }
    return true;
}

/* ---- requests ---- */

bool wire_rest_pass(struct reader *reader, uint32_t count, struct wire_fault *fault)
{
    for (uint32_t left = count; left > 0; left--) {
        if (!token_skip(reader)) {
            return wire_fault_malformed(fault);
        }
    }
    return reader_left(reader) == 0 || wire_fault_malformed(fault);
}

bool wire_operation_read(const struct wire_server *server, struct bytes body,
                         const struct collection *last, struct wire_operation *operation,
                         struct wire_fault *fault)
{
    uint8_t opcode = operation->opcode;
    ASSERT(opcode >= FRAME_GET && opcode <= FRAME_LIST && opcode != FRAME_MGET);
    bool has_id = opcode != FRAME_CREATE && opcode != FRAME_LIST;
    bool has_document =
        has_id ? opcode != FRAME_GET && opcode != FRAME_DELETE : opcode == FRAME_CREATE;
    uint32_t known = 1u + (has_id ? 1 : 0) + (has_document ? 1 : 0);
    struct reader reader = reader_of(body);
    uint32_t count;
    if (!wire_array_take(&reader, &count) || count < known) {
        return wire_fault_malformed(fault);
    }
    if (!wire_collection_take(server, &reader, last, &operation->collection, fault)) {
        return false;
    }
    if (has_id && !wire_id_take(&reader, &operation->id, fault)) {
        return false;
    }
    if (has_document) {
        operation->document = wire_value_take(&reader);
        if (operation->document.size == 0) {
            return wire_fault_set(fault, 400, "The document is not one that JSON could say");
        }
    }
    if (count > known) {
        known++;
        if (!options_read(&reader, operation, fault)) {
            return false;
        }
    }
    return wire_rest_pass(&reader, count - known, fault);
}

bool wire_operation_take(struct wire_connection *connection, const struct wire_frame *frame,
                         struct wire_operation *operation_out)
{
    struct wire_fault fault;
    *operation_out = (struct wire_operation){.opcode = frame->opcode,
                                             .json = (frame->flags & FRAME_FLAG_JSON) != 0};
    if (!wire_operation_read(connection->server, frame->body, connection->collection, operation_out,
                             &fault)) {
        wire_answer_problem(connection, frame->id, &fault.problem);
        return false;
    }
    ASSERT(operation_out->collection != NULL);
    connection->collection = operation_out->collection;
    return true;
}
