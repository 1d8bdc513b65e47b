#include "bench/floor/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

/* Copies the first answer, already in place, as often as the memory holds it. */
static enum status repeat(struct answer *answer)
{
    ASSERT(answer->size > 0);
    ASSERT(answer->size <= ANSWER_BYTES_MAX);
    uint32_t count = ANSWER_MEMORY_BYTES / answer->size;
    count = count < 1 ? 1 : count > ANSWER_REPEAT_MAX ? ANSWER_REPEAT_MAX : count;
    uint8_t *data = (uint8_t *)realloc(answer->data, (size_t)answer->size * count);
    if (data == NULL) {
        answer_release(answer);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 1; i < count; i++) {
        memcpy(data + (size_t)i * answer->size, data, answer->size);
    }
    answer->data = data;
    answer->repeat_count = count;
    return STATUS_OK;
}

enum status answer_load(const char *path, struct answer *answer_out)
{
    *answer_out = (struct answer){0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "bench_floor: %s: %s\n", path, strerror(errno));
        return STATUS_IO_ERROR;
    }
    uint8_t *data = (uint8_t *)malloc(ANSWER_BYTES_MAX);
    size_t size = data == NULL ? 0 : fread(data, 1, ANSWER_BYTES_MAX, file);
    fclose(file);
    if (size == 0 || size == ANSWER_BYTES_MAX) {
        fprintf(stderr, "bench_floor: %s: an answer has 1 to %u bytes\n", path,
                ANSWER_BYTES_MAX - 1);
        free(data);
        return STATUS_INVALID;
    }
    answer_out->data = data;
    answer_out->size = (uint32_t)size;
    return repeat(answer_out);
}

enum status answer_make(uint32_t size, struct answer *answer_out)
{
    *answer_out = (struct answer){0};
    if (size > ANSWER_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    /* The number of digits of the body's size depends on the size of the head: settle it by
     * trying. */
    char head[128];
    uint32_t body = size;
    uint32_t head_size = 0;
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        int printed = snprintf(
            head, sizeof(head),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %u\r\n\r\n", body);
        ASSERT(printed > 0 && (size_t)printed < sizeof(head));
        head_size = (uint32_t)printed;
        uint32_t wanted = size > head_size ? size - head_size : 0;
        if (wanted == body) {
            break;
        }
        body = wanted;
    }
    answer_out->size = head_size + body;
    answer_out->data = (uint8_t *)malloc(answer_out->size);
    if (answer_out->data == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(answer_out->data, head, head_size);
    memset(answer_out->data + head_size, 'x', body);
    return repeat(answer_out);
}

void answer_release(struct answer *answer)
{
    free(answer->data);
    *answer = (struct answer){0};
}
