/* Redis: PUBLISH and SUBSCRIBE; SET and CLIENT TRACKING; XADD and XREAD. */
#include "bench/stream/dialect.h"
#include "protocol/base/assert.h"

#define LINE_END ((struct bytes){(const uint8_t *)"\r\n", 2})

/* A bulk string. */
static void bulk(struct writer *out, struct bytes text)
{
    writer_u8(out, '$');
    writer_decimal(out, text.size);
    writer_put(out, LINE_END);
    writer_put(out, text);
    writer_put(out, LINE_END);
}

static void bulk_document(const struct stream_options *options, uint64_t serial, struct writer *out)
{
    uint8_t text[DIALECT_REQUEST_BYTES_MAX];
    struct writer document = writer_of(text, sizeof(text));
    dialect_document(options, serial, &document);
    ASSERT(!document.failed);
    bulk(out, writer_bytes(&document));
}

static void pubsub_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                         struct writer *out)
{
    (void)index;
    writer_text(out, "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n");
    bulk_document(options, serial, out);
}

static void tracking_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                           struct writer *out)
{
    (void)index;
    /* A notice holds nothing but the key, so that each write has its own. */
    char key[40];
    int size = snprintf(key, sizeof(key), "bench:%020llu", (unsigned long long)serial);
    writer_text(out, "*3\r\n$3\r\nSET\r\n");
    bulk(out, bytes_of(key, (size_t)size));
    bulk_document(options, serial, out);
}

static void streams_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                          struct writer *out)
{
    (void)index;
    writer_text(out, "*8\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n");
    bulk(out, bytes_of_text(STREAM_REDIS_KEPT));
    writer_text(out, "$1\r\n*\r\n$1\r\nd\r\n");
    bulk_document(options, serial, out);
}

/* One line, or for XADD a bulk string: the entry's id. */
static enum dialect_state redis_answer(struct bytes bytes, struct dialect_answer *answer_out)
{
    size_t line = dialect_find(bytes, LINE_END);
    if (line == SIZE_MAX) {
        return DIALECT_MORE;
    }
    *answer_out = (struct dialect_answer){.size = line + LINE_END.size, .which = DIALECT_OLDEST};
    if (bytes.data[0] == '$') {
        uint64_t size;
        if (bytes_decimal(bytes_slice(bytes, 1, line), &size) == 0 ||
            size > DIALECT_OVERHEAD_BYTES) {
            return DIALECT_BAD;
        }
        answer_out->size += (size_t)size + LINE_END.size;
        return bytes.size >= answer_out->size ? DIALECT_DONE : DIALECT_MORE;
    }
    return bytes.data[0] == '+' || bytes.data[0] == ':' ? DIALECT_DONE : DIALECT_BAD;
}

static enum dialect_state ends_with(struct bytes bytes, struct bytes end, struct bytes *rest_out)
{
    size_t at = dialect_find(bytes, end);
    if (at == SIZE_MAX) {
        return dialect_find(bytes, BYTES_LITERAL("-ERR")) == SIZE_MAX ? DIALECT_MORE : DIALECT_BAD;
    }
    *rest_out = bytes_slice(bytes, at + end.size, bytes.size);
    return DIALECT_DONE;
}

static void pubsub_subscribe(const struct stream_options *options, uint32_t index,
                             struct writer *out)
{
    (void)options;
    (void)index;
    writer_text(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n");
}

static enum dialect_state pubsub_subscribed(const struct stream_options *options,
                                            struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    return ends_with(bytes, BYTES_LITERAL("bench\r\n:1\r\n"), rest_out);
}

static void tracking_subscribe(const struct stream_options *options, uint32_t index,
                               struct writer *out)
{
    (void)options;
    (void)index;
    writer_text(out, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*6\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n"
                     "$2\r\nON\r\n$5\r\nBCAST\r\n$6\r\nPREFIX\r\n$6\r\nbench:\r\n");
}

static enum dialect_state tracking_subscribed(const struct stream_options *options,
                                              struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    return ends_with(bytes, BYTES_LITERAL("+OK\r\n"), rest_out);
}

static void streams_setup(const struct stream_options *options, uint32_t index, struct writer *out)
{
    (void)options;
    (void)index;
    writer_text(out, "*2\r\n$3\r\nDEL\r\n$5\r\nbench\r\n");
}

static enum dialect_state streams_setup_done(const struct stream_options *options,
                                             struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    return ends_with(bytes, LINE_END, rest_out);
}

/* The PING is read, and so answered, together with the XREAD behind it, which waits then. */
static void streams_subscribe(const struct stream_options *options, uint32_t index,
                              struct writer *out)
{
    (void)index;
    writer_text(out, "*1\r\n$4\r\nPING\r\n");
    notices_xread(options->catch_up > 0 ? BYTES_LITERAL("0-0") : BYTES_LITERAL("$"), out);
}

static enum dialect_state streams_subscribed(const struct stream_options *options,
                                             struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    return ends_with(bytes, BYTES_LITERAL("+PONG\r\n"), rest_out);
}

const struct dialect dialect_redis_pubsub = {
    .framing = NOTICES_LINES,
    .subscribe = pubsub_subscribe,
    .subscribed = pubsub_subscribed,
    .write = pubsub_write,
    .answer = redis_answer,
};

const struct dialect dialect_redis_tracking = {
    .framing = NOTICES_LINES,
    .subscribe = tracking_subscribe,
    .subscribed = tracking_subscribed,
    .write = tracking_write,
    .answer = redis_answer,
};

const struct dialect dialect_redis_streams = {
    .framing = NOTICES_XREAD,
    .setup = streams_setup,
    .setup_done = streams_setup_done,
    .subscribe = streams_subscribe,
    .subscribed = streams_subscribed,
    .write = streams_write,
    .answer = redis_answer,
};
