#include "tests/unit/engine/stream/scene.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/json.h"

#define SUBSCRIPTIONS_MAX 16384
#define SETTLE_STEPS_MAX  100000
#define LARGE_BYTES       4096

void scene_begin(struct scene *scene, const struct world_options *options)
{
    const struct world_options standard = {.seed = 1};
    memset(scene, 0, sizeof(*scene));
    world_create(&scene->world, options == NULL ? &standard : options);
    const struct stream_options stream_options = {
        .engine = scene->world.engine,
        .engine_thread = engine_thread_at(scene->world.engine, 0),
        .executor = &scene->world.executor,
        .subscriptions_max = SUBSCRIPTIONS_MAX,
    };
    cr_assert_eq(stream_create(&stream_options, &scene->stream), STATUS_OK);
}

void scene_end(struct scene *scene)
{
    scene->world.hold_jobs = false;
    scene_settle(scene);
    stream_destroy(&scene->stream);
    world_destroy(&scene->world);
}

void scene_step(struct scene *scene)
{
    world_step(&scene->world);
    scene->due_ns = stream_step(scene->stream, scene->world.now_ns, scene->world.wall_ms);
}

void scene_settle(struct scene *scene)
{
    int quiet = 0;
    for (int i = 0; quiet < 4 && i < SETTLE_STEPS_MAX; i++) {
        scene_step(scene);
        bool is_quiet = scene->due_ns > 0 && (scene->world.hold_jobs || stream_idle(scene->stream));
        quiet = is_quiet ? quiet + 1 : 0;
    }
    cr_assert_eq(quiet, 4, "the stream never comes to rest");
}

void scene_put_in(struct scene *scene, struct collection *collection, const char *id,
                  const char *json)
{
    enum status status =
        world_run(&scene->world, &scene->request, REQUEST_PUT, collection, id, json);
    cr_assert_eq(status, STATUS_OK, "%s", status_name(status));
    request_release(&scene->request.request);
}

void scene_put(struct scene *scene, const char *id, const char *json)
{
    scene_put_in(scene, world_pets(&scene->world), id, json);
}

void scene_delete(struct scene *scene, const char *id)
{
    enum status status = world_run(&scene->world, &scene->request, REQUEST_DELETE,
                                   world_pets(&scene->world), id, NULL);
    cr_assert_eq(status, STATUS_OK, "%s", status_name(status));
    request_release(&scene->request.request);
}

void scene_put_large(struct scene *scene, const char *prefix, uint32_t count)
{
    char json[LARGE_BYTES];
    char id[32];
    for (uint32_t i = 0; i < count; i++) {
        int head = snprintf(json, sizeof(json), "{\"n\":%u,\"t\":\"", i);
        memset(json + head, 'x', sizeof(json) - (size_t)head);
        memcpy(json + sizeof(json) - 3, "\"}", 3);
        snprintf(id, sizeof(id), "%s%u", prefix, i);
        scene_put(scene, id, json);
    }
}

struct pattern *scene_pattern(const char *json)
{
    uint8_t room[4096];
    struct writer document = writer_of(room, sizeof(room));
    struct pattern *pattern;
    struct pattern_problem problem;
    cr_assert_eq(json_to_document(bytes_of_text(json), &document, NULL), STATUS_OK);
    cr_assert_eq(pattern_parse(writer_bytes(&document), &pattern, &problem), STATUS_OK, "%s",
                 problem.text);
    return pattern;
}

/* ---- listeners ---- */

static void tell_change(struct listener *listener, struct told *told,
                        const struct delivery *delivery)
{
    const struct change *change = delivery->change;
    told->change = change->kind;
    told->transition = delivery->transition;
    told->sequence = change->sequence;
    snprintf(told->id, sizeof(told->id), "%.*s", (int)change->id.size,
             (const char *)change->id.data);
    struct bytes json = delivery_json(delivery);
    cr_assert_gt(json.size, 0);
    snprintf(listener->json, sizeof(listener->json), "%.*s", (int)json.size,
             (const char *)json.data);
}

static bool listener_deliver(struct subscription *subscription, const struct delivery *delivery)
{
    struct listener *listener = CONTAINER_OF(subscription, struct listener, subscription);
    cr_assert_eq(delivery->subscription, subscription);
    cr_assert_eq(listener->ended, 0);
    if (listener->room == 0) {
        listener->refused++;
        return false;
    }
    listener->room--;
    cr_assert_lt(listener->count, LISTENER_TOLD_MAX);
    struct told *told = &listener->told[listener->count++];
    memset(told, 0, sizeof(*told));
    told->kind = delivery->kind;
    told->token = delivery->token;
    if (delivery->change != NULL) {
        tell_change(listener, told, delivery);
    }
    return true;
}

static void listener_ended(struct subscription *subscription, enum status status)
{
    struct listener *listener = CONTAINER_OF(subscription, struct listener, subscription);
    cr_assert_eq(subscription->state, SUBSCRIPTION_CLOSED);
    listener->ended++;
    listener->end_status = status;
}

enum status listener_begin(struct scene *scene, struct listener *listener,
                           struct subscription_options options)
{
    listener->count = 0;
    listener->room = UINT32_MAX;
    listener->refused = 0;
    listener->ended = 0;
    options.deliver = listener_deliver;
    options.ended = listener_ended;
    return stream_subscribe(scene->stream, &options, &listener->subscription);
}

static void write_told(struct writer *out, const struct told *told)
{
    static const char *const names[] = {
        [DELIVERY_CHANGE] = "",
        [DELIVERY_SNAPSHOT] = "SNAPSHOT",
        [DELIVERY_SYNCED] = "SYNCED",
        [DELIVERY_PROGRESS] = "PROGRESS",
        [DELIVERY_CAUGHT_UP] = "CAUGHT_UP",
    };
    bool is_change = told->kind == DELIVERY_CHANGE;
    writer_text(out, is_change ? change_name(told->change) : names[told->kind]);
    if (told->transition != CHANGE_STAYS) {
        writer_u8(out, told->transition == CHANGE_ENTERS ? '+' : '-');
    }
    if (told->kind == DELIVERY_SYNCED) {
        return;
    }
    if (is_change || told->kind == DELIVERY_SNAPSHOT) {
        writer_u8(out, ' ');
        writer_text(out, told->id);
    }
    writer_u8(out, ' ');
    bool has_sequence = is_change || told->kind == DELIVERY_SNAPSHOT;
    writer_decimal(out, has_sequence ? told->sequence : told->token.position.sequence);
}

void listener_expect(const struct listener *listener, uint32_t first, const char *text)
{
    static uint8_t room[65536];
    struct writer out = writer_of(room, sizeof(room));
    for (uint32_t i = first; i < listener->count; i++) {
        if (i > first) {
            writer_text(&out, ", ");
        }
        write_told(&out, &listener->told[i]);
    }
    cr_assert(bytes_equal(writer_bytes(&out), bytes_of_text(text)), "told: %.*s\nwanted: %s",
              (int)out.size, (const char *)room, text);
}
