/* draw.h: the distributions, and how they hang together. Their shares are tested where they are
 * used. */
#include <criterion/criterion.h>

#include "protocol/base/dice.h"
#include "protocol/base/draw.h"

#define SEED  7
#define DRAWS 10000

static struct draw made(enum distribution distribution)
{
    struct draw draw;
    draw_init(&draw, distribution, ZIPFIAN_THETA_DEFAULT, SEED);
    return draw;
}

Test(draw, distributions_have_the_names_of_the_options)
{
    cr_expect_str_eq(distribution_names[DISTRIBUTION_UNIFORM], "uniform");
    cr_expect_str_eq(distribution_names[DISTRIBUTION_ZIPFIAN], "zipfian");
    cr_expect_str_eq(distribution_names[DISTRIBUTION_SCRAMBLED], "scrambled");
    cr_expect_str_eq(distribution_names[DISTRIBUTION_LATEST], "latest");
    cr_expect_str_eq(distribution_names[DISTRIBUTION_SEQUENTIAL], "sequential");
}

Test(draw, all_stay_under_a_count_that_grows)
{
    for (int distribution = 0; distribution < DISTRIBUTION_COUNT; distribution++) {
        struct draw draw = made((enum distribution)distribution);
        for (uint64_t count = 1; count <= DRAWS; count++) {
            cr_assert_lt(draw_next(&draw, count), count, "%s", distribution_names[distribution]);
        }
    }
}

Test(draw, latest_is_zipfian_from_the_end_and_scrambled_a_hash_of_it)
{
    struct draw zipfian = made(DISTRIBUTION_ZIPFIAN);
    struct draw latest = made(DISTRIBUTION_LATEST);
    struct draw scrambled = made(DISTRIBUTION_SCRAMBLED);
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t count = 1000 + i / 100;
        uint64_t rank = draw_next(&zipfian, count);
        cr_assert_eq(draw_next(&latest, count), count - 1 - rank);
        cr_assert_eq(draw_next(&scrambled, count), dice_below(dice_mix(rank + DICE_STEP), count));
    }
}

Test(draw, uniform_draws_the_same_for_the_same_seed)
{
    struct draw draw = made(DISTRIBUTION_UNIFORM);
    uint64_t random = dice_mix(SEED);
    for (int i = 0; i < DRAWS; i++) {
        cr_assert_eq(draw_next(&draw, 1000), dice_below(dice_roll(&random), 1000));
    }
}

Test(draw, sequential_begins_again_behind_the_last)
{
    struct draw draw = made(DISTRIBUTION_SEQUENTIAL);
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(draw_next(&draw, 3), i % 3);
    }
}
