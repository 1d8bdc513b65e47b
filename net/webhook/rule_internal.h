/*
 * rule_internal.h: how the members of a rule's document are read; what the files of rule.h share.
 *
 *     rule.c          the rule as a whole
 *     rule_target.c   its target: URL, headers, body
 *     rule_members.c  members of any kind, and messages that name them
 *
 * An empty value is a member that was not given: it is left at its default.
 *
 * Owner:   rule_parse, within one call.
 */
#ifndef FRESHET_NET_WEBHOOK_RULE_INTERNAL_H
#define FRESHET_NET_WEBHOOK_RULE_INTERNAL_H

#include "net/webhook/rule.h"

#define RULE_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A member by name, and where its value goes. */
struct part {
    const char *name;
    struct bytes *value;
};

struct rule_reader {
    struct rule *rule;
    struct writer names; /* rule->memory: the texts that the rule points to */
    struct rule_problem *problem;
};

/* Sets the problem; returns status. */
__attribute__((format(printf, 3, 4))) enum status
rule_refuse(struct rule_problem *problem, enum status status, const char *format, ...);

#define REFUSE(reader, ...) rule_refuse((reader)->problem, STATUS_INVALID, __VA_ARGS__)

/* For printf's %.*s: the beginning of a text, in whole characters. */
int rule_shown_size(struct bytes text);

#define SHOWN(text) rule_shown_size(text), (const char *)(text).data

/* Shares an object out to its parts; base is "" or "target.". */
MUST_USE enum status rule_parts_read(struct rule_reader *reader, struct bytes object,
                                     const char *what, const char *base, const struct part *parts,
                                     size_t count);
MUST_USE enum status rule_text_read(struct rule_reader *reader, const char *member,
                                    struct bytes value, struct bytes *out);
/* A copy that lives with the rule. */
struct bytes rule_text_keep(struct rule_reader *reader, struct bytes text);
/* One of names, whose place is the value. */
MUST_USE enum status rule_choice_read(struct rule_reader *reader, const char *member,
                                      struct bytes value, const char *const *names, uint32_t count,
                                      uint32_t *out);
MUST_USE enum status rule_count_read(struct rule_reader *reader, const char *member,
                                     struct bytes value, uint32_t least, uint32_t most,
                                     uint32_t *out);
/* "15s", "500ms". range: least and most in words. */
MUST_USE enum status rule_duration_read(struct rule_reader *reader, const char *member,
                                        struct bytes value, uint64_t least, uint64_t most,
                                        const char *range, uint64_t *out);

/* ---- rule_target.c ---- */

MUST_USE enum status rule_target_read(struct rule_reader *reader, struct bytes target);

#endif
