/* Reading a consumer: when its owner is asked, and what becomes of the answer. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "fake_consumers.h"

#define GET_EVENTS "GET /consumers/mail/changes\nAccept: text/event-stream"
#define GET_MEMBER "GET /consumers/crew/changes?member=me\nAccept: text/event-stream"
#define PLAIN      "{\"collection\":\"pets\",\"group\":false}"
#define CREW       "{\"group\":true}"
#define FIRST      UINT64_C(7) /* generations */
#define SECOND     UINT64_C(8)

TestSuite(consumers, .init = fake_consumers_start, .fini = fake_stream_end);

static void answer(enum status status, const char *definition, uint64_t generation,
                   uint64_t sequence)
{
    struct consumer_request *request = fake_consumers.asked;
    cr_assert_not_null(request);
    request->generation = generation;
    request->position = (struct token){.position = {.sequence = sequence}};
    request->is_group = definition != NULL && strcmp(definition, CREW) == 0;
    fake_consumer_done(status, definition);
}

static void open_plain(void)
{
    fake_send(GET_EVENTS, NULL);
    answer(STATUS_OK, PLAIN, FIRST, 90);
    fake_step(0);
    cr_assert(fake_stream.begun);
}

static void open_member(void)
{
    fake_send(GET_MEMBER, NULL);
    fake_consumers.asked->slots.words[1] = 6;
    fake_consumers.asked->slot_sequences[65] = 91;
    answer(STATUS_OK, CREW, FIRST, 90);
    fake_step(0);
    cr_assert(fake_stream.begun);
}

Test(consumers, one_is_read_from_where_it_stands_with_its_own_definition)
{
    open_plain();
    cr_assert_eq(fake_stream.options.from, SUBSCRIBE_TOKEN);
    cr_assert_eq(fake_stream.options.token.position.sequence, 90);
    cr_assert(bytes_equal(fake_stream.options.collection->name, BYTES_LITERAL("pets")));
    cr_assert_null(fake_stream.options.slots);
}

Test(consumers, a_position_that_was_read_is_read_on_from)
{
    char head[256];
    snprintf(head, sizeof(head), GET_EVENTS "\nLast-Event-ID: %s", fake_position(95));
    fake_send(head, NULL);
    answer(STATUS_OK, PLAIN, FIRST, 90);
    cr_assert_eq(fake_stream.options.token.position.sequence, 95);
}

Test(consumers, a_reader_asks_again_and_begins_anew_only_when_something_has_changed)
{
    open_plain();
    fake_step(FAKE_RENEW_NS - 1);
    cr_assert_null(fake_consumers.asked);
    fake_step(1);
    cr_assert_eq(fake_consumers.asked->known_generation, FIRST);
    answer(STATUS_OK, NULL, FIRST, 0);
    cr_assert_eq(fake_stream.subscribes, 1);
    fake_stream.stands = 120;
    fake_step(FAKE_RENEW_NS);
    answer(STATUS_OK, "{\"collection\":\"products\",\"group\":false}", SECOND, 90);
    cr_assert_eq(fake_stream.subscribes, 2);
    cr_assert_eq(fake_stream.closes, 1);
    cr_assert_eq(fake_stream.options.token.position.sequence, 120, "not from the beginning");
    cr_assert(bytes_equal(fake_stream.options.collection->name, BYTES_LITERAL("products")));
    cr_assert_eq(fake.answers, 0, "in the same answer");
    fake_step(FAKE_RENEW_NS);
    cr_assert_eq(fake_consumers.asked->known_generation, SECOND);
    answer(STATUS_OK, NULL, SECOND, 0);
}

Test(consumers, a_member_says_what_it_was_given_and_goes_on_with_its_slots)
{
    open_member();
    cr_assert_eq(fake_stream.options.slots->words[1], 6);
    cr_assert_eq(fake_stream.options.slot_sequences[65], 91);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 110, "{}"));
    cr_assert(fake_deliver_change(CHANGE_INSERT, 105, "{}"));
    cr_assert(fake_body_has("~7\n"));
    fake_stream.stands = 130;
    fake_step(FAKE_RENEW_NS);
    const struct consumer_request *asked = fake_consumers.asked;
    cr_assert(asked->has_token);
    cr_assert_eq(asked->token.position.sequence, 130);
    cr_assert_eq(asked->token.generation, FIRST);
    cr_assert_eq(asked->given_sequence, 110);
    fake_consumers.asked->slots.words[1] = 2;
    fake_consumers.asked->slot_sequences[65] = 130;
    cr_assert_eq(fake_stream.options.slot_sequences[65], 91, "those of the open one stay");
    answer(STATUS_OK, CREW, SECOND, 130);
    cr_assert_eq(fake_stream.subscribes, 2);
    cr_assert_eq(fake_stream.options.slots->words[1], 2);
    cr_assert_eq(fake_stream.options.slot_sequences[65], 130);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 131, "{}"));
    cr_assert(fake_body_has("~8\n"));
}

Test(consumers, a_page_that_has_something_ends_when_slots_change_and_an_empty_one_waits_on)
{
    for (int has = 0; has < 2; has++) {
        fake_send("GET /consumers/crew/changes?member=me&wait=10s", NULL);
        answer(STATUS_OK, CREW, FIRST, 90);
        fake_step(0);
        uint32_t subscribes = fake_stream.subscribes;
        if (has == 1) {
            cr_assert(fake_deliver_change(CHANGE_INSERT, 110, "{}"));
        }
        fake_step(FAKE_RENEW_NS);
        answer(STATUS_OK, CREW, SECOND, 90);
        fake_step(0);
        cr_assert_eq(fake_stream.subscribes, subscribes + (has == 0 ? 1 : 0));
        if (has == 0) {
            cr_assert(fake_deliver_change(CHANGE_INSERT, 115, "{}"));
            cr_assert(fake_deliver_other(DELIVERY_CAUGHT_UP, 120));
            fake_step(0);
        }
        cr_assert_eq(fake.answers, 1, "has %d: %u", has, fake.answers);
        cr_assert(fake_body_has(has == 0 ? "~8\"" : "~7\""));
    }
}

Test(consumers, a_reader_ends_when_its_consumer_is_gone_and_not_when_its_owner_is_busy)
{
    open_plain();
    fake_step(FAKE_RENEW_NS);
    answer(STATUS_BUSY, NULL, 0, 0);
    fake_step(0);
    cr_assert_eq(fake.answers, 0);
    fake_step(FAKE_RENEW_NS);
    answer(STATUS_NOT_FOUND, NULL, 0, 0);
    fake_step(0);
    cr_assert_eq(fake.answers, 1);
    cr_assert(fake_body_has("event: shutdown"));
}

Test(consumers, a_client_that_goes_while_its_owner_is_asked_leaves_nothing_behind)
{
    open_plain();
    fake_step(FAKE_RENEW_NS);
    cr_assert_not_null(fake_consumers.asked);
    fake_stream.events->closed(fake_stream.context, fake.exchange);
    fake_stream.begun = false;
    fake_exchange_end();
    fake_memory_end();
    cr_assert_eq(fake_stream.closes, 1);
    answer(STATUS_OK, PLAIN, SECOND, 90);
    cr_assert_eq(fake_stream.subscribes, 1, "nobody reads any more");
    /* Its reader is freed now, and only once: AddressSanitizer would say so. */
}

Test(consumers, a_member_whose_client_takes_nothing_keeps_its_lease_no_longer_than_one)
{
    open_member();
    fake_stream.room = 0;
    cr_assert_not(fake_deliver_change(CHANGE_INSERT, 110, "{}"));
    uint32_t asks = fake_consumers.asks;
    for (int i = 0; i < 10; i++) {
        fake_step(FAKE_RENEW_NS);
        if (fake_consumers.asked != NULL) {
            answer(STATUS_OK, NULL, FIRST, 0);
        }
    }
    cr_assert_eq(fake_consumers.asks - asks, FAKE_LEASE_NS / FAKE_RENEW_NS);
    fake_writable(100000);
    cr_assert(fake_deliver_change(CHANGE_INSERT, 110, "{}"));
    fake_step(FAKE_RENEW_NS);
    cr_assert_not_null(fake_consumers.asked);
    answer(STATUS_OK, NULL, FIRST, 0);
}

Test(consumers, what_cannot_be_read_is_said)
{
    static const struct {
        enum status status;
        const char *definition;
        uint16_t http;
    } cases[] = {
        {STATUS_NOT_FOUND, NULL, 404},
        {STATUS_CONFLICT, NULL, 409},
        {STATUS_BUSY, NULL, 503},
        {STATUS_OK, "{\"collection\":\"gone\",\"group\":false}", 409},
        {STATUS_OK, "{\"pattern\":{\"a\":1},\"group\":false}", 409},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fake_send("GET /consumers/mail/changes", NULL);
        answer(cases[i].status, cases[i].definition, FIRST, 90);
        cr_assert_eq(fake_status(), cases[i].http, "case %zu: %u", i, fake_status());
    }
    fake_stream.subscribe_status = STATUS_POSITION_EXPIRED;
    fake_send("GET /consumers/mail/changes", NULL);
    answer(STATUS_OK, PLAIN, FIRST, 1);
    cr_assert_eq(fake_status(), 410);
    cr_assert(fake_body_has("\"oldest\":"));
}

Test(consumers, an_acknowledgement_may_be_a_members_last_word)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"position\":\"%s~7\",\"member\":\"me\",\"leave\":true}",
             fake_position(95));
    fake_send("POST /consumers/crew/ack\nContent-Type: application/json", body);
    cr_assert_eq(fake_consumers.asked->kind, CONSUMER_ACK);
    cr_assert_eq(fake_consumers.asked->token.generation, FIRST);
    cr_assert_eq(fake_consumers.asked->token.position.sequence, 95);
    fake_consumer_done(STATUS_OK, NULL);
    cr_assert_eq(fake_consumers.asked->kind, CONSUMER_LEAVE);
    cr_assert_eq(fake_status(), 0);
    fake_consumer_done(STATUS_OK, NULL);
    cr_assert_eq(fake_status(), 200);
}
