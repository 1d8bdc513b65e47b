/* The calls that wait, and those that do not, over a socket. */
#include <criterion/criterion.h>
#include <poll.h>

#include "bindings/c/include/freshet_async.h"
#include "bindings/c/transport.h"
#include "protocol/frame/frame.h"
#include "tests/unit/bindings/c/fake_peer.h"

static struct freshet *connect_to(const struct fake_peer *peer,
                                  const struct freshet_options *options)
{
    struct freshet *db;
    cr_assert_eq(freshet_connect(peer->url, options, &db), FRESHET_OK, "%s",
                 freshet_error(db)->detail);
    return db;
}

Test(client, an_address_that_is_none_is_told_as_such)
{
    static const char *const URLS[] = {"",
                                       "http://127.0.0.1:1",
                                       "freshet://",
                                       "freshet://:7400",
                                       "freshet://a:",
                                       "freshet://a:b",
                                       "freshet://[::1",
                                       "freshet://[::1]7400",
                                       "freshet://a:123456789"};
    for (size_t at = 0; at < sizeof(URLS) / sizeof(*URLS); at++) {
        struct freshet *db;
        struct freshet_record record;
        cr_assert_eq(freshet_connect(URLS[at], NULL, &db), FRESHET_INVALID, "%s", URLS[at]);
        cr_assert_gt(strlen(freshet_error(db)->detail), 0);
        cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_INVALID);
        cr_assert_eq(freshet_put(db, "pets", "1", "{}", 2, NULL, NULL), FRESHET_INVALID);
        freshet_close(db);
    }
}

Test(client, a_server_that_is_not_there_is_told_at_once)
{
    struct fake_peer peer;
    struct freshet *db;
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    fake_peer_stop(&peer);
    cr_assert_eq(freshet_connect(peer.url, NULL, &db), FRESHET_DISCONNECTED);
    cr_assert_not_null(strstr(freshet_error(db)->detail, "refused"));
    freshet_close(db);
}

Test(client, what_is_no_freshet_server_is_told_as_such)
{
    struct fake_peer peer;
    struct freshet *db;
    fake_peer_start(&peer, FAKE_TALKS_RUBBISH, FRAME_HELLO, 1);
    cr_assert_eq(freshet_connect(peer.url, NULL, &db), FRESHET_PROTOCOL);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_server_that_does_not_greet_is_given_up)
{
    struct fake_peer peer;
    struct freshet *db;
    struct freshet_options options = {.connect_timeout_ms = 50};
    fake_peer_start(&peer, FAKE_SAYS_NOTHING, FRAME_HELLO, 1);
    cr_assert_eq(freshet_connect(peer.url, &options, &db), FRESHET_DISCONNECTED);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_read_survives_a_lost_connection)
{
    struct fake_peer peer;
    struct freshet_record record;
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_GET, 1);
    struct freshet *db = connect_to(&peer, NULL);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_OK);
    cr_assert_eq(record.size, strlen("{\"id\":\"1\"}"));
    cr_assert_eq(peer.connections, 2);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_read_is_tried_twice_and_not_for_ever)
{
    struct fake_peer peer;
    struct freshet_record record;
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_GET, 100);
    struct freshet *db = connect_to(&peer, NULL);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_DISCONNECTED);
    cr_assert_eq(peer.times, 98);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_write_is_never_tried_twice)
{
    struct fake_peer peer;
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_PUT, 1);
    struct freshet *db = connect_to(&peer, NULL);
    cr_assert_eq(freshet_put(db, "pets", "1", "{}", 2, NULL, NULL), FRESHET_OUTCOME_UNKNOWN);
    cr_assert_eq(freshet_error(db)->status, FRESHET_OUTCOME_UNKNOWN);
    cr_assert_eq(freshet_put(db, "pets", "1", "{}", 2, NULL, NULL), FRESHET_OK);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, without_reconnecting_a_lost_connection_stays_lost)
{
    struct fake_peer peer;
    struct freshet_record record;
    struct freshet_options options = {.no_reconnect = true};
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_GET, 1);
    struct freshet *db = connect_to(&peer, &options);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_DISCONNECTED);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_DISCONNECTED);
    cr_assert_eq(peer.connections, 1);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_call_ends_with_its_time)
{
    struct fake_peer peer;
    struct freshet_record record;
    struct freshet_options options = {.timeout_ms = 50};
    fake_peer_start(&peer, FAKE_SAYS_NOTHING, FRAME_GET, 1);
    struct freshet *db = connect_to(&peer, &options);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_TIMEOUT);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_OK);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, without_a_server_a_call_waits_for_one_as_long_as_it_may)
{
    struct fake_peer peer;
    struct freshet_record record;
    struct freshet_options options = {.timeout_ms = 100};
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    struct freshet *db = connect_to(&peer, &options);
    fake_peer_stop(&peer);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_DISCONNECTED);
    cr_assert_not_null(strstr(freshet_error(db)->detail, "refused"), "%s",
                       freshet_error(db)->detail);
    freshet_close(db);
}

Test(client, rubbish_ends_the_call_and_the_next_one_has_another_connection)
{
    struct fake_peer peer;
    struct freshet_record record;
    fake_peer_start(&peer, FAKE_TALKS_RUBBISH, FRAME_GET, 1);
    struct freshet *db = connect_to(&peer, NULL);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_PROTOCOL);
    cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_OK);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_subscription_hands_out_what_comes_and_says_when_nothing_does)
{
    struct fake_peer peer;
    struct freshet_subscription *subscription;
    struct freshet_change change;
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    struct freshet *db = connect_to(&peer, NULL);
    cr_assert_eq(freshet_subscribe(db, NULL, &subscription), FRESHET_OK);
    cr_assert_eq(freshet_next(subscription, 5000, &change), FRESHET_OK);
    cr_assert_str_eq(change.id, "a");
    cr_assert_str_eq(freshet_position(subscription), "p1");
    cr_assert_eq(freshet_next(subscription, 0, &change), FRESHET_AGAIN);
    cr_assert_eq(freshet_next(subscription, 20, &change), FRESHET_AGAIN);
    cr_assert_eq(freshet_acknowledge(subscription), FRESHET_INVALID);
    freshet_close(db);
    cr_assert_eq(freshet_next(subscription, 0, &change), FRESHET_DISCONNECTED);
    freshet_unsubscribe(subscription);
    fake_peer_stop(&peer);
}

Test(client, the_near_cache_asks_the_server_once)
{
    struct fake_peer peer;
    struct freshet_record record = {0};
    struct freshet_options options = {.near_cache_bytes = 1 << 20, .lease_ms = 60000};
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    struct freshet *db = connect_to(&peer, &options);
    while (!record.near) {
        cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_OK);
    }
    unsigned asked = peer.gets;
    for (unsigned hit = 0; hit < 1000; hit++) {
        cr_assert_eq(freshet_get(db, "pets", "1", &record), FRESHET_OK);
        cr_assert(record.near);
    }
    cr_assert_eq(peer.gets, asked);
    freshet_close(db);
    fake_peer_stop(&peer);
}

Test(client, a_server_that_greets_and_goes_is_tried_with_growing_pauses)
{
    struct fake_peer peer;
    struct freshet_options options = {.near_cache_bytes = 1 << 20};
    struct freshet_async *db;
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_SUBSCRIBE, UINT32_MAX);
    cr_assert_eq(freshet_async_connect(peer.url, &options, &db), FRESHET_OK);
    uint64_t begin_ns = transport_now_ns();
    while (peer.connections < 6) {
        struct pollfd waiting = {.fd = freshet_async_fd(db), .events = freshet_async_events(db)};
        poll(&waiting, 1, freshet_async_timeout_ms(db));
        cr_assert_eq(freshet_async_process(db), FRESHET_OK);
    }
    /* Pauses of at least 5, 10, 20, 40 and 80 ms; a slow machine makes them longer only. */
    cr_assert_geq(transport_now_ns() - begin_ns, (uint64_t)155 * 1000 * 1000);
    freshet_async_close(db);
    fake_peer_stop(&peer);
}

/* ---- an event loop ---- */

static void count(void *context, const struct freshet_result *result)
{
    unsigned *answers = context;
    cr_assert_eq(result->status, FRESHET_OK);
    (*answers)++;
}

static void turn(struct freshet_async *db)
{
    struct pollfd waiting = {.fd = freshet_async_fd(db), .events = freshet_async_events(db)};
    poll(&waiting, 1, freshet_async_timeout_ms(db));
    cr_assert_eq(freshet_async_process(db), FRESHET_OK);
}

Test(async, many_calls_are_under_way_at_once_and_survive_a_lost_connection)
{
    struct fake_peer peer;
    struct freshet_async *db;
    unsigned answers = 0;
    fake_peer_start(&peer, FAKE_HANGS_UP, FRAME_GET, 1);
    cr_assert_eq(freshet_async_connect(peer.url, NULL, &db), FRESHET_OK);
    for (unsigned call = 0; call < 100; call++) {
        cr_assert_eq(freshet_async_get(db, "pets", "1", count, &answers), FRESHET_OK);
    }
    cr_assert_eq(answers, 0);
    while (answers < 100) {
        turn(db);
    }
    cr_assert(freshet_async_is_connected(db));
    cr_assert_eq(freshet_async_put(db, "pets", "1", "{}", 2, NULL, count, &answers), FRESHET_OK);
    while (answers < 101) {
        turn(db);
    }
    freshet_async_close(db);
    fake_peer_stop(&peer);
}

Test(async, closing_tells_every_call)
{
    struct fake_peer peer;
    struct freshet_async *db;
    struct freshet_subscription *subscription;
    struct freshet_change change;
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    cr_assert_eq(freshet_async_connect(peer.url, NULL, &db), FRESHET_OK);
    cr_assert_eq(freshet_async_subscribe(db, NULL, &subscription), FRESHET_OK);
    while (freshet_async_next(subscription, &change) == FRESHET_AGAIN) {
        turn(db);
    }
    cr_assert_str_eq(change.id, "a");
    freshet_unsubscribe(subscription);
    freshet_async_close(db);
    fake_peer_stop(&peer);
}
