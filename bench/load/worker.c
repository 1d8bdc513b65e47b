#include "bench/load/worker_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/connect.h"
#include "protocol/base/assert.h"

#define ENTRY_COUNT       4096
#define COMPLETION_COUNT  32768
#define BUFFER_BYTES      16384
#define BUFFER_COUNT_MIN  256
#define BUFFER_COUNT_MAX  4096
#define TICK_NS           50000000
#define RECONNECTS_MAX    1000
#define CONNECTED_POLL_NS 500000
/* Messages about answers that cannot be right; after these they are only counted. */
#define COMPLAINTS_MAX 5
/* Open loop: nearer than this the thread polls, because waking up takes about as long. */
#define POLL_NS 50000
/* Whoever polls never sleeps, and may keep the core to the end of the scheduler's slice, 4 ms. On
 * this core the kernel completes writes of the server's disk, perhaps: it is let in this often. A
 * shorter sleep is over before the core has gone to another. */
#define GIVE_WAY_EVERY_NS 200000
#define GIVE_WAY_NS       10000

enum operation { OPERATION_RECEIVE, OPERATION_SEND, OPERATION_TICK };

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t mark_of(uint32_t index, enum operation operation)
{
    return (uint64_t)index << 8 | (uint64_t)operation;
}

static void mark_dirty(struct worker *worker, struct connection *connection)
{
    if (!connection->dirty) {
        ASSERT(worker->dirty_count < worker->connection_count);
        connection->dirty = true;
        worker->dirty[worker->dirty_count++] = connection->index;
    }
}

static void arm_receive(struct worker *worker, struct connection *connection)
{
    ASSERT(!connection->receiving);
    struct io_uring_sqe *sqe = uring_entry(&worker->uring);
    io_uring_prep_recv_multishot(sqe, connection->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, mark_of(connection->index, OPERATION_RECEIVE));
    connection->receiving = true;
}

static void arm_tick(struct worker *worker)
{
    static const struct __kernel_timespec tick = {.tv_nsec = TICK_NS};
    struct io_uring_sqe *sqe = uring_entry(&worker->uring);
    io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&tick, 0, 0);
    io_uring_sqe_set_data64(sqe, mark_of(0, OPERATION_TICK));
}

static void send_buffer(struct worker *worker, struct connection *connection)
{
    ASSERT(!connection->sending);
    ASSERT(connection->send_offset < connection->send_size);
    struct io_uring_sqe *sqe = uring_entry(&worker->uring);
    io_uring_prep_send(sqe, connection->fd, connection->buffer + connection->send_offset,
                       connection->send_size - connection->send_offset, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, mark_of(connection->index, OPERATION_SEND));
    connection->sending = true;
}

/* Nothing of the buffer is on its way, so what is in it are requests in flight, and there is room
 * for the others that may be. */
static bool may_append(const struct connection *connection)
{
    return connection->fd >= 0 && !connection->sending && !connection->closing &&
           connection->send_offset == 0;
}

static bool may_begin(const struct worker *worker, const struct connection *connection)
{
    return may_append(connection) && worker->quota > 0 && worker->seen_phase != PHASE_DRAIN &&
           connection->window.owed.count == 0 && window_has_room(&connection->window);
}

static enum kind choose_kind(struct worker *worker, uint64_t random)
{
    uint32_t point = (uint32_t)(random % worker->options->mix_sum);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (point < worker->options->mix[kind]) {
            return (enum kind)kind;
        }
        point -= worker->options->mix[kind];
    }
    UNREACHABLE();
}

static uint64_t choose_key(struct worker *worker, enum kind kind)
{
    if (kind == KIND_INSERT) {
        return inserts_take(worker->inserts);
    }
    if (worker->options->keys.distribution == DISTRIBUTION_LATEST) {
        keys_grow(&worker->keys, inserts_end(worker->inserts));
    }
    return keys_next(&worker->keys);
}

/* The request of a slot that counts as sent. */
static void write_request(struct worker *worker, struct connection *connection, uint32_t index,
                          enum kind kind)
{
    ASSERT(may_append(connection));
    struct slot *slot = &connection->window.slots[index];
    slot->request = kind;
    /* Ids of frames begin at 1. */
    connection->send_size += requests_write(&worker->requests, kind, slot->key, index + 1,
                                            connection->buffer + connection->send_size);
    slot->serial = kind_has_body(kind) ? worker->requests.serial : 0;
    if (connection->window.sent.count == 1) {
        connection->waiting_since_ns = worker->send_ns;
    }
}

static void begin_operation(struct worker *worker, struct connection *connection, uint64_t start_ns)
{
    ASSERT(may_begin(worker, connection));
    enum kind kind = choose_kind(worker, keys_random(&worker->keys) >> 8);
    uint32_t index = window_send(&connection->window);
    struct slot *slot = &connection->window.slots[index];
    slot->kind = kind;
    slot->start_ns = start_ns;
    slot->key = choose_key(worker, kind);
    write_request(worker, connection, index, kind == KIND_RMW ? KIND_GET : kind);
    worker->in_flight++;
    if (worker->quota != UINT64_MAX) {
        worker->quota--;
    }
}

/* The writes of those that have been read. */
static void write_owed(struct worker *worker, struct connection *connection)
{
    while (connection->window.owed.count > 0 && may_append(connection)) {
        uint32_t index = window_send_owed(&connection->window);
        write_request(worker, connection, index, KIND_PUT);
    }
}

static void record_latency(struct worker *worker, enum kind kind, uint64_t start_ns)
{
    if (start_ns >= worker->measure_from_ns && start_ns < worker->measure_to_ns) {
        uint64_t now_ns = worker->turn_ns;
        histogram_record(&worker->counters.latency_ns[kind],
                         now_ns > start_ns ? now_ns - start_ns : 0);
    }
}

static void complain(struct worker *worker, const char *what, const char *why)
{
    if (worker->complaint_count < COMPLAINTS_MAX) {
        worker->complaint_count++;
        fprintf(stderr, "bench_load: %s: %s\n", what, why);
    }
}

static void judge_answer(struct worker *worker, const struct response *response,
                         const struct slot *slot)
{
    if (!options_expects(worker->options, response->status)) {
        worker->counters.unexpected++;
    }
    bool good = response->status >= 200 && response->status < 300;
    const char *why = good ? check_answer(&worker->check, slot, response) : NULL;
    if (why != NULL) {
        char what[64];
        snprintf(what, sizeof(what), "a wrong answer to %s of key %" PRIu64,
                 kind_names[slot->request], slot->key);
        complain(worker, what, why);
        worker->counters.wrong++;
    }
}

static void count_answer(struct worker *worker, const struct response *response,
                         const struct slot *slot)
{
    bool good = response->status >= 200 && response->status < 300;
    if (good && slot->kind == KIND_INSERT) {
        inserts_acknowledge(worker->inserts, slot->key);
    }
    if (worker->seen_phase != PHASE_MEASURE) {
        return;
    }
    worker->counters.statuses[response->status]++;
    if (good && kind_has_body(slot->request)) {
        worker->counters.logical_bytes_written +=
            worker->requests.key_digits + worker->requests.body.size;
    }
}

static void on_answer(struct worker *worker, struct connection *connection, uint32_t index)
{
    const struct response *response = &connection->response;
    const struct slot *slot = &connection->window.slots[index];
    worker->counters.answered++;
    judge_answer(worker, response, slot);
    count_answer(worker, response, slot);
    connection->waiting_since_ns = worker->turn_ns;
    connection->closing = response->closes;
    if (slot->kind == KIND_RMW && slot->request == KIND_GET) {
        window_owe(&connection->window, index);
        return;
    }
    record_latency(worker, slot->kind, slot->start_ns);
    worker->counters.done[slot->kind] += worker->seen_phase == PHASE_MEASURE;
    window_end(&connection->window, index);
    worker->in_flight--;
}

static enum status read_answer(struct worker *worker, struct connection *connection,
                               struct bytes bytes, size_t *taken_out, bool *done_out)
{
    struct response *response = &connection->response;
    const struct window *window = &connection->window;
    switch (worker->options->protocol) {
    case PROTOCOL_HTTP:
        return response_read(response, bytes,
                             window->slots[window_oldest(window)].request == KIND_HEAD, taken_out,
                             done_out);
    case PROTOCOL_WIRE:
        return response_wire_read(response, bytes, taken_out, done_out);
    case PROTOCOL_REDIS:
        return response_redis_read(response, bytes, taken_out, done_out);
    case PROTOCOL_MEMCACHED:
        return response_memcached_read(response, bytes, taken_out, done_out);
    case PROTOCOL_COUNT:
        break;
    }
    UNREACHABLE();
}

static void on_bytes(struct worker *worker, struct connection *connection, struct bytes bytes)
{
    bool wire = worker->options->protocol == PROTOCOL_WIRE;
    if (worker->seen_phase == PHASE_MEASURE) {
        worker->counters.received_bytes += bytes.size;
    }
    while (bytes.size > 0 && !connection->closing) {
        if (connection->window.sent.count == 0 && !connection->response.greeting) {
            complain(worker, "bytes after the last answer", "nothing asked for them");
            connection->closing = true;
            worker->counters.errors++;
            return;
        }
        size_t taken = 0;
        bool done = false;
        enum status status = read_answer(worker, connection, bytes, &taken, &done);
        if (status != STATUS_OK) {
            complain(worker, "an answer cannot be read", status_text(status));
            connection->closing = true;
            return;
        }
        bytes = bytes_of(bytes.data + taken, bytes.size - taken);
        if (!done) {
            continue;
        }
        uint32_t index = wire ? connection->response.id - 1 : window_oldest(&connection->window);
        if (!window_is_sent(&connection->window, index)) {
            complain(worker, "an answer with an id", "no request in flight has it");
            connection->closing = true;
            return;
        }
        on_answer(worker, connection, index);
    }
}

static void on_receive(struct worker *worker, const struct io_uring_cqe *cqe)
{
    struct connection *connection = &worker->connections[cqe->user_data >> 8];
    ASSERT(connection->receiving);
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        connection->receiving = false;
    }
    if (cqe->res > 0) {
        on_bytes(worker, connection, bytes_of(uring_buffer(&worker->uring, cqe), (size_t)cqe->res));
        uring_buffer_return(&worker->uring, cqe);
    } else if (cqe->res != -ENOBUFS) {
        connection->closing = true;
    }
    mark_dirty(worker, connection);
}

static void on_send(struct worker *worker, const struct io_uring_cqe *cqe)
{
    struct connection *connection = &worker->connections[cqe->user_data >> 8];
    ASSERT(connection->sending);
    connection->sending = false;
    if (cqe->res < 0) {
        connection->closing = true;
    } else {
        if (worker->seen_phase == PHASE_MEASURE) {
            worker->counters.sent_bytes += (uint32_t)cqe->res;
        }
        connection->send_offset += (uint32_t)cqe->res;
        if (connection->send_offset == connection->send_size) {
            connection->send_offset = 0;
            connection->send_size = 0;
        }
    }
    /* With room and nothing to wait for it must be looked at again, because more could be
     * written. */
    if (connection->closing || connection->send_size > 0 || connection->window.owed.count > 0 ||
        window_has_room(&connection->window)) {
        mark_dirty(worker, connection);
    }
}

/* All that is in flight on a connection has waited for too long; it counts with that wait. */
static void time_out(struct worker *worker, struct connection *connection)
{
    struct window *window = &connection->window;
    for (uint32_t i = 0; i < window->capacity; i++) {
        const struct slot *slot = &window->slots[i];
        if (slot->state != SLOT_FREE) {
            record_latency(worker, slot->kind, slot->start_ns);
        }
    }
    worker->counters.timeouts += window_count(window);
    worker->in_flight -= window_count(window);
    window_clear(window);
    connection->closing = true;
    mark_dirty(worker, connection);
}

static void see_behind(struct worker *worker, uint64_t behind)
{
    if (behind > worker->counters.behind_max) {
        worker->counters.behind_max = behind;
    }
}

static void on_tick(struct worker *worker)
{
    uint64_t limit_ns = (uint64_t)worker->options->timeout_ms * 1000000u;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct connection *connection = &worker->connections[i];
        if (connection->window.sent.count > 0 && !connection->closing &&
            worker->turn_ns > connection->waiting_since_ns + limit_ns) {
            time_out(worker, connection);
        }
    }
    if (worker->open_loop && worker->seen_phase == PHASE_MEASURE) {
        see_behind(worker, schedule_behind(&worker->schedule, worker->turn_ns));
    }
    arm_tick(worker);
}

/* A connection as it begins: what it says first goes out with its first requests. */
static void greet(struct worker *worker, struct connection *connection)
{
    ASSERT(connection->send_size == 0);
    const struct requests *requests = &worker->requests;
    connection->response.greeting = requests->preface_size > 0;
    memcpy(connection->buffer, requests->preface, requests->preface_size);
    connection->send_size = requests->preface_size;
}

static enum status open_connection(struct worker *worker, struct connection *connection)
{
    return connect_to(worker->options->host, worker->options->port,
                      worker->connection_from + connection->index, &connection->fd);
}

/* A connection that ended: its socket is closed, its requests are errors, and it is opened again
 * where that makes sense. */
static void reopen(struct worker *worker, struct connection *connection)
{
    ASSERT(!connection->receiving && !connection->sending);
    close(connection->fd);
    connection->fd = -1;
    worker->counters.errors += window_count(&connection->window);
    worker->in_flight -= window_count(&connection->window);
    window_clear(&connection->window);
    connection->send_size = 0;
    connection->send_offset = 0;
    connection->closing = false;
    response_reset(&connection->response);
    bool wanted = worker->seen_phase != PHASE_DRAIN && worker->quota > 0 &&
                  worker->counters.reconnects < RECONNECTS_MAX && !worker->server_gone;
    if (wanted) {
        worker->server_gone = open_connection(worker, connection) != STATUS_OK;
    }
    if (connection->fd < 0) {
        worker->alive_count--;
        return;
    }
    worker->counters.reconnects++;
    greet(worker, connection);
}

/* What a connection needs after all completions of the turn have been seen. */
static void settle(struct worker *worker, struct connection *connection)
{
    connection->dirty = false;
    if (connection->closing) {
        if (connection->receiving) {
            shutdown(connection->fd,
                     SHUT_RDWR); /* ends the receive; its completion comes here again */
            return;
        }
        if (connection->sending) {
            return;
        }
        reopen(worker, connection);
    }
    if (connection->fd < 0) {
        return;
    }
    if (!connection->receiving) {
        arm_receive(worker, connection);
    }
    write_owed(worker, connection);
    if (!worker->open_loop) {
        while (may_begin(worker, connection)) {
            begin_operation(worker, connection, worker->send_ns);
        }
    } else if (!connection->ready && may_begin(worker, connection)) {
        connection->ready = true;
        connection->ready_ns = worker->turn_ns;
        schedule_push(&worker->schedule, connection->index);
    }
    if (!connection->sending && connection->send_size > 0) {
        send_buffer(worker, connection);
    }
}

/* Begins the operation that is due on a connection with room. */
static void begin_due(struct worker *worker, struct connection *connection)
{
    uint64_t due_ns = schedule_take(&worker->schedule, connection->index);
    uint64_t could_ns = due_ns > connection->ready_ns ? due_ns : connection->ready_ns;
    if (due_ns >= worker->measure_from_ns) {
        histogram_record(&worker->counters.late_ns, worker->send_ns - could_ns);
    }
    begin_operation(worker, connection, due_ns);
    mark_dirty(worker, connection);
    if (may_begin(worker, connection)) {
        connection->ready = true;
        schedule_push(&worker->schedule, connection->index);
    }
}

/* Open loop: what is due on connections with room; on others it stays due. Gives how many there
 * were. */
static uint64_t write_due(struct worker *worker)
{
    uint64_t begun = 0;
    uint32_t index;
    while (schedule_pop(&worker->schedule, worker->send_ns, &index)) {
        struct connection *connection = &worker->connections[index];
        connection->ready = false;
        if (may_begin(worker, connection)) {
            begin_due(worker, connection);
            begun++;
        }
    }
    for (uint32_t i = 0; i < worker->dirty_count; i++) {
        struct connection *connection = &worker->connections[worker->dirty[i]];
        connection->dirty = false;
        if (!connection->sending && connection->send_size > 0) {
            send_buffer(worker, connection);
        }
    }
    worker->dirty_count = 0;
    return begun;
}

/* Open loop, when the measured time is over: what was due in it and is not sent has waited until
 * now at least. */
static void count_unsent(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        while (schedule_due_ns(&worker->schedule, i) < worker->measure_to_ns) {
            uint64_t due_ns = schedule_take(&worker->schedule, i);
            enum kind kind = choose_kind(worker, keys_random(&worker->keys) >> 8);
            worker->counters.unsent += due_ns >= worker->measure_from_ns;
            record_latency(worker, kind, due_ns);
        }
    }
}

static uint64_t wait_ns(const struct worker *worker)
{
    uint64_t next_ns = worker->open_loop && worker->seen_phase != PHASE_DRAIN
                           ? schedule_next_ns(&worker->schedule)
                           : SCHEDULE_NEVER;
    if (next_ns == SCHEDULE_NEVER) {
        return URING_WAIT_FOREVER; /* the tick ends it */
    }
    uint64_t now_ns = clock_now_ns();
    return next_ns < now_ns + POLL_NS ? 0 : next_ns - now_ns - POLL_NS / 2;
}

/* Whether it slept. What falls due meanwhile counts from when it was due, as always. */
static bool give_way(struct worker *worker, bool polls)
{
    static const struct timespec pause = {.tv_nsec = GIVE_WAY_NS};
    bool sleeps = polls && worker->turn_ns - worker->gave_way_ns >= GIVE_WAY_EVERY_NS;
    if (sleeps) {
        nanosleep(&pause, NULL);
    }
    if (sleeps || !polls) {
        worker->gave_way_ns = worker->turn_ns;
    }
    return sleeps;
}

static unsigned see_completions(struct worker *worker)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&worker->uring.ring, head, cqe)
    {
        seen++;
        switch ((enum operation)(cqe->user_data & 0xff)) {
        case OPERATION_RECEIVE:
            on_receive(worker, cqe);
            break;
        case OPERATION_SEND:
            on_send(worker, cqe);
            break;
        case OPERATION_TICK:
            on_tick(worker);
            break;
        }
    }
    io_uring_cq_advance(&worker->uring.ring, seen);
    return seen;
}

static enum phase phase_of(struct worker *worker)
{
    return (enum phase)atomic_load_explicit(&worker->phase, memory_order_relaxed);
}

static void see_phase(struct worker *worker)
{
    enum phase phase = phase_of(worker);
    if (phase == worker->seen_phase) {
        return;
    }
    worker->seen_phase = phase;
    if (phase == PHASE_MEASURE) {
        worker->measure_from_ns = worker->turn_ns;
    } else if (phase == PHASE_DRAIN) {
        /* What was due at the last sending has been sent, where there was room for it. */
        worker->measure_to_ns = worker->send_ns + 1;
        if (worker->open_loop) {
            count_unsent(worker);
        }
    }
}

static void publish(struct worker *worker)
{
    uint64_t completed = 0;
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        completed += worker->counters.done[kind];
    }
    atomic_store_explicit(&worker->completed, completed, memory_order_relaxed);
}

static enum status turn(struct worker *worker)
{
    uint64_t wait = wait_ns(worker);
    bool polls = wait == 0;
    bool slept = give_way(worker, polls);
    enum status status = uring_turn(&worker->uring, wait);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t before_ns = worker->send_ns;
    worker->turn_ns = clock_now_ns();
    unsigned seen = see_completions(worker);
    publish(worker);
    see_phase(worker);
    worker->send_ns = clock_now_ns();
    uint32_t dirty_count = worker->dirty_count;
    worker->dirty_count = 0;
    for (uint32_t i = 0; i < dirty_count; i++) {
        settle(worker, &worker->connections[worker->dirty[i]]);
    }
    uint64_t begun = worker->open_loop ? write_due(worker) : 0;
    if (worker->open_loop && worker->seen_phase == PHASE_MEASURE) {
        see_behind(worker, begun);
        worker->counters.poll_ns +=
            polls && !slept && seen == 0 && begun == 0 ? worker->send_ns - before_ns : 0;
    }
    return STATUS_OK;
}

static bool is_over(const struct worker *worker)
{
    bool no_more = worker->seen_phase == PHASE_DRAIN || worker->quota == 0;
    return worker->alive_count == 0 || (no_more && worker->in_flight == 0);
}

static enum status worker_open(struct worker *worker)
{
    uint32_t buffer_count = BUFFER_COUNT_MIN;
    while (buffer_count < 2 * worker->connection_count && buffer_count < BUFFER_COUNT_MAX) {
        buffer_count *= 2;
    }
    struct uring_options uring_options = {
        .entry_count = ENTRY_COUNT,
        .completion_count = COMPLETION_COUNT,
        .buffer_count = buffer_count,
        .buffer_bytes = BUFFER_BYTES,
    };
    enum status status = uring_init(&worker->uring, &uring_options);
    for (uint32_t i = 0; i < worker->connection_count && status == STATUS_OK; i++) {
        struct connection *connection = &worker->connections[i];
        status = open_connection(worker, connection);
        worker->alive_count += status == STATUS_OK;
        greet(worker, connection);
    }
    return status;
}

/* Until main lets all workers begin. */
static void await_start(struct worker *worker)
{
    static const struct timespec wait = {.tv_nsec = CONNECTED_POLL_NS};
    atomic_store_explicit(&worker->connected, true, memory_order_release);
    while (phase_of(worker) == PHASE_CONNECT) {
        nanosleep(&wait, NULL);
    }
}

static void loop(struct worker *worker)
{
    worker->turn_ns = worker->send_ns = clock_now_ns();
    if (worker->open_loop) {
        schedule_start(&worker->schedule, worker->send_ns + worker->start_offset_ns);
    }
    see_phase(worker);
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        settle(worker, &worker->connections[i]);
    }
    arm_tick(worker);
    while (worker->status == STATUS_OK && !is_over(worker)) {
        worker->status = turn(worker);
    }
    publish(worker);
    if (worker->status == STATUS_OK && worker->alive_count == 0 &&
        worker->counters.errors + worker->counters.reconnects > 0 && worker->quota > 0) {
        worker->status = STATUS_CLOSED;
    }
}

void *worker_run(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    worker->status = worker_open(worker);
    if (worker->status == STATUS_OK) {
        await_start(worker);
        loop(worker);
    }
    uring_deinit(&worker->uring);
    atomic_store_explicit(&worker->finished, true, memory_order_release);
    return NULL;
}
