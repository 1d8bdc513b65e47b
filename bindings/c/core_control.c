/* Control messages: protobuf, unpacked within a bound. */
#include <stdlib.h>

#include "bindings/c/core_internal.h"
#include "freshet.pb-c.h"

/* ---- unpacking ---- */

/*
 * An empty message within a message takes two bytes on the wire and fifty times that in memory, so
 * what is unpacked is counted. A block remembers its allocator, so that it can be freed later.
 */
struct budget {
    ProtobufCAllocator allocator;
    size_t left;
};

static void *budget_alloc(void *context, size_t size)
{
    struct budget *budget = context;
    if (size > budget->left) {
        return NULL;
    }
    budget->left -= size;
    return malloc(size == 0 ? 1 : size);
}

static void budget_free(void *context, void *block)
{
    (void)context;
    free(block);
}

void *control_unpack(const ProtobufCMessageDescriptor *type, struct bytes body)
{
    static const uint8_t NOTHING = 0;
    if (body.size > CORE_CONTROL_BYTES_MAX) {
        return NULL;
    }
    struct budget budget = {.left = CORE_UNPACK_BYTES_MAX};
    budget.allocator = (ProtobufCAllocator){budget_alloc, budget_free, &budget};
    return protobuf_c_message_unpack(type, &budget.allocator, body.size,
                                     body.size == 0 ? &NOTHING : body.data);
}

void control_free(void *message)
{
    if (message != NULL) {
        /* Its blocks come from malloc: the default allocator frees them. */
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

enum freshet_status control_error(struct core *core, struct bytes body, struct freshet_error *out,
                                  void **memory_out)
{
    Freshet__Error *error = control_unpack(&freshet__error__descriptor, body);
    *memory_out = error;
    if (error == NULL || error->status < 300 || error->status > 599) {
        control_free(error);
        *memory_out = NULL;
        return core_break(core, "an ERROR that cannot be read");
    }
    *out = (struct freshet_error){.status = core_status_of_code(error->status, error->type),
                                  .code = (int)error->status,
                                  .type = error->type,
                                  .detail = error->detail,
                                  .retry_after_ms = error->retry_after_ms,
                                  .oldest = error->oldest,
                                  .newest = error->newest};
    return FRESHET_OK;
}

/* ---- packing ---- */

enum freshet_status core_put_control(struct core *core, uint8_t opcode, uint32_t id,
                                     const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *frame = malloc(FRAME_HEADER_BYTES + size);
    if (frame == NULL) {
        return FRESHET_NO_MEMORY;
    }
    size_t packed = protobuf_c_message_pack(message, frame + FRAME_HEADER_BYTES);
    ASSERT(packed == size);
    struct frame_header header = {.length = (uint32_t)size, .opcode = opcode, .id = id};
    if (core->wants_checks) {
        header.flags = FRAME_FLAG_CHECKED;
        header.check = frame_check(bytes_of(frame + FRAME_HEADER_BYTES, size));
    }
    frame_header_write(&header, frame);
    enum freshet_status status = core_put_frame(core, bytes_of(frame, FRAME_HEADER_BYTES + size));
    free(frame);
    return status;
}

static enum freshet_status submit_control(struct core *core, uint8_t opcode,
                                          const ProtobufCMessage *message, bool may_repeat,
                                          uint64_t now_ns, struct core_done done)
{
    struct writer body;
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > core->frame_bytes_max) {
        return core_set_error(core, FRESHET_TOO_LARGE, NULL);
    }
    struct request *request = request_create(core, opcode, size, 0, &body);
    if (request == NULL) {
        return core->error.error.status;
    }
    request->may_repeat = may_repeat;
    uint8_t *at = writer_reserve(&body, size);
    ASSERT(at != NULL);
    size_t packed = protobuf_c_message_pack(message, at);
    ASSERT(packed == size);
    return request_submit(core, request, &body, false, now_ns, done);
}

/* protobuf-c's fields are not const, and are not written to. */
static char *field(const char *text)
{
    return text == NULL ? (char *)protobuf_c_empty_string : (char *)(uintptr_t)text;
}

enum freshet_status core_acknowledge(struct core *core, const char *consumer, const char *member,
                                     const char *position, uint64_t now_ns, struct core_done done)
{
    Freshet__Ack ack = FRESHET__ACK__INIT;
    ack.consumer = field(consumer);
    ack.member = field(member);
    ack.position = field(position);
    return submit_control(core, FRAME_ACK, &ack.base, true, now_ns, done);
}

static_assert((int)CORE_CONSUMER_LIST == (int)FRESHET__CONSUMER_ACTION__CONSUMER_LIST &&
                  (int)CORE_CONSUMER_PUT == (int)FRESHET__CONSUMER_ACTION__CONSUMER_PUT,
              "the names of the actions are the protocol's");

enum freshet_status core_consumer(struct core *core, const struct core_consumer *consumer,
                                  uint64_t now_ns, struct core_done done)
{
    Freshet__Consumer message = FRESHET__CONSUMER__INIT;
    message.action = (Freshet__ConsumerAction)consumer->action;
    bool is_reading =
        consumer->action == CORE_CONSUMER_GET || consumer->action == CORE_CONSUMER_LIST;
    if (consumer->action == CORE_CONSUMER_LIST) {
        message.after = field(consumer->name);
        message.limit = consumer->limit;
    } else {
        message.name = field(consumer->name);
    }
    if (consumer->options != NULL) {
        struct control_start start = control_start_of(consumer->options->start);
        message.collection = field(consumer->options->collection);
        message.pattern = field(consumer->options->pattern);
        message.group = consumer->options->group;
        message.from = (Freshet__From)start.from;
        message.position = field(start.position);
        message.time_ms = start.time_ms;
    }
    return submit_control(core, FRAME_CONSUMER, &message.base, is_reading, now_ns, done);
}

/* ---- where a subscription starts ---- */

static bool digits(const char **at, unsigned count, unsigned most, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned index = 0; index < count; index++) {
        if ((*at)[index] < '0' || (*at)[index] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)((*at)[index] - '0');
    }
    *at += count;
    *out = value;
    return value <= most;
}

static bool mark(const char **at, const char *marks)
{
    if (**at == '\0' || strchr(marks, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t day_of(uint64_t year, uint64_t month, uint64_t day)
{
    /* A year that begins in March has its odd day at the end. */
    int64_t y = (int64_t)year - (month <= 2);
    int64_t days_before_month = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5;
    int64_t leap_days = y / 4 - y / 100 + y / 400;
    return 365 * y + leap_days + days_before_month + (int64_t)day - 1 - 719468;
}

/* A fraction of a second, to the millisecond; more digits are passed over. */
static uint64_t fraction_ms(const char **at)
{
    uint64_t ms = 0;
    uint64_t unit = 100;
    if (!mark(at, ".")) {
        return 0;
    }
    while (**at >= '0' && **at <= '9') {
        ms += unit * (uint64_t)(**at - '0');
        unit /= 10;
        (*at)++;
    }
    return ms;
}

static bool offset_minutes(const char **at, int64_t *out)
{
    uint64_t hours;
    uint64_t minutes;
    *out = 0;
    if (mark(at, "Zz")) {
        return true;
    }
    bool is_west = **at == '-';
    if (!mark(at, "+-") || !digits(at, 2, 23, &hours) || !mark(at, ":") ||
        !digits(at, 2, 59, &minutes)) {
        return false;
    }
    *out = (int64_t)(hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

/* RFC 3339. Anything else is a position, and the server says what is wrong with it. */
static bool time_of(const char *text, uint64_t *ms_out)
{
    uint64_t year;
    uint64_t month;
    uint64_t day;
    uint64_t hour;
    uint64_t minute;
    uint64_t second;
    int64_t offset;
    const char *at = text;
    if (!digits(&at, 4, 9999, &year) || !mark(&at, "-") || !digits(&at, 2, 12, &month) ||
        !mark(&at, "-") || !digits(&at, 2, 31, &day) || !mark(&at, "Tt ") ||
        !digits(&at, 2, 23, &hour) || !mark(&at, ":") || !digits(&at, 2, 59, &minute) ||
        !mark(&at, ":") || !digits(&at, 2, 60, &second) || month == 0 || day == 0) {
        return false;
    }
    uint64_t ms = fraction_ms(&at);
    if (!offset_minutes(&at, &offset) || *at != '\0') {
        return false;
    }
    int64_t minutes = (day_of(year, month, day) * 24 + (int64_t)hour) * 60 + (int64_t)minute;
    int64_t unix_ms = ((minutes - offset) * 60 + (int64_t)second) * 1000 + (int64_t)ms;
    *ms_out = unix_ms < 0 ? 0 : (uint64_t)unix_ms;
    return true;
}

struct control_start control_start_of(const char *start)
{
    struct control_start out = {.from = FRESHET__FROM__LATEST, .position = ""};
    if (start == NULL || strcmp(start, "latest") == 0) {
        return out;
    }
    if (strcmp(start, "earliest") == 0) {
        out.from = FRESHET__FROM__EARLIEST;
    } else if (strcmp(start, "snapshot") == 0) {
        out.from = FRESHET__FROM__SNAPSHOT;
    } else if (time_of(start, &out.time_ms)) {
        out.from = FRESHET__FROM__TIME;
    } else {
        out.from = FRESHET__FROM__POSITION;
        out.position = start;
    }
    return out;
}
