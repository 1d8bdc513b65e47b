/* get, put, create, patch, delete, list. */
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "bindings/cli/progress.h"
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"

#define ETAG_BYTES_MAX 128
#define PAGE_RECORDS   1000

/* ---- reading ---- */

static void record_print(const struct cli *cli, const struct freshet_record *record)
{
    bool pretty = cli->out_terminal && !cli->json;
    cli_json_print(stdout, bytes_of(record->data, record->size), pretty, cli->colour);
}

static int missing_tell(const struct cli *cli, const char *collection, const char *id)
{
    char subject[ID_BYTES_MAX + COLLECTION_NAME_BYTES_MAX + 2];
    const struct cli_problem problem = {
        .code = 404,
        .type = "not-found",
        .subject = subject,
        .detail = "there is no such record",
    };
    snprintf(subject, sizeof(subject), "%s/%s", collection, id);
    return cli_fail(cli, &problem);
}

/* One after the other: with options of their own, and when there is only one. */
static int get_each(struct cli *cli, const char *collection)
{
    const struct freshet_read_options options = {
        .minimum_position = cli->texts[CLI_OPTION_MIN_POSITION],
        .fresh = cli_has(cli, CLI_OPTION_FRESH),
    };
    int code = CLI_EXIT_CLEAN;
    for (size_t i = 1; i < cli->word_count; i++) {
        struct freshet_record record;
        enum freshet_status status =
            freshet_get_with(cli->db, collection, cli->words[i], &options, &record);
        if (status == FRESHET_OK) {
            record_print(cli, &record);
        } else if (status == FRESHET_NOT_FOUND) {
            code = cli_fail_record(cli, collection, cli->words[i]);
        } else {
            return cli_fail_record(cli, collection, cli->words[i]);
        }
    }
    return code;
}

static int get_many(struct cli *cli, const char *collection, struct freshet_record *records)
{
    int code = CLI_EXIT_CLEAN;
    for (size_t from = 1; from < cli->word_count; from += CLI_BATCH_MAX) {
        size_t left = cli->word_count - from;
        size_t count = left < CLI_BATCH_MAX ? left : CLI_BATCH_MAX;
        const char *const *ids = (const char *const *)(cli->words + from);
        if (freshet_get_many(cli->db, collection, ids, count, records) != FRESHET_OK) {
            return cli_fail_record(cli, collection, NULL);
        }
        for (size_t i = 0; i < count; i++) {
            if (records[i].data != NULL) {
                record_print(cli, &records[i]);
            } else {
                code = missing_tell(cli, collection, ids[i]);
            }
        }
    }
    return code;
}

int cli_get(struct cli *cli)
{
    const char *collection = cli->words[0];
    ASSERT(cli->word_count >= 2);
    if (cli->word_count == 2 || cli_has(cli, CLI_OPTION_FRESH) ||
        cli_has(cli, CLI_OPTION_MIN_POSITION)) {
        return get_each(cli, collection);
    }
    struct freshet_record *records = calloc(CLI_BATCH_MAX, sizeof(*records));
    if (records == NULL) {
        return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    int code = get_many(cli, collection, records);
    free(records);
    return code;
}

/* Prints until the end, or until so many are printed. */
static enum freshet_status list_print(struct cli *cli, struct freshet_list *list, uint64_t most)
{
    struct progress progress;
    struct freshet_record record;
    enum freshet_status status = FRESHET_OK;
    progress_begin(&progress, cli, "list", "records", 0);
    progress.shown = progress.shown && !cli->out_terminal;
    for (uint64_t count = 0; count < most; count++) {
        status = freshet_list_next(list, &record);
        if (status != FRESHET_OK) {
            break;
        }
        cli_json_print(stdout, bytes_of(record.data, record.size), false, false);
        progress_update(&progress, 0, count + 1);
    }
    progress_end(&progress);
    return status;
}

int cli_list(struct cli *cli)
{
    uint64_t most = cli_number(cli, CLI_OPTION_LIMIT, UINT64_MAX);
    const char *index = cli->texts[CLI_OPTION_INDEX];
    struct freshet_list_options options = {
        .page = most < PAGE_RECORDS ? (unsigned)most : PAGE_RECORDS,
    };
    char *field = NULL;
    if (index != NULL) {
        const char *equals = strchr(index, '=');
        ASSERT(equals != NULL);
        field = strndup(index, (size_t)(equals - index));
        options.index = field;
        options.value = equals + 1;
        if (field == NULL) {
            return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
        }
    }
    struct freshet_list *list = NULL;
    enum freshet_status status = freshet_list(cli->db, cli->words[0], &options, &list);
    if (status == FRESHET_OK) {
        status = list_print(cli, list, most);
    }
    bool good = status == FRESHET_OK || status == FRESHET_END;
    int code = good ? CLI_EXIT_CLEAN : cli_fail_record(cli, cli->words[0], NULL);
    freshet_list_close(list);
    free(field);
    return code;
}

/* ---- writing ---- */

/* An etag is a text in quotes; on a command line they may be left out. */
static const char *etag_of(const struct cli *cli, char out[ETAG_BYTES_MAX])
{
    const char *given = cli->texts[CLI_OPTION_IF_MATCH];
    if (given == NULL || given[0] == '"' || strcmp(given, "*") == 0) {
        return given;
    }
    snprintf(out, ETAG_BYTES_MAX, "\"%s\"", given);
    return out;
}

static void written_print(const struct cli *cli, const char *collection, const char *outcome,
                          const struct freshet_written *written)
{
    if (cli->json) {
        fputs("{\"id\":", stdout);
        cli_string_print(stdout, written->id);
        printf(",\"outcome\":\"%s\",\"version\":%llu,\"etag\":", outcome,
               (unsigned long long)written->version);
        cli_string_print(stdout, written->etag);
        fputs(",\"position\":", stdout);
        cli_string_print(stdout, written->position);
        fputs("}\n", stdout);
    } else if (!cli->quiet) {
        printf("%s/", collection);
        cli_text_print(stdout, bytes_of_text(written->id));
        printf("  %s", outcome);
        if (written->etag[0] == '"') {
            printf("  version %llu  etag %.*s", (unsigned long long)written->version,
                   (int)strcspn(written->etag + 1, "\""), written->etag + 1);
        }
        fputc('\n', stdout);
    }
}

static const char *outcome_text(const struct freshet_written *written, const char *otherwise)
{
    return written->created ? "created" : written->changed ? otherwise : "unchanged";
}

int cli_put(struct cli *cli)
{
    if (cli_has(cli, CLI_OPTION_LINES)) {
        return cli_put_lines(cli);
    }
    ASSERT(cli->word_count >= 2);
    char etag[ETAG_BYTES_MAX];
    const struct freshet_write_options options = {
        .if_match = etag_of(cli, etag),
        .if_absent = cli_has(cli, CLI_OPTION_IF_ABSENT),
    };
    struct freshet_written written;
    struct bytes document;
    char *memory;
    if (cli_document(cli, 2, &memory, &document) != STATUS_OK) {
        return CLI_EXIT_FAILURE;
    }
    enum freshet_status status =
        freshet_put(cli->db, cli->words[0], cli->words[1], (const char *)document.data,
                    document.size, &options, &written);
    if (status == FRESHET_OK) {
        written_print(cli, cli->words[0], outcome_text(&written, "replaced"), &written);
    }
    free(memory);
    return status == FRESHET_OK ? CLI_EXIT_CLEAN
                                : cli_fail_record(cli, cli->words[0], cli->words[1]);
}

int cli_create(struct cli *cli)
{
    const struct freshet_write_options options = {
        .idempotency_key = cli->texts[CLI_OPTION_KEY],
    };
    struct freshet_written written;
    struct bytes document;
    char *memory;
    if (cli_document(cli, 1, &memory, &document) != STATUS_OK) {
        return CLI_EXIT_FAILURE;
    }
    enum freshet_status status = freshet_create(cli->db, cli->words[0], (const char *)document.data,
                                                document.size, &options, &written);
    if (status == FRESHET_OK) {
        written_print(cli, cli->words[0], "created", &written);
    }
    free(memory);
    return status == FRESHET_OK ? CLI_EXIT_CLEAN : cli_fail_record(cli, cli->words[0], NULL);
}

int cli_patch(struct cli *cli)
{
    char etag[ETAG_BYTES_MAX];
    const struct freshet_write_options options = {.if_match = etag_of(cli, etag)};
    struct freshet_written written;
    struct bytes patch;
    char *memory;
    if (cli_document(cli, 2, &memory, &patch) != STATUS_OK) {
        return CLI_EXIT_FAILURE;
    }
    enum freshet_status status =
        freshet_patch(cli->db, cli->words[0], cli->words[1], (const char *)patch.data, patch.size,
                      &options, &written);
    if (status == FRESHET_OK) {
        written_print(cli, cli->words[0], outcome_text(&written, "changed"), &written);
    }
    free(memory);
    return status == FRESHET_OK ? CLI_EXIT_CLEAN
                                : cli_fail_record(cli, cli->words[0], cli->words[1]);
}

int cli_delete(struct cli *cli)
{
    char etag[ETAG_BYTES_MAX];
    const struct freshet_write_options options = {.if_match = etag_of(cli, etag)};
    for (size_t i = 1; i < cli->word_count; i++) {
        struct freshet_written written;
        if (freshet_delete(cli->db, cli->words[0], cli->words[i], &options, &written) !=
            FRESHET_OK) {
            return cli_fail_record(cli, cli->words[0], cli->words[i]);
        }
        written_print(cli, cli->words[0], written.changed ? "deleted" : "was not there", &written);
    }
    return CLI_EXIT_CLEAN;
}
