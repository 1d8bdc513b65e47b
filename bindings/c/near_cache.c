#include "bindings/c/near_cache.h"

#include <stdlib.h>

/* Short keys are hashed in a few nanoseconds, of which a call would be the half. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/base/assert.h"

/* One slot for so many bytes of the bound: entries are seldom smaller, and an empty slot is cheap.
 */
#define BYTES_PER_SLOT   256
#define SLOT_COUNT_MIN   16
#define SLOT_COUNT_LIMIT ((size_t)1 << 28)
#define RECENT_WAYS      4
#define RECENT_SETS_MIN  4
#define RECENT_SETS_MAX  1024
#define BYTES_PER_SET    ((size_t)16 << 10)
#define MALLOC_OVERHEAD  16
/* No entry takes more than this part of the cache. */
#define ENTRY_SHARE 8

struct entry {
    struct near_pair pair;
    uint64_t version;
    uint32_t data_size;
    uint16_t collection_size;
    uint16_t id_size;
    bool is_there;
    bool is_recent;  /* found since the hand came by */
    uint8_t bytes[]; /* collection, id, data */
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: empty */
};

/* An invalidation, a write of our own, or an eviction. */
struct event {
    uint64_t hash;
    struct near_pair pair; /* the greatest */
    uint64_t number;       /* the newest; 0: none */
};

struct event_set {
    struct event ways[RECENT_WAYS];
    uint64_t forgotten; /* the newest event that had to make room */
};

struct near_cache {
    struct slot *slots;
    size_t slot_mask;
    size_t entries;
    size_t entries_max;
    size_t bytes;
    size_t bytes_max;
    size_t hand;
    uint64_t seed;
    uint64_t event;
    uint64_t event_start; /* what was sent before this event fills nothing */
    struct event_set *sets;
    size_t set_mask;
    uint64_t invalidations;
    uint64_t dropped_fills;
    uint64_t evictions;
};

static size_t power_of_two_below(size_t count, size_t least, size_t most)
{
    size_t power = least;
    while (power <= count / 2 && power < most) {
        power *= 2;
    }
    return power;
}

enum status near_cache_create(size_t bytes_max, uint64_t seed, struct near_cache **out)
{
    ASSERT(bytes_max > 0);
    *out = NULL;
    struct near_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return STATUS_NO_MEMORY;
    }
    size_t slots = power_of_two_below(bytes_max / BYTES_PER_SLOT, SLOT_COUNT_MIN, SLOT_COUNT_LIMIT);
    size_t sets = power_of_two_below(bytes_max / BYTES_PER_SET, RECENT_SETS_MIN, RECENT_SETS_MAX);
    cache->slots = calloc(slots, sizeof(*cache->slots));
    cache->sets = calloc(sets, sizeof(*cache->sets));
    if (cache->slots == NULL || cache->sets == NULL) {
        near_cache_destroy(&cache);
        return STATUS_NO_MEMORY;
    }
    cache->slot_mask = slots - 1;
    cache->set_mask = sets - 1;
    cache->entries_max = slots / 4 * 3;
    cache->bytes_max = bytes_max;
    cache->bytes = sizeof(*cache) + slots * sizeof(*cache->slots) + sets * sizeof(*cache->sets);
    cache->seed = seed;
    *out = cache;
    return STATUS_OK;
}

void near_cache_destroy(struct near_cache **cache)
{
    struct near_cache *it = *cache;
    *cache = NULL;
    if (it == NULL) {
        return;
    }
    for (size_t index = 0; it->slots != NULL && index <= it->slot_mask; index++) {
        free(it->slots[index].entry);
    }
    free(it->slots);
    free(it->sets);
    free(it);
}

uint64_t near_cache_hash(const struct near_cache *cache, struct bytes collection, struct bytes id)
{
    /* The first hash is the seed of the second, so that ("ab", "c") is not ("a", "bc"). */
    uint64_t seed = XXH3_64bits_withSeed(collection.data, collection.size, cache->seed);
    return XXH3_64bits_withSeed(id.data, id.size, seed);
}

/* ---- the table of entries ---- */

/* The hash's slot, or the empty one where it would be. */
static size_t slot_of(const struct near_cache *cache, uint64_t hash)
{
    size_t index = hash & cache->slot_mask;
    while (cache->slots[index].entry != NULL && cache->slots[index].hash != hash) {
        index = (index + 1) & cache->slot_mask;
    }
    return index;
}

static size_t entry_bytes(const struct entry *entry)
{
    return sizeof(*entry) + entry->collection_size + entry->id_size + entry->data_size +
           MALLOC_OVERHEAD;
}

static bool entry_has_key(const struct entry *entry, const struct near_key *key)
{
    return entry->collection_size == key->collection.size && entry->id_size == key->id.size &&
           memcmp(entry->bytes + entry->collection_size, key->id.data, key->id.size) == 0 &&
           memcmp(entry->bytes, key->collection.data, key->collection.size) == 0;
}

/* Empties a slot; those behind it that would not be found any more move up. */
static void slot_remove(struct near_cache *cache, size_t index)
{
    struct slot *slots = cache->slots;
    ASSERT(slots[index].entry != NULL);
    ASSERT(cache->entries > 0);
    cache->bytes -= entry_bytes(slots[index].entry);
    cache->entries--;
    free(slots[index].entry);
    size_t gap = index;
    for (size_t at = (gap + 1) & cache->slot_mask; slots[at].entry != NULL;
         at = (at + 1) & cache->slot_mask) {
        size_t home = slots[at].hash & cache->slot_mask;
        /* It may move to the gap unless its home lies behind the gap. */
        if (((at - home) & cache->slot_mask) >= ((at - gap) & cache->slot_mask)) {
            slots[gap] = slots[at];
            gap = at;
        }
    }
    slots[gap] = (struct slot){0};
}

bool near_cache_find(struct near_cache *cache, const struct near_key *key,
                     struct near_state *state_out)
{
    struct entry *entry = cache->slots[slot_of(cache, key->hash)].entry;
    if (entry == NULL || !entry_has_key(entry, key)) {
        return false;
    }
    if (!entry->is_recent) {
        entry->is_recent = true;
    }
    size_t key_size = (size_t)entry->collection_size + entry->id_size;
    state_out->data = bytes_of(entry->bytes + key_size, entry->data_size);
    state_out->pair = entry->pair;
    state_out->version = entry->version;
    state_out->is_there = entry->is_there;
    return true;
}

/* ---- events ---- */

uint64_t near_cache_event(const struct near_cache *cache)
{
    return cache->event;
}

static struct event_set *set_of(const struct near_cache *cache, uint64_t hash)
{
    /* The slots use the low bits. */
    return &cache->sets[(hash >> 32) & cache->set_mask];
}

static void event_note(struct near_cache *cache, uint64_t hash, struct near_pair pair)
{
    struct event_set *set = set_of(cache, hash);
    struct event *chosen = &set->ways[0];
    cache->event++;
    for (size_t way = 0; way < RECENT_WAYS; way++) {
        struct event *event = &set->ways[way];
        if (event->number != 0 && event->hash == hash) {
            event->pair = near_pair_less(event->pair, pair) ? pair : event->pair;
            event->number = cache->event;
            return;
        }
        chosen = event->number < chosen->number ? event : chosen;
    }
    ASSERT(chosen->number < cache->event);
    if (chosen->number > set->forgotten) {
        set->forgotten = chosen->number;
    }
    *chosen = (struct event){hash, pair, cache->event};
}

/* Whether an answer of that pair, asked for when event_sent was the newest, may be out of date. */
static bool is_overtaken(const struct near_cache *cache, uint64_t hash, struct near_pair pair,
                         uint64_t event_sent)
{
    const struct event_set *set = set_of(cache, hash);
    /* What was forgotten may have been a greater pair of this very key. */
    if (event_sent < cache->event_start || event_sent < set->forgotten) {
        return true;
    }
    for (size_t way = 0; way < RECENT_WAYS; way++) {
        const struct event *event = &set->ways[way];
        if (event->number != 0 && event->hash == hash) {
            return event->number > event_sent && near_pair_less(pair, event->pair);
        }
    }
    return false;
}

/* Nothing older than that pair is shown from here on. */
void near_cache_outdate(struct near_cache *cache, uint64_t hash, struct near_pair pair)
{
    size_t index = slot_of(cache, hash);
    struct entry *entry = cache->slots[index].entry;
    if (entry != NULL && near_pair_less(entry->pair, pair)) {
        slot_remove(cache, index);
    }
    event_note(cache, hash, pair);
}

void near_cache_invalidate(struct near_cache *cache, uint64_t hash, struct near_pair pair)
{
    near_cache_outdate(cache, hash, pair);
    cache->invalidations++;
}

void near_cache_restart(struct near_cache *cache)
{
    for (size_t index = 0; index <= cache->slot_mask; index++) {
        struct entry *entry = cache->slots[index].entry;
        if (entry != NULL) {
            cache->bytes -= entry_bytes(entry);
            free(entry);
            cache->slots[index] = (struct slot){0};
        }
    }
    cache->entries = 0;
    cache->hand = 0;
    /* Pairs of another store compare with nothing here, so they go, too. */
    memset(cache->sets, 0, (cache->set_mask + 1) * sizeof(*cache->sets));
    cache->event++;
    cache->event_start = cache->event;
}

/* ---- fills ---- */

/* Takes one entry out; what it was is remembered as an event: no older answer may follow it. */
static void evict(struct near_cache *cache)
{
    ASSERT(cache->entries > 0);
    /* In two rounds the hand has met an entry that was not found since the first. */
    for (size_t step = 0; step <= 2 * cache->slot_mask + 1; step++) {
        struct slot *slot = &cache->slots[cache->hand];
        if (slot->entry != NULL && !slot->entry->is_recent) {
            event_note(cache, slot->hash, slot->entry->pair);
            slot_remove(cache, cache->hand);
            cache->evictions++;
            return;
        }
        if (slot->entry != NULL) {
            slot->entry->is_recent = false;
        }
        cache->hand = (cache->hand + 1) & cache->slot_mask;
    }
    UNREACHABLE();
}

static struct entry *entry_create(const struct near_key *key, const struct near_state *state)
{
    size_t key_size = key->collection.size + key->id.size;
    struct entry *entry = malloc(sizeof(*entry) + key_size + state->data.size);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct entry){.pair = state->pair,
                            .version = state->version,
                            .data_size = (uint32_t)state->data.size,
                            .collection_size = (uint16_t)key->collection.size,
                            .id_size = (uint16_t)key->id.size,
                            .is_there = state->is_there};
    struct writer out = writer_of(entry->bytes, key_size + state->data.size);
    writer_put(&out, key->collection);
    writer_put(&out, key->id);
    writer_put(&out, state->data);
    ASSERT(!out.failed);
    return entry;
}

static void insert(struct near_cache *cache, uint64_t hash, struct entry *entry)
{
    size_t size = entry_bytes(entry);
    while (cache->entries > 0 &&
           (cache->entries >= cache->entries_max || cache->bytes + size > cache->bytes_max)) {
        evict(cache);
    }
    if (cache->bytes + size > cache->bytes_max) {
        free(entry); /* the empty table alone is too large for it */
        return;
    }
    size_t index = slot_of(cache, hash);
    ASSERT(cache->slots[index].entry == NULL);
    cache->slots[index] = (struct slot){hash, entry};
    cache->entries++;
    cache->bytes += size;
}

void near_cache_fill(struct near_cache *cache, const struct near_key *key,
                     const struct near_state *state, uint64_t event_sent)
{
    ASSERT(event_sent <= cache->event);
    ASSERT(key->collection.size <= UINT16_MAX && key->id.size <= UINT16_MAX);
    if (is_overtaken(cache, key->hash, state->pair, event_sent)) {
        /* It may only seem so; and whoever asked has read it. */
        near_cache_outdate(cache, key->hash, state->pair);
        cache->dropped_fills++;
        return;
    }
    size_t index = slot_of(cache, key->hash);
    struct entry *old = cache->slots[index].entry;
    if (old != NULL && entry_has_key(old, key) && !near_pair_less(old->pair, state->pair)) {
        cache->dropped_fills += near_pair_less(state->pair, old->pair);
        return;
    }
    if (old != NULL) {
        event_note(cache, key->hash, old->pair);
        slot_remove(cache, index);
    }
    struct entry *entry = NULL;
    if (state->data.size < cache->bytes_max / ENTRY_SHARE) {
        entry = entry_create(key, state);
    }
    if (entry == NULL) {
        /* It has been read all the same: nothing older may fill after it. */
        event_note(cache, key->hash, state->pair);
        return;
    }
    insert(cache, key->hash, entry);
}

struct near_cache_counts near_cache_counts(const struct near_cache *cache)
{
    return (struct near_cache_counts){.invalidations = cache->invalidations,
                                      .dropped_fills = cache->dropped_fills,
                                      .evictions = cache->evictions,
                                      .entries = cache->entries,
                                      .bytes = cache->bytes};
}

bool near_cache_is_sound(const struct near_cache *cache)
{
    size_t entries = 0;
    size_t bytes = sizeof(*cache) + (cache->slot_mask + 1) * sizeof(*cache->slots) +
                   (cache->set_mask + 1) * sizeof(*cache->sets);
    for (size_t index = 0; index <= cache->slot_mask; index++) {
        const struct slot *slot = &cache->slots[index];
        if (slot->entry != NULL) {
            entries++;
            bytes += entry_bytes(slot->entry);
            if (slot_of(cache, slot->hash) != index) {
                return false;
            }
        }
    }
    return entries == cache->entries && bytes == cache->bytes && entries <= cache->entries_max;
}
