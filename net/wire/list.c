/*
 * list.c: LIST, a page of records.
 */
#include <stdlib.h>
#include <string.h>

#include "net/rest/cursor.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* An array of two, a cursor, the head of a string, and heads of them. */
#define PAGE_HEAD_BYTES_MAX (1 + 3 + CURSOR_TEXT_BYTES_MAX + 5)
#define STRING_32           0xDB

/* ---- what is asked for ---- */

static bool text_keep(struct wire_call *call, struct bytes text, struct bytes *kept_out,
                      struct wire_fault *fault)
{
    uint8_t *memory = wire_call_allocate(call, text.size);
    if (memory == NULL) {
        return wire_fault_status(fault, STATUS_NO_MEMORY);
    }
    if (text.size > 0) {
        memcpy(memory, text.data, text.size);
    }
    *kept_out = bytes_of(memory, text.size);
    return true;
}

static bool index_refuse(struct wire_fault *fault, const struct collection *collection,
                         struct bytes name)
{
    struct writer text = writer_of(fault->text, sizeof(fault->text));
    struct bytes shown = bytes_slice(name, 0, FIELD_NAME_BYTES_MAX);
    writer_put(&text, collection->name);
    writer_text(&text, " has no index '");
    writer_put(&text, utf8_is_valid(shown) ? shown : BYTES_EMPTY);
    writer_text(&text, collection->index_count == 0 ? "' and no other" : "', but ");
    for (uint32_t i = 0; i < collection->index_count; i++) {
        writer_text(&text, i == 0 ? "" : ", ");
        writer_put(&text, collection->indexes[i]);
    }
    fault->problem = (struct problem){.status = 400, .detail = writer_bytes(&text)};
    return false;
}

static bool index_set(struct wire_call *call, const struct wire_operation *operation,
                      struct wire_fault *fault)
{
    struct request *request = &call->request;
    const struct collection *collection = operation->collection;
    if (operation->index.data == NULL && operation->value.data == NULL) {
        return true;
    }
    if (operation->index.data == NULL || operation->value.data == NULL) {
        return wire_fault_set(fault, 400, "index and value belong together");
    }
    int index = collection_index_find(collection, operation->index);
    if (index < 0) {
        return index_refuse(fault, collection, operation->index);
    }
    if (operation->value.size > INDEX_VALUE_BYTES_MAX) {
        return wire_fault_set(fault, 400, "An indexed value has at most 512 bytes");
    }
    if (!utf8_is_valid(operation->value)) {
        return wire_fault_set(fault, 400, "An indexed value must be valid UTF-8");
    }
    /* The empty value is everything, as it is for REST. */
    if (operation->value.size == 0) {
        return true;
    }
    request->list_field = collection->indexes[index];
    return text_keep(call, operation->value, &request->list_value, fault);
}

static bool list_set(struct wire_call *call, const struct wire_operation *operation,
                     struct wire_fault *fault)
{
    struct request *request = &call->request;
    if (!wire_request_set(call, operation, true, fault) || !index_set(call, operation, fault)) {
        return false;
    }
    request->list_limit = operation->limit == 0 ? LIST_RECORDS_MAX : operation->limit;
    if (operation->cursor.data == NULL) {
        return true;
    }
    const struct cursor_list list = {operation->collection->name, request->list_field,
                                     request->list_value};
    uint8_t id_bytes[CURSOR_BYTES_MAX];
    struct bytes after;
    if (cursor_read(&list, operation->cursor, id_bytes, &after) != STATUS_OK) {
        return wire_fault_set(fault, 400, "cursor is not one that a page of this list gave");
    }
    return text_keep(call, after, &request->list_after, fault);
}

/* ---- the answer ---- */

static void cursor_put(const struct request *request, struct writer *out)
{
    if (request->list_next.size == 0) {
        document_write_null(out);
        return;
    }
    const struct cursor_list list = {request->collection->name, request->list_field,
                                     request->list_value};
    uint8_t text[CURSOR_TEXT_BYTES_MAX];
    struct writer writer = writer_of(text, sizeof(text));
    cursor_write(&list, request->list_next, &writer);
    ASSERT(!writer.failed);
    document_write_string(out, writer_bytes(&writer));
}

static void page_answer(struct wire_call *call)
{
    struct request *request = &call->request;
    uint8_t begin_bytes[PAGE_HEAD_BYTES_MAX];
    struct writer begin = writer_of(begin_bytes, sizeof(begin_bytes));
    document_write_array(&begin, 2);
    cursor_put(request, &begin);
    const struct wire_head head = {.opcode = FRAME_LIST | FRAME_ANSWER,
                                   .flags = call->flags & FRAME_FLAG_JSON,
                                   .code = 200,
                                   .id = call->id};
    if ((call->flags & FRAME_FLAG_JSON) != 0) {
        writer_u8(&begin, STRING_32);
        writer_u32(&begin, (uint32_t)request->answer.size);
        ASSERT(!begin.failed);
        void *block = request->answer_memory;
        ASSERT(block == request->answer.data);
        request->answer_memory = NULL;
        wire_answer_block(call->connection, &head, writer_bytes(&begin), block,
                          request->answer.size);
        return;
    }
    uint8_t *block;
    struct bytes page;
    enum status status = json_rendered_read(request->answer, &block, &page);
    if (status != STATUS_OK) {
        wire_answer_status(call->connection, call->id, status, BYTES_EMPTY);
        return;
    }
    ASSERT(!begin.failed);
    ASSERT(page.data == block);
    wire_answer_block(call->connection, &head, writer_bytes(&begin), block, page.size);
}

static void lists_begin(struct wire_server *server);

static void list_done(struct request *request)
{
    struct wire_server *server = CONTAINER_OF(request, struct wire_call, request)->server;
    struct wire_call *call = CONTAINER_OF(request, struct wire_call, request);
    struct wire_connection *connection = call->connection;
    if (connection == NULL) {
        /* nobody wants it any more */
    } else if (request->status != STATUS_OK) {
        const struct problem problem = problem_of_request(request);
        wire_answer_problem(connection, call->id, &problem);
    } else if (!memory_has_room(&server->memory, request->answer.size)) {
        wire_answer_status(connection, call->id, STATUS_NO_MEMORY, BYTES_EMPTY);
    } else {
        page_answer(call);
    }
    request_release(request);
    wire_call_release(call);
    ASSERT(server->lists_running > 0);
    server->lists_running--;
    lists_begin(server);
}

/* A page lies in the engine until its answer is written. So they are made a few at a time, in the
 * order in which they were asked for. */
static void lists_begin(struct wire_server *server)
{
    while (server->lists_running < WIRE_LISTS_RUNNING_MAX) {
        struct link *at = list_pop_front(&server->lists_waiting);
        if (at == NULL) {
            return;
        }
        struct wire_call *call = CONTAINER_OF(at, struct wire_call, waiting);
        if (call->connection == NULL) {
            wire_call_release(call);
            continue;
        }
        server->lists_running++;
        wire_call_submit(call, list_done);
    }
}

void wire_list(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct wire_operation operation;
    struct wire_fault fault;
    if (!wire_operation_take(connection, frame, &operation)) {
        return;
    }
    struct wire_call *call = wire_call_acquire(connection, frame);
    if (call == NULL) {
        return;
    }
    if (list_set(call, &operation, &fault)) {
        list_push_back(&connection->server->lists_waiting, &call->waiting);
        lists_begin(connection->server);
        return;
    }
    wire_answer_problem(connection, frame->id, &fault.problem);
    wire_call_release(call);
}
