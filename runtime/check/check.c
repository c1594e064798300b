/* See check.h. */
#include "check/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "abi_internal.h"
#include "check/clocks.h"
#include "check/shadow.h"
#include "io/io.h"

#define PAIRS 4096u /* a power of two; as many pairs of sites are named, and no more */

static struct {
    pthread_mutex_t mutex; /* guards pairs */
    struct {
        const struct palisade_site *one, *other;
    } pairs[PAIRS];
    _Atomic uint64_t shared;
    struct {
        _Alignas(64) _Atomic uint64_t accesses; /* written by that thread */
    } threads[THREADS_MAX];
} check = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void check_open(void)
{
    if (process.options.role != OPTION_ROLE_BACKUP ||
        process.options.standby != OPTION_STANDBY_CHECK)
        return;
    clocks_begin();
    if (!shadow_open(process.options.check_mib))
        process_fail(STATUS_MEMORY, "no memory to check accesses; lower check_mib");
}

struct check_figures check_figures(void)
{
    struct check_figures figures = {.shared = atomic_load(&check.shared),
                                    .forgotten = shadow_forgotten()};
    for (uint32_t t = 0; t < THREADS_MAX; t++)
        figures.accesses += atomic_load_explicit(&check.threads[t].accesses, memory_order_relaxed);
    return figures;
}

/* ---- naming ---- */

/* True for the first to come; without room for it nobody is. */
static bool is_new(const struct palisade_site *one, const struct palisade_site *other)
{
    bool new = false;
    if (one > other) {
        const struct palisade_site *swap = one;
        one = other;
        other = swap;
    }
    pthread_mutex_lock(&check.mutex);
    uint64_t hash = ((uint64_t)one * 31 + (uint64_t)other) * 0x9E3779B97F4A7C15ull >> 40;
    for (uint32_t probe = 0; probe < PAIRS; probe++) {
        uint32_t i = (hash + probe) & (PAIRS - 1);
        if (check.pairs[i].one == one && check.pairs[i].other == other)
            break;
        if (check.pairs[i].one == NULL) {
            check.pairs[i].one = one;
            check.pairs[i].other = other;
            new = true;
            break;
        }
    }
    pthread_mutex_unlock(&check.mutex);
    return new;
}

static const char *const kinds[] = {[PALISADE_SITE_LOGGED] = "logged",
                                    [PALISADE_SITE_UNWRITTEN] = "never written",
                                    [PALISADE_SITE_COVERED] = "covered",
                                    [PALISADE_SITE_PRIVATE] = "private"};

static json_t *touch_json(const struct touch *touch)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:I}", "op", touch->write ? "store" : "load", "variable",
                     touch->site->variable, "file", touch->site->file, "line",
                     (int)touch->site->line, "class", kinds[touch->site->kind], "thread",
                     (json_int_t)touch->thread);
}

/* The write first; of two the earlier one. The class is the more daring of the two. */
static void name(const struct touch *before, const struct touch *now)
{
    const struct touch *a = before->write ? before : now, *b = before->write ? now : before;
    const char *class = kinds[a->site->kind > b->site->kind ? a->site->kind : b->site->kind];
    bool same = strcmp(a->site->variable, b->site->variable) == 0;
    dprintf(STDERR_FILENO,
            "palisade: access the report calls %s is shared: %s written by thread %u at %s:%u, "
            "%s%s%s by thread %u at %s:%u\n",
            class, a->site->variable, a->thread, a->site->file, a->site->line,
            b->write ? "written" : "read", same ? "" : " as ", same ? "" : b->site->variable,
            b->thread, b->site->file, b->site->line);
    journal_event(io.journal, "private_shared", "{s:s,s:o,s:o}", "class", class, "one",
                  touch_json(a), "other", touch_json(b));
}

/* ---- what the NF's threads tell ---- */

static __attribute__((noinline)) void look(uint32_t thread, const void *address, uint64_t bytes,
                                           const struct palisade_site *site)
{
    struct touch before, now = {thread, site->write, clock_now(thread), site};
    atomic_store_explicit(&check.threads[thread].accesses, check.threads[thread].accesses + 1,
                          memory_order_relaxed);
    if (!shadow_touch((uint64_t)address, bytes, &now, clock_seen(thread), &before))
        return;
    int saved = errno;
    if (is_new(before.site, site)) {
        atomic_fetch_add(&check.shared, 1);
        name(&before, &now);
    }
    errno = saved;
}

HOOK void __palisade_private(const void *address, uint64_t bytes, const struct palisade_site *site)
{
    if (checking() && nf_self)
        look(nf_self->core.index, address, bytes, site);
}

void check_released(uint64_t object)
{
    if (nf_self)
        clock_release(nf_self->core.index, object);
}

void check_acquired(uint64_t object)
{
    if (nf_self)
        clock_acquire(nf_self->core.index, object);
}

void check_started(uint32_t child)
{
    if (nf_self)
        clock_born(nf_self->core.index, child);
}

void check_memory(const void *block, size_t bytes)
{
    if (block)
        shadow_fresh((uint64_t)block, bytes);
}
