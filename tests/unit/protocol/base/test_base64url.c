#include <criterion/criterion.h>

#include "protocol/base/base64url.h"

static void check_text(struct bytes bytes, const char *text)
{
    uint8_t room[64];
    struct writer out = writer_of(room, sizeof(room));
    base64url_write(bytes, &out);
    cr_assert(bytes_equal(writer_bytes(&out), bytes_of_text(text)));
    cr_assert_eq(out.size, BASE64URL_TEXT_BYTES(bytes.size));
    uint8_t back[64];
    struct writer read = writer_of(back, sizeof(back));
    cr_assert(base64url_read(writer_bytes(&out), &read));
    cr_assert(bytes_equal(writer_bytes(&read), bytes));
}

Test(base64url, texts_of_the_standard_come_and_go_without_padding)
{
    check_text(BYTES_EMPTY, "");
    check_text(BYTES_LITERAL("f"), "Zg");
    check_text(BYTES_LITERAL("fo"), "Zm8");
    check_text(BYTES_LITERAL("foo"), "Zm9v");
    check_text(BYTES_LITERAL("foob"), "Zm9vYg");
    check_text(BYTES_LITERAL("fooba"), "Zm9vYmE");
    check_text(BYTES_LITERAL("foobar"), "Zm9vYmFy");
    check_text(BYTES_LITERAL("\xfb\xff\xbf"), "-_-_");
}

Test(base64url, any_other_text_is_refused)
{
    static const char *const texts[] = {
        "Z", "Zh", "Zm9", "Zg==", "Zm8=", "Zm+v", "Zm/v", "Zm 9", "Zm9vY", "Zm9v\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t room[64];
        struct writer out = writer_of(room, sizeof(room));
        cr_assert_not(base64url_read(bytes_of_text(texts[i]), &out), "%s", texts[i]);
    }
}

Test(base64url, what_does_not_fit_fails)
{
    uint8_t room[3];
    struct writer text = writer_of(room, 3);
    base64url_write(BYTES_LITERAL("foo"), &text);
    cr_assert(text.failed);
    struct writer bytes = writer_of(room, 2);
    cr_assert_not(base64url_read(BYTES_LITERAL("Zm9v"), &bytes));
}
