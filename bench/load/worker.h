/*
 * worker.h: one thread of load: its connections, its ring, what it counted.
 *
 * Owner:     main makes it and starts worker_run on a thread; from then on only `phase`,
 *            `connected`, `finished` and `completed` may be touched by others, until that thread
 *            has been joined.
 * Memory:    taken by worker_create; heads that arrive in pieces take a little more.
 * Time:      CLOCK_MONOTONIC, read twice a turn.
 * Invariant: operations in flight on a connection are at most `pipeline`, and each ends as exactly
 *            one answer (an rmw: two), timeout or error. Of those that were to begin in the
 *            measured time, every one that was answered, timed out or could not even be sent is in
 *            the latencies, also when that was later.
 * Tests:     tests/integration/test_bench_load.py
 */
#ifndef FRESHET_BENCH_LOAD_WORKER_H
#define FRESHET_BENCH_LOAD_WORKER_H

#include <stdatomic.h>
#include <stdint.h>

#include "bench/load/histogram.h"
#include "bench/load/inserts.h"
#include "bench/load/options.h"
#include "protocol/base/status.h"

#define HTTP_STATUS_END 600

/* Workers connect, and wait until main has seen that all of them are: time spent on that is in no
 * figure. */
enum phase { PHASE_CONNECT, PHASE_WARMUP, PHASE_MEASURE, PHASE_DRAIN };

/* Counted while measuring, but for what went wrong: that counts from the first request to the
 * last. */
struct counters {
    uint64_t done[KIND_COUNT];          /* operations */
    uint64_t statuses[HTTP_STATUS_END]; /* answers */
    uint64_t answered;                  /* requests, before and after the measured time, too */
    uint64_t unexpected;                /* answers with a status that is not expected */
    uint64_t wrong;                     /* answers whose body is not right */
    uint64_t errors;                    /* operations that ended without an answer */
    uint64_t timeouts;
    uint64_t reconnects;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t logical_bytes_written; /* keys and values of writes that were answered with 2xx */
    uint64_t behind_max;            /* open loop: the most operations that were due and not sent */
    uint64_t unsent;  /* open loop: due in the measured time and not sent when it was over */
    uint64_t poll_ns; /* open loop: spent waiting for the next one to be due, on the CPU */
    /* From when an operation was to begin: those that were to begin while measuring. Memory of
     * kinds that are not in the mix is never touched. */
    struct histogram latency_ns[KIND_COUNT];
    /* Open loop: how much later than it could an operation was sent, for want of this program. */
    struct histogram late_ns;
};

struct worker;

/* index of thread_count: its share of connections, rate and (when filling) keys. On failure
 * *worker_out is NULL. */
MUST_USE enum status worker_create(const struct load_options *options, uint32_t index,
                                   uint64_t serial_from, struct inserts *inserts,
                                   struct worker **worker_out);
void worker_destroy(struct worker **worker);

/* The body of the thread (for pthread_create); the argument is the worker. */
void *worker_run(void *argument);

void worker_set_phase(struct worker *worker, enum phase phase);
bool worker_is_connected(struct worker *worker); /* or finished, when it could not */
bool worker_is_finished(struct worker *worker);
uint64_t worker_completed(struct worker *worker); /* operations while measuring, so far */

/* After the join: what it counted, and whether it ended as it should. */
const struct counters *worker_counters(const struct worker *worker);
enum status worker_status(const struct worker *worker);

uint64_t clock_now_ns(void);

#endif
