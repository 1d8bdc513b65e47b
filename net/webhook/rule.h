/*
 * rule.h: a rule: which changes it is for, and the HTTP call that each becomes.
 *
 *     {"pattern":{…},"collection":"pets",
 *      "target":{"url":"http://127.0.0.1:8081/pets/{id}","method":"GET",
 *                "headers":{"Cache-Control":"max-age=0"},"path":{"id":"$.keys.id"},
 *                "template":"{\"id\": <$.newImage.id>}",
 *                "format":"freshet|cloudevents-binary|cloudevents-structured",
 *                "timeout":"15s","concurrency":4,"rate":100},
 *      "retry":{"max_attempts":10,"max_age":"24h","first":"5s"},
 *      "secret":"whsec_…" or ["whsec_…","whsec_…"],"enabled":true}
 *
 * Only target.url is needed; the method is POST where none is given. A rule is checked when it is
 * put: the answer names the member that is wrong, and a member that is not known is refused.
 * Without `template` the body is the change (or the event in the CloudEvents format); a GET, HEAD
 * or DELETE has none unless a template is given.
 *
 * Headers that belong to the call itself cannot be set: Host, Content-Length, Transfer-Encoding,
 * Connection and its kind, Expect, webhook-*, and ce-* in a CloudEvents format.
 *
 * Owner:   constant once made.
 * Memory:  its own, in a few blocks, until rule_destroy; a secret is wiped there.
 * Tests:   tests/unit/net/webhook/, tests/fuzz/fuzz_rule.c.
 */
#ifndef FRESHET_NET_WEBHOOK_RULE_H
#define FRESHET_NET_WEBHOOK_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/filter/pattern.h"
#include "net/webhook/signature.h"
#include "net/webhook/template.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define RULES_MAX                 10000
#define RULE_NAME_BYTES_MAX       128 /* [A-Za-z0-9._-] */
#define RULE_HEADERS_MAX          32
#define RULE_PATH_PARAMETERS_MAX  16
#define RULE_SECRETS_MAX          SIGNATURE_SECRETS_MAX
#define RULE_URL_BYTES_MAX        2048
#define RULE_HEADER_BYTES_MAX     4096 /* of a value, before places are filled */
#define RULE_CONCURRENCY_MAX      256
#define RULE_CONCURRENCY_DEFAULT  4
#define RULE_RATE_MAX             1000000
#define RULE_TIMEOUT_NS_MIN       10000000ull
#define RULE_TIMEOUT_NS_MAX       300000000000ull
#define RULE_TIMEOUT_NS_DEFAULT   15000000000ull
#define RULE_MAX_AGE_NS_MIN       1000000ull
#define RULE_MAX_AGE_NS_MAX       (30 * 86400000000000ull)
#define RULE_MAX_AGE_NS_DEFAULT   86400000000000ull
#define RULE_FIRST_NS_MIN         1000000ull
#define RULE_FIRST_NS_MAX         86400000000000ull
#define RULE_FIRST_NS_DEFAULT     5000000000ull
#define RULE_MAX_ATTEMPTS_MAX     1000
#define RULE_MAX_ATTEMPTS_DEFAULT 10

enum rule_method { RULE_GET, RULE_HEAD, RULE_POST, RULE_PUT, RULE_PATCH, RULE_DELETE };
enum rule_format { RULE_FORMAT_FRESHET, RULE_FORMAT_CLOUDEVENTS_BINARY, RULE_FORMAT_CLOUDEVENTS };

struct rule_header {
    struct bytes name;
    struct template *value;
};

struct rule {
    struct bytes name;
    struct bytes collection; /* empty: all */
    struct pattern *pattern; /* NULL: all changes */
    bool enabled;
    enum rule_method method;
    enum rule_format format;
    struct template *url;  /* {id} stands for what `path` says, percent-encoded */
    struct template *body; /* NULL: none given */
    bool has_content_type; /* among headers */
    uint32_t header_count;
    struct rule_header headers[RULE_HEADERS_MAX];
    uint32_t secret_count;
    struct signature_secret secrets[RULE_SECRETS_MAX];
    uint32_t concurrency;     /* calls at a time */
    uint32_t rate_per_second; /* 0: no limit */
    uint64_t timeout_ns;
    uint32_t attempts_max;
    uint64_t age_ns_max;
    uint64_t retry_first_ns; /* before the second attempt */
    void *memory;
};

struct rule_problem {
    char text[400]; /* names the member: "target.url: …" */
};

/* document: the rule as MessagePack. INVALID, UNPROCESSABLE (over a limit), NO_MEMORY. */
MUST_USE enum status rule_parse(struct bytes name, struct bytes document, struct rule **out,
                                struct rule_problem *problem_out);
void rule_destroy(struct rule **rule); /* accepts NULL */
/* 1 to RULE_NAME_BYTES_MAX of [A-Za-z0-9._-], not "." or "..". */
bool rule_name_valid(struct bytes name);
const char *rule_method_name(enum rule_method method); /* "GET"; static storage */
/* Whether a call has a body where no template is given: POST, PUT and PATCH. */
bool rule_method_has_body(enum rule_method method);

#endif
