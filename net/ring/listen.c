#include "net/ring/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"

#define RETRY_PAUSE_MS 20
#define PORT_MAX       65535

/* ---- text ---- */

static enum status invalid(const char *text, const char *why, struct ring_failure *failure)
{
    (void)snprintf(failure->text, sizeof(failure->text),
                   "'%.100s' is not an address: %s (as in 127.0.0.1:8080, [::1]:8080 or "
                   "localhost:8080)",
                   text, why);
    return STATUS_INVALID;
}

static bool port_parse(struct bytes text, uint16_t *port_out)
{
    uint32_t port = 0;
    if (text.size == 0 || text.size > 5) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(text.data[i] - '0');
    }
    *port_out = (uint16_t)port;
    return port <= PORT_MAX;
}

/* host without brackets, NUL-terminated. */
static bool host_parse(const char *host, bool brackets, uint16_t port, struct listen_address *out)
{
    if (brackets) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1) {
            return false;
        }
        memcpy(&out->storage, &address, sizeof(address));
        out->size = sizeof(address);
        return true;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const char *digits = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, digits, &address.sin_addr) != 1) {
        return false;
    }
    memcpy(&out->storage, &address, sizeof(address));
    out->size = sizeof(address);
    return true;
}

enum status listen_parse(const char *text, struct listen_address *out,
                         struct ring_failure *failure_out)
{
    memset(out, 0, sizeof(*out));
    failure_out->text[0] = '\0';
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return invalid(text, "there is no port", failure_out);
    }
    uint16_t port;
    if (!port_parse(bytes_of_text(colon + 1), &port)) {
        return invalid(text, "the port is not a number from 0 to 65535", failure_out);
    }
    struct bytes host = bytes_of(text, (size_t)(colon - text));
    bool brackets = host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    if (brackets) {
        host = bytes_slice(host, 1, host.size - 2);
    }
    char name[LISTEN_ADDRESS_BYTES_MAX];
    if (host.size == 0 || host.size >= sizeof(name)) {
        return invalid(text, "there is no address before the port", failure_out);
    }
    memcpy(name, host.data, host.size);
    name[host.size] = '\0';
    if (!host_parse(name, brackets, port, out)) {
        return invalid(text, "before the port must be a number address or localhost", failure_out);
    }
    ASSERT(out->size > 0);
    return STATUS_OK;
}

static uint16_t port_of(const struct listen_address *address)
{
    if (address->storage.ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address->storage)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)&address->storage)->sin_port);
}

void listen_format(const struct listen_address *address, char *text_out)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six =
            (const struct sockaddr_in6 *)(const void *)&address->storage;
        (void)inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        (void)snprintf(text_out, LISTEN_ADDRESS_BYTES_MAX, "[%s]:%u", host, port_of(address));
        return;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&address->storage;
    (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
    (void)snprintf(text_out, LISTEN_ADDRESS_BYTES_MAX, "%s:%u", host, port_of(address));
}

/* ---- sockets ---- */

static enum status refused(const struct listen_address *address, const char *what, int error,
                           struct ring_failure *failure)
{
    char text[LISTEN_ADDRESS_BYTES_MAX];
    listen_format(address, text);
    if (error == EADDRINUSE) {
        (void)snprintf(failure->text, sizeof(failure->text),
                       "%s is taken by another process; choose another port, or 0 for a free one",
                       text);
        return STATUS_CONFLICT;
    }
    (void)snprintf(failure->text, sizeof(failure->text), "%s: %s: %s", text, what, strerror(error));
    return STATUS_IO_ERROR;
}

static int option_set(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof(one));
}

/* The first socket is bound alone, so that a port that anybody uses is refused, and shared
 * afterwards. Returns 0 or an errno. */
static int bind_one(int fd, const struct listen_address *address, bool first)
{
    /* Accepted sockets inherit TCP_NODELAY. */
    if (option_set(fd, SOL_SOCKET, SO_REUSEADDR) < 0 ||
        option_set(fd, IPPROTO_TCP, TCP_NODELAY) < 0 ||
        (!first && option_set(fd, SOL_SOCKET, SO_REUSEPORT) < 0)) {
        return errno;
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) < 0) {
        return errno;
    }
    if (first && option_set(fd, SOL_SOCKET, SO_REUSEPORT) < 0) {
        return errno;
    }
    return listen(fd, LISTEN_BACKLOG) < 0 ? errno : 0;
}

static int open_one(const struct listen_address *address, bool first, int *fd_out)
{
    int error = 0;
    for (int waited_ms = 0;; waited_ms += RETRY_PAUSE_MS) {
        int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return errno;
        }
        error = bind_one(fd, address, first);
        if (error == 0) {
            *fd_out = fd;
            return 0;
        }
        (void)close(fd);
        if (error != EADDRINUSE || waited_ms >= LISTEN_RETRY_MS) {
            return error;
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = RETRY_PAUSE_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}

enum status listen_open(struct listen_address *address, uint32_t count, int *sockets_out,
                        struct ring_failure *failure_out)
{
    ASSERT(count > 0);
    ASSERT(address->size > 0);
    failure_out->text[0] = '\0';
    uint32_t opened = 0;
    int error = 0;
    for (; opened < count && error == 0; opened++) {
        error = open_one(address, opened == 0, &sockets_out[opened]);
        if (error == 0 && opened == 0 &&
            getsockname(sockets_out[0], (struct sockaddr *)&address->storage, &address->size) < 0) {
            error = errno;
            (void)close(sockets_out[0]);
        }
        if (error != 0) {
            break;
        }
    }
    if (error == 0) {
        ASSERT(opened == count);
        return STATUS_OK;
    }
    while (opened > 0) {
        opened--;
        (void)close(sockets_out[opened]);
    }
    return refused(address, "cannot listen", error, failure_out);
}
