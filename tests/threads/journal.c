/*
 * Several threads submit and read while one writes: under TSan, what the journal shares is seen to
 * be shared by its rules. Segments are small and recycled all the time, so that readers also find
 * their place gone.
 *
 * Prints what was done; exit 0 when every reader saw contiguous sequences and whole entries.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"
#include "engine/journal/journal.h"
#include "protocol/base/assert.h"
#include "tests/support/journal_client.h"

#define SUBMITTERS    3u
#define READERS       2u
#define COMMITS       2000u
#define SEGMENT_BYTES (64u * 1024)
/* So many may be on their way, as admission bounds them in the server. */
#define PENDING_MAX 64u

struct shared {
    struct journal *journal;
    atomic_uint submitting;
    atomic_bool written;
    atomic_uint_fast64_t read;
    atomic_uint_fast64_t expired;
};

struct submitter {
    struct shared *shared;
    struct journal_client client;
};

static void *submit_all(void *context)
{
    struct submitter *submitter = context;
    struct journal_client *client = &submitter->client;
    while (client->completed < COMMITS) {
        uint64_t pending = client->commit_count - client->completed;
        if (client->commit_count < COMMITS && pending < PENDING_MAX) {
            journal_client_submit(client, client->commit_count % 700);
        }
        journal_client_receive(client);
    }
    atomic_fetch_sub(&submitter->shared->submitting, 1);
    return NULL;
}

/* From the oldest there is, to the end; again from the oldest when its place is gone. */
static void read_once(struct shared *shared)
{
    struct journal_statistics statistics;
    journal_statistics_read(shared->journal, &statistics);
    struct journal_reader *reader;
    uint64_t sequence = statistics.oldest_sequence == 0 ? 1 : statistics.oldest_sequence;
    enum status status = journal_reader_create(shared->journal, sequence, &reader);
    if (status == STATUS_POSITION_EXPIRED) {
        atomic_fetch_add(&shared->expired, 1);
        return;
    }
    ASSERT(status == STATUS_OK);
    struct entry entry;
    while ((status = journal_reader_next(shared->journal, reader, &entry)) == STATUS_OK) {
        ASSERT(entry.sequence == sequence);
        (void)journal_client_number(&entry);
        sequence++;
        atomic_fetch_add(&shared->read, 1);
    }
    ASSERT(status == STATUS_NOT_FOUND || status == STATUS_POSITION_EXPIRED);
    atomic_fetch_add(&shared->expired, status == STATUS_POSITION_EXPIRED ? 1 : 0);
    journal_reader_destroy(shared->journal, reader);
}

static void *read_all(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->written)) {
        read_once(shared);
    }
    return NULL;
}

static void write_all(struct shared *shared, struct disk *disk)
{
    for (uint64_t now_ns = 1;
         atomic_load(&shared->submitting) > 0 || !journal_idle(shared->journal);
         now_ns += 1000000) {
        journal_step(shared->journal, now_ns, now_ns / 1000000);
        disk_blocking_step(disk);
        journal_retain(shared->journal, journal_committed(shared->journal));
    }
    atomic_store(&shared->written, true);
}

static enum status remove_one(void *context, const char *name)
{
    struct disk *disk = context;
    return disk->vtable->remove(disk, name);
}

static struct journal *open_journal(struct disk *disk)
{
    struct journal_options options = {.durability = JOURNAL_NONE,
                                      .segment_bytes = SEGMENT_BYTES,
                                      .retention_bytes = 4 * SEGMENT_BYTES,
                                      .retention_ms = UINT64_MAX,
                                      .batch_bytes_max = 16 * 1024,
                                      .entry_bytes_max = 4096,
                                      .shard_count = SUBMITTERS,
                                      .disk = disk};
    struct journal *journal;
    struct journal_problem problem;
    enum status status = journal_segments_open(&options, NULL, &journal, &problem);
    ASSERT(status == STATUS_OK);
    return journal;
}

int main(void)
{
    char folder[] = "/tmp/freshet-threads-XXXXXX";
    const char *made = mkdtemp(folder);
    ASSERT(made != NULL);
    struct disk_blocking_options options = {.folder = folder};
    struct disk *disk;
    enum status status = disk_blocking_create(&options, &disk);
    ASSERT(status == STATUS_OK);
    struct shared shared = {.journal = open_journal(disk)};
    atomic_store(&shared.submitting, SUBMITTERS);

    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS + READERS];
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i].shared = &shared;
        journal_client_init(&submitters[i].client, shared.journal);
        submitters[i].client.shard = i;
        int failed = pthread_create(&threads[i], NULL, submit_all, &submitters[i]);
        ASSERT(failed == 0);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        int failed = pthread_create(&threads[SUBMITTERS + i], NULL, read_all, &shared);
        ASSERT(failed == 0);
    }
    write_all(&shared, disk);
    for (uint32_t i = 0; i < SUBMITTERS + READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ASSERT(journal_committed(shared.journal) == SUBMITTERS * COMMITS);
    read_once(&shared);
    printf("%u commits, %lu entries read, %lu places gone\n", SUBMITTERS * COMMITS,
           (unsigned long)atomic_load(&shared.read), (unsigned long)atomic_load(&shared.expired));
    journal_close(shared.journal);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        journal_client_deinit(&submitters[i].client);
    }
    status = disk->vtable->list(disk, remove_one, disk);
    ASSERT(status == STATUS_OK);
    disk->vtable->destroy(disk);
    rmdir(folder);
    return 0;
}
