/* See pcap.h. Made and set by one thread, before packets flow. */
#include "hooks/packets/pcap.h"

#include <dlfcn.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "abi_internal.h"
#include "hooks/calls.h"
#include "hooks/packets/packets.h"

/* Programs still call what libpcap advises against. */
#pragma clang diagnostic ignored "-Wdeprecated-declarations"

#define LIBPCAP "libpcap.so.0.8"
#define SNAPLEN_DEFAULT 262144

void *pcap_real(const char *name)
{
    static void *library;
    void *found = __atomic_load_n(&library, __ATOMIC_ACQUIRE);
    if (found == NULL) {
        found = dlopen(LIBPCAP, RTLD_NOW | RTLD_LOCAL);
        __atomic_store_n(&library, found, __ATOMIC_RELEASE);
    }
    void *function = found ? dlsym(found, name) : NULL;
    if (function == NULL)
        process_fail(STATUS_UNMODELLED, "the program uses libpcap, but %s: install %s", dlerror(),
                     LIBPCAP);
    return function;
}

int pcap_fault(struct nf_pcap *handle, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(handle->error, sizeof handle->error, format, arguments);
    va_end(arguments);
    return code;
}

/* ---- create, activate, close ---- */

static pcap_t *new_handle(char *error)
{
    struct nf_pcap *handle = __palisade_calloc(1, sizeof *handle);
    if (handle == NULL) {
        if (error)
            snprintf(error, PCAP_ERRBUF_SIZE, "no memory for a capture handle");
        return NULL;
    }
    handle->fd = -1;
    handle->link_type = DLT_EN10MB;
    handle->snaplen = SNAPLEN_DEFAULT;
    return (pcap_t *)handle;
}

HOOK pcap_t *__palisade_pcap_create(const char *device, char *error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_create)(device, error);
    pcap_t *handle = new_handle(error);
    if (handle && device)
        nf_pcap_of(handle)->port = __palisade_if_nametoindex(device);
    if (handle && nf_pcap_of(handle)->port == 0)
        pcap_fault(nf_pcap_of(handle), 0, "%s: the input logger has no such port",
                   device ? device : "any");
    if (handle && nf_pcap_of(handle)->port)
        port_must_be_ethernet(nf_pcap_of(handle)->port - 1, "libpcap captures");
    return handle;
}

HOOK pcap_t *__palisade_pcap_open_dead(int link_type, int snaplen)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_open_dead)(link_type, snaplen);
    pcap_t *handle = new_handle(NULL);
    if (handle) {
        nf_pcap_of(handle)->link_type = link_type;
        nf_pcap_of(handle)->snaplen = snaplen;
    }
    return handle;
}

HOOK int __palisade_pcap_activate(pcap_t *native)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_activate)(native);
    struct nf_pcap *handle = nf_pcap_of(native);
    if (handle->fd >= 0)
        return PCAP_ERROR_ACTIVATED;
    if (handle->port == 0)
        return PCAP_ERROR_NO_SUCH_DEVICE; /* its text stands there since pcap_create */
    handle->bytes = __palisade_malloc(PCAP_BATCH * sizeof *handle->bytes);
    int fd = descriptor_open(nf_self, FAMILY_PCAP, handle->nonblock, ETH_P_ALL);
    if (handle->bytes == NULL || fd < 0)
        return pcap_fault(handle, PCAP_ERROR, "no memory or queue for another capture handle");
    IMAGE->queues[descriptor_queue(descriptor_index(fd))].port = handle->port;
    IMAGE->descriptors[descriptor_index(fd)].own[0] = (uint64_t)handle;
    handle->fd = fd;
    return 0;
}

HOOK void __palisade_pcap_close(pcap_t *native)
{
    SITE_HERE();
    if (nf_self == NULL) {
        PCAP_REAL(pcap_close)(native);
        return;
    }
    struct nf_pcap *handle = nf_pcap_of(native);
    if (handle->fd >= 0)
        __palisade_close(handle->fd);
    __palisade_free(handle->filter);
    __palisade_free(handle->bytes);
    __palisade_free(handle);
}

HOOK pcap_t *__palisade_pcap_open_live(const char *device, int snaplen, int promiscuous,
                                       int timeout_ms, char *error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_open_live)(device, snaplen, promiscuous, timeout_ms, error);
    pcap_t *handle = __palisade_pcap_create(device, error);
    if (handle == NULL)
        return NULL;
    nf_pcap_of(handle)->snaplen = snaplen > 0 ? snaplen : SNAPLEN_DEFAULT;
    nf_pcap_of(handle)->timeout_ms = timeout_ms;
    if (__palisade_pcap_activate(handle) < 0) {
        snprintf(error, PCAP_ERRBUF_SIZE, "%s", nf_pcap_of(handle)->error);
        __palisade_pcap_close(handle);
        return NULL;
    }
    *error = '\0';
    return handle;
}

/* ---- options ---- */

/* Options are set between create and activate. */
#define OPTION(name, field)                                                                        \
    HOOK int __palisade_##name(pcap_t *handle, int value)                                          \
    {                                                                                              \
        if (nf_self == NULL)                                                                       \
            return PCAP_REAL(name)(handle, value);                                                 \
        if (nf_pcap_of(handle)->fd >= 0)                                                           \
            return PCAP_ERROR_ACTIVATED;                                                           \
        field;                                                                                     \
        return 0;                                                                                  \
    }

OPTION(pcap_set_snaplen, nf_pcap_of(handle)->snaplen = value > 0 ? value : SNAPLEN_DEFAULT)
OPTION(pcap_set_timeout, nf_pcap_of(handle)->timeout_ms = value)
OPTION(pcap_set_immediate_mode, nf_pcap_of(handle)->immediate = value)
OPTION(pcap_set_promisc, (void)value)     /* the input logger's device is open for everything */
OPTION(pcap_set_buffer_size, (void)value) /* queue_packets decides */
OPTION(pcap_set_tstamp_type, (void)value) /* always the host's */
OPTION(pcap_set_rfmon, if (value) return PCAP_ERROR_RFMON_NOTSUP)
OPTION(pcap_set_protocol_linux, (void)value)
OPTION(pcap_set_tstamp_precision, {
    if (value != PCAP_TSTAMP_PRECISION_MICRO && value != PCAP_TSTAMP_PRECISION_NANO)
        return PCAP_ERROR_TSTAMP_PRECISION_NOTSUP;
    nf_pcap_of(handle)->nanoseconds = value == PCAP_TSTAMP_PRECISION_NANO;
})

HOOK int __palisade_pcap_setnonblock(pcap_t *handle, int nonblock, char *error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_setnonblock)(handle, nonblock, error);
    nf_pcap_of(handle)->nonblock = nonblock != 0;
    return 0;
}

HOOK int __palisade_pcap_getnonblock(pcap_t *handle, char *error)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->nonblock : PCAP_REAL(pcap_getnonblock)(handle, error);
}

/* Packets that the host itself sends are never seen. */
HOOK int __palisade_pcap_setdirection(pcap_t *handle, pcap_direction_t direction)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_setdirection)(handle, direction);
    if (direction == PCAP_D_OUT)
        return pcap_fault(nf_pcap_of(handle), PCAP_ERROR, "outgoing packets are not captured");
    return 0;
}

HOOK int __palisade_pcap_set_datalink(pcap_t *handle, int link_type)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_set_datalink)(handle, link_type);
    if (link_type != nf_pcap_of(handle)->link_type)
        return pcap_fault(nf_pcap_of(handle), PCAP_ERROR, "the port has another link type");
    return 0;
}

/* ---- filters ---- */

/*
 * Compiled in master and backup alike. A filter with names may come out differently: the event
 * carries a hash of the result, so that replay would notice (G6).
 */
HOOK int __palisade_pcap_compile(pcap_t *native, struct bpf_program *program, const char *text,
                                 int optimize, bpf_u_int32 mask)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_compile)(native, program, text, optimize, mask);
    struct nf_pcap *handle = nf_pcap_of(native);
    struct bpf_program compiled = {0};
    pcap_t *dead = PCAP_REAL(pcap_open_dead)(handle->link_type, handle->snaplen);
    int result = PCAP_REAL(pcap_compile)(dead, &compiled, text, optimize, mask);
    if (result != 0)
        pcap_fault(handle, result, "%s", PCAP_REAL(pcap_geterr)(dead));
    size_t bytes = compiled.bf_len * sizeof *compiled.bf_insns;
    int64_t hash = result ? result : (int64_t)(XXH64(compiled.bf_insns, bytes, 0) >> 1), logged;
    if (REPLAYED_ALONE(nf_self, "pcap_compile",
                       ev_number_replay(&nf_self->core, &run_of(nf_self)->reader, 0, &logged))) {
        if (logged != hash)
            process_fail(STATUS_DIVERGED, "the filter '%s' compiles to another program here", text);
    } else {
        ev_number_record(&nf_self->core, log_ready(nf_self), hash, 0);
    }
    if (result == 0) {
        program->bf_len = compiled.bf_len;
        program->bf_insns = __palisade_malloc(bytes);
        if (program->bf_insns == NULL)
            result = pcap_fault(handle, PCAP_ERROR, "no memory for a filter");
        else
            memcpy(program->bf_insns, compiled.bf_insns, bytes);
        PCAP_REAL(pcap_freecode)(&compiled);
    }
    PCAP_REAL(pcap_close)(dead);
    return result;
}

HOOK int __palisade_pcap_compile_nopcap(int snaplen, int link_type, struct bpf_program *program,
                                        const char *text, int optimize, bpf_u_int32 mask)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_compile_nopcap)(snaplen, link_type, program, text, optimize, mask);
    pcap_t *dead = __palisade_pcap_open_dead(link_type, snaplen);
    int result = dead ? __palisade_pcap_compile(dead, program, text, optimize, mask) : PCAP_ERROR;
    if (dead)
        __palisade_pcap_close(dead);
    return result;
}

HOOK void __palisade_pcap_freecode(struct bpf_program *program)
{
    SITE_HERE();
    if (nf_self == NULL) {
        PCAP_REAL(pcap_freecode)(program);
        return;
    }
    __palisade_free(program->bf_insns);
    *program = (struct bpf_program){0};
}

HOOK int __palisade_pcap_setfilter(pcap_t *native, struct bpf_program *program)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_setfilter)(native, program);
    struct nf_pcap *handle = nf_pcap_of(native);
    if (!PCAP_REAL(bpf_validate)(program->bf_insns, (int)program->bf_len))
        return pcap_fault(handle, PCAP_ERROR, "BPF program is not valid");
    size_t bytes = program->bf_len * sizeof *program->bf_insns;
    struct bpf_insn *filter = __palisade_malloc(bytes);
    if (filter == NULL)
        return pcap_fault(handle, PCAP_ERROR, "no memory for a filter");
    memcpy(filter, program->bf_insns, bytes);
    __palisade_free(handle->filter);
    handle->filter = filter;
    handle->filter_length = program->bf_len;
    return 0;
}

/* ---- questions ---- */

HOOK int __palisade_pcap_datalink(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->link_type : PCAP_REAL(pcap_datalink)(handle);
}

HOOK int __palisade_pcap_snapshot(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->snaplen : PCAP_REAL(pcap_snapshot)(handle);
}

HOOK int __palisade_pcap_get_tstamp_precision(pcap_t *handle)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_get_tstamp_precision)(handle);
    return nf_pcap_of(handle)->nanoseconds ? PCAP_TSTAMP_PRECISION_NANO
                                           : PCAP_TSTAMP_PRECISION_MICRO;
}

HOOK char *__palisade_pcap_geterr(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->error : PCAP_REAL(pcap_geterr)(handle);
}

HOOK void __palisade_pcap_perror(pcap_t *handle, const char *prefix)
{
    SITE_HERE();
    __palisade_fprintf(stderr, "%s: %s\n", prefix, __palisade_pcap_geterr(handle));
}

HOOK int __palisade_pcap_fileno(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->fd : PCAP_REAL(pcap_fileno)(handle);
}

HOOK int __palisade_pcap_get_selectable_fd(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? nf_pcap_of(handle)->fd : PCAP_REAL(pcap_get_selectable_fd)(handle);
}

HOOK const struct timeval *__palisade_pcap_get_required_select_timeout(pcap_t *handle)
{
    SITE_HERE();
    return nf_self ? NULL : PCAP_REAL(pcap_get_required_select_timeout)(handle);
}

/* Nothing is lost between the input logger and here. */
HOOK int __palisade_pcap_stats(pcap_t *handle, struct pcap_stat *stats)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_stats)(handle, stats);
    *stats = (struct pcap_stat){.ps_recv = __palisade_load4(&nf_pcap_of(handle)->received)};
    return 0;
}

/* ---- devices: the ports of the input logger ---- */

HOOK int __palisade_pcap_findalldevs(pcap_if_t **devices, char *error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_findalldevs)(devices, error);
    pcap_if_t **last = devices;
    *devices = NULL;
    for (uint16_t i = 0; i < process.port_count; i++) {
        pcap_if_t *device = __palisade_calloc(1, sizeof *device);
        char *name = __palisade_strdup(process.ports[i].name);
        if (device == NULL || name == NULL) {
            snprintf(error, PCAP_ERRBUF_SIZE, "no memory for the list of devices");
            return PCAP_ERROR;
        }
        device->name = name;
        device->flags = PCAP_IF_UP | PCAP_IF_RUNNING | PCAP_IF_CONNECTION_STATUS_CONNECTED;
        *last = device;
        last = &device->next;
    }
    return 0;
}

HOOK void __palisade_pcap_freealldevs(pcap_if_t *devices)
{
    SITE_HERE();
    if (nf_self == NULL) {
        PCAP_REAL(pcap_freealldevs)(devices);
        return;
    }
    while (devices) {
        pcap_if_t *next = devices->next;
        __palisade_free(devices->name);
        __palisade_free(devices);
        devices = next;
    }
}

HOOK char *__palisade_pcap_lookupdev(char *error)
{
    SITE_HERE();
    if (nf_self && process.port_count > 0)
        return __palisade_strdup(process.ports[0].name);
    if (nf_self)
        snprintf(error, PCAP_ERRBUF_SIZE, "the input logger has no port");
    return nf_self ? NULL : PCAP_REAL(pcap_lookupdev)(error);
}

/* Ports have no addresses; programs go on with mask 0. */
HOOK int __palisade_pcap_lookupnet(const char *device, bpf_u_int32 *net, bpf_u_int32 *mask,
                                   char *error)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_lookupnet)(device, net, mask, error);
    *net = *mask = 0;
    snprintf(error, PCAP_ERRBUF_SIZE, "%s: no IPv4 address assigned", device);
    return PCAP_ERROR;
}

/* ---- the family of its descriptor: for poll and select alone ---- */

static short ready(uint32_t index, short events)
{
    const struct nf_pcap *handle = (const struct nf_pcap *)IMAGE->descriptors[index].own[0];
    bool some = handle->handed < handle->fetched || packets_ready(descriptor_queue(index));
    return some ? events & (POLLIN | POLLRDNORM) : 0;
}

const struct family family_pcap = {
    .name = "capture handle",
    .control = interface_control,
    .ready = ready,
};
