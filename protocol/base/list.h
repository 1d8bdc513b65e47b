/*
 * list.h: an intrusive doubly linked ring and an intrusive singly linked FIFO.
 *
 * Owner:     whoever owns the element; linking allocates nothing.
 * Invariant: an unlinked ring link points at itself; a head is a link of its own.
 */
#ifndef FRESHET_PROTOCOL_BASE_LIST_H
#define FRESHET_PROTOCOL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct link {
    struct link *next;
    struct link *previous;
};

static inline void link_init(struct link *link)
{
    link->next = link;
    link->previous = link;
}

static inline bool link_is_linked(const struct link *link)
{
    return link->next != link;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline void list_push_back(struct link *head, struct link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

static inline void list_push_front(struct link *head, struct link *link)
{
    list_push_back(head->next, link);
}

static inline void link_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

static inline struct link *list_first(struct link *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

static inline struct link *list_pop_front(struct link *head)
{
    struct link *first = list_first(head);
    if (first != NULL) {
        link_remove(first);
    }
    return first;
}

/* Moves all of from to the end of to; from is empty afterwards. */
static inline void list_splice_back(struct link *to, struct link *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->previous = to->previous;
    to->previous->next = from->next;
    from->previous->next = to;
    to->previous = from->previous;
    link_init(from);
}

/* A FIFO of elements that carry one pointer. */
struct queue_link {
    struct queue_link *next;
};

struct queue {
    struct queue_link *first;
    struct queue_link *last;
};

static inline bool queue_is_empty(const struct queue *queue)
{
    return queue->first == NULL;
}

static inline void queue_push(struct queue *queue, struct queue_link *link)
{
    link->next = NULL;
    if (queue->first == NULL) {
        queue->first = link;
    } else {
        queue->last->next = link;
    }
    queue->last = link;
}

static inline struct queue_link *queue_pop(struct queue *queue)
{
    struct queue_link *first = queue->first;
    if (first != NULL) {
        queue->first = first->next;
        first->next = NULL;
    }
    return first;
}

#endif
