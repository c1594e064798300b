/* Addresses are a function of the recorded order (replay), of the arena's bytes (restore), and a
 * call changes nothing before its one ordered event (R20). */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap/heap.h"

static void *arena; /* the first mapping's place, then always that */
#define ARENA_BYTES ((size_t)256 << 20)

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static size_t some_size(uint64_t *random)
{
    uint64_t kind = next_random(random) % 100;
    if (kind < 85)
        return next_random(random) % 600;
    if (kind < 97)
        return next_random(random) % 40000;
    return next_random(random) % 300000;
}

static struct heap *fresh_heap(void)
{
    void *mapped =
        mmap(arena, ARENA_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (arena ? MAP_FIXED : 0), -1, 0);
    cr_assert(mapped != MAP_FAILED && (!arena || mapped == arena));
    arena = mapped;
    return heap_create(arena, ARENA_BYTES);
}

/* ---- determinism under jitter ---- */

#define WORKERS 4u
#define STEPS 8000u
#define ORDER_MAX (WORKERS * STEPS * 3)
#define BOX_BLOCKS 256u

enum mode { MODE_RECORD, MODE_REPLAY };

struct run {
    enum mode mode;
    pthread_mutex_t mutex;
    pthread_cond_t turn;
    uint8_t *order; /* which thread locked, in order */
    size_t order_length, order_next;
    struct heap *heap;
    struct heap_order callbacks;
    uint64_t seed;
    struct {
        uint64_t jitter;
        void *addresses[STEPS];
        uint32_t count;
    } worker[WORKERS];
    void *box[BOX_BLOCKS]; /* guarded by the ordered lock, like an NF's own queue */
    uint32_t boxed;
};

static void jitter(struct run *run, uint32_t thread)
{
    uint64_t kind = next_random(&run->worker[thread].jitter) % 256;
    if (kind < 12)
        sched_yield();
    else if (kind == 12)
        usleep(20);
}

static void run_lock(void *ctx, uint32_t thread)
{
    struct run *run = ctx;
    jitter(run, thread);
    pthread_mutex_lock(&run->mutex);
    if (run->mode == MODE_RECORD) {
        cr_assert_lt(run->order_length, ORDER_MAX);
        run->order[run->order_length++] = (uint8_t)thread;
        return;
    }
    for (;;) {
        cr_assert_lt(run->order_next, run->order_length, "locks more often than recorded");
        if (run->order[run->order_next] == thread)
            return;
        pthread_cond_wait(&run->turn, &run->mutex);
    }
}

static void run_unlock(void *ctx, uint32_t thread)
{
    struct run *run = ctx;
    if (run->mode == MODE_REPLAY) {
        run->order_next++;
        pthread_cond_broadcast(&run->turn);
    }
    pthread_mutex_unlock(&run->mutex);
    jitter(run, thread);
}

struct start {
    struct run *run;
    uint32_t thread;
};

static void *worker_main(void *argument)
{
    struct run *run = ((struct start *)argument)->run;
    uint32_t thread = ((struct start *)argument)->thread;
    uint64_t random = run->seed * 1000 + thread;
    void *mine[200] = {0};
    for (uint32_t step = 0; step < STEPS; step++) {
        jitter(run, thread);
        void **slot = &mine[next_random(&random) % 200];
        size_t size = some_size(&random);
        uint64_t act = next_random(&random) % 10;
        if (*slot && act < 3) { /* give it to another thread, or take somebody's */
            run->callbacks.lock(run, thread);
            uint32_t at =
                (uint32_t)(act % 2 && run->boxed ? next_random(&random) % run->boxed : run->boxed);
            void *taken = NULL;
            if (at < run->boxed) {
                taken = run->box[at];
                run->box[at] = *slot;
            } else if (run->boxed < BOX_BLOCKS) {
                run->box[run->boxed++] = *slot;
            } else {
                taken = *slot;
            }
            run->callbacks.unlock(run, thread);
            heap_free(run->heap, thread, taken, &run->callbacks);
            *slot = NULL;
        } else if (*slot && act < 8) {
            heap_free(run->heap, thread, *slot, &run->callbacks);
            *slot = NULL;
        } else {
            void *block = *slot ? heap_realloc(run->heap, thread, *slot, size, &run->callbacks)
                                : heap_alloc(run->heap, thread, size, &run->callbacks);
            cr_assert_not_null(block);
            memset(block, (int)thread, size);
            *slot = block;
            run->worker[thread].addresses[run->worker[thread].count++] = block;
        }
    }
    return NULL;
}

/* jitter_seed: other schedules of the same program. */
static void run_all(struct run *run, uint64_t jitter_seed)
{
    pthread_t threads[WORKERS];
    struct start starts[WORKERS];
    run->heap = fresh_heap();
    run->callbacks = (struct heap_order){run_lock, run_unlock, run};
    run->boxed = 0;
    pthread_mutex_init(&run->mutex, NULL);
    pthread_cond_init(&run->turn, NULL);
    for (uint32_t t = 0; t < WORKERS; t++) {
        run->worker[t].jitter = jitter_seed * 77 + t;
        run->worker[t].count = 0;
        starts[t] = (struct start){run, t};
        cr_assert_eq(pthread_create(&threads[t], NULL, worker_main, &starts[t]), 0);
    }
    for (uint32_t t = 0; t < WORKERS; t++)
        pthread_join(threads[t], NULL);
}

static bool same_addresses(const struct run *a, const struct run *b)
{
    for (uint32_t t = 0; t < WORKERS; t++) {
        if (a->worker[t].count != b->worker[t].count ||
            memcmp(a->worker[t].addresses, b->worker[t].addresses,
                   a->worker[t].count * sizeof(void *)) != 0)
            return false;
    }
    return true;
}

Test(heap_replay, same_order_same_addresses, .timeout = 120)
{
    struct run *recorded = calloc(1, sizeof *recorded), *other = calloc(1, sizeof *other);
    uint32_t free_runs_that_differ = 0;
    recorded->order = malloc(ORDER_MAX);
    other->order = malloc(ORDER_MAX);
    for (uint64_t round = 1; round <= 12; round++) {
        recorded->mode = MODE_RECORD;
        recorded->seed = other->seed = round;
        recorded->order_length = 0;
        run_all(recorded, round);

        other->mode = MODE_REPLAY;
        memcpy(other->order, recorded->order, recorded->order_length);
        other->order_length = recorded->order_length;
        other->order_next = 0;
        run_all(other, round + 1000);
        cr_assert_eq(other->order_next, recorded->order_length, "round %lu: %zu of %zu locks",
                     round, other->order_next, recorded->order_length);
        cr_assert(same_addresses(recorded, other), "round %lu", round);

        other->mode = MODE_RECORD; /* the control: without replaying the order */
        other->order_length = 0;
        run_all(other, round + 2000);
        free_runs_that_differ += !same_addresses(recorded, other);
    }
    cr_assert_gt(free_runs_that_differ, 0, "the jitter moves nothing: this test shows nothing");
    free(recorded->order);
    free(other->order);
    free(recorded);
    free(other);
}

/* ---- one thread at a time, for three indices ---- */

#define SLOTS 300u

struct player { /* the program's state: saved and restored with the arena */
    uint64_t random;
    void *blocks[SLOTS];
    uint32_t locks;
};

static void play_step(struct heap *heap, struct player *player, const struct heap_order *order)
{
    uint32_t thread = (uint32_t)(next_random(&player->random) % 3);
    void **slot = &player->blocks[next_random(&player->random) % SLOTS];
    size_t size = some_size(&player->random);
    switch (next_random(&player->random) % 5) {
    case 0:
        *slot = heap_realloc(heap, thread, *slot, size, order);
        break;
    case 1:
        heap_free(heap, thread, *slot, order);
        *slot = heap_calloc(heap, thread, 1, size, order);
        break;
    case 2:
        heap_free(heap, thread, *slot, order);
        *slot = heap_alloc_aligned(heap, thread, 128, size, order);
        break;
    default:
        heap_free(heap, thread, *slot, order);
        *slot = heap_alloc(heap, thread, size, order);
    }
    memset(*slot, (int)size, size < 500 ? size : 500);
}

#define LATER_STEPS 5000u

/* `whole`: all of [arena, end) is saved; else only the used extents. */
static void restore_round(uint64_t seed, bool whole)
{
    struct heap *heap = fresh_heap();
    struct player player = {.random = seed};
    for (uint32_t step = 0; step < 3000; step++)
        play_step(heap, &player, NULL);

    size_t saved_bytes = (size_t)((char *)heap_used_end(heap) - (char *)arena);
    char *saved = malloc(saved_bytes);
    memcpy(saved, arena, saved_bytes);
    struct player saved_player = player;
    struct heap_extent extents[256];
    uint32_t extent_count = 0;
    for (uintptr_t from = 0; heap_extent_next(heap, from, &extents[extent_count]);
         from = extents[extent_count++].end)
        cr_assert_lt(extent_count, 255);

    static uint64_t first_player[LATER_STEPS];
    for (uint32_t step = 0; step < LATER_STEPS; step++) {
        play_step(heap, &player, NULL);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < SLOTS; i++)
            sum = sum * 31 + (uintptr_t)player.blocks[i];
        first_player[step] = sum;
    }
    size_t end_bytes = (size_t)((char *)heap_used_end(heap) - (char *)arena);
    char *end_image = malloc(end_bytes);
    memcpy(end_image, arena, end_bytes);

    mmap(arena, ARENA_BYTES, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (arena ? MAP_FIXED : 0), -1, 0);
    if (whole)
        memcpy(arena, saved, saved_bytes);
    else
        for (uint32_t i = 0; i < extent_count; i++)
            memcpy((void *)extents[i].start, saved + (extents[i].start - (uintptr_t)arena),
                   extents[i].end - extents[i].start);
    player = saved_player;
    for (uint32_t step = 0; step < LATER_STEPS; step++) {
        play_step(heap, &player, NULL);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < SLOTS; i++)
            sum = sum * 31 + (uintptr_t)player.blocks[i];
        cr_assert_eq(sum, first_player[step], "step %u after the restore", step);
    }
    cr_assert_eq((size_t)((char *)heap_used_end(heap) - (char *)arena), end_bytes);
    if (whole) /* every byte, uninitialised ones included */
        cr_assert_eq(memcmp(arena, end_image, end_bytes), 0);
    free(saved);
    free(end_image);
}

Test(heap_replay, restored_arena_continues_identically, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        restore_round(seed, true);
        restore_round(seed, false);
    }
}

/* ---- nothing changes before the lock, which comes at most once (R20) ---- */

static char *before;
static size_t before_bytes;
static uint32_t locks_in_call, locks_total;

static void checking_lock(void *ctx, uint32_t thread)
{
    (void)ctx, (void)thread;
    cr_assert_eq(++locks_in_call, 1, "a heap call locked twice");
    locks_total++;
    cr_assert_eq(memcmp(arena, before, before_bytes), 0, "changed before the lock");
}

static void checking_unlock(void *ctx, uint32_t thread)
{
    (void)ctx, (void)thread;
}

/* Like play_step, but the state before is kept for checking_lock(), call by call. */
static void remember(void)
{
    struct heap *heap = arena;
    before_bytes = (size_t)((char *)heap_used_end(heap) - (char *)arena);
    memcpy(before, arena, before_bytes);
    locks_in_call = 0;
}

Test(heap_replay, a_call_may_be_repeated_from_its_lock, .timeout = 60)
{
    struct heap *heap = fresh_heap();
    struct heap_order order = {checking_lock, checking_unlock, NULL};
    uint64_t random = 3;
    void *blocks[100] = {0};
    before = malloc(ARENA_BYTES);
    for (uint32_t step = 0; step < 6000; step++) {
        uint32_t thread = step / 50 % 2;
        void **slot = &blocks[next_random(&random) % 100];
        size_t size = step % 3 == 0 ? some_size(&random) * 3 : 3000 + next_random(&random) % 1000;
        remember();
        if (*slot && next_random(&random) % 2) {
            *slot = heap_realloc(heap, thread, *slot, size, &order);
            continue;
        }
        heap_free(heap, thread, *slot, &order);
        remember();
        *slot = heap_alloc(heap, thread, size, &order);
        cr_assert_not_null(*slot);
    }
    cr_assert_gt(locks_total, 300);
    free(before);
}

Test(heap_replay, giving_away_is_ordered)
{
    struct heap *heap = fresh_heap();
    struct heap_order order = {checking_lock, checking_unlock, NULL};
    before = malloc(ARENA_BYTES);
    uint32_t giving_locks = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        remember();
        void *block = heap_alloc(heap, 0, 1000, &order);
        remember();
        heap_free(heap, 1, block, &order);
        giving_locks += locks_in_call;
    }
    cr_assert_gt(giving_locks, 10000 / 128 - 4);
    cr_assert_lt(giving_locks, 1000);
    free(before);
}
