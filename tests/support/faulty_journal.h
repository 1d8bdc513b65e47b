/*
 * faulty_journal.h: a journal in memory that is late, refuses, and does not know, as a replicated
 * log may. The engine above has to stay right whatever it answers.
 *
 * A commit is held for a random time, in order. Then it is committed, or refused for the moment
 * (NOT_ACCEPTED, with the rule of journal_commit.refusals), or ends OUTCOME_UNKNOWN, and with it
 * all that is held: of those a random number of the first are applied, which shows only after
 * faulty_journal_restart. Until then the journal is read-only.
 *
 * Owner:   one thread.
 * Random:  all from the seed.
 */
#ifndef FRESHET_TESTS_SUPPORT_FAULTY_JOURNAL_H
#define FRESHET_TESTS_SUPPORT_FAULTY_JOURNAL_H

#include "engine/journal/journal.h"

struct faulty_journal_options {
    uint64_t seed;
    uint64_t delay_ns_max;
    uint32_t refused_per_mille;
    uint32_t unknown_per_mille;
};

struct journal *faulty_journal_create(const struct journal_options *options,
                                      const struct faulty_journal_options *faults);
/* As a restart after OUTCOME_UNKNOWN, or a crash: what is held is lost, what was applied is there,
   and a new epoch begins. Commits still held get no completion. */
void faulty_journal_restart(struct journal *journal);
/* From now on. */
void faulty_journal_faults(struct journal *journal, const struct faulty_journal_options *faults);

#endif
