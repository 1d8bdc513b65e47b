/*
 * driver.h: the driver of libfreshet: DRIVER.md in terms of freshet.h.
 *
 * Owner:     one thread, which reads lines and answers them.
 * Memory:    handles and subscriptions in arrays of a fixed size.
 * Tests:     it is a test's part.
 */
#ifndef FRESHET_TESTS_CONFORMANCE_DRIVER_H
#define FRESHET_TESTS_CONFORMANCE_DRIVER_H

#include <freshet.h>

#include "tests/conformance/drivers/c/line.h"

#define HANDLES_MAX       8
#define SUBSCRIPTIONS_MAX 16
#define NAME_BYTES_MAX    64

struct handle {
    char name[NAME_BYTES_MAX]; /* empty: free */
    struct freshet *db;
};

struct named_subscription {
    char name[NAME_BYTES_MAX]; /* empty: free */
    struct freshet *db;
    struct freshet_subscription *subscription;
};

struct driver {
    struct line line;
    struct handle handles[HANDLES_MAX];
    struct named_subscription subscriptions[SUBSCRIPTIONS_MAX];
    struct freshet *db; /* of this line */
    uint64_t start_ns;  /* of the call of the binding; 0: it is not told */
    uint64_t end_ns;
};

/* Writes the members of `ok`. What it returns is answered as an error, unless it is OK. */
typedef enum freshet_status operation(struct driver *driver, struct bytes object,
                                      struct writer *out);

struct named_operation {
    const char *name;
    operation *function;
};

/* Each ends with a name NULL. */
extern const struct named_operation record_operations[];
extern const struct named_operation stream_operations[];

uint64_t driver_clock_ns(void);
/* The error's members, for an operation of a batch or a whole line. NULL, or an error of another
 * status: the status is all there is. */
void put_error(struct writer *out, enum freshet_status status, const struct freshet_error *error);

#endif
