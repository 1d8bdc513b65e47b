/*
 * cache.c: one owner that puts, replaces, removes, evicts and expires, and readers on other
 * threads; also under TSan.
 *
 * Every body carries its key's number and its sequence, in the clear and in each of its bytes. The
 * owner publishes a key's sequence after cache_put returned; a reader takes note of it before it
 * looks up, and must not find an older one, nor one that was removed, nor a body that is not whole.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cache/cache.h"
#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"

#define READER_COUNT 3
#define KEY_COUNT    200
#define ROUND_COUNT  200000u
#define BODY_BYTES   9000
#define CACHE_BYTES  (512u << 10)

struct shared {
    struct cache *cache;
    _Atomic uint64_t published[KEY_COUNT]; /* no look-up that starts now may find an older one */
    _Atomic uint64_t begun[KEY_COUNT];     /* nor one newer than this when it ends */
    atomic_bool done;
    atomic_ulong hits;
    atomic_ulong busy;
    atomic_ulong pinned;
};

struct reader_thread {
    pthread_t thread;
    struct shared *shared;
    uint64_t random;
};

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 8;
}

static struct bytes key_of(uint64_t number, uint8_t *into)
{
    struct writer writer = writer_of(into, 32);
    writer_text(&writer, "key ");
    writer_decimal(&writer, number);
    return writer_bytes(&writer);
}

static size_t body_size_of(uint64_t number, uint64_t sequence)
{
    /* One key in four has bodies that are pinned. */
    return number % 4 == 0 ? 4097 + sequence % (BODY_BYTES - 4097) : 16 + sequence % 600;
}

static void body_make(uint64_t number, uint64_t sequence, uint8_t *into)
{
    memset(into, (int)((number * 31 + sequence) & 0xff), body_size_of(number, sequence));
    put_u64(into, number);
    put_u64(into + 8, sequence);
}

static void body_check(struct bytes body, uint64_t number, uint64_t sequence)
{
    ASSERT(body.size == body_size_of(number, sequence));
    ASSERT(get_u64(body.data) == number);
    ASSERT(get_u64(body.data + 8) == sequence);
    for (size_t i = 16; i < body.size; i++) {
        ASSERT(body.data[i] == ((number * 31 + sequence) & 0xff));
    }
}

static void look_up(struct reader_thread *reader, uint64_t number)
{
    struct shared *shared = reader->shared;
    uint8_t key_bytes[32];
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    struct bytes key = key_of(number, key_bytes);
    uint64_t hash = cache_hash(key);
    uint64_t oldest = atomic_load(&shared->published[number]);
    cache_prefetch(shared->cache, hash);
    cache_prefetch_entry(shared->cache, hash);
    enum status status = cache_get(shared->cache, hash, key, 1, copy, &body);
    if (status == STATUS_BUSY) {
        atomic_fetch_add(&shared->busy, 1);
    }
    if (status != STATUS_OK) {
        return;
    }
    uint64_t sequence = body.meta.sequence;
    ASSERT(sequence >= oldest);
    ASSERT(sequence <= atomic_load(&shared->begun[number]));
    body_check(body.body, number, sequence);
    if (body.pin != NULL) {
        atomic_fetch_add(&shared->pinned, 1);
        /* Time for the owner to replace it; it must stay as it is. */
        for (unsigned i = 0; i < 8; i++) {
            struct cache_statistics statistics;
            cache_statistics_read(shared->cache, &statistics);
            ASSERT(statistics.bytes <= statistics.bytes_max);
        }
        body_check(body.body, number, sequence);
    }
    cache_unpin(shared->cache, &body);
    atomic_fetch_add(&shared->hits, 1);
}

static void *read_until_done(void *argument)
{
    struct reader_thread *reader = argument;
    while (!atomic_load(&reader->shared->done)) {
        for (unsigned i = 0; i < 64; i++) {
            look_up(reader, random_next(&reader->random) % KEY_COUNT);
        }
    }
    return NULL;
}

static void own(struct shared *shared, uint64_t random)
{
    static uint8_t bytes[BODY_BYTES];
    for (uint64_t sequence = 1; sequence <= ROUND_COUNT; sequence++) {
        uint64_t number = random_next(&random) % KEY_COUNT;
        uint8_t key_bytes[32];
        struct bytes key = key_of(number, key_bytes);
        atomic_store(&shared->begun[number], sequence);
        if (sequence % 8 == 0) {
            cache_remove(shared->cache, cache_hash(key), key);
        } else {
            struct cache_meta meta = {
                .sequence = sequence,
                .expires_at_ns = sequence % 16 == 1 ? 2 : UINT64_MAX,
                .class = CACHE_RECORD,
            };
            body_make(number, sequence, bytes);
            struct bytes part = bytes_of(bytes, body_size_of(number, sequence));
            /* BUSY, when readers have pinned too much, has to leave nothing either. */
            enum status status = cache_put(shared->cache, cache_hash(key), key, &meta, &part, 1);
            ASSERT(status == STATUS_OK || status == STATUS_BUSY);
        }
        atomic_store(&shared->published[number], sequence);
        if (sequence % 64 == 0) {
            cache_expire(shared->cache, 3, 16);
        }
        if (sequence % 20000 == 0) {
            cache_clear(shared->cache);
        }
    }
}

int main(void)
{
    static struct shared shared;
    struct cache_options options = {.bytes_max = CACHE_BYTES, .shared = true};
    struct reader_thread readers[READER_COUNT];
    enum status status = cache_create(&options, &shared.cache);
    ASSERT(status == STATUS_OK);
    for (unsigned i = 0; i < READER_COUNT; i++) {
        readers[i] = (struct reader_thread){.shared = &shared, .random = 88172645463325252u + i};
        int result = pthread_create(&readers[i].thread, NULL, read_until_done, &readers[i]);
        ASSERT(result == 0);
    }
    own(&shared, 2463534242u);
    atomic_store(&shared.done, true);
    for (unsigned i = 0; i < READER_COUNT; i++) {
        int result = pthread_join(readers[i].thread, NULL);
        ASSERT(result == 0);
    }
    cache_check(shared.cache);
    struct cache_statistics statistics;
    cache_statistics_read(shared.cache, &statistics);
    ASSERT(statistics.hits == atomic_load(&shared.hits));
    ASSERT(statistics.evictions > 0);
    ASSERT(atomic_load(&shared.pinned) > 0);
    cache_clear(shared.cache);
    cache_check(shared.cache);
    printf("%lu hits, %lu of them pinned, %lu busy; %llu evictions, %llu expiries\n",
           atomic_load(&shared.hits), atomic_load(&shared.pinned), atomic_load(&shared.busy),
           (unsigned long long)statistics.evictions, (unsigned long long)statistics.expiries);
    cache_destroy(&shared.cache);
    return 0;
}
