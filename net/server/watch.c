#include "net/server/watch.h"

/* Writes are accepted again: what ended is what was refused for. */
static void accepting_say(enum status refused, struct log *log)
{
    if (refused == STATUS_BUSY || refused == STATUS_DISK_FULL) {
        log_event(log, LOG_INFO, "there is room on the disk again: writes are accepted", NULL, 0);
        return;
    }
    log_say(log, LOG_INFO, "a journal segment can be prepared again: writes are accepted",
            LOG_TEXT("ended", status_text(refused)));
}

static void refusing_say(enum status said, enum status refusing, struct log *log)
{
    switch ((int)refusing) {
    case STATUS_OK:
        accepting_say(said, log);
        return;
    case STATUS_BUSY:
        log_event(log, LOG_WARNING,
                  "less room on the disk than disk_reserve: writes are refused until there is more",
                  NULL, 0);
        return;
    case STATUS_DISK_FULL:
        log_event(log, LOG_ERROR,
                  "the disk is full: writes are refused until there is room for a journal segment",
                  NULL, 0);
        return;
    default:
        log_say(log, LOG_ERROR, "no journal segment can be prepared: writes are refused",
                LOG_TEXT("error", status_text(refusing)));
        return;
    }
}

void watch_step(struct watch *watch, const struct engine_health *now, struct log *log)
{
    if (now->journal_read_only && !watch->said.journal_read_only) {
        log_event(log, LOG_ERROR,
                  "a write or a sync of the journal failed: writes are refused, reads go on; check "
                  "the disk, then restart",
                  NULL, 0);
    }
    if (now->journal_refusing != watch->said.journal_refusing) {
        refusing_say(watch->said.journal_refusing, now->journal_refusing, log);
    }
    if (now->store_failure != STATUS_OK && watch->said.store_failure == STATUS_OK) {
        const char *text = now->store_failure_text;
        log_say(log, LOG_ERROR,
                "a record store failed: its shard takes no writes, reads go on; check the disk, "
                "then restart, which applies what the journal has",
                LOG_NUMBER("shard", now->store_failed_shard),
                LOG_TEXT("error", text == NULL ? status_text(now->store_failure) : text));
    }
    watch->said = *now;
}
