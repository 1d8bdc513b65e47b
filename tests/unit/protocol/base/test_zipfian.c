#include <criterion/criterion.h>
#include <math.h>

#include "protocol/base/dice.h"
#include "protocol/base/zipfian.h"

#define SEED  11
#define DRAWS 400000
#define RANKS 20

/* Within five standard deviations of what was expected. */
static void expect_count(uint64_t count, double share)
{
    double expected = DRAWS * share;
    double deviation = sqrt(expected * (1 - share));
    cr_expect(fabs((double)count - expected) < 5 * deviation, "%llu, not %.0f (seed %d)",
              (unsigned long long)count, expected, SEED);
}

static double sum_of(double theta, uint64_t count)
{
    double sum = 0;
    for (uint64_t i = 1; i <= count; i++) {
        sum += pow((double)i, -theta);
    }
    return sum;
}

Test(zipfian, each_rank_has_the_share_of_its_formula)
{
    static const double thetas[] = {0.01, 0.2, 0.5, 0.99};
    static const uint64_t totals[] = {2, RANKS, 100000};
    for (size_t t = 0; t < sizeof(thetas) / sizeof(thetas[0]); t++) {
        for (size_t c = 0; c < sizeof(totals) / sizeof(totals[0]); c++) {
            struct zipfian zipfian;
            uint64_t random = SEED;
            uint64_t hits[RANKS] = {0};
            zipfian_init(&zipfian, thetas[t], totals[c]);
            for (size_t i = 0; i < DRAWS; i++) {
                uint64_t rank = zipfian_rank(&zipfian, &random);
                cr_assert_lt(rank, totals[c]);
                hits[rank < RANKS ? rank : 0] += rank < RANKS;
            }
            double sum = sum_of(thetas[t], totals[c]);
            for (size_t rank = 0; rank < RANKS && rank < totals[c]; rank++) {
                expect_count(hits[rank], pow((double)rank + 1, -thetas[t]) / sum);
            }
        }
    }
}

Test(zipfian, ranks_are_under_the_count_however_large_it_is)
{
    static const uint64_t counts[] = {1, 2, 1ull << 40, 1ull << 53, UINT64_MAX};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct zipfian zipfian;
        uint64_t random = SEED;
        zipfian_init(&zipfian, ZIPFIAN_THETA_DEFAULT, counts[c]);
        for (size_t i = 0; i < 10000; i++) {
            cr_assert_lt(zipfian_rank(&zipfian, &random), counts[c], "seed %d", SEED);
        }
    }
}

Test(zipfian, half_of_many_records_are_asked_for_beyond_the_first_thousand)
{
    struct zipfian zipfian;
    uint64_t random = SEED;
    uint64_t beyond = 0;
    zipfian_init(&zipfian, ZIPFIAN_THETA_DEFAULT, 1000000);
    for (size_t i = 0; i < DRAWS; i++) {
        beyond += zipfian_rank(&zipfian, &random) >= 1000;
    }
    double first = sum_of(ZIPFIAN_THETA_DEFAULT, 1000);
    expect_count(beyond, 1 - first / sum_of(ZIPFIAN_THETA_DEFAULT, 1000000));
}

Test(dice, a_unit_is_under_one_and_a_number_under_its_count)
{
    cr_assert_eq(dice_unit(0), 0);
    cr_assert_lt(dice_unit(UINT64_MAX), 1);
    cr_assert_eq(dice_below(UINT64_MAX, 7), 6);
    cr_assert_eq(dice_below(0, 7), 0);
    uint64_t one = SEED;
    uint64_t two = SEED;
    cr_assert_eq(dice_roll(&one), dice_roll(&two));
    cr_assert_neq(dice_roll(&one), dice_roll(&one));
}
