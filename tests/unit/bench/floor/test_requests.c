#include <criterion/criterion.h>
#include <stdio.h>

#include "bench/floor/requests.h"

static const char three[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
                            "PUT /b HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:  5\r\n\r\n\r\n\r\n\r"
                            "PUT /c HTTP/1.1\r\nContent-Length: 0\r\n\r\n";

/* The requests in text when it arrives in two pieces. */
static uint32_t count_split(struct bytes text, size_t at, bool bodies)
{
    struct requests requests = {0};
    uint32_t first = 0;
    uint32_t second = 0;
    cr_assert_eq(requests_count(&requests, bytes_slice(text, 0, at), bodies, &first), STATUS_OK);
    cr_assert_eq(requests_count(&requests, bytes_slice(text, at, text.size - at), bodies, &second),
                 STATUS_OK);
    requests_reset(&requests);
    return first + second;
}

Test(requests, each_is_counted_once_wherever_the_stream_is_cut)
{
    struct bytes text = BYTES_LITERAL(three);
    for (size_t at = 0; at <= text.size; at++) {
        cr_assert_eq(count_split(text, at, true), 3, "cut at %zu", at);
    }
}

Test(requests, a_body_counts_only_when_its_last_byte_is_there)
{
    struct requests requests = {0};
    uint32_t count = 9;
    struct bytes text = BYTES_LITERAL("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\na");
    cr_assert_eq(requests_count(&requests, text, true, &count), STATUS_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(requests_count(&requests, BYTES_LITERAL("b"), true, &count), STATUS_OK);
    cr_assert_eq(count, 1);
    requests_reset(&requests);
}

Test(requests, byte_by_byte_is_the_same)
{
    struct requests requests = {0};
    struct bytes text = BYTES_LITERAL(three);
    uint32_t sum = 0;
    for (size_t at = 0; at < text.size; at++) {
        uint32_t count = 0;
        cr_assert_eq(requests_count(&requests, bytes_slice(text, at, 1), true, &count), STATUS_OK);
        sum += count;
    }
    cr_assert_eq(sum, 3);
    requests_reset(&requests);
}

Test(requests, a_head_without_end_is_refused)
{
    static uint8_t endless[HEAD_BYTES_MAX];
    struct requests requests = {0};
    uint32_t count = 0;
    memset(endless, 'a', sizeof(endless));
    cr_assert_eq(requests_count(&requests, bytes_of(endless, sizeof(endless)), false, &count),
                 STATUS_OK);
    cr_assert_eq(requests_count(&requests, bytes_of(endless, 1), false, &count), STATUS_TOO_LARGE);
    requests_reset(&requests);
}

Test(requests, a_length_that_is_no_number_is_refused)
{
    static const char *const lengths[] = {"x", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct requests requests = {0};
        uint32_t count = 0;
        char text[128];
        snprintf(text, sizeof(text), "PUT / HTTP/1.1\r\nContent-Length: %s\r\n\r\n", lengths[i]);
        cr_assert_eq(requests_count(&requests, bytes_of_text(text), true, &count), STATUS_INVALID,
                     "%s", lengths[i]);
        requests_reset(&requests);
    }
}
