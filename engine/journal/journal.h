/*
 * journal.h: the log that is the write-ahead log, the change stream and the recovery source at
 * once.
 *
 * An interface with several implementations (segment files, memory, faulty); a replicated log can
 * take their place. Rules that every implementation keeps:
 *   1. Nothing is visible to anyone before the commit's completion.
 *   2. Sequences are contiguous in the lane and start at 1; (epoch, sequence) is never given twice;
 *      time_ms never falls.
 *   3. Commits of one mailbox complete in the order of their submission. A commit may end
 *      OUTCOME_UNKNOWN (it may or may not be there after a restart): then the journal is read-only
 *      from there on. Or NOT_ACCEPTED (it is not there): because the journal is read-only, or
 *      because the disk is full, which may pass. What a shard submitted before it heard of such a
 *      refusal may build on the refused entry, so it is refused too: see journal_commit.refusals.
 *   4. journal_shard_committed(s) is moved on before journal_committed, and both before completions
 *      are posted.
 *
 * Owner:   one thread, the writer, opens, steps and closes. Any thread submits, reads the atomics,
 *          asks for a sync. A commit belongs to the journal from journal_submit until its message
 *          is received at reply_to.
 * Sleep:   the writer's thread announces its sleep on journal->inbox (mailbox_sleep_begin and
 *          _end); submitters ring its waker then. Whoever never announces sleep is never rung.
 * Time:    journal_step is given the time; nothing here reads a clock.
 * Memory:  taken at open; at most journal_options.batch_bytes_max are in flight and as many
 *          gathering; and recent_bytes of the newest entries. A journal reader allocates its own
 *          buffers, for one batch.
 * Tests:   tests/unit/engine/journal/, tests/sim/.
 */
#ifndef FRESHET_ENGINE_JOURNAL_JOURNAL_H
#define FRESHET_ENGINE_JOURNAL_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/journal/disk.h"
#include "engine/journal/entry.h"
#include "engine/journal/position.h"
#include "engine/journal/recent.h"
#include "engine/shard/executor.h"
#include "engine/shard/mailbox.h"
#include "protocol/base/limits.h"
#include "protocol/base/list.h"

enum journal_durability {
    JOURNAL_SYNC,     /* complete when on stable storage */
    JOURNAL_INTERVAL, /* complete when written to the file; synced every interval_ns */
    /* complete when written to the file; synced by the system, and before a store flush */
    JOURNAL_NONE
};

struct journal_options {
    enum journal_durability durability;
    uint64_t interval_ns;
    /* Durability interval and none: a batch goes into the system's page cache, so that its commit
     * waits for no device; where the disk has windows, by a copy. */
    bool cached_writes;
    uint64_t segment_bytes;   /* 64 MiB */
    uint64_t retention_bytes; /* 8 GiB */
    uint64_t retention_ms;    /* 24 h, by entry times */
    /* With less free space than this the journal is `refusing` with BUSY. */
    uint64_t disk_reserve_bytes;
    size_t batch_bytes_max; /* one write to the disk; twice this is taken as buffers */
    uint64_t recent_bytes;  /* of the newest entries that stay in memory for followers; 64 MiB */
    size_t entry_bytes_max; /* 0: ENTRY_BYTES_MAX; tests with small segments say less */
    uint64_t window_bytes;  /* 0: WINDOW_BYTES; tests with small segments say less */
    uint32_t shard_count;
    /* For tools: nothing is repaired or written, no commits are taken, and not only the tail but
     * every batch is verified. */
    bool read_only;
    /* First start: the id of the new store. Ignored when the folder has a journal already. */
    struct store_id new_store_id;
    /* Random, and never shown to anyone: keeps clients from storing what looks like a batch of the
     * journal. As above. */
    uint64_t new_store_secret;
    struct disk *disk;
    struct executor *executor; /* prepares and recycles segments; NULL: done on the spot */
    struct waker *waker;       /* wakes the writer's thread; NULL: it never sleeps */
};

/* What was wrong, for people: which file, where, what to do. */
struct journal_problem {
    char file[DISK_NAME_BYTES_MAX];
    uint64_t offset;
    char text[256];
};

struct journal_commit {
    struct message message; /* message.receive is set by the caller; runs at reply_to */
    struct mailbox *reply_to;
    uint32_t shard;
    struct bytes entry; /* from entry_encode; the caller's until completion */
    /* In: the highest number this shard has received in a completion, 0 at first. Out: the shard's
     * refusals so far. A commit with a lower number than the shard has refusals was built without
     * knowing of the last one. */
    uint64_t refusals;
    /* filled by the journal */
    enum status status;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t time_ms;
    /* the journal's, until completion */
    struct journal *journal;
    void (*reply)(struct message *message);
};

/* "Tell me when all that was committed before this call is on stable storage." */
struct journal_sync {
    struct message message;
    struct mailbox *reply_to;
    enum status status;
    uint64_t durable_sequence;
    /* the journal's, until completion */
    struct journal *journal;
    void (*reply)(struct message *message);
    uint64_t target_sequence;
};

struct journal_statistics {
    uint64_t entries;
    uint64_t batches;
    uint64_t bytes_written;
    uint64_t syncs;
    uint64_t segments;
    uint64_t oldest_sequence; /* the first that can still be read; 0: none */
    uint64_t queued_bytes;    /* submitted and not yet committed */
    uint64_t sync_ns_total;
};

/* How the journal was found when it was opened. */
enum journal_tail {
    JOURNAL_TAIL_NEW,     /* there was none */
    JOURNAL_TAIL_CLEAN,   /* closed in order */
    JOURNAL_TAIL_UNCLEAN, /* not closed, and nothing unfinished after its last batch */
    JOURNAL_TAIL_TORN     /* not closed, and what was being written then was dropped */
};

struct journal_recovered {
    enum journal_tail tail;
    uint64_t end_offset; /* in end_file: where the accepted journal ended */
    char end_file[DISK_NAME_BYTES_MAX];
    uint64_t epochs;
};

/* Blocking; for start-up, tools and store threads: one thread at a time per reader. Implementations
 * embed it. */
struct journal_reader {
    struct journal_problem problem; /* filled when a call returned DAMAGED */
};

/* Keeps retention from passing a sequence. The caller's, zeroed, until it is unpinned. */
struct journal_pin {
    struct link link; /* the journal's */
    uint64_t sequence;
};

struct journal;

struct journal_vtable {
    void (*submit)(struct journal *journal, struct journal_commit *commit);
    void (*sync)(struct journal *journal, struct journal_sync *sync);
    uint64_t (*step)(struct journal *journal, uint64_t now_ns, uint64_t wall_ms);
    bool (*idle)(const struct journal *journal);
    void (*retain)(struct journal *journal, uint64_t needed_from_sequence);
    enum status (*position_check)(const struct journal *journal, const struct position *position);
    void (*oldest)(const struct journal *journal, struct position *out);
    enum status (*pin)(struct journal *journal, uint64_t sequence, struct journal_pin *pin);
    void (*unpin)(struct journal *journal, struct journal_pin *pin);
    uint64_t (*bytes_behind)(const struct journal *journal, uint64_t sequence);
    enum status (*find_time)(struct journal *journal, uint64_t time_ms, uint64_t *sequence_out);
    void (*statistics)(const struct journal *journal, struct journal_statistics *out);
    enum status (*reader_create)(struct journal *journal, uint64_t from_sequence,
                                 struct journal_reader **out);
    enum status (*reader_next)(struct journal_reader *reader, struct entry *entry_out);
    void (*reader_destroy)(struct journal_reader *reader);
    void (*close)(struct journal *journal);
};

struct journal {
    const struct journal_vtable *vtable;
    /* Shared with every thread; written by the writer alone. */
    _Atomic uint64_t committed; /* the last committed sequence; 0: none yet */
    _Atomic uint64_t durable;   /* the last sequence on stable storage */
    _Atomic uint64_t shard_committed[SHARD_COUNT_MAX];
    /* enum status: why admission should take no writes now, or 0. BUSY: under the disk reserve;
     * what is submitted all the same is still taken. DISK_FULL: no room for the next segment, or
     * what else it failed with: what is submitted is NOT_ACCEPTED. */
    _Atomic uint32_t refusing;
    _Atomic bool read_only;        /* a write or a sync failed; only a restart ends it */
    _Atomic uint64_t queued_bytes; /* submitted and not yet complete, for admission */
    struct mailbox inbox;          /* on the way to the writer */
    struct recent *recent;         /* the newest entries, for followers */
    struct waker quiet;            /* stands in for a waker that was not given */
    struct store_id store_id;
    uint64_t epoch; /* of this run; constant after open */
    /* Constant after open. As a rule the step that takes a commit completes it, without waiting for
     * a device: so a thread that also serves does best to step the journal before it looks for what
     * was completed. */
    bool commits_at_once;
};

/* Segment files on options->disk: recovers what is there. On failure *out is NULL and *problem says
 * why. */
MUST_USE enum status journal_segments_open(const struct journal_options *options,
                                           const uint64_t *persisted_sequence, /* per shard */
                                           struct journal **out, struct journal_problem *problem);
/* Only for a journal from journal_segments_open. */
struct journal_recovered journal_segments_recovered(const struct journal *journal);

/* The same: as if the process died now. Frees everything and writes nothing; for tests and
 * tools. */
void journal_segments_abandon(struct journal *journal);

/* In memory, for tests: keeps everything, loses it when closed. A commit completes in the next
 * step. */
MUST_USE enum status journal_memory_open(const struct journal_options *options,
                                         struct journal **out);

/* Any thread. The commit completes later, through reply_to, whatever happens. */
static inline void journal_submit(struct journal *journal, struct journal_commit *commit)
{
    journal->vtable->submit(journal, commit);
}

static inline void journal_sync_submit(struct journal *journal, struct journal_sync *sync)
{
    journal->vtable->sync(journal, sync);
}

/* The writer's turn: takes what was submitted, completes what the disk finished, starts the next
 * batch. Returns the time at which it wants to run again though nothing happens (UINT64_MAX:
 * never). */
static inline uint64_t journal_step(struct journal *journal, uint64_t now_ns, uint64_t wall_ms)
{
    return journal->vtable->step(journal, now_ns, wall_ms);
}

/* Nothing submitted, nothing in flight. For the writer, between its turns. */
static inline bool journal_idle(const struct journal *journal)
{
    return journal->vtable->idle(journal);
}

/* Any thread. Segments wholly below needed_from_sequence and outside retention may go; a lower
 * number than before is ignored. Until the first call nothing goes. */
static inline void journal_retain(struct journal *journal, uint64_t needed_from_sequence)
{
    journal->vtable->retain(journal, needed_from_sequence);
}

static inline uint64_t journal_committed(const struct journal *journal)
{
    return atomic_load_explicit(&journal->committed, memory_order_acquire);
}

static inline uint64_t journal_durable(const struct journal *journal)
{
    return atomic_load_explicit(&journal->durable, memory_order_acquire);
}

static inline uint64_t journal_shard_committed(const struct journal *journal, uint32_t shard)
{
    return atomic_load_explicit(&journal->shard_committed[shard], memory_order_acquire);
}

/* Any thread. OK, or POSITION_EXPIRED: another store, a tail that was lost, an epoch too old to be
 * known. The future of this epoch is INVALID. Whether its entries can still be read is
 * journal_reader_create's to say. */
MUST_USE static inline enum status journal_position_check(const struct journal *journal,
                                                          const struct position *position)
{
    return journal->vtable->position_check(journal, position);
}

/* Any thread. The position from which a reader gets all that there still is: its next entry is the
 * oldest that can be read. */
static inline void journal_oldest(const struct journal *journal, struct position *out)
{
    journal->vtable->oldest(journal, out);
}

/* Any thread. OK: until journal_unpin, the entry `sequence` and all after it stay readable,
 * whatever retention says: so a pin is for moments, not for a slow follower.
 * POSITION_EXPIRED: it is gone already. */
MUST_USE static inline enum status journal_pin(struct journal *journal, uint64_t sequence,
                                               struct journal_pin *pin)
{
    return journal->vtable->pin(journal, sequence, pin);
}

static inline void journal_unpin(struct journal *journal, struct journal_pin *pin)
{
    journal->vtable->unpin(journal, pin);
}

/* Any thread. Bytes of the journal behind the entry `sequence` (its lag), to within a segment's
 * mean entry. */
static inline uint64_t journal_bytes_behind(const struct journal *journal, uint64_t sequence)
{
    return journal->vtable->bytes_behind(journal, sequence);
}

/* Blocking, for store threads. The first entry whose time is at least time_ms; committed + 1 when
 * all are older. POSITION_EXPIRED: entries of that time may have been trimmed. */
MUST_USE static inline enum status journal_find_time(struct journal *journal, uint64_t time_ms,
                                                     uint64_t *sequence_out)
{
    return journal->vtable->find_time(journal, time_ms, sequence_out);
}

static inline void journal_statistics_read(const struct journal *journal,
                                           struct journal_statistics *out)
{
    journal->vtable->statistics(journal, out);
}

/* Any thread. POSITION_EXPIRED when from_sequence was trimmed. Reads what is committed at the time
 * of each call. */
MUST_USE static inline enum status
journal_reader_create(struct journal *journal, uint64_t from_sequence, struct journal_reader **out)
{
    return journal->vtable->reader_create(journal, from_sequence, out);
}

/* The next entry, whose views are valid until the next call. NOT_FOUND at the end (a later call may
 * find more); POSITION_EXPIRED when it was trimmed meanwhile; DAMAGED with the place in
 * reader->problem. */
MUST_USE static inline enum status
journal_reader_next(struct journal *journal, struct journal_reader *reader, struct entry *entry_out)
{
    return journal->vtable->reader_next(reader, entry_out);
}

static inline void journal_reader_destroy(struct journal *journal, struct journal_reader *reader)
{
    journal->vtable->reader_destroy(reader);
}

/* Calls visit for each entry from the reader's place to the end; stops at the first status that is
 * not OK. */
MUST_USE enum status journal_fold(struct journal *journal, struct journal_reader *reader,
                                  enum status (*visit)(void *context, const struct entry *entry),
                                  void *context);

/* A clean end: nothing in flight (journal_idle, but that what the executor was given may have come
 * back since), all synced, the epoch goes on at the next start. Frees the journal; its readers are
 * gone by then, and no other thread uses it. Blocks. */
static inline void journal_close(struct journal *journal)
{
    journal->vtable->close(journal);
}

#endif
