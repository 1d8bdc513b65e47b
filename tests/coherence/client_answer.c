/* What answers show, as entries of the history; an answer that no server may give ends the run. */
#include "protocol/base/assert.h"
#include "tests/coherence/client_internal.h"

/* Of tags that were seen, so many are kept for later conditions. */
#define KNOWN_TAGS_PERCENT 70

/* ---- what answers show ---- */

static struct history_read read_of(const struct operation *operation, uint64_t end_ns,
                                   enum sight sight, enum source source)
{
    return (struct history_read){
        .start_ns = operation->start_ns,
        .end_ns = end_ns,
        .key = operation->key,
        .sight = (uint8_t)sight,
        .source = (uint8_t)source,
    };
}

static enum source source_of(enum action action)
{
    switch (action) {
    case ACTION_GET:
        return SOURCE_GET;
    case ACTION_REFRESH:
        return SOURCE_REFRESH;
    case ACTION_CONDITIONAL:
        return SOURCE_CONDITIONAL;
    case ACTION_HEAD:
        return SOURCE_HEAD;
    case ACTION_LIST:
        return SOURCE_LIST;
    case ACTION_INDEX:
        return SOURCE_INDEX;
    case ACTION_PUT:
    case ACTION_PUT_MATCH:
    case ACTION_PATCH:
    case ACTION_DELETE:
    case ACTION_COUNT:
        break;
    }
    return SOURCE_WRITE;
}

/* The record that an answer's body is; false (and a fault) when it is none, or not whole. */
static bool record_take(struct client *client, const struct connection *connection,
                        const struct answer *answer, const struct operation *operation,
                        struct answer_record *record_out)
{
    struct bytes json = answer->body;
    if (!answer_record_next(&json, record_out) || json.size != 0 || !record_out->whole ||
        record_out->key != operation->key ||
        record_out->filler_bytes != client_filler_bytes(client, operation->key)) {
        client_fault(client, connection, "this is not the record that was asked for", answer->body);
        return false;
    }
    return true;
}

static void write_answered(struct client *client, const struct connection *connection,
                           const struct operation *operation, const struct answer *answer,
                           uint64_t end_ns)
{
    struct history_write write = {
        .start_ns = operation->start_ns,
        .end_ns = end_ns,
        .sequence = answer->tag_sequence,
        .matched = operation->action == ACTION_PUT_MATCH ? operation->sequence : 0,
        .key = operation->key,
        .kind = operation->action == ACTION_DELETE  ? WRITE_DELETE
                : operation->action == ACTION_PATCH ? WRITE_PATCH
                                                    : WRITE_PUT,
        .keeps_category = operation->category == HISTORY_NO_CATEGORY,
        .created = answer->status == 201,
    };
    if (operation->action == ACTION_DELETE) {
        write.sequence = answer->position_sequence;
    } else {
        struct answer_record record;
        if (!record_take(client, connection, answer, operation, &record)) {
            return;
        }
        bool own = record.value == operation->value &&
                   (write.keeps_category || record.category == operation->category) &&
                   (write.kind == WRITE_PATCH || record.base == operation->value);
        if (!own || answer->tag_sequence != answer->position_sequence) {
            client_fault(client, connection, "a write's answer is not about what it wrote",
                         answer->head);
        }
        write.value = record.value;
        write.base = record.base;
        write.category = record.category;
        client->tags[operation->key] = answer->tag_sequence;
    }
    if (write.sequence == 0) {
        client_fault(client, connection, "a write without ETag or position", answer->head);
    }
    history_add_write(&client->history, &write);
}

static void record_read(struct client *client, const struct connection *connection,
                        const struct operation *operation, const struct answer *answer,
                        uint64_t end_ns)
{
    struct history_read read =
        read_of(operation, end_ns, SEES_TAG, source_of((enum action)operation->action));
    read.sequence = answer->tag_sequence;
    if (read.sequence == 0) {
        client_fault(client, connection, "a record without ETag", answer->head);
    }
    if (operation->action != ACTION_HEAD && answer->status == 200) {
        struct answer_record record;
        if (!record_take(client, connection, answer, operation, &record)) {
            return;
        }
        read.sight = SEES_RECORD;
        read.value = record.value;
        read.base = record.base;
        read.category = record.category;
    }
    if (operation->action == ACTION_GET) {
        client->counts.gets++;
        client->counts.hits += answer->hit ? 1 : 0;
    }
    client->counts.not_modified += answer->status == 304 ? 1 : 0;
    if (client_random_below(client, 100) < KNOWN_TAGS_PERCENT) {
        client->tags[operation->key] = answer->tag_sequence;
    }
    history_add_read(&client->history, &read);
}

/* ---- pages ---- */

static bool page_record_add(struct client *client, const struct operation *operation,
                            const struct answer_record *record, uint64_t end_ns)
{
    bool indexed = operation->action == ACTION_INDEX;
    struct history_read read =
        read_of(operation, end_ns, SEES_RECORD, indexed ? SOURCE_INDEX : SOURCE_LIST);
    read.key = record->key;
    read.value = record->value;
    read.base = record->base;
    read.category = record->category;
    read.page_category = operation->category;
    history_add_read(&client->history, &read);
    return record->whole && record->filler_bytes == client_filler_bytes(client, record->key);
}

static void page_gap_add(struct client *client, const struct operation *operation, uint16_t from,
                         uint16_t to, uint64_t end_ns)
{
    bool indexed = operation->action == ACTION_INDEX;
    struct history_read read = indexed ? read_of(operation, end_ns, SEES_OUTSIDE, SOURCE_INDEX)
                                       : read_of(operation, end_ns, SEES_ABSENT, SOURCE_LIST);
    read.page_category = operation->category;
    for (uint16_t key = from; key < to; key++) {
        read.key = key;
        history_add_read(&client->history, &read);
    }
}

/* A page shows its records, and between and (when it is the last) behind them what is not there. */
static void page_answered(struct client *client, struct connection *connection,
                          const struct operation *operation, const struct answer *answer,
                          uint64_t end_ns)
{
    struct bytes json = answer->body;
    struct answer_record record;
    uint16_t expected = operation->after == CLIENT_KEY_NONE ? 0 : (uint16_t)(operation->after + 1);
    while (answer_record_next(&json, &record)) {
        if (record.key < expected || record.key >= client->options.key_count) {
            client_fault(client, connection, "a page is out of order", answer->body);
            return;
        }
        page_gap_add(client, operation, expected, record.key, end_ns);
        if (!page_record_add(client, operation, &record, end_ns)) {
            client_fault(client, connection, "a torn record on a page", answer->body);
        }
        expected = (uint16_t)(record.key + 1);
    }
    if (!bytes_equal(json, BYTES_LITERAL("]")) && !bytes_equal(json, BYTES_LITERAL("[]"))) {
        client_fault(client, connection, "this is no page", answer->body);
    }
    client->counts.pages++;
    client->counts.page_hits += answer->hit ? 1 : 0;
    if (answer->next.size == 0) {
        page_gap_add(client, operation, expected, client->options.key_count, end_ns);
    } else if (answer->next.size <= CLIENT_NEXT_BYTES_MAX && expected > 0) {
        memcpy(connection->next, answer->next.data, answer->next.size);
        connection->next_size = answer->next.size;
        connection->next_after = (uint16_t)(expected - 1);
        connection->next_category = operation->category;
    } else {
        client_fault(client, connection, "a page without records goes on", answer->head);
    }
}

/* ---- answers ---- */

static void refused(struct client *client, const struct connection *connection,
                    const struct operation *operation, const struct answer *answer, uint64_t end_ns)
{
    client->counts.refused++;
    if (memmem(answer->body.data, answer->body.size, "outcome-unknown", 15) != NULL) {
        client_fault(client, connection, "the outcome of a write is unknown", answer->body);
    }
    if (operation->value != 0) {
        const struct history_write write = {
            .start_ns = operation->start_ns,
            .end_ns = end_ns,
            .value = operation->value,
            .key = operation->key,
        };
        history_add_write(&client->history, &write);
    }
}

void operation_answered(struct client *client, struct connection *connection,
                        const struct operation *operation, const struct answer *answer)
{
    uint64_t end_ns = client_now_ns();
    enum action action = (enum action)operation->action;
    bool page = action_is_page(action);
    uint16_t status = answer->status;
    client->counts.operations++;
    if (answer->tag_sequence != 0) {
        if (client->epoch != 0 && client->epoch != answer->tag_epoch) {
            client_fault(client, connection, "the epoch of ETags changed", answer->head);
        }
        client->epoch = answer->tag_epoch;
    }
    if (status == 503) {
        refused(client, connection, operation, answer, end_ns);
    } else if (page && status == 200) {
        page_answered(client, connection, operation, answer, end_ns);
    } else if (!page && status == 404 && (!action_is_write(action) || action == ACTION_PATCH)) {
        struct history_read read = read_of(operation, end_ns, SEES_ABSENT, source_of(action));
        history_add_read(&client->history, &read);
    } else if (action == ACTION_DELETE && status == 412) {
        struct history_read read = read_of(operation, end_ns, SEES_ABSENT, SOURCE_WRITE);
        history_add_read(&client->history, &read);
    } else if (action == ACTION_PUT_MATCH && status == 412) {
        client->counts.conflicts++;
        client->tags[operation->key] = 0;
    } else if (action_is_write(action) &&
               (status == 200 || (status == 201 && action != ACTION_PATCH))) {
        write_answered(client, connection, operation, answer, end_ns);
    } else if (!action_is_write(action) &&
               (status == 200 || (status == 304 && action == ACTION_CONDITIONAL))) {
        record_read(client, connection, operation, answer, end_ns);
    } else {
        client_fault(client, connection, "an answer that does not fit its request", answer->head);
    }
}
