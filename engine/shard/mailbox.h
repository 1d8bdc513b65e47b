/*
 * mailbox.h: how one thread hands work to another.
 *
 * A message is embedded in what it carries (a request, a journal commit, a store job) and carries
 * its own route: the function that receives it. Posting allocates nothing and cannot fail, so a
 * full queue, and with it the deadlock of two full queues, does not exist; the number of messages
 * is bounded by the number of requests, which is bounded where they enter.
 *
 * Owner:     one thread takes; any thread posts. A posted message belongs to the receiver until it
 *            is posted back.
 * Order:     messages of one poster arrive in the order in which they were posted.
 * Waking:    costs about 20 us a side, so the bell is rung only when the receiver sleeps, once per
 *            sleep; a thread that posts during its turn keeps the result of mailbox_post and rings
 *            at the end of the turn.
 * Invariant: whoever posts after the receiver announced its sleep sees the announcement, or the
 *            receiver sees the message (both sides are sequentially consistent).
 * Tests:     tests/unit/engine/shard/, tests/threads/mailbox.c (under TSan).
 */
#ifndef FRESHET_ENGINE_SHARD_MAILBOX_H
#define FRESHET_ENGINE_SHARD_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct message {
    struct message *next;
    /* Runs on the thread that owns the mailbox, from its mailbox_deliver, never inside a post. */
    void (*receive)(struct message *message);
};

/* Filled by whoever owns the threads (net/server, a test, the simulator). */
struct waker {
    void (*wake)(struct waker *waker);
};

struct mailbox {
    _Atomic(struct message *) newest; /* a stack; the receiver reverses it */
    atomic_bool sleeping;
    struct waker *waker;
};

void mailbox_init(struct mailbox *mailbox, struct waker *waker);

/* True when the receiver sleeps and this caller is the one who must ring (mailbox_ring), soon. */
bool mailbox_post(struct mailbox *mailbox, struct message *message);
/* A chain first -> … -> last, oldest first, in one step. */
bool mailbox_post_chain(struct mailbox *mailbox, struct message *first, struct message *last);
/* The same without a message, for a poster that has something else to show: when the receiver
 * announced its sleep, it is no longer asleep for others, and this caller must ring. */
bool mailbox_rouse(struct mailbox *mailbox);
void mailbox_ring(struct mailbox *mailbox);
/* Post and ring at once, for a poster without turns (a store thread). */
void mailbox_send(struct mailbox *mailbox, struct message *message);

bool mailbox_has_mail(const struct mailbox *mailbox); /* receiver */
/* Receives all that is there, oldest first; returns how many. */
size_t mailbox_deliver(struct mailbox *mailbox);
/* Before sleeping: false (and awake) when something has arrived, else true and posters will
 * ring. */
bool mailbox_sleep_begin(struct mailbox *mailbox);
void mailbox_sleep_end(struct mailbox *mailbox);

#endif
