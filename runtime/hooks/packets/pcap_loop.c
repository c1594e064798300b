/*
 * See pcap.h: what calls the NF back, or loops.
 *
 * These functions are like code of the NF: their frames may lie in an image, under the NF's
 * callback. So they touch the NF's memory only, keep no pointer into the process across a call, and
 * wait and log through hooks alone. That frames can be restored at all: this library is the same,
 * at the same address, in the backup (identity).
 */
#include "abi_internal.h"
#include "hooks/packets/pcap.h"

/* True once after each pcap_breakloop. */
static bool broken(struct nf_pcap *handle)
{
    if (__palisade_load4(&handle->broken) == 0)
        return false;
    __palisade_store4(&handle->broken, 0);
    return true;
}

/* Makes sure of a packet that the NF has not had yet. 1; 0: the time-out is over; or an error. */
static int fetch(struct nf_pcap *handle, uint32_t limit)
{
    if (handle->fd < 0)
        return pcap_fault(handle, PCAP_ERROR_NOT_ACTIVATED, "the handle is not active");
    for (;;) {
        if (broken(handle))
            return PCAP_ERROR_BREAK;
        if (handle->handed < handle->fetched)
            return 1;
        int fetched = palisade_pcap_fetch_entry(handle, limit);
        if (fetched > 0)
            __palisade_store4(&handle->received,
                              __palisade_load4(&handle->received) + (uint32_t)fetched);
        if (fetched == 0 && (handle->timeout_ms > 0 || handle->nonblock))
            return 0;
    }
}

/* Calls back for what one fetch brings, at most `limit`; how often, or why not at all. */
static int dispatch(struct nf_pcap *handle, uint32_t limit, pcap_handler callback, u_char *user)
{
    int result = fetch(handle, limit);
    if (result <= 0)
        return result;
    uint32_t done = 0;
    while (done < limit && handle->handed < handle->fetched) {
        uint32_t at = handle->handed++;
        callback(user, &handle->heads[at], handle->bytes[at]);
        done++;
        if (__palisade_load4(&handle->broken))
            break; /* the rest stays for later, the next call tells */
    }
    return (int)done;
}

HOOK int __palisade_pcap_dispatch(pcap_t *native, int count, pcap_handler callback, u_char *user)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_dispatch)(native, count, callback, user);
    return dispatch(nf_pcap_of(native), count > 0 ? (uint32_t)count : PCAP_BATCH, callback, user);
}

HOOK int __palisade_pcap_loop(pcap_t *native, int count, pcap_handler callback, u_char *user)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_loop)(native, count, callback, user);
    for (int left = count; count <= 0 || left > 0;) {
        int done =
            dispatch(nf_pcap_of(native), count > 0 ? (uint32_t)left : PCAP_BATCH, callback, user);
        if (done < 0)
            return done;
        left -= done;
    }
    return 0;
}

HOOK int __palisade_pcap_next_ex(pcap_t *native, struct pcap_pkthdr **head, const u_char **bytes)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_next_ex)(native, head, bytes);
    struct nf_pcap *handle = nf_pcap_of(native);
    int result = fetch(handle, 1);
    if (result > 0) {
        uint32_t at = handle->handed++;
        *head = &handle->heads[at];
        *bytes = handle->bytes[at];
    }
    return result;
}

HOOK const u_char *__palisade_pcap_next(pcap_t *native, struct pcap_pkthdr *head)
{
    SITE_HERE();
    if (nf_self == NULL)
        return PCAP_REAL(pcap_next)(native, head);
    struct pcap_pkthdr *found;
    const u_char *bytes;
    if (__palisade_pcap_next_ex(native, &found, &bytes) <= 0)
        return NULL;
    *head = *found;
    return bytes;
}

HOOK void __palisade_pcap_breakloop(pcap_t *native)
{
    SITE_HERE();
    if (nf_self == NULL)
        PCAP_REAL(pcap_breakloop)(native);
    else
        __palisade_store4(&nf_pcap_of(native)->broken, 1);
}
