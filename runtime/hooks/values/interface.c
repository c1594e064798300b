/*
 * Interfaces as the NF sees them: the ports that the input logger announced. Programs ask for them
 * by name, or by ioctl on any socket, often one opened just for that.
 */
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi_internal.h"
#include "hooks/files/descriptor.h"
#include "hooks/memory.h"

int port_named(const char *name)
{
    for (uint16_t i = 0; i < process.port_count; i++)
        if (strncmp(process.ports[i].name, name, PORT_NAME_BYTES) == 0)
            return i;
    return -1;
}

/* Packets of a TUN port have no Ethernet header, and what the NF sends there the kernel receives:
 * these families have the other end of a device in mind. */
void port_must_be_ethernet(uint32_t port, const char *what)
{
    if (__builtin_expect(process.ports[port].kind == PORT_TUN, 0))
        process_fail(STATUS_UNMODELLED,
                     "port %s is a TUN device: %s on it are not supported, open /dev/net/tun (G8)",
                     process.ports[port].name, what);
}

HOOK unsigned int __palisade_if_nametoindex(const char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return if_nametoindex(name);
    int port = port_named(name);
    if (port < 0)
        errno = ENODEV;
    return (unsigned int)(port + 1);
}

HOOK char *__palisade_if_indextoname(unsigned int index, char *name)
{
    SITE_HERE();
    if (nf_self == NULL)
        return if_indextoname(index, name);
    if (index < 1 || index > process.port_count) {
        errno = ENXIO;
        return NULL;
    }
    memcpy(name, process.ports[index - 1].name, PORT_NAME_BYTES);
    return name;
}

/* The devices behind the ports are the loggers' and their operator's: the NF cannot set them up. */
static void refuse_configuration(unsigned long request, const struct ifreq *interface)
{
    static const struct {
        unsigned long request;
        const char *name;
    } settings[] = {
        {SIOCSIFADDR, "SIOCSIFADDR"},       {SIOCSIFDSTADDR, "SIOCSIFDSTADDR"},
        {SIOCSIFBRDADDR, "SIOCSIFBRDADDR"}, {SIOCSIFNETMASK, "SIOCSIFNETMASK"},
        {SIOCSIFMTU, "SIOCSIFMTU"},         {SIOCSIFHWADDR, "SIOCSIFHWADDR"},
        {SIOCSIFNAME, "SIOCSIFNAME"},       {SIOCSIFTXQLEN, "SIOCSIFTXQLEN"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i].request == request)
            process_fail(STATUS_UNMODELLED,
                         "ioctl: %s on port %.*s: its device belongs to the loggers; set it up "
                         "there (ip address, ip link) and leave it out here (G8)",
                         settings[i].name, (int)PORT_NAME_BYTES, interface->ifr_name);
}

int interface_control(struct nf_thread *thread, uint32_t index, unsigned long request,
                      void *argument)
{
    (void)thread;
    struct ifreq *interface = argument;
    refuse_configuration(request, interface);
    if (request != SIOCGIFINDEX && request != SIOCGIFHWADDR && request != SIOCGIFMTU &&
        request != SIOCGIFFLAGS && request != SIOCSIFFLAGS)
        process_fail(STATUS_UNMODELLED, "ioctl: request 0x%lx on an %s cannot be replayed (G8)",
                     request, descriptor_family(index)->name);
    int port = port_named(interface->ifr_name);
    if (port < 0)
        return fail(ENODEV);
    uint16_t kind = process.ports[port].kind;
    switch (request) {
    case SIOCGIFINDEX:
        interface->ifr_ifindex = port + 1;
        break;
    case SIOCGIFHWADDR:
        memset(&interface->ifr_hwaddr, 0, sizeof interface->ifr_hwaddr);
        interface->ifr_hwaddr.sa_family = kind == PORT_TUN ? ARPHRD_NONE : ARPHRD_ETHER;
        memcpy(interface->ifr_hwaddr.sa_data, process.ports[port].mac, 6);
        break;
    case SIOCGIFMTU:
        interface->ifr_mtu = process.ports[port].mtu;
        break;
    case SIOCGIFFLAGS:
        interface->ifr_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST |
                               (kind == PORT_TUN ? IFF_POINTOPOINT | IFF_NOARP : IFF_BROADCAST);
        break;
    }
    return 0;
}

/* ---- lists that the program frees ---- */

static void *need(size_t bytes)
{
    void *block = __palisade_malloc(bytes);
    if (block == NULL)
        process_fail(STATUS_MEMORY, "no memory for a list of interfaces; raise heap_mib");
    return block;
}

HOOK struct if_nameindex *__palisade_if_nameindex(void)
{
    SITE_HERE();
    if (nf_self == NULL)
        return if_nameindex();
    size_t count = process.port_count;
    struct if_nameindex *list = need((count + 1) * sizeof *list + count * (PORT_NAME_BYTES + 1));
    char *names = (char *)(list + count + 1);
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct if_nameindex){(unsigned int)(i + 1), names};
        memcpy(names, process.ports[i].name, PORT_NAME_BYTES);
        names[PORT_NAME_BYTES] = '\0';
        names += PORT_NAME_BYTES + 1;
    }
    list[count] = (struct if_nameindex){0};
    return list;
}

HOOK void __palisade_if_freenameindex(struct if_nameindex *list)
{
    SITE_HERE();
    if (nf_self)
        __palisade_free(list);
    else
        if_freenameindex(list);
}

/* A port has a link address; its IP addresses are known to the NF's own configuration only. */
HOOK int __palisade_getifaddrs(struct ifaddrs **out)
{
    SITE_HERE();
    if (nf_self == NULL)
        return getifaddrs(out);
    struct entry {
        struct ifaddrs interface;
        struct sockaddr_ll address;
        char name[PORT_NAME_BYTES + 1];
    };
    size_t count = process.port_count;
    struct entry *entries = count ? need(count * sizeof *entries) : NULL;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &entries[i];
        memset(entry, 0, sizeof *entry);
        memcpy(entry->name, process.ports[i].name, PORT_NAME_BYTES);
        entry->address = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                              .sll_ifindex = (int)i + 1,
                                              .sll_hatype = ARPHRD_ETHER,
                                              .sll_halen = 6};
        memcpy(entry->address.sll_addr, process.ports[i].mac, 6);
        entry->interface =
            (struct ifaddrs){.ifa_next = i + 1 < count ? &entries[i + 1].interface : NULL,
                             .ifa_name = entry->name,
                             .ifa_flags = IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST,
                             .ifa_addr = (struct sockaddr *)&entry->address};
    }
    *out = entries ? &entries[0].interface : NULL;
    return 0;
}

HOOK void __palisade_freeifaddrs(struct ifaddrs *list)
{
    SITE_HERE();
    if (nf_self)
        __palisade_free(list);
    else
        freeifaddrs(list);
}
