/*
 * stream_internal.h: what the files of engine/stream share: a thread's subscriptions, and how one
 * goes from state to state.
 *
 *     stream.c     subscribe, resume, close; one step; PROGRESS and CAUGHT_UP
 *     deliver.c    the change that is being looked at: judged, rendered, offered
 *     live.c       the live cursor: every newly published entry against all LIVE ones at once
 *     lag.c        a cursor of its own for each that lags: from recent entries, or older blocks
 *     reads.c      what store threads do for that: older blocks, places of a time
 *     snapshot.c   the records first, then the changes
 *
 *     STARTING --> LAGGING <--> READING     (waits for a block, a slice, the published position)
 *         |        |  ^  |
 *      (place)     |  |  +--> LIVE          (stands at live_next)
 *                  v  |        |
 *                 STUCK <------+            (deliver refused; nothing is kept but the place)
 *
 * Owner: all of it belongs to one thread, except a stream_read while its job is under way.
 */
#ifndef FRESHET_ENGINE_STREAM_STREAM_INTERNAL_H
#define FRESHET_ENGINE_STREAM_STREAM_INTERNAL_H

#include "engine/shard/slice.h"
#include "engine/stream/stream.h"
#include "protocol/base/assert.h"

/* Blocks hold so many bytes together, or as few blocks as are read at a time, if those are larger:
 * an entry may be larger than a block. */
#define STREAM_BLOCKS_BYTES (STREAM_BLOCKS_MAX * RECENT_BLOCK_BYTES)
/* Readers of files that stay open between two blocks, so that who reads on does not seek again. */
#define STREAM_READERS_MAX 4
/* What one step looks at for all lagging subscriptions together; to deliver a change counts as so
 * many looks. */
#define STREAM_LAG_ENTRIES      STREAM_STEP_ENTRIES
#define STREAM_LAG_BYTES        (4u << 20)
#define STREAM_DELIVERY_ENTRIES 4
/* One step delivers so many changes to live subscriptions, the last entry's to all of them. */
#define STREAM_LIVE_DELIVERIES 4096
/* A slice of a snapshot. */
#define STREAM_SLICE_RECORDS 256
#define STREAM_SLICE_BYTES   (256u << 10)
/* Nothing judged is larger: two images and the changed names, one image once more. */
#define STREAM_JUDGED_BYTES (2 * ENTRY_BYTES_MAX)
/* Renderings up to this size keep their memory for the next change. */
#define STREAM_RENDERING_KEPT_BYTES (256u << 10)
#define STREAM_TRANSITION_COUNT     3
/* When memory ran out for something that can wait. */
#define STREAM_RETRY_NS 10000000ull
/* A position trails so many internal entries before it may move on them alone. */
#define STREAM_TRAIL_ENTRIES 1024

/* Subscriptions by when their next PROGRESS is due: a wheel of ticks, of 34 ms, shorter than the
 * shortest time that can be asked for. */
#define WHEEL_TICK_NS 33554432ull
#define WHEEL_TICKS   256

static_assert(STREAM_READERS_MAX > STREAM_READS_MAX, "there is an idle reader for every read");
static_assert(STREAM_BLOCKS_MAX > STREAM_READS_MAX, "what was read for someone is there for him");

/* One form of the change that is being looked at. */
struct rendering {
    uint8_t *data;
    size_t capacity;
    size_t size;
    uint64_t mark; /* of the change that it is of */
};

/* The change that is being looked at. What is built of it is built once, when first asked for. */
struct looked_at {
    struct change change;
    uint64_t mark;                       /* a number of its own */
    const struct collection *collection; /* NULL: a user's event, or a collection that is gone */
    bool is_hidden;      /* of a collection of the server's own, or of one that is gone */
    struct bytes judged; /* empty: not built yet */
    struct bytes judged_before;
};

/* An open reader of the journal's files and where it stands. */
struct stream_reader {
    struct journal_reader *reader; /* NULL: none */
    uint64_t next_sequence;
    bool has_held; /* the last entry did not fit its block: it is the first of the next */
    struct entry held;
    bool is_busy;
    uint64_t used_at; /* stream->clock */
};

enum stream_read_kind { READ_NONE, READ_BLOCK, READ_TIME };

/* A job of a store thread. */
struct stream_read {
    struct store_job job;
    struct stream *stream;
    enum stream_read_kind kind;
    struct subscription *requester; /* NULL: it has gone */
    struct stream_reader *reader;   /* BLOCK */
    uint64_t sequence;              /* BLOCK: the first; TIME: what was found */
    uint64_t time_ms;               /* TIME */
    struct recent_block *block;     /* BLOCK: what was read */
    size_t block_bytes;
    enum status status;
};

/* Blocks of older entries, shared by all who lag. */
struct stream_block {
    struct recent_block *block; /* NULL: none */
    size_t bytes;
    uint64_t first;
    uint64_t last;
    uint64_t used_at; /* stream->clock */
};

enum snapshot_stage {
    SNAPSHOT_NEXT, /* the next slice is to be asked for */
    SNAPSHOT_QUEUED,
    SNAPSHOT_ASKED, /* the request is the engine's */
    SNAPSHOT_READY, /* its rows are here, and wait for the cursor to reach them */
};

/*
 * What a subscription has of the records: all of the shards below `shard`, and of that shard all
 * up to `key`. Changes to those are delivered, others left out.
 */
struct snapshot {
    struct slice_request request;
    struct stream *stream;
    struct subscription *subscription; /* NULL: closed while the request was the engine's */
    struct link link;                  /* QUEUED */
    enum snapshot_stage stage;
    uint32_t shard;
    size_t key_size;
    uint8_t key[TOKEN_KEY_BYTES_MAX];
    struct bytes rows; /* READY: those not yet delivered */
};

struct stream {
    struct stream_options options;
    struct journal *journal;
    const struct collection *collections;
    uint32_t collection_count;
    uint32_t shard_count;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t clock; /* counts uses, for what is dropped first */
    bool is_stepping;
    bool is_delivering;
    bool wants_retry; /* memory ran out for something that can wait */

    /* Subscriptions by state. */
    uint32_t count;
    uint32_t user_count; /* of subscriptions that look for more than internal records */
    uint32_t stuck_count;
    struct link starting;
    struct link live;
    struct link lagging;           /* who is next in front */
    struct link waiting;           /* READING, for a block; STARTING, for the place of a time */
    struct link published_waiters; /* READING, for live_next to reach next_sequence */
    struct link stuck;
    struct link ending;

    /* live.c */
    uint64_t live_next; /* the next entry for all LIVE ones */
    uint64_t live_seen; /* the last one that was not internal */
    uint64_t live_epoch;
    struct link plain[COLLECTION_ALL_COUNT_MAX + 1]; /* 0: all collections; else number + 1 */
    struct matcher *matcher;
    struct matcher *enter_leave;
    uint32_t internal_patterns;    /* of them, on internal collections */
    struct subscription **matched; /* subscriptions_max: a matcher's answer, to be walked */
    struct subscription **matched_before;
    struct link caught;       /* wants_caught_up, and was told something since */
    uint64_t live_deliveries; /* of this step */

    /* deliver.c */
    struct looked_at at;
    struct delivery delivery;
    uint8_t *judged_memory; /* STREAM_JUDGED_BYTES each; mostly never touched */
    uint8_t *judged_before_memory;
    struct rendering msgpack[CHANGE_VIEW_COUNT][STREAM_TRANSITION_COUNT];
    struct rendering json[CHANGE_VIEW_COUNT][STREAM_TRANSITION_COUNT];

    /* reads.c */
    struct stream_block blocks[STREAM_BLOCKS_MAX];
    struct stream_reader readers[STREAM_READERS_MAX];
    struct stream_read reads[STREAM_READS_MAX];
    uint32_t reads_running;

    /* snapshot.c */
    struct link slices_queued;
    uint32_t slices_held; /* ASKED or READY */
    uint32_t slices_asked;

    /* stream.c */
    struct link wheel[WHEEL_TICKS];
    uint64_t wheel_used[WHEEL_TICKS / 64]; /* ticks that may hold someone */
    uint64_t wheel_tick;                   /* the last that was turned */

    struct stream_statistics statistics;
};

static inline void stream_count_add(_Atomic uint64_t *counter, uint64_t add)
{
    /* One writer: no need for a locked addition. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + add,
                          memory_order_relaxed);
}

/* ---- stream.c: from state to state ---- */

/* Lags from next_sequence on; to the front when it is its turn by right. */
void stream_lags(struct subscription *subscription, bool in_front);
/* Refused at the entry next_sequence (already set): waits for subscription_resume. */
void stream_stuck(struct subscription *subscription);
/* ended(status) will be called at the end of the step. */
void stream_ends(struct subscription *subscription, enum status status);
/* READING or STARTING until something happens, in this list. */
void stream_waits(struct subscription *subscription, struct link *list);
/* The token of what has been looked at so far, for all that is no change. */
void stream_token_at(const struct subscription *subscription, struct token *out);

/* ---- deliver.c ---- */

MUST_USE enum status stream_look_init(struct stream *stream);
void stream_look_deinit(struct stream *stream);
/* Large memory of the last changes is given back. */
void stream_look_trim(struct stream *stream);
/* False: the entry is the journal's own. */
bool stream_look_at(struct stream *stream, const struct entry *entry);
void stream_look_at_row(struct stream *stream, const struct slice_row *row);
/* Whether the subscription covers what is looked at, its pattern aside. */
bool stream_covers(const struct stream *stream, const struct subscription *subscription);
/* Whether its position moves on when this was looked at: not on internal entries alone. */
bool stream_moves(const struct stream *stream, const struct subscription *subscription);
struct bytes stream_judged(struct stream *stream);
struct bytes stream_judged_before(struct stream *stream);
/* What a matching change does without enter_leave, or when there is no pattern to leave. */
enum change_transition stream_transition(const struct stream *stream,
                                         const struct subscription *subscription);
/* By its own pattern alone; false: not delivered. */
bool stream_matches(struct stream *stream, const struct subscription *subscription,
                    enum change_transition *transition_out);
/* False: refused. The change that is looked at, at this token; or something that is no change. */
bool stream_deliver_change(struct subscription *subscription, enum delivery_kind kind,
                           enum change_transition transition);
bool stream_deliver_other(struct subscription *subscription, enum delivery_kind kind);

/* ---- live.c ---- */

/* True: there is more to look at, at once. */
bool stream_live_step(struct stream *stream, uint64_t published);
/* LAGGING at live_next: lives from here on, unless there is no memory for it. */
void stream_lives(struct subscription *subscription);
/* LIVE no more: its place is its own again. */
void stream_live_leave(struct subscription *subscription);

/* ---- lag.c ---- */

/* True: there is more to do at once. */
bool stream_lag_step(struct stream *stream);

/* ---- reads.c ---- */

/* Closes readers and forgets blocks; nothing is under way. */
void stream_reads_deinit(struct stream *stream);
/* Starts what store threads can take. */
void stream_reads_start(struct stream *stream);
/* The block that holds the sequence; NULL: none. */
struct recent_block *stream_block_find(struct stream *stream, uint64_t sequence);
/* It goes: nothing that is read is for it any more. */
void stream_reads_forget(struct stream *stream, const struct subscription *subscription);

/* ---- snapshot.c ---- */

MUST_USE enum status snapshot_create(struct subscription *subscription, const struct token *token);
/* Its subscription goes. Accepts NULL. */
void snapshot_destroy(struct snapshot **snapshot);
/* The slice is given back; what was not delivered of it is read again. */
void snapshot_drop_slice(struct snapshot *snapshot);
/* A change to what the snapshot has already is delivered; false: it is left out. */
bool snapshot_has(const struct snapshot *snapshot, const struct change *change);
/* How far the cursor goes before the snapshot has its turn: at most to `limit`. */
uint64_t snapshot_limit(const struct snapshot *snapshot, uint64_t limit);
/* Its turn, the cursor is where it should be. False: the subscription waits, is stuck or done for
 * now; true: it goes on. */
bool snapshot_turn(struct subscription *subscription);
void snapshots_start(struct stream *stream);

#endif
