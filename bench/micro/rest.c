/*
 * rest.c: time of net/rest per cached GET, between a parsed request and an answer ready to
 * be sent.
 *
 *     micro_rest [--small]
 *
 * HTTP and engine are played: a request that is there already, room for its answer, and a cache
 * that has one record of 300 bytes. What is left is routing, the id, the head and the copy of the
 * body. --small is for the test run, not for figures. Prints a hash of the answers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bench/micro/series/series.h"
#include "net/rest/rest.h"
#include "protocol/base/assert.h"

#define ROUNDS_FULL  4000000
#define ROUNDS_SMALL 400
#define RUNS         5
#define BODY_BYTES   300
#define ROOM_BYTES   8192

static struct bench {
    struct rest *rest;
    struct http_exchange exchange;
    struct collection collections[2];
    uint8_t body[BODY_BYTES];
    uint8_t room[ROOM_BYTES];
    size_t answer_size;
    uint64_t hash;
} bench;

/* ---- net/http, played ---- */

uint8_t *http_allocate(struct http_exchange *exchange, size_t size)
{
    (void)exchange;
    (void)size;
    return NULL;
}

struct bytes http_keep(struct http_exchange *exchange, struct bytes bytes)
{
    (void)exchange;
    (void)bytes;
    return BYTES_EMPTY;
}

uint8_t *http_answer_begin(struct http_exchange *exchange, size_t size_max)
{
    (void)exchange;
    ASSERT(size_max <= ROOM_BYTES);
    return bench.room;
}

void http_answer_end(struct http_exchange *exchange, size_t size, uint16_t status)
{
    exchange->status = status;
    exchange->answer_bytes = (uint32_t)size;
    bench.answer_size = size;
}

void http_answer(struct http_exchange *exchange, struct bytes head, struct bytes body,
                 uint16_t status, void (*release)(void *owner), void *owner)
{
    ASSERT(release == NULL && owner == NULL);
    memcpy(bench.room, head.data, head.size);
    memcpy(bench.room + head.size, body.data, body.size);
    http_answer_end(exchange, head.size + body.size, status);
}

bool http_has_memory(const struct http_exchange *exchange, size_t size)
{
    (void)exchange;
    (void)size;
    return true;
}

bool http_closes(const struct http_exchange *exchange)
{
    (void)exchange;
    return false;
}

bool http_says_keep_alive(const struct http_exchange *exchange)
{
    (void)exchange;
    return false;
}

/* ---- engine, played ---- */

uint64_t engine_hash(const struct collection *collection, struct bytes id)
{
    return XXH3_64bits(id.data, id.size) ^ collection->number;
}

enum status engine_cache_get(struct engine_thread *thread, const struct collection *collection,
                             struct bytes id, uint64_t hash, enum record_form form, uint64_t now_ns,
                             uint8_t *copy_to, struct cache_body *out)
{
    (void)thread;
    (void)form;
    (void)collection;
    (void)id;
    (void)hash;
    memcpy(copy_to, bench.body, sizeof(bench.body));
    *out = (struct cache_body){
        .meta = {.epoch = 1,
                 .sequence = 123456,
                 .made_at_ms = 1767225600000,
                 .expires_at_ns = now_ns + 3600000000000u},
        .body = bytes_of(copy_to, sizeof(bench.body)),
    };
    return STATUS_OK;
}

void engine_cache_prefetch(struct engine_thread *thread, uint64_t hash)
{
    (void)thread;
    (void)hash;
}

void engine_cache_prefetch_entry(struct engine_thread *thread, uint64_t hash)
{
    (void)thread;
    (void)hash;
}

void engine_cache_release(struct engine_thread *thread, uint64_t hash, struct cache_body *body)
{
    (void)thread;
    (void)hash;
    (void)body;
}

void engine_submit(struct engine_thread *thread, struct request *request)
{
    (void)thread;
    (void)request;
    ASSERT(false);
}

struct journal *engine_journal(const struct engine *engine)
{
    (void)engine;
    return NULL;
}

uint64_t engine_published(struct engine *engine)
{
    (void)engine;
    return 0;
}

void engine_statistics_read(struct engine *engine, struct engine_statistics *out)
{
    (void)engine;
    *out = (struct engine_statistics){0};
}

void request_release(struct request *request)
{
    (void)request;
}

/* ---- the work ---- */

static void request_set(const char *path)
{
    bench.exchange.request = (struct http_request){
        .method = HTTP_GET,
        .method_text = BYTES_LITERAL("GET"),
        .target = bytes_of_text(path),
        .path = bytes_of_text(path),
        .minor = 1,
        .keep_alive = true,
    };
    bench.exchange.request.known[HTTP_HOST] = BYTES_LITERAL("127.0.0.1:8080");
}

static void reads(void *context)
{
    const unsigned *rounds = (const unsigned *)context;
    for (unsigned round = 0; round < *rounds; round++) {
        rest_handle(bench.rest, &bench.exchange);
        rest_finished(bench.rest, &bench.exchange, 1000);
        /* As net/http leaves an exchange to the next request; only what rest_handle sets is set
         * again. */
        memset(bench.exchange.user, 0, sizeof(bench.exchange.user));
    }
}

static void run(const char *name, unsigned rounds)
{
    struct series series = {0};
    for (unsigned run = 0; run < RUNS; run++) {
        series_round(&series, rounds, reads, &rounds);
        bench.hash ^= XXH3_64bits(bench.room, bench.answer_size);
    }
    series_print(name, &series);
    printf("    %zu bytes\n", bench.answer_size);
}

static void rest_begin(void)
{
    bench.collections[0] = (struct collection){.number = 0,
                                               .name = BYTES_LITERAL("pets"),
                                               .singular = BYTES_LITERAL("Pet"),
                                               .cached = true};
    bench.collections[1] = (struct collection){.number = 1,
                                               .name = BYTES_LITERAL("products"),
                                               .singular = BYTES_LITERAL("Product"),
                                               .cached = true};
    static struct metrics *metrics;
    const struct metrics_options metrics_options = {
        .thread_count = 1, .collections = bench.collections, .collection_count = 2};
    const struct rest_options options = {.collections = bench.collections, .collection_count = 2};
    struct rest_options with_metrics = options;
    enum status status = metrics_create(&metrics_options, &metrics);
    ASSERT(status == STATUS_OK);
    with_metrics.metrics = metrics;
    status = rest_create(&with_metrics, &bench.rest);
    ASSERT(status == STATUS_OK);
    rest_turn(bench.rest, 1000, 1767225601000);
    /* One exchange is all there is, so none is held back. */
    rest_dispatched(bench.rest);
    memset(bench.body, 'x', sizeof(bench.body));
}

int main(int argc, char **argv)
{
    unsigned rounds = series_small(argc, argv) ? ROUNDS_SMALL : ROUNDS_FULL;
    rest_begin();
    request_set("/products/0190b2d8-42a1-7c3e-9f00-5a6b7c8d9e0f");
    run("GET hit", rounds);
    bench.exchange.request.known[HTTP_IF_NONE_MATCH] = BYTES_LITERAL("\"0-1-1e240\"");
    run("GET hit, not modified", rounds);
    request_set("/products/caf%C3%A9%20au%20lait");
    run("GET hit, encoded id", rounds);
    printf("result %016llx\n", (unsigned long long)bench.hash);
    return 0;
}
