/*
 * turns.c: what a server that runs under callgrind gets by LD_PRELOAD, so that its instructions can
 * be counted and are the same each time.
 *
 * Waiting: valgrind 3.19 runs one thread at a time and does not know that io_uring_enter may block,
 * so a thread that waits in it keeps all others from running. Here it waits in poll(), which
 * valgrind knows, for the ring's eventfd: a poll of the ring itself is not woken by completions
 * that wait for their thread (IORING_SETUP_DEFER_TASKRUN).
 * Time:    a thread that waits on a ring has a clock of its own: TURN_NS a turn, and what it wanted
 * to wait where nothing came. Timers then fall due once in so many turns, as they do at full
 * speed, and not by how slow callgrind is at the moment.
 *
 * Owner:     each thread has its own clock and eventfd; nothing is shared.
 * Invariant: a thread's clock never goes back.
 * Tests:     tests/integration/test_instructions.py
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* About what a turn takes at full speed. */
#define TURN_NS 20000
/* How many times longer than asked is waited before it counts that nothing came: who asks is not
 * slowed down by callgrind, but may have to wait for a core. */
#define PATIENCE 20
/* A signal that is raised in the middle of another eventfd's may be lost; the ring is looked at
 * again after so long. */
#define SLICE_MS 50
/* Before each look at what has come: time for the other side to answer what was just sent, so that
 * a turn finds its next requests along with the completion of the send, and not now and then. */
#define PAUSE_MS  1
#define MS_NS     1000000
#define SECOND_NS 1000000000
#define EXPORTED  __attribute__((visibility("default")))

/* 0: this thread has never waited on a ring, and its clock is the system's. */
static _Thread_local int64_t turns_now_ns;
static _Thread_local int turns_event_fd;

EXPORTED int clock_gettime(clockid_t clock, struct timespec *out)
{
    bool monotonic = clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE;
    if (!monotonic || turns_now_ns == 0) {
        return (int)syscall(SYS_clock_gettime, clock, out);
    }
    *out =
        (struct timespec){.tv_sec = turns_now_ns / SECOND_NS, .tv_nsec = turns_now_ns % SECOND_NS};
    return 0;
}

static void turn_begin(struct io_uring *ring)
{
    if (turns_now_ns == 0) {
        struct timespec now = {0};
        turns_event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (turns_event_fd < 0 || io_uring_register_eventfd(ring, turns_event_fd) != 0 ||
            clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
            abort();
        }
        turns_now_ns = (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
    }
    turns_now_ns += TURN_NS;
}

/* timeout_ns below 0: for ever. */
static int wait_for(struct io_uring *ring, int64_t timeout_ns)
{
    int64_t left_ms = timeout_ns * PATIENCE / MS_NS + 1;
    while (timeout_ns < 0 || left_ms > 0) {
        struct pollfd ready = {.fd = turns_event_fd, .events = POLLIN};
        int slice_ms = timeout_ns < 0 || left_ms > SLICE_MS ? SLICE_MS : (int)left_ms;
        if (poll(&ready, 1, slice_ms) == 1) {
            eventfd_t count;
            (void)eventfd_read(turns_event_fd, &count);
        } else {
            left_ms -= slice_ms;
        }
        int result = io_uring_get_events(ring);
        if (result < 0 || io_uring_cq_ready(ring) > 0) {
            return result;
        }
    }
    turns_now_ns += timeout_ns;
    return -ETIME;
}

static int submit_and_wait(struct io_uring *ring, int64_t timeout_ns)
{
    turn_begin(ring);
    int submitted = io_uring_submit(ring);
    (void)poll(NULL, 0, PAUSE_MS);
    int result = submitted < 0 ? submitted : io_uring_get_events(ring);
    if (result < 0 || io_uring_cq_ready(ring) > 0) {
        return result < 0 ? result : submitted;
    }
    result = wait_for(ring, timeout_ns);
    return result < 0 ? result : submitted;
}

EXPORTED int io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    (void)count;
    return submit_and_wait(ring, -1);
}

EXPORTED int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe_out,
                                              unsigned count, struct __kernel_timespec *timeout,
                                              sigset_t *mask)
{
    (void)cqe_out;
    (void)count;
    (void)mask;
    return submit_and_wait(ring, (int64_t)timeout->tv_sec * SECOND_NS + timeout->tv_nsec);
}
