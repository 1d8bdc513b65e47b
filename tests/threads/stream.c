/*
 * Subscriptions on several threads while all of them write: two threads run shards, one is only a
 * client; store threads read slices and older blocks; segments are small, so that who lags reads
 * files. Subscribers are stuck now and then, and are closed and go on from their token.
 *
 * Each must see every change once and in order, whatever it does; what it has seen must in the end
 * be what was written; and whoever has received a change finds it, or a later one, in the cache.
 *
 * Prints the seed and what was done; exit 0 when all of that holds. An argument is the seed.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"
#include "engine/store/store_memory.h"
#include "engine/stream/stream.h"
#include "net/server/store_pool.h"
#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

#define SHARDS      4u
#define THREADS     2u
#define STREAMS     (THREADS + 1u)
#define SUBSCRIBERS 6u /* a thread */
#define KEYS        100u
#define WRITES      6000u /* a thread */
#define IN_FLIGHT   24u
#define BODY_BYTES  600u
/* So long is for ever. */
#define LOST_S 200

struct world {
    struct engine *engine;
    struct journal *journal;
    struct disk *disk;
    struct store *stores[SHARDS];
    struct store_pool *pool;
    struct collection pets;
    struct principal principal;
    struct waker waker; /* nobody sleeps */
    uint8_t shard_of_slot[SLOT_COUNT];
    _Atomic uint64_t newest[KEYS]; /* the last write of a key; odd when it was a DELETE, times 2 */
    _Atomic uint64_t last;         /* of all writes */
    atomic_uint writing;           /* threads that have not written all */
    atomic_uint working;           /* threads whose subscribers have not seen all */
    atomic_bool stop;
};

struct runner;

struct subscriber {
    struct subscription subscription;
    struct runner *runner;
    enum subscription_from from;
    struct token token; /* of the last delivery that was taken */
    bool has_token;
    bool restart;
    bool stuck;
    uint32_t room;       /* deliveries until it is stuck */
    uint64_t changed;    /* sequence of the last change */
    uint64_t seen[KEYS]; /* as in world.newest; 0: nothing */
    uint64_t changes;
    uint64_t rows;
    uint64_t restarts;
};

struct put {
    struct request request;
    struct runner *runner;
    uint32_t key;
    char id[8];
    uint8_t document[BODY_BYTES];
};

struct runner {
    struct world *world;
    uint32_t index;
    struct engine_thread *thread;
    struct stream *stream;
    uint64_t random;
    struct subscriber subscribers[SUBSCRIBERS];
    struct put puts[IN_FLIGHT];
    uint32_t begun;
    uint32_t answered;
    pthread_t id;
};

static uint64_t draw(struct runner *runner, uint64_t below)
{
    return dice_roll(&runner->random) % below;
}

/* ---- writes ---- */

static void put_begin(struct put *put);

/* Of one key the last in the journal's order counts, not the last that was answered. */
static void newest_raise(_Atomic uint64_t *newest, uint64_t value)
{
    uint64_t before = atomic_load(newest);
    while (before < value && !atomic_compare_exchange_weak(newest, &before, value)) {
    }
}

static void put_done(struct request *request)
{
    struct put *put = CONTAINER_OF(request, struct put, request);
    struct world *world = put->runner->world;
    ASSERT(request->status == STATUS_OK);
    if (request->changed) {
        uint64_t is_delete = request->kind == REQUEST_DELETE ? 1 : 0;
        newest_raise(&world->newest[put->key], request->sequence * 2 + is_delete);
        newest_raise(&world->last, request->sequence);
    }
    request_release(request);
    put->runner->answered++;
    if (put->runner->begun < WRITES) {
        put_begin(put);
    } else if (put->runner->answered == WRITES) {
        atomic_fetch_sub(&world->writing, 1);
    }
}

/* {"n": number, "p": padding} under a random key; now and then the record goes. */
static void put_begin(struct put *put)
{
    struct runner *runner = put->runner;
    struct request *request = &put->request;
    runner->begun++;
    put->key = (uint32_t)draw(runner, KEYS);
    snprintf(put->id, sizeof(put->id), "%03u", put->key);
    struct writer out = writer_of(put->document, sizeof(put->document));
    uint16_t padding = (uint16_t)draw(runner, BODY_BYTES - 32);
    writer_u8(&out, 0x82);
    writer_put(&out, BYTES_LITERAL("\xa1n\xce"));
    writer_u32(&out, (runner->index << 24) + runner->begun);
    writer_put(&out, BYTES_LITERAL("\xa1p\xda"));
    writer_u16(&out, padding);
    memset(writer_reserve(&out, padding), 'p', padding);
    *request = (struct request){
        .kind = draw(runner, 10) == 0 ? REQUEST_DELETE : REQUEST_PUT,
        .collection = &runner->world->pets,
        .principal = &runner->world->principal,
        .id = bytes_of_text(put->id),
        .document = writer_bytes(&out),
        .done = put_done,
    };
    request->hash = engine_hash(request->collection, request->id);
    engine_submit(runner->thread, request);
}

/* ---- subscribers ---- */

static uint32_t key_of(const struct change *change)
{
    ASSERT(change->id.size == 3);
    const uint8_t *digits = change->id.data;
    return (uint32_t)(digits[0] - '0') * 100 + (uint32_t)(digits[1] - '0') * 10 +
           (uint32_t)(digits[2] - '0');
}

/* Any thread that runs shards may look: what it finds is this change or a later one. */
static void cache_check(struct runner *runner, const struct change *change)
{
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    const struct collection *pets = &runner->world->pets;
    uint64_t hash = engine_hash(pets, change->id);
    if (engine_cache_get(runner->thread, pets, change->id, hash, RECORD_JSON, 1, copy, &body) !=
        STATUS_OK) {
        return;
    }
    /* What is absent has no sequence to compare. */
    ASSERT(body.meta.absent || body.meta.sequence >= change->sequence);
    if (body.pin != NULL) {
        engine_cache_release(runner->thread, hash, &body);
    }
}

static void change_take(struct subscriber *subscriber, const struct change *change)
{
    uint32_t key = key_of(change);
    ASSERT(key < KEYS);
    ASSERT(change->sequence <= engine_published(subscriber->runner->world->engine));
    ASSERT(change->sequence > subscriber->changed);
    ASSERT(change->sequence > subscriber->seen[key] / 2);
    subscriber->changed = change->sequence;
    subscriber->seen[key] = change->sequence * 2 + (change->kind == CHANGE_REMOVE ? 1 : 0);
    subscriber->changes++;
    cache_check(subscriber->runner, change);
}

static bool deliver(struct subscription *subscription, const struct delivery *delivery)
{
    struct subscriber *subscriber = CONTAINER_OF(subscription, struct subscriber, subscription);
    struct runner *runner = subscriber->runner;
    if (subscriber->room == 0) {
        subscriber->stuck = true;
        return false;
    }
    subscriber->room--;
    if (delivery->kind == DELIVERY_CHANGE) {
        change_take(subscriber, delivery->change);
    } else if (delivery->kind == DELIVERY_SNAPSHOT) {
        uint32_t key = key_of(delivery->change);
        ASSERT(delivery->change->sequence > subscriber->seen[key] / 2);
        subscriber->seen[key] = delivery->change->sequence * 2;
        subscriber->rows++;
    }
    subscriber->token = delivery->token;
    subscriber->has_token = true;
    subscriber->restart = subscriber->restart || draw(runner, 400) == 0;
    return true;
}

static void ended(struct subscription *subscription, enum status status)
{
    (void)subscription;
    fprintf(stderr, "a subscription ended: %s\n", status_text(status));
    abort();
}

static void subscribe(struct subscriber *subscriber)
{
    const struct subscription_options options = {
        .collection = &subscriber->runner->world->pets,
        .view = CHANGE_VIEW_BOTH,
        .from = subscriber->has_token ? SUBSCRIBE_TOKEN : subscriber->from,
        .token = subscriber->token,
        .deliver = deliver,
        .ended = ended,
    };
    enum status status =
        stream_subscribe(subscriber->runner->stream, &options, &subscriber->subscription);
    ASSERT(status == STATUS_OK);
    subscriber->restart = false;
    subscriber->stuck = false;
    subscriber->room = 1 + (uint32_t)draw(subscriber->runner, 2000);
}

static void subscriber_step(struct subscriber *subscriber)
{
    struct runner *runner = subscriber->runner;
    if (subscriber->restart) {
        subscription_close(&subscriber->subscription);
        subscriber->restarts++;
        if (subscriber->from == SUBSCRIBE_SNAPSHOT && draw(runner, 3) == 0) {
            /* It forgets all, and takes a snapshot of what there is by now. */
            subscriber->has_token = false;
            subscriber->changed = 0;
            memset(subscriber->seen, 0, sizeof(subscriber->seen));
        }
        subscribe(subscriber);
    } else if (subscriber->stuck && draw(runner, 20) == 0) {
        subscriber->stuck = false;
        subscriber->room = 1 + (uint32_t)draw(runner, 2000);
        subscription_resume(&subscriber->subscription);
    }
}

static bool has_seen_all(const struct subscriber *subscriber)
{
    struct world *world = subscriber->runner->world;
    for (uint32_t key = 0; key < KEYS; key++) {
        uint64_t newest = atomic_load(&world->newest[key]);
        bool gone = newest % 2 == 1; /* a snapshot that began later does not know it */
        if (subscriber->seen[key] != newest && !(gone && subscriber->seen[key] == 0)) {
            return false;
        }
    }
    return true;
}

/* ---- threads ---- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void step(struct runner *runner)
{
    uint64_t now = now_ns();
    (void)engine_thread_step(runner->thread, now, now / 1000000);
    (void)stream_step(runner->stream, now, now / 1000000);
    sched_yield();
}

static void *run(void *context)
{
    struct runner *runner = context;
    struct world *world = runner->world;
    engine_thread_begin(runner->thread, now_ns(), now_ns() / 1000000);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        subscribe(&runner->subscribers[i]);
    }
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        runner->puts[i].runner = runner;
        put_begin(&runner->puts[i]);
    }
    bool working = true;
    while (!atomic_load(&world->stop)) {
        step(runner);
        bool all = atomic_load(&world->writing) == 0;
        for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
            subscriber_step(&runner->subscribers[i]);
            all = all && has_seen_all(&runner->subscribers[i]);
        }
        if (working && all) {
            working = false;
            atomic_fetch_sub(&world->working, 1);
        }
    }
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        subscription_close(&runner->subscribers[i].subscription);
    }
    while (!stream_idle(runner->stream) || engine_thread_pending(runner->thread) > 0) {
        step(runner);
    }
    return NULL;
}

/* The main thread writes the journal until all have seen all. */
static void write_journal(struct world *world)
{
    while (atomic_load(&world->working) > 0 || !journal_idle(world->journal)) {
        uint64_t now = now_ns();
        (void)engine_journal_step(world->engine, now, now / 1000000);
        disk_blocking_step(world->disk);
        sched_yield();
    }
}

/* ---- the world ---- */

static void wake_nobody(struct waker *waker)
{
    (void)waker;
}

static void journal_begin(struct world *world, const char *folder)
{
    const struct disk_blocking_options disk_options = {.folder = folder};
    enum status status = disk_blocking_create(&disk_options, &world->disk);
    ASSERT(status == STATUS_OK);
    const struct journal_options options = {
        .durability = JOURNAL_NONE,
        .segment_bytes = 256u << 10,
        .retention_bytes = UINT64_MAX,
        .retention_ms = UINT64_MAX,
        .batch_bytes_max = 32u << 10,
        .entry_bytes_max = 8u << 10,
        .shard_count = SHARDS,
        .disk = world->disk,
        .executor = store_pool_executor(world->pool),
    };
    struct journal_problem problem;
    status = journal_segments_open(&options, NULL, &world->journal, &problem);
    ASSERT(status == STATUS_OK);
}

static void world_begin(struct world *world, const char *folder)
{
    enum status status = store_pool_create(&world->pool);
    ASSERT(status == STATUS_OK);
    journal_begin(world, folder);
    world->waker.wake = wake_nobody;
    world->principal = PRINCIPAL_ANONYMOUS;
    world->pets =
        (struct collection){.name = BYTES_LITERAL("pets"), .cached = true, .old_images = true};
    atomic_store(&world->pets.ttl.record_ns, UINT64_MAX);
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
        .client_count = STREAMS - THREADS,
        .shard_of_slot = world->shard_of_slot,
        .stores = world->stores,
        .journal = world->journal,
        .executor = store_pool_executor(world->pool),
        .cache_bytes = 4u << 20,
        .journal_tail_max = UINT64_MAX,
        .memtable_bytes_max = UINT64_MAX,
        .queued_bytes_max = 64u << 20,
    };
    status = engine_create(&options, &world->engine);
    ASSERT(status == STATUS_OK);
    atomic_store(&world->writing, STREAMS);
    atomic_store(&world->working, STREAMS);
}

static enum status remove_one(void *context, const char *name)
{
    struct disk *disk = context;
    return disk->vtable->remove(disk, name);
}

static void world_end(struct world *world, const char *folder)
{
    store_pool_destroy(&world->pool); /* it looks at mailboxes after their messages were taken */
    engine_destroy(&world->engine);
    journal_segments_abandon(world->journal);
    enum status status = world->disk->vtable->list(world->disk, remove_one, world->disk);
    ASSERT(status == STATUS_OK);
    world->disk->vtable->destroy(world->disk);
    for (uint32_t i = 0; i < SHARDS; i++) {
        store_destroy(&world->stores[i]);
    }
    rmdir(folder);
}

static void runner_begin(struct runner *runner, struct world *world, uint32_t index, uint64_t seed)
{
    runner->world = world;
    runner->index = index;
    uint64_t seeds = seed + index;
    runner->random = dice_roll(&seeds);
    runner->thread = engine_thread_at(world->engine, index);
    engine_thread_attach(runner->thread, &world->waker);
    const struct stream_options options = {
        .engine = world->engine,
        .engine_thread = runner->thread,
        .executor = store_pool_executor(world->pool),
        .subscriptions_max = SUBSCRIBERS,
    };
    enum status status = stream_create(&options, &runner->stream);
    ASSERT(status == STATUS_OK);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        runner->subscribers[i].runner = runner;
        runner->subscribers[i].from = i % 2 == 0 ? SUBSCRIBE_EARLIEST : SUBSCRIBE_SNAPSHOT;
    }
}

static void runner_report(struct runner *runner)
{
    uint64_t changes = 0;
    uint64_t rows = 0;
    uint64_t restarts = 0;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        changes += runner->subscribers[i].changes;
        rows += runner->subscribers[i].rows;
        restarts += runner->subscribers[i].restarts;
    }
    const struct stream_statistics *statistics = stream_statistics(runner->stream);
    printf("thread %u: %llu changes, %llu rows of snapshots, %llu restarts, %llu older blocks\n",
           runner->index, (unsigned long long)changes, (unsigned long long)rows,
           (unsigned long long)restarts, (unsigned long long)atomic_load(&statistics->older_reads));
}

int main(int count, char **words)
{
    static struct world world;
    static struct runner runners[STREAMS];
    uint64_t seed = count > 1 ? strtoull(words[1], NULL, 10) : 1;
    char folder[] = "/tmp/freshet-threads-XXXXXX";
    const char *made = mkdtemp(folder);
    ASSERT(made != NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    alarm(LOST_S);
    world_begin(&world, folder);
    for (uint32_t i = 0; i < STREAMS; i++) {
        runner_begin(&runners[i], &world, i, seed);
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
        int failed = pthread_create(&runners[i].id, NULL, run, &runners[i]);
        ASSERT(failed == 0);
    }
    write_journal(&world);
    atomic_store(&world.stop, true);
    for (uint32_t i = 0; i < STREAMS; i++) {
        pthread_join(runners[i].id, NULL);
        runner_report(&runners[i]);
        stream_destroy(&runners[i].stream);
    }
    ASSERT(engine_published(world.engine) == atomic_load(&world.last));
    world_end(&world, folder);
    return 0;
}
