#include <criterion/criterion.h>

#include "net/rest/cursor.h"

static const struct cursor_list lamps = {BYTES_LITERAL("products"), BYTES_LITERAL("category"),
                                         BYTES_LITERAL("lamps")};
static uint8_t buffer[CURSOR_BYTES_MAX];

static struct bytes token_of(const struct cursor_list *list, struct bytes id, char *text)
{
    struct writer out = writer_of(text, CURSOR_TEXT_BYTES_MAX);
    cursor_write(list, id, &out);
    cr_assert_not(out.failed);
    return writer_bytes(&out);
}

Test(cursor, gives_the_id_back_whatever_its_size)
{
    uint8_t id[ID_BYTES_MAX];
    char text[CURSOR_TEXT_BYTES_MAX];
    memset(id, 'i', sizeof(id));
    for (size_t size = 1; size <= ID_BYTES_MAX; size++) {
        struct bytes token = token_of(&lamps, bytes_of(id, size), text);
        struct bytes read;
        cr_assert_eq(cursor_read(&lamps, token, buffer, &read), STATUS_OK);
        cr_assert(bytes_equal(read, bytes_of(id, size)));
        for (size_t at = 0; at < token.size; at++) {
            cr_assert(strchr("+/=&?#<> ", token.data[at]) == NULL, "safe in a URL");
        }
    }
}

Test(cursor, belongs_to_its_list)
{
    char text[CURSOR_TEXT_BYTES_MAX];
    struct bytes token = token_of(&lamps, BYTES_LITERAL("42"), text);
    const struct cursor_list others[] = {
        {BYTES_LITERAL("pets"), lamps.field, lamps.value},
        {lamps.collection, BYTES_EMPTY, BYTES_EMPTY},
        {lamps.collection, lamps.field, BYTES_LITERAL("lamp")},
        {lamps.collection, BYTES_LITERAL("categoryl"), BYTES_LITERAL("amps")},
    };
    for (size_t index = 0; index < 4; index++) {
        struct bytes read;
        cr_assert_eq(cursor_read(&others[index], token, buffer, &read), STATUS_INVALID);
        cr_assert_eq(read.size, 0);
    }
}

Test(cursor, a_changed_missing_or_added_character_is_an_error)
{
    char text[CURSOR_TEXT_BYTES_MAX + 1];
    struct bytes read;
    struct bytes token = token_of(&lamps, BYTES_LITERAL("id-of-a-lamp"), text);
    for (size_t at = 0; at < token.size; at++) {
        char was = text[at];
        for (const char *other = "AZaz09-_=+/ %"; *other != 0; other++) {
            text[at] = *other;
            enum status status = cursor_read(&lamps, token, buffer, &read);
            cr_assert_eq(status, *other == was ? STATUS_OK : STATUS_INVALID);
        }
        text[at] = was;
        cr_assert_eq(cursor_read(&lamps, bytes_slice(token, 0, at), buffer, &read), STATUS_INVALID);
    }
    text[token.size] = 'A';
    cr_assert_eq(cursor_read(&lamps, bytes_of(text, token.size + 1), buffer, &read),
                 STATUS_INVALID);
}
