/*
 * signature.h: Standard Webhooks 1.0: what proves to a receiver that a call is ours, and new.
 *
 *     webhook-id: 1f3a9c2e-1-123
 *     webhook-timestamp: 1614265330
 *     webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,bm9w…
 *
 * Each v1 is the base64 of HMAC-SHA256 over "id.timestamp.body" with one secret: a rule has two
 * while its receivers change from the old one to the new one. The timestamp is that of the attempt,
 * so a retry is signed anew.
 *
 * Owner:   the caller; nothing is kept.
 * Memory:  OpenSSL allocates a context within the call.
 * Time:    passed in.
 * Tests:   tests/unit/net/webhook/test_signature.c, with the specification's own example.
 */
#ifndef FRESHET_NET_WEBHOOK_SIGNATURE_H
#define FRESHET_NET_WEBHOOK_SIGNATURE_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define SIGNATURE_SECRETS_MAX      2
#define SIGNATURE_SECRET_BYTES_MIN 24
#define SIGNATURE_SECRET_BYTES_MAX 64
/* "v1," and 44 characters for each secret, and a space between. */
#define SIGNATURE_TEXT_BYTES_MAX (SIGNATURE_SECRETS_MAX * 48)

struct signature_secret {
    size_t size;
    uint8_t key[SIGNATURE_SECRET_BYTES_MAX];
};

/* "whsec_" and the base64 of 24 to 64 bytes. INVALID with a reason in plain words (static storage),
 * which never repeats the secret. */
MUST_USE enum status signature_secret_parse(struct bytes text, struct signature_secret *out,
                                            const char **reason_out);

/* Appends the value of webhook-signature, at most SIGNATURE_TEXT_BYTES_MAX. TOO_LARGE when out is
 * full, NO_MEMORY. id has no '.'; 1 to SIGNATURE_SECRETS_MAX secrets. */
MUST_USE enum status signature_write(const struct signature_secret *secrets, size_t secret_count,
                                     struct bytes id, uint64_t timestamp_s, struct bytes body,
                                     struct writer *out);

#endif
