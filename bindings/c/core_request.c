/* Requests: from their submission to their answer, over more than one connection if need be. */
#include <stdlib.h>

#include "bindings/c/core_internal.h"

/* Those that change nothing, or the same when they are carried out twice. */
static bool may_repeat(uint8_t opcode)
{
    return opcode == FRAME_GET || opcode == FRAME_MGET || opcode == FRAME_LIST ||
           opcode == FRAME_PING || opcode == FRAME_STATS || opcode == FRAME_ACK;
}

/* Room for a body, and for the hashes of keys. NULL without memory, or when too much is held. */
struct request *request_create(struct core *core, uint8_t opcode, size_t body_bytes_max,
                               size_t hash_count, struct writer *body_out)
{
    ASSERT(hash_count <= CORE_BATCH_MAX);
    struct request *request = calloc(1, sizeof(*request) + hash_count * sizeof(uint64_t));
    if (request == NULL) {
        core_set_error(core, FRESHET_NO_MEMORY, NULL);
        return NULL;
    }
    request->frame = malloc(FRAME_HEADER_BYTES + body_bytes_max);
    if (request->frame == NULL) {
        core_set_error(core, FRESHET_NO_MEMORY, NULL);
        free(request);
        return NULL;
    }
    link_init(&request->link);
    core->request_count++;
    request->opcode = opcode;
    request->may_repeat = may_repeat(opcode);
    request->hash_count = hash_count;
    *body_out = writer_of(request->frame + FRAME_HEADER_BYTES, body_bytes_max);
    return request;
}

/* The frame is needed no more. */
static void frame_free(struct core *core, struct request *request)
{
    if (request->frame != NULL && request->frame_size > 0) {
        ASSERT(core->held_bytes >= request->frame_size);
        core->held_bytes -= request->frame_size;
    }
    free(request->frame);
    request->frame = NULL;
    request->frame_size = 0;
}

static void request_destroy(struct core *core, struct request *request)
{
    ASSERT(core->request_count > 0);
    core->request_count--;
    link_remove(&request->link);
    frame_free(core, request);
    free(request);
}

/* The last word to whoever asked; the request stays only if its answer must still come. */
void request_end(struct core *core, struct request *request, const struct freshet_result *result)
{
    struct core_done done = request->done;
    ASSERT(request->state != REQUEST_LEFT);
    ASSERT(result->error != NULL);
    request->done = (struct core_done){0};
    if (request->state == REQUEST_SENT) {
        link_remove(&request->link);
        frame_free(core, request);
        request->state = REQUEST_LEFT;
    } else {
        request_destroy(core, request);
    }
    done.function(done.context, result);
}

static void end_with(struct core *core, struct request *request, enum freshet_status status,
                     const char *detail)
{
    core_set_error(core, status, detail);
    struct freshet_result result = {.status = status, .error = &core->error.error};
    request_end(core, request, &result);
}

/* ---- out ---- */

static enum freshet_status request_send(struct core *core, struct request *request)
{
    struct core_slot *slot;
    ASSERT(request->state == REQUEST_WAITING);
    ASSERT(request->frame_size >= FRAME_HEADER_BYTES);
    uint32_t id = core_id_acquire(core, &slot);
    if (id == 0) {
        return FRESHET_BUSY;
    }
    struct frame_header header = frame_header_read(request->frame);
    header.id = id;
    frame_header_write(&header, request->frame);
    slot->kind = SLOT_REQUEST;
    slot->request = request;
    enum freshet_status status =
        core_put_frame(core, bytes_of(request->frame, request->frame_size));
    if (status != FRESHET_OK) {
        core_id_release(core, id);
        return status;
    }
    request->id = id;
    request->state = REQUEST_SENT;
    request->end_offset = core->out_total;
    if (core->near.cache != NULL) {
        request->event_sent = near_cache_event(core->near.cache);
    }
    core->in_flight++;
    if (!request->may_repeat) {
        frame_free(core, request);
    }
    return FRESHET_OK;
}

static enum freshet_status frame_finish(struct core *core, struct request *request,
                                        const struct writer *body, bool is_json)
{
    ASSERT(!body->failed); /* the room was counted before */
    if (body->size > core->frame_bytes_max) {
        return core_set_error(core, FRESHET_TOO_LARGE, "the request is longer than a frame may be");
    }
    request->frame_size = FRAME_HEADER_BYTES + body->size;
    core->held_bytes += request->frame_size;
    struct frame_header header = {.length = (uint32_t)body->size, .opcode = request->opcode};
    header.flags = is_json ? FRAME_FLAG_JSON : 0;
    if (core->wants_checks) {
        header.flags |= FRAME_FLAG_CHECKED;
        header.check = frame_check(writer_bytes(body));
    }
    frame_header_write(&header, request->frame);
    return FRESHET_OK;
}

enum freshet_status request_submit(struct core *core, struct request *request,
                                   const struct writer *body, bool is_json, uint64_t now_ns,
                                   struct core_done done)
{
    ASSERT(done.function != NULL);
    ASSERT(request->state == REQUEST_WAITING);
    enum freshet_status status = frame_finish(core, request, body, is_json);
    if (status == FRESHET_OK && core->is_final) {
        status = core_set_error(core, FRESHET_DISCONNECTED, NULL);
    }
    if (status == FRESHET_OK && core->held_bytes > CORE_OUT_BYTES_MAX) {
        status = core_set_error(core, FRESHET_BUSY, "too many requests wait to be sent");
    }
    /* Without a connection, too: each of them must find a slot on the next one. */
    if (status == FRESHET_OK && core->request_count > CORE_REQUESTS_MAX && !request->is_internal) {
        status = core_set_error(core, FRESHET_BUSY, "too many requests are under way");
    }
    if (status == FRESHET_OK && core->state == CORE_OPEN) {
        status = core_set_error(core, request_send(core, request),
                                "too many requests are under way on this connection");
    }
    if (status != FRESHET_OK) {
        request_destroy(core, request);
        return status;
    }
    request->done = done;
    request->deadline_ns = now_ns + core->timeout_ns;
    list_push_back(&core->requests, &request->link);
    return FRESHET_OK;
}

void request_send_waiting(struct core *core)
{
    struct link *next;
    for (struct link *link = core->requests.next; link != &core->requests; link = next) {
        struct request *request = CONTAINER_OF(link, struct request, link);
        next = link->next;
        /* There is an empty table and an empty buffer; what does not fit waits for its deadline. */
        if (request->state == REQUEST_WAITING && request_send(core, request) != FRESHET_OK) {
            return;
        }
    }
}

/* ---- answers ---- */

static void result_of_state(const struct answer_state *state, struct freshet_result *result)
{
    result->record = (struct freshet_record){.data = (const char *)state->data.data,
                                             .size = state->data.size,
                                             .epoch = state->pair.epoch,
                                             .sequence = state->pair.sequence,
                                             .version = state->version};
}

/* GET: the key stands in the request's own body. */
static void take_state(struct core *core, struct request *request, struct bytes body, bool is_json,
                       struct freshet_result *result)
{
    struct reader reader = reader_of(body);
    struct answer_state state;
    bool is_sound = answer_state_read(&reader, is_json, &state);
    ASSERT(is_sound);
    result_of_state(&state, result);
    if (request->frame == NULL) {
        return; /* it was given up */
    }
    struct reader key = reader_of(
        bytes_of(request->frame + FRAME_HEADER_BYTES, request->frame_size - FRAME_HEADER_BYTES));
    uint32_t count;
    struct bytes collection;
    struct bytes id;
    bool has_key = answer_array(&key, 2, &count) &&
                   answer_text(&key, COLLECTION_NAME_BYTES_MAX, &collection) &&
                   answer_text(&key, ID_BYTES_MAX, &id);
    if (has_key && result->status != FRESHET_NOT_MODIFIED) {
        near_read(core, request, collection, id, &state);
    }
}

static void take_states(struct core *core, struct request *request, struct bytes body, bool is_json)
{
    struct reader states = reader_of(body);
    struct reader keys = reader_of(
        bytes_of(request->frame + FRAME_HEADER_BYTES, request->frame_size - FRAME_HEADER_BYTES));
    uint32_t count;
    uint32_t id_count;
    uint32_t state_count;
    struct bytes collection;
    struct bytes id;
    struct answer_state state;
    if (!answer_array(&keys, 2, &count) ||
        !answer_text(&keys, COLLECTION_NAME_BYTES_MAX, &collection) ||
        !answer_array(&keys, 0, &id_count) || !answer_array(&states, 0, &state_count)) {
        return;
    }
    for (uint32_t index = 0; index < state_count && index < id_count; index++) {
        if (!answer_text(&keys, ID_BYTES_MAX, &id) ||
            !answer_state_read(&states, is_json, &state)) {
            return;
        }
        near_read(core, request, collection, id, &state);
    }
}

static void take_written(struct core *core, struct request *request, unsigned code,
                         struct bytes body, struct freshet_result *result)
{
    struct reader reader = reader_of(body);
    struct answer_written written;
    bool is_sound = answer_written_read(&reader, &written);
    ASSERT(is_sound);
    written_fill(&core->written, &written, code, &result->written);
    for (size_t index = 0; index < request->hash_count; index++) {
        near_written(core, request->hashes[index], written.pair);
    }
}

static void take_operations(struct core *core, struct request *request)
{
    /* Which of them succeeded, and by which pair, is read by the caller; here it is enough that
     * what was asked for before this moment does not fill any more. */
    for (size_t index = 0; index < request->hash_count; index++) {
        near_written(core, request->hashes[index], NEAR_PAIR_UNKNOWN);
    }
}

static void take_answer(struct core *core, struct request *request,
                        const struct frame_header *header, struct bytes body,
                        struct freshet_result *result)
{
    bool is_json = core->format == FRESHET_JSON;
    result->body = body.data;
    result->body_size = body.size;
    switch (request->opcode) {
    case FRAME_GET:
        take_state(core, request, body, is_json, result);
        break;
    case FRAME_MGET:
        if (request->frame != NULL) {
            take_states(core, request, body, is_json);
        }
        break;
    case FRAME_PUT:
    case FRAME_PATCH:
    case FRAME_DELETE:
    case FRAME_CREATE:
        take_written(core, request, header->code, body, result);
        break;
    case FRAME_BATCH:
        take_operations(core, request);
        break;
    default: /* the caller reads the body */
        break;
    }
}

static void finish(struct core *core, struct request *request, const struct freshet_result *result)
{
    uint32_t id = request->id;
    ASSERT(core->in_flight > 0);
    core->in_flight--;
    core_id_release(core, id);
    if (request->state == REQUEST_LEFT) {
        request_destroy(core, request);
        return;
    }
    request->state = REQUEST_WAITING; /* nothing more comes for it: it may go */
    request_end(core, request, result);
}

enum freshet_status request_answered(struct core *core, struct request *request,
                                     const struct frame_header *header, struct bytes body)
{
    struct freshet_result result = {.status = FRESHET_OK, .error = error_none()};
    struct freshet_error error;
    void *memory = NULL;
    ASSERT(request->state != REQUEST_WAITING);
    if (header->opcode == FRAME_ERROR) {
        enum freshet_status status = control_error(core, body, &error, &memory);
        if (status != FRESHET_OK) {
            return status;
        }
        result.status = error.status;
        result.error = &error;
        /* What a failed write leaves is not known here, if it says so itself. */
        if (error.status == FRESHET_OUTCOME_UNKNOWN) {
            take_operations(core, request);
        }
    } else {
        if (!answer_is_sound(core, request->opcode, header, body)) {
            return core_break(core, "an answer that cannot be read");
        }
        result.status = core_status_of_code(header->code, "");
        if (result.status != FRESHET_OK) {
            error = *error_none();
            error.status = result.status;
            error.code = header->code;
            error.detail = result.status == FRESHET_NOT_FOUND ? CORE_NO_RECORD
                                                              : freshet_status_text(result.status);
            result.error = &error;
        }
        take_answer(core, request, header, body, &result);
    }
    if (result.status != FRESHET_OK && request->state != REQUEST_LEFT) {
        core_set_full_error(core, result.error);
        result.error = &core->error.error;
    }
    finish(core, request, &result);
    control_free(memory);
    return FRESHET_OK;
}

/* ---- without a connection ---- */

static void end_as(struct core *core, struct request *request, const struct freshet_error *error)
{
    core_set_full_error(core, error);
    struct freshet_result result = {.status = error->status, .error = &core->error.error};
    request_end(core, request, &result);
}

/* A request that was under way: asked again, or told what may have become of it. */
static void lose(struct core *core, struct request *request, const struct freshet_error *fatal)
{
    bool was_sent = request->end_offset <= core->out_sent;
    request->state = REQUEST_WAITING;
    request->id = 0;
    if (fatal != NULL && request->may_repeat) {
        end_as(core, request, fatal);
        return;
    }
    if (request->may_repeat && core->reconnects && !request->was_lost && !request->is_internal) {
        request->was_lost = true;
        return;
    }
    if (request->may_repeat || !was_sent) {
        end_with(core, request, FRESHET_DISCONNECTED,
                 request->may_repeat ? "the connection was lost before the answer came"
                                     : "the connection was lost before the request was sent");
        return;
    }
    take_operations(core, request);
    end_with(core, request, FRESHET_OUTCOME_UNKNOWN,
             "the connection was lost before the answer came: the write may or may not have been "
             "kept; read the record to know");
}

void request_lost_all(struct core *core, bool is_fatal)
{
    for (uint32_t index = 0; index < core->slot_count; index++) {
        struct core_slot *slot = &core->slots[index];
        if (slot->kind == SLOT_REQUEST && slot->request->state == REQUEST_LEFT) {
            request_destroy(core, slot->request);
        }
        slot->kind = slot->kind == SLOT_REQUEST ? SLOT_FREE : slot->kind;
    }
    /* Each end writes its own words over those that all would share. */
    struct error_room why;
    error_room_set(&why, &core->error.error);
    struct link lost;
    link_init(&lost);
    list_splice_back(&lost, &core->requests);
    struct link kept;
    link_init(&kept);
    for (struct link *link = list_pop_front(&lost); link != NULL; link = list_pop_front(&lost)) {
        struct request *request = CONTAINER_OF(link, struct request, link);
        list_push_back(&kept, link);
        if (request->state == REQUEST_SENT) {
            lose(core, request, is_fatal ? &why.error : NULL);
        } else if (is_fatal || core->is_final) {
            end_as(core, request, &why.error);
        }
    }
    core_set_full_error(core, &why.error);
    /* What the callbacks have submitted comes behind what was there. */
    list_splice_back(&kept, &core->requests);
    list_splice_back(&core->requests, &kept);
}

void request_fail_waiting(struct core *core, const struct freshet_error *error)
{
    struct freshet_result result = {.status = error->status, .error = error};
    struct link failed;
    link_init(&failed);
    list_splice_back(&failed, &core->requests);
    while (!list_is_empty(&failed)) {
        struct request *request = CONTAINER_OF(list_first(&failed), struct request, link);
        ASSERT(request->state == REQUEST_WAITING);
        request_end(core, request, &result);
    }
}

void request_tick(struct core *core, uint64_t now_ns)
{
    while (!list_is_empty(&core->requests)) {
        struct request *request = CONTAINER_OF(list_first(&core->requests), struct request, link);
        if (request->deadline_ns > now_ns) {
            return;
        }
        if (request->state == REQUEST_WAITING) {
            /* Why the last try failed is said already. */
            bool has_words = core->error.error.status == FRESHET_DISCONNECTED;
            end_with(core, request, FRESHET_DISCONNECTED,
                     has_words ? core->error.detail
                               : "there was no connection to the server in time");
        } else {
            end_with(core, request, FRESHET_TIMEOUT, NULL);
        }
    }
}

uint64_t request_deadline_ns(const struct core *core)
{
    if (list_is_empty(&core->requests)) {
        return CORE_NEVER;
    }
    return CONTAINER_OF(core->requests.next, struct request, link)->deadline_ns;
}
