/*
 * metrics.h: what the process counts, and the text in which Prometheus reads it.
 *
 * Each thread counts in memory of its own, on cache lines of its own, by plain additions to relaxed
 * atomics; a scrape sums over the threads. Nothing is ever reset, so a sum that is read while
 * others count is at worst a moment old.
 *
 * Owner:     metrics_create and metrics_destroy belong to the main thread; a struct metrics_thread
 *            is written by its own thread alone and read by whichever thread answers a scrape.
 * Memory:    all taken by metrics_create; it grows with threads, collections, methods and statuses,
 *            never with requests.
 * Time:      passed in; the process's own CPU time and memory are asked of the kernel at a scrape.
 * Tests:     tests/unit/net/rest/test_metrics.c.
 */
#ifndef FRESHET_NET_REST_METRICS_H
#define FRESHET_NET_REST_METRICS_H

#include <stdint.h>

#include "engine/shard/collection.h"
#include "net/http/http.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

struct engine;
struct metrics;
struct metrics_thread;

struct metrics_options {
    uint32_t thread_count;
    const struct collection *collections; /* borrowed */
    uint32_t collection_count;
    uint64_t started_wall_ms; /* when the process began to serve */
};

/* Routes by number: the fixed ones, then two for each collection. */
enum metrics_route {
    METRICS_ROUTE_NONE, /* nothing is there, or the request never became one */
    METRICS_ROUTE_HEALTHZ,
    METRICS_ROUTE_READYZ,
    METRICS_ROUTE_METRICS,
    METRICS_ROUTE_OPENAPI,
    METRICS_ROUTE_CHANGES,
    METRICS_ROUTE_PATTERNS,
    METRICS_ROUTE_EVENTS,
    METRICS_ROUTE_CONSUMERS,
    METRICS_ROUTE_RULES,
    METRICS_ROUTE_FIXED_COUNT
};

static inline uint16_t metrics_route_list(const struct collection *collection)
{
    return (uint16_t)(METRICS_ROUTE_FIXED_COUNT + 2 * collection->number);
}

static inline uint16_t metrics_route_record(const struct collection *collection)
{
    return (uint16_t)(METRICS_ROUTE_FIXED_COUNT + 2 * collection->number + 1);
}

enum metrics_timeout {
    METRICS_TIMEOUT_HEAD,
    METRICS_TIMEOUT_BODY,
    METRICS_TIMEOUT_IDLE,
    METRICS_TIMEOUT_SEND
};
#define METRICS_TIMEOUT_COUNT 4

/* What the loop of a thread knows about itself; net/server stores it, once a turn or less often. */
struct metrics_loop {
    uint64_t turns;
    uint64_t busy_ns;                         /* outside of waiting, since the start */
    uint64_t idle_ns;                         /* waiting, since the start */
    uint64_t connections;                     /* open now */
    uint64_t connections_accepted;            /* since the start */
    uint64_t connections_refused;             /* over the limit, since the start */
    uint64_t received_bytes;                  /* since the start */
    uint64_t memory_bytes;                    /* of connections, requests and answers, now */
    uint64_t streams;                         /* answers without an end, open now */
    uint64_t streams_bytes;                   /* of memory_bytes: theirs, not yet sent */
    uint64_t timeouts[METRICS_TIMEOUT_COUNT]; /* since the start */
};

MUST_USE enum status metrics_create(const struct metrics_options *options, struct metrics **out);
void metrics_destroy(struct metrics **metrics); /* accepts NULL; sets *metrics to NULL */
struct metrics_thread *metrics_thread_at(struct metrics *metrics, uint32_t index);

/* "GET"; "OTHER" for a method that is not ours. */
const char *metrics_method_name(enum http_method method);

/* Its thread only. */
void metrics_count(struct metrics_thread *thread, uint16_t route, enum http_method method,
                   uint16_t status, uint64_t duration_ns, uint64_t bytes_sent);
void metrics_loop_set(struct metrics_thread *thread, const struct metrics_loop *loop);

/* Any thread: appends the whole text. engine may be NULL (tests). The writer fails when it is too
 * small. */
void metrics_write(const struct metrics *metrics, struct engine *engine, uint64_t wall_ms,
                   struct writer *text_out);

#endif
