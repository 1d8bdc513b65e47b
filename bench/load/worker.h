/*
 * worker.h: one thread of load: its connections, its ring, what it counted.
 *
 * Owner:     main makes it and starts worker_run on a thread; from then on only `phase`, `finished`
 *            and `completed` may be touched by others, until that thread has been joined.
 * Memory:    taken by worker_create; heads that arrive in pieces take a little more.
 * Time:      CLOCK_MONOTONIC, read twice a turn.
 * Invariant: requests in flight on a connection are at most `pipeline`, and every request written
 *            ends as exactly one answer, timeout or error.
 */
#ifndef FRESHET_BENCH_LOAD_WORKER_H
#define FRESHET_BENCH_LOAD_WORKER_H

#include <stdatomic.h>
#include <stdint.h>

#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "protocol/base/status.h"

#define HTTP_STATUS_END 600

enum phase { PHASE_WARMUP, PHASE_MEASURE, PHASE_DRAIN };

/* Counted while measuring, but for what is wrong: that counts from the first request to the
 * last. */
struct counters {
    uint64_t done[KIND_COUNT];
    uint64_t statuses[HTTP_STATUS_END];
    uint64_t unexpected; /* answers with a status that is not expected */
    uint64_t errors;     /* requests that ended without an answer */
    uint64_t timeouts;
    uint64_t reconnects;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t behind_max; /* open loop: the most requests that were due and not sent */
    struct histogram latency_ns[KIND_COUNT];
};

struct worker;

/* index of thread_count: its share of connections, rate and (when filling) keys. On failure
 * *worker_out is NULL. */
MUST_USE enum status worker_create(const struct load_options *options, uint32_t index,
                                   uint64_t serial_from, struct worker **worker_out);
void worker_destroy(struct worker **worker);

/* The body of the thread (for pthread_create); the argument is the worker. */
void *worker_run(void *argument);

void worker_set_phase(struct worker *worker, enum phase phase);
bool worker_is_finished(struct worker *worker);
uint64_t worker_completed(struct worker *worker); /* answers while measuring, so far */

/* After the join: what it counted, and whether it ended as it should. */
const struct counters *worker_counters(const struct worker *worker);
enum status worker_status(const struct worker *worker);

uint64_t clock_now_ns(void);

/* A connected TCP socket without delay, from source (NULL: any); failures are said on stderr. */
MUST_USE enum status connect_to(const char *host, uint16_t port, const char *source, int *fd_out);

#endif
