/*
 * consumers_fixture.h: consumers on all threads of a stepped world, and requests that are waited
 * for.
 */
#ifndef FRESHET_TESTS_UNIT_ENGINE_STREAM_CONSUMERS_FIXTURE_H
#define FRESHET_TESTS_UNIT_ENGINE_STREAM_CONSUMERS_FIXTURE_H

#include "engine/stream/consumers.h"
#include "tests/support/world.h"

#define FIXTURE_ROWS_MAX 64
#define FIXTURE_MS       1000000ull

struct fixture {
    struct world world;
    struct consumers *all[WORLD_THREADS_MAX];
    uint64_t lease_ns;
    struct world_request write; /* of fixture_put */
};

/* A request, and what it came back with: views of the module's do not outlive done. */
struct fixture_request {
    struct consumer_request request;
    bool done;
    uint8_t pattern[1024];
    uint8_t definition[1024];
    size_t definition_size;
    char names[FIXTURE_ROWS_MAX][CONSUMER_NAME_BYTES_MAX + 1];
    struct consumer_row rows[FIXTURE_ROWS_MAX]; /* without views */
};

void fixture_create(struct fixture *fixture, uint32_t threads, uint64_t lease_ns);
void fixture_destroy(struct fixture *fixture);
/* The engine and the consumers end, and begin again on what is recorded. */
void fixture_restart(struct fixture *fixture, uint32_t threads);
void fixture_step(struct fixture *fixture);
/* Until nothing is under way; what waits for a time waits on. */
void fixture_settle(struct fixture *fixture);
/* Virtual time goes by. */
void fixture_wait_ms(struct fixture *fixture, uint64_t ms);

/* Zeroed but for kind, name and member (NULL: none). */
void fixture_prepare(struct fixture_request *mine, enum consumer_request_kind kind,
                     const char *name, const char *member);
void fixture_submit(struct fixture *fixture, uint32_t thread, struct fixture_request *mine);
/* Submits on thread 0 and steps until it is done. */
enum status fixture_run(struct fixture *fixture, struct fixture_request *mine);

/* The usual ones. */
enum status fixture_make(struct fixture *fixture, const char *name, bool group);
enum status fixture_get(struct fixture *fixture, const char *name, struct fixture_request *mine);
/* generation 0: of no group. */
enum status fixture_ack(struct fixture *fixture, const char *name, const char *member,
                        uint64_t sequence, uint64_t generation);
/* A member, or a plain consumer, begins to read. */
enum status fixture_read(struct fixture *fixture, const char *name, const char *member,
                         struct fixture_request *mine);

/* Puts a pet, and returns its sequence. */
uint64_t fixture_put(struct fixture *fixture, const char *id, const char *json);
struct token fixture_token(const struct fixture *fixture, uint64_t sequence);
uint64_t fixture_committed(const struct fixture *fixture);
uint32_t fixture_slot_count(const struct slot_set *slots);

#endif
