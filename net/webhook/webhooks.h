/*
 * webhooks.h: the worker that runs the rules: a consumer of the changes like any other, on a thread
 * of its own, outside the shards.
 *
 *     stream --> a subscription per rule --> calls in flight (libcurl multi)
 *                                              | 2xx: done, the rule's position goes on
 *                                              | else: parked: an internal record carries the
 *                                              |       change, and its record's later changes wait
 *                                              |       behind it, until it is delivered or given up
 *                                              v
 *                                            dead letters
 *
 * Order:     the changes of one record reach a target in order, across retries too; changes of
 *            different records run side by side, up to the target's concurrency.
 * Delivery:  at least once. A rule's position (an internal record, written at most each 100 ms)
 *            never passes a change that is neither delivered nor parked; parked ones have records
 *            of their own, so position and retention move on. `webhook-id` is the eventID.
 * Retries:   backoff.h; Retry-After is obeyed; 410 disables the rule until it is put again; 429,
 *            502, 504 and a target that cannot be reached slow the rule down: then it tries a few
 *            calls at a time, and what is not yet tried waits in the journal.
 * Addresses: private, link-local, loopback and other special ones are refused when a connection is
 *            made (after name resolution), unless the configuration allows them.
 * Owner:     one thread calls webhooks_step and what is listed with it; the functions marked so are
 *            for any.
 * Memory:    bounded by RULES_MAX, the changes in memory (WEBHOOK_WINDOW_*), the calls in flight
 *            (WEBHOOK_CALLS_MAX) and what is known of parked changes (WEBHOOK_PARKED_*: a few
 *            hundred bytes each; the change itself is read back from its record when it is tried).
 *            A rule at a bound takes no more changes: they wait in the journal.
 * Time:      passed in.
 * Tests:     tests/unit/net/webhook/, tests/integration/test_rules*.py.
 */
#ifndef FRESHET_NET_WEBHOOK_WEBHOOKS_H
#define FRESHET_NET_WEBHOOK_WEBHOOKS_H

#include "engine/stream/stream.h"
#include "net/webhook/rule.h"

#define WEBHOOK_CALLS_MAX 512
/* Changes of a rule that are neither delivered nor parked. */
#define WEBHOOK_WINDOW_MAX       1024
#define WEBHOOK_WINDOW_BYTES     (8u << 20)
#define WEBHOOK_WINDOWS_BYTES    (128u << 20) /* of all rules */
#define WEBHOOK_PARKED_MAX       131072       /* of all rules */
#define WEBHOOK_PARKED_RULE_MAX  16384
#define WEBHOOK_BODY_BYTES_MAX   (8u << 20) /* of a call */
#define WEBHOOK_REASON_BYTES_MAX 256
/* What is kept of an answer that was a failure, for the dead letter. */
#define WEBHOOK_ANSWER_BYTES_MAX 1024

struct calls;
struct webhooks;

struct webhooks_options {
    struct engine *engine;
    struct engine_thread *engine_thread;  /* a client's, of the worker's thread */
    struct stream *stream;                /* of the worker's thread */
    const struct collection *internal;    /* COLLECTION_INTERNAL_COUNT of them */
    const struct collection *collections; /* the user's */
    uint32_t collection_count;
    struct calls *calls; /* how calls are made (webhook_calls.h); borrowed */
    uint64_t seed;       /* of jitter */
    void (*log)(void *context, int level, const char *text); /* enum log_level; NULL: nobody */
    void *log_context;
};

MUST_USE enum status webhooks_create(const struct webhooks_options *options, struct webhooks **out);
/* After webhooks_idle, or when nothing of it runs any more. Accepts NULL. */
void webhooks_destroy(struct webhooks **webhooks);

/* One turn, after engine_thread_step and stream_step. Returns when it wants to run again though
 * nothing happens (0: at once). */
uint64_t webhooks_step(struct webhooks *webhooks, uint64_t now_ns, uint64_t wall_ms);
/* The thread sleeps here; it watches the sockets of calls, and webhooks_wake ends it. */
void webhooks_wait(struct webhooks *webhooks, uint64_t timeout_ns);
void webhooks_wake(struct webhooks *webhooks); /* any thread */
/* No new calls; those in flight end, or are cut after a second; positions are written. */
void webhooks_drain(struct webhooks *webhooks);
bool webhooks_idle(const struct webhooks *webhooks);

/*
 * The record of a rule in COLLECTION_RULES: the rule as it was put, {"rule":{…},"put":ms}. The time
 * makes each put a change, so that putting a rule again ends its being disabled.
 */
void webhooks_record_write(struct bytes rule, uint64_t wall_ms, struct writer *document_out);
/* The rule in such a record; false when there is none. */
bool webhooks_record_rule(struct bytes record, struct bytes *rule_out);
/* The ids of parked changes and dead letters of a rule begin with this. */
void webhooks_prefix_write(struct bytes rule, struct writer *out);

/* Any thread: makes dead letters due again: all of a rule, or the one whose id is event_id. */
struct webhooks_redrive {
    struct message message; /* the module's */
    struct mailbox *reply_to;
    void (*done)(struct webhooks_redrive *redrive); /* where reply_to is delivered */
    struct bytes rule;                              /* views live until done */
    struct bytes event_id;                          /* empty: all */
    enum status status;        /* NOT_FOUND: no such rule; BUSY: another is under way, or no room */
    uint64_t count;            /* how many */
    struct webhooks *webhooks; /* the module's */
};
void webhooks_redrive_submit(struct webhooks *webhooks, struct webhooks_redrive *redrive);

/* Any thread: a rule as it runs. False: the worker does not know it (yet). */
enum webhooks_rule_status {
    WEBHOOKS_RULE_ACTIVE,
    WEBHOOKS_RULE_OFF,      /* "enabled": false */
    WEBHOOKS_RULE_DISABLED, /* by the target's 410; reason says so */
    WEBHOOKS_RULE_FAILING,  /* it cannot run; reason says why */
};
struct webhooks_rule {
    enum webhooks_rule_status status;
    struct position position; /* everything up to it is delivered, parked or a dead letter */
    bool is_behind;           /* it has not been given all, or not dealt with it */
    uint64_t oldest_ms;       /* time of the oldest of these that is in memory; 0: none is */
    uint64_t in_flight;       /* calls */
    uint64_t waiting;         /* changes in memory, neither delivered nor parked */
    uint64_t parked;
    uint64_t dead_letters;
    uint64_t matched;   /* changes that matched its pattern; this and what follows: since start */
    uint64_t attempts;  /* calls made */
    uint64_t retries;   /* of them, those after the first of a change */
    uint64_t delivered; /* changes that the target took */
    uint64_t failed;    /* changes that were given up */
    uint64_t throttled; /* answers that slowed it down */
    uint64_t expired;   /* times that retention had passed its position */
    char reason[WEBHOOK_REASON_BYTES_MAX]; /* NUL-terminated */
};
bool webhooks_rule_find(struct webhooks *webhooks, struct bytes name, struct webhooks_rule *out);
/* Entries that it has not passed, when so much is published. */
static inline uint64_t webhooks_rule_lag(const struct webhooks_rule *rule, uint64_t published)
{
    return rule->is_behind && published > rule->position.sequence
               ? published - rule->position.sequence
               : 0;
}
/* Any thread. */
uint32_t webhooks_rule_count(struct webhooks *webhooks);

/* Any thread: TriggeredRules, MatchedEvents, Invocations, FailedInvocations, lag and more, by rule,
 * in Prometheus' text format. */
void webhooks_metrics(struct webhooks *webhooks, uint64_t wall_ms, struct writer *text_out);

#endif
