#include "bench/load/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/request.h"
#include "bench/load/response.h"
#include "bench/uring/uring.h"
#include "protocol/base/assert.h"

#define ENTRY_COUNT      4096
#define COMPLETION_COUNT 32768
#define BUFFER_BYTES     16384
#define BUFFER_COUNT_MIN 256
#define BUFFER_COUNT_MAX 4096
#define TICK_NS          50000000
#define RECONNECTS_MAX   1000
#define CONNECT_WAIT_S   5
/* Messages about answers that cannot be right; after these they are only counted. */
#define COMPLAINTS_MAX 5
/* Open loop: nearer than this the thread polls, because waking up takes about as long. */
#define POLL_NS 50000

enum operation { OPERATION_RECEIVE, OPERATION_SEND, OPERATION_TICK };

struct pending {
    uint64_t start_ns;
    enum kind kind;
};

struct connection {
    int fd; /* -1: given up */
    uint32_t index;
    bool receiving;
    bool sending;
    bool dirty;
    bool ready; /* open loop: in the ring of connections with room */
    bool closing;
    uint32_t pending_first;
    uint32_t pending_count;
    uint32_t send_size;
    uint32_t send_offset;
    /* since the last answer, or since the first request in flight was written */
    uint64_t waiting_since_ns;
    struct pending *pending;
    uint8_t *buffer;
    struct response response;
};

struct worker {
    const struct load_options *options;
    struct uring uring;
    struct keys keys;
    struct requests requests;
    struct counters counters;
    enum status status;
    enum phase seen_phase;
    uint64_t turn_ns; /* when the completions of this turn were there */
    uint64_t send_ns; /* when the requests of this turn were made */
    uint64_t quota;   /* requests still to make; UINT64_MAX: no end */
    uint64_t in_flight;
    double interval_ns; /* open loop; 0: closed */
    double next_ns;     /* open loop: the next intended send */
    uint32_t connection_count;
    uint32_t dirty_count;
    uint32_t ready_first;
    uint32_t ready_count;
    uint32_t alive_count;
    uint32_t complaint_count;
    bool server_gone; /* a connection was refused: no more are tried */
    uint32_t *dirty;
    uint32_t *ready;
    struct connection *connections;
    atomic_int phase;
    atomic_bool finished;
    atomic_uint_fast64_t completed;
};

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

enum status connect_to(const char *host, uint16_t port, const char *source, int *fd_out)
{
    *fd_out = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        (source != NULL && inet_pton(AF_INET, source, &from.sin_addr) != 1)) {
        fprintf(stderr, "bench_load: %s is not an IPv4 address\n", host);
        return STATUS_INVALID;
    }
    int one = 1;
    struct timeval wait = {.tv_sec = CONNECT_WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0;
    if (good && source != NULL) {
        good = setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) == 0 &&
               bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0;
    }
    if (!good || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fprintf(stderr, "bench_load: connecting to %s:%u: %s\n", host, port, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return STATUS_CLOSED;
    }
    *fd_out = fd;
    return STATUS_OK;
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

static bool may_write(const struct worker *worker, const struct connection *connection)
{
    return !connection->sending && !connection->closing && worker->quota > 0 &&
           worker->seen_phase != PHASE_DRAIN &&
           connection->pending_count < worker->options->pipeline;
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

static void write_request(struct worker *worker, struct connection *connection, uint64_t start_ns)
{
    ASSERT(may_write(worker, connection));
    uint32_t pipeline = worker->options->pipeline;
    uint64_t random = keys_random(&worker->keys);
    enum kind kind = choose_kind(worker, random >> 8);
    uint64_t key = keys_next(&worker->keys);
    connection->send_size += requests_write(&worker->requests, kind, key, random,
                                            connection->buffer + connection->send_size);
    if (connection->pending_count == 0) {
        connection->waiting_since_ns = worker->send_ns;
    }
    uint32_t slot = connection->pending_first + connection->pending_count;
    slot = slot >= pipeline ? slot - pipeline : slot;
    connection->pending[slot] = (struct pending){.start_ns = start_ns, .kind = kind};
    connection->pending_count++;
    worker->in_flight++;
    if (worker->quota != UINT64_MAX) {
        worker->quota--;
    }
}

static void on_answer(struct worker *worker, struct connection *connection)
{
    ASSERT(connection->pending_count > 0);
    struct counters *counters = &worker->counters;
    struct pending *pending = &connection->pending[connection->pending_first];
    uint16_t status = connection->response.status;
    if (!options_expects(worker->options, status)) {
        counters->unexpected++;
    }
    if (worker->seen_phase == PHASE_MEASURE) {
        counters->done[pending->kind]++;
        counters->statuses[status]++;
        uint64_t now_ns = worker->turn_ns;
        histogram_record(&counters->latency_ns[pending->kind],
                         now_ns > pending->start_ns ? now_ns - pending->start_ns : 0);
    }
    uint32_t next = connection->pending_first + 1;
    connection->pending_first = next == worker->options->pipeline ? 0 : next;
    connection->pending_count--;
    connection->waiting_since_ns = worker->turn_ns;
    worker->in_flight--;
    if (connection->response.closes) {
        connection->closing = true;
    }
}

static void complain(struct worker *worker, const char *what, const char *why)
{
    if (worker->complaint_count < COMPLAINTS_MAX) {
        worker->complaint_count++;
        fprintf(stderr, "bench_load: %s: %s\n", what, why);
    }
}

static enum status read_answer(struct worker *worker, struct connection *connection,
                               struct bytes bytes, size_t *taken_out, bool *done_out)
{
    struct response *response = &connection->response;
    bool to_head = false;
    switch (worker->options->protocol) {
    case PROTOCOL_HTTP:
        to_head = connection->pending[connection->pending_first].kind == KIND_HEAD;
        return response_read(response, bytes, to_head, taken_out, done_out);
    case PROTOCOL_WIRE:
        return response_wire_read(response, bytes, taken_out, done_out);
    case PROTOCOL_REDIS:
        return response_redis_read(response, bytes, taken_out, done_out);
    }
    UNREACHABLE();
}

static void on_bytes(struct worker *worker, struct connection *connection, struct bytes bytes)
{
    if (worker->seen_phase == PHASE_MEASURE) {
        worker->counters.received_bytes += bytes.size;
    }
    while (bytes.size > 0 && !connection->closing) {
        if (connection->pending_count == 0 && !connection->response.greeting) {
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
        if (done) {
            on_answer(worker, connection);
        }
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
    if (connection->closing || connection->send_size > 0 ||
        connection->pending_count < worker->options->pipeline) {
        mark_dirty(worker, connection);
    }
}

static void on_tick(struct worker *worker)
{
    uint64_t limit_ns = (uint64_t)worker->options->timeout_ms * 1000000u;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct connection *connection = &worker->connections[i];
        if (connection->pending_count > 0 && !connection->closing &&
            worker->turn_ns > connection->waiting_since_ns + limit_ns) {
            worker->counters.timeouts += connection->pending_count;
            worker->in_flight -= connection->pending_count;
            connection->pending_count = 0;
            connection->closing = true;
            mark_dirty(worker, connection);
        }
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

/* A connection that ended: its socket is closed, its requests are errors, and it is opened again
 * where that makes sense. */
static void reopen(struct worker *worker, struct connection *connection)
{
    ASSERT(!connection->receiving && !connection->sending);
    close(connection->fd);
    connection->fd = -1;
    worker->counters.errors += connection->pending_count;
    worker->in_flight -= connection->pending_count;
    connection->pending_count = 0;
    connection->pending_first = 0;
    connection->send_size = 0;
    connection->send_offset = 0;
    connection->closing = false;
    response_reset(&connection->response);
    bool wanted = worker->seen_phase != PHASE_DRAIN && worker->quota > 0 &&
                  worker->counters.reconnects < RECONNECTS_MAX && !worker->server_gone;
    if (wanted) {
        const struct load_options *options = worker->options;
        worker->server_gone =
            connect_to(options->host, options->port, NULL, &connection->fd) != STATUS_OK;
    }
    if (connection->fd < 0) {
        worker->alive_count--;
        return;
    }
    worker->counters.reconnects++;
    greet(worker, connection);
}

static void push_ready(struct worker *worker, struct connection *connection)
{
    if (!connection->ready) {
        ASSERT(worker->ready_count < worker->connection_count);
        connection->ready = true;
        uint32_t at = worker->ready_first + worker->ready_count++;
        worker->ready[at >= worker->connection_count ? at - worker->connection_count : at] =
            connection->index;
    }
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
    if (worker->interval_ns > 0) {
        if (may_write(worker, connection)) {
            push_ready(worker, connection);
        }
    } else {
        while (may_write(worker, connection)) {
            write_request(worker, connection, worker->send_ns);
        }
    }
    if (!connection->sending && connection->send_size > 0) {
        send_buffer(worker, connection);
    }
}

/* Open loop: requests that are due go to connections with room, in turn; those that find none stay
 * due. */
static void write_due(struct worker *worker)
{
    while (worker->next_ns <= (double)worker->send_ns && worker->ready_count > 0) {
        struct connection *connection = &worker->connections[worker->ready[worker->ready_first]];
        uint32_t next = worker->ready_first + 1;
        worker->ready_first = next == worker->connection_count ? 0 : next;
        worker->ready_count--;
        connection->ready = false;
        if (connection->fd < 0 || !may_write(worker, connection)) {
            continue;
        }
        write_request(worker, connection, (uint64_t)worker->next_ns);
        worker->next_ns += worker->interval_ns;
        mark_dirty(worker, connection);
        if (may_write(worker, connection)) {
            push_ready(worker, connection);
        }
    }
    double behind = ((double)worker->send_ns - worker->next_ns) / worker->interval_ns;
    if (behind > (double)worker->counters.behind_max) {
        worker->counters.behind_max = (uint64_t)behind;
    }
    for (uint32_t i = 0; i < worker->dirty_count; i++) {
        struct connection *connection = &worker->connections[worker->dirty[i]];
        connection->dirty = false;
        if (!connection->sending && connection->send_size > 0) {
            send_buffer(worker, connection);
        }
    }
    worker->dirty_count = 0;
}

static uint64_t wait_ns(const struct worker *worker)
{
    if (worker->interval_ns <= 0 || worker->ready_count == 0) {
        return URING_WAIT_FOREVER; /* the tick ends it */
    }
    double left = worker->next_ns - (double)clock_now_ns();
    return left < POLL_NS ? 0 : (uint64_t)left - POLL_NS / 2;
}

static void see_completions(struct worker *worker)
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
}

static void publish(struct worker *worker)
{
    uint64_t completed = 0;
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        completed += worker->counters.done[kind];
    }
    atomic_store_explicit(&worker->completed, completed, memory_order_relaxed);
    worker->seen_phase = (enum phase)atomic_load_explicit(&worker->phase, memory_order_relaxed);
}

static enum status turn(struct worker *worker)
{
    enum status status = uring_turn(&worker->uring, wait_ns(worker));
    if (status != STATUS_OK) {
        return status;
    }
    worker->turn_ns = clock_now_ns();
    see_completions(worker);
    publish(worker);
    worker->send_ns = clock_now_ns();
    uint32_t dirty_count = worker->dirty_count;
    worker->dirty_count = 0;
    for (uint32_t i = 0; i < dirty_count; i++) {
        settle(worker, &worker->connections[worker->dirty[i]]);
    }
    if (worker->interval_ns > 0) {
        write_due(worker);
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
        status = connect_to(worker->options->host, worker->options->port, NULL, &connection->fd);
        worker->alive_count += status == STATUS_OK;
        greet(worker, connection);
    }
    return status;
}

void *worker_run(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    worker->status = worker_open(worker);
    if (worker->status == STATUS_OK) {
        worker->turn_ns = worker->send_ns = clock_now_ns();
        worker->next_ns = (double)worker->send_ns;
        publish(worker);
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
    uring_deinit(&worker->uring);
    atomic_store_explicit(&worker->finished, true, memory_order_release);
    return NULL;
}

/* The share of one thread: total divided, the remainder to the first ones. */
static uint64_t share(uint64_t total, uint32_t index, uint32_t count)
{
    return total / count + (index < total % count);
}

static void keys_of_thread(const struct load_options *options, uint32_t index,
                           struct worker *worker)
{
    struct keys_options keys = options->keys;
    keys.seed += (uint64_t)index << 32;
    worker->quota = UINT64_MAX;
    if (options->fill) {
        uint64_t before = 0;
        for (uint32_t i = 0; i < index; i++) {
            before += share(options->keys.count, i, options->thread_count);
        }
        keys.from += before;
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
    worker->ready = (uint32_t *)calloc(count, sizeof(uint32_t));
    if (worker->connections == NULL || worker->dirty == NULL || worker->ready == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct connection *connection = &worker->connections[i];
        connection->fd = -1;
        connection->index = i;
        connection->pending = (struct pending *)calloc(pipeline, sizeof(struct pending));
        connection->buffer = (uint8_t *)malloc(worker->requests.preface_size +
                                               (size_t)pipeline * worker->requests.size_max);
        if (connection->pending == NULL || connection->buffer == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

enum status worker_create(const struct load_options *options, uint32_t index, uint64_t serial_from,
                          struct worker **worker_out)
{
    ASSERT(index < options->thread_count);
    *worker_out = NULL;
    struct worker *worker = (struct worker *)calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return STATUS_NO_MEMORY;
    }
    worker->options = options;
    worker->uring.ring.ring_fd = -1;
    worker->connection_count =
        (uint32_t)share(options->connection_count, index, options->thread_count);
    if (options->rate > 0) {
        worker->interval_ns = 1e9 * (double)options->thread_count / options->rate;
    }
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        histogram_reset(&worker->counters.latency_ns[kind]);
    }
    atomic_init(&worker->phase, options->fill ? PHASE_MEASURE : PHASE_WARMUP);
    keys_of_thread(options, index, worker);
    enum status status = requests_create(options, serial_from, &worker->requests);
    if (status == STATUS_OK) {
        status = connections_create(worker);
    }
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
        free(connection->pending);
        free(connection->buffer);
    }
    requests_destroy(&worker->requests);
    free(worker->connections);
    free(worker->dirty);
    free(worker->ready);
    free(worker);
    *worker_in = NULL;
}

void worker_set_phase(struct worker *worker, enum phase phase)
{
    atomic_store_explicit(&worker->phase, (int)phase, memory_order_relaxed);
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
