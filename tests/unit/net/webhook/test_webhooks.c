#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/net/webhook/yard.h"

#define TARGET "\"target\":{\"url\":\"http://h/{id}\",\"path\":{\"id\":\"$.keys.id\"}}"
#define RULE   "{\"collection\":\"pets\"," TARGET "}"
#define ONE_AT_A_TIME                                                                              \
    "{\"collection\":\"pets\",\"target\":{\"url\":\"http://h/{id}\",\"path\":{\"id\":\"$.keys."    \
    "id\"},\"concurrency\":1}}"

static struct yard *yard;

static void begin(void)
{
    yard = malloc(sizeof(*yard));
    cr_assert_not_null(yard);
    yard_begin(yard);
}

static void end(void)
{
    yard_end(yard);
    free(yard);
}

TestSuite(webhooks, .init = begin, .fini = end);

Test(webhooks, nothing_is_called_without_rules)
{
    yard_put(yard, "1", "{\"a\":1}");
    cr_assert_eq(yard->count, 0);
    cr_assert_eq(webhooks_rule_count(yard->webhooks), 0);
}

Test(webhooks, a_change_becomes_a_call)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "rex", "{\"a\":1}");
    cr_assert_eq(yard->count, 1);
    const struct yard_call *call = &yard->started[0];
    cr_assert_str_eq(call->url, "http://h/rex");
    cr_assert(yard_has_header(call, "Content-Type: application/json"));
    cr_assert(yard_has_header(call, "webhook-id: "));
    cr_assert(yard_has_header(call, "webhook-timestamp: 17672"));
    cr_assert(!yard_has_header(call, "webhook-signature"));
    cr_assert_not_null(strstr(call->body, "\"eventName\":\"INSERT\""));
    cr_assert_not_null(strstr(call->body, "\"newImage\":{\"id\":\"rex\",\"a\":1}"));
    yard_answer(yard, 0, 204, NULL);
    yard_settle(yard);
    struct webhooks_rule state = yard_state(yard, "r");
    cr_assert_eq(state.delivered, 1);
    cr_assert_eq(state.waiting, 0);
    cr_assert_eq(state.parked, 0);
}

Test(webhooks, a_rule_begins_with_what_comes_after_its_put)
{
    yard_put(yard, "before", "{}");
    yard_rule(yard, "r", RULE);
    yard_put(yard, "after", "{}");
    cr_assert_eq(yard->count, 1);
    cr_assert_str_eq(yard->started[0].url, "http://h/after");
}

Test(webhooks, only_what_matches_is_called)
{
    yard_rule(yard, "r", "{\"pattern\":{\"eventName\":[\"MODIFY\"]}," TARGET "}");
    yard_put(yard, "1", "{\"a\":1}");
    cr_assert_eq(yard->count, 0);
    yard_put(yard, "1", "{\"a\":2}");
    cr_assert_eq(yard->count, 1);
}

/* libcurl has a notation of its own for a header without a value. */
Test(webhooks, a_header_that_is_empty_or_ends_with_a_colon_is_sent_so)
{
    yard_rule(yard, "r",
              "{\"target\":{\"url\":\"http://h/\",\"headers\":{\"X-Empty\":\"\",\"X-Colon\":\"a: "
              "\"}}}");
    yard_put(yard, "1", "{}");
    cr_assert(yard_has_header(&yard->started[0], "X-Empty;\n"));
    cr_assert(yard_has_header(&yard->started[0], "X-Colon: a: \n"));
}

Test(webhooks, two_secrets_sign_a_call)
{
    yard_rule(yard, "r",
              "{" TARGET ",\"secret\":[\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\","
              "\"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI0\"]}");
    yard_put(yard, "1", "{}");
    const char *signature = strstr(yard->started[0].headers, "webhook-signature: v1,");
    cr_assert_not_null(signature);
    cr_assert_not_null(strstr(signature + 22, " v1,"));
}

Test(webhooks, changes_of_a_record_go_one_after_the_other)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{\"n\":1}");
    yard_put(yard, "1", "{\"n\":2}");
    yard_put(yard, "2", "{\"n\":3}");
    cr_assert_eq(yard_open_count(yard), 2);
    cr_assert_not_null(strstr(yard->started[0].body, "\"n\":1"));
    cr_assert_not_null(strstr(yard->started[1].body, "\"n\":3"));
    yard_answer(yard, 0, 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard->count, 3);
    cr_assert_not_null(strstr(yard->started[2].body, "\"n\":2"));
}

Test(webhooks, concurrency_bounds_the_calls_at_a_time)
{
    yard_rule(yard, "r", ONE_AT_A_TIME);
    yard_put(yard, "1", "{}");
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard_open_count(yard), 1);
    yard_answer(yard, 0, 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard->count, 2);
}

Test(webhooks, a_rate_spreads_the_calls)
{
    yard->automatic = 200;
    yard_rule(yard, "r", "{\"target\":{\"url\":\"http://h/\",\"rate\":10,\"concurrency\":64}}");
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    uint64_t first_ns = yard->started[0].now_ns;
    yard_wait_ms(yard, 1000);
    cr_assert_geq(yard->count, 9);
    cr_assert_leq(yard->count, 13);
    yard_wait_ms(yard, 2500);
    cr_assert_eq(yard->count, 30);
    cr_assert_geq(yard->started[29].now_ns - first_ns, 2700 * YARD_MS);
}

Test(webhooks, a_failing_record_parks_only_itself)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{\"n\":1}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").parked, 1);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 1);
    yard_put(yard, "1", "{\"n\":2}");
    yard_put(yard, "2", "{\"n\":3}");
    cr_assert_eq(yard_open_count(yard), 1, "the other record is called");
    cr_assert_eq(yard_state(yard, "r").parked, 2, "the later change waits behind it, parked too");
    yard_answer(yard, yard_open(yard, "http://h/2"), 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").waiting, 0, "the position passes what is parked");
    cr_assert_eq(yard->count, 2);
    yard_wait_ms(yard, 7000);
    cr_assert_eq(yard->count, 3);
    cr_assert_not_null(strstr(yard->started[2].body, "\"n\":1"));
    yard_answer(yard, 2, 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard->count, 4);
    cr_assert_not_null(strstr(yard->started[3].body, "\"n\":2"));
    yard_answer(yard, 3, 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    cr_assert_eq(yard_state(yard, "r").parked, 0);
    cr_assert_eq(yard_state(yard, "r").delivered, 3);
}

Test(webhooks, what_waits_behind_a_call_that_fails_is_parked_with_it)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{\"n\":1}");
    yard_put(yard, "1", "{\"n\":2}");
    yard_put(yard, "1", "{\"n\":3}");
    cr_assert_eq(yard_state(yard, "r").waiting, 3);
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").waiting, 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 3);
}

Test(webhooks, a_position_waits_for_the_parked_record)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    uint64_t before = yard_state(yard, "r").position.sequence;
    yard->world.hold_journal = true;
    yard_answer(yard, 0, 500, NULL);
    for (int i = 0; i < 100; i++) {
        yard_step(yard);
    }
    cr_assert_eq(yard_state(yard, "r").position.sequence, before);
    cr_assert_eq(yard_state(yard, "r").waiting, 1);
    yard->world.hold_journal = false;
    yard_settle(yard);
    cr_assert_gt(yard_state(yard, "r").position.sequence, before);
}

/* After a crash, who is older than a parked change of the same record counts as dealt with. */
Test(webhooks, none_is_parked_before_all_that_were_before_it)
{
    const struct engine_thread *thread = engine_thread_at(yard->world.engine, 1);
    yard_rule(yard, "r", RULE);
    yard_wait_ms(yard, 500);
    yard_put(yard, "1", "{\"n\":1}");
    yard_put(yard, "1", "{\"n\":2}");
    yard_put(yard, "1", "{\"n\":3}");
    yard->world.hold_journal = true;
    yard_answer(yard, 0, 500, NULL);
    for (int i = 0; i < 100; i++) {
        yard_step(yard);
    }
    cr_assert_eq(engine_thread_pending(thread), 1, "those behind it wait for its record");
    cr_assert_eq(yard_state(yard, "r").waiting, 3);
    yard->world.hold_journal = false;
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").waiting, 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 3);
}

Test(webhooks, a_change_is_given_up_after_its_attempts)
{
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"max_attempts\":2,\"first\":\"100ms\"}}");
    yard_put(yard, "1", "{\"n\":1}");
    yard_put(yard, "1", "{\"n\":2}");
    yard_answer(yard, 0, 500, NULL);
    yard_wait_ms(yard, 200);
    cr_assert_eq(yard->count, 2);
    yard_answer(yard, 1, 404, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 1);
    const char *page = yard_page(yard, COLLECTION_DEAD_LETTERS);
    cr_assert_not_null(strstr(page, "\"attempts\":2"), "%s", page);
    cr_assert_not_null(strstr(page, "\"status\":404"), "%s", page);
    cr_assert_not_null(strstr(page, "The target answered 404"), "%s", page);
    cr_assert_not_null(strstr(page, "\"answer\":\"words\""), "%s", page);
    cr_assert_eq(yard->count, 3, "the next of the record goes on");
    cr_assert_not_null(strstr(yard->started[2].body, "\"n\":2"));
    yard_answer(yard, 2, 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    struct webhooks_rule state = yard_state(yard, "r");
    cr_assert_eq(state.failed, 1);
    cr_assert_eq(state.dead_letters, 1);
    cr_assert_eq(state.attempts, 3);
    cr_assert_eq(state.retries, 1);
}

Test(webhooks, a_change_is_given_up_at_its_age)
{
    yard_rule(yard, "r",
              "{" TARGET ",\"retry\":{\"max_attempts\":100,\"first\":\"1s\",\"max_age\":\"3s\"}}");
    yard->automatic = 500;
    yard_put(yard, "1", "{}");
    yard_wait_ms(yard, 4000);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 1);
    cr_assert_eq(yard->count, 3, "at once, after a second, and when its time is over");
    uint64_t age_ns = yard->started[2].now_ns - yard->started[0].now_ns;
    cr_assert_geq(age_ns, 2999 * YARD_MS);
}

Test(webhooks, what_cannot_be_rendered_is_a_dead_letter_at_once)
{
    yard_rule(yard, "r",
              "{\"target\":{\"url\":\"http://h/{a}\",\"path\":{\"a\":\"$.newImage.a\"}}}");
    yard_put(yard, "1", "{\"b\":1}");
    cr_assert_eq(yard->count, 0);
    const char *page = yard_page(yard, COLLECTION_DEAD_LETTERS);
    cr_assert_not_null(strstr(page, "target.url"), "%s", page);
    cr_assert_eq(yard_state(yard, "r").waiting, 0);
}

Test(webhooks, a_forbidden_address_is_a_dead_letter_at_once)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_fail(yard, 0, CALL_FORBIDDEN);
    yard_settle(yard);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 1);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
}

Test(webhooks, dead_letters_are_redriven)
{
    uint64_t count;
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"max_attempts\":1}}");
    yard->automatic = 500;
    yard_put(yard, "1", "{\"n\":1}");
    yard_put(yard, "1", "{\"n\":2}");
    yard_put(yard, "2", "{\"n\":3}");
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 3);
    cr_assert_eq(yard->count, 3);
    yard->automatic = 200;
    cr_assert_eq(yard_redrive(yard, "r", NULL, &count), STATUS_OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(yard->count, 6);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    cr_assert_eq(yard_state(yard, "r").dead_letters, 0);
    cr_assert_eq(yard_state(yard, "r").delivered, 3);
    cr_assert_eq(yard_redrive(yard, "r", NULL, &count), STATUS_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(yard_redrive(yard, "other", NULL, &count), STATUS_NOT_FOUND);
}

Test(webhooks, one_dead_letter_is_redriven_by_its_id)
{
    uint64_t count;
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"max_attempts\":1}}");
    yard->automatic = 500;
    yard_put(yard, "1", "{}");
    yard_put(yard, "2", "{}");
    char id[64] = "";
    const char *at = strstr(yard->started[0].headers, "webhook-id: ");
    cr_assert_not_null(at);
    sscanf(at, "webhook-id: %63s", id);
    yard->automatic = 200;
    cr_assert_eq(yard_redrive(yard, "r", "none", &count), STATUS_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(yard_redrive(yard, "r", id, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(yard->count, 3);
    cr_assert_str_eq(yard->started[2].url, "http://h/1");
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 1);
}

Test(webhooks, gone_disables_a_rule_until_it_is_put_again)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{\"n\":1}");
    yard_answer(yard, 0, 410, NULL);
    yard_settle(yard);
    struct webhooks_rule state = yard_state(yard, "r");
    cr_assert_eq(state.status, WEBHOOKS_RULE_DISABLED);
    cr_assert_not_null(strstr(state.reason, "410"));
    yard_put(yard, "2", "{\"n\":2}");
    cr_assert_eq(yard->count, 1);
    yard_restart(yard, true);
    state = yard_state(yard, "r");
    cr_assert_eq(state.status, WEBHOOKS_RULE_DISABLED);
    cr_assert_not_null(strstr(state.reason, "410"));
    cr_assert_eq(yard->count, 1);
    yard_rule(yard, "r", RULE);
    cr_assert_eq(yard_state(yard, "r").status, WEBHOOKS_RULE_ACTIVE);
    cr_assert_eq(yard->count, 3, "what it had not delivered, and what came since");
}

Test(webhooks, a_rule_that_is_off_goes_on_where_it_stopped)
{
    yard->automatic = 200;
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_rule(yard, "r", "{\"enabled\":false,\"collection\":\"pets\"," TARGET "}");
    cr_assert_eq(yard_state(yard, "r").status, WEBHOOKS_RULE_OFF);
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard->count, 1);
    yard_rule(yard, "r", RULE);
    cr_assert_eq(yard->count, 2);
    cr_assert_str_eq(yard->started[1].url, "http://h/2");
}

Test(webhooks, retry_after_is_obeyed)
{
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"first\":\"10ms\"}}");
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 503, "30");
    yard_settle(yard);
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard->count, 1, "the target asked to be left alone");
    yard_wait_ms(yard, 29000);
    cr_assert_eq(yard->count, 1);
    yard_wait_ms(yard, 1500);
    cr_assert_eq(yard->count, 3);
}

Test(webhooks, retry_after_of_a_failure_is_of_that_change_alone)
{
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"first\":\"10ms\"}}");
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 500, "30");
    yard_settle(yard);
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard->count, 2, "others go on");
    yard_wait_ms(yard, 29000);
    cr_assert_eq(yard->count, 2);
    yard_wait_ms(yard, 1500);
    cr_assert_eq(yard->count, 3);
}

Test(webhooks, too_many_requests_slow_a_target_down)
{
    yard_rule(yard, "r", RULE);
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    cr_assert_eq(yard_open_count(yard), 4);
    yard_answer(yard, 0, 429, NULL);
    yard_settle(yard);
    yard_put(yard, "5", "{}");
    yard_put(yard, "6", "{}");
    for (uint32_t i = 1; i < 4; i++) {
        yard_answer(yard, i, 429, NULL);
    }
    yard_settle(yard);
    cr_assert_eq(yard_open_count(yard), 0);
    yard_wait_ms(yard, 110);
    cr_assert_eq(yard_open_count(yard), 2, "half as many at a time");
}

Test(webhooks, an_unreachable_target_is_tried_a_little_and_then_all_goes_on)
{
    yard_rule(yard, "r", RULE);
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    for (uint32_t i = 0; i < yard->count; i++) {
        yard_fail(yard, i, CALL_UNREACHABLE);
    }
    yard_settle(yard);
    cr_assert_eq(yard->count, 4);
    cr_assert_eq(yard_state(yard, "r").parked, 4, "only what was tried is parked");
    yard->automatic = 200;
    yard_wait_ms(yard, 150);
    cr_assert_eq(yard_state(yard, "r").delivered, 40, "what was parked need not wait for its time");
    cr_assert_eq(yard_state(yard, "r").parked, 0);
}

Test(webhooks, parked_changes_outlive_a_restart)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{\"n\":1}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    yard_put(yard, "1", "{\"n\":2}");
    yard_restart(yard, true);
    cr_assert_eq(yard_state(yard, "r").parked, 2);
    cr_assert_eq(yard->count, 1, "its time has not come");
    yard_put(yard, "1", "{\"n\":3}");
    cr_assert_eq(yard->count, 1, "it waits behind the others");
    yard->automatic = 200;
    yard_wait_ms(yard, 8000);
    cr_assert_eq(yard->count, 4);
    cr_assert_not_null(strstr(yard->started[1].body, "\"n\":1"));
    cr_assert_not_null(strstr(yard->started[2].body, "\"n\":2"));
    cr_assert_not_null(strstr(yard->started[3].body, "\"n\":3"));
}

Test(webhooks, a_clean_restart_delivers_nothing_twice)
{
    yard->automatic = 200;
    yard_rule(yard, "r", RULE);
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    yard_restart(yard, true);
    yard_put(yard, "more", "{}");
    cr_assert_eq(yard->count, 21);
}

Test(webhooks, after_a_crash_what_had_no_answer_comes_again)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    cr_assert_eq(yard_open_count(yard), 1);
    yard_restart(yard, false);
    cr_assert_eq(yard->count, 2);
    cr_assert_str_eq(yard->started[1].url, "http://h/1");
}

Test(webhooks, a_rule_that_changes_loses_nothing_and_doubles_nothing)
{
    yard_rule(yard, "r", ONE_AT_A_TIME);
    for (int i = 0; i < 5; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    yard_rule(yard, "r",
              "{\"target\":{\"url\":\"http://new/{id}\",\"path\":{\"id\":\"$.keys.id\"}}}");
    yard_put(yard, "5", "{}");
    yard->automatic = 200;
    yard_answer(yard, 0, 200, NULL);
    yard_wait_ms(yard, 100);
    for (uint32_t i = 1; i < yard->count; i++) {
        if (yard->started[i].call != NULL) {
            yard_answer(yard, i, 200, NULL);
        }
    }
    yard_wait_ms(yard, 100);
    cr_assert_eq(yard->count, 6);
    cr_assert_str_eq(yard->started[0].url, "http://h/0");
    for (uint32_t i = 1; i < 6; i++) {
        cr_assert_eq(strncmp(yard->started[i].url, "http://new/", 11), 0);
    }
}

Test(webhooks, a_rule_that_is_put_again_tries_at_once_what_was_parked)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    yard_rule(yard, "r", RULE);
    cr_assert_eq(yard->count, 2);
}

Test(webhooks, a_deleted_rule_leaves_nothing)
{
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"max_attempts\":1}}");
    yard_rule(yard, "r2", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, yard_open(yard, "http://h/1"), 500, NULL);
    yard_settle(yard);
    yard_answer(yard, yard_open(yard, "http://h/1"), 500, NULL);
    yard_settle(yard);
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard_open_count(yard), 2);
    yard_rule_delete(yard, "r");
    /* Its call ends some time, and only then the rule is gone. */
    for (uint32_t i = 0; i < yard->count; i++) {
        if (yard->started[i].call != NULL) {
            yard_answer(yard, i, 200, NULL);
        }
    }
    yard_settle(yard);
    struct webhooks_rule state;
    cr_assert(!webhooks_rule_find(yard->webhooks, BYTES_LITERAL("r"), &state));
    cr_assert_eq(webhooks_rule_count(yard->webhooks), 1);
    yard_rule_delete(yard, "r2");
    cr_assert_eq(webhooks_rule_count(yard->webhooks), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_RULE_STATES), 0);
}

Test(webhooks, a_name_that_was_deleted_begins_anew)
{
    yard->automatic = 200;
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_rule_delete(yard, "r");
    yard_put(yard, "2", "{}");
    yard_rule(yard, "r", RULE);
    yard_put(yard, "3", "{}");
    cr_assert_eq(yard->count, 2);
    cr_assert_str_eq(yard->started[1].url, "http://h/3");
}

Test(webhooks, a_rule_is_behind_until_it_has_been_given_all)
{
    yard->automatic = 200;
    yard_rule(yard, "r", "{\"enabled\":false,\"collection\":\"pets\"," TARGET "}");
    yard_put(yard, "1", "{}");
    yard_put(yard, "2", "{}");
    struct webhooks_rule off = yard_state(yard, "r");
    cr_assert_geq(webhooks_rule_lag(&off, engine_published(yard->world.engine)), 2);
    yard_rule(yard, "r", RULE);
    struct webhooks_rule on = yard_state(yard, "r");
    cr_assert_eq(yard->count, 2);
    cr_assert_eq(webhooks_rule_lag(&on, engine_published(yard->world.engine)), 0);
}

Test(webhooks, more_than_the_window_waits_in_the_journal)
{
    char id[16];
    yard_rule(yard, "r", ONE_AT_A_TIME);
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "%d", i);
        yard_put(yard, id, "{}");
    }
    cr_assert_leq(yard_state(yard, "r").waiting, 68);
    yard->automatic = 200;
    yard_answer(yard, 0, 200, NULL);
    yard_wait_ms(yard, 100);
    cr_assert_eq(yard_state(yard, "r").delivered, 300);
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(id, sizeof(id), "http://h/%u", i);
        cr_assert_str_eq(yard->started[i].url, id);
    }
}

Test(webhooks, a_collection_that_is_not_there_is_told)
{
    yard_rule(yard, "r", "{\"collection\":\"cats\",\"target\":{\"url\":\"http://h/\"}}");
    struct webhooks_rule state = yard_state(yard, "r");
    cr_assert_eq(state.status, WEBHOOKS_RULE_FAILING);
    cr_assert_str_eq(state.reason, "there is no collection cats");
}

Test(webhooks, a_record_that_is_no_rule_harms_nobody)
{
    yard_rule(yard, "bad", "{\"target\":1}");
    yard_rule(yard, "good", RULE);
    yard_put(yard, "1", "{}");
    cr_assert_eq(yard->count, 1);
}

Test(webhooks, draining_cuts_what_does_not_end_and_it_comes_again)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_restart(yard, true);
    cr_assert_eq(yard->count, 2);
    yard_answer(yard, 1, 200, NULL);
    yard_settle(yard);
    yard_restart(yard, true);
    cr_assert_eq(yard->count, 2);
}

Test(webhooks, metrics_name_the_words_of_event_buses)
{
    static uint8_t room[1 << 20];
    struct writer text = writer_of(room, sizeof(room) - 1);
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 200, NULL);
    yard_settle(yard);
    webhooks_metrics(yard->webhooks, yard->world.wall_ms, &text);
    cr_assert(!text.failed);
    const char *all = (const char *)room;
    cr_assert_not_null(strstr(all, "# HELP freshet_rule_triggered_total TriggeredRules"));
    cr_assert_not_null(strstr(all, "freshet_rule_triggered_total{rule=\"r\"} 1\n"));
    cr_assert_not_null(strstr(all, "freshet_rule_matched_events_total{rule=\"r\"} 1\n"));
    cr_assert_not_null(strstr(all, "freshet_rule_invocations_total{rule=\"r\"} 1\n"));
    cr_assert_not_null(strstr(all, "freshet_rule_failed_invocations_total{rule=\"r\"} 0\n"));
    cr_assert_not_null(strstr(all, "freshet_rule_lag_events{rule=\"r\"} 0\n"));
    cr_assert_not_null(strstr(all, "freshet_rule_lag_seconds{rule=\"r\"} 0.000\n"));
}
