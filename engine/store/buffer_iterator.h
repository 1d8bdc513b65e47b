/*
 * buffer_iterator.h: an iterator over the store behind a write buffer, and over the rows that are
 * still in the buffer where they cannot, or should not, go over first.
 *
 *     behind   a=1     c=1  d=1        the store's own iterator
 *     overlay     b=2  c=2  d deleted  rows of both tables, the younger one's where both have one
 *     shown    a=1 b=2 c=2
 *
 * Owner:     made by the buffer's owner; then it may go to a store thread, as any iterator.
 * Memory:    it holds the tables, which are not cleared until it is gone; the overlay has 16 bytes
 *            a row.
 * Tests:     tests/unit/engine/store/test_buffer.c, and the suite of all stores.
 */
#ifndef FRESHET_ENGINE_STORE_BUFFER_ITERATOR_H
#define FRESHET_ENGINE_STORE_BUFFER_ITERATOR_H

#include "engine/store/buffer_table.h"
#include "engine/store/store.h"

/* Takes behind over, also when it fails; its store's vtable. */
MUST_USE enum status buffer_iterator_create(const struct store_vtable *behind_vtable,
                                            struct store_iterator *behind,
                                            struct store_iterator **out);

/* Lays the live rows of `younger`, and the sorted ones of `older` from rank `from` on, over it.
 * NO_MEMORY: nothing is laid. */
MUST_USE enum status buffer_iterator_overlay(struct store_iterator *iterator,
                                             struct buffer_table *younger,
                                             struct buffer_table *older, uint32_t from);

/* As in store_vtable. */
void buffer_iterator_seek(struct store_iterator *iterator, struct bytes key);
void buffer_iterator_next(struct store_iterator *iterator);
bool buffer_iterator_valid(const struct store_iterator *iterator);
struct bytes buffer_iterator_key(const struct store_iterator *iterator);
struct bytes buffer_iterator_value(const struct store_iterator *iterator);
enum status buffer_iterator_status(const struct store_iterator *iterator);
void buffer_iterator_destroy(struct store_iterator *iterator);

#endif
