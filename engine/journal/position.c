#include "engine/journal/position.h"

#include <assert.h>
#include <xxhash.h>

#include "protocol/base/assert.h"

/*
 * The bytes under the text: u8 version, 16 bytes store id, u64 epoch, u64 sequence, and the first 6
 * bytes of the XXH3_64 of those. 39 bytes are 52 digits exactly, so there is no padding and only
 * one text for each position.
 */
#define POSITION_VERSION        1
#define POSITION_CHECKED_BYTES  (1 + 16 + 8 + 8)
#define POSITION_CHECKSUM_BYTES 6
#define POSITION_BYTES          (POSITION_CHECKED_BYTES + POSITION_CHECKSUM_BYTES)

static_assert(POSITION_BYTES % 3 == 0, "no base64 padding, no unused bits");
static_assert(POSITION_BYTES / 3 * 4 == POSITION_TEXT_BYTES, "text and bytes agree");
static_assert(POSITION_TEXT_BYTES <= POSITION_TEXT_BYTES_MAX, "a position fits its limit");

#define BASE64_INVALID 0xff

static uint8_t base64_digit(uint32_t value)
{
    static const uint8_t digits[64] = {
        'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
        'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
        'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
        'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '_'};
    return digits[value & 63];
}

static uint8_t base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return (uint8_t)(digit - 'A');
    }
    if (digit >= 'a' && digit <= 'z') {
        return (uint8_t)(digit - 'a' + 26);
    }
    if (digit >= '0' && digit <= '9') {
        return (uint8_t)(digit - '0' + 52);
    }
    if (digit == '-') {
        return 62;
    }
    return digit == '_' ? 63 : BASE64_INVALID;
}

static void position_checksum(const uint8_t checked[POSITION_CHECKED_BYTES],
                              uint8_t checksum_out[POSITION_CHECKSUM_BYTES])
{
    uint8_t whole[8];
    put_u64(whole, XXH3_64bits(checked, POSITION_CHECKED_BYTES));
    memcpy(checksum_out, whole, POSITION_CHECKSUM_BYTES);
}

void position_write(const struct position *position, struct writer *text_out)
{
    uint8_t bytes[POSITION_BYTES];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    writer_u8(&writer, POSITION_VERSION);
    writer_put(&writer, bytes_of(position->store_id.bytes, sizeof(position->store_id.bytes)));
    writer_u64(&writer, position->epoch);
    writer_u64(&writer, position->sequence);
    ASSERT(writer.size == POSITION_CHECKED_BYTES);
    position_checksum(bytes, bytes + POSITION_CHECKED_BYTES);

    uint8_t *text = writer_reserve(text_out, POSITION_TEXT_BYTES);
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < POSITION_BYTES / 3; i++) {
        uint32_t group = (uint32_t)bytes[3 * i] << 16 | (uint32_t)bytes[3 * i + 1] << 8 |
                         (uint32_t)bytes[3 * i + 2];
        for (size_t digit = 0; digit < 4; digit++) {
            text[4 * i + digit] = base64_digit(group >> (18 - 6 * digit));
        }
    }
}

enum status position_read(struct bytes text, struct position *out)
{
    *out = (struct position){0};
    if (text.size != POSITION_TEXT_BYTES) {
        return STATUS_INVALID;
    }
    uint8_t bytes[POSITION_BYTES];
    for (size_t i = 0; i < POSITION_BYTES / 3; i++) {
        uint32_t group = 0;
        for (size_t digit = 0; digit < 4; digit++) {
            uint8_t value = base64_value(text.data[4 * i + digit]);
            if (value == BASE64_INVALID) {
                return STATUS_INVALID;
            }
            group = group << 6 | value;
        }
        bytes[3 * i] = (uint8_t)(group >> 16);
        bytes[3 * i + 1] = (uint8_t)(group >> 8);
        bytes[3 * i + 2] = (uint8_t)group;
    }
    uint8_t checksum[POSITION_CHECKSUM_BYTES];
    position_checksum(bytes, checksum);
    struct reader reader = reader_of(bytes_of(bytes, sizeof(bytes)));
    uint8_t version = reader_u8(&reader);
    struct bytes store_id = reader_bytes(&reader, sizeof(out->store_id.bytes));
    uint64_t epoch = reader_u64(&reader);
    uint64_t sequence = reader_u64(&reader);
    struct bytes stored = reader_bytes(&reader, POSITION_CHECKSUM_BYTES);
    ASSERT(!reader.failed);
    if (version != POSITION_VERSION || !bytes_equal(stored, bytes_of(checksum, sizeof(checksum)))) {
        return STATUS_INVALID;
    }
    memcpy(out->store_id.bytes, store_id.data, store_id.size);
    out->epoch = epoch;
    out->sequence = sequence;
    return STATUS_OK;
}
