#include <criterion/criterion.h>

#include "net/webhook/url.h"

Test(url, takes_http_and_https_with_hosts_addresses_ports_paths_and_queries)
{
    static const struct {
        const char *url;
        size_t path_at;
    } right[] = {
        {"http://a", 8},
        {"https://example.com", 19},
        {"HTTP://Example.COM/", 18},
        {"http://127.0.0.1:8081/pets/1", 21},
        {"http://[::1]:80/", 15},
        {"http://[fe80::1]", 16},
        {"http://a_b.local:65535?x=1", 22},
        {"http://a/b;c=d/%41?x[]=1&y=a+b/?@:", 8},
        {"http://a/.../..a/.b", 8},
        {"http://a/?x=/../y", 8},
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        size_t path_at;
        const char *reason = NULL;
        cr_assert(url_check(bytes_of_text(right[i].url), &path_at, &reason), "%s: %s", right[i].url,
                  reason);
        cr_assert_eq(path_at, right[i].path_at, "%s: %zu", right[i].url, path_at);
    }
}

Test(url, refuses_what_two_readers_could_read_in_two_ways)
{
    static const struct {
        const char *url;
        const char *words;
    } wrong[] = {
        {"", "neither http"},
        {"ftp://a/", "neither http"},
        {"http:/a", "neither http"},
        {"//a/b", "neither http"},
        {" http://a", "neither http"},
        {"file:///etc/passwd", "neither http"},
        {"http://", "host is not"},
        {"http:///x", "host is not"},
        {"http://a b/", "host is not"},
        {"http://.a/", "host is not"},
        {"http://a%20b/", "host is not"},
        {"http://b\xC3\xBC/", "host is not"},
        {"http://user@a/", "credentials"},
        {"http://user:secret@a/", "credentials"},
        {"http://a:80@b/", "credentials"},
        {"http://a:/", "port"},
        {"http://a:0/", "port"},
        {"http://a:65536/", "port"},
        {"http://a:123456/", "port"},
        {"http://a:8x/", "port"},
        {"http://a:80:80/", "port"},
        {"http://[::1/", "no ']'"},
        {"http://[::1]x/", "after the ']'"},
        {"http://[::1]:/", "port"},
        {"http://[1.2.3.4]/", "IPv6"},
        {"http://[]/", "IPv6"},
        {"http://a/x y", "percent-encoded"},
        {"http://a/\xC3\xBC", "percent-encoded"},
        {"http://a/\r\nHost: b", "percent-encoded"},
        {"http://a/\\b", "percent-encoded"},
        {"http://a/[x]", "percent-encoded"},
        {"http://a\\@b/", "credentials"},
        {"http://a/%", "two hexadecimal"},
        {"http://a/%4", "two hexadecimal"},
        {"http://a/%4g", "two hexadecimal"},
        {"http://a/b#c", "fragment"},
        {"http://a#b", "fragment"},
        {"http://a/..", "segment"},
        {"http://a/../b", "segment"},
        {"http://a/b/./c", "segment"},
        {"http://a/b/%2e%2E/c", "segment"},
        {"http://a/b/.%2e?x", "segment"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        size_t path_at;
        const char *reason = NULL;
        cr_assert_not(url_check(bytes_of_text(wrong[i].url), &path_at, &reason), "%s",
                      wrong[i].url);
        cr_assert_not_null(strstr(reason, wrong[i].words), "%s: %s", wrong[i].url, reason);
    }
}

Test(url, refuses_a_nul_wherever_it_stands)
{
    size_t path_at;
    const char *reason;
    cr_assert_not(url_check(BYTES_LITERAL("http://a\0b/"), &path_at, &reason));
    cr_assert_not(url_check(BYTES_LITERAL("http://a/\0"), &path_at, &reason));
    cr_assert_not(url_check(BYTES_LITERAL("http://[::1\0]/"), &path_at, &reason));
}

Test(url, has_a_host_of_at_most_253_bytes)
{
    char url[300] = "http://";
    size_t path_at;
    const char *reason;
    memset(url + 7, 'a', 253);
    cr_assert(url_check(bytes_of_text(url), &path_at, &reason));
    url[7 + 253] = 'a';
    cr_assert_not(url_check(bytes_of_text(url), &path_at, &reason));
}
