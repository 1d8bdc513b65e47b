/*
 * PUT and DELETE of a consumer, and every write of a record.
 *
 * A consumer has one write under way at most. Changes run one after the other, in the order in
 * which they came, and before acknowledgements that wait; whatever is written has the newest
 * positions in it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/stream/consumers_internal.h"

/* ---- writing ---- */

static void record_done(struct request *request)
{
    struct consumer *consumer = CONTAINER_OF(request, struct consumer, request);
    ASSERT(consumer->is_writing);
    list_push_back(&consumer->consumers->written, &consumer->of_written);
}

static void record_submit(struct consumer *consumer, enum request_kind kind, struct bytes document)
{
    struct consumers *consumers = consumer->consumers;
    ASSERT(!consumer->is_writing);
    consumer->is_writing = true;
    consumers->writes++;
    consumer->request = (struct request){
        .kind = kind,
        .collection = consumers->options.collection,
        .principal = &consumers->principal,
        .id = consumer_name(consumer),
        .hash = consumer->hash,
        .document = document,
        .done = record_done,
    };
    engine_submit(consumers->options.engine_thread, &consumer->request);
}

/* Writes the body with this definition, and what is acknowledged by now. NO_MEMORY: nothing has
 * begun. */
static enum status record_put(struct consumer *consumer, struct consumer_body *body,
                              struct bytes definition)
{
    struct consumers *consumers = consumer->consumers;
    ASSERT(consumer->document == NULL);
    size_t size = definition.size + (size_t)body->slot_count * CONSUMER_SEQUENCE_BYTES +
                  CONSUMER_RECORD_FIXED_BYTES;
    consumer->document = malloc(size);
    if (consumer->document == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(body->writing, body->acked, body->slot_count * sizeof(uint64_t));
    struct writer document = writer_of(consumer->document, size);
    consumer_record_write(body, definition, body->writing, &document);
    ASSERT(!document.failed);
    consumer->dirty = false;
    if (!list_is_empty(&consumer->acks)) {
        list_splice_back(&consumer->acks_writing, &consumer->acks);
        link_remove(&consumer->of_cooling);
        consumer->cooling_since_ns = consumers->now_ns;
        list_push_back(&consumers->cooling, &consumer->of_cooling);
    }
    record_submit(consumer, REQUEST_PUT, writer_bytes(&document));
    return STATUS_OK;
}

static void acks_finish(struct consumer *consumer, struct link *acks, enum status status,
                        const struct detail *detail)
{
    struct link *at;
    while ((at = list_pop_front(acks)) != NULL) {
        struct consumer_request *request = CONTAINER_OF(at, struct consumer_request, link);
        if (detail != NULL) {
            request->detail = *detail;
        }
        consumer_finish(consumer->consumers, request, status);
    }
}

static void acks_write(struct consumer *consumer)
{
    struct consumer_body *body = consumer->body;
    enum status status =
        record_put(consumer, body, bytes_of(body->definition, body->definition_size));
    if (status != STATUS_OK) {
        consumer->dirty = false;
        acks_finish(consumer, &consumer->acks, status, NULL);
    }
}

/* ---- changes ---- */

static void change_end(struct consumer *consumer, enum status status)
{
    struct consumer_request *request = consumer->change;
    ASSERT(request != NULL);
    ASSERT(!consumer->is_writing);
    consumer->change = NULL;
    if (status == STATUS_OK && request->kind == CONSUMER_PUT) {
        uint64_t budget = CONSUMER_LAG_ENTRIES;
        (void)consumer_lag_read(consumer, &budget, &request->lag);
        consumer_describe(consumer, request);
        status = consumer_define(consumer, request);
    }
    consumer_finish(consumer->consumers, request, status);
}

/* The count of all threads' consumers, of which this one is to be one more. */
static enum status total_take(struct consumers *consumers, struct detail *detail)
{
    struct consumers *first = consumers->options.all[0];
    if (atomic_fetch_add(&first->total, 1) < CONSUMERS_MAX) {
        return STATUS_OK;
    }
    atomic_fetch_sub(&first->total, 1);
    detail_set(detail, "There are %d consumers already, which is the most; delete one",
               CONSUMERS_MAX);
    return STATUS_BUSY;
}

static void total_give_back(struct consumers *consumers)
{
    uint32_t before = atomic_fetch_sub(&consumers->options.all[0]->total, 1);
    ASSERT(before > 0);
}

/* Begins the write of a new consumer whose position is known by now. */
static enum status create_write(struct consumer *consumer, uint64_t sequence, uint64_t time_ms)
{
    struct consumers *consumers = consumer->consumers;
    const struct consumer_request *request = consumer->change;
    ASSERT(consumer->body == NULL);
    ASSERT(consumer->body_next == NULL);
    size_t size;
    uint8_t *definition =
        consumer_definition_create(request->collection, request->pattern, request->group, &size);
    struct consumer_body *body =
        definition == NULL ? NULL : consumer_body_create(definition, size, request->group);
    if (body == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t slot = 0; slot < body->slot_count; slot++) {
        body->acked[slot] = sequence;
        body->written[slot] = sequence;
    }
    body->time_ms = time_ms;
    body->generation = consumers_generation_next(consumers);
    enum status status = total_take(consumers, &consumer->change->detail);
    if (status == STATUS_OK) {
        status = record_put(consumer, body, bytes_of(body->definition, body->definition_size));
        if (status != STATUS_OK) {
            total_give_back(consumers);
        }
    }
    if (status != STATUS_OK) {
        consumer_body_destroy(&body);
        return status;
    }
    consumer->body_next = body;
    return STATUS_OK;
}

static enum status create_token_check(struct consumers *consumers, struct consumer_request *request)
{
    if (request->token.in_snapshot) {
        detail_set(&request->detail,
                   "A consumer begins at a position, not within a snapshot; finish that first");
        return STATUS_INVALID;
    }
    enum status status = journal_position_check(consumers->journal, &request->token.position);
    if (status == STATUS_INVALID) {
        detail_set(&request->detail, "The position is in the future");
    }
    struct position oldest;
    journal_oldest(consumers->journal, &oldest);
    if (status == STATUS_OK && request->token.position.sequence < oldest.sequence) {
        status = STATUS_POSITION_EXPIRED;
    }
    return status;
}

/* OK also when a store thread looks for the place: then the request arrives again. */
static enum status create_begin(struct consumer *consumer)
{
    struct consumers *consumers = consumer->consumers;
    struct consumer_request *request = consumer->change;
    struct position oldest;
    enum status status;
    switch (request->from) {
    case SUBSCRIBE_LATEST:
        return create_write(consumer, engine_published(consumers->options.engine),
                            consumers->wall_ms);
    case SUBSCRIBE_EARLIEST:
        journal_oldest(consumers->journal, &oldest);
        consumers_find_first(consumers, request, oldest.sequence);
        return STATUS_OK;
    case SUBSCRIBE_TOKEN:
        status = create_token_check(consumers, request);
        if (status == STATUS_OK) {
            consumers_find_first(consumers, request, request->token.position.sequence);
        }
        return status;
    case SUBSCRIBE_TIME:
        if (request->time_ms > consumers->wall_ms) {
            detail_set(&request->detail, "The time to begin at is in the future");
            return STATUS_INVALID;
        }
        consumers_find_time(consumers, request);
        return STATUS_OK;
    case SUBSCRIBE_SNAPSHOT:
        detail_set(&request->detail, "A consumer does not begin with a snapshot; read GET /changes "
                                     "with from=snapshot, and begin at its position");
        return STATUS_INVALID;
    }
    UNREACHABLE();
}

/* The job is back: found_sequence is the last entry before where the consumer begins. */
static enum status create_found(struct consumer *consumer)
{
    struct consumer_request *request = consumer->change;
    ASSERT(request->was_found);
    if (request->found_status == STATUS_NOT_FOUND) {
        /* There is nothing behind it yet. */
        return create_write(consumer, request->found_sequence, consumer->consumers->wall_ms);
    }
    if (request->found_status == STATUS_POSITION_EXPIRED && request->from == SUBSCRIBE_EARLIEST) {
        request->was_found = false; /* retention went on meanwhile: it is looked for anew */
        return create_begin(consumer);
    }
    if (request->found_status != STATUS_OK) {
        return request->found_status;
    }
    return create_write(consumer, request->found_sequence, request->found_time_ms);
}

/* True when the definition is as it was. */
static enum status redefine_begin(struct consumer *consumer, bool *equal_out)
{
    const struct consumer_request *request = consumer->change;
    struct consumer_body *body = consumer->body;
    *equal_out = false;
    if (request->group != (body->group != NULL)) {
        detail_set(&consumer->change->detail,
                   body->group != NULL
                       ? "This consumer is a group, which cannot be undone; delete it first"
                       : "This consumer is no group and cannot become one; delete it first");
        return STATUS_CONFLICT;
    }
    size_t size;
    uint8_t *definition =
        consumer_definition_create(request->collection, request->pattern, request->group, &size);
    if (definition == NULL) {
        return STATUS_NO_MEMORY;
    }
    *equal_out = document_equal(bytes_of(definition, size),
                                bytes_of(body->definition, body->definition_size));
    enum status status =
        *equal_out ? STATUS_OK : record_put(consumer, body, bytes_of(definition, size));
    if (*equal_out || status != STATUS_OK) {
        free(definition);
        return status;
    }
    consumer->definition_next = definition;
    consumer->definition_next_size = size;
    return STATUS_OK;
}

static void change_begin(struct consumer *consumer)
{
    enum status status = STATUS_OK;
    bool ended = false;
    if (consumer->change->kind == CONSUMER_PUT) {
        status = consumer->body == NULL ? create_begin(consumer) : redefine_begin(consumer, &ended);
    } else if (consumer->body == NULL) {
        status = STATUS_NOT_FOUND;
    } else {
        record_submit(consumer, REQUEST_DELETE, BYTES_EMPTY);
    }
    if (ended || status != STATUS_OK) {
        change_end(consumer, status);
    }
}

void consumer_change(struct consumers *consumers, struct consumer_request *request)
{
    struct consumer *consumer = request->kind == CONSUMER_PUT
                                    ? consumer_get(consumers, request->name)
                                    : consumer_find(consumers, request->name);
    if (consumer == NULL) {
        consumer_finish(consumers, request,
                        request->kind == CONSUMER_PUT ? STATUS_NO_MEMORY : STATUS_NOT_FOUND);
        return;
    }
    if (request->was_found) {
        ASSERT(consumer->change == request);
        enum status status = create_found(consumer);
        if (status != STATUS_OK) {
            change_end(consumer, status);
        }
    } else {
        list_push_back(&consumer->changes, &request->link);
    }
    consumer_advance(consumer);
}

void consumer_advance(struct consumer *consumer)
{
    struct link *at;
    while (!consumer->is_writing && consumer->change == NULL &&
           (at = list_pop_front(&consumer->changes)) != NULL) {
        consumer->change = CONTAINER_OF(at, struct consumer_request, link);
        change_begin(consumer);
    }
    bool is_cooling = link_is_linked(&consumer->of_cooling);
    if (consumer->dirty && !is_cooling && !consumer->is_writing && consumer->change == NULL) {
        ASSERT(consumer->body != NULL);
        acks_write(consumer);
    }
    consumer_settle(consumer);
}

/* ---- a write is done ---- */

static void body_remove(struct consumer *consumer)
{
    if (consumer->body->group != NULL) {
        group_empty(consumer);
    }
    consumer_body_destroy(&consumer->body);
    total_give_back(consumer->consumers);
    consumer->dirty = false;
    acks_finish(consumer, &consumer->acks_writing, STATUS_NOT_FOUND, NULL);
    acks_finish(consumer, &consumer->acks, STATUS_NOT_FOUND, NULL);
}

static void created_take(struct consumer *consumer, enum status status)
{
    struct consumer_body *body = consumer->body_next;
    consumer->body_next = NULL;
    if (status == STATUS_OK) {
        consumer->body = body;
        consumer->change->created = true;
        return;
    }
    consumer_body_destroy(&body);
    total_give_back(consumer->consumers);
}

static void definition_take(struct consumer *consumer, enum status status)
{
    struct consumer_body *body = consumer->body;
    if (status != STATUS_OK) {
        free(consumer->definition_next);
    } else {
        consumer_body_define(body, consumer->definition_next, consumer->definition_next_size);
        body->generation = consumers_generation_next(consumer->consumers);
        if (body->group != NULL) {
            group_refresh(consumer);
        }
    }
    consumer->definition_next = NULL;
}

void consumer_written(struct consumer *consumer)
{
    ASSERT(consumer->is_writing);
    ASSERT(consumer->consumers->writes > 0);
    struct consumer_request *change = consumer->change;
    enum status status = consumer->request.status;
    struct detail detail = consumer->request.detail;
    bool is_delete = consumer->request.kind == REQUEST_DELETE;
    request_release(&consumer->request);
    free(consumer->document);
    consumer->document = NULL;
    consumer->is_writing = false;
    consumer->consumers->writes--;
    if (is_delete && status == STATUS_OK) {
        body_remove(consumer);
    } else if (consumer->body_next != NULL) {
        created_take(consumer, status);
    } else if (consumer->definition_next != NULL) {
        definition_take(consumer, status);
    }
    struct consumer_body *body = consumer->body;
    if (!is_delete && body != NULL) {
        if (status == STATUS_OK) {
            memcpy(body->written, body->writing, body->slot_count * sizeof(uint64_t));
        }
        acks_finish(consumer, &consumer->acks_writing, status, &detail);
    }
    if (change != NULL) {
        change->detail = detail;
        change_end(consumer, status);
    }
    consumer_advance(consumer);
}
