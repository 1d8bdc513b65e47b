#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/ring/listen.h"

Test(listen, addresses_are_understood_and_printed)
{
    static const struct {
        const char *text;
        const char *printed;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"[::1]:65535", "[::1]:65535"},
        {"localhost:1", "127.0.0.1:1"},
        {"[::]:80", "[::]:80"},
        {"127.0.0.1:00080", "127.0.0.1:80"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct listen_address address;
        struct ring_failure failure;
        char text[LISTEN_ADDRESS_BYTES_MAX];
        cr_assert_eq(listen_parse(cases[i].text, &address, &failure), STATUS_OK, "%s",
                     failure.text);
        listen_format(&address, text);
        cr_assert_str_eq(text, cases[i].printed);
    }
}

Test(listen, what_is_not_an_address_is_refused_with_a_reason)
{
    static const char *const cases[] = {
        "",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:080801",
        "[::1]",
        "::1:80",
        "[::1:80",
        "[127.0.0.1]:1",
        "example.org:80",
        "256.0.0.1:1",
        "[]:1",
        "1111111111111111111111111111111111111111111111111111111111111111111111111:1",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct listen_address address;
        struct ring_failure failure;
        cr_assert_eq(listen_parse(cases[i], &address, &failure), STATUS_INVALID, "%s", cases[i]);
        cr_assert_not_null(strstr(failure.text, "is not an address"));
    }
}

static void open_free(struct listen_address *address, uint32_t count, int *sockets)
{
    struct ring_failure failure;
    cr_assert_eq(listen_parse("127.0.0.1:0", address, &failure), STATUS_OK);
    cr_assert_eq(listen_open(address, count, sockets, &failure), STATUS_OK, "%s", failure.text);
}

Test(listen, all_sockets_share_the_port_that_the_first_found)
{
    struct listen_address address;
    int sockets[4];
    open_free(&address, 4, sockets);
    uint32_t accepted[4] = {0};
    for (int i = 0; i < 200; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(client, (struct sockaddr *)&address.storage, address.size), 0);
        struct pollfd polls[4];
        for (int k = 0; k < 4; k++) {
            polls[k] = (struct pollfd){.fd = sockets[k], .events = POLLIN};
        }
        cr_assert_eq(poll(polls, 4, 5000), 1);
        for (int k = 0; k < 4; k++) {
            if (polls[k].revents != 0) {
                int fd = accept(sockets[k], NULL, NULL);
                cr_assert_geq(fd, 0);
                cr_assert_eq(close(fd), 0);
                accepted[k]++;
            }
        }
        cr_assert_eq(close(client), 0);
    }
    for (int k = 0; k < 4; k++) {
        cr_assert_gt(accepted[k], 0, "socket %d never got a connection", k);
        cr_assert_eq(close(sockets[k]), 0);
    }
}

Test(listen, a_port_of_another_server_is_an_error_although_both_would_share)
{
    struct listen_address address;
    struct ring_failure failure;
    int first[2];
    int second[2];
    open_free(&address, 2, first);
    cr_assert_eq(listen_open(&address, 2, second, &failure), STATUS_CONFLICT);
    cr_assert_not_null(strstr(failure.text, "is taken"), "%s", failure.text);
    cr_assert_eq(close(first[0]), 0);
    cr_assert_eq(close(first[1]), 0);
    cr_assert_eq(listen_open(&address, 2, second, &failure), STATUS_OK, "%s", failure.text);
    cr_assert_eq(close(second[0]), 0);
    cr_assert_eq(close(second[1]), 0);
}

Test(listen, an_address_that_is_not_ours_is_an_error)
{
    struct listen_address address;
    struct ring_failure failure;
    int fd;
    cr_assert_eq(listen_parse("192.0.2.1:0", &address, &failure), STATUS_OK);
    cr_assert_eq(listen_open(&address, 1, &fd, &failure), STATUS_IO_ERROR);
    cr_assert_not_null(strstr(failure.text, "192.0.2.1:0"), "%s", failure.text);
}
