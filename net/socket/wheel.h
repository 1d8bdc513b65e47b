/*
 * wheel.h: deadlines of many connections: a wheel of coarse ticks.
 *
 * It is lazy: a deadline that moves on, as it does with each request, only changes a number in the
 * connection; the wheel finds out when it comes to the old tick. So the hot path never touches a
 * list.
 *
 * Owner:     one thread; timers are embedded by their owners.
 * Time:      passed in. A timer is looked at within two ticks (270 ms) after its deadline, and may
 *            be before it: whoever looks compares.
 * Tests:     tests/unit/net/socket/, tests/unit/net/http/.
 */
#ifndef FRESHET_NET_SOCKET_WHEEL_H
#define FRESHET_NET_SOCKET_WHEEL_H

#include <stdint.h>

#include "protocol/base/list.h"

#define WHEEL_SLOT_COUNT 512
#define WHEEL_TICK_SHIFT 27 /* 134 ms */

struct wheel_timer {
    struct link link;
    uint64_t tick;
};

/* Handles the timer if it is due; returns its deadline from here on (UINT64_MAX: none). */
typedef uint64_t wheel_look(struct wheel_timer *timer);

struct wheel {
    uint64_t tick; /* all slots up to here have been run */
    uint64_t used[WHEEL_SLOT_COUNT / 64];
    struct link slots[WHEEL_SLOT_COUNT];
};

void wheel_init(struct wheel *wheel);
static inline void wheel_timer_init(struct wheel_timer *timer)
{
    link_init(&timer->link);
}
/* deadline_ns UINT64_MAX: nothing happens, a timer that is set stays and finds out. */
void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ns);
void wheel_clear(struct wheel_timer *timer);
void wheel_run(struct wheel *wheel, uint64_t now_ns, wheel_look *look);
/* When it wants to run again; UINT64_MAX: never. */
uint64_t wheel_next_ns(const struct wheel *wheel);

#endif
