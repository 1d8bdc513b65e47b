#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "net/webhook/webhooks_internal.h"
#include "protocol/document/document.h"

#define STATE_BYTES_MAX (1024 + 6 * WEBHOOK_REASON_BYTES_MAX)

/* ---- runners ---- */

static struct runner **runner_bucket(struct webhooks *webhooks, struct bytes name)
{
    return &webhooks->runner_buckets[XXH3_64bits(name.data, name.size) & (RUNNER_BUCKETS - 1)];
}

struct runner *runner_find(struct webhooks *webhooks, struct bytes name)
{
    struct runner *runner = *runner_bucket(webhooks, name);
    while (runner != NULL && !bytes_equal(runner_name(runner), name)) {
        runner = runner->chain;
    }
    return runner;
}

struct runner *runner_get(struct webhooks *webhooks, struct bytes name)
{
    struct runner *runner = runner_find(webhooks, name);
    if (runner != NULL || webhooks->runner_count == RULES_MAX) {
        return runner;
    }
    ASSERT(name.size <= RULE_NAME_BYTES_MAX);
    runner = calloc(1, sizeof(*runner));
    if (runner == NULL) {
        return NULL;
    }
    runner->webhooks = webhooks;
    runner->name_size = name.size;
    memcpy(runner->name, name.data, name.size);
    link_init(&runner->link);
    link_init(&runner->link_active);
    link_init(&runner->link_touched);
    link_init(&runner->ready);
    struct runner **bucket = runner_bucket(webhooks, name);
    pthread_mutex_lock(&webhooks->shown_lock);
    runner->chain = *bucket;
    *bucket = runner;
    list_push_back(&webhooks->runners, &runner->link);
    webhooks->runner_count++;
    pthread_mutex_unlock(&webhooks->shown_lock);
    runner_touch(runner);
    return runner;
}

void runner_free(struct runner *runner)
{
    struct webhooks *webhooks = runner->webhooks;
    ASSERT(runner->items == 0);
    ASSERT(!runner->is_subscribed);
    struct runner **at = runner_bucket(webhooks, runner_name(runner));
    pthread_mutex_lock(&webhooks->shown_lock);
    while (*at != runner) {
        ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = runner->chain;
    link_remove(&runner->link);
    webhooks->runner_count--;
    pthread_mutex_unlock(&webhooks->shown_lock);
    link_remove(&runner->link_active);
    link_remove(&runner->link_touched);
    rule_destroy(&runner->rule);
    free(runner->document);
    free(runner->marks);
    free(runner->removal);
    free(runner);
}

void runner_touch(struct runner *runner)
{
    if (!link_is_linked(&runner->link_touched)) {
        list_push_back(&runner->webhooks->touched, &runner->link_touched);
    }
}

void runner_fail(struct runner *runner, const char *what, struct bytes which)
{
    runner->status = WEBHOOKS_RULE_FAILING;
    snprintf(runner->reason, sizeof(runner->reason), "%s%.*s", what, (int)which.size,
             (const char *)which.data);
    webhooks_say(runner->webhooks, SAY_ERROR, "rule %.*s cannot run: %s", (int)runner->name_size,
                 (const char *)runner->name, runner->reason);
    runner_touch(runner);
}

/* ---- the state ---- */

void runner_state_load(struct runner *runner, struct bytes document)
{
    struct bytes value;
    struct bytes text;
    struct position position;
    if (document_find(document, BYTES_LITERAL("position"), &value) &&
        document_string(value, &text) && position_read(text, &position) == STATUS_OK) {
        /* Its sequence is all that counts: this record comes later in the journal than the entry
         * that it names, so where the record survived that one did, also in a restored backup, and
         * when its epoch is long forgotten. */
        position.store_id = runner->webhooks->store_id;
        position.epoch = engine_journal(runner->webhooks->options.engine)->epoch;
        runner->settled = position;
        runner->from = position;
        runner->written = position;
        runner->has_position = true;
    }
    if (document_find(document, BYTES_LITERAL("disabled"), &value) &&
        document_u64(value, &runner->disabled_put) && runner->disabled_put != 0 &&
        document_find(document, BYTES_LITERAL("reason"), &value) && document_string(value, &text)) {
        snprintf(runner->reason, sizeof(runner->reason), "%.*s", (int)text.size,
                 (const char *)text.data);
    }
}

static void state_written(struct write *write)
{
    struct runner *runner = write->context;
    ASSERT(runner->busy > 0);
    runner->busy--;
    runner->state_writing = false;
    if (write->request.status != STATUS_OK) {
        runner->state_due = true;
        runner->state_written_ns = runner->webhooks->now_ns + AGAIN_NS;
    }
    runner_touch(runner);
}

/* True when it has begun. */
static bool state_write(struct runner *runner)
{
    uint8_t bytes[STATE_BYTES_MAX];
    char text_bytes[POSITION_TEXT_BYTES];
    struct writer document = writer_of(bytes, sizeof(bytes));
    struct writer text = writer_of(text_bytes, sizeof(text_bytes));
    struct position position = window_position(runner);
    position_write(&position, &text);
    bool is_disabled = runner->status == WEBHOOKS_RULE_DISABLED;
    document_write_map(&document, 3);
    document_write_string(&document, BYTES_LITERAL("position"));
    document_write_string(&document, writer_bytes(&text));
    document_write_string(&document, BYTES_LITERAL("disabled"));
    document_write_u64(&document, is_disabled ? runner->disabled_put : 0);
    document_write_string(&document, BYTES_LITERAL("reason"));
    document_write_string(&document, is_disabled ? bytes_of_text(runner->reason) : BYTES_EMPTY);
    ASSERT(!document.failed);
    if (!write_begin(runner->webhooks, REQUEST_PUT, COLLECTION_RULE_STATES, runner_name(runner),
                     writer_bytes(&document), state_written, runner)) {
        return false;
    }
    runner->written = position;
    runner->busy++;
    runner->state_writing = true;
    runner->state_due = false;
    runner->state_written_ns = runner->webhooks->now_ns;
    return true;
}

/* When it wants to be looked at again. */
static uint64_t state_step(struct runner *runner)
{
    uint64_t due_ns = runner->state_written_ns + STATE_WRITE_NS;
    uint64_t now_ns = runner->webhooks->now_ns;
    if (!runner->state_due || !runner->has_position || runner->state_writing) {
        return UINT64_MAX;
    }
    bool is_first = runner->state_written_ns == 0;
    bool hurries = runner->webhooks->draining && due_ns < now_ns + 2 * STATE_WRITE_NS;
    if (!is_first && !hurries && now_ns < due_ns) {
        return due_ns;
    }
    return state_write(runner) ? UINT64_MAX : now_ns + AGAIN_NS;
}

/* ---- its subscription ---- */

bool runner_has_room(const struct runner *runner, size_t size)
{
    const struct webhooks *webhooks = runner->webhooks;
    uint64_t window_max = runner->rule == NULL ? 0 : 64 + 4 * (uint64_t)runner->rule->concurrency;
    if (window_count(runner) >=
        (window_max < WEBHOOK_WINDOW_MAX ? window_max : WEBHOOK_WINDOW_MAX)) {
        return false;
    }
    if (runner->items >= ITEMS_LEAST &&
        (runner->items >= WEBHOOK_PARKED_RULE_MAX || webhooks->item_count >= WEBHOOK_PARKED_MAX)) {
        return false;
    }
    return runner->window_bytes == 0 || (runner->window_bytes + size <= WEBHOOK_WINDOW_BYTES &&
                                         webhooks->windows_bytes + size <= WEBHOOK_WINDOWS_BYTES);
}

static bool runner_stick(struct runner *runner)
{
    ASSERT(!runner->is_stuck);
    runner->is_stuck = true;
    runner->webhooks->stuck_count++;
    runner_touch(runner);
    return false;
}

static void runner_unstick(struct runner *runner)
{
    if (runner->is_stuck) {
        runner->is_stuck = false;
        runner->webhooks->stuck_count--;
    }
}

static bool rule_deliver(struct subscription *subscription, const struct delivery *delivery)
{
    struct runner *runner = CONTAINER_OF(subscription, struct runner, subscription);
    struct webhooks *webhooks = runner->webhooks;
    switch (delivery->kind) {
    case DELIVERY_CHANGE:
        if (!item_deliver(runner, delivery)) {
            return runner_stick(runner);
        }
        runner->from = delivery->token.position;
        return true;
    case DELIVERY_PROGRESS:
        runner->from = delivery->token.position;
        if (webhooks->now_ns >= runner->state_written_ns + STATE_IDLE_NS &&
            runner->from.sequence != runner->written.sequence) {
            runner->state_due = true;
            runner_touch(runner);
        }
        return true;
    case DELIVERY_CAUGHT_UP:
        runner_touch(runner); /* it is behind no more, and shows it */
        return true;
    case DELIVERY_SNAPSHOT:
    case DELIVERY_SYNCED:
        return true;
    }
    UNREACHABLE();
}

static void rule_ended(struct subscription *subscription, enum status status)
{
    struct runner *runner = CONTAINER_OF(subscription, struct runner, subscription);
    runner->has_ended = true;
    runner->ended = status;
    runner_touch(runner);
}

/* It goes on later from where it stands now. */
void runner_unsubscribe(struct runner *runner)
{
    if (!runner->is_subscribed) {
        return;
    }
    if (!runner->has_ended) {
        struct token token;
        subscription_token(&runner->subscription, &token);
        runner->from = token.position;
        if (window_count(runner) == 0) {
            runner->settled = runner->from;
        }
        subscription_close(&runner->subscription);
    }
    runner->is_subscribed = false;
    runner->has_ended = false;
    runner_unstick(runner);
}

static void runner_expire(struct runner *runner)
{
    webhooks_say(runner->webhooks, SAY_WARNING,
                 "rule %.*s: the journal no longer has the changes after its position; it goes on "
                 "with the oldest that there are",
                 (int)runner->name_size, (const char *)runner->name);
    runner->counts.expired++;
    runner->from_earliest = true;
}

static const struct collection *collection_of(const struct runner *runner)
{
    const struct webhooks_options *options = &runner->webhooks->options;
    for (uint32_t index = 0; index < options->collection_count; index++) {
        if (bytes_equal(options->collections[index].name, runner->rule->collection)) {
            return &options->collections[index];
        }
    }
    return NULL;
}

/* A subscription keeps the pattern it is given, so that another one needs it parsed again. */
static enum status pattern_take(struct runner *runner, struct pattern **out)
{
    struct rule *again = NULL;
    struct rule_problem problem;
    *out = NULL;
    if (runner->rule->pattern == NULL) {
        enum status status =
            rule_parse(runner_name(runner), bytes_of(runner->document, runner->document_size),
                       &again, &problem);
        if (status != STATUS_OK) {
            return status;
        }
        runner->rule->pattern = again->pattern;
        again->pattern = NULL;
        rule_destroy(&again);
    }
    *out = runner->rule->pattern;
    runner->rule->pattern = NULL;
    return STATUS_OK;
}

static enum status subscribe(struct runner *runner, const struct collection *collection)
{
    struct subscription_options options = {
        .collection = collection,
        .view = CHANGE_VIEW_BOTH,
        .wants_caught_up = true,
        .from = runner->from_earliest ? SUBSCRIBE_EARLIEST : SUBSCRIBE_TOKEN,
        .token = {.position = runner->from},
        .progress_ns = STATE_IDLE_NS,
        .deliver = rule_deliver,
        .ended = rule_ended,
    };
    enum status status = pattern_take(runner, &options.pattern);
    if (status != STATUS_OK) {
        return status;
    }
    status = stream_subscribe(runner->webhooks->options.stream, &options, &runner->subscription);
    if (status != STATUS_OK) {
        runner->rule->pattern = options.pattern;
    }
    return status;
}

/* When it wants to be looked at again. */
static uint64_t runner_subscribe(struct runner *runner)
{
    uint64_t now_ns = runner->webhooks->now_ns;
    const struct collection *collection = NULL;
    if (runner->rule->collection.size > 0) {
        collection = collection_of(runner);
        if (collection == NULL) {
            runner_fail(runner, "there is no collection ", runner->rule->collection);
            return UINT64_MAX;
        }
    }
    if (now_ns < runner->again_ns) {
        return runner->again_ns;
    }
    enum status status = subscribe(runner, collection);
    if ((status == STATUS_POSITION_EXPIRED || status == STATUS_INVALID) && !runner->from_earliest) {
        runner_expire(runner);
        status = subscribe(runner, collection);
    }
    if (status == STATUS_OK) {
        runner->is_subscribed = true;
        runner->webhooks->stream_waits = true;
        runner->from_earliest = false;
        return UINT64_MAX;
    }
    if (status == STATUS_UNSUPPORTED) {
        runner_fail(runner, "its pattern needs old images, and a collection drops them",
                    BYTES_EMPTY);
        return UINT64_MAX;
    }
    runner->again_ns = now_ns + AGAIN_NS;
    return runner->again_ns;
}

static void runner_end(struct runner *runner)
{
    runner->is_subscribed = false;
    runner->has_ended = false;
    runner_unstick(runner);
    if (runner->ended == STATUS_POSITION_EXPIRED || runner->ended == STATUS_INVALID) {
        runner_expire(runner);
        return;
    }
    webhooks_say(runner->webhooks, SAY_ERROR, "rule %.*s: its changes cannot be read: %s",
                 (int)runner->name_size, (const char *)runner->name, status_text(runner->ended));
    runner->again_ns = runner->webhooks->now_ns + AGAIN_NS;
}

void runner_disable(struct runner *runner)
{
    if (runner->status != WEBHOOKS_RULE_ACTIVE) {
        return;
    }
    runner->status = WEBHOOKS_RULE_DISABLED;
    runner->disabled_put = runner->put.sequence;
    snprintf(runner->reason, sizeof(runner->reason),
             "the target answered 410 Gone; put the rule again to go on");
    runner_unsubscribe(runner);
    runner->state_due = true;
    webhooks_say(runner->webhooks, SAY_WARNING, "rule %.*s is disabled: %s", (int)runner->name_size,
                 (const char *)runner->name, runner->reason);
    runner_touch(runner);
}

/* ---- turns ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When it wants to be looked at again; UINT64_MAX: when something happens to it. */
static uint64_t runner_step(struct runner *runner, bool *freed_out)
{
    struct webhooks *webhooks = runner->webhooks;
    uint64_t deadline_ns = UINT64_MAX;
    if (runner->has_ended) {
        runner_end(runner);
    }
    if (runner->is_removing) {
        deadline_ns = removal_step(runner, freed_out);
        if (*freed_out) {
            return deadline_ns;
        }
    } else {
        if (runner->rule != NULL && runner->status == WEBHOOKS_RULE_ACTIVE &&
            !runner->is_subscribed && !webhooks->draining) {
            deadline_ns = runner_subscribe(runner);
        }
        deadline_ns = earlier(deadline_ns, state_step(runner));
    }
    runner_show(runner);
    return deadline_ns;
}

bool rules_step(struct webhooks *webhooks)
{
    struct link now;
    webhooks->stream_waits = false;
    webhooks->rules_deadline_ns = control_step(webhooks);
    bool more = operations_step(webhooks);
    link_init(&now);
    list_splice_back(&now, &webhooks->touched);
    while (!list_is_empty(&now)) {
        struct runner *runner = CONTAINER_OF(list_pop_front(&now), struct runner, link_touched);
        bool freed = false;
        uint64_t deadline_ns = runner_step(runner, &freed);
        more = more || freed; /* what waited for its going goes on */
        if (!freed && deadline_ns != UINT64_MAX) {
            runner_touch(runner);
            webhooks->rules_deadline_ns = earlier(webhooks->rules_deadline_ns, deadline_ns);
        }
    }
    return more || webhooks->stream_waits;
}

void rules_resume(struct webhooks *webhooks)
{
    webhooks->room_made = false;
    for (struct link *link = webhooks->runners.next;
         webhooks->stuck_count > 0 && link != &webhooks->runners; link = link->next) {
        struct runner *runner = CONTAINER_OF(link, struct runner, link);
        if (runner->is_stuck && runner_has_room(runner, 1)) {
            runner_unstick(runner);
            if (!runner->has_ended) {
                subscription_resume(&runner->subscription);
            }
        }
    }
}

void rules_drain(struct webhooks *webhooks)
{
    for (struct link *link = webhooks->runners.next; link != &webhooks->runners;
         link = link->next) {
        struct runner *runner = CONTAINER_OF(link, struct runner, link);
        runner_unsubscribe(runner);
        if (runner->has_position && runner->rule != NULL &&
            runner->settled.sequence != runner->written.sequence) {
            runner->state_due = true;
        }
        runner_touch(runner);
    }
    control_close(webhooks);
}
