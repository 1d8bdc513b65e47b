/* Any text is a position or is refused; there is one text for each position. */
#include "engine/journal/position.h"
#include "protocol/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct position position;
    if (position_read(bytes_of(data, size), &position) != STATUS_OK) {
        return 0;
    }
    uint8_t text[POSITION_TEXT_BYTES];
    struct writer writer = writer_of(text, sizeof(text));
    position_write(&position, &writer);
    ASSERT(bytes_equal(writer_bytes(&writer), bytes_of(data, size)));
    return 0;
}
