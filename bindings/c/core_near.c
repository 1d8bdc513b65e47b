/*
 * The near cache's lease: from the moment at which a PING was sent, whose PONG has come, every
 * change up to then has been told; so what is cached may be served for the lease from then on.
 * Without a word from the server nothing is renewed and every read goes to the server.
 */
#include <stdlib.h>

#include "bindings/c/core_internal.h"

/* A PING each quarter of the lease. */
#define PINGS_PER_LEASE 4
#define PROGRESS_MS_MIN 50
#define NS_PER_MS       ((uint64_t)1000 * 1000)

/* "a,b" as "a\0b\0\0"; NULL without memory. */
static char *names_copy(const char *list)
{
    size_t size = strlen(list);
    char *names = calloc(1, size + 2);
    if (names == NULL) {
        return NULL;
    }
    size_t to = 0;
    for (size_t from = 0; from < size; from++) {
        bool is_end = list[from] == ',' || list[from] == ' ';
        if (!is_end) {
            names[to++] = list[from];
        } else if (to > 0 && names[to - 1] != '\0') {
            names[to++] = '\0';
        }
    }
    return names;
}

enum freshet_status near_create(struct core *core, const struct core_options *options)
{
    struct core_near *near = &core->near;
    if (options->near_bytes == 0) {
        return FRESHET_OK;
    }
    ASSERT(options->lease_ns > 0);
    near->lease_ns = options->lease_ns;
    if (options->near_collections != NULL) {
        near->collections = names_copy(options->near_collections);
        if (near->collections == NULL) {
            return FRESHET_NO_MEMORY;
        }
    }
    enum status status = near_cache_create(options->near_bytes, options->seed, &near->cache);
    return status == STATUS_OK ? FRESHET_OK : FRESHET_NO_MEMORY;
}

void near_destroy(struct core *core)
{
    near_cache_destroy(&core->near.cache);
    free(core->near.collections);
    core->near.collections = NULL;
    core->near.subscription = NULL; /* goes with the others */
}

bool near_is_cached(const struct core *core, struct bytes collection)
{
    const char *name = core->near.collections;
    if (core->near.cache == NULL) {
        return false;
    }
    if (name == NULL) {
        return true;
    }
    while (*name != '\0' && !bytes_equal(bytes_of_text(name), collection)) {
        name += strlen(name) + 1;
    }
    return *name != '\0';
}

uint64_t near_hash(const struct core *core, const char *collection, const char *id)
{
    return near_cache_hash(core->near.cache, bytes_of_text(collection), bytes_of_text(id));
}

/* ---- the subscription ---- */

void near_opened(struct core *core, bool is_supported)
{
    struct core_near *near = &core->near;
    if (near->subscription != NULL && !is_supported) {
        struct freshet_subscription *subscription = near->subscription;
        near_ended(core);
        subscription_destroy(subscription);
    }
    if (near->cache == NULL || !is_supported || near->subscription != NULL) {
        return;
    }
    /* One name is the server's to filter by; several are not worth a subscription each. */
    const char *only = "";
    if (near->collections != NULL && near->collections[strlen(near->collections) + 1] == '\0') {
        only = near->collections;
    }
    uint64_t progress_ms = near->lease_ns / NS_PER_MS / PINGS_PER_LEASE;
    progress_ms = progress_ms < PROGRESS_MS_MIN ? PROGRESS_MS_MIN : progress_ms;
    progress_ms = progress_ms > UINT32_MAX ? UINT32_MAX : progress_ms;
    near->subscription = subscription_create_near(core, only, (uint32_t)progress_ms);
}

/* From here on every change is told: what is read from now on may be kept. */
static void position_known(struct core *core, struct bytes position)
{
    struct core_near *near = &core->near;
    if (!near->is_positioned && position.size > 0) {
        near_cache_restart(near->cache);
        near->is_positioned = true;
    }
}

void near_subscribed(struct core *core)
{
    struct core_near *near = &core->near;
    const struct position *position = &near->subscription->received;
    position_known(core, bytes_of(position->text, position->size));
    near->next_ping_ns = core->now_ns;
}

void near_lost(struct core *core)
{
    core->near.is_live = false;
    core->near.is_pinging = false;
    core->near.until_ns = 0;
    core->near.next_ping_ns = CORE_NEVER;
}

/* The server has ended it: its position is of no use any more. Begin again with nothing. */
void near_ended(struct core *core)
{
    struct core_near *near = &core->near;
    near->is_live = false;
    near->until_ns = 0;
    near->next_ping_ns = CORE_NEVER;
    near->is_ping_void = true; /* one that is under way says nothing about a later subscription */
    near->is_positioned = false;
    near->subscription = NULL;
    near_cache_restart(near->cache);
}

/* ---- the lease ---- */

static void ponged(void *context, const struct freshet_result *result)
{
    struct core *core = context;
    struct core_near *near = &core->near;
    near->is_pinging = false;
    if (result->status == FRESHET_OK && !near->is_ping_void) {
        near->until_ns = near->ping_sent_ns + near->lease_ns;
    }
}

void near_tick(struct core *core, uint64_t now_ns)
{
    struct core_near *near = &core->near;
    if (near->cache == NULL || core->state != CORE_OPEN || near->is_pinging ||
        now_ns < near->next_ping_ns) {
        return;
    }
    struct writer body;
    struct request *ping = request_create(core, FRAME_PING, 0, 0, &body);
    near->next_ping_ns = now_ns + near->lease_ns / PINGS_PER_LEASE;
    if (ping == NULL) {
        return;
    }
    ping->is_internal = true;
    struct core_done done = {ponged, core};
    if (request_submit(core, ping, &body, false, now_ns, done) == FRESHET_OK) {
        near->ping_sent_ns = now_ns;
        near->is_pinging = true;
        near->is_ping_void = false;
    }
}

uint64_t near_deadline_ns(const struct core *core)
{
    const struct core_near *near = &core->near;
    bool is_due = near->cache != NULL && core->state == CORE_OPEN && !near->is_pinging;
    return is_due ? near->next_ping_ns : CORE_NEVER;
}

uint64_t core_near_until_ns(const struct core *core)
{
    return core->near.is_live ? core->near.until_ns : 0;
}

/* ---- what is told ---- */

static bool invalidated_key(struct core *core, struct reader *reader)
{
    uint32_t count;
    struct near_pair pair;
    struct bytes collection;
    struct bytes id;
    if (!answer_array(reader, 4, &count) || !answer_u64(reader, &pair.epoch) ||
        !answer_u64(reader, &pair.sequence) ||
        !answer_text(reader, COLLECTION_NAME_BYTES_MAX, &collection) ||
        !answer_text(reader, ID_BYTES_MAX, &id) || !answer_skip(reader, count - 4)) {
        return false;
    }
    if (near_is_cached(core, collection)) {
        struct near_cache *cache = core->near.cache;
        near_cache_invalidate(cache, near_cache_hash(cache, collection, id), pair);
    }
    return true;
}

/* [position, live, [[epoch, sequence, collection, id], …]] */
enum freshet_status near_invalidated(struct core *core, struct bytes body)
{
    struct core_near *near = &core->near;
    struct reader reader = reader_of(body);
    uint32_t count;
    uint32_t keys = 0;
    struct bytes position;
    bool is_live;
    if (near->subscription == NULL) {
        return core_break(core, "INVALIDATE that nobody asked for");
    }
    bool is_sound = answer_array(&reader, 3, &count) &&
                    answer_text_or_nil(&reader, POSITION_TEXT_BYTES_MAX, &position) &&
                    answer_bool(&reader, &is_live) && answer_array(&reader, 0, &keys);
    for (uint32_t index = 0; index < keys && is_sound; index++) {
        is_sound = invalidated_key(core, &reader);
    }
    if (!is_sound || !answer_skip(&reader, count - 3)) {
        return core_break(core, "an INVALIDATE that cannot be read");
    }
    if (position.size > 0) {
        position_set(&near->subscription->received, position);
        position_known(core, position);
    }
    near->is_live = is_live;
    return FRESHET_OK;
}

void near_read(struct core *core, const struct request *request, struct bytes collection,
               struct bytes id, const struct answer_state *state)
{
    struct core_near *near = &core->near;
    if (!near_is_cached(core, collection) || !near->is_positioned) {
        return;
    }
    struct near_key key = {collection, id, near_cache_hash(near->cache, collection, id)};
    struct near_state cached = {state->data, state->pair, state->version, state->is_there};
    near_cache_fill(near->cache, &key, &cached, request->event_sent);
}

void near_written(struct core *core, uint64_t hash, struct near_pair pair)
{
    near_cache_outdate(core->near.cache, hash, pair);
}

void near_changed(struct core *core, struct bytes collection, struct bytes id)
{
    if (near_is_cached(core, collection)) {
        struct near_cache *cache = core->near.cache;
        near_cache_outdate(cache, near_cache_hash(cache, collection, id), NEAR_PAIR_UNKNOWN);
    }
}

void near_listed(struct core *core, struct bytes collection, struct bytes id, struct bytes data)
{
    struct near_state state;
    if (!near_is_cached(core, collection)) {
        return;
    }
    struct near_cache *cache = core->near.cache;
    struct near_key key = {collection, id, near_cache_hash(cache, collection, id)};
    if (!near_cache_find(cache, &key, &state) || !bytes_equal(state.data, data)) {
        near_cache_outdate(cache, key.hash, NEAR_PAIR_UNKNOWN);
    }
}

/* ---- what is served ---- */

enum freshet_status core_look(struct core *core, const char *collection, const char *id,
                              uint64_t now_ns, struct freshet_record *out)
{
    struct core_near *near = &core->near;
    struct near_state state;
    if (near->cache == NULL) {
        return FRESHET_AGAIN;
    }
    if (!near->is_live || now_ns >= near->until_ns) {
        near->passed++;
        return FRESHET_AGAIN;
    }
    struct near_key key = {bytes_of_text(collection), bytes_of_text(id), 0};
    key.hash = near_cache_hash(near->cache, key.collection, key.id);
    if (!near_cache_find(near->cache, &key, &state)) {
        near->misses++;
        return FRESHET_AGAIN;
    }
    near->hits++;
    *out = (struct freshet_record){.data = state.is_there ? (const char *)state.data.data : NULL,
                                   .size = state.data.size,
                                   .epoch = state.pair.epoch,
                                   .sequence = state.pair.sequence,
                                   .version = state.version,
                                   .near = true};
    return state.is_there ? FRESHET_OK : FRESHET_NOT_FOUND;
}

void core_near_statistics(const struct core *core, struct freshet_near_statistics *out)
{
    *out = (struct freshet_near_statistics){0};
    if (core->near.cache == NULL) {
        return;
    }
    struct near_cache_counts counts = near_cache_counts(core->near.cache);
    *out = (struct freshet_near_statistics){.hits = core->near.hits,
                                            .misses = core->near.misses,
                                            .passed = core->near.passed,
                                            .invalidations = counts.invalidations,
                                            .dropped_fills = counts.dropped_fills,
                                            .evictions = counts.evictions,
                                            .entries = counts.entries,
                                            .bytes = counts.bytes};
}
