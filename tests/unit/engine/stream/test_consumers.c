/* Named consumers: what they are, where they stand, and what outlives a restart. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/stream/consumers_internal.h"
#include "protocol/document/json.h"
#include "tests/unit/engine/stream/consumers_fixture.h"

static struct fixture fixture;
static struct fixture_request a;
static struct fixture_request b;
static struct fixture_request c;

static void begin(void)
{
    fixture_create(&fixture, 2, 0);
}

static void end(void)
{
    fixture_destroy(&fixture);
}

TestSuite(consumers, .init = begin, .fini = end);

static void pattern_set(struct fixture_request *mine, const char *json)
{
    struct writer pattern = writer_of(mine->pattern, sizeof(mine->pattern));
    cr_assert_eq(json_to_document(bytes_of_text(json), &pattern, NULL), STATUS_OK);
    mine->request.pattern = writer_bytes(&pattern);
}

static void definition_is(const struct fixture_request *mine, const char *json)
{
    char text[1024];
    struct writer out = writer_of(text, sizeof(text));
    cr_assert_eq(document_to_json(bytes_of(mine->definition, mine->definition_size), &out),
                 STATUS_OK);
    cr_assert_eq(out.size, strlen(json), "%.*s", (int)out.size, text);
    cr_assert_arr_eq(text, json, out.size, "%.*s", (int)out.size, text);
}

/* ---- what a consumer is ---- */

Test(consumers, one_is_created_shown_and_deleted)
{
    fixture_prepare(&a, CONSUMER_PUT, "mail", NULL);
    a.request.collection = BYTES_LITERAL("pets");
    pattern_set(&a, "{\"eventName\":[\"INSERT\"]}");
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_OK);
    cr_assert(a.request.created);
    definition_is(
        &a, "{\"collection\":\"pets\",\"pattern\":{\"eventName\":[\"INSERT\"]},\"group\":false}");
    cr_assert_eq(fixture_get(&fixture, "mail", &b), STATUS_OK);
    definition_is(
        &b, "{\"collection\":\"pets\",\"pattern\":{\"eventName\":[\"INSERT\"]},\"group\":false}");
    cr_assert_not(b.request.is_group);
    fixture_prepare(&c, CONSUMER_DELETE, "mail", NULL);
    cr_assert_eq(fixture_run(&fixture, &c), STATUS_OK);
    cr_assert_eq(fixture_get(&fixture, "mail", &b), STATUS_NOT_FOUND);
    cr_assert_eq(fixture_run(&fixture, &c), STATUS_NOT_FOUND);
    cr_assert_eq(atomic_load(&fixture.all[0]->total), 0u);
}

Test(consumers, what_is_asked_of_one_that_is_not_there_is_not_found)
{
    static const enum consumer_request_kind kinds[] = {CONSUMER_GET, CONSUMER_DELETE, CONSUMER_READ,
                                                       CONSUMER_ACK, CONSUMER_LEAVE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fixture_prepare(&a, kinds[i], "nobody", NULL);
        a.request.token = fixture_token(&fixture, 0);
        cr_assert_eq(fixture_run(&fixture, &a), STATUS_NOT_FOUND);
    }
}

Test(consumers, a_name_is_letters_digits_and_three_marks)
{
    static char long_name[CONSUMER_NAME_BYTES_MAX + 2];
    memset(long_name, 'x', CONSUMER_NAME_BYTES_MAX + 1);
    const char *bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa4", long_name};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(fixture_make(&fixture, bad[i], false), STATUS_INVALID, "%s", bad[i]);
    }
    long_name[CONSUMER_NAME_BYTES_MAX] = '\0';
    const char *good[] = {"a", "Az09._-", "...", long_name};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_eq(fixture_make(&fixture, good[i], false), STATUS_OK, "%s", good[i]);
    }
}

Test(consumers, putting_one_again_keeps_its_position_and_changes_its_definition)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, first, 0), STATUS_OK);
    fixture_read(&fixture, "mail", NULL, &a);
    uint64_t generation = a.request.generation;

    uint64_t committed = fixture_committed(&fixture);
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    cr_assert_eq(fixture_committed(&fixture), committed, "an equal one is not written");

    fixture_prepare(&b, CONSUMER_PUT, "mail", NULL);
    b.request.collection = BYTES_LITERAL("pets");
    b.request.from = SUBSCRIBE_EARLIEST;
    cr_assert_eq(fixture_run(&fixture, &b), STATUS_OK);
    cr_assert_not(b.request.created);
    cr_assert_eq(b.request.position.position.sequence, first);
    definition_is(&b, "{\"collection\":\"pets\",\"group\":false}");
    fixture_read(&fixture, "mail", NULL, &a);
    cr_assert_neq(a.request.generation, generation, "readers are to begin anew");

    fixture_prepare(&b, CONSUMER_PUT, "mail", NULL);
    b.request.group = true;
    cr_assert_eq(fixture_run(&fixture, &b), STATUS_CONFLICT);
}

Test(consumers, several_who_create_one_at_once_create_it_once)
{
    struct fixture_request requests[3];
    for (uint32_t i = 0; i < 3; i++) {
        fixture_prepare(&requests[i], CONSUMER_PUT, "mail", NULL);
        requests[i].request.from = SUBSCRIBE_EARLIEST;
        fixture_submit(&fixture, i % 2, &requests[i]);
    }
    fixture_settle(&fixture);
    uint32_t created = 0;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(requests[i].done);
        cr_assert_eq(requests[i].request.status, STATUS_OK);
        created += requests[i].request.created ? 1 : 0;
    }
    cr_assert_eq(created, 1u);
    cr_assert_eq(atomic_load(&fixture.all[0]->total), 1u);
}

Test(consumers, there_is_a_most_of_them)
{
    atomic_store(&fixture.all[0]->total, CONSUMERS_MAX - 1);
    cr_assert_eq(fixture_make(&fixture, "last", false), STATUS_OK);
    cr_assert_eq(fixture_make(&fixture, "more", false), STATUS_BUSY);
    fixture_prepare(&a, CONSUMER_DELETE, "last", NULL);
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_OK);
    cr_assert_eq(fixture_make(&fixture, "more", false), STATUS_OK);
}

/* ---- where one begins ---- */

static enum status make_from(const char *name, enum subscription_from from, uint64_t value)
{
    fixture_prepare(&a, CONSUMER_PUT, name, NULL);
    a.request.from = from;
    a.request.token = fixture_token(&fixture, value);
    a.request.time_ms = value;
    return fixture_run(&fixture, &a);
}

Test(consumers, one_begins_at_the_end_the_beginning_a_position_or_a_time)
{
    uint64_t first = fixture_put(&fixture, "1", "{}");
    fixture_wait_ms(&fixture, 1000);
    uint64_t time_ms = fixture.world.wall_ms;
    fixture_wait_ms(&fixture, 1000);
    uint64_t second = fixture_put(&fixture, "2", "{}");

    cr_assert_eq(make_from("latest", SUBSCRIBE_LATEST, 0), STATUS_OK);
    cr_assert_eq(a.request.position.position.sequence, second);
    cr_assert_eq(make_from("earliest", SUBSCRIBE_EARLIEST, 0), STATUS_OK);
    cr_assert_eq(a.request.position.position.sequence, 0u);
    cr_assert_geq(a.request.lag.age_ms, 2000u);
    cr_assert_eq(make_from("token", SUBSCRIBE_TOKEN, first), STATUS_OK);
    cr_assert_eq(a.request.position.position.sequence, first);
    cr_assert_eq(make_from("time", SUBSCRIBE_TIME, time_ms), STATUS_OK);
    cr_assert_eq(a.request.position.position.sequence, first);
    fixture_wait_ms(&fixture, 1000);
    cr_assert_eq(make_from("now", SUBSCRIBE_TIME, fixture.world.wall_ms), STATUS_OK);
    cr_assert_geq(a.request.position.position.sequence, second);
}

Test(consumers, one_does_not_begin_where_nothing_is)
{
    cr_assert_eq(make_from("a", SUBSCRIBE_TIME, fixture.world.wall_ms + 5000), STATUS_INVALID);
    cr_assert_eq(make_from("a", SUBSCRIBE_TOKEN, 99), STATUS_INVALID);
    cr_assert_eq(make_from("a", SUBSCRIBE_SNAPSHOT, 0), STATUS_INVALID);
    fixture_prepare(&a, CONSUMER_PUT, "a", NULL);
    a.request.from = SUBSCRIBE_TOKEN;
    a.request.token = fixture_token(&fixture, 0);
    a.request.token.in_snapshot = true;
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_INVALID);
    a.request.token.in_snapshot = false;
    a.request.token.position.store_id.bytes[0] ^= 1;
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_POSITION_EXPIRED);
    cr_assert_eq(fixture_get(&fixture, "a", &a), STATUS_NOT_FOUND);
    cr_assert_eq(atomic_load(&fixture.all[0]->total), 0u);
    cr_assert_eq(fixture_committed(&fixture), 0u);
}

static const struct journal_vtable *journal_own;
static uint32_t expired_left;

static enum status reader_create_expires(struct journal *journal, uint64_t from_sequence,
                                         struct journal_reader **out)
{
    if (expired_left > 0) {
        expired_left--;
        return STATUS_POSITION_EXPIRED;
    }
    return journal_own->reader_create(journal, from_sequence, out);
}

Test(consumers, the_beginning_is_looked_for_anew_when_retention_has_passed_it)
{
    uint64_t first = fixture_put(&fixture, "1", "{}");
    journal_own = fixture.world.journal->vtable;
    struct journal_vtable vtable = *journal_own;
    vtable.reader_create = reader_create_expires;
    fixture.world.journal->vtable = &vtable;
    expired_left = 2;
    cr_assert_eq(make_from("a", SUBSCRIBE_EARLIEST, 0), STATUS_OK);
    cr_assert_eq(expired_left, 0u);
    cr_assert_lt(a.request.position.position.sequence, first);
    fixture.world.journal->vtable = journal_own;
}

/* ---- acknowledging ---- */

Test(consumers, an_acknowledgement_moves_on_and_never_back)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    uint64_t second = fixture_put(&fixture, "2", "{}");
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, second, 0), STATUS_OK);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, first, 0), STATUS_OK);
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.position.position.sequence, second);
    fixture_read(&fixture, "mail", NULL, &a);
    cr_assert_eq(a.request.position.position.sequence, second);
}

Test(consumers, an_acknowledgement_is_refused_when_its_position_is_none_of_this_journal)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, 999, 0), STATUS_INVALID);
    cr_assert_eq(fixture_ack(&fixture, "mail", "me", 1, 0), STATUS_CONFLICT);
    fixture_prepare(&a, CONSUMER_ACK, "mail", NULL);
    a.request.token = fixture_token(&fixture, 1);
    a.request.token.in_snapshot = true;
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_INVALID);
    a.request.token.in_snapshot = false;
    a.request.token.position.store_id.bytes[3] ^= 1;
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_POSITION_EXPIRED);
}

Test(consumers, an_acknowledgement_is_answered_when_it_is_committed)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    fixture.world.hold_journal = true;
    fixture_prepare(&a, CONSUMER_ACK, "mail", NULL);
    a.request.token = fixture_token(&fixture, sequence);
    fixture_submit(&fixture, 1, &a);
    b = a; /* the same once more, while the first is being written */
    fixture_wait_ms(&fixture, 1000);
    fixture_submit(&fixture, 0, &b);
    fixture_wait_ms(&fixture, 1000);
    cr_assert_not(a.done);
    cr_assert_not(b.done);
    cr_assert_eq(fixture_get(&fixture, "mail", &c), STATUS_OK);
    cr_assert_lt(c.request.position.position.sequence, sequence, "not recorded yet");
    fixture.world.hold_journal = false;
    fixture_settle(&fixture);
    cr_assert(a.done);
    cr_assert(b.done);
    cr_assert_eq(a.request.status, STATUS_OK);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(fixture_get(&fixture, "mail", &c), STATUS_OK);
    cr_assert_eq(c.request.position.position.sequence, sequence);
}

Test(consumers, acknowledgements_are_written_ten_times_a_second_the_first_at_once)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t sequences[5];
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        sequences[i] = fixture_put(&fixture, id, "{}");
    }
    uint64_t committed = fixture_committed(&fixture);
    uint64_t began_ns = fixture.world.now_ns;
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, sequences[0], 0), STATUS_OK);
    cr_assert_lt(fixture.world.now_ns - began_ns, 10 * FIXTURE_MS);
    struct fixture_request requests[4];
    for (int i = 1; i < 5; i++) {
        fixture_prepare(&requests[i - 1], CONSUMER_ACK, "mail", NULL);
        requests[i - 1].request.token = fixture_token(&fixture, sequences[i]);
        fixture_submit(&fixture, 0, &requests[i - 1]);
    }
    fixture_wait_ms(&fixture, 80);
    cr_assert_eq(fixture_committed(&fixture), committed + 1);
    cr_assert_not(requests[0].done);
    fixture_wait_ms(&fixture, 30);
    fixture_settle(&fixture);
    cr_assert_eq(fixture_committed(&fixture), committed + 2, "all four in one");
    for (int i = 0; i < 4; i++) {
        cr_assert(requests[i].done);
        cr_assert_eq(requests[i].request.status, STATUS_OK);
    }
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.position.position.sequence, sequences[4]);
}

Test(consumers, none_moves_on_internal_entries_alone)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, sequence, 0), STATUS_OK);
    cr_assert_eq(fixture_make(&fixture, "other", false), STATUS_OK);
    uint64_t committed = fixture_committed(&fixture);
    cr_assert_geq(committed, sequence + 2);
    fixture_wait_ms(&fixture, 200);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, committed, 0), STATUS_OK);
    fixture_wait_ms(&fixture, 200);
    cr_assert_eq(fixture_committed(&fixture), committed, "nothing is written for it");
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.position.position.sequence, sequence);
    sequence = fixture_put(&fixture, "2", "{}");
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, sequence, 0), STATUS_OK);
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.position.position.sequence, sequence);
}

Test(consumers, a_write_that_the_journal_refuses_is_said_to_all_who_wait_for_it)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    atomic_store(&fixture.world.journal->read_only, true);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, sequence, 0), STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture_make(&fixture, "other", false), STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture_get(&fixture, "other", &a), STATUS_NOT_FOUND);
    fixture_prepare(&a, CONSUMER_DELETE, "mail", NULL);
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_NOT_ACCEPTED);
    cr_assert_eq(fixture_get(&fixture, "mail", &a), STATUS_OK);
    cr_assert_lt(a.request.position.position.sequence, sequence);
    cr_assert_eq(atomic_load(&fixture.all[0]->total), 1u);
    atomic_store(&fixture.world.journal->read_only, false);
    fixture_wait_ms(&fixture, 200);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, sequence, 0), STATUS_OK);
    cr_assert_eq(fixture_get(&fixture, "mail", &a), STATUS_OK);
    cr_assert_eq(a.request.position.position.sequence, sequence);
}

Test(consumers, who_waits_for_a_consumer_that_is_deleted_hears_that_it_is_gone)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    uint64_t second = fixture_put(&fixture, "2", "{}");
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, first, 0), STATUS_OK);
    fixture_prepare(&a, CONSUMER_ACK, "mail", NULL);
    a.request.token = fixture_token(&fixture, second);
    fixture_submit(&fixture, 0, &a);
    fixture_prepare(&b, CONSUMER_DELETE, "mail", NULL);
    fixture_submit(&fixture, 1, &b);
    fixture_prepare(&c, CONSUMER_PUT, "mail", NULL);
    c.request.group = true;
    fixture_submit(&fixture, 1, &c);
    fixture_settle(&fixture);
    cr_assert_eq(a.request.status, STATUS_NOT_FOUND);
    cr_assert_eq(b.request.status, STATUS_OK);
    cr_assert_eq(c.request.status, STATUS_OK);
    cr_assert(c.request.created);
    cr_assert_eq(fixture_get(&fixture, "mail", &a), STATUS_OK);
    cr_assert(a.request.is_group, "and another may have its name");
}

/* ---- lag ---- */

Test(consumers, lag_counts_changes_that_are_not_acknowledged)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.lag.events, 0u);
    cr_assert_eq(a.request.lag.bytes, 0u);
    cr_assert_eq(a.request.lag.age_ms, 0u);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    fixture_wait_ms(&fixture, 500);
    uint64_t second = fixture_put(&fixture, "2", "{}");
    fixture_wait_ms(&fixture, 500);
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.lag.events, 2u);
    cr_assert_gt(a.request.lag.bytes, 0u);
    cr_assert(a.request.lag.age_ms >= 1000 && a.request.lag.age_ms < 1100);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, first, 0), STATUS_OK);
    uint64_t bytes = a.request.lag.bytes;
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.lag.events, 1u);
    cr_assert(a.request.lag.age_ms >= 500 && a.request.lag.age_ms < 600);
    fixture_wait_ms(&fixture, 200);
    cr_assert_eq(fixture_ack(&fixture, "mail", NULL, second, 0), STATUS_OK);
    fixture_get(&fixture, "mail", &a);
    cr_assert_eq(a.request.lag.events, 0u, "its own record is no change");
    cr_assert_eq(a.request.lag.bytes, 0u);
    cr_assert_neq(bytes, 0u);
}

Test(consumers, lag_counts_the_consumers_collection_only)
{
    fixture_prepare(&a, CONSUMER_PUT, "goods", NULL);
    a.request.collection = BYTES_LITERAL("products");
    cr_assert_eq(fixture_run(&fixture, &a), STATUS_OK);
    fixture_put(&fixture, "1", "{}");
    fixture_get(&fixture, "goods", &a);
    cr_assert_eq(a.request.lag.events, 0u);
}

Test(consumers, the_age_of_what_is_long_behind_is_read_from_the_journal)
{
    fixture_put(&fixture, "1", "{}");
    fixture_wait_ms(&fixture, 5000);
    cr_assert_eq(make_from("old", SUBSCRIBE_EARLIEST, 0), STATUS_OK);
    /* As if the newest entries had left the memory long ago. */
    recent_destroy(&fixture.world.journal->recent);
    cr_assert_eq(recent_create(0, &fixture.world.journal->recent), STATUS_OK);
    recent_start(fixture.world.journal->recent, fixture_committed(&fixture) + 1);
    struct consumer *consumer =
        consumer_find(fixture.all[engine_thread_of_hash(
                          fixture.world.engine,
                          engine_hash(fixture.all[0]->options.collection, BYTES_LITERAL("old")))],
                      BYTES_LITERAL("old"));
    consumer->body->time_ms = 0;
    fixture_get(&fixture, "old", &a);
    cr_assert(a.request.lag.age_ms >= 5000 && a.request.lag.age_ms < 5200);
    cr_assert_eq(a.request.lag.events, fixture_committed(&fixture));
}

/* ---- the list ---- */

static enum status list(const char *after, uint32_t limit)
{
    fixture_prepare(&a, CONSUMER_LIST, NULL, NULL);
    a.request.after = after == NULL ? BYTES_EMPTY : bytes_of_text(after);
    a.request.limit = limit;
    return fixture_run(&fixture, &a);
}

Test(consumers, the_list_has_all_of_all_threads_by_name_in_pages)
{
    cr_assert_eq(list(NULL, 10), STATUS_OK);
    cr_assert_eq(a.request.row_count, 0u);
    cr_assert_not(a.request.more);
    for (int i = 39; i >= 0; i--) {
        char name[16];
        snprintf(name, sizeof(name), "n%02d", i);
        cr_assert_eq(fixture_make(&fixture, name, i == 7), STATUS_OK);
    }
    fixture_put(&fixture, "1", "{}");
    uint32_t seen = 0;
    char after[16] = "";
    do {
        cr_assert_eq(list(after, 7), STATUS_OK);
        for (uint32_t i = 0; i < a.request.row_count; i++) {
            snprintf(after, sizeof(after), "n%02u", seen++);
            cr_assert_str_eq(a.names[i], after);
            cr_assert_eq(a.rows[i].is_group, seen == 8);
            cr_assert_eq(a.rows[i].lag.events, 1u);
        }
    } while (a.request.more);
    cr_assert_eq(seen, 40u);
    cr_assert_eq(list(NULL, 40), STATUS_OK);
    cr_assert_eq(a.request.row_count, 40u);
    cr_assert_not(a.request.more);
    cr_assert_eq(list("n39", 1), STATUS_OK);
    cr_assert_eq(a.request.row_count, 0u);
}

/* ---- restarts ---- */

Test(consumers, positions_outlive_a_restart_with_other_threads)
{
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%02d", i);
        fixture_prepare(&a, CONSUMER_PUT, name, NULL);
        a.request.group = i % 2 == 1;
        a.request.collection = BYTES_LITERAL("pets");
        pattern_set(&a, "{\"newImage\":{\"price\":[{\"numeric\":[\"<\",1.50]}]}}");
        cr_assert_eq(fixture_run(&fixture, &a), STATUS_OK);
    }
    uint64_t sequences[20];
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%02d", i);
        sequences[i] = fixture_put(&fixture, name, "{}");
        cr_assert_eq(fixture_ack(&fixture, name, NULL, sequences[i], 0), STATUS_OK);
    }
    static const uint32_t threads[] = {1, 3, 4, 2};
    for (size_t round = 0; round < sizeof(threads) / sizeof(threads[0]); round++) {
        fixture_restart(&fixture, threads[round]);
        for (int i = 0; i < 20; i++) {
            char name[16];
            snprintf(name, sizeof(name), "n%02d", i);
            cr_assert_eq(fixture_get(&fixture, name, &a), STATUS_OK);
            cr_assert_eq(a.request.position.position.sequence, sequences[i]);
            cr_assert_eq(a.request.is_group, i % 2 == 1);
            char wanted[200];
            snprintf(wanted, sizeof(wanted),
                     "{\"collection\":\"pets\",\"pattern\":{\"newImage\":{\"price\":"
                     "[{\"numeric\":[\"<\",1.50]}]}},\"group\":%s}",
                     i % 2 == 1 ? "true" : "false");
            definition_is(&a, wanted);
        }
        cr_assert_eq(list(NULL, 100), STATUS_OK);
        cr_assert_eq(a.request.row_count, 20u);
        cr_assert_eq(atomic_load(&fixture.all[0]->total), 20u);
    }
}

Test(consumers, more_than_one_page_of_them_is_loaded)
{
    for (int i = 0; i < CONSUMER_LOAD_PAGE + 30; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%03d", i);
        cr_assert_eq(fixture_make(&fixture, name, false), STATUS_OK);
    }
    fixture_restart(&fixture, 3);
    cr_assert_eq(list(NULL, 1000), STATUS_OK);
    cr_assert_eq(a.request.row_count, CONSUMER_LOAD_PAGE + 30u);
}

Test(consumers, a_record_that_is_none_is_said_and_not_passed_over)
{
    struct world_request write = {0};
    cr_assert_eq(world_run(&fixture.world, &write, REQUEST_PUT,
                           world_internal(&fixture.world, COLLECTION_CONSUMERS), "mail",
                           "{\"group\":false,\"time\":1,\"positions\":[1,2]}"),
                 STATUS_OK);
    request_release(&write.request);
    fixture_restart(&fixture, 1);
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_DAMAGED);
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_DAMAGED);
}
