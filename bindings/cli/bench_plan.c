#include "bindings/cli/bench_plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

#define COLLECTION_DEFAULT  "pets"
#define CONNECTIONS_DEFAULT 8
#define SECONDS_DEFAULT     5
#define RECORDS_DEFAULT     1000
#define VALUE_BYTES_DEFAULT 300
#define FILE_BYTES_MAX      65536
#define WEIGHT_MAX          1000000
#define PERCENT_MAX         100
#define PLACE_BYTES_MAX     512
#define WRONG_BYTES_MAX     (CLI_NEED_BYTES_MAX + 256)

#define MIX_NEED "shares such as get=50,put=50 are needed, of get, put, delete, rmw and insert"
#define DISTRIBUTION_NEED                                                                          \
    "uniform, zipfian[:THETA], scrambled[:THETA], latest or sequential is needed, THETA above 0 "  \
    "and at most 0.9999"
#define LOOK_AT_DEV "./dev bench scenario of the source tree can"

enum key_kind {
    KEY_OPTION,    /* the option of that name */
    KEY_LOOP,      /* closed, open */
    KEY_LOADS,     /* percents of the closed loop's rate */
    KEY_EXPECT,    /* codes */
    KEY_PROTOCOLS, /* wire must be one of them */
    KEY_KIND,      /* load; a stream is nothing for us */
    KEY_SERVER,    /* how the server is started, or a text for people */
    KEY_HTTP,      /* what only HTTP has */
};

static const struct key {
    const char *name;
    enum key_kind kind;
    enum cli_option_id option;
} keys[] = {
    {"title", KEY_SERVER, 0},
    {"kind", KEY_KIND, 0},
    {"records", KEY_OPTION, CLI_OPTION_RECORDS},
    {"value_bytes", KEY_OPTION, CLI_OPTION_VALUE_BYTES},
    {"mix", KEY_OPTION, CLI_OPTION_MIX},
    {"distribution", KEY_OPTION, CLI_OPTION_DISTRIBUTION},
    {"connections", KEY_OPTION, CLI_OPTION_CONNECTIONS},
    {"pipeline", KEY_OPTION, CLI_OPTION_PIPELINE},
    {"seconds", KEY_OPTION, CLI_OPTION_SECONDS},
    {"durability", KEY_SERVER, 0},
    {"cache_bytes", KEY_SERVER, 0},
    {"protocols", KEY_PROTOCOLS, 0},
    {"loop", KEY_LOOP, 0},
    {"load_percent", KEY_LOADS, 0},
    {"expect", KEY_EXPECT, 0},
    {"path", KEY_HTTP, 0},
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static const char *const kind_names[] = {
#define KIND_NAME(id, name) name,
    BENCH_KINDS(KIND_NAME)
#undef KIND_NAME
};

static const uint64_t loads_default[] = {30, 50, 70, 90};

/* While a file is read. */
struct reading {
    struct cli *cli;
    struct bench_plan *plan;
    const char *path;
    size_t line;
    size_t lines_of[KEY_COUNT];   /* where each key stood; 0: nowhere yet */
    bool given[CLI_OPTION_TOTAL]; /* on the command line, which outranks the file */
    bool open;                    /* the loop */
};

const char *bench_kind_name(enum bench_kind kind)
{
    ASSERT(kind < BENCH_KIND_TOTAL);
    return kind_names[kind];
}

/* ---- values ---- */

static bool word_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

/* NAME=WEIGHT, … */
static bool mix_read(const char *text, struct bench_plan *plan)
{
    memset(plan->weights, 0, sizeof(plan->weights));
    plan->weight_sum = 0;
    for (;;) {
        enum bench_kind kind = 0;
        size_t size = strcspn(text, "=");
        while (kind < BENCH_KIND_TOTAL && !word_is(text, size, kind_names[kind])) {
            kind++;
        }
        uint64_t weight = 0;
        size_t digits =
            text[size] == '=' ? bytes_decimal(bytes_of_text(text + size + 1), &weight) : 0;
        if (kind == BENCH_KIND_TOTAL || digits == 0 || weight > WEIGHT_MAX ||
            plan->weights[kind] > 0) {
            return false;
        }
        plan->weights[kind] = weight;
        plan->weight_sum += weight;
        text += size + 1 + digits;
        if (*text == '\0') {
            return plan->weight_sum > 0;
        }
        if (*text++ != ',') {
            return false;
        }
    }
}

static bool theta_read(const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return isdigit((unsigned char)text[0]) && *end == '\0' && *out > 0 && *out <= 0.9999;
}

static bool distribution_read(const char *text, struct bench_plan *plan)
{
    size_t size = strcspn(text, ":");
    for (size_t i = 0; i < DISTRIBUTION_COUNT; i++) {
        enum distribution distribution = (enum distribution)i;
        if (word_is(text, size, distribution_names[i])) {
            bool takes =
                distribution == DISTRIBUTION_ZIPFIAN || distribution == DISTRIBUTION_SCRAMBLED;
            plan->distribution = distribution;
            return text[size] == '\0' || (takes && theta_read(text + size + 1, &plan->theta));
        }
    }
    return false;
}

/* N, N, …, from the least to the most. */
static bool numbers_read(const char *text, uint64_t least, uint64_t most, uint64_t *out, size_t max,
                         size_t *count_out)
{
    size_t count = 0;
    for (;;) {
        text += strspn(text, " ");
        size_t digits = count == max ? 0 : bytes_decimal(bytes_of_text(text), &out[count]);
        if (digits == 0 || out[count] < least || out[count] > most) {
            return false;
        }
        count++;
        text += digits + strspn(text + digits, " ");
        if (*text == '\0') {
            *count_out = count;
            return true;
        }
        if (*text++ != ',') {
            return false;
        }
    }
}

/* Whether the word stands alone between the commas. */
static bool list_has(const char *text, const char *word)
{
    while (*text != '\0') {
        text += strspn(text, " ,");
        size_t size = strcspn(text, " ,");
        if (word_is(text, size, word)) {
            return true;
        }
        text += size;
    }
    return false;
}

/* ---- the file ---- */

static int file_fail(const struct reading *reading, const char *key, const char *wrong)
{
    char place[PLACE_BYTES_MAX];
    char text[WRONG_BYTES_MAX];
    snprintf(place, sizeof(place), "%s:%zu", reading->path, reading->line);
    snprintf(text, sizeof(text), "%s%s%s", key, key[0] != '\0' ? ": " : "", wrong);
    return cli_fail_text(reading->cli, place, text);
}

/* NULL, or what is wrong with the value of an option; one of the command line stays. */
static const char *option_set(struct reading *reading, enum cli_option_id option, const char *value,
                              char need[CLI_NEED_BYTES_MAX])
{
    struct cli *cli = reading->cli;
    const char *before = cli->texts[option];
    uint64_t number_before = cli->numbers[option];
    struct bench_plan scratch = {0};
    const char *wrong = cli_option_set(cli, option, value, need);
    if (wrong == NULL && option == CLI_OPTION_MIX && !mix_read(value, &scratch)) {
        wrong = MIX_NEED "; " LOOK_AT_DEV " do others";
    }
    if (wrong == NULL && option == CLI_OPTION_DISTRIBUTION && !distribution_read(value, &scratch)) {
        wrong = DISTRIBUTION_NEED;
    }
    if (reading->given[option]) {
        cli->texts[option] = before;
        cli->numbers[option] = number_before;
    }
    return wrong;
}

/* NULL, or what is wrong. */
static const char *value_set(struct reading *reading, const struct key *key, const char *value,
                             char need[CLI_NEED_BYTES_MAX])
{
    struct bench_plan *plan = reading->plan;
    switch (key->kind) {
    case KEY_OPTION:
        return option_set(reading, key->option, value, need);
    case KEY_LOOP:
        reading->open = list_has(value, "open");
        return reading->open || list_has(value, "closed") ? NULL
                                                          : "closed, open or both are needed";
    case KEY_LOADS:
        return numbers_read(value, 1, PERCENT_MAX, plan->loads, BENCH_LOADS_MAX, &plan->load_count)
                   ? NULL
                   : "percents such as 30,50,70,90 are needed, at most 16";
    case KEY_EXPECT:
        return numbers_read(value, 100, 599, plan->expect, BENCH_EXPECT_MAX, &plan->expect_count)
                   ? NULL
                   : "codes such as 200,201,404 are needed, at most 8";
    case KEY_PROTOCOLS:
        return list_has(value, "wire") ? NULL
                                       : "this program speaks wire alone; " LOOK_AT_DEV
                                         " speak others";
    case KEY_KIND:
        return strcmp(value, "load") == 0 ? NULL
                                          : "this program measures loads alone; " LOOK_AT_DEV
                                            " measure streams";
    case KEY_HTTP:
        return "that is for HTTP, and this program speaks wire alone; " LOOK_AT_DEV " speak HTTP";
    case KEY_SERVER:
        return NULL;
    }
    return NULL;
}

/* The line without comment and the blanks at its end. */
static void line_trim(char *line)
{
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || isspace((unsigned char)at[-1]))) {
            *at = '\0';
            break;
        }
    }
    size_t size = strlen(line);
    while (size > 0 && isspace((unsigned char)line[size - 1])) {
        line[--size] = '\0';
    }
}

static int line_read(struct reading *reading, char *line)
{
    char need[CLI_NEED_BYTES_MAX];
    line_trim(line);
    if (line[0] == '\0') {
        return CLI_EXIT_CLEAN;
    }
    size_t size = strcspn(line, ":");
    char *value = line + size + (line[size] == ':');
    value += strspn(value, " \t");
    if (line[size] != ':' || isspace((unsigned char)line[0]) || value[0] == '\0') {
        return file_fail(reading, "", "one 'key: value' a line is needed, nothing nested");
    }
    line[size] = '\0';
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, line) != 0) {
            continue;
        }
        if (reading->lines_of[i] != 0) {
            snprintf(need, sizeof(need), "it is there twice, first in line %zu",
                     reading->lines_of[i]);
            return file_fail(reading, line, need);
        }
        reading->lines_of[i] = reading->line;
        const char *wrong = value_set(reading, &keys[i], value, need);
        return wrong == NULL ? CLI_EXIT_CLEAN : file_fail(reading, line, wrong);
    }
    return file_fail(reading, line, "there is no such key; see the man page freshet(1) for them");
}

/* All of the file, with a NUL behind it; NULL: it was told. */
static char *file_content(const struct cli *cli, const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(FILE_BYTES_MAX + 1);
    const char *wrong = file == NULL ? strerror(errno) : text == NULL ? strerror(ENOMEM) : NULL;
    if (wrong == NULL) {
        size_t size = fread(text, 1, FILE_BYTES_MAX + 1, file);
        wrong = ferror(file)                    ? strerror(errno)
                : size > FILE_BYTES_MAX         ? "it is too large for a scenario"
                : memchr(text, 0, size) != NULL ? "it is no text"
                                                : NULL;
        text[size > FILE_BYTES_MAX ? 0 : size] = '\0';
    }
    if (file != NULL) {
        fclose(file);
    }
    if (wrong != NULL) {
        cli_fail_text(cli, path, wrong);
        free(text);
        return NULL;
    }
    return text;
}

static int file_read(struct cli *cli, const char *path, struct bench_plan *plan)
{
    struct reading reading = {.cli = cli, .plan = plan, .path = path};
    for (size_t i = 0; i < CLI_OPTION_TOTAL; i++) {
        reading.given[i] = cli->texts[i] != NULL;
    }
    plan->file = file_content(cli, path);
    if (plan->file == NULL) {
        return CLI_EXIT_FAILURE;
    }
    for (char *line = plan->file; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        reading.line++;
        int code = line_read(&reading, line);
        if (code != CLI_EXIT_CLEAN) {
            return code;
        }
        line = end;
    }
    if (reading.open && plan->load_count == 0) {
        memcpy(plan->loads, loads_default, sizeof(loads_default));
        plan->load_count = sizeof(loads_default) / sizeof(loads_default[0]);
    }
    plan->load_count = reading.open ? plan->load_count : 0;
    return CLI_EXIT_CLEAN;
}

/* ---- the plan ---- */

static void name_take(struct bench_plan *plan, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t size = strcspn(name, ".");
    snprintf(plan->name, sizeof(plan->name), "%.*s", (int)(size == 0 ? strlen(name) : size), name);
}

static const char *mix_of(const struct cli *cli)
{
    const char *text = cli->texts[CLI_OPTION_MIX];
    if (cli->command == cli_command_at(CLI_BENCH_MIXED)) {
        return "get=9,put=1";
    }
    if (cli->command == cli_command_at(CLI_BENCH_PUT)) {
        return "put=1";
    }
    return text != NULL ? text : "get=1";
}

/* From the options, the file's among them. NULL, or what is wrong. */
static const char *plan_fill(const struct cli *cli, struct bench_plan *plan)
{
    const char *collection = cli->texts[CLI_OPTION_BENCH_COLLECTION];
    const char *distribution = cli->texts[CLI_OPTION_DISTRIBUTION];
    plan->collection = collection == NULL ? COLLECTION_DEFAULT : collection;
    plan->connections = cli_number(cli, CLI_OPTION_CONNECTIONS, CONNECTIONS_DEFAULT);
    plan->pipeline = cli_number(cli, CLI_OPTION_PIPELINE, 1);
    plan->records = cli_number(cli, CLI_OPTION_RECORDS, RECORDS_DEFAULT);
    plan->value_bytes = cli_number(cli, CLI_OPTION_VALUE_BYTES, VALUE_BYTES_DEFAULT);
    plan->seconds = cli_number(cli, CLI_OPTION_SECONDS, SECONDS_DEFAULT);
    plan->rate = cli_number(cli, CLI_OPTION_RATE, 0);
    plan->theta = ZIPFIAN_THETA_DEFAULT;
    if (!mix_read(mix_of(cli), plan)) {
        return "--mix: " MIX_NEED;
    }
    if (distribution != NULL && !distribution_read(distribution, plan)) {
        return "--distribution: " DISTRIBUTION_NEED;
    }
    return NULL;
}

const char *bench_options_check(const struct cli *cli)
{
    struct bench_plan plan = {0};
    return plan_fill(cli, &plan);
}

int bench_plan_make(struct cli *cli, struct bench_plan *out)
{
    *out = (struct bench_plan){0};
    snprintf(out->name, sizeof(out->name), "%s", cli->command->verb);
    if (cli->word_count > 0) {
        int code = file_read(cli, cli->words[0], out);
        if (code != CLI_EXIT_CLEAN) {
            bench_plan_release(out);
            return code;
        }
        name_take(out, cli->words[0]);
    }
    const char *wrong = plan_fill(cli, out);
    ASSERT(wrong == NULL); /* each was looked at before */
    return CLI_EXIT_CLEAN;
}

void bench_plan_release(struct bench_plan *plan)
{
    free(plan->file);
    plan->file = NULL;
}
