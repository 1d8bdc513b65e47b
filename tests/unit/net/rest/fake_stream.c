#include "fake_stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

struct fake_stream fake_stream;

void fake_stream_init(void)
{
    fake.options.stream = (struct stream *)(void *)&fake_stream; /* never looked into */
    fake_stream.room = SIZE_MAX;
    fake_stream.oldest = 50;
    fake_stream.newest = 100;
    fake_stream.stands = 100;
}

void fake_stream_start(void)
{
    fake_init();
    fake_stream_init();
    fake_start();
}

void fake_stream_end(void)
{
    if (fake_stream.begun) {
        fake_stream.events->closed(fake_stream.context, fake.exchange);
        fake_stream.begun = false;
        fake_exchange_end();
        fake_memory_end();
    }
    fake_end();
}

void fake_get(const char *format, const char *value)
{
    char head[8192];
    int size = snprintf(head, sizeof(head), format, value);
    ASSERT(size > 0 && (size_t)size < sizeof(head));
    fake_send(head, NULL);
}

/* ---- net/http ---- */

static void sent_add(struct bytes bytes)
{
    ASSERT(fake.sent_size + bytes.size < sizeof(fake.sent));
    if (bytes.size > 0) {
        memcpy(fake.sent + fake.sent_size, bytes.data, bytes.size);
    }
    fake.sent_size += bytes.size;
    fake.sent[fake.sent_size] = 0;
}

bool http_stream_begin(struct http_exchange *exchange, struct bytes head, uint16_t status,
                       const struct http_stream_events *events, void *context)
{
    ASSERT(exchange == fake.exchange && !fake_stream.begun);
    if (fake_stream.no_begin) {
        return false;
    }
    fake_stream.begun = true;
    fake_stream.events = events;
    fake_stream.context = context;
    exchange->status = status;
    fake.sent_size = 0;
    sent_add(head);
    return true;
}

bool http_stream_write_pieces(struct http_exchange *exchange, const struct bytes *pieces,
                              size_t count)
{
    ASSERT(exchange == fake.exchange && fake_stream.begun);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
    }
    if (exchange->request.method == HTTP_HEAD) {
        return true;
    }
    if (size > fake_stream.room) {
        return false;
    }
    fake_stream.room -= fake_stream.room == SIZE_MAX ? 0 : size;
    fake_stream.writes++;
    for (size_t i = 0; i < count; i++) {
        sent_add(pieces[i]);
    }
    return true;
}

bool http_stream_write(struct http_exchange *exchange, struct bytes bytes)
{
    return http_stream_write_pieces(exchange, &bytes, 1);
}

void http_stream_end(struct http_exchange *exchange)
{
    ASSERT(exchange == fake.exchange && fake_stream.begun);
    ASSERT(fake_stream.subscription == NULL);
    fake_stream.begun = false;
    fake_exchange_end();
    fake_memory_end();
}

void fake_writable(size_t room)
{
    ASSERT(fake_stream.begun);
    fake_stream.room = room;
    fake_stream.events->writable(fake_stream.context, fake.exchange);
}

/* ---- engine/stream ---- */

static struct position position_at(uint64_t sequence)
{
    return (struct position){.store_id = {{1, 2, 3}}, .epoch = 3, .sequence = sequence};
}

void stream_positions(const struct stream *stream, struct position *oldest_out,
                      struct position *newest_out)
{
    ASSERT(stream == fake.options.stream);
    *oldest_out = position_at(fake_stream.oldest);
    *newest_out = position_at(fake_stream.newest);
}

enum status stream_subscribe(struct stream *stream, const struct subscription_options *options,
                             struct subscription *subscription_out)
{
    ASSERT(stream == fake.options.stream && fake_stream.subscription == NULL);
    ASSERT(options->deliver != NULL && options->ended != NULL);
    fake_stream.subscribes++;
    fake_stream.options = *options;
    if (fake_stream.subscribe_status != STATUS_OK) {
        return fake_stream.subscribe_status;
    }
    memset(subscription_out, 0, sizeof(*subscription_out));
    subscription_out->options = *options;
    subscription_out->state = SUBSCRIPTION_STARTING;
    subscription_out->needs_time = fake_stream.is_time_unknown;
    fake_stream.subscription = subscription_out;
    return STATUS_OK;
}

static void subscription_gone(struct subscription *subscription)
{
    ASSERT(subscription == fake_stream.subscription);
    pattern_destroy(&subscription->options.pattern);
    subscription->state = SUBSCRIPTION_CLOSED;
    fake_stream.subscription = NULL;
}

void subscription_resume(struct subscription *subscription)
{
    ASSERT(subscription == fake_stream.subscription);
    fake_stream.resumes++;
}

void subscription_close(struct subscription *subscription)
{
    subscription_gone(subscription);
    fake_stream.closes++;
}

void subscription_token(const struct subscription *subscription, struct token *out)
{
    ASSERT(subscription == fake_stream.subscription);
    memset(out, 0, sizeof(*out));
    out->position = position_at(fake_stream.stands);
    out->in_snapshot = fake_stream.in_snapshot;
}

struct bytes delivery_json(const struct delivery *delivery)
{
    ASSERT(delivery->change != NULL);
    return fake_stream.json == NULL ? BYTES_EMPTY : bytes_of_text(fake_stream.json);
}

static bool offer(enum delivery_kind kind, const struct change *change, uint64_t sequence)
{
    struct subscription *subscription = fake_stream.subscription;
    ASSERT(subscription != NULL);
    subscription->state = SUBSCRIPTION_LIVE;
    struct delivery delivery = {
        .kind = kind,
        .change = change,
        .token = {.position = position_at(sequence), .in_snapshot = fake_stream.in_snapshot},
        .stream = fake.options.stream,
        .subscription = subscription,
    };
    bool taken = subscription->options.deliver(subscription, &delivery);
    if (taken) {
        fake_stream.stands = sequence;
    }
    return taken;
}

bool fake_deliver_change(enum change_kind kind, uint64_t sequence, const char *json)
{
    const struct change change = {.kind = kind, .sequence = sequence};
    fake_stream.json = json;
    return offer(DELIVERY_CHANGE, &change, sequence);
}

bool fake_deliver_row(uint64_t sequence, const char *json)
{
    const struct change change = {.kind = CHANGE_INSERT, .sequence = sequence};
    fake_stream.json = json;
    return offer(DELIVERY_SNAPSHOT, &change, sequence);
}

bool fake_deliver_other(enum delivery_kind kind, uint64_t sequence)
{
    return offer(kind, NULL, sequence);
}

void fake_ended(enum status status)
{
    struct subscription *subscription = fake_stream.subscription;
    ASSERT(subscription != NULL);
    void (*ended)(struct subscription *, enum status) = subscription->options.ended;
    subscription_gone(subscription);
    ended(subscription, status);
}

/* ---- the loop ---- */

void fake_step(uint64_t ns)
{
    static uint64_t now_ns = FAKE_NOW_NS;
    now_ns += ns;
    if (fake_stream.subscription != NULL && !fake_stream.is_time_unknown &&
        fake_stream.subscription->state == SUBSCRIPTION_STARTING) {
        fake_stream.subscription->state = SUBSCRIPTION_LIVE;
    }
    rest_turn(fake.rest, now_ns, FAKE_WALL_MS + (now_ns - FAKE_NOW_NS) / 1000000);
    rest_dispatched(fake.rest);
    (void)rest_step(fake.rest);
}

const char *fake_position(uint64_t sequence)
{
    static char texts[8][POSITION_TEXT_BYTES + 1];
    static uint32_t next;
    char *text = texts[next++ % 8];
    const struct position position = position_at(sequence);
    struct writer out = writer_of(text, POSITION_TEXT_BYTES);
    position_write(&position, &out);
    ASSERT(!out.failed);
    text[out.size] = 0;
    return text;
}
