/*
 * GET /changes, and what all answers with changes have in common: how they begin, their timers, and
 * how they end. See changes_internal.h.
 */
#include "net/rest/changes_internal.h"

/* Deadlines of pages are looked at no more often than this. */
#define WAITS_TICK_NS 10000000ull

static struct changes *changes_of(struct subscription *subscription)
{
    return CONTAINER_OF(subscription, struct changes, subscription);
}

/* ---- lists ---- */

void changes_lists_init(struct changes_lists *lists)
{
    link_init(&lists->starting);
    link_init(&lists->beats);
    link_init(&lists->waits);
    link_init(&lists->touched);
    lists->waits_due_ns = UINT64_MAX;
}

void changes_touch(struct changes *changes)
{
    if (!link_is_linked(&changes->touched)) {
        list_push_back(&changes->rest->changes.touched, &changes->touched);
    }
}

static void unlink_if(struct link *link)
{
    if (link_is_linked(link)) {
        link_remove(link);
    }
}

/* An open answer has one timer: its next heartbeat, or the end of its waiting. */
static void timer_start(struct changes *changes)
{
    struct changes_lists *lists = &changes->rest->changes;
    ASSERT(!link_is_linked(&changes->timer));
    if (changes->format == &changes_format_sse) {
        changes->due_ns = changes->rest->now_ns + CHANGES_HEARTBEAT_NS;
        list_push_back(&lists->beats, &changes->timer);
    } else {
        changes->overdue = changes->wait_ns == 0;
        changes->due_ns =
            changes->rest->now_ns + (changes->overdue ? CHANGES_PAGE_NS : changes->wait_ns);
        list_push_back(&lists->waits, &changes->timer);
        if (changes->due_ns < lists->waits_due_ns) {
            lists->waits_due_ns = changes->due_ns;
        }
    }
}

/* ---- words ---- */

void changes_token_write(const struct changes *changes, const struct token *token,
                         struct writer *text_out)
{
    if (changes->generation == 0) {
        token_write(token, text_out);
        return;
    }
    struct token of_group = *token;
    of_group.generation = changes->generation;
    token_write(&of_group, text_out);
}

/* "oldest":"…","newest":"…" */
static void positions_write(const struct rest *rest, struct writer *json_out)
{
    struct position oldest;
    struct position newest;
    stream_positions(rest->options.stream, &oldest, &newest);
    writer_put(json_out, BYTES_LITERAL("\"oldest\":\""));
    position_write(&oldest, json_out);
    writer_put(json_out, BYTES_LITERAL("\",\"newest\":\""));
    position_write(&newest, json_out);
    writer_u8(json_out, '"');
}

void changes_reset_write(const struct rest *rest, struct writer *json_out)
{
    struct problem problem = follow_problem(STATUS_POSITION_EXPIRED, SUBSCRIBE_TOKEN);
    writer_put(json_out, BYTES_LITERAL("{\"type\":\"urn:freshet:problem:position-expired\","
                                       "\"status\":410,\"detail\":\""));
    writer_put(json_out, problem.detail);
    writer_put(json_out, BYTES_LITERAL("\","));
    positions_write(rest, json_out);
    writer_u8(json_out, '}');
}

/* The positions that there are belong to what has expired. */
void changes_answer_problem(struct rest *rest, struct http_exchange *exchange,
                            struct problem problem)
{
    uint8_t bytes[PROBLEM_MEMBERS_BYTES_MAX];
    struct writer members = writer_of(bytes, sizeof(bytes));
    if (problem.status == 410) {
        writer_u8(&members, ',');
        positions_write(rest, &members);
        ASSERT(!members.failed);
        problem.members = writer_bytes(&members);
    }
    rest_answer_problem(rest, exchange, &problem, NULL);
}

/* ---- events of http: they only note what is to be done ---- */

static void on_writable(void *context, struct http_exchange *exchange)
{
    struct changes *changes = context;
    ASSERT(changes->exchange == exchange);
    changes_touch(changes);
    if (changes->subscribed && changes->blocked && changes->ending == CHANGES_GOES_ON) {
        changes->blocked = false;
        subscription_resume(&changes->subscription);
    }
}

static void subscription_end(struct changes *changes)
{
    if (changes->subscribed) {
        changes->subscribed = false;
        subscription_close(&changes->subscription);
    }
}

/* It leaves everything but its exchange. */
static void changes_leave(struct changes *changes)
{
    subscription_end(changes);
    unlink_if(&changes->timer);
    unlink_if(&changes->touched);
    if (changes->hooks != NULL && changes->hooks->over != NULL) {
        changes->hooks->over(changes->hooks_context, changes);
    }
    ASSERT(!changes->subscribed);
}

static void on_closed(void *context, struct http_exchange *exchange)
{
    struct changes *changes = context;
    ASSERT(changes->exchange == exchange);
    changes_leave(changes);
}

static void ending_set(struct changes *changes, enum changes_ending ending, enum status status)
{
    ASSERT(ending != CHANGES_GOES_ON);
    if (changes->ending == CHANGES_GOES_ON) {
        changes->ending = ending;
        changes->status = status;
    }
    changes_touch(changes);
}

void changes_fail(struct changes *changes, enum status status)
{
    ASSERT(status != STATUS_OK);
    ending_set(changes, status == STATUS_POSITION_EXPIRED ? CHANGES_EXPIRED : CHANGES_FAILED,
               status);
}

void changes_finish(struct changes *changes)
{
    ending_set(changes, CHANGES_DRAINS, STATUS_OK);
}

static void on_draining(void *context, struct http_exchange *exchange)
{
    struct changes *changes = context;
    ASSERT(changes->exchange == exchange);
    changes_finish(changes);
}

static const struct http_stream_events page_events = {
    .writable = on_writable, .closed = on_closed, .draining = on_draining};
static const struct http_stream_events sse_events = {
    .is_endless = true, .writable = on_writable, .closed = on_closed, .draining = on_draining};

/* ---- of the stream ---- */

static bool greet(struct changes *changes)
{
    changes->greeted = changes->greeted || changes->format->greet(changes);
    return changes->greeted;
}

static bool on_delivery(struct subscription *subscription, const struct delivery *delivery)
{
    struct changes *changes = changes_of(subscription);
    ASSERT(changes->subscribed);
    bool taken = changes->ending == CHANGES_GOES_ON && changes->began && greet(changes) &&
                 changes->format->deliver(changes, delivery);
    changes->blocked = !taken;
    if (taken && delivery->kind == DELIVERY_CHANGE &&
        delivery->change->sequence > changes->given_sequence) {
        changes->given_sequence = delivery->change->sequence;
    }
    return taken;
}

static void on_ended(struct subscription *subscription, enum status status)
{
    struct changes *changes = changes_of(subscription);
    ASSERT(changes->subscribed && status != STATUS_OK);
    changes->subscribed = false;
    changes_fail(changes, status);
}

/* ---- begin ---- */

static bool head_send(struct changes *changes)
{
    struct rest *rest = changes->rest;
    struct http_exchange *exchange = changes->exchange;
    uint8_t bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(bytes, sizeof(bytes));
    if (exchange->request.minor == 0) {
        http_close_after(exchange); /* its end is the end of the connection */
    }
    head_begin(&rest->heads, 200, &head);
    head_line(&head, "Content-Type", changes->format->content_type);
    writer_put(&head, BYTES_LITERAL("Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"));
    head_end(exchange, rest_state_of(exchange)->expose, &head);
    ASSERT(!head.failed);
    const struct http_stream_events *events =
        changes->format == &changes_format_sse ? &sse_events : &page_events;
    return http_stream_begin(exchange, writer_bytes(&head), 200, events, changes);
}

/* Its place is known, or there is none: says so. It may be over then. */
static bool answer_begin(struct changes *changes)
{
    struct rest *rest = changes->rest;
    struct http_exchange *exchange = changes->exchange;
    unlink_if(&changes->timer);
    bool is_page = changes->format == &changes_format_page;
    if (changes->ending == CHANGES_FAILED || (changes->ending == CHANGES_EXPIRED && is_page)) {
        enum status status = changes->status;
        changes_leave(changes);
        changes_answer_problem(rest, exchange, follow_problem(status, changes->from));
        return false;
    }
    if (!head_send(changes)) {
        changes_leave(changes);
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return false;
    }
    changes->began = true;
    if (changes->subscribed) {
        subscription_token(&changes->subscription, &changes->token);
    }
    timer_start(changes);
    (void)greet(changes);
    if (exchange->request.method == HTTP_HEAD && changes->ending == CHANGES_GOES_ON) {
        ending_set(changes, CHANGES_DONE, STATUS_OK);
    }
    changes_touch(changes);
    if (changes->subscribed && changes->blocked) {
        changes->blocked = false;
        subscription_resume(&changes->subscription);
    }
    return true;
}

static struct changes *changes_create(struct rest *rest, struct http_exchange *exchange,
                                      const struct changes_options *options)
{
    struct changes *changes = (struct changes *)(void *)http_allocate(exchange, sizeof(*changes));
    if (changes == NULL) {
        return NULL;
    }
    memset(changes, 0, sizeof(*changes));
    changes->rest = rest;
    changes->exchange = exchange;
    changes->format = options->sse ? &changes_format_sse : &changes_format_page;
    changes->hooks = options->hooks;
    changes->hooks_context = options->hooks_context;
    changes->generation = options->generation;
    changes->limit = options->limit;
    changes->wait_ns = options->wait_ns;
    changes->from = options->subscription.from;
    link_init(&changes->timer);
    link_init(&changes->touched);
    return changes;
}

static enum status changes_subscribe(struct changes *changes, const struct changes_options *options)
{
    struct subscription_options subscription = options->subscription;
    subscription.wants_caught_up = !options->sse;
    subscription.progress_ns = options->sse ? CHANGES_PROGRESS_NS : 0;
    subscription.deliver = on_delivery;
    subscription.ended = on_ended;
    enum status status =
        stream_subscribe(changes->rest->options.stream, &subscription, &changes->subscription);
    changes->subscribed = status == STATUS_OK;
    return status;
}

struct changes *changes_open(struct rest *rest, struct http_exchange *exchange,
                             const struct changes_options *options)
{
    struct changes_options dropped = *options;
    struct changes *changes = changes_create(rest, exchange, options);
    if (changes == NULL) {
        changes_options_drop(&dropped);
        if (options->hooks != NULL && options->hooks->over != NULL) {
            options->hooks->over(options->hooks_context, NULL);
        }
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return NULL;
    }
    enum status status = changes_subscribe(changes, options);
    if (status != STATUS_OK) {
        changes_options_drop(&dropped);
        changes_fail(changes, status);
    }
    /* Whether a time is within what is kept, the stream says later. */
    if (changes->subscribed && changes->from == SUBSCRIBE_TIME) {
        list_push_back(&rest->changes.starting, &changes->timer);
        return changes;
    }
    return answer_begin(changes) ? changes : NULL;
}

bool changes_is_open(const struct changes *changes)
{
    return changes->subscribed && changes->ending == CHANGES_GOES_ON;
}

void changes_reopen(struct changes *changes, const struct changes_options *options)
{
    struct changes_options dropped = *options;
    ASSERT(changes_is_open(changes));
    ASSERT(changes->subscription.state != SUBSCRIPTION_STARTING);
    subscription_end(changes);
    changes->generation = options->generation;
    changes->blocked = false;
    changes->caught_up = false;
    enum status status = changes_subscribe(changes, options);
    if (status != STATUS_OK) {
        changes_options_drop(&dropped);
        changes_fail(changes, status);
    }
    changes_touch(changes);
}

void rest_changes(struct rest *rest, struct http_exchange *exchange)
{
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, OPTIONS");
        return;
    }
    if (!rest_allowed(rest, PRINCIPAL_READ)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not read this"));
        return;
    }
    if (rest->options.stream == NULL) {
        rest_answer_error(rest, exchange, 501, BYTES_LITERAL("This server follows no changes"));
        return;
    }
    struct changes_options options;
    if (changes_query_read(rest, exchange,
                           CHANGES_COLLECTION | CHANGES_PATTERN | CHANGES_FROM | CHANGES_VIEW |
                               CHANGES_ENTER_LEAVE | CHANGES_LIMIT | CHANGES_WAIT,
                           &options)) {
        (void)changes_open(rest, exchange, &options);
    }
}

/* ---- a step ---- */

static bool is_starting(const struct changes *changes)
{
    return changes->subscribed && (changes->subscription.state == SUBSCRIPTION_STARTING ||
                                   changes->subscription.state == SUBSCRIPTION_ENDING);
}

static void starting_run(struct rest *rest)
{
    struct link *next;
    for (struct link *link = rest->changes.starting.next; link != &rest->changes.starting;
         link = next) {
        struct changes *changes = CONTAINER_OF(link, struct changes, timer);
        next = link->next;
        if (!is_starting(changes)) {
            (void)answer_begin(changes);
        }
    }
}

static void beat(struct changes *changes)
{
    /* Who has no room has something better to read. */
    if (changes->ending == CHANGES_GOES_ON && !changes->blocked && greet(changes)) {
        bool taken = http_stream_write(changes->exchange, BYTES_LITERAL(":\n\n"));
        (void)taken;
    }
    if (changes->hooks != NULL && changes->hooks->beat != NULL) {
        changes->hooks->beat(changes->hooks_context, changes);
    }
}

/* All have the same period, so the list is in the order of time. */
static void beats_run(struct rest *rest)
{
    struct link *beats = &rest->changes.beats;
    for (struct link *link = list_first(beats); link != NULL; link = list_first(beats)) {
        struct changes *changes = CONTAINER_OF(link, struct changes, timer);
        if (changes->due_ns > rest->now_ns) {
            return;
        }
        link_remove(link);
        timer_start(changes);
        beat(changes);
    }
}

/* It still takes what is there already, but not for ever. */
static void wait_over(struct changes *changes)
{
    if (changes->caught_up || changes->overdue) {
        link_remove(&changes->timer);
        ending_set(changes, CHANGES_DONE, STATUS_OK);
        return;
    }
    changes->overdue = true;
    changes->due_ns = changes->rest->now_ns + CHANGES_PAGE_NS;
}

static void waits_run(struct rest *rest)
{
    struct changes_lists *lists = &rest->changes;
    if (rest->now_ns < lists->waits_due_ns) {
        return;
    }
    uint64_t due_ns = UINT64_MAX;
    struct link *next;
    for (struct link *link = lists->waits.next; link != &lists->waits; link = next) {
        struct changes *changes = CONTAINER_OF(link, struct changes, timer);
        next = link->next;
        if (changes->due_ns <= rest->now_ns) {
            wait_over(changes);
        }
        if (link_is_linked(link) && changes->due_ns < due_ns) {
            due_ns = changes->due_ns;
        }
    }
    uint64_t tick_ns = rest->now_ns + WAITS_TICK_NS;
    lists->waits_due_ns = due_ns < tick_ns ? tick_ns : due_ns;
}

/* Its last words, and its end, as soon as there is room for them. */
static void ending_run(struct changes *changes)
{
    /* Where it stands. A page knows that from the last delivery that it took, if another waits. */
    bool is_page = changes->format == &changes_format_page;
    if (changes->subscribed && !(is_page && changes->blocked)) {
        subscription_token(&changes->subscription, &changes->token);
    }
    subscription_end(changes);
    if (!greet(changes) || !changes->format->finish(changes)) {
        return;
    }
    struct http_exchange *exchange = changes->exchange;
    changes_leave(changes);
    http_stream_end(exchange);
}

static void touched_settle(struct changes *changes)
{
    if (!changes->began) {
        return; /* starting_run sees to it */
    }
    bool is_page = changes->format == &changes_format_page;
    if (changes->ending == CHANGES_GOES_ON && is_page && changes->caught_up &&
        (changes->count > 0 || changes->overdue)) {
        ending_set(changes, CHANGES_DONE, STATUS_OK);
    }
    if (changes->ending != CHANGES_GOES_ON) {
        ending_run(changes);
        return;
    }
    (void)greet(changes);
}

static void touched_run(struct rest *rest)
{
    struct link touched;
    link_init(&touched);
    list_splice_back(&touched, &rest->changes.touched);
    for (struct link *link = list_pop_front(&touched); link != NULL;
         link = list_pop_front(&touched)) {
        touched_settle(CONTAINER_OF(link, struct changes, touched));
    }
}

uint64_t changes_step(struct rest *rest)
{
    struct changes_lists *lists = &rest->changes;
    starting_run(rest);
    beats_run(rest);
    waits_run(rest);
    touched_run(rest);
    uint64_t next_ns = lists->waits_due_ns;
    const struct link *first = list_first(&lists->beats);
    if (first != NULL) {
        uint64_t due_ns = CONTAINER_OF(first, const struct changes, timer)->due_ns;
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    return list_is_empty(&lists->touched) ? next_ns : rest->now_ns;
}
