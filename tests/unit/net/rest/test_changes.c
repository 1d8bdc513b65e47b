/* Answers with changes: as server-sent events, refused, and opened by others. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "fake_stream.h"
#include "net/rest/changes_internal.h"

#define SECOND_NS 1000000000ull
#define SSE       "\nAccept: text/event-stream"

static const char greeting[] = ": changes follow\nretry: ";

/* The body behind the greeting of server-sent events. */
static const char *events(void)
{
    const char *body = fake_body();
    cr_assert_eq(strncmp(body, greeting, strlen(greeting)), 0, "%s", body);
    const char *blank = strstr(body, "\n\n");
    cr_assert_not_null(blank);
    return blank + 2;
}

/* ---- server-sent events ---- */

static void open_events(const char *query)
{
    fake_stream_start();
    fake_get("GET /changes%s" SSE, query);
    cr_assert(fake_stream.begun);
    fake_step(0);
}

Test(changes_sse, begins_at_once_with_a_line_and_a_time_to_come_again)
{
    fake_stream_start();
    fake_send("GET /changes" SSE "\nOrigin: http://a", NULL);
    cr_assert_eq(memcmp(fake.sent, "HTTP/1.1 200 OK\r\n", 17), 0);
    cr_assert_str_eq(fake_header("Content-Type"), "text/event-stream");
    cr_assert_str_eq(fake_header("Cache-Control"), "no-store");
    cr_assert_str_eq(fake_header("X-Accel-Buffering"), "no");
    cr_assert_str_eq(fake_header("Access-Control-Allow-Origin"), "*");
    cr_assert_not_null(fake_header("Access-Control-Expose-Headers"));
    cr_assert_null(fake_header("Content-Length"));
    unsigned retry = 0;
    cr_assert_eq(sscanf(fake_body() + strlen(greeting), "%u\n\n", &retry), 1);
    cr_assert(retry >= 1000 && retry < 3000);
    cr_assert_str_eq(events(), "");
    fake_stream_end();
}

Test(changes_sse, writes_id_event_and_data)
{
    open_events("");
    cr_assert(fake_deliver_change(CHANGE_MODIFY, 101, "{\"a\":1}"));
    char expected[512];
    snprintf(expected, sizeof(expected), "id: %s\nevent: modify\ndata: {\"a\":1}\n\n",
             fake_position(101));
    cr_assert_str_eq(events(), expected);
    cr_assert_eq(fake_stream.options.progress_ns, 5 * SECOND_NS);
    cr_assert(!fake_stream.options.wants_caught_up);
    fake_stream_end();
}

Test(changes_sse, names_every_kind)
{
    open_events("");
    cr_assert(fake_deliver_change(CHANGE_INSERT, 1, "{}"));
    cr_assert(fake_deliver_change(CHANGE_REMOVE, 2, "{}"));
    cr_assert(fake_deliver_change(CHANGE_EVENT, 3, "{}"));
    cr_assert(fake_deliver_row(4, "{}"));
    cr_assert(fake_deliver_other(DELIVERY_SYNCED, 5));
    cr_assert(fake_deliver_other(DELIVERY_PROGRESS, 6));
    const char *names[] = {"insert", "remove", "event", "snapshot", "synced", "progress"};
    const char *at = events();
    for (uint32_t i = 0; i < 6; i++) {
        char expected[512];
        char place[128] = "{}";
        if (i >= 4) {
            snprintf(place, sizeof(place), "{\"position\":\"%s\"}", fake_position(i + 1));
        }
        int size = snprintf(expected, sizeof(expected), "id: %s\nevent: %s\ndata: %s\n\n",
                            fake_position(i + 1), names[i], place);
        cr_assert_eq(strncmp(at, expected, (size_t)size), 0, "%s", at);
        at += size;
    }
    cr_assert_eq(*at, 0);
    fake_stream_end();
}

Test(changes_sse, has_a_heartbeat_each_15_seconds)
{
    open_events("");
    fake_step(14 * SECOND_NS);
    cr_assert_str_eq(events(), "");
    fake_step(SECOND_NS);
    cr_assert_str_eq(events(), ":\n\n");
    fake_step(14 * SECOND_NS);
    cr_assert_str_eq(events(), ":\n\n");
    fake_step(SECOND_NS);
    cr_assert_str_eq(events(), ":\n\n:\n\n");
    fake_stream_end();
}

Test(changes_sse, without_room_it_is_stuck_and_goes_on_when_there_is)
{
    open_events("");
    fake_stream.room = 100;
    cr_assert(!fake_deliver_change(CHANGE_MODIFY, 101, "{\"a\":\"long enough for a hundred\"}"));
    fake_step(20 * SECOND_NS);
    cr_assert_str_eq(events(), "", "no heartbeat before what waits");
    cr_assert_eq(fake_stream.resumes, 0);
    fake_writable(SIZE_MAX);
    cr_assert_eq(fake_stream.resumes, 1);
    fake_writable(SIZE_MAX);
    cr_assert_eq(fake_stream.resumes, 1, "only who is stuck is resumed");
    cr_assert(fake_deliver_change(CHANGE_MODIFY, 101, "{\"a\":1}"));
    fake_stream_end();
}

Test(changes_sse, its_first_line_may_have_to_wait)
{
    fake_stream_start();
    fake_stream.room = 0;
    fake_send("GET /changes" SSE, NULL);
    fake_step(0);
    cr_assert_str_eq(fake_body(), "");
    cr_assert(!fake_deliver_change(CHANGE_MODIFY, 101, "{}"));
    fake_writable(SIZE_MAX);
    fake_step(0);
    cr_assert_str_eq(events(), "");
    fake_stream_end();
}

Test(changes_sse, a_client_that_goes_closes_its_subscription)
{
    open_events("");
    fake_stream.events->closed(fake_stream.context, fake.exchange);
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream.begun = false;
    fake_exchange_end();
    fake_memory_end();
    fake_step(100 * SECOND_NS);
    fake_stream_end();
}

Test(changes_sse, the_drain_ends_it_with_its_position)
{
    open_events("");
    cr_assert(fake_deliver_change(CHANGE_MODIFY, 107, "{}"));
    fake_stream.events->draining(fake_stream.context, fake.exchange);
    cr_assert_eq(fake.answers, 0, "not from within an event");
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    cr_assert_eq(fake_stream.closes, 1);
    char expected[512];
    snprintf(expected, sizeof(expected), "event: shutdown\ndata: {\"position\":\"%s\"}\n\n",
             fake_position(107));
    cr_assert(fake_body_has(expected));
    fake_stream_end();
}

Test(changes_sse, the_last_word_waits_for_room)
{
    open_events("");
    fake_stream.room = 10;
    fake_stream.events->draining(fake_stream.context, fake.exchange);
    fake_step(0);
    fake_step(SECOND_NS);
    cr_assert_eq(fake.answers, 0);
    cr_assert_eq(fake_stream.closes, 1, "it does not go on meanwhile");
    fake_writable(SIZE_MAX);
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    cr_assert(fake_body_has("event: shutdown"));
    fake_stream_end();
}

Test(changes_sse, retention_that_passes_it_resets_it)
{
    open_events("");
    fake_ended(STATUS_POSITION_EXPIRED);
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    char expected[512];
    snprintf(expected, sizeof(expected), "\"oldest\":\"%s\",\"newest\":\"%s\"}\n\n",
             fake_position(50), fake_position(100));
    cr_assert_eq(strncmp(events(), "id:\nevent: reset\ndata: {", 24), 0);
    cr_assert(fake_body_has("position-expired"));
    cr_assert(fake_body_has(expected));
    fake_stream_end();
}

Test(changes_sse, an_expired_position_is_answered_with_a_reset)
{
    fake_stream_start();
    fake_stream.subscribe_status = STATUS_POSITION_EXPIRED;
    fake_get("GET /changes?from=%s&pattern=%%7B%%22a%%22:%%5B1%%5D%%7D" SSE, fake_position(3));
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert_eq(strncmp(events(), "id:\nevent: reset\n", 17), 0);
    fake_stream_end();
}

Test(changes_sse, damage_ends_it)
{
    open_events("");
    fake_ended(STATUS_DAMAGED);
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    fake_stream_end();
}

Test(changes_sse, a_change_that_cannot_be_written_ends_it)
{
    open_events("");
    cr_assert(!fake_deliver_change(CHANGE_MODIFY, 101, NULL));
    cr_assert(!fake_deliver_change(CHANGE_MODIFY, 101, "{}"), "nothing is left out");
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream_end();
}

Test(changes_sse, to_http_1_0_it_says_that_the_connection_closes)
{
    fake_stream_start();
    fake.is_http_1_0 = true;
    fake_send("GET /changes" SSE, NULL);
    cr_assert_str_eq(fake_header("Connection"), "close");
    fake_stream_end();
}

Test(changes_sse, to_head_it_ends_at_once)
{
    fake_stream_start();
    fake_send("HEAD /changes" SSE, NULL);
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert_str_eq(fake_header("Content-Type"), "text/event-stream");
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream_end();
}

Test(changes_sse, from_a_time_it_begins_when_the_place_is_known)
{
    fake_stream_start();
    fake_stream.is_time_unknown = true;
    fake_send("GET /changes?from=2026-01-01T00:00:00Z" SSE, NULL);
    fake_step(SECOND_NS);
    cr_assert(!fake_stream.begun);
    cr_assert(!fake_deliver_change(CHANGE_MODIFY, 101, "{}"), "the head is not sent yet");
    fake_step(0);
    cr_assert(fake_stream.begun);
    cr_assert_eq(fake_stream.resumes, 1);
    cr_assert(fake_deliver_change(CHANGE_MODIFY, 101, "{}"));
    fake_stream_end();
}

Test(changes_sse, a_time_in_the_future_is_refused)
{
    fake_stream_start();
    fake_stream.is_time_unknown = true;
    fake_send("GET /changes?from=2027-01-01T00:00:00Z" SSE, NULL);
    fake_ended(STATUS_INVALID);
    fake_step(0);
    cr_assert_eq(fake_status(), 400);
    cr_assert(fake_body_has("in the future"));
    fake_stream_end();
}

Test(changes_sse, a_time_before_what_is_kept_is_a_reset)
{
    fake_stream_start();
    fake_stream.is_time_unknown = true;
    fake_send("GET /changes?from=2020-01-01T00:00:00Z" SSE, NULL);
    fake_ended(STATUS_POSITION_EXPIRED);
    fake_step(0);
    cr_assert_eq(fake_status(), 200);
    cr_assert(fake_body_has("event: reset"));
    fake_stream_end();
}

/* ---- what the stream refuses ---- */

static void unsubscribed(enum status status, uint16_t http_status, const char *words)
{
    fake_stream_start();
    fake_stream.subscribe_status = status;
    fake_send("GET /changes?pattern=%7B%22a%22%3A%5B1%5D%7D", NULL);
    cr_assert_eq(fake_status(), http_status);
    cr_assert(fake_body_has(words), "%s", fake_body());
    fake_stream_end();
}

Test(changes, an_expired_position_is_410_with_the_oldest_and_the_newest)
{
    fake_stream_start();
    fake_stream.subscribe_status = STATUS_POSITION_EXPIRED;
    fake_get("GET /changes?from=%s", fake_position(3));
    cr_assert_eq(fake_status(), 410);
    cr_assert(fake_body_has("\"type\":\"urn:freshet:problem:position-expired\""));
    char expected[512];
    snprintf(expected, sizeof(expected), ",\"oldest\":\"%s\",\"newest\":\"%s\"}", fake_position(50),
             fake_position(100));
    cr_assert(fake_body_has(expected), "%s", fake_body());
    fake_stream_end();
}
Test(changes, a_position_of_the_future_is_400)
{
    unsubscribed(STATUS_INVALID, 400, "not one that this server has given");
}
Test(changes, old_images_that_are_not_kept_are_400)
{
    unsubscribed(STATUS_UNSUPPORTED, 400, "old images");
}
Test(changes, too_many_subscriptions_are_503)
{
    unsubscribed(STATUS_BUSY, 503, "too many subscriptions");
}
Test(changes, no_memory_is_503)
{
    unsubscribed(STATUS_NO_MEMORY, 503, "memory");
}

Test(changes, no_memory_for_the_answer_is_503)
{
    fake_stream_start();
    fake.allocations_left = 0;
    fake_send("GET /changes?pattern=%7B%22a%22%3A%5B1%5D%7D", NULL);
    cr_assert_eq(fake_status(), 503);
    fake_stream_end();
}

Test(changes, no_memory_for_the_stream_is_503)
{
    fake_stream_start();
    fake_stream.no_begin = true;
    fake_send("GET /changes?pattern=%7B%22a%22%3A%5B1%5D%7D", NULL);
    cr_assert_eq(fake_status(), 503);
    cr_assert_eq(fake_stream.closes, 1);
    fake_stream_end();
}

Test(changes, without_a_stream_there_are_none)
{
    fake_init();
    fake_start();
    fake_send("GET /changes", NULL);
    cr_assert_eq(fake_status(), 501);
    fake_stream_end();
}

/* ---- for those who open one ---- */

static uint32_t overs;
static uint32_t beats;

static void on_over(void *context, struct changes *changes)
{
    cr_assert_eq(context, &overs);
    cr_assert(changes == NULL || !changes->subscribed);
    overs++;
}

static void on_beat(void *context, struct changes *changes)
{
    cr_assert_eq(context, &overs);
    beats++;
    if (beats == 2) {
        changes_finish(changes);
    }
}

static const struct changes_hooks hooks = {.beat = on_beat, .over = on_over};

static void open_with_hooks(uint64_t generation)
{
    struct changes_options options = {
        .sse = true, .hooks = &hooks, .hooks_context = &overs, .generation = generation};
    fake_exchange_begin();
    fake.exchange->request.minor = 1;
    changes_open(fake.rest, fake.exchange, &options);
}

Test(changes_hooks, hear_of_beats_and_of_the_end_and_may_finish_it)
{
    fake_stream_start();
    open_with_hooks(0);
    fake_step(0);
    fake_step(15 * SECOND_NS);
    cr_assert_eq(beats, 1);
    fake_step(15 * SECOND_NS);
    cr_assert_eq(beats, 2);
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    cr_assert_eq(overs, 1);
    cr_assert(fake_body_has("event: shutdown"));
    fake_stream_end();
}

Test(changes_hooks, hear_of_the_end_of_what_never_began)
{
    fake_stream_start();
    fake_stream.subscribe_status = STATUS_BUSY;
    open_with_hooks(0);
    cr_assert_eq(overs, 1);
    cr_assert_eq(fake.answers, 1);
    fake.allocations_left = 0;
    open_with_hooks(0);
    cr_assert_eq(overs, 2);
    fake_stream_end();
}

Test(changes_hooks, tokens_of_a_group_carry_its_generation)
{
    fake_stream_start();
    open_with_hooks(7);
    fake_step(0);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 101, "{}"));
    char expected[128];
    snprintf(expected, sizeof(expected), "id: %s~7\nevent: insert\n", fake_position(101));
    cr_assert(fake_body_has(expected), "%s", fake_body());
    fake_stream_end();
}
