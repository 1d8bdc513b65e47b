/*
 * position.h: where a reader is in the journal, and the token by which clients name it.
 *
 * To clients a position is opaque: base64url without padding over a version byte, the store id, the
 * epoch and a sequence per lane (one lane on one machine), with a checksum so that a typing error
 * is an error and not another position.
 *
 * Owner:  plain values; nothing is allocated.
 * Tests:  tests/unit/engine/journal/, tests/fuzz/fuzz_position.c.
 */
#ifndef FRESHET_ENGINE_JOURNAL_POSITION_H
#define FRESHET_ENGINE_JOURNAL_POSITION_H

#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"

struct store_id {
    uint8_t bytes[16];
};

struct position {
    struct store_id store_id;
    uint64_t epoch;
    uint64_t sequence;
};

/* Bytes of the text of a position with one lane; no NUL. */
#define POSITION_TEXT_BYTES 52

/* Fails the writer when POSITION_TEXT_BYTES do not fit. */
void position_write(const struct position *position, struct writer *text_out);
/* INVALID when it is not a position's text. */
MUST_USE enum status position_read(struct bytes text, struct position *out);

#endif
