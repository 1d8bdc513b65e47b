/*
 * command_bench.h: `freshet bench filter`: how fast the matcher is, with patterns and events of the
 * caller's.
 *
 * One JSON pattern, or event, a line; empty lines are passed over. All events are matched again and
 * again, in their order, for the time that was asked for and at least once; parsing is not part of
 * it. One line of JSON says what came of it:
 *
 *     {"rules":1000,"events":500,"matches":1713,"seconds":3.000,"events_per_s":812000,
 *      "us_per_event":1.231,"us_per_rule_added":4.020,"matcher_bytes":1203040}
 *
 * matches counts pairs of a rule and an event that match, all events once.
 *
 * Owner:  one thread; blocks.
 * Errors: name file and line, to stderr.
 * Tests:  tests/unit/net/server/test_command_bench.c.
 */
#ifndef FRESHET_NET_SERVER_COMMAND_BENCH_H
#define FRESHET_NET_SERVER_COMMAND_BENCH_H

#include <stdio.h>

/* words: what follows `bench` on the command line. Exit code: 0, 1 failure, 2 usage. */
int command_bench(int count, char *const *words);

struct command_bench_filter {
    const char *rules;
    const char *events;
    double seconds;
};

/* The process's exit code: 0 or 1. Prints the line to out, what is wrong to problems. */
int command_bench_filter(const struct command_bench_filter *options, FILE *out, FILE *problems);

#endif
