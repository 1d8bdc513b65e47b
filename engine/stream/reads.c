/*
 * reads.c: what store threads do for those that lag: they read blocks of older entries, and look
 * for the place of a time.
 *
 * Waiting subscriptions stand in one queue. A read is made for the first of them that no read under
 * way seems to serve, and what comes back serves all whose next entry it holds. Who it was made for
 * comes first in the next step, while the block is surely there: so everybody gets on, however many
 * want other blocks.
 */
#include "engine/stream/stream_internal.h"

/* Of a block beyond its entries' bytes, for one entry that is larger than a block. */
#define BLOCK_SLACK_BYTES 64

/* ---- on a store thread ---- */

static void reader_close(struct stream *stream, struct stream_reader *reader)
{
    if (reader->reader != NULL) {
        journal_reader_destroy(stream->journal, reader->reader);
    }
    reader->reader = NULL;
    reader->has_held = false;
    reader->next_sequence = 0;
}

/* Stands before the sequence; a reader that stands there already reads on. */
static enum status reader_open(struct stream *stream, struct stream_reader *reader,
                               uint64_t sequence)
{
    if (reader->reader != NULL && reader->next_sequence == sequence) {
        return STATUS_OK;
    }
    reader_close(stream, reader);
    reader->next_sequence = sequence;
    return journal_reader_create(stream->journal, sequence, &reader->reader);
}

/* The entry at next_sequence, into reader->held. */
static enum status reader_hold(struct stream *stream, struct stream_reader *reader)
{
    if (reader->has_held) {
        return STATUS_OK;
    }
    enum status status = journal_reader_next(stream->journal, reader->reader, &reader->held);
    reader->has_held = status == STATUS_OK;
    if (status == STATUS_OK && reader->held.sequence != reader->next_sequence) {
        return STATUS_DAMAGED;
    }
    return status;
}

static enum status block_read(struct stream_read *read)
{
    struct stream *stream = read->stream;
    struct stream_reader *reader = read->reader;
    enum status status = reader_open(stream, reader, read->sequence);
    if (status == STATUS_OK) {
        status = reader_hold(stream, reader);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t first_size = entry_stored(&reader->held).size + BLOCK_SLACK_BYTES;
    size_t capacity = first_size > RECENT_BLOCK_BYTES ? first_size : RECENT_BLOCK_BYTES;
    read->block_bytes = capacity;
    status = recent_block_create(capacity, &read->block);
    if (status != STATUS_OK) {
        return status;
    }
    /* Up to the first entry that does not fit, is of another epoch, or is not there yet. What is
     * wrong behind the first is found by whoever gets there. */
    while (reader_hold(stream, reader) == STATUS_OK &&
           recent_block_add(read->block, &reader->held, entry_stored(&reader->held))) {
        reader->has_held = false;
        reader->next_sequence++;
    }
    uint64_t first;
    uint64_t last;
    bool holds = recent_block_range(read->block, &first, &last);
    /* read->sequence stays as it was asked for: its thread looks at it meanwhile. */
    ASSERT(holds && first == read->sequence);
    return STATUS_OK;
}

static void read_run(struct store_job *job)
{
    struct stream_read *read = CONTAINER_OF(job, struct stream_read, job);
    ASSERT(read->kind != READ_NONE);
    if (read->kind == READ_TIME) {
        read->status = journal_find_time(read->stream->journal, read->time_ms, &read->sequence);
        return;
    }
    read->status = block_read(read);
    if (read->status != STATUS_OK) {
        reader_close(read->stream, read->reader);
    }
}

/* ---- blocks ---- */

struct recent_block *stream_block_find(struct stream *stream, uint64_t sequence)
{
    for (size_t i = 0; i < STREAM_BLOCKS_MAX; i++) {
        struct stream_block *block = &stream->blocks[i];
        if (block->block != NULL && block->first <= sequence && sequence <= block->last) {
            block->used_at = ++stream->clock;
            return block->block;
        }
    }
    return NULL;
}

static void block_drop(struct stream_block *block)
{
    recent_block_unref(block->block);
    *block = (struct stream_block){0};
}

/* The one that has not been used for longest; NULL: few are left, and somebody waits for each. */
static struct stream_block *block_to_drop(struct stream *stream, size_t room)
{
    struct stream_block *oldest = NULL;
    uint32_t count = 0;
    size_t bytes = room;
    for (size_t i = 0; i < STREAM_BLOCKS_MAX; i++) {
        struct stream_block *block = &stream->blocks[i];
        if (block->block != NULL) {
            count++;
            bytes += block->bytes;
            oldest = oldest == NULL || block->used_at < oldest->used_at ? block : oldest;
        }
    }
    bool is_full = count == STREAM_BLOCKS_MAX || bytes > STREAM_BLOCKS_BYTES;
    return is_full && count >= STREAM_READS_MAX ? oldest : NULL;
}

static struct stream_block *block_keep(struct stream *stream, struct recent_block *recent,
                                       size_t bytes)
{
    struct stream_block *drop;
    while ((drop = block_to_drop(stream, bytes)) != NULL) {
        block_drop(drop);
    }
    struct stream_block *place = &stream->blocks[0];
    while (place->block != NULL) {
        place++;
        ASSERT(place < stream->blocks + STREAM_BLOCKS_MAX);
    }
    *place = (struct stream_block){.block = recent, .bytes = bytes, .used_at = ++stream->clock};
    bool holds = recent_block_range(recent, &place->first, &place->last);
    ASSERT(holds);
    ASSERT(place->first <= place->last);
    return place;
}

/* ---- back from the store thread ---- */

static bool waits_for_time(const struct subscription *subscription)
{
    return subscription->state == SUBSCRIPTION_STARTING && subscription->needs_time;
}

static enum status ending_of(enum status status)
{
    if (status == STATUS_POSITION_EXPIRED || status == STATUS_NO_MEMORY) {
        return status;
    }
    return STATUS_DAMAGED;
}

static void block_came(struct stream *stream, struct stream_read *read,
                       struct subscription *requester)
{
    struct stream_block *block = block_keep(stream, read->block, read->block_bytes);
    struct link *next;
    for (struct link *at = stream->waiting.next; at != &stream->waiting; at = next) {
        next = at->next;
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link);
        bool is_served = subscription->next_sequence >= block->first &&
                         subscription->next_sequence <= block->last;
        if (is_served && !waits_for_time(subscription) && subscription != requester) {
            stream_reads_forget(stream, subscription); /* what was asked for it comes too late */
            stream_lags(subscription, false);
        }
    }
    if (requester != NULL) {
        ASSERT(requester->next_sequence == block->first);
        stream_lags(requester, true);
    }
}

static void time_came(struct subscription *requester, uint64_t sequence)
{
    struct stream *stream = requester->stream;
    requester->needs_time = false;
    requester->next_sequence = sequence;
    requester->seen_sequence = sequence - 1;
    requester->epoch = stream->journal->epoch;
    enum status status = journal_pin(stream->journal, sequence, &requester->pin);
    if (status != STATUS_OK) {
        stream_ends(requester, status);
        return;
    }
    requester->is_pinned = true;
    stream_lags(requester, false);
}

/* Runs from the thread's mailbox, between two steps. */
static void read_came(struct message *message)
{
    struct stream_read *read =
        CONTAINER_OF(CONTAINER_OF(message, struct store_job, message), struct stream_read, job);
    struct stream *stream = read->stream;
    struct subscription *requester = read->requester;
    ASSERT(stream->reads_running > 0);
    ASSERT(read->kind != READ_NONE);
    stream->reads_running--;
    enum stream_read_kind kind = read->kind;
    read->kind = READ_NONE;
    read->requester = NULL;
    if (kind == READ_BLOCK) {
        read->reader->is_busy = false;
        stream_count_add(&stream->statistics.older_reads, 1);
    }
    if (read->status != STATUS_OK) {
        if (requester != NULL) {
            stream_ends(requester, ending_of(read->status));
        }
        return;
    }
    if (kind == READ_BLOCK) {
        block_came(stream, read, requester);
        read->block = NULL;
    } else if (requester != NULL) {
        time_came(requester, read->sequence);
    }
}

/* ---- starting ---- */

/* Likely on its way already: then it is asked for only if it was not in that block. */
static bool is_on_its_way(const struct stream *stream, const struct subscription *subscription)
{
    for (size_t i = 0; i < STREAM_READS_MAX; i++) {
        const struct stream_read *read = &stream->reads[i];
        if (read->kind == READ_NONE) {
            continue;
        }
        if (read->requester == subscription) {
            return true;
        }
        if (read->kind == READ_BLOCK && !waits_for_time(subscription) &&
            read->sequence <= subscription->next_sequence &&
            subscription->next_sequence - read->sequence < STREAM_STEP_ENTRIES) {
            return true;
        }
    }
    return false;
}

/* One that stands there already, else one that is not open, else the one that has not been used
 * for longest. */
static struct stream_reader *reader_choose(struct stream *stream, uint64_t sequence)
{
    struct stream_reader *best = NULL;
    for (size_t i = 0; i < STREAM_READERS_MAX; i++) {
        struct stream_reader *reader = &stream->readers[i];
        if (reader->is_busy) {
            continue;
        }
        if (reader->reader != NULL && reader->next_sequence == sequence) {
            best = reader;
            break;
        }
        if (best == NULL || reader->reader == NULL ||
            (best->reader != NULL && reader->used_at < best->used_at)) {
            best = reader;
        }
    }
    ASSERT(best != NULL);
    best->is_busy = true;
    best->used_at = ++stream->clock;
    return best;
}

static void read_start(struct stream *stream, struct subscription *requester)
{
    struct stream_read *read = &stream->reads[0];
    while (read->kind != READ_NONE) {
        read++;
        ASSERT(read < stream->reads + STREAM_READS_MAX);
    }
    *read = (struct stream_read){
        .job = {.message = {.receive = read_came},
                .reply_to = engine_thread_mailbox(stream->options.engine_thread),
                .run = read_run},
        .stream = stream,
        .kind = waits_for_time(requester) ? READ_TIME : READ_BLOCK,
        .requester = requester,
        .sequence = requester->next_sequence,
        .time_ms = requester->options.time_ms,
    };
    if (read->kind == READ_BLOCK) {
        read->reader = reader_choose(stream, requester->next_sequence);
    }
    stream->reads_running++;
    executor_submit(stream->options.executor, &read->job);
}

void stream_reads_start(struct stream *stream)
{
    struct link *next;
    for (struct link *at = stream->waiting.next;
         at != &stream->waiting && stream->reads_running < STREAM_READS_MAX; at = next) {
        next = at->next;
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link);
        if (!is_on_its_way(stream, subscription)) {
            read_start(stream, subscription);
        }
    }
}

void stream_reads_forget(struct stream *stream, const struct subscription *subscription)
{
    for (size_t i = 0; i < STREAM_READS_MAX; i++) {
        if (stream->reads[i].requester == subscription) {
            stream->reads[i].requester = NULL;
        }
    }
}

void stream_reads_deinit(struct stream *stream)
{
    ASSERT(stream->reads_running == 0);
    for (size_t i = 0; i < STREAM_READERS_MAX; i++) {
        reader_close(stream, &stream->readers[i]);
    }
    for (size_t i = 0; i < STREAM_BLOCKS_MAX; i++) {
        if (stream->blocks[i].block != NULL) {
            block_drop(&stream->blocks[i]);
        }
    }
}
