#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/rest/metrics.h"

static struct collection collections[2];
static struct metrics *metrics;
static char text[1 << 20];

static void init(void)
{
    collections[0] = (struct collection){.number = 0, .name = BYTES_LITERAL("pets")};
    collections[1] = (struct collection){.number = 1, .name = BYTES_LITERAL("products")};
    const struct metrics_options options = {.thread_count = 2,
                                            .collections = collections,
                                            .collection_count = 2,
                                            .started_wall_ms = 1000};
    cr_assert_eq(metrics_create(&options, &metrics), STATUS_OK);
}

static void fini(void)
{
    metrics_destroy(&metrics);
    cr_assert_null(metrics);
    metrics_destroy(&metrics);
}

static bool says(const char *line)
{
    struct writer out = writer_of(text, sizeof(text) - 1);
    metrics_write(metrics, NULL, 3500, &out);
    cr_assert_not(out.failed);
    text[out.size] = 0;
    return strstr(text, line) != NULL;
}

static void count(uint32_t thread, uint16_t route, enum http_method method, uint16_t status,
                  uint64_t duration_ns)
{
    metrics_count(metrics_thread_at(metrics, thread), route, method, status, duration_ns, 100);
}

Test(metrics, threads_are_summed_by_route_method_and_status, .init = init, .fini = fini)
{
    count(0, metrics_route_record(&collections[0]), HTTP_GET, 200, 1);
    count(1, metrics_route_record(&collections[0]), HTTP_GET, 200, 1);
    count(1, metrics_route_list(&collections[1]), HTTP_POST, 201, 1);
    count(1, METRICS_ROUTE_NONE, HTTP_OTHER, 501, 1);
    count(1, METRICS_ROUTE_HEALTHZ, HTTP_GET, 599, 1);
    cr_assert(
        says("freshet_http_requests_total{route=\"/pets/{id}\",method=\"GET\",status=\"200\"} "
             "2\n"));
    cr_assert(says("{route=\"/products\",method=\"POST\",status=\"201\"} 1\n"));
    cr_assert(says("{route=\"none\",method=\"OTHER\",status=\"501\"} 1\n"));
    cr_assert(says("{route=\"/healthz\",method=\"GET\",status=\"0\"} 1\n"), "no place of its own");
    cr_assert_not(says("route=\"/products/{id}\""), "what was never asked is not said");
    cr_assert(says("freshet_http_sent_bytes_total{thread=\"1\"} 400\n"));
    cr_assert(says("freshet_uptime_seconds 2.500\n"));
    cr_assert(says("process_resident_memory_bytes "));
}

Test(metrics, a_duration_falls_into_the_first_bucket_that_holds_it, .init = init, .fini = fini)
{
    uint16_t route = metrics_route_record(&collections[0]);
    static const uint64_t durations_ns[] = {0, 1000, 1001, 2000, 2001, 4000, 20000000000ull};
    for (size_t index = 0; index < 7; index++) {
        count(0, route, HTTP_GET, 200, durations_ns[index]);
    }
    cr_assert(says("_bucket{class=\"read\",le=\"0.000001\"} 2\n"));
    cr_assert(says("_bucket{class=\"read\",le=\"0.000002\"} 4\n"));
    cr_assert(says("_bucket{class=\"read\",le=\"0.000004\"} 6\n"));
    cr_assert(says("_bucket{class=\"read\",le=\"8.388608\"} 6\n"));
    cr_assert(says("_bucket{class=\"read\",le=\"+Inf\"} 7\n"));
    cr_assert(says("_count{class=\"read\"} 7\n"));
    cr_assert(says("_sum{class=\"read\"} 20.000010002\n"));
    cr_assert(says("_count{class=\"write\"} 0\n"));
}

Test(metrics, the_loop_of_each_thread_is_told_apart, .init = init, .fini = fini)
{
    const struct metrics_loop loop = {.turns = 5,
                                      .busy_ns = 1500000000,
                                      .connections = 3,
                                      .received_bytes = 7,
                                      .memory_bytes = 8,
                                      .streams = 2,
                                      .streams_bytes = 6,
                                      .timeouts = {[METRICS_TIMEOUT_IDLE] = 9}};
    metrics_loop_set(metrics_thread_at(metrics, 1), &loop);
    cr_assert(says("freshet_thread_busy_seconds_total{thread=\"1\"} 1.500000000\n"));
    cr_assert(says("freshet_thread_busy_seconds_total{thread=\"0\"} 0.000000000\n"));
    cr_assert(says("freshet_http_connections{thread=\"1\"} 3\n"));
    cr_assert(says("freshet_http_received_bytes_total{thread=\"1\"} 7\n"));
    cr_assert(says("freshet_http_memory_bytes{thread=\"1\"} 8\n"));
    cr_assert(says("freshet_http_streams{thread=\"1\"} 2\n"));
    cr_assert(says("freshet_http_streams_bytes{thread=\"1\"} 6\n"));
    cr_assert(says("freshet_http_timeouts_total{thread=\"1\",kind=\"idle\"} 9\n"));
    cr_assert(says("freshet_http_timeouts_total{thread=\"1\",kind=\"send\"} 0\n"));
}

Test(metrics, a_text_that_does_not_fit_fails_the_writer, .init = init, .fini = fini)
{
    struct writer out = writer_of(text, 100);
    metrics_write(metrics, NULL, 0, &out);
    cr_assert(out.failed);
}

Test(metrics, every_line_is_a_comment_or_a_sample_of_a_family_that_was_announced, .init = init,
     .fini = fini)
{
    count(0, METRICS_ROUTE_NONE, HTTP_GET, 404, 1);
    cr_assert(says("# TYPE"));
    char *save = NULL;
    char family[128] = "";
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            cr_assert_eq(sscanf(line, "# TYPE %127s", family), 1);
        } else if (line[0] != '#') {
            cr_assert(strncmp(line, family, strlen(family)) == 0, "%s in %s", line, family);
        }
    }
}
