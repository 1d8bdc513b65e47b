/*
 * manifest.h: what a data folder is: whose store, how many shards, which slots are whose. Decided
 * once, at its creation.
 *
 *     freshet-manifest 1
 *     store 0123456789abcdef0123456789abcdef
 *     shards 4
 *     slots 0 0 0 … 3                           256 numbers: the shard of each slot
 *     checksum 0123456789abcdef                 XXH3 of all lines above
 *
 * Owner:     the main thread, at start-up; tools. Blocks.
 * Invariant: MANIFEST is there whole or not at all: it is written beside, synced, renamed, and the
 *            folder synced.
 * Tests:     tests/unit/engine/shard/test_manifest.c.
 */
#ifndef FRESHET_ENGINE_SHARD_MANIFEST_H
#define FRESHET_ENGINE_SHARD_MANIFEST_H

#include <stdint.h>

#include "engine/journal/disk.h"
#include "engine/journal/position.h"
#include "engine/shard/collection.h"
#include "protocol/base/limits.h"

#define MANIFEST_FORMAT    1
#define MANIFEST_FILE      "MANIFEST"
#define MANIFEST_BYTES_MAX 4096

struct manifest {
    struct store_id store_id;
    uint32_t shard_count;
    uint8_t shard_of_slot[SLOT_COUNT];
};

/* Neighbouring slots to the same shard, all shards alike to within one slot. */
void manifest_init(struct manifest *manifest, const struct store_id *store_id,
                   uint32_t shard_count);

void manifest_write(const struct manifest *manifest, struct writer *text_out);
/* UNSUPPORTED: of a newer format; DAMAGED: everything else that is wrong. detail_out says what, for
 * people. */
MUST_USE enum status manifest_read(struct bytes text, struct manifest *out,
                                   struct detail *detail_out);

/* From and to the disk's folder. NOT_FOUND: there is none. */
MUST_USE enum status manifest_load(struct disk *disk, struct manifest *out,
                                   struct detail *detail_out);
MUST_USE enum status manifest_store(struct disk *disk, const struct manifest *manifest);

#endif
