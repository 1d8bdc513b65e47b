#include "net/server/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/ring/disk_ring.h"
#include "net/ring/listen.h"
#include "net/server/clock.h"
#include "net/server/config_file.h"
#include "net/server/help.h"
#include "net/server/log.h"
#include "net/server/loop.h"
#include "net/server/reload.h"
#include "net/server/settings.h"
#include "net/server/storage.h"
#include "net/server/store_pool.h"
#include "net/server/watch.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

#define EXIT_CLEAN  0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define PIPELINED_MAX        64
#define SHARDS_DEFAULT_LEAST 4
#define LOOPS_MAX            (THREAD_COUNT_MAX + 1)
/* How often the main thread looks whether a thread has failed, or, at the end, whether all is
 * drained. */
#define WATCH_MS      1000
#define DRAIN_POLL_MS 5
/* How often a long replay says how far it is. */
#define REPLAY_SAY_NS  (2 * SETTING_S)
#define REPLAY_POLL_MS 50

/* Rings the thread that writes the journal. */
struct journal_bell {
    struct waker waker;
    struct ring *ring;
};

struct server {
    int argument_count;
    char *const *arguments;
    struct settings_arguments said;
    struct settings settings;
    struct config config;
    struct log *log;
    struct data_folder folder;
    struct storage storage;
    struct store_pool *pool;
    struct disk *disk;
    struct metrics *metrics;
    struct journal_bell journal_bell;
    struct ring *rings[LOOPS_MAX];
    struct loop *loops[LOOPS_MAX];
    int sockets[THREAD_COUNT_MAX];
    struct listen_address address;
    uint32_t thread_count; /* that serve */
    uint32_t loop_count;   /* with the journal's own, when there is one */
    int signals;           /* a descriptor */
    uint64_t seed;
    _Atomic bool ready;
    _Atomic bool draining;
};

/* ---- what is known before anything is opened ---- */

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

/* A descriptor a connection: as many as the system lets us have. */
static void descriptors_raise(struct server *server)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < server->settings.connections_max) {
        log_say(server->log, LOG_WARNING, "fewer files may be open than connections_max asks for",
                LOG_NUMBER("files", limit.rlim_cur),
                LOG_NUMBER("connections_max", server->settings.connections_max));
    }
}

/* Before any thread is made: all inherit the mask, and the signals stay for signalfd. */
static enum status signals_take(struct server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
        return STATUS_IO_ERROR;
    }
    server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signals < 0 ? STATUS_IO_ERROR : STATUS_OK;
}

/* The next signal, or 0 when none has come within timeout_ms. */
static int signal_wait(const struct server *server, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = server->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&poll_fd, 1, timeout_ms) <= 0 ||
        read(server->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return 0;
    }
    return (int)info.ssi_signo;
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

static enum status sockets_open(struct server *server, struct settings_problem *problem)
{
    struct ring_failure failure = {.text = ""};
    enum status status = listen_parse(server->settings.http.text, &server->address, &failure);
    if (status == STATUS_OK) {
        status = listen_open(&server->address, server->thread_count, server->sockets, &failure);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "http %s: %s", server->settings.http.text, failure.text);
    }
    return status;
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
        int number =
            signal_wait(server, clock_monotonic_ns() - began_ns < SETTING_S ? 1 : REPLAY_POLL_MS);
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

static void probe_log(void *context, struct bytes lines)
{
    log_lines(((struct server *)context)->log, lines);
}

static struct http_options http_options_of(const struct server *server)
{
    const struct settings *settings = &server->settings;
    uint64_t connections =
        (settings->connections_max + server->thread_count - 1) / server->thread_count;
    return (struct http_options){
        .connections_max = (uint32_t)connections,
        .pipelined_max = PIPELINED_MAX,
        .head_bytes_max = (uint32_t)settings->head_bytes_max,
        .body_bytes_max = DOCUMENT_JSON_BYTES_MAX,
        .head_timeout_ns = settings->head_timeout,
        .body_timeout_ns = settings->body_timeout,
        .idle_timeout_ns = settings->idle_timeout,
        .send_timeout_ns = settings->send_timeout,
    };
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
                  .log = probe_log},
        .metrics = server->metrics,
        .seed = server->seed,
        .access_log = settings->access_log != 0,
    };
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
    if (getrandom(&server->seed, sizeof(server->seed), 0) != (ssize_t)sizeof(server->seed)) {
        status = STATUS_IO_ERROR;
    }
    for (uint32_t i = 0; i < server->loop_count && status == STATUS_OK; i++) {
        const struct loop_options options = {
            .index = i,
            .engine = server->storage.engine,
            .writes_journal = i == server->loop_count - 1,
            .ring = server->rings[i],
            .listening_fd = i < server->thread_count ? server->sockets[i] : -1,
            .http = http_options_of(server),
            .rest = rest_options_of(server),
        };
        status = loop_create(&options, &server->loops[i]);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "threads: %s", status_text(status));
    }
    return status;
}

static void loops_command(struct server *server, enum loop_command command)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_command(server->loops[i], command);
    }
}

/* What is in the journal is safe; whatever else there was can be given up. The threads still run,
 * and may write to the log. */
_Noreturn static void end_at_once(struct server *server, const char *why)
{
    log_event(server->log, LOG_WARNING, why, NULL, 0);
    (void)log_flush(server->log);
    _exit(EXIT_FAILED);
}

static enum status loops_start(struct server *server, struct settings_problem *problem)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        enum status status = loop_start(server->loops[i]);
        if (status != STATUS_OK && i > 0) {
            /* Those before it may have clients already: there is no way back that closes all. */
            end_at_once(server, "not all threads can be started: raise the limit of processes");
        }
        if (status != STATUS_OK) {
            settings_problem_set(problem, "thread %u cannot be started: %s", i,
                                 status_text(status));
            return status;
        }
    }
    return STATUS_OK;
}

/* ---- opening and closing all of it ---- */

static enum status server_open(struct server *server, struct settings_problem *problem)
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
    if (status == STATUS_OK) {
        status = loops_create(server, problem);
    }
    return status == STATUS_OK ? loops_start(server, problem) : status;
}

/* No thread runs, or all is drained and they have been told to stop: nothing is in flight on any
 * ring. */
static void server_close(struct server *server)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (server->loops[i] != NULL) {
            loop_join(server->loops[i]);
        }
    }
    store_pool_destroy(&server->pool);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_destroy(&server->loops[i]);
    }
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
    }
    metrics_destroy(&server->metrics);
    data_folder_close(&server->folder);
}

static void ready_print(const struct server *server)
{
    char http[LISTEN_ADDRESS_BYTES_MAX];
    listen_format(&server->address, http);
    const struct journal *journal = server->storage.journal;
    const struct position position = {
        .store_id = journal->store_id,
        .epoch = journal->epoch,
        .sequence = engine_published(server->storage.engine),
    };
    uint8_t text[POSITION_TEXT_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    position_write(&position, &writer);
    ASSERT(!writer.failed);
    printf(
        "{\"event\":\"ready\",\"http\":\"%s\",\"pid\":%ld,\"threads\":%u,\"position\":\"%.*s\"}\n",
        http, (long)getpid(), server->thread_count, (int)writer.size, (const char *)text);
    fflush(stdout);
}

static void start_warn(const struct server *server)
{
    const struct settings *settings = &server->settings;
    uint32_t shards = server->folder.manifest.shard_count;
    if (server->thread_count > shards) {
        log_say(server->log, LOG_WARNING,
                "more threads than shards: some only answer from the cache",
                LOG_NUMBER("threads", server->thread_count), LOG_NUMBER("shards", shards));
    }
    if (settings->shards > 0 && settings->shards != shards) {
        log_say(server->log, LOG_WARNING, "the data folder keeps the shards it was made with",
                LOG_NUMBER("asked", settings->shards), LOG_NUMBER("shards", shards));
    }
}

/* ---- the end ---- */

static bool all_drained(const struct server *server)
{
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
        int number = signal_wait(server, DRAIN_POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            end_at_once(server,
                        "a second signal: ended at once; the next start replays the journal");
        }
        if (clock_monotonic_ns() >= deadline_ns) {
            return false;
        }
        loops_command(server, command);
    }
    return true;
}

static bool engine_is_drained(const struct server *server)
{
    return engine_drained(server->storage.engine);
}

/* From here on clients are refused at once, instead of waiting for an accept that never comes. */
static void sockets_refuse(const struct server *server)
{
    for (uint32_t i = 0; i < server->thread_count; i++) {
        (void)shutdown(server->sockets[i], SHUT_RDWR);
    }
}

static int server_stop(struct server *server)
{
    uint64_t began_ns = clock_monotonic_ns();
    uint64_t deadline_ns = began_ns + server->settings.shutdown_timeout;
    /* Clients get most of the time; flushing has the rest. */
    uint64_t cut_ns = began_ns + server->settings.shutdown_timeout / 4 * 3;
    log_event(server->log, LOG_INFO, "stopping", NULL, 0);
    atomic_store(&server->draining, true);
    loops_command(server, LOOP_DRAIN);
    sockets_refuse(server);
    if (!drain_wait(server, LOOP_DRAIN, cut_ns, all_drained)) {
        log_event(server->log, LOG_WARNING, "connections that did not end are closed", NULL, 0);
        loops_command(server, LOOP_FORCE);
    }
    if (!drain_wait(server, LOOP_FORCE, deadline_ns, all_drained)) {
        end_at_once(server, "shutdown_timeout: requests were still in flight");
    }
    engine_drain(server->storage.engine);
    if (!drain_wait(server, LOOP_FORCE, deadline_ns, engine_is_drained)) {
        end_at_once(server, "shutdown_timeout: records were still being written to files; the next "
                            "start replays the journal");
    }
    loops_command(server, LOOP_STOP);
    server_close(server);
    log_say(server->log, LOG_INFO, "stopped",
            LOG_NUMBER("milliseconds", (clock_monotonic_ns() - began_ns) / SETTING_MS));
    return EXIT_CLEAN;
}

static bool any_loop_failed(const struct server *server)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (loop_has_failed(server->loops[i])) {
            return true;
        }
    }
    return false;
}

/* The file, then the environment, then the command line. */
static enum status settings_gather(struct server *server, struct settings *settings,
                                   struct config *config, struct settings_problem *problem)
{
    settings_defaults(settings);
    enum status status = config_load(server->said.config, settings, config, problem);
    if (status == STATUS_OK) {
        status = settings_environment(settings, environ, problem);
    }
    if (status == STATUS_OK) {
        struct settings_arguments again;
        status =
            settings_flags(settings, server->argument_count, server->arguments, &again, problem);
    }
    if (status == STATUS_OK) {
        status = settings_check(settings, problem);
    }
    if (status != STATUS_OK) {
        config_deinit(config);
    }
    return status;
}

static void loops_change(struct server *server)
{
    const struct settings *settings = &server->settings;
    struct loop_change change = {
        .timeouts = {.head_ns = settings->head_timeout,
                     .body_ns = settings->body_timeout,
                     .idle_ns = settings->idle_timeout,
                     .send_ns = settings->send_timeout},
        .unauthorized_invalidation = (enum rest_invalidation)settings->unauthorized_invalidation,
        .access_log = settings->access_log != 0,
    };
    static_assert(sizeof(change.cors_origin) >= SETTING_TEXT_BYTES_MAX, "a setting fits");
    static_assert(sizeof(change.cache_control) >= SETTING_TEXT_BYTES_MAX, "a setting fits");
    memcpy(change.cors_origin, settings->cors_origin.text, SETTING_TEXT_BYTES_MAX);
    memcpy(change.cache_control, settings->cache_control.text, SETTING_TEXT_BYTES_MAX);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        if (loop_change(server->loops[i], &change) != STATUS_OK) {
            log_say(server->log, LOG_ERROR, "no memory to change a thread's settings",
                    LOG_NUMBER("thread", i));
        }
    }
}

static void server_reload(struct server *server)
{
    struct settings fresh;
    struct config config;
    struct settings_problem problem = {.text = ""};
    if (settings_gather(server, &fresh, &config, &problem) != STATUS_OK) {
        log_say(server->log, LOG_ERROR, "SIGHUP: nothing was changed",
                LOG_TEXT("problem", problem.text));
        return;
    }
    reload_settings(&server->settings, &fresh, server->log);
    reload_collections(&server->config, &config, server->log);
    config_deinit(&config);
    log_level_set(server->log, (enum log_level)server->settings.log_level);
    loops_change(server);
    log_event(server->log, LOG_INFO, "configuration read again", NULL, 0);
}

static int server_run(struct server *server)
{
    atomic_store(&server->ready, true);
    ready_print(server);
    struct watch watch = {.said = {.journal_read_only = false}};
    for (;;) {
        int number = signal_wait(server, WATCH_MS);
        if (number == SIGTERM || number == SIGINT) {
            return server_stop(server);
        }
        if (number == SIGHUP) {
            server_reload(server);
        }
        struct engine_health health;
        engine_health_read(server->storage.engine, &health);
        watch_step(&watch, &health, server->log);
        if (any_loop_failed(server)) {
            end_at_once(server,
                        "a thread's ring failed; nothing acknowledged is lost, start again");
        }
    }
}

/* ---- the command ---- */

static int serve_refuse(struct server *server, const struct settings_problem *problem, int code)
{
    fprintf(stderr, "freshet: %s\n", problem->text);
    config_deinit(&server->config);
    log_destroy(&server->log);
    return code;
}

static int serve_opened(struct server *server)
{
    struct settings_problem problem = {.text = ""};
    descriptors_raise(server);
    if (server_open(server, &problem) != STATUS_OK) {
        server_close(server);
        return serve_refuse(server, &problem, EXIT_FAILED);
    }
    start_warn(server);
    int code = server_run(server);
    config_deinit(&server->config);
    log_destroy(&server->log);
    return code;
}

static int serve(struct server *server)
{
    struct settings_problem problem = {.text = ""};
    if (settings_flags(NULL, server->argument_count, server->arguments, &server->said, &problem) !=
        STATUS_OK) {
        return serve_refuse(server, &problem, EXIT_USAGE);
    }
    if (server->said.help) {
        help_serve(stdout);
        return EXIT_CLEAN;
    }
    if (settings_gather(server, &server->settings, &server->config, &problem) != STATUS_OK) {
        return serve_refuse(server, &problem, EXIT_USAGE);
    }
    if (signals_take(server) != STATUS_OK ||
        log_create(STDERR_FILENO, (enum log_level)server->settings.log_level, &server->log) !=
            STATUS_OK) {
        settings_problem_set(&problem, "cannot start: %s", strerror(errno));
        return serve_refuse(server, &problem, EXIT_FAILED);
    }
    return serve_opened(server);
}

int command_serve(int count, char *const *words)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        fprintf(stderr, "freshet: %s\n", status_text(STATUS_NO_MEMORY));
        return EXIT_FAILED;
    }
    server->argument_count = count;
    server->arguments = words;
    server->folder.lock = -1;
    memset(server->sockets, -1, sizeof(server->sockets));
    int code = serve(server);
    free(server);
    return code;
}
