/*
 * Waking those who wait for the published position to go on.
 *
 * Only an apply moves it on: an entry that is committed keeps it back until its shard has applied
 * it. So whoever has applied something looks how far it is now, at the end of its turn, and rings
 * who sleeps and has seen less.
 *
 * No wake-up is lost, because both sides pass through one variable, `followers`, with a
 * read-modify-write:
 *
 *     who applies:  applied := S;      pass;  published?  seen, sleeping of each  ->  ring
 *     who follows:  sleeping := true;  pass;  published > seen?  ->  stay awake
 *
 * Such operations on one variable have one order, and each sees all that came before the earlier
 * ones. If the follower passes first, who applies sees it asleep; else it sees what was applied.
 * Likewise of two threads that apply at the same time, the second to pass sees what both applied,
 * so at least it finds the position to which they have moved it together.
 */
#include "engine/shard/shard_internal.h"

/* So that retention, and what is kept in memory, do not run away from one that is left asleep. */
#define FOLLOW_BEHIND_MAX 256

/* Returns how many threads follow. */
static uint32_t pass(struct engine *engine)
{
    return atomic_fetch_add(&engine->followers, 0);
}

void engine_thread_follow(struct engine_thread *thread, uint64_t seen_sequence)
{
    uint64_t before = atomic_load_explicit(&thread->seen, memory_order_relaxed);
    bool was = before != UINT64_MAX;
    bool is = seen_sequence != UINT64_MAX;
    atomic_store_explicit(&thread->seen, seen_sequence, memory_order_relaxed);
    if (is && !was) {
        atomic_fetch_add(&thread->engine->followers, 1);
    } else if (was && !is) {
        uint32_t count = atomic_fetch_sub(&thread->engine->followers, 1);
        ASSERT(count > 0);
    }
}

void engine_thread_follow_internal(struct engine_thread *thread, bool only_internal)
{
    atomic_store_explicit(&thread->only_internal, only_internal, memory_order_relaxed);
}

void follow_applied_internal(struct engine *engine, uint64_t sequence)
{
    uint64_t before = atomic_load_explicit(&engine->internal_applied, memory_order_relaxed);
    while (before < sequence &&
           !atomic_compare_exchange_weak_explicit(&engine->internal_applied, &before, sequence,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

bool engine_internal_since(const struct engine *engine, uint64_t sequence)
{
    return atomic_load_explicit(&engine->internal_applied, memory_order_relaxed) >= sequence;
}

/* After pass. An internal entry that is applied and not yet published is news when it is: published
 * is then beyond what was seen, whatever has moved it on. */
static bool has_news(const struct engine *engine, const struct engine_thread *thread,
                     uint64_t published)
{
    uint64_t seen = atomic_load_explicit(&thread->seen, memory_order_relaxed);
    if (seen >= published) {
        return false;
    }
    return !atomic_load_explicit(&thread->only_internal, memory_order_relaxed) ||
           seen < atomic_load_explicit(&engine->internal_applied, memory_order_relaxed) ||
           published - seen > FOLLOW_BEHIND_MAX;
}

void follow_publish(struct engine_thread *thread)
{
    struct engine *engine = thread->engine;
    uint32_t followers = pass(engine);
    if (followers == 0) {
        return;
    }
    uint64_t published = engine_published(engine);
    for (uint32_t i = 0; i < engine_thread_count(engine); i++) {
        struct engine_thread *other = &engine->threads[i];
        /* This thread is awake, and looks again before it sleeps. */
        if (other != thread && has_news(engine, other, published) &&
            mailbox_rouse(&other->mailbox)) {
            thread->bells[i / 64] |= 1ull << (i % 64);
        }
    }
}

bool engine_thread_has_work(const struct engine_thread *thread)
{
    return mailbox_has_mail(&thread->mailbox) ||
           has_news(thread->engine, thread, engine_published(thread->engine));
}

bool engine_thread_sleep_begin(struct engine_thread *thread)
{
    if (!mailbox_sleep_begin(&thread->mailbox)) {
        return false;
    }
    if (atomic_load_explicit(&thread->seen, memory_order_relaxed) == UINT64_MAX) {
        return true;
    }
    (void)pass(thread->engine);
    if (has_news(thread->engine, thread, engine_published(thread->engine))) {
        mailbox_sleep_end(&thread->mailbox);
        return false;
    }
    return true;
}

void engine_thread_sleep_end(struct engine_thread *thread)
{
    mailbox_sleep_end(&thread->mailbox);
}
