#include "bench/load/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"

#define SERIAL_DIGITS 16
#define POOL_BYTES    (1u << 16)

/* The places that change are found by these offsets; the texts around them are fixed. */
static const char body_title[] = "{\"title\":\"Lamp ";
static const char body_price[] =
    "\",\"price\":1000.01,\"category\":\"shelf-00\",\"description\":\"";
static const char body_end[] = "\"}";
#define TITLE_BYTES  (sizeof(body_title) - 1)
#define PRICE_OFFSET (TITLE_BYTES + SERIAL_DIGITS + sizeof("\",\"price\":1") - 1)
#define SHELF_OFFSET                                                                               \
    (TITLE_BYTES + SERIAL_DIGITS + sizeof("\",\"price\":1000.01,\"category\":\"shelf-") - 1)
#define FILLER_OFFSET   (TITLE_BYTES + SERIAL_DIGITS + sizeof(body_price) - 1)
#define BODY_REST_BYTES (FILLER_OFFSET + sizeof(body_end) - 1)

static_assert(BODY_REST_BYTES < LOAD_VALUE_BYTES_MIN,
              "the smallest body has room for the fixed parts");

static bool has_body(enum kind kind)
{
    return kind == KIND_PUT || kind == KIND_POST;
}

static void write_body(struct writer *writer, const struct requests *requests)
{
    writer_text(writer, body_title);
    uint8_t *serial = writer_reserve(writer, SERIAL_DIGITS);
    if (serial != NULL) {
        memset(serial, '0', SERIAL_DIGITS);
    }
    writer_text(writer, body_price);
    uint8_t *filler = writer_reserve(writer, requests->filler_size);
    if (filler != NULL) {
        memset(filler, 'x', requests->filler_size);
    }
    writer_text(writer, body_end);
}

/* The target of the request line; where the key stands in it, 0 for nowhere. */
static uint32_t write_path(struct writer *writer, const struct load_options *options,
                           enum kind kind)
{
    const char *mark = strstr(options->path, "{key}");
    if (mark == NULL) {
        writer_text(writer, options->path);
        return 0;
    }
    size_t before = (size_t)(mark - options->path);
    if (kind == KIND_POST) {
        /* The collection: what stands before the key, without the slash. */
        writer_put(writer, bytes_of(options->path, before > 1 ? before - 1 : before));
        return 0;
    }
    writer_put(writer, bytes_of(options->path, before));
    uint32_t offset = (uint32_t)writer->size;
    uint8_t *key = writer_reserve(writer, options->key_digits);
    if (key != NULL) {
        memset(key, '0', options->key_digits);
    }
    writer_text(writer, mark + sizeof("{key}") - 1);
    return offset;
}

static enum status build(struct requests *requests, const struct load_options *options,
                         enum kind kind)
{
    static const char *const methods[KIND_COUNT] = {"GET ", "PUT ", "POST ", "DELETE ", "HEAD "};
    struct request_template *template = &requests->templates[kind];
    size_t capacity = LOAD_PATH_BYTES_MAX + LOAD_HEADERS_BYTES_MAX + 512 + options->value_bytes;
    template->data = (uint8_t *)malloc(capacity);
    if (template->data == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer writer = writer_of(template->data, capacity);
    writer_text(&writer, methods[kind]);
    template->key_offset = write_path(&writer, options, kind);
    writer_text(&writer, " HTTP/1.1\r\nHost: ");
    writer_text(&writer, options->host);
    writer_text(&writer, ":");
    writer_decimal(&writer, options->port);
    writer_text(&writer, "\r\n");
    writer_put(&writer, bytes_of(options->headers, options->headers_size));
    if (has_body(kind)) {
        writer_text(&writer, "Content-Type: application/json\r\nContent-Length: ");
        writer_decimal(&writer, options->value_bytes);
        writer_text(&writer, "\r\n\r\n");
        template->body_offset = (uint32_t)writer.size;
        write_body(&writer, requests);
    } else {
        writer_text(&writer, "\r\n");
    }
    ASSERT(!writer.failed);
    template->size = (uint32_t)writer.size;
    if (template->size > requests->size_max) {
        requests->size_max = template->size;
    }
    return STATUS_OK;
}

enum status requests_create(const struct load_options *options, uint64_t serial_from,
                            struct requests *requests_out)
{
    ASSERT(options->value_bytes >= LOAD_VALUE_BYTES_MIN);
    *requests_out = (struct requests){
        .key_digits = options->key_digits,
        .serial = serial_from,
        .filler_offset = FILLER_OFFSET,
        .filler_size = options->value_bytes - (uint32_t)BODY_REST_BYTES,
    };
    size_t pool_bytes = POOL_BYTES + requests_out->filler_size;
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
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz      ";
    struct keys random;
    struct keys_options random_options = {.theta = 0.5, .count = 1, .seed = options->keys.seed};
    keys_init(&random, &random_options);
    for (size_t i = 0; i < pool_bytes; i++) {
        requests_out->pool[i] = (uint8_t)letters[keys_random(&random) % (sizeof(letters) - 1)];
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

static void patch_decimal(uint8_t *at, uint32_t digits, uint64_t value)
{
    for (uint32_t i = digits; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

/* shelf: a product stays in its category when its price changes, so writes of a key move no index
 * row. */
static void patch_body(struct requests *requests, uint64_t random, uint64_t shelf, uint8_t *body)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t serial = ++requests->serial;
    for (uint32_t i = 0; i < SERIAL_DIGITS; i++) {
        body[TITLE_BYTES + i] = (uint8_t)hex[serial >> (60 - 4 * i) & 15];
    }
    patch_decimal(body + PRICE_OFFSET, 3, random & 511);
    body[PRICE_OFFSET + 4] = (uint8_t)('0' + (random >> 9) % 10);
    body[PRICE_OFFSET + 5] =
        (uint8_t)('1' + (random >> 13) % 9); /* never 0: a price as people write it */
    patch_decimal(body + SHELF_OFFSET, 2, shelf & 31);
    memcpy(body + requests->filler_offset, requests->pool + (random >> 32) % POOL_BYTES,
           requests->filler_size);
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
        patch_body(requests, random, shelf, out + template->body_offset);
    }
    return template->size;
}
