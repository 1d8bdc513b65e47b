#include "bench/stream/dialect.h"

#include "protocol/base/assert.h"

const struct dialect *dialect_of(enum server_kind kind)
{
    switch (kind) {
    case SERVER_FRESHET:
        return &dialect_http;
    case SERVER_WIRE:
    case SERVER_WIRE_INVALIDATE:
        return &dialect_frames;
    case SERVER_REDIS_PUBSUB:
        return &dialect_redis_pubsub;
    case SERVER_REDIS_TRACKING:
        return &dialect_redis_tracking;
    case SERVER_REDIS_STREAMS:
        return &dialect_redis_streams;
    case SERVER_NATS:
        return &dialect_nats;
    case SERVER_NATS_JETSTREAM:
        return &dialect_jetstream;
    }
    UNREACHABLE();
}

uint32_t dialect_brand(const struct stream_options *options, uint64_t serial)
{
    return options->subscribers > 0 ? (uint32_t)(serial % options->subscribers) : 0;
}

bool dialect_pattern(const struct stream_options *options, uint32_t index, uint32_t *brand_out)
{
    bool idle = index >= DIALECT_IDLE_INDEX;
    *brand_out = idle ? index : dialect_brand(options, index);
    return idle || options->distinct;
}

void dialect_document(const struct stream_options *options, uint64_t serial, struct writer *out)
{
    writer_text(out, "{\"brand\":\"b-");
    writer_decimal(out, dialect_brand(options, serial));
    writer_text(out, "\",\"price\":");
    writer_decimal(out, serial % 1000);
    writer_u8(out, '.');
    writer_u8(out, (uint8_t)('0' + serial % 10));
    writer_u8(out, '5');
    writer_text(out, ",\"serial\":");
    writer_decimal(out, serial);
    writer_text(out, ",\"text\":\"");
    uint8_t *text = writer_reserve(out, options->value_bytes);
    if (text != NULL) {
        memset(text, 'x', options->value_bytes);
    }
    writer_text(out, "\"}");
}

size_t dialect_find(struct bytes whole, struct bytes part)
{
    const uint8_t *at =
        whole.size == 0 ? NULL : memmem(whole.data, whole.size, part.data, part.size);
    return at == NULL ? SIZE_MAX : (size_t)(at - whole.data);
}
