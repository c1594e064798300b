#include "device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WHY_BYTES 256

static enum status interface_trouble(const char *name, const char *what, char *why)
{
    snprintf(why, WHY_BYTES, "device %s %s", name, what);
    return STATUS_INTERFACE;
}

enum status device_query(const char *name, enum port_kind kind, struct device *device, char *why)
{
    struct ifreq request = {0};

    if (strlen(name) == 0 || strlen(name) >= IFNAMSIZ)
        return interface_trouble(name, "is no possible device name (1 to 15 characters)", why);
    memcpy(request.ifr_name, name, strlen(name));

    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        snprintf(why, WHY_BYTES, "no socket to ask about device %s: %s", name, strerror(errno));
        return STATUS_KERNEL;
    }
    const char *trouble = NULL;
    if (ioctl(fd, SIOCGIFINDEX, &request) < 0) {
        trouble = "does not exist";
    } else {
        device->index = request.ifr_ifindex;
        if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
            trouble = "has no hardware address";
        else if (kind == PORT_TUN && request.ifr_hwaddr.sa_family != ARPHRD_NONE)
            trouble = "is not a TUN device";
        else if (kind == PORT_TUN)
            memset(device->mac, 0, sizeof device->mac);
        else if (request.ifr_hwaddr.sa_family == ARPHRD_NONE)
            trouble = "is not an Ethernet device (a TUN device? --port NAME=DEVICE,tun)";
        else if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
            trouble = "is not an Ethernet device";
        else
            memcpy(device->mac, request.ifr_hwaddr.sa_data, sizeof device->mac);
    }
    if (!trouble && ioctl(fd, SIOCGIFMTU, &request) == 0)
        device->mtu = (uint32_t)request.ifr_mtu;
    if (!trouble && ioctl(fd, SIOCGIFFLAGS, &request) == 0)
        device->up = request.ifr_flags & IFF_UP;
    close(fd);
    if (!trouble && !device->up)
        trouble = "is down: bring it up first (ip link set dev ... up)";
    return trouble ? interface_trouble(name, trouble, why) : STATUS_OK;
}

bool device_has_address(const char *name, const char *address)
{
    struct in_addr wanted;
    struct ifaddrs *all;
    bool found = false;

    if (inet_pton(AF_INET, address, &wanted) != 1 || getifaddrs(&all))
        return false;
    for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next)
        if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET && !strcmp(one->ifa_name, name)) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)one->ifa_addr;
            found = in->sin_addr.s_addr == wanted.s_addr;
        }
    freeifaddrs(all);
    return found;
}
