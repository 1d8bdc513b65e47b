/*
 * CHANGES and INVALIDATE: what the stream delivers, written straight to where it is sent from.
 *
 * A frame is begun when the first item of a turn comes, and ended when another subscription of its
 * connection writes, when it is full, or at the end of the turn. The first frame of a turn takes
 * little room: mostly there is one item, and what is taken and not used is lost until the chunk has
 * been sent.
 */
#include "net/wire/subscribe.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

/* MessagePack that is written by hand, because its place comes before its value is known. */
#define ARRAY_16       0xdc
#define ARRAY_16_BYTES 3
#define ARRAY_OF_3     0x93
#define STRING_8       0xd9
#define NIL            0xc0
#define FALSE          0xc2
#define TRUE           0xc3

/* [[…], …] of CHANGES; [position, live, [[…], …]] of INVALIDATE. */
#define CHANGES_HEAD_BYTES    ARRAY_16_BYTES
#define INVALIDATE_HEAD_BYTES (1 + 2 + POSITION_TEXT_BYTES + 1 + ARRAY_16_BYTES)
/* [kind, token, change] without the change: the array, the kind, a string of 16 bits, and the head
 * of a JSON text. */
#define ITEM_BYTES_MAX (1 + 1 + 3 + 5)
/* As JSON a change may be larger: control characters take six bytes there. */
#define CHANGE_BYTES_MAX                                                                           \
    (FRAME_ANSWER_BYTES_MAX - CHANGES_HEAD_BYTES - ITEM_BYTES_MAX - TOKEN_TEXT_BYTES_MAX)
/* [epoch, sequence, collection, id] */
#define KEY_BYTES_MAX (1 + 9 + 9 + 2 + COLLECTION_NAME_BYTES_MAX + 3 + ID_BYTES_MAX)

static_assert(FRAME_CHANGE == (int)DELIVERY_CHANGE, "kinds are the stream's");
static_assert(FRAME_SNAPSHOT == (int)DELIVERY_SNAPSHOT, "kinds are the stream's");
static_assert(FRAME_SYNCED == (int)DELIVERY_SYNCED, "kinds are the stream's");
static_assert(FRAME_PROGRESS == (int)DELIVERY_PROGRESS, "kinds are the stream's");
static_assert(FRAME_CAUGHT_UP == (int)DELIVERY_CAUGHT_UP, "kinds are the stream's");

/* ---- frames ---- */

static void array_16_write(uint8_t *at, uint32_t count)
{
    ASSERT(count <= UINT16_MAX);
    at[0] = ARRAY_16;
    put_u16(at + 1, (uint16_t)count);
}

static void invalidate_head_write(const struct wire_subscription *subscription,
                                  const struct wire_push *push)
{
    struct writer out = writer_of(push->body.data, INVALIDATE_HEAD_BYTES);
    writer_u8(&out, ARRAY_OF_3);
    writer_u8(&out, STRING_8);
    writer_u8(&out, POSITION_TEXT_BYTES);
    position_write(&subscription->position, &out);
    writer_u8(&out, subscription->live ? TRUE : FALSE);
    uint8_t *count = writer_reserve(&out, ARRAY_16_BYTES);
    ASSERT(count != NULL);
    array_16_write(count, push->count);
}

void wire_push_end(struct wire_connection *connection)
{
    struct wire_push *push = &connection->push;
    const struct wire_subscription *subscription = push->of;
    if (subscription == NULL) {
        return;
    }
    ASSERT(!push->body.failed);
    if (subscription->invalidates) {
        invalidate_head_write(subscription, push);
    } else {
        array_16_write(push->body.data, push->count);
    }
    const struct wire_head head = {
        .opcode = subscription->invalidates ? FRAME_INVALIDATE : FRAME_CHANGES,
        .flags = subscription->json ? FRAME_FLAG_JSON : 0,
        .id = subscription->id,
    };
    push->of = NULL;
    link_remove(&push->link);
    wire_frame_end(connection, &head, push->body.size);
}

static bool push_begin(struct wire_subscription *subscription, size_t item_bytes)
{
    static const size_t steps[] = {1024, 4096, CHUNK_BYTES - FRAME_HEADER_BYTES};
    const uint32_t last = sizeof(steps) / sizeof(steps[0]) - 1;
    struct wire_connection *connection = subscription->connection;
    struct wire_push *push = &connection->push;
    size_t head_bytes = subscription->invalidates ? INVALIDATE_HEAD_BYTES : CHANGES_HEAD_BYTES;
    size_t size = head_bytes + item_bytes;
    if (push->turn_ns != connection->server->now_ns) {
        push->turn_ns = connection->server->now_ns;
        push->level = 0;
    }
    size_t step = steps[push->level < last ? push->level : last];
    size = size < step ? step : size;
    wire_push_end(connection);
    uint8_t *body = wire_frame_begin(connection, size, WIRE_PUSH);
    if (body == NULL) {
        subscription->blocked = true;
        return false;
    }
    push->of = subscription;
    push->count = 0;
    push->level++;
    push->body = writer_of(body, size);
    push->body.size = head_bytes;
    list_push_back(&connection->server->subscriptions->pushing, &push->link);
    return true;
}

/* Room for one more item, which then counts; NULL: there is none. */
static struct writer *push_item(struct wire_subscription *subscription, size_t item_bytes)
{
    struct wire_push *push = &subscription->connection->push;
    bool fits = push->of == subscription && writer_left(&push->body) >= item_bytes &&
                push->count < WIRE_PUSH_ITEMS_MAX;
    if (!fits && !push_begin(subscription, item_bytes)) {
        return NULL;
    }
    push->count++;
    return &push->body;
}

/* ---- CHANGES ---- */

/* Empty: it is no change, or it cannot be shown, and the subscription has failed. */
static struct bytes change_bytes(struct wire_subscription *subscription,
                                 const struct delivery *delivery)
{
    if (delivery->change == NULL) {
        return BYTES_EMPTY;
    }
    struct bytes bytes = subscription->json ? delivery_json(delivery) : delivery_msgpack(delivery);
    if (bytes.size == 0 || bytes.size > CHANGE_BYTES_MAX) {
        wire_subscription_fail(subscription, bytes.size == 0 ? STATUS_NO_MEMORY : STATUS_TOO_LARGE);
        return BYTES_EMPTY;
    }
    return bytes;
}

static bool changes_deliver(struct wire_subscription *subscription, const struct delivery *delivery)
{
    if (subscription->credit == 0) {
        return false;
    }
    struct bytes change = change_bytes(subscription, delivery);
    if (delivery->change != NULL && change.size == 0) {
        return false;
    }
    uint8_t text_bytes[TOKEN_TEXT_BYTES_MAX];
    struct writer text = writer_of(text_bytes, sizeof(text_bytes));
    wire_token_write(subscription, &delivery->token, &text);
    ASSERT(!text.failed);
    struct writer *out = push_item(subscription, ITEM_BYTES_MAX + text.size + change.size);
    if (out == NULL) {
        return false;
    }
    writer_u8(out, ARRAY_OF_3);
    writer_u8(out, (uint8_t)delivery->kind);
    document_write_string(out, writer_bytes(&text));
    if (delivery->change == NULL) {
        writer_u8(out, NIL);
    } else if (subscription->json) {
        document_write_string(out, change);
    } else {
        writer_put(out, change);
    }
    ASSERT(!out->failed);
    if (delivery->change != NULL) {
        subscription->credit--;
        wire_count(&subscription->connection->server->statistics.changes_sent, 1);
    }
    if (delivery->kind == DELIVERY_CHANGE &&
        delivery->change->sequence > subscription->given_sequence) {
        subscription->given_sequence = delivery->change->sequence;
    }
    return true;
}

/* ---- INVALIDATE ---- */

static bool key_deliver(struct wire_subscription *subscription, const struct change *change)
{
    struct writer *out = push_item(subscription, KEY_BYTES_MAX);
    if (out == NULL) {
        return false;
    }
    document_write_array(out, 4);
    document_write_u64(out, change->epoch);
    document_write_u64(out, change->sequence);
    document_write_string(out, change->collection);
    document_write_string(out, change->id);
    ASSERT(!out->failed);
    subscription->live = false;
    wire_count(&subscription->connection->server->statistics.invalidations_sent, 1);
    return true;
}

/* A frame, if need be without keys, that says how far it goes. */
static bool mark_deliver(struct wire_subscription *subscription, bool live)
{
    if (subscription->connection->push.of != subscription && !push_begin(subscription, 0)) {
        return false;
    }
    subscription->live = live;
    return true;
}

/* Whether all that is published has been looked at. */
static bool is_current(const struct wire_subscription *subscription)
{
    const struct wire_server *server = subscription->connection->server;
    return subscription->subscription.state == SUBSCRIPTION_LIVE &&
           subscription_reached(&subscription->subscription) >=
               engine_published(server->options.engine);
}

static bool invalidation_deliver(struct wire_subscription *subscription,
                                 const struct delivery *delivery)
{
    bool taken = true;
    switch (delivery->kind) {
    case DELIVERY_CHANGE:
        /* A user's own event is nobody's record. */
        taken =
            delivery->change->kind == CHANGE_EVENT || key_deliver(subscription, delivery->change);
        break;
    case DELIVERY_PROGRESS:
        taken = mark_deliver(subscription, is_current(subscription));
        break;
    case DELIVERY_CAUGHT_UP:
        taken = mark_deliver(subscription, true);
        break;
    case DELIVERY_SNAPSHOT:
    case DELIVERY_SYNCED:
        UNREACHABLE(); /* it takes no snapshot */
    }
    if (taken) {
        subscription->position = delivery->token.position;
    }
    return taken;
}

bool wire_deliver(struct subscription *of_stream, const struct delivery *delivery)
{
    struct wire_subscription *subscription =
        CONTAINER_OF(of_stream, struct wire_subscription, subscription);
    ASSERT(subscription->subscribed);
    if (subscription->failure != STATUS_OK || subscription->connection->phase != WIRE_OPEN) {
        return false;
    }
    return subscription->invalidates ? invalidation_deliver(subscription, delivery)
                                     : changes_deliver(subscription, delivery);
}
