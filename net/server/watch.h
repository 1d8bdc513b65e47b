/*
 * watch.h: says in the log, once, when something has gone wrong that does not go away by itself,
 * and when it has passed.
 *
 * Owner:  the main thread, which calls watch_step about once a second.
 * Tests:  tests/unit/net/server/test_watch.c.
 */
#ifndef FRESHET_NET_SERVER_WATCH_H
#define FRESHET_NET_SERVER_WATCH_H

#include "engine/shard/engine.h"
#include "net/server/log.h"

struct watch {
    struct engine_health said; /* what the log knows already; zeroed at first */
};

void watch_step(struct watch *watch, const struct engine_health *now, struct log *log);

#endif
