#include "bindings/cli/bench_keys.h"

#include <criterion/criterion.h>
#include <math.h>

#define SEED    7
#define DRAWS   400000
#define RECORDS 20

static struct bench_keys keys;

static void count_draws(enum distribution distribution, double theta, uint64_t counts[RECORDS])
{
    bench_keys_init(&keys, distribution, theta, RECORDS, SEED);
    for (size_t i = 0; i < DRAWS; i++) {
        uint64_t number = bench_keys_next(&keys);
        cr_assert_lt(number, RECORDS);
        counts[number]++;
    }
}

/* Within five standard deviations of what was expected. */
static void expect_count(uint64_t count, double share)
{
    double expected = DRAWS * share;
    double deviation = sqrt(expected * (1 - share));
    cr_expect(fabs((double)count - expected) < 5 * deviation, "%llu, not %.0f",
              (unsigned long long)count, expected);
}

Test(bench_keys, uniform_chooses_each_as_often)
{
    uint64_t counts[RECORDS] = {0};
    count_draws(DISTRIBUTION_UNIFORM, ZIPFIAN_THETA_DEFAULT, counts);
    for (size_t i = 0; i < RECORDS; i++) {
        expect_count(counts[i], 1.0 / RECORDS);
    }
}

Test(bench_keys, zipfian_has_the_shares_of_its_formula)
{
    static const double thetas[] = {0.2, 0.5, 0.99};
    for (size_t t = 0; t < sizeof(thetas) / sizeof(thetas[0]); t++) {
        uint64_t zipfian[RECORDS] = {0};
        uint64_t latest[RECORDS] = {0};
        double sum = 0;
        for (size_t i = 1; i <= RECORDS; i++) {
            sum += pow((double)i, -thetas[t]);
        }
        count_draws(DISTRIBUTION_ZIPFIAN, thetas[t], zipfian);
        count_draws(DISTRIBUTION_LATEST, thetas[t], latest);
        for (size_t i = 0; i < RECORDS; i++) {
            double share = pow((double)i + 1, -thetas[t]) / sum;
            expect_count(zipfian[i], share);
            expect_count(latest[RECORDS - 1 - i], share);
        }
    }
}

Test(bench_keys, scrambled_is_as_popular_and_scattered)
{
    uint64_t counts[RECORDS] = {0};
    uint64_t most = 0;
    size_t of_most = 0;
    count_draws(DISTRIBUTION_SCRAMBLED, ZIPFIAN_THETA_DEFAULT, counts);
    for (size_t i = 0; i < RECORDS; i++) {
        of_most = counts[i] > most ? i : of_most;
        most = counts[i] > most ? counts[i] : most;
    }
    cr_assert_gt(most, DRAWS / 4);
    cr_assert_neq(of_most, 0);
}

Test(bench_keys, sequential_goes_round)
{
    bench_keys_init(&keys, DISTRIBUTION_SEQUENTIAL, ZIPFIAN_THETA_DEFAULT, 3, SEED);
    for (uint64_t i = 0; i < 9; i++) {
        cr_assert_eq(bench_keys_next(&keys), i % 3);
    }
}

Test(bench_keys, one_record_is_always_it)
{
    for (int distribution = DISTRIBUTION_UNIFORM; distribution <= DISTRIBUTION_SEQUENTIAL;
         distribution++) {
        bench_keys_init(&keys, (enum distribution)distribution, ZIPFIAN_THETA_DEFAULT, 1, SEED);
        for (size_t i = 0; i < 1000; i++) {
            cr_assert_eq(bench_keys_next(&keys), 0);
        }
    }
}

Test(bench_keys, an_insert_is_chosen_when_all_before_it_are_there)
{
    uint64_t first = 0;
    uint64_t second = 0;
    bench_keys_init(&keys, DISTRIBUTION_LATEST, ZIPFIAN_THETA_DEFAULT, 10, SEED);
    cr_assert(bench_keys_insert(&keys, &first));
    cr_assert(bench_keys_insert(&keys, &second));
    cr_assert_eq(first, 10);
    cr_assert_eq(second, 11);
    bench_keys_inserted(&keys, second);
    cr_assert_eq(keys.records, 10);
    bench_keys_inserted(&keys, first);
    cr_assert_eq(keys.records, 12);
    bool seen = false;
    for (size_t i = 0; i < 1000; i++) {
        uint64_t number = bench_keys_next(&keys);
        cr_assert_lt(number, 12);
        seen = seen || number == 11;
    }
    cr_assert(seen);
}

Test(bench_keys, inserts_wait_for_one_that_has_no_answer)
{
    uint64_t number = 0;
    bench_keys_init(&keys, DISTRIBUTION_UNIFORM, ZIPFIAN_THETA_DEFAULT, 10, SEED);
    for (uint64_t i = 0; i < BENCH_INSERTS_MAX; i++) {
        cr_assert(bench_keys_insert(&keys, &number));
        if (i > 0) {
            bench_keys_inserted(&keys, number);
        }
    }
    cr_assert_not(bench_keys_insert(&keys, &number));
    bench_keys_inserted(&keys, 10);
    cr_assert_eq(keys.records, 10 + BENCH_INSERTS_MAX);
    cr_assert(bench_keys_insert(&keys, &number));
}
