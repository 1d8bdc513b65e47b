/*
 * schedule.h: open loop: when the next request is due, whatever the server does.
 *
 * The plan never waits: what is due while no connection has room stays due, and its latency counts
 * from when it was due. PLAN_SHARED is one plan for all connections of a thread, as of many users
 * before a client's pool: a request goes to the connection that has had room for longest.
 * PLAN_CONNECTION is a plan for each: its requests wait for it, whatever others do, so a fast
 * answer that comes after a slow one on the same connection is late as well.
 *
 * Owner:     one worker.
 * Memory:    taken by schedule_create.
 * Time:      nanoseconds of the caller's clock; nothing here reads one.
 * Invariant: the times of a plan rise, and depend on the options alone; a connection is among those
 *            with room at most once.
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

enum plan { PLAN_SHARED, PLAN_CONNECTION, PLAN_COUNT };
extern const char *const plan_names[PLAN_COUNT];

struct schedule_options {
    enum plan plan;
    enum arrivals arrivals; /* even: one after the other at equal distances; poisson: at random, so
                               that requests come in bunches as they do from many people */
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
    uint64_t random;     /* the state of dice.h */
    uint32_t plan_count; /* one, or one for each connection */
    double gap_ns;       /* from one request of a plan to its next, the mean */
    uint64_t start_ns;
    double *due_ns; /* of each plan's next request, from start_ns */
    /* Those with room. Of plans of their own: a heap by due time; of a shared plan: a ring from
     * `first`, the one that has had room for longest before others. */
    struct schedule_entry *ready;
    uint32_t ready_count;
    uint32_t first;
};

/* On failure nothing stays allocated. */
MUST_USE enum status schedule_create(struct schedule *schedule,
                                     const struct schedule_options *options);
void schedule_destroy(struct schedule *schedule); /* a zeroed one, too */
/* The plan begins at this time; before anything else. */
void schedule_start(struct schedule *schedule, uint64_t start_ns);

/* The connection has room from now on; it is not yet among them. */
void schedule_push(struct schedule *schedule, uint32_t index);
/* Of those with room, one for which a request is due: it is no longer among them, whether the
 * caller has a use for it or not. */
bool schedule_pop(struct schedule *schedule, uint64_t now_ns, uint32_t *index_out);
/* When the earliest request that has a connection with room is due. */
uint64_t schedule_next_ns(const struct schedule *schedule);

/* When the connection's next request is due; schedule_take moves on to the one after it. */
uint64_t schedule_due_ns(const struct schedule *schedule, uint32_t index);
uint64_t schedule_take(struct schedule *schedule, uint32_t index);

/* How many requests of all plans are due and not taken (with poisson, about). */
uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns);

#endif
