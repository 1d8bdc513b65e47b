/*
 * worker.h: the thread beside those that serve: it follows the changes and makes the rules' calls.
 *
 *     wait (sockets of calls, a bell) -> engine -> stream -> webhooks -> wait
 *
 * It owns no shard and no connection: a client of the engine like any other, with a stream of its
 * own.
 *
 * Owner:  worker_create and worker_destroy belong to the main thread, before the thread is started
 *         and after it is joined; everything between runs on the thread itself. worker_command is
 *         for the main thread, any time.
 * Order:  created after the engine and before the loops, which are given worker_webhooks; started
 *         when the records are recovered. At the end it drains while the loops still run, because
 *         what it writes (positions, parked changes) needs their shards; it is stopped after that.
 * Time:   one reading of each clock a turn.
 */
#ifndef FRESHET_NET_SERVER_WORKER_H
#define FRESHET_NET_SERVER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/engine.h"
#include "net/server/config_file.h"
#include "net/server/log.h"
#include "net/server/settings.h"
#include "net/webhook/webhooks.h"

enum worker_command {
    WORKER_RUN,
    WORKER_DRAIN, /* no new calls; those in flight end, positions are written */
    WORKER_STOP   /* leave the thread's loop; it is drained, or there is no time for that */
};

struct worker_options {
    struct engine *engine;
    uint32_t thread_index; /* of its engine_thread: the first client's, engine's thread_count */
    struct executor *executor;
    const struct collection *internal; /* COLLECTION_INTERNAL_COUNT of them; borrowed */
    const struct collection *collections;
    uint32_t collection_count;
    const char *allow;               /* the setting webhook_allow; borrowed */
    const struct config_rule *rules; /* of the configuration file; borrowed */
    uint32_t rule_count;
    uint64_t seed;
    struct log *log;
};

struct worker;

/* INVALID: allow names no networks, problem says which. On any failure *out is NULL. */
MUST_USE enum status worker_create(const struct worker_options *options, struct worker **out,
                                   struct settings_problem *problem);
MUST_USE enum status worker_start(struct worker *worker);
void worker_command(struct worker *worker, enum worker_command command);
/* The rules of the configuration file are put: they see whatever is written from now on. Any
 * thread. */
bool worker_rules_are_put(const struct worker *worker);
/* WORKER_DRAIN has come to its end. Any thread. */
bool worker_is_drained(const struct worker *worker);
/* For rest_options.webhooks of every loop. */
struct webhooks *worker_webhooks(struct worker *worker);
void worker_join(struct worker *worker);     /* accepts one that was never started */
void worker_destroy(struct worker **worker); /* joined; accepts NULL */

#endif
