#include "engine/stream/token.h"

#include <assert.h>
#include <xxhash.h>

#include "protocol/base/assert.h"
#include "protocol/base/base64url.h"

/*
 * The bytes under the text of a token in a snapshot: u8 version, 16 bytes store id, u64 epoch, u64
 * sequence, u32 shard, the key, and the first 6 bytes of the XXH3_64 of all before. It is always
 * longer than a position, so the length tells the two apart.
 */
#define SNAPSHOT_VERSION     2
#define SNAPSHOT_FIXED_BYTES (1 + 16 + 8 + 8 + 4)
#define CHECKSUM_BYTES       6
#define SNAPSHOT_BYTES_MAX   (SNAPSHOT_FIXED_BYTES + TOKEN_KEY_BYTES_MAX + CHECKSUM_BYTES)

#define GENERATION_MARK       '~'
#define GENERATION_DIGITS_MAX 20

static_assert(BASE64URL_TEXT_BYTES(SNAPSHOT_FIXED_BYTES + CHECKSUM_BYTES) > POSITION_TEXT_BYTES,
              "a token in a snapshot is longer than a position");
static_assert(BASE64URL_TEXT_BYTES(SNAPSHOT_BYTES_MAX) <= TOKEN_TEXT_BYTES_MAX,
              "a token in a snapshot fits");
static_assert(POSITION_TEXT_BYTES + 1 + GENERATION_DIGITS_MAX <= TOKEN_TEXT_BYTES_MAX,
              "a token of a group fits");
static_assert(TOKEN_TEXT_BYTES_MAX <= POSITION_TEXT_BYTES_MAX, "clients were told how long");

static void checksum_of(struct bytes checked, uint8_t checksum_out[CHECKSUM_BYTES])
{
    uint8_t whole[8];
    put_u64(whole, XXH3_64bits(checked.data, checked.size));
    memcpy(checksum_out, whole, CHECKSUM_BYTES);
}

static void snapshot_write(const struct token *token, struct writer *text_out)
{
    uint8_t bytes[SNAPSHOT_BYTES_MAX];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    writer_u8(&writer, SNAPSHOT_VERSION);
    writer_put(&writer, bytes_of(token->position.store_id.bytes, sizeof(struct store_id)));
    writer_u64(&writer, token->position.epoch);
    writer_u64(&writer, token->position.sequence);
    writer_u32(&writer, token->shard);
    writer_put(&writer, bytes_of(token->key, token->key_size));
    uint8_t checksum[CHECKSUM_BYTES];
    checksum_of(writer_bytes(&writer), checksum);
    writer_put(&writer, bytes_of(checksum, sizeof(checksum)));
    ASSERT(!writer.failed);
    base64url_write(writer_bytes(&writer), text_out);
}

static enum status snapshot_read(struct bytes text, struct token *out)
{
    uint8_t bytes[SNAPSHOT_BYTES_MAX];
    struct writer raw = writer_of(bytes, sizeof(bytes));
    if (!base64url_read(text, &raw) || raw.size < SNAPSHOT_FIXED_BYTES + CHECKSUM_BYTES) {
        return STATUS_INVALID;
    }
    size_t checked_size = raw.size - CHECKSUM_BYTES;
    struct reader reader = reader_of(bytes_of(bytes, checked_size));
    uint8_t version = reader_u8(&reader);
    struct bytes store_id = reader_bytes(&reader, sizeof(struct store_id));
    uint64_t epoch = reader_u64(&reader);
    uint64_t sequence = reader_u64(&reader);
    uint32_t shard = reader_u32(&reader);
    struct bytes key = reader_bytes(&reader, reader_left(&reader));
    ASSERT(!reader.failed);
    ASSERT(key.size <= TOKEN_KEY_BYTES_MAX);
    uint8_t checksum[CHECKSUM_BYTES];
    checksum_of(bytes_of(bytes, checked_size), checksum);
    if (version != SNAPSHOT_VERSION ||
        memcmp(bytes + checked_size, checksum, CHECKSUM_BYTES) != 0) {
        return STATUS_INVALID;
    }
    memcpy(out->position.store_id.bytes, store_id.data, store_id.size);
    out->position.epoch = epoch;
    out->position.sequence = sequence;
    out->in_snapshot = true;
    out->shard = shard;
    out->key_size = key.size;
    if (key.size > 0) {
        memcpy(out->key, key.data, key.size);
    }
    return STATUS_OK;
}

/* Decimal, without a leading zero, not zero. */
static bool generation_read(struct bytes text, uint64_t *out)
{
    return text.size > 0 && text.data[0] != '0' && bytes_decimal(text, out) == text.size;
}

void token_write(const struct token *token, struct writer *text_out)
{
    ASSERT(token->key_size <= TOKEN_KEY_BYTES_MAX);
    ASSERT(!token->in_snapshot || token->generation == 0);
    if (token->in_snapshot) {
        snapshot_write(token, text_out);
        return;
    }
    position_write(&token->position, text_out);
    if (token->generation > 0) {
        writer_u8(text_out, GENERATION_MARK);
        writer_decimal(text_out, token->generation);
    }
}

enum status token_read(struct bytes text, struct token *out)
{
    memset(out, 0, sizeof(*out));
    if (text.size <= POSITION_TEXT_BYTES) {
        return position_read(text, &out->position);
    }
    if (text.data[POSITION_TEXT_BYTES] != GENERATION_MARK) {
        return snapshot_read(text, out);
    }
    enum status status = position_read(bytes_slice(text, 0, POSITION_TEXT_BYTES), &out->position);
    struct bytes generation = bytes_slice(text, POSITION_TEXT_BYTES + 1, text.size);
    if (status == STATUS_OK && !generation_read(generation, &out->generation)) {
        memset(out, 0, sizeof(*out));
        return STATUS_INVALID;
    }
    return status;
}
