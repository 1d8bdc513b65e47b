/*
 * histogram.h: latencies in log-linear classes, good to three significant digits, like
 * HdrHistogram.
 *
 * Owner:     one thread records; histogram_add joins those of several threads when they have ended.
 * Memory:    fixed: HISTOGRAM_CLASS_COUNT counters inside the structure.
 * Invariant: values under 2048 are exact; above, a class is at most 1/1024 of its value wide.
 */
#ifndef FRESHET_BENCH_LOAD_HISTOGRAM_H
#define FRESHET_BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_LINEAR_BITS 11
#define HISTOGRAM_HALF        (1u << (HISTOGRAM_LINEAR_BITS - 1))
/* Up to 2^40 ns, which is 18 minutes; what is above counts as that. */
#define HISTOGRAM_VALUE_BITS  40
#define HISTOGRAM_CLASS_COUNT ((HISTOGRAM_VALUE_BITS - HISTOGRAM_LINEAR_BITS + 2) * HISTOGRAM_HALF)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t min;
    uint64_t classes[HISTOGRAM_CLASS_COUNT];
};

void histogram_reset(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_add(struct histogram *to, const struct histogram *from);

/* The value that per_million of the recorded ones do not exceed; 0 for an empty histogram. */
uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million);

#endif
