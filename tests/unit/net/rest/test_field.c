#include <criterion/criterion.h>

#include "net/rest/field.h"

static struct bytes text(const char *of)
{
    return bytes_of_text(of);
}

static struct entity_tag tags[PRECONDITION_TAGS_MAX];

static enum status read(const char *value, bool weak, struct precondition *out)
{
    return field_precondition(text(value), weak, tags, out);
}

Test(field, an_entity_tag_reads_back_at_the_edges_of_its_numbers)
{
    static const uint64_t numbers[] = {0, 1, 15, 16, 0xFFFFFFFF, 1ull << 60, UINT64_MAX};
    for (size_t epoch = 0; epoch < 7; epoch++) {
        for (size_t sequence = 0; sequence < 7; sequence++) {
            char buffer[FIELD_ENTITY_TAG_BYTES_MAX + 1] = {0};
            struct writer out = writer_of(buffer, FIELD_ENTITY_TAG_BYTES_MAX);
            field_entity_tag_write(numbers[epoch], numbers[sequence], &out);
            cr_assert_not(out.failed);
            struct precondition condition;
            cr_assert_eq(read(buffer, false, &condition), STATUS_OK);
            cr_assert_eq(condition.tag_count, 1);
            cr_assert_eq(tags[0].epoch, numbers[epoch]);
            cr_assert_eq(tags[0].sequence, numbers[sequence]);
        }
    }
}

Test(field, only_the_text_we_write_is_ours)
{
    static const char *const foreign[] = {"\"0-01-2\"",
                                          "\"0-1-02\"",
                                          "\"1-1-2\"",
                                          "\"0-1\"",
                                          "\"0-1-2-3\"",
                                          "\"0-A-1\"",
                                          "\"\"",
                                          "\"abc\"",
                                          "\"0-1-\"",
                                          "\"0--1\"",
                                          "\"0-1-2 \\\"",
                                          "\"0-1-g\"",
                                          "\"0-11111111111111111-1\""};
    for (size_t index = 0; index < sizeof(foreign) / sizeof(foreign[0]); index++) {
        struct precondition condition;
        enum status status = read(foreign[index], true, &condition);
        if (status == STATUS_OK) {
            cr_assert_eq(condition.kind, PRECONDITION_TAGS);
            cr_assert_eq(condition.tag_count, 0, "%s", foreign[index]);
        }
    }
}

Test(field, lists_hold_strong_and_weak_tags_and_empty_elements)
{
    struct precondition condition;
    cr_assert_eq(read(",\"0-1-2\" , ,W/\"0-1-3\",\"x\",", true, &condition), STATUS_OK);
    cr_assert_eq(condition.tag_count, 2);
    cr_assert_eq(tags[1].sequence, 3);
    cr_assert_eq(read("W/\"0-1-3\", \"0-1-2\"", false, &condition), STATUS_OK);
    cr_assert_eq(condition.tag_count, 1);
    cr_assert_eq(tags[0].sequence, 2);
    /* A comma inside of quotes separates nothing. */
    cr_assert_eq(read("\"a,b\", \"0-1-2\"", false, &condition), STATUS_OK);
    cr_assert_eq(condition.tag_count, 1);
    cr_assert_eq(read(" * ", false, &condition), STATUS_OK);
    cr_assert_eq(condition.kind, PRECONDITION_ANY);
}

Test(field, garbage_is_no_condition)
{
    static const char *const bad[] = {"",       "abc",          "*, \"0-1-2\"", "\"0-1-2",
                                      ",",      "w/\"0-1-2\"",  "W\"0-1-2\"",   "\"a\" \"b\"",
                                      "* *",    "\"0-1-2\", *", "\"a b\"",      "0-1-2",
                                      "\"\t\"", "W/",           "\"a\"b"};
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        struct precondition condition;
        cr_assert_eq(read(bad[index], true, &condition), STATUS_INVALID, "%s", bad[index]);
        cr_assert_eq(condition.kind, PRECONDITION_NONE);
    }
}

Test(field, thirty_two_of_our_tags_fit_and_not_one_more)
{
    char value[40 * 10] = "";
    struct writer out = writer_of(value, sizeof(value) - 1);
    for (uint64_t index = 0; index < PRECONDITION_TAGS_MAX; index++) {
        writer_text(&out, index == 0 ? "" : ",");
        field_entity_tag_write(1, 1, &out);
    }
    struct precondition condition;
    cr_assert_eq(field_precondition(writer_bytes(&out), true, tags, &condition), STATUS_OK);
    cr_assert_eq(condition.tag_count, PRECONDITION_TAGS_MAX);
    writer_text(&out, ",\"foreign\"");
    cr_assert_eq(field_precondition(writer_bytes(&out), true, tags, &condition), STATUS_OK);
    writer_text(&out, ",\"0-1-1\"");
    cr_assert_eq(field_precondition(writer_bytes(&out), true, tags, &condition), STATUS_TOO_LARGE);
}

Test(field, a_refresh_is_no_cache_or_an_age_of_zero)
{
    static const char *const yes[] = {
        "no-cache",           "NO-Cache",      "max-age=0",           "Max-Age=0",
        "max-age=00",         "max-age=\"0\"", "no-store, max-age=0", " max-age = 0 ",
        "x=\"a,b\",no-cache", "no-cache=\"x\""};
    static const char *const no[] = {
        "",           "max-age=1", "max-age=",    "max-age",        "max-age=-0",
        "max-age=0x", "no-store",  "min-fresh=0", "x=\"no-cache\"", "x=\"a, no-cache\"",
        "s-maxage=0", ",,,",       "x=\"no-cache"};
    for (size_t index = 0; index < sizeof(yes) / sizeof(yes[0]); index++) {
        cr_assert(field_asks_refresh(text(yes[index])), "%s", yes[index]);
    }
    for (size_t index = 0; index < sizeof(no) / sizeof(no[0]); index++) {
        cr_assert_not(field_asks_refresh(text(no[index])), "%s", no[index]);
    }
}

Test(field, a_media_type_is_told_apart_from_its_parameters)
{
    struct bytes json = BYTES_LITERAL("application/json");
    static const char *const yes[] = {
        "application/json",       "Application/JSON",  "application/json;charset=utf-8",
        "application/json ; a=b", "application/json;", " application/json"};
    static const char *const no[] = {"",
                                     "application/jsonx",
                                     "application/json, text/plain",
                                     "text/json",
                                     "application/problem+json",
                                     "application",
                                     "application/json charset=utf-8",
                                     ";application/json"};
    for (size_t index = 0; index < sizeof(yes) / sizeof(yes[0]); index++) {
        cr_assert(field_media_type_is(text(yes[index]), json), "%s", yes[index]);
    }
    for (size_t index = 0; index < sizeof(no) / sizeof(no[0]); index++) {
        cr_assert_not(field_media_type_is(text(no[index]), json), "%s", no[index]);
    }
    cr_assert_not(field_media_type_is(BYTES_EMPTY, json));
}

static enum status key_of(const char *value, struct bytes *out)
{
    static uint8_t buffer[IDEMPOTENCY_KEY_BYTES_MAX];
    return field_idempotency_key(text(value), buffer, out);
}

Test(field, an_idempotency_key_is_visible_ascii_bare_or_quoted)
{
    struct bytes key;
    cr_assert_eq(key_of("abc-1", &key), STATUS_OK);
    cr_assert(bytes_equal(key, text("abc-1")));
    cr_assert_eq(key_of("\"abc-1\"", &key), STATUS_OK);
    cr_assert(bytes_equal(key, text("abc-1")), "the same key as without quotes");
    cr_assert_eq(key_of("\"a \\\"b\\\\\"", &key), STATUS_OK);
    cr_assert(bytes_equal(key, text("a \"b\\")));
    static const char *const bad[] = {"",         "\"\"",     "\"abc",  "\"a\"b",
                                      "a b",      "\"a\\x\"", "\"\\\"", "caf\xC3\xA9",
                                      "\"\x01\"", "a\tb",     "\"a\\"};
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        cr_assert_eq(key_of(bad[index], &key), STATUS_INVALID, "%s", bad[index]);
        cr_assert_eq(key.size, 0);
    }
}

Test(field, an_idempotency_key_has_255_characters_and_not_one_more)
{
    char value[IDEMPOTENCY_KEY_BYTES_MAX + 4];
    struct bytes key;
    memset(value, 'k', sizeof(value));
    value[IDEMPOTENCY_KEY_BYTES_MAX] = 0;
    cr_assert_eq(key_of(value, &key), STATUS_OK);
    value[IDEMPOTENCY_KEY_BYTES_MAX] = 'k';
    value[IDEMPOTENCY_KEY_BYTES_MAX + 1] = 0;
    cr_assert_eq(key_of(value, &key), STATUS_TOO_LARGE);
    value[0] = '"';
    value[IDEMPOTENCY_KEY_BYTES_MAX + 1] = '"';
    value[IDEMPOTENCY_KEY_BYTES_MAX + 2] = 0;
    cr_assert_eq(key_of(value, &key), STATUS_OK);
    cr_assert_eq(key.size, IDEMPOTENCY_KEY_BYTES_MAX);
}
