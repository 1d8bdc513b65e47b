#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "protocol/document/json.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

/* ---- answers ---- */

static void op_free(struct sim *sim, struct op *op)
{
    request_release(&op->request);
    free(op->floors);
    op->floors = NULL;
    op->busy = false;
    ASSERT(sim->op_count > 0);
    sim->op_count--;
}

/* The answers, in their order, are what makes one run equal to another. */
static void op_hash(struct sim *sim, const struct op *op)
{
    const struct request *request = &op->request;
    const uint64_t facts[] = {sim->hash,
                              op->number,
                              (uint64_t)request->status,
                              request->epoch,
                              request->sequence,
                              request->version,
                              sim->now_ns,
                              (uint64_t)request->cache,
                              XXH3_64bits(request->answer.data, request->answer.size)};
    sim->hash = XXH3_64bits(facts, sizeof(facts));
    sim->answers++;
    sim->status_counts[request->status]++;
}

static void op_done(struct request *request)
{
    struct op *op = CONTAINER_OF(request, struct op, request);
    struct sim *sim = op->sim;
    ASSERT(op->busy);
    /* On a dead disk the journal cannot be followed, so nothing can be said about answers. */
    if (!sim->nobody_listens && !faulty_disk_is_dead(sim->faulty)) {
        model_follow(sim);
        op_hash(sim, op);
        model_answer(sim, op);
    }
    op_free(sim, op);
}

/* ---- documents ---- */

static uint32_t token_new(struct sim *sim, uint32_t key)
{
    struct model *model = &sim->model;
    if (model->token_count == model->token_capacity) {
        model->token_capacity = model->token_capacity == 0 ? 256 : 2 * model->token_capacity;
        model->tokens = realloc(model->tokens, model->token_capacity * sizeof(model->tokens[0]));
        ASSERT(model->tokens != NULL);
    }
    model->tokens[model->token_count] = (struct sim_token){.key = key, .fate = TOKEN_OPEN};
    return model->token_count++;
}

/* A number of its own most of the time, so that a state can be told from any other; else one of a
 * few, so that writes are equal now and then. */
static void doc_number(struct sim *sim, struct op *op, struct doc *doc)
{
    doc->has[DOC_N] = true;
    op->has_token = sim_chance(sim, 80);
    if (op->has_token) {
        op->token = token_new(sim, op->key);
        doc->value[DOC_N] = op->token + 1000;
    } else {
        doc->value[DOC_N] = (uint32_t)sim_random(sim, 2);
    }
}

static struct doc doc_draw(struct sim *sim, struct op *op)
{
    struct doc doc = {.has = {false}};
    doc_number(sim, op, &doc);
    doc.has[DOC_CATEGORY] = sim_chance(sim, 85);
    doc.value[DOC_CATEGORY] = (uint32_t)sim_random(sim, 3);
    doc.has[DOC_TITLE] = sim_chance(sim, 50);
    doc.value[DOC_TITLE] = (uint32_t)sim_random(sim, 3);
    doc.has[DOC_EXTRA] = sim_chance(sim, 20);
    doc.value[DOC_EXTRA] = (uint32_t)sim_random(sim, 3);
    doc.has[DOC_PAD] = op->has_token && sim_chance(sim, 50);
    doc.value[DOC_PAD] = (uint32_t)sim_random(sim, sim->setup.pad_max + 1);
    return doc;
}

static struct doc_patch patch_draw(struct sim *sim, struct op *op)
{
    struct doc_patch patch = {.clears = {false}};
    for (int i = 0; i < DOC_MEMBER_COUNT; i++) {
        if (i == DOC_N) {
            if (sim_chance(sim, 60)) {
                doc_number(sim, op, &patch.set);
            }
        } else if (sim_chance(sim, 30)) {
            patch.clears[i] = sim_chance(sim, 30);
            patch.set.has[i] = !patch.clears[i];
            patch.set.value[i] = (uint32_t)sim_random(sim, 3);
        }
    }
    return patch;
}

static void document_set(struct op *op, const struct doc_patch *patch)
{
    char json[DOC_JSON_MAX];
    size_t size = doc_to_json(&op->doc, patch, json);
    struct writer document = writer_of(op->document, sizeof(op->document));
    enum status status = json_to_document(bytes_of(json, size), &document, NULL);
    ASSERT(status == STATUS_OK);
    op->request.document = writer_bytes(&document);
}

/* ---- preconditions ---- */

/* A tag that some client could know: of a state that was answered; or of another store. */
static struct entity_tag tag_draw(struct sim *sim, const struct sim_key *key)
{
    uint32_t known = model_change_at(key, key->floor);
    if (known == 0 || sim_chance(sim, 10)) {
        return (struct entity_tag){UINT32_MAX, 1 + sim_random(sim, sim->model.count + 1)};
    }
    uint32_t index = sim_chance(sim, 75) ? known : 1 + (uint32_t)sim_random(sim, known);
    const struct sim_change *change = &sim->model.history[key->changes[index - 1] - 1];
    return (struct entity_tag){change->epoch, change->sequence};
}

static struct precondition precondition_draw(struct sim *sim, struct op *op)
{
    if (sim_chance(sim, 30)) {
        return (struct precondition){PRECONDITION_ANY, NULL, 0};
    }
    const struct sim_key *key = &sim->model.keys[op->key];
    uint32_t count = 1 + (uint32_t)sim_random(sim, 2);
    for (uint32_t i = 0; i < count; i++) {
        op->tags[i] = tag_draw(sim, key);
    }
    return (struct precondition){PRECONDITION_TAGS, op->tags, count};
}

static void preconditions_draw(struct sim *sim, struct op *op)
{
    uint64_t which = sim_random(sim, 10);
    if (which < 3) {
        op->request.if_match = precondition_draw(sim, op);
    } else if (which < 5) {
        op->request.if_none_match = precondition_draw(sim, op);
    }
}

/* ---- requests ---- */

static void key_draw(struct sim *sim, struct op *op)
{
    struct model *model = &sim->model;
    char id[DOC_ID_MAX];
    snprintf(id, sizeof(id), "%c%u", (char)('a' + sim_random(sim, 3)),
             (unsigned)sim_random(sim, sim->setup.keys));
    op->key = model_key(sim, op->collection, id);
    if (sim_chance(sim, 10)) {
        /* Any that there is: created ones too. */
        uint32_t any = (uint32_t)sim_random(sim, model->key_count);
        op->key = model->keys[any].collection == SIM_EVENTS ? op->key : any;
        op->collection = model->keys[op->key].collection;
        op->request.collection = &sim->collections[op->collection];
    }
    snprintf(op->id, sizeof(op->id), "%s", model->keys[op->key].id);
    op->request.id = bytes_of_text(op->id);
    op->request.hash = engine_hash(op->request.collection, op->request.id);
    op->floor = model->keys[op->key].floor;
}

static void minimum_draw(struct sim *sim, struct op *op)
{
    if (sim_chance(sim, 8)) {
        uint64_t ahead = sim_chance(sim, 10) ? sim_random(sim, 4) : 0;
        op->request.minimum_sequence = 1 + sim_random(sim, sim->model.count + 1) + ahead;
    }
}

static void create_draw(struct sim *sim, struct op *op)
{
    op->key = SIM_NO_KEY;
    op->doc = doc_draw(sim, op);
    if (sim_chance(sim, 60)) {
        uint32_t number = (uint32_t)sim_random(sim, SIM_IDEMPOTENCY_KEYS);
        op->idempotency = number + 1;
        op->body = (uint8_t)(1 + (sim_chance(sim, 10) ? 1 : 0));
        int size = snprintf(op->idempotency_key, sizeof(op->idempotency_key), "anonymous %u k%u",
                            op->collection, number);
        op->request.idempotency_key = bytes_of(op->idempotency_key, (size_t)size);
        memset(op->request.body_hash, op->body, sizeof(op->request.body_hash));
    }
    document_set(op, NULL);
}

static void list_draw(struct sim *sim, struct op *op)
{
    op->key = SIM_NO_KEY;
    if (op->collection == SIM_PRODUCTS && sim_chance(sim, 60)) {
        op->list_value[0] = (char)('a' + sim_random(sim, 3));
        op->request.list_field = BYTES_LITERAL("category");
        op->request.list_value = bytes_of_text(op->list_value);
    }
    static const uint32_t limits[] = {1, 2, 3, 5, 10, LIST_RECORDS_MAX};
    op->request.list_limit = limits[sim_random(sim, 6)];
    if (sim->model.key_count > 0 && sim_chance(sim, 40)) {
        const struct sim_key *key = &sim->model.keys[sim_random(sim, sim->model.key_count)];
        snprintf(op->list_after, sizeof(op->list_after), "%s", key->id);
        op->request.list_after = bytes_of_text(op->list_after);
    }
    op->request.refresh = sim_chance(sim, 10);
    minimum_draw(sim, op);
    op->floor_count = sim->model.key_count;
    op->floors = malloc(op->floor_count * sizeof(op->floors[0]) + 1);
    ASSERT(op->floors != NULL);
    for (uint32_t i = 0; i < op->floor_count; i++) {
        op->floors[i] = sim->model.keys[i].floor;
    }
}

static enum request_kind kind_draw(struct sim *sim)
{
    if (sim->setup.extras && sim_chance(sim, 10)) {
        return REQUEST_EVENT;
    }
    uint64_t which = sim_random(sim, 100);
    return which < 30   ? REQUEST_GET
           : which < 58 ? REQUEST_PUT
           : which < 73 ? REQUEST_PATCH
           : which < 83 ? REQUEST_DELETE
           : which < 88 ? REQUEST_CREATE
                        : REQUEST_LIST;
}

static void op_draw(struct sim *sim, struct op *op)
{
    struct request *request = &op->request;
    *op = (struct op){.sim = sim, .number = sim->op_number++, .busy = true};
    op->begun_step = sim->step;
    op->begun_ns = sim->now_ns;
    op->principal = PRINCIPAL_ANONYMOUS;
    op->collection = (uint32_t)sim_random(sim, SIM_COLLECTIONS);
    request->kind = kind_draw(sim);
    request->collection = &sim->collections[op->collection];
    request->principal = &op->principal;
    request->done = op_done;
    request->form = sim_chance(sim, 60) ? RECORD_JSON : RECORD_MSGPACK;
    request->answer_buffer = op->answer;
    request->answer_buffer_size = sim_chance(sim, 90) ? sizeof(op->answer) : 16;
    switch (request->kind) {
    case REQUEST_GET:
        key_draw(sim, op);
        request->refresh = sim_chance(sim, 15);
        minimum_draw(sim, op);
        break;
    case REQUEST_PUT:
        key_draw(sim, op);
        op->doc = doc_draw(sim, op);
        document_set(op, NULL);
        preconditions_draw(sim, op);
        break;
    case REQUEST_PATCH:
        key_draw(sim, op);
        op->patch = patch_draw(sim, op);
        document_set(op, &op->patch);
        preconditions_draw(sim, op);
        break;
    case REQUEST_DELETE:
        key_draw(sim, op);
        preconditions_draw(sim, op);
        break;
    case REQUEST_CREATE:
        create_draw(sim, op);
        break;
    case REQUEST_LIST:
        list_draw(sim, op);
        break;
    case REQUEST_EVENT:
        request->collection = NULL;
        op->key = SIM_NO_KEY;
        op->doc = doc_draw(sim, op);
        document_set(op, NULL);
        break;
    }
}

/* The hot path, as a connection takes it. True: answered. */
static bool get_from_cache(struct sim *sim, struct engine_thread *thread, struct op *op)
{
    struct request *request = &op->request;
    if (request->kind != REQUEST_GET || request->refresh || request->minimum_sequence > 0 ||
        !sim_chance(sim, 70) || faulty_disk_is_dead(sim->faulty)) {
        return false;
    }
    struct cache_body body;
    if (engine_cache_get(thread, request->collection, request->id, request->hash, request->form,
                         sim->now_ns, op->answer, &body) != STATUS_OK) {
        return false;
    }
    request->status = body.meta.absent ? STATUS_NOT_FOUND : STATUS_OK;
    request->epoch = body.meta.epoch;
    request->sequence = body.meta.sequence;
    request->version = body.meta.version;
    request->made_at_ms = body.meta.made_at_ms;
    request->cache = CACHE_HIT;
    op->from_cache = true;
    request->answer = body.body;
    model_follow(sim);
    op_hash(sim, op);
    model_answer(sim, op);
    if (body.pin != NULL) {
        engine_cache_release(thread, request->hash, &body);
    }
    return true;
}

void load_submit(struct sim *sim)
{
    struct op *op = NULL;
    for (uint32_t i = 0; i < sim->setup.ops && op == NULL; i++) {
        op = sim->ops[i].busy ? NULL : &sim->ops[i];
    }
    if (op == NULL || sim->model.key_count + SIM_OPS_MAX + 64 > SIM_KEYS_MAX) {
        return;
    }
    uint32_t home = (uint32_t)sim_random(sim, sim->setup.thread_count);
    struct engine_thread *thread = engine_thread_at(sim->engine, home);
    engine_thread_begin(thread, sim->now_ns, sim->wall_ms);
    op_draw(sim, op);
    sim->op_count++;
    if (get_from_cache(sim, thread, op)) {
        op_free(sim, op);
        return;
    }
    engine_submit(thread, &op->request);
}

/* A reload sets other times to live. */
void load_ttls(struct sim *sim)
{
    static const uint64_t choices[] = {1000000, 3000000, 20000000, 1000000000};
    for (int i = 0; i < SIM_COLLECTIONS; i++) {
        struct collection_ttl *ttl = &sim->collections[i].ttl;
        uint64_t values[4];
        for (int v = 0; v < 4; v++) {
            values[v] = choices[sim_random(sim, 4)];
            sim->ttl_ns_max = values[v] > sim->ttl_ns_max ? values[v] : sim->ttl_ns_max;
        }
        atomic_store(&ttl->record_ns, values[0]);
        atomic_store(&ttl->list_ns, values[1]);
        atomic_store(&ttl->index_ns, values[2]);
        atomic_store(&ttl->popular_ns, sim_chance(sim, 50) ? values[3] : 0);
        atomic_store(&ttl->popular_hits, 3);
    }
}
