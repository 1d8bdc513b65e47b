/*
 * target.h: the target of a request: path segments, percent-encoding, ids, query parameters.
 *
 * A path is split before it is decoded, so that a '/' inside an id is written %2F. In a query '+'
 * is a space, as in forms.
 *
 * Owner:     the caller; views point into the text given or into the caller's memory. Nothing is
 *            allocated.
 * Tests:     tests/unit/net/rest/test_target.c, tests/fuzz/fuzz_target.c.
 */
#ifndef FRESHET_NET_REST_TARGET_H
#define FRESHET_NET_REST_TARGET_H

#include <stdbool.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

enum target_shape {
    TARGET_ROOT,  /* "/" */
    TARGET_ONE,   /* "/a" */
    TARGET_TWO,   /* "/a/b", or "/a/" with an empty second segment */
    TARGET_THREE, /* "/a/b/c" */
    TARGET_DEEPER /* "/a/b/c/d", or no path at all ("*") */
};

struct target {
    enum target_shape shape;
    struct bytes first; /* still encoded */
    struct bytes second;
    struct bytes third;
};

void target_split(struct bytes path, struct target *out);

/* Appends the decoded text. INVALID for an escape that is none, TOO_LARGE when out is full. */
MUST_USE enum status target_decode(struct bytes text, bool plus_is_space, struct writer *out);

/* Why an id is none, in plain words (static storage); NULL: it is one. */
const char *target_id_reason(struct bytes id);

/*
 * The id that a path segment names: the segment itself when nothing in it is encoded, else decoded
 * into buffer, which holds ID_BYTES_MAX. INVALID with a reason in plain words (static storage).
 */
MUST_USE enum status target_id(struct bytes segment, uint8_t *buffer, struct bytes *id_out,
                               const char **reason_out);

/* Encodes all but the unreserved characters of RFC 3986: safe in a path segment, in a query and
 * inside <>. */
void target_encode(struct bytes text, struct writer *out);

/* Takes the next "name=value" from the query, both still encoded; passes over empty ones. False at
 * the end. */
bool target_next_parameter(struct bytes *query, struct bytes *name_out, struct bytes *value_out);

#endif
