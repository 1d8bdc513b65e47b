/*
 * segments_internal.h: the state of a journal of segment files, for the files segments*.c.
 *
 *     segments.c          opening, closing, the step
 *     segments_write.c    commits and syncs
 *     segments_window.c   the part of the active segment that is memory
 *     segments_upkeep.c   the table of segments, retention, files made and removed
 *     segments_places.c   pins, and where in the journal a sequence or a time is
 *     segments_reader.c   reading
 *
 * A batch on its way (all on the writer's thread):
 *
 *     inbox -> gather: copied into batches[gathering], sequence and time given
 *           -> seal: header and checksum; write submitted; the other buffer gathers
 *           -> finish: committed, durable, completions posted
 *
 * With durability interval and none, a batch that lies in the window is copied there instead, and
 * is committed at once.
 *
 * A commit that finds the gathering buffer full waits in `queue`. A batch that does not fit into
 * the segment first rolls: the header of the next segment, prepared ahead, is written and durable
 * before any batch is written into it.
 *
 * Two operations are in flight at most: one write (a batch or a header), and one sync. One upkeep
 * job at most is on the executor; it prepares, recycles and removes files, and asks for free space.
 * Beside it one job at most that makes a window.
 */
#ifndef FRESHET_ENGINE_JOURNAL_SEGMENTS_INTERNAL_H
#define FRESHET_ENGINE_JOURNAL_SEGMENTS_INTERNAL_H

#include <pthread.h>

#include "engine/journal/journal_internal.h"
#include "engine/journal/recovery.h"

/* Buffers that the disk reads or writes directly begin at a multiple of this. */
#define SEGMENTS_ALIGNMENT 4096u
/* What one job makes of a window: on a busy core the writer waits for its turn meanwhile. */
#define WINDOW_BYTES (256u << 10)
/* So many of them are ahead of the writer, so that it outlives the wait of a job for its turn. */
#define WINDOWS_AHEAD      4
#define UPKEEP_INTERVAL_NS 1000000000u
/* The free space is asked for again after this part of the reserve was written, too: a fast disk
 * fills more than the reserve in an interval, and the records take as much again. */
#define UPKEEP_RESERVE_PARTS 16

struct segment_batch {
    uint8_t *data; /* batch_bytes_max, aligned */
    size_t size;   /* header and entries so far */
    uint64_t offset;
    size_t stored_bytes; /* at offset, once it is sealed */
    uint32_t count;
    uint64_t first_sequence;
    uint64_t time_before_ms; /* of the entry before first_sequence */
    uint64_t content_checksum;
    struct message *first; /* its commits, oldest first, and refused ones in between */
    struct message *last;
};

enum segments_writing { WRITING_NOTHING, WRITING_BATCH, WRITING_HEADER };
enum segments_syncing { SYNCING_NOTHING, SYNCING_PREVIOUS, SYNCING_ACTIVE };
enum segments_next { NEXT_NONE, NEXT_PREPARING, NEXT_READY, NEXT_FAILED };

/* An operation and what became of it; collected by done, processed by the step. */
struct segments_operation {
    struct disk_operation operation;
    bool finished;
    enum status status;
    uint64_t started_ns;
};

/* Work that blocks. The writer fills in what it asks for, the job what came of it. */
struct segments_upkeep {
    struct store_job job;
    bool running;
    bool wanted_free_bytes;
    uint64_t prepare_number; /* 0: nothing to prepare */
    uint64_t recycle_number; /* the segment whose file to take for it; 0: a new file */
    uint64_t remove_from;    /* segments to remove, lowest first; [from, to) */
    uint64_t remove_to;
    int close_file; /* -1: none */
    enum status prepare_status;
    int prepared_file;
    bool recycled;       /* recycle_number is no more */
    uint64_t removed_to; /* how far removing came */
    enum status free_status;
    uint64_t free_bytes;
};

/*
 * The part of a file that batches are stored into rather than written (segments_window.c), and the
 * job that makes it. Until the job is back, its range is its own if it zeroes: no batch is put
 * there in any way.
 */
struct segments_window {
    struct store_job job;
    bool running;
    bool failed; /* the disk has none after all */
    /* What there is: [from, to) of file, with from in memory at data. */
    int file; /* -1: nothing */
    uint64_t from;
    uint64_t to;
    uint8_t *data;
    bool stale; /* a sync has passed over it: a store would take a fault a page */
    /* What the job is asked for, and what came of it. */
    int job_file;
    uint64_t job_from;
    uint64_t job_to;
    enum disk_window_content job_content;
    uint8_t *job_data;
    enum status job_status;
    bool job_overtaken; /* by a sync */
};

/* How a batch gets into the active segment. */
enum segments_way { WAY_STORE, WAY_SUBMIT, WAY_WAIT };

/* Relaxed: read by any thread for people, never for decisions. */
struct segments_counters {
    _Atomic uint64_t entries;
    _Atomic uint64_t batches;
    _Atomic uint64_t bytes_written;
    _Atomic uint64_t syncs;
    _Atomic uint64_t sync_ns_total;
};

struct segments {
    struct journal base;
    struct journal_options options;
    struct disk *disk;
    struct journal_recovered recovered;

    /* The writer's alone. */
    uint64_t now_ns;
    uint64_t wall_ms;
    struct segment_batch batches[2];
    uint32_t gathering; /* index of the one that gathers; the other may be in flight */
    struct message *queue_first;
    struct message *queue_last;
    uint64_t next_sequence;
    uint64_t last_time_ms;
    uint64_t written_sequence; /* the last one in a finished write */
    uint64_t shard_refusals[SHARD_COUNT_MAX];

    int active_file;
    uint64_t active_offset;
    uint64_t active_seed;
    uint64_t chain_checksum;
    uint64_t hint_due;            /* the offset from which another hint is noted */
    struct segment_header header; /* of the active segment */
    int previous_file;            /* not yet synced; -1: none */
    int retired_file;             /* to be closed by the next upkeep; -1: none */

    enum segments_next next;
    enum status next_status; /* why it FAILED */
    int next_file;
    uint64_t next_retry_ns;
    uint8_t *header_block;

    enum segments_writing writing;
    struct segments_operation write;
    enum segments_syncing syncing;
    struct segments_operation sync;
    uint64_t sync_target;
    uint64_t sync_due_ns;          /* UINT64_MAX: nothing is unsynced, or no interval */
    bool sync_wanted;              /* another one when this one ends */
    struct message *waiters_first; /* journal_syncs that wait for a disk sync */
    struct message *waiters_last;

    struct segments_window window;

    struct segments_upkeep upkeep;
    uint64_t upkeep_due_ns;
    uint64_t upkeep_bytes; /* bytes_written when it last ran */
    bool below_reserve;
    uint64_t released_from; /* out of the table, their files still there: [from, to) */
    uint64_t released_to;
    struct journal_replies replies;

    /* Shared. */
    struct segments_counters counters;
    _Atomic uint64_t needed_from;
    _Atomic uint64_t active_bytes; /* used of the active segment */
    pthread_mutex_t table_lock;    /* held for look-ups and single changes only */
    struct link pins;              /* struct journal_pin; under table_lock */
    struct segment_info *table;    /* oldest first; the last is the active one */
    uint32_t table_count;
    uint32_t table_capacity;
};

static inline struct segments *segments_of(struct journal *journal)
{
    return CONTAINER_OF(journal, struct segments, base);
}

/* segments_write.c */
void segments_take_commit(struct message *message);
void segments_take_sync(struct message *message);
/* Collected completions, then whatever can be started. */
void segments_turn(struct segments *segments);
/* Starts a sync of all that is committed, unless one runs; then another follows it. */
void segments_sync_start(struct segments *segments);
/* Syncs and writes the mark of a clean stop, blocking, when nothing is in flight. Without the mark
 * (a failure, or no room) the next start opens a new epoch, and that is all. */
void segments_write_clean(struct segments *segments);

/* segments_window.c */
/* Has the next window made when the writer comes near it. True when that was done on the spot,
 * which may have changed what can be started. */
bool segments_window_step(struct segments *segments);
/* For a batch of that size that begins at active_offset. */
enum segments_way segments_window_way(const struct segments *segments, size_t stored_bytes);
void segments_window_store(struct segments *segments, uint64_t offset, struct bytes batch);
/* A sync of the active segment begins. */
void segments_window_synced(struct segments *segments);

/* segments_upkeep.c */
/* True when a job ran on the spot, which may have changed what can be started. */
bool segments_upkeep_step(struct segments *segments);
/* When the step must run for upkeep though nothing happens. */
uint64_t segments_upkeep_due(const struct segments *segments);
/* The file is no longer written; the next job closes it. */
void segments_retire(struct segments *segments, int file);
MUST_USE bool segments_table_append(struct segments *segments, const struct segment_info *info);

/* segments_places.c */
void segments_oldest(const struct journal *journal, struct position *out);
enum status segments_pin(struct journal *journal, uint64_t sequence, struct journal_pin *pin);
void segments_unpin(struct journal *journal, struct journal_pin *pin);
/* What retention may not pass: the lowest pinned sequence; UINT64_MAX: none. Under table_lock. */
uint64_t segments_pinned_from(const struct segments *segments);
uint64_t segments_bytes_behind(const struct journal *journal, uint64_t sequence);
enum status segments_find_time(struct journal *journal, uint64_t time_ms, uint64_t *sequence_out);
/* A batch of that segment begins there. Any thread. */
void segments_hint_add(struct segments *segments, uint64_t number, uint64_t sequence,
                       uint64_t offset);
/* The last known batch at or before the sequence, else the segment's first. */
struct segment_hint segment_hint_for(const struct segment_info *info, uint64_t sequence);

/* segments_reader.c */
enum status segments_reader_create(struct journal *journal, uint64_t from_sequence,
                                   struct journal_reader **out);
enum status segments_reader_next(struct journal_reader *reader, struct entry *entry_out);
void segments_reader_destroy(struct journal_reader *reader);

#endif
