#include "tests/unit/net/wire/turns.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"

#define STEPS_MAX 20000

static struct turns turns;

/* ---- the sockets: what is sent is the client's when it takes it ---- */

static struct client *client_of(const struct socket *socket)
{
    return &turns.clients[socket->fd];
}

static void fake_receive_start(struct socket *socket)
{
    client_of(socket)->stopping = false;
}

static void fake_receive_stop(struct socket *socket)
{
    client_of(socket)->stopping = true;
    client_of(socket)->stops++;
}

static void fake_send(struct socket *socket, const struct iovec *pieces, size_t count)
{
    struct client *client = client_of(socket);
    cr_assert_eq(client->sending, 0, "one send at a time");
    for (size_t i = 0; i < count; i++) {
        size_t needed = client->size + client->sending + pieces[i].iov_len;
        if (needed > client->capacity) {
            client->capacity = 2 * needed;
            client->received = realloc(client->received, client->capacity);
            cr_assert_not_null(client->received);
        }
        memcpy(client->received + client->size + client->sending, pieces[i].iov_base,
               pieces[i].iov_len);
        client->sending += pieces[i].iov_len;
    }
}

static void fake_nothing(struct socket *socket)
{
    (void)socket;
}

static void fake_shut_write(struct socket *socket)
{
    client_of(socket)->shut = true;
}

static void fake_close(struct socket *socket, bool reset)
{
    (void)reset;
    client_of(socket)->connection = NULL;
}

static const struct socket_transport fake_transport = {
    .receive_start = fake_receive_start,
    .receive_stop = fake_receive_stop,
    .send = fake_send,
    .send_stop = fake_nothing,
    .shut_write = fake_shut_write,
    .limit = fake_nothing,
    .probe = fake_nothing,
    .close = fake_close,
};

/* What the "kernel" has done since the last turn. */
static void client_events(struct client *client)
{
    if (client->connection == NULL) {
        return;
    }
    struct socket *socket = &client->connection->socket;
    if (client->sending > 0 && (!client->slow || client->connection->send_stopped)) {
        size_t size = client->sending;
        client->sending = 0;
        client->size += size;
        wire_socket_events.sent(socket, (int)size);
    }
    if (client->stopping) {
        client->stopping = false;
        wire_socket_events.receive_ended(socket, -ECANCELED);
    }
}

/* ---- turns ---- */

struct turns *turns_all(void)
{
    return &turns;
}

void turns_begin(uint64_t memory_bytes_max)
{
    memset(&turns, 0, sizeof(turns));
    world_create(&turns.world,
                 &(struct world_options){.seed = 1, .cache_bytes = WORLD_CACHE_DEFAULT});
    struct engine_thread *thread = engine_thread_at(turns.world.engine, 0);
    const struct stream_options stream = {.engine = turns.world.engine,
                                          .engine_thread = thread,
                                          .executor = &turns.world.executor,
                                          .subscriptions_max = 1000};
    cr_assert_eq(stream_create(&stream, &turns.stream), STATUS_OK);
    const struct consumers_options consumers = {
        .engine = turns.world.engine,
        .engine_thread = thread,
        .executor = &turns.world.executor,
        .collection = world_internal(&turns.world, COLLECTION_CONSUMERS),
        .all = turns.consumers,
        .thread_count = 1,
        .lease_ns = 1000000000,
    };
    cr_assert_eq(consumers_create(&consumers, &turns.consumers[0]), STATUS_OK);
    const struct wire_options options = {
        .engine = turns.world.engine,
        .engine_thread = thread,
        .collections = turns.world.collections,
        .collection_count = 2,
        .stream = turns.stream,
        .consumers = turns.consumers[0],
        .connections_max = CLIENTS_MAX,
        .subscriptions_max = 16,
        .hello_timeout_ns = UINT64_C(10000000000),
        .frame_timeout_ns = UINT64_C(30000000000),
        .send_timeout_ns = UINT64_C(3600000000000),
        .memory_bytes_max = memory_bytes_max,
    };
    cr_assert_eq(wire_server_make(&options, &fake_transport, NULL, &turns.server), STATUS_OK);
}

void turns_step(void)
{
    struct world *world = &turns.world;
    wire_server_begin(turns.server, world->now_ns, world->wall_ms);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client_events(&turns.clients[i]);
    }
    wire_server_dispatched(turns.server);
    world_step(world);
    turns.server->now_ns = world->now_ns;
    consumers_step(turns.consumers[0], world->now_ns, world->wall_ms);
    stream_step(turns.stream, world->now_ns, world->wall_ms);
    wire_server_step(turns.server);
}

void turns_settle(void)
{
    for (int i = 0; i < 60; i++) {
        turns_step();
    }
}

void turns_end(void)
{
    turns.world.hold_jobs = false;
    wire_server_drain(turns.server, true);
    for (int i = 0;
         i < STEPS_MAX && !(wire_server_drained(turns.server) && stream_idle(turns.stream) &&
                            consumers_idle(turns.consumers[0]));
         i++) {
        turns_step();
    }
    ASSERT(wire_server_drained(turns.server));
    ASSERT(atomic_load(&stream_statistics(turns.stream)->subscriptions) == 0);
    ASSERT(turns.server->memory.used == 0);
    wire_server_destroy(&turns.server);
    consumers_destroy(&turns.consumers[0]);
    stream_destroy(&turns.stream);
    request_release(&turns.request.request);
    world_destroy(&turns.world);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        free(turns.clients[i].received);
    }
}

void turns_put(const char *id, const char *json)
{
    request_release(&turns.request.request);
    enum status status =
        world_run(&turns.world, &turns.request, REQUEST_PUT, world_pets(&turns.world), id, json);
    cr_assert_eq(status, STATUS_OK);
}

/* ---- clients ---- */

void client_send(struct client *client, uint8_t opcode, uint32_t id, struct bytes body)
{
    uint8_t bytes[4096];
    const struct frame_header header = {.length = (uint32_t)body.size, .opcode = opcode, .id = id};
    cr_assert_leq(body.size, sizeof(bytes) - FRAME_HEADER_BYTES);
    frame_header_write(&header, bytes);
    if (body.size > 0) {
        memcpy(bytes + FRAME_HEADER_BYTES, body.data, body.size);
    }
    wire_socket_events.received(&client->connection->socket, bytes, FRAME_HEADER_BYTES + body.size);
}

void client_send_message(struct client *client, uint8_t opcode, uint32_t id,
                         const ProtobufCMessage *message)
{
    uint8_t bytes[2048];
    size_t size = protobuf_c_message_get_packed_size(message);
    cr_assert_leq(size, sizeof(bytes));
    protobuf_c_message_pack(message, bytes);
    client_send(client, opcode, id, bytes_of(bytes, size));
}

void client_send_bytes(struct client *client, struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);
    cr_assert_not_null(copy);
    memcpy(copy, bytes.data, bytes.size);
    wire_socket_events.received(&client->connection->socket, copy, bytes.size);
    /* Whoever looks at it later is found. */
    free(copy);
}

void client_end(struct client *client)
{
    wire_socket_events.receive_ended(&client->connection->socket, 0);
}

void client_forget(struct client *client)
{
    cr_assert_null(client->connection);
    free(client->received);
    *client = (struct client){.connection = NULL};
}

struct client *client_connect(void)
{
    int fd = 0;
    while (turns.clients[fd].connection != NULL || turns.clients[fd].received != NULL) {
        fd++;
        cr_assert_lt(fd, CLIENTS_MAX);
    }
    struct client *client = &turns.clients[fd];
    client->connection = wire_connection_open(turns.server, fd, false);
    cr_assert_not_null(client->connection);
    turns_step();
    return client;
}

struct client *client_open(void)
{
    struct client *client = client_connect();
    uint32_t version = FRAME_VERSION;
    char invalidate[] = "invalidate";
    char *features[] = {invalidate};
    Freshet__Hello hello = FRESHET__HELLO__INIT;
    hello.n_versions = 1;
    hello.versions = &version;
    hello.n_features = 1;
    hello.features = features;
    client_send_message(client, FRAME_HELLO, 1, &hello.base);
    turns_settle();
    client_expect(client, "HELLO 1 200");
    return client;
}

void client_cut(struct client *client)
{
    wire_socket_events.receive_ended(&client->connection->socket, -ECONNRESET);
}

bool client_frame(struct client *client, struct sent_frame *out)
{
    if (client->size < FRAME_HEADER_BYTES) {
        return false;
    }
    out->header = frame_header_read(client->received);
    size_t size = FRAME_HEADER_BYTES + out->header.length;
    if (client->size < size) {
        return false;
    }
    /* Its bytes are moved behind all that is still to come. */
    uint8_t *copy = malloc(size);
    cr_assert_not_null(copy);
    memcpy(copy, client->received, size);
    memmove(client->received, client->received + size, client->size + client->sending - size);
    client->size -= size;
    out->body = bytes_of(copy + FRAME_HEADER_BYTES, out->header.length);
    return true;
}

void sent_frame_free(struct sent_frame *frame)
{
    free((void *)(uintptr_t)(frame->body.data - FRAME_HEADER_BYTES));
}

static void tell_changes(struct bytes body, struct writer *out)
{
    static const char *const names[] = {"", "", " synced", " progress", " caught-up"};
    struct document_cursor items;
    struct bytes item;
    struct bytes value;
    uint64_t changes = 0;
    uint8_t marks_bytes[256];
    struct writer marks = writer_of(marks_bytes, sizeof(marks_bytes));
    cr_assert_eq(document_value_size(body), body.size);
    cr_assert(document_cursor_open(body, &items));
    while (document_next_element(&items, &item)) {
        struct document_cursor members;
        uint64_t kind;
        cr_assert(document_cursor_open(item, &members));
        cr_assert(document_next_element(&members, &value) && document_u64(value, &kind));
        cr_assert_lt(kind, 5);
        changes += kind <= FRAME_SNAPSHOT ? 1 : 0;
        writer_text(&marks, names[kind]);
    }
    writer_u8(out, ' ');
    writer_decimal(out, changes);
    writer_put(out, writer_bytes(&marks));
}

static void tell_invalidation(struct bytes body, struct writer *out)
{
    struct document_cursor members;
    struct document_cursor keys;
    struct bytes value;
    bool live;
    cr_assert_eq(document_value_size(body), body.size);
    cr_assert(document_cursor_open(body, &members));
    cr_assert(document_next_element(&members, &value));
    cr_assert(document_next_element(&members, &value) && document_bool(value, &live));
    writer_text(out, live ? " live" : " behind");
    cr_assert(document_next_element(&members, &value) && document_cursor_open(value, &keys));
    while (document_next_element(&keys, &value)) {
        struct document_cursor key;
        struct bytes id = BYTES_EMPTY;
        cr_assert(document_cursor_open(value, &key));
        while (document_next_element(&key, &value)) {
            (void)document_string(value, &id);
        }
        writer_u8(out, ' ');
        writer_put(out, id);
    }
}

void client_expect(struct client *client, const char *text)
{
    static uint8_t bytes[1 << 20];
    struct writer out = writer_of(bytes, sizeof(bytes));
    struct sent_frame frame;
    while (client_frame(client, &frame)) {
        uint8_t opcode = frame.header.opcode;
        bool is_push = opcode == FRAME_CHANGES || opcode == FRAME_INVALIDATE;
        writer_text(&out, out.size > 0 ? ", " : "");
        bool is_answer = opcode != FRAME_ERROR && !is_push && opcode != FRAME_GOAWAY;
        writer_text(&out, frame_opcode_name(is_answer ? opcode & 0x7f : opcode));
        writer_u8(&out, ' ');
        writer_decimal(&out, frame.header.id);
        if (opcode == FRAME_CHANGES) {
            tell_changes(frame.body, &out);
        } else if (opcode == FRAME_INVALIDATE) {
            tell_invalidation(frame.body, &out);
        } else {
            writer_u8(&out, ' ');
            writer_decimal(&out, frame.header.code);
        }
        sent_frame_free(&frame);
    }
    cr_assert(!out.failed);
    cr_assert(bytes_equal(writer_bytes(&out), bytes_of_text(text)), "expected %s\n     got %.*s",
              text, (int)(out.size < 4000 ? out.size : 4000), (const char *)out.data);
}
