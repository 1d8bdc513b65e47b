/* journal_fixture.h: a journal of small segments on a faulty disk, stepped by hand. */
#ifndef FRESHET_TESTS_UNIT_ENGINE_JOURNAL_JOURNAL_FIXTURE_H
#define FRESHET_TESTS_UNIT_ENGINE_JOURNAL_JOURNAL_FIXTURE_H

#include "engine/journal/journal.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_client.h"

#define FIXTURE_SEGMENT_BYTES (32u * 1024)
#define FIXTURE_BATCH_BYTES   (8u * 1024)
#define FIXTURE_ENTRY_BYTES   (4u * 1024)

struct fixture {
    struct disk *disk;
    struct journal_options options;
    struct journal *journal;
    struct journal_client client;
    struct journal_problem problem;
    uint64_t now_ns;
    uint64_t wall_ms;
    struct executor executor;
    struct store_job *jobs[2];
    uint32_t job_count;
};

/* A new disk, a new journal that keeps 2 segments. */
void fixture_init(struct fixture *fixture, enum journal_durability durability);
void fixture_deinit(struct fixture *fixture);

/* The same on a disk with windows of so many bytes, whose jobs run when fixture_jobs_run says. */
void fixture_init_windows(struct fixture *fixture, enum journal_durability durability,
                          uint64_t window_bytes);

/* Opens what is on the disk; the problem is in fixture->problem. */
enum status fixture_open(struct fixture *fixture);
/* One turn of the disk and of the journal. */
void fixture_step(struct fixture *fixture);
void fixture_jobs_run(struct fixture *fixture);
/* Turns, and jobs, until nothing is in flight. */
void fixture_settle(struct fixture *fixture);
/* Submits `count` entries, one to a batch, and settles after each. */
void fixture_write(struct fixture *fixture, uint32_t count, size_t document_bytes);
/* A clean end, and a sudden one. */
void fixture_close(struct fixture *fixture);
void fixture_crash(struct fixture *fixture);
/* Reads all; asserts that it is the first entries that were submitted, from sequence `from` on;
 * returns how many. */
uint64_t fixture_read(struct fixture *fixture, uint64_t from);

#endif
