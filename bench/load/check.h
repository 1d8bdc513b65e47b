/*
 * check.h: is an answer's body right? Bodies of a load follow from their serial and key alone
 * (body.h), so the whole of one is made again from its title and compared byte by byte: a record of
 * another key, half of one, or two writes mixed, is found. Which of the writes to a key it is that
 * an answer shows is not judged; tests/coherence does that.
 *
 * Owner:     one worker.
 * Memory:    two bodies, taken by check_create; the pool is the requests'.
 * Input:     any bytes: they are what is judged.
 * Tests:     tests/unit/bench/load/test_check.c
 */
#ifndef FRESHET_BENCH_LOAD_CHECK_H
#define FRESHET_BENCH_LOAD_CHECK_H

#include <stdint.h>

#include "bench/load/body.h"
#include "bench/load/options.h"
#include "bench/load/response.h"
#include "bench/load/window.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

struct check {
    enum check_level level; /* off, too, where lengths say nothing */
    enum protocol protocol;
    struct body body;
    const uint8_t *pool;
    uint32_t key_digits;
    uint32_t list_limit;
    uint64_t length_first; /* of a read's answer; 0: none yet */
    uint8_t *expected;     /* a record as JSON with its id, a document, or a value */
    uint32_t id_size;      /* what stands before the body's own members in it */
    uint8_t key_text[LOAD_KEY_DIGITS_MAX];
};

/* The pool outlives the check. On failure nothing stays allocated. */
MUST_USE enum status check_create(struct check *check, const struct load_options *options,
                                  const struct body *body, const uint8_t *pool);
void check_destroy(struct check *check); /* a zeroed one, too */

/* Each gives NULL, or what is wrong in a few words (static storage). */

/* An answer with a good status to the request in the slot, as closely as the options say. */
const char *check_answer(struct check *check, const struct slot *slot,
                         const struct response *response);

/* A read's answer has this length: that of the first one, or near it over wire, where the numbers
 * in an answer have more bytes or fewer. */
const char *check_length(struct check *check, uint64_t size);
/* The answer to a read of the key. Over HTTP and wire a record carries its id; other protocols have
 * the value as it was written. */
const char *check_record(struct check *check, uint64_t key, struct bytes answer);
/* The answer to a write of the key with this serial: what it shows of the record must be that. An
 * answer that shows nothing is right. */
const char *check_written(struct check *check, uint64_t key, uint64_t serial, struct bytes answer);
/* A page of records that follow `after`, in rising order. */
const char *check_page(struct check *check, uint64_t after, struct bytes answer);

#endif
