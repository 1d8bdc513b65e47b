#include "bindings/c/async.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/frame/frame.h"

#define NS_PER_MS           ((uint64_t)1000 * 1000)
#define TIMEOUT_MS_DEFAULT  30000
#define CONNECT_MS_DEFAULT  5000
#define LEASE_MS_DEFAULT    2000
#define RETRY_NS_MIN        (10 * NS_PER_MS)
#define RETRY_NS_MAX        (2000 * NS_PER_MS)
#define RETRY_DOUBLINGS_MAX 8
/* A turn reads so much at most, so that an application's loop gets its turn, too. */
#define TURN_BYTES_MAX ((size_t)4 << 20)

static_assert(RETRY_NS_MIN << RETRY_DOUBLINGS_MAX >= RETRY_NS_MAX, "the longest pause is reached");

static uint64_t milliseconds(int value, int fallback)
{
    return (uint64_t)(value > 0 ? value : fallback) * NS_PER_MS;
}

/* xorshift64: spreads the tries of many clients; nothing secret depends on it. */
static uint64_t random_next(struct freshet_async *db)
{
    db->random ^= db->random << 13;
    db->random ^= db->random >> 7;
    db->random ^= db->random << 17;
    return db->random;
}

static uint64_t random_seed(const void *address)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed) || seed == 0) {
        seed = transport_now_ns() ^ (uint64_t)(uintptr_t)address;
    }
    return seed | 1;
}

/* ---- connections ---- */

/* The first try comes at once, later ones after a pause between half and all of what doubles. */
static void plan_retry(struct freshet_async *db, uint64_t now_ns)
{
    uint64_t pause_ns = 0;
    if (db->failures > 0) {
        unsigned doublings = db->failures - 1;
        doublings = doublings > RETRY_DOUBLINGS_MAX ? RETRY_DOUBLINGS_MAX : doublings;
        pause_ns = RETRY_NS_MIN << doublings;
        pause_ns = pause_ns > RETRY_NS_MAX ? RETRY_NS_MAX : pause_ns;
        pause_ns = pause_ns / 2 + random_next(db) % (pause_ns / 2);
    }
    db->retry_ns = now_ns + pause_ns;
}

/* Whatever there was of a connection is gone. */
static enum freshet_status go_away(struct freshet_async *db, uint64_t now_ns)
{
    bool was_up = db->state == ASYNC_UP;
    bool has_core = db->state == ASYNC_GREETING || was_up;
    ASSERT(db->state != ASYNC_AWAY);
    transport_close(&db->transport);
    db->state = ASYNC_AWAY;
    /* A server that greets and goes at once would be tried without a pause else. */
    bool has_lasted = was_up && now_ns - db->up_ns >= RETRY_NS_MAX;
    db->failures = has_lasted ? 0 : db->failures + 1;
    plan_retry(db, now_ns);
    if (has_core) {
        core_lost(db->core, now_ns);
    } else if (!db->reconnects) {
        core_refuse(db->core, FRESHET_DISCONNECTED, db->transport.detail);
    } else {
        core_set_error(db->core, FRESHET_DISCONNECTED, db->transport.detail);
    }
    return db->reconnects ? FRESHET_OK : core_error(db->core)->status;
}

static enum freshet_status begin(struct freshet_async *db, uint64_t now_ns)
{
    ASSERT(db->state == ASYNC_AWAY);
    db->state = ASYNC_CONNECTING;
    db->give_up_ns = now_ns + db->connect_timeout_ns;
    return transport_open(&db->transport) == FRESHET_OK ? FRESHET_OK : go_away(db, now_ns);
}

static enum freshet_status connecting(struct freshet_async *db, uint64_t now_ns)
{
    enum freshet_status status = transport_connected(&db->transport);
    if (status == FRESHET_OK) {
        db->state = ASYNC_GREETING;
        core_connected(db->core, now_ns);
    }
    return status == FRESHET_DISCONNECTED ? go_away(db, now_ns) : FRESHET_OK;
}

/* ---- bytes ---- */

static enum freshet_status send_all(struct freshet_async *db)
{
    enum freshet_status status = FRESHET_OK;
    struct bytes out = core_output(db->core);
    while (out.size > 0 && status == FRESHET_OK) {
        size_t size;
        status = transport_send(&db->transport, out, &size);
        core_sent(db->core, size);
        out = core_output(db->core);
    }
    return status == FRESHET_AGAIN ? FRESHET_OK : status;
}

void async_flush(struct freshet_async *db)
{
    if (db->state == ASYNC_UP && core_output(db->core).size > 0) {
        enum freshet_status status = send_all(db);
        (void)status;
    }
}

/* Until nothing more is there, or the turn's share is read. */
static enum freshet_status receive_all(struct freshet_async *db, uint64_t now_ns)
{
    size_t total = 0;
    while (total < TURN_BYTES_MAX) {
        uint8_t *data;
        size_t room;
        size_t size;
        enum freshet_status status = core_room(db->core, &data, &room);
        if (status == FRESHET_OK) {
            status = transport_receive(&db->transport, data, room, &size);
        }
        if (status == FRESHET_AGAIN) {
            break;
        }
        if (status == FRESHET_OK) {
            status = core_received(db->core, size, now_ns);
        }
        if (status != FRESHET_OK) {
            return status;
        }
        total += size;
        if (size < room) {
            break; /* as good as empty, and cheaper than asking */
        }
    }
    db->look_ns = now_ns;
    return FRESHET_OK;
}

static enum freshet_status talk(struct freshet_async *db, uint64_t now_ns)
{
    enum freshet_status status = receive_all(db, now_ns);
    if (status == FRESHET_OK) {
        status = core_tick(db->core, now_ns);
    }
    if (db->state == ASYNC_GREETING && core_is_open(db->core)) {
        db->state = ASYNC_UP;
        db->was_up = true;
        db->up_ns = now_ns;
    }
    if (status == FRESHET_OK) {
        status = send_all(db);
    }
    if (status != FRESHET_OK || core_is_finished(db->core)) {
        return go_away(db, now_ns);
    }
    return FRESHET_OK;
}

enum freshet_status async_turn(struct freshet_async *db, uint64_t now_ns)
{
    enum freshet_status status = FRESHET_OK;
    if (db->state == ASYNC_AWAY) {
        if (!db->reconnects && db->was_up) {
            return FRESHET_DISCONNECTED;
        }
        status = core_tick(db->core, now_ns);
        if (status == FRESHET_OK && now_ns >= db->retry_ns) {
            status = begin(db, now_ns);
        }
    }
    if (status == FRESHET_OK && db->state == ASYNC_CONNECTING) {
        status = connecting(db, now_ns);
        if (db->state == ASYNC_CONNECTING) {
            status = core_tick(db->core, now_ns);
        }
    }
    if (status == FRESHET_OK && db->state >= ASYNC_GREETING) {
        status = talk(db, now_ns);
    }
    bool is_late = db->state == ASYNC_CONNECTING || db->state == ASYNC_GREETING;
    if (status == FRESHET_OK && is_late && now_ns >= db->give_up_ns) {
        memcpy(db->transport.detail, "no connection came about in time",
               sizeof("no connection came about in time"));
        status = go_away(db, now_ns);
    }
    return status;
}

static uint64_t deadline_ns(const struct freshet_async *db)
{
    uint64_t core_ns = core_deadline_ns(db->core);
    uint64_t own_ns = CORE_NEVER;
    if (db->state == ASYNC_AWAY) {
        own_ns = db->reconnects || !db->was_up ? db->retry_ns : CORE_NEVER;
    } else if (db->state != ASYNC_UP) {
        own_ns = db->give_up_ns;
    }
    return own_ns < core_ns ? own_ns : core_ns;
}

void async_wait(struct freshet_async *db, uint64_t until_ns)
{
    uint64_t own_ns = deadline_ns(db);
    transport_wait(&db->transport, freshet_async_events(db), own_ns < until_ns ? own_ns : until_ns);
}

/* ---- freshet_async.h ---- */

static enum freshet_status connect_with(struct freshet_async *db, const char *url,
                                        const struct freshet_options *options)
{
    enum freshet_status status = transport_init(&db->transport, url);
    if (status != FRESHET_OK) {
        db->error = (struct freshet_error){.status = status,
                                           .type = "",
                                           .detail = db->transport.detail,
                                           .oldest = "",
                                           .newest = ""};
        return status;
    }
    db->random = random_seed(db);
    db->reconnects = !options->no_reconnect;
    db->connect_timeout_ns = milliseconds(options->connect_timeout_ms, CONNECT_MS_DEFAULT);
    struct core_options core = {.format = options->format,
                                .checked = options->checked,
                                .reconnects = db->reconnects,
                                .near_bytes = options->near_cache_bytes,
                                .near_collections = options->near_cache_collections,
                                .lease_ns = milliseconds(options->lease_ms, LEASE_MS_DEFAULT),
                                .timeout_ns = milliseconds(options->timeout_ms, TIMEOUT_MS_DEFAULT),
                                .seed = random_next(db),
                                .token = options->token};
    status = core_create(&core, &db->core);
    db->error.status = status;
    return status == FRESHET_OK ? begin(db, transport_now_ns()) : status;
}

enum freshet_status freshet_async_connect(const char *url, const struct freshet_options *options,
                                          struct freshet_async **out)
{
    static const struct freshet_options DEFAULTS = {0};
    struct freshet_async *db = calloc(1, sizeof(*db));
    *out = db;
    if (db == NULL) {
        return FRESHET_NO_MEMORY;
    }
    db->error = (struct freshet_error){
        .status = FRESHET_NO_MEMORY, .type = "", .detail = "", .oldest = "", .newest = ""};
    return connect_with(db, url, options == NULL ? &DEFAULTS : options);
}

void freshet_async_close(struct freshet_async *db)
{
    if (db == NULL) {
        return;
    }
    async_flush(db); /* an UNSUBSCRIBE, the last write */
    transport_deinit(&db->transport);
    core_destroy(&db->core);
    free(db);
}

const struct freshet_error *freshet_async_error(const struct freshet_async *db)
{
    return db->core == NULL ? &db->error : core_error(db->core);
}

bool freshet_async_is_connected(const struct freshet_async *db)
{
    return db->state == ASYNC_UP;
}

int freshet_async_fd(const struct freshet_async *db)
{
    return db->transport.descriptor;
}

short freshet_async_events(const struct freshet_async *db)
{
    if (db->core == NULL || db->transport.descriptor < 0) {
        return 0;
    }
    if (db->state == ASYNC_CONNECTING) {
        return POLLOUT;
    }
    return core_output(db->core).size > 0 ? POLLIN | POLLOUT : POLLIN;
}

int freshet_async_timeout_ms(const struct freshet_async *db)
{
    uint64_t at_ns = db->core == NULL ? CORE_NEVER : deadline_ns(db);
    uint64_t now_ns = transport_now_ns();
    if (at_ns == CORE_NEVER) {
        return -1;
    }
    uint64_t left_ms = at_ns > now_ns ? (at_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    return left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

enum freshet_status freshet_async_process(struct freshet_async *db)
{
    return db->core == NULL ? db->error.status : async_turn(db, transport_now_ns());
}

enum freshet_status freshet_async_look(struct freshet_async *db, const char *collection,
                                       const char *id, struct freshet_record *out)
{
    /* The loop looks at the socket; a turn here would run callbacks. */
    return db->core == NULL ? FRESHET_AGAIN
                            : core_look(db->core, collection, id, transport_now_ns(), out);
}

enum freshet_status freshet_async_get(struct freshet_async *db, const char *collection,
                                      const char *id, freshet_done *done, void *context)
{
    if (db->core == NULL) {
        return db->error.status;
    }
    struct core_done told = {done, context};
    return core_get(db->core, collection, id, NULL, transport_now_ns(), told);
}

static enum freshet_status submit_write(struct freshet_async *db, const struct core_write *write,
                                        freshet_done *done, void *context)
{
    if (db->core == NULL) {
        return db->error.status;
    }
    struct core_done told = {done, context};
    return core_write(db->core, write, transport_now_ns(), told);
}

enum freshet_status freshet_async_put(struct freshet_async *db, const char *collection,
                                      const char *id, const char *document, size_t size,
                                      const struct freshet_write_options *options,
                                      freshet_done *done, void *context)
{
    struct core_write write = {FRAME_PUT, collection, id, bytes_of(document, size), options};
    return submit_write(db, &write, done, context);
}

enum freshet_status freshet_async_create(struct freshet_async *db, const char *collection,
                                         const char *document, size_t size,
                                         const struct freshet_write_options *options,
                                         freshet_done *done, void *context)
{
    struct core_write write = {FRAME_CREATE, collection, NULL, bytes_of(document, size), options};
    return submit_write(db, &write, done, context);
}

enum freshet_status freshet_async_patch(struct freshet_async *db, const char *collection,
                                        const char *id, const char *patch, size_t size,
                                        const struct freshet_write_options *options,
                                        freshet_done *done, void *context)
{
    struct core_write write = {FRAME_PATCH, collection, id, bytes_of(patch, size), options};
    return submit_write(db, &write, done, context);
}

enum freshet_status freshet_async_delete(struct freshet_async *db, const char *collection,
                                         const char *id,
                                         const struct freshet_write_options *options,
                                         freshet_done *done, void *context)
{
    struct core_write write = {FRAME_DELETE, collection, id, BYTES_EMPTY, options};
    return submit_write(db, &write, done, context);
}

enum freshet_status freshet_async_subscribe(struct freshet_async *db,
                                            const struct freshet_subscribe_options *options,
                                            struct freshet_subscription **out)
{
    *out = NULL;
    return db->core == NULL ? db->error.status
                            : core_subscribe(db->core, options, transport_now_ns(), out);
}

enum freshet_status freshet_async_next(struct freshet_subscription *subscription,
                                       struct freshet_change *out)
{
    return core_next(subscription, transport_now_ns(), out);
}

void freshet_async_near_statistics(const struct freshet_async *db,
                                   struct freshet_near_statistics *out)
{
    *out = (struct freshet_near_statistics){0};
    if (db->core != NULL) {
        core_near_statistics(db->core, out);
    }
}
