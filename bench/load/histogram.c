#include "bench/load/histogram.h"

#include <string.h>

#include "protocol/base/assert.h"

static uint32_t class_of(uint64_t value)
{
    if (value >= 1ull << HISTOGRAM_VALUE_BITS) {
        value = (1ull << HISTOGRAM_VALUE_BITS) - 1;
    }
    if (value < 2 * HISTOGRAM_HALF) {
        return (uint32_t)value;
    }
    /* shift leaves the top HISTOGRAM_LINEAR_BITS bits, whose first is set. */
    uint32_t shift = 64u - HISTOGRAM_LINEAR_BITS - (uint32_t)__builtin_clzll(value);
    return shift * HISTOGRAM_HALF + (uint32_t)(value >> shift);
}

/* The highest value of a class. */
static uint64_t class_end(uint32_t index)
{
    if (index < 2 * HISTOGRAM_HALF) {
        return index;
    }
    uint32_t shift = index / HISTOGRAM_HALF - 1;
    uint64_t top = index % HISTOGRAM_HALF + HISTOGRAM_HALF;
    return ((top + 1) << shift) - 1;
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->min = UINT64_MAX;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    uint32_t index = class_of(value);
    ASSERT(index < HISTOGRAM_CLASS_COUNT);
    histogram->classes[index]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) {
        histogram->max = value;
    }
    if (value < histogram->min) {
        histogram->min = value;
    }
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    ASSERT(to != from);
    to->count += from->count;
    to->sum += from->sum;
    to->max = from->max > to->max ? from->max : to->max;
    to->min = from->min < to->min ? from->min : to->min;
    for (uint32_t i = 0; i < HISTOGRAM_CLASS_COUNT; i++) {
        to->classes[i] += from->classes[i];
    }
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t per_million)
{
    ASSERT(per_million <= 1000000);
    if (histogram->count == 0) {
        return 0;
    }
    /* The rank is rounded up: of 10 values p99 is the tenth. */
    unsigned __int128 product = (unsigned __int128)histogram->count * per_million + 999999;
    uint64_t rank = (uint64_t)(product / 1000000);
    rank = rank == 0 ? 1 : rank;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_CLASS_COUNT; i++) {
        seen += histogram->classes[i];
        if (seen >= rank) {
            uint64_t end = class_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
