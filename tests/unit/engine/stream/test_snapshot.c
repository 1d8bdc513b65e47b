/*
 * Records first, then changes: for each record what a listener is told must be exactly its history
 * from one of its states on, each state once; at `synced` all that it holds must be exactly what
 * the journal says at that position.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/store_memory.h"
#include "engine/stream/stream_internal.h"
#include "protocol/base/dice.h"
#include "tests/unit/engine/stream/scene.h"

#define RECORDS_MAX 4000u
#define WRITERS     12u
#define SEEDS       24

static struct scene scene;

/* ---- a few records, told one by one ---- */

static struct listener a;

static void begin(void)
{
    scene_begin(&scene, NULL);
}

static void end(void)
{
    subscription_close(&a.subscription);
    scene_end(&scene);
}

TestSuite(snapshot, .init = begin, .fini = end);

#define SUBSCRIBE(listener, ...)                                                                   \
    listener_begin(&scene, (listener),                                                             \
                   (struct subscription_options){.view = CHANGE_VIEW_BOTH, __VA_ARGS__})

Test(snapshot, of_nothing_is_synced_at_once)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "SYNCED");
    scene_put(&scene, "rex", "{}");
    scene_settle(&scene);
    listener_expect(&a, 1, "INSERT rex 1");
}

Test(snapshot, tells_records_then_synced_then_changes)
{
    scene_put(&scene, "rex", "{\"age\":3}");
    scene_put(&scene, "rex", "{\"age\":4}");
    scene_put(&scene, "gone", "{}");
    scene_delete(&scene, "gone");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT, .wants_caught_up = true), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "SNAPSHOT rex 2, SYNCED, CAUGHT_UP 4");
    cr_assert(strstr(a.json, "\"eventName\":\"INSERT\"") != NULL);
    cr_assert(strstr(a.json, "\"version\":2") != NULL);
    cr_assert(strstr(a.json, "\"newImage\":{\"id\":\"rex\",\"age\":4}") != NULL);
    scene_put(&scene, "rex", "{\"age\":5}");
    scene_settle(&scene);
    listener_expect(&a, 3, "MODIFY rex 5, CAUGHT_UP 5");
}

Test(snapshot, has_what_the_pattern_and_the_collection_ask_for)
{
    scene_put(&scene, "rex", "{\"age\":3}");
    scene_put(&scene, "tom", "{\"age\":4}");
    scene_put_in(&scene, world_products(&scene.world), "lamp", "{\"age\":4}");
    scene_put_in(&scene, world_internal(&scene.world, COLLECTION_RULES), "one", "{\"age\":4}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT, .collection = world_pets(&scene.world),
                           .enter_leave = true,
                           .pattern = scene_pattern("{\"newImage\":{\"age\":[4]}}")),
                 STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "SNAPSHOT+ tom 2, SYNCED");
    subscription_close(&a.subscription);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.count, 4, "all but the server's own");
}

Test(snapshot, goes_on_where_there_was_no_room)
{
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    a.room = 0;
    for (uint32_t i = 0; i <= 20; i++) {
        scene_settle(&scene);
        cr_assert_eq(a.count, i);
        cr_assert_eq(a.subscription.state, SUBSCRIPTION_STUCK);
        cr_assert_eq(scene.stream->slices_held, 0, "a stuck one holds no slice");
        a.room = 1;
        subscription_resume(&a.subscription);
    }
    scene_settle(&scene);
    cr_assert_eq(a.count, 21);
    cr_assert_eq(a.told[20].kind, DELIVERY_SYNCED);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(a.told[i].kind, DELIVERY_SNAPSHOT);
        seen |= 1ull << a.told[i].sequence;
    }
    cr_assert_eq(seen, (1ull << 21) - 2, "each once");
}

Test(snapshot, goes_on_after_any_token)
{
    static struct listener whole;
    for (int i = 0; i < 12; i++) {
        char id[16];
        snprintf(id, sizeof(id), "pet%d", i);
        scene_put(&scene, id, "{}");
    }
    cr_assert_eq(SUBSCRIBE(&whole, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    scene_settle(&scene);
    subscription_close(&whole.subscription);
    cr_assert_eq(whole.count, 13);
    scene_put(&scene, "late", "{}");
    for (uint32_t i = 0; i < 13; i++) {
        cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = whole.told[i].token),
                     STATUS_OK);
        scene_settle(&scene);
        /* The late one is a change where its range was had, and a record where it was not. */
        uint32_t late = 0;
        uint32_t other = 0;
        for (uint32_t j = 0; j < a.count; j++) {
            bool is_late = strcmp(a.told[j].id, "late") == 0;
            late += is_late;
            other += !is_late && a.told[j].kind == DELIVERY_SNAPSHOT;
        }
        cr_assert_eq(late, 1, "after %u", i);
        cr_assert_eq(other, i < 12 ? 11 - i : 0);
        cr_assert_eq(whole.told[i].token.in_snapshot, i < 12);
        subscription_close(&a.subscription);
    }
}

Test(snapshot, refuses_a_token_of_another_collection_or_shard)
{
    scene_put(&scene, "rex", "{}");
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT, .collection = world_pets(&scene.world)),
                 STATUS_OK);
    scene_settle(&scene);
    struct token token = a.told[0].token;
    cr_assert(token.in_snapshot);
    subscription_close(&a.subscription);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token,
                           .collection = world_products(&scene.world)),
                 STATUS_INVALID);
    token.shard = 5;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_INVALID);
    token.shard = 4;
    token.key_size = 0;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_OK);
    scene_settle(&scene);
    listener_expect(&a, 0, "SYNCED");
}

Test(snapshot, may_be_closed_while_a_slice_is_being_read)
{
    scene_put(&scene, "rex", "{}");
    scene.world.hold_jobs = true;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_READING);
    cr_assert_not(stream_idle(scene.stream));
    subscription_close(&a.subscription);
    scene.world.hold_jobs = false;
    scene_settle(&scene);
    cr_assert(stream_idle(scene.stream));
    cr_assert_eq(scene.stream->slices_held, 0);
    cr_assert_eq(a.count, 0);
}

Test(snapshot, slices_are_read_a_few_at_a_time)
{
    static struct listener many[10];
    scene_put(&scene, "rex", "{}");
    scene.world.hold_jobs = true;
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(SUBSCRIBE(&many[i], .from = SUBSCRIBE_SNAPSHOT), STATUS_OK);
    }
    scene_settle(&scene);
    cr_assert_eq(scene.stream->slices_held, STREAM_SLICES_MAX);
    subscription_close(&many[9].subscription); /* it waits for its turn */
    scene.world.hold_jobs = false;
    scene_settle(&scene);
    for (int i = 0; i < 9; i++) {
        listener_expect(&many[i], 0, "SNAPSHOT rex 1, SYNCED");
        subscription_close(&many[i].subscription);
    }
}

/* ---- many records, many writers, and everything that may come between ---- */

/* What someone holds of a record. */
struct held {
    bool is_there;
    uint64_t sequence;
    uint64_t version;
};

struct trial {
    uint64_t random;
    uint64_t seed;
    struct world_request requests[WRITERS];
    uint64_t next_value;
    struct subscription subscription;
    struct subscription_options options;
    struct held held[RECORDS_MAX];
    struct token token; /* of the last delivery */
    bool is_synced;
    uint32_t synced_count;
    uint32_t rows;
    uint32_t changes_before_synced;
    uint32_t reconnects;
    uint32_t room;
};

static uint64_t dice(struct trial *trial, uint64_t below)
{
    return dice_roll(&trial->random) % below;
}

static uint32_t record_of(const struct change *change)
{
    char text[16];
    cr_assert_lt(change->id.size, sizeof(text));
    memcpy(text, change->id.data, change->id.size);
    text[change->id.size] = 0;
    cr_assert_eq(text[0], 'r');
    return (uint32_t)strtoul(text + 1, NULL, 10);
}

static void hold_change(struct held *held, const struct change *change, uint64_t seed)
{
    unsigned long long s = seed;
    cr_assert_gt(change->sequence, held->sequence, "an older state comes again; seed %llu", s);
    switch (change->kind) {
    case CHANGE_INSERT:
        cr_assert_not(held->is_there, "inserted twice; seed %llu", s);
        cr_assert_eq(change->version, 1, "a gap; seed %llu", s);
        break;
    case CHANGE_MODIFY:
        cr_assert(held->is_there, "a gap; seed %llu", s);
        cr_assert_eq(change->version, held->version + 1, "a gap; seed %llu", s);
        break;
    case CHANGE_REMOVE:
        cr_assert(held->is_there, "a gap; seed %llu", s);
        cr_assert_eq(change->version, held->version, "a gap; seed %llu", s);
        break;
    case CHANGE_EVENT:
        cr_assert_fail("an event");
    }
    *held = (struct held){change->kind != CHANGE_REMOVE, change->sequence, change->version};
}

/* Folds the journal up to a position, and compares. */
static void expect_fold(const struct trial *trial, uint64_t through)
{
    static struct held fold[RECORDS_MAX];
    memset(fold, 0, sizeof(fold));
    struct journal *journal = scene.world.journal;
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(journal, 1, &reader), STATUS_OK);
    struct entry entry;
    while (journal_reader_next(journal, reader, &entry) == STATUS_OK && entry.sequence <= through) {
        struct change change;
        cr_assert(change_of_entry(&journal->store_id, &entry, &change));
        fold[record_of(&change)] =
            (struct held){entry.kind == ENTRY_PUT, entry.sequence, entry.version};
    }
    journal_reader_destroy(journal, reader);
    for (uint32_t i = 0; i < RECORDS_MAX; i++) {
        cr_assert_eq(trial->held[i].is_there, fold[i].is_there, "r%u at %llu; seed %llu", i,
                     (unsigned long long)through, (unsigned long long)trial->seed);
        cr_assert(!fold[i].is_there || trial->held[i].sequence == fold[i].sequence,
                  "r%u at %llu; seed %llu", i, (unsigned long long)through,
                  (unsigned long long)trial->seed);
    }
}

static bool trial_deliver(struct subscription *subscription, const struct delivery *delivery)
{
    struct trial *trial = CONTAINER_OF(subscription, struct trial, subscription);
    if (trial->room == 0 && delivery->kind != DELIVERY_PROGRESS) {
        return false;
    }
    trial->room--;
    trial->token = delivery->token;
    struct held *held = NULL;
    switch (delivery->kind) {
    case DELIVERY_SNAPSHOT:
        held = &trial->held[record_of(delivery->change)];
        cr_assert_not(trial->is_synced);
        cr_assert_eq(held->sequence, 0, "told twice; seed %llu", (unsigned long long)trial->seed);
        *held = (struct held){true, delivery->change->sequence, delivery->change->version};
        trial->rows++;
        break;
    case DELIVERY_CHANGE:
        hold_change(&trial->held[record_of(delivery->change)], delivery->change, trial->seed);
        trial->changes_before_synced += !trial->is_synced;
        break;
    case DELIVERY_SYNCED:
        trial->is_synced = true;
        trial->synced_count++;
        expect_fold(trial, delivery->token.position.sequence);
        break;
    case DELIVERY_PROGRESS:
    case DELIVERY_CAUGHT_UP:
        break;
    }
    cr_assert_leq(delivery->token.position.sequence, engine_published(scene.world.engine));
    return true;
}

static void trial_ended(struct subscription *subscription, enum status status)
{
    struct trial *trial = CONTAINER_OF(subscription, struct trial, subscription);
    cr_assert_fail("%s; seed %llu", status_name(status), (unsigned long long)trial->seed);
}

static void trial_write(struct trial *trial)
{
    struct world_request *request = &trial->requests[dice(trial, WRITERS)];
    if (!request->done) {
        return;
    }
    char id[16];
    char json[1400];
    snprintf(id, sizeof(id), "r%u", (unsigned)dice(trial, RECORDS_MAX));
    int head = snprintf(json, sizeof(json), "{\"n\":%llu,\"t\":\"",
                        (unsigned long long)trial->next_value++);
    size_t size = (size_t)head + dice(trial, sizeof(json) - 64);
    memset(json + head, 'x', size - (size_t)head);
    memcpy(json + size, "\"}", 3);
    bool deletes = dice(trial, 4) == 0;
    uint32_t thread = (uint32_t)dice(trial, scene.world.options.thread_count);
    world_submit(&scene.world, thread, request, deletes ? REQUEST_DELETE : REQUEST_PUT,
                 world_pets(&scene.world), id, deletes ? NULL : json);
}

static void trial_step(struct trial *trial)
{
    scene_step(&scene);
    scene.world.hold_jobs = dice(trial, 3) != 0;
    scene.world.hold_journal = dice(trial, 4) == 0;
    if (scene.world.hold_jobs && scene.world.job_count > 0 && dice(trial, 3) == 0) {
        world_job_run(&scene.world, (uint32_t)dice(trial, scene.world.job_count));
    }
}

static void trial_reconnect(struct trial *trial)
{
    trial->options.from = SUBSCRIBE_TOKEN;
    trial->options.token = trial->token;
    subscription_close(&trial->subscription);
    trial->reconnects++;
    cr_assert_eq(stream_subscribe(scene.stream, &trial->options, &trial->subscription), STATUS_OK);
}

static void trial_settle(struct trial *trial)
{
    scene.world.hold_jobs = false;
    scene.world.hold_journal = false;
    trial->room = UINT32_MAX;
    subscription_resume(&trial->subscription);
    world_settle(&scene.world);
    scene_settle(&scene);
}

/* Now and then a store refuses for a while: then other shards are ahead of what is published. */
static void stores_refuse(const struct trial *trial)
{
    for (uint32_t i = 0; i < scene.world.options.shard_count; i++) {
        const struct store_memory_faults faults = {
            .seed = trial->seed + i, .stall = 20000, .stall_applies = 2, .would_block = 100000};
        store_memory_faults_set(scene.world.stores[i], &faults);
    }
}

static void trial_run(struct trial *trial, bool reconnects)
{
    for (uint32_t i = 0; i < WRITERS; i++) {
        trial->requests[i].done = true;
    }
    for (uint32_t i = 0; i < 4 * RECORDS_MAX; i++) {
        trial_write(trial);
        world_step(&scene.world);
    }
    trial->options = (struct subscription_options){.from = SUBSCRIBE_SNAPSHOT,
                                                   .view = CHANGE_VIEW_KEYS,
                                                   .collection = world_pets(&scene.world),
                                                   .deliver = trial_deliver,
                                                   .ended = trial_ended};
    cr_assert_eq(stream_subscribe(scene.stream, &trial->options, &trial->subscription), STATUS_OK);
    trial->room = UINT32_MAX;
    stores_refuse(trial);
    uint32_t after_synced = 500;
    for (int i = 0; i < 200000 && after_synced > 0; i++) {
        trial_write(trial);
        trial_step(trial);
        after_synced -= trial->is_synced;
        if (dice(trial, 50) == 0) {
            trial->room = dice(trial, 2) == 0 ? UINT32_MAX : (uint32_t)dice(trial, 200);
            subscription_resume(&trial->subscription);
        }
        if (reconnects && dice(trial, 150) == 0 && trial->token.position.epoch > 0) {
            trial_reconnect(trial);
        }
    }
    trial_settle(trial);
    cr_assert_eq(trial->synced_count, 1, "seed %llu", (unsigned long long)trial->seed);
    cr_assert_eq(trial->subscription.state, SUBSCRIPTION_LIVE);
    expect_fold(trial, UINT64_MAX);
}

static void trials(uint32_t thread_count, bool reconnects)
{
    struct trial *trial = malloc(sizeof(*trial));
    cr_assert_not_null(trial);
    uint32_t changes = 0;
    uint32_t times = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cr_log_info("seed %llu", (unsigned long long)seed);
        memset(trial, 0, sizeof(*trial));
        trial->seed = seed;
        trial->random = seed * 7919;
        const struct world_options options = {.thread_count = thread_count, .seed = seed};
        scene_begin(&scene, &options);
        trial_run(trial, reconnects);
        changes += trial->changes_before_synced;
        times += trial->reconnects;
        subscription_close(&trial->subscription);
        scene_end(&scene);
    }
    free(trial);
    cr_assert_gt(changes, 100, "changes came between the records");
    cr_assert_eq(times > 0, reconnects);
}

TestSuite(snapshot_and_writes, .timeout = 240);

Test(snapshot_and_writes, are_told_without_a_gap_or_a_duplicate)
{
    trials(1, false);
}

Test(snapshot_and_writes, of_several_threads_likewise)
{
    trials(3, false);
}

Test(snapshot_and_writes, go_on_after_a_reconnect_in_the_middle)
{
    trials(2, true);
}
