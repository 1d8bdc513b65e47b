/* Views, readers and writers never pass their ends. */
#include <criterion/criterion.h>

#include "protocol/base/bytes.h"

Test(bytes, equal_is_by_size_and_content)
{
    cr_expect(bytes_equal(BYTES_EMPTY, BYTES_LITERAL("")));
    cr_expect(bytes_equal(BYTES_LITERAL("abc"), bytes_of_text("abc")));
    cr_expect_not(bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
    cr_expect_not(bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("abd")));
    cr_expect_eq(BYTES_LITERAL("a\0b").size, 3);
}

Test(bytes, order_is_by_bytes_and_a_prefix_comes_first)
{
    cr_expect_eq(bytes_compare(BYTES_EMPTY, BYTES_EMPTY), 0);
    cr_expect_lt(bytes_compare(BYTES_EMPTY, BYTES_LITERAL("a")), 0);
    cr_expect_lt(bytes_compare(BYTES_LITERAL("a"), BYTES_LITERAL("ab")), 0);
    cr_expect_gt(bytes_compare(BYTES_LITERAL("b"), BYTES_LITERAL("ab")), 0);
    cr_expect_gt(bytes_compare(BYTES_LITERAL("\xFF"), BYTES_LITERAL("\x7F")), 0);
    cr_expect_eq(bytes_compare(BYTES_LITERAL("ab"), BYTES_LITERAL("ab")), 0);
}

Test(bytes, a_prefix_is_seen)
{
    cr_expect(bytes_starts_with(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
    cr_expect(bytes_starts_with(BYTES_LITERAL("abc"), BYTES_EMPTY));
    cr_expect(bytes_starts_with(BYTES_EMPTY, BYTES_EMPTY));
    cr_expect_not(bytes_starts_with(BYTES_LITERAL("a"), BYTES_LITERAL("ab")));
    cr_expect_not(bytes_starts_with(BYTES_LITERAL("ba"), BYTES_LITERAL("a")));
}

Test(bytes, a_slice_is_cut_at_the_end)
{
    struct bytes whole = BYTES_LITERAL("abcdef");
    cr_expect(bytes_equal(bytes_slice(whole, 2, 3), BYTES_LITERAL("cde")));
    cr_expect(bytes_equal(bytes_slice(whole, 4, SIZE_MAX), BYTES_LITERAL("ef")));
    cr_expect_eq(bytes_slice(whole, 6, 1).size, 0);
    cr_expect_eq(bytes_slice(whole, 7, 1).size, 0);
    cr_expect_eq(bytes_slice(whole, SIZE_MAX, SIZE_MAX).size, 0);
}

Test(bytes, arithmetic_is_refused_where_it_would_overflow)
{
    size_t out = 7;
    cr_expect(size_add(1, 2, &out) && out == 3);
    cr_expect(size_add(SIZE_MAX, 0, &out) && out == SIZE_MAX);
    cr_expect_not(size_add(SIZE_MAX, 1, &out));
    cr_expect(size_multiply(6, 7, &out) && out == 42);
    cr_expect(size_multiply(SIZE_MAX, 0, &out) && out == 0);
    cr_expect_not(size_multiply(SIZE_MAX / 2 + 1, 2, &out));
    cr_expect_eq(out, 0);
}

Test(bytes, integers_are_big_endian_at_any_place)
{
    uint8_t room[11] = {0};
    put_u16(room + 1, 0x0102);
    cr_expect_arr_eq(room, "\x00\x01\x02\x00", 4);
    cr_expect_eq(get_u16(room + 1), 0x0102);
    put_u32(room + 1, 0x01020304);
    cr_expect_arr_eq(room + 1, "\x01\x02\x03\x04", 4);
    cr_expect_eq(get_u32(room + 1), 0x01020304);
    put_u64(room + 1, 0x0102030405060708);
    cr_expect_arr_eq(room, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00", 10);
    cr_expect_eq(get_u64(room + 1), 0x0102030405060708);
}

Test(reader, everything_written_is_read_back)
{
    uint8_t room[32];
    struct writer writer = writer_of(room, sizeof(room));
    writer_u8(&writer, 0xAB);
    writer_u16(&writer, 0xABCD);
    writer_u32(&writer, 0xABCDEF01);
    writer_u64(&writer, 0xABCDEF0123456789);
    writer_put(&writer, BYTES_LITERAL("tail"));
    cr_assert_not(writer.failed);
    struct reader reader = reader_of(writer_bytes(&writer));
    cr_expect_eq(reader_left(&reader), 19);
    cr_expect_eq(reader_u8(&reader), 0xAB);
    cr_expect_eq(reader_u16(&reader), 0xABCD);
    cr_expect_eq(reader_u32(&reader), 0xABCDEF01);
    cr_expect_eq(reader_u64(&reader), 0xABCDEF0123456789);
    cr_expect(bytes_equal(reader_bytes(&reader, 4), BYTES_LITERAL("tail")));
    cr_expect_eq(reader_left(&reader), 0);
    cr_expect_not(reader.failed);
}

Test(reader, the_first_read_past_the_end_fails_and_all_later_ones)
{
    struct reader reader = reader_of(BYTES_LITERAL("abc"));
    cr_expect_eq(reader_u32(&reader), 0);
    cr_expect(reader.failed);
    cr_expect_eq(reader.offset, 0);
    cr_expect_eq(reader_left(&reader), 0);
    cr_expect_eq(reader_u8(&reader), 0);
    cr_expect_null(reader_take(&reader, 0));
    cr_expect_eq(reader_bytes(&reader, 1).size, 0);

    struct reader huge = reader_of(BYTES_LITERAL("abc"));
    cr_expect_eq(reader_u8(&huge), 'a');
    cr_expect_null(reader_take(&huge, SIZE_MAX));
    cr_expect(huge.failed);
}

Test(reader, nothing_can_be_read_from_nothing_but_nothing)
{
    struct reader reader = reader_of(BYTES_LITERAL(""));
    cr_expect_eq(reader_bytes(&reader, 0).size, 0);
    cr_expect_not(reader.failed);
    cr_expect_eq(reader_u64(&reader), 0);
    cr_expect(reader.failed);
}

Test(writer, what_does_not_fit_is_not_written_at_all_and_sticks)
{
    uint8_t room[4] = "....";
    struct writer writer = writer_of(room, 3);
    writer_u16(&writer, 0x4142);
    cr_expect_eq(writer_left(&writer), 1);
    writer_u16(&writer, 0x4344);
    cr_expect(writer.failed);
    cr_expect_eq(writer.size, 2);
    cr_expect_eq(writer_left(&writer), 0);
    writer_u8(&writer, 'x');
    writer_text(&writer, "x");
    writer_u32(&writer, 1);
    writer_u64(&writer, 1);
    cr_expect_null(writer_reserve(&writer, 0));
    cr_expect_eq(writer.size, 2);
    cr_expect_arr_eq(room, "AB..", 4);
}

Test(writer, it_can_be_filled_to_its_last_byte)
{
    uint8_t room[3];
    struct writer writer = writer_of(room, sizeof(room));
    writer_text(&writer, "abc");
    writer_put(&writer, BYTES_EMPTY);
    cr_expect_not(writer.failed);
    cr_expect(bytes_equal(writer_bytes(&writer), BYTES_LITERAL("abc")));
    cr_expect_null(writer_reserve(&writer, SIZE_MAX));
    cr_expect(writer.failed);
}

static const char *decimal(uint64_t value)
{
    static char room[32]; /* each test is a process of its own */
    struct writer writer = writer_of(room, sizeof(room));
    writer_decimal(&writer, value);
    writer_u8(&writer, 0);
    return room;
}

Test(writer, decimals_have_no_more_digits_than_they_need)
{
    cr_expect_str_eq(decimal(0), "0");
    cr_expect_str_eq(decimal(9), "9");
    cr_expect_str_eq(decimal(10), "10");
    cr_expect_str_eq(decimal(1234567890), "1234567890");
    cr_expect_str_eq(decimal(UINT64_MAX), "18446744073709551615");
    uint8_t small[2];
    struct writer writer = writer_of(small, sizeof(small));
    writer_decimal(&writer, 100);
    cr_expect(writer.failed);
    cr_expect_eq(writer.size, 0);
}

Test(decimal, digits_are_read_up_to_what_is_none)
{
    static const struct {
        const char *text;
        size_t digits;
        uint64_t value;
    } cases[] = {
        {"", 0, 0},
        {"x1", 0, 0},
        {"-1", 0, 0},
        {"0", 1, 0},
        {"007s", 3, 7},
        {"42", 2, 42},
        {"18446744073709551615", 20, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 99;
        cr_assert_eq(bytes_decimal(bytes_of_text(cases[i].text), &value), cases[i].digits);
        cr_assert(cases[i].digits == 0 || value == cases[i].value);
    }
}

Test(decimal, more_than_64_bits_hold_is_no_number)
{
    uint64_t value;
    cr_assert_eq(bytes_decimal(BYTES_LITERAL("18446744073709551616"), &value), 0);
    cr_assert_eq(bytes_decimal(BYTES_LITERAL("184467440737095516150"), &value), 0);
    cr_assert_eq(bytes_decimal(BYTES_LITERAL("99999999999999999999999 "), &value), 0);
}
