#include <criterion/criterion.h>

#include "net/webhook/backoff.h"

#define SECOND (1000000000ull)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

Test(backoff, follows_retry_first_and_then_standard_webhooks)
{
    static const uint64_t usual[] = {5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR,
                                     5 * HOUR,   10 * HOUR,  14 * HOUR,   20 * HOUR,
                                     24 * HOUR,  24 * HOUR,  24 * HOUR};
    for (uint32_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        cr_assert_eq(backoff_delay_ns(i + 1, 5 * SECOND, 0), usual[i], "attempt %u", i + 1);
    }
    cr_assert_eq(backoff_delay_ns(1, SECOND / 10, 0), SECOND / 10);
    cr_assert_eq(backoff_delay_ns(2, SECOND / 10, 0), 5 * SECOND);
    cr_assert_eq(backoff_delay_ns(3, SECOND / 10, 0), 5 * MINUTE);
    cr_assert_eq(backoff_delay_ns(1, 10 * MINUTE, 0), 10 * MINUTE);
    cr_assert_eq(backoff_delay_ns(2, 10 * MINUTE, 0), 30 * MINUTE);
    cr_assert_eq(backoff_delay_ns(1, 24 * HOUR, 0), 24 * HOUR);
    cr_assert_eq(backoff_delay_ns(2, 24 * HOUR, 0), 24 * HOUR);
    cr_assert_eq(backoff_delay_ns(UINT32_MAX, 24 * HOUR, 0), 24 * HOUR);
    cr_assert_eq(backoff_delay_ns(UINT32_MAX, SECOND, 0), 24 * HOUR);
}

Test(backoff, adds_at_most_a_quarter_and_never_takes_away)
{
    uint64_t random = 20260101;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (int i = 0; i < 10000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t delay = backoff_delay_ns(1, 4 * SECOND, random >> 16);
        cr_assert(delay >= 4 * SECOND && delay <= 5 * SECOND, "%lu", delay);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    cr_assert_lt(least, 4 * SECOND + SECOND / 20);
    cr_assert_gt(most, 5 * SECOND - SECOND / 20);
    cr_assert_eq(backoff_delay_ns(1, 1000000, UINT64_MAX) >= 1000000, true);
}

Test(backoff, knows_what_an_answer_means)
{
    static const struct {
        uint32_t http_status;
        enum backoff_outcome outcome;
    } meanings[] = {
        {0, BACKOFF_RETRY},       {100, BACKOFF_RETRY},     {199, BACKOFF_RETRY},
        {200, BACKOFF_DELIVERED}, {204, BACKOFF_DELIVERED}, {299, BACKOFF_DELIVERED},
        {300, BACKOFF_RETRY},     {301, BACKOFF_RETRY},     {304, BACKOFF_RETRY},
        {400, BACKOFF_RETRY},     {404, BACKOFF_RETRY},     {409, BACKOFF_RETRY},
        {410, BACKOFF_DISABLE},   {429, BACKOFF_THROTTLE},  {500, BACKOFF_RETRY},
        {502, BACKOFF_THROTTLE},  {503, BACKOFF_RETRY},     {504, BACKOFF_THROTTLE},
        {999, BACKOFF_RETRY},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        cr_assert_eq(backoff_outcome(meanings[i].http_status), meanings[i].outcome, "%u",
                     meanings[i].http_status);
    }
}

/* 1994-11-06 08:49:37 GMT */
#define DATE_S 784111777ull

Test(backoff, reads_retry_after_as_seconds_and_as_a_date)
{
    static const struct {
        const char *value;
        uint64_t delay_s;
    } right[] = {
        {"0", 0},
        {"120", 120},
        {"007", 7},
        {"86400", 86400},
        {"86401", 86400},
        {"99999999999999999999999999999999", 86400},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 10},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 10},
        {"Sun Nov  6 08:49:37 1994", 10},
        {"Sun, 06 Nov 1994 08:49:27 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:26 GMT", 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Mon, 06 Nov 2094 08:49:37 GMT", 86400},
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        uint64_t delay_ns = 1;
        cr_assert(backoff_retry_after(bytes_of_text(right[i].value), DATE_S - 10, &delay_ns), "%s",
                  right[i].value);
        cr_assert_eq(delay_ns, right[i].delay_s * SECOND, "%s: %lu", right[i].value, delay_ns);
    }
}

Test(backoff, takes_no_other_text_for_a_retry_after)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        "-1",
                                        "+1",
                                        "1.5",
                                        "10s",
                                        "soon",
                                        "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                        "Sun, 06 Nov 1994 08:49:37 CET",
                                        "Sun, 46 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 28:49:37 GMT",
                                        "Wed, 31 Dec 1969 23:59:59 GMT",
                                        "Sunday, 06-November-1994 08:49:37 GMT and then some more"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t delay_ns;
        cr_assert_not(backoff_retry_after(bytes_of_text(wrong[i]), DATE_S, &delay_ns), "%s",
                      wrong[i]);
    }
    uint64_t delay_ns;
    cr_assert_not(
        backoff_retry_after(BYTES_LITERAL("Sun, 06 Nov 1994 08:49:37 GMT\0x"), DATE_S, &delay_ns));
}
