#include "engine/journal/entry.h"

#include <xxhash.h>

#include "protocol/base/assert.h"

/* Places in the header; entry.h draws them. */
#define AT_PAYLOAD_SIZE 0
#define AT_CHECKSUM     4
#define AT_SEQUENCE     12
#define AT_TIME         20
#define AT_SLOT         28

#define FLAG_HAS_OLD          1u
#define FLAG_HAS_OLD_DOCUMENT 2u
#define FLAGS_ALL             (FLAG_HAS_OLD | FLAG_HAS_OLD_DOCUMENT)

static_assert(AT_SLOT + sizeof(uint32_t) == ENTRY_HEADER_BYTES, "the slot ends the header");
static_assert(ENTRY_PAYLOAD_FIXED_BYTES == 2 + 3 * 2 + 8 + 3 * 4, "fixed part of the payload");
static_assert(ENTRY_BYTES_MAX > 2u * DOCUMENT_BYTES_MAX + ENTRY_HEADER_BYTES +
                                    ENTRY_PAYLOAD_FIXED_BYTES + COLLECTION_NAME_BYTES_MAX +
                                    ID_BYTES_MAX + ENTRY_BODY_HASH_BYTES,
              "two documents of the largest size fit, with room for a key and for names");

size_t entry_encoded_size(const struct entry *entry)
{
    size_t key_size = entry->idempotency_key.size;
    return ENTRY_HEADER_BYTES + ENTRY_PAYLOAD_FIXED_BYTES + entry->collection.size +
           entry->id.size + key_size + (key_size > 0 ? ENTRY_BODY_HASH_BYTES : 0) +
           entry->changed.size + entry->new_document.size + entry->old_document.size;
}

static bool entry_sizes_fit(const struct entry *entry)
{
    /* Each part is checked first, so that their sum cannot overflow. */
    return entry->collection.size <= COLLECTION_NAME_BYTES_MAX && entry->id.size <= ID_BYTES_MAX &&
           entry->idempotency_key.size <= UINT16_MAX && entry->changed.size <= ENTRY_BYTES_MAX &&
           entry->new_document.size <= ENTRY_BYTES_MAX &&
           entry->old_document.size <= ENTRY_BYTES_MAX &&
           entry_encoded_size(entry) <= ENTRY_BYTES_MAX;
}

enum status entry_encode(const struct entry *entry, struct writer *out)
{
    ASSERT(entry->kind >= ENTRY_PUT && entry->kind <= ENTRY_EVENT);
    ASSERT(entry->has_old_document || entry->old_document.size == 0);
    ASSERT(entry->idempotency_key.size == 0 ||
           entry->idempotency_body_hash.size == ENTRY_BODY_HASH_BYTES);
    if (!entry_sizes_fit(entry)) {
        return STATUS_TOO_LARGE;
    }
    size_t size = entry_encoded_size(entry);
    if (size > writer_left(out)) {
        return STATUS_TOO_LARGE;
    }
    uint8_t *header = writer_reserve(out, ENTRY_HEADER_BYTES);
    uint8_t *payload = header + ENTRY_HEADER_BYTES;
    writer_u8(out, (uint8_t)entry->kind);
    writer_u8(out, (uint8_t)((entry->has_old ? FLAG_HAS_OLD : 0) |
                             (entry->has_old_document ? FLAG_HAS_OLD_DOCUMENT : 0)));
    writer_u16(out, (uint16_t)entry->collection.size);
    writer_u16(out, (uint16_t)entry->id.size);
    writer_u16(out, (uint16_t)entry->idempotency_key.size);
    writer_u64(out, entry->version);
    writer_u32(out, (uint32_t)entry->changed.size);
    writer_u32(out, (uint32_t)entry->new_document.size);
    writer_u32(out, (uint32_t)entry->old_document.size);
    writer_put(out, entry->collection);
    writer_put(out, entry->id);
    if (entry->idempotency_key.size > 0) {
        writer_put(out, entry->idempotency_key);
        writer_put(out, entry->idempotency_body_hash);
    }
    writer_put(out, entry->changed);
    writer_put(out, entry->new_document);
    writer_put(out, entry->old_document);
    ASSERT(!out->failed);

    size_t payload_size = size - ENTRY_HEADER_BYTES;
    put_u32(header + AT_PAYLOAD_SIZE, (uint32_t)payload_size);
    put_u64(header + AT_CHECKSUM, XXH3_64bits(payload, payload_size));
    put_u64(header + AT_SEQUENCE, 0);
    put_u64(header + AT_TIME, 0);
    put_u32(header + AT_SLOT, entry->slot);
    return STATUS_OK;
}

bool entry_is_whole(struct bytes bytes)
{
    ASSERT(bytes.size >= ENTRY_HEADER_BYTES);
    size_t payload_size = get_u32(bytes.data + AT_PAYLOAD_SIZE);
    return payload_size == bytes.size - ENTRY_HEADER_BYTES &&
           XXH3_64bits(bytes.data + ENTRY_HEADER_BYTES, payload_size) ==
               get_u64(bytes.data + AT_CHECKSUM);
}

enum status entry_decode(struct bytes bytes, struct entry *out)
{
    if (bytes.size < ENTRY_HEADER_BYTES || !entry_is_whole(bytes)) {
        *out = (struct entry){0};
        return STATUS_DAMAGED;
    }
    return entry_view(bytes, out);
}

/* False when kind, flags or a bound is one that entry_encode does not write. */
static bool entry_is_sensible(const struct entry *entry, uint8_t flags)
{
    return entry->kind >= ENTRY_PUT && entry->kind <= ENTRY_EVENT && (flags & ~FLAGS_ALL) == 0 &&
           (entry->has_old_document || entry->old_document.size == 0) &&
           entry->collection.size <= COLLECTION_NAME_BYTES_MAX && entry->id.size <= ID_BYTES_MAX;
}

enum status entry_view(struct bytes bytes, struct entry *out)
{
    struct reader reader = reader_of(bytes);
    uint32_t payload_size = reader_u32(&reader);
    (void)reader_u64(&reader); /* the checksum */
    struct entry entry = {.sequence = reader_u64(&reader), .time_ms = reader_u64(&reader)};
    uint32_t slot = reader_u32(&reader);
    bool framed = bytes.size <= ENTRY_BYTES_MAX && payload_size == reader_left(&reader);

    entry.kind = (enum entry_kind)reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    size_t collection_size = reader_u16(&reader);
    size_t id_size = reader_u16(&reader);
    size_t key_size = reader_u16(&reader);
    entry.version = reader_u64(&reader);
    size_t changed_size = reader_u32(&reader);
    size_t new_size = reader_u32(&reader);
    size_t old_size = reader_u32(&reader);
    entry.slot = (uint8_t)slot;
    entry.has_old = (flags & FLAG_HAS_OLD) != 0;
    entry.has_old_document = (flags & FLAG_HAS_OLD_DOCUMENT) != 0;
    entry.collection = reader_bytes(&reader, collection_size);
    entry.id = reader_bytes(&reader, id_size);
    entry.idempotency_key = reader_bytes(&reader, key_size);
    entry.idempotency_body_hash = reader_bytes(&reader, key_size > 0 ? ENTRY_BODY_HASH_BYTES : 0);
    entry.changed = reader_bytes(&reader, changed_size);
    entry.new_document = reader_bytes(&reader, new_size);
    entry.old_document = reader_bytes(&reader, old_size);

    bool exact = framed && !reader.failed && reader_left(&reader) == 0;
    if (!exact || slot >= SLOT_COUNT || !entry_is_sensible(&entry, flags)) {
        *out = (struct entry){0};
        return STATUS_DAMAGED;
    }
    *out = entry;
    return STATUS_OK;
}

size_t entry_stored_size(const uint8_t *encoded)
{
    return (size_t)ENTRY_HEADER_BYTES + get_u32(encoded + AT_PAYLOAD_SIZE);
}

uint64_t entry_stored_time_ms(const uint8_t *encoded)
{
    return get_u64(encoded + AT_TIME);
}

struct bytes entry_stored(const struct entry *entry)
{
    ASSERT(entry->collection.data != NULL);
    const uint8_t *encoded =
        entry->collection.data - ENTRY_PAYLOAD_FIXED_BYTES - ENTRY_HEADER_BYTES;
    struct bytes bytes = bytes_of(encoded, entry_stored_size(encoded));
    ASSERT(get_u64(encoded + AT_SEQUENCE) == entry->sequence);
    ASSERT(bytes.size == entry_encoded_size(entry));
    return bytes;
}

void entry_stamp(uint8_t *encoded, uint64_t sequence, uint64_t time_ms)
{
    ASSERT(sequence > 0);
    ASSERT(get_u64(encoded + AT_SEQUENCE) == 0 || get_u64(encoded + AT_SEQUENCE) == sequence);
    put_u64(encoded + AT_SEQUENCE, sequence);
    put_u64(encoded + AT_TIME, time_ms);
}
