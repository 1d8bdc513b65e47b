/* fold.h: the table says what a naive reading of the journal says. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net/server/fold.h"

static struct entry change(enum entry_kind kind, const char *id, uint64_t sequence,
                           const char *document)
{
    return (struct entry){
        .kind = kind,
        .sequence = sequence,
        .version = sequence,
        .collection = BYTES_LITERAL("pets"),
        .id = bytes_of_text(id),
        .new_document = bytes_of_text(document),
    };
}

static bool has(const struct fold *fold, const char *id, uint64_t sequence, const char *document)
{
    const struct row_record record = {
        .sequence = sequence, .version = sequence, .document = bytes_of_text(document)};
    return fold_has(fold, BYTES_LITERAL("pets"), bytes_of_text(id), &record);
}

Test(fold, the_last_state_of_a_record_counts)
{
    struct fold fold;
    cr_assert_eq(fold_init(&fold), STATUS_OK);
    cr_assert(!has(&fold, "a", 1, "x"));
    struct entry entries[] = {change(ENTRY_PUT, "a", 1, "x"), change(ENTRY_PUT, "b", 2, "y"),
                              change(ENTRY_PUT, "a", 3, "z"), change(ENTRY_DELETE, "b", 4, ""),
                              change(ENTRY_INTERNAL, "c", 5, "w")};
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        cr_assert_eq(fold_entry(&fold, &entries[i]), STATUS_OK);
    }
    cr_assert_eq(fold.records, 1);
    cr_assert(has(&fold, "a", 3, "z"));
    cr_assert(!has(&fold, "a", 1, "x") && !has(&fold, "a", 3, "x") && !has(&fold, "a", 4, "z"));
    cr_assert(!has(&fold, "b", 2, "y") && !has(&fold, "c", 5, "w"));
    fold_deinit(&fold);
}

Test(fold, it_grows_with_the_records_and_keeps_them)
{
    struct fold fold;
    cr_assert_eq(fold_init(&fold), STATUS_OK);
    for (uint64_t i = 1; i <= 20000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%llu", (unsigned long long)i);
        struct entry entry = change(i % 3 == 0 ? ENTRY_DELETE : ENTRY_PUT, id, i, id);
        cr_assert_eq(fold_entry(&fold, &entry), STATUS_OK);
    }
    cr_assert_eq(fold.records, 20000 - 20000 / 3);
    for (uint64_t i = 1; i <= 20000; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%llu", (unsigned long long)i);
        cr_assert_eq(has(&fold, id, i, id), i % 3 != 0);
    }
    fold_deinit(&fold);
}
