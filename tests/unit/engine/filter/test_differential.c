/*
 * Random patterns against random events: pattern_matches and matcher_match must both say what a
 * naive evaluator says that shares no code with them, while patterns come and go.
 *
 * FRESHET_SEEDS=N runs the first N seeds, FRESHET_SEED=N only that one.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/filter/matcher.h"
#include "protocol/document/json.h"
#include "tests/support/naive_pattern.h"
#include "tests/support/random_pattern.h"

#define SEEDS        12u
#define PATTERNS_MAX 60u
#define ROUNDS       120u
#define EVENTS       6u /* in a round */

struct live {
    struct pattern *pattern; /* NULL: a free place */
    uint32_t id;
    uint32_t found; /* how often the matcher named it for this event */
    size_t document_size;
    char *json;
    uint8_t *document;
};

struct run {
    uint64_t seed;
    uint64_t random;
    struct matcher *matcher;
    struct live live[PATTERNS_MAX];
    uint32_t live_count;
    uint64_t made;
    uint64_t refused;
    uint64_t judged;
    uint64_t matched;
    char json[RANDOM_PATTERN_JSON_BYTES_MAX];
    uint8_t event[3 * RANDOM_PATTERN_JSON_BYTES_MAX];
};

static void *block(size_t size)
{
    void *memory = malloc(size);
    cr_assert_not_null(memory);
    return memory;
}

/* What the generator wrote, as text and as a document in run->event. */
static struct bytes generated(struct run *run,
                              void (*write)(uint64_t *random, struct writer *json_out))
{
    struct writer json = writer_of(run->json, sizeof(run->json) - 1);
    struct writer document = writer_of(run->event, sizeof(run->event));
    struct json_error error;
    write(&run->random, &json);
    cr_assert_not(json.failed);
    run->json[json.size] = 0;
    cr_assert_eq(json_to_document(writer_bytes(&json), &document, &error), STATUS_OK,
                 "seed %" PRIu64 ": %s: %s", run->seed, error.text, run->json);
    return writer_bytes(&document);
}

static void add(struct run *run, struct live *live)
{
    struct bytes document = generated(run, random_pattern_write);
    struct pattern_problem problem;
    run->made++;
    enum status status = pattern_parse(document, &live->pattern, &problem);
    if (status != STATUS_OK) {
        /* The generator now and then writes what the language refuses; never much of it. */
        cr_assert(status == STATUS_INVALID || status == STATUS_UNPROCESSABLE);
        cr_assert_null(live->pattern);
        cr_assert_neq(problem.text[0], 0);
        run->refused++;
        return;
    }
    live->json = block(strlen(run->json) + 1);
    memcpy(live->json, run->json, strlen(run->json) + 1);
    live->document = block(document.size);
    live->document_size = document.size;
    memcpy(live->document, document.data, document.size);
    cr_assert_eq(matcher_add(run->matcher, live->pattern, live, &live->id), STATUS_OK);
    run->live_count++;
}

static void drop(struct run *run, struct live *live)
{
    matcher_remove(run->matcher, live->id);
    pattern_destroy(&live->pattern);
    free(live->json);
    free(live->document);
    run->live_count--;
}

static void change_patterns(struct run *run)
{
    for (size_t left = 1 + dice_roll(&run->random) % 6; left > 0; left--) {
        struct live *live = &run->live[dice_roll(&run->random) % PATTERNS_MAX];
        if (live->pattern == NULL) {
            add(run, live);
        } else {
            drop(run, live);
        }
    }
    cr_assert_eq(matcher_count(run->matcher), run->live_count);
}

static void check_event(struct run *run)
{
    struct bytes event = generated(run, random_event_write);
    void *const *users;
    size_t count = matcher_match(run->matcher, event, &users);
    for (size_t index = 0; index < count; index++) {
        struct live *live = users[index];
        live->found++;
    }
    for (size_t index = 0; index < PATTERNS_MAX; index++) {
        struct live *live = &run->live[index];
        uint32_t found = live->found;
        live->found = 0;
        if (live->pattern == NULL) {
            cr_assert_eq(found, 0, "seed %" PRIu64 ": a removed pattern matched", run->seed);
            continue;
        }
        bool alone = pattern_matches(live->pattern, event);
        cr_assert_eq(found, alone ? 1 : 0,
                     "seed %" PRIu64 ": alone %d, by the matcher %u times\npattern %s\nevent %s",
                     run->seed, alone, found, live->json, run->json);
        enum naive_verdict verdict =
            naive_pattern_matches(bytes_of(live->document, live->document_size), event);
        run->judged += verdict != NAIVE_UNJUDGED;
        run->matched += verdict == NAIVE_YES;
        cr_assert(verdict == NAIVE_UNJUDGED || (verdict == NAIVE_YES) == alone,
                  "seed %" PRIu64 ": %d, by definition %d\npattern %s\nevent %s", run->seed, alone,
                  verdict == NAIVE_YES, live->json, run->json);
    }
}

static void compare(uint64_t seed)
{
    struct run *run = block(sizeof(*run));
    memset(run, 0, sizeof(*run));
    run->seed = seed;
    run->random = seed;
    cr_assert_eq(matcher_create(&run->matcher), STATUS_OK);
    size_t empty_bytes = matcher_bytes(run->matcher);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        change_patterns(run);
        for (uint32_t event = 0; event < EVENTS; event++) {
            check_event(run);
        }
    }
    /* Else this test would not see what it is for. */
    cr_assert_lt(run->refused * 5, run->made, "seed %" PRIu64 ": %" PRIu64 " of %" PRIu64, seed,
                 run->refused, run->made);
    cr_assert_gt(run->matched * 100, run->judged, "seed %" PRIu64 ": %" PRIu64 " of %" PRIu64, seed,
                 run->matched, run->judged);
    for (size_t index = 0; index < PATTERNS_MAX; index++) {
        if (run->live[index].pattern != NULL) {
            drop(run, &run->live[index]);
        }
    }
    cr_assert_eq(matcher_count(run->matcher), 0);
    /* What held patterns may stay for the next ones, but not without a bound. */
    cr_assert_leq(matcher_bytes(run->matcher), empty_bytes + (1u << 20));
    matcher_destroy(&run->matcher);
    free(run);
}

Test(differential, matcher_and_pattern_say_what_the_definition_says)
{
    const char *one = getenv("FRESHET_SEED");
    const char *many = getenv("FRESHET_SEEDS");
    if (one != NULL) {
        compare(strtoull(one, NULL, 10));
        return;
    }
    uint64_t seeds = many == NULL ? SEEDS : strtoull(many, NULL, 10);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        compare(seed);
    }
}
