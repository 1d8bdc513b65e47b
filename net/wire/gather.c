/*
 * gather.c: MGET and BATCH: many operations, one answer with their results in their order.
 *
 *     body    [ item item item item item item item item … ]
 *               appended | in the window   | not begun
 *     answer  [ results ]  (done, or not)
 *
 * A window of items is with the engine at a time. Results are appended to the answer as soon as all
 * before them are there. What the answer needs for results of the smallest kind is taken before
 * anything is begun, so that what was done can always be said.
 *
 * Until all of a BATCH is begun its connection is not read: a write behind it comes after its own.
 */
#include <stdlib.h>
#include <string.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/token.h"

#define WINDOW_MAX   256
#define PREFETCH_MAX 16
/* A result of a write, or a fault with its words; and a record that is not there. */
#define RESULT_BYTES_MAX 1024
#define ABSENT_BYTES_MAX 40
/* In front of a result of BATCH: an array of two, and a code. */
#define CODE_BYTES_MAX   4
#define ARRAY_HEAD_BYTES 5
#define ANSWER_BYTES_MIN 4096

struct wire_gather {
    struct wire_server *server;
    struct wire_call *call; /* the frame's: it knows whether anybody still waits */
    bool is_batch;
    bool json;
    bool full;       /* nothing more is begun, and what is left in the window is thrown away */
    bool is_failing; /* MGET: the answer is fault */
    const struct collection *collection; /* MGET: of all */
    size_t size;                         /* of this, with the body */
    struct reader reader;                /* of the items that are not begun */
    uint32_t left;                       /* of them */
    uint32_t unfetched;                  /* of those, whose places in the cache are far away */
    uint32_t first;                      /* of the window, a ring */
    uint32_t count;                      /* in the window */
    uint32_t appended;
    uint8_t *answer;
    size_t answer_size;
    size_t answer_capacity;
    struct wire_fault fault;
    struct wire_call *window[WINDOW_MAX];
    uint8_t body[];
};

static_assert(WIRE_GATHERED_BYTES_MAX + DOCUMENT_BYTES_MAX +
                      WIRE_BATCH_OPERATIONS_MAX * RESULT_BYTES_MAX <=
                  FRAME_ANSWER_BYTES_MAX,
              "an answer is no longer than a frame");

/* ---- the answer ---- */

/* What every result that is still to come takes at least. */
static size_t reserve_of(const struct wire_gather *gather, uint32_t results)
{
    return (size_t)results * (gather->is_batch ? RESULT_BYTES_MAX : ABSENT_BYTES_MAX);
}

/* Room for one result more of so many bytes; the reserve of those behind it stays. */
static bool answer_reserve(struct wire_gather *gather, size_t size)
{
    uint32_t behind = gather->left + gather->count;
    size_t wanted = gather->answer_size + size + reserve_of(gather, behind);
    if (wanted <= gather->answer_capacity) {
        return true;
    }
    size_t capacity = gather->answer_capacity * 2 > wanted ? gather->answer_capacity * 2 : wanted;
    uint8_t *answer = (uint8_t *)memory_grow(&gather->server->memory, gather->answer,
                                             gather->answer_capacity, capacity);
    if (answer == NULL) {
        return false;
    }
    gather->answer = answer;
    gather->answer_capacity = capacity;
    return true;
}

static struct writer answer_writer(const struct wire_gather *gather)
{
    return writer_of(gather->answer + gather->answer_size,
                     gather->answer_capacity - gather->answer_size);
}

static void answer_written(struct wire_gather *gather, const struct writer *writer)
{
    ASSERT(!writer->failed);
    gather->answer_size += writer->size;
    gather->appended++;
}

/* [code, [type, detail, retry_after_ms]] */
static void fault_append(struct wire_gather *gather, const struct problem *problem)
{
    struct bytes type = problem->type == NULL ? BYTES_EMPTY : bytes_of_text(problem->type);
    struct writer out = answer_writer(gather);
    document_write_array(&out, 2);
    document_write_u64(&out, problem->status);
    document_write_array(&out, 3);
    document_write_string(&out, type);
    document_write_string(&out, wire_problem_words(problem));
    document_write_u64(&out, (uint64_t)problem->retry_after_s * 1000);
    ASSERT(out.size <= RESULT_BYTES_MAX);
    answer_written(gather, &out);
}

static void gather_fail(struct wire_gather *gather, const struct problem *problem)
{
    if (!gather->is_failing) {
        gather->is_failing = true;
        gather->full = true;
        gather->fault.problem = *problem;
        /* Its words may be the request's, which goes. */
        gather->fault.problem.detail = bytes_slice(problem->detail, 0, sizeof(gather->fault.text));
        if (problem->detail.size > 0) {
            memcpy(gather->fault.text, problem->detail.data, gather->fault.problem.detail.size);
        }
        gather->fault.problem.detail.data = (const uint8_t *)gather->fault.text;
    }
}

/* A result that has no room among 4 MiB, or in memory. */
static void result_refuse(struct wire_gather *gather, bool no_memory)
{
    if (!gather->is_batch && gather->appended > 0) {
        gather->full = true;
        return;
    }
    const struct problem problem =
        no_memory ? problem_of(STATUS_NO_MEMORY, BYTES_EMPTY)
                  : (struct problem){.status = 413,
                                     .detail = BYTES_LITERAL("The answers of a batch have at "
                                                             "most 4 MiB: ask for it again")};
    if (gather->is_batch) {
        fault_append(gather, &problem);
    } else {
        gather_fail(gather, &problem);
    }
}

/* False: it was refused. */
static bool result_reserve(struct wire_gather *gather, size_t size)
{
    bool too_large = gather->appended > 0 && size > RESULT_BYTES_MAX &&
                     gather->answer_size + size > WIRE_GATHERED_BYTES_MAX;
    bool ends = !gather->is_batch && gather->appended > 0 &&
                gather->answer_size + size > WIRE_GATHERED_BYTES_MAX;
    if (too_large || ends) {
        result_refuse(gather, false);
        return false;
    }
    if (!answer_reserve(gather, size)) {
        result_refuse(gather, true);
        return false;
    }
    return true;
}

static void code_write(const struct wire_gather *gather, uint16_t code, struct writer *out)
{
    if (gather->is_batch) {
        document_write_array(out, 2);
        document_write_u64(out, code);
    }
}

static void result_append(struct wire_gather *gather, const struct wire_call *call)
{
    struct wire_fault fault;
    if (call->fault != NULL) {
        fault_append(gather, &call->fault->problem);
        return;
    }
    uint16_t code = wire_result_code(call, &fault);
    if (wire_result_is_fault(call, code)) {
        if (gather->is_batch) {
            fault_append(gather, &fault.problem);
        } else {
            gather_fail(gather, &fault.problem);
        }
        return;
    }
    if (result_reserve(gather, CODE_BYTES_MAX + wire_result_size_max(call))) {
        struct writer out = answer_writer(gather);
        code_write(gather, code, &out);
        wire_result_write(call, code, &out);
        answer_written(gather, &out);
    }
}

static void cached_append(struct wire_gather *gather, const struct cache_body *body)
{
    const struct cache_meta *meta = &body->meta;
    struct bytes record = meta->absent ? BYTES_EMPTY : body->body;
    if (result_reserve(gather, CODE_BYTES_MAX + wire_record_size_max(record.size))) {
        const struct wire_state state = {meta->epoch, meta->sequence,
                                         meta->absent ? 0 : meta->version};
        struct writer out = answer_writer(gather);
        code_write(gather, meta->absent ? 404 : 200, &out);
        wire_record_write(&state, record, gather->json, &out);
        answer_written(gather, &out);
    }
}

/* ---- its life ---- */

static void gather_free(struct wire_gather *gather)
{
    struct wire_server *server = gather->server;
    ASSERT(gather->count == 0);
    if (gather->answer != NULL) {
        memory_give(&server->memory, gather->answer, gather->answer_capacity);
    }
    wire_call_release(gather->call);
    memory_give(&server->memory, gather, gather->size);
}

static void gather_finish(struct wire_gather *gather)
{
    struct wire_call *call = gather->call;
    if (call->connection == NULL) {
        gather_free(gather);
        return;
    }
    if (gather->is_failing) {
        wire_answer_problem(call->connection, call->id, &gather->fault.problem);
        gather_free(gather);
        return;
    }
    uint8_t begin_bytes[ARRAY_HEAD_BYTES];
    struct writer begin = writer_of(begin_bytes, sizeof(begin_bytes));
    document_write_array(&begin, gather->appended);
    const struct wire_head head = {.opcode = call->opcode | FRAME_ANSWER,
                                   .flags = call->flags & FRAME_FLAG_JSON,
                                   .code = 200,
                                   .id = call->id};
    /* From here on it is the output's, which counts what it holds. */
    uint8_t *answer = gather->answer;
    memory_let_go(&gather->server->memory, gather->answer_capacity);
    gather->answer = NULL;
    wire_answer_block(call->connection, &head, writer_bytes(&begin), answer, gather->answer_size);
    gather_free(gather);
}

/* NULL: answered. body is the frame's; items are read from offset on. */
static struct wire_gather *gather_make(struct wire_connection *connection,
                                       const struct wire_frame *frame, size_t offset,
                                       uint32_t count)
{
    struct wire_server *server = connection->server;
    size_t size = sizeof(struct wire_gather) + frame->body.size;
    struct wire_gather *gather =
        (struct wire_gather *)memory_take(&server->memory, size, MEMORY_FOR_REQUEST);
    if (gather == NULL) {
        wire_answer_status(connection, frame->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        return NULL;
    }
    memset(gather, 0, sizeof(*gather));
    gather->server = server;
    gather->size = size;
    gather->is_batch = frame->opcode == FRAME_BATCH;
    gather->json = (frame->flags & FRAME_FLAG_JSON) != 0;
    gather->left = count;
    gather->unfetched = count;
    memcpy(gather->body, frame->body.data, frame->body.size);
    gather->reader = reader_of(bytes_of(gather->body, frame->body.size));
    gather->reader.offset = offset;
    gather->answer_capacity = ANSWER_BYTES_MIN + reserve_of(gather, count);
    gather->answer =
        (uint8_t *)memory_take(&server->memory, gather->answer_capacity, MEMORY_FOR_REQUEST);
    if (gather->answer == NULL) {
        wire_answer_status(connection, frame->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        memory_give(&server->memory, gather, size);
        return NULL;
    }
    gather->call = wire_call_acquire(connection, frame);
    if (gather->call == NULL) {
        memory_give(&server->memory, gather->answer, gather->answer_capacity);
        memory_give(&server->memory, gather, size);
        return NULL;
    }
    return gather;
}

/* ---- items ---- */

/* The places in the cache of the next ids of an MGET, from memory together. */
static void ids_prefetch(struct wire_gather *gather)
{
    struct engine_thread *thread = gather->server->options.engine_thread;
    struct reader reader = gather->reader;
    uint64_t hashes[PREFETCH_MAX];
    uint32_t count = gather->left < PREFETCH_MAX ? gather->left : PREFETCH_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes id = BYTES_EMPTY;
        bool readable = wire_string_take(&reader, &id);
        ASSERT(readable); /* wire_mget has looked */
        hashes[i] = engine_hash(gather->collection, id);
        engine_cache_prefetch(thread, hashes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        engine_cache_prefetch_entry(thread, hashes[i]);
    }
    gather->unfetched = gather->left - count;
}

/* What the next item asks for; false: refused. */
static bool item_read(struct wire_gather *gather, struct wire_operation *operation,
                      struct wire_fault *fault)
{
    struct reader *reader = &gather->reader;
    if (!gather->is_batch) {
        *operation = (struct wire_operation){
            .opcode = FRAME_GET, .json = gather->json, .collection = gather->collection};
        return wire_id_take(reader, &operation->id, fault);
    }
    struct bytes value = wire_value_take(reader);
    ASSERT(value.size > 0);
    struct reader item = reader_of(value);
    struct token opcode;
    struct token flags;
    uint32_t count;
    if (!wire_array_take(&item, &count) || count < 3 || !token_next(&item, &opcode) ||
        !token_next(&item, &flags) || opcode.kind != TOKEN_UNSIGNED ||
        flags.kind != TOKEN_UNSIGNED) {
        return wire_fault_set(fault, 400, "An operation of a batch is [opcode, 0, request]");
    }
    bool known = opcode.integer == FRAME_GET || opcode.integer == FRAME_PUT ||
                 opcode.integer == FRAME_PATCH || opcode.integer == FRAME_DELETE ||
                 opcode.integer == FRAME_CREATE;
    if (!known || flags.integer != 0) {
        return wire_fault_set(fault, known ? 400 : 501,
                              "A batch has GET, PUT, PATCH, DELETE and CREATE, with flags 0");
    }
    *operation = (struct wire_operation){.opcode = (uint8_t)opcode.integer, .json = gather->json};
    return wire_operation_read(gather->server, wire_value_take(&item), gather->collection,
                               operation, fault);
}

/* True: it was in the cache, and is appended. */
static bool item_from_cache(struct wire_gather *gather, const struct wire_operation *operation)
{
    struct wire_server *server = gather->server;
    struct engine_thread *thread = server->options.engine_thread;
    if (gather->count > 0 || operation->opcode != FRAME_GET || operation->has_options ||
        !operation->collection->cached) {
        return false;
    }
    uint64_t hash = engine_hash(operation->collection, operation->id);
    struct wire_fault fault;
    struct cache_body body;
    if (!wire_right_check(server, FRAME_GET, &fault) ||
        engine_cache_get(thread, operation->collection, operation->id, hash,
                         gather->json ? RECORD_JSON : RECORD_MSGPACK, server->now_ns, server->copy,
                         &body) != STATUS_OK) {
        return false;
    }
    cached_append(gather, &body);
    if (body.pin != NULL) {
        engine_cache_release(thread, hash, &body);
    }
    return true;
}

static void gather_advance(struct wire_gather *gather);

/* A result that waits for those before it counts: it is no longer the engine's. */
static size_t answer_held(const struct request *request)
{
    return request->answer_memory == NULL ? 0 : request->answer.size;
}

static void item_done(struct request *request)
{
    struct wire_call *call = CONTAINER_OF(request, struct wire_call, request);
    ASSERT(call->gather != NULL && !call->done);
    size_t held = answer_held(request);
    if (held > 0 && !memory_has_room(&call->server->memory, held)) {
        ASSERT(request->kind == REQUEST_GET); /* a write has no body */
        request_release(request);
        request->status = STATUS_NO_MEMORY;
        held = 0;
    }
    memory_hold(&call->server->memory, held);
    call->done = true;
    gather_advance(call->gather);
}

/* It was refused before the engine saw it; it waits for its turn all the same. */
static void item_refuse(struct wire_call *call, const struct wire_fault *fault)
{
    call->arena_used = 0;
    call->fault = (struct wire_fault *)(void *)wire_call_allocate(call, sizeof(*fault));
    ASSERT(call->fault != NULL);
    *call->fault = *fault;
    if (fault->problem.detail.data == (const uint8_t *)fault->text) {
        call->fault->problem.detail.data = (const uint8_t *)call->fault->text;
    }
    call->done = true;
}

/* There is no memory for another one, and none in the window that may give some back. */
static void item_starve(struct wire_gather *gather)
{
    const struct problem problem = problem_of(STATUS_NO_MEMORY, BYTES_EMPTY);
    if (gather->is_batch) {
        fault_append(gather, &problem);
    } else {
        gather_fail(gather, &problem);
    }
}

/* Begins the next one; false: it must wait. */
static bool item_begin(struct wire_gather *gather)
{
    ASSERT(gather->left > 0 && gather->count < WINDOW_MAX);
    struct wire_operation operation = {.opcode = FRAME_GET};
    struct wire_fault fault;
    size_t offset = gather->reader.offset;
    if (!gather->is_batch && gather->left == gather->unfetched) {
        ids_prefetch(gather);
    }
    bool readable = item_read(gather, &operation, &fault);
    gather->left--;
    gather->collection = readable ? operation.collection : gather->collection;
    if (readable && item_from_cache(gather, &operation)) {
        return true;
    }
    struct wire_call *call = wire_call_make(gather->server);
    if (call == NULL && gather->count > 0) {
        gather->reader.offset = offset;
        gather->left++;
        return false;
    }
    if (call == NULL) {
        item_starve(gather);
        return true;
    }
    call->gather = gather;
    call->opcode = operation.opcode;
    call->flags = gather->json ? FRAME_FLAG_JSON : 0;
    gather->window[(gather->first + gather->count) % WINDOW_MAX] = call;
    gather->count++;
    if (readable && wire_request_set(call, &operation, false, &fault)) {
        wire_call_submit(call, item_done);
    } else {
        item_refuse(call, &fault);
    }
    return true;
}

/* The first of the window, if it is done, to the answer. */
static bool item_end(struct wire_gather *gather)
{
    struct wire_call *call = gather->window[gather->first];
    if (gather->count == 0 || !call->done) {
        return false;
    }
    gather->first = (gather->first + 1) % WINDOW_MAX;
    gather->count--;
    memory_let_go(&gather->server->memory, answer_held(&call->request));
    if (!gather->full) {
        result_append(gather, call);
    }
    request_release(&call->request);
    wire_call_release(call);
    return true;
}

static void beginning_note(const struct wire_gather *gather, struct wire_connection *connection)
{
    if (gather->left > 0) {
        ASSERT(connection->beginning == NULL || connection->beginning == gather);
        connection->beginning = gather;
    } else if (connection->beginning == gather) {
        connection->beginning = NULL;
        wire_touch(connection); /* which reads on */
    }
}

/* As far as it goes without waiting; it is freed when it is at its end. */
static void gather_advance(struct wire_gather *gather)
{
    struct wire_connection *connection = gather->call->connection;
    bool moved = true;
    while (moved) {
        moved = item_end(gather);
        /* Nobody waits for what is not begun. */
        if (gather->full || connection == NULL) {
            gather->left = 0;
        }
        if (gather->left > 0 && gather->count < WINDOW_MAX) {
            moved = item_begin(gather) || moved;
        }
    }
    if (gather->is_batch && connection != NULL) {
        beginning_note(gather, connection);
    }
    if (gather->left == 0 && gather->count == 0) {
        gather_finish(gather);
    }
}

/* ---- frames ---- */

void wire_mget(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct reader reader = reader_of(frame->body);
    const struct collection *collection = NULL;
    struct wire_fault fault;
    uint32_t elements;
    uint32_t count = 0;
    size_t offset = 0;
    bool readable = wire_array_take(&reader, &elements) && elements >= 2
                        ? wire_collection_take(connection->server, &reader, connection->collection,
                                               &collection, &fault)
                        : wire_fault_malformed(&fault);
    if (readable && !wire_array_take(&reader, &count)) {
        readable = wire_fault_malformed(&fault);
    }
    if (readable && count > WIRE_MGET_IDS_MAX) {
        readable = wire_fault_set(&fault, 400, "An MGET has at most 1000 ids");
    }
    offset = reader.offset;
    for (uint32_t left = count; readable && left > 0; left--) {
        struct bytes id;
        readable = wire_id_take(&reader, &id, &fault);
    }
    if (!readable || !wire_rest_pass(&reader, elements - 2, &fault)) {
        wire_answer_problem(connection, frame->id, &fault.problem);
        return;
    }
    connection->collection = collection;
    struct wire_gather *gather = gather_make(connection, frame, offset, count);
    if (gather != NULL) {
        gather->collection = collection;
        gather_advance(gather);
    }
}

void wire_batch(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct reader reader = reader_of(frame->body);
    struct wire_fault fault;
    uint32_t count = 0;
    bool readable = wire_array_take(&reader, &count) || wire_fault_malformed(&fault);
    if (readable && count > WIRE_BATCH_OPERATIONS_MAX) {
        readable = wire_fault_set(&fault, 400, "A BATCH has at most 1000 operations");
    }
    size_t offset = reader.offset;
    /* Whole, before the first of them is carried out. */
    if (!readable || !wire_rest_pass(&reader, count, &fault)) {
        wire_answer_problem(connection, frame->id, &fault.problem);
        return;
    }
    struct wire_gather *gather = gather_make(connection, frame, offset, count);
    if (gather != NULL) {
        gather_advance(gather);
    }
}
