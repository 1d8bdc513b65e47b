/*
 * POST, PUT, PATCH and DELETE: the body becomes a MessagePack document without "id", the engine
 * does the rest.
 */
#include <stdlib.h>
#include <xxhash.h>

#include "engine/journal/position.h"
#include "net/rest/field.h"
#include "net/rest/rest_internal.h"
#include "net/rest/target.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* Principal, path and key with a zero byte between them. */
#define SCOPE_BYTES_MAX 1024

/* ---- requests of all kinds ---- */

struct request *rest_request_begin(struct rest *rest, struct http_exchange *exchange,
                                   enum request_kind kind, const struct collection *collection,
                                   struct bytes id)
{
    struct request *request = &rest_state_of(exchange)->request;
    ASSERT(request->done == NULL);
    request->kind = kind;
    request->collection = collection;
    request->principal = &rest->options.principal;
    if (id.size > 0) {
        request->id = http_keep(exchange, id);
        if (request->id.data == NULL) {
            rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
            return NULL;
        }
        request->hash = engine_hash(collection, id);
    }
    if (kind != REQUEST_LIST) {
        /* Without it the engine takes memory of its own. */
        request->answer_buffer = http_allocate(exchange, ANSWER_BUFFER_BYTES);
        request->answer_buffer_size = request->answer_buffer == NULL ? 0 : ANSWER_BUFFER_BYTES;
    }
    return request;
}

void rest_request_submit(struct rest *rest, struct request *request,
                         void (*done)(struct request *request))
{
    ASSERT((request->collection == NULL) == (request->kind == REQUEST_EVENT));
    ASSERT(request->done == NULL);
    request->done = done;
    rest->pending++;
    engine_submit(rest->options.engine_thread, request);
}

struct rest *rest_request_done(struct request *request)
{
    struct rest *rest = CONTAINER_OF(request, struct rest_state, request)->rest;
    ASSERT(rest != NULL);
    ASSERT(rest->pending > 0);
    rest->pending--;
    return rest;
}

void rest_document_free(struct request *request)
{
    struct rest_state *state = CONTAINER_OF(request, struct rest_state, request);
    free(state->document);
    state->document = NULL;
}

/* ---- bodies ---- */

/* False when answered. */
static bool body_type_check(struct rest *rest, struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    struct bytes type = request->known[HTTP_CONTENT_TYPE];
    struct bytes encoding = request->known[HTTP_CONTENT_ENCODING];
    bool patch = request->method == HTTP_PATCH;
    bool repeated = (request->repeated >> HTTP_CONTENT_TYPE & 1) != 0;
    if (encoding.data != NULL && !field_equals(encoding, BYTES_LITERAL("identity"))) {
        rest_answer_error(rest, exchange, 415,
                          BYTES_LITERAL("A body is taken as it is, without Content-Encoding"));
        return false;
    }
    if (request->body.size == 0) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("A body with a JSON object is needed"));
        return false;
    }
    bool taken =
        field_media_type_is(type, BYTES_LITERAL("application/json")) ||
        (patch && field_media_type_is(type, BYTES_LITERAL("application/merge-patch+json")));
    if (!taken || repeated) {
        rest_answer_error(rest, exchange, 415,
                          patch
                              ? BYTES_LITERAL("The Content-Type of a patch is application/json or "
                                              "application/merge-patch+json")
                              : BYTES_LITERAL("The Content-Type of a body is application/json"));
        return false;
    }
    if (request->body.size > DOCUMENT_JSON_BYTES_MAX) {
        rest_answer_error(rest, exchange, 413,
                          BYTES_LITERAL("A document has at most 1 MiB of JSON"));
        return false;
    }
    return true;
}

static void answer_json_error(struct rest *rest, struct http_exchange *exchange, enum status status,
                              const struct json_error *error)
{
    char text[PROBLEM_DETAIL_BYTES_MAX];
    const struct problem problem = problem_of_json(status, error, text);
    rest_answer_problem(rest, exchange, &problem, NULL);
}

/* What "id" in a body may be; false when answered. */
static bool body_id_check(struct rest *rest, struct http_exchange *exchange,
                          const struct request *request, struct bytes value)
{
    struct bytes text;
    if (request->kind == REQUEST_CREATE) {
        rest_answer_singular(rest, exchange, 400, request->collection, "id is not allowed", NULL);
        return false;
    }
    if (!document_string(value, &text) || !bytes_equal(text, request->id)) {
        rest_answer_singular(rest, exchange, 400, request->collection,
                             "id in the body must be the string that the path names", NULL);
        return false;
    }
    return true;
}

bool rest_document_keep(struct rest *rest, struct http_exchange *exchange, struct bytes document,
                        bool without_id)
{
    struct rest_state *state = rest_state_of(exchange);
    ASSERT(state->document == NULL);
    uint8_t *memory = NULL;
    if (document.size <= DOCUMENT_KEEP_BYTES_MAX) {
        memory = http_allocate(exchange, document.size);
    }
    if (memory == NULL) {
        memory = malloc(document.size);
        state->document = memory;
    }
    if (memory == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    struct writer copy = writer_of(memory, document.size);
    if (without_id) {
        enum status status = document_without_member(document, BYTES_LITERAL("id"), &copy);
        ASSERT(status == STATUS_OK);
    } else {
        writer_put(&copy, document);
    }
    state->request.document = writer_bytes(&copy);
    return true;
}

bool rest_body_object(struct rest *rest, struct http_exchange *exchange, struct bytes *document_out)
{
    if (!body_type_check(rest, exchange)) {
        return false;
    }
    struct writer parsed = writer_of(rest->document, DOCUMENT_BYTES_MAX);
    struct json_error error;
    enum status status = json_to_document(exchange->request.body, &parsed, &error);
    if (status != STATUS_OK) {
        answer_json_error(rest, exchange, status, &error);
        return false;
    }
    *document_out = writer_bytes(&parsed);
    if (!document_is_object(*document_out)) {
        rest_answer_error(rest, exchange, 400, BYTES_LITERAL("The body must be a JSON object"));
        return false;
    }
    return true;
}

/* Reads the body into request->document; false when answered. */
static bool body_read(struct rest *rest, struct http_exchange *exchange, struct request *request)
{
    struct bytes document;
    if (!rest_body_object(rest, exchange, &document)) {
        return false;
    }
    struct bytes id;
    bool has_id = document_find(document, BYTES_LITERAL("id"), &id);
    if (has_id && !body_id_check(rest, exchange, request, id)) {
        return false;
    }
    return rest_document_keep(rest, exchange, document, has_id);
}

/* ---- conditions ---- */

/* If-Match and If-None-Match for the engine to judge; false when answered. */
static bool conditions_set(struct rest *rest, struct http_exchange *exchange,
                           struct request *request)
{
    const struct bytes *known = exchange->request.known;
    if (known[HTTP_IF_MATCH].data == NULL && known[HTTP_IF_NONE_MATCH].data == NULL) {
        return true;
    }
    struct conditions conditions = {0};
    void *tags = http_allocate(exchange, 2 * PRECONDITION_TAGS_MAX * sizeof(struct entity_tag));
    if (tags == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    if (!rest_conditions_read(rest, exchange, tags, &conditions)) {
        return false;
    }
    request->if_match = conditions.if_match;
    request->if_none_match = conditions.if_none_match;
    return true;
}

bool rest_idempotency_set(struct rest *rest, struct http_exchange *exchange,
                          struct request *request, struct bytes path)
{
    struct bytes value = exchange->request.known[HTTP_IDEMPOTENCY_KEY];
    if (value.data == NULL) {
        return true;
    }
    uint8_t buffer[IDEMPOTENCY_KEY_BYTES_MAX];
    struct bytes key;
    bool repeated = (exchange->request.repeated >> HTTP_IDEMPOTENCY_KEY & 1) != 0;
    if (repeated || field_idempotency_key(value, buffer, &key) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("An Idempotency-Key is sent once and has 1 to 255 "
                                        "characters of visible ASCII"));
        return false;
    }
    uint8_t scope_bytes[SCOPE_BYTES_MAX];
    struct writer scope = writer_of(scope_bytes, sizeof(scope_bytes));
    writer_put(&scope, request->principal->name);
    writer_u8(&scope, 0);
    writer_u8(&scope, '/');
    writer_put(&scope, path);
    writer_u8(&scope, 0);
    writer_put(&scope, key);
    ASSERT(!scope.failed);
    request->idempotency_key = http_keep(exchange, writer_bytes(&scope));
    if (request->idempotency_key.data == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(
        &hash, XXH3_128bits(exchange->request.body.data, exchange->request.body.size));
    static_assert(sizeof(hash.digest) == sizeof(request->body_hash), "128 bits");
    memcpy(request->body_hash, hash.digest, sizeof(request->body_hash));
    return true;
}

/* ---- answers ---- */

void rest_head_position(struct rest *rest, const struct request *request, struct writer *head)
{
    const struct journal *journal = engine_journal(rest->options.engine);
    struct position position = {
        .store_id = journal->store_id, .epoch = request->epoch, .sequence = request->sequence};
    if (position.sequence == 0) {
        /* Nothing was there to delete: no entry shows it, and every reader sees it already. */
        position.epoch = journal->epoch;
        position.sequence = engine_published(rest->options.engine);
    }
    writer_put(head, BYTES_LITERAL("freshet-position: "));
    position_write(&position, head);
    writer_put(head, BYTES_LITERAL("\r\n"));
}

void rest_answer_written(struct rest *rest, struct http_exchange *exchange,
                         const struct request *request, uint16_t status, struct bytes body)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, status, &head);
    writer_put(&head, BYTES_LITERAL("Content-Type: application/json\r\n"));
    head_line_number(&head, "Content-Length", body.size);
    rest_head_position(rest, request, &head);
    rest_answer_body(exchange, &head, body, status, NULL, NULL);
}

static void answer_record(struct rest *rest, struct http_exchange *exchange,
                          const struct request *request)
{
    bool created = request->kind == REQUEST_CREATE || request->created;
    uint16_t status = created ? 201 : 200;
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, status, &head);
    writer_put(&head, BYTES_LITERAL("Content-Type: application/json\r\n"));
    head_line_number(&head, "Content-Length", request->answer.size);
    rest_head_tag(request->epoch, request->sequence, &head);
    rest_head_position(rest, request, &head);
    if (created) {
        struct bytes id = request->kind == REQUEST_CREATE ? request->new_id : request->id;
        writer_put(&head, BYTES_LITERAL("Location: /"));
        writer_put(&head, request->collection->name);
        writer_u8(&head, '/');
        target_encode(id, &head);
        writer_put(&head, BYTES_LITERAL("\r\n"));
    }
    rest_answer_request(exchange, &head, status);
}

static void answer_deleted(struct rest *rest, struct http_exchange *exchange,
                           const struct request *request)
{
    const struct bytes body = BYTES_LITERAL("{\"message\":\"item deleted\"}");
    rest_answer_written(rest, exchange, request, 200, body);
}

static void write_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    rest_document_free(request);
    if (request->status == STATUS_OK && request->kind != REQUEST_DELETE) {
        answer_record(rest, exchange, request);
        return;
    }
    request_release(request);
    if (request->status == STATUS_OK) {
        answer_deleted(rest, exchange, request);
    } else if (request->status == STATUS_NOT_FOUND) {
        rest_answer_singular(rest, exchange, 404, request->collection, "not found", NULL);
    } else {
        rest_answer_failure(rest, exchange, request);
    }
}

/* ---- the four ---- */

static void write_submit(struct rest *rest, struct http_exchange *exchange, enum request_kind kind,
                         const struct collection *collection, struct bytes id)
{
    if (!rest_allowed(rest, PRINCIPAL_WRITE)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not change this"));
        return;
    }
    struct request *request = rest_request_begin(rest, exchange, kind, collection, id);
    if (request == NULL) {
        return;
    }
    bool ready = conditions_set(rest, exchange, request);
    if (ready && kind == REQUEST_CREATE) {
        ready = rest_idempotency_set(rest, exchange, request, collection->name);
    }
    if (ready && kind != REQUEST_DELETE) {
        ready = body_read(rest, exchange, request);
    }
    if (ready) {
        rest_request_submit(rest, request, write_done);
    }
}

void rest_create_record(struct rest *rest, struct http_exchange *exchange,
                        const struct collection *collection)
{
    write_submit(rest, exchange, REQUEST_CREATE, collection, BYTES_EMPTY);
}

void rest_put(struct rest *rest, struct http_exchange *exchange,
              const struct collection *collection, struct bytes id)
{
    write_submit(rest, exchange, REQUEST_PUT, collection, id);
}

void rest_patch(struct rest *rest, struct http_exchange *exchange,
                const struct collection *collection, struct bytes id)
{
    write_submit(rest, exchange, REQUEST_PATCH, collection, id);
}

void rest_delete(struct rest *rest, struct http_exchange *exchange,
                 const struct collection *collection, struct bytes id)
{
    write_submit(rest, exchange, REQUEST_DELETE, collection, id);
}
