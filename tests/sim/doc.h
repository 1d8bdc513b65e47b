/*
 * doc.h: the documents of the simulation: flat objects of five members, and what the product does
 * to them, said again as simply as possible.
 *
 * Nothing here uses the product's parser or its rules: the reader of JSON knows these objects only,
 * and gives up on everything else.
 */
#ifndef FRESHET_TESTS_SIM_DOC_H
#define FRESHET_TESTS_SIM_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum doc_member { DOC_CATEGORY, DOC_N, DOC_TITLE, DOC_EXTRA, DOC_PAD };
#define DOC_MEMBER_COUNT 5
#define DOC_JSON_MAX     2048
#define DOC_PAD_MAX      1200
#define DOC_ID_MAX       64

/* category: 0.. is "a"..; n, extra: a number; title: 0 is "", k is "tk"; pad: so many "p". */
struct doc {
    bool has[DOC_MEMBER_COUNT];
    uint32_t value[DOC_MEMBER_COUNT];
};

/* A merge patch: what has is set, what clears is null. */
struct doc_patch {
    struct doc set;
    bool clears[DOC_MEMBER_COUNT];
};

bool doc_equal(const struct doc *a, const struct doc *b);
/* title_default: products get a title "" where there is none. */
struct doc doc_stored(const struct doc *doc, bool title_default);
struct doc doc_patched(const struct doc *doc, const struct doc_patch *patch, bool title_default);

/* The body of a PUT, a CREATE or a PATCH; patch may be NULL. Returns the size. */
size_t doc_to_json(const struct doc *doc, const struct doc_patch *patch, char out[DOC_JSON_MAX]);

/* Reads one record {"id":…,…} at *at, which is moved behind it. False: it is not one of ours. */
bool doc_read_record(const char **at, const char *end, char id_out[DOC_ID_MAX],
                     struct doc *doc_out);

#endif
