/*
 * ring.h: the io_uring loop of one thread: submit, wait, then run the completions that were
 * collected.
 *
 *     for (;;) {
 *         ring_wait(ring, timeout_ns);   submits all that is queued, sleeps, collects; runs nothing
 *         now_ns = clock;
 *         ring_dispatch(ring);           runs the completions
 *     }
 *
 * Owner:     the thread that called ring_start; only ring_wake may be called by others (also by
 *            threads without a ring).
 * Memory:    taken by ring_create. An operation is embedded by the caller and untouchable until its
 *            completion has run; a multishot operation until a completion without RING_MORE.
 *            Operations with `operation` NULL tell nobody.
 * Time:      ring_wait sleeps at most the time it is given; no timer is ever submitted to the
 *            kernel.
 * Invariant: no completion runs inside ring_wait or a ring_ function that queues an operation.
 *            Every receive buffer is with the kernel or with the completion that it was given to.
 * Errors:    results are as the kernel gives them: >= 0, or a negative errno. Where the kernel or
 *            the container refuses io_uring altogether, ring_create says so, with the fix, in
 *            failure_out.
 * Tests:     tests/unit/net/ring/.
 */
#ifndef FRESHET_NET_RING_RING_H
#define FRESHET_NET_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "protocol/base/status.h"

#define RING_WAIT_FOREVER      UINT64_MAX
#define RING_FAILURE_BYTES_MAX 512
#define RING_BUFFERS_MAX       32768

/* Flags of a completion. */
#define RING_BUFFER 1u /* it carries a receive buffer: ring_buffer, then ring_buffer_return */
#define RING_MORE   2u /* the operation goes on; more completions will come */

struct ring;

struct ring_operation {
    void (*complete)(struct ring_operation *operation, int result, uint32_t flags);
};

struct ring_options {
    /* operations queued between two waits before they are submitted early; 0: 1024 */
    uint32_t entry_count;
    uint32_t completion_count; /* 0: 16 times as many */
    uint32_t buffer_count;     /* for ring_receive; a power of two; 0: none */
    uint32_t buffer_bytes;
};

/* A message for people. */
struct ring_failure {
    char text[RING_FAILURE_BYTES_MAX];
};

struct ring_statistics {
    uint64_t waits; /* turns */
    uint64_t completions;
    uint64_t early_submits; /* the submission queue was full */
    uint64_t buffers_short; /* receives that ended because no buffer was free */
};

/*
 * May be called by any thread. UNSUPPORTED: io_uring is refused here (failure_out says what to
 * change); NO_MEMORY; IO_ERROR. On failure *out is NULL.
 */
MUST_USE enum status ring_create(const struct ring_options *options, struct ring **out,
                                 struct ring_failure *failure_out);
/* By the thread that will use it, once, before ring_wait. Operations may be queued earlier. */
MUST_USE enum status ring_start(struct ring *ring, struct ring_failure *failure_out);
/* No operation may be in flight whose memory goes away before the kernel has let go of it: cancel
 * and dispatch first. Accepts NULL; sets *ring to NULL. By the thread that uses it, or when that
 * one has ended. */
void ring_destroy(struct ring **ring);

/* Submits what is queued and waits for a completion, ring_wake or the timeout (0: does not sleep).
 * OK also when woken by a signal; IO_ERROR when the ring cannot be used any more. */
MUST_USE enum status ring_wait(struct ring *ring, uint64_t timeout_ns);
/* Completions are there, or would be after a ring_wait: a look at memory, no system call. */
bool ring_has_work(const struct ring *ring);
/* Runs the completions collected so far; returns how many. Those that arrive meanwhile run next
 * time. */
uint32_t ring_dispatch(struct ring *ring);
/* Any thread, any time between ring_create and ring_destroy: the owner's ring_wait returns, now or
 * the next time. A system call. */
void ring_wake(struct ring *ring);
void ring_statistics_read(const struct ring *ring, struct ring_statistics *out); /* owner */

/* ---- sockets ---- */

/* Completes with a new socket, again and again. */
void ring_accept(struct ring *ring, struct ring_operation *operation, int listening_fd);
/* Completes with bytes in a receive buffer, again and again, until 0 (the other side has ended), an
 * error, or ENOBUFS: no buffer was free; ask again. */
void ring_receive(struct ring *ring, struct ring_operation *operation, int fd);
uint8_t *ring_buffer(struct ring *ring, uint32_t flags);
void ring_buffer_return(struct ring *ring, uint32_t flags);
/* May complete with fewer bytes than asked. */
void ring_send(struct ring *ring, struct ring_operation *operation, int fd, const uint8_t *data,
               size_t size);
/* message and all it points to must live until the completion. */
void ring_send_vector(struct ring *ring, struct ring_operation *operation, int fd,
                      const struct msghdr *message);
/* Ends all operations on fd, each with a completion (ECANCELED, unless it was quicker). */
void ring_cancel_fd(struct ring *ring, int fd);
void ring_cancel(struct ring *ring, struct ring_operation *operation);
void ring_close(struct ring *ring, int fd);

/* ---- files ---- */

/* durable: completes when the data is on stable storage (RWF_DSYNC). May write fewer bytes than
 * asked. */
void ring_write(struct ring *ring, struct ring_operation *operation, int fd, uint64_t offset,
                const uint8_t *data, size_t size, bool durable);
/* fdatasync */
void ring_sync(struct ring *ring, struct ring_operation *operation, int fd);

#endif
