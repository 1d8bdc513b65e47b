#include <criterion/criterion.h>

#include "protocol/frame/frame.h"

Test(frame, a_header_is_sixteen_bytes_in_this_order)
{
    const struct frame_header header = {.length = 0x01020304,
                                        .opcode = FRAME_PUT,
                                        .flags = FRAME_FLAG_CHECKED,
                                        .code = 0x0506,
                                        .id = 0x0708090a,
                                        .check = 0x0b0c0d0e};
    uint8_t bytes[FRAME_HEADER_BYTES];
    frame_header_write(&header, bytes);
    const uint8_t expected[FRAME_HEADER_BYTES] = {1, 2, 3, 4,  3,  2,  5,  6,
                                                  7, 8, 9, 10, 11, 12, 13, 14};
    cr_assert_arr_eq(bytes, expected, sizeof(expected));
}

Test(frame, what_was_written_is_read_again)
{
    const struct frame_header header = {.length = UINT32_MAX,
                                        .opcode = FRAME_ERROR,
                                        .flags = 0xff,
                                        .code = UINT16_MAX,
                                        .id = UINT32_MAX - 1,
                                        .check = UINT32_MAX - 2};
    uint8_t bytes[FRAME_HEADER_BYTES];
    frame_header_write(&header, bytes);
    struct frame_header read = frame_header_read(bytes);
    cr_assert_eq(read.length, header.length);
    cr_assert_eq(read.opcode, header.opcode);
    cr_assert_eq(read.flags, header.flags);
    cr_assert_eq(read.code, header.code);
    cr_assert_eq(read.id, header.id);
    cr_assert_eq(read.check, header.check);
}

Test(frame, the_check_is_the_crc_32_of_zlib)
{
    /* The check value of the catalogue of CRCs for CRC-32/ISO-HDLC. */
    cr_assert_eq(frame_check(BYTES_LITERAL("123456789")), 0xcbf43926u);
    cr_assert_eq(frame_check(BYTES_EMPTY), 0u);
}

Test(frame, an_opcode_and_its_answer_have_one_name)
{
    cr_assert_str_eq(frame_opcode_name(FRAME_GET), "GET");
    cr_assert_str_eq(frame_opcode_name(FRAME_GET | FRAME_ANSWER), "GET");
    cr_assert_str_eq(frame_opcode_name(FRAME_ERROR), "ERROR");
    cr_assert_str_eq(frame_opcode_name(0x7f), "?");
    cr_assert_str_eq(frame_opcode_name(0), "?");
}
