#include "engine/stream/consumers.h"

#include <stdlib.h>

#include "engine/stream/consumers_internal.h"

/* A generation is made of a time in milliseconds and a count, see consumers_generation_next. */
#define GENERATION_COUNT_BITS 20

/* ---- life ---- */

enum status consumers_create(const struct consumers_options *options, struct consumers **out)
{
    ASSERT(options->collection->internal);
    ASSERT(options->thread_index < options->thread_count);
    *out = NULL;
    struct consumers *consumers = calloc(1, sizeof(*consumers));
    if (consumers == NULL) {
        return STATUS_NO_MEMORY;
    }
    consumers->options = *options;
    if (options->lease_ns == 0) {
        consumers->options.lease_ns = CONSUMER_LEASE_NS;
    }
    consumers->journal = engine_journal(options->engine);
    consumers->principal = PRINCIPAL_ANONYMOUS;
    link_init(&consumers->arrived);
    link_init(&consumers->finished);
    link_init(&consumers->written);
    link_init(&consumers->cooling);
    link_init(&consumers->leases);
    link_init(&consumers->drains);
    *out = consumers;
    return STATUS_OK;
}

void consumers_destroy(struct consumers **consumers_at)
{
    struct consumers *consumers = *consumers_at;
    if (consumers == NULL) {
        return;
    }
    ASSERT(consumers_idle(consumers));
    for (uint32_t i = 0; i < CONSUMER_BUCKETS; i++) {
        while (consumers->buckets[i] != NULL) {
            struct consumer *consumer = consumers->buckets[i];
            if (consumer->body != NULL && consumer->body->group != NULL) {
                group_empty(consumer);
            }
            consumer_body_destroy(&consumer->body);
            consumer_settle(consumer);
        }
    }
    ASSERT(consumers->member_count == 0);
    free(consumers);
    *consumers_at = NULL;
}

bool consumers_idle(const struct consumers *consumers)
{
    return consumers->pending == 0 && consumers->writes == 0 &&
           consumers->load_state != LOAD_RUNNING && list_is_empty(&consumers->arrived);
}

uint64_t consumers_renew_ns(const struct consumers *consumers)
{
    uint64_t third = consumers->options.lease_ns / 3;
    return third < CONSUMER_RENEW_NS ? third : CONSUMER_RENEW_NS;
}

uint64_t consumers_lease_ns(const struct consumers *consumers)
{
    return consumers->options.lease_ns;
}

static bool name_is_plain(struct bytes name, size_t size_max)
{
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool other = (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
        if (!letter && !other) {
            return false;
        }
    }
    return name.size >= 1 && name.size <= size_max;
}

bool consumer_name_valid(struct bytes name)
{
    /* A path whose last segment is a dot, or two, means something else. */
    return name_is_plain(name, CONSUMER_NAME_BYTES_MAX) && !bytes_equal(name, BYTES_LITERAL(".")) &&
           !bytes_equal(name, BYTES_LITERAL(".."));
}

/* ---- the table ---- */

static struct consumer **bucket_of(struct consumers *consumers, uint64_t hash)
{
    /* The low byte is the slot, of which a thread has only some. */
    return &consumers->buckets[(hash >> 8) % CONSUMER_BUCKETS];
}

static struct consumer *bucket_find(struct consumer *first, struct bytes name)
{
    while (first != NULL && !bytes_equal(consumer_name(first), name)) {
        first = first->chain;
    }
    return first;
}

struct consumer *consumer_find(struct consumers *consumers, struct bytes name)
{
    uint64_t hash = engine_hash(consumers->options.collection, name);
    return bucket_find(*bucket_of(consumers, hash), name);
}

struct consumer *consumer_get(struct consumers *consumers, struct bytes name)
{
    ASSERT(consumer_name_valid(name));
    uint64_t hash = engine_hash(consumers->options.collection, name);
    struct consumer **bucket = bucket_of(consumers, hash);
    struct consumer *consumer = bucket_find(*bucket, name);
    if (consumer != NULL) {
        return consumer;
    }
    consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        return NULL;
    }
    consumer->consumers = consumers;
    consumer->hash = hash;
    link_init(&consumer->of_written);
    link_init(&consumer->of_cooling);
    link_init(&consumer->acks);
    link_init(&consumer->acks_writing);
    link_init(&consumer->changes);
    consumer->name_size = name.size;
    memcpy(consumer->name, name.data, name.size);
    consumer->chain = *bucket;
    *bucket = consumer;
    return consumer;
}

void consumer_settle(struct consumer *consumer)
{
    if (consumer->body != NULL || consumer->is_writing || consumer->change != NULL ||
        !list_is_empty(&consumer->changes)) {
        return;
    }
    ASSERT(list_is_empty(&consumer->acks));
    ASSERT(list_is_empty(&consumer->acks_writing));
    struct consumer **at = bucket_of(consumer->consumers, consumer->hash);
    while (*at != consumer) {
        ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = consumer->chain;
    link_remove(&consumer->of_cooling);
    link_remove(&consumer->of_written);
    free(consumer);
}

/* ---- requests on their way ---- */

static void request_arrived(struct message *message)
{
    struct consumer_request *request = CONTAINER_OF(message, struct consumer_request, message);
    list_push_back(&request->owner->arrived, &request->link);
}

static void request_came_home(struct message *message)
{
    struct consumer_request *request = CONTAINER_OF(message, struct consumer_request, message);
    list_push_back(&request->home->finished, &request->link);
}

void consumer_finish(struct consumers *consumers, struct consumer_request *request,
                     enum status status)
{
    ASSERT(request->owner == consumers);
    ASSERT(!link_is_linked(&request->link));
    request->status = status;
    request->message.receive = request_came_home;
    engine_thread_post(consumers->options.engine_thread, request->home->options.thread_index,
                       &request->message);
}

void consumers_submit(struct consumers *consumers, struct consumer_request *request)
{
    const struct consumers_options *options = &consumers->options;
    ASSERT(request->done != NULL);
    ASSERT(request->kind != CONSUMER_LIST ||
           (request->limit >= 1 && request->limit <= CONSUMER_LIST_MAX));
    link_init(&request->link);
    request->home = consumers;
    request->memory = NULL;
    request->listing = NULL;
    request->was_found = false;
    request->detail.text[0] = '\0';
    request->created = false;
    request->definition = BYTES_EMPTY;
    request->rows = NULL;
    request->row_count = 0;
    request->more = false;
    consumers->pending++;
    uint32_t to = 0;
    request->message.receive = request_arrived;
    if (request->kind != CONSUMER_LIST && !consumer_name_valid(request->name)) {
        detail_set(&request->detail, "A consumer's name is 1 to %d of A-Z a-z 0-9 . _ -",
                   CONSUMER_NAME_BYTES_MAX);
        request->status = STATUS_INVALID;
        to = options->thread_index;
        request->message.receive = request_came_home;
    } else if (request->kind != CONSUMER_LIST) {
        to =
            engine_thread_of_hash(options->engine, engine_hash(options->collection, request->name));
    }
    request->owner = options->all[to];
    ASSERT(request->owner != NULL);
    engine_thread_post(options->engine_thread, to, &request->message);
}

/* ---- what is told of a consumer ---- */

struct token consumers_token(const struct consumers *consumers, uint64_t sequence)
{
    return (struct token){.position = {.store_id = consumers->journal->store_id,
                                       .epoch = consumers->journal->epoch,
                                       .sequence = sequence}};
}

uint64_t sequences_lowest(const uint64_t *sequences, uint32_t count)
{
    uint64_t lowest = sequences[0];
    for (uint32_t i = 1; i < count; i++) {
        lowest = sequences[i] < lowest ? sequences[i] : lowest;
    }
    return lowest;
}

uint64_t consumers_generation_next(struct consumers *consumers)
{
    /* Members do not outlive the process, but their tokens do: so the numbers go on from the time,
     * which is further than any process before can have counted. */
    uint64_t now = consumers->wall_ms << GENERATION_COUNT_BITS;
    consumers->generation = now > consumers->generation ? now : consumers->generation + 1;
    return consumers->generation;
}

void consumer_describe(const struct consumer *consumer, struct consumer_request *request)
{
    const struct consumer_body *body = consumer->body;
    ASSERT(body != NULL);
    request->is_group = body->group != NULL;
    request->member_count = body->group == NULL ? 0 : body->group->member_count;
    request->position =
        consumers_token(consumer->consumers, sequences_lowest(body->written, body->slot_count));
}

enum status consumer_define(const struct consumer *consumer, struct consumer_request *request)
{
    const struct consumer_body *body = consumer->body;
    ASSERT(request->memory == NULL);
    ASSERT(body->definition_size > 0);
    /* A copy, because the request is read on its own thread while the consumer may change here. */
    request->memory = malloc(body->definition_size);
    if (request->memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(request->memory, body->definition, body->definition_size);
    request->definition = bytes_of(request->memory, body->definition_size);
    return STATUS_OK;
}

/* ---- reading ---- */

static void consumer_show(struct consumers *consumers, struct consumer_request *request)
{
    struct consumer *consumer = consumer_find(consumers, request->name);
    if (consumer == NULL || consumer->body == NULL) {
        consumer_finish(consumers, request, STATUS_NOT_FOUND);
        return;
    }
    struct consumer_body *body = consumer->body;
    uint64_t lowest = sequences_lowest(body->acked, body->slot_count);
    if (request->was_found && request->found_status == STATUS_OK &&
        request->found_sequence == lowest && request->found_time_ms > body->time_ms) {
        body->time_ms = request->found_time_ms;
    }
    uint64_t budget = CONSUMER_LAG_ENTRIES;
    if (!consumer_lag_read(consumer, &budget, &request->lag) && !request->was_found) {
        consumers_find_first(consumers, request, lowest);
        return;
    }
    consumer_describe(consumer, request);
    consumer_finish(consumers, request, consumer_define(consumer, request));
}

/* CONFLICT when a member is named where there is no group, or none where there is one. */
static enum status member_check(const struct consumer *consumer, struct consumer_request *request)
{
    bool has_member = request->member.size > 0;
    bool is_group = consumer->body->group != NULL;
    if (has_member && !is_group) {
        detail_set(&request->detail, "This consumer is no group; it has no members");
        return STATUS_CONFLICT;
    }
    if (!has_member && is_group) {
        detail_set(&request->detail, "This consumer is a group; say which member you are");
        return STATUS_CONFLICT;
    }
    if (has_member && !name_is_plain(request->member, CONSUMER_MEMBER_BYTES_MAX)) {
        detail_set(&request->detail, "A member's name is 1 to %d of A-Z a-z 0-9 . _ -",
                   CONSUMER_MEMBER_BYTES_MAX);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void plain_read(struct consumer *consumer, struct consumer_request *request)
{
    struct consumers *consumers = consumer->consumers;
    enum status status = STATUS_OK;
    if (request->known_generation != consumer->body->generation) {
        consumer_describe(consumer, request);
        request->position = consumers_token(consumers, consumer->body->acked[0]);
        status = consumer_define(consumer, request);
    }
    request->generation = consumer->body->generation;
    consumer_finish(consumers, request, status);
}

/* READ and LEAVE. */
static void consumer_read(struct consumers *consumers, struct consumer_request *request)
{
    struct consumer *consumer = consumer_find(consumers, request->name);
    if (consumer == NULL || consumer->body == NULL) {
        consumer_finish(consumers, request, STATUS_NOT_FOUND);
        return;
    }
    enum status status = member_check(consumer, request);
    if (status != STATUS_OK) {
        consumer_finish(consumers, request, status);
    } else if (request->kind == CONSUMER_LEAVE) {
        if (consumer->body->group != NULL) {
            group_leave(consumer, request->member);
        }
        consumer_finish(consumers, request, STATUS_OK);
    } else if (consumer->body->group != NULL) {
        group_read(consumer, request);
    } else {
        plain_read(consumer, request);
    }
}

/* ---- acknowledging ---- */

static enum status ack_token_check(const struct consumer *consumer,
                                   struct consumer_request *request)
{
    if (request->token.in_snapshot) {
        detail_set(&request->detail, "The position is one within a snapshot, which a consumer does "
                                     "not read");
        return STATUS_INVALID;
    }
    enum status status =
        journal_position_check(consumer->consumers->journal, &request->token.position);
    if (status == STATUS_INVALID) {
        detail_set(&request->detail, "The position is in the future");
    }
    return status;
}

/* What the acknowledgement says of each slot, 0 where it says nothing; CONFLICT when it comes too
 * late to say anything. */
static enum status ack_raise(struct consumer *consumer, struct consumer_request *request,
                             uint64_t raised_out[SLOT_COUNT])
{
    const struct consumer_body *body = consumer->body;
    bool is_of_member = request->member.size > 0 || request->token.generation != 0;
    enum status status =
        body->group == NULL || is_of_member ? member_check(consumer, request) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    if (body->group == NULL || !is_of_member) {
        /* Without a member a group is moved on as a whole: the way past what has expired. */
        for (uint32_t slot = 0; slot < body->slot_count; slot++) {
            raised_out[slot] = request->token.position.sequence;
        }
        return STATUS_OK;
    }
    if (request->token.generation == 0) {
        detail_set(&request->detail, "The position is not one that a member of this group was "
                                     "given; without a member it moves the whole group on");
        return STATUS_INVALID;
    }
    if (group_ack(consumer, request, raised_out) == 0) {
        detail_set(&request->detail, "The slots that this position is of have gone to others, who "
                                     "get their changes again; read on from here");
        return STATUS_CONFLICT;
    }
    return STATUS_OK;
}

/* Moves the slots that the acknowledgement raises; false when it raises none, or passes nothing but
 * internal entries. */
static bool ack_apply(struct consumer *consumer, const uint64_t raised[SLOT_COUNT])
{
    struct consumer_body *body = consumer->body;
    uint64_t from = UINT64_MAX;
    uint64_t to = 0;
    for (uint32_t slot = 0; slot < body->slot_count; slot++) {
        if (raised[slot] > body->acked[slot]) {
            from = body->acked[slot] < from ? body->acked[slot] : from;
            to = raised[slot] > to ? raised[slot] : to;
        }
    }
    if (to == 0 || !consumers_passed(consumer->consumers, from, to)) {
        return false;
    }
    uint64_t lowest = sequences_lowest(body->acked, body->slot_count);
    for (uint32_t slot = 0; slot < body->slot_count; slot++) {
        if (raised[slot] > body->acked[slot]) {
            body->acked[slot] = raised[slot];
        }
    }
    uint64_t now_lowest = sequences_lowest(body->acked, body->slot_count);
    ASSERT(now_lowest >= lowest);
    uint64_t time_ms;
    if (now_lowest > lowest && consumers_time_of(consumer->consumers, now_lowest, &time_ms)) {
        body->time_ms = time_ms;
    }
    consumer->dirty = true;
    return true;
}

/* Whether all that was acknowledged by now is recorded. */
static bool body_is_recorded(const struct consumer_body *body)
{
    return memcmp(body->acked, body->written, body->slot_count * sizeof(uint64_t)) == 0;
}

static void consumer_ack(struct consumers *consumers, struct consumer_request *request)
{
    struct consumer *consumer = consumer_find(consumers, request->name);
    if (consumer == NULL || consumer->body == NULL) {
        consumer_finish(consumers, request, STATUS_NOT_FOUND);
        return;
    }
    uint64_t raised[SLOT_COUNT] = {0};
    enum status status = ack_token_check(consumer, request);
    if (status == STATUS_OK) {
        status = ack_raise(consumer, request, raised);
    }
    if (status != STATUS_OK) {
        consumer_finish(consumers, request, status);
        return;
    }
    struct consumer_body *body = consumer->body;
    bool moved = ack_apply(consumer, raised);
    if (body->group != NULL && moved) {
        if (request->member.size == 0) {
            group_refresh(consumer);
        }
        group_acked(consumer);
    }
    request->is_group = body->group != NULL;
    request->position = consumers_token(consumers, sequences_lowest(body->acked, body->slot_count));
    /* What was acknowledged before and is not recorded yet is waited for, too: its sender may be
     * this one, asking again. */
    if (!moved && body_is_recorded(body)) {
        consumer_finish(consumers, request, STATUS_OK);
        return;
    }
    bool is_recording = consumer->is_writing && consumer->request.kind == REQUEST_PUT;
    if (!moved && !consumer->dirty && is_recording) {
        list_push_back(&consumer->acks_writing, &request->link);
        return;
    }
    consumer->dirty = true;
    list_push_back(&consumer->acks, &request->link);
    consumer_advance(consumer);
}

/* ---- a turn ---- */

static void request_run(struct consumers *consumers, struct consumer_request *request)
{
    switch (request->kind) {
    case CONSUMER_PUT:
    case CONSUMER_DELETE:
        consumer_change(consumers, request);
        return;
    case CONSUMER_GET:
        consumer_show(consumers, request);
        return;
    case CONSUMER_READ:
    case CONSUMER_LEAVE:
        consumer_read(consumers, request);
        return;
    case CONSUMER_ACK:
        consumer_ack(consumers, request);
        return;
    case CONSUMER_LIST:
        consumers_list(consumers, request);
        return;
    }
    UNREACHABLE();
}

static void arrived_run(struct consumers *consumers)
{
    struct link batch;
    link_init(&batch);
    list_splice_back(&batch, &consumers->arrived);
    struct link *at;
    while ((at = list_pop_front(&batch)) != NULL) {
        request_run(consumers, CONTAINER_OF(at, struct consumer_request, link));
    }
}

static void written_run(struct consumers *consumers)
{
    struct link *at;
    while ((at = list_pop_front(&consumers->written)) != NULL) {
        consumer_written(CONTAINER_OF(at, struct consumer, of_written));
    }
}

/* Consumers whose last write is long enough ago; returns when the next one's is. */
static uint64_t cooling_run(struct consumers *consumers)
{
    struct link *at;
    while ((at = list_first(&consumers->cooling)) != NULL) {
        struct consumer *consumer = CONTAINER_OF(at, struct consumer, of_cooling);
        uint64_t due_ns = consumer->cooling_since_ns + CONSUMER_WRITE_NS;
        if (due_ns > consumers->now_ns) {
            return due_ns;
        }
        link_remove(at);
        consumer_advance(consumer);
    }
    return UINT64_MAX;
}

/* done may submit again; what that finishes waits for the next turn. */
static void finished_run(struct consumers *consumers)
{
    struct link batch;
    link_init(&batch);
    list_splice_back(&batch, &consumers->finished);
    struct link *at;
    while ((at = list_pop_front(&batch)) != NULL) {
        struct consumer_request *request = CONTAINER_OF(at, struct consumer_request, link);
        uint8_t *memory = request->memory;
        struct consumer_listing *listing = request->listing;
        ASSERT(consumers->pending > 0);
        consumers->pending--;
        request->done(request);
        free(memory);
        consumer_listing_destroy(&listing);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t consumers_step(struct consumers *consumers, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(now_ns >= consumers->now_ns);
    consumers->now_ns = now_ns;
    consumers->wall_ms = wall_ms;
    uint64_t pending = engine_thread_pending(consumers->options.engine_thread);
    uint64_t deadline = UINT64_MAX;
    if (consumers->load_state == LOAD_NEEDED) {
        if (now_ns >= consumers->load_at_ns) {
            consumers_load(consumers);
        } else {
            deadline = consumers->load_at_ns;
        }
    }
    if (consumers->load_state == LOAD_DONE) {
        written_run(consumers);
        deadline = earlier(deadline, groups_step(consumers));
        arrived_run(consumers);
        deadline = earlier(deadline, cooling_run(consumers));
    }
    finished_run(consumers);
    /* What went to the engine waits for its next step, whose bells it also waits for. */
    return engine_thread_pending(consumers->options.engine_thread) > pending ? 0 : deadline;
}
