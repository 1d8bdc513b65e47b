#include "engine/shard/mailbox.h"

#include "protocol/base/assert.h"

void mailbox_init(struct mailbox *mailbox, struct waker *waker)
{
    ASSERT(waker != NULL);
    atomic_init(&mailbox->newest, NULL);
    atomic_init(&mailbox->sleeping, false);
    mailbox->waker = waker;
}

bool mailbox_rouse(struct mailbox *mailbox)
{
    return atomic_load(&mailbox->sleeping) && atomic_exchange(&mailbox->sleeping, false);
}

bool mailbox_post_chain(struct mailbox *mailbox, struct message *first, struct message *last)
{
    ASSERT(first != NULL);
    ASSERT(last != NULL);
    /* The stack wants the newest on top: turn the chain around before it is shown to the
     * receiver. */
    struct message *oldest = first;
    struct message *top = NULL;
    for (struct message *at = first; at != NULL;) {
        ASSERT(at->receive != NULL);
        struct message *next = at == last ? NULL : at->next;
        at->next = top;
        top = at;
        at = next;
    }
    struct message *below = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        oldest->next = below;
    } while (!atomic_compare_exchange_weak(&mailbox->newest, &below, top));
    return mailbox_rouse(mailbox);
}

bool mailbox_post(struct mailbox *mailbox, struct message *message)
{
    return mailbox_post_chain(mailbox, message, message);
}

void mailbox_ring(struct mailbox *mailbox)
{
    mailbox->waker->wake(mailbox->waker);
}

void mailbox_send(struct mailbox *mailbox, struct message *message)
{
    if (mailbox_post(mailbox, message)) {
        mailbox_ring(mailbox);
    }
}

bool mailbox_has_mail(const struct mailbox *mailbox)
{
    return atomic_load_explicit(&mailbox->newest, memory_order_relaxed) != NULL;
}

size_t mailbox_deliver(struct mailbox *mailbox)
{
    if (!mailbox_has_mail(mailbox)) {
        return 0;
    }
    struct message *newest = atomic_exchange(&mailbox->newest, NULL);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    size_t count = 0;
    while (oldest != NULL) {
        /* The receiver may post the message on, so its link is read first. */
        struct message *next = oldest->next;
        oldest->receive(oldest);
        oldest = next;
        count++;
    }
    return count;
}

bool mailbox_sleep_begin(struct mailbox *mailbox)
{
    atomic_store(&mailbox->sleeping, true);
    if (atomic_load(&mailbox->newest) == NULL) {
        return true;
    }
    atomic_store(&mailbox->sleeping, false);
    return false;
}

void mailbox_sleep_end(struct mailbox *mailbox)
{
    atomic_store(&mailbox->sleeping, false);
}
