#include "net/socket/wheel.h"

#include "protocol/base/assert.h"

void wheel_init(struct wheel *wheel)
{
    *wheel = (struct wheel){.tick = 0};
    for (uint32_t i = 0; i < WHEEL_SLOT_COUNT; i++) {
        link_init(&wheel->slots[i]);
    }
}

void wheel_set(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        return;
    }
    /* One later: the tick in which the deadline lies begins before it. */
    uint64_t tick = (deadline_ns >> WHEEL_TICK_SHIFT) + 1;
    if (tick <= wheel->tick) {
        tick = wheel->tick + 1;
    }
    if (tick >= wheel->tick + WHEEL_SLOT_COUNT) {
        tick = wheel->tick + WHEEL_SLOT_COUNT - 1;
    }
    if (link_is_linked(&timer->link)) {
        if (timer->tick <= tick) {
            return;
        }
        link_remove(&timer->link);
    }
    uint32_t slot = (uint32_t)(tick % WHEEL_SLOT_COUNT);
    timer->tick = tick;
    list_push_back(&wheel->slots[slot], &timer->link);
    wheel->used[slot / 64] |= 1ull << (slot % 64);
    ASSERT(timer->tick > wheel->tick);
}

void wheel_clear(struct wheel_timer *timer)
{
    if (link_is_linked(&timer->link)) {
        link_remove(&timer->link);
    }
}

static void slot_run(struct wheel *wheel, uint32_t slot, wheel_look *look)
{
    struct link due;
    link_init(&due);
    list_splice_back(&due, &wheel->slots[slot]);
    wheel->used[slot / 64] &= ~(1ull << (slot % 64));
    for (struct link *link = list_pop_front(&due); link != NULL; link = list_pop_front(&due)) {
        struct wheel_timer *timer = CONTAINER_OF(link, struct wheel_timer, link);
        wheel_set(wheel, timer, look(timer));
    }
}

void wheel_run(struct wheel *wheel, uint64_t now_ns, wheel_look *look)
{
    uint64_t now_tick = now_ns >> WHEEL_TICK_SHIFT;
    if (now_tick <= wheel->tick) {
        return;
    }
    uint64_t first = wheel->tick + 1;
    uint64_t count = now_tick - wheel->tick;
    if (count > WHEEL_SLOT_COUNT) {
        count = WHEEL_SLOT_COUNT;
    }
    /* Moved on first, so that what is set again lands in a tick to come. */
    wheel->tick = now_tick;
    for (uint64_t i = 0; i < count; i++) {
        slot_run(wheel, (uint32_t)((first + i) % WHEEL_SLOT_COUNT), look);
    }
}

uint64_t wheel_next_ns(const struct wheel *wheel)
{
    for (uint64_t tick = wheel->tick + 1; tick < wheel->tick + WHEEL_SLOT_COUNT;) {
        uint32_t slot = (uint32_t)(tick % WHEEL_SLOT_COUNT);
        uint64_t word = wheel->used[slot / 64] >> (slot % 64);
        if (word != 0) {
            return (tick + (uint64_t)__builtin_ctzll(word)) << WHEEL_TICK_SHIFT;
        }
        tick += 64 - slot % 64;
    }
    return UINT64_MAX;
}
