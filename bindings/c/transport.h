/*
 * transport.h: one TCP connection that never waits, and the clock of the client.
 *
 * Owner:     one handle.
 * Memory:    the list of addresses, from transport_resolve to transport_deinit.
 * Time:      transport_now_ns goes on while the machine sleeps, so that no lease outlives a nap.
 * Signals:   none are raised: a connection that is gone is a status.
 * Tests:     through async and client: tests/unit/bindings/c/test_client.c.
 */
#ifndef FRESHET_BINDINGS_C_TRANSPORT_H
#define FRESHET_BINDINGS_C_TRANSPORT_H

#include <stdbool.h>

#include "bindings/c/include/freshet.h"
#include "protocol/base/bytes.h"

#define TRANSPORT_DETAIL_MAX 256

struct addrinfo;

struct transport {
    int descriptor; /* -1: none */
    bool is_connecting;
    struct addrinfo *addresses;
    struct addrinfo *next; /* to be tried after the one that is being tried */
    char host[256];
    char port[8];
    char detail[TRANSPORT_DETAIL_MAX]; /* what went wrong */
};

uint64_t transport_now_ns(void);

/* "freshet://HOST[:PORT]", an IPv6 address in brackets. INVALID with words in detail. */
MUST_USE enum freshet_status transport_init(struct transport *transport, const char *url);
void transport_deinit(struct transport *transport);

/* Looks the name up, which may wait, and begins with the first address. */
MUST_USE enum freshet_status transport_open(struct transport *transport);
/* The connection is there (OK), is not yet (AGAIN), or no address is left (DISCONNECTED). */
MUST_USE enum freshet_status transport_connected(struct transport *transport);
void transport_close(struct transport *transport);

/* AGAIN when nothing can be moved now; DISCONNECTED. size_out is never 0 with OK. */
MUST_USE enum freshet_status transport_receive(struct transport *transport, uint8_t *data,
                                               size_t size, size_t *size_out);
MUST_USE enum freshet_status transport_send(struct transport *transport, struct bytes bytes,
                                            size_t *size_out);

/* Until the descriptor has one of the events, or until the deadline. */
void transport_wait(const struct transport *transport, short events, uint64_t deadline_ns);

#endif
