/*
 * Subscribers, as they are outside: each keeps its token and what it has been told when its
 * connection, or the process, dies; it comes back on any thread, and goes on. Some begin with the
 * oldest change, others with a snapshot; their connections have no room now and then.
 *
 * Of each record they must be told exactly its history from where they began, each change once;
 * what they hold at `synced`, and when everything is at rest, must be what the model has. Only
 * whose place was lost with the power, or trimmed, may be told so, and never between being accepted
 * and the first answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/stream/stream.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

#define SUBSCRIBERS         6
#define SETTLE_TURNS_MAX    100000
#define SETTLE_STEP_NS      1000000ull
#define PROGRESS_NS         200000000ull
#define SUBSCRIPTIONS_A_RUN (2 * SUBSCRIBERS)

struct sim_subscriber {
    struct subscription subscription;
    struct sim *sim;
    uint32_t number;
    bool with_snapshot;
    uint32_t collection; /* SIM_COLLECTIONS: all, and events */
    bool has_token;
    struct token token;
    struct sim_change last; /* what the token's position stands for */
    bool is_open;
    bool was_told;  /* since it was accepted */
    bool was_stuck; /* likewise */
    bool is_synced;
    uint64_t since; /* it was told nothing of what came before */
    uint32_t room;
    uint64_t seen[SIM_KEYS_MAX]; /* by key: the last change that it was told of; 0: none */
};

struct sim_subscribers {
    struct stream *streams[SIM_THREADS_MAX];
    uint32_t stream_count;
    struct sim_subscriber each[SUBSCRIBERS];
    uint64_t told;
    uint64_t synced;
    uint64_t returns;
    uint64_t expired;
};

static uint64_t other_random(struct sim *sim, uint64_t below)
{
    return dice_roll(&sim->other_random) % below;
}

/* ---- what they are told ---- */

static uint32_t key_of(struct sim_subscriber *subscriber, const struct change *change)
{
    struct sim *sim = subscriber->sim;
    char id[DOC_ID_MAX];
    ASSERT(change->id.size < sizeof(id));
    memcpy(id, change->id.data, change->id.size);
    id[change->id.size] = 0;
    uint32_t collection = SIM_EVENTS;
    if (change->kind != CHANGE_EVENT) {
        bool is_pet = bytes_equal(change->collection, sim->collections[SIM_PETS].name);
        collection = is_pet ? SIM_PETS : SIM_PRODUCTS;
    }
    if (subscriber->collection != SIM_COLLECTIONS && subscriber->collection != collection) {
        sim_fail(sim, "subscriber %u is told of another collection", subscriber->number);
    }
    uint32_t key = model_key_find(sim, collection, id);
    if (key == SIM_NO_KEY) {
        sim_fail(sim, "subscriber %u is told of %s, which nobody wrote", subscriber->number, id);
    }
    return key;
}

/* The new image in what would be sent is what was written. */
static void check_image(struct sim_subscriber *subscriber, const struct delivery *delivery,
                        const struct sim_change *expected)
{
    static const char name[] = "\"newImage\":";
    struct bytes json = delivery_json(delivery);
    const char *at = memmem(json.data, json.size, name, sizeof(name) - 1);
    char id[DOC_ID_MAX];
    struct doc doc;
    bool is_right = false;
    if (at != NULL) {
        at += sizeof(name) - 1;
        is_right = doc_read_record(&at, (const char *)json.data + json.size, id, &doc) &&
                   doc_equal(&doc, &expected->doc);
    }
    if (!is_right) {
        sim_fail(subscriber->sim, "subscriber %u is sent %.*s", subscriber->number, (int)json.size,
                 (const char *)json.data);
    }
}

static void check_change(struct sim_subscriber *subscriber, const struct delivery *delivery,
                         uint32_t key)
{
    struct sim *sim = subscriber->sim;
    const struct change *change = delivery->change;
    if (change->sequence == 0 || change->sequence > sim->model.count) {
        sim_fail(sim, "subscriber %u is told of %" PRIu64 ", which is not committed",
                 subscriber->number, change->sequence);
    }
    const struct sim_change *expected = &sim->model.history[change->sequence - 1];
    bool removed = change->kind == CHANGE_REMOVE;
    if (expected->key != key || expected->epoch != change->epoch ||
        expected->version != change->version || expected->time_ms != change->time_ms ||
        expected->deleted != removed) {
        sim_fail(sim, "subscriber %u is told another %" PRIu64, subscriber->number,
                 change->sequence);
    }
    if (!removed && change->kind != CHANGE_EVENT) {
        check_image(subscriber, delivery, expected);
    }
}

/* The change of this record before that one; 0: there was none. */
static uint64_t change_before(const struct sim_key *key, uint64_t sequence)
{
    uint32_t index = model_change_at(key, sequence);
    ASSERT(index > 0 && key->changes[index - 1] == sequence);
    return index >= 2 ? key->changes[index - 2] : 0;
}

static void take_change(struct sim_subscriber *subscriber, const struct delivery *delivery)
{
    struct sim *sim = subscriber->sim;
    uint32_t k = key_of(subscriber, delivery->change);
    check_change(subscriber, delivery, k);
    uint64_t sequence = delivery->change->sequence;
    uint64_t before = change_before(&sim->model.keys[k], sequence);
    uint64_t seen = subscriber->seen[k];
    bool fits = seen == before;
    if (seen == 0 && subscriber->with_snapshot) {
        fits = before == 0 || sim->model.history[before - 1].deleted;
    } else if (seen == 0) {
        fits = before < subscriber->since;
    }
    if (!fits) {
        sim_fail(sim,
                 "subscriber %u is told %" PRIu64 " of %s after %" PRIu64 ", before it is %" PRIu64,
                 subscriber->number, sequence, sim->model.keys[k].id, seen, before);
    }
    subscriber->seen[k] = sequence;
}

static void take_row(struct sim_subscriber *subscriber, const struct delivery *delivery)
{
    struct sim *sim = subscriber->sim;
    uint32_t k = key_of(subscriber, delivery->change);
    check_change(subscriber, delivery, k);
    if (subscriber->is_synced || subscriber->seen[k] != 0) {
        sim_fail(sim, "subscriber %u gets %s as a record after it was told of %" PRIu64,
                 subscriber->number, sim->model.keys[k].id, subscriber->seen[k]);
    }
    subscriber->seen[k] = delivery->change->sequence;
}

static void check_held(struct sim_subscriber *subscriber, uint64_t through, const char *when)
{
    struct sim *sim = subscriber->sim;
    for (uint32_t k = 0; k < sim->model.key_count; k++) {
        const struct sim_key *key = &sim->model.keys[k];
        if (subscriber->collection != SIM_COLLECTIONS &&
            subscriber->collection != key->collection) {
            continue;
        }
        uint32_t index = model_change_at(key, through);
        uint64_t last = index == 0 ? 0 : key->changes[index - 1];
        uint64_t seen = subscriber->seen[k];
        bool began_later = last < subscriber->since;
        bool fits = seen == (began_later ? 0 : last);
        if (subscriber->with_snapshot && key->collection != SIM_EVENTS) {
            bool is_gone = last == 0 || sim->model.history[last - 1].deleted;
            fits = seen == last || (is_gone && seen == 0);
        }
        if (!fits) {
            sim_fail(sim,
                     "subscriber %u holds %" PRIu64 " of %s %s at %" PRIu64 ", which is %" PRIu64,
                     subscriber->number, seen, key->id, when, through, last);
        }
    }
}

static void token_keep(struct sim_subscriber *subscriber, const struct token *token)
{
    struct sim *sim = subscriber->sim;
    uint8_t text[TOKEN_TEXT_BYTES_MAX];
    struct writer out = writer_of(text, sizeof(text));
    token_write(token, &out);
    enum status status = token_read(writer_bytes(&out), &subscriber->token);
    ASSERT(status == STATUS_OK);
    uint64_t sequence = token->position.sequence;
    if (sequence > engine_published(sim->engine)) {
        sim_fail(sim, "subscriber %u is told of %" PRIu64 ", which is not published",
                 subscriber->number, sequence);
    }
    subscriber->has_token = true;
    if (sequence > 0) {
        subscriber->last = sim->model.history[sequence - 1];
    }
}

static bool take(struct subscription *subscription, const struct delivery *delivery)
{
    struct sim_subscriber *subscriber =
        CONTAINER_OF(subscription, struct sim_subscriber, subscription);
    struct sim *sim = subscriber->sim;
    /* When the disk has died the model cannot follow, and nobody else is asked any more. */
    if (subscriber->room == 0 || faulty_disk_is_dead(sim->faulty)) {
        subscriber->was_stuck = true;
        return false;
    }
    subscriber->room--;
    subscriber->was_told = true;
    sim->subscribers->told++;
    model_follow(sim);
    switch (delivery->kind) {
    case DELIVERY_CHANGE:
        take_change(subscriber, delivery);
        break;
    case DELIVERY_SNAPSHOT:
        take_row(subscriber, delivery);
        break;
    case DELIVERY_SYNCED:
        subscriber->is_synced = true;
        sim->subscribers->synced++;
        check_held(subscriber, delivery->token.position.sequence, "when synced");
        break;
    case DELIVERY_PROGRESS:
    case DELIVERY_CAUGHT_UP:
        break;
    }
    token_keep(subscriber, &delivery->token);
    return true;
}

/* ---- coming and going ---- */

static void forget(struct sim_subscriber *subscriber)
{
    subscriber->has_token = false;
    subscriber->is_synced = false;
    subscriber->since = 0;
    memset(subscriber->seen, 0, sizeof(subscriber->seen));
}

/* It may be told so only if its place is gone. */
static void expire(struct sim_subscriber *subscriber, uint64_t sequence)
{
    struct sim *sim = subscriber->sim;
    struct position oldest;
    journal_oldest(sim->journal, &oldest);
    bool is_lost = sequence > sim->model.count ||
                   (sequence > 0 && subscriber->has_token &&
                    !change_equal(&subscriber->last, &sim->model.history[sequence - 1]));
    if (!is_lost && sequence >= oldest.sequence) {
        sim_fail(sim, "subscriber %u is told that %" PRIu64 " has expired; the oldest is %" PRIu64,
                 subscriber->number, sequence, oldest.sequence);
    }
    sim->subscribers->expired++;
    forget(subscriber);
}

static void ended(struct subscription *subscription, enum status status)
{
    struct sim_subscriber *subscriber =
        CONTAINER_OF(subscription, struct sim_subscriber, subscription);
    struct sim *sim = subscriber->sim;
    subscriber->is_open = false;
    if (status == STATUS_POSITION_EXPIRED) {
        if (!subscriber->was_told && !subscriber->was_stuck) {
            sim_fail(sim, "subscriber %u was accepted, and expired before its first answer",
                     subscriber->number);
        }
        expire(subscriber, subscription->seen_sequence);
    } else if (status != STATUS_DAMAGED ||
               (sim->fault != FAULT_READS && !faulty_disk_is_dead(sim->faulty))) {
        sim_fail(sim, "subscriber %u ends: %s", subscriber->number, status_name(status));
    }
}

static void come(struct sim_subscriber *subscriber)
{
    struct sim *sim = subscriber->sim;
    struct subscription_options options = {
        .collection = subscriber->collection == SIM_COLLECTIONS
                          ? NULL
                          : &sim->collections[subscriber->collection],
        .view = CHANGE_VIEW_BOTH,
        .wants_caught_up = true,
        .progress_ns = PROGRESS_NS,
        .from = subscriber->has_token       ? SUBSCRIBE_TOKEN
                : subscriber->with_snapshot ? SUBSCRIBE_SNAPSHOT
                                            : SUBSCRIBE_EARLIEST,
        .token = subscriber->token,
        .deliver = take,
        .ended = ended,
    };
    struct sim_subscribers *all = sim->subscribers;
    struct stream *stream = all->streams[other_random(sim, all->stream_count)];
    enum status status = stream_subscribe(stream, &options, &subscriber->subscription);
    if (status == STATUS_POSITION_EXPIRED && subscriber->has_token) {
        expire(subscriber, subscriber->token.position.sequence);
        return;
    }
    if (status != STATUS_OK) {
        sim_fail(sim, "subscriber %u is refused: %s", subscriber->number, status_name(status));
    }
    uint64_t seen = subscriber->subscription.seen_sequence;
    if (subscriber->has_token && seen > 0 &&
        (seen > sim->model.count ||
         !change_equal(&subscriber->last, &sim->model.history[seen - 1]))) {
        sim_fail(sim, "subscriber %u goes on after %" PRIu64 ", which is not what it was",
                 subscriber->number, seen);
    }
    if (!subscriber->has_token) {
        subscriber->since = seen + 1;
    }
    all->returns++;
    subscriber->is_open = true;
    subscriber->was_told = false;
    subscriber->was_stuck = false;
    subscriber->room = (uint32_t)other_random(sim, 100);
}

static void go(struct sim_subscriber *subscriber)
{
    if (subscriber->is_open) {
        subscription_close(&subscriber->subscription);
        subscriber->is_open = false;
    }
}

/* ---- lives ---- */

void subscribe_init(struct sim *sim)
{
    sim->subscribers = NULL;
    if (!sim->setup.subscribers) {
        return;
    }
    sim->subscribers = calloc(1, sizeof(*sim->subscribers));
    ASSERT(sim->subscribers != NULL);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        struct sim_subscriber *subscriber = &sim->subscribers->each[i];
        subscriber->sim = sim;
        subscriber->number = i;
        subscriber->with_snapshot = i % 2 == 1;
        subscriber->collection = i / 2 == 0 ? SIM_COLLECTIONS : i / 2 - 1;
    }
}

void subscribe_deinit(struct sim *sim)
{
    if (sim->verbose && sim->subscribers != NULL) {
        fprintf(stderr,
                "subscribers were told %" PRIu64 ", synced %" PRIu64 " times, came %" PRIu64
                " times, expired %" PRIu64 " times\n",
                sim->subscribers->told, sim->subscribers->synced, sim->subscribers->returns,
                sim->subscribers->expired);
    }
    free(sim->subscribers);
    sim->subscribers = NULL;
}

void subscribe_start(struct sim *sim)
{
    struct sim_subscribers *all = sim->subscribers;
    if (all == NULL) {
        return;
    }
    all->stream_count = sim->setup.thread_count;
    for (uint32_t i = 0; i < all->stream_count; i++) {
        const struct stream_options options = {
            .engine = sim->engine,
            .engine_thread = engine_thread_at(sim->engine, i),
            .executor = &sim->executor,
            .subscriptions_max = SUBSCRIPTIONS_A_RUN,
        };
        enum status status = stream_create(&options, &all->streams[i]);
        ASSERT(status == STATUS_OK);
    }
}

void subscribe_end(struct sim *sim)
{
    for (uint32_t i = 0; sim->subscribers != NULL && i < SUBSCRIBERS; i++) {
        go(&sim->subscribers->each[i]);
    }
}

bool subscribe_is_idle(const struct sim *sim)
{
    bool idle = true;
    for (uint32_t i = 0; sim->subscribers != NULL && i < sim->subscribers->stream_count; i++) {
        idle = idle && stream_idle(sim->subscribers->streams[i]);
    }
    return idle;
}

void subscribe_destroy(struct sim *sim)
{
    for (uint32_t i = 0; sim->subscribers != NULL && i < sim->subscribers->stream_count; i++) {
        stream_destroy(&sim->subscribers->streams[i]);
    }
}

/* ---- turns ---- */

void subscribe_thread_step(struct sim *sim, uint32_t thread)
{
    if (sim->subscribers != NULL && !sim->nobody_listens) {
        (void)stream_step(sim->subscribers->streams[thread], sim->now_ns, sim->wall_ms);
    }
}

void subscribe_step(struct sim *sim)
{
    for (uint32_t i = 0; sim->subscribers != NULL && i < SUBSCRIBERS; i++) {
        struct sim_subscriber *subscriber = &sim->subscribers->each[i];
        uint64_t dice = other_random(sim, 1000);
        if (!subscriber->is_open) {
            if (dice < 50) {
                come(subscriber);
            }
        } else if (dice < 3) {
            go(subscriber);
        } else if (dice < 40) {
            subscriber->room = dice < 8 ? 0 : (uint32_t)other_random(sim, 400);
            subscription_resume(&subscriber->subscription);
        }
    }
}

/* Has been told all that there is. */
static bool is_up_to_date(const struct sim_subscriber *subscriber)
{
    if (!subscriber->is_open || subscriber->subscription.state != SUBSCRIPTION_LIVE) {
        return false;
    }
    struct token token;
    subscription_token(&subscriber->subscription, &token);
    return token.position.sequence == subscriber->sim->model.count;
}

/* Everybody comes, and gets all that there is. */
void subscribe_settled(struct sim *sim)
{
    struct sim_subscribers *all = sim->subscribers;
    if (all == NULL) {
        return;
    }
    bool live = false;
    for (int i = 0; !live; i++) {
        if (i == SETTLE_TURNS_MAX) {
            sim_fail(sim, "the subscribers never come to rest");
        }
        live = true;
        for (uint32_t s = 0; s < SUBSCRIBERS; s++) {
            struct sim_subscriber *subscriber = &all->each[s];
            if (!subscriber->is_open) {
                come(subscriber);
            }
            subscriber->room = UINT32_MAX;
            if (subscriber->is_open) {
                subscription_resume(&subscriber->subscription);
            }
            live = live && is_up_to_date(subscriber);
        }
        sim_turn(sim, SETTLE_STEP_NS);
        if (faulty_disk_is_dead(sim->faulty)) {
            return;
        }
    }
    for (uint32_t s = 0; s < SUBSCRIBERS; s++) {
        if (all->each[s].with_snapshot && !all->each[s].is_synced) {
            sim_fail(sim, "subscriber %u was never synced", s);
        }
        check_held(&all->each[s], sim->model.count, "at rest");
    }
}
