/* See resident.h. */
#include "resident.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

/* A socket bound to the device's name, or -errno. */
static int name_take(int index)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "palisade-port-%d", index);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, size) == 0)
        return fd;
    int error = errno == EADDRINUSE ? -EBUSY : -errno;
    close(fd);
    return error;
}

static bool name_of(int program, char *name)
{
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof info;

    if (bpf_obj_get_info_by_fd(program, &info, &length))
        return false;
    memcpy(name, info.name, BPF_OBJ_NAME_LEN);
    return name[0] != '\0';
}

/* A descriptor of the program at the device in `mode`, if it has the name of ours; else -1. */
static int left_over(int program, int index, unsigned mode)
{
    char ours[BPF_OBJ_NAME_LEN], theirs[BPF_OBJ_NAME_LEN];
    uint32_t id = 0;

    if (bpf_xdp_query_id(index, (int)mode, &id) || !id || !name_of(program, ours))
        return -1;
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd >= 0 && name_of(fd, theirs) && strcmp(ours, theirs) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int attach(struct resident *resident, unsigned mode)
{
    int old = left_over(resident->program, resident->index, mode);
    LIBBPF_OPTS(bpf_xdp_attach_opts, replacing, .old_prog_fd = old);
    int error;

    if (old >= 0) {
        error = bpf_xdp_attach(resident->index, resident->program, mode | XDP_FLAGS_REPLACE,
                               &replacing);
        close(old);
    } else {
        error = bpf_xdp_attach(resident->index, resident->program,
                               mode | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
    }
    resident->mode = mode;
    resident->inherited = old >= 0;
    return error;
}

int resident_attach(struct resident *resident, int program, int index)
{
    *resident = (struct resident){.index = index, .program = program, .name = name_take(index)};
    if (resident->name < 0)
        return resident->name;
    int error = attach(resident, XDP_FLAGS_DRV_MODE);
    if (error && error != -EBUSY && error != -EEXIST && error != -EPERM)
        error = attach(resident, XDP_FLAGS_SKB_MODE);
    if (error) {
        close(resident->name);
        resident->name = -1;
    }
    return error;
}

void resident_release(struct resident *resident, bool stays)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, ours, .old_prog_fd = resident->program);

    if (resident->name < 0)
        return;
    if (!stays)
        bpf_xdp_detach(resident->index, resident->mode | XDP_FLAGS_REPLACE, &ours);
    close(resident->name);
    resident->name = -1;
}
