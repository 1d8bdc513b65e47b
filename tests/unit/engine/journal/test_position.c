#include <criterion/criterion.h>

#include "engine/journal/position.h"

static struct position example(void)
{
    struct position position = {.epoch = 3, .sequence = 123456789};
    for (uint8_t i = 0; i < sizeof(position.store_id.bytes); i++) {
        position.store_id.bytes[i] = (uint8_t)(i * 16 + 1);
    }
    return position;
}

/* Clients keep these texts: this test changes only together with the version byte. */
Test(position, its_text_is_the_one_in_the_format)
{
    char text[POSITION_TEXT_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    struct position position = example();
    position_write(&position, &writer);
    cr_assert(!writer.failed);
    cr_assert_eq(writer.size, POSITION_TEXT_BYTES);
    cr_assert(bytes_equal(writer_bytes(&writer),
                          BYTES_LITERAL("AQERITFBUWFxgZGhscHR4fEAAAAAAAAAAwAAAAAHW80VwFpZK3L2")),
              "%.52s", text);
}

Test(position, comes_back_as_it_went)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct position position = example();
        position.epoch = numbers[i];
        position.sequence = UINT64_MAX - numbers[i];
        char text[POSITION_TEXT_BYTES];
        struct writer writer = writer_of(text, sizeof(text));
        position_write(&position, &writer);
        struct position out;
        cr_assert_eq(position_read(writer_bytes(&writer), &out), STATUS_OK);
        cr_assert_eq(memcmp(&out, &position, sizeof(out)), 0);
    }
}

Test(position, with_any_other_digit_in_its_text_is_invalid)
{
    struct position position = example();
    char text[POSITION_TEXT_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    position_write(&position, &writer);
    struct position out;
    for (size_t i = 0; i < sizeof(text); i++) {
        char right = text[i];
        for (int other = 0; other < 256; other++) {
            text[i] = (char)other;
            cr_assert_eq(position_read(writer_bytes(&writer), &out),
                         (char)other == right ? STATUS_OK : STATUS_INVALID);
        }
        text[i] = right;
    }
}

Test(position, of_another_length_is_invalid)
{
    char text[POSITION_TEXT_BYTES + 1] = {0};
    struct writer writer = writer_of(text, sizeof(text));
    struct position position = example();
    position_write(&position, &writer);
    struct position out;
    for (size_t size = 0; size < POSITION_TEXT_BYTES; size++) {
        cr_assert_eq(position_read(bytes_of(text, size), &out), STATUS_INVALID);
    }
    cr_assert_eq(position_read(bytes_of(text, sizeof(text)), &out), STATUS_INVALID);
    cr_assert_eq(position_read(BYTES_EMPTY, &out), STATUS_INVALID);
}

Test(position, that_does_not_fit_fails_the_writer)
{
    char text[POSITION_TEXT_BYTES - 1];
    struct writer writer = writer_of(text, sizeof(text));
    struct position position = example();
    position_write(&position, &writer);
    cr_assert(writer.failed);
}
