/*
 * Rules as net/rest sees them, empty: its unit tests end before them, and integration tests drive
 * the real ones.
 */
#include "engine/shard/engine.h"
#include "net/webhook/webhooks.h"
#include "protocol/base/assert.h"

struct mailbox *engine_thread_mailbox(struct engine_thread *thread)
{
    (void)thread;
    UNREACHABLE();
}

void webhooks_prefix_write(struct bytes rule, struct writer *out)
{
    writer_put(out, rule);
}

bool webhooks_record_rule(struct bytes record, struct bytes *rule_out)
{
    *rule_out = record;
    return true;
}

void webhooks_record_write(struct bytes rule, uint64_t wall_ms, struct writer *document_out)
{
    (void)wall_ms;
    writer_put(document_out, rule);
}

void webhooks_redrive_submit(struct webhooks *webhooks, struct webhooks_redrive *redrive)
{
    (void)webhooks;
    (void)redrive;
    UNREACHABLE();
}

uint32_t webhooks_rule_count(struct webhooks *webhooks)
{
    (void)webhooks;
    return 0;
}

bool webhooks_rule_find(struct webhooks *webhooks, struct bytes name, struct webhooks_rule *out)
{
    (void)webhooks;
    (void)name;
    (void)out;
    return false;
}
