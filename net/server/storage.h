/*
 * storage.h: what is on disk and what runs over it: the data folder and its lock, the stores, the
 * journal, the engine.
 *
 *     DATA/LOCK          held while a process uses the folder; holds its pid
 *     DATA/MANIFEST      engine/shard/manifest.h
 *     DATA/journal/      segments
 *     DATA/shards/000/   one RocksDB a shard
 *
 * Owner:  the main thread, before the threads start and after they have ended. Blocks.
 * Errors: problem says what to do, for people.
 * Tests:  tests/integration/test_server_lifecycle.py.
 */
#ifndef FRESHET_NET_SERVER_STORAGE_H
#define FRESHET_NET_SERVER_STORAGE_H

#include "engine/shard/engine.h"
#include "engine/shard/manifest.h"
#include "net/server/log.h"
#include "net/server/settings.h"

#define STORAGE_PATH_BYTES_MAX (SETTING_TEXT_BYTES_MAX + 32)

/* ---- the folder ---- */

struct data_folder {
    const char *path; /* the caller's */
    int lock;         /* a descriptor; -1: none */
    bool created;     /* just now */
    struct manifest manifest;
};

/*
 * Locks the folder and reads its manifest. shard_count 0: the folder must be there, and nothing in
 * it is altered but LOCK; otherwise it is made where it is not there. LOCKED: another process has
 * it. On failure nothing stays locked.
 */
MUST_USE enum status data_folder_open(const char *path, uint32_t shard_count,
                                      struct data_folder *out, struct settings_problem *problem);
void data_folder_close(struct data_folder *folder);

/* ---- what runs over it ---- */

struct storage_options {
    const struct settings *settings;
    struct collection *collections; /* borrowed; the internal ones stand behind them */
    uint32_t collection_count;
    uint32_t thread_count;
    struct disk *disk; /* of the folder `journal`; borrowed */
    struct executor *executor;
    struct waker *journal_waker;
    struct log *log;
};

struct storage {
    struct store_block_cache *block_cache;
    struct store *stores[SHARD_COUNT_MAX];
    uint32_t shard_count;
    struct journal *journal;
    struct engine *engine;
};

/* Opens stores, journal and engine; replays nothing yet. On failure all is closed. */
MUST_USE enum status storage_open(const struct storage_options *options,
                                  const struct data_folder *folder, struct storage *out,
                                  struct settings_problem *problem);
/* Drained, threads ended. */
void storage_close(struct storage *storage);

/* The sequence up to which a store's files have the journal; 0: nothing. */
MUST_USE enum status storage_persisted(struct store *store, uint64_t *sequence_out);
/* Fills path (STORAGE_PATH_BYTES_MAX) with the folder of a shard. */
void storage_shard_path(const struct data_folder *folder, uint32_t shard, char *path);
void storage_journal_path(const struct data_folder *folder, char *path);

#endif
