/*
 * series.h: what the micro-benchmarks share: series of equal operations, timed, or counted by
 * callgrind.
 *
 * Owner:     one thread of one program; a series is a plain value, all zero at first.
 * Counting:  callgrind collects inside series_work alone and writes what it has at each
 * series_print, whose lines say how many operations that were (bench/micro/instructions.py). So
 * both keep their names: this file is compiled without link-time optimisation.
 */
#ifndef FRESHET_BENCH_MICRO_SERIES_H
#define FRESHET_BENCH_MICRO_SERIES_H

#include <stdbool.h>
#include <stdint.h>

struct series {
    uint64_t operations;
    uint64_t cpu_ns; /* of this thread */
    uint64_t wall_ns;
    double best_ns; /* CPU of an operation, in the best round */
};

/* True for --small, a moment only, which is for the test run and for callgrind; ends the program
 * when something else is asked for. */
bool series_small(int argc, char **argv);

/* One round: so many operations, all made by one call of work. */
void series_round(struct series *series, uint64_t operations, void (*work)(void *context),
                  void *context);

/* Runs work; nothing else does. */
void series_work(void (*work)(void *context), void *context);

/* One line, and the series begins anew. */
void series_print(const char *name, struct series *series);

#endif
