#include "bench/load/schedule.h"

#include <math.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

const char *const arrivals_names[ARRIVALS_COUNT] = {"even", "poisson"};

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
    *schedule = (struct schedule){
        .options = *options,
        .gap_ns = options->interval_ns * options->connection_count,
    };
    schedule->random = dice_mix(options->seed);
    schedule->due_ns = (double *)calloc(options->connection_count, sizeof(double));
    schedule->heap =
        (struct schedule_entry *)calloc(options->connection_count, sizeof(struct schedule_entry));
    if (schedule->due_ns == NULL || schedule->heap == NULL) {
        schedule_destroy(schedule);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < options->connection_count; i++) {
        bool even = options->arrivals == ARRIVALS_EVEN;
        schedule->due_ns[i] = even ? options->interval_ns * i : gap(schedule);
    }
    return STATUS_OK;
}

void schedule_destroy(struct schedule *schedule)
{
    free(schedule->due_ns);
    free(schedule->heap);
    *schedule = (struct schedule){0};
}

void schedule_start(struct schedule *schedule, uint64_t start_ns)
{
    ASSERT(schedule->start_ns == 0);
    ASSERT(schedule->heap_count == 0);
    schedule->start_ns = start_ns;
}

void schedule_push(struct schedule *schedule, uint32_t index)
{
    ASSERT(schedule->heap_count < schedule->options.connection_count);
    uint64_t due_ns = schedule_due_ns(schedule, index);
    uint32_t at = schedule->heap_count++;
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (schedule->heap[parent].due_ns <= due_ns) {
            break;
        }
        schedule->heap[at] = schedule->heap[parent];
        at = parent;
    }
    schedule->heap[at] = (struct schedule_entry){.due_ns = due_ns, .index = index};
}

bool schedule_pop(struct schedule *schedule, uint64_t now_ns, uint32_t *index_out)
{
    if (schedule_next_ns(schedule) > now_ns || schedule->heap_count == 0) {
        return false;
    }
    *index_out = schedule->heap[0].index;
    const struct schedule_entry last = schedule->heap[--schedule->heap_count];
    uint32_t count = schedule->heap_count;
    uint32_t at = 0;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && schedule->heap[child + 1].due_ns < schedule->heap[child].due_ns) {
            child++;
        }
        if (last.due_ns <= schedule->heap[child].due_ns) {
            break;
        }
        schedule->heap[at] = schedule->heap[child];
        at = child;
    }
    schedule->heap[at] = last;
    return true;
}

uint64_t schedule_next_ns(const struct schedule *schedule)
{
    return schedule->heap_count == 0 ? SCHEDULE_NEVER : schedule->heap[0].due_ns;
}

uint64_t schedule_due_ns(const struct schedule *schedule, uint32_t index)
{
    ASSERT(index < schedule->options.connection_count);
    return schedule->start_ns + (uint64_t)schedule->due_ns[index];
}

uint64_t schedule_take(struct schedule *schedule, uint32_t index)
{
    uint64_t due_ns = schedule_due_ns(schedule, index);
    schedule->due_ns[index] += gap(schedule);
    return due_ns;
}

uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns)
{
    double now = now_ns > schedule->start_ns ? (double)(now_ns - schedule->start_ns) : 0;
    uint64_t behind = 0;
    for (uint32_t i = 0; i < schedule->options.connection_count; i++) {
        double late = now - schedule->due_ns[i];
        behind += late < 0 ? 0 : 1 + (uint64_t)(late / schedule->gap_ns);
    }
    return behind;
}
