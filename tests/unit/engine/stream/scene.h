/*
 * scene.h: a world with a stream on its first thread, and listeners that write down what they are
 * told.
 *
 * Owner:  the test. Nothing runs but in scene_step.
 * Memory: a listener keeps the last LISTENER_TOLD_MAX deliveries; what it is told beyond that is an
 *         error of the test.
 */
#ifndef FRESHET_TESTS_UNIT_ENGINE_STREAM_SCENE_H
#define FRESHET_TESTS_UNIT_ENGINE_STREAM_SCENE_H

#include "engine/stream/stream.h"
#include "tests/support/world.h"

#define LISTENER_TOLD_MAX 8192

struct scene {
    struct world world;
    struct stream *stream;
    struct world_request request;
    uint64_t due_ns; /* as the last stream_step said */
};

struct told {
    enum delivery_kind kind;
    enum change_kind change;
    enum change_transition transition;
    uint64_t sequence; /* of the change */
    char id[32];       /* of its record */
    struct token token;
};

struct listener {
    struct subscription subscription;
    struct told told[LISTENER_TOLD_MAX];
    uint32_t count;
    uint32_t room; /* so many more are taken */
    uint32_t refused;
    uint32_t ended;
    enum status end_status;
    char json[4096]; /* of the last change */
};

/* options NULL: four shards, one thread. */
void scene_begin(struct scene *scene, const struct world_options *options);
void scene_end(struct scene *scene);
void scene_step(struct scene *scene);
/* Steps until nothing more comes of it. */
void scene_settle(struct scene *scene);
/* Each runs one write to its end; the stream is not stepped meanwhile. */
void scene_put(struct scene *scene, const char *id, const char *json);
void scene_put_in(struct scene *scene, struct collection *collection, const char *id,
                  const char *json);
void scene_delete(struct scene *scene, const char *id);
/* Puts count records whose ids are prefix and a number from 0, each of some 4 KiB. */
void scene_put_large(struct scene *scene, const char *prefix, uint32_t count);

struct pattern *scene_pattern(const char *json);

/* With deliver and ended of the listener's own, and room for all. */
enum status listener_begin(struct scene *scene, struct listener *listener,
                           struct subscription_options options);
/* "INSERT rex 3, MODIFY rex 4": kinds, ids and sequences of all that it was told from `first` on;
 * "SYNCED", "PROGRESS 4", "CAUGHT_UP 4" with the position, "SNAPSHOT rex 3", transitions with '+'
 * or '-' behind the name. */
void listener_expect(const struct listener *listener, uint32_t first, const char *text);

#endif
