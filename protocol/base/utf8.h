/*
 * utf8.h: is this UTF-8?
 *
 * Valid is what RFC 3629 calls so: shortest forms only, no surrogates, nothing above U+10FFFF. NUL
 * is valid here.
 *
 * Owner:     the caller; nothing is kept.
 * Tests:     tests/unit/protocol/base/test_utf8.c.
 */
#ifndef FRESHET_PROTOCOL_BASE_UTF8_H
#define FRESHET_PROTOCOL_BASE_UTF8_H

#include <stdbool.h>

#include "protocol/base/bytes.h"

/* The size, 1 to 4, of the valid sequence that begins the left bytes at `at`; 0 when none does. */
static inline size_t utf8_sequence_size(const uint8_t *at, size_t left)
{
    if (left == 0) {
        return 0;
    }
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    /* The second byte's range rules out overlong forms, surrogates and what is above U+10FFFF. */
    size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead < 0xC2 || lead > 0xF4 || left < size) {
        return 0;
    }
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t index = 2; index < size; index++) {
        if ((at[index] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* The size of the longest valid prefix. */
size_t utf8_valid_size(struct bytes bytes);

static inline bool utf8_is_valid(struct bytes bytes)
{
    return utf8_valid_size(bytes) == bytes.size;
}

#endif
