/*
 * data.c: from operations to requests of the engine, and from their results to answers; PUT, PATCH,
 * DELETE and CREATE.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/journal/position.h"
#include "net/rest/field.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/token.h"

/* A GET's body up to this is written to the call's own arena. */
#define ANSWER_BUFFER_BYTES 1024
/* A document of at most this size stays in the call's arena until the engine has it. */
#define DOCUMENT_KEEP_BYTES_MAX 2048
/* Principal, collection and key with a zero byte between them. */
#define SCOPE_BYTES_MAX 1024
/* An array of seven, three integers, an id, an entity tag, a position, and heads of them. */
#define WRITTEN_BYTES_MAX                                                                          \
    (1 + 27 + ID_BYTES_MAX + FIELD_ENTITY_TAG_BYTES_MAX + POSITION_TEXT_BYTES + 16)
/* An array of four, three integers, and the head of a string. */
#define RECORD_HEAD_BYTES_MAX (1 + 27 + 5)
/* A control character is one byte as MessagePack and six as JSON. */
#define JSON_BYTES_PER_BYTE_MAX 8

static_assert(WRITTEN_BYTES_MAX < 1024, "an answer of a write is small");

/* ---- what is written ---- */

size_t wire_record_size_max(size_t body_size)
{
    return RECORD_HEAD_BYTES_MAX + body_size;
}

static void state_write(uint64_t epoch, uint64_t sequence, uint64_t version, struct writer *out)
{
    document_write_array(out, 4);
    document_write_u64(out, epoch);
    document_write_u64(out, sequence);
    document_write_u64(out, version);
}

void wire_record_write(const struct wire_state *state, struct bytes body, bool json,
                       struct writer *out)
{
    state_write(state->epoch, state->sequence, state->version, out);
    if (body.data == NULL) {
        document_write_null(out);
    } else if (json) {
        document_write_string(out, body);
    } else {
        writer_put(out, body);
    }
}

static void position_write_string(const struct wire_call *call, struct writer *out)
{
    const struct request *request = &call->request;
    const struct engine *engine = call->server->options.engine;
    const struct journal *journal = engine_journal(engine);
    const struct position position = {
        .store_id = journal->store_id, .epoch = request->epoch, .sequence = request->sequence};
    uint8_t text[POSITION_TEXT_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    position_write(&position, &writer);
    ASSERT(!writer.failed);
    document_write_string(out, writer_bytes(&writer));
}

static void written_write(const struct wire_call *call, struct writer *out)
{
    const struct request *request = &call->request;
    bool deleted = request->kind == REQUEST_DELETE;
    document_write_array(out, 7);
    document_write_u64(out, request->epoch);
    document_write_u64(out, request->sequence);
    document_write_u64(out, deleted ? 0 : request->version);
    document_write_string(out, request->kind == REQUEST_CREATE ? request->new_id : request->id);
    if (deleted) {
        document_write_null(out);
    } else {
        uint8_t tag[FIELD_ENTITY_TAG_BYTES_MAX];
        struct writer writer = writer_of(tag, sizeof(tag));
        field_entity_tag_write(request->epoch, request->sequence, &writer);
        document_write_string(out, writer_bytes(&writer));
    }
    position_write_string(call, out);
    document_write_bool(out, request->changed);
}

/* ---- results ---- */

uint16_t wire_result_code(const struct wire_call *call, struct wire_fault *fault)
{
    const struct request *request = &call->request;
    bool is_read = request->kind == REQUEST_GET;
    if (request->status == STATUS_OK && is_read) {
        bool same =
            request->if_none_match.kind != PRECONDITION_NONE &&
            field_precondition_names(&request->if_none_match, request->epoch, request->sequence);
        return same ? 304 : 200;
    }
    if (request->status == STATUS_OK) {
        return request->kind == REQUEST_CREATE || request->created ? 201 : 200;
    }
    if (request->status == STATUS_NOT_MODIFIED) {
        return 304;
    }
    if (request->status == STATUS_NOT_FOUND && is_read) {
        return 404;
    }
    if (request->status == STATUS_NOT_FOUND) {
        (void)wire_fault_singular(fault, 404, request->collection, "not found");
    } else {
        fault->problem = problem_of_request(request);
    }
    return fault->problem.status;
}

bool wire_result_is_fault(const struct wire_call *call, uint16_t code)
{
    return code >= 400 && !(code == 404 && call->request.kind == REQUEST_GET &&
                            call->request.status == STATUS_NOT_FOUND);
}

size_t wire_result_size_max(const struct wire_call *call)
{
    return call->request.kind == REQUEST_GET ? wire_record_size_max(call->request.answer.size)
                                             : WRITTEN_BYTES_MAX;
}

void wire_result_write(const struct wire_call *call, uint16_t code, struct writer *out)
{
    const struct request *request = &call->request;
    if (request->kind != REQUEST_GET) {
        written_write(call, out);
        return;
    }
    const struct wire_state state = {request->epoch, request->sequence,
                                     code == 404 ? 0 : request->version};
    wire_record_write(&state, code == 200 ? request->answer : BYTES_EMPTY,
                      (call->flags & FRAME_FLAG_JSON) != 0, out);
}

/* ---- requests ---- */

static enum request_kind kind_of(uint8_t opcode)
{
    switch (opcode) {
    case FRAME_GET:
        return REQUEST_GET;
    case FRAME_PUT:
        return REQUEST_PUT;
    case FRAME_PATCH:
        return REQUEST_PATCH;
    case FRAME_DELETE:
        return REQUEST_DELETE;
    case FRAME_CREATE:
        return REQUEST_CREATE;
    case FRAME_LIST:
        return REQUEST_LIST;
    default:
        UNREACHABLE();
    }
}

static bool condition_set(struct wire_call *call, struct bytes text, bool none_match,
                          struct precondition *out, struct wire_fault *fault)
{
    *out = (struct precondition){.kind = PRECONDITION_NONE};
    if (text.data == NULL) {
        return true;
    }
    struct entity_tag tags[PRECONDITION_TAGS_MAX];
    enum status status = field_precondition(text, none_match, tags, out);
    if (status == STATUS_TOO_LARGE) {
        return wire_fault_set(fault, 400, "A condition names at most 32 entity tags");
    }
    if (status != STATUS_OK) {
        return wire_fault_set(fault, 400,
                              "if_match and if_none_match hold \"*\" or a list of entity tags, "
                              "each in double quotes");
    }
    if (out->tag_count > 0) {
        size_t size = out->tag_count * sizeof(tags[0]);
        uint8_t *kept = wire_call_allocate(call, size);
        if (kept == NULL) {
            return wire_fault_status(fault, STATUS_NO_MEMORY);
        }
        memcpy(kept, tags, size);
        out->tags = (const struct entity_tag *)(const void *)kept;
    }
    return true;
}

static bool minimum_read(const struct wire_server *server, struct bytes text,
                         uint64_t *sequence_out, struct wire_fault *fault)
{
    *sequence_out = 0;
    if (text.data == NULL) {
        return true;
    }
    struct position position;
    if (position_read(text, &position) != STATUS_OK) {
        return wire_fault_set(fault, 400, "min is not a position");
    }
    if (journal_position_check(engine_journal(server->options.engine), &position) != STATUS_OK) {
        (void)wire_fault_set(fault, 400,
                             "min is of another store, or of a tail of this one that was lost");
        fault->problem.type = "position-expired";
        return false;
    }
    *sequence_out = position.sequence;
    return true;
}

/*
 * The scope of an idempotency key is the principal and the collection. REST's has a path in that
 * place, which begins with '/', so the two never meet; they could not agree on a body's hash, which
 * is of the bytes that were sent.
 */
static bool key_set(struct wire_call *call, const struct wire_operation *operation,
                    struct wire_fault *fault)
{
    struct request *request = &call->request;
    if (operation->key.data == NULL) {
        return true;
    }
    if (operation->key.size == 0 || operation->key.size > IDEMPOTENCY_KEY_BYTES_MAX) {
        return wire_fault_set(fault, 400, "A key has 1 to 255 bytes");
    }
    size_t size = request->principal->name.size + 1 + operation->collection->name.size + 1 +
                  operation->key.size;
    uint8_t *memory = wire_call_allocate(call, size);
    if (memory == NULL) {
        return wire_fault_status(fault, STATUS_NO_MEMORY);
    }
    struct writer scope = writer_of(memory, size);
    writer_put(&scope, request->principal->name);
    writer_u8(&scope, 0);
    writer_put(&scope, operation->collection->name);
    writer_u8(&scope, 0);
    writer_put(&scope, operation->key);
    ASSERT(!scope.failed);
    request->idempotency_key = writer_bytes(&scope);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash,
                             XXH3_128bits(operation->document.data, operation->document.size));
    static_assert(sizeof(hash.digest) == sizeof(request->body_hash), "128 bits");
    memcpy(request->body_hash, hash.digest, sizeof(request->body_hash));
    return true;
}

/* ---- documents ---- */

static bool document_too_large(struct wire_fault *fault)
{
    return wire_fault_set(fault, 413, "A document has at most 1 MiB of JSON");
}

static bool json_read(struct wire_server *server, struct bytes value, struct bytes *document_out,
                      struct wire_fault *fault)
{
    struct bytes text;
    if (!document_string(value, &text)) {
        return wire_fault_set(fault, 400,
                              "With the flag JSON a document is JSON in a MessagePack string");
    }
    if (text.size > DOCUMENT_JSON_BYTES_MAX) {
        return document_too_large(fault);
    }
    struct writer parsed = writer_of(server->document, WIRE_DOCUMENT_BYTES);
    struct json_error error;
    enum status status = json_to_document(text, &parsed, &error);
    if (status != STATUS_OK) {
        fault->problem = problem_of_json(status, &error, fault->text);
        return false;
    }
    *document_out = writer_bytes(&parsed);
    return true;
}

static bool msgpack_check(struct wire_server *server, struct bytes document,
                          struct wire_fault *fault)
{
    if (document.size > DOCUMENT_BYTES_MAX) {
        return document_too_large(fault);
    }
    enum status status = document_validate(document);
    if (status == STATUS_INVALID) {
        return wire_fault_set(fault, 400,
                              "The document is not one that JSON could say: strings of UTF-8, "
                              "each key a string and once, no binary, at most 128 levels");
    }
    if (status == STATUS_UNPROCESSABLE) {
        return wire_fault_set(fault, 422,
                              "A number has more than 38 digits, or a magnitude above float64's");
    }
    if (status != STATUS_OK) {
        return wire_fault_status(fault, status);
    }
    if (document.size > DOCUMENT_JSON_BYTES_MAX / JSON_BYTES_PER_BYTE_MAX) {
        struct writer json = writer_of(server->document, DOCUMENT_JSON_BYTES_MAX);
        if (document_to_json(document, &json) != STATUS_OK) {
            return document_too_large(fault);
        }
    }
    return true;
}

/* What "id" in a document may be. */
static bool document_id_check(const struct request *request, struct bytes value,
                              struct wire_fault *fault)
{
    struct bytes text;
    if (request->kind == REQUEST_CREATE) {
        return wire_fault_singular(fault, 400, request->collection, "id is not allowed");
    }
    if (!document_string(value, &text) || !bytes_equal(text, request->id)) {
        return wire_fault_singular(fault, 400, request->collection,
                                   "id in the document must be the id of the request");
    }
    return true;
}

static bool document_keep(struct wire_call *call, struct bytes document, bool without_id,
                          struct wire_fault *fault)
{
    ASSERT(document.size > 0);
    uint8_t *kept = NULL;
    if (document.size <= DOCUMENT_KEEP_BYTES_MAX) {
        kept = wire_call_allocate(call, document.size);
    }
    if (kept == NULL) {
        kept = wire_call_block(call, document.size);
    }
    if (kept == NULL) {
        return wire_fault_status(fault, STATUS_NO_MEMORY);
    }
    struct writer copy = writer_of(kept, document.size);
    if (without_id) {
        enum status status = document_without_member(document, BYTES_LITERAL("id"), &copy);
        ASSERT(status == STATUS_OK);
    } else {
        writer_put(&copy, document);
    }
    call->request.document = writer_bytes(&copy);
    return true;
}

static bool document_set(struct wire_call *call, const struct wire_operation *operation, bool keep,
                         struct wire_fault *fault)
{
    struct wire_server *server = call->server;
    struct bytes document = operation->document;
    bool readable = operation->json ? json_read(server, operation->document, &document, fault)
                                    : msgpack_check(server, document, fault);
    if (!readable) {
        return false;
    }
    if (!document_is_object(document)) {
        return wire_fault_set(fault, 400, "The document must be an object");
    }
    struct bytes id;
    bool has_id = document_find(document, BYTES_LITERAL("id"), &id);
    if (has_id && !document_id_check(&call->request, id, fault)) {
        return false;
    }
    if (!keep && !operation->json && !has_id) {
        call->request.document = document;
        return true;
    }
    return document_keep(call, document, has_id, fault);
}

/* ---- from an operation to a request ---- */

bool wire_right_check(const struct wire_server *server, uint8_t opcode, struct wire_fault *fault)
{
    uint32_t rights = server->options.principal.rights;
    bool reads = opcode == FRAME_GET || opcode == FRAME_MGET || opcode == FRAME_LIST;
    if (reads) {
        return (rights & PRINCIPAL_READ) != 0 ||
               wire_fault_set(fault, 403, "You may not read this");
    }
    return (rights & PRINCIPAL_WRITE) != 0 || wire_fault_set(fault, 403, "You may not change this");
}

static bool freshness_set(struct wire_call *call, const struct wire_operation *operation,
                          struct wire_fault *fault)
{
    struct request *request = &call->request;
    const struct principal *principal = &call->server->options.principal;
    request->refresh = operation->fresh;
    if (operation->fresh && (principal->rights & PRINCIPAL_INVALIDATE) == 0) {
        return wire_fault_set(fault, 403,
                              "You may read this, but not refresh the cache; ask again without "
                              "fresh");
    }
    return minimum_read(call->server, operation->minimum, &request->minimum_sequence, fault);
}

static bool id_set(struct wire_call *call, struct bytes id, bool keep, struct wire_fault *fault)
{
    struct request *request = &call->request;
    request->id = id;
    if (keep) {
        uint8_t *kept = wire_call_allocate(call, id.size);
        if (kept == NULL) {
            return wire_fault_status(fault, STATUS_NO_MEMORY);
        }
        memcpy(kept, id.data, id.size);
        request->id = bytes_of(kept, id.size);
    }
    request->hash = engine_hash(request->collection, id);
    return true;
}

bool wire_request_set(struct wire_call *call, const struct wire_operation *operation, bool keep,
                      struct wire_fault *fault)
{
    struct request *request = &call->request;
    ASSERT(request->done == NULL);
    request->kind = kind_of(operation->opcode);
    request->collection = operation->collection;
    request->principal = &call->server->options.principal;
    request->form = operation->json ? RECORD_JSON : RECORD_MSGPACK;
    request->without_record = request->kind != REQUEST_GET && request->kind != REQUEST_LIST;
    if (!wire_right_check(call->server, operation->opcode, fault) ||
        (operation->id.data != NULL && !id_set(call, operation->id, keep, fault))) {
        return false;
    }
    if (operation->has_options &&
        !(condition_set(call, operation->if_match, false, &request->if_match, fault) &&
          condition_set(call, operation->if_none_match, true, &request->if_none_match, fault) &&
          freshness_set(call, operation, fault) && key_set(call, operation, fault))) {
        return false;
    }
    if (request->kind == REQUEST_GET) {
        /* Without it the engine takes memory of its own. */
        request->answer_buffer = wire_call_allocate(call, ANSWER_BUFFER_BYTES);
        request->answer_buffer_size = request->answer_buffer == NULL ? 0 : ANSWER_BUFFER_BYTES;
        return true;
    }
    return operation->document.data == NULL || document_set(call, operation, keep, fault);
}

void wire_call_submit(struct wire_call *call, void (*done)(struct request *request))
{
    struct request *request = &call->request;
    ASSERT(request->collection != NULL);
    ASSERT(request->done == NULL);
    request->done = done;
    engine_submit(call->server->options.engine_thread, request);
}

/* ---- a frame of its own ---- */

static void answer_result(struct wire_call *call)
{
    struct wire_connection *connection = call->connection;
    struct wire_fault fault;
    uint16_t code = wire_result_code(call, &fault);
    if (wire_result_is_fault(call, code)) {
        wire_answer_problem(connection, call->id, &fault.problem);
        return;
    }
    size_t size = wire_result_size_max(call);
    /* What is done must be said; a read can be asked again. */
    if (size > WIRE_LARGE_BODY_BYTES && !memory_has_room(&call->server->memory, size)) {
        wire_answer_status(connection, call->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    const struct wire_head head = {.opcode = call->opcode | FRAME_ANSWER,
                                   .flags = call->flags & FRAME_FLAG_JSON,
                                   .code = code,
                                   .id = call->id};
    uint8_t *room = wire_frame_begin(connection, size, WIRE_ANSWER);
    if (room != NULL) {
        struct writer out = writer_of(room, size);
        wire_result_write(call, code, &out);
        ASSERT(!out.failed);
        wire_frame_end(connection, &head, out.size);
    }
}

static void call_done(struct request *request)
{
    struct wire_call *call = CONTAINER_OF(request, struct wire_call, request);
    ASSERT(call->gather == NULL);
    if (call->connection != NULL) {
        answer_result(call);
    }
    request_release(request);
    wire_call_release(call);
}

void wire_request_submit(struct wire_connection *connection, const struct wire_frame *frame,
                         const struct wire_operation *operation)
{
    struct wire_call *call = wire_call_acquire(connection, frame);
    if (call == NULL) {
        return;
    }
    struct wire_fault fault;
    if (!wire_request_set(call, operation, true, &fault)) {
        wire_answer_problem(connection, frame->id, &fault.problem);
        wire_call_release(call);
    } else if (operation->has_options && wire_call_cached(call)) {
        wire_call_release(call);
    } else {
        wire_call_submit(call, call_done);
    }
}

void wire_write(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct wire_operation operation;
    if (!wire_operation_take(connection, frame, &operation)) {
        return;
    }
    wire_request_submit(connection, frame, &operation);
}
