#include "bench/micro/series/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool series_small(int argc, char **argv)
{
    bool small = argc == 2 && strcmp(argv[1], "--small") == 0;
    if (argc > 2 || (argc == 2 && !small)) {
        fprintf(stderr, "usage: %s [--small]\n", argv[0]);
        exit(2);
    }
    return small;
}

__attribute__((noinline)) void series_work(void (*work)(void *context), void *context)
{
    work(context);
}

void series_round(struct series *series, uint64_t operations, void (*work)(void *context),
                  void *context)
{
    uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    series_work(work, context);
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    series->wall_ns += clock_ns(CLOCK_MONOTONIC) - wall_ns;
    series->cpu_ns += cpu_ns;
    double each_ns = (double)cpu_ns / (double)operations;
    if (series->operations == 0 || each_ns < series->best_ns) {
        series->best_ns = each_ns;
    }
    series->operations += operations;
}

void series_print(const char *name, struct series *series)
{
    double operations = (double)series->operations;
    printf("%-44s best %9.1f ns  mean %9.1f ns  wall %9.1f ns  of %llu\n", name, series->best_ns,
           (double)series->cpu_ns / operations, (double)series->wall_ns / operations,
           (unsigned long long)series->operations);
    fflush(stdout);
    *series = (struct series){0};
}
