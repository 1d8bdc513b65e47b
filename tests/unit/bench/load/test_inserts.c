#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/load/inserts.h"

#define FROM          1000
#define THREAD_COUNT  4
#define KEYS_A_THREAD 1000000
#define KEY_COUNT     (THREAD_COUNT * KEYS_A_THREAD)

Test(inserts, the_end_waits_for_the_oldest_key)
{
    struct inserts inserts;
    cr_assert_eq(inserts_init(&inserts, FROM), STATUS_OK);
    for (uint64_t key = FROM; key < FROM + 5; key++) {
        cr_assert_eq(inserts_take(&inserts), key);
    }
    inserts_acknowledge(&inserts, FROM + 1);
    inserts_acknowledge(&inserts, FROM + 3);
    cr_assert_eq(inserts_end(&inserts), FROM);
    inserts_acknowledge(&inserts, FROM);
    cr_assert_eq(inserts_end(&inserts), FROM + 2);
    inserts_acknowledge(&inserts, FROM + 2);
    cr_assert_eq(inserts_end(&inserts), FROM + 4);
    cr_assert_eq(inserts_taken(&inserts), FROM + 5);
    inserts_deinit(&inserts);
}

Test(inserts, the_window_turns_over)
{
    struct inserts inserts;
    cr_assert_eq(inserts_init(&inserts, FROM), STATUS_OK);
    for (uint64_t i = 0; i < 2ull * INSERTS_WINDOW + 100; i++) {
        inserts_acknowledge(&inserts, inserts_take(&inserts));
    }
    cr_assert_eq(inserts_end(&inserts), FROM + 2ull * INSERTS_WINDOW + 100);
    inserts_deinit(&inserts);
}

Test(inserts, a_key_that_is_too_far_ahead_is_never_taken_for_one_that_is_there)
{
    struct inserts inserts;
    cr_assert_eq(inserts_init(&inserts, FROM), STATUS_OK);
    for (uint64_t i = 0; i <= INSERTS_WINDOW; i++) {
        (void)inserts_take(&inserts);
    }
    inserts_acknowledge(&inserts, FROM + INSERTS_WINDOW);
    cr_assert_eq(inserts_end(&inserts), FROM);
    inserts_deinit(&inserts);
}

struct taker {
    struct inserts *inserts;
    pthread_barrier_t *start;
    uint64_t keys[KEYS_A_THREAD];
    bool rose;
};

/* Acknowledges some keys late and out of order, as answers come. */
static void *take_many(void *argument)
{
    struct taker *taker = (struct taker *)argument;
    uint64_t end = 0;
    taker->rose = true;
    pthread_barrier_wait(taker->start);
    for (uint32_t i = 0; i < KEYS_A_THREAD; i += 2) {
        taker->keys[i] = inserts_take(taker->inserts);
        taker->keys[i + 1] = inserts_take(taker->inserts);
        inserts_acknowledge(taker->inserts, taker->keys[i + 1]);
        taker->rose = taker->rose && inserts_end(taker->inserts) <= taker->keys[i];
        inserts_acknowledge(taker->inserts, taker->keys[i]);
        taker->rose = taker->rose && inserts_end(taker->inserts) >= end;
        end = inserts_end(taker->inserts);
    }
    return NULL;
}

Test(inserts, threads_never_get_the_same_key_and_all_are_there_in_the_end)
{
    struct inserts inserts;
    pthread_t threads[THREAD_COUNT];
    pthread_barrier_t start;
    struct taker *takers = calloc(THREAD_COUNT, sizeof(struct taker));
    uint8_t *seen = calloc(KEY_COUNT, 1);
    cr_assert(takers != NULL && seen != NULL);
    cr_assert_eq(inserts_init(&inserts, FROM), STATUS_OK);
    cr_assert_eq(pthread_barrier_init(&start, NULL, THREAD_COUNT), 0);
    for (uint32_t i = 0; i < THREAD_COUNT; i++) {
        takers[i].inserts = &inserts;
        takers[i].start = &start;
        cr_assert_eq(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    for (uint32_t i = 0; i < THREAD_COUNT; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(takers[i].rose);
    }
    for (uint32_t i = 0; i < THREAD_COUNT; i++) {
        for (uint32_t key = 0; key < KEYS_A_THREAD; key++) {
            uint64_t index = takers[i].keys[key] - FROM;
            cr_assert(index < KEY_COUNT && seen[index] == 0);
            seen[index] = 1;
        }
    }
    cr_assert_eq(inserts_end(&inserts), FROM + KEY_COUNT);
    pthread_barrier_destroy(&start);
    inserts_deinit(&inserts);
    free(takers);
    free(seen);
}
