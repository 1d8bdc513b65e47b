/*
 * fuzz_pattern.c: a pattern and an event as two JSON texts with a NUL between them. A pattern is
 * taken or refused with words; one that is taken says of the event the same alone, in a matcher
 * among others, and by the naive evaluator, and it explains itself exactly when it does not match.
 */
#include <stdint.h>
#include <stdlib.h>

#include "engine/filter/matcher.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "tests/support/naive_pattern.h"

/* Longer texts find nothing more, and take the naive evaluator longer. */
#define TEXT_BYTES_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct writer document_of(struct bytes json)
{
    uint8_t *memory = malloc(3 * json.size + 16);
    ASSERT(memory != NULL);
    struct writer out = writer_of(memory, 3 * json.size + 16);
    if (json_to_document(json, &out, NULL) != STATUS_OK) {
        out.size = 0;
    }
    return out;
}

/* Its neighbours in the matcher stand on fields that inputs are likely to have. */
static struct pattern *neighbour(void)
{
    struct writer document =
        document_of(BYTES_LITERAL("{\"a\":[{\"exists\":false}],\"b\":[{\"anything-but\":\"x\"}]}"));
    struct pattern *pattern;
    struct pattern_problem problem;
    enum status status = pattern_parse(writer_bytes(&document), &pattern, &problem);
    ASSERT(status == STATUS_OK);
    free(document.data);
    return pattern;
}

static bool matched_among_others(const struct pattern *pattern, struct bytes event)
{
    struct matcher *matcher;
    struct pattern *other = neighbour();
    uint32_t ids[3];
    uint32_t found = 0;
    void *const *users;
    enum status status = matcher_create(&matcher);
    ASSERT(status == STATUS_OK);
    status = matcher_add(matcher, other, &ids[0], &ids[0]);
    ASSERT(status == STATUS_OK);
    status = matcher_add(matcher, pattern, &ids[1], &ids[1]);
    ASSERT(status == STATUS_OK);
    status = matcher_add(matcher, other, &ids[2], &ids[2]);
    ASSERT(status == STATUS_OK);
    matcher_remove(matcher, ids[0]);
    size_t count = matcher_match(matcher, event, &users);
    for (size_t index = 0; index < count; index++) {
        ASSERT(users[index] != &ids[0]);
        found += users[index] == &ids[1];
    }
    ASSERT(found <= 1);
    matcher_remove(matcher, ids[1]);
    count = matcher_match(matcher, event, &users);
    ASSERT(count == 0 || (count == 1 && users[0] == &ids[2]));
    matcher_destroy(&matcher);
    pattern_destroy(&other);
    return found == 1;
}

static void check_event(const struct pattern *pattern, struct bytes document, struct bytes event)
{
    uint8_t text[PATTERN_JSON_BYTES_MAX];
    struct writer path = writer_of(text, sizeof(text));
    bool matches = pattern_matches(pattern, event);
    ASSERT(matched_among_others(pattern, event) == matches);
    bool explained = pattern_explain(pattern, event, &path);
    ASSERT(explained == !matches);
    enum naive_verdict verdict = naive_pattern_matches(document, event);
    ASSERT(verdict == NAIVE_UNJUDGED || (verdict == NAIVE_YES) == matches);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size == 0 ? NULL : memchr(data, 0, size);
    if (size > TEXT_BYTES_MAX) {
        return 0;
    }
    size_t pattern_size = nul == NULL ? size : (size_t)(nul - data);
    struct writer document = document_of(bytes_of(data, pattern_size));
    struct writer event = document_of(bytes_slice(bytes_of(data, size), pattern_size + 1, size));
    struct pattern *pattern = NULL;
    struct pattern_problem problem = {.text = ""};
    if (document.size > 0) {
        enum status status = pattern_parse(writer_bytes(&document), &pattern, &problem);
        ASSERT((status == STATUS_OK) == (pattern != NULL));
        ASSERT(status == STATUS_OK || problem.text[0] != 0);
    }
    if (pattern != NULL) {
        ASSERT(pattern_bytes(pattern) > 0);
        (void)pattern_mentions(pattern, BYTES_LITERAL("oldImage"));
        if (document_is_object(writer_bytes(&event))) {
            check_event(pattern, writer_bytes(&document), writer_bytes(&event));
        }
    }
    pattern_destroy(&pattern);
    free(document.data);
    free(event.data);
    return 0;
}
