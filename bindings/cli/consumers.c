/* consumers list, get, put, delete. */
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"

#define PAGE_MAX       100
#define NAME_BYTES_MAX 256

static void member_print(const char *name, const char *value)
{
    printf(",\"%s\":", name);
    if (value == NULL || value[0] == '\0') {
        fputs("null", stdout);
    } else {
        cli_string_print(stdout, value);
    }
}

static void consumer_json(const struct freshet_consumer *consumer)
{
    fputs("{\"name\":", stdout);
    cli_string_print(stdout, consumer->name);
    member_print("collection", consumer->collection);
    fputs(",\"pattern\":", stdout);
    bool whole = consumer->pattern == NULL || consumer->pattern[0] == '\0';
    fputs(whole ? "null" : consumer->pattern, stdout);
    member_print("position", consumer->position);
    printf(",\"group\":%s,\"members\":%u,\"lag\":{\"events\":%llu,\"bytes\":%llu,"
           "\"seconds\":%.3f}}\n",
           consumer->group ? "true" : "false", consumer->members,
           (unsigned long long)consumer->lag_events, (unsigned long long)consumer->lag_bytes,
           consumer->lag_seconds);
}

static const char *or_all(const char *text)
{
    return text == NULL || text[0] == '\0' ? "all" : text;
}

static void consumer_print(const struct cli *cli, const struct freshet_consumer *consumer)
{
    char events[CLI_COUNT_BYTES_MAX];
    char bytes[CLI_COUNT_BYTES_MAX];
    if (cli->json) {
        consumer_json(consumer);
        return;
    }
    printf("name        %s\ncollection  %s\npattern     ", consumer->name,
           or_all(consumer->collection));
    cli_text_print(stdout, bytes_of_text(or_all(consumer->pattern)));
    fputc('\n', stdout);
    if (consumer->group) {
        printf("group       %u members\n", consumer->members);
    }
    printf("position    %s\nbehind      %s changes, %s bytes, %.1f s\n", consumer->position,
           cli_count_text(consumer->lag_events, events), cli_count_text(consumer->lag_bytes, bytes),
           consumer->lag_seconds);
}

static void row_print(const struct cli *cli, const struct freshet_consumer *consumer, bool first)
{
    char events[CLI_COUNT_BYTES_MAX];
    if (cli->json) {
        consumer_json(consumer);
        return;
    }
    if (first) {
        printf("%-24s  %-16s  %7s  %12s  %9s\n", "NAME", "COLLECTION", "MEMBERS", "BEHIND",
               "SECONDS");
    }
    char members[16] = "-";
    if (consumer->group) {
        snprintf(members, sizeof(members), "%u", consumer->members);
    }
    printf("%-24s  %-16s  %7s  %12s  %9.1f\n", consumer->name, or_all(consumer->collection),
           members, cli_count_text(consumer->lag_events, events), consumer->lag_seconds);
}

static int consumers_page(struct cli *cli, struct freshet_consumer *page)
{
    char after[NAME_BYTES_MAX] = "";
    bool first = true;
    for (;;) {
        size_t count = 0;
        if (freshet_consumer_list(cli->db, first ? NULL : after, page, PAGE_MAX, &count) !=
            FRESHET_OK) {
            return cli_fail_handle(cli, NULL);
        }
        for (size_t i = 0; i < count; i++) {
            row_print(cli, &page[i], first && i == 0);
        }
        if (count < PAGE_MAX) {
            break;
        }
        snprintf(after, sizeof(after), "%s", page[count - 1].name);
        first = false;
    }
    return CLI_EXIT_CLEAN;
}

int cli_consumers_list(struct cli *cli)
{
    struct freshet_consumer *page = calloc(PAGE_MAX, sizeof(*page));
    if (page == NULL) {
        return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    int code = consumers_page(cli, page);
    free(page);
    return code;
}

int cli_consumers_get(struct cli *cli)
{
    struct freshet_consumer consumer;
    if (freshet_consumer_get(cli->db, cli->words[0], &consumer) != FRESHET_OK) {
        return cli_fail_handle(cli, cli->words[0]);
    }
    consumer_print(cli, &consumer);
    return CLI_EXIT_CLEAN;
}

int cli_consumers_put(struct cli *cli)
{
    const struct freshet_consumer_options options = {
        .collection = cli->texts[CLI_OPTION_COLLECTION],
        .pattern = cli->texts[CLI_OPTION_PATTERN],
        .start = cli->texts[CLI_OPTION_FROM],
        .group = cli_has(cli, CLI_OPTION_GROUP),
    };
    struct freshet_consumer consumer;
    if (freshet_consumer_put(cli->db, cli->words[0], &options, &consumer) != FRESHET_OK) {
        return cli_fail_handle(cli, cli->words[0]);
    }
    if (cli->json || !cli->quiet) {
        consumer_print(cli, &consumer);
    }
    return CLI_EXIT_CLEAN;
}

int cli_consumers_delete(struct cli *cli)
{
    if (freshet_consumer_delete(cli->db, cli->words[0]) != FRESHET_OK) {
        return cli_fail_handle(cli, cli->words[0]);
    }
    if (cli->json) {
        fputs("{\"name\":", stdout);
        cli_string_print(stdout, cli->words[0]);
        fputs(",\"outcome\":\"deleted\"}\n", stdout);
    } else if (!cli->quiet) {
        printf("%s  deleted\n", cli->words[0]);
    }
    return CLI_EXIT_CLEAN;
}
