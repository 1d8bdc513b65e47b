#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/ring/disk_ring.h"

struct bench {
    char folder[64];
    struct ring *ring;
    struct disk *disk;
    uint32_t done;
    enum status status; /* the last one's */
    enum status worst;
};

static void bench_open(struct bench *bench, const char *where)
{
    struct ring_failure failure;
    memset(bench, 0, sizeof(*bench));
    (void)snprintf(bench->folder, sizeof(bench->folder), "%s/disk-ring-XXXXXX", where);
    cr_assert_not_null(mkdtemp(bench->folder));
    cr_assert_eq(ring_create(&(struct ring_options){0}, &bench->ring, &failure), STATUS_OK);
    cr_assert_eq(ring_start(bench->ring, &failure), STATUS_OK);
    cr_assert_eq(disk_ring_create(bench->folder, bench->ring, &bench->disk), STATUS_OK);
}

static void bench_close(struct bench *bench)
{
    bench->disk->vtable->destroy(bench->disk);
    ring_destroy(&bench->ring);
    cr_assert_eq(rmdir(bench->folder), 0, "%s is not empty", bench->folder);
}

static void done(struct disk_operation *operation, enum status status)
{
    struct bench *bench = (struct bench *)operation->context;
    bench->done++;
    bench->status = status;
    if (status != STATUS_OK) {
        bench->worst = status;
    }
}

static void wait_done(struct bench *bench, uint32_t count)
{
    for (int i = 0; i < 1000 && bench->done < count; i++) {
        cr_assert_eq(ring_wait(bench->ring, 1000000000), STATUS_OK);
        (void)ring_dispatch(bench->ring);
    }
    cr_assert_eq(bench->done, count);
}

static uint8_t *pattern(size_t size, uint32_t seed)
{
    uint8_t *data = aligned_alloc(4096, size);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
    return data;
}

static void check_writes(const char *where)
{
    struct bench bench;
    bench_open(&bench, where);
    struct disk *disk = bench.disk;
    cr_assert(disk->write_alignment == 512 || disk->write_alignment == 4096);
    int file;
    cr_assert_eq(disk->vtable->open(disk, "a", false, &file), STATUS_NOT_FOUND);
    cr_assert_eq(disk->vtable->open(disk, "a", true, &file), STATUS_OK);
    cr_assert_eq(disk->vtable->allocate(disk, file, 3u << 20), STATUS_OK);
    uint64_t size;
    cr_assert_eq(disk->vtable->size(disk, file, &size), STATUS_OK);
    cr_assert_eq(size, 3u << 20);

    enum { COUNT = 200, BYTES = 8192 };
    uint8_t *data = pattern(COUNT * BYTES, 1);
    static struct disk_operation operations[COUNT + 1];
    for (uint32_t i = 0; i < COUNT; i++) {
        operations[i] = (struct disk_operation){.kind = DISK_WRITE,
                                                .file = file,
                                                .offset = (uint64_t)i * BYTES,
                                                .data = data + (size_t)i * BYTES,
                                                .size = BYTES,
                                                .durable = i % 3 == 0,
                                                .done = done,
                                                .context = &bench};
        disk->vtable->submit(disk, &operations[i]);
        cr_assert_eq(bench.done, 0, "done ran inside submit");
    }
    cr_assert_eq(disk_ring_in_flight(disk), COUNT);
    wait_done(&bench, COUNT);
    operations[COUNT] =
        (struct disk_operation){.kind = DISK_SYNC, .file = file, .done = done, .context = &bench};
    disk->vtable->submit(disk, &operations[COUNT]);
    wait_done(&bench, COUNT + 1);
    cr_assert_eq(bench.worst, STATUS_OK);
    cr_assert_eq(disk_ring_in_flight(disk), 0);

    uint8_t *back = malloc(COUNT * BYTES + 1);
    size_t read;
    cr_assert_eq(disk->vtable->read(disk, file, 0, back + 1, COUNT * BYTES, &read), STATUS_OK);
    cr_assert_eq(read, COUNT * BYTES);
    cr_assert_arr_eq(back + 1, data, COUNT * BYTES);
    cr_assert_eq(disk->vtable->read(disk, file, (3u << 20) - 10, back, 100, &read), STATUS_OK);
    cr_assert_eq(read, 10);
    cr_assert_arr_eq(back, "\0\0\0\0\0\0\0\0\0\0", 10);
    free(back);
    free(data);
    disk->vtable->close(disk, file);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_OK);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_NOT_FOUND);
    bench_close(&bench);
}

Test(disk_ring, what_is_submitted_is_read_back)
{
    check_writes("/tmp");
}

Test(disk_ring, it_works_on_a_file_system_in_memory)
{
    if (access("/dev/shm", W_OK) != 0) {
        cr_skip_test("there is no /dev/shm here");
    }
    check_writes("/dev/shm");
}

/* ---- windows ---- */

#define WINDOWED_BYTES (1u << 20)
#define WINDOW_OFFSET  8192u
#define WINDOW_BYTES   65536u

static enum status window(struct disk *disk, int file, uint64_t offset, size_t size,
                          enum disk_window_content content, uint8_t **data_out)
{
    return disk->vtable->window(disk, file, offset, size, content, data_out);
}

/* A file full of data, with a window of zeroes. */
static uint8_t *windowed(struct disk *disk, const char *name, const uint8_t *data, int *file_out)
{
    uint8_t *at;
    cr_assert_eq(disk->vtable->open(disk, name, true, file_out), STATUS_OK);
    cr_assert_eq(window(disk, *file_out, 0, 4096, DISK_WINDOW_ZEROED, &at), STATUS_INVALID,
                 "an empty file");
    cr_assert_eq(disk->vtable->allocate(disk, *file_out, WINDOWED_BYTES), STATUS_OK);
    cr_assert_eq(disk->vtable->write(disk, *file_out, 0, data, WINDOWED_BYTES), STATUS_OK);
    cr_assert_eq(window(disk, *file_out, WINDOW_OFFSET, WINDOW_BYTES, DISK_WINDOW_ZEROED, &at),
                 STATUS_OK);
    return at;
}

/* Around the window nothing has changed; in it are zeroes, and text at 1000. */
static void check_content(struct disk *disk, int file, const uint8_t *data, const char *text)
{
    const uint32_t end = WINDOW_OFFSET + WINDOW_BYTES;
    uint8_t *back = malloc(WINDOWED_BYTES);
    size_t read;
    cr_assert_eq(disk->vtable->read(disk, file, 0, back, WINDOWED_BYTES, &read), STATUS_OK);
    cr_assert_eq(read, WINDOWED_BYTES);
    cr_assert_arr_eq(back, data, WINDOW_OFFSET);
    cr_assert_arr_eq(back + end, data + end, WINDOWED_BYTES - end);
    for (uint32_t at = 0; at < WINDOW_BYTES; at++) {
        bool stored = at >= 1000 && at < 1000 + strlen(text);
        cr_assert_eq(back[WINDOW_OFFSET + at], stored ? (uint8_t)text[at - 1000] : 0, "at %u", at);
    }
    free(back);
}

/* The next window is its neighbour, one that keeps what is there changes nothing, and none goes
 * beyond the end. */
static void check_neighbours(struct disk *disk, int file, const uint8_t *data, uint8_t *first)
{
    const uint64_t last = WINDOWED_BYTES - 4096;
    uint8_t *at;
    cr_assert_eq(disk->vtable->sync(disk, file), STATUS_OK);
    cr_assert_eq(window(disk, file, WINDOW_OFFSET, WINDOW_BYTES + 4096, DISK_WINDOW_KEPT, &at),
                 STATUS_OK);
    cr_assert_eq(at, first);
    cr_assert_arr_eq(at + 1000, "first", 5);
    cr_assert_arr_eq(at + WINDOW_BYTES, data + WINDOW_OFFSET + WINDOW_BYTES, 4096);
    cr_assert_eq(window(disk, file, last, 4096, DISK_WINDOW_ZEROED, &at), STATUS_OK);
    cr_assert_eq(at, first + (last - WINDOW_OFFSET));
    cr_assert_eq(window(disk, file, last, 8192, DISK_WINDOW_ZEROED, &at), STATUS_INVALID);
    cr_assert_eq(window(disk, file, last + 4096, 4096, DISK_WINDOW_KEPT, &at), STATUS_INVALID);
}

static void check_windows(const char *where)
{
    struct bench bench;
    bench_open(&bench, where);
    struct disk *disk = bench.disk;
    if (!disk->has_windows) {
        bench_close(&bench);
        cr_skip_test("the file system of this folder has no windows");
    }
    uint8_t *data = pattern(WINDOWED_BYTES, 3);
    int files[2];
    uint8_t *first = windowed(disk, "a", data, &files[0]);
    uint8_t *other = windowed(disk, "b", data, &files[1]);
    memcpy(first + 1000, "first", 5);
    memcpy(other + 1000, "other", 5);
    check_content(disk, files[0], data, "first");
    check_content(disk, files[1], data, "other");
    check_neighbours(disk, files[0], data, first);

    /* A submitted write is seen in the window. */
    struct disk_operation operation = {.kind = DISK_WRITE,
                                       .file = files[1],
                                       .offset = WINDOW_OFFSET + 4096,
                                       .data = data,
                                       .size = 4096,
                                       .cached = true,
                                       .done = done,
                                       .context = &bench};
    disk->vtable->submit(disk, &operation);
    wait_done(&bench, 1);
    cr_assert_eq(bench.worst, STATUS_OK);
    cr_assert_arr_eq(other + 4096, data, 4096);

    /* Closed with its window in use, the file has what was stored. */
    uint8_t back[5];
    size_t read;
    memcpy(first + WINDOW_BYTES - 5, "final", 5);
    disk->vtable->close(disk, files[0]);
    cr_assert_eq(disk->vtable->open(disk, "a", false, &files[0]), STATUS_OK);
    cr_assert_eq(
        disk->vtable->read(disk, files[0], WINDOW_OFFSET + WINDOW_BYTES - 5, back, 5, &read),
        STATUS_OK);
    cr_assert_arr_eq(back, "final", 5);
    disk->vtable->close(disk, files[0]);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_OK);
    cr_assert_eq(disk->vtable->remove(disk, "b"), STATUS_OK);
    free(data);
    bench_close(&bench); /* the disk closes the other file */
}

/* How many of these pages are in the page tables of this process. */
static size_t mapped_pages(const uint8_t *data, size_t size)
{
    size_t count = 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(pagemap, 0);
    for (size_t at = 0; at < size; at += 4096) {
        uint64_t page;
        off_t offset = (off_t)((uintptr_t)(data + at) / 4096 * sizeof(page));
        cr_assert_eq(pread(pagemap, &page, sizeof(page), offset), (ssize_t)sizeof(page));
        count += page >> 63;
    }
    (void)close(pagemap);
    return count;
}

Test(disk_ring, windows_behind_the_writer_are_let_go_of_and_keep_what_was_stored)
{
    struct bench bench;
    bench_open(&bench, "/tmp");
    struct disk *disk = bench.disk;
    if (!disk->has_windows) {
        bench_close(&bench);
        cr_skip_test("the file system of this folder has no windows");
    }
    const uint64_t end = 2 * DISK_WINDOW_BEHIND_BYTES;
    int file;
    uint8_t *first;
    uint8_t *at;
    cr_assert_eq(disk->vtable->open(disk, "a", true, &file), STATUS_OK);
    cr_assert_eq(disk->vtable->allocate(disk, file, end), STATUS_OK);
    cr_assert_eq(window(disk, file, 0, WINDOW_BYTES, DISK_WINDOW_ZEROED, &first), STATUS_OK);
    memcpy(first, "first", 5);
    cr_assert_eq(mapped_pages(first, WINDOW_BYTES), WINDOW_BYTES / 4096);
    cr_assert_eq(window(disk, file, end - WINDOW_BYTES, WINDOW_BYTES, DISK_WINDOW_ZEROED, &at),
                 STATUS_OK);
    cr_assert_eq(mapped_pages(first, WINDOW_BYTES), 0);
    cr_assert_eq(mapped_pages(at, WINDOW_BYTES), WINDOW_BYTES / 4096);
    uint8_t back[5];
    size_t read;
    cr_assert_eq(disk->vtable->read(disk, file, 0, back, 5, &read), STATUS_OK);
    cr_assert_arr_eq(back, "first", 5);
    memcpy(first + 4096, "again", 5);
    cr_assert_eq(disk->vtable->read(disk, file, 4096, back, 5, &read), STATUS_OK);
    cr_assert_arr_eq(back, "again", 5);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_OK);
    bench_close(&bench);
}

Test(disk_ring, what_is_stored_into_a_window_is_in_the_file)
{
    check_windows("/tmp");
}

Test(disk_ring, a_file_system_in_memory_has_windows_too)
{
    if (access("/dev/shm", W_OK) != 0) {
        cr_skip_test("there is no /dev/shm here");
    }
    check_windows("/dev/shm");
}

Test(disk_ring, blocking_writes_need_no_alignment)
{
    struct bench bench;
    bench_open(&bench, "/tmp");
    struct disk *disk = bench.disk;
    int file;
    cr_assert_eq(disk->vtable->open(disk, "b", true, &file), STATUS_OK);
    cr_assert_eq(disk->vtable->write(disk, file, 3, (const uint8_t *)"hello", 5), STATUS_OK);
    cr_assert_eq(disk->vtable->sync(disk, file), STATUS_OK);
    cr_assert_eq(disk->vtable->allocate(disk, file, 5000), STATUS_OK);
    uint8_t back[6000];
    size_t read;
    cr_assert_eq(disk->vtable->read(disk, file, 0, back, sizeof(back), &read), STATUS_OK);
    cr_assert_eq(read, 5000);
    cr_assert_arr_eq(back, "\0\0\0hello\0", 9);
    cr_assert_eq(disk->vtable->rename(disk, "b", "c"), STATUS_OK);
    cr_assert_eq(disk->vtable->sync_folder(disk), STATUS_OK);
    uint64_t free_bytes = 0;
    cr_assert_eq(disk->vtable->free_bytes(disk, &free_bytes), STATUS_OK);
    cr_assert_gt(free_bytes, 0);
    disk->vtable->close(disk, file);
    cr_assert_eq(disk->vtable->remove(disk, "c"), STATUS_OK);
    bench_close(&bench);
}

static enum status visit(void *context, const char *name)
{
    uint32_t *seen = (uint32_t *)context;
    *seen |= 1u << (name[0] - 'a');
    return name[1] == '\0' ? STATUS_OK : STATUS_DAMAGED;
}

Test(disk_ring, its_files_are_listed)
{
    struct bench bench;
    bench_open(&bench, "/tmp");
    struct disk *disk = bench.disk;
    uint32_t seen = 0;
    cr_assert_eq(disk->vtable->list(disk, visit, &seen), STATUS_OK);
    cr_assert_eq(seen, 0);
    int files[3];
    const char *names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(disk->vtable->open(disk, names[i], true, &files[i]), STATUS_OK);
        cr_assert_eq(files[i], i);
    }
    cr_assert_eq(disk->vtable->list(disk, visit, &seen), STATUS_OK);
    cr_assert_eq(seen, 7);
    for (int i = 0; i < 3; i++) {
        disk->vtable->close(disk, files[i]);
        cr_assert_eq(disk->vtable->remove(disk, names[i]), STATUS_OK);
    }
    bench_close(&bench);
}

Test(disk_ring, a_folder_that_is_not_there_is_an_error)
{
    struct disk *disk;
    cr_assert_eq(disk_ring_create("/tmp/there/is/no/such/folder", NULL, &disk), STATUS_NOT_FOUND);
    cr_assert_null(disk);
}

Test(disk_ring, a_short_write_is_continued_and_the_error_behind_it_reported)
{
    struct bench bench;
    bench_open(&bench, "/tmp");
    struct disk *disk = bench.disk;
    int file;
    cr_assert_eq(disk->vtable->open(disk, "a", true, &file), STATUS_OK);
    /* The kernel writes up to the limit of the file size and reports so many bytes; only the rest
     * fails. */
    struct rlimit limit = {.rlim_cur = 8192, .rlim_max = 8192};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint8_t *data = pattern(16384, 2);
    struct disk_operation operation = {.kind = DISK_WRITE,
                                       .file = file,
                                       .data = data,
                                       .size = 16384,
                                       .done = done,
                                       .context = &bench};
    disk->vtable->submit(disk, &operation);
    wait_done(&bench, 1);
    cr_assert_eq(bench.status, STATUS_IO_ERROR);
    uint64_t size;
    cr_assert_eq(disk->vtable->size(disk, file, &size), STATUS_OK);
    cr_assert_eq(size, 8192);
    cr_assert_eq(disk->vtable->write(disk, file, 8192, data, 512), STATUS_IO_ERROR);
    cr_assert_eq(disk->vtable->allocate(disk, file, 16384), STATUS_IO_ERROR);
    free(data);
    disk->vtable->close(disk, file);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_OK);
    bench_close(&bench);
}
