/*
 * document.h: reading and building documents: JSON values as MessagePack bytes, walked in place,
 * never as a tree.
 *
 * A document is one MessagePack value: nil, bool, number, string (UTF-8), array, or map with
 * distinct string keys; nested at most DOCUMENT_DEPTH_MAX deep. bin and timestamps do not occur.
 * Numbers are written
 *     an integer           when it fits int64 or uint64 and its JSON text is plain ("42", "-1"; not
 *                          "-0"),
 *     a float64            when the shortest text of that float64 is the number's text ("29.99",
 *                          "1.0"),
 *     DOCUMENT_EXT_NUMBER  else: the text itself ("1.50", "1E2", "-0", 38 digits).
 * Equal documents may have different bytes: readers take any valid encoding, compare with
 * document_equal.
 *
 * Owner:     the caller; views point into the bytes given. Any thread may call.
 * Memory:    what has up to 64 members is handled on the C stack (at most 48 KiB of it); more
 *            members take a block that grows with their count, freed before the call returns.
 * Trust:     bytes from outside go through document_validate once. The other functions never read
 *            past the end of what they are given, but on bytes that were not validated they may
 *            answer false, DAMAGED or half the truth.
 * Tests:     tests/unit/protocol/document/, tests/fuzz/fuzz_document.c.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_DOCUMENT_H
#define FRESHET_PROTOCOL_DOCUMENT_DOCUMENT_H

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The MessagePack extension type that holds the text of a JSON number. */
#define DOCUMENT_EXT_NUMBER 1
/*
 * The longest text document_number_text writes for an integer or a float64; an extension's text may
 * be longer.
 */
#define DOCUMENT_NUMBER_TEXT_MAX 32
/* What JSON is made of may nest deeper than a document: a change holds documents, and the server's
 * own records hold changes. */
#define DOCUMENT_RENDER_DEPTH_MAX (DOCUMENT_DEPTH_MAX + 4)

enum document_type {
    DOCUMENT_NONE, /* no value begins here */
    DOCUMENT_NULL,
    DOCUMENT_BOOL,
    DOCUMENT_NUMBER,
    DOCUMENT_STRING,
    DOCUMENT_ARRAY,
    DOCUMENT_OBJECT,
};

/*
 * Full check of one value from outside: lengths, UTF-8, string keys, no key twice, numbers that
 * JSON can say, depth, and that the whole input is used. INVALID, UNPROCESSABLE (a number beyond
 *      the limits of json.h) or NO_MEMORY.
 */
MUST_USE enum status document_validate(struct bytes document);

/* ---- reading ---- */

/* Walks the members of one object or the elements of one array, in their order. */
struct document_cursor {
    struct reader reader;
    uint32_t left; /* members or elements not yet read */
    bool is_object;
};

enum document_type document_type_of(struct bytes value);
/*
 * The bytes of the value that begins at bytes.data; 0 when no whole value begins there. Loops,
 * never recurses.
 */
size_t document_value_size(struct bytes bytes);
bool document_is_object(struct bytes document);
/* Members or elements; 0 for anything that is not an object or array. */
uint32_t document_count(struct bytes value);

/* False when the value is neither an object nor an array; the cursor is then empty. */
bool document_cursor_open(struct bytes value, struct document_cursor *cursor_out);
/* False at the end. value_out spans the value's MessagePack bytes. */
bool document_next_member(struct document_cursor *cursor, struct bytes *name_out,
                          struct bytes *value_out);
bool document_next_element(struct document_cursor *cursor, struct bytes *value_out);

/* The value of a top-level member; false when the document is no object or has no such member. */
bool document_find(struct bytes document, struct bytes name, struct bytes *value_out);
/* One name per level; with no names it is the document itself. */
bool document_find_path(struct bytes document, const struct bytes *names, size_t name_count,
                        struct bytes *value_out);

/* Each is false when the value is of another type, or a number that does not fit. */
bool document_string(struct bytes value, struct bytes *utf8_out);
bool document_bool(struct bytes value, bool *out);
bool document_is_null(struct bytes value);
bool document_u64(struct bytes value, uint64_t *out); /* an integer that was written as one */
bool document_i64(struct bytes value, int64_t *out);
bool document_double(struct bytes value, double *out); /* any number, to the nearest float64 */
/* The number's text, as it was written in JSON. */
bool document_number_text(struct bytes value, struct writer *out);

/*
 * The text by which a value is indexed: a string's bytes, a number's text as written, true or
 * false. False for null, arrays and objects, and when out is full (out->failed tells).
 */
bool document_index_text(struct bytes value, struct writer *out);

/* ---- comparing ---- */

/*
 * Equal values: the order of members does not count, numbers are equal only when their text is (1.0
 * is not 1). When there is no memory to compare large objects the answer is false: at worst an
 * equal write is taken for a change.
 */
bool document_equal(struct bytes a, struct bytes b);

/*
 * The names of top-level members that were added, removed or altered, in byte order: a MessagePack
 * array of strings is appended to names_out. An empty document counts as an object without members.
 */
MUST_USE enum status document_changed(struct bytes old_document, struct bytes new_document,
                                      struct writer *names_out, uint32_t *count_out);

/* Whether an array of names, as document_changed makes it, has that one. */
bool document_names(struct bytes names, struct bytes name);

/* ---- building; errors stick to the writer ---- */

void document_write_map(struct writer *out, uint32_t count);
void document_write_array(struct writer *out, uint32_t count);
void document_write_string(struct writer *out, struct bytes utf8);
void document_write_u64(struct writer *out, uint64_t value);
void document_write_i64(struct writer *out, int64_t value);
void document_write_bool(struct writer *out, bool value);
void document_write_null(struct writer *out);
void document_write_float(struct writer *out, double value);     /* finite: JSON knows no other */
void document_write_raw(struct writer *out, struct bytes value); /* a whole value's bytes */
/*
 * A number given by its JSON text: INVALID when it is none, UNPROCESSABLE over the limits of
 * json.h, or TOO_LARGE.
 */
MUST_USE enum status document_write_number_text(struct writer *out, struct bytes text);

/* A record as its readers see it: {"id":…,<members of document>}. The document is an object that
 * has no member "id" of its own, as stored ones have none. */
void document_write_record(struct writer *out, struct bytes id, struct bytes document);
/*
 * A copy of an object with one top-level member replaced in its place, or added at the end; an
 * empty document counts as an object without members. INVALID when it is no object, TOO_LARGE when
 * out is full.
 */
MUST_USE enum status document_set_member(struct bytes document, struct bytes name,
                                         struct bytes value, struct writer *out);
/* A copy without that member, which need not be there. */
MUST_USE enum status document_without_member(struct bytes document, struct bytes name,
                                             struct writer *out);

#ifdef __cplusplus
}
#endif

#endif
