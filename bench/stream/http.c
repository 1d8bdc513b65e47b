/* Freshet's HTTP: PUT, and server-sent events. */
#include <strings.h>

#include "bench/stream/dialect.h"
#include "protocol/base/assert.h"

#define HEAD_END ((struct bytes){(const uint8_t *)"\r\n\r\n", 4})

static void http_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                       struct writer *out)
{
    (void)index;
    uint8_t text[DIALECT_REQUEST_BYTES_MAX];
    struct writer document = writer_of(text, sizeof(text));
    dialect_document(options, serial, &document);
    ASSERT(!document.failed);
    writer_text(out, "PUT /");
    writer_text(out, options->collection);
    writer_u8(out, '/');
    writer_decimal(out, serial % options->keys);
    writer_text(out, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                     "Content-Length: ");
    writer_decimal(out, document.size);
    writer_put(out, HEAD_END);
    writer_put(out, writer_bytes(&document));
}

/* The value of a header of the head; empty: there is none of that name. Names are matched in any
 * case. */
static struct bytes header(struct bytes head, struct bytes name)
{
    for (size_t at = 0; at + name.size < head.size; at++) {
        if (head.data[at] == '\n' && strncasecmp((const char *)head.data + at + 1,
                                                 (const char *)name.data, name.size) == 0) {
            return bytes_slice(head, at + 1 + name.size, head.size);
        }
    }
    return BYTES_EMPTY;
}

static enum dialect_state http_answer(struct bytes bytes, struct dialect_answer *answer_out)
{
    size_t head_size = dialect_find(bytes, HEAD_END);
    if (head_size == SIZE_MAX) {
        return DIALECT_MORE;
    }
    if (!bytes_starts_with(bytes, BYTES_LITERAL("HTTP/1.1 20"))) {
        return DIALECT_BAD;
    }
    uint64_t body_size;
    struct bytes length =
        header(bytes_slice(bytes, 0, head_size), BYTES_LITERAL("content-length: "));
    if (bytes_decimal(length, &body_size) == 0 || body_size > DIALECT_ANSWER_BYTES_MAX) {
        return DIALECT_BAD;
    }
    *answer_out = (struct dialect_answer){.size = head_size + HEAD_END.size + (size_t)body_size,
                                          .which = DIALECT_OLDEST};
    return bytes.size >= answer_out->size ? DIALECT_DONE : DIALECT_MORE;
}

static void http_subscribe(const struct stream_options *options, uint32_t index, struct writer *out)
{
    writer_text(out, "GET /changes?collection=");
    writer_text(out, options->collection);
    writer_text(out, "&view=");
    writer_text(out, options->view);
    writer_text(out, options->catch_up > 0 ? "&from=earliest" : "&from=latest");
    uint32_t brand;
    if (dialect_pattern(options, index, &brand)) {
        writer_text(out, "&pattern=%7B%22newImage%22%3A%7B%22brand%22%3A%5B%22b-");
        writer_decimal(out, brand);
        writer_text(out, "%22%5D%7D%7D");
    }
    writer_text(out, " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
}

static enum dialect_state http_subscribed(const struct stream_options *options, struct bytes bytes,
                                          struct bytes *rest_out)
{
    (void)options;
    size_t size = dialect_find(bytes, HEAD_END);
    if (size == SIZE_MAX) {
        return DIALECT_MORE;
    }
    struct bytes head = bytes_slice(bytes, 0, size);
    *rest_out = bytes_slice(bytes, size + HEAD_END.size, bytes.size);
    bool chunked = bytes_starts_with(header(head, BYTES_LITERAL("transfer-encoding: ")),
                                     BYTES_LITERAL("chunked"));
    bool good = bytes_starts_with(head, BYTES_LITERAL("HTTP/1.1 200"));
    return good && chunked ? DIALECT_DONE : DIALECT_BAD;
}

const struct dialect dialect_http = {
    .framing = NOTICES_CHUNKS,
    .subscribe = http_subscribe,
    .subscribed = http_subscribed,
    .write = http_write,
    .answer = http_answer,
};
