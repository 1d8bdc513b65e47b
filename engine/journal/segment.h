/*
 * segment.h: what stands in a segment file. Bytes only: no file is touched here.
 *
 *     0 ............ 4096 ............................................ segment_bytes
 *     | header block | batch | batch | batch |  zeroes, or what a recycled file held before
 *
 * A batch begins at a multiple of SEGMENT_BLOCK_BYTES, so that recovery can search on past a bad
 * length, and is one write to the disk:
 *
 *     0  u32 magic
 *     4  u16 kind, u16 count of entries
 *     8  u64 epoch
 *    16  u64 first_sequence       of its entries; without entries, the next one to be given
 *    24  u64 durable_through      all up to it was on stable storage when this was written
 *    32  u64 previous_checksum    the header checksum of the batch before: a chain
 *    40  u32 length               of header and entries
 *    44  u32 stored_bytes         the same with the padding up to the next batch
 *    48  u64 content_checksum     of the entries' headers, each seeded with the one before;
 *                                 they hold the checksums of their payloads
 *    56  u64 header_checksum      of these 56 bytes; see batch_seed
 *    64  entries
 *
 * The seed is why recycled bytes never validate: they were written under another segment number.
 * The secret never leaves the data directory, so that no client can store a document that looks
 * like a batch.
 *
 * Owner:  plain values and bytes of the caller.
 * Tests:  tests/unit/engine/journal/, tests/fuzz/fuzz_segment.c.
 */
#ifndef FRESHET_ENGINE_JOURNAL_SEGMENT_H
#define FRESHET_ENGINE_JOURNAL_SEGMENT_H

#include "engine/journal/journal.h"

#define SEGMENT_FORMAT_VERSION 1
#define SEGMENT_HEADER_BYTES   4096
#define SEGMENT_BLOCK_BYTES    512
#define BATCH_HEADER_BYTES     64
#define BATCH_COUNT_MAX        UINT16_MAX
/* Ended epochs that a header has room for; the newest are kept. */
#define SEGMENT_EPOCHS_MAX 249
/* "NNNNNNNNNNNNNNNN.seg" and its NUL. */
#define SEGMENT_NAME_BYTES 21

struct epoch_end {
    uint64_t epoch;
    uint64_t end_sequence; /* the last sequence that belongs to it */
};

/* What every segment of a store has in common. */
struct segment_store {
    struct store_id id;
    uint64_t secret;
};

struct segment_header {
    struct segment_store store;
    uint64_t number;
    uint64_t epoch;
    uint64_t segment_bytes;
    uint64_t first_sequence;
    uint64_t last_time_ms;      /* of the entry before first_sequence */
    uint64_t durable_through;   /* as in a batch */
    uint64_t previous_checksum; /* of the last batch before this segment */
    enum journal_durability durability;
    uint32_t epoch_count;
    struct epoch_end epochs[SEGMENT_EPOCHS_MAX]; /* oldest first */
};

enum batch_kind {
    BATCH_ENTRIES = 1,
    BATCH_OPENED =
        2, /* no entries: a run began; reaches to the next multiple of the disk's alignment */
    BATCH_CLEAN = 3 /* no entries: a run ended with all on stable storage; its epoch may go on */
};

struct batch_header {
    enum batch_kind kind;
    uint32_t count;
    uint64_t epoch;
    uint64_t first_sequence;
    uint64_t durable_through;
    uint64_t previous_checksum;
    uint32_t length;
    uint32_t stored_bytes;
    uint64_t content_checksum;
    uint64_t header_checksum;
};

void segment_name(uint64_t number, char name_out[SEGMENT_NAME_BYTES]);
/* False when it is not the name of a segment. */
bool segment_name_parse(const char *name, uint64_t *number_out);

void segment_header_encode(const struct segment_header *header,
                           uint8_t block_out[SEGMENT_HEADER_BYTES]);
/* OK; NOT_FOUND when this is not a whole header of that segment (zeroes, torn, recycled);
 * UNSUPPORTED when it is one of another format version. */
MUST_USE enum status segment_header_decode(const uint8_t block[SEGMENT_HEADER_BYTES],
                                           uint64_t number, struct segment_header *out);
/* Notes the end of an epoch; forgets the oldest when there is no more room. */
void segment_header_epoch_push(struct segment_header *header, struct epoch_end end);

/* The seed of the header checksums in a segment. */
uint64_t batch_seed(const struct segment_store *store, uint64_t number, uint64_t epoch);
/* Writes the header; returns its checksum, which the next batch names. header->header_checksum is
 * not read. */
uint64_t batch_header_encode(const struct batch_header *header, uint64_t seed,
                             uint8_t at[BATCH_HEADER_BYTES]);
/* OK or NOT_FOUND; says nothing about the entries. */
MUST_USE enum status batch_header_decode(const uint8_t at[BATCH_HEADER_BYTES],
                                         const struct segment_store *store, uint64_t number,
                                         struct batch_header *out);
/* The content checksum with one more entry; it is 0 for none. */
uint64_t batch_content_add(uint64_t content_checksum, const uint8_t *encoded);
/* batch is header->length bytes. Checks every entry and its payload; DAMAGED when anything is not
 * as it was written. */
MUST_USE enum status batch_verify(struct bytes batch, const struct batch_header *header,
                                  uint64_t *last_time_ms_out);

static inline uint64_t batch_last_sequence(const struct batch_header *header)
{
    return header->first_sequence + header->count - 1;
}

/* size rounded up to a multiple of alignment, which is a power of two. */
static inline uint64_t align_up(uint64_t size, uint64_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

#endif
