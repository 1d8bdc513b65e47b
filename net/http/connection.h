/*
 * connection.h: connections without sockets: what the files of net/http share, and what tests, the
 * fuzzer and the benchmark drive. Handlers and the server's wiring need http.h alone.
 *
 *     server.c      the server: life, turns, drain
 *     connection.c  the life of a connection: what to do after each event
 *     input.c       bytes to requests
 *     exchange.c    arenas and answers
 *     stream.c      answers without an end that is known
 *     timer.c       deadlines
 *
 * What waits to be sent is in net/socket/output.h. No file here knows a ring: they see a struct
 * socket_transport, which tests and the fuzzer fill with something else.
 *
 * A connection's phases:
 *
 *     OPEN ----------> LAST ----------> LINGER ----------> CLOSING -> freed
 *     reads requests   reads no more;   all sent, write    waits until the kernel has let go of
 *                      answers wait     side shut; reads   its receive and its send
 *                                       and throws away
 *
 * An error, or nothing to linger for, goes to CLOSING from any of them. A connection that something
 * has happened to is `touched` and settled once at the end of the turn (connection_settle): there
 * requests that had to wait are read, one send is started, the receive is started or stopped, the
 * deadline is set. It is freed nowhere else.
 */
#ifndef FRESHET_NET_HTTP_CONNECTION_H
#define FRESHET_NET_HTTP_CONNECTION_H

#include <assert.h>

#include "net/http/chunked.h"
#include "net/http/head.h"
#include "net/http/http.h"
#include "net/socket/output.h"
#include "net/socket/socket.h"
#include "net/socket/wheel.h"
#include "protocol/base/list.h"

/* Answers that wait to be sent before no more requests of the connection are read. */
#define UNSENT_BYTES_MAX (1u << 20)
/* Unread bytes that a blocked connection collects before its receive is stopped, and what may
 * arrive until the stop takes effect; a request with its head and body must fit, too. */
#define INPUT_PAUSE_BYTES (64u << 10)
#define INPUT_SLACK_BYTES (4u << 20)
#define INPUT_BYTES_MIN   2048
/* Bodies up to this are copied into the send buffer, larger ones are sent from where they are. */
#define COPIED_BODY_BYTES_MAX (16u << 10)
#define ROOM_BYTES_MAX        (64u << 10)
#define EXCHANGE_INLINE_BYTES 2048
#define EXCHANGE_BYTES_MAX    (8u << 20)
#define FREE_EXCHANGES_MAX    1024
#define BLANK_LINES_MAX       4
/* How long the client of a refused request may still send before the connection is cut. */
#define LINGER_NS 2000000000ull
/* Connections over connections_max that are being told so; more are closed at once. */
#define CONNECTIONS_OVER_MAX 64
#define SETTLE_ROUNDS_MAX    8
/* A stream that memory was refused to, though it has nothing unsent, tries again after this. */
#define STREAM_RETRY_NS 100000000ull
static_assert(HTTP_STREAM_ROOM_LEAST == OUTPUT_STREAM_LEAST, "a stream's least is a chunk's");
static_assert(HTTP_STREAMS_BYTES == OUTPUT_STREAMS_BYTES, "from here on chunks are small");
static_assert(HTTP_LISTENERS_MAX == ACCEPT_LISTENERS_MAX, "all are the acceptor's");

struct exchange {
    struct http_exchange public; /* the first member */
    struct http_server *server;
    struct http_connection *connection; /* NULL: gone */
    struct queue_link order;            /* in the connection's exchanges */
    bool answered;
    bool close;     /* the connection ends after this answer */
    bool has_room;  /* between http_answer_begin and http_answer_end */
    bool room_sent; /* the room is in the connection's output */
    bool held;      /* body counts as the server's memory */
    bool streaming; /* from http_stream_begin to http_stream_end */
    bool started;   /* a stream's head is in the connection's output */
    bool chunked;
    bool told_drain;
    uint8_t *room;
    size_t room_size;
    /* An answer that waits for earlier ones. */
    struct bytes head;
    struct bytes body;
    void (*release)(void *owner);
    void *owner;
    /* A stream. */
    struct link stream; /* in the server's streams, or in its gone ones */
    const struct http_stream_events *events;
    void *events_context;
    size_t wanted; /* a piece of that size was refused; 0: none */
    uint64_t written;
    /* The arena: inline memory first, then blocks. */
    struct chunk *blocks;
    size_t arena_bytes;
    uint32_t inline_used;
    _Alignas(16) uint8_t memory[EXCHANGE_INLINE_BYTES];
};

/* What is known about a request that is not complete; offsets are from its first byte. */
struct partial {
    uint64_t started_ns; /* 0: nothing of it is there */
    struct head_scan scan;
    size_t head_size; /* 0: the head is not complete */
    struct framing framing;
    struct chunked chunked;
    size_t body_size; /* of a chunked body: decoded so far */
};

/* Bytes that could not be used up at once. */
struct input {
    uint8_t *data;
    size_t start; /* of the request that is being read */
    size_t end;
    size_t capacity;
    struct partial partial;
};

enum phase { PHASE_OPEN, PHASE_LAST, PHASE_LINGER, PHASE_CLOSING };
enum timer_kind { TIMER_NONE, TIMER_HEAD, TIMER_BODY, TIMER_IDLE, TIMER_LINGER };

struct http_connection {
    struct http_server *server;
    struct link all;
    struct link settle; /* linked: touched */
    struct wheel_timer timer;
    struct socket socket;
    enum phase phase;
    enum socket_receiving receiving;
    enum timer_kind timer_kind;
    bool sending;
    bool send_stopped;
    bool ended;        /* the client has shut its side */
    bool failed;       /* the socket is broken: nothing can be sent */
    bool must_linger;  /* the client may still be sending what we will not read */
    bool continue_due; /* 100 Continue, as soon as all earlier answers are given */
    bool over;         /* over connections_max */
    bool changing;     /* the exchanges are of methods that are not safe; else all of safe ones */
    bool awaits_turn;  /* the next request is of the other kind: it waits until they are done */
    bool limited;      /* its socket is that of a stream, also when the stream has ended */
    uint8_t blank_lines;
    uint32_t exchange_count;
    uint32_t stream_count;     /* of the exchanges */
    struct queue exchanges;    /* in the order of their requests */
    uint64_t deadline_ns;      /* of timer_kind */
    uint64_t send_deadline_ns; /* while sending */
    uint64_t cut_ns;           /* of one with a stream when the server drained; 0: none */
    struct input *input;       /* NULL: none */
    struct output output;
};

struct http_server {
    struct http_options options;
    const struct socket_transport *transport;
    struct ring *ring;
    uint64_t now_ns;
    uint64_t exchange_number;
    uint64_t unanswered;
    uint64_t stream_retry_ns; /* a stream waits for memory that others hold; 0: none */
    uint32_t connection_count;
    uint32_t over_count;
    bool draining;
    bool event_run; /* in this step */
    struct link connections;
    struct link touched;
    struct link streams;
    struct link streams_gone; /* their connections are; `closed` has not run */
    struct exchange *free_exchanges;
    uint32_t free_exchange_count;
    struct memory_budget memory;
    struct chunk_pool chunks;
    struct acceptor acceptor;
    struct wheel wheel;
    struct http_statistics statistics;
    struct http_header headers[HTTP_HEADERS_MAX]; /* of the request that is being handled */
};

/* ---- server.c ---- */

MUST_USE enum status server_create(const struct http_options *options,
                                   const struct socket_transport *transport, struct ring *ring,
                                   struct http_server **out);

static inline void count_add(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + value, memory_order_relaxed);
}

static inline void count_subtract(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now - value, memory_order_relaxed);
}

/* ---- connection.c ---- */

/* NULL: no memory; then fd is still the caller's. */
struct http_connection *connection_open(struct http_server *server, int fd, bool over);
static inline void connection_touch(struct http_connection *connection)
{
    if (!link_is_linked(&connection->settle)) {
        list_push_back(&connection->server->touched, &connection->settle);
    }
}
extern const struct socket_events connection_events;
/* Cuts it: nothing more is sent. */
void connection_abort(struct http_connection *connection);
void connection_expire(struct http_connection *connection);
void connection_drain(struct http_connection *connection);
void connection_settle(struct http_connection *connection); /* may free it */

/* ---- input.c ---- */

void input_received(struct http_connection *connection, uint8_t *data, size_t size);
/* Reads on in what has been collected. */
void input_resume(struct http_connection *connection);
void input_drop(struct http_connection *connection);
/* Answers with an error; the connection ends after it. exchange: the request's, or NULL. */
void input_refuse(struct http_connection *connection, struct exchange *exchange,
                  struct refusal refusal);
bool input_blocked(const struct http_connection *connection);
static inline size_t input_size(const struct http_connection *connection)
{
    return connection->input == NULL ? 0 : connection->input->end - connection->input->start;
}

/* ---- exchange.c ---- */

struct exchange *exchange_acquire(struct http_server *server); /* NULL: no memory */
void exchange_release(struct exchange *exchange);
/* The connection goes: answers that wait are dropped, the others when they are given. */
void exchanges_detach(struct http_connection *connection);
/* For stream.c: the answer has found its place; the first exchange of a connection has its answer
 * in the output; answers behind it that are ready. */
void exchange_answered(struct exchange *exchange, uint64_t size, uint16_t status);
void exchange_first_finish(struct http_connection *connection);
void exchanges_flush(struct http_connection *connection);
static inline struct exchange *exchange_of(struct http_exchange *public)
{
    return CONTAINER_OF(public, struct exchange, public);
}
static inline bool exchange_is_first(const struct exchange *exchange)
{
    return exchange->connection != NULL &&
           exchange->connection->exchanges.first == &exchange->order;
}

/* ---- stream.c ---- */

/* What is sent to its client now is a stream without an end of its own. */
static inline bool connection_is_endless(const struct http_connection *connection)
{
    if (connection->stream_count == 0) {
        return false;
    }
    const struct exchange *first =
        CONTAINER_OF(connection->exchanges.first, const struct exchange, order);
    return first->streaming && first->events->is_endless;
}
/* A stream's turn has come: its head goes out, and if it has ended already its end. NO_MEMORY: the
 * connection cannot go on. */
MUST_USE enum status stream_start(struct exchange *exchange);
/* The connection goes; `closed` runs later. */
void stream_detach(struct exchange *exchange);
/* Says so if the connection's stream has room again; ends an endless one whose client has gone. */
void stream_settle(struct http_connection *connection);
/* The events that wait: of the drain, and of connections that are gone. */
void streams_run(struct http_server *server);
/* The server goes: streams that nobody has ended are closed. */
void streams_close(struct http_server *server);

/* ---- its output ---- */

static inline uint8_t *connection_room(struct http_connection *connection, size_t size)
{
    return output_room(&connection->output, &connection->server->chunks, size);
}
static inline void connection_commit(struct http_connection *connection, size_t size)
{
    output_commit(&connection->output, size);
    connection_touch(connection);
}
MUST_USE static inline enum status connection_copy(struct http_connection *connection,
                                                   struct bytes bytes)
{
    connection_touch(connection);
    return output_copy(&connection->output, &connection->server->chunks, bytes);
}
/* release is called when bytes are no longer needed, also on failure. */
MUST_USE static inline enum status connection_refer(struct http_connection *connection,
                                                    struct bytes bytes,
                                                    void (*release)(void *owner), void *owner)
{
    connection_touch(connection);
    return output_refer(&connection->output, &connection->server->chunks, bytes, release, owner);
}

/* ---- timer.c ---- */

/* The connection is looked at when the first of its deadlines (deadline_ns, send_deadline_ns,
 * cut_ns) is reached, not before. */
void timer_set(struct http_connection *connection);
/* When a client must have taken what it is sent, or is cut; UINT64_MAX: it has all the time. */
uint64_t timer_send_ns(const struct http_connection *connection);
uint64_t timer_look(struct wheel_timer *timer);

#endif
