/*
 * rest.h: the REST face of the engine on one thread: routes, cache semantics, conditions, problems,
 * operating pages.
 *
 * Owner:     one thread, the one that runs its http_server and its engine_thread. Create one for
 *            each.
 * Memory:    rest_create takes all but this: a body over 16 KiB, in or out, has a block of its own
 *            until it is stored or sent, and so has the text of a scrape.
 * Time:      rest_turn gives the time at the start of each turn of the loop; nothing here reads a
 *            clock.
 * Invariant: every exchange handed to rest_handle or rest_refuse is answered exactly once, at once
 *            or when the engine is done.
 * Tests:     tests/unit/net/rest/, tests/fuzz/fuzz_target.c, tests/integration/.
 *
 * Wiring, on each thread:
 *     http_options.handle = rest_handle; .refuse = rest_refuse; .finished = rest_finished; .context
 *     = rest; each turn: rest_turn(rest, now_ns, wall_ms), the ring's completions,
 *     rest_dispatched(rest), engine_thread_step, stream_step, rest_step(rest), the sends,
 *     rest_turn_end(rest).
 */
#ifndef FRESHET_NET_REST_REST_H
#define FRESHET_NET_REST_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/engine.h"
#include "net/http/http.h"
#include "net/rest/metrics.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define REST_CORS_ORIGIN_BYTES_MAX   512
#define REST_CACHE_CONTROL_BYTES_MAX 512

struct rest;
struct stream;
struct consumers;
struct webhooks;

/* What becomes of Cache-Control: no-cache from a principal that has no right to refresh. */
enum rest_invalidation {
    REST_FAIL_WITH_403,
    REST_SUCCEED_WITH_RESPONSE_HEADER, /* answered from the cache, with a Warning */
    REST_SUCCEED_WITHOUT_RESPONSE_HEADER
};

/* What rest asks of the process around it; any pointer may be NULL. All are called on rest's thread
 * and must not block. */
struct rest_probe {
    void *context;
    bool (*ready)(void *context);    /* recovered; NULL: yes */
    bool (*draining)(void *context); /* SIGTERM has come; NULL: no */
    /* More metrics, in the text format, each with its HELP and TYPE lines. */
    void (*metrics)(void *context, struct writer *text_out);
    /* Whole lines of the access log, ended by '\n'. They are to be written out or copied before it
     * returns. */
    void (*log)(void *context, struct bytes lines);
};

struct rest_options {
    struct engine *engine;
    struct engine_thread *engine_thread;
    const struct collection *collections; /* borrowed, as the engine has them */
    uint32_t collection_count;
    /* The server's own collections, COLLECTION_INTERNAL_COUNT of them, as the engine has them. */
    const struct collection *internal;
    struct stream *stream;       /* this thread's; the four are NULL where there are no changes */
    struct consumers *consumers; /* this thread's */
    struct webhooks *webhooks;   /* the worker's, for redrives and metrics */
    struct bytes cors_origin;    /* Access-Control-Allow-Origin; copied; empty: "*" */
    /* Cache-Control of GET /C/{id} to those downstream; copied; empty: "no-cache" */
    struct bytes cache_control;
    enum rest_invalidation unauthorized_invalidation;
    struct principal
        principal; /* on whose behalf all requests run; name empty: anonymous, with all rights */
    struct rest_probe probe;
    struct metrics *metrics; /* borrowed; NULL: nothing is counted */
    uint32_t thread_index;   /* of metrics, and part of request ids */
    uint64_t seed;           /* of request ids: differs from one start of the process to the next */
    bool access_log;         /* lines go to probe.log; rest_access_log_set changes it later */
};

/* On failure *out is NULL and nothing stays allocated. */
MUST_USE enum status rest_create(const struct rest_options *options, struct rest **out);
/* No exchange may be unanswered. Accepts NULL; sets *rest to NULL. */
void rest_destroy(struct rest **rest);

/*
 * The start of a turn; when its completions have been dispatched; and its end, which hands the
 * access log's lines over.
 *
 * Between the first two, GETs are held back, up to 16 of them: their places in the cache are
 * fetched from memory while other requests are parsed, and then they are answered together.
 * rest_dispatched leaves none unanswered, and what is handled after it, until the next turn, is
 * answered or submitted at once.
 */
void rest_turn(struct rest *rest, uint64_t now_ns, uint64_t wall_ms);
void rest_dispatched(struct rest *rest);
/* After stream_step, before http_server_step: what answers of changes have to say by themselves.
 * Returns when it wants to run again though nothing happens. Without it no stream of changes
 * ends. */
uint64_t rest_step(struct rest *rest);
void rest_turn_end(struct rest *rest);
/* The text of /metrics, in a block that the caller frees; NULL: no memory. context is the struct
 * rest. */
uint8_t *rest_metrics_text(void *context, size_t *size_out);
/* What may change while it runs; on rest's thread, between two turns. TOO_LARGE: nothing has
 * changed. */
void rest_access_log_set(struct rest *rest, bool on);
MUST_USE enum status rest_headers_set(struct rest *rest, struct bytes cors_origin,
                                      struct bytes cache_control,
                                      enum rest_invalidation unauthorized_invalidation);

/* The callbacks of http_options; context is the struct rest. */
void rest_handle(void *context, struct http_exchange *exchange);
void rest_refuse(void *context, struct http_exchange *exchange, uint16_t status,
                 const char *detail);
void rest_finished(void *context, struct http_exchange *exchange, uint64_t now_ns);

#endif
