#include "bench/load/request.h"

/* get, set (without flags or an end) and delete; a key is its digits alone. */
void request_memcached(const struct load_options *options, enum kind kind, const struct body *body,
                       struct request_template *template, struct writer *out)
{
    bool writes = kind_has_body(kind);
    writer_text(out, writes ? "set " : kind == KIND_DELETE ? "delete " : "get ");
    template->key_offset = request_reserve(out, options->key_digits);
    if (writes) {
        writer_text(out, " 0 0 ");
        writer_decimal(out, body->size);
        writer_text(out, "\r\n");
        template->body_offset = (uint32_t)out->size;
        body_write(body, out);
    }
    writer_text(out, "\r\n");
}
