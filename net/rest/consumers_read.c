/*
 * GET /consumers/{name}/changes: changes from where the consumer stands, as events or as a page.
 *
 *     ask the owner --> open (changes.c) --> ask again, every second or so --> over
 *                            ^                            |
 *                            +---- other slots, or -------+
 *                                  another pattern
 *
 * A reader that goes on asks its consumer's owner again and again: a member of a group keeps its
 * lease that way, and hears that slots have come or gone; everyone hears that the definition is
 * another one. Then the subscription is closed and another one opened, on the same connection.
 *
 * A member whose client takes nothing for as long as a lease does not ask: its slots go to others.
 */
#include <stdlib.h>

#include "net/rest/changes_internal.h"
#include "net/rest/consumers_internal.h"
#include "net/rest/target.h"
#include "protocol/document/document.h"

struct consumer_reader {
    struct consumer_request request;
    struct rest *rest;
    struct http_exchange *exchange; /* until it is open */
    struct changes *changes;        /* while it is open */
    struct changes_options options; /* without pattern */
    struct link timer;              /* in rest->readers, by due_ns */
    uint64_t due_ns;
    uint64_t generation;       /* in which it reads */
    uint64_t blocked_since_ns; /* 0: its client takes what it gets */
    bool is_asking;            /* the request is on its way */
    bool is_opening;
    bool is_over;
    struct slot_set slots; /* of the subscription: the owner writes into the request's */
    uint64_t slot_sequences[SLOT_COUNT];
    uint8_t name[CONSUMER_NAME_BYTES_MAX];
    uint8_t member[CONSUMER_MEMBER_BYTES_MAX];
};

/* ---- asking ---- */

static void reader_done(struct consumer_request *request);

static void reader_ask(struct consumer_reader *reader)
{
    ASSERT(!reader->is_asking);
    reader->is_asking = true;
    reader->rest->pending++;
    reader->request.done = reader_done;
    consumers_submit(reader->rest->options.consumers, &reader->request);
}

/* Whoever opened it may be within it still, or the request on its way. */
static void reader_free(struct consumer_reader *reader)
{
    if (reader->is_over && !reader->is_asking && !reader->is_opening) {
        free(reader);
    }
}

static void on_over(void *context, struct changes *changes)
{
    struct consumer_reader *reader = context;
    (void)changes;
    ASSERT(!reader->is_over);
    reader->is_over = true;
    reader->changes = NULL;
    link_remove(&reader->timer);
    reader_free(reader);
}

static const struct changes_hooks reader_hooks = {.over = on_over};

/* ---- opening ---- */

/* Fills in the definition, the place and the slots that the owner gave. */
static enum status reader_set(struct consumer_reader *reader, const struct token *token,
                              struct changes_options *options)
{
    const struct consumer_request *request = &reader->request;
    *options = reader->options;
    enum status status = follow_definition_read(&reader->rest->collections, request->definition,
                                                &options->subscription, &reader->request.detail);
    if (status != STATUS_OK) {
        return status;
    }
    reader->generation = request->generation;
    options->subscription.from = SUBSCRIBE_TOKEN;
    options->subscription.token = token == NULL ? request->position : *token;
    options->subscription.token.generation = 0;
    if (request->is_group) {
        reader->slots = request->slots;
        memcpy(reader->slot_sequences, request->slot_sequences, sizeof(reader->slot_sequences));
        options->subscription.slots = &reader->slots;
        options->subscription.slot_sequences = reader->slot_sequences;
        options->generation = request->generation;
    }
    return STATUS_OK;
}

static void reader_open(struct consumer_reader *reader)
{
    struct rest *rest = reader->rest;
    struct changes_options options;
    enum status status = reader->request.status;
    bool has_place = reader->request.has_token && !reader->request.is_group;
    if (status == STATUS_OK) {
        status = reader_set(reader, has_place ? &reader->request.token : NULL, &options);
    }
    if (status != STATUS_OK) {
        rest_consumer_failure(rest, reader->exchange, status, &reader->request.detail);
        reader->is_over = true;
        reader_free(reader);
        return;
    }
    reader->is_opening = true;
    struct changes *changes = changes_open(rest, reader->exchange, &options);
    reader->is_opening = false;
    if (reader->is_over) {
        reader_free(reader);
        return;
    }
    ASSERT(changes != NULL);
    reader->changes = changes;
    reader->due_ns = rest->now_ns + consumers_renew_ns(rest->options.consumers);
    list_push_back(&rest->readers, &reader->timer);
}

/* ---- going on ---- */

static void reader_reopen(struct consumer_reader *reader)
{
    struct changes *changes = reader->changes;
    struct changes_options options;
    struct token token;
    /* A page that has something already ends with it, and the next one begins anew. */
    if (!reader->options.sse && changes->count > 0) {
        changes_finish(changes);
        return;
    }
    subscription_token(&changes->subscription, &token);
    if (reader_set(reader, reader->request.is_group ? NULL : &token, &options) != STATUS_OK) {
        changes_finish(changes);
        return;
    }
    changes_reopen(changes, &options);
}

static void reader_done(struct consumer_request *request)
{
    struct consumer_reader *reader = CONTAINER_OF(request, struct consumer_reader, request);
    ASSERT(reader->is_asking);
    ASSERT(reader->rest->pending > 0);
    reader->is_asking = false;
    reader->rest->pending--;
    if (reader->is_over) {
        reader_free(reader);
        return;
    }
    if (reader->changes == NULL) {
        reader_open(reader);
        return;
    }
    if (!changes_is_open(reader->changes)) {
        return;
    }
    if (request->status == STATUS_NOT_FOUND || request->status == STATUS_CONFLICT) {
        changes_finish(reader->changes);
    } else if (request->status == STATUS_OK && request->generation != reader->generation) {
        reader_reopen(reader);
    }
}

/* False: its client has not taken anything for as long as a lease. */
static bool reader_is_awake(struct consumer_reader *reader)
{
    uint64_t now_ns = reader->rest->now_ns;
    if (!reader->changes->blocked) {
        reader->blocked_since_ns = 0;
        return true;
    }
    if (reader->blocked_since_ns == 0) {
        reader->blocked_since_ns = now_ns;
    }
    return now_ns - reader->blocked_since_ns < consumers_lease_ns(reader->rest->options.consumers);
}

static void reader_go_on(struct consumer_reader *reader)
{
    struct consumer_request *request = &reader->request;
    if (reader->is_asking || !changes_is_open(reader->changes) || !reader_is_awake(reader)) {
        return;
    }
    request->known_generation = reader->generation;
    request->has_token = true;
    subscription_token(&reader->changes->subscription, &request->token);
    request->token.generation = reader->generation;
    request->given_sequence = reader->changes->given_sequence;
    reader_ask(reader);
}

uint64_t rest_consumers_step(struct rest *rest)
{
    struct link *at;
    while ((at = list_first(&rest->readers)) != NULL) {
        struct consumer_reader *reader = CONTAINER_OF(at, struct consumer_reader, timer);
        if (reader->due_ns > rest->now_ns) {
            return reader->due_ns;
        }
        link_remove(at);
        reader->due_ns = rest->now_ns + consumers_renew_ns(rest->options.consumers);
        list_push_back(&rest->readers, at);
        reader_go_on(reader);
    }
    return UINT64_MAX;
}

/* ---- the request ---- */

/* The acknowledged position is where it begins; only a token says otherwise. False when
 * answered. */
static bool from_check(struct rest *rest, struct http_exchange *exchange,
                       const struct changes_options *options)
{
    struct bytes left = exchange->request.query;
    struct bytes name;
    struct bytes value;
    bool given = options->subscription.from != SUBSCRIBE_LATEST;
    while (target_next_parameter(&left, &name, &value)) {
        given = given || bytes_equal(name, BYTES_LITERAL("from"));
    }
    if (given && (options->subscription.from != SUBSCRIBE_TOKEN ||
                  options->subscription.token.in_snapshot)) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("A consumer is read from where it stands; from is a "
                                        "position that was read here and is not acknowledged yet"));
        return false;
    }
    return true;
}

void rest_consumer_read(struct rest *rest, struct http_exchange *exchange, struct bytes name)
{
    enum http_method method = exchange->request.method;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        rest_answer_no_method(rest, exchange, "GET, HEAD, OPTIONS");
        return;
    }
    struct changes_options options;
    if (!changes_query_read(rest, exchange,
                            CHANGES_FROM | CHANGES_VIEW | CHANGES_ENTER_LEAVE | CHANGES_LIMIT |
                                CHANGES_WAIT | CHANGES_MEMBER,
                            &options) ||
        !from_check(rest, exchange, &options)) {
        return;
    }
    ASSERT(options.member.size <= CONSUMER_MEMBER_BYTES_MAX);
    ASSERT(name.size <= CONSUMER_NAME_BYTES_MAX);
    struct consumer_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    reader->rest = rest;
    reader->exchange = exchange;
    reader->options = options;
    reader->options.hooks = &reader_hooks;
    reader->options.hooks_context = reader;
    link_init(&reader->timer);
    memcpy(reader->name, name.data, name.size);
    reader->request.kind = CONSUMER_READ;
    reader->request.name = bytes_of(reader->name, name.size);
    if (options.member.size > 0) {
        memcpy(reader->member, options.member.data, options.member.size);
        reader->request.member = bytes_of(reader->member, options.member.size);
    }
    if (options.subscription.from == SUBSCRIBE_TOKEN) {
        reader->request.has_token = true;
        reader->request.token = options.subscription.token;
        reader->request.given_sequence = options.subscription.token.position.sequence;
    }
    reader_ask(reader);
}
