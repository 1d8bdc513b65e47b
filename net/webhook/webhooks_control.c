#include <stdlib.h>

#include "net/webhook/webhooks_internal.h"

/* ---- a rule goes, and all records of it ---- */

enum removal_stage { REMOVE_PARKED, REMOVE_DEAD_LETTERS, REMOVE_STATE, REMOVE_DONE };

struct removal {
    struct walk walk;
    enum removal_stage stage;
    bool is_running;
};

static void removal_row_done(struct write *write)
{
    struct walk *walk = write->context;
    enum status status = write->request.status;
    walk_written(walk, status == STATUS_NOT_FOUND ? STATUS_OK : status);
}

static bool removal_row(struct walk *walk, struct bytes id, struct bytes document)
{
    (void)document;
    if (!write_begin(walk->webhooks, REQUEST_DELETE, walk->collection, id, BYTES_EMPTY,
                     removal_row_done, walk)) {
        walk->status = STATUS_NO_MEMORY;
        return false;
    }
    walk->writes++;
    return true;
}

static void removal_next(struct runner *runner, enum status status)
{
    struct removal *removal = runner->removal;
    removal->is_running = false;
    if (status == STATUS_OK) {
        removal->stage++;
    } else {
        runner->again_ns = runner->webhooks->now_ns + AGAIN_NS;
    }
    runner_touch(runner);
}

static void removal_walked(struct walk *walk)
{
    removal_next(walk->context, walk->status);
}

static void removal_state_done(struct write *write)
{
    enum status status = write->request.status;
    removal_next(write->context, status == STATUS_NOT_FOUND ? STATUS_OK : status);
}

static void removal_begin(struct runner *runner)
{
    struct removal *removal = runner->removal;
    struct webhooks *webhooks = runner->webhooks;
    removal->is_running = true;
    if (removal->stage == REMOVE_STATE) {
        if (!write_begin(webhooks, REQUEST_DELETE, COLLECTION_RULE_STATES, runner_name(runner),
                         BYTES_EMPTY, removal_state_done, runner)) {
            removal_next(runner, STATUS_NO_MEMORY);
        }
        return;
    }
    uint8_t prefix_bytes[RULE_NAME_BYTES_MAX + 1];
    struct writer prefix = writer_of(prefix_bytes, sizeof(prefix_bytes));
    webhooks_prefix_write(runner_name(runner), &prefix);
    removal->walk.row = removal_row;
    removal->walk.end = removal_walked;
    removal->walk.context = runner;
    walk_begin(&removal->walk, webhooks,
               removal->stage == REMOVE_PARKED ? COLLECTION_PARKED : COLLECTION_DEAD_LETTERS,
               writer_bytes(&prefix));
}

static void runner_remove(struct runner *runner)
{
    if (!runner->is_removing) {
        runner_unsubscribe(runner);
        runner->is_removing = true;
        runner_touch(runner);
    }
}

uint64_t removal_step(struct runner *runner, bool *freed_out)
{
    uint64_t now_ns = runner->webhooks->now_ns;
    if (runner->busy > 0 || runner->webhooks->draining) {
        return UINT64_MAX;
    }
    if (now_ns < runner->again_ns) {
        return runner->again_ns;
    }
    items_free(runner);
    if (runner->removal == NULL) {
        runner->removal = calloc(1, sizeof(*runner->removal));
    }
    if (runner->removal == NULL) {
        runner->again_ns = now_ns + AGAIN_NS;
        return runner->again_ns;
    }
    if (runner->removal->stage == REMOVE_DONE) {
        runner_free(runner);
        *freed_out = true;
        return UINT64_MAX;
    }
    if (!runner->removal->is_running) {
        removal_begin(runner);
    }
    return UINT64_MAX;
}

/* ---- the rules come ---- */

static bool operation_push(struct webhooks *webhooks, enum operation_kind kind,
                           const struct change *change)
{
    struct bytes document = kind == OPERATION_PUT ? change->new_document : BYTES_EMPTY;
    struct operation *operation = NULL;
    if (webhooks->operation_count < OPERATIONS_MAX) {
        operation = malloc(sizeof(*operation) + document.size);
    }
    if (operation == NULL) {
        webhooks->control_stuck = true;
        return false;
    }
    memset(operation, 0, sizeof(*operation));
    operation->kind = kind;
    if (change != NULL && change->id.size <= sizeof(operation->name)) {
        operation->at = (struct position){webhooks->store_id, change->epoch, change->sequence};
        operation->version = change->version;
        operation->name_size = change->id.size;
        memcpy(operation->name, change->id.data, change->id.size);
    }
    operation->document_size = document.size;
    if (document.size > 0) {
        memcpy(operation->document, document.data, document.size);
    }
    list_push_back(&webhooks->operations, &operation->link);
    webhooks->operation_count++;
    return true;
}

static bool control_deliver(struct subscription *subscription, const struct delivery *delivery)
{
    struct webhooks *webhooks = CONTAINER_OF(subscription, struct webhooks, control);
    switch (delivery->kind) {
    case DELIVERY_CHANGE:
    case DELIVERY_SNAPSHOT:
        return operation_push(
            webhooks, delivery->change->kind == CHANGE_REMOVE ? OPERATION_DELETE : OPERATION_PUT,
            delivery->change);
    case DELIVERY_SYNCED:
        return operation_push(webhooks, OPERATION_SYNCED, NULL);
    case DELIVERY_PROGRESS:
    case DELIVERY_CAUGHT_UP:
        return true;
    }
    UNREACHABLE();
}

static void control_ended(struct subscription *subscription, enum status status)
{
    struct webhooks *webhooks = CONTAINER_OF(subscription, struct webhooks, control);
    webhooks->control_ended = true;
    webhooks_say(webhooks, SAY_WARNING, "the rules are read anew: %s", status_text(status));
}

uint64_t control_step(struct webhooks *webhooks)
{
    if (webhooks->control_ended) {
        webhooks->control_ended = false;
        webhooks->is_controlled = false;
        webhooks->control_stuck = false;
        webhooks->control_again_ns = webhooks->now_ns + AGAIN_NS;
    }
    if (webhooks->is_controlled || webhooks->draining || webhooks->loading != LOAD_DONE) {
        return UINT64_MAX;
    }
    if (webhooks->now_ns < webhooks->control_again_ns) {
        return webhooks->control_again_ns;
    }
    for (struct link *link = webhooks->runners.next; link != &webhooks->runners;
         link = link->next) {
        CONTAINER_OF(link, struct runner, link)->is_seen = false;
    }
    const struct subscription_options options = {
        .collection = &webhooks->options.internal[COLLECTION_RULES],
        .view = CHANGE_VIEW_NEW,
        .from = SUBSCRIBE_SNAPSHOT,
        .deliver = control_deliver,
        .ended = control_ended,
    };
    enum status status = stream_subscribe(webhooks->options.stream, &options, &webhooks->control);
    if (status == STATUS_OK) {
        webhooks->is_controlled = true;
        webhooks->stream_waits = true;
        return UINT64_MAX;
    }
    webhooks_say(webhooks, SAY_WARNING, "the rules cannot be read yet: %s", status_text(status));
    webhooks->control_again_ns = webhooks->now_ns + AGAIN_NS;
    return webhooks->control_again_ns;
}

/* ---- a rule is taken over ---- */

static bool document_set(struct runner *runner, struct bytes document)
{
    uint8_t *copy = malloc(document.size);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, document.data, document.size);
    free(runner->document);
    runner->document = copy;
    runner->document_size = document.size;
    return true;
}

/* What is known of this name another rule left, which was deleted before this one was put, and its
 * removal did not end. */
static bool is_stale(const struct runner *runner, const struct operation *operation)
{
    return operation->version == 1 && runner->rule == NULL && runner->has_position &&
           runner->settled.sequence < operation->at.sequence;
}

/* Where a rule begins that has no position yet. */
static void position_begin(struct runner *runner, const struct operation *operation)
{
    if (!runner->has_position) {
        runner->settled = operation->at;
        runner->from = operation->at;
        runner->has_position = true;
        runner->state_due = true;
    }
}

static void runner_become(struct runner *runner, struct rule *rule,
                          const struct operation *operation)
{
    bool is_change = runner->rule != NULL;
    runner_unsubscribe(runner);
    position_begin(runner, operation);
    rule_destroy(&runner->rule);
    runner->rule = rule;
    runner->put = operation->at;
    runner->slots_now = rule->concurrency;
    runner->pause_ns = 0;
    runner->pause_until_ns = 0;
    runner->again_ns = 0;
    bool stays_disabled = runner->disabled_put == operation->at.sequence;
    if (!rule->enabled) {
        runner->status = WEBHOOKS_RULE_OFF;
    } else if (stays_disabled) {
        runner->status = WEBHOOKS_RULE_DISABLED;
    } else {
        runner->status = WEBHOOKS_RULE_ACTIVE;
    }
    if (!stays_disabled) {
        runner->reason[0] = '\0';
        runner->state_due = runner->state_due || runner->disabled_put != 0;
        runner->disabled_put = 0;
    }
    if (is_change) {
        /* Whoever puts a rule again has often mended what was wrong. */
        items_hurry(runner, false);
    }
    runner_touch(runner);
}

static bool rule_put(struct webhooks *webhooks, const struct operation *operation)
{
    struct bytes name = bytes_of(operation->name, operation->name_size);
    struct bytes document;
    struct rule *rule = NULL;
    struct rule_problem problem = {.text = ""};
    if (!rule_name_valid(name)) {
        return true;
    }
    struct runner *runner = runner_get(webhooks, name);
    if (runner == NULL) {
        webhooks_say(webhooks, SAY_ERROR, "rule %.*s cannot run: there are too many rules",
                     (int)name.size, (const char *)name.data);
        return true;
    }
    if (!runner->is_removing && is_stale(runner, operation)) {
        runner_remove(runner);
    }
    if (runner->is_removing) {
        return false;
    }
    runner->is_seen = true;
    if (runner->put.epoch == operation->at.epoch &&
        runner->put.sequence == operation->at.sequence) {
        return true;
    }
    enum status status = STATUS_INVALID;
    if (webhooks_record_rule(bytes_of(operation->document, operation->document_size), &document)) {
        status = rule_parse(name, document, &rule, &problem);
    }
    if (status == STATUS_OK && !document_set(runner, document)) {
        rule_destroy(&rule);
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_NO_MEMORY) {
        return false;
    }
    if (status != STATUS_OK) {
        runner_unsubscribe(runner);
        runner_fail(runner, "it is no rule of this version: ", bytes_of_text(problem.text));
        return true;
    }
    runner_become(runner, rule, operation);
    return true;
}

/* False: it has to wait. */
static bool operation_apply(struct webhooks *webhooks, const struct operation *operation)
{
    switch (operation->kind) {
    case OPERATION_PUT:
        return rule_put(webhooks, operation);
    case OPERATION_DELETE: {
        struct runner *runner =
            runner_find(webhooks, bytes_of(operation->name, operation->name_size));
        if (runner != NULL) {
            runner_remove(runner);
        }
        return true;
    }
    case OPERATION_SYNCED:
        webhooks->has_rules = true;
        for (struct link *link = webhooks->runners.next; link != &webhooks->runners;
             link = link->next) {
            struct runner *runner = CONTAINER_OF(link, struct runner, link);
            if (!runner->is_seen) {
                runner_remove(runner);
            }
        }
        return true;
    }
    UNREACHABLE();
}

bool operations_step(struct webhooks *webhooks)
{
    bool any = false;
    while (!webhooks->draining && !list_is_empty(&webhooks->operations)) {
        struct operation *operation =
            CONTAINER_OF(list_first(&webhooks->operations), struct operation, link);
        if (!operation_apply(webhooks, operation)) {
            break;
        }
        link_remove(&operation->link);
        webhooks->operation_count--;
        free(operation);
        any = true;
    }
    if (webhooks->control_stuck && webhooks->operation_count < OPERATIONS_MAX / 2) {
        webhooks->control_stuck = false;
        subscription_resume(&webhooks->control);
        any = true;
    }
    return any;
}

void control_close(struct webhooks *webhooks)
{
    if (webhooks->is_controlled && !webhooks->control_ended) {
        subscription_close(&webhooks->control);
    }
    webhooks->is_controlled = false;
    webhooks->control_ended = false;
}
