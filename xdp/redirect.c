#include "redirect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "busy.h"
#include "core/assert.h"
#include "redirect.skel.h"
#include "resident.h"

struct redirect {
    struct redirect_bpf *object;
    int link;                 /* XSK_LINK_PROGRAM, else -1 */
    struct resident resident; /* XSK_PORT_PROGRAM, else without a name */
    bool stays;
};

static enum status load_status(int error, const char *device, char *why)
{
    if (error == -EPERM || error == -EACCES) {
        snprintf(why, XSK_WHY_BYTES,
                 "no privilege to load an XDP program for %s: run as root (CAP_BPF, CAP_NET_ADMIN)",
                 device);
        return STATUS_PRIVILEGE;
    }
    if (error == -ENOMEM) {
        snprintf(why, XSK_WHY_BYTES, "out of memory while loading the XDP program for %s", device);
        return STATUS_MEMORY;
    }
    snprintf(why, XSK_WHY_BYTES, "this kernel refuses the XDP program for %s: %s", device,
             strerror(-error));
    return STATUS_KERNEL;
}

/* Natively, else generic; -errno. */
static int link_create(int program, int index)
{
    static const unsigned modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
    int error = -EOPNOTSUPP;

    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[m]);
        int link = bpf_link_create(program, index, BPF_XDP, &options);
        if (link >= 0)
            return link;
        error = -errno;
        if (error == -EBUSY || error == -EEXIST || error == -EPERM)
            return error;
    }
    return error;
}

static int attach_once(struct redirect *redirect, enum xsk_program which, int program, int index)
{
    if (which == XSK_PORT_PROGRAM)
        return resident_attach(&redirect->resident, program, index);
    redirect->link = link_create(program, index);
    return redirect->link < 0 ? redirect->link : 0;
}

static enum status attach(struct redirect *redirect, enum xsk_program which, int program,
                          const char *device, int index, char *why)
{
    int64_t since_ns = 0;
    int error;

    do
        error = attach_once(redirect, which, program, index);
    while ((error == -EBUSY || error == -EEXIST) && busy_wait(&since_ns));
    redirect->stays = redirect->resident.inherited;
    if (!error)
        return STATUS_OK;
    if (error == -EBUSY || error == -EEXIST) {
        uint32_t id = 0;
        bpf_xdp_query_id(index, 0, &id);
        snprintf(why, XSK_WHY_BYTES,
                 "device %s already carries an XDP program (id %u): end its owner, or "
                 "`ip link set dev %s xdp off`",
                 device, id, device);
        return STATUS_BUSY;
    }
    if (error == -EPERM) {
        snprintf(why, XSK_WHY_BYTES,
                 "no privilege to attach an XDP program to %s: run as root (CAP_NET_ADMIN)",
                 device);
        return STATUS_PRIVILEGE;
    }
    if (error == -ENODEV) {
        snprintf(why, XSK_WHY_BYTES, "device %s vanished", device);
        return STATUS_INTERFACE;
    }
    snprintf(why, XSK_WHY_BYTES, "device %s takes no XDP program: %s", device, strerror(-error));
    return STATUS_KERNEL;
}

enum status redirect_attach(struct redirect **out, const struct xsk_options *options, int index,
                            int socket, char *why)
{
    const char *device = options->device;
    enum xsk_program which = options->program;
    ASSERT(which == XSK_LINK_PROGRAM || which == XSK_PORT_PROGRAM);
    ASSERT(options->queue < XSK_QUEUES_MAX);
    libbpf_set_print(NULL);

    struct redirect *redirect = calloc(1, sizeof *redirect);
    if (!redirect)
        return load_status(-ENOMEM, device, why);
    redirect->link = redirect->resident.name = -1;
    redirect->object = redirect_bpf__open();
    if (!redirect->object) {
        int error = -errno;
        free(redirect);
        return load_status(error, device, why);
    }

    /* Only the program that is wanted goes into the kernel. */
    struct bpf_program *program = which == XSK_LINK_PROGRAM ? redirect->object->progs.palisade_link
                                                            : redirect->object->progs.palisade_port;
    bpf_program__set_autoload(redirect->object->progs.palisade_link, which == XSK_LINK_PROGRAM);
    bpf_program__set_autoload(redirect->object->progs.palisade_port, which == XSK_PORT_PROGRAM);

    redirect->object->rodata->palisade_accept = options->accept;

    enum status status;
    int error = redirect_bpf__load(redirect->object);
    if (error) {
        status = load_status(error, device, why);
        goto fail;
    }
    error = bpf_map_update_elem(bpf_map__fd(redirect->object->maps.sockets), &options->queue,
                                &socket, 0);
    if (error) {
        status = load_status(-errno, device, why);
        goto fail;
    }
    status = attach(redirect, which, bpf_program__fd(program), device, index, why);
    if (status != STATUS_OK)
        goto fail;
    *out = redirect;
    return STATUS_OK;
fail:
    redirect_detach(redirect);
    return status;
}

void redirect_stays(struct redirect *redirect, bool stays)
{
    redirect->stays = stays;
}

void redirect_detach(struct redirect *redirect)
{
    if (!redirect)
        return;
    if (redirect->link >= 0)
        close(redirect->link);
    resident_release(&redirect->resident, redirect->stays);
    redirect_bpf__destroy(redirect->object);
    free(redirect);
}
