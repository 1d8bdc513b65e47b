/*
 * store_rocksdb_internal.h: how one RocksDB instance under a shard is set up, and what its errors
 * mean to us.
 *
 * Only engine/store and its tests include this.
 */
#ifndef FRESHET_ENGINE_STORE_STORE_ROCKSDB_INTERNAL_H
#define FRESHET_ENGINE_STORE_STORE_ROCKSDB_INTERNAL_H

#include <rocksdb/c.h>

#include "engine/store/store.h"

struct store_block_cache {
    rocksdb_cache_t *cache;
    rocksdb_env_t *env; /* RocksDB's own, one a process: its background threads serve all shards */
};

/* At these RocksDB refuses or delays writes; we look at them before it does. */
struct store_rocksdb_limits {
    int memtables_max; /* the active one counts */
    int level0_compact;
    int level0_slow;
    int level0_stop;
    uint64_t pending_bytes_slow; /* estimated debt of the compaction */
    uint64_t pending_bytes_stop;
    uint64_t level_base_bytes; /* of the first level below level 0 */
};

/* flush_bytes as in store_options. */
struct store_rocksdb_limits store_rocksdb_limits(bool tight, uint64_t flush_bytes);

/* Of an instance with that cache and that filter. Destroy with
 * rocksdb_options_destroy. NULL when this RocksDB does not know an option that we rely on. */
rocksdb_options_t *store_rocksdb_options(const struct store_rocksdb_limits *limits,
                                         const struct store_block_cache *cache,
                                         rocksdb_compactionfilter_t *filter);

/* What an error text of RocksDB means. "Result incomplete" stands for two things: a read that needs
 * the disk and a write that was refused; the caller knows which. */
enum status store_rocksdb_status(const char *text, enum status incomplete);

#endif
