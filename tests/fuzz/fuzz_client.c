/*
 * fuzz_client.c: any bytes as a server to the core of libfreshet. Nothing may be read past its end,
 * every call must be told of its end exactly once, and memory stays within its bounds.
 *
 * The input is a script: a byte that says what happens (the server says a frame of that opcode to
 * a request or subscription that there is, or bytes as they are; the client asks, reads, or waits;
 * the connection goes), then what it needs. So a frame need not guess an id or a length to be
 * looked into.
 */
#include <stdint.h>
#include <stdlib.h>

#include "bindings/c/core.h"
#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"
#include "protocol/frame/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX         64
#define SUBSCRIPTIONS_MAX 4
#define IDS_MAX           64
#define MS_NS             ((uint64_t)1000 * 1000)

struct fuzz {
    struct core *core;
    struct reader script;
    uint64_t now_ns;
    bool is_connected;
    unsigned asked;
    unsigned told;
    struct freshet_subscription *subscriptions[SUBSCRIPTIONS_MAX];
    uint32_t ids[IDS_MAX]; /* that the client has used last */
    unsigned id_count;
};

static void on_told(void *context, const struct freshet_result *result)
{
    struct fuzz *fuzz = context;
    ASSERT(result->error != NULL);
    ASSERT(result->error->detail != NULL);
    ASSERT(fuzz->told < fuzz->asked);
    fuzz->told++;
    /* What is said to be there can be read. */
    volatile uint8_t sum = 0;
    for (size_t index = 0; index < result->record.size; index++) {
        sum = (uint8_t)(sum + (uint8_t)result->record.data[index]);
    }
}

static void lose(struct fuzz *fuzz)
{
    if (fuzz->is_connected) {
        core_lost(fuzz->core, fuzz->now_ns);
        fuzz->is_connected = false;
        fuzz->id_count = 0;
    }
}

/* Reads the ids of what the client sends, so that answers can be meant for them. */
static void listen_to(struct fuzz *fuzz)
{
    struct bytes out = core_output(fuzz->core);
    size_t at = 0;
    while (out.size - at >= FRAME_HEADER_BYTES) {
        struct frame_header header = frame_header_read(out.data + at);
        ASSERT(header.length <= out.size - at - FRAME_HEADER_BYTES);
        fuzz->ids[fuzz->id_count++ % IDS_MAX] = header.id;
        at += FRAME_HEADER_BYTES + header.length;
    }
    ASSERT(at == out.size);
    core_sent(fuzz->core, out.size);
}

static void say(struct fuzz *fuzz, struct bytes bytes)
{
    while (fuzz->is_connected && bytes.size > 0) {
        uint8_t *room;
        size_t size;
        enum freshet_status status = core_room(fuzz->core, &room, &size);
        ASSERT(status == FRESHET_OK);
        ASSERT(size > 0 && size <= (17u << 20));
        size = bytes.size < size ? bytes.size : size;
        memcpy(room, bytes.data, size);
        bytes = bytes_slice(bytes, size, SIZE_MAX);
        if (core_received(fuzz->core, size, fuzz->now_ns) != FRESHET_OK) {
            ASSERT(core_error(fuzz->core)->status != FRESHET_OK);
            lose(fuzz);
        }
    }
}

/* opcode, code, which id, the body's length and the body. */
static void say_frame(struct fuzz *fuzz)
{
    static const uint16_t CODES[] = {200, 201, 304, 404, 400, 410, 503, 0};
    uint8_t head[FRAME_HEADER_BYTES];
    struct frame_header header = {.opcode = reader_u8(&fuzz->script)};
    header.code = CODES[reader_u8(&fuzz->script) % (sizeof(CODES) / sizeof(*CODES))];
    unsigned id = reader_u8(&fuzz->script);
    unsigned known = fuzz->id_count < IDS_MAX ? fuzz->id_count : IDS_MAX;
    header.id = id < known ? fuzz->ids[id] : 0;
    struct bytes body = reader_bytes(&fuzz->script, reader_u16(&fuzz->script));
    header.length = (uint32_t)body.size;
    frame_header_write(&header, head);
    say(fuzz, bytes_of(head, sizeof(head)));
    say(fuzz, body);
}

static void ask(struct fuzz *fuzz, uint8_t which)
{
    static const char *const IDS[] = {"1", "2", "3"};
    struct core *core = fuzz->core;
    struct core_done done = {on_told, fuzz};
    struct core_write write = {(uint8_t)(FRAME_PUT + which % 4), "pets", "1", BYTES_LITERAL("{}"),
                               NULL};
    struct freshet_operation operations[] = {
        {.kind = FRESHET_BATCH_GET, .collection = "pets", .id = "1"},
        {.kind = FRESHET_BATCH_PUT, .collection = "pets", .id = "1", .document = "{}", .size = 2}};
    struct core_consumer consumer = {CORE_CONSUMER_LIST, NULL, 10, NULL};
    enum freshet_status status;
    if (fuzz->asked == CALLS_MAX) {
        return;
    }
    fuzz->asked++;
    switch (which % 8) {
    case 0:
        status = core_get(core, "pets", "1", NULL, fuzz->now_ns, done);
        break;
    case 1:
        status = core_get_many(core, "pets", IDS, 3, fuzz->now_ns, done);
        break;
    case 2:
        status = core_list(core, "pets", NULL, BYTES_EMPTY, fuzz->now_ns, done);
        break;
    case 3:
        status = core_batch(core, operations, 2, fuzz->now_ns, done);
        break;
    case 4:
        status = core_consumer(core, &consumer, fuzz->now_ns, done);
        break;
    default:
        status = core_write(core, &write, fuzz->now_ns, done);
        break;
    }
    if (status != FRESHET_OK) {
        fuzz->asked--;
    }
}

static void subscribe(struct fuzz *fuzz, uint8_t which)
{
    struct freshet_subscription **subscription = &fuzz->subscriptions[which % SUBSCRIPTIONS_MAX];
    struct freshet_subscribe_options options = {.credit = 3,
                                                .wants_progress = which % 8 >= 4,
                                                .consumer = which % 16 >= 8 ? "c" : NULL,
                                                .member = which % 32 >= 24 ? "m" : NULL};
    if (*subscription != NULL) {
        core_unsubscribe(*subscription);
        *subscription = NULL;
    } else if (core_subscribe(fuzz->core, &options, fuzz->now_ns, subscription) != FRESHET_OK) {
        ASSERT(*subscription == NULL);
    }
}

static void take_changes(struct fuzz *fuzz)
{
    for (unsigned index = 0; index < SUBSCRIPTIONS_MAX; index++) {
        struct freshet_subscription *subscription = fuzz->subscriptions[index];
        struct freshet_change change;
        unsigned taken = 0;
        while (subscription != NULL &&
               core_next(subscription, fuzz->now_ns, &change) == FRESHET_OK) {
            ASSERT(change.position != NULL && strlen(change.position) <= 4096);
            taken++;
            ASSERT(taken < 70000); /* no more than a script can hold */
        }
    }
}

static void look(struct fuzz *fuzz)
{
    struct freshet_record record;
    enum freshet_status status = core_look(fuzz->core, "pets", "1", fuzz->now_ns, &record);
    ASSERT(status != FRESHET_OK || record.data != NULL);
}

static void step(struct fuzz *fuzz)
{
    uint8_t what = reader_u8(&fuzz->script);
    uint8_t which = what >> 3;
    switch (what % 8) {
    case 0:
    case 1:
        say_frame(fuzz);
        break;
    case 2:
        say(fuzz, reader_bytes(&fuzz->script, which));
        break;
    case 3:
        ask(fuzz, which);
        break;
    case 4:
        subscribe(fuzz, which);
        break;
    case 5:
        take_changes(fuzz);
        look(fuzz);
        break;
    case 6:
        fuzz->now_ns += (uint64_t)which * which * 40 * MS_NS;
        if (core_tick(fuzz->core, fuzz->now_ns) != FRESHET_OK) {
            lose(fuzz);
        }
        break;
    default:
        lose(fuzz);
        break;
    }
    if (!fuzz->is_connected) {
        core_connected(fuzz->core, fuzz->now_ns);
        fuzz->is_connected = true;
    }
    listen_to(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.script = reader_of(bytes_of(data, size)), .now_ns = 1000 * MS_NS};
    uint8_t mode = reader_u8(&fuzz.script);
    struct core_options options = {.format = mode % 2 == 0 ? FRESHET_JSON : FRESHET_MSGPACK,
                                   .reconnects = mode % 4 < 3,
                                   .near_bytes = mode % 8 < 6 ? 64 << 10 : 0,
                                   .lease_ns = 2000 * MS_NS,
                                   .timeout_ns = 30000 * MS_NS,
                                   .seed = 7};
    enum freshet_status status = core_create(&options, &fuzz.core);
    ASSERT(status == FRESHET_OK);
    core_connected(fuzz.core, fuzz.now_ns);
    fuzz.is_connected = true;
    listen_to(&fuzz);
    while (reader_left(&fuzz.script) > 0) {
        step(&fuzz);
    }
    core_destroy(&fuzz.core);
    ASSERT(fuzz.told == fuzz.asked);
    for (unsigned index = 0; index < SUBSCRIPTIONS_MAX; index++) {
        if (fuzz.subscriptions[index] != NULL) {
            core_unsubscribe(fuzz.subscriptions[index]);
        }
    }
    return 0;
}
