#ifndef PALISADE_HOOKS_ENVIRONMENT_H
#define PALISADE_HOOKS_ENVIRONMENT_H

/* libc sees the NF's environment from now on. Any thread. */
void environment_use(void);

#endif
