/* Changes as pages. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_stream.h"
#include "net/rest/changes_internal.h"

#define SECOND_NS 1000000000ull

static void body_is(const char *format, const char *a, const char *b)
{
    char expected[4096];
    snprintf(expected, sizeof(expected), format, a, b);
    cr_assert_str_eq(fake_body(), expected);
}

static void open_page(const char *query)
{
    fake_stream_start();
    fake_get("GET /changes%s", query);
    cr_assert(fake_stream.begun);
    fake_step(0);
}

Test(changes_page, is_empty_when_nothing_is_there)
{
    open_page("");
    cr_assert_eq(fake.answers, 0);
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Content-Type"), "application/json");
    cr_assert_str_eq(fake_header("Cache-Control"), "no-store");
    body_is("{\"changes\":[],\"next\":\"%s\",\"more\":false}%s", fake_position(100), "");
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream_end();
}

Test(changes_page, holds_what_is_there)
{
    open_page("?from=earliest");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "{\"a\":1}"));
    cr_assert(fake_deliver_change(CHANGE_MODIFY, 61, "{\"a\":2}"));
    fake_step(0);
    cr_assert_eq(fake.answers, 0, "it has not caught up");
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 90));
    fake_step(0);
    body_is("{\"changes\":[{\"a\":1},{\"a\":2}],\"next\":\"%s\",\"more\":false}%s",
            fake_position(90), "");
    fake_stream_end();
}

Test(changes_page, ends_at_its_limit_and_says_that_there_is_more)
{
    open_page("?from=earliest&limit=2");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "1"));
    cr_assert(fake_deliver_change(CHANGE_INSERT, 61, "2"));
    cr_assert(!fake_deliver_change(CHANGE_INSERT, 62, "3"));
    fake_step(0);
    body_is("{\"changes\":[1,2],\"next\":\"%s\",\"more\":true}%s", fake_position(61), "");
    fake_stream_end();
}

Test(changes_page, at_its_limit_and_the_newest_there_is_no_more)
{
    open_page("?from=earliest&limit=1");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 100, "1"));
    fake_step(0);
    body_is("{\"changes\":[1],\"next\":\"%s\",\"more\":false}%s", fake_position(100), "");
    fake_stream_end();
}

Test(changes_page, ends_at_4_mib)
{
    open_page("?from=earliest");
    char *large = malloc((1u << 19) + 1);
    memset(large, '1', 1u << 19);
    large[1u << 19] = 0;
    uint32_t taken = 0;
    while (taken < 3 && fake_deliver_change(CHANGE_INSERT, 60 + taken, large)) {
        taken++; /* the fake holds no more than three of them */
    }
    cr_assert_eq(taken, 3);
    CONTAINER_OF(fake_stream.subscription, struct changes, subscription)->bytes =
        CHANGES_PAGE_BYTES_MAX - (1u << 19);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 63, "2"));
    cr_assert(!fake_deliver_change(CHANGE_INSERT, 64, large));
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    char tail[256];
    snprintf(tail, sizeof(tail), ",2],\"next\":\"%s\",\"more\":true}", fake_position(63));
    cr_assert_str_eq(fake.sent + fake.sent_size - strlen(tail), tail);
    free(large);
    fake_stream_end();
}

Test(changes_page, takes_one_change_of_any_size)
{
    open_page("?from=earliest");
    CONTAINER_OF(fake_stream.subscription, struct changes, subscription)->bytes =
        CHANGES_PAGE_BYTES_MAX;
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "1"));
    cr_assert(!fake_deliver_change(CHANGE_INSERT, 61, "2"));
    fake_step(0);
    body_is("{\"changes\":[1],\"next\":\"%s\",\"more\":true}%s", fake_position(60), "");
    fake_stream_end();
}

Test(changes_page, waits_for_the_first_change)
{
    open_page("?wait=10s");
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_step(9 * SECOND_NS);
    cr_assert_eq(fake.answers, 0);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 101, "1"));
    fake_step(0);
    cr_assert_eq(fake.answers, 0, "more may come in the same turn");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 102, "2"));
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 102));
    fake_step(0);
    body_is("{\"changes\":[1,2],\"next\":\"%s\",\"more\":false}%s", fake_position(102), "");
    fake_stream_end();
}

Test(changes_page, waits_no_longer_than_it_was_told_to)
{
    open_page("?wait=10s");
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_step(10 * SECOND_NS - 1);
    cr_assert_eq(fake.answers, 0);
    fake_stream.stands = 120;
    fake_stream.newest = 120;
    fake_step(20000000);
    cr_assert_eq(fake.answers, 1);
    body_is("{\"changes\":[],\"next\":\"%s\",\"more\":false}%s", fake_position(120), "");
    fake_stream_end();
}

Test(changes_page, a_long_look_for_little_ends_as_it_stands)
{
    open_page("?from=earliest");
    cr_assert(fake_deliver_other(DELIVERY_PROGRESS, 70));
    fake_stream.stands = 75;
    fake_step(CHANGES_PAGE_NS + SECOND_NS);
    fake_step(0);
    body_is("{\"changes\":[],\"next\":\"%s\",\"more\":true}%s", fake_position(75), "");
    fake_stream_end();
}

Test(changes_page, one_whose_wait_is_over_still_takes_what_is_there)
{
    open_page("?from=earliest&wait=1s");
    fake_step(2 * SECOND_NS);
    cr_assert_eq(fake.answers, 0);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "1"));
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    fake_stream_end();
}

Test(changes_page, within_a_snapshot_there_is_more)
{
    open_page("?from=snapshot&limit=1");
    fake_stream.in_snapshot = true;
    fake_stream.newest = 60;
    cr_assert(fake_deliver_row(60, "1"));
    fake_step(0);
    cr_assert(fake_body_has("\"more\":true}"));
    fake_stream_end();
}

Test(changes_page, ends_when_its_snapshot_is_complete_and_says_so)
{
    open_page("?from=snapshot");
    cr_assert(fake_deliver_row(60, "1"));
    cr_assert(fake_deliver_other(DELIVERY_SYNCED, 90));
    fake_stream.newest = 90;
    fake_step(0);
    body_is("{\"changes\":[1],\"next\":\"%s\",\"more\":false,\"synced\":true}%s", fake_position(90),
            "");
    fake_stream_end();
}

Test(changes_page, without_room_it_goes_on_when_there_is)
{
    open_page("?from=earliest");
    fake_stream.room = 3;
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "1"));
    cr_assert(!fake_deliver_change(CHANGE_INSERT, 61, "234"));
    fake_writable(4);
    cr_assert_eq(fake_stream.resumes, 1);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 61, "234"));
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_step(0);
    cr_assert_eq(fake.answers, 0, "its last words have no room");
    fake_writable(SIZE_MAX);
    fake_step(0);
    body_is("{\"changes\":[1,234],\"next\":\"%s\",\"more\":false}%s", fake_position(100), "");
    fake_stream_end();
}

Test(changes_page, one_that_retention_passes_ends_where_it_was)
{
    open_page("?from=earliest");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 60, "1"));
    fake_ended(STATUS_POSITION_EXPIRED);
    fake_step(0);
    body_is("{\"changes\":[1],\"next\":\"%s\",\"more\":true}%s", fake_position(60), "");
    fake_stream_end();
}

Test(changes_page, one_that_the_server_cannot_go_on_with_says_so)
{
    open_page("?from=earliest");
    fake_ended(STATUS_DAMAGED);
    fake_step(0);
    cr_assert(fake_body_has(",\"error\":\"stored data does not match its checksum\"}"));
    fake_stream_end();
}

Test(changes_page, the_drain_ends_one_that_waits)
{
    open_page("?wait=60s");
    cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 100));
    fake_stream.events->draining(fake_stream.context, fake.exchange);
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert(fake_body_has("\"more\":false}"));
    fake_stream_end();
}

Test(changes_page, a_client_that_goes_closes_its_subscription)
{
    open_page("?wait=60s");
    fake_stream.events->closed(fake_stream.context, fake.exchange);
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream.begun = false;
    fake_exchange_end();
    fake_memory_end();
    fake_step(100 * SECOND_NS);
    fake_stream_end();
}

Test(changes_page, to_head_it_has_no_body)
{
    fake_stream_start();
    fake_send("HEAD /changes?wait=10s", NULL);
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_body(), "");
    fake_stream_end();
}

Test(changes_page, an_expired_position_to_head_is_410)
{
    fake_stream_start();
    fake_stream.subscribe_status = STATUS_POSITION_EXPIRED;
    fake_get("HEAD /changes?from=%s", fake_position(3));
    cr_assert_eq(fake_status(), 410);
    fake_stream_end();
}
