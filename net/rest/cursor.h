/*
 * cursor.h: the token with which a client asks for the next page of a list.
 *
 * To clients it is opaque: base64url without padding over a version byte, a check of 8 bytes and
 * the last id of the page. The check covers the id and the list (collection, field, value), so that
 * a token is refused by any other list, and a typing error is an error. It is no secret: whoever
 * can read a list may ask for any part of it.
 *
 * Owner:     the caller; nothing is allocated or kept.
 * Tests:     tests/unit/net/rest/test_cursor.c, tests/fuzz/fuzz_target.c.
 */
#ifndef FRESHET_NET_REST_CURSOR_H
#define FRESHET_NET_REST_CURSOR_H

#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

#define CURSOR_BYTES_MAX      (1 + 8 + ID_BYTES_MAX)
#define CURSOR_TEXT_BYTES_MAX ((CURSOR_BYTES_MAX * 4 + 2) / 3)

struct cursor_list {
    struct bytes collection;
    struct bytes field; /* empty: all records */
    struct bytes value; /* at most INDEX_VALUE_BYTES_MAX */
};

void cursor_write(const struct cursor_list *list, struct bytes last_id, struct writer *text_out);

/* buffer holds CURSOR_BYTES_MAX; the id points into it. INVALID when it is no cursor of this
 * list. */
MUST_USE enum status cursor_read(const struct cursor_list *list, struct bytes text, uint8_t *buffer,
                                 struct bytes *last_id_out);

#endif
