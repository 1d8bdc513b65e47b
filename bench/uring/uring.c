#include "bench/uring/uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/base/assert.h"

static void refused(const char *what, int error)
{
    fprintf(stderr, "io_uring: %s: %s\n", what, strerror(error));
    if (error == EPERM || error == ENOSYS) {
        fprintf(stderr,
                "io_uring is not allowed here; a container needs a seccomp profile that allows "
                "io_uring_setup, io_uring_enter and io_uring_register\n");
    }
}

static size_t buffer_ring_bytes(uint32_t buffer_count)
{
    return (size_t)buffer_count * sizeof(struct io_uring_buf);
}

static enum status buffers_init(struct uring *uring)
{
    size_t ring_bytes = buffer_ring_bytes(uring->buffer_count);
    void *ring_memory =
        mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (ring_memory == MAP_FAILED) {
        return STATUS_NO_MEMORY;
    }
    uring->buffers = (struct io_uring_buf_ring *)ring_memory;
    uring->memory =
        (uint8_t *)aligned_alloc(4096, (size_t)uring->buffer_count * uring->buffer_bytes);
    if (uring->memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)ring_memory,
        .ring_entries = uring->buffer_count,
        .bgid = URING_BUFFER_GROUP,
    };
    int result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result < 0) {
        refused("the ring of receive buffers", -result);
        return STATUS_IO_ERROR;
    }
    io_uring_buf_ring_init(uring->buffers);
    for (uint32_t i = 0; i < uring->buffer_count; i++) {
        io_uring_buf_ring_add(uring->buffers, uring->memory + (size_t)i * uring->buffer_bytes,
                              uring->buffer_bytes, (uint16_t)i,
                              io_uring_buf_ring_mask(uring->buffer_count), (int)i);
    }
    io_uring_buf_ring_advance(uring->buffers, (int)uring->buffer_count);
    return STATUS_OK;
}

enum status uring_init(struct uring *uring, const struct uring_options *options)
{
    ASSERT(options->buffer_count > 0 && options->buffer_count <= 32768);
    ASSERT((options->buffer_count & (options->buffer_count - 1)) == 0);
    ASSERT(options->buffer_bytes % 4096 == 0 ||
           options->buffer_bytes * options->buffer_count % 4096 == 0);
    memset(uring, 0, sizeof(*uring));
    uring->ring.ring_fd = -1;
    uring->buffer_count = options->buffer_count;
    uring->buffer_bytes = options->buffer_bytes;
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = options->completion_count,
    };
    int result = io_uring_queue_init_params(options->entry_count, &uring->ring, &parameters);
    if (result < 0) {
        uring->ring.ring_fd = -1;
        refused("the ring", -result);
        return STATUS_IO_ERROR;
    }
    enum status status = STATUS_OK;
    result = io_uring_register_ring_fd(&uring->ring);
    if (result < 0) {
        refused("registering the ring's descriptor", -result);
        status = STATUS_IO_ERROR;
    }
    if (status == STATUS_OK) {
        status = buffers_init(uring);
    }
    if (status != STATUS_OK) {
        uring_deinit(uring);
    }
    return status;
}

void uring_deinit(struct uring *uring)
{
    if (uring->ring.ring_fd >= 0) {
        io_uring_queue_exit(&uring->ring);
        uring->ring.ring_fd = -1;
    }
    if (uring->buffers != NULL) {
        munmap(uring->buffers, buffer_ring_bytes(uring->buffer_count));
        uring->buffers = NULL;
    }
    free(uring->memory);
    uring->memory = NULL;
}

struct io_uring_sqe *uring_entry(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (sqe == NULL) {
        int submitted = io_uring_submit(&uring->ring);
        ASSERT(submitted >= 0);
        sqe = io_uring_get_sqe(&uring->ring);
    }
    ASSERT(sqe != NULL);
    return sqe;
}

enum status uring_turn(struct uring *uring, uint64_t timeout_ns)
{
    if (uring->returned > 0) {
        io_uring_buf_ring_advance(uring->buffers, (int)uring->returned);
        uring->returned = 0;
    }
    int result;
    if (timeout_ns == URING_WAIT_FOREVER) {
        result = io_uring_submit_and_wait(&uring->ring, 1);
    } else if (timeout_ns == 0) {
        result = io_uring_submit_and_get_events(&uring->ring);
    } else {
        struct __kernel_timespec timeout = {
            .tv_sec = (int64_t)(timeout_ns / 1000000000u),
            .tv_nsec = (int64_t)(timeout_ns % 1000000000u),
        };
        struct io_uring_cqe *cqe;
        result = io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
    }
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        refused("submit and wait", -result);
        return STATUS_IO_ERROR;
    }
    /* One enter runs only some of the deferred work; without this, batches stay at about 40
     * completions. */
    for (uint32_t run = 0; run < URING_TASK_RUNS_MAX; run++) {
        if ((IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_TASKRUN) == 0) {
            break;
        }
        if (io_uring_get_events(&uring->ring) < 0) {
            break;
        }
    }
    return STATUS_OK;
}

static uint32_t buffer_index(const struct io_uring_cqe *cqe)
{
    ASSERT((cqe->flags & IORING_CQE_F_BUFFER) != 0);
    return cqe->flags >> IORING_CQE_BUFFER_SHIFT;
}

uint8_t *uring_buffer(struct uring *uring, const struct io_uring_cqe *cqe)
{
    uint32_t index = buffer_index(cqe);
    ASSERT(index < uring->buffer_count);
    return uring->memory + (size_t)index * uring->buffer_bytes;
}

void uring_buffer_return(struct uring *uring, const struct io_uring_cqe *cqe)
{
    uint32_t index = buffer_index(cqe);
    ASSERT(index < uring->buffer_count);
    ASSERT(uring->returned < uring->buffer_count);
    io_uring_buf_ring_add(uring->buffers, uring->memory + (size_t)index * uring->buffer_bytes,
                          uring->buffer_bytes, (uint16_t)index,
                          io_uring_buf_ring_mask(uring->buffer_count), (int)uring->returned);
    uring->returned += 1;
}
