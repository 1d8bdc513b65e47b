#include "engine/store/store_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/row_batch.h"
#include "engine/store/tree.h"
#include "protocol/base/assert.h"

/*
 * The three states of the store, each a tree that shares its nodes with the others:
 *
 *     apply --> rows --flush_begin--> closed --flush_wait--> flushed --crash--> rows
 */
struct store_memory {
    struct store store;
    pthread_mutex_t lock; /* of all below: blocking calls come from store threads */
    struct tree rows;
    struct tree closed;
    bool is_closed; /* flush_begin ran and flush_wait has not yet */
    struct tree flushed;
    struct store_memory_faults faults;
    uint64_t random;
    uint32_t stall_left;  /* applies still to be refused */
    bool flush_is_failed; /* until a crash */
    uint64_t unflushed_bytes;
    uint64_t closed_bytes;
    uint64_t iterators; /* still open */
#ifdef FRESHET_PLANT_TORN_BATCH
    struct tree torn; /* the rows as they were in the middle of the last batch */
#endif
};

struct store_iterator {
    struct store_memory *memory;
    struct tree tree;
    const struct tree_node *node; /* NULL: not valid */
    enum status status;
};

static struct store_memory *memory_of(struct store *store)
{
    ASSERT(store != NULL);
    return (struct store_memory *)store; /* its first member */
}

/* Takes the lock. One call, one lock: nothing here calls back. */
static struct store_memory *memory_lock(struct store *store)
{
    struct store_memory *memory = memory_of(store);
    int error = pthread_mutex_lock(&memory->lock);
    ASSERT(error == 0);
    return memory;
}

static void memory_unlock(struct store_memory *memory)
{
    int error = pthread_mutex_unlock(&memory->lock);
    ASSERT(error == 0);
}

/* splitmix64: one seed, one history. */
static bool chance(struct store_memory *memory, uint32_t parts_per_million)
{
    if (parts_per_million == 0) {
        return false; /* a fault that is off draws no number, so it does not change the others */
    }
    memory->random += 0x9e3779b97f4a7c15u;
    uint64_t mixed = memory->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
    return mixed % STORE_MEMORY_ALWAYS < parts_per_million;
}

/* ---- reads ---- */

static enum status value_copy(const struct tree_node *node, struct store_value *value_out)
{
    struct bytes bytes = tree_value(node);
    uint8_t *copy = malloc(bytes.size + 1);
    if (copy == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer writer = writer_of(copy, bytes.size);
    writer_put(&writer, bytes);
    *value_out = (struct store_value){.bytes = writer_bytes(&writer), .pin = copy};
    return STATUS_OK;
}

static enum status memory_get(struct store *store, struct bytes key, bool may_block,
                              struct store_value *value_out)
{
    *value_out = (struct store_value){0};
    struct store_memory *memory = memory_lock(store);
    enum status status = STATUS_NOT_FOUND;
    const struct tree_node *node = tree_find(&memory->rows, key);
    if (!may_block && chance(memory, memory->faults.would_block)) {
        status = STATUS_WOULD_BLOCK;
    } else if (may_block && chance(memory, memory->faults.read_damaged)) {
        status = STATUS_DAMAGED;
    } else if (node != NULL) {
        status = value_copy(node, value_out);
    }
    memory_unlock(memory);
    return status;
}

static enum status memory_get_persisted(struct store *store, struct bytes key,
                                        struct store_value *value_out)
{
    *value_out = (struct store_value){0};
    struct store_memory *memory = memory_lock(store);
    const struct tree_node *node = tree_find(&memory->flushed, key);
    enum status status = node == NULL ? STATUS_NOT_FOUND : value_copy(node, value_out);
    memory_unlock(memory);
    return status;
}

static void memory_value_release(struct store *store, struct store_value *value)
{
    ASSERT(store != NULL);
    ASSERT(value->pin != NULL);
    free(value->pin);
    *value = (struct store_value){0};
}

/* ---- applies ---- */

static enum status memory_apply(struct store *store, struct store_batch *batch)
{
    if (batch->rows.failed) {
        return STATUS_BUSY;
    }
    struct store_memory *memory = memory_lock(store);
    if (memory->flush_is_failed) {
        memory_unlock(memory);
        return STATUS_IO_ERROR;
    }
    if (memory->stall_left == 0 && chance(memory, memory->faults.stall)) {
        memory->stall_left = memory->faults.stall_applies;
    }
    if (memory->stall_left > 0) {
        memory->stall_left--;
        memory_unlock(memory);
        return STATUS_BUSY;
    }
    struct reader rows = row_batch_rows(batch);
    struct batch_row row;
#ifdef FRESHET_PLANT_TORN_BATCH
    uint32_t left = batch->count;
#endif
    while (row_batch_next(&rows, &row)) {
#ifdef FRESHET_PLANT_TORN_BATCH
        if (left-- == batch->count - batch->count / 2) {
            tree_clear(&memory->torn);
            memory->torn = tree_share(&memory->rows);
        }
#endif
        if (row.is_put) {
            tree_put(&memory->rows, row.key, row.value);
        } else {
            tree_remove(&memory->rows, row.key);
        }
    }
    memory->unflushed_bytes += batch->rows.size;
    memory_unlock(memory);
    return STATUS_OK;
}

/* ---- iterators ---- */

static enum status memory_iterator_create(struct store *store, struct store_iterator **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct store_memory *memory = memory_lock(store);
    (*out)->memory = memory;
    (*out)->tree = tree_share(&memory->rows);
    (*out)->status = STATUS_OK;
    memory->iterators++;
    memory_unlock(memory);
    return STATUS_OK;
}

/* The iterator stands on node, or finds damage. */
static void iterator_move(struct store_iterator *iterator, const struct tree_node *node)
{
    struct store_memory *memory = memory_lock(&iterator->memory->store);
    iterator->node = node;
    if (chance(memory, memory->faults.read_damaged)) {
        iterator->status = STATUS_DAMAGED;
        iterator->node = NULL;
    }
    memory_unlock(memory);
}

static void memory_iterator_seek(struct store_iterator *iterator, struct bytes key)
{
    iterator_move(iterator, tree_find_from(&iterator->tree, key));
}

static void memory_iterator_next(struct store_iterator *iterator)
{
    ASSERT(iterator->node != NULL);
    ASSERT(iterator->status == STATUS_OK);
    iterator_move(iterator, tree_find_after(&iterator->tree, tree_key(iterator->node)));
}

static bool memory_iterator_valid(const struct store_iterator *iterator)
{
    return iterator->node != NULL;
}

static struct bytes memory_iterator_key(const struct store_iterator *iterator)
{
    ASSERT(iterator->node != NULL);
    return tree_key(iterator->node);
}

static struct bytes memory_iterator_value(const struct store_iterator *iterator)
{
    ASSERT(iterator->node != NULL);
    return tree_value(iterator->node);
}

static enum status memory_iterator_status(const struct store_iterator *iterator)
{
    return iterator->status;
}

static void memory_iterator_destroy(struct store_iterator *iterator)
{
    struct store_memory *memory = memory_lock(&iterator->memory->store);
    ASSERT(memory->iterators > 0);
    memory->iterators--;
    tree_clear(&iterator->tree);
    memory_unlock(memory);
    free(iterator);
}

/* ---- flushes ---- */

static enum status memory_flush_begin(struct store *store)
{
    struct store_memory *memory = memory_lock(store);
    enum status status = STATUS_OK;
    if (memory->flush_is_failed) {
        status = STATUS_IO_ERROR;
    } else if (chance(memory, memory->faults.flush_busy)) {
        status = STATUS_BUSY;
    } else {
        tree_clear(&memory->closed);
#ifdef FRESHET_PLANT_TORN_BATCH
        memory->closed = tree_share(&memory->torn);
#else
        memory->closed = tree_share(&memory->rows);
#endif
        memory->is_closed = true;
        memory->closed_bytes += memory->unflushed_bytes;
        memory->unflushed_bytes = 0;
    }
    memory_unlock(memory);
    return status;
}

/* What flush_begin closed is on disk. */
static void closed_persist(struct store_memory *memory)
{
    ASSERT(memory->is_closed);
    tree_clear(&memory->flushed);
#ifdef FRESHET_PLANT_STORE_AHEAD
    memory->flushed = tree_share(&memory->rows);
#else
    memory->flushed = tree_share(&memory->closed);
#endif
    tree_clear(&memory->closed);
    memory->is_closed = false;
    memory->closed_bytes = 0;
}

static enum status memory_flush_wait(struct store *store)
{
    struct store_memory *memory = memory_lock(store);
    enum status status = STATUS_OK;
    if (memory->is_closed && chance(memory, memory->faults.flush_failed)) {
        memory->flush_is_failed = true;
    }
    if (memory->flush_is_failed) {
        status = STATUS_IO_ERROR;
    } else if (memory->is_closed) {
        closed_persist(memory);
    }
    memory_unlock(memory);
    return status;
}

static enum status memory_verify(struct store *store, char *text_out, size_t text_size)
{
    struct store_memory *memory = memory_lock(store);
    tree_check(&memory->rows);
    tree_check(&memory->flushed);
    snprintf(text_out, text_size, "a store in memory has no files");
    memory_unlock(memory);
    return STATUS_OK;
}

static void memory_statistics(struct store *store, struct store_statistics *out)
{
    struct store_memory *memory = memory_lock(store);
    *out = (struct store_statistics){
        .memtable_bytes = memory->unflushed_bytes + memory->closed_bytes,
        .unflushed_memtables = memory->is_closed ? 1 : 0,
        .stalled = memory->stall_left > 0 || memory->flush_is_failed,
        .failure = memory->flush_is_failed ? STATUS_IO_ERROR : STATUS_OK,
        .failure_text = memory->flush_is_failed ? "a flush was made to fail" : NULL,
    };
    memory_unlock(memory);
}

/* ---- life ---- */

static void memory_destroy(struct store *store)
{
    struct store_memory *memory = memory_of(store);
    ASSERT(memory->iterators == 0);
    tree_clear(&memory->rows);
    tree_clear(&memory->closed);
    tree_clear(&memory->flushed);
#ifdef FRESHET_PLANT_TORN_BATCH
    tree_clear(&memory->torn);
#endif
    int error = pthread_mutex_destroy(&memory->lock);
    ASSERT(error == 0);
    free(memory);
}

static const struct store_vtable memory_vtable = {
    .get = memory_get,
    .value_release = memory_value_release,
    .batch_create = row_batch_create,
    .batch_put = row_batch_put,
    .batch_delete = row_batch_delete,
    .batch_clear = row_batch_clear,
    .batch_destroy = row_batch_destroy,
    .apply = memory_apply,
    .iterator_create = memory_iterator_create,
    .iterator_seek = memory_iterator_seek,
    .iterator_next = memory_iterator_next,
    .iterator_valid = memory_iterator_valid,
    .iterator_key = memory_iterator_key,
    .iterator_value = memory_iterator_value,
    .iterator_status = memory_iterator_status,
    .iterator_destroy = memory_iterator_destroy,
    .flush_begin = memory_flush_begin,
    .flush_wait = memory_flush_wait,
    .get_persisted = memory_get_persisted,
    .verify = memory_verify,
    .statistics = memory_statistics,
    .destroy = memory_destroy,
};

enum status store_memory_open(struct store **out)
{
    *out = NULL;
    struct store_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return STATUS_NO_MEMORY;
    }
    memory->store.vtable = &memory_vtable;
    *out = &memory->store;
    return STATUS_OK;
}

/* ---- the simulator's side ---- */

void store_memory_faults_set(struct store *store, const struct store_memory_faults *faults)
{
    ASSERT(store->vtable == &memory_vtable);
    ASSERT(faults->stall == 0 || faults->stall_applies > 0);
    struct store_memory *memory = memory_lock(store);
    memory->faults = *faults;
    memory->random = faults->seed;
    memory_unlock(memory);
}

void store_memory_crash(struct store *store)
{
    ASSERT(store->vtable == &memory_vtable);
    struct store_memory *memory = memory_lock(store);
    if (memory->is_closed && !memory->flush_is_failed &&
        chance(memory, memory->faults.crash_keeps_closed)) {
        closed_persist(memory);
    }
    tree_clear(&memory->closed);
    tree_clear(&memory->rows);
    memory->rows = tree_share(&memory->flushed);
    memory->is_closed = false;
    memory->flush_is_failed = false;
    memory->stall_left = 0;
    memory->unflushed_bytes = 0;
    memory->closed_bytes = 0;
    ASSERT(memory->rows.count == memory->flushed.count);
    memory_unlock(memory);
}

uint64_t store_memory_row_count(struct store *store)
{
    ASSERT(store->vtable == &memory_vtable);
    struct store_memory *memory = memory_lock(store);
    uint64_t count = memory->rows.count;
    memory_unlock(memory);
    return count;
}
