/*
 * history.h: what the clients of a run did and saw, each with the moment before it was asked and
 * the moment after it was answered, and the judgement whether one order of events explains it all.
 *
 * A key's states are its writes in the order of their sequences (state 0: it does not exist yet).
 * The history of a key is right when its operations can be put into one order in which each lies
 * between its start and its end, and each read shows the latest write before it. The order of the
 * writes is known, so this takes no search: state by state, nothing that belongs to a later state
 * may have ended before something that belongs to an earlier one began. Sequences are not trusted:
 * writes have starts and ends too, say what they found, and every read carries a write's own value.
 *
 * Owner:     a history belongs to the thread that records; judge_run is called when all have ended.
 * Memory:    grows with the operations; history_deinit frees it.
 * Time:      the caller's monotonic clock, in ns; the same one for all histories.
 * Tests:     tests/coherence/judge_test.c, and plants.py, which breaks the server on purpose.
 */
#ifndef FRESHET_TESTS_COHERENCE_HISTORY_H
#define FRESHET_TESTS_COHERENCE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "protocol/base/status.h"

#define HISTORY_KEYS_MAX 1000
/* Reports say the first of what is wrong, and count the rest. */
#define JUDGE_FINDINGS_MAX 10
/* A category of 0 means: none. */
#define HISTORY_NO_CATEGORY 0

enum write_kind { WRITE_PUT, WRITE_PATCH, WRITE_DELETE };

struct history_write {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t sequence; /* from its answer; 0: it was refused, and must have changed nothing */
    uint64_t matched;  /* the sequence of its If-Match; 0: it had none */
    uint32_t value;    /* what its document carries; no two writes have the same */
    uint32_t base;     /* the value of the PUT that a patched document began with */
    uint16_t key;
    uint8_t kind;     /* enum write_kind */
    uint8_t category; /* of the document that it left */
    bool keeps_category;
    bool created; /* the answer said that no record was there before */
};

enum sight {
    SEES_RECORD,  /* a document; value, base and category are what it said */
    SEES_TAG,     /* a record without its document; sequence is what its ETag said */
    SEES_ABSENT,  /* no such record */
    SEES_OUTSIDE, /* not on the index page of page_category, where its place would have been */
};

enum source {
    SOURCE_GET,
    SOURCE_REFRESH,
    SOURCE_CONDITIONAL,
    SOURCE_HEAD,
    SOURCE_LIST,
    SOURCE_INDEX,
    SOURCE_WRITE, /* a write that found nothing to change */
    SOURCE_COUNT
};

struct history_read {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t sequence; /* from the ETag; 0: the answer has none (lists) */
    uint32_t value;
    uint32_t base;
    uint16_t key;
    uint8_t sight;  /* enum sight */
    uint8_t source; /* enum source */
    uint8_t category;
    uint8_t page_category;
};

struct history {
    struct history_write *writes;
    size_t write_count;
    size_t write_capacity;
    struct history_read *reads;
    size_t read_count;
    size_t read_capacity;
};

void history_init(struct history *history);
void history_deinit(struct history *history);

/* Ends the program when there is no memory: a run with holes judges nothing. */
void history_add_write(struct history *history, const struct history_write *write);
void history_add_read(struct history *history, const struct history_read *read);

enum finding {
    FINDING_STALE,         /* a read shows a state that was over before it began */
    FINDING_FROM_FUTURE,   /* a read shows a write that began after the read was answered */
    FINDING_NEVER_WRITTEN, /* a read shows what no write wrote, or what was refused */
    FINDING_MIXED,         /* a document, or an ETag and a document, of two states */
    FINDING_MISPLACED,     /* a record on the page of another category */
    FINDING_WRITE_ORDER,   /* a write's sequence is below one that was answered before it began */
    FINDING_PREDECESSOR,   /* a write's answer contradicts the state it found */
    FINDING_SEQUENCE_TWICE,
    FINDING_COUNT
};

struct verdict {
    uint64_t writes;
    uint64_t refused;
    uint64_t reads[SOURCE_COUNT];
    uint64_t findings[FINDING_COUNT];
    uint64_t finding_count;
};

/* Judges all keys below key_count; writes what is wrong to report. */
void judge_run(const struct history *const *histories, size_t history_count, uint16_t key_count,
               FILE *report, struct verdict *verdict_out);

const char *source_name(enum source source);
const char *finding_name(enum finding finding);

#endif
