/*
 * At start: what the journal has and a store has not, then indexes that the configuration has and a
 * store has not.
 *
 * Entries carry results, so replay evaluates nothing: each is the rows it changes. It runs before
 * any thread does, on the main thread, and may block.
 *
 * A row 'd' collection 00 field says that the index rows of that field are complete. A field
 * declared later is built by one scan; one that is no longer declared loses its mark, because
 * nobody keeps its rows up to date.
 */
#include <sched.h>

#include "engine/shard/shard_internal.h"
#include "protocol/document/document.h"

#define REPLAY_BATCH_ENTRIES 256
#define REPLAY_BATCH_BYTES   (4u << 20)
/* Roughly what an index row takes of a memtable. */
#define ROW_MEMORY_BYTES 256
/* A store that refuses is asked again this often, yielding in between, before start-up gives up. */
#define REPLAY_RETRIES_MAX 10000000

struct replay_shard {
    uint32_t count; /* entries in the shard's batch */
    uint64_t bytes;
    uint64_t epoch;
    uint64_t sequence;
};

struct replay {
    struct engine *engine;
    struct detail *detail;
    uint64_t entries;
    struct replay_shard shards[SHARD_COUNT_MAX];
};

/* ---- the store, with patience ---- */

/* All that the journal gave back at its opening is on stable storage, so the store may follow. */
static enum status flush_now(struct shard *shard)
{
    enum status status = store_flush_begin(shard->store);
    for (int tries = 0; status == STATUS_BUSY && tries < REPLAY_RETRIES_MAX; tries++) {
        sched_yield();
        status = store_flush_begin(shard->store);
    }
    if (status == STATUS_OK) {
        status = store_flush_wait(shard->store);
    }
    if (status == STATUS_OK) {
        atomic_store(&shard->persisted, atomic_load(&shard->applied));
        atomic_fetch_add(&shard->flushes, 1);
        shard->unflushed_bytes = 0;
    }
    return status;
}

static enum status flush_if_large(struct shard *shard)
{
    bool large = shard->unflushed_bytes > shard->engine->options.memtable_bytes_max;
    return large ? flush_now(shard) : STATUS_OK;
}

/* Into the memtable, too: what is read here, and flushed, is looked for there. */
static enum status store_apply_patiently(struct shard *shard)
{
    enum status status = store_apply(shard->store, shard->batch);
    for (int tries = 0; status == STATUS_BUSY && tries < REPLAY_RETRIES_MAX; tries++) {
        sched_yield();
        status = store_apply(shard->store, shard->batch);
    }
    if (status == STATUS_OK) {
        status = store_buffer_settle(shard->buffer);
    }
    for (int tries = 0; status == STATUS_BUSY && tries < REPLAY_RETRIES_MAX; tries++) {
        sched_yield();
        status = store_buffer_settle(shard->buffer);
    }
    return status;
}

static enum status replay_apply(struct replay *replay, struct shard *shard)
{
    struct replay_shard *pending = &replay->shards[shard->number];
    if (pending->count == 0) {
        return STATUS_OK;
    }
    apply_position_row(shard, shard->batch, pending->epoch, pending->sequence);
    enum status status = store_apply_patiently(shard);
    if (status != STATUS_OK) {
        detail_set(replay->detail, "shard %u: replay to sequence %llu: %s", shard->number,
                   (unsigned long long)pending->sequence, status_text(status));
        return status;
    }
    atomic_store(&shard->applied, pending->sequence);
    shard->unflushed_bytes += pending->bytes;
    pending->count = 0;
    pending->bytes = 0;
    shard->store->vtable->batch_clear(shard->batch);
    return flush_if_large(shard);
}

/* ---- entries ---- */

static const struct collection *collection_named(const struct engine *engine, struct bytes name)
{
    for (uint32_t i = 0; i < engine->options.collection_count; i++) {
        if (bytes_equal(engine->options.collections[i].name, name)) {
            return &engine->options.collections[i];
        }
    }
    return NULL;
}

/* The old document of an entry that does not carry it, for its index rows; released by the
 * caller. */
static enum status old_document_find(struct shard *shard, const struct entry *entry,
                                     struct store_value *value_out, struct bytes *document_out)
{
    uint8_t key_bytes[ROW_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_record_key(entry->collection, entry->id, &key);
    enum status status = store_get(shard->store, writer_bytes(&key), true, value_out);
    if (status != STATUS_OK) {
        return status;
    }
    struct row_record record;
    status = row_record_read(value_out->bytes, &record);
    *document_out = record.document;
    return status;
}

static enum status replay_rows(struct replay *replay, struct shard *shard, struct entry *entry)
{
    static const struct collection no_indexes = {.index_count = 0};
    const struct collection *collection = collection_named(replay->engine, entry->collection);
    if (collection == NULL) {
        collection = &no_indexes; /* no longer in the configuration: its records stay */
    }
    struct store_value value = {.bytes = BYTES_EMPTY};
    enum status found = STATUS_NOT_FOUND;
    if (collection->index_count > 0 && entry->has_old && !entry->has_old_document) {
        enum status status = replay_apply(replay, shard);
        if (status != STATUS_OK) {
            return status;
        }
        found = old_document_find(shard, entry, &value, &entry->old_document);
        if (found != STATUS_OK) {
            return found == STATUS_NOT_FOUND ? STATUS_DAMAGED : found;
        }
    }
    apply_batch_rows(shard, shard->batch, collection, entry, replay->shards[shard->number].epoch);
    if (found == STATUS_OK) {
        store_value_release(shard->store, &value);
    }
    return STATUS_OK;
}

static uint64_t entry_bytes(const struct entry *entry)
{
    return entry->new_document.size + entry->old_document.size + ID_BYTES_MAX;
}

static enum status replay_entry(struct replay *replay, struct entry *entry)
{
    struct engine *engine = replay->engine;
    if (entry->kind == ENTRY_INTERNAL) {
        return STATUS_OK;
    }
#ifdef FRESHET_PLANT_EVENT_NOT_REPLAYED
    if (entry->kind == ENTRY_EVENT) {
        return STATUS_OK;
    }
#endif
    struct shard *shard = engine->shards[engine->shard_of_slot[entry->slot]];
    struct replay_shard *pending = &replay->shards[shard->number];
    uint64_t known = pending->count > 0 ? pending->sequence : atomic_load(&shard->applied);
#ifdef FRESHET_PLANT_DUPLICATE_APPLY
    if (entry->sequence == known && entry->kind == ENTRY_PUT) {
        /* Planted: the last entry of the store is applied on top of itself, and not counted. */
        entry->version++;
        replay->entries--;
        known--;
    }
#endif
    if (entry->sequence <= known) {
        return STATUS_OK;
    }
    ASSERT(entry->epoch > 0);
    pending->epoch = entry->epoch;
    if (pending->count == 0 && shard->unflushed_bytes == 0) {
        shard->unflushed_mark = atomic_load(&engine->applied_bytes);
    }
    enum status status = replay_rows(replay, shard, entry);
    if (status != STATUS_OK) {
        return status;
    }
    pending->sequence = entry->sequence;
    pending->count++;
    pending->bytes += entry_bytes(entry);
    replay->entries++;
    if (pending->count == REPLAY_BATCH_ENTRIES || pending->bytes >= REPLAY_BATCH_BYTES) {
        status = replay_apply(replay, shard);
    }
    return status;
}

static enum status journal_replay(struct replay *replay)
{
    struct engine *engine = replay->engine;
    uint64_t from = UINT64_MAX;
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        uint64_t applied = atomic_load(&engine->shards[i]->applied);
        from = applied + 1 < from ? applied + 1 : from;
#ifdef FRESHET_PLANT_DUPLICATE_APPLY
        from -= from > 1;
#endif
        engine->shards[i]->store->vtable->batch_clear(engine->shards[i]->batch);
    }
    struct journal_statistics statistics;
    journal_statistics_read(engine->journal, &statistics);
    if (from < statistics.oldest_sequence) {
        from = statistics.oldest_sequence; /* recycled: every shard had it in its files */
    }
    struct journal_reader *reader;
    enum status status = journal_reader_create(engine->journal, from, &reader);
    if (status != STATUS_OK) {
        detail_set(replay->detail, "the journal cannot be read from sequence %llu: %s",
                   (unsigned long long)from, status_text(status));
        return status;
    }
    struct entry entry;
    while ((status = journal_reader_next(engine->journal, reader, &entry)) == STATUS_OK) {
        uint64_t bytes = entry_bytes(&entry);
        status = replay_entry(replay, &entry);
        if (status != STATUS_OK) {
            break;
        }
        /* Those that a store has already, too: it is how far the oldest unflushed one is behind. */
        atomic_fetch_add(&engine->applied_bytes, bytes);
    }
    if (status == STATUS_DAMAGED && reader->problem.text[0] != '\0') {
        detail_set(replay->detail, "the journal is damaged: %s at %llu: %s", reader->problem.file,
                   (unsigned long long)reader->problem.offset, reader->problem.text);
    }
    journal_reader_destroy(engine->journal, reader);
    status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
    for (uint32_t i = 0; i < engine->options.shard_count && status == STATUS_OK; i++) {
        status = replay_apply(replay, engine->shards[i]);
    }
    return status;
}

/* ---- indexes ---- */

static void index_mark_key(struct bytes collection, struct bytes field, struct writer *out)
{
    writer_u8(out, 'd');
    writer_put(out, collection);
    writer_u8(out, 0);
    writer_put(out, field);
    ASSERT(!out->failed);
}

/* Applies the shard's batch without moving the applied position, when it has grown to a slice or
 * `last`. An index of many records must not stay in memory as a whole, so it may be flushed half
 * built: only its mark says that it is complete. */
static enum status rows_apply(struct shard *shard, uint32_t *count, bool last)
{
    if (*count == 0 || (*count < REPLAY_BATCH_ENTRIES && !last)) {
        return STATUS_OK;
    }
    shard->unflushed_bytes += (uint64_t)*count * ROW_MEMORY_BYTES;
    *count = 0;
    enum status status = store_apply_patiently(shard);
    shard->store->vtable->batch_clear(shard->batch);
    return status == STATUS_OK ? flush_if_large(shard) : status;
}

/* Deletes rows of a prefix: marks or index rows that nobody keeps any more. */
static enum status prefix_delete(struct shard *shard, struct bytes prefix)
{
    const struct store_vtable *store = shard->store->vtable;
    struct store_iterator *iterator;
    enum status status = store_iterator_create(shard->store, &iterator);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t count = 0;
    for (store->iterator_seek(iterator, prefix);
         status == STATUS_OK && store->iterator_valid(iterator) &&
         bytes_starts_with(store->iterator_key(iterator), prefix);
         store->iterator_next(iterator)) {
        store->batch_delete(shard->batch, store->iterator_key(iterator));
        count++;
        status = rows_apply(shard, &count, false);
    }
    if (status == STATUS_OK) {
        status = store->iterator_status(iterator);
    }
    store->iterator_destroy(iterator);
    return status == STATUS_OK ? rows_apply(shard, &count, true) : status;
}

static enum status index_fill(struct shard *shard, const struct collection *collection,
                              uint32_t index)
{
    const struct store_vtable *store = shard->store->vtable;
    uint8_t prefix_bytes[ROW_KEY_BYTES_MAX];
    struct writer prefix = writer_of(prefix_bytes, sizeof(prefix_bytes));
    row_record_prefix(collection->name, &prefix);
    struct store_iterator *iterator;
    enum status status = store_iterator_create(shard->store, &iterator);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t count = 0;
    store->iterator_seek(iterator, writer_bytes(&prefix));
    for (; status == STATUS_OK && store->iterator_valid(iterator); store->iterator_next(iterator)) {
        struct bytes key = store->iterator_key(iterator);
        if (!bytes_starts_with(key, writer_bytes(&prefix))) {
            break;
        }
        struct row_record record;
        status = row_record_read(store->iterator_value(iterator), &record);
        uint8_t value_bytes[INDEX_VALUE_BYTES_MAX];
        struct writer value = writer_of(value_bytes, sizeof(value_bytes));
        if (status != STATUS_OK ||
            !collection_index_value(collection, index, record.document, &value)) {
            continue; /* a value over the limit stands in no index */
        }
        uint8_t row_bytes[ROW_KEY_BYTES_MAX];
        struct writer row = writer_of(row_bytes, sizeof(row_bytes));
        row_index_key(collection->name, collection->indexes[index], writer_bytes(&value),
                      row_key_id(key, writer_bytes(&prefix)), &row);
        store->batch_put(shard->batch, writer_bytes(&row), BYTES_EMPTY);
        count++;
        status = rows_apply(shard, &count, false);
    }
    if (status == STATUS_OK) {
        status = store->iterator_status(iterator);
    }
    store->iterator_destroy(iterator);
    return status == STATUS_OK ? rows_apply(shard, &count, true) : status;
}

static enum status index_build(struct shard *shard, const struct collection *collection,
                               uint32_t index, bool *built_out)
{
    uint8_t mark_bytes[ROW_KEY_BYTES_MAX];
    struct writer mark = writer_of(mark_bytes, sizeof(mark_bytes));
    index_mark_key(collection->name, collection->indexes[index], &mark);
    struct store_value value;
    enum status status = store_get(shard->store, writer_bytes(&mark), true, &value);
    if (status == STATUS_OK) {
        store_value_release(shard->store, &value);
        return STATUS_OK;
    }
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    uint8_t prefix_bytes[ROW_KEY_BYTES_MAX];
    struct writer prefix = writer_of(prefix_bytes, sizeof(prefix_bytes));
    writer_u8(&prefix, 'x');
    writer_put(&prefix, collection->name);
    writer_u8(&prefix, 0);
    writer_put(&prefix, collection->indexes[index]);
    writer_u8(&prefix, 0);
    status = prefix_delete(shard, writer_bytes(&prefix));
    if (status == STATUS_OK) {
        status = index_fill(shard, collection, index);
    }
    if (status == STATUS_OK) {
        shard->store->vtable->batch_put(shard->batch, writer_bytes(&mark), BYTES_EMPTY);
        uint32_t one = 1;
        status = rows_apply(shard, &one, true);
        *built_out = true;
    }
    return status;
}

/* Marks of fields that are no longer declared go, so that declaring them again builds them anew. */
static enum status index_marks_prune(struct shard *shard)
{
    const struct store_vtable *store = shard->store->vtable;
    struct store_iterator *iterator;
    enum status status = store_iterator_create(shard->store, &iterator);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t count = 0;
    struct bytes all = BYTES_LITERAL("d");
    for (store->iterator_seek(iterator, all);
         store->iterator_valid(iterator) && bytes_starts_with(store->iterator_key(iterator), all);
         store->iterator_next(iterator)) {
        struct bytes name = bytes_slice(store->iterator_key(iterator), 1, ROW_KEY_BYTES_MAX);
        const uint8_t *end = memchr(name.data, 0, name.size);
        size_t size = end == NULL ? name.size : (size_t)(end - name.data);
        const struct collection *collection =
            collection_named(shard->engine, bytes_slice(name, 0, size));
        if (collection == NULL ||
            collection_index_find(collection, bytes_slice(name, size + 1, name.size)) < 0) {
            store->batch_delete(shard->batch, store->iterator_key(iterator));
            count++;
        }
    }
    status = store->iterator_status(iterator);
    store->iterator_destroy(iterator);
    return status == STATUS_OK ? rows_apply(shard, &count, true) : status;
}

static enum status indexes_build(struct shard *shard)
{
    const struct engine_options *options = &shard->engine->options;
    bool built = false;
    shard->store->vtable->batch_clear(shard->batch);
    enum status status = index_marks_prune(shard);
    for (uint32_t c = 0; c < options->collection_count && status == STATUS_OK; c++) {
        const struct collection *collection = &options->collections[c];
        for (uint32_t i = 0; i < collection->index_count && status == STATUS_OK; i++) {
            status = index_build(shard, collection, i, &built);
        }
    }
    if (status == STATUS_OK && built) {
        status = flush_now(shard);
    }
    return status;
}

enum status engine_replay(struct engine *engine, uint64_t *entries_out, struct detail *detail_out)
{
    struct replay replay = {.engine = engine, .detail = detail_out};
    detail_out->text[0] = '\0';
    enum status status = journal_replay(&replay);
    for (uint32_t i = 0; i < engine->options.shard_count && status == STATUS_OK; i++) {
        status = indexes_build(engine->shards[i]);
    }
    if (status != STATUS_OK && detail_out->text[0] == '\0') {
        detail_set(detail_out, "replay after %llu entries: %s", (unsigned long long)replay.entries,
                   status_text(status));
    }
    *entries_out = replay.entries;
    return status;
}
