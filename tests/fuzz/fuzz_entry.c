/* Any bytes are an entry or are refused; what is accepted is written back as the same payload. */
#include <stdlib.h>

#include "engine/journal/entry.h"
#include "protocol/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entry entry;
    struct bytes bytes = bytes_of(data, size);
    enum status checked = entry_decode(bytes, &entry);
    enum status viewed = entry_view(bytes, &entry);
    ASSERT(checked == STATUS_DAMAGED || viewed == STATUS_OK);
    if (viewed != STATUS_OK) {
        return 0;
    }
    ASSERT(entry_stored_size(data) == size);
    ASSERT(bytes_equal(entry_stored(&entry), bytes));
    uint8_t *copy = malloc(size);
    struct writer writer = writer_of(copy, size);
    ASSERT(entry_encoded_size(&entry) == size);
    enum status status = entry_encode(&entry, &writer);
    ASSERT(status == STATUS_OK);
    ASSERT(writer.size == size);
    ASSERT(memcmp(copy + ENTRY_HEADER_BYTES, data + ENTRY_HEADER_BYTES,
                  size - ENTRY_HEADER_BYTES) == 0);
    ASSERT(entry_is_whole(writer_bytes(&writer)));
    free(copy);
    return 0;
}
