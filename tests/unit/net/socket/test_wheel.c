/* Deadlines of many connections: looked at when they are reached, and not long after. */
#include <criterion/criterion.h>

#include "net/socket/wheel.h"

#define TICK_NS   (1ull << WHEEL_TICK_SHIFT)
#define BEGIN_NS  (1000 * TICK_NS + 12345) /* a machine that has run for a while */
#define LATE_NS   (2 * TICK_NS)
#define NEVER     UINT64_MAX
#define TIMERS    200
#define STEPS_MAX 100000

struct owner {
    struct wheel_timer timer;
    uint64_t deadline_ns;
    uint64_t looked_ns; /* when it was found due; 0: not yet */
    uint64_t next_ns;   /* its deadline after that */
};

static struct wheel wheel;
static struct owner owners[TIMERS];
static uint64_t now_ns;

static uint64_t look(struct wheel_timer *timer)
{
    struct owner *owner = CONTAINER_OF(timer, struct owner, timer);
    if (owner->deadline_ns <= now_ns) {
        owner->looked_ns = now_ns;
        owner->deadline_ns = owner->next_ns;
    }
    return owner->deadline_ns;
}

static void begin(void)
{
    now_ns = BEGIN_NS;
    wheel_init(&wheel);
    wheel_run(&wheel, now_ns, look);
    for (size_t i = 0; i < TIMERS; i++) {
        wheel_timer_init(&owners[i].timer);
        owners[i].next_ns = NEVER;
    }
}

TestSuite(wheel, .init = begin);

static void set(struct owner *owner, uint64_t deadline_ns)
{
    owner->deadline_ns = deadline_ns;
    wheel_set(&wheel, &owner->timer, deadline_ns);
}

/* As a loop does it: sleeps until the wheel wants to run, and runs it. */
static void run_until(uint64_t end_ns)
{
    for (uint32_t steps = 0; wheel_next_ns(&wheel) <= end_ns; steps++) {
        cr_assert_lt(steps, STEPS_MAX);
        cr_assert_gt(wheel_next_ns(&wheel), now_ns, "it is not late");
        now_ns = wheel_next_ns(&wheel);
        wheel_run(&wheel, now_ns, look);
    }
    now_ns = end_ns;
    wheel_run(&wheel, now_ns, look);
}

static void was_in_time(const struct owner *owner, uint64_t deadline_ns)
{
    cr_assert_geq(owner->looked_ns, deadline_ns, "not before");
    cr_assert_leq(owner->looked_ns, deadline_ns + LATE_NS, "not long after");
}

Test(wheel, without_timers_it_wants_nothing)
{
    cr_assert_eq(wheel_next_ns(&wheel), NEVER);
    set(&owners[0], NEVER);
    cr_assert_eq(wheel_next_ns(&wheel), NEVER);
    cr_assert_not(link_is_linked(&owners[0].timer.link));
}

Test(wheel, deadlines_of_any_distance_are_kept)
{
    static const uint64_t around[] = {WHEEL_SLOT_COUNT - 1, WHEEL_SLOT_COUNT, WHEEL_SLOT_COUNT + 1,
                                      3 * WHEEL_SLOT_COUNT};
    uint64_t deadlines[TIMERS];
    for (uint64_t i = 0; i < TIMERS; i++) {
        uint64_t ticks = i < 4 ? around[i] : i * 7;
        deadlines[i] = BEGIN_NS + ticks * TICK_NS + i;
        set(&owners[i], deadlines[i]);
    }
    run_until(BEGIN_NS + 4 * WHEEL_SLOT_COUNT * TICK_NS);
    for (size_t i = 0; i < TIMERS; i++) {
        was_in_time(&owners[i], deadlines[i]);
    }
    cr_assert_eq(wheel_next_ns(&wheel), NEVER);
}

Test(wheel, a_deadline_that_has_passed_is_looked_at_in_the_next_tick)
{
    set(&owners[0], 0);
    set(&owners[1], now_ns);
    run_until(BEGIN_NS + LATE_NS);
    was_in_time(&owners[1], BEGIN_NS);
    cr_assert_eq(owners[0].looked_ns, owners[1].looked_ns);
}

Test(wheel, one_that_moves_on_is_found_out_and_not_taken_for_due)
{
    struct owner *owner = &owners[0];
    set(owner, BEGIN_NS + 10 * TICK_NS);
    uint64_t deadline_ns = BEGIN_NS + 40 * TICK_NS;
    set(owner, deadline_ns);
    cr_assert_lt(wheel_next_ns(&wheel), BEGIN_NS + 13 * TICK_NS, "it stays where it was");
    run_until(BEGIN_NS + 30 * TICK_NS);
    cr_assert_eq(owner->looked_ns, 0);
    run_until(BEGIN_NS + 50 * TICK_NS);
    was_in_time(owner, deadline_ns);
}

Test(wheel, one_that_comes_nearer_is_moved)
{
    set(&owners[0], BEGIN_NS + 400 * TICK_NS);
    set(&owners[0], BEGIN_NS + 3 * TICK_NS);
    run_until(BEGIN_NS + 10 * TICK_NS);
    was_in_time(&owners[0], BEGIN_NS + 3 * TICK_NS);
}

Test(wheel, one_that_is_set_again_comes_again)
{
    owners[0].next_ns = BEGIN_NS + 600 * TICK_NS;
    set(&owners[0], BEGIN_NS + 2 * TICK_NS);
    run_until(BEGIN_NS + 10 * TICK_NS);
    was_in_time(&owners[0], BEGIN_NS + 2 * TICK_NS);
    owners[0].next_ns = NEVER;
    run_until(BEGIN_NS + 700 * TICK_NS);
    was_in_time(&owners[0], BEGIN_NS + 600 * TICK_NS);
}

Test(wheel, one_that_is_cleared_does_not_come)
{
    set(&owners[0], BEGIN_NS + 2 * TICK_NS);
    set(&owners[1], BEGIN_NS + 2 * TICK_NS);
    wheel_clear(&owners[0].timer);
    wheel_clear(&owners[0].timer);
    run_until(BEGIN_NS + 10 * TICK_NS);
    cr_assert_eq(owners[0].looked_ns, 0);
    was_in_time(&owners[1], BEGIN_NS + 2 * TICK_NS);
}

/* A process that was stopped for an hour. */
Test(wheel, after_a_long_sleep_all_that_is_due_is_looked_at_once)
{
    for (uint64_t i = 0; i < TIMERS; i++) {
        set(&owners[i], BEGIN_NS + i * 5 * TICK_NS);
    }
    now_ns = BEGIN_NS + 30000 * TICK_NS;
    wheel_run(&wheel, now_ns, look);
    for (size_t i = 0; i < TIMERS; i++) {
        cr_assert_eq(owners[i].looked_ns, now_ns);
    }
    cr_assert_eq(wheel_next_ns(&wheel), NEVER);
}
