/*
 * The input takes the place of a journal's only segment file, or of a part of it: recovery must end
 * with a journal or with a problem, and a journal that opened must be readable and writable.
 *
 * Byte 0: bit 0 replaces the header block too, bit 1 makes checksums of batches right, so that what
 * is behind them is reached. The rest: bytes of the file.
 */
#include <stdlib.h>

#include "engine/journal/segment.h"
#include "protocol/base/assert.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/journal_client.h"

#define SEGMENT_BYTES (32u * 1024)

#define MAGIC 0x46524254u

static const struct segment_store store = {.id = {{1}}, .secret = 2};

/* Gives every place that begins like a batch the checksums that it needs to be looked at
 * further. */
static void mend(uint8_t *file)
{
    for (size_t at = SEGMENT_HEADER_BYTES; at < SEGMENT_BYTES; at += SEGMENT_BLOCK_BYTES) {
        struct batch_header header;
        uint8_t *place = file + at;
        if (batch_header_decode(place, &store, 1, &header) == STATUS_OK) {
            continue;
        }
        header = (struct batch_header){.kind = (enum batch_kind)(place[5] % 4),
                                       .count = place[7],
                                       .epoch = get_u64(place + 8),
                                       .first_sequence = get_u64(place + 16),
                                       .durable_through = get_u64(place + 24),
                                       .previous_checksum = get_u64(place + 32),
                                       .length = get_u32(place + 40),
                                       .stored_bytes = get_u32(place + 44),
                                       .content_checksum = get_u64(place + 48)};
        bool encodable = (header.kind == BATCH_ENTRIES) == (header.count > 0) &&
                         header.length <= header.stored_bytes &&
                         header.stored_bytes % SEGMENT_BLOCK_BYTES == 0;
        if (get_u32(place) == MAGIC && encodable) {
            (void)batch_header_encode(&header, batch_seed(&store, 1, header.epoch), place);
        }
    }
}

static struct disk *disk_with(const uint8_t *file)
{
    struct faulty_disk_options options = {.seed = 1};
    struct disk *disk = faulty_disk_create(&options);
    int handle;
    char name[SEGMENT_NAME_BYTES];
    segment_name(1, name);
    enum status status = disk->vtable->open(disk, name, true, &handle);
    ASSERT(status == STATUS_OK);
    status = disk->vtable->write(disk, handle, 0, file, SEGMENT_BYTES);
    ASSERT(status == STATUS_OK);
    disk->vtable->close(disk, handle);
    return disk;
}

static void read_all(struct journal *journal)
{
    struct journal_reader *reader;
    enum status status = journal_reader_create(journal, 1, &reader);
    if (status != STATUS_OK) {
        return;
    }
    struct entry entry;
    uint64_t sequence = 0;
    while ((status = journal_reader_next(journal, reader, &entry)) == STATUS_OK) {
        ASSERT(sequence == 0 || entry.sequence == sequence + 1);
        sequence = entry.sequence;
    }
    ASSERT(status == STATUS_NOT_FOUND);
    ASSERT(sequence == 0 || sequence == journal_committed(journal));
    journal_reader_destroy(journal, reader);
}

static void write_one(struct journal *journal, struct disk *disk)
{
    struct journal_client client;
    journal_client_init(&client, journal);
    journal_client_submit(&client, 100);
    for (uint64_t turn = 1; client.completed == 0; turn++) {
        journal_step(journal, turn, turn);
        faulty_disk_step(disk, turn);
        journal_client_receive(&client);
        ASSERT(turn < 10);
    }
    ASSERT(client.commits[0]->status == STATUS_OK);
    journal_client_deinit(&client);
}

static void recover(const uint8_t *file, bool read_only)
{
    struct disk *disk = disk_with(file);
    struct journal_options options = {.segment_bytes = SEGMENT_BYTES,
                                      .retention_bytes = UINT64_MAX,
                                      .retention_ms = UINT64_MAX,
                                      .batch_bytes_max = 4096,
                                      .entry_bytes_max = 1024,
                                      .shard_count = 1,
                                      .new_store_id = {{1}},
                                      .new_store_secret = 2,
                                      .read_only = read_only,
                                      .disk = disk};
    struct journal *journal;
    struct journal_problem problem;
    enum status status = journal_segments_open(&options, NULL, &journal, &problem);
    ASSERT(status == STATUS_OK || problem.text[0] != '\0');
    if (status == STATUS_OK) {
        read_all(journal);
        if (!read_only) {
            write_one(journal, disk);
            read_all(journal);
        }
        journal_segments_abandon(journal);
    }
    disk->vtable->destroy(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    uint8_t *file = calloc(1, SEGMENT_BYTES);
    ASSERT(file != NULL);
    static const struct segment_header header = {.store = {.id = {{1}}, .secret = 2},
                                                 .number = 1,
                                                 .epoch = 1,
                                                 .segment_bytes = SEGMENT_BYTES,
                                                 .first_sequence = 1};
    segment_header_encode(&header, file);
    size_t from = (data[0] & 1) != 0 ? 0 : SEGMENT_HEADER_BYTES;
    size_t count = size - 1 < SEGMENT_BYTES - from ? size - 1 : SEGMENT_BYTES - from;
    memcpy(file + from, data + 1, count);
    if ((data[0] & 2) != 0) {
        mend(file);
    }
    recover(file, false);
    recover(file, true);
    free(file);
    return 0;
}
