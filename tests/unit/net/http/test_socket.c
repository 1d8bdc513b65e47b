#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/http/http.h"
#include "net/ring/listen.h"
#include "net/ring/ring.h"
#include "protocol/base/list.h"

#define MILLISECOND_NS    1000000ull
#define LARGE_BYTES       (5u << 20)
#define WAITING_MAX       64
#define CLIENT_TIMEOUT_MS 20000
#define STREAM_PIECE      1000u
#define STREAM_PIECES     3000u

/* A server in a thread of its own. "/large": LARGE_BYTES by reference; "/later": answered in the
 * turn after next, in reverse order. "/stream": STREAM_PIECES pieces, as there is room. */
struct toy {
    struct ring *ring;
    struct http_server *server;
    struct listen_address address;
    int socket;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool force;
    atomic_uint released;
    atomic_uint handled;
    atomic_uint later_hold; /* while not 0, nothing that waits is answered */
    uint8_t *large;
    struct http_exchange *waiting[WAITING_MAX];
    uint32_t waiting_count;
    struct http_exchange *stream;
    bool stream_blocked;
    atomic_uint stream_pieces; /* written */
    atomic_uint stream_refusals;
    atomic_uint stream_closed;
    struct http_options options;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void release(void *owner)
{
    atomic_fetch_add(&((struct toy *)owner)->released, 1);
}

static void answer(struct http_exchange *exchange, const char *text)
{
    char buffer[512];
    int size =
        snprintf(buffer, sizeof(buffer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n%s",
                 strlen(text), http_closes(exchange) ? "Connection: close\r\n" : "", text);
    http_answer(exchange, bytes_of(buffer, (size_t)size), BYTES_EMPTY, 200, NULL, NULL);
}

static void stream_writable(void *context, struct http_exchange *exchange)
{
    struct toy *toy = (struct toy *)context;
    cr_assert_eq(toy->stream, exchange);
    toy->stream_blocked = false;
}

static void stream_closed(void *context, struct http_exchange *exchange)
{
    struct toy *toy = (struct toy *)context;
    cr_assert_eq(toy->stream, exchange);
    toy->stream = NULL;
    atomic_fetch_add(&toy->stream_closed, 1);
}

static void stream_draining(void *context, struct http_exchange *exchange)
{
    (void)context;
    (void)exchange;
}

static const struct http_stream_events stream_events = {
    .writable = stream_writable, .closed = stream_closed, .draining = stream_draining};

static void stream_open(struct toy *toy, struct http_exchange *exchange)
{
    cr_assert(http_stream_begin(exchange,
                                BYTES_LITERAL("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), 200,
                                &stream_events, toy));
    toy->stream = exchange;
}

static void stream_feed(struct toy *toy)
{
    while (toy->stream != NULL && !toy->stream_blocked) {
        if (atomic_load(&toy->stream_pieces) == STREAM_PIECES) {
            http_stream_end(toy->stream);
            toy->stream = NULL;
        } else if (http_stream_write(toy->stream, bytes_of(toy->large, STREAM_PIECE))) {
            atomic_fetch_add(&toy->stream_pieces, 1);
        } else {
            toy->stream_blocked = true;
            atomic_fetch_add(&toy->stream_refusals, 1);
        }
    }
}

static void handle(void *context, struct http_exchange *exchange)
{
    struct toy *toy = (struct toy *)context;
    struct bytes path = exchange->request.path;
    atomic_fetch_add(&toy->handled, 1);
    if (bytes_equal(path, BYTES_LITERAL("/large"))) {
        char head[100];
        int size = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n",
                            LARGE_BYTES);
        http_answer(exchange, bytes_of(head, (size_t)size), bytes_of(toy->large, LARGE_BYTES), 200,
                    release, toy);
        return;
    }
    if (bytes_equal(path, BYTES_LITERAL("/stream"))) {
        stream_open(toy, exchange);
        return;
    }
    char text[256];
    int size =
        snprintf(text, sizeof(text), "%.*s %.*s %zu\n", (int)exchange->request.method_text.size,
                 (const char *)exchange->request.method_text.data, (int)path.size,
                 (const char *)path.data, exchange->request.body.size);
    if (bytes_starts_with(path, BYTES_LITERAL("/later"))) {
        memcpy(exchange->user, text, (size_t)size + 1);
        toy->waiting[toy->waiting_count++] = exchange;
        return;
    }
    answer(exchange, text);
}

static void refuse(void *context, struct http_exchange *exchange, uint16_t status,
                   const char *detail)
{
    char head[256];
    (void)context;
    int size = snprintf(head, sizeof(head),
                        "HTTP/1.1 %u Refused\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        status, strlen(detail), detail);
    http_answer(exchange, bytes_of(head, (size_t)size), BYTES_EMPTY, status, NULL, NULL);
}

static void answer_waiting(struct toy *toy)
{
    while (toy->waiting_count > 0 && atomic_load(&toy->later_hold) == 0) {
        struct http_exchange *exchange = toy->waiting[--toy->waiting_count];
        answer(exchange, (const char *)exchange->user);
    }
}

static void *toy_run(void *argument)
{
    struct toy *toy = (struct toy *)argument;
    struct ring_failure failure;
    cr_assert_eq(ring_start(toy->ring, &failure), STATUS_OK, "%s", failure.text);
    http_server_begin(toy->server, now_ns());
    while (!http_server_drained(toy->server)) {
        stream_feed(toy);
        uint64_t next_ns = http_server_step(toy->server);
        uint64_t now = now_ns();
        uint64_t wait_ns = next_ns == UINT64_MAX ? RING_WAIT_FOREVER
                           : next_ns > now       ? next_ns - now
                                                 : 0;
        cr_assert_eq(ring_wait(toy->ring, toy->waiting_count > 0 ? MILLISECOND_NS : wait_ns),
                     STATUS_OK);
        http_server_begin(toy->server, now_ns());
        answer_waiting(toy);
        (void)ring_dispatch(toy->ring);
        if (atomic_load(&toy->stop)) {
            http_server_drain(toy->server, atomic_load(&toy->force));
        }
    }
    answer_waiting(toy);
    return NULL;
}

static void toy_options(struct toy *toy)
{
    memset(toy, 0, sizeof(*toy));
    toy->options = (struct http_options){.handle = handle,
                                         .refuse = refuse,
                                         .context = toy,
                                         .connections_max = 100,
                                         .pipelined_max = 16,
                                         .head_bytes_max = 16u << 10,
                                         .body_bytes_max = 1u << 20,
                                         .head_timeout_ns = 60000 * MILLISECOND_NS,
                                         .body_timeout_ns = 60000 * MILLISECOND_NS,
                                         .idle_timeout_ns = 60000 * MILLISECOND_NS,
                                         .send_timeout_ns = 60000 * MILLISECOND_NS};
}

static void toy_start(struct toy *toy)
{
    struct ring_failure failure;
    toy->large = malloc(LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i++) {
        toy->large[i] = (uint8_t)(i * 131 % 251);
    }
    struct ring_options options = {.buffer_count = 16, .buffer_bytes = 4096};
    cr_assert_eq(ring_create(&options, &toy->ring, &failure), STATUS_OK, "%s", failure.text);
    cr_assert_eq(listen_parse("127.0.0.1:0", &toy->address, &failure), STATUS_OK);
    cr_assert_eq(listen_open(&toy->address, 1, &toy->socket, &failure), STATUS_OK);
    cr_assert_eq(http_server_create(&toy->options, toy->ring, &toy->server), STATUS_OK);
    cr_assert_eq(http_server_accept(toy->server, toy->socket), STATUS_OK);
    cr_assert_eq(pthread_create(&toy->thread, NULL, toy_run, toy), 0);
}

static void toy_stop(struct toy *toy)
{
    atomic_store(&toy->stop, true);
    ring_wake(toy->ring);
    cr_assert_eq(pthread_join(toy->thread, NULL), 0);
    cr_assert_eq(http_server_unanswered(toy->server), 0);
    http_server_destroy(&toy->server);
    ring_destroy(&toy->ring);
    cr_assert_eq(close(toy->socket), 0);
    free(toy->large);
}

/* ---- clients ---- */

static int client_open(const struct toy *toy)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_MS / 1000};
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&toy->address.storage, toy->address.size), 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    size_t size = strlen(text);
    cr_assert_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Until text has come, or the end. Returns what has come, NUL-terminated. */
static char *client_read_until(int fd, const char *text, char *buffer, size_t capacity)
{
    size_t size = 0;
    buffer[0] = '\0';
    while (text == NULL || strstr(buffer, text) == NULL) {
        ssize_t count = recv(fd, buffer + size, capacity - size - 1, 0);
        cr_assert_geq(count, 0, "%s after: %s", strerror(errno), buffer);
        if (count == 0) {
            cr_assert_null(text, "the end instead of '%s' after: %s", text, buffer);
            break;
        }
        size += (size_t)count;
        buffer[size] = '\0';
    }
    return buffer;
}

static char *client_read_all(int fd, char *buffer, size_t capacity)
{
    return client_read_until(fd, NULL, buffer, capacity);
}

#define ANSWERS_BYTES 65536

Test(http_socket, pipelined_requests_are_answered_in_order)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    int fd = client_open(&toy);
    char text[4096];
    size_t size = 0;
    for (int i = 0; i < 40; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "GET /%s%d HTTP/1.1\r\nHost: h\r\n\r\n",
                                 i % 3 == 0 ? "later" : "x", i);
    }
    client_send(fd, text);
    client_read_until(fd, "GET /later39 0\n", answers, sizeof(answers));
    const char *at = answers;
    for (int i = 0; i < 40; i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "GET /%s%d 0\n", i % 3 == 0 ? "later" : "x", i);
        at = strstr(at, line);
        cr_assert_not_null(at, "%s is not in its place", line);
    }
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
}

Test(http_socket, a_large_body_arrives_whole_and_is_released_once)
{
    static struct toy toy;
    toy_options(&toy);
    toy_start(&toy);
    for (int round = 0; round < 2; round++) {
        int fd = client_open(&toy);
        client_send(fd, "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        char *all = malloc(LARGE_BYTES + 1000);
        client_read_all(fd, all, LARGE_BYTES + 1000);
        char *body = strstr(all, "\r\n\r\n");
        cr_assert_not_null(body);
        cr_assert_eq(memcmp(body + 4, toy.large, LARGE_BYTES), 0);
        free(all);
        cr_assert_eq(close(fd), 0);
    }
    toy_stop(&toy);
    cr_assert_eq(atomic_load(&toy.released), 2);
}

Test(http_socket, clients_that_die_cost_only_their_own_answers)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    atomic_store(&toy.later_hold, 1);
    for (int i = 0; i < 20; i++) {
        int fd = client_open(&toy);
        client_send(
            fd, i % 2 == 0
                    ? "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /large HTTP/1.1\r\nHost: h\r\n\r\n"
                    : "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
        if (i % 4 == 0) {
            struct linger reset = {.l_onoff = 1};
            cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        }
        while (atomic_load(&toy.handled) < (unsigned)(i / 2 * 3 + (i % 2 == 0 ? 2 : 3))) {
            (void)poll(NULL, 0, 1);
        }
        cr_assert_eq(close(fd), 0);
    }
    atomic_store(&toy.later_hold, 0);
    ring_wake(toy.ring);
    int fd = client_open(&toy);
    client_send(fd, "GET /alive HTTP/1.0\r\n\r\n");
    cr_assert_not_null(strstr(client_read_all(fd, answers, sizeof(answers)), "GET /alive 0\n"));
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
    cr_assert_eq(atomic_load(&toy.released), 20);
}

Test(http_socket, one_that_sends_byte_by_byte_is_understood)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    int fd = client_open(&toy);
    const char *text =
        "PUT /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (const char *c = text; *c != '\0'; c++) {
        char one[2] = {*c, '\0'};
        client_send(fd, one);
        if ((c - text) % 16 == 0) {
            (void)poll(NULL, 0, 1);
        }
    }
    client_read_until(fd, "PUT /slow 3\n", answers, sizeof(answers));
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
}

Test(http_socket, a_client_that_shuts_its_side_still_gets_its_answers)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    int fd = client_open(&toy);
    client_send(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    cr_assert_eq(shutdown(fd, SHUT_WR), 0);
    client_read_all(fd, answers, sizeof(answers));
    cr_assert_not_null(strstr(answers, "GET /later 0\n"));
    cr_assert_not_null(strstr(answers, "GET /b 0\n"));
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
}

Test(http_socket, the_refusal_of_a_large_body_can_be_read_although_the_client_still_sends)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    int fd = client_open(&toy);
    client_send(fd, "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n");
    static char zeroes[100000];
    for (int i = 0; i < 40; i++) {
        if (send(fd, zeroes, sizeof(zeroes), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    cr_assert_not_null(strstr(client_read_all(fd, answers, sizeof(answers)), "HTTP/1.1 413"));
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
}

Test(http_socket, connections_over_the_limit_are_told_and_later_ones_served)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy.options.connections_max = 3;
    toy_start(&toy);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_open(&toy);
        client_send(fds[i], "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
        client_read_until(fds[i], "GET /x 0\n", answers, sizeof(answers));
    }
    int over = client_open(&toy);
    cr_assert_not_null(strstr(client_read_all(over, answers, sizeof(answers)), "HTTP/1.1 503"));
    cr_assert_eq(close(over), 0);
    cr_assert_eq(close(fds[0]), 0);
    bool served = false;
    for (int i = 0; i < 1000 && !served; i++) {
        int fd = client_open(&toy);
        client_send(fd, "GET /y HTTP/1.0\r\n\r\n");
        served = strstr(client_read_all(fd, answers, sizeof(answers)), "GET /y 0\n") != NULL;
        cr_assert_eq(close(fd), 0);
    }
    cr_assert(served);
    cr_assert_eq(close(fds[1]), 0);
    cr_assert_eq(close(fds[2]), 0);
    toy_stop(&toy);
}

Test(http_socket, timeouts_come_from_the_clock)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy.options.head_timeout_ns = 200 * MILLISECOND_NS;
    toy.options.idle_timeout_ns = 1000 * MILLISECOND_NS;
    toy_start(&toy);
    int slow = client_open(&toy);
    client_send(slow, "GET /"); /* before it is idle for too long */
    int idle = client_open(&toy);
    cr_assert_not_null(strstr(client_read_all(slow, answers, sizeof(answers)), "HTTP/1.1 408"));
    cr_assert_eq(strlen(client_read_all(idle, answers, sizeof(answers))), 0);
    cr_assert_eq(close(slow), 0);
    cr_assert_eq(close(idle), 0);
    toy_stop(&toy);
}

Test(http_socket, one_that_does_not_read_is_cut)
{
    static struct toy toy;
    toy_options(&toy);
    toy.options.send_timeout_ns = 300 * MILLISECOND_NS;
    toy_start(&toy);
    int fd = client_open(&toy);
    /* In one piece: 300 ms after the first answer is stuck nothing can be sent any more. */
    char text[512];
    size_t size = 0;
    for (int i = 0; i < 10; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    client_send(fd, text);
    struct pollfd hung = {.fd = fd, .events = POLLRDHUP};
    cr_assert_eq(poll(&hung, 1, CLIENT_TIMEOUT_MS), 1);
    cr_assert_eq(close(fd), 0);
    toy_stop(&toy);
    cr_assert_gt(atomic_load(&toy.handled), 0);
    cr_assert_eq(atomic_load(&toy.released), atomic_load(&toy.handled));
}

Test(http_socket, draining_lets_requests_finish_and_closes_the_rest)
{
    static struct toy toy;
    char answers[ANSWERS_BYTES];
    toy_options(&toy);
    toy_start(&toy);
    atomic_store(&toy.later_hold, 1);
    int busy = client_open(&toy);
    int idle = client_open(&toy);
    client_send(idle, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    client_read_until(idle, "GET /x 0\n", answers, sizeof(answers));
    client_send(busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    while (atomic_load(&toy.handled) < 2) {
        (void)poll(NULL, 0, 1);
    }
    atomic_store(&toy.stop, true);
    ring_wake(toy.ring);
    cr_assert_eq(strlen(client_read_all(idle, answers, sizeof(answers))), 0);
    atomic_store(&toy.later_hold, 0);
    client_read_all(busy, answers, sizeof(answers));
    cr_assert_not_null(strstr(answers, "GET /later 0\n"));
    cr_assert_not_null(strstr(answers, "Connection: close"));
    cr_assert_eq(close(busy), 0);
    cr_assert_eq(close(idle), 0);
    toy_stop(&toy);
}

Test(http_socket, more_clients_than_receive_buffers_all_get_answers)
{
    static struct toy toy;
    enum { CLIENTS = 90 };
    static char body[60000];
    char answers[ANSWERS_BYTES];
    int fds[CLIENTS];
    toy_options(&toy);
    toy_start(&toy);
    memset(body, 'b', sizeof(body));
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(&toy);
        client_send(
            fds[i],
            "PUT /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n");
        cr_assert_eq(send(fds[i], body, sizeof(body), MSG_NOSIGNAL), (ssize_t)sizeof(body));
    }
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert_not_null(
            strstr(client_read_all(fds[i], answers, sizeof(answers)), "PUT /b 60000\n"));
        cr_assert_eq(close(fds[i]), 0);
    }
    toy_stop(&toy);
}

/* A client of "/stream" with a small buffer, which does not read. */
static int stream_client_open(struct toy *toy)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int small = 4096;
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&toy->address.storage, toy->address.size), 0);
    client_send(fd, "GET /stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    while (atomic_load(&toy->stream_refusals) == 0) {
        (void)poll(NULL, 0, 1);
    }
    return fd;
}

Test(http_socket, a_client_that_does_not_read_a_stream_costs_little_and_gets_it_whole)
{
    static struct toy toy;
    toy_options(&toy);
    toy_start(&toy);
    int fd = stream_client_open(&toy);
    /* Its room, what the kernel takes for a stream, and for the client: not the 3 MB that a socket
     * would grow to. */
    cr_assert_leq(atomic_load(&toy.stream_pieces) * STREAM_PIECE, 400000u);
    size_t capacity = 2u * STREAM_PIECE * STREAM_PIECES;
    char *all = malloc(capacity);
    size_t size = 0;
    ssize_t count;
    while ((count = recv(fd, all + size, capacity - size, 0)) > 0) {
        size += (size_t)count;
    }
    cr_assert_eq(count, 0);
    const char *at = memmem(all, size, "\r\n\r\n", 4);
    cr_assert_not_null(at);
    at += 4;
    for (uint32_t i = 0; i < STREAM_PIECES; i++) {
        cr_assert_eq(memcmp(at, "3e8\r\n", 5), 0, "piece %u", i);
        cr_assert_eq(memcmp(at + 5, toy.large, STREAM_PIECE), 0, "piece %u", i);
        at += 5 + STREAM_PIECE + 2;
    }
    cr_assert_eq(memcmp(at, "0\r\n\r\n", 5), 0);
    cr_assert_eq(at + 5, all + size);
    free(all);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(atomic_load(&toy.stream_closed), 0);
    toy_stop(&toy);
}

Test(http_socket, a_client_that_leaves_a_stream_is_noticed)
{
    static struct toy toy;
    toy_options(&toy);
    toy_start(&toy);
    cr_assert_eq(close(stream_client_open(&toy)), 0);
    while (atomic_load(&toy.stream_closed) == 0) {
        (void)poll(NULL, 0, 1);
    }
    toy_stop(&toy);
}
