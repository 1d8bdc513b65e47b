/* Threads without shards, followers, and users' own events. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/shard_internal.h"
#include "engine/store/store_memory.h"
#include "tests/support/world.h"

#define CLIENT 2

static struct world world;
static struct world_request a;
static struct world_request b;

static struct waker bells[3];
static uint32_t rings[3];

static void ring(struct waker *waker)
{
    rings[waker - bells]++;
}

static void begin(void)
{
    const struct world_options options = {.shard_count = 4,
                                          .thread_count = 2,
                                          .client_count = 1,
                                          .cache_bytes = WORLD_CACHE_DEFAULT,
                                          .buffer_rows_max = 1};
    world_create(&world, &options);
    world_step(&world);
    for (int i = 0; i < 3; i++) {
        bells[i].wake = ring;
        engine_thread_attach(engine_thread_at(world.engine, (uint32_t)i), &bells[i]);
    }
}

static void end(void)
{
    request_release(&a.request);
    request_release(&b.request);
    world_destroy(&world);
}

TestSuite(follow, .init = begin, .fini = end);

static struct engine_thread *thread(uint32_t index)
{
    return engine_thread_at(world.engine, index);
}

/* Runs a request that the thread submits. */
static enum status run_on(uint32_t index, enum request_kind kind, struct collection *collection,
                          const char *id, const char *json)
{
    world_submit(&world, index, &a, kind, collection, id, json);
    world_settle(&world);
    cr_assert(a.done);
    return a.request.status;
}

/* ---- looking without sleeping ---- */

static void nothing_received(struct message *message)
{
    (void)message;
}

Test(follow, a_thread_has_work_while_something_is_in_its_mailbox)
{
    struct message message = {.receive = nothing_received};
    cr_assert_not(engine_thread_has_work(thread(0)));
    cr_assert_not(mailbox_post(engine_thread_mailbox(thread(0)), &message), "it does not sleep");
    cr_assert(engine_thread_has_work(thread(0)));
    cr_assert_not(engine_thread_has_work(thread(1)));
    (void)mailbox_deliver(engine_thread_mailbox(thread(0)));
    cr_assert_not(engine_thread_has_work(thread(0)));
}

Test(follow, a_follower_has_work_while_there_are_changes_that_it_has_not_seen)
{
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", "{}"), STATUS_OK);
    cr_assert_not(engine_thread_has_work(thread(CLIENT)), "it does not follow");
    engine_thread_follow(thread(CLIENT), 0);
    cr_assert(engine_thread_has_work(thread(CLIENT)));
    engine_thread_follow(thread(CLIENT), engine_published(world.engine));
    cr_assert_not(engine_thread_has_work(thread(CLIENT)));
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", "{\"a\":1}"), STATUS_OK);
    cr_assert(engine_thread_has_work(thread(CLIENT)));
}

/* ---- clients ---- */

Test(follow, a_client_reads_writes_and_lists_as_any_thread_does)
{
    struct collection *pets = world_pets(&world);
    cr_assert_eq(run_on(CLIENT, REQUEST_PUT, pets, "1", "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(run_on(CLIENT, REQUEST_GET, pets, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":1}"));
    cr_assert_eq(run_on(CLIENT, REQUEST_CREATE, pets, NULL, "{}"), STATUS_OK);
    cr_assert_eq(run_on(CLIENT, REQUEST_PATCH, pets, "1", "{\"b\":2}"), STATUS_OK);
    cr_assert_eq(run_on(CLIENT, REQUEST_LIST, pets, NULL, NULL), STATUS_OK);
    cr_assert_eq(run_on(0, REQUEST_LIST, pets, NULL, NULL), STATUS_OK);
    cr_assert_eq(a.request.cache, CACHE_HIT, "the page that the client had made");
    cr_assert_eq(run_on(CLIENT, REQUEST_DELETE, pets, "1", NULL), STATUS_OK);
    cr_assert_eq(engine_thread_pending(thread(CLIENT)), 0u);
}

Test(follow, the_servers_own_records_are_kept_and_not_cached)
{
    struct collection *rules = world_internal(&world, COLLECTION_RULES);
    cr_assert_eq(run_on(CLIENT, REQUEST_PUT, rules, "r", "{\"url\":\"x\"}"), STATUS_OK);
    cr_assert_eq(run_on(0, REQUEST_GET, rules, "r", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"r\",\"url\":\"x\"}"));
    cr_assert_eq(a.request.cache, CACHE_OFF);
    cr_assert_eq(run_on(CLIENT, REQUEST_LIST, rules, NULL, NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "[{\"id\":\"r\",\"url\":\"x\"}]"));
    world_restart_engine(&world);
    cr_assert_eq(run_on(0, REQUEST_GET, rules, "r", NULL), STATUS_OK);
}

Test(follow, the_servers_own_collections_have_names_that_no_user_can_take)
{
    for (int i = 0; i < COLLECTION_INTERNAL_COUNT; i++) {
        const struct collection *collection = world_internal(&world, (enum collection_internal)i);
        cr_assert(collection->internal);
        cr_assert_not(collection->cached);
        cr_assert_eq(collection->old_images, i == COLLECTION_RULES);
        cr_assert_eq(collection->number, 2 + i);
        cr_assert_eq(collection->index_count, 0u);
        cr_assert_not(collection_name_valid(collection->name));
    }
}

Test(follow, a_document_of_the_servers_own_that_is_too_large_is_refused)
{
    static uint8_t large[DOCUMENT_BYTES_MAX + 16];
    struct writer out = writer_of(large, sizeof(large));
    /* {"d": <binary of as much as fits and one byte more>} */
    writer_u8(&out, 0x81);
    writer_u8(&out, 0xa1);
    writer_u8(&out, 'd');
    writer_u8(&out, 0xdb);
    writer_u32(&out, DOCUMENT_BYTES_MAX - 7);
    memset(large + out.size, 'x', DOCUMENT_BYTES_MAX - 7);
    struct request *request = &a.request;
    world_submit(&world, 0, &a, REQUEST_PUT, world_internal(&world, COLLECTION_PARKED), "1", "{}");
    world_settle(&world);
    a.done = false;
    request->document = bytes_of(large, DOCUMENT_BYTES_MAX + 1);
    engine_submit(thread(0), request);
    world_settle(&world);
    cr_assert(a.done);
    cr_assert_eq(request->status, STATUS_TOO_LARGE);
}

/* ---- followers ---- */

static uint64_t published(void)
{
    return engine_published(world.engine);
}

Test(follow, a_follower_that_sleeps_is_rung_once_when_something_is_published)
{
    engine_thread_follow(thread(CLIENT), published());
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 1u);
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "2", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 1u, "it was rung, and has not slept since");
    engine_thread_sleep_end(thread(CLIENT));
}

Test(follow, a_follower_does_not_sleep_while_it_has_not_seen_all)
{
    engine_thread_follow(thread(CLIENT), published());
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", "{}"), STATUS_OK);
    cr_assert_not(engine_thread_sleep_begin(thread(CLIENT)));
    cr_assert_eq(rings[CLIENT], 0u);
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "2", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 0u, "it is awake");
    engine_thread_follow(thread(CLIENT), published());
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    engine_thread_sleep_end(thread(CLIENT));
}

Test(follow, who_does_not_follow_is_not_rung_and_neither_is_who_has_seen_it)
{
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 0u);
    engine_thread_follow(thread(CLIENT), published() + 1);
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "2", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 0u);
    engine_thread_follow(thread(CLIENT), 0);
    engine_thread_follow(thread(CLIENT), UINT64_MAX);
    engine_thread_follow(thread(CLIENT), UINT64_MAX);
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "3", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 0u);
    cr_assert_eq(atomic_load(&world.engine->followers), 0u);
    engine_thread_sleep_end(thread(CLIENT));
}

static void put_many(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%u}", i);
        cr_assert_eq(run_on(0, REQUEST_PUT, world_pets(&world), "1", json), STATUS_OK);
        request_release(&a.request);
    }
}

Test(follow, who_looks_for_the_servers_own_records_alone_is_left_asleep_by_others)
{
    struct collection *rules = world_internal(&world, COLLECTION_RULES);
    engine_thread_follow(thread(CLIENT), published());
    engine_thread_follow_internal(thread(CLIENT), true);
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    put_many(10);
    cr_assert_eq(rings[CLIENT], 0u);
    cr_assert_eq(run_on(0, REQUEST_PUT, rules, "r", "{}"), STATUS_OK);
    cr_assert_eq(rings[CLIENT], 1u);
    engine_thread_sleep_end(thread(CLIENT));
    cr_assert_not(engine_thread_sleep_begin(thread(CLIENT)), "it has not looked yet");
    engine_thread_follow(thread(CLIENT), published());
    put_many(1);
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    engine_thread_sleep_end(thread(CLIENT));
    engine_thread_follow_internal(thread(CLIENT), false);
    cr_assert_not(engine_thread_sleep_begin(thread(CLIENT)));
}

Test(follow, nobody_is_left_asleep_until_it_is_far_behind)
{
    engine_thread_follow(thread(CLIENT), published());
    engine_thread_follow_internal(thread(CLIENT), true);
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    put_many(256);
    cr_assert_eq(rings[CLIENT], 0u);
    put_many(1);
    cr_assert_eq(rings[CLIENT], 1u);
    engine_thread_sleep_end(thread(CLIENT));
}

Test(follow, what_is_committed_and_not_applied_rings_nobody)
{
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        const struct store_memory_faults stalled = {
            .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 1000000};
        store_memory_faults_set(world.stores[i], &stalled);
    }
    engine_thread_follow(thread(CLIENT), published());
    cr_assert(engine_thread_sleep_begin(thread(CLIENT)));
    world_submit(&world, 0, &a, REQUEST_PUT, world_pets(&world), "1", "{}");
    for (int i = 0; i < 100; i++) {
        world_step(&world);
    }
    cr_assert_eq(journal_committed(world.journal), 1u);
    cr_assert_eq(rings[CLIENT], 0u);
    cr_assert_eq(published(), 0u);
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_faults_set(world.stores[i], &(struct store_memory_faults){.seed = 1});
        store_memory_crash(world.stores[i]); /* ends the stall */
    }
    world.now_ns += 1000000000;
    world_settle(&world);
    cr_assert(a.done);
    cr_assert_eq(rings[CLIENT], 1u);
    cr_assert_eq(published(), 1u);
    engine_thread_sleep_end(thread(CLIENT));
}

/* ---- events ---- */

Test(follow, an_event_is_an_entry_with_an_id_of_its_own_and_no_record)
{
    uint64_t rows[4];
    for (uint32_t i = 0; i < 4; i++) {
        rows[i] = store_memory_row_count(world.stores[i]);
    }
    cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{\"source\":\"me\"}"), STATUS_OK);
    cr_assert_eq(a.request.sequence, 1u);
    cr_assert_eq(a.request.epoch, world.journal->epoch);
    cr_assert_eq(a.request.new_id.size, 36u);
    cr_assert(a.request.changed);
    cr_assert_eq(published(), 1u);
    struct journal_reader *reader;
    struct entry entry;
    cr_assert_eq(journal_reader_create(world.journal, 1, &reader), STATUS_OK);
    cr_assert_eq(journal_reader_next(world.journal, reader, &entry), STATUS_OK);
    cr_assert_eq(entry.kind, ENTRY_EVENT);
    cr_assert_eq(entry.collection.size, 0u);
    cr_assert(bytes_equal(entry.id, a.request.new_id));
    cr_assert(bytes_equal(entry.new_document, a.request.document));
    journal_reader_destroy(world.journal, reader);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_leq(store_memory_row_count(world.stores[i]), rows[i] + 1,
                      "the applied position at most");
    }
}

Test(follow, events_come_from_any_thread_spread_over_shards_and_a_start_replays_them)
{
    for (uint32_t i = 0; i < 60; i++) {
        cr_assert_eq(run_on(i % 3, REQUEST_EVENT, NULL, NULL, "{}"), STATUS_OK);
        cr_assert_eq(a.request.sequence, i + 1);
    }
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        cr_assert_gt(journal_shard_committed(world.journal, i), 0u);
        store_memory_crash(world.stores[i]);
    }
    engine_destroy(&world.engine);
    cr_assert_eq(engine_create(&world.options, &world.engine), STATUS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        engine_thread_attach(thread(i), &world.waker);
    }
    uint64_t entries;
    struct detail detail;
    cr_assert_eq(engine_replay(world.engine, &entries, &detail), STATUS_OK);
    cr_assert_eq(entries, 60u);
    cr_assert_eq(published(), 60u);
    world_restart_engine(&world);
    cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{}"), STATUS_OK);
    cr_assert_eq(a.request.sequence, 61u);
}

static void event_with_key(struct world_request *request, uint32_t from, uint8_t body)
{
    request->request.idempotency_key = BYTES_LITERAL("anonymous\0/events\0key");
    memset(request->request.body_hash, body, sizeof(request->request.body_hash));
    world_submit(&world, from, request, REQUEST_EVENT, NULL, NULL, "{\"n\":1}");
}

Test(follow, an_event_with_the_key_of_another_is_that_one_while_and_after_it_runs)
{
    world.hold_journal = true;
    event_with_key(&a, 0, 1);
    event_with_key(&b, 1, 1);
    world_step(&world);
    cr_assert_not(a.done);
    cr_assert_not(b.done);
    world.hold_journal = false;
    world_settle(&world);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(a.request.sequence, 1u);
    cr_assert_eq(b.request.sequence, 1u);
    event_with_key(&b, 1, 2);
    world_settle(&world);
    cr_assert_eq(b.request.status, STATUS_UNPROCESSABLE);
    for (uint32_t life = 0; life < 2; life++) {
        event_with_key(&b, 0, 1);
        world_settle(&world);
        cr_assert_eq(b.request.status, STATUS_OK);
        cr_assert_eq(b.request.sequence, 1u);
        cr_assert_eq(b.request.epoch, a.request.epoch);
        cr_assert(bytes_equal(b.request.new_id, a.request.new_id));
        world_restart_engine(&world);
    }
    world.now_ns += 24ull * 3600 * 1000000000ull + 1000000000ull;
    world_step(&world);
    event_with_key(&b, 0, 2);
    world_settle(&world);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(b.request.sequence, 2u, "a day later it is another one");
}

Test(follow, events_and_writes_of_one_shard_keep_their_order)
{
    world.hold_journal = true;
    world_submit(&world, 0, &a, REQUEST_PUT, world_pets(&world), "1", "{}");
    world_submit(&world, 1, &b, REQUEST_EVENT, NULL, NULL, "{}");
    for (int i = 0; i < 10; i++) {
        world_step(&world);
    }
    cr_assert_not(a.done || b.done);
    world.hold_journal = false;
    world_settle(&world);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(a.request.sequence + b.request.sequence, 3u);
}

Test(follow, an_event_is_refused_as_a_write_is)
{
    atomic_store(&world.journal->read_only, true);
    cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{}"), STATUS_NOT_ACCEPTED);
    cr_assert_gt(strlen(a.request.detail.text), 0u);
    atomic_store(&world.journal->read_only, false);
    cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{}"), STATUS_OK);
}

Test(follow, a_journal_that_refuses_says_whether_the_disk_is_full_or_failed)
{
    static const struct {
        enum status refusing;
        enum status status;
        const char *words;
    } cases[] = {{STATUS_BUSY, STATUS_DISK_FULL, "almost full"},
                 {STATUS_DISK_FULL, STATUS_DISK_FULL, "almost full"},
                 {STATUS_IO_ERROR, STATUS_NOT_ACCEPTED, "cannot make its next file"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        atomic_store(&world.journal->refusing, (uint32_t)cases[i].refusing);
        cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{}"), cases[i].status, "%zu", i);
        cr_assert_not_null(strstr(a.request.detail.text, cases[i].words), "%zu", i);
    }
    atomic_store(&world.journal->refusing, (uint32_t)STATUS_OK);
    cr_assert_eq(run_on(0, REQUEST_EVENT, NULL, NULL, "{}"), STATUS_OK);
}
