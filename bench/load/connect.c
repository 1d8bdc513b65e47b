#include "bench/load/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DESCRIPTORS_SPARE 64

/* A socket that is not yet connected, from 127.0.0.1 + source where a source is wanted; -1 with
 * errno. */
static int socket_open(bool local, uint32_t source)
{
    int one = 1;
    const struct timeval wait = {.tv_sec = CONNECT_WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bool good = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0;
    if (good && local) {
        /* The port is chosen when the other end is known, so that one serves several of them. */
        const struct sockaddr_in from = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source),
        };
        good = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) == 0 &&
               bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0;
    }
    if (!good) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum status connect_to(const char *host, uint16_t port, uint64_t number, int *fd_out)
{
    *fd_out = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "bench_load: %s is not an IPv4 address\n", host);
        return STATUS_INVALID;
    }
    bool local = ntohl(address.sin_addr.s_addr) >> 24 == 127;
    uint32_t sources = local ? CONNECT_SOURCES_MAX : 1;
    uint32_t first = (uint32_t)(number / CONNECT_PER_SOURCE % sources);
    for (uint32_t tried = 0; tried < sources; tried++) {
        int fd = socket_open(local, (first + tried) % sources);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
            *fd_out = fd;
            return STATUS_OK;
        }
        int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        errno = error;
        if (error != EADDRNOTAVAIL) {
            break;
        }
    }
    fprintf(stderr, "bench_load: connecting to %s:%u: %s\n", host, port, strerror(errno));
    return STATUS_CLOSED;
}

enum status connect_raise_descriptors(uint64_t count)
{
    struct rlimit limit;
    rlim_t wanted = count + DESCRIPTORS_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return STATUS_IO_ERROR;
    }
    if (limit.rlim_cur >= wanted) {
        return STATUS_OK;
    }
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) {
        limit.rlim_max = wanted; /* the privileged may raise it */
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fprintf(stderr, "bench_load: %llu open files are not allowed (ulimit -n): %s\n",
                (unsigned long long)wanted, strerror(errno));
        return STATUS_IO_ERROR;
    }
    return STATUS_OK;
}
