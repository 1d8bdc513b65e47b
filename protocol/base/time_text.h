/*
 * time_text.h: Unix time as people and programs write it.
 *
 * Owner:  plain values; nothing is allocated, and no clock is read.
 * Tests:  tests/unit/protocol/base/test_time_text.c.
 */
#ifndef FRESHET_PROTOCOL_BASE_TIME_TEXT_H
#define FRESHET_PROTOCOL_BASE_TIME_TEXT_H

#include <stdint.h>

#include "protocol/base/bytes.h"

#define TIME_TEXT_BYTES 24 /* 2026-01-01T00:00:00.000Z */

/* Of the proleptic Gregorian calendar; month and day count from 1. */
struct civil_date {
    uint64_t year;
    uint64_t month;
    uint64_t day;
};

/* day: since 1970-01-01. */
struct civil_date civil_date_of(uint64_t day);

/* RFC 3339 in UTC, to the millisecond; TIME_TEXT_BYTES of it until the year 9999. */
void time_text_write(struct writer *out, uint64_t unix_ms);

#endif
