/*
 * event_path.h: a path into an event, as rules write it.
 *
 *     $   $.keys.id   $.newImage.tags[0]   $.detail['a name']   $["detail-type"].x
 *
 * A name after a dot goes on to the next of . [ ] < > ' " or white space; any other name stands in
 * quotes, and has none of the same kind. An index counts from 0.
 *
 * Owner:   the caller; nothing is allocated, views point into the event.
 * Memory:  none: a path is read anew, while it is followed.
 * Tests:   tests/unit/net/webhook/test_event_path.c, tests/fuzz/fuzz_template.c.
 */
#ifndef FRESHET_NET_WEBHOOK_EVENT_PATH_H
#define FRESHET_NET_WEBHOOK_EVENT_PATH_H

#include <stdbool.h>

#include "protocol/base/bytes.h"

#define EVENT_PATH_STEPS_MAX 32
#define EVENT_PATH_INDEX_MAX 9999999u

/* The longest path that begins text. False: there is none, with the reason in plain words (static
 * storage) and in *size_out where it went wrong. */
bool event_path_scan(struct bytes text, size_t *size_out, const char **reason_out);

/* The value at a path that event_path_scan has accepted whole. False: the event has none there. */
bool event_path_find(struct bytes path, struct bytes event, struct bytes *value_out);

#endif
