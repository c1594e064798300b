/*
 * The XDP program of a device, loaded with libbpf. That of a link is attached by a bpf_link, so
 * that it leaves the device with the process, even after kill -9; that of a port stays
 * (resident.h).
 */
#ifndef PALISADE_XDP_REDIRECT_H
#define PALISADE_XDP_REDIRECT_H

#include "xsk.h"

struct redirect;

/* Attaches the program that `options` want to their device, interface `index` (natively, else
 * generic), and directs its queue to `socket`. -> xsk_open for `why` and the statuses. */
enum status redirect_attach(struct redirect **redirect, const struct xsk_options *options,
                            int index, int socket, char *why);
/* Shall a port's program stay when it is detached? Until told: as it was found. */
void redirect_stays(struct redirect *redirect, bool stays);
void redirect_detach(struct redirect *redirect); /* NULL is fine */

#endif
