/* UTF-8 against the definition, for every code point and every short sequence of bytes. */
#include <criterion/criterion.h>

#include "protocol/base/utf8.h"

/*
 * What RFC 3629 says, written the slow way: decode, then see whether it was the shortest form of a
 * scalar value.
 */
static bool is_valid_sequence(const uint8_t *bytes, size_t size)
{
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lead = bytes[0];
    uint32_t point = size == 1   ? lead
                     : size == 2 ? lead & 0x1F
                     : size == 3 ? lead & 0x0F
                                 : lead & 0x07;
    bool lead_fits = size == 1   ? lead < 0x80
                     : size == 2 ? lead >> 5 == 6
                     : size == 3 ? lead >> 4 == 14
                                 : lead >> 3 == 30;
    for (size_t at = 1; at < size; at++) {
        if (bytes[at] >> 6 != 2) {
            return false;
        }
        point = point << 6 | (bytes[at] & 0x3F);
    }
    bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
    return lead_fits && point >= LEAST[size] && point <= 0x10FFFF && !is_surrogate;
}

Test(utf8, every_sequence_of_up_to_three_bytes_is_judged_as_the_definition_says)
{
    for (uint32_t word = 0; word < 0x1000000; word++) {
        uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
        size_t expected = is_valid_sequence(bytes, 1)   ? 1
                          : is_valid_sequence(bytes, 2) ? 2
                          : is_valid_sequence(bytes, 3) ? 3
                                                        : 0;
        if (utf8_sequence_size(bytes, 3) != expected) {
            cr_assert_fail("%02x %02x %02x", bytes[0], bytes[1], bytes[2]);
        }
    }
}

Test(utf8, every_sequence_of_four_bytes_that_begins_like_one_is_judged_as_the_definition_says)
{
    static const uint8_t LAST[] = {0x00, 0x7F, 0x80, 0xA5, 0xBF, 0xC0, 0xFF};
    for (uint32_t lead = 0xF0; lead <= 0xFF; lead++) {
        for (uint32_t second = 0; second <= 0xFF; second++) {
            for (size_t third = 0; third < sizeof(LAST); third++) {
                for (size_t fourth = 0; fourth < sizeof(LAST); fourth++) {
                    uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, LAST[third], LAST[fourth]};
                    size_t expected = is_valid_sequence(bytes, 4) ? 4 : 0;
                    cr_assert_eq(utf8_sequence_size(bytes, 4), expected, "%02x %02x %02x %02x",
                                 bytes[0], bytes[1], bytes[2], bytes[3]);
                }
            }
        }
    }
}

Test(utf8, a_sequence_that_is_cut_is_not_valid)
{
    static const char *const WHOLE[] = {"\303\244", "\342\202\254", "\360\235\204\236"};
    for (size_t at = 0; at < 3; at++) {
        struct bytes bytes = bytes_of_text(WHOLE[at]);
        cr_expect_eq(utf8_valid_size(bytes), bytes.size);
        for (size_t size = 0; size < bytes.size; size++) {
            cr_expect_eq(utf8_sequence_size(bytes.data, size), 0);
            cr_expect_eq(utf8_valid_size(bytes_of(bytes.data, size)), 0);
        }
    }
}

Test(utf8, the_valid_prefix_ends_at_the_first_bad_byte_wherever_it_is)
{
    for (size_t size = 0; size < 40; size++) {
        uint8_t text[40];
        memset(text, 'x', sizeof(text));
        cr_expect(utf8_is_valid(bytes_of(text, size)));
        for (size_t at = 0; at < size; at++) {
            text[at] = 0xFF;
            cr_expect_eq(utf8_valid_size(bytes_of(text, size)), at);
            cr_expect_not(utf8_is_valid(bytes_of(text, size)));
            text[at] = 'x';
        }
    }
    cr_expect(utf8_is_valid(BYTES_EMPTY));
    cr_expect(
        utf8_is_valid(BYTES_LITERAL("plain \303\244\342\202\254\360\235\204\236 and \0 too")));
}
