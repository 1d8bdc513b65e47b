/*
 * The judge must see what is wrong: hand-made histories of one key, each with the verdict that it
 * deserves. A plain program, so that it runs wherever the checker runs.
 */
#include <stdlib.h>

#include "tests/coherence/history.h"

struct judge_case {
    const char *name;
    struct history_write writes[3];
    struct history_read reads[3];
    uint32_t write_count;
    uint32_t read_count;
    enum finding expected; /* FINDING_COUNT: nothing is wrong */
};

#define PUT(from, to, at, says, is_new)                                                            \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .sequence = (at), .value = (says), .base = (says),     \
        .category = 1, .kind = WRITE_PUT, .created = (is_new)                                      \
    }
#define DELETE(from, to, at)                                                                       \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .sequence = (at), .kind = WRITE_DELETE                 \
    }
#define SAW(from, to, at, says)                                                                    \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .sequence = (at), .value = (says), .base = (says),     \
        .category = 1, .sight = SEES_RECORD, .source = SOURCE_GET                                  \
    }
#define SAW_TAG(from, to, at)                                                                      \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .sequence = (at), .sight = SEES_TAG,                   \
        .source = SOURCE_HEAD                                                                      \
    }
#define SAW_NOTHING(from, to)                                                                      \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .sight = SEES_ABSENT, .source = SOURCE_GET             \
    }
#define SAW_OUTSIDE(from, to, page)                                                                \
    {                                                                                              \
        .start_ns = (from), .end_ns = (to), .page_category = (page), .sight = SEES_OUTSIDE,        \
        .source = SOURCE_INDEX                                                                     \
    }

static const struct judge_case cases[] = {
    {"a read after a write shows it",
     {PUT(10, 20, 5, 1, true)},
     {SAW(21, 30, 5, 1)},
     1,
     1,
     FINDING_COUNT},
    {"a read beside a write shows the old state or the new",
     {PUT(10, 20, 5, 1, true), PUT(30, 40, 6, 2, false)},
     {SAW(35, 45, 5, 1), SAW(31, 36, 6, 2)},
     2,
     1,
     FINDING_COUNT},
    {"a read after a write's answer shows the old state",
     {PUT(10, 20, 5, 1, true), PUT(30, 40, 6, 2, false)},
     {SAW(41, 50, 5, 1)},
     2,
     1,
     FINDING_STALE},
    {"a read shows the old state after another showed the new one, the write unanswered",
     {PUT(10, 20, 5, 1, true), PUT(30, 90, 6, 2, false)},
     {SAW(31, 36, 6, 2), SAW(40, 50, 5, 1)},
     2,
     2,
     FINDING_STALE},
    {"an ETag of an old state",
     {PUT(10, 20, 5, 1, true), PUT(30, 40, 6, 2, false)},
     {SAW_TAG(41, 50, 5)},
     2,
     1,
     FINDING_STALE},
    {"absent before the first write's answer",
     {PUT(10, 20, 5, 1, true)},
     {SAW_NOTHING(15, 30)},
     1,
     1,
     FINDING_COUNT},
    {"absent after the first write's answer",
     {PUT(10, 20, 5, 1, true)},
     {SAW_NOTHING(21, 30)},
     1,
     1,
     FINDING_STALE},
    {"absent after a read showed the record, its write unanswered",
     {PUT(10, 90, 5, 1, true)},
     {SAW(15, 20, 5, 1), SAW_NOTHING(21, 30)},
     1,
     2,
     FINDING_STALE},
    {"absent between delete and creation",
     {PUT(10, 20, 5, 1, true), DELETE(30, 40, 6), PUT(50, 60, 7, 2, true)},
     {SAW_NOTHING(41, 49)},
     3,
     1,
     FINDING_COUNT},
    {"absent after the creation that followed a delete",
     {PUT(10, 20, 5, 1, true), DELETE(30, 40, 6), PUT(50, 60, 7, 2, true)},
     {SAW_NOTHING(61, 70)},
     3,
     1,
     FINDING_STALE},
    {"absent before the delete began",
     {PUT(10, 20, 5, 1, true), DELETE(30, 40, 6)},
     {SAW_NOTHING(21, 29)},
     2,
     1,
     FINDING_STALE},
    {"a deleted record is read",
     {PUT(10, 20, 5, 1, true), DELETE(30, 40, 6)},
     {SAW(41, 50, 5, 1)},
     2,
     1,
     FINDING_STALE},
    {"missing from its category's page",
     {PUT(10, 20, 5, 1, true)},
     {SAW_OUTSIDE(21, 30, 1)},
     1,
     1,
     FINDING_STALE},
    {"not on the page of another category",
     {PUT(10, 20, 5, 1, true)},
     {SAW_OUTSIDE(21, 30, 2)},
     1,
     1,
     FINDING_COUNT},
    {"read before its write began",
     {PUT(10, 20, 5, 1, true)},
     {SAW(5, 9, 5, 1)},
     1,
     1,
     FINDING_FROM_FUTURE},
    {"what nobody wrote",
     {PUT(10, 20, 5, 1, true)},
     {SAW(21, 30, 5, 9)},
     1,
     1,
     FINDING_NEVER_WRITTEN},
    {"what was refused",
     {PUT(10, 20, 0, 1, true)},
     {SAW(21, 30, 5, 1)},
     1,
     1,
     FINDING_NEVER_WRITTEN},
    {"the ETag of another state",
     {PUT(10, 20, 5, 1, true), PUT(30, 40, 6, 2, false)},
     {SAW(41, 50, 5, 2)},
     2,
     1,
     FINDING_MIXED},
    {"sequences against the order of answers",
     {PUT(10, 20, 6, 1, false), PUT(30, 40, 5, 2, true)},
     {{0}},
     2,
     0,
     FINDING_WRITE_ORDER},
    {"created where a record was",
     {PUT(10, 20, 5, 1, true), PUT(30, 40, 6, 2, true)},
     {{0}},
     2,
     0,
     FINDING_PREDECESSOR},
    {"deleted where no record was", {DELETE(10, 20, 5)}, {{0}}, 1, 0, FINDING_PREDECESSOR},
    {"two writes with one sequence",
     {PUT(10, 20, 5, 1, true), PUT(15, 25, 5, 2, false)},
     {{0}},
     2,
     0,
     FINDING_SEQUENCE_TWICE},
};

/* Nothing but what is expected may be found. */
static bool case_passes(const struct judge_case *test)
{
    struct history history;
    history_init(&history);
    for (uint32_t i = 0; i < test->write_count; i++) {
        history_add_write(&history, &test->writes[i]);
    }
    for (uint32_t i = 0; i < test->read_count; i++) {
        history_add_read(&history, &test->reads[i]);
    }
    const struct history *all[] = {&history};
    struct verdict verdict;
    judge_run(all, 1, 1, stdout, &verdict);
    bool passes = test->expected == FINDING_COUNT
                      ? verdict.finding_count == 0
                      : verdict.finding_count == 1 && verdict.findings[test->expected] == 1;
    printf("%s: %s\n", passes ? "ok" : "WRONG", test->name);
    history_deinit(&history);
    return passes;
}

int main(void)
{
    size_t count = sizeof(cases) / sizeof(cases[0]);
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        wrong += case_passes(&cases[i]) ? 0 : 1;
    }
    printf("judge_test: %zu histories, %zu judged wrongly\n", count, wrong);
    return wrong == 0 ? 0 : 1;
}
