#include "bench/load/keys.h"

#include <stdbool.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

uint64_t keys_random(struct keys *keys)
{
    return dice_roll(&keys->draw.random);
}

void keys_init(struct keys *keys, const struct keys_options *options)
{
    ASSERT(options->count > 0);
    *keys = (struct keys){
        .options = *options,
        .end = options->from + options->count,
    };
    draw_init(&keys->draw, options->distribution, options->theta, options->seed);
}

void keys_grow(struct keys *keys, uint64_t end)
{
    ASSERT(end >= keys->end);
    keys->end = end;
}

uint64_t keys_next(struct keys *keys)
{
    uint64_t count = keys->options.count;
    bool is_latest = keys->options.distribution == DISTRIBUTION_LATEST;
    uint64_t from = is_latest ? keys->end - count : keys->options.from;
    return from + draw_next(&keys->draw, count);
}
