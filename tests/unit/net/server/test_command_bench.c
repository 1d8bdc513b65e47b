#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/server/command_bench.h"

struct outcome {
    int code;
    char *line;
    char *problem;
};

/* A file that is there until the test ends; its name is kept in the buffer. */
static void file_make(const char *text, char name[32])
{
    memcpy(name, "/tmp/freshet-bench-XXXXXX", 26);
    int fd = mkstemp(name);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static struct outcome run(const char *rules, const char *events)
{
    char rules_name[32];
    char events_name[32];
    struct outcome outcome;
    size_t size;
    file_make(rules, rules_name);
    file_make(events, events_name);
    FILE *out = open_memstream(&outcome.line, &size);
    FILE *problems = open_memstream(&outcome.problem, &size);
    cr_assert_not_null(out);
    cr_assert_not_null(problems);
    const struct command_bench_filter options = {.rules = rules_name, .events = events_name};
    outcome.code = command_bench_filter(&options, out, problems);
    fclose(out);
    fclose(problems);
    unlink(rules_name);
    unlink(events_name);
    return outcome;
}

static void outcome_free(struct outcome *outcome)
{
    free(outcome->line);
    free(outcome->problem);
}

Test(command_bench, matches_are_pairs_of_a_rule_and_an_event)
{
    struct outcome outcome = run("{\"a\":[1]}\n\n{\"a\":[{\"exists\":true}]}\r\n{\"b\":[2]}",
                                 "{\"a\":1}\n{\"a\":3}\n  \n{\"a\":1,\"b\":2}\n");
    cr_assert_eq(outcome.code, 0);
    cr_assert_str_eq(outcome.problem, "");
    const char *begin = "{\"rules\":3,\"events\":3,\"matches\":6,\"seconds\":";
    cr_assert_eq(strncmp(outcome.line, begin, strlen(begin)), 0, "%s", outcome.line);
    cr_assert_not_null(strstr(outcome.line, ",\"events_per_s\":"));
    cr_assert_not_null(strstr(outcome.line, ",\"us_per_event\":"));
    cr_assert_str_eq(strchr(outcome.line, '\n'), "\n", "one line");
    outcome_free(&outcome);
}

Test(command_bench, no_rules_match_nothing)
{
    struct outcome outcome = run("", "{}\n");
    cr_assert_eq(outcome.code, 0);
    cr_assert_not_null(strstr(outcome.line, "\"rules\":0,\"events\":1,\"matches\":0,"));
    outcome_free(&outcome);
}

Test(command_bench, a_problem_names_file_and_line)
{
    static const struct {
        const char *rules;
        const char *events;
        const char *words;
    } cases[] = {
        {"{\"a\":[1]}\n\n{\"a\":[]}\n", "{}\n", ":3: a: "},
        {"{\"a\":[1]}\n{\"a\":[01]}\n", "{}\n", ":2:8: this is not JSON: "},
        {"[1]\n", "{}\n", ":1: a JSON object is needed"},
        {"{\"a\":[1]}\n", "{}\n{}\n3\n", ":3: a JSON object is needed"},
        {"{\"a\":[1]}\n", "\n\n", "there is no event in it"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct outcome outcome = run(cases[index].rules, cases[index].events);
        cr_assert_eq(outcome.code, 1);
        cr_assert_str_eq(outcome.line, "");
        cr_assert_not_null(strstr(outcome.problem, "/tmp/freshet-bench-"));
        cr_assert_not_null(strstr(outcome.problem, cases[index].words), "%s", outcome.problem);
        outcome_free(&outcome);
    }
}

Test(command_bench, a_file_that_is_not_there_is_named)
{
    char *text = NULL;
    size_t size = 0;
    FILE *problems = open_memstream(&text, &size);
    cr_assert_not_null(problems);
    const struct command_bench_filter options = {.rules = "/nowhere/rules", .events = "/dev/null"};
    cr_assert_eq(command_bench_filter(&options, stdout, problems), 1);
    fclose(problems);
    cr_assert_not_null(strstr(text, "/nowhere/rules: No such file"), "%s", text);
    free(text);
}
