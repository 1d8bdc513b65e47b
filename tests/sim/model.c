#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/document/json.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

/* ---- growing ---- */

static void *grown(void *array, uint64_t count, uint64_t capacity, size_t size)
{
    if (count < capacity) {
        return array;
    }
    void *bigger = realloc(array, (capacity == 0 ? 64 : 2 * capacity) * size);
    ASSERT(bigger != NULL);
    return bigger;
}

static uint64_t grown_capacity(uint64_t count, uint64_t capacity)
{
    return count < capacity ? capacity : (capacity == 0 ? 64 : 2 * capacity);
}

void model_deinit(struct model *model)
{
    for (uint32_t i = 0; i < model->key_count; i++) {
        free(model->keys[i].changes);
    }
    free(model->history);
    free(model->tokens);
    memset(model, 0, sizeof(*model));
}

uint32_t model_key_find(const struct sim *sim, uint32_t collection, const char *id)
{
    const struct model *model = &sim->model;
    for (uint32_t i = 0; i < model->key_count; i++) {
        if (model->keys[i].collection == collection && strcmp(model->keys[i].id, id) == 0) {
            return i;
        }
    }
    return SIM_NO_KEY;
}

uint32_t model_key(struct sim *sim, uint32_t collection, const char *id)
{
    uint32_t found = model_key_find(sim, collection, id);
    if (found != SIM_NO_KEY) {
        return found;
    }
    struct model *model = &sim->model;
    ASSERT(model->key_count < SIM_KEYS_MAX);
    struct sim_key *key = &model->keys[model->key_count];
    *key = (struct sim_key){.collection = collection};
    snprintf(key->id, sizeof(key->id), "%s", id);
    return model->key_count++;
}

uint32_t model_change_at(const struct sim_key *key, uint64_t sequence)
{
    uint32_t index = key->change_count;
    while (index > 0 && key->changes[index - 1] > sequence) {
        index--;
    }
    return index;
}

const struct sim_change *model_state(const struct model *model, const struct sim_key *key,
                                     uint32_t index)
{
    if (index == 0) {
        return NULL;
    }
    const struct sim_change *change = &model->history[key->changes[index - 1] - 1];
    return change->deleted ? NULL : change;
}

/* ---- what the journal says ---- */

static struct doc doc_of(const struct sim *sim, struct bytes id, struct bytes document)
{
    uint8_t json_bytes[DOC_JSON_MAX + DOC_ID_MAX];
    struct writer json = writer_of(json_bytes, sizeof(json_bytes));
    char id_text[DOC_ID_MAX];
    struct doc doc;
    const char *at = (const char *)json_bytes;
    if (document_record_to_json(id, document, &json) != STATUS_OK ||
        !doc_read_record(&at, (const char *)json_bytes + json.size, id_text, &doc)) {
        sim_fail(sim, "a stored document is not one that was ever written: %.*s", (int)json.size,
                 (const char *)json_bytes);
    }
    return doc;
}

static struct sim_change change_of(struct sim *sim, const struct entry *entry)
{
    char id[DOC_ID_MAX];
    ASSERT(entry->id.size < sizeof(id));
    snprintf(id, sizeof(id), "%.*s", (int)entry->id.size, (const char *)entry->id.data);
    uint32_t collection = entry->kind == ENTRY_EVENT ? SIM_EVENTS : SIM_PETS;
    while (collection < SIM_COLLECTIONS &&
           !bytes_equal(sim->collections[collection].name, entry->collection)) {
        collection++;
        ASSERT(collection < SIM_COLLECTIONS);
    }
    ASSERT(entry->kind == ENTRY_EVENT || entry->collection.size > 0);
    struct sim_change change = {
        .epoch = entry->epoch,
        .sequence = entry->sequence,
        .version = entry->version,
        .time_ms = entry->time_ms,
        .key = model_key(sim, collection, id),
        .deleted = entry->kind == ENTRY_DELETE,
    };
    if (!change.deleted) {
        change.doc = doc_of(sim, entry->id, entry->new_document);
    }
    if (entry->idempotency_key.size > 0) {
        /* "kN": see load.c */
        change.idempotency =
            (uint32_t)(entry->idempotency_key.data[entry->idempotency_key.size - 1] - '0') + 1;
        change.body = entry->idempotency_body_hash.data[0];
    }
    return change;
}

/* The names in a MessagePack array of short strings are those of the members that differ. */
static bool changed_is_right(struct bytes changed, const struct doc *before,
                             const struct doc *after)
{
    static const char *const names[DOC_MEMBER_COUNT] = {"category", "n", "title", "extra", "pad"};
    struct reader reader = reader_of(changed);
    uint32_t count = reader_u8(&reader) & 0x0fu;
    uint32_t differ = 0;
    bool named[DOC_MEMBER_COUNT] = {false};
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = reader_bytes(&reader, reader_u8(&reader) & 0x1fu);
        for (int m = 0; m < DOC_MEMBER_COUNT; m++) {
            named[m] = named[m] || bytes_equal(name, bytes_of_text(names[m]));
        }
    }
    bool right = !reader.failed && reader_left(&reader) == 0;
    for (int m = 0; m < DOC_MEMBER_COUNT; m++) {
        bool differs = before->has[m] != after->has[m] ||
                       (before->has[m] && before->value[m] != after->value[m]);
        differ += differs;
        right = right && differs == named[m];
    }
    return right && differ == count;
}

/* Versions count from 1 within a life; an equal write, or a DELETE of nothing, makes no entry. */
static void check_step(const struct sim *sim, const struct entry *entry,
                       const struct sim_change *change, const struct sim_change *before)
{
    const char *id = sim->model.keys[change->key].id;
    if (entry->kind == ENTRY_EVENT) {
        if (before != NULL || change->version != 0 || entry->has_old || entry->changed.size > 0) {
            sim_fail(sim, "the event %" PRIu64 " says that it changed something", change->sequence);
        }
        return;
    }
    if (entry->has_old != (before != NULL)) {
        sim_fail(sim, "entry %" PRIu64 " of %s is wrong about whether there was a record before",
                 change->sequence, id);
    }
    uint64_t version = before == NULL ? 0 : before->version;
    if (change->version != version + (change->deleted ? 0 : 1)) {
        sim_fail(sim, "entry %" PRIu64 " of %s has version %" PRIu64 " after version %" PRIu64,
                 change->sequence, id, change->version, version);
    }
    if (change->deleted && before == NULL) {
        sim_fail(sim, "entry %" PRIu64 " deletes %s, which is not there", change->sequence, id);
    }
    if (!change->deleted && before != NULL && doc_equal(&change->doc, &before->doc)) {
        sim_fail(sim, "entry %" PRIu64 " of %s changes nothing", change->sequence, id);
    }
    if (!change->deleted && before != NULL
            ? !changed_is_right(entry->changed, &before->doc, &change->doc)
            : entry->changed.size > 0) {
        sim_fail(sim, "entry %" PRIu64 " of %s names other members than those that changed",
                 change->sequence, id);
    }
    if (entry->has_old_document) {
        struct doc old = doc_of(sim, entry->id, entry->old_document);
        if (before == NULL || !doc_equal(&old, &before->doc)) {
            sim_fail(sim, "entry %" PRIu64 " of %s has a wrong old document", change->sequence, id);
        }
    }
}

/* One record a key as long as its row lives. */
static void check_idempotency(const struct sim *sim, const struct sim_change *change)
{
    for (uint64_t i = sim->model.count; change->idempotency != 0 && i > 0; i--) {
        const struct sim_change *other = &sim->model.history[i - 1];
        if (other->idempotency == change->idempotency &&
            sim->model.keys[other->key].collection == sim->model.keys[change->key].collection &&
            change->time_ms < other->time_ms + sim->setup.idempotency_ms) {
            sim_fail(sim, "entries %" PRIu64 " and %" PRIu64 " have the same idempotency key",
                     other->sequence, change->sequence);
        }
    }
}

static void check_token(const struct sim *sim, const struct sim_change *change,
                        const struct sim_change *before)
{
    const struct doc *doc = &change->doc;
    bool is_new = !change->deleted && doc->has[DOC_N] &&
                  (before == NULL || !before->doc.has[DOC_N] ||
                   before->doc.value[DOC_N] != doc->value[DOC_N]);
    if (!is_new || doc->value[DOC_N] < 1000) {
        return;
    }
    uint32_t number = doc->value[DOC_N] - 1000;
    if (number >= sim->model.token_count) {
        sim_fail(sim, "entry %" PRIu64 " has a number that nobody wrote", change->sequence);
    }
    if (sim->model.tokens[number].fate == TOKEN_REFUSED) {
        sim_fail(sim, "entry %" PRIu64 " is of a request that was refused", change->sequence);
    }
}

bool change_equal(const struct sim_change *a, const struct sim_change *b)
{
    return a->epoch == b->epoch && a->key == b->key && a->version == b->version &&
           a->time_ms == b->time_ms && a->deleted == b->deleted && doc_equal(&a->doc, &b->doc) &&
           a->idempotency == b->idempotency && a->body == b->body;
}

static void history_append(struct sim *sim, const struct entry *entry,
                           const struct sim_change *change)
{
    struct model *model = &sim->model;
    const struct sim_change *last = model->count == 0 ? NULL : &model->history[model->count - 1];
    struct sim_key *key = &model->keys[change->key];
    const struct sim_change *before = model_state(model, key, key->change_count);
    if (last != NULL && (change->epoch < last->epoch || change->time_ms < last->time_ms)) {
        sim_fail(sim, "entry %" PRIu64 " goes back in epoch or time", change->sequence);
    }
    check_step(sim, entry, change, before);
    check_idempotency(sim, change);
    check_token(sim, change, before);
    model->history =
        grown(model->history, model->count, model->capacity, sizeof(model->history[0]));
    model->capacity = grown_capacity(model->count, model->capacity);
    model->history[model->count++] = *change;
    key->changes = grown(key->changes, key->change_count, key->change_capacity, sizeof(uint64_t));
    key->change_capacity = (uint32_t)grown_capacity(key->change_count, key->change_capacity);
    key->changes[key->change_count++] = change->sequence;
}

void model_take(struct sim *sim, const struct entry *entry)
{
    struct model *model = &sim->model;
    if (entry->sequence == 0 || entry->sequence > model->count + 1) {
        sim_fail(sim, "after sequence %" PRIu64 " comes %" PRIu64, model->count, entry->sequence);
    }
    struct sim_change change = change_of(sim, entry);
    if (entry->sequence == model->count + 1) {
        history_append(sim, entry, &change);
    } else if (!change_equal(&change, &model->history[entry->sequence - 1])) {
        sim_fail(sim, "entry %" PRIu64 " is not what it was", entry->sequence);
    }
}

void model_follow(struct sim *sim)
{
    struct entry entry;
    enum status status = STATUS_OK;
    while (sim->tap != NULL && !faulty_disk_is_dead(sim->faulty)) {
        status = journal_reader_next(sim->journal, sim->tap, &entry);
        if (status != STATUS_OK) {
            break;
        }
        model_take(sim, &entry);
    }
    if (status != STATUS_OK && status != STATUS_NOT_FOUND && !faulty_disk_is_dead(sim->faulty)) {
        sim_fail(sim, "reading the journal: %s %s", status_name(status), sim->tap->problem.text);
    }
}

void model_truncate(struct sim *sim, uint64_t sequence)
{
    struct model *model = &sim->model;
    ASSERT(sequence <= model->count);
    model->count = sequence;
    for (uint32_t i = 0; i < model->key_count; i++) {
        struct sim_key *key = &model->keys[i];
        key->change_count = model_change_at(key, sequence);
        /* All that is left was applied before anyone was served. */
        key->floor = sequence;
    }
}

/* ---- what a request means ---- */

enum verdict {
    VERDICT_PUT,
    VERDICT_EQUAL,
    VERDICT_DELETE,
    VERDICT_ABSENT,
    VERDICT_REFUSED,
    VERDICT_MISSING
};

static bool tag_matches(const struct precondition *precondition, const struct sim_change *state)
{
    if (state == NULL || precondition->kind == PRECONDITION_ANY) {
        return state != NULL;
    }
    for (uint32_t i = 0; i < precondition->tag_count; i++) {
        if (precondition->tags[i].epoch == state->epoch &&
            precondition->tags[i].sequence == state->sequence) {
            return true;
        }
    }
    return false;
}

static enum verdict judge(const struct op *op, const struct sim_change *state, struct doc *doc_out)
{
    const struct request *request = &op->request;
    if ((request->if_match.kind != PRECONDITION_NONE && !tag_matches(&request->if_match, state)) ||
        (request->if_none_match.kind != PRECONDITION_NONE &&
         tag_matches(&request->if_none_match, state))) {
        return VERDICT_REFUSED;
    }
    if (request->kind == REQUEST_DELETE) {
        return state == NULL ? VERDICT_ABSENT : VERDICT_DELETE;
    }
    bool title_default = op->collection == SIM_PRODUCTS;
    if (request->kind == REQUEST_PATCH) {
        if (state == NULL) {
            return VERDICT_MISSING;
        }
        *doc_out = doc_patched(&state->doc, &op->patch, title_default);
    } else {
        *doc_out = doc_stored(&op->doc, title_default);
    }
    return state != NULL && doc_equal(&state->doc, doc_out) ? VERDICT_EQUAL : VERDICT_PUT;
}

/* ---- what was answered ---- */

static void floor_raise(struct sim_key *key, uint64_t sequence)
{
    if (key->floor < sequence) {
        key->floor = sequence;
    }
}

static const char *kind_name(const struct op *op)
{
    static const char *const names[] = {"GET", "CREATE", "PUT", "PATCH", "DELETE", "LIST", "EVENT"};
    return names[op->request.kind];
}

_Noreturn static void op_fail(const struct sim *sim, const struct op *op, const char *what)
{
    char asked[DOC_JSON_MAX];
    (void)doc_to_json(&op->doc, op->request.kind == REQUEST_PATCH ? &op->patch : NULL, asked);
    fprintf(stderr, "asked: %s\n", asked);
    sim_fail(sim,
             "request %u, %s %s/%s, begun at step %" PRIu64 " (floor %" PRIu64
             "), answered %s (epoch %" PRIu64 ", sequence %" PRIu64 ", version %" PRIu64
             "%s, cache %d) %.*s: %s",
             op->number, kind_name(op), op->collection == SIM_PETS ? "pets" : "products", op->id,
             op->begun_step, op->floor, status_name(op->request.status), op->request.epoch,
             op->request.sequence, op->request.version, op->request.changed ? ", changed" : "",
             (int)op->request.cache,
             (int)(op->request.answer.size < 400 ? op->request.answer.size : 400),
             op->request.answer.data == NULL ? "" : (const char *)op->request.answer.data, what);
}

/* The answer as JSON, whatever form was asked for. */
static struct bytes body_as_json(const struct sim *sim, const struct op *op, char *buffer,
                                 size_t buffer_size)
{
    if (op->request.form == RECORD_JSON) {
        return op->request.answer;
    }
    struct writer json = writer_of(buffer, buffer_size);
    if (document_to_json(op->request.answer, &json) != STATUS_OK) {
        op_fail(sim, op, "the body is no MessagePack");
    }
    return writer_bytes(&json);
}

/* The answer is this record. */
static void check_body(const struct sim *sim, const struct op *op, const char *id,
                       const struct doc *doc)
{
    char buffer[DOC_JSON_MAX + 1024];
    struct bytes body = body_as_json(sim, op, buffer, sizeof(buffer));
    const char *at = (const char *)body.data;
    const char *end = at + body.size;
    char id_text[DOC_ID_MAX];
    struct doc answered;
    if (!doc_read_record(&at, end, id_text, &answered) || at != end) {
        op_fail(sim, op, "the body is no record");
    }
    if (strcmp(id_text, id) != 0 || !doc_equal(&answered, doc)) {
        op_fail(sim, op, "the body is another record's, or another version's");
    }
}

/* The change with the tag that was answered. */
static struct sim_change *change_answered(struct sim *sim, const struct op *op)
{
    uint64_t sequence = op->request.sequence;
    if (sequence == 0 || sequence > sim->model.count) {
        op_fail(sim, op, "there is no such sequence");
    }
    struct sim_change *change = &sim->model.history[sequence - 1];
    if (change->epoch != op->request.epoch) {
        op_fail(sim, op, "the epoch is not the entry's");
    }
    return change;
}

/* A state that the request may be answered from: none that had been replaced when it began. */
static const struct sim_change *state_answered(struct sim *sim, const struct op *op)
{
    const struct sim_change *change = change_answered(sim, op);
    struct sim_key *key = &sim->model.keys[op->key];
    uint32_t oldest = model_change_at(key, op->floor);
    if (change->key != op->key || change->deleted) {
        op_fail(sim, op, "that entry is no state of this record");
    }
    if (oldest > 0 && change->sequence < key->changes[oldest - 1]) {
        op_fail(sim, op, "stale: a later state had been answered when it began");
    }
    if (change->version != op->request.version) {
        op_fail(sim, op, "the version is not the entry's");
    }
    check_body(sim, op, key->id, &change->doc);
    floor_raise(key, change->sequence);
    return change;
}

/* Some state between the request's start and now has this verdict; raises the floor to the oldest
 * of them. */
static void check_some_state(struct sim *sim, const struct op *op, enum verdict verdict)
{
    struct sim_key *key = &sim->model.keys[op->key];
    for (uint32_t i = model_change_at(key, op->floor); i <= key->change_count; i++) {
        struct doc doc;
        if (judge(op, model_state(&sim->model, key, i), &doc) == verdict) {
            floor_raise(key, i == 0 ? 0 : key->changes[i - 1]);
            return;
        }
    }
    op_fail(sim, op, "no state of the record since it began explains that");
}

/* What the hot path answers is judged by the time of the call; a request is judged by its owner's
 * thread, which may be a few turns late. */
static void check_age(const struct sim *sim, const struct op *op)
{
    const struct request *request = &op->request;
    if (request->cache != CACHE_HIT) {
        return;
    }
    uint64_t late_ms = op->from_cache ? 0 : 40;
    uint64_t begun_ms = sim->wall_ms - (sim->now_ns - op->begun_ns) / 1000000;
    if (request->made_at_ms > sim->wall_ms ||
        begun_ms > request->made_at_ms + sim->ttl_ns_max / 1000000 + 1 + late_ms) {
        op_fail(sim, op, "the cached answer has expired");
    }
}

/* 412 of a read: only because its position was not reached within a second. */
static bool gave_up_waiting(const struct sim *sim, const struct op *op)
{
    return op->request.status == STATUS_PRECONDITION_FAILED && op->request.minimum_sequence > 0 &&
           sim->now_ns - op->begun_ns >= POSITION_WAIT_NS / 2; /* its thread may be late */
}

/* Damage is an error, never an answer. */
static bool met_damage(const struct sim *sim, const struct op *op)
{
    return op->request.status == STATUS_DAMAGED && sim->fault == FAULT_READS;
}

static void answer_get(struct sim *sim, struct op *op)
{
    if (gave_up_waiting(sim, op) || met_damage(sim, op)) {
        return;
    }
    check_age(sim, op);
    if (op->request.minimum_sequence > op->floor) {
        op->floor = op->request.minimum_sequence;
    }
    if (op->request.status == STATUS_OK) {
        (void)state_answered(sim, op);
        return;
    }
    if (op->request.status != STATUS_NOT_FOUND) {
        op_fail(sim, op, "a read does not end like this");
    }
    struct sim_key *key = &sim->model.keys[op->key];
    for (uint32_t i = model_change_at(key, op->floor); i <= key->change_count; i++) {
        if (model_state(&sim->model, key, i) == NULL) {
            floor_raise(key, i == 0 ? 0 : key->changes[i - 1]);
            return;
        }
    }
    op_fail(sim, op, "the record was there all the time");
}

/* ---- writes ---- */

static void token_refuse(struct sim *sim, const struct op *op)
{
    if (!op->has_token) {
        return;
    }
    sim->model.tokens[op->token].fate = TOKEN_REFUSED;
    for (uint64_t i = 0; i < sim->model.count; i++) {
        const struct sim_change *change = &sim->model.history[i];
        if (!change->deleted && change->doc.has[DOC_N] &&
            change->doc.value[DOC_N] == op->token + 1000) {
            op_fail(sim, op, "it was refused, and yet it is in the journal");
        }
    }
}

static void answer_changed(struct sim *sim, struct op *op)
{
    struct sim_change *change = change_answered(sim, op);
    struct sim_key *key = &sim->model.keys[change->key];
    uint32_t index = model_change_at(key, change->sequence);
    const struct sim_change *before = model_state(&sim->model, key, index - 1);
    if (op->key != SIM_NO_KEY && op->key != change->key) {
        op_fail(sim, op, "that entry is of another record");
    }
    if (change->claimed) {
        op_fail(sim, op, "that entry was another request's");
    }
    if (change->sequence <= op->floor) {
        op_fail(sim, op, "that entry is older than the request");
    }
    change->claimed = true;
    struct doc doc;
    enum verdict verdict = judge(op, before, &doc);
    if (change->deleted ? verdict != VERDICT_DELETE
                        : verdict != VERDICT_PUT || !doc_equal(&doc, &change->doc)) {
        op_fail(sim, op, "that is not what the request asked for, given the state before it");
    }
    if (op->request.version != change->version ||
        op->request.created != (!change->deleted && before == NULL)) {
        op_fail(sim, op, "wrong about the version, or whether the record is new");
    }
    if (!change->deleted) {
        check_body(sim, op, key->id, &change->doc);
    }
    if (op->has_token) {
        sim->model.tokens[op->token].fate = TOKEN_WRITTEN;
    }
    floor_raise(key, change->sequence);
}

static void answer_create_again(struct sim *sim, struct op *op)
{
    const struct sim_change *change = change_answered(sim, op);
    if (op->idempotency == 0 || change->idempotency != op->idempotency ||
        change->body != op->body || sim->model.keys[change->key].collection != op->collection) {
        op_fail(sim, op, "that entry was not made with this idempotency key and body");
    }
    check_body(sim, op, sim->model.keys[change->key].id, &change->doc);
    floor_raise(&sim->model.keys[change->key], change->sequence);
}

static void answer_unchanged(struct sim *sim, struct op *op)
{
    if (op->request.kind == REQUEST_CREATE) {
        answer_create_again(sim, op);
        return;
    }
    if (op->request.kind == REQUEST_DELETE) {
        check_some_state(sim, op, VERDICT_ABSENT);
        return;
    }
    const struct sim_change *state = state_answered(sim, op);
    struct doc doc;
    if (judge(op, state, &doc) != VERDICT_EQUAL) {
        op_fail(sim, op, "the write was not equal to that state");
    }
}

static void check_other_body(struct sim *sim, const struct op *op)
{
    for (uint64_t i = 0; i < sim->model.count; i++) {
        const struct sim_change *change = &sim->model.history[i];
        if (op->idempotency > 0 && change->idempotency == op->idempotency &&
            change->body != op->body) {
            return;
        }
    }
    op_fail(sim, op, "nobody used this idempotency key with another body");
}

static void answer_write(struct sim *sim, struct op *op)
{
    enum status status = op->request.status;
    if (status == STATUS_OK) {
        if (op->request.changed) {
            answer_changed(sim, op);
        } else {
            answer_unchanged(sim, op);
        }
        return;
    }
    if (op->request.changed) {
        op_fail(sim, op, "refused and changed at once");
    }
    if (status == STATUS_OUTCOME_UNKNOWN) {
        return;
    }
    token_refuse(sim, op);
    if (status == STATUS_PRECONDITION_FAILED) {
        check_some_state(sim, op, VERDICT_REFUSED);
    } else if (status == STATUS_NOT_FOUND) {
        check_some_state(sim, op, VERDICT_MISSING);
    } else if (status == STATUS_UNPROCESSABLE) {
        check_other_body(sim, op);
    } else if (!met_damage(sim, op) && status != STATUS_BUSY && status != STATUS_NOT_ACCEPTED &&
               status != STATUS_DISK_FULL) {
        op_fail(sim, op, "a write does not end like this");
    }
}

static void answer_event(struct sim *sim, struct op *op)
{
    enum status status = op->request.status;
    if (status != STATUS_OK) {
        if (status != STATUS_OUTCOME_UNKNOWN) {
            token_refuse(sim, op);
        }
        if (status != STATUS_OUTCOME_UNKNOWN && status != STATUS_BUSY &&
            status != STATUS_NOT_ACCEPTED && status != STATUS_DISK_FULL) {
            op_fail(sim, op, "an event does not end like this");
        }
        return;
    }
    struct sim_change *change = change_answered(sim, op);
    const struct sim_key *key = &sim->model.keys[change->key];
    if (key->collection != SIM_EVENTS || !bytes_equal(op->request.new_id, bytes_of_text(key->id)) ||
        !doc_equal(&op->doc, &change->doc) || change->claimed) {
        op_fail(sim, op, "that entry is not this event");
    }
    change->claimed = true;
    if (op->has_token) {
        sim->model.tokens[op->token].fate = TOKEN_WRITTEN;
    }
}

/* ---- lists ---- */

static uint64_t list_floor(const struct op *op, uint32_t key)
{
    uint64_t floor = key < op->floor_count ? op->floors[key] : 0;
    return floor > op->request.minimum_sequence ? floor : op->request.minimum_sequence;
}

static bool is_listed(const struct op *op, const struct sim_change *state)
{
    return state != NULL &&
           (op->list_value[0] == '\0' ||
            (state->doc.has[DOC_CATEGORY] &&
             state->doc.value[DOC_CATEGORY] == (uint32_t)(op->list_value[0] - 'a')));
}

/* The record stands in the page as it was at some time since the request began. */
static void check_listed(struct sim *sim, const struct op *op, const char *id,
                         const struct doc *doc)
{
    uint32_t number = model_key_find(sim, op->collection, id);
    if (number == SIM_NO_KEY) {
        op_fail(sim, op, "the page has a record that was never written");
    }
    struct sim_key *key = &sim->model.keys[number];
    for (uint32_t i = model_change_at(key, list_floor(op, number)); i <= key->change_count; i++) {
        const struct sim_change *state = model_state(&sim->model, key, i);
        if (is_listed(op, state) && doc_equal(&state->doc, doc)) {
            floor_raise(key, state->sequence);
            return;
        }
    }
    fprintf(stderr, "id %s, floor %" PRIu64 "\n", id, list_floor(op, number));
    op_fail(sim, op, "the page has a state of a record that had been replaced when it began");
}

/* What the page does not have was not there at some time since the request began. Returns whether
 * something may come after the page. */
static bool check_unlisted(struct sim *sim, const struct op *op, const char *const *ids,
                           uint32_t count, bool more)
{
    bool something_after = false;
    for (uint32_t k = 0; k < sim->model.key_count; k++) {
        const struct sim_key *key = &sim->model.keys[k];
        bool in_page = false;
        for (uint32_t i = 0; i < count && !in_page; i++) {
            in_page = strcmp(ids[i], key->id) == 0;
        }
        if (in_page || key->collection != op->collection || strcmp(key->id, op->list_after) <= 0) {
            continue;
        }
        bool may_be_there = false;
        bool may_be_away = false;
        for (uint32_t i = model_change_at(key, list_floor(op, k)); i <= key->change_count; i++) {
            bool listed = is_listed(op, model_state(&sim->model, key, i));
            may_be_there = may_be_there || listed;
            may_be_away = may_be_away || !listed;
        }
        if (more && strcmp(key->id, ids[count - 1]) > 0) {
            something_after = something_after || may_be_there;
        } else if (!may_be_away) {
            fprintf(stderr, "id %s, floor %" PRIu64 "\n", key->id, list_floor(op, k));
            op_fail(sim, op, "the page lacks a record that was there all the time");
        }
    }
    return something_after;
}

static void answer_list(struct sim *sim, struct op *op)
{
    if (gave_up_waiting(sim, op) || met_damage(sim, op)) {
        return;
    }
    if (op->request.status != STATUS_OK) {
        op_fail(sim, op, "a list does not end like this");
    }
    check_age(sim, op);
    static char ids[LIST_RECORDS_MAX][DOC_ID_MAX];
    const char *id_views[LIST_RECORDS_MAX];
    uint32_t count = 0;
    const char *at = (const char *)op->request.answer.data;
    const char *end = at + op->request.answer.size;
    const char *previous = op->list_after;
    for (char opener = '['; at < end && *at == opener && end - at > 2; opener = ',') {
        at++;
        struct doc doc;
        if (count == op->request.list_limit || !doc_read_record(&at, end, ids[count], &doc)) {
            op_fail(sim, op, "the page is longer than its limit, or no page");
        }
        if (strcmp(previous, ids[count]) >= 0) {
            op_fail(sim, op, "the page is not in order");
        }
        check_listed(sim, op, ids[count], &doc);
        previous = ids[count];
        id_views[count] = ids[count];
        count++;
    }
    if (!(count == 0 && end - at == 2 && memcmp(at, "[]", 2) == 0) &&
        !(count > 0 && end - at == 1 && *at == ']')) {
        op_fail(sim, op, "the page is no array");
    }
    bool more = op->request.list_next.size > 0;
    if (more && (count != op->request.list_limit ||
                 !bytes_equal(op->request.list_next, bytes_of_text(previous)))) {
        op_fail(sim, op, "the page is not full, or names another end than its own");
    }
    if (check_unlisted(sim, op, id_views, count, more) != more && more) {
        op_fail(sim, op, "the page promises more, and there is none");
    }
}

void model_answer(struct sim *sim, struct op *op)
{
    switch (op->request.kind) {
    case REQUEST_GET:
        answer_get(sim, op);
        break;
    case REQUEST_LIST:
        answer_list(sim, op);
        break;
    case REQUEST_CREATE:
    case REQUEST_PUT:
    case REQUEST_PATCH:
    case REQUEST_DELETE:
        answer_write(sim, op);
        break;
    case REQUEST_EVENT:
        answer_event(sim, op);
        break;
    }
}
