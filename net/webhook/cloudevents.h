/*
 * cloudevents.h: a change as a CloudEvent 1.0 over HTTP, in binary or structured mode.
 *
 *     attribute        of a change of a record              of a user's own event
 *     specversion      1.0                                  1.0
 *     id               eventID                              eventID
 *     source           /freshet/COLLECTION                  its source
 *     type             freshet.record.insert|modify|remove  its detail-type
 *     subject          the record's id                      none
 *     time             time                                 time
 *     freshetsequence  sequence, as decimal text            sequence
 *     data             the change, as GET /changes has it   its detail
 *
 * Binary mode has the attributes as headers ("ce-id"), percent-encoded as the HTTP binding says,
 * and data as the body; in structured mode all is one JSON object. What of a source no URI may
 * contain is percent-encoded in both.
 *
 * Owner:   the caller; nothing is kept, nothing is allocated.
 * Memory:  views point into the writer or into the event given.
 * Tests:   tests/unit/net/webhook/test_cloudevents.c.
 */
#ifndef FRESHET_NET_WEBHOOK_CLOUDEVENTS_H
#define FRESHET_NET_WEBHOOK_CLOUDEVENTS_H

#include <stdbool.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

/* Content-Type in structured mode; in binary mode it is that of the data. */
#define CLOUDEVENTS_CONTENT_TYPE "application/cloudevents+json; charset=utf-8"
#define CLOUDEVENTS_HEADERS_MAX  8

struct cloudevents_header {
    const char *name; /* "ce-id"; static storage */
    struct bytes value;
};

/* What the body of the call is about where no template says otherwise: event itself, or a user's
 * detail; MessagePack. */
struct bytes cloudevents_data(struct bytes event);

/* Binary mode. event: a change as MessagePack. The values are written to out, where they must stay
 * as long as headers_out (of CLOUDEVENTS_HEADERS_MAX) is used. TOO_LARGE when out is full; INVALID:
 * event is no change. */
MUST_USE enum status cloudevents_headers(struct bytes event, struct writer *out,
                                         struct cloudevents_header *headers_out, size_t *count_out);

/* Structured mode. data: JSON text (cloudevents_data as JSON, or a rendered template), or with
 * data_is_json false any UTF-8 text, which becomes a string. TOO_LARGE, INVALID. */
MUST_USE enum status cloudevents_structured(struct bytes event, struct bytes data,
                                            bool data_is_json, struct writer *json_out);

#endif
