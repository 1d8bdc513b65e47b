#include "engine/journal/disk.h"

#include <errno.h>

#include "protocol/base/assert.h"

enum status disk_status_of_errno(int error)
{
    ASSERT(error > 0);
    switch (error) {
    case ENOENT:
        return STATUS_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return STATUS_DISK_FULL;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO_ERROR;
    }
}
