#include "bench/load/request.h"

#include <stdlib.h>
#include <string.h>

#include "net/rest/cursor.h"
#include "protocol/base/assert.h"

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
    case PROTOCOL_MEMCACHED:
        request_memcached(options, kind, &requests->body, template, out);
        return;
    case PROTOCOL_COUNT:
        break;
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

/* Whether requests of this kind are written: an rmw is two requests of other kinds. */
static bool kind_is_sent(const struct load_options *options, enum kind kind)
{
    bool part = kind == KIND_GET || kind == KIND_PUT;
    return kind != KIND_RMW && (options->mix[kind] > 0 || (part && options->mix[KIND_RMW] > 0));
}

enum status requests_create(const struct load_options *options, uint64_t serial_from,
                            struct requests *requests_out)
{
    bool wire = options->protocol == PROTOCOL_WIRE;
    *requests_out = (struct requests){
        .key_digits = options->key_digits,
        .cursor_bytes = cursor_text_bytes(options),
        .collection = options_collection(options),
        .serial = serial_from,
        .body = body_of(wire ? BODY_MSGPACK : BODY_JSON, options->value_bytes),
    };
    requests_out->pool = body_pool_create(&requests_out->body);
    enum status status = requests_out->pool == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    for (uint32_t kind = 0; kind < KIND_COUNT && status == STATUS_OK; kind++) {
        if (kind_is_sent(options, (enum kind)kind)) {
            status = build(requests_out, options, (enum kind)kind);
        }
    }
    if (status != STATUS_OK) {
        requests_destroy(requests_out);
        return status;
    }
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

static void cursor_patch(struct requests *requests, uint64_t key, uint8_t *at)
{
    uint8_t digits[LOAD_KEY_DIGITS_MAX];
    patch_decimal(digits, requests->key_digits, key);
    const struct cursor_list list = {.collection = requests->collection};
    struct writer text = writer_of(at, requests->cursor_bytes);
    cursor_write(&list, bytes_of(digits, requests->key_digits), &text);
    ASSERT(!text.failed);
    ASSERT(text.size == requests->cursor_bytes);
}

uint32_t requests_write(struct requests *requests, enum kind kind, uint64_t key, uint32_t id,
                        uint8_t *out)
{
    const struct request_template *template = &requests->templates[kind];
    ASSERT(template->data != NULL);
    ASSERT(template->size <= requests->size_max);
    memcpy(out, template->data, template->size);
    if (template->key_offset > 0) {
        patch_decimal(out + template->key_offset, requests->key_digits, key);
    }
    if (template->cursor_offset > 0) {
        cursor_patch(requests, key, out + template->cursor_offset);
    }
    if (template->id_offset > 0) {
        put_u32(out + template->id_offset, id);
    }
    if (template->body_offset > 0) {
        body_patch(&requests->body, requests->pool, ++requests->serial, key,
                   out + template->body_offset);
    }
    return template->size;
}
