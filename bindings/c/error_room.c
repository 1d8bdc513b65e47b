#include "bindings/c/error_room.h"

#include <string.h>

static const char *text_keep(char *room, size_t capacity, const char *text)
{
    size_t size = strnlen(text, capacity - 1);
    memmove(room, text, size);
    room[size] = '\0';
    return room;
}

void error_room_set(struct error_room *room, const struct freshet_error *error)
{
    room->error = *error;
    room->error.type = text_keep(room->type, sizeof(room->type), error->type);
    room->error.detail = text_keep(room->detail, sizeof(room->detail), error->detail);
    room->error.oldest = text_keep(room->oldest, sizeof(room->oldest), error->oldest);
    room->error.newest = text_keep(room->newest, sizeof(room->newest), error->newest);
}

const struct freshet_error *error_none(void)
{
    static const struct freshet_error NONE = {
        .status = FRESHET_OK, .type = "", .detail = "", .oldest = "", .newest = ""};
    return &NONE;
}
