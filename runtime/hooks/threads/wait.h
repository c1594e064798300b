/*
 * Waiting for descriptors, live: queues and objects of the NF wake the thread by its futex, the
 * kernel's by poll, in which the thread then sleeps with an eventfd of its own. `call` is what a
 * signal does to the hook (hooks/threads/signal.h); NULL: it stays pending.
 */
#ifndef PALISADE_HOOKS_WAIT_H
#define PALISADE_HOOKS_WAIT_H

#include "hooks/files/descriptor.h"
#include "hooks/threads/signal.h"

struct interest {
    uint32_t index; /* of the descriptor; WAIT_NATIVE: `fd` is a kernel's number */
    int fd;
    short events;
    short ready; /* out */
};
#define WAIT_NATIVE UINT32_MAX

/* Does the kernel know when this descriptor is ready? */
bool wait_asks_kernel(uint32_t index);
/* thread_wake for this thread when something of a descriptor changes that the kernel does not know;
 * once. */
void wait_register(struct nf_thread *thread, uint32_t index);
/* Sleeps in the safe state unless run->wake has left `seen`; one kernel's number (-1: none) may end
 * it, too. `left_ns` -1: no limit. Restartable hooks, live. */
void wait_sleep_on(struct nf_thread *thread, uint32_t seen, int fd, int64_t left_ns,
                   const struct signal_call *call);

/* Fills in what is ready now; returns how many are. Live. NF threads. */
uint32_t wait_look(struct interest *interests, uint32_t count);
/*
 * Sleeps in the safe state until something may be ready, the thread is woken, or `until_ns`
 * (absolute; -1: no limit). Restartable hooks, live.
 */
void wait_sleep(struct nf_thread *thread, struct interest *interests, uint32_t count,
                int64_t until_ns, const struct signal_call *call);
/* Both: until something is ready (true) or `until_ns`. */
bool wait_until(struct nf_thread *thread, struct interest *interests, uint32_t count,
                int64_t until_ns, const struct signal_call *call);
/* The same for one of the kernel's numbers. */
bool wait_native(struct nf_thread *thread, int fd, short events, int64_t until_ns,
                 const struct signal_call *call);

#endif
