/*
 * help.h: what the cache's tests share: numbered keys, and bodies that say what they are.
 */
#ifndef FRESHET_TESTS_UNIT_ENGINE_CACHE_HELP_H
#define FRESHET_TESTS_UNIT_ENGINE_CACHE_HELP_H

#include "engine/cache/cache.h"
#include "engine/cache/cache_internal.h"

#define HELP_BODY_BYTES_MAX (8u << 20)
#define HELP_KEY_BYTES_MAX  64

struct help_key {
    uint8_t text[HELP_KEY_BYTES_MAX];
    struct bytes view;
    uint64_t hash;
};

struct cache *help_open(uint64_t bytes_max, bool shared);
void help_key_make(uint64_t number, struct help_key *out);
/* What a test that says nothing else stores: sequence, never expires, a record. */
struct cache_meta help_meta(uint64_t sequence);
/* A body of which every byte follows from the sequence and its place. */
struct bytes help_body(uint64_t sequence, size_t body_bytes);
bool help_body_is(struct bytes body, uint64_t sequence, size_t body_bytes);

enum status help_put(struct cache *cache, uint64_t number, uint64_t sequence, size_t body_bytes);
/* The sequence found under the key, 0 for none; asserts that the body belongs to it. */
uint64_t help_get(struct cache *cache, uint64_t number, uint64_t now_ns);
void help_remove(struct cache *cache, uint64_t number);

uint64_t help_seed(const char *test); /* from FRESHET_SEED or the clock; printed */
uint64_t help_random(uint64_t *state);
struct cache_statistics help_statistics(const struct cache *cache);

#endif
