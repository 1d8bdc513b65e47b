/*
 * The end in order: clients first, then flushes, then the threads.
 */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/server/clock.h"
#include "net/server/serve_internal.h"

/* How often the main thread looks whether all is drained. */
#define DRAIN_POLL_MS 5

static bool all_drained(const struct server *server)
{
    if (!worker_is_drained(server->worker)) {
        return false;
    }
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (!loop_is_drained(server->loops[i])) {
            return false;
        }
    }
    return true;
}

/* False: shutdown_timeout has passed, or a second signal has come. */
static bool drain_wait(struct server *server, enum loop_command command, uint64_t deadline_ns,
                       bool (*drained)(const struct server *server))
{
    while (!drained(server)) {
        int number = serve_signal_wait(server, DRAIN_POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            serve_end_at_once(server,
                              "a second signal: ended at once; the next start replays the journal");
        }
        if (clock_monotonic_ns() >= deadline_ns) {
            return false;
        }
        serve_loops_command(server, command);
    }
    return true;
}

static bool store_has_failed(const struct server *server)
{
    struct engine_health health;
    engine_health_read(server->storage.engine, &health);
    return health.store_failure != STATUS_OK;
}

/* A store that has failed for good will never have flushed what it was given. */
static bool flushes_are_over(const struct server *server)
{
    return engine_drained(server->storage.engine) || store_has_failed(server);
}

/* From here on clients are refused at once, instead of waiting for an accept that never comes. */
static void sockets_refuse(const struct server *server)
{
    for (uint32_t i = 0; i < server->thread_count; i++) {
        (void)shutdown(server->sockets[i], SHUT_RDWR);
        if (server->wire_sockets[i] >= 0) {
            (void)shutdown(server->wire_sockets[i], SHUT_RDWR);
        }
    }
}

int server_stop(struct server *server)
{
    uint64_t began_ns = clock_monotonic_ns();
    uint64_t deadline_ns = began_ns + server->settings.shutdown_timeout;
    /* Clients get most of the time; flushing has the rest. */
    uint64_t cut_ns = began_ns + server->settings.shutdown_timeout / 4 * 3;
    log_event(server->log, LOG_INFO, "stopping", NULL, 0);
    atomic_store(&server->draining, true);
    serve_loops_command(server, LOOP_DRAIN);
    worker_command(server->worker, WORKER_DRAIN);
    sockets_refuse(server);
    if (!drain_wait(server, LOOP_DRAIN, cut_ns, all_drained)) {
        log_event(server->log, LOG_WARNING, "connections that did not end are closed", NULL, 0);
        serve_loops_command(server, LOOP_FORCE);
    }
    if (!drain_wait(server, LOOP_FORCE, deadline_ns, all_drained)) {
        serve_end_at_once(server, "shutdown_timeout: requests were still in flight");
    }
    engine_drain(server->storage.engine);
    if (!drain_wait(server, LOOP_FORCE, deadline_ns, flushes_are_over)) {
        serve_end_at_once(server,
                          "shutdown_timeout: records were still being written to files; the next "
                          "start replays the journal");
    }
    if (!engine_drained(server->storage.engine)) {
        serve_end_at_once(server, "a store has failed, and keeps nothing more: what it did not "
                                  "keep is in the journal, and the next start replays it");
    }
    worker_command(server->worker, WORKER_STOP);
    serve_loops_command(server, LOOP_STOP);
    server_close(server);
    log_say(server->log, LOG_INFO, "stopped",
            LOG_NUMBER("milliseconds", (clock_monotonic_ns() - began_ns) / SETTING_MS));
    return EXIT_CLEAN;
}
