/*
 * snapshot.c: the records first, then the changes, without a gap and without a duplicate.
 *
 * The records come in slices: a run of keys of one shard as it was at the shard's applied position
 * A. Let the cursor stand before the entry Q when a slice is asked for, and stay there until it has
 * come:
 *
 *     entries before Q     are published, so the shard had applied them: the slice has them
 *     entries Q to A       of these keys are in the slice too: the cursor passes them over
 *     entries after A      are not in it: by then the keys count as had, and they are delivered
 *
 * So the rows are delivered when the cursor has passed A. Meanwhile changes to what was had before
 * are delivered as ever, and those to keys that are still to come are left out. A is at most a
 * little beyond the published position: the cursor waits for that.
 *
 * Whoever has no room gives his slice back, and has it read again from where he was; so a stuck
 * snapshot costs a key.
 */
#include <stdlib.h>

#include "engine/stream/stream_internal.h"

enum status snapshot_create(struct subscription *subscription, const struct token *token)
{
    struct stream *stream = subscription->stream;
    ASSERT(subscription->snapshot == NULL);
    const struct collection *collection = subscription->options.collection;
    if (token != NULL && token->shard > stream->shard_count) {
        return STATUS_INVALID;
    }
    if (token != NULL && token->key_size > 0 && collection != NULL) {
        /* Of the same collection as before. */
        struct bytes key = bytes_of(token->key, token->key_size);
        if (key.size <= collection->name.size || !bytes_starts_with(key, collection->name) ||
            key.data[collection->name.size] != 0) {
            return STATUS_INVALID;
        }
    }
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return STATUS_NO_MEMORY;
    }
    snapshot->stream = stream;
    snapshot->subscription = subscription;
    link_init(&snapshot->link);
    if (token != NULL) {
        snapshot->shard = token->shard;
        snapshot->key_size = token->key_size;
        memcpy(snapshot->key, token->key, token->key_size);
    }
    subscription->snapshot = snapshot;
    return STATUS_OK;
}

void snapshot_drop_slice(struct snapshot *snapshot)
{
    struct stream *stream = snapshot->stream;
    ASSERT(snapshot->stage != SNAPSHOT_ASKED);
    link_remove(&snapshot->link);
    if (snapshot->stage == SNAPSHOT_READY) {
        ASSERT(stream->slices_held > 0);
        stream->slices_held--;
        slice_release(&snapshot->request);
    }
    snapshot->rows = BYTES_EMPTY;
    snapshot->stage = SNAPSHOT_NEXT;
}

void snapshot_destroy(struct snapshot **snapshot_at)
{
    struct snapshot *snapshot = *snapshot_at;
    *snapshot_at = NULL;
    if (snapshot == NULL) {
        return;
    }
    if (snapshot->stage == SNAPSHOT_ASKED) {
        snapshot->subscription = NULL; /* the engine has it: freed when it is back */
        return;
    }
    snapshot_drop_slice(snapshot);
    free(snapshot);
}

/* ---- what it has ---- */

static int key_compare(const struct snapshot *snapshot, const struct change *change)
{
    uint8_t bytes[TOKEN_KEY_BYTES_MAX];
    struct writer key = writer_of(bytes, sizeof(bytes));
    writer_put(&key, change->collection);
    writer_u8(&key, 0);
    writer_put(&key, change->id);
    ASSERT(!key.failed);
    return bytes_compare(writer_bytes(&key), bytes_of(snapshot->key, snapshot->key_size));
}

bool snapshot_has(const struct snapshot *snapshot, const struct change *change)
{
    if (change->kind == CHANGE_EVENT) {
        return true; /* no record: no slice has it */
    }
    uint32_t shard = engine_shard_of_hash(snapshot->stream->options.engine, change->slot);
    if (shard != snapshot->shard) {
        return shard < snapshot->shard;
    }
    return key_compare(snapshot, change) <= 0;
}

static void key_set(struct snapshot *snapshot, struct bytes collection, struct bytes id)
{
    struct writer key = writer_of(snapshot->key, sizeof(snapshot->key));
    writer_put(&key, collection);
    writer_u8(&key, 0);
    writer_put(&key, id);
    ASSERT(!key.failed);
    snapshot->key_size = key.size;
}

/* ---- slices ---- */

static void slice_came(struct slice_request *request)
{
    struct snapshot *snapshot = CONTAINER_OF(request, struct snapshot, request);
    struct stream *stream = snapshot->stream;
    ASSERT(snapshot->stage == SNAPSHOT_ASKED);
    ASSERT(stream->slices_asked > 0);
    stream->slices_asked--;
    snapshot->stage = SNAPSHOT_READY;
    snapshot->rows = request->rows;
    struct subscription *subscription = snapshot->subscription;
    if (subscription == NULL) {
        snapshot_destroy(&snapshot);
        return;
    }
    ASSERT(subscription->state == SUBSCRIPTION_READING);
    if (request->status != STATUS_OK) {
        stream_ends(subscription,
                    request->status == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_DAMAGED);
        return;
    }
    stream_lags(subscription, true);
}

static void slice_ask(struct snapshot *snapshot)
{
    struct stream *stream = snapshot->stream;
    snapshot->request = (struct slice_request){
        .shard = snapshot->shard,
        .collection = snapshot->subscription->options.collection,
        .after = bytes_of(snapshot->key, snapshot->key_size),
        .bytes_max = STREAM_SLICE_BYTES,
        .records_max = STREAM_SLICE_RECORDS,
        .done = slice_came,
    };
    snapshot->stage = SNAPSHOT_ASKED;
    stream->slices_held++;
    stream->slices_asked++;
    slice_submit(stream->options.engine_thread, &snapshot->request);
}

void snapshots_start(struct stream *stream)
{
    while (stream->slices_held < STREAM_SLICES_MAX && !list_is_empty(&stream->slices_queued)) {
        struct snapshot *snapshot =
            CONTAINER_OF(list_pop_front(&stream->slices_queued), struct snapshot, link);
        ASSERT(snapshot->stage == SNAPSHOT_QUEUED);
        slice_ask(snapshot);
    }
}

/* ---- its turn ---- */

uint64_t snapshot_limit(const struct snapshot *snapshot, uint64_t limit)
{
    if (snapshot->stage == SNAPSHOT_NEXT && snapshot->shard < snapshot->stream->shard_count) {
        return limit; /* whoever comes back from long ago holds no slice on his way */
    }
    if (snapshot->stage != SNAPSHOT_READY) {
        return 0; /* the cursor stays where it is */
    }
#ifdef FRESHET_PLANT_ROWS_AHEAD
    return 0;
#endif
    uint64_t applied = snapshot->request.applied_sequence;
    return applied < limit ? applied : limit;
}

/* False: there was no room for the next row. */
static bool rows_deliver(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    struct snapshot *snapshot = subscription->snapshot;
    struct slice_row row;
    while (slice_next(&snapshot->rows, &row)) {
        enum change_transition transition;
        stream_look_at_row(stream, &row);
        if (stream_covers(stream, subscription) &&
            stream_matches(stream, subscription, &transition) &&
            !stream_deliver_change(subscription, DELIVERY_SNAPSHOT, transition)) {
            return false;
        }
        key_set(snapshot, row.collection, row.id);
    }
    return true;
}

static void slice_finish(struct snapshot *snapshot)
{
    bool end = snapshot->request.end;
    snapshot_drop_slice(snapshot);
    if (end) {
        snapshot->shard++;
        snapshot->key_size = 0;
    }
}

bool snapshot_turn(struct subscription *subscription)
{
    struct stream *stream = subscription->stream;
    struct snapshot *snapshot = subscription->snapshot;
    if (snapshot->stage == SNAPSHOT_READY) {
#ifndef FRESHET_PLANT_ROWS_AHEAD
        if (subscription->next_sequence <= snapshot->request.applied_sequence) {
            stream_waits(subscription, &stream->published_waiters);
            return false;
        }
#endif
        if (!rows_deliver(subscription)) {
            stream_stuck(subscription);
            return false;
        }
        slice_finish(snapshot);
    }
    ASSERT(snapshot->stage == SNAPSHOT_NEXT);
    if (snapshot->shard == stream->shard_count) {
        if (!stream_deliver_other(subscription, DELIVERY_SYNCED)) {
            stream_stuck(subscription);
            return false;
        }
        snapshot_destroy(&subscription->snapshot);
        return true;
    }
    snapshot->stage = SNAPSHOT_QUEUED;
    list_push_back(&stream->slices_queued, &snapshot->link);
    stream_waits(subscription, NULL);
    return false;
}
