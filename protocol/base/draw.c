#include "protocol/base/draw.h"

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

const char *const distribution_names[DISTRIBUTION_COUNT] = {
#define DISTRIBUTION_NAME(id, name) name,
    DISTRIBUTIONS(DISTRIBUTION_NAME)
#undef DISTRIBUTION_NAME
};

void draw_init(struct draw *draw, enum distribution distribution, double theta, uint64_t seed)
{
    ASSERT(distribution < DISTRIBUTION_COUNT);
    ASSERT(theta > 0 && theta < 1);
    *draw = (struct draw){
        .distribution = distribution,
        .theta = theta,
        .random = dice_mix(seed),
    };
}

static uint64_t draw_rank(struct draw *draw, uint64_t count)
{
    if (draw->zipfian.count != count) {
        zipfian_init(&draw->zipfian, draw->theta, count);
    }
    return zipfian_rank(&draw->zipfian, &draw->random);
}

uint64_t draw_next(struct draw *draw, uint64_t count)
{
    ASSERT(count > 0);
    uint64_t drawn = 0;
    switch (draw->distribution) {
    case DISTRIBUTION_UNIFORM:
        drawn = dice_below(dice_roll(&draw->random), count);
        break;
    case DISTRIBUTION_ZIPFIAN:
        drawn = draw_rank(draw, count);
        break;
    case DISTRIBUTION_SCRAMBLED:
        drawn = dice_below(dice_mix(draw_rank(draw, count) + DICE_STEP), count);
        break;
    case DISTRIBUTION_LATEST:
        drawn = count - 1 - draw_rank(draw, count);
        break;
    case DISTRIBUTION_SEQUENTIAL:
        drawn = draw->sequential++ % count;
        break;
    case DISTRIBUTION_COUNT:
        UNREACHABLE();
    }
    ASSERT(drawn < count);
    return drawn;
}
