/*
 * loop.h: one thread of the server: its ring, its connections, its shards, its subscriptions, and
 * with one thread also the journal's writer.
 *
 *     wait -> bytes in, disk done -> engine -> changes -> journal -> answers out -> wait
 *
 * Owner:  loop_create and loop_destroy belong to the main thread, before the thread is started and
 *         after it is joined; everything between runs on the thread itself. loop_command and
 *         loop_change are for the main thread, any time.
 * Time:   one reading of each clock a turn.
 */
#ifndef FRESHET_NET_SERVER_LOOP_H
#define FRESHET_NET_SERVER_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/engine.h"
#include "engine/stream/consumers.h"
#include "engine/stream/stream.h"
#include "net/http/http.h"
#include "net/rest/rest.h"
#include "net/ring/ring.h"
#include "net/wire/wire.h"

#define LOOP_BUFFER_COUNT 1024
#define LOOP_BUFFER_BYTES 4096

enum loop_command {
    LOOP_RUN,
    LOOP_DRAIN, /* no new connections; end what is there */
    LOOP_FORCE, /* close all connections now */
    LOOP_STOP   /* leave the loop; everything is drained */
};

struct loop_options {
    uint32_t index;
    struct engine *engine; /* NULL: a journal's thread only */
    bool writes_journal;
    /* Made by the caller, because the journal's disk needs it first; the loop's from here on. */
    struct ring *ring;
    int listening_fd;          /* -1: none */
    int wire_fd;               /* of the binary protocol; -1: it is not served */
    struct http_options http;  /* handle, refuse, finished and context are filled in by the loop */
    struct rest_options rest;  /* engine, engine_thread, thread_index, stream, consumers likewise */
    struct wire_options wire;  /* likewise, and metrics_text */
    struct executor *executor; /* for older changes */
    uint32_t subscriptions_max;       /* of this thread */
    struct consumers **all_consumers; /* by thread; the loop puts its own in */
    uint32_t thread_count;            /* of them */
    uint64_t consumer_lease_ns;
    uint64_t poll_ns; /* looks for work for so long before it sleeps */
};

/* What may change while it runs. */
struct loop_change {
    struct http_timeouts timeouts;
    char cors_origin[REST_CORS_ORIGIN_BYTES_MAX];
    char cache_control[REST_CACHE_CONTROL_BYTES_MAX];
    enum rest_invalidation unauthorized_invalidation;
    bool access_log;
};

struct loop;

MUST_USE enum status loop_create(const struct loop_options *options, struct loop **out);
MUST_USE enum status loop_start(struct loop *loop);
void loop_command(struct loop *loop, enum loop_command command);
/* Copied; the thread takes it over at its next turn, unless a later one comes before. NO_MEMORY:
 * nothing changes. */
MUST_USE enum status loop_change(struct loop *loop, const struct loop_change *change);
/* LOOP_DRAIN has come to its end: no connection is left and no request pending. */
bool loop_is_drained(const struct loop *loop);
/* The ring broke: the loop has ended by itself. */
bool loop_has_failed(const struct loop *loop);
/* Any thread; NULL: it serves nobody. */
const struct stream_statistics *loop_stream_statistics(const struct loop *loop);
const struct wire_statistics *loop_wire_statistics(const struct loop *loop);
void loop_join(struct loop *loop);
void loop_destroy(struct loop **loop); /* joined; accepts NULL */

#endif
