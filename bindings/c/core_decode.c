/* The bodies of answers. Nothing is taken over before the whole of it has been looked through. */
#include <stdlib.h>

#include "bindings/c/core_internal.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"
#include "protocol/document/token.h"

/* An answer to BATCH or MGET has no more elements than could be asked for. */
static_assert(CORE_BATCH_MAX == LIST_RECORDS_MAX, "one bound for both");

bool answer_array(struct reader *reader, uint32_t least, uint32_t *count_out)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_ARRAY || token.count < least ||
        token.count > reader_left(reader)) {
        return false;
    }
    *count_out = token.count;
    return true;
}

bool answer_u64(struct reader *reader, uint64_t *out)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_UNSIGNED) {
        return false;
    }
    *out = token.integer;
    return true;
}

bool answer_bool(struct reader *reader, bool *out)
{
    struct token token;
    if (!token_next(reader, &token) || token.kind != TOKEN_BOOL) {
        return false;
    }
    *out = token.boolean;
    return true;
}

static bool text_of(const struct token *token, size_t bytes_max, struct bytes *out)
{
    if (token->kind != TOKEN_STRING || token->payload.size > bytes_max ||
        !utf8_is_valid(token->payload)) {
        return false;
    }
    for (size_t index = 0; index < token->payload.size; index++) {
        if (token->payload.data[index] < 0x20) {
            return false;
        }
    }
    *out = token->payload;
    return true;
}

bool answer_text(struct reader *reader, size_t bytes_max, struct bytes *out)
{
    struct token token;
    return token_next(reader, &token) && text_of(&token, bytes_max, out);
}

bool answer_text_or_nil(struct reader *reader, size_t bytes_max, struct bytes *out)
{
    struct token token;
    if (!token_next(reader, &token)) {
        return false;
    }
    *out = BYTES_EMPTY;
    return token.kind == TOKEN_NULL || text_of(&token, bytes_max, out);
}

bool answer_skip(struct reader *reader, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        if (!token_skip(reader)) {
            return false;
        }
    }
    return true;
}

bool answer_value(struct reader *reader, struct bytes *out)
{
    size_t from = reader->offset;
    if (!token_skip(reader)) {
        return false;
    }
    *out = bytes_of(reader->data + from, reader->offset - from);
    return true;
}

/* A record: an object, JSON text of one, or nil. */
static bool record_read(struct reader *reader, bool is_json, struct answer_state *out)
{
    struct bytes value;
    out->data = BYTES_EMPTY;
    if (!answer_value(reader, &value)) {
        return false;
    }
    out->is_there = !document_is_null(value);
    if (!out->is_there) {
        return true;
    }
    if (is_json) {
        return document_string(value, &out->data) && out->data.size > 0 && utf8_is_valid(out->data);
    }
    out->data = value;
    return document_is_object(value) && document_validate(value) == STATUS_OK;
}

bool answer_state_read(struct reader *reader, bool is_json, struct answer_state *out)
{
    uint32_t count;
    out->is_known = answer_array(reader, 4, &count) && answer_u64(reader, &out->pair.epoch) &&
                    answer_u64(reader, &out->pair.sequence) && answer_u64(reader, &out->version) &&
                    record_read(reader, is_json, out) && answer_skip(reader, count - 4);
    return out->is_known;
}

bool answer_written_read(struct reader *reader, struct answer_written *out)
{
    uint32_t count;
    return answer_array(reader, 7, &count) && answer_u64(reader, &out->pair.epoch) &&
           answer_u64(reader, &out->pair.sequence) && answer_u64(reader, &out->version) &&
           answer_text(reader, ID_BYTES_MAX, &out->id) &&
           answer_text_or_nil(reader, CORE_ETAG_BYTES_MAX, &out->etag) &&
           answer_text_or_nil(reader, POSITION_TEXT_BYTES_MAX, &out->position) &&
           answer_bool(reader, &out->is_changed) && answer_skip(reader, count - 7);
}

static bool operation_failure_read(struct reader *reader, struct answer_operation *out)
{
    uint32_t count;
    return answer_array(reader, 3, &count) &&
           answer_text_or_nil(reader, ERROR_TYPE_MAX - 1, &out->type) &&
           answer_text_or_nil(reader, FRAME_ANSWER_BYTES_MAX, &out->detail) &&
           answer_u64(reader, &out->retry_after_ms) && answer_skip(reader, count - 3);
}

bool answer_operation_read(struct reader *reader, bool is_json, bool is_get,
                           struct answer_operation *out)
{
    uint32_t count;
    uint64_t code;
    *out = (struct answer_operation){0};
    if (!answer_array(reader, 2, &count) || !answer_u64(reader, &code) || code < 200 ||
        code > 599) {
        return false;
    }
    out->code = (unsigned)code;
    bool is_read;
    /* 404 of GET is a state, unless the collection is not there; the number of elements tells. */
    struct reader ahead = *reader;
    uint32_t elements;
    bool is_state = is_get && code < 500 && answer_array(&ahead, 0, &elements) && elements >= 4;
    if (is_state) {
        is_read = answer_state_read(reader, is_json, &out->state);
    } else if (code < 300) {
        is_read = !is_get && answer_written_read(reader, &out->written);
    } else {
        is_read = operation_failure_read(reader, out);
    }
    return is_read && answer_skip(reader, count - 2);
}

static bool states_are_sound(struct reader *reader, bool is_json)
{
    uint32_t count;
    struct answer_state state;
    if (!answer_array(reader, 0, &count) || count > LIST_RECORDS_MAX) {
        return false;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (!answer_state_read(reader, is_json, &state)) {
            return false;
        }
    }
    return true;
}

/* [cursor or nil, [record, …]]; the records are rendered, and so looked into, one by one. */
static bool page_is_sound(struct reader *reader)
{
    uint32_t count;
    uint32_t records;
    struct bytes cursor;
    return answer_array(reader, 2, &count) &&
           answer_text_or_nil(reader, POSITION_TEXT_BYTES_MAX, &cursor) &&
           answer_array(reader, 0, &records) && answer_skip(reader, records) &&
           answer_skip(reader, count - 2);
}

static bool is_one_of(unsigned code, unsigned a, unsigned b, unsigned c)
{
    return code == a || code == b || code == c;
}

bool answer_is_sound(const struct core *core, uint8_t opcode, const struct frame_header *header,
                     struct bytes body)
{
    struct reader reader = reader_of(body);
    struct answer_state state;
    struct answer_written written;
    unsigned code = header->code;
    bool is_json = core->format == FRESHET_JSON; /* as it was asked for */
    bool has_flag = (header->flags & FRAME_FLAG_JSON) != 0;
    if (has_flag && (!is_json || opcode == FRAME_LIST)) {
        return false;
    }
    switch (opcode) {
    case FRAME_GET:
        return is_one_of(code, 200, 304, 404) && answer_state_read(&reader, is_json, &state) &&
               state.is_there == (code == 200) && reader_left(&reader) == 0;
    case FRAME_MGET:
        return code == 200 && states_are_sound(&reader, is_json) && reader_left(&reader) == 0;
    case FRAME_PUT:
    case FRAME_PATCH:
    case FRAME_DELETE:
    case FRAME_CREATE:
        return is_one_of(code, 200, 201, 200) && answer_written_read(&reader, &written) &&
               reader_left(&reader) == 0;
    case FRAME_LIST:
        return code == 200 && page_is_sound(&reader) && reader_left(&reader) == 0;
    case FRAME_BATCH: /* read by who knows what was asked */
        return code == 200;
    default: /* control messages are read by who asked for them */
        return code >= 200 && code < 300 && body.size <= CORE_CONTROL_BYTES_MAX;
    }
}

static const char *text_take(char *room, size_t capacity, struct bytes text)
{
    struct writer out = writer_of(room, capacity);
    writer_put(&out, text);
    writer_u8(&out, '\0');
    ASSERT(!out.failed);
    return room;
}

void written_fill(struct written_room *room, const struct answer_written *from, unsigned code,
                  struct freshet_written *out)
{
    *out = (struct freshet_written){
        .id = text_take(room->id, sizeof(room->id), from->id),
        .etag = text_take(room->etag, sizeof(room->etag), from->etag),
        .position = text_take(room->position, sizeof(room->position), from->position),
        .epoch = from->pair.epoch,
        .sequence = from->pair.sequence,
        .version = from->version,
        .created = code == 201,
        .changed = from->is_changed};
}
