#include "engine/journal/journal_internal.h"

#include "protocol/base/assert.h"

static void quiet_wake(struct waker *waker)
{
    (void)waker;
}

void journal_base_init(struct journal *journal, const struct journal_vtable *vtable,
                       struct waker *waker)
{
    ASSERT(journal != NULL);
    ASSERT(vtable != NULL);
    journal->vtable = vtable;
    atomic_init(&journal->committed, 0);
    atomic_init(&journal->durable, 0);
    for (uint32_t i = 0; i < SHARD_COUNT_MAX; i++) {
        atomic_init(&journal->shard_committed[i], 0);
    }
    atomic_init(&journal->refusing, 0);
    atomic_init(&journal->read_only, false);
    atomic_init(&journal->queued_bytes, 0);
    journal->quiet.wake = quiet_wake;
    mailbox_init(&journal->inbox, waker != NULL ? waker : &journal->quiet);
}

void journal_commit_post(struct journal *journal, struct journal_commit *commit,
                         void (*receive)(struct message *message))
{
    ASSERT(commit->message.receive != NULL);
    ASSERT(commit->reply_to != NULL);
    ASSERT(commit->shard < SHARD_COUNT_MAX);
    ASSERT(commit->entry.size > ENTRY_HEADER_BYTES);
    commit->journal = journal;
    commit->reply = commit->message.receive;
    commit->message.receive = receive;
    commit->sequence = 0;
    atomic_fetch_add_explicit(&journal->queued_bytes, commit->entry.size, memory_order_relaxed);
    mailbox_send(&journal->inbox, &commit->message);
}

void journal_sync_post(struct journal *journal, struct journal_sync *sync,
                       void (*receive)(struct message *message))
{
    ASSERT(sync->message.receive != NULL);
    ASSERT(sync->reply_to != NULL);
    sync->journal = journal;
    sync->reply = sync->message.receive;
    sync->message.receive = receive;
    sync->target_sequence = journal_committed(journal);
    mailbox_send(&journal->inbox, &sync->message);
}

static void replies_add(struct journal_replies *replies, struct mailbox *mailbox,
                        struct message *message)
{
    message->next = NULL;
    /* The last chain first: neighbours in a batch often come from one thread. */
    for (uint32_t i = replies->count; i > 0; i--) {
        if (replies->chains[i - 1].mailbox == mailbox) {
            replies->chains[i - 1].last->next = message;
            replies->chains[i - 1].last = message;
            return;
        }
    }
    if (replies->count == JOURNAL_CHAINS_MAX) {
        journal_replies_post(replies);
    }
    ASSERT(replies->count < JOURNAL_CHAINS_MAX);
    replies->chains[replies->count].mailbox = mailbox;
    replies->chains[replies->count].first = message;
    replies->chains[replies->count].last = message;
    replies->count++;
}

void journal_commit_reply(struct journal_replies *replies, struct journal_commit *commit,
                          enum status status)
{
    ASSERT(commit->reply != NULL);
    ASSERT(status != STATUS_OK || commit->sequence > 0);
    commit->status = status;
    atomic_fetch_sub_explicit(&commit->journal->queued_bytes, commit->entry.size,
                              memory_order_relaxed);
    commit->message.receive = commit->reply;
    commit->reply = NULL;
    replies_add(replies, commit->reply_to, &commit->message);
}

void journal_sync_reply(struct journal_replies *replies, struct journal_sync *sync,
                        enum status status, uint64_t durable_sequence)
{
    ASSERT(sync->reply != NULL);
    ASSERT(status != STATUS_OK || durable_sequence >= sync->target_sequence);
    sync->status = status;
    sync->durable_sequence = durable_sequence;
    sync->message.receive = sync->reply;
    sync->reply = NULL;
    replies_add(replies, sync->reply_to, &sync->message);
}

void journal_replies_post(struct journal_replies *replies)
{
    for (uint32_t i = 0; i < replies->count; i++) {
        struct mailbox *mailbox = replies->chains[i].mailbox;
        if (mailbox_post_chain(mailbox, replies->chains[i].first, replies->chains[i].last)) {
            mailbox_ring(mailbox);
        }
    }
    replies->count = 0;
}

bool journal_refusals_pass(uint64_t *shard_refusals, struct journal_commit *commit, bool refuse)
{
    ASSERT(commit->refusals <= *shard_refusals);
    bool unaware = commit->refusals < *shard_refusals;
#ifdef FRESHET_PLANT_REFUSALS_FORGOTTEN
    unaware = false;
#endif
    if (refuse && !unaware) {
        ++*shard_refusals;
    }
    commit->refusals = *shard_refusals;
    return !refuse && !unaware;
}

enum status journal_fold(struct journal *journal, struct journal_reader *reader,
                         enum status (*visit)(void *context, const struct entry *entry),
                         void *context)
{
    for (;;) {
        struct entry entry;
        enum status status = journal_reader_next(journal, reader, &entry);
        if (status == STATUS_NOT_FOUND) {
            return STATUS_OK;
        }
        if (status == STATUS_OK) {
            status = visit(context, &entry);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
}
