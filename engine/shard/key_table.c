/* What is pending, by key: a chained table whose buckets are few, because few keys are busy at
 * once. */
#include <stdlib.h>

#include "engine/shard/shard_internal.h"

/* The slot's byte agrees for many keys of a shard, so buckets come from above it. */
static struct key_state **bucket_of(struct key_table *table, uint64_t hash)
{
    return &table->buckets[(hash >> 8) % KEY_BUCKETS];
}

void key_table_prefetch(struct key_table *table, uint64_t hash)
{
    __builtin_prefetch(bucket_of(table, hash));
}

struct key_state *key_table_find(struct key_table *table, uint64_t hash, struct bytes key)
{
    struct key_state *state = *bucket_of(table, hash);
    while (state != NULL &&
           (state->hash != hash || !bytes_equal(bytes_of(state->key, state->key_size), key))) {
        state = state->chain;
    }
    return state;
}

struct key_state *key_table_get(struct key_table *table, uint64_t hash, struct bytes key)
{
    struct key_state *state = key_table_find(table, hash, key);
    if (state != NULL) {
        return state;
    }
    ASSERT(key.size <= KEY_BYTES_MAX);
    state = malloc(sizeof(*state) + key.size);
    if (state == NULL) {
        return NULL;
    }
    *state = (struct key_state){.hash = hash, .key_size = (uint16_t)key.size};
    memcpy(state->key, key.data, key.size);
    link_init(&state->writes);
    link_init(&state->readers);
    link_init(&state->parked);
    struct key_state **bucket = bucket_of(table, hash);
    state->chain = *bucket;
    *bucket = state;
    table->count++;
    return state;
}

void key_table_settle(struct key_table *table, struct key_state *state)
{
    if (!list_is_empty(&state->writes) || state->read != NULL) {
        return;
    }
    ASSERT(list_is_empty(&state->readers));
    ASSERT(list_is_empty(&state->parked));
    struct key_state **at = bucket_of(table, state->hash);
    while (*at != state) {
        ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = state->chain;
    table->count--;
    free(state);
}
