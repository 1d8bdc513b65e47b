#include "net/webhook/webhook_calls.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/webhook/address.h"
#include "protocol/base/assert.h"

/* Connections that are kept for later calls. */
#define CONNECTIONS_MAX 256
/* Handles that are kept for later calls: making one costs more than most calls. */
#define HANDLES_MAX          64
#define CONNECT_TIMEOUT_MS   10000
#define NS_PER_MS            1000000ull
#define WAIT_MS_MAX          60000
#define HEADER_LINE_DISABLED "Expect:"

struct curl_calls {
    struct calls calls;
    CURLM *multi;
    struct address_list allow;
    struct link in_flight;
    CURL *handles[HANDLES_MAX];
    uint32_t handle_count;
    bool is_global;
};

static struct curl_calls *curl_calls_of(struct calls *calls)
{
    return CONTAINER_OF(calls, struct curl_calls, calls);
}

/* ---- callbacks of libcurl ---- */

static size_t answer_take(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    ASSERT(size == 1);
    size_t room = sizeof(call->answer) - call->answer_size;
    size_t kept = count < room ? count : room;
    memcpy(call->answer + call->answer_size, data, kept);
    call->answer_size += kept;
    call->answer_read += count;
    /* Less than was given ends the transfer: an answer without an end costs no more than this. */
    return call->answer_read > CALL_ANSWER_READ_MAX ? 0 : count;
}

/* After name resolution, for each address that is tried. */
static curl_socket_t socket_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct call *call = context;
    const struct curl_calls *calls = curl_calls_of(call->calls);
    const char *refused = address_refused(&calls->allow, &address->addr, address->addrlen);
    if (refused != NULL || purpose != CURLSOCKTYPE_IPCXN) {
        call->refused = refused == NULL ? "is of no kind that may be called" : refused;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- one call ---- */

static CURL *handle_take(struct curl_calls *calls)
{
    if (calls->handle_count > 0) {
        return calls->handles[--calls->handle_count];
    }
    return curl_easy_init();
}

static void handle_give(struct curl_calls *calls, CURL *easy)
{
    if (calls->handle_count == HANDLES_MAX) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    calls->handles[calls->handle_count++] = easy;
}

static bool fields_make(struct call *call)
{
    struct curl_slist *fields = curl_slist_append(NULL, HEADER_LINE_DISABLED);
    for (size_t index = 0; fields != NULL && index < call->header_count; index++) {
        struct curl_slist *more = curl_slist_append(fields, call->headers[index]);
        if (more == NULL) {
            curl_slist_free_all(fields);
        }
        fields = more;
    }
    call->fields = fields;
    return fields != NULL;
}

/* What the request is; true when libcurl took it. */
static bool request_set(CURL *easy, const struct call *call)
{
    bool set = curl_easy_setopt(easy, CURLOPT_URL, call->url) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields) == CURLE_OK;
    if (call->has_body) {
        set =
            set &&
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size) ==
                CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                             call->body.size == 0 ? "" : (const char *)call->body.data) == CURLE_OK;
    }
    if (call->method == RULE_HEAD) {
        return set && curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    }
    return set && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rule_method_name(call->method)) ==
                      CURLE_OK;
}

/* Where it may go, and how long it may take. */
static bool limits_set(CURL *easy, struct call *call)
{
    long timeout_ms = (long)((call->timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
    long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_take) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "freshet") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK;
}

static void curl_start(struct calls *calls, struct call *call)
{
    struct curl_calls *curl = curl_calls_of(calls);
    ASSERT(call->done != NULL);
    static_assert(CALL_REASON_BYTES_MAX >= CURL_ERROR_SIZE, "libcurl writes its reason there");
    call->calls = calls;
    call->http_status = 0;
    call->answer_size = 0;
    call->answer_read = 0;
    call->refused = NULL;
    call->retry_after[0] = '\0';
    call->reason[0] = '\0';
    call->fields = NULL;
    call->easy = handle_take(curl);
    list_push_back(&curl->in_flight, &call->link);
    bool started = call->easy != NULL && fields_make(call) && request_set(call->easy, call) &&
                   limits_set(call->easy, call) &&
                   curl_multi_add_handle(curl->multi, call->easy) == CURLM_OK;
    if (!started && call->easy != NULL) {
        curl_easy_cleanup(call->easy);
        call->easy = NULL; /* the next step ends it */
    }
}

static bool was_sent(const struct call *call)
{
    curl_off_t sent_us = 0;
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_us);
    return sent_us > 0;
}

/* A target that takes no connection is down for every call; what comes later is this call's. */
static enum call_result failure_of(const struct call *call, CURLcode code)
{
    if (was_sent(call)) {
        return code == CURLE_OPERATION_TIMEDOUT ? CALL_TIMED_OUT : CALL_BROKEN;
    }
    bool is_never = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
    return is_never ? CALL_FORBIDDEN : CALL_UNREACHABLE;
}

static enum call_result result_of(struct call *call, CURLcode code)
{
    long http_status = 0;
    if (curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_status) == CURLE_OK &&
        http_status > 0 && http_status < 1000) {
        call->http_status = (uint32_t)http_status;
    }
    bool too_long = call->answer_read > CALL_ANSWER_READ_MAX;
    if (call->http_status >= 200 && (code == CURLE_OK || too_long)) {
        struct curl_header *header = NULL;
        if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) ==
            CURLHE_OK) {
            snprintf(call->retry_after, sizeof(call->retry_after), "%s", header->value);
        }
        return CALL_ANSWERED;
    }
    call->http_status = 0;
    if (call->refused != NULL) {
        snprintf(call->reason, sizeof(call->reason),
                 "The target's address %s, which the setting webhook_allow does not permit",
                 call->refused);
        return CALL_FORBIDDEN;
    }
    if (call->reason[0] == '\0') {
        snprintf(call->reason, sizeof(call->reason), "%s", curl_easy_strerror(code));
    }
    return failure_of(call, code);
}

static void call_end(struct curl_calls *curl, struct call *call, enum call_result result)
{
    link_remove(&call->link);
    if (call->easy != NULL) {
        curl_multi_remove_handle(curl->multi, call->easy);
        handle_give(curl, call->easy);
        call->easy = NULL;
    }
    curl_slist_free_all(call->fields);
    call->fields = NULL;
    call->result = result;
    call->done(call); /* the last that touches it */
}

/* ---- the interface ---- */

static bool broken_end(struct curl_calls *curl)
{
    bool any = false;
    struct link *link = curl->in_flight.next;
    while (link != &curl->in_flight) {
        struct call *call = CONTAINER_OF(link, struct call, link);
        link = link->next;
        if (call->easy == NULL) {
            snprintf(call->reason, sizeof(call->reason), "There was no memory for the call");
            call_end(curl, call, CALL_BROKEN);
            any = true;
        }
    }
    return any;
}

static bool curl_step(struct calls *calls)
{
    struct curl_calls *curl = curl_calls_of(calls);
    int running = 0;
    int left = 0;
    bool any = false;
    if (list_is_empty(&curl->in_flight)) {
        return false;
    }
    curl_multi_perform(curl->multi, &running);
    for (CURLMsg *message = curl_multi_info_read(curl->multi, &left); message != NULL;
         message = curl_multi_info_read(curl->multi, &left)) {
        struct call *call = NULL;
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK) {
            continue;
        }
        ASSERT(call != NULL);
        ASSERT(call->easy == message->easy_handle);
        call_end(curl, call, result_of(call, message->data.result));
        any = true;
    }
    return broken_end(curl) || any;
}

static void curl_cut(struct calls *calls)
{
    struct curl_calls *curl = curl_calls_of(calls);
    while (!list_is_empty(&curl->in_flight)) {
        struct call *call = CONTAINER_OF(list_first(&curl->in_flight), struct call, link);
        call_end(curl, call, CALL_CUT);
    }
}

static void curl_wait(struct calls *calls, uint64_t timeout_ns)
{
    uint64_t timeout_ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);
    int limited_ms = timeout_ms > WAIT_MS_MAX ? WAIT_MS_MAX : (int)timeout_ms;
    CURLMcode code = curl_multi_poll(curl_calls_of(calls)->multi, NULL, 0, limited_ms, NULL);
    ASSERT(code == CURLM_OK);
}

static void curl_wake(struct calls *calls)
{
    CURLMcode code = curl_multi_wakeup(curl_calls_of(calls)->multi);
    ASSERT(code == CURLM_OK);
}

static void curl_destroy(struct calls *calls)
{
    struct curl_calls *curl = curl_calls_of(calls);
    while (!list_is_empty(&curl->in_flight)) {
        struct call *call = CONTAINER_OF(list_pop_front(&curl->in_flight), struct call, link);
        if (call->easy != NULL) {
            curl_multi_remove_handle(curl->multi, call->easy);
            curl_easy_cleanup(call->easy);
        }
        curl_slist_free_all(call->fields);
    }
    for (uint32_t index = 0; index < curl->handle_count; index++) {
        curl_easy_cleanup(curl->handles[index]);
    }
    if (curl->multi != NULL) {
        curl_multi_cleanup(curl->multi);
    }
    if (curl->is_global) {
        curl_global_cleanup();
    }
    free(curl);
}

static const struct calls_vtable curl_vtable = {
    .start = curl_start,
    .step = curl_step,
    .cut = curl_cut,
    .wait = curl_wait,
    .wake = curl_wake,
    .destroy = curl_destroy,
};

enum status calls_create(const char *allow, struct calls **out, char *problem_out)
{
    *out = NULL;
    struct curl_calls *curl = calloc(1, sizeof(*curl));
    if (curl == NULL) {
        snprintf(problem_out, TEMPLATE_PROBLEM_BYTES, "out of memory");
        return STATUS_NO_MEMORY;
    }
    curl->calls.vtable = &curl_vtable;
    link_init(&curl->in_flight);
    enum status status = address_list_parse(allow, &curl->allow, problem_out);
    if (status == STATUS_OK) {
        curl->is_global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
        curl->multi = curl->is_global ? curl_multi_init() : NULL;
        if (curl->multi == NULL) {
            snprintf(problem_out, TEMPLATE_PROBLEM_BYTES, "libcurl does not start");
            status = STATUS_NO_MEMORY;
        }
    }
    if (status != STATUS_OK) {
        curl_destroy(&curl->calls);
        return status;
    }
    curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    *out = &curl->calls;
    return STATUS_OK;
}
