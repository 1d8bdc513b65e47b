/*
 * From memtable to files, by our own decision: when a memtable is large, when its oldest entry
 * keeps too much of the journal from being recycled, and at the end.
 *
 * The store must never be persisted ahead of the journal. So the write buffer before it is held,
 * with all in the memtable that was applied, from before the journal is asked to sync until the
 * memtable is closed; with durability `sync` whatever is applied is durable already. Applies go on
 * meanwhile, into the buffer:
 *
 *     IDLE -> DRAINING (the buffer goes into the memtable) -> SYNCING (unless durable)
 *          -> CLOSING (a store thread switches the memtable) -> the buffer is released
 *          -> WAITING (the same job waits for the files) -> IDLE, with a new persisted position
 *
 * At most EXECUTOR_WAITS_MAX shards are on this way at a time. Shards fill alike, so without that
 * bound all store threads would wait for flushes together, and reads behind them; RocksDB writes
 * one file at a time anyhow. Who finds no place looks again in its next turn.
 *
 * The same store threads are asked now and then whether RocksDB is about to refuse writes.
 */
#include "engine/shard/shard_internal.h"

#define FLUSH_RETRY_NS 1000000000ull

/* With no more rows than this in the buffer it is held at once; they take less than a
 * millisecond. */
#define FLUSH_BUFFER_ROWS 256

static void close_came_back(struct message *message);

/* ---- on a store thread ---- */

static void persisted_read(struct shard *shard)
{
    uint8_t key_bytes[1];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_applied_key(&key);
    struct store_value value;
    shard->flush_status = store_get_persisted(shard->store, writer_bytes(&key), &value);
    if (shard->flush_status != STATUS_OK) {
        return;
    }
    uint64_t epoch;
    shard->flush_status = row_applied_read(value.bytes, &epoch, &shard->flush_persisted);
    store_value_release(shard->store, &value);
}

static void wait_run(struct store_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, flush_job);
    shard->flush_status = store_flush_wait(shard->store);
    if (shard->flush_status == STATUS_OK) {
        persisted_read(shard);
    }
}

static void close_run(struct store_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, flush_job);
    shard->flush_status = store_flush_begin(shard->store);
}

/* ---- on the shard's thread ---- */

static void job_start(struct shard *shard, void (*run)(struct store_job *),
                      void (*receive)(struct message *))
{
    shard->flush_job = (struct store_job){
        .message = {.receive = receive},
        .reply_to = &shard->thread->mailbox,
        .run = run,
    };
    executor_submit(shard->engine->options.executor, &shard->flush_job);
}

static bool place_take(struct engine *engine)
{
    uint32_t running = atomic_load_explicit(&engine->flushes_running, memory_order_relaxed);
    while (running < EXECUTOR_WAITS_MAX) {
        if (atomic_compare_exchange_weak(&engine->flushes_running, &running, running + 1)) {
            return true;
        }
    }
    return false;
}

static void flush_end(struct shard *shard)
{
    ASSERT(shard->flush_stage != FLUSH_IDLE);
    shard->flush_stage = FLUSH_IDLE;
    uint32_t running = atomic_fetch_sub(&shard->engine->flushes_running, 1);
    ASSERT(running > 0 && running <= EXECUTOR_WAITS_MAX);
}

/* The memtable is closed, or will not be: what waits in the buffer may go on. */
static void buffer_release(struct shard *shard)
{
    store_buffer_release(shard->buffer);
    shard->apply_retry_at_ns = 0;
}

static void flush_failed(struct shard *shard)
{
    flush_end(shard);
    shard->unflushed_bytes += shard->flush_bytes; /* still there, and still wanting to be flushed */
    shard->flush_bytes = 0;
    shard->flush_retry_at_ns = shard->thread->now_ns + FLUSH_RETRY_NS;
    shard->watched_applied = UINT64_MAX; /* ask the store whether that was for good */
}

static void wait_came_back(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct shard *shard = CONTAINER_OF(job, struct shard, flush_job);
    ASSERT(shard->flush_stage == FLUSH_WAITING);
    if (shard->flush_status != STATUS_OK) {
        flush_failed(shard);
        return;
    }
    ASSERT(shard->flush_persisted <= shard->flush_applied); /* not ahead of the sync */
    atomic_store_explicit(&shard->persisted, shard->flush_persisted, memory_order_release);
    atomic_fetch_add_explicit(&shard->flushes, 1, memory_order_relaxed);
    flush_end(shard);
    shard->flush_bytes = 0;
    shard->unflushed_mark = shard->flush_mark;
    if (shard->flush_persisted == atomic_load(&shard->applied)) {
        shard->unflushed_bytes = 0;
    }
}

static void close_came_back(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct shard *shard = CONTAINER_OF(job, struct shard, flush_job);
    ASSERT(shard->flush_stage == FLUSH_CLOSING);
    buffer_release(shard);
    if (shard->flush_status != STATUS_OK) {
        flush_failed(shard);
        return;
    }
    shard->flush_stage = FLUSH_WAITING;
    job_start(shard, wait_run, wait_came_back);
}

static void memtable_close(struct shard *shard)
{
    shard->flush_stage = FLUSH_CLOSING;
    job_start(shard, close_run, close_came_back);
}

static void sync_came_back(struct message *message)
{
    struct journal_sync *sync = CONTAINER_OF(message, struct journal_sync, message);
    struct shard *shard = CONTAINER_OF(sync, struct shard, flush_sync);
    ASSERT(shard->flush_stage == FLUSH_SYNCING);
    if (sync->status != STATUS_OK) {
        buffer_release(shard);
        flush_failed(shard);
        return;
    }
    ASSERT(sync->durable_sequence >= shard->flush_applied);
    memtable_close(shard);
}

static bool flush_wanted(const struct shard *shard)
{
    const struct engine *engine = shard->engine;
    if (shard->unflushed_bytes == 0 ||
        atomic_load(&shard->applied) == atomic_load(&shard->persisted)) {
        return false;
    }
    uint64_t behind =
        atomic_load_explicit(&engine->applied_bytes, memory_order_relaxed) - shard->unflushed_mark;
    return shard->unflushed_bytes > engine->options.memtable_bytes_max ||
           behind > engine->options.journal_tail_max ||
           (atomic_load_explicit(&engine->draining, memory_order_relaxed) &&
            shard->committed_count == 0);
}

/* What is applied from here on is not in this flush. */
static void flush_mark(struct shard *shard)
{
    shard->flush_applied = atomic_load(&shard->applied);
    shard->flush_mark = atomic_load_explicit(&shard->engine->applied_bytes, memory_order_relaxed);
    shard->flush_bytes = shard->unflushed_bytes;
    shard->unflushed_bytes = 1; /* not nothing: unflushed_mark stays where it is */
}

/* The buffer is held. */
static void flush_start(struct shard *shard)
{
    flush_mark(shard);
    struct journal *journal = shard->engine->journal;
    bool durable = shard->engine->options.journal_durable_on_commit;
#ifdef FRESHET_PLANT_FLUSH_UNSYNCED
    durable = true;
#endif
    if (durable) {
        memtable_close(shard);
        return;
    }
    shard->flush_stage = FLUSH_SYNCING;
    shard->flush_sync = (struct journal_sync){
        .message = {.receive = sync_came_back},
        .reply_to = &shard->thread->mailbox,
    };
    journal_sync_submit(journal, &shard->flush_sync);
}

/* ---- is the store about to refuse? ---- */

static void watch_run(struct store_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, watch_job);
    store_statistics_read(shard->store, &shard->watch_result);
}

static void watch_came_back(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct shard *shard = CONTAINER_OF(job, struct shard, watch_job);
    const struct store_statistics *result = &shard->watch_result;
    shard->watch_running = false;
    shard->watch_at_ns = shard->thread->now_ns + STORE_WATCH_NS;
    atomic_store_explicit(&shard->stalled, result->stalled, memory_order_relaxed);
    if (result->failure != STATUS_OK && !shard_has_failed(shard)) {
        atomic_store_explicit(&shard->failure_text, result->failure_text, memory_order_release);
        shard_fail(shard, result->failure);
    }
    atomic_store_explicit(&shard->memtable_bytes, result->memtable_bytes, memory_order_relaxed);
    atomic_store_explicit(&shard->files_bytes, result->files_bytes, memory_order_relaxed);
    atomic_store_explicit(&shard->block_cache_bytes, result->block_cache_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&shard->level0_files, result->level0_files, memory_order_relaxed);
    atomic_store_explicit(&shard->unflushed_memtables, result->unflushed_memtables,
                          memory_order_relaxed);
    atomic_store_explicit(&shard->pending_compaction_bytes, result->pending_compaction_bytes,
                          memory_order_relaxed);
}

/* Only while there are writes, or while it said that it is stalled: a quiet server asks nothing. */
static bool watch_wanted(const struct shard *shard)
{
    return !shard->watch_running && !shard_has_failed(shard) &&
           (shard->watched_applied != atomic_load(&shard->applied) ||
            atomic_load_explicit(&shard->stalled, memory_order_relaxed));
}

static void watch_step(struct shard *shard)
{
    if (!watch_wanted(shard) || shard->thread->now_ns < shard->watch_at_ns) {
        return;
    }
    shard->watch_running = true;
    shard->watched_applied = atomic_load(&shard->applied);
    shard->watch_job = (struct store_job){
        .message = {.receive = watch_came_back},
        .reply_to = &shard->thread->mailbox,
        .run = watch_run,
    };
    executor_submit(shard->engine->options.executor, &shard->watch_job);
}

/* Most of the buffer goes on its way in steps, the rest at once. Where it cannot, the place goes to
 * another shard, and the thread sleeps: nothing tells it when a store accepts again, or an iterator
 * is gone. */
static bool draining_step(struct shard *shard)
{
    ASSERT(shard->flush_stage == FLUSH_DRAINING);
    bool is_little = store_buffer_rows(shard->buffer) <= FLUSH_BUFFER_ROWS;
    enum status status =
        is_little ? store_buffer_hold(shard->buffer) : store_buffer_hasten(shard->buffer);
    if (status == STATUS_OK) {
        if (is_little) {
            flush_start(shard);
        }
        return !is_little;
    }
    flush_end(shard);
    /* A store that failed says so to the next apply. */
    uint64_t retry_ns = status == STATUS_BUSY ? APPLY_RETRY_NS : FLUSH_RETRY_NS;
    shard->flush_retry_at_ns = shard->thread->now_ns + retry_ns;
    return false;
}

bool flush_step(struct shard *shard)
{
    watch_step(shard);
    if (shard->flush_stage == FLUSH_IDLE && shard->thread->now_ns >= shard->flush_retry_at_ns &&
        flush_wanted(shard) && place_take(shard->engine)) {
        shard->flush_stage = FLUSH_DRAINING;
    }
    return shard->flush_stage == FLUSH_DRAINING && draining_step(shard);
}

uint64_t flush_deadline(const struct shard *shard)
{
    uint64_t deadline = UINT64_MAX;
    if (watch_wanted(shard)) {
        deadline = shard->watch_at_ns;
    }
    if (shard->flush_stage == FLUSH_IDLE && shard->unflushed_bytes > 0) {
        uint64_t now_ns = shard->thread->now_ns;
        uint64_t look_at_ns =
            shard->flush_retry_at_ns > now_ns ? shard->flush_retry_at_ns : now_ns + FLUSH_RETRY_NS;
        deadline = look_at_ns < deadline ? look_at_ns : deadline;
    }
    return deadline;
}

uint64_t flush_needed_from(const struct shard *shard)
{
    const struct journal *journal = shard->engine->journal;
    uint64_t everything = journal_committed(journal);
    uint64_t committed = journal_shard_committed(journal, shard->number);
    uint64_t applied = atomic_load_explicit(&shard->applied, memory_order_acquire);
    uint64_t persisted = atomic_load_explicit(&shard->persisted, memory_order_acquire);
    return applied > persisted || committed > applied ? persisted + 1 : everything + 1;
}

bool flush_idle(const struct shard *shard)
{
    return shard->flush_stage == FLUSH_IDLE && !shard->watch_running;
}
