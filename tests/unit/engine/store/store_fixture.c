#include "store_fixture.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/store/store_memory.h"

#define TEXT_BYTES 512

/* splitmix64 */
unsigned dice(uint64_t *seed, unsigned sides)
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((mixed ^ (mixed >> 31)) % sides);
}

void folder_create(char *path_out, size_t size)
{
    int length = snprintf(path_out, size, "/tmp/freshet-store-XXXXXX");
    cr_assert(length > 0 && (size_t)length < size);
    cr_assert_not_null(mkdtemp(path_out));
}

static int entry_remove(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void folder_remove(const char *path)
{
    cr_assert_eq(nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static bool is_on_disk(const struct fixture *fixture)
{
    return fixture->implementation == IN_ROCKSDB || fixture->implementation == IN_BUFFER_ROCKSDB;
}

static bool is_buffered(const struct fixture *fixture)
{
    return fixture->implementation == IN_BUFFER || fixture->implementation == IN_BUFFER_ROCKSDB;
}

static struct store *rocksdb_open(struct fixture *fixture)
{
    char text[TEXT_BYTES];
    struct store *store;
    enum status status = store_rocksdb_open(&fixture->options, &store, text, sizeof(text));
    cr_assert_eq(status, STATUS_OK, "%s", text);
    return store;
}

/* So small that tables fill, and drain, in every longer test. */
static void buffer_open(struct fixture *fixture)
{
    const struct buffer_limits limits = {
        .rows_max = 8, .keys_bytes_max = 64, .values_bytes_max = 64};
    cr_assert_eq(store_buffer_create(fixture->behind, &limits, &fixture->buffer), STATUS_OK);
    fixture->store = store_buffer_store(fixture->buffer);
}

void fixture_open(struct fixture *fixture, enum implementation implementation)
{
    *fixture = (struct fixture){.implementation = implementation};
    struct store *store;
    if (is_on_disk(fixture)) {
        folder_create(fixture->path, sizeof(fixture->path));
        fixture->options.path = fixture->path;
        store = rocksdb_open(fixture);
    } else {
        cr_assert_eq(store_memory_open(&store), STATUS_OK);
    }
    if (is_buffered(fixture)) {
        fixture->behind = store;
        buffer_open(fixture);
    } else {
        fixture->store = store;
    }
    fixture->batch = store_batch_create(fixture->store);
    cr_assert_not_null(fixture->batch);
}

void fixture_crash(struct fixture *fixture)
{
    struct store **store = is_buffered(fixture) ? &fixture->behind : &fixture->store;
    store_buffer_destroy(&fixture->buffer);
    if (is_on_disk(fixture)) {
        store_destroy(store);
        cr_assert_null(*store);
        *store = rocksdb_open(fixture);
    } else {
        store_memory_crash(*store);
    }
    if (is_buffered(fixture)) {
        buffer_open(fixture);
    }
}

void fixture_close(struct fixture *fixture)
{
    fixture->store->vtable->batch_destroy(fixture->batch);
    store_destroy(&fixture->store);
    store_destroy(&fixture->behind);
    if (is_on_disk(fixture)) {
        folder_remove(fixture->path);
    }
}

static void turn(struct fixture *fixture)
{
    if (fixture->buffer != NULL) {
        (void)store_buffer_step(fixture->buffer);
    }
}

void put(struct fixture *fixture, const char *key, const char *value)
{
    const struct store_vtable *store = fixture->store->vtable;
    store->batch_clear(fixture->batch);
    store->batch_put(fixture->batch, bytes_of_text(key), bytes_of_text(value));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    turn(fixture);
}

void erase(struct fixture *fixture, const char *key)
{
    const struct store_vtable *store = fixture->store->vtable;
    store->batch_clear(fixture->batch);
    store->batch_delete(fixture->batch, bytes_of_text(key));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    turn(fixture);
}

void flush_begin(struct fixture *fixture)
{
    if (fixture->buffer != NULL) {
        cr_assert_eq(store_buffer_hold(fixture->buffer), STATUS_OK);
    }
    cr_assert_eq(store_flush_begin(fixture->store), STATUS_OK);
    if (fixture->buffer != NULL) {
        store_buffer_release(fixture->buffer);
    }
}

void flush(struct fixture *fixture)
{
    flush_begin(fixture);
    cr_assert_eq(store_flush_wait(fixture->store), STATUS_OK);
}

static void expect_result(struct fixture *fixture, enum status status, struct store_value *found,
                          const char *key, const char *value)
{
    if (value == NULL) {
        cr_assert_eq(status, STATUS_NOT_FOUND, "%s: %s", key, status_name(status));
        cr_assert_null(found->pin);
        return;
    }
    cr_assert_eq(status, STATUS_OK, "%s: %s", key, status_name(status));
    cr_assert(bytes_equal(found->bytes, bytes_of_text(value)), "%s is %.*s, not %s", key,
              (int)found->bytes.size, (const char *)found->bytes.data, value);
    store_value_release(fixture->store, found);
    cr_assert_null(found->pin);
}

void expect(struct fixture *fixture, const char *key, const char *value)
{
    struct store_value found;
    enum status status = STATUS_WOULD_BLOCK;
    if (fixture->buffer != NULL) { /* its owner looks there before it goes to the disk */
        status = store_get(fixture->store, bytes_of_text(key), false, &found);
    }
    if (status == STATUS_WOULD_BLOCK) {
        status = store_get(fixture->store, bytes_of_text(key), true, &found);
    }
    expect_result(fixture, status, &found, key, value);
}

void expect_persisted(struct fixture *fixture, const char *key, const char *value)
{
    struct store_value found;
    enum status status = store_get_persisted(fixture->store, bytes_of_text(key), &found);
    expect_result(fixture, status, &found, key, value);
}

const char *all_of(struct store *store, struct store_iterator *iterator, char *text_out,
                   size_t size)
{
    const struct store_vtable *vtable = store->vtable;
    struct writer text = writer_of(text_out, size - 1);
    vtable->iterator_seek(iterator, BYTES_EMPTY);
    while (vtable->iterator_valid(iterator)) {
        writer_put(&text, vtable->iterator_key(iterator));
        writer_text(&text, "=");
        writer_put(&text, vtable->iterator_value(iterator));
        writer_text(&text, " ");
        vtable->iterator_next(iterator);
    }
    cr_assert_not(text.failed);
    cr_assert_eq(vtable->iterator_status(iterator), STATUS_OK);
    text_out[text.size] = '\0';
    return text_out;
}
