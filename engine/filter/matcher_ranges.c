/*
 * The ranges of a field: blocks of up to BLOCK_ITEMS, in order of their lower bounds (of equal ones
 * by the upper), in a treap of blocks that knows the greatest upper bound below each. A number
 * finds the few blocks that may hold it; their bounds lie side by side, and are compared one by
 * one.
 *
 * Priorities come from the blocks' numbers; the walk needs no stack, so that no order of insertion
 * can do more than slow it down.
 */
#include <float.h>
#include <math.h>

#include "engine/filter/matcher_internal.h"
#include "protocol/base/assert.h"

float float_below(double number)
{
    if (number > (double)FLT_MAX) {
        return FLT_MAX;
    }
    return number < -(double)FLT_MAX ? -INFINITY : nextafterf((float)number, -INFINITY);
}

float float_above(double number)
{
    if (number < -(double)FLT_MAX) {
        return -FLT_MAX;
    }
    return number > (double)FLT_MAX ? INFINITY : nextafterf((float)number, INFINITY);
}

float float_near(double number)
{
    return (float)fmax(-(double)FLT_MAX, fmin((double)FLT_MAX, number));
}

static uint64_t priority(uint32_t block)
{
    return hash_mix(hash_mix(UINT64_C(0xD6E8FEB86659FD93), block), block);
}

/* ---- the treap ---- */

static float high_below(const struct matcher *matcher, uint32_t id)
{
    return id == NONE ? -INFINITY : block_at(matcher, id)->high_max;
}

static void update(struct matcher *matcher, uint32_t id)
{
    struct range_block *block = block_at(matcher, id);
    float below = fmaxf(high_below(matcher, block->left), high_below(matcher, block->right));
    block->high_max = fmaxf(block->high_own, below);
}

static void update_up(struct matcher *matcher, uint32_t id)
{
    for (; id != NONE; id = block_at(matcher, id)->parent) {
        update(matcher, id);
    }
}

/* The link that leads to a block. */
static uint32_t *link_to(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    uint32_t parent = block_at(matcher, id)->parent;
    if (parent == NONE) {
        return root;
    }
    struct range_block *above = block_at(matcher, parent);
    return above->left == id ? &above->left : &above->right;
}

/* Moves a block above its parent. */
static void rotate_up(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    struct range_block *block = block_at(matcher, id);
    uint32_t parent = block->parent;
    ASSERT(parent != NONE);
    struct range_block *above = block_at(matcher, parent);
    *link_to(matcher, root, parent) = id;
    block->parent = above->parent;
    uint32_t moved;
    if (above->left == id) {
        moved = block->right;
        above->left = moved;
        block->right = parent;
    } else {
        moved = block->left;
        above->right = moved;
        block->left = parent;
    }
    above->parent = id;
    if (moved != NONE) {
        block_at(matcher, moved)->parent = parent;
    }
    update(matcher, parent);
    update(matcher, id);
}

/* Puts an empty block right behind another, or as the only one. */
static bool add_block(struct matcher *matcher, uint32_t *root, uint32_t before, uint32_t *id_out)
{
    uint32_t id;
    if (!pool_take(matcher, &matcher->blocks, &id)) {
        return false;
    }
    struct range_block *block = block_at(matcher, id);
    block->left = NONE;
    block->right = NONE;
    block->high_own = -INFINITY;
    block->high_max = -INFINITY;
    uint32_t parent = before;
    uint32_t *place = before == NONE ? root : &block_at(matcher, before)->right;
    while (*place != NONE) {
        parent = *place;
        place = &block_at(matcher, parent)->left;
    }
    *place = id;
    block->parent = parent;
    while (block->parent != NONE && priority(id) > priority(block->parent)) {
        rotate_up(matcher, root, id);
    }
    ASSERT(*root != NONE);
    *id_out = id;
    return true;
}

static void remove_block(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    struct range_block *block = block_at(matcher, id);
    ASSERT(block->count == 0);
    while (block->left != NONE || block->right != NONE) {
        bool takes_left = block->right == NONE ||
                          (block->left != NONE && priority(block->left) > priority(block->right));
        rotate_up(matcher, root, takes_left ? block->left : block->right);
    }
    *link_to(matcher, root, id) = NONE;
    update_up(matcher, block->parent);
    pool_give(&matcher->blocks, id);
}

/* ---- the ranges of a block ---- */

static bool is_before(float low, float high, const struct range_block *block)
{
    return low < block->low || (low == block->low && high < block->high);
}

static void put(struct matcher *matcher, uint32_t id, float low, float high, uint32_t hook_id,
                struct guard guard)
{
    struct range_block *block = block_at(matcher, id);
    struct hook *hook = hook_at(matcher, hook_id);
    ASSERT(block->count < BLOCK_ITEMS);
    hook->block = id;
    hook->item = block->count++;
    block->lows[hook->item] = low;
    block->highs[hook->item] = high;
    block->hooked[hook->item] = (struct hooked){hook->condition, guard};
    block->hooks[hook->item] = hook_id;
    block->high_own = fmaxf(block->high_own, high);
}

/* The last item takes its place. */
static void take(struct matcher *matcher, uint32_t id, uint32_t item)
{
    struct range_block *block = block_at(matcher, id);
    ASSERT(item < block->count);
    uint32_t last = --block->count;
    if (item != last) {
        block->lows[item] = block->lows[last];
        block->highs[item] = block->highs[last];
        block->hooked[item] = block->hooked[last];
        block->hooks[item] = block->hooks[last];
        hook_at(matcher, block->hooks[item])->item = item;
    }
    block->high_own = -INFINITY;
    for (uint32_t index = 0; index < block->count; index++) {
        block->high_own = fmaxf(block->high_own, block->highs[index]);
    }
}

/* The greatest item, which is the first to move when a block is divided. */
static uint32_t greatest(const struct range_block *block)
{
    uint32_t found = 0;
    for (uint32_t item = 1; item < block->count; item++) {
        bool is_greater =
            block->lows[item] > block->lows[found] ||
            (block->lows[item] == block->lows[found] && block->highs[item] > block->highs[found]);
        found = is_greater ? item : found;
    }
    return found;
}

/* Moves the upper half of a full block into a new one behind it. */
static bool divide(struct matcher *matcher, uint32_t *root, uint32_t id)
{
    uint32_t upper;
    if (!add_block(matcher, root, id, &upper)) {
        return false;
    }
    struct range_block *block = block_at(matcher, id);
    struct range_block *above = block_at(matcher, upper);
    ASSERT(block->count == BLOCK_ITEMS);
    while (block->count > BLOCK_ITEMS / 2) {
        uint32_t item = greatest(block);
        above->low = block->lows[item];
        above->high = block->highs[item];
        uint32_t hook = block->hooks[item];
        struct guard guard = block->hooked[item].guard;
        take(matcher, id, item);
        put(matcher, upper, above->low, above->high, hook, guard);
    }
    update_up(matcher, upper);
    update_up(matcher, id);
    return true;
}

/* The block whose items begin where this one does; NONE: there is no block. */
static uint32_t block_for(struct matcher *matcher, uint32_t root, float low, float high)
{
    uint32_t found = NONE;
    uint32_t first = NONE;
    for (uint32_t id = root; id != NONE;) {
        const struct range_block *block = block_at(matcher, id);
        if (is_before(low, high, block)) {
            first = id;
            id = block->left;
        } else {
            found = id;
            id = block->right;
        }
    }
    if (found == NONE && first != NONE) {
        block_at(matcher, first)->low = low; /* the least of all: the first block begins with it */
        block_at(matcher, first)->high = high;
        found = first;
    }
    return found;
}

bool ranges_insert(struct matcher *matcher, uint32_t *root, uint32_t hook,
                   const struct range *range)
{
    float low = float_below(range->low);
    float high = float_above(range->high);
    ASSERT(hook_at(matcher, hook)->class == HOOK_RANGE);
    uint32_t id = block_for(matcher, *root, low, high);
    if (id == NONE) {
        if (!add_block(matcher, root, NONE, &id)) {
            return false;
        }
        block_at(matcher, id)->low = low;
        block_at(matcher, id)->high = high;
    }
    if (block_at(matcher, id)->count == BLOCK_ITEMS) {
        if (!divide(matcher, root, id)) {
            return false;
        }
        id = block_for(matcher, *root, low, high);
    }
    put(matcher, id, low, high, hook, (struct guard){.kind = GUARD_NONE});
    update_up(matcher, id);
    ASSERT(*root != NONE);
    return true;
}

void ranges_remove(struct matcher *matcher, uint32_t *root, uint32_t hook_id)
{
    const struct hook *hook = hook_at(matcher, hook_id);
    uint32_t id = hook->block;
    ASSERT(hook->class == HOOK_RANGE);
    ASSERT(block_at(matcher, id)->hooks[hook->item] == hook_id);
    take(matcher, id, hook->item);
    update_up(matcher, id);
    if (block_at(matcher, id)->count == 0) {
        remove_block(matcher, root, id);
    }
}

struct guard *ranges_guard(struct matcher *matcher, const struct hook *hook)
{
    ASSERT(hook->class == HOOK_RANGE);
    return &block_at(matcher, hook->block)->hooked[hook->item].guard;
}

/* ---- which hold a number ---- */

/* First the bounds alone, without a branch that nobody can foresee; of what holds the number the
 * guards are asked for together. */
static void probe_block(struct matcher *matcher, const struct range_block *block, float number,
                        bool is_whole)
{
    uint8_t items[BLOCK_ITEMS];
    uint32_t found = 0;
    for (uint32_t item = 0; item < block->count; item++) {
        items[found] = (uint8_t)item;
        found += (uint32_t)(block->lows[item] <= number) & (uint32_t)(block->highs[item] >= number);
    }
    for (uint32_t index = 0; index < found; index++) {
        __builtin_prefetch(&block->hooked[items[index]]);
    }
    for (uint32_t index = 0; index < found; index++) {
        const struct hooked *hooked = &block->hooked[items[index]];
        if (!is_whole || guard_passes(matcher, &hooked->guard)) {
            matcher_fire(matcher, hooked->condition);
        }
    }
}

/* In order; what lies below a block is passed over when it ends too low or begins too high. */
void ranges_probe(struct matcher *matcher, uint32_t root, float number, bool is_whole)
{
    uint32_t from = NONE; /* where the walk comes from */
    uint32_t id = root;
    while (id != NONE) {
        const struct range_block *block = block_at(matcher, id);
        uint32_t next = block->parent;
        bool is_new = from == block->parent;
        if (is_new && high_below(matcher, block->left) >= number) {
            from = id;
            id = block->left;
            continue;
        }
        if ((is_new || (from == block->left && from != NONE)) && block->low <= number) {
            if (block->high_own >= number) {
                probe_block(matcher, block, number, is_whole);
            }
            if (high_below(matcher, block->right) >= number) {
                next = block->right;
            }
        }
        from = id;
        id = next;
    }
}
