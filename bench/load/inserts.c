#include "bench/load/inserts.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

#define WORD_BITS 64u

static atomic_uint_fast64_t *word_of(struct inserts *inserts, uint64_t key)
{
    return &inserts->acknowledged[key % INSERTS_WINDOW / WORD_BITS];
}

static uint64_t bit_of(uint64_t key)
{
    return 1ull << key % WORD_BITS;
}

enum status inserts_init(struct inserts *inserts, uint64_t from)
{
    atomic_init(&inserts->next, from);
    atomic_init(&inserts->end, from);
    inserts->acknowledged =
        (atomic_uint_fast64_t *)calloc(INSERTS_WINDOW / WORD_BITS, sizeof(atomic_uint_fast64_t));
    return inserts->acknowledged == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void inserts_deinit(struct inserts *inserts)
{
    free(inserts->acknowledged);
    inserts->acknowledged = NULL;
}

uint64_t inserts_take(struct inserts *inserts)
{
    return atomic_fetch_add(&inserts->next, 1);
}

/* Who takes the bit of the key at the end moves the end on, so each key moves it once; who finds it
 * gone leaves the rest to whoever took it, or to the next acknowledgement. */
static void advance(struct inserts *inserts)
{
    for (;;) {
        uint64_t end = atomic_load(&inserts->end);
        uint64_t before = atomic_fetch_and(word_of(inserts, end), ~bit_of(end));
        if ((before & bit_of(end)) == 0) {
            return;
        }
        ASSERT(atomic_load(&inserts->end) == end);
        atomic_store(&inserts->end, end + 1);
    }
}

void inserts_acknowledge(struct inserts *inserts, uint64_t key)
{
    uint64_t end = atomic_load(&inserts->end);
    ASSERT(key >= end);
    ASSERT(key < atomic_load(&inserts->next));
    if (key - end >= INSERTS_WINDOW) {
        return;
    }
    atomic_fetch_or(word_of(inserts, key), bit_of(key));
    advance(inserts);
}

uint64_t inserts_end(struct inserts *inserts)
{
    return atomic_load_explicit(&inserts->end, memory_order_relaxed);
}

uint64_t inserts_taken(struct inserts *inserts)
{
    return atomic_load(&inserts->next);
}
