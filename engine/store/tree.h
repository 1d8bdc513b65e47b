/*
 * tree.h: an ordered map whose snapshots cost nothing: the rows of the store in memory.
 *
 * A treap whose priorities are the hashes of the keys, so that its shape depends on its rows alone.
 * Nodes are counted references: whoever changes a tree copies those nodes of the path that another
 * tree shares, and only those.
 *
 *     tree_share --> root (2) <-- the tree that goes on; after a put below the right child:
 *                    /     \
 *             left (1)     right (1)         root (1) --> left (2), right (1)
 *                                            root' (1) --> left (2), right' (1)
 *
 * Owner:     changes, shares and clears are serialised by the caller; a shared tree may be read
 *            meanwhile by any thread.
 * Memory:    one block a row and one a node. Out of memory ends the process: this is the
 *            simulator's store, not a server's.
 * Invariant: keys grow from left to right; no priority is above its parent's; a node reachable from
 *            a shared tree never changes but for its count.
 * Tests:     tests/unit/engine/store/test_tree.c (against a naive model).
 */
#ifndef FRESHET_ENGINE_STORE_TREE_H
#define FRESHET_ENGINE_STORE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

struct tree_node;

/* All zero is the empty tree. */
struct tree {
    struct tree_node *root;
    uint64_t count; /* rows */
};

struct tree tree_share(const struct tree *tree); /* the rows as they are now; clear it when done */
void tree_clear(struct tree *tree);
/* Copies key and value in; a value that was there is replaced. */
void tree_put(struct tree *tree, struct bytes key, struct bytes value);
bool tree_remove(struct tree *tree, struct bytes key); /* false: it was not there */

/* NULL: none. A node is good until its tree changes or is cleared. */
const struct tree_node *tree_find(const struct tree *tree, struct bytes key);
const struct tree_node *tree_find_from(const struct tree *tree, struct bytes key); /* at or after */
const struct tree_node *tree_find_after(const struct tree *tree, struct bytes key); /* after */
struct bytes tree_key(const struct tree_node *node);
struct bytes tree_value(const struct tree_node *node);

/* Order, priorities and count of the whole tree; for tests. */
void tree_check(const struct tree *tree);

#endif
