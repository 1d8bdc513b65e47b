#include <criterion/criterion.h>

#include "net/rest/target.h"

static struct bytes text(const char *of)
{
    return bytes_of_text(of);
}

#define CHECK_BYTES(actual, expected)                                                              \
    cr_assert(bytes_equal(actual, text(expected)), "'%.*s' is not '%s'", (int)(actual).size,       \
              (const char *)(actual).data, expected)

Test(target, splits_a_path_before_it_decodes_it)
{
    struct target target;
    target_split(text("/"), &target);
    cr_assert_eq(target.shape, TARGET_ROOT);
    target_split(text("/pets"), &target);
    cr_assert_eq(target.shape, TARGET_ONE);
    CHECK_BYTES(target.first, "pets");
    target_split(text("/pets/a%2Fb"), &target);
    cr_assert_eq(target.shape, TARGET_TWO);
    CHECK_BYTES(target.second, "a%2Fb");
    target_split(text("/pets/"), &target);
    cr_assert_eq(target.shape, TARGET_TWO);
    cr_assert_eq(target.second.size, 0);
    target_split(text("/consumers/a/ack"), &target);
    cr_assert_eq(target.shape, TARGET_THREE);
    CHECK_BYTES(target.second, "a");
    CHECK_BYTES(target.third, "ack");
    target_split(text("/pets/a/"), &target);
    cr_assert_eq(target.shape, TARGET_THREE);
    cr_assert_eq(target.third.size, 0);
    target_split(text("/pets/a/b/c"), &target);
    cr_assert_eq(target.shape, TARGET_DEEPER);
    target_split(text("/pets/a/b/"), &target);
    cr_assert_eq(target.shape, TARGET_DEEPER);
    target_split(text("*"), &target);
    cr_assert_eq(target.shape, TARGET_DEEPER);
    target_split(BYTES_EMPTY, &target);
    cr_assert_eq(target.shape, TARGET_DEEPER);
    target_split(text("//1"), &target);
    cr_assert_eq(target.shape, TARGET_TWO);
    cr_assert_eq(target.first.size, 0);
}

Test(target, decodes_escapes_in_both_cases_and_refuses_broken_ones)
{
    uint8_t buffer[8];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(target_decode(text("a%2fb%2F+"), false, &out), STATUS_OK);
    CHECK_BYTES(writer_bytes(&out), "a/b/+");
    out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(target_decode(text("a+b"), true, &out), STATUS_OK);
    CHECK_BYTES(writer_bytes(&out), "a b");
    static const char *const broken[] = {"%", "%2", "%g0", "%0g", "a%", "a%2", "%%20", "% 2"};
    for (size_t index = 0; index < sizeof(broken) / sizeof(broken[0]); index++) {
        out = writer_of(buffer, sizeof(buffer));
        cr_assert_eq(target_decode(text(broken[index]), false, &out), STATUS_INVALID, "%s",
                     broken[index]);
    }
    out = writer_of(buffer, 3);
    cr_assert_eq(target_decode(text("%61bc"), false, &out), STATUS_OK);
    out = writer_of(buffer, 3);
    cr_assert_eq(target_decode(text("abcd"), false, &out), STATUS_TOO_LARGE);
}

static enum status id_of(struct bytes segment, uint8_t *buffer, struct bytes *out)
{
    const char *reason;
    enum status status = target_id(segment, buffer, out, &reason);
    cr_assert((status == STATUS_OK) == (reason[0] == 0));
    return status;
}

Test(target, an_id_without_escapes_is_the_segment_itself)
{
    uint8_t buffer[ID_BYTES_MAX];
    struct bytes id;
    struct bytes segment = text("0190b2d8-42a1-7c3e-9f00-5a6b7c8d9e0f");
    cr_assert_eq(id_of(segment, buffer, &id), STATUS_OK);
    cr_assert_eq(id.data, segment.data);
    cr_assert_eq(id.size, segment.size);
}

Test(target, ids_are_decoded_and_checked)
{
    uint8_t buffer[ID_BYTES_MAX];
    struct bytes id;
    cr_assert_eq(id_of(text("a%2Fb%20%22c+d%23"), buffer, &id), STATUS_OK);
    CHECK_BYTES(id, "a/b \"c+d#");
    cr_assert_eq(id_of(text("%C3%A9%F0%9F%90%B6"), buffer, &id), STATUS_OK);
    CHECK_BYTES(id, "\xC3\xA9\xF0\x9F\x90\xB6");
    static const char *const bad[] = {"",       "%00",    "a%00b",     "%1F",          "%7F",
                                      "%0A",    "%C2%80", "%C2%9F",    "%ff",          "%C3",
                                      "%C3%28", "%C0%AF", "%ED%A0%80", "%F4%90%80%80", "%",
                                      "%4",     "%zz",    "a#b",       "%E2%82",       "a b\x7f"};
    for (size_t index = 0; index < sizeof(bad) / sizeof(bad[0]); index++) {
        cr_assert_eq(id_of(text(bad[index]), buffer, &id), STATUS_INVALID, "%s", bad[index]);
        cr_assert_eq(id.size, 0);
    }
    cr_assert_eq(id_of(text("%C2%A0"), buffer, &id), STATUS_OK);
}

Test(target, an_id_has_512_bytes_after_decoding_and_not_one_more)
{
    uint8_t buffer[ID_BYTES_MAX];
    char segment[3 * (ID_BYTES_MAX + 1)];
    struct bytes id;
    memset(segment, 'x', sizeof(segment));
    cr_assert_eq(id_of(bytes_of(segment, ID_BYTES_MAX), buffer, &id), STATUS_OK);
    cr_assert_eq(id_of(bytes_of(segment, ID_BYTES_MAX + 1), buffer, &id), STATUS_INVALID);
    for (size_t at = 0; at <= ID_BYTES_MAX; at++) {
        memcpy(segment + 3 * at, "%41", 3);
    }
    cr_assert_eq(id_of(bytes_of(segment, 3 * ID_BYTES_MAX), buffer, &id), STATUS_OK);
    cr_assert_eq(id.size, ID_BYTES_MAX);
    cr_assert_eq(id_of(bytes_of(segment, 3 * (ID_BYTES_MAX + 1)), buffer, &id), STATUS_INVALID);
}

Test(target, what_is_encoded_decodes_to_itself_whatever_the_bytes)
{
    uint8_t all[256];
    uint8_t encoded_bytes[3 * 256];
    uint8_t decoded_bytes[256];
    for (size_t value = 0; value < 256; value++) {
        all[value] = (uint8_t)value;
    }
    struct writer encoded = writer_of(encoded_bytes, sizeof(encoded_bytes));
    target_encode(bytes_of(all, 256), &encoded);
    cr_assert_not(encoded.failed);
    for (size_t at = 0; at < encoded.size; at++) {
        cr_assert(strchr("<>\"/?#& +=", encoded_bytes[at]) == NULL);
    }
    struct writer decoded = writer_of(decoded_bytes, sizeof(decoded_bytes));
    cr_assert_eq(target_decode(writer_bytes(&encoded), true, &decoded), STATUS_OK);
    cr_assert(bytes_equal(writer_bytes(&decoded), bytes_of(all, 256)));
}

Test(target, parameters_are_taken_one_by_one)
{
    struct bytes query = text("&a=1&&b&c==x&=v&");
    struct bytes name;
    struct bytes value;
    cr_assert(target_next_parameter(&query, &name, &value));
    CHECK_BYTES(name, "a");
    CHECK_BYTES(value, "1");
    cr_assert(target_next_parameter(&query, &name, &value));
    CHECK_BYTES(name, "b");
    cr_assert_eq(value.size, 0);
    cr_assert(target_next_parameter(&query, &name, &value));
    CHECK_BYTES(name, "c");
    CHECK_BYTES(value, "=x");
    cr_assert(target_next_parameter(&query, &name, &value));
    cr_assert_eq(name.size, 0);
    CHECK_BYTES(value, "v");
    cr_assert_not(target_next_parameter(&query, &name, &value));
    query = BYTES_EMPTY;
    cr_assert_not(target_next_parameter(&query, &name, &value));
}
