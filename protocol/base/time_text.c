#include "protocol/base/time_text.h"

#define MS_PER_SECOND   1000ull
#define SECONDS_PER_DAY 86400ull

/* Years begin in March, so that the leap day is the last one of a year and months before it have
 * lengths that a line through 153 / 5 gives. */
struct civil_date civil_date_of(uint64_t day)
{
    uint64_t shifted = day + 719468; /* since 0000-03-01 */
    uint64_t era = shifted / 146097; /* of 400 years */
    uint64_t day_of_era = shifted % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month = (5 * day_of_year + 2) / 153; /* 0: March */
    return (struct civil_date){
        .year = era * 400 + year_of_era + (month >= 10 ? 1 : 0),
        .month = month >= 10 ? month - 9 : month + 3,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
}

static void digits_put(uint8_t *at, size_t count, uint64_t value)
{
    for (size_t i = count; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

void time_text_write(struct writer *out, uint64_t unix_ms)
{
    uint8_t *text = writer_reserve(out, TIME_TEXT_BYTES);
    if (text == NULL) {
        return;
    }
    uint64_t second = unix_ms / MS_PER_SECOND;
    struct civil_date date = civil_date_of(second / SECONDS_PER_DAY);
    memcpy(text, "0000-00-00T00:00:00.000Z", TIME_TEXT_BYTES);
    digits_put(text, 4, date.year);
    digits_put(text + 5, 2, date.month);
    digits_put(text + 8, 2, date.day);
    digits_put(text + 11, 2, second / 3600 % 24);
    digits_put(text + 14, 2, second / 60 % 60);
    digits_put(text + 17, 2, second % 60);
    digits_put(text + 20, 3, unix_ms % MS_PER_SECOND);
}
