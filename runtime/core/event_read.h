/*
 * How replay looks at a thread's log: shared by event.c and event_word.c, nobody else.
 */
#ifndef PALISADE_CORE_EVENT_READ_H
#define PALISADE_CORE_EVENT_READ_H

#include "event.h"

enum next { NEXT_RECORD, NEXT_PREDICTED, NEXT_END, NEXT_BAD };

/* What the log says about the thread's next event. */
enum next reader_next(const struct thread_state *thread, struct log_reader *reader);
enum event reader_diverged(struct log_reader *reader, const char *why);
/*
 * The event happened; a record that named it is used up. Other threads' loads wait for this
 * position (R5): what the event did must be visible with it.
 */
enum event reader_pass(struct thread_state *thread, struct log_reader *reader);
/* For events whose record is never left out. */
enum event reader_need(const struct thread_state *thread, struct log_reader *reader,
                       enum record_kind kind);
/* May this thread take `order` now? Changes nothing. */
enum event order_may(const struct thread_state *thread, struct log_reader *reader,
                     const struct order *order);
enum event order_take(struct thread_state *thread, struct log_reader *reader, struct order *order);

#endif
