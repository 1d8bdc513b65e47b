/*
 * fold.h: what the journal says the records are, as checksums: 32 bytes a record, however large it
 * is.
 *
 * Owner:   one thread.
 * Memory:  a table that doubles; NO_MEMORY when it cannot.
 * Tests:   tests/unit/net/server/test_fold.c, tests/integration/test_server_lifecycle.py.
 */
#ifndef FRESHET_NET_SERVER_FOLD_H
#define FRESHET_NET_SERVER_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/journal/entry.h"
#include "engine/store/row.h"
#include "protocol/base/status.h"

struct fold_slot {
    uint64_t key[2];   /* of collection and id; zero: free */
    uint64_t state[2]; /* of sequence, version and document; zero: deleted */
};

struct fold {
    struct fold_slot *slots;
    uint64_t slot_count; /* a power of two */
    uint64_t used;
    uint64_t records; /* used and not deleted */
};

MUST_USE enum status fold_init(struct fold *fold);
void fold_deinit(struct fold *fold);
/* An entry, in the order of the journal. */
MUST_USE enum status fold_entry(struct fold *fold, const struct entry *entry);
/* True when the journal says the same of this record. */
bool fold_has(const struct fold *fold, struct bytes collection, struct bytes id,
              const struct row_record *record);

#endif
