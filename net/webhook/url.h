/*
 * url.h: may this be called? The URLs that rules may have: absolute, http or https, a host, and
 * nothing that two readers could read in two ways.
 *
 * Owner:   the caller; nothing is kept.
 * Tests:   tests/unit/net/webhook/test_url.c.
 */
#ifndef FRESHET_NET_WEBHOOK_URL_H
#define FRESHET_NET_WEBHOOK_URL_H

#include <stdbool.h>

#include "protocol/base/bytes.h"

/* True: *path_at_out is where the host and its port end. False: the reason in plain words (static
 * storage). */
bool url_check(struct bytes url, size_t *path_at_out, const char **reason_out);

/* Whether the path, which begins at path_at, has a segment "." or "..", also as %2E: those on the
 * way take them for steps. */
bool url_has_dot_segment(struct bytes url, size_t path_at);

#endif
