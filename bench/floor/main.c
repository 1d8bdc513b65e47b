/*
 * bench_floor: the leanest HTTP responder this kernel allows, to measure a real server against.
 *
 * One thread and one ring; it counts requests and sends a fixed answer for each, all answers of a
 * turn to a connection in one send. What a server costs above this is its own doing; what this
 * costs is the kernel's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/floor/answer.h"
#include "bench/floor/requests.h"
#include "bench/uring/uring.h"
#include "protocol/base/assert.h"

#define CONNECTION_COUNT_MAX 16384
#define COMPLETION_COUNT     16384
#define ENTRY_COUNT          4096
#define BUFFER_COUNT         1024
#define BUFFER_BYTES         4096
#define ANSWER_BYTES_DEFAULT 200

enum operation { OPERATION_ACCEPT, OPERATION_RECEIVE, OPERATION_SEND };

struct connection {
    int fd;
    bool receiving; /* a multishot receive is armed */
    bool sending;   /* a send is in flight */
    bool dirty;     /* in the list of connections to look at after the turn */
    bool closing;
    uint32_t send_left;   /* bytes of the send in flight */
    uint64_t send_offset; /* where it begins in the repeated answers */
    uint64_t owed;        /* answers not yet given to a send */
    struct requests requests;
};

struct floor_options {
    uint16_t port;
    bool bodies;
    const char *answer_file;
    uint32_t answer_bytes;
    uint32_t buffer_count;
    uint32_t buffer_bytes;
};

struct floor {
    struct uring uring;
    struct answer answer;
    bool bodies;
    bool accepting;
    int listen_fd;
    struct connection *connections; /* by file descriptor */
    uint32_t dirty_count;
    uint32_t dirty[CONNECTION_COUNT_MAX];
};

static uint64_t mark_of(int fd, enum operation operation)
{
    return (uint64_t)(uint32_t)fd << 8 | (uint64_t)operation;
}

static void mark_dirty(struct floor *floor, struct connection *connection)
{
    if (!connection->dirty) {
        ASSERT(floor->dirty_count < CONNECTION_COUNT_MAX);
        connection->dirty = true;
        floor->dirty[floor->dirty_count++] = (uint32_t)connection->fd;
    }
}

static void arm_accept(struct floor *floor)
{
    struct io_uring_sqe *sqe = uring_entry(&floor->uring);
    io_uring_prep_multishot_accept(sqe, floor->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, mark_of(0, OPERATION_ACCEPT));
    floor->accepting = true;
}

static void arm_receive(struct floor *floor, struct connection *connection)
{
    ASSERT(!connection->receiving);
    struct io_uring_sqe *sqe = uring_entry(&floor->uring);
    io_uring_prep_recv_multishot(sqe, connection->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, mark_of(connection->fd, OPERATION_RECEIVE));
    connection->receiving = true;
}

static void send_rest(struct floor *floor, struct connection *connection)
{
    ASSERT(connection->send_left > 0);
    struct io_uring_sqe *sqe = uring_entry(&floor->uring);
    io_uring_prep_send(sqe, connection->fd, floor->answer.data + connection->send_offset,
                       connection->send_left, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, mark_of(connection->fd, OPERATION_SEND));
    connection->sending = true;
}

static void send_owed(struct floor *floor, struct connection *connection)
{
    ASSERT(!connection->sending);
    ASSERT(connection->owed > 0);
    uint64_t count = connection->owed;
    if (count > floor->answer.repeat_count) {
        count = floor->answer.repeat_count;
    }
    connection->owed -= count;
    connection->send_offset = 0;
    connection->send_left = (uint32_t)count * floor->answer.size;
    send_rest(floor, connection);
}

static void on_accept(struct floor *floor, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        floor->accepting = false;
    }
    if (cqe->res < 0) {
        return;
    }
    if (cqe->res >= CONNECTION_COUNT_MAX) {
        close(cqe->res);
        return;
    }
    int one = 1;
    setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct connection *connection = &floor->connections[cqe->res];
    ASSERT(connection->fd == 0);
    connection->fd = cqe->res;
    mark_dirty(floor, connection);
}

static void on_receive(struct floor *floor, const struct io_uring_cqe *cqe)
{
    struct connection *connection = &floor->connections[cqe->user_data >> 8];
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        connection->receiving = false;
        mark_dirty(floor, connection);
    }
    if (cqe->res <= 0) {
        connection->closing = connection->closing || cqe->res != -ENOBUFS;
        return;
    }
    uint32_t count = 0;
    struct bytes bytes = bytes_of(uring_buffer(&floor->uring, cqe), (size_t)cqe->res);
    if (requests_count(&connection->requests, bytes, floor->bodies, &count) != STATUS_OK) {
        connection->closing = true;
        mark_dirty(floor, connection);
    }
    uring_buffer_return(&floor->uring, cqe);
    if (count > 0) {
        connection->owed += count;
        mark_dirty(floor, connection);
    }
}

static void on_send(struct floor *floor, const struct io_uring_cqe *cqe)
{
    struct connection *connection = &floor->connections[cqe->user_data >> 8];
    ASSERT(connection->sending);
    connection->sending = false;
    if (cqe->res < 0) {
        connection->closing = true;
        mark_dirty(floor, connection);
        return;
    }
    ASSERT((uint32_t)cqe->res <= connection->send_left);
    connection->send_offset += (uint32_t)cqe->res;
    connection->send_left -= (uint32_t)cqe->res;
    if (connection->send_left > 0 || connection->owed > 0 || connection->closing) {
        mark_dirty(floor, connection);
    }
}

/* What a connection needs after all completions of the turn have been seen. */
static void settle(struct floor *floor, struct connection *connection)
{
    connection->dirty = false;
    if (connection->closing) {
        if (connection->receiving) {
            shutdown(connection->fd,
                     SHUT_RDWR); /* ends the receive; its completion comes here again */
        } else if (!connection->sending) {
            close(connection->fd);
            requests_reset(&connection->requests);
            *connection = (struct connection){0};
        }
        return;
    }
    if (!connection->receiving) {
        arm_receive(floor, connection);
    }
    if (!connection->sending && connection->send_left > 0) {
        send_rest(floor, connection);
    } else if (!connection->sending && connection->owed > 0) {
        send_owed(floor, connection);
    }
}

static enum status turn(struct floor *floor)
{
    enum status status = uring_turn(&floor->uring, URING_WAIT_FOREVER);
    if (status != STATUS_OK) {
        return status;
    }
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&floor->uring.ring, head, cqe)
    {
        seen++;
        switch ((enum operation)(cqe->user_data & 0xff)) {
        case OPERATION_ACCEPT:
            on_accept(floor, cqe);
            break;
        case OPERATION_RECEIVE:
            on_receive(floor, cqe);
            break;
        case OPERATION_SEND:
            on_send(floor, cqe);
            break;
        }
    }
    io_uring_cq_advance(&floor->uring.ring, seen);
    for (uint32_t i = 0; i < floor->dirty_count; i++) {
        settle(floor, &floor->connections[floor->dirty[i]]);
    }
    floor->dirty_count = 0;
    if (!floor->accepting) {
        arm_accept(floor);
    }
    return STATUS_OK;
}

static enum status listen_on(uint16_t port, int *fd_out, uint16_t *port_out)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof(address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        fprintf(stderr, "bench_floor: port %u: %s\n", port, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return STATUS_IO_ERROR;
    }
    *fd_out = fd;
    *port_out = ntohs(address.sin_port);
    return STATUS_OK;
}

static void usage(FILE *to)
{
    fprintf(
        to,
        "usage: bench_floor [--port N] [--answer-file FILE | --answer-size BYTES] [--body]\n"
        "  --port N          loopback port; 0 (default) takes a free one\n"
        "  --answer-file F   the raw bytes to send for each request, as a server sent them\n"
        "  --answer-size B   or a made-up 200 of so many bytes (default 200)\n"
        "  --body            requests may have a body (Content-Length), which is skipped\n"
        "  --buffers N       receive buffers, a power of two (default 1024)\n"
        "  --buffer-bytes B  size of each (default 4096)\n"
        "prints {\"event\":\"ready\",\"http\":\"127.0.0.1:PORT\",\"pid\":N}; ends by a signal\n");
}

static bool parse_number(const char *text, uint64_t max, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > max) {
        fprintf(stderr, "bench_floor: %s is not a number up to %llu\n", text,
                (unsigned long long)max);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_options(int argc, char **argv, struct floor_options *options)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"answer-file", required_argument, NULL, 'f'},
        {"answer-size", required_argument, NULL, 's'},
        {"body", no_argument, NULL, 'b'},
        {"buffers", required_argument, NULL, 'n'},
        {"buffer-bytes", required_argument, NULL, 'B'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int choice;
    uint32_t number = 0;
    while ((choice = getopt_long(argc, argv, "", names, NULL)) != -1) {
        bool good = true;
        if (choice == 'p') {
            good = parse_number(optarg, 65535, &number);
            options->port = (uint16_t)number;
        } else if (choice == 'f') {
            options->answer_file = optarg;
        } else if (choice == 's') {
            good = parse_number(optarg, ANSWER_BYTES_MAX, &options->answer_bytes);
        } else if (choice == 'b') {
            options->bodies = true;
        } else if (choice == 'n') {
            good = parse_number(optarg, 32768, &options->buffer_count) &&
                   options->buffer_count > 0 &&
                   (options->buffer_count & (options->buffer_count - 1)) == 0;
        } else if (choice == 'B') {
            good = parse_number(optarg, 1u << 20, &options->buffer_bytes) &&
                   options->buffer_bytes >= 4096 && options->buffer_bytes % 4096 == 0;
        } else if (choice == 'h') {
            usage(stdout);
            exit(0);
        } else {
            good = false;
        }
        if (!good) {
            return false;
        }
    }
    return optind == argc;
}

static enum status floor_init(struct floor *floor, const struct floor_options *options,
                              uint16_t *port_out)
{
    floor->listen_fd = -1;
    floor->bodies = options->bodies;
    floor->connections =
        (struct connection *)calloc(CONNECTION_COUNT_MAX, sizeof(struct connection));
    if (floor->connections == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = options->answer_file != NULL
                             ? answer_load(options->answer_file, &floor->answer)
                             : answer_make(options->answer_bytes, &floor->answer);
    if (status != STATUS_OK) {
        return status;
    }
    struct uring_options uring_options = {
        .entry_count = ENTRY_COUNT,
        .completion_count = COMPLETION_COUNT,
        .buffer_count = options->buffer_count,
        .buffer_bytes = options->buffer_bytes,
    };
    status = uring_init(&floor->uring, &uring_options);
    if (status != STATUS_OK) {
        return status;
    }
    return listen_on(options->port, &floor->listen_fd, port_out);
}

int main(int argc, char **argv)
{
    struct floor_options options = {
        .answer_bytes = ANSWER_BYTES_DEFAULT,
        .buffer_count = BUFFER_COUNT,
        .buffer_bytes = BUFFER_BYTES,
    };
    if (!parse_options(argc, argv, &options)) {
        usage(stderr);
        return 2;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE,
                        &limit); /* what is not granted shows as refused connections */
    }
    struct floor *floor = (struct floor *)calloc(1, sizeof(struct floor));
    uint16_t port = 0;
    if (floor == NULL || floor_init(floor, &options, &port) != STATUS_OK) {
        return 1;
    }
    printf("{\"event\":\"ready\",\"http\":\"127.0.0.1:%u\",\"pid\":%d}\n", port, (int)getpid());
    fflush(stdout);
    arm_accept(floor);
    while (turn(floor) == STATUS_OK) {
    }
    return 1;
}
