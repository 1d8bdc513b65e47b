/*
 * Time per read that the near cache answers: freshet_get as an application calls it, with its look
 * at the clock and, now and then, at the socket; and the look-up alone. The other side is a fake
 * server in a thread of its own, which has nothing to do meanwhile. --small runs a moment only.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/micro/series/series.h"
#include "bindings/c/include/freshet.h"
#include "bindings/c/near_cache.h"
#include "tests/unit/bindings/c/fake_peer.h"

#define KEYS         1000
#define ROUNDS_FULL  5000
#define ROUNDS_SMALL 5
#define RUNS         5

static void check(bool is_good, const char *what)
{
    if (!is_good) {
        fprintf(stderr, "micro_near_cache: %s\n", what);
        exit(1);
    }
}

struct bench {
    struct freshet *db;
    struct near_cache *cache;
    struct near_key keys[KEYS];
    char ids[KEYS][16];
    int rounds;
    uint64_t hash;
};

/* Reads each record until it comes from the near cache. */
static void warm(struct bench *bench)
{
    for (size_t key = 0; key < KEYS; key++) {
        struct freshet_record record = {0};
        while (!record.near) {
            enum freshet_status status =
                freshet_get(bench->db, "products", bench->ids[key], &record);
            check(status == FRESHET_OK, "a read failed");
        }
    }
}

static void run_get(struct bench *bench)
{
    for (size_t key = 0; key < KEYS; key++) {
        struct freshet_record record;
        enum freshet_status status = freshet_get(bench->db, "products", bench->ids[key], &record);
        check(status == FRESHET_OK && record.near, "a read was not answered by the near cache");
        bench->hash = bench->hash * 31 + record.size;
    }
}

static void run_find(struct bench *bench)
{
    for (size_t key = 0; key < KEYS; key++) {
        struct near_state state;
        struct near_key *at = &bench->keys[key];
        at->hash = near_cache_hash(bench->cache, at->collection, at->id);
        check(near_cache_find(bench->cache, at, &state), "an entry is missing");
        bench->hash = bench->hash * 31 + state.data.size;
    }
}

static void reads(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (int round = 0; round < bench->rounds; round++) {
        run_get(bench);
    }
}

static void finds(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (int round = 0; round < bench->rounds; round++) {
        run_find(bench);
    }
}

static void measure(struct bench *bench, const char *name, void (*work)(void *context))
{
    struct series series = {0};
    for (int run = 0; run < RUNS; run++) {
        series_round(&series, (uint64_t)bench->rounds * KEYS, work, bench);
    }
    series_print(name, &series);
}

static void fill(struct bench *bench)
{
    enum status status = near_cache_create(1 << 24, 7, &bench->cache);
    check(status == STATUS_OK, "out of memory");
    for (size_t key = 0; key < KEYS; key++) {
        struct bytes collection = BYTES_LITERAL("products");
        struct bytes id = bytes_of_text(bench->ids[key]);
        bench->keys[key] =
            (struct near_key){collection, id, near_cache_hash(bench->cache, collection, id)};
        struct near_state state = {BYTES_LITERAL("{\"id\":\"1\"}"), {1, 1}, 1, true};
        near_cache_fill(bench->cache, &bench->keys[key], &state, 0);
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    struct fake_peer peer;
    struct freshet_options options = {.near_cache_bytes = 1 << 24};
    bench.rounds = series_small(argc, argv) ? ROUNDS_SMALL : ROUNDS_FULL;
    for (size_t key = 0; key < KEYS; key++) {
        snprintf(bench.ids[key], sizeof(bench.ids[key]), "product-%zu", key);
    }
    fake_peer_start(&peer, FAKE_ANSWERS, 0, 0);
    check(freshet_connect(peer.url, &options, &bench.db) == FRESHET_OK, "no connection");
    fill(&bench);
    warm(&bench);
    measure(&bench, "freshet_get, a local hit", reads);
    measure(&bench, "of which the look-up", finds);
    printf("hash %016lx\n", (unsigned long)bench.hash);
    near_cache_destroy(&bench.cache);
    freshet_close(bench.db);
    fake_peer_stop(&peer);
    return 0;
}
