#include "bench/load/request.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

#define POOL_BYTES (1u << 16)

static void template_write(struct requests *requests, const struct load_options *options,
                           enum kind kind, struct writer *out)
{
    struct request_template *template = &requests->templates[kind];
    switch (options->protocol) {
    case PROTOCOL_HTTP:
        request_http(options, kind, &requests->body, template, out);
        return;
    case PROTOCOL_WIRE:
        request_wire(options, kind, &requests->body, template, out);
        return;
    case PROTOCOL_REDIS:
        request_redis(options, kind, &requests->body, template, out);
        return;
    }
    UNREACHABLE();
}

static enum status build(struct requests *requests, const struct load_options *options,
                         enum kind kind)
{
    struct request_template *template = &requests->templates[kind];
    size_t capacity = LOAD_PATH_BYTES_MAX + LOAD_HEADERS_BYTES_MAX + 512 + requests->body.size;
    template->data = (uint8_t *)malloc(capacity);
    if (template->data == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer writer = writer_of(template->data, capacity);
    template_write(requests, options, kind, &writer);
    ASSERT(!writer.failed);
    template->size = (uint32_t)writer.size;
    if (template->size > requests->size_max) {
        requests->size_max = template->size;
    }
    return STATUS_OK;
}

static void pool_fill(struct requests *requests, const struct load_options *options, size_t bytes)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz      ";
    struct keys random;
    struct keys_options random_options = {.theta = 0.5, .count = 1, .seed = options->keys.seed};
    keys_init(&random, &random_options);
    for (size_t i = 0; i < bytes; i++) {
        requests->pool[i] = (uint8_t)letters[keys_random(&random) % (sizeof(letters) - 1)];
    }
}

enum status requests_create(const struct load_options *options, uint64_t serial_from,
                            struct requests *requests_out)
{
    bool wire = options->protocol == PROTOCOL_WIRE;
    *requests_out = (struct requests){
        .key_digits = options->key_digits,
        .serial = serial_from,
        .body = body_of(wire ? BODY_MSGPACK : BODY_JSON, options->value_bytes),
    };
    size_t pool_bytes = POOL_BYTES + requests_out->body.filler_size;
    requests_out->pool = (uint8_t *)malloc(pool_bytes);
    enum status status = requests_out->pool == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t kind = 0; kind < KIND_COUNT && status == STATUS_OK; kind++) {
        if (options->mix[kind] > 0) {
            status = build(requests_out, options, (enum kind)kind);
        }
    }
    if (status != STATUS_OK) {
        requests_destroy(requests_out);
        return status;
    }
    pool_fill(requests_out, options, pool_bytes);
    if (wire) {
        struct writer preface = writer_of(requests_out->preface, REQUEST_PREFACE_BYTES_MAX);
        request_wire_preface(&preface);
        ASSERT(!preface.failed);
        requests_out->preface_size = (uint32_t)preface.size;
    }
    return STATUS_OK;
}

void requests_destroy(struct requests *requests)
{
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        free(requests->templates[kind].data);
    }
    free(requests->pool);
    *requests = (struct requests){0};
}

uint32_t requests_write(struct requests *requests, enum kind kind, uint64_t key, uint64_t random,
                        uint8_t *out)
{
    const struct request_template *template = &requests->templates[kind];
    ASSERT(template->data != NULL);
    ASSERT(template->size <= requests->size_max);
    memcpy(out, template->data, template->size);
    if (template->key_offset > 0) {
        patch_decimal(out + template->key_offset, requests->key_digits, key);
    }
    if (template->body_offset > 0) {
        uint64_t shelf = template->key_offset > 0 ? key : random >> 17;
        body_patch(&requests->body, ++requests->serial, random, shelf,
                   requests->pool + (random >> 32) % POOL_BYTES, out + template->body_offset);
    }
    return template->size;
}
