/*
 * A write from its arrival at the owner to the journal.
 *
 * It is evaluated against the newest state of its key, writes that are still on their way included.
 * What depends on such a write (a 412, a 404, an equal document, a repeated idempotency key) is
 * answered when that write is applied, never before: it follows it.
 */
#include <stdlib.h>

#include "engine/shard/evaluate.h"
#include "engine/shard/shard_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* What a follower is answered with when the write it follows is applied: kept in
 * request->engine_private. */
static const char follows_with_record = 'r';

/* ---- admission ---- */

static enum status admission(struct shard *shard, struct request *request)
{
    struct journal *journal = shard->engine->journal;
    enum status status = STATUS_OK;
    if (atomic_load_explicit(&journal->read_only, memory_order_acquire)) {
        detail_set(&request->detail, "the journal is read-only after a disk error; "
                                     "nothing was changed; see the log and restart");
        return STATUS_NOT_ACCEPTED;
    }
    if (shard_has_failed(shard)) {
        detail_set(&request->detail, "the record store failed and takes no writes; nothing was "
                                     "changed; see the log and restart");
        return STATUS_NOT_ACCEPTED;
    }
    uint32_t refusing = atomic_load_explicit(&journal->refusing, memory_order_relaxed);
    if (refusing == STATUS_BUSY || refusing == STATUS_DISK_FULL) {
        detail_set(&request->detail, "the disk is almost full; nothing was changed");
        status = STATUS_DISK_FULL;
    } else if (refusing != STATUS_OK) {
        detail_set(&request->detail, "the journal cannot make its next file; nothing was changed; "
                                     "it goes on by itself when the disk does; see the log");
        status = STATUS_NOT_ACCEPTED;
    } else if (atomic_load_explicit(&journal->queued_bytes, memory_order_relaxed) >
               shard->engine->options.queued_bytes_max) {
        detail_set(&request->detail, "too many writes are on their way; nothing was changed");
        status = STATUS_BUSY;
    } else if (shard->committed_count >= APPLY_QUEUE_MAX ||
               shard->committed_bytes > shard->engine->options.queued_bytes_max ||
               atomic_load_explicit(&shard->stalled, memory_order_relaxed)) {
        detail_set(&request->detail, "the store is behind; nothing was changed");
        status = STATUS_BUSY;
    }
    if (status != STATUS_OK) {
        atomic_fetch_add_explicit(&shard->refused_writes, 1, memory_order_relaxed);
    }
    return status;
}

/* ---- entries ---- */

/*
 * One block: the write, the encoded entry, and behind it the old document where the entry does not
 * carry it (its index rows must go all the same). The write's entry views the block.
 */
static enum status write_create(struct shard *shard, const struct entry *entry,
                                struct bytes old_document, struct write **out)
{
    *out = NULL;
    size_t encoded_size = entry_encoded_size(entry);
    size_t outside = entry->has_old_document ? 0 : old_document.size;
    size_t size = sizeof(struct write) + encoded_size + outside;
    struct write *write = malloc(size);
    if (write == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(write, 0, sizeof(*write));
    write->size = size;
    write->shard = shard;
    link_init(&write->of_key);
    link_init(&write->of_scope);
    link_init(&write->followers);
    struct writer encoded = writer_of(write->bytes, encoded_size);
    enum status status = entry_encode(entry, &encoded);
    if (status == STATUS_OK) {
        status = entry_view(writer_bytes(&encoded), &write->entry);
    }
    if (status != STATUS_OK) {
        free(write);
        return status;
    }
    ASSERT(write->entry.version == entry->version);
    if (outside > 0) {
        memcpy(write->bytes + encoded_size, old_document.data, outside);
        write->entry.old_document = bytes_of(write->bytes + encoded_size, outside);
    }
    write->commit.entry = writer_bytes(&encoded);
    *out = write;
    return STATUS_OK;
}

/* ---- answers that depend on nothing, or on a pending write ---- */

static enum status request_answer_record(struct engine_thread *thread, struct request *request,
                                         struct record_view *view)
{
    if (request->without_record) {
        return STATUS_OK;
    }
    struct bytes body;
    enum status status = record_view_body(thread, view, request->form, &body);
    return status == STATUS_OK ? request_answer(thread->engine, request, body) : status;
}

static void answer_with_document(struct shard *shard, struct request *request, struct bytes id,
                                 struct bytes document)
{
    struct record_view view = {.id = id, .document = document};
    request_complete(shard->thread, request, request_answer_record(shard->thread, request, &view));
}

static void follow(struct write *write, struct request *request, enum status status,
                   bool with_record)
{
    request->status = status;
    request->engine_private = with_record ? (void *)(uintptr_t)&follows_with_record : NULL;
    list_push_back(&write->followers, &request->link);
}

static void followers_complete(struct write *write, struct record_view *view)
{
    struct engine_thread *thread = write->shard->thread;
    struct link *at;
    while ((at = list_pop_front(&write->followers)) != NULL) {
        struct request *request = CONTAINER_OF(at, struct request, link);
        enum status status = write->commit.status;
        if (status == STATUS_OK) {
            status = request->status;
            request->epoch = write->commit.epoch;
            request->sequence = write->commit.sequence;
            request->version = write->entry.version;
            if (request->engine_private == &follows_with_record) {
                status = request_answer_record(thread, request, view);
            }
        }
        request_complete(thread, request, status);
    }
}

static void write_answer(struct write *write, struct record_view *view)
{
    struct request *request = write->request;
    enum status status = write->commit.status;
#ifdef FRESHET_PLANT_REPLY_BEFORE_APPLY
    if (request == NULL) {
        followers_complete(write, view);
        return;
    }
#endif
    request->epoch = write->commit.epoch;
    request->sequence = write->commit.sequence;
    request->version = write->entry.version;
    request->changed = status == STATUS_OK;
    request->created = write->entry.kind == ENTRY_PUT && !write->entry.has_old;
    if (status == STATUS_OK && write->entry.kind == ENTRY_PUT) {
        status = request_answer_record(write->shard->thread, request, view);
    }
    request_complete(write->shard->thread, request, status);
    followers_complete(write, view);
}

/* ---- the journal's answer ---- */

static void write_unlink(struct write *write)
{
    struct shard *shard = write->shard;
    if (write->key != NULL) {
        link_remove(&write->of_key);
        ASSERT(write->key->write_count > 0);
        write->key->write_count--;
        key_table_settle(&shard->keys, write->key);
    }
    if (write->scope != NULL) {
        link_remove(&write->of_scope);
        key_table_settle(&shard->keys, write->scope);
    }
}

void write_finish(struct write *write, struct record_view *view)
{
    write_unlink(write);
    write_answer(write, view);
    free(write);
}

static void write_committed(struct message *message)
{
    struct journal_commit *commit = CONTAINER_OF(message, struct journal_commit, message);
    struct write *write = CONTAINER_OF(commit, struct write, commit);
    struct shard *shard = write->shard;
    if (commit->status == STATUS_OK && shard_has_failed(shard)) {
        commit->status = STATUS_OUTCOME_UNKNOWN;
        write_finish(write, NULL);
        return;
    }
    if (commit->status == STATUS_OK) {
        ASSERT(commit->sequence > 0);
#ifdef FRESHET_PLANT_REPLY_BEFORE_APPLY
        if (write->entry.kind == ENTRY_DELETE) { /* planted: answered when it is committed */
            write->request->epoch = commit->epoch;
            write->request->sequence = commit->sequence;
            write->request->version = write->entry.version;
            write->request->changed = true;
            request_complete(shard->thread, write->request, STATUS_OK);
            write->request = NULL;
        }
#endif
        queue_push(&shard->committed, &write->queued);
        shard->committed_count++;
        shard->committed_bytes += write->size;
        atomic_store_explicit(&shard->queued_applies, shard->committed_count, memory_order_relaxed);
        return;
    }
    /* Whatever was evaluated on top of this write was submitted before we knew; the journal refuses
     * that too. */
    if (commit->refusals > shard->refusals_seen) {
        shard->refusals_seen = commit->refusals;
    }
    atomic_fetch_add_explicit(&shard->refused_writes, 1, memory_order_relaxed);
    write_finish(write, NULL);
}

static void commit_submit(struct shard *shard, struct write *write)
{
    write->commit.message.receive = write_committed;
    write->commit.reply_to = &shard->thread->mailbox;
    write->commit.shard = shard->number;
    write->commit.refusals = shard->refusals_seen;
    journal_submit(shard->engine->journal, &write->commit);
}

static void scope_enter(struct write *write, struct key_state *scope)
{
    if (scope != NULL) {
        write->scope = scope;
        list_push_back(&scope->writes, &write->of_scope);
    }
}

static void write_to_journal(struct shard *shard, struct key_state *key, struct key_state *scope,
                             struct request *request, const struct entry *entry,
                             struct bytes old_document)
{
    struct write *write;
    enum status status = write_create(shard, entry, old_document, &write);
    if (status != STATUS_OK) {
        request_complete(shard->thread, request, status);
        return;
    }
    write->collection = request->collection;
    write->request = request;
    write->key = key;
    list_push_back(&key->writes, &write->of_key);
    key->write_count++;
    scope_enter(write, scope);
    commit_submit(shard, write);
}

/* ---- evaluation ---- */

static struct write *newest_write(struct key_state *key)
{
    return list_is_empty(&key->writes) ? NULL
                                       : CONTAINER_OF(key->writes.previous, struct write, of_key);
}

static void entry_of(const struct request *request, const struct evaluate_state *state,
                     const struct evaluate_result *result, struct entry *out)
{
    bool is_put = result->verdict == EVALUATE_PUT;
    *out = (struct entry){
        .kind = is_put ? ENTRY_PUT : ENTRY_DELETE,
        .collection = request->collection->name,
        .id = request->id,
        .version = is_put ? state->version + 1 : state->version,
        .has_old = state->exists,
        .has_old_document = state->exists && request->collection->old_images,
        .old_document = request->collection->old_images ? state->document : BYTES_EMPTY,
        .new_document = is_put ? result->document : BYTES_EMPTY,
        .changed = result->changed,
    };
}

/* scope: of the request's idempotency key, or NULL. */
static void scope_put(const struct key_state *scope, const struct request *request,
                      struct entry *entry)
{
    if (scope != NULL) {
        entry->idempotency_key = bytes_of(scope->key + 1, (size_t)scope->key_size - 1);
        entry->idempotency_body_hash = bytes_of(request->body_hash, sizeof(request->body_hash));
    }
}

/* The request against one state. */
static void evaluate(struct shard *shard, struct key_state *key, struct key_state *scope,
                     struct request *request, const struct evaluate_state *state,
                     struct write *newest)
{
    struct engine_thread *thread = shard->thread;
    struct evaluate_scratch scratch = {
        .document = writer_of(thread->scratch_document, SCRATCH_DOCUMENT_BYTES),
        .patched = writer_of(thread->scratch_patched, SCRATCH_DOCUMENT_BYTES),
        .json = writer_of(thread->scratch_json, RECORD_JSON_BYTES_MAX),
    };
    struct evaluate_result result;
    evaluate_write(request, state, &scratch, &result);
    if (result.verdict == EVALUATE_PUT || result.verdict == EVALUATE_DELETE) {
        struct entry entry;
        entry_of(request, state, &result, &entry);
        entry.slot = (uint8_t)(request->hash & (SLOT_COUNT - 1));
        scope_put(scope, request, &entry);
        write_to_journal(shard, key, scope, request, &entry, state->document);
        return;
    }
    enum status status = result.verdict == EVALUATE_REFUSE ? result.status : STATUS_OK;
    bool with_record = result.verdict == EVALUATE_EQUAL;
    bool depends = state->pending;
#ifdef FRESHET_PLANT_FOLLOWER_EARLY
    depends = depends && result.verdict != EVALUATE_REFUSE;
#endif
    if (depends) {
        follow(newest, request, status, with_record);
        return;
    }
    request->epoch = state->epoch;
    request->sequence = state->sequence;
    request->version = state->version;
    if (result.verdict == EVALUATE_ABSENT) {
        request->epoch = shard->engine->journal->epoch;
        request->sequence = atomic_load_explicit(&shard->applied, memory_order_relaxed);
    }
    if (with_record) {
        answer_with_document(shard, request, request->id, state->document);
    } else {
        request_complete(thread, request, status);
    }
}

static void evaluate_on_pending(struct shard *shard, struct key_state *key, struct request *request)
{
    struct write *newest = newest_write(key);
    const struct evaluate_state state = {
        .exists = newest->entry.kind == ENTRY_PUT,
        .pending = true,
        .version = newest->entry.kind == ENTRY_PUT ? newest->entry.version : 0,
        .document = newest->entry.new_document,
    };
    if (key->write_count >= KEY_WRITES_PENDING_MAX) {
        detail_set(&request->detail, "too many writes of this record are on their way");
        request_complete(shard->thread, request, STATUS_BUSY);
        return;
    }
    evaluate(shard, key, NULL, request, &state, newest);
}

/* row: the store's value; status OK or NOT_FOUND. */
static void evaluate_on_row(struct shard *shard, struct key_state *key, struct request *request,
                            enum status status, struct bytes row)
{
    struct evaluate_state state = {.exists = false};
    if (status == STATUS_OK) {
        struct row_record record;
        status = row_record_read(row, &record);
        if (status != STATUS_OK) {
            request_complete(shard->thread, request, status);
            return;
        }
        state = (struct evaluate_state){
            .exists = true,
            .version = record.version,
            .epoch = record.epoch,
            .sequence = record.sequence,
            .document = record.document,
        };
    }
    evaluate(shard, key, NULL, request, &state, NULL);
}

/* ---- CREATE ---- */

/* Ids are drawn until the slot is the one that the shard, and the idempotency key's row, belong
 * to. */
static void create_draw_id(struct shard *shard, struct request *request)
{
    struct engine_thread *thread = shard->thread;
    uint64_t slot = request->hash & (SLOT_COUNT - 1);
    request->new_id = bytes_of(request->new_id_text, UUID_TEXT_BYTES);
    do {
        uuid_v7(&thread->random, thread->wall_ms, request->new_id_text);
        request->hash = engine_hash(request->collection, request->new_id);
    } while ((request->hash & (SLOT_COUNT - 1)) != slot);
}

/*
 * Whether memory knows a record under the id. What only the disk could tell counts as free: the
 * filters of the files are in memory, so it is asked for an id that is not there only while they
 * are not read yet, and chance alone does not draw a taken id. Whoever could foresee ids, and PUTs
 * one in time, is met by this look.
 */
static bool id_is_taken(struct shard *shard, const struct request *request)
{
    uint8_t key_bytes[RECORD_KEY_BYTES_MAX];
    struct writer writer = writer_of(key_bytes, sizeof(key_bytes));
    struct bytes key = record_key(request->collection, request->new_id, &writer);
    if (key_table_find(&shard->keys, request->hash, key) != NULL) {
        return true;
    }
    uint8_t row_bytes[ROW_KEY_BYTES_MAX];
    struct writer row = writer_of(row_bytes, sizeof(row_bytes));
    row_record_key(request->collection->name, request->new_id, &row);
    struct store_value value;
    if (store_get(shard->store, writer_bytes(&row), false, &value) != STATUS_OK) {
        return false;
    }
    store_value_release(shard->store, &value);
    return true;
}

/* A new record under an id that is not taken. */
static void create_new(struct shard *shard, struct key_state *scope, struct request *request)
{
    if (scope != NULL || request->new_id.size == 0) {
        create_draw_id(shard, request);
    }
    for (uint32_t draws = 1; id_is_taken(shard, request); draws++) {
        if (draws == CREATE_DRAWS_MAX) {
            detail_set(&request->detail, "no free id was found; try again");
            request_complete(shard->thread, request, STATUS_BUSY);
            return;
        }
        create_draw_id(shard, request);
    }
    request->id = request->new_id;
    uint8_t key_bytes[RECORD_KEY_BYTES_MAX];
    struct writer writer = writer_of(key_bytes, sizeof(key_bytes));
    struct bytes key = record_key(request->collection, request->id, &writer);
    struct key_state *state = key_table_get(&shard->keys, request->hash, key);
    if (state == NULL) {
        request_complete(shard->thread, request, STATUS_NO_MEMORY);
        return;
    }
    ASSERT(list_is_empty(&state->writes) && state->read == NULL);
    const struct evaluate_state nothing = {.exists = false};
    evaluate(shard, state, scope, request, &nothing, NULL);
    key_table_settle(&shard->keys, state);
}

/* ---- EVENT ---- */

/* There is no state to judge it by, and none that it changes. */
static void event_new(struct shard *shard, struct key_state *scope, struct request *request)
{
    ASSERT(request->kind == REQUEST_EVENT);
    ASSERT(request->id.size > 0);
    struct entry entry = {
        .kind = ENTRY_EVENT,
        .slot = (uint8_t)(request->hash & (SLOT_COUNT - 1)),
        .id = request->id,
        .new_document = request->document,
    };
    scope_put(scope, request, &entry);
    struct write *write = NULL;
    enum status status = request->document.size > DOCUMENT_BYTES_MAX
                             ? STATUS_TOO_LARGE
                             : write_create(shard, &entry, BYTES_EMPTY, &write);
    if (status != STATUS_OK) {
        request_complete(shard->thread, request, status);
        return;
    }
    write->request = request;
    scope_enter(write, scope);
    commit_submit(shard, write);
}

/* ---- idempotency keys, of a CREATE or an EVENT ---- */

static bool may_repeat(const struct request *request)
{
    return request->kind == REQUEST_CREATE || request->kind == REQUEST_EVENT;
}

static void submit_new(struct shard *shard, struct key_state *scope, struct request *request)
{
    ASSERT(may_repeat(request));
    if (request->kind == REQUEST_CREATE) {
        create_new(shard, scope, request);
    } else {
        event_new(shard, scope, request);
    }
}

static bool same_body(struct request *request, struct bytes hash)
{
    if (bytes_equal(hash, bytes_of(request->body_hash, sizeof(request->body_hash)))) {
        return true;
    }
    detail_set(&request->detail, "this Idempotency-Key was used with another body");
    return false;
}

/* The same key again, while or after the first: the first answer. */
static void submit_again(struct shard *shard, struct request *request, struct bytes value)
{
    struct row_idempotency row;
    enum status status = row_idempotency_read(value, &row);
    if (status == STATUS_OK && !same_body(request, row.body_hash)) {
        status = STATUS_UNPROCESSABLE;
    }
    if (status != STATUS_OK) {
        request_complete(shard->thread, request, status);
        return;
    }
    bool of_event = row.version == 0;
    if (row.id.size != UUID_TEXT_BYTES || of_event != (request->kind == REQUEST_EVENT)) {
        request_complete(shard->thread, request, STATUS_DAMAGED);
        return;
    }
    memcpy(request->new_id_text, row.id.data, row.id.size);
    request->new_id = bytes_of(request->new_id_text, row.id.size);
    request->created = true;
    request->epoch = row.epoch;
    request->sequence = row.sequence;
    request->version = row.version;
    if (of_event) {
        request_complete(shard->thread, request, STATUS_OK);
    } else {
        answer_with_document(shard, request, request->new_id, row.document);
    }
}

static void submit_on_pending(struct key_state *scope, struct request *request)
{
    struct write *first = CONTAINER_OF(scope->writes.next, struct write, of_scope);
    if (!same_body(request, first->entry.idempotency_body_hash)) {
        follow(first, request, STATUS_UNPROCESSABLE, false);
        return;
    }
    memcpy(request->new_id_text, first->entry.id.data, first->entry.id.size);
    request->new_id = bytes_of(request->new_id_text, first->entry.id.size);
    request->created = true;
    follow(first, request, STATUS_OK, request->kind == REQUEST_CREATE);
}

static void submit_with_scope(struct shard *shard, struct key_state *scope, struct request *request,
                              enum status status, struct bytes row)
{
    if (!list_is_empty(&scope->writes)) {
        submit_on_pending(scope, request);
        return;
    }
    struct row_idempotency known;
    if (status == STATUS_OK && row_idempotency_read(row, &known) == STATUS_OK &&
        known.expires_ms <= shard->thread->wall_ms) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        submit_again(shard, request, row);
    } else {
        submit_new(shard, scope, request);
    }
}

/* ---- finding the newest state ---- */

static struct bytes pending_key(const struct request *request, struct writer *out)
{
    if (!may_repeat(request)) {
        return record_key(request->collection, request->id, out);
    }
    writer_u8(out, 2);
    writer_put(out, request->idempotency_key);
    ASSERT(!out->failed);
    return writer_bytes(out);
}

static void on_row(struct shard *shard, struct key_state *key, struct request *request,
                   enum status status, struct bytes row)
{
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        request_complete(shard->thread, request, status);
    } else if (may_repeat(request)) {
        submit_with_scope(shard, key, request, status, row);
    } else if (!list_is_empty(&key->writes)) {
        evaluate_on_pending(shard, key, request);
    } else {
        evaluate_on_row(shard, key, request, status, row);
    }
}

void write_resume(struct shard *shard, struct key_state *key, enum status status, struct bytes row)
{
    struct link parked;
    link_init(&parked);
    list_splice_back(&parked, &key->parked);
    struct link *at;
    while ((at = list_pop_front(&parked)) != NULL) {
        on_row(shard, key, CONTAINER_OF(at, struct request, link), status, row);
    }
}

/*
 * The document of a cached record: its JSON without the id, which stands first, as rendering puts
 * it. Numbers come back digit for digit, so the document is the one in the store.
 */
static bool document_of_json(struct engine_thread *thread, struct bytes id, struct bytes json,
                             struct bytes *document_out)
{
    struct writer text = writer_of(thread->scratch_json, RECORD_JSON_BYTES_MAX);
    writer_text(&text, "{\"id\":");
    json_string_write(&text, id);
    ASSERT(!text.failed && text.size < json.size);
    struct bytes rest = bytes_slice(json, text.size, json.size);
    text.size = 0;
    writer_u8(&text, '{');
    /* ",\"title\":…}" or "}" */
    writer_put(&text, rest.data[0] == ',' ? bytes_slice(rest, 1, rest.size) : rest);
    struct writer document = writer_of(thread->scratch_state, STATE_DOCUMENT_BYTES);
    if (json_to_document(writer_bytes(&text), &document, NULL) != STATUS_OK) {
        return false;
    }
    *document_out = writer_bytes(&document);
    return true;
}

/* The same of a record as MessagePack: its map begins with the id. */
static bool document_of_record(struct engine_thread *thread, struct bytes record,
                               struct bytes *document_out)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes id;
    if (!document_cursor_open(record, &cursor) || !document_next_member(&cursor, &name, &id)) {
        return false;
    }
    ASSERT(bytes_equal(name, BYTES_LITERAL("id")));
    struct writer document = writer_of(thread->scratch_state, STATE_DOCUMENT_BYTES);
    document_write_map(&document, cursor.left);
    writer_put(&document, reader_bytes(&cursor.reader, reader_left(&cursor.reader)));
    *document_out = writer_bytes(&document);
    return !document.failed;
}

static bool document_of_cached(struct engine_thread *thread, struct bytes id,
                               const struct cache_body *cached, struct bytes *document_out)
{
    if (cached->body.size > STATE_BODY_BYTES_MAX) {
        return false;
    }
    return cached->meta.form == RECORD_JSON
               ? document_of_json(thread, id, cached->body, document_out)
               : document_of_record(thread, cached->body, document_out);
}

/* An entry of the cache is the newest applied state, and cheaper to have than the store's row. */
static bool evaluate_on_cache(struct shard *shard, struct key_state *key, struct request *request)
{
    struct cache_body cached;
    struct bytes name = bytes_of(key->key, key->key_size);
    if (!request->collection->cached ||
        !cache_peek(shard->cache, cache_hash_of(key->hash), name, shard->thread->now_ns, &cached)) {
        return false;
    }
    struct evaluate_state state = {.exists = false};
    if (!cached.meta.absent) {
        state = (struct evaluate_state){
            .exists = true,
            .version = cached.meta.version,
            .epoch = cached.meta.epoch,
            .sequence = cached.meta.sequence,
        };
        if (!document_of_cached(shard->thread, request->id, &cached, &state.document)) {
            return false;
        }
    }
    evaluate(shard, key, NULL, request, &state, NULL);
    return true;
}

static void write_look_up(struct shard *shard, struct key_state *key, struct request *request)
{
    if (!may_repeat(request) && evaluate_on_cache(shard, key, request)) {
        return;
    }
    uint8_t row_key_bytes[ROW_KEY_BYTES_MAX + SCOPE_KEY_BYTES_MAX];
    struct writer row_key = writer_of(row_key_bytes, sizeof(row_key_bytes));
    if (may_repeat(request)) {
        row_idempotency_key(request->idempotency_key, &row_key);
    } else {
        row_record_key(request->collection->name, request->id, &row_key);
    }
    ASSERT(!row_key.failed);
    struct store_value value = {.bytes = BYTES_EMPTY};
    enum status status = store_get(shard->store, writer_bytes(&row_key), false, &value);
    if (status != STATUS_WOULD_BLOCK) {
        on_row(shard, key, request, status, value.bytes);
        if (status == STATUS_OK) {
            store_value_release(shard->store, &value);
        }
        return;
    }
    if (read_start(shard, key)) {
        list_push_back(&key->parked, &request->link);
    } else {
        request_complete(shard->thread, request, STATUS_NO_MEMORY);
    }
}

void write_submit(struct shard *shard, struct request *request)
{
    enum status status = admission(shard, request);
    if (status != STATUS_OK) {
        request_complete(shard->thread, request, status);
        return;
    }
    if (may_repeat(request) && request->idempotency_key.size == 0) {
        submit_new(shard, NULL, request);
        return;
    }
    uint8_t key_bytes[KEY_BYTES_MAX];
    struct writer writer = writer_of(key_bytes, sizeof(key_bytes));
    struct bytes name = pending_key(request, &writer);
    struct key_state *key = key_table_get(&shard->keys, request->hash, name);
    if (key == NULL) {
        request_complete(shard->thread, request, STATUS_NO_MEMORY);
    } else if (!list_is_empty(&key->writes)) {
        on_row(shard, key, request, STATUS_NOT_FOUND, BYTES_EMPTY);
    } else if (key->read != NULL) {
        list_push_back(&key->parked, &request->link);
    } else {
        write_look_up(shard, key, request);
    }
    if (key != NULL) {
        key_table_settle(&shard->keys, key);
    }
}
