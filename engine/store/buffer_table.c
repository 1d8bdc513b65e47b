#include "engine/store/buffer_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/assert.h"

#define ROWS_MAX (1u << 20)

/* A slot: the upper half of the key's hash, and the row's number plus one; 0 is an empty slot. */
#define SLOT_TAG(hash) ((hash)&0xffffffff00000000u)

/* Fewer rows are sorted by comparing them. */
#define RADIX_ROWS_MIN 64
/* Keys differ in kind and collection, then in id or in field, value and id. What is still alike
 * after so many rounds is sorted by comparing. */
#define SORT_ROUNDS_MAX 6

struct buffer_table *buffer_table_create(const struct buffer_limits *limits, atomic_uint *alive)
{
    ASSERT(limits->rows_max >= 1 && limits->rows_max <= ROWS_MAX);
    ASSERT(limits->keys_bytes_max > 0 && limits->values_bytes_max > 0);
    struct buffer_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    uint32_t slots = 2;
    while (slots < limits->rows_max * 2) {
        slots *= 2;
    }
    atomic_init(&table->holders, 1);
    table->alive = alive;
    if (alive != NULL) {
        atomic_fetch_add_explicit(alive, 1, memory_order_relaxed);
    }
    table->limits = *limits;
    table->slot_mask = slots - 1;
    table->rows = malloc(limits->rows_max * sizeof(struct buffer_row));
    table->slots = calloc(slots, sizeof(uint64_t));
    table->order = malloc(limits->rows_max * sizeof(struct buffer_order));
    table->scratch = malloc(limits->rows_max * sizeof(struct buffer_order));
    table->keys = malloc(limits->keys_bytes_max);
    table->values = malloc(limits->values_bytes_max);
    if (table->rows == NULL || table->slots == NULL || table->order == NULL ||
        table->scratch == NULL || table->keys == NULL || table->values == NULL) {
        buffer_table_release(table);
        return NULL;
    }
    return table;
}

void buffer_table_hold(struct buffer_table *table)
{
    unsigned before = atomic_fetch_add_explicit(&table->holders, 1, memory_order_relaxed);
    ASSERT(before > 0);
}

void buffer_table_release(struct buffer_table *table)
{
    if (table == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&table->holders, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        if (table->alive != NULL) {
            atomic_fetch_sub_explicit(table->alive, 1, memory_order_relaxed);
        }
        free(table->rows);
        free(table->slots);
        free(table->order);
        free(table->scratch);
        free(table->keys);
        free(table->values);
        free(table);
    }
}

bool buffer_table_is_shared(const struct buffer_table *table)
{
    return atomic_load_explicit(&table->holders, memory_order_acquire) > 1;
}

void buffer_table_clear(struct buffer_table *table)
{
    ASSERT(!buffer_table_is_shared(table));
    if (table->row_count > 0) {
        memset(table->slots, 0, ((size_t)table->slot_mask + 1) * sizeof(uint64_t));
    }
    table->row_count = 0;
    table->live_count = 0;
    table->keys_size = 0;
    table->values_size = 0;
    table->order_count = 0;
}

bool buffer_table_fits(const struct buffer_table *table, uint32_t rows, size_t keys_bytes,
                       size_t values_bytes)
{
    const struct buffer_limits *limits = &table->limits;
    return rows <= limits->rows_max - table->row_count &&
           keys_bytes <= limits->keys_bytes_max - table->keys_size &&
           values_bytes <= limits->values_bytes_max - table->values_size;
}

struct bytes buffer_table_key(const struct buffer_table *table, const struct buffer_row *row)
{
    return bytes_of(table->keys + row->key_offset, row->key_size);
}

struct bytes buffer_table_value(const struct buffer_table *table, const struct buffer_row *row)
{
    return bytes_of(table->values + row->value_offset, row->value_size);
}

/* The slot of that key, or the empty one where it belongs: there is one, half of them are. */
static uint64_t *slot_find(const struct buffer_table *table, struct bytes key, uint64_t hash)
{
    for (uint32_t at = (uint32_t)hash & table->slot_mask;; at = (at + 1) & table->slot_mask) {
        uint64_t *slot = &table->slots[at];
        if (*slot == 0) {
            return slot;
        }
        if (SLOT_TAG(*slot) == SLOT_TAG(hash)) {
            const struct buffer_row *row = &table->rows[(uint32_t)*slot - 1];
            if (bytes_equal(buffer_table_key(table, row), key)) {
                return slot;
            }
        }
    }
}

uint64_t buffer_table_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

void buffer_table_prefetch(const struct buffer_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->slots[(uint32_t)hash & table->slot_mask], 1);
}

void buffer_table_put(struct buffer_table *table, uint64_t hash, struct bytes key,
                      struct bytes value, bool is_put)
{
    ASSERT(table->order_count == 0);
    ASSERT(buffer_table_fits(table, 1, key.size, value.size));
    ASSERT(is_put || value.size == 0);
    uint64_t *slot = slot_find(table, key, hash);
    struct buffer_row *row = &table->rows[table->row_count];
    *row = (struct buffer_row){
        .key_offset = table->keys_size,
        .key_size = (uint32_t)key.size,
        .value_offset = table->values_size,
        .value_size = (uint32_t)value.size,
        .is_put = is_put,
    };
    if (*slot == 0) {
        memcpy(table->keys + table->keys_size, key.data, key.size);
        table->keys_size += row->key_size;
        table->live_count++;
    } else {
        struct buffer_row *before = &table->rows[(uint32_t)*slot - 1];
        before->is_dead = true;
        row->key_offset = before->key_offset;
    }
    if (value.size > 0) {
        memcpy(table->values + table->values_size, value.data, value.size);
        table->values_size += row->value_size;
    }
    table->row_count++;
    *slot = SLOT_TAG(hash) | table->row_count;
    ASSERT(table->live_count <= table->row_count);
}

const struct buffer_row *buffer_table_find(const struct buffer_table *table, struct bytes key)
{
    if (table->row_count == 0) {
        return NULL;
    }
    uint64_t slot = *slot_find(table, key, buffer_table_hash(key));
    return slot == 0 ? NULL : &table->rows[(uint32_t)slot - 1];
}

/*
 * ---- order ----
 *
 * In rounds: all keys of a group are told apart by eight bytes, behind those that they have in
 * common. Whose eight bytes are equal too is a group of the next round.
 */

static uint64_t key_part(struct bytes key, size_t from)
{
    struct bytes rest = bytes_slice(key, from, 8);
    if (rest.size == 8) {
        return get_u64(rest.data);
    }
    uint64_t part = 0;
    for (size_t i = 0; i < 8; i++) {
        part = part << 8 | (i < rest.size ? rest.data[i] : 0);
    }
    return part;
}

static struct bytes order_key(const struct buffer_table *table, const struct buffer_order *order)
{
    return buffer_table_key(table, &table->rows[order->row]);
}

static int order_compare(const void *a, const void *b, void *context)
{
    const struct buffer_order *left = a;
    const struct buffer_order *right = b;
    if (left->part != right->part) {
        return left->part < right->part ? -1 : 1;
    }
    const struct buffer_table *table = context;
    return bytes_compare(order_key(table, left), order_key(table, right));
}

static struct bytes common_prefix(struct bytes a, struct bytes b)
{
    size_t size = 0;
    while (size < a.size && size < b.size && a.data[size] == b.data[size]) {
        size++;
    }
    return bytes_slice(a, 0, size);
}

static void parts_set(const struct buffer_table *table, struct buffer_order *group, uint32_t count)
{
    struct bytes common = order_key(table, &group[0]);
    for (uint32_t i = 1; i < count; i++) {
        struct bytes key = order_key(table, &group[i]);
        if (!bytes_starts_with(key, common)) {
            common = common_prefix(common, key);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        group[i].part = key_part(order_key(table, &group[i]), common.size);
    }
}

/* By their parts, byte after byte from the last one: many times as quick as comparing. */
static void parts_sort(struct buffer_order *group, struct buffer_order *scratch, uint32_t count)
{
    uint32_t at[8][256] = {0};
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t byte = 0; byte < 8; byte++) {
            at[byte][group[i].part >> byte * 8 & 0xff]++;
        }
    }
    struct buffer_order *from = group;
    struct buffer_order *to = scratch;
    for (uint32_t byte = 0; byte < 8; byte++) {
        if (at[byte][from[0].part >> byte * 8 & 0xff] == count) {
            continue; /* all have it in common */
        }
        uint32_t sum = 0;
        for (uint32_t value = 0; value < 256; value++) {
            uint32_t here = at[byte][value];
            at[byte][value] = sum;
            sum += here;
        }
        for (uint32_t i = 0; i < count; i++) {
            to[at[byte][from[i].part >> byte * 8 & 0xff]++] = from[i];
        }
        struct buffer_order *swap = from;
        from = to;
        to = swap;
    }
    if (from != group) {
        memcpy(group, from, count * sizeof(*group));
    }
}

/* The group at place `first`. True: each of its rows has its place. */
static bool group_sort(struct buffer_table *table, struct buffer_order *group, uint32_t first,
                       uint32_t count, bool is_last_round)
{
    bool is_final = is_last_round || count < RADIX_ROWS_MIN;
    parts_set(table, group, count);
    if (is_final) {
        qsort_r(group, count, sizeof(*group), order_compare, table);
    } else {
        parts_sort(group, table->scratch, count);
    }
    bool is_sorted = true;
    for (uint32_t i = 0; i < count; i++) {
        bool is_alike = !is_final && i > 0 && group[i].part == group[i - 1].part;
        group[i].group = is_alike ? group[i - 1].group : first + i;
        is_sorted &= !is_alike;
    }
    return is_sorted;
}

void buffer_table_order(struct buffer_table *table, struct buffer_order *order_out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->row_count; i++) {
        if (!table->rows[i].is_dead) {
            order_out[count++] = (struct buffer_order){.row = i};
        }
    }
    ASSERT(count == table->live_count);
    bool is_sorted = false;
    for (uint32_t round = 1; !is_sorted; round++) {
        ASSERT(round <= SORT_ROUNDS_MAX);
        is_sorted = true;
        uint32_t end;
        for (uint32_t first = 0; first < count; first = end) {
            end = first + 1;
            while (end < count && order_out[end].group == order_out[first].group) {
                end++;
            }
            is_sorted &= end == first + 1 || group_sort(table, &order_out[first], first,
                                                        end - first, round == SORT_ROUNDS_MAX);
        }
    }
}

void buffer_table_sort(struct buffer_table *table)
{
    ASSERT(table->order_count == 0);
    buffer_table_order(table, table->order);
    table->order_count = table->live_count;
}

const struct buffer_row *buffer_table_at(const struct buffer_table *table, uint32_t rank)
{
    ASSERT(rank < table->order_count);
    return &table->rows[table->order[rank].row];
}
