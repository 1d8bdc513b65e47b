/* Freshet's binary protocol (protocol/PROTOCOL.md). */
#include <stdio.h>
#include <string.h>

#include "bench/stream/dialect.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

/* The fields of Hello and Subscribe in freshet.proto, as tag bytes. */
#define HELLO_VERSIONS       0x0a
#define HELLO_FEATURES       0x12
#define SUBSCRIBE_COLLECTION 0x0a
#define SUBSCRIBE_PATTERN    0x12
#define SUBSCRIBE_FROM       0x18
#define SUBSCRIBE_VIEW       0x30
#define SUBSCRIBE_CREDIT     0x40
#define SUBSCRIBE_INVALIDATE 0x50
#define FROM_EARLIEST        1

static size_t frame_begin(uint8_t opcode, uint32_t id, struct writer *out)
{
    const struct frame_header header = {.opcode = opcode, .id = id};
    uint8_t *at = writer_reserve(out, FRAME_HEADER_BYTES);
    ASSERT(at != NULL);
    frame_header_write(&header, at);
    return out->size;
}

static void frame_end(size_t begin, struct writer *out)
{
    ASSERT(!out->failed);
    struct writer length = writer_of(out->data + begin - FRAME_HEADER_BYTES, sizeof(uint32_t));
    writer_u32(&length, (uint32_t)(out->size - begin));
}

static void varint(struct writer *out, uint32_t value)
{
    for (; value >= 0x80; value >>= 7) {
        writer_u8(out, (uint8_t)(value | 0x80));
    }
    writer_u8(out, (uint8_t)value);
}

static void number(struct writer *out, uint8_t tag, uint32_t value)
{
    writer_u8(out, tag);
    varint(out, value);
}

static void text(struct writer *out, uint8_t tag, const char *value)
{
    number(out, tag, (uint32_t)strlen(value));
    writer_text(out, value);
}

static void frames_greet(const struct stream_options *options, uint32_t index, struct writer *out)
{
    (void)options;
    (void)index;
    size_t begin = frame_begin(FRAME_HELLO, 1, out);
    text(out, HELLO_VERSIONS, "\x01");
    text(out, HELLO_FEATURES, "invalidate");
    frame_end(begin, out);
}

static void document_write(const struct stream_options *options, uint64_t serial,
                           struct writer *out)
{
    uint8_t bytes[16] = "b-";
    struct writer name = {.data = bytes, .capacity = sizeof(bytes), .size = 2};
    writer_decimal(&name, dialect_brand(options, serial));
    document_write_map(out, 4);
    document_write_string(out, BYTES_LITERAL("brand"));
    document_write_string(out, writer_bytes(&name));
    document_write_string(out, BYTES_LITERAL("price"));
    document_write_float(out, (double)(serial % 1000) + 0.25);
    document_write_string(out, BYTES_LITERAL("serial"));
    document_write_u64(out, serial);
    document_write_string(out, BYTES_LITERAL("text"));
    uint8_t text[STREAM_VALUE_BYTES_MAX];
    memset(text, 'x', options->value_bytes);
    document_write_string(out, bytes_of(text, options->value_bytes));
}

static void frames_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                         struct writer *out)
{
    (void)index;
    char id[40];
    struct writer name = writer_of(id, sizeof(id));
    if (options->kind == SERVER_WIRE_INVALIDATE) {
        /* A notice holds nothing but the key, so that each write has its own. */
        int size = snprintf(id, sizeof(id), "bench:%020llu", (unsigned long long)serial);
        name.size = (size_t)size;
    } else {
        writer_decimal(&name, serial % options->keys);
    }
    size_t begin = frame_begin(FRAME_PUT, (uint32_t)serial, out);
    document_write_array(out, 3);
    document_write_string(out, bytes_of_text(options->collection));
    document_write_string(out, writer_bytes(&name));
    document_write(options, serial, out);
    frame_end(begin, out);
}

static uint32_t view_of(const char *name)
{
    static const char *const names[] = {"both", "keys", "new", "old"}; /* as enum View has them */
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    UNREACHABLE();
}

static void frames_subscribe(const struct stream_options *options, uint32_t index,
                             struct writer *out)
{
    frames_greet(options, index, out);
    size_t begin = frame_begin(FRAME_SUBSCRIBE, 1, out);
    text(out, SUBSCRIBE_COLLECTION, options->collection);
    if (options->kind == SERVER_WIRE_INVALIDATE) {
        number(out, SUBSCRIBE_INVALIDATE, 1);
        frame_end(begin, out);
        return;
    }
    uint32_t brand;
    if (dialect_pattern(options, index, &brand)) {
        char pattern[64];
        (void)snprintf(pattern, sizeof(pattern), "{\"newImage\":{\"brand\":[\"b-%u\"]}}", brand);
        text(out, SUBSCRIBE_PATTERN, pattern);
    }
    if (options->catch_up > 0) {
        number(out, SUBSCRIBE_FROM, FROM_EARLIEST);
    }
    number(out, SUBSCRIBE_VIEW, view_of(options->view));
    number(out, SUBSCRIBE_CREDIT, UINT32_MAX); /* more than a run takes */
    frame_end(begin, out);
}

static enum dialect_state frames_answer(struct bytes bytes, struct dialect_answer *answer_out)
{
    if (bytes.size < FRAME_HEADER_BYTES) {
        return DIALECT_MORE;
    }
    struct frame_header header = frame_header_read(bytes.data);
    if (header.opcode == FRAME_ERROR || (header.opcode & FRAME_ANSWER) == 0) {
        return DIALECT_BAD;
    }
    *answer_out = (struct dialect_answer){.size = FRAME_HEADER_BYTES + (size_t)header.length,
                                          .which = DIALECT_BY_ID,
                                          .id = header.id};
    return bytes.size >= answer_out->size ? DIALECT_DONE : DIALECT_MORE;
}

static enum dialect_state frames_greeted(const struct stream_options *options, struct bytes bytes,
                                         struct bytes *rest_out)
{
    (void)options;
    struct dialect_answer welcome = {0};
    enum dialect_state state = frames_answer(bytes, &welcome);
    *rest_out = bytes_slice(bytes, welcome.size, bytes.size);
    return state;
}

/* WELCOME, then SUBSCRIBED. */
static enum dialect_state frames_subscribed(const struct stream_options *options,
                                            struct bytes bytes, struct bytes *rest_out)
{
    struct bytes behind;
    enum dialect_state state = frames_greeted(options, bytes, &behind);
    return state == DIALECT_DONE ? frames_greeted(options, behind, rest_out) : state;
}

const struct dialect dialect_frames = {
    .framing = NOTICES_FRAMES,
    .greet = frames_greet,
    .greeted = frames_greeted,
    .subscribe = frames_subscribe,
    .subscribed = frames_subscribed,
    .write = frames_write,
    .answer = frames_answer,
};
