#include "net/server/fold.h"

#include <stdlib.h>
#include <xxhash.h>

#include "protocol/base/assert.h"

#define FOLD_SLOTS_FIRST 1024u

static void key_hash(struct bytes collection, struct bytes id, uint64_t out[2])
{
    uint8_t key_bytes[ROW_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_record_key(collection, id, &key);
    ASSERT(!key.failed);
    XXH128_hash_t hash = XXH3_128bits(key.data, key.size);
    out[0] = hash.low64 | 1; /* never zero, which is a free slot */
    out[1] = hash.high64;
}

static void state_hash(uint64_t sequence, uint64_t version, struct bytes document, uint64_t out[2])
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(document.data, document.size,
                                               sequence * 0x9e3779b97f4a7c15ull + version);
    out[0] = hash.low64 | 1; /* never zero, which is a deleted record */
    out[1] = hash.high64;
}

static struct fold_slot *slot_find(struct fold_slot *slots, uint64_t slot_count,
                                   const uint64_t key[2])
{
    uint64_t at = key[1] & (slot_count - 1);
    while (slots[at].key[0] != 0 && (slots[at].key[0] != key[0] || slots[at].key[1] != key[1])) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static enum status fold_grow(struct fold *fold)
{
    uint64_t slot_count = fold->slot_count * 2;
    struct fold_slot *slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint64_t i = 0; i < fold->slot_count; i++) {
        if (fold->slots[i].key[0] != 0) {
            *slot_find(slots, slot_count, fold->slots[i].key) = fold->slots[i];
        }
    }
    free(fold->slots);
    fold->slots = slots;
    fold->slot_count = slot_count;
    return STATUS_OK;
}

enum status fold_init(struct fold *fold)
{
    *fold = (struct fold){.slot_count = FOLD_SLOTS_FIRST};
    fold->slots = calloc(fold->slot_count, sizeof(*fold->slots));
    return fold->slots == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void fold_deinit(struct fold *fold)
{
    free(fold->slots);
    *fold = (struct fold){.slots = NULL};
}

enum status fold_entry(struct fold *fold, const struct entry *entry)
{
    if (entry->kind != ENTRY_PUT && entry->kind != ENTRY_DELETE) {
        return STATUS_OK;
    }
    if (fold->used * 2 >= fold->slot_count) {
        enum status status = fold_grow(fold);
        if (status != STATUS_OK) {
            return status;
        }
    }
    uint64_t key[2];
    key_hash(entry->collection, entry->id, key);
    struct fold_slot *slot = slot_find(fold->slots, fold->slot_count, key);
    fold->used += slot->key[0] == 0;
    fold->records -= slot->state[0] != 0;
    *slot = (struct fold_slot){.key = {key[0], key[1]}};
    if (entry->kind == ENTRY_PUT) {
        state_hash(entry->sequence, entry->version, entry->new_document, slot->state);
        fold->records++;
    }
    ASSERT(fold->used < fold->slot_count);
    ASSERT(fold->records <= fold->used);
    return STATUS_OK;
}

bool fold_has(const struct fold *fold, struct bytes collection, struct bytes id,
              const struct row_record *record)
{
    uint64_t key[2];
    uint64_t state[2];
    key_hash(collection, id, key);
    state_hash(record->sequence, record->version, record->document, state);
    const struct fold_slot *slot = slot_find(fold->slots, fold->slot_count, key);
    return slot->state[0] == state[0] && slot->state[1] == state[1];
}
