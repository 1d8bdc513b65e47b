/*
 * buffer_table.h: rows of a store that came last, found by key at once and given back in the order
 * of their keys: one of the two tables of a store's write buffer.
 *
 *     rows    in the order in which they came: where key and value are; a later row of a key makes
 *             the earlier one dead
 *     slots   open addressing over the hash of the key: a part of the hash, and the row
 *     keys    of all rows, back to back, apart from values: sorting touches little memory
 *     values  of all rows, back to back
 *
 * Owner:     one shard's thread. Others may hold it too, and read rows that they were given on any
 *            thread: rows and bytes stay as they are until the table is cleared, which takes its
 *            last holder.
 * Memory:    all of it is taken at creation, and touched as it fills; nothing grows.
 * Invariant: at most one row of a key is alive; slots are at most half full.
 * Tests:     tests/unit/engine/store/test_buffer_table.c (against a naive model).
 */
#ifndef FRESHET_ENGINE_STORE_BUFFER_TABLE_H
#define FRESHET_ENGINE_STORE_BUFFER_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

struct buffer_limits {
    uint32_t rows_max;
    uint32_t keys_bytes_max;
    uint32_t values_bytes_max;
};

struct buffer_row {
    uint32_t key_offset;
    uint32_t key_size;
    uint32_t value_offset;
    uint32_t value_size;
    bool is_put; /* else the key is deleted */
    bool is_dead;
};

/* A row's place in the order of keys; part and group serve to find it. */
struct buffer_order {
    uint64_t part; /* eight bytes of the key, as a big-endian number */
    uint32_t row;
    uint32_t group; /* place of the first of those it could not be told from yet */
};

struct buffer_table {
    atomic_uint holders;
    atomic_uint *alive; /* how many tables there are, of this owner; or NULL */
    struct buffer_limits limits;
    struct buffer_row *rows;
    uint64_t *slots;
    struct buffer_order *order;   /* when it is sorted */
    struct buffer_order *scratch; /* of sorting */
    uint8_t *keys;
    uint8_t *values;
    uint32_t slot_mask;
    uint32_t row_count; /* the dead ones too */
    uint32_t live_count;
    uint32_t keys_size;
    uint32_t values_size;
    uint32_t order_count; /* 0 until it is sorted */
};

/* With one holder. alive (or NULL) outlives it, and counts it as long as it is there. NULL: out of
 * memory. rows_max: 1 to 2^20. */
struct buffer_table *buffer_table_create(const struct buffer_limits *limits, atomic_uint *alive);
void buffer_table_hold(struct buffer_table *table);
/* Any thread; the last holder's frees it. Accepts NULL. */
void buffer_table_release(struct buffer_table *table);
bool buffer_table_is_shared(const struct buffer_table *table);
/* It is not shared. */
void buffer_table_clear(struct buffer_table *table);

/* Is there room for so much more? */
bool buffer_table_fits(const struct buffer_table *table, uint32_t rows, size_t keys_bytes,
                       size_t values_bytes);
uint64_t buffer_table_hash(struct bytes key);
/* Asks for the slot of a key that will be put soon: a table is larger than what stays in a
 * cache. */
void buffer_table_prefetch(const struct buffer_table *table, uint64_t hash);
/* There is room (buffer_table_fits), and the table is not sorted. Copies key and value in. */
void buffer_table_put(struct buffer_table *table, uint64_t hash, struct bytes key,
                      struct bytes value, bool is_put);

/* The row that is alive under that key, or NULL; good until the table is cleared. */
const struct buffer_row *buffer_table_find(const struct buffer_table *table, struct bytes key);
struct bytes buffer_table_key(const struct buffer_table *table, const struct buffer_row *row);
struct bytes buffer_table_value(const struct buffer_table *table, const struct buffer_row *row);

/* The live_count rows that are alive now, in the order of their keys. */
void buffer_table_order(struct buffer_table *table, struct buffer_order *order_out);
/* The table keeps that order, and takes no row until it is cleared. */
void buffer_table_sort(struct buffer_table *table);
/* The live rows of a sorted table by rank: 0 <= rank < order_count, in the order of their keys. */
const struct buffer_row *buffer_table_at(const struct buffer_table *table, uint32_t rank);

#endif
