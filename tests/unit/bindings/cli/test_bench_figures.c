#include "bindings/cli/bench_figures.h"

#include <criterion/criterion.h>

static struct bench_times times;
static struct bench_times more;

Test(bench_figures, nothing_measured_is_zero)
{
    cr_assert_eq(bench_times_us(&times, 0.5), 0);
    cr_assert_eq(bench_times_us(&times, 1), 0);
    bench_times_add(&times, &more);
    cr_assert_eq(times.count, 0);
    cr_assert_eq(times.min_ns, 0);
}

Test(bench_figures, a_time_is_told_at_most_a_1024th_above)
{
    for (unsigned power = 0; power < 64; power++) {
        for (int by = -1; by <= 1; by++) {
            struct bench_times *one = &times;
            uint64_t ns = (UINT64_C(1) << power) + (uint64_t)by;
            memset(one, 0, sizeof(*one));
            bench_times_record(one, ns);
            /* A second, greater one, so that the first is not told as the greatest. */
            bench_times_record(one, UINT64_MAX);
            double told = bench_times_us(one, 0.5) * 1e3;
            cr_expect_geq(told, (double)ns * (1 - 1e-12), "%llu", (unsigned long long)ns);
            cr_expect_leq(told, (double)ns * (1 + 1.0 / 1024) + 1, "%llu", (unsigned long long)ns);
        }
    }
}

Test(bench_figures, percentiles_of_a_thousand_times)
{
    for (uint64_t us = 1; us <= 1000; us++) {
        bench_times_record(&times, us * 1000);
    }
    cr_expect_float_eq(bench_times_us(&times, 0.5), 500, 0.5);
    cr_expect_float_eq(bench_times_us(&times, 0.9), 900, 0.9);
    cr_expect_float_eq(bench_times_us(&times, 0.999), 999, 1);
    cr_expect_float_eq(bench_times_us(&times, 1), 1000, 0.001);
    cr_expect_eq(times.min_ns, 1000);
    cr_expect_eq(times.max_ns, 1000000);
    cr_expect_eq(times.sum_ns, 500500000);
}

Test(bench_figures, the_greatest_is_told_as_it_was)
{
    bench_times_record(&times, 1000000001);
    cr_assert_eq(bench_times_us(&times, 0.5), 1000000001 / 1e3);
}

Test(bench_figures, two_are_added)
{
    bench_times_record(&times, 5000);
    bench_times_record(&more, 3000);
    bench_times_record(&more, 7000);
    bench_times_add(&times, &more);
    cr_assert_eq(times.count, 3);
    cr_assert_eq(times.min_ns, 3000);
    cr_assert_eq(times.max_ns, 7000);
    cr_assert_eq(times.sum_ns, 15000);
    cr_assert_float_eq(bench_times_us(&times, 0.5), 5, 0.01);
}
