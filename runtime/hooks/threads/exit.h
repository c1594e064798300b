#ifndef PALISADE_HOOKS_EXIT_H
#define PALISADE_HOOKS_EXIT_H

#include "process.h"

/* Runs the exit handlers, then tells the end. Main returned, or exit(). */
__attribute__((noreturn)) void exit_normally(struct nf_thread *thread, int status);

#endif
