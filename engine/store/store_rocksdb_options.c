#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/background.h"
#include "engine/store/store_rocksdb_internal.h"
#include "protocol/base/assert.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* RocksDB's own maximum. A memtable that fills up is switched and flushed at once, ahead of the
 * journal perhaps, so none ever fills up: store_flush_begin alone ends a memtable. */
#define MEMTABLE_BYTES_MAX (64 * GIB)
#define ARENA_BLOCK_BYTES  MIB
/* A filter over the keys of a memtable: an absent key is known without a walk through the skip
 * list. It is sized as a share of the memtable's maximum. */
#define MEMTABLE_BLOOM_BYTES (256 * KIB)

#define BLOCK_BYTES          (4 * KIB)
#define BLOOM_BITS_PER_KEY   10
#define TABLE_FORMAT_VERSION 5
#define CHECKSUM_XXH3        4 /* enum ChecksumType, which the C API does not name */
#define CACHE_SHARD_BITS     4

#define TABLE_FILE_BYTES      (64 * MIB)
#define FLUSH_BYTES_DEFAULT   (32 * MIB)
#define FLUSH_BYTES_MIN       MIB /* smaller levels would only be more of them */
#define LEVEL_COMPRESSED_FROM 2
/* Bytes that a compaction reads or writes in one call, and lets the system write: so that neither
 * the call holds up a shard's thread on the same core, nor a finished file the journal's sync. */
#define COMPACTION_STEP_BYTES (256 * KIB)

#define BACKGROUND_JOBS    2 /* of an instance: a flush and a compaction */
#define FLUSH_THREADS      1 /* of the process */
#define COMPACTION_THREADS 2
#define LOG_LEVEL_ERROR    3
#define LOG_BYTES_MAX      MIB
#define MANIFEST_BYTES_MAX (64 * MIB)
#define OPEN_FILES_ALL     (-1)

/*
 * Options without a setter in the C API.
 *
 * avoid_flush_during_shutdown: closing an instance would persist its memtable, which may be ahead
 * of the journal. max_bgerror_resume_count: after an I/O error RocksDB would resume by itself, and
 * flush what it likes; see failure_mark. avoid_unnecessary_blocking_io: no file is removed, no
 * memtable freed on a shard's thread that happens to hold the last reference.
 * memtable_insert_with_hint_prefix_extractor: rows come in the order of their keys (buffer.h), so a
 * row is looked for from the last one of its kind, which is a key's first byte.
 */
#define OPTIONS_BY_NAME                                                                            \
    "avoid_flush_during_shutdown=true;max_bgerror_resume_count=0;"                                 \
    "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.1;"                            \
    "avoid_unnecessary_blocking_io=true"

/* ---- the block cache of the process ---- */

struct store_block_cache *store_block_cache_create(uint64_t bytes)
{
    struct store_block_cache *cache = calloc(1, sizeof(*cache));
    if (cache == NULL) {
        return NULL;
    }
    /* Half of it is the pool for index and filter blocks, which is the default of these options. */
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, (size_t)bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, CACHE_SHARD_BITS);
    cache->cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    cache->env = rocksdb_create_default_env();
    rocksdb_env_set_background_threads(cache->env, COMPACTION_THREADS);
    rocksdb_env_set_high_priority_background_threads(cache->env, FLUSH_THREADS);
    background_be_nice();
    ASSERT(cache->cache != NULL);
    ASSERT(cache->env != NULL);
    return cache;
}

void store_block_cache_destroy(struct store_block_cache **cache)
{
    ASSERT(cache != NULL);
    if (*cache == NULL) {
        return;
    }
    rocksdb_cache_destroy((*cache)->cache);
    rocksdb_env_destroy((*cache)->env);
    free(*cache);
    *cache = NULL;
}

/* ---- the options of an instance ---- */

struct store_rocksdb_limits store_rocksdb_limits(bool tight, uint64_t flush_bytes)
{
    uint64_t flush = flush_bytes == 0 ? FLUSH_BYTES_DEFAULT : flush_bytes;
    struct store_rocksdb_limits limits = {
        .memtables_max = 6,
        .level0_compact = 8,
        .level0_slow = 32,
        .level0_stop = 48,
        .pending_bytes_slow = 64 * GIB,
        .pending_bytes_stop = 256 * GIB,
    };
    if (tight) {
        /* Two files that wait for their compaction are debt enough to refuse all writes. */
        limits.level0_compact = 2;
        limits.pending_bytes_slow = 1;
        limits.pending_bytes_stop = 1;
    }
    /* As large as the files that are merged into it: where these are small beside it, each of their
     * compactions would write all of it again. */
    limits.level_base_bytes =
        (uint64_t)limits.level0_compact * (flush < FLUSH_BYTES_MIN ? FLUSH_BYTES_MIN : flush);
    ASSERT(limits.level0_compact < limits.level0_slow);
    ASSERT(limits.level0_slow < limits.level0_stop);
    return limits;
}

static void options_set_files(rocksdb_options_t *options)
{
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_max_open_files(options, OPEN_FILES_ALL);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open(options, 1);
    rocksdb_options_set_max_manifest_file_size(options, MANIFEST_BYTES_MAX);
    rocksdb_options_compaction_readahead_size(options, COMPACTION_STEP_BYTES);
    rocksdb_options_set_writable_file_max_buffer_size(options, COMPACTION_STEP_BYTES);
    rocksdb_options_set_bytes_per_sync(options, COMPACTION_STEP_BYTES);
    rocksdb_options_set_info_log_level(options, LOG_LEVEL_ERROR);
    rocksdb_options_set_max_log_file_size(options, LOG_BYTES_MAX);
    rocksdb_options_set_keep_log_file_num(options, 1);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
}

static void options_set_writes(rocksdb_options_t *options,
                               const struct store_rocksdb_limits *limits)
{
    rocksdb_options_set_write_buffer_size(options, MEMTABLE_BYTES_MAX);
    rocksdb_options_set_db_write_buffer_size(options, 0);
    rocksdb_options_set_max_write_buffer_number(options, limits->memtables_max);
    rocksdb_options_set_arena_block_size(options, ARENA_BLOCK_BYTES);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, (double)MEMTABLE_BLOOM_BYTES /
                                                                      (double)MEMTABLE_BYTES_MAX);
    rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    /* One writer an instance: what lets several write at once only costs. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocksdb_options_set_enable_write_thread_adaptive_yield(options, 0);
    rocksdb_options_set_enable_pipelined_write(options, 0);
    rocksdb_options_set_unordered_write(options, 0);
}

static void options_set_levels(rocksdb_options_t *options,
                               const struct store_rocksdb_limits *limits)
{
    rocksdb_options_set_compaction_style(options, rocksdb_level_compaction);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_target_file_size_base(options, TABLE_FILE_BYTES);
    rocksdb_options_set_max_bytes_for_level_base(options, limits->level_base_bytes);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, limits->level0_compact);
    rocksdb_options_set_level0_slowdown_writes_trigger(options, limits->level0_slow);
    rocksdb_options_set_level0_stop_writes_trigger(options, limits->level0_stop);
    rocksdb_options_set_soft_pending_compaction_bytes_limit(options, limits->pending_bytes_slow);
    rocksdb_options_set_hard_pending_compaction_bytes_limit(options, limits->pending_bytes_stop);
    rocksdb_options_set_max_background_jobs(options, BACKGROUND_JOBS);
    /* The upper levels are rewritten soon and small: compressing them costs more than it saves. */
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_min_level_to_compress(options, LEVEL_COMPRESSED_FROM);
}

static void options_set_tables(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, TABLE_FORMAT_VERSION);
    rocksdb_block_based_options_set_checksum(table, CHECKSUM_XXH3);
    /* The table takes the policy over. */
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    /* Memory is bounded by the cache alone. Index and filter of a level-0 file stay in it, so that
     * an iterator, which opens all of these at once, is created without I/O; those of deeper files
     * are opened at its first seek. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

rocksdb_options_t *store_rocksdb_options(const struct store_rocksdb_limits *limits,
                                         const struct store_block_cache *cache,
                                         rocksdb_compactionfilter_t *filter)
{
    ASSERT(cache != NULL);
    ASSERT(filter != NULL);
    rocksdb_options_t *base = rocksdb_options_create();
    rocksdb_options_t *options = rocksdb_options_create();
    char *error = NULL;
    rocksdb_get_options_from_string(base, OPTIONS_BY_NAME, options, &error);
    rocksdb_options_destroy(base);
    if (error != NULL) {
        rocksdb_free(error);
        rocksdb_options_destroy(options);
        return NULL;
    }
    options_set_files(options);
    options_set_writes(options, limits);
    options_set_levels(options, limits);
    options_set_tables(options, cache->cache);
    rocksdb_options_set_env(options, cache->env);
    rocksdb_options_set_compaction_filter(options, filter);
    return options;
}

/* ---- errors ---- */

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

enum status store_rocksdb_status(const char *text, enum status incomplete)
{
    ASSERT(text != NULL);
    ASSERT(incomplete != STATUS_OK);
    if (begins(text, "Result incomplete")) {
        return incomplete;
    }
    if (begins(text, "Corruption")) {
        return STATUS_DAMAGED;
    }
    if (begins(text, "IO error")) {
        if (contains(text, "No space left on device") || contains(text, "Disk quota exceeded")) {
            return STATUS_DISK_FULL;
        }
        bool is_lock = contains(text, "While lock file") || contains(text, "lock hold by");
        return is_lock ? STATUS_LOCKED : STATUS_IO_ERROR;
    }
    if (begins(text, "Operation failed. Try again") || begins(text, "Resource busy")) {
        return STATUS_BUSY;
    }
    if (begins(text, "Operation timed out")) {
        return STATUS_TIMEOUT;
    }
    if (begins(text, "Shutdown in progress")) {
        return STATUS_CLOSED;
    }
    return begins(text, "Not implemented") ? STATUS_UNSUPPORTED : STATUS_IO_ERROR;
}
