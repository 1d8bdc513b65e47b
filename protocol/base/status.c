#include "protocol/base/status.h"

const char *status_name(enum status status)
{
    switch (status) {
#define STATUS_CASE(name, code, text)                                                              \
    case name:                                                                                     \
        return #name;
        STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    }
    return "STATUS_?";
}

const char *status_text(enum status status)
{
    switch (status) {
#define STATUS_CASE(name, code, text)                                                              \
    case name:                                                                                     \
        return text;
        STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}
