/*
 * webhook_calls.h: HTTP calls side by side on one thread, and the sleep of that thread.
 *
 * An interface with two implementations: libcurl's multi handle, and a fake in the tests.
 *
 * Owner:     one thread; calls_wake is for any. The caller embeds a call and leaves it alone from
 *            calls_start until done runs, once, from calls_step, never inside calls_start.
 * Memory:    connections are kept alive and used again; of an answer at most CALL_ANSWER_READ_MAX
 *            is read, and CALL_ANSWER_BYTES_MAX kept.
 * Safety:    only http and https, no redirects, no proxies from the environment, no signals; the
 *            address of each connection is judged after name resolution (address.h).
 * Tests:     tests/unit/net/webhook/test_webhook_calls.c.
 */
#ifndef FRESHET_NET_WEBHOOK_WEBHOOK_CALLS_H
#define FRESHET_NET_WEBHOOK_WEBHOOK_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/webhook/rule.h"
#include "protocol/base/bytes.h"
#include "protocol/base/list.h"
#include "protocol/base/status.h"

#define CALL_ANSWER_BYTES_MAX 1024
#define CALL_ANSWER_READ_MAX  (8u << 20)
#define CALL_REASON_BYTES_MAX 256
#define CALL_FIELD_BYTES_MAX  64

enum call_result {
    CALL_ANSWERED,    /* http_status says how */
    CALL_UNREACHABLE, /* no connection was made: for every call to it, not for this one */
    CALL_BROKEN,      /* the connection did not last to the answer */
    CALL_TIMED_OUT,
    CALL_FORBIDDEN, /* an address that may not be called, or no URL that can be */
    CALL_CUT        /* by calls_cut */
};

struct call {
    struct link link; /* the module's */

    /* ---- in; all live until done ---- */
    enum rule_method method;
    const char *url;
    const char *const *headers; /* "Name: value"; an empty value is sent as "Name;" */
    size_t header_count;
    bool has_body;
    struct bytes body;
    uint64_t timeout_ns;
    void (*done)(struct call *call);

    /* ---- out ---- */
    enum call_result result;
    uint32_t http_status; /* 0: none */
    size_t answer_size;
    uint8_t answer[CALL_ANSWER_BYTES_MAX];  /* the beginning of its body */
    char retry_after[CALL_FIELD_BYTES_MAX]; /* the header's value; empty: not sent */
    char reason[CALL_REASON_BYTES_MAX];     /* in words, when there is no answer */

    /* ---- the module's ---- */
    struct calls *calls;
    void *easy;
    void *fields;
    const char *refused;
    uint64_t answer_read;
};

struct calls_vtable {
    void (*start)(struct calls *calls, struct call *call);
    bool (*step)(struct calls *calls);
    void (*cut)(struct calls *calls);
    void (*wait)(struct calls *calls, uint64_t timeout_ns);
    void (*wake)(struct calls *calls);
    void (*destroy)(struct calls *calls);
};

struct calls {
    const struct calls_vtable *vtable;
};

/* Through libcurl. allow: see address_list_parse; problem_out has TEMPLATE_PROBLEM_BYTES. Before
 * other threads start: libcurl has a state of the process. */
MUST_USE enum status calls_create(const char *allow, struct calls **out, char *problem_out);

static inline void calls_start(struct calls *calls, struct call *call)
{
    calls->vtable->start(calls, call);
}

/* Moves calls on; true when done ran for any. */
static inline bool calls_step(struct calls *calls)
{
    return calls->vtable->step(calls);
}

/* Ends all that is in flight: done runs within, with CALL_CUT. */
static inline void calls_cut(struct calls *calls)
{
    calls->vtable->cut(calls);
}

/* Until a socket of a call has something to do, a wake, or the time is over (UINT64_MAX: none). */
static inline void calls_wait(struct calls *calls, uint64_t timeout_ns)
{
    calls->vtable->wait(calls, timeout_ns);
}

/* Any thread. A wake that comes before the wait ends it at once. */
static inline void calls_wake(struct calls *calls)
{
    calls->vtable->wake(calls);
}

/* Nothing in flight, or it does not matter: done does not run. Accepts NULL. */
static inline void calls_destroy(struct calls **calls)
{
    if (*calls != NULL) {
        (*calls)->vtable->destroy(*calls);
        *calls = NULL;
    }
}

#endif
