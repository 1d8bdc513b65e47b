/*
 * The record of a consumer: written, read back, and loaded at start.
 */
#include <stdlib.h>

#include "engine/stream/consumers_internal.h"
#include "protocol/document/json.h"

/* ---- bodies ---- */

struct consumer_body *consumer_body_create(uint8_t *definition, size_t definition_size, bool group)
{
    ASSERT(definition != NULL);
    uint32_t slot_count = group ? SLOT_COUNT : 1;
    struct consumer_body *body = calloc(1, sizeof(*body) + 3 * slot_count * sizeof(uint64_t));
    struct group *members = group ? calloc(1, sizeof(*members)) : NULL;
    if (body == NULL || (group && members == NULL)) {
        free(definition);
        free(members);
        free(body);
        return NULL;
    }
    body->group = members;
    body->slot_count = slot_count;
    body->acked = body->sequences;
    body->writing = body->acked + slot_count;
    body->written = body->writing + slot_count;
    consumer_body_define(body, definition, definition_size);
    return body;
}

void consumer_body_destroy(struct consumer_body **body)
{
    if (*body == NULL) {
        return;
    }
    ASSERT((*body)->group == NULL || (*body)->group->member_count == 0);
    free((*body)->group);
    free((*body)->definition);
    free(*body);
    *body = NULL;
}

void consumer_body_define(struct consumer_body *body, uint8_t *definition, size_t definition_size)
{
    ASSERT(document_is_object(bytes_of(definition, definition_size)));
    free(body->definition);
    body->definition = definition;
    body->definition_size = definition_size;
    struct bytes value;
    body->collection = BYTES_EMPTY;
    if (document_find(bytes_of(definition, definition_size), BYTES_LITERAL("collection"), &value) &&
        !document_string(value, &body->collection)) {
        UNREACHABLE();
    }
}

uint8_t *consumer_definition_create(struct bytes collection, struct bytes pattern, bool group,
                                    size_t *size_out)
{
    ASSERT(collection.size <= COLLECTION_NAME_BYTES_MAX);
    ASSERT(pattern.size <= CONSUMER_PATTERN_BYTES_MAX);
    size_t capacity = collection.size + pattern.size + CONSUMER_DEFINITION_FIXED_BYTES;
    uint8_t *memory = malloc(capacity);
    if (memory == NULL) {
        return NULL;
    }
    struct writer out = writer_of(memory, capacity);
    document_write_map(&out, 1u + (collection.size > 0 ? 1u : 0u) + (pattern.size > 0 ? 1u : 0u));
    if (collection.size > 0) {
        document_write_string(&out, BYTES_LITERAL("collection"));
        document_write_string(&out, collection);
    }
    if (pattern.size > 0) {
        document_write_string(&out, BYTES_LITERAL("pattern"));
        document_write_raw(&out, pattern);
    }
    document_write_string(&out, BYTES_LITERAL("group"));
    document_write_bool(&out, group);
    ASSERT(!out.failed);
    *size_out = out.size;
    return memory;
}

/* ---- records ---- */

void consumer_record_write(const struct consumer_body *body, struct bytes definition,
                           const uint64_t *sequences, struct writer *out)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    bool is_object = document_cursor_open(definition, &cursor);
    ASSERT(is_object);
    document_write_map(out, document_count(definition) + 2);
    while (document_next_member(&cursor, &name, &value)) {
        document_write_string(out, name);
        document_write_raw(out, value);
    }
    document_write_string(out, BYTES_LITERAL("time"));
    document_write_u64(out, body->time_ms);
    document_write_string(out, BYTES_LITERAL("positions"));
    document_write_array(out, body->slot_count);
    for (uint32_t slot = 0; slot < body->slot_count; slot++) {
        document_write_u64(out, sequences[slot]);
    }
}

/* False when they are not as many as the body has slots, or no sequences. */
static bool positions_read(struct bytes positions, struct consumer_body *body)
{
    struct document_cursor cursor;
    struct bytes value;
    if (document_type_of(positions) != DOCUMENT_ARRAY ||
        document_count(positions) != body->slot_count ||
        !document_cursor_open(positions, &cursor)) {
        return false;
    }
    for (uint32_t slot = 0; slot < body->slot_count; slot++) {
        if (!document_next_element(&cursor, &value) || !document_u64(value, &body->acked[slot])) {
            return false;
        }
        body->written[slot] = body->acked[slot];
    }
    return true;
}

enum status consumer_record_read(struct bytes record, struct consumer_body **out)
{
    *out = NULL;
    struct bytes value;
    struct bytes positions;
    struct bytes collection = BYTES_EMPTY;
    struct bytes pattern = BYTES_EMPTY;
    bool group;
    uint64_t time_ms;
    if (!document_find(record, BYTES_LITERAL("group"), &value) || !document_bool(value, &group) ||
        !document_find(record, BYTES_LITERAL("time"), &value) || !document_u64(value, &time_ms) ||
        !document_find(record, BYTES_LITERAL("positions"), &positions)) {
        return STATUS_DAMAGED;
    }
    if (document_find(record, BYTES_LITERAL("collection"), &value) &&
        (!document_string(value, &collection) || collection.size == 0 ||
         collection.size > COLLECTION_NAME_BYTES_MAX)) {
        return STATUS_DAMAGED;
    }
    if (document_find(record, BYTES_LITERAL("pattern"), &pattern) &&
        pattern.size > CONSUMER_PATTERN_BYTES_MAX) {
        return STATUS_DAMAGED;
    }
    size_t size;
    uint8_t *definition = consumer_definition_create(collection, pattern, group, &size);
    struct consumer_body *body =
        definition == NULL ? NULL : consumer_body_create(definition, size, group);
    if (body == NULL) {
        return STATUS_NO_MEMORY;
    }
    body->time_ms = time_ms;
    if (!positions_read(positions, body)) {
        consumer_body_destroy(&body);
        return STATUS_DAMAGED;
    }
    *out = body;
    return STATUS_OK;
}

/* ---- loading ---- */

static void load_fail(struct consumers *consumers, enum status status)
{
    consumers->load_state = LOAD_NEEDED;
    consumers->load_at_ns = consumers->now_ns + CONSUMER_LOAD_RETRY_NS;
    struct link *at;
    while ((at = list_pop_front(&consumers->arrived)) != NULL) {
        struct consumer_request *request = CONTAINER_OF(at, struct consumer_request, link);
        detail_set(&request->detail, "The consumers that are recorded cannot be read now");
        consumer_finish(consumers, request, status);
    }
}

/* One record, if its consumer belongs to this thread. A page that failed is read again,
 * and some of it may be there already. */
static enum status load_record(struct consumers *consumers, struct bytes record)
{
    struct bytes value;
    struct bytes name;
    if (!document_find(record, BYTES_LITERAL("id"), &value) || !document_string(value, &name) ||
        !consumer_name_valid(name)) {
        return STATUS_DAMAGED;
    }
    const struct consumers_options *options = &consumers->options;
    uint64_t hash = engine_hash(options->collection, name);
    if (engine_thread_of_hash(options->engine, hash) != options->thread_index) {
        return STATUS_OK;
    }
    struct consumer *consumer = consumer_get(consumers, name);
    if (consumer == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (consumer->body != NULL) {
        return STATUS_OK;
    }
    enum status status = consumer_record_read(record, &consumer->body);
    if (status == STATUS_OK) {
        consumer->body->generation = consumers_generation_next(consumers);
        atomic_fetch_add(&options->all[0]->total, 1);
    }
    consumer_settle(consumer);
    return status;
}

static enum status load_page(struct consumers *consumers, struct bytes json)
{
    uint8_t *memory;
    struct bytes page;
    enum status status = json_rendered_read(json, &memory, &page);
    struct document_cursor cursor;
    struct bytes record;
    if (status == STATUS_OK && !document_cursor_open(page, &cursor)) {
        status = STATUS_DAMAGED;
    }
    while (status == STATUS_OK && document_next_element(&cursor, &record)) {
        status = load_record(consumers, record);
    }
    free(memory);
    return status;
}

static void load_done(struct request *request)
{
    struct consumers *consumers = CONTAINER_OF(request, struct consumers, load);
    ASSERT(consumers->load_state == LOAD_RUNNING);
    enum status status = request->status;
    if (status == STATUS_OK) {
        status = load_page(consumers, request->answer);
    }
    if (status != STATUS_OK) {
        request_release(request);
        load_fail(consumers, status);
        return;
    }
    struct bytes next = request->list_next;
    ASSERT(next.size <= sizeof(consumers->load_after));
    if (next.size > 0) {
        memcpy(consumers->load_after, next.data, next.size);
    }
    request->list_after = bytes_of(consumers->load_after, next.size);
    consumers->load_state = next.size > 0 ? LOAD_NEEDED : LOAD_DONE;
    request_release(request);
}

void consumers_load(struct consumers *consumers)
{
    ASSERT(consumers->load_state == LOAD_NEEDED);
    consumers->load_state = LOAD_RUNNING;
    struct bytes after = consumers->load.list_after;
    consumers->load = (struct request){
        .kind = REQUEST_LIST,
        .collection = consumers->options.collection,
        .principal = &consumers->principal,
        .list_after = after,
        .list_limit = CONSUMER_LOAD_PAGE,
        .done = load_done,
    };
    engine_submit(consumers->options.engine_thread, &consumers->load);
}
