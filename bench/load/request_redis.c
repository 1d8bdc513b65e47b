#include "bench/load/request.h"

static void bulk_begin(struct writer *out, uint64_t size)
{
    writer_u8(out, '$');
    writer_decimal(out, size);
    writer_text(out, "\r\n");
}

/* GET, SET and DEL; a key is its digits alone. */
void request_redis(const struct load_options *options, enum kind kind, const struct body *body,
                   struct request_template *template, struct writer *out)
{
    bool writes = kind_has_body(kind);
    const char *name = writes ? "SET" : kind == KIND_DELETE ? "DEL" : "GET";
    writer_text(out, writes ? "*3\r\n" : "*2\r\n");
    bulk_begin(out, 3);
    writer_text(out, name);
    writer_text(out, "\r\n");
    bulk_begin(out, options->key_digits);
    template->key_offset = request_reserve(out, options->key_digits);
    writer_text(out, "\r\n");
    if (writes) {
        bulk_begin(out, body->size);
        template->body_offset = (uint32_t)out->size;
        body_write(body, out);
        writer_text(out, "\r\n");
    }
}
