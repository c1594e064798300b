/*
 * An XDP program that stays at its device when its process dies: attached by netlink. The sockets
 * leave its map with the process, so until the next one replaces the program whatever it takes is
 * dropped, and the local stack never answers for the NF (RST, ICMP, ARP).
 *
 * Nothing at the device tells whether the owner lives, so an owner holds a name besides: an
 * abstract socket of the device's namespace, gone with the process.
 */
#ifndef PALISADE_XDP_RESIDENT_H
#define PALISADE_XDP_RESIDENT_H

#include <stdbool.h>

struct resident {
    int index;      /* of the interface */
    int program;    /* borrowed */
    int name;       /* socket that holds the name, -1: none */
    unsigned mode;  /* XDP_FLAGS_DRV_MODE or _SKB_MODE */
    bool inherited; /* replaced what a dead process had left */
};

/* Attaches `program` (natively, else generic), or puts it in the place of one of the same name that
 * a dead process left. 0; -EBUSY, -EEXIST: another's, or its owner lives; other -errno. */
int resident_attach(struct resident *resident, int program, int index);
/* Lets go of the name; takes the program off the device unless it `stays`. */
void resident_release(struct resident *resident, bool stays);

#endif
