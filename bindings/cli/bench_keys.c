#include "bindings/cli/bench_keys.h"

#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

uint64_t bench_keys_random(struct bench_keys *keys)
{
    return dice_roll(&keys->draw.random);
}

void bench_keys_init(struct bench_keys *keys, enum distribution distribution, double theta,
                     uint64_t records, uint64_t seed)
{
    ASSERT(records > 0);
    memset(keys, 0, sizeof(*keys));
    draw_init(&keys->draw, distribution, theta, seed);
    keys->records = records;
    keys->next = records;
}

uint64_t bench_keys_next(struct bench_keys *keys)
{
    return draw_next(&keys->draw, keys->records);
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
