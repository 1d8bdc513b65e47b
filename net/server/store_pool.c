#include "net/server/store_pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/base/list.h"

struct store_pool {
    struct executor executor;
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct message
        *first; /* jobs, linked by their messages, which are free until they are posted */
    struct message *last;
    bool stopping;
    uint32_t thread_count;
    pthread_t threads[STORE_POOL_THREADS];
};

static struct store_job *pool_take(struct store_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->stopping) {
        pthread_cond_wait(&pool->filled, &pool->mutex);
    }
    struct message *taken = pool->first;
    if (taken != NULL) {
        pool->first = taken->next;
        taken->next = NULL;
    }
    pthread_mutex_unlock(&pool->mutex);
    return taken == NULL ? NULL : CONTAINER_OF(taken, struct store_job, message);
}

static void *pool_thread(void *argument)
{
    struct store_pool *pool = argument;
    struct store_job *job;
    while ((job = pool_take(pool)) != NULL) {
        /* The job belongs to its owner again as soon as it is posted, so its way home is read
         * before. */
        struct mailbox *reply_to = job->reply_to;
        job->run(job);
        mailbox_send(reply_to, &job->message);
    }
    return NULL;
}

static void pool_submit(struct executor *executor, struct store_job *job)
{
    struct store_pool *pool = CONTAINER_OF(executor, struct store_pool, executor);
    job->message.next = NULL;
    pthread_mutex_lock(&pool->mutex);
    ASSERT(!pool->stopping);
    if (pool->first == NULL) {
        pool->first = &job->message;
    } else {
        pool->last->next = &job->message;
    }
    pool->last = &job->message;
    pthread_cond_signal(&pool->filled);
    pthread_mutex_unlock(&pool->mutex);
}

enum status store_pool_create(struct store_pool **out)
{
    *out = NULL;
    struct store_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return STATUS_NO_MEMORY;
    }
    pool->executor.submit = pool_submit;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->filled, NULL);
    for (uint32_t i = 0; i < STORE_POOL_THREADS; i++) {
        if (pthread_create(&pool->threads[i], NULL, pool_thread, pool) != 0) {
            store_pool_destroy(&pool);
            return STATUS_NO_MEMORY;
        }
        char name[16];
        snprintf(name, sizeof(name), "store-%u", i);
        pthread_setname_np(pool->threads[i], name);
        pool->thread_count++;
    }
    *out = pool;
    return STATUS_OK;
}

struct executor *store_pool_executor(struct store_pool *pool)
{
    return &pool->executor;
}

void store_pool_destroy(struct store_pool **pool_at)
{
    struct store_pool *pool = *pool_at;
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
    *pool_at = NULL;
}
