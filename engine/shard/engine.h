/*
 * engine.h: all shards of a process, the threads that run them, and the operations on records.
 *
 * Owner:     engine_create and engine_destroy belong to the main thread; each struct engine_thread
 *            to one thread, which calls engine_submit, engine_thread_step and the look-ups on its
 *            own engine_thread. The journal's writer calls engine_journal_step.
 * Time:      passed in; nothing here reads a clock. Randomness: from options->seed.
 * Invariant: (1) an answered write is committed and applied, its cache entry replaced, its
 *            generations moved on; (2) a change at sequence S is published only when every shard
 *            has applied all its entries up to S.
 * Tests:     tests/unit/engine/shard/, tests/sim/, tests/coherence/.
 */
#ifndef FRESHET_ENGINE_SHARD_ENGINE_H
#define FRESHET_ENGINE_SHARD_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/cache/cache.h"
#include "engine/journal/journal.h"
#include "engine/shard/collection.h"
#include "engine/shard/executor.h"
#include "engine/shard/request.h"
#include "engine/store/store.h"

struct engine;
struct engine_thread;

#define ANSWER_BYTES_DEFAULT (256u << 20)

struct engine_options {
    struct collection *collections; /* borrowed; constant while the engine lives */
    uint32_t collection_count;
    uint32_t shard_count;
    uint32_t thread_count;
    /* Further engine_threads, from thread_count on, that own no shards: for a worker that is a
     * client of the engine like any other. */
    uint32_t client_count;
    const uint8_t *shard_of_slot; /* SLOT_COUNT entries; from the manifest; copied */
    struct store **stores;        /* one a shard; borrowed */
    struct journal *journal;      /* borrowed */
    struct executor *executor;
    uint64_t cache_bytes; /* all shards together; 0: off */
    uint64_t
        journal_tail_max; /* flush a shard whose oldest unflushed entry is further behind, bytes */
    uint64_t memtable_bytes_max; /* flush a shard whose memtable is larger */
    /* Rows of a table of the write buffer before each store (buffer.h); 0: the default. With 1, a
     * write goes straight into the store. */
    uint32_t buffer_rows_max;
    /* Writes submitted and not yet committed, before admission closes; and, in each shard, as much
     * committed and not yet applied. */
    uint64_t queued_bytes_max;
    /* Answers of reads that are made and not yet done, all threads; 0: ANSWER_BYTES_DEFAULT. A read
     * over it is NO_MEMORY, but for one at a time. */
    uint64_t answer_bytes_max;
    uint64_t idempotency_ms;        /* 24 h */
    bool journal_durable_on_commit; /* durability sync: what is applied is on stable storage */
    uint64_t seed;
};

struct engine_statistics {
    struct cache_statistics cache;
    struct journal_statistics journal;
    struct store_statistics store;
    uint64_t applied_entries;
    uint64_t apply_retries;  /* RocksDB refused */
    uint64_t apply_queued;   /* committed, not yet applied */
    uint64_t refused_writes; /* admission was closed */
    uint64_t flushes;
    uint64_t published_sequence;
};

/* What does not go away by itself, or not soon; for the log and for /readyz. */
struct engine_health {
    bool journal_read_only; /* a write or a sync failed: no writes until a restart */
    /* OK, or why writes are refused now: BUSY (reserve), DISK_FULL, or what failed. */
    enum status journal_refusing;
    enum status store_failure; /* OK, or what a store failed with: no writes until a restart */
    uint32_t store_failed_shard;
    const char *store_failure_text; /* the store's words; NULL when there are none */
};

MUST_USE enum status engine_create(const struct engine_options *options, struct engine **out);
void engine_destroy(struct engine **engine); /* everything idle; accepts NULL */

/* Blocking, before any thread runs: applies to each store what the journal has and the store has
 * not. */
MUST_USE enum status engine_replay(struct engine *engine, uint64_t *entries_out,
                                   struct detail *detail_out);

/* The hash of a record's key: its low byte is the slot, all of it finds the cache entry. */
uint64_t engine_hash(const struct collection *collection, struct bytes id);
uint32_t engine_shard_of_hash(const struct engine *engine, uint64_t hash);
uint32_t engine_shard_count(const struct engine *engine);
/* The user's collections and behind them the server's own. */
const struct collection *engine_collections(const struct engine *engine, uint32_t *count_out);

/* ---- a thread ---- */

/* The mailbox of thread `index` must be rung through waker when it sleeps. Called once per thread
 * before it runs. */
struct engine_thread *engine_thread_at(struct engine *engine, uint32_t index);
void engine_thread_attach(struct engine_thread *thread, struct waker *waker);

/* The time by which requests are judged that are submitted before the next step: at the beginning
 * of a turn, which may come long after the last one. */
void engine_thread_begin(struct engine_thread *thread, uint64_t now_ns, uint64_t wall_ms);

/* Writes of this thread's own shards that are submitted in between are judged at release, in their
 * order. They are the requests of one turn; the thread is not stepped meanwhile. */
void engine_writes_hold(struct engine_thread *thread);
void engine_writes_release(struct engine_thread *thread);

/* Hands the request to the owner of its record. Never calls done. */
void engine_submit(struct engine_thread *thread, struct request *request);

/*
 * Delivers the mailbox, steps this thread's shards, then calls done for what is finished, and rings
 * the bells of this turn. Returns the time at which it wants to run again though nothing happens
 * (0: at once, there is more to do; UINT64_MAX: never).
 */
uint64_t engine_thread_step(struct engine_thread *thread, uint64_t now_ns, uint64_t wall_ms);

/*
 * A thread that follows the changes is rung when the published position goes on, at most once a
 * turn and only if it sleeps. seen_sequence is how far it has looked: engine_thread_sleep_begin is
 * false while more than that is published. UINT64_MAX: it does not follow (the state at first).
 */
void engine_thread_follow(struct engine_thread *thread, uint64_t seen_sequence);
/* A follower that looks for records of internal collections alone (a worker without rules) is left
 * asleep while only others change, but for one time in some hundred. False is the state at
 * first. */
void engine_thread_follow_internal(struct engine_thread *thread, bool only_internal);
/* Whether an internal entry was applied at that sequence or later. False: there is none from it up
 * to what the caller has seen published before. */
bool engine_internal_since(const struct engine *engine, uint64_t sequence);

/* Something was posted to the thread, or there are changes that it follows. For who looks again and
 * again instead of sleeping. */
bool engine_thread_has_work(const struct engine_thread *thread);
/* Before and after the thread sleeps; begin is false when there is something to do. */
bool engine_thread_sleep_begin(struct engine_thread *thread);
void engine_thread_sleep_end(struct engine_thread *thread);

/*
 * The hot path: a cached record without a request object. OK with body (and meta.absent for a
 * cached 404), NOT_FOUND (go the long way) or BUSY (likewise; also when it is cached in the other
 * form). A pinned body is given back with engine_cache_release.
 */
MUST_USE enum status engine_cache_get(struct engine_thread *thread,
                                      const struct collection *collection, struct bytes id,
                                      uint64_t hash, enum record_form form, uint64_t now_ns,
                                      uint8_t *copy_to, struct cache_body *out);
void engine_cache_release(struct engine_thread *thread, uint64_t hash, struct cache_body *body);
/* For several look-ups in a row: first all of them, then prefetch_entry for all, then the gets. */
void engine_cache_prefetch(struct engine_thread *thread, uint64_t hash);
void engine_cache_prefetch_entry(struct engine_thread *thread, uint64_t hash);

/* Requests submitted on this thread and not yet done. */
uint64_t engine_thread_pending(const struct engine_thread *thread);

/* Modules that stand beside the shards on the same threads: a message to another thread, or to this
 * one, which is rung at once if it sleeps; who runs the shard of a record; and where store jobs of
 * this thread come back to. */
void engine_thread_post(struct engine_thread *from, uint32_t to, struct message *message);
uint32_t engine_thread_of_hash(const struct engine *engine, uint64_t hash);
struct mailbox *engine_thread_mailbox(struct engine_thread *thread);

/* ---- the journal's writer, and the process ---- */

/* Retention and the journal's own step. */
uint64_t engine_journal_step(struct engine *engine, uint64_t now_ns, uint64_t wall_ms);

/* All applied and flushed: nothing to replay at the next start. Steps are still being called; poll
 * engine_drained. */
void engine_drain(struct engine *engine);
bool engine_drained(const struct engine *engine); /* any thread */

/* Every shard has applied all its entries up to here. Any thread. */
uint64_t engine_published(struct engine *engine);
struct journal *engine_journal(const struct engine *engine);
void engine_health_read(const struct engine *engine, struct engine_health *out);   /* any thread */
void engine_statistics_read(struct engine *engine, struct engine_statistics *out); /* any thread */

#endif
