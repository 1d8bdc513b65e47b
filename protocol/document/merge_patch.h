/*
 * merge_patch.h: JSON Merge Patch (RFC 7396) on documents.
 *
 * Owner:     the caller; any thread may call. out must not overlap the inputs.
 * Memory:    as document.h: small objects on the C stack, a block for large ones. The stack is
 *            bounded by DOCUMENT_DEPTH_MAX; nothing recurses.
 * Invariant: members of the target keep their place, new ones follow in the patch's order; no null
 *            that came as a member of the patch is in the result.
 * Tests:     tests/unit/protocol/document/, tests/fuzz/fuzz_merge_patch.c.
 */
#ifndef FRESHET_PROTOCOL_DOCUMENT_MERGE_PATCH_H
#define FRESHET_PROTOCOL_DOCUMENT_MERGE_PATCH_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Appends the patched document to out. The target may be empty (absent). Both are valid documents:
 * INVALID where they are not, TOO_LARGE when out is full, NO_MEMORY.
 */
MUST_USE enum status document_merge_patch(struct bytes target, struct bytes patch,
                                          struct writer *out);

#ifdef __cplusplus
}
#endif

#endif
