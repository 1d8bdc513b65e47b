#include "bench/load/window.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

static const struct window_queue queue_empty = {.first = WINDOW_NONE, .last = WINDOW_NONE};

static void queue_push(struct window *window, struct window_queue *queue, uint32_t index)
{
    struct slot *slot = &window->slots[index];
    slot->next = WINDOW_NONE;
    slot->before = queue->last;
    if (queue->last == WINDOW_NONE) {
        queue->first = index;
    } else {
        window->slots[queue->last].next = index;
    }
    queue->last = index;
    queue->count++;
}

static void queue_remove(struct window *window, struct window_queue *queue, uint32_t index)
{
    ASSERT(queue->count > 0);
    const struct slot *slot = &window->slots[index];
    if (slot->before == WINDOW_NONE) {
        queue->first = slot->next;
    } else {
        window->slots[slot->before].next = slot->next;
    }
    if (slot->next == WINDOW_NONE) {
        queue->last = slot->before;
    } else {
        window->slots[slot->next].before = slot->before;
    }
    queue->count--;
}

enum status window_init(struct window *window, uint32_t capacity)
{
    ASSERT(capacity > 0);
    *window = (struct window){.capacity = capacity};
    window->slots = (struct slot *)calloc(capacity, sizeof(struct slot));
    if (window->slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    window_clear(window);
    return STATUS_OK;
}

void window_deinit(struct window *window)
{
    free(window->slots);
    *window = (struct window){0};
}

void window_clear(struct window *window)
{
    for (uint32_t i = 0; i < window->capacity; i++) {
        window->slots[i].state = SLOT_FREE;
        window->slots[i].next = i + 1 < window->capacity ? i + 1 : WINDOW_NONE;
    }
    window->free_first = 0;
    window->sent = queue_empty;
    window->owed = queue_empty;
}

uint32_t window_send(struct window *window)
{
    uint32_t index = window->free_first;
    ASSERT(index != WINDOW_NONE);
    ASSERT(window->slots[index].state == SLOT_FREE);
    window->free_first = window->slots[index].next;
    window->slots[index].state = SLOT_SENT;
    queue_push(window, &window->sent, index);
    return index;
}

uint32_t window_oldest(const struct window *window)
{
    return window->sent.first;
}

bool window_is_sent(const struct window *window, uint32_t index)
{
    return index < window->capacity && window->slots[index].state == SLOT_SENT;
}

void window_end(struct window *window, uint32_t index)
{
    ASSERT(window_is_sent(window, index));
    queue_remove(window, &window->sent, index);
    window->slots[index].state = SLOT_FREE;
    window->slots[index].next = window->free_first;
    window->free_first = index;
}

void window_owe(struct window *window, uint32_t index)
{
    ASSERT(window_is_sent(window, index));
    queue_remove(window, &window->sent, index);
    window->slots[index].state = SLOT_OWED;
    queue_push(window, &window->owed, index);
}

uint32_t window_send_owed(struct window *window)
{
    uint32_t index = window->owed.first;
    ASSERT(index != WINDOW_NONE);
    ASSERT(window->slots[index].state == SLOT_OWED);
    queue_remove(window, &window->owed, index);
    window->slots[index].state = SLOT_SENT;
    queue_push(window, &window->sent, index);
    return index;
}
