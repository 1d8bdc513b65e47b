#include "bindings/cli/bench_keys.h"

#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

uint64_t bench_keys_random(struct bench_keys *keys)
{
    return dice_roll(&keys->random);
}

/* Of the records that are there. */
static uint64_t rank(struct bench_keys *keys)
{
    if (keys->zipfian.count != keys->records) {
        zipfian_init(&keys->zipfian, keys->theta, keys->records);
    }
    return zipfian_rank(&keys->zipfian, &keys->random);
}

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
    keys->random = dice_mix(seed);
}

uint64_t bench_keys_next(struct bench_keys *keys)
{
    uint64_t count = keys->records;
    uint64_t number = 0;
    switch (keys->distribution) {
    case BENCH_UNIFORM:
        number = dice_below(bench_keys_random(keys), count);
        break;
    case BENCH_ZIPFIAN:
        number = rank(keys);
        break;
    case BENCH_SCRAMBLED:
        number = dice_below(dice_mix(rank(keys) + DICE_STEP), count);
        break;
    case BENCH_LATEST:
        number = count - 1 - rank(keys);
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
