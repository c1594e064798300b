/*
 * A library that is not instrumented, with a lock of its own: locks.model has its rows. What it
 * keeps lies in the program's memory.
 */
#ifndef PALISADE_TORTURE_SHELF_H
#define PALISADE_TORTURE_SHELF_H

#include <pthread.h>
#include <stdint.h>

struct shelf {
    pthread_mutex_t lock; /* glibc's, for the library is not instrumented */
    uint64_t sum, visits;
};

void shelf_lock(struct shelf *shelf);
void shelf_unlock(struct shelf *shelf);
uint64_t shelf_put(struct shelf *shelf, uint64_t value); /* locked */

#endif
