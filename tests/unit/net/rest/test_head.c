#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "net/rest/head.h"

static struct heads heads;

static const char *date_of(uint64_t unix_s)
{
    static char text[HEAD_DATE_BYTES + 1];
    struct writer out = writer_of(text, HEAD_DATE_BYTES);
    head_date_write(&heads, unix_s, &out);
    cr_assert_not(out.failed);
    return text;
}

static void init(void)
{
    heads_init(&heads, BYTES_LITERAL("*"), BYTES_LITERAL("no-cache"));
}

Test(head, dates_are_those_of_the_c_library, .init = init)
{
    /* Ends of years and months, leap days of 2000, 2024 and none of 2100, and then every 37 hours
     * until 2200. */
    static const uint64_t edges[] = {0,          86399,      86400,      951782400,
                                     951868799,  951868800,  1709164800, 1709251199,
                                     1709251200, 4107542400, 4107456000, 784111777};
    for (uint64_t index = 0; index < 55000; index++) {
        uint64_t second = index < 12 ? edges[index] : index * 133207;
        time_t at = (time_t)second;
        struct tm parts;
        char expected[64];
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &parts));
        cr_assert_str_eq(date_of(second), expected);
    }
    cr_assert_str_eq(date_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

Test(head, the_constant_part_has_the_date_of_the_turn, .init = init)
{
    char text[HEAD_BYTES_MAX + 1] = {0};
    struct writer out = writer_of(text, HEAD_BYTES_MAX);
    heads_turn(&heads, 784111777999);
    head_begin_record(&heads, 17, &out);
    cr_assert_str_eq(text, "HTTP/1.1 200 OK\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                           "Content-Type: application/json\r\n"
                           "Cache-Control: no-cache\r\n"
                           "Access-Control-Allow-Origin: *\r\n"
                           "Content-Length: 17\r\n");
    heads_turn(&heads, 784111778000);
    memset(text, 0, sizeof(text));
    out = writer_of(text, HEAD_BYTES_MAX);
    head_begin(&heads, 404, &out);
    cr_assert_str_eq(text, "HTTP/1.1 404 Not Found\r\n"
                           "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
                           "Access-Control-Allow-Origin: *\r\n");
}

Test(head, settings_of_the_longest_kind_fit)
{
    char setting[HEAD_SETTING_BYTES_MAX];
    memset(setting, 's', sizeof(setting));
    heads_init(&heads, bytes_of(setting, sizeof(setting)), bytes_of(setting, sizeof(setting)));
    char text[HEAD_BYTES_MAX];
    struct writer out = writer_of(text, sizeof(text));
    head_begin_record(&heads, UINT64_MAX, &out);
    cr_assert_not(out.failed);
    cr_assert_gt(out.size, 2 * sizeof(setting));
}

static const char *cache_of(enum cache_outcome outcome, uint64_t made_at_ms, uint64_t ttl_ns)
{
    static char text[512];
    const struct head_cache cache = {outcome, made_at_ms, ttl_ns};
    memset(text, 0, sizeof(text));
    struct writer out = writer_of(text, sizeof(text) - 1);
    head_cache_write(&heads, &cache, 784111777000, &out);
    cr_assert_not(out.failed);
    return text;
}

Test(head, cache_status_says_how_a_read_was_answered, .init = init)
{
    cr_assert_str_eq(cache_of(CACHE_HIT, 784111707999, 3599999999999),
                     "cache-timestamp: Sun, 06 Nov 1994 08:48:27 GMT\r\n"
                     "Age: 69\r\nCache-Status: freshet; hit; ttl=3599\r\n");
    static const struct {
        enum cache_outcome outcome;
        const char *text;
    } cases[] = {{CACHE_MISS_STORED, "freshet; fwd=uri-miss; stored\r\n"},
                 {CACHE_MISS_UNSTORED, "freshet; fwd=uri-miss\r\n"},
                 {CACHE_REFRESH_STORED, "freshet; fwd=request; stored\r\n"},
                 {CACHE_REFRESH_UNSTORED, "freshet; fwd=request\r\n"},
                 {CACHE_COLLAPSED, "freshet; fwd=uri-miss; collapsed\r\n"},
                 {CACHE_OFF, "freshet; fwd=bypass\r\n"}};
    for (size_t index = 0; index < 6; index++) {
        cr_assert(strstr(cache_of(cases[index].outcome, 0, 5), cases[index].text) != NULL, "%s",
                  cases[index].text);
    }
    cr_assert(strstr(cache_of(CACHE_HIT, 0, UINT64_MAX), "freshet; hit\r\n") != NULL,
              "what never expires has no ttl");
    cr_assert(strstr(cache_of(CACHE_HIT, 784111777001, 0), "Age: 0\r\n") != NULL,
              "a clock that was set back makes no negative age");
}
