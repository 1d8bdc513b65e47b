/* helper.h: patterns and events from JSON, for the tests of engine/filter. */
#ifndef FRESHET_TESTS_UNIT_ENGINE_FILTER_HELPER_H
#define FRESHET_TESTS_UNIT_ENGINE_FILTER_HELPER_H

#include "engine/filter/pattern.h"
#include "tests/unit/protocol/document/helper.h"

static inline struct pattern *pattern_of(const char *json)
{
    struct pattern *pattern;
    struct pattern_problem problem;
    enum status status = pattern_parse(document_of(json), &pattern, &problem);
    cr_assert_eq(status, STATUS_OK, "%s: %s", json, problem.text);
    return pattern;
}

static inline bool matches(const char *pattern_json, const char *event_json)
{
    struct pattern *pattern = pattern_of(pattern_json);
    bool result = pattern_matches(pattern, document_of(event_json));
    pattern_destroy(&pattern);
    return result;
}

#define YES(pattern, event) cr_expect(matches(pattern, event), "%s should match %s", pattern, event)
#define NO(pattern, event)                                                                         \
    cr_expect(!matches(pattern, event), "%s should not match %s", pattern, event)

#endif
