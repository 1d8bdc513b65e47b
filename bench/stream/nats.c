/*
 * NATS. Core: PUB and SUB; a publisher has no answers, so that a PING follows what is sent in one
 * go, and its PONG says that the server has taken that. JetStream: a stream in files, each message
 * published with a reply subject, to which the server says that it is stored; read by an ordered
 * consumer, as the clients of NATS make one: pushed, with flow control, not acknowledged.
 */
#include "bench/stream/dialect.h"
#include "protocol/base/assert.h"

#define LINE_END ((struct bytes){(const uint8_t *)"\r\n", 2})

/* The only subscription of a connection, and the one for answers of the API. */
#define SUBSCRIPTION     "1"
#define SUBSCRIPTION_API "2"

static const char connect_text[] =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,"
    "\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n";
static const char stream_config[] =
    "{\"name\":\"bench\",\"subjects\":[\"bench\"],\"storage\":\"file\",\"retention\":\"limits\","
    "\"discard\":\"old\",\"num_replicas\":1}";

/* ---- writes ---- */

/* A subject that no other connection has; use is a word of its own for each of its kinds. */
static void inbox(const struct stream_options *options, const char *use, uint32_t index,
                  struct writer *out)
{
    writer_text(out, "_INBOX.");
    writer_decimal(out, options->self);
    writer_u8(out, '.');
    writer_text(out, use);
    writer_decimal(out, index);
}

static void message_put(struct writer *out, struct bytes message)
{
    writer_decimal(out, message.size);
    writer_put(out, LINE_END);
    writer_put(out, message);
    writer_put(out, LINE_END);
}

static void document_put(const struct stream_options *options, uint64_t serial, struct writer *out)
{
    uint8_t text[DIALECT_REQUEST_BYTES_MAX];
    struct writer document = writer_of(text, sizeof(text));
    dialect_document(options, serial, &document);
    ASSERT(!document.failed);
    message_put(out, writer_bytes(&document));
}

static void nats_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                       struct writer *out)
{
    (void)index;
    writer_text(out, "PUB bench ");
    document_put(options, serial, out);
}

static void jetstream_write(const struct stream_options *options, uint32_t index, uint64_t serial,
                            struct writer *out)
{
    writer_text(out, "PUB bench ");
    inbox(options, "w", index, out);
    writer_u8(out, ' ');
    document_put(options, serial, out);
}

static void nats_end_batch(struct writer *out)
{
    writer_text(out, "PING\r\n");
}

/* MSG SUBJECT SID [REPLY] SIZE: what the message says of the write. */
static enum dialect_state message_answer(struct bytes bytes, size_t line,
                                         struct dialect_answer *answer_out)
{
    size_t at = line;
    while (at > 0 && bytes.data[at - 1] != ' ') {
        at--;
    }
    uint64_t size;
    if (bytes_decimal(bytes_slice(bytes, at, line - at), &size) == 0 ||
        size > DIALECT_ANSWER_BYTES_MAX) {
        return DIALECT_BAD;
    }
    struct bytes message = bytes_slice(bytes, line + LINE_END.size, (size_t)size);
    answer_out->size = line + (size_t)size + 2 * LINE_END.size;
    answer_out->which = DIALECT_OLDEST;
    if (bytes.size < answer_out->size) {
        return DIALECT_MORE;
    }
    bool stored = dialect_find(message, BYTES_LITERAL("\"seq\":")) != SIZE_MAX;
    return stored ? DIALECT_DONE : DIALECT_BAD;
}

static enum dialect_state nats_answer(struct bytes bytes, struct dialect_answer *answer_out)
{
    size_t line = dialect_find(bytes, LINE_END);
    if (line == SIZE_MAX) {
        return DIALECT_MORE;
    }
    *answer_out = (struct dialect_answer){.size = line + LINE_END.size, .which = DIALECT_NONE};
    if (bytes_starts_with(bytes, BYTES_LITERAL("MSG "))) {
        return message_answer(bytes, line, answer_out);
    }
    if (bytes_starts_with(bytes, BYTES_LITERAL("PONG"))) {
        answer_out->which = DIALECT_ALL;
    } else if (bytes_starts_with(bytes, BYTES_LITERAL("PING"))) {
        answer_out->reply = BYTES_LITERAL("PONG\r\n");
    } else if (!bytes_starts_with(bytes, BYTES_LITERAL("INFO "))) {
        return DIALECT_BAD; /* -ERR, or nobody there to store it (HMSG with 503) */
    }
    return DIALECT_DONE;
}

/* ---- greetings and subscriptions ---- */

static void subscribe_to(struct writer *out, const char *id)
{
    writer_u8(out, ' ');
    writer_text(out, id);
    writer_put(out, LINE_END);
}

static void nats_greet(const struct stream_options *options, uint32_t index, struct writer *out)
{
    (void)options;
    (void)index;
    writer_text(out, connect_text);
    writer_text(out, "PING\r\n");
}

/* The server speaks first (INFO); what was sent is done when the PONG comes. */
static enum dialect_state nats_greeted(const struct stream_options *options, struct bytes bytes,
                                       struct bytes *rest_out)
{
    (void)options;
    size_t at = dialect_find(bytes, BYTES_LITERAL("\r\nPONG\r\n"));
    if (at == SIZE_MAX) {
        return dialect_find(bytes, BYTES_LITERAL("-ERR")) == SIZE_MAX ? DIALECT_MORE : DIALECT_BAD;
    }
    *rest_out = bytes_slice(bytes, at + sizeof("\r\nPONG\r\n") - 1, bytes.size);
    return DIALECT_DONE;
}

static void jetstream_greet(const struct stream_options *options, uint32_t index,
                            struct writer *out)
{
    writer_text(out, connect_text);
    writer_text(out, "SUB ");
    inbox(options, "w", index, out);
    subscribe_to(out, SUBSCRIPTION);
    writer_text(out, "PING\r\n");
}

static void nats_subscribe(const struct stream_options *options, uint32_t index, struct writer *out)
{
    (void)options;
    (void)index;
    writer_text(out, connect_text);
    writer_text(out, "SUB bench " SUBSCRIPTION "\r\nPING\r\n");
}

/* ---- JetStream's stream and consumers ---- */

static void api_subscribe(const struct stream_options *options, uint32_t index, struct writer *out)
{
    writer_text(out, "SUB ");
    inbox(options, "api", index, out);
    subscribe_to(out, SUBSCRIPTION_API);
}

static void api_request(const struct stream_options *options, uint32_t index, const char *subject,
                        struct bytes message, struct writer *out)
{
    writer_text(out, "PUB $JS.API.");
    writer_text(out, subject);
    writer_u8(out, ' ');
    inbox(options, "api", index, out);
    writer_u8(out, ' ');
    message_put(out, message);
}

/* The answer to one kind of request: a line of JSON that names its type. */
static enum dialect_state api_answer(struct bytes bytes, struct bytes type, struct bytes *rest_out)
{
    if (dialect_find(bytes, BYTES_LITERAL("NATS/1.0 503")) != SIZE_MAX) {
        return DIALECT_BAD; /* the server runs without JetStream */
    }
    size_t at = dialect_find(bytes, type);
    struct bytes answer = at == SIZE_MAX ? BYTES_EMPTY : bytes_slice(bytes, at, bytes.size);
    size_t end = dialect_find(answer, LINE_END);
    if (end == SIZE_MAX) {
        return DIALECT_MORE;
    }
    *rest_out = bytes_slice(answer, end + LINE_END.size, answer.size);
    size_t error = dialect_find(bytes_slice(answer, 0, end), BYTES_LITERAL("\"error\":"));
    return error == SIZE_MAX ? DIALECT_DONE : DIALECT_BAD;
}

/* What an earlier run has left goes first. */
static void jetstream_setup(const struct stream_options *options, uint32_t index,
                            struct writer *out)
{
    writer_text(out, connect_text);
    api_subscribe(options, index, out);
    api_request(options, index, "STREAM.DELETE.bench", BYTES_EMPTY, out);
    api_request(options, index, "STREAM.CREATE.bench", bytes_of_text(stream_config), out);
}

static enum dialect_state jetstream_setup_done(const struct stream_options *options,
                                               struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    return api_answer(bytes, BYTES_LITERAL("stream_create_response"), rest_out);
}

static void jetstream_subscribe(const struct stream_options *options, uint32_t index,
                                struct writer *out)
{
    uint8_t text[1024];
    struct writer config = writer_of(text, sizeof(text));
    writer_text(&config, "{\"stream_name\":\"bench\",\"config\":{\"deliver_subject\":\"");
    inbox(options, "s", index, &config);
    writer_text(&config, "\",\"deliver_policy\":\"");
    writer_text(&config, options->catch_up > 0 ? "all" : "new");
    writer_text(&config, "\",\"ack_policy\":\"none\",\"max_deliver\":1,\"flow_control\":true,"
                         "\"idle_heartbeat\":5000000000,\"num_replicas\":1,\"mem_storage\":true,"
                         "\"replay_policy\":\"instant\"}}");
    ASSERT(!config.failed);
    writer_text(out, connect_text);
    writer_text(out, "SUB ");
    inbox(options, "s", index, out);
    subscribe_to(out, SUBSCRIPTION);
    api_subscribe(options, index, out);
    api_request(options, index, "CONSUMER.CREATE.bench", writer_bytes(&config), out);
}

/* The first messages may come before the answer: they are the rest then, with the answer in it. */
static enum dialect_state jetstream_subscribed(const struct stream_options *options,
                                               struct bytes bytes, struct bytes *rest_out)
{
    (void)options;
    size_t message = dialect_find(bytes, BYTES_LITERAL("\r\nMSG bench " SUBSCRIPTION " "));
    if (message != SIZE_MAX) {
        *rest_out = bytes_slice(bytes, message + LINE_END.size, bytes.size);
        return DIALECT_DONE;
    }
    return api_answer(bytes, BYTES_LITERAL("consumer_create_response"), rest_out);
}

const struct dialect dialect_nats = {
    .framing = NOTICES_NATS,
    .greet = nats_greet,
    .greeted = nats_greeted,
    .subscribe = nats_subscribe,
    .subscribed = nats_greeted,
    .write = nats_write,
    .end_batch = nats_end_batch,
    .answer = nats_answer,
};

const struct dialect dialect_jetstream = {
    .framing = NOTICES_NATS,
    .setup = jetstream_setup,
    .setup_done = jetstream_setup_done,
    .greet = jetstream_greet,
    .greeted = nats_greeted,
    .subscribe = jetstream_subscribe,
    .subscribed = jetstream_subscribed,
    .write = jetstream_write,
    .answer = nats_answer,
};
