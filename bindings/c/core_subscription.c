/*
 * Subscriptions: what has come waits as it came until the application takes it. Credit goes back as
 * it takes changes, and a new subscription from the last position that came takes the place of one
 * that was lost.
 *
 *     WAITING -> SENT -> ACTIVE -> ENDED                 the server's last word, or the core's end
 *        ^         |       |
 *        +---------+-------+                             a connection is lost
 *        +------ PAUSED <- ENDING                        a full queue, taken
 */
#include <stdlib.h>

#include "bindings/c/core_internal.h"
#include "freshet.pb-c.h"

void position_set(struct position *position, struct bytes text)
{
    ASSERT(text.size <= POSITION_TEXT_BYTES_MAX);
    memcpy(position->text, text.size == 0 ? (const void *)"" : text.data, text.size);
    position->text[text.size] = '\0';
    position->size = text.size;
}

/* ---- making and ending ---- */

static char *text_take(struct writer *texts, const char *text)
{
    if (text == NULL) {
        text = "";
    }
    char *at = (char *)texts->data + texts->size;
    writer_put(texts, bytes_of(text, strlen(text) + 1));
    return at;
}

static size_t text_room(const char *text)
{
    return text == NULL ? 1 : strlen(text) + 1;
}

/* One block: the subscription, its message, and the message's texts. */
static struct freshet_subscription *
subscription_new(const struct freshet_subscribe_options *options)
{
    size_t texts = text_room(options->collection) + text_room(options->pattern) +
                   text_room(options->start) + text_room(options->consumer) +
                   text_room(options->member);
    struct freshet_subscription *it = calloc(1, sizeof(*it));
    Freshet__Subscribe *message = malloc(sizeof(*message) + texts);
    if (it == NULL || message == NULL) {
        free(it);
        free(message);
        return NULL;
    }
    struct writer out = writer_of(message + 1, texts);
    struct control_start start = control_start_of(options->start);
    freshet__subscribe__init(message);
    message->collection = text_take(&out, options->collection);
    message->pattern = text_take(&out, options->pattern);
    message->position = text_take(&out, start.position);
    message->consumer = text_take(&out, options->consumer);
    message->member = text_take(&out, options->member);
    message->from = (Freshet__From)start.from;
    message->time_ms = start.time_ms;
    message->view = (Freshet__View)options->view;
    message->enter_leave = options->enter_leave;
    ASSERT(!out.failed);
    link_init(&it->link);
    it->message = message;
    it->wants_progress = options->wants_progress;
    it->credit = options->credit == 0 ? CORE_CREDIT_DEFAULT : options->credit;
    return it;
}

static void queue_clear(struct freshet_subscription *subscription)
{
    while (subscription->first != NULL) {
        struct change_block *block = subscription->first;
        subscription->first = block->next;
        free(block);
    }
    subscription->last = NULL;
    subscription->queue_bytes = 0;
    subscription->items_left = 0;
}

void subscription_destroy(struct freshet_subscription *subscription)
{
    if (subscription->core != NULL && !subscription->is_near) {
        ASSERT(subscription->core->subscription_count > 0);
        subscription->core->subscription_count--;
    }
    link_remove(&subscription->link);
    queue_clear(subscription);
    buffer_deinit(&subscription->text);
    free(subscription->end_texts);
    free(subscription->message);
    free(subscription);
}

void subscription_destroy_all(struct core *core)
{
    while (!list_is_empty(&core->subscriptions)) {
        struct freshet_subscription *subscription =
            CONTAINER_OF(list_first(&core->subscriptions), struct freshet_subscription, link);
        if (subscription->is_near || subscription->is_orphan) {
            subscription_destroy(subscription);
        } else {
            /* The application has it still, and closes it. */
            link_remove(&subscription->link);
            queue_clear(subscription);
            subscription->core = NULL;
            subscription->state = SUBSCRIPTION_ENDED;
        }
    }
}

static void end_with(struct freshet_subscription *subscription, const struct freshet_error *error)
{
    const char *texts[] = {error->type, error->detail, error->oldest, error->newest};
    size_t size = 0;
    ASSERT(error->status != FRESHET_OK);
    for (size_t index = 0; index < sizeof(texts) / sizeof(*texts); index++) {
        size += strlen(texts[index]) + 1;
    }
    free(subscription->end_texts);
    subscription->end_texts = malloc(size); /* without it the words are missing, not the status */
    struct writer out =
        writer_of(subscription->end_texts, subscription->end_texts == NULL ? 0 : size);
    for (size_t index = 0; index < sizeof(texts) / sizeof(*texts); index++) {
        text_take(&out, texts[index]);
    }
    subscription->end_status = error->status;
    subscription->end_code = error->code;
    subscription->state = SUBSCRIPTION_ENDED;
}

static enum freshet_status tell_end(const struct freshet_subscription *subscription)
{
    struct freshet_error error = *error_none();
    const char *text = subscription->end_texts;
    error.status = subscription->end_status;
    error.code = subscription->end_code;
    if (text != NULL) {
        error.type = text;
        error.detail = error.type + strlen(error.type) + 1;
        error.oldest = error.detail + strlen(error.detail) + 1;
        error.newest = error.oldest + strlen(error.oldest) + 1;
    }
    return core_set_full_error(subscription->core, &error);
}

/* ---- to the server ---- */

void subscription_send(struct core *core, struct freshet_subscription *subscription)
{
    struct core_slot *slot;
    Freshet__Subscribe message = *subscription->message;
    ASSERT(subscription->state == SUBSCRIPTION_WAITING);
    subscription->id = 0;
    if (core->state != CORE_OPEN) {
        return;
    }
    message.credit = subscription->is_near ? 0 : subscription->credit;
    /* A named consumer's position is the server's to know. */
    if (subscription->received.size > 0 && *message.consumer == '\0') {
        message.from = FRESHET__FROM__POSITION;
        message.position = subscription->received.text;
    }
    uint32_t id = core_id_acquire(core, &slot);
    if (id == 0 || core_put_control(core, FRAME_SUBSCRIBE, id, &message.base) != FRESHET_OK) {
        /* Its slot stays free; it waits for another connection, or for its caller's patience. */
        return;
    }
    slot->kind = SLOT_SUBSCRIPTION;
    slot->subscription = subscription;
    subscription->id = id;
    subscription->state = SUBSCRIPTION_SENT;
    subscription->credit_left = message.credit;
    subscription->credit_owed = 0;
}

void subscription_send_waiting(struct core *core)
{
    for (struct link *link = core->subscriptions.next; link != &core->subscriptions;
         link = link->next) {
        struct freshet_subscription *it = CONTAINER_OF(link, struct freshet_subscription, link);
        if (it->state == SUBSCRIPTION_WAITING) {
            subscription_send(core, it);
        }
    }
}

static void send_end(struct core *core, struct freshet_subscription *subscription)
{
    ASSERT(subscription->state == SUBSCRIPTION_SENT || subscription->state == SUBSCRIPTION_ACTIVE);
    subscription->state = SUBSCRIPTION_ENDING;
    /* After GOAWAY it ends with the connection. Without memory, too: its changes are dropped. */
    if (core->state == CORE_OPEN) {
        enum freshet_status status =
            core_put_small(core, FRAME_UNSUBSCRIBE, subscription->id, BYTES_EMPTY);
        (void)status;
    }
}

static void give_credit(struct core *core, struct freshet_subscription *subscription)
{
    bool is_half = subscription->credit_owed >= (subscription->credit + 1) / 2;
    if (subscription->state != SUBSCRIPTION_ACTIVE || core->state != CORE_OPEN || !is_half) {
        return;
    }
    Freshet__Credit credit = FRESHET__CREDIT__INIT;
    credit.changes = subscription->credit_owed;
    if (core_put_control(core, FRAME_CREDIT, subscription->id, &credit.base) == FRESHET_OK) {
        subscription->credit_left += subscription->credit_owed;
        subscription->credit_owed = 0;
    }
}

/* ---- calls ---- */

enum freshet_status core_subscribe(struct core *core,
                                   const struct freshet_subscribe_options *options, uint64_t now_ns,
                                   struct freshet_subscription **out)
{
    static const struct freshet_subscribe_options DEFAULTS = {0};
    *out = NULL;
    core->now_ns = now_ns;
    options = options == NULL ? &DEFAULTS : options;
    if (core->is_final) {
        return core_set_error(core, FRESHET_DISCONNECTED, NULL);
    }
    if (core->subscription_count >= CORE_SUBSCRIPTIONS_MAX) {
        return core_set_error(core, FRESHET_BUSY, "too many subscriptions on this connection");
    }
    if (text_room(options->start) > POSITION_TEXT_BYTES_MAX) {
        return core_set_error(core, FRESHET_INVALID, "a position has at most 4096 bytes");
    }
    if ((options->member != NULL && options->consumer == NULL) ||
        text_room(options->collection) + text_room(options->pattern) +
                text_room(options->consumer) + text_room(options->member) >
            FRAME_REQUEST_BYTES_MAX / 2) {
        return core_set_error(core, FRESHET_INVALID,
                              "a member needs its consumer, and a pattern fits into a frame");
    }
    struct freshet_subscription *subscription = subscription_new(options);
    if (subscription == NULL) {
        return core_set_error(core, FRESHET_NO_MEMORY, NULL);
    }
    subscription->core = core;
    core->subscription_count++;
    list_push_back(&core->subscriptions, &subscription->link);
    subscription_send(core, subscription);
    *out = subscription;
    return FRESHET_OK;
}

struct freshet_subscription *subscription_create_near(struct core *core, const char *collection,
                                                      uint32_t progress_ms)
{
    struct freshet_subscribe_options options = {.collection = collection};
    struct freshet_subscription *subscription = subscription_new(&options);
    if (subscription == NULL) {
        return NULL; /* without it the near cache only passes through */
    }
    subscription->core = core;
    subscription->is_near = true;
    subscription->message->invalidate = true;
    subscription->message->progress_ms = progress_ms;
    list_push_front(&core->subscriptions, &subscription->link);
    return subscription;
}

void core_unsubscribe(struct freshet_subscription *subscription)
{
    struct core *core = subscription->core;
    ASSERT(!subscription->is_near);
    bool is_known = subscription->state == SUBSCRIPTION_SENT ||
                    subscription->state == SUBSCRIPTION_ACTIVE ||
                    subscription->state == SUBSCRIPTION_ENDING;
    if (core == NULL || !is_known) {
        subscription_destroy(subscription);
        return;
    }
    subscription->is_orphan = true;
    queue_clear(subscription);
    if (subscription->state != SUBSCRIPTION_ENDING) {
        send_end(core, subscription);
    }
}

struct core *core_of(const struct freshet_subscription *subscription)
{
    return subscription->core;
}

void core_subscription_set_owner(struct freshet_subscription *subscription, struct freshet *owner)
{
    subscription->owner = owner;
}

struct freshet *core_subscription_owner(const struct freshet_subscription *subscription)
{
    return subscription->core == NULL ? NULL : subscription->owner;
}

const char *core_subscription_position(const struct freshet_subscription *subscription)
{
    return subscription->taken.text;
}

const char *core_subscription_consumer(const struct freshet_subscription *subscription)
{
    const char *name = subscription->message->consumer;
    return *name == '\0' ? NULL : name;
}

const char *core_subscription_member(const struct freshet_subscription *subscription)
{
    const char *name = subscription->message->member;
    return *name == '\0' ? NULL : name;
}

bool core_subscription_is_settled(const struct freshet_subscription *subscription)
{
    return subscription->state == SUBSCRIPTION_ACTIVE || subscription->state == SUBSCRIPTION_ENDED;
}

bool core_subscription_has_ended(const struct freshet_subscription *subscription)
{
    return subscription->state == SUBSCRIPTION_ENDED;
}

/* ---- from the server ---- */

static bool is_change(uint64_t kind)
{
    return kind == FRAME_CHANGE || kind == FRAME_SNAPSHOT;
}

/* What of a frame counts. */
struct frame_summary {
    uint32_t changes;
    bool is_wanted; /* the application wants to see something of it */
    struct bytes position;
};

static const char *summarize(struct core *core, const struct freshet_subscription *subscription,
                             struct bytes body, struct frame_summary *out)
{
    static const char *const UNREADABLE = "CHANGES that cannot be read";
    struct reader reader = reader_of(body);
    struct change_item item;
    uint32_t count;
    *out = (struct frame_summary){0};
    if (!answer_array(&reader, 0, &count)) {
        return UNREADABLE;
    }
    for (uint32_t index = 0; index < count; index++) {
        struct bytes collection;
        struct bytes id;
        if (!change_item_read(&reader, &item)) {
            return UNREADABLE;
        }
        out->position = item.position.size > 0 ? item.position : out->position;
        if (!is_change(item.kind)) {
            out->is_wanted |= item.kind == FRAME_SYNCED ||
                              (item.kind == FRAME_PROGRESS && subscription->wants_progress);
            continue;
        }
        if (out->changes++ == subscription->credit_left) {
            return "more changes than there was credit for";
        }
        out->is_wanted = true;
        if (core->near.cache != NULL && change_key(item.change, &collection, &id)) {
            near_changed(core, collection, id);
        }
    }
    return reader_left(&reader) == 0 ? NULL : UNREADABLE;
}

static enum freshet_status enqueue(struct core *core, struct freshet_subscription *subscription,
                                   struct bytes body)
{
    struct change_block *block = malloc(sizeof(*block) + body.size);
    if (block == NULL) {
        core->state = CORE_BROKEN;
        return core_set_error(core, FRESHET_NO_MEMORY, NULL);
    }
    block->next = NULL;
    block->size = body.size;
    memcpy(block->body, body.data, body.size);
    if (subscription->first == NULL) {
        subscription->first = block;
        subscription->items_left = 0;
        subscription->reader = (struct reader){0};
    } else {
        subscription->last->next = block;
    }
    subscription->last = block;
    subscription->queue_bytes += body.size;
    return FRESHET_OK;
}

enum freshet_status subscription_changes(struct core *core,
                                         struct freshet_subscription *subscription,
                                         struct bytes body)
{
    struct frame_summary summary;
    if (subscription->state == SUBSCRIPTION_ENDING) {
        return FRESHET_OK;
    }
    if (subscription->state != SUBSCRIPTION_ACTIVE) {
        return core_break(core, "CHANGES before SUBSCRIBED");
    }
    const char *objection = summarize(core, subscription, body, &summary);
    if (objection != NULL) {
        return core_break(core, objection);
    }
    bool is_idle = subscription->first == NULL;
    if (!is_idle && body.size > CORE_QUEUE_BYTES_MAX - subscription->queue_bytes) {
        /* The rest comes again, from the last position that is queued, when there is room. */
        subscription->is_resumed_after = true;
        send_end(core, subscription);
        return FRESHET_OK;
    }
    subscription->credit_left -= summary.changes;
    if (summary.is_wanted || !is_idle) {
        enum freshet_status status = enqueue(core, subscription, body);
        if (status != FRESHET_OK) {
            return status;
        }
    } else if (summary.position.size > 0) {
        position_set(&subscription->taken, summary.position);
    }
    if (summary.position.size > 0) {
        position_set(&subscription->received, summary.position);
    }
    return FRESHET_OK;
}

static enum freshet_status
take_subscribed(struct core *core, struct freshet_subscription *subscription, struct bytes body)
{
    if (subscription->state == SUBSCRIPTION_ENDING) {
        return FRESHET_OK;
    }
    Freshet__Subscribed *message = control_unpack(&freshet__subscribed__descriptor, body);
    if (message == NULL || subscription->state != SUBSCRIPTION_SENT ||
        strlen(message->position) > POSITION_TEXT_BYTES_MAX) {
        control_free(message);
        return core_break(core, "a SUBSCRIBED that is not expected");
    }
    struct bytes position = bytes_of_text(message->position);
    subscription->state = SUBSCRIPTION_ACTIVE;
    if (subscription->received.size == 0) {
        position_set(&subscription->received, position);
    }
    if (subscription->taken.size == 0) {
        position_set(&subscription->taken, position);
    }
    control_free(message);
    if (subscription->is_near) {
        near_subscribed(core);
    }
    return FRESHET_OK;
}

/* It has ended as it was asked to. */
static void take_end(struct core *core, struct freshet_subscription *subscription)
{
    ASSERT(subscription->state == SUBSCRIPTION_ENDING);
    core_id_release(core, subscription->id);
    if (subscription->is_orphan) {
        subscription_destroy(subscription);
        return;
    }
    ASSERT(subscription->is_resumed_after);
    subscription->is_resumed_after = false;
    subscription->state = SUBSCRIPTION_PAUSED;
    if (subscription->first == NULL) {
        subscription->state = SUBSCRIPTION_WAITING;
        subscription_send(core, subscription);
    }
}

static void take_near_end(struct core *core, struct freshet_subscription *subscription,
                          enum freshet_status status)
{
    near_ended(core);
    subscription_destroy(subscription);
    if (status == FRESHET_POSITION_EXPIRED && core->state == CORE_OPEN) {
        near_opened(core, true);
        subscription_send_waiting(core);
    }
}

static enum freshet_status
take_failure(struct core *core, struct freshet_subscription *subscription, struct bytes body)
{
    struct freshet_error error;
    void *memory;
    enum freshet_status status = control_error(core, body, &error, &memory);
    if (status != FRESHET_OK) {
        return status;
    }
    bool was_active = subscription->state == SUBSCRIPTION_ACTIVE;
    if (subscription->state == SUBSCRIPTION_ENDING) {
        /* It ended by itself at the same time, and the answer to UNSUBSCRIBE comes still. If it is
         * to go on later, the server will say the same again. */
        control_free(memory);
        return FRESHET_OK;
    }
    core_id_release(core, subscription->id);
    if (subscription->is_near) {
        take_near_end(core, subscription, error.status);
    } else if (was_active && error.status == FRESHET_CONFLICT &&
               core_subscription_consumer(subscription) != NULL) {
        /* A group's slots have moved, or the consumer reads other changes now: what was not taken
         * comes again, to whoever is to have it. */
        queue_clear(subscription);
        subscription->state = SUBSCRIPTION_WAITING;
        subscription_send(core, subscription);
    } else {
        end_with(subscription, &error);
    }
    control_free(memory);
    return FRESHET_OK;
}

enum freshet_status subscription_answered(struct core *core,
                                          struct freshet_subscription *subscription,
                                          const struct frame_header *header, struct bytes body)
{
    if (header->opcode == (FRAME_SUBSCRIBE | FRAME_ANSWER)) {
        return take_subscribed(core, subscription, body);
    }
    if (header->opcode == FRAME_ERROR) {
        return take_failure(core, subscription, body);
    }
    if (header->opcode == (FRAME_UNSUBSCRIBE | FRAME_ANSWER) &&
        subscription->state == SUBSCRIPTION_ENDING) {
        take_end(core, subscription);
        return FRESHET_OK;
    }
    return core_break(core, "an answer to something else than what was asked");
}

static void lose(struct core *core, struct freshet_subscription *subscription, bool is_fatal)
{
    if (subscription->is_orphan) {
        subscription_destroy(subscription);
        return;
    }
    if (subscription->state == SUBSCRIPTION_ENDED) {
        return;
    }
    subscription->id = 0;
    if (!subscription->is_near && (is_fatal || core->is_final)) {
        end_with(subscription, &core->error.error);
        return;
    }
    bool is_paused = subscription->state == SUBSCRIPTION_PAUSED || subscription->is_resumed_after;
    subscription->is_resumed_after = false;
    subscription->state =
        is_paused && subscription->first != NULL ? SUBSCRIPTION_PAUSED : SUBSCRIPTION_WAITING;
}

void subscription_lost_all(struct core *core, bool is_fatal)
{
    struct link *next;
    for (struct link *link = core->subscriptions.next; link != &core->subscriptions; link = next) {
        next = link->next;
        lose(core, CONTAINER_OF(link, struct freshet_subscription, link), is_fatal);
    }
}

/* ---- to the application ---- */

/* The next item of the queue; false when it is empty. */
static bool next_item(struct freshet_subscription *subscription, struct change_item *out)
{
    while (subscription->items_left == 0) {
        struct change_block *block = subscription->first;
        if (block == NULL) {
            return false;
        }
        if (subscription->reader.data == block->body) {
            /* All of the first block is taken. */
            subscription->first = block->next;
            subscription->last = block->next == NULL ? NULL : subscription->last;
            subscription->queue_bytes -= block->size;
            free(block);
            block = subscription->first;
            subscription->reader = (struct reader){0};
            if (block == NULL) {
                return false;
            }
        }
        subscription->reader = reader_of(bytes_of(block->body, block->size));
        bool is_array = answer_array(&subscription->reader, 0, &subscription->items_left);
        ASSERT(is_array); /* it was looked through when it came */
    }
    bool is_item = change_item_read(&subscription->reader, out);
    ASSERT(is_item);
    subscription->items_left--;
    return true;
}

enum freshet_status core_next(struct freshet_subscription *subscription, uint64_t now_ns,
                              struct freshet_change *out)
{
    struct core *core = subscription->core;
    struct change_item item;
    if (core == NULL) {
        return FRESHET_DISCONNECTED;
    }
    core->now_ns = now_ns;
    while (next_item(subscription, &item)) {
        bool is_wanted = is_change(item.kind) || item.kind == FRAME_SYNCED ||
                         (item.kind == FRAME_PROGRESS && subscription->wants_progress);
        if (item.position.size > 0) {
            position_set(&subscription->taken, item.position);
        }
        if (is_change(item.kind)) {
            subscription->credit_owed++;
            give_credit(core, subscription);
        }
        if (is_wanted) {
            enum freshet_status status = change_show(&item, core->format, &subscription->text, out);
            return status == FRESHET_PROTOCOL ? core_break(core, "a change that cannot be read")
                                              : core_set_error(core, status, NULL);
        }
    }
    if (subscription->state == SUBSCRIPTION_PAUSED) {
        subscription->state = SUBSCRIPTION_WAITING;
        subscription_send(core, subscription);
    }
    return subscription->state == SUBSCRIPTION_ENDED ? tell_end(subscription) : FRESHET_AGAIN;
}
