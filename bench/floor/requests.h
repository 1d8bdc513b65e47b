/*
 * requests.h: counts the HTTP requests in a stream of bytes and knows nothing else about them. A
 * request ends at its empty line; where bodies are expected, Content-Length bytes later.
 *
 * Owner:     one per connection.
 * Memory:    a head that arrives in pieces is gathered in HEAD_BYTES_MAX bytes, taken when that
 *            first happens to a connection, so that the many which never need them stay close
 *            together in memory.
 * Invariant: gathered_size > 0 only in the middle of a head; body_left > 0 only in the middle of a
 *            body.
 */
#ifndef FRESHET_BENCH_FLOOR_REQUESTS_H
#define FRESHET_BENCH_FLOOR_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define HEAD_BYTES_MAX 8192

struct requests {
    uint64_t body_left;
    uint32_t gathered_size;
    uint8_t *gathered;
};

/* Ready for another connection; a zeroed structure is ready, too. */
void requests_reset(struct requests *requests);

/* How many requests end within bytes. STATUS_TOO_LARGE: a head over HEAD_BYTES_MAX; STATUS_INVALID:
 * a bad length; STATUS_NO_MEMORY. */
MUST_USE enum status requests_count(struct requests *requests, struct bytes bytes, bool bodies,
                                    uint32_t *count_out);

#endif
