/* The heap alone: what it gives, what it refuses, what it does under one thread. Determinism and
 * restore: test_heap_replay.c. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/classes.h"
#include "heap/heap.h"

static void *arena; /* the first mapping's place, then always that */
#define MIB ((size_t)1 << 20)

static struct heap *fresh_heap(size_t bytes)
{
    void *mapped =
        mmap(arena, 64 * MIB, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (arena ? MAP_FIXED : 0), -1, 0);
    cr_assert(mapped != MAP_FAILED && (!arena || mapped == arena));
    arena = mapped;
    struct heap *heap = heap_create(arena, bytes);
    cr_assert_not_null(heap);
    return heap;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static size_t some_size(uint64_t *random)
{
    uint64_t kind = next_random(random) % 100;
    if (kind < 80)
        return next_random(random) % 600;
    if (kind < 95)
        return next_random(random) % 40000;
    return next_random(random) % 300000;
}

Test(heap, classes_are_tight)
{
    for (size_t size = 0; size <= CLASS_MAX_BYTES; size++) {
        uint32_t class = class_of(size);
        cr_assert_lt(class, CLASS_COUNT);
        cr_assert_geq(class_bytes(class), size);
        if (class > 0)
            cr_assert_lt(class_bytes(class - 1), size ? size : 17);
        cr_assert_eq(class_bytes(class) % 16, 0);
    }
}

/* ---- stress against a shadow map: one bit per 16 bytes, no block may meet another ---- */

#define STRESS_ARENA (64 * MIB)
static uint8_t shadow[STRESS_ARENA / 16];

static void shadow_change(const void *block, size_t bytes, uint8_t from, uint8_t to)
{
    size_t first = ((uintptr_t)block - (uintptr_t)arena) / 16;
    size_t units = (bytes + 15) / 16, i = 0;
    while (i < units && shadow[first + i] == from)
        i++;
    cr_assert_eq(i, units, "overlap at unit %zu", first + i);
    memset(shadow + first, to, units);
}

struct live {
    unsigned char *block;
    size_t size;
    unsigned char fill;
};

static bool all_are(const unsigned char *bytes, size_t count, unsigned char fill)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != fill)
            return false;
    return true;
}

static void live_check(const struct live *live)
{
    cr_assert(all_are(live->block, live->size, live->fill));
}

static void stress(uint64_t seed)
{
    struct heap *heap = fresh_heap(STRESS_ARENA);
    memset(shadow, 0, sizeof shadow);
    static struct live lives[400];
    memset(lives, 0, sizeof lives);
    uint64_t random = seed;
    for (uint32_t step = 0; step < 60000; step++) {
        uint32_t thread = (uint32_t)(next_random(&random) % 3);
        struct live *live = &lives[next_random(&random) % 400];
        size_t size = some_size(&random);
        uint32_t act = (uint32_t)(next_random(&random) % 8);
        if (!live->block) {
            size_t alignment = 16;
            if (act == 0) {
                live->block = heap_calloc(heap, thread, 1, size, NULL);
                cr_assert_not_null(live->block);
                cr_assert(all_are(live->block, size, 0));
            } else if (act == 1) {
                alignment = (size_t)1 << next_random(&random) % 14;
                live->block = heap_alloc_aligned(heap, thread, alignment, size, NULL);
            } else {
                live->block = heap_alloc(heap, thread, size, NULL);
            }
            cr_assert_not_null(live->block);
            cr_assert_eq((uintptr_t)live->block % (alignment < 16 ? 16 : alignment), 0);
        } else if (act < 2) {
            live_check(live);
            shadow_change(live->block, heap_usable_size(heap, live->block), 1, 0);
            unsigned char *moved = heap_realloc(heap, thread, live->block, size, NULL);
            cr_assert_not_null(moved);
            cr_assert(all_are(moved, size < live->size ? size : live->size, live->fill));
            live->block = moved;
        } else {
            live_check(live);
            shadow_change(live->block, heap_usable_size(heap, live->block), 1, 0);
            heap_free(heap, thread, live->block, NULL);
            live->block = NULL;
            continue;
        }
        live->size = size;
        live->fill = (unsigned char)step;
        cr_assert(heap_owns(heap, live->block));
        cr_assert_geq(heap_usable_size(heap, live->block), size);
        shadow_change(live->block, heap_usable_size(heap, live->block), 0, 1);
        memset(live->block, live->fill, heap_usable_size(heap, live->block));
        if (step == 30000)
            heap_thread_exit(heap, 2, NULL);
    }
}

Test(heap, stress_against_shadow)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        stress(seed);
}

/* ---- limits ---- */

Test(heap, exhaustion_is_null_and_heals)
{
    static const size_t sizes[] = {1, 100, 5000, 32768, 32769, 100000};
    struct heap *heap = fresh_heap(2 * MIB);
    static void *blocks[200000];
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t counts[2];
        heap = fresh_heap(2 * MIB);
        for (uint32_t round = 0; round < 2; round++) {
            size_t count = 0;
            while ((blocks[count] = heap_alloc(heap, 0, sizes[s], NULL)))
                count++;
            cr_assert_null(heap_alloc(heap, 0, sizes[s], NULL));
            counts[round] = count;
            for (size_t i = 0; i < count; i++)
                heap_free(heap, 0, blocks[i], NULL);
        }
        cr_assert_gt(counts[0] * sizes[s], sizes[s] < 16 ? MIB / 32 : MIB);
        cr_assert_eq(counts[0], counts[1], "size %zu: %zu, then %zu", sizes[s], counts[0],
                     counts[1]);
    }
}

Test(heap, absurd_sizes_are_null)
{
    struct heap *heap = fresh_heap(4 * MIB);
    void *kept = heap_alloc(heap, 0, 10, NULL);
    cr_assert_null(heap_alloc(heap, 0, SIZE_MAX, NULL));
    cr_assert_null(heap_alloc(heap, 0, 4 * MIB, NULL));
    cr_assert_null(heap_calloc(heap, 0, SIZE_MAX / 2, 3, NULL));
    cr_assert_null(heap_realloc(heap, 0, kept, SIZE_MAX - 3, NULL));
    cr_assert_null(heap_alloc_aligned(heap, 0, (size_t)1 << 40, 8, NULL));
    cr_assert_null(heap_alloc_aligned(heap, 0, 64, SIZE_MAX - 8, NULL));
    heap_free(heap, 0, kept, NULL);
}

Test(heap, too_small_an_arena_is_refused)
{
    void *arena = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_null(heap_create(arena, 4096));
    cr_assert_not_null(heap_create(arena, MIB));
}

Test(heap, freed_pages_coalesce)
{
    struct heap *heap = fresh_heap(16 * MIB);
    void *blocks[100];
    for (uint32_t i = 0; i < 100; i++)
        blocks[i] = heap_alloc(heap, 0, 100000, NULL);
    uintptr_t end = (uintptr_t)heap_used_end(heap);
    for (uint32_t i = 0; i < 100; i++) /* every order of neighbours: 0 37 74 11 48 ... */
        heap_free(heap, i % 2, blocks[i * 37 % 100], NULL);
    void *whole = heap_alloc(heap, 0, 100 * 100000, NULL);
    cr_assert_eq(whole, blocks[0]);
    cr_assert_eq((uintptr_t)heap_used_end(heap), end);
}

Test(heap, consumers_do_not_hoard)
{
    struct heap *heap = fresh_heap(16 * MIB);
    for (uint32_t i = 0; i < 500000; i++) {
        void *block = heap_alloc(heap, 0, 200, NULL);
        cr_assert_not_null(block);
        heap_free(heap, 1, block, NULL);
    }
    cr_assert_lt((uintptr_t)heap_used_end(heap) - (uintptr_t)arena, MIB);
}

Test(heap, an_ended_thread_leaves_its_blocks)
{
    struct heap *heap = fresh_heap(16 * MIB);
    uintptr_t end = 0;
    for (uint32_t thread = 0; thread < THREADS_MAX; thread++) {
        void *blocks[20];
        for (uint32_t i = 0; i < 20; i++)
            blocks[i] = heap_alloc(heap, thread, 5000, NULL);
        for (uint32_t i = 0; i < 20; i++)
            heap_free(heap, thread, blocks[i], NULL);
        heap_thread_exit(heap, thread, NULL);
        if (thread == 0)
            end = (uintptr_t)heap_used_end(heap);
    }
    cr_assert_eq((uintptr_t)heap_used_end(heap), end);
}

Test(heap, realloc_of_large_blocks_stays_when_it_can)
{
    struct heap *heap = fresh_heap(16 * MIB);
    unsigned char *block = heap_alloc(heap, 0, 100000, NULL);
    memset(block, 7, 100000);
    cr_assert_eq(heap_realloc(heap, 0, block, 2 * MIB, NULL), block); /* grows at the end */
    unsigned char *fence = heap_alloc(heap, 0, 50000, NULL);
    cr_assert_eq(heap_realloc(heap, 0, block, 200000, NULL), block); /* shrinks */
    unsigned char *gap = heap_alloc(heap, 0, 50000, NULL);
    cr_assert_lt(gap, fence); /* what it gave back is used again */
    heap_free(heap, 0, gap, NULL);
    cr_assert_eq(heap_realloc(heap, 0, block, 300000, NULL), block); /* grows into a free extent */
    unsigned char *moved = heap_realloc(heap, 0, block, 4 * MIB, NULL);
    cr_assert_neq(moved, block);
    for (uint32_t i = 0; i < 100000; i++)
        cr_assert_eq(moved[i], 7);
    unsigned char *small = heap_realloc(heap, 0, moved, 100, NULL);
    cr_assert_leq(heap_usable_size(heap, small), 256);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(small[i], 7);
    cr_assert_null(heap_realloc(heap, 0, small, 15 * MIB, NULL));
    cr_assert_eq(small[99], 7); /* a failed one leaves the block */
}

Test(heap, extents_cover_every_live_block)
{
    struct heap *heap = fresh_heap(64 * MIB);
    uint64_t random = 5;
    static struct live lives[300];
    for (uint32_t step = 0; step < 20000; step++) {
        struct live *live = &lives[next_random(&random) % 300];
        if (live->block)
            heap_free(heap, 0, live->block, NULL);
        live->size = some_size(&random);
        live->block = heap_alloc(heap, 0, live->size, NULL);
    }
    struct heap_extent extent;
    size_t used = 0, covered = 0, extents = 0;
    uintptr_t from = 0, last = 0;
    for (; heap_extent_next(heap, from, &extent); from = extent.end, extents++) {
        cr_assert(extent.start < extent.end && extent.start >= last);
        last = extent.end;
        used += extent.end - extent.start;
        for (uint32_t i = 0; i < 300; i++) {
            uintptr_t block = (uintptr_t)lives[i].block;
            if (block >= extent.start && block < extent.end) {
                cr_assert_leq(block + heap_usable_size(heap, lives[i].block), extent.end);
                covered++;
            }
        }
    }
    cr_assert_eq(covered, 300);
    cr_assert_gt(extents, 2);
    cr_assert_leq(last, (uintptr_t)heap_used_end(heap));
    cr_assert_lt(used, (uintptr_t)heap_used_end(heap) - (uintptr_t)arena);
}

Test(heap, the_end_grows_from_what_is_free_there)
{
    struct heap *heap = fresh_heap(4 * MIB);
    void *block = heap_alloc(heap, 0, 2 * MIB, NULL);
    heap_free(heap, 0, block, NULL);
    cr_assert_eq(heap_alloc(heap, 0, 3 * MIB, NULL), block);
}

Test(heap, shrinking_never_fails)
{
    struct heap *heap = fresh_heap(2 * MIB);
    void *block = heap_alloc(heap, 0, 40000, NULL);
    while (heap_alloc(heap, 0, 32769, NULL))
        ;
    while (heap_alloc(heap, 0, 16, NULL))
        ;
    cr_assert_null(heap_realloc(heap, 0, block, 50000, NULL));
    cr_assert_eq(heap_realloc(heap, 0, block, 1000, NULL), block);
}

/* ---- misuse: aborts, and says what ---- */

static void *twice, *inside, *overrun, *large, *aligned;

static void misuse_double(struct heap *heap)
{
    heap_free(heap, 1, twice, NULL);
}
static void misuse_double_large(struct heap *heap)
{
    heap_free(heap, 1, large, NULL);
}
static void misuse_double_aligned(struct heap *heap)
{
    heap_free(heap, 1, aligned, NULL);
}
static void misuse_inside(struct heap *heap)
{
    heap_free(heap, 0, (char *)inside + 16, NULL);
}
static void misuse_odd(struct heap *heap)
{
    heap_free(heap, 0, (char *)inside + 1, NULL);
}
static void misuse_stack(struct heap *heap)
{
    heap_free(heap, 0, &heap, NULL);
}
static void misuse_realloc(struct heap *heap)
{
    heap_realloc(heap, 0, twice, 1000, NULL);
}
static void misuse_overrun(struct heap *heap)
{
    memset(overrun, 0x55, 100); /* into the next header: the next block is free */
    for (uint32_t i = 0; i < 10; i++)
        heap_alloc(heap, 0, 96, NULL);
}

static void expect_death(struct heap *heap, void (*misuse)(struct heap *), const char *expected)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        misuse(heap);
        _exit(0);
    }
    close(ends[1]);
    char text[512] = "";
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "survived: %s", expected);
    cr_assert_not_null(strstr(text, expected), "expected '%s', got '%s'", expected, text);
}

Test(heap, misuse_is_named)
{
    struct heap *heap = fresh_heap(16 * MIB);
    twice = heap_alloc(heap, 0, 40, NULL);
    inside = heap_calloc(heap, 0, 1, 400, NULL);
    large = heap_alloc(heap, 0, 400000, NULL);
    aligned = heap_alloc_aligned(heap, 0, 256, 300, NULL);
    overrun = heap_alloc(heap, 0, 96, NULL);
    void *next = heap_alloc(heap, 0, 96, NULL);
    heap_free(heap, 0, next, NULL);
    heap_free(heap, 0, twice, NULL);
    heap_free(heap, 0, large, NULL);
    heap_free(heap, 0, aligned, NULL);
    expect_death(heap, misuse_double, "double free");
    expect_death(heap, misuse_double_large, "double free");
    expect_death(heap, misuse_double_aligned, "double free");
    expect_death(heap, misuse_realloc, "double free");
    expect_death(heap, misuse_inside, "wild free");
    expect_death(heap, misuse_odd, "wild free");
    expect_death(heap, misuse_stack, "wild free");
    expect_death(heap, misuse_overrun, "overrun");
    heap_free(heap, 0, inside, NULL);
    heap_free(heap, 0, NULL, NULL);
}
