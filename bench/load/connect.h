/*
 * connect.h: connections to the server under test, as many as wanted: descriptors, and ports.
 *
 * A source address has about 28,000 ports. To a server on this machine connections come from
 * 127.0.0.1, .2 and so on: CONNECT_PER_SOURCE from each, and from the next one where the kernel has
 * no port left.
 *
 * Owner:     any thread; nothing is kept.
 * Time:      blocks until the connection stands, CONNECT_WAIT_S at most.
 * Tests:     tests/unit/bench/load/test_connect.c
 */
#ifndef FRESHET_BENCH_LOAD_CONNECT_H
#define FRESHET_BENCH_LOAD_CONNECT_H

#include <stdint.h>

#include "protocol/base/status.h"

#define CONNECT_PER_SOURCE  20000
#define CONNECT_SOURCES_MAX 64
#define CONNECT_WAIT_S      5

/* A connected TCP socket without delay; number says which of the connections it is, so that many
 * come from several addresses. Failures are said on stderr. */
MUST_USE enum status connect_to(const char *host, uint16_t port, uint64_t number, int *fd_out);

/* Lets this process have count descriptors and some; what is not granted has been said on
 * stderr. */
MUST_USE enum status connect_raise_descriptors(uint64_t count);

#endif
