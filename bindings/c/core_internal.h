/*
 * core_internal.h: what the parts of the core share: see core.h.
 *
 *     core.c               the connection: frames in and out, what is due
 *     core_request.c       requests from their submission to their answer
 *     core_encode.c        their bodies
 *     core_decode.c        the bodies of their answers
 *     core_control.c       protobuf messages
 *     core_subscription.c  subscriptions: credit, resuming
 *     core_change.c        a change as the application sees it
 *     core_near.c          the near cache: lease, invalidations
 *
 * Owner:     bindings/c alone; tests may include it.
 */
#ifndef FRESHET_BINDINGS_C_CORE_INTERNAL_H
#define FRESHET_BINDINGS_C_CORE_INTERNAL_H

#include "bindings/c/buffer.h"
#include "bindings/c/core.h"
#include "bindings/c/error_room.h"
#include "bindings/c/near_cache.h"
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/base/list.h"
#include "protocol/frame/frame.h"

/* protobuf-c's, for whose sake not every part includes what is generated. */
struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct Freshet__Subscribe;

/* An id is a slot and how often it has been used; slots up to this many. */
#define CORE_SLOT_BITS 12
#define CORE_SLOTS_MAX (1u << CORE_SLOT_BITS)
#define CORE_ID_HELLO  1u
#define CORE_USES_MAX  (UINT32_MAX >> CORE_SLOT_BITS)
/* What may wait to be sent; one frame of the largest size is always taken. */
#define CORE_OUT_BYTES_MAX ((size_t)64 << 20)
#define CORE_READ_BYTES    ((size_t)64 << 10)
#define CORE_IN_BYTES_MAX  (FRAME_HEADER_BYTES + FRAME_ANSWER_BYTES_MAX + CORE_READ_BYTES)
/* A control message, and all that unpacking it may take. */
#define CORE_CONTROL_BYTES_MAX ((size_t)8 << 20)
#define CORE_UNPACK_BYTES_MAX  ((size_t)32 << 20)
#define CORE_ETAG_BYTES_MAX    128
#define CORE_BATCH_MAX         1000
#define CORE_NO_RECORD         "there is no such record"
#define CORE_SUBSCRIPTIONS_MAX 256
/* Of the slots so many are kept for subscriptions, the near cache's own among them, and PINGs. */
#define CORE_REQUESTS_MAX (CORE_SLOTS_MAX - CORE_SUBSCRIPTIONS_MAX - 8)
/* A subscription whose application does not take its changes is ended for a while beyond this. */
#define CORE_QUEUE_BYTES_MAX ((size_t)32 << 20)
#define CORE_CREDIT_DEFAULT  4096
/* A server that owes something and says nothing for so long is asked, and then given up. */
#define CORE_SILENCE_NS ((uint64_t)10 * 1000 * 1000 * 1000)

enum core_state {
    CORE_CLOSED,
    CORE_GREETING, /* HELLO is sent */
    CORE_OPEN,
    CORE_LEAVING, /* GOAWAY has come: nothing new is sent */
    CORE_BROKEN,  /* what came was not the protocol */
};

enum slot_kind { SLOT_FREE, SLOT_REQUEST, SLOT_SUBSCRIPTION };

struct core_slot {
    enum slot_kind kind;
    uint32_t uses;
    uint32_t next_free;
    union {
        struct request *request;
        struct freshet_subscription *subscription;
    };
};

enum request_state {
    REQUEST_WAITING, /* for a connection */
    REQUEST_SENT,    /* put into the output */
    REQUEST_LEFT,    /* nobody waits for it any more; its answer must still come */
};

struct request {
    struct link link; /* of core->requests, oldest first, which have the same timeout */
    enum request_state state;
    uint32_t id; /* 0: none */
    uint8_t opcode;
    bool may_repeat;  /* reading, or the same when it is done twice */
    bool is_internal; /* a PING of the core's own: not asked again */
    bool was_lost;    /* with a connection, once */
    uint64_t deadline_ns;
    uint64_t end_offset; /* of its last byte among all that were put into the output */
    uint64_t event_sent; /* of the near cache */
    struct core_done done;
    size_t frame_size;
    uint8_t *frame; /* with its header; freed when it cannot be needed again */
    size_t hash_count;
    uint64_t hashes[]; /* of the keys that it writes; of a batch, also of those that it reads */
};

enum subscription_state {
    SUBSCRIPTION_WAITING, /* to be sent when there is a connection */
    SUBSCRIPTION_SENT,
    SUBSCRIPTION_ACTIVE,
    SUBSCRIPTION_ENDING, /* UNSUBSCRIBE is sent */
    SUBSCRIPTION_PAUSED, /* until the application has taken what is queued */
    SUBSCRIPTION_ENDED,
};

/* The body of one CHANGES frame. */
struct change_block {
    struct change_block *next;
    size_t size;
    uint8_t body[];
};

struct position {
    size_t size;
    char text[POSITION_TEXT_BYTES_MAX + 1];
};

struct freshet_subscription {
    struct link link; /* of core->subscriptions */
    struct core *core;
    struct freshet *owner;
    enum subscription_state state;
    uint32_t id;
    bool is_near;
    bool is_orphan;        /* the application has closed it; it goes with the server's last word */
    bool is_resumed_after; /* ENDING: because its queue is full */
    bool wants_progress;
    struct Freshet__Subscribe *message; /* its texts belong to it */
    uint32_t credit;                    /* that it is given when it begins */
    uint32_t credit_left;               /* changes that the server may still send */
    uint32_t credit_owed;               /* changes that were taken, and not yet told as credit */
    struct position received;           /* of the last item that came: from there it is resumed */
    struct position taken;              /* of the last one that the application has */
    struct change_block *first;
    struct change_block *last;
    size_t queue_bytes;
    struct reader reader; /* in the first block */
    uint32_t items_left;
    struct buffer text; /* of the change that the application has */
    enum freshet_status end_status;
    int end_code;
    char *end_texts; /* type, detail, oldest, newest, each with its NUL; or NULL */
};

/* A subscription of the core's own, a lease, and who may be cached. */
struct core_near {
    struct near_cache *cache;                  /* NULL: none */
    struct freshet_subscription *subscription; /* NULL: not now */
    char *collections; /* names, each with a NUL, and an empty one at the end; NULL: all */
    uint64_t lease_ns;
    uint64_t until_ns; /* entries may be served until then, if it is live */
    uint64_t next_ping_ns;
    uint64_t ping_sent_ns;
    bool is_pinging;
    bool is_ping_void; /* what is under way was sent for a subscription that has ended */
    bool is_live;
    bool is_positioned; /* from here on every change will be told */
    uint64_t hits;
    uint64_t misses;
    uint64_t passed;
};

/* Where the texts of a written answer stand with their NULs. */
struct written_room {
    char id[ID_BYTES_MAX + 1];
    char etag[CORE_ETAG_BYTES_MAX + 1];
    char position[POSITION_TEXT_BYTES_MAX + 1];
};

struct core {
    enum core_state state;
    enum freshet_format format;
    bool wants_checks;
    bool has_checks;
    bool reconnects;
    bool is_final;  /* no connection will be made any more */
    bool is_inside; /* callbacks run: they must not come back in */
    char *token;
    uint64_t timeout_ns;
    struct buffer in;
    struct buffer out;
    uint64_t out_total; /* bytes ever put into out, and ever sent, over this connection */
    uint64_t out_sent;
    size_t frame_bytes_max;
    struct core_slot *slots;
    uint32_t slot_count; /* that were ever used */
    uint32_t slot_capacity;
    uint32_t slot_free; /* first of those free again; UINT32_MAX: none */
    struct link requests;
    size_t request_count; /* all that are not over, those that were left included */
    size_t held_bytes;    /* of frames that are kept: they wait, or may be sent again */
    struct link subscriptions;
    size_t subscription_count;
    size_t in_flight; /* requests that were sent and not answered */
    uint64_t received_ns;
    uint64_t silence_ping_ns; /* 0: none is under way */
    uint64_t now_ns;
    struct core_near near;
    struct error_room error;
    struct written_room written;
};

/* ---- core.c ---- */

/* Takes a connection for broken: the caller's last words. */
enum freshet_status core_break(struct core *core, const char *detail);
enum freshet_status core_set_full_error(struct core *core, const struct freshet_error *error);
/* OK is 0; what has no name in the server's answers is its error. */
enum freshet_status core_status_of_code(unsigned code, const char *type);
enum freshet_status core_status_of(enum status status);
MUST_USE enum freshet_status core_put_frame(struct core *core, struct bytes frame);
/* A frame without a body worth a request: CREDIT, UNSUBSCRIBE. */
MUST_USE enum freshet_status core_put_small(struct core *core, uint8_t opcode, uint32_t id,
                                            struct bytes body);
/* 0: there is none. */
uint32_t core_id_acquire(struct core *core, struct core_slot **slot_out);
void core_id_release(struct core *core, uint32_t id);
struct core_slot *core_slot_of(struct core *core, uint32_t id);
char *core_copy_text(const char *text); /* NULL of NULL, and without memory */

/* ---- core_request.c ---- */

struct request *request_create(struct core *core, uint8_t opcode, size_t body_bytes_max,
                               size_t hash_count, struct writer *body_out);
MUST_USE enum freshet_status request_submit(struct core *core, struct request *request,
                                            const struct writer *body, bool is_json,
                                            uint64_t now_ns, struct core_done done);
MUST_USE enum freshet_status request_answered(struct core *core, struct request *request,
                                              const struct frame_header *header, struct bytes body);
void request_send_waiting(struct core *core);
/* is_fatal: nothing is kept for another connection. */
void request_lost_all(struct core *core, bool is_fatal);
void request_fail_waiting(struct core *core, const struct freshet_error *error);
void request_tick(struct core *core, uint64_t now_ns);
uint64_t request_deadline_ns(const struct core *core);
void request_end(struct core *core, struct request *request, const struct freshet_result *result);

/* ---- core_decode.c: false when the body is not what it should be ---- */

struct answer_state {
    struct near_pair pair;
    uint64_t version;
    struct bytes data; /* JSON text or MessagePack; empty when there is none */
    bool is_there;
    bool is_known; /* it was read: there is a state, if only that there is no record */
};

struct answer_written {
    struct near_pair pair;
    uint64_t version;
    struct bytes id;
    struct bytes etag;
    struct bytes position;
    bool is_changed;
};

/* [epoch, sequence, version, record or nil] */
bool answer_state_read(struct reader *reader, bool is_json, struct answer_state *out);
bool answer_written_read(struct reader *reader, struct answer_written *out);
/* The head of an array of at least `least` elements; count_out is how many it has. */
bool answer_array(struct reader *reader, uint32_t least, uint32_t *count_out);
bool answer_u64(struct reader *reader, uint64_t *out);
bool answer_bool(struct reader *reader, bool *out);
/* A string of at most bytes_max without control characters. */
bool answer_text(struct reader *reader, size_t bytes_max, struct bytes *out);
/* A text or nil, which is empty. */
bool answer_text_or_nil(struct reader *reader, size_t bytes_max, struct bytes *out);
bool answer_skip(struct reader *reader, uint32_t count);
/* The next whole value, which is not looked into. */
bool answer_value(struct reader *reader, struct bytes *out);
/* The whole body of an answer to that opcode and code is as it should be. */
bool answer_is_sound(const struct core *core, uint8_t opcode, const struct frame_header *header,
                     struct bytes body);
/* One element of an answer to BATCH: its code and what belongs to it. */
struct answer_operation {
    unsigned code;
    struct answer_state state;
    struct answer_written written;
    struct bytes type; /* of a failure */
    struct bytes detail;
    uint64_t retry_after_ms;
};
bool answer_operation_read(struct reader *reader, bool is_json, bool is_get,
                           struct answer_operation *out);
void written_fill(struct written_room *room, const struct answer_written *from, unsigned code,
                  struct freshet_written *out);

/* ---- core_control.c ---- */

/* Unpacks within CORE_UNPACK_BYTES_MAX; NULL when it is not such a message. */
void *control_unpack(const struct ProtobufCMessageDescriptor *type, struct bytes body);
void control_free(void *message);
enum freshet_status control_error(struct core *core, struct bytes body, struct freshet_error *out,
                                  void **memory_out);
MUST_USE enum freshet_status core_put_control(struct core *core, uint8_t opcode, uint32_t id,
                                              const struct ProtobufCMessage *message);
/* "latest", "earliest", "snapshot", a time or a position. */
struct control_start {
    int from; /* Freshet__From */
    const char *position;
    uint64_t time_ms;
};
struct control_start control_start_of(const char *start);

/* ---- core_subscription.c ---- */

void subscription_send(struct core *core, struct freshet_subscription *subscription);
MUST_USE enum freshet_status subscription_changes(struct core *core,
                                                  struct freshet_subscription *subscription,
                                                  struct bytes body);
MUST_USE enum freshet_status subscription_answered(struct core *core,
                                                   struct freshet_subscription *subscription,
                                                   const struct frame_header *header,
                                                   struct bytes body);
void subscription_send_waiting(struct core *core);
void subscription_lost_all(struct core *core, bool is_fatal);
void subscription_destroy(struct freshet_subscription *subscription);
void subscription_destroy_all(struct core *core);
struct freshet_subscription *subscription_create_near(struct core *core, const char *collection,
                                                      uint32_t progress_ms);
void position_set(struct position *position, struct bytes text);

/* ---- core_change.c ---- */

/* kind, position and change of an item. */
struct change_item {
    uint64_t kind;
    struct bytes position;
    struct bytes change; /* a map, or nil */
};
bool change_item_read(struct reader *reader, struct change_item *out);
/* What names the record; false when it has no key (a user's event). */
bool change_key(struct bytes change, struct bytes *collection_out, struct bytes *id_out);
MUST_USE enum freshet_status change_show(const struct change_item *item, enum freshet_format format,
                                         struct buffer *room, struct freshet_change *out);

/* ---- core_near.c ---- */

MUST_USE enum freshet_status near_create(struct core *core, const struct core_options *options);
void near_destroy(struct core *core);
void near_opened(struct core *core, bool is_supported);
void near_lost(struct core *core);
void near_subscribed(struct core *core);
void near_ended(struct core *core);
MUST_USE enum freshet_status near_invalidated(struct core *core, struct bytes body);
void near_tick(struct core *core, uint64_t now_ns);
uint64_t near_deadline_ns(const struct core *core);
bool near_is_cached(const struct core *core, struct bytes collection);
uint64_t near_hash(const struct core *core, const char *collection, const char *id);
/* What a state that was asked for by `request` is good for. */
void near_read(struct core *core, const struct request *request, struct bytes collection,
               struct bytes id, const struct answer_state *state);
void near_written(struct core *core, uint64_t hash, struct near_pair pair);
/* A change of it has been handed out, by whichever pair. */
void near_changed(struct core *core, struct bytes collection, struct bytes id);
/* A list hands it out, in the handle's format and without a pair: what is cached stays if it is the
 * same. */
void near_listed(struct core *core, struct bytes collection, struct bytes id, struct bytes data);

#endif
