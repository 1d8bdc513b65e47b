#include "net/server/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "net/server/clock.h"
#include "net/server/rules_put.h"
#include "net/webhook/webhook_calls.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"

struct worker {
    struct worker_options options;
    struct waker waker;
    struct engine_thread *engine_thread;
    struct stream *stream;
    struct calls *calls;
    struct webhooks *webhooks;
    struct rules_put *rules_put;
    pthread_t thread;
    bool started;
    enum worker_command followed; /* the last command that was carried out */
    _Atomic int command;          /* enum worker_command */
    _Atomic bool rules_are_put;
    _Atomic bool drained;
};

static void worker_wake(struct waker *waker)
{
    calls_wake(CONTAINER_OF(waker, struct worker, waker)->calls);
}

static void worker_log(void *context, int level, const char *text)
{
    struct worker *worker = context;
    if (worker->options.log != NULL) {
        log_event(worker->options.log, (enum log_level)level, text, NULL, 0);
    }
}

static enum status parts_create(struct worker *worker, struct settings_problem *problem)
{
    const struct worker_options *options = &worker->options;
    char words[TEMPLATE_PROBLEM_BYTES] = "";
    enum status status = calls_create(options->allow, &worker->calls, words);
    if (status != STATUS_OK) {
        settings_problem_set(problem, "webhook_allow: %s", words);
        return status;
    }
    const struct stream_options stream = {
        .engine = options->engine,
        .engine_thread = worker->engine_thread,
        .executor = options->executor,
        /* One for each rule, and one that follows the rules themselves. */
        .subscriptions_max = RULES_MAX + 1,
    };
    status = stream_create(&stream, &worker->stream);
    const struct webhooks_options webhooks = {
        .engine = options->engine,
        .engine_thread = worker->engine_thread,
        .stream = worker->stream,
        .internal = options->internal,
        .collections = options->collections,
        .collection_count = options->collection_count,
        .calls = worker->calls,
        .seed = options->seed,
        .log = worker_log,
        .log_context = worker,
    };
    if (status == STATUS_OK) {
        status = webhooks_create(&webhooks, &worker->webhooks);
    }
    const struct rules_put_options rules = {
        .engine_thread = worker->engine_thread,
        .internal = options->internal,
        .rules = options->rules,
        .rule_count = options->rule_count,
        .log = options->log,
    };
    if (status == STATUS_OK) {
        status = rules_put_create(&rules, &worker->rules_put);
    }
    if (status != STATUS_OK) {
        settings_problem_set(problem, "There is no memory for the worker that runs the rules");
    }
    return status;
}

enum status worker_create(const struct worker_options *options, struct worker **out,
                          struct settings_problem *problem)
{
    ASSERT(options->engine != NULL);
    ASSERT(options->internal != NULL);
    *out = NULL;
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        settings_problem_set(problem, "There is no memory for the worker that runs the rules");
        return STATUS_NO_MEMORY;
    }
    worker->options = *options;
    worker->waker.wake = worker_wake;
    worker->engine_thread = engine_thread_at(options->engine, options->thread_index);
    enum status status = parts_create(worker, problem);
    if (status != STATUS_OK) {
        worker_destroy(&worker);
        return status;
    }
    engine_thread_attach(worker->engine_thread, &worker->waker);
    *out = worker;
    return STATUS_OK;
}

/* ---- the thread ---- */

static void command_follow(struct worker *worker)
{
    enum worker_command command = (enum worker_command)atomic_load(&worker->command);
    if (command == worker->followed) {
        return;
    }
    worker->followed = command;
    if (command == WORKER_DRAIN) {
        webhooks_drain(worker->webhooks);
    }
}

static void rules_put_follow(struct worker *worker, uint64_t wall_ms)
{
    if (worker->followed == WORKER_RUN && !atomic_load(&worker->rules_are_put)) {
        atomic_store(&worker->rules_are_put, rules_put_step(worker->rules_put, wall_ms));
    }
}

static void drained_note(struct worker *worker)
{
    if (worker->followed == WORKER_RUN) {
        return;
    }
    atomic_store(&worker->drained, webhooks_idle(worker->webhooks) && stream_idle(worker->stream) &&
                                       engine_thread_pending(worker->engine_thread) == 0);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Everything but waiting; the time at which it wants to run again though nothing happens (0: at
 * once). */
static uint64_t worker_turn(struct worker *worker)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t wall_ms = clock_wall_ms();
    engine_thread_begin(worker->engine_thread, now_ns, wall_ms);
    command_follow(worker);
    uint64_t deadline = engine_thread_step(worker->engine_thread, now_ns, wall_ms);
    uint64_t pending = engine_thread_pending(worker->engine_thread);
    rules_put_follow(worker, wall_ms);
    deadline = earlier(deadline, stream_step(worker->stream, now_ns, wall_ms));
    deadline = earlier(deadline, webhooks_step(worker->webhooks, now_ns, wall_ms));
    drained_note(worker);
    if (engine_thread_pending(worker->engine_thread) > pending) {
        /* What was submitted just now waits for the bells of one more step. */
        return 0;
    }
    return deadline <= now_ns ? 0 : deadline;
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    while (atomic_load(&worker->command) != WORKER_STOP) {
        uint64_t deadline = worker_turn(worker);
        if (deadline == 0 || !engine_thread_sleep_begin(worker->engine_thread)) {
            continue;
        }
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t timeout_ns = deadline == UINT64_MAX ? UINT64_MAX
                              : deadline > now_ns    ? deadline - now_ns
                                                     : 0;
        webhooks_wait(worker->webhooks, timeout_ns);
        engine_thread_sleep_end(worker->engine_thread);
    }
    return NULL;
}

/* ---- for the main thread ---- */

enum status worker_start(struct worker *worker)
{
    ASSERT(!worker->started);
    if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0) {
        return STATUS_NO_MEMORY;
    }
    worker->started = true;
    pthread_setname_np(worker->thread, "worker");
    return STATUS_OK;
}

void worker_command(struct worker *worker, enum worker_command command)
{
    atomic_store(&worker->command, (int)command);
    calls_wake(worker->calls);
}

bool worker_rules_are_put(const struct worker *worker)
{
    return atomic_load(&worker->rules_are_put);
}

bool worker_is_drained(const struct worker *worker)
{
    return atomic_load(&worker->drained);
}

struct webhooks *worker_webhooks(struct worker *worker)
{
    ASSERT(worker->webhooks != NULL);
    return worker->webhooks;
}

void worker_join(struct worker *worker)
{
    if (worker->started) {
        pthread_join(worker->thread, NULL);
        worker->started = false;
    }
}

void worker_destroy(struct worker **worker_at)
{
    struct worker *worker = *worker_at;
    if (worker == NULL) {
        return;
    }
    ASSERT(!worker->started);
    rules_put_destroy(&worker->rules_put);
    webhooks_destroy(&worker->webhooks);
    if (worker->stream != NULL && stream_idle(worker->stream)) {
        stream_destroy(&worker->stream);
    } /* else it was stopped with a job under way, and the process ends */
    calls_destroy(&worker->calls);
    free(worker);
    *worker_at = NULL;
}
