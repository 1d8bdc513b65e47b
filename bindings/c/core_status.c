/* Statuses: their words, and how those of the server and of the layers below become ours. */
#include <stdlib.h>

#include "bindings/c/core_internal.h"

const char *freshet_status_text(enum freshet_status status)
{
    switch (status) {
    case FRESHET_OK:
        return "ok";
    case FRESHET_END:
        return "there is no more";
    case FRESHET_AGAIN:
        return "nothing has come yet";
    case FRESHET_NOT_MODIFIED:
        return "the record is the one that is already known";
    case FRESHET_INVALID:
        return "the request is not valid";
    case FRESHET_UNAUTHORIZED:
        return "the credentials are missing or wrong";
    case FRESHET_FORBIDDEN:
        return "the credentials do not allow this";
    case FRESHET_NOT_FOUND:
        return "there is no such record, collection or consumer";
    case FRESHET_CONFLICT:
        return "the request contradicts another one";
    case FRESHET_POSITION_EXPIRED:
        return "the position is no longer, or never was, in this journal";
    case FRESHET_PRECONDITION_FAILED:
        return "the record is not in the state that the request asks for";
    case FRESHET_TOO_LARGE:
        return "the request is over a limit";
    case FRESHET_UNPROCESSABLE:
        return "the request is well formed but cannot be accepted";
    case FRESHET_SERVER_ERROR:
        return "the server failed, or does not know this request";
    case FRESHET_BUSY:
        return "a limit is reached; nothing was changed; try again later";
    case FRESHET_OUTCOME_UNKNOWN:
        return "the write may or may not have been kept; read the record to know";
    case FRESHET_DISCONNECTED:
        return "there is no connection to the server; nothing was changed";
    case FRESHET_TIMEOUT:
        return "no answer came in time; what was asked may still happen";
    case FRESHET_PROTOCOL:
        return "what came is not Freshet's protocol; the connection was closed";
    case FRESHET_NO_MEMORY:
        return "out of memory";
    }
    return "an unknown status";
}

enum freshet_status core_status_of_code(unsigned code, const char *type)
{
    switch (code) {
    case 304:
        return FRESHET_NOT_MODIFIED;
    case 400:
    case 405:
    case 411:
    case 415:
        return FRESHET_INVALID;
    case 401:
        return FRESHET_UNAUTHORIZED;
    case 403:
        return FRESHET_FORBIDDEN;
    case 404:
        return FRESHET_NOT_FOUND;
    case 408:
        return FRESHET_TIMEOUT;
    case 409:
        return FRESHET_CONFLICT;
    case 410:
        return FRESHET_POSITION_EXPIRED;
    case 412:
        return FRESHET_PRECONDITION_FAILED;
    case 413:
    case 414:
    case 431:
        return FRESHET_TOO_LARGE;
    case 422:
        return FRESHET_UNPROCESSABLE;
    case 429:
    case 503:
    case 507:
        return strcmp(type, "outcome-unknown") == 0 ? FRESHET_OUTCOME_UNKNOWN : FRESHET_BUSY;
    default: /* from outside, no enum */
        return code >= 200 && code < 300 ? FRESHET_OK : FRESHET_SERVER_ERROR;
    }
}

enum freshet_status core_status_of(enum status status)
{
    if (status == STATUS_OK) {
        return FRESHET_OK;
    }
    if (status == STATUS_TOO_LARGE) {
        return FRESHET_TOO_LARGE;
    }
    return status == STATUS_NO_MEMORY ? FRESHET_NO_MEMORY : FRESHET_INVALID;
}

enum freshet_status core_set_full_error(struct core *core, const struct freshet_error *error)
{
    ASSERT(error->status != FRESHET_OK);
    error_room_set(&core->error, error);
    return error->status;
}

enum freshet_status core_set_error(struct core *core, enum freshet_status status,
                                   const char *detail)
{
    struct freshet_error error = *error_none();
    if (status == FRESHET_OK) {
        return status;
    }
    error.status = status;
    error.detail = detail == NULL ? freshet_status_text(status) : detail;
    return core_set_full_error(core, &error);
}

const struct freshet_error *core_error(const struct core *core)
{
    return &core->error.error;
}

char *core_copy_text(const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}
