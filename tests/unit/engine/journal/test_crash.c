/*
 * Many short lives of a journal on a faulty disk, each ended by a crash at a random instant: in the
 * middle of writes, of a roll, of an upkeep job, or of recovery itself. After each, what is there
 * is compared with what was answered.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/journal/journal.h"
#include "protocol/base/assert.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_client.h"

#define SEGMENT_BYTES (64u * 1024)
#define BATCH_BYTES   (8u * 1024)
#define ENTRY_BYTES   (4u * 1024)
#define LIVES         16u
#define SEEDS         120u
#define SHARD_COUNT   4u
#define LATENCY_NS    100000u
#define FACTS_MAX     200000u
#define STEP_NS       20000u
#define SEQUENCES_MAX (1u << 16)

/* What each (epoch, sequence) was seen to hold, and what each sequence holds for certain. */
struct world {
    uint64_t seed;
    enum journal_durability durability;
    struct disk *disk;
    struct journal *journal;
    struct journal_client client;
    struct executor executor;
    struct store_job *jobs[4];
    uint32_t job_count;
    uint64_t now_ns;
    uint64_t acknowledged
        [SEQUENCES_MAX]; /* number + 1 of the entry answered at that sequence; 0: none */
    uint64_t acknowledged_last;
    uint64_t durable_last; /* the journal said that all up to it was on stable storage */
    struct {
        uint64_t epoch;
        uint64_t sequence;
        uint64_t number;
    } facts[FACTS_MAX];
    uint32_t fact_count;
    uint64_t answered; /* how many of the client's commits have been looked at */
    uint64_t trimmed_below;
};

static struct world *world_of(struct executor *executor)
{
    return CONTAINER_OF(executor, struct world, executor);
}

static void executor_take(struct executor *executor, struct store_job *job)
{
    struct world *world = world_of(executor);
    ASSERT(world->job_count < 4);
    world->jobs[world->job_count++] = job;
}

static void run_jobs(struct world *world)
{
    while (world->job_count > 0) {
        struct store_job *job = world->jobs[--world->job_count];
        job->run(job);
        mailbox_send(job->reply_to, &job->message);
    }
}

static struct journal_options options_of(struct world *world)
{
    return (struct journal_options){.durability = world->durability,
                                    .interval_ns = 1000000,
                                    .cached_writes = world->seed % 2 == 1,
                                    .window_bytes = 2 * DISK_WINDOW_ALIGNMENT,
                                    .segment_bytes = SEGMENT_BYTES,
                                    .retention_bytes = 4 * SEGMENT_BYTES,
                                    .retention_ms = UINT64_MAX,
                                    .batch_bytes_max = BATCH_BYTES,
                                    .entry_bytes_max = ENTRY_BYTES,
                                    .shard_count = SHARD_COUNT,
                                    .new_store_id = {{7}},
                                    .new_store_secret = 99,
                                    .disk = world->disk,
                                    .executor = &world->executor};
}

/* (epoch, sequence) never means two things. */
static void remember(struct world *world, uint64_t epoch, uint64_t sequence, uint64_t number)
{
    for (uint32_t i = world->fact_count; i > 0; i--) {
        if (world->facts[i - 1].sequence == sequence && world->facts[i - 1].epoch == epoch) {
            cr_assert_eq(world->facts[i - 1].number, number,
                         "seed %lu: (epoch %lu, sequence %lu) is given twice", world->seed, epoch,
                         sequence);
            return;
        }
    }
    ASSERT(world->fact_count < FACTS_MAX);
    world->facts[world->fact_count].epoch = epoch;
    world->facts[world->fact_count].sequence = sequence;
    world->facts[world->fact_count++].number = number;
}

static void look_at_answers(struct world *world)
{
    journal_client_receive(&world->client);
    for (; world->answered < world->client.next_reply; world->answered++) {
        const struct journal_client_commit *own = world->client.commits[world->answered];
        if (own->status == STATUS_OK) {
            uint64_t sequence = own->commit.sequence;
            ASSERT(sequence < SEQUENCES_MAX);
            world->acknowledged[sequence] = own->number + 1;
            world->acknowledged_last = sequence;
            remember(world, own->commit.epoch, sequence, own->number);
        }
    }
    world->durable_last = journal_durable(world->journal);
}

/* Reads all that is there: contiguous, in order, whole, and equal to what was answered for
 * certain. */
static void check_content(struct world *world)
{
    struct journal_statistics statistics;
    journal_statistics_read(world->journal, &statistics);
    uint64_t sequence = statistics.oldest_sequence;
    uint64_t time_ms = 0;
    uint64_t committed = journal_committed(world->journal);
    /* In sync mode all that was answered; in the others what was said to be durable. */
    uint64_t certain =
        world->durability == JOURNAL_SYNC ? world->acknowledged_last : world->durable_last;
    cr_assert_geq(committed, certain, "seed %lu: %lu of %lu are left", world->seed, committed,
                  certain);
    world->acknowledged_last = committed;
    if (committed == 0) {
        return;
    }
    struct journal_reader *reader;
    cr_assert_eq(journal_reader_create(world->journal, sequence, &reader), STATUS_OK);
    struct entry entry;
    enum status status;
    while ((status = journal_reader_next(world->journal, reader, &entry)) == STATUS_OK) {
        cr_assert_eq(entry.sequence, sequence, "seed %lu", world->seed);
        cr_assert_geq(entry.time_ms, time_ms);
        uint64_t number = journal_client_number(&entry);
        if (sequence <= certain) {
            cr_assert_eq(world->acknowledged[sequence], number + 1, "seed %lu", world->seed);
        }
        remember(world, entry.epoch, sequence, number);
        /* What an unanswered write left is there for good now. */
        world->acknowledged[sequence] = number + 1;
        time_ms = entry.time_ms;
        sequence++;
    }
    cr_assert_eq(status, STATUS_NOT_FOUND, "seed %lu: %s", world->seed, reader->problem.text);
    cr_assert_eq(sequence, committed + 1, "seed %lu", world->seed);
    journal_reader_destroy(world->journal, reader);
}

/* Opens; crashes in the middle of it now and then, and opens again. */
static void start(struct world *world)
{
    for (;;) {
        if (faulty_disk_random(world->disk, 4) == 0) {
            faulty_disk_die_after(world->disk, 1 + faulty_disk_random(world->disk, 12));
        }
        struct journal_options options = options_of(world);
        uint64_t persisted[SHARD_COUNT] = {0, world->durable_last, 0, 0};
        struct journal_problem problem;
        enum status status = journal_segments_open(&options, persisted, &world->journal, &problem);
        if (status == STATUS_OK && !faulty_disk_is_dead(world->disk)) {
            break;
        }
        cr_assert(faulty_disk_is_dead(world->disk), "seed %lu: %s", world->seed, problem.text);
        if (status == STATUS_OK) {
            journal_segments_abandon(world->journal);
        }
        faulty_disk_crash(world->disk);
    }
    world->client.journal = world->journal;
    check_content(world);
}

static void live(struct world *world)
{
    /* Many are short, so that the first moments after a start are seen often. */
    bool is_short = faulty_disk_random(world->disk, 3) == 0;
    uint64_t turns = 1 + faulty_disk_random(world->disk, is_short ? 12 : 300);
    if (faulty_disk_random(world->disk, 2) == 0) {
        faulty_disk_die_after(world->disk, 1 + faulty_disk_random(world->disk, 200));
    }
    for (uint64_t turn = 0; turn < turns; turn++) {
        uint64_t count = faulty_disk_random(world->disk, 4);
        for (uint64_t i = 0; i < count; i++) {
            world->client.shard = (uint32_t)faulty_disk_random(world->disk, SHARD_COUNT);
            journal_client_submit(&world->client, faulty_disk_random(world->disk, 3000));
        }
        if (!world->client.sync_pending && faulty_disk_random(world->disk, 50) == 0) {
            journal_client_sync(&world->client);
        }
        world->now_ns += faulty_disk_random(world->disk, STEP_NS);
        faulty_disk_step(world->disk, world->now_ns);
        journal_step(world->journal, world->now_ns, world->now_ns / 1000000);
        journal_retain(world->journal, world->durable_last);
        if (faulty_disk_random(world->disk, 3) == 0) {
            run_jobs(world);
        }
        look_at_answers(world);
    }
}

/* The power goes, or only the process: then the next start reads what no sync has covered. */
static void stop_by_crash(struct world *world)
{
    if (!faulty_disk_is_dead(world->disk) && faulty_disk_random(world->disk, 3) == 0) {
        faulty_disk_kill(world->disk);
    } else {
        faulty_disk_crash(world->disk);
    }
    world->job_count = 0;
    journal_segments_abandon(world->journal);
    journal_client_crash(&world->client);
    world->answered = world->client.next_reply;
}

static void stop_clean(struct world *world)
{
    while (!journal_idle(world->journal) && !faulty_disk_is_dead(world->disk)) {
        world->now_ns += LATENCY_NS;
        faulty_disk_step(world->disk, world->now_ns);
        run_jobs(world);
        journal_step(world->journal, world->now_ns, 0);
        look_at_answers(world);
    }
    if (faulty_disk_is_dead(world->disk)) {
        stop_by_crash(world);
        return;
    }
    uint64_t last = world->acknowledged_last;
    journal_close(world->journal);
    if (faulty_disk_is_dead(world->disk)) {
        faulty_disk_crash(world->disk);
        journal_client_crash(&world->client);
    } else {
        world->durable_last = last;
    }
}

static void live_and_die(uint64_t seed, enum journal_durability durability)
{
    struct world *world = calloc(1, sizeof(*world));
    cr_assert_not_null(world);
    world->seed = seed;
    world->durability = durability;
    world->executor.submit = executor_take;
    struct faulty_disk_options options = {.seed = seed,
                                          .write_alignment = seed % 3 == 0 ? 4096 : 512,
                                          .latency_ns_max = LATENCY_NS,
                                          .windows = seed % 4 == 1};
    world->disk = faulty_disk_create(&options);
    journal_client_init(&world->client, NULL);
    for (uint32_t life = 0; life < LIVES; life++) {
        start(world);
        live(world);
        if (!faulty_disk_is_dead(world->disk) && faulty_disk_random(world->disk, 4) == 0) {
            stop_clean(world);
        } else {
            stop_by_crash(world);
        }
    }
    start(world);
    stop_by_crash(world);
    journal_client_deinit(&world->client);
    world->disk->vtable->destroy(world->disk);
    free(world);
}

/* FRESHET_SEEDS=N runs the first N seeds, FRESHET_SEED=N only that one. */
static void run_seeds(enum journal_durability durability)
{
    const char *one = getenv("FRESHET_SEED");
    const char *count = getenv("FRESHET_SEEDS");
    uint64_t first = one == NULL ? 1 : strtoull(one, NULL, 10);
    uint64_t last = count == NULL ? SEEDS : strtoull(count, NULL, 10);
    last = one == NULL ? last : first;
    for (uint64_t seed = first; seed <= last; seed++) {
        live_and_die(seed, durability);
    }
}

Test(journal_crash, in_sync_mode_nothing_that_was_answered_is_lost, .timeout = 240)
{
    run_seeds(JOURNAL_SYNC);
}

Test(journal_crash, in_interval_mode_a_tail_is_lost_and_nothing_before_it, .timeout = 240)
{
    run_seeds(JOURNAL_INTERVAL);
}

Test(journal_crash, in_no_mode_is_what_a_sync_covered_lost, .timeout = 240)
{
    run_seeds(JOURNAL_NONE);
}
