/*
 * response.h: HTTP/1.1 answers out of a stream of bytes: status, and where each ends
 * (Content-Length, chunked, none).
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
    bool closes; /* the server closes the connection after this answer */
    uint64_t left;
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

#endif
