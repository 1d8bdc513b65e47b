/*
 * Opening all of the process, in order: the data folder, rings, sockets, storage, replay, threads;
 * and closing it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "net/ring/disk_ring.h"
#include "net/server/clock.h"
#include "net/server/probe.h"
#include "net/server/serve_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

#define PIPELINED_MAX        64
#define SHARDS_DEFAULT_LEAST 4
/* How often a long replay says how far it is. */
#define REPLAY_SAY_NS  (2 * SETTING_S)
#define REPLAY_POLL_MS 50

static uint32_t core_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof(cores), &cores) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&cores);
    return count < 1 ? 1 : count > THREAD_COUNT_MAX ? THREAD_COUNT_MAX : (uint32_t)count;
}

static uint32_t shards_wanted(const struct server *server)
{
    if (server->settings.shards > 0) {
        return (uint32_t)server->settings.shards;
    }
    uint32_t cores = core_count();
    return cores > SHARDS_DEFAULT_LEAST ? cores : SHARDS_DEFAULT_LEAST;
}

/* ---- opening ---- */

static void journal_bell_ring(struct waker *waker)
{
    ring_wake(CONTAINER_OF(waker, struct journal_bell, waker)->ring);
}

static enum status rings_create(struct server *server, struct settings_problem *problem)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        bool serves = i < server->thread_count;
        const struct ring_options options = {
            .buffer_count = serves ? LOOP_BUFFER_COUNT : 0,
            .buffer_bytes = serves ? LOOP_BUFFER_BYTES : 0,
        };
        struct ring_failure failure = {.text = ""};
        enum status status = ring_create(&options, &server->rings[i], &failure);
        if (status != STATUS_OK) {
            settings_problem_set(problem, "%s", failure.text);
            return status;
        }
    }
    /* With one thread it writes the journal too; with more the last ring is the journal's own. */
    server->journal_bell.waker.wake = journal_bell_ring;
    server->journal_bell.ring = server->rings[server->loop_count - 1];
    return STATUS_OK;
}

/*
 * The binary protocol is served unless it is turned off. Where nobody asked for its port, one that
 * is taken is no reason not to start: on a machine with a server already a second one needs only
 * --http.
 */
static enum status wire_open(struct server *server, struct settings_problem *problem)
{
    const char *text = server->settings.wire.text;
    if (strcmp(text, SETTING_OFF) == 0) {
        return STATUS_OK;
    }
    struct ring_failure failure = {.text = ""};
    enum status status = listen_parse(text, &server->wire_address, &failure);
    if (status == STATUS_OK) {
        status = listen_open(&server->wire_address, server->thread_count, server->wire_sockets,
                             &failure);
    }
    if (status == STATUS_OK) {
        return STATUS_OK;
    }
    memset(server->wire_sockets, -1, sizeof(server->wire_sockets));
    if (status == STATUS_CONFLICT && !setting_is_said(&server->settings, SETTING_OF(wire))) {
        log_say(server->log, LOG_WARNING,
                "the binary protocol is not served: its port is taken; choose another with --wire",
                LOG_TEXT("address", text));
        return STATUS_OK;
    }
    settings_problem_set(problem, "wire %s: %s", text, failure.text);
    return status;
}

static enum status sockets_open(struct server *server, struct settings_problem *problem)
{
    struct ring_failure failure = {.text = ""};
    enum status status = listen_parse(server->settings.http.text, &server->address, &failure);
    if (status == STATUS_OK) {
        status = listen_open(&server->address, server->thread_count, server->sockets, &failure);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "http %s: %s", server->settings.http.text, failure.text);
        return status;
    }
    return wire_open(server, problem);
}

static enum status storage_begin(struct server *server, struct settings_problem *problem)
{
    char path[STORAGE_PATH_BYTES_MAX];
    storage_journal_path(&server->folder, path);
    enum status status = disk_ring_create(path, server->journal_bell.ring, &server->disk);
    if (status == STATUS_OK) {
        status = store_pool_create(&server->pool);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "%s: %s", path, status_text(status));
        return status;
    }
    const struct storage_options options = {
        .settings = &server->settings,
        .collections = server->config.collections,
        .collection_count = server->config.collection_count,
        .thread_count = server->thread_count,
        .disk = server->disk,
        .executor = store_pool_executor(server->pool),
        .journal_waker = &server->journal_bell.waker,
        .log = server->log,
    };
    return storage_open(&options, &server->folder, &server->storage, problem);
}

/* ---- replay: may take a while, and a signal ends it at once, since nothing is served yet ---- */

struct replay_run {
    struct engine *engine;
    enum status status;
    uint64_t entries;
    struct detail detail;
};

static void *replay_thread(void *argument)
{
    struct replay_run *run = argument;
    run->status = engine_replay(run->engine, &run->entries, &run->detail);
    return NULL;
}

static enum status replay_watch(struct server *server, pthread_t thread)
{
    uint64_t began_ns = clock_monotonic_ns();
    uint64_t said_ns = began_ns;
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        int number = serve_signal_wait(
            server, clock_monotonic_ns() - began_ns < SETTING_S ? 1 : REPLAY_POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            return STATUS_CLOSED;
        }
        if (clock_monotonic_ns() - said_ns >= REPLAY_SAY_NS) {
            said_ns = clock_monotonic_ns();
            log_say(server->log, LOG_INFO, "replaying the journal",
                    LOG_NUMBER("applied", engine_published(server->storage.engine)),
                    LOG_NUMBER("committed", journal_committed(server->storage.journal)));
        }
    }
    return STATUS_OK;
}

static enum status replay(struct server *server, struct settings_problem *problem)
{
    struct replay_run run = {.engine = server->storage.engine};
    uint64_t began_ns = clock_monotonic_ns();
    pthread_t thread;
    if (pthread_create(&thread, NULL, replay_thread, &run) != 0) {
        settings_problem_set(problem, "replay: %s", status_text(STATUS_NO_MEMORY));
        return STATUS_NO_MEMORY;
    }
    if (replay_watch(server, thread) != STATUS_OK) {
        log_event(server->log, LOG_INFO, "ended during replay; the next start begins it anew", NULL,
                  0);
        log_destroy(&server->log);
        _exit(EXIT_CLEAN);
    }
    if (run.status != STATUS_OK) {
        settings_problem_set(problem, "%s: %s", server->folder.path, run.detail.text);
        return run.status;
    }
    log_say(server->log, LOG_INFO, "replayed", LOG_NUMBER("entries", run.entries),
            LOG_NUMBER("milliseconds", (clock_monotonic_ns() - began_ns) / SETTING_MS));
    return STATUS_OK;
}

/* ---- threads ---- */

static bool probe_ready(void *context)
{
    return atomic_load(&((struct server *)context)->ready);
}

static bool probe_draining(void *context)
{
    return atomic_load(&((struct server *)context)->draining);
}

/* Scrapes begin when all loops are there: the threads start after they have been made. */
static void probe_metrics(void *context, struct writer *text_out)
{
    struct server *server = context;
    const struct stream_statistics *streams[THREAD_COUNT_MAX];
    for (uint32_t i = 0; i < server->thread_count; i++) {
        streams[i] = loop_stream_statistics(server->loops[i]);
        ASSERT(streams[i] != NULL);
    }
    probe_streams_write(streams, server->thread_count, text_out);
    const struct wire_statistics *wires[THREAD_COUNT_MAX];
    uint32_t wire_count = 0;
    for (uint32_t i = 0; i < server->thread_count; i++) {
        wires[wire_count] = loop_wire_statistics(server->loops[i]);
        wire_count += wires[wire_count] != NULL ? 1 : 0;
    }
    if (wire_count > 0) {
        wire_metrics_write(wires, wire_count, text_out);
    }
    webhooks_metrics(worker_webhooks(server->worker), clock_wall_ms(), text_out);
}

static void probe_log(void *context, struct bytes lines)
{
    log_lines(((struct server *)context)->log, lines);
}

/* Of one thread and one protocol. */
static uint32_t connections_max_of(const struct server *server)
{
    uint64_t all = server->settings.connections_max;
    return (uint32_t)((all + server->thread_count - 1) / server->thread_count);
}

static struct wire_options wire_options_of(const struct server *server)
{
    return (struct wire_options){
        .collections = server->config.collections,
        .collection_count = server->config.collection_count,
        .connections_max = connections_max_of(server),
        .hello_timeout_ns = server->settings.head_timeout,
        .frame_timeout_ns = server->settings.body_timeout,
        .send_timeout_ns = server->settings.send_timeout,
    };
}

static struct http_options http_options_of(const struct server *server)
{
    const struct settings *settings = &server->settings;
    return (struct http_options){
        .connections_max = connections_max_of(server),
        .pipelined_max = PIPELINED_MAX,
        .head_bytes_max = (uint32_t)settings->head_bytes_max,
        .body_bytes_max = DOCUMENT_JSON_BYTES_MAX,
        .head_timeout_ns = settings->head_timeout,
        .body_timeout_ns = settings->body_timeout,
        .idle_timeout_ns = settings->idle_timeout,
        .send_timeout_ns = settings->send_timeout,
    };
}

static uint32_t subscriptions_max_of(const struct server *server)
{
    uint64_t all = server->settings.subscriptions_max;
    return (uint32_t)((all + server->thread_count - 1) / server->thread_count);
}

static struct rest_options rest_options_of(struct server *server)
{
    const struct settings *settings = &server->settings;
    return (struct rest_options){
        .collections = server->config.collections,
        .collection_count = server->config.collection_count,
        .cors_origin = bytes_of_text(settings->cors_origin.text),
        .cache_control = bytes_of_text(settings->cache_control.text),
        .unauthorized_invalidation = (enum rest_invalidation)settings->unauthorized_invalidation,
        .probe = {.context = server,
                  .ready = probe_ready,
                  .draining = probe_draining,
                  .metrics = probe_metrics,
                  .log = probe_log},
        .internal = server->config.collections + server->config.collection_count,
        .webhooks = worker_webhooks(server->worker),
        .metrics = server->metrics,
        .seed = server->seed,
        .access_log = settings->access_log != 0,
    };
}

static enum status worker_open(struct server *server, struct settings_problem *problem)
{
    const struct worker_options options = {
        .engine = server->storage.engine,
        .thread_index = server->thread_count,
        .executor = store_pool_executor(server->pool),
        .internal = server->config.collections + server->config.collection_count,
        .collections = server->config.collections,
        .collection_count = server->config.collection_count,
        .allow = server->settings.webhook_allow.text,
        .rules = server->config.rules,
        .rule_count = server->config.rule_count,
        .seed = server->seed,
        .log = server->log,
    };
    return worker_create(&options, &server->worker, problem);
}

static enum status loops_create(struct server *server, struct settings_problem *problem)
{
    const struct metrics_options metrics_options = {
        .thread_count = server->thread_count,
        .collections = server->config.collections,
        .collection_count = server->config.collection_count,
        .started_wall_ms = clock_wall_ms(),
    };
    enum status status = metrics_create(&metrics_options, &server->metrics);
    for (uint32_t i = 0; i < server->loop_count && status == STATUS_OK; i++) {
        const struct loop_options options = {
            .index = i,
            .engine = server->storage.engine,
            .writes_journal = i == server->loop_count - 1,
            .ring = server->rings[i],
            .listening_fd = i < server->thread_count ? server->sockets[i] : -1,
            .wire_fd = i < server->thread_count ? server->wire_sockets[i] : -1,
            .http = http_options_of(server),
            .wire = wire_options_of(server),
            .rest = rest_options_of(server),
            .executor = store_pool_executor(server->pool),
            .subscriptions_max = subscriptions_max_of(server),
            .all_consumers = server->consumers,
            .thread_count = server->thread_count,
            .consumer_lease_ns = server->settings.consumer_lease,
            .poll_ns = server->settings.poll,
        };
        status = loop_create(&options, &server->loops[i]);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "threads: %s", status_text(status));
    }
    return status;
}

static enum status loops_start(struct server *server, struct settings_problem *problem)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        enum status status = loop_start(server->loops[i]);
        if (status != STATUS_OK && i > 0) {
            /* Those before it may have clients already: there is no way back that closes all. */
            serve_end_at_once(server,
                              "not all threads can be started: raise the limit of processes");
        }
        if (status != STATUS_OK) {
            settings_problem_set(problem, "thread %u cannot be started: %s", i,
                                 status_text(status));
            return status;
        }
    }
    if (worker_start(server->worker) != STATUS_OK) {
        serve_end_at_once(server, "not all threads can be started: raise the limit of processes");
    }
    return STATUS_OK;
}

/* ---- opening and closing all of it ---- */

enum status server_open(struct server *server, struct settings_problem *problem)
{
    server->thread_count =
        server->settings.threads > 0 ? (uint32_t)server->settings.threads : core_count();
    server->loop_count = server->thread_count == 1 ? 1 : server->thread_count + 1;
    enum status status = data_folder_open(server->settings.data.text, shards_wanted(server),
                                          &server->folder, problem);
    if (status == STATUS_OK) {
        status = rings_create(server, problem);
    }
    if (status == STATUS_OK) {
        status = sockets_open(server, problem);
    }
    if (status == STATUS_OK) {
        status = storage_begin(server, problem);
    }
    if (status == STATUS_OK) {
        status = replay(server, problem);
    }
    if (getrandom(&server->seed, sizeof(server->seed), 0) != (ssize_t)sizeof(server->seed)) {
        settings_problem_set(problem, "no random bytes");
        status = status == STATUS_OK ? STATUS_IO_ERROR : status;
    }
    if (status == STATUS_OK) {
        status = worker_open(server, problem);
    }
    if (status == STATUS_OK) {
        status = loops_create(server, problem);
    }
    return status == STATUS_OK ? loops_start(server, problem) : status;
}

void server_close(struct server *server)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (server->loops[i] != NULL) {
            loop_join(server->loops[i]);
        }
    }
    if (server->worker != NULL) {
        worker_join(server->worker);
    }
    store_pool_destroy(&server->pool);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_destroy(&server->loops[i]);
    }
    worker_destroy(&server->worker);
    storage_close(&server->storage);
    if (server->disk != NULL) {
        server->disk->vtable->destroy(server->disk);
    }
    for (uint32_t i = 0; i < server->loop_count; i++) {
        ring_destroy(&server->rings[i]);
    }
    for (uint32_t i = 0; i < server->thread_count; i++) {
        if (server->sockets[i] >= 0) {
            (void)close(server->sockets[i]);
        }
        if (server->wire_sockets[i] >= 0) {
            (void)close(server->wire_sockets[i]);
        }
    }
    metrics_destroy(&server->metrics);
    data_folder_close(&server->folder);
}
