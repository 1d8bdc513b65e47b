#include <stdlib.h>

#include "net/rest/field.h"
#include "net/rest/rest_internal.h"

struct bytes rest_request_id(const struct rest *rest, const struct http_exchange *exchange,
                             uint8_t buffer[REQUEST_ID_BYTES_MAX])
{
    struct writer id = writer_of(buffer, REQUEST_ID_BYTES_MAX);
    field_hex_write(rest->options.seed & UINT32_MAX, &id);
    writer_u8(&id, '-');
    field_hex_write(rest->options.thread_index, &id);
    writer_u8(&id, '-');
    field_hex_write(exchange->number, &id);
    ASSERT(!id.failed);
    return writer_bytes(&id);
}

void rest_head_tag(uint64_t epoch, uint64_t sequence, struct writer *head)
{
    writer_put(head, BYTES_LITERAL("ETag: "));
    field_entity_tag_write(epoch, sequence, head);
    writer_put(head, BYTES_LITERAL("\r\n"));
}

void rest_answer_body(struct http_exchange *exchange, struct writer *head, struct bytes body,
                      uint16_t status, void (*release)(void *owner), void *owner)
{
    struct rest_state *state = rest_state_of(exchange);
    if (state->warn) {
        writer_put(head, BYTES_LITERAL("Warning: 199 freshet \"not allowed to refresh; answered "
                                       "as without Cache-Control\"\r\n"));
    }
    head_end(exchange, state->expose, head);
    ASSERT(!head->failed);
    if (exchange->request.method == HTTP_HEAD) {
        http_answer(exchange, writer_bytes(head), BYTES_EMPTY, status, release, owner);
        return;
    }
    http_answer(exchange, writer_bytes(head), body, status, release, owner);
}

/* ---- problems ---- */

void rest_answer_problem(struct rest *rest, struct http_exchange *exchange,
                         const struct problem *problem, const struct head_cache *cache)
{
    uint8_t body_bytes[PROBLEM_BODY_BYTES_MAX];
    uint8_t id[REQUEST_ID_BYTES_MAX];
    struct writer body = writer_of(body_bytes, sizeof(body_bytes));
    problem_body_write(problem, rest_request_id(rest, exchange, id), &body);
    ASSERT(!body.failed);

    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, problem->status, &head);
    writer_put(&head, BYTES_LITERAL("Content-Type: application/problem+json\r\n"));
    head_line_number(&head, "Content-Length", body.size);
    if (problem->allow != NULL) {
        head_line(&head, "Allow", bytes_of_text(problem->allow));
    }
    if (problem->retry_after_s != 0) {
        head_line_number(&head, "Retry-After", problem->retry_after_s);
    }
    if (cache != NULL) {
        head_line(&head, "Cache-Control", rest->heads.cache_control);
        head_cache_write(&rest->heads, cache, rest->wall_ms, &head);
    }
    rest_answer_body(exchange, &head, writer_bytes(&body), problem->status, NULL, NULL);
}

void rest_answer_error(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                       struct bytes detail)
{
    const struct problem problem = {
        .status = status, .detail = detail, .retry_after_s = status == 503 ? 1 : 0};
    rest_answer_problem(rest, exchange, &problem, NULL);
}

void rest_answer_status(struct rest *rest, struct http_exchange *exchange, enum status status,
                        struct bytes detail)
{
    struct problem problem = problem_of(status, detail);
    rest_answer_problem(rest, exchange, &problem, NULL);
}

void rest_answer_singular(struct rest *rest, struct http_exchange *exchange, uint16_t status,
                          const struct collection *collection, const char *words,
                          const struct head_cache *cache)
{
    uint8_t detail_bytes[PROBLEM_DETAIL_BYTES_MAX];
    struct writer detail = writer_of(detail_bytes, sizeof(detail_bytes));
    writer_put(&detail, collection->singular);
    writer_u8(&detail, ' ');
    writer_text(&detail, words);
    const struct problem problem = {.status = status, .detail = writer_bytes(&detail)};
    rest_answer_problem(rest, exchange, &problem, cache);
}

void rest_answer_no_method(struct rest *rest, struct http_exchange *exchange, const char *allow)
{
    const struct problem problem = {
        .status = 405,
        .detail =
            BYTES_LITERAL("This resource does not have that method; Allow names those it has"),
        .allow = allow,
    };
    rest_answer_problem(rest, exchange, &problem, NULL);
}

/* ---- requests ---- */

void rest_answer_request(struct http_exchange *exchange, struct writer *head, uint16_t status)
{
    struct request *request = &rest_state_of(exchange)->request;
    struct bytes body = request->answer;
    if (request->answer_memory == NULL) {
        rest_answer_body(exchange, head, body, status, NULL, NULL);
        return;
    }
    /* The exchange may be gone before the last byte is sent, so the memory leaves the request. */
    void *memory = request->answer_memory;
    request->answer_memory = NULL;
    request->answer = BYTES_EMPTY;
    request->list_next = BYTES_EMPTY;
    rest_answer_body(exchange, head, body, status, free, memory);
}

void rest_answer_failure(struct rest *rest, struct http_exchange *exchange,
                         const struct request *request)
{
    const struct problem problem = problem_of_request(request);
    rest_answer_problem(rest, exchange, &problem, NULL);
}
