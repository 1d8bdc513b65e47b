/*
 * consumers_internal.h: what the files of /consumers share.
 *
 *     consumers.c       PUT, GET, DELETE, ack, and the list
 *     consumers_read.c  GET /consumers/{name}/changes
 *
 * Owner:  rest's thread.
 */
#ifndef FRESHET_NET_REST_CONSUMERS_INTERNAL_H
#define FRESHET_NET_REST_CONSUMERS_INTERNAL_H

#include "engine/stream/consumers.h"
#include "net/rest/rest_internal.h"

/* What went wrong with a consumer's request, as an answer. */
void rest_consumer_failure(struct rest *rest, struct http_exchange *exchange, enum status status,
                           const struct detail *detail);
/* GET and HEAD of /consumers/{name}/changes. */
void rest_consumer_read(struct rest *rest, struct http_exchange *exchange, struct bytes name);

#endif
