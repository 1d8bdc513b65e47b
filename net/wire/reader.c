/*
 * SUBSCRIBE with a consumer: its changes, from where it stands.
 *
 *     ask the owner --> open --> ask again, every second or so --> end: ERROR 409 when slots have
 *                                                                  moved or it reads other changes
 *
 * A member of a group keeps its lease by asking, and everyone hears that the consumer has been
 * altered or deleted. A member whose client takes nothing, for want of credit or of room, for as
 * long as a lease does not ask: its slots go to others.
 */
#include "net/wire/subscribe.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"

struct wire_reader {
    struct consumer_request request;
    struct wire_server *server;
    struct wire_subscription *subscription; /* NULL: it has gone */
    struct subscription_options options;    /* without pattern */
    struct link timer;                      /* in the server's readers, by due_ns */
    uint64_t due_ns;
    uint64_t generation;     /* in which it reads */
    uint64_t stuck_since_ns; /* 0: its client takes what it gets */
    bool is_asking;          /* the request is on its way */
    bool leaves;             /* when it is back, it goes once more, to leave */
    struct slot_set slots;   /* of the subscription: the owner writes into the request's */
    uint64_t slot_sequences[SLOT_COUNT];
    uint8_t name[CONSUMER_NAME_BYTES_MAX];
    uint8_t member[CONSUMER_MEMBER_BYTES_MAX];
};

static void reader_done(struct consumer_request *request);

static void reader_ask(struct wire_reader *reader, enum consumer_request_kind kind)
{
    ASSERT(!reader->is_asking);
    reader->is_asking = true;
    reader->server->pending++;
    reader->request.kind = kind;
    reader->request.done = reader_done;
    consumers_submit(reader->server->options.consumers, &reader->request);
}

static void reader_free(struct wire_reader *reader)
{
    ASSERT(!reader->is_asking);
    ASSERT(reader->subscription == NULL);
    memory_give(&reader->server->memory, reader, sizeof(*reader));
}

void wire_reader_close(struct wire_subscription *subscription, bool leaves)
{
    struct wire_reader *reader = subscription->reader;
    ASSERT(reader->subscription == subscription);
    subscription->reader = NULL;
    reader->subscription = NULL;
    link_remove(&reader->timer);
    reader->leaves = leaves && reader->request.member.size > 0;
    if (reader->is_asking) {
        return;
    }
    if (reader->leaves) {
        reader->leaves = false;
        reader_ask(reader, CONSUMER_LEAVE);
        return;
    }
    reader_free(reader);
}

/* ---- opening ---- */

static void timer_set(struct wire_reader *reader)
{
    struct wire_server *server = reader->server;
    link_remove(&reader->timer);
    reader->due_ns = server->now_ns + consumers_renew_ns(server->options.consumers);
    list_push_back(&server->subscriptions->readers, &reader->timer);
}

static void reader_end(struct wire_reader *reader, struct problem problem)
{
    /* The words are the request's, which goes with the reader. */
    uint8_t words[DETAIL_BYTES_MAX];
    if (problem.detail.size > 0 && problem.detail.size <= sizeof(words)) {
        memcpy(words, problem.detail.data, problem.detail.size);
        problem.detail.data = words;
    }
    wire_subscription_refuse(reader->subscription, &problem);
}

static void reader_opens(struct wire_reader *reader)
{
    struct wire_subscription *subscription = reader->subscription;
    struct consumer_request *request = &reader->request;
    struct subscription_options reads = reader->options;
    enum status status = request->status;
    if (status == STATUS_OK) {
        status = follow_definition_read(&reader->server->collections, request->definition, &reads,
                                        &request->detail);
    }
    if (status != STATUS_OK) {
        reader_end(reader, follow_consumer_problem(status, &request->detail));
        return;
    }
    reader->generation = request->generation;
    reads.from = SUBSCRIBE_TOKEN;
    reads.token = request->position;
    reads.token.generation = 0;
    if (request->is_group) {
        reader->slots = request->slots;
        memcpy(reader->slot_sequences, request->slot_sequences, sizeof(reader->slot_sequences));
        reads.slots = &reader->slots;
        reads.slot_sequences = reader->slot_sequences;
        subscription->generation = request->generation;
    }
    status = wire_subscription_open(subscription, &reads);
    if (status != STATUS_OK) {
        reader_end(reader, follow_problem(status, SUBSCRIBE_TOKEN));
        return;
    }
    wire_subscription_answer(subscription);
    timer_set(reader);
}

/* ---- going on ---- */

static void reader_goes_on(struct wire_reader *reader)
{
    const struct consumer_request *request = &reader->request;
    if (request->status == STATUS_NOT_FOUND || request->status == STATUS_CONFLICT) {
        reader_end(reader, follow_consumer_problem(request->status, &request->detail));
        return;
    }
    if (request->status == STATUS_OK && request->generation != reader->generation) {
        reader_end(reader,
                   problem_of(STATUS_CONFLICT,
                              BYTES_LITERAL("The consumer's slots have moved, or it reads other "
                                            "changes now: subscribe again")));
        return;
    }
    timer_set(reader);
}

static void reader_done(struct consumer_request *request)
{
    struct wire_reader *reader = CONTAINER_OF(request, struct wire_reader, request);
    ASSERT(reader->is_asking);
    ASSERT(reader->server->pending > 0);
    reader->is_asking = false;
    reader->server->pending--;
    if (reader->subscription == NULL && reader->leaves) {
        reader->leaves = false;
        reader_ask(reader, CONSUMER_LEAVE);
    } else if (reader->subscription == NULL) {
        reader_free(reader);
    } else if (!reader->subscription->subscribed && reader->generation == 0) {
        reader_opens(reader);
    } else {
        reader_goes_on(reader);
    }
}

/* False: its client has not taken anything for as long as a lease. */
static bool reader_is_awake(struct wire_reader *reader)
{
    uint64_t now_ns = reader->server->now_ns;
    if (reader->subscription->subscription.state != SUBSCRIPTION_STUCK) {
        reader->stuck_since_ns = 0;
        return true;
    }
    if (reader->stuck_since_ns == 0) {
        reader->stuck_since_ns = now_ns;
    }
    return now_ns - reader->stuck_since_ns < consumers_lease_ns(reader->server->options.consumers);
}

static void reader_renew(struct wire_reader *reader)
{
    struct wire_subscription *subscription = reader->subscription;
    struct consumer_request *request = &reader->request;
    if (!subscription->subscribed || !reader_is_awake(reader)) {
        timer_set(reader);
        return;
    }
    link_remove(&reader->timer);
    request->known_generation = reader->generation;
    request->has_token = true;
    subscription_token(&subscription->subscription, &request->token);
    request->token.generation = reader->generation;
    request->given_sequence = subscription->given_sequence;
    reader_ask(reader, CONSUMER_READ);
}

uint64_t wire_readers_step(struct wire_server *server)
{
    struct link *at;
    while ((at = list_first(&server->subscriptions->readers)) != NULL) {
        struct wire_reader *reader = CONTAINER_OF(at, struct wire_reader, timer);
        if (reader->due_ns > server->now_ns) {
            return reader->due_ns;
        }
        reader_renew(reader);
    }
    return UINT64_MAX;
}

/* ---- SUBSCRIBE ---- */

bool wire_reader_open(struct wire_subscription *subscription, struct bytes name,
                      struct bytes member, const struct subscription_options *options)
{
    struct wire_server *server = subscription->connection->server;
    if (!consumer_name_valid(name) || member.size > CONSUMER_MEMBER_BYTES_MAX ||
        !utf8_is_valid(member)) {
        const struct problem problem = problem_of(
            STATUS_INVALID, BYTES_LITERAL("A consumer's name is 1 to 128 characters of A-Z a-z 0-9 "
                                          ". _ -, a member's name at most 128 bytes"));
        wire_subscription_refuse(subscription, &problem);
        return true;
    }
    struct wire_reader *reader = memory_take(&server->memory, sizeof(*reader), MEMORY_FOR_REQUEST);
    if (reader == NULL) {
        return false;
    }
    memset(reader, 0, sizeof(*reader));
    link_init(&reader->timer);
    reader->server = server;
    reader->subscription = subscription;
    reader->options = *options;
    subscription->reader = reader;
    memcpy(reader->name, name.data, name.size);
    reader->request.name = bytes_of(reader->name, name.size);
    if (member.size > 0) {
        memcpy(reader->member, member.data, member.size);
        reader->request.member = bytes_of(reader->member, member.size);
    }
    reader_ask(reader, CONSUMER_READ);
    return true;
}
