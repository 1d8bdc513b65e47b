/* From the write buffer into files under a load that does not end, and what an index owes to a
 * write. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/shard_internal.h"
#include "tests/support/world.h"

#define IN_FLIGHT 200
#define TURNS     300

static struct world world;

/* So many indexed fields, all of which each write changes. */
static void index_fields(uint32_t count)
{
    static const char *const names[] = {"category", "brand", "color", "size"};
    struct collection *products = world_products(&world);
    for (uint32_t i = 0; i < count; i++) {
        products->indexes[i] = bytes_of_text(names[i]);
    }
    products->index_count = count;
    world_restart_engine(&world);
}

static void write_next(struct world_request *request, unsigned number)
{
    char id[16];
    char json[128];
    snprintf(id, sizeof(id), "%u", number * 7919u % 20000u);
    snprintf(json, sizeof(json),
             "{\"category\":\"c%u\",\"brand\":\"b%u\",\"color\":\"k%u\",\"size\":\"s%u\"}", number,
             number, number, number);
    world_submit(&world, 0, request, REQUEST_PUT, world_products(&world), id, json);
}

static void flushes_keep_up(enum journal_durability durability, uint32_t fields)
{
    static struct world_request requests[IN_FLIGHT];
    world_create(&world, &(struct world_options){.shard_count = 1,
                                                 .cache_bytes = WORLD_CACHE_DEFAULT,
                                                 .durability = durability});
    index_fields(fields);
    const struct shard *shard = world.engine->shards[0];
    uint64_t most = 0;
    unsigned number = 0;
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        requests[i].done = true;
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < IN_FLIGHT; i++) {
            if (requests[i].done) {
                request_release(&requests[i].request);
                write_next(&requests[i], number++);
            }
        }
        world_step(&world);
        most = shard->unflushed_bytes > most ? shard->unflushed_bytes : most;
    }
    cr_assert_gt(number, 4 * IN_FLIGHT);
    cr_assert_gt(atomic_load(&shard->flushes), 0);
    cr_assert_leq(most, 4 * world.options.memtable_bytes_max, "%u writes, %llu bytes unflushed",
                  number, (unsigned long long)most);
    world_settle(&world);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        request_release(&requests[i].request);
    }
    world_destroy(&world);
}

Test(flush, keeps_up_with_writes_however_many_rows_each_has)
{
    for (uint32_t fields = 0; fields <= 4; fields++) {
        flushes_keep_up(JOURNAL_SYNC, fields);
        flushes_keep_up(JOURNAL_NONE, fields);
    }
}

static bool page_is(struct world_request *request, const char *json)
{
    request_release(&request->request);
    request->request.list_field = BYTES_LITERAL("category");
    request->request.list_value = BYTES_LITERAL("lamps");
    request->request.list_limit = 10;
    return world_run(&world, request, REQUEST_LIST, world_products(&world), NULL, NULL) ==
               STATUS_OK &&
           world_answer_is(request, json);
}

Test(flush, a_record_older_than_the_index_enters_it_and_the_cached_page_goes)
{
    static struct world_request request;
    static struct world_request list;
    world_create(&world, &(struct world_options){.cache_bytes = WORLD_CACHE_DEFAULT});
    index_fields(0);
    char json[700];
    snprintf(json, sizeof(json), "{\"category\":\"%0*d\"}", INDEX_VALUE_BYTES_MAX + 1, 7);
    cr_assert_eq(world_run(&world, &request, REQUEST_PUT, world_products(&world), "1", json),
                 STATUS_OK);
    index_fields(1);
    cr_assert(page_is(&list, "[]"));
    request_release(&request.request);
    cr_assert_eq(world_run(&world, &request, REQUEST_PUT, world_products(&world), "1",
                           "{\"category\":\"lamps\"}"),
                 STATUS_OK);
    cr_assert(page_is(&list, "[{\"id\":\"1\",\"category\":\"lamps\",\"title\":\"\"}]"), "%.*s",
              (int)list.request.answer.size, (const char *)list.request.answer.data);
    request_release(&request.request);
    request_release(&list.request);
    world_destroy(&world);
}
