#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

static bool is_read_only(const struct segments *segments)
{
    return atomic_load_explicit(&segments->base.read_only, memory_order_relaxed);
}

static uint64_t durable_sequence(const struct segments *segments)
{
    return atomic_load_explicit(&segments->base.durable, memory_order_relaxed);
}

static void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static void chain_push(struct message **first, struct message **last, struct message *message)
{
    message->next = NULL;
    if (*first == NULL) {
        *first = message;
    } else {
        (*last)->next = message;
    }
    *last = message;
}

static struct message *chain_pop(struct message **first)
{
    struct message *message = *first;
    if (message != NULL) {
        *first = message->next;
    }
    return message;
}

/* ---- gathering ---- */

static void batch_reset(struct segment_batch *batch)
{
    batch->size = BATCH_HEADER_BYTES;
    batch->count = 0;
    batch->first_sequence = 0;
    batch->content_checksum = 0;
    batch->first = NULL;
    batch->last = NULL;
}

static bool batch_has_room(const struct segments *segments, const struct segment_batch *batch,
                           const struct journal_commit *commit)
{
    /* A refused commit takes no room; it is there for its place in the order. */
    return commit->status != STATUS_OK ||
           (commit->entry.size <= segments->options.batch_bytes_max - batch->size &&
            batch->count < BATCH_COUNT_MAX);
}

static void gather(struct segments *segments, struct journal_commit *commit)
{
    struct segment_batch *batch = &segments->batches[segments->gathering];
    ASSERT(batch_has_room(segments, batch, commit));
    chain_push(&batch->first, &batch->last, &commit->message);
    if (commit->status != STATUS_OK) {
        return;
    }
    if (batch->count == 0) {
        batch->first_sequence = segments->next_sequence;
        batch->time_before_ms = segments->last_time_ms;
    }
    if (segments->last_time_ms < segments->wall_ms) {
        segments->last_time_ms = segments->wall_ms;
    }
    commit->epoch = segments->base.epoch;
    commit->sequence = segments->next_sequence++;
    commit->time_ms = segments->last_time_ms;
    uint8_t *at = batch->data + batch->size;
    memcpy(at, commit->entry.data, commit->entry.size);
    entry_stamp(at, commit->sequence, commit->time_ms);
    batch->content_checksum = batch_content_add(batch->content_checksum, at);
    batch->size += commit->entry.size;
    batch->count++;
    ASSERT(batch->first_sequence + batch->count == segments->next_sequence);
}

static void gather_queued(struct segments *segments)
{
    struct segment_batch *batch = &segments->batches[segments->gathering];
    while (segments->queue_first != NULL &&
           batch_has_room(segments, batch, journal_commit_of(segments->queue_first))) {
        gather(segments, journal_commit_of(chain_pop(&segments->queue_first)));
    }
}

void segments_take_commit(struct message *message)
{
    struct journal_commit *commit = journal_commit_of(message);
    struct segments *segments = segments_of(commit->journal);
    ASSERT(commit->shard < segments->options.shard_count);
    ASSERT(commit->entry.size <= segments->options.entry_bytes_max);
    ASSERT(entry_stored_size(commit->entry.data) == commit->entry.size);
    bool refuse = is_read_only(segments) || segments->next == NEXT_FAILED;
    bool pass = journal_refusals_pass(&segments->shard_refusals[commit->shard], commit, refuse);
    commit->status = pass ? STATUS_OK : STATUS_NOT_ACCEPTED;
    struct segment_batch *batch = &segments->batches[segments->gathering];
    if (segments->queue_first != NULL || !batch_has_room(segments, batch, commit)) {
        chain_push(&segments->queue_first, &segments->queue_last, message);
        return;
    }
    gather(segments, commit);
}

/* ---- completing ---- */

/* Replies to all commits of a batch: as they were judged when they were taken, or, if it failed,
 * with status. */
static void batch_reply(struct segments *segments, struct segment_batch *batch, enum status status)
{
    for (struct message *message = chain_pop(&batch->first); message != NULL;
         message = chain_pop(&batch->first)) {
        struct journal_commit *commit = journal_commit_of(message);
        bool refused = commit->status != STATUS_OK;
        if (status == STATUS_NOT_ACCEPTED && !refused) {
            (void)journal_refusals_pass(&segments->shard_refusals[commit->shard], commit, true);
            commit->sequence = 0;
        }
        journal_commit_reply(&segments->replies, commit, refused ? commit->status : status);
    }
    batch_reset(batch);
}

/* Nothing that waits can be written: refuse all of it. Nothing of it has been submitted to the
 * disk, so its sequences are given again. */
static void refuse_waiting(struct segments *segments)
{
    ASSERT(segments->writing == WRITING_NOTHING);
    struct segment_batch *batch = &segments->batches[segments->gathering];
    if (batch->count > 0) {
        segments->next_sequence = batch->first_sequence;
    }
    batch_reply(segments, batch, STATUS_NOT_ACCEPTED);
    while (segments->queue_first != NULL) {
        chain_push(&batch->first, &batch->last, chain_pop(&segments->queue_first));
    }
    batch_reply(segments, batch, STATUS_NOT_ACCEPTED);
    ASSERT(segments->next_sequence == segments->written_sequence + 1 || is_read_only(segments));
}

static void fail(struct segments *segments)
{
    atomic_store_explicit(&segments->base.read_only, true, memory_order_release);
    segments->sync_due_ns = UINT64_MAX;
    segments->sync_wanted = false;
    for (struct message *message = chain_pop(&segments->waiters_first); message != NULL;
         message = chain_pop(&segments->waiters_first)) {
        journal_sync_reply(&segments->replies, journal_sync_of(message), STATUS_IO_ERROR,
                           durable_sequence(segments));
    }
    /* What waits behind a batch in flight is refused after it, in order. */
    if (segments->writing == WRITING_NOTHING) {
        refuse_waiting(segments);
    }
}

/* For readers that begin in the middle of the segment. */
static void note_hint(struct segments *segments, uint64_t sequence, uint64_t offset)
{
    if (offset >= segments->hint_due) {
        segments_hint_add(segments, segments->header.number, sequence, offset);
        segments->hint_due = offset + segments->header.segment_bytes / SEGMENT_HINTS;
    }
}

static void batch_committed(struct segments *segments, struct segment_batch *batch)
{
    ASSERT(batch->count > 0);
    ASSERT(batch->first_sequence == segments->written_sequence + 1);
    struct journal *base = &segments->base;
    uint64_t last = batch->first_sequence + batch->count - 1;
    for (struct message *message = batch->first; message != NULL; message = message->next) {
        struct journal_commit *commit = journal_commit_of(message);
        if (commit->status == STATUS_OK) {
            atomic_store_explicit(&base->shard_committed[commit->shard], commit->sequence,
                                  memory_order_release);
        }
    }
    segments->written_sequence = last;
    if (segments->options.durability == JOURNAL_SYNC) {
        atomic_store_explicit(&base->durable, last, memory_order_release);
    } else if (segments->options.durability == JOURNAL_INTERVAL &&
               segments->sync_due_ns == UINT64_MAX) {
        segments->sync_due_ns = segments->now_ns + segments->options.interval_ns;
    }
    /* Without memory followers read it from the file. */
    recent_append(base->recent, base->epoch, batch->first_sequence, batch->count,
                  bytes_of(batch->data + BATCH_HEADER_BYTES, batch->size - BATCH_HEADER_BYTES));
    note_hint(segments, batch->first_sequence, batch->offset);
    atomic_store_explicit(&segments->active_bytes, segments->active_offset, memory_order_relaxed);
    atomic_store_explicit(&base->committed, last, memory_order_release);
    counter_add(&segments->counters.entries, batch->count);
    counter_add(&segments->counters.batches, 1);
    counter_add(&segments->counters.bytes_written, batch->stored_bytes);
    batch_reply(segments, batch, STATUS_OK);
}

/* ---- the next segment ---- */

static void operation_done(struct disk_operation *operation, enum status status)
{
    struct segments_operation *own = CONTAINER_OF(operation, struct segments_operation, operation);
    ASSERT(!own->finished);
    own->finished = true;
    own->status = status;
}

static bool is_cached(const struct segments *segments, bool durable)
{
    return segments->options.cached_writes && !durable;
}

static void write_submit(struct segments *segments, enum segments_writing what, int file,
                         uint64_t offset, const uint8_t *data, size_t size, bool durable)
{
    ASSERT(segments->writing == WRITING_NOTHING);
    ASSERT(!segments->write.finished);
    segments->writing = what;
    segments->write.started_ns = segments->now_ns;
    segments->write.operation = (struct disk_operation){.kind = DISK_WRITE,
                                                        .file = file,
                                                        .offset = offset,
                                                        .data = data,
                                                        .size = size,
                                                        .durable = durable,
                                                        .cached = is_cached(segments, durable),
                                                        .done = operation_done,
                                                        .context = segments};
    segments->disk->vtable->submit(segments->disk, &segments->write.operation);
}

/* The gathering batch does not fit: on to the next segment, as soon as it is there. */
static void roll_start(struct segments *segments)
{
    const struct segment_batch *batch = &segments->batches[segments->gathering];
    if (segments->previous_file >= 0) {
        /* At most two segments are unsynced at a time; the sync of the one before is on its way. */
        segments_sync_start(segments);
        return;
    }
    if (segments->next == NEXT_FAILED) {
        refuse_waiting(segments);
        return;
    }
    if (segments->next != NEXT_READY || segments->window.running) {
        /* The message of the job steps the journal. No job is left behind on the old file. */
        return;
    }
    struct segment_header *header = &segments->header;
    header->number++;
    header->segment_bytes = segments->options.segment_bytes;
    header->first_sequence = batch->first_sequence;
    header->last_time_ms = batch->time_before_ms;
    header->durable_through = durable_sequence(segments);
    header->previous_checksum = segments->chain_checksum;
    header->durability = segments->options.durability;
    segment_header_encode(header, segments->header_block);
    write_submit(segments, WRITING_HEADER, segments->next_file, 0, segments->header_block,
                 SEGMENT_HEADER_BYTES, true);
}

static void roll_finish(struct segments *segments)
{
    const struct segment_header *header = &segments->header;
    struct segment_info info = {.number = header->number,
                                .epoch = header->epoch,
                                .first_sequence = header->first_sequence,
                                .last_time_ms = header->last_time_ms,
                                .durable_through = header->durable_through,
                                .previous_checksum = header->previous_checksum,
                                .file_bytes = header->segment_bytes};
    if (!segments_table_append(segments, &info)) {
        fail(segments);
        return;
    }
    ASSERT(segments->previous_file < 0);
    if (durable_sequence(segments) < segments->written_sequence) {
        segments->previous_file = segments->active_file;
    } else {
        segments_retire(segments, segments->active_file);
    }
    segments->active_file = segments->next_file;
    segments->active_offset = SEGMENT_HEADER_BYTES;
    atomic_store_explicit(&segments->active_bytes, segments->active_offset, memory_order_relaxed);
    segments->hint_due = 0;
    segments->active_seed = batch_seed(&header->store, header->number, header->epoch);
    segments->next_file = -1;
    segments->next = NEXT_NONE;
    if (segments->previous_file >= 0) {
        segments_sync_start(segments);
    }
}

/* ---- writing ---- */

/* Header and checksum: from here on the batch has its place in the segment. */
static void seal(struct segments *segments, struct segment_batch *batch, size_t stored_bytes)
{
    ASSERT(batch->count > 0);
    ASSERT(segments->active_offset + stored_bytes <= segments->header.segment_bytes);
    memset(batch->data + batch->size, 0, stored_bytes - batch->size);
    struct batch_header header = {.kind = BATCH_ENTRIES,
                                  .count = batch->count,
                                  .epoch = segments->base.epoch,
                                  .first_sequence = batch->first_sequence,
                                  .durable_through = durable_sequence(segments),
                                  .previous_checksum = segments->chain_checksum,
                                  .length = (uint32_t)batch->size,
                                  .stored_bytes = (uint32_t)stored_bytes,
                                  .content_checksum = batch->content_checksum};
    segments->chain_checksum = batch_header_encode(&header, segments->active_seed, batch->data);
    batch->offset = segments->active_offset;
    batch->stored_bytes = stored_bytes;
    segments->active_offset += stored_bytes;
}

/* The other buffer gathers while this one is written. */
static void batch_submit(struct segments *segments, struct segment_batch *batch)
{
    bool durable = segments->options.durability == JOURNAL_SYNC;
#ifdef FRESHET_PLANT_REPLY_BEFORE_SYNC
    durable = false;
#endif
    segments->gathering ^= 1;
    batch_reset(&segments->batches[segments->gathering]);
    size_t size = batch->stored_bytes;
    if (is_cached(segments, durable)) {
        /* To the end of its page: of a page that is written in part, and is not in memory, the rest
         * would have to be read from the disk first. It is unused. */
        size = align_up(batch->offset + size, SEGMENTS_ALIGNMENT) - batch->offset;
        memset(batch->data + batch->stored_bytes, 0, size - batch->stored_bytes);
    }
    write_submit(segments, WRITING_BATCH, segments->active_file, batch->offset, batch->data, size,
                 durable);
    gather_queued(segments);
}

/* Complete with the copy: a kill -9 leaves it, as it leaves a cached write. */
static void batch_store(struct segments *segments, struct segment_batch *batch)
{
    segments_window_store(segments, batch->offset, bytes_of(batch->data, batch->stored_bytes));
    batch_committed(segments, batch);
    gather_queued(segments);
}

/* True when a batch was completed at once, so that the next one can go. */
static bool write_next(struct segments *segments)
{
    struct segment_batch *batch = &segments->batches[segments->gathering];
    ASSERT(segments->writing == WRITING_NOTHING);
    if (is_read_only(segments)) {
        refuse_waiting(segments);
        return false;
    }
    if (batch->count == 0) {
        /* Refused ones only, or nothing. */
        ASSERT(segments->queue_first == NULL);
        batch_reply(segments, batch, STATUS_NOT_ACCEPTED);
        return false;
    }
    size_t stored_bytes = align_up(batch->size, segments->disk->write_alignment);
    if (stored_bytes > segments->header.segment_bytes - segments->active_offset) {
        roll_start(segments);
        return false;
    }
    enum segments_way way = segments_window_way(segments, stored_bytes);
    if (way == WAY_WAIT) {
        return false;
    }
    seal(segments, batch, stored_bytes);
    if (way == WAY_STORE) {
        batch_store(segments, batch);
        return true;
    }
    batch_submit(segments, batch);
    return false;
}

/* As many batches as are stored at once; no more than what is queued, which admission bounds. */
static void write_start(struct segments *segments)
{
    while (segments->writing == WRITING_NOTHING && write_next(segments)) {
    }
}

static void write_finish(struct segments *segments)
{
    ASSERT(segments->writing != WRITING_NOTHING);
    enum segments_writing what = segments->writing;
    enum status status = segments->write.status;
    segments->writing = WRITING_NOTHING;
    segments->write.finished = false;
    if (segments->write.operation.durable) {
        counter_add(&segments->counters.syncs, 1);
        counter_add(&segments->counters.sync_ns_total,
                    segments->now_ns - segments->write.started_ns);
    }
    struct segment_batch *written = &segments->batches[segments->gathering ^ 1];
    if (status == STATUS_OK && !is_read_only(segments)) {
        if (what == WRITING_BATCH) {
            batch_committed(segments, written);
        } else {
            roll_finish(segments);
        }
        return;
    }
    if (what == WRITING_BATCH) {
        batch_reply(segments, written, STATUS_OUTCOME_UNKNOWN);
    }
    fail(segments);
}

/* ---- syncing ---- */

static void sync_submit(struct segments *segments, enum segments_syncing what, int file)
{
    ASSERT(file >= 0);
    ASSERT(!segments->sync.finished);
    if (what == SYNCING_ACTIVE) {
        segments_window_synced(segments);
    }
    segments->syncing = what;
    segments->sync.started_ns = segments->now_ns;
    segments->sync.operation = (struct disk_operation){
        .kind = DISK_SYNC, .file = file, .done = operation_done, .context = segments};
    segments->disk->vtable->submit(segments->disk, &segments->sync.operation);
}

void segments_sync_start(struct segments *segments)
{
    if (is_read_only(segments)) {
        return;
    }
    if (segments->syncing != SYNCING_NOTHING) {
        segments->sync_wanted = true;
        return;
    }
    segments->sync_wanted = false;
    segments->sync_due_ns = UINT64_MAX;
    if (segments->written_sequence == durable_sequence(segments)) {
        /* So a sync that is in flight always has something to add, and its file is never retired
         * under it. */
        ASSERT(segments->waiters_first == NULL);
        if (segments->previous_file >= 0) {
            segments_retire(segments, segments->previous_file);
            segments->previous_file = -1;
        }
        return;
    }
    segments->sync_target = segments->written_sequence;
    if (segments->previous_file >= 0) {
        sync_submit(segments, SYNCING_PREVIOUS, segments->previous_file);
    } else {
        sync_submit(segments, SYNCING_ACTIVE, segments->active_file);
    }
}

static void sync_reply_waiters(struct segments *segments)
{
    uint64_t durable = durable_sequence(segments);
    while (segments->waiters_first != NULL &&
           journal_sync_of(segments->waiters_first)->target_sequence <= durable) {
        struct journal_sync *sync = journal_sync_of(chain_pop(&segments->waiters_first));
        journal_sync_reply(&segments->replies, sync, STATUS_OK, durable);
    }
}

static void sync_finish(struct segments *segments)
{
    ASSERT(segments->syncing != SYNCING_NOTHING);
    enum segments_syncing what = segments->syncing;
    segments->syncing = SYNCING_NOTHING;
    segments->sync.finished = false;
    counter_add(&segments->counters.syncs, 1);
    counter_add(&segments->counters.sync_ns_total, segments->now_ns - segments->sync.started_ns);
    if (segments->sync.status != STATUS_OK) {
        fail(segments);
        return;
    }
    if (is_read_only(segments)) {
        return;
    }
    if (what == SYNCING_PREVIOUS) {
        segments_retire(segments, segments->previous_file);
        segments->previous_file = -1;
        sync_submit(segments, SYNCING_ACTIVE, segments->active_file);
        return;
    }
    if (segments->sync_target > durable_sequence(segments)) {
        atomic_store_explicit(&segments->base.durable, segments->sync_target, memory_order_release);
    }
    sync_reply_waiters(segments);
    if (segments->sync_wanted || segments->waiters_first != NULL) {
        segments_sync_start(segments);
    }
}

void segments_take_sync(struct message *message)
{
    struct journal_sync *sync = journal_sync_of(message);
    struct segments *segments = segments_of(sync->journal);
    uint64_t durable = durable_sequence(segments);
    if (sync->target_sequence <= durable) {
        journal_sync_reply(&segments->replies, sync, STATUS_OK, durable);
        return;
    }
    if (is_read_only(segments)) {
        journal_sync_reply(&segments->replies, sync, STATUS_IO_ERROR, durable);
        return;
    }
    chain_push(&segments->waiters_first, &segments->waiters_last, message);
    segments_sync_start(segments);
}

/* ---- one turn ---- */

void segments_turn(struct segments *segments)
{
    /* The sync first: if it failed, the write that finished beside it is not to be relied on
     * either. */
    if (segments->sync.finished) {
        sync_finish(segments);
    }
    if (segments->write.finished) {
        write_finish(segments);
    }
    write_start(segments);
    if (segments->sync_due_ns <= segments->now_ns) {
        segments_sync_start(segments);
    }
}

void segments_write_clean(struct segments *segments)
{
    ASSERT(segments->writing == WRITING_NOTHING && segments->syncing == SYNCING_NOTHING);
    ASSERT(!is_read_only(segments));
    const struct disk_vtable *disk = segments->disk->vtable;
    size_t stored_bytes = align_up(BATCH_HEADER_BYTES, segments->disk->write_alignment);
    enum status status = STATUS_OK;
    if (segments->previous_file >= 0) {
        status = disk->sync(segments->disk, segments->previous_file);
    }
    if (status == STATUS_OK && durable_sequence(segments) < segments->written_sequence) {
        status = disk->sync(segments->disk, segments->active_file);
    }
    bool room = stored_bytes <= segments->header.segment_bytes - segments->active_offset;
    if (status != STATUS_OK || !room) {
        return;
    }
    struct segment_batch *batch = &segments->batches[segments->gathering];
    memset(batch->data, 0, stored_bytes);
    struct batch_header header = {.kind = BATCH_CLEAN,
                                  .epoch = segments->base.epoch,
                                  .first_sequence = segments->next_sequence,
                                  .durable_through = segments->written_sequence,
                                  .previous_checksum = segments->chain_checksum,
                                  .length = BATCH_HEADER_BYTES,
                                  .stored_bytes = (uint32_t)stored_bytes};
    (void)batch_header_encode(&header, segments->active_seed, batch->data);
    status = disk->write(segments->disk, segments->active_file, segments->active_offset,
                         batch->data, stored_bytes);
    if (status == STATUS_OK) {
        status = disk->sync(segments->disk, segments->active_file);
    }
    (void)status; /* half a mark is no mark */
}
