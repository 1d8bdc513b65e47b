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
