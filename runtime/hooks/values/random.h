#ifndef PALISADE_HOOKS_RANDOM_H
#define PALISADE_HOOKS_RANDOM_H

/* The generators as a program finds them at its start. Before thread 0. */
void random_open(void);

#endif
