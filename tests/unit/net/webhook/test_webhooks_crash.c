/* What a crash of the worker leaves behind, and the worker as a whole at random. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/net/webhook/yard.h"

#define TARGET "\"target\":{\"url\":\"http://h/{id}\",\"path\":{\"id\":\"$.keys.id\"}}"
#define RULE   "{\"collection\":\"pets\"," TARGET "}"

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

TestSuite(webhooks_crash, .init = begin, .fini = end);

Test(webhooks_crash, records_of_a_rule_that_is_gone_are_cleared_at_start)
{
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    /* The rule goes in the moment of a crash: nobody has cleared its records. */
    webhooks_drain(yard->webhooks);
    yard_wait_ms(yard, 10);
    yard_rule_delete(yard, "r");
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 1);
    yard_restart(yard, false);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_RULE_STATES), 0);
}

Test(webhooks_crash, a_name_that_is_put_again_before_its_records_went_begins_anew)
{
    struct collection *rules = &yard->world.collections[2 + COLLECTION_RULES];
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 1);
    /* The worker hears of neither before the crash. */
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_DELETE, rules, "r", NULL),
                 STATUS_OK);
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_PUT, rules, "r",
                           "{\"rule\":" RULE ",\"put\":1}"),
                 STATUS_OK);
    yard_restart(yard, false);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0, "the other rule's went with it");
    cr_assert_eq(yard_state(yard, "r").parked, 0);
    cr_assert_eq(yard->count, 1);
    yard_put(yard, "2", "{}");
    cr_assert_eq(yard->count, 2);
    cr_assert_str_eq(yard->started[1].url, "http://h/2");
}

/* As in a restored backup, or when so many epochs have gone by that this one is forgotten. */
Test(webhooks_crash, a_position_of_another_store_or_epoch_is_a_sequence)
{
    struct position position;
    char text_bytes[POSITION_TEXT_BYTES];
    char record[POSITION_TEXT_BYTES + 64];
    yard->automatic = 200;
    yard_put(yard, "0", "{}");
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    position = yard_state(yard, "r").position;
    position.store_id.bytes[0] ^= 1;
    position.epoch += 7;
    webhooks_drain(yard->webhooks);
    yard_settle(yard);
    struct writer text = writer_of(text_bytes, sizeof(text_bytes));
    position_write(&position, &text);
    snprintf(record, sizeof(record), "{\"position\":\"%.*s\",\"disabled\":0,\"reason\":\"\"}",
             (int)text.size, text_bytes);
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_PUT,
                           &yard->world.collections[2 + COLLECTION_RULE_STATES], "r", record),
                 STATUS_OK);
    yard_put(yard, "2", "{}");
    yard_restart(yard, false);
    cr_assert_eq(yard_state(yard, "r").expired, 0);
    cr_assert_eq(yard->count, 2);
    cr_assert_str_eq(yard->started[1].url, "http://h/2");
}

/* A crash between the two writes leaves a dead letter and the parked change that it is of. */
Test(webhooks_crash, a_dead_letter_whose_change_is_parked_is_none)
{
    char page[8192];
    yard_rule(yard, "r", RULE);
    yard_put(yard, "1", "{}");
    yard_answer(yard, 0, 500, NULL);
    yard_settle(yard);
    snprintf(page, sizeof(page), "%s", yard_page(yard, COLLECTION_PARKED));
    char *id = strstr(page, "\"id\":\"") + 6;
    char *end = strchr(id, '"');
    char key[256];
    cr_assert_not_null(end);
    /* The separators are written as \u0001. */
    size_t size = 0;
    for (char *at = id; at < end; at++) {
        bool is_escape = *at == '\\';
        key[size++] = is_escape ? '\1' : *at;
        at += is_escape ? 5 : 0;
    }
    key[size] = '\0';
    page[strlen(page) - 1] = '\0'; /* of the array the one object, without its id */
    *end = '{';
    end[1] = ' ';
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_PUT,
                           &yard->world.collections[2 + COLLECTION_DEAD_LETTERS], key, end),
                 STATUS_OK);
    yard_restart(yard, true);
    cr_assert_eq(yard_state(yard, "r").dead_letters, 0);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 1);
    cr_assert_not_null(strstr(yard_page(yard, COLLECTION_PARKED), "\"attempts\":1"));
}

/* The position waits for another record, so that what is a dead letter comes again as well. */
Test(webhooks_crash, a_dead_letter_whose_change_came_again_is_driven_once)
{
    uint64_t count;
    yard_rule(yard, "r", "{" TARGET ",\"retry\":{\"max_attempts\":1}}");
    yard_put(yard, "1", "{}");
    yard_put(yard, "2", "{}");
    yard_answer(yard, yard_open(yard, "http://h/2"), 500, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").dead_letters, 1);
    yard_restart(yard, false);
    cr_assert_eq(yard_state(yard, "r").dead_letters, 1);
    cr_assert_eq(yard_open_count(yard), 2);
    cr_assert_eq(yard_redrive(yard, "r", NULL, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(yard_state(yard, "r").dead_letters, 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0, "nothing stays behind");
    yard_answer(yard, yard_open(yard, "http://h/2"), 200, NULL);
    yard_settle(yard);
    cr_assert_eq(yard_state(yard, "r").delivered, 1);
}

/* ---- all of it together, at random ---- */

#define MODEL_RECORDS 6
#define MODEL_CHANGES 300

/* What a target may rely on: per record the first deliveries are in order, nothing is missing, and
 * whatever comes again is followed by all that came after it. */
static void model_check(const uint32_t *record_of, const uint32_t *got, uint32_t got_count,
                        uint64_t seed)
{
    for (uint32_t record = 0; record < MODEL_RECORDS; record++) {
        uint32_t newest = 0;
        uint32_t first = 0;
        uint32_t last = 0;
        for (uint32_t n = 1; n <= MODEL_CHANGES; n++) {
            newest = record_of[n] == record ? n : newest;
        }
        for (uint32_t at = 0; at < got_count; at++) {
            if (record_of[got[at]] != record) {
                continue;
            }
            if (got[at] > first) {
                for (uint32_t n = first + 1; n < got[at]; n++) {
                    cr_assert_neq(record_of[n], record, "seed %lu: %u came before %u",
                                  (unsigned long)seed, got[at], n);
                }
                first = got[at];
            }
            last = got[at];
        }
        cr_assert_eq(first, newest, "seed %lu: record %u has %u of %u", (unsigned long)seed, record,
                     first, newest);
        cr_assert_eq(last, newest, "seed %lu: record %u ends with %u", (unsigned long)seed, record,
                     last);
    }
}

static uint64_t model_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

/* Ends some of the open calls in some way; notes what was taken. */
static uint32_t model_answer(uint64_t *random, bool well, uint32_t *got, uint32_t got_count)
{
    static const uint32_t statuses[] = {200, 204, 500, 404, 429, 503};
    for (uint32_t index = 0; index < yard->count; index++) {
        const struct yard_call *started = &yard->started[index];
        if (started->call == NULL || (!well && model_random(random) % 2 == 0)) {
            continue;
        }
        uint32_t status = well ? 200 : statuses[model_random(random) % 6];
        if (!well && model_random(random) % 8 == 0) {
            yard_fail(yard, index, CALL_UNREACHABLE + model_random(random) % 3);
            continue;
        }
        if (status < 300) {
            uint32_t n = 0;
            const char *at = strstr(started->body, "\"newImage\":");
            cr_assert_not_null(at);
            cr_assert_eq(sscanf(strstr(at, "\"n\":"), "\"n\":%u", &n), 1);
            got[got_count++] = n;
        }
        yard_answer(yard, index, status, NULL);
    }
    yard_settle(yard);
    return got_count;
}

static void model_run(uint64_t seed)
{
    static uint32_t record_of[MODEL_CHANGES + 1];
    static uint32_t got[YARD_CALLS_MAX];
    const char *rule = "{" TARGET ",\"retry\":{\"first\":\"20ms\",\"max_attempts\":1000,"
                       "\"max_age\":\"720h\"}}";
    uint64_t random = seed;
    uint32_t got_count = 0;
    memset(record_of, 0xFF, sizeof(record_of));
    yard_rule(yard, "r", rule);
    for (uint32_t n = 1; n <= MODEL_CHANGES; n++) {
        char id[16];
        char json[32];
        record_of[n] = (uint32_t)(model_random(&random) % MODEL_RECORDS);
        snprintf(id, sizeof(id), "%u", record_of[n]);
        snprintf(json, sizeof(json), "{\"n\":%u}", n);
        yard_put(yard, id, json);
        got_count = model_answer(&random, false, got, got_count);
        uint64_t event = model_random(&random) % 40;
        if (event < 3) {
            /* Calls are lost with the process: what they were about was not taken. */
            yard_restart(yard, event == 0);
        } else if (event < 6) {
            yard_wait_ms(yard, model_random(&random) % 500);
        } else if (event == 6) {
            yard_rule(yard, "r", rule);
        }
    }
    for (int i = 0; i < 2000 && yard_state(yard, "r").parked + yard_state(yard, "r").waiting > 0;
         i++) {
        got_count = model_answer(&random, true, got, got_count);
        yard_wait_ms(yard, 1000000);
    }
    cr_assert_eq(yard_state(yard, "r").parked, 0);
    cr_assert_eq(yard_records(yard, COLLECTION_PARKED), 0);
    cr_assert_eq(yard_records(yard, COLLECTION_DEAD_LETTERS), 0);
    model_check(record_of, got, got_count, seed);
}

Test(webhooks_crash, nothing_is_lost_or_out_of_order_whatever_happens, .timeout = 120)
{
    const char *given = getenv("FRESHET_SEED");
    uint64_t seed = given == NULL ? 1 : strtoull(given, NULL, 10);
    for (uint64_t run = 0; run < (given == NULL ? 8 : 1); run++) {
        if (run > 0) {
            yard_end(yard);
            yard_begin(yard);
        }
        model_run(seed + run);
    }
}
