/*
 * world.h: a whole engine stepped by hand, for tests: stores in memory, a journal in memory or the
 * caller's, a virtual clock, and store jobs that run when the test lets them.
 *
 * Owner:  the test. No thread is started: each world_step gives every engine thread, the jobs and
 *         the journal one turn.
 * Time:   now_ns moves on by step_ns a step.
 */
#ifndef FRESHET_TESTS_SUPPORT_WORLD_H
#define FRESHET_TESTS_SUPPORT_WORLD_H

#include "engine/shard/engine.h"

#define WORLD_THREADS_MAX 4
#define WORLD_SHARDS_MAX  8

struct world_options {
    uint32_t shard_count;  /* 0: 4 */
    uint32_t thread_count; /* 0: 1 */
    uint32_t client_count; /* threads behind those, without shards */
    uint64_t cache_bytes;  /* 0: no cache; WORLD_CACHE_DEFAULT */
    enum journal_durability durability;
    uint64_t memtable_bytes_max; /* 0: 1 MiB */
    uint64_t answer_bytes_max;   /* 0: the engine's default */
    uint32_t buffer_rows_max;    /* 0: the engine's default; 1: straight into the store */
    struct journal *journal;     /* NULL: one in memory */
    struct store **stores;       /* NULL: in memory, made and ended by the world */
    uint64_t seed;
};

#define WORLD_CACHE_DEFAULT (4u << 20)

struct world {
    struct engine *engine;
    struct engine_options options;
    struct world_options world_options;
    struct journal *journal;
    struct store *stores[WORLD_SHARDS_MAX];
    uint8_t shard_of_slot[SLOT_COUNT];
    /* pets; products with an index on category and fields; the server's own */
    struct collection collections[2 + COLLECTION_INTERNAL_COUNT];
    struct executor executor;
    struct waker waker;
    struct store_job *jobs[4096]; /* not yet run, in order */
    uint32_t job_count;
    bool hold_jobs;    /* store threads are busy */
    bool hold_journal; /* commits gather */
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t step_ns;
};

/* A request with room for its answer, and whether it is done. */
struct world_request {
    struct request request;
    bool done;
    char id[ID_BYTES_MAX];
    uint8_t document[8192];
    uint8_t answer[CACHE_COPY_BYTES_MAX];
    struct entity_tag tag;
    struct principal principal;
};

void world_create(struct world *world, const struct world_options *options);
void world_destroy(struct world *world);
/* Ends the engine and begins another on the same stores and journal, with a replay. */
void world_restart_engine(struct world *world);
/* The same with other threads. */
void world_restart_engine_on(struct world *world, uint32_t thread_count);
void world_step(struct world *world);
/* Steps until nothing is pending, journaled, or applied any more; held jobs stay. */
void world_settle(struct world *world);
/* Runs one of the held jobs. */
void world_job_run(struct world *world, uint32_t index);

struct collection *world_pets(struct world *world);
struct collection *world_products(struct world *world);
struct collection *world_internal(struct world *world, enum collection_internal which);

/* kind on collection/id with a body of JSON (NULL: none). Submits on thread `thread`. */
void world_submit(struct world *world, uint32_t thread, struct world_request *request,
                  enum request_kind kind, struct collection *collection, const char *id,
                  const char *json);
/* The same on thread 0, and steps until it is done. */
enum status world_run(struct world *world, struct world_request *request, enum request_kind kind,
                      struct collection *collection, const char *id, const char *json);
/* The answer is this text. */
bool world_answer_is(const struct world_request *request, const char *json);

#endif
