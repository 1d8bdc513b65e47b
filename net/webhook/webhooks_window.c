#include <stdlib.h>

#include "engine/journal/journal.h"
#include "net/webhook/webhooks_internal.h"

/* The marks of a rule: a ring of what was delivered to it and not yet passed by its position. It
 * grows as it fills, because most rules need little of it. */

#define MARKS_LEAST 16

static_assert((WEBHOOK_WINDOW_MAX & (WEBHOOK_WINDOW_MAX - 1)) == 0, "the ring's size is a mask");

uint64_t window_count(const struct runner *runner)
{
    return runner->mark_next - runner->mark_first;
}

static struct mark *mark_at(const struct runner *runner, uint64_t number)
{
    return &runner->marks[number & (runner->mark_capacity - 1)];
}

static bool marks_grow(struct runner *runner)
{
    uint32_t capacity = runner->mark_capacity == 0 ? MARKS_LEAST : 2 * runner->mark_capacity;
    ASSERT(capacity <= WEBHOOK_WINDOW_MAX);
    struct mark *marks = malloc(capacity * sizeof(*marks));
    if (marks == NULL) {
        return false;
    }
    for (uint64_t number = runner->mark_first; number != runner->mark_next; number++) {
        marks[number & (capacity - 1)] = *mark_at(runner, number);
    }
    free(runner->marks);
    runner->marks = marks;
    runner->mark_capacity = capacity;
    return true;
}

bool window_add(struct runner *runner, uint64_t epoch, uint64_t sequence, uint64_t time_ms,
                uint64_t *mark_out)
{
    ASSERT(window_count(runner) < WEBHOOK_WINDOW_MAX);
    if (window_count(runner) == runner->mark_capacity && !marks_grow(runner)) {
        return false;
    }
    *mark_out = runner->mark_next++;
    *mark_at(runner, *mark_out) = (struct mark){epoch, sequence, time_ms, false};
    return true;
}

void window_settle(struct runner *runner, uint64_t mark)
{
    ASSERT(mark >= runner->mark_first);
    ASSERT(mark < runner->mark_next);
    ASSERT(!mark_at(runner, mark)->is_settled);
    mark_at(runner, mark)->is_settled = true;
    while (window_count(runner) > 0 && mark_at(runner, runner->mark_first)->is_settled) {
        const struct mark *first = mark_at(runner, runner->mark_first);
        runner->settled.epoch = first->epoch;
        runner->settled.sequence = first->sequence;
        runner->mark_first++;
        runner->state_due = true;
    }
    runner->webhooks->room_made = true;
    runner_touch(runner);
}

uint64_t window_oldest_ms(const struct runner *runner)
{
    return window_count(runner) == 0 ? 0 : mark_at(runner, runner->mark_first)->time_ms;
}

struct position window_position(const struct runner *runner)
{
    if (window_count(runner) > 0 || !runner->is_subscribed || runner->has_ended) {
        return runner->settled;
    }
    struct token token;
    subscription_token(&runner->subscription, &token);
    return token.position;
}
