/*
 * wire_internal.h: what the files of net/wire share, and what tests and the fuzzer drive: they need
 * no socket and no ring, only a struct socket_transport.
 *
 *     server.c      the server: life, turns, drain
 *     connection.c  the life of a connection: what to do after each event
 *     input.c       bytes to frames
 *     output.c      frames to bytes
 *     session.c     HELLO; which function a frame goes to; ERROR
 *     control.c     protobuf bodies, in an arena with a bound
 *     call.c        requests in flight and their memory
 *     operation.c   the arrays of data requests: what they ask for
 *     data.c        GET, PUT, PATCH, DELETE, CREATE
 *     list.c        LIST
 *     gather.c      MGET and BATCH: many operations, one answer
 *     subscribe.c   SUBSCRIBE, CREDIT, UNSUBSCRIBE, changes and invalidations (subscribe.h)
 *
 * A connection's phases:
 *
 *     OPEN ----------> LAST ----------> LINGER ----------> CLOSING -> freed
 *     reads frames     reads no more;   all sent, write    waits until the kernel has let go of
 *                      answers wait     side shut; reads   its receive and its send
 *                                       and throws away
 *
 * Events note what they bring and touch the connection; connection_settle, once a turn, decides: it
 * reads on, tells subscriptions that there is room, sends, starts or stops the receive. A
 * connection is freed nowhere else.
 */
#ifndef FRESHET_NET_WIRE_WIRE_INTERNAL_H
#define FRESHET_NET_WIRE_WIRE_INTERNAL_H

#include "freshet.pb-c.h"
#include "net/rest/problem.h"
#include "net/socket/output.h"
#include "net/socket/socket.h"
#include "net/socket/wheel.h"
#include "net/wire/wire.h"
#include "protocol/base/limits.h"
#include "protocol/base/list.h"
#include "protocol/frame/frame.h"

/* Answers that wait to be sent before no more requests of the connection are read. */
#define WIRE_UNSENT_BYTES_MAX (1u << 20)
/* Changes and invalidations that wait to be sent, all subscriptions of a connection together. */
#define WIRE_PUSH_BYTES_MAX (256u << 10)
/* What protobuf bodies may take when they are read. */
#define WIRE_ARENA_BYTES (256u << 10)
/* For a control request's own state. */
#define WIRE_CALL_USER_BYTES  1024
#define WIRE_CALL_ARENA_BYTES 3072
#define WIRE_HELD_READS_MAX   16

enum wire_phase { WIRE_OPEN, WIRE_LAST, WIRE_LINGER, WIRE_CLOSING };

/* Features that WELCOME has given. */
#define WIRE_FEATURE_CHECKED    1u
#define WIRE_FEATURE_JSON       2u
#define WIRE_FEATURE_INVALIDATE 4u

/* A frame from a client; the body is valid until the function it is handed to returns. */
struct wire_frame {
    uint32_t id;
    uint8_t opcode;
    uint8_t flags;
    struct bytes body;
};

struct wire_input {
    uint8_t *data; /* NULL: nothing is collected */
    size_t start;  /* of the frame that is being collected */
    size_t end;
    size_t capacity;
    uint64_t skip; /* bytes still to come that are thrown away */
};

struct wire_connection {
    struct wire_server *server;
    struct link all;
    struct link settle; /* linked: touched */
    struct wheel_timer timer;
    struct socket socket;
    enum wire_phase phase;
    enum socket_receiving receiving;
    bool welcomed; /* HELLO was answered */
    bool sending;
    bool send_stopped;
    bool ended;       /* the client has shut its side */
    bool failed;      /* the socket is broken: nothing can be sent */
    bool must_linger; /* the client may still be sending what we will not read */
    bool over;        /* over connections_max */
    bool room_begun;  /* between wire_frame_begin and wire_frame_end */
    bool wants_room;  /* a subscription was refused room: wire_subscriptions_writable will run */
    uint8_t features;
    uint32_t call_count;
    struct link calls;                   /* struct wire_call.link, in flight */
    const struct collection *collection; /* that was asked for last */
    struct wire_input input;
    struct output output;
    uint64_t queued_total; /* bytes of frames ever queued, and sent */
    uint64_t sent_total;
    uint64_t answers_end; /* queued_total behind the last frame that is no push */
    uint64_t deadline_ns; /* of HELLO, or of the end of LINGER; UINT64_MAX: none */
    uint64_t send_deadline_ns;
    /* Of subscribe.c. */
    struct link subscriptions;
    uint32_t subscription_count;
};

/*
 * A request in flight. It belongs to its connection while that lives; when that is gone,
 * `connection` is NULL, and whoever completes the call throws its answer away with
 * wire_call_release.
 */
struct wire_gather;
struct wire_call {
    struct link
        link; /* in the connection's calls; unlinked: of a gather, or the connection is gone */
    struct wire_server *server;
    struct wire_connection *connection;
    struct wire_gather *gather; /* it is one of many; NULL: it is a frame of its own */
    uint32_t place;             /* in the gather */
    uint32_t id;
    uint8_t opcode;
    uint8_t flags;
    uint8_t *block; /* a document too large for the arena; NULL: none */
    size_t block_size;
    uint32_t arena_used;
    union {
        struct request request;
        _Alignas(16) uint8_t user[WIRE_CALL_USER_BYTES]; /* of control requests; zeroed */
    };
    _Alignas(16) uint8_t arena[WIRE_CALL_ARENA_BYTES];
};

struct wire_held_read {
    struct wire_connection *connection;
    const struct collection *collection;
    uint64_t hash;
    uint32_t id;
    uint8_t flags;
    uint16_t key_size;
    uint8_t key[ID_BYTES_MAX];
};

struct wire_subscriptions; /* of subscribe.c */

struct wire_server {
    struct wire_options options;
    const struct socket_transport *transport;
    struct ring *ring;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t pending; /* calls with the engine, also those whose connection is gone */
    uint32_t connection_count;
    uint32_t over_count;
    bool draining;
    bool holding; /* between begin and dispatched */
    struct link connections;
    struct link touched;
    struct memory_budget memory;
    struct chunk_pool chunks;
    struct acceptor acceptor;
    struct wheel wheel;
    struct wire_call *free_calls;
    uint32_t free_call_count;
    uint32_t held_count;
    uint32_t sorted[COLLECTION_COUNT_MAX]; /* indexes of collections, by name */
    struct wire_subscriptions *subscriptions;
    struct wire_statistics statistics;
    uint8_t *document; /* DOCUMENT_BYTES_MAX + slack: where documents are converted */
    uint8_t *arena;    /* WIRE_ARENA_BYTES */
    size_t arena_used;
    struct wire_held_read held[WIRE_HELD_READS_MAX];
    _Alignas(64) uint8_t copy[CACHE_COPY_BYTES_MAX]; /* where a cached body is copied to */
};

static inline void wire_count(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + value, memory_order_relaxed);
}

/* ---- server.c ---- */

MUST_USE enum status wire_server_make(const struct wire_options *options,
                                      const struct socket_transport *transport, struct ring *ring,
                                      struct wire_server **out);
/* NULL: there is no such collection of users. */
const struct collection *wire_collection(const struct wire_server *server, struct bytes name);

/* ---- connection.c ---- */

/* NULL: no memory; then fd is still the caller's. */
struct wire_connection *wire_connection_open(struct wire_server *server, int fd, bool over);
static inline void wire_touch(struct wire_connection *connection)
{
    if (!link_is_linked(&connection->settle)) {
        list_push_back(&connection->server->touched, &connection->settle);
    }
}
void wire_connection_settle(struct wire_connection *connection); /* may free it */
/* Cuts it: nothing more is sent. */
void wire_connection_abort(struct wire_connection *connection);
/* Reads no more; closes when all answers are sent. */
void wire_connection_end(struct wire_connection *connection);
extern const struct socket_events wire_socket_events;

/* ---- input.c ---- */

void wire_input_received(struct wire_connection *connection, const uint8_t *data, size_t size);
/* Reads on in what has been collected. */
void wire_input_resume(struct wire_connection *connection);
void wire_input_drop(struct wire_connection *connection);
bool wire_input_blocked(const struct wire_connection *connection);

/* ---- output.c ----
 *
 *     uint8_t *body = wire_frame_begin(connection, size_max, WIRE_ANSWER);
 *     … write at most size_max bytes of body …
 *     wire_frame_end(connection, &head, size);
 *
 * Between the two no other frame of the connection may be begun; wire_frame_cancel instead of the
 * end takes it back. WIRE_ANSWER is refused only when memory is at its end; the connection is then
 * cut (NULL). WIRE_PUSH, for what nobody has asked for right now, is refused while
 * WIRE_PUSH_BYTES_MAX wait to be sent or memory is short, but one frame of any size is taken when
 * nothing waits: NULL, and wire_subscriptions_writable will run when there is room again.
 */
enum wire_use { WIRE_ANSWER, WIRE_PUSH };
struct wire_head {
    uint8_t opcode; /* whole, with FRAME_ANSWER */
    uint8_t flags;  /* FRAME_FLAG_JSON or 0; CHECKED is set here, if the session has it */
    uint16_t code;
    uint32_t id;
};
uint8_t *wire_frame_begin(struct wire_connection *connection, size_t body_max, enum wire_use use);
void wire_frame_end(struct wire_connection *connection, const struct wire_head *head, size_t size);
void wire_frame_cancel(struct wire_connection *connection);
/* Whether wire_frame_begin with WIRE_PUSH would give room for so much; if not, writable will run. */
bool wire_output_room(struct wire_connection *connection, size_t body_max);
/* An answer (WIRE_ANSWER) of bytes that are there already. */
void wire_answer(struct wire_connection *connection, const struct wire_head *head,
                 struct bytes body);
/* An answer whose body begins with `begin` and ends with `memory`, which is freed when it was sent,
 * at once if it cannot be. */
void wire_answer_memory(struct wire_connection *connection, const struct wire_head *head,
                        struct bytes begin, struct bytes rest, void *memory);

/* ---- session.c ---- */

void wire_frame_handle(struct wire_connection *connection, const struct wire_frame *frame);
/* ERROR; its detail is cut at PROBLEM_DETAIL_BYTES_MAX. */
void wire_answer_problem(struct wire_connection *connection, uint32_t id,
                         const struct problem *problem);
void wire_answer_error(struct wire_connection *connection, uint32_t id, uint16_t status,
                       struct bytes detail);
/* With oldest and newest, for POSITION_EXPIRED; either may be empty. */
void wire_answer_expired(struct wire_connection *connection, uint32_t id, struct bytes detail,
                         struct bytes oldest, struct bytes newest);

/* ---- control.c ---- */

/* A protobuf body, read into the server's arena: it is valid until the next wire_unpack on this
 * server, and is not freed. NULL: it cannot be read, or is too large; answered 400. */
void *wire_unpack(struct wire_connection *connection, const struct wire_frame *frame,
                  const ProtobufCMessageDescriptor *descriptor);
/* An answer whose body is a protobuf message. */
void wire_answer_message(struct wire_connection *connection, const struct wire_head *head,
                         const ProtobufCMessage *message);

/* ---- call.c ---- */

/* NULL: no memory; answered 503. user is zeroed. Counts against requests_max until it is
 * released. */
struct wire_call *wire_call_acquire(struct wire_connection *connection,
                                    const struct wire_frame *frame);
/* Ends it, answered or not. */
void wire_call_release(struct wire_call *call);
/* Memory that lives as long as the call, from its arena; NULL when that is used up. */
uint8_t *wire_call_allocate(struct wire_call *call, size_t size);

/* ---- data.c, list.c, gather.c ---- */

void wire_get(struct wire_connection *connection, const struct wire_frame *frame);
void wire_write(struct wire_connection *connection, const struct wire_frame *frame);
void wire_list(struct wire_connection *connection, const struct wire_frame *frame);
void wire_mget(struct wire_connection *connection, const struct wire_frame *frame);
void wire_batch(struct wire_connection *connection, const struct wire_frame *frame);
/* Answers what is held back. */
void wire_held_run(struct wire_server *server);

/* ---- subscribe.c and its neighbours ---- */

/* server->subscriptions. */
MUST_USE enum status wire_subscriptions_create(struct wire_server *server);
void wire_subscriptions_destroy(struct wire_server *server);
/* Frames; each answers, at once or later. */
void wire_subscribe(struct wire_connection *connection, const struct wire_frame *frame);
void wire_unsubscribe(struct wire_connection *connection, const struct wire_frame *frame);
void wire_credit(struct wire_connection *connection, const struct wire_frame *frame);
void wire_ack(struct wire_connection *connection, const struct wire_frame *frame);
void wire_consumer(struct wire_connection *connection, const struct wire_frame *frame);
void wire_stats(struct wire_connection *connection, const struct wire_frame *frame);
void wire_ping(struct wire_connection *connection, const struct wire_frame *frame);
/* The server drains: GOAWAY to every connection that is welcomed; its subscriptions end. Once. */
void wire_goaway_begin(struct wire_server *server);
/* After stream_step, before what was written is sent: what subscriptions have to say. When it wants
 * to run again; UINT64_MAX: never. */
uint64_t wire_subscriptions_step(struct wire_server *server, uint64_t now_ns);
/* There is room again after WIRE_PUSH was refused; runs when a connection is settled, before it
 * sends. */
void wire_subscriptions_writable(struct wire_connection *connection);
/* The connection goes: its list must be empty afterwards. No frame can be written any more. */
void wire_subscriptions_close(struct wire_connection *connection);

#endif
