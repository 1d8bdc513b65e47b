/*
 * error_room.h: a freshet_error with room of its own for its texts.
 *
 * Owner:     whoever embeds it.
 * Memory:    none but itself; longer texts are cut.
 * Invariant: no text is NULL, also in a room of zeroes after the first error_room_set.
 * Tests:     tests/unit/bindings/c/test_status.c.
 */
#ifndef FRESHET_BINDINGS_C_ERROR_ROOM_H
#define FRESHET_BINDINGS_C_ERROR_ROOM_H

#include "bindings/c/include/freshet.h"
#include "protocol/base/limits.h"

#define ERROR_TYPE_MAX   64
#define ERROR_DETAIL_MAX 1024

struct error_room {
    struct freshet_error error;
    char type[ERROR_TYPE_MAX];
    char detail[ERROR_DETAIL_MAX];
    char oldest[POSITION_TEXT_BYTES_MAX + 1];
    char newest[POSITION_TEXT_BYTES_MAX + 1];
};

/* The texts may be those of the room itself. */
void error_room_set(struct error_room *room, const struct freshet_error *error);

/* Nothing went wrong; static storage. */
const struct freshet_error *error_none(void);

#endif
