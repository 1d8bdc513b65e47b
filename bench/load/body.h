/*
 * body.h: the record that a load writes, as JSON text or as a MessagePack document, with the places
 * that change from one to the next.
 *
 * Owner:     plain values; only body_pool_create allocates.
 * Invariant: all bodies of one shape have the same size. What stands in one follows from its serial
 *            and its key alone, in every run: who knows these two knows each byte, and so can judge
 *            an answer (check.h). The serial is in the title.
 */
#ifndef FRESHET_BENCH_LOAD_BODY_H
#define FRESHET_BENCH_LOAD_BODY_H

#include <stdint.h>

#include "protocol/base/bytes.h"

#define BODY_SERIAL_DIGITS 16

enum body_form { BODY_JSON, BODY_MSGPACK };

/* Offsets are from the body's first byte. */
struct body {
    enum body_form form;
    uint32_t size;
    uint32_t serial_offset; /* of the title's 16 digits */
    uint32_t price_offset;
    uint32_t shelf_offset;
    uint32_t filler_offset; /* of the description */
    uint32_t filler_size;
};

/* JSON of so many bytes; as MessagePack the same record, a little smaller. */
struct body body_of(enum body_form form, uint32_t json_bytes);
/* With something in every place. */
void body_write(const struct body *body, struct writer *out);
/* Text that descriptions are cut from, always the same; NULL without memory, else to be freed. */
uint8_t *body_pool_create(const struct body *body);
void body_patch(const struct body *body, const uint8_t *pool, uint64_t serial, uint64_t key,
                uint8_t *at);

void patch_decimal(uint8_t *at, uint32_t digits, uint64_t value);

#endif
