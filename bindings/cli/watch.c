/* watch: changes as they happen, from where one likes, across restarts of the server. */
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define TURN_MS         100 /* between looks for a signal */
#define PAUSE_MS_FIRST  100
#define PAUSE_MS_MOST   2000
#define ACK_CHANGES_MAX 1000
/* Of an RFC 3339 time: the hour to the milliseconds. */
#define CLOCK_FROM 11
#define CLOCK_SIZE 12

struct watch {
    struct cli *cli;
    struct freshet_subscribe_options options;
    struct freshet_subscription *subscription;
    char position[POSITION_TEXT_BYTES_MAX + 1]; /* of the last change that was printed */
    uint64_t printed;
    uint64_t not_acknowledged;
    bool lost; /* the server, and it was told */
};

/* ---- printing ---- */

static const char *event_text(enum freshet_event event)
{
    switch (event) {
    case FRESHET_INSERT:
        return "INSERT";
    case FRESHET_MODIFY:
        return "MODIFY";
    case FRESHET_REMOVE:
        return "REMOVE";
    case FRESHET_USER_EVENT:
        return "EVENT";
    case FRESHET_SNAPSHOT:
        return "RECORD";
    case FRESHET_SYNCED:
        return "SYNCED";
    case FRESHET_PROGRESS:
        return "PROGRESS";
    }
    return "";
}

static const char *event_colour(enum freshet_event event)
{
    switch (event) {
    case FRESHET_INSERT:
        return "\033[32m";
    case FRESHET_MODIFY:
        return "\033[33m";
    case FRESHET_REMOVE:
        return "\033[31m";
    case FRESHET_USER_EVENT:
        return "\033[35m";
    case FRESHET_SNAPSHOT:
    case FRESHET_SYNCED:
        return "\033[34m";
    case FRESHET_PROGRESS:
        return "";
    }
    return "";
}

static struct bytes member_text(struct bytes change, struct bytes name)
{
    struct bytes value;
    struct bytes text = BYTES_EMPTY;
    if (document_find(change, name, &value)) {
        (void)document_string(value, &text);
    }
    return text;
}

static void text_print(const char *before, struct bytes text)
{
    fputs(before, stdout);
    cli_text_print(stdout, text);
}

static void changed_print(struct bytes change)
{
    struct bytes value;
    struct bytes name;
    struct document_cursor cursor;
    if (!document_find(change, BYTES_LITERAL("changed"), &value) ||
        !document_cursor_open(value, &cursor)) {
        return;
    }
    for (const char *before = "  "; document_next_element(&cursor, &name); before = ", ") {
        struct bytes text;
        if (document_string(name, &text)) {
            text_print(before, text);
        }
    }
}

/* 12:03:04.123  MODIFY  products/42  v7  price, title */
static void line_print(const struct watch *watch, const struct freshet_change *change)
{
    bool colour = watch->cli->colour;
    uint8_t *memory = NULL;
    struct bytes whole = BYTES_EMPTY;
    /* Without memory, the line is shorter. */
    if (change->data_size > 0 && json_rendered_read(bytes_of(change->data, change->data_size),
                                                    &memory, &whole) != STATUS_OK) {
        whole = BYTES_EMPTY;
    }
    struct bytes time = member_text(whole, BYTES_LITERAL("time"));
    time = bytes_slice(time, CLOCK_FROM, CLOCK_SIZE);
    cli_text_print(stdout, time);
    printf("%*s  %s%-6s%s", CLOCK_SIZE - (int)time.size, "",
           colour ? event_colour(change->event) : "", event_text(change->event),
           colour ? "\033[0m" : "");
    if (change->event == FRESHET_USER_EVENT) {
        text_print("  ", member_text(whole, BYTES_LITERAL("source")));
        text_print("  ", member_text(whole, BYTES_LITERAL("detail-type")));
    } else if (change->event != FRESHET_SYNCED) {
        text_print("  ", bytes_of_text(change->collection));
        text_print("/", bytes_of_text(change->id));
        if (change->version > 0) {
            printf("  v%llu", (unsigned long long)change->version);
        }
        changed_print(whole);
        struct bytes transition = member_text(whole, BYTES_LITERAL("transition"));
        if (transition.size > 0) {
            text_print("  ", transition);
        }
    }
    fputc('\n', stdout);
    free(memory);
}

/* The change as REST has it, with the position in front. */
static void json_print(const struct freshet_change *change)
{
    fputs("{\"position\":", stdout);
    cli_string_print(stdout, change->position);
    if (change->event == FRESHET_SNAPSHOT) {
        fputs(",\"snapshot\":true", stdout);
    }
    if (change->event == FRESHET_SYNCED) {
        fputs(",\"synced\":true", stdout);
    }
    if (change->data_size > 1) { /* without its opening brace */
        fputc(',', stdout);
        cli_text_print(stdout, bytes_of(change->data + 1, change->data_size - 1));
    } else {
        fputc('}', stdout);
    }
    fputc('\n', stdout);
}

static void change_take(struct watch *watch, const struct freshet_change *change)
{
    ASSERT(watch->subscription != NULL);
    snprintf(watch->position, sizeof(watch->position), "%s", change->position);
    if (watch->lost) {
        watch->lost = false;
        cli_notice(watch->cli, "the server is back");
    }
    if (change->event == FRESHET_PROGRESS) {
        return;
    }
    if (watch->cli->json) {
        json_print(change);
    } else {
        line_print(watch, change);
    }
    watch->printed += change->event != FRESHET_SYNCED;
    watch->not_acknowledged++;
}

/* ---- the subscription ---- */

/* What was printed is on its way to the reader; only then it is done with. */
static enum freshet_status settle(struct watch *watch)
{
    if (fflush(stdout) != 0 || watch->not_acknowledged == 0 ||
        !cli_has(watch->cli, CLI_OPTION_ACK)) {
        return FRESHET_OK;
    }
    enum freshet_status status = freshet_acknowledge(watch->subscription);
    watch->not_acknowledged = status == FRESHET_OK ? 0 : watch->not_acknowledged;
    return status;
}

static bool is_over(const struct watch *watch)
{
    return cli_signals_came() ||
           watch->printed >= cli_number(watch->cli, CLI_OPTION_COUNT, UINT64_MAX) ||
           ferror(stdout) != 0;
}

/* Until it is over (OK), or the subscription has ended (why). */
static enum freshet_status follow(struct watch *watch)
{
    enum freshet_status status = FRESHET_OK;
    int timeout_ms = 0;
    ASSERT(watch->subscription != NULL);
    while (status == FRESHET_OK && !is_over(watch)) {
        struct freshet_change change;
        status = freshet_next(watch->subscription, timeout_ms, &change);
        timeout_ms = 0;
        if (status == FRESHET_OK) {
            change_take(watch, &change);
            status = watch->not_acknowledged < ACK_CHANGES_MAX ? FRESHET_OK : settle(watch);
        } else if (status == FRESHET_AGAIN) {
            status = settle(watch);
            timeout_ms = TURN_MS;
        }
    }
    return status == FRESHET_OK ? settle(watch) : status;
}

static bool is_of_the_connection(enum freshet_status status)
{
    return status == FRESHET_DISCONNECTED || status == FRESHET_TIMEOUT || status == FRESHET_BUSY ||
           status == FRESHET_PROTOCOL;
}

/* A group's member is ended when its share moves to others, and asks again for what is left. */
static bool has_moved(const struct watch *watch, enum freshet_status status)
{
    return status == FRESHET_CONFLICT && watch->options.member != NULL;
}

/* Leaves the subscription for another one from where it was; false: it is over. */
static bool begin_again(struct watch *watch, enum freshet_status status, uint64_t pause_ms)
{
    freshet_unsubscribe(watch->subscription);
    watch->subscription = NULL;
    watch->not_acknowledged = 0; /* it comes again */
    if (!watch->lost && is_of_the_connection(status)) {
        cli_notice(watch->cli, "the server is gone; waiting for it");
        watch->lost = true;
    }
    if (watch->position[0] != '\0' && watch->options.consumer == NULL) {
        watch->options.start = watch->position;
    }
    cli_pause(pause_ms);
    return !is_over(watch);
}

/* Subscribes again and again until it is over. Once subscribed, a lost server is waited for. */
static enum freshet_status follow_for_good(struct watch *watch)
{
    uint64_t pause_ms = PAUSE_MS_FIRST;
    bool subscribed = false;
    for (;;) {
        enum freshet_status status =
            freshet_subscribe(watch->cli->db, &watch->options, &watch->subscription);
        if (status == FRESHET_OK) {
            subscribed = true;
            pause_ms = PAUSE_MS_FIRST;
            status = follow(watch);
        }
        if (status == FRESHET_OK || !subscribed ||
            (!is_of_the_connection(status) && !has_moved(watch, status))) {
            return status;
        }
        if (!begin_again(watch, status, pause_ms)) {
            return FRESHET_OK;
        }
        pause_ms = 2 * pause_ms < PAUSE_MS_MOST ? 2 * pause_ms : PAUSE_MS_MOST;
    }
}

static enum freshet_view view_of(const char *text)
{
    static const struct {
        const char *name;
        enum freshet_view view;
    } views[] = {
        {"both", FRESHET_VIEW_BOTH},
        {"keys", FRESHET_VIEW_KEYS},
        {"new", FRESHET_VIEW_NEW},
        {"old", FRESHET_VIEW_OLD},
    };
    for (size_t i = 0; text != NULL && i < sizeof(views) / sizeof(views[0]); i++) {
        if (strcmp(views[i].name, text) == 0) {
            return views[i].view;
        }
    }
    return FRESHET_VIEW_BOTH;
}

static void position_tell(const struct watch *watch)
{
    const struct cli *cli = watch->cli;
    const char *position = watch->position;
    if (position[0] == '\0' && watch->subscription != NULL) {
        position = freshet_position(watch->subscription);
    }
    if (position == NULL || position[0] == '\0' || cli->quiet || watch->options.consumer != NULL) {
        return;
    }
    if (cli->json) {
        fputs("{\"position\":", stderr);
        cli_string_print(stderr, position);
        fputs("}\n", stderr);
    } else {
        fprintf(stderr, "freshet: watch: to go on from here: --from %s\n", position);
    }
}

int cli_watch(struct cli *cli)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    watch->cli = cli;
    watch->options = (struct freshet_subscribe_options){
        .collection = cli->word_count > 0 ? cli->words[0] : NULL,
        .pattern = cli->texts[CLI_OPTION_PATTERN],
        .start = cli->texts[CLI_OPTION_FROM],
        .view = view_of(cli->texts[CLI_OPTION_VIEW]),
        .enter_leave = cli_has(cli, CLI_OPTION_ENTER_LEAVE),
        .wants_progress = true, /* so that the position moves on where nothing matches */
        .consumer = cli->texts[CLI_OPTION_CONSUMER],
        .member = cli->texts[CLI_OPTION_MEMBER],
    };
    cli_signals_hold();
    enum freshet_status status = follow_for_good(watch);
    int code =
        status == FRESHET_OK ? CLI_EXIT_CLEAN : cli_fail_handle(cli, watch->options.collection);
    fflush(stdout);
    position_tell(watch);
    freshet_unsubscribe(watch->subscription);
    free(watch);
    return code;
}
