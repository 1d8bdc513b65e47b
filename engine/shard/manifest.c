#include "engine/shard/manifest.h"

#include <xxhash.h>

#include "protocol/base/assert.h"

#define MANIFEST_FILE_NEW "MANIFEST.new"
#define CHECKSUM_DIGITS   16

static_assert(SHARD_COUNT_MAX - 1 <= UINT8_MAX, "a shard's number fits the slot table");
static_assert(SLOT_COUNT * 4 + 256 <= MANIFEST_BYTES_MAX, "the slot table fits as text");

void manifest_init(struct manifest *manifest, const struct store_id *store_id, uint32_t shard_count)
{
    ASSERT(shard_count >= 1);
    ASSERT(shard_count <= SHARD_COUNT_MAX);
    manifest->store_id = *store_id;
    manifest->shard_count = shard_count;
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        manifest->shard_of_slot[slot] = (uint8_t)(slot * shard_count / SLOT_COUNT);
    }
}

/* ---- text ---- */

static void hex_write(struct writer *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        writer_u8(out, (uint8_t)digits[bytes[i] >> 4]);
        writer_u8(out, (uint8_t)digits[bytes[i] & 15]);
    }
}

static void checksum_write(struct bytes text, struct writer *out)
{
    uint8_t checksum[CHECKSUM_DIGITS / 2];
    put_u64(checksum, XXH3_64bits(text.data, text.size));
    hex_write(out, checksum, sizeof(checksum));
}

void manifest_write(const struct manifest *manifest, struct writer *text_out)
{
    ASSERT(text_out->size == 0);
    writer_text(text_out, "freshet-manifest ");
    writer_decimal(text_out, MANIFEST_FORMAT);
    writer_text(text_out, "\nstore ");
    hex_write(text_out, manifest->store_id.bytes, sizeof(manifest->store_id.bytes));
    writer_text(text_out, "\nshards ");
    writer_decimal(text_out, manifest->shard_count);
    writer_text(text_out, "\nslots");
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        writer_text(text_out, " ");
        writer_decimal(text_out, manifest->shard_of_slot[slot]);
    }
    writer_text(text_out, "\n");
    struct bytes checked = writer_bytes(text_out);
    writer_text(text_out, "checksum ");
    checksum_write(checked, text_out);
    writer_text(text_out, "\n");
}

static void expect(struct reader *reader, const char *text)
{
    struct bytes wanted = bytes_of_text(text);
    if (!bytes_equal(reader_bytes(reader, wanted.size), wanted)) {
        reader->failed = true;
    }
}

static uint32_t decimal_read(struct reader *reader)
{
    uint32_t value = 0;
    size_t digits = 0;
    while (reader_left(reader) > 0) {
        uint8_t digit = reader->data[reader->offset];
        if (digit < '0' || digit > '9' || digits == 6) {
            break;
        }
        value = value * 10 + (uint32_t)(digit - '0');
        digits++;
        reader->offset++;
    }
    if (digits == 0) {
        reader->failed = true;
    }
    return value;
}

static uint8_t hex_digit_read(struct reader *reader)
{
    uint8_t digit = reader_u8(reader);
    if (digit >= '0' && digit <= '9') {
        return (uint8_t)(digit - '0');
    }
    if (digit >= 'a' && digit <= 'f') {
        return (uint8_t)(digit - 'a' + 10);
    }
    reader->failed = true;
    return 0;
}

static void slots_read(struct reader *reader, struct manifest *out)
{
    expect(reader, "\nslots");
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        expect(reader, " ");
        uint32_t shard = decimal_read(reader);
        if (shard >= out->shard_count) {
            reader->failed = true;
        }
        out->shard_of_slot[slot] = (uint8_t)shard;
    }
}

static void checksum_verify(struct reader *reader)
{
    uint8_t wanted[CHECKSUM_DIGITS];
    struct writer writer = writer_of(wanted, sizeof(wanted));
    checksum_write(bytes_of(reader->data, reader->offset), &writer);
    expect(reader, "checksum ");
    if (!bytes_equal(reader_bytes(reader, CHECKSUM_DIGITS), writer_bytes(&writer))) {
        reader->failed = true;
    }
    expect(reader, "\n");
}

enum status manifest_read(struct bytes text, struct manifest *out, struct detail *detail_out)
{
    struct reader reader = reader_of(text);
    memset(out, 0, sizeof(*out));
    detail_out->text[0] = '\0';
    expect(&reader, "freshet-manifest ");
    uint32_t format = decimal_read(&reader);
    if (!reader.failed && format > MANIFEST_FORMAT) {
        detail_set(detail_out,
                   MANIFEST_FILE " has format %u and this version knows up to %d; "
                                 "use the version that wrote it, or a later one",
                   format, MANIFEST_FORMAT);
        return STATUS_UNSUPPORTED;
    }
    expect(&reader, "\nstore ");
    for (size_t i = 0; i < sizeof(out->store_id.bytes); i++) {
        uint8_t high = hex_digit_read(&reader);
        out->store_id.bytes[i] = (uint8_t)(high << 4 | hex_digit_read(&reader));
    }
    expect(&reader, "\nshards ");
    out->shard_count = decimal_read(&reader);
    if (out->shard_count < 1 || out->shard_count > SHARD_COUNT_MAX) {
        reader.failed = true;
    }
    slots_read(&reader, out);
    expect(&reader, "\n");
    checksum_verify(&reader);
    if (reader.failed || reader_left(&reader) > 0 || format < 1) {
        detail_set(detail_out,
                   MANIFEST_FILE " is damaged at or before byte %zu; restore it from a backup",
                   reader.offset);
        return STATUS_DAMAGED;
    }
    return STATUS_OK;
}

/* ---- the disk ---- */

enum status manifest_load(struct disk *disk, struct manifest *out, struct detail *detail_out)
{
    int file;
    detail_out->text[0] = '\0';
    enum status status = disk->vtable->open(disk, MANIFEST_FILE, false, &file);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t text[MANIFEST_BYTES_MAX];
    size_t size = 0;
    status = disk->vtable->read(disk, file, 0, text, sizeof(text), &size);
    disk->vtable->close(disk, file);
    return status == STATUS_OK ? manifest_read(bytes_of(text, size), out, detail_out) : status;
}

enum status manifest_store(struct disk *disk, const struct manifest *manifest)
{
    uint8_t text[MANIFEST_BYTES_MAX];
    struct writer writer = writer_of(text, sizeof(text));
    manifest_write(manifest, &writer);
    ASSERT(!writer.failed);
    int file;
    enum status status = disk->vtable->open(disk, MANIFEST_FILE_NEW, true, &file);
    if (status != STATUS_OK) {
        return status;
    }
    status = disk->vtable->write(disk, file, 0, text, writer.size);
    if (status == STATUS_OK) {
        status = disk->vtable->sync(disk, file);
    }
    disk->vtable->close(disk, file);
    if (status == STATUS_OK) {
        status = disk->vtable->rename(disk, MANIFEST_FILE_NEW, MANIFEST_FILE);
    }
    return status == STATUS_OK ? disk->vtable->sync_folder(disk) : status;
}
