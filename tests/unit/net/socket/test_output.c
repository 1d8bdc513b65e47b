/* The memory of a thread's connections, and what waits to be sent in it. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "net/socket/output.h"

#define BUDGET_BYTES (1u << 20)
#define SEED         20240607u

static struct memory_budget budget;
static struct chunk_pool pool;
static struct output output;
static uint32_t released;

static void begin(void)
{
    budget = (struct memory_budget){.max = BUDGET_BYTES};
    pool = (struct chunk_pool){.budget = &budget};
}

/* Asserted by each test itself, since nobody looks at what .fini does. */
static void nothing_is_left(void)
{
    output_drop(&output, &pool);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(pool.stream_bytes, 0);
    chunk_pool_deinit(&pool);
    cr_assert_eq(pool.free_count, 0);
}

TestSuite(memory, .init = begin);
TestSuite(output, .init = begin);

/* ---- the budget ---- */

Test(memory, requests_have_three_quarters_and_answers_all_of_it)
{
    size_t requests = BUDGET_BYTES / 4 * 3;
    cr_assert(memory_has_room(&budget, requests));
    cr_assert_not(memory_has_room(&budget, requests + 1));
    cr_assert_null(memory_take(&budget, requests + 1, MEMORY_FOR_REQUEST));
    void *request = memory_take(&budget, requests, MEMORY_FOR_REQUEST);
    cr_assert_not_null(request);
    cr_assert_null(memory_take(&budget, 1, MEMORY_FOR_REQUEST));
    cr_assert_null(memory_take(&budget, BUDGET_BYTES - requests + 1, MEMORY_FOR_ANSWER));
    void *answer = memory_take(&budget, BUDGET_BYTES - requests, MEMORY_FOR_ANSWER);
    cr_assert_not_null(answer);
    cr_assert_eq(budget.used, BUDGET_BYTES);
    memory_give(&budget, request, requests);
    memory_give(&budget, answer, BUDGET_BYTES - requests);
    nothing_is_left();
}

Test(memory, what_grows_keeps_its_bytes_and_counts_the_difference)
{
    uint8_t *memory = memory_take(&budget, 10, MEMORY_FOR_REQUEST);
    memcpy(memory, "0123456789", 10);
    cr_assert_null(memory_grow(&budget, memory, 10, BUDGET_BYTES), "over it nothing happens");
    cr_assert_eq(budget.used, 10);
    memory = memory_grow(&budget, memory, 10, 100000);
    cr_assert_arr_eq(memory, "0123456789", 10);
    cr_assert_eq(budget.used, 100000);
    memory_give(&budget, memory, 100000);
    nothing_is_left();
}

Test(memory, what_others_hold_counts_until_it_is_let_go)
{
    memory_hold(&budget, BUDGET_BYTES);
    cr_assert_null(memory_take(&budget, 1, MEMORY_FOR_ANSWER));
    memory_let_go(&budget, BUDGET_BYTES);
    nothing_is_left();
}

/* ---- chunks ---- */

Test(memory, chunks_are_used_again_and_free_ones_do_not_count)
{
    struct chunk *first = chunk_acquire(&pool, 1, MEMORY_FOR_ANSWER);
    cr_assert_eq(first->capacity, CHUNK_BYTES);
    cr_assert_eq(budget.used, sizeof(*first) + CHUNK_BYTES);
    chunk_release(&pool, first);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(pool.free_count, 1);
    cr_assert_eq(chunk_acquire(&pool, CHUNK_BYTES, MEMORY_FOR_ANSWER), first);
    struct chunk *large = chunk_acquire(&pool, CHUNK_BYTES + 1, MEMORY_FOR_ANSWER);
    cr_assert_eq(large->capacity, CHUNK_BYTES + 1);
    chunk_release(&pool, large);
    cr_assert_eq(pool.free_count, 0, "only those of the usual size are kept");
    chunk_release(&pool, first);
    nothing_is_left();
}

Test(memory, streams_have_half_of_it)
{
    memory_hold(&budget, BUDGET_BYTES / 2 - 100);
    cr_assert_null(chunk_acquire_stream(&pool, 101));
    struct chunk *chunk = chunk_acquire_stream(&pool, 100);
    cr_assert_not_null(chunk);
    cr_assert_eq(pool.stream_bytes, CHUNK_BYTES);
    chunk_release(&pool, chunk);
    memory_let_go(&budget, BUDGET_BYTES / 2 - 100);
    nothing_is_left();
}

Test(memory, when_streams_hold_much_they_get_small_chunks)
{
    pool.stream_bytes = OUTPUT_STREAMS_BYTES;
    struct chunk *small = chunk_acquire_stream(&pool, 1);
    struct chunk *larger = chunk_acquire_stream(&pool, OUTPUT_STREAM_LEAST + 1);
    cr_assert_eq(small->capacity, OUTPUT_STREAM_LEAST);
    cr_assert_eq(larger->capacity, OUTPUT_STREAM_LEAST + 1);
    chunk_release(&pool, small);
    chunk_release(&pool, larger);
    cr_assert_eq(pool.stream_bytes, OUTPUT_STREAMS_BYTES);
    pool.stream_bytes = 0;
    nothing_is_left();
}

/* ---- output ---- */

static void release(void *owner)
{
    released++;
    free(owner);
}

/* Sends all that waits, at most so many bytes at a time, and compares. */
static void sends(const uint8_t *expected, size_t size, size_t most)
{
    size_t sent = 0;
    cr_assert_eq(output.unsent_bytes, size);
    while (sent < size) {
        struct iovec pieces[3];
        size_t count = output_pieces(&output, pieces, 3);
        size_t taken = 0;
        cr_assert_gt(count, 0);
        for (size_t i = 0; i < count && taken < most; i++) {
            size_t piece = pieces[i].iov_len < most - taken ? pieces[i].iov_len : most - taken;
            cr_assert_gt(pieces[i].iov_len, 0);
            cr_assert_eq(memcmp(pieces[i].iov_base, expected + sent + taken, piece), 0);
            taken += piece;
        }
        output_sent(&output, &pool, taken);
        sent += taken;
    }
    struct iovec piece;
    cr_assert_eq(output_pieces(&output, &piece, 1), 0);
    cr_assert_null(output.first);
}

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Copied, written in place and referred to, in any order, and sent in pieces of any size. */
Test(output, what_goes_in_comes_out_in_its_order)
{
    static const size_t most[] = {1, 7, 4096, CHUNK_BYTES, CHUNK_BYTES + 1, BUDGET_BYTES};
    static uint8_t all[BUDGET_BYTES];
    uint32_t state = SEED;
    cr_log_info("seed %u", SEED);
    for (size_t round = 0; round < sizeof(most) / sizeof(most[0]); round++) {
        size_t size = 0;
        for (int i = 0; i < 30; i++) {
            size_t piece = 1 + random_next(&state) % (i % 10 == 0 ? 2 * CHUNK_BYTES : 700);
            uint8_t *bytes = malloc(piece);
            memset(bytes, (int)(random_next(&state) & 0xff), piece);
            memcpy(all + size, bytes, piece);
            size += piece;
            if (i % 3 == 0) {
                cr_assert_eq(output_refer(&output, &pool, bytes_of(bytes, piece), release, bytes),
                             STATUS_OK);
                continue;
            }
            if (i % 3 == 1) {
                cr_assert_eq(output_copy(&output, &pool, bytes_of(bytes, piece)), STATUS_OK);
            } else {
                memcpy(output_room(&output, &pool, piece + 10), bytes, piece);
                output_commit(&output, piece);
            }
            free(bytes);
        }
        sends(all, size, most[round]);
        cr_assert_eq(released, 10 * (round + 1));
        cr_assert_eq(budget.used, 0);
    }
    nothing_is_left();
}

Test(output, a_chunk_grows_while_its_beginning_is_being_sent)
{
    struct iovec piece;
    cr_assert_eq(output_copy(&output, &pool, BYTES_LITERAL("abc")), STATUS_OK);
    cr_assert_eq(output_pieces(&output, &piece, 1), 1);
    const void *in_flight = piece.iov_base;
    cr_assert_eq(output_copy(&output, &pool, BYTES_LITERAL("def")), STATUS_OK);
    cr_assert_eq(memcmp(in_flight, "abcdef", 6), 0, "it stays where it is");
    output_sent(&output, &pool, 3);
    sends((const uint8_t *)"def", 3, 3);
    nothing_is_left();
}

Test(output, a_body_without_memory_for_its_place_is_released_at_once)
{
    memory_hold(&budget, BUDGET_BYTES);
    uint8_t *body = malloc(10);
    cr_assert_eq(output_refer(&output, &pool, bytes_of(body, 10), release, body), STATUS_NO_MEMORY);
    cr_assert_eq(released, 1);
    cr_assert_null(output_room(&output, &pool, 1));
    cr_assert_eq(output_copy(&output, &pool, BYTES_LITERAL("a")), STATUS_NO_MEMORY);
    memory_let_go(&budget, BUDGET_BYTES);
    nothing_is_left();
}

Test(output, what_is_dropped_is_released_once)
{
    uint8_t *body = malloc(CHUNK_BYTES);
    memset(body, 0, CHUNK_BYTES);
    cr_assert_eq(output_copy(&output, &pool, BYTES_LITERAL("head")), STATUS_OK);
    cr_assert_eq(output_refer(&output, &pool, bytes_of(body, CHUNK_BYTES), release, body),
                 STATUS_OK);
    cr_assert_gt(budget.used, 2 * CHUNK_BYTES, "it counts while it is held");
    output_sent(&output, &pool, 100);
    cr_assert_eq(released, 0);
    nothing_is_left();
    cr_assert_eq(released, 1);
}
