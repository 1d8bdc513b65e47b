/*
 * store_fixture.h: one store under test, of any implementation, in a folder of its own.
 */
#ifndef FRESHET_TESTS_UNIT_ENGINE_STORE_STORE_FIXTURE_H
#define FRESHET_TESTS_UNIT_ENGINE_STORE_STORE_FIXTURE_H

#include "engine/store/buffer.h"
#include "engine/store/store.h"

enum implementation {
    IN_MEMORY,
    IN_ROCKSDB,
    IN_BUFFER, /* of a few rows, before a store in memory */
    IN_BUFFER_ROCKSDB,
};

struct fixture {
    enum implementation implementation;
    char path[64]; /* empty for memory */
    struct store_options options;
    struct store *store;
    struct store *behind;        /* of the buffer, else NULL */
    struct store_buffer *buffer; /* or NULL */
    struct store_batch *batch;
};

/* 0 to sides - 1; one seed, one sequence. Tests say their seed. */
unsigned dice(uint64_t *seed, unsigned sides);

void folder_create(char *path_out, size_t size);
void folder_remove(const char *path);

void fixture_open(struct fixture *fixture, enum implementation implementation);
/* Loses what is not flushed. RocksDB: closes, which flushes nothing, and opens again. */
void fixture_crash(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/* One batch with one row. */
void put(struct fixture *fixture, const char *key, const char *value);
void erase(struct fixture *fixture, const char *key);
void flush_begin(struct fixture *fixture);
void flush(struct fixture *fixture);
/* NULL: the key is absent. */
void expect(struct fixture *fixture, const char *key, const char *value);
void expect_persisted(struct fixture *fixture, const char *key, const char *value);
/* Keys and values from the start of the order, as "a=1 b=2 ". */
const char *all_of(struct store *store, struct store_iterator *iterator, char *text_out,
                   size_t size);

/* Runs a test over all implementations; its body is name(struct fixture *). */
#define EACH(name)                                                                                 \
    static void name(struct fixture *fixture);                                                     \
    Test(store_buffer, name)                                                                       \
    {                                                                                              \
        struct fixture fixture;                                                                    \
        fixture_open(&fixture, IN_BUFFER);                                                         \
        name(&fixture);                                                                            \
        fixture_close(&fixture);                                                                   \
    }                                                                                              \
    Test(store_buffer_rocksdb, name)                                                               \
    {                                                                                              \
        struct fixture fixture;                                                                    \
        fixture_open(&fixture, IN_BUFFER_ROCKSDB);                                                 \
        name(&fixture);                                                                            \
        fixture_close(&fixture);                                                                   \
    }                                                                                              \
    UNBUFFERED(name)

/* Over those that keep what they have in one place. */
#define UNBUFFERED(name)                                                                           \
    static void name(struct fixture *fixture);                                                     \
    Test(store_memory, name)                                                                       \
    {                                                                                              \
        struct fixture fixture;                                                                    \
        fixture_open(&fixture, IN_MEMORY);                                                         \
        name(&fixture);                                                                            \
        fixture_close(&fixture);                                                                   \
    }                                                                                              \
    Test(store_rocksdb, name)                                                                      \
    {                                                                                              \
        struct fixture fixture;                                                                    \
        fixture_open(&fixture, IN_ROCKSDB);                                                        \
        name(&fixture);                                                                            \
        fixture_close(&fixture);                                                                   \
    }                                                                                              \
    static void name(struct fixture *fixture)

#endif
