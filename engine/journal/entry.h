/*
 * entry.h: one committed change as bytes.
 *
 * An entry carries results, not requests: the new version, both images, the changed fields, the
 * idempotency row and its time, so that replay is a fold that reads no clock and evaluates nothing.
 *
 * Layout (big-endian), ENTRY_HEADER_BYTES then the payload:
 *
 *     0  u32 size of the payload
 *     4  u64 XXH3_64 of the payload              written by the owner, once, on its own thread
 *    12  u64 sequence       \  filled in by the journal's writer when it takes the entry into a
 *    20  u64 time_ms        /  batch; zero until then
 *    28  u32 shard-independent slot of the record (0-255), for readers that take only some slots
 *
 * Payload, ENTRY_PAYLOAD_FIXED_BYTES and then the parts whose sizes it gives, in this order:
 *
 *     0  u8  kind
 *     1  u8  flags: 1 has_old, 2 has_old_document
 *     2  u16 size of collection, u16 of id, u16 of idempotency_key
 *     8  u64 version
 *    16  u32 size of changed, u32 of new_document, u32 of old_document
 *    28  collection, id, idempotency_key, the body hash (16 bytes if there is a key), changed, new
 *        and old document
 *
 * The payload's checksum does not cover the header: the batch that holds the entry covers its
 * header.
 *
 * Owner:  views point into the encoded bytes; nothing is allocated.
 * Tests:  tests/unit/engine/journal/, tests/fuzz/fuzz_entry.c.
 */
#ifndef FRESHET_ENGINE_JOURNAL_ENTRY_H
#define FRESHET_ENGINE_JOURNAL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"

#define ENTRY_HEADER_BYTES        32
#define ENTRY_PAYLOAD_FIXED_BYTES 28
#define ENTRY_BODY_HASH_BYTES     16

enum entry_kind {
    ENTRY_PUT = 1,      /* new_document is the record from now on */
    ENTRY_DELETE = 2,   /* the record is gone; version is the one it had */
    ENTRY_INTERNAL = 3, /* no record: the journal's own */
    ENTRY_EVENT = 4     /* no record: a user's own event; new_document is it, id its UUIDv7 */
};

struct entry {
    uint64_t sequence;
    /* Of the batch it stands in, not in its bytes; journal_reader_next fills it (replay gives
     * entity tags back). */
    uint64_t epoch;
    uint64_t time_ms; /* Unix time; never falls within a journal */
    enum entry_kind kind;
    uint8_t slot;
    bool has_old; /* the record existed before, so a PUT is a MODIFY, not an INSERT */
    bool has_old_document;
    struct bytes collection;
    struct bytes id;
    uint64_t version;
    struct bytes new_document; /* MessagePack */
    struct bytes old_document; /* MessagePack; empty where the collection drops old images */
    struct bytes changed;      /* MessagePack array of names; empty for INSERT and REMOVE */
    /* An idempotency row that belongs to this change; empty key when there is none. */
    struct bytes idempotency_key;       /* principal, path and key, as engine/shard writes them */
    struct bytes idempotency_body_hash; /* 16 bytes */
};

/* The size that entry_encode will need. */
size_t entry_encoded_size(const struct entry *entry);
/* Header and payload; sequence and time_ms are zero in the bytes. TOO_LARGE when they do not
 * fit. */
MUST_USE enum status entry_encode(const struct entry *entry, struct writer *out);
/* bytes is exactly one entry. DAMAGED when a length, the checksum or a kind is wrong. */
MUST_USE enum status entry_decode(struct bytes bytes, struct entry *out);
/* The same without the checksum, for a caller that has verified it before. */
MUST_USE enum status entry_view(struct bytes bytes, struct entry *out);
/* Whether the payload of an entry of bytes.size >= ENTRY_HEADER_BYTES has its size and checksum. */
bool entry_is_whole(struct bytes bytes);
/* Header and payload of the entry that begins at encoded, which has ENTRY_HEADER_BYTES at least;
 * not verified. */
size_t entry_stored_size(const uint8_t *encoded);
uint64_t entry_stored_time_ms(const uint8_t *encoded);
/* The bytes that an entry from entry_decode, entry_view or a journal's reader views, header
 * included. */
struct bytes entry_stored(const struct entry *entry);
void entry_stamp(uint8_t *encoded, uint64_t sequence, uint64_t time_ms);

#endif
