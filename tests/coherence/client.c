#include "tests/coherence/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/assert.h"
#include "tests/coherence/client_internal.h"

#define RECEIVE_BYTES (16u << 20)
/* Of so many connections, one sends several requests at a time. */
#define PIPELINE_EVERY 4
#define EVENTS_MAX     64
#define ANSWER_WAIT_MS 60000

/* ---- small things ---- */

uint64_t client_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* splitmix64 */
static uint64_t random_next(struct client *client)
{
    client->random += 0x9E3779B97F4A7C15;
    uint64_t mixed = client->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    return mixed ^ (mixed >> 31);
}

uint32_t client_random_below(struct client *client, uint32_t limit)
{
    ASSERT(limit > 0);
    return (uint32_t)((random_next(client) >> 32) * limit >> 32);
}

void client_fault(struct client *client, const struct connection *connection, const char *what,
                  struct bytes text)
{
    client->status = STATUS_INVALID;
    fprintf(stderr, "coherence: connection %u: %s: %.*s\n", connection->number, what,
            (int)(text.size < 1000 ? text.size : 1000),
            text.data == NULL ? "" : (const char *)text.data);
}

static int connected_socket(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    int on = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        fprintf(stderr, "coherence: no connection to port %u: %s\n", port, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* False when the connection is lost. A server that does not read for a while is waited for. */
static bool send_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        bytes = bytes_slice(bytes, sent < 0 ? 0 : (size_t)sent, bytes.size);
    }
    return true;
}
/* Sends the next requests of a connection all of whose requests are answered. */
static void connection_ask(struct client *client, struct connection *connection)
{
    ASSERT(connection->answered_count == connection->sent_count);
    struct writer out = writer_of(client->send_buffer, CLIENT_SEND_BYTES);
    connection->sent_count = 0;
    connection->answered_count = 0;
    while (connection->sent_count < connection->depth && connection->left > 0) {
        struct operation *operation = &connection->operations[connection->sent_count++];
        operation_choose(client, connection, operation);
        request_write(client, connection, operation, &out);
        connection->left--;
    }
    uint64_t start_ns = client_now_ns();
    for (uint32_t i = 0; i < connection->sent_count; i++) {
        connection->operations[i].start_ns = start_ns;
    }
    if (connection->sent_count == 0) {
        client->busy--;
    } else if (!send_all(connection->fd, writer_bytes(&out))) {
        client_fault(client, connection, "the connection was lost", bytes_of_text(strerror(errno)));
    }
}
static void connection_parse(struct client *client, struct connection *connection)
{
    struct bytes received = bytes_of(connection->received, connection->received_size);
    while (connection->answered_count < connection->sent_count && client->status == STATUS_OK) {
        const struct operation *operation = &connection->operations[connection->answered_count];
        struct answer answer;
        size_t taken;
        enum status status =
            answer_read(received, operation->action == ACTION_HEAD, &answer, &taken);
        if (status == STATUS_WOULD_BLOCK) {
            break;
        }
        if (status != STATUS_OK) {
            client_fault(client, connection, "this is no HTTP answer", received);
            return;
        }
        connection->answered_count++;
        operation_answered(client, connection, operation, &answer);
        received = bytes_slice(received, taken, received.size);
    }
    if (received.size > 0) {
        memmove(connection->received, received.data, received.size);
    }
    connection->received_size = received.size;
}

static void connection_receive(struct client *client, struct connection *connection)
{
    size_t room = RECEIVE_BYTES - connection->received_size;
    ASSERT(room > 0);
    ssize_t size = recv(connection->fd, connection->received + connection->received_size, room, 0);
    if (size <= 0) {
        client_fault(client, connection, "the server closed the connection", BYTES_EMPTY);
        return;
    }
    connection->received_size += (size_t)size;
    connection_parse(client, connection);
    if (connection->answered_count == connection->sent_count && client->status == STATUS_OK) {
        connection_ask(client, connection);
    }
}
/* ---- the thread ---- */

void *client_run(void *argument)
{
    struct client *client = argument;
    client->busy = client->options.connection_count;
    for (uint32_t i = 0; i < client->options.connection_count && client->status == STATUS_OK; i++) {
        connection_ask(client, &client->connections[i]);
    }
    while (client->busy > 0 && client->status == STATUS_OK) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(client->epoll_fd, events, EVENTS_MAX, ANSWER_WAIT_MS);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            client_fault(client, &client->connections[0], "no answer on any connection",
                         BYTES_EMPTY);
        }
        for (int i = 0; i < count && client->status == STATUS_OK; i++) {
            connection_receive(client, events[i].data.ptr);
        }
    }
    return NULL;
}

void client_sweep(struct client *client)
{
    ASSERT(client->options.connection_count > 0);
    struct connection *connection = &client->connections[0];
    uint32_t pages = 1 + CLIENT_CATEGORIES;
    for (uint32_t i = 0; i < client->options.key_count + pages && client->status == STATUS_OK;
         i++) {
        uint32_t page = i < client->options.key_count ? 0 : i - client->options.key_count;
        struct operation *operation = &connection->operations[0];
        *operation = (struct operation){
            .key = (uint16_t)(i < client->options.key_count ? i : 0),
            .action = i < client->options.key_count ? ACTION_GET
                      : page == 0                   ? ACTION_LIST
                                                    : ACTION_INDEX,
            .category = (uint8_t)page,
            .after = CLIENT_KEY_NONE,
            .start_ns = client_now_ns(),
        };
        struct writer out = writer_of(client->send_buffer, CLIENT_SEND_BYTES);
        request_write(client, connection, operation, &out);
        connection->sent_count = 1;
        connection->answered_count = 0;
        connection->next_size = 0;
        bool sent = send_all(connection->fd, writer_bytes(&out));
        while (connection->answered_count == 0 && client->status == STATUS_OK) {
            ssize_t size = recv(connection->fd, connection->received + connection->received_size,
                                RECEIVE_BYTES - connection->received_size, 0);
            if (!sent || size <= 0) {
                client_fault(client, connection, "the last look failed", BYTES_EMPTY);
                return;
            }
            connection->received_size += (size_t)size;
            connection_parse(client, connection);
        }
    }
}

static enum status connection_open(struct client *client, uint32_t index)
{
    struct connection *connection = &client->connections[index];
    connection->number = client->options.connection_first + index;
    connection->depth = connection->number % PIPELINE_EVERY == 0 ? CLIENT_PIPELINE_MAX : 1;
    connection->left = client->options.operations;
    connection->received = malloc(RECEIVE_BYTES);
    connection->fd = connected_socket(client->options.port);
    if (connection->received == NULL || connection->fd < 0) {
        return STATUS_IO_ERROR;
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
    int added = epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    return added == 0 ? STATUS_OK : STATUS_IO_ERROR;
}

enum status client_create(const struct client_options *options, struct client **out)
{
    ASSERT(options->connection_first + options->connection_count <= CLIENT_CONNECTIONS_MAX);
    *out = NULL;
    struct client *client =
        calloc(1, sizeof(*client) + options->connection_count * sizeof(client->connections[0]));
    if (client == NULL) {
        return STATUS_NO_MEMORY;
    }
    client->options = *options;
    client->random = options->seed;
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    client->tags = calloc(options->key_count, sizeof(client->tags[0]));
    client->send_buffer = malloc(CLIENT_SEND_BYTES);
    history_init(&client->history);
    for (uint32_t i = 0; i < options->connection_count; i++) {
        client->connections[i].fd = -1;
    }
    enum status status = client->epoll_fd < 0 || client->tags == NULL || client->send_buffer == NULL
                             ? STATUS_NO_MEMORY
                             : STATUS_OK;
    for (uint32_t i = 0; i < options->connection_count && status == STATUS_OK; i++) {
        status = connection_open(client, i);
    }
    if (status != STATUS_OK) {
        client_destroy(&client);
    }
    *out = client;
    return status;
}

void client_destroy(struct client **client)
{
    if (*client == NULL) {
        return;
    }
    for (uint32_t i = 0; i < (*client)->options.connection_count; i++) {
        struct connection *connection = &(*client)->connections[i];
        free(connection->received);
        if (connection->fd >= 0) {
            close(connection->fd);
        }
    }
    if ((*client)->epoll_fd >= 0) {
        close((*client)->epoll_fd);
    }
    free((*client)->tags);
    free((*client)->send_buffer);
    history_deinit(&(*client)->history);
    free(*client);
    *client = NULL;
}

char *client_fetch(uint16_t port, const char *path)
{
    int fd = connected_socket(port);
    if (fd < 0) {
        return NULL;
    }
    char request[256];
    int size =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    ASSERT(size > 0 && (size_t)size < sizeof(request));
    uint8_t *received = calloc(1, RECEIVE_BYTES + 1);
    size_t received_size = 0;
    ssize_t got = received != NULL && send_all(fd, bytes_of(request, (size_t)size)) ? 1 : 0;
    enum status status = STATUS_WOULD_BLOCK;
    struct answer answer = {0};
    while (got > 0 && status == STATUS_WOULD_BLOCK && received_size < RECEIVE_BYTES) {
        size_t taken;
        got = recv(fd, received + received_size, RECEIVE_BYTES - received_size, 0);
        received_size += got > 0 ? (size_t)got : 0;
        status = answer_read(bytes_of(received, received_size), false, &answer, &taken);
    }
    close(fd);
    char *body = NULL;
    if (status == STATUS_OK && answer.status == 200) {
        body = strndup((const char *)answer.body.data, answer.body.size);
    } else {
        fprintf(stderr, "coherence: no answer to GET %s\n", path);
    }
    free(received);
    return body;
}

enum status client_status(const struct client *client)
{
    return client->status;
}

const struct client_counts *client_counts(const struct client *client)
{
    return &client->counts;
}

const struct history *client_history(const struct client *client)
{
    return &client->history;
}
