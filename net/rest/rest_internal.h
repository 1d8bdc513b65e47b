/*
 * rest_internal.h: what the files of net/rest share: the state of a thread and of a request, and
 * how an answer is given.
 *
 *     rest.c        life, turns, routes, refused requests
 *     read.c        GET and HEAD of a record: from the cache, else through the engine
 *     write.c       POST, PUT, PATCH, DELETE
 *     list.c        GET and HEAD of a collection
 *     changes*.c    GET /changes, as events and as pages (changes_internal.h)
 *     patterns.c    POST /patterns/test
 *     events.c      POST /events
 *     consumers*.c  /consumers (consumers_internal.h)
 *     rules*.c      /rules (rules_internal.h)
 *     stream_routes.c  which part of the change stream a path names
 *     operations.c  /healthz, /readyz, /metrics, /openapi.json
 *     answer.c      heads and bodies of answers, problems
 *     access_log.c  counting, and a line for each request
 *
 * Owner: everything belongs to rest's thread.
 */
#ifndef FRESHET_NET_REST_REST_INTERNAL_H
#define FRESHET_NET_REST_REST_INTERNAL_H

#include "net/rest/follow.h"
#include "net/rest/head.h"
#include "net/rest/problem.h"
#include "net/rest/rest.h"
#include "protocol/base/assert.h"

#define REQUEST_ID_BYTES_MAX 48
/* Answers up to this size are asked for in the exchange's own memory, of which net/http has 2 KiB
 * at hand; larger ones have a block. */
#define ANSWER_BUFFER_BYTES 1024
/* A document of at most this size stays in the exchange's memory until the engine has it. */
#define DOCUMENT_KEEP_BYTES_MAX 2048
/* A cached body up to this size is copied to where it is sent from; a larger one gets a block of
 * its own. */
#define COPY_BODY_BYTES_MAX    (16u << 10)
#define LOG_BYTES_MAX          (64u << 10)
#define LOG_LINE_BYTES_MAX     (12u << 10)
#define METRICS_TEXT_BYTES     (256u << 10)
#define METRICS_TEXT_BYTES_MAX (16u << 20)

static_assert(REST_CORS_ORIGIN_BYTES_MAX <= HEAD_SETTING_BYTES_MAX, "heads keeps a copy");
static_assert(REST_CACHE_CONTROL_BYTES_MAX <= HEAD_SETTING_BYTES_MAX, "heads keeps a copy");

/* Reads held back until their entries are near: enough to hide a memory's latency, few enough for
 * the first-level cache. */
#define HELD_READS_MAX 16

struct held_read {
    struct http_exchange *exchange;
    const struct collection *collection;
    struct bytes id; /* in the exchange's memory */
    uint64_t hash;
};

/* Answers with changes that are open, see changes_internal.h. */
struct changes_lists {
    struct link starting;  /* the stream looks for their place */
    struct link beats;     /* streams of events, by the time of their next heartbeat */
    struct link waits;     /* pages that wait for a change */
    struct link touched;   /* to be settled */
    uint64_t waits_due_ns; /* the earliest of waits, or before it; UINT64_MAX: none */
};

struct rest {
    struct rest_options options;
    struct heads heads;
    uint64_t now_ns;
    uint64_t wall_ms;
    struct metrics_thread *metrics;
    uint64_t pending; /* handed to the engine, not yet done */
    bool holding;     /* between rest_turn and rest_dispatched */
    uint32_t held_count;
    struct held_read held[HELD_READS_MAX];
    struct collection_names collections;
    struct changes_lists changes;
    struct link readers; /* of consumers, by the time at which they ask again */
    bool access_log;
    size_t log_size;
    uint8_t *log;      /* LOG_BYTES_MAX */
    uint8_t *document; /* DOCUMENT_BYTES_MAX: where a body is parsed to */
    _Alignas(64) uint8_t copy[CACHE_COPY_BYTES_MAX]; /* where a cached body is copied to */
};

/* Conditions of a request, and its wish to be answered past the cache. */
struct conditions {
    struct precondition if_match;
    struct precondition if_none_match;
    uint64_t minimum_sequence;
    bool refresh;
    bool warn; /* it wished to, but may not */
};

/* In http_exchange.user, zeroed by net/http. */
struct rest_state {
    struct request request;
    struct rest *rest;
    uint8_t *document; /* malloc, or NULL when the document is in the exchange's memory */
    uint8_t outcome;   /* 1 + enum cache_outcome for the access log; 0: none */
    bool expose;       /* Origin was sent */
    bool warn;         /* the answer carries a Warning */
};

static_assert(sizeof(struct rest_state) <= HTTP_EXCHANGE_USER_BYTES, "fits into the exchange");

static inline struct rest_state *rest_state_of(struct http_exchange *exchange)
{
    return (struct rest_state *)(void *)exchange->user;
}

static inline struct http_exchange *rest_exchange_of(struct request *request)
{
    struct rest_state *state = CONTAINER_OF(request, struct rest_state, request);
    return CONTAINER_OF(state, struct http_exchange, user);
}

static inline bool rest_allowed(const struct rest *rest, uint32_t right)
{
    return (rest->options.principal.rights & right) != 0;
}

/*
 * ---- answer.c ----
 *
 * An exchange may be gone when its answer has been handed over, and the request in it with it: a
 * rest_answer_* is the last that touches either, and the engine's memory is released before, or
 * moves to the connection.
 */

struct bytes rest_request_id(const struct rest *rest, const struct http_exchange *exchange,
                             uint8_t buffer[REQUEST_ID_BYTES_MAX]);
void rest_answer_problem(struct rest *rest, struct http_exchange *exchange,
                         const struct problem *problem, const struct head_cache *cache);
/* A problem by HTTP status and words. */
void rest_answer_error(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                       struct bytes detail);
void rest_answer_status(struct rest *rest, struct http_exchange *exchange, enum status status,
                        struct bytes detail);
/* "Product not found": the collection's singular and some words. */
void rest_answer_singular(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                          const struct collection *collection, const char *words,
                          const struct head_cache *cache);
void rest_answer_no_method(struct rest *rest, struct http_exchange *exchange, const char *allow);
/* Ends the head and hands both over; without the body for HEAD. release may be NULL. */
void rest_answer_body(struct http_exchange *exchange, struct writer *head, struct bytes body,
                      uint16_t status, void (*release)(void *owner), void *owner);
/* The answer of a request; memory of the engine's moves over. */
void rest_answer_request(struct http_exchange *exchange, struct writer *head, uint16_t status);
/* What went wrong with a request, in its own words if it has any. */
void rest_answer_failure(struct rest *rest, struct http_exchange *exchange,
                         const struct request *request);
/* ETag */
void rest_head_tag(uint64_t epoch, uint64_t sequence, struct writer *head);

/* ---- read.c ---- */

void rest_read(struct rest *rest, struct http_exchange *exchange,
               const struct collection *collection, struct bytes id);
/* Answers what is held back. */
void rest_held_run(struct rest *rest);
/* Reads If-Match, If-None-Match into tags (2 x PRECONDITION_TAGS_MAX); false when answered. */
MUST_USE bool rest_conditions_read(struct rest *rest, struct http_exchange *exchange,
                                   struct entity_tag *tags, struct conditions *out);
/* Reads Cache-Control, Pragma and freshet-min-position; false when answered. */
MUST_USE bool rest_freshness_read(struct rest *rest, struct http_exchange *exchange,
                                  struct conditions *out);
/* A known field's value; if it came more than once, all of them as one list. data NULL: not sent,
 * or no memory. */
struct bytes rest_list_field(struct http_exchange *exchange, enum http_known known,
                             struct bytes name);

/* ---- write.c ---- */

void rest_create_record(struct rest *rest, struct http_exchange *exchange,
                        const struct collection *collection);
void rest_put(struct rest *rest, struct http_exchange *exchange,
              const struct collection *collection, struct bytes id);
void rest_patch(struct rest *rest, struct http_exchange *exchange,
                const struct collection *collection, struct bytes id);
void rest_delete(struct rest *rest, struct http_exchange *exchange,
                 const struct collection *collection, struct bytes id);
/* A request ready but for what its kind needs; NULL when answered (no memory). */
struct request *rest_request_begin(struct rest *rest, struct http_exchange *exchange,
                                   enum request_kind kind, const struct collection *collection,
                                   struct bytes id);
void rest_request_submit(struct rest *rest, struct request *request,
                         void (*done)(struct request *request));
/* Checks type and size of the body and parses it into rest->document; false when answered. */
MUST_USE bool rest_body_object(struct rest *rest, struct http_exchange *exchange,
                               struct bytes *document_out);
/* Copies a document, without its member "id" if so wanted, to where it lives until the engine is
 * done, and sets request.document; false when answered. */
MUST_USE bool rest_document_keep(struct rest *rest, struct http_exchange *exchange,
                                 struct bytes document, bool without_id);
/* Idempotency-Key of what POST makes, if there is one; path: without its '/'. False when
 * answered. */
MUST_USE bool rest_idempotency_set(struct rest *rest, struct http_exchange *exchange,
                                   struct request *request, struct bytes path);
/* When the request is done: the engine has its own copy by then. */
void rest_document_free(struct request *request);
/* freshet-position: where a reader must be to see what this write left, also when it changed
 * nothing. */
void rest_head_position(struct rest *rest, const struct request *request, struct writer *head);
/* What a write answers that is no record: a small JSON body, and freshet-position. */
void rest_answer_written(struct rest *rest, struct http_exchange *exchange,
                         const struct request *request, uint16_t status, struct bytes body);
/* First thing in a done: the rest it belongs to. The answer is the last thing, see answer.c. */
struct rest *rest_request_done(struct request *request);

/* ---- list.c, operations.c ---- */

void rest_list(struct rest *rest, struct http_exchange *exchange,
               const struct collection *collection);
/* False when there is no such page. */
bool rest_operation(struct rest *rest, struct http_exchange *exchange, struct bytes name);

/* ---- patterns.c, events.c ---- */

void rest_patterns_test(struct rest *rest, struct http_exchange *exchange);
void rest_events(struct rest *rest, struct http_exchange *exchange);

/* ---- changes.c ---- */

void rest_changes(struct rest *rest, struct http_exchange *exchange); /* GET /changes */
void changes_lists_init(struct changes_lists *lists);
uint64_t changes_step(struct rest *rest);

/* ---- rules.c, rules_view.c ---- */

/* /rules, /rules/{name}, and there dead-letters and redrive; both are percent-decoded. */
void rest_rules(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                struct bytes action);

/* ---- consumers.c, consumers_read.c ---- */

/* /consumers, /consumers/{name}, and there changes and ack; both are percent-decoded. */
void rest_consumers(struct rest *rest, struct http_exchange *exchange, struct bytes name,
                    struct bytes action);
/* Before changes_step. */
uint64_t rest_consumers_step(struct rest *rest);

/* ---- stream_routes.c ---- */

struct target;
/* False when the path names nothing of the change stream. */
bool rest_stream_route(struct rest *rest, struct http_exchange *exchange,
                       const struct target *target);

/* ---- access_log.c ---- */

void rest_log_flush(struct rest *rest);

#endif
