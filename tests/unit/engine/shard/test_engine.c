/* The operations of the engine, through its public interface, on a world stepped by hand. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/shard_internal.h"
#include "engine/shard/uuid.h"
#include "engine/store/store_memory.h"
#include "tests/support/world.h"

static struct world world;
static struct world_request a;
static struct world_request b;
static struct world_request c;

static void begin(void)
{
    world_create(&world,
                 &(struct world_options){.cache_bytes = WORLD_CACHE_DEFAULT, .buffer_rows_max = 1});
}

static void begin_uncached(void)
{
    world_create(&world, &(struct world_options){.cache_bytes = 0, .buffer_rows_max = 1});
}

static void end(void)
{
    request_release(&a.request);
    request_release(&b.request);
    request_release(&c.request);
    world_destroy(&world);
}

TestSuite(engine, .init = begin, .fini = end);
TestSuite(engine_uncached, .init = begin_uncached, .fini = end);

#define PETS                            world_pets(&world)
#define PRODUCTS                        world_products(&world)
#define RUN(kind, collection, id, json) world_run(&world, &a, kind, collection, id, json)

/* ---- records ---- */

Test(engine, a_record_that_was_put_is_read_back_with_the_tag_it_was_answered_with)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"message\":\"hi\"}"), STATUS_OK);
    cr_assert(a.request.created);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"message\":\"hi\"}"));
    cr_assert_eq(a.request.version, 1u);
    uint64_t sequence = a.request.sequence;
    cr_assert_gt(sequence, 0u);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"message\":\"hi\"}"));
    cr_assert_eq(a.request.sequence, sequence);
    cr_assert_eq(a.request.epoch, engine_journal(world.engine)->epoch);
}

Test(engine_uncached, a_record_is_read_from_the_store_when_there_is_no_cache)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"message\":\"hi\"}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"message\":\"hi\"}"));
    cr_assert_neq(a.request.cache, CACHE_HIT);
}

Test(engine, an_absent_record_is_not_found_and_an_insert_ends_that_at_once)
{
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_NOT_FOUND);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_NOT_FOUND);
    cr_assert_eq(a.request.cache, CACHE_HIT);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\"}"));
}

Test(engine, a_second_put_replaces_and_counts_the_version_up)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"b\":2}"), STATUS_OK);
    cr_assert_not(a.request.created);
    cr_assert_eq(a.request.version, 2u);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"b\":2}"));
}

Test(engine, an_equal_put_makes_no_entry_and_answers_the_existing_tag)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1,\"b\":2}"), STATUS_OK);
    uint64_t sequence = a.request.sequence;
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"b\":2,\"a\":1}"), STATUS_OK);
    cr_assert_not(a.request.changed);
    cr_assert_eq(a.request.sequence, sequence);
    cr_assert_eq(journal_committed(world.journal), sequence);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"b\":2.0,\"a\":1}"), STATUS_OK);
    cr_assert(a.request.changed, "2.0 is another text than 2");
}

Test(engine, a_deleted_record_is_gone_and_starts_again_at_version_one)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":2}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_DELETE, PETS, "1", NULL), STATUS_OK);
    cr_assert(a.request.changed);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_NOT_FOUND);
    cr_assert_eq(RUN(REQUEST_DELETE, PETS, "1", NULL), STATUS_OK);
    cr_assert_not(a.request.changed);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":3}"), STATUS_OK);
    cr_assert(a.request.created);
    cr_assert_eq(a.request.version, 1u);
}

Test(engine, a_patch_merges_and_refuses_what_is_not_there)
{
    cr_assert_eq(RUN(REQUEST_PATCH, PETS, "1", "{\"a\":1}"), STATUS_NOT_FOUND);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1,\"b\":2}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PATCH, PETS, "1", "{\"a\":null,\"c\":3}"), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"b\":2,\"c\":3}"));
}

Test(engine, fields_get_defaults_and_a_wrong_type_is_named)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "1", "{\"price\":29.99}"), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"price\":29.99,\"title\":\"\"}"));
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "1", "{\"price\":\"x\"}"), STATUS_UNPROCESSABLE);
    cr_assert_str_eq(a.request.detail.text, "the field \"price\" must be a number");
}

Test(engine, a_put_can_neither_set_nor_lose_what_the_server_keeps)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "1", "{\"title\":\"x\",\"images\":[1]}"), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"title\":\"x\"}"));
}

static void patch_odd_record(void)
{
    const char *id = "q\"\\\xc3\xa9";
    cr_assert_eq(RUN(REQUEST_PUT, PETS, id, "{\"a\":1.50,\"b\":[\"\\u0001\"],\"c\":1E2}"),
                 STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PATCH, PETS, id, "{\"d\":-0}"), STATUS_OK);
    cr_assert_eq(a.request.version, 2u);
    cr_assert(world_answer_is(&a, "{\"id\":\"q\\\"\\\\\xc3\xa9\",\"a\":1.50,\"b\":[\"\\u0001\"],"
                                  "\"c\":1E2,\"d\":-0}"));
    cr_assert_eq(RUN(REQUEST_PUT, PETS, id, "{\"d\":-0,\"c\":1E2,\"a\":1.50,\"b\":[\"\\u0001\"]}"),
                 STATUS_OK);
    cr_assert_not(a.request.changed);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "empty", "{}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PATCH, PETS, "empty", "{\"a\":1}"), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"empty\",\"a\":1}"));
}

Test(engine, the_newest_state_is_the_same_whether_the_cache_has_it)
{
    patch_odd_record();
}

Test(engine_uncached, the_newest_state_is_the_same_whether_the_store_has_it)
{
    patch_odd_record();
}

/* ---- preconditions ---- */

Test(engine, if_match_holds_only_for_the_current_tag)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    struct entity_tag tag = {a.request.epoch, a.request.sequence};
    b.request.if_match = (struct precondition){PRECONDITION_TAGS, &tag, 1};
    cr_assert_eq(world_run(&world, &b, REQUEST_PUT, PETS, "1", "{\"a\":2}"), STATUS_OK);
    cr_assert_eq(world_run(&world, &b, REQUEST_PUT, PETS, "1", "{\"a\":3}"),
                 STATUS_PRECONDITION_FAILED);
    b.request.if_match = (struct precondition){PRECONDITION_ANY, NULL, 0};
    cr_assert_eq(world_run(&world, &b, REQUEST_PUT, PETS, "2", "{\"a\":3}"),
                 STATUS_PRECONDITION_FAILED);
}

Test(engine, of_two_creations_at_once_one_wins_and_the_other_hears_it_after_the_commit)
{
    world.hold_journal = true;
    a.request.if_none_match = (struct precondition){PRECONDITION_ANY, NULL, 0};
    b.request.if_none_match = a.request.if_none_match;
    world_submit(&world, 0, &a, REQUEST_PUT, PETS, "1", "{\"a\":1}");
    world_submit(&world, 0, &b, REQUEST_PUT, PETS, "1", "{\"a\":2}");
    for (int i = 0; i < 10; i++) {
        world_step(&world);
    }
    cr_assert_not(a.done);
    cr_assert_not(b.done, "the 412 depends on a write that is not committed");
    world.hold_journal = false;
    world_settle(&world);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_PRECONDITION_FAILED);
}

Test(engine, an_equal_put_behind_a_pending_one_waits_for_it_and_has_its_tag)
{
    world.hold_journal = true;
    world_submit(&world, 0, &a, REQUEST_PUT, PETS, "1", "{\"a\":1}");
    world_submit(&world, 0, &b, REQUEST_PUT, PETS, "1", "{\"a\":1}");
    world_submit(&world, 0, &c, REQUEST_DELETE, PETS, "1", NULL);
    world_step(&world);
    cr_assert_not(b.done);
    world.hold_journal = false;
    world_settle(&world);
    cr_assert_eq(b.request.sequence, a.request.sequence);
    cr_assert_not(b.request.changed);
    cr_assert(world_answer_is(&b, "{\"id\":\"1\",\"a\":1}"));
    cr_assert_eq(c.request.sequence, a.request.sequence + 1);
}

/* ---- creations and idempotency ---- */

Test(engine, a_created_record_has_an_id_of_the_servers_and_can_be_read)
{
    cr_assert_eq(RUN(REQUEST_CREATE, PETS, NULL, "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(a.request.new_id.size, 36u);
    cr_assert_eq(a.request.new_id_text[14], '7');
    char id[37];
    snprintf(id, sizeof(id), "%.36s", a.request.new_id_text);
    cr_assert_eq(world_run(&world, &b, REQUEST_GET, PETS, id, NULL), STATUS_OK);
}

Test(engine, an_id_that_somebody_has_put_before_is_not_given_to_a_new_record)
{
    /* The thread's numbers are known here: put a record where the next creation would fall. */
    struct engine_thread *thread = engine_thread_at(world.engine, 0);
    uint64_t foreseen = thread->random;
    char id[UUID_TEXT_BYTES + 1] = {0};
    uuid_v7(&foreseen, thread->wall_ms, id);
    world.step_ns = 0; /* the same millisecond */
    cr_assert_eq(RUN(REQUEST_PUT, PETS, id, "{\"mine\":true}"), STATUS_OK);
    cr_assert_eq(world_run(&world, &b, REQUEST_CREATE, PETS, NULL, "{\"a\":1}"), STATUS_OK);
    cr_assert_neq(memcmp(b.request.new_id_text, id, UUID_TEXT_BYTES), 0);
    cr_assert_eq(RUN(REQUEST_GET, PETS, id, NULL), STATUS_OK);
}

static void create_with_key(struct world_request *request, uint8_t body)
{
    request->request.idempotency_key = BYTES_LITERAL("anonymous\0/pets\0key");
    memset(request->request.body_hash, body, 16);
    world_submit(&world, 0, request, REQUEST_CREATE, PETS, NULL, "{\"a\":1}");
}

Test(engine, the_same_idempotency_key_gives_the_first_answer_while_and_after_it_runs)
{
    world.hold_journal = true;
    create_with_key(&a, 1);
    create_with_key(&b, 1);
    create_with_key(&c, 2);
    world_step(&world);
    cr_assert_not(b.done);
    cr_assert_not(c.done);
    world.hold_journal = false;
    world_settle(&world);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(memcmp(a.request.new_id_text, b.request.new_id_text, 36), 0);
    cr_assert_eq(b.request.sequence, a.request.sequence);
    cr_assert_eq(c.request.status, STATUS_UNPROCESSABLE);
    create_with_key(&b, 1);
    world_settle(&world);
    cr_assert_eq(memcmp(a.request.new_id_text, b.request.new_id_text, 36), 0);
    cr_assert(b.request.created);
    world_restart_engine(&world);
    create_with_key(&b, 1);
    world_settle(&world);
    cr_assert_eq(memcmp(a.request.new_id_text, b.request.new_id_text, 36), 0);
    world.now_ns += 24ull * 3600 * 1000000000ull + 1000000000ull;
    world_step(&world);
    create_with_key(&b, 2);
    world_settle(&world);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_neq(memcmp(a.request.new_id_text, b.request.new_id_text, 36), 0);
}

/* ---- reads by store threads ---- */

static void reads_block(bool always)
{
    const struct store_memory_faults faults = {.seed = 1,
                                               .would_block = always ? STORE_MEMORY_ALWAYS : 0};
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_faults_set(world.stores[i], &faults);
    }
}

Test(engine, a_read_that_a_write_overtook_answers_the_new_record_and_fills_nothing)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    a.request.refresh = true; /* past the cache */
    reads_block(true);
    world.hold_jobs = true;
    world.hold_journal = true;
    /* The write is evaluated while the store answers at once, the read then has to wait for a store
     * thread. */
    reads_block(false);
    world_submit(&world, 0, &b, REQUEST_PUT, PETS, "1", "{\"a\":2}");
    reads_block(true);
    world_submit(&world, 0, &a, REQUEST_GET, PETS, "1", NULL);
    world_step(&world);
    cr_assert_eq(world.job_count, 1u);
    struct store_job *read = world.jobs[0];
    read->run(read); /* reads the old record, and its message is still on its way … */
    world.job_count = 0;
    world.hold_journal = false;
    world_step(&world);
    world_step(&world);
    world_step(&world);
    cr_assert(b.done);
    cr_assert(a.done, "an apply answers the readers of its key");
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":2}"));
    mailbox_send(read->reply_to,
                 &read->message); /* … and comes back after the write was answered */
    world.hold_jobs = false;
    world_settle(&world);
    a.request.refresh = false;
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":2}"));
}

Test(engine_uncached, many_readers_of_one_key_cause_one_read)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    reads_block(true);
    world.hold_jobs = true;
    world_submit(&world, 0, &a, REQUEST_GET, PETS, "1", NULL);
    world_submit(&world, 0, &b, REQUEST_GET, PETS, "1", NULL);
    world_submit(&world, 0, &c, REQUEST_GET, PETS, "1", NULL);
    cr_assert_eq(world.job_count, 1u);
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":1}"));
    cr_assert(world_answer_is(&b, "{\"id\":\"1\",\"a\":1}"));
    cr_assert(world_answer_is(&c, "{\"id\":\"1\",\"a\":1}"));
}

Test(engine, writes_that_wait_for_a_read_keep_their_order)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"n\":0}"), STATUS_OK);
    reads_block(true);
    world.hold_jobs = true;
    world_submit(&world, 0, &a, REQUEST_PUT, PETS, "1", "{\"n\":1}");
    world_submit(&world, 0, &b, REQUEST_PATCH, PETS, "1", "{\"m\":2}");
    world_submit(&world, 0, &c, REQUEST_DELETE, PETS, "1", NULL);
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert_eq(a.request.version, 2u);
    cr_assert(world_answer_is(&b, "{\"id\":\"1\",\"n\":1,\"m\":2}"));
    cr_assert(c.request.changed);
    cr_assert_lt(a.request.sequence, b.request.sequence);
    cr_assert_lt(b.request.sequence, c.request.sequence);
}

Test(engine, a_store_that_refuses_delays_answers_and_loses_nothing)
{
    const struct store_memory_faults stall = {
        .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 5};
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_faults_set(world.stores[i], &stall);
    }
    world_submit(&world, 0, &a, REQUEST_PUT, PETS, "1", "{\"a\":1}");
    for (int i = 0; i < 20; i++) {
        world_step(&world);
    }
    cr_assert_not(a.done, "committed, but not applied: not answered");
    cr_assert_eq(world_run(&world, &b, REQUEST_GET, PETS, "1", NULL), STATUS_NOT_FOUND);
    reads_block(false);
    world_settle(&world);
    cr_assert(a.done);
    cr_assert_eq(world_run(&world, &b, REQUEST_GET, PETS, "1", NULL), STATUS_OK);
}

Test(engine, what_waits_for_a_store_that_refuses_is_bounded_in_bytes)
{
    world.engine->options.queued_bytes_max = 4096;
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_faults_set(world.stores[i],
                                &(struct store_memory_faults){
                                    .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 100});
    }
    static char json[3000];
    struct world_request *requests[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        snprintf(json, sizeof(json), "{\"n\":%d,\"text\":\"%02500d\"}", i, 0);
        world_submit(&world, 0, requests[i], REQUEST_PUT, PETS, "1", json);
        for (int turn = 0; turn < 4; turn++) {
            world_step(&world);
        }
    }
    cr_assert_not(a.done);
    cr_assert_not(b.done, "under the bound when it came");
    cr_assert(c.done);
    cr_assert_eq(c.request.status, STATUS_BUSY);
    reads_block(false);
    world_settle(&world);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"n\":3}"), STATUS_OK, "there is room again");
}

Test(engine, a_store_that_failed_for_good_is_said_and_takes_no_writes_while_reads_go_on)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    uint32_t shard = a.request.shard;
    const struct store_memory_faults faults = {.seed = 1, .flush_failed = STORE_MEMORY_ALWAYS};
    store_memory_faults_set(world.stores[shard], &faults);
    engine_drain(world.engine); /* flushes, which fails; the next look at the store tells */
    struct engine_health health = {.store_failure = STATUS_OK};
    for (int i = 0; i < 100 && health.store_failure == STATUS_OK; i++) {
        world.now_ns += 100000000;
        world_step(&world);
        engine_health_read(world.engine, &health);
    }
    cr_assert_eq(health.store_failure, STATUS_IO_ERROR);
    cr_assert_eq(health.store_failed_shard, shard);
    cr_assert_not_null(health.store_failure_text);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":2}"), STATUS_NOT_ACCEPTED);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":1}"));
}

/* ---- positions ---- */

Test(engine, a_read_with_a_minimum_position_waits_for_it_or_gives_up_after_a_second)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    b.request.minimum_sequence = a.request.sequence;
    cr_assert_eq(world_run(&world, &b, REQUEST_GET, PETS, "1", NULL), STATUS_OK);
    b.request.minimum_sequence = a.request.sequence + 1;
    world_submit(&world, 0, &b, REQUEST_GET, PETS, "1", NULL);
    world_step(&world);
    cr_assert_not(b.done);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "2", "{\"a\":1}"), STATUS_OK);
    world_step(&world);
    world_step(&world);
    cr_assert(b.done);
    cr_assert_eq(b.request.status, STATUS_OK);
    b.request.minimum_sequence = a.request.sequence + 100;
    world.step_ns = 100000000;
    cr_assert_eq(world_run(&world, &b, REQUEST_GET, PETS, "1", NULL), STATUS_PRECONDITION_FAILED);
}

Test(engine, a_published_position_is_never_taken_back)
{
    /* Of two records in different shards, one is written, then the other more often. */
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    uint32_t quiet = a.request.shard;
    char id[8] = "2";
    do {
        id[0]++;
        cr_assert_eq(world_run(&world, &b, REQUEST_PUT, PETS, id, "{\"a\":1}"), STATUS_OK);
    } while (b.request.shard == quiet);
    uint64_t published = engine_published(world.engine);
    cr_assert_eq(published, b.request.sequence);
    /* The quiet shard commits again, and its store refuses to apply for a while. */
    const struct store_memory_faults stall = {
        .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 5};
    store_memory_faults_set(world.stores[quiet], &stall);
    world_submit(&world, 0, &a, REQUEST_PUT, PETS, "1", "{\"a\":2}");
    for (int i = 0; i < 10; i++) {
        world_step(&world);
    }
    cr_assert_not(a.done);
    cr_assert_eq(engine_published(world.engine), published);
    store_memory_faults_set(world.stores[quiet], &(struct store_memory_faults){.seed = 1});
}

/* ---- lists ---- */

static void list(struct world_request *request, const char *category, const char *after,
                 uint32_t limit)
{
    request->request.list_field = category == NULL ? BYTES_EMPTY : BYTES_LITERAL("category");
    request->request.list_value = category == NULL ? BYTES_EMPTY : bytes_of_text(category);
    request->request.list_after = after == NULL ? BYTES_EMPTY : bytes_of_text(after);
    request->request.list_limit = limit;
    world_submit(&world, 0, request, REQUEST_LIST, PRODUCTS, NULL, NULL);
    world_settle(&world);
    cr_assert_eq(request->request.status, STATUS_OK);
}

Test(engine, lists_are_merged_in_id_order_and_paged)
{
    list(&b, NULL, NULL, 10);
    cr_assert(world_answer_is(&b, "[]"));
    const char *ids[] = {"c", "a", "e", "b", "d"};
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, ids[i], "{\"title\":\"t\"}"), STATUS_OK);
    }
    list(&b, NULL, NULL, 2);
    cr_assert(
        world_answer_is(&b, "[{\"id\":\"a\",\"title\":\"t\"},{\"id\":\"b\",\"title\":\"t\"}]"));
    cr_assert(bytes_equal(b.request.list_next, BYTES_LITERAL("b")));
    list(&b, NULL, "b", 3);
    cr_assert(world_answer_is(&b, "[{\"id\":\"c\",\"title\":\"t\"},{\"id\":\"d\",\"title\":\"t\"},"
                                  "{\"id\":\"e\",\"title\":\"t\"}]"));
    cr_assert_eq(b.request.list_next.size, 0u);
}

Test(engine, a_cached_list_is_a_hit_until_any_record_of_the_collection_changes)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"t\"}"), STATUS_OK);
    list(&b, NULL, NULL, 10);
    cr_assert_neq(b.request.cache, CACHE_HIT);
    list(&b, NULL, NULL, 10);
    cr_assert_eq(b.request.cache, CACHE_HIT);
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "a", "{}"), STATUS_OK);
    list(&b, NULL, NULL, 10);
    cr_assert_eq(b.request.cache, CACHE_HIT);
    cr_assert_eq(RUN(REQUEST_DELETE, PRODUCTS, "a", NULL), STATUS_OK);
    list(&b, NULL, NULL, 10);
    cr_assert(world_answer_is(&b, "[]"));
}

Test(engine, a_record_that_moves_between_index_values_leaves_one_page_and_enters_the_other)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"t\",\"category\":\"x\"}"),
                 STATUS_OK);
    list(&b, "x", NULL, 10);
    cr_assert(world_answer_is(&b, "[{\"id\":\"a\",\"title\":\"t\",\"category\":\"x\"}]"));
    list(&c, "y", NULL, 10);
    cr_assert(world_answer_is(&c, "[]"));
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"t\",\"category\":\"y\"}"),
                 STATUS_OK);
    list(&b, "x", NULL, 10);
    cr_assert(world_answer_is(&b, "[]"));
    list(&c, "y", NULL, 10);
    cr_assert(world_answer_is(&c, "[{\"id\":\"a\",\"title\":\"t\",\"category\":\"y\"}]"));
}

Test(engine, a_page_of_one_index_value_stays_cached_when_another_changes)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"category\":\"x\"}"), STATUS_OK);
    list(&b, "x", NULL, 10);
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "b", "{\"category\":\"y\"}"), STATUS_OK);
    list(&b, "x", NULL, 10);
    cr_assert_eq(b.request.cache, CACHE_HIT);
}

Test(engine, a_list_gathered_across_a_write_is_not_given_to_who_came_after_it)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"1\"}"), STATUS_OK);
    world.hold_jobs = true;
    b.request.list_limit = 10;
    c.request.list_limit = 10;
    world_submit(&world, 0, &b, REQUEST_LIST, PRODUCTS, NULL, NULL);
    world_step(&world); /* slices of this moment are taken */
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"2\"}"), STATUS_OK);
    world_submit(&world, 0, &c, REQUEST_LIST, PRODUCTS, NULL, NULL); /* joins, but began later */
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert(world_answer_is(&c, "[{\"id\":\"a\",\"title\":\"2\"}]"));
}

/* ---- recovery ---- */

static void run_held_jobs(void)
{
    while (world.job_count > 0) {
        world_job_run(&world, 0);
    }
    world_step(&world);
}

Test(engine, lists_that_a_write_sent_back_share_the_next_gather_whatever_is_written_meanwhile)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"1\"}"), STATUS_OK);
    static struct world_request d;
    world.hold_jobs = true;
    world_submit(&world, 0, &b, REQUEST_LIST, PRODUCTS, NULL, NULL);
    world_step(&world);
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"2\"}"), STATUS_OK);
    world_submit(&world, 0, &c, REQUEST_LIST, PRODUCTS, NULL, NULL);
    world_submit(&world, 0, &d, REQUEST_LIST, PRODUCTS, NULL, NULL);
    run_held_jobs();
    cr_assert(b.done);
    cr_assert_not(c.done, "that page was read before it came");
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"title\":\"3\"}"), STATUS_OK);
    run_held_jobs();
    cr_assert(c.done);
    cr_assert(d.done);
    cr_assert(world_answer_is(&c, "[{\"id\":\"a\",\"title\":\"2\"}]"));
    cr_assert(world_answer_is(&d, "[{\"id\":\"a\",\"title\":\"2\"}]"));
    request_release(&d.request);
}

Test(engine, more_lists_than_places_for_gathers_are_all_answered)
{
    static struct world_request requests[GATHERS_MAX + 5];
    world.hold_jobs = true;
    for (uint32_t i = 0; i < GATHERS_MAX + 5; i++) {
        requests[i].request.list_limit = i + 1; /* each is another page */
        world_submit(&world, 0, &requests[i], REQUEST_LIST, PRODUCTS, NULL, NULL);
    }
    world_step(&world);
    cr_assert_eq(world.job_count, GATHERS_MAX * world.options.shard_count);
    world.hold_jobs = false;
    world_settle(&world);
    for (uint32_t i = 0; i < GATHERS_MAX + 5; i++) {
        cr_assert(requests[i].done);
        cr_assert(world_answer_is(&requests[i], "[]"));
        request_release(&requests[i].request);
    }
}

Test(engine, what_the_stores_lost_is_replayed_with_the_same_tags_and_index_rows)
{
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"category\":\"x\"}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"category\":\"y\"}"), STATUS_OK);
    uint64_t sequence = a.request.sequence;
    uint64_t epoch = a.request.epoch;
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "b", "{\"category\":\"y\"}"), STATUS_OK);
    cr_assert_eq(RUN(REQUEST_DELETE, PRODUCTS, "b", NULL), STATUS_OK);
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_crash(world.stores[i]);
    }
    world_restart_engine(&world);
    cr_assert_eq(RUN(REQUEST_GET, PRODUCTS, "a", NULL), STATUS_OK);
    cr_assert_eq(a.request.sequence, sequence);
    cr_assert_eq(a.request.epoch, epoch);
    cr_assert_eq(a.request.version, 2u);
    list(&b, "x", NULL, 10);
    cr_assert(world_answer_is(&b, "[]"));
    list(&b, "y", NULL, 10);
    cr_assert(world_answer_is(&b, "[{\"id\":\"a\",\"category\":\"y\",\"title\":\"\"}]"));
    cr_assert_eq(RUN(REQUEST_GET, PRODUCTS, "b", NULL), STATUS_NOT_FOUND);
}

static uint64_t flushes(void)
{
    struct engine_statistics statistics;
    engine_statistics_read(world.engine, &statistics);
    return statistics.flushes;
}

Test(engine, what_was_replayed_counts_as_behind_so_that_starts_do_not_add_up)
{
    char id[16];
    for (int i = 0; i < 64; i++) {
        snprintf(id, sizeof(id), "%d", i);
        cr_assert_eq(RUN(REQUEST_PUT, PETS, id, "{\"a\":1}"), STATUS_OK);
    }
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_crash(world.stores[i]);
    }
    world_restart_engine(&world);
    world_settle(&world);
    cr_assert_eq(flushes(), 0, "far from the bound");
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_crash(world.stores[i]);
    }
    world.options.journal_tail_max = 4096;
    world_restart_engine(&world);
    world_settle(&world);
    cr_assert_eq(flushes(), world.options.shard_count, "nothing was written in this run");
}

Test(engine, an_index_that_is_built_at_a_start_does_not_stay_in_memory_as_a_whole)
{
    PRODUCTS->index_count = 0;
    world_restart_engine(&world);
    char id[16];
    for (int i = 0; i < 3200; i++) {
        snprintf(id, sizeof(id), "%d", i);
        cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, id, "{\"category\":\"x\"}"), STATUS_OK);
    }
    PRODUCTS->index_count = 1;
    world.options.memtable_bytes_max = 64u << 10;
    world_restart_engine(&world);
    cr_assert_geq(flushes(), 2 * world.options.shard_count, "on the way, and at the end");
    list(&b, "x", NULL, 3);
    cr_assert(bytes_starts_with(b.request.answer, BYTES_LITERAL("[{\"id\":\"0\"")));
}

Test(engine, an_index_that_is_declared_later_is_built_from_the_records)
{
    PRODUCTS->index_count = 0;
    world_restart_engine(&world);
    cr_assert_eq(RUN(REQUEST_PUT, PRODUCTS, "a", "{\"category\":\"x\"}"), STATUS_OK);
    PRODUCTS->index_count = 1;
    world_restart_engine(&world);
    list(&b, "x", NULL, 10);
    cr_assert(world_answer_is(&b, "[{\"id\":\"a\",\"category\":\"x\",\"title\":\"\"}]"));
}

static uint32_t shards_flushing(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        count += world.engine->shards[i]->flush_stage != FLUSH_IDLE;
    }
    return count;
}

Test(engine, shards_that_flush_leave_a_store_thread_for_reads)
{
    char id[16];
    for (int i = 0; i < 64; i++) {
        snprintf(id, sizeof(id), "%d", i);
        cr_assert_eq(RUN(REQUEST_PUT, PETS, id, "{\"a\":1}"), STATUS_OK);
    }
    world_settle(&world);
    world.hold_jobs = true;
    engine_drain(world.engine);
    uint32_t most = 0;
    for (int i = 0; i < 100 && !engine_drained(world.engine); i++) {
        world_step(&world);
        cr_assert_leq(shards_flushing(), EXECUTOR_WAITS_MAX);
        most = shards_flushing() > most ? shards_flushing() : most;
        if (world.job_count > 0) {
            world_job_run(&world, 0);
        }
    }
    cr_assert_eq(most, EXECUTOR_WAITS_MAX);
    cr_assert(engine_drained(world.engine), "who found no place looked again");
}

Test(engine, a_drain_flushes_everything_so_that_nothing_is_replayed)
{
    cr_assert_eq(RUN(REQUEST_PUT, PETS, "1", "{\"a\":1}"), STATUS_OK);
    cr_assert_not(engine_drained(world.engine));
    engine_drain(world.engine);
    for (int i = 0; i < 1000 && !engine_drained(world.engine); i++) {
        world_step(&world);
    }
    cr_assert(engine_drained(world.engine));
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_crash(world.stores[i]);
    }
    engine_destroy(&world.engine);
    enum status status = engine_create(&world.options, &world.engine);
    cr_assert_eq(status, STATUS_OK);
    engine_thread_attach(engine_thread_at(world.engine, 0), &world.waker);
    uint64_t entries;
    struct detail detail;
    cr_assert_eq(engine_replay(world.engine, &entries, &detail), STATUS_OK);
    cr_assert_eq(entries, 0u);
    cr_assert_eq(RUN(REQUEST_GET, PETS, "1", NULL), STATUS_OK);
}
