/*
 * address.h: which resolved addresses a rule may not call, unless the configuration allows them.
 *
 * Special is whatever is not a public unicast address: private, loopback, link-local, shared
 * (CGNAT), multicast, documentation, benchmarking, reserved, and IPv6 outside 2000::/3. An IPv4
 * address within an IPv6 one (mapped, 6to4, NAT64) is judged as that IPv4 address. The check stands
 * at connect time, after name resolution, so that no name and no odd spelling of an address gets
 * around it.
 *
 * Owner:   the caller; a list is constant once parsed.
 * Tests:   tests/unit/net/webhook/test_address.c.
 */
#ifndef FRESHET_NET_WEBHOOK_ADDRESS_H
#define FRESHET_NET_WEBHOOK_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define ADDRESS_NETWORKS_MAX 64

/* IPv4 as its IPv4-mapped IPv6 address, with 96 more bits of prefix. */
struct address_network {
    uint8_t address[16];
    uint8_t prefix_bits;
};

struct address_list {
    uint32_t count;
    struct address_network networks[ADDRESS_NETWORKS_MAX];
};

/* "127.0.0.0/8, ::1/128": networks or single addresses. Empty, or "none": no network. INVALID with
 * problem_out (of 160 bytes) naming the entry that is wrong, and what would be right. */
MUST_USE enum status address_list_parse(const char *text, struct address_list *out,
                                        char *problem_out);
bool address_list_has(const struct address_list *list, struct bytes ip);

/* ip: 4 or 16 bytes in network order. Why it is special ("is a loopback address"; static storage),
 * or NULL: it is public. */
const char *address_special(struct bytes ip);

/* Of what a connection is about to be made to: NULL when it may be, else why not. A family other
 * than IPv4 and IPv6 may not. */
const char *address_refused(const struct address_list *allow, const struct sockaddr *address,
                            socklen_t size);

#endif
