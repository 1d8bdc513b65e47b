#include "bench/stream/run.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/stream/frames.h"
#include "bench/stream/notices.h"
#include "bench/stream/wire.h"
#include "protocol/base/assert.h"

#define EVENTS_MAX    256
#define DUE_COUNT     (1u << 20) /* writes whose notice may still come */
#define RECEIVE_BYTES (256u << 10)
#define SUBSCRIBE_S   20
#define DRAIN_NS      2000000000ull
#define IDLE_WAIT_NS  100000000ull
#define STUCK_RECEIVE 4096
#define SECOND_NS     1000000000ull

enum role { ROLE_WRITER, ROLE_SUBSCRIBER, ROLE_STUCK };

struct peer {
    enum role role;
    int fd;
    struct peer *next_idle; /* a writer without a write */
    uint64_t due_ns;        /* of its write */
    size_t in_size;
    uint8_t *in;             /* a writer's answer so far */
    struct notices *notices; /* a subscriber's */
    struct run *run;
};

struct run {
    const struct stream_options *options;
    struct run_report *report;
    int epoll;
    struct peer *peers;
    uint32_t peer_count;
    struct peer *idle;
    uint32_t busy;
    uint64_t first_serial;
    uint64_t issued;
    uint64_t begin_ns; /* of what is due */
    uint64_t from_ns;  /* of what is measured */
    uint64_t to_ns;
    bool measuring;
    bool failed;
    uint64_t now_ns;
    uint64_t told; /* notices of all writes */
    uint64_t first_told_ns;
    uint64_t *due; /* by serial */
    uint8_t *receive;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static bool fail(struct run *run, const char *what)
{
    if (!run->failed) {
        fprintf(stderr, "bench_stream: %s%s%s\n", what, errno != 0 ? ": " : "",
                errno != 0 ? strerror(errno) : "");
    }
    run->failed = true;
    return false;
}

static void *memory_take(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "bench_stream: there is no memory for so many connections\n");
        exit(1);
    }
    return memory;
}

/* ---- notices ---- */

static void serial_told(void *context, uint64_t serial)
{
    struct run *run = context;
    run->told++;
    if (run->told == 1) {
        run->first_told_ns = run->now_ns;
    }
    uint64_t number = serial - run->first_serial;
    if (serial < run->first_serial || number >= run->issued || run->issued - number > DUE_COUNT) {
        return; /* of an earlier run, or too late to be judged */
    }
    uint64_t due_ns = run->due[number % DUE_COUNT];
    if (due_ns >= run->from_ns && due_ns < run->to_ns) {
        run->report->notices++;
        histogram_record(&run->report->notice_ns, run->now_ns - due_ns);
    }
}

/* ---- connections ---- */

static bool peer_connect(struct run *run, struct peer *peer)
{
    const int on = 1;
    const int small = STUCK_RECEIVE;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0) {
        return fail(run, "socket");
    }
    (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (peer->role == ROLE_STUCK) {
        (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    if (connect(peer->fd, (const struct sockaddr *)&run->options->target,
                sizeof(run->options->target)) != 0) {
        return fail(run, "connect");
    }
    return true;
}

static bool peer_watch(struct run *run, struct peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    return epoll_ctl(run->epoll, EPOLL_CTL_ADD, peer->fd, &event) == 0 || fail(run, "epoll");
}

static bool send_all(struct run *run, struct peer *peer, struct bytes bytes)
{
    /* A request fits into the socket's buffer, which is empty: the last one was answered. */
    ssize_t sent = send(peer->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    return sent == (ssize_t)bytes.size || fail(run, "send");
}

/* A writer's greeting, and the answer to it. */
static bool peer_greet(struct run *run, struct peer *peer)
{
    const struct timeval patience = {.tv_sec = SUBSCRIBE_S};
    uint8_t bytes[1024];
    struct writer hello = writer_of(bytes, sizeof(bytes));
    frames_hello(&hello);
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (!send_all(run, peer, writer_bytes(&hello))) {
        return false;
    }
    size_t size = 0;
    enum wire_state state = WIRE_MORE;
    struct bytes rest = BYTES_EMPTY;
    while (state == WIRE_MORE && size < sizeof(bytes)) {
        ssize_t got = recv(peer->fd, bytes + size, sizeof(bytes) - size, 0);
        if (got <= 0) {
            return fail(run, "a greeting was not answered");
        }
        size += (size_t)got;
        state = frames_answer(bytes_of(bytes, size), &rest);
    }
    errno = 0;
    return state == WIRE_DONE || fail(run, "a greeting was refused");
}

/* Asks, and waits until the subscription has begun. */
static bool peer_subscribe(struct run *run, struct peer *peer, uint32_t index)
{
    const struct timeval patience = {.tv_sec = SUBSCRIBE_S};
    uint8_t text[8192];
    struct writer request = writer_of(text, sizeof(text));
    wire_subscribe(run->options, index, &request);
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (!send_all(run, peer, writer_bytes(&request))) {
        return false;
    }
    size_t size = 0;
    enum wire_state state = WIRE_MORE;
    enum notices_framing framing = NOTICES_LINES;
    struct bytes rest = BYTES_EMPTY;
    while (state == WIRE_MORE && size < sizeof(text)) {
        ssize_t got = recv(peer->fd, text + size, sizeof(text) - size, 0);
        if (got <= 0) {
            return fail(run, "a subscription was not answered");
        }
        size += (size_t)got;
        state = wire_subscribed(run->options, bytes_of(text, size), &framing, &rest);
    }
    if (state != WIRE_DONE) {
        errno = 0;
        fprintf(stderr, "%.*s\n", (int)size, (const char *)text);
        return fail(run, "a subscription was refused");
    }
    if (peer->role == ROLE_SUBSCRIBER) {
        peer->notices = memory_take(1, sizeof(*peer->notices));
        notices_init(peer->notices, framing);
        run->now_ns = clock_ns(CLOCK_MONOTONIC);
        notices_feed(peer->notices, rest, serial_told, run);
        return peer_watch(run, peer);
    }
    return true;
}

static bool peers_open(struct run *run)
{
    const struct stream_options *options = run->options;
    uint32_t writers = options->catch_up > 0 ? 0 : options->writers;
    run->peers = memory_take(writers + options->subscribers + options->stuck, sizeof(struct peer));
    for (uint32_t index = 0; index < writers + options->subscribers + options->stuck; index++) {
        struct peer *peer = &run->peers[run->peer_count++];
        peer->run = run;
        peer->role = index < options->stuck                          ? ROLE_STUCK
                     : index < options->stuck + options->subscribers ? ROLE_SUBSCRIBER
                                                                     : ROLE_WRITER;
        if (!peer_connect(run, peer)) {
            return false;
        }
        if (peer->role == ROLE_WRITER && wire_has_frames(options) && !peer_greet(run, peer)) {
            return false;
        }
        if (peer->role != ROLE_WRITER) {
            uint32_t number = index < options->stuck ? index : index - options->stuck;
            if (!peer_subscribe(run, peer, number)) {
                return false;
            }
            continue;
        }
        peer->in = memory_take(1, WIRE_ANSWER_BYTES_MAX);
        peer->next_idle = run->idle;
        run->idle = peer;
        if (!peer_watch(run, peer)) {
            return false;
        }
    }
    return true;
}

static void peers_close(struct run *run)
{
    for (uint32_t index = 0; index < run->peer_count; index++) {
        close(run->peers[index].fd);
        free(run->peers[index].in);
        free(run->peers[index].notices);
    }
    free(run->peers);
}

/* ---- writes ---- */

static void write_issue(struct run *run, uint64_t due_ns)
{
    uint8_t text[WIRE_REQUEST_BYTES_MAX];
    struct writer request = writer_of(text, sizeof(text));
    struct peer *peer = run->idle;
    ASSERT(peer != NULL);
    run->idle = peer->next_idle;
    run->busy++;
    peer->due_ns = due_ns;
    peer->in_size = 0;
    run->due[run->issued % DUE_COUNT] = due_ns;
    if (due_ns >= run->from_ns && due_ns < run->to_ns) {
        run->report->notices_expected += run->options->distinct ? 1 : run->options->subscribers;
    }
    wire_write(run->options, run->first_serial + run->issued, &request);
    run->issued++;
    (void)send_all(run, peer, writer_bytes(&request));
}

static void writes_issue(struct run *run)
{
    while (run->idle != NULL && !run->failed) {
        uint64_t due_ns = run->now_ns;
        if (run->options->rate > 0) {
            due_ns = run->begin_ns +
                     (uint64_t)((double)run->issued / run->options->rate * (double)SECOND_NS);
        }
        if (due_ns > run->now_ns || due_ns >= run->to_ns) {
            return;
        }
        write_issue(run, due_ns);
        run->now_ns = clock_ns(CLOCK_MONOTONIC);
    }
}

static void write_answered(struct run *run, struct peer *peer)
{
    ASSERT(run->busy > 0);
    if (peer->due_ns >= run->from_ns && peer->due_ns < run->to_ns) {
        histogram_record(&run->report->write_ns, run->now_ns - peer->due_ns);
    }
    if (run->now_ns >= run->from_ns && run->now_ns < run->to_ns) {
        run->report->writes++;
    }
    run->busy--;
    peer->next_idle = run->idle;
    run->idle = peer;
}

static void writer_readable(struct run *run, struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->in + peer->in_size, WIRE_ANSWER_BYTES_MAX - peer->in_size,
                       MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            (void)fail(run, "a writer's connection ended");
        }
        return;
    }
    peer->in_size += (size_t)got;
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    enum wire_state state = wire_answer(run->options, bytes_of(peer->in, peer->in_size));
    if (state == WIRE_BAD) {
        errno = 0;
        fprintf(stderr, "%.*s\n", (int)peer->in_size, (const char *)peer->in);
        (void)fail(run, "a write was refused");
    } else if (state == WIRE_DONE) {
        write_answered(run, peer);
    }
}

static void subscriber_readable(struct run *run, struct peer *peer)
{
    ssize_t got = recv(peer->fd, run->receive, RECEIVE_BYTES, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            (void)fail(run, "a subscriber's connection ended");
        }
        return;
    }
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    run->report->received_bytes += (uint64_t)got;
    notices_feed(peer->notices, bytes_of(run->receive, (size_t)got), serial_told, run);
    if (peer->notices->bad) {
        errno = 0;
        (void)fail(run, "what a subscriber got is no chunk, or an error");
    }
}

/* ---- the loop ---- */

static void turn(struct run *run, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const struct timespec wait = {.tv_sec = (time_t)(wait_ns / SECOND_NS),
                                  .tv_nsec = (long)(wait_ns % SECOND_NS)};
    int count = epoll_pwait2(run->epoll, events, EVENTS_MAX, &wait, NULL);
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    for (int index = 0; index < count && !run->failed; index++) {
        struct peer *peer = events[index].data.ptr;
        if (peer->role == ROLE_WRITER) {
            writer_readable(run, peer);
        } else {
            subscriber_readable(run, peer);
        }
    }
}

static void usage_read(const struct run *run, struct process_usage *out)
{
    if (run->options->pid != 0 && process_read(run->options->pid, out) != STATUS_OK) {
        memset(out, 0, sizeof(*out));
    }
}

static uint64_t wait_ns(const struct run *run)
{
    uint64_t end_ns = run->measuring ? run->to_ns : run->from_ns;
    uint64_t next_ns = run->now_ns + IDLE_WAIT_NS;
    if (run->options->rate > 0 && run->idle != NULL) {
        next_ns = run->begin_ns +
                  (uint64_t)((double)run->issued / run->options->rate * (double)SECOND_NS);
    }
    next_ns = next_ns < end_ns ? next_ns : end_ns;
    return next_ns > run->now_ns ? next_ns - run->now_ns : 0;
}

static void writes_measure(struct run *run)
{
    uint64_t seconds_ns = (uint64_t)(run->options->seconds * (double)SECOND_NS);
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    run->begin_ns = run->now_ns;
    run->from_ns = run->begin_ns + (uint64_t)(run->options->warmup_seconds * (double)SECOND_NS);
    run->to_ns = run->from_ns + seconds_ns;
    while (run->now_ns < run->to_ns && !run->failed) {
        if (!run->measuring && run->now_ns >= run->from_ns) {
            run->measuring = true;
            usage_read(run, &run->report->before);
        }
        writes_issue(run);
        turn(run, wait_ns(run));
    }
    usage_read(run, &run->report->after);
    run->report->elapsed_s = run->options->seconds;
    uint64_t give_up_ns = run->now_ns + DRAIN_NS;
    while ((run->busy > 0 || run->report->notices < run->report->notices_expected) &&
           run->now_ns < give_up_ns && !run->failed) {
        turn(run, IDLE_WAIT_NS);
    }
}

/* From the first change that came to the last that was wanted. */
static void catch_up_measure(struct run *run)
{
    usage_read(run, &run->report->before);
    uint64_t give_up_ns =
        clock_ns(CLOCK_MONOTONIC) + (uint64_t)(run->options->seconds * (double)SECOND_NS);
    run->now_ns = 0;
    while (run->told < run->options->catch_up && run->now_ns < give_up_ns && !run->failed) {
        turn(run, IDLE_WAIT_NS);
    }
    usage_read(run, &run->report->after);
    run->report->notices = run->told;
    run->report->notices_expected = run->options->catch_up;
    run->report->elapsed_s = (double)(run->now_ns - run->first_told_ns) / (double)SECOND_NS;
}

bool run_measure(const struct stream_options *options, struct run_report *report_out)
{
    struct run run = {.options = options, .report = report_out};
    struct rlimit files;
    memset(report_out, 0, sizeof(*report_out));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Serial numbers that no earlier run has used, or its writes could be equal to ours. */
    run.first_serial = clock_ns(CLOCK_REALTIME) / 1000;
    run.due = memory_take(DUE_COUNT, sizeof(*run.due));
    run.receive = memory_take(1, RECEIVE_BYTES);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    usage_read(&run, &report_out->at_start);
    if (run.epoll < 0) {
        (void)fail(&run, "epoll");
    } else if (peers_open(&run)) {
        if (options->catch_up > 0) {
            catch_up_measure(&run);
        } else {
            writes_measure(&run);
        }
    }
    peers_close(&run);
    close(run.epoll);
    free(run.due);
    free(run.receive);
    return !run.failed;
}
