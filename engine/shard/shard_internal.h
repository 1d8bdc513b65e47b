/*
 * shard_internal.h: what the files of engine/shard share: the engine, its threads, its shards, and
 * what is pending on a key.
 *
 * The life of a write, by file:
 *
 *     engine.c    submit -> to the owner's mailbox, or straight on when this thread is the owner
 *     write.c     admission -> newest state (pending, stored, or parked until a store thread has
 *                 read it) -> evaluate (evaluate.c) -> entry -> journal
 *     apply.c     committed -> queue -> store batch -> cache, generations, waiting readers ->
 *                 answer
 *     read.c      the long way of a GET, and the reads by store threads that both need
 *     flush.c     memtable -> files, after the journal is durable up to what is in it
 *     pages.c     lists: slices from every shard, merged where the request came from (engine/list)
 *     slice.c     runs of one shard's records, for snapshots
 *     follow.c    waking threads that wait for the published position to go on
 *     replay.c    what the journal has and the store has not, at start
 *
 * Owner: everything in struct shard belongs to its thread, except what is marked "shared".
 */
#ifndef FRESHET_ENGINE_SHARD_SHARD_INTERNAL_H
#define FRESHET_ENGINE_SHARD_SHARD_INTERNAL_H

#include "engine/cache/cache.h"
#include "engine/shard/engine.h"
#include "engine/shard/uuid.h"
#include "engine/store/buffer.h"
#include "engine/store/row.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

/* Writes of one key that are submitted and not yet applied; one more is refused. */
#define KEY_WRITES_PENDING_MAX 4096
/* How often an id is drawn for a new record before the request is refused. */
#define CREATE_DRAWS_MAX 8
/* Writes that are judged together; more take turns. */
#define WRITES_HELD_MAX 64
/* Committed writes of a shard that wait for its store; over it, or over queued_bytes_max of them,
 * admission closes. */
#define APPLY_QUEUE_MAX 16384
/* One slice of applies. */
#define APPLY_SLICE_ENTRIES 64
#define APPLY_SLICE_BYTES   (1u << 20)
/* How long a refusing store is left alone. */
#define APPLY_RETRY_NS 2000000ull
/* A read with freshet-min-position waits this long. */
#define POSITION_WAIT_NS 1000000000ull
/* While someone waits for a position, a thread looks this often. */
#define POSITION_POLL_NS 1000000ull
/* How often a shard's store is asked whether it is about to refuse. */
#define STORE_WATCH_NS 100000000ull
/* Expired entries of the cache are looked for this often, so many at a time. */
#define CACHE_EXPIRE_NS      5000000ull
#define CACHE_EXPIRE_ENTRIES 64
/* Shards that nothing came for are stepped this often all the same, by a thread that is awake. */
#define SHARDS_LOOK_NS CACHE_EXPIRE_NS
/* The journal is told this often which entries nobody needs any more. */
#define RETAIN_NS 1000000ull
/* List fills of a thread at a time; more wait. Each holds up to LIST_BYTES_MAX a shard. */
#define GATHERS_MAX 16

/* Collections have their own counters; values of indexes share hashed ones, so a write may end a
 * few pages too many. */
#define GENERATION_INDEX_BUCKETS 4096
#define GENERATION_COUNT         (COLLECTION_ALL_COUNT_MAX + GENERATION_INDEX_BUCKETS)

#define RECORD_KEY_BYTES_MAX (COLLECTION_NAME_BYTES_MAX + 1 + ID_BYTES_MAX)
/* "\x02" then principal, path and key. */
#define SCOPE_KEY_BYTES_MAX 2048
#define KEY_BYTES_MAX       SCOPE_KEY_BYTES_MAX
#define KEY_BUCKETS         4096

/* The record behind it, ready to be read: JSON of a document, an id, escapes of both. */
#define RECORD_JSON_BYTES_MAX (DOCUMENT_BYTES_MAX * 2 + 6 * ID_BYTES_MAX + 64)
/* As MessagePack: the document with its id. */
#define RECORD_BYTES_MAX (DOCUMENT_BYTES_MAX + ID_BYTES_MAX + 64)

struct shard;
struct write;

/* A read by a store thread, for the key it stands on. Outlives its key when an apply has made it
 * pointless. */
struct pending_read {
    struct store_job job;
    struct shard *shard;
    struct key_state *key; /* NULL: thrown away, because the key changed since */
    enum status status;
    uint8_t *value; /* malloc */
    size_t value_size;
    size_t row_key_size;
    uint8_t row_key[ROW_KEY_BYTES_MAX + SCOPE_KEY_BYTES_MAX];
};

/* A key on which something is pending; there is none for a quiet key. */
struct key_state {
    struct key_state *chain;
    uint64_t hash;
    struct link writes; /* struct write.of_key, oldest first: submitted, not yet applied */
    uint32_t write_count;
    struct pending_read *read;
    struct link readers; /* GETs that wait for the read */
    struct link parked;  /* writes that wait for the read, in order; only while `writes` is empty */
    uint16_t key_size;
    uint8_t key[];
};

struct key_table {
    struct key_state *buckets[KEY_BUCKETS];
    uint32_t count;
};

void key_table_prefetch(struct key_table *table, uint64_t hash);
struct key_state *key_table_find(struct key_table *table, uint64_t hash, struct bytes key);
/* Finds or makes; NULL when out of memory. */
struct key_state *key_table_get(struct key_table *table, uint64_t hash, struct bytes key);
/* Frees the state when nothing is pending on it any more. */
void key_table_settle(struct key_table *table, struct key_state *state);

/* One change on its way: from evaluation to apply. One block of memory, the encoded entry at its
 * end. */
struct write {
    struct journal_commit commit;
    struct queue_link queued; /* in shard->committed */
    struct link of_key;
    struct link of_scope; /* in the idempotency key's state */
    struct shard *shard;
    const struct collection *collection;
    struct key_state *key;   /* NULL: a user's event, which has none and no collection */
    struct key_state *scope; /* NULL: no idempotency key */
    struct request *request;
    struct link followers;
    struct entry
        entry; /* views into bytes; an old document also when the entry itself does not carry it */
    size_t size; /* of the block */
    uint8_t bytes[];
};

enum flush_stage {
    FLUSH_IDLE,
    FLUSH_DRAINING,
    FLUSH_SYNCING,
    FLUSH_CLOSING,
    FLUSH_WAITING,
};

struct shard {
    uint32_t number;
    struct engine *engine;
    struct engine_thread *thread;
    struct store_buffer *buffer;
    struct store *store; /* the buffer as a store */
    struct store_batch *batch;
    struct cache *cache; /* any thread looks up */
    uint64_t cache_expire_at_ns;
    struct key_table keys;

    /* apply.c */
    struct queue committed;
    uint32_t committed_count;
    uint64_t committed_bytes; /* of memory that they hold */
    uint64_t refusals_seen;   /* by the journal, of this shard's commits */
    uint64_t apply_retry_at_ns;

    /* flush.c */
    enum flush_stage flush_stage;
    struct store_job flush_job;
    struct journal_sync flush_sync;
    enum status flush_status;
    uint64_t flush_persisted; /* written by the job */
    uint64_t flush_applied;   /* the last sequence in the flush that is running */
    uint64_t unflushed_bytes; /* roughly what is in the buffer and the memtable */
    uint64_t flush_bytes;     /* of them, what the flush that is running will take */
    uint64_t unflushed_mark; /* engine->applied_bytes when the oldest unflushed entry was applied */
    uint64_t flush_mark;     /* the same for entries after the flush that is running */
    uint64_t flush_retry_at_ns;

    struct store_job watch_job;
    bool watch_running;
    uint64_t watch_at_ns;
    uint64_t watched_applied;
    struct store_statistics watch_result; /* the job's, until it is back */

    /* shared: written by the owner, read by anyone */
    _Atomic uint64_t applied;   /* last applied sequence of this shard */
    _Atomic uint64_t persisted; /* last sequence that is in the store's files */
    _Atomic uint64_t apply_retries;
    _Atomic uint64_t applied_entries;
    _Atomic uint64_t refused_writes;
    _Atomic uint64_t flushes;
    _Atomic uint64_t queued_applies;
    _Atomic bool stalled;
    _Atomic uint32_t failure; /* enum status: what the store failed with, for good; 0: it has not */
    _Atomic(const char *) failure_text;
    _Atomic uint64_t memtable_bytes;
    _Atomic uint64_t files_bytes;
    _Atomic uint64_t block_cache_bytes;
    _Atomic uint64_t level0_files;
    _Atomic uint64_t unflushed_memtables;
    _Atomic uint64_t pending_compaction_bytes;
    /* shared: moved on by the owner before it answers a write, compared by readers of cached
     * pages */
    _Atomic uint64_t generations[GENERATION_COUNT];
};

struct engine_thread {
    struct engine *engine;
    uint32_t index;
    struct mailbox mailbox;

    /* Shards are stepped when something came for one of them, or one wants to go on: a turn of
     * reads that the cache answered costs the same with one shard and with many. */
    bool stirred;
    uint64_t shards_at_ns; /* when one of them wants to run again */
    uint64_t
        shards_look_at_ns; /* what nobody waits for is looked at then, by a thread that is awake */

    struct link done; /* requests to call done for, in order */
    struct link position_waiters;
    struct link gathers_waiting; /* LIST requests that wait for a place */
    struct link gathers;         /* struct gather in flight */
    uint32_t gather_count;
    uint64_t gathers_begun;
    uint64_t random; /* the state of dice.h */
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t pending;
    uint64_t conversions; /* reads in the form that was not cached */
    /* threads to be rung at the end of this turn */
    uint64_t bells[(THREAD_COUNT_MAX + CLIENT_COUNT_MAX + 63) / 64];
    bool applied; /* something, in this turn */
    bool holding; /* writes, from engine_writes_hold to engine_writes_release */
    uint32_t held_count;
    struct request *held[WRITES_HELD_MAX];
    /* shared: written by this thread, read by those who publish. UINT64_MAX: does not follow */
    _Atomic uint64_t seen;
    _Atomic bool only_internal; /* the same: it looks for records of internal collections alone */
    uint8_t *scratch_document;  /* DOCUMENT_BYTES_MAX + defaults */
    uint8_t *scratch_patched;
    uint8_t *scratch_json;   /* RECORD_JSON_BYTES_MAX */
    uint8_t *scratch_record; /* RECORD_BYTES_MAX */
    uint8_t *scratch_state;  /* STATE_DOCUMENT_BYTES */
    uint8_t *scratch_small;  /* CACHE_COPY_BYTES_MAX */
};

/* A record's newest state is taken from the cache when its body is at most so large: parsing JSON
 * of that size is quicker than RocksDB; a larger one is rare, and read from the store. */
#define STATE_BODY_BYTES_MAX   16384
#define STATE_DOCUMENT_BYTES   (3 * STATE_BODY_BYTES_MAX)
#define SCRATCH_DOCUMENT_BYTES (DOCUMENT_BYTES_MAX + (64u << 10))

struct engine {
    struct engine_options options;
    uint8_t shard_of_slot[SLOT_COUNT];
    struct shard **shards;
    struct engine_thread *threads;
    struct journal *journal;
    _Atomic uint64_t published;     /* the largest that was ever found; see engine_published */
    _Atomic uint32_t followers;     /* threads that follow; see follow.c for what more it is */
    _Atomic uint64_t applied_bytes; /* of entries, all shards, this run, replay included */
    _Atomic uint64_t answer_bytes;  /* in memory of requests that are not done */
    /* of the last entry of an internal collection that was applied in this run; never falls */
    _Atomic uint64_t internal_applied;
    _Atomic uint32_t flushes_running; /* at most EXECUTOR_WAITS_MAX */
    _Atomic bool draining;
    _Atomic bool journal_is_idle; /* as the journal's writer left it after its last step */
    uint64_t retain_at_ns; /* the journal's writer's: when it is told next what is not needed */
};

/* ---- engine.c ---- */

/* Writes the key of a record: what is hashed, cached and pending under. */
struct bytes record_key(const struct collection *collection, struct bytes id, struct writer *out);
static inline uint64_t cache_hash_of(uint64_t hash)
{
    /* All keys of a shard agree in bits of the slot's byte, so the cache gets it at the top. */
    return (hash >> 8) | (hash << 56);
}
static inline uint32_t engine_thread_count(const struct engine *engine)
{
    return engine->options.thread_count + engine->options.client_count;
}
/* The cache of one thread's shards alone takes no locks, so only that thread may look into it. */
static inline bool cache_is_reachable(const struct engine_thread *thread)
{
    return thread->index < thread->engine->options.thread_count;
}
/* To the thread that submitted it, there to be done. */
void request_complete(struct engine_thread *thread, struct request *request, enum status status);
/* Posts to another thread, or to this one; the bell waits for the end of the turn. */
void thread_post(struct engine_thread *from, uint32_t to, struct message *message);
/* A copy of body in the request's buffer or in memory of its own; NO_MEMORY. */
MUST_USE enum status request_answer(struct engine *engine, struct request *request,
                                    struct bytes body);

/*
 * A record as it is shown, rendered at most once for each form that somebody wants; in the thread's
 * scratch, so there is one at a time.
 */
struct record_view {
    struct bytes id;
    struct bytes document;
    struct bytes bodies[RECORD_FORM_COUNT]; /* data NULL: not rendered yet */
};

/* ---- read.c ---- */

MUST_USE enum status record_view_body(struct engine_thread *thread, struct record_view *view,
                                      enum record_form form, struct bytes *body_out);

void read_submit(struct shard *shard, struct request *request);
/* Starts a store thread's read for the key's row unless one runs; false when out of memory. */
bool read_start(struct shard *shard, struct key_state *key);
/* An apply on the key: readers are answered with the new state, the read's result will be thrown
 * away. */
void read_overtaken(struct shard *shard, struct key_state *key, const struct write *write,
                    struct record_view *view);
/* Fills the cache with what the store (or an apply) says; view NULL: absent at the record's epoch
 * and sequence. */
bool cache_fill(struct shard *shard, const struct collection *collection, uint64_t hash,
                struct bytes key, const struct row_record *record, struct record_view *view,
                enum record_form form);

/* ---- write.c ---- */

void write_submit(struct shard *shard, struct request *request);
/* The newest state was read: value is the row, or empty when status is NOT_FOUND. */
void write_resume(struct shard *shard, struct key_state *key, enum status status,
                  struct bytes value);
/* Applied, or refused by the journal (write->commit.status): answers it and its followers, and
 * frees it. */
void write_finish(struct write *write, struct record_view *view);

/* ---- apply.c ---- */

/* True when there is more to apply at once. */
bool apply_step(struct shard *shard);
/* When it wants to run again; UINT64_MAX: when something happens. */
uint64_t apply_deadline(const struct shard *shard);
/* The rows that an entry changes; for replay too. entry->old_document is set where indexes need
 * it. */
void apply_batch_rows(struct shard *shard, struct store_batch *batch,
                      const struct collection *collection, const struct entry *entry,
                      uint64_t epoch);

/* The store will take nothing more until a restart. What is committed and not applied is answered
 * OUTCOME_UNKNOWN: it is in the journal, and the next start applies it. */
void shard_fail(struct shard *shard, enum status status);
static inline bool shard_has_failed(const struct shard *shard)
{
    return atomic_load_explicit(&shard->failure, memory_order_relaxed) != STATUS_OK;
}
/* The applied position, in the same batch as the rows. */
void apply_position_row(struct shard *shard, struct store_batch *batch, uint64_t epoch,
                        uint64_t sequence);

/* ---- flush.c ---- */

/* True: it wants to go on now, though nothing comes. */
bool flush_step(struct shard *shard);
uint64_t flush_deadline(const struct shard *shard);
/* Entries that a crash now would have to replay begin here; committed + 1 when there are none. */
uint64_t flush_needed_from(const struct shard *shard);
bool flush_idle(const struct shard *shard);

/* ---- follow.c ---- */

/* At the end of a turn in which something was applied. */
void follow_publish(struct engine_thread *thread);
/* Before that. */
void follow_applied_internal(struct engine *engine, uint64_t sequence);

/* ---- pages.c ---- */

void pages_submit(struct engine_thread *thread, struct request *request);
void pages_step(struct engine_thread *thread);
uint32_t generation_of_collection(const struct collection *collection);
uint32_t generation_of_index(const struct collection *collection, struct bytes field,
                             struct bytes value);

#endif
