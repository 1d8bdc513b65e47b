/* The memory of answers that are made and not yet given to who asked is bounded. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/world.h"

#define TEXT_BYTES  5000 /* of a record: more than a request's own room for its answer */
#define READS       4
#define ROOM_FOR    2
#define ANSWER_ROOM (ROOM_FOR * (TEXT_BYTES + 100))

static struct world world;
static struct world_request requests[READS];
static char json[TEXT_BYTES + 16];

static void begin_with(uint32_t threads, uint64_t answer_bytes_max)
{
    static char text[TEXT_BYTES + 1];
    memset(text, 'x', TEXT_BYTES);
    (void)snprintf(json, sizeof(json), "{\"t\":\"%s\"}", text);
    world_create(&world, &(struct world_options){.thread_count = threads,
                                                 .answer_bytes_max = answer_bytes_max});
    cr_assert_eq(world_run(&world, &requests[0], REQUEST_PUT, world_pets(&world), "1", json),
                 STATUS_OK, "a write is answered whatever is in use");
    request_release(&requests[0].request);
}

static void end(void)
{
    world_settle(&world);
    world_destroy(&world);
}

/* Submits so many at once; returns how many were OK. The others had no memory. */
static uint32_t reads_at_once(uint32_t count, uint32_t thread)
{
    uint32_t succeeded = 0;
    for (uint32_t i = 0; i < count; i++) {
        world_submit(&world, thread, &requests[i], REQUEST_GET, world_pets(&world), "1", NULL);
    }
    world_settle(&world);
    for (uint32_t i = 0; i < count; i++) {
        enum status status = requests[i].request.status;
        cr_assert(requests[i].done);
        cr_assert(status == STATUS_OK || status == STATUS_NO_MEMORY);
        succeeded += status == STATUS_OK ? 1 : 0;
        request_release(&requests[i].request);
    }
    return succeeded;
}

Test(answers, over_their_bound_a_read_has_no_memory_and_later_it_has)
{
    begin_with(1, ANSWER_ROOM);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(reads_at_once(READS, 0), ROOM_FOR);
        cr_assert_eq(reads_at_once(1, 0), 1);
    }
    end();
}

Test(answers, those_of_other_threads_count_too)
{
    begin_with(2, ANSWER_ROOM);
    for (uint32_t thread = 0; thread < 2; thread++) {
        cr_assert_eq(reads_at_once(READS, thread), ROOM_FOR);
        cr_assert_eq(reads_at_once(ROOM_FOR, thread), ROOM_FOR);
    }
    end();
}

Test(answers, one_larger_than_the_bound_is_given_alone)
{
    begin_with(1, 1);
    cr_assert_eq(reads_at_once(READS, 0), 1);
    cr_assert_eq(reads_at_once(1, 0), 1);
    end();
}
