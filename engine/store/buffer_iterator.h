/*
 * buffer_iterator.h: an iterator over the store behind a write buffer, and over the rows that are
 * still in the buffer where they cannot, or should not, go over first.
 *
 *     behind   a=1      c=1  d=1             the store's own iterator
 *     older        b=2  c=2  d=2             the table that drains, from where it has come to
 *     younger           c=3  d deleted  e=3  the table that fills, as it was at that moment
 *     shown    a=1 b=2  c=3             e=3
 *
 * Owner:     made by the buffer's owner; then it may go to a store thread, as any iterator.
 * Memory:    an overlay holds the tables of its rows, which are not cleared until it is gone, and
 *            has 16 bytes for each row of the younger one.
 * Tests:     tests/unit/engine/store/test_buffer.c, and the suite of all stores.
 */
#ifndef FRESHET_ENGINE_STORE_BUFFER_ITERATOR_H
#define FRESHET_ENGINE_STORE_BUFFER_ITERATOR_H

#include "engine/store/buffer_table.h"
#include "engine/store/store.h"

/* The rows of two tables in their orders. All iterators of one moment share it. */
struct buffer_overlay;

/* The live rows of younger, which may go on to fill, and the sorted ones of older from rank `from`
 * on. With one holder. NULL: out of memory. */
struct buffer_overlay *buffer_overlay_create(struct buffer_table *younger,
                                             struct buffer_table *older, uint32_t from);
/* Any thread; accepts NULL. */
void buffer_overlay_release(struct buffer_overlay *overlay);

/* Over what `behind`, an iterator of a store with that vtable, shows; it is destroyed with this
 * one, and when this fails. overlay (or NULL) is held. */
MUST_USE enum status buffer_iterator_create(const struct store_vtable *behind_vtable,
                                            struct store_iterator *behind,
                                            struct buffer_overlay *overlay,
                                            struct store_iterator **out);

/* As in store_vtable. */
void buffer_iterator_seek(struct store_iterator *iterator, struct bytes key);
void buffer_iterator_next(struct store_iterator *iterator);
bool buffer_iterator_valid(const struct store_iterator *iterator);
struct bytes buffer_iterator_key(const struct store_iterator *iterator);
struct bytes buffer_iterator_value(const struct store_iterator *iterator);
enum status buffer_iterator_status(const struct store_iterator *iterator);
void buffer_iterator_destroy(struct store_iterator *iterator);

#endif
