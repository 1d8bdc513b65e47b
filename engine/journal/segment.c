#include "engine/journal/segment.h"

#include <stdio.h>
#include <xxhash.h>

#include "protocol/base/assert.h"

#define SEGMENT_MAGIC         0x46525347u /* "FRSG" */
#define BATCH_MAGIC           0x46524254u /* "FRBT" */
#define SEGMENT_NAME_DIGITS   16
#define SEGMENT_FIXED_BYTES   96
#define SEGMENT_CHECKED_BYTES (SEGMENT_HEADER_BYTES - 8)
#define BATCH_CHECKED_BYTES   (BATCH_HEADER_BYTES - 8)

static_assert(SEGMENT_FIXED_BYTES + 16 * SEGMENT_EPOCHS_MAX <= SEGMENT_CHECKED_BYTES,
              "the chain of epochs fits");
static_assert(SEGMENT_FIXED_BYTES + 16 * (SEGMENT_EPOCHS_MAX + 1) > SEGMENT_CHECKED_BYTES,
              "and could not be longer");
static_assert(SEGMENT_NAME_BYTES <= DISK_NAME_BYTES_MAX, "a disk takes the name");

void segment_name(uint64_t number, char name_out[SEGMENT_NAME_BYTES])
{
    ASSERT(number > 0);
    ASSERT(number < 10000000000000000u);
    int written = snprintf(name_out, SEGMENT_NAME_BYTES, "%016llu.seg", (unsigned long long)number);
    ASSERT(written == SEGMENT_NAME_BYTES - 1);
}

bool segment_name_parse(const char *name, uint64_t *number_out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < SEGMENT_NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    *number_out = number;
    return number > 0 && strcmp(name + SEGMENT_NAME_DIGITS, ".seg") == 0;
}

void segment_header_encode(const struct segment_header *header,
                           uint8_t block_out[SEGMENT_HEADER_BYTES])
{
    ASSERT(header->number > 0);
    ASSERT(header->epoch > 0);
    ASSERT(header->epoch_count <= SEGMENT_EPOCHS_MAX);
    memset(block_out, 0, SEGMENT_HEADER_BYTES);
    struct writer writer = writer_of(block_out, SEGMENT_CHECKED_BYTES);
    writer_u32(&writer, SEGMENT_MAGIC);
    writer_u32(&writer, SEGMENT_FORMAT_VERSION);
    writer_put(&writer, bytes_of(header->store.id.bytes, sizeof(header->store.id.bytes)));
    writer_u64(&writer, header->store.secret);
    writer_u64(&writer, header->number);
    writer_u64(&writer, header->epoch);
    writer_u64(&writer, header->segment_bytes);
    writer_u64(&writer, header->first_sequence);
    writer_u64(&writer, header->last_time_ms);
    writer_u64(&writer, header->durable_through);
    writer_u64(&writer, header->previous_checksum);
    writer_u32(&writer, (uint32_t)header->durability);
    writer_u32(&writer, header->epoch_count);
    ASSERT(writer.size == SEGMENT_FIXED_BYTES);
    for (uint32_t i = 0; i < header->epoch_count; i++) {
        writer_u64(&writer, header->epochs[i].epoch);
        writer_u64(&writer, header->epochs[i].end_sequence);
    }
    ASSERT(!writer.failed);
    put_u64(block_out + SEGMENT_CHECKED_BYTES, XXH3_64bits(block_out, SEGMENT_CHECKED_BYTES));
}

/* Bounds that segment_header_encode keeps; a header that breaks them was not written by us. */
static bool segment_header_is_sensible(const struct segment_header *header)
{
    bool sensible = header->epoch > 0 && header->first_sequence > 0 &&
                    header->durability <= JOURNAL_NONE &&
                    header->durable_through < header->first_sequence &&
                    header->segment_bytes >= SEGMENT_HEADER_BYTES;
    for (uint32_t i = 0; sensible && i < header->epoch_count; i++) {
        uint64_t next = i + 1 < header->epoch_count ? header->epochs[i + 1].epoch : header->epoch;
        sensible = header->epochs[i].epoch < next;
    }
    return sensible;
}

enum status segment_header_decode(const uint8_t block[SEGMENT_HEADER_BYTES], uint64_t number,
                                  struct segment_header *out)
{
    struct reader reader = reader_of(bytes_of(block, SEGMENT_CHECKED_BYTES));
    if (reader_u32(&reader) != SEGMENT_MAGIC ||
        get_u64(block + SEGMENT_CHECKED_BYTES) != XXH3_64bits(block, SEGMENT_CHECKED_BYTES)) {
        return STATUS_NOT_FOUND;
    }
    if (reader_u32(&reader) != SEGMENT_FORMAT_VERSION) {
        return STATUS_UNSUPPORTED;
    }
    struct bytes id = reader_bytes(&reader, sizeof(out->store.id.bytes));
    memcpy(out->store.id.bytes, id.data, sizeof(out->store.id.bytes));
    out->store.secret = reader_u64(&reader);
    out->number = reader_u64(&reader);
    out->epoch = reader_u64(&reader);
    out->segment_bytes = reader_u64(&reader);
    out->first_sequence = reader_u64(&reader);
    out->last_time_ms = reader_u64(&reader);
    out->durable_through = reader_u64(&reader);
    out->previous_checksum = reader_u64(&reader);
    out->durability = (enum journal_durability)reader_u32(&reader);
    out->epoch_count = reader_u32(&reader);
    if (out->epoch_count > SEGMENT_EPOCHS_MAX || out->number != number) {
        return STATUS_NOT_FOUND;
    }
    for (uint32_t i = 0; i < out->epoch_count; i++) {
        out->epochs[i].epoch = reader_u64(&reader);
        out->epochs[i].end_sequence = reader_u64(&reader);
    }
    ASSERT(!reader.failed);
    return segment_header_is_sensible(out) ? STATUS_OK : STATUS_NOT_FOUND;
}

void segment_header_epoch_push(struct segment_header *header, struct epoch_end end)
{
    ASSERT(header->epoch_count <= SEGMENT_EPOCHS_MAX);
    ASSERT(header->epoch_count == 0 || header->epochs[header->epoch_count - 1].epoch < end.epoch);
    if (header->epoch_count == SEGMENT_EPOCHS_MAX) {
        memmove(header->epochs, header->epochs + 1,
                (SEGMENT_EPOCHS_MAX - 1) * sizeof(header->epochs[0]));
        header->epoch_count--;
    }
    header->epochs[header->epoch_count++] = end;
}

uint64_t batch_seed(const struct segment_store *store, uint64_t number, uint64_t epoch)
{
    uint8_t bytes[16 + 3 * 8];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    writer_put(&writer, bytes_of(store->id.bytes, sizeof(store->id.bytes)));
    writer_u64(&writer, store->secret);
#ifdef FRESHET_PLANT_RECYCLED_SEED
    number = 1;
#endif
    writer_u64(&writer, number);
    writer_u64(&writer, epoch);
    ASSERT(!writer.failed);
    return XXH3_64bits(bytes, sizeof(bytes));
}

uint64_t batch_header_encode(const struct batch_header *header, uint64_t seed,
                             uint8_t at[BATCH_HEADER_BYTES])
{
    ASSERT(header->count <= BATCH_COUNT_MAX);
    ASSERT((header->kind == BATCH_ENTRIES) == (header->count > 0));
    ASSERT(header->length <= header->stored_bytes);
    ASSERT(header->stored_bytes % SEGMENT_BLOCK_BYTES == 0);
    struct writer writer = writer_of(at, BATCH_HEADER_BYTES);
    writer_u32(&writer, BATCH_MAGIC);
    writer_u16(&writer, (uint16_t)header->kind);
    writer_u16(&writer, (uint16_t)header->count);
    writer_u64(&writer, header->epoch);
    writer_u64(&writer, header->first_sequence);
    writer_u64(&writer, header->durable_through);
    writer_u64(&writer, header->previous_checksum);
    writer_u32(&writer, header->length);
    writer_u32(&writer, header->stored_bytes);
    writer_u64(&writer, header->content_checksum);
    ASSERT(writer.size == BATCH_CHECKED_BYTES);
    uint64_t checksum = XXH3_64bits_withSeed(at, BATCH_CHECKED_BYTES, seed);
    writer_u64(&writer, checksum);
    return checksum;
}

static bool batch_header_is_sensible(const struct batch_header *header)
{
    bool has_entries = header->kind == BATCH_ENTRIES;
    return header->kind >= BATCH_ENTRIES && header->kind <= BATCH_CLEAN &&
           has_entries == (header->count > 0) && header->epoch > 0 && header->first_sequence > 0 &&
           header->first_sequence <= UINT64_MAX - BATCH_COUNT_MAX &&
           header->durable_through < header->first_sequence &&
           header->length >= BATCH_HEADER_BYTES && header->length <= header->stored_bytes &&
           (has_entries || header->length == BATCH_HEADER_BYTES) &&
           header->stored_bytes % SEGMENT_BLOCK_BYTES == 0;
}

enum status batch_header_decode(const uint8_t at[BATCH_HEADER_BYTES],
                                const struct segment_store *store, uint64_t number,
                                struct batch_header *out)
{
    struct reader reader = reader_of(bytes_of(at, BATCH_HEADER_BYTES));
    if (reader_u32(&reader) != BATCH_MAGIC) {
        return STATUS_NOT_FOUND;
    }
    out->kind = (enum batch_kind)reader_u16(&reader);
    out->count = reader_u16(&reader);
    out->epoch = reader_u64(&reader);
    out->first_sequence = reader_u64(&reader);
    out->durable_through = reader_u64(&reader);
    out->previous_checksum = reader_u64(&reader);
    out->length = reader_u32(&reader);
    out->stored_bytes = reader_u32(&reader);
    out->content_checksum = reader_u64(&reader);
    out->header_checksum = reader_u64(&reader);
    ASSERT(!reader.failed);
    uint64_t seed = batch_seed(store, number, out->epoch);
    bool whole = XXH3_64bits_withSeed(at, BATCH_CHECKED_BYTES, seed) == out->header_checksum;
    return whole && batch_header_is_sensible(out) ? STATUS_OK : STATUS_NOT_FOUND;
}

uint64_t batch_content_add(uint64_t content_checksum, const uint8_t *encoded)
{
    return XXH3_64bits_withSeed(encoded, ENTRY_HEADER_BYTES, content_checksum);
}

enum status batch_verify(struct bytes batch, const struct batch_header *header,
                         uint64_t *last_time_ms_out)
{
    ASSERT(batch.size == header->length);
    uint64_t content = 0;
    struct reader reader = reader_of(batch);
    (void)reader_take(&reader, BATCH_HEADER_BYTES);
    uint64_t last_time_ms = 0;
    for (uint32_t i = 0; i < header->count; i++) {
        const uint8_t *at = reader.data + reader.offset;
        if (reader_left(&reader) < ENTRY_HEADER_BYTES) {
            return STATUS_DAMAGED;
        }
        struct bytes encoded = reader_bytes(&reader, entry_stored_size(at));
        struct entry entry;
        if (reader.failed || entry_decode(encoded, &entry) != STATUS_OK ||
            entry.sequence != header->first_sequence + i || entry.time_ms < last_time_ms) {
            return STATUS_DAMAGED;
        }
        last_time_ms = entry.time_ms;
        content = batch_content_add(content, encoded.data);
    }
    if (reader_left(&reader) != 0 || content != header->content_checksum) {
        return STATUS_DAMAGED;
    }
    *last_time_ms_out = last_time_ms;
    return STATUS_OK;
}
