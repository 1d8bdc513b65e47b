#include "tests/unit/engine/cache/help.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <criterion/criterion.h>

struct cache *help_open(uint64_t bytes_max, bool shared)
{
    struct cache_options options = {.bytes_max = bytes_max, .shared = shared};
    struct cache *cache = NULL;
    cr_assert_eq(cache_create(&options, &cache), STATUS_OK);
    cr_assert_not_null(cache);
    return cache;
}

void help_key_make(uint64_t number, struct help_key *out)
{
    struct writer writer = writer_of(out->text, sizeof(out->text));
    writer_put(&writer, BYTES_LITERAL("products\0"));
    writer_decimal(&writer, number);
    out->view = writer_bytes(&writer);
    out->hash = cache_hash(out->view);
}

struct cache_meta help_meta(uint64_t sequence)
{
    return (struct cache_meta){
        .epoch = sequence + 1,
        .sequence = sequence,
        .version = sequence + 2,
        .made_at_ms = sequence + 3,
        .expires_at_ns = UINT64_MAX,
        .class = CACHE_RECORD,
    };
}

static uint8_t body_byte(uint64_t sequence, size_t i)
{
    return (uint8_t)((sequence * 0x9e3779b97f4a7c15u >> 32) + i * 7 + (i >> 8));
}

struct bytes help_body(uint64_t sequence, size_t body_bytes)
{
    static uint8_t body[HELP_BODY_BYTES_MAX];
    cr_assert_leq(body_bytes, sizeof(body));
    for (size_t i = 0; i < body_bytes; i++) {
        body[i] = body_byte(sequence, i);
    }
    return bytes_of(body, body_bytes);
}

bool help_body_is(struct bytes body, uint64_t sequence, size_t body_bytes)
{
    if (body.size != body_bytes) {
        return false;
    }
    for (size_t i = 0; i < body_bytes; i++) {
        if (body.data[i] != body_byte(sequence, i)) {
            return false;
        }
    }
    return true;
}

enum status help_put(struct cache *cache, uint64_t number, uint64_t sequence, size_t body_bytes)
{
    struct help_key key;
    help_key_make(number, &key);
    struct cache_meta meta = help_meta(sequence);
    struct bytes body = help_body(sequence, body_bytes);
    /* In two parts, as a head and a tail would come. */
    struct bytes parts[] = {bytes_slice(body, 0, body_bytes / 3),
                            bytes_slice(body, body_bytes / 3, body_bytes)};
    return cache_put(cache, key.hash, key.view, &meta, parts, 2);
}

uint64_t help_get(struct cache *cache, uint64_t number, uint64_t now_ns)
{
    struct help_key key;
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    help_key_make(number, &key);
    enum status status = cache_get(cache, key.hash, key.view, now_ns, copy, &body);
    if (status != STATUS_OK) {
        cr_assert_eq(status, STATUS_NOT_FOUND);
        return 0;
    }
    uint64_t sequence = body.meta.sequence;
    cr_assert(help_body_is(body.body, sequence, body.body.size), "body of key %llu is not its own",
              (unsigned long long)number);
    cr_assert_eq(body.pin != NULL, body.body.size > CACHE_COPY_BYTES_MAX);
    cache_unpin(cache, &body);
    return sequence;
}

void help_remove(struct cache *cache, uint64_t number)
{
    struct help_key key;
    help_key_make(number, &key);
    cache_remove(cache, key.hash, key.view);
}

uint64_t help_seed(const char *test)
{
    const char *text = getenv("FRESHET_SEED");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10)
                                 : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    fprintf(stderr, "%s: FRESHET_SEED=%llu\n", test, (unsigned long long)seed);
    return seed | 1;
}

uint64_t help_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du >> 11;
}

struct cache_statistics help_statistics(const struct cache *cache)
{
    struct cache_statistics statistics;
    cache_statistics_read(cache, &statistics);
    return statistics;
}
