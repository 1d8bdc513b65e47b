/*
 * output.h: the bytes of a connection that wait to be sent, and the memory of a thread's
 * connections.
 *
 *     first                                         last
 *     [ sent | in flight or waiting ] -> [ body ] -> [ waiting | room ]
 *            ^ sent
 *
 * An output is a list of chunks, each of them memory of ours that answers are written into one
 * behind the other, or a large body that belongs to somebody else. A chunk may grow while it is
 * being sent: only what has been given to the kernel must stay where it is.
 *
 * Owner:     one thread; a budget and a pool for all of its connections, an output each.
 * Memory:    bounded by the budget. Answers may use all of it; what makes new requests (input,
 *            arenas) only three quarters, so that "no memory" can still be said; what nobody waits
 *            for (streams) only half, and OUTPUT_STREAMS_BYTES in large chunks.
 * Tests:     tests/unit/net/socket/, tests/unit/net/http/, tests/unit/net/wire/.
 */
#ifndef FRESHET_NET_SOCKET_OUTPUT_H
#define FRESHET_NET_SOCKET_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define CHUNK_BYTES          (16u << 10)
#define FREE_CHUNKS_MAX      256
#define OUTPUT_STREAMS_BYTES (32u << 20)
#define OUTPUT_STREAM_LEAST  (4u << 10)
#define OUTPUT_PIECES_MAX    16

/* ---- memory ---- */

struct memory_budget {
    uint64_t used;
    uint64_t max;
};

enum memory_use { MEMORY_FOR_REQUEST, MEMORY_FOR_ANSWER };
/* NULL: over the budget. */
void *memory_take(struct memory_budget *budget, size_t size, enum memory_use use);
void *memory_grow(struct memory_budget *budget, void *memory, size_t old_size, size_t new_size);
void memory_give(struct memory_budget *budget, void *memory, size_t size);
/* A body that is sent from where it lies counts while it is held, whoever allocated it. */
void memory_hold(struct memory_budget *budget, size_t size);
void memory_let_go(struct memory_budget *budget, size_t size);
/* Whether a new request's memory of that size would be within the budget. */
static inline bool memory_has_room(const struct memory_budget *budget, size_t size)
{
    return budget->used + size <= budget->max / 4 * 3;
}

/* ---- chunks ---- */

/* A piece of memory: of an output, or of an arena. */
struct chunk {
    struct chunk *next;
    const uint8_t *data; /* memory, or somebody else's */
    size_t capacity;     /* of memory; 0: data is somebody else's */
    size_t size;         /* filled */
    bool of_stream;      /* counts in the pool's stream_bytes */
    void (*release)(void *owner);
    void *owner;
    _Alignas(16) uint8_t memory[];
};

struct chunk_pool {
    struct memory_budget *budget;
    struct chunk *free;
    uint32_t free_count;
    uint64_t stream_bytes; /* capacity of the chunks that hold what streams have written */
};

void chunk_pool_deinit(struct chunk_pool *pool);
struct chunk *chunk_acquire(struct chunk_pool *pool, size_t size, enum memory_use use);
/* Counts in stream_bytes. Only while half of the budget is free, so that clients that do not read
 * keep no request out. Within OUTPUT_STREAMS_BYTES it has CHUNK_BYTES at least. */
struct chunk *chunk_acquire_stream(struct chunk_pool *pool, size_t size);
void chunk_release(struct chunk_pool *pool, struct chunk *chunk);

/* ---- output ---- */

struct output {
    struct chunk *first;
    struct chunk *last;
    size_t sent; /* of first */
    size_t unsent_bytes;
};

/* Room at the end, which output_commit then counts; NULL: no memory. */
uint8_t *output_room(struct output *output, struct chunk_pool *pool, size_t size);
uint8_t *output_stream_room(struct output *output, struct chunk_pool *pool, size_t size);
void output_commit(struct output *output, size_t size);
MUST_USE enum status output_copy(struct output *output, struct chunk_pool *pool,
                                 struct bytes bytes);
/* release is called when bytes are no longer needed, also on failure; it may be NULL. */
MUST_USE enum status output_refer(struct output *output, struct chunk_pool *pool,
                                  struct bytes bytes, void (*release)(void *owner), void *owner);
/* The next pieces to be sent; returns how many. */
size_t output_pieces(const struct output *output, struct iovec *pieces, size_t piece_count_max);
void output_sent(struct output *output, struct chunk_pool *pool, size_t size);
/* Nothing of it may be with the kernel. */
void output_drop(struct output *output, struct chunk_pool *pool);

#endif
