#include "engine/filter/matcher.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

/* A memo holds the epoch and, in its last two bits, a judgement. */
#define EPOCH_MAX (UINT32_MAX >> 2)
/* What one event needs beyond this is given back after it. */
#define VALUES_KEPT 4096
/* With so many postings a condition is judged before their guards, not behind them. */
#define JUDGED_FIRST 4
/* So many reads of memory are under way together. */
#define BATCH 24
/* Of a list of postings so many are asked for; the processor sees the rest coming. */
#define POSTINGS_SEEN 24

static_assert(sizeof(struct posting) == 32, "two postings in a cache line");

/* ---- making, ending ---- */

static void pool_init(struct pool *pool, size_t item_bytes)
{
    *pool = (struct pool){.item_bytes = item_bytes, .free_first = NONE};
}

enum status matcher_create(struct matcher **out)
{
    ASSERT(out != NULL);
    *out = NULL;
    struct matcher *matcher = calloc(1, sizeof(*matcher));
    if (matcher == NULL) {
        return STATUS_NO_MEMORY;
    }
    matcher->bytes = sizeof(*matcher);
    pool_init(&matcher->fields, sizeof(struct field));
    pool_init(&matcher->conditions, sizeof(struct shared_condition));
    pool_init(&matcher->hooks, sizeof(struct hook));
    pool_init(&matcher->racks, sizeof(struct rack));
    pool_init(&matcher->blocks, sizeof(struct range_block));
    pool_init(&matcher->alternatives, sizeof(struct posted_alternative));
    pool_init(&matcher->rules, sizeof(struct rule));
    matcher->root = field_acquire(matcher, NONE, BYTES_EMPTY);
    if (matcher->root == NONE) {
        matcher_destroy(&matcher);
        return STATUS_NO_MEMORY;
    }
    *out = matcher;
    ASSERT(matcher->rule_count == 0);
    return STATUS_OK;
}

void matcher_destroy(struct matcher **matcher_at)
{
    ASSERT(matcher_at != NULL);
    struct matcher *matcher = *matcher_at;
    if (matcher == NULL) {
        return;
    }
    for (uint32_t id = 0; id < matcher->rules.count; id++) {
        if (rule_at(matcher, id)->pattern != NULL) {
            matcher_remove(matcher, id);
        }
    }
    if (matcher->fields.count > 0) {
        field_release(matcher, matcher->root);
    }
    free(matcher->fields.items);
    free(matcher->conditions.items);
    free(matcher->hooks.items);
    free(matcher->racks.items);
    free(matcher->alternatives.items);
    free(matcher->rules.items);
    free(matcher->field_buckets.heads);
    free(matcher->condition_buckets.heads);
    free(matcher->rack_buckets.heads);
    free(matcher->blocks.items);
    free(matcher->always.more);
    free(matcher->slots);
    free(matcher->fired_epoch);
    free(matcher->fired);
    free(matcher->candidates);
    free(matcher->values);
    free(matcher->users);
    free(matcher);
    *matcher_at = NULL;
    ASSERT(*matcher_at == NULL);
}

uint32_t matcher_count(const struct matcher *matcher)
{
    return matcher->rule_count;
}

size_t matcher_bytes(const struct matcher *matcher)
{
    return matcher->bytes;
}

/* ---- adding, removing ---- */

static struct postings *postings_of(struct matcher *matcher, uint32_t key)
{
    return key == NONE ? &matcher->always : &condition_at(matcher, key)->postings;
}

/* Guards for the rarest conditions that can have one; the rarest of the others is named. */
static struct posting make_posting(const struct matcher *matcher, uint32_t id)
{
    struct posted_alternative *alternative = alternative_at(matcher, id);
    struct posting posting = {.alternative = id, .condition = NONE};
    uint32_t guards = 0;
    for (uint32_t index = 0; index < alternative->condition_count; index++) {
        uint32_t condition = conditions_of(alternative)[index];
        if (condition == alternative->key) {
            continue;
        }
        struct guard guard = condition_guard(matcher, condition);
        if (guard.kind != GUARD_NONE && guards < POSTING_GUARDS) {
            posting.guards[guards++] = guard;
        } else if (guard.kind == GUARD_NONE && posting.condition == NONE) {
            posting.condition = condition;
        }
    }
    return posting;
}

static bool post(struct matcher *matcher, uint32_t id)
{
    struct posted_alternative *alternative = alternative_at(matcher, id);
    uint32_t first = conditions_of(alternative)[0];
    uint32_t key = condition_at(matcher, first)->accepts_absent ? NONE : first;
    bool is_first = key != NONE && postings_of(matcher, key)->count == 0;
    if (is_first && !index_add(matcher, key)) {
        return false;
    }
    struct postings *postings = postings_of(matcher, key);
    if (!matcher_reserve(matcher, &postings->more, postings->count, &postings->capacity,
                         sizeof(*postings->more))) {
        if (is_first) {
            index_remove(matcher, key);
        }
        return false;
    }
    alternative->key = key;
    alternative->posting = postings->count;
    *posting_at(postings, postings->count++) = make_posting(matcher, id);
    if (key != NONE && postings->count <= 2) {
        index_guard(matcher, key);
    }
    return true;
}

static void unpost(struct matcher *matcher, uint32_t id)
{
    const struct posted_alternative *alternative = alternative_at(matcher, id);
    struct postings *postings = postings_of(matcher, alternative->key);
    ASSERT(postings->count > 0);
    ASSERT(posting_at(postings, alternative->posting)->alternative == id);
    struct posting last = *posting_at(postings, --postings->count);
    if (last.alternative != id) {
        *posting_at(postings, alternative->posting) = last;
        alternative_at(matcher, last.alternative)->posting = alternative->posting;
    }
    if (postings->count == 0) {
        matcher_free(matcher, postings->more, postings->capacity * sizeof(*postings->more));
        *postings = (struct postings){0};
        if (alternative->key != NONE) {
            index_remove(matcher, alternative->key);
        }
    } else if (postings->count == 1 && alternative->key != NONE) {
        index_guard(matcher, alternative->key);
    }
}

static void release_conditions(struct matcher *matcher, uint32_t id, uint32_t acquired)
{
    struct posted_alternative *alternative = alternative_at(matcher, id);
    for (uint32_t index = 0; index < acquired; index++) {
        condition_release(matcher, conditions_of(alternative)[index]);
    }
    if (alternative->condition_count > ALTERNATIVE_FEW) {
        matcher_free(matcher, alternative->many,
                     alternative->condition_count * sizeof(*alternative->many));
    }
    pool_give(&matcher->alternatives, id);
}

static bool add_alternative(struct matcher *matcher, uint32_t rule, const struct pattern *pattern,
                            uint32_t number, uint32_t *id_out)
{
    const struct alternative *source = &pattern->alternatives[number];
    if (!pool_take(matcher, &matcher->alternatives, id_out)) {
        return false;
    }
    if (!matcher_reserve(matcher, &matcher->candidates, matcher->alternatives.capacity,
                         &matcher->candidate_capacity, sizeof(*matcher->candidates))) {
        pool_give(&matcher->alternatives, *id_out);
        return false;
    }
    struct posted_alternative *alternative = alternative_at(matcher, *id_out);
    alternative->rule = rule;
    alternative->number = number;
    alternative->key = NONE;
    alternative->condition_count = source->member_count;
    if (source->member_count > ALTERNATIVE_FEW) {
        alternative->many =
            matcher_allocate(matcher, source->member_count * sizeof(*alternative->many));
    }
    uint32_t *conditions = conditions_of(alternative);
    uint32_t acquired = 0;
    while (conditions != NULL && acquired < source->member_count) {
        const struct condition *condition =
            &pattern->conditions[pattern->members[source->member_at + acquired]];
        uint32_t id = condition_acquire(matcher, pattern, condition);
        if (id == NONE) {
            break;
        }
        conditions[acquired++] = id;
    }
    bool is_complete = acquired == source->member_count;
    if (is_complete) {
        conditions_order(matcher, conditions, acquired);
    }
    if (!is_complete || !post(matcher, *id_out)) {
        release_conditions(matcher, *id_out, acquired);
        return false;
    }
    return true;
}

static void remove_alternatives(struct matcher *matcher, struct rule *rule, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        uint32_t id = rule->alternatives[index];
        unpost(matcher, id);
        release_conditions(matcher, id, alternative_at(matcher, id)->condition_count);
    }
    matcher_free(matcher, rule->alternatives,
                 rule->alternative_count * sizeof(*rule->alternatives));
}

enum status matcher_add(struct matcher *matcher, const struct pattern *pattern, void *user,
                        uint32_t *id_out)
{
    ASSERT(pattern->alternative_count > 0);
    uint32_t id;
    if (!pool_take(matcher, &matcher->rules, &id)) {
        return STATUS_NO_MEMORY;
    }
    struct rule *rule = rule_at(matcher, id);
    uint32_t added = 0;
    rule->user = user;
    rule->alternative_count = pattern->alternative_count;
    rule->alternatives =
        matcher_allocate(matcher, pattern->alternative_count * sizeof(*rule->alternatives));
    bool has_room = rule->alternatives != NULL &&
                    matcher_reserve(matcher, &matcher->users, matcher->rules.capacity,
                                    &matcher->user_capacity, sizeof(*matcher->users));
    while (has_room && added < pattern->alternative_count &&
           add_alternative(matcher, id, pattern, added, &rule->alternatives[added])) {
        added++;
    }
    if (added < pattern->alternative_count) {
        if (rule->alternatives != NULL) {
            remove_alternatives(matcher, rule, added);
        }
        pool_give(&matcher->rules, id);
        return STATUS_NO_MEMORY;
    }
    rule->pattern = pattern;
    matcher->rule_count++;
    *id_out = id;
    ASSERT(matcher->rule_count <= matcher->user_capacity);
    return STATUS_OK;
}

void matcher_remove(struct matcher *matcher, uint32_t id)
{
    ASSERT(id < matcher->rules.count);
    struct rule *rule = rule_at(matcher, id);
    ASSERT(rule->pattern != NULL);
    remove_alternatives(matcher, rule, rule->alternative_count);
    pool_give(&matcher->rules, id);
    matcher->rule_count--;
}

/* ---- the walk of an event ---- */

struct event_frame {
    uint32_t field;
    uint32_t left; /* members or elements not yet read */
    bool is_object;
    bool is_in_array;   /* or is one */
    bool is_structured; /* in an object within an array, or is one */
};

static void next_epoch(struct matcher *matcher)
{
    if (matcher->epoch == EPOCH_MAX) {
        for (uint32_t id = 0; id < matcher->conditions.count; id++) {
            condition_at(matcher, id)->memo = 0;
        }
        memset(matcher->fired_epoch, 0,
               matcher->fired_epoch_capacity * sizeof(*matcher->fired_epoch));
        memset(matcher->slots, 0, matcher->slot_capacity * sizeof(*matcher->slots));
        for (uint32_t id = 0; id < matcher->rules.count; id++) {
            if (rule_at(matcher, id)->pattern != NULL) {
                rule_at(matcher, id)->matched_epoch = 0;
            }
        }
        matcher->epoch = 0;
    }
    matcher->epoch++;
}

static void record(struct matcher *matcher, uint32_t field_id, bool is_structured,
                   const struct token *token, size_t offset)
{
    const struct field *field = field_at(matcher, field_id);
    struct slot *slot = &matcher->slots[field_id];
    struct value value;
    struct bytes bytes = bytes_of(matcher->event.data + offset, matcher->event.size - offset);
    if (field->condition_count == 0 || !value_of_token(token, bytes, &value)) {
        return;
    }
    if (matcher->value_count == matcher->value_capacity &&
        !matcher_reserve(matcher, &matcher->values, matcher->value_count + 1,
                         &matcher->value_capacity, sizeof(*matcher->values))) {
        matcher->is_unwalkable = true;
        return;
    }
    bool needs_hash = field->exact_conditions > 0 ||
                      (field->index != NULL && field->index->counts[HOOK_EXACT] > 0);
    uint64_t hash = needs_hash ? value_hash(&value) : 0;
    if (slot->epoch != matcher->epoch) {
        *slot = (struct slot){.epoch = matcher->epoch, .value_first = NONE};
    }
    matcher->values[matcher->value_count] =
        (struct seen_value){(uint32_t)offset, slot->value_first};
    slot->value_first = matcher->value_count++;
    slot->value_count++;
    slot->hash = (uint32_t)hash;
    slot->number = value.kind == VALUE_NUMBER ? value.number.nearest : NAN;
    slot->is_structured |= is_structured;
    if (field->index != NULL) {
        index_probe(matcher, field->index, field_id, &value, hash);
    }
}

/* The field of the next value that somebody asks for; NONE: the container has no more. */
static uint32_t next_field(struct matcher *matcher, struct reader *reader,
                           struct event_frame *frame)
{
    while (frame->left > 0) {
        struct token name;
        frame->left--;
        if (!frame->is_object) {
            return frame->field;
        }
        if (!token_next(reader, &name) || name.kind != TOKEN_STRING) {
            return NONE;
        }
        uint32_t field = field_find(matcher, frame->field, name.payload);
        if (field != NONE) {
            return field;
        }
        if (!token_skip(reader)) {
            return NONE;
        }
    }
    return NONE;
}

static void walk(struct matcher *matcher, struct bytes event)
{
    struct event_frame frames[EVENT_DEPTH_MAX];
    struct reader reader = reader_of(event);
    uint32_t depth = 0;
    uint32_t field = matcher->root;
    do {
        struct token token;
        size_t offset = reader.offset;
        const struct event_frame *around = depth == 0 ? NULL : &frames[depth - 1];
        bool is_in_array = around != NULL && around->is_in_array;
        bool is_structured = around != NULL && around->is_structured;
        if (!token_next(&reader, &token)) {
            return;
        }
        bool is_object = token.kind == TOKEN_OBJECT;
        if (!token_is_container(&token)) {
            record(matcher, field, is_structured, &token, offset);
        } else if (depth == EVENT_DEPTH_MAX ||
                   (is_object && field_at(matcher, field)->child_count == 0)) {
            reader.offset = offset;
            (void)token_skip(&reader);
        } else {
            is_structured |= is_object && is_in_array;
            matcher->has_structure |= is_structured;
            frames[depth++] = (struct event_frame){.field = field,
                                                   .left = token.count,
                                                   .is_object = is_object,
                                                   .is_in_array = is_in_array || !is_object,
                                                   .is_structured = is_structured};
        }
        field = NONE;
        while (depth > 0 && field == NONE && !matcher->is_unwalkable) {
            field = next_field(matcher, &reader, &frames[depth - 1]);
            depth -= field == NONE;
        }
    } while (field != NONE);
}

/* ---- candidates ---- */

static bool condition_accepts_value(const struct matcher *matcher,
                                    const struct shared_condition *condition, size_t offset)
{
    struct bytes bytes = bytes_of(matcher->event.data + offset, matcher->event.size - offset);
    struct reader reader = reader_of(bytes);
    struct token token;
    struct value value;
    if (!token_next(&reader, &token) || !value_of_token(&token, bytes, &value)) {
        return false;
    }
    for (uint32_t index = 0; index < condition->test_count; index++) {
        if (test_accepts(&condition->tests[index], condition->parts, &value)) {
            return true;
        }
    }
    return false;
}

static enum judgement judge_afresh(const struct matcher *matcher,
                                   const struct shared_condition *condition)
{
    const struct slot *slot = &matcher->slots[condition->field];
    if (slot->epoch != matcher->epoch) {
        return condition->accepts_absent ? JUDGED_YES : JUDGED_NO;
    }
    for (uint32_t at = slot->value_first; at != NONE; at = matcher->values[at].next) {
        if (condition_accepts_value(matcher, condition, matcher->values[at].offset)) {
            return slot->is_structured ? JUDGED_UNSURE : JUDGED_YES;
        }
    }
    /* The value may lie in another element than those that the other conditions pick. */
    return condition->accepts_absent && matcher->has_structure ? JUDGED_UNSURE : JUDGED_NO;
}

/* Once an event, however many patterns ask. */
static enum judgement judge(struct matcher *matcher, uint32_t id)
{
    struct shared_condition *condition = condition_at(matcher, id);
    if (condition->memo >> 2 != matcher->epoch) {
        condition->memo = matcher->epoch << 2 | (uint32_t)judge_afresh(matcher, condition);
    }
    return (enum judgement)(condition->memo & 3);
}

static void confirm(struct matcher *matcher, uint32_t id)
{
    struct posted_alternative *alternative = alternative_at(matcher, id);
    struct rule *rule = rule_at(matcher, alternative->rule);
    const uint32_t *conditions = conditions_of(alternative);
    bool is_unsure = false;
    if (rule->matched_epoch == matcher->epoch) {
        return;
    }
    for (uint32_t index = 0; index < alternative->condition_count; index++) {
        enum judgement judgement = judge(matcher, conditions[index]);
        if (judgement == JUDGED_NO) {
            return;
        }
        is_unsure |= judgement == JUDGED_UNSURE;
    }
    if (is_unsure &&
        !alternative_matches(rule->pattern, &rule->pattern->alternatives[alternative->number],
                             matcher->event)) {
        return;
    }
    ASSERT(matcher->user_count < matcher->user_capacity);
    rule->matched_epoch = matcher->epoch;
    matcher->users[matcher->user_count++] = rule->user;
}

static void take_candidates(struct matcher *matcher, struct postings *postings)
{
    for (uint32_t index = 0; index < postings->count; index++) {
        const struct posting *posting = posting_at(postings, index);
        if (guard_passes(matcher, &posting->guards[0]) &&
            guard_passes(matcher, &posting->guards[1]) &&
            (posting->condition == NONE || judge(matcher, posting->condition) != JUDGED_NO)) {
            ASSERT(matcher->candidate_count < matcher->candidate_capacity);
            matcher->candidates[matcher->candidate_count++] = posting->alternative;
            __builtin_prefetch(alternative_at(matcher, posting->alternative));
        }
    }
}

/*
 * With many patterns each step from one item to the next is a miss of the cache. What a batch of
 * candidates will need is asked for all at once, step by step, so that the misses overlap.
 */
static void confirm_batch(struct matcher *matcher, const uint32_t *candidates, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        struct posted_alternative *alternative = alternative_at(matcher, candidates[index]);
        const uint32_t *conditions = conditions_of(alternative);
        __builtin_prefetch(rule_at(matcher, alternative->rule));
        for (uint32_t at = 0; at < alternative->condition_count && at < ALTERNATIVE_FEW; at++) {
            __builtin_prefetch(condition_at(matcher, conditions[at]));
            __builtin_prefetch(&condition_at(matcher, conditions[at])->tests);
        }
    }
    for (uint32_t index = 0; index < count; index++) {
        struct posted_alternative *alternative = alternative_at(matcher, candidates[index]);
        const uint32_t *conditions = conditions_of(alternative);
        for (uint32_t at = 0; at < alternative->condition_count && at < ALTERNATIVE_FEW; at++) {
            const struct shared_condition *condition = condition_at(matcher, conditions[at]);
            if (condition->memo >> 2 != matcher->epoch) {
                __builtin_prefetch(condition->tests);
                __builtin_prefetch(condition->tests + 1);
            }
        }
    }
    for (uint32_t index = 0; index < count; index++) {
        confirm(matcher, candidates[index]);
    }
}

static void judge_batch(struct matcher *matcher, const uint32_t *fired, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        const struct shared_condition *condition = condition_at(matcher, fired[index]);
        __builtin_prefetch(condition);
        __builtin_prefetch(&condition->postings.more);
    }
    for (uint32_t index = 0; index < count; index++) {
        const struct shared_condition *condition = condition_at(matcher, fired[index]);
        __builtin_prefetch(condition->tests);
        __builtin_prefetch(condition->tests + 1);
        for (uint32_t more = 1; more < condition->postings.count && more < POSTINGS_SEEN;
             more += 2) {
            __builtin_prefetch(&condition->postings.more[more - 1]);
        }
    }
    for (uint32_t index = 0; index < count; index++) {
        struct postings *postings = &condition_at(matcher, fired[index])->postings;
        if (postings->count < JUDGED_FIRST || judge(matcher, fired[index]) != JUDGED_NO) {
            take_candidates(matcher, postings);
        }
    }
}

static void judge_fired(struct matcher *matcher)
{
    for (uint32_t from = 0; from < matcher->fired_count; from += BATCH) {
        uint32_t left = matcher->fired_count - from;
        judge_batch(matcher, matcher->fired + from, left < BATCH ? left : BATCH);
    }
    take_candidates(matcher, &matcher->always);
    for (uint32_t from = 0; from < matcher->candidate_count; from += BATCH) {
        uint32_t left = matcher->candidate_count - from;
        confirm_batch(matcher, matcher->candidates + from, left < BATCH ? left : BATCH);
    }
}

/* Without memory for its values an event is still judged, though slowly. */
static void match_each(struct matcher *matcher)
{
    matcher->user_count = 0;
    for (uint32_t id = 0; id < matcher->rules.count; id++) {
        const struct rule *rule = rule_at(matcher, id);
        if (rule->pattern != NULL && pattern_matches(rule->pattern, matcher->event)) {
            matcher->users[matcher->user_count++] = rule->user;
        }
    }
}

size_t matcher_match(struct matcher *matcher, struct bytes event, void *const **users_out)
{
    ASSERT(event.size <= UINT32_MAX);
    matcher->event = event;
    matcher->has_structure = false;
    matcher->is_unwalkable = false;
    matcher->value_count = 0;
    matcher->fired_count = 0;
    matcher->candidate_count = 0;
    matcher->user_count = 0;
    next_epoch(matcher);
    matcher->probe_count = 0;
    matcher->range_probe_count = 0;
    memset(matcher->pieces, 0, sizeof(matcher->pieces));
    if (matcher->rule_count > 0) {
        walk(matcher, event);
        index_flush(matcher, true);
    }
    if (matcher->is_unwalkable) {
        match_each(matcher);
    } else {
        judge_fired(matcher);
    }
    if (matcher->value_capacity > VALUES_KEPT) {
        matcher_free(matcher, matcher->values, matcher->value_capacity * sizeof(*matcher->values));
        matcher->values = NULL;
        matcher->value_capacity = 0;
    }
    matcher->event = BYTES_EMPTY;
    ASSERT(matcher->user_count <= matcher->rule_count);
    *users_out = matcher->users;
    return matcher->user_count;
}
