#include "bindings/c/transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define SCHEME       "freshet://"
#define DEFAULT_PORT "7400"
#define NS_PER_S     ((uint64_t)1000 * 1000 * 1000)
#define NS_PER_MS    ((uint64_t)1000 * 1000)
/* poll counts in int milliseconds; longer waits are several. */
#define WAIT_MS_MAX ((uint64_t)60 * 1000)

uint64_t transport_now_ns(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_BOOTTIME, &now);
    ASSERT(result == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static enum freshet_status fail(struct transport *transport, enum freshet_status status,
                                const char *what, const char *why)
{
    snprintf(transport->detail, sizeof(transport->detail), "%s%s%s", what, *why == '\0' ? "" : ": ",
             why);
    return status;
}

static bool part_copy(char *room, size_t capacity, const char *text, size_t size)
{
    if (size == 0 || size >= capacity) {
        return false;
    }
    memcpy(room, text, size);
    room[size] = '\0';
    return true;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT; a slash at the end does no harm. */
static bool address_split(struct transport *transport, const char *text)
{
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '/') {
        size--;
    }
    const char *end = text + size;
    const char *host = text;
    const char *host_end;
    if (*text == '[') {
        host = text + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (host_end == NULL) {
            return false;
        }
    } else {
        host_end = memchr(host, ':', size);
        host_end = host_end == NULL ? end : host_end;
    }
    const char *rest = *text == '[' ? host_end + 1 : host_end;
    bool has_port = rest < end && *rest == ':';
    if (!has_port && rest != end) {
        return false;
    }
    const char *port = has_port ? rest + 1 : DEFAULT_PORT;
    size_t port_size = has_port ? (size_t)(end - port) : strlen(port);
    return part_copy(transport->host, sizeof(transport->host), host, (size_t)(host_end - host)) &&
           part_copy(transport->port, sizeof(transport->port), port, port_size) &&
           strspn(transport->port, "0123456789") == port_size;
}

enum freshet_status transport_init(struct transport *transport, const char *url)
{
    *transport = (struct transport){.descriptor = -1};
    if (url == NULL || strncmp(url, SCHEME, strlen(SCHEME)) != 0 ||
        !address_split(transport, url + strlen(SCHEME))) {
        return fail(transport, FRESHET_INVALID, "an address looks like freshet://HOST:PORT", "");
    }
    return FRESHET_OK;
}

void transport_close(struct transport *transport)
{
    if (transport->descriptor >= 0) {
        close(transport->descriptor);
    }
    transport->descriptor = -1;
    transport->is_connecting = false;
}

static void addresses_free(struct transport *transport)
{
    if (transport->addresses != NULL) {
        freeaddrinfo(transport->addresses);
    }
    transport->addresses = NULL;
    transport->next = NULL;
}

void transport_deinit(struct transport *transport)
{
    transport_close(transport);
    addresses_free(transport);
}

/* Begins with the next address that the system takes. */
static enum freshet_status try_next(struct transport *transport)
{
    int one = 1;
    while (transport->next != NULL) {
        const struct addrinfo *at = transport->next;
        transport->next = at->ai_next;
        transport_close(transport);
        int type = at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
        transport->descriptor = socket(at->ai_family, type, at->ai_protocol);
        if (transport->descriptor < 0) {
            fail(transport, FRESHET_DISCONNECTED, "no socket", strerror(errno));
            continue;
        }
        setsockopt(transport->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        int result = connect(transport->descriptor, at->ai_addr, at->ai_addrlen);
        if (result == 0 || errno == EINPROGRESS) {
            transport->is_connecting = true;
            return FRESHET_OK;
        }
        fail(transport, FRESHET_DISCONNECTED, "the server cannot be reached", strerror(errno));
    }
    transport_close(transport);
    return FRESHET_DISCONNECTED;
}

enum freshet_status transport_open(struct transport *transport)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ASSERT(transport->descriptor == -1);
    addresses_free(transport);
    hints.ai_flags = AI_NUMERICSERV;
    int result = getaddrinfo(transport->host, transport->port, &hints, &transport->addresses);
    if (result != 0) {
        transport->addresses = NULL;
        return fail(transport, FRESHET_DISCONNECTED, "the host's name leads nowhere",
                    gai_strerror(result));
    }
    transport->next = transport->addresses;
    return try_next(transport);
}

enum freshet_status transport_connected(struct transport *transport)
{
    int error = 0;
    socklen_t size = sizeof(error);
    struct pollfd waiting = {.fd = transport->descriptor, .events = POLLOUT};
    ASSERT(transport->is_connecting);
    if (poll(&waiting, 1, 0) <= 0) {
        return FRESHET_AGAIN;
    }
    if (getsockopt(transport->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error == 0) {
        transport->is_connecting = false;
        return FRESHET_OK;
    }
    fail(transport, FRESHET_DISCONNECTED, "the server cannot be reached", strerror(error));
    return try_next(transport) == FRESHET_OK ? FRESHET_AGAIN : FRESHET_DISCONNECTED;
}

static enum freshet_status moved(struct transport *transport, ssize_t result, size_t *size_out)
{
    *size_out = result > 0 ? (size_t)result : 0;
    if (result > 0) {
        return FRESHET_OK;
    }
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return FRESHET_AGAIN;
    }
    return fail(transport, FRESHET_DISCONNECTED, "the connection to the server is lost",
                result == 0 ? "the server closed it" : strerror(errno));
}

enum freshet_status transport_receive(struct transport *transport, uint8_t *data, size_t size,
                                      size_t *size_out)
{
    ASSERT(size > 0);
    return moved(transport, recv(transport->descriptor, data, size, 0), size_out);
}

enum freshet_status transport_send(struct transport *transport, struct bytes bytes,
                                   size_t *size_out)
{
    ASSERT(bytes.size > 0);
    ssize_t result = send(transport->descriptor, bytes.data, bytes.size, MSG_NOSIGNAL);
    return moved(transport, result, size_out);
}

void transport_wait(const struct transport *transport, short events, uint64_t deadline_ns)
{
    uint64_t now_ns = transport_now_ns();
    uint64_t left_ms =
        deadline_ns > now_ns ? (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    struct pollfd waiting = {.fd = transport->descriptor, .events = events};
    /* What woke it is seen by who tries again; a signal is as good a reason as any. */
    poll(&waiting, 1, (int)(left_ms > WAIT_MS_MAX ? WAIT_MS_MAX : left_ms));
}
