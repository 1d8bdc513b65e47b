#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/webhook/template.h"
#include "net/webhook/url.h"
#include "protocol/base/utf8.h"
#include "webhook_documents.h"

static struct template *template_of(enum template_kind kind, const char *text)
{
    static const struct template_parameter parameters[] = {
        {{(const uint8_t *)"id", 2}, {(const uint8_t *)"$.keys.id", 9}},
        {{(const uint8_t *)"n", 1}, {(const uint8_t *)"$.n", 3}},
    };
    struct template *template;
    char problem[TEMPLATE_PROBLEM_BYTES];
    enum status status =
        template_parse(kind, bytes_of_text(text), parameters, 2, &template, problem);
    cr_assert_eq(status, STATUS_OK, "%s: %s", text, problem);
    return template;
}

static uint8_t rendered_buffer[1 << 20];

/* The rendered text, or the name of a status. */
static const char *rendered(enum template_kind kind, const char *text, const char *event)
{
    struct template *template = template_of(kind, text);
    struct writer out = writer_of(rendered_buffer, sizeof(rendered_buffer));
    enum status status = template_render(template, document_of(event), &out);
    template_destroy(&template);
    cr_assert_null(template);
    return status == STATUS_OK ? text_of(writer_bytes(&out)) : status_name(status);
}

#define CHECK_BODY(text, event, expected)                                                          \
    cr_assert_str_eq(rendered(TEMPLATE_BODY, text, event), expected)
#define CHECK_URL(text, event, expected)                                                           \
    cr_assert_str_eq(rendered(TEMPLATE_URL, text, event), expected)
#define CHECK_HEADER(text, event, expected)                                                        \
    cr_assert_str_eq(rendered(TEMPLATE_HEADER, text, event), expected)

Test(template, fills_places_outside_quotes_with_json)
{
    static const char event[] =
        "{\"s\":\"a\\\"b\",\"n\":1.50,\"t\":true,\"z\":null,\"l\":[1,{\"a\":"
        "\"x\"}],\"o\":{}}";
    CHECK_BODY("{\"v\":<$.s>}", event, "{\"v\":\"a\\\"b\"}");
    CHECK_BODY("[<$.n>,<$.t>,<$.z>,<$.absent>]", event, "[1.50,true,null,null]");
    CHECK_BODY("{\"l\":<$.l>,\"o\":<$.o>,\"first\":<$.l[0]>}", event,
               "{\"l\":[1,{\"a\":\"x\"}],\"o\":{},\"first\":1}");
    CHECK_BODY("<$>", "{\"a\":1}", "{\"a\":1}");
    CHECK_BODY("<$.s>", event, "\"a\\\"b\"");
}

Test(template, fills_places_inside_quotes_with_escaped_text)
{
    static const char event[] =
        "{\"s\":\"a\\\"b\\\\c\\n\\u0001\\t\",\"n\":-0,\"t\":false,\"z\":null,"
        "\"l\":[\"q\\\"\"],\"u\":\"\xF0\x9F\x90\x95\"}";
    CHECK_BODY("{\"v\":\"-<$.s>-\"}", event, "{\"v\":\"-a\\\"b\\\\c\\n\\u0001\\t-\"}");
    CHECK_BODY("\"<$.n> <$.t>|<$.z>|<$.absent>|<$.u>\"", event, "\"-0 false|||\xF0\x9F\x90\x95\"");
    CHECK_BODY("\"<$.l>\"", event, "\"[\\\"q\\\\\\\"\\\"]\"");
    CHECK_BODY("{\"<$.t>\":1}", event, "{\"false\":1}");
}

Test(template, tells_quotes_of_json_from_escaped_ones)
{
    static const char event[] = "{\"s\":\"x\\\"\"}";
    CHECK_BODY("[\"\\\"<$.s>\",<$.s>]", event, "[\"\\\"x\\\"\",\"x\\\"\"]");
    CHECK_BODY("[\"\\\\\",<$.s>,\"\\\\<$.s>\"]", event, "[\"\\\\\",\"x\\\"\",\"\\\\x\\\"\"]");
}

Test(template, keeps_all_other_text)
{
    CHECK_BODY("", "{}", "");
    CHECK_BODY("<b>1 < 2</b> {id} \\<$.a> \\", "{\"a\":1}", "<b>1 < 2</b> {id} <$.a> \\");
    CHECK_BODY("<", "{}", "<");
    CHECK_BODY("a\\nb\\\\<$.a>", "{\"a\":1}", "a\\nb\\\\1");
    CHECK_HEADER("plain <x> \\<$.a>", "{\"a\":1}", "plain <x> <$.a>");
}

Test(template, of_the_original_pipe_works)
{
    CHECK_BODY("{ \"metadata\":{ \"service\": \"pet-service\", \"correlationId\": \"<$.eventID>\" "
               "}, \"data\": { \"id\": <$.newImage.id>}}",
               "{\"eventID\":\"1-2-3\",\"newImage\":{\"id\":\"a\\\"}b\"}}",
               "{ \"metadata\":{ \"service\": \"pet-service\", \"correlationId\": \"1-2-3\" }, "
               "\"data\": { \"id\": \"a\\\"}b\"}}");
}

Test(template, of_a_url_encodes_values_whole)
{
    static const char event[] = "{\"keys\":{\"id\":\"a/b?c#d e%\xC3\xBC\\r\\n\"},\"n\":1.50,"
                                "\"t\":true,\"ok\":\"aZ09-._~\"}";
    CHECK_URL("http://h/pets/{id}", event, "http://h/pets/a%2Fb%3Fc%23d%20e%25%C3%BC%0D%0A");
    CHECK_URL("http://h:1/{n}?x=<$.t>&y=<$.ok>", event, "http://h:1/1.50?x=true&y=aZ09-._~");
    CHECK_URL("http://h?<$.n>", event, "http://h?1.50");
    CHECK_URL("http://h/x", event, "http://h/x");
}

Test(template, of_a_url_refuses_values_that_it_cannot_hold)
{
    static const char *const events[] = {"{}",
                                         "{\"keys\":{}}",
                                         "{\"keys\":{\"id\":null}}",
                                         "{\"keys\":{\"id\":\"\"}}",
                                         "{\"keys\":{\"id\":[1]}}",
                                         "{\"keys\":{\"id\":{\"a\":1}}}",
                                         "{\"keys\":{\"id\":\".\"}}",
                                         "{\"keys\":{\"id\":\"..\"}}"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        cr_assert_str_eq(rendered(TEMPLATE_URL, "http://h/pets/{id}", events[i]),
                         "STATUS_UNPROCESSABLE", "%s", events[i]);
    }
    CHECK_URL("http://h/pets/.{id}/x", "{\"keys\":{\"id\":\".\"}}", "STATUS_UNPROCESSABLE");
    CHECK_URL("http://h/pets/{id}{n}", "{\"keys\":{\"id\":\".\"},\"n\":\".\"}",
              "STATUS_UNPROCESSABLE");
    CHECK_URL("http://h/pets/{id}", "{\"keys\":{\"id\":\"...\"}}", "http://h/pets/...");
    CHECK_URL("http://h/pets/{id}", "{\"keys\":{\"id\":\"%2e%2e\"}}", "http://h/pets/%252e%252e");
    CHECK_URL("http://h/pets?x={id}", "{\"keys\":{\"id\":\"..\"}}", "http://h/pets?x=..");
}

Test(template, of_a_header_takes_no_line_breaks)
{
    CHECK_HEADER("a <$.v> b", "{\"v\":\"x y\"}", "a x y b");
    CHECK_HEADER("<$.v>", "{\"v\":[\"a\\nb\"]}", "[\"a\\nb\"]");
    CHECK_HEADER("<$.v>|<$.w>", "{\"v\":null}", "|");
    CHECK_HEADER("<$.v>", "{\"v\":\"a\\r\\nSet-Cookie: x\"}", "STATUS_UNPROCESSABLE");
    CHECK_HEADER("<$.v>", "{\"v\":\"a\\nb\"}", "STATUS_UNPROCESSABLE");
    CHECK_HEADER("<$.v>", "{\"v\":\"a\\u0000b\"}", "STATUS_UNPROCESSABLE");
    CHECK_HEADER("<$.v>", "{\"v\":\"a\\u007fb\"}", "STATUS_UNPROCESSABLE");
}

Test(template, explains_which_place_cannot_be_filled)
{
    static const struct {
        enum template_kind kind;
        const char *text;
        const char *event;
        const char *words;
    } cases[] = {
        {TEMPLATE_URL, "http://h/{n}/{id}", "{\"n\":1}", "{id}: the change has no value there"},
        {TEMPLATE_URL, "http://h/<$.a.b>", "{\"a\":{\"b\":[]}}", "<$.a.b>: an object or array"},
        {TEMPLATE_URL, "http://h/<$.a>", "{\"a\":\"\"}", "<$.a>: the value is empty"},
        {TEMPLATE_URL, "http://h/<$.a>", "{\"a\":\"..\"}", "segment . or .."},
        {TEMPLATE_HEADER, "<$.a><$.b>", "{\"a\":1,\"b\":\"\\n\"}",
         "<$.b>: the value has a control"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TEMPLATE_PROBLEM_BYTES];
        struct template *template = template_of(cases[i].kind, cases[i].text);
        template_explain(template, document_of(cases[i].event), text);
        cr_assert_not_null(strstr(text, cases[i].words), "%s: %s", cases[i].text, text);
        template_destroy(&template);
    }
}

Test(template, says_what_is_wrong_and_where)
{
    static const struct {
        enum template_kind kind;
        const char *text;
        const char *words;
    } wrong[] = {
        {TEMPLATE_BODY, "ab<$.>", "at byte 6: a name is missing"},
        {TEMPLATE_BODY, "<$.a", "at byte 5: the place that began has no '>'"},
        {TEMPLATE_BODY, "<$.a b>", "at byte 5: after a step comes"},
        {TEMPLATE_BODY, "<$a>", "at byte 3: after a step comes"},
        {TEMPLATE_BODY, "<$.a[x]>", "at byte 6: an index like"},
        {TEMPLATE_URL, "http://h/{no}", "at byte 10: `path` does not say what {no} stands for"},
        {TEMPLATE_URL, "http://h/{id", "at byte 10: the '{' has no '}'"},
        {TEMPLATE_URL, "http://h/id}", "percent-encoded"},
        {TEMPLATE_URL, "http://h/\\<", "percent-encoded"},
        {TEMPLATE_URL, "http://h/%{n}", "two hexadecimal"},
        {TEMPLATE_URL, "http://h/%4<$.n>", "two hexadecimal"},
        {TEMPLATE_URL, "http://{id}/", "behind the host"},
        {TEMPLATE_URL, "http://h{id}", "behind the host"},
        {TEMPLATE_URL, "http://h:8{n}/", "port"},
        {TEMPLATE_URL, "{id}", "neither http"},
        {TEMPLATE_URL, "<$.url>", "neither http"},
        {TEMPLATE_URL, "http://<$.a>@h/", "credentials"},
        {TEMPLATE_URL, "http://h/../{id}", "segment"},
        {TEMPLATE_HEADER, "a\r\nb", "at byte 2: a header has no control characters"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        static const struct template_parameter parameters[] = {
            {{(const uint8_t *)"id", 2}, {(const uint8_t *)"$.id", 4}},
            {{(const uint8_t *)"n", 1}, {(const uint8_t *)"$.n", 3}},
        };
        struct template *template;
        char problem[TEMPLATE_PROBLEM_BYTES] = "";
        cr_assert_eq(template_parse(wrong[i].kind, bytes_of_text(wrong[i].text), parameters, 2,
                                    &template, problem),
                     STATUS_INVALID, "%s", wrong[i].text);
        cr_assert_null(template);
        cr_assert_not_null(strstr(problem, wrong[i].words), "%s: %s", wrong[i].text, problem);
    }
}

Test(template, has_at_most_64_kib_and_256_places)
{
    static char text[TEMPLATE_BYTES_MAX + 1];
    struct template *template;
    char problem[TEMPLATE_PROBLEM_BYTES];
    memset(text, 'a', sizeof(text));
    cr_assert_eq(template_parse(TEMPLATE_BODY, bytes_of(text, TEMPLATE_BYTES_MAX), NULL, 0,
                                &template, problem),
                 STATUS_OK);
    template_destroy(&template);
    cr_assert_eq(template_parse(TEMPLATE_BODY, bytes_of(text, TEMPLATE_BYTES_MAX + 1), NULL, 0,
                                &template, problem),
                 STATUS_UNPROCESSABLE);
    for (size_t i = 0; i <= TEMPLATE_PLACES_MAX; i++) {
        memcpy(text + 5 * i, "<$.a>", 5);
    }
    cr_assert_eq(template_parse(TEMPLATE_BODY, bytes_of(text, 5 * TEMPLATE_PLACES_MAX), NULL, 0,
                                &template, problem),
                 STATUS_OK);
    struct writer out = writer_of(rendered_buffer, sizeof(rendered_buffer));
    cr_assert_eq(template_render(template, document_of("{\"a\":1}"), &out), STATUS_OK);
    cr_assert_eq(out.size, TEMPLATE_PLACES_MAX);
    template_destroy(&template);
    cr_assert_eq(template_parse(TEMPLATE_BODY, bytes_of(text, 5 * (TEMPLATE_PLACES_MAX + 1)), NULL,
                                0, &template, problem),
                 STATUS_UNPROCESSABLE);
    cr_assert_str_eq(problem, "there are over 256 places");
}

Test(template, knows_whether_it_is_json_and_constant)
{
    static const struct {
        const char *text;
        bool is_json;
        bool is_constant;
    } cases[] = {
        {"{}", true, true},
        {"", false, true},
        {"<$.a>", true, false},
        {"{\"a\":<$.a>,\"b\":\"<$.b>\",\"<$.c>\":1,\"<$.d>\":2}", true, false},
        {"{\"a\":<$.a>,}", false, false},
        {"{<$.a>:1}", false, false},
        {"<$.a><$.b>", false, false},
        {"<$.a> <$.b>", false, false},
        {"1<$.a>", false, false},
        {"-<$.a>", false, false},
        {"nul<$.a>", false, false},
        {"\"\\u00<$.a>41\"", false, false},
        {"\"\\ud83d<$.a>\\ude00\"", false, false},
        {"\"\\ud83d\\ude00<$.a>\"", true, false},
        {"{\"a\":1}\n{\"a\":<$.a>}", false, false},
        {"\"<$.a>", false, false},
        {"hello", false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct template *template = template_of(TEMPLATE_BODY, cases[i].text);
        cr_assert_eq(template_is_json(template), cases[i].is_json, "%s", cases[i].text);
        cr_assert_eq(template_is_constant(template), cases[i].is_constant, "%s", cases[i].text);
        template_destroy(&template);
    }
}

Test(template, that_does_not_fit_says_so_at_every_size)
{
    static const char event[] = "{\"s\":\"a\\\"\\u0001\",\"l\":[\"\\\"\",1.50]}";
    struct template *template =
        template_of(TEMPLATE_BODY, "{\"a\":<$.l>,\"b\":\"<$.s> <$.l>\",\"c\":<$.x>}");
    struct writer whole = writer_of(rendered_buffer, sizeof(rendered_buffer));
    struct bytes document = document_of(event);
    cr_assert_eq(template_render(template, document, &whole), STATUS_OK);
    for (size_t capacity = 0; capacity < whole.size; capacity++) {
        uint8_t *exact = malloc(capacity + 1);
        cr_assert_not_null(exact);
        struct writer out = writer_of(exact, capacity);
        cr_assert_eq(template_render(template, document, &out), STATUS_TOO_LARGE, "%zu", capacity);
        free(exact);
    }
    template_destroy(&template);
    template = template_of(TEMPLATE_URL, "http://h/<$.s>?<$.s>");
    whole = writer_of(rendered_buffer, sizeof(rendered_buffer));
    cr_assert_eq(template_render(template, document, &whole), STATUS_OK);
    for (size_t capacity = 0; capacity < whole.size; capacity++) {
        uint8_t *exact = malloc(capacity + 1);
        cr_assert_not_null(exact);
        struct writer out = writer_of(exact, capacity);
        cr_assert_eq(template_render(template, document, &out), STATUS_TOO_LARGE, "%zu", capacity);
        free(exact);
    }
    template_destroy(&template);
}

/* ---- whatever the event ---- */

struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t sides)
{
    dice->state = dice->state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((dice->state >> 33) % sides);
}

static const char *pick(struct dice *dice, const char *const *texts, uint32_t count)
{
    return texts[roll(dice, count)];
}

/* Text that would love to end a string, a line or a URL's segment. */
static void hostile_text(struct dice *dice, struct writer *json)
{
    static const char *const parts[] = {"\\\"",
                                        "\\\\",
                                        "\\n",
                                        "\\r\\n",
                                        "\\u0000",
                                        "\\u001f",
                                        "\\u007f",
                                        "a",
                                        "<",
                                        "<$.x>",
                                        "}",
                                        "]",
                                        ",",
                                        ":",
                                        "null",
                                        "/",
                                        "..",
                                        ".",
                                        "?",
                                        "#",
                                        "%",
                                        "%2e",
                                        "\\ud83d\\ude00",
                                        "\xC3\xA9",
                                        "\xE2\x80\xA8",
                                        "{id}",
                                        " ",
                                        "&",
                                        "@",
                                        "0041"};
    writer_u8(json, '"');
    for (uint32_t left = roll(dice, 5); left > 0; left--) {
        writer_text(json, pick(dice, parts, sizeof(parts) / sizeof(parts[0])));
    }
    writer_u8(json, '"');
}

static void random_value(struct dice *dice, uint32_t depth, struct writer *json)
{
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "1.50",
                                          "1E2",
                                          "-12",
                                          "18446744073709551615",
                                          "0.1234567890123456789012345678901234567"};
    static const char *const words[] = {"null", "true", "false", "[]", "{}", "\"\""};
    uint32_t kind = roll(dice, depth < 3 ? 6 : 4);
    if (kind <= 1) {
        hostile_text(dice, json);
    } else if (kind == 2) {
        writer_text(json, pick(dice, numbers, 7));
    } else if (kind == 3) {
        writer_text(json, pick(dice, words, 6));
    } else {
        writer_text(json, kind == 4 ? "[" : "{");
        uint32_t count = roll(dice, 4);
        for (uint32_t i = 0; i < count; i++) {
            writer_text(json, i == 0 ? "" : ",");
            if (kind == 5) {
                const uint8_t name[] = {'"', (uint8_t)('a' + i), '"', ':'};
                writer_put(json, bytes_of(name, sizeof(name)));
            }
            random_value(dice, depth + 1, json);
        }
        writer_text(json, kind == 4 ? "]" : "}");
    }
}

static void random_place(struct dice *dice, struct writer *text)
{
    static const char *const places[] = {"<$.a>",    "<$.b>",    "<$.c>", "<$.a.a>",   "<$.a.b>",
                                         "<$.b[0]>", "<$.c[1]>", "<$>",   "<$['a'].c>"};
    writer_text(text, pick(dice, places, 9));
}

/* A JSON template with places in values and in strings; names are distinct whatever is filled
 * in. */
static void random_template(struct dice *dice, uint32_t depth, struct writer *text)
{
    static const char *const fixed[] = {"1", "\"x\"", "null", "[ ]", "\"\\\\\"", "\"\\u00e9\\n\""};
    static const char *const glue[] = {"", " ", "\\\"", "\\\\", "\\u0041", "x", "\\<"};
    uint32_t kind = roll(dice, depth < 3 ? 5 : 3);
    if (kind == 0) {
        writer_text(text, pick(dice, fixed, 6));
    } else if (kind == 1) {
        random_place(dice, text);
    } else if (kind == 2) {
        writer_u8(text, '"');
        for (uint32_t left = roll(dice, 4); left > 0; left--) {
            writer_text(text, pick(dice, glue, 7));
            random_place(dice, text);
            writer_text(text, pick(dice, glue, 7));
        }
        writer_u8(text, '"');
    } else {
        writer_text(text, kind == 3 ? "[" : "{ ");
        uint32_t count = roll(dice, 4);
        for (uint32_t i = 0; i < count; i++) {
            writer_text(text, i == 0 ? "" : " ,");
            if (kind == 4) {
                const uint8_t name[] = {'"', (uint8_t)('a' + i), '"', ':'};
                writer_put(text, bytes_of(name, sizeof(name)));
            }
            random_template(dice, depth + 1, text);
        }
        writer_text(text, kind == 3 ? "]" : "}");
    }
}

static struct bytes random_event(struct dice *dice, uint8_t *json_buffer, size_t json_capacity,
                                 uint8_t *buffer, size_t capacity)
{
    struct writer json = writer_of(json_buffer, json_capacity);
    writer_text(&json, "{\"a\":");
    random_value(dice, 0, &json);
    writer_text(&json, ",\"b\":");
    random_value(dice, 0, &json);
    writer_text(&json, ",\"keys\":{\"id\":");
    hostile_text(dice, &json);
    writer_text(&json, "}}");
    cr_assert_not(json.failed);
    struct writer out = writer_of(buffer, capacity);
    cr_assert_eq(json_to_document(writer_bytes(&json), &out, NULL), STATUS_OK, "%.*s",
                 (int)json.size, (const char *)json.data);
    return writer_bytes(&out);
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("FRESHET_TEST_SEED");
    uint64_t seed = given == NULL ? (uint64_t)time(NULL) : strtoull(given, NULL, 10);
    fprintf(stderr, "FRESHET_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

#define ROUNDS 20000

Test(template, that_is_json_renders_to_json_whatever_the_event)
{
    static uint8_t text_buffer[1 << 16];
    static uint8_t json_buffer[1 << 16];
    static uint8_t event_buffer[1 << 17];
    static uint8_t parsed_buffer[1 << 20];
    struct dice dice = {seed_of_run()};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct writer text = writer_of(text_buffer, sizeof(text_buffer));
        random_template(&dice, 0, &text);
        cr_assert_not(text.failed);
        struct template *template;
        char problem[TEMPLATE_PROBLEM_BYTES];
        cr_assert_eq(
            template_parse(TEMPLATE_BODY, writer_bytes(&text), NULL, 0, &template, problem),
            STATUS_OK, "%.*s: %s", (int)text.size, (const char *)text.data, problem);
        cr_assert(template_is_json(template), "%.*s", (int)text.size, (const char *)text.data);
        struct bytes event = random_event(&dice, json_buffer, sizeof(json_buffer), event_buffer,
                                          sizeof(event_buffer));
        struct writer out = writer_of(rendered_buffer, sizeof(rendered_buffer));
        cr_assert_eq(template_render(template, event, &out), STATUS_OK);
        struct writer parsed = writer_of(parsed_buffer, sizeof(parsed_buffer));
        struct json_error error;
        cr_assert_eq(json_to_document(writer_bytes(&out), &parsed, &error), STATUS_OK,
                     "%.*s\n%.*s\n%s", (int)text.size, (const char *)text.data, (int)out.size,
                     (const char *)out.data, error.text);
        template_destroy(&template);
    }
}

Test(template, of_a_url_keeps_its_host_and_its_segments_whatever_the_event)
{
    static uint8_t json_buffer[1 << 16];
    static uint8_t event_buffer[1 << 17];
    static const char host[] = "http://host:81";
    struct dice dice = {seed_of_run()};
    struct template *template = template_of(TEMPLATE_URL, "http://host:81/a/{id}/b?x=<$.keys.id>");
    uint32_t filled = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct bytes event = random_event(&dice, json_buffer, sizeof(json_buffer), event_buffer,
                                          sizeof(event_buffer));
        struct writer out = writer_of(rendered_buffer, sizeof(rendered_buffer));
        if (template_render(template, event, &out) != STATUS_OK) {
            continue;
        }
        struct bytes url = writer_bytes(&out);
        size_t path_at;
        const char *reason = NULL;
        cr_assert(url_check(url, &path_at, &reason), "%s: %s", text_of(url), reason);
        cr_assert_eq(path_at, strlen(host));
        cr_assert(bytes_starts_with(url, bytes_of_text(host)));
        size_t slashes = 0;
        size_t questions = 0;
        for (size_t i = path_at; i < url.size; i++) {
            slashes += url.data[i] == '/';
            questions += url.data[i] == '?';
        }
        cr_assert_eq(slashes, 3, "%s", text_of(url));
        cr_assert_eq(questions, 1, "%s", text_of(url));
        filled++;
    }
    cr_assert_gt(filled, ROUNDS / 2);
    template_destroy(&template);
}

Test(template, of_a_header_stays_one_line_whatever_the_event)
{
    static uint8_t json_buffer[1 << 16];
    static uint8_t event_buffer[1 << 17];
    struct dice dice = {seed_of_run()};
    struct template *template = template_of(TEMPLATE_HEADER, "<$.a> <$.b> <$.keys.id>");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct bytes event = random_event(&dice, json_buffer, sizeof(json_buffer), event_buffer,
                                          sizeof(event_buffer));
        struct writer out = writer_of(rendered_buffer, sizeof(rendered_buffer));
        if (template_render(template, event, &out) != STATUS_OK) {
            continue;
        }
        cr_assert(utf8_is_valid(writer_bytes(&out)));
        for (size_t i = 0; i < out.size; i++) {
            cr_assert(out.data[i] >= ' ');
        }
    }
    template_destroy(&template);
}
