/*
 * memory.c: the journal of tests. Entries are kept in chunks that never move, so that a reader on
 * another thread reads what `committed` covers without a lock.
 */
#include <stdlib.h>

#include "engine/journal/journal_internal.h"
#include "protocol/base/assert.h"

#define CHUNK_ENTRIES 4096u
#define CHUNKS_MAX    (1u << 14)

struct memory_entry {
    uint8_t *encoded;
    uint64_t epoch;
    uint64_t bytes_through; /* of all entries up to this one */
};

struct memory_journal {
    struct journal base;
    uint64_t last_sequence;
    uint64_t last_time_ms;
    uint64_t wall_ms;
    uint64_t bytes;
    uint64_t batches;
    uint64_t needed_from; /* only counted: this journal forgets nothing */
    struct journal_replies replies;
    struct memory_entry *chunks[CHUNKS_MAX]; /* of CHUNK_ENTRIES each */
};

struct memory_reader {
    struct journal_reader base;
    const struct memory_journal *journal;
    uint64_t next_sequence;
};

static struct memory_journal *memory_of(struct journal *journal)
{
    return CONTAINER_OF(journal, struct memory_journal, base);
}

/* The place of the next entry, or NULL when the journal is full or memory is. */
static struct memory_entry *memory_next_entry(struct memory_journal *memory)
{
    uint64_t chunk = memory->last_sequence / CHUNK_ENTRIES;
    if (chunk >= CHUNKS_MAX) {
        return NULL;
    }
    if (memory->chunks[chunk] == NULL) {
        memory->chunks[chunk] = calloc(CHUNK_ENTRIES, sizeof(struct memory_entry));
    }
    return memory->chunks[chunk] == NULL
               ? NULL
               : &memory->chunks[chunk][memory->last_sequence % CHUNK_ENTRIES];
}

uint64_t journal_memory_append(struct journal *journal, struct bytes entry, uint64_t wall_ms)
{
    struct memory_journal *memory = memory_of(journal);
    struct memory_entry *place = memory_next_entry(memory);
    uint8_t *copy = place == NULL ? NULL : malloc(entry.size);
    if (copy == NULL) {
        return 0;
    }
    ASSERT(entry_stored_size(entry.data) == entry.size);
    memcpy(copy, entry.data, entry.size);
    memory->bytes += entry.size;
    *place = (struct memory_entry){
        .encoded = copy, .epoch = journal->epoch, .bytes_through = memory->bytes};
    memory->last_sequence++;
    if (memory->last_time_ms < wall_ms) {
        memory->last_time_ms = wall_ms;
    }
    entry_stamp(copy, memory->last_sequence, memory->last_time_ms);
    /* Without memory followers read it with a reader. */
    recent_append(journal->recent, journal->epoch, memory->last_sequence, 1,
                  bytes_of(copy, entry.size));
    return memory->last_time_ms;
}

void journal_memory_publish(struct journal *journal)
{
    struct memory_journal *memory = memory_of(journal);
    memory->batches += memory->last_sequence > journal_committed(journal) ? 1 : 0;
    atomic_store_explicit(&journal->committed, memory->last_sequence, memory_order_release);
    atomic_store_explicit(&journal->durable, memory->last_sequence, memory_order_release);
}

/* Runs from the step's mailbox_deliver: an entry is committed as soon as it is taken. */
static void memory_take_commit(struct message *message)
{
    struct journal_commit *commit = journal_commit_of(message);
    struct memory_journal *memory = memory_of(commit->journal);
    bool taken = false;
    if (!atomic_load(&memory->base.read_only)) {
        uint64_t before = memory->last_sequence;
        commit->time_ms = journal_memory_append(&memory->base, commit->entry, memory->wall_ms);
        taken = memory->last_sequence > before;
    }
    if (!taken) {
        atomic_store(&memory->base.read_only, true);
        journal_commit_reply(&memory->replies, commit, STATUS_NOT_ACCEPTED);
        return;
    }
    commit->epoch = memory->base.epoch;
    commit->sequence = memory->last_sequence;
    atomic_store_explicit(&memory->base.shard_committed[commit->shard], commit->sequence,
                          memory_order_release);
    journal_commit_reply(&memory->replies, commit, STATUS_OK);
}

static void memory_take_sync(struct message *message)
{
    struct journal_sync *sync = journal_sync_of(message);
    struct memory_journal *memory = memory_of(sync->journal);
    journal_sync_reply(&memory->replies, sync, STATUS_OK, memory->last_sequence);
}

static void memory_submit(struct journal *journal, struct journal_commit *commit)
{
    journal_commit_post(journal, commit, memory_take_commit);
}

static void memory_sync(struct journal *journal, struct journal_sync *sync)
{
    journal_sync_post(journal, sync, memory_take_sync);
}

static uint64_t memory_step(struct journal *journal, uint64_t now_ns, uint64_t wall_ms)
{
    struct memory_journal *memory = memory_of(journal);
    (void)now_ns;
    memory->wall_ms = wall_ms;
    mailbox_deliver(&journal->inbox);
    journal_memory_publish(journal);
    journal_replies_post(&memory->replies);
    return UINT64_MAX;
}

static bool memory_idle(const struct journal *journal)
{
    return atomic_load(&journal->inbox.newest) == NULL;
}

static void memory_retain(struct journal *journal, uint64_t needed_from_sequence)
{
    struct memory_journal *memory = memory_of(journal);
    if (needed_from_sequence > memory->needed_from) {
        memory->needed_from = needed_from_sequence;
    }
}

static enum status memory_position_check(const struct journal *journal,
                                         const struct position *position)
{
    if (memcmp(&position->store_id, &journal->store_id, sizeof(struct store_id)) != 0 ||
        position->epoch != journal->epoch) {
        return STATUS_POSITION_EXPIRED;
    }
    return position->sequence <= journal_committed(journal) ? STATUS_OK : STATUS_INVALID;
}

/* Nothing is ever trimmed: all is readable from the beginning. */
static void memory_oldest(const struct journal *journal, struct position *out)
{
    *out = (struct position){.store_id = journal->store_id, .epoch = journal->epoch};
}

static enum status memory_pin(struct journal *journal, uint64_t sequence, struct journal_pin *pin)
{
    (void)journal;
    link_init(&pin->link);
    pin->sequence = sequence;
    return STATUS_OK;
}

static void memory_unpin(struct journal *journal, struct journal_pin *pin)
{
    (void)journal;
    pin->sequence = 0;
}

static const struct memory_entry *memory_entry_at(const struct memory_journal *memory,
                                                  uint64_t sequence)
{
    ASSERT(sequence >= 1 && sequence <= journal_committed(&memory->base));
    uint64_t index = sequence - 1;
    const struct memory_entry *entry =
        &memory->chunks[index / CHUNK_ENTRIES][index % CHUNK_ENTRIES];
    ASSERT(entry->encoded != NULL);
    return entry;
}

static uint64_t memory_bytes_behind(const struct journal *journal, uint64_t sequence)
{
    const struct memory_journal *memory = CONTAINER_OF(journal, struct memory_journal, base);
    uint64_t committed = journal_committed(journal);
    if (sequence >= committed) {
        return 0;
    }
    uint64_t before = sequence == 0 ? 0 : memory_entry_at(memory, sequence)->bytes_through;
    return memory_entry_at(memory, committed)->bytes_through - before;
}

/* Times never fall, so the place is found by halving. */
static enum status memory_find_time(struct journal *journal, uint64_t time_ms,
                                    uint64_t *sequence_out)
{
    const struct memory_journal *memory = memory_of(journal);
    uint64_t low = 1;
    uint64_t high = journal_committed(journal) + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_stored_time_ms(memory_entry_at(memory, middle)->encoded) < time_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *sequence_out = low;
    return STATUS_OK;
}

static void memory_statistics(const struct journal *journal, struct journal_statistics *out)
{
    const struct memory_journal *memory = CONTAINER_OF(journal, struct memory_journal, base);
    *out = (struct journal_statistics){.entries = memory->last_sequence,
                                       .batches = memory->batches,
                                       .bytes_written = memory->bytes,
                                       .oldest_sequence = memory->last_sequence > 0 ? 1 : 0,
                                       .queued_bytes = atomic_load(&journal->queued_bytes)};
}

static enum status memory_reader_create(struct journal *journal, uint64_t from_sequence,
                                        struct journal_reader **out)
{
    *out = NULL;
    struct memory_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return STATUS_NO_MEMORY;
    }
    reader->journal = memory_of(journal);
    reader->next_sequence = from_sequence == 0 ? 1 : from_sequence;
    *out = &reader->base;
    return STATUS_OK;
}

enum status journal_memory_reader_next(struct journal_reader *base, struct entry *entry_out)
{
    struct memory_reader *reader = CONTAINER_OF(base, struct memory_reader, base);
    const struct memory_journal *memory = reader->journal;
    if (reader->next_sequence > journal_committed(&memory->base)) {
        return STATUS_NOT_FOUND;
    }
    const struct memory_entry *entry = memory_entry_at(memory, reader->next_sequence);
    reader->next_sequence++;
    size_t size = entry_stored_size(entry->encoded);
    enum status status = entry_decode(bytes_of(entry->encoded, size), entry_out);
    entry_out->epoch = entry->epoch;
    return status;
}

void journal_memory_reader_destroy(struct journal_reader *base)
{
    free(CONTAINER_OF(base, struct memory_reader, base));
}

static void memory_close(struct journal *journal)
{
    struct memory_journal *memory = memory_of(journal);
    ASSERT(memory_idle(journal));
    recent_destroy(&journal->recent);
    for (uint32_t chunk = 0; chunk < CHUNKS_MAX && memory->chunks[chunk] != NULL; chunk++) {
        for (uint32_t i = 0; i < CHUNK_ENTRIES; i++) {
            free(memory->chunks[chunk][i].encoded);
        }
        free(memory->chunks[chunk]);
    }
    free(memory);
}

static const struct journal_vtable memory_vtable = {
    .submit = memory_submit,
    .sync = memory_sync,
    .step = memory_step,
    .idle = memory_idle,
    .retain = memory_retain,
    .position_check = memory_position_check,
    .oldest = memory_oldest,
    .pin = memory_pin,
    .unpin = memory_unpin,
    .bytes_behind = memory_bytes_behind,
    .find_time = memory_find_time,
    .statistics = memory_statistics,
    .reader_create = memory_reader_create,
    .reader_next = journal_memory_reader_next,
    .reader_destroy = journal_memory_reader_destroy,
    .close = memory_close,
};

enum status journal_memory_open(const struct journal_options *options, struct journal **out)
{
    *out = NULL;
    struct memory_journal *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    journal_base_init(&memory->base, &memory_vtable, options->waker);
    memory->base.store_id = options->new_store_id;
    memory->base.epoch = 1;
    enum status status = recent_create(options->recent_bytes, &memory->base.recent);
    if (status != STATUS_OK) {
        free(memory);
        return status;
    }
    recent_start(memory->base.recent, 1);
    *out = &memory->base;
    return STATUS_OK;
}
