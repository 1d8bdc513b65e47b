/* Runs of one shard's records as of one moment. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/shard_internal.h"
#include "engine/shard/slice.h"
#include "engine/store/store_memory.h"
#include "tests/support/world.h"

static struct world world;
static struct world_request a;
static struct slice_request slice;
static uint32_t done_count;

static void begin(void)
{
    const struct world_options options = {
        .shard_count = 2, .thread_count = 2, .client_count = 1, .cache_bytes = WORLD_CACHE_DEFAULT};
    world_create(&world, &options);
    world_step(&world);
}

static void end(void)
{
    slice_release(&slice);
    request_release(&a.request);
    world_destroy(&world);
}

TestSuite(slice, .init = begin, .fini = end);

static void slice_done(struct slice_request *request)
{
    (void)request;
    done_count++;
}

static void put(struct collection *collection, uint32_t number, const char *json)
{
    char id[16];
    snprintf(id, sizeof(id), "%03u", number);
    cr_assert_eq(world_run(&world, &a, REQUEST_PUT, collection, id, json), STATUS_OK);
}

static void submit(uint32_t thread, uint32_t shard, const struct collection *collection,
                   struct bytes after, size_t bytes_max, uint32_t records_max)
{
    slice = (struct slice_request){
        .shard = shard,
        .collection = collection,
        .after = after,
        .bytes_max = bytes_max,
        .records_max = records_max,
        .done = slice_done,
    };
    slice_submit(engine_thread_at(world.engine, thread), &slice);
}

static void run(uint32_t thread, uint32_t shard, const struct collection *collection,
                struct bytes after, size_t bytes_max, uint32_t records_max)
{
    uint32_t before = done_count;
    submit(thread, shard, collection, after, bytes_max, records_max);
    cr_assert_eq(done_count, before, "never within the submit");
    world_settle(&world);
    cr_assert_eq(done_count, before + 1);
    cr_assert_eq(slice.status, STATUS_OK);
}

/* Reads all of a shard in slices; counts rows and checks that their keys rise. */
static uint32_t read_all(uint32_t thread, uint32_t shard, const struct collection *collection,
                         size_t bytes_max, uint32_t records_max)
{
    uint8_t after_bytes[RECORD_KEY_BYTES_MAX];
    struct bytes after = BYTES_EMPTY;
    uint32_t count = 0;
    uint8_t previous[RECORD_KEY_BYTES_MAX];
    size_t previous_size = 0;
    for (bool more = true; more;) {
        run(thread, shard, collection, after, bytes_max, records_max);
        struct bytes rows = slice.rows;
        struct slice_row row;
        uint32_t in_slice = 0;
        while (slice_next(&rows, &row)) {
            uint8_t key_bytes[RECORD_KEY_BYTES_MAX];
            struct writer key = writer_of(key_bytes, sizeof(key_bytes));
            writer_put(&key, row.collection);
            writer_u8(&key, 0);
            writer_put(&key, row.id);
            cr_assert_gt(bytes_compare(writer_bytes(&key), bytes_of(previous, previous_size)), 0);
            memcpy(previous, key_bytes, key.size);
            previous_size = key.size;
            cr_assert_leq(row.sequence, slice.applied_sequence);
            cr_assert_gt(row.document.size, 0u);
            in_slice++;
        }
        cr_assert_leq(in_slice, records_max);
        cr_assert(bytes_equal(slice.last, bytes_of(previous, previous_size)));
        count += in_slice;
        more = !slice.end;
        cr_assert(!more || in_slice > 0, "each slice goes on");
        memcpy(after_bytes, slice.last.data, slice.last.size);
        after = bytes_of(after_bytes, slice.last.size);
        slice_release(&slice);
    }
    return count;
}

Test(slice, an_empty_shard_ends_at_once_and_its_last_key_is_the_one_it_began_after)
{
    run(0, 0, NULL, BYTES_EMPTY, 1024, 10);
    cr_assert(slice.end);
    cr_assert_eq(slice.rows.size, 0u);
    cr_assert_eq(slice.last.size, 0u);
    slice_release(&slice);
    static const uint8_t after[] = "pets\0zzz";
    run(0, 0, NULL, bytes_of(after, sizeof(after) - 1), 1, 10);
    cr_assert(slice.end);
    cr_assert(bytes_equal(slice.last, bytes_of(after, sizeof(after) - 1)));
    cr_assert_neq(slice.last.data, after, "in the slice's own memory");
}

Test(slice, all_rows_of_all_shards_come_once_in_order_of_their_keys_whatever_the_size_of_a_slice)
{
    for (uint32_t i = 0; i < 50; i++) {
        put(world_pets(&world), i, "{\"a\":1}");
        put(world_products(&world), i, "{\"title\":\"x\"}");
    }
    static const struct {
        size_t bytes_max;
        uint32_t records_max;
    } sizes[] = {{1, 1}, {1, 1000}, {100000, 1}, {100000, 7}, {300, 1000}, {100000, 1000}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t all = 0;
        uint32_t pets = 0;
        for (uint32_t shard = 0; shard < 2; shard++) {
            all += read_all(shard, shard, NULL, sizes[i].bytes_max, sizes[i].records_max);
            pets += read_all(1 - shard, shard, world_pets(&world), sizes[i].bytes_max,
                             sizes[i].records_max);
        }
        cr_assert_eq(all, 100u, "case %zu", i);
        cr_assert_eq(pets, 50u, "case %zu", i);
    }
}

Test(slice, a_thread_without_shards_gets_slices_too)
{
    for (uint32_t i = 0; i < 20; i++) {
        put(world_pets(&world), i, "{}");
    }
    cr_assert_eq(read_all(2, 0, NULL, 1000, 5) + read_all(2, 1, NULL, 1000, 5), 20u);
}

Test(slice, a_block_is_no_larger_than_was_asked_for_but_one_record_always_comes)
{
    put(world_pets(&world), 1, "{\"a\":\"0123456789012345678901234567890123456789\"}");
    put(world_pets(&world), 2, "{\"a\":\"0123456789012345678901234567890123456789\"}");
    for (uint32_t shard = 0; shard < 2; shard++) {
        for (size_t bytes_max = 1; bytes_max < 400; bytes_max++) {
            run(0, shard, NULL, BYTES_EMPTY, bytes_max, 10);
            struct bytes rows = slice.rows;
            struct slice_row row;
            uint32_t count = 0;
            while (slice_next(&rows, &row)) {
                count++;
            }
            cr_assert(slice.rows.size <= bytes_max || count == 1);
            cr_assert(count > 0 || slice.end);
            slice_release(&slice);
        }
    }
}

Test(slice, what_is_the_servers_own_comes_only_to_who_names_it)
{
    const struct collection *rules = world_internal(&world, COLLECTION_RULES);
    for (uint32_t i = 0; i < 20; i++) {
        for (int which = 0; which < COLLECTION_INTERNAL_COUNT; which++) {
            put(world_internal(&world, (enum collection_internal)which), i, "{\"url\":\"x\"}");
        }
        put(world_pets(&world), i, "{}");
    }
    cr_assert_eq(read_all(0, 0, NULL, 200, 9) + read_all(0, 1, NULL, 200, 9), 20u);
    cr_assert_eq(read_all(0, 0, rules, 200, 9) + read_all(0, 1, rules, 200, 9), 20u);
}

Test(slice, it_shows_the_moment_at_which_the_owner_began_it_whatever_is_written_meanwhile)
{
    for (uint32_t i = 0; i < 10; i++) {
        put(world_pets(&world), i, "{\"a\":1}");
    }
    uint64_t applied = atomic_load(&world.engine->shards[0]->applied);
    world.hold_jobs = true;
    submit(0, 0, NULL, BYTES_EMPTY, 100000, 100);
    for (uint32_t i = 0; i < 20; i++) {
        put(world_pets(&world), i, "{\"a\":2}");
    }
    cr_assert_eq(done_count, 0u);
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert_eq(done_count, 1u);
    cr_assert_eq(slice.applied_sequence, applied);
    struct bytes rows = slice.rows;
    struct slice_row row;
    while (slice_next(&rows, &row)) {
        cr_assert_leq(row.sequence, applied);
        cr_assert_eq(row.version, 1u);
    }
    cr_assert(slice.end);
}

Test(slice, a_store_that_fails_fails_the_slice_and_nothing_else)
{
    put(world_pets(&world), 1, "{}");
    put(world_pets(&world), 2, "{}");
    put(world_pets(&world), 3, "{}");
    for (uint32_t i = 0; i < 2; i++) {
        const struct store_memory_faults faults = {.seed = 1, .read_damaged = 1000000};
        store_memory_faults_set(world.stores[i], &faults);
        submit(0, i, NULL, BYTES_EMPTY, 1000, 10);
        world_settle(&world);
        cr_assert_eq(slice.status, STATUS_DAMAGED);
        cr_assert_eq(slice.rows.size, 0u);
        cr_assert_eq(engine_thread_pending(engine_thread_at(world.engine, 0)), 0u);
        store_memory_faults_set(world.stores[i], &(struct store_memory_faults){.seed = 1});
        slice_release(&slice);
    }
}
