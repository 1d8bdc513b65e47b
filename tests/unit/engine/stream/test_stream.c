#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/engine/stream/scene.h"

static struct scene scene;
static struct listener a;
static struct listener b;

static void begin(void)
{
    scene_begin(&scene, NULL);
}

static void end(void)
{
    subscription_close(&a.subscription);
    subscription_close(&b.subscription);
    scene_end(&scene);
}

TestSuite(stream, .init = begin, .fini = end);

#define SUBSCRIBE(listener, ...)                                                                   \
    listener_begin(&scene, (listener),                                                             \
                   (struct subscription_options){.view = CHANGE_VIEW_BOTH, __VA_ARGS__})

static void expect_state(const struct listener *listener, enum subscription_state state)
{
    cr_assert_eq(listener->subscription.state, state, "%d", (int)listener->subscription.state);
}

/* ---- live ---- */

Test(stream, tells_from_now_on_what_is_published)
{
    scene_put(&scene, "early", "{}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_LIVE);
    scene_put(&scene, "rex", "{\"age\":3}");
    scene_put(&scene, "rex", "{\"age\":4}");
    scene_put(&scene, "rex", "{\"age\":4}"); /* equal: no change */
    scene_delete(&scene, "rex");
    scene_delete(&scene, "rex"); /* was not there: no change */
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 2, MODIFY rex 3, REMOVE rex 4");
    cr_assert(strstr(a.json, "\"eventName\":\"REMOVE\"") != NULL);
    cr_assert(strstr(a.json, "\"oldImage\":{\"id\":\"rex\",\"age\":4}") != NULL);
}

Test(stream, tells_one_collection_to_who_asks_for_it)
{
    cr_assert_eq(SUBSCRIBE(&a, .collection = world_products(&scene.world)), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = world_pets(&scene.world)), STATUS_OK);
    scene_settle(&scene);
    scene_put(&scene, "rex", "{}");
    scene_put_in(&scene, world_products(&scene.world), "lamp", "{\"title\":\"Lamp\"}");
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT lamp 2");
    listener_expect(&b, 0, "INSERT rex 1");
}

Test(stream, does_not_tell_of_the_servers_own_records_but_to_who_asks_for_them)
{
    struct collection *rules = world_internal(&scene.world, COLLECTION_RULES);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = rules), STATUS_OK);
    scene_settle(&scene);
    scene_put_in(&scene, rules, "one", "{\"x\":1}");
    scene_put(&scene, "rex", "{}");
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 2");
    listener_expect(&b, 0, "INSERT one 1");
    /* Read from the beginning it is the same. */
    subscription_close(&a.subscription);
    subscription_close(&b.subscription);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = rules, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 2");
    listener_expect(&b, 0, "INSERT one 1");
}

Test(stream, tells_nothing_of_a_collection_that_is_gone_from_the_configuration)
{
    struct collection gone = *world_pets(&scene.world);
    gone.name = BYTES_LITERAL("gone");
    scene_put_in(&scene, &gone, "old", "{}");
    scene_put(&scene, "rex", "{}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    scene_settle(&scene);
    scene_put_in(&scene, &gone, "older", "{}");
    scene_put(&scene, "max", "{}");
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 2, INSERT max 4");
    listener_expect(&b, 0, "SNAPSHOT rex 2, SYNCED, INSERT max 4");
}

Test(stream, matches_patterns_live_and_lagging_alike)
{
    const char *pattern = "{\"newImage\":{\"age\":[{\"numeric\":[\">\",3]}]}}";
    struct collection *pets = world_pets(&scene.world);
    cr_assert_eq(SUBSCRIBE(&a, .collection = pets, .pattern = scene_pattern(pattern)), STATUS_OK);
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_LIVE);
    scene_put(&scene, "rex", "{\"age\":3}");
    scene_put(&scene, "rex", "{\"age\":4}");
    scene_put(&scene, "tom", "{\"age\":1}");
    scene_delete(&scene, "tom"); /* judged by the old image: not told */
    scene_delete(&scene, "rex"); /* told */
    scene_settle(&scene);
    const char *expected = "MODIFY rex 2, REMOVE rex 5";
    listener_expect(&a, 0, expected);
    cr_assert_eq(SUBSCRIBE(&b, .collection = pets, .pattern = scene_pattern(pattern),
                           .from = SUBSCRIBE_EARLIEST),
                 STATUS_OK);
    scene_settle(&scene);
    listener_expect(&b, 0, expected);
}

Test(stream, says_what_enters_and_what_leaves_live_and_lagging_alike)
{
    const char *pattern = "{\"newImage\":{\"age\":[{\"numeric\":[\">\",3]}]}}";
    struct collection *pets = world_pets(&scene.world);
    cr_assert_eq(
        SUBSCRIBE(&a, .collection = pets, .enter_leave = true, .pattern = scene_pattern(pattern)),
        STATUS_OK);
    scene_settle(&scene);
    scene_put(&scene, "rex", "{\"age\":3}"); /* 1: not in it */
    scene_put(&scene, "rex", "{\"age\":4}"); /* 2: enters */
    scene_put(&scene, "rex", "{\"age\":5}"); /* 3: stays */
    scene_put(&scene, "rex", "{\"age\":2}"); /* 4: leaves */
    scene_settle(&scene);
    cr_assert(strstr(a.json, "\"transition\":\"leave\"") != NULL);
    cr_assert(strstr(a.json, "newImage") == NULL, "the pattern excludes it");
    scene_delete(&scene, "rex");             /* 5: was not in it */
    scene_put(&scene, "tom", "{\"age\":9}"); /* 6: enters */
    scene_delete(&scene, "tom");             /* 7: leaves */
    scene_settle(&scene);
    const char *expected =
        "MODIFY+ rex 2, MODIFY rex 3, MODIFY- rex 4, INSERT+ tom 6, REMOVE- tom 7";
    listener_expect(&a, 0, expected);
    cr_assert_eq(SUBSCRIBE(&b, .collection = pets, .enter_leave = true,
                           .pattern = scene_pattern(pattern), .from = SUBSCRIBE_EARLIEST),
                 STATUS_OK);
    scene_settle(&scene);
    listener_expect(&b, 0, expected);
    cr_assert_eq(strcmp(a.json, b.json), 0);
}

Test(stream, without_a_pattern_everything_enters_and_leaves)
{
    cr_assert_eq(SUBSCRIBE(&a, .collection = world_pets(&scene.world), .enter_leave = true),
                 STATUS_OK);
    scene_settle(&scene);
    scene_put(&scene, "rex", "{\"age\":3}");
    scene_put(&scene, "rex", "{\"age\":4}");
    scene_delete(&scene, "rex");
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT+ rex 1, MODIFY rex 2, REMOVE- rex 3");
}

Test(stream, tells_users_events_where_no_collection_is_asked_for)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = world_pets(&scene.world)), STATUS_OK);
    scene_settle(&scene);
    enum status status =
        world_run(&scene.world, &scene.request, REQUEST_EVENT, NULL, NULL,
                  "{\"source\":\"shop\",\"detail-type\":\"sale\",\"detail\":{\"n\":1}}");
    cr_assert_eq(status, STATUS_OK);
    request_release(&scene.request.request);
    scene_settle(&scene);
    cr_assert_eq(a.count, 1);
    cr_assert_eq(a.told[0].change, CHANGE_EVENT);
    cr_assert(strstr(a.json, "\"detail-type\":\"sale\"") != NULL);
    cr_assert_eq(b.count, 0);
}

Test(stream, gives_members_their_slots_and_what_is_new_in_them)
{
    struct slot_set odd;
    memset(&odd, 0xaa, sizeof(odd));
    uint64_t sequences[SLOT_COUNT] = {0};
    for (int i = 0; i < SLOT_COUNT; i++) {
        sequences[i] = 20;
    }
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST, .slots = &odd), STATUS_OK);
    cr_assert_eq(
        SUBSCRIBE(&b, .from = SUBSCRIBE_EARLIEST, .slots = &odd, .slot_sequences = sequences),
        STATUS_OK);
    memset(&odd, 0, sizeof(odd)); /* it was copied */
    scene_settle(&scene);
    uint32_t expected = 0;
    uint32_t expected_new = 0;
    for (uint64_t i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", (int)i);
        uint64_t hash = engine_hash(world_pets(&scene.world), bytes_of_text(id));
        expected += (uint32_t)(hash & 1);
        expected_new += i + 1 > 20 ? (uint32_t)(hash & 1) : 0;
    }
    cr_assert_eq(a.count, expected);
    cr_assert_eq(b.count, expected_new);
    cr_assert_gt(expected_new, 0);
    cr_assert_lt(expected, 40);
}

/* ---- room ---- */

Test(stream, goes_on_where_there_was_no_room)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    a.room = 1;
    for (int i = 0; i < 4; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        scene_put(&scene, "rex", json);
    }
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 1");
    expect_state(&a, SUBSCRIPTION_STUCK);
    cr_assert_eq(a.refused, 1);
    struct token token;
    subscription_token(&a.subscription, &token);
    cr_assert_eq(token.position.sequence, 1);
    scene_put(&scene, "tom", "{}");
    scene_settle(&scene);
    cr_assert_eq(a.refused, 1, "nothing is offered to who is stuck");
    a.room = 2;
    subscription_resume(&a.subscription);
    scene_settle(&scene);
    listener_expect(&a, 1, "MODIFY rex 2, MODIFY rex 3");
    expect_state(&a, SUBSCRIPTION_STUCK);
    a.room = UINT32_MAX;
    subscription_resume(&a.subscription);
    scene_settle(&scene);
    listener_expect(&a, 3, "MODIFY rex 4, INSERT tom 5");
    expect_state(&a, SUBSCRIPTION_LIVE);
}

Test(stream, with_a_pattern_goes_on_where_there_was_no_room)
{
    struct collection *pets = world_pets(&scene.world);
    const char *pattern = "{\"newImage\":{\"n\":[{\"numeric\":[\">\",1]}]}}";
    cr_assert_eq(SUBSCRIBE(&a, .collection = pets, .pattern = scene_pattern(pattern)), STATUS_OK);
    cr_assert_eq(
        SUBSCRIBE(&b, .collection = pets, .pattern = scene_pattern(pattern), .enter_leave = true),
        STATUS_OK);
    scene_settle(&scene);
    a.room = 0;
    b.room = 0;
    for (int i = 0; i < 4; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        scene_put(&scene, "rex", json);
    }
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_STUCK);
    expect_state(&b, SUBSCRIPTION_STUCK);
    struct token token;
    subscription_token(&a.subscription, &token);
    cr_assert_eq(token.position.sequence, 2, "up to what was passed over");
    a.room = UINT32_MAX;
    b.room = UINT32_MAX;
    subscription_resume(&a.subscription);
    subscription_resume(&b.subscription);
    scene_settle(&scene);
    listener_expect(&a, 0, "MODIFY rex 3, MODIFY rex 4");
    listener_expect(&b, 0, "MODIFY+ rex 3, MODIFY rex 4");
}

Test(stream, costs_nothing_while_it_is_stuck)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST, .progress_ns = 1000000000), STATUS_OK);
    scene_settle(&scene);
    a.room = 0;
    scene_put(&scene, "rex", "{}");
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_STUCK);
    cr_assert_eq(scene.due_ns, UINT64_MAX);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->stuck), 1);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->live), 0);
    scene_put(&scene, "rex", "{\"n\":1}");
    scene_settle(&scene);
    cr_assert_eq(a.refused, 1);
    cr_assert(engine_thread_sleep_begin(engine_thread_at(scene.world.engine, 0)), "nobody follows");
    engine_thread_sleep_end(engine_thread_at(scene.world.engine, 0));
}

Test(stream, keeps_its_thread_awake_for_who_waits_for_a_step)
{
    struct engine_thread *thread = engine_thread_at(scene.world.engine, 0);
    scene_put(&scene, "rex", "{}");
    scene_settle(&scene);
    cr_assert(engine_thread_sleep_begin(thread));
    engine_thread_sleep_end(thread);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_not(engine_thread_sleep_begin(thread), "it has just come");
    a.room = 0;
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_STUCK);
    cr_assert(engine_thread_sleep_begin(thread));
    engine_thread_sleep_end(thread);
    subscription_resume(&a.subscription);
    cr_assert_not(engine_thread_sleep_begin(thread), "it has room again");
    a.room = 1;
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT rex 1");
}

Test(stream, follows_while_somebody_listens)
{
    struct engine_thread *thread = engine_thread_at(scene.world.engine, 0);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert(engine_thread_sleep_begin(thread));
    engine_thread_sleep_end(thread);
    scene_put(&scene, "rex", "{}");
    cr_assert_not(engine_thread_sleep_begin(thread), "something is published that it has not seen");
    scene_settle(&scene);
    cr_assert(engine_thread_sleep_begin(thread));
    engine_thread_sleep_end(thread);
}

/* ---- positions ---- */

Test(stream, goes_on_after_any_token)
{
    for (int i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        struct token token = a.told[i].token;
        cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_OK);
        scene_settle(&scene);
        cr_assert_eq(b.count, 9 - i);
        for (uint32_t j = 0; j < b.count; j++) {
            cr_assert_eq(b.told[j].sequence, i + j + 2);
        }
        subscription_close(&b.subscription);
    }
}

Test(stream, refuses_the_future_and_what_is_not_of_this_store)
{
    scene_put(&scene, "rex", "{}");
    struct position oldest;
    struct token token = {0};
    stream_positions(scene.stream, &oldest, &token.position);
    cr_assert_eq(token.position.sequence, 1);
    token.position.sequence++;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_INVALID);
    token.position.sequence = UINT64_MAX;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_INVALID);
    token.position.sequence = 1;
    token.position.store_id.bytes[3] ^= 1;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_POSITION_EXPIRED);
    token.position.store_id.bytes[3] ^= 1;
    token.position.epoch += 7;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_POSITION_EXPIRED);
    expect_state(&a, SUBSCRIPTION_CLOSED);
}

Test(stream, begins_at_a_time)
{
    uint64_t times[6];
    for (int i = 0; i < 6; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
        times[i] = scene.world.wall_ms;
        scene.world.now_ns += 5000000000;
        scene_step(&scene);
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TIME, .time_ms = times[3]), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT pet3 4, INSERT pet4 5, INSERT pet5 6");
    subscription_close(&a.subscription);
    /* Behind the last there is nothing yet. */
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TIME, .time_ms = times[5] + 1), STATUS_OK);
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_LIVE);
    scene_put(&scene, "new", "{}");
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT new 7");
}

Test(stream, refuses_a_time_in_the_future)
{
    scene_put(&scene, "rex", "{}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TIME, .time_ms = scene.world.wall_ms + 3600000),
                 STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(a.end_status, STATUS_INVALID);
}

/* ---- quiet ---- */

#define SECOND_NS 1000000000ull

static void pass_time(uint64_t ns)
{
    uint64_t until = scene.world.now_ns + ns;
    while (scene.world.now_ns < until) {
        scene.world.now_ns += SECOND_NS / 20;
        scene_step(&scene);
    }
}

Test(stream, tells_its_progress_while_nothing_matches)
{
    cr_assert_eq(SUBSCRIBE(&a, .collection = world_pets(&scene.world), .progress_ns = 5 * SECOND_NS,
                           .pattern = scene_pattern("{\"newImage\":{\"n\":[1]}}")),
                 STATUS_OK);
    pass_time(4 * SECOND_NS);
    scene_put(&scene, "rex", "{}");
    cr_assert_eq(a.count, 0);
    pass_time(2 * SECOND_NS);
    listener_expect(&a, 0, "PROGRESS 1");
    pass_time(3 * SECOND_NS);
    scene_put(&scene, "tom", "{\"n\":1}");
    scene_settle(&scene);
    listener_expect(&a, 1, "INSERT tom 2");
    pass_time(4 * SECOND_NS);
    listener_expect(&a, 2, "");
    pass_time(9 * SECOND_NS);
    listener_expect(&a, 2, "PROGRESS 2, PROGRESS 2");
}

Test(stream, wakes_for_its_progress)
{
    cr_assert_eq(SUBSCRIBE(&a, .progress_ns = 5 * SECOND_NS), STATUS_OK);
    scene_settle(&scene);
    uint64_t began = scene.world.now_ns;
    for (int i = 0; i < 100 && a.count == 0; i++) {
        cr_assert_neq(scene.due_ns, UINT64_MAX);
        scene.world.now_ns = scene.due_ns > scene.world.now_ns ? scene.due_ns : scene.world.now_ns;
        scene_step(&scene);
    }
    listener_expect(&a, 0, "PROGRESS 0");
    cr_assert_leq(scene.world.now_ns - began, 5 * SECOND_NS);
    cr_assert_geq(scene.world.now_ns - began, 4 * SECOND_NS);
}

Test(stream, tells_its_progress_as_often_as_is_asked_for)
{
    const uint64_t progress_ns = SECOND_NS / 20;
    cr_assert_eq(SUBSCRIBE(&a, .progress_ns = progress_ns), STATUS_OK);
    scene_settle(&scene);
    uint64_t told_ns = scene.world.now_ns;
    for (uint32_t i = 1; i <= 20; i++) {
        while (a.count < i) {
            cr_assert_neq(scene.due_ns, UINT64_MAX);
            scene.world.now_ns =
                scene.due_ns > scene.world.now_ns ? scene.due_ns : scene.world.now_ns;
            scene_step(&scene);
        }
        cr_assert_leq(scene.world.now_ns - told_ns, progress_ns);
        told_ns = scene.world.now_ns;
    }
}

Test(stream, says_how_far_each_has_been_told)
{
    scene_put(&scene, "rex", "{}");
    scene_put(&scene, "rex", "{\"n\":1}");
    scene_settle(&scene);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = world_pets(&scene.world),
                           .pattern = scene_pattern("{\"newImage\":{\"n\":[7]}}")),
                 STATUS_OK);
    cr_assert_eq(subscription_reached(&a.subscription), 0, "it has just come");
    cr_assert_eq(subscription_reached(&b.subscription), 2);
    a.room = 1;
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_STUCK);
    cr_assert_eq(subscription_reached(&a.subscription), 1);
    a.room = UINT32_MAX;
    subscription_resume(&a.subscription);
    scene_put(&scene, "tom", "{}");
    scene_settle(&scene);
    cr_assert_eq(subscription_reached(&a.subscription), 3);
    cr_assert_eq(subscription_reached(&b.subscription), 3, "what is not for it counts, too");
    subscription_close(&a.subscription);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TIME, .time_ms = 1), STATUS_OK);
    cr_assert_eq(subscription_reached(&a.subscription), 0, "its place is being looked for");
}

Test(stream, does_not_move_on_internal_entries_alone)
{
    struct collection *rules = world_internal(&scene.world, COLLECTION_RULES);
    scene_put(&scene, "rex", "{}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST, .progress_ns = 5 * SECOND_NS),
                 STATUS_OK);
    scene_settle(&scene);
    for (int i = 0; i < 5; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        scene_put_in(&scene, rules, "one", json);
    }
    pass_time(6 * SECOND_NS);
    listener_expect(&a, 0, "INSERT rex 1, PROGRESS 1");
    scene_put(&scene, "tom", "{}");
    scene_settle(&scene);
    listener_expect(&a, 2, "INSERT tom 7");
}

Test(stream, says_when_nothing_more_is_published)
{
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST, .wants_caught_up = true), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "INSERT pet0 1, INSERT pet1 2, INSERT pet2 3, CAUGHT_UP 3");
    scene_settle(&scene);
    scene_put(&scene, "pet3", "{}");
    scene_settle(&scene);
    listener_expect(&a, 4, "INSERT pet3 4, CAUGHT_UP 4");
    a.room = 1;
    scene_put(&scene, "pet4", "{}");
    scene_settle(&scene);
    expect_state(&a, SUBSCRIPTION_STUCK);
    a.room = 1;
    subscription_resume(&a.subscription);
    scene_settle(&scene);
    listener_expect(&a, 6, "INSERT pet4 5, CAUGHT_UP 5");
}

/* ---- limits ---- */

Test(stream, refuses_who_needs_old_images_where_they_are_dropped)
{
    struct collection *products = world_products(&scene.world);
    struct pattern *pattern = scene_pattern("{\"oldImage\":{\"n\":[1]}}");
    cr_assert_eq(SUBSCRIBE(&a, .collection = products, .enter_leave = true), STATUS_UNSUPPORTED);
    cr_assert_eq(SUBSCRIBE(&a, .enter_leave = true), STATUS_UNSUPPORTED);
    cr_assert_eq(SUBSCRIBE(&a, .collection = products, .pattern = pattern), STATUS_UNSUPPORTED);
    cr_assert_eq(listener_begin(&scene, &a,
                                (struct subscription_options){.collection = products,
                                                              .view = CHANGE_VIEW_OLD}),
                 STATUS_UNSUPPORTED);
    cr_assert_eq(SUBSCRIBE(&a, .collection = world_pets(&scene.world), .pattern = pattern),
                 STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .collection = products), STATUS_OK, "it gets what there is");
}

Test(stream, takes_only_so_many)
{
    const struct stream_options options = {
        .engine = scene.world.engine,
        .engine_thread = engine_thread_at(scene.world.engine, 0),
        .executor = &scene.world.executor,
        .subscriptions_max = 1,
    };
    stream_destroy(&scene.stream);
    cr_assert_eq(stream_create(&options, &scene.stream), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_LATEST), STATUS_BUSY);
    subscription_close(&a.subscription);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_LATEST), STATUS_OK);
}
