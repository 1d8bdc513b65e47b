/*
 * request.h: the bytes of a request, from a template a kind with the key and the changing parts of
 * the body patched in.
 *
 *     request.c        templates and what is patched into them
 *     request_http.c   HTTP/1.1
 *     request_wire.c   Freshet's binary protocol
 *     request_redis.c  RESP, for Redis and its kin
 *
 * Owner:     one thread.
 * Memory:    templates and a pool of text, taken by requests_create.
 * Invariant: all requests of a kind have the same size; no two bodies are equal, so that no write
 *            is an equal write.
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
    uint32_t key_offset;  /* 0: no key in it */
    uint32_t body_offset; /* 0: no body */
};

struct requests {
    struct request_template templates[KIND_COUNT];
    uint32_t size_max;
    uint32_t key_digits;
    struct body body;
    uint64_t serial; /* of the last body, in the title */
    uint8_t *pool;   /* random text that descriptions are cut from */
    /* What a connection says first; its answer is not counted. */
    uint8_t preface[REQUEST_PREFACE_BYTES_MAX];
    uint32_t preface_size;
};

/* On failure nothing stays allocated. */
/* serial_from: what no earlier run on the same data has reached, and no other thread of this one
 * will. */
MUST_USE enum status requests_create(const struct load_options *options, uint64_t serial_from,
                                     struct requests *requests_out);
void requests_destroy(struct requests *requests);

/* Writes a request of size_max bytes at most; returns its size. random gives the body's
 * contents. */
uint32_t requests_write(struct requests *requests, enum kind kind, uint64_t key, uint64_t random,
                        uint8_t *out);

/* ---- templates: offsets and bytes; the writer has room ---- */

void request_http(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out);
void request_wire(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out);
void request_wire_preface(struct writer *out);
void request_redis(const struct load_options *options, enum kind kind, const struct body *body,
                   struct request_template *template, struct writer *out);

static inline bool kind_has_body(enum kind kind)
{
    return kind == KIND_PUT || kind == KIND_POST;
}

/* Room for a key, and where it is. */
static inline uint32_t key_reserve(const struct load_options *options, struct writer *out)
{
    uint32_t offset = (uint32_t)out->size;
    uint8_t *key = writer_reserve(out, options->key_digits);
    for (uint32_t i = 0; key != NULL && i < options->key_digits; i++) {
        key[i] = '0';
    }
    return offset;
}

#endif
