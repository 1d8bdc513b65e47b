/*
 * The owner makes the iterator between two applies, so what it shows is the fold of the shard's
 * entries up to its applied position: rows and position are written in one store batch.
 *
 * A row in the block, big-endian:
 *
 *     0  u16 size of collection, u16 of id, u32 of document
 *     8  u64 version, u64 epoch, u64 sequence, u64 time_ms
 *    40  collection, 00, id, document
 */
#include "engine/shard/slice.h"

#include <stdlib.h>

#include "engine/shard/shard_internal.h"

#define ROW_FIXED_BYTES 40
/* The row keys' first byte. */
#define RECORD_ROW 'r'
/* No name of a user's begins with it; see collection.h. */
#define INTERNAL_PREFIX '_'

static_assert(ROW_FIXED_BYTES == 2 + 2 + 4 + 4 * 8, "the fixed part of a row");

/* ---- on a store thread ---- */

/* What is being read into. */
struct slice_scan {
    struct slice_request *request;
    uint8_t *memory;
    size_t capacity;
    size_t used;
    uint32_t count;
    size_t last_offset; /* of the last row's key */
    size_t last_size;
};

/* Where the slice begins. */
static void first_key(const struct slice_request *request, struct writer *out)
{
    writer_u8(out, RECORD_ROW);
    if (request->after.size > 0) {
        writer_put(out, request->after);
        writer_u8(out, 0); /* the smallest key behind it: ids hold no zero byte */
    } else if (request->collection != NULL) {
        writer_put(out, request->collection->name);
        writer_u8(out, 0);
    }
    ASSERT(!out->failed);
}

/* The first row that does not fit makes room if it is the first of all. */
static bool scan_has_room(struct slice_scan *scan, size_t size)
{
    if (size <= scan->capacity - scan->used) {
        return true;
    }
    if (scan->count > 0) {
        return false;
    }
    uint8_t *memory = realloc(scan->memory, size);
    if (memory != NULL) {
        scan->memory = memory;
        scan->capacity = size;
    }
    return memory != NULL;
}

/* key is collection 00 id. OK; BUSY: there is no room for another row; NO_MEMORY. */
static enum status scan_add(struct slice_scan *scan, struct bytes key, struct bytes value)
{
    struct row_record record;
    enum status status = row_record_read(value, &record);
    const uint8_t *end = memchr(key.data, 0, key.size);
    if (status != STATUS_OK || end == NULL) {
        return STATUS_DAMAGED;
    }
    size_t name_size = (size_t)(end - key.data);
    size_t size = ROW_FIXED_BYTES + key.size + record.document.size;
    if (!scan_has_room(scan, size)) {
        return scan->count > 0 ? STATUS_BUSY : STATUS_NO_MEMORY;
    }
    struct writer out = writer_of(scan->memory + scan->used, scan->capacity - scan->used);
    writer_u16(&out, (uint16_t)name_size);
    writer_u16(&out, (uint16_t)(key.size - name_size - 1));
    writer_u32(&out, (uint32_t)record.document.size);
    writer_u64(&out, record.version);
    writer_u64(&out, record.epoch);
    writer_u64(&out, record.sequence);
    writer_u64(&out, record.time_ms);
    writer_put(&out, key);
    writer_put(&out, record.document);
    ASSERT(!out.failed && out.size == size);
    scan->last_offset = scan->used + ROW_FIXED_BYTES;
    scan->last_size = key.size;
    scan->used += size;
    scan->count++;
    return STATUS_OK;
}

static enum status scan_rows(struct slice_scan *scan)
{
    struct slice_request *request = scan->request;
    struct store_iterator *rows = request->iterator;
    const struct store_vtable *store = request->engine->shards[request->shard]->store->vtable;
    uint8_t prefix_bytes[ROW_KEY_BYTES_MAX];
    struct writer prefix = writer_of(prefix_bytes, sizeof(prefix_bytes));
    writer_u8(&prefix, RECORD_ROW);
    if (request->collection != NULL) {
        writer_put(&prefix, request->collection->name);
        writer_u8(&prefix, 0);
    }
    uint8_t from_bytes[ROW_KEY_BYTES_MAX + 1];
    struct writer from = writer_of(from_bytes, sizeof(from_bytes));
    first_key(request, &from);
    store->iterator_seek(rows, writer_bytes(&from));
    while (store->iterator_valid(rows)) {
        struct bytes key = store->iterator_key(rows);
        if (!bytes_starts_with(key, writer_bytes(&prefix))) {
            break;
        }
        if (request->collection == NULL && key.size > 1 && key.data[1] == INTERNAL_PREFIX) {
            static const uint8_t behind[] = {RECORD_ROW, INTERNAL_PREFIX + 1};
            store->iterator_seek(rows, bytes_of(behind, sizeof(behind)));
            continue;
        }
        if (scan->count == request->records_max) {
            return STATUS_OK;
        }
        enum status status =
            scan_add(scan, bytes_slice(key, 1, key.size), store->iterator_value(rows));
        if (status != STATUS_OK) {
            return status == STATUS_BUSY ? STATUS_OK : status;
        }
        store->iterator_next(rows);
    }
    request->end = true;
    return store->iterator_status(rows);
}

static void slice_run(struct store_job *job)
{
    struct slice_request *request = CONTAINER_OF(job, struct slice_request, job);
    /* Room for `after` too, which comes back when there are no rows. */
    size_t capacity =
        request->bytes_max > request->after.size ? request->bytes_max : request->after.size + 1;
    struct slice_scan scan = {.request = request, .capacity = capacity};
    scan.memory = malloc(capacity);
    request->status = scan.memory == NULL ? STATUS_NO_MEMORY : scan_rows(&scan);
    request->engine->shards[request->shard]->store->vtable->iterator_destroy(request->iterator);
    request->iterator = NULL;
#ifdef FRESHET_PLANT_SLICE_TIME_LATE
    request->applied_sequence = atomic_load(&request->engine->shards[request->shard]->applied);
#endif
    if (request->status != STATUS_OK) {
        free(scan.memory);
        request->end = false;
        return;
    }
    request->memory = scan.memory;
    request->rows = bytes_of(scan.memory, scan.used);
    if (scan.count > 0) {
        request->last = bytes_of(scan.memory + scan.last_offset, scan.last_size);
    } else if (request->after.size > 0) {
        memcpy(scan.memory, request->after.data, request->after.size);
        request->last = bytes_of(scan.memory, request->after.size);
    }
}

/* ---- on its way ---- */

static void slice_finish(struct slice_request *request)
{
    struct engine_thread *thread = &request->engine->threads[request->home];
    ASSERT(thread->pending > 0);
    ASSERT(request->iterator == NULL);
    thread->pending--;
    request->done(request);
}

static void slice_read(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    slice_finish(CONTAINER_OF(job, struct slice_request, job));
}

static void slice_failed(struct message *message)
{
    slice_finish(CONTAINER_OF(message, struct slice_request, message));
}

/* On the owner's thread: the moment that the slice shows. */
static void slice_begin(struct slice_request *request)
{
    struct engine *engine = request->engine;
    struct shard *shard = engine->shards[request->shard];
    request->applied_sequence = atomic_load_explicit(&shard->applied, memory_order_relaxed);
    request->status = store_iterator_create(shard->store, &request->iterator);
    if (request->status != STATUS_OK) {
        request->iterator = NULL;
        request->message.receive = slice_failed;
        thread_post(shard->thread, request->home, &request->message);
        return;
    }
    request->job = (struct store_job){
        .message = {.receive = slice_read},
        .reply_to = &engine->threads[request->home].mailbox,
        .run = slice_run,
    };
    executor_submit(engine->options.executor, &request->job);
}

static void slice_arrived(struct message *message)
{
    slice_begin(CONTAINER_OF(message, struct slice_request, message));
}

void slice_submit(struct engine_thread *thread, struct slice_request *request)
{
    struct engine *engine = thread->engine;
    ASSERT(request->shard < engine->options.shard_count);
    ASSERT(request->bytes_max > 0 && request->records_max > 0);
    ASSERT(request->done != NULL);
    ASSERT(request->after.size <= RECORD_KEY_BYTES_MAX);
    request->engine = engine;
    request->home = thread->index;
    request->iterator = NULL;
    request->memory = NULL;
    request->rows = BYTES_EMPTY;
    request->last = BYTES_EMPTY;
    request->end = false;
    thread->pending++;
    thread->stirred = true;
    struct shard *shard = engine->shards[request->shard];
    if (shard->thread == thread) {
        slice_begin(request);
        return;
    }
    request->message.receive = slice_arrived;
    thread_post(thread, shard->thread->index, &request->message);
}

/* ---- rows ---- */

bool slice_next(struct bytes *rows, struct slice_row *row_out)
{
    if (rows->size == 0) {
        return false;
    }
    struct reader reader = reader_of(*rows);
    size_t name_size = reader_u16(&reader);
    size_t id_size = reader_u16(&reader);
    size_t document_size = reader_u32(&reader);
    row_out->version = reader_u64(&reader);
    row_out->epoch = reader_u64(&reader);
    row_out->sequence = reader_u64(&reader);
    row_out->time_ms = reader_u64(&reader);
    row_out->collection = reader_bytes(&reader, name_size);
    (void)reader_u8(&reader);
    row_out->id = reader_bytes(&reader, id_size);
    row_out->document = reader_bytes(&reader, document_size);
    ASSERT(!reader.failed);
    *rows = bytes_slice(*rows, reader.offset, rows->size);
    return true;
}

void slice_release(struct slice_request *request)
{
    free(request->memory);
    request->memory = NULL;
    request->rows = BYTES_EMPTY;
    request->last = BYTES_EMPTY;
}
