/*
 * session.c: HELLO, which function a frame goes to, and ERROR.
 */
#include <string.h>

#include "engine/journal/position.h"
#include "net/rest/head.h"
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"

#define DETAIL_BYTES (PROBLEM_DETAIL_BYTES_MAX + 1)

/* ---- ERROR ---- */

struct bytes wire_problem_words(const struct problem *problem)
{
    struct bytes words = problem->detail;
    if (words.size == 0) {
        return bytes_of_text(head_reason(problem->status));
    }
    words = bytes_slice(words, 0, PROBLEM_DETAIL_BYTES_MAX);
    words.size = utf8_valid_size(words);
    return words;
}

/* As a C string, of whole characters. */
static char *text_of(struct bytes text, char *buffer, size_t buffer_size)
{
    struct bytes cut = bytes_slice(text, 0, buffer_size - 1);
    cut.size = utf8_valid_size(cut);
    if (cut.size > 0) {
        memcpy(buffer, cut.data, cut.size);
    }
    buffer[cut.size] = '\0';
    return buffer;
}

static void answer_failure(struct wire_connection *connection, uint32_t id, Freshet__Error *error,
                           const struct problem *problem)
{
    ASSERT(problem->status >= 400);
    char detail[DETAIL_BYTES];
    error->status = problem->status;
    error->retry_after_ms = problem->retry_after_s * 1000;
    error->detail = text_of(wire_problem_words(problem), detail, sizeof(detail));
    if (problem->type != NULL) {
        /* protobuf-c has no const in its structs; packing changes nothing. */
        error->type = (char *)(uintptr_t)problem->type;
    }
    const struct wire_head head = {.opcode = FRAME_ERROR, .code = problem->status, .id = id};
    wire_count(&connection->server->statistics.errors, 1);
    wire_answer_message(connection, &head, &error->base);
}

void wire_answer_problem(struct wire_connection *connection, uint32_t id,
                         const struct problem *problem)
{
    Freshet__Error error = FRESHET__ERROR__INIT;
    answer_failure(connection, id, &error, problem);
}

void wire_answer_error(struct wire_connection *connection, uint32_t id, uint16_t status,
                       struct bytes detail)
{
    const struct problem problem = {
        .status = status, .detail = detail, .retry_after_s = status == 503 ? 1 : 0};
    wire_answer_problem(connection, id, &problem);
}

void wire_answer_status(struct wire_connection *connection, uint32_t id, enum status status,
                        struct bytes detail)
{
    const struct problem problem = problem_of(status, detail);
    wire_answer_problem(connection, id, &problem);
}

void wire_answer_expired(struct wire_connection *connection, uint32_t id, struct bytes detail,
                         struct bytes oldest, struct bytes newest)
{
    char oldest_text[POSITION_TEXT_BYTES + 1];
    char newest_text[POSITION_TEXT_BYTES + 1];
    const struct problem problem = problem_of(STATUS_POSITION_EXPIRED, detail);
    Freshet__Error error = FRESHET__ERROR__INIT;
    error.oldest = text_of(oldest, oldest_text, sizeof(oldest_text));
    error.newest = text_of(newest, newest_text, sizeof(newest_text));
    answer_failure(connection, id, &error, &problem);
}

/* ---- HELLO ---- */

static const struct feature {
    const char *name;
    uint8_t bit;
} features[] = {
    {"checked", WIRE_FEATURE_CHECKED},
    {"json", WIRE_FEATURE_JSON},
    {"invalidate", WIRE_FEATURE_INVALIDATE},
};
#define FEATURE_COUNT (sizeof(features) / sizeof(features[0]))

static bool speaks_our_version(const Freshet__Hello *hello)
{
    for (size_t i = 0; i < hello->n_versions; i++) {
        if (hello->versions[i] == FRAME_VERSION) {
            return true;
        }
    }
    return false;
}

static uint8_t shared_features(const Freshet__Hello *hello, char **names_out, size_t *count_out)
{
    uint8_t shared = 0;
    *count_out = 0;
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        bool asked = false;
        for (size_t k = 0; k < hello->n_features; k++) {
            asked = asked || strcmp(hello->features[k], features[i].name) == 0;
        }
        if (asked) {
            shared |= features[i].bit;
            names_out[(*count_out)++] = (char *)(uintptr_t)features[i].name;
        }
    }
    return shared;
}

static void welcome(struct wire_connection *connection, const struct wire_frame *frame,
                    const Freshet__Hello *hello)
{
    const struct wire_options *options = &connection->server->options;
    const struct journal *journal = engine_journal(options->engine);
    struct position position = {.store_id = journal->store_id,
                                .epoch = journal->epoch,
                                .sequence = engine_published(options->engine)};
    char text[POSITION_TEXT_BYTES + 1] = "";
    struct writer writer = writer_of(text, POSITION_TEXT_BYTES);
    position_write(&position, &writer);
    ASSERT(!writer.failed);
    char server[] = "freshet/" FRESHET_VERSION;
    char *names[FEATURE_COUNT];
    Freshet__Welcome message = FRESHET__WELCOME__INIT;
    uint8_t shared = shared_features(hello, names, &message.n_features);
    message.version = FRAME_VERSION;
    message.features = names;
    message.server = server;
    message.store = (ProtobufCBinaryData){.len = sizeof(position.store_id.bytes),
                                          .data = position.store_id.bytes};
    message.frame_bytes_max = FRAME_REQUEST_BYTES_MAX;
    message.requests_max = options->requests_max;
    message.subscriptions_max = options->subscriptions_max;
    message.position = text;
    const struct wire_head head = {
        .opcode = FRAME_HELLO | FRAME_ANSWER, .code = 200, .id = frame->id};
    wire_answer_message(connection, &head, &message.base);
    connection->features = shared;
    connection->welcomed = true;
    connection->deadline_ns = UINT64_MAX;
}

static void hello_handle(struct wire_connection *connection, const struct wire_frame *frame)
{
    if (connection->welcomed) {
        wire_answer_error(connection, frame->id, 400, BYTES_LITERAL("HELLO was said before"));
        return;
    }
    const Freshet__Hello *hello = wire_unpack(connection, frame, &freshet__hello__descriptor);
    if (hello == NULL) {
        wire_connection_end(connection);
        return;
    }
    if (!speaks_our_version(hello)) {
        wire_answer_error(connection, frame->id, 400,
                          BYTES_LITERAL("This server speaks version 1 of the protocol"));
        wire_connection_end(connection);
        return;
    }
    welcome(connection, frame, hello);
}

/* ---- frames ---- */

/* False: answered. */
static bool frame_check_flags(struct wire_connection *connection, const struct wire_frame *frame)
{
    const char *reason = NULL;
    bool json = (frame->flags & FRAME_FLAG_JSON) != 0;
    if ((frame->flags & ~FRAME_FLAGS_KNOWN) != 0) {
        reason = "The frame has flags that this version does not know";
    } else if (json && (connection->features & WIRE_FEATURE_JSON) == 0) {
        reason = "The flag JSON needs the feature json, in HELLO";
    } else if (frame->id == 0 && frame->opcode != FRAME_HELLO) {
        reason = "The id 0 is the server's own";
    }
    if (reason == NULL) {
        return true;
    }
    wire_answer_error(connection, frame->id, 400, bytes_of_text(reason));
    return false;
}

static void frame_dispatch(struct wire_connection *connection, const struct wire_frame *frame)
{
    switch ((enum frame_opcode)frame->opcode) {
    case FRAME_GET:
        wire_get(connection, frame);
        return;
    case FRAME_PUT:
    case FRAME_PATCH:
    case FRAME_DELETE:
    case FRAME_CREATE:
        wire_write(connection, frame);
        return;
    case FRAME_MGET:
        wire_mget(connection, frame);
        return;
    case FRAME_LIST:
        wire_list(connection, frame);
        return;
    case FRAME_BATCH:
        wire_batch(connection, frame);
        return;
    case FRAME_HELLO:
        hello_handle(connection, frame);
        return;
    case FRAME_SUBSCRIBE:
        wire_subscribe(connection, frame);
        return;
    case FRAME_CREDIT:
        wire_credit(connection, frame);
        return;
    case FRAME_ACK:
        wire_ack(connection, frame);
        return;
    case FRAME_CONSUMER:
        wire_consumer(connection, frame);
        return;
    case FRAME_STATS:
        wire_stats(connection, frame);
        return;
    case FRAME_UNSUBSCRIBE:
        wire_unsubscribe(connection, frame);
        return;
    case FRAME_PING:
        wire_ping(connection, frame);
        return;
    case FRAME_CHANGES: /* these come from a server */
    case FRAME_INVALIDATE:
    case FRAME_GOAWAY:
    case FRAME_ERROR:
        break;
    }
    wire_answer_error(connection, frame->id, 501,
                      BYTES_LITERAL("There is no such request in version 1 of the protocol"));
}

void wire_frame_handle(struct wire_connection *connection, const struct wire_frame *frame)
{
    ASSERT(connection->welcomed || frame->opcode == FRAME_HELLO);
    wire_count(&connection->server->statistics.frames_in[frame->opcode], 1);
    if (frame_check_flags(connection, frame)) {
        frame_dispatch(connection, frame);
    }
    ASSERT(!connection->room_begun);
}
