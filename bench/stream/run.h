/*
 * run.h: writers and subscribers on one thread and one clock: what was written when, and when the
 * notices of it came.
 *
 * In open loop a write is due at a fixed time; when no writer is free by then it waits, and its
 * latency counts from the time it was due. At full rate writers never get further ahead of the
 * subscribers than a bound, so that the rate is one that subscribers follow.
 *
 * Owner:   main.
 * Memory:  taken at the start, by the numbers of the options.
 */
#ifndef FRESHET_BENCH_STREAM_RUN_H
#define FRESHET_BENCH_STREAM_RUN_H

#include "bench/load/histogram.h"
#include "bench/load/process.h"
#include "bench/stream/options.h"

struct run_report {
    double elapsed_s;          /* of the measured part */
    uint64_t writes;           /* answered in it */
    struct histogram write_ns; /* of them */
    uint64_t notices_came;     /* in it */
    uint64_t notices;          /* of writes that were due in it, whenever they came */
    uint64_t notices_expected;
    struct histogram notice_ns;
    uint64_t received_bytes;     /* by subscribers, in all */
    uint64_t client_cpu_ns;      /* of this process, in the measured part */
    struct process_usage before; /* of the server, around the measured part */
    struct process_usage after;
    struct process_usage at_start; /* before anyone subscribed */
};

/* False: it could not be measured; the reason has been said on stderr. */
bool run_measure(const struct stream_options *options, struct run_report *report_out);

#endif
