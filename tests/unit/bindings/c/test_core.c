#include "bindings/c/core_internal.h"
#include "freshet.pb-c.h"
#include "protocol/document/document.h"
#include "tests/unit/bindings/c/world.h"

#define RECORD "{\"id\":\"1\",\"n\":1}"

/* ---- beginning ---- */

Test(core, hello_says_who_is_there_and_what_it_would_like)
{
    struct core_options options = world_options();
    options.token = "secret";
    options.near_bytes = 1 << 20;
    options.checked = true;
    struct core *core;
    struct fake_server fake;
    fake_init(&fake);
    cr_assert_eq(core_create(&options, &core), FRESHET_OK);
    core_connected(core, 1);
    fake_listen(&fake, core);
    struct fake_frame frame = fake_expect(&fake, FRAME_HELLO);
    struct bytes body = fake_body(&fake, &frame);
    cr_assert_eq(frame.header.check, frame_check(body));
    Freshet__Hello *hello = freshet__hello__unpack(NULL, body.size, body.data);
    cr_assert_not_null(hello);
    cr_assert_eq(hello->n_versions, 1);
    cr_assert_eq(hello->n_features, 3);
    cr_assert_str_eq(hello->token, "secret");
    freshet__hello__free_unpacked(hello, NULL);
    cr_assert_not(core_is_open(core));
    core_destroy(&core);
    fake_deinit(&fake);
}

Test(core, a_server_that_refuses_is_told_in_its_own_words)
{
    struct core_options options = world_options();
    struct core *core;
    struct fake_server fake;
    struct told told = {0};
    struct core_done done = {world_told, &told};
    fake_init(&fake);
    cr_assert_eq(core_create(&options, &core), FRESHET_OK);
    cr_assert_eq(core_get(core, "pets", "1", NULL, 1, done), FRESHET_OK);
    core_connected(core, 1);
    fake_error(&fake, 1, 401, "", "who are you?");
    cr_assert_eq(fake_tell(&fake, core, 1, SIZE_MAX), FRESHET_UNAUTHORIZED);
    core_lost(core, 1);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_UNAUTHORIZED);
    cr_assert_str_eq(told.detail, "who are you?");
    core_destroy(&core);
    fake_deinit(&fake);
}

Test(core, a_server_without_json_cannot_serve_a_client_that_wants_it)
{
    struct core_options options = world_options();
    struct core *core;
    struct fake_server fake;
    fake_init(&fake);
    cr_assert_eq(core_create(&options, &core), FRESHET_OK);
    core_connected(core, 1);
    fake_welcome(&fake, NULL, 0);
    cr_assert_eq(fake_tell(&fake, core, 1, SIZE_MAX), FRESHET_PROTOCOL);
    core_destroy(&core);
    fake_deinit(&fake);
}

/* ---- answers ---- */

Test(core, a_record_is_told_and_so_is_that_there_is_none)
{
    struct world world;
    struct told told;
    world_open(&world);
    fake_state(&world.fake, world_get(&world, &told), 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_OK);
    cr_assert_str_eq(told.data, RECORD);
    cr_assert_eq(told.sequence, 5);
    fake_state(&world.fake, world_get(&world, &told), 404, 6, NULL);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_NOT_FOUND);
    cr_assert_eq(told.code, 404);
    world_close(&world);
}

Test(core, answers_may_come_in_any_order)
{
    struct world world;
    struct told one;
    struct told two;
    world_open(&world);
    uint32_t first = world_get(&world, &one);
    uint32_t second = world_get(&world, &two);
    cr_assert_neq(first, second);
    fake_state(&world.fake, second, 200, 2, RECORD);
    fake_state(&world.fake, first, 200, 1, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(one.sequence, 1);
    cr_assert_eq(two.sequence, 2);
    world_close(&world);
}

Test(core, a_frame_may_come_in_any_two_pieces)
{
    struct world world;
    struct told told;
    world_open(&world);
    for (size_t most = 1; most < 70; most++) {
        fake_state(&world.fake, world_get(&world, &told), 200, most, RECORD);
        cr_assert_eq(fake_tell(&world.fake, world.core, world.now_ns, most), FRESHET_OK);
        cr_assert_eq(told.count, 1);
        cr_assert_eq(told.sequence, most);
    }
    world_close(&world);
}

Test(core, a_write_is_told_with_all_that_it_became)
{
    struct world world;
    struct told told;
    world_open(&world);
    fake_written(&world.fake, world_put(&world, &told), 201, "1", 9);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);
    cr_assert_str_eq(told.id, "1");
    cr_assert(told.created && told.changed);
    cr_assert_eq(told.sequence, 9);
    world_close(&world);
}

Test(core, every_code_of_an_error_becomes_one_status)
{
    static const struct {
        unsigned code;
        const char *type;
        enum freshet_status status;
    } CASES[] = {{304, "", FRESHET_NOT_MODIFIED},
                 {400, "", FRESHET_INVALID},
                 {401, "", FRESHET_UNAUTHORIZED},
                 {403, "", FRESHET_FORBIDDEN},
                 {404, "", FRESHET_NOT_FOUND},
                 {405, "", FRESHET_INVALID},
                 {408, "", FRESHET_TIMEOUT},
                 {409, "", FRESHET_CONFLICT},
                 {410, "position-expired", FRESHET_POSITION_EXPIRED},
                 {411, "", FRESHET_INVALID},
                 {412, "", FRESHET_PRECONDITION_FAILED},
                 {413, "", FRESHET_TOO_LARGE},
                 {414, "", FRESHET_TOO_LARGE},
                 {415, "", FRESHET_INVALID},
                 {422, "", FRESHET_UNPROCESSABLE},
                 {429, "", FRESHET_BUSY},
                 {431, "", FRESHET_TOO_LARGE},
                 {500, "", FRESHET_SERVER_ERROR},
                 {501, "", FRESHET_SERVER_ERROR},
                 {503, "", FRESHET_BUSY},
                 {503, "not-accepted", FRESHET_BUSY},
                 {503, "disk-full", FRESHET_BUSY},
                 {503, "outcome-unknown", FRESHET_OUTCOME_UNKNOWN},
                 {507, "", FRESHET_BUSY},
                 {599, "", FRESHET_SERVER_ERROR}};
    struct world world;
    struct told told;
    world_open(&world);
    for (size_t at = 0; at < sizeof(CASES) / sizeof(*CASES); at++) {
        uint32_t id = world_put(&world, &told);
        fake_error(&world.fake, id, CASES[at].code, CASES[at].type, "words");
        cr_assert_eq(world_tell(&world), FRESHET_OK);
        cr_assert_eq(told.status, CASES[at].status, "%u is %d", CASES[at].code, told.status);
        cr_assert_eq(told.code, (int)CASES[at].code);
        cr_assert_str_eq(told.detail, "words");
    }
    world_close(&world);
}

Test(core, what_cannot_be_sent_is_refused_at_once)
{
    struct world world;
    struct told told = {0};
    struct core_done done = {world_told, &told};
    char long_id[514];
    memset(long_id, 'x', 513);
    long_id[513] = '\0';
    world_open(&world);
    cr_assert_eq(core_get(world.core, "", "1", NULL, 1, done), FRESHET_INVALID);
    cr_assert_eq(core_get(world.core, "pets", "", NULL, 1, done), FRESHET_INVALID);
    cr_assert_eq(core_get(world.core, "pets", long_id, NULL, 1, done), FRESHET_INVALID);
    long_id[512] = '\0';
    cr_assert_eq(core_get(world.core, "pets", long_id, NULL, 1, done), FRESHET_OK);
    uint8_t *large = calloc(1, FRAME_REQUEST_BYTES_MAX + 1);
    struct core_write write = {FRAME_PUT, "pets", "1", bytes_of(large, FRAME_REQUEST_BYTES_MAX),
                               NULL};
    cr_assert_eq(core_write(world.core, &write, 1, done), FRESHET_TOO_LARGE);
    cr_assert_gt(strlen(core_error(world.core)->detail), 0);
    free(large);
    cr_assert_eq(told.count, 0);
    world_close(&world);
    cr_assert_eq(told.count, 1, "the one that was taken is told of the end");
    cr_assert_eq(told.status, FRESHET_DISCONNECTED);
}

Test(core, a_document_that_is_not_one_whole_value_is_refused)
{
    struct core_options options = world_options();
    struct told told = {0};
    struct core_done done = {world_told, &told};
    struct world world;
    options.format = FRESHET_MSGPACK;
    world_open_with(&world, &options);
    struct core_write write = {FRAME_PUT, "pets", "1", BYTES_LITERAL("\x81\xA1n"), NULL};
    cr_assert_eq(core_write(world.core, &write, 1, done), FRESHET_INVALID);
    write.document = BYTES_LITERAL("\x80\x80");
    cr_assert_eq(core_write(world.core, &write, 1, done), FRESHET_INVALID);
    write.document = BYTES_LITERAL("\x81\xA1n\x01");
    cr_assert_eq(core_write(world.core, &write, 1, done), FRESHET_OK);
    world_close(&world);
}

Test(core, so_many_requests_are_taken_and_no_more)
{
    struct world world;
    struct told told = {0};
    struct core_done done = {world_told, &told};
    world_open(&world);
    unsigned taken = 0;
    while (core_get(world.core, "pets", "1", NULL, world.now_ns, done) == FRESHET_OK) {
        taken++;
        cr_assert_leq(taken, CORE_REQUESTS_MAX);
    }
    cr_assert_eq(taken, CORE_REQUESTS_MAX);
    cr_assert_eq(core_error(world.core)->status, FRESHET_BUSY);
    /* There is room for a subscription all the same. */
    struct freshet_subscription *subscription;
    size_t size = core_output(world.core).size;
    cr_assert_eq(core_subscribe(world.core, NULL, world.now_ns, &subscription), FRESHET_OK);
    cr_assert_gt(core_output(world.core).size, size, "it is sent");
    core_unsubscribe(subscription);
    world_close(&world);
    cr_assert_eq(told.count, CORE_REQUESTS_MAX);
}

Test(core, no_more_are_taken_without_a_connection_than_the_next_one_has_room_for)
{
    struct world world;
    struct told told = {0};
    struct core_done done = {world_told, &told};
    world_open(&world);
    core_lost(world.core, world.now_ns);
    unsigned taken = 0;
    while (core_get(world.core, "pets", "1", NULL, world.now_ns, done) == FRESHET_OK) {
        taken++;
        cr_assert_leq(taken, CORE_REQUESTS_MAX);
    }
    cr_assert_eq(core_error(world.core)->status, FRESHET_BUSY);
    world_close(&world);
    cr_assert_eq(told.count, CORE_REQUESTS_MAX);
}

Test(core, frames_of_a_later_protocol_and_answers_to_nobody_are_passed_over)
{
    struct world world;
    struct told told;
    world_open(&world);
    uint32_t id = world_get(&world, &told);
    struct fake_server *fake = &world.fake;
    fake_say(fake, 0x6F, 0, 0, BYTES_LITERAL("news"));
    fake_say(fake, 0xEF, 200, id, BYTES_LITERAL("news"));
    fake_state(fake, 0x7777000, 200, 1, RECORD);
    fake_state(fake, id + CORE_SLOTS_MAX, 200, 1, RECORD);
    fake_error(fake, 0x7777000, 404, "", "nobody");
    fake_state(fake, id, 200, 5, RECORD);
    fake_state(fake, id, 200, 6, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.sequence, 5);
    world_close(&world);
}

/* ---- time ---- */

Test(core, an_answer_that_comes_too_late_is_passed_over)
{
    struct world world;
    struct told told;
    world_open(&world);
    uint32_t id = world_get(&world, &told);
    cr_assert_eq(core_tick(world.core, world.now_ns + 30 * SECOND_NS - 1), FRESHET_OK);
    cr_assert_eq(told.count, 0);
    cr_assert_eq(core_tick(world.core, world.now_ns + 30 * SECOND_NS), FRESHET_OK);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_TIMEOUT);
    fake_state(&world.fake, id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.count, 1);
    world_close(&world);
}

Test(core, a_silent_server_is_asked_and_then_given_up)
{
    struct world world;
    struct told told;
    world_open(&world);
    world_get(&world, &told);
    world.now_ns += 10 * SECOND_NS;
    cr_assert_eq(core_deadline_ns(world.core), world.now_ns);
    cr_assert_eq(core_tick(world.core, world.now_ns), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    uint32_t ping = fake_expect(&world.fake, FRAME_PING).header.id;
    fake_pong(&world.fake, ping);
    world.now_ns += 9 * SECOND_NS;
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(core_tick(world.core, world.now_ns + SECOND_NS), FRESHET_OK);
    world.now_ns += 10 * SECOND_NS;
    cr_assert_eq(core_tick(world.core, world.now_ns), FRESHET_OK);
    cr_assert_eq(core_tick(world.core, world.now_ns + 10 * SECOND_NS), FRESHET_DISCONNECTED);
    world_close(&world);
}

Test(core, while_nothing_is_expected_silence_is_fine)
{
    struct world world;
    world_open(&world);
    cr_assert_eq(core_deadline_ns(world.core), CORE_NEVER);
    cr_assert_eq(core_tick(world.core, world.now_ns + 1000 * SECOND_NS), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    cr_assert_not(fake_has(&world.fake, FRAME_PING));
    world_close(&world);
}

/* ---- lost connections ---- */

Test(core, a_read_is_asked_again_once)
{
    struct world world;
    struct told told;
    world_open(&world);
    world_get(&world, &told);
    world_reconnect(&world);
    cr_assert_eq(told.count, 0);
    fake_state(&world.fake, fake_expect(&world.fake, FRAME_GET).header.id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);

    world_get(&world, &told);
    world_reconnect(&world);
    cr_assert_eq(told.count, 0);
    world_reconnect(&world);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_DISCONNECTED);
    cr_assert_not(fake_has(&world.fake, FRAME_GET));
    world_close(&world);
}

Test(core, a_batch_of_reads_is_asked_again_and_one_with_a_write_is_not)
{
    for (int has_write = 0; has_write < 2; has_write++) {
        struct world world;
        struct told told = {0};
        struct core_done done = {world_told, &told};
        struct freshet_operation operations[2] = {
            {.kind = FRESHET_BATCH_GET, .collection = "pets", .id = "1"},
            {.kind = FRESHET_BATCH_DELETE, .collection = "pets", .id = "1"}};
        world_open(&world);
        cr_assert_eq(core_batch(world.core, operations, has_write == 1 ? 2 : 1, world.now_ns, done),
                     FRESHET_OK);
        fake_listen(&world.fake, world.core);
        fake_expect(&world.fake, FRAME_BATCH);
        world_reconnect(&world);
        fake_listen(&world.fake, world.core);
        if (has_write == 1) {
            cr_assert_eq(told.status, FRESHET_OUTCOME_UNKNOWN);
        } else {
            cr_assert_eq(told.count, 0);
            fake_expect(&world.fake, FRAME_BATCH);
        }
        world_close(&world);
    }
}

Test(core, a_write_that_may_have_arrived_has_an_unknown_outcome)
{
    struct world world;
    struct told told;
    world_open(&world);
    world_put(&world, &told);
    world_reconnect(&world);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_OUTCOME_UNKNOWN);
    cr_assert_not(fake_has(&world.fake, FRAME_PUT));
    world_close(&world);
}

Test(core, a_write_whose_last_byte_was_not_sent_did_not_happen)
{
    struct world world;
    struct told told;
    world_open(&world);
    world_submit_put(&world, &told);
    core_sent(world.core, core_output(world.core).size - 1);
    core_lost(world.core, world.now_ns);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.status, FRESHET_DISCONNECTED);
    world_close(&world);
}

Test(core, what_is_asked_without_a_connection_waits_for_one)
{
    struct world world;
    struct told told;
    world_open(&world);
    core_lost(world.core, world.now_ns);
    world_submit_put(&world, &told);
    cr_assert_eq(told.count, 0);
    fake_greet(&world.fake, world.core, world.now_ns);
    fake_written(&world.fake, fake_expect(&world.fake, FRAME_PUT).header.id, 200, "1", 3);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);
    core_lost(world.core, world.now_ns);
    world_submit_put(&world, &told);
    cr_assert_eq(core_tick(world.core, world.now_ns + 30 * SECOND_NS), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_DISCONNECTED);
    world_close(&world);
}

Test(core, without_reconnecting_everything_ends_with_the_connection)
{
    struct core_options options = world_options();
    struct world world;
    struct told told;
    struct told later = {0};
    options.reconnects = false;
    world_open_with(&world, &options);
    world_get(&world, &told);
    core_lost(world.core, world.now_ns);
    cr_assert_eq(told.status, FRESHET_DISCONNECTED);
    struct core_done done = {world_told, &later};
    cr_assert_eq(core_get(world.core, "pets", "1", NULL, 1, done), FRESHET_DISCONNECTED);
    cr_assert_eq(later.count, 0);
    world_close(&world);
}

Test(core, after_goaway_new_requests_wait_for_another_server)
{
    struct world world;
    struct told told;
    struct told later;
    world_open(&world);
    uint32_t id = world_get(&world, &told);
    fake_say(&world.fake, FRAME_GOAWAY, 0, 0, BYTES_EMPTY);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_not(core_is_finished(world.core));
    world_submit_put(&world, &later);
    cr_assert_eq(core_output(world.core).size, 0);
    fake_state(&world.fake, id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(told.status, FRESHET_OK);
    cr_assert(core_is_finished(world.core));
    world_reconnect(&world);
    fake_expect(&world.fake, FRAME_PUT);
    cr_assert_eq(later.count, 0);
    world_close(&world);
}

/* A call from within a call. */
struct chain {
    struct world *world;
    struct told last;
};

static void ask_again(void *context, const struct freshet_result *result)
{
    struct chain *chain = context;
    struct core_done done = {world_told, &chain->last};
    (void)result;
    cr_assert_eq(core_get(chain->world->core, "pets", "1", NULL, chain->world->now_ns, done),
                 FRESHET_OK);
}

Test(core, who_is_told_may_ask_again_even_while_the_connection_goes)
{
    struct world world;
    struct chain chain = {.world = &world};
    struct core_done done = {ask_again, &chain};
    struct core_write write = {FRAME_PUT, "pets", "1", BYTES_LITERAL("{}"), NULL};
    world_open(&world);
    cr_assert_eq(core_write(world.core, &write, world.now_ns, done), FRESHET_OK);
    fake_listen(&world.fake, world.core);
    world_reconnect(&world);
    fake_state(&world.fake, fake_expect(&world.fake, FRAME_GET).header.id, 200, 5, RECORD);
    cr_assert_eq(world_tell(&world), FRESHET_OK);
    cr_assert_eq(chain.last.status, FRESHET_OK);
    world_close(&world);
}

/* ---- a server that means no good ---- */

/* Says something while a GET, a PUT and a subscription are under way. */
struct hostile {
    struct world world;
    struct told read;
    struct told write;
    uint32_t read_id;
    uint32_t write_id;
    uint32_t subscription_id;
    struct freshet_subscription *subscription;
};

static void hostile_open(struct hostile *hostile)
{
    struct freshet_subscribe_options options = {.credit = 2};
    struct world *world = &hostile->world;
    world_open(world);
    hostile->read_id = world_get(world, &hostile->read);
    hostile->write_id = world_put(world, &hostile->write);
    cr_assert_eq(core_subscribe(world->core, &options, world->now_ns, &hostile->subscription),
                 FRESHET_OK);
    fake_listen(&world->fake, world->core);
    hostile->subscription_id = fake_expect(&world->fake, FRAME_SUBSCRIBE).header.id;
    fake_subscribed(&world->fake, hostile->subscription_id, "p");
    cr_assert_eq(world_tell(world), FRESHET_OK);
}

/* It ends with PROTOCOL for all, but for the write, of which nothing is known. */
static void hostile_ends(struct hostile *hostile)
{
    struct freshet_change change;
    struct core *core = hostile->world.core;
    cr_assert_eq(world_tell(&hostile->world), FRESHET_PROTOCOL);
    cr_assert_eq(core_error(core)->status, FRESHET_PROTOCOL);
    cr_assert_gt(strlen(core_error(core)->detail), 0);
    core_lost(core, hostile->world.now_ns);
    cr_assert_eq(hostile->read.count, 1);
    cr_assert_eq(hostile->read.status, FRESHET_PROTOCOL);
    cr_assert_eq(hostile->write.status, FRESHET_OUTCOME_UNKNOWN);
    enum freshet_status status = core_next(hostile->subscription, 1, &change);
    while (status == FRESHET_OK) {
        status = core_next(hostile->subscription, 1, &change); /* what came before is good */
    }
    cr_assert_eq(status, FRESHET_PROTOCOL);
    core_unsubscribe(hostile->subscription);
    world_close(&hostile->world);
}

static void say_header(struct hostile *hostile, struct frame_header header)
{
    uint8_t head[FRAME_HEADER_BYTES];
    frame_header_write(&header, head);
    fake_say_raw(&hostile->world.fake, bytes_of(head, sizeof(head)));
}

#define GET_ANSWER (FRAME_GET | FRAME_ANSWER)
#define HOSTILE(name, ...)                                                                         \
    Test(core_hostile, name)                                                                       \
    {                                                                                              \
        struct hostile it = {0};                                                                   \
        hostile_open(&it);                                                                         \
        struct fake_server *fake = &it.world.fake;                                                 \
        (void)fake;                                                                                \
        __VA_ARGS__;                                                                               \
        hostile_ends(&it);                                                                         \
    }

HOSTILE(unknown_flags,
        say_header(&it, (struct frame_header){.opcode = GET_ANSWER, .flags = 4, .id = it.read_id}))
/* Refused by its head: none of its 16 MiB and one byte is waited for. */
HOSTILE(a_giant_frame, say_header(&it, (struct frame_header){.length = (16u << 20) + 1,
                                                             .opcode = GET_ANSWER,
                                                             .code = 200,
                                                             .id = it.read_id}))
HOSTILE(a_giant_error,
        say_header(&it, (struct frame_header){
                            .length = 16u << 20, .opcode = FRAME_ERROR, .id = it.read_id}))
HOSTILE(an_answer_without_id, fake_state(fake, 0, 200, 1, RECORD))
HOSTILE(an_answer_to_something_else, fake_written(fake, it.read_id, 200, "1", 1))
HOSTILE(another_welcome, fake_welcome(fake, NULL, 0))
HOSTILE(a_code_that_get_does_not_have, fake_state(fake, it.read_id, 201, 1, RECORD))
HOSTILE(a_record_with_404, fake_state(fake, it.read_id, 404, 1, RECORD))
HOSTILE(no_record_with_200, fake_state(fake, it.read_id, 200, 1, NULL))
HOSTILE(a_record_that_is_no_utf8, fake_state(fake, it.read_id, 200, 1, "{\"\xFF\":1}"))
HOSTILE(an_empty_body, fake_say(fake, GET_ANSWER, 200, it.read_id, BYTES_EMPTY))
HOSTILE(a_short_body, fake_say(fake, GET_ANSWER, 200, it.read_id, BYTES_LITERAL("\x94\x01\x01")))
HOSTILE(bytes_behind_the_body,
        fake_say(fake, GET_ANSWER, 404, it.read_id, BYTES_LITERAL("\x94\x01\x01\x00\xC0\x00")))
HOSTILE(an_array_that_claims_too_much,
        fake_say(fake, GET_ANSWER, 404, it.read_id, BYTES_LITERAL("\xDD\xFF\xFF\xFF\xFF\x01")))
HOSTILE(an_error_that_is_none,
        fake_say(fake, FRAME_ERROR, 400, it.read_id, BYTES_LITERAL("\xFF\xFF\xFF")))
HOSTILE(an_error_without_a_status, fake_say(fake, FRAME_ERROR, 400, it.read_id, BYTES_EMPTY))
HOSTILE(invalidations_nobody_asked_for,
        fake_invalidate(fake, it.subscription_id, "p", true, 1, "pets", "1"))
HOSTILE(subscribed_twice, fake_subscribed(fake, it.subscription_id, "p"))
HOSTILE(an_end_nobody_asked_for,
        fake_say(fake, FRAME_UNSUBSCRIBE | FRAME_ANSWER, 200, it.subscription_id, BYTES_EMPTY))
HOSTILE(changes_that_are_no_array,
        fake_say(fake, FRAME_CHANGES, 0, it.subscription_id, BYTES_LITERAL("\xC0")))
HOSTILE(changes_that_claim_too_much,
        fake_say(fake, FRAME_CHANGES, 0, it.subscription_id, BYTES_LITERAL("\xDD\xFF\xFF\xFF\xFF")))
HOSTILE(changes_beyond_credit, uint8_t room[256];
        struct bytes change = fake_insert(room, 256, "1", 1);
        fake_change(fake, it.subscription_id, FRAME_CHANGE, "p1", change);
        fake_change(fake, it.subscription_id, FRAME_CHANGE, "p2", change);
        fake_change(fake, it.subscription_id, FRAME_SNAPSHOT, "p3", change))
HOSTILE(a_wrong_checksum, fake_state(fake, it.read_id, 200, 1, RECORD);
        fake->out.data[fake->out.from + FRAME_HEADER_BYTES - 1] ^= 1)

Test(core_hostile, a_change_that_is_not_one_ends_its_subscription)
{
    struct freshet_change change;
    struct hostile it = {0};
    hostile_open(&it);
    /* {"newImage": "\xFF"}: a string that is no UTF-8, found when it is looked at. */
    fake_change(&it.world.fake, it.subscription_id, FRAME_CHANGE, "p1",
                BYTES_LITERAL("\x81\xA8newImage\xA1\xFF"));
    cr_assert_eq(world_tell(&it.world), FRESHET_OK);
    cr_assert_eq(core_next(it.subscription, 1, &change), FRESHET_PROTOCOL);
    cr_assert_eq(core_tick(it.world.core, it.world.now_ns), FRESHET_PROTOCOL);
    core_unsubscribe(it.subscription);
    world_close(&it.world);
}

Test(core_hostile, with_checks_agreed_on_a_frame_without_one_is_refused)
{
    struct core_options options = world_options();
    struct world world;
    options.checked = true;
    world_open_with(&world, &options);
    uint8_t head[FRAME_HEADER_BYTES];
    struct frame_header header = {.opcode = FRAME_GOAWAY};
    frame_header_write(&header, head);
    fake_say_raw(&world.fake, bytes_of(head, sizeof(head)));
    cr_assert_eq(world_tell(&world), FRESHET_PROTOCOL);
    world_close(&world);
}
