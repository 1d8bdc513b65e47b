/*
 * rest.h: one HTTP request at a time, for what the wire protocol has no message for: rules.
 *
 * Owner:  one command; rest_close frees all. Answers are valid until the next request.
 * Memory: an answer has at most REST_BYTES_MAX; a longer one is a failure.
 * Tests:  tests/integration/test_cli.py.
 */
#ifndef FRESHET_BINDINGS_CLI_REST_H
#define FRESHET_BINDINGS_CLI_REST_H

#include "bindings/cli/cli_internal.h"

#define REST_BYTES_MAX (64u << 20)
#define REST_URL_MAX   4096

struct rest {
    const struct cli *cli;
    void *curl;
    const char *base; /* http://127.0.0.1:8080 */
    char url[REST_URL_MAX];
    char next[REST_URL_MAX]; /* path of the next page, from the Link header; or empty */
    uint8_t *answer;
    size_t size;
    size_t capacity;
    long code;
};

/* False: it was told. */
bool rest_open(struct rest *rest, const struct cli *cli);
void rest_close(struct rest *rest);

/* "/rules/" and the name with what URLs reserve escaped; empty when it is too long. */
void rest_path(struct rest *rest, const char *name, const char *suffix, char out[REST_URL_MAX]);

/*
 * Exit code: clean when the answer is 2xx; else it was told, with the subject. body may be empty
 * for none.
 */
int rest_request(struct rest *rest, const char *method, const char *path, struct bytes body,
                 const char *subject);

#endif
