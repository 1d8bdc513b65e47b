/*
 * report.h: what a run showed, as a table for people or as one JSON object:
 *
 *     command, commit, kernel, cpu, cpus   of this program, and the machine that it ran on
 *     config              what was asked for; mode is closed, open, load or idle
 *     operations          that ended in the measured time; an rmw is one
 *     elapsed_s           the measured time
 *     rate_per_s          operations / elapsed_s
 *     client_cpu_share    CPU time of this program / elapsed_s, of all its threads together
 *     client_busy_share   the same, of one thread, without the time in which it only looked whether
 *                         the next operation is due: near 1 this program is the limit
 *     errors, timeouts    operations without an answer, from the first to the last of the run
 *     unexpected, wrong   answers: with another status than expected, with a body that is not right
 *     answered            requests, from the first to the last of the run: what the server must
 *                         have counted, too; of an rmw both
 *     reconnects          connections opened again
 *     behind_max          open loop: the most operations that were due and not sent at one moment,
 *                         because the server left no room or this program was late
 *     unsent              open loop: due in the measured time and not sent in it; they are in the
 *                         latencies with the wait that they had until its end
 *     send_late_us        open loop: how much later an operation was sent than it could have been
 *                         (due, and its connection with room): the part of the latencies that is
 *                         this program's own
 *     sent_bytes, received_bytes   on the wire
 *     logical_bytes_written   keys and values of the writes that were answered with 2xx
 *     keys_end            behind the last key that insert has used, where the next run's go on
 *     idle_opened, idle_alive   mode idle
 *     statuses            answers by status: of an rmw both
 *     latency_us          of the operations that were to begin in the measured time: closed loop,
 *                         from when it was sent; open loop, from when it was due. Those answered
 *                         later and those that timed out are among them. {count, min, mean, p50,
 *                         p90, p99, p99.9, p99.99, max}
 *     latency_us_by_kind  the same of each kind, where the mix has several: {"get": {...}, ...}
 *     server              of --pid, all its threads, within the measured time: pid, threads,
 *                         cpu_us_per_op and cpu_s (run time), cpu_us_per_op_by_ticks (with threads
 *                         that have ended, in clock ticks), rss_before_bytes, rss_after_bytes
 *                         (resident memory), read_bytes, write_bytes (storage)
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
    uint64_t operations; /* between the two readings of the server's usage */
    double client_cpu_share;
    struct process_usage before; /* of the server, around the measured part */
    struct process_usage after;
    uint64_t keys_end;           /* behind the last key of insert */
    uint64_t idle_opened;        /* in the mode idle */
    uint64_t idle_alive;         /* of them, still open at the end */
    struct counters counters;    /* of all threads */
    struct histogram latency_ns; /* of all kinds */
};

/* options: of the run; argc, argv: how it was called. All figures begin at 0. */
void report_init(struct report *report, const struct load_options *options, int argc, char **argv);

/* The sum of one thread's counters and the report's. */
void report_add(struct report *report, const struct counters *counters);

/* The share of its core that this program needs for its work, of one thread. */
double report_busy_share(const struct report *report);

void report_print(const struct report *report, FILE *to);

#endif
