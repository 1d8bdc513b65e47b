/*
 * fake_server.h: the other side of a core, without sockets: takes the client's frames apart, and
 * says what a test tells it to say.
 *
 * Owner:     one test, or the near cache's benchmark.
 * Memory:    grows with what is said; fake_deinit frees it.
 */
#ifndef FRESHET_TESTS_UNIT_BINDINGS_C_FAKE_SERVER_H
#define FRESHET_TESTS_UNIT_BINDINGS_C_FAKE_SERVER_H

#include "bindings/c/buffer.h"
#include "bindings/c/core.h"
#include "protocol/frame/frame.h"

#define FAKE_SEEN_MAX 256

/* A frame of the client; its body stands in the server's memory. */
struct fake_frame {
    struct frame_header header;
    size_t body_offset;
};

struct fake_server {
    struct buffer in; /* all that the client ever said */
    size_t parsed;
    struct buffer out;
    struct fake_frame seen[FAKE_SEEN_MAX];
    size_t seen_count;
    size_t told; /* frames that next_of has handed out */
};

void fake_init(struct fake_server *fake);
void fake_deinit(struct fake_server *fake);

/* Takes what the client has to say. */
void fake_listen(struct fake_server *fake, struct core *core);
void fake_hear(struct fake_server *fake, struct bytes bytes);
/* The next frame of that opcode that the client has sent; fails the test if there is none. */
struct fake_frame fake_expect(struct fake_server *fake, uint8_t opcode);
bool fake_has(const struct fake_server *fake, uint8_t opcode);
struct bytes fake_body(const struct fake_server *fake, const struct fake_frame *frame);

/* What is to be said next. */
void fake_say(struct fake_server *fake, uint8_t opcode, uint16_t code, uint32_t id,
              struct bytes body);
void fake_say_raw(struct fake_server *fake, struct bytes bytes);
void fake_welcome(struct fake_server *fake, const char *const *features, size_t count);
void fake_error(struct fake_server *fake, uint32_t id, unsigned status, const char *type,
                const char *detail);
void fake_subscribed(struct fake_server *fake, uint32_t id, const char *position);
void fake_state(struct fake_server *fake, uint32_t id, unsigned code, uint64_t sequence,
                const char *json);
void fake_written(struct fake_server *fake, uint32_t id, unsigned code, const char *record_id,
                  uint64_t sequence);
void fake_pong(struct fake_server *fake, uint32_t id);
/* No key: collection NULL. */
void fake_invalidate(struct fake_server *fake, uint32_t id, const char *position, bool is_live,
                     uint64_t sequence, const char *collection, const char *record_id);
/* One item; kind of frame_change_kind, the change as MessagePack, or empty. */
void fake_change(struct fake_server *fake, uint32_t id, unsigned kind, const char *position,
                 struct bytes change);
/* An INSERT of {"n":1} with that id and sequence. */
struct bytes fake_insert(uint8_t *room, size_t size, const char *record_id, uint64_t sequence);

/* Hands over all that is to be said, at most `most` bytes at a time, until the core objects. */
enum freshet_status fake_tell(struct fake_server *fake, struct core *core, uint64_t now_ns,
                              size_t most);

/* Connects, and answers HELLO with json, invalidate and checked as the client wants them. */
void fake_greet(struct fake_server *fake, struct core *core, uint64_t now_ns);
/* Answers SUBSCRIBE with `invalidate` and the PING after it: the near cache may serve. */
void fake_start_near(struct fake_server *fake, struct core *core, uint64_t now_ns);

#endif
