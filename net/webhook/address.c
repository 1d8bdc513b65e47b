#include "net/webhook/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/assert.h"

#define PROBLEM_BYTES   160
#define ENTRY_BYTES_MAX 64
#define V4_PREFIX_BITS  96

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

struct special {
    uint8_t address[16];
    uint8_t prefix_bits;
    const char *why;
};

/* IANA's registry of special-purpose addresses (RFC 6890 and later), and multicast. */
static const struct special specials_v4[] = {
    {{0}, 8, "is of this network (0.0.0.0/8)"},
    {{10}, 8, "is a private address"},
    {{100, 64}, 10, "is a shared address (carrier-grade NAT)"},
    {{127}, 8, "is a loopback address"},
    {{169, 254}, 16, "is a link-local address"},
    {{172, 16}, 12, "is a private address"},
    {{192, 0, 0}, 24, "is reserved for protocols"},
    {{192, 0, 2}, 24, "is for documentation"},
    {{192, 88, 99}, 24, "is a 6to4 relay"},
    {{192, 168}, 16, "is a private address"},
    {{198, 18}, 15, "is for benchmarking"},
    {{198, 51, 100}, 24, "is for documentation"},
    {{203, 0, 113}, 24, "is for documentation"},
    {{224}, 4, "is a multicast address"},
    {{240}, 4, "is reserved"},
};

static const struct special specials_v6[] = {
    {{0}, 128, "is the unspecified address"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "is a loopback address"},
    {{0x20, 0x01, 0x0D, 0xB8}, 32, "is for documentation"},
    {{0x20, 0x01}, 23, "is reserved for protocols"},
    {{0x3F, 0xFF}, 20, "is for documentation"},
    {{0xFC}, 7, "is a private address"},
    {{0xFE, 0x80}, 10, "is a link-local address"},
    {{0xFE, 0xC0}, 10, "is a site-local address"},
    {{0xFF}, 8, "is a multicast address"},
};

/* Where an IPv6 address may carry an IPv4 one. */
struct carrier {
    uint8_t address[16];
    uint8_t prefix_bits;
    uint8_t v4_at;
};

static const struct carrier carriers[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96, 12}, /* mapped */
    {{0x00, 0x64, 0xFF, 0x9B}, 96, 12},                   /* NAT64 */
    {{0x20, 0x02}, 16, 2},                                /* 6to4 */
};

/* Both have room for as many bits. */
static bool shares_prefix(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
    uint32_t whole = bits / 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xFF00u >> (bits % 8));
    return bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

static const char *special_find(const struct special *specials, size_t count, const uint8_t *ip)
{
    for (size_t i = 0; i < count; i++) {
        if (shares_prefix(ip, specials[i].address, specials[i].prefix_bits)) {
            return specials[i].why;
        }
    }
    return NULL;
}

static const char *special_v4(const uint8_t ip[4])
{
    return special_find(specials_v4, sizeof(specials_v4) / sizeof(specials_v4[0]), ip);
}

const char *address_special(struct bytes ip)
{
    ASSERT(ip.size == 4 || ip.size == 16);
    if (ip.size == 4) {
        return special_v4(ip.data);
    }
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        if (shares_prefix(ip.data, carriers[i].address, carriers[i].prefix_bits)) {
            return special_v4(ip.data + carriers[i].v4_at);
        }
    }
    const char *why =
        special_find(specials_v6, sizeof(specials_v6) / sizeof(specials_v6[0]), ip.data);
    bool is_global = (ip.data[0] & 0xE0) == 0x20; /* 2000::/3 */
    return why == NULL && !is_global ? "is not a global address" : why;
}

/* ---- the list ---- */

static void address_widen(struct bytes ip, uint8_t out[16])
{
    ASSERT(ip.size == 4 || ip.size == 16);
    memcpy(out, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ip.size == 4 ? out + sizeof(mapped_prefix) : out, ip.data, ip.size);
}

bool address_list_has(const struct address_list *list, struct bytes ip)
{
    uint8_t wide[16];
    address_widen(ip, wide);
    ASSERT(list->count <= ADDRESS_NETWORKS_MAX);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct address_network *network = &list->networks[i];
        if (shares_prefix(wide, network->address, network->prefix_bits)) {
            return true;
        }
    }
    return false;
}

static bool prefix_read(const char *text, uint32_t most, uint32_t *out)
{
    uint32_t value = 0;
    size_t size = strlen(text);
    bool valid = size >= 1 && size <= 3;
    for (size_t i = 0; i < size && valid; i++) {
        valid = text[i] >= '0' && text[i] <= '9';
        value = 10 * value + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return valid && value <= most;
}

/* Clears what stands behind the prefix; true when that was anything. */
static bool bits_cut(uint8_t address[16], uint32_t bits)
{
    bool found = false;
    for (uint32_t i = bits / 8; i < 16; i++) {
        uint32_t keep = i > bits / 8 ? 0 : (0xFF00u >> (bits % 8)) & 0xFF;
        found = found || (address[i] & ~keep) != 0;
        address[i] = (uint8_t)(address[i] & keep);
    }
    return found;
}

static enum status network_read(const char *entry, struct address_network *out, char *problem_out)
{
    char text[ENTRY_BYTES_MAX + 1];
    snprintf(text, sizeof(text), "%s", entry);
    char *slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    uint8_t ip[16];
    bool is_v4 = inet_pton(AF_INET, text, ip) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, ip) != 1) {
        snprintf(problem_out, PROBLEM_BYTES,
                 "'%s' is not a network like 10.0.0.0/8 or fd00::/8, or an address", entry);
        return STATUS_INVALID;
    }
    uint32_t most = is_v4 ? 32 : 128;
    uint32_t bits = most;
    if (slash != NULL && !prefix_read(slash + 1, most, &bits)) {
        snprintf(problem_out, PROBLEM_BYTES, "'%s': after the '/' comes a number from 0 to %u",
                 entry, most);
        return STATUS_INVALID;
    }
    address_widen(bytes_of(ip, is_v4 ? 4 : 16), out->address);
    out->prefix_bits = (uint8_t)(bits + (is_v4 ? V4_PREFIX_BITS : 0));
    if (bits_cut(out->address, out->prefix_bits)) {
        char base[INET6_ADDRSTRLEN] = "";
        inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? out->address + 12 : out->address, base,
                  sizeof(base));
        snprintf(problem_out, PROBLEM_BYTES, "'%s' has bits behind its prefix: is it %s/%u?", entry,
                 base, bits);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status entry_read(const char *from, size_t size, struct address_list *out,
                              char *problem_out)
{
    if (size == 0 || size > ENTRY_BYTES_MAX) {
        snprintf(problem_out, PROBLEM_BYTES,
                 size == 0 ? "between two commas there is nothing"
                           : "'%.40s…' is not a network like 10.0.0.0/8",
                 from);
        return STATUS_INVALID;
    }
    if (out->count == ADDRESS_NETWORKS_MAX) {
        snprintf(problem_out, PROBLEM_BYTES, "there are over %d networks", ADDRESS_NETWORKS_MAX);
        return STATUS_INVALID;
    }
    char entry[ENTRY_BYTES_MAX + 1];
    memcpy(entry, from, size);
    entry[size] = '\0';
    enum status status = network_read(entry, &out->networks[out->count], problem_out);
    out->count += status == STATUS_OK;
    return status;
}

enum status address_list_parse(const char *text, struct address_list *out, char *problem_out)
{
    static const char space[] = " \t";
    memset(out, 0, sizeof(*out));
    const char *at = text + strspn(text, space);
    if (*at == '\0' || strcmp(at, "none") == 0) {
        return STATUS_OK;
    }
    for (;;) {
        at += strspn(at, space);
        const char *comma = at + strcspn(at, ",");
        size_t size = (size_t)(comma - at);
        while (size > 0 && strchr(space, at[size - 1]) != NULL) {
            size--;
        }
        enum status status = entry_read(at, size, out, problem_out);
        if (status != STATUS_OK || *comma == '\0') {
            return status;
        }
        at = comma + 1;
    }
}

/* ---- a connection ---- */

const char *address_refused(const struct address_list *allow, const struct sockaddr *address,
                            socklen_t size)
{
    uint8_t ip[16];
    size_t ip_size;
    if (address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        ip_size = sizeof(v4.sin_addr);
        memcpy(ip, &v4.sin_addr, ip_size);
    } else if (address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        ip_size = sizeof(v6.sin6_addr);
        memcpy(ip, &v6.sin6_addr, ip_size);
    } else {
        return "is neither an IPv4 nor an IPv6 address";
    }
    struct bytes bytes = bytes_of(ip, ip_size);
    return address_list_has(allow, bytes) ? NULL : address_special(bytes);
}
