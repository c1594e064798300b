/* Sets of descriptors to wait for. */
#ifndef PALISADE_HOOKS_EPOLL_H
#define PALISADE_HOOKS_EPOLL_H

#include "process.h"

/* The descriptor is closed: no set has it any more. Under descriptors_lock. NF threads. */
void epoll_forget(uint32_t index);

#endif
