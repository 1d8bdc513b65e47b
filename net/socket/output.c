#include "net/socket/output.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

/* ---- memory ---- */

void *memory_take(struct memory_budget *budget, size_t size, enum memory_use use)
{
    uint64_t limit = use == MEMORY_FOR_REQUEST ? budget->max / 4 * 3 : budget->max;
    if (budget->used + size > limit) {
        return NULL;
    }
    void *memory = malloc(size);
    if (memory != NULL) {
        budget->used += size;
    }
    return memory;
}

void *memory_grow(struct memory_budget *budget, void *memory, size_t old_size, size_t new_size)
{
    ASSERT(new_size > old_size);
    if (!memory_has_room(budget, new_size - old_size)) {
        return NULL;
    }
    void *grown = realloc(memory, new_size);
    if (grown != NULL) {
        budget->used += new_size - old_size;
    }
    return grown;
}

void memory_give(struct memory_budget *budget, void *memory, size_t size)
{
    ASSERT(budget->used >= size);
    budget->used -= size;
    free(memory);
}

void memory_hold(struct memory_budget *budget, size_t size)
{
    budget->used += size;
}

void memory_let_go(struct memory_budget *budget, size_t size)
{
    ASSERT(budget->used >= size);
    budget->used -= size;
}

/* ---- chunks ---- */

void chunk_pool_deinit(struct chunk_pool *pool)
{
    while (pool->free != NULL) {
        struct chunk *chunk = pool->free;
        pool->free = chunk->next;
        free(chunk);
    }
    pool->free_count = 0;
}

struct chunk *chunk_acquire(struct chunk_pool *pool, size_t size, enum memory_use use)
{
    struct chunk *chunk = pool->free;
    if (size <= CHUNK_BYTES && chunk != NULL) {
        pool->free = chunk->next;
        pool->free_count--;
        memory_hold(pool->budget, sizeof(*chunk) + CHUNK_BYTES);
    } else {
        size_t capacity = size <= CHUNK_BYTES ? CHUNK_BYTES : size;
        chunk = (struct chunk *)memory_take(pool->budget, sizeof(*chunk) + capacity, use);
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

struct chunk *chunk_acquire_stream(struct chunk_pool *pool, size_t size)
{
    struct memory_budget *budget = pool->budget;
    struct chunk *chunk = NULL;
    if (budget->used + size > budget->max / 2) {
        return NULL;
    }
    if (pool->stream_bytes < OUTPUT_STREAMS_BYTES) {
        chunk = chunk_acquire(pool, size, MEMORY_FOR_REQUEST);
    } else {
        size_t capacity = size < OUTPUT_STREAM_LEAST ? OUTPUT_STREAM_LEAST : size;
        chunk = (struct chunk *)memory_take(budget, sizeof(*chunk) + capacity, MEMORY_FOR_REQUEST);
        if (chunk != NULL) {
            *chunk = (struct chunk){.data = chunk->memory, .capacity = capacity};
        }
    }
    if (chunk != NULL) {
        chunk->of_stream = true;
        pool->stream_bytes += chunk->capacity;
    }
    return chunk;
}

void chunk_release(struct chunk_pool *pool, struct chunk *chunk)
{
    if (chunk->release != NULL) {
        memory_let_go(pool->budget, chunk->size);
        chunk->release(chunk->owner);
    }
    if (chunk->of_stream) {
        ASSERT(pool->stream_bytes >= chunk->capacity);
        pool->stream_bytes -= chunk->capacity;
    }
    if (chunk->capacity == CHUNK_BYTES && pool->free_count < FREE_CHUNKS_MAX) {
        memory_let_go(pool->budget, sizeof(*chunk) + CHUNK_BYTES);
        chunk->next = pool->free;
        pool->free = chunk;
        pool->free_count++;
        return;
    }
    memory_give(pool->budget, chunk, sizeof(*chunk) + chunk->capacity);
}

/* ---- output ---- */

static void chunk_append(struct output *output, struct chunk *chunk)
{
    if (output->last == NULL) {
        ASSERT(output->first == NULL);
        output->first = chunk;
    } else {
        output->last->next = chunk;
    }
    output->last = chunk;
}

static size_t room_left(const struct chunk *chunk)
{
    return chunk == NULL || chunk->capacity == 0 ? 0 : chunk->capacity - chunk->size;
}

uint8_t *output_room(struct output *output, struct chunk_pool *pool, size_t size)
{
    struct chunk *last = output->last;
    if (room_left(last) < size) {
        last = chunk_acquire(pool, size, MEMORY_FOR_ANSWER);
        if (last == NULL) {
            return NULL;
        }
        chunk_append(output, last);
    }
    return last->memory + last->size;
}

uint8_t *output_stream_room(struct output *output, struct chunk_pool *pool, size_t size)
{
    struct chunk *last = output->last;
    if (room_left(last) < size) {
        last = chunk_acquire_stream(pool, size);
        if (last == NULL) {
            return NULL;
        }
        chunk_append(output, last);
    }
    return last->memory + last->size;
}

void output_commit(struct output *output, size_t size)
{
    struct chunk *last = output->last;
    ASSERT(last != NULL && size <= room_left(last));
    last->size += size;
    output->unsent_bytes += size;
}

enum status output_copy(struct output *output, struct chunk_pool *pool, struct bytes bytes)
{
    while (bytes.size > 0) {
        size_t room = room_left(output->last);
        if (room == 0) {
            if (output_room(output, pool, 1) == NULL) {
                return STATUS_NO_MEMORY;
            }
            room = room_left(output->last);
        }
        size_t piece = bytes.size < room ? bytes.size : room;
        memcpy(output_room(output, pool, piece), bytes.data, piece);
        output_commit(output, piece);
        bytes = bytes_slice(bytes, piece, bytes.size);
    }
    return STATUS_OK;
}

enum status output_refer(struct output *output, struct chunk_pool *pool, struct bytes bytes,
                         void (*release)(void *owner), void *owner)
{
    ASSERT(bytes.size > 0);
    struct chunk *chunk =
        (struct chunk *)memory_take(pool->budget, sizeof(*chunk), MEMORY_FOR_ANSWER);
    if (chunk == NULL) {
        if (release != NULL) {
            release(owner);
        }
        return STATUS_NO_MEMORY;
    }
    *chunk =
        (struct chunk){.data = bytes.data, .size = bytes.size, .release = release, .owner = owner};
    if (release != NULL) {
        memory_hold(pool->budget, bytes.size);
    }
    chunk_append(output, chunk);
    output->unsent_bytes += bytes.size;
    return STATUS_OK;
}

size_t output_pieces(const struct output *output, struct iovec *pieces, size_t piece_count_max)
{
    size_t count = 0;
    size_t skip = output->sent;
    for (const struct chunk *chunk = output->first; chunk != NULL && count < piece_count_max;
         chunk = chunk->next) {
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

void output_sent(struct output *output, struct chunk_pool *pool, size_t size)
{
    ASSERT(size <= output->unsent_bytes);
    output->unsent_bytes -= size;
    output->sent += size;
    while (output->first != NULL) {
        struct chunk *first = output->first;
        if (output->sent < first->size) {
            return;
        }
        output->sent -= first->size;
        output->first = first->next;
        if (first->next == NULL) {
            output->last = NULL;
        }
        chunk_release(pool, first);
    }
    ASSERT(output->sent == 0 && output->unsent_bytes == 0);
}

void output_drop(struct output *output, struct chunk_pool *pool)
{
    while (output->first != NULL) {
        struct chunk *first = output->first;
        output->first = first->next;
        chunk_release(pool, first);
    }
    *output = (struct output){.first = NULL};
}
