#include "net/server/command_bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/filter/matcher.h"
#include "net/server/clock.h"
#include "net/server/help.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define EXIT_FAILURE_TOLD 1
#define EXIT_USAGE        2

#define SECONDS_DEFAULT  3.0
#define SECONDS_MAX      86400.0
#define RULES_MAX        10000000u
#define EVENTS_MAX       10000000u
#define EVENTS_BYTES_MAX (64ull << 30)
/* Two images, and what stands around them. */
#define LINE_BYTES_MAX           (2 * DOCUMENT_JSON_BYTES_MAX + (64u << 10))
#define EVENT_DOCUMENT_BYTES_MAX (3 * LINE_BYTES_MAX)

/* Events are one block, each at its offset. */
struct bench {
    struct matcher *matcher;
    struct pattern **patterns;
    size_t rule_count;
    size_t rule_capacity;
    uint64_t added_ns;
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    size_t *offsets;
    size_t event_count;
    size_t event_capacity;
    uint8_t *document; /* of the line that is being read */
    FILE *problems;
};

typedef bool line_taker(struct bench *bench, const char *file, size_t number, struct bytes line);

/* The items, moved if need be, with room for `needed`; NULL, and nothing has changed, when there is
 * no memory. */
static void *grown(void *items, size_t *capacity, size_t needed, size_t item_bytes)
{
    ASSERT(item_bytes > 0);
    if (needed <= *capacity) {
        return items;
    }
    size_t more = *capacity < 1024 ? 1024 : *capacity * 2;
    more = more < needed ? needed : more;
    void *moved = reallocarray(items, more, item_bytes);
    if (moved != NULL) {
        *capacity = more;
    }
    return moved;
}

static bool refuse(struct bench *bench, const char *file, size_t number, const char *text)
{
    fprintf(bench->problems, "freshet: bench: %s:%zu: %s\n", file, number, text);
    return false;
}

/* ---- reading ---- */

static bool line_parse(struct bench *bench, const char *file, size_t number, struct bytes line,
                       struct bytes *document_out)
{
    struct writer out = writer_of(bench->document, EVENT_DOCUMENT_BYTES_MAX);
    struct json_error error;
    enum status status = json_to_document(line, &out, &error);
    *document_out = writer_bytes(&out);
    if (status != STATUS_OK) {
        fprintf(bench->problems, "freshet: bench: %s:%zu:%u: this is not JSON: %s\n", file, number,
                error.column, error.text);
        return false;
    }
    if (!document_is_object(*document_out)) {
        return refuse(bench, file, number, "a JSON object is needed");
    }
    return true;
}

static bool rule_take(struct bench *bench, const char *file, size_t number, struct bytes line)
{
    struct bytes document;
    struct pattern_problem problem = {.text = ""};
    struct pattern *pattern = NULL;
    uint32_t id;
    if (!line_parse(bench, file, number, line, &document)) {
        return false;
    }
    void *room = bench->rule_count == RULES_MAX
                     ? NULL
                     : grown(bench->patterns, &bench->rule_capacity, bench->rule_count + 1,
                             sizeof(*bench->patterns));
    if (room == NULL) {
        return refuse(bench, file, number, "there is no room for so many rules");
    }
    bench->patterns = room;
    uint64_t from_ns = clock_monotonic_ns();
    enum status status = pattern_parse(document, &pattern, &problem);
    if (status != STATUS_OK) {
        return refuse(bench, file, number, problem.text);
    }
    bench->patterns[bench->rule_count++] = pattern;
    status = matcher_add(bench->matcher, pattern, pattern, &id);
    bench->added_ns += clock_monotonic_ns() - from_ns;
    return status == STATUS_OK || refuse(bench, file, number, status_text(status));
}

/* Room for one more event of this size. */
static bool event_room(struct bench *bench, size_t size)
{
    if (bench->event_count == EVENTS_MAX || size > EVENTS_BYTES_MAX - bench->size) {
        return false;
    }
    void *bytes = grown(bench->bytes, &bench->capacity, bench->size + size, 1);
    if (bytes == NULL) {
        return false;
    }
    bench->bytes = bytes;
    void *offsets = grown(bench->offsets, &bench->event_capacity, bench->event_count + 2,
                          sizeof(*bench->offsets));
    if (offsets == NULL) {
        return false;
    }
    bench->offsets = offsets;
    return true;
}

static bool event_take(struct bench *bench, const char *file, size_t number, struct bytes line)
{
    struct bytes document;
    if (!line_parse(bench, file, number, line, &document)) {
        return false;
    }
    if (!event_room(bench, document.size)) {
        return refuse(bench, file, number, "there is no room for so many events");
    }
    memcpy(bench->bytes + bench->size, document.data, document.size);
    bench->offsets[bench->event_count++] = bench->size;
    bench->size += document.size;
    bench->offsets[bench->event_count] = bench->size;
    return true;
}

static bool lines_take(struct bench *bench, FILE *file, const char *name, line_taker *take)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = 0;
    bool good = true;
    for (size_t number = 1; good && (size = getline(&line, &capacity, file)) >= 0; number++) {
        struct bytes text = bytes_of(line, (size_t)size);
        while (text.size > 0 && memchr("\r\n \t", text.data[text.size - 1], 4) != NULL) {
            text.size--;
        }
        if (text.size > LINE_BYTES_MAX) {
            good = refuse(bench, name, number, "the line is too long");
        } else if (text.size > 0) {
            good = take(bench, name, number, text);
        }
    }
    free(line);
    if (good && ferror(file)) {
        fprintf(bench->problems, "freshet: bench: %s: %s\n", name, strerror(errno));
        good = false;
    }
    return good;
}

static bool file_take(struct bench *bench, const char *name, line_taker *take)
{
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        fprintf(bench->problems, "freshet: bench: %s: %s\n", name, strerror(errno));
        return false;
    }
    bool good = lines_take(bench, file, name, take);
    fclose(file);
    return good;
}

/* ---- measuring ---- */

/* All events once; how many pairs match. */
static uint64_t pass(struct bench *bench)
{
    uint64_t matches = 0;
    void *const *users;
    for (size_t index = 0; index < bench->event_count; index++) {
        size_t from = bench->offsets[index];
        struct bytes event = bytes_of(bench->bytes + from, bench->offsets[index + 1] - from);
        matches += matcher_match(bench->matcher, event, &users);
    }
    return matches;
}

static void measure(struct bench *bench, double seconds, FILE *out)
{
    ASSERT(bench->event_count > 0);
    uint64_t matches = pass(bench); /* caches and branch predictors are warm from here on */
    uint64_t passes = 0;
    uint64_t from_ns = clock_monotonic_ns();
    double spent_ns = 0;
    do {
        uint64_t again = pass(bench);
        ASSERT(again == matches);
        passes++;
        spent_ns = (double)(clock_monotonic_ns() - from_ns);
    } while (spent_ns < seconds * 1e9);
    double each_ns = spent_ns / ((double)passes * (double)bench->event_count);
    fprintf(out,
            "{\"rules\":%zu,\"events\":%zu,\"matches\":%llu,\"seconds\":%.3f,"
            "\"events_per_s\":%.0f,\"us_per_event\":%.3f,\"us_per_rule_added\":%.3f,"
            "\"matcher_bytes\":%zu}\n",
            bench->rule_count, bench->event_count, (unsigned long long)matches, spent_ns / 1e9,
            1e9 / each_ns, each_ns / 1e3,
            bench->rule_count == 0 ? 0 : (double)bench->added_ns / (double)bench->rule_count / 1e3,
            matcher_bytes(bench->matcher));
}

static bool bench_run(struct bench *bench, const struct command_bench_filter *options, FILE *out)
{
    if (!file_take(bench, options->rules, rule_take) ||
        !file_take(bench, options->events, event_take)) {
        return false;
    }
    if (bench->event_count == 0) {
        fprintf(bench->problems, "freshet: bench: %s: there is no event in it\n", options->events);
        return false;
    }
    measure(bench, options->seconds, out);
    return true;
}

int command_bench_filter(const struct command_bench_filter *options, FILE *out, FILE *problems)
{
    struct bench bench = {.problems = problems};
    bool good = false;
    ASSERT(options->seconds >= 0);
    bench.document = malloc(EVENT_DOCUMENT_BYTES_MAX);
    if (bench.document == NULL || matcher_create(&bench.matcher) != STATUS_OK) {
        fprintf(problems, "freshet: bench: %s\n", status_text(STATUS_NO_MEMORY));
    } else {
        good = bench_run(&bench, options, out);
    }
    matcher_destroy(&bench.matcher);
    for (size_t index = 0; index < bench.rule_count; index++) {
        pattern_destroy(&bench.patterns[index]);
    }
    free(bench.patterns);
    free(bench.bytes);
    free(bench.offsets);
    free(bench.document);
    return good ? 0 : EXIT_FAILURE_TOLD;
}

/* ---- the command line ---- */

static int usage(const char *word, const char *what)
{
    fprintf(stderr, "freshet: bench: %s: %s; see freshet bench --help\n", word, what);
    return EXIT_USAGE;
}

/* "--name VALUE" and "--name=VALUE": the value, and *index on the last word of it; NULL: it is
 * another word. An absent value is empty. */
static const char *flag_value(const char *name, int count, char *const *words, int *index)
{
    size_t size = strlen(name);
    const char *word = words[*index];
    if (strncmp(word, name, size) != 0) {
        return NULL;
    }
    if (word[size] == '=') {
        return word + size + 1;
    }
    if (word[size] != '\0') {
        return NULL;
    }
    if (*index + 1 >= count) {
        return "";
    }
    *index += 1;
    return words[*index];
}

static bool seconds_read(const char *text, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value < 0 || value > SECONDS_MAX) {
        return false;
    }
    *out = value;
    return true;
}

static int filter_words(int count, char *const *words)
{
    struct command_bench_filter options = {.seconds = SECONDS_DEFAULT};
    for (int index = 0; index < count; index++) {
        const char *word = words[index];
        const char *value;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            help_bench(stdout);
            return 0;
        }
        if ((value = flag_value("--rules", count, words, &index)) != NULL) {
            options.rules = value;
        } else if ((value = flag_value("--events", count, words, &index)) != NULL) {
            options.events = value;
        } else if ((value = flag_value("--seconds", count, words, &index)) != NULL) {
            if (!seconds_read(value, &options.seconds)) {
                return usage("--seconds", "a number from 0 to 86400 is needed");
            }
        } else {
            return usage(word, "there is no such flag");
        }
    }
    if (options.rules == NULL || options.rules[0] == '\0') {
        return usage("--rules", "a file of patterns is needed, one a line");
    }
    if (options.events == NULL || options.events[0] == '\0') {
        return usage("--events", "a file of events is needed, one a line");
    }
    return command_bench_filter(&options, stdout, stderr);
}

int command_bench(int count, char *const *words)
{
    if (count > 0 && strcmp(words[0], "filter") == 0) {
        return filter_words(count - 1, words + 1);
    }
    if (count > 0 && (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)) {
        help_bench(stdout);
        return 0;
    }
    if (count == 0) {
        help_bench(stderr);
        return EXIT_USAGE;
    }
    return usage(words[0], "there is no such benchmark");
}
