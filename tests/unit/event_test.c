/* Events: what a random schedule recorded, another random schedule replays to the same state. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"
#include "random.h"

#define THREADS 3u
#define LOCKS 2u
#define WORDS 4u
#define CAPACITY (1u << 20)

/* ---- a toy NF: each thread's steps depend on what its events returned ---- */

struct toy_word {
    uint64_t value;
    struct version version;
};

struct toy {
    struct thread_state threads[THREADS];
    uint64_t digest[THREADS];
    struct order locks[LOCKS];
    uint32_t held_by[LOCKS]; /* thread + 1 */
    uint64_t data[LOCKS];    /* guarded by the locks */
    struct order stripe;
    struct toy_word words[WORDS];
};

static uint64_t mix(uint64_t digest, uint64_t value)
{
    struct random random = {digest ^ (value * 31)};
    return random_next(&random);
}

static void toy_init(struct toy *toy)
{
    memset(toy, 0, sizeof *toy);
    for (uint32_t t = 0; t < THREADS; t++) {
        toy->threads[t].index = t;
        toy->digest[t] = t + 1;
    }
}

struct recording {
    struct log logs[THREADS];
    struct log *all[THREADS];
    uint8_t *rings[THREADS];
    uint8_t *bytes[THREADS];
    size_t length[THREADS];
    struct log_segment segments[THREADS][64];
    size_t segment_count[THREADS];
    position end[THREADS];
    struct random world; /* clocks, packets, values: what only the log can repeat */
    packet_id next_id;
};

static struct recording *recording_create(uint64_t seed)
{
    struct recording *recording = calloc(1, sizeof *recording);
    recording->world.state = seed;
    recording->next_id = 1;
    for (uint32_t t = 0; t < THREADS; t++) {
        recording->rings[t] = malloc(CAPACITY + RECORD_MAX_BYTES);
        recording->bytes[t] = malloc(CAPACITY);
        log_init(&recording->logs[t], recording->rings[t], CAPACITY, 0);
        recording->all[t] = &recording->logs[t];
    }
    return recording;
}

static void recording_destroy(struct recording *recording)
{
    for (uint32_t t = 0; t < THREADS; t++) {
        free(recording->rings[t]);
        free(recording->bytes[t]);
    }
    free(recording);
}

/* What an output logger does: puts chunks together and notes where segments start. */
static void recording_take(struct recording *recording, uint32_t t)
{
    struct log_chunk chunk;
    while (log_take(&recording->logs[t], recording->bytes[t] + recording->length[t],
                    1 + (uint32_t)random_below(&recording->world, 300), &chunk)) {
        if (chunk.reset)
            recording->segments[t][recording->segment_count[t]++] =
                (struct log_segment){recording->length[t], chunk.from};
        recording->length[t] += chunk.length;
        recording->end[t] = chunk.to;
    }
}

/* All threads stand between two events: a snapshot barrier. */
static void recording_segment(struct toy *toy, struct recording *recording)
{
    for (uint32_t t = 0; t < THREADS; t++) {
        recording_take(recording, t);
        log_reset(&recording->logs[t]);
        thread_state_segment(&toy->threads[t]);
    }
}

/* ---- one step of the toy: the same choice in both modes, from the thread's digest ---- */

enum step { LOCK, UNLOCK, TRY, LOAD, STORE, NUMBER, BYTES, CLOCK, RECEIVE, SEND, EFFECT, STEPS };

static enum step toy_step(const struct toy *toy, uint32_t t, uint32_t *object)
{
    uint64_t choice = mix(toy->digest[t], 99);
    for (uint32_t l = 0; l < LOCKS; l++)
        if (toy->held_by[l] == t + 1) {
            *object = l;
            return choice % 3 == 0 ? UNLOCK : (enum step)(LOAD + choice % (STEPS - LOAD));
        }
    enum step step = (enum step)(choice % STEPS);
    *object = (uint32_t)(choice >> 32) % (step == LOAD || step == STORE ? WORDS : LOCKS);
    return step == UNLOCK ? LOCK : step;
}

static void toy_enter(struct toy *toy, uint32_t t, uint32_t lock)
{
    toy->held_by[lock] = t + 1;
    toy->data[lock] = mix(toy->data[lock], toy->digest[t]);
    toy->digest[t] = mix(toy->digest[t], toy->data[lock]);
}

/* False: the thread would block. */
static bool toy_record(struct toy *toy, struct recording *recording, uint32_t t)
{
    struct thread_state *thread = &toy->threads[t];
    struct log *log = &recording->logs[t];
    struct random *world = &recording->world;
    uint64_t *digest = &toy->digest[t];
    uint32_t object = 0;
    struct id_range ranges[2];
    struct positions vor;
    uint8_t bytes[24];

    enum step step = toy_step(toy, t, &object);
    thread->site = 0x1000 + (uint32_t)step;
    switch (step) {
    case LOCK:
        if (toy->held_by[object] != 0)
            return false;
        ev_order_record(thread, log, &toy->locks[object]);
        toy_enter(toy, t, object);
        break;
    case UNLOCK:
        toy->held_by[object] = 0;
        *digest = mix(*digest, 1);
        break;
    case TRY:
        if (toy->held_by[object] == 0) {
            ev_order_record(thread, log, &toy->locks[object]);
            toy_enter(toy, t, object);
        } else {
            ev_fail_record(thread, log, toy->locks[object].sequence);
            *digest = mix(*digest, 2);
        }
        break;
    case LOAD: {
        const struct toy_word *word = &toy->words[object];
        ev_load_record(thread, log, 0x1000 + object, word->value, word->version);
        *digest = mix(*digest, word->value);
        break;
    }
    case STORE: {
        uint64_t value = *digest % 3; /* few values: 0 -> 1 -> 0 happens (R5) */
        struct version version = ev_store_record(thread, log, &toy->stripe, 0x1000 + object, value);
        toy->words[object] = (struct toy_word){value, version};
        *digest = mix(*digest, 3);
        break;
    }
    case NUMBER: {
        int64_t value = random_chance(world, 500) ? 0 : (int64_t)random_next(world);
        ev_number_record(thread, log, value, 0);
        *digest = mix(*digest, (uint64_t)value);
        break;
    }
    case BYTES:
        random_fill(world, bytes, sizeof bytes);
        ev_bytes_record(thread, log, bytes, sizeof bytes);
        *digest = mix(*digest, bytes[0] + bytes[23] * 256u);
        break;
    case CLOCK: {
        int64_t ns = (int64_t)random_next(world);
        ev_clock_record(thread, log, 1, ns);
        *digest = mix(*digest, (uint64_t)ns);
        break;
    }
    case RECEIVE: {
        uint32_t count = (uint32_t)random_below(world, 3);
        for (uint32_t i = 0; i < count; i++) {
            ranges[i].first = recording->next_id + random_below(world, 2);
            ranges[i].count = 1 + (uint32_t)random_below(world, 4);
            recording->next_id = ranges[i].first + ranges[i].count;
        }
        ev_receive_record(thread, log, 0, ranges, count);
        *digest = mix(*digest, count ? ranges[count - 1].first : 0);
        break;
    }
    case SEND: {
        uint64_t first =
            ev_out_record(thread, log, 2, (uint32_t)*digest, recording->all, THREADS, &vor);
        cr_assert_eq(vor.at[t], thread->position);
        *digest = mix(*digest, first);
        break;
    }
    case EFFECT: {
        int64_t failed = random_chance(world, 200) ? -1 : 0;
        ev_effect_record(thread, log, failed, (uint32_t)*digest);
        *digest = mix(*digest, (uint64_t)failed);
        break;
    }
    case STEPS:
        break;
    }
    return true;
}

static enum event toy_replay(struct toy *toy, struct log_reader *reader, uint32_t t)
{
    struct thread_state *thread = &toy->threads[t];
    struct positions passed = {.threads = THREADS};
    for (uint32_t i = 0; i < THREADS; i++)
        passed.at[i] = toy->threads[i].position;
    uint64_t *digest = &toy->digest[t];
    uint32_t object = 0, count = 0;
    struct id_range ranges[RECORD_RANGES_MAX];
    struct version version;
    uint64_t value = 0;
    int64_t number = 0;
    uint8_t bytes[24] = {0};
    bool failed = false;
    enum event event = EVENT_PASS;

    enum step step = toy_step(toy, t, &object);
    thread->site = 0x1000 + (uint32_t)step;
    switch (step) {
    case LOCK:
        if (toy->held_by[object] != 0)
            return EVENT_WAIT;
        event = ev_order_replay(thread, reader, &toy->locks[object]);
        if (event == EVENT_PASS)
            toy_enter(toy, t, object);
        break;
    case UNLOCK:
        toy->held_by[object] = 0;
        *digest = mix(*digest, 1);
        break;
    case TRY: {
        struct toy before = *toy;
        struct log_reader ahead = *reader;
        event = ev_try_replay(thread, reader, &toy->locks[object], &failed);
        if (event == EVENT_PASS && !failed && toy->held_by[object] != 0) {
            *toy = before; /* the caller checks the native lock: still held, so wait */
            *reader = ahead;
            return EVENT_WAIT;
        }
        if (event == EVENT_PASS && failed)
            *digest = mix(*digest, 2);
        else if (event == EVENT_PASS)
            toy_enter(toy, t, object);
        break;
    }
    case LOAD:
        event = ev_load_replay(thread, reader, 0x1000 + object, &passed, &value);
        if (event == EVENT_PASS)
            *digest = mix(*digest, value);
        break;
    case STORE:
        event =
            ev_store_replay(thread, reader, &toy->stripe, 0x1000 + object, *digest % 3, &version);
        if (event == EVENT_PASS) {
            toy->words[object] = (struct toy_word){*digest % 3, version};
            *digest = mix(*digest, 3);
        }
        break;
    case NUMBER:
        event = ev_number_replay(thread, reader, 0, &number);
        if (event == EVENT_PASS)
            *digest = mix(*digest, (uint64_t)number);
        break;
    case BYTES:
        event = ev_bytes_replay(thread, reader, bytes, sizeof bytes);
        if (event == EVENT_PASS)
            *digest = mix(*digest, bytes[0] + bytes[23] * 256u);
        break;
    case CLOCK:
        event = ev_clock_replay(thread, reader, 1, &number);
        if (event == EVENT_PASS)
            *digest = mix(*digest, (uint64_t)number);
        break;
    case RECEIVE:
        event = ev_receive_replay(thread, reader, 0, ranges, &count);
        if (event == EVENT_PASS)
            *digest = mix(*digest, count ? ranges[count - 1].first : 0);
        break;
    case SEND:
        event = ev_out_replay(thread, reader, 2, (uint32_t)*digest, &value);
        if (event == EVENT_PASS)
            *digest = mix(*digest, value);
        break;
    case EFFECT:
        event = ev_effect_replay(thread, reader, (uint32_t)*digest, &number);
        if (event == EVENT_PASS)
            *digest = mix(*digest, (uint64_t)number);
        break;
    case STEPS:
        break;
    }
    return event;
}

/* Unlocking is no event: a replay at its end may still stand before one. */
static void toy_settle(struct toy *toy)
{
    uint32_t object;
    for (uint32_t t = 0; t < THREADS; t++)
        while (toy_step(toy, t, &object) == UNLOCK) {
            toy->held_by[object] = 0;
            toy->digest[t] = mix(toy->digest[t], 1);
        }
}

static void replay_all(struct toy *toy, struct recording *recording, uint64_t seed)
{
    struct random schedule = {~seed};
    struct log_reader *readers = calloc(THREADS, sizeof *readers);
    uint32_t stuck = 0;
    for (uint32_t t = 0; t < THREADS; t++)
        log_reader_init(&readers[t], recording->bytes[t], recording->length[t],
                        recording->segments[t], recording->segment_count[t], recording->end[t]);
    while (stuck < 1000) {
        uint32_t t = (uint32_t)random_below(&schedule, THREADS);
        enum event event = toy_replay(toy, &readers[t], t);
        cr_assert_neq(event, EVENT_DIVERGED, "seed %lu thread %u position %lu: %s", seed, t,
                      toy->threads[t].position, readers[t].why);
        stuck = event == EVENT_PASS ? 0 : stuck + 1;
    }
    free(readers);
}

static bool version_same(struct version a, struct version b)
{
    return a.writer == b.writer && a.written == b.written;
}

static void toy_compare(const struct toy *a, const struct toy *b, uint64_t seed)
{
    for (uint32_t t = 0; t < THREADS; t++) {
        const struct thread_state *x = &a->threads[t], *y = &b->threads[t];
        cr_assert_eq(x->position, y->position, "seed %lu thread %u: %lu, %lu", seed, t, x->position,
                     y->position);
        cr_assert_eq(x->outputs, y->outputs, "seed %lu", seed);
        cr_assert_eq(x->path, y->path, "seed %lu thread %u", seed, t);
        cr_assert_eq(a->digest[t], b->digest[t], "seed %lu", seed);
        for (uint32_t i = 0; i < WORD_CACHE_ENTRIES; i++)
            cr_assert(x->words[i].address == y->words[i].address &&
                          x->words[i].value == y->words[i].value &&
                          version_same(x->words[i].version, y->words[i].version),
                      "seed %lu thread %u entry %u", seed, t, i);
    }
    for (uint32_t w = 0; w < WORDS; w++)
        cr_assert(a->words[w].value == b->words[w].value &&
                      version_same(a->words[w].version, b->words[w].version),
                  "seed %lu word %u", seed, w);
    for (uint32_t l = 0; l < LOCKS; l++)
        cr_assert(a->locks[l].sequence == b->locks[l].sequence &&
                      a->locks[l].owner == b->locks[l].owner,
                  "seed %lu lock %u", seed, l);
    cr_assert_eq(memcmp(a->data, b->data, sizeof a->data), 0, "seed %lu", seed);
}

Test(event, any_schedule_replays_what_another_recorded)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct recording *recording = recording_create(seed);
        struct random schedule = {seed * 77};
        struct toy recorded, replayed;
        toy_init(&recorded);
        toy_init(&replayed);
        for (int i = 0; i < 2000; i++) {
            uint32_t t = (uint32_t)random_below(&schedule, THREADS);
            toy_record(&recorded, recording, t);
            if (random_chance(&schedule, 3))
                recording_segment(&recorded, recording);
            else if (random_chance(&schedule, 100))
                recording_take(recording, t);
        }
        for (uint32_t t = 0; t < THREADS; t++)
            recording_take(recording, t);
        replay_all(&replayed, recording, seed);
        toy_settle(&recorded);
        toy_settle(&replayed);
        toy_compare(&recorded, &replayed, seed);
        recording_destroy(recording);
    }
}
