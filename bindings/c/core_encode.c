/* The bodies of requests: MessagePack arrays, with options only where there are some. */
#include <stdlib.h>

#include "bindings/c/core_internal.h"
#include "protocol/document/document.h"

/* Of the heads and the names of options around what is counted. */
#define FRAMING_BYTES 192

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

static void write_text(struct writer *body, const char *text)
{
    document_write_string(body, bytes_of_text(text));
}

static void write_option(struct writer *body, const char *name, const char *value)
{
    if (value != NULL) {
        write_text(body, name);
        write_text(body, value);
    }
}

static const char *collection_objection(const char *collection)
{
    size_t size = text_size(collection);
    if (size == 0 || size > COLLECTION_NAME_BYTES_MAX) {
        return "the name of a collection has 1 to 64 bytes";
    }
    return NULL;
}

static const char *key_objection(const char *collection, const char *id)
{
    const char *objection = collection_objection(collection);
    size_t size = text_size(id);
    if (objection == NULL && (size == 0 || size > ID_BYTES_MAX)) {
        objection = "an id has 1 to 512 bytes";
    }
    return objection;
}

static bool is_json(const struct core *core)
{
    return core->format == FRESHET_JSON;
}

/* ---- reads ---- */

enum freshet_status core_get(struct core *core, const char *collection, const char *id,
                             const struct freshet_read_options *options, uint64_t now_ns,
                             struct core_done done)
{
    const char *objection = key_objection(collection, id);
    if (objection != NULL) {
        return core_set_error(core, FRESHET_INVALID, objection);
    }
    const char *minimum = options == NULL ? NULL : options->minimum_position;
    bool fresh = options != NULL && options->fresh;
    if (text_size(minimum) > POSITION_TEXT_BYTES_MAX) {
        return core_set_error(core, FRESHET_INVALID, "a position has at most 4096 bytes");
    }
    struct writer body;
    size_t size = strlen(collection) + strlen(id) + text_size(minimum) + FRAMING_BYTES;
    struct request *request = request_create(core, FRAME_GET, size, 0, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    uint32_t options_count = (uint32_t)(minimum != NULL) + fresh;
    document_write_array(&body, options_count == 0 ? 2 : 3);
    write_text(&body, collection);
    write_text(&body, id);
    if (options_count > 0) {
        document_write_map(&body, options_count);
        write_option(&body, "min", minimum);
    }
    if (fresh) {
        write_text(&body, "fresh");
        document_write_bool(&body, true);
    }
    return request_submit(core, request, &body, is_json(core), now_ns, done);
}

enum freshet_status core_get_many(struct core *core, const char *collection, const char *const *ids,
                                  size_t count, uint64_t now_ns, struct core_done done)
{
    const char *objection = collection_objection(collection);
    size_t size = text_size(collection) + FRAMING_BYTES;
    ASSERT(count <= LIST_RECORDS_MAX);
    for (size_t index = 0; index < count && objection == NULL; index++) {
        objection = key_objection(collection, ids[index]);
        size += text_size(ids[index]) + 5;
    }
    if (objection != NULL) {
        return core_set_error(core, FRESHET_INVALID, objection);
    }
    struct writer body;
    struct request *request = request_create(core, FRAME_MGET, size, 0, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    document_write_array(&body, 2);
    write_text(&body, collection);
    document_write_array(&body, (uint32_t)count);
    for (size_t index = 0; index < count; index++) {
        write_text(&body, ids[index]);
    }
    return request_submit(core, request, &body, is_json(core), now_ns, done);
}

enum freshet_status core_list(struct core *core, const char *collection,
                              const struct freshet_list_options *options, struct bytes cursor,
                              uint64_t now_ns, struct core_done done)
{
    const char *objection = collection_objection(collection);
    const char *index = options == NULL ? NULL : options->index;
    const char *value = options == NULL || index == NULL ? NULL : options->value;
    unsigned page = options == NULL ? 0 : options->page;
    if (page > LIST_RECORDS_MAX) {
        objection = "a page has at most 1000 records";
    }
    if (text_size(index) > FIELD_NAME_BYTES_MAX || text_size(value) > INDEX_VALUE_BYTES_MAX) {
        objection = "an index field has at most 128 bytes, its value at most 512";
    }
    if (objection != NULL) {
        return core_set_error(core, FRESHET_INVALID, objection);
    }
    struct writer body;
    size_t size =
        strlen(collection) + text_size(index) + text_size(value) + cursor.size + FRAMING_BYTES;
    struct request *request = request_create(core, FRAME_LIST, size, 0, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    bool has_cursor = cursor.size > 0;
    document_write_array(&body, 2);
    write_text(&body, collection);
    document_write_map(&body, (uint32_t)(page > 0) + has_cursor + 2 * (uint32_t)(index != NULL));
    if (page > 0) {
        write_text(&body, "limit");
        document_write_u64(&body, page);
    }
    if (has_cursor) {
        write_text(&body, "cursor");
        document_write_string(&body, cursor);
    }
    if (index != NULL) {
        write_option(&body, "index", index);
        write_option(&body, "value", value == NULL ? "" : value);
    }
    /* MessagePack in any case: a page as JSON is one text, which only a parser takes apart. */
    return request_submit(core, request, &body, false, now_ns, done);
}

/* ---- writes ---- */

static size_t write_options_size(const struct freshet_write_options *options)
{
    return options == NULL ? 0 : text_size(options->if_match) + text_size(options->idempotency_key);
}

static const char *write_objection(const struct core *core, const struct core_write *write)
{
    const struct freshet_write_options *options = write->options;
    const char *objection = write->opcode == FRAME_CREATE
                                ? collection_objection(write->collection)
                                : key_objection(write->collection, write->id);
    if (objection == NULL && options != NULL &&
        (text_size(options->if_match) > CORE_ETAG_BYTES_MAX ||
         text_size(options->idempotency_key) > IDEMPOTENCY_KEY_BYTES_MAX)) {
        objection = "an etag has at most 128 bytes, an idempotency key at most 255";
    }
    if (objection == NULL && write->opcode != FRAME_DELETE && write->document.data == NULL) {
        objection = "a document is needed";
    }
    /* As it would not stand alone in the body, a wrong one would spoil what is behind it. */
    if (objection == NULL && write->opcode != FRAME_DELETE && !is_json(core) &&
        document_value_size(write->document) != write->document.size) {
        objection = "the document is not one whole MessagePack value";
    }
    return objection;
}

/* Options that are of use: server and PROTOCOL.md know which belongs to what. */
static void write_write_options(struct writer *body, const struct core_write *write)
{
    const struct freshet_write_options *options = write->options;
    bool is_create = write->opcode == FRAME_CREATE;
    const char *match = is_create || options == NULL ? NULL : options->if_match;
    const char *none =
        write->opcode == FRAME_PUT && options != NULL && options->if_absent ? "*" : NULL;
    const char *key = is_create && options != NULL ? options->idempotency_key : NULL;
    document_write_map(body, (uint32_t)(match != NULL) + (none != NULL) + (key != NULL));
    write_option(body, "if_match", match);
    write_option(body, "if_none_match", none);
    write_option(body, "key", key);
}

static void write_document(const struct core *core, struct writer *body, struct bytes document)
{
    if (is_json(core)) {
        document_write_string(body, document);
    } else {
        document_write_raw(body, document);
    }
}

/* The body of a request that writes, alone or within a batch. */
static void write_write(const struct core *core, struct writer *body,
                        const struct core_write *write)
{
    bool has_id = write->opcode != FRAME_CREATE;
    bool has_document = write->opcode != FRAME_DELETE;
    document_write_array(body, 2 + (uint32_t)has_id + has_document);
    write_text(body, write->collection);
    if (has_id) {
        write_text(body, write->id);
    }
    if (has_document) {
        write_document(core, body, write->document);
    }
    write_write_options(body, write);
}

static size_t write_size(const struct core_write *write)
{
    return strlen(write->collection) + text_size(write->id) + write->document.size +
           write_options_size(write->options) + FRAMING_BYTES;
}

enum freshet_status core_write(struct core *core, const struct core_write *write, uint64_t now_ns,
                               struct core_done done)
{
    const char *objection = write_objection(core, write);
    if (objection != NULL) {
        return core_set_error(core, FRESHET_INVALID, objection);
    }
    if (write->document.size > FRAME_REQUEST_BYTES_MAX) {
        return core_set_error(core, FRESHET_TOO_LARGE,
                              "the document is longer than a frame may be");
    }
    bool is_cached = write->id != NULL && near_is_cached(core, bytes_of_text(write->collection));
    struct writer body;
    struct request *request =
        request_create(core, write->opcode, write_size(write), is_cached ? 1 : 0, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    if (is_cached) {
        request->hashes[0] = near_hash(core, write->collection, write->id);
    }
    write_write(core, &body, write);
    return request_submit(core, request, &body, is_json(core), now_ns, done);
}

/* ---- batches ---- */

static struct core_write write_of(const struct freshet_operation *operation)
{
    struct core_write write = {.collection = operation->collection,
                               .id = operation->id,
                               .document = bytes_of(operation->document, operation->size),
                               .options = operation->options};
    switch (operation->kind) {
    case FRESHET_BATCH_GET:
        write.opcode = FRAME_GET;
        break;
    case FRESHET_BATCH_PUT:
        write.opcode = FRAME_PUT;
        break;
    case FRESHET_BATCH_PATCH:
        write.opcode = FRAME_PATCH;
        break;
    case FRESHET_BATCH_DELETE:
        write.opcode = FRAME_DELETE;
        break;
    case FRESHET_BATCH_CREATE:
        write.opcode = FRAME_CREATE;
        write.id = NULL;
        break;
    }
    if (write.opcode == FRAME_GET || write.opcode == FRAME_DELETE) {
        write.document = BYTES_EMPTY;
    }
    return write;
}

static const char *operation_objection(const struct core *core, const struct core_write *write)
{
    if (write->opcode == 0) {
        return "an operation of a kind that does not exist";
    }
    return write->opcode == FRAME_GET ? key_objection(write->collection, write->id)
                                      : write_objection(core, write);
}

static void write_operation(const struct core *core, struct writer *body,
                            const struct core_write *write)
{
    document_write_array(body, 3);
    document_write_u64(body, write->opcode);
    document_write_u64(body, 0);
    if (write->opcode == FRAME_GET) {
        document_write_array(body, 2);
        write_text(body, write->collection);
        write_text(body, write->id);
    } else {
        write_write(core, body, write);
    }
}

enum freshet_status core_batch(struct core *core, const struct freshet_operation *operations,
                               size_t count, uint64_t now_ns, struct core_done done)
{
    size_t size = FRAMING_BYTES;
    size_t touched = 0;
    bool is_reading = true;
    ASSERT(count <= CORE_BATCH_MAX);
    for (size_t index = 0; index < count; index++) {
        struct core_write write = write_of(&operations[index]);
        const char *objection = operation_objection(core, &write);
        if (objection != NULL) {
            return core_set_error(core, FRESHET_INVALID, objection);
        }
        if (write.document.size > FRAME_REQUEST_BYTES_MAX ||
            !size_add(size, write_size(&write), &size)) {
            return core_set_error(core, FRESHET_TOO_LARGE, NULL);
        }
        /* Reads, too: after the answer nothing older may be shown, and its pairs stay in it. */
        is_reading = is_reading && write.opcode == FRAME_GET;
        touched += write.id != NULL && near_is_cached(core, bytes_of_text(write.collection));
    }
    struct writer body;
    struct request *request = request_create(core, FRAME_BATCH, size, touched, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    document_write_array(&body, (uint32_t)count);
    touched = 0;
    for (size_t index = 0; index < count; index++) {
        struct core_write write = write_of(&operations[index]);
        write_operation(core, &body, &write);
        if (write.id != NULL && near_is_cached(core, bytes_of_text(write.collection))) {
            request->hashes[touched++] = near_hash(core, write.collection, write.id);
        }
    }
    ASSERT(touched == request->hash_count);
    request->may_repeat = is_reading;
    return request_submit(core, request, &body, is_json(core), now_ns, done);
}
