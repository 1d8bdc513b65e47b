/*
 * recovery.h: what a folder of segments holds, where its journal ends, and how it is made ready to
 * go on.
 *
 * The scan changes nothing. It starts at the newest segment of which all before is known to be on
 * stable storage, follows the chain of batches to the first one that is not whole, and then decides
 * what that one is:
 *
 *     torn      nothing says that it was ever on stable storage; the journal ends before it
 *     damage    a later header's durable_through, or a store's persisted position, covers it
 *
 * The repair removes what came after the end. Every segment that may hold what was never synced,
 * and the accepted part of the last one, is copied into a fresh file: blocks that were written but
 * never synced may yet be lost, a copy that was synced is not. A new epoch opens in the last one.
 * All of that is on stable storage when it returns, and a crash at any point of it leaves the same
 * journal to recover. After a clean stop nothing can be torn: the run goes on in place, in the same
 * epoch.
 *
 * Owner:     one thread, at start-up; blocks.
 * Memory:    the table of segments; the caller takes it over.
 * Tests:     tests/unit/engine/journal/test_recovery.c, test_crash.c.
 */
#ifndef FRESHET_ENGINE_JOURNAL_RECOVERY_H
#define FRESHET_ENGINE_JOURNAL_RECOVERY_H

#include "engine/journal/segment_view.h"

/* Of a segment, so that a reader need not walk to its place from the beginning. */
#define SEGMENT_HINTS 32

struct segment_hint {
    uint64_t sequence; /* the first of the batch at offset; 0: not known yet */
    uint64_t offset;
};

struct segment_info {
    uint64_t number;
    uint64_t epoch;
    uint64_t first_sequence;
    uint64_t last_time_ms; /* of the entry before first_sequence */
    uint64_t durable_through;
    uint64_t previous_checksum;
    uint64_t file_bytes;
    uint64_t used_bytes; /* 0: not known, about file_bytes; of the active one see active_bytes */
    uint32_t pins;       /* readers that are reading it now */
    /* One for each part of the file; learned by whoever comes by. */
    struct segment_hint hints[SEGMENT_HINTS];
};

struct recovery_options {
    struct disk *disk;
    const uint64_t *persisted_sequence; /* per shard; may be NULL */
    uint32_t shard_count;
    bool verify_all; /* from the first segment on, not only the tail */
};

struct recovery {
    struct disk *disk;
    struct segment_info *segments; /* with a valid header, oldest first */
    uint32_t segment_count;
    uint32_t segment_capacity;
    uint64_t prepared_number; /* the file after the last of them, without a valid header; 0: none */
    struct segment_header newest; /* of the last segment */

    uint32_t walked_from; /* index of the first segment that may hold what was never synced */

    /* The end of the journal. */
    uint32_t tail; /* index of the segment that holds it */
    uint64_t tail_offset;
    uint64_t last_sequence;
    uint64_t last_time_ms;
    uint64_t last_checksum;
    uint64_t last_epoch;
    struct journal_recovered recovered;
    bool later_batches; /* something after the end begins like a batch */
};

/* What the writer goes on with. */
struct recovery_active {
    int file;
    uint64_t offset;
    uint64_t checksum;
    struct segment_header
        header; /* store, number, epoch, chain of epochs; the rest as in the file */
};

/* OK, also for an empty folder (segment_count 0). Whatever is returned, recovery_deinit frees. */
MUST_USE enum status recovery_scan(const struct recovery_options *options, struct recovery *out,
                                   struct journal_problem *problem);
/* Makes the journal ready, or a new one; updates recovery->segments. */
MUST_USE enum status recovery_repair(struct recovery *recovery,
                                     const struct journal_options *options,
                                     struct recovery_active *out, struct journal_problem *problem);
void recovery_deinit(struct recovery *recovery);

/* Fills *problem: file is a name or NULL, then the place and what to do. Returns status. */
enum status journal_problem_set(struct journal_problem *problem, enum status status,
                                const char *file, uint64_t offset, const char *text);

#define RECOVERY_PREPARE_NAME "prepare.tmp"
#define RECOVERY_REPAIR_NAME  "recover.tmp"

#endif
