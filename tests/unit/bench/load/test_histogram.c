#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/histogram.h"

static struct histogram *make(void)
{
    struct histogram *histogram = (struct histogram *)malloc(sizeof(*histogram));
    cr_assert_not_null(histogram);
    histogram_reset(histogram);
    return histogram;
}

Test(histogram, an_empty_one_has_percentiles_of_zero)
{
    struct histogram *histogram = make();
    cr_assert_eq(histogram_percentile(histogram, 500000), 0);
    cr_assert_eq(histogram_percentile(histogram, 1000000), 0);
    free(histogram);
}

Test(histogram, every_value_comes_back_to_three_digits)
{
    for (uint64_t value = 0; value < 1ull << 39;
         value = value < 5000 ? value + 1 : value + value / 7) {
        struct histogram *histogram = make();
        histogram_record(histogram, value);
        histogram_record(histogram, (1ull << 40) - 1);
        uint64_t read = histogram_percentile(histogram, 500000);
        cr_assert_geq(read, value);
        cr_assert_leq(read - value, value / 1000, "%lu came back as %lu", value, read);
        free(histogram);
    }
}

Test(histogram, percentiles_of_ten_values_are_their_ranks)
{
    struct histogram *histogram = make();
    for (uint64_t value = 10; value <= 100; value += 10) {
        histogram_record(histogram, value);
    }
    cr_assert_eq(histogram_percentile(histogram, 0), 10);
    cr_assert_eq(histogram_percentile(histogram, 100000), 10);
    cr_assert_eq(histogram_percentile(histogram, 100001), 20);
    cr_assert_eq(histogram_percentile(histogram, 500000), 50);
    cr_assert_eq(histogram_percentile(histogram, 990000), 100);
    cr_assert_eq(histogram->min, 10);
    cr_assert_eq(histogram->max, 100);
    cr_assert_eq(histogram->sum, 550);
    free(histogram);
}

Test(histogram, a_value_beyond_the_range_is_counted_and_stays_the_maximum)
{
    struct histogram *histogram = make();
    histogram_record(histogram, UINT64_MAX);
    cr_assert_eq(histogram->max, UINT64_MAX);
    cr_assert_eq(histogram_percentile(histogram, 1000000), (1ull << 40) - 1);
    free(histogram);
}

Test(histogram, adding_is_like_recording_into_one)
{
    struct histogram *one = make();
    struct histogram *two = make();
    struct histogram *both = make();
    for (uint64_t i = 0; i < 1000; i++) {
        histogram_record(i % 3 == 0 ? one : two, i * i);
        histogram_record(both, i * i);
    }
    histogram_add(one, two);
    cr_assert_eq(memcmp(one, both, sizeof(*one)), 0);
    free(one);
    free(two);
    free(both);
}
