/* uuid.h: ids of version 7, and that a seed gives the same ones for ever. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/shard/uuid.h"

Test(uuid, it_carries_the_time_the_version_and_the_variant)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        uint64_t random = seed;
        char text[UUID_TEXT_BYTES + 1] = {0};
        uuid_v7(&random, 0x0123456789abull, text);
        cr_assert_eq(memcmp(text, "01234567-89ab-7", 15), 0, "%s", text);
        cr_assert_not_null(strchr("89ab", text[19]), "%s", text);
    }
}

/* The seeds of the simulation lead to the same runs only as long as this holds. */
Test(uuid, a_seed_gives_the_same_ones)
{
    uint64_t random = 1;
    char text[UUID_TEXT_BYTES + 1] = {0};
    uuid_v7(&random, 0x0123456789abull, text);
    cr_assert_str_eq(text, "01234567-89ab-7cc1-afba-e3685963bb19");
    uuid_v7(&random, 0x0123456789abull, text);
    cr_assert_str_eq(text, "01234567-89ab-755e-9c70-61a43b90b242");
}
