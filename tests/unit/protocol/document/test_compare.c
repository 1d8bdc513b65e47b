/* Equality, and which members have changed. */
#include "tests/unit/protocol/document/helper.h"

TestSuite(compare, .fini = free_kept);

static bool equal(const char *a, const char *b)
{
    bool is_equal = document_equal(document_of(a), document_of(b));
    cr_expect_eq(document_equal(document_of(b), document_of(a)), is_equal, "%s and %s", a, b);
    return is_equal;
}

Test(compare, the_order_of_members_does_not_count_and_that_of_elements_does)
{
    cr_expect(equal("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"));
    cr_expect(equal("{\"a\":{\"x\":1,\"y\":[1,{\"p\":1,\"q\":2}]},\"b\":2}",
                    "{\"b\":2,\"a\":{\"y\":[1,{\"q\":2,\"p\":1}],\"x\":1}}"));
    cr_expect(equal("[[],{},\"\"]", "[[],{},\"\"]"));
    cr_expect_not(equal("[1,2]", "[2,1]"));
    cr_expect_not(equal("{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}"));
    cr_expect_not(equal("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    cr_expect_not(equal("{\"a\":1}", "{\"b\":1}"));
    cr_expect_not(equal("{\"a\":1,\"b\":1}", "{\"a\":1,\"c\":1}"));
    cr_expect_not(equal("{\"x\":{\"a\":1}}", "{\"x\":{\"a\":1,\"b\":2}}"));
    cr_expect_not(equal("{\"x\":[1]}", "{\"x\":[1,2]}"));
    cr_expect_not(equal("[[1],2]", "[[1,2]]"));
    cr_expect_not(equal("[]", "{}"));
    cr_expect_not(equal("[1]", "[[1]]"));
    cr_expect_not(equal("[1]", "1"));
    cr_expect_not(equal("{\"a\":[{\"x\":1}]}", "{\"a\":[{\"x\":2}]}"));
}

Test(compare, scalars_are_equal_when_type_and_text_are)
{
    cr_expect(equal("null", "null"));
    cr_expect(equal("\"a\"", "\"\\u0061\""));
    cr_expect_not(equal("null", "false"));
    cr_expect_not(equal("true", "false"));
    cr_expect_not(equal("\"1\"", "1"));
    cr_expect_not(equal("\"a\"", "\"b\""));
    cr_expect_not(equal("1", "1.0"));
    cr_expect_not(equal("1.0", "1.00"));
    cr_expect_not(equal("1", "2"));
    cr_expect_not(equal("100", "1E2"));
    cr_expect_not(equal("0", "-0"));
    cr_expect_not(equal("0.0", "-0.0"));
    cr_expect_not(equal("-1", "1"));
    cr_expect_not(equal("-1", "18446744073709551615"));
    cr_expect_not(equal("1e2", "1E2"));
}

Test(compare, the_form_in_which_a_number_is_stored_does_not_count)
{
    static const struct {
        struct bytes a;
        struct bytes b;
        bool is_equal;
    } CASES[] = {
        {BYTES_LITERAL("\x05"), BYTES_LITERAL("\xCD\x00\x05"), true},
        {BYTES_LITERAL("\x05"), BYTES_LITERAL("\xD3\x00\x00\x00\x00\x00\x00\x00\x05"), true},
        {BYTES_LITERAL("\xFF"), BYTES_LITERAL("\xD2\xFF\xFF\xFF\xFF"), true},
        {BYTES_LITERAL("\x05"),
         BYTES_LITERAL("\xD4\x01"
                       "5"),
         true},
        {BYTES_LITERAL("\xFF"),
         BYTES_LITERAL("\xD5\x01"
                       "-1"),
         true},
        {BYTES_LITERAL("\xCB\x3F\xF0\x00\x00\x00\x00\x00\x00"),
         BYTES_LITERAL("\xC7\x03\x01"
                       "1.0"),
         true},
        {BYTES_LITERAL("\xCB\x3F\xF0\x00\x00\x00\x00\x00\x00"),
         BYTES_LITERAL("\xCA\x3F\x80\x00\x00"), true},
        {BYTES_LITERAL("\xCB\x3F\xF0\x00\x00\x00\x00\x00\x00"), BYTES_LITERAL("\x01"), false},
        {BYTES_LITERAL("\x05"),
         BYTES_LITERAL("\xC7\x03\x01"
                       "5.0"),
         false},
        {BYTES_LITERAL("\x81\xA1x\x05"), BYTES_LITERAL("\xDF\x00\x00\x00\x01\xD9\x01x\xCC\x05"),
         true},
        {BYTES_LITERAL("\xA1x"), BYTES_LITERAL("\xDB\x00\x00\x00\x01x"), true},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        cr_expect_eq(document_equal(CASES[at].a, CASES[at].b), CASES[at].is_equal, "case %zu", at);
        cr_expect_eq(document_equal(CASES[at].b, CASES[at].a), CASES[at].is_equal, "case %zu", at);
    }
}

/* Members m0 to mN, from the first or from the last; the one at `other` has another value. */
static struct bytes many_members(uint32_t count, bool backwards, uint32_t other)
{
    struct writer out = new_writer(count * 32 + 16);
    document_write_map(&out, count);
    for (uint32_t at = 0; at < count; at++) {
        uint32_t member = backwards ? count - 1 - at : at;
        char name[32];
        snprintf(name, sizeof(name), "common prefix %u", member);
        document_write_string(&out, bytes_of_text(name));
        document_write_u64(&out, member == other ? 77777 : member);
    }
    return writer_bytes(&out);
}

Test(compare, objects_of_any_size_are_compared_in_any_order)
{
    static const uint32_t COUNTS[] = {1, 2, 16, 17, 64, 65, 1000, 50000};
    for (size_t at = 0; at < sizeof(COUNTS) / sizeof(COUNTS[0]); at++) {
        uint32_t count = COUNTS[at];
        struct bytes forwards = many_members(count, false, UINT32_MAX);
        struct bytes backwards = many_members(count, true, UINT32_MAX);
        cr_expect(document_equal(forwards, backwards), "%u", count);
        cr_expect_not(document_equal(forwards, many_members(count, true, 0)), "%u", count);
        cr_expect_not(document_equal(forwards, many_members(count, true, count - 1)));
        cr_expect_not(document_equal(forwards, many_members(count, false, count / 2)));
    }
}

/* {"a":1,"b":{"a":1,"b":{...}}} or with b first, around a large value. */
static struct bytes deep_pair(bool b_first, size_t payload_size)
{
    struct writer out = new_writer(payload_size + 128 * 8 + 64);
    for (int level = 0; level < DOCUMENT_DEPTH_MAX; level++) {
        document_write_map(&out, 2);
        if (!b_first) {
            document_write_string(&out, BYTES_LITERAL("a"));
            document_write_u64(&out, 1);
        }
        document_write_string(&out, BYTES_LITERAL("b"));
    }
    document_write_string(&out, bytes_of(keep_new(payload_size), 0));
    if (b_first) {
        for (int level = 0; level < DOCUMENT_DEPTH_MAX; level++) {
            document_write_string(&out, BYTES_LITERAL("a"));
            document_write_u64(&out, 1);
        }
    }
    return writer_bytes(&out);
}

Test(compare, deep_objects_in_another_order_are_equal)
{
    struct bytes a = deep_pair(false, 10);
    struct bytes b = deep_pair(true, 10);
    cr_assert_eq(document_validate(a), STATUS_OK);
    cr_assert_eq(document_validate(b), STATUS_OK);
    cr_expect(document_equal(a, b));
}

static const char *changed(const char *old_json, const char *new_json)
{
    struct bytes old_document = old_json == NULL ? BYTES_EMPTY : document_of(old_json);
    struct bytes new_document = new_json == NULL ? BYTES_EMPTY : document_of(new_json);
    struct writer out = new_writer(2000);
    uint32_t count = 99;
    writer_text(&out, "##");
    cr_assert_eq(document_changed(old_document, new_document, &out, &count), STATUS_OK);
    struct bytes names = bytes_slice(writer_bytes(&out), 2, out.size);
    cr_assert_eq(document_validate(names), STATUS_OK);
    cr_assert_eq(document_count(names), count);
    return json_of(names);
}

Test(compare, changed_are_the_members_added_removed_or_altered_in_byte_order)
{
    cr_expect_str_eq(changed("{\"a\":1}", "{\"a\":1}"), "[]");
    cr_expect_str_eq(changed("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}"), "[]");
    cr_expect_str_eq(changed("{\"a\":1}", "{\"a\":2}"), "[\"a\"]");
    cr_expect_str_eq(changed("{\"a\":1}", "{\"a\":1.0}"), "[\"a\"]");
    cr_expect_str_eq(changed("{\"a\":1}", "{}"), "[\"a\"]");
    cr_expect_str_eq(changed("{}", "{\"a\":1}"), "[\"a\"]");
    cr_expect_str_eq(changed("{}", "{}"), "[]");
    cr_expect_str_eq(changed(NULL, "{\"b\":1,\"a\":null}"), "[\"a\",\"b\"]");
    cr_expect_str_eq(changed("{\"b\":1,\"a\":null}", NULL), "[\"a\",\"b\"]");
    cr_expect_str_eq(changed(NULL, NULL), "[]");
    cr_expect_str_eq(changed("{\"x\":{\"p\":1,\"q\":2}}", "{\"x\":{\"q\":2,\"p\":1}}"), "[]");
    cr_expect_str_eq(changed("{\"x\":{\"p\":1,\"q\":2}}", "{\"x\":{\"q\":2,\"p\":2}}"), "[\"x\"]");
    cr_expect_str_eq(
        changed("{\"b\":1,\"long name b\":1,\"a\":1,\"ab\":1,\"\":1}",
                "{\"long name a\":2,\"\xC3\xA4\":1,\"z\":1}"),
        "[\"\",\"a\",\"ab\",\"b\",\"long name a\",\"long name b\",\"z\",\"\xC3\xA4\"]");
}

Test(compare, changed_takes_objects_only_and_reports_a_full_writer)
{
    struct writer out = new_writer(100);
    uint32_t count;
    struct bytes object = document_of("{\"a\":1,\"b\":2}");
    cr_expect_eq(document_changed(document_of("[1]"), object, &out, &count), STATUS_INVALID);
    cr_expect_eq(document_changed(object, document_of("1"), &out, &count), STATUS_INVALID);
    for (size_t capacity = 0; capacity < 5; capacity++) {
        struct writer small = new_writer(5);
        small.capacity = capacity;
        cr_expect_eq(document_changed(object, BYTES_EMPTY, &small, &count), STATUS_TOO_LARGE);
        cr_expect_eq(count, 0);
    }
    struct writer enough = new_writer(5);
    cr_expect_eq(document_changed(object, BYTES_EMPTY, &enough, &count), STATUS_OK);
    cr_expect_eq(count, 2);
}

Test(compare, changed_finds_one_among_many)
{
    struct writer out = new_writer(100);
    uint32_t count;
    cr_assert_eq(document_changed(many_members(20000, false, UINT32_MAX),
                                  many_members(20000, true, 12345), &out, &count),
                 STATUS_OK);
    cr_assert_str_eq(json_of(writer_bytes(&out)), "[\"common prefix 12345\"]");
}

Test(compare, changed_is_the_same_whether_members_stand_in_the_same_order_or_not)
{
    cr_expect_str_eq(changed("{\"b\":1,\"a\":1,\"c\":1}", "{\"b\":2,\"a\":2,\"c\":1}"),
                     "[\"a\",\"b\"]");
    cr_expect_str_eq(changed("{\"b\":1,\"a\":1,\"c\":1}", "{\"a\":2,\"b\":2,\"c\":1}"),
                     "[\"a\",\"b\"]");
    cr_expect_str_eq(
        changed("{\"b\":{\"x\":1,\"y\":2},\"a\":[]}", "{\"b\":{\"y\":2,\"x\":1},\"a\":[0]}"),
        "[\"a\"]");
    cr_expect_str_eq(changed("{\"b\":1,\"a\":1}", "{\"b\":1,\"a\":1,\"c\":1}"), "[\"c\"]");
    /* More names than are sorted on the way, from the last to the first. */
    struct writer old_json = new_writer(512);
    struct writer new_json = new_writer(512);
    struct writer names = new_writer(512);
    for (int i = 0; i < 30; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%c\"k%02d\":1", i == 0 ? '{' : ',', 29 - i);
        writer_text(&old_json, text);
        snprintf(text, sizeof(text), "%c\"k%02d\":2", i == 0 ? '{' : ',', 29 - i);
        writer_text(&new_json, text);
        snprintf(text, sizeof(text), "%c\"k%02d\"", i == 0 ? '[' : ',', i);
        writer_text(&names, text);
    }
    writer_put(&old_json, bytes_of("}", 2));
    writer_put(&new_json, bytes_of("}", 2));
    writer_put(&names, bytes_of("]", 2));
    cr_expect_str_eq(changed((const char *)old_json.data, (const char *)new_json.data),
                     (const char *)names.data);
}

Test(compare, a_changed_name_is_found_among_the_names)
{
    const struct bytes names = document_of("[\"a\",\"price\",\"price list\"]");
    cr_expect(document_names(names, BYTES_LITERAL("a")));
    cr_expect(document_names(names, BYTES_LITERAL("price")));
    cr_expect_not(document_names(names, BYTES_LITERAL("pric")));
    cr_expect_not(document_names(names, BYTES_EMPTY));
    cr_expect_not(document_names(document_of("[]"), BYTES_LITERAL("a")));
    cr_expect_not(document_names(BYTES_EMPTY, BYTES_LITERAL("a")), "an INSERT has no names");
}
