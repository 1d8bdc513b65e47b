/*
 * yard.h: the worker over a stepped world, with targets that answer what the test says.
 *
 * Owner:  the test. Steps give every thread, the stream and the worker one turn each.
 */
#ifndef FRESHET_TESTS_UNIT_NET_WEBHOOK_YARD_H
#define FRESHET_TESTS_UNIT_NET_WEBHOOK_YARD_H

#include "net/webhook/webhook_calls.h"
#include "net/webhook/webhooks.h"
#include "tests/support/world.h"

#define YARD_CALLS_MAX 20000
#define YARD_MS        1000000ull

/* A call as it was started. */
struct yard_call {
    struct call *call; /* NULL: it has ended */
    char *url;
    char *headers; /* one a line */
    char *body;    /* NULL: none */
    uint64_t now_ns;
};

struct yard {
    struct calls calls;
    struct world world;
    struct stream *stream;
    struct webhooks *webhooks;
    struct world_request request;
    struct yard_call started[YARD_CALLS_MAX];
    uint32_t count; /* of started */
    uint32_t ended[YARD_CALLS_MAX];
    uint32_t ended_count; /* done is still to run */
    uint64_t due_ns;
    uint32_t automatic; /* calls are answered so as they come; 0: by the test */
    uint32_t first_open;
};

void yard_begin(struct yard *yard);
void yard_end(struct yard *yard);
/* The worker ends (with its positions written, or as by a crash) and begins again. */
void yard_restart(struct yard *yard, bool drained);
void yard_step(struct yard *yard);
void yard_settle(struct yard *yard);
/* Virtual time goes by, in small steps. */
void yard_wait_ms(struct yard *yard, uint64_t ms);

void yard_rule(struct yard *yard, const char *name, const char *json);
void yard_rule_delete(struct yard *yard, const char *name);
void yard_put(struct yard *yard, const char *id, const char *json);

/* Ends a call that is open; by its place in started. retry_after may be NULL. */
void yard_answer(struct yard *yard, uint32_t index, uint32_t http_status, const char *retry_after);
void yard_fail(struct yard *yard, uint32_t index, enum call_result result);
/* The place of the open call to that URL; fails the test when there is none. */
uint32_t yard_open(struct yard *yard, const char *url);
uint32_t yard_open_count(const struct yard *yard);
bool yard_has_header(const struct yard_call *call, const char *line);

struct webhooks_rule yard_state(struct yard *yard, const char *name);
/* Records of an internal collection. */
uint32_t yard_records(struct yard *yard, enum collection_internal which);
/* The JSON of a page of one; valid until the next request. */
const char *yard_page(struct yard *yard, enum collection_internal which);
/* Redrives and settles; the status, and how many. */
enum status yard_redrive(struct yard *yard, const char *rule, const char *event_id,
                         uint64_t *count_out);

#endif
