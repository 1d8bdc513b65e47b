/* disk.h: what errors of the system mean, and that a disk of blocking calls says so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"

Test(disk, an_error_of_the_system_has_one_meaning)
{
    const struct {
        int error;
        enum status status;
    } cases[] = {
        {ENOENT, STATUS_NOT_FOUND}, {ENOSPC, STATUS_DISK_FULL}, {EDQUOT, STATUS_DISK_FULL},
        {ENOMEM, STATUS_NO_MEMORY}, {EFBIG, STATUS_IO_ERROR},   {EIO, STATUS_IO_ERROR},
        {EROFS, STATUS_IO_ERROR},   {EACCES, STATUS_IO_ERROR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(disk_status_of_errno(cases[i].error), cases[i].status, "errno %d",
                     cases[i].error);
    }
}

Test(disk_blocking, a_file_at_its_limit_is_an_error_and_no_full_disk)
{
    char folder[] = "/tmp/freshet-disk-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    const struct disk_blocking_options options = {.folder = folder};
    struct disk *disk;
    cr_assert_eq(disk_blocking_create(&options, &disk), STATUS_OK);
    int file;
    cr_assert_eq(disk->vtable->open(disk, "a", true, &file), STATUS_OK);
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}), 0);
    cr_assert_eq(disk->vtable->allocate(disk, file, 4096), STATUS_OK);
    cr_assert_eq(disk->vtable->allocate(disk, file, 8192), STATUS_IO_ERROR);
    const uint8_t data[512] = {1};
    cr_assert_eq(disk->vtable->write(disk, file, 4096, data, sizeof(data)), STATUS_IO_ERROR);
    disk->vtable->close(disk, file);
    cr_assert_eq(disk->vtable->remove(disk, "a"), STATUS_OK);
    disk->vtable->destroy(disk);
    cr_assert_eq(rmdir(folder), 0);
}
