/* --port: every form that is meant, and a sentence for every one that is not. */
#include <criterion/criterion.h>
#include <string.h>

#include "accept.h"
#include "port_option.h"

static struct port_option parsed(const char *text)
{
    struct port_option option;
    char why[256] = "";
    cr_assert(port_option_parse(text, &option, why, sizeof why), "%s: %s", text, why);
    return option;
}

Test(port_option, name_and_device_are_an_ethernet_port_with_ip4_and_arp)
{
    struct port_option option = parsed("lan=eth0");
    cr_assert_str_eq(option.name, "lan");
    cr_assert_str_eq(option.device, "eth0");
    cr_assert_eq(option.kind, PORT_ETHERNET);
    cr_assert_eq(option.accept, ACCEPT_IP4 | ACCEPT_ARP);
    option = parsed("fifteen-letters=fifteen-letters");
    cr_assert_str_eq(option.name, "fifteen-letters");
    cr_assert_str_eq(option.device, "fifteen-letters");
    cr_assert_str_eq(parsed("a=b=c").device, "b=c");
}

Test(port_option, kinds)
{
    cr_assert_eq(parsed("nat64=t0,tun").kind, PORT_TUN);
    cr_assert_eq(parsed("nat64=t0,tap").kind, PORT_TAP);
    cr_assert_str_eq(parsed("nat64=t0,tap").device, "t0");
}

Test(port_option, accepted_traffic)
{
    cr_assert_eq(parsed("a=b,accept=ip4").accept, ACCEPT_IP4);
    cr_assert_eq(parsed("a=b,accept=ip4+arp+ip6").accept, ACCEPT_IP4 | ACCEPT_ARP | ACCEPT_IP6);
    cr_assert_eq(parsed("a=b,accept=vlan").accept, ACCEPT_VLAN);
    cr_assert_eq(parsed("a=b,accept=all").accept, ACCEPT_ALL);
    cr_assert_eq(parsed("a=b,accept=ip6").kind, PORT_ETHERNET);
}

Test(port_option, what_makes_no_sense_is_named)
{
    static const struct {
        const char *text, *word;
    } wrong[] = {
        {"lan", "NAME=DEVICE"},
        {"=eth0", "NAME=DEVICE"},
        {"sixteen-letters-=eth0", "NAME=DEVICE"},
        {"lan,tun=eth0", "NAME=DEVICE"},
        {"lan=", "\"\" is no device"},
        {"lan=,tun", "\"\" is no device"},
        {"lan=sixteen-letters-", "\"sixteen-letters-\" is no device"},
        {"lan=eth0,", "\"\" is none of"},
        {"lan=eth0,tunnel", "\"tunnel\" is none of"},
        {"lan=eth0,accept=", "\"accept=\" is none of"},
        {"lan=eth0,accept=ip5", "\"accept=ip5\" is none of"},
        {"lan=eth0,accept=ip4+", "\"accept=ip4+\" is none of"},
        {"lan=eth0,accept=+ip4", "\"accept=+ip4\" is none of"},
        {"lan=eth0,accept=ip4,arp", "\"arp\" is none of"},
        {"lan=t0,tun,accept=ip6", "accept= is for network devices"},
        {"lan=t0,accept=all,tap", "accept= is for network devices"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct port_option option;
        char why[256] = "";
        cr_assert_not(port_option_parse(wrong[i].text, &option, why, sizeof why), "%s",
                      wrong[i].text);
        cr_assert(strstr(why, wrong[i].word), "%s: %s", wrong[i].text, why);
        cr_assert(strstr(why, wrong[i].text), "%s: %s", wrong[i].text, why);
    }
}
