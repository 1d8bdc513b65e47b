#include "net/server/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/server/command_check.h"
#include "net/server/fold.h"
#include "net/server/help.h"
#include "net/server/storage.h"
#include "protocol/base/assert.h"

#define EXIT_WHOLE  0
#define EXIT_BROKEN 1
#define EXIT_USAGE  2

#define BLOCK_CACHE_BYTES (64u << 20)

struct check_run {
    struct data_folder folder;
    struct store_block_cache *block_cache;
    struct store *stores[SHARD_COUNT_MAX];
    uint64_t persisted[SHARD_COUNT_MAX];
    struct fold fold;
    uint64_t first_sequence; /* of the journal; 0: it has no entry */
    uint64_t last_sequence;
    uint64_t records;
    uint64_t different; /* records that are not what the journal says */
    uint64_t behind;    /* entries that the next start replays */
    struct settings_problem problem;
};

/* ---- the stores ---- */

static enum status shard_open(struct check_run *run, uint32_t shard)
{
    char path[STORAGE_PATH_BYTES_MAX];
    char text[512] = "";
    storage_shard_path(&run->folder, shard, path);
    const struct store_options options = {.path = path, .block_cache = run->block_cache};
    enum status status = access(path, F_OK) != 0 ? STATUS_NOT_FOUND
                                                 : store_rocksdb_open(&options, &run->stores[shard],
                                                                      text, sizeof(text));
    if (status == STATUS_OK) {
        status = store_verify(run->stores[shard], text, sizeof(text));
    }
    if (status == STATUS_OK) {
        status = storage_persisted(run->stores[shard], &run->persisted[shard]);
    }
    if (status != STATUS_OK) {
        settings_problem_set(&run->problem, "%s: %s", path,
                             text[0] != '\0' ? text : status_text(status));
    }
    return status;
}

static enum status shards_open(struct check_run *run)
{
    run->block_cache = store_block_cache_create(BLOCK_CACHE_BYTES);
    if (run->block_cache == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < run->folder.manifest.shard_count && status == STATUS_OK; i++) {
        status = shard_open(run, i);
    }
    return status;
}

/* ---- the journal ---- */

/* What a store has not applied yet is not compared: the next start replays it. */
static enum status entry_visit(void *context, const struct entry *entry)
{
    struct check_run *run = context;
    if (run->first_sequence == 0) {
        run->first_sequence = entry->sequence;
    }
    run->last_sequence = entry->sequence;
    if (entry->sequence > run->persisted[run->folder.manifest.shard_of_slot[entry->slot]]) {
        run->behind++;
        return STATUS_OK;
    }
    return run->first_sequence == 1 ? fold_entry(&run->fold, entry) : STATUS_OK;
}

static enum status positions_compare(struct check_run *run)
{
    for (uint32_t i = 0; i < run->folder.manifest.shard_count; i++) {
        if (run->persisted[i] > run->last_sequence && run->last_sequence > 0) {
            settings_problem_set(
                &run->problem,
                "shard %u: its files are at sequence %llu, ahead of the journal's %llu", i,
                (unsigned long long)run->persisted[i], (unsigned long long)run->last_sequence);
            return STATUS_DAMAGED;
        }
    }
    return STATUS_OK;
}

/* ---- records against the journal ---- */

/* key is 'r' collection 00 id. */
static enum status record_compare(struct check_run *run, struct bytes key, struct bytes value)
{
    struct row_record record;
    enum status status = row_record_read(value, &record);
    const uint8_t *end = memchr(key.data, 0, key.size);
    if (status != STATUS_OK || end == NULL) {
        return STATUS_DAMAGED;
    }
    size_t size = (size_t)(end - key.data);
    run->records++;
    if (run->first_sequence == 1 && !fold_has(&run->fold, bytes_slice(key, 1, size - 1),
                                              bytes_slice(key, size + 1, key.size), &record)) {
        run->different++;
    }
    return STATUS_OK;
}

static enum status shard_compare(struct check_run *run, struct store *store)
{
    const struct store_vtable *vtable = store->vtable;
    struct store_iterator *iterator;
    enum status status = store_iterator_create(store, &iterator);
    if (status != STATUS_OK) {
        return status;
    }
    struct bytes prefix = BYTES_LITERAL("r");
    for (vtable->iterator_seek(iterator, prefix);
         status == STATUS_OK && vtable->iterator_valid(iterator) &&
         bytes_starts_with(vtable->iterator_key(iterator), prefix);
         vtable->iterator_next(iterator)) {
        status =
            record_compare(run, vtable->iterator_key(iterator), vtable->iterator_value(iterator));
    }
    if (status == STATUS_OK) {
        status = vtable->iterator_status(iterator);
    }
    vtable->iterator_destroy(iterator);
    return status;
}

static enum status shards_compare(struct check_run *run)
{
    enum status status = positions_compare(run);
    for (uint32_t i = 0; i < run->folder.manifest.shard_count && status == STATUS_OK; i++) {
        status = shard_compare(run, run->stores[i]);
        if (status != STATUS_OK) {
            settings_problem_set(&run->problem, "shard %u: its records cannot be read: %s", i,
                                 status_text(status));
        }
    }
    bool whole =
        run->first_sequence != 1 || (run->different == 0 && run->records == run->fold.records);
    if (status == STATUS_OK && !whole) {
        settings_problem_set(
            &run->problem,
            "the journal says that there are %llu records; there are %llu, of which "
            "%llu are not as it says",
            (unsigned long long)run->fold.records, (unsigned long long)run->records,
            (unsigned long long)run->different);
        status = STATUS_DAMAGED;
    }
    return status;
}

/* ---- the command ---- */

static void summary_print(const struct check_run *run, bool whole)
{
    printf("{\"event\":\"check\",\"ok\":%s,\"shards\":%u,\"records\":%llu,\"compared\":%s,"
           "\"different\":%llu,\"to_replay\":%llu}\n",
           whole ? "true" : "false", run->folder.manifest.shard_count,
           (unsigned long long)run->records, run->first_sequence == 1 ? "true" : "false",
           (unsigned long long)run->different, (unsigned long long)run->behind);
    if (!whole && run->problem.text[0] != '\0') {
        fprintf(stderr, "freshet: check: %s\n", run->problem.text);
    }
}

static int check_opened(struct check_run *run)
{
    enum status status = shards_open(run);
    const struct command_check_visitor visitor = {.visit = entry_visit, .context = run};
    int code = command_check_journal(run->folder.path, &visitor, stdout);
    if (status == STATUS_OK && code == EXIT_WHOLE) {
        status = shards_compare(run);
    }
    bool whole = status == STATUS_OK && code == EXIT_WHOLE;
    summary_print(run, whole);
    for (uint32_t i = 0; i < run->folder.manifest.shard_count; i++) {
        store_destroy(&run->stores[i]);
    }
    store_block_cache_destroy(&run->block_cache);
    return whole ? EXIT_WHOLE : EXIT_BROKEN;
}

static int check_run(const char *data)
{
    struct check_run run = {.records = 0};
    enum status status = data_folder_open(data, 0, &run.folder, &run.problem);
    if (status != STATUS_OK) {
        fprintf(stderr, "freshet: check: %s\n", run.problem.text);
        return EXIT_BROKEN;
    }
    int code = EXIT_BROKEN;
    if (fold_init(&run.fold) == STATUS_OK) {
        code = check_opened(&run);
    }
    fold_deinit(&run.fold);
    data_folder_close(&run.folder);
    return code;
}

int command_check(int count, char *const *words)
{
    struct settings settings;
    struct settings_arguments arguments;
    struct settings_problem problem;
    settings_defaults(&settings);
    for (int i = 0; i < count; i++) {
        bool known = strncmp(words[i], "--data", 6) == 0 || strcmp(words[i], "--help") == 0 ||
                     strcmp(words[i], "-h") == 0;
        if (!known) {
            fprintf(stderr, "freshet: check: %s: there is no such flag\n", words[i]);
            return EXIT_USAGE;
        }
        i += strcmp(words[i], "--data") == 0;
    }
    if (settings_environment(&settings, environ, &problem) != STATUS_OK ||
        settings_flags(&settings, count, words, &arguments, &problem) != STATUS_OK) {
        fprintf(stderr, "freshet: check: %s\n", problem.text);
        return EXIT_USAGE;
    }
    if (arguments.help) {
        help_check(stdout);
        return EXIT_WHOLE;
    }
    return check_run(settings.data.text);
}
