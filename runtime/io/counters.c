/* See counters.h. */
#include "io/counters.h"

#include <signal.h>

#include "io/io.h"
#include "snapshot/snapshot.h"

static volatile sig_atomic_t asked;

static void ask(int signal)
{
    (void)signal;
    asked = 1;
    io_wake();
}

void counters_on_signal(void)
{
    struct sigaction action = {.sa_handler = ask, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
}

static json_t *link_object(struct wire *wire)
{
    static const struct link_counters none;
    struct link *link = wire_link(wire);
    const struct link_counters *c = link ? link_counters(link) : &none;
    json_t *errors = json_object();
    for (enum frame_error e = FRAME_OK + 1; e < FRAME_ERRORS; e++)
        json_object_set_new(errors, frame_error_name(e),
                            json_integer((json_int_t)c->dropped_error[e]));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "sent", (json_int_t)c->sent,
                     "resent", (json_int_t)c->resent, "received", (json_int_t)c->received,
                     "acks_sent", (json_int_t)c->acks_sent, "dropped_duplicate",
                     (json_int_t)c->dropped_duplicate, "dropped_gap", (json_int_t)c->dropped_gap,
                     "dropped_session", (json_int_t)c->dropped_session, "dropped_epoch",
                     (json_int_t)c->dropped_epoch, "dropped_no_credit",
                     (json_int_t)c->dropped_no_credit, "window_full", (json_int_t)c->window_full,
                     "dropped_error", errors);
}

void counters_answer(void)
{
    if (!asked)
        return;
    asked = 0;
    uint64_t events = 0, outputs = 0;
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        events += IMAGE->threads[t].core.position;
        outputs += IMAGE->threads[t].core.outputs;
    }
    const struct snapshot_figures *snapshot = snapshot_figures();
    journal_event(io.journal, "counters", "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "epoch",
                  (json_int_t)io.epoch, "threads", (json_int_t)IMAGE->thread_count, "events",
                  (json_int_t)events, "outputs", (json_int_t)outputs, "next_input",
                  (json_int_t)io.next_input, "unclaimed", (json_int_t)io.unclaimed, "snapshot",
                  (json_int_t)snapshot->number, "input_link", link_object(io.il_wire),
                  "output_link", link_object(io.ol_wire));
}
