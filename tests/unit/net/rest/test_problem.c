#include <criterion/criterion.h>

#include "net/rest/problem.h"

static const char *body_of(const struct problem *problem)
{
    static char text[PROBLEM_BODY_BYTES_MAX + 1];
    memset(text, 0, sizeof(text));
    struct writer out = writer_of(text, PROBLEM_BODY_BYTES_MAX);
    problem_body_write(problem, BYTES_LITERAL("a-1"), &out);
    cr_assert_not(out.failed);
    return text;
}

Test(problem, has_all_members_and_message_equals_detail)
{
    const struct problem problem = {.status = 404, .detail = BYTES_LITERAL("Pet \"x\" not found")};
    cr_assert_str_eq(body_of(&problem),
                     "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                     "\"detail\":\"Pet \\\"x\\\" not found\",\"message\":\"Pet \\\"x\\\" not "
                     "found\",\"request_id\":\"a-1\"}");
}

Test(problem, without_words_it_says_its_title)
{
    const struct problem problem = {.status = 431};
    cr_assert(strstr(body_of(&problem), "\"detail\":\"Request Header Fields Too Large\"") != NULL);
}

Test(problem, the_longest_detail_fits_when_all_of_it_is_escaped)
{
    char detail[PROBLEM_DETAIL_BYTES_MAX + 1];
    memset(detail, 1, sizeof(detail));
    const struct problem problem = {.status = 400, .detail = bytes_of(detail, sizeof(detail))};
    cr_assert_gt(strlen(body_of(&problem)), 12 * PROBLEM_DETAIL_BYTES_MAX);
}

Test(problem, a_detail_is_cut_between_characters)
{
    char detail[PROBLEM_DETAIL_BYTES_MAX + 1];
    memset(detail, 'a', sizeof(detail));
    memcpy(detail + PROBLEM_DETAIL_BYTES_MAX - 1, "\xC3\xA9", 2);
    const struct problem problem = {.status = 400, .detail = bytes_of(detail, sizeof(detail))};
    cr_assert(strstr(body_of(&problem), "aaa\",\"message\"") != NULL);
}

Test(problem, each_status_has_its_http_status)
{
    static const struct {
        enum status status;
        uint16_t http;
        const char *type;
        uint32_t retry_after_s;
    } cases[] = {
        {STATUS_NOT_FOUND, 404, NULL, 0},
        {STATUS_INVALID, 400, NULL, 0},
        {STATUS_TOO_LARGE, 413, NULL, 0},
        {STATUS_UNPROCESSABLE, 422, NULL, 0},
        {STATUS_PRECONDITION_FAILED, 412, NULL, 0},
        {STATUS_CONFLICT, 409, NULL, 0},
        {STATUS_BUSY, 503, NULL, 1},
        {STATUS_WOULD_BLOCK, 500, NULL, 0},
        {STATUS_NO_MEMORY, 503, NULL, 1},
        {STATUS_IO_ERROR, 500, NULL, 0},
        {STATUS_DAMAGED, 500, NULL, 0},
        {STATUS_NOT_ACCEPTED, 503, "not-accepted", 1},
        {STATUS_OUTCOME_UNKNOWN, 503, "outcome-unknown", 1},
        {STATUS_POSITION_EXPIRED, 410, "position-expired", 0},
        {STATUS_TIMEOUT, 503, NULL, 1},
        {STATUS_CLOSED, 500, NULL, 0},
        {STATUS_DISK_FULL, 503, "disk-full", 1},
        {STATUS_LOCKED, 500, NULL, 0},
        {STATUS_UNSUPPORTED, 501, NULL, 0},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct problem problem = problem_of(cases[index].status, BYTES_EMPTY);
        cr_assert_eq(problem.status, cases[index].http, "%s", status_name(cases[index].status));
        cr_assert_eq(problem.retry_after_s, cases[index].retry_after_s);
        cr_assert_gt(problem.detail.size, 0);
        cr_assert(cases[index].type == NULL ? problem.type == NULL
                                            : strcmp(problem.type, cases[index].type) == 0);
    }
    cr_assert_eq(problem_http_status(STATUS_OK), 200);
    cr_assert_eq(problem_http_status(STATUS_NOT_MODIFIED), 304);
}
