/*
 * journal_client.h: a submitter of entries for tests. It makes entries whose content tells which
 * number they are, remembers what became of each, and checks the rules of journal.h on the way.
 *
 * Owner:  one thread, which is also the journal's.
 */
#ifndef FRESHET_TESTS_SUPPORT_JOURNAL_CLIENT_H
#define FRESHET_TESTS_SUPPORT_JOURNAL_CLIENT_H

#include "engine/journal/journal.h"

#define JOURNAL_CLIENT_PENDING ((enum status)UINT32_MAX)

struct journal_client_commit {
    struct journal_commit commit;
    struct journal_client *client;
    uint64_t number;    /* counts from 0 */
    enum status status; /* JOURNAL_CLIENT_PENDING until it completes */
};

struct journal_client {
    struct journal *journal; /* the caller may exchange it between runs */
    struct waker waker;
    struct mailbox mailbox;
    struct journal_client_commit **commits;
    uint64_t commit_count;
    uint64_t commit_capacity;
    uint64_t completed;  /* how many of them have completed */
    uint64_t next_reply; /* the number that must complete next */
    uint64_t refusals[SHARD_COUNT_MAX];
    uint64_t last_sequence;
    uint64_t last_time_ms;
    uint32_t shard;
    struct journal_sync sync;
    bool sync_pending;
};

void journal_client_init(struct journal_client *client, struct journal *journal);
void journal_client_deinit(struct journal_client *client);
/* Submits an entry for the next number, with that many bytes of document. */
void journal_client_submit(struct journal_client *client, size_t document_bytes);
void journal_client_sync(struct journal_client *client);
/* Receives what has completed; asserts order, contiguous sequences, times, and committed >= each
 * OK. */
size_t journal_client_receive(struct journal_client *client);
/* Forgets what is pending, as a process that dies does: their status becomes OUTCOME_UNKNOWN. */
void journal_client_crash(struct journal_client *client);

/* The number in an entry made by journal_client_submit; asserts that its document is right for its
 * number. */
uint64_t journal_client_number(const struct entry *entry);

#endif
