#include "net/rest/problem.h"

#include <inttypes.h>
#include <stdio.h>

#include "net/rest/head.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"

uint16_t problem_http_status(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return 200;
    case STATUS_NOT_MODIFIED:
        return 304;
    case STATUS_INVALID:
        return 400;
    case STATUS_NOT_FOUND:
        return 404;
    case STATUS_CONFLICT:
        return 409;
    case STATUS_POSITION_EXPIRED:
        return 410;
    case STATUS_PRECONDITION_FAILED:
        return 412;
    case STATUS_TOO_LARGE:
        return 413;
    case STATUS_UNPROCESSABLE:
        return 422;
    case STATUS_WOULD_BLOCK: /* never reaches a client: the engine asks a store thread */
    case STATUS_IO_ERROR:
    case STATUS_DAMAGED:
    case STATUS_CLOSED:
    case STATUS_LOCKED:
        return 500;
    case STATUS_UNSUPPORTED:
        return 501;
    case STATUS_BUSY:
    case STATUS_NO_MEMORY:
    case STATUS_NOT_ACCEPTED:
    case STATUS_OUTCOME_UNKNOWN:
    case STATUS_TIMEOUT:
    case STATUS_DISK_FULL:
        return 503;
    }
    UNREACHABLE();
}

static const char *problem_type(enum status status)
{
    if (status == STATUS_OUTCOME_UNKNOWN) {
        return "outcome-unknown";
    }
    if (status == STATUS_NOT_ACCEPTED) {
        return "not-accepted";
    }
    if (status == STATUS_POSITION_EXPIRED) {
        return "position-expired";
    }
    return status == STATUS_DISK_FULL ? "disk-full" : NULL;
}

struct problem problem_of(enum status status, struct bytes detail)
{
    ASSERT(status != STATUS_OK);
    ASSERT(status != STATUS_NOT_MODIFIED);
    struct problem problem = {.status = problem_http_status(status), .type = problem_type(status)};
    problem.detail = detail.size > 0 ? detail : bytes_of_text(status_text(status));
    problem.retry_after_s = problem.status == 503 ? 1 : 0;
    return problem;
}

struct problem problem_of_request(const struct request *request)
{
    struct bytes detail =
        bytes_of(request->detail.text, strnlen(request->detail.text, sizeof(request->detail.text)));
    enum status status = request->status;
    struct problem problem = problem_of(status, detail);
    bool timed_out = status == STATUS_TIMEOUT || status == STATUS_PRECONDITION_FAILED;
    if (request->minimum_sequence != 0 && timed_out) {
        problem.status = 412;
        problem.retry_after_s = 0;
        if (detail.size == 0) {
            problem.detail = BYTES_LITERAL("The position asked for was not reached within 1 s");
        }
    }
    if (request->kind == REQUEST_CREATE && status == STATUS_CONFLICT) {
        /* The only thing a creation can contradict is an earlier one under the same key. */
        problem.status = 422;
        if (detail.size == 0) {
            problem.detail =
                BYTES_LITERAL("This Idempotency-Key was used before, with another body");
        }
    }
    return problem;
}

struct problem problem_of_json(enum status status, const struct json_error *error,
                               char text[PROBLEM_DETAIL_BYTES_MAX])
{
    const char *what = status == STATUS_INVALID     ? "The body is not valid JSON"
                       : status == STATUS_TOO_LARGE ? "The document is too large"
                                                    : "The body cannot be accepted";
    int size =
        snprintf(text, PROBLEM_DETAIL_BYTES_MAX, "%s: %.160s at line %" PRIu32 ", column %" PRIu32,
                 what, error->text, error->line, error->column);
    ASSERT(size > 0);
    ASSERT(size < PROBLEM_DETAIL_BYTES_MAX);
    return problem_of(status, bytes_of(text, (size_t)size));
}

/* At most PROBLEM_DETAIL_BYTES_MAX bytes of whole characters. */
static struct bytes detail_cut(struct bytes detail)
{
    struct bytes cut = bytes_slice(detail, 0, PROBLEM_DETAIL_BYTES_MAX);
    cut.size = utf8_valid_size(cut);
    return cut;
}

void problem_body_write(const struct problem *problem, struct bytes request_id,
                        struct writer *json_out)
{
    ASSERT(problem->status >= 400);
    ASSERT(problem->members.size <= PROBLEM_MEMBERS_BYTES_MAX);
    struct bytes title = bytes_of_text(head_reason(problem->status));
    struct bytes detail = detail_cut(problem->detail);
    if (detail.size == 0) {
        detail = title;
    }
    if (problem->type == NULL) {
        writer_put(json_out, BYTES_LITERAL("{\"type\":\"about:blank\""));
    } else {
        writer_put(json_out, BYTES_LITERAL("{\"type\":\"urn:freshet:problem:"));
        writer_text(json_out, problem->type);
        writer_u8(json_out, '"');
    }
    writer_put(json_out, BYTES_LITERAL(",\"title\":"));
    json_string_write(json_out, title);
    writer_put(json_out, BYTES_LITERAL(",\"status\":"));
    writer_decimal(json_out, problem->status);
    writer_put(json_out, BYTES_LITERAL(",\"detail\":"));
    json_string_write(json_out, detail);
    writer_put(json_out, BYTES_LITERAL(",\"message\":"));
    json_string_write(json_out, detail);
    writer_put(json_out, BYTES_LITERAL(",\"request_id\":"));
    json_string_write(json_out, request_id);
    writer_put(json_out, problem->members);
    writer_u8(json_out, '}');
}
