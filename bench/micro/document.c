/*
 * Time per parse, render, validation, comparison and merge of a document of about 300 bytes, and of
 * a large one. --small runs a moment only, to see that it still works. Prints a hash of all
 * results, so that nothing is optimised away and two builds can be seen to do the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "bench/micro/series/series.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/merge_patch.h"

#define PRODUCT                                                                                    \
    "{\"title\":\"Desk lamp, brass\",\"description\":\"A lamp for the desk with a heavy foot and " \
    "a shade of green glass\",\"category\":\"lamps\",\"price\":29.99,\"currency\":\"EUR\","        \
    "\"stock\":128,\"active\":true,\"tags\":[\"lamp\",\"desk\",\"brass\"],\"size\":{\"width\":18," \
    "\"height\":42.5,\"depth\":18},\"image\":\"/img/lamp-42.jpg\"}"

#define ROUNDS_FULL      400000
#define ROUNDS_SMALL     200
#define RUNS             5
#define ROOM_BYTES       (4u << 20)
#define MANY_BYTES       (1u << 20)
#define MANY_BYTES_SMALL (1u << 15)
#define NESTED           1000000u
#define NESTED_SMALL     1000u

struct bench {
    struct bytes json;
    struct bytes document;
    struct bytes other; /* equal, its first member is last */
    struct bytes patch;
    uint8_t *room;
    const char *what; /* what is parsed, rendered, … */
    int rounds;
    struct bytes (*run)(struct bench *);
    uint64_t hash;
};

static void check(enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "micro_document: %s\n", status_name(status));
        exit(1);
    }
}

static struct writer room(struct bench *bench)
{
    return writer_of(bench->room, ROOM_BYTES);
}

static struct bytes copy(struct bytes bytes)
{
    uint8_t *memory = malloc(bytes.size);
    if (memory == NULL) {
        check(STATUS_NO_MEMORY);
    }
    memcpy(memory, bytes.data, bytes.size);
    return bytes_of(memory, bytes.size);
}

static struct bytes run_parse(struct bench *bench)
{
    struct writer out = room(bench);
    check(json_to_document(bench->json, &out, NULL));
    return writer_bytes(&out);
}

static struct bytes run_render(struct bench *bench)
{
    struct writer out = room(bench);
    check(document_record_to_json(BYTES_LITERAL("42"), bench->document, &out));
    return writer_bytes(&out);
}

static struct bytes run_validate(struct bench *bench)
{
    check(document_validate(bench->document));
    return BYTES_EMPTY;
}

static struct bytes run_equal(struct bench *bench)
{
    check(document_equal(bench->document, bench->other) ? STATUS_OK : STATUS_CONFLICT);
    return BYTES_EMPTY;
}

static struct bytes run_differ(struct bench *bench)
{
    check(document_equal(bench->document, bench->other) ? STATUS_CONFLICT : STATUS_OK);
    return BYTES_EMPTY;
}

static struct bytes run_changed(struct bench *bench)
{
    struct writer out = room(bench);
    uint32_t count;
    check(document_changed(bench->document, bench->other, &out, &count));
    return writer_bytes(&out);
}

static struct bytes run_merge(struct bench *bench)
{
    struct writer out = room(bench);
    check(document_merge_patch(bench->document, bench->patch, &out));
    return writer_bytes(&out);
}

static void work(void *context)
{
    struct bench *bench = (struct bench *)context;
    for (int round = 0; round < bench->rounds; round++) {
        struct bytes result = bench->run(bench);
        /* The hash's input is small, so that hashing does not count. */
        bench->hash = bench->hash * 31 + result.size;
    }
}

static void measure(struct bench *bench, const char *name, struct bytes (*run)(struct bench *))
{
    char text[64];
    struct series series = {0};
    bench->run = run;
    for (int turn = 0; turn < RUNS; turn++) {
        series_round(&series, (uint64_t)bench->rounds, work, bench);
    }
    struct bytes result = run(bench);
    bench->hash ^= XXH3_64bits(result.data, result.size);
    snprintf(text, sizeof(text), "%s: %s", bench->what, name);
    series_print(text, &series);
}

static void measure_all(struct bench *bench, const char *what, int rounds)
{
    bench->what = what;
    bench->rounds = rounds;
    measure(bench, "parse", run_parse);
    measure(bench, "render", run_render);
    measure(bench, "validate", run_validate);
    measure(bench, "equal", run_equal);
    measure(bench, "changed", run_changed);
    measure(bench, "merge", run_merge);
}

static void prepare(struct bench *bench, struct bytes json)
{
    struct bytes first = BYTES_LITERAL("title");
    struct bytes value;
    bench->json = json;
    struct writer out = room(bench);
    check(json_to_document(json, &out, NULL));
    bench->document = copy(writer_bytes(&out));
    out = room(bench);
    check(
        json_to_document(BYTES_LITERAL("{\"price\":19.99,\"size\":{\"width\":null}}"), &out, NULL));
    bench->patch = copy(writer_bytes(&out));

    struct writer without = room(bench);
    check(document_without_member(bench->document, first, &without));
    struct bytes rest = copy(writer_bytes(&without));
    bench->other = bench->document;
    if (document_find(bench->document, first, &value)) {
        struct writer moved = room(bench);
        check(document_set_member(rest, first, value, &moved));
        bench->other = copy(writer_bytes(&moved));
    }
    free((void *)(uintptr_t)rest.data);
}

static void finish(struct bench *bench)
{
    if (bench->other.data != bench->document.data) {
        free((void *)(uintptr_t)bench->other.data);
    }
    free((void *)(uintptr_t)bench->document.data);
    free((void *)(uintptr_t)bench->patch.data);
}

/* So many bytes of members with short names: what a hostile body can be. */
static struct bytes many_members(size_t size)
{
    uint8_t *memory = malloc(size);
    if (memory == NULL) {
        check(STATUS_NO_MEMORY);
    }
    struct writer out = writer_of(memory, size);
    writer_text(&out, "{\"title\":0");
    for (uint64_t member = 0; writer_left(&out) > 64; member++) {
        writer_text(&out, ",\"");
        writer_decimal(&out, member);
        writer_text(&out, "\":0");
    }
    writer_text(&out, "}");
    return writer_bytes(&out);
}

/* As many arrays in each other as there may be, around ones, of which the last is given. */
static struct bytes nested(uint32_t count, uint64_t last)
{
    size_t size = DOCUMENT_DEPTH_MAX + 5 + count;
    uint8_t *memory = malloc(size);
    if (memory == NULL) {
        check(STATUS_NO_MEMORY);
    }
    struct writer out = writer_of(memory, size);
    for (int level = 1; level < DOCUMENT_DEPTH_MAX; level++) {
        document_write_array(&out, 1);
    }
    document_write_array(&out, count);
    for (uint32_t left = count; left > 0; left--) {
        document_write_u64(&out, left > 1 ? 1 : last);
    }
    return writer_bytes(&out);
}

/* Two that differ at their very end: what reads them once per level takes many times as long. */
static void measure_nested(struct bench *bench, uint32_t count)
{
    struct bytes document = nested(count, 1);
    struct bytes other = nested(count, 2);
    bench->document = document;
    bench->other = other;
    bench->what = "nested";
    bench->rounds = 1;
    measure(bench, "differ", run_differ);
    free((void *)(uintptr_t)document.data);
    free((void *)(uintptr_t)other.data);
}

int main(int argc, char **argv)
{
    bool small = series_small(argc, argv);
    int rounds = small ? ROUNDS_SMALL : ROUNDS_FULL;
    struct bench bench = {.room = malloc(ROOM_BYTES)};
    if (bench.room == NULL) {
        check(STATUS_NO_MEMORY);
    }

    prepare(&bench, BYTES_LITERAL(PRODUCT));
    printf("product: %zu bytes of JSON, %zu of MessagePack\n", bench.json.size,
           bench.document.size);
    measure_all(&bench, "product", rounds);
    finish(&bench);

    struct bytes many = many_members(small ? MANY_BYTES_SMALL : MANY_BYTES);
    prepare(&bench, many);
    printf("many members: %u members, %zu bytes of JSON, %zu of MessagePack\n",
           document_count(bench.document), bench.json.size, bench.document.size);
    measure_all(&bench, "many members", 1);
    finish(&bench);
    measure_nested(&bench, small ? NESTED_SMALL : NESTED);

    printf("hash %016llx\n", (unsigned long long)bench.hash);
    free((void *)(uintptr_t)many.data);
    free(bench.room);
    return 0;
}
