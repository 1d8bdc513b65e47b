/*
 * client_internal.h: the blocking handle of freshet.h, which waits for an asynchronous one.
 *
 * Owner:     the application; one thread at a time.
 * Memory:    what a call hands out stands in `body`, `data` and `written` until the next call.
 */
#ifndef FRESHET_BINDINGS_C_CLIENT_INTERNAL_H
#define FRESHET_BINDINGS_C_CLIENT_INTERNAL_H

#include "bindings/c/async.h"
#include "bindings/c/core_internal.h"

struct freshet {
    struct freshet_async *async;
    uint64_t timeout_ns;
    struct buffer body; /* of the last answer */
    struct buffer data; /* what was made of it */
    struct written_room written;
    void *consumers; /* the message that the last list of consumers points into; or NULL */
    struct error_room error;
};

/* A call that is waited for. */
struct client_call {
    struct freshet *db;
    bool is_done;
    enum freshet_status status;
    struct freshet_record record; /* its data stand in db->body */
    struct freshet_written written;
};

struct core_done client_done(struct client_call *call);
/* Waits for the call, unless its submission failed; what it returns is the call's outcome. */
enum freshet_status client_await(struct client_call *call, enum freshet_status submitted);
/* Keeps the core's words on a failure that a call returns. */
enum freshet_status client_tell(struct freshet *db, enum freshet_status status);
enum freshet_status client_fail(struct freshet *db, enum freshet_status status, const char *detail);
/* Sends what can be sent without waiting. */
void client_flush(struct freshet *db);
static inline struct core *client_core(struct freshet *db)
{
    return db->async->core;
}
static inline bool client_is_usable(const struct freshet *db)
{
    return db->async != NULL && db->async->core != NULL;
}

#endif
