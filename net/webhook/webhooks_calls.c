#include <stdio.h>
#include <stdlib.h>

#include "engine/shard/principal.h"
#include "net/webhook/backoff.h"
#include "net/webhook/cloudevents.h"
#include "net/webhook/webhooks_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define NS_PER_S 1000000000ull
/* Those of the rule and of CloudEvents, webhook-id, -timestamp, -signature, Content-Type. */
#define HEADERS_MAX (RULE_HEADERS_MAX + CLOUDEVENTS_HEADERS_MAX + 4)

/* ---- rendering ---- */

/* A call and all that it sends, in one block. */
struct outgoing {
    struct call call;
    struct item *item;
    const char *headers[HEADERS_MAX];
    char bytes[];
};

/* While it is rendered: text in the scratch, and where what begins. */
struct rendering {
    struct webhooks *webhooks;
    const struct rule *rule;
    const struct item *item;
    struct bytes change;
    struct writer out;
    size_t url;
    size_t headers[HEADERS_MAX];
    size_t header_count;
    size_t header_value; /* of the header that is being written */
    size_t body;
    size_t body_size;
    bool has_body;
    enum status status; /* UNPROCESSABLE: never for this change; NO_MEMORY: not now */
    char reason[WEBHOOK_REASON_BYTES_MAX];
};

static bool rendering_fail(struct rendering *rendering, enum status status, const char *what,
                           const char *why)
{
    rendering->status = status == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_UNPROCESSABLE;
    snprintf(rendering->reason, sizeof(rendering->reason), "%s: %s", what,
             why[0] == '\0' ? status_text(status) : why);
    return false;
}

static bool template_put(struct rendering *rendering, const struct template *template,
                         const char *what)
{
    enum status status = template_render(template, rendering->change, &rendering->out);
    char why[TEMPLATE_PROBLEM_BYTES] = "";
    if (status == STATUS_OK) {
        return true;
    }
    if (status == STATUS_UNPROCESSABLE) {
        template_explain(template, rendering->change, why);
    }
    return rendering_fail(rendering, status, what, why);
}

static bool url_render(struct rendering *rendering)
{
    rendering->url = rendering->out.size;
    bool rendered = template_put(rendering, rendering->rule->url, "target.url");
    writer_u8(&rendering->out, 0);
    return rendered;
}

static void header_begin(struct rendering *rendering, struct bytes name)
{
    ASSERT(rendering->header_count < HEADERS_MAX);
    rendering->headers[rendering->header_count++] = rendering->out.size;
    writer_put(&rendering->out, name);
    writer_put(&rendering->out, BYTES_LITERAL(": "));
    rendering->header_value = rendering->out.size;
}

/* libcurl takes "Name: " as a wish to send no such header, and "Name;" as an empty one. */
static void header_end(struct rendering *rendering)
{
    struct writer *out = &rendering->out;
    if (!out->failed && out->size == rendering->header_value) {
        out->size--;
        out->data[out->size - 1] = ';';
    }
    writer_u8(out, 0);
}

static void header_put(struct rendering *rendering, struct bytes name, struct bytes value)
{
    header_begin(rendering, name);
    writer_put(&rendering->out, value);
    header_end(rendering);
}

static bool rule_headers_render(struct rendering *rendering)
{
    const struct rule *rule = rendering->rule;
    for (uint32_t index = 0; index < rule->header_count; index++) {
        header_begin(rendering, rule->headers[index].name);
        if (!template_put(rendering, rule->headers[index].value, "target.headers")) {
            return false;
        }
        header_end(rendering);
    }
    return true;
}

static bool cloudevents_render(struct rendering *rendering)
{
    struct cloudevents_header headers[CLOUDEVENTS_HEADERS_MAX];
    size_t count = 0;
    enum status status = cloudevents_headers(rendering->change, &rendering->out, headers, &count);
    if (status != STATUS_OK) {
        return rendering_fail(rendering, status, "CloudEvents headers", "");
    }
    for (size_t index = 0; index < count; index++) {
        header_put(rendering, bytes_of_text(headers[index].name), headers[index].value);
    }
    return true;
}

/* What a template says, or the change itself, or a user's detail. */
static bool data_render(struct rendering *rendering)
{
    const struct rule *rule = rendering->rule;
    if (rule->body != NULL) {
        return template_put(rendering, rule->body, "target.template");
    }
    struct bytes data = rule->format == RULE_FORMAT_FRESHET ? rendering->change
                                                            : cloudevents_data(rendering->change);
    enum status status = document_to_json(data, &rendering->out);
    return status == STATUS_OK || rendering_fail(rendering, status, "The body", "");
}

static bool body_render(struct rendering *rendering)
{
    const struct rule *rule = rendering->rule;
    struct writer *out = &rendering->out;
    if (rule->body == NULL && !rule_method_has_body(rule->method)) {
        return true;
    }
    rendering->has_body = true;
    rendering->body = out->size;
    if (!data_render(rendering)) {
        return false;
    }
    rendering->body_size = out->size - rendering->body;
    if (rule->format == RULE_FORMAT_CLOUDEVENTS) {
        struct bytes data = bytes_of(out->data + rendering->body, rendering->body_size);
        bool is_json = rule->body == NULL || template_is_json(rule->body);
        rendering->body = out->size;
        enum status status = cloudevents_structured(rendering->change, data, is_json, out);
        if (status != STATUS_OK) {
            return rendering_fail(rendering, status, "The CloudEvent", "");
        }
        rendering->body_size = out->size - rendering->body;
    }
    if (out->failed || rendering->body_size > WEBHOOK_BODY_BYTES_MAX) {
        return rendering_fail(rendering, STATUS_TOO_LARGE, "The body", "");
    }
    return true;
}

static void content_type_render(struct rendering *rendering)
{
    const struct rule *rule = rendering->rule;
    if (!rendering->has_body) {
        return;
    }
    if (rule->format == RULE_FORMAT_CLOUDEVENTS) {
        header_put(rendering, BYTES_LITERAL("Content-Type"),
                   BYTES_LITERAL(CLOUDEVENTS_CONTENT_TYPE));
    } else if (!rule->has_content_type) {
        bool is_json = rule->body == NULL || template_is_json(rule->body);
        header_put(rendering, BYTES_LITERAL("Content-Type"),
                   is_json ? BYTES_LITERAL("application/json")
                           : BYTES_LITERAL("text/plain; charset=utf-8"));
    }
}

static bool signature_render(struct rendering *rendering)
{
    const struct rule *rule = rendering->rule;
    struct bytes id = bytes_of(rendering->item->event_id, rendering->item->event_id_size);
    uint64_t timestamp_s = rendering->webhooks->wall_ms / 1000;
    header_put(rendering, BYTES_LITERAL("webhook-id"), id);
    header_begin(rendering, BYTES_LITERAL("webhook-timestamp"));
    writer_decimal(&rendering->out, timestamp_s);
    header_end(rendering);
    if (rule->secret_count == 0) {
        return true;
    }
    struct bytes body = bytes_of(rendering->out.data + rendering->body, rendering->body_size);
    header_begin(rendering, BYTES_LITERAL("webhook-signature"));
    enum status status =
        signature_write(rule->secrets, rule->secret_count, id, timestamp_s, body, &rendering->out);
    header_end(rendering);
    return status == STATUS_OK || rendering_fail(rendering, status, "The signature", "");
}

static struct outgoing *outgoing_make(const struct rendering *rendering)
{
    struct outgoing *outgoing = malloc(sizeof(*outgoing) + rendering->out.size);
    if (outgoing == NULL) {
        return NULL;
    }
    memset(outgoing, 0, sizeof(*outgoing));
    memcpy(outgoing->bytes, rendering->out.data, rendering->out.size);
    for (size_t index = 0; index < rendering->header_count; index++) {
        outgoing->headers[index] = outgoing->bytes + rendering->headers[index];
    }
    outgoing->call.method = rendering->rule->method;
    outgoing->call.timeout_ns = rendering->rule->timeout_ns;
    outgoing->call.url = outgoing->bytes + rendering->url;
    outgoing->call.headers = outgoing->headers;
    outgoing->call.header_count = rendering->header_count;
    outgoing->call.has_body = rendering->has_body;
    outgoing->call.body = bytes_of(outgoing->bytes + rendering->body, rendering->body_size);
    return outgoing;
}

/* NULL: rendering->status and reason say why. */
static struct outgoing *call_render(struct item *item, struct rendering *rendering)
{
    struct webhooks *webhooks = item->runner->webhooks;
    rendering->webhooks = webhooks;
    rendering->rule = item->runner->rule;
    rendering->item = item;
    rendering->change = bytes_of(item->change, item->change_size);
    rendering->out = writer_of(webhooks->scratch, CALL_SCRATCH_BYTES);
    bool rendered = url_render(rendering) && body_render(rendering) &&
                    rule_headers_render(rendering) && signature_render(rendering);
    if (rendered && rendering->rule->format == RULE_FORMAT_CLOUDEVENTS_BINARY) {
        rendered = cloudevents_render(rendering);
    }
    if (!rendered) {
        return NULL;
    }
    content_type_render(rendering);
    if (rendering->out.failed) {
        rendering_fail(rendering, STATUS_TOO_LARGE, "The call", "");
        return NULL;
    }
    struct outgoing *outgoing = outgoing_make(rendering);
    if (outgoing == NULL) {
        rendering_fail(rendering, STATUS_NO_MEMORY, "The call", "");
        return NULL;
    }
    outgoing->item = item;
    return outgoing;
}

/* ---- how a target is doing ---- */

static void slot_take(struct runner *runner)
{
    runner->slots++;
    runner->busy++;
    runner->webhooks->calls++;
    runner_touch(runner);
}

static void slot_give(struct runner *runner)
{
    ASSERT(runner->slots > 0);
    ASSERT(runner->busy > 0);
    ASSERT(runner->webhooks->calls > 0);
    runner->slots--;
    runner->busy--;
    runner->webhooks->calls--;
    runner_touch(runner);
}

static void target_answered(struct runner *runner)
{
    if (runner->is_down) {
        runner->is_down = false;
        items_hurry(runner, true);
    }
}

static void target_well(struct runner *runner)
{
    runner->pause_ns = 0;
    runner->pause_until_ns = 0;
    if (runner->slots_now < runner->rule->concurrency) {
        runner->slots_now++;
    }
}

/* It is left alone for a while, longer each time; calls that were under way together count once. */
static void target_slow(struct runner *runner, uint64_t asked_ns)
{
    uint64_t now_ns = runner->webhooks->now_ns;
    runner->counts.throttled++;
    if (now_ns >= runner->pause_until_ns) {
        uint64_t longest_ns = runner->rule->retry_first_ns;
        longest_ns = longest_ns < PAUSE_NS_MIN   ? PAUSE_NS_MIN
                     : longest_ns > PAUSE_NS_MAX ? PAUSE_NS_MAX
                                                 : longest_ns;
        uint64_t longer_ns = runner->pause_ns == 0 ? PAUSE_NS_MIN : 2 * runner->pause_ns;
        runner->pause_ns = longer_ns < longest_ns ? longer_ns : longest_ns;
        runner->pause_until_ns = now_ns + runner->pause_ns;
        runner->slots_now = runner->slots_now > 1 ? runner->slots_now / 2 : 1;
    }
    if (runner->pause_until_ns < now_ns + asked_ns) {
        runner->pause_until_ns = now_ns + asked_ns;
    }
}

/* ---- the end of a call ---- */

static void failure_note(struct item *item, const struct call *call)
{
    char reason[WEBHOOK_REASON_BYTES_MAX];
    static_assert(sizeof(reason) >= CALL_REASON_BYTES_MAX, "a reason is kept whole");
    if (call->result != CALL_ANSWERED) {
        snprintf(reason, sizeof(reason), "%s", call->reason);
    } else if (call->http_status >= 300 && call->http_status < 400) {
        snprintf(reason, sizeof(reason), "The target answered %u, and redirects are not followed",
                 call->http_status);
    } else {
        snprintf(reason, sizeof(reason), "The target answered %u", call->http_status);
    }
    item->http_status = call->http_status;
    item_fail(item, reason, bytes_of(call->answer, call->answer_size));
}

static void call_failed(struct item *item, const struct call *call, bool slow)
{
    struct webhooks *webhooks = item->runner->webhooks;
    uint64_t asked_ns = 0;
    bool asked =
        call->retry_after[0] != '\0' &&
        backoff_retry_after(bytes_of_text(call->retry_after), webhooks->wall_ms / 1000, &asked_ns);
    item->attempts++;
    failure_note(item, call);
    if (slow || (asked && call->http_status == 503)) {
        target_slow(item->runner, asked_ns);
    }
    uint64_t delay_ns = backoff_delay_ns(item->attempts, item->runner->rule->retry_first_ns,
                                         webhooks_random(webhooks));
    item_retry(item, delay_ns > asked_ns ? delay_ns : asked_ns);
}

static void call_answered(struct item *item, const struct call *call)
{
    struct runner *runner = item->runner;
    target_answered(runner);
    switch (backoff_outcome(call->http_status)) {
    case BACKOFF_DELIVERED:
        target_well(runner);
        item_delivered(item);
        return;
    case BACKOFF_RETRY:
        call_failed(item, call, false);
        return;
    case BACKOFF_THROTTLE:
        call_failed(item, call, true);
        return;
    case BACKOFF_DISABLE:
        runner_disable(runner);
        item_shelve(item, 0);
        return;
    }
    UNREACHABLE();
}

static void call_end(struct item *item, const struct call *call)
{
    switch (call->result) {
    case CALL_ANSWERED:
        call_answered(item, call);
        return;
    case CALL_UNREACHABLE:
        item->runner->is_down = true;
        call_failed(item, call, true);
        return;
    case CALL_TIMED_OUT:
    case CALL_BROKEN:
        call_failed(item, call, false);
        return;
    case CALL_FORBIDDEN:
        item->attempts++;
        failure_note(item, call);
        item_give_up(item);
        return;
    case CALL_CUT:
        item_shelve(item, 0);
        return;
    }
    UNREACHABLE();
}

static void call_done(struct call *call)
{
    struct outgoing *outgoing = CONTAINER_OF(call, struct outgoing, call);
    struct item *item = outgoing->item;
    ASSERT(item->stage == ITEM_CALLING);
    slot_give(item->runner);
    item->stage = ITEM_IDLE;
    if (!item->runner->is_removing) {
        call_end(item, call);
    }
    free(outgoing);
}

/* ---- its beginning ---- */

static void item_call(struct item *item)
{
    struct runner *runner = item->runner;
    struct webhooks *webhooks = runner->webhooks;
    struct rendering rendering = {.status = STATUS_OK};
    struct outgoing *outgoing = call_render(item, &rendering);
    if (item->since_ms == 0) {
        item->since_ms = webhooks->wall_ms;
    }
    if (outgoing == NULL) {
        slot_give(runner);
        item->stage = ITEM_IDLE;
        if (rendering.status == STATUS_NO_MEMORY) {
            item_shelve(item, AGAIN_NS);
            return;
        }
        item->http_status = 0;
        item_fail(item, rendering.reason, BYTES_EMPTY);
        item_give_up(item);
        return;
    }
    runner->counts.attempts++;
    runner->counts.retries += item->attempts > 0;
    item->tried_ms = webhooks->wall_ms;
    item->stage = ITEM_CALLING;
    outgoing->call.done = call_done;
    calls_start(webhooks->options.calls, &outgoing->call);
}

/* A parked change that is read back from its record. */
struct reading {
    struct request request;
    struct item *item;
    size_t id_size;
    uint8_t id[PARKED_ID_BYTES_MAX];
};

static enum status change_take(struct item *item, struct bytes json)
{
    uint8_t *memory;
    struct bytes document;
    struct bytes change;
    enum status status = json_rendered_read(json, &memory, &document);
    if (status == STATUS_OK && !document_find(document, BYTES_LITERAL("change"), &change)) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        item->change = malloc(change.size);
        status = item->change == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    if (status == STATUS_OK) {
        memcpy(item->change, change.data, change.size);
        item->change_size = change.size;
        item->runner->window_bytes += change.size;
        item->runner->webhooks->windows_bytes += change.size;
    }
    free(memory);
    return status;
}

static void reading_done(struct request *request)
{
    struct reading *reading = CONTAINER_OF(request, struct reading, request);
    struct item *item = reading->item;
    struct runner *runner = item->runner;
    struct webhooks *webhooks = runner->webhooks;
    ASSERT(item->stage == ITEM_READING);
    webhooks->requests--;
    enum status status = request->status;
    if (status == STATUS_OK && !runner->is_removing) {
        status = change_take(item, request->answer);
    }
    request_release(request);
    free(reading);
    if (status == STATUS_OK && !runner->is_removing && !webhooks->draining &&
        runner->status == WEBHOOKS_RULE_ACTIVE) {
        item_call(item);
        return;
    }
    slot_give(runner);
    item->stage = ITEM_IDLE;
    if (runner->is_removing) {
        return;
    }
    if (status != STATUS_OK) {
        webhooks_say(webhooks, SAY_WARNING, "a parked change of rule %.*s cannot be read: %s",
                     (int)runner->name_size, (const char *)runner->name, status_text(status));
    }
    item_shelve(item, AGAIN_NS);
}

static void item_read(struct item *item)
{
    struct webhooks *webhooks = item->runner->webhooks;
    struct reading *reading = calloc(1, sizeof(*reading));
    if (reading == NULL) {
        slot_give(item->runner);
        item_shelve(item, AGAIN_NS);
        return;
    }
    static const struct principal reader = {.name = {(const uint8_t *)"freshet", 7},
                                            .rights = PRINCIPAL_READ};
    struct writer id = writer_of(reading->id, sizeof(reading->id));
    item_id_write(item, &id);
    ASSERT(!id.failed);
    item->stage = ITEM_READING;
    reading->item = item;
    reading->id_size = id.size;
    struct request *request = &reading->request;
    request->kind = REQUEST_GET;
    request->collection = &webhooks->options.internal[COLLECTION_PARKED];
    request->principal = &reader;
    request->id = bytes_of(reading->id, reading->id_size);
    request->hash = engine_hash(request->collection, request->id);
    request->done = reading_done;
    webhooks->requests++;
    engine_submit(webhooks->options.engine_thread, request);
}

static void item_start(struct item *item)
{
    struct runner *runner = item->runner;
    ASSERT(item->stage == ITEM_READY);
    item_unready(item);
    slot_take(runner);
    if (runner->rule->rate_per_second > 0) {
        uint64_t now_ns = runner->webhooks->now_ns;
        uint64_t from_ns = runner->rate_ns > now_ns ? runner->rate_ns : now_ns;
        runner->rate_ns = from_ns + NS_PER_S / runner->rule->rate_per_second;
    }
    item->stage = ITEM_IDLE;
    if (item->change == NULL) {
        item_read(item);
    } else {
        item_call(item);
    }
}

/* ---- who may start ---- */

/* While its dead letters come back it starts no call, so that of one record the oldest goes
 * first. */
static bool is_redriven(const struct runner *runner)
{
    const struct webhooks *webhooks = runner->webhooks;
    return webhooks->redrive != NULL && webhooks->redrive_walk.context == runner;
}

static bool runner_runs(const struct runner *runner)
{
    return runner->rule != NULL && runner->status == WEBHOOKS_RULE_ACTIVE && !runner->is_removing &&
           !is_redriven(runner) && !runner->webhooks->draining;
}

/* When it may start a call, if a slot is free: 0: now. */
static uint64_t runner_held_until(const struct runner *runner)
{
    uint64_t now_ns = runner->webhooks->now_ns;
    uint64_t until_ns = runner->pause_until_ns;
    if (runner->rule->rate_per_second > 0 && runner->rate_ns > until_ns + RATE_AHEAD_NS) {
        until_ns = runner->rate_ns - RATE_AHEAD_NS;
    }
    return until_ns <= now_ns ? 0 : until_ns;
}

static bool runner_start_one(struct runner *runner)
{
    if (!runner_runs(runner) || runner->slots >= runner->slots_now ||
        runner_held_until(runner) != 0) {
        return false;
    }
    item_start(CONTAINER_OF(list_first(&runner->ready), struct item, link_ready));
    return true;
}

bool calls_dispatch(struct webhooks *webhooks)
{
    bool any = false;
    bool more = true;
    while (more) {
        more = false;
        struct link *link = webhooks->active.next;
        while (link != &webhooks->active) {
            struct runner *runner = CONTAINER_OF(link, struct runner, link_active);
            link = link->next;
            if (list_is_empty(&runner->ready)) {
                link_remove(&runner->link_active);
            } else if (webhooks->calls < WEBHOOK_CALLS_MAX && runner_start_one(runner)) {
                more = true;
            }
        }
        any = any || more;
    }
    return any;
}

uint64_t calls_deadline(const struct webhooks *webhooks)
{
    uint64_t deadline_ns = UINT64_MAX;
    if (webhooks->calls >= WEBHOOK_CALLS_MAX) {
        return deadline_ns; /* the end of one comes first */
    }
    for (const struct link *link = webhooks->active.next; link != &webhooks->active;
         link = link->next) {
        const struct runner *runner = CONTAINER_OF(link, struct runner, link_active);
        if (runner_runs(runner) && runner->slots < runner->slots_now) {
            uint64_t until_ns = runner_held_until(runner);
            deadline_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
        }
    }
    return deadline_ns;
}
