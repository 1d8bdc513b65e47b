#include <stdlib.h>

#include "engine/shard/principal.h"
#include "net/webhook/webhooks_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define SEPARATOR 0x01

static const struct principal server_principal = {
    .name = {(const uint8_t *)"freshet", 7},
    .rights = PRINCIPAL_READ | PRINCIPAL_WRITE,
};

/* ---- what the records are ---- */

void webhooks_record_write(struct bytes rule, uint64_t wall_ms, struct writer *document_out)
{
    document_write_map(document_out, 2);
    document_write_string(document_out, BYTES_LITERAL("rule"));
    document_write_raw(document_out, rule);
    document_write_string(document_out, BYTES_LITERAL("put"));
    document_write_u64(document_out, wall_ms);
}

bool webhooks_record_rule(struct bytes record, struct bytes *rule_out)
{
    return document_find(record, BYTES_LITERAL("rule"), rule_out) && document_is_object(*rule_out);
}

void webhooks_prefix_write(struct bytes rule, struct writer *out)
{
    writer_put(out, rule);
    writer_u8(out, SEPARATOR);
}

static bool hexadecimal_read(struct bytes text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t at = 0; at < text.size; at++) {
        uint8_t digit = text.data[at];
        if (digit >= '0' && digit <= '9') {
            value = value << 4 | (uint64_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            value = value << 4 | (uint64_t)(digit - 'a' + 10);
        } else {
            return false;
        }
    }
    *out = value;
    return true;
}

bool parked_id_read(struct bytes id, struct bytes *rule_out, uint64_t hash_out[2],
                    struct bytes *event_out)
{
    const uint8_t *end = id.size == 0 ? NULL : memchr(id.data, SEPARATOR, id.size);
    if (end == NULL) {
        return false;
    }
    *rule_out = bytes_of(id.data, (size_t)(end - id.data));
    struct bytes rest = bytes_slice(id, rule_out->size + 1, id.size);
    if (rest.size < 34 || rest.data[32] != SEPARATOR) {
        return false;
    }
    *event_out = bytes_slice(rest, 33, rest.size);
    return rule_name_valid(*rule_out) && event_out->size <= CHANGE_ID_BYTES_MAX &&
           hexadecimal_read(bytes_slice(rest, 0, 16), &hash_out[0]) &&
           hexadecimal_read(bytes_slice(rest, 16, 16), &hash_out[1]);
}

/* ---- writes ---- */

static void write_done(struct request *request)
{
    struct write *write = CONTAINER_OF(request, struct write, request);
    struct webhooks *webhooks = write->webhooks;
    ASSERT(webhooks->requests > 0);
    webhooks->requests--;
    request_release(request);
    write->done(write);
    free(write);
}

bool write_begin(struct webhooks *webhooks, enum request_kind kind,
                 enum collection_internal collection, struct bytes id, struct bytes document,
                 void (*done)(struct write *write), void *context)
{
    ASSERT(id.size > 0);
    ASSERT(id.size <= PARKED_ID_BYTES_MAX);
    struct write *write = malloc(sizeof(*write) + document.size);
    if (write == NULL) {
        return false;
    }
    memset(write, 0, sizeof(*write));
    write->webhooks = webhooks;
    write->done = done;
    write->context = context;
    write->id_size = id.size;
    memcpy(write->id, id.data, id.size);
    if (document.size > 0) {
        memcpy(write->document, document.data, document.size);
    }
    struct request *request = &write->request;
    request->kind = kind;
    request->collection = &webhooks->options.internal[collection];
    request->principal = &server_principal;
    request->id = bytes_of(write->id, write->id_size);
    request->hash = engine_hash(request->collection, request->id);
    request->document = bytes_of(write->document, document.size);
    request->done = write_done;
    webhooks->requests++;
    engine_submit(webhooks->options.engine_thread, request);
    return true;
}

/* ---- walks ---- */

static void walk_page(struct walk *walk);

/* Goes on when nothing of this page is left. */
static void walk_next(struct walk *walk)
{
    if (walk->writes > 0) {
        return;
    }
    if (walk->is_over || walk->status != STATUS_OK) {
        walk->end(walk);
        return;
    }
    walk_page(walk);
}

void walk_written(struct walk *walk, enum status status)
{
    ASSERT(walk->writes > 0);
    walk->writes--;
    if (status != STATUS_OK && walk->status == STATUS_OK) {
        walk->status = status;
    }
    walk_next(walk);
}

/* The rows of a page of JSON. */
static enum status rows_take(struct walk *walk, struct bytes page)
{
    uint8_t *memory;
    struct bytes document;
    struct document_cursor cursor;
    enum status status = json_rendered_read(page, &memory, &document);
    if (status == STATUS_OK && !document_cursor_open(document, &cursor)) {
        status = STATUS_DAMAGED;
    }
    struct bytes row;
    while (status == STATUS_OK && !walk->is_over && document_next_element(&cursor, &row)) {
        struct bytes value;
        struct bytes id;
        if (!document_find(row, BYTES_LITERAL("id"), &value) || !document_string(value, &id)) {
            status = STATUS_DAMAGED;
            break;
        }
        bool ours = bytes_starts_with(id, bytes_of(walk->prefix, walk->prefix_size));
        walk->is_over = !ours || !walk->row(walk, id, row);
    }
    free(memory);
    return status;
}

static void page_done(struct request *request)
{
    struct walk *walk = CONTAINER_OF(request, struct walk, request);
    ASSERT(walk->webhooks->requests > 0);
    walk->webhooks->requests--;
    walk->status = request->status;
    /* Rows may end their writes within this turn, but the page is not over before its rows are. */
    walk->writes++;
    if (walk->status == STATUS_OK) {
        enum status status = rows_take(walk, request->answer);
        walk->status = walk->status == STATUS_OK ? status : walk->status;
        walk->is_over = walk->is_over || request->list_next.size == 0;
    }
    if (walk->status == STATUS_OK && !walk->is_over) {
        ASSERT(request->list_next.size <= sizeof(walk->after));
        walk->after_size = request->list_next.size;
        memcpy(walk->after, request->list_next.data, request->list_next.size);
    }
    request_release(request);
    walk_written(walk, STATUS_OK);
}

static void walk_page(struct walk *walk)
{
    struct webhooks *webhooks = walk->webhooks;
    walk->request = (struct request){
        .kind = REQUEST_LIST,
        .collection = &webhooks->options.internal[walk->collection],
        .principal = &server_principal,
        .list_after = bytes_of(walk->after, walk->after_size),
        .list_limit = WALK_ROWS_MAX,
        .done = page_done,
    };
    webhooks->requests++;
    engine_submit(webhooks->options.engine_thread, &walk->request);
}

void walk_begin(struct walk *walk, struct webhooks *webhooks, enum collection_internal collection,
                struct bytes prefix)
{
    ASSERT(walk->row != NULL);
    ASSERT(walk->end != NULL);
    ASSERT(prefix.size <= sizeof(walk->prefix));
    walk->webhooks = webhooks;
    walk->collection = collection;
    walk->status = STATUS_OK;
    walk->writes = 0;
    walk->is_over = false;
    walk->prefix_size = prefix.size;
    walk->after_size = prefix.size;
    if (prefix.size > 0) {
        memcpy(walk->prefix, prefix.data, prefix.size);
        memcpy(walk->after, prefix.data, prefix.size);
    }
    walk_page(walk);
}

/* ---- at start ---- */

static bool state_row(struct walk *walk, struct bytes id, struct bytes document)
{
    struct runner *runner = rule_name_valid(id) ? runner_get(walk->webhooks, id) : NULL;
    if (runner != NULL) {
        runner_state_load(runner, document);
    }
    return true;
}

static struct runner *runner_of_parked(struct walk *walk, struct bytes id)
{
    struct bytes rule;
    struct bytes event;
    uint64_t hash[2];
    return parked_id_read(id, &rule, hash, &event) ? runner_get(walk->webhooks, rule) : NULL;
}

static bool parked_row(struct walk *walk, struct bytes id, struct bytes document)
{
    struct runner *runner = runner_of_parked(walk, id);
    if (runner == NULL) {
        return true;
    }
    /* A walk that failed in its middle begins again. */
    if (item_find(runner, id) == NULL && !item_load(runner, id, document, false)) {
        walk->status = STATUS_NO_MEMORY;
    }
    return true;
}

static void dead_letter_deleted(struct write *write)
{
    enum status status = write->request.status;
    walk_written(write->context, status == STATUS_NOT_FOUND ? STATUS_OK : status);
}

/* A crash between two writes leaves a change parked and a dead letter, when it was given up or
 * driven again: then it is tried, and is none yet. */
static bool dead_letter_row(struct walk *walk, struct bytes id, struct bytes document)
{
    (void)document;
    struct runner *runner = runner_of_parked(walk, id);
    if (runner == NULL) {
        return true;
    }
    if (item_find(runner, id) == NULL) {
        runner->counts.dead_letters++;
        runner_touch(runner);
        return true;
    }
    if (!write_begin(walk->webhooks, REQUEST_DELETE, COLLECTION_DEAD_LETTERS, id, BYTES_EMPTY,
                     dead_letter_deleted, walk)) {
        walk->status = STATUS_NO_MEMORY;
        return false;
    }
    walk->writes++;
    return true;
}

static void load_end(struct walk *walk)
{
    struct webhooks *webhooks = walk->webhooks;
    ASSERT(webhooks->is_loading);
    webhooks->is_loading = false;
    if (walk->status == STATUS_OK) {
        webhooks->loading++;
        return;
    }
    webhooks_say(webhooks, SAY_WARNING, "the rules' records cannot be read yet: %s",
                 status_text(walk->status));
    webhooks->load_again_ns = webhooks->now_ns + AGAIN_NS;
    if (webhooks->loading == LOAD_DEAD_LETTERS) {
        for (struct link *at = webhooks->runners.next; at != &webhooks->runners; at = at->next) {
            CONTAINER_OF(at, struct runner, link)->counts.dead_letters = 0;
        }
    }
}

uint64_t load_step(struct webhooks *webhooks)
{
    static bool (*const rows[])(struct walk *, struct bytes, struct bytes) = {
        [LOAD_STATES] = state_row,
        [LOAD_PARKED] = parked_row,
        [LOAD_DEAD_LETTERS] = dead_letter_row,
    };
    static const enum collection_internal collections[] = {
        [LOAD_STATES] = COLLECTION_RULE_STATES,
        [LOAD_PARKED] = COLLECTION_PARKED,
        [LOAD_DEAD_LETTERS] = COLLECTION_DEAD_LETTERS,
    };
    if (webhooks->loading == LOAD_DONE || webhooks->is_loading || webhooks->draining) {
        return UINT64_MAX;
    }
    if (webhooks->now_ns < webhooks->load_again_ns) {
        return webhooks->load_again_ns;
    }
    webhooks->is_loading = true;
    webhooks->load_walk.row = rows[webhooks->loading];
    webhooks->load_walk.end = load_end;
    walk_begin(&webhooks->load_walk, webhooks, collections[webhooks->loading], BYTES_EMPTY);
    return UINT64_MAX;
}
