/*
 * journal_internal.h: what the implementations of the journal share: the way of a commit from its
 * submitter to the writer and back. Only engine/journal and tests/support include it.
 *
 * A commit travels in its own message. On the way in, `receive` is the writer's and the submitter's
 * waits in `reply`; on the way back they change places again.
 */
#ifndef FRESHET_ENGINE_JOURNAL_JOURNAL_INTERNAL_H
#define FRESHET_ENGINE_JOURNAL_JOURNAL_INTERNAL_H

#include "engine/journal/journal.h"

/* Mailboxes with a chain of completions at once; more than threads, so that it never overflows in
 * practice. */
#define JOURNAL_CHAINS_MAX (THREAD_COUNT_MAX + 1)

/* Completions of one batch, chained by mailbox, so that each receiver is posted to and rung
 * once. */
struct journal_replies {
    struct {
        struct mailbox *mailbox;
        struct message *first;
        struct message *last;
    } chains[JOURNAL_CHAINS_MAX];
    uint32_t count;
};

/* Zeroes the shared part and sets it up; epoch and store_id are the caller's to fill. */
void journal_base_init(struct journal *journal, const struct journal_vtable *vtable,
                       struct waker *waker);

/* From any thread: to the writer's inbox, where receive runs. */
void journal_commit_post(struct journal *journal, struct journal_commit *commit,
                         void (*receive)(struct message *message));
void journal_sync_post(struct journal *journal, struct journal_sync *sync,
                       void (*receive)(struct message *message));

static inline struct journal_commit *journal_commit_of(struct message *message)
{
    return CONTAINER_OF(message, struct journal_commit, message);
}

static inline struct journal_sync *journal_sync_of(struct message *message)
{
    return CONTAINER_OF(message, struct journal_sync, message);
}

/* On the writer. The commit or sync is untouchable after journal_replies_post. */
void journal_commit_reply(struct journal_replies *replies, struct journal_commit *commit,
                          enum status status);
void journal_sync_reply(struct journal_replies *replies, struct journal_sync *sync,
                        enum status status, uint64_t durable_sequence);
void journal_replies_post(struct journal_replies *replies);

/* The rule of journal_commit.refusals: true when this commit may be taken; else it is counted as
 * refused. */
bool journal_refusals_pass(uint64_t *shard_refusals, struct journal_commit *commit, bool refuse);

/* For the faulty journal of the tests, which keeps its entries in one in memory: adds an entry
 * without a commit and returns its time, or 0 when memory is full; and makes what was added
 * visible. */
uint64_t journal_memory_append(struct journal *journal, struct bytes entry, uint64_t wall_ms);
void journal_memory_publish(struct journal *journal);
enum status journal_memory_reader_next(struct journal_reader *reader, struct entry *entry_out);
void journal_memory_reader_destroy(struct journal_reader *reader);

#endif
