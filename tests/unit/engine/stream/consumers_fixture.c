#include "tests/unit/engine/stream/consumers_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

#define STEPS_MAX 200000

static void consumers_begin(struct fixture *fixture)
{
    uint32_t threads = fixture->world.options.thread_count;
    ASSERT(threads <= WORLD_THREADS_MAX);
    for (uint32_t i = 0; i < threads; i++) {
        const struct consumers_options options = {
            .engine = fixture->world.engine,
            .engine_thread = engine_thread_at(fixture->world.engine, i),
            .thread_index = i,
            .executor = &fixture->world.executor,
            .collection = world_internal(&fixture->world, COLLECTION_CONSUMERS),
            .all = fixture->all,
            .thread_count = threads,
            .lease_ns = fixture->lease_ns,
        };
        enum status status = consumers_create(&options, &fixture->all[i]);
        ASSERT(status == STATUS_OK);
    }
}

static void consumers_end(struct fixture *fixture)
{
    fixture_settle(fixture);
    for (uint32_t i = 0; i < WORLD_THREADS_MAX; i++) {
        consumers_destroy(&fixture->all[i]);
    }
}

void fixture_create(struct fixture *fixture, uint32_t threads, uint64_t lease_ns)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->lease_ns = lease_ns;
    /* What is applied outlives a restart without a flush, in these stores that are kept. */
    world_create(&fixture->world,
                 &(struct world_options){.thread_count = threads, .buffer_rows_max = 1});
    consumers_begin(fixture);
}

void fixture_destroy(struct fixture *fixture)
{
    consumers_end(fixture);
    request_release(&fixture->write.request);
    world_destroy(&fixture->world);
}

void fixture_restart(struct fixture *fixture, uint32_t threads)
{
    consumers_end(fixture);
    world_restart_engine_on(&fixture->world, threads);
    consumers_begin(fixture);
}

void fixture_step(struct fixture *fixture)
{
    world_step(&fixture->world);
    for (uint32_t i = 0; i < fixture->world.options.thread_count; i++) {
        consumers_step(fixture->all[i], fixture->world.now_ns, fixture->world.wall_ms);
    }
}

static bool is_idle(const struct fixture *fixture)
{
    bool idle = fixture->world.job_count == 0;
    for (uint32_t i = 0; i < fixture->world.options.thread_count; i++) {
        idle = idle && consumers_idle(fixture->all[i]);
    }
    return idle;
}

void fixture_settle(struct fixture *fixture)
{
    int quiet = 0;
    for (int i = 0; quiet < 4; i++) {
        ASSERT(i < STEPS_MAX);
        fixture_step(fixture);
        quiet = is_idle(fixture) ? quiet + 1 : 0;
    }
    world_settle(&fixture->world);
}

void fixture_wait_ms(struct fixture *fixture, uint64_t ms)
{
    uint64_t step_ns = fixture->world.step_ns;
    fixture->world.step_ns = ms * FIXTURE_MS / 10;
    for (int i = 0; i < 10; i++) {
        fixture_step(fixture);
    }
    fixture->world.step_ns = step_ns;
    for (int i = 0; i < 20; i++) {
        fixture_step(fixture);
    }
}

static void request_done(struct consumer_request *request)
{
    struct fixture_request *mine = CONTAINER_OF(request, struct fixture_request, request);
    ASSERT(!mine->done);
    mine->done = true;
    mine->definition_size = 0;
    if (request->definition.size > 0 && request->definition.size <= sizeof(mine->definition)) {
        memcpy(mine->definition, request->definition.data, request->definition.size);
        mine->definition_size = request->definition.size;
    }
    for (uint32_t i = 0; i < request->row_count && i < FIXTURE_ROWS_MAX; i++) {
        mine->rows[i] = request->rows[i];
        snprintf(mine->names[i], sizeof(mine->names[i]), "%.*s", (int)request->rows[i].name.size,
                 (const char *)request->rows[i].name.data);
    }
}

void fixture_prepare(struct fixture_request *mine, enum consumer_request_kind kind,
                     const char *name, const char *member)
{
    memset(mine, 0, sizeof(*mine));
    mine->request.kind = kind;
    mine->request.name = name == NULL ? BYTES_EMPTY : bytes_of_text(name);
    mine->request.member = member == NULL ? BYTES_EMPTY : bytes_of_text(member);
    mine->request.done = request_done;
}

void fixture_submit(struct fixture *fixture, uint32_t thread, struct fixture_request *mine)
{
    mine->done = false;
    consumers_submit(fixture->all[thread], &mine->request);
    ASSERT(!mine->done);
}

enum status fixture_run(struct fixture *fixture, struct fixture_request *mine)
{
    fixture_submit(fixture, 0, mine);
    for (int i = 0; !mine->done; i++) {
        ASSERT(i < STEPS_MAX);
        fixture_step(fixture);
    }
    return mine->request.status;
}

enum status fixture_make(struct fixture *fixture, const char *name, bool group)
{
    struct fixture_request mine;
    fixture_prepare(&mine, CONSUMER_PUT, name, NULL);
    mine.request.group = group;
    return fixture_run(fixture, &mine);
}

enum status fixture_get(struct fixture *fixture, const char *name, struct fixture_request *mine)
{
    fixture_prepare(mine, CONSUMER_GET, name, NULL);
    return fixture_run(fixture, mine);
}

enum status fixture_ack(struct fixture *fixture, const char *name, const char *member,
                        uint64_t sequence, uint64_t generation)
{
    struct fixture_request mine;
    fixture_prepare(&mine, CONSUMER_ACK, name, member);
    mine.request.token = fixture_token(fixture, sequence);
    mine.request.token.generation = generation;
    return fixture_run(fixture, &mine);
}

enum status fixture_read(struct fixture *fixture, const char *name, const char *member,
                         struct fixture_request *mine)
{
    fixture_prepare(mine, CONSUMER_READ, name, member);
    return fixture_run(fixture, mine);
}

uint64_t fixture_put(struct fixture *fixture, const char *id, const char *json)
{
    struct world_request *write = &fixture->write;
    world_submit(&fixture->world, 0, write, REQUEST_PUT, world_pets(&fixture->world), id, json);
    for (int i = 0; !write->done; i++) {
        ASSERT(i < STEPS_MAX);
        fixture_step(fixture);
    }
    ASSERT(write->request.status == STATUS_OK);
    return write->request.sequence;
}

struct token fixture_token(const struct fixture *fixture, uint64_t sequence)
{
    return (struct token){.position = {.store_id = fixture->world.journal->store_id,
                                       .epoch = fixture->world.journal->epoch,
                                       .sequence = sequence}};
}

uint64_t fixture_committed(const struct fixture *fixture)
{
    return journal_committed(fixture->world.journal);
}

uint32_t fixture_slot_count(const struct slot_set *slots)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < SLOT_COUNT / 64; i++) {
        count += (uint32_t)__builtin_popcountll(slots->words[i]);
    }
    return count;
}
