#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "net/http/head.h"

struct parsed {
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_request request;
    struct framing framing;
    struct refusal refusal;
};

/* The status with which a head is refused; 0: it is not; -1: it is not complete. */
static int parse(struct bytes bytes, struct parsed *parsed)
{
    struct head_scan scan = {0};
    size_t size = 0;
    switch (head_scan(&scan, bytes, &size)) {
    case HEAD_MORE:
        return -1;
    case HEAD_BAD:
        return 400;
    case HEAD_DONE:
        break;
    }
    parsed->refusal = head_parse(bytes_slice(bytes, 0, size), parsed->headers, &parsed->request,
                                 &parsed->framing);
    return parsed->refusal.status;
}

static bool is(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_of_text(text));
}

Test(head, a_plain_get_is_understood)
{
    static struct parsed p;
    cr_assert_eq(
        parse(
            BYTES_LITERAL("GET /pets/1?a=b&c HTTP/1.1\r\nHost: x:80\r\nIF-none-MATCH:  \"a\" \t\r\n"
                          "X-Empty:\r\n\r\n"),
            &p),
        0);
    cr_assert_eq(p.request.method, HTTP_GET);
    cr_assert(is(p.request.method_text, "GET"));
    cr_assert(is(p.request.target, "/pets/1?a=b&c"));
    cr_assert(is(p.request.path, "/pets/1"));
    cr_assert(is(p.request.query, "a=b&c"));
    cr_assert(is(p.request.known[HTTP_HOST], "x:80"));
    cr_assert(is(p.request.known[HTTP_IF_NONE_MATCH], "\"a\""));
    cr_assert_null(p.request.known[HTTP_IF_MATCH].data);
    cr_assert_eq(p.request.header_count, 3);
    cr_assert(is(p.request.headers[2].name, "X-Empty"));
    cr_assert_eq(p.request.headers[2].value.size, 0);
    cr_assert(p.request.keep_alive);
    cr_assert_not(p.request.has_body);
    cr_assert_eq(p.request.minor, 1);
}

Test(head, each_known_header_is_found_in_any_case)
{
    static const struct {
        const char *name;
        enum http_known known;
    } cases[] = {{"Host", HTTP_HOST},
                 {"Content-Type", HTTP_CONTENT_TYPE},
                 {"Content-Encoding", HTTP_CONTENT_ENCODING},
                 {"Origin", HTTP_ORIGIN},
                 {"Cache-Control", HTTP_CACHE_CONTROL},
                 {"Pragma", HTTP_PRAGMA},
                 {"If-Match", HTTP_IF_MATCH},
                 {"If-None-Match", HTTP_IF_NONE_MATCH},
                 {"Idempotency-Key", HTTP_IDEMPOTENCY_KEY},
                 {"freshet-min-position", HTTP_MIN_POSITION},
                 {"Accept", HTTP_ACCEPT},
                 {"Authorization", HTTP_AUTHORIZATION},
                 {"Last-Event-ID", HTTP_LAST_EVENT_ID},
                 {"Access-Control-Request-Method", HTTP_REQUEST_METHOD}};
    cr_assert_eq(sizeof(cases) / sizeof(cases[0]), HTTP_KNOWN_COUNT);
    for (size_t i = 0; i < HTTP_KNOWN_COUNT; i++) {
        for (int shape = 0; shape < 3; shape++) {
            static struct parsed p;
            char name[64];
            char text[256];
            (void)snprintf(name, sizeof(name), "%s", cases[i].name);
            for (char *c = name; shape > 0 && *c != '\0'; c++) {
                if ((*c >= 'a' && *c <= 'z' && shape == 1) || (*c >= 'A' && *c <= 'Z')) {
                    *c = (char)(*c ^ (shape == 1 && *c < 'a' ? 0 : 0x20));
                }
            }
            int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s%s: value\r\n\r\n",
                                cases[i].known == HTTP_HOST ? "" : "Host: h\r\n", name);
            cr_assert_eq(parse(bytes_of(text, (size_t)size), &p), 0, "%s", text);
            cr_assert(is(p.request.known[cases[i].known], "value"), "%s", text);
        }
    }
}

/* What two parsers could read differently, and what is simply wrong. */
static const struct {
    int status;
    const char *text;
} attacks[] = {
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5a\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
          "chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0b"
          "chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n\tX: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"},
    {400, "GET / HTTP/1.1\nHost: h\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"},
    {400, "GET / HTTP/1.1\rHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n\rX"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01"
          "b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7f"
          "b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n: value\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nName only\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nNameonly\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nSp ace: v\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nX(y): v\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\n\xc3\xa9: v\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"},
    {400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
    {400, "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET /#f HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET x HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET http://u@h/p HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET\r\n\r\n"},
    {400, "GET /\r\n\r\n"},
    {400, "GET / \r\n\r\n"},
    {400, "GET / http/1.1\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/1.1x\r\nHost: h\r\n\r\n"},
    {400, "GET / HTTP/11\r\nHost: h\r\n\r\n"},
    {400, "(GET) / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {400, "\x16\x03\x01\x02"},
    {505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
    {505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"},
    {505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\n"},
    {501, "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n"},
    {501, "get / HTTP/1.1\r\nHost: h\r\n\r\n"},
    {501, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"},
    {417, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n"},
};

Test(head, what_two_parsers_could_read_differently_is_refused)
{
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        static struct parsed p;
        int status = parse(bytes_of_text(attacks[i].text), &p);
        cr_expect_eq(status, attacks[i].status, "%d instead of %d (%s) for %s", status,
                     attacks[i].status, p.refusal.detail, attacks[i].text);
    }
}

Test(head, what_is_only_unusual_is_accepted)
{
    static const char *const cases[] = {
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9 \t y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET HTTP://h:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0005\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
        "PUT / HTTP/1.0\r\nExpect: whatever\r\nContent-Length: 1\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct parsed p;
        int status = parse(bytes_of_text(cases[i]), &p);
        cr_expect_eq(status, 0, "%d (%s) for %s", status, p.refusal.detail, cases[i]);
    }
}

Test(head, a_nul_byte_is_refused_wherever_it_is)
{
    static const char text[] = "GET /p HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n";
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        static struct parsed p;
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        copy[i] = '\0';
        cr_assert_eq(parse(bytes_of(copy, sizeof(text) - 1), &p), 400, "at %zu", i);
    }
}

Test(head, any_single_byte_of_a_value_is_either_kept_or_refused)
{
    for (int c = 0; c < 256; c++) {
        static struct parsed p;
        char text[64];
        memset(&p, 0, sizeof(p));
        int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nXy: a_b\r\n\r\n");
        char *at = strchr(text, '_');
        *at = (char)c;
        int status = parse(bytes_of(text, (size_t)size), &p);
        bool allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
        cr_assert_eq(status, allowed ? 0 : 400, "byte %d: %d", c, status);
        if (allowed) {
            cr_assert(bytes_equal(p.request.headers[1].value, bytes_of(at - 1, 3)));
        }
    }
}

Test(head, absolute_targets_lose_scheme_and_authority)
{
    static struct parsed p;
    cr_assert_eq(parse(BYTES_LITERAL("GET http://h:1/a/b?c HTTP/1.1\r\nHost: h\r\n\r\n"), &p), 0);
    cr_assert(is(p.request.path, "/a/b"));
    cr_assert(is(p.request.query, "c"));
    cr_assert_eq(parse(BYTES_LITERAL("GET https://h HTTP/1.1\r\nHost: h\r\n\r\n"), &p), 0);
    cr_assert(is(p.request.path, "/"));
    cr_assert_eq(p.request.query.size, 0);
    cr_assert_eq(parse(BYTES_LITERAL("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"), &p), 0);
    cr_assert(is(p.request.path, "/"));
    cr_assert(is(p.request.query, "q"));
}

Test(head, the_connection_header_and_the_version_decide_keep_alive)
{
    static const struct {
        bool keep_alive;
        const char *text;
    } cases[] = {
        {true, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"},
        {false, "GET / HTTP/1.0\r\n\r\n"},
        {true, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct parsed p;
        cr_assert_eq(parse(bytes_of_text(cases[i].text), &p), 0);
        cr_assert_eq(p.request.keep_alive, cases[i].keep_alive, "%s", cases[i].text);
    }
}

Test(head, a_hundred_headers_are_accepted_and_one_more_is_431)
{
    for (uint32_t count = HTTP_HEADERS_MAX - 1; count <= HTTP_HEADERS_MAX + 1; count++) {
        static struct parsed p;
        static char text[4096];
        size_t size = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n");
        for (uint32_t i = 1; i < count; i++) {
            size += (size_t)snprintf(text + size, sizeof(text) - size, "X-%u: v\r\n", i);
        }
        size += (size_t)snprintf(text + size, sizeof(text) - size, "\r\n");
        cr_assert_eq(parse(bytes_of(text, size), &p), count <= HTTP_HEADERS_MAX ? 0 : 431);
    }
}

Test(head, a_repeated_header_keeps_its_first_value_and_is_marked)
{
    static struct parsed p;
    cr_assert_eq(
        parse(BYTES_LITERAL("GET / HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: b\r\n\r\n"), &p), 0);
    cr_assert(is(p.request.known[HTTP_ORIGIN], "a"));
    cr_assert_eq(p.request.repeated, 1u << HTTP_ORIGIN);
}

Test(head, the_scan_finds_the_same_end_however_the_bytes_are_split)
{
    static const char text[] = "GET /p HTTP/1.1\r\nHost: h\r\nX: \ty\r\n\r\nGET";
    for (size_t i = 0; i <= sizeof(text) - 1; i++) {
        for (size_t j = i; j <= sizeof(text) - 1; j++) {
            struct head_scan scan = {0};
            size_t size = 0;
            size_t end = sizeof(text) - 1;
            enum head_result result = head_scan(&scan, bytes_of(text, i), &size);
            if (result == HEAD_MORE) {
                result = head_scan(&scan, bytes_of(text, j), &size);
            }
            if (result == HEAD_MORE) {
                result = head_scan(&scan, bytes_of(text, end), &size);
            }
            cr_assert_eq(result, HEAD_DONE, "split at %zu and %zu", i, j);
            cr_assert_eq(size, end - 3);
        }
    }
}

/* ---- a head that repeats the one before ---- */

#define REST " HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\"\r\n\r\n"

static struct head_before before_of(const char *text, struct parsed *parsed)
{
    struct head_before before;
    cr_assert_eq(parse(bytes_of_text(text), parsed), 0, "%s", text);
    head_before_set(&before, bytes_of_text(text), &parsed->request, &parsed->framing);
    return before;
}

Test(head, a_repeated_head_gives_what_the_parser_would)
{
    static struct parsed first;
    struct head_before before = before_of("GET /pets/1" REST, &first);
    static const char *const targets[] = {"/",          "/pets/22", "/pets?limit=3&after=a%2Fb",
                                          "/a//b/~._-", "/x?",      "/?a:b@c+d,e;f=g"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        static struct parsed p;
        char text[256];
        snprintf(text, sizeof(text), "GET %s" REST "GET /more", targets[i]);
        size_t size = head_repeats(&before, bytes_of_text(text));
        cr_assert_eq(size, strlen(text) - strlen("GET /more"), "%s", targets[i]);
        cr_assert_eq(parse(bytes_of_text(text), &p), 0);
        struct http_request request;
        head_repeat(&before, bytes_of(text, size), &request);
        cr_assert_eq(request.method, p.request.method);
        cr_assert(bytes_equal(request.method_text, p.request.method_text));
        cr_assert(bytes_equal(request.target, p.request.target));
        cr_assert(bytes_equal(request.path, p.request.path));
        cr_assert(bytes_equal(request.query, p.request.query));
        cr_assert_eq(request.header_count, p.request.header_count);
        cr_assert_eq(request.keep_alive, p.request.keep_alive);
        cr_assert_eq(request.minor, p.request.minor);
        for (int known = 0; known < HTTP_KNOWN_COUNT; known++) {
            cr_assert(bytes_equal(request.known[known], p.request.known[known]));
        }
    }
}

Test(head, what_differs_in_anything_is_no_repeated_head)
{
    static struct parsed first;
    struct head_before before = before_of("GET /pets/1" REST, &first);
    static const char *const others[] = {
        "HEAD /pets/1" REST,
        "get /pets/1" REST,
        "GET  /pets/1" REST,
        "GET http://x/pets/1" REST,
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"b\"\r\n\r\n",
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\"\r\nA: b\r\n\r\n",
        "GET /pets/1 HTTP/1.0\r\nHost: x\r\nIf-None-Match: \"a\"\r\n\r\n",
        "GET /pets/#1" REST,
        "GET /pets/\x80" REST,
        "GET /pets/\t1" REST,
        "GET /pets/1\"" REST,
        "\r\nGET /pets/1" REST,
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cr_assert_eq(head_repeats(&before, bytes_of_text(others[i])), 0, "%s", others[i]);
    }
    struct bytes whole = BYTES_LITERAL("GET /pets/2" REST);
    for (size_t size = 0; size < whole.size; size++) {
        cr_assert_eq(head_repeats(&before, bytes_slice(whole, 0, size)), 0);
    }
    cr_assert_eq(head_repeats(&before, whole), whole.size);
}

Test(head, only_a_get_without_a_body_that_keeps_the_connection_is_repeated)
{
    static const char *const heads[] = {
        "PUT /pets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
        "GET /pets/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /pets/1 HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        "GET http://x/pets/1 HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        static struct parsed p;
        struct head_before before = before_of(heads[i], &p);
        cr_assert_eq(before.rest.size, 0, "%s", heads[i]);
    }
}
