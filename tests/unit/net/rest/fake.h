/*
 * fake.h: the neighbours of net/rest, played: an HTTP server that keeps the one answer, and an
 * engine that keeps the one request and answers as the test says.
 *
 * One per process, as Criterion runs each test in its own.
 */
#ifndef FRESHET_TESTS_UNIT_NET_REST_FAKE_H
#define FRESHET_TESTS_UNIT_NET_REST_FAKE_H

#include "net/rest/rest.h"

#define FAKE_WALL_MS UINT64_C(1767225600000) /* Thu, 01 Jan 2026 00:00:00 GMT */
#define FAKE_NOW_NS  UINT64_C(5000000000)

struct fake {
    struct rest *rest;
    struct metrics *metrics;
    struct collection collections[2];
    struct rest_options options; /* change before fake_start */
    /* freed when it is answered, so that AddressSanitizer sees a touch after */
    struct http_exchange *exchange;
    struct http_exchange answered; /* a copy of the last one */
    char sent[2u << 20];           /* the whole answer */
    size_t sent_size;
    uint32_t answers;
    uint32_t releases;
    bool closes;
    bool is_http_1_0;
    size_t memory_bytes_max; /* of an answer's body; 0: no limit */
    bool keep_alive;
    bool no_room;              /* http_answer_begin gives NULL */
    uint32_t allocations_left; /* http_allocate gives NULL after so many */

    /* the engine */
    struct request *submitted;
    uint32_t submits;
    enum status cache_status; /* what engine_cache_get says */
    struct cache_body cached;
    uint32_t cache_gets;
    uint32_t cache_releases;
    uint32_t prefetches;
    enum status position_status;
    uint64_t published;
    char log[8192];
    size_t log_size;
    bool ready;
    bool draining;
};

extern struct fake fake;

/* Collections pets (Pet) and products (Product, index category), the clock at FAKE_WALL_MS, in a
 * turn whose completions were dispatched: nothing is held back. */
void fake_init(void);
void fake_start(void);
void fake_end(void);
/* A new exchange, zeroed, for what is not sent with fake_send. */
void fake_exchange_begin(void);
/* It has been answered with what is in sent. */
void fake_exchange_end(void);
/* Nobody looks any more at what lived in its memory. */
void fake_memory_end(void);
/* A whole request as on the wire; the answer may come at once or with fake_done. */
void fake_send(const char *head, const char *body);
void fake_send_bytes(const char *head, struct bytes body);
/* Completes the submitted request: sets status and answer (NULL: none) and calls done. */
void fake_done(enum status status, const char *answer);

/* What was answered; 0 when nothing was. */
uint16_t fake_status(void);
/* A header's value, or NULL when it is not there; static storage until the next call. */
const char *fake_header(const char *name);
const char *fake_body(void);
bool fake_body_has(const char *text);
/* Puts a record into the fake cache: entity tag "0-2-1f", made 10 s ago, 3590 s left. */
void fake_cache(const char *body);

#endif
