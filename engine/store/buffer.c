#include "engine/store/buffer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "engine/store/buffer_iterator.h"
#include "engine/store/row_batch.h"
#include "protocol/base/assert.h"

/* Rows that go over at once: enough that the search for the first is shared by many, and few
 * enough that nobody waits for them. */
#define SLICE_ROWS_MIN 16
#define SLICE_ROWS_MAX 256

/* A table is let go when it has so many rows. Whoever reads in the order of keys would have all of
 * it in the store: where these come often, tables stay small; where they do not, they double from
 * one to the next. */
#define TARGET_ROWS_MIN 64

/* An iterator lets no more than so many rows go over before it; more are laid over what it
 * shows. */
#define SETTLE_ROWS_MAX 256

/* Two, and those that were replaced because an iterator shows them still. */
#define TABLES_MAX 6

/* Rows of a batch whose slots come from memory at the same time. */
#define PREFETCH_ROWS 32

struct store_buffer {
    struct store store;
    struct store *behind;
    struct store_batch *slice; /* of the store behind */
    struct buffer_table *fills;
    struct buffer_table *drains; /* sorted, but when it is empty */
    uint32_t drained;            /* of its rows have gone over */
    uint32_t target_rows;
    uint32_t rows_since_step;
    uint32_t values_out; /* that are in a table, and not released */
    bool is_held;
    bool is_hastened;
    bool is_refused; /* what was to drain last: by the store, or for want of a table */
    struct buffer_overlay *overlay; /* of the rows as they are now, once an iterator wanted it */
    atomic_uint tables;             /* with those that iterators show */
    enum status failure;            /* of the store behind, for good */
    _Atomic uint64_t held_bytes;    /* of keys and values, for statistics */
};

static struct store_buffer *buffer_of(struct store *store)
{
    ASSERT(store != NULL);
    return (struct store_buffer *)store; /* its first member */
}

/* ---- into the store behind ---- */

static void held_bytes_count(struct store_buffer *buffer)
{
    uint64_t bytes = (uint64_t)buffer->fills->keys_size + buffer->fills->values_size +
                     buffer->drains->keys_size + buffer->drains->values_size;
    atomic_store_explicit(&buffer->held_bytes, bytes, memory_order_relaxed);
}

static void slice_add(struct store_buffer *buffer, const struct batch_row *row)
{
    const struct store_vtable *behind = buffer->behind->vtable;
    if (row->is_put) {
        behind->batch_put(buffer->slice, row->key, row->value);
    } else {
        behind->batch_delete(buffer->slice, row->key);
    }
}

static enum status slice_apply(struct store_buffer *buffer)
{
    ASSERT(!buffer->is_held);
    ASSERT(buffer->overlay == NULL); /* it would hide what goes over */
    enum status status = store_apply(buffer->behind, buffer->slice);
    buffer->is_refused = status == STATUS_BUSY;
    if (status != STATUS_OK && status != STATUS_BUSY) {
        buffer->failure = status;
    }
    return status;
}

/* All of the table has gone over. Where an iterator still holds it, another takes its place. */
static enum status drains_clear(struct store_buffer *buffer)
{
    ASSERT(buffer->drained == buffer->drains->order_count);
    ASSERT(buffer->values_out == 0);
    if (buffer_table_is_shared(buffer->drains)) {
        struct buffer_table *other = NULL;
        if (atomic_load_explicit(&buffer->tables, memory_order_relaxed) < TABLES_MAX) {
            other = buffer_table_create(&buffer->drains->limits, &buffer->tables);
        }
        if (other == NULL) {
            buffer->is_refused = true;
            return STATUS_BUSY; /* until an iterator is gone */
        }
        buffer_table_release(buffer->drains);
        buffer->drains = other;
    } else {
        buffer_table_clear(buffer->drains);
    }
    buffer->is_refused = false;
    buffer->drained = 0;
    held_bytes_count(buffer);
    return STATUS_OK;
}

/* The rows, or where they are, change. */
static void overlay_drop(struct store_buffer *buffer)
{
    buffer_overlay_release(buffer->overlay);
    buffer->overlay = NULL;
}

/* Up to so many rows of the table that drains. */
static enum status drain_slice(struct store_buffer *buffer, uint32_t rows_max)
{
    struct buffer_table *table = buffer->drains;
    overlay_drop(buffer);
    if (buffer->drained == table->order_count) {
        return drains_clear(buffer);
    }
    uint32_t end = table->order_count - buffer->drained <= rows_max ? table->order_count
                                                                    : buffer->drained + rows_max;
    buffer->behind->vtable->batch_clear(buffer->slice);
    for (uint32_t rank = buffer->drained; rank < end; rank++) {
        const struct buffer_row *row = buffer_table_at(table, rank);
        slice_add(buffer, &(struct batch_row){.key = buffer_table_key(table, row),
                                              .value = buffer_table_value(table, row),
                                              .is_put = row->is_put});
    }
    enum status status = slice_apply(buffer);
    if (status != STATUS_OK) {
        return status;
    }
    buffer->drained = end;
    return end == table->order_count ? drains_clear(buffer) : STATUS_OK;
}

static bool is_draining(const struct store_buffer *buffer)
{
    return buffer->drains->order_count > 0;
}

static enum status drain_all(struct store_buffer *buffer)
{
    while (is_draining(buffer)) {
        bool is_over = buffer->drained == buffer->drains->order_count;
        enum status status =
            buffer->is_held && !is_over ? STATUS_BUSY : drain_slice(buffer, SLICE_ROWS_MAX);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* The full table becomes the one that drains. */
static void tables_swap(struct store_buffer *buffer)
{
    ASSERT(!is_draining(buffer));
    ASSERT(buffer->fills->row_count > 0);
    struct buffer_table *empty = buffer->drains;
    buffer->drains = buffer->fills;
    buffer->fills = empty;
    buffer->drained = 0;
    buffer_table_sort(buffer->drains);
}

static uint32_t target_min(const struct store_buffer *buffer)
{
    uint32_t rows_max = buffer->fills->limits.rows_max;
    return rows_max < TARGET_ROWS_MIN ? rows_max : TARGET_ROWS_MIN;
}

enum status store_buffer_settle(struct store_buffer *buffer)
{
    if (buffer->failure != STATUS_OK) {
        return buffer->failure;
    }
    if (store_buffer_rows(buffer) == 0) {
        return STATUS_OK;
    }
    buffer->target_rows = target_min(buffer);
    enum status status = drain_all(buffer);
    if (status == STATUS_OK && buffer->fills->row_count > 0) {
        if (buffer->is_held) {
            return STATUS_BUSY; /* by the flush that is about to end */
        }
        tables_swap(buffer);
        status = drain_all(buffer);
    }
    return status;
}

/* ---- applies ---- */

/* A batch that no table has room for, behind all that came before it. */
static enum status apply_around(struct store_buffer *buffer, const struct store_batch *batch)
{
    enum status status = store_buffer_settle(buffer);
    if (status != STATUS_OK || buffer->is_held) {
        return status == STATUS_OK ? STATUS_BUSY : status;
    }
    ASSERT(!is_draining(buffer)); /* a get would find its rows before what goes around them */
    buffer->behind->vtable->batch_clear(buffer->slice);
    struct reader rows = row_batch_rows(batch);
    struct batch_row row;
    while (row_batch_next(&rows, &row)) {
        slice_add(buffer, &row);
    }
    return slice_apply(buffer);
}

/* There is room. A table is larger than what stays in a CPU's cache: so slots are asked for some
 * rows before they are needed. */
static void fills_put(struct store_buffer *buffer, const struct store_batch *batch)
{
    struct batch_row group[PREFETCH_ROWS];
    uint64_t hashes[PREFETCH_ROWS];
    struct reader rows = row_batch_rows(batch);
    for (uint32_t count = PREFETCH_ROWS; count == PREFETCH_ROWS;) {
        for (count = 0; count < PREFETCH_ROWS && row_batch_next(&rows, &group[count]); count++) {
            hashes[count] = buffer_table_hash(group[count].key);
            buffer_table_prefetch(buffer->fills, hashes[count]);
        }
        for (uint32_t i = 0; i < count; i++) {
            buffer_table_put(buffer->fills, hashes[i], group[i].key, group[i].value,
                             group[i].is_put);
        }
    }
}

static enum status buffer_apply(struct store *store, struct store_batch *batch)
{
    struct store_buffer *buffer = buffer_of(store);
    if (batch->rows.failed) {
        return STATUS_BUSY;
    }
    if (buffer->failure != STATUS_OK) {
        return buffer->failure;
    }
    if (!buffer_table_fits(buffer->fills, batch->count, batch->keys_bytes, batch->values_bytes)) {
        enum status status = drain_all(buffer);
        if (status != STATUS_OK) {
            return status;
        }
        if (buffer->fills->row_count > 0) {
            tables_swap(buffer);
        }
        if (!buffer_table_fits(buffer->fills, batch->count, batch->keys_bytes,
                               batch->values_bytes)) {
            return apply_around(buffer, batch);
        }
    }
    overlay_drop(buffer);
    fills_put(buffer, batch);
    buffer->rows_since_step += batch->count;
    held_bytes_count(buffer);
    return STATUS_OK;
}

/* Whether the table that fills is to go now; the next one is let grow to twice as many rows. */
static bool fills_is_due(struct store_buffer *buffer)
{
    if (buffer->fills->row_count == 0 ||
        (!buffer->is_hastened && buffer->fills->row_count < buffer->target_rows)) {
        return false;
    }
    uint32_t rows_max = buffer->fills->limits.rows_max;
    buffer->target_rows = buffer->target_rows > rows_max / 2 ? rows_max : buffer->target_rows * 2;
    return true;
}

bool store_buffer_step(struct store_buffer *buffer)
{
    ASSERT(buffer->target_rows > 0);
    uint32_t since = buffer->rows_since_step;
    buffer->rows_since_step = 0;
    if (buffer->is_held || buffer->failure != STATUS_OK || (since == 0 && !buffer->is_hastened)) {
        return false;
    }
    /* More than came, whatever came: so tables drain before others are full, and a hastened buffer
     * comes to its end under any load. */
    uint32_t left = buffer->is_hastened ? SLICE_ROWS_MAX : SLICE_ROWS_MIN;
    left = left < since * 2 ? since * 2 : left;
    while (left > 0) {
        if (!is_draining(buffer)) {
            if (!fills_is_due(buffer)) {
                break;
            }
            tables_swap(buffer);
        }
        uint32_t before = store_buffer_rows(buffer);
        if (drain_slice(buffer, left < SLICE_ROWS_MAX ? left : SLICE_ROWS_MAX) != STATUS_OK) {
            return false;
        }
        left -= before - store_buffer_rows(buffer);
    }
    if (store_buffer_rows(buffer) == 0) {
        buffer->is_hastened = false;
    }
    return buffer->is_hastened;
}

uint32_t store_buffer_rows(const struct store_buffer *buffer)
{
    return buffer->fills->live_count + (buffer->drains->order_count - buffer->drained);
}

/* Also where it is refused: the next step tries again, and then it is known. */
static void drain_soon(struct store_buffer *buffer)
{
    buffer->is_hastened = store_buffer_rows(buffer) > 0;
    buffer->target_rows = target_min(buffer);
}

enum status store_buffer_hasten(struct store_buffer *buffer)
{
    if (buffer->failure != STATUS_OK) {
        return buffer->failure;
    }
    drain_soon(buffer);
    return buffer->is_held || buffer->is_refused ? STATUS_BUSY : STATUS_OK;
}

enum status store_buffer_hold(struct store_buffer *buffer)
{
    ASSERT(!buffer->is_held);
    enum status status = store_buffer_settle(buffer);
    if (status == STATUS_OK) {
        buffer->is_held = true;
        buffer->is_hastened = false;
    }
    return status;
}

void store_buffer_release(struct store_buffer *buffer)
{
    ASSERT(buffer->is_held);
    buffer->is_held = false;
}

/* ---- reads ---- */

static enum status buffer_get(struct store *store, struct bytes key, bool may_block,
                              struct store_value *value_out)
{
    struct store_buffer *buffer = buffer_of(store);
    if (may_block) { /* on a store thread, which must not look at our tables */
        return store_get(buffer->behind, key, true, value_out);
    }
    const struct buffer_table *table = buffer->fills;
    const struct buffer_row *row = buffer_table_find(table, key);
    if (row == NULL) {
        table = buffer->drains;
        row = buffer_table_find(table, key);
    }
    if (row == NULL) {
        return store_get(buffer->behind, key, false, value_out);
    }
    *value_out = (struct store_value){0};
    if (!row->is_put) {
        return STATUS_NOT_FOUND;
    }
    *value_out = (struct store_value){.bytes = buffer_table_value(table, row), .pin = buffer};
    buffer->values_out++;
    return STATUS_OK;
}

static void buffer_value_release(struct store *store, struct store_value *value)
{
    struct store_buffer *buffer = buffer_of(store);
    ASSERT(value->pin != NULL);
    if (value->pin != buffer) {
        store_value_release(buffer->behind, value);
        return;
    }
    ASSERT(buffer->values_out > 0);
    buffer->values_out--;
    *value = (struct store_value){0};
}

static enum status buffer_get_persisted(struct store *store, struct bytes key,
                                        struct store_value *value_out)
{
    return store_get_persisted(buffer_of(store)->behind, key, value_out);
}

/* Of the rows as they are now. NULL: out of memory. */
static struct buffer_overlay *overlay_of_now(struct store_buffer *buffer)
{
    if (buffer->overlay == NULL) {
        /* Sorted once for all iterators to come, and for the store; but a table that cannot drain
         * now goes on to fill, so that applies find room. */
        if (!is_draining(buffer) && buffer->fills->row_count > 0 && !buffer->is_held &&
            !buffer->is_refused) {
            tables_swap(buffer);
        }
        buffer->overlay = buffer_overlay_create(buffer->fills, buffer->drains, buffer->drained);
    }
    return buffer->overlay;
}

/* What is in the buffer goes over first if it is little; else it is laid over what the store shows:
 * always possible, also while the buffer is held or the store refuses. */
static enum status buffer_iterate(struct store *store, struct store_iterator **out)
{
    struct store_buffer *buffer = buffer_of(store);
    *out = NULL;
    struct buffer_overlay *overlay = NULL;
    if (store_buffer_rows(buffer) > SETTLE_ROWS_MAX || store_buffer_settle(buffer) != STATUS_OK) {
        drain_soon(buffer);
        overlay = overlay_of_now(buffer);
        if (overlay == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    struct store_iterator *behind;
    enum status status = store_iterator_create(buffer->behind, &behind);
    if (status == STATUS_OK) {
        status = buffer_iterator_create(buffer->behind->vtable, behind, overlay, out);
    }
    return status;
}

/* ---- what belongs on store threads ---- */

static enum status buffer_flush_begin(struct store *store)
{
    struct store_buffer *buffer = buffer_of(store);
    /* Rows of one moment are in the store, and none of a later one: else what is persisted would be
     * no prefix of history. The owner changes neither while this runs. */
    ASSERT(buffer->is_held || store_buffer_rows(buffer) == 0);
    return store_flush_begin(buffer->behind);
}

static enum status buffer_flush_wait(struct store *store)
{
    return store_flush_wait(buffer_of(store)->behind);
}

static enum status buffer_verify(struct store *store, char *text_out, size_t text_size)
{
    return store_verify(buffer_of(store)->behind, text_out, text_size);
}

static void buffer_statistics(struct store *store, struct store_statistics *out)
{
    struct store_buffer *buffer = buffer_of(store);
    store_statistics_read(buffer->behind, out);
    out->memtable_bytes += atomic_load_explicit(&buffer->held_bytes, memory_order_relaxed);
}

static void buffer_destroy(struct store *store)
{
    struct store_buffer *buffer = buffer_of(store);
    overlay_drop(buffer);
    buffer_table_release(buffer->fills);
    buffer_table_release(buffer->drains);
    if (buffer->slice != NULL) {
        buffer->behind->vtable->batch_destroy(buffer->slice);
    }
    free(buffer);
}

/* ---- the buffer ---- */

static const struct store_vtable buffer_vtable = {
    .get = buffer_get,
    .value_release = buffer_value_release,
    .batch_create = row_batch_create,
    .batch_put = row_batch_put,
    .batch_delete = row_batch_delete,
    .batch_clear = row_batch_clear,
    .batch_destroy = row_batch_destroy,
    .apply = buffer_apply,
    .iterator_create = buffer_iterate,
    .iterator_seek = buffer_iterator_seek,
    .iterator_next = buffer_iterator_next,
    .iterator_valid = buffer_iterator_valid,
    .iterator_key = buffer_iterator_key,
    .iterator_value = buffer_iterator_value,
    .iterator_status = buffer_iterator_status,
    .iterator_destroy = buffer_iterator_destroy,
    .flush_begin = buffer_flush_begin,
    .flush_wait = buffer_flush_wait,
    .get_persisted = buffer_get_persisted,
    .verify = buffer_verify,
    .statistics = buffer_statistics,
    .destroy = buffer_destroy,
};

enum status store_buffer_create(struct store *behind, const struct buffer_limits *limits,
                                struct store_buffer **out)
{
    ASSERT(behind != NULL);
    *out = NULL;
    struct store_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer == NULL) {
        return STATUS_NO_MEMORY;
    }
    buffer->store.vtable = &buffer_vtable;
    buffer->behind = behind;
    buffer->fills = buffer_table_create(limits, &buffer->tables);
    buffer->drains = buffer_table_create(limits, &buffer->tables);
    buffer->slice = store_batch_create(behind);
    if (buffer->fills == NULL || buffer->drains == NULL || buffer->slice == NULL) {
        store_buffer_destroy(&buffer);
        return STATUS_NO_MEMORY;
    }
    buffer->target_rows = target_min(buffer);
    *out = buffer;
    return STATUS_OK;
}

void store_buffer_destroy(struct store_buffer **buffer)
{
    ASSERT(buffer != NULL);
    if (*buffer != NULL) {
        buffer_destroy(&(*buffer)->store);
        *buffer = NULL;
    }
}

struct store *store_buffer_store(struct store_buffer *buffer)
{
    return &buffer->store;
}
