/* Validation of what comes from outside, reading in place, building. */
#include <math.h>

#include "tests/unit/protocol/document/helper.h"

TestSuite(document, .fini = free_kept);

static const char EVERYTHING[] =
    "{\"null\":null,\"yes\":true,\"no\":false,\"small\":7,\"minus\":-5,\"byte\":200,\"word\":60000,"
    "\"long\":4000000000,\"huge\":18446744073709551615,\"low\":-9223372036854775808,"
    "\"price\":29.99,\"text\":1.50,\"big\":12345678901234567890123456789012345678,"
    "\"name\":\"\303\244\342\202\254\",\"list\":[1,[2,[3]],{}],\"deep\":{\"a\":{\"b\":{\"c\":1}}}}";

/* ---- validation ---- */

#define CHECK(literal, expected)                                                                   \
    cr_expect_eq(document_validate(exact_copy(BYTES_LITERAL(literal))), expected, #literal)

Test(document, every_form_of_every_type_is_valid)
{
    CHECK("\xC0", STATUS_OK);
    CHECK("\xC2", STATUS_OK);
    CHECK("\xC3", STATUS_OK);
    CHECK("\x00", STATUS_OK);
    CHECK("\x7F", STATUS_OK);
    CHECK("\xE0", STATUS_OK);
    CHECK("\xFF", STATUS_OK);
    CHECK("\xCC\x01", STATUS_OK);
    CHECK("\xCD\x00\x01", STATUS_OK);
    CHECK("\xCE\x00\x00\x00\x01", STATUS_OK);
    CHECK("\xCF\x00\x00\x00\x00\x00\x00\x00\x01", STATUS_OK);
    CHECK("\xD0\x80", STATUS_OK);
    CHECK("\xD1\x80\x00", STATUS_OK);
    CHECK("\xD2\x80\x00\x00\x00", STATUS_OK);
    CHECK("\xD3\x80\x00\x00\x00\x00\x00\x00\x00", STATUS_OK);
    CHECK("\xCA\x3F\x80\x00\x00", STATUS_OK);
    CHECK("\xCB\x3F\xF0\x00\x00\x00\x00\x00\x00", STATUS_OK);
    CHECK("\xA0", STATUS_OK);
    CHECK("\xA1x", STATUS_OK);
    CHECK("\xD9\x01x", STATUS_OK);
    CHECK("\xDA\x00\x01x", STATUS_OK);
    CHECK("\xDB\x00\x00\x00\x01x", STATUS_OK);
    CHECK("\xD4\x01\x35", STATUS_OK);
    CHECK("\xD5\x01-0", STATUS_OK);
    CHECK("\xD6\x01"
          "1.50",
          STATUS_OK);
    CHECK("\xC7\x03\x01"
          "1E2",
          STATUS_OK);
    CHECK("\xC8\x00\x03\x01"
          "1E2",
          STATUS_OK);
    CHECK("\xC9\x00\x00\x00\x03\x01"
          "1E2",
          STATUS_OK);
    CHECK("\x90", STATUS_OK);
    CHECK("\x92\x01\x02", STATUS_OK);
    CHECK("\xDC\x00\x01\x01", STATUS_OK);
    CHECK("\xDD\x00\x00\x00\x01\x01", STATUS_OK);
    CHECK("\x80", STATUS_OK);
    CHECK("\x81\xA1x\x01", STATUS_OK);
    CHECK("\xDE\x00\x01\xA1x\x01", STATUS_OK);
    CHECK("\xDF\x00\x00\x00\x01\xD9\x01x\x01", STATUS_OK);
}

Test(document, what_no_json_could_say_is_invalid)
{
    CHECK("", STATUS_INVALID);
    CHECK("\x01\x01", STATUS_INVALID);              /* something behind the value */
    CHECK("\xC1", STATUS_INVALID);                  /* never used */
    CHECK("\xC4\x01x", STATUS_INVALID);             /* bin */
    CHECK("\xC5\x00\x01x", STATUS_INVALID);         /* bin */
    CHECK("\xC6\x00\x00\x00\x01x", STATUS_INVALID); /* bin */
    CHECK("\xD4\x02x", STATUS_INVALID);             /* another extension */
    CHECK("\xD4\x02\x35", STATUS_INVALID);          /* the text of a number in it does not help */
    CHECK("\xD6\xFF\x00\x00\x00\x00", STATUS_INVALID); /* a timestamp */
    CHECK("\xD7\xFF\x00\x00\x00\x00\x00\x00\x00\x00", STATUS_INVALID);
    CHECK("\xD4\x01x", STATUS_INVALID); /* a number's text that is none */
    CHECK("\xC7\x00\x01", STATUS_INVALID);
    CHECK("\xD5\x01"
          "01",
          STATUS_INVALID);
    CHECK("\xC7\x05\x01"
          "1e309",
          STATUS_UNPROCESSABLE);
    CHECK("\xCB\x7F\xF0\x00\x00\x00\x00\x00\x00", STATUS_INVALID); /* infinity */
    CHECK("\xCB\xFF\xF8\x00\x00\x00\x00\x00\x00", STATUS_INVALID); /* not a number */
    CHECK("\xCA\x7F\x80\x00\x00", STATUS_INVALID);
    CHECK("\xA1\xFF", STATUS_INVALID);     /* UTF-8 */
    CHECK("\xA2\xC3\x28", STATUS_INVALID); /* UTF-8 */
    CHECK("\xA3\xED\xA0\x80", STATUS_INVALID);
    CHECK("\x81\x01\x01", STATUS_INVALID); /* a name that is no string */
    CHECK("\x81\xC0\x01", STATUS_INVALID);
    CHECK("\x81\x90\x01", STATUS_INVALID);
    CHECK("\x81\x80\x01", STATUS_INVALID);
    CHECK("\x81\xA1\xFF\x01", STATUS_INVALID);
    CHECK("\x82\xA1x\x01\xA1x\x02", STATUS_INVALID); /* a name twice */
    CHECK("\x82\xA1x\x01\xD9\x01x\x02", STATUS_INVALID);
    CHECK("\x91\x82\xA0\x01\xA0\x02", STATUS_INVALID);
    CHECK("\xDD\xFF\xFF\xFF\xFF", STATUS_INVALID); /* counts and sizes that lie */
    CHECK("\xDF\xFF\xFF\xFF\xFF\xA1x\x01", STATUS_INVALID);
    CHECK("\xDB\xFF\xFF\xFF\xFFx", STATUS_INVALID);
    CHECK("\xC9\xFF\xFF\xFF\xFF\x01x", STATUS_INVALID);
}

Test(document, no_truncation_of_a_document_is_valid)
{
    struct bytes document = document_of(EVERYTHING);
    cr_assert_eq(document_validate(document), STATUS_OK);
    for (size_t size = 0; size < document.size; size++) {
        struct bytes part = exact_copy(bytes_of(document.data, size));
        cr_expect_eq(document_validate(part), STATUS_INVALID, "%zu bytes", size);
        cr_expect_eq(document_value_size(part), 0);
        struct writer out = new_writer(2000);
        cr_expect_eq(document_to_json(part, &out), STATUS_DAMAGED);
        cr_expect_eq(document_record_to_json(BYTES_LITERAL("1"), part, &out),
                     size == 0 ? STATUS_OK : STATUS_DAMAGED);
    }
}

Test(document, damaged_bytes_are_refused_or_rendered_but_never_read_past)
{
    struct dice dice = dice_of_time("damaged_bytes");
    struct bytes document = document_of(EVERYTHING);
    for (int turn = 0; turn < 20000; turn++) {
        struct bytes damaged = exact_copy(document);
        for (uint32_t left = 1 + dice_below(&dice, 3); left > 0; left--) {
            uint8_t *at =
                (uint8_t *)(uintptr_t)damaged.data + dice_below(&dice, (uint32_t)damaged.size);
            *at = (uint8_t)dice_next(&dice);
        }
        struct writer out = new_writer(4000);
        struct bytes value;
        enum status rendered = document_to_json(damaged, &out);
        if (document_validate(damaged) == STATUS_OK) {
            cr_assert_eq(rendered, STATUS_OK);
            cr_assert(document_equal(document_of_bytes(writer_bytes(&out)), damaged));
        }
        document_find(damaged, BYTES_LITERAL("deep"), &value);
        document_equal(damaged, document);
        uint32_t count;
        out = new_writer(4000);
        enum status status = document_changed(damaged, document, &out, &count);
        cr_assert(status == STATUS_OK || status == STATUS_INVALID);
        free_kept();
        document = document_of(EVERYTHING);
    }
}

Test(document, depth_is_bounded)
{
    uint8_t deep[200];
    memset(deep, 0x91, sizeof(deep));
    deep[DOCUMENT_DEPTH_MAX] = 0x01;
    struct writer out = new_writer(2000);
    cr_expect_eq(document_validate(bytes_of(deep, DOCUMENT_DEPTH_MAX + 1)), STATUS_OK);
    cr_expect_eq(document_to_json(bytes_of(deep, DOCUMENT_DEPTH_MAX + 1), &out), STATUS_OK);
    deep[DOCUMENT_DEPTH_MAX] = 0x91;
    deep[DOCUMENT_DEPTH_MAX + 1] = 0x01;
    cr_expect_eq(document_validate(bytes_of(deep, DOCUMENT_DEPTH_MAX + 2)), STATUS_INVALID);
    /* A change, which holds documents, is rendered all the same. */
    cr_expect_eq(document_to_json(bytes_of(deep, DOCUMENT_DEPTH_MAX + 2), &out), STATUS_OK);
    memset(deep, 0x91, DOCUMENT_RENDER_DEPTH_MAX + 1);
    deep[DOCUMENT_RENDER_DEPTH_MAX + 1] = 0x01;
    cr_expect_eq(document_to_json(bytes_of(deep + 1, DOCUMENT_RENDER_DEPTH_MAX + 1), &out),
                 STATUS_OK);
    cr_expect_eq(document_to_json(bytes_of(deep, DOCUMENT_RENDER_DEPTH_MAX + 2), &out),
                 STATUS_DAMAGED);
}

/* ---- reading ---- */

static struct bytes member_of(struct bytes document, const char *name)
{
    struct bytes value = BYTES_EMPTY;
    cr_assert(document_find(document, bytes_of_text(name), &value), "%s", name);
    return value;
}

Test(document, a_member_is_found_by_its_name)
{
    struct bytes document = document_of(EVERYTHING);
    struct bytes value;
    cr_expect_str_eq(json_of(member_of(document, "price")), "29.99");
    cr_expect_str_eq(json_of(member_of(document, "null")), "null");
    cr_expect_str_eq(json_of(member_of(document, "list")), "[1,[2,[3]],{}]");
    cr_expect_str_eq(json_of(member_of(document, "deep")), "{\"a\":{\"b\":{\"c\":1}}}");
    cr_expect_not(document_find(document, BYTES_LITERAL("a"), &value));
    cr_expect_not(document_find(document, BYTES_LITERAL(""), &value));
    cr_expect_not(document_find(document, BYTES_LITERAL("pric"), &value));
    cr_expect_not(document_find(document_of("[1]"), BYTES_LITERAL("a"), &value));
    cr_expect_not(document_find(document_of("{}"), BYTES_LITERAL("a"), &value));
    cr_expect_not(document_find(BYTES_EMPTY, BYTES_LITERAL("a"), &value));
}

Test(document, a_path_leads_through_objects_only)
{
    struct bytes document = document_of(EVERYTHING);
    struct bytes path[] = {BYTES_LITERAL("deep"), BYTES_LITERAL("a"), BYTES_LITERAL("b"),
                           BYTES_LITERAL("c"), BYTES_LITERAL("d")};
    struct bytes value;
    cr_assert(document_find_path(document, path, 4, &value));
    cr_expect_str_eq(json_of(value), "1");
    cr_assert(document_find_path(document, path, 2, &value));
    cr_expect_str_eq(json_of(value), "{\"b\":{\"c\":1}}");
    cr_assert(document_find_path(document, path, 0, &value));
    cr_expect(bytes_equal(value, document));
    cr_expect_not(document_find_path(document, path, 5, &value));
    path[0] = BYTES_LITERAL("list");
    cr_expect_not(document_find_path(document, path, 2, &value));
}

Test(document, a_cursor_gives_every_member_and_element_in_order)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    cr_assert(document_cursor_open(document_of("{\"b\":[1,2],\"a\":{},\"\":null}"), &cursor));
    cr_assert(cursor.is_object);
    cr_assert(document_next_member(&cursor, &name, &value));
    cr_expect(bytes_equal(name, BYTES_LITERAL("b")));
    cr_expect_eq(document_count(value), 2);
    struct document_cursor elements;
    cr_assert(document_cursor_open(value, &elements));
    cr_assert(document_next_element(&elements, &value));
    cr_expect_str_eq(json_of(value), "1");
    cr_assert(document_next_element(&elements, &value));
    cr_expect_str_eq(json_of(value), "2");
    cr_expect_not(document_next_element(&elements, &value));
    cr_expect_not(document_next_element(&elements, &value));
    cr_assert(document_next_member(&cursor, &name, &value));
    cr_expect_eq(document_type_of(value), DOCUMENT_OBJECT);
    cr_assert(document_next_member(&cursor, &name, &value));
    cr_expect_eq(name.size, 0);
    cr_expect(document_is_null(value));
    cr_expect_not(document_next_member(&cursor, &name, &value));

    cr_expect_not(document_cursor_open(document_of("1"), &cursor));
    cr_expect_not(document_cursor_open(BYTES_EMPTY, &cursor));
    cr_expect_not(document_next_element(&cursor, &value));
}

Test(document, types_are_told_apart)
{
    struct bytes document = document_of(EVERYTHING);
    cr_expect_eq(document_type_of(BYTES_EMPTY), DOCUMENT_NONE);
    cr_expect_eq(document_type_of(BYTES_LITERAL("\xC1")), DOCUMENT_NONE);
    cr_expect_eq(document_type_of(member_of(document, "null")), DOCUMENT_NULL);
    cr_expect_eq(document_type_of(member_of(document, "no")), DOCUMENT_BOOL);
    cr_expect_eq(document_type_of(member_of(document, "small")), DOCUMENT_NUMBER);
    cr_expect_eq(document_type_of(member_of(document, "low")), DOCUMENT_NUMBER);
    cr_expect_eq(document_type_of(member_of(document, "price")), DOCUMENT_NUMBER);
    cr_expect_eq(document_type_of(member_of(document, "big")), DOCUMENT_NUMBER);
    cr_expect_eq(document_type_of(member_of(document, "name")), DOCUMENT_STRING);
    cr_expect_eq(document_type_of(member_of(document, "list")), DOCUMENT_ARRAY);
    cr_expect_eq(document_type_of(document), DOCUMENT_OBJECT);
    cr_expect(document_is_object(document));
    cr_expect_not(document_is_object(document_of("[]")));
    cr_expect_not(document_is_object(BYTES_EMPTY));
}

Test(document, scalars_are_read_as_what_they_are_and_as_nothing_else)
{
    struct bytes document = document_of(EVERYTHING);
    uint64_t natural = 0;
    int64_t integer = 0;
    double number = 0;
    bool truth = false;
    struct bytes text;
    cr_expect(document_u64(member_of(document, "huge"), &natural) && natural == UINT64_MAX);
    cr_expect(document_u64(member_of(document, "small"), &natural) && natural == 7);
    cr_expect_not(document_u64(member_of(document, "minus"), &natural));
    cr_expect_not(document_u64(member_of(document, "price"), &natural));
    cr_expect(document_i64(member_of(document, "low"), &integer) && integer == INT64_MIN);
    cr_expect(document_i64(member_of(document, "long"), &integer) && integer == 4000000000);
    cr_expect(document_i64(member_of(document, "minus"), &integer) && integer == -5);
    cr_expect_not(document_i64(member_of(document, "huge"), &integer));
    cr_expect_not(document_i64(member_of(document, "name"), &integer));
    cr_expect(document_double(member_of(document, "price"), &number) && number == 29.99);
    cr_expect(document_double(member_of(document, "text"), &number) && number == 1.5);
    cr_expect(document_double(member_of(document, "low"), &number) && number == -0x1p63);
    cr_expect(document_double(member_of(document, "huge"), &number) && number == 0x1p64);
    cr_expect(document_double(member_of(document, "big"), &number) &&
              number == 12345678901234567890123456789012345678.0);
    cr_expect_not(document_double(member_of(document, "name"), &number));
    cr_expect(document_bool(member_of(document, "yes"), &truth) && truth);
    cr_expect(document_bool(member_of(document, "no"), &truth) && !truth);
    cr_expect_not(document_bool(member_of(document, "null"), &truth));
    cr_expect(document_string(member_of(document, "name"), &text) &&
              bytes_equal(text, BYTES_LITERAL("\303\244\342\202\254")));
    cr_expect_not(document_string(member_of(document, "small"), &text));
    cr_expect_not(document_is_null(member_of(document, "no")));
}

static const char *index_text(const char *json)
{
    struct writer out = new_writer(100);
    if (!document_index_text(document_of(json), &out)) {
        cr_expect_eq(out.size, 0);
        return NULL;
    }
    writer_u8(&out, 0);
    return (const char *)out.data;
}

Test(document, strings_numbers_and_booleans_are_indexed_by_their_text)
{
    cr_expect_str_eq(index_text("\"lamps\""), "lamps");
    cr_expect_str_eq(index_text("\"\""), "");
    cr_expect_str_eq(index_text("29.99"), "29.99");
    cr_expect_str_eq(index_text("1.50"), "1.50");
    cr_expect_str_eq(index_text("-7"), "-7");
    cr_expect_str_eq(index_text("-9223372036854775808"), "-9223372036854775808");
    cr_expect_str_eq(index_text("1E2"), "1E2");
    cr_expect_str_eq(index_text("true"), "true");
    cr_expect_str_eq(index_text("false"), "false");
    cr_expect_null(index_text("null"));
    cr_expect_null(index_text("[1]"));
    cr_expect_null(index_text("{}"));

    struct writer full = new_writer(4);
    cr_expect_not(document_index_text(document_of("\"lamps\""), &full));
    cr_expect(full.failed);
}

/* ---- rendering ---- */

Test(document, strings_are_escaped_only_where_they_must_be)
{
    static const struct {
        struct bytes utf8;
        const char *json;
    } CASES[] = {
        {{(const uint8_t *)"", 0}, "\"\""},
        {{(const uint8_t *)"a/b'c\177", 6}, "\"a/b'c\177\""},
        {{(const uint8_t *)"\"\\", 2}, "\"\\\"\\\\\""},
        {{(const uint8_t *)"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{(const uint8_t *)"\0\1\37 ", 4}, "\"\\u0000\\u0001\\u001f \""},
        {{(const uint8_t *)"\303\244\342\202\254\360\235\204\236", 9},
         "\"\303\244\342\202\254\360\235\204\236\""},
        {{(const uint8_t *)"sixteen plain by\"tes and more", 29},
         "\"sixteen plain by\\\"tes and more\""},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        struct writer out = new_writer(200);
        json_string_write(&out, CASES[at].utf8);
        cr_expect(bytes_equal(writer_bytes(&out), bytes_of_text(CASES[at].json)), "%s",
                  CASES[at].json);
        struct bytes text;
        cr_expect(document_string(document_of(CASES[at].json), &text) &&
                  bytes_equal(text, CASES[at].utf8));
    }
}

Test(document, a_character_is_escaped_at_any_place_of_a_string)
{
    for (size_t size = 1; size < 40; size++) {
        for (size_t at = 0; at < size; at++) {
            uint8_t plain[40];
            memset(plain, 'x', sizeof(plain));
            plain[at] = '\n';
            struct writer out = new_writer(100);
            json_string_write(&out, exact_copy(bytes_of(plain, size)));
            cr_assert_eq(out.size, size + 3);
            cr_assert(
                bytes_equal(bytes_slice(writer_bytes(&out), 1 + at, 2), BYTES_LITERAL("\\n")));
        }
    }
}

static const char *record_of(const char *id, struct bytes document)
{
    struct writer out = new_writer(1000);
    cr_assert_eq(document_record_to_json(bytes_of_text(id), document, &out), STATUS_OK);
    writer_u8(&out, 0);
    return (const char *)out.data;
}

Test(document, a_record_begins_with_its_id)
{
    cr_expect_str_eq(record_of("42", BYTES_EMPTY), "{\"id\":\"42\"}");
    cr_expect_str_eq(record_of("42", document_of("{}")), "{\"id\":\"42\"}");
    cr_expect_str_eq(record_of("a\"b", document_of("{\"x\":1,\"y\":[{\"id\":2}]}")),
                     "{\"id\":\"a\\\"b\",\"x\":1,\"y\":[{\"id\":2}]}");
    /* Its own id is left out wherever it stands, also as the only member. */
    cr_expect_str_eq(record_of("7", document_of("{\"id\":1}")), "{\"id\":\"7\"}");
    cr_expect_str_eq(record_of("7", document_of("{\"a\":1,\"id\":[1,2],\"b\":2}")),
                     "{\"id\":\"7\",\"a\":1,\"b\":2}");
    cr_expect_str_eq(record_of("7", document_of("{\"a\":1,\"id\":{\"x\":1}}")),
                     "{\"id\":\"7\",\"a\":1}");
    struct writer out = new_writer(100);
    cr_expect_eq(document_record_to_json(BYTES_LITERAL("1"), document_of("[1]"), &out),
                 STATUS_DAMAGED);
    struct bytes document = document_of("{\"a\":1}");
    for (size_t capacity = 0; capacity < 16; capacity++) {
        struct writer small = new_writer(16);
        small.capacity = capacity;
        cr_expect_eq(document_record_to_json(BYTES_LITERAL("1"), document, &small),
                     STATUS_TOO_LARGE);
    }
}

/* ---- building ---- */

Test(document, what_is_built_is_valid_and_reads_back)
{
    static const uint64_t NATURALS[] = {
        0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX};
    static const int64_t INTEGERS[] = {
        0,         -1,        -32,           -33,       -128,
        -129,      INT16_MIN, INT16_MIN - 1, INT32_MIN, (int64_t)INT32_MIN - 1,
        INT64_MIN, INT64_MAX};
    size_t naturals = sizeof(NATURALS) / sizeof(NATURALS[0]);
    size_t integers = sizeof(INTEGERS) / sizeof(INTEGERS[0]);
    struct writer out = new_writer(1000);
    document_write_array(&out, (uint32_t)(naturals + integers + 4));
    for (size_t at = 0; at < naturals; at++) {
        document_write_u64(&out, NATURALS[at]);
    }
    for (size_t at = 0; at < integers; at++) {
        document_write_i64(&out, INTEGERS[at]);
    }
    document_write_bool(&out, true);
    document_write_null(&out);
    document_write_float(&out, 0.5);
    document_write_raw(&out, document_of("{\"a\":1}"));
    cr_assert_eq(document_validate(writer_bytes(&out)), STATUS_OK);
    cr_assert_str_eq(
        json_of(writer_bytes(&out)),
        "[0,127,128,255,256,65535,65536,4294967295,4294967296,18446744073709551615,0,-1,-32,-33,"
        "-128,-129,-32768,-32769,-2147483648,-2147483649,-9223372036854775808,"
        "9223372036854775807,true,null,0.5,{\"a\":1}]");
}

Test(document, heads_fit_their_sizes)
{
    static const uint32_t SIZES[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000};
    static char text[70000];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < sizeof(SIZES) / sizeof(SIZES[0]); at++) {
        struct writer out = new_writer(2 * sizeof(text) + 16);
        struct bytes read;
        document_write_string(&out, bytes_of(text, SIZES[at]));
        cr_expect_eq(document_validate(writer_bytes(&out)), STATUS_OK);
        cr_expect(document_string(writer_bytes(&out), &read) && read.size == SIZES[at]);

        out.size = 0;
        document_write_array(&out, SIZES[at]);
        for (uint32_t left = SIZES[at]; left > 0; left--) {
            document_write_null(&out);
        }
        cr_expect_eq(document_validate(writer_bytes(&out)), STATUS_OK);
        cr_expect_eq(document_count(writer_bytes(&out)), SIZES[at]);
    }
}

static const char *with_member(const char *json, const char *name, const char *value)
{
    struct writer out = new_writer(2000);
    struct bytes document = json == NULL ? BYTES_EMPTY : document_of(json);
    cr_assert_eq(document_set_member(document, bytes_of_text(name), document_of(value), &out),
                 STATUS_OK);
    cr_assert_eq(document_validate(writer_bytes(&out)), STATUS_OK);
    return json_of(writer_bytes(&out));
}

static const char *without_member(const char *json, const char *name)
{
    struct writer out = new_writer(2000);
    struct bytes document = json == NULL ? BYTES_EMPTY : document_of(json);
    cr_assert_eq(document_without_member(document, bytes_of_text(name), &out), STATUS_OK);
    cr_assert_eq(document_validate(writer_bytes(&out)), STATUS_OK);
    return json_of(writer_bytes(&out));
}

Test(document, one_member_is_set_in_its_place_or_at_the_end)
{
    cr_expect_str_eq(with_member("{\"a\":1,\"b\":2}", "a", "[3]"), "{\"a\":[3],\"b\":2}");
    cr_expect_str_eq(with_member("{\"a\":1,\"b\":2}", "b", "null"), "{\"a\":1,\"b\":null}");
    cr_expect_str_eq(with_member("{\"a\":1,\"b\":2}", "c", "3"), "{\"a\":1,\"b\":2,\"c\":3}");
    cr_expect_str_eq(with_member("{}", "c", "3"), "{\"c\":3}");
    cr_expect_str_eq(with_member(NULL, "c", "3"), "{\"c\":3}");
    const char *fifteen =
        "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
        "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1}";
    const char *sixteen = with_member(fifteen, "p", "1");
    cr_expect_eq(document_count(document_of(sixteen)), 16);
    cr_expect_str_eq(without_member(sixteen, "p"), fifteen);

    struct writer out = new_writer(100);
    struct bytes value = document_of("1");
    cr_expect_eq(document_set_member(document_of("[1]"), BYTES_LITERAL("a"), value, &out),
                 STATUS_INVALID);
    struct writer small = new_writer(5);
    cr_expect_eq(document_set_member(document_of("{\"a\":1}"), BYTES_LITERAL("b"), value, &small),
                 STATUS_TOO_LARGE);
}

Test(document, one_member_is_taken_out)
{
    cr_expect_str_eq(without_member("{\"a\":1,\"b\":{\"c\":[1,2]},\"d\":3}", "b"),
                     "{\"a\":1,\"d\":3}");
    cr_expect_str_eq(without_member("{\"a\":1,\"b\":2}", "a"), "{\"b\":2}");
    cr_expect_str_eq(without_member("{\"a\":1,\"b\":2}", "b"), "{\"a\":1}");
    cr_expect_str_eq(without_member("{\"a\":1}", "a"), "{}");
    cr_expect_str_eq(without_member("{\"a\":1}", "x"), "{\"a\":1}");
    cr_expect_str_eq(without_member("{}", "x"), "{}");
    cr_expect_str_eq(without_member(NULL, "x"), "{}");
    struct writer out = new_writer(100);
    cr_expect_eq(document_without_member(document_of("1"), BYTES_LITERAL("a"), &out),
                 STATUS_INVALID);
}
