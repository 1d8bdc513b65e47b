#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "bench/load/keys.h"

#define SEED  7
#define DRAWS 200000

static struct keys make(enum distribution distribution, uint64_t from, uint64_t count)
{
    struct keys keys;
    struct keys_options options = {
        .distribution = distribution,
        .theta = ZIPFIAN_THETA_DEFAULT,
        .from = from,
        .count = count,
        .seed = SEED,
    };
    keys_init(&keys, &options);
    return keys;
}

Test(keys, every_distribution_stays_in_its_range)
{
    static const uint64_t counts[] = {1, 2, 3, 1000, 1ull << 40};
    for (int distribution = 0; distribution < DISTRIBUTION_COUNT; distribution++) {
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            struct keys keys = make((enum distribution)distribution, 100, counts[i]);
            for (int draw = 0; draw < 10000; draw++) {
                uint64_t key = keys_next(&keys);
                cr_assert(key >= 100 && key - 100 < counts[i], "seed %d", SEED);
            }
        }
    }
}

Test(keys, sequential_takes_each_key_once_and_begins_again)
{
    struct keys keys = make(DISTRIBUTION_SEQUENTIAL, 5, 3);
    static const uint64_t expected[] = {5, 6, 7, 5};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        cr_assert_eq(keys_next(&keys), expected[i]);
    }
}

Test(keys, the_same_seed_gives_the_same_keys)
{
    struct keys one = make(DISTRIBUTION_UNIFORM, 0, 1000000);
    struct keys two = make(DISTRIBUTION_UNIFORM, 0, 1000000);
    for (int draw = 0; draw < 1000; draw++) {
        cr_assert_eq(keys_next(&one), keys_next(&two));
    }
}

Test(keys, uniform_is_even)
{
    uint32_t counts[10] = {0};
    struct keys keys = make(DISTRIBUTION_UNIFORM, 0, 10);
    for (int draw = 0; draw < DRAWS; draw++) {
        counts[keys_next(&keys)]++;
    }
    for (int i = 0; i < 10; i++) {
        cr_assert(counts[i] > DRAWS / 10 * 0.95 && counts[i] < DRAWS / 10 * 1.05, "seed %d", SEED);
    }
}

/* The share of rank 0 is 1 / zeta(count), computed here the long way. */
static double first_share(uint64_t count)
{
    double sum = 0;
    for (uint64_t i = 1; i <= count; i++) {
        sum += 1 / pow((double)i, ZIPFIAN_THETA_DEFAULT);
    }
    return 1 / sum;
}

Test(keys, zipfian_gives_the_first_two_ranks_their_share)
{
    static const uint64_t counts[] = {10, 1000, 1000000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct keys keys = make(DISTRIBUTION_ZIPFIAN, 0, counts[i]);
        uint32_t hits[2] = {0};
        for (int draw = 0; draw < DRAWS; draw++) {
            uint64_t key = keys_next(&keys);
            if (key < 2) {
                hits[key]++;
            }
        }
        double share = first_share(counts[i]);
        cr_assert_float_eq(hits[0] / (double)DRAWS, share, share * 0.05, "seed %d", SEED);
        double second = share / pow(2, ZIPFIAN_THETA_DEFAULT);
        cr_assert_float_eq(hits[1] / (double)DRAWS, second, second * 0.05, "seed %d", SEED);
    }
}

Test(keys, scrambled_is_as_skewed_but_spread)
{
    struct keys keys = make(DISTRIBUTION_SCRAMBLED, 0, 1000);
    uint32_t counts[1000] = {0};
    for (int draw = 0; draw < DRAWS; draw++) {
        counts[keys_next(&keys)]++;
    }
    uint32_t most = 0;
    for (int i = 0; i < 1000; i++) {
        most = counts[i] > counts[most] ? (uint32_t)i : most;
    }
    cr_assert_geq(counts[most] / (double)DRAWS, first_share(1000) * 0.95, "seed %d", SEED);
    cr_assert_gt(most, 1, "the most popular key is not the first one");
}

Test(keys, latest_follows_the_newest_key_and_stays_in_its_range)
{
    static const uint64_t counts[] = {1, 2, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct keys keys = make(DISTRIBUTION_LATEST, 100, counts[i]);
        for (uint64_t added = 0; added < 5000; added++) {
            uint64_t end = 100 + counts[i] + added;
            keys_grow(&keys, end);
            uint64_t key = keys_next(&keys);
            cr_assert(key < end && key >= end - counts[i], "seed %d", SEED);
        }
    }
}

Test(keys, latest_gives_the_newest_keys_their_share)
{
    struct keys keys = make(DISTRIBUTION_LATEST, 0, 1000);
    keys_grow(&keys, 5000);
    uint32_t newest = 0;
    uint32_t second = 0;
    uint32_t tenth = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        uint64_t key = keys_next(&keys);
        newest += key == 4999;
        second += key == 4998;
        tenth += key == 4990;
    }
    double share = first_share(1000);
    cr_assert_float_eq(newest / (double)DRAWS, share, share * 0.05, "seed %d", SEED);
    cr_assert(newest > second && second > tenth && tenth > 0, "seed %d", SEED);
}
