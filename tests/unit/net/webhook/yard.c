#include "tests/unit/net/webhook/yard.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "tests/unit/net/webhook/webhook_documents.h"

#define SETTLE_STEPS_MAX 20000
#define CLIENT_THREAD    1

static struct yard *yard_of(struct calls *calls)
{
    return CONTAINER_OF(calls, struct yard, calls);
}

/* ---- targets ---- */

static char *headers_keep(const struct call *call)
{
    size_t size = 1;
    for (size_t index = 0; index < call->header_count; index++) {
        size += strlen(call->headers[index]) + 1;
    }
    char *memory = calloc(1, size);
    cr_assert_not_null(memory);
    struct writer text = writer_of(memory, size);
    for (size_t index = 0; index < call->header_count; index++) {
        writer_text(&text, call->headers[index]);
        writer_u8(&text, '\n');
    }
    cr_assert(!text.failed);
    return memory;
}

static void fake_start(struct calls *calls, struct call *call)
{
    struct yard *yard = yard_of(calls);
    cr_assert_lt(yard->count, YARD_CALLS_MAX);
    struct yard_call *started = &yard->started[yard->count++];
    started->call = call;
    started->now_ns = yard->world.now_ns;
    started->url = strdup(call->url);
    started->headers = headers_keep(call);
    started->body = call->has_body ? strndup((const char *)call->body.data, call->body.size) : NULL;
    call->answer_size = 0;
    call->retry_after[0] = '\0';
    call->reason[0] = '\0';
    if (yard->automatic != 0) {
        yard_answer(yard, yard->count - 1, yard->automatic, NULL);
    }
}

static bool fake_step(struct calls *calls)
{
    struct yard *yard = yard_of(calls);
    uint32_t count = yard->ended_count;
    for (uint32_t at = 0; at < count; at++) {
        struct yard_call *ended = &yard->started[yard->ended[at]];
        struct call *call = ended->call;
        ended->call = NULL;
        call->done(call);
    }
    /* What was answered meanwhile comes in the next step. */
    yard->ended_count -= count;
    memmove(yard->ended, yard->ended + count, yard->ended_count * sizeof(yard->ended[0]));
    return count > 0;
}

static void fake_cut(struct calls *calls)
{
    struct yard *yard = yard_of(calls);
    yard->ended_count = 0;
    for (uint32_t index = 0; index < yard->count; index++) {
        struct call *call = yard->started[index].call;
        if (call != NULL) {
            yard->started[index].call = NULL;
            call->result = CALL_CUT;
            call->done(call);
        }
    }
}

static void fake_wait(struct calls *calls, uint64_t timeout_ns)
{
    (void)calls;
    (void)timeout_ns;
}

static void fake_nothing(struct calls *calls)
{
    (void)calls;
}

static const struct calls_vtable fake_vtable = {
    .start = fake_start,
    .step = fake_step,
    .cut = fake_cut,
    .wait = fake_wait,
    .wake = fake_nothing,
    .destroy = fake_nothing,
};

void yard_answer(struct yard *yard, uint32_t index, uint32_t http_status, const char *retry_after)
{
    struct call *call = yard->started[index].call;
    cr_assert_not_null(call, "call %u has ended", index);
    call->result = CALL_ANSWERED;
    call->http_status = http_status;
    memcpy(call->answer, "words", 5);
    call->answer_size = 5;
    snprintf(call->retry_after, sizeof(call->retry_after), "%s",
             retry_after == NULL ? "" : retry_after);
    yard->ended[yard->ended_count++] = index;
}

void yard_fail(struct yard *yard, uint32_t index, enum call_result result)
{
    struct call *call = yard->started[index].call;
    cr_assert_not_null(call, "call %u has ended", index);
    call->result = result;
    call->http_status = 0;
    snprintf(call->reason, sizeof(call->reason), "it failed");
    yard->ended[yard->ended_count++] = index;
}

uint32_t yard_open(struct yard *yard, const char *url)
{
    for (uint32_t index = 0; index < yard->count; index++) {
        if (yard->started[index].call != NULL && strcmp(yard->started[index].url, url) == 0) {
            return index;
        }
    }
    cr_assert_fail("no call to %s is open", url);
    return 0;
}

uint32_t yard_open_count(const struct yard *yard)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < yard->count; index++) {
        count += yard->started[index].call != NULL;
    }
    return count;
}

bool yard_has_header(const struct yard_call *call, const char *line)
{
    const char *at = strstr(call->headers, line);
    return at != NULL && (at == call->headers || at[-1] == '\n');
}

/* ---- life ---- */

static void say(void *context, int level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
}

static void worker_begin(struct yard *yard)
{
    const struct stream_options stream = {
        .engine = yard->world.engine,
        .engine_thread = engine_thread_at(yard->world.engine, CLIENT_THREAD),
        .executor = &yard->world.executor,
        .subscriptions_max = 100,
    };
    cr_assert_eq(stream_create(&stream, &yard->stream), STATUS_OK);
    const struct webhooks_options webhooks = {
        .engine = yard->world.engine,
        .engine_thread = stream.engine_thread,
        .stream = yard->stream,
        .internal = &yard->world.collections[2],
        .collections = yard->world.collections,
        .collection_count = 2,
        .calls = &yard->calls,
        .seed = 1,
        .log = say,
    };
    cr_assert_eq(webhooks_create(&webhooks, &yard->webhooks), STATUS_OK);
    yard_settle(yard);
}

static void worker_end(struct yard *yard)
{
    webhooks_destroy(&yard->webhooks);
    stream_destroy(&yard->stream);
}

void yard_begin(struct yard *yard)
{
    const struct world_options options = {.seed = 1, .client_count = 1};
    memset(yard, 0, sizeof(*yard));
    yard->calls.vtable = &fake_vtable;
    world_create(&yard->world, &options);
    worker_begin(yard);
}

static void drain(struct yard *yard)
{
    webhooks_drain(yard->webhooks);
    for (int i = 0; i < SETTLE_STEPS_MAX && !webhooks_idle(yard->webhooks); i++) {
        yard->world.now_ns += 10 * YARD_MS;
        yard_step(yard);
    }
    cr_assert(webhooks_idle(yard->webhooks), "the worker does not drain");
}

void yard_end(struct yard *yard)
{
    drain(yard);
    worker_end(yard);
    request_release(&yard->request.request);
    world_destroy(&yard->world);
    for (uint32_t index = 0; index < yard->count; index++) {
        free(yard->started[index].url);
        free(yard->started[index].headers);
        free(yard->started[index].body);
    }
}

void yard_restart(struct yard *yard, bool drained)
{
    if (drained) {
        drain(yard);
    }
    /* Of a crash only what the engine has not taken could be missing: what is under way ends. */
    world_settle(&yard->world);
    worker_end(yard);
    world_restart_engine(&yard->world);
    worker_begin(yard);
}

void yard_step(struct yard *yard)
{
    world_step(&yard->world);
    uint64_t stream_ns = stream_step(yard->stream, yard->world.now_ns, yard->world.wall_ms);
    uint64_t due_ns = webhooks_step(yard->webhooks, yard->world.now_ns, yard->world.wall_ms);
    yard->due_ns = due_ns < stream_ns ? due_ns : stream_ns;
}

void yard_settle(struct yard *yard)
{
    int quiet = 0;
    for (int i = 0; quiet < 8 && i < SETTLE_STEPS_MAX; i++) {
        yard_step(yard);
        const struct engine_thread *thread = engine_thread_at(yard->world.engine, CLIENT_THREAD);
        bool is_quiet = yard->due_ns > yard->world.now_ns && yard->ended_count == 0 &&
                        engine_thread_pending(thread) == 0;
        quiet = is_quiet ? quiet + 1 : 0;
    }
    cr_assert_eq(quiet, 8, "the worker never comes to rest");
}

void yard_wait_ms(struct yard *yard, uint64_t ms)
{
    yard_settle(yard); /* what was answered just now is timed from here */
    uint64_t end_ns = yard->world.now_ns + ms * YARD_MS;
    while (yard->world.now_ns < end_ns) {
        uint64_t next_ns = yard->due_ns < end_ns ? yard->due_ns : end_ns;
        if (next_ns > yard->world.now_ns) {
            yard->world.now_ns = next_ns;
        }
        yard_settle(yard);
    }
}

/* ---- rules and records ---- */

static struct collection *internal(struct yard *yard, enum collection_internal which)
{
    return &yard->world.collections[2 + which];
}

void yard_rule(struct yard *yard, const char *name, const char *json)
{
    char record[8192];
    snprintf(record, sizeof(record), "{\"rule\":%s,\"put\":%llu}", json,
             (unsigned long long)yard->world.now_ns);
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_PUT,
                           internal(yard, COLLECTION_RULES), name, record),
                 STATUS_OK);
    yard_settle(yard);
}

void yard_rule_delete(struct yard *yard, const char *name)
{
    cr_assert_eq(world_run(&yard->world, &yard->request, REQUEST_DELETE,
                           internal(yard, COLLECTION_RULES), name, NULL),
                 STATUS_OK);
    yard_settle(yard);
}

void yard_put(struct yard *yard, const char *id, const char *json)
{
    cr_assert_eq(
        world_run(&yard->world, &yard->request, REQUEST_PUT, world_pets(&yard->world), id, json),
        STATUS_OK);
    yard_settle(yard);
}

struct webhooks_rule yard_state(struct yard *yard, const char *name)
{
    struct webhooks_rule rule;
    cr_assert(webhooks_rule_find(yard->webhooks, bytes_of_text(name), &rule), "no rule %s", name);
    return rule;
}

const char *yard_page(struct yard *yard, enum collection_internal which)
{
    yard->request.request.list_limit = LIST_RECORDS_MAX;
    cr_assert_eq(
        world_run(&yard->world, &yard->request, REQUEST_LIST, internal(yard, which), NULL, NULL),
        STATUS_OK);
    return text_of(yard->request.request.answer);
}

uint32_t yard_records(struct yard *yard, enum collection_internal which)
{
    return document_count(document_of(yard_page(yard, which)));
}

struct redriving {
    struct webhooks_redrive redrive;
    bool done;
};

static void redrive_done(struct webhooks_redrive *redrive)
{
    CONTAINER_OF(redrive, struct redriving, redrive)->done = true;
}

enum status yard_redrive(struct yard *yard, const char *rule, const char *event_id,
                         uint64_t *count_out)
{
    struct redriving redriving = {
        .redrive = {.reply_to = engine_thread_mailbox(engine_thread_at(yard->world.engine, 0)),
                    .done = redrive_done,
                    .rule = bytes_of_text(rule),
                    .event_id = event_id == NULL ? BYTES_EMPTY : bytes_of_text(event_id)},
    };
    webhooks_redrive_submit(yard->webhooks, &redriving.redrive);
    yard_settle(yard);
    cr_assert(redriving.done);
    *count_out = redriving.redrive.count;
    return redriving.redrive.status;
}
