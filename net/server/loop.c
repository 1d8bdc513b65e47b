#include "net/server/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/server/clock.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

/* How often a thread notes what it has used, while it runs at all. */
#define BUSY_SAMPLE_NS 100000000ull

struct loop {
    struct loop_options options;
    struct waker waker;
    struct ring *ring;
    struct http_server *http;
    struct rest *rest;
    struct engine_thread *engine_thread;
    pthread_t thread;
    bool started;
    enum loop_command followed; /* the last command that was carried out */
    uint64_t busy_sampled_ns;
    _Atomic int command; /* enum loop_command */
    _Atomic bool drained;
    _Atomic bool failed;
    _Atomic uint64_t cpu_ns;
    _Atomic uint64_t elapsed_ns;
    uint64_t began_ns;
};

static void loop_wake(struct waker *waker)
{
    ring_wake(CONTAINER_OF(waker, struct loop, waker)->ring);
}

static enum status serving_create(struct loop *loop)
{
    struct rest_options rest = loop->options.rest;
    rest.engine = loop->options.engine;
    rest.engine_thread = loop->engine_thread;
    rest.thread_index = loop->options.index;
    enum status status = rest_create(&rest, &loop->rest);
    if (status != STATUS_OK) {
        return status;
    }
    struct http_options http = loop->options.http;
    http.handle = rest_handle;
    http.refuse = rest_refuse;
    http.finished = rest_finished;
    http.context = loop->rest;
    status = http_server_create(&http, loop->ring, &loop->http);
    if (status == STATUS_OK && loop->options.listening_fd >= 0) {
        status = http_server_accept(loop->http, loop->options.listening_fd);
    }
    return status;
}

enum status loop_create(const struct loop_options *options, struct loop **out)
{
    *out = NULL;
    ASSERT(options->engine != NULL);
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return STATUS_NO_MEMORY;
    }
    loop->options = *options;
    loop->waker.wake = loop_wake;
    loop->ring = options->ring;
    enum status status = STATUS_OK;
    if (options->listening_fd >= 0) {
        loop->engine_thread = engine_thread_at(options->engine, options->index);
        engine_thread_attach(loop->engine_thread, &loop->waker);
        status = serving_create(loop);
    }
    if (status != STATUS_OK) {
        loop_destroy(&loop);
        return status;
    }
    *out = loop;
    return STATUS_OK;
}

/* ---- the thread ---- */

static void command_follow(struct loop *loop)
{
    enum loop_command command = (enum loop_command)atomic_load(&loop->command);
    if (command == loop->followed) {
        return;
    }
    loop->followed = command;
    if (loop->http != NULL && (command == LOOP_DRAIN || command == LOOP_FORCE)) {
        http_server_drain(loop->http, command == LOOP_FORCE);
    }
}

static void drained_note(struct loop *loop)
{
    if (loop->followed == LOOP_RUN) {
        return;
    }
    bool drained = loop->http == NULL ||
                   (http_server_drained(loop->http) && http_server_unanswered(loop->http) == 0 &&
                    engine_thread_pending(loop->engine_thread) == 0);
    atomic_store(&loop->drained, drained);
}

static void busy_note(struct loop *loop, uint64_t now_ns)
{
    if (now_ns - loop->busy_sampled_ns < BUSY_SAMPLE_NS) {
        return;
    }
    loop->busy_sampled_ns = now_ns;
    atomic_store_explicit(&loop->cpu_ns, clock_thread_cpu_ns(), memory_order_relaxed);
    atomic_store_explicit(&loop->elapsed_ns, now_ns - loop->began_ns, memory_order_relaxed);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Everything but waiting; the time at which it wants to run again though nothing happens. */
static uint64_t loop_turn(struct loop *loop)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t wall_ms = clock_wall_ms();
    uint64_t deadline = UINT64_MAX;
    if (loop->http != NULL) {
        http_server_begin(loop->http, now_ns);
        rest_turn(loop->rest, now_ns, wall_ms);
    }
    ring_dispatch(loop->ring);
    command_follow(loop);
    if (loop->engine_thread != NULL) {
        deadline = engine_thread_step(loop->engine_thread, now_ns, wall_ms);
    }
    if (loop->options.writes_journal) {
        deadline = earlier(deadline, engine_journal_step(loop->options.engine, now_ns, wall_ms));
    }
    if (loop->http != NULL) {
        rest_turn_end(loop->rest);
        deadline = earlier(deadline, http_server_step(loop->http));
    }
    drained_note(loop);
    busy_note(loop, now_ns);
    return deadline <= now_ns ? 0 : deadline;
}

static uint64_t loop_timeout(uint64_t deadline)
{
    if (deadline == 0 || deadline == UINT64_MAX) {
        return deadline;
    }
    uint64_t now_ns = clock_monotonic_ns();
    return deadline <= now_ns ? 0 : deadline - now_ns;
}

/* Whoever posts here rings only a thread that has said that it sleeps. */
static bool sleep_begin(struct loop *loop)
{
    if (loop->engine_thread != NULL) {
        return engine_thread_sleep_begin(loop->engine_thread);
    }
    return mailbox_sleep_begin(&engine_journal(loop->options.engine)->inbox);
}

static void sleep_end(struct loop *loop)
{
    if (loop->engine_thread != NULL) {
        engine_thread_sleep_end(loop->engine_thread);
    } else {
        mailbox_sleep_end(&engine_journal(loop->options.engine)->inbox);
    }
}

static void *loop_run(void *argument)
{
    struct loop *loop = argument;
    struct ring_failure failure;
    loop->began_ns = clock_monotonic_ns();
    enum status status = ring_start(loop->ring, &failure);
    while (status == STATUS_OK && atomic_load(&loop->command) != LOOP_STOP) {
        uint64_t timeout_ns = loop_timeout(loop_turn(loop));
        bool sleeps = timeout_ns > 0 && sleep_begin(loop);
        status = ring_wait(loop->ring, sleeps ? timeout_ns : 0);
        if (sleeps) {
            sleep_end(loop);
        }
    }
    if (status != STATUS_OK) {
        fprintf(stderr, "freshet: thread %u: the ring failed: %s\n", loop->options.index,
                status_text(status));
        atomic_store(&loop->failed, true);
    }
    return NULL;
}

/* ---- for the main thread ---- */

enum status loop_start(struct loop *loop)
{
    ASSERT(!loop->started);
    if (pthread_create(&loop->thread, NULL, loop_run, loop) != 0) {
        return STATUS_NO_MEMORY;
    }
    loop->started = true;
    char name[16];
    snprintf(name, sizeof(name), loop->http == NULL ? "journal" : "shards-%u", loop->options.index);
    pthread_setname_np(loop->thread, name);
    return STATUS_OK;
}

void loop_command(struct loop *loop, enum loop_command command)
{
    atomic_store(&loop->command, (int)command);
    ring_wake(loop->ring);
}

bool loop_is_drained(const struct loop *loop)
{
    return atomic_load(&loop->drained);
}

bool loop_has_failed(const struct loop *loop)
{
    return atomic_load(&loop->failed);
}

void loop_join(struct loop *loop)
{
    if (loop->started) {
        pthread_join(loop->thread, NULL);
        loop->started = false;
    }
}

void loop_destroy(struct loop **loop_at)
{
    struct loop *loop = *loop_at;
    if (loop == NULL) {
        return;
    }
    ASSERT(!loop->started);
    http_server_destroy(&loop->http);
    rest_destroy(&loop->rest);
    free(loop);
    *loop_at = NULL;
}

struct waker *loop_waker(struct loop *loop)
{
    return &loop->waker;
}

struct rest *loop_rest(struct loop *loop)
{
    return loop->rest;
}

const struct http_statistics *loop_http_statistics(const struct loop *loop)
{
    return http_server_statistics(loop->http);
}

void loop_busy(const struct loop *loop, uint64_t *cpu_ns_out, uint64_t *elapsed_ns_out)
{
    *cpu_ns_out = atomic_load_explicit(&loop->cpu_ns, memory_order_relaxed);
    *elapsed_ns_out = atomic_load_explicit(&loop->elapsed_ns, memory_order_relaxed);
}
