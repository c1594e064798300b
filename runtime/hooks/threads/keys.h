/* Thread-specific values (pthread_key_*, tss_*): they lie in the image. */
#ifndef PALISADE_HOOKS_KEYS_H
#define PALISADE_HOOKS_KEYS_H

#include "process.h"

/* The thread ends: calls the destructors, as the program's code. */
void keys_thread_exit(struct nf_thread *thread);

#endif
