#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/connect.h"

static int listen_anywhere(uint16_t *port_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port_out = ntohs(address.sin_port);
    return fd;
}

Test(connect, many_connections_come_from_several_addresses)
{
    static const struct {
        uint64_t number;
        uint32_t from;
    } cases[] = {
        {0, INADDR_LOOPBACK},
        {CONNECT_PER_SOURCE - 1, INADDR_LOOPBACK},
        {CONNECT_PER_SOURCE, INADDR_LOOPBACK + 1},
        {3 * CONNECT_PER_SOURCE, INADDR_LOOPBACK + 3},
    };
    uint16_t port;
    int listening = listen_anywhere(&port);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        int fd;
        cr_assert_eq(connect_to("127.0.0.1", port, cases[i].number, &fd), STATUS_OK);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        cr_assert_eq(ntohl(address.sin_addr.s_addr), cases[i].from);
        close(fd);
    }
    close(listening);
}

Test(connect, where_nobody_listens_there_is_no_connection)
{
    uint16_t port;
    int fd = 7;
    close(listen_anywhere(&port));
    cr_assert_eq(connect_to("127.0.0.1", port, 0, &fd), STATUS_CLOSED);
    cr_assert_eq(fd, -1);
    cr_assert_eq(connect_to("localhost", port, 0, &fd), STATUS_INVALID);
}
