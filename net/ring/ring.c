#include "net/ring/ring.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define ENTRY_COUNT_DEFAULT   1024
#define COMPLETIONS_PER_ENTRY 16
#define BUFFER_GROUP          0
/* Runs of deferred task work in one wait; each posts at least 20 completions where there are so
 * many. */
#define TASK_RUNS_MAX 256
/* How often a full submission queue is offered to the kernel before we give up: it takes all at
 * once, unless it is out of memory. */
#define SUBMIT_TRIES_MAX 1000
#define SEND_BYTES_MAX   (1u << 30)
/* Buffers of a power of two would all begin in the same few sets of the processor's caches. */
#define BUFFER_SKEW_BYTES 192

static_assert(RING_BUFFER == IORING_CQE_F_BUFFER, "flags are the kernel's");
static_assert(RING_MORE == IORING_CQE_F_MORE, "flags are the kernel's");

struct ring {
    struct io_uring uring;
    struct ring_operation wake;
    int wake_fd;
    bool started;
    bool wake_armed;
    uint32_t entry_count;
    uint32_t buffer_count;
    uint32_t buffer_bytes;
    size_t buffer_stride;
    uint32_t returned; /* buffers handed back since the kernel was last told */
    uint32_t lent;     /* buffers with completions */
    struct io_uring_buf_ring *buffer_ring;
    size_t buffer_ring_bytes;
    uint8_t *buffers;
    size_t buffers_size;
    struct ring_statistics statistics;
};

/* ---- creation ---- */

static void failure_set(struct ring_failure *failure, const char *what, int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        (void)snprintf(
            failure->text, sizeof(failure->text),
            "io_uring is refused here (%s): %s. In a container, run it with a seccomp profile that "
            "allows io_uring_setup, io_uring_enter and io_uring_register (docker: "
            "--security-opt seccomp=FILE); on the machine, set the sysctl "
            "kernel.io_uring_disabled to 0",
            what, strerror(error));
        return;
    case ENOSYS:
        (void)snprintf(failure->text, sizeof(failure->text),
                       "io_uring is not there (%s): %s. It needs Linux 6.1 or later, built with "
                       "CONFIG_IO_URING, and in a container a seccomp profile that allows "
                       "io_uring_setup, io_uring_enter and io_uring_register",
                       what, strerror(error));
        return;
    case EINVAL:
        (void)snprintf(failure->text, sizeof(failure->text),
                       "io_uring of this kernel is too old (%s): %s. It needs Linux 6.1 or later",
                       what, strerror(error));
        return;
    case ENOMEM:
        (void)snprintf(failure->text, sizeof(failure->text),
                       "io_uring gets no memory (%s): %s. Raise the limit of locked memory "
                       "(ulimit -l, LimitMEMLOCK=)",
                       what, strerror(error));
        return;
    default:
        (void)snprintf(failure->text, sizeof(failure->text), "io_uring: %s: %s", what,
                       strerror(error));
        return;
    }
}

static enum status failure_status(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case EINVAL:
        return STATUS_UNSUPPORTED;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO_ERROR;
    }
}

static enum status failed(struct ring_failure *failure, const char *what, int error)
{
    failure_set(failure, what, error);
    return failure_status(error);
}

static uint8_t *buffer_at(const struct ring *ring, uint32_t index)
{
    ASSERT(index < ring->buffer_count);
    return ring->buffers + index * ring->buffer_stride;
}

static void *map_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static enum status buffers_create(struct ring *ring, struct ring_failure *failure)
{
    ASSERT((ring->buffer_count & (ring->buffer_count - 1)) == 0);
    ASSERT(ring->buffer_count <= RING_BUFFERS_MAX && ring->buffer_bytes > 0);
    ring->buffer_stride = ring->buffer_bytes + BUFFER_SKEW_BYTES;
    ring->buffers_size = ring->buffer_stride * ring->buffer_count;
    ring->buffer_ring_bytes = ring->buffer_count * sizeof(struct io_uring_buf);
    ring->buffers = (uint8_t *)map_memory(ring->buffers_size);
    ring->buffer_ring = (struct io_uring_buf_ring *)map_memory(ring->buffer_ring_bytes);
    if (ring->buffers == NULL || ring->buffer_ring == NULL) {
        return failed(failure, "memory for receive buffers", ENOMEM);
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)ring->buffer_ring,
        .ring_entries = ring->buffer_count,
        .bgid = BUFFER_GROUP,
    };
    int result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (result < 0) {
        return failed(failure, "the ring of receive buffers", -result);
    }
    io_uring_buf_ring_init(ring->buffer_ring);
    for (uint32_t i = 0; i < ring->buffer_count; i++) {
        io_uring_buf_ring_add(ring->buffer_ring, buffer_at(ring, i), ring->buffer_bytes,
                              (uint16_t)i, io_uring_buf_ring_mask(ring->buffer_count), (int)i);
    }
    io_uring_buf_ring_advance(ring->buffer_ring, (int)ring->buffer_count);
    return STATUS_OK;
}

static enum status queue_create(struct ring *ring, const struct ring_options *options,
                                struct ring_failure *failure)
{
    uint32_t entries = options->entry_count == 0 ? ENTRY_COUNT_DEFAULT : options->entry_count;
    struct io_uring_params parameters = {
        /* Disabled until ring_start: the thread that enables it becomes the single issuer. */
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
        .cq_entries = options->completion_count == 0 ? entries * COMPLETIONS_PER_ENTRY
                                                     : options->completion_count,
    };
    int result = io_uring_queue_init_params(entries, &ring->uring, &parameters);
    if (result < 0) {
        ring->uring.ring_fd = -1;
        return failed(failure, "io_uring_setup", -result);
    }
    ring->entry_count = ring->uring.sq.ring_entries;
    if ((ring->uring.features & IORING_FEAT_EXT_ARG) == 0 ||
        (ring->uring.features & IORING_FEAT_NODROP) == 0) {
        return failed(failure, "missing features", EINVAL);
    }
    (void)io_uring_ring_dontfork(&ring->uring);
    return STATUS_OK;
}

static void wake_completed(struct ring_operation *operation, int result, uint32_t flags)
{
    struct ring *ring = (struct ring *)(void *)((char *)operation - offsetof(struct ring, wake));
    (void)result;
    if ((flags & RING_MORE) == 0) {
        ring->wake_armed = false;
    }
}

enum status ring_create(const struct ring_options *options, struct ring **out,
                        struct ring_failure *failure_out)
{
    ASSERT(options != NULL && out != NULL);
    ASSERT(failure_out != NULL);
    *out = NULL;
    failure_out->text[0] = '\0';
    struct ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        return failed(failure_out, "memory", ENOMEM);
    }
    ring->uring.ring_fd = -1;
    ring->wake.complete = wake_completed;
    ring->buffer_count = options->buffer_count;
    ring->buffer_bytes = options->buffer_bytes;
    ring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum status status = STATUS_OK;
    if (ring->wake_fd < 0) {
        status = failed(failure_out, "eventfd", errno);
    }
    if (status == STATUS_OK) {
        status = queue_create(ring, options, failure_out);
    }
    if (status == STATUS_OK && ring->buffer_count > 0) {
        status = buffers_create(ring, failure_out);
    }
    if (status != STATUS_OK) {
        ring_destroy(&ring);
        return status;
    }
    *out = ring;
    return STATUS_OK;
}

enum status ring_start(struct ring *ring, struct ring_failure *failure_out)
{
    ASSERT(!ring->started);
    failure_out->text[0] = '\0';
    /* io_uring_enable_rings is missing in liburing 2.3's shared library. */
    int result =
        io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) {
        return failed(failure_out, "enabling the ring", -result);
    }
    result = io_uring_register_ring_fd(&ring->uring);
    if (result < 0) {
        return failed(failure_out, "registering the ring's descriptor", -result);
    }
    ring->uring.flags &= ~IORING_SETUP_R_DISABLED;
    ring->started = true;
    ASSERT(ring->wake_fd >= 0);
    return STATUS_OK;
}

void ring_destroy(struct ring **ring_inout)
{
    struct ring *ring = *ring_inout;
    *ring_inout = NULL;
    if (ring == NULL) {
        return;
    }
    if (ring->uring.ring_fd >= 0) {
        io_uring_queue_exit(&ring->uring);
    }
    if (ring->buffer_ring != NULL) {
        (void)munmap(ring->buffer_ring, ring->buffer_ring_bytes);
    }
    if (ring->buffers != NULL) {
        (void)munmap(ring->buffers, ring->buffers_size);
    }
    if (ring->wake_fd >= 0) {
        (void)close(ring->wake_fd);
    }
    free(ring);
}

/* ---- the turn ---- */

/* A free entry. All of them taken means that they go to the kernel now; their completions still
 * wait for ring_dispatch. */
static struct io_uring_sqe *entry_take(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (__builtin_expect(sqe != NULL, 1)) {
        return sqe;
    }
    ASSERT(ring->started);
    for (uint32_t i = 0; i < SUBMIT_TRIES_MAX && sqe == NULL; i++) {
        ring->statistics.early_submits++;
        (void)io_uring_submit(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    /* The kernel has no memory for a request: nothing that we could still answer. */
    ASSERT(sqe != NULL);
    return sqe;
}

static struct io_uring_sqe *operation_entry(struct ring *ring, struct ring_operation *operation)
{
    ASSERT(operation == NULL || operation->complete != NULL);
    return entry_take(ring);
}

static void wake_arm(struct ring *ring)
{
    /* The poll fires at each write, so that nobody has to read the counter. */
    struct io_uring_sqe *sqe = operation_entry(ring, &ring->wake);
    io_uring_prep_poll_multishot(sqe, ring->wake_fd, POLLIN);
    io_uring_sqe_set_data(sqe, &ring->wake);
    ring->wake_armed = true;
}

static int submit_and_sleep(struct ring *ring, uint64_t timeout_ns)
{
    if (timeout_ns == 0 || io_uring_cq_ready(&ring->uring) > 0) {
        return io_uring_submit_and_get_events(&ring->uring);
    }
    if (timeout_ns == RING_WAIT_FOREVER) {
        return io_uring_submit_and_wait(&ring->uring, 1);
    }
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(timeout_ns / 1000000000u),
        .tv_nsec = (int64_t)(timeout_ns % 1000000000u),
    };
    struct io_uring_cqe *cqe;
    return io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &timeout, NULL);
}

enum status ring_wait(struct ring *ring, uint64_t timeout_ns)
{
    ASSERT(ring->started);
    if (ring->returned > 0) {
        io_uring_buf_ring_advance(ring->buffer_ring, (int)ring->returned);
        ring->returned = 0;
    }
    if (!ring->wake_armed) {
        wake_arm(ring);
    }
    int result = submit_and_sleep(ring, timeout_ns);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        return STATUS_IO_ERROR;
    }
    /* One enter runs only some of the deferred work; without this, batches stay at about 40
     * completions. */
    uint32_t enough = ring->uring.cq.ring_entries / 2;
    for (uint32_t run = 0; run < TASK_RUNS_MAX; run++) {
        if ((IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_TASKRUN) == 0 ||
            io_uring_cq_ready(&ring->uring) >= enough) {
            break;
        }
        if (io_uring_get_events(&ring->uring) < 0) {
            break;
        }
    }
    ring->statistics.waits++;
    return STATUS_OK;
}

bool ring_has_work(const struct ring *ring)
{
    return io_uring_cq_ready(&ring->uring) > 0 ||
           (IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

uint32_t ring_dispatch(struct ring *ring)
{
    struct io_uring_cq *cq = &ring->uring.cq;
    uint32_t ready = io_uring_cq_ready(&ring->uring);
    uint32_t head = *cq->khead;
    for (uint32_t i = 0; i < ready; i++) {
        const struct io_uring_cqe *cqe = &cq->cqes[(head + i) & cq->ring_mask];
        struct ring_operation *operation = (struct ring_operation *)io_uring_cqe_get_data(cqe);
        if (operation == NULL) {
            continue;
        }
        if ((cqe->flags & RING_BUFFER) != 0) {
            ring->lent++;
            ASSERT(ring->lent <= ring->buffer_count);
        } else if (cqe->res == -ENOBUFS) {
            ring->statistics.buffers_short++;
        }
        operation->complete(operation, cqe->res, cqe->flags);
    }
    io_uring_cq_advance(&ring->uring, ready);
    ring->statistics.completions += ready;
    return ready;
}

void ring_wake(struct ring *ring)
{
    uint64_t one = 1;
    ssize_t written = write(ring->wake_fd, &one, sizeof(one));
    /* The counter would overflow after 2^64 wakes. */
    ASSERT(written == (ssize_t)sizeof(one));
}

void ring_statistics_read(const struct ring *ring, struct ring_statistics *out)
{
    *out = ring->statistics;
}

/* ---- operations ---- */

void ring_accept(struct ring *ring, struct ring_operation *operation, int listening_fd)
{
    ASSERT(operation != NULL && listening_fd >= 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_multishot_accept(sqe, listening_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data(sqe, operation);
}

void ring_receive(struct ring *ring, struct ring_operation *operation, int fd)
{
    ASSERT(operation != NULL && fd >= 0);
    ASSERT(ring->buffer_count > 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    io_uring_sqe_set_data(sqe, operation);
}

uint8_t *ring_buffer(struct ring *ring, uint32_t flags)
{
    ASSERT((flags & RING_BUFFER) != 0);
    return buffer_at(ring, flags >> IORING_CQE_BUFFER_SHIFT);
}

void ring_buffer_return(struct ring *ring, uint32_t flags)
{
    ASSERT((flags & RING_BUFFER) != 0);
    ASSERT(ring->lent > 0);
    uint32_t index = flags >> IORING_CQE_BUFFER_SHIFT;
    io_uring_buf_ring_add(ring->buffer_ring, buffer_at(ring, index), ring->buffer_bytes,
                          (uint16_t)index, io_uring_buf_ring_mask(ring->buffer_count),
                          (int)ring->returned);
    ring->returned++;
    ring->lent--;
}

void ring_send(struct ring *ring, struct ring_operation *operation, int fd, const uint8_t *data,
               size_t size)
{
    ASSERT(operation != NULL && fd >= 0);
    ASSERT(size > 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_send(sqe, fd, data, size < SEND_BYTES_MAX ? size : SEND_BYTES_MAX, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, operation);
}

void ring_send_vector(struct ring *ring, struct ring_operation *operation, int fd,
                      const struct msghdr *message)
{
    ASSERT(operation != NULL && fd >= 0);
    ASSERT(message->msg_iovlen > 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, operation);
}

void ring_cancel_fd(struct ring *ring, int fd)
{
    ASSERT(fd >= 0);
    struct io_uring_sqe *sqe = operation_entry(ring, NULL);
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data(sqe, NULL);
}

void ring_cancel(struct ring *ring, struct ring_operation *operation)
{
    ASSERT(operation != NULL);
    struct io_uring_sqe *sqe = operation_entry(ring, NULL);
    io_uring_prep_cancel(sqe, operation, 0);
    io_uring_sqe_set_data(sqe, NULL);
}

void ring_close(struct ring *ring, int fd)
{
    ASSERT(fd >= 0);
    struct io_uring_sqe *sqe = operation_entry(ring, NULL);
    io_uring_prep_close(sqe, fd);
    io_uring_sqe_set_data(sqe, NULL);
}

void ring_write(struct ring *ring, struct ring_operation *operation, int fd, uint64_t offset,
                const uint8_t *data, size_t size, bool durable)
{
    ASSERT(operation != NULL && fd >= 0);
    ASSERT(size > 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_write(sqe, fd, data, (uint32_t)(size < SEND_BYTES_MAX ? size : SEND_BYTES_MAX),
                        offset);
    sqe->rw_flags = durable ? RWF_DSYNC : 0;
    io_uring_sqe_set_data(sqe, operation);
}

void ring_sync(struct ring *ring, struct ring_operation *operation, int fd)
{
    ASSERT(operation != NULL && fd >= 0);
    struct io_uring_sqe *sqe = operation_entry(ring, operation);
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, operation);
}
