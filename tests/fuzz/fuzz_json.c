/*
 * fuzz_json.c: any bytes as JSON. What is taken must be a valid document, must render, and what was
 * rendered must parse to an equal document and render to the same text again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte of JSON becomes at most three of MessagePack. */
static struct writer new_writer(size_t capacity)
{
    void *memory = malloc(capacity);
    ASSERT(memory != NULL);
    return writer_of(memory, capacity);
}

static void check_refusal(enum status status, const struct json_error *error, size_t size)
{
    ASSERT(status == STATUS_INVALID || status == STATUS_UNPROCESSABLE);
    ASSERT(error->status == status);
    ASSERT(error->offset <= size);
    ASSERT(error->line >= 1 && error->column >= 1);
    ASSERT(error->text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_error error = {0};
    struct writer document = new_writer(3 * size + 16);
    enum status status = json_to_document(bytes_of(data, size), &document, &error);
    if (status != STATUS_OK) {
        check_refusal(status, &error, size);
        free(document.data);
        return 0;
    }
    ASSERT(document_validate(writer_bytes(&document)) == STATUS_OK);
    ASSERT(document_value_size(writer_bytes(&document)) == document.size);

    /* Rendering never grows: what must be escaped was escaped before. */
    struct writer json = new_writer(size + 16);
    ASSERT(document_to_json(writer_bytes(&document), &json) == STATUS_OK);
    struct writer again = new_writer(3 * json.size + 16);
    ASSERT(json_to_document(writer_bytes(&json), &again, &error) == STATUS_OK);
    ASSERT(document_equal(writer_bytes(&document), writer_bytes(&again)));

    struct writer second = new_writer(json.size);
    ASSERT(document_to_json(writer_bytes(&again), &second) == STATUS_OK);
    ASSERT(bytes_equal(writer_bytes(&json), writer_bytes(&second)));
    free(second.data);
    free(again.data);
    free(json.data);
    free(document.data);
    return 0;
}
