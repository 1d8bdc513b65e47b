/*
 * request.h: the bytes of a request, from a template a kind with the key, a cursor, the frame's id
 * and the changing parts of the body patched in.
 *
 *     request.c            templates and what is patched into them
 *     request_http.c       HTTP/1.1
 *     request_wire.c       Freshet's binary protocol
 *     request_redis.c      RESP, for Redis and its kin
 *     request_memcached.c  memcached's text protocol
 *
 * A list begins behind any key: its cursor is made with the server's own code, as if a page had
 * ended there, because clients have none for a place that they have not been to.
 *
 * Owner:     one thread.
 * Memory:    templates and a pool of text, taken by requests_create.
 * Invariant: all requests of a kind have the same size; no two bodies are equal, so that no write
 *            is an equal write.
 * Tests:     tests/unit/bench/load/test_request.c, test_protocols.c
 */
#ifndef FRESHET_BENCH_LOAD_REQUEST_H
#define FRESHET_BENCH_LOAD_REQUEST_H

#include <stdint.h>

#include "bench/load/body.h"
#include "bench/load/keys.h"
#include "bench/load/options.h"
#include "protocol/base/status.h"

#define REQUEST_PREFACE_BYTES_MAX 64

struct request_template {
    uint8_t *data; /* NULL: this kind is not in the mix */
    uint32_t size;
    uint32_t key_offset;    /* 0: no key in it */
    uint32_t body_offset;   /* 0: no body */
    uint32_t cursor_offset; /* 0: no cursor */
    uint32_t id_offset;     /* 0: no id, as where answers come in order */
};

struct requests {
    struct request_template templates[KIND_COUNT];
    uint32_t size_max;
    uint32_t key_digits;
    uint32_t cursor_bytes;
    struct bytes collection; /* points into the options' path */
    struct body body;
    uint64_t serial; /* of the last body, in the title */
    uint8_t *pool;   /* text that descriptions are cut from */
    /* What a connection says first; its answer is not counted. */
    uint8_t preface[REQUEST_PREFACE_BYTES_MAX];
    uint32_t preface_size;
};

/* On failure nothing stays allocated. serial_from: what no earlier run on the same data has
 * reached, and no other thread of this one will. The kind rmw is a get and then a put. */
MUST_USE enum status requests_create(const struct load_options *options, uint64_t serial_from,
                                     struct requests *requests_out);
void requests_destroy(struct requests *requests);

/* Writes a request of size_max bytes at most; returns its size. id: of a frame, at most once in
 * flight on a connection. */
uint32_t requests_write(struct requests *requests, enum kind kind, uint64_t key, uint32_t id,
                        uint8_t *out);

/* ---- templates: offsets and bytes; the writer has room ---- */

void request_http(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out);
void request_wire(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out);
void request_wire_preface(struct writer *out);
void request_redis(const struct load_options *options, enum kind kind, const struct body *body,
                   struct request_template *template, struct writer *out);
void request_memcached(const struct load_options *options, enum kind kind, const struct body *body,
                       struct request_template *template, struct writer *out);

static inline bool kind_has_body(enum kind kind)
{
    return kind == KIND_PUT || kind == KIND_POST || kind == KIND_INSERT;
}

/* The text of a cursor behind a key: base64url over the key's digits and what protects them. */
static inline uint32_t cursor_text_bytes(const struct load_options *options)
{
    return ((1 + 8 + options->key_digits) * 4 + 2) / 3;
}

/* Room for something that is patched in later, and where it is. */
static inline uint32_t request_reserve(struct writer *out, uint32_t size)
{
    uint32_t offset = (uint32_t)out->size;
    uint8_t *at = writer_reserve(out, size);
    if (at != NULL) {
        memset(at, '0', size);
    }
    return offset;
}

#endif
