/*
 * window.h: the operations of one connection that are not over, at most --pipeline of them: sent
 * and not answered, or (of two requests, as a read with its write) owed their second request.
 *
 *     free -> window_send -> sent -> window_end -> free
 *                              |                      answered in order, or by the slot's number
 *                              +--> window_owe -> owed -> window_send_owed -> sent
 *
 * Owner:     one connection of one worker.
 * Memory:    the slots, taken by window_init.
 * Invariant: every slot is free, sent or owed; sent_count + owed_count <= capacity.
 * Tests:     tests/unit/bench/load/test_window.c
 */
#ifndef FRESHET_BENCH_LOAD_WINDOW_H
#define FRESHET_BENCH_LOAD_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load/options.h"
#include "protocol/base/status.h"

#define WINDOW_NONE UINT32_MAX

enum slot_state { SLOT_FREE, SLOT_SENT, SLOT_OWED };

struct slot {
    uint64_t start_ns; /* when the operation was to begin */
    uint64_t key;
    uint64_t serial; /* of the body that was sent; 0: none */
    enum kind kind;
    enum kind request; /* what is on its way: of an rmw a get, then a put */
    enum slot_state state;
    uint32_t next; /* of the same state: free ones, and each queue in its order */
    uint32_t before;
};

struct window_queue {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct window {
    struct slot *slots;
    uint32_t capacity;
    uint32_t free_first;
    struct window_queue sent; /* in the order in which the requests were written */
    struct window_queue owed;
};

/* On failure nothing stays allocated. */
MUST_USE enum status window_init(struct window *window, uint32_t capacity);
void window_deinit(struct window *window);
/* All slots are free, whatever they were. */
void window_clear(struct window *window);

static inline uint32_t window_count(const struct window *window)
{
    return window->sent.count + window->owed.count;
}

static inline bool window_has_room(const struct window *window)
{
    return window_count(window) < window->capacity;
}

/* A free slot, as the last of those sent; there is room. Its state and links are the window's, the
 * rest the caller's. */
uint32_t window_send(struct window *window);
/* The oldest one sent, or WINDOW_NONE. */
uint32_t window_oldest(const struct window *window);
bool window_is_sent(const struct window *window, uint32_t index);
/* One that was sent is over. */
void window_end(struct window *window, uint32_t index);
/* One that was sent has had its first answer, and is to send again. */
void window_owe(struct window *window, uint32_t index);
/* The first of those owed, as the last of those sent; there is one. */
uint32_t window_send_owed(struct window *window);

#endif
