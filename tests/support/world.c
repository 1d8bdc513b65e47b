#include "tests/support/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/shard/shard_internal.h"
#include "engine/store/store_memory.h"
#include "protocol/document/json.h"

/* Enough turns for anything that is not held. */
#define SETTLE_STEPS_MAX 100000

static void world_executor_submit(struct executor *executor, struct store_job *job)
{
    struct world *world = CONTAINER_OF(executor, struct world, executor);
    ASSERT(world->job_count < sizeof(world->jobs) / sizeof(world->jobs[0]));
    world->jobs[world->job_count++] = job;
}

static void world_wake(struct waker *waker)
{
    (void)waker; /* every step looks at every thread */
}

static void collections_init(struct world *world)
{
    struct collection *pets = &world->collections[0];
    *pets = (struct collection){
        .number = 0,
        .name = BYTES_LITERAL("pets"),
        .singular = BYTES_LITERAL("Pet"),
        .cached = true,
        .old_images = true,
    };
    struct collection *products = &world->collections[1];
    *products = (struct collection){
        .number = 1,
        .name = BYTES_LITERAL("products"),
        .singular = BYTES_LITERAL("Product"),
        .cached = true,
        .old_images = false,
        .index_count = 1,
        .field_count = 2,
        .kept_count = 1,
    };
    static const uint8_t empty_text[] = {0xa0};
    products->indexes[0] = BYTES_LITERAL("category");
    products->kept[0] = BYTES_LITERAL("images");
    products->fields[0] =
        (struct collection_field){BYTES_LITERAL("title"), FIELD_STRING, {empty_text, 1}};
    products->fields[1] =
        (struct collection_field){BYTES_LITERAL("price"), FIELD_NUMBER, BYTES_EMPTY};
    for (int i = 0; i < 2; i++) {
        struct collection_ttl *ttl = &world->collections[i].ttl;
        atomic_store(&ttl->record_ns, 3600ull * 1000000000ull);
        atomic_store(&ttl->list_ns, 3600ull * 1000000000ull);
        atomic_store(&ttl->index_ns, 3600ull * 1000000000ull);
    }
    collection_internal_fill(&world->collections[2], 2);
}

static uint32_t world_thread_count(const struct world *world)
{
    return world->options.thread_count + world->options.client_count;
}

static void engine_begin(struct world *world)
{
    world->options.seed++;
    enum status status = engine_create(&world->options, &world->engine);
    ASSERT(status == STATUS_OK);
    for (uint32_t i = 0; i < world_thread_count(world); i++) {
        engine_thread_attach(engine_thread_at(world->engine, i), &world->waker);
    }
    uint64_t entries;
    struct detail detail;
    status = engine_replay(world->engine, &entries, &detail);
    ASSERT(status == STATUS_OK);
}

void world_create(struct world *world, const struct world_options *options)
{
    memset(world, 0, sizeof(*world));
    world->world_options = *options;
    world->executor.submit = world_executor_submit;
    world->waker.wake = world_wake;
    world->step_ns = 10000;
    world->wall_ms = 1767225600000ull; /* 2026-01-01 */
    collections_init(world);
    uint32_t shards = options->shard_count == 0 ? 4 : options->shard_count;
    ASSERT(shards <= WORLD_SHARDS_MAX);
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        world->shard_of_slot[i] = (uint8_t)(i * shards / SLOT_COUNT);
    }
    enum status status = STATUS_OK;
    world->journal = options->journal;
    if (world->journal == NULL) {
        const struct journal_options journal_options = {
            .durability = options->durability,
            .interval_ns = 1000000000ull,
            .shard_count = shards,
            .waker = &world->waker,
            .batch_bytes_max = 1u << 20,
        };
        status = journal_memory_open(&journal_options, &world->journal);
    }
    for (uint32_t i = 0; i < shards && status == STATUS_OK; i++) {
        if (options->stores != NULL) {
            world->stores[i] = options->stores[i];
        } else {
            status = store_memory_open(&world->stores[i]);
        }
    }
    ASSERT(status == STATUS_OK);
    world->options = (struct engine_options){
        .collections = world->collections,
        .collection_count = 2 + COLLECTION_INTERNAL_COUNT,
        .shard_count = shards,
        .thread_count = options->thread_count == 0 ? 1 : options->thread_count,
        .client_count = options->client_count,
        .shard_of_slot = world->shard_of_slot,
        .stores = world->stores,
        .journal = world->journal,
        .executor = &world->executor,
        .cache_bytes = options->cache_bytes,
        .journal_tail_max = 256u << 20,
        .memtable_bytes_max =
            options->memtable_bytes_max == 0 ? 1u << 20 : options->memtable_bytes_max,
        .buffer_rows_max = options->buffer_rows_max,
        .queued_bytes_max = 64u << 20,
        .answer_bytes_max = world->world_options.answer_bytes_max,
        .idempotency_ms = 24ull * 3600 * 1000,
        .journal_durable_on_commit = options->durability == JOURNAL_SYNC,
        .seed = options->seed,
    };
    engine_begin(world);
}

void world_destroy(struct world *world)
{
    world->hold_jobs = false;
    world->hold_journal = false;
    world_settle(world);
    engine_destroy(&world->engine);
    if (world->world_options.stores == NULL) {
        for (uint32_t i = 0; i < world->options.shard_count; i++) {
            store_destroy(&world->stores[i]);
        }
    }
    if (world->world_options.journal == NULL) {
        journal_close(world->journal);
    }
}

void world_restart_engine(struct world *world)
{
    world_restart_engine_on(world, world->options.thread_count);
}

void world_restart_engine_on(struct world *world, uint32_t thread_count)
{
    ASSERT(thread_count >= 1 && thread_count <= WORLD_THREADS_MAX);
    world_settle(world);
    engine_destroy(&world->engine);
    world->options.thread_count = thread_count;
    engine_begin(world);
}

void world_job_run(struct world *world, uint32_t index)
{
    ASSERT(index < world->job_count);
    struct store_job *job = world->jobs[index];
    world->job_count--;
    memmove(&world->jobs[index], &world->jobs[index + 1],
            (world->job_count - index) * sizeof(world->jobs[0]));
    job->run(job);
    mailbox_send(job->reply_to, &job->message);
}

void world_step(struct world *world)
{
    world->now_ns += world->step_ns;
    world->wall_ms = 1767225600000ull + world->now_ns / 1000000;
    for (uint32_t i = 0; i < world_thread_count(world); i++) {
        engine_thread_step(engine_thread_at(world->engine, i), world->now_ns, world->wall_ms);
    }
    while (!world->hold_jobs && world->job_count > 0) {
        world_job_run(world, 0);
    }
    if (!world->hold_journal) {
        engine_journal_step(world->engine, world->now_ns, world->wall_ms);
    }
}

static bool world_is_quiet(struct world *world)
{
    bool quiet = world->hold_jobs || world->job_count == 0;
    quiet = quiet && (world->hold_journal || journal_idle(world->journal));
    for (uint32_t i = 0; i < world_thread_count(world); i++) {
        struct engine_thread *thread = engine_thread_at(world->engine, i);
        quiet = quiet && atomic_load(&thread->mailbox.newest) == NULL &&
                (world->hold_jobs || world->hold_journal || engine_thread_pending(thread) == 0);
    }
    for (uint32_t i = 0; i < world->options.shard_count; i++) {
        quiet = quiet && (world->hold_jobs || flush_idle(world->engine->shards[i]));
    }
    return quiet;
}

void world_settle(struct world *world)
{
    /* A few quiet turns in a row: a message may be on its way between two of them. */
    int quiet = 0;
    for (int i = 0; quiet < 4 && i < SETTLE_STEPS_MAX; i++) {
        world_step(world);
        quiet = world_is_quiet(world) ? quiet + 1 : 0;
    }
    ASSERT(quiet == 4);
}

struct collection *world_pets(struct world *world)
{
    return &world->collections[0];
}

struct collection *world_products(struct world *world)
{
    return &world->collections[1];
}

struct collection *world_internal(struct world *world, enum collection_internal which)
{
    return &world->collections[2 + which];
}

static void world_done(struct request *request)
{
    struct world_request *mine = CONTAINER_OF(request, struct world_request, request);
    ASSERT(!mine->done);
    mine->done = true;
}

/* What the caller set beforehand (preconditions, keys, limits) stays. */
void world_submit(struct world *world, uint32_t thread, struct world_request *mine,
                  enum request_kind kind, struct collection *collection, const char *id,
                  const char *json)
{
    struct request *request = &mine->request;
    request_release(request);
    mine->done = false;
    mine->principal = PRINCIPAL_ANONYMOUS;
    request->kind = kind;
    request->collection = collection;
    request->principal = &mine->principal;
    request->done = world_done;
    request->answer_buffer = mine->answer;
    request->answer_buffer_size = sizeof(mine->answer);
    request->new_id = BYTES_EMPTY;
    ASSERT((collection == NULL) == (kind == REQUEST_EVENT));
    if (id != NULL) {
        snprintf(mine->id, sizeof(mine->id), "%s", id);
        request->id = bytes_of_text(mine->id);
        request->hash = engine_hash(collection, request->id);
    }
    if (kind == REQUEST_LIST && request->list_limit == 0) {
        request->list_limit = LIST_RECORDS_MAX;
    }
    if (json != NULL) {
        struct writer document = writer_of(mine->document, sizeof(mine->document));
        enum status status = json_to_document(bytes_of_text(json), &document, NULL);
        ASSERT(status == STATUS_OK);
        request->document = writer_bytes(&document);
    }
    engine_submit(engine_thread_at(world->engine, thread), request);
    ASSERT(!mine->done);
}

enum status world_run(struct world *world, struct world_request *request, enum request_kind kind,
                      struct collection *collection, const char *id, const char *json)
{
    world_submit(world, 0, request, kind, collection, id, json);
    for (int i = 0; !request->done && i < SETTLE_STEPS_MAX; i++) {
        world_step(world);
    }
    ASSERT(request->done);
    return request->request.status;
}

bool world_answer_is(const struct world_request *request, const char *json)
{
    if (bytes_equal(request->request.answer, bytes_of_text(json))) {
        return true;
    }
    fprintf(stderr, "answer: %.*s\nwanted: %s\n", (int)request->request.answer.size,
            (const char *)request->request.answer.data, json);
    return false;
}
