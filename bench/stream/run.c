#include "bench/stream/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/stream/connection.h"
#include "bench/stream/dialect.h"
#include "bench/stream/notices.h"
#include "protocol/base/assert.h"

#define EVENTS_MAX    256
#define DUE_COUNT     (1u << 20) /* writes whose notice may still come */
#define RECEIVE_BYTES (256u << 10)
#define DRAIN_NS      2000000000ull
#define IDLE_WAIT_NS  100000000ull
#define STUCK_RECEIVE 4096
#define SECOND_NS     1000000000ull
/* At full rate writers are so far ahead of the notices at most: servers cut off subscribers that
 * are behind by some tens of MiB. */
#define AHEAD_COUNT_MAX 65536
#define AHEAD_BYTES_MAX (16u << 20)

enum role { ROLE_WRITER, ROLE_SUBSCRIBER, ROLE_STUCK };

struct peer {
    enum role role;
    int fd;
    uint32_t index; /* of its role */
    /* a writer's */
    struct peer *next_idle; /* of those that have room for a write */
    bool blocked;           /* not all of `out` fits into the socket */
    uint32_t in_flight;
    uint32_t oldest;  /* in due_ns */
    uint64_t *due_ns; /* of its writes in flight, in their order; a ring */
    struct writer out;
    size_t sent;
    uint8_t *in; /* answers, as far as they are not whole */
    size_t in_size;
    /* a subscriber's */
    struct notices notices;
};

struct run {
    const struct stream_options *options;
    const struct dialect *dialect;
    struct run_report *report;
    int epoll;
    struct peer *peers;
    uint32_t peer_count;
    struct peer *idle;
    uint64_t in_flight;
    uint64_t ahead_max;
    uint64_t first_serial;
    uint64_t issued;
    uint64_t begin_ns; /* of what is due */
    uint64_t from_ns;  /* of what is measured */
    uint64_t to_ns;
    bool measuring;
    bool failed;
    uint64_t now_ns;
    uint64_t told;     /* notices of all writes */
    uint64_t told_own; /* of this run's */
    uint64_t first_told_ns;
    uint64_t *due_ns; /* by serial number */
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
        (void)connection_complain(what);
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

static bool in_window(const struct run *run, uint64_t at_ns)
{
    return at_ns >= run->from_ns && at_ns < run->to_ns;
}

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
    run->told_own++;
    run->report->notices_came += in_window(run, run->now_ns);
    uint64_t due_ns = run->due_ns[number % DUE_COUNT];
    if (in_window(run, due_ns)) {
        run->report->notices++;
        histogram_record(&run->report->notice_ns, run->now_ns - due_ns);
    }
}

/* How many notices each write has. */
static uint64_t notices_each(const struct run *run)
{
    return run->options->distinct ? 1 : run->options->subscribers;
}

/* ---- connections ---- */

static bool peer_watch(struct run *run, struct peer *peer, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.ptr = peer};
    return epoll_ctl(run->epoll, operation, peer->fd, &event) == 0 || fail(run, "epoll");
}

/* What servers want of a subscriber beside reading: some bytes, now and then. */
static void notices_reply(struct run *run, struct peer *peer)
{
    struct notices *notices = &peer->notices;
    if (notices->reply_size > 0 && send(peer->fd, notices->reply, notices->reply_size,
                                        MSG_NOSIGNAL) != (ssize_t)notices->reply_size) {
        (void)fail(run, "a subscriber's reply could not be sent");
    }
    notices->reply_size = 0;
}

static bool peer_subscribe(struct run *run, struct peer *peer)
{
    uint8_t first[CONNECTION_FIRST_BYTES_MAX];
    struct bytes rest = BYTES_EMPTY;
    if (!connection_ask(run->options, peer->fd, peer->index, run->dialect->subscribe,
                        run->dialect->subscribed, first, &rest)) {
        return false;
    }
    if (peer->role == ROLE_STUCK) {
        return true;
    }
    notices_init(&peer->notices, run->dialect->framing);
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    notices_feed(&peer->notices, rest, serial_told, run);
    notices_reply(run, peer);
    return peer_watch(run, peer, EPOLL_CTL_ADD, EPOLLIN);
}

static bool writer_greet(struct run *run, struct peer *peer)
{
    const struct stream_options *options = run->options;
    uint8_t first[CONNECTION_FIRST_BYTES_MAX];
    struct bytes rest;
    if (run->dialect->greet != NULL &&
        !connection_ask(options, peer->fd, peer->index, run->dialect->greet, run->dialect->greeted,
                        first, &rest)) {
        return false;
    }
    size_t out_bytes = options->value_bytes + STREAM_COLLECTION_BYTES_MAX + DIALECT_OVERHEAD_BYTES;
    out_bytes *= options->pipeline + 1;
    peer->out = writer_of(memory_take(1, out_bytes), out_bytes);
    peer->in = memory_take(1, 2 * DIALECT_ANSWER_BYTES_MAX);
    peer->due_ns = memory_take(options->pipeline, sizeof(*peer->due_ns));
    peer->next_idle = run->idle;
    run->idle = peer;
    return peer_watch(run, peer, EPOLL_CTL_ADD, EPOLLIN);
}

static bool peer_open(struct run *run, enum role role, uint32_t index)
{
    struct peer *peer = &run->peers[run->peer_count];
    peer->role = role;
    peer->index = index;
    if (!connection_open(run->options, role == ROLE_STUCK ? STUCK_RECEIVE : 0, &peer->fd)) {
        return fail(run, "a connection could not be opened");
    }
    run->peer_count++;
    bool good = role == ROLE_WRITER ? writer_greet(run, peer) : peer_subscribe(run, peer);
    return good || fail(run, "a connection could not begin");
}

static bool server_setup(const struct run *run)
{
    uint8_t first[CONNECTION_FIRST_BYTES_MAX];
    struct bytes rest;
    int fd = -1;
    if (run->dialect->setup == NULL || run->options->catch_up > 0) {
        return true; /* what is there is what shall be read */
    }
    bool good = connection_open(run->options, 0, &fd) &&
                connection_ask(run->options, fd, 0, run->dialect->setup, run->dialect->setup_done,
                               first, &rest);
    close(fd);
    return good;
}

static bool peers_open(struct run *run)
{
    const struct stream_options *options = run->options;
    uint32_t writers = options->catch_up > 0 ? 0 : options->writers;
    run->peers = memory_take(writers + options->subscribers + options->stuck + options->idle,
                             sizeof(struct peer));
    bool good = server_setup(run);
    for (uint32_t index = 0; good && index < options->stuck; index++) {
        good = peer_open(run, ROLE_STUCK, options->subscribers + index);
    }
    for (uint32_t index = 0; good && index < options->subscribers; index++) {
        good = peer_open(run, ROLE_SUBSCRIBER, index);
    }
    for (uint32_t index = 0; good && index < options->idle; index++) {
        good = peer_open(run, ROLE_SUBSCRIBER, DIALECT_IDLE_INDEX + index);
    }
    for (uint32_t index = 0; good && index < writers; index++) {
        good = peer_open(run, ROLE_WRITER, index);
    }
    run->failed = run->failed || !good;
    return good;
}

static void peers_close(struct run *run)
{
    for (uint32_t index = 0; index < run->peer_count; index++) {
        struct peer *peer = &run->peers[index];
        close(peer->fd);
        free(peer->in);
        free(peer->out.data);
        free(peer->due_ns);
        notices_deinit(&peer->notices);
    }
    free(run->peers);
}

/* ---- writes ---- */

static bool has_room(const struct run *run, const struct peer *peer)
{
    /* What is answered in one go is written in one go. */
    uint32_t in_flight_max = run->dialect->end_batch != NULL ? 1 : run->options->pipeline;
    return !peer->blocked && peer->in_flight < in_flight_max;
}

/* Sends what is there. What does not fit now goes when the socket says that it has room. */
static void writer_flush(struct run *run, struct peer *peer)
{
    ssize_t sent = send(peer->fd, peer->out.data + peer->sent, peer->out.size - peer->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        (void)fail(run, "a write could not be sent");
        return;
    }
    peer->sent += sent > 0 ? (size_t)sent : 0;
    bool blocked = peer->sent < peer->out.size;
    if (!blocked) {
        peer->sent = 0;
        peer->out.size = 0;
    }
    if (blocked != peer->blocked) {
        peer->blocked = blocked;
        (void)peer_watch(run, peer, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static uint64_t next_due_ns(const struct run *run)
{
    return run->begin_ns + (uint64_t)((double)run->issued / run->options->rate * (double)SECOND_NS);
}

/* Whether another write is to be made now, and when it was due. */
static bool is_due(const struct run *run, uint64_t *due_ns_out)
{
    if (run->options->rate > 0) {
        *due_ns_out = next_due_ns(run);
    } else {
        *due_ns_out = run->now_ns;
        uint64_t each = notices_each(run);
        if (each > 0 && run->issued * each >= run->told_own + run->ahead_max) {
            return false;
        }
    }
    return *due_ns_out <= run->now_ns && *due_ns_out < run->to_ns;
}

static void write_make(struct run *run, struct peer *peer, uint64_t due_ns)
{
    peer->due_ns[(peer->oldest + peer->in_flight) % run->options->pipeline] = due_ns;
    peer->in_flight++;
    run->in_flight++;
    run->due_ns[run->issued % DUE_COUNT] = due_ns;
    if (in_window(run, due_ns)) {
        run->report->notices_expected += notices_each(run);
    }
    run->dialect->write(run->options, peer->index, run->first_serial + run->issued, &peer->out);
    ASSERT(!peer->out.failed);
    run->issued++;
}

static void writes_issue(struct run *run)
{
    uint64_t due_ns;
    while (run->idle != NULL && !run->failed && is_due(run, &due_ns)) {
        struct peer *peer = run->idle;
        ASSERT(has_room(run, peer));
        run->idle = peer->next_idle;
        do {
            write_make(run, peer, due_ns);
        } while (peer->in_flight < run->options->pipeline && is_due(run, &due_ns));
        if (run->dialect->end_batch != NULL) {
            run->dialect->end_batch(&peer->out);
        }
        writer_flush(run, peer);
        if (has_room(run, peer)) {
            peer->next_idle = run->idle;
            run->idle = peer;
        }
        run->now_ns = clock_ns(CLOCK_MONOTONIC);
    }
}

static void write_answered(struct run *run, struct peer *peer, uint64_t due_ns)
{
    ASSERT(peer->in_flight > 0);
    ASSERT(run->in_flight > 0);
    if (in_window(run, due_ns)) {
        histogram_record(&run->report->write_ns, run->now_ns - due_ns);
    }
    run->report->writes += in_window(run, run->now_ns);
    peer->oldest = (peer->oldest + 1) % run->options->pipeline;
    peer->in_flight--;
    run->in_flight--;
}

/* False: the server answers what was not asked. */
static bool answer_take(struct run *run, struct peer *peer, const struct dialect_answer *answer)
{
    uint64_t number = answer->id - (uint32_t)run->first_serial;
    writer_put(&peer->out, answer->reply);
    switch (answer->which) {
    case DIALECT_NONE:
        return !peer->out.failed;
    case DIALECT_OLDEST:
        if (peer->in_flight == 0) {
            return false;
        }
        write_answered(run, peer, peer->due_ns[peer->oldest]);
        return true;
    case DIALECT_ALL:
        while (peer->in_flight > 0) {
            write_answered(run, peer, peer->due_ns[peer->oldest]);
        }
        return true;
    case DIALECT_BY_ID:
        number = (uint32_t)number;
        if (peer->in_flight == 0 || number >= run->issued) {
            return false;
        }
        write_answered(run, peer, run->due_ns[number % DUE_COUNT]);
        return true;
    }
    UNREACHABLE();
}

/* Every whole answer that is there; what is behind the last stays. */
static void answers_take(struct run *run, struct peer *peer)
{
    struct bytes left = bytes_of(peer->in, peer->in_size);
    while (left.size > 0 && !run->failed) {
        struct dialect_answer answer = {0};
        enum dialect_state state = run->dialect->answer(left, &answer);
        if (state == DIALECT_MORE) {
            break;
        }
        if (state == DIALECT_BAD || !answer_take(run, peer, &answer)) {
            errno = 0;
            fprintf(stderr, "%.*s\n", (int)(left.size < 1024 ? left.size : 1024),
                    (const char *)left.data);
            (void)fail(run, "a write was refused");
            return;
        }
        left = bytes_slice(left, answer.size, left.size);
    }
    memmove(peer->in, left.data, left.size);
    peer->in_size = left.size;
}

static void writer_readable(struct run *run, struct peer *peer)
{
    bool had_room = has_room(run, peer);
    ssize_t got = recv(peer->fd, peer->in + peer->in_size,
                       2 * DIALECT_ANSWER_BYTES_MAX - peer->in_size, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            errno = got == 0 ? 0 : errno;
            (void)fail(run, "a writer's connection ended");
        }
        return;
    }
    peer->in_size += (size_t)got;
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    answers_take(run, peer);
    if (peer->out.size > peer->sent && !peer->blocked) {
        writer_flush(run, peer); /* a reply */
    }
    if (!had_room && has_room(run, peer)) {
        peer->next_idle = run->idle;
        run->idle = peer;
    }
}

static void writer_writable(struct run *run, struct peer *peer)
{
    bool had_room = has_room(run, peer);
    writer_flush(run, peer);
    if (!had_room && has_room(run, peer)) {
        peer->next_idle = run->idle;
        run->idle = peer;
    }
}

static void subscriber_readable(struct run *run, struct peer *peer)
{
    ssize_t got = recv(peer->fd, run->receive, RECEIVE_BYTES, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            errno = got == 0 ? 0 : errno;
            (void)fail(run, "a subscriber's connection ended");
        }
        return;
    }
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    run->report->received_bytes += (uint64_t)got;
    notices_feed(&peer->notices, bytes_of(run->receive, (size_t)got), serial_told, run);
    notices_reply(run, peer);
    if (peer->notices.bad) {
        errno = 0;
        (void)fail(run, "what a subscriber got cannot be read, or is an error");
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
        if (peer->role != ROLE_WRITER) {
            subscriber_readable(run, peer);
            continue;
        }
        if ((events[index].events & EPOLLOUT) != 0) {
            writer_writable(run, peer);
        }
        if ((events[index].events & ~(uint32_t)EPOLLOUT) != 0) {
            writer_readable(run, peer);
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
        next_ns = next_due_ns(run);
    }
    next_ns = next_ns < end_ns ? next_ns : end_ns;
    return next_ns > run->now_ns ? next_ns - run->now_ns : 0;
}

static void writes_measure(struct run *run)
{
    uint64_t seconds_ns = (uint64_t)(run->options->seconds * (double)SECOND_NS);
    uint64_t client_ns = 0;
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    run->begin_ns = run->now_ns;
    run->from_ns = run->begin_ns + (uint64_t)(run->options->warmup_seconds * (double)SECOND_NS);
    run->to_ns = run->from_ns + seconds_ns;
    while (run->now_ns < run->to_ns && !run->failed) {
        if (!run->measuring && run->now_ns >= run->from_ns) {
            run->measuring = true;
            usage_read(run, &run->report->before);
            client_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
        writes_issue(run);
        turn(run, wait_ns(run));
    }
    usage_read(run, &run->report->after);
    run->report->client_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - client_ns;
    run->report->elapsed_s = run->options->seconds;
    uint64_t give_up_ns = run->now_ns + DRAIN_NS;
    while ((run->in_flight > 0 || run->report->notices < run->report->notices_expected) &&
           run->now_ns < give_up_ns && !run->failed) {
        turn(run, IDLE_WAIT_NS);
    }
}

/* From the first change that came to the last that was wanted. */
static void catch_up_measure(struct run *run)
{
    /* The subscription has begun, and the server with it. */
    run->report->before = run->report->at_start;
    uint64_t client_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    run->now_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t give_up_ns = run->now_ns + (uint64_t)(run->options->seconds * (double)SECOND_NS);
    while (run->told < run->options->catch_up && run->now_ns < give_up_ns && !run->failed) {
        turn(run, IDLE_WAIT_NS);
    }
    usage_read(run, &run->report->after);
    run->report->client_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - client_ns;
    run->report->notices = run->told;
    run->report->notices_came = run->told;
    run->report->notices_expected = run->options->catch_up;
    run->report->elapsed_s = (double)(run->now_ns - run->first_told_ns) / (double)SECOND_NS;
}

bool run_measure(const struct stream_options *options, struct run_report *report_out)
{
    struct run run = {
        .options = options, .dialect = dialect_of(options->kind), .report = report_out};
    struct rlimit files;
    memset(report_out, 0, sizeof(*report_out));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    uint64_t ahead = AHEAD_BYTES_MAX / options->value_bytes;
    run.ahead_max = (ahead < AHEAD_COUNT_MAX ? ahead : AHEAD_COUNT_MAX) * notices_each(&run);
    /* Serial numbers that no earlier run has used, or its writes could be equal to ours. */
    run.first_serial = clock_ns(CLOCK_REALTIME) / 1000;
    run.due_ns = memory_take(DUE_COUNT, sizeof(*run.due_ns));
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
    free(run.due_ns);
    free(run.receive);
    return !run.failed;
}
