#include "bench/stream/notices.h"

#include "protocol/base/assert.h"
#include "protocol/frame/frame.h"

#define CHUNK_BYTES_MAX (1ull << 32)
#define KEY_DIGITS      20
#define MARK_BYTES_MAX  (6 + KEY_DIGITS)

static const struct bytes key_prefix = {(const uint8_t *)"bench:", 6};
static const struct bytes serial_name = {(const uint8_t *)"\"serial\":", 9};
/* In MessagePack: the name and the mark of a 64-bit integer. */
static const struct bytes member_name = {(const uint8_t *)"\xa6serial\xcf", 8};
static const struct bytes change_name = {(const uint8_t *)"\xa7"
                                                          "eventID",
                                         8};
static const struct bytes event_name = {(const uint8_t *)"\"eventID\":", 10};

void notices_init(struct notices *notices, enum notices_framing framing)
{
    notices->framing = framing;
    notices->in_frame = false;
    notices->frame_left = 0;
    notices->bad = false;
    notices->in_size = true;
    notices->chunk_left = 0;
    notices->chunk_size = 0;
    notices->line_size = 0;
}

static size_t find(struct bytes line, struct bytes part)
{
    const uint8_t *at = line.size == 0 ? NULL : memmem(line.data, line.size, part.data, part.size);
    return at == NULL ? SIZE_MAX : (size_t)(at - line.data);
}

static void line_end(struct notices *notices, notices_told *told, void *context)
{
    struct bytes line = bytes_of(notices->line, notices->line_size);
    struct bytes digits = BYTES_EMPTY;
    notices->line_size = 0;
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
    size_t count = 0;
    while (count < digits.size && digits.data[count] >= '0' && digits.data[count] <= '9') {
        serial = serial * 10 + (uint64_t)(digits.data[count++] - '0');
    }
    if (count > 0) {
        told(context, serial);
    }
}

static void lines_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                       void *context)
{
    while (bytes.size > 0) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data);
        size_t room = NOTICES_LINE_BYTES_MAX - notices->line_size;
        size_t taken = size < room ? size : room;
        memcpy(notices->line + notices->line_size, bytes.data, taken);
        notices->line_size += taken;
        if (end != NULL) {
            line_end(notices, told, context);
            size++;
        }
        bytes = bytes_slice(bytes, size, bytes.size);
    }
}

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

/* ---- frames ---- */

/* The serial of a mark at which the bytes begin; false: it is none, or not whole. */
static bool frame_serial(struct bytes bytes, uint64_t *serial_out, size_t *size_out)
{
    if (bytes_starts_with(bytes, member_name) &&
        bytes.size >= member_name.size + sizeof(uint64_t)) {
        struct reader reader = reader_of(bytes_slice(bytes, member_name.size, bytes.size));
        *serial_out = reader_u64(&reader);
        *size_out = member_name.size + sizeof(uint64_t);
        return true;
    }
    if (bytes_starts_with(bytes, change_name)) {
        *serial_out = 0;
        *size_out = change_name.size;
        return true;
    }
    if (bytes_starts_with(bytes, key_prefix) && bytes.size >= key_prefix.size + KEY_DIGITS) {
        *serial_out = 0;
        for (size_t i = 0; i < KEY_DIGITS; i++) {
            *serial_out = *serial_out * 10 + (uint64_t)(bytes.data[key_prefix.size + i] - '0');
        }
        *size_out = key_prefix.size + KEY_DIGITS;
        return true;
    }
    return false;
}

/* Tells what is gathered. What a mark could begin in stays, unless the frame ends here. */
static void frame_look(struct notices *notices, bool ends, notices_told *told, void *context)
{
    struct bytes gathered = bytes_of(notices->line, notices->line_size);
    size_t at = 0;
    while (at < gathered.size && (ends || gathered.size - at >= MARK_BYTES_MAX)) {
        uint64_t serial = 0;
        size_t size = 1;
        if (frame_serial(bytes_slice(gathered, at, gathered.size), &serial, &size)) {
            told(context, serial);
        }
        at += size;
    }
    notices->line_size = gathered.size - at;
    memmove(notices->line, notices->line + at, notices->line_size);
}

static void frames_feed(struct notices *notices, struct bytes bytes, notices_told *told,
                        void *context)
{
    while (bytes.size > 0) {
        size_t wanted = notices->in_frame ? (size_t)notices->frame_left
                                          : FRAME_HEADER_BYTES - notices->line_size;
        size_t room = NOTICES_LINE_BYTES_MAX - notices->line_size;
        size_t taken = wanted < room ? wanted : room;
        taken = taken < bytes.size ? taken : bytes.size;
        memcpy(notices->line + notices->line_size, bytes.data, taken);
        notices->line_size += taken;
        bytes = bytes_slice(bytes, taken, bytes.size);
        if (notices->in_frame) {
            notices->frame_left -= taken;
            frame_look(notices, notices->frame_left == 0, told, context);
            notices->in_frame = notices->frame_left > 0;
        } else if (notices->line_size == FRAME_HEADER_BYTES) {
            struct frame_header header = frame_header_read(notices->line);
            notices->bad = notices->bad || header.opcode == FRAME_ERROR;
            notices->frame_left = header.length;
            notices->in_frame = header.length > 0;
            notices->line_size = 0;
        }
    }
}

void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context)
{
    ASSERT(told != NULL);
    if (notices->framing == NOTICES_FRAMES) {
        frames_feed(notices, bytes, told, context);
        return;
    }
    if (notices->framing == NOTICES_LINES) {
        lines_feed(notices, bytes, told, context);
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
            lines_feed(notices, bytes_slice(bytes, 0, size), told, context);
        }
        notices->chunk_left -= size;
        notices->in_size = notices->chunk_left == 0;
        bytes = bytes_slice(bytes, size, bytes.size);
    }
}
