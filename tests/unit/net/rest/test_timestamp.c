#include <criterion/criterion.h>

#include "net/rest/timestamp.h"

static uint64_t time_of(const char *text)
{
    uint64_t ms = UINT64_MAX;
    cr_assert_eq(timestamp_read(bytes_of_text(text), &ms), STATUS_OK, "%s", text);
    return ms;
}

static void refused(const char *text)
{
    uint64_t ms;
    cr_assert_eq(timestamp_read(bytes_of_text(text), &ms), STATUS_INVALID, "%s", text);
}

Test(timestamp, reads_what_rfc_3339_allows)
{
    cr_assert_eq(time_of("1970-01-01T00:00:00Z"), 0);
    cr_assert_eq(time_of("2026-01-01T00:00:00Z"), 1767225600000);
    cr_assert_eq(time_of("2026-01-01t00:00:00z"), 1767225600000);
    cr_assert_eq(time_of("2026-01-01 00:00:00Z"), 1767225600000);
    cr_assert_eq(time_of("2000-02-29T12:34:56Z"), 951827696000);
    cr_assert_eq(time_of("2024-12-31T23:59:59Z"), 1735689599000);
    cr_assert_eq(time_of("9999-12-31T23:59:59Z"), 253402300799000);
}

Test(timestamp, rounds_fractions_up_to_a_millisecond)
{
    cr_assert_eq(time_of("2026-01-01T00:00:00.5Z"), 1767225600500);
    cr_assert_eq(time_of("2026-01-01T00:00:00.123Z"), 1767225600123);
    cr_assert_eq(time_of("2026-01-01T00:00:00.123000Z"), 1767225600123);
    cr_assert_eq(time_of("2026-01-01T00:00:00.123000001Z"), 1767225600124);
    cr_assert_eq(time_of("2026-01-01T00:00:00.9999Z"), 1767225601000);
}

Test(timestamp, counts_offsets_and_takes_a_space_for_a_plus)
{
    cr_assert_eq(time_of("2026-01-01T01:00:00+01:00"), 1767225600000);
    cr_assert_eq(time_of("2026-01-01T01:00:00 01:00"), 1767225600000);
    cr_assert_eq(time_of("2025-12-31T18:30:00-05:30"), 1767225600000);
    cr_assert_eq(time_of("1969-12-31T23:00:00-01:00"), 0);
}

Test(timestamp, a_leap_second_is_the_one_that_follows)
{
    cr_assert_eq(time_of("2016-12-31T23:59:60Z"), time_of("2017-01-01T00:00:00Z"));
}

Test(timestamp, refuses_everything_else)
{
    static const char *const texts[] = {"",
                                        "2026",
                                        "2026-01-01",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-01-00T00:00:00Z",
                                        "2026-01-32T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "1900-02-29T00:00:00Z",
                                        "2026-04-31T00:00:00Z",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:61Z",
                                        "2026-01-01T00:00:00.Z",
                                        "2026-01-01T00:00:00.5",
                                        "2026-01-01T00:00:00+1:00",
                                        "2026-01-01T00:00:00+24:00",
                                        "2026-01-01T00:00:00+01:60",
                                        "2026-01-01T00:00:00+0100",
                                        "2026-01-01T00:00:00ZZ",
                                        "2026-01-01X00:00:00Z",
                                        "-026-01-01T00:00:00Z",
                                        "1969-12-31T23:59:59Z",
                                        "1767225600"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        refused(texts[i]);
    }
}

Test(duration, reads_digits_and_a_unit)
{
    uint64_t ns = 1;
    cr_assert_eq(duration_read(BYTES_LITERAL("0s"), &ns), STATUS_OK);
    cr_assert_eq(ns, 0);
    cr_assert_eq(duration_read(BYTES_LITERAL("500ms"), &ns), STATUS_OK);
    cr_assert_eq(ns, 500000000);
    cr_assert_eq(duration_read(BYTES_LITERAL("10s"), &ns), STATUS_OK);
    cr_assert_eq(ns, 10000000000);
    cr_assert_eq(duration_read(BYTES_LITERAL("1m"), &ns), STATUS_OK);
    cr_assert_eq(ns, 60000000000);
    cr_assert_eq(duration_read(BYTES_LITERAL("24h"), &ns), STATUS_OK);
    cr_assert_eq(ns, 86400000000000);
}

Test(duration, refuses_everything_else)
{
    static const char *const texts[] = {"", "s", "10", "-1s", "1.5s", "10 s", "10S", "10sec", "1d"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(duration_read(bytes_of_text(texts[i]), &ns), STATUS_INVALID, "%s", texts[i]);
    }
    cr_assert_eq(duration_read(BYTES_LITERAL("25h"), &ns), STATUS_TOO_LARGE);
    cr_assert_eq(duration_read(BYTES_LITERAL("99999999999999999999999ms"), &ns), STATUS_TOO_LARGE);
    cr_assert_eq(duration_read(BYTES_LITERAL("18446744073709551616s"), &ns), STATUS_TOO_LARGE);
}
