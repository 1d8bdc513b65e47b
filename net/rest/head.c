#include "net/rest/head.h"

#include "protocol/base/assert.h"
#include "protocol/base/time_text.h"

#define SECONDS_PER_DAY 86400
#define NO_SECOND       UINT64_MAX

static const char expose_line[] =
    "Access-Control-Expose-Headers: ETag, Location, Link, Age, Cache-Status, cache-timestamp, "
    "freshet-position, Retry-After\r\n";

static_assert(HEAD_RECORD_REST_BYTES_MAX > sizeof(expose_line) + 256,
              "tag, dates, age, cache status and connection take less than 256 bytes");
static_assert(HEAD_CONSTANT_BYTES_MAX >= 2 * HEAD_SETTING_BYTES_MAX + 256,
              "the constant head is two settings and a few fixed lines");

/* ---- dates ---- */

/* Two decimal digits. */
static void digits_put(uint8_t *at, uint64_t value)
{
    at[0] = (uint8_t)('0' + value / 10 % 10);
    at[1] = (uint8_t)('0' + value % 10);
}

static void day_format(uint64_t day, uint8_t text[HEAD_DAY_BYTES])
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil_date date = civil_date_of(day);
    memcpy(text, weekdays + day % 7 * 3, 3);
    memcpy(text + 3, ", ", 2);
    digits_put(text + 5, date.day);
    text[7] = ' ';
    memcpy(text + 8, months + (date.month - 1) * 3, 3);
    text[11] = ' ';
    digits_put(text + 12, date.year / 100);
    digits_put(text + 14, date.year);
    text[16] = ' ';
}

void head_date_write(struct heads *heads, uint64_t unix_s, struct writer *out)
{
    uint64_t day = unix_s / SECONDS_PER_DAY;
    uint64_t second = unix_s % SECONDS_PER_DAY;
    if (day != heads->day) {
        day_format(day, heads->day_text);
        heads->day = day;
    }
    uint8_t *at = writer_reserve(out, HEAD_DATE_BYTES);
    if (at == NULL) {
        return;
    }
    memcpy(at, heads->day_text, HEAD_DAY_BYTES);
    digits_put(at + 17, second / 3600);
    at[19] = ':';
    digits_put(at + 20, second / 60 % 60);
    at[22] = ':';
    digits_put(at + 23, second % 60);
    memcpy(at + 25, " GMT", 4);
}

/* ---- the constant part ---- */

static struct bytes setting_keep(uint8_t *room, struct bytes text)
{
    ASSERT(text.size > 0);
    ASSERT(text.size <= HEAD_SETTING_BYTES_MAX);
    memcpy(room, text.data, text.size);
    return bytes_of(room, text.size);
}

void heads_init(struct heads *heads, struct bytes cors_origin, struct bytes cache_control)
{
    heads->cors_origin = setting_keep(heads->settings[0], cors_origin);
    heads->cache_control = setting_keep(heads->settings[1], cache_control);
    heads->second = NO_SECOND;
    heads->day = NO_SECOND;
    struct writer out = writer_of(heads->record, sizeof(heads->record));
    writer_put(&out, BYTES_LITERAL("HTTP/1.1 200 OK\r\nDate: "));
    heads->record_date_offset = out.size;
    (void)writer_reserve(&out, HEAD_DATE_BYTES);
    writer_put(&out, BYTES_LITERAL("\r\nContent-Type: application/json\r\nCache-Control: "));
    writer_put(&out, heads->cache_control);
    writer_put(&out, BYTES_LITERAL("\r\nAccess-Control-Allow-Origin: "));
    writer_put(&out, heads->cors_origin);
    writer_put(&out, BYTES_LITERAL("\r\nContent-Length: "));
    ASSERT(!out.failed);
    heads->record_size = out.size;
    heads_turn(heads, 0);
}

void heads_turn(struct heads *heads, uint64_t wall_ms)
{
    uint64_t second = wall_ms / 1000;
    if (second == heads->second) {
        return;
    }
    heads->second = second;
    struct writer date = writer_of(heads->date, sizeof(heads->date));
    head_date_write(heads, second, &date);
    ASSERT(date.size == HEAD_DATE_BYTES);
    memcpy(heads->record + heads->record_date_offset, heads->date, HEAD_DATE_BYTES);
}

/* ---- lines ---- */

const char *head_reason(uint16_t status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    }
    return "Unknown";
}

void head_begin(const struct heads *heads, uint16_t status, struct writer *out)
{
    ASSERT(status >= 200);
    ASSERT(status < 600);
    writer_put(out, BYTES_LITERAL("HTTP/1.1 "));
    writer_decimal(out, status);
    writer_u8(out, ' ');
    writer_text(out, head_reason(status));
    writer_put(out, BYTES_LITERAL("\r\nDate: "));
    writer_put(out, bytes_of(heads->date, HEAD_DATE_BYTES));
    writer_put(out, BYTES_LITERAL("\r\nAccess-Control-Allow-Origin: "));
    writer_put(out, heads->cors_origin);
    writer_put(out, BYTES_LITERAL("\r\n"));
}

void head_begin_record(const struct heads *heads, uint64_t body_size, struct writer *out)
{
    writer_put(out, bytes_of(heads->record, heads->record_size));
    writer_decimal(out, body_size);
    writer_put(out, BYTES_LITERAL("\r\n"));
}

void head_line(struct writer *out, const char *name, struct bytes value)
{
    writer_text(out, name);
    writer_put(out, BYTES_LITERAL(": "));
    writer_put(out, value);
    writer_put(out, BYTES_LITERAL("\r\n"));
}

void head_line_number(struct writer *out, const char *name, uint64_t value)
{
    writer_text(out, name);
    writer_put(out, BYTES_LITERAL(": "));
    writer_decimal(out, value);
    writer_put(out, BYTES_LITERAL("\r\n"));
}

static struct bytes outcome_text(enum cache_outcome outcome)
{
    switch (outcome) {
    case CACHE_HIT:
        return BYTES_LITERAL("hit");
    case CACHE_MISS_STORED:
        return BYTES_LITERAL("fwd=uri-miss; stored");
    case CACHE_MISS_UNSTORED:
        return BYTES_LITERAL("fwd=uri-miss");
    case CACHE_REFRESH_STORED:
        return BYTES_LITERAL("fwd=request; stored");
    case CACHE_REFRESH_UNSTORED:
        return BYTES_LITERAL("fwd=request");
    case CACHE_COLLAPSED:
        return BYTES_LITERAL("fwd=uri-miss; collapsed");
    case CACHE_OFF:
        return BYTES_LITERAL("fwd=bypass");
    }
    UNREACHABLE();
}

void head_cache_write(struct heads *heads, const struct head_cache *cache, uint64_t wall_ms,
                      struct writer *out)
{
    writer_put(out, BYTES_LITERAL("cache-timestamp: "));
    head_date_write(heads, cache->made_at_ms / 1000, out);
    writer_put(out, BYTES_LITERAL("\r\nAge: "));
    /* A wall clock that was set back makes no negative age. */
    writer_decimal(out, wall_ms > cache->made_at_ms ? (wall_ms - cache->made_at_ms) / 1000 : 0);
    writer_put(out, BYTES_LITERAL("\r\nCache-Status: freshet; "));
    writer_put(out, outcome_text(cache->outcome));
    if (cache->outcome == CACHE_HIT && cache->ttl_ns != UINT64_MAX) {
        writer_put(out, BYTES_LITERAL("; ttl="));
        writer_decimal(out, cache->ttl_ns / 1000000000);
    }
    writer_put(out, BYTES_LITERAL("\r\n"));
}

void head_end(const struct http_exchange *exchange, bool expose, struct writer *out)
{
    if (expose) {
        writer_put(out, BYTES_LITERAL(expose_line));
    }
    if (http_closes(exchange)) {
        writer_put(out, BYTES_LITERAL("Connection: close\r\n"));
    } else if (http_says_keep_alive(exchange)) {
        writer_put(out, BYTES_LITERAL("Connection: keep-alive\r\n"));
    }
    writer_put(out, BYTES_LITERAL("\r\n"));
}
