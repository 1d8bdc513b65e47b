/*
 * fuzz_cache.c: a script of operations on a cache, beside a naive map of what was last put under
 * each key.
 *
 * Byte 0 chooses the cache's size and whether it locks; then each operation is a byte (what, by its
 * low three bits), a byte (the key) and, for a put, two bytes of size and one of time to live.
 * Found must be what was last put; the structure must be whole.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cache/cache.h"
#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"

#define KEY_COUNT      64
#define OPERATIONS_MAX 4096
#define PIN_COUNT      4

struct known {
    bool present;
    uint64_t sequence;
    uint64_t expires_at_ns;
    size_t body_size;
};

struct script {
    struct cache *cache;
    uint64_t now_ns;
    uint64_t sequence;
    struct known known[KEY_COUNT];
    struct cache_body pins[PIN_COUNT];
    uint8_t pin_bytes[PIN_COUNT];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keys of 1 to 64 bytes. */
static struct bytes key_of(unsigned number, uint8_t *into)
{
    memset(into, (int)number, number + 1);
    return bytes_of(into, number + 1);
}

static void put(struct script *script, unsigned number, struct reader *reader)
{
    static uint8_t body[2u << 20];
    uint8_t key_bytes[KEY_COUNT];
    struct bytes key = key_of(number, key_bytes);
    struct known *known = &script->known[number];
    unsigned size = reader_u16(reader);
    uint64_t lifetime_ns = reader_u8(reader);

    script->sequence++;
    known->sequence = script->sequence;
    known->expires_at_ns = lifetime_ns == 255 ? UINT64_MAX : script->now_ns + lifetime_ns;
    /* The top values stand for bodies far larger than pages. */
    known->body_size = size < 0xf000 ? size : (size_t)(size - 0xefff) << 9;
    ASSERT(known->body_size <= sizeof(body));
    memset(body, (int)(script->sequence & 0xff), known->body_size);
    struct cache_meta meta = {
        .sequence = known->sequence,
        .expires_at_ns = known->expires_at_ns,
        .class = CACHE_RECORD,
    };
    struct bytes parts[2] = {bytes_of(body, known->body_size / 2),
                             bytes_of(body, known->body_size - known->body_size / 2)};
    known->present = cache_put(script->cache, cache_hash(key), key, &meta, parts, 2) == STATUS_OK;
}

static void check_body(struct bytes body, uint8_t byte)
{
    for (size_t i = 0; i < body.size; i++) {
        ASSERT(body.data[i] == byte);
    }
}

static void unpin(struct script *script, unsigned place)
{
    if (script->pins[place].pin != NULL) {
        check_body(script->pins[place].body, script->pin_bytes[place]);
        cache_unpin(script->cache, &script->pins[place]);
    }
}

static void get(struct script *script, unsigned number, bool keep_pin)
{
    static uint8_t copy[CACHE_COPY_BYTES_MAX];
    uint8_t key_bytes[KEY_COUNT];
    struct bytes key = key_of(number, key_bytes);
    const struct known *known = &script->known[number];
    struct cache_body body;
    if (cache_get(script->cache, cache_hash(key), key, script->now_ns, copy, &body) != STATUS_OK) {
        return;
    }
    ASSERT(known->present);
    ASSERT(known->sequence == body.meta.sequence);
    ASSERT(known->body_size == body.body.size);
    ASSERT(known->expires_at_ns > script->now_ns);
    check_body(body.body, (uint8_t)known->sequence);
    unsigned place = number % PIN_COUNT;
    if (keep_pin && body.pin != NULL && script->pins[place].pin == NULL) {
        script->pins[place] = body;
        script->pin_bytes[place] = (uint8_t)known->sequence;
    } else {
        cache_unpin(script->cache, &body);
    }
}

static void step(struct script *script, struct reader *reader)
{
    unsigned what = reader_u8(reader);
    unsigned number = reader_u8(reader) % KEY_COUNT;
    uint8_t key_bytes[KEY_COUNT];
    struct bytes key = key_of(number, key_bytes);
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        put(script, number, reader);
        break;
    case 3:
        get(script, number, (what & 8) != 0);
        break;
    case 4:
        cache_remove(script->cache, cache_hash(key), key);
        ASSERT(!cache_contains(script->cache, cache_hash(key), key));
        script->known[number].present = false;
        break;
    case 5:
        unpin(script, number % PIN_COUNT);
        break;
    case 6:
        script->now_ns += what >> 3;
        cache_expire(script->cache, script->now_ns, number);
        break;
    default:
        cache_clear(script->cache);
        memset(script->known, 0, sizeof(script->known));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, CACHE_BYTES_MIN, 16 << 10, 64 << 10, 256 << 10, 4 << 20};
    struct reader reader = reader_of(bytes_of(data, size));
    unsigned first = reader_u8(&reader);
    struct cache_options options = {.bytes_max = sizes[first % 6], .shared = (first & 0x80) != 0};
    struct script script = {0};
    if (cache_create(&options, &script.cache) != STATUS_OK) {
        return 0;
    }
    for (unsigned i = 0; i < OPERATIONS_MAX && reader_left(&reader) >= 2; i++) {
        step(&script, &reader);
        struct cache_statistics statistics;
        cache_statistics_read(script.cache, &statistics);
        ASSERT(statistics.bytes <= statistics.bytes_max);
        if (i % 16 == 0) {
            cache_check(script.cache);
        }
    }
    for (unsigned i = 0; i < PIN_COUNT; i++) {
        unpin(&script, i);
    }
    cache_check(script.cache);
    cache_destroy(&script.cache);
    return 0;
}
