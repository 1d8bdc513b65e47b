/*
 * POST /events: a user's own event into the journal, for whoever follows the changes, and for the
 * rules.
 */
#include <stdio.h>

#include "engine/stream/change.h"
#include "net/rest/rest_internal.h"
#include "protocol/document/document.h"

#define TEXT_BYTES_MAX 256

/* A member that is a string of 1 to TEXT_BYTES_MAX bytes; false when answered. */
static bool text_check(struct rest *rest, struct http_exchange *exchange, struct bytes event,
                       const char *name)
{
    struct bytes value;
    struct bytes text;
    if (document_find(event, bytes_of_text(name), &value) && document_string(value, &text) &&
        text.size > 0 && text.size <= TEXT_BYTES_MAX) {
        return true;
    }
    char detail[PROBLEM_DETAIL_BYTES_MAX];
    int size =
        snprintf(detail, sizeof(detail), "An event needs %s, a string of 1 to %d bytes of UTF-8",
                 name, TEXT_BYTES_MAX);
    ASSERT(size > 0);
    ASSERT((size_t)size < sizeof(detail));
    rest_answer_error(rest, exchange, 422, bytes_of(detail, (size_t)size));
    return false;
}

/* Source, detail-type and detail, and nothing else; false when answered. */
static bool event_check(struct rest *rest, struct http_exchange *exchange, struct bytes event)
{
    struct bytes detail;
    if (!text_check(rest, exchange, event, "source") ||
        !text_check(rest, exchange, event, "detail-type")) {
        return false;
    }
    if (!document_find(event, BYTES_LITERAL("detail"), &detail) || !document_is_object(detail)) {
        rest_answer_error(rest, exchange, 422, BYTES_LITERAL("An event needs detail, an object"));
        return false;
    }
    if (document_count(event) != 3) {
        rest_answer_error(rest, exchange, 422,
                          BYTES_LITERAL("An event has source, detail-type and detail only; put all "
                                        "else into detail"));
        return false;
    }
    return true;
}

/* {"eventID":…}, by which its consumers will know it. */
static void event_answer(struct rest *rest, struct http_exchange *exchange,
                         const struct request *request)
{
    uint8_t id_bytes[CHANGE_ID_BYTES_MAX];
    uint8_t body_bytes[CHANGE_ID_BYTES_MAX + 32];
    const struct change change = {.store_id = engine_journal(rest->options.engine)->store_id,
                                  .kind = CHANGE_EVENT,
                                  .epoch = request->epoch,
                                  .sequence = request->sequence};
    struct writer body = writer_of(body_bytes, sizeof(body_bytes));
    writer_put(&body, BYTES_LITERAL("{\"eventID\":\""));
    writer_put(&body, change_id(&change, id_bytes)); /* letters, digits and dashes */
    writer_put(&body, BYTES_LITERAL("\"}"));
    ASSERT(!body.failed);
    rest_answer_written(rest, exchange, request, 201, writer_bytes(&body));
}

static void event_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    rest_document_free(request);
    request_release(request);
    if (request->status == STATUS_OK) {
        ASSERT(request->sequence > 0);
        event_answer(rest, exchange, request);
    } else {
        rest_answer_failure(rest, exchange, request);
    }
}

void rest_events(struct rest *rest, struct http_exchange *exchange)
{
    struct bytes event;
    if (exchange->request.method != HTTP_POST) {
        rest_answer_no_method(rest, exchange, "POST, OPTIONS");
        return;
    }
    if (!rest_allowed(rest, PRINCIPAL_WRITE)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not change this"));
        return;
    }
    struct request *request = rest_request_begin(rest, exchange, REQUEST_EVENT, NULL, BYTES_EMPTY);
    if (request != NULL && rest_idempotency_set(rest, exchange, request, BYTES_LITERAL("events")) &&
        rest_body_object(rest, exchange, &event) && event_check(rest, exchange, event) &&
        rest_document_keep(rest, exchange, event, false)) {
        rest_request_submit(rest, request, event_done);
    }
}
