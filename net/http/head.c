#include "net/http/head.h"

#include <assert.h>
#include <string.h>

#include "protocol/base/assert.h"

/* llhttp.h has enumerators of the same names; only this file includes it. */
#define HTTP_DELETE  LLHTTP_DELETE
#define HTTP_GET     LLHTTP_GET
#define HTTP_HEAD    LLHTTP_HEAD
#define HTTP_POST    LLHTTP_POST
#define HTTP_PUT     LLHTTP_PUT
#define HTTP_OPTIONS LLHTTP_OPTIONS
#define HTTP_PATCH   LLHTTP_PATCH
#include <llhttp.h>
#undef HTTP_DELETE
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_PUT
#undef HTTP_OPTIONS
#undef HTTP_PATCH

static_assert(LLHTTP_STRICT_MODE == 1, "llhttp must be compiled in strict mode");

/* ---- the end of the head ---- */

#define EACH_BYTE(value) (0x0101010101010101ull * (value))
#define HIGH_BITS        EACH_BYTE(0x80u)

/* The high bit of each byte that is below 0x20 or 0x7f. Borrows can mark a byte above a marked one
 * by mistake, never below it: the lowest mark is always right. */
static inline uint64_t control_marks(uint64_t word)
{
    uint64_t below_space = (word - EACH_BYTE(0x20u)) & ~word;
    uint64_t delete_zeroed = word ^ EACH_BYTE(0x7fu);
    uint64_t is_delete = (delete_zeroed - EACH_BYTE(0x01u)) & ~delete_zeroed;
    return (below_space | is_delete) & HIGH_BITS;
}

/* The offset of the next byte that is below 0x20 or 0x7f, or the size. */
static inline size_t next_control(struct bytes bytes, size_t offset)
{
    while (bytes.size - offset >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes.data + offset, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        uint64_t marks = control_marks(word);
        if (marks != 0) {
            return offset + (size_t)__builtin_ctzll(marks) / 8;
        }
        offset += sizeof(word);
    }
    while (offset < bytes.size && bytes.data[offset] >= 0x20 && bytes.data[offset] != 0x7f) {
        offset++;
    }
    return offset;
}

enum head_result head_scan(struct head_scan *scan, struct bytes bytes, size_t *size_out)
{
    ASSERT(scan->offset <= bytes.size);
    ASSERT(bytes.size <= UINT32_MAX);
    size_t offset = scan->offset;
    size_t line_start = scan->line_start;
    for (;;) {
        if (offset == line_start && offset < bytes.size &&
            (bytes.data[offset] == ' ' || bytes.data[offset] == '\t')) {
            scan->offset = (uint32_t)offset;
            return HEAD_BAD; /* a folded line, or a request that begins with white space */
        }
        offset = next_control(bytes, offset);
        if (offset == bytes.size || (bytes.data[offset] == '\r' && offset + 1 == bytes.size)) {
            scan->offset = (uint32_t)offset;
            scan->line_start = (uint32_t)line_start;
            return HEAD_MORE;
        }
        if (bytes.data[offset] == '\t') {
            offset++;
            continue;
        }
        if (bytes.data[offset] != '\r' || bytes.data[offset + 1] != '\n') {
            scan->offset = (uint32_t)offset;
            return HEAD_BAD;
        }
        bool empty = offset == line_start;
        offset += 2;
        line_start = offset;
        if (empty) {
            *size_out = offset;
            return HEAD_DONE;
        }
    }
}

/* ---- llhttp ---- */

struct parse {
    struct bytes target;
    struct http_header *headers;
    uint32_t header_count;
    bool too_many;
    bool complete;
};

static int on_url(llhttp_t *parser, const char *at, size_t size)
{
    struct parse *parse = (struct parse *)parser->data;
    parse->target = bytes_of(at, size);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t size)
{
    struct parse *parse = (struct parse *)parser->data;
    if (parse->header_count == HTTP_HEADERS_MAX) {
        parse->too_many = true;
        return HPE_USER;
    }
    struct http_header *header = &parse->headers[parse->header_count++];
    header->name = bytes_of(at, size);
    header->value = bytes_of(at + size, 0);
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t size)
{
    struct parse *parse = (struct parse *)parser->data;
    /* A value without a name: not llhttp's way, but nothing to fall over. */
    if (parse->header_count == 0) {
        return HPE_USER;
    }
    while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t')) {
        size--;
    }
    parse->headers[parse->header_count - 1].value = bytes_of(at, size);
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct parse *parse = (struct parse *)parser->data;
    parse->complete = true;
    /* Here llhttp's part ends: it never sees a body, and never enters its upgrade state. */
    return HPE_PAUSED;
}

static const llhttp_settings_t parse_settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case LLHTTP_GET:
        return HTTP_GET;
    case LLHTTP_HEAD:
        return HTTP_HEAD;
    case LLHTTP_POST:
        return HTTP_POST;
    case LLHTTP_PUT:
        return HTTP_PUT;
    case LLHTTP_PATCH:
        return HTTP_PATCH;
    case LLHTTP_DELETE:
        return HTTP_DELETE;
    case LLHTTP_OPTIONS:
        return HTTP_OPTIONS;
    default:
        return HTTP_OTHER;
    }
}

static bool is_token(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return bytes.size > 0;
}

static struct bytes up_to(struct bytes bytes, uint8_t end)
{
    const uint8_t *at = bytes.size == 0 ? NULL : memchr(bytes.data, end, bytes.size);
    return at == NULL ? bytes : bytes_of(bytes.data, (size_t)(at - bytes.data));
}

/* "HTTP/2.0" and the like: well formed, only not ours. */
static bool is_other_version(struct bytes line)
{
    static const char pattern[] = " HTTP/0.0";
    size_t size = sizeof(pattern) - 1;
    if (line.size < size) {
        return false;
    }
    const uint8_t *at = line.data + line.size - size;
    return memcmp(at, " HTTP/", 6) == 0 && at[6] >= '0' && at[6] <= '9' && at[7] == '.' &&
           at[8] >= '0' && at[8] <= '9';
}

static struct refusal refuse_parse(enum llhttp_errno error, const struct parse *parse,
                                   struct bytes head)
{
    struct bytes line = up_to(head, '\r');
    struct bytes method = up_to(line, ' ');
    if (parse->too_many) {
        return refuse_with(431, "the request has too many headers");
    }
    switch ((int)error) {
    case HPE_INVALID_METHOD:
        if (is_token(method) && method.size < line.size) {
            return refuse_with(501, "the method is not known here");
        }
        return refuse_with(400, "the request does not begin with a method");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        if (is_other_version(line)) {
            return refuse_with(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        }
        return refuse_with(400, "the HTTP version is malformed");
    case HPE_INVALID_URL:
        return refuse_with(400, "the request target is malformed");
    case HPE_INVALID_HEADER_TOKEN:
        return refuse_with(400, "a header is malformed");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse_with(400, "Content-Length is malformed or contradicted");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse_with(400, "Transfer-Encoding is malformed or contradicted");
    default:
        if (is_other_version(line) && line.data[line.size - 3] != '1') {
            return refuse_with(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        }
        return refuse_with(400, "the request is malformed");
    }
}

/* Single spaces and a version: llhttp also takes several, and none for HTTP/0.9. */
static bool is_exact_line(struct bytes head, struct bytes method, struct bytes target)
{
    static const char version[] = " HTTP/1.1\r";
    size_t end = method.size + 1 + target.size;
    return target.data == head.data + method.size + 1 && end + sizeof(version) - 1 <= head.size &&
           head.data[end] == ' ' && head.data[end + sizeof(version) - 2] == '\r';
}

struct refusal head_parse(struct bytes head, struct http_header *headers,
                          struct http_request *request, struct framing *framing_out)
{
    ASSERT(head.size >= 2 && headers != NULL);
    struct parse parse = {.headers = headers};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &parse_settings);
    parser.data = &parse;
    enum llhttp_errno error = llhttp_execute(&parser, (const char *)head.data, head.size);
    memset(request, 0, sizeof(*request));
    *framing_out = (struct framing){0};
    request->method = HTTP_OTHER;
    request->headers = headers;
    if (error != HPE_PAUSED || !parse.complete) {
        return refuse_parse(error, &parse, head);
    }
    /* Both passes must agree on where the head ends. llhttp stops on its last byte. */
    const char *end = (const char *)head.data + head.size;
    if (parser.error_pos != end && parser.error_pos != end - 1) {
        return refuse_with(400, "the request is malformed");
    }
    request->method = method_of(parser.method);
    request->method_text = up_to(head, ' ');
    request->target = parse.target;
    request->header_count = parse.header_count;
    request->minor = parser.http_minor;
    if (!is_exact_line(head, request->method_text, request->target)) {
        return refuse_with(400, "the request line is malformed");
    }
    if (parser.http_major != 1 || parser.http_minor > 1) {
        return refuse_with(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    bool close = (parser.flags & F_CONNECTION_CLOSE) != 0;
    bool keep = (parser.flags & F_CONNECTION_KEEP_ALIVE) != 0;
    request->keep_alive = !close && (request->minor == 1 || keep);
    struct refusal refusal = check_headers(request, framing_out);
    if (refusal.status != 0) {
        request->keep_alive = false;
        return refusal;
    }
    return check_target(request);
}

/* ---- a head that repeats the one before ---- */

#define REPEATED_METHOD      "GET "
#define REPEATED_METHOD_SIZE (sizeof(REPEATED_METHOD) - 1)

/* What llhttp takes in a target and no rule of ours is about: letters, digits, -._~/?=&%:@+,; */
static const uint64_t plain_characters[4] = {
    /* % & + , - . / 0-9 : ; = ? */
    0xaffff86000000000ull,
    /* @ A-Z _ a-z ~ */
    0x47fffffe87ffffffull, 0, 0};

static bool is_plain(uint8_t c)
{
    return (plain_characters[c / 64] >> (c % 64) & 1) != 0;
}

void head_before_set(struct head_before *before, struct bytes head,
                     const struct http_request *request, const struct framing *framing)
{
    before->rest = BYTES_EMPTY;
    if (request->method != HTTP_GET || request->target.data[0] != '/' || request->minor != 1 ||
        !request->keep_alive || request->has_body || framing->expects_continue) {
        return;
    }
    ASSERT(!framing->chunked && framing->content_length == 0);
    size_t end = REPEATED_METHOD_SIZE + request->target.size;
    ASSERT(end < head.size);
    before->rest = bytes_slice(head, end, head.size);
    before->request = *request;
}

size_t head_repeats(const struct head_before *before, struct bytes bytes)
{
    size_t end = REPEATED_METHOD_SIZE + 1;
    if (before->rest.size == 0 || bytes.size < end ||
        memcmp(bytes.data, REPEATED_METHOD "/", end) != 0) {
        return 0;
    }
    while (end < bytes.size && is_plain(bytes.data[end])) {
        end++;
    }
    if (end - REPEATED_METHOD_SIZE > HEAD_TARGET_BYTES_MAX ||
        bytes.size - end < before->rest.size ||
        memcmp(bytes.data + end, before->rest.data, before->rest.size) != 0) {
        return 0;
    }
    return end + before->rest.size;
}

void head_repeat(const struct head_before *before, struct bytes head,
                 struct http_request *request_out)
{
    ASSERT(head.size > REPEATED_METHOD_SIZE + before->rest.size);
    *request_out = before->request;
    request_out->method_text = bytes_slice(head, 0, REPEATED_METHOD_SIZE - 1);
    request_out->target = bytes_slice(head, REPEATED_METHOD_SIZE,
                                      head.size - REPEATED_METHOD_SIZE - before->rest.size);
    struct refusal refusal = check_target(request_out);
    ASSERT(refusal.status == 0); /* it begins with a slash and has no '#' */
}
