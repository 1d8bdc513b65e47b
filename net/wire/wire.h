/*
 * wire.h: the binary protocol (protocol/PROTOCOL.md) on the connections of one thread: frames in,
 * operations to the engine, answers, changes and invalidations out.
 *
 * Owner:     one thread, its ring and its engine_thread. Create one for each.
 * Memory:    all of a thread's connections together take at most memory_bytes_max for what they
 *            have sent and were not answered yet, and for what they are to be sent. An idle
 *            connection holds no buffers.
 * Time:      wire_server_begin gives the time of a turn; nothing here reads a clock.
 * Order:     requests of a connection go to the engine in the order in which they came; answers
 *            go out as they are ready, all of a turn in one send.
 * Bounds:    wire_options. A request over them is answered ERROR 503; a connection with too many
 *            requests in flight, with too much to be expected of them, or that does not take its
 *            answers, is not read.
 * Errors:    what a client does wrong is answered ERROR, with the words of REST's problems; the
 *            connection ends only where its frames can no longer be told apart.
 * Tests:     tests/unit/net/wire/, tests/fuzz/fuzz_wire.c, tests/integration/test_wire.py,
 *            tests/conformance/.
 */
#ifndef FRESHET_NET_WIRE_WIRE_H
#define FRESHET_NET_WIRE_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/engine.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define WIRE_MEMORY_BYTES_DEFAULT (256u << 20)
#define WIRE_REQUESTS_MAX         1024
#define WIRE_SUBSCRIPTIONS_MAX    1024
#define WIRE_MGET_IDS_MAX         1000
#define WIRE_LISTS_MAX            4 /* of a connection, worked on at a time */
#define WIRE_BATCH_OPERATIONS_MAX 1000
#define WIRE_GATHERED_BYTES_MAX   (4u << 20) /* of the answers in one answer of MGET or BATCH */

struct ring;
struct stream;
struct consumers;
struct wire_server; /* one thread's */

/* Opcodes and codes that are counted have places; 0: any other. */
#define WIRE_OPCODE_PLACES 24
#define WIRE_CODE_PLACES   24

struct wire_options {
    struct engine *engine;
    struct engine_thread *engine_thread;
    const struct collection *collections; /* borrowed, as the engine has them */
    uint32_t collection_count;
    struct stream *stream;       /* this thread's */
    struct consumers *consumers; /* this thread's */
    /* On whose behalf all requests run; name empty: anonymous, with all rights. */
    struct principal principal;
    uint32_t thread_index;
    uint32_t connections_max;   /* of this thread; one more is told 503 and closed */
    uint32_t requests_max;      /* of a connection, worked on at a time; 0: the default */
    uint32_t subscriptions_max; /* of a connection; 0: the default */
    uint64_t hello_timeout_ns;  /* from the connection to its HELLO; closed */
    uint64_t frame_timeout_ns;  /* without a byte of a frame that has begun; closed. 0: never */
    uint64_t send_timeout_ns;   /* a client that does not take its answers; closed */
    uint64_t memory_bytes_max;  /* 0: WIRE_MEMORY_BYTES_DEFAULT */
    /* The text of /metrics, for STATS, in a block that is freed; NULL: no memory (rest.h). */
    uint8_t *(*metrics_text)(void *context, size_t *size_out);
    void *metrics_context;
};

/* Written by the server's thread, read by any (relaxed). */
struct wire_statistics {
    _Atomic uint64_t connections_open;
    _Atomic uint64_t connections_accepted;
    _Atomic uint64_t connections_refused; /* over connections_max */
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t timeouts_hello;
    _Atomic uint64_t timeouts_frame;
    _Atomic uint64_t timeouts_send;
    _Atomic uint64_t memory_bytes;   /* in use now, of memory_bytes_max */
    _Atomic uint64_t frames_in[256]; /* by opcode */
    /* Frames out, by the places of their request's opcode and of their code (metrics.h). */
    _Atomic uint64_t frames_out[WIRE_OPCODE_PLACES][WIRE_CODE_PLACES];
    _Atomic uint64_t errors;        /* ERROR frames sent */
    _Atomic uint64_t subscriptions; /* open now */
    _Atomic uint64_t changes_sent;
    _Atomic uint64_t invalidations_sent; /* keys */
};

/* options are copied. The ring must have receive buffers. On failure *out is NULL. */
MUST_USE enum status wire_server_create(const struct wire_options *options, struct ring *ring,
                                        struct wire_server **out);
/* After wire_server_drained; or after the ring has gone. No request may be with the engine. Accepts
 * NULL; sets *server to NULL. */
void wire_server_destroy(struct wire_server **server);

/* Takes connections from a listening socket, which stays the caller's. */
MUST_USE enum status wire_server_accept(struct wire_server *server, int listening_fd);
/* For what begins to be waited for from here on. */
struct wire_timeouts {
    uint64_t hello_ns;
    uint64_t frame_ns;
    uint64_t send_ns;
};
void wire_server_timeouts_set(struct wire_server *server, const struct wire_timeouts *timeouts);

/*
 * Each turn:
 *     wire_server_begin; the ring's completions; wire_server_dispatched;
 *     engine_thread_step, consumers_step, stream_step; wire_server_step.
 *
 * Between the first two, GETs are held back, so that their places in the cache are fetched from
 * memory together. step sends, and returns when it wants to run again though nothing happens
 * (UINT64_MAX: never).
 */
void wire_server_begin(struct wire_server *server, uint64_t now_ns, uint64_t wall_ms);
void wire_server_dispatched(struct wire_server *server);
uint64_t wire_server_step(struct wire_server *server);

/* Stops accepting and tells all clients GOAWAY; what is in flight is answered, then connections are
 * closed. Again with force: all are closed now. */
void wire_server_drain(struct wire_server *server, bool force);
/* No connection, no accept and no request is left. */
bool wire_server_drained(const struct wire_server *server);
const struct wire_statistics *wire_server_statistics(const struct wire_server *server);
/* In Prometheus' text format: the sums over the threads. Any thread. */
void wire_metrics_write(const struct wire_statistics *const *threads, uint32_t thread_count,
                        struct writer *text_out);

#endif
