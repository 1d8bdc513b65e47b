/*
 * world.h: a core, a fake server, and what the core's calls were told; for the tests of the core.
 *
 * Owner:     one test; world_close ends it.
 */
#ifndef FRESHET_TESTS_UNIT_BINDINGS_C_WORLD_H
#define FRESHET_TESTS_UNIT_BINDINGS_C_WORLD_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/bindings/c/fake_server.h"

#define SECOND_NS ((uint64_t)1000 * 1000 * 1000)

/* What one call was told. */
struct told {
    unsigned count;
    enum freshet_status status;
    int code;
    char detail[256];
    char data[256];
    uint64_t sequence;
    char id[64];
    bool created;
    bool changed;
};

struct world {
    struct core *core;
    struct fake_server fake;
    uint64_t now_ns;
};

static inline void world_told(void *context, const struct freshet_result *result)
{
    struct told *told = context;
    told->count++;
    told->status = result->status;
    told->code = result->error->code;
    cr_assert_eq(result->error->status, result->status);
    snprintf(told->detail, sizeof(told->detail), "%s", result->error->detail);
    if (result->record.data != NULL) {
        cr_assert_lt(result->record.size, sizeof(told->data));
        memcpy(told->data, result->record.data, result->record.size);
        told->data[result->record.size] = '\0';
    }
    told->sequence = result->record.sequence + result->written.sequence;
    if (result->written.id != NULL) {
        snprintf(told->id, sizeof(told->id), "%s", result->written.id);
    }
    told->created = result->written.created;
    told->changed = result->written.changed;
}

static inline void world_open_with(struct world *world, const struct core_options *options)
{
    fake_init(&world->fake);
    world->now_ns = 1000 * SECOND_NS;
    cr_assert_eq(core_create(options, &world->core), FRESHET_OK);
    fake_greet(&world->fake, world->core, world->now_ns);
    cr_assert(core_is_open(world->core));
}

static inline struct core_options world_options(void)
{
    return (struct core_options){.format = FRESHET_JSON,
                                 .reconnects = true,
                                 .lease_ns = 2 * SECOND_NS,
                                 .timeout_ns = 30 * SECOND_NS,
                                 .seed = 7};
}

static inline void world_open(struct world *world)
{
    struct core_options options = world_options();
    world_open_with(world, &options);
}

static inline void world_close(struct world *world)
{
    core_destroy(&world->core);
    fake_deinit(&world->fake);
}

static inline enum freshet_status world_tell(struct world *world)
{
    return fake_tell(&world->fake, world->core, world->now_ns, SIZE_MAX);
}

/* The connection goes, and another comes. */
static inline void world_reconnect(struct world *world)
{
    core_lost(world->core, world->now_ns);
    fake_deinit(&world->fake);
    fake_init(&world->fake);
    fake_greet(&world->fake, world->core, world->now_ns);
}

/* Asks for pets/1; the id of the request. */
static inline uint32_t world_get(struct world *world, struct told *told)
{
    struct core_done done = {world_told, told};
    *told = (struct told){0};
    cr_assert_eq(core_get(world->core, "pets", "1", NULL, world->now_ns, done), FRESHET_OK);
    fake_listen(&world->fake, world->core);
    return fake_expect(&world->fake, FRAME_GET).header.id;
}

static inline void world_submit_put(struct world *world, struct told *told)
{
    struct core_write write = {FRAME_PUT, "pets", "1", BYTES_LITERAL("{}"), NULL};
    struct core_done done = {world_told, told};
    *told = (struct told){0};
    cr_assert_eq(core_write(world->core, &write, world->now_ns, done), FRESHET_OK);
}

static inline uint32_t world_put(struct world *world, struct told *told)
{
    world_submit_put(world, told);
    fake_listen(&world->fake, world->core);
    return fake_expect(&world->fake, FRAME_PUT).header.id;
}

#endif
