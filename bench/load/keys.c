#include "bench/load/keys.h"

#include <math.h>

#include "protocol/base/assert.h"

/* Terms of the zeta sum that are added one by one; the rest is an integral with its first
 * correction. */
#define ZETA_TERMS_EXACT 100000

const char *const distribution_names[DISTRIBUTION_COUNT] = {"uniform", "zipfian", "scrambled",
                                                            "sequential", "latest"};

uint64_t keys_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* SplitMix64. */
uint64_t keys_random(struct keys *keys)
{
    keys->random_state += 0x9e3779b97f4a7c15u;
    return keys_mix(keys->random_state);
}

double keys_random_unit(struct keys *keys)
{
    return (double)(keys_random(keys) >> 11) * 0x1.0p-53;
}

/* The sum of 1 / i^theta for i from 1 to count, by Euler and Maclaurin beyond the exact terms. */
static double zeta(uint64_t count, double theta)
{
    uint64_t exact = count < ZETA_TERMS_EXACT ? count : ZETA_TERMS_EXACT;
    double sum = 0;
    for (uint64_t i = 1; i <= exact; i++) {
        sum += 1.0 / pow((double)i, theta);
    }
    if (exact == count) {
        return sum;
    }
    double from = (double)exact;
    double to = (double)count;
    sum += (pow(to, 1 - theta) - pow(from, 1 - theta)) / (1 - theta);
    sum += (pow(to, -theta) - pow(from, -theta)) / 2;
    return sum;
}

void keys_init(struct keys *keys, const struct keys_options *options)
{
    ASSERT(options->count > 0);
    ASSERT(options->theta > 0 && options->theta < 1);
    *keys = (struct keys){
        .options = *options,
        .random_state = keys_mix(options->seed),
        .end = options->from + options->count,
    };
    if (options->distribution == DISTRIBUTION_UNIFORM ||
        options->distribution == DISTRIBUTION_SEQUENTIAL) {
        return;
    }
    double theta = options->theta;
    keys->second = zeta(2, theta);
    keys->zeta = zeta(options->count, theta);
    keys->alpha = 1 / (1 - theta);
    keys->eta =
        (1 - pow(2.0 / (double)options->count, 1 - theta)) / (1 - keys->second / keys->zeta);
}

/* Gray et al., "Quickly generating billion-record synthetic databases". */
static uint64_t zipfian_rank(struct keys *keys)
{
    double u = keys_random_unit(keys);
    double uz = u * keys->zeta;
    if (uz < 1) {
        return 0;
    }
    if (uz < keys->second) {
        return keys->options.count > 1 ? 1 : 0;
    }
    double rank = (double)keys->options.count * pow(keys->eta * u - keys->eta + 1, keys->alpha);
    uint64_t whole = rank > 0 ? (uint64_t)rank : 0;
    return whole < keys->options.count ? whole : keys->options.count - 1;
}

/* A number under count, without the bias of a remainder that would show. */
static uint64_t below(uint64_t random, uint64_t count)
{
    return (uint64_t)(((unsigned __int128)random * count) >> 64);
}

void keys_grow(struct keys *keys, uint64_t end)
{
    ASSERT(end >= keys->end);
    keys->end = end;
}

uint64_t keys_next(struct keys *keys)
{
    uint64_t count = keys->options.count;
    uint64_t offset = 0;
    switch (keys->options.distribution) {
    case DISTRIBUTION_UNIFORM:
        offset = below(keys_random(keys), count);
        break;
    case DISTRIBUTION_ZIPFIAN:
        offset = zipfian_rank(keys);
        break;
    case DISTRIBUTION_SCRAMBLED:
        offset = below(keys_mix(zipfian_rank(keys) + 0x9e3779b97f4a7c15u), count);
        break;
    case DISTRIBUTION_SEQUENTIAL:
        offset = keys->next_sequential;
        keys->next_sequential = offset + 1 == count ? 0 : offset + 1;
        break;
    case DISTRIBUTION_LATEST:
        return keys->end - 1 - zipfian_rank(keys);
    case DISTRIBUTION_COUNT:
        UNREACHABLE();
    }
    ASSERT(offset < count);
    return keys->options.from + offset;
}
