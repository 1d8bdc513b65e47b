#include "net/server/command_check.h"

#include <stdlib.h>
#include <string.h>

#include "engine/journal/disk_blocking.h"
#include "protocol/base/assert.h"

#define PATH_BYTES_MAX 4096

struct check {
    const struct command_check_visitor *visitor;
    uint64_t entries;
    uint64_t first_sequence;
    uint64_t last_sequence;
    uint64_t segments;
    struct journal_recovered recovered;
    struct journal_problem problem;
};

static const char *tail_text(enum journal_tail tail)
{
    switch (tail) {
    case JOURNAL_TAIL_NEW:
        return "new";
    case JOURNAL_TAIL_CLEAN:
        return "clean";
    case JOURNAL_TAIL_UNCLEAN:
        return "unclean";
    case JOURNAL_TAIL_TORN:
        return "torn";
    }
    UNREACHABLE();
}

/* Problem texts are ours and names of files are digits and letters, but a folder's name may be
 * anything. */
static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char at = (unsigned char)*text;
        if (at == '"' || at == '\\') {
            fprintf(out, "\\%c", at);
        } else if (at < 0x20) {
            fprintf(out, "\\u%04x", at);
        } else {
            fputc(at, out);
        }
    }
    fputc('"', out);
}

static void print_summary(const struct check *check, enum status status, FILE *out)
{
    fprintf(out,
            "{\"event\":\"journal\",\"ok\":%s,\"segments\":%llu,\"entries\":%llu,"
            "\"first_sequence\":%llu,\"last_sequence\":%llu,\"epochs\":%llu,\"tail\":\"%s\"",
            status == STATUS_OK ? "true" : "false", (unsigned long long)check->segments,
            (unsigned long long)check->entries, (unsigned long long)check->first_sequence,
            (unsigned long long)check->last_sequence, (unsigned long long)check->recovered.epochs,
            tail_text(check->recovered.tail));
    if (status != STATUS_OK) {
        fprintf(out, ",\"file\":");
        print_text(out, check->problem.file);
        fprintf(out, ",\"offset\":%llu,\"problem\":", (unsigned long long)check->problem.offset);
        print_text(out, check->problem.text[0] != '\0' ? check->problem.text : status_text(status));
    }
    fprintf(out, "}\n");
}

static enum status check_entry(void *context, const struct entry *entry)
{
    struct check *check = context;
    ASSERT(check->entries == 0 || entry->sequence == check->last_sequence + 1);
    if (check->entries == 0) {
        check->first_sequence = entry->sequence;
    }
    check->entries++;
    check->last_sequence = entry->sequence;
    return check->visitor == NULL ? STATUS_OK
                                  : check->visitor->visit(check->visitor->context, entry);
}

static enum status check_entries(struct check *check, struct journal *journal)
{
    struct journal_statistics statistics;
    journal_statistics_read(journal, &statistics);
    check->segments = statistics.segments;
    check->recovered = journal_segments_recovered(journal);
    struct journal_reader *reader;
    enum status status = journal_reader_create(journal, statistics.oldest_sequence, &reader);
    if (status == STATUS_POSITION_EXPIRED && statistics.oldest_sequence == 0) {
        return STATUS_OK; /* older entries were recycled, and there are no newer ones yet */
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = journal_fold(journal, reader, check_entry, check);
    check->problem = reader->problem;
    journal_reader_destroy(journal, reader);
    return status;
}

static enum status check_disk(struct check *check, struct disk *disk)
{
    struct journal_options options = {.disk = disk, .read_only = true};
    struct journal *journal;
    enum status status = journal_segments_open(&options, NULL, &journal, &check->problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = check_entries(check, journal);
    journal_close(journal);
    return status;
}

int command_check_journal(const char *data_folder, const struct command_check_visitor *visitor,
                          FILE *out)
{
    struct check check = {.visitor = visitor};
    char folder[PATH_BYTES_MAX];
    int written = snprintf(folder, sizeof(folder), "%s/%s", data_folder, COMMAND_CHECK_JOURNAL);
    if (written < 0 || (size_t)written >= sizeof(folder)) {
        fprintf(stderr, "freshet: check: the path of the data directory is too long\n");
        return 1;
    }
    struct disk_blocking_options options = {.folder = folder, .read_only = true};
    struct disk *disk;
    enum status status = disk_blocking_create(&options, &disk);
    if (status != STATUS_OK) {
        fprintf(stderr, "freshet: check: %s: %s; name a data directory with --data\n", folder,
                status == STATUS_NOT_FOUND ? "there is no journal here" : status_text(status));
        return 1;
    }
    status = check_disk(&check, disk);
    disk->vtable->destroy(disk);
    print_summary(&check, status, out);
    return status == STATUS_OK ? 0 : 1;
}
