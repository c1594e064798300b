/* What the I/O thread tells about itself: on SIGUSR1 and at the end, one `counters` line. */
#ifndef PALISADE_IO_COUNTERS_H
#define PALISADE_IO_COUNTERS_H

/* SIGUSR1 asks for the counters. Before the first NF thread starts. */
void counters_on_signal(void);
/* Writes them if they were asked for. I/O thread. */
void counters_answer(void);

#endif
