/*
 * Jobs from several threads: each runs once, on a thread of the pool, and comes back once to the
 * mailbox it names, after which nobody touches it (it is freed there). Then a pool that is
 * destroyed while jobs are queued runs them all before it returns. Also under TSan.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/server/store_pool.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

#define SUBMITTER_COUNT 4
#define JOB_COUNT       20000u /* of each submitter */
#define WINDOW          32u    /* of a submitter's jobs that are out at a time */
#define QUEUED_COUNT    1000u  /* behind the jobs that keep the threads busy, at the end */
#define LOST_S          20     /* so long is for ever */

struct submitter {
    struct mailbox mailbox;
    struct waker waker;
    sem_t bell;
    pthread_t thread;
    struct executor *executor;
    uint32_t received; /* the submitter's own */
    _Atomic uint32_t ran;
};

struct counted_job {
    struct store_job job;
    struct submitter *submitter;
    uint32_t runs;
};

/* What keeps a thread of the pool busy until the gate opens. */
struct gate_job {
    struct store_job job;
    sem_t *entered;
    sem_t *gate;
};

static void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    int result = pthread_create(thread, NULL, run, argument);
    ASSERT(result == 0);
}

static void bell_ring(struct waker *waker)
{
    sem_post(&CONTAINER_OF(waker, struct submitter, waker)->bell);
}

static void submitter_init(struct submitter *submitter, struct executor *executor)
{
    memset(submitter, 0, sizeof(*submitter));
    submitter->waker.wake = bell_ring;
    submitter->executor = executor;
    sem_init(&submitter->bell, 0, 0);
    mailbox_init(&submitter->mailbox, &submitter->waker);
}

static void counted_run(struct store_job *job)
{
    struct counted_job *counted = CONTAINER_OF(job, struct counted_job, job);
    counted->runs++;
    atomic_fetch_add(&counted->submitter->ran, 1);
}

static void counted_received(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct counted_job *counted = CONTAINER_OF(job, struct counted_job, job);
    ASSERT(counted->runs == 1);
    counted->submitter->received++;
    free(counted);
}

static void counted_submit(struct submitter *submitter)
{
    struct counted_job *counted = malloc(sizeof(*counted));
    ASSERT(counted != NULL);
    *counted = (struct counted_job){
        .job = {.message = {.receive = counted_received},
                .reply_to = &submitter->mailbox,
                .run = counted_run},
        .submitter = submitter,
    };
    executor_submit(submitter->executor, &counted->job);
}

/* Sleeps until something has come; a job that is lost fails here. */
static void receive_some(struct submitter *submitter)
{
    while (mailbox_deliver(&submitter->mailbox) == 0) {
        if (!mailbox_sleep_begin(&submitter->mailbox)) {
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOST_S;
        int result = sem_timedwait(&submitter->bell, &until);
        ASSERT(result == 0);
        mailbox_sleep_end(&submitter->mailbox);
    }
}

static void *submit_all(void *argument)
{
    struct submitter *submitter = argument;
    for (uint32_t submitted = 0; submitted < JOB_COUNT; submitted++) {
        if (submitted - submitter->received == WINDOW) {
            receive_some(submitter);
        }
        counted_submit(submitter);
    }
    while (submitter->received < JOB_COUNT) {
        receive_some(submitter);
    }
    ASSERT(submitter->received == JOB_COUNT);
    ASSERT(atomic_load(&submitter->ran) == JOB_COUNT);
    return NULL;
}

static void many_submit(void)
{
    static struct submitter submitters[SUBMITTER_COUNT];
    struct store_pool *pool;
    enum status status = store_pool_create(&pool);
    ASSERT(status == STATUS_OK);
    for (unsigned i = 0; i < SUBMITTER_COUNT; i++) {
        submitter_init(&submitters[i], store_pool_executor(pool));
        thread_start(&submitters[i].thread, submit_all, &submitters[i]);
    }
    for (unsigned i = 0; i < SUBMITTER_COUNT; i++) {
        pthread_join(submitters[i].thread, NULL);
    }
    store_pool_destroy(&pool);
    ASSERT(pool == NULL);
    for (unsigned i = 0; i < SUBMITTER_COUNT; i++) {
        size_t late = mailbox_deliver(&submitters[i].mailbox);
        ASSERT(late == 0);
        sem_destroy(&submitters[i].bell);
    }
}

/* ---- the end, with a full queue ---- */

static void gate_run(struct store_job *job)
{
    struct gate_job *gate = CONTAINER_OF(job, struct gate_job, job);
    sem_post(gate->entered);
    sem_wait(gate->gate);
}

static void gate_received(struct message *message)
{
    (void)message;
}

struct ending {
    pthread_t thread;
    struct store_pool *pool;
    _Atomic int thread_id;
};

static void *destroy_pool(void *argument)
{
    struct ending *ending = argument;
    atomic_store(&ending->thread_id, (int)syscall(SYS_gettid));
    store_pool_destroy(&ending->pool);
    return NULL;
}

/* The kernel's letter for what a thread of ours does: 'S' sleeps. */
static char thread_state(int thread_id)
{
    char path[64];
    char text[256] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread_id);
    FILE *file = fopen(path, "r");
    ASSERT(file != NULL);
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    const char *end = strrchr(text, ')');
    ASSERT(size > 0);
    ASSERT(end != NULL);
    return end[2];
}

static void destroyed_with_queued_jobs(void)
{
    static struct submitter submitter;
    struct ending ending = {.pool = NULL};
    struct gate_job gates[STORE_POOL_THREADS];
    sem_t entered;
    sem_t gate;
    sem_init(&entered, 0, 0);
    sem_init(&gate, 0, 0);
    enum status status = store_pool_create(&ending.pool);
    ASSERT(status == STATUS_OK);
    submitter_init(&submitter, store_pool_executor(ending.pool));
    for (unsigned i = 0; i < STORE_POOL_THREADS; i++) {
        gates[i] = (struct gate_job){
            .job = {{.receive = gate_received}, &submitter.mailbox, gate_run}, &entered, &gate};
        executor_submit(submitter.executor, &gates[i].job);
    }
    for (unsigned i = 0; i < STORE_POOL_THREADS; i++) {
        sem_wait(&entered);
    }
    for (unsigned i = 0; i < QUEUED_COUNT; i++) {
        counted_submit(&submitter);
    }
    thread_start(&ending.thread, destroy_pool, &ending);
    /* Nobody holds the pool's lock now, so it sleeps only where it waits for the threads. */
    while (atomic_load(&ending.thread_id) == 0 ||
           thread_state(atomic_load(&ending.thread_id)) != 'S') {
        sched_yield();
    }
    ASSERT(atomic_load(&submitter.ran) == 0);
    for (unsigned i = 0; i < STORE_POOL_THREADS; i++) {
        sem_post(&gate);
    }
    pthread_join(ending.thread, NULL);
    ASSERT(ending.pool == NULL);
    ASSERT(atomic_load(&submitter.ran) == QUEUED_COUNT);
    size_t delivered = mailbox_deliver(&submitter.mailbox);
    ASSERT(delivered == QUEUED_COUNT + STORE_POOL_THREADS);
    ASSERT(submitter.received == QUEUED_COUNT);
    sem_destroy(&submitter.bell);
    sem_destroy(&entered);
    sem_destroy(&gate);
}

int main(void)
{
    many_submit();
    destroyed_with_queued_jobs();
    printf("store pool: %u jobs from %u threads, %u at its end\n", JOB_COUNT * SUBMITTER_COUNT,
           SUBMITTER_COUNT, QUEUED_COUNT);
    return 0;
}
