/*
 * number.h: numbers between their JSON text, their MessagePack forms and float64. Internal to
 * protocol/document.
 *
 * The text of a float64 is the shortest that reads back as the same float64, always with a fraction
 * or an exponent: fixed ("29.99", "100000.0") from 1e-4 up to below 1e16, else scientific ("1e16",
 * "1.5e-7"). The locale plays no part.
 *
 * Owner:     the caller; nothing is kept.
 * Tests:     tests/unit/protocol/document/test_number.c.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_NUMBER_H
#define FRESHET_PROTOCOL_DOCUMENT_NUMBER_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

/* "-0.00012345678901234567" and "-1.2345678901234567e-308" are the longest. */
#define NUMBER_FLOAT_TEXT_MAX 32

/* What a JSON number's text says. */
struct number_scan {
    bool is_negative;
    bool has_fraction;
    bool has_exponent;
    bool is_mantissa_exact; /* all significant digits are in mantissa */
    bool is_canonical;  /* the last digit of the fraction is not a zero, or the fraction is "0" */
    uint64_t mantissa;  /* the significant digits, without the point */
    size_t digit_count; /* significant digits: from the first that is not zero */
    size_t fraction_count; /* digits behind the point */
    int64_t scale;      /* the number is 0.DIGITS x 10^scale; saturated, without meaning for zero */
    uint8_t digits[40]; /* the first NUMBER_DIGITS_MAX significant digits */
};

/* False when the text is no JSON number. */
bool number_scan(struct bytes text, struct number_scan *scan_out);

/* OK, or UNPROCESSABLE: too many digits, or a magnitude that rounds to infinity. */
MUST_USE enum status number_check(const struct number_scan *scan);

/* The nearest float64; meant for what number_check has passed. */
double number_to_double(const struct number_scan *scan);

/* The text of a finite float64; its size. */
size_t number_float_text(double value, char text_out[NUMBER_FLOAT_TEXT_MAX]);

#endif
