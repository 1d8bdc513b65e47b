/*
 * http.h: HTTP/1.0 and 1.1 on the connections of one thread: parse, hand complete requests to a
 * handler, send answers in the order of the requests.
 *
 * Owner:     one thread and its ring. An exchange is one request with its answer; it belongs to the
 *            connection, which may die before the answer is there: the answer is then thrown away,
 *            never the exchange under its handler.
 * Memory:    a connection that is idle holds no buffers. An exchange has an arena for what lives
 *            until its answer.
 * Views:     request views (target, headers, body) are valid until the handler returns; what is
 *            needed later is copied with http_keep.
 * Order:     answers may be given in any order; they are sent in the order of the requests, all
 *            that are ready in one send a turn.
 * Bounds:    http_options. A request over them is answered (413, 414, 431, 408, 503) and the
 *            connection closed where it cannot go on.
 * Errors:    malformed HTTP is answered 400 through http_options.refuse and the connection is
 *            closed; see net/http/check.c for what is refused beyond llhttp's strict mode (request
 *            smuggling).
 * Tests:     tests/unit/net/http/, tests/fuzz/fuzz_http.c, tests/integration/.
 */
#ifndef FRESHET_NET_HTTP_HTTP_H
#define FRESHET_NET_HTTP_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define HTTP_HEADERS_MAX 100

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER /* known to llhttp, not to us: 405 or 501 is the handler's to say */
};
#define HTTP_METHOD_COUNT 8

/* Headers that handlers ask for, found while parsing. A repeated one is kept as its first value,
 * but see `repeated`. */
enum http_known {
    HTTP_HOST,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_ENCODING,
    HTTP_ORIGIN,
    HTTP_CACHE_CONTROL,
    HTTP_PRAGMA,
    HTTP_IF_MATCH,
    HTTP_IF_NONE_MATCH,
    HTTP_IDEMPOTENCY_KEY,
    HTTP_MIN_POSITION, /* freshet-min-position */
    HTTP_ACCEPT,
    HTTP_AUTHORIZATION,
    HTTP_LAST_EVENT_ID,
    HTTP_REQUEST_METHOD, /* Access-Control-Request-Method */
    HTTP_KNOWN_COUNT
};

struct http_header {
    struct bytes name;
    struct bytes value; /* without white space around it */
};

struct http_request {
    enum http_method method;
    struct bytes method_text;
    struct bytes target; /* as sent */
    /* Before '?', still percent-encoded; an absolute-form target is reduced to its path. */
    struct bytes path;
    struct bytes query; /* after '?', may be empty */
    struct bytes body;
    bool has_body;                        /* Content-Length > 0 or chunked */
    struct bytes known[HTTP_KNOWN_COUNT]; /* data NULL: not sent */
    uint32_t repeated;                    /* bit per known header that came more than once */
    const struct http_header *headers;    /* all of them, in order */
    uint32_t header_count;
    uint8_t minor; /* HTTP/1.minor */
    bool keep_alive;
};

struct http_server; /* one thread's */
struct http_connection;

#define HTTP_EXCHANGE_USER_BYTES 1024 /* for the handler: its state of this request; zeroed */

struct http_exchange {
    struct http_request request;
    uint64_t started_ns; /* when its bytes began to arrive */
    uint64_t number;     /* of this exchange, for request_id */
    uint16_t status;     /* set by the answer */
    uint16_t route;      /* the handler's, for metrics and the access log */
    uint64_t answer_bytes;
    struct bytes log_path; /* kept for the access log when it is on */
    _Alignas(16) uint8_t user[HTTP_EXCHANGE_USER_BYTES];
};

typedef void http_handler(void *context, struct http_exchange *exchange);

struct http_options {
    http_handler *handle;
    /* A request that never became one: answer it with this status (400, 408, 411, 413, 414, 417,
     * 431, 501, 503, 505); the connection is closed afterwards. */
    void (*refuse)(void *context, struct http_exchange *exchange, uint16_t status,
                   const char *detail);
    /* After an answer has been handed over, once per exchange, also when its connection is gone:
     * metrics, the access log. The request's views are only valid if the handler has not returned
     * yet; what was kept is. now_ns is the turn's. */
    void (*finished)(void *context, struct http_exchange *exchange, uint64_t now_ns);
    void *context;
    uint32_t connections_max; /* of this thread; one more is answered 503 and closed */
    uint32_t pipelined_max;   /* exchanges of one connection at a time; more wait (64) */
    uint32_t head_bytes_max;  /* 16 KiB; 431, target alone 8 KiB: 414 */
    uint32_t body_bytes_max;  /* 1 MiB; 413 */
    uint64_t head_timeout_ns; /* from the first byte of a request to the end of its head; 408 */
    uint64_t body_timeout_ns; /* without a byte of the body; 408 */
    uint64_t idle_timeout_ns; /* a kept-alive connection without a request; closed */
    uint64_t send_timeout_ns; /* a client that does not read; closed */
    /* Of buffers, answers and arenas of this thread; over it requests are answered 503. 0:
     * HTTP_MEMORY_BYTES_DEFAULT. */
    uint64_t memory_bytes_max;
};

#define HTTP_MEMORY_BYTES_DEFAULT (256u << 20)

/* ---- for the thread that runs it ----
 *
 *     ring_wait(ring, timeout);
 *     http_server_begin(server, now_ns);      the time of this turn
 *     ring_dispatch(ring);                     bytes in -> handlers
 *     … other work of the turn that gives answers …
 *     next_ns = http_server_step(server);      answers out, timeouts; before the next ring_wait
 */
struct ring;

/* Written by the server's thread, read by any (relaxed). */
struct http_statistics {
    _Atomic uint64_t connections_open;
    _Atomic uint64_t connections_accepted;
    _Atomic uint64_t connections_refused; /* over connections_max */
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t timeouts_head;
    _Atomic uint64_t timeouts_body;
    _Atomic uint64_t timeouts_idle;
    _Atomic uint64_t timeouts_send;
    _Atomic uint64_t memory_bytes; /* in use now, of memory_bytes_max */
    _Atomic uint64_t streams_open;
    _Atomic uint64_t streams_bytes; /* memory of what was written and not yet sent */
};

/* options are copied. The ring must have receive buffers. On failure *out is NULL. */
MUST_USE enum status http_server_create(const struct http_options *options, struct ring *ring,
                                        struct http_server **out);
/* After http_server_drained; or after ring_destroy, when it does not matter what is still in
 * flight: exchanges without an answer are lost then, and must not be answered any more. Accepts
 * NULL; sets *server to NULL. */
void http_server_destroy(struct http_server **server);

/* Takes connections from a listening socket, which stays the caller's; at most
 * HTTP_LISTENERS_MAX. */
#define HTTP_LISTENERS_MAX 4
MUST_USE enum status http_server_accept(struct http_server *server, int listening_fd);

/* The four timeouts of http_options, for what begins to be waited for from here on. */
struct http_timeouts {
    uint64_t head_ns;
    uint64_t body_ns;
    uint64_t idle_ns;
    uint64_t send_ns;
};
void http_server_timeouts_set(struct http_server *server, const struct http_timeouts *timeouts);

void http_server_begin(struct http_server *server, uint64_t now_ns);
/* Returns when it wants to run again though nothing happens: UINT64_MAX: never. */
uint64_t http_server_step(struct http_server *server);

/* Stops accepting; idle connections are closed, the others after the answers they wait for
 * (http_closes is true from here on). Calling it again with force closes all connections now,
 * whatever is in flight. */
void http_server_drain(struct http_server *server, bool force);
/* No connection and no accept is left. An exchange may still be with its handler: see
 * http_server_unanswered. */
bool http_server_drained(const struct http_server *server);
/* Exchanges given to a handler and not yet answered, also those whose connection is gone. */
uint64_t http_server_unanswered(const struct http_server *server);
const struct http_statistics *http_server_statistics(const struct http_server *server);

/* ---- for handlers ---- */

/* Memory that lives until the answer was handed over. NULL when over the exchange's bound or the
 * server's memory_bytes_max. */
uint8_t *http_allocate(struct http_exchange *exchange, size_t size);
struct bytes http_keep(struct http_exchange *exchange, struct bytes bytes);

/*
 * Answer, variant 1, for answers whose size has a small bound: room for size_max bytes where they
 * will be sent from (or NULL when out of memory: then answer with variant 2), and then how many
 * were written. In between no other http call.
 */
uint8_t *http_answer_begin(struct http_exchange *exchange, size_t size_max);
void http_answer_end(struct http_exchange *exchange, size_t size, uint16_t status);

/* Answer, variant 2: head is copied; a large body (over 16 KiB) is sent from where it is, and
 * release is called exactly once when it is no longer needed, also when the connection dies; a
 * small one is copied and released at once. release may be NULL. */
void http_answer(struct http_exchange *exchange, struct bytes head, struct bytes body,
                 uint16_t status, void (*release)(void *owner), void *owner);

/* Whether the server's memory has room for an answer's body of that size, which counts from
 * http_answer until it is sent. A reader's answer asks first, and is a 503 if not; a writer's is
 * given anyway, because what is done must be said. */
bool http_has_memory(const struct http_exchange *exchange, size_t size);

/*
 * Answer, variant 3: a body without an end that is known, written as it comes (server-sent events,
 * long pages). The exchange stays the handler's until http_stream_end, or until `closed` has run;
 * `finished` of http_options runs then, with the bytes that were written.
 *
 * A body goes out in chunks (RFC 9112 7.1) to an HTTP/1.1 client, and until the connection closes
 * to an HTTP/1.0 one (which needs http_close_after before its head is made): head has neither
 * Content-Length nor Transfer-Encoding, which is added. To a HEAD, end it at once: no body is sent,
 * and what is written is thrown away.
 *
 * Order:   a stream behind an answer that is not given yet has no room until that one is. Requests
 *          that come behind it wait until it ends. A client that has shut its side is still sent
 *          to, unless the stream is endless.
 * Bounds:  what was written and not yet sent is at most HTTP_STREAM_ROOM_BYTES, and only
 *          HTTP_STREAM_ROOM_LEAST while all streams of the thread hold HTTP_STREAMS_BYTES; one
 *          larger piece is taken when nothing is unsent. So a client that does not read costs its
 *          socket's buffer (limited for streams) and one such piece; that of an endless stream is
 *          not cut by send_timeout, but by TCP's own keep-alive when it is gone. All streams of a
 *          thread together take at most half of memory_bytes_max; beyond, even a stream with
 *          nothing unsent waits.
 * Events:  run within http_server_step only, which then returns the time of the turn, so that what
 *          they have set going is done at once.
 */
#define HTTP_STREAM_ROOM_BYTES (64u << 10)
#define HTTP_STREAM_ROOM_LEAST (4u << 10)
#define HTTP_STREAMS_BYTES     (32u << 20)
/* For the last words of a stream when the server drains, and for its client to take them. */
#define HTTP_STREAM_DRAIN_NS 1000000000ull

struct http_stream_events {
    /* It ends only when somebody goes: a client that has shut its side has gone, then. To wait for
     * the next write to find that out would keep the connection of whoever left a quiet stream. */
    bool is_endless;
    /* There is room again after http_stream_write was refused. */
    void (*writable)(void *context, struct http_exchange *exchange);
    /* The client is gone: the exchange must not be touched after this returns. Until then it may
     * be written to, in vain, or ended, which this event then does not follow. */
    void (*closed)(void *context, struct http_exchange *exchange);
    /* The server drains: say the last word and end it. The connection is cut after
     * HTTP_STREAM_DRAIN_NS, because one that does not read would keep the server from its end. */
    void (*draining)(void *context, struct http_exchange *exchange);
};

/* False: no memory, or the connection is gone; nothing was taken, answer otherwise. events is
 * borrowed until the end. */
MUST_USE bool http_stream_begin(struct http_exchange *exchange, struct bytes head, uint16_t status,
                                const struct http_stream_events *events, void *context);
/* All of the bytes or none: false when there is no room now, `writable` will tell. They go out at
 * the end of the turn. */
MUST_USE bool http_stream_write(struct http_exchange *exchange, struct bytes bytes);
/* The same for bytes that lie in several places. */
MUST_USE bool http_stream_write_pieces(struct http_exchange *exchange, const struct bytes *pieces,
                                       size_t count);
/* Never from within an event. The exchange must not be touched afterwards. Always succeeds: if its
 * last bytes cannot be sent, the connection is cut. */
void http_stream_end(struct http_exchange *exchange);

/* The connection closes after this answer (the head should say so). Before the answer. */
void http_close_after(struct http_exchange *exchange);
/* True when the answer must say "Connection: close", or "Connection: keep-alive" to an HTTP/1.0
 * client that asked for it. */
bool http_closes(const struct http_exchange *exchange);
bool http_says_keep_alive(const struct http_exchange *exchange);

#endif
