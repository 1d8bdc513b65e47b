#include <stdio.h>

#include "net/webhook/rule.h"
#include "webhook_documents.h"

#define SECOND_NS 1000000000ull
#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define URL       "\"url\":\"http://127.0.0.1:8081/hook\""

static struct rule *rule_of(const char *json)
{
    struct rule *rule;
    struct rule_problem problem;
    enum status status = rule_parse(BYTES_LITERAL("test"), document_of(json), &rule, &problem);
    cr_assert_eq(status, STATUS_OK, "%s: %s", json, problem.text);
    return rule;
}

static const char *rendered(const struct template *template, const char *event)
{
    static uint8_t buffer[4096];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(template_render(template, document_of(event), &out), STATUS_OK);
    return text_of(writer_bytes(&out));
}

Test(rule, needs_a_url_alone_and_has_sensible_defaults)
{
    struct rule *rule = rule_of("{\"target\":{" URL "}}");
    cr_assert_str_eq(text_of(rule->name), "test");
    cr_assert_eq(rule->collection.size, 0);
    cr_assert_null(rule->pattern);
    cr_assert(rule->enabled);
    cr_assert_eq(rule->method, RULE_POST);
    cr_assert_eq(rule->format, RULE_FORMAT_FRESHET);
    cr_assert_str_eq(rendered(rule->url, "{}"), "http://127.0.0.1:8081/hook");
    cr_assert_null(rule->body);
    cr_assert_eq(rule->header_count, 0);
    cr_assert_not(rule->has_content_type);
    cr_assert_eq(rule->secret_count, 0);
    cr_assert_eq(rule->concurrency, 4);
    cr_assert_eq(rule->rate_per_second, 0);
    cr_assert_eq(rule->timeout_ns, 15 * SECOND_NS);
    cr_assert_eq(rule->attempts_max, 10);
    cr_assert_eq(rule->age_ns_max, 24 * 3600 * SECOND_NS);
    cr_assert_eq(rule->retry_first_ns, 5 * SECOND_NS);
    rule_destroy(&rule);
    cr_assert_null(rule);
    rule_destroy(&rule);
}

Test(rule, takes_all_that_its_header_names)
{
    struct rule *rule = rule_of(
        "{\"pattern\":{\"eventName\":[\"MODIFY\"]},\"collection\":\"pets\","
        "\"target\":{\"url\":\"http://127.0.0.1:8081/pets/{id}\",\"method\":\"GET\","
        "\"headers\":{\"Cache-Control\":\"max-age=0\",\"X-Id\":\"<$.eventID>\",\"content-TYPE\":"
        "\"application/json\"},"
        "\"path\":{\"id\":\"$.keys.id\"},\"template\":\"{\\\"id\\\": <$.newImage.id>}\","
        "\"format\":\"cloudevents-binary\",\"timeout\":\"500ms\",\"concurrency\":256,\"rate\":100},"
        "\"retry\":{\"max_attempts\":3,\"max_age\":\"2h\",\"first\":\"100ms\"},"
        "\"secret\":[\"" SECRET "\",\"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"],"
        "\"enabled\":false}");
    static const char event[] =
        "{\"eventID\":\"e-1\",\"keys\":{\"id\":\"a/b\"},\"newImage\":{\"id\":\"a/b\"}}";
    cr_assert_not_null(rule->pattern);
    cr_assert_str_eq(text_of(rule->collection), "pets");
    cr_assert_not(rule->enabled);
    cr_assert_eq(rule->method, RULE_GET);
    cr_assert_eq(rule->format, RULE_FORMAT_CLOUDEVENTS_BINARY);
    cr_assert_str_eq(rendered(rule->url, event), "http://127.0.0.1:8081/pets/a%2Fb");
    cr_assert_str_eq(rendered(rule->body, event), "{\"id\": \"a/b\"}");
    cr_assert_eq(rule->header_count, 3);
    cr_assert_str_eq(text_of(rule->headers[0].name), "Cache-Control");
    cr_assert_str_eq(rendered(rule->headers[0].value, event), "max-age=0");
    cr_assert_str_eq(text_of(rule->headers[1].name), "X-Id");
    cr_assert_str_eq(rendered(rule->headers[1].value, event), "e-1");
    cr_assert(rule->has_content_type);
    cr_assert_eq(rule->secret_count, 2);
    cr_assert_eq(rule->secrets[0].size, 24);
    cr_assert_eq(rule->secrets[1].size, 27);
    cr_assert_eq(rule->concurrency, 256);
    cr_assert_eq(rule->rate_per_second, 100);
    cr_assert_eq(rule->timeout_ns, SECOND_NS / 2);
    cr_assert_eq(rule->attempts_max, 3);
    cr_assert_eq(rule->age_ns_max, 7200 * SECOND_NS);
    cr_assert_eq(rule->retry_first_ns, SECOND_NS / 10);
    rule_destroy(&rule);
}

struct refusal_case {
    const char *json;
    const char *words;
};

static void check_refused(const struct refusal_case *cases, size_t count, enum status expected)
{
    for (size_t i = 0; i < count; i++) {
        struct rule *rule;
        struct rule_problem problem;
        enum status status =
            rule_parse(BYTES_LITERAL("test"), document_of(cases[i].json), &rule, &problem);
        cr_assert_eq(status, expected, "%s: %s", cases[i].json, problem.text);
        cr_assert_null(rule);
        cr_assert_eq(strstr(problem.text, cases[i].words), (char *)problem.text, "%s:\n%s\n%s",
                     cases[i].json, problem.text, cases[i].words);
    }
}

#define CHECK_REFUSED(cases, expected)                                                             \
    check_refused(cases, sizeof(cases) / sizeof((cases)[0]), expected)
/* A rule whose target has another member besides its URL; or another member beside the target. */
#define TARGET(text) "{\"target\":{" URL "," text "}}"
#define BESIDE(text) "{\"target\":{" URL "}," text "}"

Test(rule, that_is_wrong_is_refused_with_the_member_that_is)
{
    static const struct refusal_case cases[] = {
        {"[]", "a rule is not an object"},
        {"{}", "target: is missing"},
        {"{\"target\":[]}", "target: is not an object"},
        {"{\"target\":{}}", "target.url: is missing"},
        {"{\"target\":{\"url\":1}}", "target.url: is not a string"},
        {"{\"target\":{\"url\":\"ftp://a\"}}", "target.url: begins with neither http://"},
        {"{\"target\":{\"url\":\"http://u:p@a/\"}}", "target.url: has credentials"},
        {"{\"target\":{\"url\":\"http://a/{id}\"}}",
         "target.url: at byte 10: `path` does not say what {id} stands for"},
        {"{\"target\":{\"url\":\"http://a/{i\",\"path\":{\"i\":\"$.a\"}}}",
         "target.path.i: the URL has no {i}"},
        {BESIDE("\"patern\":{}"),
         "patern: there is no such member; there are pattern, collection,"},
        {TARGET("\"header\":{}"), "target.header: there is no such member; there are url, method,"},
        {BESIDE("\"retry\":{\"attempts\":1}"),
         "retry.attempts: there is no such member; there are max_attempts, max_age, first"},
        {BESIDE("\"collection\":1"), "collection: is not a string"},
        {BESIDE("\"collection\":\"a b\""), "collection: 'a b' cannot be a collection's name"},
        {BESIDE("\"collection\":\"_rules\""), "collection: '_rules' cannot be"},
        {BESIDE("\"enabled\":1"), "enabled: is not true or false"},
        {BESIDE("\"retry\":1"), "retry: is not an object"},
        {BESIDE("\"pattern\":[]"), "pattern: "},
        {BESIDE("\"pattern\":{\"a\":1}"), "pattern: "},
        {TARGET("\"method\":\"get\""),
         "target.method: 'get' is not GET, HEAD, POST, PUT, PATCH or DELETE"},
        {TARGET("\"method\":null"), "target.method: is not a string"},
        {TARGET("\"format\":\"xml\""),
         "target.format: 'xml' is not freshet, cloudevents-binary or cloudevents-structured"},
        {TARGET("\"format\":\"cloudevents-structured\",\"method\":\"GET\""),
         "target.format: cloudevents-structured is a body, which a GET has only with a template"},
        {TARGET("\"timeout\":15"), "target.timeout: is not a string"},
        {TARGET("\"timeout\":\"15\""), "target.timeout: '15' is not a time like 500ms, 15s"},
        {TARGET("\"timeout\":\"s\""), "target.timeout: 's' is not a time"},
        {TARGET("\"timeout\":\"1.5s\""), "target.timeout: '1.5s' is not a time"},
        {TARGET("\"timeout\":\"1000000000ms\""), "target.timeout: '1000000000ms' is not a time"},
        {TARGET("\"timeout\":\"9ms\""), "target.timeout: '9ms' is not between 10ms and 5m"},
        {TARGET("\"timeout\":\"6m\""), "target.timeout: '6m' is not between 10ms and 5m"},
        {TARGET("\"timeout\":\"999999999d\""), "target.timeout: '999999999d' is not"},
        {TARGET("\"concurrency\":0"), "target.concurrency: is not a whole number from 1 to 256"},
        {TARGET("\"concurrency\":257"), "target.concurrency: is not a whole number from 1 to 256"},
        {TARGET("\"concurrency\":1.0"), "target.concurrency: is not a whole number from 1 to 256"},
        {TARGET("\"rate\":-1"), "target.rate: is not a whole number from 0 to 1000000"},
        {TARGET("\"rate\":1000001"), "target.rate: is not a whole number from 0 to 1000000"},
        {BESIDE("\"retry\":{\"max_attempts\":0}"), "retry.max_attempts: is not a whole number"},
        {BESIDE("\"retry\":{\"max_attempts\":1001}"), "retry.max_attempts: is not a whole number"},
        {BESIDE("\"retry\":{\"max_age\":\"31d\"}"), "retry.max_age: '31d' is not between"},
        {BESIDE("\"retry\":{\"first\":\"0s\"}"), "retry.first: '0s' is not between 1ms and 24h"},
        {BESIDE("\"retry\":{\"first\":\"25h\"}"), "retry.first: '25h' is not between 1ms and 24h"},
        {TARGET("\"template\":{}"), "target.template: is not a string"},
        {TARGET("\"template\":\"<$.a\""), "target.template: at byte 5: the place that began"},
        {TARGET("\"template\":\"{\\\"a\\\":<$.a>,}\",\"headers\":{\"Content-Type\":"
                "\"application/json; charset=utf-8\"}"),
         "target.template: is not JSON, which the header Content-Type says"},
        {TARGET("\"template\":\"x\",\"headers\":{\"content-type\":\"application/problem+json\"}"),
         "target.template: is not JSON, which the header Content-Type says"},
    };
    CHECK_REFUSED(cases, STATUS_INVALID);
}

Test(rule, may_send_what_is_no_json_under_another_type)
{
    struct rule *rule = rule_of(TARGET("\"template\":\"{\\\"a\\\":<$.a>}\\n{}\","
                                       "\"headers\":{\"Content-Type\":\"application/x-ndjson\"}"));
    cr_assert_not(template_is_json(rule->body));
    rule_destroy(&rule);
}

Test(rule, has_path_parameters_that_are_paths_and_are_used)
{
#define PATH(text) "{\"target\":{\"url\":\"http://a/{x}\",\"path\":" text "}}"
    static const struct refusal_case cases[] = {
        {PATH("[]"), "target.path: is not an object like"},
        {PATH("{\"x\":1}"), "target.path.x: is not a string like"},
        {PATH("{\"x\":\"keys.id\"}"), "target.path.x: at byte 1: a path begins with '$'"},
        {PATH("{\"x\":\"$.a b\"}"), "target.path.x: at byte 4: after a step comes"},
        {PATH("{\"x\":\"$.a[\"}"), "target.path.x: at byte 5: an index like [0]"},
        {PATH("{\"x\":\"$.a\",\"y\":\"$.b\"}"), "target.path.y: the URL has no {y}"},
        {PATH("{\"x y\":\"$.a\"}"), "target.path.x y: a name has 1 to 64 of"},
        {PATH("{\"\":\"$.a\"}"), "target.path.: a name has 1 to 64 of"},
    };
    CHECK_REFUSED(cases, STATUS_INVALID);
    struct rule *rule = rule_of(PATH("{\"x\":\"$.a['b c'][0]\"}"));
    cr_assert_str_eq(rendered(rule->url, "{\"a\":{\"b c\":[7]}}"), "http://a/7");
    rule_destroy(&rule);
}

Test(rule, has_headers_that_are_its_own_to_set)
{
#define HEADERS(text) TARGET("\"headers\":" text)
    static const struct refusal_case cases[] = {
        {HEADERS("1"), "target.headers: is not an object like"},
        {HEADERS("{\"a b\":\"x\"}"), "target.headers.a b: this cannot be a header's name"},
        {HEADERS("{\"\":\"x\"}"), "target.headers.: this cannot be a header's name"},
        {HEADERS("{\"a:\":\"x\"}"), "target.headers.a:: this cannot be a header's name"},
        {HEADERS("{\"a\\r\\nb\":\"x\"}"), "target.headers.a\r\nb: this cannot be"},
        {HEADERS("{\"X\":1}"), "target.headers.X: is not a string"},
        {HEADERS("{\"X\":\"a\\nb\"}"), "target.headers.X: at byte 2: a header has no control"},
        {HEADERS("{\"X\":\"<$.a\"}"), "target.headers.X: at byte 5: the place that began"},
        {HEADERS("{\"X-A\":\"1\",\"x-a\":\"2\"}"), "target.headers.x-a: is there twice"},
        {HEADERS("{\"HOST\":\"a\"}"), "target.headers.HOST: belongs to the connection"},
        {HEADERS("{\"Content-length\":\"1\"}"), "target.headers.Content-length: belongs to the"},
        {HEADERS("{\"Transfer-Encoding\":\"chunked\"}"), "target.headers.Transfer-Encoding: be"},
        {HEADERS("{\"connection\":\"close\"}"), "target.headers.connection: belongs to the"},
        {HEADERS("{\"Upgrade\":\"h2c\"}"), "target.headers.Upgrade: belongs to the connection"},
        {HEADERS("{\"TE\":\"x\"}"), "target.headers.TE: belongs to the connection"},
        {HEADERS("{\"Trailer\":\"x\"}"), "target.headers.Trailer: belongs to the connection"},
        {HEADERS("{\"Expect\":\"x\"}"), "target.headers.Expect: belongs to the connection"},
        {HEADERS("{\"Webhook-Id\":\"x\"}"), "target.headers.Webhook-Id: belongs to Standard"},
        {HEADERS("{\"webhook-anything\":\"x\"}"), "target.headers.webhook-anything: belongs to"},
        {TARGET("\"format\":\"cloudevents-binary\",\"headers\":{\"CE-id\":\"x\"}"),
         "target.headers.CE-id: belongs to CloudEvents"},
        {TARGET("\"headers\":{\"Content-Type\":\"a/b\"},\"format\":\"cloudevents-structured\""),
         "target.headers.Content-Type: is application/cloudevents+json in this format"},
    };
    CHECK_REFUSED(cases, STATUS_INVALID);
    struct rule *rule = rule_of(HEADERS("{\"Authorization\":\"Bearer x\",\"ce-x\":\"y\",\"Hosts\":"
                                        "\"\"}"));
    cr_assert_eq(rule->header_count, 3);
    rule_destroy(&rule);
}

Test(rule, has_one_or_two_secrets_and_no_message_repeats_them)
{
    static const struct refusal_case cases[] = {
        {BESIDE("\"secret\":1"), "secret: is not a string"},
        {BESIDE("\"secret\":\"hunter2\""), "secret: does not begin with whsec_"},
        {BESIDE("\"secret\":[]"), "secret: is one text, or a list of one or two"},
        {BESIDE("\"secret\":[\"" SECRET "\",\"" SECRET "\",\"" SECRET "\"]"),
         "secret: is one text, or a list of one or two"},
        {BESIDE("\"secret\":[\"" SECRET "\",\"whsec_hunter2\"]"), "secret[1]: is not whsec_ and"},
        {BESIDE("\"secret\":[\"" SECRET "\",null]"), "secret[1]: is not a string"},
        {BESIDE("\"secret\":\"whsec_aHVudGVyMg==\""), "secret: has fewer than 24"},
    };
    CHECK_REFUSED(cases, STATUS_INVALID);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rule *rule;
        struct rule_problem problem;
        cr_assert_neq(rule_parse(BYTES_LITERAL("a"), document_of(cases[i].json), &rule, &problem),
                      STATUS_OK);
        cr_assert_null(strstr(problem.text, "hunter2"), "%s", problem.text);
        cr_assert_null(strstr(problem.text, "aHVudGVyMg"), "%s", problem.text);
    }
    struct rule *rule = rule_of(BESIDE("\"secret\":\"" SECRET "\""));
    cr_assert_eq(rule->secret_count, 1);
    rule_destroy(&rule);
    rule = rule_of(BESIDE("\"secret\":[\"" SECRET "\"]"));
    cr_assert_eq(rule->secret_count, 1);
    rule_destroy(&rule);
}

/* {"target":{"url":"http://a/<count times unit>", <members>}} */
static struct bytes target_of(const char *url_tail, size_t count, const char *members)
{
    static uint8_t buffer[128 << 10];
    struct writer out = writer_of(buffer, sizeof(buffer));
    writer_text(&out, "{\"target\":{\"url\":\"http://a/");
    for (size_t i = 0; i < count; i++) {
        writer_text(&out, url_tail);
    }
    writer_text(&out, "\"");
    writer_text(&out, members);
    writer_text(&out, "}}");
    writer_u8(&out, 0);
    cr_assert_not(out.failed);
    return document_of((const char *)buffer);
}

static void check_limit(struct bytes document, enum status expected, const char *words)
{
    struct rule *rule;
    struct rule_problem problem;
    enum status status = rule_parse(BYTES_LITERAL("a"), document, &rule, &problem);
    cr_assert_eq(status, expected, "%s", problem.text);
    if (expected == STATUS_OK) {
        rule_destroy(&rule);
    } else {
        cr_assert_not_null(strstr(problem.text, words), "%s", problem.text);
    }
}

/* ,"headers":{"h0":"","h1":"",…} */
static const char *many_headers(size_t count)
{
    static char text[4096];
    size_t size = (size_t)snprintf(text, sizeof(text), ",\"headers\":{");
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s\"h%zu\":\"\"",
                                 i == 0 ? "" : ",", i);
    }
    snprintf(text + size, sizeof(text) - size, "}");
    return text;
}

/* ,"headers":{"<name>":"<value>"} of so many bytes each. */
static const char *long_header(size_t name_size, size_t value_size)
{
    static char text[8192];
    int size = snprintf(text, sizeof(text), ",\"headers\":{\"%0*d\":\"%0*d\"}", (int)name_size, 0,
                        (int)value_size, 0);
    cr_assert(size > 0 && (size_t)size < sizeof(text));
    return text;
}

Test(rule, is_unprocessable_over_a_limit)
{
    check_limit(target_of("a", RULE_URL_BYTES_MAX - 9, ""), STATUS_OK, "");
    check_limit(target_of("a", RULE_URL_BYTES_MAX - 8, ""), STATUS_UNPROCESSABLE,
                "target.url: is over 2048 bytes");
    check_limit(target_of("", 0, many_headers(RULE_HEADERS_MAX)), STATUS_OK, "");
    check_limit(target_of("", 0, many_headers(RULE_HEADERS_MAX + 1)), STATUS_UNPROCESSABLE,
                "target.headers: has over 32");
    check_limit(target_of("", 0, long_header(128, RULE_HEADER_BYTES_MAX)), STATUS_OK, "");
    check_limit(target_of("", 0, long_header(1, RULE_HEADER_BYTES_MAX + 1)), STATUS_UNPROCESSABLE,
                "target.headers.0: is over 4096 bytes");
    check_limit(target_of("", 0, long_header(129, 1)), STATUS_INVALID, "cannot be a header's name");
    check_limit(target_of("{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n}{o}{p}{q}", 1,
                          ",\"path\":{\"a\":\"$\",\"b\":\"$\",\"c\":\"$\",\"d\":\"$\",\"e\":\"$\","
                          "\"f\":\"$\",\"g\":\"$\",\"h\":\"$\",\"i\":\"$\",\"j\":\"$\",\"k\":\"$\","
                          "\"l\":\"$\",\"m\":\"$\",\"n\":\"$\",\"o\":\"$\",\"p\":\"$\",\"q\":\"$\""
                          "}"),
                STATUS_UNPROCESSABLE, "target.path: has over 16 parameters");
}

Test(rule, has_a_name_that_a_path_can_hold)
{
    char longest[RULE_NAME_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    cr_assert(rule_name_valid(BYTES_LITERAL("a")));
    cr_assert(rule_name_valid(BYTES_LITERAL("nginx-refresh_2.x")));
    cr_assert(rule_name_valid(BYTES_LITERAL("...")));
    cr_assert(rule_name_valid(bytes_of(longest, RULE_NAME_BYTES_MAX)));
    cr_assert_not(rule_name_valid(bytes_of(longest, RULE_NAME_BYTES_MAX + 1)));
    cr_assert_not(rule_name_valid(BYTES_EMPTY));
    cr_assert_not(rule_name_valid(BYTES_LITERAL(".")));
    cr_assert_not(rule_name_valid(BYTES_LITERAL("..")));
    cr_assert_not(rule_name_valid(BYTES_LITERAL("a/b")));
    cr_assert_not(rule_name_valid(BYTES_LITERAL("a b")));
    cr_assert_not(rule_name_valid(BYTES_LITERAL("a\0")));
    struct rule *rule;
    struct rule_problem problem;
    cr_assert_eq(
        rule_parse(BYTES_LITERAL("a b"), document_of(BESIDE("\"enabled\":true")), &rule, &problem),
        STATUS_INVALID);
    cr_assert_not_null(strstr(problem.text, "a rule's name has 1 to 128 of"));
}

Test(rule, methods_have_names_and_some_have_bodies)
{
    static const struct {
        enum rule_method method;
        const char *name;
        bool has_body;
    } methods[] = {{RULE_GET, "GET", false},    {RULE_HEAD, "HEAD", false},
                   {RULE_POST, "POST", true},   {RULE_PUT, "PUT", true},
                   {RULE_PATCH, "PATCH", true}, {RULE_DELETE, "DELETE", false}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        cr_assert_str_eq(rule_method_name(methods[i].method), methods[i].name);
        cr_assert_eq(rule_method_has_body(methods[i].method), methods[i].has_body);
    }
}
