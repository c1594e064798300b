/*
 * Read-modify-write, and words of 16 bytes. How a word, its lock and its version hang together:
 * hooks/sharing/word.h.
 *
 * One that would change nothing, by a look without the lock, is a load: a thread that spins on a
 * compare-exchange or a test-and-set takes no lock and adds no bytes to its log. One that changes
 * the word is a store, whose value is computed from memory under the lock. The look may be
 * outdated by then: whether it changes anything is decided again.
 */
#include "abi_internal.h"
#include "check/check.h"
#include "core/assert.h"
#include "hooks/sharing/word.h"

struct operation {
    uint32_t bytes;
    uint32_t kind; /* enum palisade_rmw, or COMPARE */
    struct word operand, expected;
};
#define COMPARE UINT32_MAX

typedef unsigned __int128 wide;

static inline wide wide_of(struct word word)
{
    return (wide)word.high << 64 | word.low;
}

static inline struct word word_of(wide value)
{
    return (struct word){(uint64_t)value, (uint64_t)(value >> 64)};
}

/* Without the sign bits above `bytes`. */
static inline __attribute__((always_inline)) struct word cut(wide value, uint32_t bytes)
{
    return word_of(bytes == 16 ? value : value & (((wide)1 << bytes * 8) - 1));
}

/* Greater than any value of the other sign when both are compared as unsigned. */
static inline __attribute__((always_inline)) wide flip(wide value, uint32_t bytes)
{
    return value ^ (wide)1 << (bytes * 8 - 1);
}

static inline __attribute__((always_inline)) struct word apply(const struct operation *operation,
                                                               struct word before, uint32_t bytes)
{
    wide old = wide_of(before), operand = wide_of(operation->operand);
    switch (operation->kind) {
    case COMPARE:
        return word_same(before, operation->expected) ? operation->operand : before;
    case PALISADE_RMW_EXCHANGE:
        return operation->operand;
    case PALISADE_RMW_ADD:
        return cut(old + operand, bytes);
    case PALISADE_RMW_SUB:
        return cut(old - operand, bytes);
    case PALISADE_RMW_AND:
        return word_of(old & operand);
    case PALISADE_RMW_NAND:
        return cut(~(old & operand), bytes);
    case PALISADE_RMW_OR:
        return word_of(old | operand);
    case PALISADE_RMW_XOR:
        return word_of(old ^ operand);
    case PALISADE_RMW_MAX:
        return word_of(flip(old, bytes) > flip(operand, bytes) ? old : operand);
    case PALISADE_RMW_MIN:
        return word_of(flip(old, bytes) < flip(operand, bytes) ? old : operand);
    case PALISADE_RMW_UMAX:
        return word_of(old > operand ? old : operand);
    case PALISADE_RMW_UMIN:
        return word_of(old < operand ? old : operand);
    default:
        process_fail(STATUS_UNMODELLED,
                     "atomic operation %u is not known: the program was compiled by another "
                     "version of the pass",
                     operation->kind);
    }
}

static struct word update(const void *context, struct word old)
{
    const struct operation *operation = context;
    return apply(operation, old, operation->bytes);
}

/* ---- events ---- */

/* Turn, version and value are one step, as in a store. */
static enum event rmw_replay(struct nf_thread *thread, void *address,
                             const struct operation *operation, struct word *old, bool *stored)
{
    struct word_slot *slot = slot_of(address);
    struct positions passed = word_positions();
    replay_object_lock(slot);
    struct word_rmw rmw = {.address = (uint64_t)address,
                           .wide = operation->bytes == 16,
                           .memory = word_read(address, operation->bytes),
                           .update = update,
                           .operation = operation};
    enum event event =
        ev_rmw_replay(&thread->core, &run_of(thread)->reader, &slot->order, &passed, &rmw);
    if (event == EVENT_PASS && rmw.stored) {
        slot->written = rmw.version.written;
        word_write(address, rmw.new, operation->bytes);
        slot_give(slot, slot->lock + 2);
    }
    if (event == EVENT_PASS && checking()) {
        check_acquired(check_word(address));
        if (rmw.stored)
            check_released(check_word(address));
    }
    replay_object_unlock(slot);
    *old = rmw.old;
    *stored = event == EVENT_PASS && rmw.stored;
    return event;
}

static inline __attribute__((always_inline)) struct word
rmw_live(struct nf_thread *thread, void *address, const struct operation *operation, uint32_t bytes)
{
    struct log *log = log_ready(thread);
    struct word_slot *slot = slot_of(address);
    uint64_t key = (uint64_t)address;
    for (;;) {
        struct word old = word_read(address, bytes);
        if (word_same(apply(operation, old, bytes), old)) {
            struct looked looked = word_look(address, bytes);
            if (!word_same(apply(operation, looked.value, bytes), looked.value))
                continue;
            word_load_record(thread, log, address, bytes, &looked);
            return looked.value;
        }
        uint64_t lock = slot_take(slot);
        old = word_read(address, bytes);
        struct word new = apply(operation, old, bytes);
        if (word_same(new, old)) {
            slot_give(slot, lock);
            continue;
        }
        struct version version =
            bytes == 16 ? ev_wide_store_record(&thread->core, log, &slot->order, key, new)
                        : ev_store_record(&thread->core, log, &slot->order, key, new.low);
        slot->written = version.written;
        word_write(address, new, bytes);
        slot_give(slot, lock + 2);
        return old;
    }
}

/* The word is not the NF's alone: a thread of libc, a signal handler, role=off. */
static struct word rmw_native(void *address, const struct operation *operation)
{
    struct word old, new;
    bool done;
    do {
        old = word_read(address, operation->bytes);
        new = update(operation, old);
        switch (operation->bytes) {
#define TRY(type)                                                                                  \
    type known = (type)old.low;                                                                    \
    done = __atomic_compare_exchange_n((type *)address, &known, (type) new.low, false,             \
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
        case 1: {
            TRY(uint8_t);
            break;
        }
        case 2: {
            TRY(uint16_t);
            break;
        }
        case 4: {
            TRY(uint32_t);
            break;
        }
        case 8: {
            TRY(uint64_t);
            break;
        }
        default: {
            uint64_t low = old.low, high = old.high;
            __asm__ volatile("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*(wide *)address), "+a"(low), "+d"(high)
                             : "b"(new.low), "c"(new.high)
                             : "memory");
        }
        }
    } while (!done);
    return old;
}

static struct word rmw_long(void *address, const struct operation *operation)
{
    struct nf_thread *thread = nf_self;
    if (thread == NULL)
        return rmw_native(address, operation);
    safe_point(thread);
    struct word old;
    bool stored;
    if (REPLAYED_AND(thread, "atomic operation", REPLAY_SAFE,
                     rmw_replay(thread, address, operation, &old, &stored),
                     stored ? replay_passed() : (void)0))
        return old;
    switch (operation->bytes) {
    case 16:
        return rmw_live(thread, address, operation, 16);
    case 8:
        return rmw_live(thread, address, operation, 8);
    default:
        return rmw_live(thread, address, operation, operation->bytes);
    }
}

/* ---- hooks ---- */

#define RMW(type, bytes)                                                                           \
    type palisade_rmw##bytes##_entry(type *address, type operand, uint32_t kind);                  \
    type palisade_cas##bytes##_entry(type *address, type expected, type desired);                  \
    type palisade_rmw##bytes##_restartable(type *address, type operand, uint32_t kind)             \
    {                                                                                              \
        struct operation operation = {bytes, kind, word_of(operand), {0}};                         \
        return (type)wide_of(rmw_long(address, &operation));                                       \
    }                                                                                              \
    type palisade_cas##bytes##_restartable(type *address, type expected, type desired)             \
    {                                                                                              \
        struct operation operation = {bytes, COMPARE, word_of(desired), word_of(expected)};        \
        return (type)wide_of(rmw_long(address, &operation));                                       \
    }                                                                                              \
    HOOK type __palisade_rmw##bytes(type *address, type operand, uint32_t kind)                    \
    {                                                                                              \
        struct nf_thread *thread = nf_self;                                                        \
        if (__builtin_expect(!recording_plainly() || thread == NULL, 0))                           \
            __attribute__((musttail)) return palisade_rmw##bytes##_entry(address, operand, kind);  \
        site_is(thread, __builtin_return_address(0));                                              \
        struct operation operation = {bytes, kind, word_of(operand), {0}};                         \
        return (type)wide_of(rmw_live(thread, address, &operation, bytes));                        \
    }                                                                                              \
    HOOK type __palisade_cas##bytes(type *address, type expected, type desired)                    \
    {                                                                                              \
        struct nf_thread *thread = nf_self;                                                        \
        if (__builtin_expect(!recording_plainly() || thread == NULL, 0))                           \
            __attribute__((musttail)) return palisade_cas##bytes##_entry(address, expected,        \
                                                                         desired);                 \
        site_is(thread, __builtin_return_address(0));                                              \
        struct operation operation = {bytes, COMPARE, word_of(desired), word_of(expected)};        \
        return (type)wide_of(rmw_live(thread, address, &operation, bytes));                        \
    }

RMW(uint8_t, 1)
RMW(uint16_t, 2)
RMW(uint32_t, 4)
RMW(uint64_t, 8)
RMW(wide, 16)

wide palisade_load16_restartable(const wide *address)
{
    if (nf_self == NULL) { /* a compare-exchange of 0 by 0: the only load of 16 bytes there is */
        struct operation operation = {16, COMPARE, {0}, {0}};
        return wide_of(rmw_native((void *)address, &operation));
    }
    safe_point(nf_self);
    return wide_of(word_load(nf_self, address, 16));
}

void palisade_store16_restartable(wide *address, wide value)
{
    if (nf_self == NULL) {
        struct operation operation = {16, PALISADE_RMW_EXCHANGE, word_of(value), {0}};
        rmw_native(address, &operation);
        return;
    }
    safe_point(nf_self);
    word_store(nf_self, address, word_of(value), 16);
}
