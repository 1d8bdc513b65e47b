#include "net/server/serve.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/server/clock.h"
#include "net/server/help.h"
#include "net/server/reload.h"
#include "net/server/serve_internal.h"
#include "net/server/watch.h"
#include "protocol/base/assert.h"

/* How often the main thread looks whether a thread has failed. */
#define WATCH_MS      1000
#define RULES_POLL_MS 1

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
    /* Both come as errors of the write as well, and those have an answer. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
        return STATUS_IO_ERROR;
    }
    server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signals < 0 ? STATUS_IO_ERROR : STATUS_OK;
}

int serve_signal_wait(const struct server *server, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = server->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&poll_fd, 1, timeout_ms) <= 0 ||
        read(server->signals, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return 0;
    }
    return (int)info.ssi_signo;
}

void serve_loops_command(struct server *server, enum loop_command command)
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_command(server->loops[i], command);
    }
}

_Noreturn void serve_end_at_once(struct server *server, const char *why)
{
    log_event(server->log, LOG_WARNING, why, NULL, 0);
    (void)log_flush(server->log);
    _exit(EXIT_FAILED);
}

static void ready_print(const struct server *server)
{
    char http[LISTEN_ADDRESS_BYTES_MAX];
    char wire[LISTEN_ADDRESS_BYTES_MAX] = "";
    bool has_wire = server->wire_sockets[0] >= 0;
    listen_format(&server->address, http);
    if (has_wire) {
        listen_format(&server->wire_address, wire);
    }
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
    printf("{\"event\":\"ready\",\"http\":\"%s\",%s%s%s\"pid\":%ld,\"threads\":%u,"
           "\"position\":\"%.*s\"}\n",
           http, has_wire ? "\"wire\":\"" : "", wire, has_wire ? "\"," : "", (long)getpid(),
           server->thread_count, (int)writer.size, (const char *)text);
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
    reload_rules(&server->config, &config, server->log);
    config_deinit(&config);
    log_level_set(server->log, (enum log_level)server->settings.log_level);
    loops_change(server);
    log_event(server->log, LOG_INFO, "configuration read again", NULL, 0);
}

/* Whoever writes after the ready line finds the rules of the file at work. True: a signal has come
 * to end it all. */
static bool rules_await(const struct server *server)
{
    while (!worker_rules_are_put(server->worker) && !any_loop_failed(server)) {
        int number = serve_signal_wait(server, RULES_POLL_MS);
        if (number == SIGTERM || number == SIGINT) {
            return true;
        }
    }
    return false;
}

static int server_run(struct server *server)
{
    if (rules_await(server)) {
        return server_stop(server);
    }
    atomic_store(&server->ready, true);
    ready_print(server);
    struct watch watch = {.said = {.journal_read_only = false}};
    for (;;) {
        int number = serve_signal_wait(server, WATCH_MS);
        /* Before the end, too: what failed in the last second is to be in the log. */
        struct engine_health health;
        engine_health_read(server->storage.engine, &health);
        watch_step(&watch, &health, server->log);
        if (number == SIGTERM || number == SIGINT) {
            return server_stop(server);
        }
        if (number == SIGHUP) {
            server_reload(server);
        }
        if (any_loop_failed(server)) {
            serve_end_at_once(server,
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
    memset(server->wire_sockets, -1, sizeof(server->wire_sockets));
    int code = serve(server);
    free(server);
    return code;
}
