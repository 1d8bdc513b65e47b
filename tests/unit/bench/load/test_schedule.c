#include <inttypes.h>

#include <criterion/criterion.h>

#include "bench/load/schedule.h"

#define START 1000000
#define SEED  11

static struct schedule make(enum plan plan, enum arrivals arrivals, uint32_t connection_count,
                            double interval_ns)
{
    struct schedule schedule;
    const struct schedule_options options = {
        .plan = plan,
        .arrivals = arrivals,
        .connection_count = connection_count,
        .interval_ns = interval_ns,
        .seed = SEED,
    };
    cr_assert_eq(schedule_create(&schedule, &options), STATUS_OK);
    schedule_start(&schedule, START);
    for (uint32_t i = 0; i < connection_count; i++) {
        schedule_push(&schedule, i);
    }
    return schedule;
}

Test(schedule, even_arrivals_go_round_at_equal_distances)
{
    struct schedule schedule = make(PLAN_CONNECTION, ARRIVALS_EVEN, 7, 100);
    uint32_t index;
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t due_ns = START + 100 * i;
        cr_assert_eq(schedule_next_ns(&schedule), due_ns);
        cr_assert_not(schedule_pop(&schedule, due_ns - 1, &index));
        cr_assert(schedule_pop(&schedule, due_ns, &index));
        cr_assert_eq(index, i % 7);
        cr_assert_eq(schedule_take(&schedule, index), due_ns);
        schedule_push(&schedule, index);
    }
    schedule_destroy(&schedule);
}

/* Each connection answers at once but one, which is gone for a second. */
Test(schedule, what_a_connection_without_room_misses_stays_due_and_is_not_moved_to_others)
{
    struct schedule schedule = make(PLAN_CONNECTION, ARRIVALS_EVEN, 10, 1000000);
    uint64_t end_ns = START + 1000000000;
    uint32_t taken = 0;
    uint32_t index;
    for (uint64_t now_ns = START; now_ns < end_ns; now_ns += 500000) {
        while (schedule_pop(&schedule, now_ns, &index)) {
            if (index != 3) {
                (void)schedule_take(&schedule, index);
                taken++;
                schedule_push(&schedule, index);
            }
        }
    }
    cr_assert_eq(taken, 900);
    cr_assert_eq(schedule_behind(&schedule, end_ns - 1), 100);
    schedule_push(&schedule, 3);
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert(schedule_pop(&schedule, end_ns - 1, &index));
        cr_assert_eq(index, 3);
        cr_assert_eq(schedule_take(&schedule, 3), START + 3000000 + 10000000 * i);
        schedule_push(&schedule, 3);
    }
    cr_assert_not(schedule_pop(&schedule, end_ns - 1, &index));
    cr_assert_eq(schedule_behind(&schedule, end_ns - 1), 0);
    schedule_destroy(&schedule);
}

/* The same with one plan for all: the others take what is due, each in its turn. */
Test(schedule, what_is_due_by_a_shared_plan_goes_to_the_connection_that_has_had_room_for_longest)
{
    struct schedule schedule = make(PLAN_SHARED, ARRIVALS_EVEN, 10, 1000);
    uint32_t index;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t due_ns = START + 1000 * i;
        cr_assert_eq(schedule_next_ns(&schedule), due_ns);
        cr_assert_not(schedule_pop(&schedule, due_ns - 1, &index));
        cr_assert(schedule_pop(&schedule, due_ns, &index));
        if (i < 10) {
            cr_assert_eq(index, i);
        } else {
            uint64_t turn = (i - 10) % 9;
            cr_assert_eq(index, turn < 3 ? turn : turn + 1, "%u at %" PRIu64, index, i);
        }
        cr_assert_eq(schedule_take(&schedule, index), due_ns);
        if (index != 3) {
            schedule_push(&schedule, index);
        }
    }
    schedule_destroy(&schedule);
}

/* A server that stalls: nobody has room, and all that was due meanwhile is late. */
Test(schedule, a_shared_plan_does_not_wait)
{
    struct schedule schedule = make(PLAN_SHARED, ARRIVALS_EVEN, 2, 1000);
    uint32_t index;
    cr_assert(schedule_pop(&schedule, START + 1000, &index));
    (void)schedule_take(&schedule, index);
    cr_assert(schedule_pop(&schedule, START + 1000, &index));
    (void)schedule_take(&schedule, index);
    cr_assert_eq(schedule_next_ns(&schedule), SCHEDULE_NEVER);
    cr_assert_not(schedule_pop(&schedule, START + 1000000, &index));
    cr_assert_eq(schedule_behind(&schedule, START + 1000000), 999);
    schedule_push(&schedule, 1);
    for (uint64_t i = 2; i <= 1000; i++) {
        cr_assert(schedule_pop(&schedule, START + 1000000, &index));
        cr_assert_eq(index, 1);
        cr_assert_eq(schedule_take(&schedule, index), START + 1000 * i);
        schedule_push(&schedule, index);
    }
    cr_assert_eq(schedule_behind(&schedule, START + 1000000), 0);
    schedule_destroy(&schedule);
}

static void judge_poisson(enum plan plan, uint32_t connection_count)
{
    struct schedule schedule = make(plan, ARRIVALS_POISSON, connection_count, 1000);
    const uint32_t count = 200000;
    uint64_t before_ns = 0;
    uint32_t bunched = 0;
    uint32_t index;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(schedule_pop(&schedule, UINT64_MAX - 1, &index));
        uint64_t due_ns = schedule_take(&schedule, index);
        cr_assert_geq(due_ns, before_ns, "seed %d", SEED);
        bunched += i > 0 && due_ns - before_ns < 500;
        before_ns = due_ns;
        schedule_push(&schedule, index);
    }
    /* Half a mean distance apart or nearer are 1 - e^-0.5 of all. */
    double mean_ns = (double)(before_ns - START) / count;
    cr_assert_float_eq(mean_ns, 1000, 20, "seed %d: %f", SEED, mean_ns);
    cr_assert_float_eq((double)bunched / count, 0.3935, 0.01, "seed %d", SEED);
    schedule_destroy(&schedule);
}

/* Of one connection, and of many together. */
Test(schedule, poisson_arrivals_have_the_rate_and_the_spread_of_chance)
{
    judge_poisson(PLAN_CONNECTION, 1);
    judge_poisson(PLAN_CONNECTION, 50);
    judge_poisson(PLAN_SHARED, 50);
}

Test(schedule, nothing_is_due_where_no_connection_has_room)
{
    struct schedule schedule = make(PLAN_CONNECTION, ARRIVALS_EVEN, 1, 10);
    uint32_t index;
    cr_assert(schedule_pop(&schedule, START, &index));
    cr_assert_eq(schedule_next_ns(&schedule), SCHEDULE_NEVER);
    cr_assert_not(schedule_pop(&schedule, UINT64_MAX, &index));
    schedule_destroy(&schedule);
}
