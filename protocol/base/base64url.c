#include "protocol/base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_write(struct bytes bytes, struct writer *text_out)
{
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t at = 0; at < bytes.size; at++) {
        held = held << 8 | bytes.data[at];
        held_bits += 8;
        while (held_bits >= 6) {
            held_bits -= 6;
            writer_u8(text_out, (uint8_t)alphabet[held >> held_bits & 63]);
        }
    }
    if (held_bits > 0) {
        writer_u8(text_out, (uint8_t)alphabet[held << (6 - held_bits) & 63]);
    }
}

static int digit_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    return digit == '-' ? 62 : digit == '_' ? 63 : -1;
}

bool base64url_read(struct bytes text, struct writer *bytes_out)
{
    uint32_t held = 0;
    unsigned held_bits = 0;
    for (size_t at = 0; at < text.size; at++) {
        int value = digit_value(text.data[at]);
        if (value < 0) {
            return false;
        }
        held = (held << 6 | (uint32_t)value) & 0xFFFF;
        held_bits += 6;
        if (held_bits >= 8) {
            held_bits -= 8;
            writer_u8(bytes_out, (uint8_t)(held >> held_bits));
        }
    }
    uint32_t left = held & ((1u << held_bits) - 1);
    return held_bits < 6 && left == 0 && !bytes_out->failed;
}
