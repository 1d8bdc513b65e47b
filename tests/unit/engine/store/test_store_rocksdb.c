/* What only the store on RocksDB has: files, other processes, stalls, errors of the disk. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/store/row.h"
#include "engine/store/store_rocksdb_internal.h"
#include "store_fixture.h"

#define TEXT_BYTES 1024
#define POLLS_MAX  5000 /* of a millisecond: a limit for what must come, not a delay */

static struct fixture fixture;

static void open_rocksdb(void)
{
    fixture_open(&fixture, IN_ROCKSDB);
}

static void close_rocksdb(void)
{
    fixture_close(&fixture);
}

TestSuite(store_files, .init = open_rocksdb, .fini = close_rocksdb, .timeout = 120);

static void close_store(void)
{
    fixture.store->vtable->batch_destroy(fixture.batch);
    store_destroy(&fixture.store);
}

static enum status try_open(char text_out[TEXT_BYTES])
{
    enum status status = store_rocksdb_open(&fixture.options, &fixture.store, text_out, TEXT_BYTES);
    if (status == STATUS_OK) {
        fixture.batch = store_batch_create(fixture.store);
    }
    return status;
}

static void reopen(void)
{
    char text[TEXT_BYTES];
    cr_assert_eq(try_open(text), STATUS_OK, "%s", text);
}

static void poll_once(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* pause between tries */
}

/* Values that do not compress, so that they have blocks of their own. */
static void fill(unsigned from, unsigned to)
{
    char key[16];
    char value[400];
    uint64_t seed = from;
    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof(key), "k%06u", i);
        for (size_t at = 0; at + 1 < sizeof(value); at++) {
            value[at] = (char)('a' + (int)dice(&seed, 26));
        }
        value[sizeof(value) - 1] = '\0';
        put(&fixture, key, value);
    }
}

static enum status get(const char *key, bool may_block)
{
    struct store_value value;
    enum status status = store_get(fixture.store, bytes_of_text(key), may_block, &value);
    if (status == STATUS_OK) {
        store_value_release(fixture.store, &value);
    }
    return status;
}

/* ---- memory and files ---- */

Test(store_files, what_is_not_in_memory_would_block_until_it_was_read)
{
    fill(0, 100);
    flush(&fixture);
    close_store();
    reopen();
    cr_assert_eq(get("k000050", false), STATUS_WOULD_BLOCK);
    cr_assert_eq(get("absent", false), STATUS_NOT_FOUND,
                 "the filter of a new file stays in memory");
    cr_assert_eq(get("k000050", true), STATUS_OK);
    cr_assert_eq(get("k000050", false), STATUS_OK);
}

static uint64_t compaction_wait(void)
{
    struct store_statistics statistics = {0};
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        store_statistics_read(fixture.store, &statistics);
        if (statistics.level0_files < 2 && statistics.pending_compaction_bytes == 0) {
            break;
        }
        poll_once();
    }
    return statistics.level0_files;
}

static void reopen_tight(void)
{
    close_store();
    fixture.options.tight = true;
    reopen();
}

Test(store_files, creating_an_iterator_reads_no_file)
{
    reopen_tight();
    fill(0, 300);
    flush(&fixture);
    fill(100, 400);
    flush(&fixture);
    cr_assert_eq(compaction_wait(), 0);
    fill(200, 500);
    flush(&fixture);
    close_store();
    reopen();
    rocksdb_set_perf_level(rocksdb_enable_count);
    rocksdb_perfcontext_t *context = rocksdb_perfcontext_create();
    rocksdb_perfcontext_reset(context);
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_eq(rocksdb_perfcontext_metric(context, rocksdb_block_read_count), 0);
    cr_assert_eq(rocksdb_perfcontext_metric(context, rocksdb_block_cache_hit_count), 0,
                 "what it needs is pinned: the cache could have dropped it");
    fixture.store->vtable->iterator_seek(iterator, BYTES_EMPTY);
    cr_assert(fixture.store->vtable->iterator_valid(iterator));
    cr_assert_gt(rocksdb_perfcontext_metric(context, rocksdb_block_read_count), 0);
    fixture.store->vtable->iterator_destroy(iterator);
    rocksdb_perfcontext_destroy(context);
}

Test(store_files, shards_share_one_block_cache)
{
    struct store_block_cache *cache = store_block_cache_create(8u << 20);
    cr_assert_not_null(cache);
    struct store *stores[2];
    char paths[2][64];
    char text[TEXT_BYTES];
    for (unsigned i = 0; i < 2; i++) {
        folder_create(paths[i], sizeof(paths[i]));
        const struct store_options options = {.path = paths[i], .block_cache = cache};
        cr_assert_eq(store_rocksdb_open(&options, &stores[i], text, sizeof(text)), STATUS_OK);
    }
    struct store_statistics statistics[2];
    for (unsigned i = 0; i < 2; i++) {
        store_statistics_read(stores[i], &statistics[i]);
    }
    cr_assert_eq(statistics[0].block_cache_bytes, statistics[1].block_cache_bytes);
    for (unsigned i = 0; i < 2; i++) {
        store_destroy(&stores[i]);
        folder_remove(paths[i]);
    }
    store_block_cache_destroy(&cache);
    cr_assert_null(cache);
}

/* ---- opening ---- */

Test(store_files, a_folder_in_use_is_locked)
{
    struct store *second = fixture.store;
    char text[TEXT_BYTES];
    cr_assert_eq(store_rocksdb_open(&fixture.options, &second, text, sizeof(text)), STATUS_LOCKED);
    cr_assert_null(second);
    cr_assert_not_null(strstr(text, "another process"), "%s", text);
}

static int child_status(pid_t child)
{
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(store_files, a_folder_in_use_by_another_process_is_locked)
{
    pid_t child = fork();
    if (child == 0) {
        struct store *second;
        char text[TEXT_BYTES];
        _exit((int)store_rocksdb_open(&fixture.options, &second, text, sizeof(text)));
    }
    int status = child_status(child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), STATUS_LOCKED);
}

Test(store_files, a_folder_that_cannot_be_made_says_why)
{
    close_store();
    const char *path = fixture.options.path;
    fixture.options.path = "/dev/null/store";
    char text[TEXT_BYTES];
    cr_assert_eq(try_open(text), STATUS_IO_ERROR);
    cr_assert_null(fixture.store);
    cr_assert_not_null(strstr(text, "/dev/null/store"), "%s", text);
    fixture.options.path = path;
    reopen();
}

/* ---- damage ---- */

/* The only file that matches; the path is written to path_out. */
static void file_find(const char *pattern, char path_out[TEXT_BYTES])
{
    char whole[TEXT_BYTES];
    snprintf(whole, sizeof(whole), "%s/%s", fixture.path, pattern);
    glob_t found;
    cr_assert_eq(glob(whole, 0, NULL, &found), 0, "%s", whole);
    cr_assert_eq(found.gl_pathc, 1);
    snprintf(path_out, TEXT_BYTES, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void file_flip(const char *path, off_t offset)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(file, 0);
    uint8_t byte;
    cr_assert_eq(pread(file, &byte, 1, offset), 1);
    byte ^= 0x10;
    cr_assert_eq(pwrite(file, &byte, 1, offset), 1);
    cr_assert_eq(close(file), 0);
}

Test(store_files, a_flipped_bit_is_damage_and_never_a_value)
{
    const struct store_vtable *store = fixture.store->vtable;
    char path[TEXT_BYTES];
    char text[TEXT_BYTES];
    fill(0, 100);
    flush(&fixture);
    close_store();
    file_find("*.sst", path);
    file_flip(path, 1000);
    reopen();
    cr_assert_eq(get("k000001", true), STATUS_DAMAGED);
    cr_assert_eq(get("k000099", true), STATUS_OK, "other blocks are sound");
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    store->iterator_seek(iterator, BYTES_EMPTY);
    cr_assert_not(store->iterator_valid(iterator));
    cr_assert_eq(store->iterator_status(iterator), STATUS_DAMAGED);
    store->iterator_destroy(iterator);
    cr_assert_eq(store_verify(fixture.store, text, sizeof(text)), STATUS_DAMAGED);
    cr_assert_not_null(strstr(text, ".sst"), "%s", text);
    cr_assert_not_null(strstr(text, "offset"), "%s", text);
}

Test(store_files, a_missing_file_is_damage_when_the_store_opens)
{
    const char *patterns[] = {"*.sst", "CURRENT"};
    for (unsigned i = 0; i < 2; i++) {
        char path[TEXT_BYTES];
        char away[TEXT_BYTES + 8];
        char text[TEXT_BYTES];
        if (i == 0) {
            fill(0, 10);
            flush(&fixture);
        }
        close_store();
        file_find(patterns[i], path);
        snprintf(away, sizeof(away), "%s.away", path);
        cr_assert_eq(rename(path, away), 0);
        cr_assert_eq(try_open(text), STATUS_DAMAGED, "%s", patterns[i]);
        cr_assert_not_null(strstr(text, "backup"), "%s", text);
        cr_assert_eq(try_open(text), STATUS_DAMAGED, "the first attempt made no new store");
        cr_assert_eq(rename(away, path), 0);
        reopen();
        cr_assert_eq(get("k000001", true), STATUS_OK, "nothing was lost by the attempt");
    }
}

Test(store_files, a_manifest_that_is_cut_short_is_damage_or_an_older_state)
{
    char path[TEXT_BYTES];
    char text[TEXT_BYTES];
    fill(0, 10);
    flush(&fixture);
    close_store();
    file_find("MANIFEST-*", path);
    file_flip(path, 20);
    cr_assert_eq(try_open(text), STATUS_DAMAGED, "%s", text);
    file_flip(path, 20);
    reopen();
}

/* ---- stalls ---- */

/* Whether it was OK; anything but OK and BUSY is a failure. */
static bool is_accepted(enum status status)
{
    cr_assert(status == STATUS_OK || status == STATUS_BUSY, "%s", status_name(status));
    return status == STATUS_OK;
}

Test(store_files, a_stall_refuses_writes_and_ends)
{
    reopen_tight();
    bool apply_was_refused = false;
    bool flush_was_refused = false;
    bool was_stalled = false;
    unsigned applied = 0;
    /* Each second file begins a compaction, and a stall until its end: some rounds fall into it. */
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        struct store_statistics statistics;
        fixture.store->vtable->batch_clear(fixture.batch);
        fixture.store->vtable->batch_put(fixture.batch, BYTES_LITERAL("a"), BYTES_LITERAL("1"));
        bool is_applied = is_accepted(store_apply(fixture.store, fixture.batch));
        bool is_closed = is_accepted(store_flush_begin(fixture.store));
        store_statistics_read(fixture.store, &statistics);
        cr_assert_eq(statistics.failure, STATUS_OK);
        cr_assert_eq(store_flush_wait(fixture.store), STATUS_OK);
        applied += is_applied;
        apply_was_refused = apply_was_refused || !is_applied;
        flush_was_refused = flush_was_refused || !is_closed;
        was_stalled = was_stalled || statistics.stalled;
        if (apply_was_refused && flush_was_refused && was_stalled) {
            break;
        }
    }
    cr_assert(apply_was_refused);
    cr_assert(flush_was_refused);
    cr_assert(was_stalled);
    cr_assert_gt(applied, 0);
    compaction_wait();
    put(&fixture, "b", "after the stall");
    flush(&fixture);
    expect_persisted(&fixture, "b", "after the stall");
}

/* ---- errors of the disk ---- */

static void file_size_limit(rlim_t bytes)
{
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}

Test(store_files, after_a_failed_flush_nothing_is_persisted_until_a_restart)
{
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    put(&fixture, "a", "1");
    flush(&fixture);
    fill(0, 2000);
    put(&fixture, "a", "2");
    file_size_limit(100000);
    cr_assert_eq(store_flush_begin(fixture.store), STATUS_OK);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_IO_ERROR);
    file_size_limit(RLIM_INFINITY);
    cr_assert_eq(store_flush_begin(fixture.store), STATUS_IO_ERROR);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_IO_ERROR);
    fixture.store->vtable->batch_clear(fixture.batch);
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_IO_ERROR);
    struct store_statistics statistics;
    store_statistics_read(fixture.store, &statistics);
    cr_assert(statistics.stalled);
    cr_assert_eq(statistics.failure, STATUS_IO_ERROR);
    cr_assert_not_null(statistics.failure_text);
    expect(&fixture, "a", "2");
    expect_persisted(&fixture, "a", "1");
    fixture_crash(&fixture);
    expect(&fixture, "a", "1");
    put(&fixture, "a", "3");
    flush(&fixture);
    expect_persisted(&fixture, "a", "3");
}

Test(store_files, errors_of_rocksdb_become_ours)
{
    const struct {
        const char *text;
        enum status status;
    } cases[] = {
        {"Corruption: block checksum mismatch: stored = 1, computed = 2, in /d/000009.sst offset 0",
         STATUS_DAMAGED},
        {"IO error: No space left on device: While appending to file: /d/000012.sst: No space left "
         "on device",
         STATUS_DISK_FULL},
        {"IO error: While appending to file: /d/000012.sst: Disk quota exceeded", STATUS_DISK_FULL},
        {"IO error: While lock file: /d/LOCK: Resource temporarily unavailable", STATUS_LOCKED},
        {"IO error: lock hold by current process, acquire time 1 acquiring thread 2: /d/LOCK: No "
         "locks available",
         STATUS_LOCKED},
        {"IO error: While pread offset 0 len 4: /d/000012.sst: Input/output error",
         STATUS_IO_ERROR},
        {"Result incomplete: Write stall", STATUS_BUSY},
        {"Operation failed. Try again.: Writes have been stopped", STATUS_BUSY},
        {"Resource busy: x", STATUS_BUSY},
        {"Operation timed out: x", STATUS_TIMEOUT},
        {"Shutdown in progress: ", STATUS_CLOSED},
        {"Not implemented: x", STATUS_UNSUPPORTED},
        {"Invalid argument: x", STATUS_IO_ERROR},
        {"", STATUS_IO_ERROR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(store_rocksdb_status(cases[i].text, STATUS_BUSY), cases[i].status, "%s",
                     cases[i].text);
    }
    cr_assert_eq(store_rocksdb_status("Result incomplete: ", STATUS_WOULD_BLOCK),
                 STATUS_WOULD_BLOCK);
}

/* ---- levels ---- */

static void largest_file(char path_out[TEXT_BYTES])
{
    char pattern[TEXT_BYTES];
    snprintf(pattern, sizeof(pattern), "%s/*.sst", fixture.path);
    glob_t found;
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "%s", pattern);
    off_t largest = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct stat info;
        if (stat(found.gl_pathv[i], &info) == 0 && info.st_size > largest) {
            largest = info.st_size;
            snprintf(path_out, TEXT_BYTES, "%s", found.gl_pathv[i]);
        }
    }
    globfree(&found);
    cr_assert_gt(largest, 0);
}

static void flush_rows(unsigned rows)
{
    fill(0, rows);
    flush(&fixture);
    cr_assert_lt(compaction_wait(), 2);
}

Test(store_files, small_flushes_do_not_write_a_large_file_again)
{
    fixture.options.flush_bytes = 1u << 20;
    reopen_tight();
    flush_rows(30000); /* 12 MiB; the first level below level 0 is for 2 */
    flush_rows(1);
    char large[TEXT_BYTES];
    largest_file(large);
    flush_rows(2);
    flush_rows(2);
    cr_assert_eq(access(large, F_OK), 0, "%s is gone", large);
}

/* ---- expired rows ---- */

static uint64_t horizon_read(void *context)
{
    return atomic_load((atomic_uint_fast64_t *)context);
}

static void put_expiring(const char *key, uint64_t expires_ms)
{
    uint8_t value[8];
    put_u64(value, expires_ms);
    fixture.store->vtable->batch_clear(fixture.batch);
    fixture.store->vtable->batch_put(fixture.batch, bytes_of_text(key),
                                     bytes_of(value, sizeof(value)));
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_OK);
}

Test(store_files, a_compaction_drops_expired_idempotency_rows_alone)
{
    atomic_uint_fast64_t horizon = 1000;
    fixture.options.expiry_horizon_ms = horizon_read;
    fixture.options.expiry_context = &horizon;
    reopen_tight();
    put_expiring("i expired", 999);
    put_expiring("i alive", 1000);
    put_expiring("r not of its kind", 999);
    put(&fixture, "i", "short");
    flush(&fixture);
    put_expiring("i expired", 998);
    flush(&fixture);
    cr_assert_eq(compaction_wait(), 0);
    cr_assert_eq(get("i expired", true), STATUS_NOT_FOUND);
    cr_assert_eq(get("i alive", true), STATUS_OK);
    cr_assert_eq(get("r not of its kind", true), STATUS_OK);
    cr_assert_eq(get("i", true), STATUS_OK);
    close_store();
    fixture.options.expiry_horizon_ms = NULL;
    reopen();
}

/* ---- a compaction that does not come to its end ---- */

struct hold {
    atomic_bool is_on;
    atomic_bool was_met;
};

/* On RocksDB's thread: holds up the compaction that asks. */
static uint64_t horizon_hold(void *context)
{
    struct hold *hold = context;
    atomic_store(&hold->was_met, true);
    while (atomic_load(&hold->is_on)) {
        poll_once();
    }
    return 0;
}

Test(store_files, closing_a_memtable_never_waits_for_a_compaction)
{
    struct hold hold = {.is_on = true};
    close_store();
    fixture.options.expiry_horizon_ms = horizon_hold;
    fixture.options.expiry_context = &hold;
    reopen();
    const struct store_rocksdb_limits limits = store_rocksdb_limits(false, 0);
    enum status status = STATUS_OK;
    for (int i = 0; i < 2 * limits.level0_slow && status == STATUS_OK; i++) {
        put_expiring("i", 1);
        status = store_flush_begin(fixture.store);
        cr_assert_eq(store_flush_wait(fixture.store), STATUS_OK);
    }
    cr_assert_eq(status, STATUS_BUSY);
    cr_assert(atomic_load(&hold.was_met));
    struct store_statistics statistics;
    store_statistics_read(fixture.store, &statistics);
    cr_assert_eq(statistics.level0_files, (uint64_t)limits.level0_slow - 1,
                 "one more would slow writes down");
    cr_assert(statistics.stalled);
    put(&fixture, "a", "memory still takes it");
    atomic_store(&hold.is_on, false);
    compaction_wait();
    flush(&fixture);
    expect_persisted(&fixture, "a", "memory still takes it");
    close_store();
    fixture.options.expiry_horizon_ms = NULL;
    reopen();
}

/* ---- histories that are cut off ---- */

#define HISTORY_KEYS        97
#define HISTORY_ROUNDS      8
#define HISTORY_FLUSH_STEPS 500
#define HISTORY_BROKEN      UINT64_MAX

/* Step n sets key n mod 97 to n, and the applied position to n. */
static void history_step(struct store *store, struct store_batch *batch, uint64_t step)
{
    uint8_t key_bytes[8];
    uint8_t value_bytes[ROW_APPLIED_BYTES];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    struct writer value = writer_of(value_bytes, sizeof(value_bytes));
    row_applied_key(&key);
    row_applied_write(1, step, &value);
    store->vtable->batch_clear(batch);
    store->vtable->batch_put(batch, writer_bytes(&key), writer_bytes(&value));
    put_u64(key_bytes, step % HISTORY_KEYS);
    store->vtable->batch_put(batch, bytes_of(key_bytes, 8), writer_bytes(&value));
}

/* The step of a row; 0 when it is absent, HISTORY_BROKEN when it cannot be read. Asserts nothing:
 * also used in children. */
static uint64_t number_at(struct store *store, struct bytes key, bool is_persisted)
{
    struct store_value value;
    enum status status = is_persisted ? store_get_persisted(store, key, &value)
                                      : store_get(store, key, true, &value);
    if (status == STATUS_NOT_FOUND) {
        return 0;
    }
    if (status != STATUS_OK) {
        return HISTORY_BROKEN;
    }
    uint64_t epoch;
    uint64_t step;
    status = row_applied_read(value.bytes, &epoch, &step);
    store_value_release(store, &value);
    return status == STATUS_OK ? step : HISTORY_BROKEN;
}

/* The applied position, or HISTORY_BROKEN when a row is not as that says. */
static uint64_t history_check(struct store *store)
{
    uint64_t applied = number_at(store, BYTES_LITERAL("a"), false);
    for (uint64_t i = 0; i < HISTORY_KEYS; i++) {
        uint8_t key[8];
        put_u64(key, i);
        uint64_t newest = applied < i ? 0 : applied - (applied - i) % HISTORY_KEYS;
        if (number_at(store, bytes_of(key, 8), false) != newest) {
            return HISTORY_BROKEN;
        }
    }
    return applied;
}

static struct store *child_open(const char *path)
{
    const struct store_options options = {.path = path};
    char text[TEXT_BYTES];
    struct store *store;
    if (store_rocksdb_open(&options, &store, text, sizeof(text)) != STATUS_OK) {
        _exit(1);
    }
    return store;
}

static void child_tell(int pipe_end, uint64_t number)
{
    if (write(pipe_end, &number, sizeof(number)) != sizeof(number)) {
        _exit(2);
    }
}

/* In a child: applies for ever, flushes now and then, tells what is flushed. */
_Noreturn static void history_run(const char *path, int pipe_end)
{
    struct store *store = child_open(path);
    struct store_batch *batch = store_batch_create(store);
    uint64_t step = number_at(store, BYTES_LITERAL("a"), false);
    for (;;) {
        step++;
        history_step(store, batch, step);
        enum status status = store_apply(store, batch);
        if (status == STATUS_OK && step % HISTORY_FLUSH_STEPS == 0) {
            status = store_flush_begin(store);
            if (status == STATUS_OK) {
                status = store_flush_wait(store);
                child_tell(pipe_end, step);
            } else if (status == STATUS_BUSY) {
                status = STATUS_OK;
            }
        }
        if (status != STATUS_OK) {
            _exit(3);
        }
    }
}

/* In a child: tells how far the history goes. */
_Noreturn static void history_report(const char *path, int pipe_end)
{
    struct store *store = child_open(path);
    child_tell(pipe_end, history_check(store));
    store_destroy(&store);
    _exit(0);
}

/* RocksDB's threads do not survive a fork, so this process never opens the store: each child is the
 * first to do so. */
static pid_t child_start(void (*run)(const char *, int), const char *path, int *pipe_end_out)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(ends[0]);
        run(path, ends[1]);
    }
    cr_assert_eq(close(ends[1]), 0);
    *pipe_end_out = ends[0];
    return child;
}

static uint64_t child_number(int pipe_end)
{
    uint64_t number = 0;
    cr_assert_eq(read(pipe_end, &number, sizeof(number)), sizeof(number), "the child has failed");
    return number;
}

Test(store_killed, a_prefix_of_history_is_left_not_shorter_than_what_was_flushed)
{
    char path[64];
    folder_create(path, sizeof(path));
    uint64_t last = 0;
    for (unsigned round = 1; round <= HISTORY_ROUNDS; round++) {
        int pipe_end;
        uint64_t flushed = 0;
        pid_t child = child_start(history_run, path, &pipe_end);
        for (unsigned i = 0; i < round; i++) {
            flushed = child_number(pipe_end);
        }
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert(WIFSIGNALED(child_status(child)));
        cr_assert_eq(close(pipe_end), 0);
        child = child_start(history_report, path, &pipe_end);
        uint64_t applied = child_number(pipe_end);
        cr_assert_eq(child_status(child), 0);
        cr_assert_eq(close(pipe_end), 0);
        cr_assert_neq(applied, HISTORY_BROKEN);
        cr_assert_geq(applied, flushed);
        cr_assert_gt(applied, last);
        cr_assert_eq(applied % HISTORY_FLUSH_STEPS, 0, "only whole memtables are persisted");
        last = applied;
    }
    folder_remove(path);
}

struct flusher {
    atomic_uint_fast64_t applied;
    atomic_bool is_over;
    bool failed;
};

/* What is persisted after a flush was applied before flush_begin returned, and is not older than
 * before it was called. */
static void *flusher_run(void *context)
{
    struct flusher *flusher = context;
    while (!atomic_load(&flusher->is_over)) {
        uint64_t before = atomic_load(&flusher->applied);
        enum status status = store_flush_begin(fixture.store);
        uint64_t after = atomic_load(&flusher->applied) + 1; /* one may be under way */
        if (status == STATUS_BUSY) {
            continue;
        }
        if (status != STATUS_OK || store_flush_wait(fixture.store) != STATUS_OK) {
            flusher->failed = true;
            break;
        }
        uint64_t persisted = number_at(fixture.store, BYTES_LITERAL("a"), true);
        if (persisted < before || persisted > after) {
            flusher->failed = true;
            break;
        }
    }
    return NULL;
}

Test(store_files, flushing_beside_applies_persists_a_prefix)
{
    struct flusher flusher = {0};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, flusher_run, &flusher), 0);
    const uint64_t steps = 100000;
    for (uint64_t step = 1; step <= steps; step++) {
        history_step(fixture.store, fixture.batch, step);
        enum status status = store_apply(fixture.store, fixture.batch);
        while (status == STATUS_BUSY) {
            poll_once();
            status = store_apply(fixture.store, fixture.batch);
        }
        cr_assert_eq(status, STATUS_OK);
        atomic_store(&flusher.applied, step);
    }
    atomic_store(&flusher.is_over, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_not(flusher.failed);
    cr_assert_eq(history_check(fixture.store), steps);
    uint64_t persisted = number_at(fixture.store, BYTES_LITERAL("a"), true);
    close_store();
    reopen();
    cr_assert_eq(history_check(fixture.store), persisted);
}
