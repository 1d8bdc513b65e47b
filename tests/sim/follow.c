/*
 * Followers of the journal, as they are outside: each keeps its position and what it has seen when
 * the process dies, and goes on from there, through the recent entries in memory, or through the
 * files when it lags. It looks at nothing that is not published. Each change must come once and in
 * order, and be the entry that the model knows; what a follower has seen must be the fold of all.
 *
 * Who has seen what a power loss then took (without sync that may be) must be told so, and so must
 * who was so slow that its place is gone; both begin again. Nobody else is ever told so.
 */
#include <inttypes.h>

#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

/* Of one turn. */
#define ENTRIES_MAX 40

static uint64_t other_random(struct sim *sim, uint64_t below)
{
    return dice_roll(&sim->other_random) % below;
}

void follow_init(struct sim *sim)
{
    static const uint32_t paces[SIM_FOLLOWERS] = {1000, 100, 8};
    uint64_t seeds = ~sim->seed;
    sim->other_random = dice_roll(&seeds);
    for (uint32_t i = 0; i < SIM_FOLLOWERS; i++) {
        sim->followers[i] = (struct sim_follower){.pace = paces[i], .holds = i == 0};
    }
}

/* ---- a life begins and ends ---- */

static void begin_again(struct sim *sim, struct sim_follower *follower)
{
    struct position oldest;
    journal_oldest(sim->journal, &oldest);
    if (journal_position_check(sim->journal, &oldest) != STATUS_OK) {
        sim_fail(sim, "the oldest position is none");
    }
    recent_release(&follower->cursor);
    follower->next = oldest.sequence + 1;
    follower->since = follower->next;
    memset(follower->seen, 0, sizeof(follower->seen));
    follower->resets++;
}

static void unpin(struct sim *sim, struct sim_follower *follower)
{
    if (follower->is_pinned) {
        journal_unpin(sim->journal, &follower->pin);
        follower->is_pinned = false;
    }
}

/* What it saw last is still the truth, or is not. */
static bool last_is_there(const struct sim *sim, const struct sim_follower *follower)
{
    uint64_t sequence = follower->position.sequence;
    return sequence <= sim->model.count &&
           change_equal(&follower->last, &sim->model.history[sequence - 1]);
}

static void resume(struct sim *sim, struct sim_follower *follower)
{
    follower->next = follower->position.sequence + 1;
    enum status status = follower->position.epoch == 0
                             ? STATUS_POSITION_EXPIRED
                             : journal_position_check(sim->journal, &follower->position);
    if (follower->position.epoch != 0 && last_is_there(sim, follower) != (status == STATUS_OK)) {
        sim_fail(sim,
                 "the position %" PRIu64 " of epoch %" PRIu64 " is %s, and what it stands for is "
                 "%s there",
                 follower->position.sequence, follower->position.epoch, status_name(status),
                 status == STATUS_OK ? "not" : "still");
    }
    if (status != STATUS_OK) {
        begin_again(sim, follower);
        return;
    }
    if (sim->setup.extras && other_random(sim, 2) == 0) {
        follower->pin = (struct journal_pin){.sequence = 0};
        follower->is_pinned =
            journal_pin(sim->journal, follower->next, &follower->pin) == STATUS_OK;
    }
}

void follow_start(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_FOLLOWERS; i++) {
        resume(sim, &sim->followers[i]);
    }
}

void follow_end(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_FOLLOWERS; i++) {
        recent_release(&sim->followers[i].cursor);
        unpin(sim, &sim->followers[i]);
    }
}

/* ---- reading ---- */

static void take(struct sim *sim, struct sim_follower *follower, const struct entry *entry)
{
    if (entry->sequence != follower->next) {
        sim_fail(sim, "a follower sees %" PRIu64 " after %" PRIu64, entry->sequence,
                 follower->next - 1);
    }
    if (entry->sequence > sim->model.count) {
        sim_fail(sim, "a follower sees %" PRIu64 ", which is not committed", entry->sequence);
    }
    model_take(sim, entry);
    follower->last = sim->model.history[entry->sequence - 1];
    follower->seen[follower->last.key] = entry->sequence;
    follower->position = (struct position){
        .store_id = sim->journal->store_id, .epoch = entry->epoch, .sequence = entry->sequence};
    follower->next++;
}

/* False: there is no use in going on now. */
static bool read_files(struct sim *sim, struct sim_follower *follower, uint64_t published)
{
    struct journal_reader *reader;
    enum status status = journal_reader_create(sim->journal, follower->next, &reader);
    for (int i = 0; i < ENTRIES_MAX && status == STATUS_OK && follower->next <= published; i++) {
        struct entry entry;
        status = journal_reader_next(sim->journal, reader, &entry);
        if (status == STATUS_OK) {
            take(sim, follower, &entry);
            follower->from_files++;
        }
    }
    if (reader != NULL) {
        journal_reader_destroy(sim->journal, reader);
    }
    if (status == STATUS_POSITION_EXPIRED && !follower->is_pinned) {
        begin_again(sim, follower);
    } else if (status != STATUS_OK && !faulty_disk_is_dead(sim->faulty)) {
        sim_fail(sim, "a follower cannot read %" PRIu64 ", which is %s: %s", follower->next,
                 follower->is_pinned ? "pinned" : "published", status_name(status));
    }
    return status == STATUS_OK;
}

static bool read_on(struct sim *sim, struct sim_follower *follower, uint64_t published)
{
    enum status status = recent_seek(sim->journal->recent, follower->next, &follower->cursor);
    if (status == STATUS_NOT_FOUND) {
        sim_fail(sim, "%" PRIu64 " is published and not among the recent entries", follower->next);
    }
    if (status == STATUS_POSITION_EXPIRED) {
        return read_files(sim, follower, published);
    }
    struct entry entry;
    for (int i = 0;
         i < ENTRIES_MAX && recent_next(sim->journal->recent, &follower->cursor, published, &entry);
         i++) {
        take(sim, follower, &entry);
        follower->from_memory++;
    }
    return true;
}

void follow_step(struct sim *sim)
{
    uint64_t published = engine_published(sim->engine);
    for (uint32_t i = 0; i < SIM_FOLLOWERS; i++) {
        struct sim_follower *follower = &sim->followers[i];
        if (follower->next > published || other_random(sim, 1000) >= follower->pace) {
            continue;
        }
        if (read_on(sim, follower, published)) {
            unpin(sim, follower);
        }
        if (!follower->holds) {
            recent_release(&follower->cursor);
        }
    }
}

/* ---- at rest ---- */

static void check_fold(struct sim *sim, const struct sim_follower *follower)
{
    for (uint32_t k = 0; k < sim->model.key_count; k++) {
        const struct sim_key *key = &sim->model.keys[k];
        uint64_t last = key->change_count == 0 ? 0 : key->changes[key->change_count - 1];
        if (follower->seen[k] != (last < follower->since ? 0 : last)) {
            sim_fail(sim,
                     "a follower since %" PRIu64 " has seen %s last at %" PRIu64
                     ", the journal has it at %" PRIu64,
                     follower->since, key->id, follower->seen[k], last);
        }
    }
}

void follow_settled(struct sim *sim)
{
    uint64_t committed = journal_committed(sim->journal);
    if (engine_published(sim->engine) != committed) {
        sim_fail(sim, "at rest %" PRIu64 " is published, %" PRIu64 " committed",
                 engine_published(sim->engine), committed);
    }
    for (uint32_t i = 0; i < SIM_FOLLOWERS; i++) {
        struct sim_follower *follower = &sim->followers[i];
        while (follower->next <= committed && !faulty_disk_is_dead(sim->faulty)) {
            (void)read_on(sim, follower, committed);
        }
        if (!faulty_disk_is_dead(sim->faulty)) {
            check_fold(sim, follower);
        }
    }
}
