/*
 * No wake-up of a follower is lost: threads that run shards, and others that are only clients,
 * follow the published position and sleep without a time limit. The next writes are submitted when
 * every follower has seen the ones before, on one shard thread or on both at once. Were a wake-up
 * ever lost, all would sleep for good; then the alarm ends the process.
 *
 * Prints what was done; exit 0 when every follower saw every write.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/shard/engine.h"
#include "engine/store/store_memory.h"
#include "protocol/base/assert.h"
#include "protocol/base/dice.h"
#include "protocol/base/list.h"

#define SHARDS    4u
#define THREADS   2u
#define CLIENTS   2u
#define FOLLOWERS (THREADS + CLIENTS)
#define ROUNDS    20000u
/* So long is for ever. */
#define LOST_S 120

struct bell {
    struct waker waker;
    sem_t semaphore;
};

struct world {
    struct engine *engine;
    struct journal *journal;
    struct store *stores[SHARDS];
    struct collection pets;
    struct principal principal;
    struct executor executor;
    struct bell writer_bell;
    uint8_t shard_of_slot[SLOT_COUNT];
    _Atomic uint64_t target; /* what every follower is to see */
    atomic_bool stop;
    sem_t seen; /* once by each follower, when it has */
    sem_t answered;
};

struct follower {
    struct world *world;
    struct engine_thread *thread;
    struct bell bell;
    uint64_t seen;
    uint64_t told; /* of the target that it last reported */
    uint64_t sleeps;
    pthread_t id;
};

/* A write, handed to the thread that is to submit it. */
struct put {
    struct message message;
    struct request request;
    struct follower *follower;
    char id[16];
    uint8_t document[1];
};

static void ring(struct waker *waker)
{
    sem_post(&CONTAINER_OF(waker, struct bell, waker)->semaphore);
}

static void bell_init(struct bell *bell)
{
    bell->waker.wake = ring;
    sem_init(&bell->semaphore, 0, 0);
}

static void bell_wait(struct bell *bell)
{
    while (sem_wait(&bell->semaphore) != 0) {
    }
}

/* Nothing here takes long, so the jobs run where they are submitted. */
static void run_now(struct executor *executor, struct store_job *job)
{
    (void)executor;
    job->run(job);
    mailbox_send(job->reply_to, &job->message);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- threads ---- */

static void *write_journal(void *context)
{
    struct world *world = context;
    while (!atomic_load(&world->stop)) {
        uint64_t now = now_ns();
        (void)engine_journal_step(world->engine, now, now / 1000000);
        if (mailbox_sleep_begin(&world->journal->inbox)) {
            bell_wait(&world->writer_bell);
            mailbox_sleep_end(&world->journal->inbox);
        }
    }
    return NULL;
}

static void *follow(void *context)
{
    struct follower *follower = context;
    struct world *world = follower->world;
    while (!atomic_load(&world->stop)) {
        uint64_t now = now_ns();
        uint64_t again = engine_thread_step(follower->thread, now, now / 1000000);
        follower->seen = engine_published(world->engine);
        engine_thread_follow(follower->thread, follower->seen);
        uint64_t target = atomic_load(&world->target);
        if (follower->told < target && follower->seen >= target) {
            follower->told = target;
            sem_post(&world->seen);
        }
        /* Whatever a shard wants later, no time limit may stand in for the bell. */
        if (again != 0 && engine_thread_sleep_begin(follower->thread)) {
            follower->sleeps++;
            bell_wait(&follower->bell);
            engine_thread_sleep_end(follower->thread);
        }
    }
    engine_thread_follow(follower->thread, UINT64_MAX);
    return NULL;
}

/* ---- writes ---- */

static void put_done(struct request *request)
{
    struct put *put = CONTAINER_OF(request, struct put, request);
    ASSERT(request->status == STATUS_OK);
    request_release(request);
    sem_post(&put->follower->world->answered);
}

static void put_arrived(struct message *message)
{
    struct put *put = CONTAINER_OF(message, struct put, message);
    engine_submit(put->follower->thread, &put->request);
}

/* A new record in a shard of that thread, submitted there. */
static void put_submit(struct world *world, struct follower *follower, uint32_t thread,
                       struct put *put, uint64_t number)
{
    *put = (struct put){.message = {.receive = put_arrived}, .follower = follower};
    put->document[0] = 0x80; /* {} */
    struct request *request = &put->request;
    for (uint32_t draw = 0;; draw++) {
        snprintf(put->id, sizeof(put->id), "%llu.%u", (unsigned long long)number, draw);
        request->id = bytes_of_text(put->id);
        request->hash = engine_hash(&world->pets, request->id);
        if (engine_thread_of_hash(world->engine, request->hash) == thread) {
            break;
        }
    }
    request->kind = REQUEST_PUT;
    request->collection = &world->pets;
    request->principal = &world->principal;
    request->document = bytes_of(put->document, 1);
    request->done = put_done;
    mailbox_send(engine_thread_mailbox(follower->thread), &put->message);
}

static void rounds_run(struct world *world, struct follower *followers)
{
    uint64_t random = 1;
    static struct put puts[THREADS];
    uint64_t written = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t which = (uint32_t)(dice_roll(&random) % 3) + 1; /* a bit for each thread */
        uint32_t count = (uint32_t)__builtin_popcount(which);
        written += count;
        atomic_store(&world->target, written);
        for (uint32_t thread = 0; thread < THREADS; thread++) {
            if ((which & 1u << thread) != 0) {
                put_submit(world, &followers[thread], thread, &puts[thread], written);
            }
        }
        for (uint32_t i = 0; i < FOLLOWERS; i++) {
            while (sem_wait(&world->seen) != 0) {
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            while (sem_wait(&world->answered) != 0) {
            }
        }
    }
    printf("follow: %llu writes in %u rounds", (unsigned long long)written, ROUNDS);
}

/* ---- the world ---- */

static void world_init(struct world *world)
{
    bell_init(&world->writer_bell);
    sem_init(&world->seen, 0, 0);
    sem_init(&world->answered, 0, 0);
    world->executor.submit = run_now;
    world->principal = PRINCIPAL_ANONYMOUS;
    world->pets = (struct collection){.name = BYTES_LITERAL("pets"), .old_images = true};
    const struct journal_options journal_options = {
        .shard_count = SHARDS, .batch_bytes_max = 1u << 20, .waker = &world->writer_bell.waker};
    enum status status = journal_memory_open(&journal_options, &world->journal);
    ASSERT(status == STATUS_OK);
    for (uint32_t i = 0; i < SHARDS; i++) {
        status = store_memory_open(&world->stores[i]);
        ASSERT(status == STATUS_OK);
    }
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        world->shard_of_slot[i] = (uint8_t)(i % SHARDS);
    }
    const struct engine_options options = {
        .collections = &world->pets,
        .collection_count = 1,
        .shard_count = SHARDS,
        .thread_count = THREADS,
        .client_count = CLIENTS,
        .shard_of_slot = world->shard_of_slot,
        .stores = world->stores,
        .journal = world->journal,
        .executor = &world->executor,
        .journal_tail_max = UINT64_MAX,
        .memtable_bytes_max = UINT64_MAX,
        .queued_bytes_max = 64u << 20,
    };
    status = engine_create(&options, &world->engine);
    ASSERT(status == STATUS_OK);
}

static void world_deinit(struct world *world)
{
    engine_destroy(&world->engine);
    journal_close(world->journal);
    for (uint32_t i = 0; i < SHARDS; i++) {
        store_destroy(&world->stores[i]);
    }
}

int main(void)
{
    static struct world world;
    static struct follower followers[FOLLOWERS];
    alarm(LOST_S);
    world_init(&world);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        followers[i].world = &world;
        followers[i].thread = engine_thread_at(world.engine, i);
        bell_init(&followers[i].bell);
        engine_thread_attach(followers[i].thread, &followers[i].bell.waker);
    }
    pthread_t writer;
    int failed = pthread_create(&writer, NULL, write_journal, &world);
    ASSERT(failed == 0);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        failed = pthread_create(&followers[i].id, NULL, follow, &followers[i]);
        ASSERT(failed == 0);
    }
    rounds_run(&world, followers);
    atomic_store(&world.stop, true);
    ring(&world.writer_bell.waker);
    pthread_join(writer, NULL);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        ring(&followers[i].bell.waker);
        pthread_join(followers[i].id, NULL);
        printf(", %llu sleeps", (unsigned long long)followers[i].sleeps);
    }
    printf("\n");
    world_deinit(&world);
    return 0;
}
