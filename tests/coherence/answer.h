/*
 * answer.h: one HTTP answer out of received bytes, and the records in its body: as much of both as
 * the checker needs.
 *
 * Owner:     a plain value; views point into the bytes that were read.
 * Invariant: bodies are flat JSON objects with members that only the checker writes, so that
 *            finding a member takes no parser.
 */
#ifndef FRESHET_TESTS_COHERENCE_ANSWER_H
#define FRESHET_TESTS_COHERENCE_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

struct answer {
    uint16_t status;
    uint64_t tag_epoch;
    uint64_t tag_sequence;      /* 0: no ETag */
    uint64_t position_sequence; /* 0: no freshet-position */
    bool hit;                   /* as Cache-Status says */
    struct bytes next;          /* the target of Link rel="next"; empty: none */
    struct bytes head;
    struct bytes body;
};

/* The answer at the begin of received; *taken_out is its size. WOULD_BLOCK: more is needed;
 * INVALID: this is no answer that the server may give. to_head: it has no body whatever it says. */
MUST_USE enum status answer_read(struct bytes received, bool to_head, struct answer *answer_out,
                                 size_t *taken_out);

struct answer_record {
    uint16_t key;
    uint8_t category;
    uint32_t value;
    uint32_t base;
    uint32_t filler_bytes;
    bool whole; /* the filler is of the letter that the base says, to the last byte */
};

/* Keys are "k" and four digits, categories "c" and one. */
#define ANSWER_KEY_FORMAT      "k%04u"
#define ANSWER_CATEGORY_FORMAT "c%u"

char answer_filler_letter(uint32_t base);

/* The record at the begin of *json, which then begins behind it. False when there is none. */
bool answer_record_next(struct bytes *json, struct answer_record *record_out);

#endif
