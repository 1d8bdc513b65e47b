/*
 * http.c: time per request of net/http, on one thread and without a kernel.
 *
 *     micro_http [--small]
 *
 * "scan" finds the end of a head, "parse" is llhttp and the checks; "request" is the whole way
 * through a connection: bytes in, a fixed answer of 200 bytes by http_answer_begin, bytes given to
 * the send. What a socket costs comes on top (bench_floor). The result hash is the same in each run
 * with the same arguments; --small is for the test run, not for figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/series/series.h"
#include "net/http/connection.h"
#include "protocol/base/assert.h"

#define ANSWER_BYTES   200
#define PIPELINE_COUNT 16
#define ROUNDS         5
#define COUNT          400000u
#define COUNT_SMALL    400u

static const char small_get[] = "GET /products/0000001234 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char browser_get[] =
    "GET /products/0000001234 HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "sec-ch-ua: \"Chromium\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/118.0.0.0 Safari/537.36\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
    "If-None-Match: \"0-1-123456\"\r\n\r\n";

struct bench {
    uint32_t count;
    uint32_t turns; /* of a round, each with as many requests as come at once */
    struct bytes request;
    uint8_t *received; /* what one receive brings, of request's size */
    uint64_t result;
    struct http_server *server;
    struct http_connection *connection;
    size_t in_flight;
    uint8_t answer[ANSWER_BYTES];
};

/* ---- heads ---- */

static void scan(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint32_t i = 0; i < bench->count; i++) {
        struct head_scan scan = {0};
        size_t size = 0;
        bench->result += (uint64_t)head_scan(&scan, bench->request, &size) + size;
    }
}

static void parse(void *context)
{
    static struct http_header headers[HTTP_HEADERS_MAX];
    struct bench *bench = (struct bench *)context;
    for (uint32_t i = 0; i < bench->count; i++) {
        struct http_request request;
        struct framing framing;
        struct refusal refusal = head_parse(bench->request, headers, &request, &framing);
        bench->result += refusal.status + request.header_count + request.path.size;
    }
}

static void run(struct bench *bench, const char *name, struct bytes request, uint32_t pipelined,
                void (*work)(void *context))
{
    struct series series = {0};
    bench->request = request;
    bench->turns = bench->count / pipelined;
    for (int round = 0; round < ROUNDS; round++) {
        series_round(&series, (uint64_t)bench->turns * pipelined, work, bench);
    }
    series_print(name, &series);
}

/* ---- connections ---- */

static void ignore(struct socket *socket)
{
    (void)socket;
}

static void ignore_close(struct socket *socket, bool reset)
{
    (void)socket;
    (void)reset;
}

static void send_pieces(struct socket *socket, const struct iovec *pieces, size_t count)
{
    struct http_connection *connection = CONTAINER_OF(socket, struct http_connection, socket);
    struct bench *bench = (struct bench *)connection->server->options.context;
    for (size_t i = 0; i < count; i++) {
        bench->in_flight += pieces[i].iov_len;
    }
}

static const struct socket_transport transport = {
    .receive_start = ignore,
    .receive_stop = ignore,
    .send = send_pieces,
    .send_stop = ignore,
    .shut_write = ignore,
    .limit = ignore,
    .probe = ignore,
    .close = ignore_close,
};

static void handle(void *context, struct http_exchange *exchange)
{
    struct bench *bench = (struct bench *)context;
    uint8_t *room = http_answer_begin(exchange, 512);
    ASSERT(room != NULL);
    memcpy(room, bench->answer, ANSWER_BYTES);
    http_answer_end(exchange, ANSWER_BYTES, 200);
}

static void refuse(void *context, struct http_exchange *exchange, uint16_t status,
                   const char *detail)
{
    (void)context;
    (void)exchange;
    (void)status;
    (void)detail;
    UNREACHABLE();
}

static void connection_start(struct bench *bench)
{
    const struct http_options options = {
        .handle = handle,
        .refuse = refuse,
        .context = bench,
        .connections_max = 1,
        .pipelined_max = 64,
        .head_bytes_max = 16384,
        .body_bytes_max = 1u << 20,
        .head_timeout_ns = 10000000000u,
        .body_timeout_ns = 10000000000u,
        .idle_timeout_ns = 60000000000u,
        .send_timeout_ns = 30000000000u,
    };
    if (server_create(&options, &transport, NULL, &bench->server) != STATUS_OK) {
        abort();
    }
    http_server_begin(bench->server, 1000000000u);
    bench->connection = connection_open(bench->server, 0, false);
    ASSERT(bench->connection != NULL);
    (void)http_server_step(bench->server);
}

static void turns(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (uint32_t i = 0; i < bench->turns; i++) {
        http_server_begin(bench->server, bench->server->now_ns + 1000);
        connection_events.received(&bench->connection->socket, bench->received,
                                   bench->request.size);
        (void)http_server_step(bench->server);
        bench->result += bench->in_flight;
        connection_events.sent(&bench->connection->socket, (int)bench->in_flight);
        bench->in_flight = 0;
    }
}

static void run_requests(struct bench *bench, const char *name, struct bytes one,
                         uint32_t pipelined)
{
    uint8_t *data = malloc(one.size * pipelined);
    for (uint32_t i = 0; i < pipelined; i++) {
        memcpy(data + i * one.size, one.data, one.size);
    }
    bench->received = data;
    run(bench, name, bytes_of(data, one.size * pipelined), pipelined, turns);
    free(data);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    bench.count = series_small(argc, argv) ? COUNT_SMALL : COUNT;
    struct bytes get = bytes_of(small_get, sizeof(small_get) - 1);
    struct bytes browser = bytes_of(browser_get, sizeof(browser_get) - 1);
    printf("small GET %zu bytes, browser GET %zu bytes\n", get.size, browser.size);
    run(&bench, "scan, small", get, 1, scan);
    run(&bench, "parse, small", get, 1, parse);
    run(&bench, "scan, browser", browser, 1, scan);
    run(&bench, "parse, browser", browser, 1, parse);
    connection_start(&bench);
    run_requests(&bench, "request, small", get, 1);
    run_requests(&bench, "request, small, in 16s", get, PIPELINE_COUNT);
    run_requests(&bench, "request, browser", browser, 1);
    run_requests(&bench, "request, browser, in 8s", browser, 8);
    connection_abort(bench.connection);
    bench.connection->receiving = RECEIVING_OFF;
    (void)http_server_step(bench.server);
    http_server_destroy(&bench.server);
    printf("result %016llx\n", (unsigned long long)bench.result);
    return 0;
}
