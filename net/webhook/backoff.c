#include "net/webhook/backoff.h"

#include <string.h>
#include <time.h>

#include "protocol/base/assert.h"

#define SECOND_NS 1000000000ull
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS   (60 * MINUTE_NS)
/* The longest date: "Wednesday, 09-Nov-94 08:49:37 GMT". */
#define DATE_BYTES_MAX 40

static const uint64_t times_ns[] = {
    5 * SECOND_NS, 5 * MINUTE_NS, 30 * MINUTE_NS, 2 * HOUR_NS,  5 * HOUR_NS,
    10 * HOUR_NS,  14 * HOUR_NS,  20 * HOUR_NS,   24 * HOUR_NS,
};
#define TIMES_COUNT (sizeof(times_ns) / sizeof(times_ns[0]))

enum backoff_outcome backoff_outcome(uint32_t http_status)
{
    if (http_status >= 200 && http_status <= 299) {
        return BACKOFF_DELIVERED;
    }
    switch (http_status) {
    case 410:
        return BACKOFF_DISABLE;
    case 429:
    case 502:
    case 504:
        return BACKOFF_THROTTLE;
    default:
        return BACKOFF_RETRY;
    }
}

/* Without jitter. */
static uint64_t base_ns(uint32_t attempts, uint64_t first_ns)
{
    if (attempts == 1) {
        return first_ns;
    }
    size_t longer = 0; /* the first of the times that are longer than first_ns */
    while (longer < TIMES_COUNT && times_ns[longer] <= first_ns) {
        longer++;
    }
    if (longer == TIMES_COUNT) {
        return first_ns;
    }
    size_t index = longer + attempts - 2;
    return times_ns[index < TIMES_COUNT ? index : TIMES_COUNT - 1];
}

uint64_t backoff_delay_ns(uint32_t attempts, uint64_t first_ns, uint64_t random)
{
    ASSERT(attempts >= 1);
    ASSERT(first_ns <= 365 * 24 * HOUR_NS);
    uint64_t base = base_ns(attempts, first_ns);
    return base + random % (base / 4 + 1);
}

/* The three forms of RFC 9110, 5.6.7; all are GMT. */
static bool date_read(const char *text, uint64_t *unix_s_out)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y",
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm broken_down = {0};
        const char *end = strptime(text, forms[i], &broken_down);
        if (end == NULL || *end != '\0') {
            continue;
        }
        time_t unix_s = timegm(&broken_down);
        if (unix_s < 0) {
            return false;
        }
        *unix_s_out = (uint64_t)unix_s;
        return true;
    }
    return false;
}

static uint64_t bounded_ns(uint64_t seconds)
{
    const uint64_t most = BACKOFF_RETRY_AFTER_NS_MAX / SECOND_NS;
    return (seconds < most ? seconds : most) * SECOND_NS;
}

bool backoff_retry_after(struct bytes value, uint64_t wall_s, uint64_t *delay_ns_out)
{
    uint64_t seconds = 0;
    bool is_number = value.size > 0;
    for (size_t i = 0; i < value.size && is_number; i++) {
        is_number = value.data[i] >= '0' && value.data[i] <= '9';
        /* Capped well before it could overflow. */
        if (is_number && seconds <= BACKOFF_RETRY_AFTER_NS_MAX / SECOND_NS) {
            seconds = 10 * seconds + (uint64_t)(value.data[i] - '0');
        }
    }
    if (is_number) {
        *delay_ns_out = bounded_ns(seconds);
        return true;
    }
    char text[DATE_BYTES_MAX + 1];
    uint64_t date_s;
    if (value.size > DATE_BYTES_MAX || value.size == 0) {
        return false;
    }
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (strlen(text) != value.size || !date_read(text, &date_s)) {
        return false;
    }
    *delay_ns_out = date_s > wall_s ? bounded_ns(date_s - wall_s) : 0;
    return true;
}
