/* See counters.h. */
#include "io/counters.h"

#include <signal.h>
#include <stddef.h>

#include "check/check.h"
#include "hooks/files/effect.h"
#include "hooks/packets/queue.h"
#include "io/io.h"
#include "journal/link_json.h"
#include "journal/stall_json.h"
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

/* The same wait of all threads together: `offset` of its struct stall in their thread_run. */
static json_t *threads_stall(size_t offset)
{
    uint64_t times = 0;
    int64_t ns = 0;
    for (uint32_t t = 0; t < IMAGE->thread_count; t++) {
        const struct stall *one =
            (const struct stall *)(const void *)((const char *)&process.runs[t] + offset);
        times += stall_times(one);
        ns += stall_ns(one, io.now_ns);
    }
    return json_pack("{s:I,s:I}", "times", (json_int_t)times, "ns", (json_int_t)ns);
}

static json_t *waits_object(void)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "log_full",
                     threads_stall(offsetof(struct thread_run, log_full)), "outputs_full",
                     threads_stall(offsetof(struct thread_run, outputs_full)), "effects_full",
                     threads_stall(offsetof(struct thread_run, effects_full)), "socket_full",
                     threads_stall(offsetof(struct thread_run, socket_full)), "queues_full",
                     stall_json(&io.queues_full, io.now_ns), "window_full",
                     stall_json(&io.window_full, io.now_ns), "image",
                     stall_json(&io.image_waits, io.now_ns));
}

static uint32_t queued_inputs(void)
{
    uint32_t queued = 0;
    for (uint32_t q = 0; q < QUEUES_MAX; q++)
        if (process.queues[q])
            queued += queue_used(process.queues[q]);
    return queued;
}

static json_t *check_object(void)
{
    struct check_figures figures = check_figures();
    return json_pack("{s:I,s:I,s:I}", "accesses", (json_int_t)figures.accesses, "shared",
                     (json_int_t)figures.shared, "forgotten", (json_int_t)figures.forgotten);
}

static size_t line_queued(const struct lifeline *line)
{
    return line ? lifeline_queued(line) : 0;
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
    journal_event(
        io.journal, "counters", "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:o}",
        "epoch", (json_int_t)io.epoch, "threads", (json_int_t)IMAGE->thread_count, "events",
        (json_int_t)events, "outputs", (json_int_t)outputs, "next_input",
        (json_int_t)io.rejoin.inputs.from, "queued_inputs", (json_int_t)queued_inputs(),
        "unclaimed", (json_int_t)io.unclaimed, "inputs_discarded", (json_int_t)io.inputs_discarded,
        "snapshot", (json_int_t)snapshot->number, "queued_effects", (json_int_t)effects_queued(),
        "lifeline_bytes", (json_int_t)(line_queued(io.ol_line) + line_queued(io.il_line)), "waits",
        waits_object(), "check", check_object(), "input_link", link_object(io.il_wire),
        "output_link", link_object(io.ol_wire));
}
