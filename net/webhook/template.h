/*
 * template.h: text with places for values of an event.
 *
 *     {"id": <$.newImage.id>, "who": "<$.newImage.name>"}
 *
 * `<$.a.b[0]['c d']>` is replaced by the value at that path. Standing for a whole JSON value it is
 * rendered as JSON; between quotes as the inside of a JSON string, escaped, so that no value can
 * break out: a string's own text, a number's or boolean's, and the JSON text of an object or array.
 * A path that the event does not have is null outside quotes, and nothing inside them (so is null).
 * `<$>` is the whole event. '<' before anything but '$' is itself, and `\<` always is.
 *
 * In a URL `{name}` is replaced by the value of a path parameter, percent-encoded whole ('/' too);
 * places stand behind the host only, and never make a segment "." or "..". In a header a value that
 * would add a line is refused.
 *
 * Invariant: a body template that is JSON (template_is_json) renders to JSON, for every event
 *            (names
 *          made of values may then be there twice).
 *
 * Owner:   constant once made.
 * Memory:  one block.
 * Tests:   tests/unit/net/webhook/test_template.c, tests/fuzz/fuzz_template.c.
 */
#ifndef FRESHET_NET_WEBHOOK_TEMPLATE_H
#define FRESHET_NET_WEBHOOK_TEMPLATE_H

#include <stdbool.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define TEMPLATE_BYTES_MAX  (64u << 10)
#define TEMPLATE_PLACES_MAX 256
/* Of a problem in words. */
#define TEMPLATE_PROBLEM_BYTES 160

struct template;

enum template_kind {
    TEMPLATE_BODY,   /* JSON, or any text */
    TEMPLATE_URL,    /* values are percent-encoded; {name} by parameters */
    TEMPLATE_HEADER, /* values as text, without control characters */
};

struct template_parameter {
    struct bytes name;
    struct bytes path; /* "$.keys.id" */
};

/* problem_out (of TEMPLATE_PROBLEM_BYTES) says what is wrong and where. INVALID, UNPROCESSABLE,
 * NO_MEMORY. */
MUST_USE enum status template_parse(enum template_kind kind, struct bytes text,
                                    const struct template_parameter *parameters,
                                    size_t parameter_count, struct template **out,
                                    char *problem_out);
void template_destroy(struct template **template); /* accepts NULL */
/* event: MessagePack. TOO_LARGE; UNPROCESSABLE: a value that this kind of text cannot hold (a line
 * break in a header, an absent or empty URL parameter). */
MUST_USE enum status template_render(const struct template *template, struct bytes event,
                                     struct writer *out);
/* After UNPROCESSABLE: which place cannot be filled, and why, into text_out of
 * TEMPLATE_PROBLEM_BYTES. */
void template_explain(const struct template *template, struct bytes event, char *text_out);
/* Of a body: what it renders to is JSON, not merely text. */
bool template_is_json(const struct template *template);
/* Has no place, so that it renders to the same text for every event. */
bool template_is_constant(const struct template *template);

#endif
