/*
 * get.c: GET. A cached record is answered without a request object: looked up, and written from the
 * cache's bytes to where they are sent from. Look-ups are held back until a turn's bytes have been
 * read, so that the memory they need is fetched for many together.
 */
#include <string.h>

#include "net/rest/field.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

static void answer_cached(struct wire_connection *connection, uint32_t id, uint8_t flags,
                          const struct cache_body *body, bool same)
{
    const struct cache_meta *meta = &body->meta;
    bool json = (flags & FRAME_FLAG_JSON) != 0;
    struct wire_head head = {.opcode = FRAME_GET | FRAME_ANSWER,
                             .flags = flags & FRAME_FLAG_JSON,
                             .code = 200,
                             .id = id};
    struct bytes record = body->body;
    if (meta->absent || same) {
        head.code = meta->absent ? 404 : 304;
        record = BYTES_EMPTY;
    }
    size_t size = wire_record_size_max(record.size);
    if (size > WIRE_LARGE_BODY_BYTES && !memory_has_room(&connection->server->memory, size)) {
        wire_answer_status(connection, id, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    uint8_t *room = wire_frame_begin(connection, size, WIRE_ANSWER);
    if (room != NULL) {
        struct writer out = writer_of(room, size);
        const struct wire_state state = {meta->epoch, meta->sequence,
                                         meta->absent ? 0 : meta->version};
        wire_record_write(&state, record, json, &out);
        ASSERT(!out.failed);
        wire_frame_end(connection, &head, out.size);
    }
}

static enum record_form form_of(uint8_t flags)
{
    return (flags & FRAME_FLAG_JSON) != 0 ? RECORD_JSON : RECORD_MSGPACK;
}

/* False: it is not cached in this form. condition NULL: none. */
static bool read_cached(const struct wire_read *read, const struct precondition *if_none_match)
{
    struct wire_server *server = read->connection->server;
    struct engine_thread *thread = server->options.engine_thread;
    struct cache_body body;
    if (engine_cache_get(thread, read->collection, read->key, read->hash, form_of(read->flags),
                         server->now_ns, server->copy, &body) != STATUS_OK) {
        return false;
    }
    bool same = if_none_match != NULL && if_none_match->kind != PRECONDITION_NONE &&
                field_precondition_names(if_none_match, body.meta.epoch, body.meta.sequence);
    answer_cached(read->connection, read->id, read->flags, &body, same);
    if (body.pin != NULL) {
        engine_cache_release(thread, read->hash, &body);
    }
    return true;
}

bool wire_call_cached(struct wire_call *call)
{
    const struct request *request = &call->request;
    struct engine *engine = call->server->options.engine;
    if (request->kind != REQUEST_GET || request->refresh || !request->collection->cached ||
        /* A position that is published is in every cache entry too. */
        (request->minimum_sequence != 0 && engine_published(engine) < request->minimum_sequence)) {
        return false;
    }
    const struct wire_read read = {
        .connection = call->connection,
        .collection = request->collection,
        .key = request->id,
        .hash = request->hash,
        .id = call->id,
        .flags = call->flags,
    };
    return read_cached(&read, &request->if_none_match);
}

static void read_run(const struct wire_read *read)
{
    if (read_cached(read, NULL)) {
        return;
    }
    const struct wire_frame frame = {
        .id = read->id, .opcode = FRAME_GET, .flags = read->flags, .body = BYTES_EMPTY};
    const struct wire_operation operation = {
        .opcode = FRAME_GET,
        .json = (read->flags & FRAME_FLAG_JSON) != 0,
        .collection = read->collection,
        .id = read->key,
    };
    wire_request_submit(read->connection, &frame, &operation);
}

void wire_held_run(struct wire_server *server)
{
    uint32_t count = server->held_count;
    for (uint32_t i = 0; i < count; i++) {
        engine_cache_prefetch_entry(server->options.engine_thread, server->held[i].read.hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct wire_read *read = &server->held[i].read;
        ASSERT(read->connection->held_count > 0);
        read->connection->held_count--;
        read_run(read);
    }
    ASSERT(server->held_count == count);
    server->held_count = 0;
}

static void read_hold(struct wire_server *server, const struct wire_read *read)
{
    ASSERT(server->held_count < WIRE_HELD_READS_MAX);
    struct wire_held_read *held = &server->held[server->held_count++];
    held->read = *read;
    memcpy(held->key, read->key.data, read->key.size);
    held->read.key.data = held->key;
    read->connection->held_count++;
    engine_cache_prefetch(server->options.engine_thread, read->hash);
    if (server->held_count == WIRE_HELD_READS_MAX) {
        wire_held_run(server);
    }
}

void wire_get(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct wire_server *server = connection->server;
    struct wire_operation operation;
    struct wire_fault fault;
    if (!wire_operation_take(connection, frame, &operation)) {
        return;
    }
    if (!wire_right_check(server, FRAME_GET, &fault)) {
        wire_answer_problem(connection, frame->id, &fault.problem);
        return;
    }
    if (operation.has_options || !operation.collection->cached) {
        wire_request_submit(connection, frame, &operation);
        return;
    }
    const struct wire_read read = {
        .connection = connection,
        .collection = operation.collection,
        .key = operation.id,
        .hash = engine_hash(operation.collection, operation.id),
        .id = frame->id,
        .flags = frame->flags,
    };
    if (server->holding) {
        read_hold(server, &read);
    } else {
        read_run(&read);
    }
}
