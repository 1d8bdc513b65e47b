/*
 * One thread, one loop: asks for a few records at a time and prints changes as they come.
 *
 *     cc loop.c -o loop $(pkg-config --cflags --libs freshet)
 *     ./loop freshet://127.0.0.1:7400 products
 *
 * poll(2) stands for any loop: what it needs is a descriptor, events, and a time (freshet_async.h).
 */
#include <freshet_async.h>
#include <poll.h>
#include <stdio.h>

#define RECORDS 3

struct state {
    unsigned answers;
};

static void on_record(void *context, const struct freshet_result *result)
{
    struct state *state = context;
    state->answers++;
    if (result->status == FRESHET_OK) {
        printf("record %.*s\n", (int)result->record.size, result->record.data);
    } else {
        printf("%s\n", result->error->detail);
    }
}

/* Prints what has come; false when the subscription has ended. */
static bool print_changes(struct freshet_async *db, struct freshet_subscription *subscription)
{
    struct freshet_change change;
    enum freshet_status status = freshet_async_next(subscription, &change);
    while (status == FRESHET_OK) {
        printf("change %.*s\n", (int)change.data_size, change.data);
        status = freshet_async_next(subscription, &change);
    }
    if (status != FRESHET_AGAIN) {
        fprintf(stderr, "%s\n", freshet_async_error(db)->detail);
    }
    return status == FRESHET_AGAIN;
}

int main(int argc, char **argv)
{
    static const char *const IDS[RECORDS] = {"1", "2", "3"};
    const char *url = argc > 1 ? argv[1] : "freshet://127.0.0.1:7400";
    const char *collection = argc > 2 ? argv[2] : "products";
    struct freshet_subscribe_options options = {.collection = collection};
    struct freshet_subscription *subscription;
    struct freshet_async *db;
    struct state state = {0};

    setvbuf(stdout, NULL, _IOLBF, 0); /* each line at once, also into a pipe */
    if (freshet_async_connect(url, NULL, &db) != FRESHET_OK ||
        freshet_async_subscribe(db, &options, &subscription) != FRESHET_OK) {
        fprintf(stderr, "%s\n", freshet_async_error(db)->detail);
        freshet_async_close(db);
        return 1;
    }
    for (unsigned record = 0; record < RECORDS; record++) {
        /* All are under way at once; each is told when its answer has come. */
        if (freshet_async_get(db, collection, IDS[record], on_record, &state) != FRESHET_OK) {
            fprintf(stderr, "%s\n", freshet_async_error(db)->detail);
        }
    }
    while (freshet_async_process(db) == FRESHET_OK && print_changes(db, subscription)) {
        struct pollfd waiting = {freshet_async_fd(db), freshet_async_events(db), 0};
        poll(&waiting, 1, freshet_async_timeout_ms(db));
    }
    freshet_unsubscribe(subscription);
    freshet_async_close(db);
    return 1;
}
