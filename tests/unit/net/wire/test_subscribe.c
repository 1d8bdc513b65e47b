#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/wire/subscribe.h"
#include "tests/unit/net/wire/turns.h"

static struct client *rex;
static struct client *tom;
static char pets[] = "pets";

static void begin(void)
{
    turns_begin(0);
    rex = client_open();
    tom = client_open();
}

/* Each ends with turns_end, in the test itself: what is left behind is a failure of it. */
TestSuite(wire_subscribe, .init = begin);

static void credit(struct client *client, uint32_t id, uint32_t changes)
{
    Freshet__Credit message = FRESHET__CREDIT__INIT;
    message.changes = changes;
    client_send_message(client, FRAME_CREDIT, id, &message.base);
}

static void subscribe(struct client *client, uint32_t id, uint32_t credit_of)
{
    CLIENT_SUBSCRIBE(client, id, it->collection = pets; it->credit = credit_of);
    turns_settle();
}

static void invalidate(struct client *client, uint32_t id)
{
    CLIENT_SUBSCRIBE(client, id, it->invalidate = true);
    turns_settle();
}

static struct wire_subscription *only_subscription(const struct client *client)
{
    cr_assert_eq(client->connection->subscription_count, 1);
    return CONTAINER_OF(client->connection->subscriptions.next, struct wire_subscription, link);
}

/* Makes them longer than what one connection keeps. */
static void put_large(uint32_t count)
{
    static char json[8000];
    for (uint32_t i = 0; i < count; i++) {
        char id[32];
        snprintf(json, sizeof(json), "{\"n\":%u,\"t\":\"%07900u\"}", i, 0);
        snprintf(id, sizeof(id), "large%u", i);
        turns_put(id, json);
        turns_step();
    }
}

/* ---- changes ---- */

Test(wire_subscribe, a_change_goes_out_in_the_turn_in_which_it_is_published)
{
    subscribe(rex, 7, 10);
    client_expect(rex, "SUBSCRIBE 7 200, CHANGES 7 0 caught-up");
    struct world_request *request = &turns_all()->request;
    world_submit(&turns_all()->world, 0, request, REQUEST_PUT, world_pets(&turns_all()->world),
                 "rex", "{}");
    uint64_t published = engine_published(turns_all()->world.engine);
    while (engine_published(turns_all()->world.engine) == published) {
        cr_assert_eq(rex->sending, 0);
        turns_step();
    }
    cr_assert_gt(rex->sending, 0, "it is on its way");
    turns_step();
    client_expect(rex, "CHANGES 7 1 caught-up");
    turns_end();
}

Test(wire_subscribe, changes_of_a_turn_go_out_in_one_frame)
{
    subscribe(rex, 7, 10);
    client_expect(rex, "SUBSCRIBE 7 200, CHANGES 7 0 caught-up");
    turns_put("a", "{}");
    turns_put("b", "{}");
    turns_put("c", "{}");
    turns_settle();
    client_expect(rex, "CHANGES 7 3 caught-up");
    turns_end();
}

Test(wire_subscribe, subscriptions_of_one_connection_take_turns_with_frames)
{
    subscribe(rex, 7, 10);
    CLIENT_SUBSCRIBE(rex, 8, it->credit = 10; it->invalidate = false);
    turns_settle();
    client_expect(rex, "SUBSCRIBE 7 200, CHANGES 7 0 caught-up, SUBSCRIBE 8 200, "
                       "CHANGES 8 0 caught-up");
    turns_put("a", "{}");
    turns_put("b", "{}");
    turns_settle();
    client_expect(rex, "CHANGES 8 1, CHANGES 7 1, CHANGES 8 1, CHANGES 7 1, "
                       "CHANGES 8 0 caught-up, CHANGES 7 0 caught-up");
    turns_end();
}

Test(wire_subscribe, a_frame_ends_when_it_is_full)
{
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i);
        turns_put(id, "{}");
    }
    CLIENT_SUBSCRIBE(rex, 7, it->from = FRESHET__FROM__EARLIEST; it->credit = 1000);
    turns_settle();
    struct sent_frame frame;
    size_t frames = 0;
    while (client_frame(rex, &frame)) {
        cr_assert_leq(frame.header.length, CHUNK_BYTES - FRAME_HEADER_BYTES);
        frames++;
        free((void *)(uintptr_t)(frame.body.data - FRAME_HEADER_BYTES));
    }
    cr_assert_geq(frames, 4);
    cr_assert_leq(frames, 10, "later ones are larger");
    cr_assert_eq(atomic_load(&turns_all()->server->statistics.changes_sent), 200);
    turns_end();
}

Test(wire_subscribe, without_credit_nothing_is_sent_and_nothing_kept)
{
    subscribe(rex, 7, 0);
    client_expect(rex, "SUBSCRIBE 7 200");
    turns_put("a", "{}");
    turns_put("b", "{}");
    turns_settle();
    client_expect(rex, "");
    cr_assert_eq(only_subscription(rex)->subscription.state, SUBSCRIPTION_STUCK);
    cr_assert_eq(rex->connection->output.unsent_bytes, 0);
    credit(rex, 7, 1);
    turns_settle();
    client_expect(rex, "CHANGES 7 1");
    credit(rex, 7, 2);
    turns_settle();
    client_expect(rex, "CHANGES 7 1 caught-up");
    cr_assert_eq(only_subscription(rex)->credit, 1);
    turns_end();
}

Test(wire_subscribe, a_client_that_does_not_read_costs_a_bounded_output)
{
    subscribe(rex, 7, 1000000);
    client_expect(rex, "SUBSCRIBE 7 200, CHANGES 7 0 caught-up");
    rex->slow = true;
    put_large(200);
    turns_settle();
    size_t unsent = rex->connection->output.unsent_bytes;
    cr_assert_geq(unsent, WIRE_PUSH_BYTES_MAX / 2);
    cr_assert_leq(unsent, WIRE_PUSH_BYTES_MAX);
    cr_assert_eq(only_subscription(rex)->subscription.state, SUBSCRIPTION_STUCK);
    cr_assert(only_subscription(rex)->blocked);
    credit(rex, 7, 1);
    turns_settle();
    cr_assert_eq(rex->connection->output.unsent_bytes, unsent, "credit is no room");
    rex->slow = false;
    turns_settle();
    cr_assert_eq(atomic_load(&turns_all()->server->statistics.changes_sent), 200);
    cr_assert_eq(only_subscription(rex)->subscription.state, SUBSCRIPTION_LIVE);
    cr_assert_eq(rex->connection->output.unsent_bytes, 0);
    turns_end();
}

/* ---- invalidations and PINGs ---- */

Test(wire_subscribe, keys_of_a_turn_go_out_in_one_frame)
{
    invalidate(rex, 9);
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live");
    turns_put("a", "{}");
    turns_put("b", "{}");
    turns_put("a", "{\"n\":1}");
    turns_settle();
    client_expect(rex, "INVALIDATE 9 live a b a");
    turns_end();
}

/* Of the invalidations that have come: the last one alone is live. */
static void expect_last_live(struct client *client)
{
    uint32_t live = 0;
    uint32_t behind = 0;
    struct sent_frame frame;
    while (client_frame(client, &frame)) {
        if (frame.header.opcode == FRAME_INVALIDATE) {
            /* Behind the head of the array, and the position with its own. */
            bool is_live = frame.body.data[3 + POSITION_TEXT_BYTES] == 0xc3;
            cr_assert_eq(live, 0);
            live += is_live ? 1 : 0;
            behind += is_live ? 0 : 1;
        }
        free((void *)(uintptr_t)(frame.body.data - FRAME_HEADER_BYTES));
    }
    cr_assert_eq(live, 1, "the last one");
    cr_assert_gt(behind, 0);
}

static void put_many(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%u}", i);
        turns_put("a", json);
    }
}

Test(wire_subscribe, who_is_behind_is_told_so)
{
    put_many(STREAM_STEP_ENTRIES);
    CLIENT_SUBSCRIBE(rex, 9, it->invalidate = true; it->from = FRESHET__FROM__EARLIEST);
    turns_settle();
    expect_last_live(rex);
    turns_end();
}

Test(wire_subscribe, who_falls_behind_is_told_so)
{
    invalidate(rex, 9);
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live");
    put_many(STREAM_STEP_ENTRIES + 1);
    turns_settle();
    expect_last_live(rex);
    turns_end();
}

Test(wire_subscribe, a_pong_waits_until_what_was_committed_is_written)
{
    invalidate(rex, 9);
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live");
    client_send(rex, FRAME_PING, 20, BYTES_LITERAL("at once"));
    turns_settle();
    client_expect(rex, "PING 20 200");
    turns_put("a", "{}");
    client_send(rex, FRAME_PING, 21, BYTES_EMPTY);
    turns_settle();
    client_expect(rex, "INVALIDATE 9 live a, PING 21 200");
    turns_end();
}

Test(wire_subscribe, a_pong_waits_while_its_invalidations_have_no_room)
{
    invalidate(rex, 9);
    CLIENT_SUBSCRIBE(rex, 7, it->collection = pets; it->credit = 1000000);
    turns_settle();
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live, SUBSCRIBE 7 200, "
                       "CHANGES 7 0 caught-up");
    rex->slow = true;
    put_large(100);
    turns_settle();
    for (uint32_t i = 0; i < WIRE_PINGS_MAX; i++) {
        client_send(rex, FRAME_PING, 100 + i, BYTES_EMPTY);
    }
    turns_settle();
    cr_assert_not_null(rex->connection->pings);
    uint64_t errors = atomic_load(&turns_all()->server->statistics.errors);
    client_send(rex, FRAME_PING, 200, BYTES_EMPTY);
    turns_settle();
    cr_assert_eq(atomic_load(&turns_all()->server->statistics.errors), errors + 1, "one too many");
    rex->slow = false;
    turns_settle();
    cr_assert_null(rex->connection->pings, "all are answered");
    uint32_t next = 100;
    uint64_t keys = 0;
    struct sent_frame frame;
    while (client_frame(rex, &frame)) {
        keys += frame.header.opcode == FRAME_INVALIDATE ? 1 : 0;
        if (frame.header.opcode == (FRAME_PING | FRAME_ANSWER)) {
            cr_assert_eq(frame.header.id, next++, "in their order");
            cr_assert_eq(atomic_load(&turns_all()->server->statistics.invalidations_sent), 100);
        }
        if (frame.header.opcode == FRAME_ERROR) {
            cr_assert_eq(frame.header.id, 200);
            cr_assert_eq(frame.header.code, 429);
        }
        free((void *)(uintptr_t)(frame.body.data - FRAME_HEADER_BYTES));
    }
    cr_assert_eq(next, 100 + WIRE_PINGS_MAX);
    cr_assert_gt(keys, 0);
    turns_end();
}

Test(wire_subscribe, what_ends_an_invalidation_comes_before_the_pong)
{
    invalidate(rex, 9);
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live");
    turns_put("a", "{}");
    client_send(rex, FRAME_PING, 21, BYTES_EMPTY);
    client_send(rex, FRAME_UNSUBSCRIBE, 9, BYTES_EMPTY);
    turns_settle();
    client_expect(rex, "UNSUBSCRIBE 9 200, PING 21 200");
    turns_end();
}

/* ---- ends ---- */

Test(wire_subscribe, goaway_ends_subscriptions_and_refuses_pings_that_wait)
{
    invalidate(rex, 9);
    subscribe(rex, 7, 0);
    client_expect(rex, "SUBSCRIBE 9 200, INVALIDATE 9 live, SUBSCRIBE 7 200");
    turns_put("a", "{}");
    client_send(rex, FRAME_PING, 21, BYTES_EMPTY);
    wire_server_drain(turns_all()->server, false);
    client_send(rex, FRAME_SUBSCRIBE, 10, BYTES_EMPTY);
    turns_settle();
    client_expect(rex, "ERROR 21 503, GOAWAY 0 0, ERROR 10 503");
    cr_assert_eq(atomic_load(&turns_all()->server->statistics.subscriptions), 0);
    turns_end();
}

Test(wire_subscribe, connections_go_in_any_state)
{
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%d", i);
        turns_put(id, "{}");
    }
    Freshet__Consumer consumer = FRESHET__CONSUMER__INIT;
    char name[] = "c";
    consumer.action = FRESHET__CONSUMER_ACTION__CONSUMER_PUT;
    consumer.name = name;
    client_send_message(tom, FRAME_CONSUMER, 2, &consumer.base);
    turns_settle();
    client_expect(tom, "CONSUMER 2 201");
    for (int steps = 0; steps < 12; steps++) {
        struct client *client = client_open();
        turns_all()->world.hold_jobs = steps % 2 == 1;
        CLIENT_SUBSCRIBE(client, 3, it->from = FRESHET__FROM__TIME; it->time_ms = 1);
        CLIENT_SUBSCRIBE(client, 4, it->from = FRESHET__FROM__SNAPSHOT; it->credit = 20);
        CLIENT_SUBSCRIBE(client, 5, it->consumer = name; it->credit = 20);
        CLIENT_SUBSCRIBE(client, 6, it->invalidate = true);
        client_send_message(client, FRAME_CONSUMER, 7, &consumer.base);
        for (int i = 0; i < steps; i++) {
            turns_step();
        }
        char json[32];
        snprintf(json, sizeof(json), "{\"steps\":%d}", steps);
        turns_put("rex", json);
        client_send(client, FRAME_PING, 8, BYTES_EMPTY); /* waits for the invalidation of that */
        client_cut(client);
        turns_settle();
        cr_assert_null(client->connection);
        turns_all()->world.hold_jobs = false;
        turns_settle();
        free(client->received);
        *client = (struct client){0};
    }
    cr_assert_eq(atomic_load(&turns_all()->server->statistics.subscriptions), 0);
    turns_end();
}

Test(wire_subscribe, a_subscription_that_is_refused_leaves_nothing)
{
    char nobody[] = "nobody";
    char wrong[] = "{";
    CLIENT_SUBSCRIBE(rex, 3, it->consumer = nobody);
    CLIENT_SUBSCRIBE(rex, 4, it->collection = nobody);
    CLIENT_SUBSCRIBE(rex, 5, it->pattern = wrong);
    turns_settle();
    client_expect(rex, "ERROR 4 404, ERROR 5 400, ERROR 3 404");
    for (uint32_t id = 10; id <= 26; id++) {
        CLIENT_SUBSCRIBE(rex, id, it->collection = pets);
    }
    turns_settle();
    cr_assert_eq(rex->connection->subscription_count, 16);
    struct sent_frame frame;
    while (client_frame(rex, &frame)) {
        cr_assert_eq(frame.header.code, frame.header.id == 26 ? 503 : 200);
        free((void *)(uintptr_t)(frame.body.data - FRAME_HEADER_BYTES));
    }
    turns_end();
}

Test(wire_memory, a_subscription_without_memory_is_refused, .init = NULL)
{
    turns_begin(64 << 10);
    rex = client_open();
    /* Requests may take three quarters. */
    uint64_t taken = 40 << 10;
    memory_hold(&turns_all()->server->memory, taken);
    for (uint32_t id = 10; id < 26; id++) {
        CLIENT_SUBSCRIBE(rex, id, it->collection = pets);
        turns_step();
    }
    turns_settle();
    cr_assert_lt(rex->connection->subscription_count, 16);
    cr_assert_gt(atomic_load(&turns_all()->server->statistics.errors), 0);
    memory_let_go(&turns_all()->server->memory, taken);
    turns_end();
}
