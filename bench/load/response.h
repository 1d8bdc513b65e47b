/*
 * response.h: answers out of a stream of bytes: status, and where each ends.
 *
 *     response.c        HTTP/1.1 (Content-Length, chunked, none)
 *     response_wire.c   frames of Freshet's binary protocol
 *     response_redis.c  RESP
 *
 * Owner:     one per connection.
 * Memory:    a head (or a chunk's line) that arrives in pieces is gathered in memory taken when
 *            that first happens.
 * Invariant: answers end in the order of their requests; the caller says of each whether its
 *            request was a HEAD.
 */
#ifndef FRESHET_BENCH_LOAD_RESPONSE_H
#define FRESHET_BENCH_LOAD_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define RESPONSE_HEAD_BYTES_MAX 16384
#define RESPONSE_SHORT_BYTES    128 /* of a frame's header, or of a line of RESP */

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_BODY,
    RESPONSE_CHUNK_LINE,
    RESPONSE_CHUNK_DATA,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER,
};

struct response {
    uint8_t *gathered;
    uint32_t gathered_size;
    enum response_state state;
    uint16_t status;
    bool closes;   /* the server closes the connection after this answer */
    bool greeting; /* wire: the answer to what the connection said first is still to come */
    uint64_t left;
    uint32_t short_size;
    uint8_t short_bytes[RESPONSE_SHORT_BYTES];
};

/* Ready for another connection; a zeroed structure is ready, too. */
void response_reset(struct response *response);

/*
 * Reads on, at most to the end of one answer: *taken_out bytes were used, *done_out says whether an
 * answer ended (its status in response->status). STATUS_INVALID: this is not HTTP, or an answer
 * whose end cannot be known; STATUS_TOO_LARGE: a head over the limit; STATUS_NO_MEMORY.
 */
MUST_USE enum status response_read(struct response *response, struct bytes bytes, bool to_head,
                                   size_t *taken_out, bool *done_out);
/* The same for the other protocols. */
MUST_USE enum status response_wire_read(struct response *response, struct bytes bytes,
                                        size_t *taken_out, bool *done_out);
MUST_USE enum status response_redis_read(struct response *response, struct bytes bytes,
                                         size_t *taken_out, bool *done_out);

#endif
