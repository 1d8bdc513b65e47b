/* Records as JSON and as MessagePack: whoever asks in one form is answered in it, whatever the
 * cache holds. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/store/store_memory.h"
#include "protocol/document/json.h"
#include "tests/support/world.h"

static struct world world;
static struct world_request a;
static struct world_request b;

static void begin(void)
{
    world_create(&world, &(struct world_options){.cache_bytes = WORLD_CACHE_DEFAULT});
}

static void begin_uncached(void)
{
    world_create(&world, &(struct world_options){.cache_bytes = 0, .buffer_rows_max = 1});
}

static void end(void)
{
    request_release(&a.request);
    request_release(&b.request);
    world_destroy(&world);
}

TestSuite(forms, .init = begin, .fini = end);
TestSuite(forms_uncached, .init = begin_uncached, .fini = end);

#define PETS world_pets(&world)

static enum status run(enum request_kind kind, enum record_form form, const char *json)
{
    a.request.form = form;
    return world_run(&world, &a, kind, PETS, "1", json);
}

/* The answer, whatever its form is, shows this record. */
static bool shows(const struct world_request *request, const char *json)
{
    if (request->request.form == RECORD_JSON) {
        return world_answer_is(request, json);
    }
    char text[1024];
    struct writer out = writer_of(text, sizeof(text));
    cr_assert_eq(document_to_json(request->request.answer, &out), STATUS_OK);
    return bytes_equal(writer_bytes(&out), bytes_of_text(json));
}

/* In which form the hot path finds it. */
static bool is_cached_in(enum record_form form)
{
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    struct engine_thread *thread = engine_thread_at(world.engine, 0);
    uint64_t hash = engine_hash(PETS, BYTES_LITERAL("1"));
    enum status status =
        engine_cache_get(thread, PETS, BYTES_LITERAL("1"), hash, form, world.now_ns, copy, &body);
    if (status == STATUS_OK && body.pin != NULL) {
        engine_cache_release(thread, hash, &body);
    }
    return status == STATUS_OK;
}

static const enum record_form both[] = {RECORD_JSON, RECORD_MSGPACK};

Test(forms, a_record_is_read_in_either_form_whoever_wrote_it)
{
    for (size_t writer = 0; writer < 2; writer++) {
        const char *json = writer == 0 ? "{\"a\":1.50}" : "{\"a\":[\"\\u00e9\"]}";
        const char *record =
            writer == 0 ? "{\"id\":\"1\",\"a\":1.50}" : "{\"id\":\"1\",\"a\":[\"\xc3\xa9\"]}";
        cr_assert_eq(run(REQUEST_PUT, both[writer], json), STATUS_OK);
        cr_assert(shows(&a, record));
        for (size_t reader = 0; reader < 4; reader++) {
            cr_assert_eq(run(REQUEST_GET, both[reader % 2], NULL), STATUS_OK);
            cr_assert(shows(&a, record));
            cr_assert_eq(a.request.cache, CACHE_HIT);
        }
    }
}

Test(forms, a_new_record_is_cached_as_its_writer_shows_it)
{
    cr_assert_eq(run(REQUEST_PUT, RECORD_MSGPACK, "{\"a\":1}"), STATUS_OK);
    cr_assert(is_cached_in(RECORD_MSGPACK));
    cr_assert_not(is_cached_in(RECORD_JSON));
    cr_assert_eq(run(REQUEST_DELETE, RECORD_MSGPACK, NULL), STATUS_OK);
    cr_assert(is_cached_in(RECORD_JSON), "what is not there has no form");
    cr_assert(is_cached_in(RECORD_MSGPACK));
    cr_assert_eq(run(REQUEST_PUT, RECORD_JSON, "{\"a\":1}"), STATUS_OK);
    cr_assert(is_cached_in(RECORD_JSON));
}

Test(forms, an_entry_changes_over_to_the_form_in_which_it_is_read)
{
    cr_assert_eq(run(REQUEST_PUT, RECORD_JSON, "{\"a\":1}"), STATUS_OK);
    for (size_t form = 1; form < 4; form++) {
        for (int reads = 0; !is_cached_in(both[form % 2]); reads++) {
            cr_assert_lt(reads, 8);
            cr_assert_eq(run(REQUEST_GET, both[form % 2], NULL), STATUS_OK);
            cr_assert(shows(&a, "{\"id\":\"1\",\"a\":1}"));
        }
    }
}

Test(forms, a_write_keeps_the_form_in_which_the_record_is_read)
{
    cr_assert_eq(run(REQUEST_PUT, RECORD_MSGPACK, "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(run(REQUEST_PUT, RECORD_JSON, "{\"a\":2}"), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":2}"));
    cr_assert(is_cached_in(RECORD_MSGPACK));
    cr_assert_eq(run(REQUEST_GET, RECORD_MSGPACK, NULL), STATUS_OK);
    cr_assert(shows(&a, "{\"id\":\"1\",\"a\":2}"));
}

Test(forms, a_patch_is_judged_by_what_is_cached_in_either_form)
{
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(run(REQUEST_PUT, both[i], "{\"a\":1.50,\"b\":{\"c\":[]}}"), STATUS_OK);
        cr_assert_eq(run(REQUEST_PATCH, both[i], "{\"a\":null,\"d\":1}"), STATUS_OK);
        cr_assert(shows(&a, "{\"id\":\"1\",\"b\":{\"c\":[]},\"d\":1}"));
        cr_assert_eq(run(REQUEST_PUT, both[i], "{\"d\":1,\"b\":{\"c\":[]}}"), STATUS_OK);
        cr_assert_not(a.request.changed, "equal");
        cr_assert_eq(run(REQUEST_DELETE, both[i], NULL), STATUS_OK);
    }
}

Test(forms, a_writer_that_wants_no_record_gets_none)
{
    a.request.without_record = true;
    cr_assert_eq(run(REQUEST_PUT, RECORD_MSGPACK, "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(a.request.answer.size, 0);
    cr_assert_eq(run(REQUEST_PUT, RECORD_MSGPACK, "{\"a\":1}"), STATUS_OK);
    cr_assert_eq(a.request.answer.size, 0);
    cr_assert_eq(run(REQUEST_PATCH, RECORD_JSON, "{\"a\":2}"), STATUS_OK);
    cr_assert_eq(a.request.answer.size, 0);
    a.request.without_record = false;
    cr_assert_eq(run(REQUEST_GET, RECORD_JSON, NULL), STATUS_OK);
    cr_assert(world_answer_is(&a, "{\"id\":\"1\",\"a\":2}"));
}

/* Larger than what is copied out of the cache: such bodies are pinned. */
Test(forms, a_large_record_changes_over_too)
{
    static char json[6000];
    snprintf(json, sizeof(json), "{\"a\":\"%05000d\"}", 7);
    cr_assert_eq(run(REQUEST_PUT, RECORD_JSON, json), STATUS_OK);
    for (int reads = 0; !is_cached_in(RECORD_MSGPACK); reads++) {
        cr_assert_lt(reads, 8);
        cr_assert_eq(run(REQUEST_GET, RECORD_MSGPACK, NULL), STATUS_OK);
        cr_assert_gt(a.request.answer.size, 5000);
    }
    cr_assert_eq(run(REQUEST_PATCH, RECORD_MSGPACK, "{\"b\":1}"), STATUS_OK);
    cr_assert_eq(a.request.version, 2);
}

Test(forms_uncached, readers_of_one_read_are_each_answered_in_their_form)
{
    cr_assert_eq(run(REQUEST_PUT, RECORD_JSON, "{\"a\":1}"), STATUS_OK);
    const struct store_memory_faults faults = {.seed = 1, .would_block = STORE_MEMORY_ALWAYS};
    for (uint32_t i = 0; i < world.options.shard_count; i++) {
        store_memory_faults_set(world.stores[i], &faults);
    }
    world.hold_jobs = true;
    a.request.form = RECORD_MSGPACK;
    b.request.form = RECORD_JSON;
    world_submit(&world, 0, &a, REQUEST_GET, PETS, "1", NULL);
    world_submit(&world, 0, &b, REQUEST_GET, PETS, "1", NULL);
    cr_assert_eq(world.job_count, 1u);
    world.hold_jobs = false;
    world_settle(&world);
    cr_assert(shows(&a, "{\"id\":\"1\",\"a\":1}"));
    cr_assert(shows(&b, "{\"id\":\"1\",\"a\":1}"));
}
