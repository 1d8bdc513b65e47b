#include "tests/support/journal_client.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

#define COMMITS_FIRST 64u

static void client_wake(struct waker *waker)
{
    (void)waker;
}

void journal_client_init(struct journal_client *client, struct journal *journal)
{
    *client = (struct journal_client){.journal = journal};
    client->waker.wake = client_wake;
    mailbox_init(&client->mailbox, &client->waker);
}

void journal_client_deinit(struct journal_client *client)
{
    for (uint64_t i = 0; i < client->commit_count; i++) {
        free((void *)client->commits[i]->commit.entry.data);
        free(client->commits[i]);
    }
    free(client->commits);
    *client = (struct journal_client){0};
}

/* Byte i of the document of a number: not periodic in blocks, so that exchanged blocks are seen. */
static uint8_t document_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7 + (i >> 8) * 13);
}

static struct bytes entry_of_number(uint64_t number, uint32_t shard, size_t document_bytes)
{
    uint8_t id[8];
    put_u64(id, number);
    uint8_t *document = malloc(document_bytes + 1);
    ASSERT(document != NULL);
    for (size_t i = 0; i < document_bytes; i++) {
        document[i] = document_byte(number, i);
    }
    struct entry entry = {.kind = ENTRY_PUT,
                          .slot = (uint8_t)shard,
                          .collection = BYTES_LITERAL("pets"),
                          .id = bytes_of(id, sizeof(id)),
                          .version = number + 1,
                          .new_document = bytes_of(document, document_bytes)};
    size_t size = entry_encoded_size(&entry);
    uint8_t *encoded = malloc(size);
    ASSERT(encoded != NULL);
    struct writer writer = writer_of(encoded, size);
    enum status status = entry_encode(&entry, &writer);
    ASSERT(status == STATUS_OK);
    free(document);
    return writer_bytes(&writer);
}

uint64_t journal_client_number(const struct entry *entry)
{
    ASSERT(entry->id.size == 8);
    uint64_t number = get_u64(entry->id.data);
    ASSERT(entry->version == number + 1);
    for (size_t i = 0; i < entry->new_document.size; i++) {
        ASSERT(entry->new_document.data[i] == document_byte(number, i));
    }
    return number;
}

static void client_commit_received(struct message *message)
{
    struct journal_commit *commit = CONTAINER_OF(message, struct journal_commit, message);
    struct journal_client_commit *own = CONTAINER_OF(commit, struct journal_client_commit, commit);
    struct journal_client *client = own->client;
    ASSERT(own->status == JOURNAL_CLIENT_PENDING);
    ASSERT(own->number == client->next_reply);
    client->next_reply++;
    client->completed++;
    own->status = commit->status;
    client->refusals[commit->shard] = commit->refusals;
    if (commit->status == STATUS_OK) {
        ASSERT(commit->sequence > client->last_sequence);
        ASSERT(commit->time_ms >= client->last_time_ms);
        ASSERT(commit->epoch == client->journal->epoch);
        ASSERT(journal_committed(client->journal) >= commit->sequence);
        ASSERT(journal_shard_committed(client->journal, commit->shard) >= commit->sequence);
        client->last_sequence = commit->sequence;
        client->last_time_ms = commit->time_ms;
    }
}

void journal_client_submit(struct journal_client *client, size_t document_bytes)
{
    if (client->commit_count == client->commit_capacity) {
        client->commit_capacity =
            client->commit_capacity == 0 ? COMMITS_FIRST : 2 * client->commit_capacity;
        client->commits =
            realloc(client->commits, client->commit_capacity * sizeof(*client->commits));
        ASSERT(client->commits != NULL);
    }
    struct journal_client_commit *own = calloc(1, sizeof(*own));
    ASSERT(own != NULL);
    own->client = client;
    own->number = client->commit_count;
    own->status = JOURNAL_CLIENT_PENDING;
    own->commit.message.receive = client_commit_received;
    own->commit.reply_to = &client->mailbox;
    own->commit.shard = client->shard;
    own->commit.refusals = client->refusals[client->shard];
    own->commit.entry = entry_of_number(own->number, client->shard, document_bytes);
    client->commits[client->commit_count++] = own;
    journal_submit(client->journal, &own->commit);
}

static void client_sync_received(struct message *message)
{
    struct journal_sync *sync = CONTAINER_OF(message, struct journal_sync, message);
    struct journal_client *client = CONTAINER_OF(sync, struct journal_client, sync);
    ASSERT(client->sync_pending);
    client->sync_pending = false;
}

void journal_client_sync(struct journal_client *client)
{
    ASSERT(!client->sync_pending);
    client->sync_pending = true;
    client->sync = (struct journal_sync){.message = {.receive = client_sync_received},
                                         .reply_to = &client->mailbox};
    journal_sync_submit(client->journal, &client->sync);
}

size_t journal_client_receive(struct journal_client *client)
{
    return mailbox_deliver(&client->mailbox);
}

void journal_client_crash(struct journal_client *client)
{
    mailbox_init(&client->mailbox, &client->waker);
    for (uint64_t i = client->next_reply; i < client->commit_count; i++) {
        client->commits[i]->status = STATUS_OUTCOME_UNKNOWN;
    }
    client->completed = client->commit_count;
    client->next_reply = client->commit_count;
    memset(client->refusals, 0, sizeof(client->refusals));
    client->last_sequence = 0;
    client->sync_pending = false;
}
