#include "net/server/storage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#include "engine/store/row.h"
#include "net/server/clock.h"
#include "protocol/base/assert.h"

#define START_FREE_BYTES_MIN (4u << 20)

/* The largest entry and its batch's header fit, and a batch of them is one write. */
#define BATCH_BYTES_MAX (8u << 20)
#define IDEMPOTENCY_MS  (24ull * 3600 * 1000)

static_assert(ENTRY_BYTES_MAX < BATCH_BYTES_MAX, "an entry fits a batch");

/* ---- stores ---- */

/* Called by compactions, on RocksDB's threads. */
static uint64_t idempotency_horizon_ms(void *context)
{
    (void)context;
    return clock_wall_ms();
}

/* RocksDB writes when it is opened, and on a full disk some builds of it end the process there
 * without a word that helps. */
static enum status room_check(const struct data_folder *folder, struct settings_problem *problem)
{
    struct statvfs info;
    if (statvfs(folder->path, &info) != 0) {
        settings_problem_set(problem, "%s: %s", folder->path, strerror(errno));
        return STATUS_IO_ERROR;
    }
    uint64_t free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    if (free_bytes < START_FREE_BYTES_MIN) {
        settings_problem_set(problem,
                             "%s: the disk is full: a start needs %u KiB of room, %llu KiB are "
                             "free; make room, nothing was changed",
                             folder->path, START_FREE_BYTES_MIN / 1024,
                             (unsigned long long)(free_bytes / 1024));
        return STATUS_DISK_FULL;
    }
    return STATUS_OK;
}

/* About what a flush of a shard writes: it comes when its memtable is full, or the tail of the
 * journal is too long for all of them. */
static uint64_t flush_bytes(const struct settings *settings, uint32_t shard_count)
{
    uint64_t share = settings->journal_tail_max / shard_count;
    return settings->memtable_bytes < share ? settings->memtable_bytes : share;
}

static enum status stores_open(struct storage *storage, const struct data_folder *folder,
                               const struct settings *settings, struct settings_problem *problem)
{
    storage->block_cache = store_block_cache_create(settings->block_cache_bytes);
    if (storage->block_cache == NULL) {
        settings_problem_set(problem, "no memory for the block cache");
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < storage->shard_count; i++) {
        char path[STORAGE_PATH_BYTES_MAX];
        storage_shard_path(folder, i, path);
        const struct store_options options = {
            .path = path,
            .block_cache = storage->block_cache,
            .flush_bytes = flush_bytes(settings, storage->shard_count),
            .expiry_horizon_ms = idempotency_horizon_ms,
        };
        char text[512] = "";
        enum status status = store_rocksdb_open(&options, &storage->stores[i], text, sizeof(text));
        if (status != STATUS_OK) {
            settings_problem_set(problem, "%s: %s", path,
                                 text[0] != '\0' ? text : status_text(status));
            return status;
        }
    }
    return STATUS_OK;
}

enum status storage_persisted(struct store *store, uint64_t *sequence_out)
{
    uint8_t key_bytes[1];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_applied_key(&key);
    struct store_value value;
    *sequence_out = 0;
    enum status status = store_get_persisted(store, writer_bytes(&key), &value);
    if (status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t epoch;
    status = row_applied_read(value.bytes, &epoch, sequence_out);
    store_value_release(store, &value);
    return status;
}

/* ---- the journal ---- */

static uint64_t disk_reserve_bytes(const struct settings *settings, uint32_t shard_count)
{
    if (settings->disk_reserve > 0) {
        return settings->disk_reserve;
    }
    return 2 * settings->segment_bytes + shard_count * settings->memtable_bytes;
}

static enum status persisted_read(struct storage *storage, uint64_t *persisted,
                                  struct settings_problem *problem)
{
    for (uint32_t i = 0; i < storage->shard_count; i++) {
        enum status status = storage_persisted(storage->stores[i], &persisted[i]);
        if (status != STATUS_OK) {
            settings_problem_set(problem, "shard %u: its position cannot be read: %s", i,
                                 status_text(status));
            return status;
        }
    }
    return STATUS_OK;
}

static enum status journal_open(struct storage *storage, const struct storage_options *options,
                                const struct data_folder *folder, struct settings_problem *problem)
{
    const struct settings *settings = options->settings;
    struct journal_options journal_options = {
        .durability = (enum journal_durability)settings->durability,
        .interval_ns = settings->sync_interval,
        .cached_writes = true,
        .segment_bytes = settings->segment_bytes,
        .retention_bytes = settings->retention_bytes,
        .retention_ms = settings->retention / SETTING_MS,
        .disk_reserve_bytes = disk_reserve_bytes(settings, storage->shard_count),
        .batch_bytes_max = BATCH_BYTES_MAX,
        .recent_bytes = settings->recent_bytes,
        .shard_count = storage->shard_count,
        .new_store_id = folder->manifest.store_id,
        .disk = options->disk,
        .executor = options->executor,
        .waker = options->journal_waker,
    };
    uint64_t persisted[SHARD_COUNT_MAX];
    enum status status = persisted_read(storage, persisted, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (getrandom(&journal_options.new_store_secret, sizeof(journal_options.new_store_secret), 0) !=
        (ssize_t)sizeof(journal_options.new_store_secret)) {
        settings_problem_set(problem, "no random bytes");
        return STATUS_IO_ERROR;
    }
    struct journal_problem found = {.text = ""};
    status = journal_segments_open(&journal_options, persisted, &storage->journal, &found);
    if (status != STATUS_OK) {
        settings_problem_set(problem, "%s/journal/%s, offset %llu: %s", folder->path, found.file,
                             (unsigned long long)found.offset,
                             found.text[0] != '\0' ? found.text : status_text(status));
        return status;
    }
    if (memcmp(&storage->journal->store_id, &folder->manifest.store_id, sizeof(struct store_id))) {
        settings_problem_set(
            problem, "%s: " MANIFEST_FILE " and the journal are of different stores", folder->path);
        journal_segments_abandon(storage->journal);
        storage->journal = NULL;
        return STATUS_DAMAGED;
    }
    return STATUS_OK;
}

static void journal_found_log(const struct storage *storage, struct log *log)
{
    static const char *const tails[] = {"new", "clean", "unclean", "torn"};
    struct journal_recovered recovered = journal_segments_recovered(storage->journal);
    struct journal_statistics statistics;
    journal_statistics_read(storage->journal, &statistics);
    log_say(log, LOG_INFO, "journal opened", LOG_TEXT("tail", tails[recovered.tail]),
            LOG_NUMBER("committed", journal_committed(storage->journal)),
            LOG_NUMBER("oldest", statistics.oldest_sequence),
            LOG_NUMBER("segments", statistics.segments),
            LOG_NUMBER("epoch", storage->journal->epoch), LOG_TEXT("end_file", recovered.end_file),
            LOG_NUMBER("end_offset", recovered.end_offset));
}

/* ---- the engine ---- */

static enum status engine_open(struct storage *storage, const struct storage_options *options,
                               const struct data_folder *folder, struct settings_problem *problem)
{
    const struct settings *settings = options->settings;
    struct engine_options engine_options = {
        .collections = options->collections,
        .collection_count = options->collection_count + COLLECTION_INTERNAL_COUNT,
        .shard_count = storage->shard_count,
        .thread_count = options->thread_count,
        .client_count = 1, /* the worker that runs the rules */
        .shard_of_slot = folder->manifest.shard_of_slot,
        .stores = storage->stores,
        .journal = storage->journal,
        .executor = options->executor,
        .cache_bytes = settings->cache != 0 ? settings->cache_bytes : 0,
        .journal_tail_max = settings->journal_tail_max,
        .memtable_bytes_max = settings->memtable_bytes,
        .queued_bytes_max = settings->queued_bytes,
        .idempotency_ms = IDEMPOTENCY_MS,
        .journal_durable_on_commit = settings->durability == JOURNAL_SYNC,
    };
    if (getrandom(&engine_options.seed, sizeof(engine_options.seed), 0) !=
        (ssize_t)sizeof(engine_options.seed)) {
        settings_problem_set(problem, "no random bytes");
        return STATUS_IO_ERROR;
    }
    enum status status = engine_create(&engine_options, &storage->engine);
    if (status != STATUS_OK) {
        settings_problem_set(problem, "the engine cannot be made: %s", status_text(status));
    }
    return status;
}

enum status storage_open(const struct storage_options *options, const struct data_folder *folder,
                         struct storage *out, struct settings_problem *problem)
{
    memset(out, 0, sizeof(*out));
    ASSERT(folder->lock >= 0);
    ASSERT(folder->manifest.shard_count >= 1);
    out->shard_count = folder->manifest.shard_count;
    enum status status = room_check(folder, problem);
    if (status == STATUS_OK) {
        status = stores_open(out, folder, options->settings, problem);
    }
    if (status == STATUS_OK) {
        status = journal_open(out, options, folder, problem);
    }
    if (status == STATUS_OK) {
        journal_found_log(out, options->log);
        status = engine_open(out, options, folder, problem);
    }
    if (status != STATUS_OK) {
        storage_close(out);
    }
    return status;
}

void storage_close(struct storage *storage)
{
    engine_destroy(&storage->engine);
    if (storage->journal != NULL) {
        journal_close(storage->journal);
        storage->journal = NULL;
    }
    for (uint32_t i = 0; i < storage->shard_count; i++) {
        store_destroy(&storage->stores[i]);
    }
    store_block_cache_destroy(&storage->block_cache);
}
