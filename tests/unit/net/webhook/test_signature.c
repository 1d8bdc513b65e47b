#include "net/webhook/signature.h"
#include "webhook_documents.h"

static struct signature_secret secret_of(const char *text)
{
    struct signature_secret secret;
    const char *reason = NULL;
    cr_assert_eq(signature_secret_parse(bytes_of_text(text), &secret, &reason), STATUS_OK, "%s",
                 reason);
    return secret;
}

/* The example that the reference libraries of Standard Webhooks test themselves with. */
#define EXAMPLE_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define EXAMPLE_ID     "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define EXAMPLE_BODY   "{\"test\": 2432232314}"
#define EXAMPLE_SIGNED "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

Test(signature, is_that_of_the_published_example)
{
    struct signature_secret secret = secret_of(EXAMPLE_SECRET);
    uint8_t buffer[SIGNATURE_TEXT_BYTES_MAX];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(secret.size, 24);
    cr_assert_eq(signature_write(&secret, 1, BYTES_LITERAL(EXAMPLE_ID), 1614265330,
                                 BYTES_LITERAL(EXAMPLE_BODY), &out),
                 STATUS_OK);
    cr_assert_str_eq(text_of(writer_bytes(&out)), EXAMPLE_SIGNED);
}

Test(signature, has_one_for_each_live_secret_in_their_order)
{
    struct signature_secret secrets[2] = {secret_of("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                          secret_of(EXAMPLE_SECRET)};
    uint8_t buffer[SIGNATURE_TEXT_BYTES_MAX];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(signature_write(secrets, 2, BYTES_LITERAL(EXAMPLE_ID), 1614265330,
                                 BYTES_LITERAL(EXAMPLE_BODY), &out),
                 STATUS_OK);
    const char *text = text_of(writer_bytes(&out));
    cr_assert_eq(strlen(text), 2 * strlen(EXAMPLE_SIGNED) + 1);
    cr_assert_eq(text[strlen(EXAMPLE_SIGNED)], ' ');
    cr_assert_str_eq(text + strlen(EXAMPLE_SIGNED) + 1, EXAMPLE_SIGNED);
    cr_assert_neq(memcmp(text, EXAMPLE_SIGNED, strlen(EXAMPLE_SIGNED)), 0);
}

Test(signature, covers_id_time_and_body_and_signs_an_empty_body)
{
    struct signature_secret secret = secret_of(EXAMPLE_SECRET);
    static const struct {
        const char *id;
        uint64_t time;
        const char *body;
    } calls[] = {{EXAMPLE_ID, 1614265331, EXAMPLE_BODY},
                 {"msg_other", 1614265330, EXAMPLE_BODY},
                 {EXAMPLE_ID, 1614265330, "{\"test\": 2432232315}"},
                 {EXAMPLE_ID, 1614265330, ""}};
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        uint8_t buffer[SIGNATURE_TEXT_BYTES_MAX];
        struct writer out = writer_of(buffer, sizeof(buffer));
        cr_assert_eq(signature_write(&secret, 1, bytes_of_text(calls[i].id), calls[i].time,
                                     bytes_of_text(calls[i].body), &out),
                     STATUS_OK);
        cr_assert_eq(out.size, strlen(EXAMPLE_SIGNED));
        cr_assert_str_neq(text_of(writer_bytes(&out)), EXAMPLE_SIGNED, "call %zu", i);
    }
}

Test(signature, that_does_not_fit_says_so)
{
    struct signature_secret secret = secret_of(EXAMPLE_SECRET);
    uint8_t buffer[46];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(signature_write(&secret, 1, BYTES_LITERAL("a"), 1, BYTES_EMPTY, &out),
                 STATUS_TOO_LARGE);
    char long_id[600];
    uint8_t room[SIGNATURE_TEXT_BYTES_MAX];
    memset(long_id, 'a', sizeof(long_id));
    out = writer_of(room, sizeof(room));
    cr_assert_eq(
        signature_write(&secret, 1, bytes_of(long_id, sizeof(long_id)), 1, BYTES_EMPTY, &out),
        STATUS_TOO_LARGE);
}

/* whsec_ and the base64 of size bytes of 'a'. */
static const char *secret_text(size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char text[1024];
    struct writer out = writer_of(text, sizeof(text));
    writer_text(&out, "whsec_");
    for (size_t from = 0; from < size; from += 3) {
        size_t left = size - from < 3 ? size - from : 3;
        uint32_t bits = 0x610000u | (left > 1 ? 0x6100u : 0) | (left > 2 ? 0x61u : 0);
        for (size_t i = 0; i < 4; i++) {
            writer_u8(&out, i <= left ? (uint8_t)digits[bits >> (18 - 6 * i) & 63] : '=');
        }
    }
    writer_u8(&out, 0);
    cr_assert_not(out.failed);
    return text;
}

Test(signature, takes_secrets_of_24_to_64_bytes)
{
    for (size_t size = 0; size <= 80; size++) {
        struct signature_secret secret;
        const char *reason = NULL;
        enum status status =
            signature_secret_parse(bytes_of_text(secret_text(size)), &secret, &reason);
        cr_assert_eq(status, size >= 24 && size <= 64 ? STATUS_OK : STATUS_INVALID, "%zu", size);
        if (status != STATUS_OK) {
            cr_assert_not_null(strstr(reason, "24"), "%zu: %s", size, reason);
            continue;
        }
        cr_assert_eq(secret.size, size);
        for (size_t i = 0; i < size; i++) {
            cr_assert_eq(secret.key[i], 'a');
        }
    }
}

Test(signature, refuses_secrets_that_are_none)
{
    static const struct {
        const char *text;
        const char *words;
    } wrong[] = {
        {"", "whsec_"},
        {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with whsec_"},
        {"whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with whsec_"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "base64"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "base64"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa w", "base64"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL=Sw", "base64"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwYR==", "base64"}, /* spare bits are not zero */
        {"whsec_====", "base64"},
        {"whsec_==", "base64"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct signature_secret secret;
        const char *reason = NULL;
        cr_assert_eq(signature_secret_parse(bytes_of_text(wrong[i].text), &secret, &reason),
                     STATUS_INVALID, "%s", wrong[i].text);
        cr_assert_not_null(strstr(reason, wrong[i].words), "%s: %s", wrong[i].text, reason);
    }
}
