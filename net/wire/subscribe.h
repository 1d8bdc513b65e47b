/*
 * subscribe.h: subscriptions of the binary protocol: what subscribe.c, deliver.c, ping.c and
 * reader.c share.
 *
 *     SUBSCRIBE ----------------------------> open --> ended: by UNSUBSCRIBE, its connection,
 *         |                                    ^              GOAWAY, or an ERROR
 *         +--> (of a consumer) asks its owner -+
 *
 * Within stream_step deliveries are written straight into a frame of the connection's output, which
 * wire_subscriptions_step ends: a change goes out in the turn in which it was published. Without
 * credit or room a delivery is refused; the stream keeps nothing then but a place, and goes on when
 * there is credit and room again.
 *
 * Owner:   the server's thread. A subscription belongs to its connection; what is asked of a
 *          consumer's owner outlives both until it is answered.
 * Memory:  a subscription and a reader are of the server's budget; see WIRE_PUSH_BYTES_MAX.
 * Tests:   tests/unit/net/wire/test_subscribe.c, tests/integration/test_wire_changes.py.
 */
#ifndef FRESHET_NET_WIRE_SUBSCRIBE_H
#define FRESHET_NET_WIRE_SUBSCRIBE_H

#include "engine/stream/consumers.h"
#include "engine/stream/stream.h"
#include "net/rest/follow.h"
#include "net/wire/wire_internal.h"

/* Items of one frame; its bytes are bounded by the chunk that it is written to. */
#define WIRE_PUSH_ITEMS_MAX      1024
#define WIRE_PROGRESS_MS_LEAST   50
#define WIRE_PROGRESS_MS_DEFAULT 5000
/* PINGs of a connection that wait for invalidations. */
#define WIRE_PINGS_MAX 16

static_assert(WIRE_PUSH_ITEMS_MAX <= UINT16_MAX, "the head of a frame's array counts in 16 bits");

struct wire_reader;

struct wire_subscription {
    struct subscription subscription;
    struct link link;    /* in its connection's */
    struct link failing; /* in the server's: it cannot go on */
    struct wire_connection *connection;
    struct wire_reader *reader; /* of a consumer; NULL: of none */
    uint32_t id;
    enum subscription_from from;
    enum status failure; /* while it is failing */
    bool subscribed;     /* `subscription` is with the stream */
    bool invalidates;
    bool json;
    bool blocked; /* refused for want of room in the output */
    bool live;    /* invalidations: nothing more was published when the last was told */
    uint64_t credit;
    uint64_t generation;      /* of a group; its tokens carry it; 0: none */
    uint64_t given_sequence;  /* of the last change that its client was given; 0: none */
    struct position position; /* invalidations: how far its frame goes */
};

struct wire_subscriptions {
    struct link pushing; /* connections with a frame begun, by push.link */
    struct link pinged;  /* struct wire_pings, by link */
    struct link failing; /* struct wire_subscription */
    struct link readers; /* struct wire_reader, by the time at which they ask again */
};

/* ---- subscribe.c ---- */

/* Subscribes with the stream. On failure the pattern is destroyed. */
MUST_USE enum status wire_subscription_open(struct wire_subscription *subscription,
                                            const struct subscription_options *options);
/* It is told its place: SUBSCRIBED. */
void wire_subscription_answer(struct wire_subscription *subscription);
/* The text of a token as its client sees it. */
void wire_token_write(const struct wire_subscription *subscription, const struct token *token,
                      struct writer *text_out);
/* It ends: nothing more of it comes, and it is freed. */
void wire_subscription_close(struct wire_subscription *subscription);
/* The same, with an ERROR. */
void wire_subscription_refuse(struct wire_subscription *subscription,
                              const struct problem *problem);
/* ERROR of its id; with the positions that there are for POSITION_EXPIRED. */
void wire_follow_problem_answer(struct wire_connection *connection, uint32_t id,
                                const struct problem *problem);
/* Cannot go on, and is ended at the end of this step. Also from within a delivery. */
void wire_subscription_fail(struct wire_subscription *subscription, enum status status);

/* ---- deliver.c ---- */

bool wire_deliver(struct subscription *subscription, const struct delivery *delivery);
/* Ends the frame that is begun, if one is. */
void wire_push_end(struct wire_connection *connection);

/* ---- ping.c ---- */

/* Answers those whose invalidations have been written. */
void wire_pings_step(struct wire_server *server);
/* The connection goes, or the server: nobody answers them. */
void wire_pings_drop(struct wire_connection *connection);
/* They cannot be answered any more: ERROR. */
void wire_pings_refuse(struct wire_connection *connection);

/* ---- reader.c ---- */

/* Asks where the consumer stands; SUBSCRIBED or ERROR comes later. False: no memory. */
bool wire_reader_open(struct wire_subscription *subscription, struct bytes name,
                      struct bytes member, const struct subscription_options *options);
/* Its subscription goes; leaves: a member is to give its slots back. */
void wire_reader_close(struct wire_subscription *subscription, bool leaves);
/* When the next one is to ask again. */
uint64_t wire_readers_step(struct wire_server *server);

#endif
