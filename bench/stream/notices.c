#include "bench/stream/notices.h"

#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

#define CHUNK_BYTES_MAX (1ull << 32)
#define HELD_BYTES_MIN  4096

static const struct bytes key_prefix = {(const uint8_t *)"bench:", 6};
static const struct bytes serial_name = {(const uint8_t *)"\"serial\":", 9};
static const struct bytes event_name = {(const uint8_t *)"\"eventID\":", 10};

void notices_init(struct notices *notices, enum notices_framing framing)
{
    *notices = (struct notices){.framing = framing, .in_size = true};
}

void notices_deinit(struct notices *notices)
{
    free(notices->held);
    notices->held = NULL;
    notices->held_size = 0;
    notices->held_capacity = 0;
}

static size_t find(struct bytes line, struct bytes part)
{
    const uint8_t *at = line.size == 0 ? NULL : memmem(line.data, line.size, part.data, part.size);
    return at == NULL ? SIZE_MAX : (size_t)(at - line.data);
}

/* ---- replies ---- */

static struct writer reply_begin(struct notices *notices)
{
    return (struct writer){
        .data = notices->reply, .capacity = sizeof(notices->reply), .size = notices->reply_size};
}

static void reply_end(struct notices *notices, const struct writer *reply)
{
    /* A server that wants more answers in one go than there is room for is not understood. */
    notices->bad = notices->bad || reply->failed;
    notices->reply_size = reply->size;
}

static void name_keep(struct notices *notices, struct bytes name)
{
    notices->bad = notices->bad || name.size > sizeof(notices->name);
    notices->name_size = notices->bad ? 0 : name.size;
    if (notices->name_size > 0) {
        memcpy(notices->name, name.data, notices->name_size);
    }
}

static void bulk(struct writer *out, struct bytes text)
{
    writer_u8(out, '$');
    writer_decimal(out, text.size);
    writer_text(out, "\r\n");
    writer_put(out, text);
    writer_text(out, "\r\n");
}

void notices_xread(struct bytes entry, struct writer *out)
{
    writer_text(out, "*8\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n"
                     "$7\r\nSTREAMS\r\n$5\r\nbench\r\n");
    bulk(out, entry);
}

/* ---- lines ---- */

static bool is_entry_id(struct bytes line)
{
    uint64_t number;
    size_t digits = bytes_decimal(line, &number);
    return digits > 0 && digits < line.size && line.data[digits] == '-';
}

/* Counts what is left of a reply: "*N" announces N more, "$N" the line that follows. */
static void xread_line(struct notices *notices, struct bytes line)
{
    if (bytes_starts_with(line, BYTES_LITERAL("-"))) {
        notices->bad = true;
        return;
    }
    if (bytes_starts_with(line, BYTES_LITERAL("$"))) {
        return;
    }
    notices->elements_left += notices->elements_left == 0;
    if (bytes_starts_with(line, BYTES_LITERAL("*"))) {
        uint64_t count = 0;
        (void)bytes_decimal(bytes_slice(line, 1, line.size), &count);
        notices->elements_left += count;
    } else if (is_entry_id(line)) {
        name_keep(notices, line);
    }
    notices->elements_left--;
    if (notices->elements_left == 0) {
        struct writer reply = reply_begin(notices);
        notices_xread(bytes_of(notices->name, notices->name_size), &reply);
        reply_end(notices, &reply);
    }
}

static void flow_control_answer(struct notices *notices)
{
    struct writer reply = reply_begin(notices);
    writer_text(&reply, "PUB ");
    writer_put(&reply, bytes_of(notices->name, notices->name_size));
    writer_text(&reply, " 0\r\n\r\n");
    reply_end(notices, &reply);
}

/* The fourth word of HMSG SUBJECT SID REPLY HEADER_SIZE SIZE; without REPLY it is a number. */
static struct bytes reply_subject(struct bytes line)
{
    for (uint32_t word = 0; word < 3; word++) {
        size_t at = find(line, BYTES_LITERAL(" "));
        line = at == SIZE_MAX ? BYTES_EMPTY : bytes_slice(line, at + 1, line.size);
    }
    size_t end = find(line, BYTES_LITERAL(" "));
    return end == SIZE_MAX ? BYTES_EMPTY : bytes_slice(line, 0, end);
}

static void nats_line(struct notices *notices, struct bytes line)
{
    const struct bytes stalled = BYTES_LITERAL("Nats-Consumer-Stalled: ");
    if (bytes_starts_with(line, BYTES_LITERAL("HMSG "))) {
        name_keep(notices, reply_subject(line));
    } else if (bytes_starts_with(line, BYTES_LITERAL("NATS/1.0 100 FlowControl Request"))) {
        flow_control_answer(notices);
    } else if (bytes_starts_with(line, stalled)) {
        name_keep(notices, bytes_slice(line, stalled.size, line.size));
        flow_control_answer(notices);
    } else if (bytes_starts_with(line, BYTES_LITERAL("PING"))) {
        struct writer reply = reply_begin(notices);
        writer_text(&reply, "PONG\r\n");
        reply_end(notices, &reply);
    } else if (bytes_starts_with(line, BYTES_LITERAL("-ERR")) ||
               (bytes_starts_with(line, BYTES_LITERAL("{\"type\":\"io.nats.jetstream")) &&
                find(line, BYTES_LITERAL("\"error\":")) != SIZE_MAX)) {
        notices->bad = true;
    }
}

static void line_told(struct notices *notices, struct bytes line, notices_told *told, void *context)
{
    struct bytes digits = BYTES_EMPTY;
    if (notices->framing == NOTICES_XREAD) {
        xread_line(notices, line);
    } else if (notices->framing == NOTICES_NATS) {
        nats_line(notices, line);
    }
    if (bytes_starts_with(line, key_prefix)) {
        digits = bytes_slice(line, key_prefix.size, line.size);
    } else {
        size_t at = find(line, serial_name);
        if (at != SIZE_MAX) {
            digits = bytes_slice(line, at + serial_name.size, line.size);
        } else if (find(line, event_name) != SIZE_MAX) {
            told(context, 0);
        }
    }
    uint64_t serial = 0;
    if (bytes_decimal(digits, &serial) > 0) {
        told(context, serial);
    }
}

/* What a line takes, with its end; 0: it is not whole. */
static size_t line_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                        void *context)
{
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    if (end == NULL) {
        return 0;
    }
    size_t size = (size_t)(end - bytes.data);
    bool returns = size > 0 && bytes.data[size - 1] == '\r';
    line_told(notices, bytes_slice(bytes, 0, size - returns), told, context);
    return size + 1;
}

/* ---- frames ---- */

static uint64_t change_serial(struct bytes change)
{
    const struct bytes new_path[] = {BYTES_LITERAL("newImage"), BYTES_LITERAL("serial")};
    const struct bytes old_path[] = {BYTES_LITERAL("oldImage"), BYTES_LITERAL("serial")};
    struct bytes value;
    uint64_t serial = 0;
    if (document_find_path(change, new_path, 2, &value) ||
        document_find_path(change, old_path, 2, &value)) {
        (void)document_u64(value, &serial);
    }
    return serial;
}

/* [[kind, position, change], …] */
static void changes_told(struct bytes body, notices_told *told, void *context)
{
    struct document_cursor items;
    struct bytes item;
    (void)document_cursor_open(body, &items);
    while (document_next_element(&items, &item)) {
        struct document_cursor parts;
        struct bytes kind_value;
        struct bytes position;
        struct bytes change;
        uint64_t kind = 0;
        if (document_cursor_open(item, &parts) && document_next_element(&parts, &kind_value) &&
            document_next_element(&parts, &position) && document_next_element(&parts, &change) &&
            document_u64(kind_value, &kind) && kind <= FRAME_SNAPSHOT) {
            told(context, change_serial(change));
        }
    }
}

/* The last element of an array; false: there is none. */
static bool last_element(struct bytes array, struct bytes *out)
{
    struct document_cursor cursor;
    bool any = false;
    (void)document_cursor_open(array, &cursor);
    while (document_next_element(&cursor, out)) {
        any = true;
    }
    return any;
}

/* [position, live, [[epoch, sequence, collection, id], …]] */
static void invalidations_told(struct bytes body, notices_told *told, void *context)
{
    struct document_cursor keys = {0};
    struct bytes list;
    struct bytes key;
    if (last_element(body, &list)) {
        (void)document_cursor_open(list, &keys);
    }
    while (document_next_element(&keys, &key)) {
        struct bytes value;
        struct bytes id;
        uint64_t serial = 0;
        if (last_element(key, &value) && document_string(value, &id) &&
            bytes_starts_with(id, key_prefix) &&
            bytes_decimal(bytes_slice(id, key_prefix.size, id.size), &serial) > 0) {
            told(context, serial);
        }
    }
}

/* What a frame takes; 0: it is not whole. */
static size_t frame_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                         void *context)
{
    if (bytes.size < FRAME_HEADER_BYTES) {
        return 0;
    }
    struct frame_header header = frame_header_read(bytes.data);
    struct bytes body = bytes_slice(bytes, FRAME_HEADER_BYTES, header.length);
    notices->bad = header.opcode == FRAME_ERROR || header.length > FRAME_ANSWER_BYTES_MAX;
    if (notices->bad || body.size < header.length) {
        return 0;
    }
    if (header.opcode == FRAME_CHANGES) {
        changes_told(body, told, context);
    } else if (header.opcode == FRAME_INVALIDATE) {
        invalidations_told(body, told, context);
    }
    return FRAME_HEADER_BYTES + header.length;
}

/* ---- what is not whole is held ---- */

static void hold(struct notices *notices, struct bytes bytes)
{
    size_t wanted = notices->held_size + bytes.size;
    if (wanted > notices->held_capacity) {
        size_t capacity = notices->held_capacity == 0 ? HELD_BYTES_MIN : notices->held_capacity;
        while (capacity < wanted) {
            capacity *= 2;
        }
        uint8_t *held = capacity > NOTICES_HELD_BYTES_MAX ? NULL : realloc(notices->held, capacity);
        if (held == NULL) {
            notices->bad = true;
            return;
        }
        notices->held = held;
        notices->held_capacity = capacity;
    }
    memcpy(notices->held + notices->held_size, bytes.data, bytes.size);
    notices->held_size = wanted;
}

/* Lines or frames. They are looked at where they lie, and only the last, if cut, is copied. */
static void units_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                       void *context)
{
    bool was_held = notices->held_size > 0;
    if (was_held) {
        hold(notices, bytes);
        bytes = bytes_of(notices->held, notices->held_size);
    }
    size_t size = 1;
    while (bytes.size > 0 && size > 0 && !notices->bad) {
        size = notices->framing == NOTICES_FRAMES ? frame_feed(notices, bytes, told, context)
                                                  : line_feed(notices, bytes, told, context);
        bytes = bytes_slice(bytes, size, bytes.size);
    }
    if (was_held) {
        memmove(notices->held, bytes.data, bytes.size);
        notices->held_size = bytes.size;
    } else if (bytes.size > 0) {
        hold(notices, bytes);
    }
}

/* ---- chunks ---- */

/* One byte of "1f4\r\n". */
static void chunk_size_feed(struct notices *notices, uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    if (byte >= '0' && byte <= '9') {
        notices->chunk_size = notices->chunk_size * 16 + (uint64_t)(byte - '0');
    } else if (lower >= 'a' && lower <= 'f') {
        notices->chunk_size = notices->chunk_size * 16 + (uint64_t)(lower - 'a') + 10;
    } else if (byte == '\n') {
        notices->in_size = false;
        notices->chunk_left = notices->chunk_size + 2;
        notices->chunk_size = 0;
    } else if (byte != '\r') {
        notices->bad = true;
    }
    notices->bad = notices->bad || notices->chunk_size > CHUNK_BYTES_MAX;
}

void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context)
{
    ASSERT(told != NULL);
    if (notices->framing != NOTICES_CHUNKS) {
        units_feed(notices, bytes, told, context);
        return;
    }
    while (bytes.size > 0 && !notices->bad) {
        if (notices->in_size) {
            chunk_size_feed(notices, bytes.data[0]);
            bytes = bytes_slice(bytes, 1, bytes.size);
            continue;
        }
        /* The last two bytes are no data. */
        ASSERT(notices->chunk_left > 0);
        uint64_t data_left = notices->chunk_left > 2 ? notices->chunk_left - 2 : 0;
        uint64_t most = data_left > 0 ? data_left : notices->chunk_left;
        size_t size = bytes.size < most ? bytes.size : (size_t)most;
        if (data_left > 0) {
            units_feed(notices, bytes_slice(bytes, 0, size), told, context);
        }
        notices->chunk_left -= size;
        notices->in_size = notices->chunk_left == 0;
        bytes = bytes_slice(bytes, size, bytes.size);
    }
}
