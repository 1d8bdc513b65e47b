/*
 * helper.h: what the tests of documents share: JSON in, JSON out, with buffers large enough for any
 * case.
 */
#ifndef FRESHET_TESTS_UNIT_PROTOCOL_DOCUMENT_HELPER_H
#define FRESHET_TESTS_UNIT_PROTOCOL_DOCUMENT_HELPER_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/*
 * What a test allocates is kept in a list and freed by free_kept, which every suite names as its
 * .fini: so the leak checker sees only what the code under test has lost.
 */
struct kept {
    struct kept *next;
    _Alignas(16) uint8_t memory[];
};

static struct kept *kept_first;

static inline void *keep_new(size_t size)
{
    struct kept *kept = malloc(sizeof(*kept) + size);
    cr_assert_not_null(kept);
    kept->next = kept_first;
    kept_first = kept;
    return kept->memory;
}

static inline void free_kept(void)
{
    while (kept_first != NULL) {
        struct kept *kept = kept_first;
        kept_first = kept->next;
        free(kept);
    }
}

static inline struct writer new_writer(size_t capacity)
{
    return writer_of(keep_new(capacity), capacity);
}

/*
 * A copy in a block of exactly its size, so that the address sanitizer sees every byte read too
 * many.
 */
static inline struct bytes exact_copy(struct bytes bytes)
{
    uint8_t *memory = keep_new(bytes.size);
    if (bytes.size > 0) {
        memcpy(memory, bytes.data, bytes.size);
    }
    return bytes_of(memory, bytes.size);
}

static inline struct bytes document_of_bytes(struct bytes json)
{
    struct writer writer = new_writer(16 + 3 * json.size);
    struct json_error error;
    enum status status = json_to_document(exact_copy(json), &writer, &error);
    cr_assert_eq(status, STATUS_OK, "%.*s: %s at %zu", (int)(json.size < 200 ? json.size : 200),
                 (const char *)json.data, status == STATUS_OK ? "" : error.text,
                 status == STATUS_OK ? 0 : error.offset);
    return exact_copy(writer_bytes(&writer));
}

static inline struct bytes document_of(const char *json)
{
    return document_of_bytes(bytes_of_text(json));
}

/* NUL-terminated. */
static inline const char *json_of(struct bytes document)
{
    struct writer writer = new_writer(64 + 40 * document.size);
    cr_assert_eq(document_to_json(document, &writer), STATUS_OK);
    writer_u8(&writer, 0);
    return (const char *)writer.data;
}

/* A small generator, so that a printed seed is all that is needed to see a failure again. */
struct dice {
    uint64_t state;
};

static inline struct dice dice_of_time(const char *test)
{
    const char *given = getenv("FRESHET_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10)
                                  : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    fprintf(stderr, "%s: FRESHET_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct dice){seed};
}

static inline uint64_t dice_next(struct dice *dice)
{
    dice->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = dice->state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

static inline uint32_t dice_below(struct dice *dice, uint32_t limit)
{
    return (uint32_t)(dice_next(dice) % limit);
}

#endif
