/*
 * fuzz_wire.c: bytes from a stranger to the binary protocol, with a whole engine in memory behind
 * it and no socket before it.
 *
 * The first four bytes of the input seed the pieces, the short sends and the passing of time; the
 * lowest bit says whether the rest is bytes as a client sends them, or pairs of a short header
 * (opcode, flags, id, length of two bytes) and a body of which frames are made, behind a HELLO.
 * Checked: nothing crashes, what is sent are whole frames whose bodies can be read, bounds are
 * kept, and all memory comes back.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/stream/consumers.h"
#include "engine/stream/stream.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "tests/support/world.h"

#define SEED_BYTES       4
#define MEMORY_BYTES_MAX (2u << 20)
#define STEPS_MAX        20000
#define SHORT_HEAD_BYTES 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct world world;
    struct stream *stream;
    struct consumers *consumers[1];
    struct wire_server *server;
    struct wire_connection *connection; /* NULL: closed */
    uint8_t *sent;                      /* and not yet looked at */
    size_t sent_size;
    size_t sent_capacity;
    size_t in_flight;
    bool stopping;
    uint32_t random;
};

static struct fuzz *fuzz_of(const struct socket *socket)
{
    /* The server has no ring; the place of the ring is ours. */
    return (struct fuzz *)(void *)socket->ring;
}

static uint32_t next_random(struct fuzz *fuzz)
{
    fuzz->random = fuzz->random * 1664525u + 1013904223u;
    return fuzz->random >> 8;
}

/* ---- the socket ---- */

static void receive_start(struct socket *socket)
{
    fuzz_of(socket)->stopping = false;
}

static void receive_stop(struct socket *socket)
{
    fuzz_of(socket)->stopping = true;
}

static void send_pieces(struct socket *socket, const struct iovec *pieces, size_t count)
{
    struct fuzz *fuzz = fuzz_of(socket);
    ASSERT(fuzz->in_flight == 0 && count > 0);
    size_t left = next_random(fuzz) % 4 == 0 ? 1 + next_random(fuzz) % 100 : SIZE_MAX;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t size = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        if (fuzz->sent_size + size > fuzz->sent_capacity) {
            fuzz->sent_capacity = 2 * (fuzz->sent_size + size);
            fuzz->sent = (uint8_t *)realloc(fuzz->sent, fuzz->sent_capacity);
            ASSERT(fuzz->sent != NULL);
        }
        memcpy(fuzz->sent + fuzz->sent_size, pieces[i].iov_base, size);
        fuzz->sent_size += size;
        fuzz->in_flight += size;
        left -= size;
    }
}

static void nothing(struct socket *socket)
{
    (void)socket;
}

static void close_socket(struct socket *socket, bool reset)
{
    (void)reset;
    ASSERT(fuzz_of(socket)->in_flight == 0);
    fuzz_of(socket)->connection = NULL;
}

static const struct socket_transport transport = {
    .receive_start = receive_start,
    .receive_stop = receive_stop,
    .send = send_pieces,
    .send_stop = nothing,
    .shut_write = nothing,
    .limit = nothing,
    .probe = nothing,
    .close = close_socket,
};

/* ---- what the client sees ---- */

static void frames_check(struct fuzz *fuzz)
{
    size_t done = 0;
    while (fuzz->sent_size - done >= FRAME_HEADER_BYTES) {
        const struct frame_header header = frame_header_read(fuzz->sent + done);
        ASSERT(header.length <= FRAME_ANSWER_BYTES_MAX);
        ASSERT((header.flags & ~FRAME_FLAGS_KNOWN) == 0);
        if (fuzz->sent_size - done - FRAME_HEADER_BYTES < header.length) {
            break;
        }
        struct bytes body = bytes_of(fuzz->sent + done + FRAME_HEADER_BYTES, header.length);
        uint8_t request = (uint8_t)(header.opcode & ~FRAME_ANSWER);
        bool is_array = header.opcode == FRAME_CHANGES || header.opcode == FRAME_INVALIDATE ||
                        (header.opcode != request && request <= FRAME_BATCH);
        ASSERT(!is_array || document_value_size(body) == body.size);
        ASSERT((header.flags & FRAME_FLAG_CHECKED) == 0 || frame_check(body) == header.check);
        done += FRAME_HEADER_BYTES + header.length;
    }
    memmove(fuzz->sent, fuzz->sent + done, fuzz->sent_size - done);
    fuzz->sent_size -= done;
}

/* ---- turns ---- */

static void turn(struct fuzz *fuzz)
{
    struct world *world = &fuzz->world;
    wire_server_dispatched(fuzz->server);
    world_step(world);
    fuzz->server->now_ns = world->now_ns;
    consumers_step(fuzz->consumers[0], world->now_ns, world->wall_ms);
    stream_step(fuzz->stream, world->now_ns, world->wall_ms);
    wire_server_step(fuzz->server);
    ASSERT(fuzz->server->memory.used <= MEMORY_BYTES_MAX + (64u << 10));
    wire_server_begin(fuzz->server, world->now_ns, world->wall_ms);
    if (fuzz->connection == NULL) {
        return;
    }
    struct socket *socket = &fuzz->connection->socket;
    if (fuzz->in_flight > 0 && next_random(fuzz) % 4 != 0) {
        size_t size = fuzz->in_flight;
        fuzz->in_flight = 0;
        frames_check(fuzz);
        wire_socket_events.sent(socket, (int)size);
    }
    if (fuzz->stopping) {
        fuzz->stopping = false;
        wire_socket_events.receive_ended(socket, -ECANCELED);
    }
}

static void feed(struct fuzz *fuzz, const uint8_t *data, size_t size)
{
    for (size_t begin = 0; begin < size;) {
        for (uint32_t i = 0; fuzz->connection != NULL && i < STEPS_MAX &&
                             fuzz->connection->receiving != RECEIVING_ON;
             i++) {
            turn(fuzz);
        }
        if (fuzz->connection == NULL || fuzz->connection->receiving != RECEIVING_ON) {
            return;
        }
        size_t piece = 1 + next_random(fuzz) % (next_random(fuzz) % 4 == 0 ? 20 : 4096);
        piece = piece < size - begin ? piece : size - begin;
        uint8_t bytes[4096];
        memcpy(bytes, data + begin, piece);
        wire_socket_events.received(&fuzz->connection->socket, bytes, piece);
        begin += piece;
        if (next_random(fuzz) % 3 == 0) {
            turn(fuzz);
        }
    }
}

static void feed_frames(struct fuzz *fuzz, const uint8_t *data, size_t size)
{
    static const uint8_t hello[] = {0, 0,   0,   13,  FRAME_HELLO, 0,    0,    0,   0,  0,
                                    0, 1,   0,   0,   0,           0,    0x0A, 1,   1,  0x12,
                                    4, 'j', 's', 'o', 'n',         0x12, 2,    'x', 'y'};
    feed(fuzz, hello, sizeof(hello));
    struct reader reader = reader_of(bytes_of(data, size));
    while (reader_left(&reader) >= SHORT_HEAD_BYTES) {
        struct frame_header header = {.opcode = reader_u8(&reader), .flags = reader_u8(&reader)};
        header.id = reader_u8(&reader);
        size_t length = reader_u16(&reader);
        length = length < reader_left(&reader) ? length : reader_left(&reader);
        header.length = (uint32_t)length;
        uint8_t bytes[FRAME_HEADER_BYTES];
        frame_header_write(&header, bytes);
        feed(fuzz, bytes, sizeof(bytes));
        struct bytes body = reader_bytes(&reader, length);
        feed(fuzz, body.data, body.size);
    }
}

/* ---- one input ---- */

static void begin(struct fuzz *fuzz)
{
    world_create(&fuzz->world,
                 &(struct world_options){.seed = 1, .cache_bytes = WORLD_CACHE_DEFAULT});
    struct engine_thread *thread = engine_thread_at(fuzz->world.engine, 0);
    const struct stream_options stream = {.engine = fuzz->world.engine,
                                          .engine_thread = thread,
                                          .executor = &fuzz->world.executor,
                                          .subscriptions_max = 100};
    const struct consumers_options consumers = {
        .engine = fuzz->world.engine,
        .engine_thread = thread,
        .executor = &fuzz->world.executor,
        .collection = world_internal(&fuzz->world, COLLECTION_CONSUMERS),
        .all = fuzz->consumers,
        .thread_count = 1,
        .lease_ns = 1000000000,
    };
    enum status status = stream_create(&stream, &fuzz->stream);
    ASSERT(status == STATUS_OK);
    status = consumers_create(&consumers, &fuzz->consumers[0]);
    ASSERT(status == STATUS_OK);
    const struct wire_options options = {
        .engine = fuzz->world.engine,
        .engine_thread = thread,
        .collections = fuzz->world.collections,
        .collection_count = 2,
        .stream = fuzz->stream,
        .consumers = fuzz->consumers[0],
        .connections_max = 1,
        .requests_max = 20,
        .subscriptions_max = 4,
        .hello_timeout_ns = UINT64_C(10000000000),
        .send_timeout_ns = UINT64_C(10000000000),
        .memory_bytes_max = MEMORY_BYTES_MAX,
    };
    status = wire_server_make(&options, &transport, (struct ring *)(void *)fuzz, &fuzz->server);
    ASSERT(status == STATUS_OK);
    wire_server_begin(fuzz->server, fuzz->world.now_ns, fuzz->world.wall_ms);
    fuzz->connection = wire_connection_open(fuzz->server, 0, false);
    ASSERT(fuzz->connection != NULL);
    turn(fuzz);
}

static void end(struct fuzz *fuzz)
{
    wire_server_drain(fuzz->server, next_random(fuzz) % 2 == 0);
    for (uint32_t i = 0; i < 200; i++) {
        turn(fuzz);
    }
    wire_server_drain(fuzz->server, true);
    for (uint32_t i = 0;
         i < STEPS_MAX && !(wire_server_drained(fuzz->server) && stream_idle(fuzz->stream) &&
                            consumers_idle(fuzz->consumers[0]));
         i++) {
        turn(fuzz);
    }
    ASSERT(wire_server_drained(fuzz->server));
    ASSERT(fuzz->connection == NULL && fuzz->server->memory.used == 0);
    wire_server_dispatched(fuzz->server);
    wire_server_destroy(&fuzz->server);
    consumers_destroy(&fuzz->consumers[0]);
    stream_destroy(&fuzz->stream);
    world_destroy(&fuzz->world);
    free(fuzz->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SEED_BYTES) {
        return 0;
    }
    static struct fuzz fuzz;
    fuzz = (struct fuzz){.random = get_u32(data)};
    bool raw = (data[SEED_BYTES - 1] & 1) != 0;
    begin(&fuzz);
    if (raw) {
        feed(&fuzz, data + SEED_BYTES, size - SEED_BYTES);
    } else {
        feed_frames(&fuzz, data + SEED_BYTES, size - SEED_BYTES);
    }
    end(&fuzz);
    return 0;
}
