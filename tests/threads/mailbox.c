/*
 * Several posters, one receiver that sleeps whenever it finds nothing: no message is lost, none
 * comes twice, each poster's come in order, and the receiver is never left asleep with something in
 * its mailbox.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/shard/mailbox.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

#define POSTERS  3
#define MESSAGES 50000
/* A poster waits until so many of its messages have arrived, so that the receiver runs dry and
 * sleeps often. */
#define WINDOW 4
/* A message that nobody rang for would leave the receiver asleep for ever; this long is for
 * ever. */
#define LOST_S 20

struct numbered {
    struct message message;
    uint32_t poster;
    uint32_t number;
};

struct bell {
    struct waker waker;
    sem_t semaphore;
};

static struct mailbox mailbox;        /* shared by the threads of the test */
static struct bell bell;              /* likewise */
static uint32_t next_number[POSTERS]; /* the receiver's */
static sem_t arrived[POSTERS];        /* a window of the poster's has arrived */
static uint32_t received;             /* the receiver's */

static void ring(struct waker *waker)
{
    sem_post(&CONTAINER_OF(waker, struct bell, waker)->semaphore);
}

static void receive(struct message *message)
{
    struct numbered *numbered = CONTAINER_OF(message, struct numbered, message);
    ASSERT(numbered->number == next_number[numbered->poster]);
    next_number[numbered->poster]++;
    received++;
    if (next_number[numbered->poster] % WINDOW == 0) {
        sem_post(&arrived[numbered->poster]);
    }
    free(numbered);
}

static void *post_all(void *argument)
{
    uint32_t poster = (uint32_t)(uintptr_t)argument;
    for (uint32_t i = 0; i < MESSAGES;) {
        /* Chains of one to four. */
        struct numbered *chain[4];
        uint32_t count = i % 4 + 1;
        for (uint32_t k = 0; k < count; k++) {
            chain[k] = malloc(sizeof(*chain[k]));
            ASSERT(chain[k] != NULL);
            *chain[k] = (struct numbered){{NULL, receive}, poster, i + k};
            if (k > 0) {
                chain[k - 1]->message.next = &chain[k]->message;
            }
        }
        if (mailbox_post_chain(&mailbox, &chain[0]->message, &chain[count - 1]->message)) {
            mailbox_ring(&mailbox);
        }
        if (i / WINDOW != (i + count) / WINDOW) {
            sem_wait(&arrived[poster]);
        }
        i += count;
    }
    return NULL;
}

static uint32_t posted_each(void)
{
    uint32_t i = 0;
    while (i < MESSAGES) {
        i += i % 4 + 1;
    }
    return i;
}

int main(void)
{
    pthread_t threads[POSTERS];
    bell.waker.wake = ring;
    sem_init(&bell.semaphore, 0, 0);
    mailbox_init(&mailbox, &bell.waker);
    for (uintptr_t i = 0; i < POSTERS; i++) {
        sem_init(&arrived[i], 0, 0);
        ASSERT(pthread_create(&threads[i], NULL, post_all, (void *)i) == 0);
    }
    uint32_t sleeps = 0;
    while (received < POSTERS * posted_each()) {
        if (mailbox_deliver(&mailbox) > 0 || !mailbox_sleep_begin(&mailbox)) {
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOST_S;
        sleeps++;
        ASSERT(sem_timedwait(&bell.semaphore, &until) == 0);
        mailbox_sleep_end(&mailbox);
    }
    for (uint32_t i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        sem_destroy(&arrived[i]);
    }
    ASSERT(mailbox_deliver(&mailbox) == 0);
    printf("mailbox: %u messages, %u sleeps\n", received, sleeps);
    sem_destroy(&bell.semaphore);
    return 0;
}
