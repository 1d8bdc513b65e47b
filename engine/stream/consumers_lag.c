/*
 * What a consumer has not acknowledged yet, and the list of all consumers with it.
 *
 * Few and recent entries are looked at one by one. Beyond that events are what sequences say, and
 * the time of the first is found by a store thread where one consumer is asked for.
 */
#include <stdlib.h>

#include "engine/stream/consumers_internal.h"

static bool entry_is_internal(const struct entry *entry)
{
    return entry->kind == ENTRY_INTERNAL ||
           (entry->collection.size > 0 && entry->collection.data[0] == '_');
}

/* ---- recent entries ---- */

bool consumers_passed(struct consumers *consumers, uint64_t after, uint64_t through)
{
    ASSERT(after < through);
    struct recent_cursor cursor = {0};
    struct entry entry;
    if (through - after > CONSUMER_PASSED_ENTRIES ||
        recent_seek(consumers->journal->recent, after + 1, &cursor) != STATUS_OK) {
        return true;
    }
    uint64_t seen = after;
    bool passed = false;
    while (!passed && recent_next(consumers->journal->recent, &cursor, through, &entry)) {
        passed = !entry_is_internal(&entry);
        seen = entry.sequence;
    }
    recent_release(&cursor);
    return passed || seen < through;
}

bool consumers_time_of(struct consumers *consumers, uint64_t sequence, uint64_t *time_ms_out)
{
    struct recent_cursor cursor = {0};
    struct entry entry;
    if (sequence == 0 || recent_seek(consumers->journal->recent, sequence, &cursor) != STATUS_OK) {
        return false;
    }
    bool found = recent_next(consumers->journal->recent, &cursor, sequence, &entry);
    if (found) {
        *time_ms_out = entry.time_ms;
    }
    recent_release(&cursor);
    return found;
}

/* Whether it is a change that the consumer has still to acknowledge. */
static bool entry_counts(const struct consumer_body *body, const struct entry *entry)
{
    uint32_t slot = body->group == NULL ? 0 : entry->slot;
    if (entry_is_internal(entry) || entry->sequence <= body->acked[slot]) {
        return false;
    }
    return body->collection.size == 0 || bytes_equal(body->collection, entry->collection);
}

/* ---- of one consumer ---- */

static uint64_t age_of(const struct consumers *consumers, uint64_t time_ms)
{
    return consumers->wall_ms > time_ms ? consumers->wall_ms - time_ms : 0;
}

bool consumer_lag_read(const struct consumer *consumer, uint64_t *budget,
                       struct consumer_lag *lag_out)
{
    struct consumers *consumers = consumer->consumers;
    const struct consumer_body *body = consumer->body;
    uint64_t lowest = sequences_lowest(body->acked, body->slot_count);
    uint64_t published = engine_published(consumers->options.engine);
    *lag_out = (struct consumer_lag){0};
    if (lowest >= published) {
        return true;
    }
    uint64_t seen = lowest;
    uint64_t time_ms = body->time_ms;
    bool is_recent = false;
    struct recent_cursor cursor = {0};
    struct entry entry;
    if (recent_seek(consumers->journal->recent, lowest + 1, &cursor) == STATUS_OK) {
        is_recent = true;
        while (*budget > 0 && recent_next(consumers->journal->recent, &cursor, published, &entry)) {
            (*budget)--;
            seen = entry.sequence;
            if (entry_counts(body, &entry)) {
                time_ms = lag_out->events == 0 ? entry.time_ms : time_ms;
                lag_out->events++;
            }
        }
        recent_release(&cursor);
    }
    lag_out->events += published - seen;
    if (lag_out->events == 0) {
        return true;
    }
    lag_out->bytes = journal_bytes_behind(consumers->journal, lowest);
    lag_out->age_ms = age_of(consumers, time_ms);
    return is_recent;
}

/* ---- what a store thread finds ---- */

static void found(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct consumer_request *request = CONTAINER_OF(job, struct consumer_request, job);
    ASSERT(request->was_found);
    list_push_back(&request->owner->arrived, &request->link);
}

static void job_submit(struct consumers *consumers, struct consumer_request *request,
                       void (*run)(struct store_job *job))
{
    ASSERT(!request->was_found);
    ASSERT(!link_is_linked(&request->link));
    request->was_found = true;
    request->job.run = run;
    request->job.message.receive = found;
    request->job.reply_to = engine_thread_mailbox(consumers->options.engine_thread);
    executor_submit(consumers->options.executor, &request->job);
}

static void time_find_run(struct store_job *job)
{
    struct consumer_request *request = CONTAINER_OF(job, struct consumer_request, job);
    uint64_t sequence = 0;
    request->found_status = journal_find_time(request->owner->journal, request->time_ms, &sequence);
    request->found_sequence = sequence > 0 ? sequence - 1 : 0;
    request->found_time_ms = request->time_ms;
}

static void first_find_run(struct store_job *job)
{
    struct consumer_request *request = CONTAINER_OF(job, struct consumer_request, job);
    struct journal *journal = request->owner->journal;
    struct journal_reader *reader;
    struct entry entry;
    enum status status = journal_reader_create(journal, request->found_sequence + 1, &reader);
    if (status == STATUS_OK) {
        status = journal_reader_next(journal, reader, &entry);
        request->found_time_ms = status == STATUS_OK ? entry.time_ms : 0;
        journal_reader_destroy(journal, reader);
    }
    request->found_status = status;
}

void consumers_find_time(struct consumers *consumers, struct consumer_request *request)
{
    job_submit(consumers, request, time_find_run);
}

void consumers_find_first(struct consumers *consumers, struct consumer_request *request,
                          uint64_t after)
{
    request->found_sequence = after;
    job_submit(consumers, request, first_find_run);
}

/* ---- the list ---- */

/* Rows by name. What did not fit is not there at all: from the first name that was left out on,
 * nothing is taken. */
struct consumer_listing {
    uint32_t count;
    size_t bytes;      /* of the rows' memory */
    size_t bound_size; /* 0: nothing was left out */
    uint8_t bound[CONSUMER_NAME_BYTES_MAX];
    struct consumer_row rows[CONSUMER_LIST_MAX + 1];
};

void consumer_listing_destroy(struct consumer_listing **listing)
{
    if (*listing == NULL) {
        return;
    }
    for (uint32_t i = 0; i < (*listing)->count; i++) {
        free((*listing)->rows[i].memory);
    }
    free(*listing);
    *listing = NULL;
}

static size_t row_bytes(const struct consumer_row *row)
{
    return row->name.size + row->definition.size;
}

/* Over a limit the last row goes; one always stays. */
static void listing_cut(struct consumer_listing *listing, uint32_t limit)
{
    while (listing->count > 1 &&
           (listing->count > limit || listing->bytes > CONSUMER_LIST_BYTES_MAX)) {
        struct consumer_row *last = &listing->rows[listing->count - 1];
        listing->bound_size = last->name.size;
        memcpy(listing->bound, last->name.data, last->name.size);
        listing->bytes -= row_bytes(last);
        listing->count--;
        free(last->memory);
    }
}

/* The place of a name, which is not in it. */
static uint32_t listing_place(const struct consumer_listing *listing, struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = listing->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (bytes_compare(listing->rows[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum status listing_add(struct consumer_listing *listing, struct consumer *consumer,
                               uint32_t limit)
{
    const struct consumer_body *body = consumer->body;
    struct bytes name = consumer_name(consumer);
    ASSERT(listing->count <= CONSUMER_LIST_MAX);
    if (listing->bound_size > 0 &&
        bytes_compare(name, bytes_of(listing->bound, listing->bound_size)) >= 0) {
        return STATUS_OK;
    }
    uint8_t *memory = malloc(name.size + body->definition_size);
    if (memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(memory, name.data, name.size);
    memcpy(memory + name.size, body->definition, body->definition_size);
    uint32_t place = listing_place(listing, name);
    memmove(&listing->rows[place + 1], &listing->rows[place],
            (listing->count - place) * sizeof(listing->rows[0]));
    listing->rows[place] = (struct consumer_row){
        .name = bytes_of(memory, name.size),
        .definition = bytes_of(memory + name.size, body->definition_size),
        .sequence = sequences_lowest(body->written, body->slot_count),
        .is_group = body->group != NULL,
        .member_count = body->group == NULL ? 0 : body->group->member_count,
        .consumer = consumer,
        .memory = memory,
    };
    listing->count++;
    listing->bytes += name.size + body->definition_size;
    listing_cut(listing, limit);
    return STATUS_OK;
}

/* Lags are read when it is known which rows stay. */
static void listing_lags(struct consumer_listing *listing)
{
    uint64_t budget = CONSUMER_LIST_ENTRIES;
    for (uint32_t i = 0; i < listing->count; i++) {
        struct consumer_row *row = &listing->rows[i];
        if (row->consumer != NULL) {
            (void)consumer_lag_read(row->consumer, &budget, &row->lag);
            row->consumer = NULL;
        }
    }
}

static enum status listing_add_all(struct consumers *consumers, struct consumer_request *request)
{
    for (uint32_t i = 0; i < CONSUMER_BUCKETS; i++) {
        for (struct consumer *at = consumers->buckets[i]; at != NULL; at = at->chain) {
            if (at->body == NULL || bytes_compare(consumer_name(at), request->after) <= 0) {
                continue;
            }
            enum status status = listing_add(request->listing, at, request->limit);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    listing_lags(request->listing);
    return STATUS_OK;
}

void consumers_list(struct consumers *consumers, struct consumer_request *request)
{
    const struct consumers_options *options = &consumers->options;
    if (request->listing == NULL) {
        request->listing = calloc(1, sizeof(*request->listing));
    }
    enum status status =
        request->listing == NULL ? STATUS_NO_MEMORY : listing_add_all(consumers, request);
    uint32_t next = options->thread_index + 1;
    if (status == STATUS_OK && next < options->thread_count) {
        request->owner = options->all[next]; /* where it arrives as it did here */
        engine_thread_post(options->engine_thread, next, &request->message);
        return;
    }
    if (status == STATUS_OK) {
        request->rows = request->listing->rows;
        request->row_count = request->listing->count;
        request->more = request->listing->bound_size > 0;
        request->position = consumers_token(consumers, 0);
    }
    consumer_finish(consumers, request, status);
}
