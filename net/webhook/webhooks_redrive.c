#include "net/webhook/webhooks_internal.h"
#include "protocol/document/document.h"

/* A dead letter becomes a parked change that is due now. Its new record is written before the old
 * one goes: a crash in between leaves both, and the change is tried. */

static void redrive_done(struct message *message)
{
    struct webhooks_redrive *redrive = CONTAINER_OF(message, struct webhooks_redrive, message);
    redrive->done(redrive);
}

static void redrive_reply(struct webhooks_redrive *redrive, enum status status)
{
    redrive->status = status;
    redrive->message.receive = redrive_done;
    mailbox_send(redrive->reply_to, &redrive->message);
}

static void redrive_deleted(struct write *write)
{
    struct walk *walk = write->context;
    struct runner *runner = walk->context;
    enum status status = write->request.status;
    if (status == STATUS_OK) {
        walk->webhooks->redrive->count++;
        if (runner->counts.dead_letters > 0) {
            runner->counts.dead_letters--;
        }
        runner_touch(runner);
    }
    walk_written(walk, status == STATUS_NOT_FOUND ? STATUS_OK : status);
}

static void dead_letter_delete(struct walk *walk, struct bytes id)
{
    if (!write_begin(walk->webhooks, REQUEST_DELETE, COLLECTION_DEAD_LETTERS, id, BYTES_EMPTY,
                     redrive_deleted, walk)) {
        walk_written(walk, STATUS_NO_MEMORY);
    }
}

static void redrive_parked(struct write *write)
{
    struct walk *walk = write->context;
    struct runner *runner = walk->context;
    enum status status = write->request.status;
    struct bytes id = bytes_of(write->id, write->id_size);
    if (status == STATUS_OK && item_find(runner, id) == NULL &&
        !item_load(runner, id, write->request.document, true)) {
        status = STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        walk_written(walk, status);
        return;
    }
    dead_letter_delete(walk, id);
}

static void number_copy(struct writer *out, struct bytes from, struct bytes name)
{
    struct bytes value;
    document_write_string(out, name);
    if (document_find(from, name, &value)) {
        document_write_raw(out, value);
    } else {
        document_write_u64(out, 0);
    }
}

/* The dead letter's change, as one that was never tried. */
static bool parked_write(struct walk *walk, struct bytes id, struct bytes dead_letter)
{
    struct bytes change;
    if (!document_find(dead_letter, BYTES_LITERAL("change"), &change)) {
        return true; /* none of ours; it stays */
    }
    struct writer out = writer_of(walk->webhooks->scratch, CALL_SCRATCH_BYTES);
    document_write_map(&out, 3);
    number_copy(&out, dead_letter, BYTES_LITERAL("epoch"));
    number_copy(&out, dead_letter, BYTES_LITERAL("sequence"));
    document_write_string(&out, BYTES_LITERAL("change"));
    document_write_raw(&out, change);
    ASSERT(!out.failed);
    if (!write_begin(walk->webhooks, REQUEST_PUT, COLLECTION_PARKED, id, writer_bytes(&out),
                     redrive_parked, walk)) {
        walk->status = STATUS_NO_MEMORY;
        return false;
    }
    walk->writes++;
    return true;
}

/* Its change is on its way already: after a crash it may have come from the journal again. One that
 * is about to end as a dead letter stays one. */
static void known_row(struct walk *walk, struct bytes id, const struct item *item)
{
    if (item->write != ITEM_WRITE_DEAD && item->write != ITEM_WRITE_REMOVE) {
        walk->writes++;
        dead_letter_delete(walk, id);
    }
}

static bool redrive_row(struct walk *walk, struct bytes id, struct bytes document)
{
    struct runner *runner = walk->context;
    const struct webhooks_redrive *redrive = walk->webhooks->redrive;
    struct bytes rule;
    struct bytes event;
    uint64_t hash[2];
    if (!parked_id_read(id, &rule, hash, &event)) {
        return true;
    }
    if (redrive->event_id.size > 0 && !bytes_equal(redrive->event_id, event)) {
        return true;
    }
    /* Those of this page are not counted yet, so a page's worth of room is kept. */
    if (runner->items + WALK_ROWS_MAX > WEBHOOK_PARKED_RULE_MAX ||
        walk->webhooks->item_count + WALK_ROWS_MAX > WEBHOOK_PARKED_MAX) {
        walk->status = STATUS_BUSY;
        return false;
    }
    const struct item *item = item_find(runner, id);
    if (item != NULL) {
        known_row(walk, id, item);
        return redrive->event_id.size == 0;
    }
    return parked_write(walk, id, document) && redrive->event_id.size == 0;
}

static void redrive_end(struct walk *walk)
{
    struct webhooks *webhooks = walk->webhooks;
    struct runner *runner = walk->context;
    struct webhooks_redrive *redrive = webhooks->redrive;
    ASSERT(runner->busy > 0);
    runner->busy--;
    runner_touch(runner);
    webhooks->redrive = NULL;
    /* What could be made due is due, also when there was no room for all of them. */
    redrive_reply(redrive, redrive->count > 0 ? STATUS_OK : walk->status);
}

static void redrive_receive(struct message *message)
{
    struct webhooks_redrive *redrive = CONTAINER_OF(message, struct webhooks_redrive, message);
    struct webhooks *webhooks = redrive->webhooks;
    struct runner *runner = runner_find(webhooks, redrive->rule);
    bool is_ready = webhooks->has_rules && webhooks->loading == LOAD_DONE;
    if (webhooks->redrive != NULL || webhooks->draining || !is_ready) {
        redrive_reply(redrive, STATUS_BUSY);
        return;
    }
    if (runner == NULL || runner->rule == NULL || runner->is_removing) {
        redrive_reply(redrive, STATUS_NOT_FOUND);
        return;
    }
    uint8_t prefix_bytes[RULE_NAME_BYTES_MAX + 1];
    struct writer prefix = writer_of(prefix_bytes, sizeof(prefix_bytes));
    webhooks_prefix_write(redrive->rule, &prefix);
    webhooks->redrive = redrive;
    runner->busy++; /* it stays until this is over */
    webhooks->redrive_walk.row = redrive_row;
    webhooks->redrive_walk.end = redrive_end;
    webhooks->redrive_walk.context = runner;
    walk_begin(&webhooks->redrive_walk, webhooks, COLLECTION_DEAD_LETTERS, writer_bytes(&prefix));
}

void webhooks_redrive_submit(struct webhooks *webhooks, struct webhooks_redrive *redrive)
{
    ASSERT(redrive->done != NULL);
    ASSERT(redrive->reply_to != NULL);
    redrive->webhooks = webhooks;
    redrive->count = 0;
    redrive->message.receive = redrive_receive;
    mailbox_send(engine_thread_mailbox(webhooks->options.engine_thread), &redrive->message);
}
