/*
 * SUBSCRIBE, CREDIT, UNSUBSCRIBE, and what stands beside them.
 */
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

static void answer_unsupported(struct wire_connection *connection, const struct wire_frame *frame)
{
    wire_answer_error(connection, frame->id, 501, BYTES_LITERAL("Not built yet"));
}

enum status wire_subscriptions_create(struct wire_server *server)
{
    server->subscriptions = NULL;
    return STATUS_OK;
}

void wire_subscriptions_destroy(struct wire_server *server)
{
    ASSERT(server->subscriptions == NULL);
}

void wire_subscribe(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_unsubscribe(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_credit(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_ack(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_consumer(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_stats(struct wire_connection *connection, const struct wire_frame *frame)
{
    answer_unsupported(connection, frame);
}

void wire_ping(struct wire_connection *connection, const struct wire_frame *frame)
{
    if (frame->body.size > FRAME_PING_BYTES_MAX) {
        wire_answer_error(connection, frame->id, 400, BYTES_LITERAL("A PING has at most 64 bytes"));
        return;
    }
    const struct wire_head head = {
        .opcode = FRAME_PING | FRAME_ANSWER, .code = 200, .id = frame->id};
    wire_answer(connection, &head, frame->body);
}

void wire_goaway_begin(struct wire_server *server)
{
    ASSERT(server->draining);
}

uint64_t wire_subscriptions_step(struct wire_server *server, uint64_t now_ns)
{
    ASSERT(now_ns == server->now_ns);
    return UINT64_MAX;
}

void wire_subscriptions_writable(struct wire_connection *connection)
{
    ASSERT(!connection->wants_room);
}

void wire_subscriptions_close(struct wire_connection *connection)
{
    ASSERT(list_is_empty(&connection->subscriptions));
}
