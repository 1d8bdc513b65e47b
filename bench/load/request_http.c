#include <string.h>

#include "bench/load/request.h"
#include "protocol/base/assert.h"

/* The target of the request line; where the key stands in it, 0 for nowhere. */
static uint32_t write_path(struct writer *writer, const struct load_options *options,
                           enum kind kind)
{
    const char *mark = strstr(options->path, "{key}");
    if (mark == NULL) {
        writer_text(writer, options->path);
        return 0;
    }
    size_t before = (size_t)(mark - options->path);
    if (kind == KIND_POST) {
        /* The collection: what stands before the key, without the slash. */
        writer_put(writer, bytes_of(options->path, before > 1 ? before - 1 : before));
        return 0;
    }
    writer_put(writer, bytes_of(options->path, before));
    uint32_t offset = request_reserve(writer, options->key_digits);
    writer_text(writer, mark + sizeof("{key}") - 1);
    return offset;
}

/* A page of the collection; where its cursor stands. */
static uint32_t write_list_path(struct writer *writer, const struct load_options *options)
{
    writer_u8(writer, '/');
    writer_put(writer, options_collection(options));
    writer_text(writer, "?limit=");
    writer_decimal(writer, options->list_limit);
    writer_text(writer, "&cursor=");
    return request_reserve(writer, cursor_text_bytes(options));
}

void request_http(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out)
{
    static const char *const methods[KIND_COUNT] = {"GET ",  "PUT ", "POST ", "DELETE ",
                                                    "HEAD ", "GET ", "PUT "};
    ASSERT(methods[kind] != NULL);
    writer_text(out, methods[kind]);
    if (kind == KIND_LIST) {
        template->cursor_offset = write_list_path(out, options);
    } else {
        template->key_offset = write_path(out, options, kind);
    }
    writer_text(out, " HTTP/1.1\r\nHost: ");
    writer_text(out, options->host);
    writer_text(out, ":");
    writer_decimal(out, options->port);
    writer_text(out, "\r\n");
    writer_put(out, bytes_of(options->headers, options->headers_size));
    if (!kind_has_body(kind)) {
        writer_text(out, "\r\n");
        return;
    }
    writer_text(out, "Content-Type: application/json\r\nContent-Length: ");
    writer_decimal(out, body->size);
    writer_text(out, "\r\n\r\n");
    template->body_offset = (uint32_t)out->size;
    body_write(body, out);
}
