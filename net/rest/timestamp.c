#include "net/rest/timestamp.h"

#include "protocol/base/assert.h"

#define DURATION_MS_MAX   86400000ull
#define SECONDS_PER_DAY   86400ull
#define DAYS_BEFORE_EPOCH 719468ull /* from 0000-03-01 to 1970-01-01 */

/* ---- times ---- */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* Exactly count digits; fails the reader otherwise. */
static uint32_t digits_read(struct reader *reader, size_t count)
{
    const uint8_t *at = reader_take(reader, count);
    uint32_t value = 0;
    for (size_t i = 0; at != NULL && i < count; i++) {
        if (!is_digit(at[i])) {
            reader->failed = true;
            return 0;
        }
        value = value * 10 + (uint32_t)(at[i] - '0');
    }
    return value;
}

static void expect(struct reader *reader, const char *one_of)
{
    uint8_t byte = reader_u8(reader);
    if (byte == 0 || strchr(one_of, byte) == NULL) {
        reader->failed = true;
    }
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leaps = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    ASSERT(month >= 1 && month <= 12);
    return month == 2 && leaps ? 29 : days[month - 1];
}

/* Days since 0000-03-01 of a date in years that begin in March, so that the leap day is the last
 * one of a year. */
static uint64_t day_number(uint32_t year, uint32_t month, uint32_t day)
{
    uint64_t shifted_year = month <= 2 ? year - 1 : year;
    uint64_t shifted_month = month <= 2 ? month + 9 : month - 3;
    uint64_t era = shifted_year / 400;
    uint64_t year_of_era = shifted_year % 400;
    uint64_t day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    uint64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era;
}

/* A leap second counts as the one that follows. */
static uint64_t seconds_read(struct reader *reader)
{
    uint32_t year = digits_read(reader, 4);
    expect(reader, "-");
    uint32_t month = digits_read(reader, 2);
    expect(reader, "-");
    uint32_t day = digits_read(reader, 2);
    expect(reader, "Tt ");
    uint32_t hour = digits_read(reader, 2);
    expect(reader, ":");
    uint32_t minute = digits_read(reader, 2);
    expect(reader, ":");
    uint32_t second = digits_read(reader, 2);
    if (reader->failed || year < 1969 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 60) {
        reader->failed = true;
        return 0;
    }
    return day_number(year, month, day) * SECONDS_PER_DAY + hour * 3600ull + minute * 60ull +
           second;
}

/* Milliseconds, rounded up. */
static uint64_t fraction_read(struct reader *reader)
{
    uint64_t ms = 0;
    uint32_t count = 0;
    bool more = false;
    for (; reader_left(reader) > 0 && is_digit(reader->data[reader->offset]); count++) {
        uint32_t digit = digits_read(reader, 1);
        if (count < 3) {
            ms = ms * 10 + digit;
        } else {
            more = more || digit != 0;
        }
    }
    if (count == 0) {
        reader->failed = true;
    }
    for (; count < 3; count++) {
        ms *= 10;
    }
    return ms + (more ? 1 : 0);
}

enum status timestamp_read(struct bytes text, uint64_t *unix_ms_out)
{
    struct reader reader = reader_of(text);
    uint64_t ms = seconds_read(&reader) * 1000;
    uint8_t next = reader_u8(&reader);
    if (next == '.') {
        ms += fraction_read(&reader);
        next = reader_u8(&reader);
    }
    uint64_t epoch_ms = DAYS_BEFORE_EPOCH * SECONDS_PER_DAY * 1000;
    if (next == '+' || next == ' ' || next == '-') {
        uint64_t hours = digits_read(&reader, 2);
        expect(&reader, ":");
        uint64_t minutes = digits_read(&reader, 2);
        uint64_t offset_ms = (hours * 60 + minutes) * 60000;
        if (hours > 23 || minutes > 59) {
            return STATUS_INVALID;
        }
        /* East of Greenwich it is later: the same moment is earlier in UTC. */
        ms = next == '-' ? ms + offset_ms : ms - offset_ms;
    } else if (next != 'Z' && next != 'z') {
        return STATUS_INVALID;
    }
    if (reader.failed || reader_left(&reader) > 0 || ms < epoch_ms) {
        return STATUS_INVALID;
    }
    *unix_ms_out = ms - epoch_ms;
    return STATUS_OK;
}

/* ---- durations ---- */

/* 0: no unit of ours. */
static uint64_t unit_ms(struct bytes unit)
{
    static const struct {
        struct bytes name;
        uint64_t ms;
    } units[] = {{BYTES_LITERAL("ms"), 1},
                 {BYTES_LITERAL("s"), 1000},
                 {BYTES_LITERAL("m"), 60000},
                 {BYTES_LITERAL("h"), 3600000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (bytes_equal(unit, units[i].name)) {
            return units[i].ms;
        }
    }
    return 0;
}

enum status duration_read(struct bytes text, uint64_t *ns_out)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < text.size && is_digit(text.data[digits]); digits++) {
        value = value * 10 + (uint64_t)(text.data[digits] - '0');
        if (value > DURATION_MS_MAX) {
            value = DURATION_MS_MAX + 1; /* too large in any unit, and it does not overflow */
        }
    }
    uint64_t unit = unit_ms(bytes_slice(text, digits, text.size));
    if (digits == 0 || unit == 0) {
        return STATUS_INVALID;
    }
    if (value > DURATION_MS_MAX / unit) {
        return STATUS_TOO_LARGE;
    }
    *ns_out = value * unit * 1000000;
    return STATUS_OK;
}
