/*
 * async.h: the handle of freshet_async.h: a core, a connection, and when to make it again.
 *
 *     AWAY -> CONNECTING -> GREETING -> UP -> AWAY …
 *
 * Owner:     the application's, or a blocking handle (client.c), which is built on this one.
 * Memory:    one block, the core's and the transport's.
 * Time:      the transport's clock, read once for each turn.
 * Invariant: the core has a connection in GREETING and UP alone.
 * Tests:     tests/unit/bindings/c/test_client.c, test_async.c.
 */
#ifndef FRESHET_BINDINGS_C_ASYNC_H
#define FRESHET_BINDINGS_C_ASYNC_H

#include "bindings/c/core.h"
#include "bindings/c/transport.h"

enum async_state { ASYNC_AWAY, ASYNC_CONNECTING, ASYNC_GREETING, ASYNC_UP };

struct freshet_async {
    struct core *core; /* NULL: the handle has failed from the start */
    struct transport transport;
    enum async_state state;
    bool reconnects;
    bool was_up;
    unsigned failures;   /* in a row: no connection, or one that did not last */
    uint64_t up_ns;      /* since when it is UP */
    uint64_t retry_ns;   /* AWAY: when to try again */
    uint64_t give_up_ns; /* CONNECTING, GREETING */
    uint64_t look_ns;    /* when the socket was last read until it was empty */
    uint64_t connect_timeout_ns;
    uint64_t random;
    struct freshet_error error; /* while there is no core */
};

/* One turn: connects, sends, receives, does what is due. */
MUST_USE enum freshet_status async_turn(struct freshet_async *db, uint64_t now_ns);
/* Waits until there is something to do for a turn, at most until the deadline. */
void async_wait(struct freshet_async *db, uint64_t deadline_ns);

/* Sends what can be sent at once; a failure is met by the next turn. */
void async_flush(struct freshet_async *db);

/* Invalidations are looked for at most this often by hits that come in a row. */
#define ASYNC_LOOK_NS ((uint64_t)1000 * 1000)

/* What the near cache has, after a look at the socket if the last one is too long ago. */
static inline enum freshet_status async_look(struct freshet_async *db, const char *collection,
                                             const char *id, uint64_t now_ns,
                                             struct freshet_record *out)
{
    if (now_ns - db->look_ns >= ASYNC_LOOK_NS) {
        enum freshet_status status = async_turn(db, now_ns);
        (void)status; /* without a connection there is no lease, either */
    }
    return core_look(db->core, collection, id, now_ns, out);
}

#endif
