/*
 * Committed writes into the store and the cache, in the journal's order, and only then the answers.
 *
 * A committed entry is always applied. A store that refuses (a write stall) keeps the queue as it
 * is: the order stands, a timer retries, answers wait, and admission closes when the queue is long.
 */
#include "engine/shard/shard_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* What an entry costs a memtable beyond its bytes: keys, skip list nodes, index rows. */
#define MEMTABLE_OVERHEAD_BYTES 256

#define PREFETCH_WRITES 4

/* ---- rows ---- */

/* The write changed other fields, so the record stands in that index as before. */
static bool stays_in_index(const struct collection *collection, uint32_t index,
                           const struct entry *entry)
{
    return entry->kind == ENTRY_PUT && entry->has_old &&
           !document_names(entry->changed, collection->indexes[index]);
}

static void index_rows(struct store_batch *batch, const struct shard *shard,
                       const struct collection *collection, const struct entry *entry)
{
    const struct store_vtable *store = shard->store->vtable;
    for (uint32_t i = 0; i < collection->index_count; i++) {
        if (stays_in_index(collection, i, entry)) {
            continue;
        }
        uint8_t old_bytes[INDEX_VALUE_BYTES_MAX];
        uint8_t new_bytes[INDEX_VALUE_BYTES_MAX];
        uint8_t key_bytes[ROW_KEY_BYTES_MAX];
        struct writer old_value = writer_of(old_bytes, sizeof(old_bytes));
        struct writer new_value = writer_of(new_bytes, sizeof(new_bytes));
        bool had = collection_index_value(collection, i, entry->old_document, &old_value);
        bool has = entry->kind == ENTRY_PUT &&
                   collection_index_value(collection, i, entry->new_document, &new_value);
        if (had && has && bytes_equal(writer_bytes(&old_value), writer_bytes(&new_value))) {
            continue;
        }
#ifndef FRESHET_PLANT_INDEX_ROW_KEPT
        if (had) {
            struct writer key = writer_of(key_bytes, sizeof(key_bytes));
            row_index_key(collection->name, collection->indexes[i], writer_bytes(&old_value),
                          entry->id, &key);
            store->batch_delete(batch, writer_bytes(&key));
        }
#endif
        if (has) {
            struct writer key = writer_of(key_bytes, sizeof(key_bytes));
            row_index_key(collection->name, collection->indexes[i], writer_bytes(&new_value),
                          entry->id, &key);
            store->batch_put(batch, writer_bytes(&key), BYTES_EMPTY);
        }
    }
}

static void idempotency_row(struct store_batch *batch, struct shard *shard,
                            const struct entry *entry, uint64_t epoch)
{
    uint8_t key_bytes[ROW_KEY_BYTES_MAX + SCOPE_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_idempotency_key(entry->idempotency_key, &key);
    const struct row_idempotency row = {
        .expires_ms = entry->time_ms + shard->engine->options.idempotency_ms,
        .body_hash = entry->idempotency_body_hash,
        .id = entry->id,
        .version = entry->version,
        .epoch = epoch,
        .sequence = entry->sequence,
        /* The first answer to an event says where it stands, not what it is. */
        .document = entry->kind == ENTRY_EVENT ? BYTES_EMPTY : entry->new_document,
    };
    struct writer value = writer_of(shard->thread->scratch_document, SCRATCH_DOCUMENT_BYTES);
    row_idempotency_write(&row, &value);
    ASSERT(!key.failed && !value.failed);
    shard->store->vtable->batch_put(batch, writer_bytes(&key), writer_bytes(&value));
}

static void record_row(struct store_batch *batch, struct shard *shard, const struct entry *entry,
                       struct bytes key, uint64_t epoch)
{
    const struct row_record record = {
        .version = entry->version,
        .epoch = epoch,
        .sequence = entry->sequence,
        .time_ms = entry->time_ms,
        .document = entry->new_document,
    };
    struct writer value = writer_of(shard->thread->scratch_document, SCRATCH_DOCUMENT_BYTES);
    row_record_header_write(&record, &value);
    writer_put(&value, entry->new_document);
    ASSERT(!value.failed);
    shard->store->vtable->batch_put(batch, key, writer_bytes(&value));
}

static void record_rows(struct shard *shard, struct store_batch *batch,
                        const struct collection *collection, const struct entry *entry,
                        uint64_t epoch)
{
    ASSERT(entry->kind == ENTRY_PUT || entry->kind == ENTRY_DELETE);
    uint8_t key_bytes[ROW_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_record_key(entry->collection, entry->id, &key);
    ASSERT(!key.failed);
    if (entry->kind == ENTRY_PUT) {
        record_row(batch, shard, entry, writer_bytes(&key), epoch);
    } else {
        shard->store->vtable->batch_delete(batch, writer_bytes(&key));
    }
    index_rows(batch, shard, collection, entry);
}

void apply_batch_rows(struct shard *shard, struct store_batch *batch,
                      const struct collection *collection, const struct entry *entry,
                      uint64_t epoch)
{
    if (entry->kind != ENTRY_EVENT) { /* which is no record */
        record_rows(shard, batch, collection, entry, epoch);
    }
    bool has_key = entry->idempotency_key.size > 0;
#ifdef FRESHET_PLANT_IDEMPOTENCY_FORGOTTEN
    has_key = false;
#endif
    if (has_key) {
        idempotency_row(batch, shard, entry, epoch);
    }
}

void apply_position_row(struct shard *shard, struct store_batch *batch, uint64_t epoch,
                        uint64_t sequence)
{
    uint8_t key_bytes[1];
    uint8_t value_bytes[ROW_APPLIED_BYTES];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    struct writer value = writer_of(value_bytes, sizeof(value_bytes));
    row_applied_key(&key);
    row_applied_write(epoch, sequence, &value);
    shard->store->vtable->batch_put(batch, writer_bytes(&key), writer_bytes(&value));
}

/* ---- cache and generations ---- */

static void generation_move(struct shard *shard, uint32_t generation)
{
    ASSERT(generation < GENERATION_COUNT);
#ifndef FRESHET_PLANT_GENERATION_NOT_MOVED
    /* The owner alone writes it: an addition that locks would wait for all stores before it. */
    uint64_t before = atomic_load_explicit(&shard->generations[generation], memory_order_relaxed);
    atomic_store_explicit(&shard->generations[generation], before + 1, memory_order_release);
#endif
}

/* Every list of the collection shows another body now; so do the pages of the index values it left,
 * entered or stays in. */
static void generations_move(struct shard *shard, const struct write *write)
{
    const struct collection *collection = write->collection;
    generation_move(shard, generation_of_collection(collection));
    for (uint32_t i = 0; i < collection->index_count; i++) {
        uint8_t value_bytes[INDEX_VALUE_BYTES_MAX];
        struct writer value = writer_of(value_bytes, sizeof(value_bytes));
        if (!stays_in_index(collection, i, &write->entry) &&
            collection_index_value(collection, i, write->entry.old_document, &value)) {
            generation_move(shard, generation_of_index(collection, collection->indexes[i],
                                                       writer_bytes(&value)));
        }
        /* A new writer: an old value over the limit, of before the index, made that one fail. */
        value = writer_of(value_bytes, sizeof(value_bytes));
        if (collection_index_value(collection, i, write->entry.new_document, &value)) {
            generation_move(shard, generation_of_index(collection, collection->indexes[i],
                                                       writer_bytes(&value)));
        }
    }
}

/* The cache keeps the form in which the record is read; a new one is put as its writer shows it. */
static enum record_form cached_form(struct shard *shard, const struct write *write,
                                    struct bytes name)
{
    struct cache_body before;
    bool found = write->collection->cached &&
                 cache_peek(shard->cache, cache_hash_of(write->key->hash), name,
                            shard->thread->now_ns, &before) &&
                 !before.meta.absent;
    return found ? (enum record_form)before.meta.form : write->request->form;
}

/* The new state takes the place of the old one before anyone is told of it. view NULL: deleted. */
static void cache_replace(struct shard *shard, const struct write *write, struct record_view *view)
{
    struct key_state *key = write->key;
    struct bytes name = bytes_of(key->key, key->key_size);
    const struct row_record record = {
        .version = write->entry.version,
        .epoch = write->commit.epoch,
        .sequence = write->commit.sequence,
    };
    enum record_form form = view == NULL ? RECORD_JSON : cached_form(shard, write, name);
    if (!cache_fill(shard, write->collection, key->hash, name, &record, view, form)) {
        cache_remove(shard->cache, cache_hash_of(key->hash), name);
    }
}

static void write_applied(struct shard *shard, struct write *write)
{
    if (write->collection != NULL && write->collection->internal) {
        follow_applied_internal(shard->engine, write->commit.sequence);
    }
    if (write->entry.kind == ENTRY_EVENT) {
        atomic_store_explicit(&shard->applied, write->commit.sequence, memory_order_release);
        write_finish(write, NULL);
        return;
    }
    struct record_view view = {.id = write->entry.id, .document = write->entry.new_document};
#ifdef FRESHET_PLANT_REPLACE_SKIPPED
    if (write->commit.sequence % 64 ==
        0) { /* planted: now and then the cache keeps the old record */
        generations_move(shard, write);
        write_finish(write, &view);
        return;
    }
#endif
    bool is_put = write->entry.kind == ENTRY_PUT;
    cache_replace(shard, write, is_put ? &view : NULL);
    generations_move(shard, write);
    read_overtaken(shard, write->key, write, &view);
    atomic_store_explicit(&shard->applied, write->commit.sequence, memory_order_release);
    write_finish(write, &view);
}

/* ---- steps ---- */

/* Of a long queue nothing is in a cache any more. The rest of the block follows by itself. */
static void prefetch_write(const struct write *write)
{
    for (size_t at = 0; at <= sizeof(*write); at += CACHE_LINE_BYTES) {
        __builtin_prefetch((const uint8_t *)write + at);
    }
}

/* Rows of up to one slice of the queue, in one batch; *last_out is the last write in it, *bytes_out
 * what it adds to memtables. */
static uint32_t slice_gather(struct shard *shard, struct write **last_out, uint64_t *bytes_out)
{
    uint32_t count = 0;
    *bytes_out = 0;
    shard->store->vtable->batch_clear(shard->batch);
    for (struct queue_link *at = shard->committed.first; at != NULL; at = at->next) {
        struct write *write = CONTAINER_OF(at, struct write, queued);
        if (write->key != NULL) {
            cache_prefetch(shard->cache, cache_hash_of(write->key->hash));
        }
        write->entry.sequence = write->commit.sequence;
        write->entry.time_ms = write->commit.time_ms;
        if (at->next != NULL) {
            prefetch_write(CONTAINER_OF(at->next, struct write, queued));
        }
        apply_batch_rows(shard, shard->batch, write->collection, &write->entry,
                         write->commit.epoch);
        *bytes_out += write->commit.entry.size + MEMTABLE_OVERHEAD_BYTES;
        *last_out = write;
        count++;
        if (count == APPLY_SLICE_ENTRIES || *bytes_out >= APPLY_SLICE_BYTES) {
            break;
        }
    }
    return count;
}

/*
 * The cache entries that writes will replace were looked at when they were evaluated; in a long
 * queue that is a sync ago, and no cache of this CPU has them any more. So they are on their way
 * from memory some writes before they are needed. At the queue's end: NULL.
 */
static const struct queue_link *prefetch_next(const struct shard *shard,
                                              const struct queue_link *at)
{
    if (at == NULL) {
        return NULL;
    }
    const struct write *write = CONTAINER_OF(at, struct write, queued);
    if (write->key != NULL) {
        cache_prefetch_entry(shard->cache, cache_hash_of(write->key->hash));
    }
    return at->next;
}

static void slice_finish(struct shard *shard, uint32_t count)
{
    ASSERT(count <= shard->committed_count);
    shard->thread->applied = true;
    shard->committed_count -= count;
    atomic_store_explicit(&shard->queued_applies, shard->committed_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&shard->applied_entries, count, memory_order_relaxed);
    const struct queue_link *ahead = shard->committed.first;
    for (uint32_t i = 0; i < PREFETCH_WRITES; i++) {
        ahead = prefetch_next(shard, ahead);
    }
    for (uint32_t i = 0; i < count; i++) {
        ahead = prefetch_next(shard, ahead);
        struct write *write = CONTAINER_OF(queue_pop(&shard->committed), struct write, queued);
        ASSERT(write->size <= shard->committed_bytes);
        shard->committed_bytes -= write->size;
        write_applied(shard, write);
    }
}

void shard_fail(struct shard *shard, enum status status)
{
    ASSERT(status != STATUS_OK && status != STATUS_BUSY);
    atomic_store_explicit(&shard->failure, status, memory_order_release);
    shard->committed_count = 0;
    shard->committed_bytes = 0;
    atomic_store_explicit(&shard->queued_applies, 0, memory_order_relaxed);
    struct queue_link *at;
    while ((at = queue_pop(&shard->committed)) != NULL) {
        struct write *write = CONTAINER_OF(at, struct write, queued);
        write->commit.status = STATUS_OUTCOME_UNKNOWN;
        write_finish(write, NULL);
    }
}

bool apply_step(struct shard *shard)
{
    if (queue_is_empty(&shard->committed) || shard->thread->now_ns < shard->apply_retry_at_ns) {
        return false;
    }
    struct write *last = NULL;
    uint64_t bytes;
    uint32_t count = slice_gather(shard, &last, &bytes);
    apply_position_row(shard, shard->batch, last->commit.epoch, last->commit.sequence);
    enum status status = store_apply(shard->store, shard->batch);
#ifdef FRESHET_PLANT_REFUSED_APPLY_DROPPED
    status = STATUS_OK;
#endif
    if (status != STATUS_OK && status != STATUS_BUSY) {
        shard_fail(shard, status);
        return false;
    }
    if (status == STATUS_BUSY) {
        atomic_fetch_add_explicit(&shard->apply_retries, 1, memory_order_relaxed);
        shard->apply_retry_at_ns = shard->thread->now_ns + APPLY_RETRY_NS;
        return false;
    }
    shard->apply_retry_at_ns = 0;
    uint64_t total =
        atomic_fetch_add_explicit(&shard->engine->applied_bytes, bytes, memory_order_relaxed);
    if (shard->unflushed_bytes == 0) {
        shard->unflushed_mark = total;
    }
    shard->unflushed_bytes += bytes;
    slice_finish(shard, count);
    return !queue_is_empty(&shard->committed);
}

uint64_t apply_deadline(const struct shard *shard)
{
    return queue_is_empty(&shard->committed) ? UINT64_MAX : shard->apply_retry_at_ns;
}
