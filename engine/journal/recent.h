/*
 * recent.h: the newest entries of the journal, kept in memory for all who follow it, so that a
 * follower at the tail reads no file.
 *
 *     block -> block -> … -> block          each up to RECENT_BLOCK_BYTES, or one larger entry
 *     ^ oldest                ^ the writer appends here
 *
 * Entries stand in a block as in the journal (entry.h), one behind the other, all of one epoch.
 *
 * Owner:     the journal's writer appends, before it moves journal->committed on; any thread reads,
 *            through a cursor of its own that pins the one block it stands in.
 * Memory:    at most bytes_max (or one entry, if that is larger), and what cursors still pin of
 *            blocks that have gone. A follower
 *            that does not hold its cursor open between turns pins nothing.
 * Invariant: the blocks hold contiguous sequences; a reader looks at no entry beyond the `through`
 *            that it read from journal_committed (or the published position) with acquire, so that
 *            what it sees was written before.
 * Tests:     tests/unit/engine/journal/test_recent.c, tests/threads/recent.c (under TSan).
 */
#ifndef FRESHET_ENGINE_JOURNAL_RECENT_H
#define FRESHET_ENGINE_JOURNAL_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/journal/entry.h"
#include "protocol/base/status.h"

#define RECENT_BLOCK_BYTES (256u << 10)

struct recent;
struct recent_block;

/* Zeroed: nowhere. */
struct recent_cursor {
    struct recent_block *block; /* pinned; NULL: nowhere */
    size_t offset;              /* of the next entry in it */
    uint64_t next_sequence;
};

/* bytes_max is raised to two blocks at least. On failure *out is NULL. */
MUST_USE enum status recent_create(uint64_t bytes_max, struct recent **out);
void recent_destroy(struct recent **recent); /* accepts NULL; no cursor is in it */
/* The writer, before the first append: which sequence that will bring. What is older is then known
 * to be gone, not yet to come. */
void recent_start(struct recent *recent, uint64_t next_sequence);

/* Writer: entries are whole, stamped, contiguous, and follow what was appended before (the first
 * append may begin anywhere). Drops the oldest blocks over the limit. Without memory everything is
 * dropped, and followers read files until it goes on. */
void recent_append(struct recent *recent, uint64_t epoch, uint64_t first_sequence, uint64_t count,
                   struct bytes entries);

/* Any thread. OK: the cursor stands before `sequence` (released first if it stood anywhere else).
 * NOT_FOUND: it has not been appended yet. POSITION_EXPIRED: the buffer begins later. On failure
 * the cursor is nowhere. */
MUST_USE enum status recent_seek(struct recent *recent, uint64_t sequence,
                                 struct recent_cursor *cursor);
/* The next entry if its sequence is at most `through`; views are valid until the cursor moves on or
 * is released. False: nothing more up to there; or, when next_sequence is still at most `through`,
 * the buffer has gone on without this cursor, which is nowhere now: recent_seek says how. */
bool recent_next(struct recent *recent, struct recent_cursor *cursor, uint64_t through,
                 struct entry *entry_out);
void recent_release(struct recent_cursor *cursor); /* keeps next_sequence */

/*
 * A block outside any buffer, filled by one thread from older files and then read by others: the
 * same cursors walk it.
 */
MUST_USE enum status recent_block_create(size_t capacity, struct recent_block **out);
/* False: no room, or it does not follow the block's last one, or another epoch than the block's.
 * The entry's bytes as in the journal: entry_stored(entry). Each takes 4 bytes of capacity
 * besides. */
bool recent_block_add(struct recent_block *block, const struct entry *entry, struct bytes encoded);
void recent_block_unref(struct recent_block *block);
/* The sequences that the block holds; false when none. */
bool recent_block_range(const struct recent_block *block, uint64_t *first_out, uint64_t *last_out);
/* A cursor on a block that stays outside; it pins the block. NOT_FOUND: not in it. Its recent_next
 * is given NULL for the buffer, and is false at the block's end. */
MUST_USE enum status recent_block_seek(struct recent_block *block, uint64_t sequence,
                                       struct recent_cursor *cursor);

#endif
