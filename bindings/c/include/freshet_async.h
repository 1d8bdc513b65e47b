/*
 * freshet_async.h: libfreshet for event loops: nothing here waits.
 *
 *     struct freshet_async *db;
 *     freshet_async_connect("freshet://127.0.0.1:7400", NULL, &db);
 *     freshet_async_get(db, "products", "42", on_product, NULL);
 *     for (;;) {
 *         struct pollfd fd = {freshet_async_fd(db), freshet_async_events(db), 0};
 *         poll(&fd, 1, freshet_async_timeout_ms(db));
 *         freshet_async_process(db);
 *     }
 *
 * Loop:      wait until the descriptor has the events asked for, or the time is over; then process.
 *            All three may be other ones after each call with the handle. A descriptor of -1 means
 *            that there is nothing to watch: only the time counts.
 * Callbacks: run within freshet_async_process and freshet_async_close alone, exactly once for each
 *            call that returned OK. They may make new calls, but not process or close.
 * Memory:    what a callback is given is valid until it returns. What a call is given is copied.
 * Threads:   a handle belongs to one thread at a time.
 * Order:     answers come as they are ready. A lost connection is made again by itself; what the
 *            calls make of that is said in freshet.h.
 * Names:     connect looks a host's name up, which may wait for a DNS server; addresses do not.
 */
#ifndef FRESHET_ASYNC_H
#define FRESHET_ASYNC_H

#include <freshet.h>

#ifdef __cplusplus
extern "C" {
#endif

struct freshet_async;

/* What came of a call. What does not belong to it is zero. */
struct freshet_result {
    enum freshet_status status;
    const struct freshet_error *error; /* never NULL */
    struct freshet_record record;      /* of a get */
    struct freshet_written written;    /* of a put, create, patch or delete */
    const void *body; /* the answer's body as it came; MessagePack, as PROTOCOL.md has it */
    size_t body_size;
};

typedef void freshet_done(void *context, const struct freshet_result *result);

/* Begins to connect; calls may be made at once, and are sent when the connection is there. On
 * failure *out is still a handle if there was memory, so that freshet_async_error can be asked. */
FRESHET_API enum freshet_status freshet_async_connect(const char *url,
                                                      const struct freshet_options *options,
                                                      struct freshet_async **out);
/* Calls that have no answer yet end with FRESHET_DISCONNECTED. Accepts NULL. */
FRESHET_API void freshet_async_close(struct freshet_async *db);
/* Why the last call, or the last connection, failed. */
FRESHET_API const struct freshet_error *freshet_async_error(const struct freshet_async *db);
FRESHET_API bool freshet_async_is_connected(const struct freshet_async *db);

FRESHET_API int freshet_async_fd(const struct freshet_async *db);
FRESHET_API short
freshet_async_events(const struct freshet_async *db); /* of poll: POLLIN, POLLOUT */
/* Until process must run even if nothing comes; -1: for ever. */
FRESHET_API int freshet_async_timeout_ms(const struct freshet_async *db);
/*
 * Reads and writes what can be, makes the connection again when it is time, and runs callbacks. Not
 * OK when there is no connection and none will be made (options.no_reconnect).
 */
FRESHET_API enum freshet_status freshet_async_process(struct freshet_async *db);

/*
 * What the near cache knows, at once: OK, NOT_FOUND (known not to be there), or AGAIN: ask the
 * server. out is valid until the next call with the handle.
 */
FRESHET_API enum freshet_status freshet_async_look(struct freshet_async *db, const char *collection,
                                                   const char *id, struct freshet_record *out);

/* Each is OK when the callback will be called; INVALID, TOO_LARGE, NO_MEMORY, or BUSY when too many
 * calls are under way. */
FRESHET_API enum freshet_status freshet_async_get(struct freshet_async *db, const char *collection,
                                                  const char *id, freshet_done *done,
                                                  void *context);
FRESHET_API enum freshet_status freshet_async_put(struct freshet_async *db, const char *collection,
                                                  const char *id, const char *document, size_t size,
                                                  const struct freshet_write_options *options,
                                                  freshet_done *done, void *context);
FRESHET_API enum freshet_status freshet_async_create(struct freshet_async *db,
                                                     const char *collection, const char *document,
                                                     size_t size,
                                                     const struct freshet_write_options *options,
                                                     freshet_done *done, void *context);
FRESHET_API enum freshet_status freshet_async_patch(struct freshet_async *db,
                                                    const char *collection, const char *id,
                                                    const char *patch, size_t size,
                                                    const struct freshet_write_options *options,
                                                    freshet_done *done, void *context);
FRESHET_API enum freshet_status freshet_async_delete(struct freshet_async *db,
                                                     const char *collection, const char *id,
                                                     const struct freshet_write_options *options,
                                                     freshet_done *done, void *context);

/*
 * A subscription of this handle; freshet_position and freshet_unsubscribe take it. What it was
 * refused for is what freshet_async_next returns.
 */
FRESHET_API enum freshet_status
freshet_async_subscribe(struct freshet_async *db, const struct freshet_subscribe_options *options,
                        struct freshet_subscription **out);
/* The next change that has come; AGAIN: process first. Call it until then after each process. */
FRESHET_API enum freshet_status freshet_async_next(struct freshet_subscription *subscription,
                                                   struct freshet_change *out);

FRESHET_API void freshet_async_near_statistics(const struct freshet_async *db,
                                               struct freshet_near_statistics *out);

#ifdef __cplusplus
}
#endif

#endif
