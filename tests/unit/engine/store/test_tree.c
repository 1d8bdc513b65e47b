/* The map of the store in memory, against a naive model. */
#include "engine/store/tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_fixture.h"

#define KEYS      64
#define STEPS     20000
#define SNAPSHOTS 5

struct model {
    unsigned value[KEYS]; /* 0: absent */
};

static struct bytes key_of(unsigned index, uint8_t key_out[2])
{
    put_u16(key_out, (uint16_t)(index * 3 + 1));
    return bytes_of(key_out, 2);
}

static void compare(const struct tree *tree, const struct model *model)
{
    uint8_t key[2];
    uint64_t count = 0;
    const struct tree_node *expected = tree_find_from(tree, BYTES_EMPTY);
    for (unsigned i = 0; i < KEYS; i++) {
        const struct tree_node *node = tree_find(tree, key_of(i, key));
        cr_assert_eq(node == NULL, model->value[i] == 0);
        if (node != NULL) {
            count++;
            cr_assert_eq(node, expected);
            cr_assert_eq(get_u32(tree_value(node).data), model->value[i]);
            expected = tree_find_after(tree, tree_key(node));
        }
    }
    cr_assert_null(expected);
    cr_assert_eq(tree->count, count);
    tree_check(tree);
}

static void change(struct tree *tree, struct model *model, unsigned step, uint64_t *seed)
{
    uint8_t key[2];
    uint8_t value[4];
    unsigned index = dice(seed, KEYS);
    if (dice(seed, 2) == 0) {
        cr_assert_eq(tree_remove(tree, key_of(index, key)), model->value[index] != 0);
        model->value[index] = 0;
    } else {
        put_u32(value, step);
        tree_put(tree, key_of(index, key), bytes_of(value, sizeof(value)));
        model->value[index] = step;
    }
}

Test(tree, an_empty_tree_finds_nothing)
{
    struct tree tree = {0};
    cr_assert_null(tree_find(&tree, BYTES_LITERAL("a")));
    cr_assert_null(tree_find_from(&tree, BYTES_EMPTY));
    cr_assert_not(tree_remove(&tree, BYTES_LITERAL("a")));
    struct tree shared = tree_share(&tree);
    tree_clear(&tree);
    tree_clear(&shared);
    cr_assert_eq(tree.count, 0);
}

Test(tree, the_empty_key_and_the_empty_value_are_rows_too)
{
    struct tree tree = {0};
    tree_put(&tree, BYTES_EMPTY, BYTES_EMPTY);
    cr_assert_not_null(tree_find(&tree, BYTES_EMPTY));
    cr_assert_null(tree_find_after(&tree, BYTES_EMPTY));
    cr_assert_eq(tree.count, 1);
    cr_assert(tree_remove(&tree, BYTES_EMPTY));
    cr_assert_null(tree.root);
}

Test(tree, it_holds_what_a_naive_model_holds)
{
    uint64_t seed = 7;
    cr_log_info("seed %llu", (unsigned long long)seed);
    struct tree tree = {0};
    struct model model = {0};
    for (unsigned step = 1; step <= STEPS; step++) {
        change(&tree, &model, step, &seed);
        if (step % 100 == 0) {
            compare(&tree, &model);
        }
    }
    tree_clear(&tree);
}

Test(tree, a_shared_tree_never_changes)
{
    uint64_t seed = 8;
    cr_log_info("seed %llu", (unsigned long long)seed);
    struct tree tree = {0};
    struct model model = {0};
    struct tree shared[SNAPSHOTS] = {{0}};
    struct model models[SNAPSHOTS] = {{{0}}};
    for (unsigned step = 1; step <= STEPS; step++) {
        change(&tree, &model, step, &seed);
        if (step % 50 == 0) {
            unsigned i = dice(&seed, SNAPSHOTS);
            compare(&shared[i], &models[i]);
            tree_clear(&shared[i]);
            shared[i] = tree_share(&tree);
            models[i] = model;
        }
    }
    compare(&tree, &model);
    tree_clear(&tree);
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        compare(&shared[i], &models[i]);
        tree_clear(&shared[i]);
    }
}

/* Keys in order would make a list of a tree without priorities. */
Test(tree, keys_in_order_do_not_make_it_deep)
{
    struct tree tree = {0};
    uint8_t key[4];
    const uint32_t count = 200000;
    for (uint32_t i = 0; i < count; i++) {
        put_u32(key, i);
        tree_put(&tree, bytes_of(key, sizeof(key)), BYTES_EMPTY);
    }
    cr_assert_eq(tree.count, count);
    for (uint32_t i = 0; i < count; i++) {
        put_u32(key, i);
        cr_assert_not_null(tree_find(&tree, bytes_of(key, sizeof(key))));
    }
    tree_clear(&tree);
}
