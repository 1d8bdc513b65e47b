/* What a request for changes asks for. */
#include <criterion/criterion.h>

#include "fake_stream.h"

#define SSE "\nAccept: text/event-stream"

static void refused(const char *query, uint16_t status, const char *words)
{
    fake_stream_start();
    fake_get("GET /changes?%s", query);
    cr_assert_eq(fake_status(), status, "%s: %d", query, fake_status());
    cr_assert(fake_body_has(words), "%s: %s", query, fake_body());
    cr_assert_eq(fake_stream.subscribes, 0);
    fake_stream_end();
}

Test(changes_query, asks_for_all_changes_from_now_on_by_default)
{
    fake_stream_start();
    fake_send("GET /changes", NULL);
    const struct subscription_options *options = &fake_stream.options;
    cr_assert_eq(options->from, SUBSCRIBE_LATEST);
    cr_assert_eq(options->view, CHANGE_VIEW_BOTH);
    cr_assert_null(options->collection);
    cr_assert_null(options->pattern);
    cr_assert(!options->enter_leave);
    cr_assert(options->wants_caught_up);
    fake_stream_end();
}

Test(changes_query, takes_every_parameter)
{
    fake_stream_start();
    fake_send("GET /changes?collection=pe%74s&pattern=%7B%22changed%22%3A%5B%22price%22%5D%7D&"
              "from=earliest&view=keys&enter_leave=true&limit=5&wait=500ms&",
              NULL);
    const struct subscription_options *options = &fake_stream.options;
    cr_assert_eq(fake_stream.subscribes, 1);
    cr_assert_eq(options->collection, &fake.collections[1]);
    cr_assert_not_null(options->pattern);
    cr_assert_eq(options->from, SUBSCRIBE_EARLIEST);
    cr_assert_eq(options->view, CHANGE_VIEW_KEYS);
    cr_assert(options->enter_leave);
    fake_stream_end();
}

Test(changes_query, knows_all_places_to_begin_at)
{
    fake_stream_start();
    fake_send("GET /changes?from=snapshot", NULL);
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_SNAPSHOT);
    fake_stream_end();
}

Test(changes_query, begins_after_a_position)
{
    fake_stream_start();
    fake_get("GET /changes?from=%s", fake_position(77));
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_TOKEN);
    cr_assert_eq(fake_stream.options.token.position.sequence, 77);
    fake_stream_end();
}

Test(changes_query, begins_at_a_time)
{
    fake_stream_start();
    fake_stream.is_time_unknown = true;
    fake_send("GET /changes?from=2026-01-01T00:00:00.250Z", NULL);
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_TIME);
    cr_assert_eq(fake_stream.options.time_ms, FAKE_WALL_MS + 250);
    fake_stream.is_time_unknown = false;
    fake_step(0);
    fake_stream_end();
}

Test(changes_query, last_event_id_wins_over_from)
{
    fake_stream_start();
    fake_get("GET /changes?from=snapshot" SSE "\nLast-Event-ID: %s", fake_position(78));
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_TOKEN);
    cr_assert_eq(fake_stream.options.token.position.sequence, 78);
    fake_stream_end();
}

Test(changes_query, an_empty_last_event_id_says_nothing)
{
    fake_stream_start();
    fake_send("GET /changes?from=snapshot" SSE "\nLast-Event-ID:", NULL);
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_SNAPSHOT);
    fake_stream_end();
}

Test(changes_query, refuses_a_last_event_id_that_is_no_position)
{
    fake_stream_start();
    fake_send("GET /changes?pattern=%7B%22a%22%3A%5B1%5D%7D" SSE "\nLast-Event-ID: 17", NULL);
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("Last-Event-ID"));
    fake_stream_end();
}

Test(changes_query, refuses_an_unknown_parameter_and_says_which_there_are)
{
    refused("colection=pets", 400,
            "it takes collection, pattern, from, view, enter_leave, limit, wait");
}
Test(changes_query, refuses_a_member_where_there_is_no_group)
{
    refused("member=a", 400, "it takes");
}
Test(changes_query, refuses_a_parameter_twice)
{
    refused("view=old&view=new", 400, "view is given more than once");
}
Test(changes_query, refuses_an_unknown_collection)
{
    refused("collection=cats", 404, "There is no collection 'cats'");
}
Test(changes_query, refuses_an_empty_collection)
{
    refused("collection=", 404, "There is no collection");
}
Test(changes_query, refuses_a_collection_that_is_not_utf8)
{
    refused("collection=%ff%fe", 404, "There is no collection");
}
Test(changes_query, refuses_what_is_not_percent_encoded)
{
    refused("collection=%zz", 400, "The value of collection is not percent-encoded");
}
Test(changes_query, refuses_a_pattern_that_is_not_json)
{
    refused("pattern=%7B%0A%5D", 400, "pattern is not JSON: line 2, column 1");
}
Test(changes_query, refuses_a_pattern_that_is_none)
{
    refused("pattern=%7B%22a%22%3A1%7D", 400, "a");
}
Test(changes_query, refuses_a_place_that_is_none)
{
    refused("from=yesterday", 400, "from is latest, earliest, snapshot");
}
Test(changes_query, refuses_a_view_that_is_none)
{
    refused("view=all", 400, "view is keys, new, old or both");
}
Test(changes_query, refuses_half_a_truth)
{
    refused("enter_leave=1", 400, "enter_leave is true or false");
}
Test(changes_query, refuses_a_limit_of_none)
{
    refused("limit=0", 400, "limit is a whole number from 1 to 1000");
}
Test(changes_query, refuses_a_limit_over_the_most)
{
    refused("limit=1001", 400, "limit");
}
Test(changes_query, refuses_a_limit_that_overflows)
{
    refused("limit=4294967297", 400, "limit");
}
Test(changes_query, refuses_a_limit_that_is_no_number)
{
    refused("limit=1x", 400, "limit");
}
Test(changes_query, refuses_a_wait_without_a_unit)
{
    refused("wait=10", 400, "wait is a time like 10s");
}
Test(changes_query, refuses_a_wait_over_the_most)
{
    refused("wait=60001ms", 400, "wait");
}

Test(changes_query, limit_and_wait_are_not_of_events)
{
    fake_stream_start();
    fake_send("GET /changes?limit=5" SSE, NULL);
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("of pages"));
    fake_stream_end();
}

Test(changes_query, the_pattern_of_a_refused_request_goes)
{
    refused("pattern=%7B%22a%22%3A%5B1%5D%7D&view=all", 400, "view");
}

Test(changes_query, knows_get_and_head_alone)
{
    fake_stream_start();
    fake_send("POST /changes", "{}");
    cr_assert_eq(fake_status(), 405);
    cr_assert_str_eq(fake_header("Allow"), "GET, HEAD, OPTIONS");
    fake_stream_end();
}

static void accepted(const char *accept, bool as_events)
{
    fake_stream_start();
    fake_get("GET /changes\nAccept: %s", accept);
    cr_assert_str_eq(fake_header("Content-Type"),
                     as_events ? "text/event-stream" : "application/json", "%s", accept);
    fake_stream_end();
}

Test(changes_accept, as_browsers_ask)
{
    accepted("text/event-stream", true);
}
Test(changes_accept, as_curl_asks)
{
    accepted("*/*", false);
}
Test(changes_accept, events_among_others)
{
    accepted("text/html, text/event-stream;q=0.9, */*;q=0.8", true);
}
Test(changes_accept, events_less_than_pages)
{
    accepted("application/json, text/event-stream;q=0.5", false);
}
Test(changes_accept, no_events_at_all)
{
    accepted("text/event-stream;q=0", false);
}
Test(changes_accept, in_any_case)
{
    accepted("Text/Event-Stream ; Q=1.000", true);
}
Test(changes_accept, all_text_is_no_wish_for_events)
{
    accepted("text/*", false);
}
