/*
 * principal.h: on whose behalf a request runs. Until there is authentication everyone is anonymous,
 * with all rights.
 */
#ifndef FRESHET_ENGINE_SHARD_PRINCIPAL_H
#define FRESHET_ENGINE_SHARD_PRINCIPAL_H

#include <stdint.h>

#include "protocol/base/bytes.h"

enum principal_right {
    PRINCIPAL_READ = 1u << 0,
    PRINCIPAL_WRITE = 1u << 1,
    PRINCIPAL_INVALIDATE = 1u << 2, /* may refresh a cache entry (Cache-Control: max-age=0) */
};

struct principal {
    struct bytes name; /* scopes idempotency keys */
    uint32_t rights;
};

#define PRINCIPAL_ANONYMOUS                                                                        \
    ((struct principal){BYTES_LITERAL("anonymous"),                                                \
                        PRINCIPAL_READ | PRINCIPAL_WRITE | PRINCIPAL_INVALIDATE})

#endif
