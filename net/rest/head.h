/*
 * head.h: heads of answers, built from pieces that are made once, or once a second.
 *
 * Owner:     one thread's struct heads; head_* functions append to the caller's writer, which holds
 *            HEAD_BYTES_MAX.
 * Time:      heads_turn is given the time once a turn; the Date of all answers of a turn is the
 *            same text.
 * Tests:     tests/unit/net/rest/test_head.c.
 */
#ifndef FRESHET_NET_REST_HEAD_H
#define FRESHET_NET_REST_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/request.h"
#include "net/http/http.h"
#include "protocol/base/bytes.h"

/* The longest head is that of a list: a Link with a value and a cursor, every byte of them
 * encoded. */
#define HEAD_BYTES_MAX          6144
#define HEAD_SETTING_BYTES_MAX  512
#define HEAD_CONSTANT_BYTES_MAX (3 * HEAD_SETTING_BYTES_MAX)
#define HEAD_DATE_BYTES         29
#define HEAD_DAY_BYTES          17
/* What a record's head has behind the constant part. */
#define HEAD_RECORD_REST_BYTES_MAX 512

struct heads {
    struct bytes cors_origin;
    struct bytes cache_control;
    uint64_t second; /* the one that date is of */
    uint8_t date[HEAD_DATE_BYTES];
    /* "Sun, 22 Nov 2026 " of one day: dates that are asked for are mostly of today. */
    uint64_t day;
    uint8_t day_text[HEAD_DAY_BYTES];
    /* The head of a record up to its Content-Length, with this second's Date. */
    uint8_t record[HEAD_CONSTANT_BYTES_MAX];
    size_t record_size;
    size_t record_date_offset;
    uint8_t settings[2][HEAD_SETTING_BYTES_MAX];
};

/* Both texts are copied; they are at most HEAD_SETTING_BYTES_MAX long and printable. */
void heads_init(struct heads *heads, struct bytes cors_origin, struct bytes cache_control);
void heads_turn(struct heads *heads, uint64_t wall_ms);

/* "Sun, 22 Nov 2026 03:04:05 GMT" */
void head_date_write(struct heads *heads, uint64_t unix_s, struct writer *out);
const char *head_reason(uint16_t status);

/* The status line, Date and Access-Control-Allow-Origin. */
void head_begin(const struct heads *heads, uint16_t status, struct writer *out);
/* The same for 200 with Content-Type JSON, the configured Cache-Control, and Content-Length. */
void head_begin_record(const struct heads *heads, uint64_t body_size, struct writer *out);
/* ETag: the caller appends the tag's text between; "Name: value" lines of any kind. */
void head_line(struct writer *out, const char *name, struct bytes value);
void head_line_number(struct writer *out, const char *name, uint64_t value);

/* cache-timestamp, Age and Cache-Status. ttl_ns UINT64_MAX: never expires. */
struct head_cache {
    enum cache_outcome outcome;
    uint64_t made_at_ms;
    uint64_t ttl_ns;
};
void head_cache_write(struct heads *heads, const struct head_cache *cache, uint64_t wall_ms,
                      struct writer *out);

/* Access-Control-Expose-Headers if asked, Connection where it must be said, and the empty line. */
void head_end(const struct http_exchange *exchange, bool expose, struct writer *out);

#endif
