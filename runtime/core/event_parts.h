/*
 * What the parts of the events share: how a replay asks the log about the thread's next event.
 * event.c, event_rw.c, event_word.c; nobody else includes this.
 */
#ifndef PALISADE_CORE_EVENT_PARTS_H
#define PALISADE_CORE_EVENT_PARTS_H

#include "event.h"

enum next { NEXT_RECORD, NEXT_PREDICTED, NEXT_END, NEXT_BAD };

/* What the log says about the thread's next event. */
enum next ev_next(const struct thread_state *thread, struct log_reader *reader);
/* For events whose record is never left out: EVENT_PASS when `next` is of that kind. */
enum event ev_need_record(const struct thread_state *thread, struct log_reader *reader,
                          enum record_kind kind);
/*
 * The event happened; a record that named it is used up. Other threads' loads wait for this
 * position (R5): what the event did must be visible with it.
 */
enum event ev_pass(struct thread_state *thread, struct log_reader *reader);
enum event ev_diverged(struct log_reader *reader, const char *why);

/* May this thread take `order` now? Changes nothing. */
enum event order_may(const struct thread_state *thread, struct log_reader *reader,
                     const struct order *order);
enum event order_take(struct thread_state *thread, struct log_reader *reader, struct order *order);

#endif
