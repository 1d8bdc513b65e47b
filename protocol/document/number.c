#include "protocol/document/number.h"

#include <assert.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"

/*
 * Every decimal of so many significant digits names a float64 of its own, and reads back from it.
 */
#define FLOAT_DIGITS_SAFE 15
#define FLOAT_DIGITS_MAX  17
/* 10^22 is the largest power of ten that a float64 holds exactly. */
#define POWER_OF_TEN_MAX 22
/* Fixed notation for 10^-4 <= value < 10^16; the exponents of the first digit. */
#define FIXED_EXPONENT_MIN (-4)
#define FIXED_EXPONENT_MAX 15
/* Far beyond any float64, far below what could overflow. */
#define SCALE_LIMIT (INT64_C(1) << 40)
/* 0.DIGITS x 10^309 is the magnitude of the largest float64. */
#define SCALE_OF_FLOAT_MAX 309

static_assert(NUMBER_FLOAT_TEXT_MAX <= DOCUMENT_NUMBER_TEXT_MAX, "a float64's text fits");

static const double POWERS_OF_TEN[POWER_OF_TEN_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/*
 * The first digits of 2^1024 - 2^970, the smallest number that rounds to infinity. More digits
 * follow that are not all zero, so a text of no more digits than these is below it exactly when it
 * is not greater than these.
 */
static const char OVERFLOW_DIGITS[] = "17976931348623158079372897140530341507";
static_assert(sizeof(OVERFLOW_DIGITS) - 1 == NUMBER_DIGITS_MAX, "compared digit by digit");

/* ---- from text ---- */

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* One digit of the integer part or of the fraction. */
static inline void take_digit(struct number_scan *scan, uint8_t digit)
{
    if (scan->digit_count == 0 && digit == '0') {
        return;
    }
    if (scan->digit_count < NUMBER_DIGITS_MAX) {
        scan->digits[scan->digit_count] = digit;
    }
    scan->digit_count++;
    uint64_t next;
    if (scan->is_mantissa_exact && !__builtin_mul_overflow(scan->mantissa, 10u, &next) &&
        !__builtin_add_overflow(next, (uint64_t)(digit - '0'), &next)) {
        scan->mantissa = next;
    } else {
        scan->is_mantissa_exact = false;
    }
}

/* The exponent's digits behind "e"; false when there are none or something else follows. */
static bool scan_exponent(struct bytes text, size_t at, int64_t *exponent_out)
{
    bool is_negative = false;
    if (at < text.size && (text.data[at] == '+' || text.data[at] == '-')) {
        is_negative = text.data[at] == '-';
        at++;
    }
    if (at == text.size) {
        return false;
    }
    int64_t exponent = 0;
    for (; at < text.size; at++) {
        if (!is_digit(text.data[at])) {
            return false;
        }
        exponent = exponent * 10 + (text.data[at] - '0');
        exponent = exponent > SCALE_LIMIT ? SCALE_LIMIT : exponent;
    }
    *exponent_out = is_negative ? -exponent : exponent;
    return true;
}

bool number_scan(struct bytes text, struct number_scan *scan_out)
{
    struct number_scan *scan = scan_out;
    scan->is_negative = text.size > 0 && text.data[0] == '-';
    scan->has_fraction = false;
    scan->has_exponent = false;
    scan->is_mantissa_exact = true;
    scan->is_canonical = false;
    scan->mantissa = 0;
    scan->digit_count = 0;
    scan->fraction_count = 0;
    scan->scale = 0;

    size_t at = scan->is_negative ? 1 : 0;
    size_t integer_at = at;
    while (at < text.size && is_digit(text.data[at])) {
        take_digit(scan, text.data[at++]);
    }
    size_t integer_count = at - integer_at;
    if (integer_count == 0 || (integer_count > 1 && text.data[integer_at] == '0')) {
        return false;
    }
    /*
     * What the point is moved by: digits in front of it, less the zeros right behind it when there
     * are none.
     */
    int64_t scale = (int64_t)scan->digit_count;
    if (at < text.size && text.data[at] == '.') {
        size_t fraction_at = ++at;
        while (at < text.size && is_digit(text.data[at])) {
            take_digit(scan, text.data[at++]);
            scale -= scan->digit_count == 0;
        }
        scan->has_fraction = true;
        scan->fraction_count = at - fraction_at;
        if (scan->fraction_count == 0) {
            return false;
        }
        scan->is_canonical = text.data[at - 1] != '0' || scan->fraction_count == 1;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        int64_t exponent = 0;
        if (!scan_exponent(text, at + 1, &exponent)) {
            return false;
        }
        scan->has_exponent = true;
        scale += exponent;
        at = text.size;
    }
    scan->scale = scale;
    return at == text.size;
}

enum status number_check(const struct number_scan *scan)
{
    if (scan->digit_count > NUMBER_DIGITS_MAX) {
        return STATUS_UNPROCESSABLE;
    }
    if (scan->digit_count == 0 || scan->scale < SCALE_OF_FLOAT_MAX) {
        return STATUS_OK;
    }
    if (scan->scale > SCALE_OF_FLOAT_MAX) {
        return STATUS_UNPROCESSABLE;
    }
    char digits[NUMBER_DIGITS_MAX];
    memset(digits, '0', sizeof(digits));
    memcpy(digits, scan->digits, scan->digit_count);
    bool is_finite = memcmp(digits, OVERFLOW_DIGITS, sizeof(digits)) <= 0;
    return is_finite ? STATUS_OK : STATUS_UNPROCESSABLE;
}

/* strtod in the locale "C", whatever the process has set. */
static double read_double(const char *text)
{
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double value = locale == (locale_t)0 ? strtod(text, NULL) : strtod_l(text, NULL, locale);
    if (locale != (locale_t)0) {
        freelocale(locale);
    }
    return value;
}

double number_to_double(const struct number_scan *scan)
{
    double sign = scan->is_negative ? -1.0 : 1.0;
    if (scan->digit_count == 0) {
        return sign * 0.0;
    }
    /* Both are exact in a float64, so that the one division or multiplication rounds correctly. */
    int64_t power = scan->scale - (int64_t)scan->digit_count;
    if (scan->digit_count <= FLOAT_DIGITS_SAFE && power >= -POWER_OF_TEN_MAX &&
        power <= POWER_OF_TEN_MAX) {
        double mantissa = (double)scan->mantissa;
        return sign *
               (power < 0 ? mantissa / POWERS_OF_TEN[-power] : mantissa * POWERS_OF_TEN[power]);
    }
    /* Beyond SCALE_LIMIT all is zero or infinite, so that a shorter exponent says the same. */
    int64_t scale = scan->scale > 9999 ? 9999 : scan->scale < -9999 ? -9999 : scan->scale;
    int digit_count =
        (int)(scan->digit_count < NUMBER_DIGITS_MAX ? scan->digit_count : NUMBER_DIGITS_MAX);
    char text[NUMBER_DIGITS_MAX + 16];
    int size = snprintf(text, sizeof(text), "%.*se%d", digit_count, (const char *)scan->digits,
                        (int)(scale - digit_count));
    ASSERT(size > 0 && (size_t)size < sizeof(text));
    return sign * read_double(text);
}

/* ---- to text ---- */

/* DIGITS x 10^(exponent - count + 1): the exponent is that of the first digit. */
struct decimal {
    char digits[FLOAT_DIGITS_MAX + 3];
    int count;
    int exponent;
};

/* The integer's digits; its size. */
static int write_integer(uint64_t value, char *out)
{
    char reversed[20];
    int count = 0;
    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (int at = 0; at < count; at++) {
        out[at] = reversed[count - 1 - at];
    }
    return count;
}

/*
 * Most numbers that people write: up to 15 digits, not very small. If value is some m / 10^k with m
 * < 10^15, rounded once, then value x 10^k is so near to m that rounding finds it, and the least
 * such k gives the shortest text.
 */
static bool shortest_fixed(double value, struct decimal *out)
{
    static const double MANTISSA_LIMIT = 1e15;
    for (int power = 0; power <= POWER_OF_TEN_MAX; power++) {
        double scaled = value * POWERS_OF_TEN[power];
        if (scaled >= MANTISSA_LIMIT) {
            return false;
        }
        uint64_t mantissa = (uint64_t)(scaled + 0.5);
        if ((double)mantissa / POWERS_OF_TEN[power] == value) {
            out->count = write_integer(mantissa, out->digits);
            out->exponent = out->count - 1 - power;
            return true;
        }
    }
    return false;
}

/* Any finite number above zero: the fewest digits that read back, without zeros at the end. */
static void shortest_search(double value, struct decimal *out)
{
    /* Subnormal numbers have fewer bits, down to one, so that few digits may name them. */
    int count = value < DBL_MIN ? 1 : FLOAT_DIGITS_SAFE;
    for (; count <= FLOAT_DIGITS_MAX; count++) {
        char printed[64];
        int size = snprintf(printed, sizeof(printed), "%.*e", count - 1, value);
        ASSERT(size > 0 && (size_t)size < sizeof(printed));
        /*
         * The locale may have put anything for the point: keep the digits, then read the exponent.
         */
        int digits = 0;
        char *at = printed;
        for (; *at != 'e'; at++) {
            if (is_digit((uint8_t)*at)) {
                ASSERT(digits < count);
                out->digits[digits++] = *at;
            }
        }
        out->exponent = (int)strtol(at + 1, NULL, 10);
        out->digits[digits] = '\0';
        char check[64];
        size = snprintf(check, sizeof(check), "%se%d", out->digits, out->exponent - digits + 1);
        ASSERT(size > 0 && (size_t)size < sizeof(check));
        out->count = digits;
        if (count == FLOAT_DIGITS_MAX || read_double(check) == value) {
            break;
        }
    }
    while (out->count > 1 && out->digits[out->count - 1] == '0') {
        out->count--;
    }
}

static size_t write_fixed(const struct decimal *decimal, char *out)
{
    size_t size = 0;
    int point = decimal->exponent + 1; /* digits in front of it */
    if (point <= 0) {
        out[size++] = '0';
        out[size++] = '.';
        for (; point < 0; point++) {
            out[size++] = '0';
        }
        memcpy(out + size, decimal->digits, (size_t)decimal->count);
        return size + (size_t)decimal->count;
    }
    for (int at = 0; at < point || at < decimal->count; at++) {
        if (at == point) {
            out[size++] = '.';
        }
        out[size++] = at < decimal->count ? decimal->digits[at] : '0';
    }
    if (decimal->count <= point) {
        out[size++] = '.';
        out[size++] = '0';
    }
    return size;
}

static size_t write_scientific(const struct decimal *decimal, char *out)
{
    size_t size = 0;
    out[size++] = decimal->digits[0];
    if (decimal->count > 1) {
        out[size++] = '.';
        memcpy(out + size, decimal->digits + 1, (size_t)decimal->count - 1);
        size += (size_t)decimal->count - 1;
    }
    out[size++] = 'e';
    if (decimal->exponent < 0) {
        out[size++] = '-';
    }
    return size + (size_t)write_integer((uint64_t)abs(decimal->exponent), out + size);
}

size_t number_float_text(double value, char text_out[NUMBER_FLOAT_TEXT_MAX])
{
    ASSERT(isfinite(value));
    size_t size = 0;
    if (signbit(value)) {
        text_out[size++] = '-';
        value = -value;
    }
    if (value == 0.0) {
        memcpy(text_out + size, "0.0", 3);
        return size + 3;
    }
    struct decimal decimal;
    if (value < 1e-4 || !shortest_fixed(value, &decimal)) {
        shortest_search(value, &decimal);
    }
    bool is_fixed =
        decimal.exponent >= FIXED_EXPONENT_MIN && decimal.exponent <= FIXED_EXPONENT_MAX;
    size += is_fixed ? write_fixed(&decimal, text_out + size)
                     : write_scientific(&decimal, text_out + size);
    ASSERT(size <= NUMBER_FLOAT_TEXT_MAX);
    return size;
}
