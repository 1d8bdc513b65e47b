#include "net/server/rules_put.h"

#include <stdlib.h>

#include "engine/shard/principal.h"
#include "net/webhook/webhooks.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* A rule's record beyond the rule. */
#define RECORD_BYTES_MAX 64

static const struct principal file_principal = {
    .name = {(const uint8_t *)"freshet", 7},
    .rights = PRINCIPAL_READ | PRINCIPAL_WRITE,
};

enum rules_put_phase { PHASE_NEXT, PHASE_READING, PHASE_READ, PHASE_WRITING };

struct rules_put {
    struct rules_put_options options;
    uint32_t index; /* of the rule that is looked at */
    enum rules_put_phase phase;
    bool differs;
    struct request request;
    struct writer record; /* what is being put; data is NULL when nothing is */
};

static void rule_log(const struct rules_put *rules, enum log_level level, const char *what,
                     const char *why)
{
    struct bytes rule = rules->options.rules[rules->index].name;
    char name[RULE_NAME_BYTES_MAX + 1];
    ASSERT(rule.size <= RULE_NAME_BYTES_MAX);
    memcpy(name, rule.data, rule.size);
    name[rule.size] = '\0';
    if (rules->options.log != NULL) {
        log_say(rules->options.log, level, what, LOG_TEXT("rule", name), LOG_TEXT("reason", why));
    }
}

/* ---- reading ---- */

/* Whether a stored record, as JSON, has this rule. What cannot be compared for want of memory
 * counts as another: putting it again does no harm. */
static bool is_stored(struct bytes record_json, struct bytes rule)
{
    uint8_t *memory;
    struct bytes record;
    struct bytes stored;
    bool same = json_rendered_read(record_json, &memory, &record) == STATUS_OK &&
                webhooks_record_rule(record, &stored) && document_equal(stored, rule);
    free(memory);
    return same;
}

static void read_done(struct request *request)
{
    struct rules_put *rules = CONTAINER_OF(request, struct rules_put, request);
    ASSERT(rules->phase == PHASE_READING);
    rules->differs = request->status != STATUS_OK ||
                     !is_stored(request->answer, rules->options.rules[rules->index].document);
    request_release(request);
    rules->phase = PHASE_READ;
}

static void submit(struct rules_put *rules, enum request_kind kind, struct bytes document,
                   void (*done)(struct request *request))
{
    struct request *request = &rules->request;
    memset(request, 0, sizeof(*request));
    request->kind = kind;
    request->collection = &rules->options.internal[COLLECTION_RULES];
    request->principal = &file_principal;
    request->id = rules->options.rules[rules->index].name;
    request->hash = engine_hash(request->collection, request->id);
    request->document = document;
    request->done = done;
    engine_submit(rules->options.engine_thread, request);
}

/* ---- writing ---- */

static void rule_end(struct rules_put *rules)
{
    free(rules->record.data);
    rules->record = (struct writer){.data = NULL};
    rules->index++;
    rules->phase = PHASE_NEXT;
}

static void write_done(struct request *request)
{
    struct rules_put *rules = CONTAINER_OF(request, struct rules_put, request);
    ASSERT(rules->phase == PHASE_WRITING);
    if (request->status != STATUS_OK) {
        rule_log(rules, LOG_ERROR, "a rule of the configuration file could not be put",
                 status_text(request->status));
    } else {
        rule_log(rules, LOG_INFO, "a rule of the configuration file was put",
                 request->created ? "it was not there" : "it was another");
    }
    request_release(request);
    rule_end(rules);
}

static void rule_write(struct rules_put *rules, uint64_t wall_ms)
{
    struct bytes rule = rules->options.rules[rules->index].document;
    uint8_t *memory = malloc(rule.size + RECORD_BYTES_MAX);
    if (memory == NULL) {
        rule_log(rules, LOG_ERROR, "a rule of the configuration file could not be put",
                 status_text(STATUS_NO_MEMORY));
        rule_end(rules);
        return;
    }
    rules->record = writer_of(memory, rule.size + RECORD_BYTES_MAX);
    webhooks_record_write(rule, wall_ms, &rules->record);
    ASSERT(!rules->record.failed);
    rules->phase = PHASE_WRITING;
    submit(rules, REQUEST_PUT, writer_bytes(&rules->record), write_done);
}

/* ---- public ---- */

enum status rules_put_create(const struct rules_put_options *options, struct rules_put **out)
{
    ASSERT(options->engine_thread != NULL);
    ASSERT(options->internal != NULL);
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return STATUS_NO_MEMORY;
    }
    (*out)->options = *options;
    return STATUS_OK;
}

bool rules_put_step(struct rules_put *rules, uint64_t wall_ms)
{
    ASSERT(rules->index <= rules->options.rule_count);
    ASSERT((rules->record.data != NULL) == (rules->phase == PHASE_WRITING));
    if (rules->phase == PHASE_READ) {
        if (rules->differs) {
            rule_write(rules, wall_ms);
        } else {
            rule_end(rules);
        }
    }
    if (rules->phase == PHASE_NEXT && rules->index < rules->options.rule_count) {
        rules->phase = PHASE_READING;
        submit(rules, REQUEST_GET, BYTES_EMPTY, read_done);
    }
    return rules->index == rules->options.rule_count;
}

void rules_put_destroy(struct rules_put **rules)
{
    if (*rules != NULL && (*rules)->phase != PHASE_READING && (*rules)->phase != PHASE_WRITING) {
        free(*rules);
    }
    *rules = NULL;
}
