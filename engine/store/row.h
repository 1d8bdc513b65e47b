/*
 * row.h: the keys and values of a shard's store.
 *
 *     key                                         value
 *     'a'                                         applied position: epoch u64, sequence u64
 *     'r' collection 00 id                        record: format u8 (1), version u64, epoch u64,
 *                                                 sequence u64, time_ms u64, document
 *     'x' collection 00 field 00 size value id    index row: nothing (size is a u16)
 *     'i' key                                     idempotency: expires_ms u64 (first, for the
 *                                                 compaction), body hash (16 bytes), size u16 and
 *                                                 id, version u64, epoch u64, sequence u64, and
 *                                                 the document as first answered
 *
 * Names and ids hold no zero byte, so byte order of keys is byte order of ids within a collection
 * or an index value.
 *
 * Errors:    what does not fit marks the writer as failed; a value that cannot be one is
 *            STATUS_DAMAGED, and *out is zero.
 * Owner:     views point into the bytes given; nothing is allocated.
 * Tests:     tests/unit/engine/store/, tests/fuzz/fuzz_row.c.
 */
#ifndef FRESHET_ENGINE_STORE_ROW_H
#define FRESHET_ENGINE_STORE_ROW_H

#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"

#define ROW_KEY_BYTES_MAX                                                                          \
    (1 + COLLECTION_NAME_BYTES_MAX + 1 + FIELD_NAME_BYTES_MAX + 1 + 2 + INDEX_VALUE_BYTES_MAX +    \
     ID_BYTES_MAX)
#define ROW_RECORD_HEADER_BYTES 33
#define ROW_APPLIED_BYTES       16
#define ROW_BODY_HASH_BYTES     16
/* An idempotency row without its document. */
#define ROW_IDEMPOTENCY_HEADER_BYTES_MAX (8 + ROW_BODY_HASH_BYTES + 2 + ID_BYTES_MAX + 3 * 8)

struct row_record {
    uint64_t version;
    uint64_t epoch;
    uint64_t sequence; /* of the entry that made it so */
    uint64_t time_ms;
    struct bytes document; /* MessagePack */
};

struct row_idempotency {
    uint64_t expires_ms;
    struct bytes body_hash; /* 16 bytes */
    struct bytes id;
    uint64_t version; /* 0: of a user's event, which has no document here either */
    uint64_t epoch;
    uint64_t sequence;
    struct bytes document; /* as first answered */
};

void row_applied_key(struct writer *key_out);
void row_record_key(struct bytes collection, struct bytes id, struct writer *key_out);
void row_record_prefix(struct bytes collection, struct writer *key_out);
void row_index_key(struct bytes collection, struct bytes field, struct bytes value, struct bytes id,
                   struct writer *key_out);
void row_index_prefix(struct bytes collection, struct bytes field, struct bytes value,
                      struct writer *key_out);
void row_idempotency_key(struct bytes key, struct writer *key_out);
/* The id at the end of a record's or an index row's key that begins with prefix. */
struct bytes row_key_id(struct bytes key, struct bytes prefix);

/* All but the document, which the caller appends. */
void row_record_header_write(const struct row_record *record, struct writer *out);
MUST_USE enum status row_record_read(struct bytes value, struct row_record *out);
void row_idempotency_write(const struct row_idempotency *row, struct writer *out);
MUST_USE enum status row_idempotency_read(struct bytes value, struct row_idempotency *out);
void row_applied_write(uint64_t epoch, uint64_t sequence, struct writer *out);
MUST_USE enum status row_applied_read(struct bytes value, uint64_t *epoch_out,
                                      uint64_t *sequence_out);

#endif
