#include "protocol/base/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

size_t utf8_valid_size(struct bytes bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        /* Eight bytes of ASCII at a time: most text is. */
        if (bytes.size - at >= sizeof(uint64_t)) {
            uint64_t word;
            memcpy(&word, bytes.data + at, sizeof(word));
            if ((word & HIGH_BITS) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        size_t size = utf8_sequence_size(bytes.data + at, bytes.size - at);
        if (size == 0) {
            return at;
        }
        at += size;
    }
    return at;
}
