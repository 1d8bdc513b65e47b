/*
 * changes_internal.h: changes over HTTP, as server-sent events and as pages: what GET /changes and
 * GET /consumers/{name}/changes have in common.
 *
 *     changes.c         GET /changes; the life of an answer, its timers and its end
 *     changes_query.c   query parameters, Accept and Last-Event-ID
 *     changes_page.c    {"changes":[…],"next":…,"more":…}
 *     changes_sse.c     id, event and data
 *
 * An answer is a struct changes in its exchange's memory, with the subscription in it:
 *
 *     STARTING --> OPEN ----------------------------> ending --> over
 *     the stream   head sent; changes as they come    last words as soon as there is room
 *     looks for
 *     a time
 *
 * What is delivered goes to the connection at once. Without room the delivery is refused, the
 * subscription is stuck, and goes on when http says that there is room. Nothing is ended from
 * within a delivery or an event of http: that only touches the answer, and changes_step settles all
 * that were touched.
 *
 * Owner:  rest's thread.
 * Tests:  tests/unit/net/rest/test_changes*.c, tests/integration/test_changes.py.
 */
#ifndef FRESHET_NET_REST_CHANGES_INTERNAL_H
#define FRESHET_NET_REST_CHANGES_INTERNAL_H

#include "engine/stream/stream.h"
#include "net/rest/rest_internal.h"

#define CHANGES_LIMIT_MAX      1000
#define CHANGES_PAGE_BYTES_MAX (4u << 20) /* or one change, if that is larger */
#define CHANGES_WAIT_NS_MAX    60000000000ull
/* A page of which nothing is there after so long, because much has to be looked at that does not
 * match, ends as it stands. */
#define CHANGES_PAGE_NS          5000000000ull
#define CHANGES_HEARTBEAT_NS     15000000000ull
#define CHANGES_PROGRESS_NS      5000000000ull
#define CHANGES_MEMBER_BYTES_MAX 128

/* Parameters of a query, as bits. */
enum changes_parameter {
    CHANGES_COLLECTION = 1u << 0,
    CHANGES_PATTERN = 1u << 1,
    CHANGES_FROM = 1u << 2,
    CHANGES_VIEW = 1u << 3,
    CHANGES_ENTER_LEAVE = 1u << 4,
    CHANGES_LIMIT = 1u << 5,
    CHANGES_WAIT = 1u << 6,
    CHANGES_MEMBER = 1u << 7
};

struct changes;

/* Of who opens an answer; any may be NULL. None may end it. */
struct changes_hooks {
    /* Every CHANGES_HEARTBEAT_NS while it is open. */
    void (*beat)(void *context, struct changes *changes);
    /* It is over, also if it never began, and its memory goes when this returns. Its subscription
     * is closed. changes is NULL when there was no memory for it. */
    void (*over)(void *context, struct changes *changes);
};

struct changes_options {
    /* deliver, ended, wants_caught_up and progress_ns are filled in by changes_open. */
    struct subscription_options subscription;
    bool sse;
    uint32_t limit;      /* of a page: changes */
    uint64_t wait_ns;    /* of a page: for the first change; 0: not at all */
    struct bytes member; /* as the query says; empty: not given; in the exchange's memory */
    uint64_t generation; /* of a consumer group; its tokens carry it */
    const struct changes_hooks *hooks; /* borrowed; NULL: none */
    void *hooks_context;
};

/*
 * Reads the query, of which `allowed` (bits of changes_parameter) may occur, Accept and
 * Last-Event-ID (where CHANGES_FROM is allowed); anything else in it is refused. False: answered.
 * Otherwise the pattern is the caller's until changes_open, see changes_options_drop.
 */
MUST_USE bool changes_query_read(struct rest *rest, struct http_exchange *exchange,
                                 uint32_t allowed, struct changes_options *out);
void changes_options_drop(struct changes_options *options);
/* A place in the changes, by any of its names; false when it is none. */
bool changes_from_read(struct bytes value, struct subscription_options *out);

/* Subscribes and answers, now or when the stream has found its place; the pattern is no longer the
 * caller's. Never from within a delivery. NULL: it is over already. */
struct changes *changes_open(struct rest *rest, struct http_exchange *exchange,
                             const struct changes_options *options);
/* It has begun, and goes on as it is. */
bool changes_is_open(const struct changes *changes);
/* The same answer goes on with another subscription, from a token; of the options only the
 * subscription and the generation count. Only while it is open. As changes_open otherwise. */
void changes_reopen(struct changes *changes, const struct changes_options *options);
/* Ends an open answer in order: a page as it stands, a stream of events with `shutdown` and its
 * position, so that its client comes again. Not at once. */
void changes_finish(struct changes *changes);
/* A problem of follow.h; 410 with the oldest and the newest position. (To server-sent events
 * changes_open answers 200 and `reset` instead, because a browser shows no body of an error.) */
void changes_answer_problem(struct rest *rest, struct http_exchange *exchange,
                            struct problem problem);

/* ---- between the files ---- */

enum changes_ending {
    CHANGES_GOES_ON,
    CHANGES_DONE,    /* a page is full, or has waited long enough */
    CHANGES_DRAINS,  /* the server goes, or whoever opened it wants it to end */
    CHANGES_EXPIRED, /* retention has passed it */
    CHANGES_FAILED   /* the journal is damaged, or there is no memory */
};

struct changes_format {
    struct bytes content_type;
    /* Each writes all of it, or is false: no room. */
    bool (*greet)(struct changes *changes);
    bool (*deliver)(struct changes *changes, const struct delivery *delivery);
    bool (*finish)(struct changes *changes); /* the last words, as `ending` says */
};

/* Allocated with its exchange, whose first 2 KiB are at hand. */
#define CHANGES_BYTES_MAX 1920

extern const struct changes_format changes_format_page;
extern const struct changes_format changes_format_sse;

struct changes {
    struct subscription subscription;
    struct rest *rest;
    struct http_exchange *exchange;
    const struct changes_format *format;
    const struct changes_hooks *hooks;
    void *hooks_context;
    struct link timer;   /* in starting, beats or waits */
    struct link touched; /* in touched */
    uint64_t due_ns;
    uint64_t generation;
    uint64_t given_sequence; /* of the last change that its client was given; 0: none */
    enum subscription_from from;
    enum changes_ending ending;
    enum status status; /* of an ending */
    bool subscribed;
    bool began;   /* the head is sent */
    bool greeted; /* and the first bytes of the body */
    bool blocked; /* a delivery was refused */
    /* A page. */
    bool caught_up;
    bool synced;
    bool overdue; /* it has waited for long enough */
    uint32_t limit;
    uint32_t count;
    uint64_t bytes;
    uint64_t wait_ns;
    struct token token; /* from where the next page goes on */
};

static_assert(sizeof(struct changes) <= CHANGES_BYTES_MAX,
              "an open answer has no block of its own");

/* The text of a token as clients see it. */
void changes_token_write(const struct changes *changes, const struct token *token,
                         struct writer *text_out);
/* It has to be settled at the end of this step. */
void changes_touch(struct changes *changes);
/* It cannot go on. The first ending counts. */
void changes_fail(struct changes *changes, enum status status);
/* The data of `reset`: an object that says what a 410 says. */
void changes_reset_write(const struct rest *rest, struct writer *json_out);

#endif
