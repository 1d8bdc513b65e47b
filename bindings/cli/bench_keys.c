#include "bindings/cli/bench_keys.h"

#include <math.h>
#include <string.h>

#include "protocol/base/assert.h"

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* SplitMix64. */
uint64_t bench_keys_random(struct bench_keys *keys)
{
    keys->random += 0x9e3779b97f4a7c15u;
    return mix(keys->random);
}

static uint64_t below(uint64_t random, uint64_t count)
{
    return (uint64_t)(((unsigned __int128)random * count) >> 64);
}

/* ---- zipfian, by rejection-inversion: Hörmann and Derflinger, 1996 ---- */

/* The integral of x^-theta, and its inverse. */
static double area(const struct bench_keys *keys, double x)
{
    return (pow(x, 1 - keys->theta) - 1) / (1 - keys->theta);
}

static double area_inverse(const struct bench_keys *keys, double area)
{
    return pow(1 + area * (1 - keys->theta), 1 / (1 - keys->theta));
}

/* From 0, the most popular. */
static uint64_t zipfian_rank(struct bench_keys *keys)
{
    if (keys->high_of != keys->records) {
        keys->high_of = keys->records;
        keys->low = area(keys, 1.5) - 1;
        keys->high = area(keys, (double)keys->records + 0.5);
    }
    for (;;) {
        double unit = (double)(bench_keys_random(keys) >> 11) * 0x1.0p-53;
        double at = keys->high + unit * (keys->low - keys->high);
        double rank = floor(area_inverse(keys, at) + 0.5);
        rank = rank < 1 ? 1 : rank > (double)keys->records ? (double)keys->records : rank;
        /* Above the bar of this rank: three in four times at least it is not, so this ends. */
        if (at >= area(keys, rank + 0.5) - pow(rank, -keys->theta)) {
            return (uint64_t)rank - 1;
        }
    }
}

/* ---- records ---- */

void bench_keys_init(struct bench_keys *keys, enum bench_distribution distribution, double theta,
                     uint64_t records, uint64_t seed)
{
    ASSERT(records > 0);
    ASSERT(theta > 0 && theta < 1);
    memset(keys, 0, sizeof(*keys));
    keys->distribution = distribution;
    keys->theta = theta;
    keys->records = records;
    keys->next = records;
    keys->random = mix(seed);
}

uint64_t bench_keys_next(struct bench_keys *keys)
{
    uint64_t count = keys->records;
    uint64_t number = 0;
    switch (keys->distribution) {
    case BENCH_UNIFORM:
        number = below(bench_keys_random(keys), count);
        break;
    case BENCH_ZIPFIAN:
        number = zipfian_rank(keys);
        break;
    case BENCH_SCRAMBLED:
        number = below(mix(zipfian_rank(keys) + 0x9e3779b97f4a7c15u), count);
        break;
    case BENCH_LATEST:
        number = count - 1 - zipfian_rank(keys);
        break;
    case BENCH_SEQUENTIAL:
        number = keys->sequential++ % count;
        break;
    }
    ASSERT(number < count);
    return number;
}

bool bench_keys_insert(struct bench_keys *keys, uint64_t *number_out)
{
    if (keys->next - keys->records == BENCH_INSERTS_MAX) {
        return false;
    }
    *number_out = keys->next++;
    ASSERT(!keys->answered[*number_out % BENCH_INSERTS_MAX]);
    return true;
}

void bench_keys_inserted(struct bench_keys *keys, uint64_t number)
{
    ASSERT(number >= keys->records && number < keys->next);
    keys->answered[number % BENCH_INSERTS_MAX] = true;
    while (keys->answered[keys->records % BENCH_INSERTS_MAX]) {
        keys->answered[keys->records % BENCH_INSERTS_MAX] = false;
        keys->records++;
    }
}
