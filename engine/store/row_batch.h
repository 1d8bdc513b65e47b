/*
 * row_batch.h: the batch of a store that has none of its own: rows one after the other, as they
 * came, in memory that grows with the largest batch and is used again.
 *
 *     batch  | sizes, is_put | key | value | sizes, is_put | key | value | ...
 *
 * Owner:     whoever owns the store. The functions named as in store_vtable go into a vtable.
 * Memory:    twice what the largest batch took, at most, until row_batch_destroy.
 * Failure:   out of memory in a put is remembered until the next clear: such a batch has not all
 *            its rows, and no store may apply it.
 * Tests:     tests/unit/engine/store/test_row_batch.c.
 */
#ifndef FRESHET_ENGINE_STORE_ROW_BATCH_H
#define FRESHET_ENGINE_STORE_ROW_BATCH_H

#include "engine/store/store.h"

struct store_batch {
    struct writer rows; /* failed: out of memory */
    size_t keys_bytes;
    size_t values_bytes;
    uint32_t count;
};

/* In the batch's memory, until it is changed. */
struct batch_row {
    struct bytes key;
    struct bytes value; /* empty where the key is deleted */
    bool is_put;
};

/* As in store_vtable. */
struct store_batch *row_batch_create(struct store *store);
void row_batch_put(struct store_batch *batch, struct bytes key, struct bytes value);
void row_batch_delete(struct store_batch *batch, struct bytes key);
void row_batch_clear(struct store_batch *batch);
void row_batch_destroy(struct store_batch *batch);

/* Before its first row; for row_batch_next. It has all its rows. */
struct reader row_batch_rows(const struct store_batch *batch);
/* False: no more. */
bool row_batch_next(struct reader *rows, struct batch_row *row_out);

#endif
