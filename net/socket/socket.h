/*
 * socket.h: a connected socket on a ring, and the sockets that connections are accepted from.
 *
 * Who drives a socket (net/http, net/wire) does so through a struct socket_transport and hears of
 * completions through a struct socket_events, so that tests and fuzzers put something else in the
 * ring's place.
 *
 * Owner:     one thread and its ring. The socket is embedded in a connection, which must stay until
 *            every start has had its last completion.
 * Tests:     tests/unit/net/http/test_socket.c, tests/integration/test_wire.py.
 */
#ifndef FRESHET_NET_SOCKET_SOCKET_H
#define FRESHET_NET_SOCKET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/ring/ring.h"
#include "net/socket/output.h"
#include "protocol/base/status.h"

/* What the kernel takes for a client that reads slowly; it doubles the figure for its own books. */
#define SOCKET_SEND_BYTES (64 << 10)
/* When a client that says nothing is asked whether it is there, how often, and how often in
 * vain. */
#define SOCKET_PROBE_IDLE_S     60
#define SOCKET_PROBE_INTERVAL_S 15
#define SOCKET_PROBES_MAX       4
#define ACCEPT_LISTENERS_MAX    4
#define ACCEPT_RETRY_NS         100000000ull

struct socket;

/* Each start is followed by completions. */
struct socket_events {
    /* data may be overwritten; it is the socket's again afterwards. */
    void (*received)(struct socket *socket, uint8_t *data, size_t size);
    /* No more completions of this receive. result: 0 the client has ended, or a negative errno. */
    void (*receive_ended)(struct socket *socket, int result);
    void (*sent)(struct socket *socket, int result);
};

struct send_vector {
    struct msghdr message;
    struct iovec pieces[OUTPUT_PIECES_MAX];
};

enum socket_receiving { RECEIVING_OFF, RECEIVING_ON, RECEIVING_STOPPING };

struct socket {
    struct ring *ring;
    struct memory_budget *memory;
    const struct socket_events *events;
    struct ring_operation receive_operation;
    struct ring_operation send_operation;
    struct send_vector *vector;
    int fd;
};

struct socket_transport {
    void (*receive_start)(struct socket *socket);
    void (*receive_stop)(struct socket *socket);
    void (*send)(struct socket *socket, const struct iovec *pieces, size_t count);
    void (*send_stop)(struct socket *socket);
    void (*shut_write)(struct socket *socket);
    /* That of a stream: little memory in the kernel. */
    void (*limit)(struct socket *socket);
    /* Probes whether the client lives. */
    void (*probe)(struct socket *socket);
    /* reset: what the client has not taken is thrown away. Nothing may be in flight. */
    void (*close)(struct socket *socket, bool reset);
};

extern const struct socket_transport socket_ring_transport;

/* Gives back what it took; the descriptor is closed with transport.close. */
void socket_deinit(struct socket *socket);

/* ---- accepting ---- */

struct acceptor;

struct listener {
    struct ring_operation operation;
    struct acceptor *acceptor;
    int fd; /* -1: none */
    bool accepting;
};

struct acceptor {
    struct ring *ring;
    void (*accepted)(struct acceptor *acceptor, int fd);
    struct listener listeners[ACCEPT_LISTENERS_MAX];
    uint64_t now_ns;
    uint64_t retry_ns;
    bool due; /* a listener must be armed again */
    bool stopped;
};

void acceptor_init(struct acceptor *acceptor, struct ring *ring,
                   void (*accepted)(struct acceptor *acceptor, int fd));
/* Takes connections from a listening socket, which stays the caller's. BUSY: there are
 * ACCEPT_LISTENERS_MAX already. */
MUST_USE enum status acceptor_add(struct acceptor *acceptor, int listening_fd);
/* Each turn; returns when it wants to run again. */
uint64_t acceptor_step(struct acceptor *acceptor, uint64_t now_ns);
void acceptor_stop(struct acceptor *acceptor);
bool acceptor_is_idle(const struct acceptor *acceptor);

#endif
