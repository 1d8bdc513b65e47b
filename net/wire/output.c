/*
 * output.c: frames to bytes. A frame is written where it will be sent from.
 */
#include <stdlib.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

/* Bodies up to this are copied to the chunks of the output, larger ones are sent from where they
 * are. */
#define COPIED_BYTES_MAX (16u << 10)
/* A push that memory was refused to, though nothing of the connection waits, tries again. */
#define ROOM_RETRY_NS 100000000ull

static bool room_refused(struct wire_connection *connection)
{
    struct wire_server *server = connection->server;
    connection->wants_room = true;
    if (connection->output.unsent_bytes == 0 && server->room_retry_ns == 0) {
        server->room_retry_ns = server->now_ns + ROOM_RETRY_NS;
    }
    return false;
}

/* Whether a push of that size may go out now; if not, wire_subscriptions_writable will run. */
static bool push_fits(struct wire_connection *connection, size_t body_max)
{
    struct wire_server *server = connection->server;
    const struct memory_budget *memory = &server->memory;
    size_t unsent = connection->output.unsent_bytes;
    size_t size = FRAME_HEADER_BYTES + body_max;
    if (connection->phase != WIRE_OPEN) {
        return false;
    }
    size_t room = server->chunks.stream_bytes < OUTPUT_STREAMS_BYTES ? WIRE_PUSH_BYTES_MAX
                                                                     : OUTPUT_STREAM_LEAST;
    bool fits = unsent == 0 || unsent + size <= room;
    /* As chunk_acquire_stream will judge. */
    bool has_memory = memory->used + size <= memory->max / 2;
    return (fits && has_memory) || room_refused(connection);
}

uint8_t *wire_frame_begin(struct wire_connection *connection, size_t body_max, enum wire_use use)
{
    ASSERT(!connection->room_begun);
    ASSERT(body_max <= FRAME_ANSWER_BYTES_MAX);
    struct chunk_pool *chunks = &connection->server->chunks;
    size_t size = FRAME_HEADER_BYTES + body_max;
    uint8_t *room = NULL;
    if (use == WIRE_PUSH) {
        if (!push_fits(connection, body_max)) {
            return NULL;
        }
        room = output_stream_room(&connection->output, chunks, size);
        if (room == NULL) {
            (void)room_refused(connection);
        }
    } else if (connection->phase == WIRE_OPEN || connection->phase == WIRE_LAST) {
        room = output_room(&connection->output, chunks, size);
        if (room == NULL) {
            wire_connection_abort(connection);
        }
    }
    if (room == NULL) {
        return NULL;
    }
    connection->room_begun = true;
    connection->room_pushes = use == WIRE_PUSH;
    return room + FRAME_HEADER_BYTES;
}

/* From which it is known what to expect of the next. */
static void reads_note(struct wire_connection *connection, const struct frame_header *header)
{
    uint8_t opcode = (uint8_t)(header->opcode & ~FRAME_ANSWER);
    if (wire_opcode_reads(opcode)) {
        uint32_t mean = connection->read_bytes_mean;
        connection->read_bytes_mean = mean - mean / 8 + header->length / 8;
    }
}

/* The header, for a body of which `here` is in the room and `rest` is sent from elsewhere. */
static void frame_finish(struct wire_connection *connection, const struct wire_head *head,
                         size_t here, struct bytes rest)
{
    ASSERT(connection->room_begun);
    ASSERT(here + rest.size <= FRAME_ANSWER_BYTES_MAX);
    struct chunk *last = connection->output.last;
    uint8_t *at = last->memory + last->size;
    struct frame_header header = {
        .length = (uint32_t)(here + rest.size),
        .opcode = head->opcode,
        .flags = head->flags,
        .code = head->code,
        .id = head->id,
    };
    if ((connection->features & WIRE_FEATURE_CHECKED) != 0) {
        header.flags |= FRAME_FLAG_CHECKED;
        header.check = frame_check(bytes_of(at + FRAME_HEADER_BYTES, here));
        header.check = frame_check_more(header.check, rest);
    }
    frame_header_write(&header, at);
    wire_metrics_count(&connection->server->statistics, head);
    output_commit(&connection->output, FRAME_HEADER_BYTES + here);
    connection->queued_total += FRAME_HEADER_BYTES + here + rest.size;
    if (!connection->room_pushes) {
        connection->answers_end = connection->queued_total;
        reads_note(connection, &header);
    }
    connection->room_begun = false;
    wire_touch(connection);
}

void wire_frame_end(struct wire_connection *connection, const struct wire_head *head, size_t size)
{
    frame_finish(connection, head, size, BYTES_EMPTY);
}

void wire_answer(struct wire_connection *connection, const struct wire_head *head,
                 struct bytes body)
{
    uint8_t *room = wire_frame_begin(connection, body.size, WIRE_ANSWER);
    if (room != NULL) {
        if (body.size > 0) {
            memcpy(room, body.data, body.size);
        }
        wire_frame_end(connection, head, body.size);
    }
}

/* It counts as what is sent of it, so no more of it is kept. */
static void *block_cut(void *block, size_t size)
{
    void *cut = realloc(block, size);
    return cut == NULL ? block : cut;
}

void wire_answer_block(struct wire_connection *connection, const struct wire_head *head,
                       struct bytes begin, void *block, size_t size)
{
    bool copied = size <= COPIED_BYTES_MAX;
    size_t here = begin.size + (copied ? size : 0);
    uint8_t *room = wire_frame_begin(connection, here, WIRE_ANSWER);
    if (room == NULL) {
        free(block);
        return;
    }
    struct writer out = writer_of(room, here);
    writer_put(&out, begin);
    if (copied) {
        writer_put(&out, bytes_of(block, size));
        free(block);
        ASSERT(!out.failed);
        wire_frame_end(connection, head, out.size);
        return;
    }
    ASSERT(!out.failed);
    void *kept = block_cut(block, size);
    struct bytes rest = bytes_of(kept, size);
    frame_finish(connection, head, here, rest);
    if (output_refer(&connection->output, &connection->server->chunks, rest, free, kept) !=
        STATUS_OK) {
        wire_connection_abort(connection);
    }
}
