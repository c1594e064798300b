/* What the NF told libc and the kernel about its process: repeated by a successor. */
#ifndef PALISADE_HOOKS_SETTINGS_H
#define PALISADE_HOOKS_SETTINGS_H

/* Asks who we are; at the first master's start. */
void settings_open(void);
/* What replay depends on: environment, locale, time zone. I/O thread, image in place. */
void settings_restore(void);
/* The rest, at go-live. What fails is told on stderr and left. I/O thread. */
void settings_go_live(void);

#endif
