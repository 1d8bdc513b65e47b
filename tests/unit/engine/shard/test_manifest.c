/* manifest.h: what is written is read back, and nothing else is taken for it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/manifest.h"

static struct manifest some(uint32_t shard_count)
{
    struct store_id id;
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] = (uint8_t)(17 * i);
    }
    struct manifest manifest;
    manifest_init(&manifest, &id, shard_count);
    return manifest;
}

Test(manifest, slots_are_shared_out_evenly_and_all_shards_have_some)
{
    for (uint32_t count = 1; count <= SHARD_COUNT_MAX; count++) {
        struct manifest manifest = some(count);
        uint32_t slots[SHARD_COUNT_MAX] = {0};
        for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
            cr_assert_lt(manifest.shard_of_slot[slot], count);
            slots[manifest.shard_of_slot[slot]]++;
        }
        for (uint32_t shard = 0; shard < count; shard++) {
            cr_assert_geq(slots[shard], SLOT_COUNT / count);
            cr_assert_leq(slots[shard], SLOT_COUNT / count + 1);
        }
    }
}

Test(manifest, what_is_written_is_read_back)
{
    static const uint32_t counts[] = {1, 2, 4, 255, 256};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct manifest manifest = some(counts[i]);
        uint8_t text[MANIFEST_BYTES_MAX];
        struct writer writer = writer_of(text, sizeof(text));
        manifest_write(&manifest, &writer);
        cr_assert(!writer.failed);
        struct manifest back;
        struct detail detail;
        cr_assert_eq(manifest_read(writer_bytes(&writer), &back, &detail), STATUS_OK, "%s",
                     detail.text);
        cr_assert_eq(memcmp(&back, &manifest, sizeof(back)), 0);
    }
}

Test(manifest, a_manifest_with_any_byte_altered_or_cut_is_refused)
{
    struct manifest manifest = some(4);
    uint8_t text[MANIFEST_BYTES_MAX];
    struct writer writer = writer_of(text, sizeof(text));
    manifest_write(&manifest, &writer);
    struct manifest back;
    struct detail detail;
    for (size_t i = 0; i < writer.size; i++) {
        text[i] ^= 1;
        cr_assert_neq(manifest_read(writer_bytes(&writer), &back, &detail), STATUS_OK, "byte %zu",
                      i);
        cr_assert_neq(detail.text[0], '\0');
        text[i] ^= 1;
        cr_assert_eq(manifest_read(bytes_of(text, i), &back, &detail), STATUS_DAMAGED);
    }
    text[writer.size] = '\n';
    cr_assert_eq(manifest_read(bytes_of(text, writer.size + 1), &back, &detail), STATUS_DAMAGED);
}

Test(manifest, a_newer_format_is_refused_by_its_number)
{
    struct manifest back;
    struct detail detail;
    cr_assert_eq(manifest_read(BYTES_LITERAL("freshet-manifest 2\nwhatever"), &back, &detail),
                 STATUS_UNSUPPORTED);
    cr_assert(strstr(detail.text, "format 2") != NULL);
    cr_assert_eq(manifest_read(BYTES_LITERAL("freshet-manifest 0\n"), &back, &detail),
                 STATUS_DAMAGED);
}
