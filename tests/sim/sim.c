#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/store_memory.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

#define WALL_MS_BEGIN 1767225600000ull /* 2026-01-01 */
/* More turns than anything takes that is not stuck. */
#define SETTLE_TURNS_MAX 100000
#define SETTLE_STEP_NS   1000000ull
#define START_TRIES_MAX  50

void sim_fail(const struct sim *sim, const char *format, ...)
{
    fflush(stdout);
    static const char *const durabilities[] = {"sync", "interval", "none"};
    static const char *const faults[] = {"no fault",   "failed write",  "failed sync", "full disk",
                                         "dying disk", "damaged reads", "failed flush"};
    static const char *const ends[] = {"power loss", "kill", "clean stop"};
    fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ", life %" PRIu64 " (%s, %s, after a %s): ",
            sim->seed, sim->step, sim->lives, durabilities[sim->setup.durability],
            faults[sim->fault], ends[sim->end]);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    fflush(stderr);
    exit(1);
}

uint64_t sim_random(struct sim *sim, uint64_t below)
{
    ASSERT(below > 0);
    return dice_roll(&sim->random) % below;
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
    return sim_random(sim, 100) < percent;
}

static uint64_t pick(struct sim *sim, const uint64_t *values, uint32_t count)
{
    return values[sim_random(sim, count)];
}

/* ---- parts ---- */

static void sim_wake(struct waker *waker)
{
    (void)waker; /* nobody sleeps */
}

static void executor_take(struct executor *executor, struct store_job *job)
{
    struct sim *sim = CONTAINER_OF(executor, struct sim, executor);
    ASSERT(sim->job_count < SIM_JOBS_MAX);
    uint64_t delay = sim_random(sim, sim->setup.job_delay_ns_max + 1);
    sim->jobs[sim->job_count++] = (struct sim_job){.job = job, .due_ns = sim->now_ns + delay};
}

/* A job runs at one time and is heard of at another. */
static void jobs_step(struct sim *sim)
{
    for (uint32_t count = sim->job_count; count > 0 && sim->job_count > 0; count--) {
        uint32_t index = (uint32_t)sim_random(sim, sim->job_count);
        struct sim_job *at = &sim->jobs[index];
        if (at->due_ns > sim->now_ns) {
            continue;
        }
        struct store_job *job = at->job;
        if (!at->ran) {
            at->ran = true;
            at->due_ns = sim->now_ns + sim_random(sim, sim->setup.job_delay_ns_max / 2 + 1);
            job->run(job);
        } else {
            *at = sim->jobs[--sim->job_count];
            mailbox_send(job->reply_to, &job->message);
        }
    }
}

static void collections_init(struct sim *sim)
{
    static const uint8_t empty_text[] = {0xa0};
    sim->collections[SIM_PETS] = (struct collection){
        .number = 0,
        .name = BYTES_LITERAL("pets"),
        .singular = BYTES_LITERAL("Pet"),
        .cached = sim_chance(sim, 90),
        .old_images = sim_chance(sim, 80),
    };
    sim->collections[SIM_PRODUCTS] = (struct collection){
        .number = 1,
        .name = BYTES_LITERAL("products"),
        .singular = BYTES_LITERAL("Product"),
        .cached = sim_chance(sim, 90),
        .old_images = sim_chance(sim, 40),
        .indexes = {BYTES_LITERAL("category")},
        .index_count = 1,
        .fields = {{BYTES_LITERAL("title"), FIELD_STRING, {empty_text, 1}}},
        .field_count = 1,
    };
    load_ttls(sim);
}

static void setup_draw(struct sim *sim)
{
    struct sim_setup *setup = &sim->setup;
    static const uint64_t caches[] = {0, 32u << 10, 48u << 10, 1u << 20, 1u << 20};
    static const uint64_t steps[] = {2000, 20000, 100000};
    static const uint64_t delays[] = {0, 20000, 300000, 3000000};
    static const uint64_t latencies[] = {0, 50000, 400000};
    static const uint64_t memtables[] = {2u << 10, 16u << 10, 1u << 20};
    static const uint64_t expiries[] = {20, 500, 86400000};
    static const uint32_t buffers[] = {0, 16, 1, 4};
    setup->thread_count = 1 + (uint32_t)sim_random(sim, SIM_THREADS_MAX);
    setup->durability = (enum journal_durability)sim_random(sim, 3);
    setup->cache_bytes = pick(sim, caches, 5);
    setup->step_ns_max = pick(sim, steps, 3);
    setup->job_delay_ns_max = pick(sim, delays, 4);
    setup->disk_latency_ns_max = pick(sim, latencies, 3);
    setup->memtable_bytes_max = pick(sim, memtables, 3);
    setup->journal_tail_max = sim_chance(sim, 50) ? 8u << 10 : 1u << 20;
    setup->segment_bytes = sim_chance(sim, 50) ? 24u << 10 : 64u << 10;
    setup->retention_bytes = setup->segment_bytes * (1 + sim_random(sim, 6));
    setup->disk_reserve_bytes = sim_chance(sim, 50) ? 2 * setup->segment_bytes : 0;
    setup->idempotency_ms = pick(sim, expiries, 3);
    setup->keys = 1 + (uint32_t)sim_random(sim, 8);
    setup->ops = 2 + (uint32_t)sim_random(sim, SIM_OPS_MAX - 2);
    setup->rate = 20 + (uint32_t)sim_random(sim, 80);
    setup->pad_max = sim_chance(sim, 50) ? 20 : DOC_PAD_MAX;
    setup->buffer_rows_max = buffers[sim->seed / 6 % 4];
    setup->extras = sim->seed % 6 == 5;
    setup->subscribers = sim->seed % 6 == 0;
}

/* Store faults of a life; none: a store that does as it is told, while something settles. */
static void stores_faults(struct sim *sim, bool none)
{
    sim->reads_fail = !none && sim->fault == FAULT_READS;
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        struct store_memory_faults faults = {.seed = dice_roll(&sim->random)};
        faults.read_damaged = sim->reads_fail ? 100000 : 0;
        faults.flush_failed = !none && sim->fault == FAULT_FLUSH ? 300000 : 0;
        if (!none) {
            static const uint64_t blocks[] = {0, 50000, 500000, STORE_MEMORY_ALWAYS};
            faults.would_block = (uint32_t)pick(sim, blocks, 4);
            faults.stall = sim_chance(sim, 30) ? 20000 : 0;
            faults.stall_applies = 1 + (uint32_t)sim_random(sim, 6);
            faults.flush_busy = sim_chance(sim, 30) ? 200000 : 0;
            faults.crash_keeps_closed = 300000;
        }
        store_memory_faults_set(sim->stores[i], &faults);
    }
}

/* ---- a turn ---- */

enum { ACTOR_JOURNAL, ACTOR_DISK, ACTOR_JOBS, ACTOR_LOAD, ACTOR_THREAD };

/* As the server does around the requests of a turn. */
static void writes_hold(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->setup.thread_count; i++) {
        engine_writes_hold(engine_thread_at(sim->engine, i));
    }
}

static void writes_release(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->setup.thread_count; i++) {
        engine_writes_release(engine_thread_at(sim->engine, i));
    }
}

static void actor_step(struct sim *sim, uint32_t actor, bool load)
{
    switch (actor) {
    case ACTOR_JOURNAL:
        engine_journal_step(sim->engine, sim->now_ns, sim->wall_ms);
        break;
    case ACTOR_DISK:
        faulty_disk_step(sim->faulty, sim->now_ns);
        sim_disk_step(sim->disk);
        break;
    case ACTOR_JOBS:
        jobs_step(sim);
        break;
    case ACTOR_LOAD:
        writes_hold(sim);
        while (load && sim_chance(sim, sim->setup.rate)) {
            load_submit(sim);
        }
        writes_release(sim);
        break;
    default:
        engine_thread_step(engine_thread_at(sim->engine, actor - ACTOR_THREAD), sim->now_ns,
                           sim->wall_ms);
        subscribe_thread_step(sim, actor - ACTOR_THREAD);
        break;
    }
}

/* Everybody gets a turn, or is late (but not by more than a moment), in any order. */
static void turn(struct sim *sim, uint64_t passed_ns, bool load)
{
    sim->step++;
    sim->now_ns += passed_ns;
    sim->wall_ms = WALL_MS_BEGIN + sim->now_ns / 1000000;
    uint32_t count = ACTOR_THREAD + sim->setup.thread_count;
    uint32_t order[ACTOR_THREAD + SIM_THREADS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)sim_random(sim, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    bool jump = passed_ns > SETTLE_STEP_NS;
    for (uint32_t i = 0; i < count; i++) {
        if (jump || sim_chance(sim, 80)) {
            actor_step(sim, order[i], load);
        }
    }
    if (!sim->nobody_listens && !faulty_disk_is_dead(sim->faulty)) {
        model_follow(sim);
        if (sim->step % 8 == 0 && !sim->reads_fail) {
            check_published(sim);
        }
        follow_step(sim);
        if (load && sim->setup.extras) {
            slice_step(sim);
        }
        if (load) {
            subscribe_step(sim);
        }
    }
}

void sim_turn(struct sim *sim, uint64_t passed_ns)
{
    turn(sim, passed_ns, false);
}

static bool is_quiet(const struct sim *sim)
{
    bool quiet = sim->op_count == 0 && sim->job_count == 0 && journal_idle(sim->journal) &&
                 subscribe_is_idle(sim);
    for (uint32_t i = 0; i < sim->setup.thread_count && quiet; i++) {
        struct engine_thread *thread = engine_thread_at(sim->engine, i);
        quiet = engine_thread_pending(thread) == 0 && atomic_load(&thread->mailbox.newest) == NULL;
    }
    return quiet;
}

/* ---- faults ---- */

static void disk_fill(struct sim *sim)
{
    uint64_t left = 0;
    faulty_disk_capacity(sim->faulty, UINT64_MAX / 2);
    if (sim->faulty->vtable->free_bytes(sim->faulty, &left) == STATUS_OK) {
        uint64_t used = UINT64_MAX / 2 - left;
        faulty_disk_capacity(sim->faulty, 1 + used + sim_random(sim, 3 * sim->setup.segment_bytes));
        sim->disk_is_full = true;
    }
}

static void disk_empty(struct sim *sim)
{
    faulty_disk_capacity(sim->faulty, 0);
    sim->disk_is_full = false;
}

static void fault_begin(struct sim *sim)
{
    switch (sim->fault) {
    case FAULT_WRITE:
        faulty_disk_fail_write(sim->faulty, 1 + sim_random(sim, 20));
        break;
    case FAULT_SYNC:
        faulty_disk_fail_sync(sim->faulty, 1 + sim_random(sim, 8));
        break;
    case FAULT_FULL:
        disk_fill(sim);
        break;
    case FAULT_DIE:
        faulty_disk_die_after(sim->faulty, 1 + sim_random(sim, 60));
        break;
    case FAULT_READS:
    case FAULT_FLUSH:
        stores_faults(sim, false);
        break;
    case FAULT_NONE:
    case FAULT_COUNT:
        break;
    }
}

/* It takes a restart, as after a failed sync of the journal. */
static bool a_store_failed(const struct sim *sim)
{
    bool failed = false;
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        struct store_statistics statistics;
        store_statistics_read(sim->stores[i], &statistics);
        failed = failed || statistics.failure != STATUS_OK;
    }
    return failed;
}

/* ---- the end of a life ---- */

/* Runs what is left of a process whose disk is gone, until it may be freed. */
static void ghost_settle(struct sim *sim)
{
    sim->nobody_listens = true;
    sim->reads_fail = false;
    for (int i = 0; !is_quiet(sim); i++) {
        if (i == SETTLE_TURNS_MAX) {
            sim_fail(sim, "after the disk was gone, %u requests hang", sim->op_count);
        }
        turn(sim, SETTLE_STEP_NS, false);
    }
    sim->nobody_listens = false;
}

static void stores_crash(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        store_memory_crash(sim->stores[i]);
    }
}

/* Nothing the ghost flushes may reach a file. */
static void stores_block_flushes(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        const struct store_memory_faults faults = {.seed = 1, .flush_busy = STORE_MEMORY_ALWAYS};
        store_memory_faults_set(sim->stores[i], &faults);
    }
}

static void tap_close(struct sim *sim)
{
    if (sim->tap != NULL) {
        journal_reader_destroy(sim->journal, sim->tap);
        sim->tap = NULL;
    }
}

static void disk_end(struct sim *sim, enum sim_end end)
{
    if (end == END_KILL) {
        faulty_disk_kill(sim->faulty);
    } else {
        faulty_disk_crash(sim->faulty);
    }
}

static void life_crash(struct sim *sim, enum sim_end end)
{
    model_follow(sim);
    follow_end(sim);
    slice_end(sim);
    subscribe_end(sim);
    sim->end = end;
    sim->epoch_before = sim->journal->epoch;
    sim->durable_at_end = journal_durable(sim->journal);
    sim->must_survive = end == END_KILL ? journal_committed(sim->journal) : sim->durable_at_end;
    sim_disk_cut(sim->disk);
    disk_end(sim, end);
    stores_crash(sim);
    stores_block_flushes(sim);
    ghost_settle(sim);
    subscribe_destroy(sim);
    engine_destroy(&sim->engine);
    tap_close(sim);
    journal_segments_abandon(sim->journal);
    sim->journal = NULL;
    sim_disk_destroy(sim->disk);
    stores_crash(sim);
}

/* Every request is answered and everything is flushed, in a bounded time. False: the disk or the
 * journal failed on the way. */
static bool life_drain(struct sim *sim)
{
    disk_empty(sim);
    stores_faults(sim, true);
    bool draining = false;
    if (a_store_failed(sim)) {
        return false;
    }
    for (int i = 0; !draining || !is_quiet(sim) || !engine_drained(sim->engine); i++) {
        if (faulty_disk_is_dead(sim->faulty) ||
            (is_quiet(sim) && atomic_load(&sim->journal->read_only))) {
            return false;
        }
        if (i == SETTLE_TURNS_MAX) {
            sim_fail(sim, "%u requests hang, or draining never ends", sim->op_count);
        }
        turn(sim, SETTLE_STEP_NS, false);
        if (!draining && sim->op_count == 0) {
            draining = true;
            engine_drain(sim->engine);
        }
    }
    /* What ended unknown may be there at the next start. */
    return !atomic_load(&sim->journal->read_only);
}

static void life_clean(struct sim *sim)
{
    if (!life_drain(sim)) {
        life_crash(sim, faulty_disk_is_dead(sim->faulty) || sim_chance(sim, 50) ? END_POWER_LOSS
                                                                                : END_KILL);
        return;
    }
    check_stores(sim);
    if (!faulty_disk_is_dead(sim->faulty)) {
        follow_settled(sim);
        subscribe_settled(sim);
    }
    follow_end(sim);
    slice_end(sim);
    subscribe_end(sim);
    while (!is_quiet(sim)) {
        turn(sim, SETTLE_STEP_NS, false);
    }
    subscribe_destroy(sim);
    sim->end = END_CLEAN;
    sim->epoch_before = sim->journal->epoch;
    sim->must_survive = journal_committed(sim->journal);
    sim->durable_at_end = sim->must_survive;
    engine_destroy(&sim->engine);
    tap_close(sim);
    journal_close(sim->journal);
    sim->journal = NULL;
    /* All was durable before it was closed, even if the disk died just then. */
    if (faulty_disk_is_dead(sim->faulty) || sim_chance(sim, 30)) {
        faulty_disk_crash(sim->faulty);
    }
    sim_disk_destroy(sim->disk);
    stores_crash(sim);
}

/* ---- the start of a life ---- */

static enum status journal_start(struct sim *sim, struct journal_problem *problem)
{
    uint64_t persisted[SIM_SHARDS];
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        persisted[i] = check_store_applied(sim, i);
    }
    const struct journal_options options = {
        .durability = sim->setup.durability,
        .interval_ns = 1000000,
        .cached_writes = sim->setup.extras || sim->setup.subscribers,
        .segment_bytes = sim->setup.segment_bytes,
        .retention_bytes = sim->setup.retention_bytes,
        .retention_ms = UINT64_MAX,
        .disk_reserve_bytes = sim->setup.disk_reserve_bytes,
        .batch_bytes_max = 8u << 10,
        .entry_bytes_max = 4u << 10,
        .shard_count = SIM_SHARDS,
        .new_store_id = {{7}},
        .new_store_secret = 99,
        .disk = sim_disk_base(sim->disk),
        .executor = &sim->executor,
        .waker = &sim->waker,
    };
    return journal_segments_open(&options, persisted, &sim->journal, problem);
}

static void engine_start(struct sim *sim)
{
    const struct engine_options options = {
        .collections = sim->collections,
        .collection_count = SIM_COLLECTIONS,
        .shard_count = SIM_SHARDS,
        .thread_count = sim->setup.thread_count,
        .shard_of_slot = sim->shard_of_slot,
        .stores = sim->stores,
        .journal = sim->journal,
        .executor = &sim->executor,
        .cache_bytes = sim->setup.cache_bytes,
        .journal_tail_max = sim->setup.journal_tail_max,
        .memtable_bytes_max = sim->setup.memtable_bytes_max,
        .buffer_rows_max = sim->setup.buffer_rows_max,
        .queued_bytes_max = 64u << 10,
        .idempotency_ms = sim->setup.idempotency_ms,
        .journal_durable_on_commit = sim->setup.durability == JOURNAL_SYNC,
        .seed = dice_roll(&sim->random),
    };
    enum status status = engine_create(&options, &sim->engine);
    ASSERT(status == STATUS_OK);
    for (uint32_t i = 0; i < options.thread_count; i++) {
        engine_thread_attach(engine_thread_at(sim->engine, i), &sim->waker);
    }
}

/* The machine, or the process, goes before anyone was served. */
static void start_again(struct sim *sim)
{
    engine_destroy(&sim->engine);
    tap_close(sim);
    if (sim->journal != NULL) {
        sim->epoch_before = sim->journal->epoch;
        sim->must_survive = journal_committed(sim->journal);
        sim->durable_at_end = sim->must_survive;
        sim->end = END_POWER_LOSS;
    } else if (sim->end == END_KILL) {
        /* What the kill left in the system's memory is gone with the power. */
        sim->end = END_POWER_LOSS;
        sim->must_survive = sim->durable_at_end;
    }
    sim_disk_cut(sim->disk);
    faulty_disk_crash(sim->faulty);
    if (sim->journal != NULL) {
        journal_segments_abandon(sim->journal);
        sim->journal = NULL;
    }
    sim_disk_destroy(sim->disk);
    stores_crash(sim);
}

/* False: the disk died on the way. */
static bool start_once(struct sim *sim)
{
    sim->disk = sim_disk_create(sim->faulty);
    struct journal_problem problem;
    enum status status = journal_start(sim, &problem);
    if (status == STATUS_DISK_FULL && sim->disk_is_full) {
        disk_empty(sim);
        status = journal_start(sim, &problem);
    }
    if (faulty_disk_is_dead(sim->faulty)) {
        return false;
    }
    if (status != STATUS_OK) {
        sim_fail(sim, "the journal does not open: %s, %s at %" PRIu64 ": %s", status_name(status),
                 problem.file, problem.offset, problem.text);
    }
    check_journal(sim);
    engine_start(sim);
    uint64_t entries = 0;
    struct detail detail;
    status = engine_replay(sim->engine, &entries, &detail);
    if (faulty_disk_is_dead(sim->faulty)) {
        return false;
    }
    if (status != STATUS_OK) {
        sim_fail(sim, "the replay fails: %s, %s", status_name(status), detail.text);
    }
    if (sim->end == END_CLEAN && entries > 0) {
        sim_fail(sim, "after a clean stop %" PRIu64 " entries are replayed", entries);
    }
    return true;
}

static void life_start(struct sim *sim)
{
    if (sim->verbose) {
        static const char *const ends[] = {"power loss", "kill", "clean stop"};
        fprintf(stderr,
                "life %" PRIu64 " at step %" PRIu64 " after a %s: mode %d, epoch %" PRIu64
                ", %" PRIu64 " entries, %" PRIu64 " must survive, fault %d\n",
                sim->lives + 1, sim->step, ends[sim->end], (int)sim->setup.durability,
                sim->epoch_before, sim->model.count, sim->must_survive, (int)sim->fault);
    }
    sim->lives++;
    sim->fault = FAULT_NONE;
    sim->job_count = 0;
    sim->ttl_ns_max = 0;
    load_ttls(sim);
    if (sim_chance(sim, 50)) {
        sim->setup.durability = (enum journal_durability)sim_random(sim, 3);
    }
    sim->setup.thread_count = 1 + (uint32_t)sim_random(sim, SIM_THREADS_MAX);
    for (int tries = 0;; tries++) {
        stores_faults(sim, false);
        if (tries < START_TRIES_MAX && sim_chance(sim, 25)) {
            faulty_disk_die_after(sim->faulty, 1 + sim_random(sim, 30));
        }
        if (start_once(sim)) {
            break;
        }
        start_again(sim);
    }
    check_stores(sim);
    follow_start(sim);
    subscribe_start(sim);
    sim->fault = (enum sim_fault)sim_random(sim, FAULT_COUNT);
}

/* ---- a run ---- */

static void live(struct sim *sim, uint64_t steps)
{
    uint64_t fault_at = sim_random(sim, steps);
    uint64_t fault_ends = fault_at + sim_random(sim, steps);
    for (uint64_t i = 0; i < steps && !faulty_disk_is_dead(sim->faulty); i++) {
        if (i == fault_at) {
            fault_begin(sim);
        }
        if (i == fault_ends && sim->disk_is_full) {
            disk_empty(sim);
        }
        if (sim_random(sim, 500) == 0) {
            load_ttls(sim);
        }
        uint64_t passed = sim_random(sim, sim->setup.step_ns_max + 1);
        passed += sim_random(sim, 1000) == 0 ? 30000000 : 0;
        turn(sim, passed, true);
    }
}

static void life_end(struct sim *sim, bool last)
{
    if (faulty_disk_is_dead(sim->faulty)) {
        life_crash(sim, END_POWER_LOSS);
        return;
    }
    uint64_t which = sim_random(sim, 100);
    if (last || which < 25) {
        life_clean(sim);
    } else {
        life_crash(sim, which < 60 ? END_KILL : END_POWER_LOSS);
    }
}

static void world_create(struct sim *sim)
{
    setup_draw(sim);
    collections_init(sim);
    sim->executor.submit = executor_take;
    sim->waker.wake = sim_wake;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        sim->shard_of_slot[i] = (uint8_t)(i * SIM_SHARDS / SLOT_COUNT);
    }
    const struct faulty_disk_options options = {
        .seed = dice_roll(&sim->random),
        .write_alignment = sim_chance(sim, 30) ? 4096 : 512,
        .latency_ns_max = sim->setup.disk_latency_ns_max,
    };
    sim->faulty = faulty_disk_create(&options);
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        enum status status = store_memory_open(&sim->stores[i]);
        ASSERT(status == STATUS_OK);
    }
}

static void world_destroy(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_SHARDS; i++) {
        store_destroy(&sim->stores[i]);
    }
    sim->faulty->vtable->destroy(sim->faulty);
    model_deinit(&sim->model);
}

void sim_run(struct sim *sim, uint64_t seed, uint32_t steps)
{
    bool verbose = sim->verbose;
    memset(sim, 0, sizeof(*sim));
    sim->verbose = verbose;
    sim->seed = seed;
    /* Neighbouring seeds begin far apart in the generator's one cycle. */
    sim->random = seed;
    sim->random = dice_roll(&sim->random);
    sim->wall_ms = WALL_MS_BEGIN;
    sim->end = END_CLEAN;
    world_create(sim);
    follow_init(sim);
    subscribe_init(sim);
    uint64_t lives = 2 + sim_random(sim, 6);
    for (uint64_t life = 0; life < lives; life++) {
        life_start(sim);
        live(sim, 1 + steps / lives);
        life_end(sim, life + 1 == lives);
    }
    subscribe_deinit(sim);
    world_destroy(sim);
}
