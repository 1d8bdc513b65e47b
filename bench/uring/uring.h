/*
 * uring.h: the io_uring loop that the floor and the load generator share: a ring, a ring of
 * provided receive buffers, and one turn of the loop. It is deliberately not net/ring: the floor
 * must stay what the kernel can do at best, whatever the server's loop becomes.
 *
 * Owner:     the thread that called uring_init (SINGLE_ISSUER); nothing here may cross threads.
 * Memory:    everything is taken by uring_init; a received buffer is the caller's until
 *            uring_buffer_return.
 * Time:      uring_turn waits at most the time it is given.
 * Invariant: every buffer is either in the kernel's ring or with the caller.
 */
#ifndef FRESHET_BENCH_URING_URING_H
#define FRESHET_BENCH_URING_URING_H

#include <liburing.h>
#include <stdint.h>

#include "protocol/base/status.h"

#define URING_BUFFER_GROUP 0
/* Runs of deferred task work in one turn; each posts at least 20 completions where there are so
 * many. */
#define URING_TASK_RUNS_MAX 256
#define URING_WAIT_FOREVER  UINT64_MAX

struct uring_options {
    uint32_t entry_count;      /* submissions; a power of two */
    uint32_t completion_count; /* a power of two */
    uint32_t buffer_count;     /* a power of two, at most 32768 */
    uint32_t buffer_bytes;
};

struct uring {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    uint32_t buffer_count;
    uint32_t buffer_bytes;
    uint32_t returned; /* buffers handed back since the last publish */
};

/* On failure nothing stays allocated; what the kernel refused has been said on stderr. */
MUST_USE enum status uring_init(struct uring *uring, const struct uring_options *options);
void uring_deinit(struct uring *uring);

/* A free submission entry; submits what is there when the queue is full. */
struct io_uring_sqe *uring_entry(struct uring *uring);

/* Publishes returned buffers, submits, waits for a completion or for timeout_ns, and runs all
 * deferred task work. */
MUST_USE enum status uring_turn(struct uring *uring, uint64_t timeout_ns);

/* The bytes of a receive completion that carries IORING_CQE_F_BUFFER. */
uint8_t *uring_buffer(struct uring *uring, const struct io_uring_cqe *cqe);
void uring_buffer_return(struct uring *uring, const struct io_uring_cqe *cqe);

#endif
