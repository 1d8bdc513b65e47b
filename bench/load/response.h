/*
 * response.h: answers out of a stream of bytes: status, body, and where each ends.
 *
 *     response.c            HTTP/1.1 (Content-Length, chunked, none)
 *     response_wire.c       frames of Freshet's binary protocol
 *     response_redis.c      RESP
 *     response_memcached.c  memcached's text protocol
 *     response_parts.c      what they share: lines and bodies that arrive in pieces
 *
 * Owner:     one per connection.
 * Memory:    a head (or a chunk's line) that arrives in pieces is gathered in memory taken when
 *            that first happens; so is a body, where bodies are kept.
 * Invariant: answers end in the order of their requests, but for frames, which say whose they are;
 *            the caller says of each whether its request was a HEAD.
 * Tests:     tests/unit/bench/load/test_response.c, test_protocols.c; tests/fuzz/fuzz_answers.c
 */
#ifndef FRESHET_BENCH_LOAD_RESPONSE_H
#define FRESHET_BENCH_LOAD_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define RESPONSE_HEAD_BYTES_MAX 16384
#define RESPONSE_SHORT_BYTES    512 /* of a frame's header, or of a line of RESP or memcached */
#define RESPONSE_BODY_BYTES_MAX (32u << 20) /* that is kept */

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
    uint32_t id;   /* wire: of the answer's frame */
    uint64_t left;
    uint64_t body_size; /* of the answer so far */
    bool keep;          /* set by the caller: bodies are kept */
    struct bytes body;  /* with keep: of the answer that ended, until more is read */
    uint8_t *kept;      /* a body that arrives in pieces */
    size_t kept_capacity;
    uint32_t short_size;
    uint8_t short_bytes[RESPONSE_SHORT_BYTES];
};

/* Ready for another connection, and as keen on bodies as before; a zeroed structure is ready,
 * too. */
void response_reset(struct response *response);

/*
 * Reads on, at most to the end of one answer: *taken_out bytes were used, *done_out says whether an
 * answer ended (its status in response->status). STATUS_INVALID: this is not HTTP, or an answer
 * whose end cannot be known; STATUS_TOO_LARGE: a head, or a body to keep, over the limit;
 * STATUS_NO_MEMORY.
 */
MUST_USE enum status response_read(struct response *response, struct bytes bytes, bool to_head,
                                   size_t *taken_out, bool *done_out);
/* The same for the other protocols. */
MUST_USE enum status response_wire_read(struct response *response, struct bytes bytes,
                                        size_t *taken_out, bool *done_out);
MUST_USE enum status response_redis_read(struct response *response, struct bytes bytes,
                                         size_t *taken_out, bool *done_out);
MUST_USE enum status response_memcached_read(struct response *response, struct bytes bytes,
                                             size_t *taken_out, bool *done_out);

/* ---- parts, for the readers ---- */

/* A line with its end, perhaps in pieces; empty: more is needed. */
MUST_USE enum status response_line(struct response *response, struct bytes bytes, size_t *taken_out,
                                   struct bytes *line_out);
/* An answer begins; its body comes in parts, of which one is the last. */
void response_body_begin(struct response *response);
MUST_USE enum status response_body_add(struct response *response, struct bytes part, bool last);
/* Of a body with a line's end behind it, both still to come in response->left: takes what is there
 * of them. ends_answer: nothing of the answer follows. */
MUST_USE enum status response_block(struct response *response, struct bytes bytes, bool ends_answer,
                                    size_t *taken_out);

#endif
