/*
 * put --lines: records in batches, one round trip each. A batch that the connection lost is sent
 * again, as a put may be; a record that the server refuses is told by its line, and the rest goes
 * on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bindings/cli/cli_internal.h"
#include "bindings/cli/progress.h"
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define BATCH_RECORDS_MAX 500
#define BATCH_BYTES_MAX   (1u << 20)
#define LINE_BYTES_MAX    (DOCUMENT_JSON_BYTES_MAX + (64u << 10))
#define TRIES_MAX         8
#define PAUSE_MS_FIRST    100
#define REFUSALS_TOLD_MAX 10

static_assert(BATCH_RECORDS_MAX <= CLI_BATCH_MAX, "a batch is one message");

/* Texts of a batch, each line and each id with its NUL, stand in one block. */
struct import {
    struct cli *cli;
    const char *collection;
    const char *name; /* of the input */
    struct freshet_write_options options;
    struct freshet_operation operations[BATCH_RECORDS_MAX];
    uint64_t lines[BATCH_RECORDS_MAX];
    size_t count;
    char *texts;
    size_t texts_size;
    uint8_t *document; /* of the line that is being read */
    uint64_t line;
    uint64_t read_bytes;
    uint64_t size; /* of the input; 0: it is not known */
    uint64_t created;
    uint64_t replaced;
    uint64_t unchanged;
    uint64_t refused;
    struct progress progress;
};

#define TEXTS_BYTES_MAX (BATCH_BYTES_MAX + LINE_BYTES_MAX + ID_BYTES_MAX + 2)

static uint64_t import_done(const struct import *import)
{
    return import->created + import->replaced + import->unchanged + import->refused;
}

static void refuse(struct import *import, uint64_t line, const char *detail)
{
    char subject[64];
    import->refused++;
    if (import->refused == REFUSALS_TOLD_MAX + 1) {
        cli_notice(import->cli, "more are refused; they are only counted from here on");
    }
    if (import->refused > REFUSALS_TOLD_MAX) {
        return;
    }
    if (import->progress.shown) {
        fputs("\r\033[K", stderr);
        import->progress.drawn_ns = 0;
    }
    snprintf(subject, sizeof(subject), "%.40s:%llu", import->name, (unsigned long long)line);
    cli_fail_text(import->cli, subject, detail);
}

/* ---- sending ---- */

static void outcome_count(struct import *import, const struct freshet_operation *operation,
                          uint64_t line)
{
    if (operation->status != FRESHET_OK) {
        refuse(import, line, operation->detail);
    } else if (operation->written.created) {
        import->created++;
    } else if (operation->written.changed) {
        import->replaced++;
    } else {
        import->unchanged++;
    }
}

/* Those that are to be tried again move to the front. */
static void outcomes_take(struct import *import, bool last_try)
{
    size_t kept = 0;
    for (size_t i = 0; i < import->count; i++) {
        const struct freshet_operation *operation = &import->operations[i];
        if (operation->status == FRESHET_BUSY && !last_try) {
            import->operations[kept] = *operation;
            import->lines[kept] = import->lines[i];
            kept++;
        } else {
            outcome_count(import, operation, import->lines[i]);
        }
    }
    ASSERT(kept <= import->count);
    import->count = kept;
}

/* Whether the whole batch may be sent again: a put that was kept is then found to be equal. */
static bool may_send_again(const struct import *import, enum freshet_status status)
{
    return status == FRESHET_BUSY || (status == FRESHET_DISCONNECTED && !import->options.if_absent);
}

static bool batch_send(struct import *import)
{
    uint64_t pause_ms = PAUSE_MS_FIRST;
    for (unsigned try = 1; import->count > 0; try++) {
        enum freshet_status status =
            freshet_batch(import->cli->db, import->operations, import->count);
        bool last_try = try == TRIES_MAX;
        if (status == FRESHET_OK) {
            outcomes_take(import, last_try);
        } else if (last_try || !may_send_again(import, status)) {
            progress_end(&import->progress);
            cli_fail_record(import->cli, import->collection, NULL);
            return false;
        }
        progress_update(&import->progress, import->read_bytes, import_done(import));
        if (import->count > 0) {
            cli_pause(pause_ms);
            pause_ms *= 2;
        }
    }
    import->texts_size = 0;
    return true;
}

/* ---- reading ---- */

static const char *text_keep(struct import *import, struct bytes text)
{
    char *at = import->texts + import->texts_size;
    ASSERT(text.size < TEXTS_BYTES_MAX - import->texts_size);
    memcpy(at, text.data, text.size);
    at[text.size] = '\0';
    import->texts_size += text.size + 1;
    return at;
}

static void line_take(struct import *import, struct bytes line)
{
    struct writer document = writer_of(import->document, DOCUMENT_BYTES_MAX);
    struct json_error error;
    struct bytes value;
    struct bytes id;
    if (line.size > LINE_BYTES_MAX) {
        refuse(import, import->line, "the line is longer than a record may be (1 MiB)");
        return;
    }
    enum status status = json_to_document(line, &document, &error);
    if (status != STATUS_OK) {
        char text[sizeof(error.text) + 64];
        snprintf(text, sizeof(text), "%scolumn %u: %s",
                 status == STATUS_INVALID ? "this is not JSON: " : "", error.column, error.text);
        refuse(import, import->line, text);
        return;
    }
    if (!document_find(writer_bytes(&document), BYTES_LITERAL("id"), &value) ||
        !document_string(value, &id) || id.size == 0 || id.size > ID_BYTES_MAX) {
        refuse(import, import->line, "an object with a text \"id\" is needed");
        return;
    }
    import->lines[import->count] = import->line;
    import->operations[import->count++] = (struct freshet_operation){
        .kind = FRESHET_BATCH_PUT,
        .collection = import->collection,
        .id = text_keep(import, id),
        .document = text_keep(import, line),
        .size = line.size,
        .options = &import->options,
    };
}

static bool lines_send(struct import *import, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    bool good = true;
    while (good && (size = getline(&line, &capacity, file)) >= 0) {
        import->line++;
        import->read_bytes += (uint64_t)size;
        struct bytes text = bytes_of(line, (size_t)size);
        while (text.size > 0 && memchr("\r\n \t", text.data[text.size - 1], 4) != NULL) {
            text.size--;
        }
        if (text.size > 0) {
            line_take(import, text);
        }
        if (import->count == BATCH_RECORDS_MAX || import->texts_size > BATCH_BYTES_MAX) {
            good = batch_send(import);
        }
    }
    free(line);
    if (good && ferror(file)) {
        cli_fail_text(import->cli, import->name, strerror(errno));
        good = false;
    }
    return good && batch_send(import);
}

/* ---- the whole ---- */

static void summary_print(const struct import *import)
{
    char text[CLI_COUNT_BYTES_MAX];
    double spent_s = (double)(cli_now_ns() - import->progress.started_ns) / 1e9;
    if (import->cli->json) {
        printf("{\"created\":%llu,\"replaced\":%llu,\"unchanged\":%llu,\"refused\":%llu,"
               "\"seconds\":%.3f}\n",
               (unsigned long long)import->created, (unsigned long long)import->replaced,
               (unsigned long long)import->unchanged, (unsigned long long)import->refused, spent_s);
        return;
    }
    if (import->cli->quiet) {
        return;
    }
    printf("%s created", cli_count_text(import->created, text));
    printf(", %s replaced", cli_count_text(import->replaced, text));
    printf(", %s unchanged", cli_count_text(import->unchanged, text));
    printf(", %s refused", cli_count_text(import->refused, text));
    printf(" in %.2f s\n", spent_s);
}

static uint64_t size_of(FILE *file)
{
    struct stat about;
    bool known = fstat(fileno(file), &about) == 0 && S_ISREG(about.st_mode);
    return known ? (uint64_t)about.st_size : 0;
}

static int import_run(struct import *import, FILE *file)
{
    progress_begin(&import->progress, import->cli, "put", "records", size_of(file));
    bool good = lines_send(import, file);
    progress_end(&import->progress);
    if (import->line > 0 || good) {
        summary_print(import);
    }
    return good && import->refused == 0 ? CLI_EXIT_CLEAN : CLI_EXIT_FAILURE;
}

int cli_put_lines(struct cli *cli)
{
    const char *word = cli->word_count == 2 ? cli->words[1] : "-";
    ASSERT(cli->word_count <= 2);
    FILE *file = cli_input_open(cli, word);
    if (file == NULL) {
        return CLI_EXIT_FAILURE;
    }
    int code = CLI_EXIT_FAILURE;
    struct import *import = calloc(1, sizeof(*import));
    char *texts = malloc(TEXTS_BYTES_MAX);
    uint8_t *document = malloc(DOCUMENT_BYTES_MAX);
    if (import == NULL || texts == NULL || document == NULL) {
        cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    } else {
        import->cli = cli;
        import->collection = cli->words[0];
        import->name = word[0] == '@' ? word + 1 : "stdin";
        import->options.if_absent = cli_has(cli, CLI_OPTION_IF_ABSENT);
        import->texts = texts;
        import->document = document;
        code = import_run(import, file);
    }
    free(document);
    free(texts);
    free(import);
    cli_input_close(file);
    return code;
}
