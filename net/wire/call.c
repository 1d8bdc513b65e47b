/*
 * call.c: requests in flight. They come from a free list of the thread, each with an arena for what
 * must live until its answer.
 */
#include <stdlib.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

#define FREE_CALLS_MAX  1024
#define ARENA_ALIGNMENT 16

struct wire_call *wire_call_make(struct wire_server *server)
{
    struct wire_call *call = server->free_calls;
    if (call != NULL) {
        server->free_calls = call->next_free;
        server->free_call_count--;
        memory_hold(&server->memory, sizeof(*call));
    } else {
        call = (struct wire_call *)memory_take(&server->memory, sizeof(*call), MEMORY_FOR_REQUEST);
        if (call == NULL) {
            return NULL;
        }
    }
    /* All but the arena, which is what it is. */
    memset(call, 0, offsetof(struct wire_call, arena));
    link_init(&call->link);
    link_init(&call->waiting);
    call->server = server;
    server->pending++;
    return call;
}

struct wire_call *wire_call_acquire(struct wire_connection *connection,
                                    const struct wire_frame *frame)
{
    struct wire_call *call = wire_call_make(connection->server);
    if (call == NULL) {
        wire_answer_status(connection, frame->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        return NULL;
    }
    call->connection = connection;
    call->id = frame->id;
    call->opcode = frame->opcode;
    call->flags = frame->flags;
    list_push_back(&connection->calls, &call->link);
    connection->call_count++;
    connection->read_count += wire_opcode_reads(call->opcode) ? 1 : 0;
    connection->list_count += call->opcode == FRAME_LIST ? 1 : 0;
    return call;
}

void wire_call_release(struct wire_call *call)
{
    struct wire_server *server = call->server;
    ASSERT(server->pending > 0);
    ASSERT(!link_is_linked(&call->waiting));
    server->pending--;
    if (call->connection != NULL) {
        ASSERT(call->connection->call_count > 0);
        link_remove(&call->link);
        call->connection->call_count--;
        call->connection->read_count -= wire_opcode_reads(call->opcode) ? 1 : 0;
        call->connection->list_count -= call->opcode == FRAME_LIST ? 1 : 0;
        wire_touch(call->connection);
    }
    if (call->block != NULL) {
        memory_give(&server->memory, call->block, call->block_size);
    }
    if (server->free_call_count >= FREE_CALLS_MAX) {
        memory_give(&server->memory, call, sizeof(*call));
        return;
    }
    memory_let_go(&server->memory, sizeof(*call));
    call->next_free = server->free_calls;
    server->free_calls = call;
    server->free_call_count++;
}

uint8_t *wire_call_block(struct wire_call *call, size_t size)
{
    ASSERT(call->block == NULL);
    ASSERT(size > 0);
    call->block = (uint8_t *)memory_take(&call->server->memory, size, MEMORY_FOR_REQUEST);
    call->block_size = size;
    return call->block;
}

uint8_t *wire_call_allocate(struct wire_call *call, size_t size)
{
    ASSERT(call->arena_used <= WIRE_CALL_ARENA_BYTES);
    if (size > WIRE_CALL_ARENA_BYTES - call->arena_used) {
        return NULL;
    }
    uint8_t *memory = call->arena + call->arena_used;
    size_t rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    size_t used = call->arena_used + rounded;
    call->arena_used = (uint32_t)(used < WIRE_CALL_ARENA_BYTES ? used : WIRE_CALL_ARENA_BYTES);
    return memory;
}
