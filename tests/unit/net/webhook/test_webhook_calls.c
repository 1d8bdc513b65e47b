#include "net/webhook/webhook_calls.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_NS   100000000ull
#define STEPS_MAX 200

/* A listening socket of this process; a target takes one connection on a thread of its own. */
struct target {
    int listening;
    pthread_t thread;
    const char *answer;
    uint64_t answer_pad; /* bytes that follow it */
    uint32_t requests;   /* to answer on the one connection */
    char request[8192];
    size_t request_size;
    char url[64];
};

static void target_listen(struct target *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    memset(target, 0, sizeof(*target));
    target->requests = 1;
    target->listening = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(target->listening, 0);
    cr_assert_eq(bind(target->listening, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(target->listening, 4), 0);
    cr_assert_eq(getsockname(target->listening, (struct sockaddr *)&address, &size), 0);
    snprintf(target->url, sizeof(target->url), "http://127.0.0.1:%u/p?q=1",
             ntohs(address.sin_port));
}

static void *target_run(void *argument)
{
    static const char pad[65536];
    struct target *target = argument;
    int connection = accept(target->listening, NULL, NULL);
    for (uint32_t done = 0; done < target->requests; done++) {
        ssize_t size = recv(connection, target->request, sizeof(target->request) - 1, 0);
        target->request_size = size > 0 ? (size_t)size : 0;
        target->request[target->request_size] = '\0';
        send(connection, target->answer, strlen(target->answer), MSG_NOSIGNAL);
    }
    for (uint64_t sent = 0; sent < target->answer_pad; sent += sizeof(pad)) {
        if (send(connection, pad, sizeof(pad), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    close(connection);
    return NULL;
}

static void target_begin(struct target *target, const char *answer)
{
    target_listen(target);
    target->answer = answer;
    cr_assert_eq(pthread_create(&target->thread, NULL, target_run, target), 0);
}

static void target_end(struct target *target)
{
    pthread_join(target->thread, NULL);
    close(target->listening);
}

static int done_count;

static void count_done(struct call *call)
{
    (void)call;
    done_count++;
}

static struct calls *calls_of(const char *allow)
{
    struct calls *calls;
    char problem[TEMPLATE_PROBLEM_BYTES];
    cr_assert_eq(calls_create(allow, &calls, problem), STATUS_OK, "%s", problem);
    return calls;
}

static void call_run(struct calls *calls, struct call *call, const char *url)
{
    int before = done_count;
    call->url = url;
    call->done = count_done;
    if (call->timeout_ns == 0) {
        call->timeout_ns = 5000000000ull;
    }
    calls_start(calls, call);
    cr_assert_eq(done_count, before, "never within the start");
    for (int i = 0; i < STEPS_MAX && done_count == before; i++) {
        calls_step(calls);
        if (done_count == before) {
            calls_wait(calls, STEP_NS);
        }
    }
    cr_assert_eq(done_count, before + 1);
}

Test(webhook_calls, a_call_sends_what_it_is_given)
{
    struct target target;
    target_begin(&target, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nhi");
    struct calls *calls = calls_of("127.0.0.0/8");
    static const char *const headers[] = {"X-One: 1", "X-Empty;", "Content-Type: text/plain"};
    struct call call = {.method = RULE_PUT,
                        .headers = headers,
                        .header_count = 3,
                        .has_body = true,
                        .body = BYTES_LITERAL("body")};
    call_run(calls, &call, target.url);
    target_end(&target);
    cr_assert_eq(call.result, CALL_ANSWERED);
    cr_assert_eq(call.http_status, 201);
    cr_assert_str_eq(call.retry_after, "7");
    cr_assert_eq(call.answer_size, 2);
    cr_assert_eq(memcmp(call.answer, "hi", 2), 0);
    cr_assert_eq(strncmp(target.request, "PUT /p?q=1 HTTP/1.1\r\n", 21), 0, "%s", target.request);
    cr_assert_not_null(strstr(target.request, "\r\nX-One: 1\r\n"));
    cr_assert_not_null(strstr(target.request, "\r\nX-Empty:\r\n"));
    cr_assert_not_null(strstr(target.request, "\r\nContent-Length: 4\r\n"));
    cr_assert_null(strstr(target.request, "Expect"));
    cr_assert_null(strstr(target.request, "Accept-Encoding"));
    cr_assert_not_null(strstr(target.request, "\r\n\r\nbody"));
    calls_destroy(&calls);
}

Test(webhook_calls, a_get_has_no_body_and_a_connection_is_used_again)
{
    struct target target;
    target_listen(&target);
    target.answer = "HTTP/1.1 204 No Content\r\n\r\n";
    target.requests = 2;
    cr_assert_eq(pthread_create(&target.thread, NULL, target_run, &target), 0);
    struct calls *calls = calls_of("127.0.0.1");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    cr_assert_eq(call.http_status, 204);
    call_run(calls, &call, target.url);
    cr_assert_eq(call.http_status, 204);
    target_end(&target);
    cr_assert_eq(strncmp(target.request, "GET ", 4), 0);
    cr_assert_null(strstr(target.request, "Content-"));
    calls_destroy(&calls);
}

Test(webhook_calls, a_special_address_is_refused_when_it_connects)
{
    struct target target;
    target_listen(&target);
    struct calls *calls = calls_of("none");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    cr_assert_eq(call.result, CALL_FORBIDDEN);
    cr_assert_not_null(strstr(call.reason, "loopback"), "%s", call.reason);
    call_run(calls, &call, "http://localhost:1/");
    cr_assert_eq(call.result, CALL_FORBIDDEN, "by name, too: %s", call.reason);
    call_run(calls, &call, "http://2130706433:1/");
    cr_assert_eq(call.result, CALL_FORBIDDEN, "however it is spelled: %s", call.reason);
    close(target.listening);
    calls_destroy(&calls);
}

Test(webhook_calls, a_closed_port_is_unreachable)
{
    struct target target;
    target_listen(&target);
    close(target.listening);
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    cr_assert_eq(call.result, CALL_UNREACHABLE);
    cr_assert_neq(call.reason[0], '\0');
    calls_destroy(&calls);
}

Test(webhook_calls, a_target_that_says_nothing_times_out)
{
    struct target target;
    target_listen(&target); /* the kernel takes the connection, and nobody reads */
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET, .timeout_ns = 50000000ull};
    call_run(calls, &call, target.url);
    cr_assert_eq(call.result, CALL_TIMED_OUT);
    close(target.listening);
    calls_destroy(&calls);
}

Test(webhook_calls, a_connection_that_ends_early_is_broken)
{
    struct target target;
    target_begin(&target, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi");
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    target_end(&target);
    cr_assert_eq(call.result, CALL_BROKEN);
    cr_assert_eq(call.http_status, 0);
    calls_destroy(&calls);
}

/* libcurl calls it a protocol that it does not support, as it does a URL that it may not call. */
Test(webhook_calls, an_answer_that_is_no_http_is_broken_and_not_forbidden)
{
    static const char *const answers[] = {"hello", "HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
                                          "HTTP/7.3 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct calls *calls = calls_of("127.0.0.0/8");
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct target target;
        target_begin(&target, answers[i]);
        struct call call = {.method = RULE_GET};
        call_run(calls, &call, target.url);
        cr_expect_eq(call.result, CALL_BROKEN, "%s: %d, %s", answers[i], (int)call.result,
                     call.reason);
        target_end(&target);
    }
    calls_destroy(&calls);
}

Test(webhook_calls, an_answer_without_an_end_is_cut_and_its_status_counts)
{
    struct target target;
    target_listen(&target);
    target.answer = "HTTP/1.1 500 Oh\r\n\r\nwords";
    target.answer_pad = 2 * (uint64_t)CALL_ANSWER_READ_MAX;
    cr_assert_eq(pthread_create(&target.thread, NULL, target_run, &target), 0);
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    target_end(&target);
    cr_assert_eq(call.result, CALL_ANSWERED);
    cr_assert_eq(call.http_status, 500);
    cr_assert_eq(call.answer_size, CALL_ANSWER_BYTES_MAX);
    calls_destroy(&calls);
}

Test(webhook_calls, a_redirect_is_an_answer)
{
    struct target target;
    target_begin(&target, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                          "Content-Length: 0\r\n\r\n");
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_POST, .has_body = true};
    call_run(calls, &call, target.url);
    target_end(&target);
    cr_assert_eq(call.http_status, 302);
    calls_destroy(&calls);
}

Test(webhook_calls, only_http_is_called)
{
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, "file:///etc/passwd");
    cr_assert_eq(call.result, CALL_FORBIDDEN);
    call_run(calls, &call, "gopher://127.0.0.1/");
    cr_assert_eq(call.result, CALL_FORBIDDEN);
    calls_destroy(&calls);
}

Test(webhook_calls, proxies_of_the_environment_are_not_asked)
{
    struct target target;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    target_begin(&target, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {.method = RULE_GET};
    call_run(calls, &call, target.url);
    target_end(&target);
    cr_assert_eq(call.http_status, 200);
    calls_destroy(&calls);
}

Test(webhook_calls, what_is_cut_ends_at_once)
{
    struct target target;
    target_listen(&target);
    struct calls *calls = calls_of("127.0.0.0/8");
    struct call call = {
        .method = RULE_GET, .url = target.url, .timeout_ns = 5000000000ull, .done = count_done};
    calls_start(calls, &call);
    calls_step(calls);
    calls_cut(calls);
    cr_assert_eq(done_count, 1);
    cr_assert_eq(call.result, CALL_CUT);
    close(target.listening);
    calls_destroy(&calls);
}

Test(webhook_calls, a_wake_before_the_wait_ends_it, .timeout = 10)
{
    struct calls *calls = calls_of("none");
    calls_wake(calls);
    calls_wait(calls, UINT64_MAX);
    calls_destroy(&calls);
}

Test(webhook_calls, networks_that_are_none_are_refused)
{
    struct calls *calls;
    char problem[TEMPLATE_PROBLEM_BYTES] = "";
    cr_assert_eq(calls_create("127.0.0.0/8, nonsense", &calls, problem), STATUS_INVALID);
    cr_assert_null(calls);
    cr_assert_not_null(strstr(problem, "nonsense"), "%s", problem);
}
