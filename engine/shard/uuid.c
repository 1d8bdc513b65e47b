#include "engine/shard/uuid.h"
#include "protocol/base/dice.h"

void uuid_v7(uint64_t *random, uint64_t wall_ms, char text_out[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t high = (wall_ms << 16) | 0x7000u | (dice_roll(random) & 0x0fffu);
    uint64_t low = (dice_roll(random) >> 2) | 0x8000000000000000ull;
    uint32_t at = 0;
    for (uint32_t nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) {
            text_out[at++] = '-';
        }
        uint64_t half = nibble < 16 ? high : low;
        text_out[at++] = digits[(half >> (60 - 4 * (nibble % 16))) & 0xf];
    }
}
