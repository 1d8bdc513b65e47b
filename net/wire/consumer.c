/*
 * CONSUMER and ACK: named consumers, whose position the server keeps. See
 * engine/stream/consumers.h; how one is read is in reader.c.
 */
#include <stdlib.h>

#include "net/wire/subscribe.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* A byte of MessagePack takes at most six of JSON (an escaped control character). */
#define JSON_PER_MSGPACK 6
/* Name, collection and position, each with its end. */
#define INFO_TEXT_BYTES                                                                            \
    (CONSUMER_NAME_BYTES_MAX + COLLECTION_NAME_BYTES_MAX + POSITION_TEXT_BYTES + 4)
/* What one answer shows of patterns; a list ends there, and goes on in the next. */
#define LIST_PATTERN_BYTES_MAX (8u << 20)

static_assert(LIST_PATTERN_BYTES_MAX >= JSON_PER_MSGPACK * CONSUMER_PATTERN_BYTES_MAX,
              "one consumer at least is shown");
static_assert(LIST_PATTERN_BYTES_MAX + CONSUMER_LIST_MAX * (INFO_TEXT_BYTES + 128) <
                  FRAME_ANSWER_BYTES_MAX,
              "a list fits into a frame");

/* One request on its way to the owner of its consumer. It outlives its connection. A pattern is in
 * its call's block. */
struct consumer_call {
    struct consumer_request request;
    struct wire_call *call;
    uint8_t name[CONSUMER_NAME_BYTES_MAX];
    uint8_t member[CONSUMER_MEMBER_BYTES_MAX];
    uint8_t collection[COLLECTION_NAME_BYTES_MAX];
};

/* ---- calls ---- */

static void call_free(struct consumer_call *of_consumer)
{
    struct wire_call *call = of_consumer->call;
    memory_give(&call->server->memory, of_consumer, sizeof(*of_consumer));
    wire_call_release(call);
}

/* NULL when answered. */
static struct consumer_call *call_begin(struct wire_connection *connection,
                                        const struct wire_frame *frame)
{
    struct wire_call *call = wire_call_acquire(connection, frame);
    if (call == NULL) {
        return NULL;
    }
    struct consumer_call *of_consumer =
        memory_take(&call->server->memory, sizeof(*of_consumer), MEMORY_FOR_REQUEST);
    if (of_consumer == NULL) {
        wire_answer_status(connection, frame->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        wire_call_release(call);
        return NULL;
    }
    memset(of_consumer, 0, sizeof(*of_consumer));
    of_consumer->call = call;
    return of_consumer;
}

/* False when answered; then the call is gone. */
static bool refuse(struct consumer_call *of_consumer, uint16_t status, const char *words)
{
    wire_answer_error(of_consumer->call->connection, of_consumer->call->id, status,
                      bytes_of_text(words));
    call_free(of_consumer);
    return false;
}

static void call_submit(struct consumer_call *of_consumer, enum consumer_request_kind kind,
                        void (*done)(struct consumer_request *request))
{
    of_consumer->request.kind = kind;
    of_consumer->request.done = done;
    consumers_submit(of_consumer->call->server->options.consumers, &of_consumer->request);
}

/* First thing in a done. NULL: it failed, or nobody waits for it any more; it is gone. */
static struct consumer_call *call_done(struct consumer_request *request)
{
    struct consumer_call *of_consumer = CONTAINER_OF(request, struct consumer_call, request);
    const struct wire_call *call = of_consumer->call;
    ASSERT(call != NULL);
    if (call->connection != NULL && request->status != STATUS_OK) {
        const struct problem problem = follow_consumer_problem(request->status, &request->detail);
        wire_follow_problem_answer(call->connection, call->id, &problem);
    }
    if (call->connection == NULL || request->status != STATUS_OK) {
        call_free(of_consumer);
        return NULL;
    }
    return of_consumer;
}

static void text_keep(const char *text, uint8_t *memory, struct bytes *out)
{
    *out = bytes_of(memory, strlen(text));
    memcpy(memory, text, out->size);
}

/* False when answered; then the call is gone. */
static bool name_set(struct consumer_call *of_consumer, const char *name)
{
    if (!consumer_name_valid(bytes_of_text(name))) {
        return refuse(of_consumer, 400,
                      "A consumer's name is 1 to 128 characters of A-Z a-z 0-9 . _ -");
    }
    text_keep(name, of_consumer->name, &of_consumer->request.name);
    return true;
}

/* ---- what is shown ---- */

/* Each text ends with a zero. NULL: it does not fit. */
static char *text_end(struct writer *texts, size_t begin)
{
    writer_u8(texts, 0);
    return texts->failed ? NULL : (char *)texts->data + begin;
}

static bool info_fill(const struct consumer_row *row, const struct position *position,
                      struct writer *texts, Freshet__ConsumerInfo *out)
{
    struct bytes value = BYTES_EMPTY;
    struct bytes collection = BYTES_EMPTY;
    freshet__consumer_info__init(out);
    size_t begin = texts->size;
    writer_put(texts, row->name);
    out->name = text_end(texts, begin);
    begin = texts->size;
    if (document_find(row->definition, BYTES_LITERAL("collection"), &value) &&
        document_string(value, &collection)) {
        writer_put(texts, collection);
    }
    out->collection = text_end(texts, begin);
    begin = texts->size;
    if (document_find(row->definition, BYTES_LITERAL("pattern"), &value) &&
        document_to_json(value, texts) != STATUS_OK) {
        return false;
    }
    out->pattern = text_end(texts, begin);
    begin = texts->size;
    position_write(position, texts);
    out->position = text_end(texts, begin);
    out->group = row->is_group;
    out->members = row->member_count;
    out->lag_events = row->lag.events;
    out->lag_bytes = row->lag.bytes;
    out->lag_seconds = (double)row->lag.age_ms / 1000;
    return !texts->failed;
}

/* Memory for what `count` rows show: structs, pointers to them, and the texts behind. */
struct shown {
    uint8_t *memory;
    Freshet__ConsumerInfo *infos;
    Freshet__ConsumerInfo **pointers;
    struct writer texts;
};

static bool shown_init(struct shown *shown, size_t count, size_t definition_bytes)
{
    size_t patterns = definition_bytes * JSON_PER_MSGPACK;
    patterns = patterns < LIST_PATTERN_BYTES_MAX ? patterns : LIST_PATTERN_BYTES_MAX;
    size_t texts = count * INFO_TEXT_BYTES + patterns;
    size_t infos = count * (sizeof(*shown->infos) + sizeof(*shown->pointers));
    shown->memory = malloc(infos + texts + 1);
    if (shown->memory == NULL) {
        return false;
    }
    shown->infos = (void *)shown->memory;
    shown->pointers = (void *)(shown->memory + count * sizeof(*shown->infos));
    shown->texts = writer_of(shown->memory + infos, texts);
    return true;
}

/* Answers with so many rows, as far as they fit, and frees the call. */
static void rows_answer(struct consumer_call *of_consumer, const struct consumer_row *rows,
                        uint32_t count, uint16_t code)
{
    const struct consumer_request *request = &of_consumer->request;
    struct wire_call *call = of_consumer->call;
    Freshet__Consumers message = FRESHET__CONSUMERS__INIT;
    struct position position = request->position.position;
    struct shown shown;
    size_t definition_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        definition_bytes += rows[i].definition.size;
    }
    if (!shown_init(&shown, count, definition_bytes)) {
        (void)refuse(of_consumer, 503, status_text(STATUS_NO_MEMORY));
        return;
    }
    message.consumers = shown.pointers;
    for (uint32_t i = 0; i < count; i++) {
        position.sequence = rows[i].sequence;
        shown.pointers[i] = &shown.infos[i];
        if (!info_fill(&rows[i], &position, &shown.texts, &shown.infos[i])) {
            ASSERT(i > 0);
            break;
        }
        message.n_consumers++;
    }
    message.more = request->more || message.n_consumers < count;
    const struct wire_head head = {
        .opcode = FRAME_CONSUMER | FRAME_ANSWER, .code = code, .id = call->id};
    wire_answer_message(call->connection, &head, &message.base);
    free(shown.memory);
    call_free(of_consumer);
}

/* PUT, GET and DELETE. */
static void consumer_done(struct consumer_request *request)
{
    struct consumer_call *of_consumer = call_done(request);
    if (of_consumer == NULL) {
        return;
    }
    const struct consumer_row row = {.name = request->name,
                                     .definition = request->definition,
                                     .sequence = request->position.position.sequence,
                                     .is_group = request->is_group,
                                     .member_count = request->member_count,
                                     .lag = request->lag};
    bool shows = request->kind != CONSUMER_DELETE;
    rows_answer(of_consumer, &row, shows ? 1 : 0, request->created ? 201 : 200);
}

static void list_done(struct consumer_request *request)
{
    struct consumer_call *of_consumer = call_done(request);
    if (of_consumer != NULL) {
        rows_answer(of_consumer, request->rows, request->row_count, 200);
    }
}

/* ---- what is asked; each is false when answered, and the call gone then ---- */

static bool put_collection_read(struct consumer_call *of_consumer, const char *name)
{
    if (name[0] == '\0') {
        return true;
    }
    if (collection_names_find(&of_consumer->call->server->collections, bytes_of_text(name)) ==
        NULL) {
        return refuse(of_consumer, 400, "There is no collection of that name");
    }
    text_keep(name, of_consumer->collection, &of_consumer->request.collection);
    return true;
}

static bool put_pattern_read(struct consumer_call *of_consumer, const char *json)
{
    struct wire_server *server = of_consumer->call->server;
    struct consumer_request *request = &of_consumer->request;
    if (json[0] == '\0') {
        return true;
    }
    struct pattern *pattern = NULL;
    struct writer document = writer_of(server->document, DOCUMENT_BYTES_MAX);
    enum status status =
        follow_pattern_read(bytes_of_text(json), &document, &pattern, &request->detail);
    pattern_destroy(&pattern);
    if (status == STATUS_OK) {
        status = follow_consumer_pattern_check(&server->collections, request->collection,
                                               writer_bytes(&document), &request->detail);
    }
    if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        return refuse(of_consumer, 400, request->detail.text);
    }
    uint8_t *kept = status == STATUS_OK ? wire_call_block(of_consumer->call, document.size) : NULL;
    if (kept == NULL) {
        return refuse(of_consumer, 503, status_text(STATUS_NO_MEMORY));
    }
    memcpy(kept, document.data, document.size);
    request->pattern = bytes_of(kept, document.size);
    return true;
}

static bool put_from_read(struct consumer_call *of_consumer, const Freshet__Consumer *message)
{
    struct consumer_request *request = &of_consumer->request;
    switch (message->from) {
    case FRESHET__FROM__LATEST:
        request->from = SUBSCRIBE_LATEST;
        return true;
    case FRESHET__FROM__EARLIEST:
        request->from = SUBSCRIBE_EARLIEST;
        return true;
    case FRESHET__FROM__TIME:
        request->from = SUBSCRIBE_TIME;
        request->time_ms = message->time_ms;
        return true;
    case FRESHET__FROM__POSITION:
        request->from = SUBSCRIBE_TOKEN;
        return token_read(bytes_of_text(message->position), &request->token) == STATUS_OK ||
               refuse(of_consumer, 400, "position is not one that this server gave");
    case FRESHET__FROM__SNAPSHOT:
    default: /* of a later protocol */
        return refuse(of_consumer, 400, "from is LATEST, EARLIEST, POSITION or TIME");
    }
}

static bool put_read(struct consumer_call *of_consumer, const Freshet__Consumer *message)
{
    of_consumer->request.group = message->group;
    return put_collection_read(of_consumer, message->collection) &&
           put_from_read(of_consumer, message) && put_pattern_read(of_consumer, message->pattern);
}

static bool list_read(struct consumer_call *of_consumer, const Freshet__Consumer *message)
{
    struct consumer_request *request = &of_consumer->request;
    request->limit = message->limit == 0 ? CONSUMER_LIST_MAX : message->limit;
    if (request->limit > CONSUMER_LIST_MAX) {
        return refuse(of_consumer, 400, "limit is at most 1000; 0: 1000");
    }
    if (message->after[0] == '\0') {
        return true;
    }
    if (!consumer_name_valid(bytes_of_text(message->after))) {
        return refuse(of_consumer, 400, "after is the name of a consumer");
    }
    text_keep(message->after, of_consumer->name, &request->after);
    return true;
}

static bool is_allowed(const struct wire_connection *connection, uint32_t right)
{
    return (connection->server->options.principal.rights & right) != 0;
}

void wire_consumer(struct wire_connection *connection, const struct wire_frame *frame)
{
    const Freshet__Consumer *message =
        wire_unpack(connection, frame, &freshet__consumer__descriptor);
    if (message == NULL) {
        return;
    }
    bool writes = message->action == FRESHET__CONSUMER_ACTION__CONSUMER_PUT ||
                  message->action == FRESHET__CONSUMER_ACTION__CONSUMER_DELETE;
    if (!is_allowed(connection, writes ? PRINCIPAL_WRITE : PRINCIPAL_READ)) {
        wire_answer_error(connection, frame->id, 403,
                          writes ? BYTES_LITERAL("You may not change this")
                                 : BYTES_LITERAL("You may not read this"));
        return;
    }
    struct consumer_call *of_consumer = call_begin(connection, frame);
    if (of_consumer == NULL) {
        return;
    }
    switch (message->action) {
    case FRESHET__CONSUMER_ACTION__CONSUMER_GET:
        if (name_set(of_consumer, message->name)) {
            call_submit(of_consumer, CONSUMER_GET, consumer_done);
        }
        return;
    case FRESHET__CONSUMER_ACTION__CONSUMER_PUT:
        if (name_set(of_consumer, message->name) && put_read(of_consumer, message)) {
            call_submit(of_consumer, CONSUMER_PUT, consumer_done);
        }
        return;
    case FRESHET__CONSUMER_ACTION__CONSUMER_DELETE:
        if (name_set(of_consumer, message->name)) {
            call_submit(of_consumer, CONSUMER_DELETE, consumer_done);
        }
        return;
    case FRESHET__CONSUMER_ACTION__CONSUMER_LIST:
        if (list_read(of_consumer, message)) {
            call_submit(of_consumer, CONSUMER_LIST, list_done);
        }
        return;
    default: /* of a later protocol */
        (void)refuse(of_consumer, 400, "action is GET, PUT, DELETE or LIST");
    }
}

/* ---- ACK ---- */

static void ack_done(struct consumer_request *request)
{
    struct consumer_call *of_consumer = call_done(request);
    if (of_consumer == NULL) {
        return;
    }
    const struct wire_head head = {
        .opcode = FRAME_ACK | FRAME_ANSWER, .code = 200, .id = of_consumer->call->id};
    wire_answer(of_consumer->call->connection, &head, BYTES_EMPTY);
    call_free(of_consumer);
}

void wire_ack(struct wire_connection *connection, const struct wire_frame *frame)
{
    const Freshet__Ack *message = wire_unpack(connection, frame, &freshet__ack__descriptor);
    if (message == NULL) {
        return;
    }
    if (!is_allowed(connection, PRINCIPAL_READ)) {
        wire_answer_error(connection, frame->id, 403, BYTES_LITERAL("You may not read this"));
        return;
    }
    struct consumer_call *of_consumer = call_begin(connection, frame);
    if (of_consumer == NULL || !name_set(of_consumer, message->consumer)) {
        return;
    }
    struct consumer_request *request = &of_consumer->request;
    if (strlen(message->member) > sizeof(of_consumer->member)) {
        (void)refuse(of_consumer, 400, "member is a name of at most 128 bytes");
        return;
    }
    text_keep(message->member, of_consumer->member, &request->member);
    request->has_token = token_read(bytes_of_text(message->position), &request->token) == STATUS_OK;
    if (!request->has_token) {
        (void)refuse(of_consumer, 400,
                     "The position is not that of a change that this consumer was given");
        return;
    }
    call_submit(of_consumer, CONSUMER_ACK, ack_done);
}
