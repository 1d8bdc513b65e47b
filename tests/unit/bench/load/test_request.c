#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/request.h"

#define SEED 3

static struct load_options options_of(const char *path, uint32_t value_bytes)
{
    struct load_options options = {
        .host = "127.0.0.1",
        .port = 8080,
        .path = path,
        .keys = {.theta = 0.5, .count = 10, .seed = SEED},
        .key_digits = 4,
        .value_bytes = value_bytes,
        .list_limit = 25,
        .mix = {[KIND_GET] = 1, [KIND_PUT] = 1, [KIND_POST] = 1, [KIND_LIST] = 1},
        .mix_sum = 4,
    };
    return options;
}

static char *write_text(struct requests *requests, enum kind kind, uint64_t key)
{
    char *text = (char *)malloc(requests->size_max + 1);
    cr_assert_not_null(text);
    uint32_t size = requests_write(requests, kind, key, 1, (uint8_t *)text);
    text[size] = '\0';
    cr_assert_eq(strlen(text), size);
    return text;
}

Test(request, a_get_has_its_key_in_the_path)
{
    struct load_options options = options_of("/products/{key}?x=1", 200);
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    char *text = write_text(&requests, KIND_GET, 42);
    cr_assert_str_eq(text, "GET /products/0042?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
    free(text);
    requests_destroy(&requests);
}

Test(request, a_post_goes_to_the_collection)
{
    struct load_options options = options_of("/products/{key}", 200);
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    char *text = write_text(&requests, KIND_POST, 42);
    cr_assert_eq(strncmp(text, "POST /products HTTP/1.1\r\n", 25), 0);
    free(text);
    requests_destroy(&requests);
}

/* The answer of the server that was asked for it: /products?limit=1, whose only record was
 * 0000000042. */
Test(request, a_list_has_the_cursor_that_the_server_gives_behind_that_key)
{
    struct load_options options = options_of("/products/{key}?x=1", 200);
    options.key_digits = 10;
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    char *text = write_text(&requests, KIND_LIST, 42);
    cr_assert_str_eq(text, "GET /products?limit=25&cursor=ATZ3stDhHOfsMDAwMDAwMDA0Mg HTTP/1.1\r\n"
                           "Host: 127.0.0.1:8080\r\n\r\n");
    free(text);
    requests_destroy(&requests);
}

Test(request, a_body_follows_from_its_serial_and_its_key)
{
    struct load_options options = options_of("/products/{key}", 300);
    struct requests requests;
    struct requests again;
    options.keys.seed = SEED + 1;
    cr_assert_eq(requests_create(&options, 7, &requests), STATUS_OK);
    options.keys.seed = SEED;
    cr_assert_eq(requests_create(&options, 6, &again), STATUS_OK);
    free(write_text(&again, KIND_PUT, 99));
    char *one = write_text(&requests, KIND_PUT, 1);
    char *two = write_text(&again, KIND_PUT, 1);
    cr_assert_str_eq(one, two);
    free(one);
    free(two);
    requests_destroy(&requests);
    requests_destroy(&again);
}

Test(request, an_rmw_is_written_as_a_get_and_a_put)
{
    struct load_options options = options_of("/products/{key}", 300);
    memset(options.mix, 0, sizeof(options.mix));
    options.mix[KIND_RMW] = options.mix_sum = 1;
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    char *get = write_text(&requests, KIND_GET, 1);
    char *put = write_text(&requests, KIND_PUT, 1);
    cr_assert_eq(strncmp(get, "GET /products/0001 ", 19), 0);
    cr_assert_eq(strncmp(put, "PUT /products/0001 ", 19), 0);
    free(get);
    free(put);
    requests_destroy(&requests);
}

/* Without its quoted strings the body must be what it is written to be, whatever the key is. */
Test(request, bodies_have_their_size_and_their_form_and_are_never_equal)
{
    static const uint32_t sizes[] = {LOAD_VALUE_BYTES_MIN, 300, 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct load_options options = options_of("/products/{key}", sizes[i]);
        struct requests requests;
        cr_assert_eq(requests_create(&options, 99, &requests), STATUS_OK);
        char *previous = write_text(&requests, KIND_PUT, 1);
        for (uint64_t key = 0; key < 100; key++) {
            char *text = write_text(&requests, KIND_PUT, key);
            const char *body = strstr(text, "\r\n\r\n") + 4;
            cr_assert_eq(strlen(body), sizes[i]);
            char shelf[16];
            char price[16];
            cr_assert_eq(sscanf(body,
                                "{\"title\":\"Lamp %*16[0-9a-f]\",\"price\":%7[0-9.],"
                                "\"category\":\"%8[a-z0-9-]\",\"description\":\"",
                                price, shelf),
                         2);
            cr_assert(price[4] == '.' && price[6] != '0' && strlen(price) == 7, "%s", price);
            cr_assert_eq(strncmp(shelf, "shelf-", 6), 0);
            cr_assert_str_eq(body + strlen(body) - 2, "\"}");
            cr_assert_str_neq(text, previous);
            free(previous);
            previous = text;
        }
        free(previous);
        requests_destroy(&requests);
    }
}

Test(request, two_bodies_of_the_same_key_differ)
{
    struct load_options options = options_of("/products/{key}", 300);
    struct requests requests;
    cr_assert_eq(requests_create(&options, 0, &requests), STATUS_OK);
    char *one = write_text(&requests, KIND_PUT, 1);
    char *two = write_text(&requests, KIND_PUT, 1);
    cr_assert_str_neq(one, two);
    free(one);
    free(two);
    requests_destroy(&requests);
}
