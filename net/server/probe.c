#include "net/server/probe.h"

#include <stddef.h>

struct family {
    const char *name;
    const char *type;
    const char *help;
    size_t offset; /* in struct stream_statistics */
};

static const struct family families[] = {
    {"subscriptions", "gauge", "Open subscriptions to changes, rules included.",
     offsetof(struct stream_statistics, subscriptions)},
    {"subscriptions_live", "gauge", "Subscriptions that stand at the newest change.",
     offsetof(struct stream_statistics, live)},
    {"subscriptions_stuck", "gauge", "Subscriptions whose client does not read.",
     offsetof(struct stream_statistics, stuck)},
    {"changes_delivered_total", "counter", "Changes given to subscriptions.",
     offsetof(struct stream_statistics, delivered)},
    {"changes_matched_total", "counter", "Changes that live subscriptions were matched against.",
     offsetof(struct stream_statistics, matched)},
    {"changes_older_reads_total", "counter",
     "Blocks of older changes read from the journal's files.",
     offsetof(struct stream_statistics, older_reads)},
    {"subscriptions_expired_total", "counter",
     "Subscriptions that ended because retention had passed them.",
     offsetof(struct stream_statistics, expired)},
    {"snapshot_records_total", "counter", "Records given in snapshots.",
     offsetof(struct stream_statistics, snapshot_rows)},
};

static uint64_t sum_of(const struct stream_statistics *const *streams, uint32_t count,
                       size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const void *at = (const char *)streams[i] + offset;
        sum += atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed);
    }
    return sum;
}

void probe_streams_write(const struct stream_statistics *const *streams, uint32_t count,
                         struct writer *text_out)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct family *family = &families[i];
        writer_text(text_out, "# HELP freshet_");
        writer_text(text_out, family->name);
        writer_u8(text_out, ' ');
        writer_text(text_out, family->help);
        writer_text(text_out, "\n# TYPE freshet_");
        writer_text(text_out, family->name);
        writer_u8(text_out, ' ');
        writer_text(text_out, family->type);
        writer_text(text_out, "\nfreshet_");
        writer_text(text_out, family->name);
        writer_u8(text_out, ' ');
        writer_decimal(text_out, sum_of(streams, count, family->offset));
        writer_u8(text_out, '\n');
    }
}
