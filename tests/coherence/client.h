/*
 * client.h: one thread of clients: connections that read and write a few keys at random, and record
 * when they asked, when they were answered and what they saw.
 *
 * Owner:     main makes it and runs client_run on a thread; after the join the history is main's.
 * Memory:    a receive buffer a connection, taken by client_create; the history grows.
 * Time:      CLOCK_MONOTONIC; a start is read before the bytes are sent, an end after they came, so
 *            an interval is never narrower than the truth.
 * Invariant: no two documents carry the same value (connection number, counter).
 */
#ifndef FRESHET_TESTS_COHERENCE_CLIENT_H
#define FRESHET_TESTS_COHERENCE_CLIENT_H

#include <stdint.h>

#include "tests/coherence/history.h"

/* A value is a connection's number and a counter. */
#define CLIENT_COUNTER_BITS     24
#define CLIENT_CONNECTIONS_MAX  250
#define CLIENT_FILLER_BYTES_MAX 8192
#define CLIENT_CATEGORIES       5

struct client_options {
    uint16_t port;
    uint16_t key_count;
    uint32_t connection_first; /* numbers of this thread's connections */
    uint32_t connection_count;
    uint32_t filler_bytes;   /* of most documents, at most CLIENT_FILLER_BYTES_MAX */
    uint32_t page_limit_max; /* records on a page */
    uint64_t operations;     /* of each connection */
    uint64_t seed;
};

struct client_counts {
    uint64_t operations;
    uint64_t hits; /* of plain GETs */
    uint64_t gets; /* plain, and found */
    uint64_t page_hits;
    uint64_t pages;
    uint64_t not_modified;
    uint64_t conflicts; /* If-Match that did not hold */
    uint64_t refused;   /* 503 */
};

struct client;

MUST_USE enum status client_create(const struct client_options *options, struct client **out);
void client_destroy(struct client **client);

/* The body of the thread (for pthread_create); the argument is the client. */
void *client_run(void *argument);

/* After the join. What went wrong has been said on stderr; OK: every operation was answered. */
enum status client_status(const struct client *client);
const struct client_counts *client_counts(const struct client *client);
const struct history *client_history(const struct client *client);

/* Reads every key and all pages once, over one connection, when all writes are answered. */
void client_sweep(struct client *client);

/* Asks once, over a connection of its own; the body, with a NUL, is the caller's to free. NULL: it
 * failed, which has been said on stderr. */
char *client_fetch(uint16_t port, const char *path);

#endif
