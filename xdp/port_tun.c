/*
 * A TUN or TAP device by its descriptor. The device is the operator's: persistent, with
 * multi_queue, so that it outlives both loggers and both can hold it.
 *
 * The kernel spreads packets over the attached queues. Only the input logger's may get any: the
 * output logger detaches its own at once (TUNSETQUEUE). A detached queue is handed nothing and can
 * still be written to (measured, kernel 6.18), so the input logger's is always the first, in
 * whatever order the two come, die and come back; and a program that the input logger attaches
 * steers everything to the first, should another one join. Packets that meet the device while no
 * input logger is attached are dropped by the kernel, as with a box that is switched off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>

#include "busy.h"
#include "core/assert.h"
#include "port.h"
#include "tun_query.h"

#define CLONE_DEVICE "/dev/net/tun"
#define SLOT_BYTES 2048u /* above PACKET_MAX_BYTES: a packet that is too long shows as such */
_Static_assert(SLOT_BYTES > PACKET_MAX_BYTES, "a packet must fit its slot");

struct tun {
    int fd;
    bool steers;
    int error; /* of the last send: 0, or why the device takes nothing */
    uint64_t received, sent, refused, failed;
    uint8_t slots[PORT_BATCH][SLOT_BYTES]; /* input logger: where packets are shown */
};

static const char *kind_word(const struct port_device *port)
{
    return port->option->kind == PORT_TUN ? "tun" : "tap";
}

static enum status kernel_status(int error, const char *what, const char *device, char *why)
{
    if (error == EPERM || error == EACCES) {
        snprintf(why, XSK_WHY_BYTES, "no privilege to %s %s: run as root (CAP_NET_ADMIN)", what,
                 device);
        return STATUS_PRIVILEGE;
    }
    snprintf(why, XSK_WHY_BYTES, "cannot %s %s: %s", what, device, strerror(error));
    return error == EBUSY ? STATUS_BUSY : STATUS_KERNEL;
}

/* Is it the device that the option says, and is its read side free? */
static enum status fit(const struct port_device *port, enum port_side side, char *why)
{
    const char *device = port->option->device, *kind = kind_word(port);
    struct tun_info info;
    int64_t since_ns = 0;

    do { /* another reader may be a dead one that is not quite gone */
        int error = tun_query(port->info.index, &info);
        if (error)
            return kernel_status(-error, "ask about", device, why);
        if (info.kind != port->option->kind) {
            snprintf(why, XSK_WHY_BYTES, "device %s is no %s device: see `ip -d link show %s`",
                     device, kind, device);
            return STATUS_INTERFACE;
        }
        if (!info.multi_queue) {
            snprintf(why, XSK_WHY_BYTES,
                     "%s device %s has one queue, two loggers need multi_queue: ip tuntap del dev "
                     "%s mode %s; ip tuntap add dev %s mode %s multi_queue",
                     kind, device, device, kind, device, kind);
            return STATUS_INTERFACE;
        }
        if (side == PORT_SENDS || !info.readers)
            return STATUS_OK;
    } while (busy_wait(&since_ns));
    snprintf(why, XSK_WHY_BYTES,
             "%s device %s is read by another process, which would get a part of the packets: end "
             "it",
             kind, device);
    return STATUS_BUSY;
}

/* All packets to queue 0. `on` false takes it off again, for whoever uses the device next. */
static int steer(int fd, bool on)
{
    static const struct bpf_insn first[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int program = -1;

    if (on)
        program = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "palisade_tun", "GPL", first, 2, NULL);
    if (on && program < 0)
        return -errno;
    int error = ioctl(fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
    if (on)
        close(program); /* the device holds it */
    return error;
}

static enum status attach(const struct port_device *port, enum port_side side, int fd, char *why)
{
    const char *device = port->option->device;
    struct ifreq request = {0}, detach = {.ifr_flags = IFF_DETACH_QUEUE};

    memcpy(request.ifr_name, device, strlen(device));
    request.ifr_flags =
        (short)((port->option->kind == PORT_TUN ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_MULTI_QUEUE);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return kernel_status(errno, "attach to", device, why);
    if (side == PORT_SENDS && ioctl(fd, TUNSETQUEUE, &detach) < 0)
        return kernel_status(errno, "leave the read side of", device, why);
    int error = side == PORT_RECEIVES ? steer(fd, true) : 0;
    if (error)
        return kernel_status(-error, "steer the packets of", device, why);
    /* No segments larger than the MTU, no unfinished checksums: nobody behind us finishes them. */
    if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
        return kernel_status(errno, "switch off the offloads of", device, why);
    return STATUS_OK;
}

static void close_device(struct port_device *port)
{
    struct tun *tun = port->state;

    if (tun) {
        if (tun->steers)
            steer(tun->fd, false);
        close(tun->fd);
        free(tun);
    }
    port->state = NULL;
}

static enum status open_device(struct port_device *port, enum port_side side, uint32_t queue,
                               char *why)
{
    (void)queue; /* the kernel numbers them by itself */
    enum status status = fit(port, side, why);
    if (status != STATUS_OK)
        return status;
    struct tun *tun = calloc(1, sizeof *tun);
    if (!tun) {
        snprintf(why, XSK_WHY_BYTES, "out of memory for device %s", port->option->device);
        return STATUS_MEMORY;
    }
    tun->fd = open(CLONE_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tun->fd < 0) {
        status = kernel_status(errno, "open", CLONE_DEVICE, why);
        free(tun);
        return status;
    }
    port->state = tun;
    tun->steers = side == PORT_RECEIVES;
    status = attach(port, side, tun->fd, why);
    if (status != STATUS_OK)
        close_device(port);
    return status;
}

static int fd(const struct port_device *port)
{
    return ((const struct tun *)port->state)->fd;
}

static uint32_t receive(struct port_device *port, struct xsk_packet *packets, uint32_t max)
{
    struct tun *tun = port->state;
    uint32_t got = 0;

    ASSERT(max <= PORT_BATCH);
    while (got < max) {
        ssize_t length = read(tun->fd, tun->slots[got], SLOT_BYTES);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) /* EAGAIN; a device that is gone is told by poll */
            break;
        packets[got] = (struct xsk_packet){.bytes = tun->slots[got], .length = (uint32_t)length};
        got++;
    }
    tun->received += got;
    return got;
}

static void release(struct port_device *port)
{
    (void)port;
}

static int send_packet(struct port_device *port, const uint8_t *bytes, uint16_t length)
{
    struct tun *tun = port->state;
    ssize_t done;

    do
        done = write(tun->fd, bytes, length);
    while (done < 0 && errno == EINTR);
    if (done >= 0) {
        tun->error = 0;
        tun->sent++;
        return 0;
    }
    if (errno == EINVAL) {
        tun->refused++;
        return -EINVAL;
    }
    tun->error = errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS ? 0 : -errno;
    tun->failed++;
    return -EAGAIN;
}

static int flush(struct port_device *port)
{
    return ((const struct tun *)port->state)->error;
}

static uint32_t unsent(const struct port_device *port)
{
    (void)port;
    return 0;
}

static json_t *counters(const struct port_device *port)
{
    const struct tun *tun = port->state;

    return json_pack("{s:I,s:I,s:I,s:I}", "received", (json_int_t)tun->received, "sent",
                     (json_int_t)tun->sent, "send_invalid", (json_int_t)tun->refused, "send_failed",
                     (json_int_t)tun->failed);
}

const struct port_family port_tun = {
    .open = open_device,
    .close = close_device,
    .fd = fd,
    .receive = receive,
    .release = release,
    .send = send_packet,
    .flush = flush,
    .unsent = unsent,
    .counters = counters,
};
