/*
 * The long way of a GET, and reads by store threads.
 *
 * Nothing stale is ever filled: a store thread's read stands on the key's state, and an apply on
 * that key answers its readers with the new state and lets the read's result be thrown away when it
 * comes back. So a reader may join a read that began before it: had the record changed since, the
 * read would no longer stand there.
 */
#include <stdlib.h>

#include "engine/shard/shard_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* One in so many reads in a form that is not cached puts the entry in that form. */
#define CONVERSIONS_PER_CHANGE 4

static uint64_t sum_or_never(uint64_t now, uint64_t duration)
{
    return duration == 0 || duration > UINT64_MAX - now ? UINT64_MAX : now + duration;
}

enum status record_view_body(struct engine_thread *thread, struct record_view *view,
                             enum record_form form, struct bytes *body_out)
{
    struct bytes *body = &view->bodies[form];
    enum status status = STATUS_OK;
    if (body->data == NULL && form == RECORD_JSON) {
        struct writer json = writer_of(thread->scratch_json, RECORD_JSON_BYTES_MAX);
        status = document_record_to_json(view->id, view->document, &json);
        *body = status == STATUS_OK ? writer_bytes(&json) : BYTES_EMPTY;
    } else if (body->data == NULL) {
        struct writer record = writer_of(thread->scratch_record, RECORD_BYTES_MAX);
        if (!document_is_object(view->document)) {
            return STATUS_DAMAGED;
        }
        document_write_record(&record, view->id, view->document);
        ASSERT(!record.failed);
        *body = writer_bytes(&record);
    }
    *body_out = *body;
    return status;
}

bool cache_fill(struct shard *shard, const struct collection *collection, uint64_t hash,
                struct bytes key, const struct row_record *record, struct record_view *view,
                enum record_form form)
{
    struct bytes body = BYTES_EMPTY;
    if (!collection->cached ||
        (view != NULL && record_view_body(shard->thread, view, form, &body) != STATUS_OK)) {
        return false;
    }
    const struct engine_thread *thread = shard->thread;
    uint64_t ttl_ns = atomic_load_explicit(&collection->ttl.record_ns, memory_order_relaxed);
    uint64_t popular_ns = atomic_load_explicit(&collection->ttl.popular_ns, memory_order_relaxed);
    struct cache_meta meta = {
        .made_at_ms = thread->wall_ms,
        .expires_at_ns = sum_or_never(thread->now_ns, ttl_ns),
        .class = CACHE_RECORD,
        .absent = view == NULL,
        .form = (uint8_t)form,
        .epoch = record->epoch,
        .sequence = record->sequence,
    };
    if (view != NULL) {
        meta.version = record->version;
        meta.popular_expires_at_ns = popular_ns == 0 ? 0 : sum_or_never(thread->now_ns, popular_ns);
        meta.popular_hits =
            atomic_load_explicit(&collection->ttl.popular_hits, memory_order_relaxed);
    }
    struct cache_body before;
    if (popular_ns != 0 &&
        cache_peek(shard->cache, cache_hash_of(hash), key, thread->now_ns, &before)) {
        meta.hits = before.meta.hits; /* a new version of a popular record is popular */
    }
    return cache_put(shard->cache, cache_hash_of(hash), key, &meta, &body, 1) == STATUS_OK;
}

/* What the store does not have: as of now, all of the shard's entries up to here being in it. */
static struct row_record absent_now(const struct shard *shard)
{
    return (struct row_record){
        .epoch = shard->engine->journal->epoch,
        .sequence = atomic_load_explicit(&shard->applied, memory_order_relaxed),
    };
}

/* ---- answers ---- */

static void answer_record(struct shard *shard, struct request *request,
                          const struct row_record *record, struct record_view *view)
{
    request->epoch = record->epoch;
    request->sequence = record->sequence;
    request->version = record->version;
    request->made_at_ms = shard->thread->wall_ms;
    struct bytes body;
    enum status status = record_view_body(shard->thread, view, request->form, &body);
    if (status == STATUS_OK) {
        status = request_answer(shard->engine, request, body);
    }
    request_complete(shard->thread, request, status);
}

static enum cache_outcome outcome_of(const struct request *request, bool stored, bool shared)
{
    if (!request->collection->cached) {
        return CACHE_OFF;
    }
    if (request->refresh) {
        return stored ? CACHE_REFRESH_STORED : CACHE_REFRESH_UNSTORED;
    }
    if (shared) {
        return CACHE_COLLAPSED;
    }
    return stored ? CACHE_MISS_STORED : CACHE_MISS_UNSTORED;
}

static uint64_t ttl_of(const struct request *request, bool stored)
{
    return stored ? atomic_load_explicit(&request->collection->ttl.record_ns, memory_order_relaxed)
                  : 0;
}

static void answer_absent(struct shard *shard, struct request *request,
                          const struct row_record *record)
{
    request->epoch = record->epoch;
    request->sequence = record->sequence;
    request->version = 0;
    request_complete(shard->thread, request, STATUS_NOT_FOUND);
}

/* Answers each reader with the same state; the first is the one for whom the cache was filled. */
static void answer_readers(struct shard *shard, struct key_state *key,
                           const struct row_record *record, struct record_view *view, bool stored)
{
    bool shared = false;
    struct link *at;
    while ((at = list_pop_front(&key->readers)) != NULL) {
        struct request *request = CONTAINER_OF(at, struct request, link);
        request->cache = outcome_of(request, stored, shared);
        request->ttl_ns = ttl_of(request, stored);
        request->made_at_ms = shard->thread->wall_ms;
        if (view == NULL) {
            answer_absent(shard, request, record);
        } else {
            answer_record(shard, request, record, view);
        }
        shared = true;
    }
}

static void fail_readers(struct shard *shard, struct key_state *key, enum status status)
{
    struct link *at;
    while ((at = list_pop_front(&key->readers)) != NULL) {
        request_complete(shard->thread, CONTAINER_OF(at, struct request, link), status);
    }
}

/* The row rendered in one form, which a damaged one cannot be. */
static enum status row_render(struct shard *shard, struct bytes id, struct bytes row,
                              enum record_form form, struct row_record *record_out,
                              struct record_view *view_out)
{
    enum status status = row_record_read(row, record_out);
    if (status != STATUS_OK) {
        return status;
    }
    *view_out = (struct record_view){.id = id, .document = record_out->document};
    struct bytes body;
    return record_view_body(shard->thread, view_out, form, &body);
}

/* ---- reads by store threads ---- */

static void read_run(struct store_job *job)
{
    struct pending_read *read = CONTAINER_OF(job, struct pending_read, job);
    struct store *store = read->shard->store;
    struct store_value value;
    read->status = store_get(store, bytes_of(read->row_key, read->row_key_size), true, &value);
    if (read->status != STATUS_OK) {
        return;
    }
    read->value = malloc(value.bytes.size + 1);
    if (read->value == NULL) {
        read->status = STATUS_NO_MEMORY;
    } else {
        memcpy(read->value, value.bytes.data, value.bytes.size);
        read->value_size = value.bytes.size;
    }
    store_value_release(store, &value);
}

static const struct collection *collection_of_key(const struct shard *shard, struct bytes key,
                                                  struct bytes *id_out)
{
    const uint8_t *end = memchr(key.data, 0, key.size);
    ASSERT(end != NULL);
    struct bytes name = bytes_of(key.data, (size_t)(end - key.data));
    *id_out = bytes_slice(key, name.size + 1, key.size);
    for (uint32_t i = 0; i < shard->engine->options.collection_count; i++) {
        if (bytes_equal(shard->engine->options.collections[i].name, name)) {
            return &shard->engine->options.collections[i];
        }
    }
    UNREACHABLE();
}

static void read_finish(struct shard *shard, struct key_state *key, enum status status,
                        struct bytes row)
{
    struct bytes name = bytes_of(key->key, key->key_size);
    if (name.data[0] == 2 || list_is_empty(&key->readers)) {
        write_resume(shard, key, status, row);
        return;
    }
    struct bytes id;
    const struct collection *collection = collection_of_key(shard, name, &id);
    struct row_record record;
    struct record_view view;
    enum record_form form = CONTAINER_OF(key->readers.next, struct request, link)->form;
    enum status read_status = status;
    if (status == STATUS_OK) {
        read_status = row_render(shard, id, row, form, &record, &view);
    }
    if (read_status == STATUS_OK) {
        bool stored = cache_fill(shard, collection, key->hash, name, &record, &view, form);
        answer_readers(shard, key, &record, &view, stored);
    } else if (read_status == STATUS_NOT_FOUND) {
        record = absent_now(shard);
        bool stored = cache_fill(shard, collection, key->hash, name, &record, NULL, form);
        answer_readers(shard, key, &record, NULL, stored);
    } else {
        fail_readers(shard, key, read_status);
    }
    write_resume(shard, key, status, row);
}

static void read_came_back(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct pending_read *read = CONTAINER_OF(job, struct pending_read, job);
    struct key_state *key = read->key;
    if (key != NULL) {
        ASSERT(key->read == read);
        key->read = NULL;
        read_finish(read->shard, key, read->status, bytes_of(read->value, read->value_size));
        key_table_settle(&read->shard->keys, key);
    }
    free(read->value);
    free(read);
}

bool read_start(struct shard *shard, struct key_state *key)
{
    if (key->read != NULL) {
        return true;
    }
    struct pending_read *read = malloc(sizeof(*read));
    if (read == NULL) {
        return false;
    }
    read->shard = shard;
    read->key = key;
    read->value = NULL;
    read->value_size = 0;
    struct writer row_key = writer_of(read->row_key, sizeof(read->row_key));
    struct bytes name = bytes_of(key->key, key->key_size);
    if (name.data[0] == 2) {
        row_idempotency_key(bytes_slice(name, 1, name.size), &row_key);
    } else {
        struct bytes id;
        const struct collection *collection = collection_of_key(shard, name, &id);
        row_record_key(collection->name, id, &row_key);
    }
    ASSERT(!row_key.failed);
    read->row_key_size = row_key.size;
    read->job = (struct store_job){
        .message = {.receive = read_came_back},
        .reply_to = &shard->thread->mailbox,
        .run = read_run,
    };
    key->read = read;
    executor_submit(shard->engine->options.executor, &read->job);
    return true;
}

void read_overtaken(struct shard *shard, struct key_state *key, const struct write *write,
                    struct record_view *view)
{
    if (key->read == NULL) {
        return;
    }
#ifdef FRESHET_PLANT_REFILL_RACE
    return; /* planted: the read that began before this apply still fills the cache */
#endif
    ASSERT(list_is_empty(&key->parked));
    key->read->key = NULL;
    key->read = NULL;
    const struct row_record record = {
        .version = write->entry.version,
        .epoch = write->commit.epoch,
        .sequence = write->commit.sequence,
        .time_ms = write->commit.time_ms,
        .document = write->entry.new_document,
    };
    answer_readers(shard, key, &record, write->entry.kind == ENTRY_PUT ? view : NULL,
                   write->collection->cached);
}

/* ---- GET at the owner ---- */

/*
 * A body that is cached in the other form. Whoever asks for this form again and again has the entry
 * changed over; but not at once, or readers of both forms would put it each time.
 */
static enum status answer_converted(struct shard *shard, struct request *request, struct bytes key,
                                    struct cache_body *cached)
{
    struct engine_thread *thread = shard->thread;
    bool to_json = request->form == RECORD_JSON;
    struct writer body = to_json ? writer_of(thread->scratch_json, RECORD_JSON_BYTES_MAX)
                                 : writer_of(thread->scratch_record, RECORD_BYTES_MAX);
    enum status status = to_json ? document_to_json(cached->body, &body)
                                 : json_rendered_to_document(cached->body, &body);
    if (status != STATUS_OK) {
        return status;
    }
    if (++thread->conversions % CONVERSIONS_PER_CHANGE == 0) {
        struct cache_meta meta = cached->meta;
        struct bytes bytes = writer_bytes(&body);
        meta.form = (uint8_t)request->form;
        if (cache_put(shard->cache, cache_hash_of(request->hash), key, &meta, &bytes, 1) !=
            STATUS_OK) {
            request->ttl_ns = 0; /* it is no longer cached: the next reader asks the store */
        }
    }
    return request_answer(shard->engine, request, writer_bytes(&body));
}

static bool read_from_cache(struct shard *shard, struct request *request, struct bytes key)
{
    if (request->refresh || !request->collection->cached) {
        return false;
    }
    struct cache_body body;
    if (cache_get(shard->cache, cache_hash_of(request->hash), key, shard->thread->now_ns,
                  shard->thread->scratch_small, &body) != STATUS_OK) {
        return false;
    }
    request->cache = CACHE_HIT;
    request->epoch = body.meta.epoch;
    request->sequence = body.meta.sequence;
    request->version = body.meta.version;
    request->made_at_ms = body.meta.made_at_ms;
    request->ttl_ns = body.meta.expires_at_ns - shard->thread->now_ns;
    enum status status = STATUS_NOT_FOUND;
    if (!body.meta.absent && body.meta.form != request->form) {
        status = answer_converted(shard, request, key, &body);
    } else if (!body.meta.absent) {
        status = request_answer(shard->engine, request, body.body);
    }
    if (body.pin != NULL) {
        cache_unpin(shard->cache, &body);
    }
    request_complete(shard->thread, request, status);
    return true;
}

static void read_from_store(struct shard *shard, struct request *request, struct bytes key)
{
    uint8_t row_key_bytes[ROW_KEY_BYTES_MAX];
    struct writer row_key = writer_of(row_key_bytes, sizeof(row_key_bytes));
    row_record_key(request->collection->name, request->id, &row_key);
    struct store_value value;
    enum status status = store_get(shard->store, writer_bytes(&row_key), false, &value);
    if (status == STATUS_WOULD_BLOCK) {
        struct key_state *state = key_table_get(&shard->keys, request->hash, key);
        if (state == NULL || !read_start(shard, state)) {
            request_complete(shard->thread, request, STATUS_NO_MEMORY);
            if (state != NULL) {
                key_table_settle(&shard->keys, state);
            }
            return;
        }
        list_push_back(&state->readers, &request->link);
        return;
    }
    bool found = status == STATUS_OK;
    bool stored = false;
    struct row_record record;
    struct record_view view;
    if (found) {
        status = row_render(shard, request->id, value.bytes, request->form, &record, &view);
    }
    if (status == STATUS_OK) {
        stored = cache_fill(shard, request->collection, request->hash, key, &record, &view,
                            request->form);
    } else if (status == STATUS_NOT_FOUND) {
        record = absent_now(shard);
        stored = cache_fill(shard, request->collection, request->hash, key, &record, NULL,
                            request->form);
    }
    request->cache = outcome_of(request, stored, false);
    request->ttl_ns = ttl_of(request, stored);
    request->made_at_ms = shard->thread->wall_ms;
    if (status == STATUS_OK) {
        answer_record(shard, request, &record, &view);
    } else if (status == STATUS_NOT_FOUND) {
        answer_absent(shard, request, &record);
    } else {
        request_complete(shard->thread, request, status);
    }
    if (found) {
        store_value_release(shard->store, &value);
    }
}

void read_submit(struct shard *shard, struct request *request)
{
    ASSERT(request->kind == REQUEST_GET);
    uint8_t key_bytes[RECORD_KEY_BYTES_MAX];
    struct writer writer = writer_of(key_bytes, sizeof(key_bytes));
    struct bytes key = record_key(request->collection, request->id, &writer);
    if (read_from_cache(shard, request, key)) {
        return;
    }
    struct key_state *state = key_table_find(&shard->keys, request->hash, key);
    if (state != NULL && state->read != NULL) {
        list_push_back(&state->readers, &request->link);
        return;
    }
    read_from_store(shard, request, key);
}
