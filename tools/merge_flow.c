/*
 * Which locks are held at each access of the program, which threads can be there, and whether
 * another thread can exist yet: the dataflow of pass/Flow.cpp over all units.
 */
#include <string.h>

#include "merge.h"

static bool set_or(const struct merge *merge, merge_set into, const uint64_t *from)
{
    bool changed = false;
    for (size_t i = 0; i < merge->words; i++) {
        changed |= (from[i] & ~into[i]) != 0;
        into[i] |= from[i];
    }
    return changed;
}

static bool set_and(const struct merge *merge, merge_set into, const uint64_t *from)
{
    bool changed = false;
    for (size_t i = 0; i < merge->words; i++) {
        changed |= (into[i] & ~from[i]) != 0;
        into[i] &= from[i];
    }
    return changed;
}

static void set_copy(const struct merge *merge, merge_set into, const uint64_t *from)
{
    memcpy(into, from, merge->words * sizeof *into);
}

static void set_clear(const struct merge *merge, merge_set set)
{
    memset(set, 0, merge->words * sizeof *set);
}

/* Calls `visit` for each event and block end (event NULL) of the functions that run. */
typedef void visit_event(struct merge *merge, struct merge_function *function,
                         const struct merge_block *block, const struct merge_event *event);

static void each_event(struct merge *merge, visit_event *visit)
{
    for (size_t i = 0; i < merge->function_count; i++) {
        struct merge_function *function = &merge->functions[i];
        for (size_t j = 0; function->entry.reached && j < function->block_count; j++) {
            const struct merge_block *block = &function->blocks[j];
            for (size_t k = 0; k < block->event_count; k++)
                visit(merge, function, block, &block->events[k]);
            visit(merge, function, block, NULL);
        }
    }
}

static bool is_main(const struct merge_function *function)
{
    return function->external && strcmp(function->name, "main") == 0;
}

/* ---- what can run at all ---- */

static bool changed; /* by the pass over the program that is under way */

static void run(struct merge_function *function)
{
    changed |= !function->entry.reached;
    function->entry.reached = true;
}

static void run_taken(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++)
        if (merge->functions[i].taken)
            run(&merge->functions[i]);
}

static void visit_run(struct merge *merge, struct merge_function *function,
                      const struct merge_block *block, const struct merge_event *event)
{
    (void)function;
    if (!event) {
        if (block->calls_back)
            run_taken(merge);
    } else if (event->kind == MERGE_CALL || event->kind == MERGE_START) {
        if (event->what < merge->function_count)
            run(&merge->functions[event->what]);
        else
            run_taken(merge);
    }
}

static void find_running(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++) {
        struct merge_function *function = &merge->functions[i];
        /* Constructors and tables of callbacks may run without a call that shows it. */
        function->entry.reached = is_main(function) || function->open || function->taken;
    }
    do {
        changed = false;
        each_event(merge, visit_run);
    } while (changed);
}

/* ---- threads ---- */

static void visit_site(struct merge *merge, struct merge_function *function,
                       const struct merge_block *block, const struct merge_event *event)
{
    (void)block;
    bool start = event && event->kind == MERGE_START;
    if (!event || !(start || event->kind == MERGE_CALL) || event->what >= merge->function_count)
        return;
    struct merge_function *callee = &merge->functions[event->what];
    callee->sites += start ? 2 : 1; /* what a thread runs is nobody's only call */
    callee->caller = function;
    callee->caller_loops = event->loop;
}

static bool runs_once(const struct merge_function *function)
{
    for (unsigned depth = 0; depth < 64; depth++) {
        if (is_main(function))
            return true;
        if (function->taken || function->open || function->sites != 1 || function->caller_loops)
            return false;
        function = function->caller;
    }
    return false;
}

static void thread_add(struct merge *merge, size_t function, bool many,
                       const struct merge_event *at)
{
    for (size_t i = 0; i < merge->thread_count; i++)
        if (merge->threads[i].function == function) {
            merge->threads[i].many = true;
            return;
        }
    merge->threads[merge->thread_count++] =
        (struct merge_thread){function, many, at ? at->file : "", at ? at->line : 0};
}

static void visit_start(struct merge *merge, struct merge_function *function,
                        const struct merge_block *block, const struct merge_event *event)
{
    (void)block;
    if (!event || event->kind != MERGE_START)
        return;
    bool many = event->loop || !runs_once(function);
    if (event->what < merge->function_count)
        thread_add(merge, event->what, many, event);
    for (size_t i = 0; event->what == MERGE_ANY && i < merge->function_count; i++)
        if (merge->functions[i].taken)
            thread_add(merge, i, many, event);
}

static void find_threads(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++)
        if (is_main(&merge->functions[i]))
            thread_add(merge, i, false, NULL);
    each_event(merge, visit_site);
    each_event(merge, visit_start);
    merge->threads[merge->thread_count++] = (struct merge_thread){MERGE_ANY, true, "", 0};
}

static void visit_spread(struct merge *merge, struct merge_function *function,
                         const struct merge_block *block, const struct merge_event *event)
{
    bool anyone = event ? event->kind == MERGE_CALL && event->what >= merge->function_count
                        : block->calls_back;
    if (event && event->kind == MERGE_CALL && !anyone)
        changed |= set_or(merge, merge->functions[event->what].threads, function->threads);
    for (size_t i = 0; anyone && i < merge->function_count; i++)
        if (merge->functions[i].taken)
            changed |= set_or(merge, merge->functions[i].threads, function->threads);
}

static void spread_threads(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++)
        if (merge->functions[i].open)
            set_add(merge->functions[i].threads, merge->thread_count - 1);
    for (size_t i = 0; i + 1 < merge->thread_count; i++)
        set_add(merge->functions[merge->threads[i].function].threads, i);
    do {
        changed = false;
        each_event(merge, visit_spread);
    } while (changed);
}

/* ---- what calls do ---- */

static struct merge_function anyone; /* that an indirect call may reach */
static merge_set scratch;

static const struct merge_function *callee_of(const struct merge *merge,
                                              const struct merge_event *event)
{
    if (event->what < merge->function_count)
        return &merge->functions[event->what];
    return event->what == MERGE_ANY ? &anyone : NULL;
}

static void absorb(struct merge *merge, struct merge_function *into,
                   const struct merge_function *from)
{
    changed |= set_or(merge, into->unlocks, from->unlocks);
    changed |= (from->unlocks_any && !into->unlocks_any) || (from->creates && !into->creates);
    into->unlocks_any |= from->unlocks_any;
    into->creates |= from->creates;
}

static void visit_summary(struct merge *merge, struct merge_function *function,
                          const struct merge_block *block, const struct merge_event *event)
{
    (void)block;
    struct merge_function own = {.unlocks = scratch};
    set_clear(merge, scratch);
    if (!event) {
        if (function->taken)
            absorb(merge, &anyone, function);
        return;
    }
    if (event->kind == MERGE_UNLOCK && event->what == MERGE_ANY)
        own.unlocks_any = true;
    else if (event->kind == MERGE_UNLOCK)
        set_add(own.unlocks, HELD(event->what)), set_add(own.unlocks, HELD_ALONE(event->what));
    else if (event->kind == MERGE_START)
        own.creates = true;
    else if (event->kind == MERGE_CALL) {
        const struct merge_function *callee = callee_of(merge, event);
        if (callee)
            absorb(merge, function, callee);
        own.creates = !callee;
    }
    absorb(merge, function, &own);
}

static void summarise(struct merge *merge)
{
    anyone = (struct merge_function){.unlocks = merge_set_new(merge),
                                     .gains = merge_set_new(merge)}; /* stays empty */
    scratch = merge_set_new(merge);
    do {
        changed = false;
        each_event(merge, visit_summary);
    } while (changed);
}

/* ---- states ---- */

static void step(const struct merge *merge, struct merge_state *state,
                 const struct merge_event *event)
{
    if (event->kind == MERGE_LOCK || event->kind == MERGE_RDLOCK) {
        set_add(state->held, HELD(event->what));
        if (event->kind == MERGE_LOCK)
            set_add(state->held, HELD_ALONE(event->what));
        else
            set_drop(state->held, HELD_ALONE(event->what));
    } else if (event->kind == MERGE_UNLOCK && event->what == MERGE_ANY) {
        set_clear(merge, state->held);
    } else if (event->kind == MERGE_UNLOCK) {
        set_drop(state->held, HELD(event->what));
        set_drop(state->held, HELD_ALONE(event->what));
    } else if (event->kind == MERGE_START) {
        state->threaded = true;
    } else if (event->kind == MERGE_CALL) {
        const struct merge_function *callee = callee_of(merge, event);
        state->threaded |= !callee || callee->creates;
        if (!callee)
            return;
        for (size_t i = 0; i < merge->words; i++)
            state->held[i] = callee->unlocks_any
                                 ? callee->gains[i]
                                 : (state->held[i] & ~callee->unlocks[i]) | callee->gains[i];
    }
}

static bool join(const struct merge *merge, struct merge_state *into,
                 const struct merge_state *from)
{
    if (!into->reached) {
        into->reached = true;
        into->threaded = from->threaded;
        set_copy(merge, into->held, from->held);
        return true;
    }
    bool more = set_and(merge, into->held, from->held);
    more |= from->threaded && !into->threaded;
    into->threaded |= from->threaded;
    return more;
}

/* The states at the starts of the blocks; `state` is room for one. */
static void flow_through(const struct merge *merge, struct merge_function *function,
                         const struct merge_state *entry, struct merge_state *state)
{
    for (size_t i = 0; i < function->block_count; i++)
        function->blocks[i].at.reached = false;
    join(merge, &function->blocks[0].at, entry);
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < function->block_count; i++) {
            const struct merge_block *block = &function->blocks[i];
            if (!block->at.reached)
                continue;
            state->threaded = block->at.threaded;
            set_copy(merge, state->held, block->at.held);
            for (size_t j = 0; j < block->event_count; j++)
                step(merge, state, &block->events[j]);
            for (size_t j = 0; j < block->next_count; j++)
                again |= join(merge, &function->blocks[block->next[j]].at, state);
        }
    }
}

/* Locks that a function called without any holds at all its returns: lock wrappers. */
static void find_gains(struct merge *merge, struct merge_state *state)
{
    struct merge_state none = {.reached = true, .held = anyone.gains};
    struct merge_state end = {.held = merge_set_new(merge)};
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < merge->function_count; i++) {
            struct merge_function *function = &merge->functions[i];
            if (!function->entry.reached)
                continue;
            flow_through(merge, function, &none, state);
            end.reached = false;
            for (size_t j = 0; j < function->block_count; j++) {
                const struct merge_block *block = &function->blocks[j];
                if (!block->returns || !block->at.reached)
                    continue;
                state->threaded = false;
                set_copy(merge, state->held, block->at.held);
                for (size_t k = 0; k < block->event_count; k++)
                    step(merge, state, &block->events[k]);
                join(merge, &end, state);
            }
            if (end.reached)
                again |= set_or(merge, function->gains, end.held);
        }
    }
}

static void find_entries(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++) {
        struct merge_function *function = &merge->functions[i];
        bool runs = function->entry.reached;
        function->entry.reached = runs && (is_main(function) || function->taken || function->open);
        function->entry.threaded = runs && (function->taken || function->open);
    }
    for (size_t i = 0; i + 1 < merge->thread_count; i++) {
        struct merge_function *function = &merge->functions[merge->threads[i].function];
        function->entry.reached = true;
        function->entry.threaded |= !is_main(function);
    }
}

static void solve_entries(struct merge *merge, struct merge_state *state)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < merge->function_count; i++) {
            struct merge_function *function = &merge->functions[i];
            if (!function->entry.reached)
                continue;
            flow_through(merge, function, &function->entry, state);
            for (size_t j = 0; j < function->block_count; j++) {
                const struct merge_block *block = &function->blocks[j];
                if (!block->at.reached)
                    continue;
                state->threaded = block->at.threaded;
                set_copy(merge, state->held, block->at.held);
                for (size_t k = 0; k < block->event_count; k++) {
                    const struct merge_event *event = &block->events[k];
                    if (event->kind == MERGE_CALL && event->what < merge->function_count)
                        again |= join(merge, &merge->functions[event->what].entry, state);
                    step(merge, state, event);
                }
            }
        }
    }
}

/* Calls `visit` with the state before each event of a function that runs. */
typedef void visit_state(struct merge *merge, size_t function, const struct merge_event *event,
                         const struct merge_state *state);

static void each_state(struct merge *merge, size_t number, struct merge_state *state,
                       visit_state *visit)
{
    const struct merge_function *function = &merge->functions[number];
    for (size_t i = 0; i < function->block_count; i++) {
        const struct merge_block *block = &function->blocks[i];
        state->threaded = block->at.threaded;
        set_copy(merge, state->held, block->at.held);
        for (size_t j = 0; block->at.reached && j < block->event_count; j++) {
            visit(merge, number, &block->events[j], state);
            step(merge, state, &block->events[j]);
        }
    }
}

static void note_find(struct merge *merge, size_t function, const struct merge_event *event,
                      const struct merge_state *state)
{
    if (event->kind == MERGE_FIND)
        set_copy(merge, merge->functions[function].finds[event->what], state->held);
}

/* It lies in an object of the variable's type, or of one that such objects begin with. */
static bool is_own_lock(const char *lock, const struct merge_variable *variable)
{
    if (strncmp(lock, variable->name, strcspn(variable->name, ")") + 1) == 0)
        return true;
    for (size_t i = 0; i < variable->begin_count; i++)
        if (strncmp(lock, variable->begins[i], strlen(variable->begins[i])) == 0)
            return true;
    return false;
}

/* Under a lock of the object's own, or one under which the object was found. */
static bool is_guarded(const struct merge *merge, size_t function, const struct merge_event *event,
                       const struct merge_state *state)
{
    const struct merge_variable *variable = &merge->variables[event->what];
    if (!variable->heap)
        return false;
    for (size_t lock = 0; lock < merge->lock_count; lock++)
        if (set_has(state->held, HELD(lock)) && is_own_lock(merge->locks[lock], variable))
            return true;
    for (size_t i = 0; i < event->found_count; i++)
        for (size_t word = 0; word < merge->words; word++)
            if (state->held[word] & merge->functions[function].finds[event->found[i]][word])
                return true;
    return false;
}

static void note_access(struct merge *merge, size_t function, const struct merge_event *event,
                        const struct merge_state *state)
{
    if (event->kind != MERGE_USE)
        return;
    struct merge_access *access = &merge->accesses[merge->access_count++];
    *access = (struct merge_access){
        .variable = event->what,
        .function = function,
        .event = event,
        .threaded = state->threaded && !event->fresh,
        .guarded = is_guarded(merge, function, event, state),
        .held = merge_set_new(merge),
        .threads = merge->functions[function].threads,
    };
    for (size_t lock = 0; lock < merge->lock_count; lock++)
        if (set_has(state->held, event->write ? HELD_ALONE(lock) : HELD(lock)))
            set_add(access->held, lock);
}

static void collect_accesses(struct merge *merge, struct merge_state *state)
{
    for (size_t i = 0; i < merge->function_count; i++) {
        struct merge_function *function = &merge->functions[i];
        if (!function->entry.reached)
            continue;
        flow_through(merge, function, &function->entry, state);
        each_state(merge, i, state, note_find);
        each_state(merge, i, state, note_access);
    }
}

void merge_solve(struct merge *merge)
{
    for (size_t i = 0; i < merge->function_count; i++) {
        struct merge_function *function = &merge->functions[i];
        function->unlocks = merge_set_new(merge);
        function->gains = merge_set_new(merge);
        function->threads = merge_set_new(merge);
        function->entry.held = merge_set_new(merge);
        for (size_t j = 0; j < function->block_count; j++)
            function->blocks[j].at.held = merge_set_new(merge);
        for (size_t j = 0; j < function->find_count; j++)
            function->finds[j] = merge_set_new(merge);
    }
    struct merge_state state = {.held = merge_set_new(merge)};
    find_running(merge);
    find_threads(merge);
    spread_threads(merge);
    summarise(merge);
    find_gains(merge, &state);
    find_entries(merge);
    solve_entries(merge, &state);
    collect_accesses(merge, &state);
}
