#include "engine/store/buffer_iterator.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

struct overlay_row {
    const struct buffer_table *table;
    const struct buffer_row *row;
};

struct buffer_overlay {
    atomic_uint holders;
    struct buffer_table *held[2];
    uint32_t count;
    struct overlay_row rows[]; /* by key; no key twice */
};

enum shown { SHOWN_NOTHING, SHOWN_BEHIND, SHOWN_OVERLAY };

struct store_iterator {
    const struct store_vtable *vtable; /* of behind */
    struct store_iterator *behind;
    struct buffer_overlay *overlay; /* or NULL */
    uint32_t at;                    /* in its rows: at or behind what is shown */
    enum shown shown;
};

/* ---- the overlay ---- */

static struct bytes overlay_key(const struct overlay_row *row)
{
    return buffer_table_key(row->table, row->row);
}

/* Both in the order of their keys; where both have a key, the younger one's. */
static void overlay_merge(struct buffer_overlay *overlay, const struct buffer_table *younger,
                          const struct buffer_order *order, const struct buffer_table *older,
                          uint32_t from)
{
    uint32_t young = 0;
    for (uint32_t old = from; young < younger->live_count || old < older->order_count;) {
        struct overlay_row *row = &overlay->rows[overlay->count++];
        int compared = old == older->order_count ? -1 : 1;
        if (young < younger->live_count && old < older->order_count) {
            compared = bytes_compare(buffer_table_key(younger, &younger->rows[order[young].row]),
                                     buffer_table_key(older, buffer_table_at(older, old)));
        }
        if (compared > 0) {
            *row = (struct overlay_row){older, buffer_table_at(older, old)};
        } else {
            *row = (struct overlay_row){younger, &younger->rows[order[young].row]};
            young++;
        }
        old += compared >= 0;
    }
}

static void overlay_hold(struct buffer_overlay *overlay, struct buffer_table *younger,
                         struct buffer_table *older, uint32_t from)
{
    if (younger->live_count > 0) {
        overlay->held[0] = younger;
        buffer_table_hold(younger);
    }
    if (older->order_count > from) {
        overlay->held[1] = older;
        buffer_table_hold(older);
    }
}

struct buffer_overlay *buffer_overlay_create(struct buffer_table *younger,
                                             struct buffer_table *older, uint32_t from)
{
    ASSERT(from <= older->order_count);
    size_t count = (size_t)younger->live_count + (older->order_count - from);
    struct buffer_overlay *overlay = malloc(sizeof(*overlay) + count * sizeof(overlay->rows[0]));
    struct buffer_order *order = malloc(((size_t)younger->live_count + 1) * sizeof(*order));
    if (overlay == NULL || order == NULL) {
        free(order);
        free(overlay);
        return NULL;
    }
    overlay->held[0] = NULL;
    overlay->held[1] = NULL;
    overlay->count = 0;
    atomic_init(&overlay->holders, 1);
    buffer_table_order(younger, order);
    overlay_merge(overlay, younger, order, older, from);
    ASSERT(overlay->count <= count);
    free(order);
    overlay_hold(overlay, younger, older, from);
    return overlay;
}

void buffer_overlay_release(struct buffer_overlay *overlay)
{
    if (overlay == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&overlay->holders, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        buffer_table_release(overlay->held[0]);
        buffer_table_release(overlay->held[1]);
        free(overlay);
    }
}

/* The first of its rows at or behind the key. */
static uint32_t overlay_find(const struct buffer_overlay *overlay, struct bytes key)
{
    uint32_t low = 0;
    uint32_t high = overlay->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(overlay_key(&overlay->rows[middle]), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- the iterator ---- */

enum status buffer_iterator_create(const struct store_vtable *behind_vtable,
                                   struct store_iterator *behind, struct buffer_overlay *overlay,
                                   struct store_iterator **out)
{
    ASSERT(behind != NULL);
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        behind_vtable->iterator_destroy(behind);
        return STATUS_NO_MEMORY;
    }
    (*out)->vtable = behind_vtable;
    (*out)->behind = behind;
    (*out)->overlay = overlay;
    if (overlay != NULL) {
        unsigned before = atomic_fetch_add_explicit(&overlay->holders, 1, memory_order_relaxed);
        ASSERT(before > 0);
    }
    return STATUS_OK;
}

/* NULL: no more. */
static const struct overlay_row *overlay_at(const struct store_iterator *iterator)
{
    const struct buffer_overlay *overlay = iterator->overlay;
    return overlay == NULL || iterator->at == overlay->count ? NULL : &overlay->rows[iterator->at];
}

/* From where behind and overlay stand to the first row that is there. */
static void show(struct store_iterator *iterator)
{
    const struct store_vtable *vtable = iterator->vtable;
    for (;;) {
        bool has_behind = vtable->iterator_valid(iterator->behind);
        if (!has_behind && vtable->iterator_status(iterator->behind) != STATUS_OK) {
            iterator->shown = SHOWN_NOTHING;
            return;
        }
        const struct overlay_row *row = overlay_at(iterator);
        if (row == NULL) {
            iterator->shown = has_behind ? SHOWN_BEHIND : SHOWN_NOTHING;
            return;
        }
        int compared = has_behind
                           ? bytes_compare(vtable->iterator_key(iterator->behind), overlay_key(row))
                           : 1;
        if (compared < 0) {
            iterator->shown = SHOWN_BEHIND;
            return;
        }
        if (compared == 0) {
            vtable->iterator_next(iterator->behind); /* written, or deleted, since */
            if (!row->row->is_put) {
                iterator->at++;
            }
            continue;
        }
        if (row->row->is_put) {
            iterator->shown = SHOWN_OVERLAY;
            return;
        }
        iterator->at++;
    }
}

void buffer_iterator_seek(struct store_iterator *iterator, struct bytes key)
{
    iterator->vtable->iterator_seek(iterator->behind, key);
    iterator->at = iterator->overlay == NULL ? 0 : overlay_find(iterator->overlay, key);
    show(iterator);
}

void buffer_iterator_next(struct store_iterator *iterator)
{
    ASSERT(iterator->shown != SHOWN_NOTHING);
    if (iterator->shown == SHOWN_OVERLAY) {
        iterator->at++;
    } else {
        iterator->vtable->iterator_next(iterator->behind);
    }
    show(iterator);
}

bool buffer_iterator_valid(const struct store_iterator *iterator)
{
    return iterator->shown != SHOWN_NOTHING;
}

struct bytes buffer_iterator_key(const struct store_iterator *iterator)
{
    ASSERT(iterator->shown != SHOWN_NOTHING);
    return iterator->shown == SHOWN_OVERLAY ? overlay_key(overlay_at(iterator))
                                            : iterator->vtable->iterator_key(iterator->behind);
}

struct bytes buffer_iterator_value(const struct store_iterator *iterator)
{
    ASSERT(iterator->shown != SHOWN_NOTHING);
    if (iterator->shown == SHOWN_BEHIND) {
        return iterator->vtable->iterator_value(iterator->behind);
    }
    const struct overlay_row *row = overlay_at(iterator);
    return buffer_table_value(row->table, row->row);
}

enum status buffer_iterator_status(const struct store_iterator *iterator)
{
    return iterator->vtable->iterator_status(iterator->behind);
}

void buffer_iterator_destroy(struct store_iterator *iterator)
{
    iterator->vtable->iterator_destroy(iterator->behind);
    buffer_overlay_release(iterator->overlay);
    free(iterator);
}
