/*
 * base64url.h: bytes as text that is safe in a URL (RFC 4648, section 5), without padding.
 *
 * Owner:     the caller; nothing is allocated.
 * Errors:    what does not fit marks the writer as failed.
 * Invariant: there is one text for all bytes, and base64url_read takes no other.
 * Tests:     tests/unit/protocol/base/test_base64url.c.
 */
#ifndef FRESHET_PROTOCOL_BASE_BASE64URL_H
#define FRESHET_PROTOCOL_BASE_BASE64URL_H

#include "protocol/base/bytes.h"

/* Characters of the text of so many bytes. */
#define BASE64URL_TEXT_BYTES(size) (((size)*4 + 2) / 3)

void base64url_write(struct bytes bytes, struct writer *text_out);
/* False: another character, padding, bits left over that are not zero, or no room. */
bool base64url_read(struct bytes text, struct writer *bytes_out);

#endif
