/*
 * deliver.c: the change that is being looked at: which subscriptions it is for, and in which form
 * they get it.
 *
 * What patterns are matched on and what is sent is built at most once for a change, and only when
 * somebody asks; so an entry that nobody wants costs a look at its header.
 */
#include <stdlib.h>

#include "engine/stream/stream_internal.h"
#include "protocol/document/json.h"

/* A change without its images, its changed names, its id (twice more) and its collection. */
#define CHANGE_MEMBERS_BYTES 512
/* The most that JSON is larger than MessagePack: "\u001f" for one byte. */
#define JSON_GROWTH_MAX 8

enum status stream_look_init(struct stream *stream)
{
    stream->judged_memory = malloc(STREAM_JUDGED_BYTES);
    stream->judged_before_memory = malloc(STREAM_JUDGED_BYTES);
    bool has_memory = stream->judged_memory != NULL && stream->judged_before_memory != NULL;
    return has_memory ? STATUS_OK : STATUS_NO_MEMORY;
}

static void rendering_free(struct rendering *rendering)
{
    free(rendering->data);
    *rendering = (struct rendering){0};
}

void stream_look_deinit(struct stream *stream)
{
    free(stream->judged_memory);
    free(stream->judged_before_memory);
    for (size_t view = 0; view < CHANGE_VIEW_COUNT; view++) {
        for (size_t transition = 0; transition < STREAM_TRANSITION_COUNT; transition++) {
            rendering_free(&stream->msgpack[view][transition]);
            rendering_free(&stream->json[view][transition]);
        }
    }
}

void stream_look_trim(struct stream *stream)
{
    for (size_t view = 0; view < CHANGE_VIEW_COUNT; view++) {
        for (size_t transition = 0; transition < STREAM_TRANSITION_COUNT; transition++) {
            if (stream->msgpack[view][transition].capacity > STREAM_RENDERING_KEPT_BYTES) {
                rendering_free(&stream->msgpack[view][transition]);
            }
            if (stream->json[view][transition].capacity > STREAM_RENDERING_KEPT_BYTES) {
                rendering_free(&stream->json[view][transition]);
            }
        }
    }
}

/* ---- looking ---- */

static const struct collection *collection_find(const struct stream *stream, struct bytes name)
{
    /* Mostly the one of the change before. */
    if (stream->at.collection != NULL && bytes_equal(stream->at.collection->name, name)) {
        return stream->at.collection;
    }
    for (uint32_t i = 0; i < stream->collection_count; i++) {
        if (bytes_equal(stream->collections[i].name, name)) {
            return &stream->collections[i];
        }
    }
    return NULL;
}

static void look_begin(struct stream *stream)
{
    struct looked_at *at = &stream->at;
    struct bytes name = at->change.collection;
    at->mark++;
    at->judged = BYTES_EMPTY;
    at->judged_before = BYTES_EMPTY;
    at->collection = name.size == 0 ? NULL : collection_find(stream, name);
    /* Of a collection that is no longer in the configuration nothing can be read, either. */
    at->is_hidden = name.size > 0 && (at->collection == NULL || at->collection->internal);
}

bool stream_look_at(struct stream *stream, const struct entry *entry)
{
    if (!change_of_entry(&stream->journal->store_id, entry, &stream->at.change)) {
        return false;
    }
    look_begin(stream);
    return true;
}

void stream_look_at_row(struct stream *stream, const struct slice_row *row)
{
    change_of_row(&stream->journal->store_id, row, &stream->at.change);
    look_begin(stream);
}

static bool slot_is_covered(const struct subscription *subscription, const struct change *change)
{
    const uint64_t *sequences = subscription->options.slot_sequences;
    uint64_t word = subscription->slots.words[change->slot / 64];
    return (word >> (change->slot % 64) & 1) != 0 &&
           (sequences == NULL || change->sequence > sequences[change->slot]);
}

bool stream_covers(const struct stream *stream, const struct subscription *subscription)
{
    const struct looked_at *at = &stream->at;
    const struct collection *collection = subscription->options.collection;
    bool covers = collection == NULL ? !at->is_hidden : collection == at->collection;
    return covers && (!subscription->has_slots || slot_is_covered(subscription, &at->change));
}

bool stream_moves(const struct stream *stream, const struct subscription *subscription)
{
    const struct looked_at *at = &stream->at;
    return !at->is_hidden ||
           (at->collection != NULL && at->collection == subscription->options.collection);
}

/* ---- judging ---- */

struct bytes stream_judged(struct stream *stream)
{
    struct looked_at *at = &stream->at;
    if (at->judged.size == 0) {
        struct writer out = writer_of(stream->judged_memory, STREAM_JUDGED_BYTES);
        enum status status = change_write_judged(&at->change, &out);
        ASSERT(status == STATUS_OK);
        at->judged = writer_bytes(&out);
    }
    return at->judged;
}

struct bytes stream_judged_before(struct stream *stream)
{
    struct looked_at *at = &stream->at;
    if (at->judged_before.size == 0) {
        struct writer out = writer_of(stream->judged_before_memory, STREAM_JUDGED_BYTES);
        enum status status = change_write_judged_before(&at->change, &out);
        ASSERT(status == STATUS_OK);
        at->judged_before = writer_bytes(&out);
    }
    return at->judged_before;
}

enum change_transition stream_transition(const struct stream *stream,
                                         const struct subscription *subscription)
{
    if (!subscription->options.enter_leave) {
        return CHANGE_STAYS;
    }
    switch (stream->at.change.kind) {
    case CHANGE_INSERT:
        return CHANGE_ENTERS;
    case CHANGE_REMOVE:
        return CHANGE_LEAVES;
    case CHANGE_MODIFY:
    case CHANGE_EVENT:
        return CHANGE_STAYS;
    }
    UNREACHABLE();
}

bool stream_matches(struct stream *stream, const struct subscription *subscription,
                    enum change_transition *transition_out)
{
    const struct pattern *pattern = subscription->options.pattern;
    *transition_out = stream_transition(stream, subscription);
    if (pattern == NULL) {
        return true;
    }
    bool is = pattern_matches(pattern, stream_judged(stream));
    if (!subscription->options.enter_leave || stream->at.change.kind != CHANGE_MODIFY) {
        return is;
    }
    bool was = pattern_matches(pattern, stream_judged_before(stream));
    *transition_out = is == was ? CHANGE_STAYS : is ? CHANGE_ENTERS : CHANGE_LEAVES;
    return is || was;
}

/* ---- offering ---- */

/* Its first answer ends the pin. */
static bool offer(struct subscription *subscription, const struct delivery *delivery)
{
    struct stream *stream = subscription->stream;
    ASSERT(stream->is_stepping);
    ASSERT(!stream->is_delivering);
    stream->is_delivering = true;
    bool taken = subscription->options.deliver(subscription, delivery);
    stream->is_delivering = false;
    if (!taken) {
        return false;
    }
    subscription->told_ns = stream->now_ns;
    if (subscription->is_pinned) {
        journal_unpin(stream->journal, &subscription->pin);
        subscription->is_pinned = false;
    }
    return true;
}

static void token_snapshot_set(struct token *token, const struct snapshot *snapshot)
{
    token->in_snapshot = true;
    token->shard = snapshot->shard;
    token->key_size = snapshot->key_size;
    memcpy(token->key, snapshot->key, snapshot->key_size);
}

static void token_row_set(struct token *token, const struct change *change)
{
    struct writer key = writer_of(token->key, sizeof(token->key));
    writer_put(&key, change->collection);
    writer_u8(&key, 0);
    writer_put(&key, change->id);
    ASSERT(!key.failed);
    token->key_size = key.size;
}

/*
 * A position does not move on internal entries alone: who writes one down makes such an entry, and
 * would go on for ever. But where there is nothing else for so long that the position is closer to
 * being trimmed than to the place where the cursor is, it follows: nothing was missed.
 */
static void position_follow(const struct stream *stream, uint64_t next_sequence,
                            struct position *position)
{
    uint64_t trail = next_sequence - 1 - position->sequence;
    if (trail < STREAM_TRAIL_ENTRIES) {
        return;
    }
    struct position oldest;
    journal_oldest(stream->journal, &oldest);
    if (position->sequence < oldest.sequence + trail) {
        position->sequence = next_sequence - 1;
        position->epoch = stream->journal->epoch;
    }
}

void stream_token_at(const struct subscription *subscription, struct token *out)
{
    const struct stream *stream = subscription->stream;
    memset(out, 0, sizeof(*out));
    out->position = (struct position){
        .store_id = stream->journal->store_id,
        .epoch = subscription->epoch,
        .sequence = subscription->seen_sequence,
    };
    bool is_live = subscription->state == SUBSCRIPTION_LIVE;
    if (is_live && stream->live_seen > subscription->seen_sequence) {
        out->position.epoch = stream->live_epoch;
        out->position.sequence = stream->live_seen;
    }
    if (!subscription->needs_time) {
        uint64_t next = is_live ? stream->live_next : subscription->next_sequence;
        position_follow(stream, next, &out->position);
    }
    if (subscription->snapshot != NULL) {
        token_snapshot_set(out, subscription->snapshot);
    }
}

bool stream_deliver_change(struct subscription *subscription, enum delivery_kind kind,
                           enum change_transition transition)
{
    struct stream *stream = subscription->stream;
    const struct change *change = &stream->at.change;
    struct delivery *delivery = &stream->delivery;
    bool is_row = kind == DELIVERY_SNAPSHOT;
    ASSERT(is_row || kind == DELIVERY_CHANGE);
    ASSERT(!is_row || subscription->snapshot != NULL);
    delivery->kind = kind;
    delivery->change = change;
    delivery->transition = transition;
    delivery->stream = stream;
    delivery->subscription = subscription;
    struct token *token = &delivery->token;
    token->position.store_id = stream->journal->store_id;
    token->position.epoch = is_row ? subscription->epoch : change->epoch;
    token->position.sequence = is_row ? subscription->seen_sequence : change->sequence;
    token->in_snapshot = false;
    token->shard = 0;
    token->key_size = 0;
    if (subscription->snapshot != NULL) {
        token_snapshot_set(token, subscription->snapshot);
    }
    if (is_row) {
        token_row_set(token, change);
    }
    if (!offer(subscription, delivery)) {
        return false;
    }
    stream_count_add(is_row ? &stream->statistics.snapshot_rows : &stream->statistics.delivered, 1);
    return true;
}

bool stream_deliver_other(struct subscription *subscription, enum delivery_kind kind)
{
    struct stream *stream = subscription->stream;
    struct delivery *delivery = &stream->delivery;
    ASSERT(kind != DELIVERY_CHANGE);
    ASSERT(kind != DELIVERY_SNAPSHOT);
    delivery->kind = kind;
    delivery->change = NULL;
    delivery->transition = CHANGE_STAYS;
    delivery->stream = stream;
    delivery->subscription = subscription;
    stream_token_at(subscription, &delivery->token);
    if (kind == DELIVERY_SYNCED) {
        delivery->token.in_snapshot = false;
        delivery->token.shard = 0;
        delivery->token.key_size = 0;
    }
    return offer(subscription, delivery);
}

/* ---- rendering ---- */

static bool rendering_reserve(struct rendering *rendering, size_t capacity)
{
    if (rendering->capacity >= capacity) {
        return true;
    }
    rendering_free(rendering);
    rendering->data = malloc(capacity);
    rendering->capacity = rendering->data == NULL ? 0 : capacity;
    return rendering->data != NULL;
}

static size_t change_bytes_max(const struct change *change)
{
    return CHANGE_MEMBERS_BYTES + change->collection.size + 3 * (change->id.size + 8) +
           change->changed.size + change->new_document.size + change->old_document.size + 16;
}

struct bytes delivery_msgpack(const struct delivery *delivery)
{
    ASSERT(delivery->change != NULL);
    struct stream *stream = delivery->stream;
    enum change_view view = delivery->subscription->options.view;
    struct rendering *rendering = &stream->msgpack[view][delivery->transition];
    if (rendering->mark != stream->at.mark) {
        if (!rendering_reserve(rendering, change_bytes_max(delivery->change))) {
            return BYTES_EMPTY;
        }
        struct writer out = writer_of(rendering->data, rendering->capacity);
        enum status status = change_write(delivery->change, view, delivery->transition, &out);
        ASSERT(status == STATUS_OK);
        rendering->size = out.size;
        rendering->mark = stream->at.mark;
    }
    return bytes_of(rendering->data, rendering->size);
}

/* Twice its size mostly is enough; escapes may take more. */
static bool render_json(struct rendering *rendering, struct bytes msgpack)
{
    size_t growth = 2;
    for (;;) {
        if (!rendering_reserve(rendering, msgpack.size * growth + CHANGE_MEMBERS_BYTES)) {
            return false;
        }
        struct writer out = writer_of(rendering->data, rendering->capacity);
        if (document_to_json(msgpack, &out) == STATUS_OK) {
            rendering->size = out.size;
            return true;
        }
        if (growth >= JSON_GROWTH_MAX) {
            return false;
        }
        growth *= 2;
    }
}

struct bytes delivery_json(const struct delivery *delivery)
{
    ASSERT(delivery->change != NULL);
    struct stream *stream = delivery->stream;
    enum change_view view = delivery->subscription->options.view;
    struct rendering *rendering = &stream->json[view][delivery->transition];
    if (rendering->mark != stream->at.mark) {
        struct bytes msgpack = delivery_msgpack(delivery);
        if (msgpack.size == 0 || !render_json(rendering, msgpack)) {
            return BYTES_EMPTY;
        }
        rendering->mark = stream->at.mark;
    }
    return bytes_of(rendering->data, rendering->size);
}
