/*
 * output.c: the bytes of a connection that wait to be sent: a list of chunks, each of them memory
 * of ours that answers are written into one behind the other, or a large body that belongs to
 * somebody else.
 *
 *     output_first                                  output_last
 *     [ sent | in flight or waiting ] -> [ body ] -> [ waiting | room ]
 *            ^ output_sent
 *
 * A chunk may grow while it is being sent: only what has been given to the kernel must stay where
 * it is.
 */
#include <stdlib.h>
#include <string.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

struct chunk *chunk_acquire(struct http_server *server, size_t size, enum memory_use use)
{
    struct chunk *chunk = server->free_chunks;
    if (size <= CHUNK_BYTES && chunk != NULL) {
        server->free_chunks = chunk->next;
        server->free_chunk_count--;
        server->memory_bytes += sizeof(*chunk) + CHUNK_BYTES;
    } else {
        size_t capacity = size <= CHUNK_BYTES ? CHUNK_BYTES : size;
        chunk = (struct chunk *)memory_take(server, sizeof(*chunk) + capacity, use);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->capacity = capacity;
    }
    chunk->next = NULL;
    chunk->data = chunk->memory;
    chunk->size = 0;
    chunk->release = NULL;
    chunk->of_stream = false;
    ASSERT(chunk->capacity >= size);
    return chunk;
}

struct chunk *chunk_acquire_stream(struct http_server *server, size_t size)
{
    struct chunk *chunk = NULL;
    if (server->memory_bytes + size > server->options.memory_bytes_max / 2) {
        return NULL;
    }
    if (server->stream_bytes < HTTP_STREAMS_BYTES) {
        chunk = chunk_acquire(server, size, MEMORY_FOR_REQUEST);
    } else {
        size_t capacity = size < HTTP_STREAM_ROOM_LEAST ? HTTP_STREAM_ROOM_LEAST : size;
        chunk = (struct chunk *)memory_take(server, sizeof(*chunk) + capacity, MEMORY_FOR_REQUEST);
        if (chunk != NULL) {
            *chunk = (struct chunk){.data = chunk->memory, .capacity = capacity};
        }
    }
    if (chunk != NULL) {
        chunk->of_stream = true;
        server->stream_bytes += chunk->capacity;
    }
    return chunk;
}

void chunk_release(struct http_server *server, struct chunk *chunk)
{
    if (chunk->release != NULL) {
        memory_let_go(server, chunk->size);
        chunk->release(chunk->owner);
    }
    if (chunk->of_stream) {
        ASSERT(server->stream_bytes >= chunk->capacity);
        server->stream_bytes -= chunk->capacity;
    }
    if (chunk->capacity == CHUNK_BYTES && server->free_chunk_count < FREE_CHUNKS_MAX) {
        ASSERT(server->memory_bytes >= sizeof(*chunk) + CHUNK_BYTES);
        server->memory_bytes -= sizeof(*chunk) + CHUNK_BYTES;
        chunk->next = server->free_chunks;
        server->free_chunks = chunk;
        server->free_chunk_count++;
        return;
    }
    memory_give(server, chunk, sizeof(*chunk) + chunk->capacity);
}

static void chunk_append(struct http_connection *connection, struct chunk *chunk)
{
    if (connection->output_last == NULL) {
        ASSERT(connection->output_first == NULL);
        connection->output_first = chunk;
    } else {
        connection->output_last->next = chunk;
    }
    connection->output_last = chunk;
}

static size_t room_left(const struct chunk *chunk)
{
    return chunk == NULL || chunk->capacity == 0 ? 0 : chunk->capacity - chunk->size;
}

uint8_t *output_room(struct http_connection *connection, size_t size)
{
    struct chunk *last = connection->output_last;
    if (room_left(last) < size) {
        last = chunk_acquire(connection->server, size, MEMORY_FOR_ANSWER);
        if (last == NULL) {
            return NULL;
        }
        chunk_append(connection, last);
    }
    return last->memory + last->size;
}

uint8_t *output_stream_room(struct http_connection *connection, size_t size)
{
    struct chunk *last = connection->output_last;
    if (room_left(last) < size) {
        last = chunk_acquire_stream(connection->server, size);
        if (last == NULL) {
            return NULL;
        }
        chunk_append(connection, last);
    }
    return last->memory + last->size;
}

void output_commit(struct http_connection *connection, size_t size)
{
    struct chunk *last = connection->output_last;
    ASSERT(last != NULL && size <= room_left(last));
    last->size += size;
    connection->unsent_bytes += size;
    connection_touch(connection);
}

enum status output_copy(struct http_connection *connection, struct bytes bytes)
{
    while (bytes.size > 0) {
        size_t room = room_left(connection->output_last);
        if (room == 0) {
            if (output_room(connection, 1) == NULL) {
                return STATUS_NO_MEMORY;
            }
            room = room_left(connection->output_last);
        }
        size_t piece = bytes.size < room ? bytes.size : room;
        memcpy(output_room(connection, piece), bytes.data, piece);
        output_commit(connection, piece);
        bytes = bytes_slice(bytes, piece, bytes.size);
    }
    return STATUS_OK;
}

enum status output_refer(struct http_connection *connection, struct bytes bytes,
                         void (*release)(void *owner), void *owner)
{
    ASSERT(bytes.size > 0);
    struct chunk *chunk =
        (struct chunk *)memory_take(connection->server, sizeof(*chunk), MEMORY_FOR_ANSWER);
    if (chunk == NULL) {
        if (release != NULL) {
            release(owner);
        }
        return STATUS_NO_MEMORY;
    }
    *chunk =
        (struct chunk){.data = bytes.data, .size = bytes.size, .release = release, .owner = owner};
    if (release != NULL) {
        memory_hold(connection->server, bytes.size);
    }
    chunk_append(connection, chunk);
    connection->unsent_bytes += bytes.size;
    connection_touch(connection);
    return STATUS_OK;
}

size_t output_pieces(const struct http_connection *connection, struct iovec *pieces,
                     size_t piece_count_max)
{
    size_t count = 0;
    size_t skip = connection->output_sent;
    for (const struct chunk *chunk = connection->output_first;
         chunk != NULL && count < piece_count_max; chunk = chunk->next) {
        ASSERT(skip <= chunk->size);
        if (chunk->size > skip) {
            pieces[count].iov_base = (void *)(uintptr_t)(chunk->data + skip);
            pieces[count].iov_len = chunk->size - skip;
            count++;
        }
        skip = 0;
    }
    return count;
}

void output_sent(struct http_connection *connection, size_t size)
{
    ASSERT(size <= connection->unsent_bytes);
    connection->unsent_bytes -= size;
    connection->output_sent += size;
    while (connection->output_first != NULL) {
        struct chunk *first = connection->output_first;
        if (connection->output_sent < first->size) {
            return;
        }
        connection->output_sent -= first->size;
        connection->output_first = first->next;
        if (first->next == NULL) {
            connection->output_last = NULL;
        }
        chunk_release(connection->server, first);
    }
    ASSERT(connection->output_sent == 0 && connection->unsent_bytes == 0);
}

void output_drop(struct http_connection *connection)
{
    ASSERT(!connection->sending);
    while (connection->output_first != NULL) {
        struct chunk *first = connection->output_first;
        connection->output_first = first->next;
        chunk_release(connection->server, first);
    }
    connection->output_last = NULL;
    connection->output_sent = 0;
    connection->unsent_bytes = 0;
    if (connection->vector != NULL) {
        memory_give(connection->server, connection->vector, sizeof(*connection->vector));
        connection->vector = NULL;
    }
}
