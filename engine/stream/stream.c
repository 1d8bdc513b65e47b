#include "engine/stream/stream.h"

#include <stdlib.h>

#include "engine/stream/stream_internal.h"

/* The oldest entry may go between asking for it and pinning it. */
#define EARLIEST_TRIES 8

/* ---- making and ending ---- */

static void lists_init(struct stream *stream)
{
    link_init(&stream->starting);
    link_init(&stream->live);
    link_init(&stream->lagging);
    link_init(&stream->waiting);
    link_init(&stream->published_waiters);
    link_init(&stream->stuck);
    link_init(&stream->ending);
    link_init(&stream->caught);
    link_init(&stream->slices_queued);
    for (size_t i = 0; i <= COLLECTION_ALL_COUNT_MAX; i++) {
        link_init(&stream->plain[i]);
    }
    for (size_t i = 0; i < WHEEL_TICKS; i++) {
        link_init(&stream->wheel[i]);
    }
}

enum status stream_create(const struct stream_options *options, struct stream **out)
{
    *out = NULL;
    ASSERT(options->engine != NULL);
    ASSERT(options->subscriptions_max > 0);
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return STATUS_NO_MEMORY;
    }
    stream->options = *options;
    stream->journal = engine_journal(options->engine);
    stream->collections = engine_collections(options->engine, &stream->collection_count);
    stream->shard_count = engine_shard_count(options->engine);
    stream->live_next = engine_published(options->engine) + 1;
    lists_init(stream);
    stream->matched = calloc(options->subscriptions_max, sizeof(*stream->matched));
    stream->matched_before = calloc(options->subscriptions_max, sizeof(*stream->matched_before));
    enum status status = stream->matched == NULL || stream->matched_before == NULL
                             ? STATUS_NO_MEMORY
                             : stream_look_init(stream);
    if (status == STATUS_OK) {
        status = matcher_create(&stream->matcher);
    }
    if (status == STATUS_OK) {
        status = matcher_create(&stream->enter_leave);
    }
    if (status != STATUS_OK) {
        stream_destroy(&stream);
        return status;
    }
    *out = stream;
    return STATUS_OK;
}

void stream_destroy(struct stream **stream_at)
{
    struct stream *stream = *stream_at;
    if (stream == NULL) {
        return;
    }
    ASSERT(stream->count == 0);
    ASSERT(stream_idle(stream));
    engine_thread_follow(stream->options.engine_thread, UINT64_MAX);
    stream_reads_deinit(stream);
    stream_look_deinit(stream);
    matcher_destroy(&stream->matcher);
    matcher_destroy(&stream->enter_leave);
    free(stream->matched);
    free(stream->matched_before);
    free(stream);
    *stream_at = NULL;
}

bool stream_idle(const struct stream *stream)
{
    return stream->reads_running == 0 && stream->slices_asked == 0;
}

const struct stream_statistics *stream_statistics(const struct stream *stream)
{
    return &stream->statistics;
}

void stream_positions(const struct stream *stream, struct position *oldest_out,
                      struct position *newest_out)
{
    journal_oldest(stream->journal, oldest_out);
    *newest_out = (struct position){
        .store_id = stream->journal->store_id,
        .epoch = stream->journal->epoch,
        .sequence = engine_published(stream->options.engine),
    };
}

/* ---- PROGRESS ---- */

static void wheel_add(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    uint64_t progress_ns = subscription->options.progress_ns;
    if (progress_ns == 0 || link_is_linked(&subscription->link_due)) {
        return;
    }
    uint64_t tick = (subscription->told_ns + progress_ns) / WHEEL_TICK_NS;
    uint64_t first = stream->wheel_tick + 1;
    uint64_t last = stream->wheel_tick + WHEEL_TICKS - 1;
    tick = tick < first ? first : tick > last ? last : tick;
    uint64_t place = tick % WHEEL_TICKS;
    list_push_back(&stream->wheel[place], &subscription->link_due);
    stream->wheel_used[place / 64] |= 1ull << (place % 64);
}

/* One that has no room hears of it the next time. */
static void progress_tell(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    uint64_t due_ns = subscription->told_ns + subscription->options.progress_ns;
    bool has_place = subscription->state != SUBSCRIPTION_STARTING;
    if (due_ns < stream->now_ns + WHEEL_TICK_NS &&
        (!has_place || !stream_deliver_other(subscription, DELIVERY_PROGRESS))) {
        subscription->told_ns = stream->now_ns;
    }
    wheel_add(subscription);
}

static void wheel_turn(struct stream *stream)
{
    uint64_t now_tick = stream->now_ns / WHEEL_TICK_NS;
    if (now_tick > stream->wheel_tick + WHEEL_TICKS) {
        stream->wheel_tick = now_tick - WHEEL_TICKS;
    }
    while (stream->wheel_tick < now_tick) {
        stream->wheel_tick++;
        uint64_t place = stream->wheel_tick % WHEEL_TICKS;
        stream->wheel_used[place / 64] &= ~(1ull << (place % 64));
        struct link due;
        link_init(&due);
        list_splice_back(&due, &stream->wheel[place]);
        struct link *at;
        while ((at = list_pop_front(&due)) != NULL) {
            progress_tell(CONTAINER_OF(at, struct subscription, link_due));
        }
    }
}

/* When the next tick comes that may hold someone; UINT64_MAX: never. */
static uint64_t wheel_deadline(const struct stream *stream)
{
    for (uint64_t tick = stream->wheel_tick + 1; tick < stream->wheel_tick + WHEEL_TICKS; tick++) {
        uint64_t place = tick % WHEEL_TICKS;
        if (stream->wheel_used[place / 64] >> (place % 64) & 1) {
            return tick * WHEEL_TICK_NS;
        }
    }
    return UINT64_MAX;
}

/* ---- from state to state ---- */

static void state_set(struct subscription *subscription, enum subscription_state state,
                      struct link *list)
{
    if (subscription->state == SUBSCRIPTION_LIVE) {
        stream_live_leave(subscription);
    }
    link_remove(&subscription->link);
    subscription->state = state;
    if (list != NULL) {
        list_push_back(list, &subscription->link);
    }
}

void stream_lags(struct subscription *subscription, bool in_front)
{
    struct stream *stream = subscription->stream;
    state_set(subscription, SUBSCRIPTION_LAGGING, NULL);
    if (in_front) {
        list_push_front(&stream->lagging, &subscription->link);
    } else {
        list_push_back(&stream->lagging, &subscription->link);
    }
}

void stream_waits(struct subscription *subscription, struct link *list)
{
    ASSERT(subscription->state == SUBSCRIPTION_LAGGING);
    state_set(subscription, SUBSCRIPTION_READING, list);
}

void stream_stuck(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    ASSERT(subscription->state == SUBSCRIPTION_LIVE || subscription->state == SUBSCRIPTION_LAGGING);
    state_set(subscription, SUBSCRIPTION_STUCK, &stream->stuck);
    link_remove(&subscription->link_due);
    if (subscription->snapshot != NULL) {
        snapshot_drop_slice(subscription->snapshot);
    }
    /* It was offered what it asked for. To keep it longer than that is not ours: it might never
     * come back. */
    if (subscription->is_pinned) {
        journal_unpin(stream->journal, &subscription->pin);
        subscription->is_pinned = false;
    }
    stream->stuck_count++;
    stream_count_add(&stream->statistics.stuck, 1);
}

static void stuck_leave(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    ASSERT(subscription->state == SUBSCRIPTION_STUCK);
    ASSERT(stream->stuck_count > 0);
    stream->stuck_count--;
    stream_count_add(&stream->statistics.stuck, (uint64_t)-1);
}

void stream_ends(struct subscription *subscription, enum status status)
{
    ASSERT(status != STATUS_OK);
    ASSERT(subscription->state != SUBSCRIPTION_STUCK);
    subscription->end_status = status;
    state_set(subscription, SUBSCRIPTION_ENDING, &subscription->stream->ending);
}

static bool looks_for_users(const struct subscription *subscription)
{
    const struct collection *collection = subscription->options.collection;
    return collection == NULL || !collection->internal;
}

/* No longer ours, whatever it was doing. */
static void subscription_leave(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    if (subscription->state == SUBSCRIPTION_STUCK) {
        stuck_leave(subscription);
    }
    stream_reads_forget(stream, subscription);
    state_set(subscription, SUBSCRIPTION_CLOSED, NULL);
    link_remove(&subscription->link_due);
    snapshot_destroy(&subscription->snapshot);
    if (subscription->is_pinned) {
        journal_unpin(stream->journal, &subscription->pin);
        subscription->is_pinned = false;
    }
    pattern_destroy(&subscription->options.pattern);
    ASSERT(stream->count > 0);
    stream->count--;
    stream->user_count -= looks_for_users(subscription) ? 1 : 0;
    ASSERT(stream->user_count <= stream->count);
    stream_count_add(&stream->statistics.subscriptions, (uint64_t)-1);
}

/* ---- subscribing ---- */

static bool needs_old_images(const struct subscription_options *options)
{
    const struct pattern *pattern = options->pattern;
    return options->enter_leave || options->view == CHANGE_VIEW_OLD ||
           (pattern != NULL && (pattern_mentions(pattern, BYTES_LITERAL("newImage")) ||
                                pattern_mentions(pattern, BYTES_LITERAL("oldImage"))));
}

static bool old_images_are_kept(const struct stream *stream, const struct collection *only)
{
    if (only != NULL) {
        return only->old_images;
    }
    for (uint32_t i = 0; i < stream->collection_count; i++) {
        const struct collection *collection = &stream->collections[i];
        if (!collection->internal && !collection->old_images) {
            return false;
        }
    }
    return true;
}

static enum status pin(struct subscription *subscription)
{
    enum status status =
        journal_pin(subscription->stream->journal, subscription->next_sequence, &subscription->pin);
    subscription->is_pinned = status == STATUS_OK;
    return status;
}

/* After this position, pinned. */
static enum status place_after(struct subscription *subscription, const struct position *position)
{
    subscription->seen_sequence = position->sequence;
    subscription->next_sequence = position->sequence + 1;
    subscription->epoch = position->epoch;
    return pin(subscription);
}

static enum status place_earliest(struct subscription *subscription)
{
    enum status status = STATUS_POSITION_EXPIRED;
    for (int i = 0; i < EARLIEST_TRIES && status == STATUS_POSITION_EXPIRED; i++) {
        struct position oldest;
        journal_oldest(subscription->stream->journal, &oldest);
        status = place_after(subscription, &oldest);
    }
    return status;
}

static enum status place_find(struct subscription *subscription)
{
    const struct stream *stream = subscription->stream;
    const struct subscription_options *options = &subscription->options;
    struct position oldest;
    struct position newest;
    stream_positions(stream, &oldest, &newest);
    switch (options->from) {
    case SUBSCRIBE_LATEST:
    case SUBSCRIBE_SNAPSHOT:
        return place_after(subscription, &newest);
    case SUBSCRIBE_EARLIEST:
        return place_earliest(subscription);
    case SUBSCRIBE_TOKEN: {
        enum status status = journal_position_check(stream->journal, &options->token.position);
        return status == STATUS_OK ? place_after(subscription, &options->token.position) : status;
    }
    case SUBSCRIBE_TIME:
        subscription->needs_time = true; /* a store thread looks for it */
        return STATUS_OK;
    }
    UNREACHABLE();
}

static void subscription_init(struct stream *stream, const struct subscription_options *options,
                              struct subscription *subscription)
{
    memset(subscription, 0, sizeof(*subscription));
    link_init(&subscription->link);
    link_init(&subscription->link_plain);
    link_init(&subscription->link_due);
    link_init(&subscription->link_caught);
    subscription->stream = stream;
    subscription->options = *options;
    if (options->slots != NULL) {
        subscription->has_slots = true;
        subscription->slots = *options->slots;
        subscription->options.slots = &subscription->slots;
    }
}

/* Somebody waits for the next step: the thread, which may have had this turn's, does not sleep. */
static void step_is_wanted(const struct stream *stream)
{
    engine_thread_follow_internal(stream->options.engine_thread, false);
    engine_thread_follow(stream->options.engine_thread, 0);
}

enum status stream_subscribe(struct stream *stream, const struct subscription_options *options,
                             struct subscription *subscription)
{
    ASSERT(options->deliver != NULL);
    ASSERT(options->ended != NULL);
    ASSERT(!stream->is_delivering);
    if (stream->count >= stream->options.subscriptions_max) {
        return STATUS_BUSY;
    }
    if (needs_old_images(options) && !old_images_are_kept(stream, options->collection)) {
        return STATUS_UNSUPPORTED;
    }
    subscription_init(stream, options, subscription);
    enum status status = STATUS_OK;
    bool in_snapshot = options->from == SUBSCRIBE_TOKEN && options->token.in_snapshot;
    if (options->from == SUBSCRIBE_SNAPSHOT || in_snapshot) {
        status = snapshot_create(subscription, in_snapshot ? &options->token : NULL);
    }
    if (status == STATUS_OK) {
        status = place_find(subscription);
    }
    if (status != STATUS_OK) {
        snapshot_destroy(&subscription->snapshot);
        subscription->options.pattern = NULL; /* the caller's */
        stream_count_add(&stream->statistics.expired, status == STATUS_POSITION_EXPIRED ? 1 : 0);
        return status;
    }
    stream->count++;
    stream->user_count += looks_for_users(subscription) ? 1 : 0;
    stream_count_add(&stream->statistics.subscriptions, 1);
    state_set(subscription, SUBSCRIPTION_STARTING, &stream->starting);
    step_is_wanted(stream);
    return STATUS_OK;
}

void subscription_resume(struct subscription *subscription)
{
    if (subscription->state != SUBSCRIPTION_STUCK) {
        return; /* it has been told nothing that it did not take */
    }
    ASSERT(!subscription->stream->is_delivering);
    stuck_leave(subscription);
    stream_lags(subscription, false);
    wheel_add(subscription);
    step_is_wanted(subscription->stream);
}

void subscription_close(struct subscription *subscription)
{
    if (subscription->state == SUBSCRIPTION_CLOSED) {
        return;
    }
    ASSERT(!subscription->stream->is_delivering);
    subscription_leave(subscription);
    ASSERT(subscription->state == SUBSCRIPTION_CLOSED);
}

void subscription_token(const struct subscription *subscription, struct token *out)
{
    ASSERT(subscription->stream != NULL);
    stream_token_at(subscription, out);
}

uint64_t subscription_reached(const struct subscription *subscription)
{
    if (subscription->needs_time) {
        return 0; /* it has no place yet */
    }
    bool is_live = subscription->state == SUBSCRIPTION_LIVE;
    uint64_t next = is_live ? subscription->stream->live_next : subscription->next_sequence;
    ASSERT(next > 0);
    return next - 1;
}

/* ---- a step ---- */

/* The first step that sees a subscription knows the time. */
static void starting_step(struct stream *stream)
{
    struct link *at;
    while ((at = list_pop_front(&stream->starting)) != NULL) {
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link);
        subscription->told_ns = stream->now_ns;
        wheel_add(subscription);
        if (!subscription->needs_time) {
            stream_lags(subscription, false);
        } else if (subscription->options.time_ms > stream->wall_ms) {
            stream_ends(subscription, STATUS_INVALID);
        } else {
            list_push_back(&stream->waiting, at);
        }
    }
}

/* All of them: each looks for itself whether it can go on. */
static void published_waiters_step(struct stream *stream)
{
    struct link woken;
    link_init(&woken);
    list_splice_back(&woken, &stream->published_waiters);
    while (!list_is_empty(&woken)) {
        stream_lags(CONTAINER_OF(list_first(&woken), struct subscription, link), false);
    }
}

/* Who has heard all that is published. */
static void caught_step(struct stream *stream)
{
    struct link *at;
    while ((at = list_pop_front(&stream->caught)) != NULL) {
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link_caught);
        ASSERT(subscription->state == SUBSCRIPTION_LIVE);
        if (!stream_deliver_other(subscription, DELIVERY_CAUGHT_UP)) {
            stream_stuck(subscription);
        }
    }
}

static void ending_step(struct stream *stream)
{
    struct link batch;
    link_init(&batch);
    list_splice_back(&batch, &stream->ending);
    struct link *at;
    while ((at = list_first(&batch)) != NULL) {
        struct subscription *subscription = CONTAINER_OF(at, struct subscription, link);
        enum status status = subscription->end_status;
        void (*ended)(struct subscription *, enum status) = subscription->options.ended;
        subscription_leave(subscription);
        stream_count_add(&stream->statistics.expired, status == STATUS_POSITION_EXPIRED ? 1 : 0);
        ended(subscription, status);
    }
}

/* A worker without rules is not woken by each write; but one that has a way to go counts on every
 * move of the published position. */
static void follow(struct stream *stream)
{
    bool anyone = stream->count > stream->stuck_count;
    uint64_t live = atomic_load_explicit(&stream->statistics.live, memory_order_relaxed);
    engine_thread_follow_internal(stream->options.engine_thread,
                                  stream->user_count == 0 && live == stream->count);
    engine_thread_follow(stream->options.engine_thread,
                         anyone ? stream->live_next - 1 : UINT64_MAX);
}

uint64_t stream_step(struct stream *stream, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(!stream->is_stepping);
    ASSERT(now_ns >= stream->now_ns);
    stream->is_stepping = true;
    stream->now_ns = now_ns;
    stream->wall_ms = wall_ms;
    bool more = false;
    if (stream->count > stream->stuck_count) {
        uint64_t published = engine_published(stream->options.engine);
#ifdef FRESHET_PLANT_TOLD_EARLY
        published = journal_committed(stream->journal);
#endif
        uint64_t live_before = stream->live_next;
        starting_step(stream);
        more = stream_live_step(stream, published);
        if (stream->live_next > live_before || stream->wants_retry) {
            stream->wants_retry = false;
            published_waiters_step(stream);
        }
        more = stream_lag_step(stream) || more;
        if (stream->live_next > published) {
            caught_step(stream);
        }
        wheel_turn(stream);
        stream_reads_start(stream);
        snapshots_start(stream);
        stream_look_trim(stream);
    }
    stream->is_stepping = false;
    ending_step(stream);
    follow(stream);
    more = more || !list_is_empty(&stream->starting) || !list_is_empty(&stream->ending);
    if (stream->count == stream->stuck_count) {
        return UINT64_MAX;
    }
    uint64_t deadline = wheel_deadline(stream);
    if (stream->wants_retry && now_ns + STREAM_RETRY_NS < deadline) {
        deadline = now_ns + STREAM_RETRY_NS;
    }
    return more ? 0 : deadline;
}
