/*
 * rules_internal.h: what rules.c and rules_view.c share.
 *
 * Owner: rest's thread.
 */
#ifndef FRESHET_NET_REST_RULES_INTERNAL_H
#define FRESHET_NET_REST_RULES_INTERNAL_H

#include "net/rest/rest_internal.h"
#include "net/webhook/webhooks.h"

/* What is shown in place of a secret; a rule with it in such a place is refused. */
#define RULES_MASK        "****"
#define RULES_SECRET_MASK "whsec_****"
/* A rule as it is shown, beyond its own JSON. */
#define RULES_STATE_BYTES_MAX 4096
/* A dead letter as it is shown, beyond what is stored. */
#define RULES_LETTER_BYTES_MAX 512

/* rule: MessagePack, as it was put. */
void rules_rule_write(const struct rest *rest, struct bytes name, struct bytes rule,
                      struct writer *json);
/* A member whose value is what a GET shows in place of a secret; NULL: there is none. */
const char *rules_masked_member(struct bytes rule);
/* row: the record, MessagePack. */
void rules_dead_letter_write(struct bytes row, struct writer *json);

#endif
