#include "bench/stream/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "bench/stream/frames.h"
#include "protocol/base/assert.h"

#define HEAD_END ((struct bytes){(const uint8_t *)"\r\n\r\n", 4})

__attribute__((format(printf, 2, 3))) static void print(struct writer *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t left = writer_left(out);
    int size = vsnprintf((char *)out->data + out->size, left, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    ASSERT((size_t)size < left);
    out->size += (size_t)size;
}

static size_t find(struct bytes whole, struct bytes part)
{
    const uint8_t *at =
        whole.size == 0 ? NULL : memmem(whole.data, whole.size, part.data, part.size);
    return at == NULL ? SIZE_MAX : (size_t)(at - whole.data);
}

/* ---- writes ---- */

static uint32_t brand_of(const struct stream_options *options, uint64_t serial)
{
    return options->subscribers > 0 ? (uint32_t)(serial % options->subscribers) : 0;
}

static void document_write(const struct stream_options *options, uint64_t serial,
                           struct writer *out)
{
    print(out, "{\"brand\":\"b-%u\",\"price\":%llu.%02llu,\"serial\":%llu,\"text\":\"",
          brand_of(options, serial), (unsigned long long)(serial % 1000),
          (unsigned long long)(serial % 97), (unsigned long long)serial);
    for (uint32_t left = options->value_bytes; left > 0; left--) {
        writer_u8(out, (uint8_t)('a' + left % 26));
    }
    writer_text(out, "\"}");
}

void wire_write(const struct stream_options *options, uint64_t serial, struct writer *out)
{
    if (wire_has_frames(options)) {
        frames_put(options, serial, brand_of(options, serial), out);
        ASSERT(!out->failed);
        return;
    }
    uint8_t text[STREAM_VALUE_BYTES_MAX + 256];
    struct writer document = writer_of(text, sizeof(text));
    document_write(options, serial, &document);
    ASSERT(!document.failed);
    switch (options->kind) {
    case SERVER_FRESHET:
        print(out,
              "PUT /%s/%llu HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
              "Content-Length: %zu\r\n\r\n",
              options->collection, (unsigned long long)(serial % options->keys), document.size);
        break;
    case SERVER_REDIS_PUBSUB:
        print(out, "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$%zu\r\n", document.size);
        break;
    case SERVER_REDIS_TRACKING:
        /* A notice holds nothing but the key, so that each write has its own. */
        print(out, "*3\r\n$3\r\nSET\r\n$26\r\nbench:%020llu\r\n$%zu\r\n",
              (unsigned long long)serial, document.size);
        break;
    case SERVER_WIRE:
    case SERVER_WIRE_INVALIDATE:
        UNREACHABLE();
    }
    writer_put(out, writer_bytes(&document));
    if (options->kind != SERVER_FRESHET) {
        writer_text(out, "\r\n");
    }
    ASSERT(!out->failed);
}

static enum wire_state http_answer(struct bytes bytes)
{
    static const char name[] = "\r\ncontent-length:";
    size_t head = find(bytes, HEAD_END);
    if (head == SIZE_MAX) {
        return WIRE_MORE;
    }
    if (!bytes_starts_with(bytes, BYTES_LITERAL("HTTP/1.1 20"))) {
        return WIRE_BAD;
    }
    for (size_t at = 0; at + sizeof(name) - 1 < head; at++) {
        if (strncasecmp((const char *)bytes.data + at, name, sizeof(name) - 1) == 0) {
            unsigned long long size =
                strtoull((const char *)bytes.data + at + sizeof(name) - 1, NULL, 10);
            return bytes.size >= head + HEAD_END.size + size ? WIRE_DONE : WIRE_MORE;
        }
    }
    return WIRE_BAD;
}

enum wire_state wire_answer(const struct stream_options *options, struct bytes bytes)
{
    struct bytes rest;
    if (wire_has_frames(options)) {
        return frames_answer(bytes, &rest);
    }
    if (options->kind == SERVER_FRESHET) {
        return http_answer(bytes);
    }
    if (bytes.size > 0 && bytes.data[0] != '+' && bytes.data[0] != ':') {
        return WIRE_BAD;
    }
    return find(bytes, BYTES_LITERAL("\r\n")) == SIZE_MAX ? WIRE_MORE : WIRE_DONE;
}

/* ---- subscriptions ---- */

void wire_subscribe(const struct stream_options *options, uint32_t index, struct writer *out)
{
    switch (options->kind) {
    case SERVER_FRESHET:
        print(out, "GET /changes?collection=%s&view=%s&from=%s", options->collection, options->view,
              options->catch_up > 0 ? "earliest" : "latest");
        if (options->distinct) {
            print(out,
                  "&pattern=%%7B%%22newImage%%22%%3A%%7B%%22brand%%22%%3A%%5B%%22b-%u%%22%%5D"
                  "%%7D%%7D",
                  index);
        }
        print(out, " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
        break;
    case SERVER_REDIS_PUBSUB:
        print(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n");
        break;
    case SERVER_REDIS_TRACKING:
        print(out, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*6\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n"
                   "$2\r\nON\r\n$5\r\nBCAST\r\n$6\r\nPREFIX\r\n$6\r\nbench:\r\n");
        break;
    case SERVER_WIRE:
    case SERVER_WIRE_INVALIDATE:
        frames_subscribe(options, index, out);
        break;
    }
    ASSERT(!out->failed);
}

enum wire_state wire_subscribed(const struct stream_options *options, struct bytes bytes,
                                enum notices_framing *framing_out, struct bytes *rest_out)
{
    *framing_out = NOTICES_FRAMES;
    if (wire_has_frames(options)) {
        /* WELCOME, then SUBSCRIBED */
        struct bytes behind;
        enum wire_state state = frames_answer(bytes, &behind);
        return state == WIRE_DONE ? frames_answer(behind, rest_out) : state;
    }
    struct bytes end = options->kind == SERVER_FRESHET        ? HEAD_END
                       : options->kind == SERVER_REDIS_PUBSUB ? BYTES_LITERAL("bench\r\n:1\r\n")
                                                              : BYTES_LITERAL("+OK\r\n");
    size_t at = find(bytes, end);
    if (at == SIZE_MAX) {
        return find(bytes, BYTES_LITERAL("-ERR")) == SIZE_MAX ? WIRE_MORE : WIRE_BAD;
    }
    struct bytes head = bytes_slice(bytes, 0, at);
    *rest_out = bytes_slice(bytes, at + end.size, bytes.size);
    bool chunked = options->kind == SERVER_FRESHET &&
                   (find(head, BYTES_LITERAL("ransfer-Encoding: chunked")) != SIZE_MAX ||
                    find(head, BYTES_LITERAL("ransfer-encoding: chunked")) != SIZE_MAX);
    *framing_out = chunked ? NOTICES_CHUNKS : NOTICES_LINES;
    bool good =
        options->kind != SERVER_FRESHET || bytes_starts_with(head, BYTES_LITERAL("HTTP/1.1 200"));
    return good ? WIRE_DONE : WIRE_BAD;
}
