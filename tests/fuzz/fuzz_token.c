/* Any text is a token or is refused; there is one text for each token. */
#include "engine/stream/token.h"
#include "protocol/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token token;
    if (token_read(bytes_of(data, size), &token) != STATUS_OK) {
        return 0;
    }
    uint8_t text[TOKEN_TEXT_BYTES_MAX];
    struct writer writer = writer_of(text, sizeof(text));
    token_write(&token, &writer);
    ASSERT(bytes_equal(writer_bytes(&writer), bytes_of(data, size)));
    return 0;
}
