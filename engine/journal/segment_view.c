#include "engine/journal/segment_view.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

/* One read: large enough to be worth the call, small enough for the processor's cache. */
#define VIEW_READ_BYTES (256u * 1024)
#define VIEW_ALIGNMENT  4096u

enum status segment_view_open(struct segment_view *view, struct disk *disk, uint64_t number)
{
    if (view->disk != NULL && view->file >= 0) {
        view->disk->vtable->close(view->disk, view->file);
    }
    view->disk = disk;
    view->file = -1;
    view->number = number;
    segment_view_forget(view);
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    enum status status = disk->vtable->open(disk, name, false, &view->file);
    if (status != STATUS_OK) {
        view->file = -1;
        return status;
    }
    return disk->vtable->size(disk, view->file, &view->file_bytes);
}

void segment_view_close(struct segment_view *view)
{
    if (view->disk != NULL && view->file >= 0) {
        view->disk->vtable->close(view->disk, view->file);
    }
    free(view->buffer);
    *view = (struct segment_view){.file = -1};
}

void segment_view_forget(struct segment_view *view)
{
    view->loaded_offset = 0;
    view->loaded_bytes = 0;
}

static enum status view_grow(struct segment_view *view, size_t size)
{
    size_t wanted = align_up(size < VIEW_READ_BYTES ? VIEW_READ_BYTES : size, VIEW_ALIGNMENT);
    if (wanted <= view->buffer_bytes) {
        return STATUS_OK;
    }
    uint8_t *buffer = aligned_alloc(VIEW_ALIGNMENT, wanted);
    if (buffer == NULL) {
        return STATUS_NO_MEMORY;
    }
    free(view->buffer);
    segment_view_forget(view);
    view->buffer = buffer;
    view->buffer_bytes = wanted;
    return STATUS_OK;
}

/* Makes [offset, offset + size) readable at *at_out; NOT_FOUND when the file ends before. */
static enum status view_load(struct segment_view *view, uint64_t offset, size_t size,
                             const uint8_t **at_out)
{
    ASSERT(view->file >= 0);
    ASSERT(size > 0);
    if (offset > view->file_bytes || size > view->file_bytes - offset) {
        return STATUS_NOT_FOUND;
    }
    bool loaded =
        offset >= view->loaded_offset && offset + size <= view->loaded_offset + view->loaded_bytes;
    if (!loaded) {
        enum status status = view_grow(view, size);
        if (status != STATUS_OK) {
            return status;
        }
        segment_view_forget(view);
        size_t read = 0;
        status = view->disk->vtable->read(view->disk, view->file, offset, view->buffer,
                                          view->buffer_bytes, &read);
        if (status != STATUS_OK) {
            return status;
        }
        view->loaded_offset = offset;
        view->loaded_bytes = read;
        if (read < size) {
            return STATUS_NOT_FOUND;
        }
    }
    *at_out = view->buffer + (offset - view->loaded_offset);
    return STATUS_OK;
}

enum status segment_view_header(struct segment_view *view, struct segment_header *out)
{
    const uint8_t *block;
    enum status status = view_load(view, 0, SEGMENT_HEADER_BYTES, &block);
    return status != STATUS_OK ? status : segment_header_decode(block, view->number, out);
}

enum status segment_view_peek(struct segment_view *view, uint64_t offset,
                              struct batch_header *header_out)
{
    ASSERT(offset >= SEGMENT_HEADER_BYTES);
    ASSERT(offset % SEGMENT_BLOCK_BYTES == 0);
    const uint8_t *at;
    enum status status = view_load(view, offset, BATCH_HEADER_BYTES, &at);
    return status != STATUS_OK ? status
                               : batch_header_decode(at, &view->store, view->number, header_out);
}

enum status segment_view_batch(struct segment_view *view, uint64_t offset,
                               struct batch_header *header_out, struct bytes *batch_out,
                               uint64_t *last_time_ms_out)
{
    enum status status = segment_view_peek(view, offset, header_out);
    if (status != STATUS_OK) {
        return status;
    }
    const uint8_t *at;
    status = view_load(view, offset, header_out->length, &at);
    if (status != STATUS_OK) {
        /* The header is genuine, so a batch that passes the end of the file was cut off. */
        return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
    }
    *batch_out = bytes_of(at, header_out->length);
    return batch_verify(*batch_out, header_out, last_time_ms_out);
}
