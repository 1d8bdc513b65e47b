/*
 * Changes as a page of JSON:
 *
 *     {"changes":[…],"next":"POSITION","more":true}
 *
 * A page ends when it is full, when nothing more is there, or, with wait, when something has come
 * or the time is over. `more`: there are newer entries than it has looked at. A page that has
 * completed a snapshot ends there, and says "synced":true. One that the server could not go on with
 * has "error".
 */
#include "net/rest/changes_internal.h"
#include "protocol/document/json.h"

#define TAIL_BYTES_MAX (TOKEN_TEXT_BYTES_MAX + 128)

static bool page_greet(struct changes *changes)
{
    return http_stream_write(changes->exchange, BYTES_LITERAL("{\"changes\":["));
}

static void page_end(struct changes *changes)
{
    changes->ending = CHANGES_DONE;
    changes_touch(changes);
}

/* One change; false: it has to wait, or it does not belong to this page any more. */
static bool page_add(struct changes *changes, const struct delivery *delivery)
{
    struct bytes json = delivery_json(delivery);
    if (json.size == 0) {
        changes_fail(changes, STATUS_NO_MEMORY);
        return false;
    }
    if (changes->count > 0 && changes->bytes + json.size > CHANGES_PAGE_BYTES_MAX) {
        page_end(changes);
        return false;
    }
    const struct bytes pieces[] = {changes->count > 0 ? BYTES_LITERAL(",") : BYTES_EMPTY, json};
    if (!http_stream_write_pieces(changes->exchange, pieces, 2)) {
        return false;
    }
    changes->count++;
    changes->bytes += json.size + 1;
    changes->token = delivery->token;
    changes->caught_up = false;
    if (changes->count == changes->limit) {
        page_end(changes);
    }
    return true;
}

static bool page_deliver(struct changes *changes, const struct delivery *delivery)
{
    if (changes->ending != CHANGES_GOES_ON) {
        return false;
    }
    switch (delivery->kind) {
    case DELIVERY_CHANGE:
    case DELIVERY_SNAPSHOT:
        return page_add(changes, delivery);
    case DELIVERY_SYNCED:
        changes->token = delivery->token;
        changes->synced = true;
        page_end(changes);
        return true;
    case DELIVERY_PROGRESS:
        changes->token = delivery->token;
        return true;
    case DELIVERY_CAUGHT_UP:
        changes->token = delivery->token;
        changes->caught_up = true;
        changes_touch(changes);
        return true;
    }
    UNREACHABLE();
}

static bool page_finish(struct changes *changes)
{
    uint8_t bytes[TAIL_BYTES_MAX];
    struct writer out = writer_of(bytes, sizeof(bytes));
    struct position oldest;
    struct position newest;
    stream_positions(changes->rest->options.stream, &oldest, &newest);
    /* Who has caught up has seen all, also what moves no position on. */
    bool more = changes->token.in_snapshot ||
                (!changes->caught_up && changes->token.position.sequence < newest.sequence);
    writer_put(&out, BYTES_LITERAL("],\"next\":\""));
    changes_token_write(changes, &changes->token, &out);
    writer_put(&out, more ? BYTES_LITERAL("\",\"more\":true") : BYTES_LITERAL("\",\"more\":false"));
    if (changes->synced) {
        writer_put(&out, BYTES_LITERAL(",\"synced\":true"));
    }
    if (changes->ending == CHANGES_FAILED) {
        writer_put(&out, BYTES_LITERAL(",\"error\":"));
        json_string_write(&out, bytes_of_text(status_text(changes->status)));
    }
    writer_put(&out, BYTES_LITERAL("}"));
    ASSERT(!out.failed);
    return http_stream_write(changes->exchange, writer_bytes(&out));
}

const struct changes_format changes_format_page = {
    .content_type = {(const uint8_t *)"application/json", sizeof("application/json") - 1},
    .greet = page_greet,
    .deliver = page_deliver,
    .finish = page_finish,
};
