/*
 * listen.h: listening sockets: ADDR:PORT as text, one socket a thread on the same port.
 *
 * All threads' sockets share a port by SO_REUSEPORT. Two servers could, too, each stealing half of
 * the other's connections, so the port is first tried without it: a taken port is an error. A ring
 * lets go of its sockets some time after its process has ended, so a bind that finds the address in
 * use is tried again for LISTEN_RETRY_MS.
 *
 * Owner:     the caller owns the sockets.
 * Blocking:  for start-up only.
 * Tests:     tests/unit/net/ring/.
 */
#ifndef FRESHET_NET_RING_LISTEN_H
#define FRESHET_NET_RING_LISTEN_H

#include <stdint.h>
#include <sys/socket.h>

#include "net/ring/ring.h"
#include "protocol/base/status.h"

#define LISTEN_BACKLOG           4096
#define LISTEN_RETRY_MS          1000
#define LISTEN_ADDRESS_BYTES_MAX 64 /* "[ffff:…]:65535" and its NUL */

struct listen_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "0.0.0.0:0". INVALID, with failure_out, for
 * anything else; names other than localhost are not resolved. */
MUST_USE enum status listen_parse(const char *text, struct listen_address *out,
                                  struct ring_failure *failure_out);
/* As text, with the port; text_out has LISTEN_ADDRESS_BYTES_MAX. */
void listen_format(const struct listen_address *address, char *text_out);

/* count sockets, listening, on one port; address gets the port when it was 0. CONFLICT: the port is
 * taken; IO_ERROR. On failure none stays open. */
MUST_USE enum status listen_open(struct listen_address *address, uint32_t count, int *sockets_out,
                                 struct ring_failure *failure_out);

#endif
