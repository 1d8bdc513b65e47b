/*
 * turns.h: a whole server of the binary protocol stepped by hand: an engine in memory (world.h), a
 * stream, consumers, and connections whose client is the test.
 *
 * Owner:  the test. Nothing runs but in turns_step.
 * Memory: what a client was sent is kept until the test has read it.
 */
#ifndef FRESHET_TESTS_UNIT_NET_WIRE_TURNS_H
#define FRESHET_TESTS_UNIT_NET_WIRE_TURNS_H

#include "engine/stream/consumers.h"
#include "engine/stream/stream.h"
#include "net/wire/wire_internal.h"
#include "tests/support/world.h"

#define CLIENTS_MAX 8

struct client {
    struct wire_connection *connection; /* NULL: it has been closed */
    uint8_t *received;                  /* malloc */
    size_t size;
    size_t capacity;
    size_t sending; /* bytes with the "kernel" */
    bool slow;      /* takes nothing while this is set */
    bool stopping;  /* its receive was asked to stop */
    bool shut;      /* the server has shut its side */
    uint32_t stops; /* how often its receive was stopped */
};

struct turns {
    struct world world;
    struct stream *stream;
    struct consumers *consumers[WORLD_THREADS_MAX];
    struct wire_server *server;
    struct world_request request;
    struct client clients[CLIENTS_MAX];
};

/* One frame that a client was sent; the body points into what it has received. */
struct sent_frame {
    struct frame_header header;
    struct bytes body;
};

void turns_begin(uint64_t memory_bytes_max); /* 0: the default */
/* Asserts that nothing is left: of the test itself, since nobody looks at what .fini does. */
void turns_end(void);
struct turns *turns_all(void);
/* One turn of the loop: all that was submitted goes on by a step. */
void turns_step(void);
void turns_settle(void);
void turns_put(const char *id, const char *json);

/* Has said nothing yet. */
struct client *client_connect(void);
/* Has said HELLO and got WELCOME. */
struct client *client_open(void);
/* Bytes as they are. */
void client_send_bytes(struct client *client, struct bytes bytes);
/* Has shut its side. */
void client_end(struct client *client);
/* Its connection is gone: the place is free for another. */
void client_forget(struct client *client);
/* Its socket breaks. */
void client_cut(struct client *client);
void client_send(struct client *client, uint8_t opcode, uint32_t id, struct bytes body);
void client_send_message(struct client *client, uint8_t opcode, uint32_t id,
                         const ProtobufCMessage *message);
/* SUBSCRIBE with these, as designated initialisers. */
#define CLIENT_SUBSCRIBE(client, number, ...)                                                      \
    do {                                                                                           \
        Freshet__Subscribe asked = FRESHET__SUBSCRIBE__INIT;                                       \
        Freshet__Subscribe *it = &asked;                                                           \
        __VA_ARGS__;                                                                               \
        client_send_message((client), FRAME_SUBSCRIBE, (number), &it->base);                       \
    } while (0)
/* The next frame, to be freed; false: there is none. */
bool client_frame(struct client *client, struct sent_frame *out);
void sent_frame_free(struct sent_frame *frame);
/* "SUBSCRIBE 7 200, CHANGES 7 2, INVALIDATE 8 live rex tom, ERROR 9 404": all frames that have
 * come, with the number of changes in CHANGES, other kinds by their names, and the ids in
 * INVALIDATE. */
void client_expect(struct client *client, const char *text);

#endif
