/*
 * schedule.h: open loop: when each connection's next request is due, whatever the server does.
 *
 * Each connection has a plan of its own. While it has no room (its server stalls) its requests stay
 * due, and their latency counts from when they were due: they do not move to a connection that is
 * faster, and the plan never waits. Connections with room stand in a heap by due time.
 *
 * Owner:     one worker.
 * Memory:    taken by schedule_create.
 * Time:      nanoseconds of the caller's clock; nothing here reads one.
 * Invariant: the times of a connection rise, and depend on the options alone; a connection is in
 *            the heap at most once.
 * Tests:     tests/unit/bench/load/test_schedule.c
 */
#ifndef FRESHET_BENCH_LOAD_SCHEDULE_H
#define FRESHET_BENCH_LOAD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/status.h"

#define SCHEDULE_NEVER UINT64_MAX

enum arrivals { ARRIVALS_EVEN, ARRIVALS_POISSON, ARRIVALS_COUNT };
extern const char *const arrivals_names[ARRIVALS_COUNT];

struct schedule_options {
    enum arrivals arrivals; /* even: one after the other at equal distances; poisson: each
                               connection at random, so that requests come in bunches as they do
                               from many people */
    uint32_t connection_count;
    double interval_ns; /* from one request to the next, of all connections together */
    uint64_t seed;
};

struct schedule_entry {
    uint64_t due_ns;
    uint32_t index;
};

struct schedule {
    struct schedule_options options;
    uint64_t random; /* the state of dice.h */
    double gap_ns;   /* from one request of a connection to its next, the mean */
    uint64_t start_ns;
    double *due_ns; /* of each connection's next request, from start_ns */
    struct schedule_entry *heap;
    uint32_t heap_count;
};

/* On failure nothing stays allocated. */
MUST_USE enum status schedule_create(struct schedule *schedule,
                                     const struct schedule_options *options);
void schedule_destroy(struct schedule *schedule); /* a zeroed one, too */
/* The plan begins at this time; before anything else. */
void schedule_start(struct schedule *schedule, uint64_t start_ns);

/* The connection has room from now on; it is not in the heap. */
void schedule_push(struct schedule *schedule, uint32_t index);
/* Of those with room, one whose request is due: it leaves the heap, whether the caller has a use
 * for it or not. */
bool schedule_pop(struct schedule *schedule, uint64_t now_ns, uint32_t *index_out);
/* When the earliest request of those with room is due. */
uint64_t schedule_next_ns(const struct schedule *schedule);

/* When the connection's next request is due; schedule_take moves on to the one after it. */
uint64_t schedule_due_ns(const struct schedule *schedule, uint32_t index);
uint64_t schedule_take(struct schedule *schedule, uint32_t index);

/* How many requests of all connections are due and not taken (with poisson, about). */
uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns);

#endif
