#include <criterion/criterion.h>
#include <string.h>

#include "bindings/c/core_internal.h"

Test(status, every_status_has_words_of_its_own)
{
    const char *unknown = freshet_status_text((enum freshet_status)(FRESHET_NO_MEMORY + 1));
    for (int status = FRESHET_OK; status <= (int)FRESHET_NO_MEMORY; status++) {
        const char *text = freshet_status_text((enum freshet_status)status);
        cr_assert_str_neq(text, unknown, "%d", status);
        for (int other = FRESHET_OK; other < status; other++) {
            cr_assert_str_neq(text, freshet_status_text((enum freshet_status)other));
        }
    }
}

Test(status, every_code_is_one_status_and_success_alone_is_ok)
{
    for (unsigned code = 0; code < 1000; code++) {
        enum freshet_status status = core_status_of_code(code, "");
        cr_assert_eq(status == FRESHET_OK, code >= 200 && code < 300, "%u", code);
    }
}

Test(status, texts_that_are_too_long_are_cut)
{
    static struct error_room room;
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct freshet_error error = {FRESHET_INVALID, 400, text, text, 0, text, text};
    error_room_set(&room, &error);
    cr_assert_eq(strlen(room.error.type), ERROR_TYPE_MAX - 1);
    cr_assert_eq(strlen(room.error.detail), ERROR_DETAIL_MAX - 1);
    cr_assert_eq(strlen(room.error.oldest), POSITION_TEXT_BYTES_MAX);
    error_room_set(&room, &room.error);
    cr_assert_eq(strlen(room.error.newest), POSITION_TEXT_BYTES_MAX);
}
