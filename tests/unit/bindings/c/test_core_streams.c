/* Subscriptions and the near cache, over more than one connection. */
#include "bindings/c/core_internal.h"
#include "freshet.pb-c.h"
#include "tests/unit/bindings/c/world.h"

#define RECORD "{\"id\":\"1\",\"n\":1}"

static Freshet__Subscribe *subscribe_of(const struct world *world, const struct fake_frame *frame)
{
    struct bytes body = fake_body(&world->fake, frame);
    Freshet__Subscribe *message = freshet__subscribe__unpack(NULL, body.size, body.data);
    cr_assert_not_null(message);
    return message;
}

static struct freshet_subscription *
subscribe(struct world *world, const struct freshet_subscribe_options *options, uint32_t *id_out)
{
    struct freshet_subscription *subscription;
    cr_assert_eq(core_subscribe(world->core, options, world->now_ns, &subscription), FRESHET_OK);
    fake_listen(&world->fake, world->core);
    *id_out = fake_expect(&world->fake, FRAME_SUBSCRIBE).header.id;
    fake_subscribed(&world->fake, *id_out, "p0");
    cr_assert_eq(world_tell(world), FRESHET_OK);
    cr_assert(core_subscription_is_settled(subscription));
    return subscription;
}

static void say_insert(struct world *world, uint32_t id, const char *position, const char *record)
{
    uint8_t room[256];
    fake_change(&world->fake, id, FRAME_CHANGE, position,
                fake_insert(room, sizeof(room), record, 7));
}

static const char *next_id(struct world *world, struct freshet_subscription *subscription)
{
    static struct freshet_change change;
    enum freshet_status status = core_next(subscription, world->now_ns, &change);
    return status == FRESHET_OK ? change.id : freshet_status_text(status);
}

#define NOTHING freshet_status_text(FRESHET_AGAIN)

Test(subscriptions, what_is_asked_for_is_what_the_options_say)
{
    static const struct {
        const char *start;
        Freshet__From from;
        const char *position;
        uint64_t time_ms;
    } CASES[] = {
        {NULL, FRESHET__FROM__LATEST, "", 0},
        {"latest", FRESHET__FROM__LATEST, "", 0},
        {"earliest", FRESHET__FROM__EARLIEST, "", 0},
        {"snapshot", FRESHET__FROM__SNAPSHOT, "", 0},
        {"AYrdlPgy", FRESHET__FROM__POSITION, "AYrdlPgy", 0},
        {"1970-01-01T00:00:00Z", FRESHET__FROM__TIME, "", 0},
        {"2026-01-01T00:00:00.25Z", FRESHET__FROM__TIME, "", UINT64_C(1767225600250)},
        {"2024-02-29t12:00:00+01:30", FRESHET__FROM__TIME, "", UINT64_C(1709202600000)},
        {"2024-02-29 12:00:00.1239-00:00", FRESHET__FROM__TIME, "", UINT64_C(1709208000123)},
        {"2024-13-01T00:00:00Z", FRESHET__FROM__POSITION, "2024-13-01T00:00:00Z", 0},
        {"2024-12-01T00:00:00", FRESHET__FROM__POSITION, "2024-12-01T00:00:00", 0},
    };
    struct world world;
    world_open(&world);
    for (size_t at = 0; at < sizeof(CASES) / sizeof(*CASES); at++) {
        struct freshet_subscribe_options options = {.collection = "pets",
                                                    .pattern = "{}",
                                                    .start = CASES[at].start,
                                                    .view = FRESHET_VIEW_NEW,
                                                    .enter_leave = true,
                                                    .credit = 5};
        struct freshet_subscription *subscription;
        cr_assert_eq(core_subscribe(world.core, &options, 1, &subscription), FRESHET_OK);
        fake_listen(&world.fake, world.core);
        struct fake_frame frame = fake_expect(&world.fake, FRAME_SUBSCRIBE);
        Freshet__Subscribe *message = subscribe_of(&world, &frame);
        cr_assert_str_eq(message->collection, "pets");
        cr_assert_str_eq(message->pattern, "{}");
        cr_assert_eq(message->from, CASES[at].from, "%s", CASES[at].start);
        cr_assert_str_eq(message->position, CASES[at].position);
        cr_assert_eq(message->time_ms, CASES[at].time_ms, "%s is %lu", CASES[at].start,
                     (unsigned long)message->time_ms);
        cr_assert_eq(message->view, FRESHET__VIEW__VIEW_NEW);
        cr_assert(message->enter_leave);
        cr_assert_eq(message->credit, 5);
        freshet__subscribe__free_unpacked(message, NULL);
        core_unsubscribe(subscription);
    }
    world_close(&world);
}

Test(subscriptions, a_change_is_shown_with_all_that_it_is)
{
    uint8_t room[256];
    uint32_t id;
    struct world world;
    struct freshet_change change;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    fake_change(&world.fake, id, FRAME_CHANGE, "p1", fake_insert(room, 256, "a", 7));
    fake_change(&world.fake, id, FRAME_SNAPSHOT, "p2", fake_insert(room, 256, "b", 8));
    fake_change(&world.fake, id, FRAME_SYNCED, "p3", BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_str_eq(core_subscription_position(subscription), "p0");
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_OK);
    cr_assert_eq(change.event, FRESHET_INSERT);
    cr_assert_str_eq(change.position, "p1");
    cr_assert_str_eq(change.collection, "pets");
    cr_assert_str_eq(change.id, "a");
    cr_assert_eq(change.sequence, 7);
    cr_assert(
        bytes_equal(bytes_of(change.new_image, change.new_image_size), BYTES_LITERAL("{\"n\":1}")));
    cr_assert_null(change.old_image);
    cr_assert(
        bytes_equal(bytes_of(change.data, change.data_size),
                    BYTES_LITERAL("{\"eventName\":\"INSERT\",\"collection\":\"pets\",\"keys\":"
                                  "{\"id\":\"a\"},\"sequence\":7,\"newImage\":{\"n\":1}}")));
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_OK);
    cr_assert_eq(change.event, FRESHET_SNAPSHOT);
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_OK);
    cr_assert_eq(change.event, FRESHET_SYNCED);
    cr_assert_str_eq(core_subscription_position(subscription), "p3");
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_AGAIN);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, progress_moves_the_position_and_is_shown_to_those_who_want_it)
{
    uint32_t id;
    struct world world;
    struct freshet_change change;
    struct freshet_subscribe_options options = {.wants_progress = true};
    world_open(&world);
    struct freshet_subscription *quiet = subscribe(&world, NULL, &id);
    fake_change(&world.fake, id, FRAME_PROGRESS, "p1", BYTES_EMPTY);
    fake_change(&world.fake, id, FRAME_CAUGHT_UP, "p2", BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(core_next(quiet, 1, &change), FRESHET_AGAIN);
    cr_assert_str_eq(core_subscription_position(quiet), "p2");
    struct freshet_subscription *curious = subscribe(&world, &options, &id);
    fake_change(&world.fake, id, FRAME_PROGRESS, "p1", BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(core_next(curious, 1, &change), FRESHET_OK);
    cr_assert_eq(change.event, FRESHET_PROGRESS);
    cr_assert_str_eq(change.position, "p1");
    core_unsubscribe(quiet);
    core_unsubscribe(curious);
    world_close(&world);
}

Test(subscriptions, credit_goes_back_when_half_of_it_is_used)
{
    uint32_t id;
    struct world world;
    struct freshet_subscribe_options options = {.credit = 4};
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, &options, &id);
    for (unsigned change = 0; change < 4; change++) {
        say_insert(&world, id, "p", "a");
    }
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_str_eq(next_id(&world, subscription), "a");
    fake_listen(&world.fake, world.core);
    cr_assert_not(fake_has(&world.fake, FRAME_CREDIT), "what is not taken gives no credit");
    cr_assert_str_eq(next_id(&world, subscription), "a");
    fake_listen(&world.fake, world.core);
    struct fake_frame frame = fake_expect(&world.fake, FRAME_CREDIT);
    cr_assert_eq(frame.header.id, id);
    struct bytes body = fake_body(&world.fake, &frame);
    Freshet__Credit *credit = freshet__credit__unpack(NULL, body.size, body.data);
    cr_assert_eq(credit->changes, 2);
    freshet__credit__free_unpacked(credit, NULL);
    say_insert(&world, id, "p", "a");
    say_insert(&world, id, "p", "a");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    say_insert(&world, id, "p", "a");
    cr_assert_eq(world_tell(&world), FRESHET_PROTOCOL);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, after_a_lost_connection_it_goes_on_behind_the_last_change_that_came)
{
    uint32_t id;
    struct world world;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    say_insert(&world, id, "p1", "a");
    say_insert(&world, id, "p2", "b");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_str_eq(next_id(&world, subscription), "a");
    world_reconnect(&world);
    struct fake_frame frame = fake_expect(&world.fake, FRAME_SUBSCRIBE);
    Freshet__Subscribe *message = subscribe_of(&world, &frame);
    cr_assert_eq(message->from, FRESHET__FROM__POSITION);
    cr_assert_str_eq(message->position, "p2");
    freshet__subscribe__free_unpacked(message, NULL);
    fake_subscribed(&world.fake, frame.header.id, "p2");
    say_insert(&world, frame.header.id, "p3", "c");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_str_eq(next_id(&world, subscription), "b");
    cr_assert_str_eq(next_id(&world, subscription), "c");
    cr_assert_str_eq(next_id(&world, subscription), NOTHING);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, before_the_first_change_it_goes_on_from_where_it_began)
{
    uint32_t id;
    struct world world;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    world_reconnect(&world);
    struct fake_frame frame = fake_expect(&world.fake, FRAME_SUBSCRIBE);
    Freshet__Subscribe *message = subscribe_of(&world, &frame);
    cr_assert_str_eq(message->position, "p0", "latest would leave a gap");
    freshet__subscribe__free_unpacked(message, NULL);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, an_expired_position_ends_it_with_the_positions_that_there_are)
{
    uint32_t id;
    struct world world;
    struct freshet_change change;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    say_insert(&world, id, "p1", "a");
    fake_error(&world.fake, id, 410, "position-expired", "too old");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_str_eq(next_id(&world, subscription), "a", "what came before it is not lost");
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_POSITION_EXPIRED);
    cr_assert_str_eq(core_error(world.core)->oldest, "oldest");
    cr_assert_str_eq(core_error(world.core)->newest, "newest");
    cr_assert_str_eq(core_error(world.core)->type, "position-expired");
    world_reconnect(&world);
    cr_assert_not(fake_has(&world.fake, FRAME_SUBSCRIBE));
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, a_reader_of_an_altered_consumer_subscribes_again_unless_it_is_not_let_in)
{
    uint32_t id;
    struct world world;
    struct freshet_change change;
    struct freshet_subscribe_options options = {.consumer = "c"};
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, &options, &id);
    fake_error(&world.fake, id, 409, "", "it reads other changes now");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    struct fake_frame again = fake_expect(&world.fake, FRAME_SUBSCRIBE);
    fake_error(&world.fake, again.header.id, 409, "", "this consumer is a group");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(core_next(subscription, world.now_ns, &change), FRESHET_CONFLICT);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, a_member_whose_slots_have_moved_subscribes_again)
{
    uint32_t id;
    struct world world;
    struct freshet_subscribe_options options = {.consumer = "c", .member = "m"};
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, &options, &id);
    fake_error(&world.fake, id, 409, "", "slots have moved");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    struct fake_frame frame = fake_expect(&world.fake, FRAME_SUBSCRIBE);
    Freshet__Subscribe *message = subscribe_of(&world, &frame);
    cr_assert_str_eq(message->consumer, "c");
    cr_assert_str_eq(message->member, "m");
    cr_assert_eq(message->from, FRESHET__FROM__LATEST, "a consumer's position is the server's");
    freshet__subscribe__free_unpacked(message, NULL);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(subscriptions, what_comes_between_unsubscribe_and_its_answer_is_dropped)
{
    uint32_t id;
    struct world world;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    core_unsubscribe(subscription);
    fake_listen(&world.fake, world.core);
    cr_assert_eq(fake_expect(&world.fake, FRAME_UNSUBSCRIBE).header.id, id);
    say_insert(&world, id, "p1", "a");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_error(&world.fake, id, 410, "position-expired", "at the same time");
    fake_say(&world.fake, FRAME_UNSUBSCRIBE | FRAME_ANSWER, 200, id, BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    say_insert(&world, id, "p1", "a");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    world_close(&world);
}

Test(subscriptions, an_application_that_takes_nothing_costs_a_bounded_queue)
{
    uint32_t id;
    struct world world;
    struct freshet_subscribe_options options = {.credit = 1000};
    size_t size = 3 << 20;
    uint8_t *body = calloc(1, size + 64);
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, &options, &id);
    unsigned told = 0;
    for (; told < 1000 && !fake_has(&world.fake, FRAME_UNSUBSCRIBE); told++) {
        /* [[0, "p", {"newImage": "…"}]] with three MiB of text */
        struct writer out = writer_of(body, size + 64);
        writer_put(&out, BYTES_LITERAL("\x91\x93\x00\xA1p\x81\xA8newImage\xDB"));
        writer_u32(&out, (uint32_t)size);
        memset(writer_reserve(&out, size), 'x', size);
        fake_say(&world.fake, FRAME_CHANGES, 0, id, writer_bytes(&out));
        cr_assert_eq(world_tell(&world), FRESHET_OK);
        fake_listen(&world.fake, world.core);
    }
    cr_assert_leq(told, 12, "it goes on beyond %u frames", told);
    fake_expect(&world.fake, FRAME_UNSUBSCRIBE);
    fake_error(&world.fake, id, 410, "position-expired", "at the same time");
    fake_say(&world.fake, FRAME_UNSUBSCRIBE | FRAME_ANSWER, 200, id, BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    for (unsigned taken = 0; taken < told - 1; taken++) {
        fake_listen(&world.fake, world.core);
        cr_assert_not(fake_has(&world.fake, FRAME_SUBSCRIBE));
        cr_assert_str_eq(next_id(&world, subscription), "");
    }
    cr_assert_str_eq(next_id(&world, subscription), NOTHING);
    fake_listen(&world.fake, world.core);
    struct fake_frame frame = fake_expect(&world.fake, FRAME_SUBSCRIBE);
    Freshet__Subscribe *message = subscribe_of(&world, &frame);
    cr_assert_str_eq(message->position, "p");
    freshet__subscribe__free_unpacked(message, NULL);
    core_unsubscribe(subscription);
    world_close(&world);
    free(body);
}

Test(subscriptions, one_outlives_its_handle_until_it_is_closed)
{
    uint32_t id;
    struct world world;
    struct freshet_change change;
    world_open(&world);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    say_insert(&world, id, "p1", "a");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    world_close(&world);
    cr_assert_eq(core_next(subscription, 1, &change), FRESHET_DISCONNECTED);
    core_unsubscribe(subscription);
}

/* ---- the near cache ---- */

static void near_open(struct world *world)
{
    struct core_options options = world_options();
    options.near_bytes = 1 << 20;
    world_open_with(world, &options);
    fake_start_near(&world->fake, world->core, world->now_ns);
}

static void near_fill(struct world *world, uint64_t sequence)
{
    struct told told;
    fake_state(&world->fake, world_get(world, &told), 200, sequence, RECORD);
    cr_assert_eq(world_tell(world), FRESHET_OK);
}

static enum freshet_status look(struct world *world)
{
    struct freshet_record record;
    return core_look(world->core, "pets", "1", world->now_ns, &record);
}

static uint32_t near_id(struct world *world)
{
    return world->fake.seen[1].header.id; /* HELLO, SUBSCRIBE */
}

Test(near, what_was_read_is_served_until_the_lease_ends)
{
    struct world world;
    near_open(&world);
    near_fill(&world, 5);
    uint64_t sent_ns = world.now_ns;
    world.now_ns = sent_ns + 2 * SECOND_NS - 1;
    cr_assert_eq(look(&world), FRESHET_OK);
    world.now_ns = sent_ns + 2 * SECOND_NS;
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, the_lease_is_counted_from_the_sending_of_the_ping)
{
    struct world world;
    near_open(&world);
    near_fill(&world, 5);
    uint64_t sent_ns = world.now_ns + SECOND_NS;
    cr_assert_eq(core_deadline_ns(world.core), world.now_ns + SECOND_NS / 2);
    cr_assert_eq(core_tick(world.core, sent_ns), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    fake_pong(&world.fake, fake_expect(&world.fake, FRAME_PING).header.id);
    world.now_ns = sent_ns + SECOND_NS; /* the answer took a second */
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    world.now_ns = sent_ns + 2 * SECOND_NS - 1;
    cr_assert_eq(look(&world), FRESHET_OK);
    world.now_ns++;
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, while_the_subscription_is_not_live_reads_pass_through)
{
    struct world world;
    near_open(&world);
    near_fill(&world, 5);
    fake_invalidate(&world.fake, near_id(&world), "p1", false, 0, NULL, NULL);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    fake_invalidate(&world.fake, near_id(&world), "p2", true, 0, NULL, NULL);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_OK);
    world_close(&world);
}

Test(near, an_invalidation_and_an_own_write_end_what_is_cached)
{
    struct world world;
    struct told told;
    near_open(&world);
    near_fill(&world, 5);
    fake_invalidate(&world.fake, near_id(&world), "p1", true, 6, "pets", "1");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    near_fill(&world, 6);
    cr_assert_eq(look(&world), FRESHET_OK);
    fake_written(&world.fake, world_put(&world, &told), 200, "1", 7);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, an_answer_that_an_invalidation_overtook_is_told_but_not_kept)
{
    struct world world;
    struct told told;
    near_open(&world);
    uint32_t id = world_get(&world, &told);
    fake_invalidate(&world.fake, near_id(&world), "p1", true, 6, "pets", "1");
    fake_state(&world.fake, id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, a_change_that_was_delivered_is_never_followed_by_what_was_before_it)
{
    uint32_t id;
    struct world world;
    near_open(&world);
    near_fill(&world, 5);
    struct freshet_subscription *subscription = subscribe(&world, NULL, &id);
    say_insert(&world, id, "p1", "1");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    core_unsubscribe(subscription);
    world_close(&world);
}

Test(near, a_record_of_a_list_is_never_followed_by_what_was_before_it)
{
    struct world world;
    struct told told;
    const struct bytes pets = BYTES_LITERAL("pets");
    const struct bytes one = BYTES_LITERAL("1");
    near_open(&world);
    near_fill(&world, 5);
    near_listed(world.core, pets, one, bytes_of_text(RECORD));
    cr_assert_eq(look(&world), FRESHET_OK, "it showed the same");
    uint32_t slow = world_get(&world, &told);
    near_listed(world.core, pets, one, BYTES_LITERAL("{\"id\":\"1\",\"other\":1}"));
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    fake_state(&world.fake, slow, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN, "it was asked before the list was read");
    near_fill(&world, 6);
    cr_assert_eq(look(&world), FRESHET_OK);
    world_close(&world);
}

Test(near, a_read_in_a_batch_is_never_followed_by_what_was_before_it)
{
    struct world world;
    struct told told = {0};
    struct core_done done = {world_told, &told};
    struct freshet_operation get = {.kind = FRESHET_BATCH_GET, .collection = "pets", .id = "1"};
    near_open(&world);
    near_fill(&world, 5);
    cr_assert_eq(core_batch(world.core, &get, 1, world.now_ns, done), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    uint32_t id = fake_expect(&world.fake, FRAME_BATCH).header.id;
    cr_assert_eq(look(&world), FRESHET_OK);
    /* [[404, [1, 6, 0, nil]]] */
    fake_say(&world.fake, FRAME_BATCH | FRAME_ANSWER, 200, id,
             BYTES_LITERAL("\x91\x92\xCD\x01\x94\x94\x01\x06\x00\xC0"));
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, a_write_of_unknown_outcome_ends_what_is_cached)
{
    struct world world;
    struct told told;
    near_open(&world);
    near_fill(&world, 5);
    world_put(&world, &told);
    world_reconnect(&world);
    cr_assert_eq(told.status, FRESHET_OUTCOME_UNKNOWN);
    fake_start_near(&world.fake, world.core, world.now_ns);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, a_reconnect_goes_on_from_its_position_and_keeps_what_is_valid)
{
    struct world world;
    near_open(&world);
    near_fill(&world, 5);
    fake_invalidate(&world.fake, near_id(&world), "p9", true, 0, NULL, NULL);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    world_reconnect(&world);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    struct fake_frame frame = {.header = world.fake.seen[1].header,
                               .body_offset = world.fake.seen[1].body_offset};
    Freshet__Subscribe *message = subscribe_of(&world, &frame);
    cr_assert(message->invalidate);
    cr_assert_eq(message->from, FRESHET__FROM__POSITION);
    cr_assert_str_eq(message->position, "p9");
    freshet__subscribe__free_unpacked(message, NULL);
    fake_start_near(&world.fake, world.core, world.now_ns);
    cr_assert_eq(look(&world), FRESHET_OK);
    world_close(&world);
}

Test(near, an_expired_position_forgets_everything_and_begins_again)
{
    struct world world;
    struct told told;
    near_open(&world);
    near_fill(&world, 5);
    world_reconnect(&world);
    uint32_t asked_before = world_get(&world, &told);
    fake_error(&world.fake, near_id(&world), 410, "position-expired", "too old");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    fake_start_near(&world.fake, world.core, world.now_ns);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    fake_state(&world.fake, asked_before, 200, 6, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN, "it was asked for before the subscription began");
    near_fill(&world, 6);
    cr_assert_eq(look(&world), FRESHET_OK);
    world_close(&world);
}

Test(near, a_pong_of_before_says_nothing_about_a_later_subscription)
{
    struct world world;
    near_open(&world);
    cr_assert_eq(core_tick(world.core, world.now_ns + SECOND_NS), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    uint32_t ping = fake_expect(&world.fake, FRAME_PING).header.id;
    fake_error(&world.fake, near_id(&world), 410, "position-expired", "too old");
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    uint32_t id = fake_expect(&world.fake, FRAME_SUBSCRIBE).header.id;
    fake_subscribed(&world.fake, id, "p0");
    fake_invalidate(&world.fake, id, "p0", true, 0, NULL, NULL);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    fake_pong(&world.fake, ping);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    near_fill(&world, 5);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, what_is_read_before_the_position_is_known_is_not_kept)
{
    struct core_options options = world_options();
    struct world world;
    struct told told;
    options.near_bytes = 1 << 20;
    world_open_with(&world, &options);
    uint32_t id = world_get(&world, &told);
    world.fake.told = 1; /* behind HELLO: SUBSCRIBE has not been answered */
    fake_start_near(&world.fake, world.core, world.now_ns);
    fake_state(&world.fake, id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    near_fill(&world, 5);
    cr_assert_eq(look(&world), FRESHET_OK);
    world_close(&world);
}

Test(near, only_collections_that_are_named_are_kept)
{
    struct core_options options = world_options();
    struct world world;
    options.near_bytes = 1 << 20;
    options.near_collections = "products, orders";
    world_open_with(&world, &options);
    fake_start_near(&world.fake, world.core, world.now_ns);
    near_fill(&world, 5);
    cr_assert_eq(look(&world), FRESHET_AGAIN);
    world_close(&world);
}

Test(near, hostile_invalidations_end_the_connection)
{
    static const struct bytes BODIES[] = {
        BYTES_LITERAL("\xC0"),
        BYTES_LITERAL("\x93\xA1p\xC3\xDD\xFF\xFF\xFF\xFF"),
        BYTES_LITERAL("\x93\xA1p\x01\x90"),
        BYTES_LITERAL("\x93\xA1p\xC3\x91\x94\x01\x01\xA4pets\x01"),
        BYTES_LITERAL("\x93\xA1p\xC3\x91\x93\x01\x01\xA4pets"),
    };
    for (size_t at = 0; at < sizeof(BODIES) / sizeof(*BODIES); at++) {
        struct world world;
        near_open(&world);
        fake_say(&world.fake, FRAME_INVALIDATE, 0, near_id(&world), BODIES[at]);
        cr_assert_eq(world_tell(&world), FRESHET_PROTOCOL, "body %zu", at);
        world_close(&world);
    }
}
