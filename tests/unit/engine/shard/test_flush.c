/* From the write buffer into files under a load that does not end, and what an index owes to a
 * write. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/shard_internal.h"
#include "engine/shard/slice.h"
#include "engine/store/store_memory.h"
#include "tests/support/world.h"

#define IN_FLIGHT 200
#define TURNS     300

static struct world world;

/* So many indexed fields, all of which each write changes. */
static void index_fields(uint32_t count)
{
    static const char *const names[] = {"category", "brand", "color", "size"};
    struct collection *products = world_products(&world);
    for (uint32_t i = 0; i < count; i++) {
        products->indexes[i] = bytes_of_text(names[i]);
    }
    products->index_count = count;
    world_restart_engine(&world);
}

static void write_next(struct world_request *request, unsigned number)
{
    char id[16];
    char json[128];
    snprintf(id, sizeof(id), "%u", number * 7919u % 20000u);
    snprintf(json, sizeof(json),
             "{\"category\":\"c%u\",\"brand\":\"b%u\",\"color\":\"k%u\",\"size\":\"s%u\"}", number,
             number, number, number);
    world_submit(&world, 0, request, REQUEST_PUT, world_products(&world), id, json);
}

static void flushes_keep_up(enum journal_durability durability, uint32_t fields)
{
    static struct world_request requests[IN_FLIGHT];
    world_create(&world, &(struct world_options){.shard_count = 1,
                                                 .cache_bytes = WORLD_CACHE_DEFAULT,
                                                 .durability = durability});
    index_fields(fields);
    const struct shard *shard = world.engine->shards[0];
    uint64_t most = 0;
    unsigned number = 0;
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        requests[i].done = true;
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < IN_FLIGHT; i++) {
            if (requests[i].done) {
                request_release(&requests[i].request);
                write_next(&requests[i], number++);
            }
        }
        world_step(&world);
        most = shard->unflushed_bytes > most ? shard->unflushed_bytes : most;
    }
    cr_assert_gt(number, 4 * IN_FLIGHT);
    cr_assert_gt(atomic_load(&shard->flushes), 0);
    cr_assert_leq(most, 4 * world.options.memtable_bytes_max, "%u writes, %llu bytes unflushed",
                  number, (unsigned long long)most);
    world_settle(&world);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        request_release(&requests[i].request);
    }
    world_destroy(&world);
}

Test(flush, keeps_up_with_writes_however_many_rows_each_has)
{
    for (uint32_t fields = 0; fields <= 4; fields++) {
        flushes_keep_up(JOURNAL_SYNC, fields);
        flushes_keep_up(JOURNAL_NONE, fields);
    }
}

/* ---- while the buffer cannot drain ---- */

#define SLICES_MAX 8

static uint32_t slices_done;

static void slice_done(struct slice_request *slice)
{
    slice_release(slice);
    slices_done++;
}

/* One that shows what is in the buffer; its job waits for a store thread. */
static void slice_hold(struct slice_request *slice)
{
    const struct store_memory_faults refuse = {
        .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 1};
    *slice = (struct slice_request){.bytes_max = 1u << 20, .records_max = 1, .done = slice_done};
    store_memory_faults_set(world.stores[0], &refuse);
    slice_submit(engine_thread_at(world.engine, 0), slice);
    store_memory_faults_set(world.stores[0], &(struct store_memory_faults){0});
}

static void write_some(unsigned count, unsigned *number)
{
    static struct world_request request;
    for (unsigned i = 0; i < count; i++) {
        write_next(&request, (*number)++);
        for (unsigned turn = 0; turn < 10 && !request.done; turn++) {
            world_step(&world);
        }
        cr_assert(request.done);
        request_release(&request.request);
    }
}

/* One turn at that time; when the thread wants the next. */
static uint64_t turn_at(uint64_t now_ns)
{
    world.now_ns = now_ns;
    return engine_thread_step(engine_thread_at(world.engine, 0), now_ns, world.wall_ms);
}

Test(flush, its_thread_sleeps_while_iterators_show_all_tables_and_goes_on_when_they_are_gone)
{
    static struct slice_request slices[SLICES_MAX];
    world_create(&world, &(struct world_options){.shard_count = 1,
                                                 .durability = JOURNAL_SYNC,
                                                 .buffer_rows_max = 4096});
    const struct shard *shard = world.engine->shards[0];
    const uint64_t flushes = atomic_load(&shard->flushes);
    unsigned number = 0;
    world.hold_jobs = true;
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        write_some(100, &number);
        slice_hold(&slices[i]);
    }
    write_some(1000, &number);
    cr_assert_gt(store_buffer_rows(shard->buffer), 1000, "no table is left that could drain");
    world.engine->options.memtable_bytes_max = 1;
    uint64_t next_ns = turn_at(world.now_ns + 1000000000);
    for (unsigned turn = 0; turn < 100; turn++) {
        cr_assert_gt(next_ns, world.now_ns, "a turn that can do nothing asks for no other at once");
        cr_assert_leq(next_ns, world.now_ns + APPLY_RETRY_NS);
        next_ns = turn_at(next_ns);
    }
    cr_assert_eq(slices_done, 0);
    cr_assert_eq(atomic_load(&shard->flushes), flushes);
    while (world.job_count > 0) {
        world_job_run(&world, 0);
    }
    for (unsigned turn = 0; turn < 100 && shard->flush_stage != FLUSH_CLOSING; turn++) {
        next_ns = turn_at(next_ns > world.now_ns ? next_ns : world.now_ns);
    }
    cr_assert_eq(slices_done, SLICES_MAX);
    cr_assert_eq(shard->flush_stage, FLUSH_CLOSING, "woken by the clock alone");
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert_gt(atomic_load(&shard->flushes), flushes);
    world_destroy(&world);
}

/* ---- indexes ---- */

static bool page_is(struct world_request *request, const char *json)
{
    request_release(&request->request);
    request->request.list_field = BYTES_LITERAL("category");
    request->request.list_value = BYTES_LITERAL("lamps");
    request->request.list_limit = 10;
    return world_run(&world, request, REQUEST_LIST, world_products(&world), NULL, NULL) ==
               STATUS_OK &&
           world_answer_is(request, json);
}

Test(flush, a_record_older_than_the_index_enters_it_and_the_cached_page_goes)
{
    static struct world_request request;
    static struct world_request list;
    world_create(&world, &(struct world_options){.cache_bytes = WORLD_CACHE_DEFAULT});
    index_fields(0);
    char json[700];
    snprintf(json, sizeof(json), "{\"category\":\"%0*d\"}", INDEX_VALUE_BYTES_MAX + 1, 7);
    cr_assert_eq(world_run(&world, &request, REQUEST_PUT, world_products(&world), "1", json),
                 STATUS_OK);
    index_fields(1);
    cr_assert(page_is(&list, "[]"));
    request_release(&request.request);
    cr_assert_eq(world_run(&world, &request, REQUEST_PUT, world_products(&world), "1",
                           "{\"category\":\"lamps\"}"),
                 STATUS_OK);
    cr_assert(page_is(&list, "[{\"id\":\"1\",\"category\":\"lamps\",\"title\":\"\"}]"), "%.*s",
              (int)list.request.answer.size, (const char *)list.request.answer.data);
    request_release(&request.request);
    request_release(&list.request);
    world_destroy(&world);
}
