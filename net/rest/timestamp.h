/*
 * timestamp.h: times and durations as clients write them in a query.
 *
 * Owner:     the caller; nothing is allocated.
 * Tests:     tests/unit/net/rest/test_timestamp.c.
 */
#ifndef FRESHET_NET_REST_TIMESTAMP_H
#define FRESHET_NET_REST_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

/*
 * RFC 3339: "2026-01-01T00:00:00Z", with a fraction of a second and an offset if so wanted; a space
 * in the place of an offset's '+' is taken for it, because that is what a '+' becomes that nobody
 * has percent-encoded. Milliseconds of Unix time, rounded up. INVALID: no such time, or before
 * 1970.
 */
MUST_USE enum status timestamp_read(struct bytes text, uint64_t *unix_ms_out);

/* "10s", "500ms": digits and a unit (ms, s, m, h). INVALID, TOO_LARGE (over a day). */
MUST_USE enum status duration_read(struct bytes text, uint64_t *ns_out);

#endif
