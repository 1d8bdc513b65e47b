#include "protocol/document/merge_patch.h"

#include "protocol/base/assert.h"
#include "protocol/base/limits.h"
#include "protocol/document/document.h"
#include "protocol/document/members.h"
#include "protocol/document/token.h"

/*
 * One object of the result. Its frame is a slice of the table of members:
 *
 *     target_at        patch_at        index_at          index_end
 *     | target's       | patch's       | patch's, sorted |
 *     | in their order | in their order| if they are many|
 *
 * Every member of the target is matched with the patch before anything is written, so that the
 * count at the head of the object is known: a member of either side is a member of the result,
 * unless its patch is null.
 */
struct merge_frame {
    size_t target_at;
    size_t patch_at;
    size_t index_at;
    size_t next; /* the entry of target or patch that is written next */
};

struct merge {
    const uint8_t *target_base;
    const uint8_t *patch_base;
    struct ends target_ends;
    struct ends patch_ends;
    struct members members;
    struct merge_frame frames[DOCUMENT_DEPTH_MAX];
    size_t depth;
    struct writer *out;
};

/*
 * Once matched, an entry's fields are put to other use: a target's order is 1 + the index of its
 * patch behind patch_at, or UNMATCHED; a patch's name_size is MATCHED, which no name has, when a
 * member of the target has taken it.
 */
#define UNMATCHED 0
#define MATCHED   UINT32_MAX

static enum status gather(struct merge *merge, const struct ends *ends, const uint8_t *base,
                          struct bytes object)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (!document_cursor_open(object, &cursor) || !cursor.is_object) {
        return STATUS_INVALID;
    }
    for (uint32_t left = cursor.left; left > 0; left--) {
        if (!ends_next_member(ends, &cursor, &name, &value)) {
            return STATUS_INVALID;
        }
        struct member *member = members_push(&merge->members);
        if (member == NULL) {
            return STATUS_NO_MEMORY;
        }
        *member = (struct member){
            .order = member_order(name),
            .name_offset = (uint32_t)(name.data - base),
            .name_size = (uint32_t)name.size,
            .value_offset = (uint32_t)(value.data - base),
            .value_size = (uint32_t)value.size,
        };
    }
    return STATUS_OK;
}

/*
 * Copies the patch's entries behind themselves and sorts them, when they are too many for looking
 * at each.
 */
static enum status make_index(struct merge *merge, const struct merge_frame *frame)
{
    struct members *members = &merge->members;
    size_t count = frame->index_at - frame->patch_at;
    if (count <= MEMBERS_LINEAR_MAX) {
        return STATUS_OK;
    }
    if (!members_reserve(members, count)) {
        return STATUS_NO_MEMORY;
    }
    for (size_t at = 0; at < count; at++) {
        struct member *member = &members->items[members->count++];
        *member = members->items[frame->patch_at + at];
        member->value_size = (uint32_t)at; /* which entry it stands for */
    }
    return members_sort(members, frame->index_at, merge->patch_base) ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The index behind patch_at of the patch for this name, plus one; or UNMATCHED. */
static uint64_t find_patch(const struct merge *merge, const struct merge_frame *frame,
                           struct bytes name, uint64_t order)
{
    size_t count = frame->index_at - frame->patch_at;
    bool has_index = count > MEMBERS_LINEAR_MAX;
    const struct member *found =
        members_find(&merge->members, has_index ? frame->index_at : frame->patch_at, count,
                     merge->patch_base, name, order);
    if (found == NULL) {
        return UNMATCHED;
    }
    return 1 + (has_index ? found->value_size
                          : (uint64_t)(found - &merge->members.items[frame->patch_at]));
}

static bool is_null(const struct merge *merge, const struct member *patch)
{
    return document_is_null(member_value(patch, merge->patch_base));
}

/* Matches every member of the target; the count of the result's members. */
static uint64_t match(struct merge *merge, const struct merge_frame *frame)
{
    struct member *items = merge->members.items;
    uint64_t count = frame->index_at - frame->target_at;
    for (size_t at = frame->target_at; at < frame->patch_at; at++) {
        struct member *target = &items[at];
        target->order =
            find_patch(merge, frame, member_name(target, merge->target_base), target->order);
        if (target->order != UNMATCHED) {
            struct member *patch = &items[frame->patch_at + target->order - 1];
            patch->name_size = MATCHED;
            count -= 1; /* two entries, one member */
        }
    }
    for (size_t at = frame->patch_at; at < frame->index_at; at++) {
        count -= is_null(merge, &items[at]);
    }
    return count;
}

/* Begins an object of the result; an empty target is none. */
static enum status open_object(struct merge *merge, struct bytes target, struct bytes patch)
{
    if (merge->depth == DOCUMENT_DEPTH_MAX) {
        return STATUS_INVALID;
    }
    struct merge_frame *frame = &merge->frames[merge->depth];
    struct members *members = &merge->members;
    enum status status = STATUS_OK;
    frame->target_at = members->count;
    frame->next = members->count;
    if (target.size > 0) {
        status = gather(merge, &merge->target_ends, merge->target_base, target);
    }
    frame->patch_at = members->count;
    if (status == STATUS_OK) {
        status = gather(merge, &merge->patch_ends, merge->patch_base, patch);
    }
    frame->index_at = members->count;
    if (status == STATUS_OK) {
        status = make_index(merge, frame);
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t count = match(merge, frame);
    ASSERT(count <= UINT32_MAX);
    document_write_map(merge->out, (uint32_t)count);
    merge->depth++;
    return STATUS_OK;
}

static enum status write_patched(struct merge *merge, struct bytes target, struct bytes patch)
{
    if (!document_is_object(patch)) {
        document_write_raw(merge->out, patch);
        return STATUS_OK;
    }
    return open_object(merge, document_is_object(target) ? target : BYTES_EMPTY, patch);
}

/* The next member of the innermost object, or its end. */
static enum status merge_step(struct merge *merge)
{
    struct merge_frame *frame = &merge->frames[merge->depth - 1];
    if (frame->next == frame->index_at) {
        merge->members.count = frame->target_at;
        merge->depth--;
        return STATUS_OK;
    }
    size_t at = frame->next++;
    /* Copies, as opening an object may move the table. */
    struct member member = merge->members.items[at];
    if (at >= frame->patch_at) {
        if (member.name_size == MATCHED || is_null(merge, &member)) {
            return STATUS_OK;
        }
        document_write_string(merge->out, member_name(&member, merge->patch_base));
        return write_patched(merge, BYTES_EMPTY, member_value(&member, merge->patch_base));
    }
    struct bytes value = member_value(&member, merge->target_base);
    if (member.order == UNMATCHED) {
        document_write_string(merge->out, member_name(&member, merge->target_base));
        document_write_raw(merge->out, value);
        return STATUS_OK;
    }
    struct member patch = merge->members.items[frame->patch_at + member.order - 1];
    if (is_null(merge, &patch)) {
        return STATUS_OK;
    }
    document_write_string(merge->out, member_name(&member, merge->target_base));
    return write_patched(merge, value, member_value(&patch, merge->patch_base));
}

static enum status merge_run(struct merge *merge, struct bytes target, struct bytes patch)
{
    merge->depth = 0;
    members_init(&merge->members);
    enum status status = write_patched(merge, target, patch);
    while (status == STATUS_OK && merge->depth > 0) {
        status = merge->out->failed ? STATUS_TOO_LARGE : merge_step(merge);
    }
    members_deinit(&merge->members);
    if (status == STATUS_OK && merge->out->failed) {
        return STATUS_TOO_LARGE;
    }
    return status;
}

enum status document_merge_patch(struct bytes target, struct bytes patch, struct writer *out)
{
    struct merge merge;
    merge.target_base = target.data;
    merge.patch_base = patch.data;
    merge.out = out;
    enum status status = ends_init(&merge.patch_ends, patch);
    if (status != STATUS_OK) {
        return status;
    }
    if (target.size == 0) {
        status = merge_run(&merge, target, patch);
    } else {
        status = ends_init(&merge.target_ends, target);
        if (status == STATUS_OK) {
            status = merge_run(&merge, target, patch);
            ends_deinit(&merge.target_ends);
        }
    }
    ends_deinit(&merge.patch_ends);
    return status;
}
