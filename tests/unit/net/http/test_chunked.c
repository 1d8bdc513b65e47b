#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "net/http/chunked.h"

#define BODY_MAX 64

struct decoded {
    enum chunked_result result;
    size_t raw;
    size_t size;
    char body[256];
};

/* In up to three pieces. */
static struct decoded decode(const char *text, size_t size, size_t first, size_t second)
{
    struct decoded d = {.result = CHUNKED_MORE};
    struct chunked chunked = {0};
    uint8_t data[8192];
    size_t ends[] = {first, second, size};
    size_t consumed = 0; /* of the text */
    for (int i = 0; i < 3 && d.result == CHUNKED_MORE; i++) {
        /* As in a connection: the body so far, and right behind it what is new. */
        size_t raw = d.size;
        memcpy(data + raw, text + consumed, ends[i] - consumed);
        size_t begin = raw;
        d.result =
            chunked_decode(&chunked, data, raw + ends[i] - consumed, BODY_MAX, &raw, &d.size);
        consumed += raw - begin;
    }
    d.raw = consumed;
    memcpy(d.body, data, d.size < sizeof(d.body) ? d.size : sizeof(d.body));
    return d;
}

static struct decoded decode_whole(const char *text)
{
    return decode(text, strlen(text), 0, 0);
}

Test(chunked, a_body_is_the_same_however_it_is_split)
{
    static const char text[] =
        "5\r\nhello\r\n1;a=b\r\n \r\n00A\r\nwonderful \r\n0\r\nX: y\r\n\r\nnext";
    size_t size = sizeof(text) - 1;
    for (size_t i = 0; i <= size; i++) {
        for (size_t j = i; j <= size; j++) {
            struct decoded d = decode(text, size, i, j);
            cr_assert_eq(d.result, CHUNKED_DONE, "split at %zu and %zu", i, j);
            cr_assert_eq(d.size, 16);
            cr_assert_arr_eq(d.body, "hello wonderful ", 16);
            cr_assert_eq(d.raw, size - 4);
        }
    }
}

Test(chunked, malformed_framing_is_refused)
{
    static const char *const cases[] = {
        "\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "-1\r\n",
        "+5\r\nhello",
        "0x5\r\nhello",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\rhello",
        "0\r\n\n",
        "0\n\n",
        "0\r\nX: y\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\n: no name\r\n\r\n",
        "0\r\nX: \x01\r\n\r\n",
        "5;\x01\r\nhello",
        "5;a\nhello",
        "0\r\n\rX",
        "5\r\nhello\rX0\r\n\r\n",
        "5\r\nhelloX\n0\r\n\r\n",
        "0\r\n\rX0",
        "0\r\nT: x\rX\r\n",
        ";\r\n",
        "5,5\r\nhello",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(decode_whole(cases[i]).result, CHUNKED_BAD, "%s", cases[i]);
    }
}

Test(chunked, a_body_at_the_limit_is_accepted_and_one_byte_more_is_not)
{
    char text[256];
    for (size_t size = BODY_MAX - 1; size <= BODY_MAX + 1; size++) {
        int length = snprintf(text, sizeof(text), "1\r\nx\r\n%zx\r\n", size - 1);
        memset(text + length, 'y', size - 1);
        (void)snprintf(text + (size_t)length + size - 1, 16, "\r\n0\r\n\r\n");
        struct decoded d = decode_whole(text);
        cr_assert_eq(d.result, size <= BODY_MAX ? CHUNKED_DONE : CHUNKED_TOO_LARGE);
    }
    cr_assert_eq(decode_whole("ffffffff\r\n").result, CHUNKED_TOO_LARGE);
    cr_assert_eq(decode_whole("100000000\r\n").result, CHUNKED_TOO_LARGE);
    cr_assert_eq(decode_whole("00000000\r\n\r\n").result, CHUNKED_DONE);
}

Test(chunked, extensions_and_trailers_are_bounded)
{
    static char text[8192];
    for (size_t over = 0; over <= 1; over++) {
        size_t size = (size_t)snprintf(text, sizeof(text), "1");
        text[size++] = ';';
        memset(text + size, 'e', CHUNK_EXTENSION_BYTES_MAX + over);
        size += CHUNK_EXTENSION_BYTES_MAX + over;
        (void)snprintf(text + size, 32, "\r\nx\r\n0\r\n\r\n");
        cr_assert_eq(decode_whole(text).result, over == 0 ? CHUNKED_DONE : CHUNKED_BAD);

        size = (size_t)snprintf(text, sizeof(text), "0\r\nT:");
        memset(text + size, 't', CHUNK_TRAILER_BYTES_MAX - 2 + over);
        size += CHUNK_TRAILER_BYTES_MAX - 2 + over;
        (void)snprintf(text + size, 32, "\r\n\r\n");
        cr_assert_eq(decode_whole(text).result, over == 0 ? CHUNKED_DONE : CHUNKED_BAD);
    }
}
