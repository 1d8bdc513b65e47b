#include "engine/shard/engine.h"

#include <stdlib.h>
#include <xxhash.h>

#include "engine/shard/shard_internal.h"
#include "protocol/base/dice.h"

/* ---- making and ending ---- */

static void thread_deinit(struct engine_thread *thread)
{
    free(thread->scratch_document);
    free(thread->scratch_patched);
    free(thread->scratch_json);
    free(thread->scratch_record);
    free(thread->scratch_state);
    free(thread->scratch_small);
}

/* Scratch memory is large and mostly never touched, so it costs address space, not memory. */
static enum status thread_init(struct engine *engine, uint32_t index)
{
    struct engine_thread *thread = &engine->threads[index];
    thread->engine = engine;
    thread->index = index;
    link_init(&thread->done);
    link_init(&thread->position_waiters);
    link_init(&thread->gathers);
    link_init(&thread->gathers_waiting);
    atomic_init(&thread->seen, UINT64_MAX);
    /* All seeds are places in one cycle of the generator. Places next to each other would give two
     * threads the same numbers, and so the same ids: it takes a mixed number to begin far apart. */
    uint64_t seeds = engine->options.seed + index;
    thread->random = dice_roll(&seeds);
#ifdef FRESHET_PLANT_THREADS_SHARE_NUMBERS
    thread->random = engine->options.seed + index * DICE_STEP;
#endif
    thread->scratch_document = malloc(SCRATCH_DOCUMENT_BYTES);
    thread->scratch_patched = malloc(SCRATCH_DOCUMENT_BYTES);
    thread->scratch_json = malloc(RECORD_JSON_BYTES_MAX);
    thread->scratch_record = malloc(RECORD_BYTES_MAX);
    thread->scratch_state = malloc(STATE_DOCUMENT_BYTES);
    thread->scratch_small = malloc(CACHE_COPY_BYTES_MAX);
    if (thread->scratch_document == NULL || thread->scratch_patched == NULL ||
        thread->scratch_json == NULL || thread->scratch_record == NULL ||
        thread->scratch_state == NULL || thread->scratch_small == NULL) {
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static void shard_destroy(struct shard **shard)
{
    if (*shard == NULL) {
        return;
    }
    cache_destroy(&(*shard)->cache);
    if ((*shard)->batch != NULL) {
        (*shard)->store->vtable->batch_destroy((*shard)->batch);
    }
    store_buffer_destroy(&(*shard)->buffer);
    free(*shard);
    *shard = NULL;
}

/* Twice as many rows save little more. Keys and values have room for what is common. */
#define BUFFER_ROWS_DEFAULT     8192u
#define BUFFER_KEY_BYTES_MEAN   64u
#define BUFFER_VALUE_BYTES_MEAN 448u

static enum status shard_buffer_create(struct shard *shard, struct store *store)
{
    uint32_t rows = shard->engine->options.buffer_rows_max;
    rows = rows == 0 ? BUFFER_ROWS_DEFAULT : rows;
    const struct buffer_limits limits = {
        .rows_max = rows,
        .keys_bytes_max = rows * BUFFER_KEY_BYTES_MEAN,
        .values_bytes_max = rows * BUFFER_VALUE_BYTES_MEAN,
    };
    enum status status = store_buffer_create(store, &limits, &shard->buffer);
    if (status != STATUS_OK) {
        return status;
    }
    shard->store = store_buffer_store(shard->buffer);
    shard->batch = store_batch_create(shard->store);
    return shard->batch == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status shard_create(struct engine *engine, uint32_t number, struct shard **out)
{
    const struct engine_options *options = &engine->options;
    *out = NULL;
    struct shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        return STATUS_NO_MEMORY;
    }
    shard->number = number;
    shard->engine = engine;
    shard->thread = &engine->threads[number % options->thread_count];
    const struct cache_options cache_options = {
        .bytes_max = options->cache_bytes / options->shard_count,
        .shared = options->thread_count > 1,
    };
    enum status status = shard_buffer_create(shard, options->stores[number]);
    if (status == STATUS_OK) {
        status = cache_create(&cache_options, &shard->cache);
    }
    if (status != STATUS_OK) {
        shard_destroy(&shard);
        return status;
    }
    *out = shard;
    return STATUS_OK;
}

/* Where the store stands: all of it is in its files, since it was just opened. */
static enum status shard_position_read(struct shard *shard)
{
    uint8_t key_bytes[1];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_applied_key(&key);
    struct store_value value;
    enum status status = store_get(shard->store, writer_bytes(&key), true, &value);
    if (status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t epoch;
    uint64_t sequence;
    status = row_applied_read(value.bytes, &epoch, &sequence);
    store_value_release(shard->store, &value);
    if (status == STATUS_OK) {
        atomic_store(&shard->applied, sequence);
        atomic_store(&shard->persisted, sequence);
    }
    return status;
}

enum status engine_create(const struct engine_options *options, struct engine **out)
{
    *out = NULL;
    ASSERT(options->shard_count >= 1 && options->shard_count <= SHARD_COUNT_MAX);
    ASSERT(options->thread_count >= 1 && options->thread_count <= THREAD_COUNT_MAX);
    ASSERT(options->client_count <= CLIENT_COUNT_MAX);
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return STATUS_NO_MEMORY;
    }
    engine->options = *options;
    if (options->answer_bytes_max == 0) {
        engine->options.answer_bytes_max = ANSWER_BYTES_DEFAULT;
    }
    engine->journal = options->journal;
    memcpy(engine->shard_of_slot, options->shard_of_slot, SLOT_COUNT);
    engine->threads = calloc(engine_thread_count(engine), sizeof(*engine->threads));
    engine->shards = calloc(options->shard_count, sizeof(struct shard *));
    enum status status =
        engine->threads == NULL || engine->shards == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < engine_thread_count(engine); i++) {
        status = thread_init(engine, i);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < options->shard_count; i++) {
        status = shard_create(engine, i, &engine->shards[i]);
        if (status == STATUS_OK) {
            status = shard_position_read(engine->shards[i]);
        }
    }
    if (status != STATUS_OK) {
        engine_destroy(&engine);
        return status;
    }
    *out = engine;
    return STATUS_OK;
}

void engine_destroy(struct engine **engine_at)
{
    struct engine *engine = *engine_at;
    if (engine == NULL) {
        return;
    }
    for (uint32_t i = 0; engine->shards != NULL && i < engine->options.shard_count; i++) {
        shard_destroy(&engine->shards[i]);
    }
    for (uint32_t i = 0; engine->threads != NULL && i < engine_thread_count(engine); i++) {
        thread_deinit(&engine->threads[i]);
    }
    free(engine->shards);
    free(engine->threads);
    free(engine);
    *engine_at = NULL;
}

struct engine_thread *engine_thread_at(struct engine *engine, uint32_t index)
{
    ASSERT(index < engine_thread_count(engine));
    return &engine->threads[index];
}

void engine_thread_attach(struct engine_thread *thread, struct waker *waker)
{
    mailbox_init(&thread->mailbox, waker);
}

struct journal *engine_journal(const struct engine *engine)
{
    return engine->journal;
}

/* ---- keys ---- */

struct bytes record_key(const struct collection *collection, struct bytes id, struct writer *out)
{
    writer_put(out, collection->name);
    writer_u8(out, 0);
    writer_put(out, id);
    ASSERT(!out->failed);
    return writer_bytes(out);
}

uint64_t engine_hash(const struct collection *collection, struct bytes id)
{
    uint8_t key[RECORD_KEY_BYTES_MAX];
    struct writer writer = writer_of(key, sizeof(key));
    struct bytes whole = record_key(collection, id, &writer);
    return XXH3_64bits(whole.data, whole.size);
}

uint32_t engine_shard_of_hash(const struct engine *engine, uint64_t hash)
{
    return engine->shard_of_slot[hash & (SLOT_COUNT - 1)];
}

uint32_t engine_shard_count(const struct engine *engine)
{
    return engine->options.shard_count;
}

const struct collection *engine_collections(const struct engine *engine, uint32_t *count_out)
{
    *count_out = engine->options.collection_count;
    return engine->options.collections;
}

/* ---- between threads ---- */

void thread_post(struct engine_thread *from, uint32_t to, struct message *message)
{
    ASSERT(to < engine_thread_count(from->engine));
    if (mailbox_post(&from->engine->threads[to].mailbox, message)) {
        from->bells[to / 64] |= 1ull << (to % 64);
    }
}

void engine_thread_post(struct engine_thread *from, uint32_t to, struct message *message)
{
    ASSERT(to < engine_thread_count(from->engine));
    mailbox_send(&from->engine->threads[to].mailbox, message);
}

uint32_t engine_thread_of_hash(const struct engine *engine, uint64_t hash)
{
    return engine->shards[engine_shard_of_hash(engine, hash)]->thread->index;
}

struct mailbox *engine_thread_mailbox(struct engine_thread *thread)
{
    return &thread->mailbox;
}

static void bells_ring(struct engine_thread *thread)
{
    for (uint32_t word = 0; word < sizeof(thread->bells) / sizeof(thread->bells[0]); word++) {
        while (thread->bells[word] != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(thread->bells[word]);
            thread->bells[word] &= thread->bells[word] - 1;
            mailbox_ring(&thread->engine->threads[word * 64 + bit].mailbox);
        }
    }
}

/* ---- requests ---- */

/*
 * Memory for an answer counts until its request is done: then it is the submitter's, who has bounds
 * of his own. What a write has done must be said, and writes are bounded by their queue.
 */
static uint8_t *answer_memory_take(struct engine *engine, struct request *request, size_t size)
{
    bool is_read = request->kind == REQUEST_GET || request->kind == REQUEST_LIST;
    uint64_t before = atomic_fetch_add_explicit(&engine->answer_bytes, size, memory_order_relaxed);
    bool fits = before == 0 || before + size <= engine->options.answer_bytes_max;
    uint8_t *memory = fits || !is_read ? malloc(size == 0 ? 1 : size) : NULL;
    if (memory == NULL) {
        atomic_fetch_sub_explicit(&engine->answer_bytes, size, memory_order_relaxed);
        return NULL;
    }
    request->answer_memory = memory;
    request->answer_counted = size;
    return memory;
}

enum status request_answer(struct engine *engine, struct request *request, struct bytes body)
{
    ASSERT(request->answer_memory == NULL);
    ASSERT(request->answer_counted == 0);
    uint8_t *at = request->answer_buffer;
    if (body.size > request->answer_buffer_size || at == NULL) {
        at = answer_memory_take(engine, request, body.size);
        if (at == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    if (body.size > 0) {
        memcpy(at, body.data, body.size);
    }
    request->answer = bytes_of(at, body.size);
    return STATUS_OK;
}

void request_release(struct request *request)
{
    free(request->answer_memory);
    request->answer_memory = NULL;
    request->answer = BYTES_EMPTY;
    request->list_next = BYTES_EMPTY;
}

static void request_came_home(struct message *message)
{
    struct request *request = CONTAINER_OF(message, struct request, message);
    struct engine *engine = request->engine_private;
    list_push_back(&engine->threads[request->home].done, &request->link);
}

void request_complete(struct engine_thread *thread, struct request *request, enum status status)
{
    ASSERT(!link_is_linked(&request->link));
    request->status = status;
    if (request->home == thread->index) {
        list_push_back(&thread->done, &request->link);
        return;
    }
    request->message.receive = request_came_home;
    request->engine_private = thread->engine;
    thread_post(thread, request->home, &request->message);
}

/*
 * A write is judged by its record's old state, which the cache has as a rule, but this CPU's caches
 * have not. So the writes that come in between hold and release are judged together, and what they
 * will look at is on its way from memory at once, not one line after the other.
 */
void engine_writes_release(struct engine_thread *thread)
{
    ASSERT(thread->held_count <= WRITES_HELD_MAX);
    for (uint32_t i = 0; i < thread->held_count; i++) {
        engine_cache_prefetch_entry(thread, thread->held[i]->hash);
    }
    for (uint32_t i = 0; i < thread->held_count; i++) {
        write_submit(thread->engine->shards[thread->held[i]->shard], thread->held[i]);
    }
    thread->held_count = 0;
    thread->holding = false;
}

void engine_writes_hold(struct engine_thread *thread)
{
    ASSERT(!thread->holding && thread->held_count == 0);
    thread->holding = true;
}

static void write_hold(struct shard *shard, struct request *request)
{
    struct engine_thread *thread = shard->thread;
    ASSERT(thread->holding);
    engine_cache_prefetch(thread, request->hash);
    key_table_prefetch(&shard->keys, request->hash);
    thread->held[thread->held_count++] = request;
    if (thread->held_count == WRITES_HELD_MAX) {
        engine_writes_release(thread);
        engine_writes_hold(thread);
    }
}

static void request_at_owner(struct shard *shard, struct request *request)
{
    if (request->kind == REQUEST_GET) {
        read_submit(shard, request);
    } else if (shard->thread->holding) {
        write_hold(shard, request);
    } else {
        write_submit(shard, request);
    }
}

static void request_arrived(struct message *message)
{
    struct request *request = CONTAINER_OF(message, struct request, message);
    struct engine *engine = request->engine_private;
    request_at_owner(engine->shards[request->shard], request);
}

static void request_route(struct engine_thread *thread, struct request *request)
{
    if (request->kind == REQUEST_LIST) {
        pages_submit(thread, request);
        return;
    }
    struct shard *shard = thread->engine->shards[request->shard];
    if (shard->thread == thread) {
        request_at_owner(shard, request);
        return;
    }
    request->message.receive = request_arrived;
    request->engine_private = thread->engine;
    thread_post(thread, shard->thread->index, &request->message);
}

/* A CREATE goes to the shard of its idempotency key, whose slot the new id will share; without a
 * key, anywhere. */
static uint64_t create_hash(struct engine_thread *thread, struct request *request)
{
    if (request->idempotency_key.size > 0) {
        return XXH3_64bits(request->idempotency_key.data, request->idempotency_key.size);
    }
    uuid_v7(&thread->random, thread->wall_ms, request->new_id_text);
    request->new_id = bytes_of(request->new_id_text, UUID_TEXT_BYTES);
    return engine_hash(request->collection, request->new_id);
}

/* An event goes to the shard of its idempotency key; without a key, wherever its id falls. */
static uint64_t event_hash(struct engine_thread *thread, struct request *request)
{
    uuid_v7(&thread->random, thread->wall_ms, request->new_id_text);
    request->new_id = bytes_of(request->new_id_text, UUID_TEXT_BYTES);
    request->id = request->new_id;
    struct bytes key = request->idempotency_key.size > 0 ? request->idempotency_key : request->id;
    return XXH3_64bits(key.data, key.size);
}

void engine_submit(struct engine_thread *thread, struct request *request)
{
    ASSERT(request->done != NULL);
    ASSERT((request->collection == NULL) == (request->kind == REQUEST_EVENT));
    link_init(&request->link);
    link_init(&request->followers);
    request->home = thread->index;
    request->answer_memory = NULL;
    request->answer_counted = 0;
    request->answer = BYTES_EMPTY;
    request->list_next = BYTES_EMPTY;
    request->detail.text[0] = '\0';
    request->created = false;
    request->changed = false;
    request->ttl_ns = 0;
    thread->pending++;
    thread->stirred = true;
    if (request->kind == REQUEST_CREATE) {
        request->hash = create_hash(thread, request);
    } else if (request->kind == REQUEST_EVENT) {
        request->hash = event_hash(thread, request);
    }
    request->shard = engine_shard_of_hash(thread->engine, request->hash);
    /* Looking at every shard's position is dear, so only for who asks. */
    if (request->minimum_sequence > 0 &&
        request->minimum_sequence > engine_published(thread->engine)) {
        request->deadline_ns = thread->now_ns + POSITION_WAIT_NS;
        list_push_back(&thread->position_waiters, &request->link);
        return;
    }
    request_route(thread, request);
}

/* ---- a turn ---- */

static void position_waiters_step(struct engine_thread *thread)
{
    if (list_is_empty(&thread->position_waiters)) {
        return;
    }
    uint64_t published = engine_published(thread->engine);
    struct link *next;
    for (struct link *at = thread->position_waiters.next; at != &thread->position_waiters;
         at = next) {
        next = at->next;
        struct request *request = CONTAINER_OF(at, struct request, link);
        if (request->minimum_sequence <= published) {
            link_remove(at);
            request_route(thread, request);
        } else if (thread->now_ns >= request->deadline_ns) {
            link_remove(at);
            detail_set(&request->detail, "the position was not reached within 1 s");
            request_complete(thread, request, STATUS_PRECONDITION_FAILED);
        }
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* While there is work: an idle thread does not wake for it, expired entries are not served
 * anyway. */
static void cache_step(struct shard *shard)
{
    uint64_t now_ns = shard->thread->now_ns;
    if (now_ns >= shard->cache_expire_at_ns) {
        shard->cache_expire_at_ns = now_ns + CACHE_EXPIRE_NS;
        cache_expire(shard->cache, now_ns, CACHE_EXPIRE_ENTRIES);
    }
}

/* Steps the shards of this thread; the time at which one of them wants to run again. */
static uint64_t shards_step(struct engine_thread *thread)
{
    uint64_t deadline = UINT64_MAX;
    const struct engine *engine = thread->engine;
    if (thread->index >= engine->options.thread_count) {
        return deadline; /* a client: it has none */
    }
    for (uint32_t i = thread->index; i < engine->options.shard_count;
         i += engine->options.thread_count) {
        struct shard *shard = engine->shards[i];
        bool more = apply_step(shard);
        more |= store_buffer_step(shard->buffer);
        more |= flush_step(shard);
        cache_step(shard);
        deadline = more ? 0 : earlier(deadline, apply_deadline(shard));
        deadline = earlier(deadline, flush_deadline(shard));
    }
    return deadline;
}

static uint64_t shards_step_if_due(struct engine_thread *thread)
{
    uint64_t now_ns = thread->now_ns;
    if (thread->stirred || now_ns >= thread->shards_at_ns || now_ns >= thread->shards_look_at_ns ||
        atomic_load_explicit(&thread->engine->draining, memory_order_relaxed)) {
        thread->stirred = false;
        thread->shards_at_ns = shards_step(thread);
        thread->shards_look_at_ns = now_ns + SHARDS_LOOK_NS;
    }
    return thread->shards_at_ns;
}

static void done_run(struct engine_thread *thread)
{
    /* done may submit again; what that finishes waits for the next turn. */
    struct link batch;
    link_init(&batch);
    list_splice_back(&batch, &thread->done);
    struct link *at;
    while ((at = list_pop_front(&batch)) != NULL) {
        struct request *request = CONTAINER_OF(at, struct request, link);
        size_t counted = request->answer_counted;
        ASSERT(thread->pending > 0);
        thread->pending--;
        request->done(request);
        if (counted > 0) {
            (void)atomic_fetch_sub_explicit(&thread->engine->answer_bytes, counted,
                                            memory_order_relaxed);
        }
    }
}

void engine_thread_begin(struct engine_thread *thread, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(now_ns >= thread->now_ns);
    thread->now_ns = now_ns;
    thread->wall_ms = wall_ms;
}

uint64_t engine_thread_step(struct engine_thread *thread, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(!thread->holding);
    engine_thread_begin(thread, now_ns, wall_ms);
    thread->stirred |= mailbox_deliver(&thread->mailbox) > 0;
    uint64_t deadline = shards_step_if_due(thread);
    position_waiters_step(thread);
    pages_step(thread);
    done_run(thread);
    if (thread->applied) {
        thread->applied = false;
        follow_publish(thread);
    }
    bells_ring(thread);
    if (!list_is_empty(&thread->done)) {
        return 0;
    }
    if (!list_is_empty(&thread->position_waiters)) {
        deadline = earlier(deadline, now_ns + POSITION_POLL_NS);
    }
    return deadline;
}

uint64_t engine_thread_pending(const struct engine_thread *thread)
{
    return thread->pending;
}

/* ---- the hot path ---- */

enum status engine_cache_get(struct engine_thread *thread, const struct collection *collection,
                             struct bytes id, uint64_t hash, enum record_form form, uint64_t now_ns,
                             uint8_t *copy_to, struct cache_body *out)
{
    if (!collection->cached || !cache_is_reachable(thread)) {
        return STATUS_NOT_FOUND;
    }
    uint8_t key_bytes[RECORD_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    const struct engine *engine = thread->engine;
    struct cache *cache = engine->shards[engine_shard_of_hash(engine, hash)]->cache;
    enum status status = cache_get(cache, cache_hash_of(hash), record_key(collection, id, &key),
                                   now_ns, copy_to, out);
    if (status == STATUS_OK && out->meta.form != form && !out->meta.absent) {
        if (out->pin != NULL) {
            cache_unpin(cache, out);
        }
        return STATUS_BUSY;
    }
    return status;
}

void engine_cache_release(struct engine_thread *thread, uint64_t hash, struct cache_body *body)
{
    const struct engine *engine = thread->engine;
    cache_unpin(engine->shards[engine_shard_of_hash(engine, hash)]->cache, body);
}

void engine_cache_prefetch(struct engine_thread *thread, uint64_t hash)
{
    const struct engine *engine = thread->engine;
    cache_prefetch(engine->shards[engine_shard_of_hash(engine, hash)]->cache, cache_hash_of(hash));
}

void engine_cache_prefetch_entry(struct engine_thread *thread, uint64_t hash)
{
    const struct engine *engine = thread->engine;
    cache_prefetch_entry(engine->shards[engine_shard_of_hash(engine, hash)]->cache,
                         cache_hash_of(hash));
}

/* ---- the process ---- */

/*
 * committed is read first: the journal moves shard_committed on before it, so every entry up to it
 * is in one of the shard_committed read below, and a shard that has applied up to its own has
 * applied all of its entries up to committed.
 */
uint64_t engine_published(struct engine *engine)
{
    uint64_t published = journal_committed(engine->journal);
#ifdef FRESHET_PLANT_PUBLISHED_EARLY
    return published;
#endif
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        uint64_t committed = journal_shard_committed(engine->journal, i);
        uint64_t applied = atomic_load_explicit(&engine->shards[i]->applied, memory_order_acquire);
        if (applied < committed && applied < published) {
            published = applied;
        }
    }
    /* What was applied stays so: a quiet shard that has something to apply again takes nothing
     * back. */
    uint64_t before = atomic_load_explicit(&engine->published, memory_order_acquire);
    while (before < published &&
           !atomic_compare_exchange_weak(&engine->published, &before, published)) {
    }
    return before < published ? published : before;
}

uint64_t engine_journal_step(struct engine *engine, uint64_t now_ns, uint64_t wall_ms)
{
    if (now_ns >= engine->retain_at_ns) {
        /* What was not needed some time ago is not needed now, so it need not be looked at in each
         * step: an entry that came since is newer than all that were there. */
        uint64_t needed = UINT64_MAX;
        for (uint32_t i = 0; i < engine->options.shard_count; i++) {
            needed = earlier(needed, flush_needed_from(engine->shards[i]));
        }
        journal_retain(engine->journal, needed);
        engine->retain_at_ns = now_ns + RETAIN_NS;
    }
    uint64_t due = journal_step(engine->journal, now_ns, wall_ms);
    atomic_store_explicit(&engine->journal_is_idle, journal_idle(engine->journal),
                          memory_order_release);
    return due;
}

void engine_drain(struct engine *engine)
{
    atomic_store(&engine->draining, true);
}

/*
 * Only its writer may look into the journal, so this goes by what the writer last said. That may be
 * a step old, but what is submitted while the engine drains are syncs of flushes, and a flush that
 * waits for one shows in flush_needed_from.
 */
bool engine_drained(const struct engine *engine)
{
    if (!atomic_load_explicit(&engine->journal_is_idle, memory_order_acquire)) {
        return false;
    }
    uint64_t committed = journal_committed(engine->journal);
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        if (flush_needed_from(engine->shards[i]) <= committed) {
            return false;
        }
    }
    return true;
}

void engine_health_read(const struct engine *engine, struct engine_health *out)
{
    const struct journal *journal = engine->journal;
    *out = (struct engine_health){
        .journal_read_only = atomic_load_explicit(&journal->read_only, memory_order_relaxed),
        .journal_refusing =
            (enum status)atomic_load_explicit(&journal->refusing, memory_order_relaxed),
    };
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        struct shard *shard = engine->shards[i];
        if (shard_has_failed(shard)) {
            out->store_failure = (enum status)atomic_load(&shard->failure);
            out->store_failure_text = atomic_load(&shard->failure_text);
            out->store_failed_shard = i;
            return;
        }
    }
}

static void shard_statistics_add(struct shard *shard, struct engine_statistics *out)
{
    struct cache_statistics cache;
    cache_statistics_read(shard->cache, &cache);
    out->cache.hits += cache.hits;
    out->cache.misses += cache.misses;
    out->cache.fills += cache.fills;
    out->cache.evictions += cache.evictions;
    out->cache.expiries += cache.expiries;
    out->cache.refused += cache.refused;
    out->cache.entries += cache.entries;
    out->cache.bytes += cache.bytes;
    out->cache.bytes_max += cache.bytes_max;
    out->store.memtable_bytes += atomic_load(&shard->memtable_bytes);
    out->store.files_bytes += atomic_load(&shard->files_bytes);
    out->store.block_cache_bytes = atomic_load(&shard->block_cache_bytes);
    out->store.unflushed_memtables += atomic_load(&shard->unflushed_memtables);
    out->store.level0_files += atomic_load(&shard->level0_files);
    out->store.pending_compaction_bytes += atomic_load(&shard->pending_compaction_bytes);
    out->store.stalled = out->store.stalled || atomic_load(&shard->stalled);
    out->applied_entries += atomic_load(&shard->applied_entries);
    out->apply_retries += atomic_load(&shard->apply_retries);
    out->apply_queued += atomic_load(&shard->queued_applies);
    out->refused_writes += atomic_load(&shard->refused_writes);
    out->flushes += atomic_load(&shard->flushes);
}

void engine_statistics_read(struct engine *engine, struct engine_statistics *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        shard_statistics_add(engine->shards[i], out);
    }
    journal_statistics_read(engine->journal, &out->journal);
    out->published_sequence = engine_published(engine);
}
