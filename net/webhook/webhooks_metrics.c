#include <inttypes.h>
#include <stdio.h>

#include "net/webhook/webhooks_internal.h"

/* ---- what a rule looks like to others ---- */

/* Its subscription has nothing more to give it. */
static bool has_caught_up(const struct runner *runner)
{
    return runner->is_subscribed && !runner->has_ended &&
           runner->subscription.state == SUBSCRIPTION_LIVE;
}

void runner_show(struct runner *runner)
{
    struct webhooks_rule shown = runner->counts;
    shown.status = runner->status;
    shown.position = window_position(runner);
    shown.is_behind = window_count(runner) > 0 || !has_caught_up(runner);
    shown.oldest_ms = window_oldest_ms(runner);
    shown.in_flight = runner->slots;
    shown.waiting = window_count(runner);
    memcpy(shown.reason, runner->reason, sizeof(shown.reason));
    bool is_shown = runner->rule != NULL && !runner->is_removing;
    pthread_mutex_lock(&runner->webhooks->shown_lock);
    runner->shown = shown;
    runner->is_shown = is_shown;
    pthread_mutex_unlock(&runner->webhooks->shown_lock);
}

bool webhooks_rule_find(struct webhooks *webhooks, struct bytes name, struct webhooks_rule *out)
{
    pthread_mutex_lock(&webhooks->shown_lock);
    const struct runner *runner = runner_find(webhooks, name);
    bool found = runner != NULL && runner->is_shown;
    if (found) {
        *out = runner->shown;
    }
    pthread_mutex_unlock(&webhooks->shown_lock);
    return found;
}

uint32_t webhooks_rule_count(struct webhooks *webhooks)
{
    pthread_mutex_lock(&webhooks->shown_lock);
    uint32_t count = webhooks->runner_count;
    pthread_mutex_unlock(&webhooks->shown_lock);
    return count;
}

/* ---- metrics ---- */

enum metric {
    METRIC_TRIGGERED,
    METRIC_MATCHED,
    METRIC_INVOCATIONS,
    METRIC_FAILED,
    METRIC_ATTEMPTS,
    METRIC_RETRIES,
    METRIC_THROTTLED,
    METRIC_IN_FLIGHT,
    METRIC_WAITING,
    METRIC_PARKED,
    METRIC_DEAD_LETTERS,
    METRIC_LAG_EVENTS,
    METRIC_LAG_SECONDS,
    METRIC_EXPIRED,
    METRIC_ENABLED,
};

static const struct {
    enum metric metric;
    const char *name;
    const char *type;
    const char *help;
} families[] = {
    {METRIC_TRIGGERED, "rule_triggered_total", "counter",
     "TriggeredRules: changes that triggered the rule."},
    {METRIC_MATCHED, "rule_matched_events_total", "counter",
     "MatchedEvents: changes that matched the rule's pattern."},
    {METRIC_INVOCATIONS, "rule_invocations_total", "counter",
     "Invocations: changes that were delivered to the target, or given up; retries do not count."},
    {METRIC_FAILED, "rule_failed_invocations_total", "counter",
     "FailedInvocations: changes that were given up and are dead letters."},
    {METRIC_ATTEMPTS, "rule_invocation_attempts_total", "counter",
     "InvocationAttempts: calls, with retries."},
    {METRIC_RETRIES, "rule_retry_invocation_attempts_total", "counter",
     "RetryInvocationAttempts: calls after the first of a change."},
    {METRIC_THROTTLED, "rule_throttled_total", "counter",
     "ThrottledRules: calls after which the target was left alone for a while."},
    {METRIC_IN_FLIGHT, "rule_calls_in_flight", "gauge", "Calls that have not ended."},
    {METRIC_WAITING, "rule_waiting_changes", "gauge",
     "Changes in memory that are neither delivered nor parked."},
    {METRIC_PARKED, "rule_parked_changes", "gauge", "Changes that wait for another try."},
    {METRIC_DEAD_LETTERS, "rule_dead_letters", "gauge", "Changes that were given up."},
    {METRIC_LAG_EVENTS, "rule_lag_events", "gauge",
     "Entries of the journal that the rule has not passed."},
    {METRIC_LAG_SECONDS, "rule_lag_seconds", "gauge",
     "Age of the oldest change in memory that is neither delivered nor parked."},
    {METRIC_EXPIRED, "rule_positions_expired_total", "counter",
     "Times that the journal no longer had what the rule had not seen."},
    {METRIC_ENABLED, "rule_enabled", "gauge", "1: the rule runs; 0: it is off, or disabled."},
};

static void value_write(struct writer *out, const struct webhooks *webhooks,
                        const struct webhooks_rule *rule, enum metric metric, uint64_t wall_ms)
{
    uint64_t published = engine_published(webhooks->options.engine);
    uint64_t lag_ms =
        rule->oldest_ms > 0 && wall_ms > rule->oldest_ms ? wall_ms - rule->oldest_ms : 0;
    char text[32];
    uint64_t value = 0;
    switch (metric) {
    case METRIC_TRIGGERED:
    case METRIC_MATCHED:
        value = rule->matched;
        break;
    case METRIC_INVOCATIONS:
        value = rule->delivered + rule->failed;
        break;
    case METRIC_FAILED:
        value = rule->failed;
        break;
    case METRIC_ATTEMPTS:
        value = rule->attempts;
        break;
    case METRIC_RETRIES:
        value = rule->retries;
        break;
    case METRIC_THROTTLED:
        value = rule->throttled;
        break;
    case METRIC_IN_FLIGHT:
        value = rule->in_flight;
        break;
    case METRIC_WAITING:
        value = rule->waiting;
        break;
    case METRIC_PARKED:
        value = rule->parked;
        break;
    case METRIC_DEAD_LETTERS:
        value = rule->dead_letters;
        break;
    case METRIC_LAG_EVENTS:
        value = webhooks_rule_lag(rule, published);
        break;
    case METRIC_EXPIRED:
        value = rule->expired;
        break;
    case METRIC_ENABLED:
        value = rule->status == WEBHOOKS_RULE_ACTIVE;
        break;
    case METRIC_LAG_SECONDS:
        snprintf(text, sizeof(text), "%" PRIu64 ".%03u", lag_ms / 1000, (unsigned)(lag_ms % 1000));
        writer_text(out, text);
        return;
    }
    writer_decimal(out, value);
}

void webhooks_metrics(struct webhooks *webhooks, uint64_t wall_ms, struct writer *text_out)
{
    char line[512];
    pthread_mutex_lock(&webhooks->shown_lock);
    for (size_t index = 0; index < sizeof(families) / sizeof(families[0]); index++) {
        const char *name = families[index].name;
        snprintf(line, sizeof(line), "# HELP freshet_%s %s\n# TYPE freshet_%s %s\n", name,
                 families[index].help, name, families[index].type);
        writer_text(text_out, line);
        for (struct link *link = webhooks->runners.next; link != &webhooks->runners;
             link = link->next) {
            const struct runner *runner = CONTAINER_OF(link, struct runner, link);
            if (!runner->is_shown) {
                continue;
            }
            snprintf(line, sizeof(line), "freshet_%s{rule=\"%.*s\"} ", name, (int)runner->name_size,
                     (const char *)runner->name);
            writer_text(text_out, line);
            value_write(text_out, webhooks, &runner->shown, families[index].metric, wall_ms);
            writer_u8(text_out, '\n');
        }
    }
    pthread_mutex_unlock(&webhooks->shown_lock);
}
