/*
 * lag.c: subscriptions that are not where everybody is: each has a cursor of its own, over the
 * journal's recent entries or over older blocks, and catches up in turns.
 */
#include "engine/stream/stream_internal.h"

/* What is left of a step for those that lag. */
struct lag_budget {
    uint32_t entries;
    uint64_t bytes;
};

static void spend(struct lag_budget *budget, uint32_t entries, uint64_t bytes)
{
    budget->entries -= entries < budget->entries ? entries : budget->entries;
    budget->bytes -= bytes < budget->bytes ? bytes : budget->bytes;
}

/* Where one looks next. */
enum lag_source { LAG_RECENT, LAG_BLOCK, LAG_NOWHERE };

static enum lag_source source_open(struct stream *stream, uint64_t sequence,
                                   struct recent_cursor *cursor)
{
    *cursor = (struct recent_cursor){0};
    if (recent_seek(stream->journal->recent, sequence, cursor) == STATUS_OK) {
        return LAG_RECENT;
    }
    struct recent_block *block = stream_block_find(stream, sequence);
    if (block != NULL && recent_block_seek(block, sequence, cursor) == STATUS_OK) {
        return LAG_BLOCK;
    }
    return LAG_NOWHERE;
}

/* False: refused. */
static bool look_for_one(struct subscription *subscription, const struct entry *entry,
                         struct lag_budget *turn)
{
    struct stream *stream = subscription->stream;
    enum change_transition transition;
    if (stream_look_at(stream, entry)) {
        const struct snapshot *snapshot = subscription->snapshot;
        bool wants = stream_covers(stream, subscription) &&
                     (snapshot == NULL || snapshot_has(snapshot, &stream->at.change)) &&
                     stream_matches(stream, subscription, &transition);
        if (wants && !stream_deliver_change(subscription, DELIVERY_CHANGE, transition)) {
#ifdef FRESHET_PLANT_REFUSED_CHANGE_LOST
            subscription->next_sequence++;
#endif
            return false;
        }
        spend(turn, wants ? STREAM_DELIVERY_ENTRIES - 1 : 0, 0);
        if (stream_moves(stream, subscription)) {
            subscription->seen_sequence = entry->sequence;
            subscription->epoch = entry->epoch;
        }
    }
    spend(turn, 1, entry->new_document.size + entry->old_document.size);
    subscription->next_sequence = entry->sequence + 1;
    return true;
}

/* Looks at entries up to `through`, as far as this source and the budget go. False: stuck. */
static bool walk(struct subscription *subscription, struct recent_cursor *cursor, uint64_t through,
                 struct lag_budget *turn)
{
    struct entry entry;
    struct recent *recent = subscription->stream->journal->recent;
    while (turn->entries > 0 && turn->bytes > 0 && recent_next(recent, cursor, through, &entry)) {
        ASSERT(entry.sequence == subscription->next_sequence);
        if (!look_for_one(subscription, &entry, turn)) {
            return false;
        }
    }
    return true;
}

/*
 * One round of a turn: a run of entries, or what comes when the cursor is where it should be.
 * False: the turn is over, because it waits, is stuck, lives, or has gone.
 */
static bool lag_round(struct subscription *subscription, struct lag_budget *turn)
{
    struct stream *stream = subscription->stream;
    if (subscription->next_sequence > stream->live_next) {
        stream_waits(subscription, &stream->published_waiters);
        return false;
    }
    uint64_t through = stream->live_next - 1;
    if (subscription->snapshot != NULL) {
        through = snapshot_limit(subscription->snapshot, through);
        if (subscription->next_sequence > through) {
            spend(turn, 1, 0);
            return snapshot_turn(subscription);
        }
    }
    if (subscription->next_sequence == stream->live_next) {
        stream_lives(subscription);
        return false;
    }
    struct recent_cursor cursor;
    uint64_t first = subscription->next_sequence;
    enum lag_source source = source_open(stream, first, &cursor);
    if (source == LAG_NOWHERE) {
        stream_waits(subscription, &stream->waiting);
        return false;
    }
    bool goes_on = walk(subscription, &cursor, through, turn);
    recent_release(&cursor);
    if (!goes_on) {
        stream_stuck(subscription);
    }
    return goes_on;
}

static void lag_turn(struct subscription *subscription, struct lag_budget *step)
{
    struct lag_budget turn = *step;
    while (turn.entries > 0 && turn.bytes > 0 && lag_round(subscription, &turn)) {
    }
    /* A turn costs something even if it came to nothing. */
    uint32_t used = step->entries - turn.entries;
    spend(step, used > 0 ? used : 1, step->bytes - turn.bytes);
}

bool stream_lag_step(struct stream *stream)
{
    struct lag_budget step = {STREAM_LAG_ENTRIES, STREAM_LAG_BYTES};
    /* Who came in this step's turns waits for the next: each has one turn a step at most. */
    struct link turns;
    link_init(&turns);
    list_splice_back(&turns, &stream->lagging);
    while (step.entries > 0 && step.bytes > 0 && !list_is_empty(&turns)) {
        struct subscription *subscription =
            CONTAINER_OF(list_first(&turns), struct subscription, link);
        ASSERT(subscription->state == SUBSCRIPTION_LAGGING);
        link_remove(&subscription->link);
        list_push_back(&stream->lagging, &subscription->link);
        lag_turn(subscription, &step);
    }
    /* Those who had no turn go before those who had. */
    list_splice_back(&turns, &stream->lagging);
    list_splice_back(&stream->lagging, &turns);
    return !list_is_empty(&stream->lagging);
}
