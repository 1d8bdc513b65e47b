/* Consumer groups: how slots are shared out, and that each change is worked on. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/stream/consumers_internal.h"
#include "protocol/base/dice.h"
#include "tests/unit/engine/stream/consumers_fixture.h"

#define LEASE_MS 10000

static struct fixture fixture;
static struct fixture_request a;
static struct fixture_request b;
static struct fixture_request c;

static void begin(void)
{
    fixture_create(&fixture, 2, LEASE_MS * FIXTURE_MS);
    cr_assert_eq(fixture_make(&fixture, "crew", true), STATUS_OK);
}

static void end(void)
{
    fixture_destroy(&fixture);
}

TestSuite(consumer_groups, .init = begin, .fini = end);

/* A reader that has begun goes on: it stands at `sequence`, and was given changes up to there. */
static enum status go_on(struct fixture_request *mine, uint64_t sequence)
{
    mine->request.known_generation = mine->request.generation;
    mine->request.has_token = true;
    mine->request.token = fixture_token(&fixture, sequence);
    mine->request.token.generation = mine->request.generation;
    mine->request.given_sequence = sequence;
    return fixture_run(&fixture, mine);
}

static bool is_in(const struct slot_set *slots, uint32_t slot)
{
    return (slots->words[slot / 64] >> (slot % 64) & 1) != 0;
}

static uint32_t shared_slots(const struct slot_set *one, const struct slot_set *other)
{
    struct slot_set both;
    for (uint32_t i = 0; i < SLOT_COUNT / 64; i++) {
        both.words[i] = one->words[i] & other->words[i];
    }
    return fixture_slot_count(&both);
}

static uint32_t slot_of(const char *id)
{
    return engine_hash(world_pets(&fixture.world), bytes_of_text(id)) & (SLOT_COUNT - 1);
}

/* ---- who a member is ---- */

Test(consumer_groups, a_member_is_named_where_there_is_a_group_and_only_there)
{
    cr_assert_eq(fixture_make(&fixture, "mail", false), STATUS_OK);
    cr_assert_eq(fixture_read(&fixture, "mail", "x", &a), STATUS_CONFLICT);
    cr_assert_eq(fixture_read(&fixture, "crew", NULL, &a), STATUS_CONFLICT);
    cr_assert_eq(fixture_read(&fixture, "crew", "a/b", &a), STATUS_INVALID);
    static char name[CONSUMER_MEMBER_BYTES_MAX + 2];
    memset(name, 'm', CONSUMER_MEMBER_BYTES_MAX + 1);
    cr_assert_eq(fixture_read(&fixture, "crew", name, &a), STATUS_INVALID);
    name[CONSUMER_MEMBER_BYTES_MAX] = '\0';
    cr_assert_eq(fixture_read(&fixture, "crew", name, &a), STATUS_OK);
}

Test(consumer_groups, a_group_has_as_many_members_as_slots_and_no_more)
{
    for (int i = 0; i < CONSUMER_MEMBERS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", i);
        cr_assert_eq(fixture_read(&fixture, "crew", name, &a), STATUS_OK);
    }
    cr_assert_eq(fixture_read(&fixture, "crew", "more", &a), STATUS_BUSY);
    cr_assert_eq(a.request.detail.text[0], 'T');
    cr_assert_eq(fixture_get(&fixture, "crew", &a), STATUS_OK);
    cr_assert_eq(a.request.member_count, (uint32_t)CONSUMER_MEMBERS_MAX);
}

/* ---- sharing out ---- */

Test(consumer_groups, the_first_member_gets_all_slots_and_others_their_part_when_it_asks_again)
{
    cr_assert_eq(fixture_read(&fixture, "crew", "a", &a), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&a.request.slots), 256u);
    cr_assert_eq(fixture_read(&fixture, "crew", "b", &b), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 0u, "a may be working on any of them");
    cr_assert_eq(fixture_read(&fixture, "crew", "a", &a), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&a.request.slots), 128u);
    cr_assert_eq(fixture_read(&fixture, "crew", "b", &b), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 128u);
    cr_assert_eq(shared_slots(&a.request.slots, &b.request.slots), 0u);
    cr_assert_eq(fixture_read(&fixture, "crew", "c", &c), STATUS_OK);
    cr_assert_eq(fixture_read(&fixture, "crew", "a", &a), STATUS_OK);
    cr_assert_eq(fixture_read(&fixture, "crew", "b", &b), STATUS_OK);
    cr_assert_eq(fixture_read(&fixture, "crew", "c", &c), STATUS_OK);
    uint32_t counts[3] = {fixture_slot_count(&a.request.slots),
                          fixture_slot_count(&b.request.slots),
                          fixture_slot_count(&c.request.slots)};
    cr_assert_eq(counts[0] + counts[1] + counts[2], 256u);
    for (int i = 0; i < 3; i++) {
        cr_assert(counts[i] == 85 || counts[i] == 86);
    }
    cr_assert_eq(fixture_get(&fixture, "crew", &a), STATUS_OK);
    cr_assert_eq(a.request.member_count, 3u);
}

Test(consumer_groups, a_reader_that_goes_on_is_told_only_when_its_slots_have_changed)
{
    uint64_t sequence = fixture_committed(&fixture);
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t generation = a.request.generation;
    cr_assert_eq(go_on(&a, sequence), STATUS_OK);
    cr_assert_eq(a.request.generation, generation);
    cr_assert_eq(a.definition_size, 0u);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(go_on(&a, sequence), STATUS_OK);
    cr_assert_neq(a.request.generation, generation);
    cr_assert_gt(a.definition_size, 0u);
    cr_assert_eq(fixture_slot_count(&a.request.slots), 128u);
    generation = a.request.generation;
    cr_assert_eq(go_on(&a, sequence), STATUS_OK);
    cr_assert_eq(a.request.generation, generation);
}

Test(consumer_groups, who_leaves_leaves_its_slots_to_the_others)
{
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    fixture_read(&fixture, "crew", "a", &a);
    fixture_prepare(&c, CONSUMER_LEAVE, "crew", "a");
    cr_assert_eq(fixture_run(&fixture, &c), STATUS_OK);
    cr_assert_eq(fixture_run(&fixture, &c), STATUS_OK, "who is gone may say so again");
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 256u);
}

Test(consumer_groups, who_vanishes_loses_its_slots_when_its_lease_ends)
{
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    fixture_read(&fixture, "crew", "a", &a);
    fixture_wait_ms(&fixture, LEASE_MS / 2);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 128u);
    fixture_wait_ms(&fixture, LEASE_MS / 2);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 256u);
    cr_assert_eq(b.request.member_count, 1u);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", 0, a.request.generation), STATUS_CONFLICT);
}

Test(consumer_groups, a_slot_that_is_not_acknowledged_drains_before_it_goes)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    uint64_t second = fixture_put(&fixture, "2", "{}");
    uint64_t before = a.request.generation;
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(go_on(&a, second), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&a.request.slots), 128u, "what is to go is no longer read");
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 0u, "but a is not done with it");

    cr_assert_eq(fixture_ack(&fixture, "crew", "a", first, before), STATUS_OK);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 0u);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", second, before), STATUS_OK);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 128u);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        cr_assert_eq(b.request.slot_sequences[slot], second);
    }
}

Test(consumer_groups, a_later_acknowledgement_says_that_what_drains_is_done_too)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(go_on(&a, first), STATUS_OK);
    uint64_t second = fixture_put(&fixture, "1", "{\"n\":2}");
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", second, a.request.generation), STATUS_OK);
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(fixture_slot_count(&b.request.slots), 128u);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        uint64_t wanted = is_in(&b.request.slots, slot) ? first : second;
        cr_assert_eq(b.request.slot_sequences[slot], wanted, "it had not read on in those slots");
    }
}

Test(consumer_groups, what_drains_goes_in_any_case_after_a_lease)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    fixture_read(&fixture, "crew", "b", &b);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(go_on(&a, first), STATUS_OK);
        fixture_read(&fixture, "crew", "b", &b);
        cr_assert_eq(fixture_slot_count(&b.request.slots), i < 3 ? 0u : 128u);
        fixture_wait_ms(&fixture, LEASE_MS / 3 + 10);
    }
    cr_assert_lt(b.request.position.position.sequence, first, "b gets it again");
    uint64_t committed = fixture_committed(&fixture);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", first, a.request.generation), STATUS_OK);
    cr_assert_gt(fixture_committed(&fixture), committed);
    fixture_read(&fixture, "crew", "b", &b);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        if (is_in(&b.request.slots, slot)) {
            cr_assert_lt(b.request.slot_sequences[slot], first, "a's word is too late for those");
        }
    }
}

/* ---- acknowledging ---- */

Test(consumer_groups, an_acknowledgement_counts_for_slots_held_since_it_was_given)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t old = a.request.generation;
    fixture_read(&fixture, "crew", "b", &b);
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    cr_assert_eq(fixture_ack(&fixture, "crew", "b", sequence, old), STATUS_CONFLICT);
    cr_assert_eq(fixture_ack(&fixture, "crew", "b", sequence, b.request.generation), STATUS_OK);
    cr_assert_eq(fixture_get(&fixture, "crew", &c), STATUS_OK);
    cr_assert_lt(c.request.position.position.sequence, sequence, "the other half is a's");
    cr_assert_eq(c.request.lag.events, is_in(&b.request.slots, slot_of("1")) ? 0u : 1u);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", sequence, old), STATUS_OK,
                 "a has held its half since then");
    cr_assert_eq(fixture_get(&fixture, "crew", &c), STATUS_OK);
    cr_assert_eq(c.request.position.position.sequence, sequence);
    cr_assert_eq(c.request.lag.events, 0u);
}

Test(consumer_groups, no_slot_moves_back_because_another_one_is_behind)
{
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    uint64_t first = fixture_put(&fixture, "1", "{}");
    uint64_t second = fixture_put(&fixture, "2", "{}");
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", second, a.request.generation), STATUS_OK);
    struct slot_set before = a.request.slots;
    fixture_prepare(&c, CONSUMER_LEAVE, "crew", "b");
    fixture_run(&fixture, &c);
    fixture_read(&fixture, "crew", "a", &a);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", first, a.request.generation), STATUS_OK);
    fixture_read(&fixture, "crew", "a", &a);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        cr_assert_eq(a.request.slot_sequences[slot], is_in(&before, slot) ? second : first);
    }
}

Test(consumer_groups, an_acknowledgement_without_member_moves_the_whole_group_on)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t generation = a.request.generation;
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", sequence, 0), STATUS_INVALID);
    cr_assert_eq(fixture_ack(&fixture, "crew", NULL, sequence, generation), STATUS_CONFLICT);
    cr_assert_eq(fixture_ack(&fixture, "crew", NULL, sequence, 0), STATUS_OK);
    cr_assert_eq(fixture_get(&fixture, "crew", &c), STATUS_OK);
    cr_assert_eq(c.request.position.position.sequence, sequence);
    cr_assert_eq(go_on(&a, sequence - 1), STATUS_OK);
    cr_assert_neq(a.request.generation, generation, "readers are to begin anew");
    cr_assert_eq(a.request.position.position.sequence, sequence);
}

Test(consumer_groups, acknowledgements_of_an_earlier_process_do_not_count)
{
    fixture_read(&fixture, "crew", "a", &a);
    uint64_t generation = a.request.generation;
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", sequence, generation), STATUS_OK);
    fixture_wait_ms(&fixture, 10); /* no process starts in the millisecond of another's end */
    fixture_restart(&fixture, 3);
    sequence = fixture_put(&fixture, "2", "{}");
    fixture_read(&fixture, "crew", "a", &a);
    cr_assert_gt(a.request.generation, generation);
    cr_assert_eq(a.request.position.position.sequence, sequence - 2, "1, its record, 2");
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", sequence, generation), STATUS_CONFLICT);
    cr_assert_eq(fixture_ack(&fixture, "crew", "a", sequence, a.request.generation), STATUS_OK);
}

Test(consumer_groups, a_group_that_is_deleted_takes_its_members_along)
{
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    fixture_prepare(&c, CONSUMER_DELETE, "crew", NULL);
    cr_assert_eq(fixture_run(&fixture, &c), STATUS_OK);
    cr_assert_eq(go_on(&a, 0), STATUS_NOT_FOUND);
    cr_assert_eq(fixture.all[0]->member_count + fixture.all[1]->member_count, 0u);
    fixture_wait_ms(&fixture, 2 * LEASE_MS);
}

/* ---- where a member goes on ---- */

Test(consumer_groups, a_reader_that_begins_anew_does_not_get_again_what_it_was_given)
{
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    fixture_read(&fixture, "crew", "a", &a);
    fixture_read(&fixture, "crew", "b", &b);
    struct slot_set before = a.request.slots;
    uint64_t acked = a.request.position.position.sequence;
    uint64_t sequence = fixture_put(&fixture, "1", "{}");
    fixture_prepare(&c, CONSUMER_LEAVE, "crew", "b");
    fixture_run(&fixture, &c);
    cr_assert_eq(go_on(&a, sequence), STATUS_OK);
    cr_assert_eq(fixture_slot_count(&a.request.slots), 256u);
    cr_assert_eq(a.request.position.position.sequence, acked);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        cr_assert_eq(a.request.slot_sequences[slot], is_in(&before, slot) ? sequence : acked);
    }
    /* Its cursor is far behind now, in the new slots, when others come. */
    fixture_read(&fixture, "crew", "b", &b);
    cr_assert_eq(go_on(&a, acked), STATUS_OK);
    for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
        if (is_in(&a.request.slots, slot)) {
            cr_assert_eq(a.request.slot_sequences[slot], is_in(&before, slot) ? sequence : acked);
        }
    }
}

/* ---- all of it at random ---- */

#define CREW_MAX    5
#define PETS_COUNT  60
#define EVENTS_MAX  8000
#define ROUNDS      3000
#define PAGE_EVENTS 7

/* A change, as the journal has it, and how often it was worked on. */
struct event {
    uint32_t slot; /* SLOT_COUNT: it is none */
    uint32_t worked;
};

/* A member that reads a page, works on it, and acknowledges it. */
struct worker {
    struct fixture_request read;
    char name[16];
    bool has_page;
    uint64_t through;
    uint64_t generation;
};

struct crew {
    uint64_t random;
    bool reliable; /* everyone acknowledges, and says when it goes */
    uint32_t count;
    struct worker workers[CREW_MAX];
    struct event events[EVENTS_MAX];
    uint64_t last_worked[SLOT_COUNT];
};

static struct crew crew;

static void event_work(const struct worker *worker, uint64_t sequence)
{
    struct event *event = &crew.events[sequence];
    event->worked++;
    if (!crew.reliable) {
        return;
    }
    cr_assert_gt(sequence, crew.last_worked[event->slot], "in order, and once");
    crew.last_worked[event->slot] = sequence;
    for (uint32_t i = 0; i < CREW_MAX; i++) {
        const struct worker *other = &crew.workers[i];
        cr_assert_not(other != worker && other->has_page &&
                          is_in(&other->read.request.slots, event->slot),
                      "by one member at a time");
    }
}

static void worker_read(struct worker *worker)
{
    const struct consumer_request *request = &worker->read.request;
    cr_assert_eq(fixture_read(&fixture, "crew", worker->name, &worker->read), STATUS_OK);
    uint64_t end = fixture_committed(&fixture);
    uint32_t count = 0;
    worker->through = request->position.position.sequence;
    worker->generation = request->generation;
    worker->has_page = true;
    while (worker->through < end && count < PAGE_EVENTS) {
        worker->through++;
        uint32_t slot = crew.events[worker->through].slot;
        if (slot < SLOT_COUNT && is_in(&request->slots, slot) &&
            worker->through > request->slot_sequences[slot]) {
            event_work(worker, worker->through);
            count++;
        }
    }
}

static void worker_ack(struct worker *worker)
{
    if (worker->has_page && fixture_slot_count(&worker->read.request.slots) > 0) {
        enum status status =
            fixture_ack(&fixture, "crew", worker->name, worker->through, worker->generation);
        cr_assert(status == STATUS_OK || (!crew.reliable && status == STATUS_CONFLICT), "status %d",
                  (int)status);
    }
    worker->has_page = false;
}

static void worker_run(struct worker *worker)
{
    if (!worker->has_page) {
        worker_read(worker);
    } else if (!crew.reliable && dice_roll(&crew.random) % 8 == 0) {
        worker->has_page = false; /* it forgets, and reads the same once more */
    } else {
        worker_ack(worker);
    }
}

/* The others go, or come. */
static void crew_change(void)
{
    uint32_t count = 1 + (uint32_t)(dice_roll(&crew.random) % CREW_MAX);
    for (uint32_t i = count; i < crew.count && crew.reliable; i++) {
        worker_ack(&crew.workers[i]);
        fixture_prepare(&a, CONSUMER_LEAVE, "crew", crew.workers[i].name);
        cr_assert_eq(fixture_run(&fixture, &a), STATUS_OK);
    }
    crew.count = count;
}

static void pet_put(uint32_t number)
{
    char id[16];
    char json[32];
    snprintf(id, sizeof(id), "p%u", (unsigned)(dice_roll(&crew.random) % PETS_COUNT));
    snprintf(json, sizeof(json), "{\"n\":%u}", number);
    uint64_t sequence = fixture_put(&fixture, id, json);
    cr_assert_lt(sequence, (uint64_t)EVENTS_MAX - 1000);
    crew.events[sequence].slot = slot_of(id);
}

/* How often changes were worked on more than once. */
static uint32_t crew_run(uint64_t seed, bool reliable)
{
    crew = (struct crew){.random = seed, .reliable = reliable, .count = 1};
    fixture.world.step_ns = FIXTURE_MS;
    for (uint32_t i = 0; i < EVENTS_MAX; i++) {
        crew.events[i].slot = SLOT_COUNT;
    }
    for (uint32_t i = 0; i < CREW_MAX; i++) {
        snprintf(crew.workers[i].name, sizeof(crew.workers[i].name), "w%u", i);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t draw = dice_roll(&crew.random) % 100;
        if (draw < 40) {
            pet_put(round);
        } else if (draw < 42) {
            crew_change();
        } else if (draw < 43 && !reliable) {
            fixture_wait_ms(&fixture, LEASE_MS / 3);
        } else {
            worker_run(&crew.workers[dice_roll(&crew.random) % crew.count]);
        }
    }
    /* Whoever is left works until all is done. */
    for (uint32_t i = 0; i < 1200; i++) {
        worker_run(&crew.workers[i % crew.count]);
        fixture.world.now_ns += LEASE_MS * FIXTURE_MS / 100;
    }
    uint32_t again = 0;
    for (uint32_t i = 0; i < EVENTS_MAX; i++) {
        if (crew.events[i].slot < SLOT_COUNT) {
            cr_assert_gt(crew.events[i].worked, 0u, "seed %u: change %u was never worked on",
                         (unsigned)seed, i);
            again += crew.events[i].worked - 1;
        }
    }
    cr_assert_eq(fixture_get(&fixture, "crew", &a), STATUS_OK);
    cr_assert_eq(a.request.lag.events, 0u);
    return again;
}

Test(consumer_groups, each_change_is_worked_on_once_and_in_order_when_members_come_and_go)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        fprintf(stderr, "seed %u\n", (unsigned)seed);
        cr_assert_eq(crew_run(seed, true), 0u);
        fixture_destroy(&fixture);
        begin();
    }
}

Test(consumer_groups, each_change_is_worked_on_when_members_vanish_and_forget)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        fprintf(stderr, "seed %u\n", (unsigned)seed);
        cr_assert_gt(crew_run(seed, false), 0u);
        fixture_destroy(&fixture);
        begin();
    }
}
