/* The configuration file: any bytes are read or refused, with a message. */
#include <stdlib.h>

#include "net/server/config_file.h"
#include "protocol/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    struct config config;
    struct settings_problem problem;
    settings_defaults(&settings);
    enum status status = config_read(bytes_of(data, size), "f", &settings, &config, &problem);
    if (status == STATUS_OK) {
        ASSERT(config.collection_count > 0);
        config_deinit(&config);
    } else {
        ASSERT(problem.text[0] != '\0');
        ASSERT(config.collections == NULL);
    }
    return 0;
}
