#include "protocol/base/bytes.h"

void writer_decimal(struct writer *writer, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    writer_put(writer, bytes_of(digits + at, sizeof(digits) - at));
}

size_t bytes_decimal(struct bytes text, uint64_t *value_out)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9'; digits++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[digits] - '0'), &value)) {
            return 0;
        }
    }
    *value_out = value;
    return digits;
}
