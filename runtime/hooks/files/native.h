/*
 * The process's side of a descriptor: the kernel's file or socket behind it, if it has one.
 *
 * The image holds what is needed to open it again; the kernel's number belongs to this process. In
 * replay there is none: a takeover opens it at go-live (revive), or, when the NF has closed the
 * descriptor by then but effects on it are still to be performed, when the first of them is. It
 * stays open until the last effect is out.
 */
#ifndef PALISADE_HOOKS_NATIVE_H
#define PALISADE_HOOKS_NATIVE_H

#include "process.h"

#define NATIVE_QUEUED_MAX (256u << 10) /* bytes of effects under way; more wait, like SO_SNDBUF */

struct backlog;

struct native {
    _Atomic uint32_t references;
    _Atomic int fd;                    /* -1: none (yet) */
    _Atomic uint32_t queued;           /* effects not performed yet */
    _Atomic uint32_t queued_bytes;     /* of them and of the backlog; futex word */
    _Atomic int error;                 /* of an effect; the next call tells it */
    int64_t shift;                     /* appended files: see file.c. I/O thread */
    bool refused;                      /* could not be opened again. I/O thread */
    struct backlog *first, *last;      /* what a socket did not take yet. I/O thread */
    int (*reopen)(const void *orphan); /* set with orphan */
    void *orphan;                      /* copy of the image's side of a closed descriptor */
};

/* The native of descriptor `index`, made when there is none yet, with a reference. Any thread. */
struct native *native_of(uint32_t index);
void native_keep(struct native *native);
/* Gives a reference back; the last one closes. Any thread. */
void native_put(struct native *native);

/* The kernel's number of descriptor `index`: set (live), asked for (-1: none). Any thread. */
void native_install(uint32_t index, int fd);
int native_fd(uint32_t index);

/*
 * The NF closed the descriptor. `bytes` of the image's side are kept for `reopen` if effects still
 * need them. NF threads.
 */
void native_close(uint32_t index, const void *image_side, size_t bytes,
                  int (*reopen)(const void *image_side));

#endif
