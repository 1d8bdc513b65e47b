#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "net/webhook/webhooks_internal.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"

#define NS_PER_MS 1000000ull

/* ---- records ---- */

static void hash_of_change(const struct change *change, uint64_t hash_out[2])
{
    uint8_t key_bytes[COLLECTION_NAME_BYTES_MAX + 1 + ID_BYTES_MAX];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    writer_put(&key, change->collection);
    writer_u8(&key, 0);
    writer_put(&key, change->id);
    ASSERT(!key.failed);
    XXH128_hash_t hash = XXH3_128bits(key_bytes, key.size);
    hash_out[0] = hash.high64;
    hash_out[1] = hash.low64;
}

static struct record **record_bucket(struct runner *runner, const uint64_t hash[2])
{
    uint64_t mixed = hash[1] ^ ((uint64_t)(uintptr_t)runner >> 4) * 0x9E3779B97F4A7C15ull;
    return &runner->webhooks->record_buckets[mixed >> 32 & (RECORD_BUCKETS - 1)];
}

static struct record *record_find(struct runner *runner, const uint64_t hash[2])
{
    for (struct record *record = *record_bucket(runner, hash); record != NULL;
         record = record->chain) {
        if (record->runner == runner && record->hash[0] == hash[0] && record->hash[1] == hash[1]) {
            return record;
        }
    }
    return NULL;
}

static struct record *record_get(struct runner *runner, const uint64_t hash[2])
{
    struct record *record = record_find(runner, hash);
    if (record == NULL) {
        record = calloc(1, sizeof(*record));
        if (record == NULL) {
            return NULL;
        }
        record->runner = runner;
        record->hash[0] = hash[0];
        record->hash[1] = hash[1];
        link_init(&record->items);
        struct record **bucket = record_bucket(runner, hash);
        record->chain = *bucket;
        *bucket = record;
    }
    return record;
}

static void record_free_empty(struct record *record)
{
    if (!list_is_empty(&record->items)) {
        return;
    }
    struct record **at = record_bucket(record->runner, record->hash);
    while (*at != record) {
        ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = record->chain;
    free(record);
}

static struct item *record_first(struct record *record)
{
    struct link *link = list_first(&record->items);
    return link == NULL ? NULL : CONTAINER_OF(link, struct item, link);
}

static struct item *record_last(struct record *record)
{
    return list_is_empty(&record->items) ? NULL
                                         : CONTAINER_OF(record->items.previous, struct item, link);
}

static bool is_later(uint64_t epoch, uint64_t sequence, const struct item *than)
{
    return epoch != than->epoch ? epoch > than->epoch : sequence > than->sequence;
}

/* ---- the heap of what is timed ---- */

static void heap_put(struct webhooks *webhooks, uint32_t index, struct item *item)
{
    webhooks->heap[index] = item;
    item->heap_index = index;
}

static void heap_up(struct webhooks *webhooks, uint32_t index)
{
    struct item *item = webhooks->heap[index];
    while (index > 0 && webhooks->heap[(index - 1) / 2]->due_ns > item->due_ns) {
        heap_put(webhooks, index, webhooks->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_put(webhooks, index, item);
}

static void heap_down(struct webhooks *webhooks, uint32_t index)
{
    struct item *item = webhooks->heap[index];
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= webhooks->heap_count) {
            break;
        }
        if (child + 1 < webhooks->heap_count &&
            webhooks->heap[child + 1]->due_ns < webhooks->heap[child]->due_ns) {
            child++;
        }
        if (webhooks->heap[child]->due_ns >= item->due_ns) {
            break;
        }
        heap_put(webhooks, index, webhooks->heap[child]);
        index = child;
    }
    heap_put(webhooks, index, item);
}

static void heap_remove(struct webhooks *webhooks, struct item *item)
{
    uint32_t index = item->heap_index;
    ASSERT(index < webhooks->heap_count);
    ASSERT(webhooks->heap[index] == item);
    webhooks->heap_count--;
    item->heap_index = HEAP_NONE;
    if (index < webhooks->heap_count) {
        struct item *last = webhooks->heap[webhooks->heap_count];
        heap_put(webhooks, index, last);
        heap_up(webhooks, index);
        heap_down(webhooks, last->heap_index);
    }
}

/* Room for every item there is, so that timing one cannot fail. */
static bool heap_reserve(struct webhooks *webhooks)
{
    if (webhooks->item_count < webhooks->heap_capacity) {
        return true;
    }
    uint32_t capacity = webhooks->heap_capacity == 0 ? 256 : 2 * webhooks->heap_capacity;
    struct item **heap = realloc(webhooks->heap, capacity * sizeof(struct item *));
    if (heap == NULL) {
        return false;
    }
    webhooks->heap = heap;
    webhooks->heap_capacity = capacity;
    return true;
}

static void item_time(struct item *item, uint64_t due_ns)
{
    struct webhooks *webhooks = item->runner->webhooks;
    ASSERT(item->heap_index == HEAP_NONE);
    ASSERT(webhooks->heap_count < webhooks->heap_capacity);
    item->stage = ITEM_TIMED;
    item->due_ns = due_ns;
    webhooks->heap[webhooks->heap_count] = item;
    item->heap_index = webhooks->heap_count;
    heap_up(webhooks, webhooks->heap_count++);
}

/* ---- one item ---- */

static struct item *item_make(struct runner *runner, struct record *record)
{
    if (!heap_reserve(runner->webhooks)) {
        return NULL;
    }
    struct item *item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return NULL;
    }
    item->runner = runner;
    item->record = record;
    item->heap_index = HEAP_NONE;
    link_init(&item->link);
    link_init(&item->link_ready);
    runner->items++;
    runner->webhooks->item_count++;
    return item;
}

void item_change_drop(struct item *item)
{
    struct runner *runner = item->runner;
    if (item->change == NULL) {
        return;
    }
    ASSERT(runner->window_bytes >= item->change_size);
    runner->window_bytes -= item->change_size;
    runner->webhooks->windows_bytes -= item->change_size;
    runner->webhooks->room_made = true;
    free(item->change);
    item->change = NULL;
    item->change_size = 0;
}

static void item_free(struct item *item)
{
    struct runner *runner = item->runner;
    ASSERT(runner->items > 0);
    ASSERT(!item->is_marked || runner->is_removing || runner->webhooks->draining);
    item_change_drop(item);
    item_unready(item);
    if (item->heap_index != HEAP_NONE) {
        heap_remove(runner->webhooks, item);
    }
    if (item->is_parked) {
        runner->counts.parked--;
    }
    link_remove(&item->link);
    record_free_empty(item->record);
    free(item->failure);
    runner->items--;
    runner->webhooks->item_count--;
    runner->webhooks->room_made = true;
    runner_touch(runner);
    free(item);
}

static void item_settle(struct item *item)
{
    if (item->is_marked) {
        item->is_marked = false;
        window_settle(item->runner, item->mark);
    }
}

void item_unready(struct item *item)
{
    if (link_is_linked(&item->link_ready)) {
        link_remove(&item->link_ready);
    }
}

void item_place(struct item *item)
{
    struct runner *runner = item->runner;
    struct webhooks *webhooks = runner->webhooks;
    ASSERT(item->write == ITEM_WRITE_NONE);
    ASSERT(item->heap_index == HEAP_NONE);
    item_unready(item);
    if (record_first(item->record) != item) {
        item->stage = ITEM_IDLE;
        return;
    }
    if (item->due_ns > webhooks->now_ns) {
        item_time(item, item->due_ns);
        return;
    }
    item->stage = ITEM_READY;
    list_push_back(&runner->ready, &item->link_ready);
    if (!link_is_linked(&runner->link_active)) {
        list_push_back(&webhooks->active, &runner->link_active);
    }
}

/* It is dealt with; the next of its record goes on. */
static void item_remove(struct item *item)
{
    struct record *record = item->record;
    ASSERT(record_first(record) == item);
    ASSERT(!item->is_marked);
    struct item *next =
        item->link.next == &record->items ? NULL : CONTAINER_OF(item->link.next, struct item, link);
    item_free(item);
    if (next != NULL && next->stage == ITEM_IDLE) {
        item_place(next);
    }
}

/* ---- its record ---- */

void item_id_write(const struct item *item, struct writer *out)
{
    char hash[33];
    snprintf(hash, sizeof(hash), "%016" PRIx64 "%016" PRIx64, item->record->hash[0],
             item->record->hash[1]);
    webhooks_prefix_write(runner_name(item->runner), out);
    webhooks_prefix_write(bytes_of(hash, 32), out);
    writer_put(out, bytes_of(item->event_id, item->event_id_size));
}

/* Whatever a target sends, as UTF-8. */
static void text_write(struct writer *out, struct bytes text)
{
    uint8_t clean[WEBHOOK_ANSWER_BYTES_MAX];
    size_t size = text.size < sizeof(clean) ? text.size : sizeof(clean);
    for (size_t at = 0; at < size;) {
        size_t valid = utf8_sequence_size(text.data + at, size - at);
        if (valid == 0) {
            clean[at++] = '?';
        } else {
            memcpy(clean + at, text.data + at, valid);
            at += valid;
        }
    }
    document_write_string(out, bytes_of(clean, size));
}

static void number_write(struct writer *out, struct bytes name, uint64_t value)
{
    document_write_string(out, name);
    document_write_u64(out, value);
}

/* The change; one that is too large for a record goes without its old image, and if need be
 * without the new one. */
static void change_put(struct writer *out, struct bytes change)
{
    static const struct bytes images[] = {{(const uint8_t *)"oldImage", 8},
                                          {(const uint8_t *)"newImage", 8}};
    struct bytes kept = change;
    uint8_t *memory = NULL;
    document_write_string(out, BYTES_LITERAL("change"));
    for (size_t index = 0; index < 2 && kept.size > DOCUMENT_BYTES_MAX - PARKED_FIXED_BYTES_MAX;
         index++) {
        uint8_t *smaller = malloc(kept.size);
        struct writer copy = writer_of(smaller, smaller == NULL ? 0 : kept.size);
        if (document_without_member(kept, images[index], &copy) != STATUS_OK) {
            free(smaller);
            break; /* no memory: the writer fails, and it is written later */
        }
        free(memory);
        memory = smaller;
        kept = writer_bytes(&copy);
    }
    document_write_raw(out, kept);
    free(memory);
}

static void item_document_write(const struct item *item, struct writer *out)
{
    const struct webhooks *webhooks = item->runner->webhooks;
    bool is_dead = item->write == ITEM_WRITE_DEAD;
    uint64_t wait_ns = item->due_ns > webhooks->now_ns ? item->due_ns - webhooks->now_ns : 0;
    document_write_map(out, item->failure == NULL ? 8 : 10);
    number_write(out, BYTES_LITERAL("epoch"), item->epoch);
    number_write(out, BYTES_LITERAL("sequence"), item->sequence);
    number_write(out, BYTES_LITERAL("attempts"), item->attempts);
    number_write(out, BYTES_LITERAL("since"), item->since_ms);
    number_write(out, BYTES_LITERAL("tried"), item->tried_ms);
    number_write(out, is_dead ? BYTES_LITERAL("ended") : BYTES_LITERAL("due"),
                 webhooks->wall_ms + wait_ns / NS_PER_MS);
    number_write(out, BYTES_LITERAL("status"), item->http_status);
    if (item->failure != NULL) {
        document_write_string(out, BYTES_LITERAL("reason"));
        text_write(out, bytes_of_text(item->failure->reason));
        document_write_string(out, BYTES_LITERAL("answer"));
        text_write(out, bytes_of(item->failure->answer, item->failure->answer_size));
    }
    change_put(out, bytes_of(item->change, item->change_size));
}

static void item_written(struct write *write);

/* False: no memory, or too large, which it is not. */
static bool item_put(struct item *item, enum collection_internal collection, struct bytes id)
{
    ASSERT(item->change != NULL);
    size_t room = item->change_size + PARKED_FIXED_BYTES_MAX;
    uint8_t *memory = malloc(room);
    if (memory == NULL) {
        return false;
    }
    struct writer document = writer_of(memory, room);
    item_document_write(item, &document);
    bool begun = !document.failed && write_begin(item->runner->webhooks, REQUEST_PUT, collection,
                                                 id, writer_bytes(&document), item_written, item);
    free(memory);
    return begun;
}

/* Begins what item->write says. */
static void item_write(struct item *item)
{
    uint8_t id_bytes[PARKED_ID_BYTES_MAX];
    struct writer id = writer_of(id_bytes, sizeof(id_bytes));
    item_id_write(item, &id);
    ASSERT(!id.failed);
    ASSERT(item->write != ITEM_WRITE_NONE);
    bool begun = false;
    if (item->write == ITEM_WRITE_PARK) {
        begun = item_put(item, COLLECTION_PARKED, writer_bytes(&id));
    } else if (item->write == ITEM_WRITE_DEAD) {
        begun = item_put(item, COLLECTION_DEAD_LETTERS, writer_bytes(&id));
    } else {
        begun = write_begin(item->runner->webhooks, REQUEST_DELETE, COLLECTION_PARKED,
                            writer_bytes(&id), BYTES_EMPTY, item_written, item);
    }
    if (begun) {
        item->stage = ITEM_WRITING;
        item->runner->busy++;
    } else {
        item_time(item, item->runner->webhooks->now_ns + AGAIN_NS);
    }
}

static void item_park(struct item *item)
{
    ASSERT(item->write == ITEM_WRITE_NONE);
    item->write = ITEM_WRITE_PARK;
    item_write(item);
}

/*
 * Who waits behind a parked one gets a record of his own, so that the position can pass him; but
 * only when all before him have theirs: at a start, what is older than a parked change of the same
 * record and is not parked counts as dealt with.
 */
static void follower_park(struct item *item)
{
    const struct record *record = item->record;
    for (struct link *link = item->link.next; link != &record->items; link = link->next) {
        struct item *follower = CONTAINER_OF(link, struct item, link);
        if (follower->is_parked) {
            continue;
        }
        if (follower->stage == ITEM_IDLE && follower->write == ITEM_WRITE_NONE) {
            item_park(follower);
        }
        return;
    }
}

static void item_parked(struct item *item)
{
    if (!item->is_parked) {
        item->is_parked = true;
        item->runner->counts.parked++;
    }
    free(item->failure);
    item->failure = NULL;
    item_change_drop(item);
    item_settle(item);
    item->write = ITEM_WRITE_NONE;
    item_place(item);
    if (!item->runner->webhooks->draining) {
        follower_park(item);
    }
}

/* A dead letter, or delivered: its parked record goes before the next of its record is tried, so
 * that after a crash no older change can follow a newer one. */
static void item_end(struct item *item)
{
    item_change_drop(item);
    item_settle(item);
    item->write = ITEM_WRITE_NONE;
    if (item->is_parked) {
        item->write = ITEM_WRITE_REMOVE;
        item_write(item);
    } else {
        item_remove(item);
    }
}

static void item_written(struct write *write)
{
    struct item *item = write->context;
    struct runner *runner = item->runner;
    enum status status = write->request.status;
    ASSERT(item->stage == ITEM_WRITING);
    ASSERT(runner->busy > 0);
    runner->busy--;
    runner_touch(runner);
    if (runner->is_removing) {
        item->stage = ITEM_IDLE;
        item->write = ITEM_WRITE_NONE;
        return;
    }
    bool gone = item->write == ITEM_WRITE_REMOVE && status == STATUS_NOT_FOUND;
    if (status != STATUS_OK && !gone) {
        if (runner->webhooks->draining) {
            item->stage = ITEM_IDLE; /* as it was before; its position does not pass it */
            return;
        }
        item_time(item, runner->webhooks->now_ns + AGAIN_NS);
        return;
    }
    switch (item->write) {
    case ITEM_WRITE_PARK:
        item_parked(item);
        return;
    case ITEM_WRITE_DEAD:
        runner->counts.failed++;
        runner->counts.dead_letters += write->request.created ? 1 : 0;
        item_end(item);
        return;
    case ITEM_WRITE_REMOVE:
        item_remove(item);
        return;
    case ITEM_WRITE_NONE:
        break;
    }
    UNREACHABLE();
}

/* ---- what becomes of it ---- */

void item_fail(struct item *item, const char *reason, struct bytes answer)
{
    if (item->failure == NULL) {
        item->failure = malloc(sizeof(*item->failure));
    }
    struct failure *failure = item->failure;
    if (failure == NULL) {
        return; /* then it is written without words */
    }
    snprintf(failure->reason, sizeof(failure->reason), "%s", reason);
    failure->answer_size =
        answer.size < sizeof(failure->answer) ? answer.size : sizeof(failure->answer);
    memcpy(failure->answer, answer.data == NULL ? (const uint8_t *)"" : answer.data,
           failure->answer_size);
}

void item_delivered(struct item *item)
{
    ASSERT(record_first(item->record) == item);
    item->runner->counts.delivered++;
    item_end(item);
}

void item_give_up(struct item *item)
{
    ASSERT(item->write == ITEM_WRITE_NONE);
    item->due_ns = 0;
    item->write = ITEM_WRITE_DEAD;
    item_write(item);
}

void item_retry(struct item *item, uint64_t delay_ns)
{
    const struct webhooks *webhooks = item->runner->webhooks;
    const struct rule *rule = item->runner->rule;
    ASSERT(rule != NULL);
    uint64_t age_ms = webhooks->wall_ms > item->since_ms ? webhooks->wall_ms - item->since_ms : 0;
    uint64_t age_ms_max = rule->age_ns_max / NS_PER_MS;
    if (item->attempts >= rule->attempts_max || age_ms >= age_ms_max) {
        item_give_up(item);
        return;
    }
    /* The last attempt is made when its time is over, not before. */
    uint64_t left_ns = (age_ms_max - age_ms) * NS_PER_MS;
    item->due_ns = webhooks->now_ns + (delay_ns < left_ns ? delay_ns : left_ns);
    item_park(item); /* and then those behind it */
}

void item_shelve(struct item *item, uint64_t delay_ns)
{
    if (item->is_parked) {
        item_change_drop(item);
    }
    item->due_ns = delay_ns == 0 ? 0 : item->runner->webhooks->now_ns + delay_ns;
    item_place(item);
}

/* ---- they come ---- */

static void item_insert(struct record *record, struct item *item)
{
    struct link *behind = record->items.previous;
    while (behind != &record->items) {
        struct item *before = CONTAINER_OF(behind, struct item, link);
        bool may_pass = before->stage == ITEM_IDLE || before->stage == ITEM_READY ||
                        (before->stage == ITEM_TIMED && before->write == ITEM_WRITE_NONE);
        if (is_later(item->epoch, item->sequence, before) ||
            (!may_pass && before == record_first(record))) {
            break;
        }
        behind = behind->previous;
    }
    list_push_front(behind, &item->link);
    if (item->link.next != &record->items && behind == &record->items) {
        struct item *second = CONTAINER_OF(item->link.next, struct item, link);
        if (second->heap_index != HEAP_NONE) {
            heap_remove(second->runner->webhooks, second);
        }
        if (second->write == ITEM_WRITE_NONE && second->stage != ITEM_WRITING) {
            item_place(second);
        }
    }
}

static bool item_fill(struct item *item, const struct delivery *delivery, struct bytes change)
{
    const struct change *head = delivery->change;
    struct runner *runner = item->runner;
    uint8_t buffer[CHANGE_ID_BYTES_MAX];
    struct bytes event_id = change_id(head, buffer);
    item->epoch = head->epoch;
    item->sequence = head->sequence;
    item->event_id_size = (uint8_t)event_id.size;
    memcpy(item->event_id, event_id.data, event_id.size);
    item->change = malloc(change.size);
    if (item->change == NULL ||
        !window_add(runner, head->epoch, head->sequence, head->time_ms, &item->mark)) {
        free(item->change);
        item->change = NULL;
        return false;
    }
    memcpy(item->change, change.data, change.size);
    item->change_size = change.size;
    item->is_marked = true;
    runner->window_bytes += change.size;
    runner->webhooks->windows_bytes += change.size;
    return true;
}

bool item_deliver(struct runner *runner, const struct delivery *delivery)
{
    const struct change *head = delivery->change;
    uint64_t hash[2];
    hash_of_change(head, hash);
    struct record *record = record_find(runner, hash);
    if (record != NULL && !is_later(head->epoch, head->sequence, record_last(record))) {
        /* After a restart: it is among these, or was dealt with before one of them was parked. */
        return true;
    }
    struct bytes change = delivery_msgpack(delivery);
    if (change.size == 0 || !runner_has_room(runner, change.size)) {
        return false;
    }
    record = record_get(runner, hash);
    if (record == NULL) {
        return false;
    }
    struct item *item = item_make(runner, record);
    if (item == NULL || !item_fill(item, delivery, change)) {
        if (item != NULL) {
            item_free(item);
        } else {
            record_free_empty(record);
        }
        return false;
    }
    const struct item *first = record_first(record);
    bool waits_parked = first != NULL && first->is_parked && record_last(record)->is_parked;
    list_push_back(&record->items, &item->link);
    runner->counts.matched++;
    runner_touch(runner);
    if (waits_parked) {
        item_park(item);
    } else {
        item_place(item);
    }
    return true;
}

static uint64_t number_read(struct bytes document, struct bytes name)
{
    struct bytes value;
    uint64_t number = 0;
    if (!document_find(document, name, &value) || !document_u64(value, &number)) {
        return 0;
    }
    return number;
}

bool item_load(struct runner *runner, struct bytes id, struct bytes document, bool is_due)
{
    struct webhooks *webhooks = runner->webhooks;
    struct bytes rule;
    struct bytes event;
    uint64_t hash[2];
    if (!parked_id_read(id, &rule, hash, &event)) {
        return true; /* none of ours */
    }
    struct record *record = record_get(runner, hash);
    struct item *item = record == NULL ? NULL : item_make(runner, record);
    if (item == NULL) {
        if (record != NULL) {
            record_free_empty(record);
        }
        return false;
    }
    item->epoch = number_read(document, BYTES_LITERAL("epoch"));
    item->sequence = number_read(document, BYTES_LITERAL("sequence"));
    item->event_id_size = (uint8_t)event.size;
    memcpy(item->event_id, event.data, event.size);
    item->is_parked = true;
    runner->counts.parked++;
    if (!is_due) {
        item->attempts = (uint32_t)number_read(document, BYTES_LITERAL("attempts"));
        item->since_ms = number_read(document, BYTES_LITERAL("since"));
        item->tried_ms = number_read(document, BYTES_LITERAL("tried"));
        item->http_status = (uint32_t)number_read(document, BYTES_LITERAL("status"));
        uint64_t due_ms = number_read(document, BYTES_LITERAL("due"));
        uint64_t wait_ms = due_ms > webhooks->wall_ms ? due_ms - webhooks->wall_ms : 0;
        item->due_ns = wait_ms == 0 ? 0 : webhooks->now_ns + wait_ms * NS_PER_MS;
    }
    item_insert(record, item);
    item_place(item);
    runner_touch(runner);
    return true;
}

struct item *item_find(struct runner *runner, struct bytes id)
{
    struct bytes rule;
    struct bytes event;
    uint64_t hash[2];
    if (!parked_id_read(id, &rule, hash, &event)) {
        return NULL;
    }
    struct record *record = record_find(runner, hash);
    if (record == NULL) {
        return NULL;
    }
    for (struct link *link = record->items.next; link != &record->items; link = link->next) {
        struct item *item = CONTAINER_OF(link, struct item, link);
        if (bytes_equal(bytes_of(item->event_id, item->event_id_size), event)) {
            return item;
        }
    }
    return NULL;
}

/* ---- time, and the end ---- */

uint64_t items_due(struct webhooks *webhooks)
{
    while (webhooks->heap_count > 0 && webhooks->heap[0]->due_ns <= webhooks->now_ns) {
        struct item *item = webhooks->heap[0];
        heap_remove(webhooks, item);
        if (item->write != ITEM_WRITE_NONE) {
            item_write(item);
        } else {
            item_place(item);
        }
    }
    return webhooks->heap_count == 0 ? UINT64_MAX : webhooks->heap[0]->due_ns;
}

void items_hurry(struct runner *runner, bool only_unanswered)
{
    struct webhooks *webhooks = runner->webhooks;
    struct link due;
    uint32_t kept = 0;
    link_init(&due);
    for (uint32_t index = 0; index < webhooks->heap_count; index++) {
        struct item *item = webhooks->heap[index];
        if (item->runner == runner && item->write == ITEM_WRITE_NONE &&
            (!only_unanswered || item->http_status == 0)) {
            item->heap_index = HEAP_NONE;
            list_push_back(&due, &item->link_ready);
        } else {
            heap_put(webhooks, kept++, item);
        }
    }
    webhooks->heap_count = kept;
    for (uint32_t index = kept / 2; index-- > 0;) {
        heap_down(webhooks, index);
    }
    while (!list_is_empty(&due)) {
        struct item *item = CONTAINER_OF(list_pop_front(&due), struct item, link_ready);
        item->due_ns = 0;
        item_place(item);
    }
}

void items_free(struct runner *runner)
{
    struct webhooks *webhooks = runner->webhooks;
    ASSERT(runner->busy == 0 || webhooks->draining);
    for (uint32_t bucket = 0; bucket < RECORD_BUCKETS && runner->items > 0; bucket++) {
        struct record *record = webhooks->record_buckets[bucket];
        while (record != NULL) {
            struct record *next = record->chain;
            if (record->runner == runner) {
                while (!list_is_empty(&record->items)) {
                    bool is_last = record->items.next == record->items.previous;
                    item_free(record_first(record));
                    if (is_last) {
                        break; /* the record went with it */
                    }
                }
            }
            record = next;
        }
    }
    ASSERT(runner->items == 0);
}
