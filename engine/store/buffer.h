/*
 * buffer.h: a store before a store: what was applied last stays in a hash table, and goes into the
 * memtable of the store behind it sorted, some thousand rows at a time.
 *
 * A memtable is a skip list: to put one random key among many costs a search through cold memory,
 * more than all else that a write does. Keys in their order are put next to each other, and a key
 * that is written again meanwhile is put once.
 *
 *     apply --> table that fills --(full)--> table that drains --(slices, in key order)--> store
 *     get       looks in both, the younger first, then in the store
 *     iterators  show the store with the tables laid over it, or a store that has it all
 *     flushes    come when the store has it all: the buffer is held until the memtable is closed
 *
 * Drains:    apply (where no table has room), step, settle, hold and the creation of an iterator
 *            may put rows into the store on the spot; hasten puts none there, and makes the steps
 *            that follow do it. A get, a release and the destruction never do.
 * Owner:     one shard's thread calls all but the calls that store.h marks blocking; these go
 *            straight to the store, which alone is safe beside the owner. A blocking get is for
 *            what a get without I/O could not tell, so the buffer did not have it.
 * Memory:    two tables of a fixed size, taken at creation and touched as they fill; a drained one
 *            that an iterator still shows is replaced, and goes with the iterator; six in all. And
 *            a batch, as large as the largest was. A value that a get found in a table is released
 *            before the next apply or step.
 * Invariant: a get, an iterator and a flush see all that was applied. While it is held the store
 *            stands still, at a state which was the newest one at a moment: so what a flush
 *            persists is a prefix of the history of applies, although rows go over in another
 *            order.
 * Failure:   a store that is busy loses nothing: rows wait, and apply says BUSY when there is no
 *            room. Any other failure is kept and answers every later apply.
 * Tests:     tests/unit/engine/store/ (the suite of all stores, and test_buffer.c), tests/sim.
 */
#ifndef FRESHET_ENGINE_STORE_BUFFER_H
#define FRESHET_ENGINE_STORE_BUFFER_H

#include "engine/store/buffer_table.h"
#include "engine/store/store.h"

struct store_buffer;

/* The store stays the caller's, and outlives the buffer; nobody else applies to it. On failure
 * *out is NULL. */
MUST_USE enum status store_buffer_create(struct store *behind, const struct buffer_limits *limits,
                                         struct store_buffer **out);
/* Accepts NULL. What is still in it is lost, as a memtable is: the journal has it. */
void store_buffer_destroy(struct store_buffer **buffer);

/* As a store: destroying it is destroying the buffer. */
struct store *store_buffer_store(struct store_buffer *buffer);

/* Once a turn: lets the next rows into the store, twice as many as came since at least. True: it
 * wants to go on now, though nothing comes (after store_buffer_hasten, and until it is refused). */
bool store_buffer_step(struct store_buffer *buffer);

/* Rows that are not in the store yet. */
uint32_t store_buffer_rows(const struct store_buffer *buffer);

/* All that was applied goes into the store now. BUSY: the store refuses; try again. */
MUST_USE enum status store_buffer_settle(struct store_buffer *buffer);

/* Until it is empty once, steps drain it whether something comes or not, and more at a time. BUSY:
 * it is held, the store refused last, or iterators show all the tables there may be; steps try
 * again, so who waits for it lets some time pass. */
MUST_USE enum status store_buffer_hasten(struct store_buffer *buffer);

/* Settles, and keeps what comes later out of the store until the release. Not OK: nothing is
 * held. */
MUST_USE enum status store_buffer_hold(struct store_buffer *buffer);
void store_buffer_release(struct store_buffer *buffer);

#endif
