#include "net/socket/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/base/list.h"

/* ---- the transport over a ring ---- */

static void receive_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    struct socket *socket = CONTAINER_OF(operation, struct socket, receive_operation);
    struct ring *ring = socket->ring;
    if (result > 0) {
        socket->events->received(socket, ring_buffer(ring, flags), (size_t)result);
    }
    if ((flags & RING_BUFFER) != 0) {
        ring_buffer_return(ring, flags);
    }
    if ((flags & RING_MORE) == 0) {
        /* A multishot receive may also end after a buffer: then it only has to be started again. */
        socket->events->receive_ended(socket, result > 0 ? -EAGAIN : result);
    }
}

static void send_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    (void)flags;
    struct socket *socket = CONTAINER_OF(operation, struct socket, send_operation);
    socket->events->sent(socket, result);
}

static void ring_receive_start(struct socket *socket)
{
    socket->receive_operation.complete = receive_completed;
    ring_receive(socket->ring, &socket->receive_operation, socket->fd);
}

static void ring_receive_stop(struct socket *socket)
{
    ring_cancel(socket->ring, &socket->receive_operation);
}

static void ring_send_pieces(struct socket *socket, const struct iovec *pieces, size_t count)
{
    ASSERT(count > 0 && count <= OUTPUT_PIECES_MAX);
    socket->send_operation.complete = send_completed;
    if (count > 1 && socket->vector == NULL) {
        socket->vector = (struct send_vector *)memory_take(socket->memory, sizeof(*socket->vector),
                                                           MEMORY_FOR_ANSWER);
    }
    /* Without memory for a vector the pieces go one by one. */
    if (count == 1 || socket->vector == NULL) {
        ring_send(socket->ring, &socket->send_operation, socket->fd,
                  (const uint8_t *)pieces[0].iov_base, pieces[0].iov_len);
        return;
    }
    struct send_vector *vector = socket->vector;
    memcpy(vector->pieces, pieces, count * sizeof(*pieces));
    vector->message = (struct msghdr){.msg_iov = vector->pieces, .msg_iovlen = count};
    ring_send_vector(socket->ring, &socket->send_operation, socket->fd, &vector->message);
}

static void ring_send_stop(struct socket *socket)
{
    ring_cancel(socket->ring, &socket->send_operation);
}

static void ring_shut_write(struct socket *socket)
{
    (void)shutdown(socket->fd, SHUT_WR);
}

static void option_set(const struct socket *socket, int level, int option, int value)
{
    /* Without it the connection works as well, and costs more. */
    (void)setsockopt(socket->fd, level, option, &value, sizeof(value));
}

static void ring_limit(struct socket *socket)
{
    option_set(socket, SOL_SOCKET, SO_SNDBUF, SOCKET_SEND_BYTES);
}

static void ring_probe(struct socket *socket)
{
    option_set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    option_set(socket, IPPROTO_TCP, TCP_KEEPIDLE, SOCKET_PROBE_IDLE_S);
    option_set(socket, IPPROTO_TCP, TCP_KEEPINTVL, SOCKET_PROBE_INTERVAL_S);
    option_set(socket, IPPROTO_TCP, TCP_KEEPCNT, SOCKET_PROBES_MAX);
}

static void ring_close_socket(struct socket *socket, bool reset)
{
    if (reset) {
        /* What the client does not take is thrown away; otherwise the kernel would go on offering
         * it, and keep its memory. */
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    ring_close(socket->ring, socket->fd);
}

const struct socket_transport socket_ring_transport = {
    .receive_start = ring_receive_start,
    .receive_stop = ring_receive_stop,
    .send = ring_send_pieces,
    .send_stop = ring_send_stop,
    .shut_write = ring_shut_write,
    .limit = ring_limit,
    .probe = ring_probe,
    .close = ring_close_socket,
};

void socket_deinit(struct socket *socket)
{
    if (socket->vector != NULL) {
        memory_give(socket->memory, socket->vector, sizeof(*socket->vector));
        socket->vector = NULL;
    }
}

/* ---- accepting ---- */

static void accept_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    struct listener *listener = CONTAINER_OF(operation, struct listener, operation);
    struct acceptor *acceptor = listener->acceptor;
    if ((flags & RING_MORE) == 0) {
        listener->accepting = false;
        acceptor->due = true;
    }
    if (result >= 0 && acceptor->stopped) {
        ring_close(acceptor->ring, result);
    } else if (result >= 0) {
        acceptor->accepted(acceptor, result);
    } else if (result != -ECANCELED && result != -ECONNABORTED && result != -EINTR) {
        /* No descriptors or no memory: at once again would only spin. */
        acceptor->retry_ns = acceptor->now_ns + ACCEPT_RETRY_NS;
    }
}

void acceptor_init(struct acceptor *acceptor, struct ring *ring,
                   void (*accepted)(struct acceptor *acceptor, int fd))
{
    *acceptor = (struct acceptor){.ring = ring, .accepted = accepted};
    for (uint32_t i = 0; i < ACCEPT_LISTENERS_MAX; i++) {
        acceptor->listeners[i] = (struct listener){
            .operation = {.complete = accept_completed}, .acceptor = acceptor, .fd = -1};
    }
}

enum status acceptor_add(struct acceptor *acceptor, int listening_fd)
{
    ASSERT(listening_fd >= 0 && !acceptor->stopped);
    for (uint32_t i = 0; i < ACCEPT_LISTENERS_MAX; i++) {
        if (acceptor->listeners[i].fd < 0) {
            acceptor->listeners[i].fd = listening_fd;
            acceptor->due = true;
            return STATUS_OK;
        }
    }
    return STATUS_BUSY;
}

uint64_t acceptor_step(struct acceptor *acceptor, uint64_t now_ns)
{
    ASSERT(now_ns >= acceptor->now_ns);
    acceptor->now_ns = now_ns;
    if (!acceptor->due || acceptor->stopped) {
        return UINT64_MAX;
    }
    if (now_ns < acceptor->retry_ns) {
        return acceptor->retry_ns;
    }
    acceptor->due = false;
    for (uint32_t i = 0; i < ACCEPT_LISTENERS_MAX; i++) {
        struct listener *listener = &acceptor->listeners[i];
        if (listener->fd >= 0 && !listener->accepting) {
            listener->accepting = true;
            ring_accept(acceptor->ring, &listener->operation, listener->fd);
        }
    }
    return UINT64_MAX;
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (acceptor->stopped) {
        return;
    }
    acceptor->stopped = true;
    for (uint32_t i = 0; i < ACCEPT_LISTENERS_MAX; i++) {
        if (acceptor->listeners[i].accepting) {
            ring_cancel(acceptor->ring, &acceptor->listeners[i].operation);
        }
    }
}

bool acceptor_is_idle(const struct acceptor *acceptor)
{
    for (uint32_t i = 0; i < ACCEPT_LISTENERS_MAX; i++) {
        if (acceptor->listeners[i].accepting) {
            return false;
        }
    }
    return true;
}
