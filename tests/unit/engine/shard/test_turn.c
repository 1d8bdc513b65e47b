/* What the simulation found, each on its own: time of a turn, numbers of threads, a start. */
#include <stdio.h>

#include <criterion/criterion.h>

#include "engine/store/store_memory.h"
#include "tests/support/world.h"

static struct world world;
static struct world_request a;
static struct world_request many[3][64];

static void with_three_threads(void)
{
    const struct world_options options = {
        .thread_count = 3, .cache_bytes = WORLD_CACHE_DEFAULT, .memtable_bytes_max = 256};
    world_create(&world, &options);
    world_step(&world);
}

static void done(void)
{
    request_release(&a.request);
    world_destroy(&world);
}

TestSuite(turn, .init = with_three_threads, .fini = done);

Test(turn, a_request_is_judged_by_the_time_of_its_turn_not_of_the_one_before)
{
    cr_assert_eq(world_run(&world, &a, REQUEST_PUT, world_pets(&world), "1", "{}"), STATUS_OK);
    atomic_store(&world_pets(&world)->ttl.record_ns, 1000000);
    cr_assert_eq(world_run(&world, &a, REQUEST_PUT, world_pets(&world), "1", "{\"a\":1}"),
                 STATUS_OK);
    world.now_ns += 5000000000ull; /* nothing happened for five seconds */
    world.wall_ms += 5000;
    for (uint32_t i = 0; i < 3; i++) {
        engine_thread_begin(engine_thread_at(world.engine, i), world.now_ns, world.wall_ms);
    }
    cr_assert_eq(world_run(&world, &a, REQUEST_GET, world_pets(&world), "1", NULL), STATUS_OK);
    cr_assert_neq(a.request.cache, CACHE_HIT, "it had expired");
    a.request.minimum_sequence = 100;
    world.now_ns += 5000000000ull;
    engine_thread_begin(engine_thread_at(world.engine, 0), world.now_ns, world.wall_ms);
    world_submit(&world, 0, &a, REQUEST_GET, world_pets(&world), "1", NULL);
    world_step(&world);
    cr_assert_not(a.done, "it waits a second from now");
    world.step_ns = 1100000000;
    world_step(&world);
    world_step(&world);
    cr_assert(a.done);
    cr_assert_eq(a.request.status, STATUS_PRECONDITION_FAILED);
}

Test(turn, threads_draw_different_ids_in_the_same_millisecond)
{
    world.step_ns = 1;
    for (uint32_t i = 0; i < 64; i++) {
        for (uint32_t thread = 0; thread < 3; thread++) {
            world_submit(&world, thread, &many[thread][i], REQUEST_CREATE, world_pets(&world), NULL,
                         "{}");
        }
    }
    world_settle(&world);
    struct world_request *all = &many[0][0];
    for (uint32_t i = 0; i < 3 * 64; i++) {
        cr_assert_eq(all[i].request.status, STATUS_OK);
        for (uint32_t j = 0; j < i; j++) {
            cr_assert_neq(memcmp(all[i].request.new_id_text, all[j].request.new_id_text, 36), 0);
        }
    }
    for (uint32_t i = 0; i < 3 * 64; i++) {
        request_release(&all[i].request);
    }
}

Test(turn, writes_that_are_held_are_judged_at_release_in_their_order)
{
    struct engine_thread *thread = engine_thread_at(world.engine, 0);
    char document[32];
    engine_writes_hold(thread);
    /* One more than it holds at a time, of shards of this and of other threads. */
    for (uint32_t i = 0; i < 65; i++) {
        struct world_request *put = &many[i / 64][i % 64];
        char id[2] = {(char)('a' + i % 8), '\0'};
        snprintf(document, sizeof(document), "{\"a\":%u}", i);
        world_submit(&world, 0, put, REQUEST_PUT, world_pets(&world), id, document);
    }
    engine_writes_release(thread);
    world_settle(&world);
    for (uint32_t i = 0; i < 65; i++) {
        const struct request *put = &many[i / 64][i % 64].request;
        cr_assert_eq(put->status, STATUS_OK);
        cr_assert_eq(put->version, i / 8 + 1, "write %u of a record became version %llu", i / 8 + 1,
                     (unsigned long long)put->version);
        request_release(&many[i / 64][i % 64].request);
    }
    cr_assert_eq(world_run(&world, &a, REQUEST_PUT, world_pets(&world), "a", "{\"a\":100}"),
                 STATUS_OK, "held no longer");
}

static void flushes_are_busy(uint32_t parts_per_million)
{
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        const struct store_memory_faults busy = {.seed = 3 + i, .flush_busy = parts_per_million};
        store_memory_faults_set(world.stores[i], &busy);
    }
}

Test(turn, a_start_waits_for_a_store_that_cannot_flush_just_then)
{
    flushes_are_busy(STORE_MEMORY_ALWAYS); /* so all of it is to be replayed */
    for (char id[2] = "a"; id[0] <= 'z'; id[0]++) {
        cr_assert_eq(world_run(&world, &a, REQUEST_PUT, world_pets(&world), id, "{\"a\":1}"),
                     STATUS_OK);
    }
    world_settle(&world);
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_crash(world.stores[i]);
    }
    flushes_are_busy(800000);
    world_restart_engine(&world); /* asserts that the replay comes to its end */
    cr_assert_eq(world_run(&world, &a, REQUEST_GET, world_pets(&world), "m", NULL), STATUS_OK);
}
