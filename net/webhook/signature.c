#include "net/webhook/signature.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "protocol/base/assert.h"

#define MAC_BYTES      32
#define MAC_TEXT_BYTES 44 /* in base64 */

/* The value of a base64 digit; 64: it is none. */
static uint32_t digit_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Strict base64 with its padding. False when text is none, or decodes to over size_max bytes. */
static bool base64_decode(struct bytes text, size_t size_max, uint8_t *out, size_t *size_out)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=') {
        padding++;
    }
    size_t size = text.size / 4 * 3 - padding;
    if (text.size == 0 || text.size % 4 != 0 || size > size_max) {
        return false;
    }
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint32_t value = i < text.size - padding ? digit_value(text.data[i]) : 0;
        if (value == 64) {
            return false;
        }
        bits = bits << 6 | value;
        for (size_t j = 0; i % 4 == 3 && j < 3; j++) {
            size_t at = i / 4 * 3 + j;
            uint8_t byte = (uint8_t)(bits >> (8 * (2 - j)));
            if (at < size) {
                out[at] = byte;
            } else if (byte != 0) {
                return false; /* bits behind the end: the same bytes in a second spelling */
            }
        }
    }
    *size_out = size;
    return true;
}

enum status signature_secret_parse(struct bytes text, struct signature_secret *out,
                                   const char **reason_out)
{
    static const struct bytes prefix = BYTES_LITERAL("whsec_");
    memset(out, 0, sizeof(*out));
    if (!bytes_starts_with(text, prefix)) {
        *reason_out = "does not begin with whsec_";
        return STATUS_INVALID;
    }
    /* Room for more than is accepted, so that a long secret gets the right reason. */
    uint8_t decoded[4 * SIGNATURE_SECRET_BYTES_MAX];
    size_t size = 0;
    if (!base64_decode(bytes_slice(text, prefix.size, SIZE_MAX), sizeof(decoded), decoded, &size)) {
        *reason_out = "is not whsec_ and base64 (with its padding) of 24 to 64 bytes";
        return STATUS_INVALID;
    }
    bool fits = size >= SIGNATURE_SECRET_BYTES_MIN && size <= SIGNATURE_SECRET_BYTES_MAX;
    if (fits) {
        memcpy(out->key, decoded, size);
        out->size = size;
    } else {
        *reason_out = "has fewer than 24 or more than 64 bytes behind whsec_";
    }
    OPENSSL_cleanse(decoded, sizeof(decoded));
    return fits ? STATUS_OK : STATUS_INVALID;
}

static enum status mac_of(EVP_MAC_CTX *context, const struct signature_secret *secret,
                          struct bytes head, struct bytes body, uint8_t mac_out[MAC_BYTES])
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t size = 0;
    bool done = EVP_MAC_init(context, secret->key, secret->size, parameters) == 1 &&
                EVP_MAC_update(context, head.data, head.size) == 1 &&
                (body.size == 0 || EVP_MAC_update(context, body.data, body.size) == 1) &&
                EVP_MAC_final(context, mac_out, &size, MAC_BYTES) == 1;
    ASSERT(!done || size == MAC_BYTES);
    return done ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status signature_append(EVP_MAC_CTX *context, const struct signature_secret *secret,
                                    struct bytes head, struct bytes body, struct writer *out)
{
    uint8_t mac[MAC_BYTES];
    enum status status = mac_of(context, secret, head, body, mac);
    if (status != STATUS_OK) {
        return status;
    }
    unsigned char text[MAC_TEXT_BYTES + 1];
    int size = EVP_EncodeBlock(text, mac, MAC_BYTES);
    ASSERT(size == MAC_TEXT_BYTES);
    writer_text(out, "v1,");
    writer_put(out, bytes_of(text, MAC_TEXT_BYTES));
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

enum status signature_write(const struct signature_secret *secrets, size_t secret_count,
                            struct bytes id, uint64_t timestamp_s, struct bytes body,
                            struct writer *out)
{
    ASSERT(secret_count >= 1 && secret_count <= SIGNATURE_SECRETS_MAX);
    ASSERT(id.size > 0 && memchr(id.data, '.', id.size) == NULL);
    uint8_t buffer[512];
    struct writer head = writer_of(buffer, sizeof(buffer));
    writer_put(&head, id);
    writer_u8(&head, '.');
    writer_decimal(&head, timestamp_s);
    writer_u8(&head, '.');
    if (head.failed) {
        return STATUS_TOO_LARGE;
    }
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    enum status status = context == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (size_t i = 0; i < secret_count && status == STATUS_OK; i++) {
        if (i > 0) {
            writer_u8(out, ' ');
        }
        status = signature_append(context, &secrets[i], writer_bytes(&head), body, out);
    }
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(hmac);
    return status;
}
