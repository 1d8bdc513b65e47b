#include <stdlib.h>

#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

static void segments_submit(struct journal *journal, struct journal_commit *commit)
{
    journal_commit_post(journal, commit, segments_take_commit);
}

static void segments_sync(struct journal *journal, struct journal_sync *sync)
{
    journal_sync_post(journal, sync, segments_take_sync);
}

static uint64_t segments_step(struct journal *journal, uint64_t now_ns, uint64_t wall_ms)
{
    struct segments *segments = segments_of(journal);
    ASSERT(now_ns >= segments->now_ns);
    segments->now_ns = now_ns;
    segments->wall_ms = wall_ms;
    mailbox_deliver(&journal->inbox);
    segments_turn(segments);
    /* Both look for what the turn left to do, so both are asked. */
    bool prepared = segments_upkeep_step(segments);
    bool mapped = segments_window_step(segments);
    if (prepared || mapped) {
        segments_turn(segments);
    }
    journal_replies_post(&segments->replies);
    uint64_t due = segments_upkeep_due(segments);
    return segments->sync_due_ns < due ? segments->sync_due_ns : due;
}

static bool segments_idle(const struct journal *journal)
{
    const struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    return atomic_load(&journal->inbox.newest) == NULL && segments->queue_first == NULL &&
           segments->batches[segments->gathering].first == NULL &&
           segments->writing == WRITING_NOTHING && segments->syncing == SYNCING_NOTHING &&
           segments->waiters_first == NULL && !segments->upkeep.running &&
           !segments->window.running;
}

static void segments_retain(struct journal *journal, uint64_t needed_from_sequence)
{
    struct segments *segments = segments_of(journal);
    uint64_t before = atomic_load_explicit(&segments->needed_from, memory_order_relaxed);
    while (needed_from_sequence > before &&
           !atomic_compare_exchange_weak(&segments->needed_from, &before, needed_from_sequence)) {
    }
}

static enum status segments_position_check(const struct journal *journal,
                                           const struct position *position)
{
    const struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    if (memcmp(&position->store_id, &journal->store_id, sizeof(struct store_id)) != 0) {
        return STATUS_POSITION_EXPIRED;
    }
    if (position->epoch == journal->epoch) {
        return position->sequence <= journal_committed(journal) ? STATUS_OK : STATUS_INVALID;
    }
    /* The chain of epochs does not change while the journal is open. */
    const struct segment_header *header = &segments->header;
    for (uint32_t i = header->epoch_count; i > 0; i--) {
        if (header->epochs[i - 1].epoch == position->epoch) {
            return position->sequence <= header->epochs[i - 1].end_sequence
                       ? STATUS_OK
                       : STATUS_POSITION_EXPIRED;
        }
    }
    return STATUS_POSITION_EXPIRED;
}

static void segments_statistics(const struct journal *journal, struct journal_statistics *out)
{
    struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    const struct segments_counters *counters = &segments->counters;
    *out = (struct journal_statistics){
        .entries = atomic_load_explicit(&counters->entries, memory_order_relaxed),
        .batches = atomic_load_explicit(&counters->batches, memory_order_relaxed),
        .bytes_written = atomic_load_explicit(&counters->bytes_written, memory_order_relaxed),
        .syncs = atomic_load_explicit(&counters->syncs, memory_order_relaxed),
        .sync_ns_total = atomic_load_explicit(&counters->sync_ns_total, memory_order_relaxed),
        .queued_bytes = atomic_load_explicit(&journal->queued_bytes, memory_order_relaxed)};
    pthread_mutex_lock(&segments->table_lock);
    out->segments = segments->table_count;
    if (segments->table_count > 0 &&
        segments->table[0].first_sequence <= journal_committed(journal)) {
        out->oldest_sequence = segments->table[0].first_sequence;
    }
    pthread_mutex_unlock(&segments->table_lock);
}

struct journal_recovered journal_segments_recovered(const struct journal *journal)
{
    const struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    return segments->recovered;
}

/* ---- closing ---- */

static void close_file(struct segments *segments, int *file)
{
    if (*file >= 0) {
        segments->disk->vtable->close(segments->disk, *file);
        *file = -1;
    }
}

void journal_segments_abandon(struct journal *journal)
{
    struct segments *segments = segments_of(journal);
    close_file(segments, &segments->active_file);
    close_file(segments, &segments->previous_file);
    close_file(segments, &segments->retired_file);
    close_file(segments, &segments->next_file);
    for (size_t i = 0; i < 2; i++) {
        free(segments->batches[i].data);
    }
    free(segments->header_block);
    free(segments->table);
    recent_destroy(&segments->base.recent);
    pthread_mutex_destroy(&segments->table_lock);
    free(segments);
}

static void segments_close(struct journal *journal)
{
    struct segments *segments = segments_of(journal);
    /* A job that the last turn started has run by now, but no turn has taken its message. */
    mailbox_deliver(&journal->inbox);
    ASSERT(segments_idle(journal));
    if (!atomic_load(&journal->read_only)) {
        segments_write_clean(segments);
    }
    journal_segments_abandon(journal);
}

static const struct journal_vtable segments_vtable = {
    .submit = segments_submit,
    .sync = segments_sync,
    .step = segments_step,
    .idle = segments_idle,
    .retain = segments_retain,
    .position_check = segments_position_check,
    .oldest = segments_oldest,
    .pin = segments_pin,
    .unpin = segments_unpin,
    .bytes_behind = segments_bytes_behind,
    .find_time = segments_find_time,
    .statistics = segments_statistics,
    .reader_create = segments_reader_create,
    .reader_next = segments_reader_next,
    .reader_destroy = segments_reader_destroy,
    .close = segments_close,
};

/* ---- opening ---- */

static bool options_fit(const struct journal_options *options)
{
    size_t batch_least = options->entry_bytes_max + BATCH_HEADER_BYTES;
    return options->shard_count > 0 && options->shard_count <= SHARD_COUNT_MAX &&
           options->batch_bytes_max >= batch_least && options->batch_bytes_max <= UINT32_MAX / 2 &&
           options->segment_bytes % SEGMENTS_ALIGNMENT == 0 &&
           options->window_bytes % DISK_WINDOW_ALIGNMENT == 0 &&
           options->segment_bytes >= SEGMENT_HEADER_BYTES + SEGMENTS_ALIGNMENT +
                                         align_up(options->batch_bytes_max, SEGMENTS_ALIGNMENT);
}

static enum status segments_allocate(struct segments *segments)
{
    /* A cached write goes on to the end of its page. */
    size_t size =
        align_up(segments->options.batch_bytes_max, SEGMENTS_ALIGNMENT) + SEGMENTS_ALIGNMENT;
    for (size_t i = 0; i < 2; i++) {
        segments->batches[i].data = aligned_alloc(SEGMENTS_ALIGNMENT, size);
        segments->batches[i].size = BATCH_HEADER_BYTES;
    }
    segments->header_block = aligned_alloc(SEGMENTS_ALIGNMENT, SEGMENT_HEADER_BYTES);
    bool all = segments->batches[0].data != NULL && segments->batches[1].data != NULL &&
               segments->header_block != NULL;
    return all ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Takes over what recovery found. */
static void segments_begin(struct segments *segments, struct recovery *recovery,
                           const struct recovery_active *active)
{
    struct journal *base = &segments->base;
    segments->table = recovery->segments;
    segments->table_count = recovery->segment_count;
    segments->table_capacity = recovery->segment_capacity;
    recovery->segments = NULL;
    segments->recovered = recovery->recovered;
    segments->next_sequence = recovery->last_sequence + 1;
    segments->written_sequence = recovery->last_sequence;
    segments->last_time_ms = recovery->last_time_ms;
    segments->active_file = active->file;
    segments->active_offset = active->offset;
    atomic_store(&segments->active_bytes, active->offset);
    segments->chain_checksum = active->checksum;
    segments->header = active->header;
    base->store_id = active->header.store.id;
    base->epoch = active->header.epoch;
    atomic_store(&base->committed, recovery->last_sequence);
    atomic_store(&base->durable, recovery->last_sequence);
    recent_start(base->recent, segments->next_sequence);
    if (active->file >= 0) {
        segments->active_seed =
            batch_seed(&active->header.store, active->header.number, active->header.epoch);
    }
}

/* The writing journal is repaired first; the reading one takes it as it is. */
static enum status segments_recover(struct segments *segments, struct recovery *recovery,
                                    struct journal_problem *problem)
{
    struct recovery_active active = {.file = -1, .header = recovery->newest};
    if (segments->options.read_only) {
        atomic_store(&segments->base.read_only, true);
        segments_begin(segments, recovery, &active);
        return STATUS_OK;
    }
    enum status status = recovery_repair(recovery, &segments->options, &active, problem);
    if (status != STATUS_OK) {
        return status;
    }
    segments_begin(segments, recovery, &active);
    status = segments_allocate(segments);
    return status == STATUS_OK
               ? STATUS_OK
               : journal_problem_set(problem, status, NULL, 0, "no memory for its buffers");
}

static struct segments *segments_new(const struct journal_options *options)
{
    struct segments *segments = calloc(1, sizeof(*segments));
    if (segments == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&segments->table_lock, NULL) != 0) {
        free(segments);
        return NULL;
    }
    if (recent_create(options->recent_bytes, &segments->base.recent) != STATUS_OK) {
        pthread_mutex_destroy(&segments->table_lock);
        free(segments);
        return NULL;
    }
    segments->options = *options;
    segments->disk = options->disk;
    journal_base_init(&segments->base, &segments_vtable, options->waker);
    segments->active_file = -1;
    segments->previous_file = -1;
    segments->retired_file = -1;
    segments->next_file = -1;
    segments->window.file = -1;
    segments->base.commits_at_once = options->cached_writes && !options->read_only &&
                                     options->durability != JOURNAL_SYNC &&
                                     options->disk->has_windows;
    segments->sync_due_ns = UINT64_MAX;
    link_init(&segments->pins);
    return segments;
}

enum status journal_segments_open(const struct journal_options *options,
                                  const uint64_t *persisted_sequence, struct journal **out,
                                  struct journal_problem *problem)
{
    *out = NULL;
    *problem = (struct journal_problem){0};
    struct journal_options own = *options;
    if (own.entry_bytes_max == 0) {
        own.entry_bytes_max = ENTRY_BYTES_MAX;
    }
    if (own.window_bytes == 0) {
        own.window_bytes = WINDOW_BYTES;
    }
    if (!own.read_only && !options_fit(&own)) {
        return journal_problem_set(problem, STATUS_INVALID, NULL, 0,
                                   "a batch must hold the largest entry, and a segment a batch; "
                                   "raise the segment size");
    }
    struct recovery_options recovery_options = {.disk = own.disk,
                                                .persisted_sequence = persisted_sequence,
                                                .shard_count = own.shard_count,
                                                .verify_all = own.read_only};
    struct recovery recovery;
    enum status status = recovery_scan(&recovery_options, &recovery, problem);
    struct segments *segments = NULL;
    if (status == STATUS_OK) {
        segments = segments_new(&own);
        status = segments == NULL ? journal_problem_set(problem, STATUS_NO_MEMORY, NULL, 0,
                                                        "no memory to open it")
                                  : segments_recover(segments, &recovery, problem);
    }
    recovery_deinit(&recovery);
    if (status != STATUS_OK) {
        if (segments != NULL) {
            journal_segments_abandon(&segments->base);
        }
        return status;
    }
    *out = &segments->base;
    return STATUS_OK;
}
