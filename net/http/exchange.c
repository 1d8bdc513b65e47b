/*
 * exchange.c: the arena of a request, and its answer's way into the connection's output, in the
 * order of the requests.
 */
#include <assert.h>
#include <string.h>

#include "net/http/connection.h"
#include "protocol/base/assert.h"

#define ARENA_ALIGNMENT 16

static_assert(offsetof(struct exchange, public) == 0, "handlers see the first member");
static_assert(EXCHANGE_INLINE_BYTES % ARENA_ALIGNMENT == 0, "blocks begin aligned");

/* ---- life ---- */

struct exchange *exchange_acquire(struct http_server *server)
{
    struct exchange *exchange = server->free_exchanges;
    if (exchange != NULL) {
        server->free_exchanges = (struct exchange *)exchange->owner;
        server->free_exchange_count--;
        memory_hold(&server->memory, sizeof(*exchange));
    } else {
        /* Even over the budget: without it not even "no memory" can be said. Their number is
         * bounded by connections_max and pipelined_max. */
        exchange =
            (struct exchange *)memory_take(&server->memory, sizeof(*exchange), MEMORY_FOR_ANSWER);
        if (exchange == NULL) {
            return NULL;
        }
    }
    /* All but the arena, which is what it is. */
    memset(exchange, 0, offsetof(struct exchange, memory));
    exchange->server = server;
    exchange->public.number = ++server->exchange_number;
    return exchange;
}

void exchange_release(struct exchange *exchange)
{
    struct http_server *server = exchange->server;
    ASSERT(server != NULL && !exchange->has_room);
    ASSERT(exchange->release == NULL);
    while (exchange->blocks != NULL) {
        struct chunk *block = exchange->blocks;
        exchange->blocks = block->next;
        chunk_release(&server->chunks, block);
    }
    if (server->free_exchange_count >= FREE_EXCHANGES_MAX) {
        memory_give(&server->memory, exchange, sizeof(*exchange));
        return;
    }
    memory_let_go(&server->memory, sizeof(*exchange));
    exchange->server = NULL;
    exchange->owner = server->free_exchanges;
    server->free_exchanges = exchange;
    server->free_exchange_count++;
}

/* ---- arena ---- */

static uint8_t *arena_block(struct exchange *exchange, size_t size)
{
    if (size > EXCHANGE_BYTES_MAX - exchange->arena_bytes) {
        return NULL;
    }
    struct chunk *block = chunk_acquire(&exchange->server->chunks, size, MEMORY_FOR_REQUEST);
    if (block == NULL) {
        return NULL;
    }
    exchange->arena_bytes += block->capacity;
    block->size = size;
    block->next = exchange->blocks;
    exchange->blocks = block;
    return block->memory;
}

uint8_t *http_allocate(struct http_exchange *public, size_t size)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(exchange->server != NULL && !exchange->has_room);
    if (size > EXCHANGE_BYTES_MAX) {
        return NULL;
    }
    size = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (size <= EXCHANGE_INLINE_BYTES - exchange->inline_used) {
        uint8_t *memory = exchange->memory + exchange->inline_used;
        exchange->inline_used += (uint32_t)size;
        return memory;
    }
    struct chunk *block = exchange->blocks;
    if (block != NULL && size <= block->capacity - block->size) {
        uint8_t *memory = block->memory + block->size;
        block->size += size;
        return memory;
    }
    return arena_block(exchange, size);
}

struct bytes http_keep(struct http_exchange *public, struct bytes bytes)
{
    uint8_t *memory = http_allocate(public, bytes.size);
    if (memory == NULL) {
        return BYTES_EMPTY;
    }
    if (bytes.size > 0) {
        memcpy(memory, bytes.data, bytes.size);
    }
    return bytes_of(memory, bytes.size);
}

/* ---- answers ---- */

static void body_release(struct exchange *exchange)
{
    if (exchange->release != NULL) {
        void (*release)(void *owner) = exchange->release;
        exchange->release = NULL;
        if (exchange->held) {
            exchange->held = false;
            memory_let_go(&exchange->server->memory, exchange->body.size);
        }
        release(exchange->owner);
    }
}

void exchanges_detach(struct http_connection *connection)
{
    for (struct queue_link *link = queue_pop(&connection->exchanges); link != NULL;
         link = queue_pop(&connection->exchanges)) {
        struct exchange *exchange = CONTAINER_OF(link, struct exchange, order);
        if (exchange->streaming) {
            stream_detach(exchange);
        }
        exchange->connection = NULL;
        connection->exchange_count--;
        if (exchange->answered) {
            body_release(exchange);
            exchange_release(exchange);
        }
    }
    ASSERT(connection->exchange_count == 0);
}

/* The first exchange has its answer in the output: it goes, and with it the connection if it was to
 * be the last. */
void exchange_first_finish(struct http_connection *connection)
{
    struct exchange *exchange =
        CONTAINER_OF(queue_pop(&connection->exchanges), struct exchange, order);
    ASSERT(exchange->answered && connection->exchange_count > 0);
    bool close = exchange->close;
    connection->exchange_count--;
    exchange_release(exchange);
    connection_touch(connection);
    if (close) {
        if (connection->phase == PHASE_OPEN) {
            connection->phase = PHASE_LAST;
        }
        exchanges_detach(connection);
    }
}

/* Writes a waiting answer to the output. */
static enum status answer_write(struct exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    enum status status = connection_copy(connection, exchange->head);
    if (exchange->release != NULL || exchange->body.size > COPIED_BODY_BYTES_MAX) {
        void (*release)(void *owner) = exchange->release;
        exchange->release = NULL;
        if (exchange->held) {
            exchange->held = false; /* the output holds it from here on */
            memory_let_go(&exchange->server->memory, exchange->body.size);
        }
        if (status == STATUS_OK) {
            return connection_refer(connection, exchange->body, release, exchange->owner);
        }
        if (release != NULL) {
            release(exchange->owner);
        }
        return status;
    }
    return status == STATUS_OK ? connection_copy(connection, exchange->body) : status;
}

/* All answers that are ready and have only ready ones before them. */
void exchanges_flush(struct http_connection *connection)
{
    while (connection->exchanges.first != NULL) {
        struct exchange *exchange =
            CONTAINER_OF(connection->exchanges.first, struct exchange, order);
        bool is_stream = exchange->events != NULL;
        if (is_stream && !exchange->started && stream_start(exchange) != STATUS_OK) {
            connection_abort(connection);
            return;
        }
        if (!exchange->answered) {
            return;
        }
        if (!is_stream && answer_write(exchange) != STATUS_OK) {
            connection_abort(connection); /* half an answer cannot be taken back */
            return;
        }
        exchange_first_finish(connection);
    }
}

/* Common to all variants, when the answer has found its place. */
void exchange_answered(struct exchange *exchange, uint64_t size, uint16_t status)
{
    struct http_server *server = exchange->server;
    ASSERT(!exchange->answered && server->unanswered > 0);
    ASSERT(!exchange->streaming);
    exchange->answered = true;
    exchange->public.status = status;
    exchange->public.answer_bytes = size;
    server->unanswered--;
    if (server->options.finished != NULL) {
        server->options.finished(server->options.context, &exchange->public, server->now_ns);
    }
}

static void answer_drop(struct exchange *exchange)
{
    ASSERT(exchange->connection == NULL && exchange->answered);
    body_release(exchange);
    exchange_release(exchange);
}

uint8_t *http_answer_begin(struct http_exchange *public, size_t size_max)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(!exchange->answered && !exchange->has_room);
    ASSERT(!exchange->streaming);
    if (size_max > ROOM_BYTES_MAX) {
        return NULL;
    }
    exchange->room_sent = exchange_is_first(exchange);
    if (exchange->room_sent) {
        exchange->room = connection_room(exchange->connection, size_max);
    } else {
        exchange->room = http_allocate(public, size_max);
    }
    exchange->room_size = size_max;
    exchange->has_room = exchange->room != NULL;
    return exchange->room;
}

void http_answer_end(struct http_exchange *public, size_t size, uint16_t status)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(exchange->has_room && size <= exchange->room_size);
    exchange->has_room = false;
    struct http_connection *connection = exchange->connection;
    if (exchange->room_sent) {
        ASSERT(exchange_is_first(exchange));
        connection_commit(connection, size);
        exchange_answered(exchange, size, status);
        exchange_first_finish(connection);
        exchanges_flush(connection);
        return;
    }
    exchange->head = bytes_of(exchange->room, size);
    exchange_answered(exchange, size, status);
    if (connection == NULL) {
        answer_drop(exchange);
    }
}

/* Takes over head and body until they can be written. False: no memory. */
static bool answer_keep(struct exchange *exchange, struct bytes head, struct bytes body,
                        void (*release)(void *owner), void *owner)
{
    exchange->head = http_keep(&exchange->public, head);
    bool kept = exchange->head.size == head.size;
    if (body.size > COPIED_BODY_BYTES_MAX) {
        exchange->body = body;
        exchange->release = release;
        exchange->owner = owner;
        if (release != NULL) {
            exchange->held = true;
            memory_hold(&exchange->server->memory, body.size);
        }
        return kept;
    }
    exchange->body = http_keep(&exchange->public, body);
    kept = kept && exchange->body.size == body.size;
    if (release != NULL) {
        release(owner);
    }
    return kept;
}

/* Into the output at once. */
static enum status answer_send(struct http_connection *connection, struct bytes head,
                               struct bytes body, void (*release)(void *owner), void *owner)
{
    enum status status = connection_copy(connection, head);
    if (status == STATUS_OK && body.size > COPIED_BODY_BYTES_MAX) {
        return connection_refer(connection, body, release, owner);
    }
    if (status == STATUS_OK) {
        status = connection_copy(connection, body);
    }
    if (release != NULL) {
        release(owner);
    }
    return status;
}

bool http_has_memory(const struct http_exchange *public, size_t size)
{
    const struct exchange *exchange = (const struct exchange *)(const void *)public;
    const struct http_server *server = exchange->server;
    ASSERT(!exchange->answered);
    return size <= COPIED_BODY_BYTES_MAX || exchange->connection == NULL ||
           memory_has_room(&server->memory, size);
}

void http_answer(struct http_exchange *public, struct bytes head, struct bytes body,
                 uint16_t status, void (*release)(void *owner), void *owner)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(!exchange->answered && !exchange->has_room);
    ASSERT(!exchange->streaming);
    struct http_connection *connection = exchange->connection;
    size_t size = head.size + body.size;
    if (connection == NULL) {
        exchange->release = release;
        exchange->owner = owner;
        exchange_answered(exchange, size, status);
        answer_drop(exchange);
        return;
    }
    if (exchange_is_first(exchange)) {
        bool sent = answer_send(connection, head, body, release, owner) == STATUS_OK;
        exchange_answered(exchange, size, status);
        exchange_first_finish(connection);
        if (sent) {
            exchanges_flush(connection);
        } else {
            connection_abort(connection);
        }
        return;
    }
    bool kept = answer_keep(exchange, head, body, release, owner);
    exchange_answered(exchange, size, status);
    if (!kept) {
        connection_abort(connection);
    }
}

void http_close_after(struct http_exchange *public)
{
    struct exchange *exchange = exchange_of(public);
    ASSERT(!exchange->answered);
    exchange->close = true;
    if (exchange->connection != NULL) {
        exchange->connection->must_linger = true;
        if (exchange->connection->phase == PHASE_OPEN) {
            exchange->connection->phase = PHASE_LAST;
        }
    }
}

bool http_closes(const struct http_exchange *public)
{
    return ((const struct exchange *)(const void *)public)->close;
}

bool http_says_keep_alive(const struct http_exchange *public)
{
    return public->request.minor == 0 && public->request.keep_alive && !http_closes(public);
}
