#include "tests/stream/follower.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/stream/token.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define EVENT_WAIT_MS 30000
/* Of events, on average, until a follower is killed. */
#define KILL_EVERY 20000
/* Changes that a reader reads behind at a time, when so many have come at once.
 */
#define READ_BATCH 32
/* Tails behind a snapshot are so long on average. */
#define TAIL_EVENTS 5000

struct change_seen {
    uint64_t sequence;
    uint32_t key;
    bool has_new;
    bool has_old;
    uint32_t new_value;
    uint32_t old_value;
    struct bytes name;
};

static enum status fault(const struct follower *follower, const char *what, struct bytes text)
{
    fprintf(stderr, "stream: follower of kind %d, behind %llu: %s: %.*s\n",
            (int)follower->options.kind, (unsigned long long)follower->last_sequence, what,
            (int)(text.size > 500 ? 500 : text.size),
            text.data == NULL ? "" : (const char *)text.data);
    return STATUS_INVALID;
}

/* ---- a change out of its JSON ---- */

static bool member_text(struct bytes event, const char *name, struct bytes *out)
{
    struct bytes value;
    return document_find(event, bytes_of_text(name), &value) && document_string(value, out);
}

static bool image_value(struct bytes event, const char *name, bool *has_out, uint32_t *value_out)
{
    const struct bytes path[] = {bytes_of_text(name), BYTES_LITERAL("value")};
    struct bytes value;
    uint64_t number = 0;
    *has_out = document_find(event, path[0], &value);
    if (!*has_out) {
        return true;
    }
    bool good = document_find_path(event, path, 2, &value) && document_u64(value, &number);
    *value_out = (uint32_t)number;
    return good;
}

static bool change_read(struct bytes event, struct change_seen *out)
{
    static const struct bytes keys_id[] = {{(const uint8_t *)"keys", 4},
                                           {(const uint8_t *)"id", 2}};
    struct bytes value;
    struct bytes id;
    *out = (struct change_seen){.sequence = 0};
    if (!document_find(event, BYTES_LITERAL("sequence"), &value) ||
        !document_u64(value, &out->sequence) || !member_text(event, "eventName", &out->name) ||
        !document_find_path(event, keys_id, 2, &value) || !document_string(value, &id) ||
        id.size != KEY_BYTES) {
        return false;
    }
    char digits[KEY_BYTES + 1] = {0};
    memcpy(digits, id.data, KEY_BYTES);
    out->key = (uint32_t)strtoul(digits + 1, NULL, 10);
    return out->key < KEY_COUNT && image_value(event, "newImage", &out->has_new, &out->new_value) &&
           image_value(event, "oldImage", &out->has_old, &out->old_value);
}

/* ---- the fold ---- */

static enum status seen_note(struct follower *follower, const struct change_seen *change)
{
    if (follower->options.kind == FOLLOW_SNAPSHOT) {
        return STATUS_OK;
    }
    if (follower->seen_count == follower->options.changes_max) {
        return fault(follower, "more changes than writes", BYTES_EMPTY);
    }
    follower->seen[follower->seen_count++] =
        (struct seen){change->sequence, change->key, change->has_new ? change->new_value : 0};
    return STATUS_OK;
}

static enum status change_fold(struct follower *follower, const struct change_seen *change,
                               struct bytes text)
{
    uint32_t *value = &follower->values[change->key];
    if (change->sequence <= follower->last_sequence) {
        return fault(follower, "a change came twice, or out of order", text);
    }
    const char *wanted = !change->has_new ? "REMOVE" : *value == 0 ? "INSERT" : "MODIFY";
    if (!bytes_equal(change->name, bytes_of_text(wanted))) {
        return fault(follower, "the name of the event does not fit the fold", text);
    }
    if (change->has_old != (*value != 0) || change->old_value != *value) {
        return fault(follower, "the old image is not what the fold has", text);
    }
    if (change->has_new && change->new_value == *value) {
        return fault(follower, "a change that changes nothing", text);
    }
    if (!change->has_new && follower->absent_at[change->key] != 0 &&
        change->sequence > follower->absent_at[change->key]) {
        follower->absent_at[change->key] = 0;
    }
    *value = change->has_new ? change->new_value : 0;
    follower->last_sequence = change->sequence;
    return seen_note(follower, change);
}

static void id_note(struct follower *follower, struct bytes id)
{
    if (id.size > 0 && id.size < sizeof(follower->last_id)) {
        memcpy(follower->last_id, id.data, id.size);
        follower->last_id_size = id.size;
    }
}

static enum status change_take(struct follower *follower, struct bytes json,
                               struct change_seen *out)
{
    uint8_t memory[4096];
    struct writer document = writer_of(memory, sizeof(memory));
    if (json_to_document(json, &document, NULL) != STATUS_OK ||
        !change_read(writer_bytes(&document), out)) {
        return fault(follower, "this is no change", json);
    }
    enum status status = change_fold(follower, out, json);
    out->name = BYTES_EMPTY; /* it viewed the stack */
    return status;
}

/* ---- reading behind the changes ---- */

static enum status read_judge(struct follower *follower, const struct change_seen *change,
                              const struct peer_answer *answer)
{
    follower->reads++;
    if (answer->status == 200 && answer->tag_sequence >= change->sequence) {
        return STATUS_OK;
    }
    if (answer->status == 404) {
        if (follower->values[change->key] != 0) {
            follower->absent_at[change->key] = follower->last_sequence;
        }
        return STATUS_OK;
    }
    char text[200];
    int size = snprintf(text, sizeof(text), "change %llu of key %u, read %u with sequence %llu",
                        (unsigned long long)change->sequence, change->key, answer->status,
                        (unsigned long long)answer->tag_sequence);
    return fault(follower, "a read shows an older state than the change received before",
                 bytes_of(text, (size_t)size));
}

static enum status read_behind(struct follower *follower, const struct change_seen *changes,
                               uint32_t count)
{
    char request[READ_BATCH * 96];
    size_t size = 0;
    struct peer *reader = &follower->readers[random_next(&follower->random) % READER_CONNECTIONS];
    for (uint32_t i = 0; i < count; i++) {
        size += (size_t)snprintf(request + size, sizeof(request) - size,
                                 "GET /pets/" KEY_FORMAT " HTTP/1.1\r\nHost: s\r\n\r\n",
                                 changes[i].key);
    }
    enum status status = peer_send(reader, bytes_of(request, size));
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct peer_answer answer;
        status = peer_answer(reader, &answer);
        if (status == STATUS_OK) {
            status = read_judge(follower, &changes[i], &answer);
        }
    }
    return status;
}

/* ---- following ---- */

static bool at_end(const struct follower *follower)
{
    uint64_t end = atomic_load(follower->options.end_sequence);
    return end > 0 && follower->last_sequence >= end;
}

static bool dice(struct follower *follower, uint32_t sides)
{
    return random_next(&follower->random) % sides == 0;
}

static enum status reconnect(struct follower *follower, const char *target)
{
    peer_close(&follower->peer);
    enum status status = peer_open(follower->options.port, &follower->peer);
    return status == STATUS_OK ? peer_stream(&follower->peer, target,
                                             bytes_of(follower->last_id, follower->last_id_size))
                               : status;
}

/* A position in a token that is not a change's: how far the follower is all the
 * same. */
static void progress_note(struct follower *follower, struct bytes id)
{
    struct token token;
    if (token_read(id, &token) == STATUS_OK && token.position.sequence > follower->last_sequence) {
        follower->last_sequence = token.position.sequence;
    }
}

static bool is_change(struct bytes name)
{
    return bytes_equal(name, BYTES_LITERAL("insert")) ||
           bytes_equal(name, BYTES_LITERAL("modify")) || bytes_equal(name, BYTES_LITERAL("remove"));
}

static enum status event_take(struct follower *follower, const struct peer_event *event,
                              struct change_seen *change_out, bool *changed_out)
{
    *changed_out = is_change(event->name);
    enum status status = STATUS_OK;
    if (*changed_out) {
        status = change_take(follower, event->data, change_out);
    } else if (bytes_equal(event->name, BYTES_LITERAL("progress"))) {
        progress_note(follower, event->id);
    } else {
        return fault(follower, "an event that should not come", event->name);
    }
    id_note(follower, event->id);
    return status;
}

static enum status tail_run(struct follower *follower)
{
    static const char target[] = "/changes?collection=pets&from=earliest";
    bool reads = follower->options.kind == FOLLOW_READER;
    struct change_seen behind[READ_BATCH];
    uint32_t behind_count = 0;
    enum status status = reconnect(follower, target);
    while (status == STATUS_OK && !at_end(follower)) {
        struct peer_event event;
        status = peer_event(&follower->peer, EVENT_WAIT_MS, &event);
        bool changed = false;
        if (status == STATUS_OK) {
            status = event_take(follower, &event, &behind[behind_count], &changed);
        } else {
            (void)fault(follower, "the stream has ended", bytes_of_text(status_text(status)));
        }
        behind_count += reads && changed ? 1 : 0;
        if (behind_count == READ_BATCH ||
            (behind_count > 0 && !peer_event_waits(&follower->peer))) {
            status = status == STATUS_OK ? read_behind(follower, behind, behind_count) : status;
            behind_count = 0;
        }
        if (status == STATUS_OK && dice(follower, KILL_EVERY)) {
            follower->kills++;
            status = reconnect(follower, target);
        }
    }
    return status;
}

static enum status page_fold(struct follower *follower, struct bytes page)
{
    struct bytes changes;
    struct bytes next;
    struct document_cursor cursor;
    if (!document_find(page, BYTES_LITERAL("changes"), &changes) ||
        !document_cursor_open(changes, &cursor) || !member_text(page, "next", &next)) {
        return fault(follower, "this is no page", BYTES_EMPTY);
    }
    struct bytes value;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_element(&cursor, &value)) {
        struct change_seen change;
        status = change_read(value, &change) ? change_fold(follower, &change, BYTES_EMPTY)
                                             : fault(follower, "this is no change", BYTES_EMPTY);
    }
    id_note(follower, next);
    progress_note(follower, next);
    return status;
}

static enum status pages_run(struct follower *follower)
{
    uint8_t *memory = malloc(PEER_BYTES_MAX);
    enum status status =
        memory == NULL ? STATUS_NO_MEMORY : peer_open(follower->options.port, &follower->peer);
    memcpy(follower->last_id, "earliest", 8);
    follower->last_id_size = 8;
    while (status == STATUS_OK && !at_end(follower)) {
        char request[2048];
        int size = snprintf(request, sizeof(request),
                            "GET /changes?collection=pets&from=%.*s&limit=%u&wait=1s "
                            "HTTP/1.1\r\nHost: s\r\n\r\n",
                            (int)follower->last_id_size, follower->last_id,
                            1 + (uint32_t)(random_next(&follower->random) % 1000));
        struct peer_answer answer = {.status = 0};
        status = peer_send(&follower->peer, bytes_of(request, (size_t)size));
        status = status == STATUS_OK ? peer_answer(&follower->peer, &answer) : status;
        struct writer page = writer_of(memory, PEER_BYTES_MAX);
        if (status == STATUS_OK &&
            (answer.status != 200 || json_to_document(answer.body, &page, NULL) != STATUS_OK)) {
            status = fault(follower, "this is no page", answer.body);
        }
        status = status == STATUS_OK ? page_fold(follower, writer_bytes(&page)) : status;
    }
    free(memory);
    return status;
}

/* ---- snapshots ---- */

static enum status picture_take(struct follower *follower, bool at_synced)
{
    if (follower->picture_count == SNAPSHOTS_MAX) {
        return STATUS_OK;
    }
    struct picture *picture = &follower->pictures[follower->picture_count++];
    picture->sequence = follower->last_sequence;
    picture->at_synced = at_synced;
    memcpy(picture->values, follower->values, sizeof(picture->values));
    return STATUS_OK;
}

static enum status row_take(struct follower *follower, struct bytes json)
{
    uint8_t memory[4096];
    struct writer document = writer_of(memory, sizeof(memory));
    struct change_seen row;
    if (json_to_document(json, &document, NULL) != STATUS_OK ||
        !change_read(writer_bytes(&document), &row) || !row.has_new) {
        return fault(follower, "this is no record of a snapshot", json);
    }
    if (follower->values[row.key] != 0) {
        return fault(follower, "a record came twice in a snapshot", json);
    }
    follower->values[row.key] = row.new_value;
    return STATUS_OK;
}

static enum status snapshot_event(struct follower *follower, const struct peer_event *event)
{
    enum status status = STATUS_OK;
    bool changed = false;
    struct change_seen change;
    if (bytes_equal(event->name, BYTES_LITERAL("snapshot"))) {
        status = row_take(follower, event->data);
        id_note(follower, event->id);
        return status;
    }
    if (bytes_equal(event->name, BYTES_LITERAL("synced"))) {
        follower->in_snapshot = false;
        progress_note(follower, event->id);
        id_note(follower, event->id);
        return picture_take(follower, true);
    }
    return event_take(follower, event, &change, &changed);
}

/* One snapshot and a tail of some length behind it. */
static enum status snapshot_once(struct follower *follower)
{
    static const char target[] = "/changes?collection=pets&from=snapshot";
    memset(follower->values, 0, sizeof(follower->values));
    follower->last_id_size = 0;
    follower->last_sequence = 0;
    follower->in_snapshot = true;
    uint64_t left = 1 + random_next(&follower->random) % (2 * TAIL_EVENTS);
    enum status status = reconnect(follower, target);
    while (status == STATUS_OK && (follower->in_snapshot || (left > 0 && !at_end(follower)))) {
        struct peer_event event;
        status = peer_event(&follower->peer, EVENT_WAIT_MS, &event);
        if (status != STATUS_OK) {
            return fault(follower, "the stream has ended", bytes_of_text(status_text(status)));
        }
        status = snapshot_event(follower, &event);
        left -= follower->in_snapshot ? 0 : 1;
        /* In the middle of a snapshot, too. */
        if (status == STATUS_OK && follower->last_id_size > 0 && dice(follower, TAIL_EVENTS)) {
            follower->kills++;
            status = reconnect(follower, target);
        }
    }
    return status == STATUS_OK ? picture_take(follower, false) : status;
}

static enum status snapshots_run(struct follower *follower)
{
    enum status status = STATUS_OK;
    bool last = false;
    while (status == STATUS_OK && !last) {
        last = atomic_load(follower->options.end_sequence) > 0;
        status = snapshot_once(follower);
    }
    return status;
}

/* ---- life ---- */

void *follower_run(void *argument)
{
    struct follower *follower = argument;
    follower->random = follower->options.seed;
    follower->peer.fd = -1;
    follower->seen = malloc(follower->options.changes_max * sizeof(struct seen));
    bool snapshots = follower->options.kind == FOLLOW_SNAPSHOT;
    follower->pictures = snapshots ? malloc(SNAPSHOTS_MAX * sizeof(struct picture)) : NULL;
    follower->status = follower->seen == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t i = 0; i < READER_CONNECTIONS; i++) {
        follower->readers[i].fd = -1;
        if (follower->options.kind == FOLLOW_READER && follower->status == STATUS_OK) {
            follower->status = peer_open(follower->options.port, &follower->readers[i]);
        }
    }
    if (follower->status == STATUS_OK) {
        follower->status = snapshots                                ? snapshots_run(follower)
                           : follower->options.kind == FOLLOW_PAGES ? pages_run(follower)
                                                                    : tail_run(follower);
    }
    peer_close(&follower->peer);
    for (uint32_t i = 0; i < READER_CONNECTIONS; i++) {
        peer_close(&follower->readers[i]);
    }
    return NULL;
}

void follower_free(struct follower *follower)
{
    free(follower->seen);
    free(follower->pictures);
}
