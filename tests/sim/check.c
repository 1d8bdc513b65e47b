#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#include "engine/shard/shard_internal.h"
#include "protocol/document/json.h"
#include "tests/sim/sim.h"
#include "tests/support/faulty_disk.h"

uint32_t check_shard_of(const struct sim *sim, const struct sim_key *key)
{
    uint64_t hash = key->collection == SIM_EVENTS
                        ? XXH3_64bits(key->id, strlen(key->id))
                        : engine_hash(&sim->collections[key->collection], bytes_of_text(key->id));
    return sim->shard_of_slot[hash & (SLOT_COUNT - 1)];
}

static uint32_t shard_of(const struct sim *sim, const struct sim_change *change)
{
    return check_shard_of(sim, &sim->model.keys[change->key]);
}

uint64_t check_store_applied(struct sim *sim, uint32_t shard)
{
    uint8_t key_bytes[1];
    struct writer key = writer_of(key_bytes, sizeof(key_bytes));
    row_applied_key(&key);
    /* In the buffer of an engine that runs, else in the store. */
    struct store *store =
        sim->engine == NULL ? sim->stores[shard] : sim->engine->shards[shard]->store;
    struct store_value value;
    enum status status = store_get(store, writer_bytes(&key), false, &value);
    if (status == STATUS_WOULD_BLOCK) {
        status = store_get(store, writer_bytes(&key), true, &value);
    }
    if (status == STATUS_NOT_FOUND) {
        return 0;
    }
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    if (status != STATUS_OK || row_applied_read(value.bytes, &epoch, &sequence) != STATUS_OK) {
        sim_fail(sim, "shard %u: the applied position cannot be read", shard);
    }
    store_value_release(store, &value);
    return sequence;
}

/* ---- the journal after a start ---- */

/* Positions of this store's past: good as far as their epoch came. */
static void check_positions(struct sim *sim, uint64_t lost_from, const struct sim_change *lost)
{
    struct position position = {.store_id = sim->journal->store_id};
    for (uint64_t i = sim->model.count; i > 0 && i + 20 > sim->model.count; i--) {
        position.epoch = sim->model.history[i - 1].epoch;
        position.sequence = i;
        if (journal_position_check(sim->journal, &position) != STATUS_OK) {
            sim_fail(sim, "the position %" PRIu64 " of epoch %" PRIu64 " is refused", i,
                     position.epoch);
        }
    }
    if (lost != NULL) {
        position.epoch = lost->epoch;
        position.sequence = lost_from;
        if (journal_position_check(sim->journal, &position) != STATUS_POSITION_EXPIRED) {
            sim_fail(sim, "the position %" PRIu64 " of a lost tail is taken", lost_from);
        }
    }
}

void check_journal(struct sim *sim)
{
    uint64_t committed = journal_committed(sim->journal);
    if (committed < sim->must_survive) {
        sim_fail(sim, "%" PRIu64 " entries are left, %" PRIu64 " must be (%s)", committed,
                 sim->must_survive,
                 sim->end == END_POWER_LOSS ? "power loss"
                 : sim->end == END_KILL     ? "kill"
                                            : "clean stop");
    }
    if (sim->end == END_CLEAN ? sim->journal->epoch < sim->epoch_before
                              : sim->journal->epoch <= sim->epoch_before) {
        sim_fail(sim, "epoch %" PRIu64 " after %" PRIu64, sim->journal->epoch, sim->epoch_before);
    }
    struct sim_change lost;
    bool has_lost = committed < sim->model.count;
    if (has_lost) {
        lost = sim->model.history[committed];
        model_truncate(sim, committed);
    }
    struct journal_statistics statistics;
    journal_statistics_read(sim->journal, &statistics);
    uint64_t from = statistics.oldest_sequence == 0 ? committed + 1 : statistics.oldest_sequence;
    if (journal_reader_create(sim->journal, from, &sim->tap) != STATUS_OK) {
        sim_fail(sim, "the journal cannot be read from %" PRIu64, from);
    }
    model_follow(sim);
    if (faulty_disk_is_dead(sim->faulty)) {
        return;
    }
    if (sim->model.count != committed) {
        sim_fail(sim, "the journal ends at %" PRIu64 ", its entries at %" PRIu64, committed,
                 sim->model.count);
    }
    check_positions(sim, committed + 1, has_lost ? &lost : NULL);
    model_truncate(sim, committed); /* floors: whoever is served now sees all of it */
}

/* ---- the stores against the fold ---- */

struct counts {
    uint64_t records;
    uint64_t index_rows;
    uint64_t idempotency_rows;
};

static struct counts counts_of_fold(const struct sim *sim)
{
    struct counts counts = {0, 0, 0};
    for (uint32_t k = 0; k < sim->model.key_count; k++) {
        const struct sim_key *key = &sim->model.keys[k];
        const struct sim_change *state = model_state(&sim->model, key, key->change_count);
        counts.records += state != NULL && key->collection != SIM_EVENTS;
        counts.index_rows +=
            state != NULL && key->collection == SIM_PRODUCTS && state->doc.has[DOC_CATEGORY];
    }
    for (uint32_t i = 1; i <= SIM_IDEMPOTENCY_KEYS; i++) {
        bool seen[SIM_COLLECTIONS] = {false};
        for (uint64_t s = 0; s < sim->model.count; s++) {
            const struct sim_change *change = &sim->model.history[s];
            if (change->idempotency == i) {
                seen[sim->model.keys[change->key].collection] = true;
            }
        }
        counts.idempotency_rows += (uint64_t)seen[SIM_PETS] + (uint64_t)seen[SIM_PRODUCTS];
    }
    return counts;
}

/* "collection 00 rest" */
static const struct sim_key *key_of_row(const struct sim *sim, struct bytes row, size_t id_from)
{
    char id[DOC_ID_MAX];
    struct bytes id_bytes = bytes_slice(row, id_from, row.size);
    snprintf(id, sizeof(id), "%.*s", (int)id_bytes.size, (const char *)id_bytes.data);
    for (uint32_t c = 0; c < SIM_COLLECTIONS; c++) {
        struct bytes name = sim->collections[c].name;
        if (bytes_starts_with(row, name) && row.data[name.size] == 0) {
            uint32_t found = model_key_find(sim, c, id);
            if (found != SIM_NO_KEY) {
                return &sim->model.keys[found];
            }
        }
    }
    sim_fail(sim, "a row of %s, which was never written", id);
}

static void check_record_row(const struct sim *sim, uint32_t shard, struct bytes row,
                             struct bytes value)
{
    const uint8_t *zero = memchr(row.data, 0, row.size);
    ASSERT(zero != NULL);
    const struct sim_key *key = key_of_row(sim, row, (size_t)(zero - row.data) + 1);
    const struct sim_change *state = model_state(&sim->model, key, key->change_count);
    struct row_record record;
    if (state == NULL || row_record_read(value, &record) != STATUS_OK) {
        sim_fail(sim, "shard %u has %s, which the journal has not", shard, key->id);
    }
    uint8_t json_bytes[DOC_JSON_MAX + DOC_ID_MAX];
    struct writer json = writer_of(json_bytes, sizeof(json_bytes));
    char id[DOC_ID_MAX];
    struct doc doc;
    const char *at = (const char *)json_bytes;
    if (document_record_to_json(bytes_of_text(key->id), record.document, &json) != STATUS_OK ||
        !doc_read_record(&at, at + json.size, id, &doc) || !doc_equal(&doc, &state->doc)) {
        sim_fail(sim, "shard %u has another %s than the journal", shard, key->id);
    }
    if (record.sequence != state->sequence || record.epoch != state->epoch ||
        record.version != state->version || record.time_ms != state->time_ms ||
        shard_of(sim, state) != shard) {
        sim_fail(sim,
                 "shard %u has %s at epoch %" PRIu64 " sequence %" PRIu64 " version %" PRIu64
                 ", the journal at %" PRIu64 " %" PRIu64 " %" PRIu64,
                 shard, key->id, record.epoch, record.sequence, record.version, state->epoch,
                 state->sequence, state->version);
    }
}

/* "products 00 category 00 size value id" */
static void check_index_row(const struct sim *sim, uint32_t shard, struct bytes row)
{
    size_t value_at = strlen("products") + 1 + strlen("category") + 1 + 2;
    ASSERT(row.size > value_at + 1);
    const struct sim_key *key = key_of_row(sim, row, value_at + 1);
    const struct sim_change *state = model_state(&sim->model, key, key->change_count);
    if (state == NULL || !state->doc.has[DOC_CATEGORY] ||
        state->doc.value[DOC_CATEGORY] != (uint32_t)(row.data[value_at] - 'a')) {
        sim_fail(sim, "shard %u: the index has %s under '%c', the journal has not", shard, key->id,
                 (char)row.data[value_at]);
    }
}

static void check_idempotency_row(const struct sim *sim, uint32_t shard, struct bytes row,
                                  struct bytes value)
{
    struct row_idempotency known;
    if (row_idempotency_read(value, &known) != STATUS_OK || known.sequence == 0 ||
        known.sequence > sim->model.count) {
        sim_fail(sim, "shard %u: an idempotency row without an entry", shard);
    }
    const struct sim_change *change = &sim->model.history[known.sequence - 1];
    uint32_t number = (uint32_t)(row.data[row.size - 1] - '0') + 1;
    if (change->idempotency != number || change->epoch != known.epoch ||
        known.expires_ms != change->time_ms + sim->setup.idempotency_ms ||
        !bytes_equal(known.id, bytes_of_text(sim->model.keys[change->key].id))) {
        sim_fail(sim, "shard %u: idempotency key %u names entry %" PRIu64, shard, number - 1,
                 known.sequence);
    }
}

static void check_rows(struct sim *sim, uint32_t shard, struct counts *found)
{
    const struct store_vtable *store = sim->stores[shard]->vtable;
    struct store_iterator *iterator;
    enum status status = store_iterator_create(sim->stores[shard], &iterator);
    ASSERT(status == STATUS_OK);
    for (store->iterator_seek(iterator, BYTES_LITERAL("a")); store->iterator_valid(iterator);
         store->iterator_next(iterator)) {
        struct bytes key = store->iterator_key(iterator);
        struct bytes rest = bytes_slice(key, 1, key.size);
        struct bytes value = store->iterator_value(iterator);
        switch (key.data[0]) {
        case 'r':
            found->records++;
            check_record_row(sim, shard, rest, value);
            break;
        case 'x':
            found->index_rows++;
            check_index_row(sim, shard, rest);
            break;
        case 'i':
            found->idempotency_rows++;
            check_idempotency_row(sim, shard, rest, value);
            break;
        default:
            break;
        }
    }
    store->iterator_destroy(iterator);
}

void check_stores(struct sim *sim)
{
    uint64_t last[SIM_SHARDS] = {0};
    for (uint64_t i = 0; i < sim->model.count; i++) {
        last[shard_of(sim, &sim->model.history[i])] = i + 1;
    }
    struct counts found = {0, 0, 0};
    for (uint32_t shard = 0; shard < SIM_SHARDS; shard++) {
        uint64_t applied = check_store_applied(sim, shard);
        if (applied != last[shard]) {
            sim_fail(sim, "shard %u has applied %" PRIu64 ", its last entry is %" PRIu64, shard,
                     applied, last[shard]);
        }
        check_rows(sim, shard, &found);
    }
    struct counts fold = counts_of_fold(sim);
    if (found.records != fold.records || found.index_rows != fold.index_rows ||
        found.idempotency_rows != fold.idempotency_rows) {
        sim_fail(sim,
                 "the stores have %" PRIu64 " records, %" PRIu64 " index rows, %" PRIu64
                 " idempotency rows; the journal %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                 found.records, found.index_rows, found.idempotency_rows, fold.records,
                 fold.index_rows, fold.idempotency_rows);
    }
}

void check_published(struct sim *sim)
{
    uint64_t published = engine_published(sim->engine);
    uint64_t committed = journal_committed(sim->journal);
    if (published > committed) {
        sim_fail(sim, "%" PRIu64 " is published, %" PRIu64 " committed", published, committed);
    }
    uint32_t left = SIM_SHARDS;
    bool seen[SIM_SHARDS] = {false};
    for (uint64_t i = published < sim->model.count ? published : sim->model.count;
         i > 0 && left > 0; i--) {
        uint32_t shard = shard_of(sim, &sim->model.history[i - 1]);
        if (!seen[shard]) {
            seen[shard] = true;
            left--;
            if (check_store_applied(sim, shard) < i) {
                sim_fail(sim, "%" PRIu64 " is published, but shard %u has not applied %" PRIu64,
                         published, shard, i);
            }
        }
    }
}
