#include <criterion/criterion.h>
#include <getopt.h>
#include <stdio.h>

#include "bench/stream/options.h"

/* At most eight words behind the name of the program and its target. */
static enum status parse(struct stream_options *options_out, const char *const *words)
{
    char *all[16] = {"bench_stream", "--target", "127.0.0.1:80"};
    int count = 3;
    for (; words[count - 3] != NULL; count++) {
        cr_assert_lt(count, 12);
        all[count] = (char *)(uintptr_t)words[count - 3];
    }
    optind = 0; /* getopt begins anew */
    FILE *silent = freopen("/dev/null", "w", stderr);
    cr_assert_not_null(silent);
    return stream_options_parse(count, all, options_out);
}

#define PARSE(options, ...) parse(options, (const char *const[]){__VA_ARGS__, NULL})

Test(options, every_kind_of_server_has_a_name_that_is_understood)
{
    for (int kind = SERVER_FRESHET; kind <= SERVER_NATS_JETSTREAM; kind++) {
        struct stream_options options;
        cr_assert_eq(PARSE(&options, "--server", server_kind_names[kind]), STATUS_OK);
        cr_assert_eq((int)options.kind, kind);
    }
    struct stream_options options;
    cr_assert_eq(PARSE(&options, "--server", "kafka"), STATUS_INVALID);
}

Test(options, what_a_server_cannot_do_is_refused)
{
    struct stream_options options;
    cr_assert_eq(PARSE(&options, "--server", "nats", "--catch-up", "5"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--server", "nats-jetstream", "--catch-up", "5"), STATUS_OK);
    cr_assert_eq(PARSE(&options, "--server", "redis-pubsub", "--idle", "5"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--server", "redis-pubsub", "--distinct"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--server", "wire", "--distinct", "--idle", "5"), STATUS_OK);
}

Test(options, what_is_out_of_range_is_refused)
{
    struct stream_options options;
    cr_assert_eq(PARSE(&options, "--writers", "1024", "--pipeline", "64"), STATUS_OK);
    cr_assert_eq(PARSE(&options, "--writers", "1024", "--pipeline", "65"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--pipeline", "0"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--view", "all"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--collection", "a b"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "--rate", "-1"), STATUS_INVALID);
    cr_assert_eq(PARSE(&options, "more"), STATUS_INVALID);
}
