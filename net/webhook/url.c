#include "net/webhook/url.h"

#include <arpa/inet.h>
#include <strings.h>

#define HOST_BYTES_MAX    253
#define ADDRESS_BYTES_MAX 45
#define PORT_MAX          65535

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_hexadecimal(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static bool begins_with(struct bytes text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && strncasecmp((const char *)text.data, prefix, size) == 0;
}

static size_t find(struct bytes text, size_t from, const char *any)
{
    size_t at = from;
    while (at < text.size && (text.data[at] == 0 || strchr(any, text.data[at]) == NULL)) {
        at++;
    }
    return at;
}

static const char *port_check(struct bytes port)
{
    uint32_t number = 0;
    bool is_number = port.size >= 1 && port.size <= 5;
    for (size_t i = 0; i < port.size && is_number; i++) {
        is_number = port.data[i] >= '0' && port.data[i] <= '9';
        number = 10 * number + (uint32_t)(port.data[i] - '0');
    }
    return is_number && number >= 1 && number <= PORT_MAX ? NULL : "the port is not 1 to 65535";
}

static const char *address_check(struct bytes address)
{
    char text[ADDRESS_BYTES_MAX + 1] = "";
    struct in6_addr parsed;
    if (address.size <= ADDRESS_BYTES_MAX && memchr(address.data, 0, address.size) == NULL) {
        memcpy(text, address.data, address.size);
    }
    return inet_pton(AF_INET6, text, &parsed) == 1 ? NULL : "there is no IPv6 address in the [ ]";
}

static const char *name_check(struct bytes host)
{
    bool valid = host.size >= 1 && host.size <= HOST_BYTES_MAX && is_alphanumeric(host.data[0]);
    for (size_t i = 0; i < host.size && valid; i++) {
        uint8_t c = host.data[i];
        valid = is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
    }
    return valid ? NULL : "the host is not a name of A-Z a-z 0-9 . - _, or an address";
}

static const char *authority_check(struct bytes authority)
{
    if (find(authority, 0, "@") < authority.size) {
        return "has credentials: put them into headers (Authorization)";
    }
    if (authority.size > 0 && authority.data[0] == '[') {
        size_t end = find(authority, 0, "]");
        if (end == authority.size) {
            return "there is no ']' after the '['";
        }
        if (end + 1 < authority.size && authority.data[end + 1] != ':') {
            return "after the ']' comes :PORT, or nothing";
        }
        const char *reason = address_check(bytes_slice(authority, 1, end - 1));
        if (reason != NULL || end + 1 == authority.size) {
            return reason;
        }
        return port_check(bytes_slice(authority, end + 2, SIZE_MAX));
    }
    size_t colon = find(authority, 0, ":");
    const char *reason = name_check(bytes_slice(authority, 0, colon));
    if (reason != NULL || colon == authority.size) {
        return reason;
    }
    return port_check(bytes_slice(authority, colon + 1, SIZE_MAX));
}

/* RFC 3986's characters of a path and a query; brackets too in the query, where they are usual. */
static const char *rest_check(struct bytes url, size_t from)
{
    bool in_query = false;
    for (size_t at = from; at < url.size; at++) {
        uint8_t c = url.data[at];
        if (c == '#') {
            return "has a fragment (#), which is never sent; a '#' in a value is %23";
        }
        if (c == '%') {
            if (url.size - at < 3 || !is_hexadecimal(url.data[at + 1]) ||
                !is_hexadecimal(url.data[at + 2])) {
                return "a '%' without two hexadecimal digits; a percent sign itself is %25";
            }
            continue;
        }
        in_query = in_query || c == '?';
        bool fits = is_alphanumeric(c) || (c != 0 && strchr("-._~!$&'()*+,;=:@/?", c) != NULL) ||
                    (in_query && (c == '[' || c == ']'));
        if (!fits) {
            return "has a character that must be percent-encoded (a space is %20)";
        }
    }
    return NULL;
}

bool url_check(struct bytes url, size_t *path_at_out, const char **reason_out)
{
    *path_at_out = 0;
    bool secure = begins_with(url, "https://");
    if (!secure && !begins_with(url, "http://")) {
        *reason_out = "begins with neither http:// nor https://";
        return false;
    }
    size_t from = secure ? 8 : 7;
    size_t to = find(url, from, "/?#");
    *reason_out = authority_check(bytes_slice(url, from, to - from));
    if (*reason_out == NULL) {
        *reason_out = rest_check(url, to);
    }
    if (*reason_out == NULL && url_has_dot_segment(url, to)) {
        *reason_out = "has a path segment . or ..";
    }
    *path_at_out = to;
    return *reason_out == NULL;
}

/* How many dots a segment is; 0: it is something else, or empty. */
static size_t dots_in(struct bytes segment)
{
    size_t dots = 0;
    for (size_t at = 0; at < segment.size; dots++) {
        if (segment.data[at] == '.') {
            at++;
        } else if (begins_with(bytes_slice(segment, at, 3), "%2e")) {
            at += 3;
        } else {
            return 0;
        }
    }
    return dots;
}

bool url_has_dot_segment(struct bytes url, size_t path_at)
{
    size_t end = find(url, path_at, "?#");
    for (size_t at = path_at; at < end;) {
        size_t next = find(bytes_slice(url, 0, end), at + 1, "/");
        size_t dots = dots_in(bytes_slice(url, at + 1, next - at - 1));
        if (dots == 1 || dots == 2) {
            return true;
        }
        at = next;
    }
    return false;
}
