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
 *     data.c        operations to requests, and their results; PUT, PATCH, DELETE, CREATE
 *     get.c         GET, from the cache where it can be
 *     list.c        LIST
 *     gather.c      MGET and BATCH: many operations, one answer
 *     subscribe.c   SUBSCRIBE, CREDIT, UNSUBSCRIBE, GOAWAY (subscribe.h)
 *     deliver.c     CHANGES and INVALIDATE
 *     ping.c        PING, behind the invalidations that it asks for
 *     consumer.c    CONSUMER, ACK
 *     reader.c      SUBSCRIBE with a consumer
 *     stats.c       STATS
 *     metrics.c     what /metrics has of all this
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
/* What may be expected of the reads of a connection that are in flight, by the size of the answers
 * before; so many are worked on in any case. */
#define WIRE_EXPECTED_BYTES_MAX   (4u << 20)
#define WIRE_EXPECTED_BYTES_FIRST (64u << 10)
#define WIRE_READS_LEAST          16
/* LISTs that are with the engine, which makes their pages at once: others wait. */
#define WIRE_LISTS_RUNNING_MAX 32
/* Changes and invalidations that wait to be sent, all subscriptions of a connection together. */
#define WIRE_PUSH_BYTES_MAX (256u << 10)
/* What protobuf bodies may take when they are read. */
#define WIRE_ARENA_BYTES      (256u << 10)
#define WIRE_CALL_ARENA_BYTES 3072
/* Where documents are converted: what a record's JSON of 1 MiB becomes, and its id. */
#define WIRE_DOCUMENT_BYTES (DOCUMENT_BYTES_MAX + ID_BYTES_MAX + 64)
#define WIRE_HELD_READS_MAX 16
/* A record over this is only answered while there is memory. */
#define WIRE_LARGE_BODY_BYTES (16u << 10)
#define WIRE_STATS_BYTES      2048

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

struct wire_subscription;
struct wire_pings;

/* The frame of changes or invalidations that is begun on a connection: within stream_step, and
 * ended before anything else is written. */
struct wire_push {
    struct wire_subscription *of; /* NULL: none */
    struct link link;             /* in the server's subscriptions */
    struct writer body;
    uint32_t count; /* items */
    uint32_t level; /* frames begun in the turn of that time: later ones are larger */
    uint64_t turn_ns;
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
    bool room_pushes; /* and it is for WIRE_PUSH */
    bool wants_room;  /* a subscription was refused room: wire_subscriptions_writable will run */
    uint8_t features;
    uint32_t call_count;
    uint32_t read_count;                 /* of them, those whose answers hold records */
    uint32_t list_count;                 /* of them, LISTs */
    uint32_t held_count;                 /* of its GETs that are held back */
    struct link calls;                   /* struct wire_call.link, in flight */
    const struct wire_gather *beginning; /* a BATCH of which not all is with the engine, or NULL */
    const struct collection *collection; /* that was asked for last */
    struct wire_input input;
    struct output output;
    uint64_t queued_total; /* bytes of frames ever queued, and sent */
    uint64_t sent_total;
    uint64_t answers_end; /* queued_total behind the last frame that is no push */
    uint64_t deadline_ns; /* of HELLO, or of the end of LINGER; UINT64_MAX: none */
    uint64_t send_deadline_ns;
    uint64_t frame_deadline_ns; /* of the next byte, while awaits_frame */
    bool awaits_frame;        /* a part of a frame is there, and the rest is the client's to send */
    uint32_t read_bytes_mean; /* of the last few answers that held records */
    /* Of subscribe.c. */
    struct link subscriptions;
    uint32_t subscription_count;
    uint32_t invalidation_count; /* of them, those of invalidations */
    bool limited;                /* it had one: its socket takes no more than that of a stream */
    struct wire_push push;
    struct wire_pings *pings; /* NULL: none waits */
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
    struct wire_call *next_free;
    struct link waiting;        /* in the server's lists_waiting */
    struct wire_gather *gather; /* it is one of many; NULL: it is a frame of its own */
    bool done;                  /* of a gather: it waits for those before it */
    struct wire_fault *fault;   /* of a gather: why it was not even submitted; in the arena */
    uint32_t id;
    uint8_t opcode;
    uint8_t flags;
    uint8_t *block; /* what is too large for the arena; NULL: none */
    size_t block_size;
    uint32_t arena_used;
    struct request request; /* of a data request */
    _Alignas(16) uint8_t arena[WIRE_CALL_ARENA_BYTES];
};

/* A GET without options. */
struct wire_read {
    struct wire_connection *connection;
    const struct collection *collection;
    struct bytes key; /* the record's id */
    uint64_t hash;
    uint32_t id;
    uint8_t flags;
};

struct wire_held_read {
    struct wire_read read;
    uint8_t key[ID_BYTES_MAX];
};

struct wire_subscriptions; /* of subscribe.c */

struct wire_server {
    struct wire_options options;
    const struct socket_transport *transport;
    struct ring *ring;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t room_retry_ns; /* a push waits for memory that others hold; 0: none */
    uint64_t pending;       /* calls with the engine, also those whose connection is gone */
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
    uint32_t lists_running;
    struct link lists_waiting; /* struct wire_call.waiting */
    struct collection_names collections;
    struct wire_subscriptions *subscriptions;
    struct wire_statistics statistics;
    uint8_t *document; /* DOCUMENT_BYTES_MAX + slack: where documents are converted */
    uint8_t *arena;    /* WIRE_ARENA_BYTES */
    size_t arena_used;
    struct wire_held_read held[WIRE_HELD_READS_MAX];
    uint64_t stats_ns; /* of the turn in which stats was made */
    size_t stats_size; /* 0: not yet */
    uint8_t stats[WIRE_STATS_BYTES];
    _Alignas(64) uint8_t copy[CACHE_COPY_BYTES_MAX]; /* where a cached body is copied to */
};

static inline void wire_count(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + value, memory_order_relaxed);
}

/* Whether the answer holds records; else it is small. */
static inline bool wire_opcode_reads(uint8_t opcode)
{
    return opcode == FRAME_GET || opcode == FRAME_MGET || opcode == FRAME_LIST ||
           opcode == FRAME_BATCH;
}

/* ---- server.c ---- */

MUST_USE enum status wire_server_make(const struct wire_options *options,
                                      const struct socket_transport *transport, struct ring *ring,
                                      struct wire_server **out);

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
/* Without the ring: nothing of it may be in flight; the descriptor is left. */
void wire_connection_free(struct wire_connection *connection);
uint64_t wire_connection_look(struct wheel_timer *timer);
/* Cuts it: nothing more is sent, and from now on wire_frame_begin gives no room. It goes when it is
 * settled, not before. */
void wire_connection_abort(struct wire_connection *connection);
/* Reads no more, and its subscriptions end; closes when all answers are sent. */
void wire_connection_end(struct wire_connection *connection);
extern const struct socket_events wire_socket_events;

/* ---- input.c ---- */

void wire_input_received(struct wire_connection *connection, const uint8_t *data, size_t size);
/* Reads on in what has been collected. */
void wire_input_resume(struct wire_connection *connection);
void wire_input_drop(struct wire_connection *connection);
bool wire_input_blocked(const struct wire_connection *connection);
static inline size_t wire_input_size(const struct wire_connection *connection)
{
    return connection->input.end - connection->input.start;
}

/* ---- output.c ----
 *
 *     uint8_t *body = wire_frame_begin(connection, size_max, WIRE_ANSWER);
 *     … write at most size_max bytes of body …
 *     wire_frame_end(connection, &head, size);
 *
 * Between the two no other frame of the connection may be begun. NULL: it is refused. An answer
 * (WIRE_ANSWER) is when memory is at its end, which cuts the connection, and once it has been cut.
 * What nobody has asked for right now (WIRE_PUSH) is while WIRE_PUSH_BYTES_MAX wait to be sent or
 * memory is short, but one frame of any size is taken when nothing waits;
 * wire_subscriptions_writable will run when there is room again.
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
/* An answer (WIRE_ANSWER) of bytes that are there already. */
void wire_answer(struct wire_connection *connection, const struct wire_head *head,
                 struct bytes body);
/* An answer whose body begins with `begin` and ends with `block`, from malloc, of which size bytes
 * are used. It is freed when it was sent, or cannot be; what is behind size is freed at once. */
void wire_answer_block(struct wire_connection *connection, const struct wire_head *head,
                       struct bytes begin, void *block, size_t size);

/* ---- metrics.c ---- */

/* A frame goes out. */
void wire_metrics_count(struct wire_statistics *statistics, const struct wire_head *head);

/* ---- session.c ---- */

void wire_frame_handle(struct wire_connection *connection, const struct wire_frame *frame);
/* Its detail, cut at PROBLEM_DETAIL_BYTES_MAX bytes of whole characters, or its status's reason. */
struct bytes wire_problem_words(const struct problem *problem);
/* ERROR; its detail is cut at PROBLEM_DETAIL_BYTES_MAX. */
void wire_answer_problem(struct wire_connection *connection, uint32_t id,
                         const struct problem *problem);
void wire_answer_error(struct wire_connection *connection, uint32_t id, uint16_t status,
                       struct bytes detail);
/* With the words of the status where detail is empty. */
void wire_answer_status(struct wire_connection *connection, uint32_t id, enum status status,
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

/* One that no connection has, for a gather; NULL: no memory. */
struct wire_call *wire_call_make(struct wire_server *server);
/* NULL: no memory; answered 503. Its request is zeroed. Counts against requests_max until it is
 * released. */
struct wire_call *wire_call_acquire(struct wire_connection *connection,
                                    const struct wire_frame *frame);
/* Ends it, answered or not. */
void wire_call_release(struct wire_call *call);
/* Memory that lives as long as the call, from its arena; NULL when that is used up. */
uint8_t *wire_call_allocate(struct wire_call *call, size_t size);
/* One block for what is larger, likewise; NULL: no memory. */
uint8_t *wire_call_block(struct wire_call *call, size_t size);

/* ---- operation.c ---- */

/* Why a request is refused. */
struct wire_fault {
    struct problem problem; /* its detail may be in text */
    char text[PROBLEM_DETAIL_BYTES_MAX];
};

/* What the array of a data request says; views into it. data NULL: not said. */
struct wire_operation {
    uint8_t opcode;
    bool json;
    const struct collection *collection;
    struct bytes id;
    struct bytes document; /* MessagePack, or JSON text */
    struct bytes minimum;
    struct bytes if_match;
    struct bytes if_none_match;
    struct bytes key;
    struct bytes cursor;
    struct bytes index;
    struct bytes value;
    uint32_t limit; /* 0: not said */
    bool fresh;
    bool has_options;
};

/* Sets everything but opcode and json, which are given. last: the collection asked for before, or
 * NULL. False: refused. */
MUST_USE bool wire_operation_read(const struct wire_server *server, struct bytes body,
                                  const struct collection *last, struct wire_operation *operation,
                                  struct wire_fault *fault);
/* The operation that a frame asks for; false: it was refused, which has been answered. */
MUST_USE bool wire_operation_take(struct wire_connection *connection,
                                  const struct wire_frame *frame,
                                  struct wire_operation *operation_out);
/* Passes a value; its bytes, empty when none begins there. */
struct bytes wire_value_take(struct reader *reader);
/* The steps of that, for MGET and BATCH. */
bool wire_array_take(struct reader *reader, uint32_t *count_out);
bool wire_string_take(struct reader *reader, struct bytes *text_out);
bool wire_collection_take(const struct wire_server *server, struct reader *reader,
                          const struct collection *last, const struct collection **collection_out,
                          struct wire_fault *fault);
bool wire_id_take(struct reader *reader, struct bytes *id_out, struct wire_fault *fault);
/* Passes count elements that nobody knows; false: what is there is not whole, or not the end. */
bool wire_rest_pass(struct reader *reader, uint32_t count, struct wire_fault *fault);
/* Each is false. */
bool wire_fault_set(struct wire_fault *fault, uint16_t status, const char *detail);
bool wire_fault_status(struct wire_fault *fault, enum status status);
bool wire_fault_malformed(struct wire_fault *fault);
bool wire_fault_collection(struct wire_fault *fault, struct bytes name); /* there is none */
/* "Product not found": the collection's singular and some words. */
bool wire_fault_singular(struct wire_fault *fault, uint16_t status,
                         const struct collection *collection, const char *words);

/* ---- data.c ---- */

/* Fills in the call's request from the operation; copies what must live, unless keep is false
 * because it lives anyway. False: refused. */
MUST_USE bool wire_request_set(struct wire_call *call, const struct wire_operation *operation,
                               bool keep, struct wire_fault *fault);
/* To the engine. done is called later. */
void wire_call_submit(struct wire_call *call, void (*done)(struct request *request));
/* A request that is its frame's only one: answered, now or later. */
void wire_request_submit(struct wire_connection *connection, const struct wire_frame *frame,
                         const struct wire_operation *operation);
/* The answer of a request that is done: its code, and the array's bytes to out. When is_fault,
 * there is no array, but a problem in fault, which may point into the call. */
uint16_t wire_result_code(const struct wire_call *call, struct wire_fault *fault);
bool wire_result_is_fault(const struct wire_call *call, uint16_t code);
size_t wire_result_size_max(const struct wire_call *call);
void wire_result_write(const struct wire_call *call, uint16_t code, struct writer *out);
bool wire_right_check(const struct wire_server *server, uint8_t opcode, struct wire_fault *fault);

/* [epoch, sequence, version, record]; the body is data NULL where there is none. */
struct wire_state {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t version;
};
size_t wire_record_size_max(size_t body_size);
void wire_record_write(const struct wire_state *state, struct bytes body, bool json,
                       struct writer *out);

/* ---- get.c ---- */

/* A GET with options answered from the cache; false: it must go to the engine. */
bool wire_call_cached(struct wire_call *call);

void wire_get(struct wire_connection *connection, const struct wire_frame *frame);
void wire_write(struct wire_connection *connection, const struct wire_frame *frame);
/* Answers what is held back. */
void wire_held_run(struct wire_server *server);

/* ---- list.c, gather.c ---- */

void wire_list(struct wire_connection *connection, const struct wire_frame *frame);
void wire_mget(struct wire_connection *connection, const struct wire_frame *frame);
void wire_batch(struct wire_connection *connection, const struct wire_frame *frame);

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
