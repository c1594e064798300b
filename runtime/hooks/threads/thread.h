/* NF threads: birth, death, restore. */
#ifndef PALISADE_HOOKS_THREAD_H
#define PALISADE_HOOKS_THREAD_H

#include "process.h"

/* Maps tables, stacks and heap at their fixed addresses. Fails the process with a sentence. */
void thread_space_map(void);
/* Lowest address of the stack of `index`, and where the NF's part of it ends. */
uint8_t *thread_stack(uint32_t index);
uint8_t *thread_stack_top(uint32_t index);

/* Log ring, output ring, of thread `index`, its log starting at `start`. Any thread. */
void thread_run_open(uint32_t index, position start);

/* A thread that ends gives its free blocks of the NF's heap to the others (hooks/memory.c). */
void memory_thread_exit(struct nf_thread *thread);

/* Thread 0 of a master: runs entry(argument). */
void thread_main(void *(*entry)(void *), void *argument);
/* Starts the native thread of an NF thread in the image: from its context, or from its entry. */
void thread_spawn(uint32_t index);

#endif
