/*
 * fuzz_rule.c: any JSON as a rule. What is refused says why; what is accepted is within its limits,
 * and its parts render for a change.
 */
#include <stdint.h>
#include <stdlib.h>

#include "net/webhook/rule.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/json.h"

#define INPUT_BYTES_MAX  (64u << 10)
#define OUTPUT_BYTES_MAX (1u << 20)

static const char change[] = "{\"eventID\":\"1f3a9c2e-1-123\",\"eventName\":\"MODIFY\","
                             "\"collection\":\"pets\",\"keys\":{\"id\":\"a/\\\"b\\n\"},"
                             "\"sequence\":123,\"newImage\":{\"id\":\"a/\\\"b\\n\",\"n\":1.50}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct writer new_writer(size_t capacity)
{
    void *memory = malloc(capacity);
    ASSERT(memory != NULL);
    return writer_of(memory, capacity);
}

static void check_template(const struct template *template, struct bytes event, struct writer *out)
{
    out->size = 0;
    out->failed = false;
    enum status status = template_render(template, event, out);
    ASSERT(status == STATUS_OK || status == STATUS_TOO_LARGE || status == STATUS_UNPROCESSABLE);
    ASSERT(out->failed || utf8_is_valid(writer_bytes(out)));
}

static void check_rule(const struct rule *rule)
{
    struct writer event = new_writer(3 * sizeof(change));
    struct writer out = new_writer(OUTPUT_BYTES_MAX);
    enum status status = json_to_document(BYTES_LITERAL(change), &event, NULL);
    ASSERT(status == STATUS_OK);
    ASSERT(rule->url != NULL);
    ASSERT(rule->header_count <= RULE_HEADERS_MAX);
    ASSERT(rule->secret_count <= RULE_SECRETS_MAX);
    ASSERT(rule->concurrency >= 1 && rule->concurrency <= RULE_CONCURRENCY_MAX);
    ASSERT(rule->timeout_ns >= RULE_TIMEOUT_NS_MIN && rule->timeout_ns <= RULE_TIMEOUT_NS_MAX);
    ASSERT(rule->attempts_max >= 1 && rule->attempts_max <= RULE_MAX_ATTEMPTS_MAX);
    ASSERT(rule->retry_first_ns >= RULE_FIRST_NS_MIN && rule->retry_first_ns <= RULE_FIRST_NS_MAX);
    check_template(rule->url, writer_bytes(&event), &out);
    for (uint32_t i = 0; i < rule->header_count; i++) {
        check_template(rule->headers[i].value, writer_bytes(&event), &out);
    }
    if (rule->body != NULL) {
        check_template(rule->body, writer_bytes(&event), &out);
    }
    free(event.data);
    free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct writer document = new_writer(3 * size + 16);
    if (json_to_document(bytes_of(data, size), &document, NULL) == STATUS_OK) {
        struct rule *rule;
        struct rule_problem problem;
        enum status status =
            rule_parse(BYTES_LITERAL("fuzz"), writer_bytes(&document), &rule, &problem);
        if (status == STATUS_OK) {
            check_rule(rule);
            rule_destroy(&rule);
        } else {
            ASSERT(status == STATUS_INVALID || status == STATUS_UNPROCESSABLE);
            ASSERT(rule == NULL && problem.text[0] != '\0');
            ASSERT(utf8_is_valid(bytes_of_text(problem.text)));
        }
    }
    free(document.data);
    return 0;
}
