/* See tun_query.h. */
#include "tun_query.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define ANSWER_BYTES 16384

/* The attribute `type` among `length` bytes of attributes, or NULL. */
static const struct rtattr *attribute(const struct rtattr *at, size_t length, unsigned type)
{
    for (; RTA_OK(at, length); at = RTA_NEXT(at, length))
        if ((at->rta_type & NLA_TYPE_MASK) == type)
            return at;
    return NULL;
}

static const struct rtattr *nested(const struct rtattr *parent, unsigned type)
{
    return parent ? attribute(RTA_DATA(parent), RTA_PAYLOAD(parent), type) : NULL;
}

static uint32_t number(const struct rtattr *parent, unsigned type)
{
    const struct rtattr *at = nested(parent, type);
    uint32_t value = 0;

    if (at)
        memcpy(&value, RTA_DATA(at), RTA_PAYLOAD(at) < sizeof value ? RTA_PAYLOAD(at) : 4);
    return value;
}

static void link_read(const struct nlmsghdr *header, struct tun_info *info)
{
    const struct ifinfomsg *message = NLMSG_DATA(header);
    const struct rtattr *link = attribute(IFLA_RTA(message), IFLA_PAYLOAD(header), IFLA_LINKINFO);
    const struct rtattr *kind = nested(link, IFLA_INFO_KIND), *data = nested(link, IFLA_INFO_DATA);

    *info = (struct tun_info){.kind = PORT_ETHERNET};
    if (!kind || !data || strncmp(RTA_DATA(kind), "tun", RTA_PAYLOAD(kind)) != 0)
        return;
    info->kind = number(data, IFLA_TUN_TYPE) == IFF_TUN ? PORT_TUN : PORT_TAP;
    info->multi_queue = number(data, IFLA_TUN_MULTI_QUEUE) != 0;
    info->readers = number(data, IFLA_TUN_NUM_QUEUES);
}

int tun_query(int index, struct tun_info *info)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg message;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST},
        .message = {.ifi_index = index},
    };
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return -errno;
    ssize_t got = send(fd, &request, sizeof request, 0);
    if (got > 0)
        got = recv(fd, answer, sizeof answer, 0);
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (error)
        return error;
    if (!NLMSG_OK(header, (size_t)got))
        return -EPROTO;
    if (header->nlmsg_type == NLMSG_ERROR)
        return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
    if (header->nlmsg_type != RTM_NEWLINK)
        return -EPROTO;
    link_read(header, info);
    return 0;
}
