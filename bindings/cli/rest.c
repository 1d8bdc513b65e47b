#include "bindings/cli/rest.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define HTTP_DEFAULT       "http://127.0.0.1:8080"
#define TIMEOUT_MS         30000
#define TEXT_BYTES_MAX     2048
#define ANSWER_BYTES_LEAST 65536

static size_t answer_take(char *data, size_t one, size_t size, void *context)
{
    struct rest *rest = context;
    ASSERT(one == 1);
    size_t needed = rest->size + size;
    if (needed > REST_BYTES_MAX) {
        return 0;
    }
    if (needed > rest->capacity) {
        size_t capacity = 2 * needed < ANSWER_BYTES_LEAST ? ANSWER_BYTES_LEAST : 2 * needed;
        uint8_t *moved = realloc(rest->answer, capacity);
        if (moved == NULL) {
            return 0;
        }
        rest->answer = moved;
        rest->capacity = capacity;
    }
    memcpy(rest->answer + rest->size, data, size);
    rest->size = needed;
    return size;
}

/* Link: </rules?cursor=…>; rel="next" */
static size_t header_take(char *data, size_t one, size_t size, void *context)
{
    struct rest *rest = context;
    ASSERT(one == 1);
    const char *end = size > 0 ? memchr(data, '>', size) : NULL;
    const char *from = size > 0 ? memchr(data, '<', size) : NULL;
    if (size > 5 && strncasecmp(data, "link:", 5) == 0 && from != NULL && end != NULL &&
        end > from && (size_t)(end - from) < sizeof(rest->next)) {
        size_t length = (size_t)(end - from) - 1;
        memcpy(rest->next, from + 1, length);
        rest->next[length] = '\0';
    }
    return size;
}

bool rest_open(struct rest *rest, const struct cli *cli)
{
    *rest = (struct rest){.cli = cli};
    rest->base = cli_setting(cli, CLI_OPTION_HTTP, "FRESHET_HTTP_URL", HTTP_DEFAULT);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0) {
        rest->curl = curl_easy_init();
    }
    if (rest->curl == NULL) {
        cli_fail_text(cli, NULL, "libcurl cannot start");
        return false;
    }
    return true;
}

void rest_close(struct rest *rest)
{
    if (rest->curl != NULL) {
        curl_easy_cleanup(rest->curl);
    }
    free(rest->answer);
    *rest = (struct rest){.curl = NULL};
    curl_global_cleanup();
}

void rest_path(struct rest *rest, const char *name, const char *suffix, char out[REST_URL_MAX])
{
    char *escaped = curl_easy_escape(rest->curl, name, 0);
    int size = escaped == NULL ? REST_URL_MAX
                               : snprintf(out, REST_URL_MAX, "/rules/%s%s", escaped, suffix);
    if (size < 0 || size >= REST_URL_MAX) {
        out[0] = '\0';
    }
    curl_free(escaped);
}

/* A member of the problem as a text with a NUL; empty when there is none. */
static void problem_text(struct bytes problem, struct bytes name, char out[TEXT_BYTES_MAX])
{
    struct bytes value;
    struct bytes text = BYTES_EMPTY;
    if (document_find(problem, name, &value)) {
        (void)document_string(value, &text);
    }
    size_t size = text.size < TEXT_BYTES_MAX ? text.size : TEXT_BYTES_MAX - 1;
    memcpy(out, size > 0 ? (const char *)text.data : "", size);
    out[size] = '\0';
}

static int answer_fail(struct rest *rest, const char *subject)
{
    char detail[TEXT_BYTES_MAX] = "";
    char type[TEXT_BYTES_MAX] = "";
    uint8_t *memory = NULL;
    struct bytes document;
    if (json_rendered_read(bytes_of(rest->answer, rest->size), &memory, &document) == STATUS_OK) {
        problem_text(document, BYTES_LITERAL("detail"), detail);
        problem_text(document, BYTES_LITERAL("type"), type);
    }
    free(memory);
    if (detail[0] == '\0') {
        snprintf(detail, sizeof(detail), "the answer is %ld", rest->code);
    }
    const char *name = strrchr(type, '/'); /* about:blank has none, and says nothing */
    const struct cli_problem problem = {
        .code = (int)rest->code,
        .type = name == NULL ? "" : name + 1,
        .subject = subject,
        .detail = detail,
        .advice = rest->code == 401 ? "give credentials with --token" : NULL,
    };
    return cli_fail(rest->cli, &problem);
}

static int transport_fail(struct rest *rest, CURLcode result)
{
    const struct cli_problem problem = {
        .subject = rest->base,
        .detail =
            result == CURLE_COULDNT_CONNECT ? "nobody answers here" : curl_easy_strerror(result),
        .advice = result == CURLE_OPERATION_TIMEDOUT
                      ? "--timeout gives it longer"
                      : "start a server with `freshet serve`, or name it with --http",
    };
    return cli_fail(rest->cli, &problem);
}

static struct curl_slist *headers_of(struct bytes body)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    if (body.size > 0) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
    }
    return headers;
}

static CURLcode perform(struct rest *rest, const char *method, struct bytes body)
{
    CURL *curl = rest->curl;
    struct curl_slist *headers = headers_of(body);
    const char *token = cli_setting(rest->cli, CLI_OPTION_TOKEN, "FRESHET_TOKEN", NULL);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, rest->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, rest);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, header_take);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, rest);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)cli_number(rest->cli, CLI_OPTION_TIMEOUT, TIMEOUT_MS));
    if (token != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token);
    }
    if (body.size > 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &rest->code);
    curl_slist_free_all(headers);
    return result;
}

int rest_request(struct rest *rest, const char *method, const char *path, struct bytes body,
                 const char *subject)
{
    size_t base_size = strlen(rest->base);
    while (base_size > 0 && rest->base[base_size - 1] == '/') {
        base_size--;
    }
    int size = snprintf(rest->url, sizeof(rest->url), "%.*s%s", (int)base_size, rest->base, path);
    if (path[0] == '\0' || size < 0 || (size_t)size >= sizeof(rest->url)) {
        return cli_fail_text(rest->cli, NULL, "the name is too long");
    }
    rest->size = 0;
    rest->next[0] = '\0';
    CURLcode result = perform(rest, method, body);
    if (result != CURLE_OK) {
        return transport_fail(rest, result);
    }
    return rest->code >= 200 && rest->code < 300 ? CLI_EXIT_CLEAN : answer_fail(rest, subject);
}
