/*
 * problem.h: errors as application/problem+json (RFC 9457).
 *
 * The one place where an enum status becomes an HTTP status. `type` is about:blank where the HTTP
 * status says all there is, else urn:freshet:problem:NAME.
 *
 * Owner:     the caller; nothing is kept.
 * Tests:     tests/unit/net/rest/test_problem.c.
 */
#ifndef FRESHET_NET_REST_PROBLEM_H
#define FRESHET_NET_REST_PROBLEM_H

#include <stdint.h>

#include "engine/shard/request.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"
#include "protocol/document/json.h"

#define PROBLEM_DETAIL_BYTES_MAX  512
#define PROBLEM_MEMBERS_BYTES_MAX 512
/* Detail stands in it twice, and a byte of it takes at most six as JSON. */
#define PROBLEM_BODY_BYTES_MAX (12 * PROBLEM_DETAIL_BYTES_MAX + PROBLEM_MEMBERS_BYTES_MAX + 512)

struct problem {
    uint16_t status;
    const char *type; /* NULL: about:blank */
    /* at most PROBLEM_DETAIL_BYTES_MAX of UTF-8; longer is cut; empty: the status's reason */
    struct bytes detail;
    uint32_t retry_after_s; /* 0: not said */
    const char *allow;      /* methods, with 405; NULL: not said */
    /* More members as JSON, each with a comma before it; empty: none. */
    struct bytes members;
};

uint16_t problem_http_status(enum status status);
/* status, type and retry_after_s of a status, with the given words, or those of the status table
 * when they are empty. */
struct problem problem_of(enum status status, struct bytes detail);

/* What went wrong with a request, in its own words if it has any; those may be views into it. */
struct problem problem_of_request(const struct request *request);

/* Why a document's JSON is refused: the place and the reason go to text. */
struct problem problem_of_json(enum status status, const struct json_error *error,
                               char text[PROBLEM_DETAIL_BYTES_MAX]);

void problem_body_write(const struct problem *problem, struct bytes request_id,
                        struct writer *json_out);

#endif
