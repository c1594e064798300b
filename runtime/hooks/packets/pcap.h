/*
 * libpcap: a capture handle as the NF sees it. The handle lies in the NF's heap and behaves as
 * libpcap's documentation says; packets come through its queue and go out as packets do. Filters
 * are compiled and run by libpcap itself, which is loaded when a program uses it.
 *
 *   pcap.c         making a handle ready: create, options, activate, filter, questions
 *   pcap_io.c      packets: fetch (restartable) and inject
 *   pcap_loop.c    pcap_loop, pcap_dispatch, pcap_next: call the NF back
 */
#ifndef PALISADE_HOOKS_PCAP_H
#define PALISADE_HOOKS_PCAP_H

#include <pcap/pcap.h>

#include "hooks/files/descriptor.h"

#define PCAP_BATCH 16u /* packets a handle holds for the NF at once */

/* What pcap_t is in the NF's memory. One thread at a time, but for `broken` and `received`. */
struct nf_pcap {
    int fd;        /* its descriptor; -1 before activation, and for dead handles */
    uint32_t port; /* index + 1; 0: a dead handle */
    int link_type;
    int snaplen, timeout_ms;
    int nonblock;
    int immediate;
    int nanoseconds;   /* of time stamps */
    uint32_t broken;   /* pcap_breakloop was called: a racy word */
    uint32_t received; /* of packets that matched: a racy word */
    uint32_t filter_length;
    struct bpf_insn *filter;
    uint32_t fetched, handed; /* of the batch below: how many there are, how many the NF has had */
    struct pcap_pkthdr heads[PCAP_BATCH];
    uint8_t (*bytes)[PACKET_MAX_BYTES]; /* PCAP_BATCH packets */
    char error[PCAP_ERRBUF_SIZE];
};

static inline struct nf_pcap *nf_pcap_of(pcap_t *handle)
{
    return (struct nf_pcap *)handle;
}

/* libpcap's own function, for threads that are not the NF's, for compiling and for filtering. */
void *pcap_real(const char *name);
#define PCAP_REAL(name) ((__typeof__(&name))pcap_real(#name))

/* Puts the text into the handle and returns `code`. */
int pcap_fault(struct nf_pcap *handle, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * A new batch of up to `limit` packets. Waits no longer than the handle's time-out. Returns how
 * many match; 0: the time is over; -1: some came, none matched. An entry of entry.S: restartable.
 */
int palisade_pcap_fetch_entry(struct nf_pcap *handle, uint32_t limit);

#endif
