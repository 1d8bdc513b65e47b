/*
 * report.h: what a run showed, as a table for people or as one JSON object with all that is needed
 * to run it again.
 *
 * Owner:     main.
 * Memory:    none kept.
 */
#ifndef FRESHET_BENCH_LOAD_REPORT_H
#define FRESHET_BENCH_LOAD_REPORT_H

#include <stdint.h>
#include <stdio.h>

#include "bench/load/options.h"
#include "bench/load/process.h"
#include "bench/load/worker.h"

struct report {
    const struct load_options *options;
    int argc;
    char **argv;
    double elapsed_s;    /* of the measured part */
    uint64_t operations; /* answers between the two readings of the server's usage */
    double client_cpu_share;
    struct process_usage before; /* of the server, around the measured part */
    struct process_usage after;
    uint64_t idle_opened;        /* in the mode idle */
    uint64_t idle_alive;         /* of them, still open at the end */
    struct counters counters;    /* of all threads */
    struct histogram latency_ns; /* of all kinds */
};

/* The sum of one thread's counters and the report's. */
void report_add(struct report *report, const struct counters *counters);

void report_print(const struct report *report, FILE *to);

#endif
