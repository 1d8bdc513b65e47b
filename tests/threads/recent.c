/*
 * One thread writes a journal and others follow it through its recent entries, each at its own
 * pace: one always at the tail, one that holds its cursor while blocks go, one that begins
 * anywhere. Whose place is gone reads from the journal until it finds it again. Under TSan what
 * they share is seen to be shared by its rules.
 *
 * Prints what was done; exit 0 when each follower saw every entry once, in order and whole.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/journal/journal.h"
#include "protocol/base/assert.h"
#include "tests/support/journal_client.h"

#define COMMITS     20000u
#define PENDING_MAX 64u
/* The writer waits for the one at the tail, so that this one is at the tail. */
#define AHEAD_MAX 500u
/* The buffer is as small as can be: 512 KiB, of entries with 350 bytes of document on average. */
#define GONE_AFTER 1600u

enum pace { AT_THE_TAIL, HOLDS_ITS_CURSOR, BEGINS_ANYWHERE, PACE_COUNT };

struct shared {
    struct journal *journal;
    atomic_uint following;
};

struct follower {
    struct shared *shared;
    enum pace pace;
    _Atomic uint64_t next; /* the writer looks at it */
    uint64_t from_memory;
    uint64_t from_journal;
    uint64_t expired;
};

static void saw(struct follower *follower, const struct entry *entry)
{
    ASSERT(entry->sequence == follower->next);
    ASSERT(entry->epoch == follower->shared->journal->epoch);
    (void)journal_client_number(entry);
    follower->next++;
}

/* The long way, some entries at a time. */
static void read_older(struct follower *follower)
{
    struct journal_reader *reader;
    enum status status = journal_reader_create(follower->shared->journal, follower->next, &reader);
    ASSERT(status == STATUS_OK);
    struct entry entry;
    for (int i = 0;
         i < 500 && journal_reader_next(follower->shared->journal, reader, &entry) == STATUS_OK;
         i++) {
        saw(follower, &entry);
        follower->from_journal++;
    }
    journal_reader_destroy(follower->shared->journal, reader);
}

/* Until the writer has gone on by more than the buffer holds. */
static void writer_wait(const struct follower *follower)
{
    const struct journal *journal = follower->shared->journal;
    uint64_t until = follower->next + GONE_AFTER;
    while (journal_committed(journal) < (until < COMMITS ? until : COMMITS)) {
        sched_yield();
    }
}

static void read_recent(struct follower *follower, struct recent_cursor *cursor, uint64_t through)
{
    struct recent *recent = follower->shared->journal->recent;
    enum status status = recent_seek(recent, follower->next, cursor);
    ASSERT(status == STATUS_OK || status == STATUS_POSITION_EXPIRED);
    if (status == STATUS_POSITION_EXPIRED) {
        follower->expired++;
        read_older(follower);
        return;
    }
    struct entry entry;
    uint32_t count = 0;
    while (recent_next(recent, cursor, through, &entry)) {
        saw(follower, &entry);
        follower->from_memory++;
        if (follower->pace == HOLDS_ITS_CURSOR && follower->from_memory % 1000 == 0) {
            writer_wait(follower); /* blocks go meanwhile, this one stays */
        }
        if (follower->pace == BEGINS_ANYWHERE && ++count == 37) {
            recent_release(cursor);
            return;
        }
    }
}

static void *follow(void *context)
{
    struct follower *follower = context;
    struct recent_cursor cursor = {.block = NULL};
    while (follower->next <= COMMITS) {
        uint64_t through = journal_committed(follower->shared->journal);
        if (follower->next <= through) {
            read_recent(follower, &cursor, through);
        }
        if (follower->pace != HOLDS_ITS_CURSOR) {
            recent_release(&cursor);
        }
    }
    recent_release(&cursor);
    atomic_fetch_sub(&follower->shared->following, 1);
    return NULL;
}

int main(void)
{
    const struct journal_options options = {.shard_count = 1, .batch_bytes_max = 1u << 20};
    struct shared shared = {.following = PACE_COUNT};
    enum status status = journal_memory_open(&options, &shared.journal);
    ASSERT(status == STATUS_OK);
    struct follower followers[PACE_COUNT];
    pthread_t threads[PACE_COUNT];
    for (int i = 0; i < PACE_COUNT; i++) {
        followers[i] = (struct follower){.shared = &shared, .pace = (enum pace)i};
        atomic_init(&followers[i].next, 1);
        int failed = pthread_create(&threads[i], NULL, follow, &followers[i]);
        ASSERT(failed == 0);
    }
    struct journal_client client;
    journal_client_init(&client, shared.journal);
    for (uint64_t now_ns = 1; atomic_load(&shared.following) > 0; now_ns += 1000000) {
        while (client.commit_count < COMMITS &&
               client.commit_count < atomic_load(&followers[AT_THE_TAIL].next) + AHEAD_MAX &&
               client.commit_count - client.completed < PENDING_MAX) {
            journal_client_submit(&client, client.commit_count % 700);
        }
        journal_step(shared.journal, now_ns, now_ns / 1000000);
        journal_client_receive(&client);
    }
    for (int i = 0; i < PACE_COUNT; i++) {
        pthread_join(threads[i], NULL);
        ASSERT(followers[i].from_memory + followers[i].from_journal == COMMITS);
        ASSERT(i != AT_THE_TAIL || followers[i].from_journal == 0);
        printf("follower %d: %lu from memory, %lu from the journal, %lu places gone\n", i,
               (unsigned long)followers[i].from_memory, (unsigned long)followers[i].from_journal,
               (unsigned long)followers[i].expired);
    }
    journal_close(shared.journal);
    journal_client_deinit(&client);
    return 0;
}
