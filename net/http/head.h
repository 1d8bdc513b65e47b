/*
 * head.h: the head of a request: where it ends, what is in it, and whether we believe it.
 *
 * Two passes over the same bytes. head_scan finds the empty line that ends the head and refuses
 * what no part of a head may contain: control characters, CR or LF outside of CRLF, folded lines.
 * head_parse gives the whole head to llhttp (strict mode) for the grammar, and then decides itself
 * on everything that says where the request ends (check.c): this is where smuggling lives, and
 * where llhttp is more forgiving than we want to be.
 *
 * Owner:     the caller; no state but struct head_scan, no allocation.
 * Memory:    views point into the bytes given.
 * Invariant: the result does not depend on how the bytes were split: a head is only parsed when it
 *            is whole.
 * Tests:     tests/unit/net/http/test_head.c, tests/fuzz/fuzz_http.c.
 */
#ifndef FRESHET_NET_HTTP_HEAD_H
#define FRESHET_NET_HTTP_HEAD_H

#include "net/http/http.h"

/* How far a head has been looked at; zeroed at its first byte. */
struct head_scan {
    uint32_t offset;
    uint32_t line_start;
};

enum head_result { HEAD_DONE, HEAD_MORE, HEAD_BAD };

/* DONE: *size_out is the size of the head with its empty line. BAD: scan->offset is where. bytes
 * begins at the head's first byte in each call. */
enum head_result head_scan(struct head_scan *scan, struct bytes bytes, size_t *size_out);

/* Why a request is refused; status 0: it is not. */
struct refusal {
    uint16_t status;
    const char *detail;
};

/* Where the body ends. */
struct framing {
    bool chunked;
    bool expects_continue;
    uint64_t content_length; /* 0 without one */
};

#define HEAD_TARGET_BYTES_MAX (8u << 10)

/* head: what head_scan found. headers: HTTP_HEADERS_MAX of them. Sets all of request but body, and
 * framing. */
struct refusal head_parse(struct bytes head, struct http_header *headers,
                          struct http_request *request, struct framing *framing_out);

/*
 * The request before, in the same bytes. Clients that pipeline repeat their headers, so a GET whose
 * bytes behind the target are those of the GET before it has its headers too, and neither scan nor
 * parser need look at them again.
 *
 *     GET /products/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /products/2 HTTP/1.1\r\nHost: a\r\n\r\n
 *                    \_______ rest ___________/                \_______ the same _______/
 */
struct head_before {
    struct bytes rest; /* empty: there is none that could be repeated */
    struct http_request request;
};

/* What head_parse made of that head. */
void head_before_set(struct head_before *before, struct bytes head,
                     const struct http_request *request, const struct framing *framing);
/* The size of the head at the beginning of bytes, if it repeats the one before; else, and where its
 * target has anything unusual in it, 0. */
size_t head_repeats(const struct head_before *before, struct bytes bytes);
/* head: what head_repeats found. The request has no body, and its headers' bytes are those of the
 * request before. */
void head_repeat(const struct head_before *before, struct bytes head,
                 struct http_request *request_out);

/* ---- between head.c and check.c ---- */

/* Goes through the headers: fills known and repeated, decides the framing. */
struct refusal check_headers(struct http_request *request, struct framing *framing_out);
/* Splits the target into path and query. */
struct refusal check_target(struct http_request *request);

static inline struct refusal refuse_none(void)
{
    return (struct refusal){0, NULL};
}

static inline struct refusal refuse_with(uint16_t status, const char *detail)
{
    return (struct refusal){status, detail};
}

#endif
