#include "bindings/c/core.h"

#include <stdlib.h>

#include "bindings/c/core_internal.h"
#include "freshet.pb-c.h"

#define SLOT_NONE UINT32_MAX
/* WELCOME, ERROR, GOAWAY, SUBSCRIBED: texts, some positions. */
#define NOTICE_BYTES_MAX ((size_t)2 << 20)

static_assert(CORE_ID_HELLO < CORE_SLOTS_MAX, "no request has the id of HELLO");

enum freshet_status core_create(const struct core_options *options, struct core **out)
{
    *out = NULL;
    struct core *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        return FRESHET_NO_MEMORY;
    }
    core->format = options->format;
    core->wants_checks = options->checked;
    core->reconnects = options->reconnects;
    core->timeout_ns = options->timeout_ns;
    core->frame_bytes_max = FRAME_REQUEST_BYTES_MAX;
    core->slot_free = SLOT_NONE;
    error_room_set(&core->error, error_none());
    link_init(&core->requests);
    link_init(&core->subscriptions);
    core->token = core_copy_text(options->token == NULL ? "" : options->token);
    if (core->token == NULL || near_create(core, options) != FRESHET_OK) {
        core_destroy(&core);
        return FRESHET_NO_MEMORY;
    }
    *out = core;
    return FRESHET_OK;
}

void core_destroy(struct core **core)
{
    struct core *it = *core;
    *core = NULL;
    if (it == NULL) {
        return;
    }
    ASSERT(!it->is_inside);
    it->reconnects = false;
    core_lost(it, it->now_ns);
    ASSERT(list_is_empty(&it->requests));
    near_destroy(it);
    subscription_destroy_all(it);
    buffer_deinit(&it->in);
    buffer_deinit(&it->out);
    free(it->slots);
    free(it->token);
    free(it);
}

enum freshet_format core_format(const struct core *core)
{
    return core->format;
}

bool core_is_open(const struct core *core)
{
    return core->state == CORE_OPEN;
}

bool core_is_finished(const struct core *core)
{
    return core->state == CORE_LEAVING && core->in_flight == 0;
}

bool core_is_busy(const struct core *core)
{
    return !list_is_empty(&core->requests) || core->subscription_count > 0;
}

enum freshet_status core_break(struct core *core, const char *detail)
{
    core->state = CORE_BROKEN;
    return core_set_error(core, FRESHET_PROTOCOL, detail);
}

/* ---- ids ---- */

struct core_slot *core_slot_of(struct core *core, uint32_t id)
{
    uint32_t index = id & (CORE_SLOTS_MAX - 1);
    if (index >= core->slot_count || core->slots[index].kind == SLOT_FREE ||
        core->slots[index].uses != id >> CORE_SLOT_BITS) {
        return NULL;
    }
    return &core->slots[index];
}

static bool slots_grow(struct core *core)
{
    uint32_t capacity = core->slot_capacity == 0 ? 16 : core->slot_capacity * 2;
    if (core->slot_capacity == CORE_SLOTS_MAX) {
        return false;
    }
    struct core_slot *slots = realloc(core->slots, capacity * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    core->slots = slots;
    core->slot_capacity = capacity;
    return true;
}

uint32_t core_id_acquire(struct core *core, struct core_slot **slot_out)
{
    uint32_t index = core->slot_free;
    if (index == SLOT_NONE) {
        if (core->slot_count == core->slot_capacity && !slots_grow(core)) {
            return 0;
        }
        index = core->slot_count++;
        core->slots[index] = (struct core_slot){.kind = SLOT_FREE, .uses = 0};
    } else {
        core->slot_free = core->slots[index].next_free;
    }
    struct core_slot *slot = &core->slots[index];
    ASSERT(slot->kind == SLOT_FREE);
    /* From 1, so that no id is 0 or that of HELLO. */
    slot->uses = slot->uses == CORE_USES_MAX ? 1 : slot->uses + 1;
    *slot_out = slot;
    return slot->uses << CORE_SLOT_BITS | index;
}

void core_id_release(struct core *core, uint32_t id)
{
    struct core_slot *slot = core_slot_of(core, id);
    ASSERT(slot != NULL);
    ASSERT(slot->kind != SLOT_FREE);
    slot->kind = SLOT_FREE;
    slot->next_free = core->slot_free;
    core->slot_free = id & (CORE_SLOTS_MAX - 1);
}

/* ---- out ---- */

struct bytes core_output(const struct core *core)
{
    return buffer_bytes(&core->out);
}

void core_sent(struct core *core, size_t size)
{
    buffer_consume(&core->out, size);
    core->out_sent += size;
    ASSERT(core->out_sent <= core->out_total);
}

enum freshet_status core_put_frame(struct core *core, struct bytes frame)
{
    ASSERT(frame.size >= FRAME_HEADER_BYTES);
    size_t bytes_max = 2 * CORE_OUT_BYTES_MAX + FRAME_REQUEST_BYTES_MAX;
    enum status status = buffer_append(&core->out, frame, bytes_max);
    if (status != STATUS_OK) {
        return status == STATUS_TOO_LARGE ? FRESHET_BUSY : FRESHET_NO_MEMORY;
    }
    core->out_total += frame.size;
    return FRESHET_OK;
}

enum freshet_status core_put_small(struct core *core, uint8_t opcode, uint32_t id,
                                   struct bytes body)
{
    uint8_t frame[FRAME_HEADER_BYTES + 64];
    ASSERT(body.size <= sizeof(frame) - FRAME_HEADER_BYTES);
    struct frame_header header = {.length = (uint32_t)body.size, .opcode = opcode, .id = id};
    if (core->wants_checks) {
        header.flags = FRAME_FLAG_CHECKED;
        header.check = frame_check(body);
    }
    frame_header_write(&header, frame);
    if (body.size > 0) {
        memcpy(frame + FRAME_HEADER_BYTES, body.data, body.size);
    }
    return core_put_frame(core, bytes_of(frame, FRAME_HEADER_BYTES + body.size));
}

/* ---- beginning and end ---- */

void core_connected(struct core *core, uint64_t now_ns)
{
    char *features[3];
    uint32_t versions[] = {FRAME_VERSION};
    Freshet__Hello hello = FRESHET__HELLO__INIT;
    ASSERT(core->state == CORE_CLOSED);
    ASSERT(buffer_left(&core->out) == 0);
    core->state = CORE_GREETING;
    core->now_ns = now_ns;
    core->received_ns = now_ns;
    core->silence_ping_ns = 0;
    core->has_checks = false;
    core->out_total = 0;
    core->out_sent = 0;
    hello.versions = versions;
    hello.n_versions = 1;
    hello.features = features;
    if (core->format == FRESHET_JSON) {
        features[hello.n_features++] = (char *)"json";
    }
    if (core->near.cache != NULL) {
        features[hello.n_features++] = (char *)"invalidate";
    }
    if (core->wants_checks) {
        features[hello.n_features++] = (char *)"checked";
    }
    hello.token = core->token;
    hello.client = (char *)"libfreshet/" FRESHET_VERSION;
    if (core_put_control(core, FRAME_HELLO, CORE_ID_HELLO, &hello.base) != FRESHET_OK) {
        core_break(core, "out of memory");
    }
}

/* What another connection would meet again, so that nothing waits for one. */
static bool is_lasting(enum freshet_status status)
{
    return status == FRESHET_PROTOCOL || status == FRESHET_INVALID || status == FRESHET_TOO_LARGE ||
           status == FRESHET_UNAUTHORIZED || status == FRESHET_FORBIDDEN;
}

void core_lost(struct core *core, uint64_t now_ns)
{
    bool is_broken = core->state == CORE_BROKEN;
    bool is_fatal = is_broken && is_lasting(core->error.error.status);
    ASSERT(!core->is_inside);
    core->now_ns = now_ns;
    core->state = CORE_CLOSED;
    core->is_final = core->is_final || !core->reconnects;
    if (!is_broken) {
        core_set_error(core, FRESHET_DISCONNECTED, "the connection to the server is lost");
    }
    near_lost(core);
    core->is_inside = true;
    request_lost_all(core, is_fatal);
    core->is_inside = false;
    subscription_lost_all(core, is_fatal);
    buffer_clear(&core->in);
    buffer_clear(&core->out);
    /* No id means anything on another connection. */
    core->slot_count = 0;
    core->slot_free = SLOT_NONE;
    core->in_flight = 0;
}

void core_refuse(struct core *core, enum freshet_status status, const char *detail)
{
    ASSERT(core->state == CORE_CLOSED);
    core_set_error(core, status, detail);
    core->is_final = core->is_final || !core->reconnects;
    core->is_inside = true;
    request_fail_waiting(core, &core->error.error);
    core->is_inside = false;
}

static bool has_feature(const Freshet__Welcome *welcome, const char *feature)
{
    for (size_t index = 0; index < welcome->n_features; index++) {
        if (strcmp(welcome->features[index], feature) == 0) {
            return true;
        }
    }
    return false;
}

static enum freshet_status open_with(struct core *core, const Freshet__Welcome *welcome)
{
    if (welcome->version != FRAME_VERSION) {
        return core_break(core, "the server chose a version that this client did not offer");
    }
    if (core->format == FRESHET_JSON && !has_feature(welcome, "json")) {
        return core_break(core, "the server does not speak JSON; use the format MessagePack");
    }
    core->state = CORE_OPEN;
    core->has_checks = core->wants_checks && has_feature(welcome, "checked");
    if (welcome->frame_bytes_max > 0 && welcome->frame_bytes_max < FRAME_REQUEST_BYTES_MAX) {
        core->frame_bytes_max = welcome->frame_bytes_max;
    }
    near_opened(core, has_feature(welcome, "invalidate"));
    subscription_send_waiting(core);
    request_send_waiting(core);
    return core->state == CORE_OPEN ? FRESHET_OK : core->error.error.status;
}

/* ---- in ---- */

static enum freshet_status take_error(struct core *core, struct bytes body)
{
    struct freshet_error error;
    void *memory;
    enum freshet_status status = control_error(core, body, &error, &memory);
    if (status != FRESHET_OK) {
        return status;
    }
    core->state = CORE_BROKEN;
    core_set_full_error(core, &error);
    control_free(memory);
    return core->error.error.status;
}

static enum freshet_status take_welcome(struct core *core, const struct frame_header *header,
                                        struct bytes body)
{
    if (header->opcode == FRAME_ERROR) {
        return take_error(core, body);
    }
    Freshet__Welcome *welcome = control_unpack(&freshet__welcome__descriptor, body);
    if (welcome == NULL) {
        return core_break(core, "a WELCOME that cannot be read");
    }
    enum freshet_status status = open_with(core, welcome);
    control_free(welcome);
    return status;
}

static enum freshet_status take_goaway(struct core *core, struct bytes body)
{
    Freshet__Goaway *goaway = control_unpack(&freshet__goaway__descriptor, body);
    if (goaway == NULL) {
        return core_break(core, "a GOAWAY that cannot be read");
    }
    for (size_t index = 0; index < goaway->n_subscriptions; index++) {
        const Freshet__Goaway__Subscription *at = goaway->subscriptions[index];
        struct core_slot *slot = core_slot_of(core, at->id);
        if (slot != NULL && slot->kind == SLOT_SUBSCRIPTION &&
            slot->subscription->received.size == 0) {
            position_set(&slot->subscription->received, bytes_of_text(at->position));
        }
    }
    control_free(goaway);
    core->state = CORE_LEAVING;
    return FRESHET_OK;
}

static enum freshet_status take_of_subscription(struct core *core,
                                                struct freshet_subscription *subscription,
                                                const struct frame_header *header,
                                                struct bytes body)
{
    if (header->opcode == FRAME_CHANGES) {
        return subscription->is_near ? core_break(core, "CHANGES where INVALIDATE was asked for")
                                     : subscription_changes(core, subscription, body);
    }
    if (header->opcode == FRAME_INVALIDATE) {
        return subscription->is_near ? near_invalidated(core, body)
                                     : core_break(core, "INVALIDATE that nobody asked for");
    }
    return subscription_answered(core, subscription, header, body);
}

/* Of a later protocol, or for nobody who waits. */
static bool is_passed_over(struct core *core, const struct frame_header *header)
{
    bool is_known = *frame_opcode_name(header->opcode) != '?';
    return !is_known || (header->id != 0 && core_slot_of(core, header->id) == NULL);
}

static enum freshet_status take_frame(struct core *core, const struct frame_header *header,
                                      struct bytes body)
{
    if ((header->flags & FRAME_FLAG_CHECKED) != 0 && frame_check(body) != header->check) {
        return core_break(core, "a frame whose checksum is wrong");
    }
    if (core->state == CORE_GREETING) {
        return take_welcome(core, header, body);
    }
    if (is_passed_over(core, header)) {
        return FRESHET_OK;
    }
    if (header->id == 0) {
        return header->opcode == FRAME_GOAWAY ? take_goaway(core, body) : take_error(core, body);
    }
    struct core_slot *slot = core_slot_of(core, header->id);
    ASSERT(slot != NULL); /* else it was passed over */
    if (slot->kind == SLOT_SUBSCRIPTION) {
        return take_of_subscription(core, slot->subscription, header, body);
    }
    return request_answered(core, slot->request, header, body);
}

/* Judged by its head alone, before any of a long body is waited for. NULL: it may come. */
static const char *head_objection(struct core *core, const struct frame_header *header)
{
    if ((header->flags & ~FRAME_FLAGS_KNOWN) != 0) {
        return "a frame with unknown flags";
    }
    if (header->length > FRAME_ANSWER_BYTES_MAX) {
        return "a frame that is longer than the protocol allows";
    }
    bool is_notice = header->opcode == FRAME_ERROR || header->opcode == FRAME_GOAWAY ||
                     header->opcode == (FRAME_HELLO | FRAME_ANSWER) ||
                     header->opcode == (FRAME_SUBSCRIBE | FRAME_ANSWER);
    if (is_notice && header->length > NOTICE_BYTES_MAX) {
        return "a control frame that is too long";
    }
    if (core->has_checks && (header->flags & FRAME_FLAG_CHECKED) == 0) {
        return "a frame without the checksum that was agreed on";
    }
    if (core->state == CORE_GREETING) {
        bool is_answer =
            header->opcode == (FRAME_HELLO | FRAME_ANSWER) || header->opcode == FRAME_ERROR;
        return is_answer && header->id <= CORE_ID_HELLO ? NULL : "something else than WELCOME";
    }
    if (header->opcode == (FRAME_HELLO | FRAME_ANSWER)) {
        return "a second WELCOME";
    }
    if (is_passed_over(core, header)) {
        return NULL;
    }
    if (header->id == 0) {
        bool is_own = header->opcode == FRAME_GOAWAY || header->opcode == FRAME_ERROR;
        return is_own ? NULL : "an answer without an id";
    }
    struct core_slot *slot = core_slot_of(core, header->id);
    ASSERT(slot != NULL);
    if (slot->kind == SLOT_REQUEST && header->opcode != FRAME_ERROR &&
        header->opcode != (slot->request->opcode | FRAME_ANSWER)) {
        return "an answer to something else than what was asked";
    }
    return NULL;
}

/* The next frame, if all of it has come. */
static enum freshet_status step(struct core *core, bool *is_done_out)
{
    struct bytes in = buffer_bytes(&core->in);
    *is_done_out = true;
    if (in.size < FRAME_HEADER_BYTES) {
        return FRESHET_OK;
    }
    struct frame_header header = frame_header_read(in.data);
    const char *objection = head_objection(core, &header);
    if (objection != NULL) {
        return core_break(core, objection);
    }
    if (in.size - FRAME_HEADER_BYTES < header.length) {
        return FRESHET_OK;
    }
    *is_done_out = false;
    struct bytes body = bytes_slice(in, FRAME_HEADER_BYTES, header.length);
    enum freshet_status status = take_frame(core, &header, body);
    buffer_consume(&core->in, FRAME_HEADER_BYTES + header.length);
    return status;
}

enum freshet_status core_room(struct core *core, uint8_t **data_out, size_t *size_out)
{
    struct bytes in = buffer_bytes(&core->in);
    size_t more = CORE_READ_BYTES;
    /* Room for the rest of a long frame grows with what has come: a header is only a claim. */
    if (in.size > CORE_READ_BYTES) {
        more = in.size < CORE_IN_BYTES_MAX - in.size ? in.size : CORE_IN_BYTES_MAX - in.size;
    }
    enum status status = buffer_reserve(&core->in, more, CORE_IN_BYTES_MAX);
    if (status != STATUS_OK || more == 0) {
        return core_set_error(core, FRESHET_NO_MEMORY, NULL);
    }
    *data_out = core->in.data + core->in.size;
    *size_out = core->in.capacity - core->in.size;
    if (*size_out > CORE_IN_BYTES_MAX - buffer_left(&core->in)) {
        *size_out = CORE_IN_BYTES_MAX - buffer_left(&core->in);
    }
    return FRESHET_OK;
}

enum freshet_status core_received(struct core *core, size_t size, uint64_t now_ns)
{
    ASSERT(core->state != CORE_CLOSED);
    ASSERT(size <= core->in.capacity - core->in.size);
    ASSERT(!core->is_inside);
    core->in.size += size;
    core->now_ns = now_ns;
    core->received_ns = now_ns;
    core->silence_ping_ns = 0;
    if (core->state == CORE_BROKEN) {
        return core->error.error.status;
    }
    enum freshet_status status = FRESHET_OK;
    core->is_inside = true;
    for (bool is_done = false; !is_done && status == FRESHET_OK;) {
        status = step(core, &is_done);
    }
    core->is_inside = false;
    return status;
}

/* ---- time ---- */

/* Something should come: an answer, changes, or at least a mark that there are none. */
static bool is_expecting(const struct core *core)
{
    return (core->state == CORE_OPEN || core->state == CORE_LEAVING) &&
           (core->in_flight > 0 || core->subscription_count > 0);
}

static uint64_t silence_deadline_ns(const struct core *core)
{
    if (!is_expecting(core)) {
        return CORE_NEVER;
    }
    uint64_t from_ns =
        core->silence_ping_ns > core->received_ns ? core->silence_ping_ns : core->received_ns;
    return from_ns + CORE_SILENCE_NS;
}

static void ignore_pong(void *context, const struct freshet_result *result)
{
    (void)context;
    (void)result;
}

static enum freshet_status silence_tick(struct core *core)
{
    if (core->now_ns < silence_deadline_ns(core)) {
        return FRESHET_OK;
    }
    if (core->silence_ping_ns != 0 || core->state != CORE_OPEN) {
        return core_set_error(core, FRESHET_DISCONNECTED, "the server does not answer");
    }
    core->silence_ping_ns = core->now_ns;
    struct writer body;
    struct request *ping = request_create(core, FRAME_PING, 0, 0, &body);
    if (ping == NULL) {
        return FRESHET_OK; /* without it the next turn gives up */
    }
    ping->is_internal = true;
    struct core_done done = {ignore_pong, NULL};
    enum freshet_status status = request_submit(core, ping, &body, false, core->now_ns, done);
    (void)status; /* likewise */
    return FRESHET_OK;
}

enum freshet_status core_tick(struct core *core, uint64_t now_ns)
{
    ASSERT(!core->is_inside);
    core->now_ns = now_ns;
    core->is_inside = true;
    request_tick(core, now_ns);
    near_tick(core, now_ns);
    core->is_inside = false;
    if (core->state == CORE_BROKEN) {
        return core->error.error.status;
    }
    return silence_tick(core);
}

uint64_t core_deadline_ns(const struct core *core)
{
    uint64_t deadline_ns = request_deadline_ns(core);
    uint64_t near_ns = near_deadline_ns(core);
    uint64_t silence_ns = silence_deadline_ns(core);
    deadline_ns = near_ns < deadline_ns ? near_ns : deadline_ns;
    return silence_ns < deadline_ns ? silence_ns : deadline_ns;
}
