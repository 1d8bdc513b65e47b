#include "bench/floor/requests.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/base/assert.h"

static const char head_end[] = "\r\n\r\n";
#define HEAD_END_BYTES (sizeof(head_end) - 1)
/* The most that Content-Length may say; far from where arithmetic could overflow. */
#define BODY_BYTES_MAX (1ull << 40)

void requests_reset(struct requests *requests)
{
    free(requests->gathered);
    *requests = (struct requests){0};
}

/* The size of the head with its empty line, 0 where it does not end within bytes. */
static size_t head_size(struct bytes bytes)
{
    const uint8_t *end =
        bytes.size == 0 ? NULL
                        : (const uint8_t *)memmem(bytes.data, bytes.size, head_end, HEAD_END_BYTES);
    return end == NULL ? 0 : (size_t)(end - bytes.data) + HEAD_END_BYTES;
}

/* The value of Content-Length in a whole head, 0 where there is none. */
static enum status body_size(struct bytes head, uint64_t *size_out)
{
    static const char name[] = "\r\ncontent-length:";
    const size_t name_size = sizeof(name) - 1;
    *size_out = 0;
    const uint8_t *end = head.data + head.size;
    const uint8_t *at = head.data;
    while ((at = (const uint8_t *)memchr(at, '\r', (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) < name_size) {
            return STATUS_OK;
        }
        if ((at[2] | 0x20) == 'c' && strncasecmp((const char *)at, name, name_size) == 0) {
            break;
        }
        at += 2;
    }
    if (at == NULL) {
        return STATUS_OK;
    }
    uint64_t size = 0;
    for (at += name_size; at < end && *at != '\r'; at++) {
        if (*at == ' ') {
            continue;
        }
        if (*at < '0' || *at > '9' || size > BODY_BYTES_MAX) {
            return STATUS_INVALID;
        }
        size = size * 10 + (uint64_t)(*at - '0');
    }
    *size_out = size;
    return STATUS_OK;
}

/* Goes on with a head that began in earlier bytes: how much of these bytes belong to it, and
 * whether it ended. */
static enum status gather(struct requests *requests, struct bytes bytes, size_t *taken_out,
                          struct bytes *head_out)
{
    size_t before = requests->gathered_size;
    size_t room = HEAD_BYTES_MAX - before;
    size_t copied = bytes.size < room ? bytes.size : room;
    if (requests->gathered == NULL) {
        requests->gathered = (uint8_t *)malloc(HEAD_BYTES_MAX);
        if (requests->gathered == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    memcpy(requests->gathered + before, bytes.data, copied);
    size_t size = head_size(bytes_of(requests->gathered, before + copied));
    *head_out = bytes_of(requests->gathered, size);
    if (size == 0) {
        if (copied < bytes.size) {
            return STATUS_TOO_LARGE;
        }
        requests->gathered_size = (uint32_t)(before + copied);
        *taken_out = copied;
        return STATUS_OK;
    }
    ASSERT(size > before);
    requests->gathered_size = 0;
    *taken_out = size - before;
    return STATUS_OK;
}

enum status requests_count(struct requests *requests, struct bytes bytes, bool bodies,
                           uint32_t *count_out)
{
    ASSERT(requests->gathered_size == 0 || requests->body_left == 0);
    uint32_t count = 0;
    size_t offset = 0;
    while (offset < bytes.size) {
        struct bytes rest = bytes_of(bytes.data + offset, bytes.size - offset);
        if (requests->body_left > 0) {
            size_t taken =
                requests->body_left < rest.size ? (size_t)requests->body_left : rest.size;
            requests->body_left -= taken;
            offset += taken;
            count += requests->body_left == 0;
            continue;
        }
        struct bytes head = bytes_of(rest.data, requests->gathered_size == 0 ? head_size(rest) : 0);
        size_t taken = head.size;
        if (head.size == 0) {
            enum status status = gather(requests, rest, &taken, &head);
            if (status != STATUS_OK) {
                return status;
            }
        }
        offset += taken;
        if (head.size == 0) {
            break;
        }
        if (bodies) {
            enum status status = body_size(head, &requests->body_left);
            if (status != STATUS_OK) {
                return status;
            }
        }
        count += requests->body_left == 0;
    }
    ASSERT(offset <= bytes.size);
    *count_out = count;
    return STATUS_OK;
}
