/* Changes and named consumers, for those who wait. */
#include <stdlib.h>

#include "bindings/c/client_internal.h"
#include "freshet.pb-c.h"

#define NS_PER_MS ((uint64_t)1000 * 1000)

/* ---- subscriptions ---- */

/* One turn, and a wait before it if nothing is there; false when the deadline has passed. */
static bool turn_until(struct freshet *db, uint64_t deadline_ns, bool waits)
{
    if (waits) {
        async_wait(db->async, deadline_ns);
    }
    uint64_t now_ns = transport_now_ns();
    enum freshet_status status = async_turn(db->async, now_ns);
    (void)status; /* the subscription says what became of it */
    return now_ns < deadline_ns;
}

enum freshet_status freshet_subscribe(struct freshet *db,
                                      const struct freshet_subscribe_options *options,
                                      struct freshet_subscription **out)
{
    struct freshet_subscription *subscription;
    struct freshet_change ignored;
    *out = NULL;
    if (!client_is_usable(db)) {
        return db->error.error.status;
    }
    uint64_t now_ns = transport_now_ns();
    enum freshet_status status = core_subscribe(client_core(db), options, now_ns, &subscription);
    if (status != FRESHET_OK) {
        return client_tell(db, status);
    }
    core_subscription_set_owner(subscription, db);
    client_flush(db);
    bool is_in_time = true;
    for (bool waits = false; is_in_time && !core_subscription_is_settled(subscription);
         waits = true) {
        is_in_time = turn_until(db, now_ns + db->timeout_ns, waits);
    }
    if (!core_subscription_is_settled(subscription)) {
        bool is_up = db->async->state == ASYNC_UP;
        status = client_fail(db, is_up ? FRESHET_TIMEOUT : FRESHET_DISCONNECTED, NULL);
    } else if (core_subscription_has_ended(subscription)) {
        status = client_tell(db, core_next(subscription, now_ns, &ignored));
    }
    if (status != FRESHET_OK) {
        core_unsubscribe(subscription);
        client_flush(db);
        return status;
    }
    *out = subscription;
    return FRESHET_OK;
}

enum freshet_status freshet_next(struct freshet_subscription *subscription, int timeout_ms,
                                 struct freshet_change *out)
{
    struct freshet *db = core_subscription_owner(subscription);
    if (db == NULL) {
        return FRESHET_DISCONNECTED; /* its handle is closed */
    }
    uint64_t now_ns = transport_now_ns();
    uint64_t deadline_ns = timeout_ms < 0 ? CORE_NEVER : now_ns + (uint64_t)timeout_ms * NS_PER_MS;
    enum freshet_status status = core_next(subscription, now_ns, out);
    bool is_in_time = true;
    for (bool waits = false; status == FRESHET_AGAIN && is_in_time; waits = true) {
        client_flush(db);
        is_in_time = turn_until(db, deadline_ns, waits);
        status = core_next(subscription, transport_now_ns(), out);
    }
    if (core_output(client_core(db)).size > 0) {
        client_flush(db); /* credit */
    }
    return client_tell(db, status);
}

const char *freshet_position(const struct freshet_subscription *subscription)
{
    return core_subscription_position(subscription);
}

enum freshet_status freshet_acknowledge(struct freshet_subscription *subscription)
{
    struct freshet *db = core_subscription_owner(subscription);
    const char *consumer = core_subscription_consumer(subscription);
    if (db == NULL) {
        return FRESHET_DISCONNECTED;
    }
    if (consumer == NULL) {
        return client_fail(db, FRESHET_INVALID, "only a named consumer acknowledges");
    }
    struct client_call call = {.db = db};
    return client_await(&call, core_acknowledge(client_core(db), consumer,
                                                core_subscription_member(subscription),
                                                core_subscription_position(subscription),
                                                transport_now_ns(), client_done(&call)));
}

void freshet_unsubscribe(struct freshet_subscription *subscription)
{
    if (subscription == NULL) {
        return;
    }
    struct freshet *db = core_subscription_owner(subscription);
    core_unsubscribe(subscription);
    if (db != NULL) {
        client_flush(db);
    }
}

/* ---- consumers ---- */

static void show_consumer(const Freshet__ConsumerInfo *info, struct freshet_consumer *out)
{
    *out = (struct freshet_consumer){.name = info->name,
                                     .collection = info->collection,
                                     .pattern = info->pattern,
                                     .position = info->position,
                                     .group = info->group,
                                     .members = info->members,
                                     .lag_events = info->lag_events,
                                     .lag_bytes = info->lag_bytes,
                                     .lag_seconds = info->lag_seconds};
}

/* At least `least` consumers are needed; those over count are not asked for. */
static enum freshet_status ask(struct freshet *db, const struct core_consumer *consumer,
                               size_t least, struct freshet_consumer *out, size_t count,
                               size_t *count_out)
{
    *count_out = 0;
    if (!client_is_usable(db)) {
        return db->error.error.status;
    }
    struct client_call call = {.db = db};
    enum freshet_status status = client_await(
        &call, core_consumer(client_core(db), consumer, transport_now_ns(), client_done(&call)));
    if (status != FRESHET_OK) {
        return status;
    }
    control_free(db->consumers);
    Freshet__Consumers *message =
        control_unpack(&freshet__consumers__descriptor, buffer_bytes(&db->body));
    db->consumers = message;
    if (message == NULL || message->n_consumers < least || message->n_consumers > count) {
        return client_fail(db, FRESHET_PROTOCOL, "an answer to CONSUMER that cannot be read");
    }
    for (size_t index = 0; index < message->n_consumers; index++) {
        show_consumer(message->consumers[index], &out[index]);
    }
    *count_out = message->n_consumers;
    return FRESHET_OK;
}

enum freshet_status freshet_consumer_put(struct freshet *db, const char *name,
                                         const struct freshet_consumer_options *options,
                                         struct freshet_consumer *out)
{
    struct core_consumer consumer = {CORE_CONSUMER_PUT, name, 0, options};
    struct freshet_consumer one = {0};
    size_t count;
    enum freshet_status status = ask(db, &consumer, 1, &one, 1, &count);
    if (out != NULL) {
        *out = one;
    }
    return status;
}

enum freshet_status freshet_consumer_get(struct freshet *db, const char *name,
                                         struct freshet_consumer *out)
{
    struct core_consumer consumer = {CORE_CONSUMER_GET, name, 0, NULL};
    size_t count;
    return ask(db, &consumer, 1, out, 1, &count);
}

enum freshet_status freshet_consumer_delete(struct freshet *db, const char *name)
{
    struct core_consumer consumer = {CORE_CONSUMER_DELETE, name, 0, NULL};
    struct freshet_consumer one;
    size_t count;
    return ask(db, &consumer, 0, &one, 1, &count);
}

enum freshet_status freshet_consumer_list(struct freshet *db, const char *after,
                                          struct freshet_consumer *out, size_t count,
                                          size_t *count_out)
{
    unsigned limit = count > LIST_RECORDS_MAX ? LIST_RECORDS_MAX : (unsigned)count;
    struct core_consumer consumer = {CORE_CONSUMER_LIST, after, limit, NULL};
    *count_out = 0;
    return count == 0 ? FRESHET_OK : ask(db, &consumer, 0, out, limit, count_out);
}
