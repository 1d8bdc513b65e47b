/*
 * core.h: the protocol of a client without its sockets: bytes in, frames and calls of the caller's
 * functions out, bytes to send out. PROTOCOL.md is the reference.
 *
 * A core outlives connections: it keeps the requests that may be asked again, the subscriptions
 * with their positions, and the near cache. Somebody above it (async.c; in tests a fake server)
 * makes the connections and moves the bytes:
 *
 *     core_connected -> core_output/core_sent, core_room/core_received, core_tick … -> core_lost
 *
 * Owner:     one handle; no threads, no clock: the caller passes now_ns, which never falls.
 * Memory:    bounded by named limits whatever the server sends; a request or a subscription is one
 *            block from its submission to its end.
 * Input:     what comes is not trusted. Whatever is not the protocol ends the connection with
 *            FRESHET_PROTOCOL and words that say what it was.
 * Calls:     a done function runs within core_received, core_tick, core_lost and core_destroy
 *            alone, exactly once; it may submit. Nothing is called from a submit.
 * Invariant: an id names one request or subscription from its sending to its last frame.
 * Tests:     tests/unit/bindings/c/test_core*.c, tests/fuzz/fuzz_client.c.
 */
#ifndef FRESHET_BINDINGS_C_CORE_H
#define FRESHET_BINDINGS_C_CORE_H

#include "bindings/c/include/freshet.h"
#include "bindings/c/include/freshet_async.h"
#include "protocol/base/bytes.h"

#define CORE_NEVER UINT64_MAX

struct core; /* opaque */

struct core_options {
    enum freshet_format format;
    bool checked;
    bool reconnects;              /* else nothing is kept for another connection */
    size_t near_bytes;            /* 0: no near cache */
    const char *near_collections; /* names with commas; NULL: all */
    uint64_t lease_ns;
    uint64_t timeout_ns; /* of a request */
    uint64_t seed;       /* of the near cache's hash */
    const char *token;   /* NULL: anonymous */
};

/* On failure *out is NULL. Options are copied. */
MUST_USE enum freshet_status core_create(const struct core_options *options, struct core **out);
void core_destroy(struct core **core); /* accepts NULL */

/* ---- the connection ---- */

/* A connection is there: the core says HELLO. */
void core_connected(struct core *core, uint64_t now_ns);
/* The connection is gone: what may be asked again waits for the next one, the rest ends. */
void core_lost(struct core *core, uint64_t now_ns);
/* No connection can be made: all that waits for one ends with that error, which is kept. */
void core_refuse(struct core *core, enum freshet_status status, const char *detail);

/* Where the next bytes may be put; size_out is never 0. */
MUST_USE enum freshet_status core_room(struct core *core, uint8_t **data_out, size_t *size_out);
/* So many bytes have been put there. Not OK: close the connection, and tell core_lost. */
MUST_USE enum freshet_status core_received(struct core *core, size_t size, uint64_t now_ns);
/* What is to be sent, and how much of it has been. */
struct bytes core_output(const struct core *core);
void core_sent(struct core *core, size_t size);

/* Does what is due. Not OK: as with core_received. */
MUST_USE enum freshet_status core_tick(struct core *core, uint64_t now_ns);
/* When core_tick must run at the latest; CORE_NEVER. */
uint64_t core_deadline_ns(const struct core *core);

bool core_is_open(const struct core *core);     /* WELCOME has come */
bool core_is_finished(const struct core *core); /* after GOAWAY: nothing more comes; close */
/* Something waits for an answer, or for a connection. */
bool core_is_busy(const struct core *core);
/* The last error: of a submit, a refused call, or the connection. */
const struct freshet_error *core_error(const struct core *core);
/* Sets it, for what is found wrong outside; returns status. */
enum freshet_status core_set_error(struct core *core, enum freshet_status status,
                                   const char *detail);
enum freshet_format core_format(const struct core *core);

/* ---- requests ---- */

/* Who is told what came of it. */
struct core_done {
    freshet_done *function;
    void *context;
};

MUST_USE enum freshet_status core_get(struct core *core, const char *collection, const char *id,
                                      const struct freshet_read_options *options, uint64_t now_ns,
                                      struct core_done done);
/* The answer's body holds a state for each id, up to where the server stopped. */
MUST_USE enum freshet_status core_get_many(struct core *core, const char *collection,
                                           const char *const *ids, size_t count, uint64_t now_ns,
                                           struct core_done done);

/* PUT, PATCH, DELETE and CREATE, by their opcodes; id is NULL for CREATE. */
struct core_write {
    uint8_t opcode;
    const char *collection;
    const char *id;
    struct bytes document;
    const struct freshet_write_options *options; /* or NULL */
};

MUST_USE enum freshet_status core_write(struct core *core, const struct core_write *write,
                                        uint64_t now_ns, struct core_done done);
MUST_USE enum freshet_status core_list(struct core *core, const char *collection,
                                       const struct freshet_list_options *options,
                                       struct bytes cursor, uint64_t now_ns, struct core_done done);
MUST_USE enum freshet_status core_batch(struct core *core,
                                        const struct freshet_operation *operations, size_t count,
                                        uint64_t now_ns, struct core_done done);
MUST_USE enum freshet_status core_acknowledge(struct core *core, const char *consumer,
                                              const char *member, const char *position,
                                              uint64_t now_ns, struct core_done done);

enum core_consumer_action {
    CORE_CONSUMER_GET,
    CORE_CONSUMER_PUT,
    CORE_CONSUMER_DELETE,
    CORE_CONSUMER_LIST
};

struct core_consumer {
    enum core_consumer_action action;
    const char *name;                               /* LIST: after this one; may be NULL */
    unsigned limit;                                 /* LIST */
    const struct freshet_consumer_options *options; /* PUT; or NULL */
};

MUST_USE enum freshet_status core_consumer(struct core *core, const struct core_consumer *consumer,
                                           uint64_t now_ns, struct core_done done);

/* ---- subscriptions ---- */

MUST_USE enum freshet_status core_subscribe(struct core *core,
                                            const struct freshet_subscribe_options *options,
                                            uint64_t now_ns, struct freshet_subscription **out);
/* The server has answered: it is there, or it has ended. */
bool core_subscription_is_settled(const struct freshet_subscription *subscription);
bool core_subscription_has_ended(const struct freshet_subscription *subscription);
/* AGAIN: nothing has come. Others but OK: it has ended, and core_error says why. */
MUST_USE enum freshet_status core_next(struct freshet_subscription *subscription, uint64_t now_ns,
                                       struct freshet_change *out);
struct core *core_of(const struct freshet_subscription *subscription); /* NULL: it is destroyed */
/* The blocking handle that a subscription was made by. */
void core_subscription_set_owner(struct freshet_subscription *subscription, struct freshet *owner);
struct freshet *core_subscription_owner(const struct freshet_subscription *subscription);
const char *core_subscription_position(const struct freshet_subscription *subscription);
/* The names of a consumer and member; NULL: none. */
const char *core_subscription_consumer(const struct freshet_subscription *subscription);
const char *core_subscription_member(const struct freshet_subscription *subscription);
void core_unsubscribe(struct freshet_subscription *subscription);

/* ---- the near cache ---- */

/*
 * OK, NOT_FOUND, or AGAIN: the server must be asked. The view is valid until anything else is done
 * with the core.
 */
MUST_USE enum freshet_status core_look(struct core *core, const char *collection, const char *id,
                                       uint64_t now_ns, struct freshet_record *out);
/* Until when the near cache may answer, as far as is known; 0: not at all. */
uint64_t core_near_until_ns(const struct core *core);
void core_near_statistics(const struct core *core, struct freshet_near_statistics *out);

#endif
