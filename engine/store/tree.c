#include "engine/store/tree.h"

#include <stdlib.h>
#include <xxhash.h>

#include "protocol/base/assert.h"

struct row {
    uint64_t references; /* nodes */
    size_t key_size;
    size_t value_size;
    uint8_t data[]; /* key, value */
};

struct tree_node {
    uint64_t references; /* parents and roots */
    uint64_t priority;
    struct row *row;
    struct tree_node *left;
    struct tree_node *right;
    struct tree_node *next_freed;
};

/* ---- rows and nodes ---- */

static struct row *row_create(struct bytes key, struct bytes value)
{
    size_t size;
    bool fits = size_add(key.size, value.size, &size) && size_add(size, sizeof(struct row), &size);
    ASSERT(fits);
    struct row *row = malloc(size);
    ASSERT(row != NULL);
    row->references = 1;
    row->key_size = key.size;
    row->value_size = value.size;
    struct writer writer = writer_of(row->data, key.size + value.size);
    writer_put(&writer, key);
    writer_put(&writer, value);
    ASSERT(!writer.failed);
    return row;
}

static void row_unref(struct row *row)
{
    ASSERT(row->references > 0);
    if (--row->references == 0) {
        free(row);
    }
}

static struct tree_node *node_ref(struct tree_node *node)
{
    if (node != NULL) {
        ASSERT(node->references > 0);
        node->references++;
    }
    return node;
}

/* Links node into the list of what is to be freed if this was its last reference. */
static void node_drop(struct tree_node *node, struct tree_node **freed)
{
    if (node == NULL) {
        return;
    }
    ASSERT(node->references > 0);
    if (--node->references == 0) {
        node->next_freed = *freed;
        *freed = node;
    }
}

static void node_unref(struct tree_node *node)
{
    struct tree_node *freed = NULL;
    node_drop(node, &freed);
    while (freed != NULL) {
        struct tree_node *dead = freed;
        freed = dead->next_freed;
        node_drop(dead->left, &freed);
        node_drop(dead->right, &freed);
        row_unref(dead->row);
        free(dead);
    }
}

static struct tree_node *node_create(struct row *row, uint64_t priority)
{
    struct tree_node *node = calloc(1, sizeof(*node));
    ASSERT(node != NULL);
    node->references = 1;
    node->priority = priority;
    node->row = row;
    return node;
}

/* The node of this link as one that nobody else sees: itself, or a copy that takes its place in the
 * link. */
static struct tree_node *node_own(struct tree_node **link)
{
    struct tree_node *node = *link;
    ASSERT(node->references > 0);
    if (node->references == 1) {
        return node;
    }
    struct tree_node *copy = node_create(node->row, node->priority);
    copy->row->references++;
    copy->left = node_ref(node->left);
    copy->right = node_ref(node->right);
    node->references--;
    *link = copy;
    return copy;
}

static int node_compare(struct bytes key, const struct tree_node *node)
{
    return bytes_compare(key, tree_key(node));
}

/* ---- reading ---- */

struct bytes tree_key(const struct tree_node *node)
{
    return bytes_of(node->row->data, node->row->key_size);
}

struct bytes tree_value(const struct tree_node *node)
{
    return bytes_of(node->row->data + node->row->key_size, node->row->value_size);
}

const struct tree_node *tree_find(const struct tree *tree, struct bytes key)
{
    const struct tree_node *node = tree_find_from(tree, key);
    return node != NULL && bytes_equal(tree_key(node), key) ? node : NULL;
}

const struct tree_node *tree_find_from(const struct tree *tree, struct bytes key)
{
    const struct tree_node *found = NULL;
    const struct tree_node *node = tree->root;
    while (node != NULL) {
        bool here_or_left = node_compare(key, node) <= 0;
        found = here_or_left ? node : found;
        node = here_or_left ? node->left : node->right;
    }
    return found;
}

const struct tree_node *tree_find_after(const struct tree *tree, struct bytes key)
{
    const struct tree_node *found = NULL;
    const struct tree_node *node = tree->root;
    while (node != NULL) {
        bool left = node_compare(key, node) < 0;
        found = left ? node : found;
        node = left ? node->left : node->right;
    }
    return found;
}

struct tree tree_share(const struct tree *tree)
{
    ASSERT((tree->root == NULL) == (tree->count == 0));
    node_ref(tree->root);
    return *tree;
}

void tree_clear(struct tree *tree)
{
    ASSERT((tree->root == NULL) == (tree->count == 0));
    node_unref(tree->root);
    *tree = (struct tree){NULL, 0};
}

/* ---- changing ---- */

/* Takes the subtree apart at key, which is not in it: what is below goes to left, what is above to
 * right. */
static void split(struct tree_node *rest, struct bytes key, struct tree_node **left,
                  struct tree_node **right)
{
    while (rest != NULL) {
        struct tree_node *node = node_own(&rest);
        int order = node_compare(key, node);
        ASSERT(order != 0);
        if (order > 0) {
            *left = node;
            left = &node->right;
            rest = node->right;
        } else {
            *right = node;
            right = &node->left;
            rest = node->left;
        }
    }
    *left = NULL;
    *right = NULL;
}

/* Joins two subtrees, all keys of left below those of right, in link. */
static void join(struct tree_node *left, struct tree_node *right, struct tree_node **link)
{
    while (left != NULL && right != NULL) {
        if (left->priority >= right->priority) {
            struct tree_node *node = node_own(&left);
            *link = node;
            link = &node->right;
            left = node->right;
        } else {
            struct tree_node *node = node_own(&right);
            *link = node;
            link = &node->left;
            right = node->left;
        }
    }
    *link = left != NULL ? left : right;
}

void tree_put(struct tree *tree, struct bytes key, struct bytes value)
{
    uint64_t priority = XXH3_64bits(key.data, key.size);
    struct row *row = row_create(key, value);
    ASSERT((tree->root == NULL) == (tree->count == 0));
    /* An equal key has an equal priority, so it is met before the place of a new node. */
    struct tree_node **link = &tree->root;
    while (*link != NULL && (*link)->priority >= priority) {
        struct tree_node *node = node_own(link);
        int order = node_compare(key, node);
        if (order == 0) {
            row_unref(node->row);
            node->row = row;
            return;
        }
        link = order < 0 ? &node->left : &node->right;
    }
    struct tree_node *node = node_create(row, priority);
    split(*link, key, &node->left, &node->right);
    *link = node;
    tree->count++;
    ASSERT(tree->root != NULL);
}

bool tree_remove(struct tree *tree, struct bytes key)
{
    ASSERT((tree->root == NULL) == (tree->count == 0));
    if (tree_find(tree, key) == NULL) {
        return false; /* no path is copied for nothing */
    }
    struct tree_node **link = &tree->root;
    for (;;) {
        struct tree_node *node = node_own(link);
        int order = node_compare(key, node);
        if (order == 0) {
            struct tree_node *left = node->left;
            struct tree_node *right = node->right;
            node->left = NULL;
            node->right = NULL;
            node_unref(node);
            join(left, right, link);
            break;
        }
        link = order < 0 ? &node->left : &node->right;
    }
    tree->count--;
    ASSERT((tree->root == NULL) == (tree->count == 0));
    return true;
}

void tree_check(const struct tree *tree)
{
    uint64_t count = 0;
    const struct tree_node *before = NULL;
    const struct tree_node *node = tree_find_from(tree, BYTES_EMPTY);
    while (node != NULL) {
        ASSERT(before == NULL || bytes_compare(tree_key(before), tree_key(node)) < 0);
        ASSERT(node->references > 0);
        ASSERT(node->left == NULL || node->left->priority <= node->priority);
        ASSERT(node->right == NULL || node->right->priority <= node->priority);
        count++;
        before = node;
        node = tree_find_after(tree, tree_key(node));
    }
    ASSERT(count == tree->count);
}
