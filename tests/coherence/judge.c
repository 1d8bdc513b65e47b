/*
 * The judgement, key by key. For state i of n, in the order of sequences:
 *
 *     later_end[i]      the earliest end of anything that shows a state after i: what begins later
 *                       than that must not show i
 *     earlier_start[i]  the latest start of anything that shows a state up to i: what ended before
 *                       that must not show i
 *
 * Both rise with i, so what an absence may show is one run of states, found by bisection. Absences
 * only have to be explained by what is known for certain; they are no evidence against each other.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "tests/coherence/history.h"

struct state {
    const struct history_write *write; /* NULL: state 0 */
    uint64_t sequence;
    uint32_t value;
    uint8_t category;
    bool exists;
    uint64_t start_ns; /* of its write */
    uint64_t end_min_ns;
    uint64_t start_max_ns;
    uint64_t later_end_ns;
    uint64_t earlier_start_ns;
};

struct value_entry {
    uint32_t value;
    uint32_t state;
};

/* One key's part of all histories. */
struct key_case {
    uint16_t key;
    struct state *states;
    struct value_entry *values; /* of states, by value */
    uint32_t state_count;
    uint32_t value_count;
    FILE *report;
    struct verdict *verdict;
};

/* All histories, by key. */
struct sorted {
    const struct history_write **writes;
    const struct history_read **reads;
    size_t *write_from; /* key_count + 1 of them */
    size_t *read_from;
};

static void *take(size_t count, size_t item_bytes)
{
    void *memory = calloc(count == 0 ? 1 : count, item_bytes);
    if (memory == NULL) {
        fputs("coherence: no memory for the judgement\n", stderr);
        exit(1);
    }
    return memory;
}

/* ---- reports ---- */

static bool found(struct key_case *key, enum finding finding)
{
    key->verdict->findings[finding]++;
    key->verdict->finding_count++;
    if (key->verdict->finding_count > JUDGE_FINDINGS_MAX) {
        return false;
    }
    fprintf(key->report, "  %s: key %u: ", finding_name(finding), key->key);
    return true;
}

static void found_in_read(struct key_case *key, enum finding finding,
                          const struct history_read *read, const char *what)
{
    static const char *const sights[] = {
        [SEES_RECORD] = "shows a record",
        [SEES_TAG] = "shows an ETag",
        [SEES_ABSENT] = "shows nothing",
        [SEES_OUTSIDE] = "shows it nowhere",
    };
    if (!found(key, finding)) {
        return;
    }
    fprintf(key->report,
            "%s [%" PRIu64 " ns, %" PRIu64 " ns] %s (value %" PRIu32 ", sequence %" PRIu64
            ", page of category %u): %s\n",
            source_name(read->source), read->start_ns, read->end_ns, sights[read->sight],
            read->value, read->sequence, read->page_category, what);
}

static void found_in_write(struct key_case *key, enum finding finding, const struct state *state,
                           const char *what)
{
    if (!found(key, finding)) {
        return;
    }
    static const char *const kinds[] = {
        [WRITE_PUT] = "PUT", [WRITE_PATCH] = "PATCH", [WRITE_DELETE] = "DELETE"};
    const struct history_write *write = state->write;
    fprintf(key->report,
            "%s [%" PRIu64 " ns, %" PRIu64 " ns] of value %" PRIu32 ", sequence %" PRIu64
            ": %s (the state before it: sequence %" PRIu64 ", value %" PRIu32 ")\n",
            kinds[write->kind], write->start_ns, write->end_ns, write->value, write->sequence, what,
            state[-1].sequence, state[-1].value);
}

/* ---- states ---- */

static int by_sequence(const void *a, const void *b)
{
    const struct state *left = a;
    const struct state *right = b;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static int by_value(const void *a, const void *b)
{
    const struct value_entry *left = a;
    const struct value_entry *right = b;
    return (left->value > right->value) - (left->value < right->value);
}

static void states_gather(struct key_case *key, const struct history_write *const *writes,
                          size_t count)
{
    key->states = take(count + 1, sizeof(key->states[0]));
    key->states[0] = (struct state){.end_min_ns = UINT64_MAX};
    key->state_count = 1;
    for (size_t i = 0; i < count; i++) {
        const struct history_write *write = writes[i];
        if (write->sequence == 0) {
            key->verdict->refused++;
            continue;
        }
        key->verdict->writes++;
        key->states[key->state_count++] = (struct state){
            .write = write,
            .sequence = write->sequence,
            .value = write->value,
            .category = write->category,
            .exists = write->kind != WRITE_DELETE,
            .start_ns = write->start_ns,
            .end_min_ns = write->end_ns,
            .start_max_ns = write->start_ns,
        };
    }
    qsort(key->states, key->state_count, sizeof(key->states[0]), by_sequence);
    key->values = take(key->state_count, sizeof(key->values[0]));
    for (uint32_t i = 1; i < key->state_count; i++) {
        if (key->states[i].exists) {
            key->values[key->value_count++] = (struct value_entry){key->states[i].value, i};
        }
    }
    qsort(key->values, key->value_count, sizeof(key->values[0]), by_value);
}

/* What each write's answer said about the state that it found. */
static void states_follow(struct key_case *key)
{
    for (uint32_t i = 1; i < key->state_count; i++) {
        const struct state *state = &key->states[i];
        const struct state *before = state - 1;
        const struct history_write *write = state->write;
        if (state->sequence == before->sequence) {
            found_in_write(key, FINDING_SEQUENCE_TWICE, state, "two writes have this sequence");
        }
        if (write->kind == WRITE_PUT && write->created == before->exists) {
            found_in_write(key, FINDING_PREDECESSOR, state,
                           write->created ? "201 where a record was" : "200 where no record was");
        }
        if (write->kind != WRITE_PUT && !before->exists) {
            found_in_write(key, FINDING_PREDECESSOR, state, "it needs a record, and none was");
        }
        if (write->matched != 0 && write->matched != before->sequence) {
            found_in_write(key, FINDING_PREDECESSOR, state, "If-Match held for another state");
        }
        if (write->kind == WRITE_PATCH && before->exists && write->base != before->write->base) {
            found_in_write(key, FINDING_PREDECESSOR, state, "it patched another document");
        }
        if (write->kind == WRITE_PATCH && write->keeps_category && before->exists &&
            write->category != before->category) {
            found_in_write(key, FINDING_PREDECESSOR, state, "it lost an earlier change");
        }
    }
}

/* ---- reads ---- */

static struct state *state_of_value(struct key_case *key, uint32_t value)
{
    const struct value_entry wanted = {.value = value};
    const struct value_entry *at =
        bsearch(&wanted, key->values, key->value_count, sizeof(wanted), by_value);
    return at == NULL ? NULL : &key->states[at->state];
}

static struct state *state_of_sequence(struct key_case *key, uint64_t sequence)
{
    const struct state wanted = {.sequence = sequence};
    return bsearch(&wanted, key->states, key->state_count, sizeof(wanted), by_sequence);
}

/* The one state that a read with a document or an ETag shows; NULL when it shows none. */
static struct state *state_of_read(struct key_case *key, const struct history_read *read)
{
    struct state *state = read->sight == SEES_RECORD ? state_of_value(key, read->value)
                                                     : state_of_sequence(key, read->sequence);
    return state != NULL && state->exists ? state : NULL;
}

static bool is_exact(const struct history_read *read)
{
    return read->sight == SEES_RECORD || read->sight == SEES_TAG;
}

static void reads_count(struct key_case *key, const struct history_read *const *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct history_read *read = reads[i];
        key->verdict->reads[read->source]++;
        struct state *state = is_exact(read) ? state_of_read(key, read) : NULL;
        if (state == NULL) {
            continue;
        }
        if (read->end_ns < state->end_min_ns) {
            state->end_min_ns = read->end_ns;
        }
        if (read->start_ns > state->start_max_ns) {
            state->start_max_ns = read->start_ns;
        }
    }
}

static void bounds_set(struct key_case *key)
{
    uint64_t end = UINT64_MAX;
    for (uint32_t i = key->state_count; i-- > 0;) {
        key->states[i].later_end_ns = end;
        if (key->states[i].end_min_ns < end) {
            end = key->states[i].end_min_ns;
        }
    }
    uint64_t start = 0;
    for (uint32_t i = 0; i < key->state_count; i++) {
        struct state *state = &key->states[i];
        state->earlier_start_ns = state->start_ns > start ? state->start_ns : start;
        if (state->start_max_ns > start) {
            start = state->start_max_ns;
        }
    }
}

static void judge_exact(struct key_case *key, const struct history_read *read)
{
    const struct state *state = state_of_read(key, read);
    if (state == NULL) {
        found_in_read(key, FINDING_NEVER_WRITTEN, read, "no answered write left this");
        return;
    }
    if (read->sight == SEES_RECORD) {
        bool mixed = read->base != state->write->base || read->category != state->category ||
                     (read->sequence != 0 && read->sequence != state->sequence);
        if (mixed) {
            found_in_read(key, FINDING_MIXED, read, "its parts belong to different states");
        }
        if (read->page_category != HISTORY_NO_CATEGORY && read->page_category != read->category) {
            found_in_read(key, FINDING_MISPLACED, read, "its category is another one");
        }
    }
    if (read->start_ns > state->later_end_ns) {
        found_in_read(key, FINDING_STALE, read, "a later state was shown before this was asked");
    }
    if (read->end_ns < state->start_ns) {
        found_in_read(key, FINDING_FROM_FUTURE, read, "its write began later");
    }
}

static bool explains(const struct state *state, const struct history_read *read)
{
    return !state->exists ||
           (read->sight == SEES_OUTSIDE && state->category != read->page_category);
}

/* An absence is explained by any state that could have been the current one meanwhile. */
static void judge_absence(struct key_case *key, const struct history_read *read)
{
    uint32_t low = 0;
    uint32_t high = key->state_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key->states[middle].later_end_ns >= read->start_ns) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    for (uint32_t i = low; i < key->state_count && key->states[i].earlier_start_ns <= read->end_ns;
         i++) {
        if (explains(&key->states[i], read)) {
            return;
        }
    }
    found_in_read(key, FINDING_STALE, read, "a record was there all the time");
}

static void judge_key(struct key_case *key, const struct history_read *const *reads, size_t count)
{
    states_follow(key);
    reads_count(key, reads, count);
    bounds_set(key);
    for (uint32_t i = 1; i < key->state_count; i++) {
        if (key->states[i].start_ns > key->states[i].later_end_ns) {
            found_in_write(key, FINDING_WRITE_ORDER, &key->states[i],
                           "a later state was shown before this was asked");
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (is_exact(reads[i])) {
            judge_exact(key, reads[i]);
        } else {
            judge_absence(key, reads[i]);
        }
    }
}

/* ---- all keys ---- */

static void sorted_count(struct sorted *sorted, const struct history *const *histories,
                         size_t count, uint16_t key_count)
{
    for (size_t h = 0; h < count; h++) {
        for (size_t i = 0; i < histories[h]->write_count; i++) {
            ASSERT(histories[h]->writes[i].key < key_count);
            sorted->write_from[histories[h]->writes[i].key + 1]++;
        }
        for (size_t i = 0; i < histories[h]->read_count; i++) {
            ASSERT(histories[h]->reads[i].key < key_count);
            sorted->read_from[histories[h]->reads[i].key + 1]++;
        }
    }
    for (uint16_t key = 0; key < key_count; key++) {
        sorted->write_from[key + 1] += sorted->write_from[key];
        sorted->read_from[key + 1] += sorted->read_from[key];
    }
}

static void sort_by_key(struct sorted *sorted, const struct history *const *histories, size_t count,
                        uint16_t key_count)
{
    sorted->write_from = take(key_count + 1u, sizeof(size_t));
    sorted->read_from = take(key_count + 1u, sizeof(size_t));
    sorted_count(sorted, histories, count, key_count);
    sorted->writes = take(sorted->write_from[key_count], sizeof(sorted->writes[0]));
    sorted->reads = take(sorted->read_from[key_count], sizeof(sorted->reads[0]));
    size_t *write_at = take(key_count, sizeof(size_t));
    size_t *read_at = take(key_count, sizeof(size_t));
    for (size_t h = 0; h < count; h++) {
        for (size_t i = 0; i < histories[h]->write_count; i++) {
            const struct history_write *write = &histories[h]->writes[i];
            sorted->writes[sorted->write_from[write->key] + write_at[write->key]++] = write;
        }
        for (size_t i = 0; i < histories[h]->read_count; i++) {
            const struct history_read *read = &histories[h]->reads[i];
            sorted->reads[sorted->read_from[read->key] + read_at[read->key]++] = read;
        }
    }
    free(write_at);
    free(read_at);
}

void judge_run(const struct history *const *histories, size_t history_count, uint16_t key_count,
               FILE *report, struct verdict *verdict_out)
{
    ASSERT(key_count > 0 && key_count <= HISTORY_KEYS_MAX);
    *verdict_out = (struct verdict){0};
    struct sorted sorted;
    sort_by_key(&sorted, histories, history_count, key_count);
    for (uint16_t number = 0; number < key_count; number++) {
        struct key_case key = {.key = number, .report = report, .verdict = verdict_out};
        size_t from = sorted.write_from[number];
        states_gather(&key, sorted.writes + from, sorted.write_from[number + 1] - from);
        from = sorted.read_from[number];
        judge_key(&key, sorted.reads + from, sorted.read_from[number + 1] - from);
        free(key.states);
        free(key.values);
    }
    free(sorted.writes);
    free(sorted.reads);
    free(sorted.write_from);
    free(sorted.read_from);
}
