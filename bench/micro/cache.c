/*
 * cache.c: time per look-up and per put of engine/cache, on one thread.
 *
 *     micro_cache [--small]
 *
 * Keys and hashes are made outside the clock, in batches, so that the figures are the cache's
 * alone. "full" is random over a full cache, far larger than the CPU's; "in 16s" prefetches as a
 * pipelined connection does. The result hash depends only on what was read, so it must be the same
 * in each run with the same arguments; --small is for the test run, not for figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/series/series.h"
#include "engine/cache/cache.h"
#include "protocol/base/assert.h"

#define BATCH_COUNT    256
#define PIPELINE_COUNT 16
#define BODY_BYTES_MAX (1u << 20)
#define HOT_COUNT      256

struct bench {
    struct cache *cache;
    uint64_t cache_bytes;
    uint64_t operations;
    uint64_t random;
    uint64_t result;
    uint64_t now_ns;
    size_t put_bytes;
    unsigned put_count;
    const char *locks; /* what the names of series say of them */
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    uint8_t keys[BATCH_COUNT][48];
    struct bytes views[BATCH_COUNT];
    uint64_t hashes[BATCH_COUNT];
    uint8_t body[BODY_BYTES_MAX];
};

static uint64_t random_next(struct bench *bench)
{
    uint64_t x = bench->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    bench->random = x;
    return x;
}

static void key_make(struct bench *bench, unsigned i, uint64_t number)
{
    struct writer writer = writer_of(bench->keys[i], sizeof(bench->keys[i]));
    writer_put(&writer, BYTES_LITERAL("products\0"));
    writer_text(&writer, "018f3a1c-7e52-7000-8000-");
    writer_decimal(&writer, number);
    bench->views[i] = writer_bytes(&writer);
    bench->hashes[i] = cache_hash(bench->views[i]);
}

static void open_cache(struct bench *bench, bool shared)
{
    struct cache_options options = {.bytes_max = bench->cache_bytes, .shared = shared};
    bench->locks = shared ? ", with locks" : "";
    cache_destroy(&bench->cache);
    if (cache_create(&options, &bench->cache) != STATUS_OK) {
        fprintf(stderr, "no memory for a cache of %llu bytes\n",
                (unsigned long long)bench->cache_bytes);
        exit(1);
    }
}

static void put(struct bench *bench, unsigned i, size_t body_bytes)
{
    struct cache_meta meta = {
        .sequence = bench->now_ns++,
        .expires_at_ns = UINT64_MAX,
        .class = CACHE_RECORD,
    };
    struct bytes part = bytes_of(bench->body, body_bytes);
    enum status status =
        cache_put(bench->cache, bench->hashes[i], bench->views[i], &meta, &part, 1);
    ASSERT(status == STATUS_OK);
}

static void get(struct bench *bench, unsigned i)
{
    struct cache_body body;
    enum status status = cache_get(bench->cache, bench->hashes[i], bench->views[i], bench->now_ns,
                                   bench->copy, &body);
    if (status == STATUS_OK) {
        bench->result = bench->result * 31 + body.body.size + body.body.data[body.body.size - 1];
        cache_unpin(bench->cache, &body);
    }
}

static void report(const struct bench *bench, const char *what, size_t body_bytes,
                   struct series *series)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s, %zu bytes", what, bench->locks, body_bytes);
    series_print(name, series);
}

static void look_ups_hot(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint64_t done = 0; done < bench->operations; done += 16) {
        /* Few enough keys that all of it stays in the CPU's cache. */
        for (unsigned i = 0; i < 16; i++) {
            get(bench, i);
        }
    }
}

static void bench_hot(struct bench *bench, const char *what, bool shared, size_t body_bytes)
{
    struct series series = {0};
    open_cache(bench, shared);
    for (unsigned i = 0; i < HOT_COUNT; i++) {
        key_make(bench, i, i);
        put(bench, i, body_bytes);
    }
    series_round(&series, bench->operations, look_ups_hot, bench);
    report(bench, what, body_bytes, &series);
}

static void look_ups(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (unsigned i = 0; i < BATCH_COUNT; i++) {
        get(bench, i);
    }
}

static void look_ups_pipelined(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (unsigned i = 0; i < BATCH_COUNT; i += PIPELINE_COUNT) {
        for (unsigned j = i; j < i + PIPELINE_COUNT; j++) {
            cache_prefetch(bench->cache, bench->hashes[j]);
        }
        for (unsigned j = i; j < i + PIPELINE_COUNT; j++) {
            cache_prefetch_entry(bench->cache, bench->hashes[j]);
        }
        for (unsigned j = i; j < i + PIPELINE_COUNT; j++) {
            get(bench, j);
        }
    }
}

/* Look-ups of keys from 0 to key_count - 1, or above them for misses. */
static void bench_random(struct bench *bench, const char *what, size_t body_bytes, uint64_t first,
                         uint64_t key_count, bool pipelined)
{
    struct series series = {0};
    for (uint64_t done = 0; done < bench->operations; done += BATCH_COUNT) {
        for (unsigned i = 0; i < BATCH_COUNT; i++) {
            key_make(bench, i, first + random_next(bench) % key_count);
        }
        series_round(&series, BATCH_COUNT, pipelined ? look_ups_pipelined : look_ups, bench);
    }
    report(bench, what, body_bytes, &series);
}

static void puts_in_turn(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (unsigned i = 0; i < bench->put_count; i++) {
        put(bench, i, bench->put_bytes);
    }
}

/* Puts of ever new keys, or round and round over key_count of them. */
static void bench_put(struct bench *bench, const char *what, size_t body_bytes, uint64_t first,
                      uint64_t key_count, uint64_t operations)
{
    struct series series = {0};
    bench->put_bytes = body_bytes;
    bench->put_count = operations < BATCH_COUNT ? (unsigned)operations : BATCH_COUNT;
    for (uint64_t done = 0; done < operations; done += bench->put_count) {
        for (unsigned i = 0; i < bench->put_count; i++) {
            key_make(bench, i, first + (done + i) % key_count);
        }
        series_round(&series, bench->put_count, puts_in_turn, bench);
    }
    report(bench, what, body_bytes, &series);
}

/* Downwards, so that of more keys than there is room for the low ones stay. */
static void fill(struct bench *bench, uint64_t key_count, size_t body_bytes)
{
    for (uint64_t number = key_count; number > 0; number--) {
        key_make(bench, 0, number - 1);
        put(bench, 0, body_bytes);
    }
}

static void bench_sizes(struct bench *bench)
{
    static const size_t sizes[] = {100, 300, 1000, 4000, 65536};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bool pinned = sizes[i] > CACHE_COPY_BYTES_MAX;
        const char *what = pinned ? "hit, hot, pinned" : "hit, hot";
        bench_hot(bench, what, false, sizes[i]);
        bench_hot(bench, what, true, sizes[i]);
    }
}

static void bench_full(struct bench *bench, bool shared)
{
    /* 300 bytes of body take a slot of 416: more are put than fit, fewer looked up than are
     * there. */
    uint64_t fill_count = bench->cache_bytes / 400;
    uint64_t key_count = bench->cache_bytes / 640;
    open_cache(bench, shared);
    fill(bench, fill_count, 300);
    bench_random(bench, "full, hit", 300, 0, key_count, false);
    bench_random(bench, "full, hit, in 16s", 300, 0, key_count, true);
    bench_random(bench, "full, miss", 300, fill_count, key_count, false);
    bench_put(bench, "full, put, replaces", 300, 0, key_count, bench->operations / 4);
    bench_put(bench, "full, put, evicts", 300, fill_count, UINT64_MAX, bench->operations);
    bench_put(bench, "full, put, evicts, other size", 4000, 0, UINT64_MAX, bench->operations / 8);
    bench_put(bench, "full, put, evicts, large", 65536, 0, UINT64_MAX, bench->operations / 64);
    bench_put(bench, "full, put, evicts, largest", BODY_BYTES_MAX, 0, UINT64_MAX,
              bench->operations / 1024);
}

int main(int argc, char **argv)
{
    bool small = series_small(argc, argv);
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    bench->random = 88172645463325252u;
    bench->operations = small ? 4096 : 4u << 20;
    bench->cache_bytes = small ? 16u << 20 : 256u << 20;
    for (size_t i = 0; i < sizeof(bench->body); i++) {
        bench->body[i] = (uint8_t)random_next(bench);
    }
    bench_sizes(bench);
    bench_full(bench, false);
    bench_full(bench, true);
    printf("result hash %016llx\n", (unsigned long long)bench->result);
    cache_destroy(&bench->cache);
    free(bench);
    return 0;
}
