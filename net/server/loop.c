#include "net/server/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/server/clock.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"
#include "protocol/base/relax.h"

/* Between two looks at the clock. */
#define POLL_LOOKS 16
/* How often a thread notes what it has used, while it runs at all. */
#define NOTE_NS 100000000ull

struct loop {
    struct loop_options options;
    struct waker waker;
    struct ring *ring;
    struct http_server *http;
    struct wire_server *wire; /* NULL: it is not served */
    struct rest *rest;
    struct engine_thread *engine_thread;
    struct stream *stream;
    struct consumers *consumers;
    struct journal *journal; /* NULL: another thread writes it */
    struct metrics_thread *metrics;
    pthread_t thread;
    bool started;
    enum loop_command followed; /* the last command that was carried out */
    uint64_t noted_ns;
    uint64_t began_ns;
    uint64_t turns;
    _Atomic int command;                  /* enum loop_command */
    _Atomic(struct loop_change *) change; /* on its way; whoever exchanges it frees it */
    _Atomic bool drained;
    _Atomic bool failed;
};

static void loop_wake(struct waker *waker)
{
    ring_wake(CONTAINER_OF(waker, struct loop, waker)->ring);
}

static enum status following_create(struct loop *loop)
{
    const struct loop_options *options = &loop->options;
    const struct stream_options stream = {
        .engine = options->engine,
        .engine_thread = loop->engine_thread,
        .executor = options->executor,
        .subscriptions_max = options->subscriptions_max,
    };
    enum status status = stream_create(&stream, &loop->stream);
    if (status != STATUS_OK) {
        return status;
    }
    const struct consumers_options consumers = {
        .engine = options->engine,
        .engine_thread = loop->engine_thread,
        .thread_index = options->index,
        .executor = options->executor,
        .collection = &options->rest.internal[COLLECTION_CONSUMERS],
        .all = options->all_consumers,
        .thread_count = options->thread_count,
        .lease_ns = options->consumer_lease_ns,
    };
    status = consumers_create(&consumers, &loop->consumers);
    options->all_consumers[options->index] = loop->consumers;
    return status;
}

static enum status wire_create(struct loop *loop)
{
    struct wire_options options = loop->options.wire;
    if (loop->options.wire_fd < 0) {
        return STATUS_OK;
    }
    options.engine = loop->options.engine;
    options.engine_thread = loop->engine_thread;
    options.thread_index = loop->options.index;
    options.stream = loop->stream;
    options.consumers = loop->consumers;
    options.metrics_text = rest_metrics_text;
    options.metrics_context = loop->rest;
    enum status status = wire_server_create(&options, loop->ring, &loop->wire);
    return status == STATUS_OK ? wire_server_accept(loop->wire, loop->options.wire_fd) : status;
}

static enum status serving_create(struct loop *loop)
{
    struct rest_options rest = loop->options.rest;
    enum status status = following_create(loop);
    if (status != STATUS_OK) {
        return status;
    }
    rest.engine = loop->options.engine;
    rest.engine_thread = loop->engine_thread;
    rest.thread_index = loop->options.index;
    rest.stream = loop->stream;
    rest.consumers = loop->consumers;
    status = rest_create(&rest, &loop->rest);
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
    return status == STATUS_OK ? wire_create(loop) : status;
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
    loop->journal = options->writes_journal ? engine_journal(options->engine) : NULL;
    enum status status = STATUS_OK;
    if (options->listening_fd >= 0) {
        loop->metrics = options->rest.metrics == NULL
                            ? NULL
                            : metrics_thread_at(options->rest.metrics, options->index);
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
        if (loop->wire != NULL) {
            wire_server_drain(loop->wire, command == LOOP_FORCE);
        }
    }
}

static void change_follow(struct loop *loop)
{
    if (atomic_load_explicit(&loop->change, memory_order_relaxed) == NULL) {
        return;
    }
    struct loop_change *change = atomic_exchange(&loop->change, NULL);
    if (change != NULL && loop->http != NULL) {
        http_server_timeouts_set(loop->http, &change->timeouts);
        if (loop->wire != NULL) {
            const struct wire_timeouts timeouts = {.hello_ns = change->timeouts.head_ns,
                                                   .frame_ns = change->timeouts.body_ns,
                                                   .send_ns = change->timeouts.send_ns};
            wire_server_timeouts_set(loop->wire, &timeouts);
        }
        rest_access_log_set(loop->rest, change->access_log);
        enum status status = rest_headers_set(loop->rest, bytes_of_text(change->cors_origin),
                                              bytes_of_text(change->cache_control),
                                              change->unauthorized_invalidation);
        ASSERT(status == STATUS_OK);
    }
    free(change);
}

static void drained_note(struct loop *loop)
{
    if (loop->followed == LOOP_RUN) {
        return;
    }
    bool drained = loop->http == NULL ||
                   (http_server_drained(loop->http) && http_server_unanswered(loop->http) == 0 &&
                    (loop->wire == NULL || wire_server_drained(loop->wire)) &&
                    consumers_idle(loop->consumers) && stream_idle(loop->stream) &&
                    engine_thread_pending(loop->engine_thread) == 0);
    atomic_store(&loop->drained, drained);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* What the thread has used and done so far, for scrapes. */
static void loop_note(struct loop *loop, uint64_t now_ns)
{
    loop->turns++;
    if (loop->metrics == NULL || now_ns - loop->noted_ns < NOTE_NS) {
        return;
    }
    loop->noted_ns = now_ns;
    uint64_t cpu_ns = clock_thread_cpu_ns();
    uint64_t elapsed_ns = now_ns - loop->began_ns;
    const struct http_statistics *http = http_server_statistics(loop->http);
    const struct metrics_loop noted = {
        .turns = loop->turns,
        .busy_ns = cpu_ns,
        .idle_ns = elapsed_ns > cpu_ns ? elapsed_ns - cpu_ns : 0,
        .connections = load(&http->connections_open),
        .connections_accepted = load(&http->connections_accepted),
        .connections_refused = load(&http->connections_refused),
        .received_bytes = load(&http->bytes_in),
        .memory_bytes = load(&http->memory_bytes),
        .streams = load(&http->streams_open),
        .streams_bytes = load(&http->streams_bytes),
        .timeouts = {[METRICS_TIMEOUT_HEAD] = load(&http->timeouts_head),
                     [METRICS_TIMEOUT_BODY] = load(&http->timeouts_body),
                     [METRICS_TIMEOUT_IDLE] = load(&http->timeouts_idle),
                     [METRICS_TIMEOUT_SEND] = load(&http->timeouts_send)},
    };
    metrics_loop_set(loop->metrics, &noted);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Sending may let waiting requests in. Whatever went to the engine since its step (pending, then)
 * needs one more step, whose bells it also waits for: requests of those, of consumers and of pages,
 * slices of snapshots. */
static uint64_t answers_send(struct loop *loop, uint64_t pending)
{
    uint64_t deadline = http_server_step(loop->http);
    if (loop->wire != NULL) {
        deadline = earlier(deadline, wire_server_step(loop->wire));
    }
    rest_turn_end(loop->rest);
    return engine_thread_pending(loop->engine_thread) > pending ? 0 : deadline;
}

/*
 * Everything but waiting; the time at which it wants to run again though nothing happens (0: at
 * once).
 *
 * A journal that waits for its disk comes after the engine, so that its next batch has what this
 * turn's requests wrote; what it completes is applied in the next turn, while the disk already
 * writes that batch. One that commits at once comes before: a write is taken, applied and answered
 * in one turn.
 */
static uint64_t loop_turn(struct loop *loop)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t wall_ms = clock_wall_ms();
    uint64_t deadline = UINT64_MAX;
    uint64_t pending = 0;
    if (loop->engine_thread != NULL) {
        engine_thread_begin(loop->engine_thread, now_ns, wall_ms);
    }
    if (loop->http != NULL) {
        http_server_begin(loop->http, now_ns);
        rest_turn(loop->rest, now_ns, wall_ms);
    }
    if (loop->wire != NULL) {
        wire_server_begin(loop->wire, now_ns, wall_ms);
    }
    if (loop->engine_thread != NULL) {
        engine_writes_hold(loop->engine_thread);
    }
    ring_dispatch(loop->ring);
    if (loop->http != NULL) {
        rest_dispatched(loop->rest);
    }
    if (loop->wire != NULL) {
        wire_server_dispatched(loop->wire);
    }
    if (loop->engine_thread != NULL) {
        engine_writes_release(loop->engine_thread);
    }
    command_follow(loop);
    change_follow(loop);
    bool journal_first = loop->journal != NULL && loop->journal->commits_at_once;
    if (journal_first) {
        deadline = engine_journal_step(loop->options.engine, now_ns, wall_ms);
    }
    if (loop->engine_thread != NULL) {
        deadline = earlier(deadline, engine_thread_step(loop->engine_thread, now_ns, wall_ms));
        pending = engine_thread_pending(loop->engine_thread);
        deadline = earlier(deadline, consumers_step(loop->consumers, now_ns, wall_ms));
        deadline = earlier(deadline, stream_step(loop->stream, now_ns, wall_ms));
        deadline = earlier(deadline, rest_step(loop->rest));
    }
    if (loop->journal != NULL && !journal_first) {
        deadline = earlier(deadline, engine_journal_step(loop->options.engine, now_ns, wall_ms));
    }
    if (loop->http != NULL) {
        deadline = earlier(deadline, answers_send(loop, pending));
    }
    drained_note(loop);
    loop_note(loop, now_ns);
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

/* Whoever posts from here on rings. False: something has been posted meanwhile. */
static bool sleep_begin(struct loop *loop)
{
    if (loop->engine_thread != NULL && !engine_thread_sleep_begin(loop->engine_thread)) {
        return false;
    }
    if (loop->journal != NULL && !mailbox_sleep_begin(&loop->journal->inbox)) {
        if (loop->engine_thread != NULL) {
            engine_thread_sleep_end(loop->engine_thread);
        }
        return false;
    }
    return true;
}

static void sleep_end(struct loop *loop)
{
    if (loop->engine_thread != NULL) {
        engine_thread_sleep_end(loop->engine_thread);
    }
    if (loop->journal != NULL) {
        mailbox_sleep_end(&loop->journal->inbox);
    }
}

static bool has_work(const struct loop *loop)
{
    return ring_has_work(loop->ring) ||
           (loop->engine_thread != NULL && engine_thread_has_work(loop->engine_thread)) ||
           (loop->journal != NULL && mailbox_has_mail(&loop->journal->inbox));
}

/*
 * Looks for work for a while. A thread that sleeps has to be woken, which takes tens of
 * microseconds on both sides, and comes back to cold caches; whoever asks for `poll` pays for that
 * with the CPU of an idle thread. False: it may sleep.
 */
static bool work_came(struct loop *loop, uint64_t timeout_ns)
{
    uint64_t begin_ns = clock_monotonic_ns();
    uint64_t poll_ns = earlier(loop->options.poll_ns, timeout_ns);
    do {
        for (uint32_t looks = 0; looks < POLL_LOOKS; looks++) {
            if (has_work(loop)) {
                return true;
            }
            cpu_relax();
        }
    } while (clock_monotonic_ns() - begin_ns < poll_ns);
    return false;
}

/* Sends what the turn has queued, and waits. */
static enum status loop_wait(struct loop *loop, uint64_t timeout_ns)
{
    enum status status = STATUS_OK;
    if (timeout_ns > 0 && loop->options.poll_ns > 0) {
        status = ring_wait(loop->ring, 0);
        if (status != STATUS_OK || work_came(loop, timeout_ns)) {
            return status != STATUS_OK ? status : ring_wait(loop->ring, 0);
        }
    }
    if (timeout_ns > 0 && sleep_begin(loop)) {
        status = ring_wait(loop->ring, timeout_ns);
        sleep_end(loop);
        return status;
    }
    return ring_wait(loop->ring, 0);
}

static void *loop_run(void *argument)
{
    struct loop *loop = argument;
    struct ring_failure failure;
    loop->began_ns = clock_monotonic_ns();
    enum status status = ring_start(loop->ring, &failure);
    while (status == STATUS_OK && atomic_load(&loop->command) != LOOP_STOP) {
        status = loop_wait(loop, loop_timeout(loop_turn(loop)));
    }
    if (status != STATUS_OK) {
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

enum status loop_change(struct loop *loop, const struct loop_change *change)
{
    struct loop_change *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return STATUS_NO_MEMORY;
    }
    *copy = *change;
    free(atomic_exchange(&loop->change, copy));
    ring_wake(loop->ring);
    return STATUS_OK;
}

bool loop_is_drained(const struct loop *loop)
{
    return atomic_load(&loop->drained);
}

bool loop_has_failed(const struct loop *loop)
{
    return atomic_load(&loop->failed);
}

const struct stream_statistics *loop_stream_statistics(const struct loop *loop)
{
    return loop->stream == NULL ? NULL : stream_statistics(loop->stream);
}

const struct wire_statistics *loop_wire_statistics(const struct loop *loop)
{
    return loop->wire == NULL ? NULL : wire_server_statistics(loop->wire);
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
    wire_server_destroy(&loop->wire);
    http_server_destroy(&loop->http);
    rest_destroy(&loop->rest);
    consumers_destroy(&loop->consumers);
    stream_destroy(&loop->stream);
    free(atomic_load(&loop->change));
    free(loop);
    *loop_at = NULL;
}
