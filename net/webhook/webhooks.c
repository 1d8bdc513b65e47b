#include "net/webhook/webhooks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/webhook/webhooks_internal.h"

#define SAY_BYTES_MAX 1024

void webhooks_say(const struct webhooks *webhooks, int level, const char *format, ...)
{
    char text[SAY_BYTES_MAX];
    va_list arguments;
    if (webhooks->options.log == NULL) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    webhooks->options.log(webhooks->options.log_context, level, text);
}

/* splitmix64 */
uint64_t webhooks_random(struct webhooks *webhooks)
{
    uint64_t mixed = webhooks->random += 0x9E3779B97F4A7C15ull;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBull;
    return mixed ^ mixed >> 31;
}

/* ---- life ---- */

enum status webhooks_create(const struct webhooks_options *options, struct webhooks **out)
{
    ASSERT(options->engine != NULL);
    ASSERT(options->calls != NULL);
    *out = NULL;
    struct webhooks *webhooks = calloc(1, sizeof(*webhooks));
    if (webhooks == NULL) {
        return STATUS_NO_MEMORY;
    }
    webhooks->options = *options;
    webhooks->store_id = engine_journal(options->engine)->store_id;
    webhooks->random = options->seed;
    link_init(&webhooks->runners);
    link_init(&webhooks->active);
    link_init(&webhooks->touched);
    link_init(&webhooks->operations);
    webhooks->scratch = malloc(CALL_SCRATCH_BYTES);
    if (webhooks->scratch == NULL || pthread_mutex_init(&webhooks->shown_lock, NULL) != 0) {
        free(webhooks->scratch);
        free(webhooks);
        return STATUS_NO_MEMORY;
    }
    *out = webhooks;
    return STATUS_OK;
}

void webhooks_destroy(struct webhooks **webhooks_at)
{
    struct webhooks *webhooks = *webhooks_at;
    if (webhooks == NULL) {
        return;
    }
    webhooks_drain(webhooks);
    calls_cut(webhooks->options.calls);
    while (!list_is_empty(&webhooks->runners)) {
        struct runner *runner = CONTAINER_OF(list_first(&webhooks->runners), struct runner, link);
        items_free(runner);
        runner_free(runner);
    }
    while (!list_is_empty(&webhooks->operations)) {
        free(CONTAINER_OF(list_pop_front(&webhooks->operations), struct operation, link));
    }
    pthread_mutex_destroy(&webhooks->shown_lock);
    free(webhooks->heap);
    free(webhooks->scratch);
    free(webhooks);
    *webhooks_at = NULL;
}

void webhooks_drain(struct webhooks *webhooks)
{
    if (!webhooks->draining) {
        webhooks->draining = true;
        rules_drain(webhooks);
    }
}

bool webhooks_idle(const struct webhooks *webhooks)
{
    return webhooks->requests == 0 && webhooks->calls == 0 && webhooks->redrive == NULL &&
           list_is_empty(&webhooks->touched);
}

/* ---- a turn ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Calls that do not end by themselves are cut, as they would be by a crash: they come again. */
static uint64_t drain_step(struct webhooks *webhooks)
{
    if (!webhooks->draining || webhooks->calls == 0) {
        return UINT64_MAX;
    }
    if (webhooks->cut_ns == 0) {
        webhooks->cut_ns = webhooks->now_ns + DRAIN_NS;
    }
    if (webhooks->now_ns >= webhooks->cut_ns) {
        calls_cut(webhooks->options.calls);
        return 0;
    }
    return webhooks->cut_ns;
}

/* Who is stuck for want of memory is told by nobody that there is some again. */
static uint64_t stuck_step(struct webhooks *webhooks, bool *more)
{
    if (webhooks->stuck_count == 0 || webhooks->draining) {
        return UINT64_MAX;
    }
    if (webhooks->room_made || webhooks->now_ns >= webhooks->stuck_look_ns) {
        uint32_t before = webhooks->stuck_count;
        webhooks->stuck_look_ns = webhooks->now_ns + AGAIN_NS;
        rules_resume(webhooks);
        *more = *more || webhooks->stuck_count < before;
    }
    return webhooks->stuck_look_ns;
}

uint64_t webhooks_step(struct webhooks *webhooks, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(now_ns >= webhooks->now_ns);
    webhooks->now_ns = now_ns;
    webhooks->wall_ms = wall_ms;
    bool more = calls_step(webhooks->options.calls);
    uint64_t deadline_ns = load_step(webhooks);
    deadline_ns = earlier(deadline_ns, items_due(webhooks));
    if (calls_dispatch(webhooks)) {
        /* So that they go out now, and not after the next sleep. */
        more = calls_step(webhooks->options.calls) || more;
    }
    deadline_ns = earlier(deadline_ns, calls_deadline(webhooks));
    deadline_ns = earlier(deadline_ns, drain_step(webhooks));
    more = rules_step(webhooks) || more;
    deadline_ns = earlier(deadline_ns, webhooks->rules_deadline_ns);
    deadline_ns = earlier(deadline_ns, stuck_step(webhooks, &more));
    return more ? 0 : deadline_ns;
}

void webhooks_wait(struct webhooks *webhooks, uint64_t timeout_ns)
{
    calls_wait(webhooks->options.calls, timeout_ns);
}

void webhooks_wake(struct webhooks *webhooks)
{
    calls_wake(webhooks->options.calls);
}
