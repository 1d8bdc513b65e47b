/*
 * bench_plan.h: what `freshet bench` is to measure: its options, over a scenario file, over
 * defaults.
 *
 * A scenario file is flat YAML, one `key: value` a line, as ./dev bench scenario reads them too.
 * Keys that are options stand in for them; those about the server are for whoever starts it.
 *
 * Owner:  one bench. The texts are those of the options.
 * Errors: what is wrong is told with file and line.
 * Tests:  tests/integration/test_cli_bench.py
 */
#ifndef FRESHET_BINDINGS_CLI_BENCH_PLAN_H
#define FRESHET_BINDINGS_CLI_BENCH_PLAN_H

#include "bindings/cli/bench_keys.h"
#include "bindings/cli/cli_internal.h"

#define BENCH_NAME_BYTES_MAX 64
#define BENCH_EXPECT_MAX     8
#define BENCH_LOADS_MAX      16

/* In the order of the names in a mix. */
#define BENCH_KINDS(X)                                                                             \
    X(GET, "get")                                                                                  \
    X(PUT, "put")                                                                                  \
    X(DELETE, "delete")                                                                            \
    X(RMW, "rmw") /* a record is read, and written when that is answered */                        \
    X(INSERT, "insert")

enum bench_kind {
#define BENCH_KIND_ID(id, name) BENCH_KIND_##id,
    BENCH_KINDS(BENCH_KIND_ID)
#undef BENCH_KIND_ID
        BENCH_KIND_TOTAL
};

struct bench_plan {
    char name[BENCH_NAME_BYTES_MAX]; /* of the command, or of the file without folder and ending */
    const char *collection;
    uint64_t connections;
    uint64_t pipeline;
    uint64_t records;
    uint64_t value_bytes; /* of a record as JSON */
    uint64_t seconds;
    uint64_t weights[BENCH_KIND_TOTAL];
    uint64_t weight_sum;
    enum distribution distribution;
    double theta;
    uint64_t expect[BENCH_EXPECT_MAX]; /* codes that are right */
    size_t expect_count;               /* 0: 200 to 299, and 404 where records are deleted */
    uint64_t rate;                     /* one open loop with so many a second; 0: a closed loop */
    uint64_t loads[BENCH_LOADS_MAX];   /* open loops behind it, at percents of its rate */
    size_t load_count;
    char *file; /* what the scenario's texts point into */
};

const char *bench_kind_name(enum bench_kind kind);

/* NULL, or what is wrong with the options; before a server is asked. */
const char *bench_options_check(const struct cli *cli);

/* Reads the scenario, if there is one. An exit code: it was told. */
MUST_USE int bench_plan_make(struct cli *cli, struct bench_plan *out);
void bench_plan_release(struct bench_plan *plan);

#endif
