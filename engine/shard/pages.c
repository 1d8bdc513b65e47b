/*
 * Lists: a page is gathered on the thread where the request came in, from a slice of every shard.
 *
 *     home thread                     each owner                        store threads
 *     cached and valid? answer
 *     gather: a message a shard  ->   samples its generation,
 *                                     makes iterators of this moment -> reads and renders the slice
 *     merge, when all are back   <-------------------------------------
 *     to the page's owner        ->   cache
 *     answer                     <-
 *
 * Generations are sampled in the same turn as the iterators are made, and moved on before a write
 * is answered, so a page whose generations are all still current shows every answered write. One
 * gather per page runs on a thread; whoever asks meanwhile joins it, and takes its page only if the
 * generations have not moved when it is ready. Else all of them share the next gather, which began
 * after they came, whatever moves in the meantime: so each waits for two at most.
 */
#include <stdlib.h>
#include <xxhash.h>

#include "engine/list/page.h"
#include "engine/shard/shard_internal.h"

struct gather;

struct gather_slice {
    struct message message;
    struct store_job job;
    struct gather *gather;
    struct shard *shard;
    struct store_iterator *rows;
    struct store_iterator
        *records; /* for index pages: the records that the rows name, of the same moment */
    enum status status;
};

struct gather {
    struct message message;
    struct link link; /* thread->gathers, while it may be joined */
    struct engine_thread *thread;
    struct request *request;
    uint64_t number;    /* of its thread's, from 1 */
    struct link joined; /* requests for the same page */
    struct shard *page_shard;
    uint64_t hash;
    uint32_t generation; /* which of each shard's counters */
    uint32_t left;
    struct page page;
    bool stored;
    uint64_t generations[SHARD_COUNT_MAX];
    struct page_slice pages[SHARD_COUNT_MAX];
    uint32_t slice_count;
    size_t key_size;
    uint8_t key[CACHE_KEY_BYTES_MAX];
    struct gather_slice slices[];
};

uint32_t generation_of_collection(const struct collection *collection)
{
    static_assert(GENERATION_COUNT >= COLLECTION_ALL_COUNT_MAX, "a counter for each collection");
    return collection->number;
}

uint32_t generation_of_index(const struct collection *collection, struct bytes field,
                             struct bytes value)
{
    uint64_t seed = ((uint64_t)collection->number << 32) ^ XXH3_64bits(field.data, field.size);
    uint64_t hash = XXH3_64bits_withSeed(value.data, value.size, seed);
    return COLLECTION_ALL_COUNT_MAX + (uint32_t)(hash % GENERATION_INDEX_BUCKETS);
}

static uint32_t generation_of_request(const struct request *request)
{
    return request->list_field.size == 0
               ? generation_of_collection(request->collection)
               : generation_of_index(request->collection, request->list_field, request->list_value);
}

/* Begins with a byte that no record's key begins with. */
static struct bytes page_key(const struct request *request, struct writer *out)
{
    writer_u8(out, 1);
    writer_put(out, request->collection->name);
    writer_u8(out, 0);
    writer_put(out, request->list_field);
    writer_u8(out, 0);
    writer_u16(out, (uint16_t)request->list_value.size);
    writer_put(out, request->list_value);
    writer_u32(out, request->list_limit);
    writer_put(out, request->list_after);
    ASSERT(!out->failed);
    return writer_bytes(out);
}

static bool generation_is(const struct engine *engine, uint32_t shard, uint32_t generation,
                          uint64_t value)
{
    return atomic_load_explicit(&engine->shards[shard]->generations[generation],
                                memory_order_acquire) == value;
}

/* ---- from the cache ---- */

static enum status answer_page(struct engine *engine, struct request *request, struct bytes body,
                               size_t next_size)
{
    enum status status = request_answer(engine, request, body);
    if (status == STATUS_OK) {
        size_t json_size = body.size - next_size;
        request->list_next = bytes_slice(request->answer, json_size, next_size);
        request->answer = bytes_slice(request->answer, 0, json_size);
    }
    return status;
}

static bool page_is_current(const struct engine *engine, uint32_t generation,
                            const uint8_t *generations)
{
    for (uint32_t i = 0; i < engine->options.shard_count; i++) {
        if (!generation_is(engine, i, generation, get_u64(generations + 8 * (size_t)i))) {
            return false;
        }
    }
    return true;
}

static bool page_from_cache(struct engine_thread *thread, struct request *request,
                            struct shard *page_shard, uint64_t hash, struct bytes key)
{
    const struct engine *engine = thread->engine;
    struct cache_body cached;
    if (request->refresh || !request->collection->cached || !cache_is_reachable(thread) ||
        cache_get(page_shard->cache, cache_hash_of(hash), key, thread->now_ns,
                  thread->scratch_small, &cached) != STATUS_OK) {
        return false;
    }
    const uint8_t *generations;
    struct bytes body;
    size_t next_size;
    enum status status = STATUS_NOT_FOUND;
    if (page_read(cached.body, engine->options.shard_count, &generations, &body, &next_size) &&
        page_is_current(engine, generation_of_request(request), generations)) {
        status = answer_page(thread->engine, request, body, next_size);
        request->cache = CACHE_HIT;
        request->made_at_ms = cached.meta.made_at_ms;
        request->ttl_ns = cached.meta.expires_at_ns - thread->now_ns;
    }
    if (cached.pin != NULL) {
        cache_unpin(page_shard->cache, &cached);
    }
    if (status == STATUS_NOT_FOUND) {
        return false;
    }
    request_complete(thread, request, status);
    return true;
}

/* ---- a slice ---- */

static enum status slice_add(struct gather_slice *slice, struct bytes id, struct bytes row)
{
    struct row_record record;
    enum status status = row_record_read(row, &record);
    if (status != STATUS_OK) {
        return status;
    }
    return page_slice_add(&slice->gather->pages[slice->shard->number], id, record.document);
}

/* The record that an index row names, in the same snapshot. */
static enum status slice_add_indexed(struct gather_slice *slice, struct bytes id)
{
    uint8_t key_bytes[ROW_KEY_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_record_key(slice->gather->request->collection->name, id, &key);
    const struct store_vtable *store = slice->shard->store->vtable;
    store->iterator_seek(slice->records, writer_bytes(&key));
    if (!store->iterator_valid(slice->records) ||
        !bytes_equal(store->iterator_key(slice->records), writer_bytes(&key))) {
        enum status status = store->iterator_status(slice->records);
        return status == STATUS_OK ? STATUS_DAMAGED : status;
    }
    return slice_add(slice, id, store->iterator_value(slice->records));
}

static enum status slice_scan(struct gather_slice *slice)
{
    const struct request *request = slice->gather->request;
    const struct store_vtable *store = slice->shard->store->vtable;
    struct page_slice *page = &slice->gather->pages[slice->shard->number];
    uint8_t key_bytes[ROW_KEY_BYTES_MAX + 1];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    bool indexed = request->list_field.size > 0;
    if (indexed) {
        row_index_prefix(request->collection->name, request->list_field, request->list_value, &key);
    } else {
        row_record_prefix(request->collection->name, &key);
    }
    struct bytes prefix = writer_bytes(&key);
    if (request->list_after.size > 0) {
        writer_put(&key, request->list_after);
        writer_u8(&key, 0); /* the smallest key behind it: ids hold no zero byte */
    }
    ASSERT(!key.failed);
    store->iterator_seek(slice->rows, writer_bytes(&key));
    for (; store->iterator_valid(slice->rows); store->iterator_next(slice->rows)) {
        struct bytes row_key = store->iterator_key(slice->rows);
        if (!bytes_starts_with(row_key, prefix)) {
            break;
        }
        if (page_slice_is_full(page, request->list_limit)) {
            page->cut = true;
            break;
        }
        struct bytes id = row_key_id(row_key, prefix);
        enum status status = indexed ? slice_add_indexed(slice, id)
                                     : slice_add(slice, id, store->iterator_value(slice->rows));
        if (status != STATUS_OK) {
            return status;
        }
    }
    return store->iterator_status(slice->rows);
}

static void slice_iterators_destroy(struct gather_slice *slice)
{
    if (slice->rows != NULL) {
        slice->shard->store->vtable->iterator_destroy(slice->rows);
    }
    if (slice->records != NULL) {
        slice->shard->store->vtable->iterator_destroy(slice->records);
    }
}

static void slice_run(struct store_job *job)
{
    struct gather_slice *slice = CONTAINER_OF(job, struct gather_slice, job);
    slice->status = slice_scan(slice);
    slice_iterators_destroy(slice);
}

static void gather_ready(struct gather *gather);

static void slice_came_back(struct gather_slice *slice)
{
    struct gather *gather = slice->gather;
    ASSERT(gather->left > 0);
    gather->left--;
    if (gather->left == 0) {
        gather_ready(gather);
    }
}

static void slice_job_came_back(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    slice_came_back(CONTAINER_OF(job, struct gather_slice, job));
}

static void slice_failed_came_back(struct message *message)
{
    slice_came_back(CONTAINER_OF(message, struct gather_slice, message));
}

/* On the owner's thread: the moment that the slice shows. */
static void slice_begin(struct gather_slice *slice)
{
    struct gather *gather = slice->gather;
    struct shard *shard = slice->shard;
    gather->generations[shard->number] =
        atomic_load_explicit(&shard->generations[gather->generation], memory_order_relaxed);
    slice->status = store_iterator_create(shard->store, &slice->rows);
    if (slice->status == STATUS_OK && gather->request->list_field.size > 0) {
        slice->status = store_iterator_create(shard->store, &slice->records);
    }
    if (slice->status != STATUS_OK) {
        slice_iterators_destroy(slice);
        slice->message.receive = slice_failed_came_back;
        thread_post(shard->thread, gather->thread->index, &slice->message);
        return;
    }
    slice->job = (struct store_job){
        .message = {.receive = slice_job_came_back},
        .reply_to = &gather->thread->mailbox,
        .run = slice_run,
    };
    executor_submit(shard->engine->options.executor, &slice->job);
}

static void slice_arrived(struct message *message)
{
    slice_begin(CONTAINER_OF(message, struct gather_slice, message));
}

/* ---- a gather ---- */

static void gather_destroy(struct gather *gather)
{
    for (uint32_t i = 0; i < gather->slice_count; i++) {
        page_slice_deinit(&gather->pages[i]);
    }
    free(gather->page.memory);
    gather->thread->gather_count--;
    free(gather);
}

static bool gather_is_current(const struct gather *gather)
{
    for (uint32_t i = 0; i < gather->slice_count; i++) {
        if (!generation_is(gather->thread->engine, i, gather->generation, gather->generations[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t page_ttl_ns(const struct request *request)
{
    const struct collection_ttl *ttl = &request->collection->ttl;
    return atomic_load_explicit(request->list_field.size == 0 ? &ttl->list_ns : &ttl->index_ns,
                                memory_order_relaxed);
}

static void gather_answer(struct gather *gather, struct request *request, bool joined)
{
    struct bytes body =
        bytes_of(gather->page.memory, gather->page.json.size + gather->page.next.size);
    request->cache = !request->collection->cached ? CACHE_OFF
                     : joined                     ? CACHE_COLLAPSED
                     : request->refresh
                         ? (gather->stored ? CACHE_REFRESH_STORED : CACHE_REFRESH_UNSTORED)
                         : (gather->stored ? CACHE_MISS_STORED : CACHE_MISS_UNSTORED);
    request->made_at_ms = gather->thread->wall_ms;
    request->ttl_ns = gather->stored ? page_ttl_ns(request) : 0;
    enum status status = answer_page(gather->thread->engine, request, body, gather->page.next.size);
    request_complete(gather->thread, request, status);
}

static void gather_finish(struct gather *gather, enum status status)
{
    struct engine_thread *thread = gather->thread;
    bool current = status == STATUS_OK && gather_is_current(gather);
#ifdef FRESHET_PLANT_STALE_GATHER_JOINED
    current = status == STATUS_OK;
#endif
    struct link *at;
    if (status == STATUS_OK) {
        gather_answer(gather, gather->request, false);
    } else {
        request_complete(thread, gather->request, status);
    }
    while ((at = list_pop_front(&gather->joined)) != NULL) {
        struct request *request = CONTAINER_OF(at, struct request, link);
        if (current || (status == STATUS_OK && gather->number > request->list_arrived)) {
            gather_answer(gather, request, true);
        } else if (status != STATUS_OK) {
            request_complete(thread, request, status);
        } else {
            list_push_back(&thread->gathers_waiting, &request->link);
        }
    }
    gather_destroy(gather);
}

static void gather_filled(struct message *message)
{
    gather_finish(CONTAINER_OF(message, struct gather, message), STATUS_OK);
}

/* On the thread of the page's owner. */
static void gather_fill(struct gather *gather)
{
    uint8_t head_bytes[PAGE_HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    page_head_write(gather->generations, gather->slice_count, gather->page.next, &head);
    const struct engine_thread *thread = gather->page_shard->thread;
    uint64_t ttl_ns = page_ttl_ns(gather->request);
    const struct cache_meta meta = {
        .made_at_ms = thread->wall_ms,
        .expires_at_ns = ttl_ns == 0 || ttl_ns > UINT64_MAX - thread->now_ns
                             ? UINT64_MAX
                             : thread->now_ns + ttl_ns,
        .class = gather->request->list_field.size == 0 ? CACHE_LIST : CACHE_INDEX,
    };
    const struct bytes parts[] = {
        writer_bytes(&head),
        bytes_of(gather->page.memory, gather->page.json.size + gather->page.next.size),
    };
    gather->stored =
        cache_put(gather->page_shard->cache, cache_hash_of(gather->hash),
                  bytes_of(gather->key, gather->key_size), &meta, parts, 2) == STATUS_OK;
}

static void gather_fill_arrived(struct message *message)
{
    struct gather *gather = CONTAINER_OF(message, struct gather, message);
    gather_fill(gather);
    gather->message.receive = gather_filled;
    thread_post(gather->page_shard->thread, gather->thread->index, &gather->message);
}

/* All slices are back: merge, then cache, then answer. */
static void gather_ready(struct gather *gather)
{
    link_remove(&gather->link);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < gather->slice_count && status == STATUS_OK; i++) {
        status = gather->slices[i].status;
    }
    if (status == STATUS_OK) {
        status = page_merge(gather->pages, gather->slice_count, gather->request->list_limit,
                            &gather->page);
    }
    if (status != STATUS_OK || !gather->request->collection->cached) {
        gather_finish(gather, status);
    } else if (gather->page_shard->thread == gather->thread) {
        gather_fill(gather);
        gather_finish(gather, STATUS_OK);
    } else {
        gather->message.receive = gather_fill_arrived;
        thread_post(gather->thread, gather->page_shard->thread->index, &gather->message);
    }
}

static struct gather *gather_find(struct engine_thread *thread, uint64_t hash, struct bytes key)
{
    for (struct link *at = thread->gathers.next; at != &thread->gathers; at = at->next) {
        struct gather *gather = CONTAINER_OF(at, struct gather, link);
        if (gather->hash == hash && bytes_equal(bytes_of(gather->key, gather->key_size), key)) {
            return gather;
        }
    }
    return NULL;
}

static void gather_begin(struct engine_thread *thread, struct request *request,
                         struct shard *page_shard, uint64_t hash, struct bytes key)
{
    struct engine *engine = thread->engine;
    uint32_t count = engine->options.shard_count;
    struct gather *gather = calloc(1, sizeof(*gather) + count * sizeof(gather->slices[0]));
    if (gather == NULL) {
        request_complete(thread, request, STATUS_NO_MEMORY);
        return;
    }
    gather->thread = thread;
    gather->request = request;
    link_init(&gather->joined);
    gather->page_shard = page_shard;
    gather->hash = hash;
    gather->generation = generation_of_request(request);
    gather->left = count;
    gather->slice_count = count;
    gather->key_size = key.size;
    memcpy(gather->key, key.data, key.size);
    list_push_back(&thread->gathers, &gather->link);
    thread->gather_count++;
    gather->number = ++thread->gathers_begun;
    for (uint32_t i = 0; i < count; i++) {
        struct gather_slice *slice = &gather->slices[i];
        slice->gather = gather;
        slice->shard = engine->shards[i];
        slice->message.receive = slice_arrived;
        if (slice->shard->thread == thread) {
            slice_begin(slice);
        } else {
            thread_post(thread, slice->shard->thread->index, &slice->message);
        }
    }
}

/* From the cache, or by a gather; or it waits for a place. */
static void page_find(struct engine_thread *thread, struct request *request)
{
    uint8_t key_bytes[CACHE_KEY_BYTES_MAX];
    struct writer writer = writer_of(key_bytes, sizeof(key_bytes));
    struct bytes key = page_key(request, &writer);
    uint64_t hash = XXH3_64bits(key.data, key.size);
    struct shard *page_shard = thread->engine->shards[engine_shard_of_hash(thread->engine, hash)];
    if (page_from_cache(thread, request, page_shard, hash, key)) {
        return;
    }
    struct gather *running = gather_find(thread, hash, key);
    if (running != NULL) {
        list_push_back(&running->joined, &request->link);
    } else if (thread->gather_count >= GATHERS_MAX) {
        list_push_back(&thread->gathers_waiting, &request->link);
    } else {
        gather_begin(thread, request, page_shard, hash, key);
    }
}

void pages_submit(struct engine_thread *thread, struct request *request)
{
    ASSERT(request->list_limit >= 1 && request->list_limit <= LIST_RECORDS_MAX);
    request->list_arrived = thread->gathers_begun;
    page_find(thread, request);
}

void pages_step(struct engine_thread *thread)
{
    /* Only while there are places: who waits is not looked at again in every turn that brings
     * none. So nobody comes to wait in here, and the loop ends. */
    struct link *at;
    while (thread->gather_count < GATHERS_MAX &&
           (at = list_pop_front(&thread->gathers_waiting)) != NULL) {
        page_find(thread, CONTAINER_OF(at, struct request, link));
    }
}
