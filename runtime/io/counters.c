/* See counters.h. */
#include "io/counters.h"

#include <signal.h>

#include "io/io.h"
#include "journal/link_json.h"
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
    return link_json(link ? link_counters(link) : &none);
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
    journal_event(io.journal, "counters", "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "epoch",
                  (json_int_t)io.epoch, "threads", (json_int_t)IMAGE->thread_count, "events",
                  (json_int_t)events, "outputs", (json_int_t)outputs, "next_input",
                  (json_int_t)io.rejoin.inputs.from, "unclaimed", (json_int_t)io.unclaimed,
                  "inputs_discarded", (json_int_t)io.inputs_discarded, "snapshot",
                  (json_int_t)snapshot->number, "input_link", link_object(io.il_wire),
                  "output_link", link_object(io.ol_wire));
}
