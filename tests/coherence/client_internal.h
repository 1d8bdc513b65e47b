/*
 * client_internal.h: what the files of the clients share: an operation from its choice to its
 * answer.
 *
 * Owner:     one client's thread.
 * Invariant: a connection's operations are answered in the order in which they were sent.
 */
#ifndef FRESHET_TESTS_COHERENCE_CLIENT_INTERNAL_H
#define FRESHET_TESTS_COHERENCE_CLIENT_INTERNAL_H

#include "protocol/base/bytes.h"
#include "tests/coherence/answer.h"
#include "tests/coherence/client.h"

#define CLIENT_PIPELINE_MAX   4
#define CLIENT_NEXT_BYTES_MAX 1024
#define CLIENT_KEY_NONE       UINT16_MAX
#define CLIENT_LARGE_EVERY    16
#define CLIENT_LARGE_BYTES    5000
#define CLIENT_SEND_BYTES     (128u << 10)

enum action {
    ACTION_GET,
    ACTION_REFRESH,
    ACTION_CONDITIONAL,
    ACTION_HEAD,
    ACTION_PUT,
    ACTION_PUT_MATCH,
    ACTION_PATCH,
    ACTION_DELETE,
    ACTION_LIST,
    ACTION_INDEX,
    ACTION_COUNT
};

struct operation {
    uint64_t start_ns;
    uint64_t sequence; /* of the ETag that it sent */
    uint32_t value;
    uint16_t key;
    uint16_t after; /* pages: the last key of the page before; CLIENT_KEY_NONE: from the start */
    uint8_t action;
    uint8_t category; /* HISTORY_NO_CATEGORY in a PATCH that keeps it, and in a LIST */
};

struct connection {
    int fd;
    uint32_t number;
    uint32_t depth; /* requests that it sends at a time */
    uint32_t counter;
    uint64_t left;
    struct operation operations[CLIENT_PIPELINE_MAX];
    uint32_t sent_count;
    uint32_t answered_count;
    uint8_t *received;
    size_t received_size;
    /* The page that follows the last one; next_size 0: none. */
    char next[CLIENT_NEXT_BYTES_MAX];
    size_t next_size;
    uint16_t next_after;
    uint8_t next_category;
};

struct client {
    struct client_options options;
    struct client_counts counts;
    struct history history;
    enum status status;
    uint64_t random;
    int epoll_fd;
    uint32_t busy;  /* connections with operations left */
    uint64_t *tags; /* by key: an ETag's sequence that this thread saw; 0: none */
    uint64_t epoch; /* of all ETags: the server is started once */
    uint8_t *send_buffer;
    struct connection connections[];
};

/* Of some keys, more than a look-up in the cache copies under its lock. */
static inline uint32_t client_filler_bytes(const struct client *client, uint16_t key)
{
    return key % CLIENT_LARGE_EVERY == 0 ? CLIENT_LARGE_BYTES : client->options.filler_bytes;
}

uint64_t client_now_ns(void);
uint32_t client_random_below(struct client *client, uint32_t limit);

/* Says on stderr what is wrong; the run is over. */
void client_fault(struct client *client, const struct connection *connection, const char *what,
                  struct bytes text);

static inline bool action_is_write(enum action action)
{
    return action == ACTION_PUT || action == ACTION_PUT_MATCH || action == ACTION_PATCH ||
           action == ACTION_DELETE;
}

static inline bool action_is_page(enum action action)
{
    return action == ACTION_LIST || action == ACTION_INDEX;
}

/* client_request.c: what to do next, and its bytes (CLIENT_SEND_BYTES hold CLIENT_PIPELINE_MAX of
 * them). */
void operation_choose(struct client *client, struct connection *connection,
                      struct operation *operation);
void request_write(struct client *client, struct connection *connection,
                   const struct operation *operation, struct writer *out);

/* client_answer.c: what an answer showed goes into the history. */
void operation_answered(struct client *client, struct connection *connection,
                        const struct operation *operation, const struct answer *answer);

#endif
