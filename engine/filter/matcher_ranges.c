/*
 * The ranges of a field: a treap ordered by their lower bounds, each node with the greatest upper
 * bound below it, so that a number finds the ranges that hold it without looking at the others.
 *
 * Bounds are closed here: an open one has become its neighbour. Priorities come from the hooks'
 * numbers; the walk needs no stack, so that no order of insertion can do more than slow it down.
 */
#include <math.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

static uint64_t priority(uint32_t hook)
{
    return hash_mix(hash_mix(UINT64_C(0xD6E8FEB86659FD93), hook), hook);
}

static double high_of(const struct matcher *matcher, uint32_t id)
{
    return id == NONE ? -INFINITY : hook_at(matcher, id)->high_max;
}

static void update(struct matcher *matcher, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    hook->high_max =
        fmax(hook->high, fmax(high_of(matcher, hook->left), high_of(matcher, hook->right)));
}

/* The link that leads to a node. */
static uint32_t *link_to(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    uint32_t parent = hook_at(matcher, id)->parent;
    if (parent == NONE) {
        return root;
    }
    struct hook *above = hook_at(matcher, parent);
    return above->left == id ? &above->left : &above->right;
}

/* Moves a node above its parent. */
static void rotate_up(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    uint32_t parent = hook->parent;
    ASSERT(parent != NONE);
    struct hook *above = hook_at(matcher, parent);
    *link_to(matcher, root, parent) = id;
    hook->parent = above->parent;
    uint32_t moved;
    if (above->left == id) {
        moved = hook->right;
        above->left = moved;
        hook->right = parent;
    } else {
        moved = hook->left;
        above->right = moved;
        hook->left = parent;
    }
    above->parent = id;
    if (moved != NONE) {
        hook_at(matcher, moved)->parent = parent;
    }
    update(matcher, parent);
    update(matcher, id);
}

void ranges_insert(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    uint32_t parent = NONE;
    uint32_t *place = root;
    ASSERT(hook->class == HOOK_RANGE);
    while (*place != NONE) {
        parent = *place;
        struct hook *at = hook_at(matcher, parent);
        at->high_max = fmax(at->high_max, hook->high);
        place = hook->low < at->low ? &at->left : &at->right;
    }
    *place = id;
    hook->left = NONE;
    hook->right = NONE;
    hook->parent = parent;
    hook->high_max = hook->high;
    while (hook->parent != NONE && priority(id) > priority(hook->parent)) {
        rotate_up(matcher, root, id);
    }
    ASSERT(*root != NONE);
}

void ranges_remove(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    struct hook *hook = hook_at(matcher, id);
    ASSERT(hook->class == HOOK_RANGE);
    while (hook->left != NONE || hook->right != NONE) {
        bool takes_left = hook->right == NONE ||
                          (hook->left != NONE && priority(hook->left) > priority(hook->right));
        rotate_up(matcher, root, takes_left ? hook->left : hook->right);
    }
    *link_to(matcher, root, id) = NONE;
    for (uint32_t above = hook->parent; above != NONE; above = hook_at(matcher, above)->parent) {
        update(matcher, above);
    }
    hook->parent = NONE;
    ASSERT(hook->left == NONE && hook->right == NONE);
}

/* In order; what lies below a node is passed over when it ends too low or begins too high. */
void ranges_probe(struct matcher *matcher, uint32_t root, double number)
{
    uint32_t from = NONE; /* where the walk comes from */
    uint32_t id = root;
    while (id != NONE) {
        const struct hook *hook = hook_at(matcher, id);
        uint32_t next = hook->parent;
        if (from == hook->parent && hook->left != NONE &&
            hook_at(matcher, hook->left)->high_max >= number) {
            from = id;
            id = hook->left;
            continue;
        }
        if (from == hook->parent || (from == hook->left && from != NONE)) {
            if (hook->low <= number) {
                if (hook->high >= number) {
                    matcher_fire(matcher, hook->condition);
                }
                if (hook->right != NONE && hook_at(matcher, hook->right)->high_max >= number) {
                    next = hook->right;
                }
            }
        }
        from = id;
        id = next;
    }
}
