#include "net/rest/follow.h"

#include <criterion/criterion.h>
#include <string.h>

#include "protocol/document/document.h"
#include "protocol/document/json.h"

static struct collection all[3];
static struct collection_names names;
static uint8_t room[DOCUMENT_BYTES_MAX];

static void begin(void)
{
    all[0] = (struct collection){.name = BYTES_LITERAL("pets"), .old_images = true};
    all[1] = (struct collection){.name = BYTES_LITERAL("toys")};
    all[2] = (struct collection){.name = BYTES_LITERAL("_rules"), .internal = true};
    collection_names_init(&names, all, 3);
}

TestSuite(follow, .init = begin);

static enum status pattern_read(const char *json, struct detail *detail)
{
    struct writer document = writer_of(room, sizeof(room));
    struct pattern *pattern;
    enum status status = follow_pattern_read(bytes_of_text(json), &document, &pattern, detail);
    cr_assert_eq(pattern != NULL, status == STATUS_OK);
    pattern_destroy(&pattern);
    return status;
}

static struct bytes document_of(const char *json)
{
    struct writer document = writer_of(room, sizeof(room));
    cr_assert_eq(json_to_document(bytes_of_text(json), &document, NULL), STATUS_OK);
    return writer_bytes(&document);
}

Test(follow, finds_users_collections_alone)
{
    cr_assert_eq(follow_collection_find(&names, BYTES_LITERAL("toys")), &all[1]);
    cr_assert_null(follow_collection_find(&names, BYTES_LITERAL("_rules")));
    cr_assert_null(follow_collection_find(&names, BYTES_LITERAL("toy")));
    cr_assert_null(follow_collection_find(&names, BYTES_EMPTY));
}

Test(follow, says_what_is_wrong_with_a_pattern)
{
    struct detail detail;
    cr_assert_eq(pattern_read("{\"newImage\":{\"n\":[1]}}", &detail), STATUS_OK);
    cr_assert_eq(pattern_read("{\"n\":", &detail), STATUS_INVALID);
    cr_assert_not_null(strstr(detail.text, "pattern is not JSON: line 1"));
    cr_assert_eq(pattern_read("{\"price\":1}", &detail), STATUS_INVALID);
    cr_assert_not_null(strstr(detail.text, "price"));
}

Test(follow, refuses_a_pattern_over_the_limit)
{
    static char json[PATTERN_JSON_BYTES_MAX + 2];
    struct detail detail;
    memset(json, ' ', sizeof(json) - 1);
    memcpy(json, "{\"a\":[1]}", 9);
    cr_assert_eq(pattern_read(json, &detail), STATUS_TOO_LARGE);
    json[PATTERN_JSON_BYTES_MAX] = '\0';
    cr_assert_eq(pattern_read(json, &detail), STATUS_OK);
}

Test(follow, refuses_consumers_patterns_that_need_images_that_are_dropped)
{
    struct detail detail;
    struct bytes image = document_of("{\"newImage\":{\"n\":[1]}}");
    cr_assert_eq(follow_consumer_pattern_check(&names, BYTES_LITERAL("pets"), image, &detail),
                 STATUS_OK);
    cr_assert_eq(follow_consumer_pattern_check(&names, BYTES_LITERAL("toys"), image, &detail),
                 STATUS_INVALID);
    cr_assert_not_null(strstr(detail.text, "old_images"));
    cr_assert_eq(follow_consumer_pattern_check(&names, BYTES_EMPTY, image, &detail), STATUS_INVALID,
                 "all covers toys");
    struct bytes name = document_of("{\"eventName\":[\"INSERT\"]}");
    cr_assert_eq(follow_consumer_pattern_check(&names, BYTES_LITERAL("toys"), name, &detail),
                 STATUS_OK);
}

Test(follow, reads_what_a_consumer_reads)
{
    struct subscription_options options = {0};
    struct detail detail;
    struct bytes definition =
        document_of("{\"collection\":\"pets\",\"pattern\":{\"eventName\":[\"INSERT\"]}}");
    cr_assert_eq(follow_definition_read(&names, definition, &options, &detail), STATUS_OK);
    cr_assert_eq(options.collection, &all[0]);
    cr_assert_not_null(options.pattern);
    pattern_destroy(&options.pattern);
    cr_assert_eq(follow_definition_read(&names, document_of("{}"), &options, &detail), STATUS_OK);
    cr_assert_null(options.collection);
    cr_assert_null(options.pattern);
    definition = document_of("{\"collection\":\"dragons\"}");
    cr_assert_eq(follow_definition_read(&names, definition, &options, &detail), STATUS_CONFLICT);
    cr_assert_not_null(strstr(detail.text, "'dragons' is no longer there"));
    definition = document_of("{\"pattern\":{\"price\":1}}");
    cr_assert_eq(follow_definition_read(&names, definition, &options, &detail), STATUS_CONFLICT);
    cr_assert_not_null(strstr(detail.text, "no longer valid"));
}

Test(follow, refuses_in_words)
{
    const struct detail words = {.text = "as it says"};
    cr_assert_eq(follow_problem(STATUS_POSITION_EXPIRED, SUBSCRIBE_TOKEN).status, 410);
    cr_assert_eq(follow_problem(STATUS_UNSUPPORTED, SUBSCRIBE_LATEST).status, 400);
    cr_assert_eq(follow_problem(STATUS_BUSY, SUBSCRIBE_LATEST).status, 503);
    struct problem future = follow_problem(STATUS_INVALID, SUBSCRIBE_TIME);
    cr_assert_eq(future.status, 400);
    cr_assert(bytes_equal(future.detail,
                          BYTES_LITERAL("from is a time in the future; latest begins now")));
    struct problem conflict = follow_consumer_problem(STATUS_CONFLICT, &words);
    cr_assert_eq(conflict.status, 409);
    cr_assert(bytes_equal(conflict.detail, BYTES_LITERAL("as it says")));
    cr_assert_eq(follow_consumer_problem(STATUS_NOT_FOUND, &words).status, 404);
    cr_assert_eq(follow_consumer_problem(STATUS_POSITION_EXPIRED, &words).status, 410);
}
