/*
 * live.c: the live cursor: every newly published entry against all LIVE subscriptions at once.
 *
 * Those without a pattern stand in a list for their collection. The others are in one of two
 * matchers; the one of enter_leave is asked twice when a record was altered, about the record
 * before and after. Nobody is touched by an entry that is not for him: where a LIVE subscription
 * stands is where the live cursor stands.
 */
#include "engine/stream/stream_internal.h"

/* ---- coming and going ---- */

static struct link *plain_list(struct stream *stream, const struct collection *collection)
{
    return &stream->plain[collection == NULL ? 0 : collection->number + 1];
}

static struct matcher *matcher_for(const struct subscription *subscription)
{
    const struct stream *stream = subscription->stream;
    return subscription->options.enter_leave ? stream->enter_leave : stream->matcher;
}

static bool is_internal_pattern(const struct subscription *subscription)
{
    const struct collection *collection = subscription->options.collection;
    return collection != NULL && collection->internal;
}

/* What was published is all known to it: nothing of what it was given is needed any more. */
static void live_begin(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    if (subscription->is_pinned) {
        journal_unpin(stream->journal, &subscription->pin);
        subscription->is_pinned = false;
    }
    link_remove(&subscription->link);
    list_push_back(&stream->live, &subscription->link);
    subscription->state = SUBSCRIPTION_LIVE;
    stream_count_add(&stream->statistics.live, 1);
    if (subscription->options.wants_caught_up) {
        list_push_back(&stream->caught, &subscription->link_caught);
    }
}

void stream_lives(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    ASSERT(subscription->state == SUBSCRIPTION_LAGGING);
    ASSERT(subscription->next_sequence == stream->live_next);
    ASSERT(subscription->snapshot == NULL);
    const struct subscription_options *options = &subscription->options;
    if (options->pattern == NULL) {
        list_push_back(plain_list(stream, options->collection), &subscription->link_plain);
    } else {
        struct matcher *matcher = matcher_for(subscription);
        enum status status =
            matcher_add(matcher, options->pattern, subscription, &subscription->matcher_id);
        if (status != STATUS_OK) {
            stream->wants_retry = true;
            stream_waits(subscription, &stream->published_waiters);
            return;
        }
        subscription->in_matcher = true;
        stream->internal_patterns += is_internal_pattern(subscription) ? 1 : 0;
    }
    live_begin(subscription);
}

void stream_live_leave(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    ASSERT(subscription->state == SUBSCRIPTION_LIVE);
    if (stream->live_seen > subscription->seen_sequence) {
        subscription->seen_sequence = stream->live_seen;
        subscription->epoch = stream->live_epoch;
    }
    subscription->next_sequence = stream->live_next;
    if (subscription->in_matcher) {
        matcher_remove(matcher_for(subscription), subscription->matcher_id);
        subscription->in_matcher = false;
        stream->internal_patterns -= is_internal_pattern(subscription) ? 1 : 0;
    }
    link_remove(&subscription->link_plain);
    link_remove(&subscription->link_caught);
    link_remove(&subscription->link);
    subscription->state = SUBSCRIPTION_LAGGING;
    stream_count_add(&stream->statistics.live, (uint64_t)-1);
    ASSERT(!subscription->in_matcher);
}

/* ---- one entry ---- */

static void live_offer(struct stream *stream, struct subscription *subscription,
                       enum change_transition transition)
{
    if (!stream_covers(stream, subscription)) {
        return;
    }
    ASSERT(subscription->state == SUBSCRIPTION_LIVE);
    stream->live_deliveries++;
    if (!stream_deliver_change(subscription, DELIVERY_CHANGE, transition)) {
        stream_stuck(subscription);
        return;
    }
    subscription->seen_sequence = stream->at.change.sequence;
    subscription->epoch = stream->at.change.epoch;
    if (subscription->options.wants_caught_up && !link_is_linked(&subscription->link_caught)) {
        list_push_back(&stream->caught, &subscription->link_caught);
    }
}

static void offer_plain(struct stream *stream, struct link *list)
{
    struct link *next;
    for (struct link *at = list->next; at != list; at = next) {
        next = at->next;
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link_plain);
        live_offer(stream, subscription, stream_transition(stream, subscription));
    }
}

/* The matcher's answer is copied, because whoever is stuck leaves the matcher. */
static size_t match(const struct stream *stream, struct matcher *matcher, struct bytes event,
                    struct subscription **subscriptions_out)
{
    void *const *users;
    size_t count = matcher_match(matcher, event, &users);
    ASSERT(count <= stream->options.subscriptions_max);
    for (size_t i = 0; i < count; i++) {
        subscriptions_out[i] = users[i];
    }
    return count;
}

static void offer_matched(struct stream *stream)
{
    size_t count = match(stream, stream->matcher, stream_judged(stream), stream->matched);
    for (size_t i = 0; i < count; i++) {
        live_offer(stream, stream->matched[i], CHANGE_STAYS);
    }
}

/* Who matches now and did not before is entered; the other way round it is left. */
static void offer_enter_leave(struct stream *stream)
{
    size_t is_count = match(stream, stream->enter_leave, stream_judged(stream), stream->matched);
    if (stream->at.change.kind != CHANGE_MODIFY) {
        for (size_t i = 0; i < is_count; i++) {
            struct subscription *subscription = stream->matched[i];
            live_offer(stream, subscription, stream_transition(stream, subscription));
        }
        return;
    }
    uint64_t mark = stream->at.mark;
    for (size_t i = 0; i < is_count; i++) {
        stream->matched[i]->mark = mark;
    }
    size_t was_count =
        match(stream, stream->enter_leave, stream_judged_before(stream), stream->matched_before);
    for (size_t i = 0; i < was_count; i++) {
        struct subscription *subscription = stream->matched_before[i];
        bool is = subscription->mark == mark;
        subscription->mark = 0;
        live_offer(stream, subscription, is ? CHANGE_STAYS : CHANGE_LEAVES);
    }
    for (size_t i = 0; i < is_count; i++) {
        if (stream->matched[i]->mark == mark) {
            live_offer(stream, stream->matched[i], CHANGE_ENTERS);
        }
    }
}

static void live_look(struct stream *stream, const struct entry *entry)
{
    if (!stream_look_at(stream, entry)) {
        return;
    }
    const struct looked_at *at = &stream->at;
    if (!at->is_hidden) {
        offer_plain(stream, plain_list(stream, NULL));
    }
    if (at->collection != NULL) {
        offer_plain(stream, plain_list(stream, at->collection));
    }
    bool asks_matchers = !at->is_hidden || stream->internal_patterns > 0;
    if (asks_matchers && matcher_count(stream->matcher) > 0) {
        offer_matched(stream);
    }
    if (asks_matchers && matcher_count(stream->enter_leave) > 0) {
        offer_enter_leave(stream);
    }
    /* Only now: whoever is stuck stands before this entry. */
    if (!at->is_hidden) {
        stream->live_seen = entry->sequence;
        stream->live_epoch = entry->epoch;
    }
}

/* ---- a step ---- */

/* The recent entries do not reach back to where they all stand: each goes on by itself. */
static void live_scatter(struct stream *stream)
{
    struct link *at;
    while ((at = list_first(&stream->live)) != NULL) {
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link);
        stream_live_leave(subscription);
        stream_lags(subscription, false);
    }
    ASSERT(list_is_empty(&stream->live));
}

bool stream_live_step(struct stream *stream, uint64_t published)
{
    stream->live_deliveries = 0;
    if (list_is_empty(&stream->live)) {
        stream->live_next = published + 1; /* nobody to look for */
        return false;
    }
    if (stream->live_next > published) {
        return false;
    }
    /* A worker without rules looks for internal entries alone. Where there are none on the way it
     * looks at the last entry only, which says where it stands. */
    if (stream->user_count == 0 &&
        !engine_internal_since(stream->options.engine, stream->live_next)) {
        stream->live_next = published;
    }
    struct recent_cursor cursor = {0};
    if (recent_seek(stream->journal->recent, stream->live_next, &cursor) != STATUS_OK) {
        live_scatter(stream);
        stream->live_next = published + 1;
        return false;
    }
    struct entry entry;
    uint32_t looked = 0;
    while (looked < STREAM_STEP_ENTRIES && stream->live_deliveries < STREAM_LIVE_DELIVERIES &&
           recent_next(stream->journal->recent, &cursor, published, &entry)) {
        ASSERT(entry.sequence == stream->live_next);
        live_look(stream, &entry);
        stream->live_next++;
        looked++;
    }
    recent_release(&cursor);
    stream_count_add(&stream->statistics.matched, looked);
    return stream->live_next <= published;
}
