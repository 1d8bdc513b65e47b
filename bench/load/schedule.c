#include "bench/load/schedule.h"

#include <math.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

const char *const arrivals_names[ARRIVALS_COUNT] = {"even", "poisson"};
const char *const plan_names[PLAN_COUNT] = {"shared", "connection"};

static double gap(struct schedule *schedule)
{
    switch (schedule->options.arrivals) {
    case ARRIVALS_EVEN:
        return schedule->gap_ns;
    case ARRIVALS_POISSON:
        return -log(1 - dice_unit(dice_roll(&schedule->random))) * schedule->gap_ns;
    case ARRIVALS_COUNT:
        break;
    }
    UNREACHABLE();
}

enum status schedule_create(struct schedule *schedule, const struct schedule_options *options)
{
    ASSERT(options->connection_count > 0);
    ASSERT(options->interval_ns > 0);
    uint32_t plan_count = options->plan == PLAN_SHARED ? 1 : options->connection_count;
    *schedule = (struct schedule){
        .options = *options,
        .plan_count = plan_count,
        .gap_ns = options->interval_ns * plan_count,
    };
    schedule->random = dice_mix(options->seed);
    schedule->due_ns = (double *)calloc(plan_count, sizeof(double));
    schedule->ready =
        (struct schedule_entry *)calloc(options->connection_count, sizeof(struct schedule_entry));
    if (schedule->due_ns == NULL || schedule->ready == NULL) {
        schedule_destroy(schedule);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < plan_count; i++) {
        bool even = options->arrivals == ARRIVALS_EVEN;
        schedule->due_ns[i] = even ? options->interval_ns * i : gap(schedule);
    }
    return STATUS_OK;
}

void schedule_destroy(struct schedule *schedule)
{
    free(schedule->due_ns);
    free(schedule->ready);
    *schedule = (struct schedule){0};
}

void schedule_start(struct schedule *schedule, uint64_t start_ns)
{
    ASSERT(schedule->start_ns == 0);
    ASSERT(schedule->ready_count == 0);
    schedule->start_ns = start_ns;
}

static uint32_t plan_of(const struct schedule *schedule, uint32_t index)
{
    ASSERT(index < schedule->options.connection_count);
    return schedule->plan_count == 1 ? 0 : index;
}

static void heap_push(struct schedule *schedule, struct schedule_entry entry)
{
    uint32_t at = schedule->ready_count++;
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (schedule->ready[parent].due_ns <= entry.due_ns) {
            break;
        }
        schedule->ready[at] = schedule->ready[parent];
        at = parent;
    }
    schedule->ready[at] = entry;
}

static uint32_t heap_pop(struct schedule *schedule)
{
    struct schedule_entry *heap = schedule->ready;
    uint32_t index = heap[0].index;
    uint32_t count = --schedule->ready_count;
    const struct schedule_entry last = heap[count];
    uint32_t at = 0;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].due_ns < heap[child].due_ns) {
            child++;
        }
        if (last.due_ns <= heap[child].due_ns) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return index;
}

static uint32_t ring_place(const struct schedule *schedule, uint32_t at)
{
    return (schedule->first + at) % schedule->options.connection_count;
}

static uint32_t ring_pop(struct schedule *schedule)
{
    uint32_t index = schedule->ready[schedule->first].index;
    schedule->first = ring_place(schedule, 1);
    schedule->ready_count--;
    return index;
}

void schedule_push(struct schedule *schedule, uint32_t index)
{
    ASSERT(schedule->ready_count < schedule->options.connection_count);
    struct schedule_entry entry = {.due_ns = schedule_due_ns(schedule, index), .index = index};
    if (schedule->options.plan == PLAN_SHARED) {
        schedule->ready[ring_place(schedule, schedule->ready_count++)] = entry;
    } else {
        heap_push(schedule, entry);
    }
}

bool schedule_pop(struct schedule *schedule, uint64_t now_ns, uint32_t *index_out)
{
    if (schedule_next_ns(schedule) > now_ns || schedule->ready_count == 0) {
        return false;
    }
    bool shared = schedule->options.plan == PLAN_SHARED;
    *index_out = shared ? ring_pop(schedule) : heap_pop(schedule);
    return true;
}

uint64_t schedule_next_ns(const struct schedule *schedule)
{
    if (schedule->ready_count == 0) {
        return SCHEDULE_NEVER;
    }
    return schedule->options.plan == PLAN_SHARED ? schedule_due_ns(schedule, 0)
                                                 : schedule->ready[0].due_ns;
}

uint64_t schedule_due_ns(const struct schedule *schedule, uint32_t index)
{
    return schedule->start_ns + (uint64_t)schedule->due_ns[plan_of(schedule, index)];
}

uint64_t schedule_take(struct schedule *schedule, uint32_t index)
{
    uint64_t due_ns = schedule_due_ns(schedule, index);
    schedule->due_ns[plan_of(schedule, index)] += gap(schedule);
    return due_ns;
}

uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns)
{
    double now = now_ns > schedule->start_ns ? (double)(now_ns - schedule->start_ns) : 0;
    uint64_t behind = 0;
    for (uint32_t i = 0; i < schedule->plan_count; i++) {
        double late = now - schedule->due_ns[i];
        behind += late < 0 ? 0 : 1 + (uint64_t)(late / schedule->gap_ns);
    }
    return behind;
}
