/*
 * SUBSCRIBE, CREDIT, UNSUBSCRIBE, GOAWAY: how subscriptions begin and end. See subscribe.h.
 */
#include "net/wire/subscribe.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

#define NS_PER_MS 1000000ull
/* Connections with changes or invalidations that are sent to before all others. */
#define PUSHES_FIRST_MAX 4
/* The id of one subscription in GOAWAY, and its position. */
#define GOAWAY_SUBSCRIPTION_BYTES (sizeof(Freshet__Goaway__Subscription) + TOKEN_TEXT_BYTES_MAX + 8)

static const char draining_words[] = "The server is shutting down";

/* ---- life ---- */

enum status wire_subscriptions_create(struct wire_server *server)
{
    ASSERT(server->subscriptions == NULL);
    struct wire_subscriptions *subscriptions = calloc(1, sizeof(*subscriptions));
    if (subscriptions == NULL) {
        return STATUS_NO_MEMORY;
    }
    link_init(&subscriptions->pushing);
    link_init(&subscriptions->pinged);
    link_init(&subscriptions->failing);
    link_init(&subscriptions->readers);
    server->subscriptions = subscriptions;
    return STATUS_OK;
}

void wire_subscriptions_destroy(struct wire_server *server)
{
    struct wire_subscriptions *subscriptions = server->subscriptions;
    if (subscriptions == NULL) {
        return;
    }
    ASSERT(list_is_empty(&subscriptions->pushing));
    ASSERT(list_is_empty(&subscriptions->pinged));
    ASSERT(list_is_empty(&subscriptions->failing));
    ASSERT(list_is_empty(&subscriptions->readers));
    free(subscriptions);
    server->subscriptions = NULL;
}

static struct wire_subscription *subscription_find(const struct wire_connection *connection,
                                                   uint32_t id)
{
    const struct link *head = &connection->subscriptions;
    for (const struct link *at = head->next; at != head; at = at->next) {
        struct wire_subscription *subscription = CONTAINER_OF(at, struct wire_subscription, link);
        if (subscription->id == id) {
            return subscription;
        }
    }
    return NULL;
}

static struct wire_subscription *subscription_create(struct wire_connection *connection,
                                                     const struct wire_frame *frame,
                                                     const Freshet__Subscribe *asked)
{
    struct wire_server *server = connection->server;
    struct wire_subscription *subscription =
        memory_take(&server->memory, sizeof(*subscription), MEMORY_FOR_REQUEST);
    if (subscription == NULL) {
        return NULL;
    }
    memset(subscription, 0, sizeof(*subscription));
    link_init(&subscription->failing);
    subscription->connection = connection;
    subscription->id = frame->id;
    subscription->json = (frame->flags & FRAME_FLAG_JSON) != 0;
    subscription->invalidates = asked->invalidate;
    subscription->credit = asked->credit;
    if (!connection->limited) {
        connection->limited = true;
        server->transport->limit(&connection->socket);
    }
    list_push_back(&connection->subscriptions, &subscription->link);
    connection->subscription_count++;
    connection->invalidation_count += subscription->invalidates ? 1 : 0;
    wire_count(&server->statistics.subscriptions, 1);
    return subscription;
}

static void subscription_free(struct wire_subscription *subscription, bool leaves)
{
    struct wire_connection *connection = subscription->connection;
    struct wire_server *server = connection->server;
    ASSERT(connection->push.of != subscription);
    ASSERT(connection->subscription_count > 0);
    if (subscription->subscribed) {
        subscription_close(&subscription->subscription);
    }
    if (subscription->reader != NULL) {
        wire_reader_close(subscription, leaves); /* whose slots the subscription looked at */
    }
    link_remove(&subscription->failing);
    link_remove(&subscription->link);
    connection->subscription_count--;
    connection->invalidation_count -= subscription->invalidates ? 1 : 0;
    wire_count(&server->statistics.subscriptions, (uint64_t)-1);
    memory_give(&server->memory, subscription, sizeof(*subscription));
}

void wire_subscription_close(struct wire_subscription *subscription)
{
    wire_push_end(subscription->connection);
    subscription_free(subscription, false);
}

/* ---- what its client is told ---- */

void wire_token_write(const struct wire_subscription *subscription, const struct token *token,
                      struct writer *text_out)
{
    if (subscription->generation == 0) {
        token_write(token, text_out);
        return;
    }
    struct token of_group = *token;
    of_group.generation = subscription->generation;
    token_write(&of_group, text_out);
}

void wire_follow_problem_answer(struct wire_connection *connection, uint32_t id,
                                const struct problem *problem)
{
    if (problem->status != 410) {
        wire_answer_problem(connection, id, problem);
        return;
    }
    struct position oldest;
    struct position newest;
    uint8_t bytes[2 * POSITION_TEXT_BYTES];
    struct writer text = writer_of(bytes, sizeof(bytes));
    stream_positions(connection->server->options.stream, &oldest, &newest);
    position_write(&oldest, &text);
    position_write(&newest, &text);
    ASSERT(!text.failed);
    wire_answer_expired(connection, id, problem->detail, bytes_of(bytes, POSITION_TEXT_BYTES),
                        bytes_of(bytes + POSITION_TEXT_BYTES, POSITION_TEXT_BYTES));
}

void wire_subscription_refuse(struct wire_subscription *subscription, const struct problem *problem)
{
    struct wire_connection *connection = subscription->connection;
    uint32_t id = subscription->id;
    wire_subscription_close(subscription);
    wire_follow_problem_answer(connection, id, problem);
}

void wire_subscription_fail(struct wire_subscription *subscription, enum status status)
{
    struct wire_server *server = subscription->connection->server;
    ASSERT(status != STATUS_OK);
    if (!link_is_linked(&subscription->failing)) {
        subscription->failure = status;
        list_push_back(&server->subscriptions->failing, &subscription->failing);
    }
}

static void on_ended(struct subscription *of_stream, enum status status)
{
    struct wire_subscription *subscription =
        CONTAINER_OF(of_stream, struct wire_subscription, subscription);
    ASSERT(subscription->subscribed);
    subscription->subscribed = false;
    wire_subscription_fail(subscription, status);
}

void wire_subscription_answer(struct wire_subscription *subscription)
{
    Freshet__Subscribed subscribed = FRESHET__SUBSCRIBED__INIT;
    char position[TOKEN_TEXT_BYTES_MAX + 1] = "";
    ASSERT(subscription->subscribed);
    if (subscription->from != SUBSCRIBE_TIME) {
        struct token token;
        struct writer text = writer_of(position, sizeof(position) - 1);
        subscription_token(&subscription->subscription, &token);
        wire_token_write(subscription, &token, &text);
        ASSERT(!text.failed);
        position[text.size] = '\0';
    }
    subscribed.position = position;
    const struct wire_head head = {
        .opcode = FRAME_SUBSCRIBE | FRAME_ANSWER, .code = 200, .id = subscription->id};
    wire_answer_message(subscription->connection, &head, &subscribed.base);
}

enum status wire_subscription_open(struct wire_subscription *subscription,
                                   const struct subscription_options *options)
{
    struct subscription_options complete = *options;
    complete.wants_caught_up = true;
    complete.deliver = wire_deliver;
    complete.ended = on_ended;
    ASSERT(!subscription->subscribed);
    subscription->from = options->from;
    enum status status = stream_subscribe(subscription->connection->server->options.stream,
                                          &complete, &subscription->subscription);
    subscription->subscribed = status == STATUS_OK;
    if (status != STATUS_OK) {
        pattern_destroy(&complete.pattern);
    }
    return status;
}

/* ---- SUBSCRIBE: what is asked; each is false when answered ---- */

struct asking {
    struct wire_connection *connection;
    const struct wire_frame *frame;
    const Freshet__Subscribe *message;
    struct subscription_options *options;
};

static bool refuse(const struct asking *asking, uint16_t status, const char *words)
{
    wire_answer_error(asking->connection, asking->frame->id, status, bytes_of_text(words));
    return false;
}

static bool is_given(const char *text)
{
    return text[0] != '\0';
}

static bool collection_read(const struct asking *asking)
{
    struct bytes name = bytes_of_text(asking->message->collection);
    if (name.size == 0) {
        return true;
    }
    asking->options->collection =
        collection_names_find(&asking->connection->server->collections, name);
    if (asking->options->collection != NULL) {
        return true;
    }
    struct wire_fault fault;
    (void)wire_fault_collection(&fault, name);
    wire_answer_problem(asking->connection, asking->frame->id, &fault.problem);
    return false;
}

static bool pattern_read(const struct asking *asking)
{
    struct wire_server *server = asking->connection->server;
    struct detail detail;
    if (!is_given(asking->message->pattern)) {
        return true;
    }
    struct writer document = writer_of(server->document, DOCUMENT_BYTES_MAX);
    enum status status = follow_pattern_read(bytes_of_text(asking->message->pattern), &document,
                                             &asking->options->pattern, &detail);
    if (status == STATUS_NO_MEMORY) {
        return refuse(asking, 503, status_text(status));
    }
    return status == STATUS_OK || refuse(asking, 400, detail.text);
}

static bool position_is_read(const struct asking *asking)
{
    struct subscription_options *options = asking->options;
    options->from = SUBSCRIBE_TOKEN;
    if (token_read(bytes_of_text(asking->message->position), &options->token) != STATUS_OK) {
        return refuse(asking, 400,
                      "The position is not one that this server gave: changes and answers to "
                      "writes have one");
    }
    /* What is left of the snapshot would come as records. */
    return !asking->message->invalidate || !options->token.in_snapshot ||
           refuse(asking, 400,
                  "Invalidations do not go on from the middle of a snapshot: from latest instead");
}

static bool from_read(const struct asking *asking)
{
    struct subscription_options *options = asking->options;
    switch (asking->message->from) {
    case FRESHET__FROM__LATEST:
        options->from = SUBSCRIBE_LATEST;
        return true;
    case FRESHET__FROM__EARLIEST:
        options->from = SUBSCRIBE_EARLIEST;
        return true;
    case FRESHET__FROM__SNAPSHOT:
        options->from = SUBSCRIBE_SNAPSHOT;
        return true;
    case FRESHET__FROM__TIME:
        options->from = SUBSCRIBE_TIME;
        options->time_ms = asking->message->time_ms;
        return true;
    case FRESHET__FROM__POSITION:
        return position_is_read(asking);
    default: /* of a later protocol */
        return refuse(asking, 400, "from is LATEST, EARLIEST, POSITION, TIME or SNAPSHOT");
    }
}

static bool view_read(const struct asking *asking)
{
    enum change_view *view = &asking->options->view;
    switch (asking->message->view) {
    case FRESHET__VIEW__VIEW_BOTH:
        *view = CHANGE_VIEW_BOTH;
        return true;
    case FRESHET__VIEW__VIEW_KEYS:
        *view = CHANGE_VIEW_KEYS;
        return true;
    case FRESHET__VIEW__VIEW_NEW:
        *view = CHANGE_VIEW_NEW;
        return true;
    case FRESHET__VIEW__VIEW_OLD:
        *view = CHANGE_VIEW_OLD;
        return true;
    default: /* of a later protocol */
        return refuse(asking, 400, "view is BOTH, KEYS, NEW or OLD");
    }
}

static bool progress_read(const struct asking *asking)
{
    uint32_t progress_ms = asking->message->progress_ms;
    progress_ms = progress_ms == 0 ? WIRE_PROGRESS_MS_DEFAULT : progress_ms;
    asking->options->progress_ns = progress_ms * NS_PER_MS;
    return progress_ms >= WIRE_PROGRESS_MS_LEAST ||
           refuse(asking, 400, "progress_ms is at least 50; 0: 5000");
}

/* What does not go together. */
static bool kind_check(const struct asking *asking)
{
    const Freshet__Subscribe *message = asking->message;
    bool of_consumer = is_given(message->consumer);
    if (is_given(message->member) && !of_consumer) {
        return refuse(asking, 400, "member is of a consumer that is a group");
    }
    if (message->invalidate) {
        if ((asking->connection->features & WIRE_FEATURE_INVALIDATE) == 0) {
            return refuse(asking, 400, "invalidate is a feature that HELLO asks for");
        }
        bool has_more = is_given(message->pattern) || of_consumer || message->enter_leave ||
                        message->view != FRESHET__VIEW__VIEW_BOTH || message->credit != 0 ||
                        message->from == FRESHET__FROM__SNAPSHOT ||
                        (asking->frame->flags & FRAME_FLAG_JSON) != 0;
        return !has_more || refuse(asking, 400,
                                   "Invalidations have no pattern, view, enter_leave, credit, "
                                   "snapshot, consumer or JSON");
    }
    if (of_consumer && (is_given(message->collection) || is_given(message->pattern) ||
                        message->from != FRESHET__FROM__LATEST)) {
        return refuse(asking, 400,
                      "A consumer is read from where it stands; collection, pattern and from are "
                      "its own");
    }
    return true;
}

/* Whether there may be one more. */
static bool room_check(const struct asking *asking)
{
    const struct wire_connection *connection = asking->connection;
    if (asking->frame->id == 0) {
        return refuse(asking, 400, "A subscription has an id of its own; 0 is the server's");
    }
    if (connection->server->draining) {
        return refuse(asking, 503, draining_words);
    }
    if ((connection->server->options.principal.rights & PRINCIPAL_READ) == 0) {
        return refuse(asking, 403, "You may not read this");
    }
    if (connection->subscription_count >= connection->server->options.subscriptions_max) {
        return refuse(asking, 503,
                      "There are as many subscriptions on this connection as it may have");
    }
    return true;
}

static bool subscription_begin(const struct asking *asking, struct wire_subscription *subscription)
{
    const Freshet__Subscribe *message = asking->message;
    if (is_given(message->consumer)) {
        return wire_reader_open(subscription, bytes_of_text(message->consumer),
                                bytes_of_text(message->member), asking->options);
    }
    enum status status = wire_subscription_open(subscription, asking->options);
    if (status != STATUS_OK) {
        struct problem problem = follow_problem(status, asking->options->from);
        wire_subscription_refuse(subscription, &problem);
        return true;
    }
    wire_subscription_answer(subscription);
    return true;
}

/* An ERROR of its id ends a subscription for its client; so it ends here, too. True: it did. */
static bool subscribed_twice(const struct wire_connection *connection, uint32_t id)
{
    struct wire_subscription *subscription = subscription_find(connection, id);
    if (subscription == NULL) {
        return false;
    }
    const struct problem problem =
        problem_of(STATUS_CONFLICT,
                   BYTES_LITERAL("There was a subscription of that id already, which ends with "
                                 "this: each has an id of its own"));
    wire_subscription_refuse(subscription, &problem);
    return true;
}

void wire_subscribe(struct wire_connection *connection, const struct wire_frame *frame)
{
    if (subscribed_twice(connection, frame->id)) {
        return;
    }
    const Freshet__Subscribe *message =
        wire_unpack(connection, frame, &freshet__subscribe__descriptor);
    struct subscription_options options = {0};
    const struct asking asking = {connection, frame, message, &options};
    if (message == NULL) {
        return;
    }
    if (!room_check(&asking) || !kind_check(&asking) || !collection_read(&asking) ||
        !from_read(&asking) || !view_read(&asking) || !progress_read(&asking) ||
        !pattern_read(&asking)) {
        return;
    }
    options.enter_leave = message->enter_leave;
    struct wire_subscription *subscription = subscription_create(connection, frame, message);
    if (subscription == NULL) {
        pattern_destroy(&options.pattern);
        (void)refuse(&asking, 503, status_text(STATUS_NO_MEMORY));
        return;
    }
    if (!subscription_begin(&asking, subscription)) {
        wire_subscription_close(subscription);
        (void)refuse(&asking, 503, status_text(STATUS_NO_MEMORY));
    }
}

/* ---- CREDIT, UNSUBSCRIBE ---- */

void wire_credit(struct wire_connection *connection, const struct wire_frame *frame)
{
    const Freshet__Credit *message = wire_unpack(connection, frame, &freshet__credit__descriptor);
    struct wire_subscription *subscription = subscription_find(connection, frame->id);
    if (subscription == NULL) {
        return; /* it has ended meanwhile */
    }
    if (message == NULL) {
        wire_subscription_close(subscription); /* the ERROR says so */
        return;
    }
    subscription->credit += message->changes;
    if (subscription->subscribed && !subscription->blocked && subscription->credit > 0) {
        subscription_resume(&subscription->subscription);
    }
}

void wire_unsubscribe(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct wire_subscription *subscription = subscription_find(connection, frame->id);
    /* One that has just ended by itself is answered alike: there is none of that id any more. */
    if (subscription != NULL) {
        wire_push_end(connection);
        subscription_free(subscription, true);
    }
    const struct wire_head head = {
        .opcode = FRAME_UNSUBSCRIBE | FRAME_ANSWER, .code = 200, .id = frame->id};
    wire_answer(connection, &head, BYTES_EMPTY);
}

/* ---- a turn ---- */

static void failing_run(struct wire_server *server)
{
    struct link *at;
    while ((at = list_pop_front(&server->subscriptions->failing)) != NULL) {
        struct wire_subscription *subscription =
            CONTAINER_OF(at, struct wire_subscription, failing);
        enum status status = subscription->failure;
        ASSERT(status != STATUS_OK);
        struct problem problem = follow_problem(status, subscription->from);
        wire_subscription_refuse(subscription, &problem);
    }
}

/* Sends are carried out one by one, and one to a client that sleeps takes some microseconds: who is
 * told of a write comes before who wrote it, as long as they are few. */
static void pushes_end(struct wire_server *server)
{
    struct link *at;
    for (uint32_t i = 0; (at = list_first(&server->subscriptions->pushing)) != NULL; i++) {
        struct wire_connection *connection = CONTAINER_OF(at, struct wire_connection, push.link);
        wire_push_end(connection);
        ASSERT(link_is_linked(&connection->settle));
        if (i < PUSHES_FIRST_MAX) {
            link_remove(&connection->settle);
            list_push_front(&server->touched, &connection->settle);
        }
    }
}

uint64_t wire_subscriptions_step(struct wire_server *server, uint64_t now_ns)
{
    ASSERT(now_ns == server->now_ns);
    pushes_end(server);
    failing_run(server);
    wire_pings_step(server);
    return wire_readers_step(server);
}

void wire_subscriptions_writable(struct wire_connection *connection)
{
    struct link *head = &connection->subscriptions;
    for (struct link *at = head->next; at != head; at = at->next) {
        struct wire_subscription *subscription = CONTAINER_OF(at, struct wire_subscription, link);
        if (subscription->blocked) {
            subscription->blocked = false;
            if (subscription->subscribed) {
                subscription_resume(&subscription->subscription);
            }
        }
    }
}

void wire_subscriptions_close(struct wire_connection *connection)
{
    struct link *at;
    ASSERT(connection->push.of == NULL);
    while ((at = list_first(&connection->subscriptions)) != NULL) {
        subscription_free(CONTAINER_OF(at, struct wire_subscription, link), false);
    }
    wire_pings_drop(connection);
    ASSERT(connection->subscription_count == 0);
    ASSERT(connection->invalidation_count == 0);
}

/* ---- GOAWAY ---- */

/* The positions of its subscriptions; what has no place yet is left out. */
static size_t goaway_fill(struct wire_connection *connection, uint8_t *memory, size_t capacity,
                          Freshet__Goaway__Subscription **pointers)
{
    size_t count = 0;
    struct link *head = &connection->subscriptions;
    Freshet__Goaway__Subscription *entries = (void *)memory;
    struct writer texts = writer_of(memory + connection->subscription_count * sizeof(*entries),
                                    capacity - connection->subscription_count * sizeof(*entries));
    for (struct link *at = head->next; at != head; at = at->next) {
        struct wire_subscription *subscription = CONTAINER_OF(at, struct wire_subscription, link);
        if (!subscription->subscribed || subscription->subscription.needs_time) {
            continue;
        }
        struct token token;
        Freshet__Goaway__Subscription *entry = &entries[count];
        freshet__goaway__subscription__init(entry);
        subscription_token(&subscription->subscription, &token);
        entry->id = subscription->id;
        entry->position = (char *)texts.data + texts.size;
        wire_token_write(subscription, &token, &texts);
        writer_u8(&texts, 0);
        pointers[count] = entry;
        count++;
    }
    ASSERT(!texts.failed);
    return count;
}

static void goaway_send(struct wire_connection *connection)
{
    size_t count = connection->subscription_count;
    size_t capacity = count * GOAWAY_SUBSCRIPTION_BYTES;
    size_t size = capacity + count * sizeof(Freshet__Goaway__Subscription *);
    uint8_t *memory = count == 0 ? NULL : malloc(size);
    char detail[sizeof(draining_words)];
    memcpy(detail, draining_words, sizeof(detail));
    Freshet__Goaway message = FRESHET__GOAWAY__INIT;
    message.detail = detail;
    if (memory != NULL) {
        message.subscriptions = (void *)(memory + capacity);
        message.n_subscriptions = goaway_fill(connection, memory, capacity, message.subscriptions);
    }
    const struct wire_head head = {.opcode = FRAME_GOAWAY};
    wire_answer_message(connection, &head, &message.base);
    free(memory);
}

void wire_goaway_begin(struct wire_server *server)
{
    struct link *head = &server->connections;
    ASSERT(server->draining);
    for (struct link *at = head->next; at != head; at = at->next) {
        struct wire_connection *connection = CONTAINER_OF(at, struct wire_connection, all);
        if (!connection->welcomed || connection->phase != WIRE_OPEN) {
            continue;
        }
        wire_push_end(connection);
        wire_pings_refuse(connection);
        goaway_send(connection);
        wire_subscriptions_close(connection);
        wire_touch(connection);
    }
}
