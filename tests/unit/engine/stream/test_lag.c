#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/stream/stream_internal.h"
#include "tests/unit/engine/stream/scene.h"

/* Behind the recent entries of the world's journal, which keeps half a mebibyte. */
#define OLD_COUNT 400u

static struct scene scene;
static struct listener a;
static struct listener b;

/* The journal as it is, but that it counts, and has lost what is asked for here. */
static struct journal_vtable real;
static struct journal_vtable counting;
static struct {
    uint64_t trimmed_through;
    enum status read_failure;
    uint64_t failing_sequence;
    int readers_created;
    int readers_open;
    int pins;
} journal_double;

static enum status double_reader_create(struct journal *journal, uint64_t from,
                                        struct journal_reader **out)
{
    *out = NULL;
    if (from <= journal_double.trimmed_through) {
        return STATUS_POSITION_EXPIRED;
    }
    journal_double.readers_created++;
    journal_double.readers_open++;
    return real.reader_create(journal, from, out);
}

static enum status double_reader_next(struct journal_reader *reader, struct entry *entry_out)
{
    enum status status = real.reader_next(reader, entry_out);
    if (status == STATUS_OK && entry_out->sequence == journal_double.failing_sequence) {
        return journal_double.read_failure;
    }
    return status;
}

static void double_reader_destroy(struct journal_reader *reader)
{
    journal_double.readers_open--;
    real.reader_destroy(reader);
}

static enum status double_pin(struct journal *journal, uint64_t sequence, struct journal_pin *pin)
{
    if (sequence <= journal_double.trimmed_through) {
        return STATUS_POSITION_EXPIRED;
    }
    journal_double.pins++;
    return real.pin(journal, sequence, pin);
}

static void double_unpin(struct journal *journal, struct journal_pin *pin)
{
    journal_double.pins--;
    real.unpin(journal, pin);
}

static void begin(void)
{
    scene_begin(&scene, NULL);
    real = *scene.world.journal->vtable;
    counting = real;
    counting.reader_create = double_reader_create;
    counting.reader_next = double_reader_next;
    counting.reader_destroy = double_reader_destroy;
    counting.pin = double_pin;
    counting.unpin = double_unpin;
    memset(&journal_double, 0, sizeof(journal_double));
    scene.world.journal->vtable = &counting;
}

static void end(void)
{
    subscription_close(&a.subscription);
    subscription_close(&b.subscription);
    scene_end(&scene);
    cr_assert_eq(journal_double.readers_open, 0);
    cr_assert_eq(journal_double.pins, 0);
}

TestSuite(lag, .init = begin, .fini = end);

#define SUBSCRIBE(listener, ...)                                                                   \
    listener_begin(&scene, (listener),                                                             \
                   (struct subscription_options){.view = CHANGE_VIEW_BOTH, __VA_ARGS__})

static void expect_all(const struct listener *listener, uint64_t first, uint64_t last)
{
    cr_assert_eq(listener->count, last + 1 - first, "%u", listener->count);
    for (uint32_t i = 0; i < listener->count; i++) {
        cr_assert_eq(listener->told[i].kind, DELIVERY_CHANGE);
        cr_assert_eq(listener->told[i].sequence, first + i);
        cr_assert_eq(listener->told[i].token.position.sequence, first + i);
    }
}

static struct token token_after(uint64_t sequence)
{
    struct position oldest;
    struct token token = {0};
    stream_positions(scene.stream, &oldest, &token.position);
    token.position.sequence = sequence;
    return token;
}

static uint64_t older_reads(void)
{
    return atomic_load(&stream_statistics(scene.stream)->older_reads);
}

Test(lag, reads_what_is_no_longer_recent_from_the_journal)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    expect_all(&a, 1, OLD_COUNT);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_LIVE);
    cr_assert_gt(older_reads(), 2);
    cr_assert_eq(journal_double.readers_created, 1, "who reads on does not seek again");
}

Test(lag, shares_what_was_read)
{
    static struct listener many[20];
    scene_put_large(&scene, "old", OLD_COUNT);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(SUBSCRIBE(&many[i], .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    }
    scene_settle(&scene);
    uint64_t reads = older_reads();
    for (int i = 0; i < 20; i++) {
        expect_all(&many[i], 1, OLD_COUNT);
        subscription_close(&many[i].subscription);
    }
    cr_assert_leq(reads, 2 * OLD_COUNT * 4096 / RECENT_BLOCK_BYTES);
}

Test(lag, gets_everybody_on_however_many_read_in_other_places)
{
    static struct listener many[100];
    scene_put_large(&scene, "old", OLD_COUNT);
    uint64_t first[100];
    for (uint64_t i = 0; i < 100; i++) {
        first[i] = i * 311 % OLD_COUNT + 1;
        struct token token = token_after(first[i] - 1);
        cr_assert_eq(SUBSCRIBE(&many[i], .from = SUBSCRIBE_TOKEN, .token = token), STATUS_OK);
        many[i].room = (uint32_t)i % 7 + 1;
    }
    /* Small rooms, so that all stay where they are for long, and want blocks again and again. */
    for (int round = 0; round < 2000; round++) {
        scene_step(&scene);
        for (uint32_t i = 0; i < 100; i++) {
            if (many[i].subscription.state == SUBSCRIPTION_STUCK && (round + (int)i) % 3 == 0) {
                many[i].room = i % 7 + 1;
                subscription_resume(&many[i].subscription);
            }
        }
    }
    scene_settle(&scene);
    for (uint32_t i = 0; i < 100; i++) {
        expect_all(&many[i], first[i], OLD_COUNT);
        subscription_close(&many[i].subscription);
    }
    uint32_t blocks = 0;
    for (size_t i = 0; i < STREAM_BLOCKS_MAX; i++) {
        blocks += scene.stream->blocks[i].block != NULL;
    }
    cr_assert_leq(blocks, STREAM_BLOCKS_MAX);
    cr_assert_leq(journal_double.readers_open, STREAM_READERS_MAX);
}

Test(lag, catches_up_when_a_live_one_loses_touch)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_LIVE);
    scene_put_large(&scene, "old", OLD_COUNT); /* the stream is not stepped meanwhile */
    scene_settle(&scene);
    expect_all(&a, 1, OLD_COUNT);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_LIVE);
}

Test(lag, does_not_hold_up_those_who_are_live)
{
    for (uint32_t i = 0; i < 3 * STREAM_STEP_ENTRIES; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%u}", i);
        scene_put(&scene, "rex", json);
    }
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_put(&scene, "tom", "{}");
    scene_step(&scene);
    cr_assert_eq(a.count, 1);
    cr_assert_leq(b.count, STREAM_STEP_ENTRIES);
    cr_assert_eq(scene.due_ns, 0, "there is more to do at once");
    scene_settle(&scene);
    expect_all(&b, 1, 3 * STREAM_STEP_ENTRIES + 1);
}

Test(lag, may_be_closed_while_it_is_being_read_for)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    scene.world.hold_jobs = true;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_READING);
    cr_assert_not(stream_idle(scene.stream));
    subscription_close(&a.subscription);
    scene.world.hold_jobs = false;
    scene_settle(&scene);
    cr_assert(stream_idle(scene.stream));
    cr_assert_eq(a.count, 0);
    cr_assert_eq(a.ended, 0, "it was closed");
}

Test(lag, may_be_closed_while_its_time_is_looked_for)
{
    scene_put_large(&scene, "old", 3);
    scene.world.hold_jobs = true;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TIME, .time_ms = 1), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_STARTING);
    subscription_close(&a.subscription);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_TIME, .time_ms = 1), STATUS_OK);
    scene.world.hold_jobs = false;
    scene_settle(&scene);
    expect_all(&b, 1, 3);
}

Test(lag, may_have_gone_on_when_what_was_read_for_it_comes)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    scene.world.hold_jobs = true;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token_after(60)), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_TOKEN, .token = token_after(50)), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(scene.world.job_count, 2);
    world_job_run(&scene.world, 1); /* for b; it has what a needs, too */
    scene_settle(&scene);
    cr_assert_gt(a.count, 0);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_READING);
    cr_assert_eq(scene.world.job_count, 1);
    world_job_run(&scene.world, 0); /* for a, who waits for something else by now */
    scene.world.hold_jobs = false;
    scene_settle(&scene);
    expect_all(&a, 61, OLD_COUNT);
    expect_all(&b, 51, OLD_COUNT);
}

Test(lag, ends_when_what_it_needs_is_damaged)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    journal_double.failing_sequence = 100;
    journal_double.read_failure = STATUS_DAMAGED;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_TOKEN, .token = token_after(100)), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(a.end_status, STATUS_DAMAGED);
    expect_all(&a, 1, 99);
    cr_assert_eq(b.ended, 0);
    expect_all(&b, 101, OLD_COUNT);
}

Test(lag, ends_when_there_is_no_memory_or_no_disk)
{
    static const enum status failures[][2] = {{STATUS_NO_MEMORY, STATUS_NO_MEMORY},
                                              {STATUS_IO_ERROR, STATUS_DAMAGED},
                                              {STATUS_NOT_FOUND, STATUS_DAMAGED}};
    scene_put_large(&scene, "old", OLD_COUNT);
    journal_double.failing_sequence = 1;
    for (int i = 0; i < 3; i++) {
        journal_double.read_failure = failures[i][0];
        cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
        scene_settle(&scene);
        cr_assert_eq(a.ended, 1);
        cr_assert_eq(a.end_status, failures[i][1]);
    }
}

/* ---- retention ---- */

Test(lag, expires_when_retention_passes_it_while_it_is_stuck)
{
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_LATEST), STATUS_OK);
    scene_settle(&scene);
    a.room = 1;
    scene_put_large(&scene, "new", 2);
    scene_settle(&scene);
    cr_assert_eq(a.subscription.state, SUBSCRIPTION_STUCK);
    scene_put_large(&scene, "old", OLD_COUNT);
    scene_settle(&scene);
    cr_assert_eq(journal_double.pins, 0, "it holds nothing back");
    journal_double.trimmed_through = 100;
    scene_settle(&scene);
    cr_assert_eq(a.ended, 0, "nobody asked");
    a.room = UINT32_MAX;
    subscription_resume(&a.subscription);
    scene_settle(&scene);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(a.end_status, STATUS_POSITION_EXPIRED);
    cr_assert_eq(a.count, 1);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->expired), 1);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->subscriptions), 0);
}

Test(lag, is_not_accepted_where_the_journal_was_trimmed)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    journal_double.trimmed_through = 100;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token_after(99)),
                 STATUS_POSITION_EXPIRED);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_TOKEN, .token = token_after(100)), STATUS_OK);
    scene_settle(&scene);
    expect_all(&a, 101, OLD_COUNT);
}

Test(lag, pins_what_was_accepted_until_its_first_answer)
{
    scene_put_large(&scene, "old", OLD_COUNT);
    scene.world.hold_jobs = true;
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    cr_assert_eq(journal_double.pins, 1);
    scene.world.hold_jobs = false;
    while (a.count == 0) {
        cr_assert_eq(journal_double.pins, 1);
        scene_step(&scene);
    }
    cr_assert_eq(journal_double.pins, 0);
    /* Also when nothing is for it: then because it lives. */
    subscription_close(&a.subscription);
    cr_assert_eq(
        SUBSCRIBE(&b, .from = SUBSCRIBE_EARLIEST, .collection = world_products(&scene.world)),
        STATUS_OK);
    cr_assert_eq(journal_double.pins, 1);
    scene_settle(&scene);
    cr_assert_eq(b.count, 0);
    cr_assert_eq(journal_double.pins, 0);
}

Test(lag, closed_at_once_pins_nothing)
{
    scene_put_large(&scene, "old", 3);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    cr_assert_eq(journal_double.pins, 1);
    subscription_close(&a.subscription);
    cr_assert_eq(journal_double.pins, 0);
}

Test(lag, follows_internal_entries_only_before_it_would_expire_on_them)
{
    struct collection *rules = world_internal(&scene.world, COLLECTION_RULES);
    scene_put_large(&scene, "one", 1);
    cr_assert_eq(SUBSCRIBE(&a, .from = SUBSCRIBE_EARLIEST), STATUS_OK);
    scene_settle(&scene);
    struct token token;
    for (int i = 0; i < STREAM_TRAIL_ENTRIES + 10; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"n\":%d}", i);
        scene_put_in(&scene, rules, "one", json);
        scene_step(&scene);
        subscription_token(&a.subscription, &token);
        if (i < STREAM_TRAIL_ENTRIES - 10) {
            cr_assert_eq(token.position.sequence, 1);
        }
    }
    scene_settle(&scene);
    subscription_token(&a.subscription, &token);
    cr_assert_eq(token.position.sequence, 1 + STREAM_TRAIL_ENTRIES + 10);
    cr_assert_eq(SUBSCRIBE(&b, .from = SUBSCRIBE_TOKEN, .token = token), STATUS_OK);
}

/* ---- many ---- */

/* No room at all. */
static bool stuck_deliver(struct subscription *subscription, const struct delivery *delivery)
{
    cr_assert_eq(delivery->subscription, subscription);
    return false;
}

static void stuck_ended(struct subscription *subscription, enum status status)
{
    cr_assert_fail("%s in state %d", status_name(status), (int)subscription->state);
}

Test(lag, ten_thousand_may_be_stuck)
{
    enum { COUNT = 10000 };
    struct subscription *subscriptions = calloc(COUNT, sizeof(*subscriptions));
    cr_assert_not_null(subscriptions);
    const struct subscription_options options = {
        .from = SUBSCRIBE_LATEST,
        .progress_ns = 5000000000ull,
        .deliver = stuck_deliver,
        .ended = stuck_ended,
    };
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(stream_subscribe(scene.stream, &options, &subscriptions[i]), STATUS_OK);
    }
    scene_settle(&scene);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->live), COUNT);
    scene_put_large(&scene, "one", 1);
    scene_settle(&scene);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->stuck), COUNT);
    uint64_t looked = atomic_load(&stream_statistics(scene.stream)->matched);
    scene_put_large(&scene, "two", 50);
    scene_settle(&scene);
    cr_assert_eq(atomic_load(&stream_statistics(scene.stream)->matched), looked);
    cr_assert_eq(scene.due_ns, UINT64_MAX);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(subscriptions[i].next_sequence, 1);
        subscription_close(&subscriptions[i]);
    }
    free(subscriptions);
}
