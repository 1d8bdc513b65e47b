/*
 * What RFC 8259 calls valid and invalid, one line a case; the bytes that no C string holds are
 * octal escapes.
 */
#include <sys/resource.h>

#include "tests/unit/protocol/document/helper.h"

TestSuite(json_grammar, .fini = free_kept);

struct text {
    const char *data;
    size_t size;
};

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct text VALID[] = {
    TEXT("{}"),
    TEXT("[]"),
    TEXT("0"),
    TEXT("-0"),
    TEXT("\"\""),
    TEXT("true"),
    TEXT("false"),
    TEXT("null"),
    TEXT(" \t\r\n[ \t\r\n] \t\r\n"),
    TEXT(" { \"a\" : 1 , \"b\" : 2 } "),
    TEXT("[[] , {} , [[]]]"),
    TEXT("[1,null,\"x\",false]"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":{\"a\":{\"a\":1}}}"),
    TEXT("{\"a\":1,\"A\":2}"),
    TEXT("{\"a\\u0000b\":1,\"a\":2}"),
    TEXT("[0e1,0E+1,1e-2,1.5e3,123.456E78]"),
    TEXT("[-1,-0.0,-1e1]"),
    TEXT("[20e1,0e+1,1E+2,1E-2]"),
    TEXT("1.0000000000000000000000000000000000001"),
    TEXT("12345678901234567890123456789012345678"),
    TEXT("0.00000000000000000000000000000000000000000000000000000000000000000000000000001"),
    TEXT("[1e308,1.7976931348623157e308,-1.7976931348623157e308,17976931348623157e292]"),
    TEXT("[1e-400,1e-99999999999999999999]"),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0060\\u012a\\u12AB\""),
    TEXT("\"\\ud801\\udc37\\uD83D\\uDE39\""),
    TEXT("\"\\u0000\\u001f\""),
    TEXT("\"\\uFFFE\\uFFFF\\uFDD0\\uDBFF\\uDFFE\""),
    TEXT("\"\\\\u0000\""),
    TEXT("\"\\\\\\\\\""),
    TEXT("\"\\u005C\\u0022\""),
    TEXT("\"\177\""),
    TEXT("\"/\""),
    TEXT("\"\303\244\342\202\254\360\235\204\236\""),
    TEXT("\"\302\200\337\277\340\240\200\355\237\277\356\200\200\357\277\277\""),
    TEXT("\"\360\220\200\200\364\217\277\277\""),
    TEXT("\"\342\200\250\342\200\251\""),
    TEXT("\"a long plain text of more than sixteen bytes \303\244 and behind it as long a one\""),
};

static const struct text INVALID[] = {
    /* nothing, and more than one value */
    TEXT(""),
    TEXT(" "),
    TEXT("\n\n"),
    TEXT("1 2"),
    TEXT("{}{}"),
    TEXT("[]]"),
    TEXT("{}}"),
    TEXT("[] x"),
    TEXT("1,"),
    TEXT("\"a\"\"b\""),
    TEXT("{}#"),
    TEXT("{}//"),
    TEXT("{}/**/"),
    TEXT("[1]/"),
    TEXT("\357\273\277{}"),
    TEXT("\357\273\277"),
    TEXT("{}\0"),
    TEXT("\0"),
    TEXT("{}\0{}"),
    TEXT("[1\0]"),
    TEXT("[\0]"),
    TEXT("{\"a\"\0:1}"),
    TEXT("123\0"),
    /* arrays */
    TEXT("["),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[,1]"),
    TEXT("[1,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[,]"),
    TEXT("[1:2]"),
    TEXT("]"),
    TEXT("[1}"),
    TEXT("[\"\",\n]"),
    TEXT("[x"),
    TEXT("[[1]"),
    TEXT("[1,\n1\n,1"),
    TEXT("[{}"),
    TEXT("[*]"),
    /* objects */
    TEXT("{"),
    TEXT("}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":1,"),
    TEXT("{\"a\":1,}"),
    TEXT("{\"a\":1,,\"b\":2}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{[]:1}"),
    TEXT("{\"a\",1}"),
    TEXT("{\"a\":1;\"b\":2}"),
    TEXT("{\"a\":1/**/}"),
    TEXT("{:1}"),
    TEXT("{\"a\":\"b\"}#{}"),
    /* a name twice */
    TEXT("{\"a\":1,\"a\":1}"),
    TEXT("{\"a\":1,\"\\u0061\":2}"),
    TEXT("{\"\":1,\"\":2}"),
    TEXT("[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]"),
    TEXT("{\"longer than eight bytes\":1,\"longer than eight bytes\":2}"),
    TEXT("{\"a\":{\"a\":1},\"b\":[{\"a\":1}],\"a\":0}"),
    /* literals */
    TEXT("tru"),
    TEXT("True"),
    TEXT("TRUE"),
    TEXT("truee"),
    TEXT("fals"),
    TEXT("nul"),
    TEXT("nulll"),
    TEXT("NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("[inf]"),
    TEXT("undefined"),
    TEXT("abc"),
    TEXT("[truth]"),
    /* numbers */
    TEXT("-"),
    TEXT("+1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT("-2."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1E-"),
    TEXT("1eE2"),
    TEXT("1.2.3"),
    TEXT("1e1.5"),
    TEXT("0x1F"),
    TEXT("1_000"),
    TEXT("12abc"),
    TEXT("--1"),
    TEXT("-+1"),
    TEXT("- 1"),
    TEXT("1 000"),
    TEXT("0e"),
    TEXT("0.e1"),
    TEXT("[1a]"),
    TEXT("[-a]"),
    TEXT("\357\274\221"),
    TEXT("1e\303\245"),
    /* strings */
    TEXT("\""),
    TEXT("\"a"),
    TEXT("'a'"),
    TEXT("\"\\\""),
    TEXT("\"\\\\\\\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\0\""),
    TEXT("\"\\ \""),
    TEXT("\"\\u\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u123\""),
    TEXT("\"\\u00G0\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u 041\""),
    TEXT("\"\\\303\244\""),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\r\""),
    TEXT("\"\037\""),
    TEXT("\"\0\""),
    TEXT("\"a\0b\""),
    TEXT("\"new\nline\""),
    TEXT("\"eight by\ttes in front\""),
    /* surrogates */
    TEXT("\"\\uD800\""),
    TEXT("\"\\uD800a\""),
    TEXT("\"\\uD800\\n\""),
    TEXT("\"\\uD800\\u0041\""),
    TEXT("\"\\uD800\\uD800\""),
    TEXT("\"\\uD800\\u\""),
    TEXT("\"\\uDBFF\\"),
    TEXT("\"\\uDC00\""),
    TEXT("\"\\uDFFF\""),
    TEXT("\"a\\udead\""),
    TEXT("\"\\uDC00\\uD800\""),
    TEXT("\"\\uD800\\uDC00\\uDC00\""),
    TEXT("{\"\\uDC00\":1}"),
    /* UTF-8 */
    TEXT("\"\200\""),
    TEXT("\"\277\""),
    TEXT("\"\300\200\""),
    TEXT("\"\301\277\""),
    TEXT("\"\303\""),
    TEXT("\"\303\050\""),
    TEXT("\"\340\200\200\""),
    TEXT("\"\340\237\277\""),
    TEXT("\"\342\202\""),
    TEXT("\"\342\050\241\""),
    TEXT("\"\355\240\200\""),
    TEXT("\"\355\260\200\""),
    TEXT("\"\355\277\277\""),
    TEXT("\"\360\200\200\200\""),
    TEXT("\"\360\217\277\277\""),
    TEXT("\"\360\237\222\""),
    TEXT("\"\364\220\200\200\""),
    TEXT("\"\365\200\200\200\""),
    TEXT("\"\370\210\200\200\200\""),
    TEXT("\"\377\""),
    TEXT("\"plain text in front \376\""),
    TEXT("{\"\351\":0}"),
    TEXT("[\351]"),
    TEXT("\351"),
    TEXT("[\"a\351\"]"),
    TEXT("\377\376[\0]\0"),
    TEXT("\0[\0]"),
    /* not white space to JSON */
    TEXT("[\f]"),
    TEXT("[\v]"),
    TEXT("[\302\240]"),
    TEXT("[\342\201\240]"),
    TEXT("\302\205[]"),
    TEXT("<null>"),
    TEXT("\\u005B\\u005D"),
    TEXT("[\\n]"),
};

Test(json_grammar, every_valid_text_is_taken_and_comes_back_the_same_after_a_second_turn)
{
    for (size_t at = 0; at < sizeof(VALID) / sizeof(VALID[0]); at++) {
        struct bytes document = document_of_bytes(bytes_of(VALID[at].data, VALID[at].size));
        cr_expect_eq(document_validate(document), STATUS_OK, "%s", VALID[at].data);
        const char *first = json_of(document);
        cr_expect_str_eq(json_of(document_of(first)), first);
    }
}

Test(json_grammar, every_invalid_text_is_refused_with_a_place_inside_of_it)
{
    for (size_t at = 0; at < sizeof(INVALID) / sizeof(INVALID[0]); at++) {
        struct bytes json = exact_copy(bytes_of(INVALID[at].data, INVALID[at].size));
        struct writer writer = new_writer(1000);
        struct json_error error = {0};
        enum status status = json_to_document(json, &writer, &error);
        cr_expect_eq(status, STATUS_INVALID, "case %zu: %s gave %s", at, INVALID[at].data,
                     status_name(status));
        cr_expect_eq(error.status, status);
        cr_expect_leq(error.offset, json.size);
        cr_expect_geq(error.line, 1);
        cr_expect_geq(error.column, 1);
        cr_expect_gt(strlen(error.text), 5);
    }
}

Test(json_grammar, a_large_text_is_refused_for_the_same_reasons)
{
    /*
     * White space in front takes it over the size up to which the C stack and short heads are used.
     */
    static char padded[100000];
    for (size_t at = 1; at < sizeof(INVALID) / sizeof(INVALID[0]); at++) {
        memset(padded, ' ', sizeof(padded));
        size_t from = sizeof(padded) - INVALID[at].size;
        memcpy(padded + from, INVALID[at].data, INVALID[at].size);
        struct writer writer = new_writer(1000);
        struct json_error error = {0};
        cr_expect_eq(json_to_document(bytes_of(padded, sizeof(padded)), &writer, &error),
                     STATUS_INVALID, "case %zu: %s", at, INVALID[at].data);
    }
}

Test(json_grammar, the_place_of_an_error_is_its_line_and_its_byte_in_the_line)
{
    static const struct {
        const char *json;
        size_t offset;
        uint32_t line;
        uint32_t column;
    } CASES[] = {
        {"", 0, 1, 1},
        {"x", 0, 1, 1},
        {"{\n  \"a\": 1,\n  \"b\" 2\n}", 18, 3, 7},
        {"[1,\n2,\n]", 7, 3, 1},
        {"{\"a\":1,\n \"b\":{\"c\":1,\"c\":2}}", 20, 2, 13},
        {"{\"a\":1,\n \"\\u0061\":2}", 9, 2, 2},
        {"[\"ab\\uDC00\"]", 4, 1, 5},
        {"[\"\\uD800\\uDC00\\\\uD\\uDFFFx\"]", 18, 1, 19},
        {"[\"a\\uD800\"]", 3, 1, 4},
        {"[\"\303\244\303\244\", \"abc\377\"]", 13, 1, 14},
        {"[1, 01]", 5, 1, 6},
        {"[1, -]", 5, 1, 6},
        {"\n\n  [", 5, 3, 4},
        {"[1] [", 4, 1, 5},
        {"[1,\r\n  1e999]", 7, 2, 3},
        {"[1,\n  123456789012345678901234567890123456789]", 6, 2, 3},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        struct writer writer = new_writer(1000);
        struct json_error error = {0};
        cr_expect_neq(json_to_document(bytes_of_text(CASES[at].json), &writer, &error), STATUS_OK);
        cr_expect(error.offset == CASES[at].offset && error.line == CASES[at].line &&
                      error.column == CASES[at].column,
                  "%s: offset %zu line %u column %u, not %zu %u %u", CASES[at].json, error.offset,
                  error.line, error.column, CASES[at].offset, CASES[at].line, CASES[at].column);
    }
}

Test(json_grammar, an_error_needs_no_receiver)
{
    struct writer writer = new_writer(1000);
    cr_assert_eq(json_to_document(BYTES_LITERAL("["), &writer, NULL), STATUS_INVALID);
}

/* depth times the opening, then the closing brackets. */
static struct bytes nested(size_t depth, const char *open, const char *inner, const char *close)
{
    struct writer writer = new_writer(depth * (strlen(open) + strlen(close)) + strlen(inner) + 1);
    for (size_t level = 0; level < depth; level++) {
        writer_text(&writer, open);
    }
    writer_text(&writer, inner);
    for (size_t level = 0; level < depth; level++) {
        writer_text(&writer, close);
    }
    return writer_bytes(&writer);
}

Test(json_grammar, one_hundred_and_twenty_eight_levels_are_taken_and_one_more_is_not)
{
    static const char *const OPEN[] = {"[", "{\"a\":"};
    static const char *const CLOSE[] = {"]", "}"};
    for (size_t kind = 0; kind < 2; kind++) {
        struct bytes deep = nested(DOCUMENT_DEPTH_MAX, OPEN[kind], "1", CLOSE[kind]);
        struct bytes document = document_of_bytes(deep);
        cr_expect_eq(document_validate(document), STATUS_OK);
        cr_expect_eq(strlen(json_of(document)), deep.size);
        cr_expect(document_equal(document, document_of_bytes(deep)));

        struct writer writer = new_writer(10000);
        struct json_error error;
        struct bytes deeper = nested(DOCUMENT_DEPTH_MAX + 1, OPEN[kind], "1", CLOSE[kind]);
        cr_expect_eq(json_to_document(deeper, &writer, &error), STATUS_INVALID);
        writer = new_writer(10000);
        struct bytes ours = nested(DOCUMENT_RENDER_DEPTH_MAX, OPEN[kind], "1", CLOSE[kind]);
        cr_expect_eq(json_rendered_to_document(ours, &writer), STATUS_OK);
        cr_expect_eq(strlen(json_of(writer_bytes(&writer))), ours.size);
        writer = new_writer(10000);
        struct bytes nobodys = nested(DOCUMENT_RENDER_DEPTH_MAX + 1, OPEN[kind], "1", CLOSE[kind]);
        cr_expect_eq(json_rendered_to_document(nobodys, &writer), STATUS_INVALID);
        uint8_t *memory;
        struct bytes block;
        cr_expect_eq(json_rendered_read(nobodys, &memory, &block), STATUS_INVALID);
        cr_expect_null(memory);
        cr_expect_eq(json_rendered_read(ours, &memory, &block), STATUS_OK);
        cr_expect_eq(strlen(json_of(block)), ours.size);
        free(memory);
        struct bytes deepest = nested(1000000, OPEN[kind], "1", CLOSE[kind]);
        cr_expect_eq(json_to_document(deepest, &writer, &error), STATUS_INVALID);
        struct bytes open = nested(1000000, OPEN[kind], "", "");
        cr_expect_eq(json_to_document(open, &writer, &error), STATUS_INVALID);
    }
}

Test(json_grammar, a_document_that_does_not_fit_is_too_large_at_every_size)
{
    struct bytes json = BYTES_LITERAL(
        "{\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17],\"b\":{\"c\":\"text\",\"d\":1.50},"
        "\"e\":29.99,\"f\":null,\"g\":true,\"h\":-70000}");
    struct bytes document = document_of_bytes(json);
    struct json_error error;
    for (size_t capacity = 0; capacity < document.size; capacity++) {
        struct writer writer = new_writer(capacity + 1);
        writer.capacity = capacity;
        cr_expect_eq(json_to_document(json, &writer, &error), STATUS_TOO_LARGE);
    }
    struct writer writer = new_writer(document.size);
    cr_expect_eq(json_to_document(json, &writer, &error), STATUS_OK);

    for (size_t capacity = 0; capacity < json.size; capacity++) {
        struct writer text = new_writer(capacity + 1);
        text.capacity = capacity;
        cr_expect_eq(document_to_json(document, &text), STATUS_TOO_LARGE);
    }
    struct writer text = new_writer(json.size);
    cr_expect_eq(document_to_json(document, &text), STATUS_OK);
    cr_expect(bytes_equal(writer_bytes(&text), json));
}

Test(json_grammar, output_is_appended_behind_what_the_writer_holds)
{
    struct writer writer = new_writer(1000);
    struct json_error error;
    writer_text(&writer, "in front");
    cr_assert_eq(json_to_document(BYTES_LITERAL("{\"a\":1,\"b\":{\"c\":2}}"), &writer, &error),
                 STATUS_OK);
    cr_assert(bytes_starts_with(writer_bytes(&writer), BYTES_LITERAL("in front")));
    struct bytes document = bytes_slice(writer_bytes(&writer), 8, writer.size);
    cr_assert_str_eq(json_of(document), "{\"a\":1,\"b\":{\"c\":2}}");
    cr_assert_eq(json_to_document(BYTES_LITERAL("{\"a\":1,\"a\":2}"), &writer, &error),
                 STATUS_INVALID);
}

/* An object of so many members, m0 to mN, with the name of the last one repeated if asked for. */
static struct bytes many_members(size_t count, bool repeat)
{
    struct writer writer = new_writer(count * 32 + 64);
    writer_u8(&writer, '{');
    for (size_t member = 0; member < count; member++) {
        writer_text(&writer, member == 0 ? "\"m" : ",\"m");
        writer_decimal(&writer, member);
        writer_text(&writer, "\":");
        writer_decimal(&writer, member * member);
    }
    if (repeat) {
        writer_text(&writer, ",\"m");
        writer_decimal(&writer, count / 2);
        writer_text(&writer, "\":0");
    }
    writer_u8(&writer, '}');
    return writer_bytes(&writer);
}

Test(json_grammar, a_repeated_name_is_found_among_any_number_of_members)
{
    static const size_t COUNTS[] = {1, 2, 15, 16, 17, 18, 31, 63, 64, 65, 127, 1000, 70000};
    for (size_t at = 0; at < sizeof(COUNTS) / sizeof(COUNTS[0]); at++) {
        struct bytes json = many_members(COUNTS[at], false);
        struct bytes document = document_of_bytes(json);
        cr_expect_eq(document_count(document), COUNTS[at]);
        cr_expect_eq(document_validate(document), STATUS_OK);
        cr_expect(bytes_equal(bytes_of_text(json_of(document)), json));

        struct bytes twice = many_members(COUNTS[at], true);
        struct writer writer = new_writer(3 * twice.size);
        struct json_error error = {0};
        cr_expect_eq(json_to_document(twice, &writer, &error), STATUS_INVALID, "%zu members",
                     COUNTS[at]);
        /* The later one of the two is named. */
        cr_expect_gt(error.offset, json.size - 2, "%zu members: %zu", COUNTS[at], error.offset);
    }
}

Test(json_grammar, any_one_of_many_names_may_be_the_repeated_one)
{
    for (unsigned repeated = 0; repeated < 17; repeated++) {
        struct writer json = new_writer(400);
        writer_u8(&json, '{');
        for (unsigned member = 0; member < 17; member++) {
            char text[32];
            snprintf(text, sizeof(text), "\"name %u\":0,", member);
            writer_text(&json, text);
        }
        char last[32];
        snprintf(last, sizeof(last), "\"name %u\":0}", repeated);
        writer_text(&json, last);
        struct writer out = new_writer(1000);
        cr_expect_eq(json_to_document(writer_bytes(&json), &out, NULL), STATUS_INVALID, "%u",
                     repeated);
    }
}

Test(json_grammar, the_largest_body_fits_into_the_largest_document)
{
    static const char *const ELEMENTS[] = {"0.5", "{}", "[]", "\"\"", "1E2", "-0", "65536", "1"};
    struct bytes deep = nested(DOCUMENT_DEPTH_MAX - 1, "[", "", "]");
    struct writer out = new_writer(DOCUMENT_BYTES_MAX);
    for (size_t kind = 0; kind <= sizeof(ELEMENTS) / sizeof(ELEMENTS[0]); kind++) {
        struct bytes element = kind == 0 ? deep : bytes_of_text(ELEMENTS[kind - 1]);
        struct writer json = new_writer(DOCUMENT_JSON_BYTES_MAX);
        writer_u8(&json, '[');
        writer_put(&json, element);
        while (writer_left(&json) > element.size + 1) {
            writer_u8(&json, ',');
            writer_put(&json, element);
        }
        writer_u8(&json, ']');
        out.size = 0;
        cr_expect_eq(json_to_document(writer_bytes(&json), &out, NULL), STATUS_OK, "%zu", kind);
        struct writer back = new_writer(DOCUMENT_JSON_BYTES_MAX);
        cr_expect_eq(document_to_json(writer_bytes(&out), &back), STATUS_OK);
        cr_expect(bytes_equal(writer_bytes(&back), writer_bytes(&json)));
    }
}

#ifndef __SANITIZE_ADDRESS__
Test(json_grammar, without_memory_a_large_text_is_refused_and_says_so)
{
    struct bytes json = many_members(20000, false);
    struct writer out = new_writer(3 * json.size);
    struct bytes document = document_of_bytes(json);
    struct json_error error = {0};
    /* From here on the process can map nothing more, and what is free in its heap is given away. */
    struct rlimit none = {0, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
    cr_assert_eq(setrlimit(RLIMIT_DATA, &none), 0);
    size_t size = 1 << 20;
    while (size > 64) {
        void *volatile taken = malloc(size); /* volatile, or the compiler leaves it out */
        size = taken == NULL ? size / 2 : size;
    }
    enum status parsed = json_to_document(json, &out, &error);
    enum status validated = document_validate(document);
    enum status parsed_small = json_to_document(BYTES_LITERAL("{\"a\":1.50}"), &out, NULL);
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_AS, &all), 0);
    cr_assert_eq(setrlimit(RLIMIT_DATA, &all), 0);
    cr_expect_eq(parsed, STATUS_NO_MEMORY);
    cr_expect_eq(error.status, STATUS_NO_MEMORY);
    cr_expect_eq(validated, STATUS_NO_MEMORY);
    cr_expect_eq(parsed_small, STATUS_OK);
}
#endif
