#include "tests/support/faulty_journal.h"

#include <stdlib.h>
#include <string.h>

#include "engine/journal/journal_internal.h"
#include "protocol/base/assert.h"

#define EPOCHS_MAX 1024u

struct faulty_journal {
    struct journal base;
    struct faulty_journal_options faults;
    struct journal *memory;
    uint64_t random;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t due_ns;       /* of the first held; UINT64_MAX: nothing is held */
    struct message *first; /* held commits */
    struct message *last;
    uint64_t shard_refusals[SHARD_COUNT_MAX];
    uint64_t last_sequence;
    uint64_t epoch_ends[EPOCHS_MAX]; /* by epoch */
    struct journal_replies replies;
};

static struct faulty_journal *faulty_of(struct journal *journal)
{
    return CONTAINER_OF(journal, struct faulty_journal, base);
}

static uint64_t random_below(struct faulty_journal *faulty, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = faulty->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below == 0 ? 0 : (z ^ (z >> 31)) % below;
}

static struct journal_commit *held_pop(struct faulty_journal *faulty)
{
    struct message *message = faulty->first;
    ASSERT(message != NULL);
    faulty->first = message->next;
    bool more = faulty->first != NULL;
    faulty->due_ns =
        more ? faulty->now_ns + random_below(faulty, faulty->faults.delay_ns_max) : UINT64_MAX;
    return journal_commit_of(message);
}

static void append(struct faulty_journal *faulty, struct journal_commit *commit)
{
    commit->time_ms = journal_memory_append(faulty->memory, commit->entry, faulty->wall_ms);
    commit->sequence = ++faulty->last_sequence;
    commit->epoch = faulty->base.epoch;
}

static void commit_held(struct faulty_journal *faulty)
{
    struct journal_commit *commit = held_pop(faulty);
    bool refuse = random_below(faulty, 1000) < faulty->faults.refused_per_mille;
    refuse = refuse || atomic_load(&faulty->base.read_only);
    if (!journal_refusals_pass(&faulty->shard_refusals[commit->shard], commit, refuse)) {
        journal_commit_reply(&faulty->replies, commit, STATUS_NOT_ACCEPTED);
        return;
    }
    append(faulty, commit);
    journal_memory_publish(faulty->memory);
    atomic_store(&faulty->base.shard_committed[commit->shard], commit->sequence);
    atomic_store(&faulty->base.committed, commit->sequence);
    atomic_store(&faulty->base.durable, commit->sequence);
    journal_commit_reply(&faulty->replies, commit, STATUS_OK);
}

/* The answer to all that is held is lost; a prefix of it was done. It is not published, so that
 * nobody sees it now. */
static void lose_answers(struct faulty_journal *faulty)
{
    bool applied = random_below(faulty, 2) == 1;
    while (faulty->first != NULL) {
        struct journal_commit *commit = held_pop(faulty);
        bool pass = journal_refusals_pass(&faulty->shard_refusals[commit->shard], commit, false);
        if (!pass) {
            journal_commit_reply(&faulty->replies, commit, STATUS_NOT_ACCEPTED);
            continue;
        }
        if (applied) {
            append(faulty, commit);
        }
        journal_commit_reply(&faulty->replies, commit, STATUS_OUTCOME_UNKNOWN);
        applied = applied && random_below(faulty, 3) > 0;
    }
    atomic_store(&faulty->base.read_only, true);
}

static void take_commit(struct message *message)
{
    struct faulty_journal *faulty = faulty_of(journal_commit_of(message)->journal);
    message->next = NULL;
    if (faulty->first == NULL) {
        faulty->first = message;
        faulty->due_ns = faulty->now_ns + random_below(faulty, faulty->faults.delay_ns_max);
    } else {
        faulty->last->next = message;
    }
    faulty->last = message;
}

static void take_sync(struct message *message)
{
    struct journal_sync *sync = journal_sync_of(message);
    struct faulty_journal *faulty = faulty_of(sync->journal);
    journal_sync_reply(&faulty->replies, sync, STATUS_OK, journal_committed(&faulty->base));
}

static void faulty_submit(struct journal *journal, struct journal_commit *commit)
{
    journal_commit_post(journal, commit, take_commit);
}

static void faulty_sync(struct journal *journal, struct journal_sync *sync)
{
    journal_sync_post(journal, sync, take_sync);
}

static uint64_t faulty_step(struct journal *journal, uint64_t now_ns, uint64_t wall_ms)
{
    struct faulty_journal *faulty = faulty_of(journal);
    ASSERT(now_ns >= faulty->now_ns);
    faulty->now_ns = now_ns;
    faulty->wall_ms = wall_ms;
    mailbox_deliver(&journal->inbox);
    while (faulty->due_ns <= now_ns) {
        bool lose = random_below(faulty, 1000) < faulty->faults.unknown_per_mille;
        if (lose && !atomic_load(&journal->read_only)) {
            lose_answers(faulty);
        } else {
            commit_held(faulty);
        }
    }
    journal_replies_post(&faulty->replies);
    return faulty->due_ns;
}

static bool faulty_idle(const struct journal *journal)
{
    const struct faulty_journal *faulty = CONTAINER_OF(journal, struct faulty_journal, base);
    return atomic_load(&journal->inbox.newest) == NULL && faulty->first == NULL;
}

static void faulty_retain(struct journal *journal, uint64_t needed_from_sequence)
{
    journal_retain(faulty_of(journal)->memory, needed_from_sequence);
}

static enum status faulty_position_check(const struct journal *journal,
                                         const struct position *position)
{
    const struct faulty_journal *faulty = CONTAINER_OF(journal, struct faulty_journal, base);
    bool ours = memcmp(&position->store_id, &journal->store_id, sizeof(struct store_id)) == 0;
    if (!ours || position->epoch == 0 || position->epoch > journal->epoch) {
        return STATUS_POSITION_EXPIRED;
    }
    if (position->epoch == journal->epoch) {
        return position->sequence <= journal_committed(journal) ? STATUS_OK : STATUS_INVALID;
    }
    return position->sequence <= faulty->epoch_ends[position->epoch] ? STATUS_OK
                                                                     : STATUS_POSITION_EXPIRED;
}

static void faulty_oldest(const struct journal *journal, struct position *out)
{
    *out = (struct position){.store_id = journal->store_id, .epoch = journal->epoch};
}

static enum status faulty_pin(struct journal *journal, uint64_t sequence, struct journal_pin *pin)
{
    return journal_pin(faulty_of(journal)->memory, sequence, pin);
}

static void faulty_unpin(struct journal *journal, struct journal_pin *pin)
{
    journal_unpin(faulty_of(journal)->memory, pin);
}

static uint64_t faulty_bytes_behind(const struct journal *journal, uint64_t sequence)
{
    const struct faulty_journal *faulty = CONTAINER_OF(journal, struct faulty_journal, base);
    return journal_bytes_behind(faulty->memory, sequence);
}

static enum status faulty_find_time(struct journal *journal, uint64_t time_ms,
                                    uint64_t *sequence_out)
{
    return journal_find_time(faulty_of(journal)->memory, time_ms, sequence_out);
}

static void faulty_statistics(const struct journal *journal, struct journal_statistics *out)
{
    const struct faulty_journal *faulty = CONTAINER_OF(journal, struct faulty_journal, base);
    journal_statistics_read(faulty->memory, out);
    out->queued_bytes = atomic_load(&journal->queued_bytes);
    out->oldest_sequence = journal_committed(journal) > 0 ? 1 : 0;
}

/* Readers are the memory journal's own; they are bounded by what it has published. */
static enum status faulty_reader_create(struct journal *journal, uint64_t from_sequence,
                                        struct journal_reader **out)
{
    return journal_reader_create(faulty_of(journal)->memory, from_sequence, out);
}

static enum status faulty_reader_next(struct journal_reader *reader, struct entry *entry_out)
{
    return journal_memory_reader_next(reader, entry_out);
}

static void faulty_reader_destroy(struct journal_reader *reader)
{
    journal_memory_reader_destroy(reader);
}

static void faulty_close(struct journal *journal)
{
    struct faulty_journal *faulty = faulty_of(journal);
    journal_close(faulty->memory);
    free(faulty);
}

void faulty_journal_restart(struct journal *journal)
{
    struct faulty_journal *faulty = faulty_of(journal);
    ASSERT(journal->epoch < EPOCHS_MAX);
    faulty->first = NULL;
    faulty->due_ns = UINT64_MAX;
    memset(faulty->shard_refusals, 0, sizeof(faulty->shard_refusals));
    journal_base_init(journal, journal->vtable, journal->inbox.waker);
    journal_memory_publish(faulty->memory);
    faulty->epoch_ends[journal->epoch] = faulty->last_sequence;
    journal->epoch++;
    faulty->memory->epoch = journal->epoch;
    atomic_store(&journal->committed, faulty->last_sequence);
    atomic_store(&journal->durable, faulty->last_sequence);
    ASSERT(journal_committed(faulty->memory) == faulty->last_sequence);
}

void faulty_journal_faults(struct journal *journal, const struct faulty_journal_options *faults)
{
    faulty_of(journal)->faults = *faults;
}

static const struct journal_vtable faulty_vtable = {
    .submit = faulty_submit,
    .sync = faulty_sync,
    .step = faulty_step,
    .idle = faulty_idle,
    .retain = faulty_retain,
    .position_check = faulty_position_check,
    .oldest = faulty_oldest,
    .pin = faulty_pin,
    .unpin = faulty_unpin,
    .bytes_behind = faulty_bytes_behind,
    .find_time = faulty_find_time,
    .statistics = faulty_statistics,
    .reader_create = faulty_reader_create,
    .reader_next = faulty_reader_next,
    .reader_destroy = faulty_reader_destroy,
    .close = faulty_close,
};

struct journal *faulty_journal_create(const struct journal_options *options,
                                      const struct faulty_journal_options *faults)
{
    struct faulty_journal *faulty = calloc(1, sizeof(*faulty));
    ASSERT(faulty != NULL);
    enum status status = journal_memory_open(options, &faulty->memory);
    ASSERT(status == STATUS_OK);
    journal_base_init(&faulty->base, &faulty_vtable, options->waker);
    faulty->base.store_id = options->new_store_id;
    faulty->base.epoch = 1;
    faulty->base.recent = faulty->memory->recent;
    faulty->faults = *faults;
    faulty->random = faults->seed;
    faulty->due_ns = UINT64_MAX;
    return &faulty->base;
}
