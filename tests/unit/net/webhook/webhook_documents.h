/*
 * webhook_documents.h: JSON to documents, for the tests of this folder.
 *
 * Memory:  static, never given back: each test is a process of its own.
 */
#ifndef FRESHET_TESTS_UNIT_NET_WEBHOOK_WEBHOOK_DOCUMENTS_H
#define FRESHET_TESTS_UNIT_NET_WEBHOOK_WEBHOOK_DOCUMENTS_H

#include <criterion/criterion.h>

#include "protocol/document/json.h"

#define DOCUMENTS_BYTES_MAX (4u << 20)

/* A place for size bytes, as long as the process lives. */
static inline void *documents_keep(size_t size)
{
    static uint8_t memory[DOCUMENTS_BYTES_MAX];
    static size_t used;
    cr_assert_leq(size, sizeof(memory) - used);
    used += size;
    return memory + used - size;
}

static inline struct bytes document_of(const char *json)
{
    size_t capacity = 3 * strlen(json) + 64;
    struct writer out = writer_of(documents_keep(capacity), capacity);
    struct json_error error = {.line = 0};
    enum status status = json_to_document(bytes_of_text(json), &out, &error);
    cr_assert_eq(status, STATUS_OK, "%s: %u:%u: %s", json, error.line, error.column, error.text);
    return writer_bytes(&out);
}

/* The same bytes with a NUL, for messages and comparisons. */
static inline const char *text_of(struct bytes bytes)
{
    char *text = documents_keep(bytes.size + 1);
    if (bytes.size > 0) {
        memcpy(text, bytes.data, bytes.size);
    }
    text[bytes.size] = '\0';
    return text;
}

#endif
