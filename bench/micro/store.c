/*
 * store.c: time per operation of the store on RocksDB, on one thread, as a shard uses it.
 *
 *     micro_store [--small] [--path DIR] [--memory]
 *
 * An apply is a record of 300 bytes and the applied position; a get is inline, without I/O, of a
 * random record. "flushed" gets come from the block cache. --path puts the store on another disk;
 * --memory measures the simulator's store instead. CPU time is that of this thread; what RocksDB's
 * own threads do beside it is not in it. The result hash depends only on what was read.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/micro/series/series.h"
#include "engine/store/row.h"
#include "engine/store/store.h"
#include "protocol/base/assert.h"

#define DOCUMENT_BYTES    267 /* with its header a value of 300 bytes */
#define BATCH_RECORDS     32
#define BLOCK_CACHE_BYTES ((uint64_t)256 << 20)
#define STATISTICS_READS  1000
#define PATH_BYTES        256
#define TEXT_BYTES        512

struct bench {
    struct store *store;
    struct store_batch *batch;
    struct store_block_cache *cache;
    char path[PATH_BYTES];
    uint64_t records;
    uint64_t operations;
    uint64_t random;
    uint64_t result;
    uint64_t sequence;
    struct store_statistics statistics;
    uint64_t blocked;       /* gets that memory could not answer */
    uint64_t batch_records; /* of an apply */
    const char *kind;       /* the first bytes of the ids that are asked for */
    uint8_t document[DOCUMENT_BYTES + 256];
};

static uint64_t random_next(struct bench *bench)
{
    uint64_t x = bench->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    bench->random = x;
    return x;
}

/* ---- one operation ---- */

static void key_write(uint64_t number, const char *kind, struct writer *key_out)
{
    uint8_t id_bytes[64];
    struct writer id = writer_of(id_bytes, sizeof(id_bytes));
    writer_text(&id, kind);
    /* Ids that are as good as random in their first bytes, like those of clients. */
    writer_decimal(&id, number * 0x9e3779b97f4a7c15u);
    row_record_key(BYTES_LITERAL("products"), writer_bytes(&id), key_out);
}

static void record_add(struct bench *bench, uint64_t number)
{
    uint8_t key_bytes[128];
    uint8_t value_bytes[ROW_RECORD_HEADER_BYTES + DOCUMENT_BYTES];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    struct writer value = writer_of(value_bytes, sizeof(value_bytes));
    const struct row_record record = {.version = 1, .epoch = 1, .sequence = bench->sequence++};
    key_write(number, "018f3a1c-", &key);
    row_record_header_write(&record, &value);
    writer_put(&value, bytes_of(bench->document + number % 256, DOCUMENT_BYTES));
    bench->store->vtable->batch_put(bench->batch, writer_bytes(&key), writer_bytes(&value));
}

static void apply(struct bench *bench)
{
    uint8_t value_bytes[ROW_APPLIED_BYTES];
    struct writer value = writer_of(value_bytes, sizeof(value_bytes));
    row_applied_write(1, bench->sequence, &value);
    bench->store->vtable->batch_put(bench->batch, BYTES_LITERAL("a"), writer_bytes(&value));
    enum status status = store_apply(bench->store, bench->batch);
    while (status == STATUS_BUSY) {
        usleep(1000); /* pause between tries: as the shard's timer would */
        status = store_apply(bench->store, bench->batch);
    }
    ASSERT(status == STATUS_OK);
    bench->store->vtable->batch_clear(bench->batch);
}

static void get(struct bench *bench, uint64_t number, const char *kind)
{
    uint8_t key_bytes[128];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    key_write(number, kind, &key);
    struct store_value value;
    enum status status = store_get(bench->store, writer_bytes(&key), false, &value);
    if (status == STATUS_OK) {
        bench->result = bench->result * 31 + value.bytes.data[ROW_RECORD_HEADER_BYTES + 1];
        store_value_release(bench->store, &value);
    } else if (status == STATUS_WOULD_BLOCK) {
        bench->blocked++;
    } else {
        ASSERT(status == STATUS_NOT_FOUND);
    }
}

/* ---- series ---- */

static void measure(struct bench *bench, const char *what, uint64_t operations,
                    void (*work)(void *context))
{
    struct series series = {0};
    series_round(&series, operations, work, bench);
    series_print(what, &series);
}

static void applies(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint64_t done = 0; done < bench->operations; done += bench->batch_records) {
        for (uint64_t i = 0; i < bench->batch_records; i++) {
            record_add(bench, random_next(bench) % bench->records);
        }
        apply(bench);
    }
}

static void measure_applies(struct bench *bench, const char *what, uint64_t batch_records)
{
    bench->batch_records = batch_records;
    measure(bench, what, bench->operations, applies);
}

static void reads(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint64_t i = 0; i < bench->operations; i++) {
        get(bench, random_next(bench) % bench->records, bench->kind);
    }
}

static void measure_gets(struct bench *bench, const char *what, const char *kind)
{
    bench->kind = kind;
    measure(bench, what, bench->operations, reads);
}

static uint64_t iterators_count(const struct bench *bench)
{
    return bench->operations / 100 + 1;
}

static void iterators(void *context)
{
    struct bench *bench = (struct bench *)context;
    const struct store_vtable *store = bench->store->vtable;
    for (uint64_t i = 0; i < iterators_count(bench); i++) {
        struct store_iterator *iterator;
        enum status status = store_iterator_create(bench->store, &iterator);
        ASSERT(status == STATUS_OK);
        uint8_t key_bytes[128];
        struct writer key = writer_of(key_bytes, sizeof(key_bytes));
        key_write(random_next(bench) % bench->records, "018f3a1c-", &key);
        store->iterator_seek(iterator, writer_bytes(&key));
        for (unsigned row = 0; row < 20 && store->iterator_valid(iterator); row++) {
            bench->result = bench->result * 31 + store->iterator_value(iterator).size;
            store->iterator_next(iterator);
        }
        store->iterator_destroy(iterator);
    }
}

static void flush_wait(void *context)
{
    enum status status = store_flush_wait(((struct bench *)context)->store);
    ASSERT(status == STATUS_OK);
}

static void flush(struct bench *bench)
{
    enum status status = store_flush_begin(bench->store);
    while (status == STATUS_BUSY) {
        usleep(1000); /* pause between tries */
        status = store_flush_begin(bench->store);
    }
    ASSERT(status == STATUS_OK);
    measure(bench, "flush", 1, flush_wait);
}

static void load(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint64_t number = 0; number < bench->records; number++) {
        record_add(bench, number);
        if (number % BATCH_RECORDS == BATCH_RECORDS - 1 || number == bench->records - 1) {
            apply(bench);
        }
    }
}

static void statistics(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint64_t i = 0; i < STATISTICS_READS; i++) {
        store_statistics_read(bench->store, &bench->statistics);
    }
}

/* What has to be read from a file once is read before the series begins. */
static void warm(struct bench *bench)
{
    struct store_iterator *iterator;
    const struct store_vtable *store = bench->store->vtable;
    enum status status = store_iterator_create(bench->store, &iterator);
    ASSERT(status == STATUS_OK);
    for (store->iterator_seek(iterator, BYTES_EMPTY); store->iterator_valid(iterator);
         store->iterator_next(iterator)) {
        bench->result += store->iterator_value(iterator).size;
    }
    store->iterator_destroy(iterator);
    for (uint64_t number = 0; number < bench->records; number += 10) {
        uint8_t key_bytes[128];
        struct writer key = writer_of(key_bytes, sizeof(key_bytes));
        struct store_value value;
        key_write(number, "018f3a1c-", &key);
        status = store_get(bench->store, writer_bytes(&key), true, &value);
        ASSERT(status == STATUS_OK);
        store_value_release(bench->store, &value);
    }
}

static void run(struct bench *bench)
{
    measure(bench, "load, batches of 32, per record", bench->records, load);
    measure_applies(bench, "apply, one record", 1);
    measure_applies(bench, "apply, batches of 32, per record", BATCH_RECORDS);
    measure_gets(bench, "get from the memtable", "018f3a1c-");
    measure_gets(bench, "get of an absent key, memtable", "absent-");
    measure(bench, "iterator: create, seek, 20 rows, memtable", iterators_count(bench), iterators);
    flush(bench);
    warm(bench);
    measure_gets(bench, "get from the block cache", "018f3a1c-");
    measure_gets(bench, "get of an absent key, files", "absent-");
    measure(bench, "iterator: create, seek, 20 rows, files", iterators_count(bench), iterators);
    measure_applies(bench, "apply, one record, beside files", 1);
    measure_gets(bench, "get, memtable or block cache", "018f3a1c-");
    measure(bench, "statistics", STATISTICS_READS, statistics);
    printf("memtable %.1f MiB, files %.1f MiB, block cache %.1f MiB, %llu reads not in memory\n",
           (double)bench->statistics.memtable_bytes / 1048576.0,
           (double)bench->statistics.files_bytes / 1048576.0,
           (double)bench->statistics.block_cache_bytes / 1048576.0,
           (unsigned long long)bench->blocked);
    printf("result %016llx\n", (unsigned long long)bench->result);
}

/* ---- life ---- */

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char name[PATH_BYTES + 256];
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        unlink(name);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(path);
}

static enum status open_store(struct bench *bench, const char *parent, bool is_memory)
{
    if (is_memory) {
        return store_memory_open(&bench->store);
    }
    char text[TEXT_BYTES] = "";
    snprintf(bench->path, sizeof(bench->path), "%s/freshet-bench-XXXXXX", parent);
    if (mkdtemp(bench->path) == NULL) {
        return STATUS_IO_ERROR;
    }
    bench->cache = store_block_cache_create(BLOCK_CACHE_BYTES);
    const struct store_options options = {.path = bench->path, .block_cache = bench->cache};
    enum status status = store_rocksdb_open(&options, &bench->store, text, sizeof(text));
    fprintf(stderr, "%s", text);
    return status;
}

int main(int argc, char **argv)
{
    static struct bench bench = {
        .records = 100000, .operations = 100000, .random = 88172645463325252u};
    const char *parent = "/tmp";
    bool is_memory = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--small") == 0) {
            bench.records = 2000;
            bench.operations = 2000;
        } else if (strcmp(argv[i], "--memory") == 0) {
            is_memory = true;
        } else if (strcmp(argv[i], "--path") == 0 && i + 1 < argc) {
            parent = argv[++i];
        } else {
            fprintf(stderr, "usage: micro_store [--small] [--path DIR] [--memory]\n");
            return 2;
        }
    }
    for (size_t i = 0; i < sizeof(bench.document); i++) {
        bench.document[i] = (uint8_t)(random_next(&bench) % 64 + 32);
    }
    if (open_store(&bench, parent, is_memory) != STATUS_OK) {
        fprintf(stderr, "no store could be opened below %s\n", parent);
        return 1;
    }
    bench.batch = store_batch_create(bench.store);
    run(&bench);
    bench.store->vtable->batch_destroy(bench.batch);
    store_destroy(&bench.store);
    store_block_cache_destroy(&bench.cache);
    if (!is_memory) {
        folder_remove(bench.path);
    }
    return 0;
}
