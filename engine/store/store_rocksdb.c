#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/store/background.h"
#include "engine/store/store_rocksdb_internal.h"
#include "protocol/base/assert.h"

#define BLOCK_CACHE_BYTES_DEFAULT ((uint64_t)64 << 20) /* of a store that is not given a cache */

#define READ_TIER_ALL         0
#define READ_TIER_BLOCK_CACHE 1
#define READ_TIER_PERSISTED   2

#define VERIFY_READAHEAD_BYTES ((size_t)2 << 20)

/* How flush_wait looks for the end of a flush: soon at first, then ever less often. */
#define FLUSH_POLL_NS_MIN 200000
#define FLUSH_POLL_NS_MAX 5000000
/* After an error in the background, so many looks without a running flush mean that RocksDB has
 * given up. */
#define FLUSH_IDLE_POLLS_MAX 400

#define FAILURE_TEXT_BYTES 512

/* The first byte of an idempotency row's key; its value begins with the time at which it expires
 * (row.h). */
#define EXPIRING_TAG 'i'
#define EXPIRY_BYTES 8

struct store_rocksdb {
    struct store store;
    rocksdb_t *db;
    struct store_rocksdb_limits limits;
    rocksdb_options_t *options;
    rocksdb_compactionfilter_t *filter;
    struct background_work background;
    rocksdb_readoptions_t *read_memory;    /* block-cache tier: no I/O */
    rocksdb_readoptions_t *read_all;       /* may block */
    rocksdb_readoptions_t *read_persisted; /* files only: what a crash would leave */
    rocksdb_readoptions_t *read_verify;
    rocksdb_writeoptions_t *write;
    rocksdb_flushoptions_t *flush_no_wait;
    struct store_block_cache *cache;     /* given, or own_cache */
    struct store_block_cache *own_cache; /* NULL when the cache was given */
    uint64_t (*expiry_horizon_ms)(void *context);
    void *expiry_context;
    atomic_uint_fast64_t errors_seen; /* background errors that the last flush has survived */
    atomic_flag is_failing;           /* whoever sets it writes failure_text, then failure */
    atomic_int failure; /* enum status: why nothing is persisted any more; OK while all is well */
    char failure_text[FAILURE_TEXT_BYTES];
    atomic_uint iterators; /* still open */
};

struct store_iterator {
    struct store_rocksdb *rocks;
    rocksdb_iterator_t *iterator;
};

static struct store_rocksdb *rocksdb_of(struct store *store)
{
    ASSERT(store != NULL);
    return (struct store_rocksdb *)store; /* its first member */
}

/* Frees an error text of RocksDB; NULL is OK. */
static enum status status_take(char *error, enum status incomplete)
{
    if (error == NULL) {
        return STATUS_OK;
    }
    enum status status = store_rocksdb_status(error, incomplete);
    rocksdb_free(error);
    return status;
}

static uint64_t property(const struct store_rocksdb *rocks, const char *name)
{
    uint64_t value = 0;
    int missing = rocksdb_property_int(rocks->db, name, &value);
    ASSERT(missing == 0);
    return value;
}

/* ---- reads ---- */

static enum status get_with(struct store_rocksdb *rocks, const rocksdb_readoptions_t *options,
                            struct bytes key, struct store_value *value_out)
{
    *value_out = (struct store_value){0};
    char *error = NULL;
    rocksdb_pinnableslice_t *pin =
        rocksdb_get_pinned(rocks->db, options, (const char *)key.data, key.size, &error);
    if (pin == NULL) {
        return error == NULL ? STATUS_NOT_FOUND : status_take(error, STATUS_WOULD_BLOCK);
    }
    size_t size = 0;
    const char *data = rocksdb_pinnableslice_value(pin, &size);
    *value_out = (struct store_value){.bytes = bytes_of(data, size), .pin = pin};
    return STATUS_OK;
}

static enum status rocks_get(struct store *store, struct bytes key, bool may_block,
                             struct store_value *value_out)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    return get_with(rocks, may_block ? rocks->read_all : rocks->read_memory, key, value_out);
}

static enum status rocks_get_persisted(struct store *store, struct bytes key,
                                       struct store_value *value_out)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    return get_with(rocks, rocks->read_persisted, key, value_out);
}

static void rocks_value_release(struct store *store, struct store_value *value)
{
    ASSERT(store != NULL);
    ASSERT(value->pin != NULL);
    rocksdb_pinnableslice_destroy(value->pin);
    *value = (struct store_value){0};
}

/* ---- batches: struct store_batch is RocksDB's own under another name ---- */

static rocksdb_writebatch_t *batch_of(struct store_batch *batch)
{
    ASSERT(batch != NULL);
    return (rocksdb_writebatch_t *)(void *)batch;
}

static struct store_batch *rocks_batch_create(struct store *store)
{
    ASSERT(store != NULL);
    return (struct store_batch *)(void *)rocksdb_writebatch_create();
}

static void rocks_batch_put(struct store_batch *batch, struct bytes key, struct bytes value)
{
    rocksdb_writebatch_put(batch_of(batch), (const char *)key.data, key.size,
                           (const char *)value.data, value.size);
}

static void rocks_batch_delete(struct store_batch *batch, struct bytes key)
{
    rocksdb_writebatch_delete(batch_of(batch), (const char *)key.data, key.size);
}

static void rocks_batch_clear(struct store_batch *batch)
{
    rocksdb_writebatch_clear(batch_of(batch));
}

static void rocks_batch_destroy(struct store_batch *batch)
{
    if (batch != NULL) {
        rocksdb_writebatch_destroy(batch_of(batch));
    }
}

static enum status failure_of(const struct store_rocksdb *rocks)
{
    return (enum status)atomic_load_explicit(&rocks->failure, memory_order_acquire);
}

static enum status rocks_apply(struct store *store, struct store_batch *batch)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    enum status status = failure_of(rocks);
    if (status != STATUS_OK) {
        return status;
    }
    /* Of this thread: otherwise each comparison of two keys is counted, in thread-local memory. */
    rocksdb_set_perf_level(rocksdb_disable);
    char *error = NULL;
    rocksdb_write(rocks->db, rocks->write, batch_of(batch), &error);
    return status_take(error, STATUS_BUSY);
}

/* ---- iterators ---- */

static enum status rocks_iterator_create(struct store *store, struct store_iterator **out)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return STATUS_NO_MEMORY;
    }
    (*out)->rocks = rocks;
    (*out)->iterator = rocksdb_create_iterator(rocks->db, rocks->read_all);
    ASSERT((*out)->iterator != NULL);
    atomic_fetch_add_explicit(&rocks->iterators, 1, memory_order_relaxed);
    return STATUS_OK;
}

static void rocks_iterator_seek(struct store_iterator *iterator, struct bytes key)
{
    rocksdb_iter_seek(iterator->iterator, (const char *)key.data, key.size);
}

static void rocks_iterator_next(struct store_iterator *iterator)
{
    ASSERT(rocksdb_iter_valid(iterator->iterator));
    rocksdb_iter_next(iterator->iterator);
}

static bool rocks_iterator_valid(const struct store_iterator *iterator)
{
    return rocksdb_iter_valid(iterator->iterator) != 0;
}

static struct bytes rocks_iterator_key(const struct store_iterator *iterator)
{
    size_t size = 0;
    const char *data = rocksdb_iter_key(iterator->iterator, &size);
    return bytes_of(data, size);
}

static struct bytes rocks_iterator_value(const struct store_iterator *iterator)
{
    size_t size = 0;
    const char *data = rocksdb_iter_value(iterator->iterator, &size);
    return bytes_of(data, size);
}

static enum status rocks_iterator_status(const struct store_iterator *iterator)
{
    char *error = NULL;
    rocksdb_iter_get_error(iterator->iterator, &error);
    return status_take(error, STATUS_WOULD_BLOCK);
}

static void rocks_iterator_destroy(struct store_iterator *iterator)
{
    unsigned before =
        atomic_fetch_sub_explicit(&iterator->rocks->iterators, 1, memory_order_relaxed);
    ASSERT(before > 0);
    rocksdb_iter_destroy(iterator->iterator);
    free(iterator);
}

/* ---- failures in the background ---- */

/*
 * Nothing is persisted from now on. When space comes back on a full disk, RocksDB would resume by
 * itself and flush its active memtable, which may hold what the journal has not made durable yet:
 * so all its background work ends here.
 */
static enum status failure_mark(struct store_rocksdb *rocks, enum status status, const char *text)
{
    ASSERT(status != STATUS_OK);
    ASSERT(text != NULL);
    if (!atomic_flag_test_and_set(&rocks->is_failing)) {
        rocksdb_cancel_all_background_work(rocks->db, 0);
        snprintf(rocks->failure_text, sizeof(rocks->failure_text), "%s", text);
        atomic_store_explicit(&rocks->failure, (int)status, memory_order_release);
    }
    return status;
}

/* The C API tells no background error; a write is refused with its text, though, and an empty one
 * changes nothing. */
static enum status failure_probe(struct store_rocksdb *rocks)
{
    char *error = NULL;
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    rocksdb_write(rocks->db, rocks->write, nothing, &error);
    rocksdb_writebatch_destroy(nothing);
    if (error == NULL) {
        return STATUS_OK;
    }
    enum status status = store_rocksdb_status(error, STATUS_BUSY);
    if (status == STATUS_BUSY) {
        status = STATUS_OK; /* a stall is no failure */
    } else {
        status = failure_mark(rocks, status, error);
    }
    rocksdb_free(error);
    return status;
}

static bool has_new_errors(const struct store_rocksdb *rocks)
{
    uint64_t seen = atomic_load_explicit(&rocks->errors_seen, memory_order_relaxed);
    return property(rocks, "rocksdb.background-errors") != seen;
}

static enum status failure_look(struct store_rocksdb *rocks)
{
    enum status status = failure_of(rocks);
    if (status == STATUS_OK && has_new_errors(rocks)) {
        status = failure_probe(rocks);
    }
    return status;
}

/* ---- flushes ---- */

static uint64_t level0_files(const struct store_rocksdb *rocks)
{
    char *text = rocksdb_property_value(rocks->db, "rocksdb.num-files-at-level0");
    ASSERT(text != NULL);
    uint64_t count = strtoull(text, NULL, 10);
    rocksdb_free(text);
    return count;
}

/* How far RocksDB is from refusing writes. */
struct pressure {
    uint64_t closed_memtables;
    uint64_t level0_files;
    uint64_t pending_bytes;
    bool is_stopped;
    bool is_delayed;
};

static struct pressure pressure_read(const struct store_rocksdb *rocks)
{
    return (struct pressure){
        .closed_memtables = property(rocks, "rocksdb.num-immutable-mem-table"),
        .level0_files = level0_files(rocks),
        .pending_bytes = property(rocks, "rocksdb.estimate-pending-compaction-bytes"),
        .is_stopped = property(rocks, "rocksdb.is-write-stopped") != 0,
        .is_delayed = property(rocks, "rocksdb.actual-delayed-write-rate") != 0,
    };
}

/* Would writes be slowed down or refused if there were so many more closed memtables and as many
 * more files? */
static bool pressure_stalls(const struct store_rocksdb *rocks, const struct pressure *pressure,
                            uint64_t more)
{
    const struct store_rocksdb_limits *limits = &rocks->limits;
    return pressure->is_stopped || pressure->is_delayed ||
           pressure->closed_memtables + more >= (uint64_t)limits->memtables_max - 1 ||
           pressure->level0_files + more >= (uint64_t)limits->level0_slow ||
           pressure->pending_bytes >= limits->pending_bytes_slow;
}

static enum status rocks_flush_begin(struct store *store)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    enum status status = failure_look(rocks);
    if (status != STATUS_OK) {
        return status;
    }
    /* rocksdb_flush would wait until one more memtable or file does not stall writes, for as long
     * as a compaction may take; so it is asked only when it does not wait. */
    struct pressure pressure = pressure_read(rocks);
    if (pressure_stalls(rocks, &pressure, 1)) {
        return STATUS_BUSY;
    }
    char *error = NULL;
    rocksdb_flush(rocks->db, rocks->flush_no_wait, &error);
    if (error == NULL) {
        return STATUS_OK;
    }
    status = store_rocksdb_status(error, STATUS_BUSY);
    if (status != STATUS_BUSY) {
        status = failure_mark(rocks, status, error);
    }
    rocksdb_free(error);
    return status;
}

static void poll_pause(long *pause_ns)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = *pause_ns};
    nanosleep(&pause, NULL); /* shorter when a signal comes, which does no harm */
    *pause_ns = *pause_ns * 2 < FLUSH_POLL_NS_MAX ? *pause_ns * 2 : FLUSH_POLL_NS_MAX;
}

/*
 * RocksDB can wait for a flush only by flushing: that closes the active memtable too, and would
 * persist what was applied after flush_begin, ahead of the journal perhaps. So we look for the end
 * instead. Only flush_begin ever closes a memtable here, hence no closed memtable left means that
 * all it closed is in files that the manifest, synced, names.
 *
 * The loop ends: a flush comes to its end, or fails and counts as a background error; after one of
 * these either a write shows why, or RocksDB tries again, or it stands still, for which there is a
 * limit.
 */
static enum status rocks_flush_wait(struct store *store)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
#ifdef FRESHET_PLANT_STORE_AHEAD
    char *error = NULL;
    rocksdb_flushoptions_t *wait = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(wait, 1);
    rocksdb_flush(rocks->db, wait, &error);
    rocksdb_flushoptions_destroy(wait);
    return status_take(error, STATUS_BUSY);
#endif
    long pause_ns = FLUSH_POLL_NS_MIN;
    uint32_t idle_polls = 0;
    while (property(rocks, "rocksdb.num-immutable-mem-table") > 0) {
        enum status status = failure_look(rocks);
        if (status != STATUS_OK) {
            return status;
        }
        bool is_running = property(rocks, "rocksdb.num-running-flushes") > 0;
        idle_polls = is_running || !has_new_errors(rocks) ? 0 : idle_polls + 1;
        if (idle_polls > FLUSH_IDLE_POLLS_MAX) {
            return failure_mark(rocks, STATUS_IO_ERROR, "a flush failed and is not tried again");
        }
        poll_pause(&pause_ns);
    }
    atomic_store_explicit(&rocks->errors_seen, property(rocks, "rocksdb.background-errors"),
                          memory_order_relaxed);
    return failure_of(rocks);
}

/* ---- what goes on ---- */

static void rocks_statistics(struct store *store, struct store_statistics *out)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    enum status failure = failure_look(rocks);
    struct pressure pressure = pressure_read(rocks);
    bool is_empty = pressure.closed_memtables == 0 &&
                    property(rocks, "rocksdb.num-entries-active-mem-table") == 0;
    *out = (struct store_statistics){
        /* An empty memtable has its filter and its first block already. */
        .memtable_bytes = is_empty ? 0 : property(rocks, "rocksdb.cur-size-all-mem-tables"),
        .unflushed_memtables = pressure.closed_memtables + (is_empty ? 0 : 1),
        .files_bytes = property(rocks, "rocksdb.live-sst-files-size"),
        .block_cache_bytes = rocksdb_cache_get_usage(rocks->cache->cache),
        .level0_files = pressure.level0_files,
        .pending_compaction_bytes = pressure.pending_bytes,
        /* Two memtables or files before the point where writes are refused. */
        .stalled = failure != STATUS_OK || pressure_stalls(rocks, &pressure, 2),
        .failure = failure,
        .failure_text = failure == STATUS_OK ? NULL : rocks->failure_text,
    };
}

static enum status rocks_verify(struct store *store, char *text_out, size_t text_size)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    ASSERT(text_size > 0);
    text_out[0] = '\0';
    uint64_t rows = 0;
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, rocks->read_verify);
    for (rocksdb_iter_seek_to_first(iterator); rocksdb_iter_valid(iterator);
         rocksdb_iter_next(iterator)) {
        rows++;
    }
    char *error = NULL;
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_iter_destroy(iterator);
    if (error == NULL) {
        return STATUS_OK;
    }
    snprintf(text_out, text_size, "after %llu good rows: %s", (unsigned long long)rows, error);
    return status_take(error, STATUS_IO_ERROR);
}

/* ---- life ---- */

/* On RocksDB's threads, for each row of a compaction. A row is dropped for good: a reader has long
 * stopped to look at it. */
static unsigned char filter_drops(void *context, int level, const char *key, size_t key_size,
                                  const char *value, size_t value_size, char **new_value,
                                  size_t *new_value_size, unsigned char *value_is_changed)
{
    (void)level;
    (void)new_value;
    (void)new_value_size;
    (void)value_is_changed;
    struct store_rocksdb *rocks = context;
    if (background_turn_over(&rocks->background, key_size + value_size)) {
        (void)sched_yield();
    }
    if (rocks->expiry_horizon_ms == NULL) {
        return 0;
    }
    if (key_size == 0 || key[0] != EXPIRING_TAG || value_size < EXPIRY_BYTES) {
        return 0;
    }
    uint64_t expires_ms = get_u64((const uint8_t *)value);
    return expires_ms < rocks->expiry_horizon_ms(rocks->expiry_context) ? 1 : 0;
}

static void filter_destroyed(void *context)
{
    (void)context; /* the store, which owns the filter */
}

static const char *filter_name(void *context)
{
    (void)context;
    return "freshet.rows";
}

static rocksdb_readoptions_t *read_options(int tier)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(options, tier);
    rocksdb_readoptions_set_verify_checksums(options, 1);
    rocksdb_readoptions_set_total_order_seek(options, 1);
    /* Whoever destroys an iterator, a shard's thread perhaps, removes no files. */
    rocksdb_readoptions_set_background_purge_on_iterator_cleanup(options, 1);
    return options;
}

static void call_options_create(struct store_rocksdb *rocks)
{
    rocks->read_memory = read_options(READ_TIER_BLOCK_CACHE);
    rocks->read_all = read_options(READ_TIER_ALL);
    rocks->read_persisted = read_options(READ_TIER_PERSISTED);
    rocks->read_verify = read_options(READ_TIER_ALL);
    rocksdb_readoptions_set_fill_cache(rocks->read_verify, 0);
    rocksdb_readoptions_set_readahead_size(rocks->read_verify, VERIFY_READAHEAD_BYTES);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(rocks->write, 1);
    rocksdb_writeoptions_set_no_slowdown(rocks->write, 1);
    rocks->flush_no_wait = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(rocks->flush_no_wait, 0);
}

static void call_options_destroy(struct store_rocksdb *rocks)
{
    rocksdb_readoptions_destroy(rocks->read_memory);
    rocksdb_readoptions_destroy(rocks->read_all);
    rocksdb_readoptions_destroy(rocks->read_persisted);
    rocksdb_readoptions_destroy(rocks->read_verify);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_flushoptions_destroy(rocks->flush_no_wait);
}

static void rocks_destroy(struct store *store)
{
    struct store_rocksdb *rocks = rocksdb_of(store);
    ASSERT(atomic_load(&rocks->iterators) == 0);
    if (rocks->db != NULL) {
        rocksdb_close(rocks->db);
    }
    call_options_destroy(rocks);
    if (rocks->options != NULL) {
        rocksdb_options_destroy(rocks->options);
    }
    if (rocks->filter != NULL) {
        rocksdb_compactionfilter_destroy(rocks->filter);
    }
    store_block_cache_destroy(&rocks->own_cache);
    free(rocks);
}

static const struct store_vtable rocksdb_vtable = {
    .get = rocks_get,
    .value_release = rocks_value_release,
    .batch_create = rocks_batch_create,
    .batch_put = rocks_batch_put,
    .batch_delete = rocks_batch_delete,
    .batch_clear = rocks_batch_clear,
    .batch_destroy = rocks_batch_destroy,
    .apply = rocks_apply,
    .iterator_create = rocks_iterator_create,
    .iterator_seek = rocks_iterator_seek,
    .iterator_next = rocks_iterator_next,
    .iterator_valid = rocks_iterator_valid,
    .iterator_key = rocks_iterator_key,
    .iterator_value = rocks_iterator_value,
    .iterator_status = rocks_iterator_status,
    .iterator_destroy = rocks_iterator_destroy,
    .flush_begin = rocks_flush_begin,
    .flush_wait = rocks_flush_wait,
    .get_persisted = rocks_get_persisted,
    .verify = rocks_verify,
    .statistics = rocks_statistics,
    .destroy = rocks_destroy,
};

/* What to do, for people, about an instance that does not open. */
static void open_text(enum status status, const char *path, const char *error, char *text_out,
                      size_t text_size)
{
    const char *advice = "see the reason";
    if (status == STATUS_LOCKED) {
        advice = "another process uses this data directory; stop it or choose another directory";
    } else if (status == STATUS_DAMAGED) {
        advice = "its files are damaged; restore it from a backup";
    } else if (status == STATUS_DISK_FULL) {
        advice = "the disk is full; free some space and start again";
    }
    snprintf(text_out, text_size, "the store in %s does not open: %s (%s)", path, advice, error);
}

/* Without the file that names its manifest RocksDB would take the folder for a new one, and remove
 * what is in it. */
static bool has_lost_its_manifest(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false; /* it is not there yet, or RocksDB will say what is wrong with it */
    }
    bool has_current = false;
    bool has_tables = false;
    const struct dirent *entry;
    while (!has_current && (entry = readdir(folder)) != NULL) {
        const char *ending = strrchr(entry->d_name, '.');
        has_current = strcmp(entry->d_name, "CURRENT") == 0;
        has_tables = has_tables || (ending != NULL && strcmp(ending, ".sst") == 0);
    }
    closedir(folder);
    return has_tables && !has_current;
}

static struct store_rocksdb *rocks_create(const struct store_options *options)
{
    struct store_rocksdb *rocks = calloc(1, sizeof(*rocks));
    if (rocks == NULL) {
        return NULL;
    }
    rocks->store.vtable = &rocksdb_vtable;
    rocks->limits = store_rocksdb_limits(options->tight, options->flush_bytes);
    call_options_create(rocks);
    rocks->cache = options->block_cache;
    if (rocks->cache == NULL) {
        uint64_t bytes = options->block_cache_bytes;
        rocks->own_cache = store_block_cache_create(bytes > 0 ? bytes : BLOCK_CACHE_BYTES_DEFAULT);
        rocks->cache = rocks->own_cache;
    }
    if (options->expiry_horizon_ms != NULL) {
        rocks->expiry_horizon_ms = options->expiry_horizon_ms;
        rocks->expiry_context = options->expiry_context;
    }
    rocks->filter =
        rocksdb_compactionfilter_create(rocks, filter_destroyed, filter_drops, filter_name);
    if (rocks->cache != NULL) {
        rocks->options = store_rocksdb_options(&rocks->limits, rocks->cache, rocks->filter);
    }
    return rocks;
}

enum status store_rocksdb_open(const struct store_options *options, struct store **out,
                               char *text_out, size_t text_size)
{
    ASSERT(options->path != NULL);
    ASSERT(text_size > 0);
    *out = NULL;
    text_out[0] = '\0';
    if (has_lost_its_manifest(options->path)) {
        open_text(STATUS_DAMAGED, options->path, "the file CURRENT is missing", text_out,
                  text_size);
        return STATUS_DAMAGED;
    }
    struct store_rocksdb *rocks = rocks_create(options);
    if (rocks == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (rocks->options == NULL) {
        rocks_destroy(&rocks->store);
        snprintf(text_out, text_size, "this version of RocksDB lacks an option that is needed");
        return STATUS_UNSUPPORTED;
    }
    char *error = NULL;
    rocks->db = rocksdb_open(rocks->options, options->path, &error);
    if (error != NULL) {
        enum status status = store_rocksdb_status(error, STATUS_IO_ERROR);
        open_text(status, options->path, error, text_out, text_size);
        rocksdb_free(error);
        rocks_destroy(&rocks->store);
        return status;
    }
    ASSERT(rocks->db != NULL);
    *out = &rocks->store;
    return STATUS_OK;
}
