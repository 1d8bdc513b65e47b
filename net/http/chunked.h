/*
 * chunked.h: decodes a chunked request body in place, a piece at a time.
 *
 * Owner:     the caller. No allocation.
 * Memory:    the decoded bytes are moved to the front of the same memory; decoded <= raw always.
 * Bounds:    the body by body_max; chunk extensions and trailer by CHUNK_EXTENSION_BYTES_MAX and
 *            CHUNK_TRAILER_BYTES_MAX in all of a request, because they are thrown away and nobody
 *            needs more. Lines end with CRLF, nothing else.
 * Invariant: the result does not depend on how the bytes were split.
 * Tests:     tests/unit/net/http/test_chunked.c, tests/fuzz/fuzz_http.c.
 */
#ifndef FRESHET_NET_HTTP_CHUNKED_H
#define FRESHET_NET_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_EXTENSION_BYTES_MAX 1024
#define CHUNK_TRAILER_BYTES_MAX   4096
#define CHUNK_SIZE_DIGITS_MAX     8

enum chunked_state {
    CHUNKED_SIZE, /* the zero state: at the beginning of a chunk */
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER, /* within a line */
    CHUNKED_TRAILER_LF,
    CHUNKED_TRAILER_START, /* at the beginning of a line */
    CHUNKED_END_LF
};

/* Zeroed at the beginning of a body. */
struct chunked {
    enum chunked_state state;
    uint8_t digits;
    uint32_t left; /* of the chunk; while its size is read, the size so far */
    uint32_t extension_bytes;
    uint32_t trailer_bytes;
};

enum chunked_result { CHUNKED_DONE, CHUNKED_MORE, CHUNKED_BAD, CHUNKED_TOO_LARGE };

/*
 * data[*raw .. size) has not been looked at; data[0 .. *decoded) is the body so far. Both are moved
 * on. DONE: the body is complete and ends, with its trailer, at *raw.
 */
enum chunked_result chunked_decode(struct chunked *chunked, uint8_t *data, size_t size,
                                   size_t body_max, size_t *raw_inout, size_t *decoded_inout);

#endif
