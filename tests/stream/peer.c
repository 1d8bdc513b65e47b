#include "tests/stream/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/assert.h"

static enum status fault(const char *what, struct bytes text)
{
    fprintf(stderr, "stream: %s: %.*s\n", what, (int)(text.size > 300 ? 300 : text.size),
            text.data == NULL ? "" : (const char *)text.data);
    return STATUS_INVALID;
}

enum status peer_open(uint16_t port, struct peer *out)
{
    *out = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    out->raw = malloc(PEER_BYTES_MAX);
    out->text = malloc(PEER_BYTES_MAX);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(port),
                                        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int one = 1;
    if (out->fd < 0 || out->raw == NULL || out->text == NULL ||
        connect(out->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(out->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0) {
        fprintf(stderr, "stream: no connection: %s\n", strerror(errno));
        peer_close(out);
        return STATUS_IO_ERROR;
    }
    return STATUS_OK;
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    free(peer->raw);
    free(peer->text);
    *peer = (struct peer){.fd = -1};
}

enum status peer_send(struct peer *peer, struct bytes request)
{
    size_t sent = 0;
    while (sent < request.size) {
        ssize_t some = send(peer->fd, request.data + sent, request.size - sent, MSG_NOSIGNAL);
        if (some <= 0) {
            return fault("nothing can be sent", BYTES_EMPTY);
        }
        sent += (size_t)some;
    }
    return STATUS_OK;
}

/* More bytes into raw. */
static enum status receive(struct peer *peer, uint32_t wait_ms)
{
    if (peer->raw_from > 0) {
        memmove(peer->raw, peer->raw + peer->raw_from, peer->raw_size);
        peer->raw_from = 0;
    }
    if (peer->raw_size == PEER_BYTES_MAX) {
        return fault("an answer is too large", BYTES_EMPTY);
    }
    struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
    int ready = poll(&wait, 1, (int)wait_ms);
    if (ready == 0) {
        return STATUS_TIMEOUT;
    }
    ssize_t got = recv(peer->fd, peer->raw + peer->raw_size, PEER_BYTES_MAX - peer->raw_size, 0);
    if (got <= 0) {
        return STATUS_CLOSED;
    }
    peer->raw_size += (size_t)got;
    return STATUS_OK;
}

static void take(struct peer *peer, size_t size)
{
    ASSERT(size <= peer->raw_size);
    peer->raw_from += size;
    peer->raw_size -= size;
}

static struct bytes received(const struct peer *peer)
{
    return bytes_of(peer->raw + peer->raw_from, peer->raw_size);
}

/* Where text begins in whole; whole.size when it does not. */
static size_t find(struct bytes whole, const char *text)
{
    const uint8_t *at = whole.size == 0 ? NULL : memmem(whole.data, whole.size, text, strlen(text));
    return at == NULL ? whole.size : (size_t)(at - whole.data);
}

/* The value of a line of the head; empty when there is none. */
static struct bytes header(struct bytes head, const char *name)
{
    size_t name_size = strlen(name);
    for (size_t at = find(head, "\r\n"); at + 2 < head.size;) {
        struct bytes line = bytes_slice(head, at + 2, head.size);
        line = bytes_slice(line, 0, find(line, "\r\n"));
        if (line.size > name_size + 1 && line.data[name_size] == ':' &&
            strncasecmp((const char *)line.data, name, name_size) == 0) {
            struct bytes value = bytes_slice(line, name_size + 1, line.size);
            return value.data[0] == ' ' ? bytes_slice(value, 1, value.size) : value;
        }
        at += 2 + line.size;
    }
    return BYTES_EMPTY;
}

/* Waits for a whole head; its size with the blank line. */
static enum status head_wait(struct peer *peer, size_t *size_out)
{
    for (;;) {
        size_t size = find(received(peer), "\r\n\r\n");
        if (size < peer->raw_size) {
            *size_out = size + 4;
            return STATUS_OK;
        }
        enum status status = receive(peer, PEER_WAIT_MS);
        if (status != STATUS_OK) {
            fprintf(stderr, "stream: no answer: %s\n", status_text(status));
            return status;
        }
    }
}

/* The last number in hexadecimal of "0-EPOCH-SEQUENCE". */
static uint64_t tag_sequence(struct bytes tag)
{
    for (size_t at = tag.size; at > 0; at--) {
        if (tag.data[at - 1] == '-') {
            return strtoull((const char *)tag.data + at, NULL, 16);
        }
    }
    return 0;
}

/* ---- streams ---- */

enum status peer_stream(struct peer *peer, const char *target, struct bytes last_id)
{
    char request[2048];
    int size = snprintf(request, sizeof(request),
                        "GET %s HTTP/1.1\r\nHost: stream\r\nAccept: text/event-stream\r\n"
                        "%s%.*s%s\r\n",
                        target, last_id.size > 0 ? "Last-Event-ID: " : "", (int)last_id.size,
                        last_id.size > 0 ? (const char *)last_id.data : "",
                        last_id.size > 0 ? "\r\n" : "");
    ASSERT(size > 0 && (size_t)size < sizeof(request));
    size_t head_size = 0;
    enum status status = peer_send(peer, bytes_of(request, (size_t)size));
    if (status == STATUS_OK) {
        status = head_wait(peer, &head_size);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!bytes_starts_with(received(peer), BYTES_LITERAL("HTTP/1.1 200"))) {
        return fault("this is no stream", received(peer));
    }
    take(peer, head_size);
    return STATUS_OK;
}

/* One chunk's head, or bytes of the chunk, from raw to text. False: more must
 * be received. */
static bool chunk_step(struct peer *peer)
{
    struct bytes raw = received(peer);
    if (peer->chunk_left == 0) {
        size_t line = find(raw, "\r\n");
        if (line == raw.size) {
            return false;
        }
        size_t size = strtoull((const char *)raw.data, NULL, 16);
        peer->ended = size == 0;
        peer->chunk_left = size + 2;
        take(peer, line + 2);
        return !peer->ended;
    }
    if (raw.size == 0) {
        return false;
    }
    size_t size = raw.size < peer->chunk_left ? raw.size : peer->chunk_left;
    size_t ending = peer->chunk_left - size < 2 ? 2 - (peer->chunk_left - size) : 0;
    size_t content = size > ending ? size - ending : 0;
    ASSERT(peer->text_from + peer->text_size + content <= PEER_BYTES_MAX);
    memcpy(peer->text + peer->text_from + peer->text_size, raw.data, content);
    peer->text_size += content;
    peer->chunk_left -= size;
    take(peer, size);
    return true;
}

static struct bytes text_of(const struct peer *peer)
{
    return bytes_of(peer->text + peer->text_from, peer->text_size);
}

bool peer_event_waits(const struct peer *peer)
{
    return find(text_of(peer), "\n\n") < peer->text_size;
}

static void event_line(struct bytes line, struct peer_event *out)
{
    size_t colon = find(line, ": ");
    struct bytes name = bytes_slice(line, 0, colon);
    struct bytes value = bytes_slice(line, colon + 2, line.size);
    if (bytes_equal(name, BYTES_LITERAL("id"))) {
        out->id = value;
    } else if (bytes_equal(name, BYTES_LITERAL("event"))) {
        out->name = value;
    } else if (bytes_equal(name, BYTES_LITERAL("data"))) {
        out->data = value;
    }
}

/* Takes the event that is there; false when it was only comments and hints. */
static bool event_take(struct peer *peer, struct peer_event *out)
{
    struct bytes block = bytes_slice(text_of(peer), 0, find(text_of(peer), "\n\n"));
    peer->text_from += block.size + 2;
    peer->text_size -= block.size + 2;
    *out = (struct peer_event){.name = BYTES_EMPTY};
    while (block.size > 0) {
        struct bytes line = bytes_slice(block, 0, find(block, "\n"));
        event_line(line, out);
        block = bytes_slice(block, line.size + 1, block.size);
    }
    return out->name.size > 0;
}

enum status peer_event(struct peer *peer, uint32_t wait_ms, struct peer_event *out)
{
    for (;;) {
        while (peer_event_waits(peer)) {
            if (event_take(peer, out)) {
                return STATUS_OK;
            }
        }
        if (peer->text_from > 0) {
            memmove(peer->text, peer->text + peer->text_from, peer->text_size);
            peer->text_from = 0;
        }
        if (peer->ended) {
            return STATUS_CLOSED;
        }
        enum status status = peer->raw_size > 0 ? STATUS_OK : receive(peer, wait_ms);
        if (status != STATUS_OK) {
            return status;
        }
        size_t before = peer->raw_size;
        while (peer->text_size < PEER_BYTES_MAX / 2 && chunk_step(peer)) {
        }
        if (peer->raw_size == before && !peer->ended) {
            status = receive(peer, wait_ms);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
}

/* ---- answers ---- */

/* The body of a chunked answer, whole. */
static enum status body_chunked(struct peer *peer, struct bytes *body_out)
{
    peer->text_from = 0;
    peer->text_size = 0;
    peer->ended = false;
    while (!peer->ended) {
        while (chunk_step(peer)) {
        }
        if (!peer->ended) {
            enum status status = receive(peer, PEER_WAIT_MS);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    while (peer->raw_size < 2) { /* the line end of the last chunk */
        enum status status = receive(peer, PEER_WAIT_MS);
        if (status != STATUS_OK) {
            return status;
        }
    }
    take(peer, 2);
    peer->chunk_left = 0;
    *body_out = text_of(peer);
    return STATUS_OK;
}

enum status peer_answer(struct peer *peer, struct peer_answer *out)
{
    size_t head_size;
    enum status status = head_wait(peer, &head_size);
    if (status != STATUS_OK) {
        return status;
    }
    struct bytes head = bytes_slice(received(peer), 0, head_size);
    bool chunked = header(head, "transfer-encoding").size > 0;
    struct bytes length = header(head, "content-length");
    size_t body_size = length.size == 0 ? 0 : strtoull((const char *)length.data, NULL, 10);
    while (peer->raw_size < head_size + body_size) {
        status = receive(peer, PEER_WAIT_MS);
        if (status != STATUS_OK) {
            return status;
        }
    }
    head = bytes_slice(received(peer), 0, head_size);
    *out = (struct peer_answer){
        .status = (uint16_t)strtoul((const char *)head.data + 9, NULL, 10),
        .tag_sequence = tag_sequence(header(head, "etag")),
        .position = header(head, "freshet-position"),
        .body = bytes_slice(received(peer), head_size, body_size),
    };
    take(peer, head_size + body_size);
    return chunked ? body_chunked(peer, &out->body) : STATUS_OK;
}
