#include <criterion/criterion.h>

#include "bindings/c/buffer.h"

Test(buffer, what_goes_in_comes_out_in_its_order)
{
    struct buffer buffer = {0};
    for (unsigned round = 0; round < 5000; round++) {
        cr_assert_eq(buffer_append(&buffer, BYTES_LITERAL("abc"), 1 << 20), STATUS_OK);
        cr_assert_eq(buffer_bytes(&buffer).data[0], "abc"[round * 2 % 3]);
        buffer_consume(&buffer, 2);
    }
    cr_assert_eq(buffer_left(&buffer), 5000);
    buffer_deinit(&buffer);
}

Test(buffer, it_takes_its_maximum_and_not_a_byte_more)
{
    struct buffer buffer = {0};
    cr_assert_eq(buffer_append(&buffer, BYTES_EMPTY, 0), STATUS_OK);
    cr_assert_eq(buffer_append(&buffer, BYTES_LITERAL("abcd"), 4), STATUS_OK);
    cr_assert_eq(buffer_append(&buffer, BYTES_LITERAL("e"), 4), STATUS_TOO_LARGE);
    cr_assert_eq(buffer_reserve(&buffer, SIZE_MAX, SIZE_MAX), STATUS_TOO_LARGE);
    cr_assert(bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("abcd")));
    buffer_consume(&buffer, 3);
    cr_assert_eq(buffer_append(&buffer, BYTES_LITERAL("efg"), 4), STATUS_OK);
    cr_assert(bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("defg")));
    buffer_deinit(&buffer);
}

Test(buffer, an_empty_one_gives_back_what_was_much)
{
    struct buffer buffer = {0};
    cr_assert_eq(buffer_reserve(&buffer, 1 << 20, 1 << 20), STATUS_OK);
    buffer.size = 1 << 20;
    buffer_consume(&buffer, 1 << 20);
    cr_assert_eq(buffer.capacity, 0);
    buffer_deinit(&buffer);
}
