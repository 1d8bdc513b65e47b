/*
 * store.h: the ordered key-value store under one shard: its records, index rows, idempotency rows
 * and applied position.
 *
 * Two implementations under one test suite: RocksDB (the only user of rocksdb/c.h; no WAL of its
 * own, because the journal is the log) and memory, for the simulator: unflushed data dies in its
 * crash, reads answer WOULD_BLOCK and applies BUSY on demand.
 *
 * Owner:     one shard's thread applies, gets from memory and creates iterators; those calls never
 *            do I/O. Calls marked "blocking" belong on a store thread, one at a time per kind; they
 *            may run beside the owner's calls.
 * Invariant: what a crash leaves is a prefix of the history of applies, never a batch's half: one
 *            column family, one writer, flushed only by store_flush. Who calls store_flush_begin
 *            has made sure that the journal is durable up to all that was applied until then.
 * Failure:   a flush that failed fails every later one, and nothing is persisted any more: what
 *            RocksDB would write in a recovery of its own may be ahead of the journal. Reads go on;
 *            the way out is a restart, which replays.
 * Tests:     tests/unit/engine/store/ (both implementations).
 */
#ifndef FRESHET_ENGINE_STORE_STORE_H
#define FRESHET_ENGINE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

struct store_options {
    const char *path; /* of this shard's folder; made when it is not there. NULL for memory */
    uint64_t block_cache_bytes; /* shared by the shards through block_cache */
    struct store_block_cache *block_cache;
    uint64_t flush_bytes; /* about what a flush writes, by which the levels are sized; 0: 32 MiB */
    /* 'idempotency' rows (first key byte 'i') whose first 8 value bytes (big-endian expiry, Unix
     * ms) are below this function's result may be dropped in compactions. */
    uint64_t (*expiry_horizon_ms)(void *context);
    void *expiry_context;
    bool tight; /* tests: triggers so tight that stalls happen soon */
};

/* One block cache for all shards of a process. */
struct store_block_cache;
struct store_block_cache *store_block_cache_create(uint64_t bytes);
void store_block_cache_destroy(struct store_block_cache **cache);

/* A value that stays where the store has it until it is released. */
struct store_value {
    struct bytes bytes;
    void *pin; /* the store's */
};

struct store_batch;
struct store_iterator;
struct store;

struct store_statistics {
    uint64_t memtable_bytes; /* not yet flushed */
    uint64_t unflushed_memtables;
    uint64_t files_bytes;
    uint64_t block_cache_bytes;
    uint64_t level0_files;
    uint64_t pending_compaction_bytes;
    bool stalled;        /* writes are, or are about to be, refused: admission closes on this */
    enum status failure; /* OK, or why nothing is persisted any more, until a restart */
    const char *failure_text; /* for people, the store's; NULL while all is well */
};

struct store_vtable {
    enum status (*get)(struct store *store, struct bytes key, bool may_block,
                       struct store_value *value_out);
    void (*value_release)(struct store *store, struct store_value *value);
    struct store_batch *(*batch_create)(struct store *store);
    void (*batch_put)(struct store_batch *batch, struct bytes key, struct bytes value);
    void (*batch_delete)(struct store_batch *batch, struct bytes key);
    void (*batch_clear)(struct store_batch *batch);
    void (*batch_destroy)(struct store_batch *batch);
    enum status (*apply)(struct store *store, struct store_batch *batch);
    enum status (*iterator_create)(struct store *store, struct store_iterator **out);
    void (*iterator_seek)(struct store_iterator *iterator, struct bytes key);
    void (*iterator_next)(struct store_iterator *iterator);
    bool (*iterator_valid)(const struct store_iterator *iterator);
    struct bytes (*iterator_key)(const struct store_iterator *iterator);
    struct bytes (*iterator_value)(const struct store_iterator *iterator);
    enum status (*iterator_status)(const struct store_iterator *iterator);
    void (*iterator_destroy)(struct store_iterator *iterator);
    enum status (*flush_begin)(struct store *store);
    enum status (*flush_wait)(struct store *store);
    enum status (*get_persisted)(struct store *store, struct bytes key,
                                 struct store_value *value_out);
    enum status (*verify)(struct store *store, char *text_out, size_t text_size);
    void (*statistics)(struct store *store, struct store_statistics *out);
    void (*destroy)(struct store *store);
};

struct store {
    const struct store_vtable *vtable;
};

/* Blocking. On failure *out is NULL and text_out says what to do, for people. */
MUST_USE enum status store_rocksdb_open(const struct store_options *options, struct store **out,
                                        char *text_out, size_t text_size);
MUST_USE enum status store_memory_open(struct store **out);

/* Owner, no I/O when !may_block: OK, NOT_FOUND, or WOULD_BLOCK when memory does not know. With
 * may_block: blocking, and only for what such a get did not know: a store behind a write buffer may
 * not have yet what was applied last (buffer.h). */
MUST_USE static inline enum status store_get(struct store *store, struct bytes key, bool may_block,
                                             struct store_value *value_out)
{
    return store->vtable->get(store, key, may_block, value_out);
}

static inline void store_value_release(struct store *store, struct store_value *value)
{
    store->vtable->value_release(store, value);
}

/* Reused for many applies. Keys and values are copied in. */
static inline struct store_batch *store_batch_create(struct store *store)
{
    return store->vtable->batch_create(store);
}

/* Owner. All of the batch or nothing; BUSY: refused, nothing changed, try again later. The batch is
 * left as it is. */
MUST_USE static inline enum status store_apply(struct store *store, struct store_batch *batch)
{
    return store->vtable->apply(store, batch);
}

/* Owner: an iterator over the state as of now, whatever is applied later. Then it may go to a store
 * thread (seek and next block), one thread at a time; destroyed on any thread. */
MUST_USE static inline enum status store_iterator_create(struct store *store,
                                                         struct store_iterator **out)
{
    return store->vtable->iterator_create(store, out);
}

/* Blocking: closes the memtable; all that is applied so far will be persisted, nothing that comes
 * after. Returns when later applies go to a new memtable. BUSY: too many closed memtables or files
 * wait already; nothing was closed, try again later (it never waits for a stall to end). */
MUST_USE static inline enum status store_flush_begin(struct store *store)
{
    return store->vtable->flush_begin(store);
}

/* Blocking: returns when what flush_begin closed is on stable storage. */
MUST_USE static inline enum status store_flush_wait(struct store *store)
{
    return store->vtable->flush_wait(store);
}

/* Blocking: the value that a crash now would leave; NOT_FOUND also when it was only ever in
 * memory. */
MUST_USE static inline enum status store_get_persisted(struct store *store, struct bytes key,
                                                       struct store_value *value_out)
{
    return store->vtable->get_persisted(store, key, value_out);
}

static inline void store_statistics_read(struct store *store, struct store_statistics *out)
{
    store->vtable->statistics(store, out);
}

/* Blocking: reads every block from its file where no cache has it and compares checksums. DAMAGED:
 * text_out names what. */
MUST_USE static inline enum status store_verify(struct store *store, char *text_out,
                                                size_t text_size)
{
    return store->vtable->verify(store, text_out, text_size);
}

/* Accepts NULL; flushes nothing. Iterators and values of the store are gone before. */
void store_destroy(struct store **store);

#endif
