/*
 * value.h: a scalar of an event, and the comparisons that tests make with it. Internal to
 * engine/filter.
 *
 * Numbers: an integer that a float64 cannot hold is equal to itself alone; all other numbers are
 * equal when their float64 is. Ranges go by the nearest float64.
 * Case:    folded text is Unicode's simple case folding, code point by code point, no locale.
 * Owner:   the caller; views point into the event. Any thread may call.
 * Tests:   tests/unit/engine/filter/test_value.c.
 */
#ifndef FRESHET_ENGINE_FILTER_VALUE_H
#define FRESHET_ENGINE_FILTER_VALUE_H

#include "protocol/base/bytes.h"
#include "protocol/document/token.h"

enum value_kind { VALUE_NULL, VALUE_FALSE, VALUE_TRUE, VALUE_NUMBER, VALUE_STRING };

struct number {
    double nearest;
    uint64_t integer; /* is_large: as two's complement when is_negative */
    bool is_large;    /* an integer that no float64 equals */
    bool is_negative;
};

struct value {
    enum value_kind kind;
    struct bytes text;    /* VALUE_STRING */
    struct number number; /* VALUE_NUMBER */
};

/* token: a scalar; bytes: from its first byte to the end of the event. False: a number that is not
 * one. */
bool value_of_token(const struct token *token, struct bytes bytes, struct value *out);

static inline bool number_equal(const struct number *a, const struct number *b)
{
    if (a->is_large || b->is_large) {
        return a->is_large && b->is_large && a->integer == b->integer &&
               a->is_negative == b->is_negative;
    }
    return a->nearest == b->nearest;
}

/* ---- case ---- */

/* A code point takes at most half as many bytes more when it is folded. */
static inline size_t fold_bytes_max(size_t size)
{
    return size + size / 2 + 1;
}

void fold_write(struct bytes text, struct writer *out);
/* folded: what fold_write has written. */
bool fold_equals(struct bytes text, struct bytes folded);
bool fold_starts_with(struct bytes text, struct bytes folded);
bool fold_ends_with(struct bytes text, struct bytes folded);

/* ---- wildcards ---- */

/* A star in a compiled wildcard: a byte that no UTF-8 has. */
#define WILDCARD_STAR 0xFF

/* False: an escape other than \* and \\, or two stars in a row; *reason_out says which. */
bool wildcard_compile(struct bytes source, struct writer *out, uint32_t *stars_out,
                      const char **reason_out);
bool wildcard_matches(struct bytes wildcard, struct bytes text);

/* ---- addresses ---- */

struct address {
    uint8_t bytes[16]; /* IPv4: the first four */
    uint8_t bits;      /* of the address, or of a block's prefix */
    bool is_v6;
};

bool address_parse(struct bytes text, struct address *out);
/* "10.0.0.0/8": the bits behind the prefix are cleared. False, with a reason. */
bool address_block_parse(struct bytes text, struct address *out, const char **reason_out);
bool address_in_block(const struct address *block, const struct address *address);

#endif
