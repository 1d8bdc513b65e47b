#include "engine/store/buffer_iterator.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

#define LAYERS 2

/* Rows of one table, in the order of their keys. */
struct layer {
    struct buffer_table *table; /* held; NULL: it has none */
    const struct buffer_order *order;
    uint32_t count;
};

struct buffer_overlay {
    atomic_uint holders;
    struct layer layers[LAYERS]; /* the younger one first: what it says of a key holds */
    struct buffer_order order[]; /* of the younger one; the older one has its own */
};

enum shown { SHOWN_NOTHING, SHOWN_BEHIND, SHOWN_OVERLAY };

struct store_iterator {
    const struct store_vtable *vtable; /* of behind */
    struct store_iterator *behind;
    struct buffer_overlay *overlay; /* or NULL */
    uint32_t at[LAYERS];            /* in their rows: at or behind what is shown */
    enum shown shown;
    uint32_t layer; /* of the row that is shown, if it is the overlay's */
};

/* ---- the overlay ---- */

static const struct buffer_row *layer_row(const struct layer *layer, uint32_t at)
{
    ASSERT(at < layer->count);
    return &layer->table->rows[layer->order[at].row];
}

static struct bytes layer_key(const struct layer *layer, uint32_t at)
{
    return buffer_table_key(layer->table, layer_row(layer, at));
}

static struct layer layer_of(struct buffer_table *table, const struct buffer_order *order,
                             uint32_t count)
{
    if (count == 0) {
        return (struct layer){0};
    }
    buffer_table_hold(table);
    return (struct layer){.table = table, .order = order, .count = count};
}

struct buffer_overlay *buffer_overlay_create(struct buffer_table *younger,
                                             struct buffer_table *older, uint32_t from)
{
    ASSERT(from <= older->order_count);
    struct buffer_overlay *overlay =
        malloc(sizeof(*overlay) + younger->live_count * sizeof(overlay->order[0]));
    if (overlay == NULL) {
        return NULL;
    }
    atomic_init(&overlay->holders, 1);
    buffer_table_order(younger, overlay->order);
    overlay->layers[0] = layer_of(younger, overlay->order, younger->live_count);
    overlay->layers[1] = layer_of(older, older->order + from, older->order_count - from);
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
        buffer_table_release(overlay->layers[0].table);
        buffer_table_release(overlay->layers[1].table);
        free(overlay);
    }
}

/* The first of its rows at or behind the key. */
static uint32_t layer_find(const struct layer *layer, struct bytes key)
{
    uint32_t low = 0;
    uint32_t high = layer->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(layer_key(layer, middle), key) < 0) {
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

/* The layer whose next row is next of all; LAYERS: there are no more. */
static uint32_t overlay_next(const struct store_iterator *iterator)
{
    uint32_t next = LAYERS;
    for (uint32_t i = 0; iterator->overlay != NULL && i < LAYERS; i++) {
        const struct layer *layers = iterator->overlay->layers;
        if (iterator->at[i] < layers[i].count &&
            (next == LAYERS || bytes_compare(layer_key(&layers[i], iterator->at[i]),
                                             layer_key(&layers[next], iterator->at[next])) < 0)) {
            next = i;
        }
    }
    return next;
}

/* Past the row that is next in that layer, and past the older one of its key. */
static void overlay_pass(struct store_iterator *iterator, uint32_t layer)
{
    const struct layer *layers = iterator->overlay->layers;
    struct bytes key = layer_key(&layers[layer], iterator->at[layer]);
    for (uint32_t i = layer; i < LAYERS; i++) {
        if (iterator->at[i] < layers[i].count &&
            bytes_equal(layer_key(&layers[i], iterator->at[i]), key)) {
            iterator->at[i]++;
        }
    }
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
        uint32_t next = overlay_next(iterator);
        if (next == LAYERS) {
            iterator->shown = has_behind ? SHOWN_BEHIND : SHOWN_NOTHING;
            return;
        }
        const struct layer *layer = &iterator->overlay->layers[next];
        struct bytes key = layer_key(layer, iterator->at[next]);
        int compared = has_behind ? bytes_compare(vtable->iterator_key(iterator->behind), key) : 1;
        if (compared < 0) {
            iterator->shown = SHOWN_BEHIND;
            return;
        }
        bool is_put = layer_row(layer, iterator->at[next])->is_put;
        if (compared > 0 && is_put) {
            iterator->shown = SHOWN_OVERLAY;
            iterator->layer = next;
            return;
        }
        if (compared == 0) {
            vtable->iterator_next(iterator->behind); /* written, or deleted, since */
        }
        if (!is_put) {
            overlay_pass(iterator, next);
        }
    }
}

void buffer_iterator_seek(struct store_iterator *iterator, struct bytes key)
{
    iterator->vtable->iterator_seek(iterator->behind, key);
    for (uint32_t i = 0; iterator->overlay != NULL && i < LAYERS; i++) {
        iterator->at[i] = layer_find(&iterator->overlay->layers[i], key);
    }
    show(iterator);
}

void buffer_iterator_next(struct store_iterator *iterator)
{
    ASSERT(iterator->shown != SHOWN_NOTHING);
    if (iterator->shown == SHOWN_OVERLAY) {
        overlay_pass(iterator, iterator->layer);
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
    if (iterator->shown == SHOWN_BEHIND) {
        return iterator->vtable->iterator_key(iterator->behind);
    }
    const struct layer *layer = &iterator->overlay->layers[iterator->layer];
    return layer_key(layer, iterator->at[iterator->layer]);
}

struct bytes buffer_iterator_value(const struct store_iterator *iterator)
{
    ASSERT(iterator->shown != SHOWN_NOTHING);
    if (iterator->shown == SHOWN_BEHIND) {
        return iterator->vtable->iterator_value(iterator->behind);
    }
    const struct layer *layer = &iterator->overlay->layers[iterator->layer];
    return buffer_table_value(layer->table, layer_row(layer, iterator->at[iterator->layer]));
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
