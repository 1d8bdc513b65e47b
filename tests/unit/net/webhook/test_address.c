#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "net/webhook/address.h"

static struct bytes ip_of(const char *text, uint8_t buffer[16])
{
    if (inet_pton(AF_INET, text, buffer) == 1) {
        return bytes_of(buffer, 4);
    }
    cr_assert_eq(inet_pton(AF_INET6, text, buffer), 1, "%s", text);
    return bytes_of(buffer, 16);
}

Test(address, of_every_special_range_is_special_from_its_first_to_its_last)
{
    static const struct {
        const char *ip;
        const char *words;
    } specials[] = {
        {"0.0.0.0", "this network"},
        {"0.255.255.255", "this network"},
        {"10.0.0.0", "private"},
        {"10.255.255.255", "private"},
        {"100.64.0.0", "shared"},
        {"100.127.255.255", "shared"},
        {"127.0.0.1", "loopback"},
        {"127.255.255.255", "loopback"},
        {"169.254.169.254", "link-local"},
        {"172.16.0.0", "private"},
        {"172.31.255.255", "private"},
        {"192.0.0.8", "protocols"},
        {"192.0.2.1", "documentation"},
        {"192.88.99.1", "6to4"},
        {"192.168.0.0", "private"},
        {"192.168.255.255", "private"},
        {"198.18.0.0", "benchmarking"},
        {"198.19.255.255", "benchmarking"},
        {"198.51.100.7", "documentation"},
        {"203.0.113.7", "documentation"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.0", "reserved"},
        {"255.255.255.255", "reserved"},
        {"::", "unspecified"},
        {"::1", "loopback"},
        {"::2", "not a global"},
        {"::7f00:1", "not a global"}, /* IPv4-compatible */
        {"::ffff:127.0.0.1", "loopback"},
        {"::ffff:10.1.2.3", "private"},
        {"::ffff:0:127.0.0.1", "not a global"}, /* translated */
        {"64:ff9b::7f00:1", "loopback"},
        {"64:ff9b::a9fe:a9fe", "link-local"},
        {"64:ff9b:1::1", "not a global"},
        {"100::1", "not a global"},
        {"2001::1", "protocols"}, /* Teredo */
        {"2001:1ff:ffff::1", "protocols"},
        {"2001:db8::1", "documentation"},
        {"2002:7f00:1::1", "loopback"},
        {"2002:c0a8:101::", "private"},
        {"3fff:fff::1", "documentation"},
        {"4000::1", "not a global"},
        {"5f00::1", "not a global"},
        {"fc00::1", "private"},
        {"fdff:ffff::1", "private"},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"fec0::1", "site-local"},
        {"feff::1", "site-local"},
        {"ff02::1", "multicast"},
    };
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
        uint8_t buffer[16];
        const char *why = address_special(ip_of(specials[i].ip, buffer));
        cr_assert_not_null(why, "%s", specials[i].ip);
        cr_assert_not_null(strstr(why, specials[i].words), "%s: %s", specials[i].ip, why);
    }
}

Test(address, beside_a_special_range_is_public)
{
    static const char *const publics[] = {
        "1.0.0.0",          "9.255.255.255",   "11.0.0.0",     "100.63.255.255",
        "100.128.0.0",      "126.255.255.255", "128.0.0.0",    "169.253.255.255",
        "169.255.0.0",      "172.15.255.255",  "172.32.0.0",   "192.0.1.0",
        "192.0.3.0",        "192.167.255.255", "192.169.0.0",  "198.17.255.255",
        "198.20.0.0",       "198.51.101.0",    "203.0.114.0",  "223.255.255.255",
        "8.8.8.8",          "2001:200::1",     "2001:4860::1", "2001:db9::1",
        "2606:4700::1111",  "3fff:1000::1",    "2000::1",      "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::1",
    };
    for (size_t i = 0; i < sizeof(publics) / sizeof(publics[0]); i++) {
        uint8_t buffer[16];
        const char *why = address_special(ip_of(publics[i], buffer));
        cr_assert_null(why, "%s: %s", publics[i], why);
    }
}

static bool is_listed(const char *list_text, const char *ip)
{
    struct address_list list;
    char problem[160] = "";
    uint8_t buffer[16];
    cr_assert_eq(address_list_parse(list_text, &list, problem), STATUS_OK, "%s: %s", list_text,
                 problem);
    return address_list_has(&list, ip_of(ip, buffer));
}

Test(address, list_holds_its_networks_and_nothing_beside_them)
{
    cr_assert(is_listed("127.0.0.0/8,::1/128", "127.0.0.1"));
    cr_assert(is_listed("127.0.0.0/8,::1/128", "::1"));
    cr_assert(is_listed("127.0.0.0/8,::1/128", "::ffff:127.9.9.9"));
    cr_assert_not(is_listed("127.0.0.0/8,::1/128", "128.0.0.1"));
    cr_assert_not(is_listed("127.0.0.0/8,::1/128", "::2"));
    cr_assert_not(is_listed("127.0.0.0/8", "64:ff9b::7f00:1"));
    cr_assert(is_listed(" 10.1.2.3 , fd00::/8\t", "10.1.2.3"));
    cr_assert_not(is_listed("10.1.2.3", "10.1.2.2"));
    cr_assert(is_listed("10.1.2.3,fd00::/8", "fdff::1"));
    cr_assert(is_listed("10.0.0.0/9", "10.127.255.255"));
    cr_assert_not(is_listed("10.0.0.0/9", "10.128.0.0"));
    cr_assert(is_listed("0.0.0.0/0", "255.255.255.255"));
    cr_assert_not(is_listed("0.0.0.0/0", "::1"));
    cr_assert(is_listed("::/0", "10.0.0.1"));
    cr_assert_not(is_listed("", "127.0.0.1"));
    cr_assert_not(is_listed("  ", "127.0.0.1"));
    cr_assert_not(is_listed("none", "127.0.0.1"));
}

Test(address, list_says_which_entry_is_wrong_and_what_would_be_right)
{
    static const struct {
        const char *list;
        const char *words;
    } wrong[] = {
        {"localhost", "'localhost' is not a network like 10.0.0.0/8"},
        {"127.0.0.0/8,10.0.0/8", "'10.0.0/8' is not a network"},
        {"127.0.0.1/8", "'127.0.0.1/8' has bits behind its prefix: is it 127.0.0.0/8?"},
        {"10.0.0.0/9,10.128.0.1/9", "is it 10.128.0.0/9?"},
        {"fe80::1/10", "is it fe80::/10?"},
        {"127.0.0.0/33", "from 0 to 32"},
        {"::1/129", "from 0 to 128"},
        {"::1/", "from 0 to 128"},
        {"::1/1x", "from 0 to 128"},
        {"::1/-1", "from 0 to 128"},
        {"127.0.0.0/0000", "from 0 to 32"},
        {"127.0.0.0/8,", "nothing"},
        {",", "nothing"},
        {"127.0.0.0/8,,::1", "nothing"},
        {"127.0.0.0/8;::1", "from 0 to 32"},
        {"127.0.0.1;::1", "is not a network"},
        {"none,::1", "'none' is not a network"},
        {"1111111111111111111111111111111111111111111111111111111111111111111111", "111"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct address_list list;
        char problem[160] = "";
        cr_assert_eq(address_list_parse(wrong[i].list, &list, problem), STATUS_INVALID, "%s",
                     wrong[i].list);
        cr_assert_not_null(strstr(problem, wrong[i].words), "%s: %s", wrong[i].list, problem);
    }
}

Test(address, list_has_at_most_64_networks)
{
    char text[65 * 9 + 1] = "";
    struct address_list list;
    char problem[160];
    for (size_t i = 0; i < 64; i++) {
        memcpy(text + 9 * i, i == 0 ? " 10.0.0.1" : ",10.0.0.1", 10);
    }
    cr_assert_eq(address_list_parse(text, &list, problem), STATUS_OK);
    cr_assert_eq(list.count, 64);
    memcpy(text + 9 * 64, ",10.0.0.1", 10);
    cr_assert_eq(address_list_parse(text, &list, problem), STATUS_INVALID);
    cr_assert_str_eq(problem, "there are over 64 networks");
}

Test(address, of_a_connection_is_refused_when_special_and_not_allowed)
{
    struct address_list nothing;
    struct address_list loopback;
    char problem[160];
    cr_assert_eq(address_list_parse("", &nothing, problem), STATUS_OK);
    cr_assert_eq(address_list_parse("127.0.0.0/8,::1/128", &loopback, problem), STATUS_OK);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr *address = (const struct sockaddr *)&v4;
    cr_assert_str_eq(address_refused(&nothing, address, sizeof(v4)), "is a loopback address");
    cr_assert_null(address_refused(&loopback, address, sizeof(v4)));
    cr_assert_not_null(address_refused(&loopback, address, sizeof(v4) - 1));
    v4.sin_addr.s_addr = htonl(0x08080808);
    cr_assert_null(address_refused(&nothing, address, sizeof(v4)));
    v4.sin_addr.s_addr = htonl(0xA9FEA9FE);
    cr_assert_str_eq(address_refused(&loopback, address, sizeof(v4)), "is a link-local address");
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    address = (const struct sockaddr *)&v6;
    cr_assert_str_eq(address_refused(&nothing, address, sizeof(v6)), "is a loopback address");
    cr_assert_null(address_refused(&loopback, address, sizeof(v6)));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    cr_assert_not_null(address_refused(&loopback, (const struct sockaddr *)&local, sizeof(local)));
}
