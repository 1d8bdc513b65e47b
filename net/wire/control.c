/*
 * control.c: protobuf bodies. What a message takes when it is read comes from an arena of a fixed
 * size, so that no length from outside makes anything larger.
 */
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

#define ARENA_ALIGNMENT 16

static void *arena_allocate(void *context, size_t size)
{
    struct wire_server *server = context;
    size_t left = WIRE_ARENA_BYTES - server->arena_used;
    if (size > left) {
        return NULL;
    }
    void *memory = server->arena + server->arena_used;
    size_t rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    server->arena_used += rounded < left ? rounded : left;
    return memory;
}

/* All of it at once, when the next message is read. */
static void arena_free(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

void *wire_unpack(struct wire_connection *connection, const struct wire_frame *frame,
                  const ProtobufCMessageDescriptor *descriptor)
{
    struct wire_server *server = connection->server;
    ProtobufCAllocator allocator = {
        .alloc = arena_allocate, .free = arena_free, .allocator_data = server};
    server->arena_used = 0;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, frame->body.size, frame->body.data);
    ASSERT(server->arena_used <= WIRE_ARENA_BYTES);
    if (message == NULL) {
        wire_answer_error(connection, frame->id, 400,
                          BYTES_LITERAL("The body is not the protobuf message that its opcode "
                                        "asks for, or is too large"));
    }
    return message;
}

void wire_answer_message(struct wire_connection *connection, const struct wire_head *head,
                         const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    ASSERT(size <= FRAME_ANSWER_BYTES_MAX);
    uint8_t *room = wire_frame_begin(connection, size, WIRE_ANSWER);
    if (room != NULL) {
        size_t written = protobuf_c_message_pack(message, room);
        ASSERT(written == size);
        wire_frame_end(connection, head, size);
    }
}
