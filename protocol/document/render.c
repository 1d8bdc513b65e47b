/* The part of json.h that writes JSON. */
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/token.h"

#define BYTES_01 UINT64_C(0x0101010101010101)
#define BYTES_80 UINT64_C(0x8080808080808080)

/*
 * A bit 0x80 in each byte of the word that equals the byte repeated in `pattern`; exact for the
 * lowest such bit.
 */
static inline uint64_t bytes_that_equal(uint64_t word, uint64_t pattern)
{
    uint64_t difference = word ^ pattern;
    return (difference - BYTES_01) & ~difference & BYTES_80;
}

/* Not zero when one of eight bytes must be escaped: a control character, a quote or a backslash. */
static inline uint64_t bytes_to_escape(uint64_t word)
{
    uint64_t control = (word - BYTES_01 * 0x20) & ~word & BYTES_80;
    return control | bytes_that_equal(word, BYTES_01 * '"') |
           bytes_that_equal(word, BYTES_01 * '\\');
}

static inline bool must_escape(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* How many bytes from `from` on may stand as they are. */
static inline size_t plain_run(struct bytes utf8, size_t from)
{
    size_t at = from;
    while (utf8.size - at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, utf8.data + at, sizeof(word));
        if (bytes_to_escape(word) != 0) {
            break;
        }
        at += sizeof(word);
    }
    while (at < utf8.size && !must_escape(utf8.data[at])) {
        at++;
    }
    return at - from;
}

static void write_escape(struct writer *out, uint8_t byte)
{
    static const char HEX[] = "0123456789abcdef";
    char letter = 0;
    switch (byte) {
    case '"':
    case '\\':
        letter = (char)byte;
        break;
    case '\b':
        letter = 'b';
        break;
    case '\f':
        letter = 'f';
        break;
    case '\n':
        letter = 'n';
        break;
    case '\r':
        letter = 'r';
        break;
    case '\t':
        letter = 't';
        break;
    default:
        break;
    }
    if (letter != 0) {
        writer_u8(out, '\\');
        writer_u8(out, (uint8_t)letter);
        return;
    }
    writer_put(out, BYTES_LITERAL("\\u00"));
    writer_u8(out, (uint8_t)HEX[byte >> 4]);
    writer_u8(out, (uint8_t)HEX[byte & 0x0F]);
}

void json_string_write(struct writer *json_out, struct bytes utf8)
{
    size_t run = plain_run(utf8, 0);
    if (run == utf8.size) {
        uint8_t *at = writer_reserve(json_out, utf8.size + 2);
        if (at != NULL) {
            at[0] = '"';
            if (utf8.size > 0) {
                memcpy(at + 1, utf8.data, utf8.size);
            }
            at[1 + utf8.size] = '"';
        }
        return;
    }
    writer_u8(json_out, '"');
    for (size_t at = 0; at < utf8.size;) {
        writer_put(json_out, bytes_of(utf8.data + at, run));
        at += run;
        if (at < utf8.size) {
            write_escape(json_out, utf8.data[at++]);
        }
        run = plain_run(utf8, at);
    }
    writer_u8(json_out, '"');
}

/* ---- documents ---- */

struct render_frame {
    uint32_t left; /* elements or members to come */
    bool is_object;
    bool is_first;
};

struct render {
    struct reader reader;
    struct writer *out;
    size_t depth;
    bool omits_id; /* the outermost object's own member "id" is left out */
    struct render_frame frames[DOCUMENT_RENDER_DEPTH_MAX];
};

static enum status render_scalar(struct render *render, const struct token *token)
{
    switch (token->kind) {
    case TOKEN_NULL:
        writer_put(render->out, BYTES_LITERAL("null"));
        return STATUS_OK;
    case TOKEN_BOOL:
        writer_put(render->out, token->boolean ? BYTES_LITERAL("true") : BYTES_LITERAL("false"));
        return STATUS_OK;
    case TOKEN_STRING:
        json_string_write(render->out, token->payload);
        return STATUS_OK;
    case TOKEN_UNSIGNED:
    case TOKEN_NEGATIVE:
    case TOKEN_FLOAT:
    case TOKEN_NUMBER_TEXT:
        return token_number_text(token, render->out) ? STATUS_OK : STATUS_DAMAGED;
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        break;
    }
    UNREACHABLE();
}

static enum status render_value(struct render *render)
{
    struct token token;
    if (!token_next(&render->reader, &token)) {
        return STATUS_DAMAGED;
    }
    if (!token_is_container(&token)) {
        return render_scalar(render, &token);
    }
    if (render->depth == DOCUMENT_RENDER_DEPTH_MAX) {
        return STATUS_DAMAGED;
    }
    bool is_object = token.kind == TOKEN_OBJECT;
    writer_u8(render->out, is_object ? '{' : '[');
    render->frames[render->depth++] = (struct render_frame){token.count, is_object, true};
    return STATUS_OK;
}

/* The next element, or the next member with its name. */
static enum status render_next(struct render *render, struct render_frame *frame)
{
    struct token name = {0};
    frame->left--;
    if (frame->is_object) {
        if (!token_next(&render->reader, &name) || name.kind != TOKEN_STRING) {
            return STATUS_DAMAGED;
        }
        if (render->omits_id && render->depth == 1 &&
            bytes_equal(name.payload, BYTES_LITERAL("id"))) {
            return token_skip(&render->reader) ? STATUS_OK : STATUS_DAMAGED;
        }
    }
    if (!frame->is_first) {
        writer_u8(render->out, ',');
    }
    frame->is_first = false;
    if (frame->is_object) {
        json_string_write(render->out, name.payload);
        writer_u8(render->out, ':');
    }
    return render_value(render);
}

/* Goes on until every open container is closed. */
static enum status render_open(struct render *render)
{
    while (render->depth > 0) {
        struct render_frame *frame = &render->frames[render->depth - 1];
        if (frame->left == 0) {
            writer_u8(render->out, frame->is_object ? '}' : ']');
            render->depth--;
            continue;
        }
        enum status status = render_next(render, frame);
        if (status != STATUS_OK) {
            return status;
        }
        if (render->out->failed) {
            return STATUS_TOO_LARGE;
        }
    }
    if (reader_left(&render->reader) > 0) {
        return STATUS_DAMAGED;
    }
    return render->out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

enum status document_to_json(struct bytes document, struct writer *json_out)
{
    struct render render;
    render.reader = reader_of(document);
    render.out = json_out;
    render.depth = 0;
    render.omits_id = false;
    enum status status = render_value(&render);
    return status == STATUS_OK ? render_open(&render) : status;
}

enum status document_record_to_json(struct bytes id, struct bytes document, struct writer *json_out)
{
    struct render render;
    render.reader = reader_of(document);
    render.out = json_out;
    render.depth = 1;
    render.omits_id = true;
    render.frames[0] = (struct render_frame){0, true, false};
    if (document.size > 0) {
        struct token token;
        if (!token_next(&render.reader, &token) || token.kind != TOKEN_OBJECT) {
            return STATUS_DAMAGED;
        }
        render.frames[0].left = token.count;
    }
    writer_put(json_out, BYTES_LITERAL("{\"id\":"));
    json_string_write(json_out, id);
    return render_open(&render);
}
