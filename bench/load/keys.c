#include "bench/load/keys.h"

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

const char *const distribution_names[DISTRIBUTION_COUNT] = {"uniform", "zipfian", "scrambled",
                                                            "sequential", "latest"};

uint64_t keys_random(struct keys *keys)
{
    return dice_roll(&keys->random_state);
}

void keys_init(struct keys *keys, const struct keys_options *options)
{
    ASSERT(options->count > 0);
    *keys = (struct keys){
        .options = *options,
        .random_state = dice_mix(options->seed),
        .end = options->from + options->count,
    };
    zipfian_init(&keys->zipfian, options->theta, options->count);
}

void keys_grow(struct keys *keys, uint64_t end)
{
    ASSERT(end >= keys->end);
    keys->end = end;
}

static uint64_t rank(struct keys *keys)
{
    return zipfian_rank(&keys->zipfian, &keys->random_state);
}

uint64_t keys_next(struct keys *keys)
{
    uint64_t count = keys->options.count;
    uint64_t offset = 0;
    switch (keys->options.distribution) {
    case DISTRIBUTION_UNIFORM:
        offset = dice_below(keys_random(keys), count);
        break;
    case DISTRIBUTION_ZIPFIAN:
        offset = rank(keys);
        break;
    case DISTRIBUTION_SCRAMBLED:
        offset = dice_below(dice_mix(rank(keys) + DICE_STEP), count);
        break;
    case DISTRIBUTION_SEQUENTIAL:
        offset = keys->next_sequential;
        keys->next_sequential = offset + 1 == count ? 0 : offset + 1;
        break;
    case DISTRIBUTION_LATEST:
        return keys->end - 1 - rank(keys);
    case DISTRIBUTION_COUNT:
        UNREACHABLE();
    }
    ASSERT(offset < count);
    return keys->options.from + offset;
}
