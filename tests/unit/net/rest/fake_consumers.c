#include "fake_consumers.h"

#include "protocol/base/assert.h"
#include "protocol/document/json.h"

struct fake_consumers fake_consumers;

void fake_consumers_start(void)
{
    fake_init();
    fake_stream_init();
    fake.options.consumers = (struct consumers *)(void *)&fake_consumers; /* never looked into */
    fake_start();
}

void fake_consumer_done(enum status status, const char *definition)
{
    struct consumer_request *request = fake_consumers.asked;
    ASSERT(request != NULL);
    fake_consumers.asked = NULL;
    request->status = status;
    if (definition != NULL) {
        struct writer out = writer_of(fake_consumers.definition, sizeof(fake_consumers.definition));
        enum status read = json_to_document(bytes_of_text(definition), &out, NULL);
        ASSERT(read == STATUS_OK);
        request->definition = writer_bytes(&out);
    }
    request->done(request);
}

/* ---- engine/stream ---- */

bool consumer_name_valid(struct bytes name)
{
    return name.size > 0 && name.data[0] != '!';
}

uint64_t consumers_lease_ns(const struct consumers *consumers)
{
    (void)consumers;
    return FAKE_LEASE_NS;
}

uint64_t consumers_renew_ns(const struct consumers *consumers)
{
    (void)consumers;
    return FAKE_RENEW_NS;
}

void consumers_submit(struct consumers *consumers, struct consumer_request *request)
{
    ASSERT((void *)consumers == (void *)&fake_consumers);
    ASSERT(request->done != NULL);
    ASSERT(fake_consumers.asked == NULL);
    fake_consumers.asked = request;
    fake_consumers.asks++;
}
