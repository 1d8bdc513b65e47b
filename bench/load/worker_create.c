#include <stdlib.h>
#include <unistd.h>

#include "bench/load/worker_internal.h"
#include "protocol/base/assert.h"

/* The share of one thread: total divided, the remainder to the first ones. */
static uint64_t share(uint64_t total, uint32_t index, uint32_t count)
{
    return total / count + (index < total % count);
}

static uint64_t share_from(uint64_t total, uint32_t index, uint32_t count)
{
    return total / count * index + (index < total % count ? index : total % count);
}

static void keys_of_thread(const struct load_options *options, uint32_t index,
                           struct worker *worker)
{
    struct keys_options keys = options->keys;
    keys.seed += (uint64_t)index << 32;
    worker->quota = UINT64_MAX;
    if (options->fill) {
        keys.from += share_from(options->keys.count, index, options->thread_count);
        keys.count = share(options->keys.count, index, options->thread_count);
        worker->quota = keys.count;
    }
    keys_init(&worker->keys, &keys);
}

static enum status connections_create(struct worker *worker)
{
    uint32_t count = worker->connection_count;
    uint32_t pipeline = worker->options->pipeline;
    worker->connections = (struct connection *)calloc(count, sizeof(struct connection));
    worker->dirty = (uint32_t *)calloc(count, sizeof(uint32_t));
    if (worker->connections == NULL || worker->dirty == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct connection *connection = &worker->connections[i];
        connection->fd = -1;
        connection->index = i;
        connection->response.keep = worker->options->check == CHECK_CONTENT;
        connection->buffer = (uint8_t *)malloc(worker->requests.preface_size +
                                               (size_t)pipeline * worker->requests.size_max);
        enum status status = window_init(&connection->window, pipeline);
        if (status != STATUS_OK || connection->buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

static enum status schedule_of_thread(struct worker *worker, uint32_t index)
{
    const struct load_options *options = worker->options;
    double interval_ns = 1e9 * (double)options->thread_count / options->rate;
    const struct schedule_options schedule = {
        .plan = options->plan,
        .arrivals = options->arrivals,
        .connection_count = worker->connection_count,
        .interval_ns = interval_ns,
        .seed = options->keys.seed + ((uint64_t)index << 32) + 1,
    };
    worker->open_loop = true;
    worker->start_offset_ns = (uint64_t)(interval_ns * index / options->thread_count);
    return schedule_create(&worker->schedule, &schedule);
}

/* The parts that take memory. */
static enum status worker_prepare(struct worker *worker, uint32_t index, uint64_t serial_from)
{
    const struct load_options *options = worker->options;
    enum status status = requests_create(options, serial_from, &worker->requests);
    if (status == STATUS_OK) {
        status =
            check_create(&worker->check, options, &worker->requests.body, worker->requests.pool);
    }
    if (status == STATUS_OK) {
        status = connections_create(worker);
    }
    if (status == STATUS_OK && options->rate > 0) {
        status = schedule_of_thread(worker, index);
    }
    return status;
}

enum status worker_create(const struct load_options *options, uint32_t index, uint64_t serial_from,
                          struct inserts *inserts, struct worker **worker_out)
{
    ASSERT(index < options->thread_count);
    *worker_out = NULL;
    struct worker *worker = (struct worker *)calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return STATUS_NO_MEMORY;
    }
    worker->options = options;
    worker->inserts = inserts;
    worker->uring.ring.ring_fd = -1;
    worker->measure_from_ns = UINT64_MAX;
    worker->measure_to_ns = UINT64_MAX;
    worker->connection_count =
        (uint32_t)share(options->connection_count, index, options->thread_count);
    worker->connection_from = share_from(options->connection_count, index, options->thread_count);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (options->mix[kind] > 0) {
            histogram_reset(&worker->counters.latency_ns[kind]);
        }
    }
    histogram_reset(&worker->counters.late_ns);
    atomic_init(&worker->phase, PHASE_CONNECT);
    keys_of_thread(options, index, worker);
    enum status status = worker_prepare(worker, index, serial_from);
    if (status != STATUS_OK) {
        worker_destroy(&worker);
    }
    *worker_out = worker;
    return status;
}

void worker_destroy(struct worker **worker_in)
{
    struct worker *worker = *worker_in;
    if (worker == NULL) {
        return;
    }
    for (uint32_t i = 0; worker->connections != NULL && i < worker->connection_count; i++) {
        struct connection *connection = &worker->connections[i];
        if (connection->fd >= 0) {
            close(connection->fd);
        }
        response_reset(&connection->response);
        window_deinit(&connection->window);
        free(connection->buffer);
    }
    schedule_destroy(&worker->schedule);
    check_destroy(&worker->check);
    requests_destroy(&worker->requests);
    free(worker->connections);
    free(worker->dirty);
    free(worker);
    *worker_in = NULL;
}

void worker_set_phase(struct worker *worker, enum phase phase)
{
    atomic_store_explicit(&worker->phase, (int)phase, memory_order_relaxed);
}

bool worker_is_connected(struct worker *worker)
{
    return atomic_load_explicit(&worker->connected, memory_order_acquire) ||
           worker_is_finished(worker);
}

bool worker_is_finished(struct worker *worker)
{
    return atomic_load_explicit(&worker->finished, memory_order_acquire);
}

uint64_t worker_completed(struct worker *worker)
{
    return atomic_load_explicit(&worker->completed, memory_order_relaxed);
}

const struct counters *worker_counters(const struct worker *worker)
{
    return &worker->counters;
}

enum status worker_status(const struct worker *worker)
{
    return worker->status;
}
