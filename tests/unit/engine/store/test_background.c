#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/store/background.h"

Test(background, a_turn_is_over_once_in_so_many_bytes)
{
    struct background_work work = {0};
    uint32_t over = 0;
    const uint64_t row_bytes = 1000;
    const uint64_t rows = 10 * BACKGROUND_TURN_BYTES / row_bytes;
    for (uint64_t i = 0; i < rows; i++) {
        over += background_turn_over(&work, row_bytes);
    }
    cr_assert_eq(over, 9, "%u", over);
    cr_assert(background_turn_over(&work, row_bytes), "the tenth");
    cr_assert_not(background_turn_over(&work, 0));
    cr_assert(background_turn_over(&work, BACKGROUND_TURN_BYTES), "a row may be more than a turn");
    cr_assert(background_turn_over(&work, 5 * BACKGROUND_TURN_BYTES), "of which it ends one");
    cr_assert_not(background_turn_over(&work, row_bytes));
}

struct named_thread {
    const char *name;
    sem_t ready;
    sem_t end;
    int nice_value;
};

static void *named_run(void *argument)
{
    struct named_thread *thread = argument;
    (void)pthread_setname_np(pthread_self(), thread->name);
    sem_post(&thread->ready);
    sem_wait(&thread->end);
    thread->nice_value = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    return NULL;
}

Test(background, threads_of_rocksdb_become_nice_and_no_others)
{
    struct named_thread threads[] = {{.name = "rocksdb:low"}, {.name = "store-0"}};
    pthread_t ids[2];
    int before = getpriority(PRIO_PROCESS, 0);
    for (int i = 0; i < 2; i++) {
        sem_init(&threads[i].ready, 0, 0);
        sem_init(&threads[i].end, 0, 0);
        cr_assert_eq(pthread_create(&ids[i], NULL, named_run, &threads[i]), 0);
        sem_wait(&threads[i].ready);
    }
    background_be_nice();
    for (int i = 0; i < 2; i++) {
        sem_post(&threads[i].end);
        pthread_join(ids[i], NULL);
    }
    cr_assert_eq(threads[0].nice_value, BACKGROUND_NICE);
    cr_assert_eq(threads[1].nice_value, before);
    cr_assert_eq(getpriority(PRIO_PROCESS, 0), before);
}
