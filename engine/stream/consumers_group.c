/*
 * Members of a group, the slots they hold, and their leases. See consumers.h for the states of a
 * slot.
 */
#include <stdlib.h>

#include "engine/stream/consumers_internal.h"

static void slot_free(struct group_slot *slot)
{
    *slot = (struct group_slot){.state = SLOT_FREE};
}

/* ---- sharing out ---- */

/* How many slots each member is to have: the same, and one more for some, for those first that have
 * more than their part anyway. */
static void targets_set(struct group *group)
{
    uint32_t base = SLOT_COUNT / group->member_count;
    uint32_t extra = SLOT_COUNT % group->member_count;
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct group_member *member = group->members[i];
        bool gets_extra = member->kept > base && extra > 0;
        member->target = base + (gets_extra ? 1 : 0);
        extra -= gets_extra ? 1 : 0;
    }
    for (uint32_t i = 0; i < group->member_count && extra > 0; i++) {
        struct group_member *member = group->members[i];
        if (member->target == base) {
            member->target++;
            extra--;
        }
    }
    ASSERT(extra == 0);
}

/* What is too much is revoked; what was revoked and not heard of yet is kept after all where it is
 * missing. */
static void slots_revoke(struct group *group)
{
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct group_slot *slot = &group->slots[i];
        struct group_member *holder = slot->holder;
        if (slot->state == SLOT_HELD && holder->kept > holder->target) {
            slot->state = SLOT_REVOKED;
            holder->kept--;
        } else if (slot->state == SLOT_REVOKED && holder->kept < holder->target) {
            slot->state = SLOT_HELD;
            holder->kept++;
        }
    }
}

static void slots_give(struct consumer *consumer)
{
    struct group *group = consumer->body->group;
    uint64_t generation = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct group_slot *slot = &group->slots[i];
        if (slot->state != SLOT_FREE) {
            continue;
        }
        while (group->members[at]->kept >= group->members[at]->target) {
            at++;
            ASSERT(at < group->member_count);
        }
        struct group_member *member = group->members[at];
        generation = generation == 0 ? consumers_generation_next(consumer->consumers) : generation;
        *slot = (struct group_slot){.state = SLOT_HELD, .holder = member, .since = generation};
        member->generation = generation;
        member->kept++;
    }
}

/* After members or free slots have changed. */
static void group_share(struct consumer *consumer)
{
    struct group *group = consumer->body->group;
    if (group->member_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < group->member_count; i++) {
        group->members[i]->kept = 0;
    }
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        const struct group_slot *slot = &group->slots[i];
        ASSERT((slot->state == SLOT_FREE) == (slot->holder == NULL));
        if (slot->state == SLOT_HELD) {
            slot->holder->kept++;
        }
    }
    targets_set(group);
    slots_revoke(group);
    slots_give(consumer);
}

/* ---- members ---- */

static struct group_member *member_find(const struct group *group, struct bytes name)
{
    for (uint32_t i = 0; i < group->member_count; i++) {
        struct group_member *member = group->members[i];
        if (bytes_equal(bytes_of(member->name, member->name_size), name)) {
            return member;
        }
    }
    return NULL;
}

static void lease_renew(struct consumers *consumers, struct group_member *member)
{
    member->renewed_ns = consumers->now_ns;
    link_remove(&member->of_lease);
    list_push_back(&consumers->leases, &member->of_lease);
}

static struct group_member *member_join(struct consumer *consumer, struct consumer_request *request)
{
    struct consumers *consumers = consumer->consumers;
    struct group *group = consumer->body->group;
    ASSERT(request->member.size <= CONSUMER_MEMBER_BYTES_MAX);
    if (group->member_count == CONSUMER_MEMBERS_MAX ||
        consumers->member_count == CONSUMER_MEMBERS_THREAD_MAX) {
        detail_set(&request->detail, "There are %u members already, which is the most",
                   group->member_count);
        request->status = STATUS_BUSY;
        return NULL;
    }
    struct group_member *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        request->status = STATUS_NO_MEMORY;
        return NULL;
    }
    member->consumer = consumer;
    link_init(&member->of_lease);
    link_init(&member->of_drain);
    member->generation = consumers_generation_next(consumers);
    member->name_size = request->member.size;
    memcpy(member->name, request->member.data, request->member.size);
    group->members[group->member_count++] = member;
    consumers->member_count++;
    group_share(consumer);
    return member;
}

/* Its slots are free; sharing them out is the caller's. */
static void member_remove(struct group_member *member)
{
    struct consumers *consumers = member->consumer->consumers;
    struct group *group = member->consumer->body->group;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        if (group->slots[i].holder == member) {
            slot_free(&group->slots[i]);
        }
    }
    uint32_t at = 0;
    while (group->members[at] != member) {
        at++;
        ASSERT(at < group->member_count);
    }
    group->member_count--;
    memmove(&group->members[at], &group->members[at + 1],
            (group->member_count - at) * sizeof(group->members[0]));
    ASSERT(consumers->member_count > 0);
    consumers->member_count--;
    link_remove(&member->of_lease);
    link_remove(&member->of_drain);
    free(member);
}

void group_leave(struct consumer *consumer, struct bytes name)
{
    struct group_member *member = member_find(consumer->body->group, name);
    if (member != NULL) {
        member_remove(member);
        group_share(consumer);
    }
}

void group_empty(struct consumer *consumer)
{
    struct group *group = consumer->body->group;
    while (group->member_count > 0) {
        member_remove(group->members[group->member_count - 1]);
    }
}

void group_refresh(struct consumer *consumer)
{
    struct group *group = consumer->body->group;
    uint64_t generation = consumers_generation_next(consumer->consumers);
    for (uint32_t i = 0; i < group->member_count; i++) {
        group->members[i]->generation = generation;
    }
}

/* ---- reading ---- */

/* Slots that the member is to give back go, or drain when it is not done with them; what it reads
 * has then changed. */
static void slots_give_back(struct consumer *consumer, struct group_member *member,
                            const struct consumer_request *request)
{
    struct consumers *consumers = consumer->consumers;
    struct consumer_body *body = consumer->body;
    uint64_t generation = 0;
    bool freed = false;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct group_slot *slot = &body->group->slots[i];
        bool is_leaving = slot->state == SLOT_REVOKED || slot->state == SLOT_DRAINING;
        if (slot->holder != member || !is_leaving) {
            continue;
        }
        if (slot->state == SLOT_REVOKED && generation == 0) {
            generation = consumers_generation_next(consumers);
        }
        if (!request->has_token || request->given_sequence <= body->acked[i]) {
            slot_free(slot);
            freed = true;
        } else if (slot->state == SLOT_REVOKED) {
            slot->state = SLOT_DRAINING;
            slot->drained_in = generation;
            slot->given_sequence = request->given_sequence;
            member->drained_ns = consumers->now_ns;
            link_remove(&member->of_drain);
            list_push_back(&consumers->drains, &member->of_drain);
        }
    }
    if (generation != 0) {
        member->generation = generation;
    }
    if (freed) {
        group_share(consumer);
    }
}

/* Where a reader goes on in a slot that it has held since before its token: not before what it was
 * given already. */
static uint64_t slot_start(const struct consumer_body *body, uint32_t slot,
                           const struct consumer_request *request)
{
    uint64_t start = body->acked[slot];
    uint64_t generation = request->token.generation;
    if (!request->has_token || body->group->slots[slot].since > generation) {
        return start;
    }
    start = request->token.position.sequence > start ? request->token.position.sequence : start;
    bool goes_on = request->known_generation != 0;
    return goes_on && request->slot_sequences[slot] > start ? request->slot_sequences[slot] : start;
}

static void slots_fill(const struct consumer *consumer, const struct group_member *member,
                       struct consumer_request *request)
{
    const struct consumer_body *body = consumer->body;
    struct slot_set slots = {{0}};
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        const struct group_slot *slot = &body->group->slots[i];
        uint64_t start = slot_start(body, i, request);
        request->slot_sequences[i] = start;
        if (slot->holder == member && slot->state != SLOT_DRAINING) {
            slots.words[i / 64] |= 1ull << (i % 64);
            lowest = start < lowest ? start : lowest;
        }
    }
    if (lowest == UINT64_MAX) {
        lowest = engine_published(consumer->consumers->options.engine);
    }
    request->slots = slots;
    request->position = consumers_token(consumer->consumers, lowest);
}

void group_read(struct consumer *consumer, struct consumer_request *request)
{
    struct consumers *consumers = consumer->consumers;
    struct group_member *member = member_find(consumer->body->group, request->member);
    if (member == NULL) {
        member = member_join(consumer, request);
    }
    if (member == NULL) {
        consumer_finish(consumers, request, request->status);
        return;
    }
    lease_renew(consumers, member);
    slots_give_back(consumer, member, request);
    enum status status = STATUS_OK;
    if (member->generation != request->known_generation) {
        consumer_describe(consumer, request);
        slots_fill(consumer, member, request);
        status = consumer_define(consumer, request);
    }
    request->generation = member->generation;
    consumer_finish(consumers, request, status);
}

/* ---- acknowledging ---- */

uint32_t group_ack(struct consumer *consumer, const struct consumer_request *request,
                   uint64_t raised_out[SLOT_COUNT])
{
    const struct consumer_body *body = consumer->body;
    struct group_member *member = member_find(body->group, request->member);
    uint64_t generation = request->token.generation;
    if (member == NULL) {
        return 0;
    }
    lease_renew(consumer->consumers, member);
    uint32_t count = 0;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        const struct group_slot *slot = &body->group->slots[i];
        if (slot->holder != member || slot->since > generation) {
            continue;
        }
        count++;
        /* A reader that began without the slot says with it that all before is done. */
        bool is_past = slot->state == SLOT_DRAINING && generation >= slot->drained_in;
        raised_out[i] = is_past ? slot->given_sequence : request->token.position.sequence;
    }
    return count;
}

void group_acked(struct consumer *consumer)
{
    const struct consumer_body *body = consumer->body;
    bool any = false;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        struct group_slot *slot = &body->group->slots[i];
        if (slot->state == SLOT_DRAINING && body->acked[i] >= slot->given_sequence) {
            slot_free(slot);
            any = true;
        }
    }
    if (any) {
        group_share(consumer);
    }
}

/* ---- time ---- */

static void drains_end(struct group_member *member)
{
    struct group *group = member->consumer->body->group;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        if (group->slots[i].holder == member && group->slots[i].state == SLOT_DRAINING) {
            slot_free(&group->slots[i]);
        }
    }
    link_remove(&member->of_drain);
    group_share(member->consumer);
}

uint64_t groups_step(struct consumers *consumers)
{
    uint64_t lease_ns = consumers->options.lease_ns;
    uint64_t deadline = UINT64_MAX;
    struct link *at;
    while ((at = list_first(&consumers->leases)) != NULL) {
        struct group_member *member = CONTAINER_OF(at, struct group_member, of_lease);
        if (member->renewed_ns + lease_ns > consumers->now_ns) {
            deadline = member->renewed_ns + lease_ns;
            break;
        }
        struct consumer *consumer = member->consumer;
        member_remove(member);
        group_share(consumer);
    }
    while ((at = list_first(&consumers->drains)) != NULL) {
        struct group_member *member = CONTAINER_OF(at, struct group_member, of_drain);
        uint64_t end_ns = member->drained_ns + lease_ns;
        if (end_ns > consumers->now_ns) {
            return end_ns < deadline ? end_ns : deadline;
        }
        drains_end(member);
    }
    return deadline;
}
