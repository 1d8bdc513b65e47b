#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/report.h"

static struct load_options options_of(uint32_t gets, uint32_t puts)
{
    struct load_options options = {
        .host = "127.0.0.1",
        .thread_count = 1,
        .mix = {[KIND_GET] = gets, [KIND_PUT] = puts},
        .mix_sum = gets + puts,
        .path = "/products/{key}",
        .json = true,
    };
    return options;
}

/* What one thread has counted: so many gets of 1 us, so many puts of 1 ms. Kinds that are not in
 * the mix are as calloc gave them, as a worker leaves them. */
static struct counters *count(const struct load_options *options, uint32_t gets, uint32_t puts)
{
    struct counters *counters = (struct counters *)calloc(1, sizeof(*counters));
    cr_assert_not_null(counters);
    histogram_reset(&counters->late_ns);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (options->mix[kind] > 0) {
            histogram_reset(&counters->latency_ns[kind]);
        }
    }
    counters->done[KIND_GET] = gets;
    counters->done[KIND_PUT] = puts;
    for (uint32_t i = 0; i < gets; i++) {
        histogram_record(&counters->latency_ns[KIND_GET], 1000);
    }
    for (uint32_t i = 0; i < puts; i++) {
        histogram_record(&counters->latency_ns[KIND_PUT], 1000000);
    }
    return counters;
}

/* The report of two threads that counted the same, as JSON; to be freed. */
static char *print(const struct load_options *options, uint32_t gets, uint32_t puts)
{
    struct report *report = (struct report *)malloc(sizeof(*report));
    cr_assert_not_null(report);
    char *argv[] = {(char *)"bench_load"};
    report_init(report, options, 1, argv);
    struct counters *counters = count(options, gets, puts);
    report_add(report, counters);
    report_add(report, counters);
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    cr_assert_not_null(to);
    report_print(report, to);
    fclose(to);
    free(counters);
    free(report);
    return text;
}

static void expect(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "%s is not in %s", part, text);
}

Test(report, a_mix_tells_the_latency_of_each_kind_beside_that_of_all)
{
    struct load_options options = options_of(99, 1);
    char *text = print(&options, 99, 1);
    expect(text, "\"latency_us\":{\"count\":200,\"min\":1.000,\"mean\":10.990,\"p50\":1.000,");
    expect(text, "\"latency_us_by_kind\":{\"get\":{\"count\":198,\"min\":1.000,\"mean\":1.000,");
    expect(text, "\"put\":{\"count\":2,\"min\":1000.000,\"mean\":1000.000,\"p50\":1000.000,");
    free(text);
}

Test(report, a_kind_of_the_mix_that_never_came_is_empty)
{
    struct load_options options = options_of(99, 1);
    char *text = print(&options, 7, 0);
    expect(text, "\"latency_us\":{\"count\":14,\"min\":1.000,\"mean\":1.000,");
    expect(text, "\"put\":{\"count\":0,\"min\":0.000,\"mean\":0.000,\"p50\":0.000,");
    free(text);
}

Test(report, one_kind_alone_is_not_told_twice)
{
    struct load_options options = options_of(1, 0);
    char *text = print(&options, 5, 0);
    expect(text, "\"latency_us\":{\"count\":10,");
    cr_assert_null(strstr(text, "by_kind"));
    free(text);
}
