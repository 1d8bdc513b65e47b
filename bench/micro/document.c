/*
 * Time per parse, render, validation, comparison and merge of a document of about 300 bytes, and of
 * a large one. --small runs a moment only, to see that it still works. Prints a hash of all
 * results, so that nothing is optimised away and two builds can be seen to do the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <xxhash.h>

#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/merge_patch.h"

#define PRODUCT                                                                                    \
    "{\"title\":\"Desk lamp, brass\",\"description\":\"A lamp for the desk with a heavy foot and " \
    "a shade of green glass\",\"category\":\"lamps\",\"price\":29.99,\"currency\":\"EUR\","        \
    "\"stock\":128,\"active\":true,\"tags\":[\"lamp\",\"desk\",\"brass\"],\"size\":{\"width\":18," \
    "\"height\":42.5,\"depth\":18},\"image\":\"/img/lamp-42.jpg\"}"

#define ROUNDS_FULL  400000
#define ROUNDS_SMALL 2000
#define RUNS         5
#define ROOM_BYTES   (4u << 20)

struct bench {
    struct bytes json;
    struct bytes document;
    struct bytes other; /* equal, its first member is last */
    struct bytes patch;
    uint8_t *room;
    uint64_t hash;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

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

static void measure(struct bench *bench, const char *name, int rounds,
                    struct bytes (*run)(struct bench *bench))
{
    double best_ns = 0;
    for (int turn = 0; turn < RUNS; turn++) {
        double from_ns = now_ns();
        for (int round = 0; round < rounds; round++) {
            struct bytes result = run(bench);
            /* The hash's input is small, so that hashing does not count. */
            bench->hash = bench->hash * 31 + result.size;
        }
        double each_ns = (now_ns() - from_ns) / rounds;
        best_ns = turn == 0 || each_ns < best_ns ? each_ns : best_ns;
    }
    struct bytes result = run(bench);
    bench->hash ^= XXH3_64bits(result.data, result.size);
    printf("%-10s %10.1f ns\n", name, best_ns);
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

/* A million bytes of members with short names: what a hostile body can be. */
static struct bytes many_members(void)
{
    uint8_t *memory = malloc(1 << 20);
    if (memory == NULL) {
        check(STATUS_NO_MEMORY);
    }
    struct writer out = writer_of(memory, 1 << 20);
    writer_text(&out, "{\"title\":0");
    for (uint64_t member = 0; writer_left(&out) > 64; member++) {
        writer_text(&out, ",\"");
        writer_decimal(&out, member);
        writer_text(&out, "\":0");
    }
    writer_text(&out, "}");
    return writer_bytes(&out);
}

int main(int argc, char **argv)
{
    bool is_small = argc > 1 && strcmp(argv[1], "--small") == 0;
    int rounds = is_small ? ROUNDS_SMALL : ROUNDS_FULL;
    struct bench bench = {.room = malloc(ROOM_BYTES)};
    if (bench.room == NULL) {
        check(STATUS_NO_MEMORY);
    }

    prepare(&bench, BYTES_LITERAL(PRODUCT));
    printf("product: %zu bytes of JSON, %zu of MessagePack\n", bench.json.size,
           bench.document.size);
    measure(&bench, "parse", rounds, run_parse);
    measure(&bench, "render", rounds, run_render);
    measure(&bench, "validate", rounds, run_validate);
    measure(&bench, "equal", rounds, run_equal);
    measure(&bench, "changed", rounds, run_changed);
    measure(&bench, "merge", rounds, run_merge);
    finish(&bench);

    struct bytes many = many_members();
    prepare(&bench, many);
    printf("many members: %u members, %zu bytes of JSON, %zu of MessagePack\n",
           document_count(bench.document), bench.json.size, bench.document.size);
    measure(&bench, "parse", 1, run_parse);
    measure(&bench, "render", 1, run_render);
    measure(&bench, "validate", 1, run_validate);
    measure(&bench, "equal", 1, run_equal);
    measure(&bench, "changed", 1, run_changed);
    measure(&bench, "merge", 1, run_merge);
    finish(&bench);

    printf("hash %016llx\n", (unsigned long long)bench.hash);
    free((void *)(uintptr_t)many.data);
    free(bench.room);
    return 0;
}
