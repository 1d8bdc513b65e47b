/*
 * What /metrics has of the binary protocol. Labels are bounded: an opcode or a code that is not in
 * the tables counts in the place of "other".
 */
#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

/* ---- places ---- */

#define OPCODE_PLACE(name, value) PLACE_##name,
enum opcode_place { PLACE_OTHER, FRAME_OPCODES(OPCODE_PLACE) OPCODE_PLACE_COUNT };
#undef OPCODE_PLACE

#define OPCODE_PLACE(name, value) [value] = PLACE_##name,
static const uint8_t opcode_places[256] = {FRAME_OPCODES(OPCODE_PLACE)};
#undef OPCODE_PLACE

#define OPCODE_VALUE(name, value) value,
static const uint8_t opcodes[] = {0, FRAME_OPCODES(OPCODE_VALUE)};
#undef OPCODE_VALUE

/* The frequent ones first: they are looked for one by one. 0: of what is no answer. */
static const uint16_t codes[] = {200, 0,   201, 404, 304, 412, 400, 403, 408,
                                 409, 410, 413, 422, 429, 500, 501, 503};
#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

static_assert(OPCODE_PLACE_COUNT <= WIRE_OPCODE_PLACES, "every opcode has a place");
static_assert(CODE_COUNT < WIRE_CODE_PLACES, "every code has a place, and the others have one");

void wire_metrics_count(struct wire_statistics *statistics, const struct wire_head *head)
{
    bool is_answer = head->opcode != FRAME_ERROR && (head->opcode & FRAME_ANSWER) != 0;
    uint8_t opcode = is_answer ? head->opcode & (uint8_t)~FRAME_ANSWER : head->opcode;
    size_t place = 0;
    while (place < CODE_COUNT && codes[place] != head->code) {
        place++;
    }
    wire_count(&statistics->frames_out[opcode_places[opcode]][place], 1);
}

/* ---- the text ---- */

struct family {
    const char *name;
    const char *type;
    const char *help;
    size_t offset; /* in struct wire_statistics */
};

static const struct family families[] = {
    {"connections", "gauge", "Open connections of the binary protocol.",
     offsetof(struct wire_statistics, connections_open)},
    {"connections_accepted_total", "counter", "Connections of the binary protocol accepted.",
     offsetof(struct wire_statistics, connections_accepted)},
    {"connections_refused_total", "counter", "Connections over the limit, told 503.",
     offsetof(struct wire_statistics, connections_refused)},
    {"received_bytes_total", "counter", "Bytes that came in.",
     offsetof(struct wire_statistics, bytes_in)},
    {"sent_bytes_total", "counter", "Bytes that were sent.",
     offsetof(struct wire_statistics, bytes_out)},
    {"memory_bytes", "gauge", "Memory of connections, requests, subscriptions and answers.",
     offsetof(struct wire_statistics, memory_bytes)},
    {"errors_total", "counter", "ERROR frames.", offsetof(struct wire_statistics, errors)},
    {"subscriptions", "gauge", "Subscriptions open on connections of the binary protocol.",
     offsetof(struct wire_statistics, subscriptions)},
    {"changes_total", "counter", "Changes and records of snapshots in CHANGES.",
     offsetof(struct wire_statistics, changes_sent)},
    {"invalidations_total", "counter", "Keys in INVALIDATE.",
     offsetof(struct wire_statistics, invalidations_sent)},
};

/* The sum of a counter at that offset. */
struct threads {
    const struct wire_statistics *const *all;
    uint32_t count;
};

static uint64_t sum_of(struct threads threads, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < threads.count; i++) {
        const void *at = (const char *)threads.all[i] + offset;
        sum += atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed);
    }
    return sum;
}

static void head_write(struct writer *out, const char *name, const char *type, const char *help)
{
    writer_text(out, "# HELP freshet_wire_");
    writer_text(out, name);
    writer_u8(out, ' ');
    writer_text(out, help);
    writer_text(out, "\n# TYPE freshet_wire_");
    writer_text(out, name);
    writer_u8(out, ' ');
    writer_text(out, type);
    writer_u8(out, '\n');
}

static void value_write(struct writer *out, uint64_t value)
{
    writer_u8(out, ' ');
    writer_decimal(out, value);
    writer_u8(out, '\n');
}

static void opcode_write(struct writer *out, const char *name, uint8_t opcode)
{
    writer_text(out, "freshet_wire_");
    writer_text(out, name);
    writer_text(out, "{opcode=\"");
    writer_text(out, opcode == 0 ? "other" : frame_opcode_name(opcode));
    writer_u8(out, '"');
}

static void requests_write(struct threads threads, struct writer *out)
{
    uint64_t sums[OPCODE_PLACE_COUNT] = {0};
    head_write(out, "requests_total", "counter", "Frames from clients, by opcode.");
    for (size_t opcode = 0; opcode < sizeof(opcode_places); opcode++) {
        sums[opcode_places[opcode]] += sum_of(threads, offsetof(struct wire_statistics, frames_in) +
                                                           opcode * sizeof(uint64_t));
    }
    for (size_t place = 0; place < OPCODE_PLACE_COUNT; place++) {
        if (sums[place] > 0) {
            opcode_write(out, "requests_total", opcodes[place]);
            writer_u8(out, '}');
            value_write(out, sums[place]);
        }
    }
}

/* Only series that have counted something: most of the product never do. */
static void answers_write(struct threads threads, struct writer *out)
{
    head_write(out, "answers_total", "counter",
               "Frames to clients, by opcode and code; what nobody asked for has the code 0.");
    for (size_t place = 0; place < OPCODE_PLACE_COUNT; place++) {
        for (size_t code = 0; code <= CODE_COUNT; code++) {
            size_t offset = offsetof(struct wire_statistics, frames_out) +
                            (place * WIRE_CODE_PLACES + code) * sizeof(uint64_t);
            uint64_t sum = sum_of(threads, offset);
            if (sum == 0) {
                continue;
            }
            opcode_write(out, "answers_total", opcodes[place]);
            writer_text(out, ",code=\"");
            if (code < CODE_COUNT) {
                writer_decimal(out, codes[code]);
            } else {
                writer_text(out, "other");
            }
            writer_text(out, "\"}");
            value_write(out, sum);
        }
    }
}

static void timeouts_write(struct threads threads, struct writer *out)
{
    head_write(out, "timeouts_total", "counter",
               "Connections ended because no HELLO came, or answers were not read.");
    writer_text(out, "freshet_wire_timeouts_total{kind=\"hello\"}");
    value_write(out, sum_of(threads, offsetof(struct wire_statistics, timeouts_hello)));
    writer_text(out, "freshet_wire_timeouts_total{kind=\"frame\"}");
    value_write(out, sum_of(threads, offsetof(struct wire_statistics, timeouts_frame)));
    writer_text(out, "freshet_wire_timeouts_total{kind=\"send\"}");
    value_write(out, sum_of(threads, offsetof(struct wire_statistics, timeouts_send)));
}

void wire_metrics_write(const struct wire_statistics *const *all, uint32_t thread_count,
                        struct writer *text_out)
{
    const struct threads threads = {all, thread_count};
    ASSERT(thread_count > 0);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct family *family = &families[i];
        head_write(text_out, family->name, family->type, family->help);
        writer_text(text_out, "freshet_wire_");
        writer_text(text_out, family->name);
        value_write(text_out, sum_of(threads, family->offset));
    }
    requests_write(threads, text_out);
    answers_write(threads, text_out);
    timeouts_write(threads, text_out);
}
