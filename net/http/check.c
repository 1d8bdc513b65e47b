/*
 * check.c: what is refused although llhttp lets it pass, above all what two HTTP parsers could read
 * differently, for that is how a request is smuggled past a proxy: a second or unclear length, a
 * length beside chunked, chunked in HTTP/1.0, codings before chunked, a header name that is empty
 * or ends in white space, no Host or two.
 */
#include <string.h>

#include "net/http/head.h"
#include "protocol/base/assert.h"

/* name is in lower case. */
static bool name_is(struct bytes bytes, const char *name)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        if (c >= 'A' && c <= 'Z') {
            c = (uint8_t)(c | 0x20);
        }
        if (c != (uint8_t)name[i]) {
            return false;
        }
    }
    return true;
}

/* What a header is to us: one that handlers may ask for, or one that decides the framing. */
enum meaning {
    MEANING_CONTENT_LENGTH = HTTP_KNOWN_COUNT,
    MEANING_TRANSFER_ENCODING,
    MEANING_EXPECT,
    MEANING_NONE
};

static int meaning_if(struct bytes name, const char *text, int meaning)
{
    return name_is(name, text) ? meaning : MEANING_NONE;
}

/* By length first, so that at most three names are compared. */
static int meaning_of(struct bytes name)
{
    switch (name.size) {
    case 4:
        return meaning_if(name, "host", HTTP_HOST);
    case 6:
        switch (name.data[0] | 0x20) {
        case 'o':
            return meaning_if(name, "origin", HTTP_ORIGIN);
        case 'a':
            return meaning_if(name, "accept", HTTP_ACCEPT);
        case 'p':
            return meaning_if(name, "pragma", HTTP_PRAGMA);
        default:
            return meaning_if(name, "expect", MEANING_EXPECT);
        }
    case 8:
        return meaning_if(name, "if-match", HTTP_IF_MATCH);
    case 12:
        return meaning_if(name, "content-type", HTTP_CONTENT_TYPE);
    case 13:
        switch (name.data[0] | 0x20) {
        case 'c':
            return meaning_if(name, "cache-control", HTTP_CACHE_CONTROL);
        case 'i':
            return meaning_if(name, "if-none-match", HTTP_IF_NONE_MATCH);
        case 'a':
            return meaning_if(name, "authorization", HTTP_AUTHORIZATION);
        default:
            return meaning_if(name, "last-event-id", HTTP_LAST_EVENT_ID);
        }
    case 14:
        return meaning_if(name, "content-length", MEANING_CONTENT_LENGTH);
    case 15:
        return meaning_if(name, "idempotency-key", HTTP_IDEMPOTENCY_KEY);
    case 16:
        return meaning_if(name, "content-encoding", HTTP_CONTENT_ENCODING);
    case 17:
        return meaning_if(name, "transfer-encoding", MEANING_TRANSFER_ENCODING);
    case 20:
        return meaning_if(name, "freshet-min-position", HTTP_MIN_POSITION);
    case 29:
        return meaning_if(name, "access-control-request-method", HTTP_REQUEST_METHOD);
    default:
        return MEANING_NONE;
    }
}

/* Digits and nothing else: no sign, no list, no white space. */
static bool parse_length(struct bytes text, uint64_t *length_out)
{
    uint64_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(length, 10u, &length) ||
            __builtin_add_overflow(length, digit, &length)) {
            return false;
        }
    }
    *length_out = length;
    return text.size > 0;
}

/* Letters and digits in any case, and what else a URI's authority may have, without user
 * information. */
static const uint64_t host_characters[4] = {
    /* !$%&'()*+,-. 0-9 : ; = */
    0x2fff7ff200000000ull,
    /* A-Z [ ] _ a-z ~ */
    0x47fffffeaffffffeull, 0, 0};

static bool is_host(struct bytes host)
{
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        if ((host_characters[c / 64] >> (c % 64) & 1) == 0) {
            return false;
        }
    }
    return true;
}

static bool is_coding_list(struct bytes value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || strchr("-_, ", c) == NULL)) {
            return false;
        }
    }
    return value.size > 0;
}

struct framing_headers {
    uint32_t length_count;
    uint32_t encoding_count;
    uint32_t expect_count;
    struct bytes length;
    struct bytes encoding;
    struct bytes expect;
};

static void header_sort(struct http_request *request, const struct http_header *header,
                        struct framing_headers *framing)
{
    int meaning = meaning_of(header->name);
    if (meaning < HTTP_KNOWN_COUNT) {
        if (request->known[meaning].data == NULL) {
            request->known[meaning] = header->value;
        } else {
            request->repeated |= 1u << meaning;
        }
    } else if (meaning == MEANING_CONTENT_LENGTH) {
        framing->length_count++;
        framing->length = header->value;
    } else if (meaning == MEANING_TRANSFER_ENCODING) {
        framing->encoding_count++;
        framing->encoding = header->value;
    } else if (meaning == MEANING_EXPECT) {
        framing->expect_count++;
        framing->expect = header->value;
    }
}

static struct refusal check_host(const struct http_request *request)
{
    struct bytes host = request->known[HTTP_HOST];
    if ((request->repeated & (1u << HTTP_HOST)) != 0) {
        return refuse_with(400, "there is more than one Host header");
    }
    if (host.data == NULL && request->minor == 1) {
        return refuse_with(400, "the Host header is missing");
    }
    if (host.data != NULL && !is_host(host)) {
        return refuse_with(400, "the Host header is malformed");
    }
    return refuse_none();
}

static struct refusal check_framing(struct http_request *request,
                                    const struct framing_headers *headers,
                                    struct framing *framing_out)
{
    if (headers->encoding_count > 0) {
        if (request->minor == 0) {
            return refuse_with(400, "HTTP/1.0 has no Transfer-Encoding");
        }
        if (headers->length_count > 0) {
            return refuse_with(400, "Content-Length and Transfer-Encoding contradict each other");
        }
        if (headers->encoding_count > 1) {
            return refuse_with(400, "there is more than one Transfer-Encoding header");
        }
        if (!is_coding_list(headers->encoding)) {
            return refuse_with(400, "Transfer-Encoding is malformed");
        }
        if (headers->encoding.size != 7 || !name_is(headers->encoding, "chunked")) {
            return refuse_with(501, "the only Transfer-Encoding known here is chunked");
        }
        framing_out->chunked = true;
        request->has_body = true;
        return refuse_none();
    }
    if (headers->length_count > 1) {
        return refuse_with(400, "there is more than one Content-Length header");
    }
    if (headers->length_count == 1 &&
        !parse_length(headers->length, &framing_out->content_length)) {
        return refuse_with(400, "Content-Length is not a number");
    }
    request->has_body = framing_out->content_length > 0;
    return refuse_none();
}

struct refusal check_headers(struct http_request *request, struct framing *framing_out)
{
    ASSERT(request->header_count <= HTTP_HEADERS_MAX);
    struct framing_headers framing = {0};
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (header->name.size == 0) {
            return refuse_with(400, "a header has no name");
        }
        uint8_t last = header->name.data[header->name.size - 1];
        if (last == ' ' || last == '\t') {
            return refuse_with(400, "there is white space between a header's name and its colon");
        }
        header_sort(request, header, &framing);
    }
    struct refusal refusal = check_host(request);
    if (refusal.status == 0) {
        refusal = check_framing(request, &framing, framing_out);
    }
    if (refusal.status != 0) {
        return refusal;
    }
    /* HTTP/1.0 does not know the header: it is ignored there. */
    if (framing.expect_count > 0 && request->minor == 1) {
        if (framing.expect_count > 1 || framing.expect.size != 12 ||
            !name_is(framing.expect, "100-continue")) {
            return refuse_with(417, "the only expectation known here is 100-continue");
        }
        framing_out->expects_continue = true;
    }
    return refuse_none();
}

/* The size of "http://" or "https://" at the beginning of target, in any case; 0: neither. */
static size_t scheme_size(struct bytes target)
{
    if (target.size >= 7 && name_is(bytes_slice(target, 0, 7), "http://")) {
        return 7;
    }
    if (target.size >= 8 && name_is(bytes_slice(target, 0, 8), "https://")) {
        return 8;
    }
    return 0;
}

static void split_query(struct http_request *request, struct bytes path)
{
    const uint8_t *mark = path.size == 0 ? NULL : memchr(path.data, '?', path.size);
    request->path = path;
    request->query = bytes_of(path.data + path.size, 0);
    if (mark != NULL) {
        size_t size = (size_t)(mark - path.data);
        request->path = bytes_slice(path, 0, size);
        request->query = bytes_slice(path, size + 1, path.size);
    }
}

struct refusal check_target(struct http_request *request)
{
    struct bytes target = request->target;
    if (target.size == 0 || memchr(target.data, '#', target.size) != NULL) {
        return refuse_with(400, "the request target is malformed");
    }
    if (target.data[0] == '/') {
        split_query(request, target);
        return refuse_none();
    }
    if (target.size == 1 && target.data[0] == '*' && request->method == HTTP_OPTIONS) {
        split_query(request, target);
        return refuse_none();
    }
    if (bytes_equal(request->method_text, BYTES_LITERAL("CONNECT"))) {
        return refuse_with(501, "this is not a proxy");
    }
    size_t scheme = scheme_size(target);
    if (scheme == 0) {
        return refuse_with(400, "the request target is malformed");
    }
    size_t path = scheme;
    while (path < target.size && target.data[path] != '/' && target.data[path] != '?') {
        path++;
    }
    if (path == scheme || !is_host(bytes_slice(target, scheme, path - scheme))) {
        return refuse_with(400, "the request target is malformed");
    }
    split_query(request, bytes_slice(target, path, target.size));
    if (request->path.size == 0) {
        request->path = BYTES_LITERAL("/");
    }
    return refuse_none();
}
