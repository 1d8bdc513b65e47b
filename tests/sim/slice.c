/*
 * Slices of shards, as a snapshot reads them: one after the other, each from where the last one
 * ended. What a slice shows must be exactly the fold of its shard's entries up to the position that
 * it names, in its range: nothing more, nothing less, and nothing newer.
 */
#include <inttypes.h>
#include <stdio.h>

#include "protocol/document/json.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

static uint64_t other_random(struct sim *sim, uint64_t below)
{
    return dice_roll(&sim->other_random) % below;
}

/* ---- what it shows ---- */

static void check_row(const struct sim *sim, const struct slice_row *row)
{
    char id[DOC_ID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)row->id.size, (const char *)row->id.data);
    uint32_t collection =
        bytes_equal(row->collection, sim->collections[SIM_PETS].name) ? SIM_PETS : SIM_PRODUCTS;
    uint32_t number = model_key_find(sim, collection, id);
    const struct sim_slice *slice = &sim->slice;
    uint64_t applied = slice->request.applied_sequence;
    const struct sim_change *state = NULL;
    if (number != SIM_NO_KEY) {
        const struct sim_key *key = &sim->model.keys[number];
        state = model_state(&sim->model, key, model_change_at(key, applied));
    }
    if (state == NULL) {
        sim_fail(sim, "a slice at %" PRIu64 " has %s, which was not there", applied, id);
    }
    uint8_t json_bytes[DOC_JSON_MAX + DOC_ID_MAX];
    struct writer json = writer_of(json_bytes, sizeof(json_bytes));
    struct doc doc;
    const char *at = (const char *)json_bytes;
    if (row->sequence != state->sequence || row->epoch != state->epoch ||
        row->version != state->version || row->time_ms != state->time_ms ||
        document_record_to_json(row->id, row->document, &json) != STATUS_OK ||
        !doc_read_record(&at, at + json.size, id, &doc) || !doc_equal(&doc, &state->doc)) {
        sim_fail(sim, "a slice at %" PRIu64 " has %s as of %" PRIu64 ", the journal of %" PRIu64,
                 applied, id, row->sequence, state->sequence);
    }
}

/* How many rows there must be: keys of the shard in the range that was read, as they were then. */
static uint64_t rows_expected(const struct sim *sim)
{
    const struct sim_slice *slice = &sim->slice;
    const struct slice_request *request = &slice->request;
    struct bytes after = bytes_of(slice->after, slice->after_size);
    uint64_t count = 0;
    for (uint32_t k = 0; k < sim->model.key_count; k++) {
        const struct sim_key *key = &sim->model.keys[k];
        if (key->collection == SIM_EVENTS || check_shard_of(sim, key) != request->shard) {
            continue;
        }
        const struct collection *collection = &sim->collections[key->collection];
        uint8_t name_bytes[RECORD_KEY_BYTES_MAX];
        struct writer name = writer_of(name_bytes, sizeof(name_bytes));
        struct bytes whole = record_key(collection, bytes_of_text(key->id), &name);
        bool in_range = (request->collection == NULL || request->collection == collection) &&
                        (after.size == 0 || bytes_compare(whole, after) > 0) &&
                        (request->end || bytes_compare(whole, request->last) <= 0);
        uint32_t index = model_change_at(key, request->applied_sequence);
        count += in_range && model_state(&sim->model, key, index) != NULL;
    }
    return count;
}

static void check_slice(struct sim *sim)
{
    const struct slice_request *request = &sim->slice.request;
    if (request->applied_sequence > sim->model.count) {
        sim_fail(sim, "a slice at %" PRIu64 ", which is not committed", request->applied_sequence);
    }
    struct bytes rows = request->rows;
    struct slice_row row;
    uint64_t count = 0;
    while (slice_next(&rows, &row)) {
        check_row(sim, &row);
        count++;
    }
    uint64_t expected = rows_expected(sim);
    if (count != expected || (count == 0 && !request->end)) {
        sim_fail(sim, "a slice of shard %u at %" PRIu64 " has %" PRIu64 " rows, not %" PRIu64,
                 request->shard, request->applied_sequence, count, expected);
    }
}

/* ---- one after the other ---- */

static void slice_done(struct slice_request *request)
{
    struct sim_slice *slice = CONTAINER_OF(request, struct sim_slice, request);
    struct sim *sim = slice->sim;
    ASSERT(slice->busy);
    slice->busy = false;
    bool listens = !slice->nobody_asks && !sim->nobody_listens && !faulty_disk_is_dead(sim->faulty);
    bool damaged = request->status == STATUS_DAMAGED && sim->fault == FAULT_READS;
    if (listens && request->status == STATUS_OK) {
        model_follow(sim);
        check_slice(sim);
        slice->count++;
    } else if (listens && !damaged) {
        sim_fail(sim, "a slice ends with %s", status_name(request->status));
    }
    if (request->status == STATUS_OK && !request->end) {
        memcpy(slice->after, request->last.data, request->last.size);
        slice->after_size = request->last.size;
    } else {
        slice->after_size = 0;
    }
    slice_release(request);
}

void slice_step(struct sim *sim)
{
    struct sim_slice *slice = &sim->slice;
    if (slice->busy || other_random(sim, 10) > 0) {
        return;
    }
    bool goes_on = slice->after_size > 0 && !slice->nobody_asks;
    uint32_t shard = slice->request.shard;
    const struct collection *collection = slice->request.collection;
    if (!goes_on) {
        uint64_t which = other_random(sim, 3);
        shard = (uint32_t)other_random(sim, SIM_SHARDS);
        collection = which < SIM_COLLECTIONS ? &sim->collections[which] : NULL;
        slice->after_size = 0;
    }
    slice->sim = sim;
    slice->busy = true;
    slice->nobody_asks = false;
    slice->request = (struct slice_request){
        .shard = shard,
        .collection = collection,
        .after = bytes_of(slice->after, slice->after_size),
        .bytes_max = 1 + other_random(sim, 4000),
        .records_max = 1 + (uint32_t)other_random(sim, 20),
        .done = slice_done,
    };
    uint32_t home = (uint32_t)other_random(sim, sim->setup.thread_count);
    slice_submit(engine_thread_at(sim->engine, home), &slice->request);
}

void slice_end(struct sim *sim)
{
    sim->slice.nobody_asks = true;
}
