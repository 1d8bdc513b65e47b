#include "bench/load/body.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/options.h"
#include "protocol/base/assert.h"
#include "protocol/base/dice.h"

#define SERIAL_DIGITS BODY_SERIAL_DIGITS
#define SHELF_DIGITS  2
#define POOL_BYTES    (1u << 16)
#define POOL_SEED     1

/* The places that change are found by these offsets; the texts around them are fixed. */
static const char json_title[] = "{\"title\":\"Lamp ";
static const char json_price[] = "\",\"price\":";
static const char json_price_value[] = "1000.01";
static const char json_shelf[] = ",\"category\":\"shelf-";
static const char json_filler[] = "\",\"description\":\"";
static const char json_end[] = "\"}";
#define LENGTH(text) ((uint32_t)sizeof(text) - 1)

static_assert(LENGTH(json_title) + SERIAL_DIGITS + LENGTH(json_price) + LENGTH(json_price_value) +
                      LENGTH(json_shelf) + SHELF_DIGITS + LENGTH(json_filler) + LENGTH(json_end) <
                  LOAD_VALUE_BYTES_MIN,
              "the smallest body has room for the fixed parts");

/* A map of four; a title of 21 bytes, a float64, a category of 8, a description of up to 2^32. */
static const char msgpack_title[] = "\x84\xa5title\xb5Lamp ";
static const char msgpack_price[] = "\xa5price\xcb";
static const char msgpack_shelf[] = "\xa8"
                                    "category\xa8shelf-";
static const char msgpack_filler[] = "\xab"
                                     "description\xdb";
#define PRICE_BYTES  8
#define LENGTH_BYTES 4

static struct body body_of_json(uint32_t json_bytes)
{
    struct body body = {.form = BODY_JSON, .size = json_bytes};
    body.serial_offset = LENGTH(json_title);
    body.price_offset = body.serial_offset + SERIAL_DIGITS + LENGTH(json_price);
    body.shelf_offset = body.price_offset + LENGTH(json_price_value) + LENGTH(json_shelf);
    body.filler_offset = body.shelf_offset + SHELF_DIGITS + LENGTH(json_filler);
    body.filler_size = json_bytes - body.filler_offset - LENGTH(json_end);
    return body;
}

struct body body_of(enum body_form form, uint32_t json_bytes)
{
    ASSERT(json_bytes >= LOAD_VALUE_BYTES_MIN);
    struct body body = body_of_json(json_bytes);
    if (form == BODY_JSON) {
        return body;
    }
    body.form = form;
    body.serial_offset = LENGTH(msgpack_title);
    body.price_offset = body.serial_offset + SERIAL_DIGITS + LENGTH(msgpack_price);
    body.shelf_offset = body.price_offset + PRICE_BYTES + LENGTH(msgpack_shelf);
    body.filler_offset = body.shelf_offset + SHELF_DIGITS + LENGTH(msgpack_filler) + LENGTH_BYTES;
    body.size = body.filler_offset + body.filler_size;
    return body;
}

static void fill(struct writer *out, uint8_t byte, uint32_t size)
{
    uint8_t *at = writer_reserve(out, size);
    if (at != NULL) {
        memset(at, byte, size);
    }
}

void body_write(const struct body *body, struct writer *out)
{
    bool json = body->form == BODY_JSON;
    writer_text(out, json ? json_title : msgpack_title);
    fill(out, '0', SERIAL_DIGITS);
    writer_text(out, json ? json_price : msgpack_price);
    if (json) {
        writer_text(out, json_price_value);
    } else {
        fill(out, 0, PRICE_BYTES);
    }
    writer_text(out, json ? json_shelf : msgpack_shelf);
    fill(out, '0', SHELF_DIGITS);
    writer_text(out, json ? json_filler : msgpack_filler);
    if (!json) {
        writer_u32(out, body->filler_size);
    }
    fill(out, 'x', body->filler_size);
    if (json) {
        writer_text(out, json_end);
    }
}

void patch_decimal(uint8_t *at, uint32_t digits, uint64_t value)
{
    for (uint32_t i = digits; i > 0; i--) {
        at[i - 1] = (uint8_t)('0' + value % 10);
        value /= 10;
    }
}

static void patch_price(const struct body *body, uint64_t random, uint8_t *at)
{
    uint64_t whole = 1000 + (random & 511);
    uint64_t tenth = (random >> 9) % 10;
    uint64_t cent = 1 + (random >> 13) % 9; /* never 0: a price as people write it */
    if (body->form == BODY_JSON) {
        patch_decimal(at, 4, whole);
        at[5] = (uint8_t)('0' + tenth);
        at[6] = (uint8_t)('0' + cent);
        return;
    }
    double price = (double)(whole * 100 + tenth * 10 + cent) / 100;
    uint64_t bits;
    static_assert(sizeof(bits) == sizeof(price), "a float64");
    memcpy(&bits, &price, sizeof(bits));
    struct writer out = writer_of(at, PRICE_BYTES);
    writer_u64(&out, bits);
}

uint8_t *body_pool_create(const struct body *body)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz      ";
    size_t bytes = POOL_BYTES + body->filler_size;
    uint8_t *pool = (uint8_t *)malloc(bytes);
    uint64_t random = dice_mix(POOL_SEED);
    for (size_t i = 0; pool != NULL && i < bytes; i++) {
        pool[i] = (uint8_t)letters[dice_roll(&random) % (sizeof(letters) - 1)];
    }
    return pool;
}

void body_patch(const struct body *body, const uint8_t *pool, uint64_t serial, uint64_t key,
                uint8_t *at)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t random = dice_mix(dice_mix(serial) ^ key);
    for (uint32_t i = 0; i < SERIAL_DIGITS; i++) {
        at[body->serial_offset + i] = (uint8_t)hex[serial >> (60 - 4 * i) & 15];
    }
    patch_price(body, random, at + body->price_offset);
    /* A product stays in its category when its price changes, so writes of a key move no index
     * row. */
    patch_decimal(at + body->shelf_offset, SHELF_DIGITS, key & 31);
    memcpy(at + body->filler_offset, pool + (random >> 32) % POOL_BYTES, body->filler_size);
}
