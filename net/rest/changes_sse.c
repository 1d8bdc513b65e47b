/*
 * Changes as server-sent events (the HTML standard, 9.2): what EventSource and curl -N show.
 *
 *     id: POSITION
 *     event: modify
 *     data: {"eventID":…}
 *
 * A browser that comes again by itself sends the last id. `reset` has an empty one, which makes it
 * forget: it then begins again as its URL says, with a new snapshot if that is what it asked for.
 */
#include "net/rest/changes_internal.h"

/* id, event and data without the change. */
#define FRAME_HEAD_BYTES_MAX (TOKEN_TEXT_BYTES_MAX + 64)
#define FRAME_BYTES_MAX      (2 * TOKEN_TEXT_BYTES_MAX + 1024)

/* After how long a client comes again: not all at once. */
#define RETRY_MS_LEAST  1000
#define RETRY_MS_SPREAD 2000

static const char *event_name(const struct delivery *delivery)
{
    switch (delivery->kind) {
    case DELIVERY_SNAPSHOT:
        return "snapshot";
    case DELIVERY_SYNCED:
        return "synced";
    case DELIVERY_PROGRESS:
        return "progress";
    case DELIVERY_CAUGHT_UP:
        break;
    case DELIVERY_CHANGE:
        switch (delivery->change->kind) {
        case CHANGE_INSERT:
            return "insert";
        case CHANGE_MODIFY:
            return "modify";
        case CHANGE_REMOVE:
            return "remove";
        case CHANGE_EVENT:
            return "event";
        }
        break;
    }
    UNREACHABLE();
}

static bool sse_greet(struct changes *changes)
{
    uint8_t bytes[FRAME_HEAD_BYTES_MAX];
    struct writer out = writer_of(bytes, sizeof(bytes));
    /* Fibonacci hashing: neighbours are far apart. */
    uint64_t spread = (changes->exchange->number * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    writer_put(&out, BYTES_LITERAL(": changes follow\nretry: "));
    writer_decimal(&out, RETRY_MS_LEAST + spread % RETRY_MS_SPREAD);
    writer_put(&out, BYTES_LITERAL("\n\n"));
    ASSERT(!out.failed);
    return http_stream_write(changes->exchange, writer_bytes(&out));
}

/* Up to and with "data: ". */
static void frame_begin(const struct changes *changes, const struct token *token, const char *event,
                        struct writer *out)
{
    writer_put(out, BYTES_LITERAL("id: "));
    changes_token_write(changes, token, out);
    writer_put(out, BYTES_LITERAL("\nevent: "));
    writer_text(out, event);
    writer_put(out, BYTES_LITERAL("\ndata: "));
}

/* An event that only says where the client is. */
static bool place_write(struct changes *changes, const struct token *token, const char *event)
{
    uint8_t bytes[FRAME_BYTES_MAX];
    struct writer out = writer_of(bytes, sizeof(bytes));
    frame_begin(changes, token, event, &out);
    writer_put(&out, BYTES_LITERAL("{\"position\":\""));
    changes_token_write(changes, token, &out);
    writer_put(&out, BYTES_LITERAL("\"}\n\n"));
    ASSERT(!out.failed);
    return http_stream_write(changes->exchange, writer_bytes(&out));
}

static bool sse_deliver(struct changes *changes, const struct delivery *delivery)
{
    if (delivery->kind == DELIVERY_CAUGHT_UP) {
        return true;
    }
    if (delivery->change == NULL) {
        return place_write(changes, &delivery->token, event_name(delivery));
    }
    struct bytes json = delivery_json(delivery);
    if (json.size == 0) {
        changes_fail(changes, STATUS_NO_MEMORY);
        return false;
    }
    uint8_t bytes[FRAME_HEAD_BYTES_MAX];
    struct writer out = writer_of(bytes, sizeof(bytes));
    frame_begin(changes, &delivery->token, event_name(delivery), &out);
    ASSERT(!out.failed);
    const struct bytes pieces[] = {writer_bytes(&out), json, BYTES_LITERAL("\n\n")};
    return http_stream_write_pieces(changes->exchange, pieces, 3);
}

static bool reset_write(struct changes *changes)
{
    uint8_t bytes[FRAME_BYTES_MAX];
    struct writer out = writer_of(bytes, sizeof(bytes));
    writer_put(&out, BYTES_LITERAL("id:\nevent: reset\ndata: "));
    changes_reset_write(changes->rest, &out);
    writer_put(&out, BYTES_LITERAL("\n\n"));
    ASSERT(!out.failed);
    return http_stream_write(changes->exchange, writer_bytes(&out));
}

static bool sse_finish(struct changes *changes)
{
    switch (changes->ending) {
    case CHANGES_GOES_ON:
        break;
    case CHANGES_DONE:
        return true;
    case CHANGES_DRAINS:
        return place_write(changes, &changes->token, "shutdown");
    case CHANGES_EXPIRED:
        return reset_write(changes);
    case CHANGES_FAILED:
        /* The client comes again from the last id that it has. */
        return http_stream_write(changes->exchange, BYTES_LITERAL(": this server has failed\n\n"));
    }
    UNREACHABLE();
}

const struct changes_format changes_format_sse = {
    .content_type = {(const uint8_t *)"text/event-stream", sizeof("text/event-stream") - 1},
    .greet = sse_greet,
    .deliver = sse_deliver,
    .finish = sse_finish,
};
