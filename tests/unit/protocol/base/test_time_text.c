#include <criterion/criterion.h>
#include <time.h>

#include "protocol/base/time_text.h"

static void expect(uint64_t unix_ms, const char *wanted)
{
    char text[TIME_TEXT_BYTES + 1] = {0};
    struct writer out = writer_of(text, TIME_TEXT_BYTES);
    time_text_write(&out, unix_ms);
    cr_assert_not(out.failed);
    cr_assert_str_eq(text, wanted);
}

Test(time_text, writes_rfc_3339_to_the_millisecond)
{
    expect(0, "1970-01-01T00:00:00.000Z");
    expect(1767225600007, "2026-01-01T00:00:00.007Z");
    expect(951827696999, "2000-02-29T12:34:56.999Z");
    expect(1735689599000, "2024-12-31T23:59:59.000Z");
    expect(253402300799999, "9999-12-31T23:59:59.999Z");
}

Test(time_text, agrees_with_the_c_library_on_every_day_of_three_centuries)
{
    for (uint64_t day = 0; day < 300 * 366; day++) {
        time_t second = (time_t)(day * 86400);
        struct tm parts;
        cr_assert_not_null(gmtime_r(&second, &parts));
        struct civil_date date = civil_date_of(day);
        cr_assert_eq(date.year, (uint64_t)parts.tm_year + 1900);
        cr_assert_eq(date.month, (uint64_t)parts.tm_mon + 1);
        cr_assert_eq(date.day, (uint64_t)parts.tm_mday);
    }
}

Test(time_text, fails_a_writer_without_room)
{
    char text[TIME_TEXT_BYTES];
    struct writer out = writer_of(text, TIME_TEXT_BYTES - 1);
    time_text_write(&out, 0);
    cr_assert(out.failed);
    cr_assert_eq(out.size, 0u);
}
