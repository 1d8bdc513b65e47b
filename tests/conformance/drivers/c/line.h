/*
 * line.h: the lines of a driver: a JSON object that is read, and one that is written.
 *
 * Owner:     one driver; there is one line at a time.
 * Memory:    three blocks taken at the start; what does not fit ends the driver with a message, for
 *            the runner sends nothing so large.
 * Invariant: texts are NUL-terminated copies, valid until the next line_read.
 * Tests:     every case of tests/conformance/cases.
 */
#ifndef FRESHET_TESTS_CONFORMANCE_LINE_H
#define FRESHET_TESTS_CONFORMANCE_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

#define LINE_LIST_MAX 1024

struct line {
    struct writer document; /* what was read, as MessagePack */
    struct writer texts;
    struct writer answer;
};

void line_create(struct line *line);
void line_destroy(struct line *line);
/* A line without its end; the driver ends when it is no JSON object. */
void line_read(struct line *line, struct bytes json);

/* ---- reading: members of an object, the whole line's or one of a list in it ---- */

struct bytes line_object(const struct line *line);
/* NULL: absent, or null. */
const char *line_text(struct line *line, struct bytes object, const char *name);
bool line_flag(struct bytes object, const char *name);
uint64_t line_number(struct bytes object, const char *name, uint64_t otherwise);
/* The elements of a list; how many. */
size_t line_list(struct bytes object, const char *name, struct bytes elements[LINE_LIST_MAX]);
const char *line_element_text(struct line *line, struct bytes element);

/* ---- writing: commas come by themselves ---- */

void put_begin(struct writer *out, char bracket);
void put_end(struct writer *out, char bracket);
void put_name(struct writer *out, const char *name);
void put_text(struct writer *out, const char *name, const char *text); /* NULL: null */
/* As a string in a list, without a name. */
void put_element(struct writer *out, struct bytes text); /* data NULL: null */
void put_bytes(struct writer *out, const char *name, struct bytes text);
void put_number(struct writer *out, const char *name, uint64_t number);
void put_flag(struct writer *out, const char *name, bool flag);

#endif
