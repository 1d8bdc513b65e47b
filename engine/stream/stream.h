/*
 * stream.h: the changes of the journal on one thread: its subscriptions, each a cursor and never a
 * queue.
 *
 *     published entry --> change --> matcher (all live subscriptions at once) --> deliver
 *
 * A subscription is LIVE when it stands where the thread stands, at the published position: then it
 * costs its share of one match per entry. It LAGS when it began earlier or had no room: then it
 * reads by itself, from the journal's recent entries or from blocks that store threads read from
 * older files, until it has caught up. One without room is STUCK: it costs nothing until
 * subscription_resume. To its owner all of this looks alike.
 *
 * Delivery:  each matching change once and in order, from deliver(), called within stream_step
 *            only. Nothing beyond engine_published is seen, so whoever hears of a change can read
 *            it.
 * Owner:     one thread; the subscription's transport embeds struct subscription and leaves it
 *            alone from stream_subscribe until subscription_close, or until ended() has run.
 * Time:      passed in; nothing here reads a clock.
 * Memory:    a stream has a few buffers and at most STREAM_BLOCKS_MAX blocks of older entries; a
 *            subscription is what its owner embeds, its pattern, and no more.
 * Tests:     tests/unit/engine/stream/, tests/sim/, tests/integration/test_changes*.py.
 */
#ifndef FRESHET_ENGINE_STREAM_STREAM_H
#define FRESHET_ENGINE_STREAM_STREAM_H

#include "engine/filter/matcher.h"
#include "engine/shard/engine.h"
#include "engine/stream/change.h"
#include "engine/stream/token.h"

/* Older blocks that a thread keeps for its lagging cursors, and reads of them at a time. */
#define STREAM_BLOCKS_MAX 16
#define STREAM_READS_MAX  2
/* Snapshot slices of a thread that are being read at a time. */
#define STREAM_SLICES_MAX 4
/* One stream_step looks at so many entries for all live subscriptions, and as many for one that
 * lags, before others have their turn. */
#define STREAM_STEP_ENTRIES 1024

struct stream;
struct subscription;

enum subscription_from {
    SUBSCRIBE_LATEST,
    SUBSCRIBE_EARLIEST,
    SUBSCRIBE_TOKEN, /* after a position, or within a snapshot */
    SUBSCRIBE_TIME,  /* the first entry at or after a time */
    SUBSCRIBE_SNAPSHOT
};

/* Slots of a record that a member of a consumer group gets. */
struct slot_set {
    uint64_t words[SLOT_COUNT / 64];
};

enum delivery_kind {
    DELIVERY_CHANGE,
    DELIVERY_SNAPSHOT,  /* a record of the snapshot */
    DELIVERY_SYNCED,    /* the snapshot is whole */
    DELIVERY_PROGRESS,  /* nothing matched up to this token */
    DELIVERY_CAUGHT_UP, /* nothing more is published now; only with wants_caught_up */
};

struct delivery {
    enum delivery_kind kind;
    const struct change *change; /* CHANGE and SNAPSHOT */
    enum change_transition transition;
    struct token token; /* from which a new subscription goes on after this */
    struct stream *stream;
    struct subscription *subscription;
};

struct subscription_options {
    const struct collection *collection; /* NULL: all but internal ones, and users' own events */
    struct pattern *pattern;             /* NULL: all. The subscription's from here on */
    enum change_view view;
    bool enter_leave;
    bool wants_caught_up;
    enum subscription_from from;
    struct token token; /* SUBSCRIBE_TOKEN */
    uint64_t time_ms;   /* SUBSCRIBE_TIME */
    /* Of a group's member; copied. NULL: all slots. A change of slot s is delivered only when its
     * sequence is over slot_sequences[s] (NULL: all). */
    const struct slot_set *slots;
    const uint64_t *slot_sequences; /* SLOT_COUNT; borrowed as long as the subscription lives */
    uint64_t progress_ns; /* a PROGRESS at least so often while nothing is delivered; 0: none */

    /* Returns false when there is no room: then nothing was taken, the same delivery comes again
     * after subscription_resume (a PROGRESS when it is next due, without that). Must not subscribe,
     * close or resume anything. */
    bool (*deliver)(struct subscription *subscription, const struct delivery *delivery);
    /* It is over and no longer the stream's: POSITION_EXPIRED (it was, or has become, too old),
     * INVALID (a time or a position in the future), DAMAGED, NO_MEMORY. */
    void (*ended)(struct subscription *subscription, enum status status);
};

enum subscription_state {
    SUBSCRIPTION_CLOSED,
    SUBSCRIPTION_STARTING, /* new, or its place is being looked for by a store thread (TIME) */
    SUBSCRIPTION_LIVE,
    SUBSCRIPTION_LAGGING,
    SUBSCRIPTION_READING, /* lags, and waits for a block, a slice, or the published position */
    SUBSCRIPTION_STUCK,
    SUBSCRIPTION_ENDING /* ended() is to be called */
};

struct subscription {
    /* The stream's; look, do not touch. */
    struct link link;        /* among those of its state */
    struct link link_plain;  /* LIVE without a pattern: among those of its collection */
    struct link link_due;    /* waits for its next PROGRESS */
    struct link link_caught; /* is owed a CAUGHT_UP */
    struct subscription_options options;
    struct slot_set slots;
    bool has_slots;
    bool in_matcher;
    bool needs_time; /* STARTING: a store thread has yet to find its place */
    bool is_pinned;  /* until its first answer */
    enum subscription_state state;
    enum status end_status; /* ENDING */
    struct stream *stream;
    uint64_t next_sequence; /* the next entry to look at; while LIVE the stream knows it */
    uint64_t seen_sequence; /* of the last entry that was delivered or passed over for good
                             * reason */
    uint64_t epoch;         /* of that entry */
    uint64_t told_ns;       /* when something was last delivered */
    uint64_t mark;          /* matched by the entry that is being looked at */
    uint32_t matcher_id;
    struct journal_pin pin;
    struct snapshot *snapshot; /* NULL: none is under way */
};

struct stream_options {
    struct engine *engine;
    struct engine_thread *engine_thread;
    struct executor *executor;
    uint32_t subscriptions_max; /* of this thread; one more is BUSY */
};

struct stream_statistics {
    _Atomic uint64_t subscriptions; /* now, and of them: */
    _Atomic uint64_t live;
    _Atomic uint64_t stuck;
    _Atomic uint64_t delivered;   /* changes, over all subscriptions */
    _Atomic uint64_t matched;     /* entries looked at by the live matcher */
    _Atomic uint64_t older_reads; /* blocks read from files */
    _Atomic uint64_t expired;     /* subscriptions that ended with POSITION_EXPIRED */
    _Atomic uint64_t snapshot_rows;
};

MUST_USE enum status stream_create(const struct stream_options *options, struct stream **out);
/* No subscription is left and no job under way (stream_idle). Accepts NULL. */
void stream_destroy(struct stream **stream);

/*
 * On any failure nothing has begun, the pattern is still the caller's, and the status is as in
 * `ended`; BUSY: too many. A token of a snapshot needs the same collection as before. UNSUPPORTED:
 * the subscription needs old images (enter_leave, view old, a pattern on an image) and a collection
 * it covers drops them. Never delivers from within.
 */
MUST_USE enum status stream_subscribe(struct stream *stream,
                                      const struct subscription_options *options,
                                      struct subscription *subscription_out);
/* There is room again. Any time but within deliver; what was refused comes again in the next
 * stream_step, before which the thread does not sleep (engine_thread_sleep_begin). */
void subscription_resume(struct subscription *subscription);
/* Nothing more is delivered; destroys its pattern. Any state; any time but within deliver. */
void subscription_close(struct subscription *subscription);
/* From where it would go on now. */
void subscription_token(const struct subscription *subscription, struct token *out);
/* The sequence up to which it has been told all that is for it. */
uint64_t subscription_reached(const struct subscription *subscription);

/*
 * JSON and MessagePack of a delivery's change in its subscription's view, rendered once for all
 * subscriptions that want the same; valid until deliver returns. Empty: too large, or no memory.
 */
struct bytes delivery_json(const struct delivery *delivery);
struct bytes delivery_msgpack(const struct delivery *delivery);

/* After engine_thread_step, before answers are sent. Returns when it wants to run again though
 * nothing happens (0: at once). */
uint64_t stream_step(struct stream *stream, uint64_t now_ns, uint64_t wall_ms);
/* No job of a store thread and no slice is under way. */
bool stream_idle(const struct stream *stream);
const struct stream_statistics *stream_statistics(const struct stream *stream);

/* The position of the last published entry, and of the oldest that can still be read. */
void stream_positions(const struct stream *stream, struct position *oldest_out,
                      struct position *newest_out);

#endif
