/* See effect.h. The queue is guarded by `mutex`; not a hot path. */
#include "hooks/files/effect.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/digest.h"
#include "replay/replay.h"

#define EFFECTS_MAX 4096u /* queued; more wait: back-pressure */
#define SETTLE_PIECE_NS 1000000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct effect *first, **last = &first; /* guarded by mutex */
static _Atomic uint32_t queued;
static _Atomic uint32_t fences_passed;                 /* futex word */
static _Atomic uint64_t files_queued, files_performed; /* counted */

/* ---- queueing ---- */

static void push(struct effect *effect)
{
    pthread_mutex_lock(&mutex);
    *last = effect;
    last = &effect->next;
    atomic_fetch_add(&queued, 1);
    pthread_mutex_unlock(&mutex);
    io_kick();
}

static void vor_now(struct positions *vor)
{
    vor->threads = IMAGE->thread_count;
    for (uint32_t t = 0; t < vor->threads; t++)
        vor->at[t] = log_published(process.logs[t]);
}

static struct effect *make(const struct effect *like, uint32_t length)
{
    struct effect *effect = malloc(sizeof *effect + length);
    if (effect == NULL)
        process_fail(STATUS_MEMORY, "no memory to hold the program's output until it is stable");
    *effect = *like;
    effect->next = NULL;
    effect->done = 0;
    effect->length = length;
    effect->vor.threads = 0;
    return effect;
}

static void enqueue(struct nf_thread *thread, const struct effect *like, const struct iovec *pieces,
                    uint32_t count, bool replayed)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < count; i++)
        length += (uint32_t)pieces[i].iov_len;
    struct effect *effect = make(like, length);
    effect->thread = thread->core.index;
    effect->number = thread->core.effects;
    for (uint32_t i = 0, at = 0; i < count; at += (uint32_t)pieces[i++].iov_len)
        if (pieces[i].iov_len)
            memcpy(effect->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
    if (!replayed)
        vor_now(&effect->vor);
    if (effect->native) {
        native_keep(effect->native);
        atomic_fetch_add(&effect->native->queued, 1);
        atomic_fetch_add(&effect->native->queued_bytes, length);
    }
    if (effect->file)
        atomic_fetch_add(&files_queued, 1);
    push(effect);
}

static void wait_room(struct nf_thread *thread)
{
    struct stall *full = &run_of(thread)->effects_full;
    stall_note(full, true, now_ns());
    for (uint32_t waiting; (waiting = atomic_load(&queued)) >= EFFECTS_MAX;)
        futex_wait(&queued, waiting, 1000000);
    stall_note(full, false, now_ns());
}

int64_t effect_emit(struct nf_thread *thread, const char *what, int64_t verdict,
                    const struct effect *like, const struct iovec *pieces, uint32_t count)
{
    if (process_mode() == MODE_RECORD && atomic_load(&queued) >= EFFECTS_MAX)
        wait_room(thread);
    struct thread_run *run = run_of(thread);
    int64_t value;
    uint32_t sent = digest_end(digest_message(0, like->head, pieces, count));
    run->sending = (struct sending){pieces, count, -1};
    bool replayed =
        REPLAYED_ALONE(thread, what, ev_effect_replay(&thread->core, &run->reader, sent, &value));
    run->sending.pieces = NULL;
    if (!replayed) {
        value = verdict;
        ev_effect_record(&thread->core, log_ready(thread), value, sent);
    }
    if (value != 0)
        return value;
    run->trail.count = 0;
    thread->core.effects++;
    uint64_t *done = &process.effects_done[thread->core.index];
    if (!replayed || thread->core.effects > __atomic_load_n(done, __ATOMIC_RELAXED))
        enqueue(thread, like, pieces, count, replayed);
    return 0;
}

int64_t effect_stream(struct nf_thread *thread, const char *what, int64_t verdict,
                      const struct effect *like, const struct iovec *pieces, uint32_t count)
{
    struct effect each = *like;
    for (uint32_t i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].iov_len;) {
            size_t left = pieces[i].iov_len - at;
            struct iovec piece = {.iov_base = (uint8_t *)pieces[i].iov_base + at,
                                  .iov_len = left < EFFECT_MAX_BYTES ? left : EFFECT_MAX_BYTES};
            int64_t refused = effect_emit(thread, what, verdict, &each, &piece, 1);
            if (refused)
                return refused;
            verdict = 0;
            each.offset += (int64_t)piece.iov_len;
            at += piece.iov_len;
        }
    return 0;
}

/* ---- waiting ---- */

struct fence {
    _Atomic uint32_t passed;
};

static bool pass_fence(struct effect *effect)
{
    struct fence *fence;
    memcpy(&fence, effect->bytes, sizeof fence);
    atomic_store(&fence->passed, 1);
    atomic_fetch_add(&fences_passed, 1);
    futex_wake(&fences_passed, INT32_MAX);
    return true;
}

void effects_settle(struct nf_thread *thread)
{
    (void)thread;
    if (process.memory_io)
        return; /* nothing becomes stable there */
    struct fence fence = {0}, *pointer = &fence;
    struct effect like = {.perform = pass_fence};
    struct effect *effect = make(&like, sizeof pointer);
    memcpy(effect->bytes, &pointer, sizeof pointer);
    vor_now(&effect->vor);
    push(effect);
    for (;;) {
        uint32_t seen = atomic_load(&fences_passed);
        if (atomic_load(&fence.passed))
            return;
        futex_wait(&fences_passed, seen, SETTLE_PIECE_NS);
        io_kick();
    }
}

void effects_files_written(void)
{
    uint64_t until = atomic_load(&files_queued);
    while (process_mode() == MODE_RECORD && !process.memory_io &&
           atomic_load(&files_performed) < until) {
        uint32_t seen = atomic_load(&queued);
        if (atomic_load(&files_performed) < until)
            futex_wait(&queued, seen, SETTLE_PIECE_NS);
    }
}

/* ---- performing ---- */

int effect_native(struct effect *effect)
{
    struct native *native = effect->native;
    int fd = atomic_load(&native->fd);
    if (fd >= 0 || native->orphan == NULL || native->refused)
        return fd;
    fd = native->reopen(native->orphan);
    native->refused = fd < 0;
    atomic_store(&native->fd, fd);
    return fd;
}

/*
 * Would a write of an effect return at once? A pipe says yes when it has room for EFFECT_MAX_BYTES.
 * The I/O thread must not wait for who reads stdout: its silence would look like our death.
 */
static bool writable(int fd)
{
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    return poll(&out, 1, 0) != 0; /* an error, too, is told by write */
}

bool effect_write(struct effect *effect)
{
    int fd = effect_native(effect);
    if (fd >= 0 && !writable(fd))
        return false;
    while (fd >= 0 && effect->done < effect->length) {
        ssize_t n = write(fd, effect->bytes + effect->done, effect->length - effect->done);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n == 0 || (n < 0 && errno != EINTR))
            break; /* a closed stdout is the NF's user's wish */
        effect->done += n > 0 ? (uint32_t)n : 0;
    }
    return true;
}

static void finish(struct effect *effect)
{
    if (effect->file)
        atomic_fetch_add(&files_performed, 1);
    if (effect->native) {
        atomic_fetch_sub(&effect->native->queued, 1);
        atomic_fetch_sub(&effect->native->queued_bytes, effect->length);
        futex_wake(&effect->native->queued_bytes, INT32_MAX);
        native_put(effect->native);
    }
    free(effect);
}

uint32_t effects_perform(const struct positions *stable, uint32_t limit,
                         void (*done)(void *context, uint32_t thread, uint64_t number),
                         bool (*acknowledged)(void *context), void *context)
{
    uint32_t performed = 0;
    while (performed < limit && atomic_load(&queued) > 0) {
        pthread_mutex_lock(&mutex);
        struct effect *head = first;
        pthread_mutex_unlock(&mutex);
        if (head == NULL || !positions_cover(stable, &head->vor) ||
            (head->number == 0 && !acknowledged(context)) || !head->perform(head))
            break;
        pthread_mutex_lock(&mutex);
        first = head->next;
        if (first == NULL)
            last = &first;
        atomic_fetch_sub(&queued, 1);
        pthread_mutex_unlock(&mutex);
        if (head->number)
            done(context, head->thread, head->number);
        finish(head);
        performed++;
    }
    return performed;
}

void effects_forget(const uint64_t *done)
{
    struct effect *known = NULL, **at = &first;
    if (atomic_load(&queued) == 0)
        return;
    pthread_mutex_lock(&mutex);
    while (*at) {
        struct effect *effect = *at;
        if (effect->number == 0 ||
            effect->number > __atomic_load_n(&done[effect->thread], __ATOMIC_RELAXED)) {
            at = &effect->next;
            continue;
        }
        *at = effect->next;
        effect->next = known;
        known = effect;
        atomic_fetch_sub(&queued, 1);
    }
    last = at;
    pthread_mutex_unlock(&mutex);
    while (known) {
        struct effect *next = known->next;
        finish(known);
        known = next;
    }
}

uint32_t effects_queued(void)
{
    return atomic_load(&queued);
}
