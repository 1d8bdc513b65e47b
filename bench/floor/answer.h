/*
 * answer.h: the one answer of the floor, repeated so that all answers of a turn are one piece of
 * memory.
 *
 * Owner:     the process; read only after answer_load or answer_make.
 * Memory:    repeat_count copies of the answer, ANSWER_MEMORY_BYTES or one copy, whichever is more.
 */
#ifndef FRESHET_BENCH_FLOOR_ANSWER_H
#define FRESHET_BENCH_FLOOR_ANSWER_H

#include <stdint.h>

#include "protocol/base/status.h"

#define ANSWER_BYTES_MAX    (8u << 20)
#define ANSWER_MEMORY_BYTES (256u << 10)
#define ANSWER_REPEAT_MAX   256

struct answer {
    uint8_t *data;
    uint32_t size;
    uint32_t repeat_count;
};

/* The raw bytes of a file: head and body as a server sent them. Failures are said on stderr. */
MUST_USE enum status answer_load(const char *path, struct answer *answer_out);

/* A 200 of exactly size bytes, head included; or the smallest possible where that is more. */
MUST_USE enum status answer_make(uint32_t size, struct answer *answer_out);

void answer_release(struct answer *answer);

#endif
