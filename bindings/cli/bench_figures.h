/*
 * bench_figures.h: what `freshet bench` measured: latencies, counts, and how they are printed.
 *
 * With --json the whole command prints one result file of schema 1, as ./dev bench report and
 * ./dev bench compare read them; in a run each field has the name that bench_load gives it.
 *
 * Owner:     one bench.
 * Memory:    fixed, about 0.5 MiB for each kind of request.
 * Invariant: a latency is told at most 1/1024 above what it was.
 * Tests:     tests/unit/bindings/cli/test_bench_figures.c, tests/integration/test_cli_bench.py
 */
#ifndef FRESHET_BINDINGS_CLI_BENCH_FIGURES_H
#define FRESHET_BINDINGS_CLI_BENCH_FIGURES_H

#include <time.h>

#include "bindings/cli/bench_plan.h"

/* By powers of two, each in so many parts. */
#define BENCH_PART_BITS 10
#define BENCH_BUCKETS   ((64u - BENCH_PART_BITS + 1) << BENCH_PART_BITS)
#define BENCH_CODE_END  600

struct bench_times {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t max_ns;
    uint64_t buckets[BENCH_BUCKETS];
};

struct bench_run {
    uint64_t rate; /* that was wanted; 0: a closed loop */
    double elapsed_s;
    double client_cpu_share;
    uint64_t behind_max;
    uint64_t codes[BENCH_CODE_END];
    struct bench_times times[BENCH_KIND_TOTAL];
    struct bench_times all; /* by bench_run_sum */
};

void bench_times_record(struct bench_times *times, uint64_t ns);
void bench_times_add(struct bench_times *times, const struct bench_times *more);
/* The time that this part, 0 to 1, of the requests did not exceed; 0 where there are none. */
double bench_times_us(const struct bench_times *times, double part);

void bench_run_sum(struct bench_run *run);
double bench_run_rate(const struct bench_run *run);

struct bench_output {
    const struct cli *cli;
    const struct bench_plan *plan;
    const char *url;
    time_t started_at;
    size_t count; /* of runs that were printed */
};

void bench_run_print(struct bench_output *output, const struct bench_run *run);
/* After the last run; failure: NULL, or what ended it. */
void bench_output_end(struct bench_output *output, const char *failure);

#endif
