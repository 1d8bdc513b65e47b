/*
 * json.h: JSON text to a document (MessagePack) and back.
 *
 * Owner:     the caller; nothing is kept between calls, and any thread may call.
 * Memory:    output goes to the caller's writer. Texts up to a few KiB are parsed on the C stack; a
 *            larger one takes one block of its own size, freed before the call returns.
 * Invariant: json_to_document then document_to_json gives the same values, and every number digit
 *            for digit as written. How numbers are stored is told in document.h.
 * Tests:     tests/unit/protocol/document/, tests/fuzz/fuzz_json.c.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_JSON_H
#define FRESHET_PROTOCOL_DOCUMENT_JSON_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where and why a text was refused. Line and column count from 1; a column is a byte, not a
 * character.
 */
struct json_error {
    size_t offset;
    uint32_t line;
    uint32_t column;
    enum status status;
    char text[160]; /* the reason in plain words, without the place; NUL-terminated */
};

/*
 * Any JSON value to MessagePack, appended to document_out. error_out may be NULL; it is filled on
 * failure only.
 *   INVALID        grammar, UTF-8, a surrogate escape without its partner, a name twice in one
 *                  object at any level, depth over DOCUMENT_DEPTH_MAX, anything but white space
 *                  after the value, a byte order mark, a NUL
 *   UNPROCESSABLE  a number with more than NUMBER_DIGITS_MAX significant digits, or of a magnitude
 *                  above float64's
 *   TOO_LARGE      document_out is full
 *   NO_MEMORY      there was no memory for a large text
 * After a failure what stands behind the writer's former size is of no use.
 */
MUST_USE enum status json_to_document(struct bytes json, struct writer *document_out,
                                      struct json_error *error_out);

/* The same of a text that document_to_json made, which may nest as deep as that does. */
MUST_USE enum status json_rendered_to_document(struct bytes json, struct writer *document_out);
/* The same in a block of its own, which the caller frees. On failure *memory_out is NULL. */
MUST_USE enum status json_rendered_read(struct bytes json, uint8_t **memory_out,
                                        struct bytes *document_out);

/*
 * The document as compact JSON: no white space, members in their order, strings escaped only where
 * they must be; up to DOCUMENT_RENDER_DEPTH_MAX levels. DAMAGED when the bytes are no such
 * document, TOO_LARGE when json_out is full.
 */
MUST_USE enum status document_to_json(struct bytes document, struct writer *json_out);

/*
 * A record as its readers see it: {"id":"...",<members of document>}. The document is an object, or
 * empty for none; a member of its own called "id" is left out. Failures are those of
 * document_to_json.
 */
MUST_USE enum status document_record_to_json(struct bytes id, struct bytes document,
                                             struct writer *json_out);

/* utf8 as a JSON string, with its quotes; a full writer is marked as failed. */
void json_string_write(struct writer *json_out, struct bytes utf8);

#ifdef __cplusplus
}
#endif

#endif
