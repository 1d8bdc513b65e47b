/*
 * request.h: the bytes of a request, from a template a kind with the key and the changing parts of
 * the body patched in.
 *
 * Owner:     one thread.
 * Memory:    templates and a pool of text, taken by requests_create.
 * Invariant: all requests of a kind have the same size; no two bodies are equal, so that no write
 *            is an equal write.
 */
#ifndef FRESHET_BENCH_LOAD_REQUEST_H
#define FRESHET_BENCH_LOAD_REQUEST_H

#include <stdint.h>

#include "bench/load/keys.h"
#include "bench/load/options.h"
#include "protocol/base/status.h"

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
    uint32_t filler_offset; /* of the description, within the body */
    uint32_t filler_size;
    uint64_t serial; /* of the last body, in the title */
    uint8_t *pool;   /* random text that descriptions are cut from */
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

#endif
