/*
 * Pieces of 512 bytes, found by hash; a shard by the piece's number, each with its lock and its
 * share of the room. A shard gives out its pieces in turn, and then takes them back in the same
 * turn.
 */
#include "check/shadow.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/assert.h"

#define SHARDS 64u /* a power of two */
#define PIECE_SHIFT 9u
#define PIECE_CELLS ((1u << PIECE_SHIFT) / 8)
#define TOUCHES 4u
#define NOBODY UINT32_MAX

/* `who`: site 48 bits, bytes 8, thread 6, write, logged; clock 0: none. */
struct mark {
    uint64_t who, clock;
};
#define BYTES_SHIFT 48
#define THREAD_SHIFT 56
#define WRITE_BIT (1ull << 62)
#define LOGGED_BIT (1ull << 63)
#define SITE_BITS ((1ull << BYTES_SHIFT) - 1)
_Static_assert(THREADS_MAX <= 64, "a thread has 6 bits in a mark");

struct cell {
    struct mark marks[TOUCHES];
};

struct piece {
    uint64_t number; /* address >> PIECE_SHIFT */
    uint32_t next;   /* in its bucket */
};

static struct shard {
    _Atomic uint32_t lock;
    uint32_t used, oldest;
    struct cell *cells; /* PIECE_CELLS a piece */
    struct piece *pieces;
    uint32_t *buckets; /* as many as pieces */
} shards[SHARDS];
static uint32_t room; /* pieces of a shard */
static _Atomic uint64_t forgotten;

bool shadow_open(uint32_t mib)
{
    size_t cells = PIECE_CELLS * sizeof(struct cell);
    room = (uint32_t)(((uint64_t)mib << 20) / cells / SHARDS);
    ASSERT(room > 0);
    uint8_t *memory = mmap(NULL, SHARDS * room * cells, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    for (uint32_t s = 0; s < SHARDS; s++) {
        struct shard *shard = &shards[s];
        shard->cells = (struct cell *)(void *)(memory + s * room * cells);
        shard->pieces = calloc(room, sizeof *shard->pieces);
        shard->buckets = malloc(room * sizeof *shard->buckets);
        if (shard->pieces == NULL || shard->buckets == NULL)
            return false;
        memset(shard->buckets, 0xff, room * sizeof *shard->buckets);
    }
    return true;
}

uint64_t shadow_forgotten(void)
{
    return atomic_load(&forgotten);
}

static uint64_t hash(uint64_t number)
{
    return number * 0x9E3779B97F4A7C15ull;
}

static struct shard *shard_of(uint64_t number)
{
    return &shards[hash(number) >> 58];
}
_Static_assert(SHARDS == 64, "shard_of takes the top 6 bits of the hash");

static uint32_t *bucket_of(const struct shard *shard, uint64_t number)
{
    return &shard->buckets[(hash(number) >> 20) % room];
}

static void lock(struct shard *shard)
{
    for (uint32_t spins = 1; atomic_exchange(&shard->lock, 1); spins++)
        if (spins % 64 == 0)
            sched_yield();
}

static void unlock(struct shard *shard)
{
    atomic_store(&shard->lock, 0);
}

/* ---- pieces; the shard's lock is held ---- */

static struct cell *cells_of(const struct shard *shard, uint32_t piece)
{
    return &shard->cells[(size_t)piece * PIECE_CELLS];
}

static struct cell *find(const struct shard *shard, uint64_t number)
{
    for (uint32_t p = *bucket_of(shard, number); p != NOBODY; p = shard->pieces[p].next)
        if (shard->pieces[p].number == number)
            return cells_of(shard, p);
    return NULL;
}

static void forget(struct shard *shard, uint32_t piece)
{
    uint32_t *link = bucket_of(shard, shard->pieces[piece].number);
    while (*link != piece)
        link = &shard->pieces[*link].next;
    *link = shard->pieces[piece].next;
    memset(cells_of(shard, piece), 0, PIECE_CELLS * sizeof(struct cell));
    atomic_fetch_add(&forgotten, 1);
}

static struct cell *find_or_take(struct shard *shard, uint64_t number)
{
    struct cell *cells = find(shard, number);
    if (cells)
        return cells;
    uint32_t piece;
    if (shard->used < room) {
        piece = shard->used++;
    } else {
        piece = shard->oldest;
        shard->oldest = (piece + 1) % room;
        forget(shard, piece);
    }
    uint32_t *bucket = bucket_of(shard, number);
    shard->pieces[piece] = (struct piece){number, *bucket};
    *bucket = piece;
    return cells_of(shard, piece);
}

/* ---- one granule ---- */

static uint32_t thread_of(const struct mark *mark)
{
    return mark->who >> THREAD_SHIFT & (THREADS_MAX - 1);
}

static uint64_t bytes_of(uint64_t who)
{
    return who >> BYTES_SHIFT & 0xff;
}

static bool meets(const struct mark *mark, uint64_t who, const uint64_t *seen)
{
    return (bytes_of(mark->who) & bytes_of(who)) && ((mark->who | who) & WRITE_BIT) &&
           !(mark->who & who & LOGGED_BIT) && mark->clock > seen[thread_of(mark)];
}

/* Whoever meets `mark` later meets the new one, too: it need not be kept. */
static bool is_covered(const struct mark *mark, uint64_t who, uint64_t clock, const uint64_t *seen)
{
    bool known =
        mark->clock <= seen[thread_of(mark)] ||
        (thread_of(mark) == (who >> THREAD_SHIFT & (THREADS_MAX - 1)) && mark->clock <= clock);
    return known && !(bytes_of(mark->who) & ~bytes_of(who)) &&
           ((who & WRITE_BIT) || !(mark->who & WRITE_BIT)) &&
           (!(who & LOGGED_BIT) || (mark->who & LOGGED_BIT));
}

static bool touch_cell(struct cell *cell, uint64_t who, uint64_t clock, const uint64_t *seen,
                       struct mark *before)
{
    struct mark *place = NULL, *reader = NULL;
    bool met = false;
    for (uint32_t i = 0; i < TOUCHES; i++) {
        struct mark *mark = &cell->marks[i];
        if (mark->clock == 0) {
            place = place ? place : mark;
            continue;
        }
        if (!met && meets(mark, who, seen)) {
            *before = *mark;
            met = true;
        }
        if (is_covered(mark, who, clock, seen)) {
            mark->clock = 0;
            place = mark;
        } else if (!(mark->who & WRITE_BIT)) {
            reader = mark;
        }
    }
    if (place == NULL) /* one too many: rather a read than a write, else by turns */
        place = reader ? reader : &cell->marks[clock % TOUCHES];
    *place = (struct mark){who, clock};
    return met;
}

/* ---- ranges ---- */

bool shadow_touch(uint64_t address, uint64_t bytes, const struct touch *now, const uint64_t *seen,
                  struct touch *before)
{
    uint64_t who = ((uint64_t)now->site & SITE_BITS) | (uint64_t)now->thread << THREAD_SHIFT |
                   (now->write ? WRITE_BIT : 0) |
                   (now->site->kind == PALISADE_SITE_LOGGED ? LOGGED_BIT : 0);
    struct mark met = {0};
    for (uint64_t at = address, end = address + bytes; at < end;) {
        uint64_t number = at >> PIECE_SHIFT, stop = (number + 1) << PIECE_SHIFT;
        struct shard *shard = shard_of(number);
        stop = stop < end ? stop : end;
        lock(shard);
        struct cell *cells = find_or_take(shard, number);
        while (at < stop) {
            uint64_t first = at % 8, next = at - first + 8 < stop ? at - first + 8 : stop;
            uint64_t mask = ((1ull << (next - at)) - 1) << first;
            struct mark one;
            if (touch_cell(&cells[at / 8 % PIECE_CELLS], who | mask << BYTES_SHIFT, now->clock,
                           seen, &one) &&
                met.clock == 0)
                met = one;
            at = next;
        }
        unlock(shard);
    }
    if (met.clock == 0)
        return false;
    *before = (struct touch){.thread = thread_of(&met),
                             .write = met.who & WRITE_BIT,
                             .clock = met.clock,
                             .site = (const struct palisade_site *)(met.who & SITE_BITS)};
    return true;
}

/* The cells of [from, to) within piece `number`. */
static void clear(struct cell *cells, uint64_t number, uint64_t from, uint64_t to)
{
    uint64_t start = number << PIECE_SHIFT, end = start + (1u << PIECE_SHIFT);
    from = from > start ? from : start;
    to = to < end ? to : end;
    for (uint64_t at = from / 8; at < (to + 7) / 8; at++)
        cells[at % PIECE_CELLS] = (struct cell){0};
}

void shadow_fresh(uint64_t address, uint64_t bytes)
{
    if (bytes == 0)
        return;
    uint64_t end = address + bytes, first = address >> PIECE_SHIFT, last = (end - 1) >> PIECE_SHIFT;
    if (last - first < (uint64_t)room * SHARDS) {
        for (uint64_t number = first; number <= last; number++) {
            struct shard *shard = shard_of(number);
            lock(shard);
            struct cell *cells = find(shard, number);
            if (cells)
                clear(cells, number, address, end);
            unlock(shard);
        }
        return;
    }
    for (uint32_t s = 0; s < SHARDS; s++) {
        struct shard *shard = &shards[s];
        lock(shard);
        for (uint32_t p = 0; p < shard->used; p++)
            if (shard->pieces[p].number >= first && shard->pieces[p].number <= last)
                clear(cells_of(shard, p), shard->pieces[p].number, address, end);
        unlock(shard);
    }
}
