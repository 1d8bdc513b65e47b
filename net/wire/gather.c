/*
 * gather.c: MGET and BATCH: many operations, one answer.
 */
#include "net/wire/wire_internal.h"

void wire_mget(struct wire_connection *connection, const struct wire_frame *frame)
{
    wire_answer_error(connection, frame->id, 501, BYTES_LITERAL("Not built yet"));
}

void wire_batch(struct wire_connection *connection, const struct wire_frame *frame)
{
    wire_answer_error(connection, frame->id, 501, BYTES_LITERAL("Not built yet"));
}
