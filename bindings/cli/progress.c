#include "bindings/cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define DRAW_NS      100000000u
#define CELLS_MAX    30
#define COLUMNS_TEXT 62 /* what stands beside the bar, at its longest */
#define SECOND_NS    1e9

static bool utf8_wanted(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
        }
    }
    return false;
}

void progress_begin(struct progress *progress, const struct cli *cli, const char *title,
                    const char *unit, uint64_t total)
{
    *progress = (struct progress){
        .shown = cli->err_terminal && !cli->quiet && !cli->json,
        .wide_characters = utf8_wanted(),
        .title = title,
        .unit = unit,
        .total = total,
        .started_ns = cli_now_ns(),
    };
}

/* The bar's cells that fit beside the text; 0: there is no room for one. */
static unsigned cells_that_fit(void)
{
    struct winsize size;
    unsigned columns = 80;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        columns = size.ws_col;
    }
    unsigned left = columns > COLUMNS_TEXT ? columns - COLUMNS_TEXT : 0;
    return left < CELLS_MAX ? left : CELLS_MAX;
}

static void bar_draw(const struct progress *progress, double part)
{
    unsigned cells = cells_that_fit();
    unsigned full = (unsigned)(part * cells);
    ASSERT(full <= cells);
    for (unsigned i = 0; i < cells; i++) {
        if (progress->wide_characters) {
            fputs(i < full ? "█" : "░", stderr);
        } else {
            fputc(i < full ? '#' : '.', stderr);
        }
    }
    fprintf(stderr, "  %3.0f %%  ", part * 100);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t count)
{
    uint64_t now_ns = cli_now_ns();
    ASSERT(now_ns >= progress->started_ns);
    if (!progress->shown || (progress->drawn_ns != 0 && now_ns - progress->drawn_ns < DRAW_NS)) {
        return;
    }
    char text[CLI_COUNT_BYTES_MAX];
    double spent_s = (double)(now_ns - progress->started_ns) / SECOND_NS;
    double part = 0;
    fprintf(stderr, "\r%s  ", progress->title);
    if (progress->total > 0) {
        part = done < progress->total ? (double)done / (double)progress->total : 1;
        bar_draw(progress, part);
    }
    fprintf(stderr, "%s %s", cli_count_text(count, text), progress->unit);
    if (spent_s > 0) {
        fprintf(stderr, "  %s/s", cli_count_text((uint64_t)((double)count / spent_s), text));
    }
    if (part > 0 && part < 1) {
        unsigned left_s = (unsigned)(spent_s / part * (1 - part) + 0.5);
        fprintf(stderr, "  ETA %u:%02u", left_s / 60, left_s % 60);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
    progress->drawn_ns = now_ns;
}

void progress_end(struct progress *progress)
{
    if (progress->shown && progress->drawn_ns != 0) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->shown = false;
}
