/*
 * fuzz_merge_patch.c: target and patch as two JSON texts with a NUL between them, or as two
 * documents cut at the place the first byte says. The result must be valid; patching it again with
 * the same patch must change nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/merge_patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct writer new_writer(size_t capacity)
{
    void *memory = malloc(capacity + 1);
    ASSERT(memory != NULL);
    return writer_of(memory, capacity);
}

static void check_merge(struct bytes target, struct bytes patch)
{
    bool is_valid = (target.size == 0 || document_validate(target) == STATUS_OK) &&
                    document_validate(patch) == STATUS_OK;
    size_t room = 64 + 2 * (target.size + patch.size);
    struct writer once = new_writer(room);
    struct writer twice = new_writer(2 * room);
    enum status status = document_merge_patch(target, patch, &once);
    ASSERT(status == STATUS_OK || !is_valid);
    if (is_valid) {
        struct bytes result = writer_bytes(&once);
        ASSERT(document_validate(result) == STATUS_OK);
        ASSERT(document_is_object(result) == document_is_object(patch));
        ASSERT(document_merge_patch(result, patch, &twice) == STATUS_OK);
        ASSERT(document_equal(result, writer_bytes(&twice)));
    }
    free(twice.data);
    free(once.data);
}

static void merge_json(struct bytes target, struct bytes patch)
{
    struct writer target_out = new_writer(3 * target.size + 16);
    struct writer patch_out = new_writer(3 * patch.size + 16);
    if (json_to_document(target, &target_out, NULL) != STATUS_OK) {
        target_out.size = 0; /* absent */
    }
    if (json_to_document(patch, &patch_out, NULL) == STATUS_OK) {
        check_merge(writer_bytes(&target_out), writer_bytes(&patch_out));
    }
    free(patch_out.data);
    free(target_out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const uint8_t *nul = memchr(data, 0, size);
    if (nul != NULL) {
        size_t target_size = (size_t)(nul - data);
        merge_json(bytes_of(data, target_size), bytes_of(nul + 1, size - target_size - 1));
    }
    size_t cut = 1 + data[0] % size;
    check_merge(bytes_of(data + 1, cut - 1), bytes_of(data + cut, size - cut));
    return 0;
}
