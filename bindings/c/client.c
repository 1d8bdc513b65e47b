#include <stdlib.h>

#include "bindings/c/client_internal.h"

#define NS_PER_MS          ((uint64_t)1000 * 1000)
#define TIMEOUT_MS_DEFAULT 30000
/* What get_many may gather for one caller. */
#define MANY_BYTES_MAX ((size_t)1 << 30)

/* ---- waiting ---- */

static void keep_written(struct written_room *room, const struct freshet_written *from,
                         struct freshet_written *out)
{
    *out = *from;
    if (from->id == NULL) {
        return;
    }
    memcpy(room->id, from->id, strlen(from->id) + 1);
    memcpy(room->etag, from->etag, strlen(from->etag) + 1);
    memcpy(room->position, from->position, strlen(from->position) + 1);
    out->id = room->id;
    out->etag = room->etag;
    out->position = room->position;
}

static void on_done(void *context, const struct freshet_result *result)
{
    struct client_call *call = context;
    struct freshet *db = call->db;
    ASSERT(!call->is_done);
    call->is_done = true;
    call->status = result->status;
    call->record = result->record;
    keep_written(&db->written, &result->written, &call->written);
    if (result->status != FRESHET_OK) {
        error_room_set(&db->error, result->error);
    }
    struct bytes body = bytes_of(result->body, result->body_size);
    buffer_clear(&db->body);
    if (buffer_append(&db->body, body, SIZE_MAX) != STATUS_OK) {
        call->status = client_fail(db, FRESHET_NO_MEMORY, NULL);
        return;
    }
    if (call->record.data != NULL) {
        size_t offset = (size_t)((const uint8_t *)call->record.data - body.data);
        call->record.data = (const char *)buffer_bytes(&db->body).data + offset;
    }
}

struct core_done client_done(struct client_call *call)
{
    return (struct core_done){on_done, call};
}

enum freshet_status client_fail(struct freshet *db, enum freshet_status status, const char *detail)
{
    struct freshet_error error = *error_none();
    error.status = status;
    error.detail = detail == NULL ? freshet_status_text(status) : detail;
    error_room_set(&db->error, &error);
    return status;
}

enum freshet_status client_tell(struct freshet *db, enum freshet_status status)
{
    if (status != FRESHET_OK && status != FRESHET_AGAIN && status != FRESHET_END) {
        error_room_set(&db->error, core_error(client_core(db)));
    }
    return status;
}

void client_flush(struct freshet *db)
{
    async_flush(db->async);
}

enum freshet_status client_await(struct client_call *call, enum freshet_status submitted)
{
    struct freshet_async *async = call->db->async;
    if (submitted != FRESHET_OK) {
        return client_tell(call->db, submitted);
    }
    async_flush(async);
    /* The core ends every request at its deadline. */
    for (bool waits = async->state == ASYNC_UP; !call->is_done; waits = true) {
        if (waits) {
            async_wait(async, CORE_NEVER);
        }
        enum freshet_status status = async_turn(async, transport_now_ns());
        ASSERT(call->is_done || status == FRESHET_OK || async->reconnects);
    }
    return call->status;
}

/* ---- the handle ---- */

static enum freshet_status await_connection(struct freshet *db)
{
    struct freshet_async *async = db->async;
    while (async->state != ASYNC_UP) {
        bool is_trying = async->state != ASYNC_AWAY;
        if (is_trying) {
            async_wait(async, CORE_NEVER);
            enum freshet_status status = async_turn(async, transport_now_ns());
            (void)status; /* the state tells */
        }
        /* The first connection is tried once: a wrong address should not take long to be told. */
        if (async->state == ASYNC_AWAY) {
            return client_tell(db, core_error(async->core)->status);
        }
    }
    return FRESHET_OK;
}

enum freshet_status freshet_connect(const char *url, const struct freshet_options *options,
                                    struct freshet **out)
{
    struct freshet *db = calloc(1, sizeof(*db));
    *out = db;
    if (db == NULL) {
        return FRESHET_NO_MEMORY;
    }
    error_room_set(&db->error, error_none());
    int timeout_ms = options == NULL ? 0 : options->timeout_ms;
    db->timeout_ns = (uint64_t)(timeout_ms > 0 ? timeout_ms : TIMEOUT_MS_DEFAULT) * NS_PER_MS;
    enum freshet_status status = freshet_async_connect(url, options, &db->async);
    if (db->async == NULL) {
        return client_fail(db, status, NULL);
    }
    if (!client_is_usable(db)) {
        error_room_set(&db->error, freshet_async_error(db->async));
        return status;
    }
    return await_connection(db);
}

void freshet_close(struct freshet *db)
{
    if (db == NULL) {
        return;
    }
    freshet_async_close(db->async);
    control_free(db->consumers);
    buffer_deinit(&db->body);
    buffer_deinit(&db->data);
    free(db);
}

const struct freshet_error *freshet_error(const struct freshet *db)
{
    return db == NULL ? error_none() : &db->error.error;
}

static enum freshet_status unusable(const struct freshet *db)
{
    return db->error.error.status;
}

/* ---- records ---- */

/* Known not to be there: an answer of every day, so that its words are not copied. */
static enum freshet_status not_found(struct freshet *db)
{
    db->error.error = (struct freshet_error){.status = FRESHET_NOT_FOUND,
                                             .code = 404,
                                             .type = "",
                                             .detail = CORE_NO_RECORD,
                                             .oldest = "",
                                             .newest = ""};
    return FRESHET_NOT_FOUND;
}

enum freshet_status freshet_get(struct freshet *db, const char *collection, const char *id,
                                struct freshet_record *out)
{
    if (client_is_usable(db)) {
        enum freshet_status status = async_look(db->async, collection, id, transport_now_ns(), out);
        if (status == FRESHET_OK) {
            return status;
        }
        if (status == FRESHET_NOT_FOUND) {
            return not_found(db);
        }
    }
    return freshet_get_with(db, collection, id, NULL, out);
}

enum freshet_status freshet_get_with(struct freshet *db, const char *collection, const char *id,
                                     const struct freshet_read_options *options,
                                     struct freshet_record *out)
{
    *out = (struct freshet_record){0};
    if (!client_is_usable(db)) {
        return unusable(db);
    }
    struct client_call call = {.db = db};
    enum freshet_status status =
        client_await(&call, core_get(client_core(db), collection, id, options, transport_now_ns(),
                                     client_done(&call)));
    *out = call.record;
    return status;
}

/* Takes the states of one answer over; how many there were. 0 is not the protocol. */
static enum freshet_status take_states(struct freshet *db, struct freshet_record *out, size_t count,
                                       size_t *taken_out)
{
    struct reader reader = reader_of(buffer_bytes(&db->body));
    struct answer_state state;
    uint32_t states;
    bool is_sound = answer_array(&reader, 0, &states) && states > 0 && states <= count;
    for (uint32_t index = 0; is_sound && index < states; index++) {
        is_sound = answer_state_read(&reader, core_format(client_core(db)) == FRESHET_JSON, &state);
        if (!is_sound) {
            break;
        }
        if (buffer_append(&db->data, state.data, MANY_BYTES_MAX) != STATUS_OK) {
            return client_fail(db, FRESHET_NO_MEMORY, NULL);
        }
        /* Where it will stand is only known when all are here; that it is there must be kept. */
        out[index] = (struct freshet_record){.data = state.is_there ? "" : NULL,
                                             .size = state.data.size,
                                             .epoch = state.pair.epoch,
                                             .sequence = state.pair.sequence,
                                             .version = state.version};
    }
    *taken_out = states;
    return is_sound ? FRESHET_OK
                    : client_fail(db, FRESHET_PROTOCOL, "an answer to MGET with nothing in it");
}

static bool look_many(struct freshet *db, const char *collection, const char *const *ids,
                      size_t count, struct freshet_record *out)
{
    uint64_t now_ns = transport_now_ns();
    for (size_t index = 0; index < count; index++) {
        /* Only the first looks at the socket, so that no view goes away. */
        enum freshet_status status =
            index == 0 ? async_look(db->async, collection, ids[index], now_ns, &out[index])
                       : core_look(client_core(db), collection, ids[index], now_ns, &out[index]);
        if (status == FRESHET_AGAIN) {
            return false;
        }
    }
    return true;
}

enum freshet_status freshet_get_many(struct freshet *db, const char *collection,
                                     const char *const *ids, size_t count,
                                     struct freshet_record *out)
{
    enum freshet_status status = FRESHET_OK;
    memset(out, 0, count * sizeof(*out));
    if (!client_is_usable(db)) {
        return unusable(db);
    }
    if (look_many(db, collection, ids, count, out)) {
        return FRESHET_OK;
    }
    buffer_clear(&db->data);
    for (size_t at = 0; at < count && status == FRESHET_OK;) {
        size_t part = count - at < LIST_RECORDS_MAX ? count - at : LIST_RECORDS_MAX;
        size_t taken = 0;
        struct client_call call = {.db = db};
        status = client_await(&call, core_get_many(client_core(db), collection, ids + at, part,
                                                   transport_now_ns(), client_done(&call)));
        if (status == FRESHET_OK) {
            status = take_states(db, out + at, part, &taken);
        }
        at += taken;
    }
    size_t offset = 0;
    for (size_t index = 0; index < count && status == FRESHET_OK; index++) {
        if (out[index].data != NULL) {
            out[index].data = (const char *)db->data.data + offset;
            offset += out[index].size;
        }
    }
    if (status != FRESHET_OK) {
        memset(out, 0, count * sizeof(*out));
    }
    return status;
}

static enum freshet_status write_and_wait(struct freshet *db, const struct core_write *write,
                                          struct freshet_written *out)
{
    struct freshet_written ignored;
    out = out == NULL ? &ignored : out;
    *out = (struct freshet_written){.id = "", .etag = "", .position = ""};
    if (!client_is_usable(db)) {
        return unusable(db);
    }
    struct client_call call = {.db = db};
    enum freshet_status status = client_await(
        &call, core_write(client_core(db), write, transport_now_ns(), client_done(&call)));
    if (status == FRESHET_OK) {
        *out = call.written;
    }
    return status;
}

enum freshet_status freshet_put(struct freshet *db, const char *collection, const char *id,
                                const char *document, size_t size,
                                const struct freshet_write_options *options,
                                struct freshet_written *out)
{
    struct core_write write = {FRAME_PUT, collection, id, bytes_of(document, size), options};
    return write_and_wait(db, &write, out);
}

enum freshet_status freshet_create(struct freshet *db, const char *collection, const char *document,
                                   size_t size, const struct freshet_write_options *options,
                                   struct freshet_written *out)
{
    struct core_write write = {FRAME_CREATE, collection, NULL, bytes_of(document, size), options};
    return write_and_wait(db, &write, out);
}

enum freshet_status freshet_patch(struct freshet *db, const char *collection, const char *id,
                                  const char *patch, size_t size,
                                  const struct freshet_write_options *options,
                                  struct freshet_written *out)
{
    struct core_write write = {FRAME_PATCH, collection, id, bytes_of(patch, size), options};
    return write_and_wait(db, &write, out);
}

enum freshet_status freshet_delete(struct freshet *db, const char *collection, const char *id,
                                   const struct freshet_write_options *options,
                                   struct freshet_written *out)
{
    struct core_write write = {FRAME_DELETE, collection, id, BYTES_EMPTY, options};
    return write_and_wait(db, &write, out);
}

void freshet_near_statistics(const struct freshet *db, struct freshet_near_statistics *out)
{
    *out = (struct freshet_near_statistics){0};
    if (client_is_usable(db)) {
        core_near_statistics(db->async->core, out);
    }
}
