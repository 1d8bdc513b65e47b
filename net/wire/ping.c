/*
 * PING: answered when every change that was committed as it was read has been written to all
 * invalidation subscriptions of its connection. So its sender knows all changes up to the moment at
 * which he sent it, from what came before the answer.
 *
 * Without such subscriptions, or where they are there already, it is answered at once. Targets
 * rise, so they are answered in the order in which they came.
 */
#include "net/wire/subscribe.h"
#include "protocol/base/assert.h"

struct wire_ping {
    uint64_t sequence; /* to be reached */
    uint32_t id;
    uint32_t size;
    uint8_t bytes[FRAME_PING_BYTES_MAX];
};

struct wire_pings {
    struct link link; /* in the server's pinged */
    struct wire_connection *connection;
    uint32_t first; /* of the ring */
    uint32_t count;
    struct wire_ping ring[WIRE_PINGS_MAX];
};

/* What all invalidations of the connection have reached. */
static uint64_t reached(const struct wire_connection *connection)
{
    uint64_t lowest = UINT64_MAX;
    const struct link *head = &connection->subscriptions;
    for (const struct link *at = head->next; at != head && connection->invalidation_count > 0;
         at = at->next) {
        const struct wire_subscription *subscription =
            CONTAINER_OF(at, const struct wire_subscription, link);
        if (subscription->invalidates && subscription->subscribed) {
            uint64_t one = subscription_reached(&subscription->subscription);
            lowest = one < lowest ? one : lowest;
        }
    }
    return lowest;
}

static void answer(struct wire_connection *connection, uint32_t id, struct bytes bytes)
{
    const struct wire_head head = {.opcode = FRAME_PING | FRAME_ANSWER, .code = 200, .id = id};
    wire_answer(connection, &head, bytes);
}

static struct wire_pings *pings_create(struct wire_connection *connection)
{
    struct wire_server *server = connection->server;
    struct wire_pings *pings = memory_take(&server->memory, sizeof(*pings), MEMORY_FOR_REQUEST);
    if (pings != NULL) {
        pings->connection = connection;
        pings->first = 0;
        pings->count = 0;
        connection->pings = pings;
        list_push_back(&server->subscriptions->pinged, &pings->link);
    }
    return pings;
}

void wire_pings_drop(struct wire_connection *connection)
{
    struct wire_pings *pings = connection->pings;
    if (pings == NULL) {
        return;
    }
    link_remove(&pings->link);
    connection->pings = NULL;
    memory_give(&connection->server->memory, pings, sizeof(*pings));
}

static void ping_wait(struct wire_connection *connection, const struct wire_frame *frame,
                      uint64_t sequence)
{
    struct wire_pings *pings = connection->pings;
    if (pings == NULL) {
        pings = pings_create(connection);
    }
    if (pings == NULL || pings->count == WIRE_PINGS_MAX) {
        wire_answer_error(connection, frame->id, pings == NULL ? 503 : 429,
                          BYTES_LITERAL("There are 16 PINGs that wait for invalidations already"));
        return;
    }
    struct wire_ping *ping = &pings->ring[(pings->first + pings->count) % WIRE_PINGS_MAX];
    ping->sequence = sequence;
    ping->id = frame->id;
    ping->size = (uint32_t)frame->body.size;
    if (frame->body.size > 0) {
        memcpy(ping->bytes, frame->body.data, frame->body.size);
    }
    pings->count++;
    ASSERT(pings->count <= WIRE_PINGS_MAX);
}

void wire_ping(struct wire_connection *connection, const struct wire_frame *frame)
{
    if (frame->body.size > FRAME_PING_BYTES_MAX) {
        wire_answer_error(connection, frame->id, 400, BYTES_LITERAL("A PING has at most 64 bytes"));
        return;
    }
    ASSERT(connection->push.of == NULL);
    uint64_t sequence = journal_committed(engine_journal(connection->server->options.engine));
    if (connection->pings == NULL && reached(connection) >= sequence) {
        answer(connection, frame->id, frame->body);
        return;
    }
    ping_wait(connection, frame, sequence);
}

static void pings_run(struct wire_connection *connection)
{
    struct wire_pings *pings = connection->pings;
    uint64_t sequence = reached(connection);
    ASSERT(connection->push.of == NULL);
    while (pings->count > 0 && pings->ring[pings->first].sequence <= sequence) {
        const struct wire_ping *ping = &pings->ring[pings->first];
        pings->first = (pings->first + 1) % WIRE_PINGS_MAX;
        pings->count--;
        answer(connection, ping->id, bytes_of(ping->bytes, ping->size));
    }
    if (pings->count == 0) {
        wire_pings_drop(connection);
    }
}

void wire_pings_step(struct wire_server *server)
{
    struct link *head = &server->subscriptions->pinged;
    struct link *next;
    for (struct link *at = head->next; at != head; at = next) {
        next = at->next;
        pings_run(CONTAINER_OF(at, struct wire_pings, link)->connection);
    }
}

void wire_pings_refuse(struct wire_connection *connection)
{
    struct wire_pings *pings = connection->pings;
    for (uint32_t i = 0; pings != NULL && i < pings->count; i++) {
        wire_answer_error(connection, pings->ring[(pings->first + i) % WIRE_PINGS_MAX].id, 503,
                          BYTES_LITERAL("The server is shutting down"));
    }
    wire_pings_drop(connection);
}
