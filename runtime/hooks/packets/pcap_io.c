/* See pcap.h: packets of a capture handle. */
#include <linux/if_ether.h>
#include <string.h>
#include <time.h>

#include "abi_internal.h"
#include "hooks/calls.h"
#include "hooks/packets/packets.h"
#include "hooks/packets/pcap.h"

#define PATIENCE_NS 100000000 /* without a time-out: how often pcap_breakloop is looked at */

/* ---- in ---- */

struct fetched {
    struct nf_pcap *handle;
    u_int (*filter)(const struct bpf_insn *, const u_char *, u_int, u_int);
    uint32_t count;
};

static void store(void *context, uint32_t n, uint16_t port, const uint8_t *bytes, uint16_t length)
{
    struct fetched *fetched = context;
    struct nf_pcap *handle = fetched->handle;
    (void)n;
    (void)port;
    uint32_t kept = (uint32_t)handle->snaplen < length ? (uint32_t)handle->snaplen : length;
    if (handle->filter && fetched->filter(handle->filter, bytes, length, length) == 0)
        return;
    handle->heads[fetched->count].caplen = kept;
    handle->heads[fetched->count].len = length;
    memcpy(handle->bytes[fetched->count], bytes, kept);
    fetched->count++;
}

/* One time for a batch, read when it was taken. */
static void stamp(struct nf_pcap *handle, uint32_t count)
{
    struct timespec now;
    __palisade_clock_gettime(CLOCK_REALTIME, &now);
    for (uint32_t i = 0; i < count; i++) {
        handle->heads[i].ts.tv_sec = now.tv_sec;
        handle->heads[i].ts.tv_usec = handle->nanoseconds ? now.tv_nsec : now.tv_nsec / 1000;
    }
}

int palisade_pcap_fetch_restartable(struct nf_pcap *handle, uint32_t limit)
{
    struct fetched fetched = {.handle = handle};
    int64_t wait_ns = handle->nonblock         ? 0
                      : handle->timeout_ms > 0 ? handle->timeout_ms * 1000000ll
                                               : PATIENCE_NS;
    if (handle->filter)
        fetched.filter = PCAP_REAL(bpf_filter);
    handle->handed = handle->fetched = 0;
    uint32_t received = packets_receive(nf_self, descriptor_queue(descriptor_index(handle->fd)),
                                        limit < PCAP_BATCH ? limit : PCAP_BATCH, wait_ns,
                                        &signal_again, store, &fetched);
    if (fetched.count > 0)
        stamp(handle, fetched.count);
    handle->fetched = fetched.count;
    return received > 0 && fetched.count == 0 ? -1 : (int)fetched.count;
}

/* ---- out ---- */

int palisade_pcap_inject_restartable(pcap_t *native, const void *bytes, size_t length)
{
    if (nf_self == NULL)
        return PCAP_REAL(pcap_inject)(native, bytes, length);
    struct nf_pcap *handle = nf_pcap_of(native);
    if (handle->fd < 0)
        return pcap_fault(handle, PCAP_ERROR, "the handle is not active");
    if (length < sizeof(struct ethhdr) || length > port_frame_limit(handle->port - 1))
        return pcap_fault(handle, PCAP_ERROR, "send: a packet of %zu bytes does not fit the port",
                          length);
    struct iovec piece = {.iov_base = (void *)bytes, .iov_len = length};
    struct outgoing packet = {.port = (uint16_t)(handle->port - 1),
                              .length = (uint16_t)length,
                              .pieces = 1,
                              .iov = &piece};
    safe_point(nf_self);
    packets_send(nf_self, &packet, 1);
    return (int)length;
}

int palisade_pcap_sendpacket_restartable(pcap_t *native, const u_char *bytes, int length)
{
    if (nf_self == NULL)
        return PCAP_REAL(pcap_sendpacket)(native, bytes, length);
    return palisade_pcap_inject_restartable(native, bytes, (size_t)length) < 0 ? PCAP_ERROR : 0;
}
