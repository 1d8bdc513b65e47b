#include "bench/stream/connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define PATIENCE_S 20

bool connection_complain(const char *what)
{
    fprintf(stderr, "bench_stream: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    return false;
}

bool connection_open(const struct stream_options *options, int receive_bytes, int *fd_out)
{
    const int on = 1;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    *fd_out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd_out < 0) {
        return connection_complain("socket");
    }
    (void)setsockopt(*fd_out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(*fd_out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (receive_bytes > 0) {
        (void)setsockopt(*fd_out, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    }
    return connect(*fd_out, (const struct sockaddr *)&options->target, sizeof(options->target)) ==
               0 ||
           connection_complain("connect");
}

bool connection_ask(const struct stream_options *options, int fd, uint32_t index,
                    dialect_request *ask, dialect_begun *begun, uint8_t *buffer,
                    struct bytes *rest_out)
{
    struct writer request = writer_of(buffer, CONNECTION_FIRST_BYTES_MAX);
    ask(options, index, &request);
    ASSERT(!request.failed);
    if (send(fd, buffer, request.size, MSG_NOSIGNAL) != (ssize_t)request.size) {
        return connection_complain("send");
    }
    size_t size = 0;
    enum dialect_state state = DIALECT_MORE;
    while (state == DIALECT_MORE && size < CONNECTION_FIRST_BYTES_MAX) {
        ssize_t got = recv(fd, buffer + size, CONNECTION_FIRST_BYTES_MAX - size, 0);
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return connection_complain("the first request of a connection was not answered");
        }
        size += (size_t)got;
        state = begun(options, bytes_of(buffer, size), rest_out);
    }
    if (state != DIALECT_DONE) {
        errno = 0;
        fprintf(stderr, "%.*s\n", (int)size, (const char *)buffer);
        return connection_complain("the first request of a connection was refused; is --server "
                                   "right?");
    }
    return true;
}
