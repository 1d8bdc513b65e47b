#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "net/ring/ring.h"
#include "protocol/base/list.h"

#define SECOND_NS 1000000000ull

static uint64_t now_ns(void)
{
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static struct ring *open_ring(const struct ring_options *options)
{
    struct ring *ring;
    struct ring_failure failure;
    cr_assert_eq(ring_create(options, &ring, &failure), STATUS_OK, "%s", failure.text);
    cr_assert_eq(ring_start(ring, &failure), STATUS_OK, "%s", failure.text);
    return ring;
}

struct recorded {
    struct ring_operation operation;
    struct ring *ring;
    uint32_t count;
    int result;
    uint32_t flags;
    size_t bytes;
    uint32_t hash;
    bool hold; /* buffers are not given back */
    uint32_t held[64];
    uint32_t held_count;
};

static void record(struct ring_operation *operation, int result, uint32_t flags)
{
    struct recorded *recorded = CONTAINER_OF(operation, struct recorded, operation);
    recorded->count++;
    recorded->result = result;
    recorded->flags = flags;
    if ((flags & RING_BUFFER) != 0) {
        const uint8_t *data = ring_buffer(recorded->ring, flags);
        for (int i = 0; i < result; i++) {
            recorded->hash = recorded->hash * 31 + data[i];
        }
        recorded->bytes += (size_t)result;
        if (recorded->hold) {
            recorded->held[recorded->held_count++] = flags;
        } else {
            ring_buffer_return(recorded->ring, flags);
        }
    }
}

static struct recorded recorder(struct ring *ring)
{
    return (struct recorded){.operation = {record}, .ring = ring};
}

static void turn(struct ring *ring, uint64_t timeout_ns)
{
    cr_assert_eq(ring_wait(ring, timeout_ns), STATUS_OK);
    (void)ring_dispatch(ring);
}

static void turn_until(struct ring *ring, const uint32_t *count, uint32_t wanted)
{
    uint64_t end_ns = now_ns() + 10 * SECOND_NS;
    while (*count < wanted && now_ns() < end_ns) {
        turn(ring, SECOND_NS);
    }
    cr_assert_geq(*count, wanted);
}

Test(ring, a_wait_ends_at_its_timeout)
{
    struct ring *ring = open_ring(&(struct ring_options){0});
    uint64_t begin_ns = now_ns();
    turn(ring, 30000000);
    cr_assert_geq(now_ns() - begin_ns, 29000000u);
    turn(ring, 0);
    ring_destroy(&ring);
    cr_assert_null(ring);
    ring_destroy(&ring);
}

static void *wake_thread(void *argument)
{
    struct ring *ring = (struct ring *)argument;
    for (int i = 0; i < 3; i++) {
        ring_wake(ring);
    }
    return NULL;
}

Test(ring, another_thread_wakes_it_before_and_while_it_sleeps)
{
    struct ring *ring = open_ring(&(struct ring_options){0});
    ring_wake(ring);
    turn(ring, 60 * SECOND_NS);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        turn(ring, 0);
        cr_assert_eq(pthread_create(&thread, NULL, wake_thread, ring), 0);
        uint64_t begin_ns = now_ns();
        turn(ring, 60 * SECOND_NS);
        cr_assert_lt(now_ns() - begin_ns, 50 * SECOND_NS);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    ring_destroy(&ring);
}

Test(ring, a_look_tells_of_what_has_come_without_a_call)
{
    const struct ring_options options = {.buffer_count = 8, .buffer_bytes = 64};
    struct ring *ring = open_ring(&options);
    cr_assert_eq(ring_wait(ring, 0), STATUS_OK); /* arms what ring_wake ends */
    cr_assert_not(ring_has_work(ring));
    ring_wake(ring);
    cr_assert(ring_has_work(ring));
    cr_assert_eq(ring_wait(ring, 0), STATUS_OK);
    (void)ring_dispatch(ring);
    cr_assert_not(ring_has_work(ring));
    ring_destroy(&ring);
}

Test(ring, bytes_go_through_a_pair_of_sockets)
{
    struct ring *ring = open_ring(&(struct ring_options){.buffer_count = 4, .buffer_bytes = 256});
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    struct recorded receive = recorder(ring);
    struct recorded send = recorder(ring);
    uint8_t data[1000];
    uint32_t hash = 0;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7);
        hash = hash * 31 + data[i];
    }
    ring_receive(ring, &receive.operation, sockets[0]);
    ring_send(ring, &send.operation, sockets[1], data, sizeof(data));
    turn_until(ring, &send.count, 1);
    cr_assert_eq(send.result, (int)sizeof(data));
    for (int i = 0; i < 10 && receive.bytes < sizeof(data); i++) {
        turn(ring, SECOND_NS / 10);
        if ((receive.flags & RING_MORE) == 0) {
            ring_receive(ring, &receive.operation, sockets[0]);
        }
    }
    cr_assert_eq(receive.bytes, sizeof(data));
    cr_assert_eq(receive.hash, hash);
    cr_assert_eq(close(sockets[1]), 0);
    uint32_t seen = receive.count;
    turn_until(ring, &receive.count, seen + 1);
    cr_assert_eq(receive.result, 0);
    cr_assert_eq(receive.flags & RING_MORE, 0);
    ring_close(ring, sockets[0]);
    turn(ring, 0);
    ring_destroy(&ring);
}

Test(ring, without_a_free_buffer_the_receive_ends_and_can_be_started_again)
{
    struct ring *ring = open_ring(&(struct ring_options){.buffer_count = 2, .buffer_bytes = 64});
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    struct recorded receive = recorder(ring);
    receive.hold = true;
    uint8_t data[200] = {0};
    cr_assert_eq(write(sockets[1], data, sizeof(data)), (ssize_t)sizeof(data));
    ring_receive(ring, &receive.operation, sockets[0]);
    for (int i = 0; i < 10 && receive.result != -ENOBUFS; i++) {
        turn(ring, SECOND_NS / 10);
    }
    cr_assert_eq(receive.result, -ENOBUFS);
    cr_assert_eq(receive.flags & RING_MORE, 0);
    cr_assert_eq(receive.bytes, 128);
    struct ring_statistics statistics;
    ring_statistics_read(ring, &statistics);
    cr_assert_eq(statistics.buffers_short, 1);
    while (receive.held_count > 0) {
        ring_buffer_return(ring, receive.held[--receive.held_count]);
    }
    receive.hold = false;
    turn(ring, 0);
    ring_receive(ring, &receive.operation, sockets[0]);
    for (int i = 0; i < 10 && receive.bytes < sizeof(data); i++) {
        turn(ring, SECOND_NS / 10);
    }
    cr_assert_eq(receive.bytes, sizeof(data));
    cr_assert_eq(close(sockets[0]), 0);
    cr_assert_eq(close(sockets[1]), 0);
    ring_destroy(&ring);
}

Test(ring, cancelled_operations_complete)
{
    struct ring *ring = open_ring(&(struct ring_options){.buffer_count = 2, .buffer_bytes = 64});
    int sockets[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    struct recorded first = recorder(ring);
    struct recorded second = recorder(ring);
    ring_receive(ring, &first.operation, sockets[0]);
    ring_receive(ring, &second.operation, sockets[1]);
    turn(ring, 0);
    ring_cancel(ring, &first.operation);
    turn_until(ring, &first.count, 1);
    cr_assert_eq(first.result, -ECANCELED);
    ring_cancel_fd(ring, sockets[1]);
    turn_until(ring, &second.count, 1);
    cr_assert_eq(second.result, -ECANCELED);
    cr_assert_eq(second.flags & RING_MORE, 0);
    cr_assert_eq(close(sockets[0]), 0);
    cr_assert_eq(close(sockets[1]), 0);
    ring_destroy(&ring);
}

Test(ring, more_operations_than_entries_are_submitted_early_and_all_complete)
{
    struct ring *ring = open_ring(&(struct ring_options){.entry_count = 8, .completion_count = 16});
    char path[] = "/tmp/ring-test-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(unlink(path), 0);
    static struct recorded writes[500];
    static uint8_t data[16];
    for (int i = 0; i < 500; i++) {
        writes[i] = recorder(ring);
        ring_write(ring, &writes[i].operation, fd, (uint64_t)i * sizeof(data), data, sizeof(data),
                   false);
        cr_assert_eq(writes[i].count, 0, "completed inside a submit");
    }
    for (int i = 0; i < 500; i++) {
        turn_until(ring, &writes[i].count, 1);
        cr_assert_eq(writes[i].result, (int)sizeof(data));
    }
    struct recorded sync = recorder(ring);
    ring_sync(ring, &sync.operation, fd);
    turn_until(ring, &sync.count, 1);
    cr_assert_eq(sync.result, 0);
    struct ring_statistics statistics;
    ring_statistics_read(ring, &statistics);
    cr_assert_gt(statistics.early_submits, 0);
    cr_assert_geq(statistics.completions, 501);
    cr_assert_eq(close(fd), 0);
    ring_destroy(&ring);
}

/* ---- io_uring is refused ---- */

static void refuse_setup(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void expect_refused(int error, const char *fix)
{
    struct ring *ring;
    struct ring_failure failure;
    refuse_setup(error);
    cr_assert_eq(ring_create(&(struct ring_options){0}, &ring, &failure), STATUS_UNSUPPORTED);
    cr_assert_null(ring);
    cr_assert_not_null(strstr(failure.text, fix), "%s", failure.text);
    cr_assert_not_null(strstr(failure.text, "seccomp"), "%s", failure.text);
}

Test(ring, where_io_uring_is_forbidden_it_says_what_to_change)
{
    expect_refused(EPERM, "kernel.io_uring_disabled");
}

Test(ring, where_io_uring_is_missing_it_says_what_is_needed)
{
    expect_refused(ENOSYS, "Linux 6.1");
}
